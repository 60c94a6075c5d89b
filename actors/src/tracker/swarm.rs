//! Everybody in one torrent: browsers, which meet by offers and answers, and BitTorrent clients, which are told addresses.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::Instant;

use rand::Rng;
use seedpod_protocol::tracker::{OfferId, PeerId, SwarmCounts};

use super::messages::SocketId;
use super::stand::{Stand, Standing};

/// A peer on a WebSocket.
#[derive(Debug)]
pub(super) struct Browser {
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

impl Standing for Browser {
    type Key = PeerId;

    fn key(&self) -> PeerId {
        self.id
    }
}

impl Browser {
    /// Forgets offers nobody can answer any more.
    pub(super) fn expire_offers(&mut self, now: Instant) {
        while self.offered.front().is_some_and(|offer| offer.expires <= now) {
            self.offered.pop_front();
        }
        if self.offered.is_empty() {
            // Thousands of browsers that wait for nothing should not keep room for what they once waited for.
            self.offered = VecDeque::new();
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

/// A peer that listens on a TCP port, known by its address: others cannot speak for it, whatever peer id they claim.
#[derive(Debug)]
pub(super) struct Client<A> {
    pub(super) address: A,
    pub(super) id: PeerId,
    pub(super) announced: Instant,
}

impl Standing for Client<SocketAddrV4> {
    type Key = SocketAddrV4;

    fn key(&self) -> SocketAddrV4 {
        self.address
    }
}

impl Standing for Client<SocketAddrV6> {
    type Key = SocketAddrV6;

    fn key(&self) -> SocketAddrV6 {
        self.address
    }
}

/// A client as another one is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// What it calls itself.
    pub id: PeerId,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Which addresses somebody can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
    /// Both.
    Any,
}

impl Family {
    pub(super) fn takes(self, address: IpAddr) -> bool {
        match self {
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
            Self::Any => true,
        }
    }
}

/// The peers of one torrent.
#[derive(Debug, Default)]
pub(super) struct Swarm {
    pub(super) browsers: Stand<Browser>,
    v4: Stand<Client<SocketAddrV4>>,
    v6: Stand<Client<SocketAddrV6>>,
    downloaded: u32,
}

impl Swarm {
    pub(super) fn len(&self) -> usize {
        self.browsers.len() + self.clients()
    }

    /// How many BitTorrent clients there are.
    pub(super) fn clients(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether nothing would be lost with this swarm.
    pub(super) fn is_blank(&self) -> bool {
        self.len() == 0 && self.downloaded == 0
    }

    pub(super) fn counts(&self) -> SwarmCounts {
        let count = |peers: usize| u32::try_from(peers).unwrap_or(u32::MAX);
        SwarmCounts {
            complete: count(self.browsers.seeders() + self.v4.seeders() + self.v6.seeders()),
            incomplete: count(self.browsers.leechers() + self.v4.leechers() + self.v6.leechers()),
            downloaded: self.downloaded,
        }
    }

    /// How many browsers there are.
    pub(super) fn viewers(&self) -> u32 {
        u32::try_from(self.browsers.len()).unwrap_or(u32::MAX)
    }

    /// Marks a browser as one that has finished, and counts it if it had not.
    pub(super) fn complete(&mut self, id: PeerId) {
        let finished = self.browsers.set_seeder(id, true);
        self.downloaded = self.downloaded.saturating_add(u32::from(finished));
    }

    /// Notes that a client is there, as of `now`. Whether it is new.
    pub(super) fn note_client(&mut self, address: SocketAddr, id: PeerId, now: Instant) -> bool {
        fn note<A>(stand: &mut Stand<Client<A>>, address: A, id: PeerId, announced: Instant) -> bool
        where
            Client<A>: Standing<Key = A>,
            A: Copy,
        {
            match stand.get_mut(address) {
                Some(client) => {
                    (client.id, client.announced) = (id, announced);
                    false
                }
                None => {
                    stand.insert(Client {
                        address,
                        id,
                        announced,
                    });
                    true
                }
            }
        }
        match address {
            SocketAddr::V4(address) => note(&mut self.v4, address, id, now),
            SocketAddr::V6(address) => note(&mut self.v6, address, id, now),
        }
    }

    pub(super) fn has_client(&self, address: SocketAddr) -> bool {
        match address {
            SocketAddr::V4(address) => self.v4.get(address).is_some(),
            SocketAddr::V6(address) => self.v6.get(address).is_some(),
        }
    }

    /// How many clients of this torrent an address has; looks at all of them.
    pub(super) fn clients_of(&self, counts: impl Fn(IpAddr) -> bool) -> usize {
        self.client_addresses()
            .filter(|address| counts(address.ip()))
            .count()
    }

    pub(super) fn client_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let v4 = self.v4.peers().map(|client| SocketAddr::V4(client.address));
        v4.chain(self.v6.peers().map(|client| SocketAddr::V6(client.address)))
    }

    /// Clients that announced at some such time, to be removed.
    pub(super) fn clients_since(&self, is_over: impl Fn(Instant) -> bool) -> Vec<SocketAddr> {
        let v4 = self
            .v4
            .peers()
            .map(|client| (client.announced, SocketAddr::V4(client.address)));
        let v6 = self
            .v6
            .peers()
            .map(|client| (client.announced, SocketAddr::V6(client.address)));
        v4.chain(v6)
            .filter(|(announced, _)| is_over(*announced))
            .map(|(_, address)| address)
            .collect()
    }

    /// Marks a client as one that has everything or not; `finished` says that it has just come to have it, which is counted.
    pub(super) fn set_client(&mut self, address: SocketAddr, seeder: bool, finished: bool) {
        let changed = match address {
            SocketAddr::V4(address) => self.v4.set_seeder(address, seeder),
            SocketAddr::V6(address) => self.v6.set_seeder(address, seeder),
        };
        self.downloaded = self
            .downloaded
            .saturating_add(u32::from(changed && seeder && finished));
    }

    /// Removes a client; whether it was there.
    pub(super) fn remove_client(&mut self, address: SocketAddr) -> bool {
        match address {
            SocketAddr::V4(address) => self.v4.remove(address).is_some(),
            SocketAddr::V6(address) => self.v6.remove(address).is_some(),
        }
    }

    /// Draws clients for one at `asker`, at most `most` together with those in `found` already: others only, for one that has
    /// everything leechers only.
    pub(super) fn draw_clients(
        &self,
        asker: SocketAddr,
        has_all: bool,
        family: Family,
        most: usize,
        found: &mut Vec<Found>,
        rng: &mut impl Rng,
    ) {
        // A key that is nobody's, where the asker is of the other family: there is no port 0 in a swarm.
        let v4 = match asker {
            SocketAddr::V4(asker) => asker,
            SocketAddr::V6(_) => SocketAddrV4::new(std::net::Ipv4Addr::UNSPECIFIED, 0),
        };
        let v6 = match asker {
            SocketAddr::V6(asker) => asker,
            SocketAddr::V4(_) => SocketAddrV6::new(std::net::Ipv6Addr::UNSPECIFIED, 0, 0, 0),
        };
        let draw_v4 = |found: &mut Vec<Found>, rng: &mut _| {
            let room = most.saturating_sub(found.len());
            found.extend(self.v4.stride(v4, has_all, room, rng).map(|client| Found {
                id: client.id,
                address: SocketAddr::V4(client.address),
            }));
        };
        let draw_v6 = |found: &mut Vec<Found>, rng: &mut _| {
            let room = most.saturating_sub(found.len());
            found.extend(self.v6.stride(v6, has_all, room, rng).map(|client| Found {
                id: client.id,
                address: SocketAddr::V6(client.address),
            }));
        };
        match family {
            Family::V4 => draw_v4(found, rng),
            Family::V6 => draw_v6(found, rng),
            // First those it surely can reach.
            Family::Any if asker.is_ipv4() => {
                draw_v4(found, rng);
                draw_v6(found, rng);
            }
            Family::Any => {
                draw_v6(found, rng);
                draw_v4(found, rng);
            }
        }
    }

    /// Panics unless the parts agree with each other.
    #[cfg(test)]
    pub(super) fn check(&self) {
        self.browsers.check();
        self.v4.check();
        self.v6.check();
        for browser in self.browsers.peers() {
            assert!(browser.offered.iter().is_sorted_by_key(|offer| offer.expires));
        }
    }
}
