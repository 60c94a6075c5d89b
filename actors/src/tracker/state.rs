//! What is true about sockets, peers and offers. Pure: time and randomness are handed in, sending is an effect.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use rand::Rng;
use seedpod_protocol::ids::{InfoHash, PodId};
use seedpod_protocol::requests::Request;
use seedpod_protocol::tracker::{
    Action, Announce, Answer, ClientMessage, Event, Offer, ParseError, PeerId, Scrape, ServerMessage,
};

use super::messages::{SocketId, SwarmSize, TooMany};
use super::relay::{Ask, Maker, Relay, RelayLimits};
use super::stats::{Refusal, Stats, Totals};
use super::swarm::{Offered, Peer, Swarm};

/// Of so many offers of one announce, one is for friends.
const OFFERS_TO_SHARE: usize = 3;

/// What the tracker serves, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackerConfig {
    /// Whether torrents are served that nobody admitted.
    pub open: bool,
    /// When clients are to announce again.
    pub interval: Duration,
    /// When a peer that did not announce is forgotten, and a socket that said nothing is closed: some intervals.
    pub peer_lifetime: Duration,
    /// How long an offer may be answered. Clients themselves give up after 50 s.
    pub offer_lifetime: Duration,
    /// Most sockets.
    pub max_sockets: usize,
    /// Most sockets of one IPv4 address or IPv6 /64.
    pub max_sockets_per_address: usize,
    /// Most torrents one socket takes part in.
    pub max_torrents_per_socket: usize,
    /// Most peers of one torrent.
    pub max_peers_per_torrent: usize,
    /// Most unanswered offers of one peer. Further ones are not relayed, which also limits how fast a peer can offer.
    pub max_waiting_offers: usize,
    /// How much friends and viewers may use of the relay between pods.
    pub relay: RelayLimits,
}

impl Default for TrackerConfig {
    fn default() -> Self {
        Self {
            open: false,
            interval: Duration::from_secs(120),
            peer_lifetime: Duration::from_secs(300),
            offer_lifetime: Duration::from_secs(60),
            max_sockets: 10_000,
            max_sockets_per_address: 100,
            max_torrents_per_socket: 100,
            max_peers_per_torrent: 5_000,
            max_waiting_offers: 64,
            relay: RelayLimits::default(),
        }
    }
}

/// An order to the shell.
#[derive(Debug)]
pub enum Effect {
    /// Send a message.
    Send {
        /// To whom.
        socket: SocketId,
        /// What.
        message: ServerMessage,
    },
    /// Close a socket; the state has forgotten it already.
    Close {
        /// Which.
        socket: SocketId,
    },
    /// Ask a friend to relay something; see [`Tracker::relay_failed`].
    Ask {
        /// Whom.
        friend: PodId,
        /// What.
        request: Request,
    },
}

impl From<Ask> for Effect {
    fn from(Ask { friend, request }: Ask) -> Self {
        Self::Ask { friend, request }
    }
}

#[derive(Debug)]
struct Socket {
    address: IpAddr,
    heard: Instant,
    /// As whom it takes part in which torrent.
    peers: HashMap<InfoHash, PeerId>,
}

/// All sockets, swarms and admitted torrents.
#[derive(Debug)]
pub struct Tracker {
    config: TrackerConfig,
    sockets: HashMap<SocketId, Socket>,
    sockets_by_address: HashMap<IpAddr, usize>,
    swarms: HashMap<InfoHash, Swarm>,
    admitted: HashSet<InfoHash>,
    next_socket: u64,
    peers: usize,
    totals: Totals,
    relay: Relay,
}

impl Tracker {
    /// A tracker nobody is connected to.
    #[must_use]
    pub fn new(config: TrackerConfig) -> Self {
        Self {
            relay: Relay::new(config.relay.clone()),
            config,
            sockets: HashMap::new(),
            sockets_by_address: HashMap::new(),
            swarms: HashMap::new(),
            admitted: HashSet::new(),
            next_socket: 0,
            peers: 0,
            totals: Totals::default(),
        }
    }

