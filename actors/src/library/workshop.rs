//! The long work of the library, off the actor: making a video out of an upload, changing one, removing one, fetching.
//!
//! Invariants: a file of the library is named by a record and a row, or it is deleted: by whoever made it when the
//! publication is refused, by the sweep of the next start when the pod stopped in between, or when it is not known
//! whether the publication reached the disk. Changes and removals happen one after the other.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use bytes::Bytes;
use seedpod_protocol::envelope::{Kind, State, Verified};
use seedpod_protocol::ids::{ContentHash, Nonce, Timestamp, VideoId};
use seedpod_protocol::metainfo::{Info, MAX_METAINFO_LEN, Metainfo};
use seedpod_protocol::records::{Record, Video, VideoFile};
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};
use tracing::{info, warn};

use super::folder::{MediaFolder, MediaName, PictureKind, delete};
use super::media;
use super::media::tool::MediaTools;
use super::messages::{AddVideo, FetchFile, LibraryError, UpdateVideo, VideoPatch};
use super::metrics::FetchOutcome;
use super::picture::{MAX_UPLOADED_BYTES, Poster, RenderedPicture, poster};
use super::records::{LocalTorrent, LocalVideo, MAX_ORIGINAL_NAME};
use super::state::CachedFile;
use crate::catalog::messages::{Publish, PublishError};
use crate::store::tables::{LOCAL_VIDEOS, TORRENTS};
use crate::store::{Store, Transaction};

/// How many uploads are probed and given pictures at once; each may decode a large image.
const MAX_WORKING: usize = 2;

/// How long a fetch from an origin may take, whatever the one who fetches promises.
const FETCH_DEADLINE: Duration = Duration::from_secs(30);

/// What all work needs; clones share it.
#[derive(Clone)]
pub(super) struct Workshop {
    pub(super) store: Store,
    pub(super) folder: MediaFolder,
    pub(super) tools: MediaTools,
    pub(super) max_duration: Option<u32>,
    pub(super) publisher: Recipient<Publish>,
    pub(super) fetcher: Recipient<FetchFile>,
    slots: Arc<Semaphore>,
    edits: Arc<Mutex<()>>,
}

/// Keeps other changes waiting until this one has cleaned up after itself.
pub(super) type EditGuard = OwnedMutexGuard<()>;

/// What became of a change.
pub(super) struct Edited {
    pub(super) outcome: Result<(LocalVideo, Verified<Record>), LibraryError>,
    /// Pictures that were written for it, whether it was published or not.
    pub(super) written: Vec<CachedFile>,
    pub(super) guard: EditGuard,
}

impl Workshop {
    pub(super) fn new(
        store: Store,
        folder: MediaFolder,
        tools: MediaTools,
        max_duration: Option<u32>,
        publisher: Recipient<Publish>,
        fetcher: Recipient<FetchFile>,
    ) -> Self {
        let (slots, edits) = (Arc::new(Semaphore::new(MAX_WORKING)), Arc::default());
        Self {
            store,
            folder,
            tools,
            max_duration,
            publisher,
            fetcher,
            slots,
            edits,
        }
    }

    /// Makes a video out of an upload and has it published, in one transaction with what goes `along`.
    pub(super) async fn add(
        self,
        id: VideoId,
        nonce: Nonce,
        add: AddVideo,
        mut along: Transaction,
        now: Timestamp,
    ) -> Result<(LocalVideo, Verified<Record>), LibraryError> {
        let row = {
            let _slot = self.slots.acquire().await.map_err(|_| LibraryError::Stopping)?;
            self.make(id, nonce, add, now).await?
        };
        along.put(LOCAL_VIDEOS, *id.as_bytes(), row.encode());
        for (rendition, file) in (0..).zip(&row.video.files) {
            along.put(
                TORRENTS,
                *file.info_hash.as_bytes(),
                LocalTorrent { video: id, rendition }.encode(),
            );
        }
        let payload = Record::Video(row.video.clone());
        match self.publish(id, State::Live, payload, along).await {
            Ok(record) => {
                info!(video = %id, seconds = row.video.duration, bytes = row.bytes(), "video published");
                Ok((row, record))
            }
            Err(error) => {
                if is_certain(&error) {
                    self.delete(self.all_files(id, &row)).await;
                }
                Err(error)
            }
        }
    }

