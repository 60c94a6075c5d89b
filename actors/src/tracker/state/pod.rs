//! This pod's own part: in the torrents it seeds it counts as one peer that has everything, whatever ways lead to it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Instant;

use seedpod_protocol::ids::InfoHash;
use seedpod_protocol::tracker::{Answer, PeerId};

use super::super::messages::{AnswerOffer, Family, Found, Seed, SocketId};
use super::{Effect, Refusal, Tracker};

/// Most addresses of this pod that are told.
const MAX_ADDRESSES: usize = 8;

/// What this pod's seeder said of itself.
#[derive(Debug, Default)]
pub(super) struct Pod {
    seeder: Option<Seeder>,
    torrents: HashSet<InfoHash>,
}

#[derive(Debug)]
struct Seeder {
    peer_id: PeerId,
    addresses: Vec<SocketAddr>,
    takes_offers: bool,
}

impl Tracker {
    /// This pod seeds, as this peer and at these addresses.
    pub fn register_seeder(&mut self, peer_id: PeerId, addresses: &[SocketAddr], takes_offers: bool) {
        let mut addresses = addresses.to_vec();
        addresses.truncate(MAX_ADDRESSES);
        self.pod.seeder = Some(Seeder {
            peer_id,
            addresses,
            takes_offers,
        });
    }

    /// What this pod seeds has changed.
    pub fn seed(&mut self, seed: Seed) {
        for info_hash in &seed.end {
            self.pod.torrents.remove(info_hash);
        }
        self.pod.torrents.extend(seed.begin);
    }

    /// Hands the seeder's answer to the maker of the offer.
    ///
    /// # Errors
    /// When no such offer was handed to the seeder, or it is too old, or its maker left. It is counted.
    pub fn answer_offer(&mut self, answer: AnswerOffer, now: Instant) -> Result<Effect, Refusal> {
        let speaker = self.pod.seeder.as_ref().ok_or(Refusal::NotTakingPart);
        let outcome = speaker.map(|seeder| seeder.peer_id).and_then(|peer_id| {
            let answer = Answer {
                info_hash: answer.info_hash,
                peer_id,
                to_peer_id: answer.to_peer_id,
                offer_id: answer.offer_id,
                answer: answer.answer,
            };
            self.relay_answer(SocketId::POD, answer, now)
        });
        outcome.inspect_err(|refusal| self.count(*refusal))
    }

    /// Whether this pod is a seeder of a torrent that is served.
    pub(super) fn seeds(&self, info_hash: &InfoHash) -> bool {
        self.pod.seeder.is_some() && self.pod.torrents.contains(info_hash) && self.serves(info_hash)
    }

    pub(super) fn takes_offers(&self, info_hash: &InfoHash) -> bool {
        let takes = |seeder: &Seeder| seeder.takes_offers;
        self.pod.seeder.as_ref().is_some_and(takes) && self.seeds(info_hash)
    }

    /// Whether this is the pod's own id, as which nobody else can take part.
    pub(super) fn is_pod(&self, peer_id: &PeerId) -> bool {
        self.pod
            .seeder
            .as_ref()
            .is_some_and(|seeder| seeder.peer_id == *peer_id)
    }

    /// The pod's own addresses, for somebody who wants something.
    pub(super) fn find_pod(&self, info_hash: &InfoHash, family: Family, most: usize, found: &mut Vec<Found>) {
        let Some(seeder) = self.pod.seeder.as_ref().filter(|_| self.seeds(info_hash)) else {
            return;
        };
        let addresses = seeder.addresses.iter();
        let usable = addresses.filter(|address| family.takes(address.ip()));
        found.extend(usable.take(most).map(|address| Found {
            id: seeder.peer_id,
            address: *address,
        }));
    }
}