    /// Takes in a socket.
    ///
    /// # Errors
    /// When there are too many, in all or from `address`.
    pub fn connect(&mut self, address: IpAddr, now: Instant) -> Result<SocketId, TooMany> {
        let counted = counted_as(address);
        let of_address = self.sockets_by_address.get(&counted).copied().unwrap_or(0);
        let refusal = if self.sockets.len() >= self.config.max_sockets {
            Some(TooMany::Sockets(self.config.max_sockets))
        } else if of_address >= self.config.max_sockets_per_address {
            Some(TooMany::OfAddress {
                address,
                limit: self.config.max_sockets_per_address,
            })
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.count(Refusal::TooManySockets);
            return Err(refusal);
        }
        let id = SocketId(self.next_socket);
        self.next_socket += 1;
        self.sockets_by_address.insert(counted, of_address + 1);
        self.sockets.insert(
            id,
            Socket {
                address: counted,
                heard: now,
                peers: HashMap::new(),
            },
        );
        Ok(id)
    }

    /// Forgets a socket and its peers. An unknown one is ignored.
    pub fn disconnect(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.remove(&id) else {
            return;
        };
        if let Some(count) = self.sockets_by_address.get_mut(&socket.address) {
            *count -= 1;
            if *count == 0 {
                self.sockets_by_address.remove(&socket.address);
            }
        }
        for (info_hash, peer) in socket.peers {
            self.remove_peer(info_hash, peer);
        }
    }

    /// Forgets a socket that does not read what it is sent.
    pub fn drop_slow(&mut self, id: SocketId) {
        if self.sockets.contains_key(&id) {
            self.totals.slow_sockets += 1;
            self.disconnect(id);
        }
    }

    /// Serves these torrents from now on.
    pub fn admit(&mut self, info_hashes: impl IntoIterator<Item = InfoHash>) {
        self.admitted.extend(info_hashes);
    }

    /// Serves these torrents no more, and forgets their swarms.
    pub fn withdraw(&mut self, info_hashes: impl IntoIterator<Item = InfoHash>) {
        for info_hash in info_hashes {
            self.admitted.remove(&info_hash);
            self.relay.withdraw(&info_hash);
            let Some(swarm) = self.swarms.remove(&info_hash) else {
                continue;
            };
            self.peers -= swarm.len();
            for peer in swarm.peers() {
                if let Some(socket) = self.sockets.get_mut(&peer.socket) {
                    socket.peers.remove(&info_hash);
                }
            }
        }
    }

    /// Handles what a socket said. What an unknown socket says is ignored: it was closed meanwhile.
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

    /// Forgets peers, offers and sockets whose time is over. To be called every some seconds.
    pub fn tick(&mut self, now: Instant) -> Vec<Effect> {
        self.relay.tick(now);
        let lifetime = self.config.peer_lifetime;
        let is_over = |since: Instant| now.saturating_duration_since(since) >= lifetime;
        let mut silent: Vec<SocketId> = self
            .sockets
            .iter()
            .filter(|(_, socket)| is_over(socket.heard))
            .map(|(id, _)| *id)
            .collect();
        silent.sort_unstable();
        for socket in &silent {
            self.disconnect(*socket);
        }

        let mut gone = Vec::new();
        for (info_hash, swarm) in &mut self.swarms {
            for peer in swarm.peers_mut() {
                peer.expire_offers(now);
                if is_over(peer.announced) {
                    gone.push((*info_hash, peer.id, peer.socket));
                }
            }
        }
        for (info_hash, peer, socket) in gone {
            if let Some(socket) = self.sockets.get_mut(&socket) {
                socket.peers.remove(&info_hash);
            }
            self.remove_peer(info_hash, peer);
        }
        silent
            .into_iter()
            .map(|socket| Effect::Close { socket })
            .collect()
    }

    /// The size of one swarm.
    #[must_use]
    pub fn size(&self, info_hash: &InfoHash) -> SwarmSize {
        let counts = self.swarms.get(info_hash).map(Swarm::counts).unwrap_or_default();
        SwarmSize {
            seeders: counts.complete,
            leechers: counts.incomplete,
        }
    }

