//! How fast a pod takes a large upload, and how soon after its last byte the video is published, beside `sha1sum` of the same
//! bytes: whoever publishes a torrent has to hash the file once, so that is as fast as it can be.
//!
//! `cargo bench -p seedpod-test-net --bench upload` (build the program in the same profile first:
//! `cargo build --profile bench -p seedpod-node`). `MIB=2048` sets the size, `RUNS=3` how often. Sender, pod and disk share this
//! machine, so the sender's work is in the figures too.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::StreamExt;
use reqwest::Body;
use seedpod_test_net::api::Api;
use seedpod_test_net::big::BigVideo;
use seedpod_test_net::clips::Clip;
use seedpod_test_net::{Options, TestNet};
use serde_json::Value;

const MIB: u64 = 1 << 20;
const DEADLINE: Duration = Duration::from_secs(600);
const RESUMABLE: &str = "/api/v1/videos/upload-resumable";

/// What one upload took.
struct Run {
    whole: Duration,
    after_last_byte: Duration,
    sha1sum: Duration,
}

fn main() -> anyhow::Result<()> {
    // Without cargo's word for measuring, `cargo test --benches` only wants to know that it runs.
    let measured = std::env::args().any(|argument| argument == "--bench");
    let number = |name: &str, full: u64, short: u64| match std::env::var(name) {
        Ok(text) if measured => text.parse().with_context(|| format!("{name} is not a number")),
        _ => Ok(if measured { full } else { short }),
    };
    let (mib, runs) = (number("MIB", 2048, 4)?, number("RUNS", 3, 1)?);
    tokio::runtime::Runtime::new()?.block_on(measure(mib * MIB, runs))
}

async fn measure(size: u64, runs: u64) -> anyhow::Result<()> {
    let options = Options {
        environment: vec![("SEEDPOD__VIDEO__MAX_SIZE".to_owned(), "64 GiB".to_owned())],
        ..Options::new(1)
    };
    let net = TestNet::start_with(options).await?;
    let root = net.pod(1).root().await?;
    let video = BigVideo::of(&Clip::Tiny.path().await?, size)?;
    for (name, resumable) in [("one form", false), ("resumable, one piece", true)] {
        let mut best: Option<Run> = None;
        println!("{} MiB, {name}:", size / MIB);
        for _ in 0..runs {
            let run = upload(&root, &video, resumable, net.pod(1).folder()).await?;
            print(&run, size);
            if best.as_ref().is_none_or(|best| run.whole < best.whole) {
                best = Some(run);
            }
        }
        if let Some(best) = best {
            println!("  best:");
            print(&best, size);
        }
    }
    net.stop().await
}

#[allow(clippy::cast_precision_loss, reason = "sizes have far fewer than 53 bits")]
fn print(run: &Run, size: u64) {
    let rate = |time: Duration| size as f64 / 1e6 / time.as_secs_f64();
    println!(
        "  whole path {:6.0} MB/s  sha1sum {:6.0} MB/s  ratio {:.2}  published {:.3} s after the last byte",
        rate(run.whole),
        rate(run.sha1sum),
        rate(run.whole) / rate(run.sha1sum),
        run.after_last_byte.as_secs_f64()
    );
}

async fn upload(root: &Api, video: &BigVideo, resumable: bool, folder: &Path) -> anyhow::Result<Run> {
    let began = Instant::now();
    // When the sender's side gave away its last byte.
    let last = Arc::new(Mutex::new(began));
    let noted = Arc::clone(&last);
    let file = video.stream(0, video.length()).inspect(move |_| {
        *noted.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    });
    let answer = if resumable {
        let headers = [
            ("x-upload-content-length", video.length().to_string()),
            ("content-type", "application/json".to_owned()),
        ];
        let fields = r#"{"name":"Large","filename":"large.mp4"}"#;
        let begun = root
            .send_body("POST", RESUMABLE, &headers, fields, DEADLINE)
            .await?;
        let place = begun.status(201)?.header("location").to_owned();
        let length = video.length();
        let headers = [
            ("content-range", format!("bytes 0-{}/{length}", length - 1)),
            ("content-length", length.to_string()),
        ];
        root.send_body("PUT", &place, &headers, Body::wrap_stream(file), DEADLINE)
            .await?
    } else {
        let head = "--b\r\ncontent-disposition: form-data; name=\"name\"\r\n\r\nLarge\r\n\
             --b\r\ncontent-disposition: form-data; name=\"videofile\"; filename=\"large.mp4\"\r\n\r\n";
        let tail = "\r\n--b--\r\n";
        let length = head.len() as u64 + video.length() + tail.len() as u64;
        let headers = [
            ("content-type", "multipart/form-data; boundary=b".to_owned()),
            ("content-length", length.to_string()),
        ];
        let part =
            |text: &'static str| futures::stream::iter([Ok(bytes::Bytes::from_static(text.as_bytes()))]);
        let body = Body::wrap_stream(part(head).chain(file).chain(part(tail)));
        root.send_body("POST", "/api/v1/videos/upload", &headers, body, DEADLINE)
            .await?
    };
    let answered = Instant::now();
    let body: Value = answer.status(200)?.json()?;
    let uuid = body["video"]["uuid"].as_str().context("no video")?;
    ensure!(
        root.videos()
            .await?
            .data
            .iter()
            .any(|listed| listed["uuid"] == uuid)
    );

    let media = folder.join("media/videos");
    let file = std::fs::read_dir(&media)?.next().context("no file")??.path();
    let began_sum = Instant::now();
    let summed = Command::new("sha1sum")
        .arg(&file)
        .output()
        .context("cannot run sha1sum")?;
    let sha1sum = began_sum.elapsed();
    ensure!(summed.status.success(), "sha1sum fails");
    root.delete(&format!("/api/v1/videos/{uuid}"))
        .await?
        .status(204)?;
    let last = *last.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Run {
        whole: answered - began,
        after_last_byte: answered - last,
        sha1sum,
    })
}
