//! Twenty identities flood one pod: what an honest friend says still arrives, memory stays bounded, and when they tire so does the pod.
//!
//! The flooders run in this process. How many messages they get rid of depends on the machine and is told, not asserted; so are the
//! times of the honest updates, of which only arrival is asserted.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use seedpod_protocol::envelope::{Draft, Kind, Stamp};
use seedpod_protocol::ids::ObjectId;
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::limits;
use seedpod_protocol::records::{Profile, Record};
use seedpod_test_net::api::Upload;
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{Options, TestNet, eventually};
use serde_json::json;

use crate::attacker::{Attacker, EPOCH};
use crate::steps::{expect_friends, expect_videos};

/// What a flooder sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flood {
    /// Sound records of somebody who is no friend.
    Stranger,
    /// Sound records of a friend, each another one.
    Sound,
    /// Sound records of a friend that are outranked.
    Stale,
    /// A friend's garbage as long as an envelope may be, and a byte more.
    Oversize,
    /// A friend's noise.
    Garbage,
}

const FLOODERS: [(Flood, u8); 5] = [
    (Flood::Stranger, 8),
    (Flood::Sound, 4),
    (Flood::Stale, 4),
    (Flood::Oversize, 2),
    (Flood::Garbage, 2),
];

/// Messages of each flooder a second.
const RATE: u64 = 500;

/// Messages sent in one go.
const BURST: u64 = 10;

/// How often one that was locked out comes again.
const REDIAL: Duration = Duration::from_secs(1);

/// Honest updates during the flood.
const UPDATES: usize = 15;

/// The time between two of them, so that the flood lasts.
const PACE: Duration = Duration::from_secs(1);

/// An update that takes longer never comes; the goal is 6 s.
const ARRIVAL: Duration = Duration::from_secs(60);

/// How much memory the pod may take more than before.
const MEMORY_KIB: u64 = 128 * 1024;

/// When the pod must have come to rest after the flood; the goal is 30 s.
const REST: Duration = Duration::from_secs(90);

/// A pod at rest uses less of one core than this, in percent, seen over [`WINDOW`].
const REST_PERCENT: u64 = 25;
const WINDOW: Duration = Duration::from_secs(2);

/// Clock ticks of /proc a second, on Linux for user space.
const TICKS: u64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_update_arrives_through_a_flood() {
    let mut options = Options::new(2);
    options.environment = vec![("SEEDPOD__NETWORK__INITIAL_SCORE".to_owned(), "1000".to_owned())];
    TestNet::scenario_with(options, async |net| {
        let (pod, friend) = (net.pod(1), net.pod(2));
        let root = friend.root().await?;
        let video = Upload::file("Before the flood", &Clip::Tiny.path().await?)?;
        let video = root.upload(&video).await?;
        root.post("/api/v1/pods", &json!({ "host": pod.host() }))
            .await?
            .status(204)?;
        expect_friends(net, &[(1, &[2]), (2, &[1])]).await?;
        expect_videos(net, &[&video]).await?;

        let flooders = flooders(pod).await?;
        let before = status_kib(pod, "VmRSS:")?;
        let flooding = Arc::new(AtomicBool::new(true));
        let sent = Arc::new(AtomicU64::new(0));
        let begun = Instant::now();
        let floods: Vec<_> = flooders
            .into_iter()
            .map(|(flood, attacker)| {
                let (flooding, sent) = (Arc::clone(&flooding), Arc::clone(&sent));
                tokio::spawn(async move { keep_flooding(flood, &attacker, &flooding, &sent).await })
            })
            .collect();
        eventually("the flood has begun", ARRIVAL, async || {
            ensure!(sent.load(Ordering::Relaxed) > 1_000, "{} messages", sent.load(Ordering::Relaxed));
            Ok(())
        })
        .await?;

        let mut took = Vec::new();
        let mut most = before;
        let mut pace = tokio::time::interval(PACE);
        for number in 0..UPDATES {
            pace.tick().await;
            let name = format!("Update {number} in the flood");
            root.put(&format!("/api/v1/videos/{}", video.uuid), &json!({ "name": name }))
                .await?
                .status(204)?;
            let answered = Instant::now();
            eventually("the update arrives", ARRIVAL, async || {
                most = most.max(status_kib(pod, "VmRSS:")?);
                let shown = pod.visitor().video(&video.uuid).await?;
                ensure!(shown["name"] == name.as_str(), "it shows {}", shown["name"]);
                Ok(())
            })
            .await?;
            took.push(answered.elapsed());
        }
        let lasted = begun.elapsed();
        flooding.store(false, Ordering::Relaxed);
        for flood in floods {
            flood.await?;
        }
        let ended = Instant::now();
        eventually("the pod comes to rest", REST, async || {
            let ticks = cpu_ticks(pod)?;
            let since = Instant::now();
            let mut window = tokio::time::interval(WINDOW);
            window.tick().await;
            window.tick().await;
            let spent = (cpu_ticks(pod)? - ticks) * 1_000 / TICKS;
            let percent = u128::from(spent) * 100 / since.elapsed().as_millis().max(1);
            ensure!(percent < u128::from(REST_PERCENT), "{percent} % of a core");
            Ok(())
        })
        .await?;
        let rested = ended.elapsed();

        took.sort_unstable();
        let sent = sent.load(Ordering::Relaxed);
        eprintln!(
            "{sent} messages in {:.1} s ({:.0} a second of {} wanted); honest updates: median {:.2} s, slowest of {UPDATES} {:.2} s; \
             {} KiB more memory at most; at rest {:.0} s after the end",
            lasted.as_secs_f64(),
            sent as f64 / lasted.as_secs_f64(),
            RATE * FLOODERS.iter().map(|(_, count)| u64::from(*count)).sum::<u64>(),
            took[UPDATES / 2].as_secs_f64(),
            took[UPDATES - 1].as_secs_f64(),
            most.saturating_sub(before),
            rested.as_secs_f64(),
        );
        ensure!(most < before + MEMORY_KIB, "{before} KiB before, {most} KiB at most");
        let shown = pod.visitor().video(&video.uuid).await?;
        ensure!(shown["name"] == format!("Update {} in the flood", UPDATES - 1).as_str());
        Ok(())
    })
    .await;
}

