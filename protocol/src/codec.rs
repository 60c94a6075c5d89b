//! The one CBOR codec.
//!
//! Everything pods sign, hash or send has exactly one byte form: the deterministic encoding of RFC 8949 §4.2.1, narrowed to integers,
//! byte strings, text, arrays, maps with text keys, `false` and `true` (`SPEC.md` §2). So equal meaning is equal bytes is equal hash, on
//! every pod. Decoding costs time and memory bounded by the length of its input, whoever wrote it.
//!
//! Invariant: this is the only place that names the CBOR library. That library is lenient (it takes unsorted maps, long integers, an
//! array where a map belongs, a byte string where text belongs), so [`decode`] checks the bytes before it and the value after it.

use std::cmp::Ordering;

use serde::{Serialize, de::DeserializeOwned};
use serde_cbor::Value;

use crate::limits;

/// Why bytes were not decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// More bytes than this kind of message may have.
    #[error("{len} bytes, at most {max} are taken")]
    TooLong {
        /// How many bytes there are.
        len: usize,
        /// How many there may be.
        max: usize,
    },
    /// Not the one canonical form of any value.
    #[error("not canonical CBOR at byte {at}: {what}")]
    NotCanonical {
        /// Offset of the item in question.
        at: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Canonical, but not what belongs here: a missing key, a value of another type or out of its range.
    #[error("unexpected shape: {0}")]
    Shape(String),
}

impl CodecError {
    /// A stable machine-readable name, for counters.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too-long",
            Self::NotCanonical { .. } => "not-canonical",
            Self::Shape(_) => "shape",
        }
    }

    /// A shape error whose text stays short, whatever a stranger put into the value it quotes.
    pub(crate) fn shape(text: impl ToString) -> Self {
        Self::Shape(text.to_string().chars().take(200).collect())
    }
}

/// Writes a value in its one canonical form.
///
/// Optional fields that are absent must be left out by their type (`skip_serializing_if`): there is no null.
#[allow(clippy::disallowed_methods)] // the one place
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    // Through `Value`, whose maps are sorted as the canonical form wants; a struct keeps the order of its fields.
    let value = serde_cbor::value::to_value(value).expect("types of this crate have a CBOR form");
    serde_cbor::to_vec(&value).expect("writing to memory does not fail")
}

/// Writes a payload as a map with its version under the key `v`.
#[allow(clippy::disallowed_methods)] // the one place
pub(crate) fn encode_versioned<T: Serialize>(version: u64, value: &T) -> Vec<u8> {
    let mut value = serde_cbor::value::to_value(value).expect("types of this crate have a CBOR form");
    if let Value::Map(entries) = &mut value {
        entries.insert(Value::Text("v".into()), Value::Integer(version.into()));
    }
    serde_cbor::to_vec(&value).expect("writing to memory does not fail")
}

/// Reads a value from canonical bytes, all of them.
///
/// Keys of maps that the type does not know are ignored, so that later versions may add some; keep and relay the bytes, not what was
/// understood of them.
///
/// # Errors
/// Too long, not canonical, or not of this shape.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], max_len: usize) -> Result<T, CodecError> {
    check(bytes, max_len)?;
    let value = peek(bytes)?;
    // The library reads some types from others (text from a byte string, a map from an array). Writing again what was understood must
    // give a part of what was received, or another reader may have understood something else.
    let again = encode(&value);
    if !contains(bytes, &again) {
        return Err(CodecError::shape(
            "a value has another type than its key asks for",
        ));
    }
    Ok(value)
}

/// Whether the item is a map, by its first byte.
pub(crate) fn is_map(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first >> 5 == MAP)
}

/// The two byte strings of a list of exactly two, without copying them.
pub(crate) fn pair_of_byte_strings(bytes: &[u8]) -> Result<(&[u8], &[u8]), CodecError> {
    let mut reader = Reader { bytes, at: 0 };
    let other = || CodecError::shape("not a list of two byte strings");
    if reader.head()? != (ARRAY, 2) {
        return Err(other());
    }
    let mut next = || match reader.head()? {
        (BYTES, len) => reader.take(len),
        _ => Err(other()),
    };
    Ok((next()?, next()?))
}