    /// Everything of a new video but its publication: when this answers, all files lie where the row says.
    async fn make(
        &self,
        id: VideoId,
        nonce: Nonce,
        add: AddVideo,
        now: Timestamp,
    ) -> Result<LocalVideo, LibraryError> {
        let AddVideo {
            owner,
            details,
            upload,
            file_name_hint,
            thumbnail,
            preview,
        } = add;
        let probe = media::probe(upload.path(), &self.tools).await?;
        let seconds = probe.duration();
        if let Some(limit) = self.max_duration.filter(|limit| seconds > *limit) {
            return Err(LibraryError::TooLong { seconds, limit });
        }
        let pixels = |side: u32| u16::try_from(side).unwrap_or(u16::MAX);
        let name = MediaName {
            video: id,
            resolution: pixels(probe.height),
            container: probe.container,
        };
        let info = Info::new(
            name.to_string(),
            upload.size,
            upload.piece_length,
            upload.pieces.clone(),
        )
        .map_err(io::Error::other)?;

        let mut pictures = Vec::new();
        let mut frame = None;
        for (which, image) in [
            (PictureKind::Thumbnail, thumbnail),
            (PictureKind::Preview, preview),
        ] {
            let rendered = match image {
                Some(image) => render_upload(which, image).await?,
                None => {
                    if frame.is_none() {
                        frame = Some(Arc::new(poster(upload.path(), &probe, &id, &self.tools).await));
                    }
                    let frame = frame.clone().expect("was just made");
                    blocking(move || {
                        frame
                            .render(which)
                            .map_err(|error| LibraryError::Picture { which, error })
                    })
                    .await?
                }
            };
            pictures.push((which, rendered));
        }
        let picture = |which| {
            pictures
                .iter()
                .find(|(kind, _)| *kind == which)
                .map(|(_, rendered)| rendered.picture)
        };
        let video = Video {
            nonce,
            channel: owner.channel,
            owner: owner.username,
            name: details.name,
            description: details.description,
            category: details.category,
            licence: details.licence,
            language: details.language,
            nsfw: details.nsfw,
            tags: details.tags,
            support: details.support,
            comments_enabled: details.comments_enabled,
            download_enabled: details.download_enabled,
            privacy: details.privacy,
            duration: seconds,
            created_at: now,
            published_at: now,
            updated_at: now,
            originally_published_at: details.originally_published_at,
            thumbnail: picture(PictureKind::Thumbnail),
            preview: picture(PictureKind::Preview),
            files: vec![VideoFile {
                info_hash: info.info_hash(),
                size: upload.size,
                resolution: name.resolution,
                width: pixels(probe.width),
                height: pixels(probe.height),
                fps: probe.whole_fps(),
                extension: probe.container.extension().to_owned(),
                piece_length: upload.piece_length,
            }],
        };
        // The catalog would refuse it too, but only after everything was written.
        video.validate()?;
        let original_name = file_name_hint.map(|name| {
            name.chars()
                .filter(|c| !c.is_control())
                .take(MAX_ORIGINAL_NAME)
                .collect()
        });
        let row = LocalVideo { video, original_name };

        let (folder, files) = (self.folder.clone(), self.all_files(id, &row));
        let info_path = folder.info(&info.info_hash());
        blocking(move || {
            let placed = (|| {
                folder.write(&info_path, &info.encode())?;
                for (which, RenderedPicture { bytes, picture }) in &pictures {
                    folder.write(&folder.picture(&id, *which, &picture.hash), bytes)?;
                }
                upload.file.name(&folder.video(&name))
            })();
            if placed.is_err() {
                delete_all(&files);
            }
            Ok(placed?)
        })
        .await?;
        Ok(row)
    }

    /// Changes a video and has the change published.
    pub(super) async fn update(self, update: UpdateVideo, now: Timestamp) -> Edited {
        let UpdateVideo {
            id,
            by: _,
            patch,
            thumbnail,
            preview,
        } = update;
        let mut rendered = Ok(Vec::new());
        for (which, image) in [
            (PictureKind::Thumbnail, thumbnail),
            (PictureKind::Preview, preview),
        ] {
            let (Some(image), Ok(list)) = (image, &mut rendered) else {
                continue;
            };
            match render_upload(which, image).await {
                Ok(picture) => list.push((which, picture)),
                Err(error) => rendered = Err(error),
            }
        }
        let guard = Arc::clone(&self.edits).lock_owned().await;
        let mut written = Vec::new();
        let outcome = match rendered {
            Ok(pictures) => self.publish_update(id, patch, pictures, now, &mut written).await,
            Err(error) => Err(error),
        };
        if outcome.as_ref().is_err_and(|error| !is_certain(error)) {
            written.clear();
        }
        Edited {
            outcome,
            written,
            guard,
        }
    }

