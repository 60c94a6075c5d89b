//! The BitTorrent peer wire protocol: what two peers say to each other once they are connected
//! ([BEP 3](https://www.bittorrent.org/beps/bep_0003.html)), with the fast extension
//! ([BEP 6](https://www.bittorrent.org/beps/bep_0006.html)), the extension protocol
//! ([BEP 10](https://www.bittorrent.org/beps/bep_0010.html)) and metadata from peers
//! ([BEP 9](https://www.bittorrent.org/beps/bep_0009.html)).
//!
//! It is one stream of bytes in each direction, whatever carries it: TCP for desktop clients, a WebRTC data channel for browsers, whose
//! messages may begin and end anywhere in the stream. First comes a [`Handshake`] of fixed length, then [`Message`]s with their length
//! in front.
//!
//! Reading is total and borrows: any bytes are a value, an error or not enough yet, and nothing is allocated.

mod extended;
mod handshake;
mod message;

pub use extended::{ExtendedHandshake, METADATA_PIECE_LEN, MetadataMessage};
pub use handshake::{Features, Handshake};
pub use message::{Block, Message, piece_header};

use crate::bencode::BencodeError;

/// Longest block that is asked for, in bytes. Everybody asks for 16 KiB; what is longer than this all implementations refuse.
pub const MAX_BLOCK_LEN: u32 = 128 << 10;
/// Longest message there is a use for, in bytes without its length: a block of [`MAX_BLOCK_LEN`].
pub const MAX_MESSAGE_LEN: usize = MAX_BLOCK_LEN as usize + 9;

/// Why bytes are not the peer wire protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The stream begins with something else, encryption for example.
    #[error("the stream does not begin with a BitTorrent handshake")]
    Protocol,
    /// A message is longer than the reader takes.
    #[error("message of {found} bytes, at most {limit} are read")]
    TooLong {
        /// What its length says, in bytes.
        found: u32,
        /// What is taken, in bytes.
        limit: usize,
    },
    /// A message's length does not fit its kind.
    #[error("message {id} has {found} bytes of payload")]
    Payload {
        /// Its kind.
        id: u8,
        /// Its length without the kind, in bytes.
        found: usize,
    },
    /// An extended message is not the dictionary it should be.
    #[error("extended message: {0}")]
    Bencode(#[from] BencodeError),
    /// A number in an extended message is missing or out of range.
    #[error("extended message has no fitting `{0}`")]
    Field(&'static str),
}
