//! The whole room on a real disk, with a real store and a real catalog.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use seedpod_protocol::envelope::Verified;
use seedpod_protocol::ids::{ChannelId, ContentHash, PodId, VideoId};
use seedpod_protocol::metainfo::Info;
use seedpod_protocol::records::{Privacy, Profile, Record, Video};
use tempfile::TempDir;

use super::folder::{MediaFolder, PictureKind};
use super::media::clips::{Clip, tools};
use super::media::tool::MediaTools;
use super::messages::*;
use super::quota::Quotas;
use super::records::LocalTorrent;
use super::records::tests::{key, pod};
use super::resumable::Announced;
use super::resumable::tests::{announced, png};
use super::upload::{Received, UploadError};
use super::{LibraryActor, LibraryMetrics, LibraryOptions, Uploads};
use crate::catalog::messages::{Admit, Changed, Expel, Publish, PublishError, Receive, Replay, Subscribe};
use crate::catalog::{CatalogActor, CatalogMetrics};
use crate::store::tables::{LOCAL_VIDEOS, TORRENTS};
use crate::store::{Store, StoreError, StoreOptions};
use crate::supervise::{SuperviseMetrics, Supervisor};
use crate::swarm::{Swarm, SwarmMetrics, SwarmOptions};

/// Hands out what another pod's library has, as its web front would.
#[derive(Default)]
struct Origin {
    library: Option<Addr<LibraryActor>>,
    asked: Arc<AtomicUsize>,
    lies: Arc<AtomicBool>,
}

impl Actor for Origin {
    type Context = Context<Self>;
}

impl Handler<FetchFile> for Origin {
    type Result = ResponseFuture<Result<Bytes, FetchError>>;

    fn handle(&mut self, fetch: FetchFile, _: &mut Context<Self>) -> Self::Result {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let Some(library) = self.library.clone() else {
            return Box::pin(async { Err(FetchError::Unreachable("there is nobody".to_owned())) });
        };
        let lies = self.lies.load(Ordering::SeqCst);
        Box::pin(async move {
            let path = fetch
                .url
                .strip_prefix("http://origin:9001/")
                .expect("the origin's own address");
            let (folder, name) = path.rsplit_once('/').unwrap();
            let bytes = if folder == "static/torrents" {
                let video = name.split_at(36).0.parse().unwrap();
                let info = info_of(&library, video).await;
                [b"d4:info", info.as_ref(), b"e"].concat()
            } else {
                let which = match folder {
                    "lazy-static/thumbnails" => PictureKind::Thumbnail,
                    "lazy-static/previews" => PictureKind::Preview,
                    other => panic!("{other}"),
                };
                let video = name.strip_suffix(".jpg").unwrap().parse().unwrap();
                let path = library.send(GetPicture { video, which }).await.unwrap().unwrap();
                std::fs::read(path).unwrap()
            };
            assert!(bytes.len() <= fetch.limit);
            Ok(if lies {
                Bytes::from_static(b"something else")
            } else {
                bytes.into()
            })
        })
    }
}

/// The info dictionary of the one local video with this id.
async fn info_of(library: &Addr<LibraryActor>, video: VideoId) -> Bytes {
    let info_hash = library.send(TorrentOf(video)).await.unwrap().unwrap();
    library.send(GetInfo { info_hash }).await.unwrap().unwrap()
}

/// Asks for the torrent of a local video.
#[derive(Message)]
#[rtype(result = "Option<seedpod_protocol::ids::InfoHash>")]
struct TorrentOf(VideoId);

impl Handler<TorrentOf> for LibraryActor {
    type Result = MessageResult<TorrentOf>;

    fn handle(&mut self, TorrentOf(video): TorrentOf, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.row(video).map(|row| row.video.files[0].info_hash))
    }
}

