//! The shell of the mirrors: collects what the lists say, runs fetches, writes down and announces what the state decides.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix::fut::ready;
use actix::prelude::*;
use seedpod_protocol::envelope::{Kind, State};
use seedpod_protocol::ids::{PodId, VideoId};
use seedpod_protocol::records::{Mirror, Record};
use tracing::{info, warn};

use super::health::Health;
use super::messages::{
    Bucket, Budgets, FetchRange, GetCopy, GetSources, KeepVideo, LetGo, ListMirrors, MirrorError,
    MirrorReport, SetBudget, Source,
};
use super::metrics::MirrorMetrics;
use super::records::{self, Row};
use super::state::{BY_HAND_MAX, CopyFile, Effect, Mirrors, Seen, Trouble, Wish};
use super::work::{Progress, Workshop};
use crate::catalog::messages::{Changed, Publish};
use crate::friends::FriendsActor;
use crate::friends::messages::{FriendEntry, ListPods, Phase};
use crate::library::{LibraryActor, MediaFolder};
use crate::search::SearchActor;
use crate::search::messages::{
    GetMirrors, GetVideo, ListVideos, MirrorEntry, Sort, SortKey, VideoEntry, VideoFilter, VideoKey,
};
use crate::seeder::messages::{Carry, Forget};
use crate::seeder::{Holding, SeederActor};
use crate::store::{Store, StoreError, Transaction, tables};
use crate::supervise::{Lifeline, Live};

/// Messages that may wait; askers wait with them.
const MAILBOX: usize = 256;
/// How often it is looked whether something is to be done.
const TICK: Duration = Duration::from_secs(1);
/// What is watched most changes without a word: everything is decided anew this often at least.
const PLAN_EVERY: Duration = Duration::from_secs(60);
/// And not more often than this, however much changes.
const PLAN_PAUSE: Duration = Duration::from_secs(2);
/// Rows of a list asked for at once, and of a friend's videos in all.
const PAGE: usize = 100;
const OF_FRIEND_MAX: usize = 5_000;

/// What the mirrors are made of.
pub struct MirrorsOptions {
    /// Budgets, unless somebody sets others.
    pub budgets: Budgets,
    /// Where rows lie.
    pub store: Store,
    /// Where files lie.
    pub folder: MediaFolder,
    /// Knows the videos and who has copies.
    pub search: Addr<SearchActor>,
    /// Knows who is a friend.
    pub friends: Addr<FriendsActor>,
    /// Knows the torrents.
    pub library: Addr<LibraryActor>,
    /// Signs what is said about copies.
    pub publisher: Recipient<Publish>,
    /// Gives copies to peers.
    pub seeder: Live<SeederActor>,
    /// Fetches from other pods.
    pub fetcher: Recipient<FetchRange>,
    /// Counters.
    pub metrics: MirrorMetrics,
    /// Reports the end of the room.
    pub lifeline: Lifeline,
}

/// The lists that say what to keep.
#[derive(Clone)]
struct Lists {
    search: Addr<SearchActor>,
    friends: Addr<FriendsActor>,
}

/// The actor that owns the copies.
pub struct MirrorsActor {
    state: Mirrors,
    health: Health,
    lists: Lists,
    store: Store,
    publisher: Recipient<Publish>,
    seeder: Live<SeederActor>,
    workshop: Workshop,
    /// Fetches under way, and how far those were that ended.
    progress: HashMap<VideoId, Progress>,
    metrics: MirrorMetrics,
    /// Copies that are to go, which could not be said.
    unsaid: Vec<Effect>,
    /// Something changed since the last plan.
    stale: bool,
    planning: bool,
    planned: Option<Instant>,
    _lifeline: Lifeline,
}

