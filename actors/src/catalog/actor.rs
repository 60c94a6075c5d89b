//! The shell of the catalog: writes in batches, tells after the disk has answered.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

use actix::prelude::*;
use futures::future::join_all;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use seedpod_protocol::digest::StateDigest;
use seedpod_protocol::envelope::{Draft, Epoch, Kind, RegisterKey, Stamp, State, Verified, register_key};
use seedpod_protocol::ids::{ContentHash, ObjectId, PodId, Timestamp};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::limits;
use seedpod_protocol::records::Record;
use seedpod_protocol::requests::AuthorRoot;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::catchup::{self, CatchUp, CatchUpError, CaughtUp, Compare, Difference, Exhausted, MAX_EXHAUSTED};
use super::messages::{
    Admit, CatalogPage, Change, Changed, Expel, GetDigest, GetEnvelope, GetPage, GetRoots, HeldRecord,
    KeepAuthors, Part, Publish, PublishError, Receive, Replay, Subscribe,
};
use super::records::{StoredRecord, row_key};
use super::state::{Catalog, Head, Outcome, PAGE_RECORDS};
use crate::clock;
use crate::store::{Store, StoreError, Transaction, tables};
use crate::supervise::Lifeline;
use crate::swarm::{EnvelopeArrived, Swarm, Topic};

/// Messages that may wait. Envelopes that find it full are dropped and come back by catch-up.
const MAILBOX: usize = 1024;

/// Bytes of rows from which a batch is followed by a new one; the store takes 16 MiB in one transaction.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of rows that may wait for the disk before gossip is dropped; it comes back by catch-up.
const WAITING_BYTES: usize = 32 * 1024 * 1024;

/// What the key of a row and its form in the journal add to its value, in bytes, at most.
const ROW_OVERHEAD: usize = 2 * PodId::LEN + 16;

/// How many changes go into one message when everything held is replayed.
const REPLAY_PAGE: usize = 256;

/// The actor that owns the catalog.
pub struct CatalogActor {
    key: PodKey,
    state: Catalog,
    store: Store,
    swarm: Swarm,
    subscribers: Vec<Recipient<Changed>>,
    metrics: CatalogMetrics,
    /// What waits for the disk while an earlier batch is being written, oldest first.
    pending: VecDeque<Batch>,
    /// What the batch that is being written will tell.
    telling: Arc<Vec<Change>>,
    /// A batch is being written, or everything held is being replayed: one at a time, so that all hear in order.
    busy: bool,
    replays: VecDeque<Replaying>,
    exhausted: Exhausted,
    /// The last own record that was held when this pod started, and the friends who were asked since for later ones.
    /// If this pod was restored from an old copy, they hold what it signed after the copy was made.
    held_at_start: Option<Stamp>,
    looked_back: HashSet<PodId>,
    _lifeline: Lifeline,
}

/// Writes that go to disk together, and who is told afterwards.
#[derive(Default)]
struct Batch {
    transaction: Transaction,
    bytes: usize,
    changes: Vec<Change>,
    gossip: Vec<(Topic, Verified<Record>)>,
    answers: Vec<oneshot::Sender<Result<(), Arc<StoreError>>>>,
}

/// Somebody who waits for everything held.
struct Replaying {
    to: Recipient<Changed>,
    answer: oneshot::Sender<Result<(), Arc<StoreError>>>,
}

/// Counters of the catalog.
#[derive(Debug, Clone, Default)]
pub struct CatalogMetrics {
    offered: Family<OutcomeLabel, Counter>,
    records: Gauge,
    authors: Gauge,
    equivocators: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

impl CatalogMetrics {
    /// Registers the counters.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "seedpod_catalog_offered",
            "Verified envelopes offered to the catalog, by what became of them",
            metrics.offered.clone(),
        );
        registry.register("seedpod_catalog_records", "Records held", metrics.records.clone());
        registry.register(
            "seedpod_catalog_authors",
            "Authors admitted, this pod included",
            metrics.authors.clone(),
        );
        registry.register(
            "seedpod_catalog_equivocators",
            "Authors that signed two envelopes under one stamp",
            metrics.equivocators.clone(),
        );
        metrics
    }
}

