//! Networks of up to six pods: majorities, a pod that dies and returns, who comes in by an invite. Looked at on every pod.

use std::time::Duration;

use anyhow::{Context, ensure};
use seedpod_test_net::api::{Answer, Upload, Uploaded};
use seedpod_test_net::clips::Clip;
use seedpod_test_net::net::Options;
use seedpod_test_net::{TestNet, eventually};
use serde_json::{Value, json};

use crate::steps::{SOON, expect_friends, make_configured_friends};

/// What a dead friend that is owed records has before it is let go.
const UNTIL_EJECTED: Duration = Duration::from_secs(120);

async fn quit(net: &TestNet, number: usize) -> anyhow::Result<()> {
    let root = net.pod(number).root().await?;
    root.post_nothing("/api/v1/pods/quit-friends")
        .await?
        .status(204)?;
    Ok(())
}

async fn upload(net: &TestNet, number: usize, name: &str) -> anyhow::Result<Uploaded> {
    let tiny = Clip::Tiny.path().await?;
    net.pod(number)
        .root()
        .await?
        .upload(&Upload::file(name, &tiny)?)
        .await
}

/// Waits until each of these pods lists so many videos, and all of a group the same ones.
async fn expect_counts(net: &TestNet, expected: &[(&[usize], usize)]) -> anyhow::Result<()> {
    eventually("every pod lists as many videos as it should", SOON, async || {
        for (pods, count) in expected {
            let mut first: Option<Vec<String>> = None;
            for number in *pods {
                let listed = net.pod(*number).visitor().videos().await?;
                let mut uuids: Vec<String> = listed
                    .data
                    .iter()
                    .map(|video| video["uuid"].as_str().unwrap_or_default().to_owned())
                    .collect();
                uuids.sort();
                ensure!(
                    uuids.len() == *count && listed.total == *count as u64,
                    "pod {number} lists {} videos, expected {count}",
                    uuids.len()
                );
                let same = first.get_or_insert_with(|| uuids.clone());
                ensure!(*same == uuids, "pod {number} lists other videos than {pods:?}");
            }
        }
        Ok(())
    })
    .await
}

async fn expect_one_digest(net: &TestNet, pods: &[usize]) -> anyhow::Result<()> {
    eventually("these pods have one state digest", SOON, async || {
        let first = net.pod(pods[0]).visitor().state_digest().await?;
        for number in pods {
            let digest = net.pod(*number).visitor().state_digest().await?;
            ensure!(
                digest == first,
                "pod {number} has {digest}, pod {} has {first}",
                pods[0]
            );
        }
        Ok(())
    })
    .await
}

/// Waits until all friends of a pod have acknowledged all its records.
async fn everything_is_acknowledged(net: &TestNet, number: usize) -> anyhow::Result<()> {
    let root = net.pod(number).root().await?;
    eventually("friends acknowledge everything", SOON, async || {
        let stats: Value = root
            .get("/api/v1/request-schedulers/stats")
            .await?
            .status(200)?
            .json()?;
        ensure!(stats["requestScheduler"]["totalRequests"] == 0, "{stats:#}");
        Ok(())
    })
    .await
}

/// What a pod says about another in its list, whatever the state.
async fn entry(net: &TestNet, on: usize, about: usize) -> anyhow::Result<Value> {
    let listed = net.pod(on).root().await?.get("/api/v1/pods?state=all").await?;
    let listed: Value = listed.status(200)?.json()?;
    let host = net.pod(about).host();
    let rows = listed["data"].as_array().context("a list")?;
    let row = rows.iter().find(|row| row["host"] == host.as_str());
    row.cloned()
        .with_context(|| format!("pod {on} does not list {host}: {listed:#}"))
}

