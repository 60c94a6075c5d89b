//! Bencode ([BEP 3](https://www.bittorrent.org/beps/bep_0003.html)): the notation of torrent files and of the peer protocol.
//!
//! Writing goes through [`Value`], whose dictionaries are sorted maps, so what comes out is always canonical. Reading goes
//! through [`Reader`], which pulls one value after another out of borrowed bytes and builds no tree: memory stays
//! constant whatever a stranger sends, time is linear in the length, and nesting is refused beyond [`MAX_DEPTH`].
//!
//! The reader accepts the canonical form only: keys sorted and unique, no leading zeros, no `-0`. One sequence of bytes
//! per value is what makes an info hash mean something. What peers say to each other has no hash, and some of them do not sort:
//! there, [`Reader::in_any_order`] takes keys as they come.

use std::collections::BTreeMap;

/// How deep lists and dictionaries may be nested; torrent files need four levels.
pub const MAX_DEPTH: usize = 16;

/// A value to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// A signed number.
    Integer(i64),
    /// A byte string; text is UTF-8 by convention.
    Bytes(&'a [u8]),
    /// Values in the given order.
    List(Vec<Value<'a>>),
    /// Entries, written in the order of their keys' bytes.
    Dict(BTreeMap<&'a [u8], Value<'a>>),
    /// One value that is bencoded already, written as it stands. The caller vouches for it.
    Raw(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The byte string holding `text`.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Self::Bytes(text.as_bytes())
    }

    /// A dictionary with these entries; of two with one key the later stays.
    #[must_use]
    pub fn dict<const N: usize>(entries: [(&'a str, Value<'a>); N]) -> Self {
        Self::Dict(
            entries
                .into_iter()
                .map(|(key, value)| (key.as_bytes(), value))
                .collect(),
        )
    }

    /// The canonical bytes of this value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Integer(number) => out.extend_from_slice(format!("i{number}e").as_bytes()),
            Self::Bytes(bytes) => write_bytes(bytes, out),
            Self::List(values) => {
                out.push(b'l');
                for value in values {
                    value.write(out);
                }
                out.push(b'e');
            }
            Self::Dict(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    write_bytes(key, out);
                    value.write(out);
                }
                out.push(b'e');
            }
            Self::Raw(bytes) => out.extend_from_slice(bytes),
        }
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(bytes.len().to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(bytes);
}

/// What kind of value comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `i…e`
    Integer,
    /// `n:…`
    Bytes,
    /// `l…e`
    List,
    /// `d…e`
    Dict,
}

/// Why bytes are not canonical bencode, or not the value that was asked for. Offsets count from the start of the input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BencodeError {
    /// The input ends inside a value.
    #[error("bencode ends early at byte {at}")]
    Truncated {
        /// Where more was needed.
        at: usize,
    },
    /// A byte that begins or continues no value.
    #[error("unexpected byte 0x{found:02x} at byte {at}")]
    Unexpected {
        /// The byte.
        found: u8,
        /// Its place.
        at: usize,
    },
    /// Another kind of value than the one asked for.
    #[error("expected {expected:?} at byte {at}, found {found:?}")]
    Kind {
        /// What was asked for.
        expected: Kind,
        /// What is there.
        found: Kind,
        /// Its place.
        at: usize,
    },
    /// A number or length with leading zeros, without digits, `-0`, or beyond 64 bits.
    #[error("number at byte {at} is not canonical or too large")]
    Number {
        /// Its place.
        at: usize,
    },
    /// A key that is not greater than the one before it.
    #[error("dictionary key at byte {at} is not greater than the key before it")]
    KeyOrder {
        /// Its place.
        at: usize,
    },
    /// Lists and dictionaries nested beyond [`MAX_DEPTH`].
    #[error("bencode is nested deeper than {MAX_DEPTH} at byte {at}")]
    Depth {
        /// Where the first level too many begins.
        at: usize,
    },
    /// More bytes after the value.
    #[error("{count} bytes follow the bencoded value")]
    Trailing {
        /// How many.
        count: usize,
    },
}