struct Pod {
    id: PodId,
    data: Arc<TempDir>,
    folder: MediaFolder,
    uploads: Uploads,
    store: Store,
    catalog: Addr<CatalogActor>,
    library: Addr<LibraryActor>,
}

/// Where uploads arrive in a data folder.
fn open_uploads(store: &Store, folder: &MediaFolder) -> Uploads {
    Uploads::open(
        store.clone(),
        folder.clone(),
        Quotas::default(),
        LibraryMetrics::default(),
    )
    .unwrap()
}

impl Pod {
    async fn start(number: u8) -> Self {
        Self::start_in(
            number,
            Arc::new(tempfile::tempdir().unwrap()),
            Origin::default(),
            tools(),
        )
        .await
    }

    async fn start_in(number: u8, data: Arc<TempDir>, origin: Origin, tools: MediaTools) -> Self {
        let store = Store::open(data.path(), StoreOptions::default()).unwrap();
        let (swarm, _) = Swarm::start(
            SwarmOptions::new(key(number)),
            SwarmMetrics::register(&mut Default::default()),
        )
        .await
        .unwrap();
        let supervisor = Supervisor::new(SuperviseMetrics::default());
        let lifeline = supervisor.lifeline("catalog");
        let catalog = CatalogActor::open(
            key(number),
            [number; 8],
            store.clone(),
            swarm,
            CatalogMetrics::default(),
            lifeline,
        )
        .await
        .unwrap()
        .start();
        let folder = MediaFolder::open(data.path()).unwrap();
        let uploads = open_uploads(&store, &folder);
        let options = LibraryOptions {
            pod: pod(number),
            store: store.clone(),
            folder: folder.clone(),
            uploads: uploads.clone(),
            tools,
            max_duration: Some(3),
            publisher: catalog.clone().recipient(),
            fetcher: origin.start().recipient(),
            lifeline: supervisor.lifeline("library"),
        };
        let library = LibraryActor::open(options).await.unwrap().start();
        catalog
            .send(Subscribe(library.clone().recipient()))
            .await
            .unwrap();
        catalog
            .send(Replay {
                to: library.clone().recipient::<Changed>(),
            })
            .await
            .unwrap()
            .unwrap();
        library.send(CatalogReplayed).await.unwrap();
        Self {
            id: pod(number),
            data,
            folder,
            uploads,
            store,
            catalog,
            library,
        }
    }

    async fn upload(&self, path: &Path) -> Received {
        self.try_upload(path, None).await.unwrap()
    }

    async fn try_upload(&self, path: &Path, quota: Option<u64>) -> Result<Received, UploadError> {
        let bytes = std::fs::read(path).unwrap();
        let length = Some(bytes.len() as u64);
        let mut writer = self.uploads.receive("ann", quota, length, 0, 1 << 30).await?;
        for chunk in bytes.chunks(10_000) {
            writer.write(Bytes::copy_from_slice(chunk)).await?;
        }
        writer.finish().await
    }

    async fn add(&self, path: &Path) -> Result<Verified<Record>, LibraryError> {
        let add = self.order(path).await;
        self.library.send(add).await.unwrap()
    }

    async fn order(&self, path: &Path) -> AddVideo {
        self.order_of(self.upload(path).await)
    }

    fn order_of(&self, upload: Received) -> AddVideo {
        AddVideo {
            owner: Owner {
                username: "ann".to_owned(),
                channel: ChannelId::derive(&self.id, &[1; 16]),
            },
            details: VideoDetails {
                name: "A walk".to_owned(),
                description: Some("Through\nthe woods".to_owned()),
                category: Some(1),
                licence: None,
                language: Some("en".to_owned()),
                nsfw: false,
                tags: vec!["walk".to_owned()],
                support: None,
                privacy: Privacy::Public,
                comments_enabled: true,
                download_enabled: true,
                originally_published_at: None,
            },
            upload,
            file_name_hint: Some("../../walk.mp4".to_owned()),
            thumbnail: None,
            preview: None,
        }
    }

