//! Who guesses passwords, and how long they wait for the next try. Pure: time comes in.
//!
//! A wrong password is counted for the address it came from and for the account it was tried on. What an address did makes
//! that address wait and nobody else: the rightful owner of an account comes in from any other address, whatever is going
//! on. What was done to an account makes the rules stricter for everybody who is wrong about it, and delays nobody who was
//! not: so many addresses together get few guesses each.
//!
//! A try is counted as wrong while it is being checked, so that many at once are no way around the wait; one that was right
//! is taken back. To be right about an account forgives nothing else: otherwise somebody with an account of their own could
//! log into it between guesses.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use seedpod_protocol::ids::ContentHash;

use crate::address::counted_as;

/// Logins of one address that are checked, or wait to be, at once. All are few (`passwords.rs`), and nobody takes them all.
pub(crate) const AT_ONCE: u32 = 4;

/// Wrong tries of an address that cost it nothing: people mistype, and a household has one address.
pub(crate) const FREE: u32 = 10;

/// The same where the account has become a target.
const FREE_AT_TARGET: u32 = 3;

/// Wrong tries, from wherever, that make an account a target.
pub(crate) const TARGET: u32 = 50;

/// The wait after the first try that is not free; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The same where the account has become a target.
const FIRST_WAIT_AT_TARGET: Duration = Duration::from_secs(30);

/// The longest wait.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(15 * 60);

/// What is forgotten so long after the last wrong try; longer than any wait.
pub(crate) const MEMORY: Duration = Duration::from_secs(60 * 60);

/// Addresses that are remembered, and accounts. Above it those with the fewest wrong tries are forgotten.
pub(crate) const MAX_REMEMBERED: usize = 8192;

/// What is known of an address.
#[derive(Debug, Clone, Copy)]
struct Origin {
    /// Wrong tries, those that are being checked included.
    wrong: u32,
    /// How many are being checked.
    trying: u32,
    /// No further try before.
    until: Instant,
    last: Instant,
}

/// What is known of an account, or of a name that is none: both are treated alike.
#[derive(Debug, Clone, Copy)]
struct Target {
    wrong: u32,
    last: Instant,
}

/// Why a password is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// This address has enough logins under way.
    Busy,
    /// This address was wrong too often; it may try again after so long.
    Wait(Duration),
}

/// A try that is being checked; it has to be ended.
#[derive(Debug)]
#[must_use]
pub(crate) struct Attempt {
    address: IpAddr,
    account: ContentHash,
    /// The wait it was given beforehand, and takes back: no other.
    until: Instant,
}

/// Wrong tries by address and by account; at most [`MAX_REMEMBERED`] of each.
#[derive(Debug, Default)]
pub(crate) struct Guesses {
    origins: HashMap<IpAddr, Origin>,
    targets: HashMap<ContentHash, Target>,
}

impl Guesses {
    /// Lets somebody try, or says why not. A refusal changes nothing: the wait that was told stays true.
    pub(crate) fn begin(&mut self, from: IpAddr, username: &str, now: Instant) -> Result<Attempt, Refused> {
        let mut attempt = Attempt {
            address: counted_as(from),
            account: ContentHash::of(username.as_bytes()),
            until: now,
        };
        let fresh = Origin {
            wrong: 0,
            trying: 0,
            until: now,
            last: now,
        };
        let mut origin = self.origins.get(&attempt.address).copied().unwrap_or(fresh);
        if origin.trying >= AT_ONCE {
            return Err(Refused::Busy);
        }
        if is_over(origin.last, now) && origin.trying == 0 {
            origin = fresh;
        }
        if origin.until > now {
            return Err(Refused::Wait(origin.until - now));
        }
        origin.wrong = origin.wrong.saturating_add(1);
        origin.trying += 1;
        origin.last = now;
        origin.until = now + self.wait(origin.wrong, &attempt.account, now);
        attempt.until = origin.until;
        if !self.origins.contains_key(&attempt.address) && !self.make_room(now) {
            return Err(Refused::Busy);
        }
        self.origins.insert(attempt.address, origin);
        Ok(attempt)
    }

    /// The password was wrong: whoever tried waits from now on.
    pub(crate) fn wrong(&mut self, attempt: Attempt, now: Instant) {
        let Attempt { address, account, .. } = attempt;
        self.blame(account, now);
        let Some(mut origin) = self.origins.get(&address).copied() else {
            return;
        };
        origin.trying = origin.trying.saturating_sub(1);
        origin.last = now;
        origin.until = origin.until.max(now + self.wait(origin.wrong, &account, now));
        self.origins.insert(address, origin);
    }

    /// The password was right, or nobody looked at it.
    pub(crate) fn take_back(&mut self, attempt: Attempt, now: Instant) {
        let Some(origin) = self.origins.get_mut(&attempt.address) else {
            return;
        };
        origin.trying = origin.trying.saturating_sub(1);
        origin.wrong = origin.wrong.saturating_sub(1);
        if origin.until == attempt.until {
            origin.until = now;
        }
        if origin.wrong == 0 {
            self.origins.remove(&attempt.address);
        }
    }

    fn blame(&mut self, account: ContentHash, now: Instant) {
        let known = self
            .targets
            .get(&account)
            .filter(|target| !is_over(target.last, now));
        let wrong = known.map_or(0, |target| target.wrong).saturating_add(1);
        if !self.targets.contains_key(&account) && self.targets.len() >= MAX_REMEMBERED {
            self.targets.retain(|_, target| !is_over(target.last, now));
            let least = self
                .targets
                .iter()
                .min_by_key(|(_, target)| (target.wrong, target.last));
            let least = least.map(|(account, _)| *account);
            if let Some(least) = least.filter(|_| self.targets.len() >= MAX_REMEMBERED) {
                self.targets.remove(&least);
            }
        }
        self.targets.insert(account, Target { wrong, last: now });
    }

    /// How long an address waits that was wrong so often, the last time about this account.
    fn wait(&self, wrong: u32, account: &ContentHash, now: Instant) -> Duration {
        let target = self.targets.get(account);
        let is_target = target.is_some_and(|target| target.wrong >= TARGET && !is_over(target.last, now));
        let (free, first) = if is_target {
            (FREE_AT_TARGET, FIRST_WAIT_AT_TARGET)
        } else {
            (FREE, FIRST_WAIT)
        };
        if wrong < free {
            return Duration::ZERO;
        }
        let doubled = 1_u32.checked_shl(wrong - free).unwrap_or(u32::MAX);
        first.saturating_mul(doubled).min(MAX_WAIT)
    }

    /// Makes room for one more address; those that are being checked stay. Says whether there is.
    fn make_room(&mut self, now: Instant) -> bool {
        if self.origins.len() < MAX_REMEMBERED {
            return true;
        }
        self.origins
            .retain(|_, origin| origin.trying > 0 || !is_over(origin.last, now));
        if self.origins.len() < MAX_REMEMBERED {
            return true;
        }
        let idle = self.origins.iter().filter(|(_, origin)| origin.trying == 0);
        let least = idle.min_by_key(|(_, origin)| (origin.wrong, origin.last));
        let least = least.map(|(address, _)| *address);
        least.is_some_and(|address| self.origins.remove(&address).is_some())
    }
}

fn is_over(last: Instant, now: Instant) -> bool {
    now.saturating_duration_since(last) >= MEMORY
}

#[cfg(test)]
#[path = "guesses_tests.rs"]
mod tests;
