//! The index: the journal applied to sled, so that single rows are found quickly. Only this file names sled.
//!
//! **One tree for all tables**, a row's key being table number ‖ key: sled makes one batch on one tree atomic across a crash, so
//! rows of several tables and the marker that says how far the journal is applied are there together or not at all.
//!
//! **The index is not trusted.** sled's `flush` is not durable, and a damaged sled may open and answer with rows missing. The
//! marker holds the number of rows per table and the sum of a hash over all rows; start reads all rows and compares. Whatever
//! is wrong, including a panic inside sled, the answer is the same: set it aside, build it again from the journal.

use std::collections::BTreeMap;
use std::fs;
use std::ops::{Bound, RangeBounds};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tracing::warn;

use super::StoreError;
use super::cut::{Cut, Saved};
use super::journal::JournalId;
use super::tables::Table;
use super::transaction::{Operation, take, take_u64};

/// The marker's place: the key of table 0, which is no table.
const MARKER_KEY: &[u8] = &[0];
/// The file that sled writes its log to.
pub(super) const FILE: &str = "db";
const MARKER_VERSION: u8 = 1;

/// How long sled may take to let go of its lock.
const LOCK_DEADLINE: Duration = Duration::from_secs(5);

/// Damaged indexes kept for a look; older ones make room.
const KEPT_DAMAGED: usize = 2;

/// The rows, for reading; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    tree: sled::Db,
    counts: Arc<[AtomicU64; 256]>,
}

/// The rows, for the one who writes.
#[derive(Debug)]
pub(super) struct Index {
    rows: Rows,
    marker: Marker,
    /// What a cut that somebody is reading must not lose.
    cut: Weak<Saved>,
}

/// What a set of rows claims to be: the index, or a snapshot of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) journal: JournalId,
    /// Number of the last transaction applied.
    pub(super) applied: u64,
    sum: RowSum,
    rows: BTreeMap<u8, u64>,
}

/// Sum of the hashes of a set of rows: the same whatever their order, and easily kept up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct RowSum(u128);

impl Index {
    /// Opens the index of a journal and checks every row. The error is a text for people; the index is then to be set aside.
    pub(super) fn open(folder: &Path, journal: JournalId, cache_bytes: u64) -> Result<Self, String> {
        // sled panics on some damage instead of returning an error.
        catch_unwind(AssertUnwindSafe(|| {
            Self::open_and_check(folder, journal, cache_bytes)
        }))
        .unwrap_or_else(|panic| {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or(panic.downcast_ref::<&str>().copied());
            Err(format!("panic: {}", text.unwrap_or("without a text")))
        })
    }

    fn open_and_check(folder: &Path, journal: JournalId, cache_bytes: u64) -> Result<Self, String> {
        let text = |error: sled::Error| error.to_string();
        let tree = open_tree(folder, cache_bytes).map_err(text)?;
        let mut found = Marker {
            journal,
            ..Marker::default()
        };
        let mut claimed = None;
        for row in tree.iter() {
            let (key, value) = row.map_err(text)?;
            if key == MARKER_KEY {
                claimed = Some(Marker::decode(&value).ok_or("its marker is not one")?);
            } else {
                found.count(&key, None, Some(&value));
            }
        }
        let marker = claimed.unwrap_or(Marker {
            journal,
            ..Marker::default()
        });
        found.applied = marker.applied;
        if marker.journal != journal {
            return Err("it belongs to another journal".into());
        }
        if marker != found {
            return Err(format!("its {} rows are not those it says it has", found.total()));
        }
        let counts = Arc::new([const { AtomicU64::new(0) }; 256]);
        let index = Self {
            rows: Rows { tree, counts },
            marker,
            cut: Weak::new(),
        };
        index.show_counts();
        Ok(index)
    }

    /// Number of the last transaction applied.
    pub(super) fn applied(&self) -> u64 {
        self.marker.applied
    }

    /// Whether nothing was ever applied.
    pub(super) fn is_blank(&self) -> bool {
        self.marker.applied == 0 && self.marker.rows.is_empty()
    }

    /// What the index claims to be.
    pub(super) fn marker(&self) -> &Marker {
        &self.marker
    }

    /// A cut of all rows as they are now, which stays as it is while the index goes on changing. One at a time: another cut ends
    /// the one before.
    pub(super) fn cut(&mut self) -> Cut {
        let cut = Cut::new(self.rows.clone(), self.marker.clone());
        self.cut = cut.saved();
        cut
    }

    pub(super) fn rows(&self) -> Rows {
        self.rows.clone()
    }

