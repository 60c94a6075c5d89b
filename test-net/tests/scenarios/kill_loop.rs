//! An answer is a promise: two pods are killed at random moments while people write to them, and whatever was answered must be
//! there afterwards.
//!
//! The **ledger** is kept outside of the pods. Before a write is sent, it is noted as open; its answer makes it certain; a write
//! whose answer never came may have happened or not, but not in part. After each kill the pod must start and agree with the
//! ledger: videos with their names and bytes, removals, sessions, friends.
//!
//! `CYCLES` (kills, default [`DEFAULT_CYCLES`]) and `SEED` are settable; `scripts/kill-loop` runs any number.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use seedpod_test_net::api::{Api, Upload};
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{Options, TestNet};
use serde_json::{Value, json};

/// Kills in an ordinary run of the tests.
const DEFAULT_CYCLES: u32 = 25;

/// Videos kept on each pod; above it, writers remove.
const VIDEOS_MAX: usize = 20;

/// The longest time from the first write of a cycle to its kill.
const LONGEST_LIFE: Duration = Duration::from_millis(1200);

/// What is known of one video.
#[derive(Debug, Clone, Default)]
struct Known {
    /// The name that was answered last.
    name: String,
    /// A name that was sent and not answered.
    maybe_name: Option<String>,
    /// A removal was sent.
    maybe_removed: bool,
    /// A removal was answered.
    removed: bool,
}

/// What one pod has answered.
#[derive(Debug, Default)]
struct Ledger {
    videos: BTreeMap<String, Known>,
    /// Names of uploads that were not answered.
    maybe_uploads: Vec<String>,
    tokens: Vec<String>,
    /// Whether this pod must list the other, where that is certain.
    friends: Option<bool>,
    /// Whether this cycle may begin or end the friendship: once, where both pods agreed on how things stood. A pod that was killed
    /// may not have heard of an end yet, which is no loss.
    may_change_friends: bool,
    answered: u64,
    lost_answers: u64,
}

#[tokio::test]
async fn nothing_that_was_answered_is_lost_by_kills() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| {
            text.parse()
                .unwrap_or_else(|_| panic!("{name}={text} is no number"))
        })
    };
    let cycles = number("CYCLES", DEFAULT_CYCLES.into());
    let seed = number("SEED", rand::random::<u32>().into());
    eprintln!("kill loop: {cycles} cycles, SEED={seed}");
    TestNet::scenario_with(Options::new(2), async |net| {
        run(net, cycles, seed)
            .await
            .with_context(|| format!("SEED={seed}"))
    })
    .await;
}

async fn run(net: &TestNet, cycles: u64, seed: u64) -> anyhow::Result<()> {
    let clip = std::fs::read(Clip::Tiny.path().await?)?;
    let mut dice = StdRng::seed_from_u64(seed);
    let mut ledgers = [Ledger::default(), Ledger::default()];
    let begun = Instant::now();
    for cycle in 1..=cycles {
        let victim = dice.random_range(0..2);
        let (pod, other) = (&net.pods()[victim], &net.pods()[1 - victim]);
        let life = dice.random_range(Duration::ZERO..LONGEST_LIFE);
        let root = pod.root().await.context("login before a cycle")?;
        let (ours, theirs) = (lists(pod, other).await?, lists(other, pod).await?);
        ledgers[victim].friends = (ours == theirs).then_some(ours);
        ledgers[victim].may_change_friends = ours == theirs;
        let writes = async {
            let mut dice = StdRng::seed_from_u64(dice.random());
            loop {
                write(&root, pod, other, &clip, &mut ledgers[victim], &mut dice).await?;
            }
        };
        // A write that is cut off stays open in the ledger: it was noted before it was sent.
        match tokio::time::timeout(life, writes).await {
            Err(_) => {}
            Ok(Ok(())) => unreachable!("the loop has no end"),
            Ok(Err(error)) => {
                let error: anyhow::Error = error;
                return Err(error).with_context(|| format!("cycle {cycle}"));
            }
        }
        pod.kill().await?;
        pod.start().await.with_context(|| format!("cycle {cycle}"))?;
        check(pod, other, &clip, &mut ledgers[victim])
            .await
            .with_context(|| format!("after the kill of cycle {cycle}, on pod {}", pod.number()))?;
        if cycle % 50 == 0 {
            eprintln!("kill loop: {cycle} cycles in {:?}", begun.elapsed());
        }
    }
    let answered: u64 = ledgers.iter().map(|ledger| ledger.answered).sum();
    let open: u64 = ledgers.iter().map(|ledger| ledger.lost_answers).sum();
    eprintln!(
        "kill loop: {cycles} cycles in {:?}: {answered} answered writes, none lost; {open} were cut off",
        begun.elapsed()
    );
    ensure!(
        answered >= cycles,
        "only {answered} writes were answered, nothing was tried"
    );
    Ok(())
}

