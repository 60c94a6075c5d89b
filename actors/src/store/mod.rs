//! The store: everything a pod must not forget, except media and keys.
//!
//! A [`Transaction`] changes rows of any tables ([`tables`] has them all) together or not at all. [`Store::commit`] answers after
//! the transaction was appended to our journal, the journal was synced to the disk (`fdatasync`), and the rows were applied to
//! the index; so an answer is a promise that survives `kill -9` and power cuts, and every read sees every answered commit.
//!
//! - **The journal is the truth** (`journal.rs`): checksummed segment files under `journal/`, written by one thread (`writer.rs`).
//! - **Snapshots keep it short** (`snapshot.rs`, `cut.rs`, `retention.rs`): all rows in one file under `snapshots/`, verified by reading it
//!   back; two are kept, and the journal after the older one.
//! - **The index is derived** (`index.rs`): sled under `index/`, checked whole at start, set aside and built again when in doubt.
//! - **A full disk refuses and forgets nothing** (`space.rs`): a transaction without room is answered [`StoreError::Full`] and leaves no
//!   trace, small ones go on for a while from a reserve, and when there is room again all goes on without a restart.
//! - **The folder is ours alone** (`folder.rs`): locked, private, and refused untouched if a newer release wrote it.
//!
//! - **Older formats are brought up to date** (`migrations.rs`), by numbered steps, with a copy kept.
//!
//! Start reads the journal, opens the index, applies what the index lacks, and only then answers. What is found decides:
//!
//! | found | what start does |
//! |---|---|
//! | the end of the journal cut short, as a crash leaves it | cuts it off with a warning; nobody was told that this write had happened |
//! | the index damaged, missing, or older than the journal | builds it again from the newest snapshot that verifies and the journal after it |
//! | a snapshot damaged | takes the older one |
//! | no segment at all, beside an index or a snapshot that was made from some | refuses: the journal was lost, and is not begun anew |
//! | a segment damaged or missing of which a snapshot has all it said | warns and goes on from the snapshot; the next snapshots let the segment go |
//! | anything else that was once durable hurt | refuses ([`StoreError::Damaged`]) and changes nothing |
//!
//! If the journal ends before what the index has applied, an operator who accepts the loss removes `index/`, and the index is
//! built from what is left.
//!
//! Reads cost microseconds and may be done in a handler; scans of whole tables belong on a blocking thread.

mod cut;
mod error;
mod folder;
mod index;
mod journal;
mod metrics;
mod migrations;
mod retention;
mod snapshot;
mod space;
pub mod tables;
#[cfg(test)]
mod tests;
mod transaction;
mod writer;

use std::fs::File;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

pub use self::error::StoreError;
use self::folder::Folder;
use self::index::{Index, Rows};
use self::journal::{Journal, JournalId, Survey};
pub use self::metrics::StoreMetrics;
pub use self::migrations::FORMAT;
use self::migrations::Release;
use self::retention::Retention;
use self::snapshot::Snapshot;
use self::space::Space;
pub use self::tables::Table;
pub use self::transaction::{MAX_KEY_BYTES, MAX_TRANSACTION_BYTES, MAX_VALUE_BYTES, Transaction};
use self::writer::{Order, QUEUE, Writer};

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Memory the index may use to hold rows, in bytes. Approximate: expect up to twice as much.
    pub index_cache_bytes: u64,
    /// Size from which a journal segment is followed by a new one, in bytes.
    pub segment_bytes: u64,
    /// Size of the journal after the newest snapshot from which the next one is made, in bytes; never below that snapshot's size.
    pub snapshot_bytes: u64,
    /// Size of the reserve for a full disk, in bytes; 0 for none.
    pub reserve_bytes: u64,
    /// Where the store counts.
    pub metrics: StoreMetrics,
}

