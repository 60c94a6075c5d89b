//! A disk: rows that were written. What is on its way is lost in a crash, whole batches at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use seedpod_protocol::envelope::{Header, RegisterKey, Verified};
use seedpod_protocol::ids::{ContentHash, PodId};
use seedpod_protocol::records::Record;

use crate::catalog::records::{StoredRecord, row_key};

/// Which table a row is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Epoch,
    Records,
    Friends,
}

/// What is written in a row. Of a record the form on disk is kept beside what it says, which is read a million times.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Bytes(Vec<u8>),
    Record(Arc<Written>),
}

/// A record on disk.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) header: Header,
    pub(super) hash: ContentHash,
    pub(super) envelope: Arc<[u8]>,
    pub(super) number: u32,
    pub(super) received_s: u32,
    row: Vec<u8>,
}

impl Written {
    pub(super) fn new(record: &Verified<Record>, number: u32, received_s: u32, via: &PodId) -> Self {
        Self {
            header: *record.header(),
            hash: record.hash(),
            envelope: Arc::clone(record.bytes()),
            number,
            received_s,
            row: StoredRecord::encode(number, received_s, via, record.bytes()),
        }
    }

    /// Panics unless the row reads as what was written.
    pub(super) fn check(&self) {
        let read = StoredRecord::decode(&self.row).expect("what was written can be read");
        assert_eq!(read.envelope.header(), &self.header);
        assert_eq!(read.envelope.bytes(), &self.envelope);
        assert_eq!((read.number, read.received_s), (self.number, self.received_s));
    }
}

/// One change of one row; nothing for a deletion.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) table: Table,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Value>,
}

impl Row {
    pub(super) fn put(table: Table, key: impl Into<Vec<u8>>, value: Vec<u8>) -> Self {
        let key = key.into();
        let value = Some(Value::Bytes(value));
        Self { table, key, value }
    }

    pub(super) fn record(written: Written) -> Self {
        Self {
            table: Table::Records,
            key: row_key(&written.header.author, &written.header.key()),
            value: Some(Value::Record(Arc::new(written))),
        }
    }

    pub(super) fn delete(table: Table, key: impl Into<Vec<u8>>) -> Self {
        let key = key.into();
        let value = None;
        Self { table, key, value }
    }
}

/// What is written. A clone is a backup.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk(BTreeMap<(Table, Vec<u8>), Value>);

impl Disk {
    pub(super) fn write(&mut self, rows: Vec<Row>) {
        for Row { table, key, value } in rows {
            match value {
                Some(value) => self.0.insert((table, key), value),
                None => self.0.remove(&(table, key)),
            };
        }
    }

    /// Rows of bytes.
    pub(super) fn scan(&self, table: Table) -> impl Iterator<Item = (&[u8], &[u8])> {
        let rows = self.0.range((table, Vec::new())..);
        rows.take_while(move |((of, _), _)| *of == table)
            .filter_map(|((_, key), value)| match value {
                Value::Bytes(bytes) => Some((key.as_slice(), bytes.as_slice())),
                Value::Record(_) => None,
            })
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &Arc<Written>> {
        let rows = self.0.range((Table::Records, Vec::new())..);
        rows.map_while(|(_, value)| match value {
            Value::Record(written) => Some(written),
            Value::Bytes(_) => None,
        })
    }

    pub(super) fn epoch_counter(&self) -> u32 {
        let row = self.scan(Table::Epoch).next();
        row.map_or(0, |(_, value)| {
            u32::from_be_bytes(value.try_into().expect("four bytes"))
        })
    }

    /// The head of a register.
    pub(super) fn head(&self, author: &PodId, key: &RegisterKey) -> Option<&Written> {
        match self.0.get(&(Table::Records, row_key(author, key)))? {
            Value::Record(written) => Some(written),
            Value::Bytes(_) => None,
        }
    }
}
