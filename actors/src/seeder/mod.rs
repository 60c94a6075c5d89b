//! The seeder room: what this pod gives to swarms.
//!
//! A pod gives its videos in three ways. Over HTTP, as the web seed, where `web` serves the bytes and reports them here with
//! [`Served`](messages::Served); to BitTorrent clients over TCP (`tcp.rs`); and to browsers over WebRTC (`visits.rs`). The latter two are
//! one engine: `connection.rs` decides what a seed says to a peer and is pure, `stream.rs` carries it over any stream of bytes. What can
//! be served lies on the [`Shelf`]; what was served is summed up by the [ledger](ledger::Ledger), by torrent, until the meter
//! takes the sums.
//!
//! Rules:
//! - A peer gets nothing but whole blocks of content on the shelf. What leaves the shelf is served no more, to nobody.
//! - Peers are served by turns (`slots.rs`): whoever waits gets the place of who had one longest.
//! - Whatever a peer says or leaves unsaid costs a bounded amount of memory and work, and ends in a [counted](SeederMetrics) way.
//! - Bytes never pass through a mailbox. An offer of a browser does, once.

pub mod actor;
pub mod ledger;
pub mod messages;
pub mod metrics;
pub mod ports;
pub mod service;
pub mod shelf;
pub mod state;
pub mod tcp;

mod candidates;
mod connection;
mod guests;
mod have;
mod own;
mod slots;
mod stream;
#[cfg(test)]
mod testing;
mod transport;
mod visits;
mod webrtc;

pub use actor::{SeederActor, SeederOptions};
pub use metrics::SeederMetrics;
pub use service::Service;
pub use shelf::{Holding, Shelf};
pub use visits::{Reach, Visits};

use seedpod_protocol::tracker::PeerId;

/// What a pod calls itself in swarms until it stops: `-SP`, its version, and twelve random letters (BEP 20). Pages know pods by the
/// first three characters.
#[must_use]
pub fn peer_id(random: [u8; 12]) -> PeerId {
    const LETTERS: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    let mut id = *b"-SP0000-............";
    let version = [
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION_PATCH"),
    ];
    for (place, number) in id[3..].iter_mut().zip(version) {
        // One character a number; what is beyond nine counts on in letters.
        let number = number.parse::<usize>().unwrap_or(0).min(35);
        *place = LETTERS[number];
    }
    for (place, random) in id[8..].iter_mut().zip(random) {
        *place = LETTERS[usize::from(random % 64)];
    }
    PeerId::from_bytes(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_known_by_its_peer_id() {
        let id = peer_id([7; 12]);
        assert!(id.as_bytes().starts_with(b"-SP"), "{id:?}");
        assert_eq!(id.as_bytes()[7..], *b"-777777777777");
        assert_ne!(id, peer_id([8; 12]));
    }
}
