//! The writer: one thread that makes transactions durable, in the order they were queued.
//!
//! Group commit without waiting: the first transaction of a group starts it, whatever queued up during the last sync joins, and
//! one `fdatasync` serves them all. Only then are they applied to the index, and only then answered. After the first error
//! nothing is written any more: what a failed sync left on the disk is unknown, and trying again could call lost bytes safe.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::StoreError;
use super::index::Index;
use super::journal::{GROUP_BYTES, Journal};
use super::metrics::StoreMetrics;
use super::transaction::Transaction;

/// Transactions that may wait for the writer; committers beyond wait for room.
pub(super) const QUEUE: usize = 1024;

/// Transactions in one group.
const GROUP: usize = 256;

/// An order to the writer.
#[derive(Debug)]
pub(super) enum Order {
    Commit {
        transaction: Transaction,
        answer: oneshot::Sender<Result<(), StoreError>>,
    },
    Close {
        answer: oneshot::Sender<()>,
    },
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) journal: Journal,
    pub(super) index: Index,
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
            let result = self.commit(&mut group);
            let answered = group.answers.len() as u64;
            match &result {
                Ok(()) => self.metrics.commits.inc_by(answered),
                Err(_) => self.metrics.failed_commits.inc_by(answered),
            };
            for answer in group.answers {
                // Whoever gave up waiting does not mind.
                let _ = answer.send(
                    result
                        .as_ref()
                        .copied()
                        .map_err(|cause| StoreError::Failed(Arc::clone(cause))),
                );
            }
        }
        if let Err(error) = self.index.flush() {
            error!(%error, "index not flushed at the end; the next start replays more of the journal");
        }
        let Self { journal, index, .. } = self;
        drop((journal, index));
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

    /// Journal, sync, index; remembers the first failure for ever.
    fn commit(&mut self, group: &mut Group) -> Result<(), Arc<str>> {
        if let Some(cause) = self.failure.get() {
            return Err(Arc::clone(cause));
        }
        if group.transactions.is_empty() {
            return Ok(());
        }
        self.write(std::mem::take(&mut group.transactions))
            .map_err(|cause| {
                error!(%cause, "the disk failed; the store takes no more writes");
                Arc::clone(self.failure.get_or_init(|| cause.into()))
            })
    }

    fn write(&mut self, transactions: Vec<Transaction>) -> Result<(), String> {
        let last = self
            .journal
            .append(&transactions)
            .map_err(|error| format!("journal write: {error}"))?;
        let started = Instant::now();
        self.journal
            .sync()
            .map_err(|error| format!("journal sync: {error}"))?;
        self.metrics.sync_seconds.observe(started.elapsed().as_secs_f64());
        self.metrics
            .group_size
            .observe(f64::from(u32::try_from(transactions.len()).unwrap_or(u32::MAX)));
        self.metrics
            .journal_bytes
            .set(i64::try_from(self.journal.bytes()).unwrap_or(i64::MAX));
        let operations = transactions.into_iter().flat_map(Transaction::into_operations);
        self.index
            .apply(operations, last)
            .map_err(|error| error.to_string())
    }
}