    async fn usage(&self) -> u64 {
        self.library
            .send(UsageOf {
                username: "ann".to_owned(),
            })
            .await
            .unwrap()
    }

    async fn picture(&self, video: VideoId, which: PictureKind) -> Result<PathBuf, LibraryError> {
        self.library.send(GetPicture { video, which }).await.unwrap()
    }

    /// Everything that lies under `media/` and `tmp/`.
    fn files(&self) -> Vec<PathBuf> {
        let folders = ["media/videos", "media/pictures", "media/infos", "tmp"];
        let list = |folder| std::fs::read_dir(self.data.path().join(folder)).unwrap();
        folders
            .into_iter()
            .flat_map(list)
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    async fn become_friend_of(&self, origin: &Pod) {
        self.catalog.send(Admit(origin.id)).await.unwrap();
    }

    async fn hear(&self, from: &Pod, record: &Verified<Record>) {
        let receive = Receive {
            from: from.id,
            envelopes: vec![record.clone()],
        };
        assert_eq!(self.catalog.send(receive).await.unwrap().unwrap(), 1);
    }

    async fn profile(&self) -> Verified<Record> {
        let profile = Profile {
            name: "origin".to_owned(),
            description: String::new(),
            email: None,
            url: "http://origin:9001".to_owned(),
            udp: None,
        };
        let publish = Publish {
            kind: seedpod_protocol::envelope::Kind::PROFILE,
            object: seedpod_protocol::ids::ObjectId::EMPTY,
            state: seedpod_protocol::envelope::State::Live,
            payload: Record::Profile(profile),
            along: crate::store::Transaction::new(),
        };
        self.catalog.send(publish).await.unwrap().unwrap()
    }
}

fn video_of(record: &Verified<Record>) -> (VideoId, Video) {
    let video = record.video().unwrap().payload().clone();
    (video.id(&record.header().author), video)
}

/// Waits until a condition holds, at most 10 s.
async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait)
        .await
        .expect("the condition never held");
}

#[actix::test]
async fn an_upload_becomes_a_video_with_pictures_and_a_torrent() {
    let clips = tempfile::tempdir().unwrap();
    let pod = Pod::start(1).await;
    for (clip, extension) in [
        (Clip::Mp4MoovLast, "mp4"),
        (Clip::WebMVp9, "webm"),
        (Clip::OggTheora, "ogv"),
    ] {
        let path = clip.make(clips.path(), 2);
        let (id, video) = video_of(&pod.add(&path).await.unwrap());
        let [file] = &video.files[..] else {
            panic!("{video:?}")
        };
        assert_eq!(
            (video.duration, file.width, file.height, file.resolution, file.fps),
            (2, 160, 90, 90, 25)
        );
        assert_eq!(file.extension, extension);
        let media = pod.folder.media_file(&file.file_name(&id)).unwrap();
        let content = std::fs::read(&media).unwrap();
        assert_eq!(
            content,
            std::fs::read(&path).unwrap(),
            "the upload is kept as it came"
        );
        assert_eq!(file.size, content.len() as u64);

        let info = pod
            .library
            .send(GetInfo {
                info_hash: file.info_hash,
            })
            .await
            .unwrap()
            .unwrap();
        let info = Info::decode(&info).unwrap();
        assert_eq!(info.info_hash(), file.info_hash);
        assert_eq!(
            (info.name(), info.length()),
            (file.file_name(&id).as_str(), file.size)
        );
        let pieces = content.chunks(usize::try_from(info.piece_length()).unwrap());
        assert!(
            pieces
                .enumerate()
                .all(|(index, piece)| info.pieces().verify(index, piece))
        );
        for (which, picture) in [
            (PictureKind::Thumbnail, video.thumbnail),
            (PictureKind::Preview, video.preview),
        ] {
            let bytes = std::fs::read(pod.picture(id, which).await.unwrap()).unwrap();
            assert_eq!(ContentHash::of(&bytes), picture.unwrap().hash);
        }
        assert!(pod.store.get(LOCAL_VIDEOS, id.as_bytes()).unwrap().is_some());
        let torrent = pod
            .store
            .get(TORRENTS, file.info_hash.as_bytes())
            .unwrap()
            .unwrap();
        assert_eq!(
            LocalTorrent::decode(&torrent).unwrap(),
            LocalTorrent {
                video: id,
                rendition: 0
            }
        );
    }
    assert_eq!(pod.files().len(), 3 * 4);
}

