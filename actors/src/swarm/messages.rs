//! What the swarm tells its subscribers, what it is asked, and why it refuses.

use std::time::Duration;

use actix::{Message, Recipient};
use seedpod_protocol::{
    envelope::Verified,
    ids::{PodId, Timestamp},
    records::Record,
    requests::{Request, Response},
    topics,
};
use tokio::sync::oneshot;

/// A record by gossip, its signature checked, its author a friend. A hint: what the mailbox does not take is left to catch-up.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct EnvelopeArrived {
    /// The peer who forwarded it, not always its author.
    pub from: PodId,
    /// The record.
    pub envelope: Verified<Record>,
    /// Whether it was news to us: gossip carries on what was, and ignores the rest. Dropping it says no.
    pub news: oneshot::Sender<bool>,
}

/// A connected pod, friend or not, asks something. Dropping `reply` tells it that there is no answer.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RequestArrived {
    /// Who asks, proved by the connection.
    pub from: PodId,
    /// What it asks.
    pub request: Request,
    /// Where the answer goes, within [`ANSWER_TIME`].
    pub reply: oneshot::Sender<Response>,
}

/// A pod came or went. When the mailbox is full the newest state follows later: nothing but intermediate states is lost.
#[derive(Debug, Clone, Message, PartialEq)]
#[rtype(result = "()")]
pub struct PeerChanged {
    /// Which pod.
    pub pod: PodId,
    /// Whether there is a connection now.
    pub connected: bool,
    /// The last round trip measured, if any.
    pub rtt: Option<Duration>,
}

/// How long a subscriber has for the answer to a request.
pub const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Who hears what. Sent once, with `Swarm::subscribe`.
///
/// The driver drops what a mailbox does not take; actix's default of 16 is a burst too small: give envelopes 1024 or so.
#[derive(Debug, Clone)]
pub struct Subscribers {
    /// Hears new records.
    pub envelopes: Recipient<EnvelopeArrived>,
    /// Answers requests.
    pub requests: Recipient<RequestArrived>,
    /// Hears who comes and goes.
    pub peers: Recipient<PeerChanged>,
}

/// Who hears which torrents friends have viewers of, and hands offers and answers between viewers. Named with `Swarm::broker`, and again by
/// one that takes the place of another.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Hears hints, of friends alone.
    pub hints: Recipient<EnvelopeArrived>,
    /// Answers requests to relay, of friends alone.
    pub relays: Recipient<RequestArrived>,
}

/// A pod whose records we accept and which we stay connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Friend {
    /// Its id.
    pub pod: PodId,
    /// Multiaddrs where it listens; unusable ones are skipped. Empty: we wait for it to come.
    pub addresses: Vec<String>,
}

/// A connected pod.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerInfo {
    /// Its id.
    pub pod: PodId,
    /// Remote ends of its connections.
    pub addresses: Vec<String>,
    /// Since when it has been connected.
    pub connected_since: Timestamp,
    /// The last round trip measured, if any.
    pub rtt: Option<Duration>,
}

/// By which way envelopes came to the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// Gossip.
    Gossip,
    /// An answer to a question of ours.
    CatchUp,
    /// Somebody told us unasked.
    Tell,
    /// A card or a yes that was shown to become a friend.
    Handshake,
}

impl Way {
    /// The word for counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gossip => "gossip",
            Self::CatchUp => "catch_up",
            Self::Tell => "tell",
            Self::Handshake => "handshake",
        }
    }
}

/// Where gossip goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Records: videos, channels, profiles and other kinds.
    Catalog,
    /// Friendships.
    Friends,
    /// Short-lived news of swarms.
    Swarm,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Catalog, Self::Friends, Self::Swarm];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Catalog => topics::CATALOG,
            Self::Friends => topics::FRIENDS,
            Self::Swarm => topics::SWARM,
        }
    }
}

/// Why a pod is locked out for [`BAN_TIME`](super::BAN_TIME).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BanReason {
    /// It forwarded an envelope whose signature is broken, which every honest pod would have refused.
    Forged,
    /// It forwarded a record about an object that is not its author's.
    ForeignId,
    /// It sent malformed messages again and again.
    Malformed,
    /// Another room asked for it.
    Asked,
}

impl BanReason {
    /// The word for counters.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Forged => "forged",
            Self::ForeignId => "foreign_id",
            Self::Malformed => "malformed",
            Self::Asked => "asked",
        }
    }
}

/// Why there is no answer to a directed request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// None of the addresses led to the pod.
    #[error("pod {} cannot be reached", .0.short())]
    Unreachable(PodId),
    /// It took too long, connecting included.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection or stream closed before the answer was there.
    #[error("connection closed before the answer: {0}")]
    Closed(String),
    /// The other side speaks another protocol.
    #[error("pod {} does not speak {}", .0.short(), topics::REQUESTS)]
    Unsupported(PodId),
    /// The answer was too large or not of the protocol.
    #[error("answer refused: {0}")]
    Answer(String),
    /// Our request is too large to send.
    #[error("request not sent: {0}")]
    TooLarge(String),
    /// The pod is ourselves.
    #[error("a pod sends no requests to itself")]
    Ourselves,
    /// The pod is locked out.
    #[error("pod {} is locked out", .0.short())]
    Banned(PodId),
    /// Too many requests are under way.
    #[error("{0} requests are under way already")]
    Busy(usize),
    /// The swarm has stopped.
    #[error("the swarm has stopped")]
    Stopped,
}

impl RequestError {
    /// The word for counters.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Timeout(_) => "timeout",
            Self::Closed(_) => "closed",
            Self::Unsupported(_) => "unsupported",
            Self::Answer(_) => "answer",
            Self::TooLarge(_) => "too_large",
            Self::Ourselves => "ourselves",
            Self::Banned(_) => "banned",
            Self::Busy(_) => "busy",
            Self::Stopped => "stopped",
        }
    }
}
