//! Steps that several scenarios share: befriend, wait until pods agree, compare what they say.

use std::time::Duration;

use anyhow::{Context, ensure};
use seedpod_test_net::api::Uploaded;
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{TestNet, eventually};
use serde_json::Value;

/// What happens within a round takes at most two seconds between two comparisons of catalogs, and the time a busy machine needs.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// Makes the configured friends of a pod, by giving no hosts.
pub(crate) async fn make_configured_friends(pod: &Pod) -> anyhow::Result<()> {
    pod.root()
        .await?
        .post_nothing("/api/v1/pods/make-friends")
        .await?
        .status(204)?;
    Ok(())
}

/// Waits until each pod lists exactly these friends: pairs of a pod and the pods it should list.
pub(crate) async fn expect_friends(net: &TestNet, expected: &[(usize, &[usize])]) -> anyhow::Result<()> {
    eventually("every pod lists exactly its friends", SOON, async || {
        for (number, friends) in expected {
            let listed = net.pod(*number).visitor().friends().await?;
            let mut hosts: Vec<String> = listed.data.iter().map(|friend| friend.host.clone()).collect();
            let mut expected: Vec<String> = friends.iter().map(|friend| net.pod(*friend).host()).collect();
            hosts.sort();
            expected.sort();
            ensure!(
                hosts == expected,
                "pod {number} lists {hosts:?}, expected {expected:?}"
            );
            ensure!(
                listed.total == hosts.len() as u64,
                "pod {number} says {} friends in all",
                listed.total
            );
        }
        Ok(())
    })
    .await
}

/// Three pods that are friends of each other, made as people would: pod 2 asks its configured friend, then pod 1 its own.
pub(crate) async fn befriend_three(net: &TestNet) -> anyhow::Result<()> {
    make_configured_friends(net.pod(2)).await?;
    expect_friends(net, &[(2, &[3]), (3, &[2])]).await?;
    make_configured_friends(net.pod(1)).await?;
    expect_friends(net, &[(1, &[2, 3]), (2, &[1, 3]), (3, &[1, 2])]).await
}

/// Waits until every pod lists exactly these videos, in whatever order.
pub(crate) async fn expect_videos(net: &TestNet, expected: &[&Uploaded]) -> anyhow::Result<()> {
    let mut expected: Vec<&str> = expected.iter().map(|video| video.uuid.as_str()).collect();
    expected.sort_unstable();
    eventually("every pod lists exactly these videos", SOON, async || {
        for pod in net.pods() {
            let listed = pod.visitor().videos().await?;
            let mut uuids: Vec<&str> = listed
                .data
                .iter()
                .filter_map(|video| video["uuid"].as_str())
                .collect();
            uuids.sort_unstable();
            ensure!(
                uuids == expected,
                "pod {} lists {uuids:?}, expected {expected:?}",
                pod.number()
            );
            ensure!(
                listed.total == uuids.len() as u64,
                "pod {} says {} videos in all",
                pod.number(),
                listed.total
            );
        }
        Ok(())
    })
    .await
}

/// Waits until every pod has the same digest of its catalog.
pub(crate) async fn expect_equal_digests(net: &TestNet) -> anyhow::Result<()> {
    eventually("every pod has the same state digest", SOON, async || {
        let first = net.pod(1).visitor().state_digest().await?;
        for pod in net.pods() {
            let digest = pod.visitor().state_digest().await?;
            ensure!(
                digest == first,
                "pod {} has digest {digest}, pod 1 has {first}",
                pod.number()
            );
        }
        Ok(())
    })
    .await
}

/// What every pod says about a video, once all know it; pod 1 first.
pub(crate) async fn as_seen_everywhere(net: &TestNet, uuid: &str) -> anyhow::Result<Vec<Value>> {
    let mut seen = Vec::new();
    for pod in net.pods() {
        let video = pod
            .visitor()
            .video(uuid)
            .await
            .with_context(|| format!("on pod {}", pod.number()))?;
        seen.push(at_rest(&video));
    }
    Ok(seen)
}

/// A video without who carried how much of it, which every download changes.
pub(crate) fn at_rest(video: &Value) -> Value {
    let mut video = video.clone();
    video.as_object_mut().map(|fields| fields.remove("carried"));
    video
}

/// A video without what rightly differs between pods: numbers given locally, whose it is, when and how it arrived.
pub(crate) fn shared_part(video: &Value) -> Value {
    let mut video = video.clone();
    if let Some(fields) = video.as_object_mut() {
        for local in ["id", "isLocal", "receivedAt", "via", "carried"] {
            fields.remove(local);
        }
        for owner in ["channel", "account"] {
            if let Some(fields) = fields.get_mut(owner).and_then(Value::as_object_mut) {
                fields.remove("id");
            }
        }
    }
    video
}

/// Checks that all these say the same in every part that is not local.
pub(crate) fn ensure_all_equal(seen: &[Value]) -> anyhow::Result<()> {
    let first = shared_part(&seen[0]);
    for (video, number) in seen.iter().zip(1..) {
        let shared = shared_part(video);
        ensure!(
            shared == first,
            "pod {number} says\n{shared:#}\nwhile pod 1 says\n{first:#}"
        );
    }
    Ok(())
}

/// A text in a value, by JSON pointer.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> anyhow::Result<&'a str> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .with_context(|| format!("no text at {pointer} in {value:#}"))
}

/// A clip that is padded by some bytes in a way that players skip.
pub(crate) async fn padded_clip(padding: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = tokio::fs::read(Clip::Mp4.path().await?).await?;
    bytes.extend(u32::try_from(padding)?.to_be_bytes());
    bytes.extend(b"free");
    bytes.resize(bytes.len() + padding - 8, 0);
    Ok(bytes)
}
