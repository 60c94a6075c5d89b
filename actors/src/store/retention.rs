//! Retention: when a snapshot is made, and what may go once there is one.
//!
//! A snapshot is due when the journal after the newest one is larger than a setting and than that snapshot: so what is written for
//! snapshots is at most what was written to the journal, and the journal stays in proportion to what is alive. It is made by a thread
//! of its own, from a cut of the index, while the writer goes on; the writer hears of its end as an order like any other.
//!
//! **The two newest snapshots are kept, and every segment that has anything after the older one.** So a damaged index is built from the
//! newest snapshot, a damaged newest snapshot is replaced by the older one, and both with the journal after them lead to the same
//! rows. Snapshots go before segments, oldest first; a crash anywhere in between leaves more than is needed, and the next start or
//! snapshot drops it.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::StoreError;
use super::cut::Cut;
use super::folder::{Folder, sync_parent, tighten_all};
use super::index::Index;
use super::journal::Journal;
use super::metrics::StoreMetrics;
use super::snapshot::{self, Snapshot, SnapshotError};
use super::writer::Order;
use crate::disk;

/// Snapshots kept.
const KEPT: usize = 2;

/// The snapshots of a folder, and the making of the next one.
#[derive(Debug)]
pub(super) struct Retention {
    folder: Folder,
    format: u32,
    /// What a snapshot waits for at least, in bytes of journal.
    snapshot_bytes: u64,
    /// Oldest first; each verified when it was made.
    snapshots: Vec<Snapshot>,
    newest_bytes: u64,
    /// After a failure: the size of the journal from which it is tried again.
    not_before: u64,
    making: Option<Making>,
    orders: mpsc::WeakSender<Order>,
    metrics: StoreMetrics,
}

#[derive(Debug)]
struct Making {
    thread: JoinHandle<()>,
    is_closing: Arc<AtomicBool>,
}

impl Retention {
    /// Takes over the snapshots of a folder that was just opened, and drops what nobody needs.
    pub(super) fn open(
        folder: Folder,
        format: u32,
        snapshot_bytes: u64,
        journal: &mut Journal,
        orders: mpsc::WeakSender<Order>,
        metrics: StoreMetrics,
    ) -> Result<Self, StoreError> {
        snapshot::remove_unfinished(&folder.snapshots).map_err(StoreError::io(&folder.snapshots))?;
        tighten_all(&folder.snapshots)?;
        let mut retention = Self {
            snapshots: snapshot::list(&folder.snapshots)?,
            folder,
            format,
            snapshot_bytes,
            newest_bytes: 0,
            not_before: 0,
            making: None,
            orders,
            metrics,
        };
        retention.drop_old(journal);
        if retention.newest() == journal.last() {
            journal.end_segment(); // as was wanted when that snapshot began
        }
        retention.show(journal);
        Ok(retention)
    }

    /// Begins a snapshot if one is due. To be asked between two groups.
    pub(super) fn consider(&mut self, journal: &mut Journal, index: &mut Index) {
        let newest = self.newest();
        let is_due = journal.bytes_after(newest) >= self.snapshot_bytes.max(self.newest_bytes)
            && journal.bytes() >= self.not_before;
        if self.making.is_some() || !is_due || index.applied() <= newest {
            return;
        }
        journal.end_segment();
        match self.begin(index.cut()) {
            Ok(making) => self.making = Some(making),
            Err(error) => self.failed(&error.into(), journal),
        }
    }

    fn begin(&self, cut: Cut) -> io::Result<Making> {
        let (folder, format) = (self.folder.snapshots.clone(), self.format);
        let orders = self.orders.clone();
        let is_closing = Arc::new(AtomicBool::new(false));
        let closing = Arc::clone(&is_closing);
        let root = self.folder.root.clone();
        let go_on = move |bytes: usize| {
            if closing.load(Ordering::Relaxed) {
                return Err(SnapshotError::Closing);
            }
            // What people write comes first: a snapshot leaves them the room that media leave.
            disk::check_media_room(&root, bytes as u64).map_err(SnapshotError::from)
        };
        let thread = thread::Builder::new()
            .name("store-snapshot".into())
            .spawn(move || {
                let result = snapshot::make(&folder, cut, format, go_on);
                // A writer that is gone needs no answer: the next start sees what is there.
                if let Some(orders) = orders.upgrade() {
                    let _ = orders.blocking_send(Order::SnapshotEnded(result));
                }
            })?;
        Ok(Making { thread, is_closing })
    }

    /// Takes note of the end of the one under way.
    pub(super) fn ended(&mut self, result: Result<Snapshot, SnapshotError>, journal: &mut Journal) {
        if let Some(making) = self.making.take()
            && making.thread.join().is_err()
        {
            error!("the thread that makes snapshots had panicked");
        }
        match result {
            Ok(snapshot) => {
                info!(transaction = snapshot.applied, "snapshot made");
                self.metrics.snapshots.inc();
                self.snapshots.push(snapshot);
                self.not_before = 0;
                self.drop_old(journal);
            }
            Err(error) => self.failed(&error, journal),
        }
        self.show(journal);
    }

    /// Number of the last transaction in the newest snapshot, 0 if there is none.
    fn newest(&self) -> u64 {
        self.snapshots.last().map_or(0, |snapshot| snapshot.applied)
    }

    /// Gives up the one under way and waits until it has stopped.
    pub(super) fn close(&mut self) {
        if let Some(making) = self.making.take() {
            making.is_closing.store(true, Ordering::Relaxed);
            let _ = making.thread.join(); // a panic lost a snapshot and nothing else
        }
    }

    fn failed(&mut self, error: &SnapshotError, journal: &Journal) {
        if error.blames_the_index() {
            error!(%error, "no snapshot made: the index cannot be trusted; a restart builds it again from the journal");
        } else {
            warn!(%error, "no snapshot made, it is tried again later; the journal keeps what it would have held");
        }
        self.metrics.failed_snapshots.inc();
        self.not_before = journal.bytes() + self.snapshot_bytes / 4;
    }

    /// Drops snapshots beyond those kept, then the segments that the older one of the kept covers.
    fn drop_old(&mut self, journal: &mut Journal) {
        if let Err(error) = self.try_drop_old(journal) {
            warn!(%error, "old snapshots and segments not dropped; tried again after the next snapshot");
        }
        let newest = self.snapshots.last().map(|newest| fs::metadata(&newest.path));
        let newest = newest.and_then(Result::ok);
        self.newest_bytes = newest.as_ref().map_or(0, fs::Metadata::len);
        let made = newest.and_then(|newest| newest.modified().ok());
        self.metrics.snapshot_bytes.set(gauge(self.newest_bytes));
        self.metrics.snapshot_time.set(made.map_or(0, unix_seconds));
    }

    fn try_drop_old(&mut self, journal: &mut Journal) -> io::Result<()> {
        while self.snapshots.len() > KEPT {
            fs::remove_file(&self.snapshots[0].path)?;
            let gone = self.snapshots.remove(0);
            sync_parent(&gone.path)?;
        }
        if self.snapshots.len() == KEPT {
            let dropped = journal.drop_through(self.snapshots[0].applied)?;
            if dropped > 0 {
                info!(segments = dropped, "journal segments dropped");
            }
        }
        Ok(())
    }

    /// Shows how large the journal is.
    pub(super) fn show(&self, journal: &Journal) {
        self.metrics.journal_bytes.set(gauge(journal.bytes()));
        self.metrics
            .journal_segments
            .set(gauge(journal.segments() as u64));
    }
}

fn gauge(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unix_seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| gauge(since.as_secs()))
}
