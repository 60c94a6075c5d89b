//! Offers that found nobody yet: two who come within the seconds that hints take would miss each other otherwise, until they announce again.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use seedpod_protocol::ids::InfoHash;
use seedpod_protocol::tracker::{Offer, PeerId};

use super::Maker;

/// Offers of one announce that wait.
const OFFERS_MAX: usize = 2;

#[derive(Debug)]
struct Waiting {
    maker: Maker,
    offers: Vec<Offer>,
    until: Instant,
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.offers.iter().map(|offer| offer.offer.get().len()).sum()
    }
}

/// The offers of each peer's last announce that wait.
#[derive(Debug)]
pub(super) struct Held {
    waiting: HashMap<(InfoHash, PeerId), Waiting>,
    /// The oldest first; some are gone from `waiting`, or there anew.
    order: VecDeque<(Instant, InfoHash, PeerId)>,
    bytes: usize,
    most_bytes: usize,
    patience: Duration,
}

/// Peers whose offers wait.
const MAKERS_MAX: usize = 512;

impl Held {
    pub(super) fn new(most_bytes: usize, patience: Duration) -> Self {
        Self {
            waiting: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            most_bytes,
            patience,
        }
    }

    /// Keeps some offers; the oldest make room.
    pub(super) fn hold(&mut self, maker: Maker, offers: impl Iterator<Item = Offer>, now: Instant) {
        let offers: Vec<Offer> = offers.take(OFFERS_MAX).collect();
        if offers.is_empty() {
            return;
        }
        let until = now + self.patience;
        let waiting = Waiting { maker, offers, until };
        self.forget(&maker.info_hash, maker.peer_id);
        self.bytes += waiting.bytes();
        self.waiting.insert((maker.info_hash, maker.peer_id), waiting);
        self.order.push_back((until, maker.info_hash, maker.peer_id));
        while self.bytes > self.most_bytes || self.order.len() > MAKERS_MAX {
            self.drop_oldest();
        }
    }

    /// Takes one offer out of each maker's that `wanted` takes.
    pub(super) fn take_for(&mut self, now: Instant, wanted: impl Fn(&Maker) -> bool) -> Vec<(Maker, Offer)> {
        self.expire(now);
        let mut taken = Vec::new();
        for waiting in self.waiting.values_mut().filter(|waiting| wanted(&waiting.maker)) {
            taken.extend(waiting.offers.pop().map(|offer| (waiting.maker, offer)));
        }
        self.waiting.retain(|_, waiting| !waiting.offers.is_empty());
        self.bytes = self.waiting.values().map(Waiting::bytes).sum();
        taken
    }

    /// Forgets what a peer has waiting.
    pub(super) fn forget(&mut self, info_hash: &InfoHash, peer: PeerId) {
        if let Some(waiting) = self.waiting.remove(&(*info_hash, peer)) {
            self.bytes -= waiting.bytes();
        }
    }

    pub(super) fn withdraw(&mut self, info_hash: &InfoHash) {
        self.waiting.retain(|(waits_for, _), _| waits_for != info_hash);
        self.bytes = self.waiting.values().map(Waiting::bytes).sum();
    }

    pub(super) fn expire(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(until, ..)| *until <= now) {
            self.drop_oldest();
        }
    }

    /// Peers whose offers wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn drop_oldest(&mut self) {
        let Some((until, info_hash, peer)) = self.order.pop_front() else {
            return;
        };
        if self
            .waiting
            .get(&(info_hash, peer))
            .is_some_and(|waiting| waiting.until == until)
        {
            self.forget(&info_hash, peer);
        }
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        assert!(self.order.len() <= MAKERS_MAX && self.waiting.len() <= self.order.len());
        assert_eq!(
            self.bytes,
            self.waiting.values().map(Waiting::bytes).sum::<usize>()
        );
        assert!(self.bytes <= self.most_bytes);
        assert!(
            self.waiting
                .values()
                .all(|waiting| (1..=OFFERS_MAX).contains(&waiting.offers.len()))
        );
    }
}
