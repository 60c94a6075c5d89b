//! The tracker room: who is in which swarm, and the offers and answers by which browsers of one swarm connect.
//!
//! It owns swarms per info hash, sockets as numbers with an outbox each, and the admitted info hashes. It does not know
//! HTTP or WebSockets: `web` holds the sockets and hands texts over at the [desk]. Torrents are admitted with the live videos of the
//! catalog, whose changes it hears, or by [hand](messages::Admit).
//!
//! Browsers come over WebSockets and meet by offers and answers; BitTorrent clients come over HTTP and UDP and are told addresses. All
//! of one torrent are one swarm and counted together, but only told of those they can connect to. This pod's own seeder stands in
//! both worlds ([`RegisterSeeder`](messages::RegisterSeeder)).
//!
//! Rules:
//! - A socket takes part in a torrent as one peer, and a peer belongs to one socket; when the socket closes, its peers
//!   are gone at once. A peer id in use cannot be taken over from another address.
//! - The i-th offer of an announce goes to the i-th of the randomly chosen other peers; what a seeder offers goes to
//!   leechers only, since seeders have nothing for each other. The reply to the announce goes out first.
//! - An answer is relayed only if that very offer was sent to that very socket before, once, and not longer ago than an
//!   offer lives. Nobody can be sent answers, or offers, they did not take part in.
//! - A BitTorrent client is known by the address it was seen at, never by one it names, and by its port.
//! - Everything is capped ([`state::TrackerConfig`]): sockets, sockets of one address, torrents of a socket, peers of a torrent, of an
//!   address and in all, addresses in an answer, unanswered offers of a peer. A socket which does not read what it is sent is
//!   dropped.
//! - Viewers of different pods find each other: trackers of friends tell each other of which torrents they have viewers, and hand on offers
//!   and answers by the same rules as between sockets (`relay.rs`, `state/across.rs`).

pub mod actor;
pub mod desk;
pub mod messages;
pub mod metrics;
pub mod state;
pub mod stats;
pub mod udp;

mod admission;
mod outbox;
mod relay;
mod stand;
mod swarm;
#[cfg(test)]
mod tests;

pub use actor::TrackerActor;
pub use desk::Desk;
pub use relay::{HintOutcome, RelayLimits, RelayRefusal, RelayStats, RelayTotals};
pub use state::TrackerConfig;
