//! Who keeps how many bytes of video, counted to the byte while uploads race each other.
//!
//! Every byte that is kept or on its way here is held by a [`Charge`], and a charge that is dropped gives its bytes back:
//! the file it paid for is gone. So the sum of what somebody keeps and what is arriving never exceeds their quota, and
//! nothing has to remember to give back.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes by owner; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Quotas {
    used: Arc<Mutex<HashMap<Arc<str>, u64>>>,
}

/// More bytes than an owner's quota holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a video of {size} bytes does not fit the quota of {quota} bytes, of which {used} are used")]
pub struct OverQuota {
    /// The size of the video as far as it is known, in bytes.
    pub size: u64,
    /// What the owner keeps and is adding beside it, in bytes.
    pub used: u64,
    /// What the owner may keep, in bytes.
    pub quota: u64,
}

/// Bytes of one owner, given back when this is dropped.
pub struct Charge {
    quotas: Quotas,
    owner: Arc<str>,
    bytes: u64,
    quota: Option<u64>,
}

impl Quotas {
    /// How many bytes somebody keeps or is adding.
    pub fn used(&self, owner: &str) -> u64 {
        self.lock().get(owner).copied().unwrap_or(0)
    }

    /// Whether so many more bytes would fit a quota now, if some that are used made way.
    ///
    /// # Errors
    /// When they would not.
    pub fn check(&self, owner: &str, quota: Option<u64>, bytes: u64, idle: u64) -> Result<(), OverQuota> {
        fits(self.used(owner).saturating_sub(idle), bytes, quota)
    }

    /// Takes bytes for an upload that may grow.
    ///
    /// # Errors
    /// When they do not fit; nothing is taken then.
    pub fn reserve(&self, owner: &str, quota: Option<u64>, bytes: u64) -> Result<Charge, OverQuota> {
        let mut charge = self.charge(owner, 0);
        charge.quota = quota;
        charge.resize(bytes)?;
        Ok(charge)
    }

    /// Takes bytes that are there already, whatever the quota says.
    pub(super) fn charge(&self, owner: &str, bytes: u64) -> Charge {
        let mut used = self.lock();
        let owner = used
            .get_key_value(owner)
            .map_or_else(|| owner.into(), |(known, _)| Arc::clone(known));
        let sum = used.entry(Arc::clone(&owner)).or_default();
        *sum = sum.saturating_add(bytes);
        Charge {
            quotas: self.clone(),
            owner,
            bytes,
            quota: None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, u64>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Charge {
    /// Whose bytes these are.
    pub fn owner(&self) -> &Arc<str> {
        &self.owner
    }

    /// How many.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// From now on these are bytes of a file that is kept, which no quota throws away.
    pub(super) fn settle(&mut self, bytes: u64) {
        self.quota = None;
        // Without a quota nothing is refused.
        self.resize(bytes).ok();
    }

    /// Takes more, or gives some back.
    ///
    /// # Errors
    /// When more do not fit; nothing changes then.
    pub fn resize(&mut self, bytes: u64) -> Result<(), OverQuota> {
        let mut used = self.quotas.lock();
        let sum = used.entry(Arc::clone(&self.owner)).or_default();
        let others = sum.saturating_sub(self.bytes);
        if bytes > self.bytes {
            fits(others, bytes, self.quota)?;
        }
        *sum = others.saturating_add(bytes);
        self.bytes = bytes;
        Ok(())
    }
}

fn fits(used: u64, size: u64, quota: Option<u64>) -> Result<(), OverQuota> {
    match quota {
        Some(quota) if used.saturating_add(size) > quota => Err(OverQuota { size, used, quota }),
        _ => Ok(()),
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut used = self.quotas.lock();
        if let Some(sum) = used.get_mut(&self.owner) {
            *sum = sum.saturating_sub(self.bytes);
            // The last who names an owner beside the table and this charge is gone: nobody would ask for a zero.
            if *sum == 0 && Arc::strong_count(&self.owner) <= 2 {
                used.remove(&self.owner);
            }
        }
    }
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charge")
            .field("owner", &self.owner)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

    use super::*;

    #[test]
    fn a_quota_holds_to_the_byte_and_what_is_dropped_is_given_back() {
        let quotas = Quotas::default();
        let kept = quotas.charge("ann", 600);
        let mut first = quotas.reserve("ann", Some(1000), 0).unwrap();
        first.resize(399).unwrap();
        let refused = first.resize(401).unwrap_err();
        assert_eq!(
            refused,
            OverQuota {
                size: 401,
                used: 600,
                quota: 1000
            }
        );
        assert_eq!((first.bytes(), quotas.used("ann")), (399, 999));
        let second = quotas.reserve("ann", Some(1000), 1).unwrap();
        assert!(quotas.reserve("ann", Some(1000), 1).is_err());
        assert!(
            quotas.check("bob", Some(1000), 1000, 0).is_ok(),
            "quotas are each for one"
        );
        drop(first);
        assert_eq!(quotas.used("ann"), 601);
        drop((kept, second));
        assert!(quotas.lock().is_empty(), "nobody is remembered for nothing");
    }

    #[test]
    fn a_quota_that_shrank_below_what_is_kept_still_lets_a_charge_shrink() {
        let quotas = Quotas::default();
        let mut mine = quotas.reserve("ann", Some(1000), 900).unwrap();
        let _more = quotas.charge("ann", 900);
        mine.resize(800).unwrap();
        assert!(mine.resize(801).is_err());
        assert!(
            quotas.reserve("ann", Some(u64::MAX - 1), u64::MAX).is_err(),
            "sums saturate"
        );
    }

    #[test]
    fn racing_uploads_never_exceed_a_quota_together() {
        let (quotas, quota) = (Quotas::default(), 100_000);
        let charges: Vec<Charge> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..16)
                .map(|_| {
                    scope.spawn(|| {
                        let mut charge = quotas.reserve("ann", Some(quota), 0).unwrap();
                        while charge.resize(charge.bytes() + 7).is_ok() {
                            assert!(quotas.used("ann") <= quota);
                        }
                        charge
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        let sum: u64 = charges.iter().map(Charge::bytes).sum();
        assert_eq!(sum, quotas.used("ann"));
        assert!((quota - 6..=quota).contains(&sum), "{sum}");
    }
}