impl CatalogActor {
    /// Reads all heads from the store and begins a new epoch, which is on disk when this returns.
    ///
    /// `tag` are random bytes that tell this start from a clone's.
    ///
    /// # Errors
    /// When the store fails or holds a record that this program cannot read.
    pub async fn open(
        key: PodKey,
        tag: [u8; 8],
        store: Store,
        swarm: Swarm,
        metrics: CatalogMetrics,
        lifeline: Lifeline,
    ) -> Result<Self, StoreError> {
        let counter = match store.get(tables::META, tables::META_EPOCH)? {
            Some(row) => row
                .as_slice()
                .try_into()
                .map_or(0, u32::from_be_bytes)
                .saturating_add(1),
            None => 1,
        };
        let loading = store.clone();
        let me = key.id();
        let state = tokio::task::spawn_blocking(move || load(&loading, me, Epoch { counter, tag }))
            .await
            .map_err(|_| StoreError::Index("reading the records panicked".to_owned()))??;
        let mut transaction = Transaction::new();
        transaction.put(
            tables::META,
            tables::META_EPOCH,
            state.epoch().counter.to_be_bytes().to_vec(),
        );
        store.commit(transaction).await?;
        let (records, authors) = state.size();
        info!(records, authors, epoch = state.epoch().counter, "catalog opened");
        Ok(Self {
            key,
            held_at_start: state.last_stamp(&me),
            looked_back: HashSet::new(),
            state,
            store,
            swarm,
            subscribers: Vec::new(),
            metrics,
            pending: VecDeque::new(),
            telling: Arc::default(),
            busy: false,
            replays: VecDeque::new(),
            exhausted: Exhausted::new(),
            _lifeline: lifeline,
        })
    }

    /// Takes a verified envelope into the state and, if it became a head, into the next batch.
    fn apply(&mut self, record: Verified<Record>, via: PodId) -> bool {
        // A card is signed like a record and is none: kept, it would stand in digests for ever.
        if !record.header().kind.is_record() {
            return false;
        }
        let epoch = self.state.epoch();
        let outcome = self.state.offer(record.header(), record.hash(), clock::now());
        let label = match outcome {
            Outcome::Applied(_) => "applied",
            Outcome::Stale => "stale",
            Outcome::NotAdmitted => "not_admitted",
            Outcome::Frozen => "frozen",
        };
        self.metrics
            .offered
            .get_or_create(&OutcomeLabel { outcome: label })
            .inc();
        let signed_now = self.unsettled_own(epoch);
        if let Outcome::Applied(head) = outcome {
            self.put(head, record, via);
        }
        for (kind, object, state, payload) in signed_now {
            // One that the other start removed stays removed.
            if let Ok(record) = self.sign(kind, object, state, payload) {
                let me = self.key.id();
                if self.apply(record.clone(), me) {
                    self.batch(0).gossip.push((topic_of(kind), record));
                }
            }
        }
        matches!(outcome, Outcome::Applied(_))
    }

    /// What this run has signed and has to sign again, read before it is overwritten; the new epoch goes to the disk.
    fn unsettled_own(&mut self, before: Epoch) -> Vec<(Kind, ObjectId, State, Record)> {
        let now = self.state.epoch();
        if now == before {
            return Vec::new();
        }
        let keys = self.state.take_to_sign_again();
        warn!(
            counter = now.counter,
            signing_again = keys.len(),
            "our own key was used by another start: this pod was restored or cloned"
        );
        let counter = now.counter.to_be_bytes().to_vec();
        self.batch(counter.len())
            .transaction
            .put(tables::META, tables::META_EPOCH, counter);
        let me = self.key.id();
        let read = |key: &RegisterKey| {
            let record = self.unwritten(&me, key).or_else(|| {
                let stored = self.read(&me, key)?;
                stored.envelope.reopen().ok()
            })?;
            let header = record.header();
            Some((header.kind, header.object, header.state, record.payload().clone()))
        };
        keys.iter().filter_map(read).collect()
    }

