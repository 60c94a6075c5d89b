//! The peers of one torrent, arranged so that random ones are drawn in constant time.
//!
//! All peers stand in one vector, leechers before seeders: a leecher's offers are for anyone in it, a seeder's for
//! anyone in its first part. `places` finds a peer by its id.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use rand::Rng;
use seedpod_protocol::tracker::{OfferId, PeerId, SwarmCounts};

use super::messages::SocketId;

/// One peer of a torrent.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) socket: SocketId,
    pub(super) announced: Instant,
    /// Its offers that were relayed and not answered, the oldest first.
    pub(super) offered: VecDeque<Offered>,
}

/// One offer that waits for its answer.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) id: OfferId,
    /// Whom it was sent to.
    pub(super) to: SocketId,
    pub(super) expires: Instant,
}

impl Peer {
    /// Forgets offers nobody can answer any more.
    pub(super) fn expire_offers(&mut self, now: Instant) {
        while self.offered.front().is_some_and(|offer| offer.expires <= now) {
            self.offered.pop_front();
        }
    }

    /// Takes out the offer `id` if it was sent to `by` and still lives.
    pub(super) fn take_offer(&mut self, id: OfferId, by: SocketId, now: Instant) -> Option<Offered> {
        self.expire_offers(now);
        let place = self
            .offered
            .iter()
            .position(|offer| offer.id == id && offer.to == by)?;
        self.offered.remove(place)
    }
}

#[derive(Debug, Default)]
pub(super) struct Swarm {
    peers: Vec<Peer>,
    /// How many of `peers` are leechers.
    leechers: usize,
    places: HashMap<PeerId, usize>,
    downloaded: u32,
}

impl Swarm {
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether nothing would be lost with this swarm.
    pub(super) fn is_blank(&self) -> bool {
        self.peers.is_empty() && self.downloaded == 0
    }

    pub(super) fn counts(&self) -> SwarmCounts {
        let count = |peers: usize| u32::try_from(peers).unwrap_or(u32::MAX);
        SwarmCounts {
            complete: count(self.peers.len() - self.leechers),
            incomplete: count(self.leechers),
            downloaded: self.downloaded,
        }
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter()
    }

