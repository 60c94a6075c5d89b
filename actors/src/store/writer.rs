//! The writer: one thread that makes transactions durable, in the order they were queued.
//!
//! Group commit without waiting: the first transaction of a group starts it, whatever queued up during the last sync joins, and
//! one `fdatasync` serves them all. Only then are they applied to the index, and only then answered.
//!
//! A disk without room is an answer, not an error: the journal is cut back to its last durable frame, whoever waits is told, and
//! the next group is tried like any other. After any other error nothing is written any more: what a failed sync left on the
//! disk is unknown, and trying again could call lost bytes safe. That holds for sled, too, should it find no room in spite of all
//! care: the journal has what it lacks, and the next start applies it.

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::StoreError;
use super::index::Index;
use super::journal::{AppendError, GROUP_BYTES, Journal};
use super::metrics::StoreMetrics;
use super::retention::Retention;
use super::snapshot::{Snapshot, SnapshotError};
use super::space::{SMALL, Space};
use super::transaction::Transaction;

/// Transactions that may wait for the writer; committers beyond wait for room.
pub(super) const QUEUE: usize = 1024;

/// How long the end of the store may wait for the index.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// Transactions in one group.
const GROUP: usize = 256;

/// An order to the writer.
#[derive(Debug)]
pub(super) enum Order {
    Commit {
        transaction: Transaction,
        answer: oneshot::Sender<Result<(), StoreError>>,
    },
    SnapshotEnded(Result<Snapshot, SnapshotError>),
    Close {
        answer: oneshot::Sender<()>,
    },
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) journal: Journal,
    pub(super) index: Index,
    pub(super) space: Space,
    pub(super) retention: Retention,
    pub(super) orders: mpsc::Receiver<Order>,
    /// Why nothing is written any more.
    pub(super) failure: Arc<OnceLock<Arc<str>>>,
    pub(super) metrics: StoreMetrics,
}

#[derive(Default)]
struct Group {
    transactions: Vec<Transaction>,
    answers: Vec<oneshot::Sender<Result<(), StoreError>>>,
    bytes: usize,
    snapshot: Option<Result<Snapshot, SnapshotError>>,
    close: Option<oneshot::Sender<()>>,
}

impl Writer {
    /// Runs until it is told to close or the last handle is gone; everything queued before is done first.
    pub(super) fn run(mut self) {
        let mut close = None;
        while close.is_none()
            && let Some(order) = self.orders.blocking_recv()
        {
            let mut group = self.gather(order);
            close = group.close.take();
            let results = self.commit_group(group.transactions);
            self.metrics
                .reserve_bytes
                .set(i64::try_from(self.space.held()).unwrap_or(i64::MAX));
            for (answer, result) in group.answers.into_iter().zip(results) {
                match &result {
                    Ok(()) => self.metrics.commits.inc(),
                    Err(Refusal::Full) => self.metrics.refused_full.inc(),
                    Err(Refusal::Failed(_)) => self.metrics.failed_commits.inc(),
                };
                // Whoever gave up waiting does not mind.
                let _ = answer.send(result.map_err(StoreError::from));
            }
            if let Some(result) = group.snapshot {
                self.retention.ended(result, &mut self.journal);
            }
            if self.failure.get().is_none() {
                self.retention.consider(&mut self.journal, &mut self.index);
            }
        }
        let Self {
            journal,
            index,
            mut retention,
            orders,
            ..
        } = self;
        drop(orders); // whoever makes a snapshot must not wait for us while we wait for its end
        retention.close();
        drop(journal);
        end_index(index);
        if let Some(answer) = close {
            let _ = answer.send(());
        }
    }

    fn gather(&mut self, first: Order) -> Group {
        let mut group = Group::default();
        let mut next = Some(first);
        while let Some(order) = next.take() {
            match order {
                Order::Commit { transaction, answer } => {
                    group.bytes += transaction.encoded_len();
                    group.transactions.push(transaction);
                    group.answers.push(answer);
                }
                Order::SnapshotEnded(result) => {
                    group.snapshot = Some(result);
                    break;
                }
                Order::Close { answer } => {
                    self.orders.close();
                    group.close = Some(answer);
                    break;
                }
            }
            if group.transactions.len() < GROUP && group.bytes < GROUP_BYTES {
                next = self.orders.try_recv().ok();
            }
        }
        self.metrics
            .queue_depth
            .set(i64::try_from(self.orders.len()).unwrap_or(i64::MAX));
        group
    }

