//! What the tracker does with friends: see [`relay`](super::super::relay).

use std::time::Instant;

use rand::Rng;
use seedpod_protocol::ids::{InfoHash, PodId, Timestamp};
use seedpod_protocol::records::{HintedSwarm, SwarmHint};
use seedpod_protocol::relay::{RelayedAnswer, RelayedOffer};
use seedpod_protocol::requests::Refusal;
use seedpod_protocol::tracker::ServerMessage;

use super::super::relay::{HintOutcome, RelayRefusal, TTL};
use super::{Effect, Tracker};

/// Peers drawn to find one that has room for an offer of a friend.
const CANDIDATES: usize = 8;

impl Tracker {
    /// Takes in which torrents a friend has viewers of, and sends it offers that wait for some. `wall` is the time of day, which is all that
    /// tells how old a hint is.
    pub fn hinted(
        &mut self,
        friend: PodId,
        hint: &SwarmHint,
        now: Instant,
        wall: Timestamp,
    ) -> (HintOutcome, Vec<Effect>) {
        let admitted = &self.admitted;
        let serves = |info_hash: &InfoHash| admitted.contains(info_hash);
        let (outcome, asks) = self.relay.hinted(friend, hint, (now, wall), serves);
        (outcome, asks.into_iter().map(Effect::from).collect())
    }

    /// Shows a friend's offer to one peer here.
    ///
    /// # Errors
    /// When there is nobody for it, or too much of it.
    pub fn offered(
        &mut self,
        friend: PodId,
        offer: &RelayedOffer,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Result<Vec<Effect>, RelayRefusal> {
        // With `tracker.open` there are swarms of torrents that friends know nothing of; those are no business of theirs.
        let swarm = self
            .swarms
            .get(&offer.info_hash)
            .filter(|_| self.admitted.contains(&offer.info_hash));
        let drawn = swarm.map(|swarm| {
            let browsers = swarm
                .browsers
                .sample(offer.peer_id, offer.seeder, CANDIDATES, rng);
            browsers
                .map(|browser| (browser.id, browser.socket))
                .collect::<Vec<_>>()
        });
        let socket = self
            .relay
            .offered(friend, offer, &drawn.unwrap_or_default(), now)?;
        let message = ServerMessage::Offer {
            info_hash: offer.info_hash,
            peer_id: offer.peer_id,
            offer_id: offer.offer_id,
            offer: offer.offer.to_raw(),
        };
        Ok(vec![Effect::Send { socket, message }])
    }

    /// Hands a friend's answer to the peer here who made the offer.
    ///
    /// # Errors
    /// When that friend was sent no such offer, or it is too late.
    pub fn answered(
        &mut self,
        friend: PodId,
        answer: &RelayedAnswer,
        now: Instant,
    ) -> Result<Vec<Effect>, RelayRefusal> {
        let socket = self.relay.answered(friend, answer, now)?;
        let message = ServerMessage::Answer {
            info_hash: answer.info_hash,
            peer_id: answer.peer_id,
            offer_id: answer.offer_id,
            answer: answer.answer.to_raw(),
        };
        Ok(vec![Effect::Send { socket, message }])
    }

    /// A friend did not take an offer. One that has nobody is not asked again before it says otherwise.
    pub fn relay_failed(&mut self, friend: PodId, info_hash: &InfoHash, reason: Refusal) {
        if reason == Refusal::Nobody {
            self.relay.found_nobody(friend, info_hash);
        }
    }

    /// What friends are to be told now, if anything: the torrents of the catalog that somebody takes part in here.
    pub fn hint(&mut self, now: Instant, wall: Timestamp, rng: &mut impl Rng) -> Option<SwarmHint> {
        let (swarms, admitted) = (&self.swarms, &self.admitted);
        let here = || {
            let served = swarms
                .iter()
                .filter(|(info_hash, _)| admitted.contains(*info_hash));
            let sizes = served.filter_map(|(info_hash, swarm)| {
                // Browsers alone take offers.
                let count = |browsers| u32::try_from(browsers).unwrap_or(u32::MAX);
                let (leechers, seeders) = (swarm.browsers.leechers(), swarm.browsers.seeders());
                HintedSwarm::of(*info_hash, count(leechers), count(seeders))
            });
            sizes.collect()
        };
        let swarms = self.relay.say(now, here, rng)?;
        Some(SwarmHint {
            at: wall,
            ttl: u16::try_from(TTL.as_secs()).unwrap_or(u16::MAX),
            swarms,
        })
    }

    /// Forgets what a pod said that is no friend any more.
    pub fn forget_friend(&mut self, friend: &PodId) {
        self.relay.forget(friend);
    }
}

#[cfg(test)]
mod tests;