#[actix::test]
async fn what_is_refused_leaves_nothing_behind() {
    let clips = tempfile::tempdir().unwrap();
    let pod = Pod::start(1).await;
    let clip = Clip::Mp4MoovFirst.make(clips.path(), 1);
    let text = clips.path().join("text.mp4");
    std::fs::write(&text, "this is not a video").unwrap();
    let sound = Clip::WebMSoundOnly.make(clips.path(), 1);
    let long = Clip::Mp4Fragmented.make(clips.path(), 4);

    let refused = pod.try_upload(&text, None).await;
    assert!(matches!(refused, Err(UploadError::NoVideo)), "{refused:?}");
    assert!(matches!(pod.add(&sound).await, Err(LibraryError::Unsupported(_))));
    assert!(matches!(
        pod.add(&long).await,
        Err(LibraryError::TooLong { seconds: 4, limit: 3 })
    ));
    let mut add = pod.order(&clip).await;
    add.details.name = "ab".to_owned();
    assert!(matches!(
        pod.library.send(add).await.unwrap(),
        Err(LibraryError::Field { field: "name", .. })
    ));
    let mut add = pod.order(&clip).await;
    add.preview = Some(Bytes::from_static(b"no image"));
    let refused = pod.library.send(add).await.unwrap();
    assert!(matches!(
        refused,
        Err(LibraryError::Picture {
            which: PictureKind::Preview,
            ..
        })
    ));
    let size = std::fs::metadata(&clip).unwrap().len();
    assert!(matches!(
        pod.try_upload(&clip, Some(size - 1)).await,
        Err(UploadError::OverQuota(over)) if over.used == 0
    ));

    until(|| pod.files().is_empty()).await;
    assert_eq!(pod.usage().await, 0);
    assert!(pod.store.is_empty(LOCAL_VIDEOS) && pod.store.is_empty(TORRENTS));
}

/// A catalog whose store refuses everything.
struct Failing(fn() -> StoreError);

impl Actor for Failing {
    type Context = Context<Self>;
}

impl Handler<Publish> for Failing {
    type Result = Result<Verified<Record>, PublishError>;

    fn handle(&mut self, _: Publish, _: &mut Context<Self>) -> Self::Result {
        Err(PublishError::Store(Arc::new((self.0)())))
    }
}