impl MirrorsActor {
    /// Reads the rows, and deletes files that none of them names. Blocks.
    ///
    /// # Errors
    /// When the store or the folder cannot be read, or a row is not of this program.
    pub fn open(options: MirrorsOptions) -> Result<Self, StoreError> {
        let mut state = Mirrors::new(options.budgets);
        for row in options.store.scan_prefix(tables::MIRRORS, &[]) {
            let (key, value) = row?;
            match Row::decode(&key, &value).map_err(|error| StoreError::Row(error.to_string()))? {
                Row::Chosen(video) => state.choose(video),
                Row::Copy {
                    wish,
                    bucket,
                    announced,
                } => state.restore(wish, bucket, announced),
                Row::Budget(bucket, bytes) => {
                    state.set_budget(bucket, Some(bytes));
                }
            }
        }
        sweep(&options.folder, &state);
        Ok(Self {
            state,
            health: Health::default(),
            lists: Lists {
                search: options.search,
                friends: options.friends,
            },
            store: options.store,
            publisher: options.publisher,
            seeder: options.seeder,
            workshop: Workshop {
                folder: options.folder,
                library: options.library,
                fetcher: options.fetcher,
                metrics: options.metrics.clone(),
            },
            progress: HashMap::new(),
            metrics: options.metrics,
            unsaid: Vec::new(),
            stale: true,
            planning: false,
            planned: None,
            _lifeline: options.lifeline,
        })
    }

    /// Plans if it is time, and starts what may be fetched.
    fn tick(&mut self, ctx: &mut Context<Self>) {
        let wait = if self.stale { PLAN_PAUSE } else { PLAN_EVERY };
        if !self.planning && self.planned.is_none_or(|planned| planned.elapsed() >= wait) {
            self.planning = true;
            self.stale = false;
            let lists = self.lists.clone();
            let (buckets, by_hand) = (
                self.state.buckets(),
                self.state.by_hand().iter().copied().collect(),
            );
            let look = async move { lists.look(buckets, by_hand).await };
            ctx.spawn(look.into_actor(self).map(|seen, actor, ctx| {
                actor.planning = false;
                actor.planned = Some(Instant::now());
                // Without an answer the pod is stopping.
                if let Some(seen) = seen {
                    let mut effects = std::mem::take(&mut actor.unsaid);
                    effects.extend(actor.state.plan(seen));
                    actor.run(effects, ctx);
                    actor.fetch_next(ctx);
                }
            }));
        }
        self.fetch_next(ctx);
    }

    fn fetch_next(&mut self, ctx: &mut Context<Self>) {
        // Before the first plan nobody knows what is still wanted.
        while self.planned.is_some()
            && let Some(wish) = self.state.next(Instant::now())
        {
            let (workshop, lists, progress) =
                (self.workshop.clone(), self.lists.clone(), Progress::default());
            let video = wish.video;
            self.progress.insert(video, progress.clone());
            let fetch = async move {
                let sources = lists.sources(&wish).await;
                workshop.fetch(wish, sources, progress).await
            };
            ctx.spawn(fetch.into_actor(self).map(move |outcome, actor, ctx| {
                actor.metrics.fetched(match &outcome {
                    Ok(()) => "whole",
                    Err(Trouble::NoRoom) => "no_room",
                    Err(Trouble::NoSource(_)) => "no_source",
                    Err(Trouble::Disk(_)) => "disk",
                    Err(Trouble::Stopped) => "stopped",
                });
                let effect = actor.state.fetched(&video, outcome, Instant::now());
                actor.run(effect, ctx);
                actor.fetch_next(ctx);
            }));
        }
        self.metrics.set_totals(self.state.totals());
    }

    fn run(&mut self, effects: impl IntoIterator<Item = Effect>, ctx: &mut Context<Self>) {
        for effect in effects {
            match effect {
                Effect::Remember(video) => self.remember(video, ctx),
                Effect::Serve(video) => self.serve(&video),
                Effect::Announce(video) => self.announce(video, ctx),
                Effect::Drop {
                    video,
                    announced,
                    files,
                } => self.drop_copy(video, announced, files, ctx),
            }
        }
    }

