//! Extended messages: the handshake in which peers number their extensions, and metadata from peers.
//!
//! Their dictionaries are read with [`Reader::in_any_order`]: they are talk, not content with a hash, and not every client sorts its keys.

use super::WireError;
use crate::bencode::{Kind, Reader, Value};

/// The metadata is handed out in parts of so many bytes, the last one shorter (BEP 9).
pub const METADATA_PIECE_LEN: usize = 16 << 10;

/// What a peer says about its extensions (BEP 10); fields that are missing, or beyond their range, are `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExtendedHandshake<'a> {
    /// The number under which it takes messages of `ut_metadata` (BEP 9); not 0, which takes an extension back.
    pub ut_metadata: Option<u8>,
    /// Length of the info dictionary, in bytes, if it has it.
    pub metadata_size: Option<u32>,
    /// How many requests it keeps waiting without dropping one.
    pub reqq: Option<u32>,
    /// Its program and version.
    pub client: Option<&'a str>,
    /// Whether it wants nothing (BEP 21).
    pub upload_only: bool,
}

impl<'a> ExtendedHandshake<'a> {
    /// The payload of an extended message with the number 0.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let number = |number: u32| Value::Integer(number.into());
        let mut entries = Vec::new();
        if let Some(id) = self.ut_metadata {
            let extensions = Value::dict([("ut_metadata", number(id.into()))]);
            entries.push(("m", extensions));
        }
        entries.extend(self.metadata_size.map(|size| ("metadata_size", number(size))));
        entries.extend(self.reqq.map(|reqq| ("reqq", number(reqq))));
        entries.extend(self.client.map(|client| ("v", Value::text(client))));
        entries.extend(self.upload_only.then(|| ("upload_only", number(1))));
        let entries = entries.into_iter().map(|(key, value)| (key.as_bytes(), value));
        Value::Dict(entries.collect()).encode()
    }

    /// Reads a payload. Keys we do not know are passed over; of one key that stands twice the later counts.
    ///
    /// # Errors
    /// When it is no dictionary.
    pub fn decode(payload: &'a [u8]) -> Result<Self, WireError> {
        let mut found = Self::default();
        Reader::in_any_order(payload).dict(|key, reader| -> Result<(), WireError> {
            match (key, reader.kind()?) {
                (b"m", Kind::Dict) => reader.dict(|key, reader| -> Result<(), WireError> {
                    if key == b"ut_metadata" && reader.kind()? == Kind::Integer {
                        found.ut_metadata = u8::try_from(reader.integer()?).ok().filter(|id| *id != 0);
                    }
                    Ok(())
                })?,
                (b"metadata_size", Kind::Integer) => {
                    found.metadata_size = u32::try_from(reader.integer()?).ok();
                }
                (b"reqq", Kind::Integer) => found.reqq = u32::try_from(reader.integer()?).ok(),
                (b"v", Kind::Bytes) => found.client = std::str::from_utf8(reader.bytes()?).ok(),
                (b"upload_only", Kind::Integer) => found.upload_only = reader.integer()? != 0,
                _ => {}
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// A message of `ut_metadata` (BEP 9): the info dictionary, part by part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataMessage<'a> {
    /// "Send me this part."
    Request(u32),
    /// A part.
    Data {
        /// Which.
        piece: u32,
        /// Length of the whole, in bytes.
        total_size: u32,
        /// The part's bytes.
        bytes: &'a [u8],
    },
    /// "That part I will not send."
    Reject(u32),
    /// A kind nobody told us about. To be ignored.
    Unknown(i64),
}

impl<'a> MetadataMessage<'a> {
    /// The payload of an extended message with the receiver's number for `ut_metadata`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let number = |number: u32| Value::Integer(number.into());
        let plain =
            |kind, piece| Value::dict([("msg_type", number(kind)), ("piece", number(piece))]).encode();
        match *self {
            Self::Request(piece) => plain(0, piece),
            Self::Reject(piece) => plain(2, piece),
            Self::Unknown(kind) => Value::dict([("msg_type", Value::Integer(kind))]).encode(),
            Self::Data {
                piece,
                total_size,
                bytes,
            } => {
                let head = Value::dict([
                    ("msg_type", number(1)),
                    ("piece", number(piece)),
                    ("total_size", number(total_size)),
                ]);
                let mut payload = head.encode();
                payload.extend_from_slice(bytes);
                payload
            }
        }
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// When it does not begin with a dictionary, or lacks what its kind needs.
    pub fn decode(payload: &'a [u8]) -> Result<Self, WireError> {
        let (mut kind, mut piece, mut total_size) = (None, None, None);
        let mut reader = Reader::in_any_order(payload);
        reader.dict(|key, reader| -> Result<(), WireError> {
            match key {
                b"msg_type" => kind = Some(reader.integer()?),
                b"piece" => piece = u32::try_from(reader.integer()?).ok(),
                b"total_size" => total_size = u32::try_from(reader.integer()?).ok(),
                _ => {}
            }
            Ok(())
        })?;
        let kind = kind.ok_or(WireError::Field("msg_type"))?;
        let piece = piece.ok_or(WireError::Field("piece"));
        match kind {
            0 => Ok(Self::Request(piece?)),
            1 => Ok(Self::Data {
                piece: piece?,
                total_size: total_size.ok_or(WireError::Field("total_size"))?,
                bytes: reader.rest(),
            }),
            2 => Ok(Self::Reject(piece?)),
            other => Ok(Self::Unknown(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_say_about_our_extensions_is_canonical_and_read_back() {
        let ours = ExtendedHandshake {
            ut_metadata: Some(1),
            metadata_size: Some(6000),
            reqq: Some(250),
            client: Some("Seedpod"),
            upload_only: true,
        };
        let text = "d1:md11:ut_metadatai1ee13:metadata_sizei6000e4:reqqi250e11:upload_onlyi1e1:v7:Seedpode";
        assert_eq!(String::from_utf8_lossy(&ours.encode()), text);
        assert_eq!(ExtendedHandshake::decode(text.as_bytes()), Ok(ours));
        assert_eq!(ExtendedHandshake::decode(b"de"), Ok(ExtendedHandshake::default()));
    }

    #[test]
    fn other_clients_words_are_read_in_any_order_and_nonsense_passed_over() {
        let theirs =
            b"d4:reqqi-5e1:v3:\xff\xfe\xfd1:md6:ut_pexi1e11:ut_metadatai3ee13:metadata_size3:abc1:elee";
        let read = ExtendedHandshake::decode(theirs);
        let expected = ExtendedHandshake {
            ut_metadata: Some(3),
            ..ExtendedHandshake::default()
        };
        assert_eq!(read, Ok(expected));
        for number in ["0", "256", "-1"] {
            let theirs = format!("d1:md11:ut_metadatai{number}eee");
            let read = ExtendedHandshake::decode(theirs.as_bytes());
            assert_eq!(read, Ok(ExtendedHandshake::default()), "{number}");
        }
        assert!(ExtendedHandshake::decode(b"le").is_err());
    }

    #[test]
    fn parts_of_the_metadata_are_asked_for_given_and_refused() {
        let data = MetadataMessage::Data {
            piece: 1,
            total_size: 16_386,
            bytes: b"xy",
        };
        for (message, text) in [
            (MetadataMessage::Request(0), "d8:msg_typei0e5:piecei0ee"),
            (MetadataMessage::Reject(7), "d8:msg_typei2e5:piecei7ee"),
            (MetadataMessage::Unknown(9), "d8:msg_typei9ee"),
            (data, "d8:msg_typei1e5:piecei1e10:total_sizei16386eexy"),
        ] {
            assert_eq!(String::from_utf8_lossy(&message.encode()), text);
            assert_eq!(MetadataMessage::decode(text.as_bytes()), Ok(message));
        }
        for (text, missing) in [
            ("de", "msg_type"),
            ("d8:msg_typei0ee", "piece"),
            ("d8:msg_typei0e5:piecei-1ee", "piece"),
            ("d8:msg_typei1e5:piecei0ee", "total_size"),
        ] {
            assert_eq!(
                MetadataMessage::decode(text.as_bytes()),
                Err(WireError::Field(missing))
            );
        }
    }
}
