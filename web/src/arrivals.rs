//! Who registered from where of late: one address brings few people an hour, whatever it is behind. Pure but for its lock;
//! time comes in.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use seedpod_actors::address::counted_as;

/// Registrations of one address within [`SPAN`]: a household, a class with its teacher.
const MAX: usize = 10;
const SPAN: Duration = Duration::from_secs(60 * 60);

/// Addresses that are remembered. Above it nobody registers until one is forgotten: only somebody with thousands of
/// addresses gets there.
const MAX_REMEMBERED: usize = 8192;

/// The registrations of the last hour, by address.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    of: Mutex<HashMap<IpAddr, VecDeque<Instant>>>,
}

impl Arrivals {
    /// Counts a registration that begins, or says how long its address has to wait.
    pub(crate) fn begin(&self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let address = counted_as(from);
        let is_over = |at: &Instant| now.saturating_duration_since(*at) >= SPAN;
        if of.len() >= MAX_REMEMBERED && !of.contains_key(&address) {
            of.retain(|_, times| !times.back().is_none_or(is_over));
            if of.len() >= MAX_REMEMBERED {
                return Err(SPAN);
            }
        }
        let times = of.entry(address).or_default();
        while times.front().is_some_and(is_over) {
            times.pop_front();
        }
        if let Some(first) = times.front().filter(|_| times.len() >= MAX) {
            return Err(SPAN.saturating_sub(now.saturating_duration_since(*first)));
        }
        times.push_back(now);
        Ok(())
    }

    /// Takes back one that came to nothing: a name that is taken costs nobody a place.
    pub(crate) fn take_back(&self, from: IpAddr) {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let address = counted_as(from);
        if let Some(times) = of.get_mut(&address) {
            times.pop_back();
            if times.is_empty() {
                of.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use std::net::Ipv4Addr;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

    #[test]
    fn one_address_brings_so_many_an_hour_and_keeps_nobody_else_out() {
        let arrivals = Arrivals::default();
        let now = Instant::now();
        for _ in 0..MAX {
            arrivals.begin(HOME, now).unwrap();
        }
        let later = now + Duration::from_secs(600);
        assert_eq!(arrivals.begin(HOME, later), Err(SPAN - Duration::from_secs(600)));
        arrivals.begin(ELSEWHERE, later).unwrap();
        arrivals.take_back(HOME);
        arrivals.begin(HOME, later).unwrap();
        arrivals.begin(HOME, now + SPAN).unwrap();
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten() {
        let arrivals = Arrivals::default();
        let now = Instant::now();
        for number in 0..MAX_REMEMBERED {
            let address = Ipv4Addr::from(0x0a00_0000 + u32::try_from(number).unwrap());
            arrivals.begin(address.into(), now).unwrap();
        }
        assert!(arrivals.begin(HOME, now).is_err());
        arrivals.begin(HOME, now + SPAN).unwrap();
        assert_eq!(arrivals.of.lock().unwrap().len(), 1);
    }
}
