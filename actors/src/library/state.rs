//! What the library knows: this pod's videos and who owns how much, and which files of friends' videos are worth having.
//!
//! Pure: told what happened, it answers with [`Effect`]s, which the shell carries out. It never sees a disk, a clock or
//! another room.
//!
//! Life of an added video: `begin_add` takes the charge of an upload (`quota.rs`), then `finish_add` makes it the video's
//! or gives it back. So the sum of what is kept and what is being added never exceeds a quota.
//!
//! Life of a friend's file (`fetches.rs`): wanted by a person or ahead of time → fetched at most once at a time → on disk,
//! or not to be had for some seconds. A file that no record names any more is deleted, also if it arrives later.

use std::collections::{BTreeSet, HashMap};

use seedpod_protocol::envelope::{Kind, State};
use seedpod_protocol::ids::{ContentHash, InfoHash, Nonce, PodId, Timestamp, VideoId};
use seedpod_protocol::records::{Record, Video};

use super::fetches::{Fetches, Urgency};
use super::folder::{MediaFolder, PictureKind};
use super::messages::{Editor, LibraryError};
use super::quota::{Charge, Quotas};
use super::records::LocalVideo;
use crate::catalog::messages::Change;

/// How many videos are added at once, waiting ones included; more are refused.
pub const MAX_ADDING: usize = 32;

/// How many changes of videos wait or run at once; more are refused.
pub const MAX_EDITING: usize = 64;

/// How many origins are asked for one torrent that several videos name.
const MAX_SOURCES: usize = 3;

/// A file beside the videos, named by its content: whoever has a file of this name has the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum CachedFile {
    Picture {
        video: VideoId,
        which: PictureKind,
        hash: ContentHash,
    },
    Info(InfoHash),
}

impl CachedFile {
    pub(super) fn path(&self, folder: &MediaFolder) -> std::path::PathBuf {
        match self {
            Self::Picture { video, which, hash } => folder.picture(video, *which, hash),
            Self::Info(info_hash) => folder.info(info_hash),
        }
    }
}

/// An order to the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Fetch a file from the first of these addresses that has it.
    Fetch { file: CachedFile, urls: Vec<String> },
    /// Delete files; those that are not there are no error.
    Delete(Vec<CachedFile>),
    /// Tell everybody who waits for a file whether it is there.
    Answer { file: CachedFile, arrived: bool },
    /// Count a file that is not fetched ahead.
    CountDropped,
}

/// What is kept in memory of a video of this pod.
#[derive(Debug)]
struct LocalHead {
    /// Its owner, and the bytes of its files.
    charge: Charge,
    thumbnail: Option<ContentHash>,
    preview: Option<ContentHash>,
    torrents: Vec<InfoHash>,
}

/// What is kept in memory of a friend's video.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RemoteVideo {
    author: PodId,
    thumbnail: Option<ContentHash>,
    preview: Option<ContentHash>,
    torrents: Vec<Torrent>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Torrent {
    info_hash: InfoHash,
    resolution: u16,
}

impl RemoteVideo {
    fn new(author: PodId, video: &Video) -> Self {
        let torrent = |file: &seedpod_protocol::records::VideoFile| Torrent {
            info_hash: file.info_hash,
            resolution: file.resolution,
        };
        Self {
            author,
            thumbnail: video.thumbnail.map(|picture| picture.hash),
            preview: video.preview.map(|picture| picture.hash),
            torrents: video.files.iter().map(torrent).collect(),
        }
    }

    fn files(&self, id: VideoId) -> Vec<CachedFile> {
        let infos = self
            .torrents
            .iter()
            .map(|torrent| CachedFile::Info(torrent.info_hash));
        pictures(id, self.thumbnail, self.preview).chain(infos).collect()
    }
}