#[actix::test]
async fn a_publication_that_fails_loses_no_byte_of_a_resumable_upload() {
    let clips = tempfile::tempdir().unwrap();
    let clip = std::fs::read(Clip::Mp4MoovFirst.make(clips.path(), 1)).unwrap();
    let size = clip.len() as u64;
    let pod = Pod::start(1).await;
    let library = async |uploads: &Uploads, publisher| {
        let options = LibraryOptions {
            pod: pod.id,
            store: pod.store.clone(),
            folder: pod.folder.clone(),
            uploads: uploads.clone(),
            tools: MediaTools::none(),
            max_duration: None,
            publisher,
            fetcher: Origin::default().start().recipient(),
            lifeline: Supervisor::new(SuperviseMetrics::default()).lifeline("library"),
        };
        LibraryActor::open(options).await.unwrap().start()
    };
    let id = pod.uploads.begin(announced("ann", size)).await.unwrap();
    let mut writer = pod.uploads.resume(id, "ann", 0).await.unwrap();
    writer.write(clip.clone().into()).await.unwrap();
    writer.pause().await.unwrap();

    // Certain not to be published: the file has only the name under which it arrived.
    let refusing = library(&pod.uploads, Failing(|| StoreError::Full).start().recipient()).await;
    let add = pod.uploads.take(id, "ann").await.unwrap();
    let refused = refusing.send(add).await.unwrap();
    assert!(matches!(refused, Err(LibraryError::DiskFull)), "{refused:?}");
    let arrived = pod.data.path().join(format!("tmp/upload-{id}"));
    assert_eq!(std::fs::read(&arrived).unwrap(), clip);
    assert!(!pod.files().iter().any(|path| path.extension().is_some()));

    // Not certain, as after a kill between naming the file and the commit: the next start decides.
    let failing = library(
        &pod.uploads,
        Failing(|| StoreError::Failed("the disk failed".into()))
            .start()
            .recipient(),
    )
    .await;
    let add = pod.uploads.take(id, "ann").await.unwrap();
    let failed = failing.send(add).await.unwrap();
    assert!(
        matches!(failed, Err(LibraryError::Publish(PublishError::Store(_)))),
        "{failed:?}"
    );
    let named = || {
        std::fs::read_dir(pod.data.path().join("media/videos"))
            .unwrap()
            .count()
    };
    assert_eq!((named(), std::fs::read(&arrived).unwrap()), (1, clip.clone()));

    let uploads = open_uploads(&pod.store, &pod.folder);
    let library = library(&uploads, pod.catalog.clone().recipient()).await;
    assert_eq!((named(), uploads.quotas().used("ann")), (0, size));
    let add = uploads.take(id, "ann").await.unwrap();
    let record = library.send(add).await.unwrap().unwrap();
    let (video_id, video) = video_of(&record);
    let path = pod
        .folder
        .media_file(&video.files[0].file_name(&video_id))
        .unwrap();
    assert_eq!(std::fs::read(path).unwrap(), clip);
    until(|| !arrived.exists()).await;
    assert_eq!((named(), uploads.quotas().used("ann")), (1, size));
}

#[actix::test]
async fn a_picture_that_the_disk_hurt_loses_no_byte_of_a_resumable_upload() {
    let clips = tempfile::tempdir().unwrap();
    let clip = std::fs::read(Clip::Mp4MoovFirst.make(clips.path(), 1)).unwrap();
    let pod = Pod::start(1).await;
    let with_picture = Announced {
        thumbnail: Some(png(40)),
        ..announced("ann", clip.len() as u64)
    };
    let id = pod.uploads.begin(with_picture).await.unwrap();
    let mut writer = pod.uploads.resume(id, "ann", 0).await.unwrap();
    writer.write(clip.clone().into()).await.unwrap();
    writer.pause().await.unwrap();

    let arrived = pod.data.path().join(format!("tmp/upload-{id}"));
    let picture = pod
        .data
        .path()
        .join(format!("tmp/upload-{id}-{}", PictureKind::Thumbnail.name()));
    std::fs::write(&picture, b"hurt").unwrap();
    let add = pod.uploads.take(id, "ann").await.unwrap();
    let refused = pod.library.send(add).await.unwrap();
    assert!(
        matches!(refused, Err(LibraryError::Picture { .. })),
        "{refused:?}"
    );
    assert_eq!(std::fs::read(&arrived).unwrap(), clip);
    assert_eq!(pod.usage().await, clip.len() as u64);

    std::fs::write(&picture, png(40)).unwrap();
    let add = pod.uploads.take(id, "ann").await.unwrap();
    let record = pod.library.send(add).await.unwrap().unwrap();
    let (video_id, video) = video_of(&record);
    let path = pod
        .folder
        .media_file(&video.files[0].file_name(&video_id))
        .unwrap();
    assert_eq!(std::fs::read(path).unwrap(), clip);
}

/// A catalog that signs nothing.
struct Refusing;

