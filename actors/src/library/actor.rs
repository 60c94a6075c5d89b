//! The library's shell: hears messages, asks the state, sends the long work away and carries out effects.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use actix::fut::{LocalBoxActorFuture, ready};
use actix::prelude::*;
use bytes::Bytes;
use seedpod_protocol::envelope::Verified;
use seedpod_protocol::ids::PodId;
use seedpod_protocol::records::Record;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::folder::MediaFolder;
use super::media::tool::MediaTools;
use super::messages::{
    AddVideo, CatalogReplayed, FetchFile, GetInfo, GetPicture, LibraryError, RemoveVideo, UpdateVideo,
    UsageOf,
};
use super::metrics::{FetchLabel, FetchOutcome, LibraryMetrics, UploadLabel, UploadOutcome};
use super::resumable::{Claim, Uploads};
use super::state::{CachedFile, Effect, Library, Place};
use super::sweep::{self, OpenError};
use super::workshop::{Edited, Workshop};
use crate::catalog::messages::{Changed, Publish};
use crate::clock::now;
use crate::store::{Store, Transaction};
use crate::supervise::Lifeline;

/// How many messages wait; a sender that waits for its answer waits for room too.
const MAILBOX: usize = 256;

/// How often uploads that nobody went on with are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(10 * 60);

/// How many wait for one file of a friend; more are refused.
const MAX_WAITERS: usize = 256;

/// What a library is made of.
pub struct LibraryOptions {
    /// This pod.
    pub pod: PodId,
    /// Where rows lie.
    pub store: Store,
    /// Where files lie.
    pub folder: MediaFolder,
    /// Where uploads arrive, and who keeps how much.
    pub uploads: Uploads,
    /// ffmpeg's programs, if there are any.
    pub tools: MediaTools,
    /// How long a video may be, in seconds; `None` means as long as people like.
    pub max_duration: Option<u32>,
    /// Who signs and publishes: the catalog.
    pub publisher: Recipient<Publish>,
    /// Who fetches files from other pods over HTTP.
    pub fetcher: Recipient<FetchFile>,
    /// Reports the end of the room.
    pub lifeline: Lifeline,
}

/// The library. Subscribe it to the catalog ([`Changed`]), let the catalog replay, then say [`CatalogReplayed`].
pub struct LibraryActor {
    state: Library,
    workshop: Workshop,
    uploads: Uploads,
    metrics: LibraryMetrics,
    waiters: HashMap<CachedFile, Vec<oneshot::Sender<bool>>>,
    opened: SystemTime,
    _lifeline: Lifeline,
}

