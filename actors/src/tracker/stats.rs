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
    /// The socket takes part in all the torrents it may.
    TooManyTorrents,
    /// The socket does not take part as the peer it claims to be.
    NotTakingPart,
    /// The offer was never sent to this peer, was answered already, or is too old; or its maker left.
    NoSuchOffer,
    /// The tracker or the address has all the sockets it may.
    TooManySockets,
}

impl Refusal {
    /// All reasons, in the order of [`Totals::refused`].
    pub const ALL: [Self; 8] = [
        Self::Unreadable,
        Self::NotAdmitted,
        Self::PeerIdTaken,
        Self::SwarmFull,
        Self::TooManyTorrents,
        Self::NotTakingPart,
        Self::NoSuchOffer,
        Self::TooManySockets,
    ];

    /// The reason as a metric's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::NotAdmitted => "not_admitted",
            Self::PeerIdTaken => "peer_id_taken",
            Self::SwarmFull => "swarm_full",
            Self::TooManyTorrents => "too_many_torrents",
            Self::NotTakingPart => "not_taking_part",
            Self::NoSuchOffer => "no_such_offer",
            Self::TooManySockets => "too_many_sockets",
        }
    }

    /// The reason as clients get it.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Unreadable => "this is no message of the tracker protocol",
            Self::NotAdmitted => "this tracker does not serve that torrent",
            Self::PeerIdTaken => "this peer id is in use by another connection",
            Self::SwarmFull => "this torrent has as many peers as this tracker handles",
            Self::TooManyTorrents => "this connection takes part in too many torrents",
            Self::NotTakingPart => "this connection does not take part in that torrent as that peer",
            Self::NoSuchOffer => "no such offer is waiting for an answer of this peer",
            Self::TooManySockets => "too many connections",
        }
    }
}

/// What happened since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Announces that were answered with a reply.
    pub announces: u64,
    /// Scrapes that were answered.
    pub scrapes: u64,
    /// Offers handed to a peer.
    pub offers_relayed: u64,
    /// Offers not handed on because their maker has too many unanswered ones.
    pub offers_held_back: u64,
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
    /// Peers now, one for each torrent of a socket.
    pub peers: usize,
    /// Torrents now that have peers, or had and are admitted.
    pub swarms: usize,
    /// Counters since the start.
    pub totals: Totals,
    /// What goes on between pods.
    pub relay: RelayStats,
}
