//! The shell of the catalog: writes in batches, tells after the disk has answered.

use std::sync::Arc;

use actix::prelude::*;
use futures::future::join_all;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use seedpod_protocol::digest::StateDigest;
use seedpod_protocol::envelope::{Draft, Epoch, Kind, RegisterKey, State, Verified, register_key};
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
    Publish, PublishError, Receive, Replay, Subscribe,
};
use super::records::{StoredRecord, row_key};
use super::state::{Catalog, Head, Outcome, PAGE_RECORDS};
use crate::clock;
use crate::store::{Store, StoreError, Transaction, tables};
use crate::supervise::Lifeline;
use crate::swarm::{EnvelopeArrived, Swarm, Topic};

/// Messages that may wait. Envelopes that find it full are dropped and come back by catch-up.
const MAILBOX: usize = 1024;

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
    /// What waits for the disk while an earlier batch is being written.
    pending: Batch,
    writing: bool,
    exhausted: Exhausted,
    _lifeline: Lifeline,
}

/// Writes that go to disk together, and who is told afterwards.
#[derive(Default)]
struct Batch {
    transaction: Transaction,
    changes: Vec<Change>,
    gossip: Vec<(Topic, Verified<Record>)>,
    answers: Vec<oneshot::Sender<Result<(), Arc<StoreError>>>>,
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
            state,
            store,
            swarm,
            subscribers: Vec::new(),
            metrics,
            pending: Batch::default(),
            writing: false,
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
        if self.state.epoch() != epoch {
            warn!(
                counter = self.state.epoch().counter,
                "our own key was used by another start: this pod was restored or cloned"
            );
            let counter = self.state.epoch().counter.to_be_bytes().to_vec();
            self.pending
                .transaction
                .put(tables::META, tables::META_EPOCH, counter);
        }
        let Outcome::Applied(head) = outcome else {
            return false;
        };
        let header = record.header();
        let row = StoredRecord::encode(head.number, head.received_s, &via, record.bytes());
        self.pending
            .transaction
            .put(tables::RECORDS, row_key(&header.author, &header.key()), row);
        self.pending.changes.push(Change::Head(held(&head, record, via)));
        true
    }

    /// Adds the caller to the next batch and starts writing when nothing is being written.
    fn written(&mut self, ctx: &mut Context<Self>) -> oneshot::Receiver<Result<(), Arc<StoreError>>> {
        let (answer, receiver) = oneshot::channel();
        self.pending.answers.push(answer);
        self.write(ctx);
        receiver
    }

    /// Writes the pending batch; batches never overlap, so subscribers hear of changes in their order.
    fn write(&mut self, ctx: &mut Context<Self>) {
        if self.writing || self.pending.answers.is_empty() {
            return;
        }
        self.writing = true;
        self.subscribers.retain(Recipient::connected);
        let Batch {
            transaction,
            changes,
            gossip,
            answers,
        } = std::mem::take(&mut self.pending);
        let (store, swarm, subscribers) = (self.store.clone(), self.swarm.clone(), self.subscribers.clone());
        let work = async move {
            let result = if transaction.is_empty() {
                Ok(())
            } else {
                store.commit(transaction).await
            };
            let result = result.map_err(Arc::new);
            if result.is_ok() && !changes.is_empty() {
                let changed = Changed {
                    changes: Arc::new(changes),
                };
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
            actor.writing = false;
            if failed {
                actor.forget_unwritten();
            }
            let (records, authors) = actor.state.size();
            actor
                .metrics
                .records
                .set(i64::try_from(records).unwrap_or(i64::MAX));
            actor
                .metrics
                .authors
                .set(i64::try_from(authors).unwrap_or(i64::MAX));
            actor
                .metrics
                .equivocators
                .set(i64::try_from(actor.state.equivocators()).unwrap_or(i64::MAX));
            actor.write(ctx);
        }));
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
        for answer in std::mem::take(&mut self.pending).answers {
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
        let Publish {
            kind,
            object,
            state,
            payload,
            along,
        } = publish;
        let signed = self.sign(kind, object, state, payload);
        let record = match signed {
            Ok(record) => record,
            Err(error) => return Box::pin(async move { Err(error) }),
        };
        let me = self.key.id();
        if !self.apply(record.clone(), me) {
            return Box::pin(async { Err(PublishError::Removed) });
        }
        self.pending.transaction.merge(along);
        self.pending.gossip.push((topic_of(kind), record.clone()));
        let written = self.written(ctx);
        Box::pin(async move {
            wait(written).await.map_err(PublishError::Store)?;
            Ok(record)
        })
    }
}

impl CatalogActor {
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
        if self.apply(arrived.envelope, arrived.from) {
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
        for key in self.state.expel(author) {
            self.pending
                .transaction
                .delete(tables::RECORDS, row_key(&author, &key));
        }
        self.pending.changes.push(Change::AuthorGone(author));
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
    type Result = Result<CatalogPage, Arc<StoreError>>;

    fn handle(&mut self, GetPage { author, after }: GetPage, _: &mut Context<Self>) -> Self::Result {
        let mut page = CatalogPage::default();
        let mut size = 0;
        let keys = self.state.page(&author, after);
        page.more = keys.len() == PAGE_RECORDS;
        for key in keys {
            // A head whose batch is still being written has no row yet; it will be asked for again.
            let Some(stored) = self.read(&author, &key) else {
                continue;
            };
            let bytes = stored.envelope.bytes().to_vec();
            if size + bytes.len() > limits::PAGE_TARGET && !page.envelopes.is_empty() {
                page.more = true;
                return Ok(page);
            }
            size += bytes.len();
            page.envelopes.push(bytes);
        }
        Ok(page)
    }
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

    fn handle(&mut self, Replay { to }: Replay, _: &mut Context<Self>) -> Self::Result {
        let store = self.store.clone();
        let (pages, mut receiver) = tokio::sync::mpsc::channel::<Vec<Change>>(2);
        let reading = tokio::task::spawn_blocking(move || read_all(&store, &pages));
        Box::pin(async move {
            while let Some(changes) = receiver.recv().await {
                if to
                    .send(Changed {
                        changes: Arc::new(changes),
                    })
                    .await
                    .is_err()
                {
                    break;
                }
            }
            reading
                .await
                .unwrap_or_else(|_| Err(StoreError::Index("reading the records panicked".to_owned())))
                .map_err(Arc::new)
        })
    }
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
        let run = catchup::run(
            ctx.address(),
            self.swarm.clone(),
            self.key.id(),
            exhausted,
            catch_up,
        );
        Box::pin(run.into_actor(self).map(|(result, tried), actor, _| {
            if actor.exhausted.len() + tried.len() > MAX_EXHAUSTED {
                actor.exhausted.clear();
            }
            actor.exhausted.extend(tried);
            result
        }))
    }
}
