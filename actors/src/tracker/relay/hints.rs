//! What friends say they have, and when to say what we have.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::seq::index;
use seedpod_protocol::ids::{InfoHash, PodId, Timestamp};
use seedpod_protocol::limits;
use seedpod_protocol::records::{HintedSwarm, SwarmHint};

use super::stats::HintOutcome;

/// How long what we say may be believed.
pub(in crate::tracker) const TTL: Duration = Duration::from_secs(90);
/// What did not change is said again after this long, well before it is over.
const REFRESH: Duration = Duration::from_secs(30);
/// The shortest time between two hints; a second more for each KiB they weigh, so that nobody's hints cost much above a KiB a second.
const PAUSE: Duration = Duration::from_secs(2);
/// What one torrent adds to a hint, in bytes, at most.
const WEIGHT: usize = 28;
/// How far clocks of pods may be apart.
const SKEW: Duration = Duration::from_secs(120);
/// Most friends whose last hint is remembered: more than there can be.
const FRIENDS_MAX: usize = crate::swarm::FRIENDS_MAX;

/// A friend that has viewers of a torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) friend: PodId,
    leechers: u16,
    seeders: u16,
}

impl Place {
    /// How many there are for somebody's offers: seeders have nothing for each other.
    pub(super) fn wants(&self, seeder: bool) -> u16 {
        if seeder {
            self.leechers
        } else {
            self.leechers.saturating_add(self.seeders)
        }
    }
}

/// The last hint of a friend.
#[derive(Debug)]
struct Said {
    at: Timestamp,
    until: Instant,
    torrents: Vec<InfoHash>,
}

/// What friends said last.
#[derive(Debug)]
pub(super) struct Hints {
    by_friend: HashMap<PodId, Said>,
    places: HashMap<InfoHash, Vec<Place>>,
    /// How many places there are in all.
    count: usize,
    most: usize,
}

impl Hints {
    pub(super) fn new(most: usize) -> Self {
        Self {
            by_friend: HashMap::new(),
            places: HashMap::new(),
            count: 0,
            most,
        }
    }

    /// Replaces what the friend said before. Torrents that are not served here are passed over, and what is too much.
    pub(super) fn take(
        &mut self,
        friend: PodId,
        hint: &SwarmHint,
        now: Instant,
        wall: Timestamp,
        serves: impl Fn(&InfoHash) -> bool,
    ) -> HintOutcome {
        let lasts = hint.lasts();
        if hint.at > wall.saturating_add(SKEW) || hint.at.saturating_add(lasts + SKEW) < wall {
            return HintOutcome::OutOfTime;
        }
        match self.by_friend.get(&friend) {
            Some(said) if said.at >= hint.at => return HintOutcome::Stale,
            Some(_) => self.clear(&friend),
            None => self.make_room(),
        }
        let mut torrents = Vec::new();
        for swarm in &hint.swarms {
            if self.count >= self.most {
                break;
            }
            if !serves(&swarm.info_hash) {
                continue;
            }
            self.places.entry(swarm.info_hash).or_default().push(Place {
                friend,
                leechers: swarm.leechers,
                seeders: swarm.seeders,
            });
            self.count += 1;
            torrents.push(swarm.info_hash);
        }
        let said = Said {
            at: hint.at,
            until: now + lasts,
            torrents,
        };
        self.by_friend.insert(friend, said);
        HintOutcome::Taken
    }

    /// The friends that have viewers of a torrent.
    pub(super) fn at(&self, info_hash: &InfoHash) -> impl Iterator<Item = &Place> {
        self.places.get(info_hash).into_iter().flatten()
    }

    /// Whether no friend ever said anything.
    pub(super) fn is_alone(&self) -> bool {
        self.by_friend.is_empty()
    }

    /// Places of torrents at friends.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn forget(&mut self, friend: &PodId) {
        self.clear(friend);
        self.by_friend.remove(friend);
    }

    pub(super) fn forget_place(&mut self, friend: PodId, info_hash: &InfoHash) {
        if let Some(places) = self.places.get_mut(info_hash) {
            let before = places.len();
            places.retain(|place| place.friend != friend);
            self.count -= before - places.len();
            if places.is_empty() {
                self.places.remove(info_hash);
            }
        }
    }

    pub(super) fn withdraw(&mut self, info_hash: &InfoHash) {
        self.count -= self.places.remove(info_hash).map_or(0, |places| places.len());
    }

    /// Forgets what may not be believed any more. When it was said is remembered, so that it is not said again by somebody else.
    pub(super) fn expire(&mut self, now: Instant) {
        let over = self
            .by_friend
            .iter()
            .filter(|(_, said)| said.until <= now && !said.torrents.is_empty());
        let over: Vec<PodId> = over.map(|(friend, _)| *friend).collect();
        for friend in over {
            self.clear(&friend);
        }
    }

    /// Forgets the friend whose word is over first when there are too many.
    fn make_room(&mut self) {
        if self.by_friend.len() >= FRIENDS_MAX
            && let Some(friend) = self
                .by_friend
                .iter()
                .min_by_key(|(_, said)| said.until)
                .map(|(friend, _)| *friend)
        {
            self.forget(&friend);
        }
    }

    fn clear(&mut self, friend: &PodId) {
        let Some(said) = self.by_friend.get_mut(friend) else {
            return;
        };
        for info_hash in std::mem::take(&mut said.torrents) {
            self.forget_place(*friend, &info_hash);
        }
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        assert!(self.count <= self.most && self.by_friend.len() <= FRIENDS_MAX);
        assert_eq!(self.count, self.places.values().map(Vec::len).sum::<usize>());
        for (info_hash, places) in &self.places {
            assert!(!places.is_empty());
            for place in places {
                assert!(self.by_friend[&place.friend].torrents.contains(info_hash));
            }
        }
    }
}

/// What we said last, and when.
#[derive(Debug, Default)]
pub(super) struct Saying {
    last: Vec<HintedSwarm>,
    at: Option<Instant>,
    pause: Duration,
}

impl Saying {
    /// What is to be said, in order, if it is time: it changed, or those who heard it are about to forget.
    pub(super) fn due(
        &mut self,
        now: Instant,
        swarms: impl FnOnce() -> Vec<HintedSwarm>,
        rng: &mut impl Rng,
    ) -> Option<Vec<HintedSwarm>> {
        let since = self.at.map(|at| now.saturating_duration_since(at));
        if since.is_some_and(|since| since < self.pause) {
            return None;
        }
        let swarms = chosen(swarms(), rng);
        let heard = since.is_some_and(|since| since < REFRESH) || swarms.is_empty();
        if swarms == self.last && heard {
            return None;
        }
        let kib = u64::try_from(swarms.len() * WEIGHT / 1024).unwrap_or(u64::MAX);
        self.pause = PAUSE + Duration::from_secs(kib);
        self.at = Some(now);
        self.last.clone_from(&swarms);
        Some(swarms)
    }
}

/// As many as a hint takes, drawn if there are more, in the order of the wire.
fn chosen(swarms: Vec<HintedSwarm>, rng: &mut impl Rng) -> Vec<HintedSwarm> {
    let mut chosen = if swarms.len() > limits::HINT_SWARMS_MAX {
        let drawn = index::sample(rng, swarms.len(), limits::HINT_SWARMS_MAX);
        drawn.into_iter().map(|place| swarms[place]).collect()
    } else {
        swarms
    };
    chosen.sort_unstable_by_key(|swarm| swarm.info_hash);
    chosen
}