    async fn publish_update(
        &self,
        id: VideoId,
        patch: VideoPatch,
        pictures: Vec<(PictureKind, RenderedPicture)>,
        now: Timestamp,
        written: &mut Vec<CachedFile>,
    ) -> Result<(LocalVideo, Verified<Record>), LibraryError> {
        let mut row = self.read(id)?;
        patch.apply(&mut row.video);
        row.video.updated_at = now.max(row.video.updated_at);
        for (which, rendered) in &pictures {
            let slot = match which {
                PictureKind::Thumbnail => &mut row.video.thumbnail,
                PictureKind::Preview => &mut row.video.preview,
            };
            *slot = Some(rendered.picture);
        }
        row.video.validate()?;
        for (which, RenderedPicture { bytes, picture }) in pictures {
            written.push(CachedFile::Picture {
                video: id,
                which,
                hash: picture.hash,
            });
            let folder = self.folder.clone();
            blocking(move || Ok(folder.write(&folder.picture(&id, which, &picture.hash), &bytes)?)).await?;
        }
        let mut along = Transaction::new();
        along.put(LOCAL_VIDEOS, *id.as_bytes(), row.encode());
        let record = self
            .publish(id, State::Live, Record::Video(row.video.clone()), along)
            .await?;
        Ok((row, record))
    }

    /// Publishes the removal of a video and deletes its media files; its pictures and info dictionaries are left to
    /// whoever knows that nobody else names them.
    pub(super) async fn remove(self, id: VideoId) -> (Result<(), LibraryError>, EditGuard) {
        let guard = Arc::clone(&self.edits).lock_owned().await;
        let outcome = async {
            let row = self.read(id)?;
            let mut along = Transaction::new();
            along.delete(LOCAL_VIDEOS, *id.as_bytes());
            for file in &row.video.files {
                along.delete(TORRENTS, *file.info_hash.as_bytes());
            }
            self.publish(id, State::Removed, Record::Empty, along).await?;
            let files = row.file_names(id).map(|name| self.folder.video(&name)).collect();
            self.delete(files).await;
            info!(video = %id, "video removed");
            Ok(())
        }
        .await;
        (outcome, guard)
    }

    /// Deletes files beside the videos.
    pub(super) async fn delete_cached(&self, files: Vec<CachedFile>) {
        self.delete(files.iter().map(|file| file.path(&self.folder)).collect())
            .await;
    }

