//! Clients that want to keep a pod busy for ever: slow headers, slow bodies, slow readers. People beside them are served,
//! memory stays where it was, and the slow ones are gone within their deadlines.
//!
//! How fast people are served meanwhile is measured by `scripts/bench-door hostile`, whose crowd has a process of its own.

use std::time::Duration;

use anyhow::{Context, ensure};
use seedpod_test_net::api::Upload;
use seedpod_test_net::crowd::Crowd;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{TestNet, eventually};

use crate::steps::{padded_clip, text};

/// The crowd: more of them than one address may have, so they come from several.
const CROWD: Crowd = Crowd {
    slow_headers: 2000,
    slow_bodies: 1000,
    slow_readers: 1000,
};

/// How long any of them may stay. The slowest are readers, who have two windows of patience of 15 s each.
const GONE: Duration = Duration::from_secs(40);

/// What the pod may hold more than before while they are all connected, in KiB: 192 for each reader, and 28 for each
/// connection with its buffers.
const MEMORY_KIB: u64 = 1000 * 192 + 4000 * 28;

/// Large enough not to fit into the buffers of a socket.
const PADDING: usize = 24 * 1024 * 1024;

#[tokio::test]
async fn slow_clients_are_outlived() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let root = pod.root().await?;
        let video = root
            .upload(&Upload::bytes("Long", "long.mp4", padded_clip(PADDING).await?))
            .await?;
        let file = text(&root.video(&video.uuid).await?, "/files/0/fileUrl")?.replacen(&pod.url(), "", 1);
        honest_requests(pod, &video.uuid, &file, 20).await?;
        let before = pod.memory_kib()?;

        let crowd = CROWD.come(&pod.host(), &file).await?;
        // On a busy machine the first have been sent away before the last have come.
        eventually(
            "most of them are connected",
            Duration::from_secs(10),
            async || {
                let open = open_connections(pod).await?;
                ensure!(open >= CROWD.size() as u64 * 3 / 4, "{open} connections");
                Ok(())
            },
        )
        .await?;
        honest_requests(pod, &video.uuid, &file, 40).await?;
        let during = pod.memory_kib()?;
        let stays = tokio::time::timeout(2 * GONE, crowd.leave())
            .await
            .context("some are still served")??;
        let longest = stays.into_iter().max().context("a crowd")?;
        eprintln!(
            "{} slow clients gone after at most {longest:.1?}; {} KiB more memory with them",
            CROWD.size(),
            during.saturating_sub(before),
        );
        ensure!(longest < GONE, "one of them was served for {longest:?}");
        ensure!(
            during < before + MEMORY_KIB,
            "{before} KiB before, {during} KiB with them"
        );
        honest_requests(pod, &video.uuid, &file, 5).await?;
        Ok(())
    })
    .await;
}

/// What a person does meanwhile; every answer must be right.
async fn honest_requests(pod: &Pod, video: &str, file: &str, count: usize) -> anyhow::Result<()> {
    let visitor = pod.visitor();
    for _ in 0..count {
        visitor.get(&format!("/w/{video}")).await?.status(200)?;
        visitor.get("/api/v1/videos").await?.status(200)?;
        let part = visitor.get_range(file, "bytes=1000-66535").await?.status(206)?;
        ensure!(part.body.len() == 64 * 1024);
    }
    Ok(())
}

async fn open_connections(pod: &Pod) -> anyhow::Result<u64> {
    let answer = pod.visitor().get("/metrics").await?.status(200)?;
    let metrics = String::from_utf8(answer.body)?;
    let gauge = |line: &str| Some(line.strip_prefix("seedpod_web_connections ")?.trim().parse());
    Ok(metrics
        .lines()
        .find_map(gauge)
        .context("a gauge of connections")??)
}
