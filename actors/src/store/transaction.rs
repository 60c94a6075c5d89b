//! Transactions: what is changed together, and their form in the journal.
//!
//! Form of one transaction, integers big-endian: `u32` number of operations, then each as `u8` tag (1 put, 2 delete),
//! `u8` table, `u16` key length, key, and for a put `u32` value length, value.

use super::StoreError;
use super::tables::Table;

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;

/// Longest value, in bytes: an envelope of the largest size fits with room to spare. Anything longer belongs into a file.
pub const MAX_VALUE_BYTES: usize = 96 * 1024;

/// Largest transaction, in bytes of its form in the journal.
pub const MAX_TRANSACTION_BYTES: usize = 16 * 1024 * 1024;

const TAG_PUT: u8 = 1;
const TAG_DELETE: u8 = 2;

/// One change of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    /// Number of the table; one we do not know (yet) is kept like the others.
    pub(super) table: u8,
    pub(super) key: Vec<u8>,
    /// The new value, or nothing for a deletion.
    pub(super) value: Option<Vec<u8>>,
}

/// Changes that happen together or not at all, in order: of two changes of one key, the later one holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a transaction changes nothing until it is committed"]
pub struct Transaction {
    operations: Vec<Operation>,
}

impl Transaction {
    /// A transaction without changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the value of a key.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> &mut Self {
        self.operations.push(Operation {
            table: table.number(),
            key: key.into(),
            value: Some(value.into()),
        });
        self
    }

    /// Removes a key; one that is not there is no error.
    pub fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) -> &mut Self {
        self.operations.push(Operation {
            table: table.number(),
            key: key.into(),
            value: None,
        });
        self
    }

    /// Adds the changes of another transaction after the ones here.
    pub fn merge(&mut self, other: Transaction) -> &mut Self {
        self.operations.extend(other.operations);
        self
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    pub(super) fn into_operations(self) -> Vec<Operation> {
        self.operations
    }

    /// Refuses what is above the limits, so that whatever reaches the journal can be read back.
    pub(super) fn check_limits(&self) -> Result<(), StoreError> {
        let too_large = |what, bytes, limit| Err(StoreError::TooLarge { what, bytes, limit });
        for Operation { key, value, .. } in &self.operations {
            if key.len() > MAX_KEY_BYTES {
                return too_large("key", key.len(), MAX_KEY_BYTES);
            }
            if let Some(value) = value.as_ref().filter(|value| value.len() > MAX_VALUE_BYTES) {
                return too_large("value", value.len(), MAX_VALUE_BYTES);
            }
        }
        if self.encoded_len() > MAX_TRANSACTION_BYTES {
            return too_large("transaction", self.encoded_len(), MAX_TRANSACTION_BYTES);
        }
        Ok(())
    }

    /// Bytes of its form in the journal.
    pub(crate) fn encoded_len(&self) -> usize {
        4 + self
            .operations
            .iter()
            .map(|o| 4 + o.key.len() + o.value.as_ref().map_or(0, |v| 4 + v.len()))
            .sum::<usize>()
    }

    /// Appends the journal's form; the limits were checked before.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend(bounded_u32(self.operations.len()).to_be_bytes());
        for Operation { table, key, value } in &self.operations {
            out.extend([if value.is_some() { TAG_PUT } else { TAG_DELETE }, *table]);
            out.extend(
                u16::try_from(key.len())
                    .expect("keys are at most MAX_KEY_BYTES long")
                    .to_be_bytes(),
            );
            out.extend(key);
            if let Some(value) = value {
                out.extend(bounded_u32(value.len()).to_be_bytes());
                out.extend(value);
            }
        }
    }

    /// Reads one transaction from the front of `bytes` and moves past it; nothing if they are not one.
    pub(super) fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let count = take_u32(bytes)?;
        let mut operations = Vec::new(); // grows with what is there, not with what `count` claims
        for _ in 0..count {
            let &[tag, table] = take(bytes, 2)? else {
                return None;
            };
            let key_length = take(bytes, 2)?.try_into().ok().map(u16::from_be_bytes)?;
            let key = take(bytes, key_length.into())?.to_vec();
            let value = match tag {
                TAG_PUT => {
                    let length = usize::try_from(take_u32(bytes)?).ok()?;
                    Some(take(bytes, length)?.to_vec())
                }
                TAG_DELETE => None,
                _ => return None,
            };
            operations.push(Operation { table, key, value });
        }
        Some(Self { operations })
    }
}

fn bounded_u32(length: usize) -> u32 {
    u32::try_from(length).expect("a transaction is at most MAX_TRANSACTION_BYTES long")
}

pub(super) fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (front, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(front)
}

pub(super) fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    take(bytes, 4)?.try_into().ok().map(u32::from_be_bytes)
}

pub(super) fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    take(bytes, 8)?.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

    use super::*;
    use crate::store::tables::{META, USERS};

    #[test]
    fn a_transaction_survives_its_journal_form() {
        let mut transaction = Transaction::new();
        transaction
            .put(META, "name", "value")
            .delete(USERS, "bob")
            .put(USERS, "", "");
        let mut bytes = Vec::new();
        transaction.encode(&mut bytes);
        assert_eq!(bytes.len(), transaction.encoded_len());
        let mut rest = bytes.as_slice();
        assert_eq!(Transaction::decode(&mut rest).unwrap(), transaction);
        assert!(rest.is_empty());
        for cut in 0..bytes.len() {
            assert_eq!(Transaction::decode(&mut &bytes[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn a_count_from_nowhere_takes_no_memory() {
        assert_eq!(Transaction::decode(&mut [0xff; 12].as_slice()), None);
    }

    #[test]
    fn limits_are_refused_by_name() {
        let refused = |key: usize, value: usize| {
            let mut transaction = Transaction::new();
            transaction.put(META, vec![0; key], vec![0; value]);
            match transaction.check_limits() {
                Ok(()) => "",
                Err(StoreError::TooLarge { what, .. }) => what,
                Err(other) => panic!("{other}"),
            }
        };
        assert_eq!(refused(MAX_KEY_BYTES, MAX_VALUE_BYTES), "");
        assert_eq!(refused(MAX_KEY_BYTES + 1, 0), "key");
        assert_eq!(refused(0, MAX_VALUE_BYTES + 1), "value");
        let mut many = Transaction::new();
        for key in 0..200_u32 {
            many.put(META, key.to_be_bytes(), vec![0; MAX_VALUE_BYTES]);
        }
        assert!(matches!(
            many.check_limits(),
            Err(StoreError::TooLarge {
                what: "transaction",
                ..
            })
        ));
    }
}
