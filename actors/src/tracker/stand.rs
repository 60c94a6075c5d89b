//! Peers of one kind in one torrent, arranged so that random ones are drawn in constant time.
//!
//! All stand in one vector, leechers before seeders: what a leecher asks for may be anyone in it, what a seeder asks for anyone in its
//! first part. `places` finds a peer by its key.

use std::collections::HashMap;
use std::hash::Hash;

use rand::Rng;

/// What stands in a [`Stand`].
pub(super) trait Standing {
    /// By what it is found.
    type Key: Copy + Eq + Hash;

    /// Its key, which never changes.
    fn key(&self) -> Self::Key;
}

#[derive(Debug)]
pub(super) struct Stand<P: Standing> {
    peers: Vec<P>,
    /// How many of `peers` are leechers.
    leechers: usize,
    places: HashMap<P::Key, usize>,
}

impl<P: Standing> Default for Stand<P> {
    fn default() -> Self {
        Self {
            peers: Vec::new(),
            leechers: 0,
            places: HashMap::new(),
        }
    }
}

impl<P: Standing> Stand<P> {
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(super) fn leechers(&self) -> usize {
        self.leechers
    }

    pub(super) fn seeders(&self) -> usize {
        self.peers.len() - self.leechers
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = &P> {
        self.peers.iter()
    }

    pub(super) fn peers_mut(&mut self) -> impl Iterator<Item = &mut P> {
        self.peers.iter_mut()
    }

    pub(super) fn get(&self, key: P::Key) -> Option<&P> {
        self.places.get(&key).map(|&place| &self.peers[place])
    }

    pub(super) fn get_mut(&mut self, key: P::Key) -> Option<&mut P> {
        self.places.get(&key).map(|&place| &mut self.peers[place])
    }

    pub(super) fn is_seeder(&self, key: P::Key) -> bool {
        self.places.get(&key).is_some_and(|&place| place >= self.leechers)
    }

    /// Adds a peer whose key is not there yet, as a leecher.
    pub(super) fn insert(&mut self, peer: P) {
        let last = self.peers.len();
        let former = self.places.insert(peer.key(), last);
        debug_assert!(former.is_none(), "the caller looked before");
        self.peers.push(peer);
        self.swap(last, self.leechers);
        self.leechers += 1;
    }

    pub(super) fn remove(&mut self, key: P::Key) -> Option<P> {
        self.set_seeder(key, true);
        let place = self.places.remove(&key)?;
        let peer = self.peers.swap_remove(place);
        if let Some(moved) = self.peers.get(place) {
            self.places.insert(moved.key(), place);
        }
        Some(peer)
    }

    /// Moves a peer to the seeders or back; whether it was not there already.
    pub(super) fn set_seeder(&mut self, key: P::Key, seeder: bool) -> bool {
        let Some(&place) = self.places.get(&key) else {
            return false;
        };
        if seeder && place < self.leechers {
            self.leechers -= 1;
            self.swap(place, self.leechers);
            true
        } else if !seeder && place >= self.leechers {
            self.swap(place, self.leechers);
            self.leechers += 1;
            true
        } else {
            false
        }
    }

    /// Draws at most `most` peers, all sets of them equally likely: anyone but `without`, or leechers alone.
    pub(super) fn sample(
        &self,
        without: P::Key,
        leechers_only: bool,
        most: usize,
        rng: &mut impl Rng,
    ) -> impl Iterator<Item = &P> {
        let range = self.range(leechers_only);
        // One more than needed, for the asker itself may be among them.
        let drawn = rand::seq::index::sample(rng, range, range.min(most.saturating_add(1)));
        drawn
            .into_iter()
            .map(|place| &self.peers[place])
            .filter(move |peer| peer.key() != without)
            .take(most)
    }

    /// Draws at most `most` peers at even distances from each other, each peer equally likely: anyone but `without`, or leechers alone.
    /// It takes two random numbers however many are drawn.
    pub(super) fn stride(
        &self,
        without: P::Key,
        leechers_only: bool,
        most: usize,
        rng: &mut impl Rng,
    ) -> impl Iterator<Item = &P> {
        let range = self.range(leechers_only);
        let asker = self.places.get(&without).copied().filter(|place| *place < range);
        let others = range - usize::from(asker.is_some());
        let wanted = others.min(most);
        let (first, step) = match others.checked_div(wanted) {
            // Steps that are no longer than this never come to a place twice.
            Some(longest) if wanted < others => (rng.random_range(0..others), rng.random_range(1..=longest)),
            _ => (0, 1),
        };
        (0..wanted).map(move |turn| {
            let place = (first + turn * step) % others;
            let passes_asker = asker.is_some_and(|asker| asker <= place);
            &self.peers[place + usize::from(passes_asker)]
        })
    }

    fn range(&self, leechers_only: bool) -> usize {
        if leechers_only {
            self.leechers
        } else {
            self.peers.len()
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        if a != b {
            self.peers.swap(a, b);
            self.places.insert(self.peers[a].key(), a);
            self.places.insert(self.peers[b].key(), b);
        }
    }

    /// Panics unless the parts agree with each other.
    #[cfg(test)]
    pub(super) fn check(&self) {
        assert!(self.leechers <= self.peers.len());
        assert_eq!(self.places.len(), self.peers.len());
        for (place, peer) in self.peers.iter().enumerate() {
            assert_eq!(self.places.get(&peer.key()), Some(&place));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    impl Standing for u8 {
        type Key = u8;

        fn key(&self) -> u8 {
            *self
        }
    }

    fn stand_of(leechers: u8, seeders: u8) -> Stand<u8> {
        let mut stand = Stand::default();
        for number in 0..leechers + seeders {
            stand.insert(number);
            stand.set_seeder(number, number >= leechers);
        }
        stand.check();
        stand
    }

    /// Both ways to draw.
    fn draws(stand: &Stand<u8>, asker: u8, most: usize, rng: &mut StdRng) -> [BTreeSet<u8>; 2] {
        let leechers_only = stand.is_seeder(asker);
        let sampled: Vec<u8> = stand.sample(asker, leechers_only, most, rng).copied().collect();
        let strode: Vec<u8> = stand.stride(asker, leechers_only, most, rng).copied().collect();
        [sampled, strode].map(|drawn| {
            let distinct: BTreeSet<u8> = drawn.iter().copied().collect();
            assert_eq!(distinct.len(), drawn.len(), "nobody is drawn twice");
            distinct
        })
    }

    #[test]
    fn draws_are_distinct_others_and_for_seeders_leechers() {
        let mut rng = StdRng::seed_from_u64(7);
        let stand = stand_of(6, 5);
        for (asker, most, expected) in [
            (0, 5, 5),
            (0, 99, 10),
            (7, 5, 5),
            (7, 99, 6),
            (0, 0, 0),
            (200, 99, 11),
        ] {
            for drawn in draws(&stand, asker, most, &mut rng) {
                assert_eq!(drawn.len(), expected, "peer {asker} asks for {most}");
                assert!(!drawn.contains(&asker));
                assert!(asker != 7 || drawn.iter().all(|peer| !stand.is_seeder(*peer)));
            }
        }
        assert!(
            draws(&stand_of(0, 9), 3, 5, &mut rng)
                .iter()
                .all(BTreeSet::is_empty)
        );
        assert!(
            draws(&stand_of(0, 0), 3, 5, &mut rng)
                .iter()
                .all(BTreeSet::is_empty)
        );
    }

    #[test]
    fn every_other_peer_is_drawn_equally_often() {
        let mut rng = StdRng::seed_from_u64(8);
        let stand = stand_of(5, 0);
        let mut count = [[0_u32; 5]; 2];
        for _ in 0..4000 {
            for (count, drawn) in count.iter_mut().zip(draws(&stand, 0, 2, &mut rng)) {
                for peer in drawn {
                    count[usize::from(peer)] += 1;
                }
            }
        }
        for count in count {
            assert_eq!(count[0], 0);
            assert!(
                count[1..].iter().all(|count| (1750..2250).contains(count)),
                "{count:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn parts_agree_whatever_happens(steps in proptest::collection::vec((0_u8..3, 0_u8..12, any::<bool>()), 0..200)) {
            let mut stand = Stand::default();
            let mut model = std::collections::BTreeMap::new();
            for (what, number, seeder) in steps {
                let known = model.contains_key(&number);
                match what {
                    0 if !known => {
                        stand.insert(number);
                        model.insert(number, false);
                    }
                    1 => prop_assert_eq!(stand.remove(number).is_some(), model.remove(&number).is_some()),
                    _ => {
                        let before = model.get(&number).copied();
                        prop_assert_eq!(stand.set_seeder(number, seeder), before.is_some_and(|before| before != seeder));
                        model.entry(number).and_modify(|known| *known = seeder);
                    }
                }
                stand.check();
                prop_assert_eq!(stand.seeders(), model.values().filter(|seeder| **seeder).count());
                prop_assert_eq!(stand.len(), model.len());
                prop_assert!(model.iter().all(|(number, seeder)| stand.is_seeder(*number) == *seeder));
            }
        }
    }
}