    fn drop_copy(&mut self, video: VideoId, announced: bool, files: Vec<CopyFile>, ctx: &mut Context<Self>) {
        if let Some(progress) = self.progress.remove(&video) {
            progress.stop.cancel();
        }
        for CopyFile { info_hash, .. } in &files {
            let info_hash = *info_hash;
            if self.seeder.addr().try_send(Forget { info_hash }).is_err() {
                warn!(%video, "peers find a copy that is gone until the pod is started again");
            }
        }
        let paths = files
            .iter()
            .map(|file| self.workshop.folder.mirror(&file.name))
            .collect();
        let (store, publisher, workshop) =
            (self.store.clone(), self.publisher.clone(), self.workshop.clone());
        let leave = async move {
            let mut along = Transaction::new();
            records::forget_copy(&video, &mut along);
            let said = if announced {
                say(&publisher, video, None, along).await
            } else {
                store.commit(along).await.map_err(|error| error.to_string())
            };
            if said.is_ok() {
                workshop.delete(paths).await;
            }
            said
        };
        ctx.spawn(leave.into_actor(self).map(move |said, actor, ctx| match said {
            Ok(()) => {
                let again = actor.state.dropped(&video);
                actor.run(again, ctx);
            }
            Err(error) => {
                // The files stay until everybody can know that they are gone; so does the row, for the next start.
                warn!(%video, %error, "that a copy is gone could not be written down, it is tried again");
                actor.unsaid.push(Effect::Drop {
                    video,
                    announced,
                    files,
                });
            }
        }));
    }

    fn row(&self, video: &VideoId, announced: bool) -> Option<Row> {
        let copy = self.state.copy(video)?;
        Some(Row::Copy {
            wish: copy.wish.clone(),
            bucket: copy.bucket,
            announced,
        })
    }

    fn remember(&self, video: VideoId, ctx: &mut Context<Self>) {
        let Some(copy) = self.state.copy(&video) else {
            return;
        };
        let Some(row) = self.row(&video, copy.announced) else {
            return;
        };
        let store = self.store.clone();
        let mut transaction = Transaction::new();
        row.put(&mut transaction);
        let write = async move { store.commit(transaction).await };
        ctx.spawn(write.into_actor(self).map(move |written, actor, _| {
            if let Err(error) = written {
                warn!(%video, %error, "a copy to be made could not be written down, it is tried again");
                actor.state.unwritten(&video);
            }
        }));
    }

    /// Puts a copy on the seeder's shelf.
    fn serve(&self, video: &VideoId) {
        let Some(copy) = self.state.copy(video) else {
            return;
        };
        let folder = &self.workshop.folder;
        for file in &copy.wish.files {
            let holding = Holding {
                info_hash: file.info_hash,
                media: folder.mirror(&file.name),
                info: folder.info(&file.info_hash),
            };
            if self.seeder.addr().try_send(Carry(holding)).is_err() {
                warn!(%video, "a copy is served over HTTP alone until the pod is started again");
            }
        }
    }

    fn announce(&self, video: VideoId, ctx: &mut Context<Self>) {
        let (Some(copy), Some(row)) = (self.state.copy(&video), self.row(&video, true)) else {
            return;
        };
        let mirror = Mirror {
            video,
            origin: copy.wish.origin,
            info_hashes: copy.wish.files.iter().map(|file| file.info_hash).collect(),
        };
        let publisher = self.publisher.clone();
        let mut along = Transaction::new();
        row.put(&mut along);
        let title = copy.wish.title.clone();
        let announce = async move { say(&publisher, video, Some(mirror), along).await };
        ctx.spawn(announce.into_actor(self).map(move |said, actor, _| match said {
            Ok(()) => {
                info!(%video, title, "a copy is whole and served");
                actor.state.announced(&video);
            }
            Err(error) => warn!(%video, %error, "a copy could not be announced, it is tried again"),
        }));
    }

