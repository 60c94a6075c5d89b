//! How the catalog meets the disk: batches of writes, replays and pages.
//!
//! One batch is written, or one replay told, at a time. A batch is told to subscribers after it is on the disk and
//! before its callers are answered, so everybody hears of changes in their order and no answer comes too early. A batch
//! that the disk refuses never happened, nor did what was built on it.

use std::sync::Arc;

use actix::prelude::*;
use futures::future::join_all;
use seedpod_protocol::envelope::{Epoch, RegisterKey, Verified};
use seedpod_protocol::ids::{ContentHash, PodId, Timestamp};
use seedpod_protocol::records::Record;
use seedpod_protocol::requests::Response;
use tokio::sync::oneshot;
use tracing::{error, info};

use super::CatalogActor;
use super::answers::Answer;
use super::messages::{Change, Changed, HeldRecord};
use super::records::{StoredRecord, row_key};
use super::state::{Catalog, Head, StoredHead, Unwritten};
use crate::store::{Store, StoreError, Transaction, tables};
use crate::swarm::Topic;

/// Bytes of rows from which a batch is followed by a new one; the store takes 16 MiB in one transaction.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// What the key of a row and its form in the journal add to its value, in bytes, at most.
pub(super) const ROW_OVERHEAD: usize = 2 * PodId::LEN + 16;

/// How many changes go into one message when everything held is replayed.
const REPLAY_PAGE: usize = 256;

/// Writes that go to disk together, and who is told afterwards.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) transaction: Transaction,
    pub(super) bytes: usize,
    pub(super) changes: Vec<Change>,
    /// Authors that are hidden no longer: after the changes, what is held of them is told from the disk.
    pub(super) back: Vec<PodId>,
    pub(super) gossip: Vec<(Topic, Verified<Record>)>,
    pub(super) answers: Vec<oneshot::Sender<Result<(), Arc<StoreError>>>>,
}

/// Somebody who waits for everything held.
pub(super) struct Replaying {
    pub(super) to: Recipient<Changed>,
    pub(super) answer: oneshot::Sender<Result<(), Arc<StoreError>>>,
}

impl CatalogActor {
    /// The newest head of a register among those that are not on disk yet.
    pub(super) fn unwritten(&self, author: &PodId, key: &RegisterKey) -> Option<Verified<Record>> {
        let waiting = self
            .pending
            .iter()
            .rev()
            .flat_map(|batch| batch.changes.iter().rev());
        waiting
            .chain(self.telling.iter().rev())
            .find_map(|change| match change {
                Change::Head(held)
                    if held.record.header().author == *author && held.record.header().key() == *key =>
                {
                    Some(held.record.clone())
                }
                _ => None,
            })
    }

    /// Puts a new head into the next batch.
    pub(super) fn put(&mut self, head: Head, record: Verified<Record>, via: PodId) {
        let header = *record.header();
        let row = StoredRecord::encode(head.number, head.received_s, &via, record.bytes());
        let batch = self.batch(row.len() + ROW_OVERHEAD);
        batch
            .transaction
            .put(tables::RECORDS, row_key(&header.author, &header.key()), row);
        batch.changes.push(Change::Head(held(&head, record, via)));
    }

    /// Puts a statement about its author's keys into the next batch, and takes out what does not count any more.
    pub(super) fn put_keys(
        &mut self,
        head: Head,
        lapsed: &[RegisterKey],
        statement: Verified<Record>,
        via: PodId,
    ) {
        let author = statement.header().author;
        info!(author = %author.short(), lapsed = lapsed.len(), "whose signatures count for a pod has changed");
        for key in lapsed {
            self.batch(2 * ROW_OVERHEAD)
                .transaction
                .delete(tables::RECORDS, row_key(&author, key));
        }
        self.put(head, statement, via);
        if !lapsed.is_empty() {
            // Few pods ever do this: everybody forgets what the author said, and hears again what still counts.
            let batch = self.batch(0);
            batch.changes.push(Change::AuthorGone(author));
            if !batch.back.contains(&author) {
                batch.back.push(author);
            }
        }
    }