impl Actor for Refusing {
    type Context = Context<Self>;
}

impl Handler<Publish> for Refusing {
    type Result = Result<Verified<Record>, PublishError>;

    fn handle(&mut self, _: Publish, _: &mut Context<Self>) -> Self::Result {
        Err(PublishError::Removed)
    }
}

#[actix::test]
async fn a_refused_publication_leaves_nothing_behind() {
    let clips = tempfile::tempdir().unwrap();
    let mut pod = Pod::start(1).await;
    let options = LibraryOptions {
        pod: pod.id,
        store: pod.store.clone(),
        folder: pod.folder.clone(),
        uploads: pod.uploads.clone(),
        tools: MediaTools::none(),
        max_duration: None,
        publisher: Refusing.start().recipient(),
        fetcher: Origin::default().start().recipient(),
        lifeline: Supervisor::new(SuperviseMetrics::default()).lifeline("library"),
    };
    pod.library = LibraryActor::open(options).await.unwrap().start();
    let refused = pod.add(&Clip::Mp4MoovFirst.make(clips.path(), 1)).await;
    assert!(
        matches!(refused, Err(LibraryError::Publish(PublishError::Removed))),
        "{refused:?}"
    );
    assert_eq!(pod.files(), Vec::<PathBuf>::new());
    assert_eq!(pod.usage().await, 0);
}

#[actix::test]
async fn two_uploads_at_once_share_one_quota() {
    let clips = tempfile::tempdir().unwrap();
    let pod = Pod::start(1).await;
    let clip = Clip::Mp4MoovFirst.make(clips.path(), 1);
    let size = std::fs::metadata(&clip).unwrap().len();
    let quota = Some(2 * size - 1);
    let (first, second) = tokio::join!(pod.try_upload(&clip, quota), pod.try_upload(&clip, quota));
    let outcomes = [first, second];
    assert!(
        outcomes
            .iter()
            .any(|outcome| matches!(outcome, Err(UploadError::OverQuota(_))))
    );
    let taken: Vec<Received> = outcomes.into_iter().flatten().collect();
    assert!(taken.len() <= 1, "two fit where one does");
    drop(taken);
    let first = pod.try_upload(&clip, quota).await.unwrap();
    pod.library.send(pod.order_of(first)).await.unwrap().unwrap();
    assert_eq!(pod.usage().await, size);
    let exact = pod.try_upload(&clip, Some(2 * size)).await.unwrap();
    pod.library.send(pod.order_of(exact)).await.unwrap().unwrap();
    assert_eq!(pod.usage().await, 2 * size);
}

