//! A cut: all rows of the index as they were at one moment, read in pieces while the index goes on changing.
//!
//! sled has no such thing. So the one who writes saves the old value of a row before it changes it, unless the reader is past that
//! row, and the reader puts the old values back where it comes by. Nobody waits longer than one piece takes to read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::index::{Marker, Rows};
use super::snapshot::SnapshotError;

/// Rows in one piece, and bytes after which a piece takes no more.
const PIECE_ROWS: usize = 512;
const PIECE_BYTES: usize = 256 * 1024;

/// Bytes of old rows that may wait for the reader; above that the cut is lost.
const SAVED_BYTES: usize = 32 * 1024 * 1024;

/// What a saved row costs beside its bytes.
const SAVED_ROW: usize = 64;

/// Some rows by their whole keys.
pub(super) type Piece = BTreeMap<Vec<u8>, Vec<u8>>;

/// The reader's side.
#[derive(Debug)]
pub(super) struct Cut {
    rows: Rows,
    marker: Marker,
    saved: Arc<Saved>,
}

/// The writer's side.
#[derive(Debug, Default)]
pub(super) struct Saved(Mutex<State>);

#[derive(Debug, Default)]
pub(super) struct State {
    /// The last whole key that was read.
    read: Option<Vec<u8>>,
    is_read: bool,
    /// Old values of rows that changed before they were read; nothing where there was no row.
    old: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: usize,
    is_lost: bool,
}

impl Cut {
    pub(super) fn new(rows: Rows, marker: Marker) -> Self {
        Self {
            rows,
            marker,
            saved: Arc::default(),
        }
    }

    pub(super) fn saved(&self) -> Weak<Saved> {
        Arc::downgrade(&self.saved)
    }

    /// What the rows of this cut are.
    pub(super) fn marker(&self) -> &Marker {
        &self.marker
    }

    /// The next rows in the order of their whole keys, maybe none at all; nothing after the last. [`SnapshotError::Lost`] if too much
    /// changed meanwhile, [`SnapshotError::Rows`] if the index cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, SnapshotError> {
        let mut state = self.saved.lock();
        if state.is_lost {
            return Err(SnapshotError::Lost);
        }
        if state.is_read {
            return Ok(None);
        }
        let (mut piece, mut bytes) = (Piece::new(), 0);
        let mut last = None;
        for row in self.rows.after(state.read.as_deref()) {
            let (key, value) = row.map_err(SnapshotError::Rows)?;
            bytes += key.len() + value.len();
            last = Some(key.clone());
            piece.insert(key, value);
            if piece.len() >= PIECE_ROWS || bytes >= PIECE_BYTES {
                break;
            }
        }
        if piece.len() < PIECE_ROWS && bytes < PIECE_BYTES {
            last = None; // there are no more rows: whatever was saved belongs to this piece
        }
        for (key, old) in state.take_through(last.as_deref()) {
            match old {
                Some(value) => piece.insert(key, value),
                None => piece.remove(&key),
            };
        }
        state.is_read = last.is_none();
        state.read = last;
        Ok(Some(piece))
    }
}

impl Saved {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Saves what a row was before it changes for the first time.
    pub(super) fn save(&mut self, key: &[u8], old: Option<&[u8]>) {
        let is_past = self.is_read || self.read.as_deref().is_some_and(|read| key <= read);
        if is_past || self.is_lost || self.old.contains_key(key) {
            return;
        }
        self.bytes += cost(key, old);
        self.old.insert(key.to_vec(), old.map(<[u8]>::to_vec));
        if self.bytes > SAVED_BYTES {
            self.is_lost = true;
            self.old = BTreeMap::new();
        }
    }

    /// The saved rows up to and with a key, or all.
    fn take_through(&mut self, last: Option<&[u8]>) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        let mut later = last.map_or_else(BTreeMap::new, |last| self.old.split_off(last));
        let at_last = last.and_then(|last| later.remove_entry(last));
        let mut taken = std::mem::replace(&mut self.old, later);
        taken.extend(at_last);
        let freed: usize = taken.iter().map(|(key, old)| cost(key, old.as_deref())).sum();
        self.bytes = self.bytes.saturating_sub(freed);
        taken
    }
}

fn cost(key: &[u8], old: Option<&[u8]>) -> usize {
    SAVED_ROW + key.len() + old.map_or(0, <[u8]>::len)
}