/// Reads a value without any check of the bytes: only after [`check`], and only to choose how to decode them in earnest.
#[allow(clippy::disallowed_methods)] // the one place
pub(crate) fn peek<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    serde_cbor::from_slice(bytes).map_err(CodecError::shape)
}

/// Checks that bytes are exactly one item in canonical form, within the limits. Allocates nothing.
///
/// # Errors
/// Too long, or not canonical, with the place.
pub fn check(bytes: &[u8], max_len: usize) -> Result<(), CodecError> {
    if bytes.len() > max_len {
        return Err(CodecError::TooLong {
            len: bytes.len(),
            max: max_len,
        });
    }
    let mut reader = Reader { bytes, at: 0 };
    reader.item(0)?;
    if reader.at != bytes.len() {
        return Err(reader.fault(reader.at, "bytes after the end"));
    }
    Ok(())
}

const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;

/// Walks over bytes item by item.
#[derive(Clone, Copy)]
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn fault(&self, at: usize, what: &'static str) -> CodecError {
        CodecError::NotCanonical { at, what }
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], CodecError> {
        let left = &self.bytes[self.at..];
        let len = usize::try_from(len)
            .ok()
            .filter(|len| *len <= left.len())
            .ok_or_else(|| self.fault(self.at, "ends too early"))?;
        self.at += len;
        Ok(&left[..len])
    }

    /// Major type and argument of the next item; refuses every argument that has a shorter form.
    fn head(&mut self) -> Result<(u8, u64), CodecError> {
        let at = self.at;
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 0x1f);
        let (width, least) = match info {
            0..=23 => return Ok((major, u64::from(info))),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            31 => return Err(self.fault(at, "indefinite length")),
            _ => return Err(self.fault(at, "reserved first byte")),
        };
        let argument = self
            .take(width)?
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        if major == SIMPLE {
            return Err(self.fault(at, "neither false nor true"));
        }
        if argument < least {
            return Err(self.fault(at, "a number has a shorter form"));
        }
        Ok((major, argument))
    }

    /// Checks one whole item at the given depth, and returns its bytes.
    fn item(&mut self, depth: usize) -> Result<&'a [u8], CodecError> {
        let at = self.at;
        let (major, argument) = self.head()?;
        match major {
            BYTES => {
                self.take(argument)?;
            }
            TEXT => {
                let text = self.take(argument)?;
                if std::str::from_utf8(text).is_err() {
                    return Err(self.fault(at, "text is not UTF-8"));
                }
            }
            ARRAY | MAP if depth >= limits::NESTING_MAX => return Err(self.fault(at, "nested too deeply")),
            ARRAY if argument > limits::ARRAY_MAX as u64 => return Err(self.fault(at, "too many elements")),
            MAP if argument > limits::MAP_MAX as u64 => return Err(self.fault(at, "too many entries")),
            ARRAY => {
                for _ in 0..argument {
                    self.item(depth + 1)?;
                }
            }
            MAP => self.entries(argument, depth)?,
            TAG => return Err(self.fault(at, "a tag")),
            SIMPLE if argument != 20 && argument != 21 => {
                return Err(self.fault(at, "neither false nor true"));
            }
            _ => {}
        }
        Ok(&self.bytes[at..self.at])
    }

    fn entries(&mut self, count: u64, depth: usize) -> Result<(), CodecError> {
        let mut last: Option<&[u8]> = None;
        for _ in 0..count {
            let at = self.at;
            let key = self.item(depth + 1)?;
            if key[0] >> 5 != TEXT {
                return Err(self.fault(at, "a key of a map is not text"));
            }
            match last.map(|last| last.cmp(key)) {
                Some(Ordering::Equal) => return Err(self.fault(at, "a key of a map occurs twice")),
                Some(Ordering::Greater) => return Err(self.fault(at, "keys of a map are not in order")),
                _ => last = Some(key),
            }
            self.item(depth + 1)?;
        }
        Ok(())
    }
}

/// Whether the first canonical item holds everything of the second: equal, save that its maps may have more keys.
fn contains(received: &[u8], understood: &[u8]) -> bool {
    let mut received = Reader {
        bytes: received,
        at: 0,
    };
    let mut understood = Reader {
        bytes: understood,
        at: 0,
    };
    covers(&mut received, &mut understood).unwrap_or(false)
}

