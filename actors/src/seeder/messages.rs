//! What may be said to the seeder.

use actix::Message;
use seedpod_protocol::ids::InfoHash;

/// By which way bytes left the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// HTTP, from the file itself.
    WebSeed,
}

impl Source {
    /// The way as a metric's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::WebSeed => "web_seed",
        }
    }
}

/// Bytes of a torrent's content were sent. To be said once a response is over, with what was really written; a full
/// mailbox may swallow it, for these are statistics.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Served {
    /// The torrent, one of our own files.
    pub info_hash: InfoHash,
    /// How many, without headers.
    pub bytes: u64,
    /// By which way.
    pub source: Source,
}

/// A torrent is no longer ours to serve; its own sum is dropped.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Forget {
    /// The torrent.
    pub info_hash: InfoHash,
}

/// Asks what was sent of one torrent; zero if nothing is known.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Carried")]
pub struct GetCarried {
    /// The torrent.
    pub info_hash: InfoHash,
}

/// Asks what was sent in all.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Carried")]
pub struct GetTotals;

/// Bytes sent since the pod started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carried {
    /// Over HTTP.
    pub web_seed: u64,
}
