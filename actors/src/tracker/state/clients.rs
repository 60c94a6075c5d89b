//! What comes by HTTP and UDP: BitTorrent clients that listen on a TCP port, and are told of each other.
//!
//! A client is known by the address it was seen at and the port it names, so nobody can speak for another. Browsers are counted and
//! never told to clients, nor clients to browsers: they could not connect.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use rand::Rng;
use seedpod_protocol::ids::InfoHash;
use seedpod_protocol::tracker::{Event, SwarmCounts};

use super::super::messages::{AnnounceClient, ClientReply};
use super::super::stats::Refusal;
use super::super::swarm::Swarm;
use super::Tracker;
use crate::address::counted_as;

impl Tracker {
    /// Takes in what a client says of itself, and tells it of others.
    ///
    /// # Errors
    /// When the torrent is not served, or there are too many peers, in all, in it or of that address. It is counted.
    pub fn announce_client(
        &mut self,
        announce: &AnnounceClient,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Result<ClientReply, Refusal> {
        let outcome = self.try_announce_client(announce, now, rng);
        match &outcome {
            Ok(_) => self.totals.announces[announce.way as usize] += 1,
            Err(refusal) => self.count(*refusal),
        }
        outcome
    }

    fn try_announce_client(
        &mut self,
        announce: &AnnounceClient,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Result<ClientReply, Refusal> {
        let info_hash = announce.info_hash;
        if !self.serves(&info_hash) {
            return Err(Refusal::NotAdmitted);
        }
        let address = plain(announce.address);
        let stops = announce.event == Event::Stopped;
        let has_all = announce.left == Some(0) || announce.event == Event::Completed;
        if stops {
            self.remove_client(info_hash, address);
        } else if address.port() != 0 {
            self.note_client(announce, address, now)?;
            if let Some(swarm) = self.swarms.get_mut(&info_hash) {
                swarm.set_client(address, has_all, announce.event == Event::Completed);
            }
        }

        let mut peers = Vec::new();
        let most = announce.wanted.min(self.config.max_answer);
        if !stops && most > 0 {
            if !has_all {
                self.find_pod(&info_hash, announce.family, most, &mut peers);
            }
            if let Some(swarm) = self.swarms.get(&info_hash) {
                swarm.draw_clients(address, has_all, announce.family, most, &mut peers, rng);
            }
        }
        Ok(ClientReply {
            counts: self.counts(&info_hash),
            interval: secs(self.config.client_interval),
            min_interval: secs(self.config.client_min_interval),
            peers,
        })
    }

    /// The sizes of swarms, in the order in which they were asked for.
    pub fn scrape_clients(&mut self, info_hashes: &[InfoHash]) -> Vec<SwarmCounts> {
        self.totals.scrapes += 1;
        info_hashes
            .iter()
            .map(|info_hash| self.counts(info_hash))
            .collect()
    }

    fn note_client(
        &mut self,
        announce: &AnnounceClient,
        address: SocketAddr,
        now: Instant,
    ) -> Result<(), Refusal> {
        let info_hash = announce.info_hash;
        let is_known = |swarm: &Swarm| swarm.has_client(address);
        if !self.swarms.get(&info_hash).is_some_and(is_known) {
            self.check_address(&info_hash, address.ip())?;
            self.has_room(&info_hash, 0)?;
        }
        let swarm = self.swarms.entry(info_hash).or_default();
        if swarm.note_client(address, announce.peer_id, now) {
            *self
                .clients_by_address
                .entry(counted_as(address.ip()))
                .or_default() += 1;
            self.clients += 1;
        }
        Ok(())
    }

    /// Whether an address may have one more client, in all and in a torrent.
    fn check_address(&self, info_hash: &InfoHash, address: IpAddr) -> Result<(), Refusal> {
        let counted = counted_as(address);
        let of_address = self.clients_by_address.get(&counted).copied().unwrap_or(0);
        if of_address >= self.config.max_clients_per_address {
            return Err(Refusal::TooManyOfAddress);
        }
        // An address with few clients in all cannot have too many in one torrent: most often nothing has to be counted.
        let most = self.config.max_clients_per_address_and_torrent;
        let in_torrent = |swarm: &Swarm| swarm.clients_of(|other| counted_as(other) == counted);
        if of_address >= most && self.swarms.get(info_hash).map_or(0, in_torrent) >= most {
            return Err(Refusal::TooManyOfAddress);
        }
        Ok(())
    }

    pub(super) fn remove_client(&mut self, info_hash: InfoHash, address: SocketAddr) {
        let Some(swarm) = self.swarms.get_mut(&info_hash) else {
            return;
        };
        if swarm.remove_client(address) {
            self.uncount_client(address.ip());
            self.forget_if_blank(&info_hash);
        }
    }

    /// A client of this address is in no swarm any more.
    pub(super) fn uncount_client(&mut self, address: IpAddr) {
        self.clients -= 1;
        let counted = counted_as(address);
        if let Some(count) = self.clients_by_address.get_mut(&counted) {
            *count -= 1;
            if *count == 0 {
                self.clients_by_address.remove(&counted);
            }
        }
    }

    /// Panics unless clients and their counts agree and all limits are kept.
    #[cfg(test)]
    pub(super) fn check_clients(&self) {
        use std::collections::HashMap;

        let mut by_address: HashMap<IpAddr, usize> = HashMap::new();
        for swarm in self.swarms.values() {
            let mut in_torrent: HashMap<IpAddr, usize> = HashMap::new();
            for address in swarm.client_addresses() {
                assert_ne!(address.port(), 0, "nobody is told of port 0");
                *by_address.entry(counted_as(address.ip())).or_default() += 1;
                *in_torrent.entry(counted_as(address.ip())).or_default() += 1;
            }
            let most = self.config.max_clients_per_address_and_torrent;
            assert!(in_torrent.values().all(|count| *count <= most));
        }
        assert_eq!(by_address, self.clients_by_address);
        let most = self.config.max_clients_per_address;
        assert!(by_address.values().all(|count| *count <= most));
        assert_eq!(by_address.values().sum::<usize>(), self.clients);
    }
}

/// An address in the only form in which it is kept: IPv4 as such, IPv6 without what means something on one machine alone.
fn plain(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(IpAddr::V4(ip), address.port()),
        IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, address.port(), 0, 0)),
    }
}

fn secs(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