#[actix::test]
async fn a_change_replaces_pictures_and_a_removal_takes_everything() {
    let clips = tempfile::tempdir().unwrap();
    let pod = Pod::start(1).await;
    let (id, before) = video_of(&pod.add(&Clip::WebMVp9.make(clips.path(), 1)).await.unwrap());
    let update = |by: Editor, patch: VideoPatch, thumbnail: Option<Bytes>| UpdateVideo {
        id,
        by,
        patch,
        thumbnail,
        preview: None,
    };
    let user = |name: &str| Editor::User(name.to_owned());
    let renamed = VideoPatch {
        name: Some("A run".to_owned()),
        description: Some(None),
        ..VideoPatch::default()
    };

    let refused = pod
        .library
        .send(update(user("bob"), renamed.clone(), None))
        .await
        .unwrap();
    assert!(matches!(refused, Err(LibraryError::NotYours)));
    let record = pod
        .library
        .send(update(user("ann"), renamed, Some(png(200))))
        .await
        .unwrap()
        .unwrap();
    let (_, after) = video_of(&record);
    assert_eq!(
        (after.name.as_str(), &after.description, &after.tags),
        ("A run", &None, &before.tags)
    );
    assert_ne!(after.thumbnail, before.thumbnail);
    assert_eq!((after.preview, &after.files), (before.preview, &before.files));
    let thumbnail = std::fs::read(pod.picture(id, PictureKind::Thumbnail).await.unwrap()).unwrap();
    assert_eq!(ContentHash::of(&thumbnail), after.thumbnail.unwrap().hash);
    assert_eq!(pod.files().len(), 4, "the old thumbnail is gone");

    let short = VideoPatch {
        name: Some("x".to_owned()),
        ..VideoPatch::default()
    };
    let refused = pod
        .library
        .send(update(Editor::Moderator, short, Some(png(10))))
        .await
        .unwrap();
    assert!(matches!(refused, Err(LibraryError::Field { field: "name", .. })));
    assert_eq!(pod.files().len(), 4, "a refused change leaves no picture");
    // The same picture twice, at once: it must survive its own replacement.
    let same = || {
        pod.library
            .send(update(user("ann"), VideoPatch::default(), Some(png(77))))
    };
    let (one, two) = tokio::join!(same(), same());
    assert_eq!(
        video_of(&one.unwrap().unwrap()).1.thumbnail,
        video_of(&two.unwrap().unwrap()).1.thumbnail
    );
    pod.picture(id, PictureKind::Thumbnail).await.unwrap();

    let refused = pod
        .library
        .send(RemoveVideo { id, by: user("bob") })
        .await
        .unwrap();
    assert!(matches!(refused, Err(LibraryError::NotYours)));
    pod.library
        .send(RemoveVideo { id, by: user("ann") })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(pod.files(), Vec::<PathBuf>::new());
    assert!(pod.store.is_empty(LOCAL_VIDEOS) && pod.store.is_empty(TORRENTS));
    assert_eq!(pod.usage().await, 0);
    let again = pod
        .library
        .send(RemoveVideo {
            id,
            by: Editor::Moderator,
        })
        .await
        .unwrap();
    assert!(matches!(again, Err(LibraryError::Unknown)));
}

#[actix::test]
async fn a_friends_pictures_and_torrent_are_fetched_checked_and_dropped() {
    let clips = tempfile::tempdir().unwrap();
    let there = Pod::start(1).await;
    let origin = Origin {
        library: Some(there.library.clone()),
        ..Origin::default()
    };
    let (asked, lies) = (Arc::clone(&origin.asked), Arc::clone(&origin.lies));
    let here = Pod::start_in(
        2,
        Arc::new(tempfile::tempdir().unwrap()),
        origin,
        MediaTools::none(),
    )
    .await;
    here.become_friend_of(&there).await;
    here.hear(&there, &there.profile().await).await;

    let record = there
        .add(&Clip::Mp4MoovFirst.make(clips.path(), 1))
        .await
        .unwrap();
    let (id, video) = video_of(&record);
    here.hear(&there, &record).await;
    let (one, two) = tokio::join!(
        here.picture(id, PictureKind::Preview),
        here.picture(id, PictureKind::Preview)
    );
    assert_eq!(one.as_ref().unwrap(), &two.unwrap());
    assert_eq!(
        ContentHash::of(&std::fs::read(one.unwrap()).unwrap()),
        video.preview.unwrap().hash
    );
    let info_hash = video.files[0].info_hash;
    let info = here.library.send(GetInfo { info_hash }).await.unwrap().unwrap();
    assert_eq!(info, info_of(&there.library, id).await);
    until(|| here.files().len() == 3).await;
    assert_eq!(
        asked.load(Ordering::SeqCst),
        3,
        "each file is asked for once, by whomever it is wanted"
    );

    lies.store(true, Ordering::SeqCst);
    let other = there.add(&Clip::WebMVp9.make(clips.path(), 1)).await.unwrap();
    let (other_id, other_video) = video_of(&other);
    here.hear(&there, &other).await;
    for _ in 0..3 {
        let refused = here.picture(other_id, PictureKind::Thumbnail).await;
        assert!(matches!(refused, Err(LibraryError::Unavailable)), "{refused:?}");
    }
    let refused = here
        .library
        .send(GetInfo {
            info_hash: other_video.files[0].info_hash,
        })
        .await
        .unwrap();
    assert!(matches!(refused, Err(LibraryError::Unavailable)), "{refused:?}");
    until(|| asked.load(Ordering::SeqCst) == 6).await;
    assert_eq!(here.files().len(), 3, "what was not signed is not kept");

    here.catalog.send(Expel(there.id)).await.unwrap().unwrap();
    until(|| here.files().is_empty()).await;
    assert!(matches!(
        here.picture(id, PictureKind::Preview).await,
        Err(LibraryError::Unknown)
    ));
}