fn pictures(
    video: VideoId,
    thumbnail: Option<ContentHash>,
    preview: Option<ContentHash>,
) -> impl Iterator<Item = CachedFile> {
    [
        (PictureKind::Thumbnail, thumbnail),
        (PictureKind::Preview, preview),
    ]
    .into_iter()
    .filter_map(move |(which, hash)| {
        Some(CachedFile::Picture {
            video,
            which,
            hash: hash?,
        })
    })
}

/// Where a file that somebody asked for is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On this pod, or nowhere.
    Local(CachedFile),
    /// On this pod if it was fetched, else at its origin.
    Remote(CachedFile),
}

/// The state of the library.
#[derive(Debug)]
pub(super) struct Library {
    me: PodId,
    local: HashMap<VideoId, LocalHead>,
    adding: HashMap<VideoId, Charge>,
    /// How many changes of a video are under way.
    editing: HashMap<VideoId, usize>,
    quotas: Quotas,
    remote: HashMap<VideoId, RemoteVideo>,
    by_author: HashMap<PodId, BTreeSet<VideoId>>,
    /// This pod's torrents.
    own_torrents: HashMap<InfoHash, VideoId>,
    /// Which videos of friends name a torrent; anybody can name anybody's.
    claims: HashMap<InfoHash, BTreeSet<VideoId>>,
    /// Public URLs of friends.
    urls: HashMap<PodId, String>,
    fetches: Fetches,
}

impl Library {
    /// A library that holds these videos and has heard nothing yet.
    pub(super) fn new<'a>(
        me: PodId,
        local: impl IntoIterator<Item = (VideoId, &'a LocalVideo)>,
        quotas: Quotas,
    ) -> Self {
        let mut library = Self {
            me,
            local: HashMap::new(),
            adding: HashMap::new(),
            editing: HashMap::new(),
            quotas,
            remote: HashMap::new(),
            by_author: HashMap::new(),
            own_torrents: HashMap::new(),
            claims: HashMap::new(),
            urls: HashMap::new(),
            fetches: Fetches::default(),
        };
        for (id, video) in local {
            let charge = library.quotas.charge(&video.video.owner, video.bytes());
            library.keep(id, video, charge);
        }
        library
    }

    /// How many videos this pod has, and how many bytes they take.
    pub(super) fn totals(&self) -> (usize, u64) {
        (
            self.local.len(),
            self.local
                .values()
                .fold(0, |sum, head| sum.saturating_add(head.charge.bytes())),
        )
    }

    /// Names a new video, whose bytes are paid for already.
    /// The charge comes back when too many are being added; the same may be tried again later.
    pub(super) fn begin_add(&mut self, charge: Charge, nonce: &Nonce) -> Result<VideoId, Charge> {
        if self.adding.len() >= MAX_ADDING {
            return Err(charge);
        }
        let id = VideoId::derive(&self.me, nonce);
        if self.local.contains_key(&id) || self.adding.contains_key(&id) {
            return Err(charge); // a nonce drawn twice: the next one will do
        }
        self.adding.insert(id, charge);
        Ok(id)
    }

    /// Ends what `begin_add` began: with the video that was published, or with nothing, and then the charge comes back.
    pub(super) fn finish_add(&mut self, id: VideoId, published: Option<&LocalVideo>) -> Option<Charge> {
        let charge = self.adding.remove(&id)?;
        match published {
            Some(video) => {
                self.keep(id, video, charge);
                None
            }
            None => Some(charge),
        }
    }

    /// How many videos are being added.
    pub(super) fn adding(&self) -> usize {
        self.adding.len()
    }

    fn may_edit(&self, id: VideoId, editor: &Editor) -> Result<(), LibraryError> {
        let head = self.local.get(&id).ok_or(LibraryError::Unknown)?;
        match editor {
            Editor::User(name) if **name != **head.charge.owner() => Err(LibraryError::NotYours),
            _ => Ok(()),
        }
    }