/// Pulls values out of bytes, one after another.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    any_order: bool,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            depth: 0,
            any_order: false,
        }
    }

    /// A reader that takes the keys of dictionaries in any order, and more than once.
    #[must_use]
    pub fn in_any_order(bytes: &'a [u8]) -> Self {
        Self {
            any_order: true,
            ..Self::new(bytes)
        }
    }

    /// What comes next.
    ///
    /// # Errors
    /// When the input is over, or the next byte begins no value.
    pub fn kind(&self) -> Result<Kind, BencodeError> {
        match self.peek()? {
            b'i' => Ok(Kind::Integer),
            b'0'..=b'9' => Ok(Kind::Bytes),
            b'l' => Ok(Kind::List),
            b'd' => Ok(Kind::Dict),
            found => Err(BencodeError::Unexpected { found, at: self.at }),
        }
    }

    /// Reads an integer.
    ///
    /// # Errors
    /// When something else comes next, or the number is not canonical or beyond 64 bits.
    pub fn integer(&mut self) -> Result<i64, BencodeError> {
        self.expect_kind(Kind::Integer)?;
        let at = self.at;
        self.at += 1;
        let negative = self.peek()? == b'-';
        if negative {
            self.at += 1;
        }
        let magnitude = self.digits(b'e')?;
        match (negative, magnitude) {
            (true, 0) => Err(BencodeError::Number { at }),
            (true, _) => 0_i64
                .checked_sub_unsigned(magnitude)
                .ok_or(BencodeError::Number { at }),
            (false, _) => i64::try_from(magnitude).map_err(|_| BencodeError::Number { at }),
        }
    }

    /// Reads a byte string, borrowed from the input.
    ///
    /// # Errors
    /// When something else comes next, the length is not canonical, or the input ends before it.
    pub fn bytes(&mut self) -> Result<&'a [u8], BencodeError> {
        self.expect_kind(Kind::Bytes)?;
        let length = self.digits(b':')?;
        let rest = self.rest();
        let found = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let found = found.ok_or(BencodeError::Truncated { at: self.bytes.len() })?;
        self.at += found.len();
        Ok(found)
    }

    /// Reads a list, calling `item` with the reader before each of its values. A value `item` leaves alone is skipped.
    ///
    /// # Errors
    /// When something else comes next, it is not canonical, or `item` fails.
    pub fn list<E: From<BencodeError>>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.enter(Kind::List)?;
        while !self.leave()? {
            self.one(&mut item)?;
        }
        Ok(())
    }

    /// Reads a dictionary, calling `entry` with each key and the reader before its value. A value `entry` leaves alone
    /// is skipped (and still checked).
    ///
    /// # Errors
    /// When something else comes next, it is not canonical, or `entry` fails.
    pub fn dict<E: From<BencodeError>>(
        &mut self,
        mut entry: impl FnMut(&'a [u8], &mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.enter(Kind::Dict)?;
        let mut last: Option<&[u8]> = None;
        while !self.leave()? {
            let at = self.at;
            let key = self.bytes()?;
            if !self.any_order && last.is_some_and(|last| last >= key) {
                return Err(BencodeError::KeyOrder { at }.into());
            }
            last = Some(key);
            self.one(&mut |reader: &mut Self| entry(key, reader))?;
        }
        Ok(())
    }

    /// Reads one value of any kind and returns its bytes as they stand in the input.
    ///
    /// # Errors
    /// When it is not canonical bencode.
    pub fn raw(&mut self) -> Result<&'a [u8], BencodeError> {
        let start = self.at;
        match self.kind()? {
            Kind::Integer => self.integer().map(drop)?,
            Kind::Bytes => self.bytes().map(drop)?,
            Kind::List => self.list(|reader| reader.raw().map(drop))?,
            Kind::Dict => self.dict(|_, reader| reader.raw().map(drop))?,
        }
        Ok(&self.bytes[start..self.at])
    }

    /// The bytes not read yet; peer messages append raw data to a dictionary.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Ends reading.
    ///
    /// # Errors
    /// When bytes are left.
    pub fn finish(self) -> Result<(), BencodeError> {
        match self.rest().len() {
            0 => Ok(()),
            count => Err(BencodeError::Trailing { count }),
        }
    }

    fn one<E: From<BencodeError>>(
        &mut self,
        visit: &mut impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.at;
        visit(self)?;
        if self.at == before {
            self.raw()?;
        }
        Ok(())
    }

    fn enter(&mut self, kind: Kind) -> Result<(), BencodeError> {
        self.expect_kind(kind)?;
        if self.depth == MAX_DEPTH {
            return Err(BencodeError::Depth { at: self.at });
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn leave(&mut self) -> Result<bool, BencodeError> {
        let over = self.peek()? == b'e';
        if over {
            self.at += 1;
            self.depth -= 1;
        }
        Ok(over)
    }

    fn expect_kind(&self, expected: Kind) -> Result<(), BencodeError> {
        let found = self.kind()?;
        if found == expected {
            Ok(())
        } else {
            Err(BencodeError::Kind {
                expected,
                found,
                at: self.at,
            })
        }
    }

    fn peek(&self) -> Result<u8, BencodeError> {
        self.bytes
            .get(self.at)
            .copied()
            .ok_or(BencodeError::Truncated { at: self.at })
    }

    /// Reads decimal digits up to and including `end`.
    fn digits(&mut self, end: u8) -> Result<u64, BencodeError> {
        let start = self.at;
        let mut value = 0_u64;
        loop {
            let byte = self.peek()?;
            let at = self.at;
            self.at += 1;
            match byte {
                b'0'..=b'9' => {
                    let leading_zero = value == 0 && at > start;
                    let next = value
                        .checked_mul(10)
                        .and_then(|value| value.checked_add(u64::from(byte - b'0')));
                    value = next
                        .filter(|_| !leading_zero)
                        .ok_or(BencodeError::Number { at: start })?;
                }
                _ if byte != end => return Err(BencodeError::Unexpected { found: byte, at }),
                _ if at == start => return Err(BencodeError::Number { at }),
                _ => return Ok(value),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use proptest::prelude::*;

    /// Owns what a `Value` borrows, so that any tree can be made and read back.
    #[derive(Debug, Clone, PartialEq)]
    enum Tree {
        Integer(i64),
        Bytes(Vec<u8>),
        List(Vec<Tree>),
        Dict(BTreeMap<Vec<u8>, Tree>),
    }

    impl Tree {
        fn value(&self) -> Value<'_> {
            match self {
                Self::Integer(number) => Value::Integer(*number),
                Self::Bytes(bytes) => Value::Bytes(bytes),
                Self::List(items) => Value::List(items.iter().map(Self::value).collect()),
                Self::Dict(entries) => Value::Dict(
                    entries
                        .iter()
                        .map(|(key, tree)| (key.as_slice(), tree.value()))
                        .collect(),
                ),
            }
        }

        fn read(reader: &mut Reader<'_>) -> Result<Self, BencodeError> {
            Ok(match reader.kind()? {
                Kind::Integer => Self::Integer(reader.integer()?),
                Kind::Bytes => Self::Bytes(reader.bytes()?.to_vec()),
                Kind::List => {
                    let mut items = Vec::new();
                    reader.list(|reader| Self::read(reader).map(|item| items.push(item)))?;
                    Self::List(items)
                }
                Kind::Dict => {
                    let mut entries = BTreeMap::new();
                    reader.dict(|key, reader| {
                        entries.insert(key.to_vec(), Self::read(reader)?);
                        Ok::<_, BencodeError>(())
                    })?;
                    Self::Dict(entries)
                }
            })
        }
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Tree::Integer),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(Tree::Bytes),
        ];
        leaf.prop_recursive(5, 64, 6, |inner| {
            let key = proptest::collection::vec(any::<u8>(), 0..6);
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Tree::List),
                proptest::collection::btree_map(key, inner, 0..6).prop_map(Tree::Dict),
            ]
        })
    }

    fn raw(bytes: &[u8]) -> Result<(), BencodeError> {
        let mut reader = Reader::new(bytes);
        reader.raw()?;
        reader.finish()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(tree in tree()) {
            let bytes = tree.value().encode();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(Tree::read(&mut reader).unwrap(), tree);
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn any_bytes_give_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = raw(&bytes);
        }

        #[test]
        fn accepted_bytes_are_the_only_form_of_their_value(bytes in "[-0-3idle:]{0,24}") {
            if raw(bytes.as_bytes()).is_ok() {
                let tree = Tree::read(&mut Reader::new(bytes.as_bytes())).unwrap();
                prop_assert_eq!(tree.value().encode(), bytes.as_bytes());
            }
        }
    }

    #[test]
    fn numbers_have_one_form() {
        for good in [
            "i0e",
            "i-1e",
            "i9223372036854775807e",
            "i-9223372036854775808e",
            "0:",
            "1:a",
        ] {
            assert_eq!(raw(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in [
            "ie",
            "i-e",
            "i-0e",
            "i01e",
            "i00e",
            "i-01e",
            "i+1e",
            "i1",
            "i9223372036854775808e",
            "i1.0e",
            "01:a",
            "00:",
            "2:a",
            "-1:a",
            "99999999999999999999:a",
        ] {
            assert!(raw(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_sorted_and_unique() {
        assert_eq!(raw(b"d1:ai1e1:bi2ee"), Ok(()));
        assert_eq!(raw(b"d1:bi1e1:ai2ee"), Err(BencodeError::KeyOrder { at: 7 }));
        assert_eq!(raw(b"d1:ai1e1:ai2ee"), Err(BencodeError::KeyOrder { at: 7 }));
        assert!(matches!(
            raw(b"di1ei2ee"),
            Err(BencodeError::Kind {
                expected: Kind::Bytes,
                ..
            })
        ));
        assert!(raw(b"d1:ae").is_err(), "a key without a value");
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| [vec![b'l'; depth], vec![b'e'; depth]].concat();
        assert_eq!(raw(&nested(MAX_DEPTH)), Ok(()));
        assert_eq!(
            raw(&nested(MAX_DEPTH + 1)),
            Err(BencodeError::Depth { at: MAX_DEPTH })
        );
        assert_eq!(
            raw(&vec![b'd'; 1 << 20]),
            Err(BencodeError::Kind {
                expected: Kind::Bytes,
                found: Kind::Dict,
                at: 1
            })
        );
        assert_eq!(
            raw(&vec![b'l'; 1 << 20]),
            Err(BencodeError::Depth { at: MAX_DEPTH })
        );
    }

    #[test]
    fn entries_left_alone_are_skipped_and_checked() {
        let mut seen = Vec::new();
        let mut reader = Reader::new(b"d1:ali1ei2ee1:bi3eeTAIL");
        reader
            .dict(|key, _| {
                seen.push(key.to_vec());
                Ok::<_, BencodeError>(())
            })
            .unwrap();
        assert_eq!(seen, [b"a".to_vec(), b"b".to_vec()]);
        assert_eq!(reader.rest(), b"TAIL");
        assert_eq!(reader.finish(), Err(BencodeError::Trailing { count: 4 }));
        assert!(
            Reader::new(b"d1:ali01eee")
                .dict(|_, _| Ok::<_, BencodeError>(()))
                .is_err()
        );
    }
}