    pub(super) fn peers_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.peers.iter_mut()
    }

    pub(super) fn get(&self, id: PeerId) -> Option<&Peer> {
        self.places.get(&id).map(|&place| &self.peers[place])
    }

    pub(super) fn get_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        self.places.get(&id).map(|&place| &mut self.peers[place])
    }

    pub(super) fn is_seeder(&self, id: PeerId) -> bool {
        self.places.get(&id).is_some_and(|&place| place >= self.leechers)
    }

    /// Adds a peer whose id is not there yet, as a leecher.
    pub(super) fn insert(&mut self, peer: Peer) {
        let last = self.peers.len();
        let former = self.places.insert(peer.id, last);
        debug_assert!(former.is_none(), "the caller looked before");
        self.peers.push(peer);
        self.swap(last, self.leechers);
        self.leechers += 1;
    }

    pub(super) fn remove(&mut self, id: PeerId) -> Option<Peer> {
        self.set_seeder(id, true);
        let place = self.places.remove(&id)?;
        let peer = self.peers.swap_remove(place);
        if let Some(moved) = self.peers.get(place) {
            self.places.insert(moved.id, place);
        }
        Some(peer)
    }

    pub(super) fn set_seeder(&mut self, id: PeerId, seeder: bool) {
        let Some(&place) = self.places.get(&id) else {
            return;
        };
        if seeder && place < self.leechers {
            self.leechers -= 1;
            self.swap(place, self.leechers);
        } else if !seeder && place >= self.leechers {
            self.swap(place, self.leechers);
            self.leechers += 1;
        }
    }

    /// Marks a leecher as one that has finished, and counts it.
    pub(super) fn complete(&mut self, id: PeerId) {
        if self.places.contains_key(&id) && !self.is_seeder(id) {
            self.downloaded = self.downloaded.saturating_add(1);
            self.set_seeder(id, true);
        }
    }

    /// Draws at most `most` peers for the offers of `id`: others only, for a seeder leechers only, all equally likely.
    pub(super) fn draw(&self, id: PeerId, most: usize, rng: &mut impl Rng) -> Vec<(PeerId, SocketId)> {
        self.draw_for(id, self.is_seeder(id), most, rng)
    }

    /// The same for somebody who need not be in the swarm.
    pub(super) fn draw_for(
        &self,
        id: PeerId,
        seeder: bool,
        most: usize,
        rng: &mut impl Rng,
    ) -> Vec<(PeerId, SocketId)> {
        let range = if seeder { self.leechers } else { self.peers.len() };
        // One more than needed, for the asker itself may be among them.
        let drawn = rand::seq::index::sample(rng, range, range.min(most.saturating_add(1)));
        let others = drawn
            .into_iter()
            .map(|place| &self.peers[place])
            .filter(|peer| peer.id != id);
        others.take(most).map(|peer| (peer.id, peer.socket)).collect()
    }

    fn swap(&mut self, a: usize, b: usize) {
        if a != b {
            self.peers.swap(a, b);
            self.places.insert(self.peers[a].id, a);
            self.places.insert(self.peers[b].id, b);
        }
    }

    /// Panics unless the parts agree with each other.
    #[cfg(test)]
    pub(super) fn check(&self) {
        assert!(self.leechers <= self.peers.len());
        assert_eq!(self.places.len(), self.peers.len());
        for (place, peer) in self.peers.iter().enumerate() {
            assert_eq!(self.places.get(&peer.id), Some(&place));
            assert!(peer.offered.iter().is_sorted_by_key(|offer| offer.expires));
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

    fn id(number: u8) -> PeerId {
        PeerId::from_bytes([number; 20])
    }

    fn swarm_of(leechers: u8, seeders: u8) -> Swarm {
        let mut swarm = Swarm::default();
        for number in 0..leechers + seeders {
            let announced = Instant::now();
            swarm.insert(Peer {
                id: id(number),
                socket: SocketId(number.into()),
                announced,
                offered: VecDeque::new(),
            });
            swarm.set_seeder(id(number), number >= leechers);
        }
        swarm.check();
        swarm
    }

    #[test]
    fn draws_are_distinct_others_and_for_seeders_leechers() {
        let mut rng = StdRng::seed_from_u64(7);
        let swarm = swarm_of(6, 5);
        for (asker, most, expected) in [
            (0, 5, 5),
            (0, 99, 10),
            (7, 5, 5),
            (7, 99, 6),
            (0, 0, 0),
            (200, 99, 11),
        ] {
            let drawn: BTreeSet<_> = swarm.draw(id(asker), most, &mut rng).into_iter().collect();
            assert_eq!(drawn.len(), expected, "peer {asker} asks for {most}");
            assert!(drawn.iter().all(|(peer, _)| *peer != id(asker)));
            assert!(asker != 7 || drawn.iter().all(|(peer, _)| !swarm.is_seeder(*peer)));
        }
        assert!(swarm_of(0, 9).draw(id(3), 5, &mut rng).is_empty());
    }

    #[test]
    fn every_other_peer_is_drawn_equally_often() {
        let mut rng = StdRng::seed_from_u64(8);
        let swarm = swarm_of(5, 0);
        let mut count = [0_u32; 5];
        for _ in 0..4000 {
            for (_, socket) in swarm.draw(id(0), 2, &mut rng) {
                count[usize::try_from(socket.0).unwrap()] += 1;
            }
        }
        assert_eq!(count[0], 0);
        assert!(
            count[1..].iter().all(|count| (1850..2150).contains(count)),
            "{count:?}"
        );
    }

    proptest! {
        #[test]
        fn parts_agree_whatever_happens(steps in proptest::collection::vec((0_u8..4, 0_u8..12), 0..200)) {
            let mut swarm = Swarm::default();
            let mut model = std::collections::BTreeMap::new();
            let mut downloaded = 0;
            for (what, number) in steps {
                let known = model.contains_key(&number);
                match what {
                    0 if !known => {
                        swarm.insert(Peer { id: id(number), socket: SocketId(0), announced: Instant::now(), offered: VecDeque::new() });
                        model.insert(number, false);
                    }
                    1 => prop_assert_eq!(swarm.remove(id(number)).is_some(), model.remove(&number).is_some()),
                    2 => {
                        swarm.complete(id(number));
                        downloaded += u32::from(model.get(&number) == Some(&false));
                        model.entry(number).and_modify(|seeder| *seeder = true);
                    }
                    _ => {
                        swarm.set_seeder(id(number), false);
                        model.entry(number).and_modify(|seeder| *seeder = false);
                    }
                }
                swarm.check();
                let complete = u32::try_from(model.values().filter(|seeder| **seeder).count()).unwrap();
                let incomplete = u32::try_from(model.len()).unwrap() - complete;
                prop_assert_eq!(swarm.counts(), SwarmCounts { complete, incomplete, downloaded });
                prop_assert!(model.iter().all(|(number, seeder)| swarm.is_seeder(id(*number)) == *seeder));
            }
        }
    }
}