    /// Writes something down, then changes the state.
    fn change(
        &self,
        transaction: Transaction,
        change: impl FnOnce(&mut Self) + 'static,
    ) -> ResponseActFuture<Self, Result<(), MirrorError>> {
        let store = self.store.clone();
        let write = async move { store.commit(transaction).await };
        Box::pin(write.into_actor(self).map(|written, actor, ctx| {
            written?;
            change(actor);
            actor.stale = true;
            actor.tick(ctx);
            Ok(())
        }))
    }
}

/// Says that there is a copy, or none any more.
async fn say(
    publisher: &Recipient<Publish>,
    video: VideoId,
    mirror: Option<Mirror>,
    along: Transaction,
) -> Result<(), String> {
    let publish = Publish {
        kind: Kind::MIRROR,
        object: video.into(),
        state: if mirror.is_some() {
            State::Live
        } else {
            State::Withdrawn
        },
        payload: mirror.map_or(Record::Empty, Record::Mirror),
        along,
    };
    match publisher.send(publish).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the pod is stopping".to_owned()),
    }
}

/// Deletes files of copies that no row names.
fn sweep(folder: &MediaFolder, state: &Mirrors) {
    let known: Vec<String> = state
        .copies()
        .flat_map(|copy| &copy.wish.files)
        .map(|file| file.name.to_string())
        .collect();
    let Ok(entries) = std::fs::read_dir(folder.mirrors()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let whole = name.strip_suffix(".part").unwrap_or(&name);
        if !known.iter().any(|known| known == whole)
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            warn!(%name, %error, "a file of no copy stays");
        }
    }
}

impl Lists {
    /// What the lists say now; nothing when the pod is stopping.
    async fn look(&self, buckets: Vec<(Bucket, u64)>, by_hand: Vec<VideoId>) -> Option<Seen> {
        let pods = self.friends.send(ListPods).await.ok()?;
        let let_go = pods
            .iter()
            .filter(|pod| pod.phase == Phase::Ejected)
            .map(|pod| pod.pod)
            .collect();
        let mut wishes = BTreeMap::new();
        for (bucket, limit) in buckets {
            let found = match bucket {
                Bucket::Hand => self.chosen(&by_hand).await?,
                Bucket::Friend(friend) => {
                    let filter = VideoFilter {
                        origin: Some(friend),
                        ..VideoFilter::default()
                    };
                    self.list(filter, SortKey::PublishedAt, OF_FRIEND_MAX).await?
                }
                Bucket::MostViewed if limit == 0 => Vec::new(),
                Bucket::MostViewed => {
                    let filter = VideoFilter {
                        is_local: Some(false),
                        ..VideoFilter::default()
                    };
                    self.list(filter, SortKey::Views, PAGE).await?
                }
            };
            wishes.insert(bucket, found);
        }
        Some(Seen { let_go, wishes })
    }

    async fn chosen(&self, by_hand: &[VideoId]) -> Option<Vec<Wish>> {
        let mut found = Vec::new();
        for video in by_hand {
            let entry = self.search.send(GetVideo(VideoKey::Id(*video))).await.ok()?;
            found.extend(entry.and_then(|entry| wish(&entry)));
        }
        Some(found)
    }

    async fn list(&self, filter: VideoFilter, key: SortKey, most: usize) -> Option<Vec<Wish>> {
        let mut found = Vec::new();
        for start in (0..most).step_by(PAGE) {
            let list = ListVideos {
                filter: filter.clone(),
                sort: Sort {
                    key,
                    descending: true,
                },
                start,
                count: PAGE,
            };
            let page = self.search.send(list).await.ok()?;
            found.extend(page.rows.iter().filter_map(|entry| wish(entry)));
            if start + PAGE >= page.total {
                break;
            }
        }
        Some(found)
    }

