//! Who writes an upload now: each keeps a thread for as long as bytes arrive, however slowly, and threads are few.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many uploads arrive at once; well below the runtime's 512 blocking threads, which the rest of the pod needs too.
pub const MAX_ARRIVING: usize = 64;

/// How many of them may be one user's.
pub const MAX_ARRIVING_PER_USER: usize = 8;

/// Too many uploads arrive already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// Those of one user.
    #[error(
        "at most {MAX_ARRIVING_PER_USER} uploads of one user are taken at once; try again when one has ended"
    )]
    User,
    /// Those of all users.
    #[error("at most {MAX_ARRIVING} uploads are taken at once; try again in a moment")]
    Pod,
}

/// Who has places; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    taken: Arc<Mutex<HashMap<Arc<str>, usize>>>,
}

/// The right to have one upload written; dropped, it is somebody else's.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    user: Arc<str>,
}

impl Places {
    /// Takes a place.
    ///
    /// # Errors
    /// When the user, or all users together, have as many as there are.
    pub(super) fn take(&self, user: &str) -> Result<Place, NoPlace> {
        let mut taken = self.lock();
        if taken.values().sum::<usize>() >= MAX_ARRIVING {
            return Err(NoPlace::Pod);
        }
        if taken
            .get(user)
            .is_some_and(|theirs| *theirs >= MAX_ARRIVING_PER_USER)
        {
            return Err(NoPlace::User);
        }
        let user: Arc<str> = user.into();
        *taken.entry(Arc::clone(&user)).or_default() += 1;
        Ok(Place {
            places: self.clone(),
            user,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(theirs) = taken.get_mut(&self.user) {
            *theirs -= 1;
            if *theirs == 0 {
                taken.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

    use super::*;

    #[test]
    fn places_are_limited_for_each_user_and_for_all() {
        let places = Places::default();
        let mut held = Vec::new();
        for user in 0..MAX_ARRIVING / MAX_ARRIVING_PER_USER {
            for _ in 0..MAX_ARRIVING_PER_USER {
                assert!(places.take("ann").is_ok(), "a place that is dropped is free");
                held.push(places.take(&user.to_string()).unwrap());
            }
            if user == 0 {
                assert_eq!(places.take("0").unwrap_err(), NoPlace::User);
            }
        }
        assert_eq!(places.take("ann").unwrap_err(), NoPlace::Pod);
        held.pop();
        assert!(places.take("ann").is_ok());
        held.clear();
        assert!(places.lock().is_empty(), "nobody is remembered for nothing");
    }
}
