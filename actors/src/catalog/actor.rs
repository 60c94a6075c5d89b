//! The shell of the catalog: writes in batches, tells after the disk has answered.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

use actix::prelude::*;
use seedpod_protocol::digest::StateDigest;
use seedpod_protocol::envelope::{Draft, Epoch, Kind, RegisterKey, Stamp, State, Verified, register_key};
use seedpod_protocol::ids::{ObjectId, PodId};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::Record;
use seedpod_protocol::requests::{AuthorRoot, Response};
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::CatalogMetrics;
use super::answers::Answer;
use super::batches::{Batch, ROW_OVERHEAD, Replaying, load, read_answer, read_records, wait};
use super::catchup::{CatchUp, CatchUpError, CaughtUp, Driver};
use super::messages::{
    Admit, AnswerFriend, Change, Changed, Expel, FriendSync, GetDigest, GetEnvelope, GetKeyStatements,
    GetOtherStart, GetRoots, GetSync, Hide, KeepAuthors, OtherStart, Part, Publish, PublishError, READ_MAX,
    ReadRecords, Receive, Replay, Subscribe,
};
use super::own_keys::OwnKeys;
use super::records::{StoredRecord, row_key};
use super::state::{Catalog, Outcome};
use super::sync::{Patience, Said, Terms};
use super::twin::OtherStarts;
use crate::clock;
use crate::store::{Store, StoreError, tables};
use crate::supervise::Lifeline;
use crate::swarm::{EnvelopeArrived, Swarm, Topic};

/// Messages that may wait. Envelopes that find it full are dropped and come back by catch-up.
const MAILBOX: usize = 1024;

/// Bytes of rows that may wait for the disk before gossip is dropped; it comes back by catch-up.
const WAITING_BYTES: usize = 32 * 1024 * 1024;

/// The actor that owns the catalog.
pub struct CatalogActor {
    pub(super) key: PodKey,
    pub(super) state: Catalog,
    pub(super) store: Store,
    pub(super) swarm: Swarm,
    pub(super) subscribers: Vec<Recipient<Changed>>,
    pub(super) metrics: CatalogMetrics,
    /// What waits for the disk while an earlier batch is being written, oldest first.
    pub(super) pending: VecDeque<Batch>,
    /// What the batch that is being written will tell.
    pub(super) telling: Arc<Vec<Change>>,
    /// A batch is being written, or everything held is being replayed: one at a time, so that all hear in order.
    pub(super) busy: bool,
    pub(super) replays: VecDeque<Replaying>,
    pub(super) patience: Patience,
    /// What each friend said when it was last asked for its roots.
    pub(super) said: BTreeMap<PodId, Said>,
    /// The last own record that was held when this pod started, and the friends who were asked since for later ones.
    /// If this pod was restored from an old copy, they hold what it signed after the copy was made.
    held_at_start: Option<Stamp>,
    pub(super) looked_back: HashSet<PodId>,
    other_starts: OtherStarts,
    /// Whether somebody was found to say something about our keys; that is told once.
    foreign_seen: bool,
    _lifeline: Lifeline,
}

impl CatalogActor {
    /// Reads all heads from the store and begins a new epoch, which is on disk when this returns.
    ///
    /// `tag` are random bytes that tell this start from a clone's. What the pod said about its keys is made true first: see
    /// [`OwnKeys`].
    ///
    /// # Errors
    /// When the store fails or holds a record that this program cannot read, or when the key is not the one that signs for
    /// this pod.
    pub async fn open(
        keys: impl Into<OwnKeys>,
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
        let OwnKeys { signing, next, said } = keys.into();
        let loading = store.clone();
        let me = signing.id();
        let state = tokio::task::spawn_blocking(move || load(&loading, me, Epoch { counter, tag }))
            .await
            .map_err(|_| StoreError::Index("reading the records panicked".to_owned()))??;
        let mut catalog = Self {
            key: signing,
            held_at_start: state.last_stamp(&me),
            looked_back: HashSet::new(),
            other_starts: OtherStarts::default(),
            foreign_seen: false,
            state,
            store,
            swarm,
            subscribers: Vec::new(),
            metrics,
            pending: VecDeque::new(),
            telling: Arc::default(),
            busy: false,
            replays: VecDeque::new(),
            patience: Patience::default(),
            said: BTreeMap::new(),
            _lifeline: lifeline,
        };
        catalog.take_up(next, said).await?;
        let (records, authors) = catalog.state.size();
        let epoch = catalog.state.epoch().counter;
        info!(records, authors, epoch, "catalog opened");
        Ok(catalog)
    }