    /// Where a video's files can be had: its origin first, then who says it keeps a copy.
    async fn sources(&self, wish: &Wish) -> Vec<String> {
        let entry = self.search.send(GetVideo(VideoKey::Id(wish.video))).await;
        let origin = entry
            .ok()
            .flatten()
            .and_then(|entry| entry.profile.as_ref().map(|profile| profile.url.clone()));
        let mirrors: Vec<MirrorEntry> = self.search.send(GetMirrors(wish.video)).await.unwrap_or_default();
        let others = mirrors
            .into_iter()
            .filter(|mirror| !mirror.is_local)
            .map(|mirror| mirror.url);
        origin.into_iter().chain(others).collect()
    }

    async fn friend(&self, pod: PodId) -> Option<FriendEntry> {
        let pods = self.friends.send(ListPods).await.ok()?;
        pods.into_iter()
            .find(|entry| entry.pod == pod && matches!(entry.phase, Phase::Friends | Phase::Ejected))
    }
}

/// A friend's video as something to keep; none of this pod's own, nor one whose files have names that are none.
fn wish(entry: &VideoEntry) -> Option<Wish> {
    (!entry.is_local).then_some(())?;
    Some(Wish {
        video: entry.id,
        origin: entry.origin,
        host: entry.host().unwrap_or_default().to_owned(),
        title: entry.video.name.clone(),
        files: files_of(entry)?,
    })
}

fn files_of(entry: &VideoEntry) -> Option<Vec<CopyFile>> {
    let files = entry.video.files.iter().map(|file| {
        Some(CopyFile {
            name: file.file_name(&entry.id).parse().ok()?,
            info_hash: file.info_hash,
            size: file.size,
        })
    });
    files.collect()
}

impl Actor for MirrorsActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(TICK, Self::tick);
    }
}

impl Handler<Changed> for MirrorsActor {
    type Result = ();

    fn handle(&mut self, _: Changed, _: &mut Context<Self>) {
        // What it means is in the lists by the time they are looked at.
        self.stale = true;
    }
}

impl Handler<KeepVideo> for MirrorsActor {
    type Result = ResponseActFuture<Self, Result<(), MirrorError>>;

    fn handle(&mut self, KeepVideo(video): KeepVideo, _: &mut Context<Self>) -> Self::Result {
        let asked = self.lists.search.send(GetVideo(VideoKey::Id(video)));
        Box::pin(asked.into_actor(self).then(move |found, actor, _| {
            let refused = match found.ok().flatten() {
                None => Some(MirrorError::Unknown),
                Some(entry) if entry.is_local => Some(MirrorError::OurOwn),
                Some(_) if actor.state.by_hand().len() >= BY_HAND_MAX => {
                    Some(MirrorError::TooMany(BY_HAND_MAX))
                }
                Some(_) => None,
            };
            if let Some(error) = refused {
                return Box::pin(ready(Err(error))) as ResponseActFuture<Self, _>;
            }
            let mut transaction = Transaction::new();
            Row::Chosen(video).put(&mut transaction);
            actor.change(transaction, move |actor| {
                actor.state.choose(video);
                actor.state.hurry();
            })
        }))
    }
}

impl Handler<LetGo> for MirrorsActor {
    type Result = ResponseActFuture<Self, Result<(), MirrorError>>;

    fn handle(&mut self, LetGo(video): LetGo, _: &mut Context<Self>) -> Self::Result {
        if !self.state.by_hand().contains(&video) {
            return Box::pin(ready(Err(MirrorError::NotChosen)));
        }
        let mut transaction = Transaction::new();
        records::forget_choice(&video, &mut transaction);
        self.change(transaction, move |actor| {
            actor.state.unchoose(&video);
        })
    }
}

impl Handler<SetBudget> for MirrorsActor {
    type Result = ResponseActFuture<Self, Result<(), MirrorError>>;

