//! An answer is a promise: two pods are killed at random moments while people write to them, and whatever was answered must be
//! there afterwards (`ledger.rs`). Snapshots are made all the time, and a part of the kills waits for one to be under way.
//!
//! `CYCLES` (kills, default [`DEFAULT_CYCLES`]) and `SEED` are settable; `scripts/kill-loop` runs any number.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{Options, TestNet};

use crate::ledger::{self, Ledger};

/// Kills in an ordinary run of the tests.
const DEFAULT_CYCLES: u64 = 300;

/// The longest time from the first write of a cycle to its kill.
const LONGEST_LIFE: Duration = Duration::from_millis(500);

/// How often a kill that waits for a snapshot looks for one: a snapshot takes some milliseconds.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// So many cycles leave no doubt that some of the kills met a snapshot.
const CERTAINLY_MET: u64 = 100;

#[tokio::test]
async fn nothing_that_was_answered_is_lost_by_kills() {
    let cycles = number("CYCLES", DEFAULT_CYCLES);
    let seed = number("SEED", rand::random::<u32>().into());
    eprintln!("kill loop: {cycles} cycles, SEED={seed}");
    let options = Options {
        environment: vec![("SEEDPOD__STORAGE__SNAPSHOT_AFTER".into(), "4 KiB".into())],
        ..Options::new(2)
    };
    TestNet::scenario_with(options, async |net| {
        run(net, cycles, seed)
            .await
            .with_context(|| format!("SEED={seed}"))
    })
    .await;
}

/// A number from the environment.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number"))
    })
}

async fn run(net: &TestNet, cycles: u64, seed: u64) -> anyhow::Result<()> {
    let clip = std::fs::read(Clip::Tiny.path().await?)?;
    let mut dice = StdRng::seed_from_u64(seed);
    let mut ledgers = [Ledger::default(), Ledger::default()];
    let (mut met, mut slowest) = (0_u64, Duration::ZERO);
    let begun = Instant::now();
    for cycle in 1..=cycles {
        let victim = dice.random_range(0..2);
        let (pod, other) = (&net.pods()[victim], &net.pods()[1 - victim]);
        let life = dice.random_range(Duration::ZERO..LONGEST_LIFE);
        let waits_for_snapshot = dice.random_ratio(1, 3);
        let root = ledgers[victim].login(pod).await.context("login before a cycle")?;
        ledgers[victim].note_friends(pod, other).await?;
        let writes = async {
            let mut dice = StdRng::seed_from_u64(dice.random());
            loop {
                ledger::write(&root, pod, other, &clip, &mut ledgers[victim], &mut dice).await?;
            }
        };
        // A write that is cut off stays open in the ledger: it was noted before it was sent.
        tokio::select! {
            outcome = writes => {
                let outcome: anyhow::Result<()> = outcome;
                outcome.with_context(|| format!("cycle {cycle}"))?;
            }
            () = end_of_life(pod, life, waits_for_snapshot) => {}
        }
        pod.kill().await?;
        met += u64::from(unfinished_snapshot(pod).exists());
        let started = Instant::now();
        pod.start().await.with_context(|| format!("cycle {cycle}"))?;
        slowest = slowest.max(started.elapsed());
        ledger::check(pod, other, &clip, &mut ledgers[victim])
            .await
            .with_context(|| format!("after the kill of cycle {cycle}, on pod {}", pod.number()))?;
        if cycle % 50 == 0 {
            eprintln!("kill loop: {cycle} cycles in {:?}", begun.elapsed());
        }
    }
    let answered: u64 = ledgers.iter().map(|ledger| ledger.answered).sum();
    let open: u64 = ledgers.iter().map(|ledger| ledger.lost_answers).sum();
    eprintln!(
        "kill loop: {cycles} cycles in {:?}: {answered} answered writes, none lost; {open} were cut off; {met} kills met a snapshot half \
         written; the slowest start took {slowest:?}",
        begun.elapsed()
    );
    ensure!(
        2 * answered >= cycles,
        "only {answered} writes were answered, nothing was tried"
    );
    ensure!(
        cycles < CERTAINLY_MET || (met > 0 && segments_were_dropped(net)),
        "no kill met a snapshot ({met}), or no journal was cut"
    );
    Ok(())
}

/// Waits until a life is over, or until a snapshot is being written if that comes first and is waited for.
async fn end_of_life(pod: &Pod, life: Duration, waits_for_snapshot: bool) {
    let snapshot = async {
        let unfinished = unfinished_snapshot(pod);
        let mut looks = tokio::time::interval(LOOK_EVERY);
        while !(waits_for_snapshot && unfinished.exists()) {
            looks.tick().await;
        }
    };
    let longest = if waits_for_snapshot { LONGEST_LIFE } else { life };
    let _ = tokio::time::timeout(longest, snapshot).await;
}

fn unfinished_snapshot(pod: &Pod) -> PathBuf {
    pod.folder().join("snapshots/snapshot.new")
}

fn segments_were_dropped(net: &TestNet) -> bool {
    let first = Path::new("journal/00000001.log");
    net.pods().iter().all(|pod| !pod.folder().join(first).exists())
}