    /// The newest head of a register among those that are not on disk yet.
    fn unwritten(&self, author: &PodId, key: &RegisterKey) -> Option<Verified<Record>> {
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
    fn put(&mut self, head: Head, record: Verified<Record>, via: PodId) {
        let header = *record.header();
        let row = StoredRecord::encode(head.number, head.received_s, &via, record.bytes());
        let batch = self.batch(row.len() + ROW_OVERHEAD);
        batch
            .transaction
            .put(tables::RECORDS, row_key(&header.author, &header.key()), row);
        batch.changes.push(Change::Head(held(&head, record, via)));
    }

    /// The batch that takes some more bytes of rows.
    fn batch(&mut self, bytes: usize) -> &mut Batch {
        let full = |batch: &Batch| batch.bytes > 0 && batch.bytes + bytes > BATCH_BYTES;
        if self.pending.back().is_none_or(full) {
            self.pending.push_back(Batch::default());
        }
        let last = self.pending.len() - 1;
        let batch = &mut self.pending[last];
        batch.bytes += bytes;
        batch
    }

    fn waiting_bytes(&self) -> usize {
        self.pending.iter().map(|batch| batch.bytes).sum()
    }

    /// Forgets an author, in as many batches as it takes; the last one tells it.
    fn expel(&mut self, author: PodId) {
        self.looked_back.remove(&author);
        for key in self.state.expel(author) {
            self.batch(2 * ROW_OVERHEAD)
                .transaction
                .delete(tables::RECORDS, row_key(&author, &key));
        }
        self.batch(0).changes.push(Change::AuthorGone(author));
    }

    /// Adds the caller to the next batch and starts writing when nothing is being written.
    fn written(&mut self, ctx: &mut Context<Self>) -> oneshot::Receiver<Result<(), Arc<StoreError>>> {
        let (answer, receiver) = oneshot::channel();
        self.batch(0).answers.push(answer);
        self.go_on(ctx);
        receiver
    }

    /// Begins the next replay or batch; they never overlap, so subscribers hear of changes in their order.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        if self.busy {
            return;
        }
        if let Some(Replaying { to, answer }) = self.replays.pop_front() {
            self.busy = true;
            let replay = replay(self.store.clone(), to);
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
            let failed = result.is_err();
            for answer in answers {
                let _ = answer.send(result.clone());
            }
            if !failed {
                for (topic, record) in gossip {
                    swarm.gossip(topic, record).await;
                }
            }
            failed
        };
        ctx.spawn(work.into_actor(self).map(|failed, actor, ctx| {
            actor.busy = false;
            actor.telling = Arc::default();
            if failed {
                actor.forget_unwritten();
            }
            actor.show_size();
            actor.go_on(ctx);
        }));
    }

    fn show_size(&self) {
        let show = |gauge: &Gauge, count: usize| {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        let (records, authors) = self.state.size();
        show(&self.metrics.records, records);
        show(&self.metrics.authors, authors);
        show(&self.metrics.equivocators, self.state.equivocators());
    }

    /// A batch did not reach the disk: what it changed in memory, and what was built on it, never happened.
    fn forget_unwritten(&mut self) {
        let admitted: Vec<PodId> = self.state.authors().collect();
        match load(&self.store, self.key.id(), self.state.epoch()) {
            Ok(mut state) => {
                for author in admitted {
                    state.admit(author);
                }
                state.resume_stamps(&self.state);
                self.state = state;
            }
            Err(error) => error!(%error, "cannot read the records back after a failed write"),
        }
        let failed = Arc::new(StoreError::Failed("an earlier write failed".into()));
        let answers = std::mem::take(&mut self.pending).into_iter();
        for answer in answers.flat_map(|batch| batch.answers) {
            let _ = answer.send(Err(Arc::clone(&failed)));
        }
    }

    fn read(&self, author: &PodId, key: &RegisterKey) -> Option<StoredRecord> {
        let row = self.store.get(tables::RECORDS, &row_key(author, key)).ok()??;
        StoredRecord::decode(&row).ok()
    }
}