    /// Takes a verified envelope into the state and, if it became a head, into the next batch.
    pub(super) fn apply(&mut self, record: Verified<Record>, via: PodId) -> bool {
        // A card is signed like a record and is none: kept, it would stand in digests for ever.
        if !record.header().kind.is_record() {
            return false;
        }
        let epoch = self.state.epoch();
        let outcome = self.state.offer(&record, clock::now());
        self.metrics.offered(outcome.name());
        let signed_now = self.unsettled_own(epoch, record.header().epoch);
        let news = match outcome {
            Outcome::Applied(head) => {
                self.put(head, record, via);
                true
            }
            Outcome::KeysChanged { head, lapsed } => {
                self.put_keys(head, &lapsed, record, via);
                true
            }
            Outcome::Foreign => {
                if !std::mem::replace(&mut self.foreign_seen, true) {
                    let kind = record.header().kind;
                    warn!(
                        ?kind,
                        "our keys were changed elsewhere: ours was stolen, and is to be revoked, or this folder lacks what was said about it"
                    );
                }
                false
            }
            Outcome::Stale | Outcome::NotAdmitted | Outcome::Frozen | Outcome::Void | Outcome::Unlisted => {
                false
            }
        };
        for (kind, object, state, payload) in signed_now {
            // One that the other start removed stays removed.
            if let Ok(record) = self.sign(kind, object, state, payload) {
                let me = self.key.id();
                if self.apply(record.clone(), me) {
                    self.batch(0).gossip.push((topic_of(kind), record));
                }
            }
        }
        news
    }