impl Default for StoreOptions {
    /// 64 MiB each, 4 MiB of reserve, and counters nobody reads.
    fn default() -> Self {
        Self {
            index_cache_bytes: 64 * 1024 * 1024,
            segment_bytes: 64 * 1024 * 1024,
            snapshot_bytes: 64 * 1024 * 1024,
            reserve_bytes: 4 * 1024 * 1024,
            metrics: StoreMetrics::default(),
        }
    }
}

/// A handle to the open store; clones share it.
///
/// When the last handle is dropped, everything queued is still written and the folder is free again when `drop` returns.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    rows: Rows,
    orders: Mutex<Option<mpsc::Sender<Order>>>,
    failure: Arc<OnceLock<Arc<str>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    // Last, so that it is freed after everything else.
    _lock: File,
}

impl Store {
    /// Opens the store in a data folder, and makes it if there is none. Blocks while it reads the journal and the index: call
    /// it on a blocking thread.
    ///
    /// Refuses a folder in use, a newer format (before touching anything) and a damaged journal; see [`StoreError`].
    pub fn open(folder: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        Self::open_as(folder, options, &migrations::THIS)
    }

    /// Opens the store as a release does: with the formats and migrations it knows.
    fn open_as(folder: &Path, options: StoreOptions, release: &Release) -> Result<Self, StoreError> {
        let folder = Folder::new(folder);
        let format = folder.check_format(release.format)?;
        journal::check_format(&folder.journal, release.format)?;
        snapshot::check_format(&folder.snapshots, release.format)?;
        let lock = folder.enter()?;
        if format.is_none() {
            folder.write_format(release.format)?;
        }
        folder.tighten_format()?;

        let mut space = Space::open(&folder.root, options.reserve_bytes);
        space.make_room();

        let mut snapshots = Snapshots::list(&folder)?;
        let survey = journal::survey(&folder.journal, |id| {
            snapshots.newest_verified(id).map_or(0, |newest| newest.applied)
        })?;
        snapshots.check_against(&survey, &folder.journal)?;
        let id = survey.id.unwrap_or_else(rand::random);
        let mut index = open_index(&folder, id, options.index_cache_bytes, &survey, &mut snapshots)?;
        if index.applied() > survey.last {
            let what = format!(
                "the journal ends with transaction {}, but the index has {}",
                survey.last,
                index.applied()
            );
            return Err(survey.damaged_at_end(&folder.journal, what));
        }
        space.watch_index(&folder.index.join(index::FILE));
        let mut journal = Journal::open(
            &folder.journal,
            &survey,
            id,
            release.format,
            options.segment_bytes,
        )?;
        catch_up(&survey, &mut index)?;
        if let Some(found) = format {
            migrations::run(release, found, &folder, &mut journal, &mut index)?;
        }
        folder::tighten_all(&folder.journal)?;
        folder::tighten_all(&folder.index)?;
        let (sender, orders) = mpsc::channel(QUEUE);
        snapshots.set_damaged_aside()?;
        let retention = Retention::open(
            folder.clone(),
            release.format,
            options.snapshot_bytes,
            &mut journal,
            sender.downgrade(),
            options.metrics.clone(),
        )?;

        let rows = index.rows();
        let failure = Arc::new(OnceLock::new());
        let writer = Writer {
            journal,
            index,
            space,
            retention,
            orders,
            failure: Arc::clone(&failure),
            metrics: options.metrics,
        };
        let writer = thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run())
            .map_err(StoreError::io(&folder.root))?;
        let inner = Inner {
            rows,
            orders: Mutex::new(Some(sender)),
            failure,
            writer: Mutex::new(Some(writer)),
            _lock: lock,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Makes a transaction durable. It is on the disk and visible to every read when this answers `Ok`; transactions take
    /// effect in the order their commits were first polled. One without changes is answered at once.
    ///
    /// Waits for room while many transactions queue. Dropping the future before it answers leaves open whether the
    /// transaction happens. [`StoreError::Full`] is no lasting state: the same transaction may be tried again.
    pub async fn commit(&self, transaction: Transaction) -> Result<(), StoreError> {
        transaction.check_limits()?;
        if transaction.is_empty() {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        let orders = self.orders().ok_or(StoreError::Closed)?;
        if orders.send(Order::Commit { transaction, answer }).await.is_err() {
            return Err(self.ended());
        }
        drop(orders);
        answered.await.unwrap_or_else(|_| Err(self.ended()))
    }

    /// The value of a key, if there is one.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.rows.get(table, key)
    }

    /// All rows whose key begins with `prefix`, in the order of their keys, from either end. The rows are read as they are
    /// asked for, so commits during a scan may or may not be seen.
    pub fn scan_prefix(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, Vec<u8>), StoreError>> + use<> {
        self.inner.rows.scan_prefix(table, prefix)
    }

    /// All rows whose key lies in `range`, in the order of their keys, from either end; otherwise as
    /// [`scan_prefix`](Self::scan_prefix). `..` is the whole table.
    pub fn scan_range<R: RangeBounds<Vec<u8>>>(
        &self,
        table: Table,
        range: R,
    ) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, Vec<u8>), StoreError>> + use<R> {
        self.inner.rows.scan_range(table, range)
    }

