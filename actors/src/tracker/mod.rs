//! The tracker room: who is in which swarm, and the offers and answers by which browsers of one swarm connect.
//!
//! It owns swarms per info hash, sockets as numbers with an outbox each, and the admitted info hashes. It does not know
//! HTTP or WebSockets: `web` holds the sockets and hands texts over. Torrents are admitted with the live videos of the
//! catalog, whose changes it hears, or by [hand](messages::Admit).
//!
//! Rules:
//! - A socket takes part in a torrent as one peer, and a peer belongs to one socket; when the socket closes, its peers
//!   are gone at once. A peer id in use cannot be taken over from another address.
//! - The i-th offer of an announce goes to the i-th of the randomly chosen other peers; what a seeder offers goes to
//!   leechers only, since seeders have nothing for each other. The reply to the announce goes out first.
//! - An answer is relayed only if that very offer was sent to that very socket before, once, and not longer ago than an
//!   offer lives. Nobody can be sent answers, or offers, they did not take part in.
//! - Everything is capped ([`state::TrackerConfig`]): sockets, sockets of one address, torrents of a socket, peers of a torrent,
//!   unanswered offers of a peer. A socket which does not read what it is sent is dropped.
//! - Viewers of different pods find each other: trackers of friends tell each other of which torrents they have viewers, and hand on offers
//!   and answers by the same rules as between sockets (`relay.rs`, [`state::across`]).

pub mod actor;
pub mod messages;
pub mod metrics;
pub mod state;
pub mod stats;

mod admission;
mod relay;
mod swarm;
#[cfg(test)]
mod tests;

pub use actor::TrackerActor;
pub use metrics::TrackerMetrics;
pub use relay::{HintOutcome, RelayLimits, RelayRefusal, RelayStats, RelayTotals};
pub use state::TrackerConfig;