    /// What this run has signed and has to sign again, read before it is overwritten; the new epoch goes to the disk.
    fn unsettled_own(&mut self, before: Epoch, seen: Epoch) -> Vec<(Kind, ObjectId, State, Record)> {
        let now = self.state.epoch();
        if now == before {
            return Vec::new();
        }
        let keys = self.state.take_to_sign_again();
        let other = self.other_starts.seen(seen, clock::now());
        warn!(
            counter = now.counter,
            signing_again = keys.len(),
            twin = other.is_twin,
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

    pub(super) fn read(&self, author: &PodId, key: &RegisterKey) -> Option<StoredRecord> {
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

    fn handle(&mut self, keep: KeepAuthors, ctx: &mut Context<Self>) -> Self::Result {
        let me = self.key.id();
        let held: BTreeSet<PodId> = self.state.authors().chain(self.state.hidden()).collect();
        let stays =
            |author: &PodId| *author == me || keep.admitted.contains(author) || keep.hidden.contains(author);
        let gone: Vec<PodId> = held.into_iter().filter(|author| !stays(author)).collect();
        for author in &gone {
            self.expel(*author);
        }
        for author in keep.hidden {
            self.hide(author);
        }
        for author in keep.admitted {
            self.admit(author);
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

    pub(super) fn sign(
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
            self.metrics.offered("dropped");
            return;
        }
        let news = self.apply(arrived.envelope, arrived.from);
        // The swarm may have stopped.
        let _ = arrived.news.send(news);
        if news {
            // Nobody waits for the answer: gossip is a hint.
            drop(self.written(ctx));
        }
    }
}

impl Handler<Admit> for CatalogActor {
    type Result = ();

    fn handle(&mut self, Admit(author): Admit, ctx: &mut Context<Self>) {
        if self.admit(author) {
            // Nobody waits: what follows of this author is told after what was hidden.
            drop(self.written(ctx));
        }
    }
}

impl Handler<Hide> for CatalogActor {
    type Result = ResponseFuture<Result<(), Arc<StoreError>>>;

    fn handle(&mut self, Hide(author): Hide, ctx: &mut Context<Self>) -> Self::Result {
        self.hide(author);
        let written = self.written(ctx);
        Box::pin(wait(written))
    }
}

impl Handler<GetOtherStart> for CatalogActor {
    type Result = Option<OtherStart>;

    fn handle(&mut self, _: GetOtherStart, _: &mut Context<Self>) -> Option<OtherStart> {
        self.other_starts.last()
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

impl Handler<GetSync> for CatalogActor {
    type Result = MessageResult<GetSync>;

    fn handle(&mut self, _: GetSync, _: &mut Context<Self>) -> Self::Result {
        let own = self.state.records_of(&self.key.id());
        let sync = |(friend, said): (&PodId, &Said)| {
            let held = self.state.records_of(friend);
            let sync = FriendSync {
                held,
                // Gossip may have brought more than there was when it was asked.
                total: said.of_its_own.max(held),
                acknowledged: said.of_ours.min(own),
                own,
            };
            (*friend, sync)
        };
        MessageResult(self.said.iter().map(sync).collect())
    }
}

impl Handler<GetDigest> for CatalogActor {
    type Result = MessageResult<GetDigest>;

    fn handle(&mut self, _: GetDigest, _: &mut Context<Self>) -> Self::Result {
        let digest: StateDigest = self.state.digest();
        MessageResult(digest)
    }
}

impl Handler<AnswerFriend> for CatalogActor {
    type Result = ResponseFuture<Result<Option<Response>, Arc<StoreError>>>;

    fn handle(&mut self, AnswerFriend(request): AnswerFriend, _: &mut Context<Self>) -> Self::Result {
        let (store, answer) = (self.store.clone(), self.state.answer(&request));
        Box::pin(async move {
            match answer {
                None => Ok(None),
                Some(Answer::Ready(response)) => Ok(Some(response)),
                Some(answer) => tokio::task::spawn_blocking(move || read_answer(&store, answer))
                    .await
                    .unwrap_or_else(|_| Err(StoreError::Index("reading a page panicked".to_owned())))
                    .map(Some)
                    .map_err(Arc::new),
            }
        })
    }
}

impl Handler<GetKeyStatements> for CatalogActor {
    type Result = Vec<Vec<u8>>;

    fn handle(&mut self, GetKeyStatements(author): GetKeyStatements, _: &mut Context<Self>) -> Self::Result {
        self.key_statements(&author)
    }
}

impl Handler<ReadRecords> for CatalogActor {
    type Result = ResponseFuture<Result<Vec<Option<Verified<Record>>>, Arc<StoreError>>>;

    fn handle(&mut self, ReadRecords(mut keys): ReadRecords, _: &mut Context<Self>) -> Self::Result {
        keys.truncate(READ_MAX);
        let store = self.store.clone();
        Box::pin(async move {
            tokio::task::spawn_blocking(move || read_records(&store, &keys))
                .await
                .unwrap_or_else(|_| Err(StoreError::Index("reading records panicked".to_owned())))
                .map_err(Arc::new)
        })
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

    fn handle(&mut self, Replay { to }: Replay, ctx: &mut Context<Self>) -> Self::Result {
        let (answer, replayed) = oneshot::channel();
        self.replays.push_back(Replaying { to, answer });
        self.go_on(ctx);
        Box::pin(wait(replayed))
    }
}

impl Handler<CatchUp> for CatalogActor {
    type Result = ResponseActFuture<Self, Result<CaughtUp, CatchUpError>>;

    fn handle(&mut self, CatchUp { with, addresses }: CatchUp, ctx: &mut Context<Self>) -> Self::Result {
        let terms = Terms {
            me: self.key.id(),
            with,
            look_back: (!self.looked_back.contains(&with)).then_some(self.held_at_start),
            may_dig: self.patience.may_dig(&with, clock::now()),
            turn: rand::random(),
        };
        let driver = Driver {
            catalog: ctx.address(),
            swarm: self.swarm.clone(),
            with,
            addresses,
            metrics: self.metrics.clone(),
        };
        let run = async move { driver.drive(terms).await };
        Box::pin(run.into_actor(self).map(move |result, actor, _| {
            if let Ok(caught_up) = &result
                && actor.state.is_admitted(&with)
            {
                actor.looked_back.insert(with);
                actor.patience.ended(with, caught_up, clock::now());
            }
            result
        }))
    }
}