    /// The batch that takes some more bytes of rows.
    pub(super) fn batch(&mut self, bytes: usize) -> &mut Batch {
        let full = |batch: &Batch| batch.bytes > 0 && batch.bytes + bytes > BATCH_BYTES;
        if self.pending.back().is_none_or(full) {
            self.pending.push_back(Batch::default());
        }
        let last = self.pending.len() - 1;
        let batch = &mut self.pending[last];
        batch.bytes += bytes;
        batch
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.pending.iter().map(|batch| batch.bytes).sum()
    }

    /// Forgets an author, in as many batches as it takes; the last one tells it.
    pub(super) fn expel(&mut self, author: PodId) {
        self.unlearn(&author);
        for key in self.state.expel(author) {
            self.batch(2 * ROW_OVERHEAD)
                .transaction
                .delete(tables::RECORDS, row_key(&author, &key));
        }
        self.batch(0).changes.push(Change::AuthorGone(author));
    }

    /// Lets an author in; records that were hidden are told again once everything before them was.
    pub(super) fn admit(&mut self, author: PodId) -> bool {
        let back = self.state.admit(author);
        if back {
            self.batch(0).back.push(author);
        }
        back
    }

    /// Forgets what was learned by asking a pod that is no friend any more.
    fn unlearn(&mut self, pod: &PodId) {
        self.looked_back.remove(pod);
        self.patience.forget(pod);
        self.said.remove(pod);
    }

    /// Hides an author's records.
    pub(super) fn hide(&mut self, author: PodId) {
        if self.state.hide(author) {
            self.unlearn(&author);
            self.batch(0).changes.push(Change::AuthorHidden(author));
        }
    }

    /// Adds the caller to the next batch and starts writing when nothing is being written.
    pub(super) fn written(
        &mut self,
        ctx: &mut Context<Self>,
    ) -> oneshot::Receiver<Result<(), Arc<StoreError>>> {
        let (answer, receiver) = oneshot::channel();
        self.batch(0).answers.push(answer);
        self.go_on(ctx);
        receiver
    }

    /// Begins the next replay or batch; they never overlap, so subscribers hear of changes in their order.
    pub(super) fn go_on(&mut self, ctx: &mut Context<Self>) {
        if self.busy {
            return;
        }
        if let Some(Replaying { to, answer }) = self.replays.pop_front() {
            self.busy = true;
            let replay = replay(self.store.clone(), Vec::new(), vec![to]);
            ctx.spawn(replay.into_actor(self).map(|result, actor, ctx| {
                if let Err(error) = &result {
                    error!(%error, "what the catalog holds could not be replayed");
                }
                // Whoever asked may have asked without waiting.
                let _ = answer.send(result);
                actor.busy = false;
                actor.go_on(ctx);
            }));
        } else if let Some(batch) = self.pending.pop_front() {
            self.busy = true;
            self.write(batch, ctx);
        }
    }

    fn write(&mut self, batch: Batch, ctx: &mut Context<Self>) {
        self.subscribers.retain(Recipient::connected);
        let Batch {
            transaction,
            bytes: _,
            changes,
            back,
            gossip,
            answers,
        } = batch;
        let changes = Arc::new(changes);
        self.telling = Arc::clone(&changes);
        let (store, swarm, subscribers) = (self.store.clone(), self.swarm.clone(), self.subscribers.clone());
        let work = async move {
            let result = store.commit(transaction).await.map_err(Arc::new);
            if result.is_ok() && !changes.is_empty() {
                let changed = Changed { changes };
                // Subscribers only take note; one that is gone is its supervisor's business.
                join_all(
                    subscribers
                        .iter()
                        .map(|subscriber| subscriber.send(changed.clone())),
                )
                .await;
            }
            let mut result = result;
            for author in back {
                if result.is_ok() {
                    let author = author.as_bytes().to_vec();
                    result = replay(store.clone(), author, subscribers.clone()).await;
                }
            }
            let failed = result.as_ref().err().cloned();
            for answer in answers {
                let _ = answer.send(result.clone());
            }
            if failed.is_none() {
                for (topic, record) in gossip {
                    swarm.gossip(topic, record).await;
                }
            }
            failed
        };
        ctx.spawn(work.into_actor(self).map(|failed, actor, ctx| {
            actor.busy = false;
            let told = std::mem::take(&mut actor.telling);
            if let Some(cause) = failed {
                actor.forget_unwritten(&told, &cause);
            }
            actor.show_size();
            actor.go_on(ctx);
        }));
    }

