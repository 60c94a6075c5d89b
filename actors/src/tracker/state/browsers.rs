//! What sockets say: announces, offers, answers, scrapes.

use std::collections::VecDeque;
use std::time::Instant;

use rand::Rng;
use seedpod_protocol::ids::InfoHash;
use seedpod_protocol::tracker::{
    Action, Announce, Answer, ClientMessage, Event, Offer, ParseError, PeerId, Scrape, ServerMessage,
};

use super::super::messages::{SocketId, TakeOffer};
use super::super::relay::Maker;
use super::super::stats::{Refusal, Way};
use super::super::swarm::{Browser, Offered};
use super::{Effect, Tracker};

/// Of so many offers of one announce, one is for friends.
const OFFERS_TO_SHARE: usize = 3;

impl Tracker {
    /// Handles what a socket said. What an unknown socket says is ignored: it was closed meanwhile. The reply to `from`, if there is
    /// one, is the first effect.
    pub fn receive(
        &mut self,
        from: SocketId,
        message: Result<ClientMessage, ParseError>,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Vec<Effect> {
        let Some(socket) = self.sockets.get_mut(&from) else {
            return Vec::new();
        };
        socket.heard = now;
        let (action, info_hash, outcome) = match message {
            Ok(ClientMessage::Announce(announce)) => (
                Action::Announce,
                announce.info_hash,
                self.announce(from, announce, now, rng),
            ),
            Ok(ClientMessage::Answer(answer)) => {
                (Action::Announce, answer.info_hash, self.answer(from, answer, now))
            }
            Ok(ClientMessage::Scrape(scrape)) => return vec![self.scrape(from, scrape)],
            Err(error) => {
                self.count(Refusal::Unreadable);
                return vec![Effect::Send {
                    socket: from,
                    message: error.into(),
                }];
            }
        };
        outcome.unwrap_or_else(|refusal| {
            self.count(refusal);
            let reason = refusal.text().to_owned();
            vec![Effect::Send {
                socket: from,
                message: ServerMessage::Failure {
                    action,
                    info_hash: Some(info_hash),
                    reason,
                },
            }]
        })
    }

    fn announce(
        &mut self,
        from: SocketId,
        announce: Announce,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Result<Vec<Effect>, Refusal> {
        let Announce {
            info_hash,
            peer_id,
            event,
            left,
            offers,
        } = announce;
        if !self.serves(&info_hash) {
            return Err(Refusal::NotAdmitted);
        }
        if event == Event::Stopped {
            self.leave(from, info_hash, peer_id);
            self.totals.announces[Way::WebSocket as usize] += 1;
            return Ok(vec![self.reply(from, info_hash)]);
        }
        self.join(from, info_hash, peer_id, now)?;
        self.totals.announces[Way::WebSocket as usize] += 1;
        let swarm = self.swarms.get_mut(&info_hash).expect("`join` made the swarm");
        if event == Event::Completed {
            swarm.complete(peer_id);
        } else {
            swarm.browsers.set_seeder(peer_id, left == Some(0));
        }
        let mut effects = vec![self.reply(from, info_hash)];
        self.relay_offers(info_hash, peer_id, offers, now, rng, &mut effects);
        Ok(effects)
    }

    /// Makes sure that socket `from` takes part in the torrent as `peer_id`, as of `now`.
    fn join(
        &mut self,
        from: SocketId,
        info_hash: InfoHash,
        peer_id: PeerId,
        now: Instant,
    ) -> Result<(), Refusal> {
        let socket = self.sockets.get(&from).expect("`receive` looked");
        let former = socket.peers.get(&info_hash).copied();
        let swarm = self.swarms.get_mut(&info_hash);
        if former == Some(peer_id) {
            let peer = swarm.and_then(|swarm| swarm.browsers.get_mut(peer_id));
            peer.expect("what a socket takes part as is in the swarm")
                .announced = now;
            return Ok(());
        }

        // A client whose line broke comes back with its id before we notice that the former socket is dead.
        // It is let in from the same address; from another it might be somebody who read the id in an offer.
        let holder = swarm
            .as_deref()
            .and_then(|swarm| swarm.browsers.get(peer_id))
            .map(|peer| peer.socket);
        let holder_address = holder
            .and_then(|holder| self.sockets.get(&holder))
            .map(|holder| holder.address);
        if holder_address.is_some_and(|address| address != socket.address) || self.is_pod(&peer_id) {
            return Err(Refusal::PeerIdTaken);
        }
        if former.is_none() && socket.peers.len() >= self.config.max_torrents_per_socket {
            return Err(Refusal::TooManyTorrents);
        }
        self.has_room(
            &info_hash,
            usize::from(former.is_some()) + usize::from(holder.is_some()),
        )?;

        if let Some(holder) = holder {
            self.leave(holder, info_hash, peer_id);
        }
        if let Some(former) = former {
            self.leave(from, info_hash, former);
        }
        let socket = self.sockets.get_mut(&from).expect("`receive` looked");
        socket.peers.insert(info_hash, peer_id);
        self.swarms
            .entry(info_hash)
            .or_default()
            .browsers
            .insert(Browser {
                id: peer_id,
                socket: from,
                announced: now,
                offered: VecDeque::new(),
            });
        self.browsers += 1;
        Ok(())
    }

    /// Ends the part `from` takes in the torrent, if it is that of `peer_id`.
    fn leave(&mut self, from: SocketId, info_hash: InfoHash, peer_id: PeerId) {
        let Some(socket) = self.sockets.get_mut(&from) else {
            return;
        };
        if socket.peers.get(&info_hash) == Some(&peer_id) {
            socket.peers.remove(&info_hash);
            self.remove_browser(info_hash, peer_id);
        }
    }

    pub(super) fn remove_browser(&mut self, info_hash: InfoHash, peer_id: PeerId) {
        let Some(swarm) = self.swarms.get_mut(&info_hash) else {
            return;
        };
        self.browsers -= usize::from(swarm.browsers.remove(peer_id).is_some());
        self.forget_if_blank(&info_hash);
    }

    fn reply(&self, socket: SocketId, info_hash: InfoHash) -> Effect {
        let counts = self.counts(&info_hash);
        let message = ServerMessage::AnnounceReply {
            info_hash,
            interval: self.interval_secs(),
            complete: counts.complete,
            incomplete: counts.incomplete,
            viewers: self.viewers(&info_hash),
        };
        Effect::Send { socket, message }
    }

    fn relay_offers(
        &mut self,
        info_hash: InfoHash,
        peer_id: PeerId,
        mut offers: Vec<Offer>,
        now: Instant,
        rng: &mut impl Rng,
        effects: &mut Vec<Effect>,
    ) {
        let pod_takes = self.takes_offers(&info_hash);
        let Some(swarm) = self.swarms.get_mut(&info_hash).filter(|_| !offers.is_empty()) else {
            return;
        };
        let Some(peer) = swarm.browsers.get_mut(peer_id) else {
            return;
        };
        let Some(address) = self.sockets.get(&peer.socket).map(|socket| socket.address) else {
            return;
        };
        peer.expire_offers(now);
        let room = self.config.max_waiting_offers.saturating_sub(peer.offered.len());
        self.totals.offers_held_back += offers.len().saturating_sub(room) as u64;
        offers.truncate(room);

        let has_all = swarm.browsers.is_seeder(peer_id);
        let pod = (pod_takes && !has_all).then_some(SocketId::POD);
        // One of several goes abroad if there is somebody, so that the viewers of two pods do not remain two swarms.
        let abroad = offers.len() >= OFFERS_TO_SHARE && self.relay.knows(&info_hash, has_all);
        let others = offers
            .len()
            .saturating_sub(usize::from(pod.is_some()) + usize::from(abroad));
        let drawn = swarm.browsers.sample(peer_id, has_all, others, rng);
        let receivers: Vec<SocketId> = pod.into_iter().chain(drawn.map(|peer| peer.socket)).collect();
        let peer = swarm
            .browsers
            .get_mut(peer_id)
            .expect("it was there before the draw");
        let maker = Maker {
            info_hash,
            peer_id,
            socket: peer.socket,
            seeder: has_all,
        };
        let rest = offers.split_off(receivers.len().min(offers.len()));
        let expires = now + self.config.offer_lifetime;
        for (Offer { offer, offer_id }, to) in offers.into_iter().zip(receivers) {
            peer.offered.push_back(Offered {
                id: offer_id,
                to,
                expires,
            });
            effects.push(if to == SocketId::POD {
                Effect::Hand(TakeOffer {
                    info_hash,
                    peer_id,
                    address,
                    offer_id,
                    offer,
                })
            } else {
                Effect::Send {
                    socket: to,
                    message: ServerMessage::Offer {
                        info_hash,
                        peer_id,
                        offer_id,
                        offer,
                    },
                }
            });
            self.totals.offers_relayed += 1;
        }
        if !rest.is_empty() {
            let asks = self.relay.offer(&maker, rest, now, rng);
            effects.extend(asks.into_iter().map(Effect::from));
        }
    }

    fn answer(&mut self, from: SocketId, answer: Answer, now: Instant) -> Result<Vec<Effect>, Refusal> {
        let speaks_as = self
            .sockets
            .get(&from)
            .and_then(|socket| socket.peers.get(&answer.info_hash));
        if speaks_as != Some(&answer.peer_id) {
            return Err(Refusal::NotTakingPart);
        }
        self.relay_answer(from, answer, now).map(|effect| vec![effect])
    }

    /// Hands an answer to the maker of the offer, here or at a friend, if that offer was sent to `from` and waits.
    pub(super) fn relay_answer(
        &mut self,
        from: SocketId,
        answer: Answer,
        now: Instant,
    ) -> Result<Effect, Refusal> {
        let maker = self
            .swarms
            .get_mut(&answer.info_hash)
            .and_then(|swarm| swarm.browsers.get_mut(answer.to_peer_id))
            .and_then(|maker| maker.take_offer(answer.offer_id, from, now).map(|_| maker.socket));
        let Some(socket) = maker else {
            let ask = self.relay.answer(from, &answer, now);
            return ask.map(Effect::from).ok_or(Refusal::NoSuchOffer);
        };
        let Answer {
            info_hash,
            peer_id,
            offer_id,
            answer,
            ..
        } = answer;
        self.totals.answers_relayed += 1;
        let message = ServerMessage::Answer {
            info_hash,
            peer_id,
            offer_id,
            answer,
        };
        Ok(Effect::Send { socket, message })
    }

    fn scrape(&mut self, socket: SocketId, scrape: Scrape) -> Effect {
        self.totals.scrapes += 1;
        let mut info_hashes = scrape.info_hashes;
        info_hashes.sort_unstable();
        info_hashes.dedup();
        let files = info_hashes
            .into_iter()
            .map(|info_hash| (info_hash, self.counts(&info_hash)))
            .collect();
        let message = ServerMessage::ScrapeReply {
            files,
            min_request_interval: self.interval_secs(),
        };
        Effect::Send { socket, message }
    }

    fn interval_secs(&self) -> u32 {
        u32::try_from(self.config.interval.as_secs()).unwrap_or(u32::MAX)
    }
}
