//! What the tracker counts, and the reasons for which it refuses.

use super::relay::RelayStats;

/// Why something was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The message was no message of the protocol.
    Unreadable,
    /// The torrent is not served here.
    NotAdmitted,
    /// The peer id belongs to somebody at another address.
    PeerIdTaken,
    /// The torrent has all the peers it may have.
    SwarmFull,
    /// The tracker has all the peers or torrents it may have.
    TrackerFull,
    /// The socket takes part in all the torrents it may.
    TooManyTorrents,
    /// The socket does not take part as the peer it claims to be.
    NotTakingPart,
    /// The offer was never sent to this peer, was answered already, or is too old; or its maker left.
    NoSuchOffer,
    /// The tracker or the address has all the sockets it may.
    TooManySockets,
    /// The address has all the BitTorrent clients it may.
    TooManyOfAddress,
    /// The address asks more often than it may.
    TooOften,
    /// The connection id of a UDP packet is not one that this address was given, or it is too old.
    ConnectionId,
}

impl Refusal {
    /// All reasons, in the order of [`Totals::refused`].
    pub const ALL: [Self; 12] = [
        Self::Unreadable,
        Self::NotAdmitted,
        Self::PeerIdTaken,
        Self::SwarmFull,
        Self::TrackerFull,
        Self::TooManyTorrents,
        Self::NotTakingPart,
        Self::NoSuchOffer,
        Self::TooManySockets,
        Self::TooManyOfAddress,
        Self::TooOften,
        Self::ConnectionId,
    ];

    /// The reason as a metric's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::NotAdmitted => "not_admitted",
            Self::PeerIdTaken => "peer_id_taken",
            Self::SwarmFull => "swarm_full",
            Self::TrackerFull => "tracker_full",
            Self::TooManyTorrents => "too_many_torrents",
            Self::NotTakingPart => "not_taking_part",
            Self::NoSuchOffer => "no_such_offer",
            Self::TooManySockets => "too_many_sockets",
            Self::TooManyOfAddress => "too_many_of_address",
            Self::TooOften => "too_often",
            Self::ConnectionId => "connection_id",
        }
    }

    /// The reason as clients get it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Unreadable => "this is no message of the tracker protocol",
            Self::NotAdmitted => "this tracker does not serve that torrent",
            Self::PeerIdTaken => "this peer id is in use by another connection",
            Self::SwarmFull => "this torrent has as many peers as this tracker handles",
            Self::TrackerFull => "this tracker has as many peers as it handles",
            Self::TooManyTorrents => "this connection takes part in too many torrents",
            Self::NotTakingPart => "this connection does not take part in that torrent as that peer",
            Self::NoSuchOffer => "no such offer is waiting for an answer of this peer",
            Self::TooManySockets => "too many connections",
            Self::TooManyOfAddress => "too many peers from this address",
            Self::TooOften => "too many requests from this address",
            Self::ConnectionId => "connect first",
        }
    }
}

/// By which way somebody takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// Browsers.
    WebSocket,
    /// BitTorrent clients.
    Http,
    /// BitTorrent clients.
    Udp,
}

impl Way {
    /// All ways, in the order of [`Totals::announces`].
    pub const ALL: [Self; 3] = [Self::WebSocket, Self::Http, Self::Udp];

    /// The way as a metric's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Http => "http",
            Self::Udp => "udp",
        }
    }
}

/// What happened since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Announces that were answered with a reply, in the order of [`Way::ALL`].
    pub announces: [u64; Way::ALL.len()],
    /// Scrapes that were answered.
    pub scrapes: u64,
    /// Offers handed to a peer.
    pub offers_relayed: u64,
    /// Offers not handed on because their maker has too many unanswered ones.
    pub offers_held_back: u64,
    /// Offers for this pod's own seeder that it was too busy to take.
    pub offers_lost: u64,
    /// Offers and answers not sent to a friend because too many were on their way.
    pub relays_left_out: u64,
    /// Answers handed to the maker of the offer.
    pub answers_relayed: u64,
    /// Refusals, in the order of [`Refusal::ALL`].
    pub refused: [u64; Refusal::ALL.len()],
    /// Sockets dropped because they did not read.
    pub slow_sockets: u64,
}

/// The tracker's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Sockets now.
    pub sockets: usize,
    /// Browsers now, one for each torrent of a socket.
    pub peers: usize,
    /// BitTorrent clients now, one for each torrent of a port.
    pub clients: usize,
    /// Torrents now that have peers, or had and are admitted.
    pub swarms: usize,
    /// Counters since the start.
    pub totals: Totals,
    /// What goes on between pods.
    pub relay: RelayStats,
}