#[actix::test]
async fn a_start_that_knows_no_video_deletes_none() {
    let clips = tempfile::tempdir().unwrap();
    let first = Pod::start(1).await;
    let record = first
        .add(&Clip::Mp4MoovFirst.make(clips.path(), 1))
        .await
        .unwrap();
    let (id, video) = video_of(&record);
    let name = format!("{id}-{}.mp4", video.files[0].resolution);
    let content = std::fs::read(first.folder.media_file(&name).unwrap()).unwrap();
    let empty = tempfile::tempdir().unwrap();
    let without_rows = Store::open(empty.path(), StoreOptions::default()).unwrap();
    for _ in 0..2 {
        let known = super::sweep::open(&without_rows, &first.folder).unwrap();
        assert!(known.is_empty());
        let aside = first.data.path().join("media/set-aside").join(&name);
        assert_eq!(std::fs::read(aside).unwrap(), content);
        assert!(!first.folder.media_file(&name).unwrap().exists());
    }
}

#[actix::test]
async fn a_start_sweeps_what_an_interrupted_run_left() {
    let clips = tempfile::tempdir().unwrap();
    let first = Pod::start(1).await;
    let (id, video) = video_of(
        &first
            .add(&Clip::Mp4MoovFirst.make(clips.path(), 1))
            .await
            .unwrap(),
    );
    let kept = first.files();
    let stray: VideoId = VideoId::derive(&first.id, &[99; 16]);
    let half = first.folder.media_file(&format!("{stray}-720.mp4")).unwrap();
    let picture = first
        .folder
        .picture(&stray, PictureKind::Preview, &ContentHash::ZERO);
    for path in [&half, &picture, &first.data.path().join("tmp/seedpod-half")] {
        std::fs::write(path, b"half").unwrap();
    }
    let own = first.data.path().join("media/videos/notes.txt");
    std::fs::write(&own, b"left alone").unwrap();

    let data = Arc::clone(&first.data);
    // The same folder is opened by a second library, as after a restart; the store stays the one that is open.
    let folder = MediaFolder::open(data.path()).unwrap();
    let options = LibraryOptions {
        pod: first.id,
        store: first.store.clone(),
        uploads: open_uploads(&first.store, &folder),
        folder,
        tools: MediaTools::none(),
        max_duration: None,
        publisher: first.catalog.clone().recipient(),
        fetcher: Origin::default().start().recipient(),
        lifeline: Supervisor::new(SuperviseMetrics::default()).lifeline("library"),
    };
    let library = LibraryActor::open(options).await.unwrap().start();
    assert!(!half.exists() && own.exists());
    std::fs::remove_file(&own).unwrap();
    library.send(CatalogReplayed).await.unwrap();
    until(|| !picture.exists()).await;
    assert_eq!(first.files().len(), kept.len());
    let usage = library
        .send(UsageOf {
            username: "ann".to_owned(),
        })
        .await
        .unwrap();
    assert_eq!(usage, video.files[0].size, "usage is counted from the rows");
    let path = library
        .send(GetPicture {
            video: id,
            which: PictureKind::Preview,
        })
        .await
        .unwrap()
        .unwrap();
    assert!(path.exists());
}