    fn handle(&mut self, SetBudget { bucket, bytes }: SetBudget, _: &mut Context<Self>) -> Self::Result {
        let lists = self.lists.clone();
        let known = async move {
            match (bucket, bytes) {
                (Bucket::Friend(pod), Some(_)) => lists.friend(pod).await.is_some(),
                _ => true,
            }
        };
        Box::pin(known.into_actor(self).then(move |known, actor, _| {
            if !known {
                return Box::pin(ready(Err(MirrorError::NoFriend))) as ResponseActFuture<Self, _>;
            }
            let mut transaction = Transaction::new();
            match bytes {
                Some(bytes) => Row::Budget(bucket, bytes).put(&mut transaction),
                None => records::forget_budget(&bucket, &mut transaction),
            }
            actor.change(transaction, move |actor| {
                actor.state.set_budget(bucket, bytes);
            })
        }))
    }
}

impl Handler<ListMirrors> for MirrorsActor {
    type Result = ResponseActFuture<Self, MirrorReport>;

    fn handle(&mut self, _: ListMirrors, _: &mut Context<Self>) -> Self::Result {
        let asked = self.lists.friends.send(ListPods);
        Box::pin(asked.into_actor(self).map(|pods, actor, _| {
            let pods = pods.unwrap_or_default();
            let host = |pod: &PodId| {
                pods.iter()
                    .find(|entry| entry.pod == *pod)
                    .map(|entry| entry.host.clone())
            };
            MirrorReport {
                copies: actor.state.list(|video| actor.held(video)),
                budgets: actor.state.budgets(host),
            }
        }))
    }
}

impl Handler<GetCopy> for MirrorsActor {
    type Result = MessageResult<GetCopy>;

    fn handle(&mut self, GetCopy(video): GetCopy, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.state.kept(&video, |video| self.held(video)))
    }
}

impl Handler<GetSources> for MirrorsActor {
    type Result = ResponseActFuture<Self, Vec<Source>>;

    fn handle(&mut self, GetSources(video): GetSources, _: &mut Context<Self>) -> Self::Result {
        let search = self.lists.search.clone();
        let look = async move {
            let mirrors: Vec<MirrorEntry> = search.send(GetMirrors(video)).await.unwrap_or_default();
            let entry = search.send(GetVideo(VideoKey::Id(video))).await.ok().flatten();
            (mirrors, entry.and_then(|entry| files_of(&entry)))
        };
        Box::pin(look.into_actor(self).map(|(mirrors, files), actor, ctx| {
            let Some(files) = files else { return Vec::new() };
            let now = Instant::now();
            let mut sources = Vec::new();
            for mirror in mirrors {
                let file = files
                    .iter()
                    .find(|file| mirror.info_hashes.contains(&file.info_hash));
                let Some(file) = file else { continue };
                let standing = match mirror.is_local {
                    true => None,
                    false => Some(actor.health.of(&mirror.url, now)),
                };
                if standing.is_some_and(|standing| standing.look) {
                    actor.look_at(mirror.url.clone(), file, ctx);
                }
                if standing.is_none_or(|standing| standing.answers) {
                    sources.push(Source {
                        url: mirror.url,
                        is_local: mirror.is_local,
                        info_hashes: mirror.info_hashes,
                    });
                }
            }
            sources
        }))
    }
}

impl MirrorsActor {
    /// Bytes of a copy that is being fetched, or was when it got stuck.
    fn held(&self, video: &VideoId) -> u64 {
        let progress = self.progress.get(video);
        progress.map_or(0, |progress| progress.held.load(Ordering::Relaxed))
    }

    /// Asks another pod for the first byte of a file it says it has.
    fn look_at(&self, url: String, file: &CopyFile, ctx: &mut Context<Self>) {
        let range = FetchRange {
            url: format!("{url}/static/webseed/{}", file.name),
            first: 0,
            count: 1,
        };
        let asked = self.workshop.fetcher.send(range);
        ctx.spawn(asked.into_actor(self).map(move |answer, actor, _| {
            let answered = matches!(answer, Ok(Ok(bytes)) if bytes.len() == 1);
            actor.health.looked(&url, answered, Instant::now());
        }));
    }
}
