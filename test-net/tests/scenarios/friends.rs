//! Making and quitting friends, step by step, looked at on every pod.

use anyhow::{Context, ensure};
use seedpod_test_net::api::{Friend, List};
use seedpod_test_net::{TestNet, eventually};

use crate::steps::{SOON, befriend_three, expect_equal_digests, expect_friends, make_configured_friends};

#[tokio::test]
async fn three_pods_make_and_quit_friends() {
    TestNet::scenario(3, async |net| {
        // Fresh pods know nobody.
        expect_friends(net, &[(1, &[]), (2, &[]), (3, &[])]).await?;

        // Pod 2 makes its configured friend, pod 3; both list each other and nobody else does.
        make_configured_friends(net.pod(2)).await?;
        expect_friends(net, &[(1, &[]), (2, &[3]), (3, &[2])]).await?;
        for (number, friend) in [(2, 3), (3, 2)] {
            // The address to write to is in the friend's profile, a record like others.
            eventually("the friend's profile is here", SOON, async || {
                let listed = net.pod(number).visitor().friends().await?;
                let entry = listed.data.first().context("a friend was just listed")?;
                ensure_well_described(entry, net.pod(friend).host(), friend)
            })
            .await?;
        }

        // Pod 1 asks pod 2 alone; since pod 3 is on its list, it becomes a friend too.
        make_configured_friends(net.pod(1)).await?;
        expect_friends(net, &[(1, &[2, 3]), (2, &[1, 3]), (3, &[1, 2])]).await?;
        expect_equal_digests(net).await?;

        // Who has friends cannot make friends again.
        let again = net
            .pod(2)
            .root()
            .await?
            .post_nothing("/api/v1/pods/make-friends")
            .await?;
        again.problem(409)?;
        expect_friends(net, &[(1, &[2, 3]), (2, &[1, 3]), (3, &[1, 2])]).await?;

        // Lists are sorted and paged.
        let page = net
            .pod(1)
            .visitor()
            .get("/api/v1/pods?start=1&count=1&sort=-host")
            .await?;
        let page: List<Friend> = page.status(200)?.json()?;
        let second = net.pod(2).host().min(net.pod(3).host());
        ensure!(page.total == 2 && page.data.len() == 1, "{page:?}");
        ensure!(page.data[0].host == second, "{page:?}, expected {second}");

        // Pod 2 quits; the others keep each other.
        net.pod(2)
            .root()
            .await?
            .post_nothing("/api/v1/pods/quit-friends")
            .await?
            .status(204)?;
        expect_friends(net, &[(1, &[3]), (2, &[]), (3, &[1])]).await?;

        // Pod 2 comes back, and everybody knows everybody.
        make_configured_friends(net.pod(2)).await?;
        expect_friends(net, &[(1, &[2, 3]), (2, &[1, 3]), (3, &[1, 2])]).await?;
        expect_equal_digests(net).await?;

        // Pod 1 removes pod 2 alone; pod 3 keeps both.
        let root = net.pod(1).root().await?;
        let listed = root.friends().await?;
        let entry = listed.data.iter().find(|friend| friend.host == net.pod(2).host());
        let number = entry.context("pod 1 lists pod 2")?.id;
        root.delete(&format!("/api/v1/pods/{number}"))
            .await?
            .status(204)?;
        expect_friends(net, &[(1, &[3]), (2, &[3]), (3, &[1, 2])]).await
    })
    .await;
}

#[tokio::test]
async fn one_pod_is_added_by_its_host() {
    TestNet::scenario(3, async |net| {
        let root = net.pod(1).root().await?;
        let host = |number| serde_json::json!({ "host": net.pod(number).host() });
        root.post("/api/v1/pods", &host(3)).await?.status(204)?;
        expect_friends(net, &[(1, &[3]), (2, &[]), (3, &[1])]).await?;
        // A second one is added although there is a friend already, and nobody else comes with it.
        root.post("/api/v1/pods", &host(2)).await?.status(204)?;
        expect_friends(net, &[(1, &[2, 3]), (2, &[1]), (3, &[1])]).await
    })
    .await;
}

#[tokio::test]
async fn who_is_friends_with_both_groups_befriends_neither_by_majority() {
    // Two groups, 1-2 and 3-4; pod 5 asks one of each, and nobody is on more than half of the lists.
    TestNet::scenario(5, async |net| {
        for (asker, asked) in [(1, 2), (3, 4)] {
            let hosts = serde_json::json!({ "hosts": [net.pod(asked).host()] });
            net.pod(asker)
                .root()
                .await?
                .post("/api/v1/pods/make-friends", &hosts)
                .await?
                .status(204)?;
        }
        expect_friends(net, &[(1, &[2]), (2, &[1]), (3, &[4]), (4, &[3]), (5, &[])]).await?;
        make_configured_friends(net.pod(5)).await?;
        expect_friends(net, &[(1, &[2]), (2, &[1]), (3, &[4]), (4, &[3]), (5, &[])]).await
    })
    .await;
}

#[tokio::test]
async fn friends_stay_friends_when_all_start_again() {
    TestNet::scenario(3, async |net| {
        befriend_three(net).await?;
        for pod in net.pods() {
            pod.restart().await?;
        }
        expect_friends(net, &[(1, &[2, 3]), (2, &[1, 3]), (3, &[1, 2])]).await?;
        expect_equal_digests(net).await
    })
    .await;
}

fn ensure_well_described(entry: &Friend, host: String, number: usize) -> anyhow::Result<()> {
    ensure!(entry.host == host, "{entry:?}, expected {host}");
    ensure!(entry.email == format!("admin{number}@example.com"), "{entry:?}");
    ensure!((20..=1000).contains(&entry.score), "{entry:?}");
    ensure!(entry.pod_id.starts_with("12D3KooW"), "{entry:?}");
    let made: jiff::Timestamp = entry
        .created_at
        .parse()
        .with_context(|| format!("no time: {entry:?}"))?;
    let age = jiff::Timestamp::now().duration_since(made);
    ensure!((-1..300).contains(&age.as_secs()), "{entry:?} was made {age} ago");
    Ok(())
}
