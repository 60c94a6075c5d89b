//! What may be said to the tracker.

use std::net::IpAddr;

use actix::Message;
use seedpod_protocol::ids::InfoHash;
use tokio::sync::mpsc;

pub use super::stats::{Refusal, Stats, Totals};

/// How many messages an outbox should hold ([`Connect`]). A browser in a lively swarm gets some dozens of offers at once.
pub const OUTBOX_CAPACITY: usize = 64;

/// Names one connected socket. Never used twice while the tracker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub(super) u64);

/// A socket was opened.
///
/// Texts for it come out of the other end of `outbox`. The tracker closes a socket by dropping the outbox: the holder sends
/// what is still queued, if it likes, and closes. An outbox that is full when something is to be put in
/// belongs to a client that does not read, and is dropped.
#[derive(Debug, Message)]
#[rtype(result = "Result<SocketId, TooMany>")]
pub struct Connect {
    /// Where the client is; limits are counted by IPv4 address or IPv6 /64.
    pub address: IpAddr,
    /// Takes what is to be sent; [`OUTBOX_CAPACITY`] is a good size.
    pub outbox: mpsc::Sender<String>,
}

/// Why a socket is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TooMany {
    /// The tracker is full.
    #[error("the tracker has its {0} sockets already")]
    Sockets(usize),
    /// The address is.
    #[error("{address} has its {limit} sockets already")]
    OfAddress {
        /// Who asked.
        address: IpAddr,
        /// How many are allowed.
        limit: usize,
    },
}

/// A socket received a text. Whoever holds the socket should wait for this to be handled before reading on, so that a
/// client cannot queue up work.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Incoming {
    /// Which.
    pub socket: SocketId,
    /// What; binary frames holding UTF-8 are the same to the tracker.
    pub text: String,
}

/// A socket was closed from the other side. Its peers are gone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Disconnect {
    /// Which.
    pub socket: SocketId,
}

/// Serves these torrents from now on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Admit {
    /// Which; those served already stay as they are.
    pub info_hashes: Vec<InfoHash>,
}

/// Serves these torrents no more, and forgets their swarms. With `tracker.open` the swarms may form anew.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Withdraw {
    /// Which.
    pub info_hashes: Vec<InfoHash>,
}

/// Asks for the size of one swarm; of an unknown one it is zero.
#[derive(Debug, Message)]
#[rtype(result = "SwarmSize")]
pub struct GetSwarm {
    /// Which.
    pub info_hash: InfoHash,
}

/// The size of one swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SwarmSize {
    /// Peers that have everything.
    pub seeders: u32,
    /// Peers that do not.
    pub leechers: u32,
}

/// Asks for the tracker's figures.
#[derive(Debug, Message)]
#[rtype(result = "Stats")]
pub struct GetStats;
