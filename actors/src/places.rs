//! Places for connections, requests and downloads: so many in all, so many for one address.
//!
//! Above a limit one is refused at once instead of being left to wait: whoever fills all places must not be able
//! to keep others waiting in a queue. One IPv6 customer has a /64, so that counts as one address. Proxies that the operator
//! trusts speak for many, and are counted in the total alone.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::address::counted_as;

/// How many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub total: usize,
    /// For one IPv4 address or IPv6 /64.
    pub per_address: usize,
}

/// The places; clones share them.
#[derive(Debug, Clone)]
pub struct Places {
    limits: Limits,
    trusted: Arc<[IpAddr]>,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One place, free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    address: Option<IpAddr>,
}

impl Places {
    /// Free places; `trusted` are proxies that speak for many.
    pub fn new(limits: Limits, trusted: &[IpAddr]) -> Self {
        Self {
            limits,
            trusted: trusted.into(),
            taken: Arc::default(),
        }
    }

    /// A place for a connection from this address, if there is one.
    pub fn take(&self, remote: IpAddr) -> Option<Place> {
        let remote = remote.to_canonical();
        let address = (!self.trusted.contains(&remote)).then(|| counted_as(remote));
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.total >= self.limits.total {
            return None;
        }
        if let Some(address) = address {
            let held = taken.by_address.entry(address).or_default();
            if *held >= self.limits.per_address {
                return None;
            }
            *held += 1;
        }
        taken.total += 1;
        Some(Place {
            places: self.clone(),
            address,
        })
    }

    /// Places that are taken, and addresses that hold some.
    #[cfg(test)]
    fn taken(&self) -> (usize, usize) {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        (taken.total, taken.by_address.len())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total -= 1;
        let Some(address) = self.address else { return };
        if let Some(held) = taken.by_address.get_mut(&address) {
            *held -= 1;
            if *held == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn places(total: usize, per_address: usize) -> Places {
        Places::new(Limits { total, per_address }, &["10.0.0.1".parse().unwrap()])
    }

    fn take(places: &Places, address: &str) -> Option<Place> {
        places.take(address.parse().unwrap())
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let places = places(10, 2);
        let held = [take(&places, "192.0.2.1"), take(&places, "192.0.2.1")];
        assert!(held.iter().all(Option::is_some));
        assert!(take(&places, "192.0.2.1").is_none());
        assert!(
            take(&places, "::ffff:192.0.2.1").is_none(),
            "the same address in other clothes"
        );
        assert!(take(&places, "192.0.2.2").is_some());
        drop(held);
        assert!(take(&places, "192.0.2.1").is_some());
        assert_eq!(places.taken(), (0, 0), "places and counts are given back");
    }

    #[test]
    fn a_network_of_one_customer_is_one_address() {
        let places = places(10, 1);
        let _held = take(&places, "2001:db8:1:2::1").unwrap();
        assert!(take(&places, "2001:db8:1:2:ffff::9").is_none());
        assert!(take(&places, "2001:db8:1:3::1").is_some());
    }

    #[test]
    fn the_total_holds_for_everybody() {
        let places = places(3, 1);
        let held: Vec<_> = (0..3).map(|_| take(&places, "10.0.0.1").unwrap()).collect();
        assert!(take(&places, "10.0.0.1").is_none());
        assert!(take(&places, "192.0.2.7").is_none());
        drop(held);
        assert_eq!(places.taken(), (0, 0));
    }
}
