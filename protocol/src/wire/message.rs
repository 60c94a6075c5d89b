//! Messages: four bytes of length, one that says the kind, and what belongs to the kind.

use super::WireError;

/// A part of one piece, as requests, cancels and rejections name it. Nothing is checked: any three numbers are a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Block {
    /// Which piece.
    pub piece: u32,
    /// Where in the piece, in bytes.
    pub begin: u32,
    /// How long, in bytes.
    pub length: u32,
}

/// Declares the numbers of messages once, for reading and for writing.
macro_rules! ids {
    ($($name:ident = $id:literal),* $(,)?) => {
        $(const $name: u8 = $id;)*
    };
}

ids! {
    CHOKE = 0,
    UNCHOKE = 1,
    INTERESTED = 2,
    NOT_INTERESTED = 3,
    HAVE = 4,
    BITFIELD = 5,
    REQUEST = 6,
    PIECE = 7,
    CANCEL = 8,
    PORT = 9,
    SUGGEST = 13,
    HAVE_ALL = 14,
    HAVE_NONE = 15,
    REJECT = 16,
    ALLOWED_FAST = 17,
    EXTENDED = 20,
}

/// One message. Payloads are borrowed from the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// "I am still here." It has no kind.
    KeepAlive,
    /// "I answer no requests."
    Choke,
    /// "I do."
    Unchoke,
    /// "I want something you have."
    Interested,
    /// "I want nothing."
    NotInterested,
    /// "I have this piece now."
    Have(u32),
    /// "These are the pieces I have": a bit each, the first one the highest of the first byte.
    Bitfield(&'a [u8]),
    /// "Send me this."
    Request(Block),
    /// A block.
    Piece {
        /// Which piece.
        piece: u32,
        /// Where in the piece, in bytes.
        begin: u32,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// "I want this no more."
    Cancel(Block),
    /// Where the peer's DHT node listens (BEP 5).
    Port(u16),
    /// "You might like this piece" (BEP 6).
    Suggest(u32),
    /// A bitfield of ones (BEP 6).
    HaveAll,
    /// A bitfield of zeros (BEP 6).
    HaveNone,
    /// "This request I will not answer" (BEP 6).
    Reject(Block),
    /// "This piece you may ask for while choked" (BEP 6).
    AllowedFast(u32),
    /// A message of an extension (BEP 10).
    Extended {
        /// Which, by the receiver's own numbering; 0 is the extended handshake.
        id: u8,
        /// What the extension says.
        payload: &'a [u8],
    },
    /// A kind nobody told us about. To be ignored.
    Unknown {
        /// Which.
        id: u8,
        /// Its content.
        payload: &'a [u8],
    },
}

impl<'a> Message<'a> {
    /// Reads the message a stream begins with, and how many bytes of the stream it takes; `None` while it is not there in whole.
    /// `limit` is the longest that is taken, in bytes without its length; with 0 only keep-alives pass.
    ///
    /// # Errors
    /// When it is longer, which is seen from its first four bytes, or has a length that its kind cannot have.
    pub fn decode(stream: &'a [u8], limit: usize) -> Result<Option<(Self, usize)>, WireError> {
        let Some((head, rest)) = stream.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let found = u32::from_be_bytes(*head);
        let length = usize::try_from(found).unwrap_or(usize::MAX);
        if length > limit {
            return Err(WireError::TooLong { found, limit });
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let message = match body.split_first() {
            None => Self::KeepAlive,
            Some((&id, payload)) => Self::read(id, payload).ok_or(WireError::Payload {
                id,
                found: payload.len(),
            })?,
        };
        Ok(Some((message, head.len() + length)))
    }

    fn read(id: u8, payload: &'a [u8]) -> Option<Self> {
        let bare = |message| payload.is_empty().then_some(message);
        match id {
            CHOKE => bare(Self::Choke),
            UNCHOKE => bare(Self::Unchoke),
            INTERESTED => bare(Self::Interested),
            NOT_INTERESTED => bare(Self::NotInterested),
            HAVE => number(payload).map(Self::Have),
            BITFIELD => Some(Self::Bitfield(payload)),
            REQUEST => block(payload).map(Self::Request),
            PIECE => {
                let (&piece, rest) = payload.split_first_chunk()?;
                let (&begin, bytes) = rest.split_first_chunk()?;
                let (piece, begin) = (u32::from_be_bytes(piece), u32::from_be_bytes(begin));
                Some(Self::Piece { piece, begin, bytes })
            }
            CANCEL => block(payload).map(Self::Cancel),
            PORT => Some(Self::Port(u16::from_be_bytes(payload.try_into().ok()?))),
            SUGGEST => number(payload).map(Self::Suggest),
            HAVE_ALL => bare(Self::HaveAll),
            HAVE_NONE => bare(Self::HaveNone),
            REJECT => block(payload).map(Self::Reject),
            ALLOWED_FAST => number(payload).map(Self::AllowedFast),
            EXTENDED => {
                let (&id, payload) = payload.split_first()?;
                Some(Self::Extended { id, payload })
            }
            _ => Some(Self::Unknown { id, payload }),
        }
    }

    /// Appends the message's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        match *self {
            Self::KeepAlive => {}
            Self::Choke => out.push(CHOKE),
            Self::Unchoke => out.push(UNCHOKE),
            Self::Interested => out.push(INTERESTED),
            Self::NotInterested => out.push(NOT_INTERESTED),
            Self::Have(piece) => write_numbers(out, HAVE, &[piece]),
            Self::Bitfield(bits) => write_bytes(out, BITFIELD, bits),
            Self::Request(block) => write_block(out, REQUEST, block),
            Self::Piece { piece, begin, bytes } => {
                write_numbers(out, PIECE, &[piece, begin]);
                out.extend_from_slice(bytes);
            }
            Self::Cancel(block) => write_block(out, CANCEL, block),
            Self::Port(port) => write_bytes(out, PORT, &port.to_be_bytes()),
            Self::Suggest(piece) => write_numbers(out, SUGGEST, &[piece]),
            Self::HaveAll => out.push(HAVE_ALL),
            Self::HaveNone => out.push(HAVE_NONE),
            Self::Reject(block) => write_block(out, REJECT, block),
            Self::AllowedFast(piece) => write_numbers(out, ALLOWED_FAST, &[piece]),
            Self::Extended { id, payload } => {
                out.extend_from_slice(&[EXTENDED, id]);
                out.extend_from_slice(payload);
            }
            Self::Unknown { id, payload } => write_bytes(out, id, payload),
        }
        let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
}

/// What a [`Message::Piece`] begins with, up to the bytes of the block, which go out right from where they lie.
#[must_use]
pub fn piece_header(block: Block) -> [u8; 13] {
    let mut header = [0; 13];
    header[..4].copy_from_slice(&block.length.saturating_add(9).to_be_bytes());
    header[4] = PIECE;
    header[5..9].copy_from_slice(&block.piece.to_be_bytes());
    header[9..].copy_from_slice(&block.begin.to_be_bytes());
    header
}

fn number(payload: &[u8]) -> Option<u32> {
    payload.try_into().ok().map(u32::from_be_bytes)
}

fn block(payload: &[u8]) -> Option<Block> {
    let ([piece, begin, length], []) = payload.as_chunks::<4>() else {
        return None;
    };
    Some(Block {
        piece: u32::from_be_bytes(*piece),
        begin: u32::from_be_bytes(*begin),
        length: u32::from_be_bytes(*length),
    })
}

fn write_bytes(out: &mut Vec<u8>, id: u8, bytes: &[u8]) {
    out.push(id);
    out.extend_from_slice(bytes);
}

fn write_numbers(out: &mut Vec<u8>, id: u8, numbers: &[u32]) {
    out.push(id);
    for number in numbers {
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn write_block(out: &mut Vec<u8>, id: u8, block: Block) {
    write_numbers(out, id, &[block.piece, block.begin, block.length]);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::super::MAX_MESSAGE_LEN;
    use super::*;

    const BLOCK: Block = Block {
        piece: 1,
        begin: 0x4000,
        length: 0x8000,
    };

    fn bytes(message: Message<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        message.encode(&mut out);
        out
    }

    #[test]
    fn bytes_are_those_of_the_specifications() {
        let numbers = "00000001 00004000 00008000";
        for (message, hex) in [
            (Message::KeepAlive, "00000000"),
            (Message::Choke, "00000001 00"),
            (Message::Unchoke, "00000001 01"),
            (Message::Interested, "00000001 02"),
            (Message::NotInterested, "00000001 03"),
            (Message::Have(258), "00000005 04 00000102"),
            (Message::Bitfield(&[0x80, 1]), "00000003 05 8001"),
            (Message::Request(BLOCK), &format!("0000000d 06 {numbers}")),
            (Message::Cancel(BLOCK), &format!("0000000d 08 {numbers}")),
            (Message::Port(6881), "00000003 09 1ae1"),
            (Message::Suggest(3), "00000005 0d 00000003"),
            (Message::HaveAll, "00000001 0e"),
            (Message::HaveNone, "00000001 0f"),
            (Message::Reject(BLOCK), &format!("0000000d 10 {numbers}")),
            (Message::AllowedFast(3), "00000005 11 00000003"),
        ] {
            let hex = hex.replace(' ', "");
            assert_eq!(
                data_encoding::HEXLOWER.encode(&bytes(message)),
                hex,
                "{message:?}"
            );
        }
        let piece = Message::Piece {
            piece: 1,
            begin: 2,
            bytes: b"ab",
        };
        assert_eq!(bytes(piece), b"\0\0\0\x0b\x07\0\0\0\x01\0\0\0\x02ab");
        let extended = Message::Extended {
            id: 3,
            payload: b"de",
        };
        assert_eq!(bytes(extended), b"\0\0\0\x04\x14\x03de");
    }

    #[test]
    fn a_block_may_follow_its_header() {
        let block = Block { length: 2, ..BLOCK };
        let whole = Message::Piece {
            piece: block.piece,
            begin: block.begin,
            bytes: b"ab",
        };
        assert_eq!([&piece_header(block)[..], b"ab"].concat(), bytes(whole));
    }

    #[test]
    fn lengths_that_a_kind_cannot_have_are_refused() {
        for (id, length) in [
            (CHOKE, 1),
            (HAVE, 3),
            (REQUEST, 11),
            (REQUEST, 13),
            (PIECE, 7),
            (PORT, 4),
        ] {
            let mut stream = u32::try_from(length + 1).unwrap().to_be_bytes().to_vec();
            stream.push(id);
            stream.resize(5 + length, 0);
            let refused = WireError::Payload { id, found: length };
            assert_eq!(Message::decode(&stream, 99), Err(refused));
        }
        assert_eq!(
            Message::decode(&[0, 0, 0, 1, EXTENDED], 99),
            Err(WireError::Payload {
                id: EXTENDED,
                found: 0
            })
        );
        let found = u32::try_from(MAX_MESSAGE_LEN + 1).unwrap();
        assert_eq!(
            Message::decode(&found.to_be_bytes(), MAX_MESSAGE_LEN),
            Err(WireError::TooLong {
                found,
                limit: MAX_MESSAGE_LEN
            })
        );
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_again_alike(stream in prop::collection::vec(any::<u8>(), 0..64), kind in 0_u8..24, length in 0_u8..20) {
            // Some streams whose beginning is likely to be a message.
            for stream in [stream.clone(), [&[0, 0, 0, length, kind][..], &stream].concat()] {
                if let Ok(Some((message, used))) = Message::decode(&stream, 60) {
                    prop_assert_eq!(&bytes(message), &stream[..used]);
                    for short in 0..used {
                        prop_assert_eq!(Message::decode(&stream[..short], 60), Ok(None));
                    }
                }
            }
        }
    }
}