#[tokio::test]
async fn six_pods_form_groups_lose_one_and_find_each_other_again() {
    TestNet::scenario(6, async |net| {
        // Two groups, 1-3 and 2-4; pod 5 asks one of each, and nobody is on more than half of the lists.
        make_configured_friends(net.pod(3)).await?;
        make_configured_friends(net.pod(4)).await?;
        make_configured_friends(net.pod(5)).await?;
        expect_friends(
            net,
            &[(1, &[3]), (2, &[4]), (3, &[1]), (4, &[2]), (5, &[]), (6, &[])],
        )
        .await?;

        quit(net, 1).await?;
        quit(net, 2).await?;
        expect_friends(net, &[(1, &[]), (2, &[]), (3, &[]), (4, &[]), (5, &[]), (6, &[])]).await?;

        // Pods 1 to 4 are all friends of each other; pod 4 dies while pods 1 and 2 publish.
        make_configured_friends(net.pod(2)).await?;
        make_configured_friends(net.pod(1)).await?;
        make_configured_friends(net.pod(4)).await?;
        expect_friends(
            net,
            &[
                (1, &[2, 3, 4]),
                (2, &[1, 3, 4]),
                (3, &[1, 2, 4]),
                (4, &[1, 2, 3]),
                (5, &[]),
                (6, &[]),
            ],
        )
        .await?;
        expect_one_digest(net, &[1, 2, 3, 4]).await?;
        // Pod 3 knows that pod 4 has everything: a friend that is owed nothing is kept.
        everything_is_acknowledged(net, 3).await?;
        net.pod(4).kill().await?;
        for round in 1..=4 {
            upload(net, 1, &format!("Of pod 1, round {round}")).await?;
            upload(net, 2, &format!("Of pod 2, round {round}")).await?;
        }
        eventually("those who published let pod 4 go", UNTIL_EJECTED, async || {
            for number in [1, 2] {
                let entry = entry(net, number, 4).await?;
                ensure!(entry["state"] == "ejected", "on pod {number}: {entry:#}");
                ensure!(!entry["cause"].is_null(), "on pod {number}: {entry:#}");
            }
            Ok(())
        })
        .await?;
        expect_friends(net, &[(1, &[2, 3]), (2, &[1, 3]), (3, &[1, 2, 4])]).await?;

        // Pod 4 knows nothing of it, and pod 3, which had nothing to tell it, keeps it. Pod 6 finds no majority for it.
        net.pod(4).start().await?;
        make_configured_friends(net.pod(6)).await?;
        expect_friends(
            net,
            &[
                (1, &[2, 3, 6]),
                (2, &[1, 3, 6]),
                (3, &[1, 2, 4, 6]),
                (4, &[1, 2, 3]),
                (5, &[]),
                (6, &[1, 2, 3]),
            ],
        )
        .await?;
        expect_counts(net, &[(&[1, 2, 3, 6], 8)]).await?;
        eventually("pod 4 hears that it was let go", SOON, async || {
            let entry = entry(net, 4, 1).await?;
            ensure!(
                entry["state"] == "friends" && entry["letsUsIn"] == false,
                "{entry:#}"
            );
            Ok(())
        })
        .await?;

        // Pod 1 leaves with its videos, and they come back with it.
        upload(net, 3, "Of pod 3").await?;
        expect_counts(net, &[(&[1, 2, 3, 6], 9)]).await?;
        quit(net, 1).await?;
        expect_friends(net, &[(1, &[]), (2, &[3, 6]), (3, &[2, 4, 6]), (6, &[2, 3])]).await?;
        expect_counts(net, &[(&[1], 4), (&[2, 3, 6], 5)]).await?;
        make_configured_friends(net.pod(1)).await?;
        expect_friends(
            net,
            &[
                (1, &[2, 3, 6]),
                (2, &[1, 3, 6]),
                (3, &[1, 2, 4, 6]),
                (6, &[1, 2, 3]),
            ],
        )
        .await?;
        expect_counts(net, &[(&[1, 2, 3, 6], 9)]).await?;
        expect_one_digest(net, &[1, 2, 6]).await?;

        // Pod 6 removes two of its friends, one by one; the others keep each other.
        let root = net.pod(6).root().await?;
        for other in [1, 2] {
            let id = entry(net, 6, other).await?["id"].clone();
            root.delete(&format!("/api/v1/pods/{id}")).await?.status(204)?;
        }
        expect_friends(net, &[(1, &[2, 3]), (2, &[1, 3]), (3, &[1, 2, 4, 6]), (6, &[3])]).await?;

        // Whoever was let go is back when it asks by name.
        let host = json!({ "host": net.pod(2).host() });
        let root = net.pod(4).root().await?;
        root.post("/api/v1/pods", &host).await?.status(204)?;
        expect_friends(net, &[(2, &[1, 3, 4]), (3, &[1, 2, 4, 6])]).await
    })
    .await;
}

async fn make_invite(net: &TestNet, number: usize, body: &Value) -> anyhow::Result<Value> {
    let root = net.pod(number).root().await?;
    let made: Answer = root.post("/api/v1/pods/invites", body).await?;
    made.status(200)?.json()
}

