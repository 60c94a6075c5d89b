//! Between pods: which friends have viewers of a torrent, and whose offers and answers are on their way there or here.
//!
//! Pure, like all of the tracker's state. Pods tell each other in short-lived [hints](seedpod_protocol::records::SwarmHint) where viewers
//! are; an offer that has no other viewer here, or one of several, goes to a friend that has some, and an answer comes back on the same way:
//!
//! ```text
//! viewer B ─ offer ─▶ pod 2 ─ relay-offer ─▶ pod 1 ─ offer ─▶ viewer A
//! viewer B ◀ answer ─ pod 2 ◀ relay-answer ─ pod 1 ◀ answer ─ viewer A
//! ```
//!
//! Rules, as between sockets: an offer goes to one viewer, and an answer only where that very offer came from, once, while it lives. Each
//! friend may use up so much of us a minute and no more ([`RelayLimits`]); a viewer is shown few offers from abroad at a time, whoever sends
//! them. Nothing of this is kept on the disk, and all of it is over after some minutes.

mod held;
mod hints;
mod routes;
mod stats;

use std::time::{Duration, Instant};

use rand::Rng;
use rand::seq::SliceRandom;
use seedpod_protocol::ids::{InfoHash, PodId, Timestamp};
use seedpod_protocol::records::{HintedSwarm, SwarmHint};
use seedpod_protocol::relay::{RelayedAnswer, RelayedOffer, Session};
use seedpod_protocol::requests::Request;
use seedpod_protocol::tracker::{Answer, Offer, PeerId};

use self::held::Held;
use self::hints::{Hints, Saying};
use self::routes::{Route, Routes};
use super::messages::SocketId;

pub(super) use self::hints::TTL;
pub use self::stats::{HintOutcome, RelayRefusal, RelayStats, RelayTotals};

/// How much friends and viewers may use of the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayLimits {
    /// How long an offer may be answered, and how far back the limits of a friend look.
    pub lifetime: Duration,
    /// Most offers under way in each direction within a lifetime.
    pub offers: usize,
    /// Most offers of one friend within a lifetime.
    pub offers_of_friend: usize,
    /// Most unanswered offers shown to one socket, and sent for one.
    pub offers_of_socket: usize,
    /// Most offers of one announce that are sent to friends.
    pub offers_of_announce: usize,
    /// How long an offer that found nobody waits for a friend that has somebody; clients give theirs up after 50 s.
    pub patience: Duration,
    /// Most bytes of offers that wait.
    pub held_bytes: usize,
    /// Most torrents of friends that are remembered.
    pub hinted: usize,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_secs(60),
            offers: 16_384,
            offers_of_friend: 3_000,
            offers_of_socket: 16,
            offers_of_announce: 3,
            patience: Duration::from_secs(40),
            held_bytes: 2 << 20,
            hinted: 65_536,
        }
    }
}

/// A peer here who makes offers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Maker {
    pub(super) info_hash: InfoHash,
    pub(super) peer_id: PeerId,
    pub(super) socket: SocketId,
    pub(super) seeder: bool,
}

/// What is to be asked of a friend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) friend: PodId,
    pub(super) request: Request,
}

#[derive(Debug)]
pub(super) struct Relay {
    limits: RelayLimits,
    hints: Hints,
    saying: Saying,
    /// Offers of peers here, on their way to friends.
    outbound: Routes,
    /// Offers of friends' peers, shown to peers here.
    inbound: Routes,
    held: Held,
    totals: RelayTotals,
}

impl Relay {
    pub(super) fn new(limits: RelayLimits) -> Self {
        Self {
            hints: Hints::new(limits.hinted),
            saying: Saying::default(),
            outbound: Routes::new(limits.clone()),
            inbound: Routes::new(limits.clone()),
            held: Held::new(limits.held_bytes, limits.patience),
            totals: RelayTotals::default(),
            limits,
        }
    }

    /// A relay that knows nobody, with the counts of this one.
    pub(super) fn renewed(&self) -> Self {
        Self {
            totals: self.totals,
            ..Self::new(self.limits.clone())
        }
    }

    /// Takes in what a friend says it has. Offers that wait for one of its torrents are sent there.
    pub(super) fn hinted(
        &mut self,
        friend: PodId,
        hint: &SwarmHint,
        (now, wall): (Instant, Timestamp),
        serves: impl Fn(&InfoHash) -> bool,
    ) -> (HintOutcome, Vec<Ask>) {
        let outcome = self.hints.take(friend, hint, now, wall, serves);
        self.totals.hints[outcome as usize] += 1;
        let mut asks = Vec::new();
        if outcome == HintOutcome::Taken {
            let hints = &self.hints;
            let wanted = self.held.take_for(now, |maker| {
                let there = hints.at(&maker.info_hash).find(|place| place.friend == friend);
                there.is_some_and(|place| place.wants(maker.seeder) > 0)
            });
            for (maker, offer) in wanted {
                asks.extend(self.send(&maker, offer, friend, now));
            }
        }
        (outcome, asks)
    }

    /// Whether a friend has somebody for the offers of a peer here.
    pub(super) fn knows(&self, info_hash: &InfoHash, seeder: bool) -> bool {
        self.hints.at(info_hash).any(|place| place.wants(seeder) > 0)
    }