    /// A change of a video begins, which may write new pictures before a record names them.
    pub(super) fn begin_edit(&mut self, id: VideoId, editor: &Editor) -> Result<(), LibraryError> {
        self.may_edit(id, editor)?;
        if self.editing.values().sum::<usize>() >= MAX_EDITING {
            return Err(LibraryError::Busy);
        }
        *self.editing.entry(id).or_default() += 1;
        Ok(())
    }

    /// A change ended, with what was published or with nothing; returns which of the pictures it replaced or wrote
    /// nobody names.
    pub(super) fn finish_edit(
        &mut self,
        id: VideoId,
        published: Option<&LocalVideo>,
        written: Vec<CachedFile>,
    ) -> Vec<CachedFile> {
        self.end_edit(id);
        let mut files = written;
        if let (Some(video), Some(head)) = (published, self.local.get(&id)) {
            files.extend(pictures(id, head.thumbnail, head.preview));
            if let Some(charge) = self.forget(id) {
                self.keep(id, video, charge);
            }
        }
        // Not `is_wanted`: another change of the same video may be waiting, but it writes its files after this.
        let named = self.local.get(&id).map(|head| (head.thumbnail, head.preview));
        files.retain(|file| {
            named.is_none_or(|(thumbnail, preview)| {
                !pictures(id, thumbnail, preview).any(|known| known == *file)
            })
        });
        files
    }

    /// A removal ended; returns which pictures and info dictionaries nobody names any more.
    pub(super) fn finish_removal(&mut self, id: VideoId, removed: bool) -> Vec<CachedFile> {
        self.end_edit(id);
        let Some(head) = self.local.get(&id).filter(|_| removed) else {
            return Vec::new();
        };
        let infos = head.torrents.iter().map(|info_hash| CachedFile::Info(*info_hash));
        let mut files: Vec<CachedFile> = pictures(id, head.thumbnail, head.preview).chain(infos).collect();
        self.forget(id);
        files.retain(|file| !self.is_wanted(file));
        files
    }

    fn end_edit(&mut self, id: VideoId) {
        if let Some(changes) = self.editing.get_mut(&id) {
            *changes -= 1;
            if *changes == 0 {
                self.editing.remove(&id);
            }
        }
    }

    /// Hears what changed in the catalog.
    pub(super) fn apply(&mut self, change: &Change, now: Timestamp) -> Vec<Effect> {
        match change {
            Change::AuthorGone(author) => {
                self.urls.remove(author);
                let gone = self.by_author.get(author).cloned().unwrap_or_default();
                gone.into_iter()
                    .flat_map(|id| self.replace_remote(id, None, now))
                    .collect()
            }
            // It may come back, and what was fetched for it is of use then.
            Change::AuthorHidden(_) => Vec::new(),
            Change::Head(held) => {
                let header = held.record.header();
                if header.author == self.me {
                    return Vec::new(); // the rooms that publish know already
                }
                match (header.kind, held.record.payload()) {
                    (Kind::PROFILE, Record::Profile(profile)) if header.state == State::Live => {
                        self.learn_url(header.author, &profile.url, now)
                    }
                    (Kind::VIDEO, payload) => {
                        let Ok(id) = VideoId::try_from(header.object) else {
                            return Vec::new();
                        };
                        let video = match payload {
                            Record::Video(video) if header.state == State::Live => {
                                Some(RemoteVideo::new(header.author, video))
                            }
                            _ => None,
                        };
                        // A removal names no nonce, so anybody can sign one for any id: it counts for its author's own.
                        if self
                            .remote
                            .get(&id)
                            .is_some_and(|held| held.author != header.author)
                        {
                            return Vec::new();
                        }
                        self.replace_remote(id, video, now)
                    }
                    _ => Vec::new(),
                }
            }
        }
    }