    fn show_size(&self) {
        let (records, authors) = self.state.size();
        self.metrics.show(records, authors, self.state.equivocators());
    }

    /// A batch did not reach the disk: what it changed in memory, and what was built on it, never happened. Reads as much as
    /// was refused, however much is held: whoever sends us records decides how often this is.
    fn forget_unwritten(&mut self, told: &[Change], cause: &Arc<StoreError>) {
        let mut unwritten = Unwritten::default();
        let waiting = self.pending.iter().flat_map(|batch| &batch.changes);
        for change in told.iter().chain(waiting) {
            match change {
                Change::Head(held) => {
                    let header = held.record.header();
                    let register = (header.author, header.key());
                    if header.is_of_keys() {
                        // Whose signatures counted before is told by all that is on the disk of it.
                        unwritten.gone.insert(header.author);
                    }
                    let number = u32::try_from(held.number).unwrap_or(u32::MAX);
                    let lowest = unwritten.heads.entry(register).or_insert(number);
                    *lowest = number.min(*lowest);
                }
                Change::AuthorGone(author) => {
                    unwritten.gone.insert(*author);
                }
                Change::AuthorHidden(_) => {}
            }
        }
        match read_stored(&self.store, &unwritten) {
            Ok(stored) => self.state.forget(&unwritten, &stored),
            Err(error) => error!(%error, "cannot read the records back after a failed write"),
        }
        let answers = std::mem::take(&mut self.pending).into_iter();
        for answer in answers.flat_map(|batch| batch.answers) {
            let _ = answer.send(Err(Arc::clone(cause)));
        }
    }
}

fn held(head: &Head, record: Verified<Record>, via: PodId) -> HeldRecord {
    HeldRecord {
        record,
        number: u64::from(head.number),
        received_at: head.received_at(),
        via,
    }
}

/// Reads every head back. Blocking.
pub(super) fn load(store: &Store, me: PodId, epoch: Epoch) -> Result<Catalog, StoreError> {
    let mut state = Catalog::new(me, epoch);
    let mut failed = None;
    let rows = store.scan_prefix(tables::RECORDS, &[]);
    state.restore_all(
        rows.map_while(|row| match row.and_then(|(_, value)| stored_head(&value)) {
            Ok(stored) => Some(stored),
            Err(error) => {
                failed = Some(error);
                None
            }
        }),
    );
    failed.map_or(Ok(state), Err)
}

/// Reads what the disk has of registers and authors whose changes it refused.
fn read_stored(store: &Store, unwritten: &Unwritten) -> Result<Vec<StoredHead>, StoreError> {
    let mut stored = Vec::new();
    for author in &unwritten.gone {
        for row in store.scan_prefix(tables::RECORDS, author.as_bytes()) {
            stored.push(stored_head(&row?.1)?);
        }
    }
    for (author, key) in unwritten.heads.keys() {
        if !unwritten.gone.contains(author)
            && let Some(row) = store.get(tables::RECORDS, &row_key(author, key))?
        {
            stored.push(stored_head(&row)?);
        }
    }
    Ok(stored)
}

