//! Networks of several pods: who comes in by an invite, and what friends have not acknowledged.

use anyhow::{Context, ensure};
use seedpod_test_net::api::{Answer, Upload, Uploaded};
use seedpod_test_net::clips::Clip;
use seedpod_test_net::net::Options;
use seedpod_test_net::{TestNet, eventually};
use serde_json::{Value, json};

use crate::steps::{SOON, expect_friends};

async fn upload(net: &TestNet, number: usize, name: &str) -> anyhow::Result<Uploaded> {
    let tiny = Clip::Tiny.path().await?;
    net.pod(number)
        .root()
        .await?
        .upload(&Upload::file(name, &tiny)?)
        .await
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
