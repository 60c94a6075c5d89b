//! What may be said to the tracker.
//!
//! Who carries messages of clients (`web`, the UDP task) and who seeds says it to the [`Desk`](super::Desk), which stays the same when the
//! room is started again; the rest goes to the actor.

use std::net::{IpAddr, SocketAddr};

use actix::{Message, Recipient};
use seedpod_protocol::ids::{InfoHash, PodId};
use seedpod_protocol::requests::Request;
use seedpod_protocol::tracker::{Event, OfferId, PeerId, SwarmCounts};
use serde_json::value::RawValue;

pub use super::outbox::{Inbox, OUTBOX_BYTES, OUTBOX_TEXTS, Outbox, outbox};
pub use super::stats::{Refusal, Stats, Totals, Way};
pub use super::swarm::{Family, Found};

/// Names one connected socket. Never used twice while the tracker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub(super) u64);

impl SocketId {
    /// Where this pod's own seeder takes offers, as if it were a socket.
    pub(super) const POD: Self = Self(0);
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

/// The tracker is being started again; all its sockets are to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tracker is being started again")]
pub struct Restarting;

/// A BitTorrent client takes part in a torrent, by HTTP or UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnnounceClient {
    /// By which way it came.
    pub way: Way,
    /// The torrent.
    pub info_hash: InfoHash,
    /// What the client calls itself.
    pub peer_id: PeerId,
    /// The address it connected from, or that a trusted proxy saw, with the port it says it listens on. With port 0 it can be told of
    /// others, and nobody is told of it.
    pub address: SocketAddr,
    /// What happened.
    pub event: Event,
    /// Bytes it still wants; `None` when it does not know.
    pub left: Option<u64>,
    /// How many others it wants to be told of; there is a limit on top of that.
    pub wanted: usize,
    /// Which addresses it can be told.
    pub family: Family,
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientReply {
    /// Size of the swarm; browsers and this pod's own seeder are in it.
    pub counts: SwarmCounts,
    /// When to announce again, in seconds.
    pub interval: u32,
    /// When to announce again at the earliest, in seconds.
    pub min_interval: u32,
    /// Others it may connect to. For one that has everything, those that do not.
    pub peers: Vec<Found>,
}

/// This pod seeds by itself. To be said once, and again with whatever changed: the later word replaces the earlier one. What the pod
/// seeds is said by [`Seed`].
///
/// In each torrent it seeds, the pod counts as one peer that has everything. BitTorrent clients that want something are told its
/// `addresses` of their own family, before all others. Of the offers of a browser that wants something the first goes to
/// `offers`, before others are drawn: also when browser and pod are connected already, which the seeder sees by the peer
/// id. It need not answer; what it answers it gives to the desk as [`AnswerOffer`], within the minute an offer lives.
#[derive(Clone)]
pub struct RegisterSeeder {
    /// What the pod calls itself in swarms (BEP 20: begins with `-SP`).
    pub peer_id: PeerId,
    /// Where its TCP port can be reached, at most 8; more are passed over. None if it has no TCP port.
    pub addresses: Vec<SocketAddr>,
    /// Takes offers of browsers; `None` if it does not speak WebRTC. A full mailbox loses an offer, which is counted.
    pub offers: Option<Recipient<TakeOffer>>,
}

/// Which torrents this pod seeds, changed. Those that this tracker does not serve are remembered and served once it does.
#[derive(Debug, Clone, Default)]
pub struct Seed {
    /// Seeded from now on.
    pub begin: Vec<InfoHash>,
    /// Seeded no more.
    pub end: Vec<InfoHash>,
}

/// An offer of a browser, for this pod's seeder.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct TakeOffer {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Who made it.
    pub peer_id: PeerId,
    /// Where its maker's socket was opened from, as limits count it: an IPv4 address, or an IPv6 /64.
    pub address: IpAddr,
    /// Its name for it.
    pub offer_id: OfferId,
    /// The session description in its JSON form, `{"type":"offer","sdp":…}`, as the browser wrote it: unchecked, at most
    /// [`MAX_SDP_LEN`](seedpod_protocol::tracker::MAX_SDP_LEN) bytes.
    pub offer: Box<RawValue>,
}

/// The answer of this pod's seeder to an offer it was given. Ignored if the offer is too old, or its maker left.
#[derive(Debug)]
pub struct AnswerOffer {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Who made the offer.
    pub to_peer_id: PeerId,
    /// Which offer.
    pub offer_id: OfferId,
    /// The session description in its JSON form, `{"type":"answer","sdp":…}`.
    pub answer: Box<RawValue>,
}

/// Asks a friend to relay something: the desk's word to the actor.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct AskFriend {
    /// Whom.
    pub(super) friend: PodId,
    /// What.
    pub(super) request: Request,
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

/// The size of one swarm, this pod's own seeder included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SwarmSize {
    /// Peers that have everything.
    pub seeders: u32,
    /// Peers that do not.
    pub leechers: u32,
    /// Those of both that came over WebSocket: people in front of a page.
    pub viewers: u32,
}