/// Connects all of them; friends befriend the pod first.
async fn flooders(pod: &Pod) -> anyhow::Result<Vec<(Flood, Attacker)>> {
    let kinds = FLOODERS
        .iter()
        .flat_map(|(flood, count)| std::iter::repeat_n(*flood, usize::from(*count)));
    let coming = kinds.zip(1_u8..).map(|(flood, number)| async move {
        let attacker = Attacker::connect(PodKey::from_seed(&[number; 32]), pod).await?;
        if flood != Flood::Stranger {
            attacker.befriend().await?;
            let profile = Record::Profile(profile("Held"));
            let held = attacker.sign(profile, 1 << 40)?;
            attacker.tell(vec![held.bytes().to_vec()]).await?;
        }
        anyhow::Ok((flood, attacker))
    });
    try_join_all(coming).await
}

fn profile(name: &str) -> Profile {
    Profile {
        name: name.to_owned(),
        description: String::new(),
        email: None,
        url: "http://localhost:1".to_owned(),
        udp: None,
    }
}

/// Sends at its rate, as well as the machine lets it, until told to stop; whoever is locked out tries again and again.
async fn keep_flooding(flood: Flood, attacker: &Attacker, flooding: &AtomicBool, sent: &AtomicU64) {
    let mut pace = tokio::time::interval(Duration::from_millis(1_000 * BURST / RATE));
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut redial = tokio::time::interval(REDIAL);
    let mut number = 0;
    while flooding.load(Ordering::Relaxed) {
        pace.tick().await;
        if !attacker.is_connected() {
            redial.tick().await;
            attacker.try_dial();
            continue;
        }
        let mut going = Vec::new();
        for _ in 0..BURST {
            number += 1;
            going.push(attacker.gossip(message(flood, attacker, number)));
        }
        // Its own queue is full, or it was hung up on: it goes on all the same.
        let went = futures::future::join_all(going).await;
        let went = went.iter().filter(|went| matches!(went, Ok(true))).count();
        sent.fetch_add(went as u64, Ordering::Relaxed);
    }
}

fn message(flood: Flood, attacker: &Attacker, number: u64) -> Vec<u8> {
    let record = match flood {
        Flood::Stranger | Flood::Stale => attacker.sign(profile(&format!("Profile {number}")).into(), number),
        Flood::Sound => {
            let stamp = Stamp {
                epoch: EPOCH,
                seq: number,
            };
            // Each in a register of its own, of a kind nobody knows yet.
            ObjectId::from_bytes(&number.to_be_bytes())
                .map_err(anyhow::Error::from)
                .and_then(|object| Ok(Draft::withdrawn(Kind(98), object).sign(&attacker.key, stamp)?))
        }
        Flood::Oversize => {
            let mut bytes = vec![0x41; limits::ENVELOPE_MAX + 1];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            return bytes;
        }
        Flood::Garbage => return [&[0xff; 100][..], &number.to_be_bytes()].concat(),
    };
    record.map(|record| record.bytes().to_vec()).unwrap_or_default()
}

/// A line of the status of the pod's process, in KiB.
fn status_kib(pod: &Pod, name: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(process(pod)?.join("status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let line = line.with_context(|| name.to_owned())?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Ticks of processor time that the pod's process has used, in user and system mode.
fn cpu_ticks(pod: &Pod) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(process(pod)?.join("stat"))?;
    // The name of the program stands in brackets and may hold anything; utime and stime are the 12th and 13th field after it.
    let (_, fields) = stat.rsplit_once(')').context("a program's name")?;
    let mut times = fields.split_whitespace().skip(11);
    let mut next = || anyhow::Ok(times.next().context("a time")?.parse::<u64>()?);
    Ok(next()? + next()?)
}

fn process(pod: &Pod) -> anyhow::Result<std::path::PathBuf> {
    let pid = pod.pid().context("a running pod")?;
    Ok(Path::new("/proc").join(pid.to_string()))
}
