//! Who is served now: a limited number of peers at a time, and whoever waits gets a turn. Pure state and the handles of connections.
//!
//! A seed cannot tell who deserves its bytes, so it gives them in turns: while somebody waits, whoever was served longest makes room
//! once its [`TURN`] is over.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// How long a peer is served before another's waiting can end it.
const TURN: Duration = Duration::from_secs(30);
/// How many turns may end at once.
const CHANGES: usize = 8;

/// One peer, by the number it got here.
type Number = u64;

/// The state: who has a slot, and who waits for one.
#[derive(Debug)]
struct Turns {
    limit: usize,
    /// The longest served first.
    served: VecDeque<(Number, Instant)>,
    /// Whoever has waited longest first.
    waiting: VecDeque<Number>,
}

impl Turns {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            served: VecDeque::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Somebody wants a slot; says whether it has one now.
    fn ask(&mut self, number: Number, now: Instant) -> bool {
        if self.served.iter().any(|(served, _)| *served == number) {
            return true;
        }
        if self.served.len() < self.limit {
            self.served.push_back((number, now));
            return true;
        }
        if !self.waiting.contains(&number) {
            self.waiting.push_back(number);
        }
        false
    }

    /// Somebody wants none any more; says who gets a slot instead.
    fn leave(&mut self, number: Number, now: Instant) -> Option<Number> {
        self.waiting.retain(|waiting| *waiting != number);
        self.served.retain(|(served, _)| *served != number);
        self.fill(now)
    }

    /// Ends turns while somebody waits; says who lost a slot and who got one.
    fn rotate(&mut self, now: Instant) -> Vec<(Number, bool)> {
        let mut changes = Vec::new();
        while changes.len() < 2 * CHANGES && !self.waiting.is_empty() {
            let over = |(_, since): &(Number, Instant)| now.saturating_duration_since(*since) >= TURN;
            let Some((loser, _)) = self.served.pop_front_if(|served| over(served)) else {
                break;
            };
            changes.push((loser, false));
            changes.extend(self.fill(now).map(|winner| (winner, true)));
            self.waiting.push_back(loser);
        }
        changes
    }

    fn fill(&mut self, now: Instant) -> Option<Number> {
        if self.served.len() >= self.limit {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.served.push_back((next, now));
        Some(next)
    }

    #[cfg(test)]
    fn check(&self) {
        assert!(self.served.len() <= self.limit);
        assert!(self.waiting.is_empty() || self.served.len() == self.limit);
        let both = self.served.iter().map(|(number, _)| number).chain(&self.waiting);
        let all: std::collections::BTreeSet<_> = both.clone().collect();
        assert_eq!(all.len(), both.count());
    }
}

/// The slots of the pod; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    turns: Turns,
    next: Number,
    told: HashMap<Number, watch::Sender<bool>>,
}

impl Slots {
    /// So many peers are served at a time.
    pub(super) fn new(limit: usize) -> Self {
        let shared = Shared {
            turns: Turns::new(limit),
            next: 0,
            told: HashMap::new(),
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// A handle for one more peer, which has no slot and wants none yet.
    pub(super) fn enter(&self) -> Slot {
        let (sender, told) = watch::channel(false);
        let mut shared = self.lock();
        let number = shared.next;
        shared.next += 1;
        shared.told.insert(number, sender);
        drop(shared);
        Slot {
            slots: self.clone(),
            number,
            wanted: false,
            told,
        }
    }

    /// Ends turns that are over while somebody waits. To be called every some seconds.
    pub(super) fn rotate(&self, now: Instant) {
        let mut shared = self.lock();
        for (number, served) in shared.turns.rotate(now) {
            shared.tell(number, served);
        }
    }

    /// How many are served, and how many wait.
    pub(super) fn counts(&self) -> (usize, usize) {
        let shared = self.lock();
        (shared.turns.served.len(), shared.turns.waiting.len())
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn tell(&self, number: Number, served: bool) {
        if let Some(told) = self.told.get(&number) {
            told.send_replace(served);
        }
    }
}

/// One peer's place among the others; dropped, it is somebody else's.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    number: Number,
    wanted: bool,
    told: watch::Receiver<bool>,
}

impl Slot {
    /// Says whether the peer wants to be served.
    pub(super) fn want(&mut self, wanted: bool, now: Instant) {
        if self.wanted == wanted {
            return;
        }
        self.wanted = wanted;
        let mut shared = self.slots.lock();
        if wanted {
            let served = shared.turns.ask(self.number, now);
            shared.tell(self.number, served);
        } else {
            let next = shared.turns.leave(self.number, now);
            shared.tell(self.number, false);
            if let Some(next) = next {
                shared.tell(next, true);
            }
        }
    }

    /// Whether the peer is served now; [`changed`](Self::changed) waits for this to be another.
    pub(super) fn is_served(&mut self) -> bool {
        *self.told.borrow_and_update()
    }

    /// Waits until it is told something new. Nothing is lost when the wait is given up.
    pub(super) async fn changed(&mut self) {
        if self.told.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut shared = self.slots.lock();
        shared.told.remove(&self.number);
        // Their turn began when this peer left, whenever that was noticed.
        if let Some(next) = shared.turns.leave(self.number, Instant::now()) {
            shared.tell(next, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whoever_waits_gets_the_slot_of_who_had_it_longest() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut turns = Turns::new(2);
        assert!(turns.ask(1, at(0)) && turns.ask(2, at(5)) && !turns.ask(3, at(6)));
        assert!(turns.ask(1, at(7)), "it has one");
        assert_eq!(turns.rotate(at(29)), []);
        assert_eq!(turns.rotate(at(30)), [(1, false), (3, true)]);
        turns.check();
        assert_eq!(turns.rotate(at(35)), [(2, false), (1, true)]);
        assert_eq!(turns.leave(3, at(36)), Some(2));
        assert_eq!(turns.rotate(at(99)), [], "nobody waits");
        turns.check();
    }

    #[tokio::test]
    async fn a_dropped_slot_is_the_next_ones() {
        let slots = Slots::new(1);
        let now = Instant::now();
        let (mut first, mut second) = (slots.enter(), slots.enter());
        first.want(true, now);
        second.want(true, now);
        assert!(first.is_served() && !second.is_served());
        assert_eq!(slots.counts(), (1, 1));
        drop(first);
        second.changed().await;
        assert!(second.is_served());
        second.want(false, now);
        assert!(!second.is_served());
        drop(second);
        assert_eq!(slots.counts(), (0, 0));
        assert!(slots.lock().told.is_empty());
    }

    proptest! {
        #[test]
        fn slots_are_never_too_many_and_never_empty_while_somebody_waits(
            steps in prop::collection::vec((0_u8..3, 0_u64..9, 0_u64..20), 0..200)
        ) {
            let mut now = Instant::now();
            let mut turns = Turns::new(3);
            for (what, number, seconds) in steps {
                now += Duration::from_secs(seconds);
                match what {
                    0 => drop(turns.ask(number, now)),
                    1 => drop(turns.leave(number, now)),
                    _ => drop(turns.rotate(now)),
                }
                turns.check();
            }
        }
    }
}
