//! How long a video takes from the answer to its upload on the last pod until every other pod knows it, on a quiet net of friends.
//!
//! `cargo bench -p seedpod-test-net` (build the program in the same profile first: `cargo build --release -p seedpod-node`).
//! `UPLOADS=50` sets how many are measured, `PODS=3,10,30` on nets of how many pods. Prints percentiles over all uploads and pods, in
//! milliseconds. Each pod is asked again and again, with a pause so that asking costs the machine about the same whatever their number.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use seedpod_test_net::api::{Api, Upload};
use seedpod_test_net::clips::Clip;
use seedpod_test_net::{Options, TestNet, eventually};
use tokio::time::{MissedTickBehavior, interval};

/// Uploads that are measured unless `UPLOADS` says otherwise.
const UPLOADS: usize = 30;

/// Nets that are measured unless `PODS` says otherwise.
const NETS: &str = "3,10,30";

/// A video that is not visible by then never will be.
const DEADLINE: Duration = Duration::from_secs(30);

/// The pause between two questions, for each pod that is asked; no figure is more exact than this times the pods.
const PAUSE: Duration = Duration::from_micros(300);

/// What a net needs to be quiet after all have become friends.
const QUIET: Duration = Duration::from_secs(120);

fn main() -> anyhow::Result<()> {
    // Without cargo's word for measuring, `cargo test --benches` only wants to know that it runs.
    let (uploads, nets) = if std::env::args().any(|argument| argument == "--bench") {
        let uploads = std::env::var("UPLOADS").map_or(Ok(UPLOADS), |text| text.parse());
        let nets = std::env::var("PODS").unwrap_or_else(|_| NETS.to_owned());
        (uploads.context("UPLOADS is not a number")?, nets)
    } else {
        (1, "3".to_owned())
    };
    ensure!(uploads > 0, "UPLOADS must be above 0");
    let runtime = tokio::runtime::Runtime::new()?;
    for pods in nets.split(',') {
        let pods = pods.trim().parse().context("PODS is not a list of numbers")?;
        runtime.block_on(measure(pods, uploads))?;
    }
    Ok(())
}

async fn measure(pods: usize, uploads: usize) -> anyhow::Result<()> {
    ensure!(pods > 1, "a pod alone has nobody to tell");
    let net = TestNet::start_with(Options::new(pods)).await?;
    net.befriend_all().await?;
    eventually("all pods are quiet", QUIET, async || {
        let digests = try_join_all(
            net.pods()
                .iter()
                .map(async |pod| pod.visitor().state_digest().await),
        );
        let digests = digests.await?;
        ensure!(digests.iter().all(|digest| *digest == digests[0]), "they differ");
        Ok(())
    })
    .await?;
    let root = net.pod(pods).root().await?;
    let clip = Clip::Tiny.path().await?;
    let watchers: Vec<Api> = (1..pods).map(|number| net.pod(number).visitor()).collect();
    let pause = PAUSE * u32::try_from(watchers.len())?;
    let mut waits = Vec::new();
    for number in 1..=uploads {
        let upload = Upload::file(&format!("Video {number}"), &clip)?;
        let video = root.upload(&upload).await?;
        let answered = Instant::now();
        let visible = watchers
            .iter()
            .map(|pod| visible(pod, &video.uuid, answered, pause));
        waits.extend(try_join_all(visible).await?);
    }
    net.stop().await?;
    waits.sort_unstable();
    let at = |percent: usize| waits[(waits.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
    println!(
        "publish to visible, {uploads} uploads on pod {pods}, seen from {} others every {pause:?}, in ms: p50 {:.1}  p90 {:.1}  p99 {:.1}  max {:.1}",
        watchers.len(),
        at(50),
        at(90),
        at(99),
        at(100)
    );
    Ok(())
}

/// The time from `since` until the pod knows this video.
async fn visible(pod: &Api, uuid: &str, since: Instant, pause: Duration) -> anyhow::Result<Duration> {
    let path = format!("/api/v1/videos/{uuid}");
    let asking = async {
        let mut looks = interval(pause);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if pod.get(&path).await?.status_in(&[200, 404])?.status == 200 {
                return anyhow::Ok(since.elapsed());
            }
        }
    };
    tokio::time::timeout(DEADLINE, asking)
        .await
        .with_context(|| format!("{} never knows {uuid}", pod.url()))?
}
