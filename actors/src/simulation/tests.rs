//! The seeds that are told in every run of the tests, in shares so that all cores take part.

use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::story::{Told, tell};

/// Seeds with 3 to 12 pods.
const SMALL: u64 = 5_000;
/// Seeds with 50 pods.
const LARGE: u64 = 50;

/// Says which seed it was when a test fails.
struct Naming {
    seed: u64,
    pods: usize,
}

impl Drop for Naming {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, pods } = self;
            eprintln!(
                "SEED={seed} PODS={pods}: told again by `scripts/simulate --seed {seed} --pods {pods}`"
            );
        }
    }
}

fn told(seed: u64, pods: usize) -> Told {
    let naming = Naming { seed, pods };
    let told = tell(seed, pods);
    drop(naming);
    told
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

/// Tells a share of some seeds. `SEED`, `SEEDS` and `PODS` in the environment ask for others.
fn tell_share((share, shares): (u64, u64), seeds: u64, pods: impl Fn(u64) -> usize) {
    let asked = number("PODS").map(|pods| usize::try_from(pods).expect("pods are few"));
    let seeds: Vec<u64> = match number("SEED") {
        Some(seed) => Some(seed).filter(|_| share == 0).into_iter().collect(),
        None => {
            let seeds = number("SEEDS").unwrap_or(seeds);
            (0..seeds).filter(|seed| seed % shares == share).collect()
        }
    };
    let began = Instant::now();
    let (mut events, mut slowest) = (0, 0);
    for seed in &seeds {
        let told = told(*seed, asked.unwrap_or_else(|| pods(*seed)));
        events += told.events;
        slowest = slowest.max(told.agreed_after);
    }
    let took = began.elapsed().as_secs_f64();
    eprintln!(
        "{} seeds in {took:.1} s, {:.1} seeds/s, {events} events, the slowest agreed after {} s of virtual time",
        seeds.len(),
        seeds.len() as f64 / took,
        slowest / 1_000
    );
}

/// Most pods are in a network of a few.
fn few(seed: u64) -> usize {
    StdRng::seed_from_u64(!seed).random_range(3..=12)
}

macro_rules! shares {
    ($room:ident: $shares:literal, $seeds:expr, $pods:expr, $($name:ident = $share:literal,)*) => {
        mod $room {
            $(
                #[test]
                #[allow(clippy::redundant_closure_call, reason = "a macro's argument")]
                fn $name() {
                    super::tell_share(($share, $shares), $seeds, $pods);
                }
            )*
        }
    };
}

shares! {
    few_pods: 10, super::SMALL, super::few,
    share_0 = 0, share_1 = 1, share_2 = 2, share_3 = 3, share_4 = 4,
    share_5 = 5, share_6 = 6, share_7 = 7, share_8 = 8, share_9 = 9,
}

shares! {
    fifty_pods: 4, super::LARGE, |_| 50,
    share_0 = 0, share_1 = 1, share_2 = 2, share_3 = 3,
}

#[test]
fn a_seed_tells_the_same_history_every_time() {
    for seed in 0..5 {
        assert_eq!(told(seed, 7), told(seed, 7));
    }
}