    /// Number of rows in a table; known without counting.
    pub fn len(&self, table: Table) -> u64 {
        self.inner.rows.len(table)
    }

    /// Whether a table has no rows.
    pub fn is_empty(&self, table: Table) -> bool {
        self.len(table) == 0
    }

    /// Why the store takes no more writes, if so; for health checks. Reads go on.
    pub fn failure(&self) -> Option<Arc<str>> {
        self.inner.failure.get().cloned()
    }

    /// Writes everything queued so far and ends the writer. Later commits answer [`StoreError::Closed`], reads go on. The folder
    /// stays locked until the last handle is dropped.
    pub async fn close(&self) {
        let orders = self
            .inner
            .orders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(orders) = orders {
            let (answer, answered) = oneshot::channel();
            if orders.send(Order::Close { answer }).await.is_ok() {
                let _ = answered.await; // an error says that the writer ended by itself, which it has told why
            }
        }
    }

    fn orders(&self) -> Option<mpsc::Sender<Order>> {
        self.inner
            .orders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Why the writer no longer takes orders.
    fn ended(&self) -> StoreError {
        if self.orders().is_none() {
            return StoreError::Closed;
        }
        StoreError::Failed(self.failure().unwrap_or_else(|| "its writer died".into()))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Without a sender the writer ends after what is queued; waiting for it keeps the folder locked until then.
        drop(
            self.orders
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        if let Some(writer) = self
            .writer
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            && writer.join().is_err()
        {
            error!("the store's writer had panicked");
        }
    }
}

/// The snapshots a start may need, each read at most once.
struct Snapshots {
    /// Oldest first.
    left: Vec<Snapshot>,
    verified: Option<Snapshot>,
    damaged: Vec<Snapshot>,
}

impl Snapshots {
    fn list(folder: &Folder) -> Result<Self, StoreError> {
        Ok(Self {
            left: snapshot::list(&folder.snapshots)?,
            verified: None,
            damaged: Vec::new(),
        })
    }

    /// The newest one of this journal that verifies.
    fn newest_verified(&mut self, journal: JournalId) -> Option<&Snapshot> {
        while self.verified.is_none()
            && let Some(snapshot) = self.left.pop()
        {
            match snapshot.verify(journal) {
                Ok(()) => self.verified = Some(snapshot),
                Err(error) => {
                    warn!(file = %snapshot.path.display(), %error, "a snapshot is damaged; an older one is taken");
                    self.damaged.push(snapshot);
                }
            }
        }
        self.verified.as_ref()
    }

    /// Refuses a journal that lacks what is in no snapshot: what was before its begin, or what was before its end.
    fn check_against(&self, survey: &Survey, folder: &Path) -> Result<(), StoreError> {
        let newest = self.verified.as_ref().or(self.left.last());
        let newest = newest.map_or(0, |snapshot| snapshot.applied);
        let what = if survey.first > newest + 1 {
            format!(
                "the journal begins with transaction {}, and no snapshot has what was before",
                survey.first
            )
        } else if survey.last < newest {
            format!(
                "the journal ends with transaction {}, but a snapshot has {newest}",
                survey.last
            )
        } else {
            return Ok(());
        };
        Err(survey.damaged_at_end(folder, what))
    }

    /// Renames those that did not verify, so that they count no more and can be looked at.
    fn set_damaged_aside(self) -> Result<(), StoreError> {
        for Snapshot { path, .. } in self.damaged {
            std::fs::rename(&path, path.with_added_extension("damaged")).map_err(StoreError::io(&path))?;
        }
        Ok(())
    }
}

/// Opens the index; one that is damaged, or older than where the journal begins, is set aside and built again from the newest
/// snapshot that verifies. What only the journal has is not applied yet. Refuses an index whose journal is gone: it may be all
/// that is left.
fn open_index(
    folder: &Folder,
    id: JournalId,
    cache_bytes: u64,
    survey: &Survey,
    snapshots: &mut Snapshots,
) -> Result<Index, StoreError> {
    let opened = Index::open(&folder.index, id, cache_bytes);
    let cause = match &opened {
        Ok(index) if index.applied() + 1 >= survey.first => return opened.map_err(StoreError::Index),
        Ok(index) => format!("it ends with transaction {}", index.applied()),
        Err(cause) => cause.clone(),
    };
    if survey.id.is_none() && index::is_begun(&folder.index) {
        let what = format!(
            "it is missing, as is every other segment, and `{}` has rows of a journal, or cannot be read ({cause}); put the journal \
             back, or remove that folder to begin with nothing",
            folder.index.display()
        );
        return Err(survey.damaged_at_end(&folder.journal, what));
    }
    let is_blank = opened.as_ref().is_ok_and(Index::is_blank);
    let snapshot = snapshots.newest_verified(id);
    if snapshot.map_or(0, |snapshot| snapshot.applied) + 1 < survey.first {
        let what = format!(
            "the journal begins with transaction {}, what was before is in no snapshot that verifies, and the index cannot be used: {cause}",
            survey.first
        );
        return Err(survey.damaged_at_end(&folder.journal, what));
    }
    let mut index = match opened {
        Ok(index) if is_blank => index,
        unusable => {
            drop(unusable);
            warn!(folder = %folder.index.display(), %cause, "index is damaged: set aside, building it again");
            index::set_aside(&folder.index)?;
            folder.enter_index()?;
            Index::open(&folder.index, id, cache_bytes).map_err(StoreError::Index)?
        }
    };
    if let Some(snapshot) = snapshot {
        snapshot
            .load(&mut index, id)
            .map_err(|error| StoreError::Index(error.to_string()))?;
        info!(
            transaction = snapshot.applied,
            rows = index.marker().total(),
            "index built from a snapshot"
        );
    }
    Ok(index)
}

/// Applies to the index what only the journal has, in portions: one sled batch per transaction would be many times slower.
fn catch_up(survey: &Survey, index: &mut Index) -> Result<(), StoreError> {
    const PORTION: usize = 4096;
    let (from, mut last) = (index.applied(), index.applied());
    let mut portion = Vec::new();
    survey.replay(from, |number, transaction| {
        last = number;
        portion.extend(transaction.into_operations());
        if portion.len() >= PORTION {
            index.apply(portion.drain(..), number)?;
        }
        Ok(())
    })?;
    if last > index.applied() {
        index.apply(portion, last)?;
    }
    if last > from {
        info!(transactions = last - from, "index caught up with the journal");
    }
    Ok(())
}
