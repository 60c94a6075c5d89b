//! How long a video takes from the answer to its upload on pod 3 until pods 1 and 2 list it, on a quiet net of three friends.
//!
//! `cargo bench -p seedpod-test-net` (build the program in the same profile first: `cargo build --release -p seedpod-node`).
//! `UPLOADS=50` sets how many are measured. Prints percentiles over all uploads and both pods, in milliseconds.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use seedpod_test_net::TestNet;
use seedpod_test_net::api::{Api, Upload};
use seedpod_test_net::clips::Clip;

/// Uploads that are measured unless `UPLOADS` says otherwise.
const UPLOADS: usize = 30;

/// A video that is not visible by then never will be.
const DEADLINE: Duration = Duration::from_secs(30);

fn main() -> anyhow::Result<()> {
    // Without cargo's word for measuring, `cargo test --benches` only wants to know that it runs.
    let uploads = if std::env::args().any(|argument| argument == "--bench") {
        std::env::var("UPLOADS")
            .map_or(Ok(UPLOADS), |text| text.parse())
            .context("UPLOADS is not a number")?
    } else {
        1
    };
    tokio::runtime::Runtime::new()?.block_on(measure(uploads))
}

async fn measure(uploads: usize) -> anyhow::Result<()> {
    ensure!(uploads > 0, "UPLOADS must be above 0");
    let net = TestNet::start(3).await?;
    net.befriend_all().await?;
    let root = net.pod(3).root().await?;
    let clip = Clip::Tiny.path().await?;
    let watchers = [net.pod(1).visitor(), net.pod(2).visitor()];
    let mut waits = Vec::new();
    for number in 1..=uploads {
        let video = root
            .upload(&Upload::file(&format!("Video {number}"), &clip)?)
            .await?;
        let answered = Instant::now();
        let [first, second] = &watchers;
        let (first, second) = tokio::try_join!(
            visible(first, &video.uuid, answered),
            visible(second, &video.uuid, answered)
        )?;
        waits.extend([first, second]);
    }
    net.stop().await?;
    waits.sort_unstable();
    let at = |percent: usize| waits[(waits.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
    println!("publish to visible, {uploads} uploads on pod 3, seen from pods 1 and 2, in ms:");
    println!(
        "  p50 {:.1}  p90 {:.1}  p99 {:.1}  max {:.1}",
        at(50),
        at(90),
        at(99),
        at(100)
    );
    Ok(())
}

/// The time from `since` until the pod lists this video. The list is asked without a pause, so the error is one request.
async fn visible(pod: &Api, uuid: &str, since: Instant) -> anyhow::Result<Duration> {
    let asking = async {
        loop {
            let listed = pod.videos().await?;
            if listed.data.iter().any(|video| video["uuid"] == uuid) {
                return anyhow::Ok(since.elapsed());
            }
        }
    };
    tokio::time::timeout(DEADLINE, asking)
        .await
        .with_context(|| format!("{} never lists {uuid}", pod.url()))?
}