    /// Where a picture is; nothing if no video here has it.
    pub(super) fn locate_picture(&self, video: VideoId, which: PictureKind) -> Option<Place> {
        let choose = |thumbnail, preview| match which {
            PictureKind::Thumbnail => thumbnail,
            PictureKind::Preview => preview,
        };
        if let Some(head) = self.local.get(&video) {
            let hash = choose(head.thumbnail, head.preview)?;
            return Some(Place::Local(CachedFile::Picture { video, which, hash }));
        }
        let remote = self.remote.get(&video)?;
        let hash = choose(remote.thumbnail, remote.preview)?;
        Some(Place::Remote(CachedFile::Picture { video, which, hash }))
    }

    /// Where an info dictionary is; nothing if no video here names the torrent.
    pub(super) fn locate_info(&self, info_hash: InfoHash) -> Option<Place> {
        let file = CachedFile::Info(info_hash);
        if self.own_torrents.contains_key(&info_hash) {
            return Some(Place::Local(file));
        }
        self.claims
            .contains_key(&info_hash)
            .then_some(Place::Remote(file))
    }

    /// Somebody waits for a file of a friend: fetches it, or joins a fetch under way.
    pub(super) fn want(&mut self, file: CachedFile, now: Timestamp) -> Result<Vec<Effect>, LibraryError> {
        if self.sources(&file).is_empty() {
            return Err(LibraryError::Unavailable);
        }
        self.fetches.want(file, now)?;
        Ok(self.start_fetches())
    }

    /// A fetch ended.
    pub(super) fn fetched(&mut self, file: CachedFile, arrived: bool, now: Timestamp) -> Vec<Effect> {
        self.fetches.finish(file, arrived, now);
        let wanted = self.is_wanted(&file);
        let mut effects = vec![Effect::Answer {
            file,
            arrived: arrived && wanted,
        }];
        if arrived && !wanted {
            effects.push(Effect::Delete(vec![file]));
        }
        effects.extend(self.start_fetches());
        effects
    }

    /// Whether some record names a file, or is about to.
    fn is_wanted(&self, file: &CachedFile) -> bool {
        match file {
            CachedFile::Info(info_hash) => {
                self.own_torrents.contains_key(info_hash) || self.claims.contains_key(info_hash)
            }
            CachedFile::Picture { video, which, .. } => {
                let current = self.locate_picture(*video, *which);
                matches!(current, Some(Place::Local(known) | Place::Remote(known)) if known == *file)
            }
        }
    }