impl LibraryActor {
    /// Reads the rows, deletes what unfinished uploads left, and is ready to be started.
    pub async fn open(options: LibraryOptions) -> Result<Self, OpenError> {
        let LibraryOptions {
            pod,
            store,
            folder,
            uploads,
            tools,
            max_duration,
            publisher,
            fetcher,
            lifeline,
        } = options;
        let opened = SystemTime::now();
        let (rows, files) = (store.clone(), folder.clone());
        let local = tokio::task::spawn_blocking(move || sweep::open(&rows, &files))
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error).into()))?;
        let state = Library::new(
            pod,
            local.iter().map(|(id, video)| (*id, video)),
            uploads.quotas().clone(),
        );
        uploads.sweep_rows().await?;
        let workshop = Workshop::new(store, folder, tools, max_duration, publisher, fetcher);
        let library = Self {
            state,
            workshop,
            metrics: uploads.metrics().clone(),
            uploads,
            waiters: HashMap::new(),
            opened,
            _lifeline: lifeline,
        };
        library.show_totals();
        Ok(library)
    }

    fn show_totals(&self) {
        let (videos, bytes) = self.state.totals();
        self.metrics.videos.set(i64::try_from(videos).unwrap_or(i64::MAX));
        self.metrics
            .local_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.metrics
            .adding
            .set(i64::try_from(self.state.adding()).unwrap_or(i64::MAX));
    }

    fn count_upload(&self, outcome: UploadOutcome) {
        self.metrics.uploads.get_or_create(&UploadLabel { outcome }).inc();
    }

    fn run(&mut self, effects: Vec<Effect>, ctx: &mut Context<Self>) {
        let mut unwanted = Vec::new();
        for effect in effects {
            match effect {
                Effect::Fetch { file, urls } => {
                    let fetch = self.workshop.clone().fetch(file, urls).into_actor(self);
                    ctx.spawn(fetch.map(move |outcome, library, ctx| library.fetched(file, outcome, ctx)));
                }
                Effect::Delete(files) => unwanted.extend(files),
                Effect::Answer { file, arrived } => {
                    for waiter in self.waiters.remove(&file).into_iter().flatten() {
                        waiter.send(arrived).ok(); // whoever waited has left
                    }
                }
                Effect::CountDropped => {
                    self.metrics.prefetches_dropped.inc();
                }
            }
        }
        if !unwanted.is_empty() {
            let workshop = self.workshop.clone();
            ctx.spawn(async move { workshop.delete_cached(unwanted).await }.into_actor(self));
        }
    }

    fn fetched(&mut self, file: CachedFile, outcome: FetchOutcome, ctx: &mut Context<Self>) {
        self.metrics.fetches.get_or_create(&FetchLabel { outcome }).inc();
        let arrived = matches!(outcome, FetchOutcome::Fetched | FetchOutcome::Held);
        let effects = self.state.fetched(file, arrived, now());
        self.run(effects, ctx);
    }

    /// Answers with the path of a file once it lies there.
    fn find(&mut self, place: Option<Place>) -> LocalBoxActorFuture<Self, Result<PathBuf, LibraryError>> {
        let Some(Place::Local(file) | Place::Remote(file)) = place else {
            return Box::pin(ready(Err(LibraryError::Unknown)));
        };
        let path = file.path(&self.workshop.folder);
        let looked_at = path.clone();
        let look = async move { tokio::fs::try_exists(&looked_at).await };
        Box::pin(
            look.into_actor(self)
                .then(move |found, library, ctx| match (found, place) {
                    (Ok(true), _) => ready_boxed(Ok(path)),
                    (Err(error), _) => ready_boxed(Err(error.into())),
                    (Ok(false), Some(Place::Remote(file))) => {
                        let arriving = library.wait_for(file, ctx);
                        let wait = async move {
                            let arrived = arriving?.await.map_err(|_| LibraryError::Stopping)?;
                            if arrived {
                                Ok(path)
                            } else {
                                Err(LibraryError::Unavailable)
                            }
                        };
                        Box::pin(wait.into_actor(library))
                    }
                    (Ok(false), _) => {
                        warn!(path = %path.display(), "a file of this pod's own video is missing");
                        ready_boxed(Err(LibraryError::Unknown))
                    }
                }),
        )
    }

    fn wait_for(
        &mut self,
        file: CachedFile,
        ctx: &mut Context<Self>,
    ) -> Result<oneshot::Receiver<bool>, LibraryError> {
        if self
            .waiters
            .get(&file)
            .is_some_and(|waiters| waiters.len() >= MAX_WAITERS)
        {
            return Err(LibraryError::Busy);
        }
        let effects = self.state.want(file, now())?;
        let (answer, answered) = oneshot::channel();
        self.waiters.entry(file).or_default().push(answer);
        self.run(effects, ctx);
        Ok(answered)
    }
}

#[cfg(test)]
impl LibraryActor {
    pub(super) fn row(&self, id: seedpod_protocol::ids::VideoId) -> Option<super::records::LocalVideo> {
        self.workshop.read(id).ok()
    }
}

impl Actor for LibraryActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(EXPIRE_EVERY, |library, ctx| {
            let uploads = library.uploads.clone();
            let expire = async move {
                uploads.expire(now()).await;
            };
            ctx.spawn(expire.into_actor(library));
        });
    }
}

impl Handler<AddVideo> for LibraryActor {
    type Result = ResponseActFuture<Self, Result<Verified<Record>, LibraryError>>;

    fn handle(&mut self, mut add: AddVideo, _: &mut Context<Self>) -> Self::Result {
        let nonce = rand::random();
        let claim = add.upload.claim.take();
        let charge = (claim.as_ref().and_then(Claim::take_charge)).or_else(|| add.upload.charge.take());
        let charge = charge.unwrap_or_else(|| {
            self.uploads
                .quotas()
                .charge(&add.owner.username, add.upload.size())
        });
        let id = match self.state.begin_add(charge, &nonce) {
            Ok(id) => id,
            Err(charge) => {
                let error = LibraryError::Busy;
                self.count_upload(UploadOutcome::from(&error));
                if let Some(claim) = claim {
                    claim.return_charge(charge);
                }
                // Deleting a large file may take a while.
                tokio::task::spawn_blocking(move || drop(add));
                return Box::pin(ready(Err(error)));
            }
        };
        self.show_totals();
        let mut along = Transaction::new();
        if let Some(claim) = &claim {
            claim.note_published(id, &mut along);
        }
        let work = self.workshop.clone().add(id, nonce, add, along, now());
        Box::pin(work.into_actor(self).then(move |outcome, library, _| {
            let row = outcome.as_ref().ok().map(|(row, _)| row);
            let charge = library.state.finish_add(id, row);
            library.count_upload(
                outcome
                    .as_ref()
                    .map_or_else(UploadOutcome::from, |_| UploadOutcome::Published),
            );
            library.show_totals();
            let settle = async move {
                match (claim, &outcome, charge) {
                    (Some(claim), Ok(_), _) => claim.published(id),
                    (Some(claim), Err(error), Some(charge)) if error.may_pass() && claim.has_file() => {
                        claim.return_charge(charge);
                    }
                    (Some(claim), Err(_), _) => claim.forget().await,
                    (None, ..) => {}
                }
                outcome.map(|(_, record)| record)
            };
            settle.into_actor(library)
        }))
    }
}

