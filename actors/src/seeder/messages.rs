//! What may be said to the seeder.

use actix::Message;
use seedpod_protocol::ids::InfoHash;

use super::shelf::Holding;

/// By which way bytes left the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// HTTP, from the file itself.
    WebSeed,
    /// A WebRTC data channel of a browser.
    WebRtc,
    /// TCP, to a BitTorrent client.
    Tcp,
}

impl Source {
    /// All ways.
    pub const ALL: [Self; 3] = [Self::WebSeed, Self::WebRtc, Self::Tcp];

    /// The way as a metric's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::WebSeed => "web_seed",
            Self::WebRtc => "webrtc",
            Self::Tcp => "tcp",
        }
    }
}

/// Bytes of a torrent's content were sent. To be said while or once they are, with what was really written; a full
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

/// Serves this content to peers from now on: it lies here in whole and was verified. What the pod's own videos consist of, the seeder
/// learns from the catalog; this is for copies of others'.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Carry(pub Holding);

/// A torrent is no longer ours to serve: who is being served is let go.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Forget {
    /// The torrent.
    pub info_hash: InfoHash,
}

/// Asks what was sent since this was last asked, and takes it: whoever keeps the sums asks now and then, and nobody else.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Sent")]
pub struct TakeSent;

/// What was sent in a while.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sent {
    /// Of each torrent, once.
    pub torrents: Vec<(InfoHash, Carried)>,
    /// Of further ones, together, had there been too many to tell them apart.
    pub others: Carried,
}

/// Bytes that left the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carried {
    /// Over HTTP.
    pub web_seed: u64,
    /// To browsers over WebRTC.
    pub webrtc: u64,
    /// To BitTorrent clients over TCP.
    pub tcp: u64,
}

impl Carried {
    /// What went out by one way.
    #[must_use]
    pub fn by(&self, source: Source) -> u64 {
        match source {
            Source::WebSeed => self.web_seed,
            Source::WebRtc => self.webrtc,
            Source::Tcp => self.tcp,
        }
    }

    /// Adds bytes to what went out by one way.
    pub fn add(&mut self, bytes: u64, source: Source) {
        let sum = match source {
            Source::WebSeed => &mut self.web_seed,
            Source::WebRtc => &mut self.webrtc,
            Source::Tcp => &mut self.tcp,
        };
        *sum = sum.saturating_add(bytes);
    }

    /// What went out by all ways.
    #[must_use]
    pub fn in_all(&self) -> u64 {
        Source::ALL
            .into_iter()
            .fold(0, |sum, source| sum.saturating_add(self.by(source)))
    }

    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        for source in Source::ALL {
            self.add(other.by(source), source);
        }
        self
    }
}
