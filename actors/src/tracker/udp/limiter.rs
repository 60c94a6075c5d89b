//! How often an address may ask, counted in a table of fixed size: addresses are a stranger's to invent, memory is ours.
//!
//! Each address has two places in the table, found by a hash that nobody else can compute, and shares each with others. It may ask
//! while either has room, and is counted in both: strangers who ask too often close some places, hardly ever both of somebody
//! else.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::address::counted_as;

/// Places in a table; each has 8 bytes.
const PLACES: usize = 1 << 15;

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the long run. 0 counts as 1.
    pub per_second: u32,
    /// At once, after a pause. 0 counts as 1.
    pub at_once: u32,
}

#[derive(Debug)]
pub(super) struct Limiter {
    /// What one request costs, in nanoseconds.
    cost: u64,
    /// How far a place may be ahead of the clock, in nanoseconds.
    credit: u64,
    /// Until when each place is spoken for, in nanoseconds since `begun`.
    places: Vec<u64>,
    begun: Option<Instant>,
    hasher: RandomState,
}

impl Limiter {
    pub(super) fn new(rate: Rate) -> Self {
        let cost = 1_000_000_000 / u64::from(rate.per_second.max(1));
        Self {
            cost,
            credit: cost * u64::from(rate.at_once.max(1)),
            places: vec![0; PLACES],
            begun: None,
            hasher: RandomState::new(),
        }
    }

    /// Counts a request of this address (an IPv6 customer has at least a /64, which counts as one); whether it may be made.
    pub(super) fn take(&mut self, address: IpAddr, now: Instant) -> bool {
        let begun = *self.begun.get_or_insert(now);
        let now = nanos(now.saturating_duration_since(begun));
        let [first, second] = self.places_of(address);
        let spoken_for = self.places[first].min(self.places[second]).max(now);
        if spoken_for + self.cost > now + self.credit {
            return false;
        }
        for place in [first, second] {
            // A place that strangers have filled is not filled further: it would stay closed to others for longer.
            let until = self.places[place].max(now) + self.cost;
            self.places[place] = until.min(now + self.credit);
        }
        true
    }

    fn places_of(&self, address: IpAddr) -> [usize; 2] {
        let hash = self.hasher.hash_one(counted_as(address));
        [hash, hash >> 32].map(|hash| usize::try_from(hash % PLACES as u64).expect("a small number"))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const RATE: Rate = Rate {
        per_second: 10,
        at_once: 5,
    };

    fn v4(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(number))
    }

    #[test]
    fn an_address_has_its_burst_and_then_its_rate() {
        let mut limiter = Limiter::new(RATE);
        let mut now = Instant::now();
        let taken = |limiter: &mut Limiter, now| (0..100).filter(|_| limiter.take(v4(1), now)).count();
        assert_eq!(taken(&mut limiter, now), 5);
        now += Duration::from_millis(300);
        assert_eq!(taken(&mut limiter, now), 3);
        now += Duration::from_secs(3600);
        assert_eq!(
            taken(&mut limiter, now),
            5,
            "a long pause earns no more than that"
        );
        let mut total = 0;
        for _ in 0..100 {
            now += Duration::from_millis(50);
            total += taken(&mut limiter, now);
        }
        assert_eq!(total, 50);
    }

    #[test]
    fn networks_of_one_customer_are_one_and_others_are_not() {
        let mut limiter = Limiter::new(RATE);
        let now = Instant::now();
        let v6 = |text: &str| text.parse::<IpAddr>().expect("an address");
        for number in 0..5 {
            assert!(limiter.take(v6(&format!("2001:db8::{number}")), now));
        }
        assert!(!limiter.take(v6("2001:db8::ffff:9"), now));
        assert!(limiter.take(v6("2001:db8:0:1::1"), now));
        assert!(limiter.take(v4(1), now));
    }

    #[test]
    fn a_thousand_floods_leave_nearly_everybody_else_alone() {
        let mut limiter = Limiter::new(RATE);
        let now = Instant::now();
        for flood in 0..1000 {
            for _ in 0..100 {
                limiter.take(v4(flood), now);
            }
        }
        let shut_out = (1_000_000..1_010_000).filter(|honest| !limiter.take(v4(*honest), now));
        let shut_out = shut_out.count();
        assert!(shut_out < 200, "{shut_out} of 10,000");
        assert_eq!(
            limiter.places.len(),
            PLACES,
            "and the table is as large as before"
        );
    }
}
