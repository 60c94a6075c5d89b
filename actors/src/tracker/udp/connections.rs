//! Connection ids of BEP 15, without keeping any: each is a keyed hash of the client's address and the present minute, so that the tracker
//! knows its own again, and nobody who does not receive packets at an address can name one.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use seedpod_protocol::tracker::udp::ConnectionId;

/// An id is good for the rest of the window in which it was given and for the next: at least as long as clients use one.
const WINDOW: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Connections {
    secret: [u8; 32],
    begun: Option<Instant>,
}

impl Connections {
    /// Ids under a secret that nobody else knows.
    pub(super) fn new(secret: [u8; 32]) -> Self {
        Self { secret, begun: None }
    }

    /// An id for this address.
    pub(super) fn give(&mut self, address: IpAddr, now: Instant) -> ConnectionId {
        let window = self.window(now);
        self.id(address, window)
    }

    /// Whether this address was given that id not long ago.
    pub(super) fn knows(&mut self, id: ConnectionId, address: IpAddr, now: Instant) -> bool {
        let window = self.window(now);
        id == self.id(address, window) || window > 0 && id == self.id(address, window - 1)
    }

    fn window(&mut self, now: Instant) -> u64 {
        let begun = *self.begun.get_or_insert(now);
        now.saturating_duration_since(begun).as_secs() / WINDOW.as_secs()
    }

    fn id(&self, address: IpAddr, window: u64) -> ConnectionId {
        let mut input = [0; 24];
        let address = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        input[..16].copy_from_slice(&address.octets());
        input[16..].copy_from_slice(&window.to_be_bytes());
        let hash = blake3::keyed_hash(&self.secret, &input);
        *hash
            .as_bytes()
            .first_chunk()
            .expect("a hash is longer than an id")
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn an_id_is_good_for_its_address_and_for_one_to_two_minutes() {
        let begun = Instant::now();
        let later = |secs| begun + Duration::from_secs(secs);
        let mut connections = Connections::new([7; 32]);
        let early = connections.give(HERE, begun);
        let late = connections.give(HERE, later(59));
        assert_eq!(early, late, "one window");
        assert!(connections.knows(early, HERE, later(119)));
        assert!(!connections.knows(early, HERE, later(120)));
        let next = connections.give(HERE, later(60));
        assert_ne!(early, next);
        assert!(!connections.knows(next, HERE, begun), "nor before its time");
        let there = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
        assert!(!connections.knows(early, there, begun));
        let mapped = IpAddr::V6(Ipv6Addr::from_bits(0x0001_c000_0201));
        assert!(!connections.knows(early, mapped, begun));
    }

    #[test]
    fn ids_depend_on_the_secret() {
        let now = Instant::now();
        let id = Connections::new([1; 32]).give(HERE, now);
        assert!(!Connections::new([2; 32]).knows(id, HERE, now));
    }
}
