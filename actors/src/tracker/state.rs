//! What is true about sockets, peers and offers. Pure: time and randomness are handed in, sending is an effect.
//!
//! Here are sockets, swarms, and who is forgotten when; [`browsers`] has what a socket says, [`clients`] what comes by HTTP and
//! UDP, [`pod`] this pod's own part as a seeder, [`across`] what is done with friends.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use seedpod_protocol::ids::{InfoHash, PodId};
use seedpod_protocol::requests::Request;
use seedpod_protocol::tracker::{PeerId, ServerMessage, SwarmCounts};

use self::pod::Pod;
use super::messages::{SocketId, SwarmSize, TakeOffer, TooMany};
use super::relay::{Ask, Relay, RelayLimits};
use super::stats::{Refusal, Stats, Totals};
use super::swarm::Swarm;
use crate::address::counted_as;

mod across;
mod browsers;
mod clients;
mod pod;

/// What the tracker serves, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackerConfig {
    /// Whether torrents are served that nobody admitted.
    pub open: bool,
    /// When browsers are to announce again.
    pub interval: Duration,
    /// When a browser that did not announce is forgotten, and a socket that said nothing is closed: some intervals.
    pub peer_lifetime: Duration,
    /// When BitTorrent clients are to announce again.
    pub client_interval: Duration,
    /// When they may at the earliest.
    pub client_min_interval: Duration,
    /// When a BitTorrent client that did not announce is forgotten.
    pub client_lifetime: Duration,
    /// How long an offer may be answered. Browsers themselves give up after 50 s.
    pub offer_lifetime: Duration,
    /// Most sockets.
    pub max_sockets: usize,
    /// Most sockets of one IPv4 address or IPv6 /64.
    pub max_sockets_per_address: usize,
    /// Most torrents one socket takes part in.
    pub max_torrents_per_socket: usize,
    /// With so many torrents that have peers no further one begins, unless it was admitted.
    pub max_torrents: usize,
    /// Most peers of one torrent.
    pub max_peers_per_torrent: usize,
    /// Most peers of all torrents.
    pub max_peers: usize,
    /// Most BitTorrent clients of one IPv4 address or IPv6 /64, each counted once for each torrent.
    pub max_clients_per_address: usize,
    /// Most BitTorrent clients of one IPv4 address or IPv6 /64 in one torrent.
    pub max_clients_per_address_and_torrent: usize,
    /// Most addresses one BitTorrent client is told at once.
    pub max_answer: usize,
    /// Most unanswered offers of one browser. Further ones are not relayed, which also limits how fast a browser can offer.
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
            client_interval: Duration::from_secs(600),
            client_min_interval: Duration::from_secs(60),
            client_lifetime: Duration::from_secs(1500),
            offer_lifetime: Duration::from_secs(60),
            max_sockets: 10_000,
            max_sockets_per_address: 100,
            max_torrents_per_socket: 100,
            max_torrents: 50_000,
            max_peers_per_torrent: 5_000,
            max_peers: 200_000,
            max_clients_per_address: 4_096,
            max_clients_per_address_and_torrent: 16,
            max_answer: 100,
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
    /// Hand an offer to this pod's own seeder.
    Hand(TakeOffer),
    /// Ask a friend to relay something; see [`Tracker::relay_failed`].
    Ask {
        /// Whom.
        friend: PodId,
        /// What.
        request: Request,
    },
    /// Close a socket; the state has forgotten it already.
    Close {
        /// Which.
        socket: SocketId,
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
    clients_by_address: HashMap<IpAddr, usize>,
    swarms: HashMap<InfoHash, Swarm>,
    admitted: HashSet<InfoHash>,
    pod: Pod,
    next_socket: u64,
    browsers: usize,
    clients: usize,
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
            clients_by_address: HashMap::new(),
            swarms: HashMap::new(),
            admitted: HashSet::new(),
            pod: Pod::default(),
            next_socket: SocketId::POD.0 + 1,
            browsers: 0,
            clients: 0,
            totals: Totals::default(),
        }
    }

    /// A tracker nobody is connected to, in the place of this one: what was counted and this pod's own part remain, and numbers of
    /// sockets are not used again. What it admits has to be said anew.
    #[must_use]
    pub fn renewed(&mut self) -> Self {
        Self {
            pod: std::mem::take(&mut self.pod),
            next_socket: self.next_socket,
            totals: self.totals,
            relay: self.relay.renewed(),
            ..Self::new(self.config.clone())
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
            self.remove_browser(info_hash, peer);
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
            self.browsers -= swarm.browsers.len();
            for browser in swarm.browsers.peers() {
                if let Some(socket) = self.sockets.get_mut(&browser.socket) {
                    socket.peers.remove(&info_hash);
                }
            }
            for address in swarm.client_addresses() {
                self.uncount_client(address.ip());
            }
        }
    }

    /// Forgets peers, offers and sockets whose time is over. To be called every some seconds.
    pub fn tick(&mut self, now: Instant) -> Vec<Effect> {
        self.relay.tick(now);
        let (lifetime, client_lifetime) = (self.config.peer_lifetime, self.config.client_lifetime);
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

        let (mut browsers, mut clients) = (Vec::new(), Vec::new());
        for (info_hash, swarm) in &mut self.swarms {
            for browser in swarm.browsers.peers_mut() {
                browser.expire_offers(now);
                if is_over(browser.announced) {
                    browsers.push((*info_hash, browser.id, browser.socket));
                }
            }
            let gone = swarm.clients_since(|since| now.saturating_duration_since(since) >= client_lifetime);
            clients.extend(gone.into_iter().map(|address| (*info_hash, address)));
        }
        for (info_hash, peer, socket) in browsers {
            if let Some(socket) = self.sockets.get_mut(&socket) {
                socket.peers.remove(&info_hash);
            }
            self.remove_browser(info_hash, peer);
        }
        for (info_hash, address) in clients {
            self.remove_client(info_hash, address);
        }
        silent
            .into_iter()
            .map(|socket| Effect::Close { socket })
            .collect()
    }

    /// The size of one swarm, this pod's own seeder included.
    #[must_use]
    pub fn counts(&self, info_hash: &InfoHash) -> SwarmCounts {
        let mut counts = self.swarms.get(info_hash).map(Swarm::counts).unwrap_or_default();
        let here = self.seeds(info_hash);
        counts.complete = counts.complete.saturating_add(u32::from(here));
        counts
    }

    /// Peers of the torrent that came over WebSocket.
    pub(super) fn viewers(&self, info_hash: &InfoHash) -> u32 {
        self.swarms.get(info_hash).map_or(0, Swarm::viewers)
    }

    /// The same, with how many of them watch, without the number of downloads.
    #[must_use]
    pub fn size(&self, info_hash: &InfoHash) -> SwarmSize {
        let counts = self.counts(info_hash);
        SwarmSize {
            seeders: counts.complete,
            leechers: counts.incomplete,
            viewers: self.viewers(info_hash),
        }
    }

    /// The figures.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            sockets: self.sockets.len(),
            peers: self.browsers,
            clients: self.clients,
            swarms: self.swarms.len(),
            totals: self.totals,
            relay: self.relay.stats(),
        }
    }

    /// Counts something that was refused before it came here.
    pub fn count(&mut self, refusal: Refusal) {
        self.totals.refused[refusal as usize] += 1;
    }

    /// Counts an offer that this pod's seeder was too busy to take.
    pub fn count_lost_offer(&mut self) {
        self.totals.offers_lost += 1;
    }

    /// Counts something that was not sent to a friend, because too much was on its way.
    pub fn count_left_out(&mut self) {
        self.totals.relays_left_out += 1;
    }

    fn serves(&self, info_hash: &InfoHash) -> bool {
        self.config.open || self.admitted.contains(info_hash)
    }

    /// Whether a torrent may have one peer more, `makes_room` being how many would go for it.
    fn has_room(&self, info_hash: &InfoHash, makes_room: usize) -> Result<(), Refusal> {
        let swarm = self.swarms.get(info_hash);
        if swarm.map_or(0, Swarm::len) - makes_room >= self.config.max_peers_per_torrent {
            return Err(Refusal::SwarmFull);
        }
        let is_new = swarm.is_none() && !self.admitted.contains(info_hash);
        let torrents_full = is_new && self.swarms.len() >= self.config.max_torrents;
        if torrents_full || self.browsers + self.clients - makes_room >= self.config.max_peers {
            return Err(Refusal::TrackerFull);
        }
        Ok(())
    }

    /// Lets go of a swarm that nobody would miss. How often an admitted torrent was completed is worth keeping; strangers must not fill
    /// the memory.
    fn forget_if_blank(&mut self, info_hash: &InfoHash) {
        let goes =
            |swarm: &Swarm| swarm.is_blank() || (swarm.len() == 0 && !self.admitted.contains(info_hash));
        if self.swarms.get(info_hash).is_some_and(goes) {
            self.swarms.remove(info_hash);
        }
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
                let peer = self
                    .swarms
                    .get(info_hash)
                    .and_then(|swarm| swarm.browsers.get(*peer));
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
            for peer in swarm.browsers.peers() {
                assert_eq!(self.sockets[&peer.socket].peers.get(info_hash), Some(&peer.id));
                assert!(peer.offered.len() <= self.config.max_waiting_offers);
                assert!(
                    peer.offered.iter().all(|offer| offer.to != peer.socket),
                    "nobody is offered to themselves"
                );
            }
        }
        let strangers = self
            .swarms
            .keys()
            .filter(|info_hash| !self.admitted.contains(*info_hash));
        assert!(strangers.count() <= self.config.max_torrents);
        assert!(self.browsers + self.clients <= self.config.max_peers);
        self.check_clients();
        let browsers = self.swarms.values().map(|swarm| swarm.browsers.len());
        assert_eq!(self.browsers, browsers.sum::<usize>());
        assert_eq!(
            self.browsers,
            self.sockets
                .values()
                .map(|socket| socket.peers.len())
                .sum::<usize>()
        );
    }
}

#[cfg(test)]
mod tests;