impl Handler<UpdateVideo> for LibraryActor {
    type Result = ResponseActFuture<Self, Result<Verified<Record>, LibraryError>>;

    fn handle(&mut self, update: UpdateVideo, _: &mut Context<Self>) -> Self::Result {
        let id = update.id;
        if let Err(error) = self.state.begin_edit(id, &update.by) {
            return Box::pin(ready(Err(error)));
        }
        let work = self.workshop.clone().update(update, now());
        Box::pin(work.into_actor(self).then(move |edited, library, _| {
            let Edited {
                outcome,
                written,
                guard,
            } = edited;
            let row = outcome.as_ref().ok().map(|(row, _)| row);
            let unwanted = library.state.finish_edit(id, row, written);
            let workshop = library.workshop.clone();
            let clean = async move {
                workshop.delete_cached(unwanted).await;
                drop(guard);
                outcome.map(|(_, record)| record)
            };
            clean.into_actor(library)
        }))
    }
}

impl Handler<RemoveVideo> for LibraryActor {
    type Result = ResponseActFuture<Self, Result<(), LibraryError>>;

    fn handle(&mut self, remove: RemoveVideo, _: &mut Context<Self>) -> Self::Result {
        let RemoveVideo { id, by } = remove;
        if let Err(error) = self.state.begin_edit(id, &by) {
            return Box::pin(ready(Err(error)));
        }
        let work = self.workshop.clone().remove(id);
        Box::pin(work.into_actor(self).then(move |(outcome, guard), library, _| {
            let unwanted = library.state.finish_removal(id, outcome.is_ok());
            library.show_totals();
            let workshop = library.workshop.clone();
            let clean = async move {
                workshop.delete_cached(unwanted).await;
                drop(guard);
                outcome
            };
            clean.into_actor(library)
        }))
    }
}

impl Handler<UsageOf> for LibraryActor {
    type Result = MessageResult<UsageOf>;

    fn handle(&mut self, usage: UsageOf, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.uploads.quotas().used(&usage.username))
    }
}

impl Handler<GetPicture> for LibraryActor {
    type Result = ResponseActFuture<Self, Result<PathBuf, LibraryError>>;

    fn handle(&mut self, get: GetPicture, _: &mut Context<Self>) -> Self::Result {
        let place = self.state.locate_picture(get.video, get.which);
        self.find(place)
    }
}

impl Handler<GetInfo> for LibraryActor {
    type Result = ResponseActFuture<Self, Result<Bytes, LibraryError>>;

    fn handle(&mut self, get: GetInfo, _: &mut Context<Self>) -> Self::Result {
        let place = self.state.locate_info(get.info_hash);
        let found = self.find(place);
        Box::pin(found.then(|path, library, _| {
            let read = async move { Ok(Bytes::from(tokio::fs::read(path?).await?)) };
            read.into_actor(library)
        }))
    }
}

impl Handler<Changed> for LibraryActor {
    type Result = ();

    fn handle(&mut self, changed: Changed, ctx: &mut Context<Self>) {
        let now = now();
        let effects = changed
            .changes
            .iter()
            .flat_map(|change| self.state.apply(change, now))
            .collect();
        self.run(effects, ctx);
    }
}

impl Handler<CatalogReplayed> for LibraryActor {
    type Result = ();

    fn handle(&mut self, _: CatalogReplayed, ctx: &mut Context<Self>) {
        let folder = self.workshop.folder.clone();
        let wanted: HashSet<PathBuf> = self.state.wanted_files().map(|file| file.path(&folder)).collect();
        let opened = self.opened;
        let sweep = async move {
            match tokio::task::spawn_blocking(move || sweep::sweep_cache(&folder, &wanted, opened)).await {
                Ok(Ok(0)) => {}
                Ok(Ok(files)) => info!(files, "pictures and torrents that nobody names were deleted"),
                Ok(Err(error)) => warn!(%error, "the media cache could not be swept"),
                Err(error) => warn!(%error, "the media cache could not be swept"),
            }
        };
        ctx.spawn(sweep.into_actor(self));
    }
}

fn ready_boxed<T: 'static>(value: T) -> LocalBoxActorFuture<LibraryActor, T> {
    Box::pin(ready(value))
}
