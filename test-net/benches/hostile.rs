//! What people notice of a hostile crowd: how long a page, a list and a part of a video take beside 2,000 slow headers, 1,000 slow
//! bodies and 1,000 slow readers, against how long they take on a quiet pod.
//!
//! `scripts/bench-door hostile` builds what is needed and runs it. The crowd has a process of its own, on the last processor if
//! `taskset` is there, so that what is measured is the pod and not the crowd's own work.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use seedpod_test_net::TestNet;
use seedpod_test_net::api::Upload;
use seedpod_test_net::clips::Clip;
use seedpod_test_net::crowd::Crowd;
use seedpod_test_net::process::Pod;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// Names host and file to a process that is to be the crowd.
const ROLE: &str = "SEEDPOD_CROWD";
/// Large enough not to fit into the buffers of a socket.
const PADDING: usize = 24 * 1024 * 1024;
/// Rounds of requests. Together they take less time than the first of the crowd are served.
const ROUNDS: usize = 300;
/// What a person asks for.
const KINDS: [&str; 3] = ["watch page", "list", "64 KiB range"];

fn main() -> anyhow::Result<()> {
    // Without cargo's word for measuring, `cargo test --benches` only wants to know that it runs.
    let measured = std::env::args().any(|argument| argument == "--bench");
    let scale = if measured { 1000 } else { 5 };
    let crowd = Crowd {
        slow_headers: 2 * scale,
        slow_bodies: scale,
        slow_readers: scale,
    };
    let runtime = tokio::runtime::Runtime::new()?;
    match std::env::var(ROLE) {
        Ok(role) => runtime.block_on(be(crowd, &role)),
        Err(_) => runtime.block_on(measure(crowd, if measured { ROUNDS } else { 2 }, measured)),
    }
}

/// The crowd's own process: comes, says so, and stays.
async fn be(crowd: Crowd, role: &str) -> anyhow::Result<()> {
    let (host, file) = role.split_once(' ').context("host and file")?;
    let arrived = crowd.come(host, file).await?;
    println!("here");
    arrived.leave().await?;
    Ok(())
}

async fn measure(crowd: Crowd, rounds: usize, measured: bool) -> anyhow::Result<()> {
    let net = TestNet::start(1).await?;
    let pod = net.pod(1);
    let mut bytes = std::fs::read(Clip::Mp4.path().await?)?;
    bytes.extend(u32::try_from(PADDING)?.to_be_bytes());
    bytes.extend(b"free");
    bytes.resize(bytes.len() + PADDING - 8, 0);
    let root = pod.root().await?;
    let video = root.upload(&Upload::bytes("Long", "long.mp4", bytes)).await?;
    let seen = root.video(&video.uuid).await?;
    let url = seen["files"][0]["fileUrl"].as_str().context("a file")?;
    let file = url.replacen(&pod.url(), "", 1);
    let page = format!("/w/{}", video.uuid);

    ask(pod, &page, &file, rounds / 4).await?;
    let quiet = ask(pod, &page, &file, rounds).await?;
    let memory = pod.memory_kib()?;

    let mut child = crowd_process(&format!("{} {file}", pod.host()), measured)?;
    let mut said = BufReader::new(child.stdout.take().context("output")?).lines();
    ensure!(
        said.next_line().await?.as_deref() == Some("here"),
        "the crowd does not come"
    );
    let (begun, processor) = (Instant::now(), pod.processor_time()?);
    let busy = ask(pod, &page, &file, rounds).await?;
    let took = begun.elapsed();
    let processor = pod.processor_time()? - processor;
    let more = pod.memory_kib()?.saturating_sub(memory);
    ensure!(child.wait().await?.success(), "the crowd failed");

    println!(
        "a crowd of {}, {rounds} rounds of honest requests in {:.1} s, ms:",
        crowd.size(),
        took.as_secs_f64()
    );
    println!("                 quiet p50      p99   crowd p50      p99   ratio of p99");
    for ((kind, quiet), busy) in KINDS.iter().zip(quiet).zip(busy) {
        println!(
            "  {kind:14} {:10.2} {:8.2} {:11.2} {:8.2} {:10.1}",
            at(&quiet, 50),
            at(&quiet, 99),
            at(&busy, 50),
            at(&busy, 99),
            at(&busy, 99) / at(&quiet, 99)
        );
    }
    println!(
        "  {more} KiB more memory with the crowd; the pod used {:.0} % of a processor meanwhile",
        processor.as_secs_f64() / took.as_secs_f64() * 100.0
    );
    net.stop().await
}

fn crowd_process(role: &str, measured: bool) -> anyhow::Result<tokio::process::Child> {
    let this = std::env::current_exe()?;
    let last = std::thread::available_parallelism()?.get() - 1;
    let spawn = |mut command: Command| {
        command
            .args(measured.then_some("--bench"))
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    };
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", &last.to_string()]).arg(&this);
    Ok(spawn(pinned).or_else(|_| spawn(Command::new(&this)))?)
}

/// Asks for one of each, over and over; gives how long each kind took, sorted.
async fn ask(pod: &Pod, page: &str, file: &str, rounds: usize) -> anyhow::Result<[Vec<Duration>; 3]> {
    let visitor = pod.visitor();
    let mut took: [Vec<Duration>; 3] = Default::default();
    for _ in 0..rounds {
        let begun = Instant::now();
        visitor.get(page).await?.status(200)?;
        took[0].push(begun.elapsed());
        let begun = Instant::now();
        visitor.get("/api/v1/videos").await?.status(200)?;
        took[1].push(begun.elapsed());
        let begun = Instant::now();
        visitor.get_range(file, "bytes=1000-66535").await?.status(206)?;
        took[2].push(begun.elapsed());
    }
    took.iter_mut().for_each(|took| took.sort_unstable());
    Ok(took)
}

/// A percentile, in milliseconds.
fn at(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1e3
}