    /// Commits a group together; where there is no room for all, each for itself. One result for each transaction.
    fn commit_group(&mut self, mut transactions: Vec<Transaction>) -> Vec<Result<(), Refusal>> {
        let count = transactions.len();
        match self.commit(&mut transactions) {
            Err(Refusal::Full) if count > 1 => transactions
                .into_iter()
                .map(|transaction| self.commit(&mut vec![transaction]))
                .collect(),
            result => vec![result; count],
        }
    }

    /// Journal, sync, index; remembers the first failure for ever. Takes the transactions unless there is no room.
    fn commit(&mut self, transactions: &mut Vec<Transaction>) -> Result<(), Refusal> {
        if let Some(cause) = self.failure.get() {
            return Err(Refusal::Failed(Arc::clone(cause)));
        }
        if transactions.is_empty() {
            return Ok(());
        }
        let failed = |cause: String| {
            error!(%cause, "the disk failed; the store takes no more writes");
            Refusal::Failed(Arc::clone(self.failure.get_or_init(|| cause.into())))
        };
        let last = match append(&mut self.journal, &mut self.space, transactions) {
            Ok(last) => last,
            Err(AppendError::Full) => return Err(Refusal::Full),
            Err(AppendError::Broken(error)) => return Err(failed(format!("journal write: {error}"))),
        };
        let started = Instant::now();
        self.journal
            .sync()
            .map_err(|error| failed(format!("journal sync: {error}")))?;
        self.metrics.sync_seconds.observe(started.elapsed().as_secs_f64());
        self.metrics
            .group_size
            .observe(f64::from(u32::try_from(transactions.len()).unwrap_or(u32::MAX)));
        self.retention.show(&self.journal);
        let bytes: usize = transactions.iter().map(Transaction::encoded_len).sum();
        let operations = std::mem::take(transactions)
            .into_iter()
            .flat_map(Transaction::into_operations);
        self.index
            .apply(operations, last)
            // What does not fit into what was allocated is written while there is room for it.
            .and_then(|()| if bytes > SMALL { self.index.flush() } else { Ok(()) })
            .map_err(|error| failed(error.to_string()))
    }
}

/// Writes out what sled still holds, which only spares the next start some work. sled waits for ever for a disk that refused it,
/// so nobody waits longer than a deadline.
fn end_index(index: Index) {
    let (done, closed) = std::sync::mpsc::channel();
    let flush = move || {
        if let Err(error) = index.flush() {
            error!(%error, "index not flushed at the end; the next start replays more of the journal");
        }
        drop(index);
        let _ = done.send(()); // whoever waited may have given up
    };
    if thread::Builder::new()
        .name("store-close".into())
        .spawn(flush)
        .is_err()
        || closed.recv_timeout(CLOSE_DEADLINE).is_err()
    {
        error!("index not flushed in time; the next start replays more of the journal");
    }
}

/// Appends a group where there is room, with help from the reserve if the group is small. Answers the number of its last
/// transaction.
fn append(
    journal: &mut Journal,
    space: &mut Space,
    transactions: &[Transaction],
) -> Result<u64, AppendError> {
    let bytes: usize = transactions.iter().map(Transaction::encoded_len).sum();
    loop {
        if space.has_room(bytes) {
            match journal.append(transactions) {
                Err(AppendError::Full) => {}
                appended_or_broken => return appended_or_broken,
            }
        }
        if bytes > SMALL || !space.release() {
            return Err(AppendError::Full);
        }
    }
}

/// Why a transaction was not written.
#[derive(Clone, Debug)]
enum Refusal {
    Full,
    Failed(Arc<str>),
}

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full => Self::Full,
            Refusal::Failed(cause) => Self::Failed(cause),
        }
    }
}
