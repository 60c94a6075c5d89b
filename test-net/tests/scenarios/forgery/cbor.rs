//! CBOR as one likes: also what no pod would write.

use std::iter::once;

/// One item.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Uint(u64),
    /// −1 − n.
    Negative(u64),
    Bytes(Vec<u8>),
    Text(&'static str),
    Array(Vec<Item>),
    /// In the order given.
    Map(Vec<(&'static str, Item)>),
    /// Bytes as they are.
    Raw(Vec<u8>),
}

use Item::{Array, Bytes, Map, Negative, Raw, Text, Uint};

impl Item {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Uint(number) => head(0, *number),
            Negative(number) => head(1, *number),
            Bytes(bytes) => [head(2, bytes.len() as u64), bytes.clone()].concat(),
            Text(text) => [head(3, text.len() as u64), text.as_bytes().to_vec()].concat(),
            Array(items) => once(head(4, items.len() as u64))
                .chain(items.iter().map(Self::encode))
                .collect::<Vec<_>>()
                .concat(),
            Map(entries) => once(head(5, entries.len() as u64))
                .chain(
                    entries
                        .iter()
                        .flat_map(|(key, value)| [Text(key).encode(), value.encode()]),
                )
                .collect::<Vec<_>>()
                .concat(),
            Raw(bytes) => bytes.clone(),
        }
    }

    /// The value under a key of a map.
    pub(super) fn at(&mut self, wanted: &str) -> &mut Self {
        let Map(entries) = self else {
            panic!("{wanted} of no map")
        };
        let found = entries.iter_mut().find(|(key, _)| *key == wanted);
        &mut found.unwrap_or_else(|| panic!("no {wanted} in the map")).1
    }

    /// The same map with another value under a key.
    pub(super) fn with(mut self, key: &str, value: Self) -> Self {
        *self.at(key) = value;
        self
    }

    /// The entries of a map.
    pub(super) fn entries(&mut self) -> &mut Vec<(&'static str, Self)> {
        match self {
            Map(entries) => entries,
            other => panic!("{other:?} is no map"),
        }
    }
}

/// Major type and argument in the shortest form.
fn head(major: u8, argument: u64) -> Vec<u8> {
    let first = major << 5;
    let bytes = argument.to_be_bytes();
    match argument {
        0..24 => vec![first | bytes[7]],
        24..0x100 => vec![first | 24, bytes[7]],
        0x100..0x1_0000 => [&[first | 25], &bytes[6..]].concat(),
        0x1_0000..0x1_0000_0000 => [&[first | 26], &bytes[4..]].concat(),
        _ => [&[first | 27], &bytes[..]].concat(),
    }
}