    /// Sends offers of a peer here to friends, each to one; what finds nobody waits for a while.
    pub(super) fn offer(
        &mut self,
        maker: &Maker,
        offers: impl IntoIterator<Item = Offer>,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Vec<Ask> {
        // A newer announce makes older offers pointless.
        self.held.forget(&maker.info_hash, maker.peer_id);
        let most = self.limits.offers_of_announce;
        let mut friends: Vec<PodId> = Vec::new();
        for place in self.hints.at(&maker.info_hash) {
            let times = usize::from(place.wants(maker.seeder)).min(most);
            friends.extend(std::iter::repeat_n(place.friend, times));
        }
        friends.shuffle(rng);
        friends.truncate(most);

        let mut offers = offers.into_iter();
        let mut asks = Vec::new();
        for friend in friends {
            let Some(offer) = offers.next() else { break };
            asks.extend(self.send(maker, offer, friend, now));
        }
        if asks.is_empty() && !self.hints.is_alone() {
            self.held.hold(*maker, offers, now);
        }
        asks
    }

    fn send(&mut self, maker: &Maker, offer: Offer, friend: PodId, now: Instant) -> Option<Ask> {
        let route = Route {
            info_hash: maker.info_hash,
            maker: maker.peer_id,
            offer: offer.offer_id,
        };
        // What the tracker took is an object within the limits; should the two ever differ, the offer stays here.
        let session = Session::try_from(&*offer.offer).ok()?;
        self.outbound.open(route, friend, maker.socket, now).ok()?;
        self.totals.offers_out += 1;
        let request = Request::RelayOffer(RelayedOffer {
            info_hash: maker.info_hash,
            peer_id: maker.peer_id,
            offer_id: offer.offer_id,
            seeder: maker.seeder,
            offer: session,
        });
        Some(Ask { friend, request })
    }

    /// Whom of those drawn here an offer of a friend is shown to.
    pub(super) fn offered(
        &mut self,
        friend: PodId,
        offer: &RelayedOffer,
        drawn: &[(PeerId, SocketId)],
        now: Instant,
    ) -> Result<SocketId, RelayRefusal> {
        let route = Route {
            info_hash: offer.info_hash,
            maker: offer.peer_id,
            offer: offer.offer_id,
        };
        let free = drawn
            .iter()
            .find(|(_, socket)| self.inbound.has_room_for(*socket));
        let outcome = match free {
            None if drawn.is_empty() => Err(RelayRefusal::Nobody),
            None => Err(RelayRefusal::ViewersBusy),
            Some((peer, socket)) => {
                // Who is found need not look any more.
                self.held.forget(&offer.info_hash, *peer);
                self.inbound.open(route, friend, *socket, now).map(|()| *socket)
            }
        };
        match outcome {
            Ok(_) => self.totals.offers_in += 1,
            Err(refusal) => self.totals.refused[refusal as usize] += 1,
        }
        outcome
    }

    /// A peer here answers an offer that no peer here made: perhaps it came from a friend.
    pub(super) fn answer(&mut self, from: SocketId, answer: &Answer, now: Instant) -> Option<Ask> {
        let route = Route {
            info_hash: answer.info_hash,
            maker: answer.to_peer_id,
            offer: answer.offer_id,
        };
        let session = Session::try_from(&*answer.answer).ok()?;
        let leg = self.inbound.close(&route, now, |leg| leg.socket == from)?;
        self.totals.answers_out += 1;
        let request = Request::RelayAnswer(RelayedAnswer {
            info_hash: answer.info_hash,
            peer_id: answer.peer_id,
            to_peer_id: answer.to_peer_id,
            offer_id: answer.offer_id,
            answer: session,
        });
        Some(Ask {
            friend: leg.friend,
            request,
        })
    }

    /// Whose offer a friend's answer is for.
    pub(super) fn answered(
        &mut self,
        friend: PodId,
        answer: &RelayedAnswer,
        now: Instant,
    ) -> Result<SocketId, RelayRefusal> {
        let route = Route {
            info_hash: answer.info_hash,
            maker: answer.to_peer_id,
            offer: answer.offer_id,
        };
        match self.outbound.close(&route, now, |leg| leg.friend == friend) {
            Some(leg) => {
                self.totals.answers_in += 1;
                Ok(leg.socket)
            }
            None => {
                let refusal = RelayRefusal::NoSuchOffer;
                self.totals.refused[refusal as usize] += 1;
                Err(refusal)
            }
        }
    }

    /// A friend has nobody for a torrent, whatever it said before.
    pub(super) fn found_nobody(&mut self, friend: PodId, info_hash: &InfoHash) {
        self.hints.forget_place(friend, info_hash);
    }

    /// What is to be told to friends now, if anything is. `swarms` is asked only when something may be.
    pub(super) fn say(
        &mut self,
        now: Instant,
        swarms: impl FnOnce() -> Vec<HintedSwarm>,
        rng: &mut impl Rng,
    ) -> Option<Vec<HintedSwarm>> {
        let said = self.saying.due(now, swarms, rng)?;
        self.totals.hints_said += 1;
        Some(said)
    }

    /// Forgets a pod that is no friend any more.
    pub(super) fn forget(&mut self, friend: &PodId) {
        self.hints.forget(friend);
        self.outbound.forget(friend);
        self.inbound.forget(friend);
    }

    /// Forgets torrents that are not served any more.
    pub(super) fn withdraw(&mut self, info_hash: &InfoHash) {
        self.hints.withdraw(info_hash);
        self.held.withdraw(info_hash);
    }

    /// Forgets what is over.
    pub(super) fn tick(&mut self, now: Instant) {
        self.hints.expire(now);
        self.outbound.expire(now);
        self.inbound.expire(now);
        self.held.expire(now);
    }

    pub(super) fn stats(&self) -> RelayStats {
        RelayStats {
            hinted: self.hints.len(),
            waiting: self.outbound.len() + self.inbound.len(),
            held: self.held.len(),
            totals: self.totals,
        }
    }

    /// Panics unless the parts agree with each other and keep their limits.
    #[cfg(test)]
    pub(super) fn check(&self) {
        self.hints.check();
        self.outbound.check();
        self.inbound.check();
        self.held.check();
    }
}