    /// Applies operations in order, up to and with transaction `last`, as one step that a crash cannot split.
    pub(super) fn apply(
        &mut self,
        operations: impl IntoIterator<Item = Operation>,
        last: u64,
    ) -> Result<(), StoreError> {
        let mut changes = BTreeMap::new();
        for Operation {
            table,
            mut key,
            value,
        } in operations
        {
            key.insert(0, table);
            changes.insert(key, value);
        }
        let mut marker = self.marker.clone();
        marker.applied = last;
        let mut batch = sled::Batch::default();
        let cut = self.cut.upgrade();
        // Held until the rows have changed: whoever reads the cut sees a row as it was, here or there.
        let mut saved = cut.as_ref().map(|cut| cut.lock());
        for (key, value) in changes {
            let old = self.rows.tree.get(&key).map_err(index_error)?;
            if let Some(saved) = &mut saved {
                saved.save(&key, old.as_deref());
            }
            marker.count(&key, old.as_deref(), value.as_deref());
            match value {
                Some(value) => batch.insert(key, value),
                None if old.is_some() => batch.remove(key),
                None => {}
            }
        }
        batch.insert(MARKER_KEY, marker.encode());
        self.rows.tree.apply_batch(batch).map_err(index_error)?;
        drop(saved);
        self.marker = marker;
        self.show_counts();
        Ok(())
    }

    /// What a faulty sled might do.
    #[cfg(test)]
    pub(super) fn lose_a_row(&self) {
        let (key, _) = self.rows.tree.last().ok().flatten().expect("there are rows");
        self.rows.tree.remove(key).expect("sled works");
    }

    /// Writes out what sled still holds, so that the next start has less to replay.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        self.rows.tree.flush().map(drop).map_err(index_error)
    }

    fn show_counts(&self) {
        for (table, count) in (0..=u8::MAX).zip(self.rows.counts.iter()) {
            count.store(
                self.marker.rows.get(&table).copied().unwrap_or(0),
                Ordering::Release,
            );
        }
    }
}

impl Rows {
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .tree
            .get(full_key(table, key))
            .map_err(index_error)?
            .map(|value| value.to_vec()))
    }

    pub(super) fn scan_prefix(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, Vec<u8>), StoreError>> + use<> {
        self.tree.scan_prefix(full_key(table, prefix)).map(own_row)
    }

    pub(super) fn scan_range<R: RangeBounds<Vec<u8>>>(
        &self,
        table: Table,
        range: R,
    ) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, Vec<u8>), StoreError>> + use<R> {
        let start = match range.start_bound() {
            Bound::Included(key) => Bound::Included(full_key(table, key)),
            Bound::Excluded(key) => Bound::Excluded(full_key(table, key)),
            Bound::Unbounded => Bound::Included(vec![table.number()]),
        };
        let end = match range.end_bound() {
            Bound::Included(key) => Bound::Included(full_key(table, key)),
            Bound::Excluded(key) => Bound::Excluded(full_key(table, key)),
            Bound::Unbounded => Bound::Excluded(vec![table.number() + 1]),
        };
        self.tree.range::<Vec<u8>, _>((start, end)).map(own_row)
    }

    /// The next rows of all tables after a whole key (or from the start), in order, with whole keys.
    pub(super) fn after(
        &self,
        key: Option<&[u8]>,
    ) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), StoreError>> + use<> {
        let start = Bound::Excluded(key.unwrap_or(MARKER_KEY).to_vec());
        self.tree
            .range::<Vec<u8>, _>((start, Bound::Unbounded))
            .map(|row| {
                row.map(|(key, value)| (key.to_vec(), value.to_vec()))
                    .map_err(index_error)
            })
    }

    pub(super) fn len(&self, table: Table) -> u64 {
        self.counts[usize::from(table.number())].load(Ordering::Acquire)
    }
}

/// Whether anything was ever written to the index in a folder.
pub(super) fn is_begun(folder: &Path) -> bool {
    fs::metadata(folder.join(FILE)).is_ok_and(|file| file.len() > 0)
}

/// Moves a damaged index out of the way, to `index.damaged-<n>`, and drops the oldest of those.
pub(super) fn set_aside(folder: &Path) -> Result<(), StoreError> {
    let parent = folder.parent().unwrap_or(Path::new("."));
    let prefix = format!(
        "{}.damaged-",
        folder.file_name().unwrap_or_default().to_string_lossy()
    );
    let mut earlier = Vec::new();
    for entry in fs::read_dir(parent).map_err(StoreError::io(parent))? {
        let path = entry.map_err(StoreError::io(parent))?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if let Some(number) = name
            .strip_prefix(&prefix)
            .and_then(|number| number.parse::<u64>().ok())
        {
            earlier.push((number, path));
        }
    }
    earlier.sort_unstable();
    let next = earlier.last().map_or(1, |(number, _)| number + 1);
    let aside = parent.join(format!("{prefix}{next}"));
    fs::rename(folder, &aside).map_err(StoreError::io(folder))?;
    let surplus = (earlier.len() + 1).saturating_sub(KEPT_DAMAGED);
    for (_, path) in earlier.into_iter().take(surplus) {
        if let Err(error) = fs::remove_dir_all(&path) {
            warn!(folder = %path.display(), %error, "old damaged index not removed");
        }
    }
    Ok(())
}

impl Marker {
    /// No rows yet, of a journal up to some transaction.
    pub(super) fn empty(journal: JournalId, applied: u64) -> Self {
        Self {
            journal,
            applied,
            ..Self::default()
        }
    }