/// Which gossip topic carries a kind.
fn topic_of(kind: Kind) -> Topic {
    match kind {
        Kind::FRIENDSHIP => Topic::Friends,
        _ => Topic::Catalog,
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
fn load(store: &Store, me: PodId, epoch: Epoch) -> Result<Catalog, StoreError> {
    let mut state = Catalog::new(me, epoch);
    for row in store.scan_prefix(tables::RECORDS, &[]) {
        let (_, value) = row?;
        let stored = StoredRecord::decode(&value).map_err(|error| StoreError::Row(error.to_string()))?;
        let hash = ContentHash::of(stored.envelope.bytes());
        state.restore(stored.envelope.header(), hash, stored.number, stored.received_s);
    }
    Ok(state)
}

impl Actor for CatalogActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Publish> for CatalogActor {
    type Result = ResponseFuture<Result<Verified<Record>, PublishError>>;

    fn handle(&mut self, publish: Publish, ctx: &mut Context<Self>) -> Self::Result {
        let record = match self.publish(publish) {
            Ok(record) => record,
            Err(error) => return Box::pin(async move { Err(error) }),
        };
        let written = self.written(ctx);
        Box::pin(async move {
            wait(written).await.map_err(PublishError::Store)?;
            Ok(record)
        })
    }
}

impl Handler<Part> for CatalogActor {
    type Result = ResponseFuture<Result<Verified<Record>, PublishError>>;

    fn handle(&mut self, Part { author, saying }: Part, ctx: &mut Context<Self>) -> Self::Result {
        let record = match self.publish(saying) {
            Ok(record) => record,
            Err(error) => return Box::pin(async move { Err(error) }),
        };
        self.expel(author);
        let written = self.written(ctx);
        Box::pin(async move {
            wait(written).await.map_err(PublishError::Store)?;
            Ok(record)
        })
    }
}

impl Handler<KeepAuthors> for CatalogActor {
    type Result = ResponseFuture<Result<usize, Arc<StoreError>>>;

    fn handle(&mut self, KeepAuthors(authors): KeepAuthors, ctx: &mut Context<Self>) -> Self::Result {
        let me = self.key.id();
        let held: BTreeSet<PodId> = self.state.authors().filter(|author| *author != me).collect();
        let gone: Vec<PodId> = held.difference(&authors).copied().collect();
        for author in &gone {
            self.expel(*author);
        }
        for author in authors {
            self.state.admit(author);
        }
        let written = self.written(ctx);
        Box::pin(async move { wait(written).await.map(|()| gone.len()) })
    }
}

impl CatalogActor {
    /// Signs a record and puts it, with what goes along, into the next batch.
    fn publish(&mut self, publish: Publish) -> Result<Verified<Record>, PublishError> {
        let Publish {
            kind,
            object,
            state,
            payload,
            along,
        } = publish;
        let record = self.sign(kind, object, state, payload)?;
        // The record and what goes along are one transaction: make sure of the room before the record takes some.
        let together = along.encoded_len() + record.bytes().len() + 2 * ROW_OVERHEAD;
        self.batch(together).bytes -= together;
        if !self.apply(record.clone(), self.key.id()) {
            return Err(PublishError::Removed);
        }
        let batch = self.batch(0);
        batch.bytes += along.encoded_len();
        batch.transaction.merge(along);
        batch.gossip.push((topic_of(kind), record.clone()));
        Ok(record)
    }

    fn sign(
        &mut self,
        kind: Kind,
        object: ObjectId,
        state: State,
        payload: Record,
    ) -> Result<Verified<Record>, PublishError> {
        let stamp = self.state.next_stamp();
        Ok(Draft {
            kind,
            object,
            state,
            payload,
        }
        .sign(&self.key, stamp)?)
    }
}

async fn wait(written: oneshot::Receiver<Result<(), Arc<StoreError>>>) -> Result<(), Arc<StoreError>> {
    written
        .await
        .unwrap_or_else(|_| Err(Arc::new(StoreError::Closed)))
}

impl Handler<Receive> for CatalogActor {
    type Result = ResponseFuture<Result<usize, Arc<StoreError>>>;

    fn handle(&mut self, receive: Receive, ctx: &mut Context<Self>) -> Self::Result {
        let Receive { from, envelopes } = receive;
        let applied = envelopes
            .into_iter()
            .filter(|record| self.apply(record.clone(), from))
            .count();
        let written = self.written(ctx);
        Box::pin(async move { wait(written).await.map(|()| applied) })
    }
}

impl Handler<EnvelopeArrived> for CatalogActor {
    type Result = ();

    fn handle(&mut self, arrived: EnvelopeArrived, ctx: &mut Context<Self>) {
        if self.waiting_bytes() > WAITING_BYTES {
            self.metrics
                .offered
                .get_or_create(&OutcomeLabel { outcome: "dropped" })
                .inc();
        } else if self.apply(arrived.envelope, arrived.from) {
            // Nobody waits for the answer: gossip is a hint.
            drop(self.written(ctx));
        }
    }
}

impl Handler<Admit> for CatalogActor {
    type Result = ();

    fn handle(&mut self, Admit(author): Admit, _: &mut Context<Self>) {
        self.state.admit(author);
    }
}

impl Handler<Expel> for CatalogActor {
    type Result = ResponseFuture<Result<(), Arc<StoreError>>>;

    fn handle(&mut self, Expel(author): Expel, ctx: &mut Context<Self>) -> Self::Result {
        self.expel(author);
        let written = self.written(ctx);
        Box::pin(wait(written))
    }
}

impl Handler<GetRoots> for CatalogActor {
    type Result = Vec<AuthorRoot>;

    fn handle(&mut self, _: GetRoots, _: &mut Context<Self>) -> Vec<AuthorRoot> {
        self.state.roots()
    }
}

impl Handler<GetDigest> for CatalogActor {
    type Result = MessageResult<GetDigest>;

    fn handle(&mut self, _: GetDigest, _: &mut Context<Self>) -> Self::Result {
        let digest: StateDigest = self.state.digest();
        MessageResult(digest)
    }
}

impl Handler<GetPage> for CatalogActor {
    type Result = ResponseFuture<Result<CatalogPage, Arc<StoreError>>>;

    fn handle(&mut self, GetPage { author, after }: GetPage, _: &mut Context<Self>) -> Self::Result {
        let (store, keys) = (self.store.clone(), self.state.page(&author, after));
        let reading = tokio::task::spawn_blocking(move || read_page(&store, &author, &keys));
        Box::pin(async move {
            reading
                .await
                .unwrap_or_else(|_| Err(StoreError::Index("reading a page panicked".to_owned())))
                .map_err(Arc::new)
        })
    }
}

/// Reads the rows of some registers until a page is full. Blocking.
fn read_page(store: &Store, author: &PodId, keys: &[RegisterKey]) -> Result<CatalogPage, StoreError> {
    let mut page = CatalogPage {
        more: keys.len() == PAGE_RECORDS,
        ..CatalogPage::default()
    };
    let mut size = 0;
    for key in keys {
        // A head whose batch is still being written has no row yet; it will be asked for again.
        let Some(row) = store.get(tables::RECORDS, &row_key(author, key))? else {
            continue;
        };
        let stored = StoredRecord::decode(&row).map_err(|error| StoreError::Row(error.to_string()))?;
        let bytes = stored.envelope.bytes().to_vec();
        if size + bytes.len() > limits::PAGE_TARGET && !page.envelopes.is_empty() {
            page.more = true;
            break;
        }
        size += bytes.len();
        page.envelopes.push(bytes);
    }
    Ok(page)
}

impl Handler<GetEnvelope> for CatalogActor {
    type Result = Option<Vec<u8>>;

    fn handle(
        &mut self,
        GetEnvelope { author, kind, object }: GetEnvelope,
        _: &mut Context<Self>,
    ) -> Self::Result {
        let stored = self.read(&author, &register_key(&author, kind, &object))?;
        Some(stored.envelope.bytes().to_vec())
    }
}

impl Handler<Subscribe> for CatalogActor {
    type Result = ();

    fn handle(&mut self, Subscribe(subscriber): Subscribe, _: &mut Context<Self>) {
        self.subscribers.push(subscriber);
    }
}

impl Handler<Replay> for CatalogActor {
    type Result = ResponseFuture<Result<(), Arc<StoreError>>>;

    fn handle(&mut self, Replay { to }: Replay, ctx: &mut Context<Self>) -> Self::Result {
        let (answer, replayed) = oneshot::channel();
        self.replays.push_back(Replaying { to, answer });
        self.go_on(ctx);
        Box::pin(wait(replayed))
    }
}

async fn replay(store: Store, to: Recipient<Changed>) -> Result<(), Arc<StoreError>> {
    let (pages, mut receiver) = tokio::sync::mpsc::channel::<Vec<Change>>(2);
    let reading = tokio::task::spawn_blocking(move || read_all(&store, &pages));
    while let Some(changes) = receiver.recv().await {
        let changes = Arc::new(changes);
        if to.send(Changed { changes }).await.is_err() {
            break;
        }
    }
    drop(receiver);
    reading
        .await
        .unwrap_or_else(|_| Err(StoreError::Index("reading the records panicked".to_owned())))
        .map_err(Arc::new)
}

/// Hands every record held to `pages`. Blocking; stops quietly when the receiver is gone.
fn read_all(store: &Store, pages: &tokio::sync::mpsc::Sender<Vec<Change>>) -> Result<(), StoreError> {
    let mut changes = Vec::with_capacity(REPLAY_PAGE);
    for row in store.scan_prefix(tables::RECORDS, &[]) {
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

impl Handler<Compare> for CatalogActor {
    type Result = Vec<Difference>;

    fn handle(&mut self, Compare(roots): Compare, _: &mut Context<Self>) -> Vec<Difference> {
        self.state.differences(roots)
    }
}

impl Handler<CatchUp> for CatalogActor {
    type Result = ResponseActFuture<Self, Result<CaughtUp, CatchUpError>>;

    fn handle(&mut self, catch_up: CatchUp, ctx: &mut Context<Self>) -> Self::Result {
        let exhausted = self.exhausted.clone();
        let with = catch_up.with;
        let look_back = (!self.looked_back.contains(&with)).then_some(self.held_at_start);
        let own = catchup::Own {
            id: self.key.id(),
            look_back,
        };
        let run = catchup::run(ctx.address(), self.swarm.clone(), own, exhausted, catch_up);
        Box::pin(run.into_actor(self).map(move |(result, tried), actor, _| {
            if result.is_ok() && actor.state.authors().any(|author| author == with) {
                actor.looked_back.insert(with);
            }
            if actor.exhausted.len() + tried.len() > MAX_EXHAUSTED {
                actor.exhausted.clear();
            }
            actor.exhausted.extend(tried);
            result
        }))
    }
}