fn covers(received: &mut Reader<'_>, understood: &mut Reader<'_>) -> Result<bool, CodecError> {
    let (mut inner, mut wanted) = (*received, *understood);
    let ((major, count), (wanted_major, wanted_count)) = (inner.head()?, wanted.head()?);
    if major != wanted_major || !matches!(major, ARRAY | MAP) {
        return Ok(received.item(0)? == understood.item(0)?);
    }
    if major == ARRAY {
        if count != wanted_count {
            return Ok(false);
        }
        for _ in 0..count {
            if !covers(&mut inner, &mut wanted)? {
                return Ok(false);
            }
        }
    } else {
        let mut left = wanted_count;
        for _ in 0..count {
            let key = inner.item(0)?;
            let mut ahead = wanted;
            if left > 0 && ahead.item(0)? == key {
                wanted = ahead;
                left -= 1;
                if !covers(&mut inner, &mut wanted)? {
                    return Ok(false);
                }
            } else {
                inner.item(0)?;
            }
        }
        if left > 0 {
            return Ok(false);
        }
    }
    (*received, *understood) = (inner, wanted);
    Ok(true)
}

/// A list of byte strings, for `#[serde(with = "…")]`: serde would write each as a list of numbers.
pub(crate) mod byte_strings {
    use serde::{Deserialize, Deserializer, Serializer};
    use serde_bytes::{ByteBuf, Bytes};