    /// Notes that the row of `key` went from `old` to `new`.
    pub(super) fn count(&mut self, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        let table = key.first().copied().unwrap_or(0);
        let rows = self.rows.entry(table).or_default();
        if let Some(old) = old {
            self.sum = RowSum(self.sum.0.wrapping_sub(row_hash(key, old)));
            *rows = rows.saturating_sub(1);
        }
        if let Some(new) = new {
            self.sum = RowSum(self.sum.0.wrapping_add(row_hash(key, new)));
            *rows += 1;
        }
        if *rows == 0 {
            self.rows.remove(&table); // an empty table and an absent one are the same
        }
    }

    /// Number of rows in all tables.
    pub(super) fn total(&self) -> u64 {
        self.rows.values().sum()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![MARKER_VERSION];
        bytes.extend(self.journal);
        bytes.extend(self.applied.to_be_bytes());
        bytes.extend(self.sum.0.to_be_bytes());
        for (&table, &rows) in &self.rows {
            bytes.push(table);
            bytes.extend(rows.to_be_bytes());
        }
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (checked, crc) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        if crc != crc32fast::hash(checked).to_be_bytes() {
            return None;
        }
        let mut rest = checked.strip_prefix(&[MARKER_VERSION])?;
        let journal = take(&mut rest, 16)?.try_into().ok()?;
        let applied = take_u64(&mut rest)?;
        let sum = RowSum(u128::from_be_bytes(take(&mut rest, 16)?.try_into().ok()?));
        let mut rows = BTreeMap::new();
        while let Some((&table, after)) = rest.split_first() {
            rest = after;
            rows.insert(table, take_u64(&mut rest)?);
        }
        Some(Self {
            journal,
            applied,
            sum,
            rows,
        })
    }
}

/// Opens sled. Its lock may still be held for a moment, by threads it had when this process had it open before; nobody else can have
/// it open, since the whole folder is locked by us.
fn open_tree(folder: &Path, cache_bytes: u64) -> sled::Result<sled::Db> {
    let deadline = Instant::now() + LOCK_DEADLINE;
    loop {
        let opened = sled::Config::new()
            .path(folder)
            .cache_capacity(cache_bytes)
            .open();
        match opened {
            Err(sled::Error::Io(error))
                if error.to_string().contains("lock") && Instant::now() < deadline =>
            {
                thread::yield_now();
            }
            opened_or_refused => return opened_or_refused,
        }
    }
}

fn row_hash(key: &[u8], value: &[u8]) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_be_bytes());
    hasher.update(key);
    hasher.update(value);
    let hash = hasher.finalize();
    let (front, _) = hash
        .as_bytes()
        .split_first_chunk()
        .expect("a blake3 hash has 32 bytes, 16 are asked for");
    u128::from_be_bytes(*front)
}

fn full_key(table: Table, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(1 + key.len());
    full.push(table.number());
    full.extend(key);
    full
}

fn own_row(row: sled::Result<(sled::IVec, sled::IVec)>) -> Result<(Vec<u8>, Vec<u8>), StoreError> {
    let (key, value) = row.map_err(index_error)?;
    Ok((key.get(1..).unwrap_or_default().to_vec(), value.to_vec()))
}

fn index_error(error: sled::Error) -> StoreError {
    StoreError::Index(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

    use super::*;
    use crate::store::tables::META;

    const JOURNAL: JournalId = [7; 16];

    fn index_with_rows(folder: &Path) -> Index {
        let mut index = Index::open(folder, JOURNAL, 1 << 20).unwrap();
        let row = |key: u8| Operation {
            table: META.number(),
            key: vec![key],
            value: Some(vec![key; 50]),
        };
        index.apply((0..100).map(row), 1).unwrap();
        index
    }

    #[test]
    fn rows_that_sled_lost_or_changed_are_noticed() {
        let row = |key: u8| vec![META.number(), key];
        for (what, key, value) in [
            ("a row is missing", row(50), None),
            ("a row is back", row(200), Some(vec![1])),
            ("a value is another", row(50), Some(vec![51; 50])),
            ("the marker is gone", MARKER_KEY.to_vec(), None),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let tree = index_with_rows(folder.path()).rows.tree;
            match value {
                Some(value) => tree.insert(key, value).unwrap(),
                None => tree.remove(key).unwrap(),
            };
            drop(tree);
            let error = Index::open(folder.path(), JOURNAL, 1 << 20).expect_err(what);
            assert!(error.contains("rows are not those"), "{what}: {error}");
        }
    }

    #[test]
    fn a_whole_index_says_how_far_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut index = index_with_rows(folder.path());
        let removal = Operation {
            table: META.number(),
            key: vec![3],
            value: None,
        };
        index.apply([removal.clone(), removal], 5).unwrap();
        drop(index);
        let index = Index::open(folder.path(), JOURNAL, 1 << 20).unwrap();
        assert_eq!((index.applied(), index.rows().len(META)), (5, 99));
        assert_eq!(
            Marker::decode(&index.marker.encode()).as_ref(),
            Some(&index.marker)
        );
    }
}