    /// Fetches a file from the first of some addresses that hands out what was signed, unless it lies here already.
    pub(super) async fn fetch(self, file: CachedFile, urls: Vec<String>) -> FetchOutcome {
        let path = file.path(&self.folder);
        if tokio::fs::try_exists(&path).await.unwrap_or(false) {
            return FetchOutcome::Held;
        }
        let limit = match file {
            CachedFile::Picture { .. } => MAX_UPLOADED_BYTES,
            CachedFile::Info(_) => MAX_METAINFO_LEN,
        };
        let mut outcome = FetchOutcome::Unreachable;
        for url in urls {
            let asked = self.fetcher.send(FetchFile {
                url: url.clone(),
                limit,
            });
            let bytes = match tokio::time::timeout(FETCH_DEADLINE, asked).await {
                Ok(Ok(Ok(bytes))) => bytes,
                Ok(Ok(Err(error))) => {
                    info!(%url, %error, "an origin does not hand out a file");
                    continue;
                }
                Ok(Err(_)) | Err(_) => {
                    info!(%url, "an origin did not answer");
                    continue;
                }
            };
            let (folder, path) = (self.folder.clone(), path.clone());
            let kept = tokio::task::spawn_blocking(move || match verified(&file, bytes) {
                Some(bytes) => folder.write(&path, &bytes).map(|()| true),
                None => Ok(false),
            });
            outcome = match kept.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
                Ok(true) => return FetchOutcome::Fetched,
                Ok(false) => {
                    warn!(%url, "an origin hands out another file than it signed");
                    FetchOutcome::Mismatch
                }
                Err(error) => {
                    warn!(%error, "a friend's file cannot be kept");
                    return FetchOutcome::Disk;
                }
            };
        }
        outcome
    }

    /// The row of a local video, as it is now.
    pub(super) fn read(&self, id: VideoId) -> Result<LocalVideo, LibraryError> {
        let row = self
            .store
            .get(LOCAL_VIDEOS, id.as_bytes())
            .map_err(|error| LibraryError::Store(Arc::new(error)))?;
        LocalVideo::decode(&row.ok_or(LibraryError::Unknown)?).map_err(|error| io::Error::other(error).into())
    }

    async fn publish(
        &self,
        id: VideoId,
        state: State,
        payload: Record,
        along: Transaction,
    ) -> Result<Verified<Record>, LibraryError> {
        let publish = Publish {
            kind: Kind::VIDEO,
            object: id.into(),
            state,
            payload,
            along,
        };
        Ok(self
            .publisher
            .send(publish)
            .await
            .map_err(|_| LibraryError::Stopping)??)
    }

    fn all_files(&self, id: VideoId, row: &LocalVideo) -> Vec<PathBuf> {
        let video = &row.video;
        let pictures = [
            (PictureKind::Thumbnail, video.thumbnail),
            (PictureKind::Preview, video.preview),
        ];
        let pictures = pictures
            .iter()
            .filter_map(|(which, picture)| Some((*which, picture.as_ref()?.hash)));
        let pictures = pictures.map(|(which, hash)| self.folder.picture(&id, which, &hash));
        let infos = video.files.iter().map(|file| self.folder.info(&file.info_hash));
        row.file_names(id)
            .map(|name| self.folder.video(&name))
            .chain(infos)
            .chain(pictures)
            .collect()
    }

    async fn delete(&self, paths: Vec<PathBuf>) {
        if let Err(error) = tokio::task::spawn_blocking(move || delete_all(&paths)).await {
            warn!(%error, "files stay until the next start");
        }
    }
}

/// Whether a failed publication certainly did not happen. Where the store or the catalog failed under it, the rows may
/// be on disk, and the next start decides by them.
fn is_certain(error: &LibraryError) -> bool {
    !matches!(
        error,
        LibraryError::Publish(PublishError::Store(_)) | LibraryError::Stopping
    )
}

/// The bytes to keep, if they are what was signed.
fn verified(file: &CachedFile, bytes: Bytes) -> Option<Bytes> {
    match file {
        CachedFile::Picture { hash, .. } => (ContentHash::of(&bytes) == *hash).then_some(bytes),
        CachedFile::Info(info_hash) => {
            let metainfo = Metainfo::decode(&bytes)
                .ok()
                .filter(|metainfo| metainfo.info_hash() == *info_hash)?;
            Some(Bytes::copy_from_slice(metainfo.info_bytes()))
        }
    }
}

async fn render_upload(which: PictureKind, image: Bytes) -> Result<RenderedPicture, LibraryError> {
    blocking(move || {
        let render = Poster::from_upload(&image).and_then(|poster| poster.render(which));
        render.map_err(|error| LibraryError::Picture { which, error })
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LibraryError> + Send + 'static,
) -> Result<T, LibraryError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error).into()))
}

fn delete_all(paths: &[PathBuf]) {
    for path in paths {
        if let Err(error) = delete(path) {
            warn!(path = %path.display(), %error, "a file stays until the next start");
        }
    }
}

impl VideoPatch {
    /// Changes a video as asked.
    fn apply(self, video: &mut Video) {
        fn set<T>(field: &mut T, new: Option<T>) {
            if let Some(new) = new {
                *field = new;
            }
        }
        set(&mut video.name, self.name);
        set(&mut video.description, self.description);
        set(&mut video.category, self.category);
        set(&mut video.licence, self.licence);
        set(&mut video.language, self.language);
        set(&mut video.nsfw, self.nsfw);
        set(&mut video.tags, self.tags);
        set(&mut video.support, self.support);
        set(&mut video.privacy, self.privacy);
        set(&mut video.comments_enabled, self.comments_enabled);
        set(&mut video.download_enabled, self.download_enabled);
        set(&mut video.originally_published_at, self.originally_published_at);
        set(&mut video.channel, self.channel);
    }
}
