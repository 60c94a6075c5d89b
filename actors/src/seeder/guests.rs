//! Which browsers are connected over WebRTC, or about to be: so many in all, for one address and for one torrent, and nobody twice.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seedpod_protocol::ids::InfoHash;
use seedpod_protocol::tracker::PeerId;

use crate::places::{Limits, Place, Places};

/// Most connections for one torrent; clients themselves keep as many.
const PER_TORRENT: usize = 55;
/// Most connections of one address: a classroom, and not all that the pod can carry.
const PER_ADDRESS: usize = 32;

/// Why an offer is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unwelcome {
    /// It is connected already, or about to be.
    #[error("connected already")]
    Here,
    /// The torrent has all its places taken.
    #[error("too many for the torrent")]
    Torrent,
    /// All places are taken, or all that one address can have.
    #[error("too many")]
    Full,
}

impl Unwelcome {
    /// The reason as a metric's label.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Here => "connected_already",
            Self::Torrent => "too_many_for_torrent",
            Self::Full => "too_many",
        }
    }
}

/// The places; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Guests {
    places: Places,
    taken: Arc<Mutex<HashMap<InfoHash, HashSet<PeerId>>>>,
}

/// A place of a browser; dropped, it is somebody else's.
#[derive(Debug)]
pub(super) struct Guest {
    guests: Guests,
    info_hash: InfoHash,
    peer_id: PeerId,
    _place: Place,
}

impl Guests {
    /// Room for at most so many.
    pub(super) fn new(limit: usize) -> Self {
        let limits = Limits {
            total: limit,
            per_address: PER_ADDRESS,
        };
        Self {
            places: Places::new(limits, &[]),
            taken: Arc::default(),
        }
    }

    /// A place for a browser that was heard from `address`.
    pub(super) fn welcome(
        &self,
        info_hash: InfoHash,
        peer_id: PeerId,
        address: IpAddr,
    ) -> Result<Guest, Unwelcome> {
        let mut taken = self.lock();
        let of_torrent = taken.get(&info_hash);
        if of_torrent.is_some_and(|peers| peers.contains(&peer_id)) {
            return Err(Unwelcome::Here);
        }
        if of_torrent.is_some_and(|peers| peers.len() >= PER_TORRENT) {
            return Err(Unwelcome::Torrent);
        }
        let place = self.places.take(address).ok_or(Unwelcome::Full)?;
        taken.entry(info_hash).or_default().insert(peer_id);
        drop(taken);
        Ok(Guest {
            guests: self.clone(),
            info_hash,
            peer_id,
            _place: place,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<InfoHash, HashSet<PeerId>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut taken = self.guests.lock();
        if let Some(peers) = taken.get_mut(&self.info_hash) {
            peers.remove(&self.peer_id);
            if peers.is_empty() {
                taken.remove(&self.info_hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn torrent(number: u8) -> InfoHash {
        InfoHash::from_bytes([number; 20])
    }

    fn peer(number: u8) -> PeerId {
        PeerId::from_bytes([number; 20])
    }

    /// A browser of an address of its own.
    fn welcome(guests: &Guests, video: u8, number: u8) -> Result<Guest, Unwelcome> {
        guests.welcome(torrent(video), peer(number), [192, 0, 2, number].into())
    }

    #[test]
    fn a_browser_has_one_place_in_each_torrent() {
        let guests = Guests::new(3);
        let one = welcome(&guests, 1, 1).unwrap();
        assert_eq!(welcome(&guests, 1, 1).unwrap_err(), Unwelcome::Here);
        let _two = welcome(&guests, 2, 1).unwrap();
        let _three = welcome(&guests, 2, 2).unwrap();
        assert_eq!(welcome(&guests, 3, 3).unwrap_err(), Unwelcome::Full);
        drop(one);
        assert!(welcome(&guests, 1, 1).is_ok());
        assert_eq!(guests.lock().len(), 1, "torrents without guests are forgotten");
    }

    #[test]
    fn one_torrent_cannot_have_all_places() {
        let guests = Guests::new(1000);
        let held: Vec<_> = (0..u8::MAX)
            .map_while(|number| welcome(&guests, 1, number).ok())
            .collect();
        assert_eq!(held.len(), PER_TORRENT);
        assert_eq!(welcome(&guests, 1, 255).unwrap_err(), Unwelcome::Torrent);
        assert!(welcome(&guests, 2, 255).is_ok());
    }

    #[test]
    fn one_address_cannot_have_all_places() {
        let guests = Guests::new(1000);
        let crowd = |number| guests.welcome(torrent(1), peer(number), [192, 0, 2, 1].into());
        let held: Vec<_> = (0..u8::MAX).map_while(|number| crowd(number).ok()).collect();
        assert_eq!(held.len(), PER_ADDRESS);
        assert_eq!(crowd(255).unwrap_err(), Unwelcome::Full);
        assert!(welcome(&guests, 1, 255).is_ok());
    }
}