    pub(crate) fn serialize<S: Serializer>(list: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(|bytes| Bytes::new(bytes)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u8>>, D::Error> {
        Ok(Vec::<ByteBuf>::deserialize(deserializer)?
            .into_iter()
            .map(ByteBuf::into_vec)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails here has found something

    use std::collections::BTreeMap;

    use data_encoding::HEXLOWER;
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        HEXLOWER.decode(hex.replace(' ', "").as_bytes()).unwrap()
    }

    fn fault(hex: &str) -> &'static str {
        match check(&bytes(hex), 1 << 20) {
            Err(CodecError::NotCanonical { what, .. }) => what,
            other => panic!("{hex}: {other:?}"),
        }
    }

    #[test]
    fn every_canonical_form_is_taken() {
        for hex in [
            "00",
            "17",
            "1818",
            "18ff",
            "190100",
            "1a00010000",
            "1b0000000100000000",
            "1bffffffffffffffff",
            "20",
            "3bffffffffffffffff",
            "40",
            "4100",
            "60",
            "6141",
            "80",
            "820102",
            "a0",
            "f4",
            "f5",
            "a2 6161 01 6162 02",
            "a2 617a 01 626161 02",
        ] {
            check(&bytes(hex), 100).unwrap_or_else(|error| panic!("{hex}: {error}"));
        }
    }

    #[test]
    fn every_second_form_is_refused_with_its_cause() {
        for hex in [
            "1817",
            "1900ff",
            "1a0000ffff",
            "1b00000000ffffffff",
            "5817 00",
            "7801 41",
            "9801 00",
            "b801 6161 00",
        ] {
            assert_eq!(fault(hex), "a number has a shorter form", "{hex}");
        }
        for hex in ["5f4100ff", "7f6141ff", "9f00ff", "bf616100ff", "ff"] {
            assert_eq!(fault(hex), "indefinite length", "{hex}");
        }
        for hex in [
            "f6",
            "f7",
            "e0",
            "f0",
            "f820",
            "f97e00",
            "fa7fc00000",
            "fb7ff8000000000000",
            "f90000",
        ] {
            assert_eq!(fault(hex), "neither false nor true", "{hex}");
        }
        for hex in ["1c", "3d", "5e", "fc"] {
            assert_eq!(fault(hex), "reserved first byte", "{hex}");
        }
        assert_eq!(fault("c000"), "a tag");
        assert_eq!(fault("d9d9f700"), "a tag");
        assert_eq!(fault("a2 6161 01 6161 02"), "a key of a map occurs twice");
        assert_eq!(fault("a2 6162 01 6161 02"), "keys of a map are not in order");
        assert_eq!(fault("a2 626161 01 617a 02"), "keys of a map are not in order");
        assert_eq!(fault("a1 01 02"), "a key of a map is not text");
        assert_eq!(fault("61ff"), "text is not UTF-8");
        assert_eq!(fault("0000"), "bytes after the end");
        for hex in ["", "18", "41", "81", "a16161", "5bffffffffffffffff"] {
            assert_eq!(fault(hex), "ends too early", "{hex}");
        }
    }

    #[test]
    fn lists_and_depth_have_a_maximum() {
        assert_eq!(fault("991001"), "too many elements");
        assert_eq!(fault("9bffffffffffffffff"), "too many elements");
        assert_eq!(fault("b90101"), "too many entries");
        let nested = |levels: usize| [vec![0x81; levels], vec![0x00]].concat();
        assert_eq!(check(&nested(limits::NESTING_MAX), 100), Ok(()));
        assert_eq!(
            check(&nested(limits::NESTING_MAX + 1), 100),
            Err(CodecError::NotCanonical {
                at: limits::NESTING_MAX,
                what: "nested too deeply"
            })
        );
        assert!(check(&nested(1_000_000), 2_000_000).is_err());
        assert_eq!(
            check(&[0x00, 0x00], 1),
            Err(CodecError::TooLong { len: 2, max: 1 })
        );
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Inner {
        n: u8,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Outer {
        text: String,
        #[serde(with = "serde_bytes")]
        raw: Vec<u8>,
        inner: Inner,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        more: Option<u64>,
    }

    #[test]
    fn unknown_keys_are_ignored_and_nothing_else_is() {
        let known = Outer {
            text: "a".into(),
            raw: vec![9],
            inner: Inner { n: 1 },
            more: None,
        };
        assert_eq!(decode::<Outer>(&encode(&known), 100).unwrap(), known);
        // One key more at the top, and one inside.
        assert_eq!(
            decode::<Outer>(
                &bytes("a4 63726177 4109 6474657874 6161 65696e6e6572 a2 616e 01 617a 00 666675747572 65 80"),
                100
            )
            .unwrap(),
            known
        );
        // Text for bytes, bytes for text, a list for a map: the library takes them all, as no other reader must.
        for hex in [
            "a3 63726177 6109 6474657874 6161 65696e6e6572 a1 616e 01",
            "a3 63726177 4109 6474657874 4161 65696e6e6572 a1 616e 01",
            "a3 63726177 4109 6474657874 6161 65696e6e6572 81 01",
            "a3 63726177 8109 6474657874 6161 65696e6e6572 a1 616e 01",
            "83 6161 4109 a1 616e 01",
        ] {
            assert!(
                matches!(decode::<Outer>(&bytes(hex), 100), Err(CodecError::Shape(_))),
                "{hex}"
            );
        }
        // Too large for its type, negative, missing.
        for hex in [
            "a3 63726177 4109 6474657874 6161 65696e6e6572 a1 616e 190100",
            "a3 63726177 4109 6474657874 6161 65696e6e6572 a1 616e 20",
            "a2 63726177 4109 6474657874 6161",
        ] {
            assert!(
                matches!(decode::<Outer>(&bytes(hex), 100), Err(CodecError::Shape(_))),
                "{hex}"
            );
        }
    }

    #[test]
    fn what_a_stranger_wrote_makes_no_long_error() {
        let long = encode(&vec!["x".repeat(60_000)]);
        let error = decode::<Vec<u64>>(&long, 1 << 20).unwrap_err();
        assert!(error.to_string().len() < 1_000);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_canonical_and_decodes_to_the_same(
            map in prop::collection::btree_map(".{0,30}", prop::collection::vec(any::<i64>(), 0..5), 0..40)
        ) {
            let written = encode(&map);
            check(&written, 1 << 20).unwrap();
            let read: BTreeMap<String, Vec<i64>> = decode(&written, 1 << 20).unwrap();
            prop_assert_eq!(read, map);
        }

        #[test]
        fn bytes_that_pass_the_check_are_written_back_the_same(noise in prop::collection::vec(any::<u8>(), 0..40)) {
            if check(&noise, 100).is_ok() {
                let value: Value = peek(&noise).unwrap();
                prop_assert_eq!(encode(&value), noise);
            }
        }
    }
}
