//! The swarm room: connections to other pods, and what comes over them.
//!
//! One task (`driver.rs`) owns libp2p; a [`Swarm`] is a handle to it. Nothing outside this folder names libp2p. In short:
//!
//! ```text
//!             commands (256)                     candidates (512)            verdicts (512)
//!   Swarm ─────────────────────▶ driver task ─────────────────────▶ verify ─────────────────▶ driver
//!                                  │   try_send, counted when full
//!                                  └──▶ EnvelopeArrived · RequestArrived · PeerChanged
//! ```
//!
//! Invariants:
//! - The driver never waits for a mailbox, a disk or a signature. What does not fit is dropped and counted; gossip is a hint, catch-up
//!   the truth.
//! - Records come in through [`validate`] alone, whichever way they came; what is refused is counted, and held against whoever brought it
//!   if an honest pod would not have.
//! - Anyone may connect and send requests, for that is how friendships begin; only friends take part in gossip, and a stranger who is
//!   silent for [`SwarmOptions::idle_time`] is disconnected. Friends are kept connected, with back-off.
//! - Everything a peer can make us keep has a maximum, and goes when the peer goes; bans and strikes expire.

mod admission;
mod behaviour;
mod codec;
mod dialing;
mod door;
mod driver;
mod handle;
mod limits;
#[cfg(test)]
pub(crate) mod memory;
mod messages;
mod metrics;
mod peer_id;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod verify;

use std::time::Duration;

use seedpod_protocol::keys::PodKey;

#[cfg(test)]
pub(crate) use self::door::validate_by;
pub use self::{
    admission::{Admitted, BAN_TIME, FRIENDS_MAX},
    door::{Refusal, introduce, validate},
    handle::Swarm,
    messages::{
        ANSWER_TIME, BanReason, Broker, EnvelopeArrived, Friend, PeerChanged, PeerInfo, RequestArrived,
        RequestError, Subscribers, Topic, Way,
    },
    metrics::SwarmMetrics,
};

/// How a swarm is set up.
#[derive(Debug)]
pub struct SwarmOptions {
    /// The identity, of records and connections alike.
    pub key: PodKey,
    /// Multiaddrs to listen on; port 0 takes a free one.
    pub listen: Vec<String>,
    /// Multiaddrs under which others reach us, when they differ from where we listen (address translation, DNS name).
    pub announce: Vec<String>,
    /// What we call ourselves to peers, as `seedpod/0.1.0`.
    pub agent: String,
    /// Whether loopback and private addresses may be dialed. Off, neither a peer nor a DNS name can lead us into our own network.
    pub dial_private: bool,
    /// Whether friends are looked for in the local network; needs the cargo feature `lan`.
    pub lan: bool,
    /// How long a directed request may take, connecting included.
    pub request_time: Duration,
    /// How long a stranger may stay connected without asking anything.
    pub idle_time: Duration,
    /// The wait before a lost friend is dialed again; it doubles up to `redial_ceiling`.
    pub redial: Duration,
    /// The longest wait between two attempts.
    pub redial_ceiling: Duration,
}

impl SwarmOptions {
    /// The usual settings: listens nowhere, dials public addresses only.
    pub fn new(key: PodKey) -> Self {
        Self {
            key,
            listen: Vec::new(),
            announce: Vec::new(),
            agent: concat!("seedpod/", env!("CARGO_PKG_VERSION")).to_owned(),
            dial_private: false,
            lan: false,
            request_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            redial: Duration::from_millis(500),
            redial_ceiling: Duration::from_secs(60),
        }
    }
}

/// Why there is no swarm.
#[derive(Debug, thiserror::Error)]
pub enum SwarmError {
    /// Not an address, or not one that can be listened on or announced.
    #[error("`{0}` is not a multiaddr")]
    Address(String),
    /// The address is taken, not ours, or of a transport that is not built in.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// A part could not be set up.
    #[error("cannot set up the network: {0}")]
    Setup(String),
}