#[tokio::test]
async fn an_invite_lets_in_as_many_as_it_says_and_the_operator_decides_about_the_rest() {
    let options = Options {
        environment: vec![("SEEDPOD__NETWORK__POLICY".to_owned(), "vouched".to_owned())],
        ..Options::new(4)
    };
    TestNet::scenario_with(options, async |net| {
        let root = net.pod(1).root().await?;
        let visitor = net.pod(1).visitor();
        visitor.get("/api/v1/pods/invites").await?.status(401)?;
        visitor
            .get("/api/v1/request-schedulers/stats")
            .await?
            .status(401)?;
        let bad = root.post("/api/v1/pods/invites", &json!({ "uses": 0 })).await?;
        bad.problem(400)?;
        let invite = make_invite(net, 1, &json!({ "label": "for pod 2", "expiresIn": 3600 })).await?;
        let link = json!({ "host": invite["link"] });
        ensure!(
            invite["link"]
                .as_str()
                .is_some_and(|link| link.starts_with(&format!("{}/invite#", net.pod(1).url()))),
            "{invite:#}"
        );
        let add = async |number: usize, body: &Value| -> anyhow::Result<Answer> {
            net.pod(number).root().await?.post("/api/v1/pods", body).await
        };
        add(2, &link).await?.status(204)?;
        expect_friends(net, &[(1, &[2]), (2, &[1])]).await?;

        // Used up, also after a restart: the next one has to wait for the operator.
        net.pod(1).restart().await?;
        add(3, &link).await?.problem(502)?;
        let listed: Value = root.get("/api/v1/pods/invites").await?.status(200)?.json()?;
        ensure!(
            listed["total"] == 1 && listed["data"][0]["state"] == "used-up" && listed["data"][0]["used"] == 1,
            "{listed:#}"
        );
        let requests: Value = root.get("/api/v1/pods/requests").await?.status(200)?.json()?;
        ensure!(
            requests["total"] == 1 && requests["data"][0]["host"] == net.pod(3).host().as_str(),
            "{requests:#}"
        );
        expect_friends(net, &[(1, &[2]), (3, &[])]).await?;

        // A revoked invite lets nobody in; an open one does, and the friends of friends follow by being vouched for.
        let revoked = make_invite(net, 1, &json!({ "uses": 5 })).await?;
        let path = format!("/api/v1/pods/invites/{}", revoked["id"]);
        root.delete(&path).await?.status(204)?;
        root.delete(&path).await?.problem(404)?;
        add(4, &json!({ "host": revoked["link"] })).await?.problem(502)?;
        let open = make_invite(net, 1, &json!({ "uses": 5 })).await?;
        let hosts = json!({ "hosts": [open["link"]] });
        let fourth = net.pod(4).root().await?;
        fourth
            .post("/api/v1/pods/make-friends", &hosts)
            .await?
            .status(204)?;
        expect_friends(net, &[(1, &[2, 4]), (2, &[1, 4]), (4, &[1, 2])]).await?;

        // Everything of ours is acknowledged soon, and what a dead friend lacks is counted.
        let stats = async || -> anyhow::Result<Value> {
            root.get("/api/v1/request-schedulers/stats")
                .await?
                .status(200)?
                .json()
        };
        eventually("friends acknowledge everything", SOON, async || {
            let stats = stats().await?;
            ensure!(stats["requestScheduler"]["totalRequests"] == 0, "{stats:#}");
            for queue in [
                "requestScheduler",
                "requestVideoQaduScheduler",
                "requestVideoEventScheduler",
            ] {
                let left = stats[queue]["remainingMilliSeconds"].as_u64();
                ensure!(left.is_some_and(|left| left <= 10_000), "{stats:#}");
            }
            Ok(())
        })
        .await?;
        net.pod(2).kill().await?;
        upload(net, 1, "While pod 2 is away").await?;
        eventually("the one that is away is owed a record", SOON, async || {
            let stats = stats().await?;
            let friends = stats["friends"].as_array().context("friends")?;
            let owed = |number: usize| {
                let host = net.pod(number).host();
                friends
                    .iter()
                    .find(|friend| friend["host"] == host.as_str())
                    .map(|friend| friend["unacknowledged"].clone())
            };
            ensure!(owed(4) == Some(json!(0)), "{stats:#}");
            ensure!(owed(2).is_some_and(|owed| owed.as_u64() >= Some(1)), "{stats:#}");
            Ok(())
        })
        .await?;
        net.pod(2).start().await
    })
    .await;
}