    /// Every file that some record names.
    pub(super) fn wanted_files(&self) -> impl Iterator<Item = CachedFile> + '_ {
        let local = self
            .local
            .iter()
            .flat_map(|(id, head)| pictures(*id, head.thumbnail, head.preview));
        let remote = self
            .remote
            .iter()
            .flat_map(|(id, video)| pictures(*id, video.thumbnail, video.preview));
        let infos = self
            .own_torrents
            .keys()
            .chain(self.claims.keys())
            .copied()
            .map(CachedFile::Info);
        local.chain(remote).chain(infos)
    }

    fn learn_url(&mut self, author: PodId, url: &str, now: Timestamp) -> Vec<Effect> {
        if self.urls.get(&author).is_some_and(|known| known == url) {
            return Vec::new();
        }
        self.urls.insert(author, url.to_owned());
        let videos = self.by_author.get(&author).into_iter().flatten();
        let files: Vec<CachedFile> = videos
            .filter_map(|id| self.remote.get(id).map(|video| video.files(*id)))
            .flatten()
            .collect();
        self.prefetch(files, now)
    }

    fn replace_remote(&mut self, id: VideoId, video: Option<RemoteVideo>, now: Timestamp) -> Vec<Effect> {
        let before = self.remote.remove(&id);
        if before == video {
            if let Some(video) = video {
                self.remote.insert(id, video);
            }
            return Vec::new();
        }
        let mut old_files = Vec::new();
        if let Some(before) = before {
            old_files = before.files(id);
            remove_member(&mut self.by_author, before.author, id);
            for torrent in &before.torrents {
                remove_member(&mut self.claims, torrent.info_hash, id);
            }
        }
        let mut new_files = Vec::new();
        if let Some(video) = video {
            new_files = video.files(id);
            self.by_author.entry(video.author).or_default().insert(id);
            for torrent in &video.torrents {
                self.claims.entry(torrent.info_hash).or_default().insert(id);
            }
            self.remote.insert(id, video);
        }
        new_files.retain(|file| !old_files.contains(file));
        let mut effects = self.delete_unwanted(old_files);
        effects.extend(self.prefetch(new_files, now));
        effects
    }

    fn prefetch(&mut self, files: Vec<CachedFile>, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        for file in files {
            // Without an address it is fetched when the origin's profile arrives.
            if !self.sources(&file).is_empty() && self.fetches.prefetch(file, now).is_err() {
                effects.push(Effect::CountDropped);
            }
        }
        effects.extend(self.start_fetches());
        effects
    }

    fn start_fetches(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some((file, urgency)) = self.fetches.next() {
            let urls = self.sources(&file);
            if urls.is_empty() {
                // Its record left while it waited.
                self.fetches.cancel(file);
                if urgency == Urgency::Wanted {
                    effects.push(Effect::Answer { file, arrived: false });
                }
                continue;
            }
            effects.push(Effect::Fetch { file, urls });
        }
        effects
    }

    /// Where a friend's file can be had; nowhere if nobody names it or its origin's address is unknown.
    fn sources(&self, file: &CachedFile) -> Vec<String> {
        match file {
            CachedFile::Picture { video, which, .. } => {
                let url = self
                    .remote
                    .get(video)
                    .and_then(|video| self.urls.get(&video.author));
                let folder = match which {
                    PictureKind::Thumbnail => "thumbnails",
                    PictureKind::Preview => "previews",
                };
                url.map(|url| format!("{url}/lazy-static/{folder}/{video}.jpg"))
                    .into_iter()
                    .collect()
            }
            CachedFile::Info(info_hash) => {
                let of = |id: &VideoId| {
                    let video = self.remote.get(id)?;
                    let url = self.urls.get(&video.author)?;
                    let torrent = video
                        .torrents
                        .iter()
                        .find(|torrent| torrent.info_hash == *info_hash)?;
                    Some(format!(
                        "{url}/static/torrents/{id}-{}.torrent",
                        torrent.resolution
                    ))
                };
                self.claims
                    .get(info_hash)
                    .into_iter()
                    .flatten()
                    .filter_map(of)
                    .take(MAX_SOURCES)
                    .collect()
            }
        }
    }

    fn delete_unwanted(&self, mut files: Vec<CachedFile>) -> Vec<Effect> {
        files.retain(|file| !self.is_wanted(file));
        if files.is_empty() {
            Vec::new()
        } else {
            vec![Effect::Delete(files)]
        }
    }

    fn keep(&mut self, id: VideoId, row: &LocalVideo, mut charge: Charge) {
        charge.settle(row.bytes());
        let torrents: Vec<InfoHash> = row.video.files.iter().map(|file| file.info_hash).collect();
        self.own_torrents
            .extend(torrents.iter().map(|info_hash| (*info_hash, id)));
        let head = LocalHead {
            charge,
            thumbnail: row.video.thumbnail.map(|picture| picture.hash),
            preview: row.video.preview.map(|picture| picture.hash),
            torrents,
        };
        self.local.insert(id, head);
    }

    /// Forgets a video and returns its charge.
    fn forget(&mut self, id: VideoId) -> Option<Charge> {
        let head = self.local.remove(&id)?;
        for info_hash in &head.torrents {
            self.own_torrents.remove(info_hash);
        }
        Some(head.charge)
    }
}

fn remove_member<K: std::hash::Hash + Eq, V: Ord>(sets: &mut HashMap<K, BTreeSet<V>>, key: K, member: V) {
    if let Some(set) = sets.get_mut(&key) {
        set.remove(&member);
        if set.is_empty() {
            sets.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