    /// The figures.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            sockets: self.sockets.len(),
            peers: self.peers,
            swarms: self.swarms.len(),
            totals: self.totals,
            relay: self.relay.stats(),
        }
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
        if !self.config.open && !self.admitted.contains(&info_hash) {
            return Err(Refusal::NotAdmitted);
        }
        if event == Event::Stopped {
            self.leave(from, info_hash, peer_id);
            self.totals.announces += 1;
            return Ok(vec![self.reply(from, info_hash)]);
        }
        self.join(from, info_hash, peer_id, now)?;
        self.totals.announces += 1;
        let swarm = self.swarms.get_mut(&info_hash).expect("`join` made the swarm");
        if event == Event::Completed {
            swarm.complete(peer_id);
        } else {
            swarm.set_seeder(peer_id, left == Some(0));
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
            let peer = swarm.and_then(|swarm| swarm.get_mut(peer_id));
            peer.expect("what a socket takes part as is in the swarm")
                .announced = now;
            return Ok(());
        }

        // A client whose line broke comes back with its id before we notice that the former socket is dead.
        // It is let in from the same address; from another it might be somebody who read the id in an offer.
        let holder = swarm
            .as_deref()
            .and_then(|swarm| swarm.get(peer_id))
            .map(|peer| peer.socket);
        let holder_address = holder
            .and_then(|holder| self.sockets.get(&holder))
            .map(|holder| holder.address);
        if holder_address.is_some_and(|address| address != socket.address) {
            return Err(Refusal::PeerIdTaken);
        }
        if former.is_none() && socket.peers.len() >= self.config.max_torrents_per_socket {
            return Err(Refusal::TooManyTorrents);
        }
        let makes_room = usize::from(former.is_some()) + usize::from(holder.is_some());
        let others = swarm.map_or(0, |swarm| swarm.len()) - makes_room;
        if others >= self.config.max_peers_per_torrent {
            return Err(Refusal::SwarmFull);
        }

        if let Some(holder) = holder {
            self.leave(holder, info_hash, peer_id);
        }
        if let Some(former) = former {
            self.leave(from, info_hash, former);
        }
        let socket = self.sockets.get_mut(&from).expect("`receive` looked");
        socket.peers.insert(info_hash, peer_id);
        let peer = Peer {
            id: peer_id,
            socket: from,
            announced: now,
            offered: VecDeque::new(),
        };
        self.swarms.entry(info_hash).or_default().insert(peer);
        self.peers += 1;
        Ok(())
    }

    /// Ends the part `from` takes in the torrent, if it is that of `peer_id`.
    fn leave(&mut self, from: SocketId, info_hash: InfoHash, peer_id: PeerId) {
        let Some(socket) = self.sockets.get_mut(&from) else {
            return;
        };
        if socket.peers.get(&info_hash) == Some(&peer_id) {
            socket.peers.remove(&info_hash);
            self.remove_peer(info_hash, peer_id);
        }
    }

    fn remove_peer(&mut self, info_hash: InfoHash, peer_id: PeerId) {
        let Some(swarm) = self.swarms.get_mut(&info_hash) else {
            return;
        };
        self.peers -= usize::from(swarm.remove(peer_id).is_some());
        // How often an admitted torrent was completed is worth keeping; strangers must not fill the memory.
        if swarm.is_blank() || (swarm.len() == 0 && !self.admitted.contains(&info_hash)) {
            self.swarms.remove(&info_hash);
        }
    }

    fn reply(&self, socket: SocketId, info_hash: InfoHash) -> Effect {
        let counts = self.swarms.get(&info_hash).map(Swarm::counts).unwrap_or_default();
        let message = ServerMessage::AnnounceReply {
            info_hash,
            interval: self.interval_secs(),
            complete: counts.complete,
            incomplete: counts.incomplete,
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
        let Some(swarm) = self.swarms.get_mut(&info_hash).filter(|_| !offers.is_empty()) else {
            return;
        };
        let Some(peer) = swarm.get_mut(peer_id) else {
            return;
        };
        peer.expire_offers(now);
        let room = self.config.max_waiting_offers.saturating_sub(peer.offered.len());
        self.totals.offers_held_back += offers.len().saturating_sub(room) as u64;
        offers.truncate(room);

        let seeder = swarm.is_seeder(peer_id);
        // One of several goes abroad if there is somebody, so that the viewers of two pods do not remain two swarms.
        let abroad = usize::from(offers.len() >= OFFERS_TO_SHARE && self.relay.knows(&info_hash, seeder));
        let drawn = swarm.draw(peer_id, offers.len() - abroad, rng);
        let peer = swarm.get_mut(peer_id).expect("it was there before the draw");
        let maker = Maker {
            info_hash,
            peer_id,
            socket: peer.socket,
            seeder,
        };
        let expires = now + self.config.offer_lifetime;
        let rest = offers.split_off(drawn.len());
        for (Offer { offer, offer_id }, (_, socket)) in offers.into_iter().zip(drawn) {
            peer.offered.push_back(Offered {
                id: offer_id,
                to: socket,
                expires,
            });
            let message = ServerMessage::Offer {
                info_hash,
                peer_id,
                offer_id,
                offer,
            };
            effects.push(Effect::Send { socket, message });
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
        let maker = self
            .swarms
            .get_mut(&answer.info_hash)
            .and_then(|swarm| swarm.get_mut(answer.to_peer_id))
            .and_then(|maker| maker.take_offer(answer.offer_id, from, now).map(|_| maker.socket));
        let Some(socket) = maker else {
            let ask = self.relay.answer(from, &answer, now);
            return ask.map(|ask| vec![ask.into()]).ok_or(Refusal::NoSuchOffer);
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
        Ok(vec![Effect::Send { socket, message }])
    }

    fn scrape(&mut self, socket: SocketId, scrape: Scrape) -> Effect {
        self.totals.scrapes += 1;
        let mut info_hashes = scrape.info_hashes;
        info_hashes.sort_unstable();
        info_hashes.dedup();
        let counts = |info_hash| self.swarms.get(&info_hash).map(Swarm::counts).unwrap_or_default();
        let files = info_hashes
            .into_iter()
            .map(|info_hash| (info_hash, counts(info_hash)))
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

    fn count(&mut self, refusal: Refusal) {
        self.totals.refused[refusal as usize] += 1;
    }

    /// Panics unless sockets, swarms and counts agree and all limits are kept.
    #[cfg(test)]
    pub(super) fn check(&self) {
        self.relay.check();
        assert!(self.sockets.len() <= self.config.max_sockets);
        let mut by_address = HashMap::new();
        for (id, socket) in &self.sockets {
            *by_address.entry(socket.address).or_insert(0) += 1;
            assert!(id.0 < self.next_socket);
            assert!(socket.peers.len() <= self.config.max_torrents_per_socket);
            for (info_hash, peer) in &socket.peers {
                let peer = self.swarms.get(info_hash).and_then(|swarm| swarm.get(*peer));
                assert_eq!(
                    peer.map(|peer| peer.socket),
                    Some(*id),
                    "a socket's peer is in the swarm, on that socket"
                );
            }
        }
        assert_eq!(by_address, self.sockets_by_address);
        assert!(
            by_address
                .values()
                .all(|count| *count <= self.config.max_sockets_per_address)
        );
        for (info_hash, swarm) in &self.swarms {
            swarm.check();
            assert!(swarm.len() <= self.config.max_peers_per_torrent);
            assert!(
                self.config.open || self.admitted.contains(info_hash),
                "only admitted torrents have swarms"
            );
            assert!(!swarm.is_blank(), "a swarm nobody remembers anything of is gone");
            for peer in swarm.peers() {
                assert_eq!(self.sockets[&peer.socket].peers.get(info_hash), Some(&peer.id));
                assert!(peer.offered.len() <= self.config.max_waiting_offers);
                assert!(
                    peer.offered.iter().all(|offer| offer.to != peer.socket),
                    "nobody is offered to themselves"
                );
            }
        }
        assert_eq!(self.peers, self.swarms.values().map(Swarm::len).sum::<usize>());
        assert_eq!(
            self.peers,
            self.sockets
                .values()
                .map(|socket| socket.peers.len())
                .sum::<usize>()
        );
    }
}

/// What an address is counted as: an IPv6 customer has at least a /64 to take addresses from.
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

mod across;
#[cfg(test)]
mod tests;