/// One write of a random kind: noted, sent, and noted again when it was answered.
async fn write(
    root: &Api,
    pod: &Pod,
    other: &Pod,
    clip: &[u8],
    ledger: &mut Ledger,
    dice: &mut StdRng,
) -> anyhow::Result<()> {
    let certain: Vec<String> = ledger
        .videos
        .iter()
        .filter(|(_, known)| !known.removed && !known.maybe_removed && known.maybe_name.is_none())
        .map(|(uuid, _)| uuid.clone())
        .collect();
    let name = format!("video {:08x}", dice.random::<u32>());
    let chosen = (!certain.is_empty()).then(|| certain[dice.random_range(0..certain.len())].clone());
    ledger.lost_answers += 1;
    match (dice.random_range(0..10), chosen) {
        (0..=3, _) | (_, None) if certain.len() < VIDEOS_MAX => {
            ledger.maybe_uploads.push(name.clone());
            let video = root
                .upload(&Upload::bytes(&name, "clip.mp4", clip.to_vec()))
                .await?;
            ledger.maybe_uploads.pop();
            ledger.videos.insert(
                video.uuid,
                Known {
                    name,
                    ..Known::default()
                },
            );
        }
        (4..=5, Some(uuid)) => {
            let path = format!("/api/v1/videos/{uuid}");
            let known = ledger.videos.entry(uuid).or_default();
            known.maybe_name = Some(name.clone());
            root.put(&path, &json!({ "name": name })).await?.status(204)?;
            known.maybe_name = None;
            known.name = name;
        }
        (6..=7, _) if !ledger.may_change_friends || dice.random() => {
            let login = pod.root().await?;
            ledger.tokens.extend(login.token().map(str::to_owned));
        }
        (6..=7, _) => {
            ledger.may_change_friends = false;
            if ledger.friends.take() == Some(true) {
                root.post_nothing("/api/v1/pods/quit-friends").await?.success()?;
                ledger.friends = Some(false);
            } else {
                // 502: the other pod has not noticed yet that this one was killed, and nothing came about.
                let answer = root
                    .post("/api/v1/pods", &json!({ "host": other.host() }))
                    .await?
                    .status_in(&[204, 502])?;
                ledger.friends = (answer.status == 204).then_some(true);
            }
        }
        (_, Some(uuid)) => {
            let path = format!("/api/v1/videos/{uuid}");
            let known = ledger.videos.entry(uuid).or_default();
            known.maybe_removed = true;
            root.delete(&path).await?.status(204)?;
            known.removed = true;
        }
        (_, None) => {}
    }
    ledger.lost_answers -= 1;
    ledger.answered += 1;
    Ok(())
}

/// Compares a pod that was just started with what it had answered, and settles what was open.
async fn check(pod: &Pod, other: &Pod, clip: &[u8], ledger: &mut Ledger) -> anyhow::Result<()> {
    let visitor = pod.visitor();
    for (uuid, known) in &mut ledger.videos {
        let answer = visitor.get(&format!("/api/v1/videos/{uuid}")).await?;
        if known.removed {
            ensure!(answer.status == 404, "{uuid} was removed and is back: {known:?}");
            continue;
        }
        if known.maybe_removed && answer.status == 404 {
            known.removed = true;
            continue;
        }
        ensure!(
            answer.status == 200,
            "{uuid} is lost ({}): {known:?}",
            answer.status
        );
        let video: Value = answer.json()?;
        let name = video["name"].as_str().unwrap_or_default();
        ensure!(
            name == known.name || Some(name) == known.maybe_name.as_deref(),
            "{uuid} is called `{name}`: {known:?}"
        );
        name.clone_into(&mut known.name);
        (known.maybe_name, known.maybe_removed) = (None, false);
        let file = visitor
            .get(&format!("/static/webseed/{uuid}-90.mp4"))
            .await?
            .status(200)?;
        ensure!(file.body == clip, "{uuid} has another file");
    }
    ledger.videos.retain(|_, known| !known.removed);

    // An upload without an answer is there whole, or not at all.
    let listed = visitor.videos().await?;
    for video in listed.data.iter().filter(|video| video["isLocal"] == true) {
        let (uuid, name) = (video["uuid"].as_str().unwrap_or_default(), video["name"].as_str());
        let name = name.unwrap_or_default();
        if !ledger.videos.contains_key(uuid) {
            ensure!(
                ledger.maybe_uploads.iter().any(|open| open == name),
                "`{name}` ({uuid}) is here, and nobody uploaded it"
            );
            let file = visitor
                .get(&format!("/static/webseed/{uuid}-90.mp4"))
                .await?
                .status(200)?;
            ensure!(file.body == clip, "{uuid} has half a file");
            let name = name.to_owned();
            ledger.videos.insert(
                uuid.to_owned(),
                Known {
                    name,
                    ..Known::default()
                },
            );
        }
    }
    ledger.maybe_uploads.clear();

    // The newest few sessions; older ones were looked at before.
    for token in ledger.tokens.iter().rev().take(8) {
        visitor
            .with_token(token)
            .get("/api/v1/users/me")
            .await?
            .status(200)
            .context("a session is lost")?;
    }
    if let Some(friends) = ledger.friends {
        ensure!(
            lists(pod, other).await? == friends,
            "friends: {}, while the answer said {friends}",
            !friends
        );
    }
    Ok(())
}

/// Whether a pod lists another among its friends.
async fn lists(pod: &Pod, other: &Pod) -> anyhow::Result<bool> {
    let friends = pod.visitor().friends().await?;
    Ok(friends.data.iter().any(|friend| friend.host == other.host()))
}