fn stored_head(row: &[u8]) -> Result<StoredHead, StoreError> {
    let stored = StoredRecord::decode(row).map_err(|error| StoreError::Row(error.to_string()))?;
    let header = *stored.envelope.header();
    Ok(StoredHead {
        header,
        hash: ContentHash::of(stored.envelope.bytes()),
        number: stored.number,
        received_s: stored.received_s,
        of_keys: if header.is_of_keys() {
            stored.envelope.reopen().ok()
        } else {
            None
        },
    })
}

/// The answer of whoever writes or replays.
pub(super) async fn wait(
    written: oneshot::Receiver<Result<(), Arc<StoreError>>>,
) -> Result<(), Arc<StoreError>> {
    written
        .await
        .unwrap_or_else(|_| Err(Arc::new(StoreError::Closed)))
}

/// Reads what an answer needs. Blocking.
pub(super) fn read_answer(store: &Store, answer: Answer) -> Result<Response, StoreError> {
    answer.read(|author, key| {
        // A head whose batch is still being written has no row yet.
        let Some(row) = store.get(tables::RECORDS, &row_key(author, key))? else {
            return Ok(None);
        };
        let stored = StoredRecord::decode(&row).map_err(|error| StoreError::Row(error.to_string()))?;
        Ok(Some(stored.envelope.bytes().to_vec()))
    })
}

/// Reads the heads of some registers. Blocking.
pub(super) fn read_records(
    store: &Store,
    keys: &[(PodId, RegisterKey)],
) -> Result<Vec<Option<Verified<Record>>>, StoreError> {
    let read = |(author, key): &(PodId, RegisterKey)| {
        let Some(row) = store.get(tables::RECORDS, &row_key(author, key))? else {
            return Ok(None);
        };
        let stored = StoredRecord::decode(&row).map_err(|error| StoreError::Row(error.to_string()))?;
        Ok(stored.envelope.reopen().ok())
    };
    keys.iter().map(read).collect()
}

/// Tells what is held of all authors, or of the one whose bytes are `prefix`.
async fn replay(store: Store, prefix: Vec<u8>, to: Vec<Recipient<Changed>>) -> Result<(), Arc<StoreError>> {
    let (pages, mut receiver) = tokio::sync::mpsc::channel::<Vec<Change>>(2);
    let reading = tokio::task::spawn_blocking(move || read_all(&store, &prefix, &pages));
    while let Some(changes) = receiver.recv().await {
        let changed = Changed {
            changes: Arc::new(changes),
        };
        let told = join_all(to.iter().map(|follower| follower.send(changed.clone()))).await;
        if told.iter().all(Result::is_err) {
            break;
        }
    }
    drop(receiver);
    reading
        .await
        .unwrap_or_else(|_| Err(StoreError::Index("reading the records panicked".to_owned())))
        .map_err(Arc::new)
}

/// Hands every record held under a prefix to `pages`. Blocking; stops quietly when the receiver is gone.
fn read_all(
    store: &Store,
    prefix: &[u8],
    pages: &tokio::sync::mpsc::Sender<Vec<Change>>,
) -> Result<(), StoreError> {
    let mut changes = Vec::with_capacity(REPLAY_PAGE);
    for row in store.scan_prefix(tables::RECORDS, prefix) {
        let (_, value) = row?;
        let stored = StoredRecord::decode(&value).map_err(|error| StoreError::Row(error.to_string()))?;
        let received_at = Timestamp::from_millis(u64::from(stored.received_s) * 1000);
        // It was verified before it was stored, and the journal's checksums vouch for the disk.
        let Ok(record) = stored.envelope.reopen() else {
            continue;
        };
        changes.push(Change::Head(HeldRecord {
            record,
            number: u64::from(stored.number),
            received_at,
            via: stored.via,
        }));
        if changes.len() == REPLAY_PAGE && pages.blocking_send(std::mem::take(&mut changes)).is_err() {
            return Ok(());
        }
    }
    let _ = pages.blocking_send(changes);
    Ok(())
}
