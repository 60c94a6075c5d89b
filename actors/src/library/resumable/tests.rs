//! Uploads on a real disk with a real store, cut and taken up again.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::path::Path;

use seedpod_protocol::ids::{ChannelId, PodId};
use seedpod_protocol::metainfo::PieceHasher;
use seedpod_protocol::records::Privacy;
use tempfile::TempDir;

use super::*;
use crate::library::places::{MAX_ARRIVING_PER_USER, NoPlace};
use crate::library::records::tests::pod;
use crate::store::StoreOptions;

/// What is announced of a video of so many bytes.
pub(super) fn row_of(user: &str, length: u64) -> UploadRow {
    let me: PodId = pod(1);
    UploadRow {
        owner: Owner {
            username: user.to_owned(),
            channel: ChannelId::derive(&me, &[1; 16]),
        },
        details: VideoDetails {
            name: "A walk".to_owned(),
            description: None,
            category: Some(1),
            licence: None,
            language: None,
            nsfw: false,
            tags: vec!["walk".to_owned()],
            support: None,
            privacy: Privacy::Unlisted,
            comments_enabled: true,
            download_enabled: true,
            originally_published_at: None,
        },
        file_name: Some("walk.mp4".to_owned()),
        length,
    }
}

pub(in crate::library) fn announced(user: &str, length: u64) -> Announced {
    let row = row_of(user, length);
    Announced {
        owner: row.owner,
        quota: None,
        details: row.details,
        file_name: row.file_name,
        length,
        thumbnail: None,
        preview: None,
    }
}

/// A small image.
pub(in crate::library) fn png(red: u8) -> Bytes {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = image::RgbImage::from_pixel(64, 36, image::Rgb([red, 40, 40]));
    image::DynamicImage::from(image)
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner().into()
}

fn content(length: usize) -> Vec<u8> {
    let noise = (8..length).map(|at| u8::try_from(at * 31 % 251).unwrap());
    let mut content = b"\0\0\0\x20ftyp".to_vec();
    content.extend(noise);
    content
}

struct Place {
    data: TempDir,
    store: Store,
    uploads: Uploads,
}

impl Place {
    fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap())
    }

    fn open(data: TempDir) -> Self {
        let store = Store::open(data.path(), StoreOptions::default()).unwrap();
        let folder = MediaFolder::open(data.path()).unwrap();
        let uploads = Uploads::open(
            store.clone(),
            folder,
            Quotas::default(),
            LibraryMetrics::default(),
        )
        .unwrap();
        Self { data, store, uploads }
    }

    /// What a pod that is started again finds.
    async fn restart(self) -> Self {
        let Self { data, store, uploads } = self;
        drop(uploads);
        store.close().await;
        // The last claim may still be on its way out on another thread.
        tokio::task::spawn_blocking(move || drop(store)).await.unwrap();
        let place = Self::open(data);
        place.uploads.sweep_rows().await.unwrap();
        place
    }

    fn files(&self) -> Vec<String> {
        let names = |folder: &Path| -> Vec<String> {
            let entries = std::fs::read_dir(folder).unwrap();
            entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect()
        };
        names(&self.data.path().join("tmp"))
    }

    async fn send(&self, id: UploadId, user: &str, offset: u64, bytes: &[u8]) -> Result<u64, ResumeError> {
        let mut writer = self.uploads.resume(id, user, offset).await?;
        for chunk in bytes.chunks(1009) {
            writer.write(Bytes::copy_from_slice(chunk)).await?;
        }
        Ok(writer.pause().await?)
    }

    async fn offset(&self, id: UploadId) -> u64 {
        match self.uploads.standing(id, "ann").await.unwrap() {
            Standing::Open { offset, .. } => offset,
            other => panic!("{other:?}"),
        }
    }
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

fn pieces(content: &[u8], piece_length: u32) -> seedpod_protocol::metainfo::Pieces {
    let mut hasher = PieceHasher::new(piece_length);
    hasher.update(content);
    hasher.finish()
}

#[tokio::test]
async fn an_upload_in_pieces_across_restarts_is_the_file_that_was_sent() {
    let content = content(100_000);
    let mut place = Place::new();
    let picture = png(40);
    let with_picture = Announced {
        thumbnail: Some(picture.clone()),
        ..announced("ann", 100_000)
    };
    let id = place.uploads.begin(with_picture).await.unwrap();
    for (from, to) in [(0, 7), (7, 16_384), (16_384, 50_001), (50_001, 100_000)] {
        assert_eq!(place.offset(id).await, from as u64);
        let reached = place.send(id, "ann", from as u64, &content[from..to]).await;
        assert_eq!(reached.unwrap(), to as u64);
        if to != 16_384 {
            place = place.restart().await;
        }
    }
    assert_eq!(place.uploads.quotas().used("ann"), 100_000);
    let add = place.uploads.take(id, "ann").await.unwrap();
    assert_eq!(std::fs::read(add.upload.path()).unwrap(), content);
    assert_eq!(*add.upload.pieces(), pieces(&content, add.upload.piece_length()));
    assert_eq!(add.details, row_of("ann", 0).details);
    assert_eq!((add.thumbnail, add.preview), (Some(picture), None));

    // Nothing became of the order: the upload is as it was.
    drop(add.upload);
    let again = place.uploads.take(id, "ann").await.unwrap();
    assert_eq!(
        *again.upload.pieces(),
        pieces(&content, again.upload.piece_length())
    );
}

#[tokio::test]
async fn what_is_behind_the_noted_offset_is_not_believed() {
    let content = content(60_000);
    let place = Place::new();
    let id = place.uploads.begin(announced("ann", 60_000)).await.unwrap();
    place.send(id, "ann", 0, &content[..20_000]).await.unwrap();
    // A power cut left bytes in the file that nobody acknowledged.
    let path = place.data.path().join(format!("tmp/upload-{id}"));
    let mut file = File::options().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, &[0xee; 5000]).unwrap();
    let place = place.restart().await;
    assert_eq!(place.offset(id).await, 20_000);
    place.send(id, "ann", 20_000, &content[20_000..]).await.unwrap();
    let add = place.uploads.take(id, "ann").await.unwrap();
    assert_eq!(std::fs::read(add.upload.path()).unwrap(), content);
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_what_arrived() {
    let content = content(50_000);
    let place = Place::new();
    let id = place.uploads.begin(announced("ann", 50_000)).await.unwrap();
    let mut writer = place.uploads.resume(id, "ann", 0).await.unwrap();
    writer
        .write(Bytes::copy_from_slice(&content[..30_000]))
        .await
        .unwrap();
    drop(writer);
    assert_eq!(place.offset(id).await, 30_000);
    place.send(id, "ann", 30_000, &content[30_000..]).await.unwrap();
    place.uploads.take(id, "ann").await.unwrap();
}

#[tokio::test]
async fn whoever_comes_back_ends_the_request_that_hangs() {
    let content = content(50_000);
    let place = Place::new();
    let id = place.uploads.begin(announced("ann", 50_000)).await.unwrap();
    let mut hanging = place.uploads.resume(id, "ann", 0).await.unwrap();
    hanging
        .write(Bytes::copy_from_slice(&content[..10_000]))
        .await
        .unwrap();
    let token = hanging.taken_over();
    let request = tokio::spawn(async move {
        token.cancelled().await;
        drop(hanging);
    });
    assert_eq!(place.offset(id).await, 10_000);
    request.await.unwrap();
    place.send(id, "ann", 10_000, &content[10_000..]).await.unwrap();
}

#[tokio::test]
async fn slow_uploads_of_one_user_leave_threads_for_everybody_else() {
    let place = Place::new();
    let receive = |user: &'static str| place.uploads.receive(user, None, None, 0, 1000);
    let id = place.uploads.begin(announced("ann", 50_000)).await.unwrap();
    let mut slow = vec![place.uploads.resume(id, "ann", 0).await.unwrap()];
    while slow.len() < MAX_ARRIVING_PER_USER {
        slow.push(receive("ann").await.unwrap());
    }
    let refused = receive("ann").await.unwrap_err();
    assert!(
        matches!(refused, UploadError::NoPlace(NoPlace::User)),
        "{refused}"
    );
    let other = place.uploads.begin(announced("ann", 50_000)).await.unwrap();
    let refused = place.uploads.resume(other, "ann", 0).await.unwrap_err();
    assert!(
        matches!(refused, ResumeError::Upload(UploadError::NoPlace(NoPlace::User))),
        "{refused}"
    );
    receive("bob").await.unwrap();

    // Whoever comes back ends the request that hangs, and has its place.
    let hanging = slow.swap_remove(0);
    let token = hanging.taken_over();
    let request = tokio::spawn(async move {
        token.cancelled().await;
        drop(hanging);
    });
    slow.push(place.uploads.resume(id, "ann", 0).await.unwrap());
    request.await.unwrap();
    let paused = slow.pop().unwrap();
    paused.pause().await.unwrap();
    place.uploads.resume(other, "ann", 0).await.unwrap();
}

#[tokio::test]
async fn a_piece_out_of_order_and_an_early_end_are_refused() {
    let place = Place::new();
    let id = place.uploads.begin(announced("ann", 50_000)).await.unwrap();
    place.send(id, "ann", 0, &content(10_000)).await.unwrap();
    for offset in [0, 9_999, 10_001] {
        let refused = place.uploads.resume(id, "ann", offset).await.unwrap_err();
        assert!(
            matches!(refused, ResumeError::Offset { offset: 10_000 }),
            "{refused}"
        );
    }
    let early = place.uploads.take(id, "ann").await.unwrap_err();
    assert!(
        matches!(
            early,
            ResumeError::Incomplete {
                offset: 10_000,
                length: 50_000
            }
        ),
        "{early}"
    );
    let too_much = place.send(id, "ann", 10_000, &[0; 40_001]).await.unwrap_err();
    assert!(
        matches!(
            too_much,
            ResumeError::Upload(UploadError::TooLarge { limit: 50_000 })
        ),
        "{too_much}"
    );
    assert!(place.offset(id).await >= 10_000);
}

#[tokio::test]
async fn nobody_else_sees_an_upload() {
    let place = Place::new();
    let id = place.uploads.begin(announced("ann", 50_000)).await.unwrap();
    let unknown = |error: Option<ResumeError>| matches!(error, Some(ResumeError::Unknown));
    assert!(unknown(place.uploads.standing(id, "bob").await.err()));
    assert!(unknown(place.uploads.resume(id, "bob", 0).await.err()));
    assert!(unknown(place.uploads.cancel(id, "bob").await.err()));
    assert!(unknown(place.uploads.take(id, "bob").await.err()));
    assert_eq!(place.offset(id).await, 0);
}

#[tokio::test]
async fn a_cancelled_and_an_expired_upload_leave_nothing() {
    let place = Place::new();
    let cancelled = place.uploads.begin(announced("ann", 50_000)).await.unwrap();
    let expired = place.uploads.begin(announced("ann", 50_000)).await.unwrap();
    place.send(expired, "ann", 0, &content(10_000)).await.unwrap();
    assert_eq!(place.uploads.quotas().used("ann"), 100_000);
    place.uploads.cancel(cancelled, "ann").await.unwrap();
    assert_eq!(place.uploads.expire(now()).await, 0);
    assert_eq!(place.uploads.expire(now().saturating_add(LIFETIME)).await, 1);
    assert_eq!(place.files(), Vec::<String>::new());
    assert_eq!(place.uploads.quotas().used("ann"), 0);
    assert!(place.store.is_empty(UPLOADS));
}

#[tokio::test]
async fn an_upload_that_somebody_goes_on_with_at_the_last_moment_does_not_expire() {
    let place = Place::new();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let id = place.uploads.begin(announced("ann", 50_000)).await.unwrap();
        place.send(id, "ann", 0, &content(10_000)).await.unwrap();
        ids.push(id);
    }
    let mut expire = Box::pin(place.uploads.expire(now().saturating_add(LIFETIME)));
    assert!(
        futures::poll!(&mut expire).is_pending(),
        "the first is being deleted"
    );
    let other = (ids.into_iter().find(|id| place.uploads.lock().pending.knows(*id))).unwrap();
    let mut writer = place.uploads.resume(other, "ann", 10_000).await.unwrap();
    assert_eq!(expire.await, 1);
    writer
        .write(Bytes::copy_from_slice(&content(50_000)[10_000..]))
        .await
        .unwrap();
    assert_eq!(writer.pause().await.unwrap(), 50_000);
    let add = place.uploads.take(other, "ann").await.unwrap();
    assert_eq!(std::fs::read(add.upload.path()).unwrap(), content(50_000));
}

#[tokio::test]
async fn a_picture_that_cannot_be_used_is_refused_before_the_first_byte() {
    let place = Place::new();
    let mut cut = png(40).to_vec();
    cut.truncate(60);
    for bad in [Bytes::from_static(b"GIF89a"), cut.into()] {
        let with_picture = Announced {
            preview: Some(bad),
            ..announced("ann", 50_000)
        };
        let refused = place.uploads.begin(with_picture).await.unwrap_err();
        let is_named = matches!(
            refused,
            ResumeError::Picture {
                which: PictureKind::Preview,
                ..
            }
        );
        assert!(is_named, "{refused}");
    }
    assert_eq!(place.uploads.quotas().used("ann"), 0);
    assert_eq!(place.files(), Vec::<String>::new());
}

#[tokio::test]
async fn a_cancel_is_carried_out_when_nobody_waits_for_it() {
    let place = Place::new();
    let id = place.uploads.begin(announced("ann", 50_000)).await.unwrap();
    let mut cancel = Box::pin(place.uploads.cancel(id, "ann"));
    assert!(futures::poll!(&mut cancel).is_pending());
    drop(cancel);
    until(|| place.store.is_empty(UPLOADS) && place.files().is_empty()).await;
    assert_eq!(place.uploads.quotas().used("ann"), 0);
}

#[tokio::test]
async fn a_cancel_that_a_kill_interrupts_is_finished_at_start() {
    let place = Place::new();
    let id = place.uploads.begin(announced("ann", 50_000)).await.unwrap();
    // The file goes first, the rows would have followed.
    std::fs::remove_file(place.data.path().join(format!("tmp/upload-{id}"))).unwrap();
    let place = place.restart().await;
    let gone = place.uploads.standing(id, "ann").await;
    assert!(matches!(gone, Err(ResumeError::Unknown)), "{gone:?}");
    assert_eq!(place.uploads.quotas().used("ann"), 0);
    assert!(place.store.is_empty(UPLOADS));
}

#[tokio::test]
async fn an_upload_whose_name_was_lost_on_the_way_locks_nobody_out() {
    let place = Place::new();
    let only_one = || Announced {
        quota: Some(50_000),
        ..announced("ann", 50_000)
    };
    let mut begin = Box::pin(place.uploads.begin(only_one()));
    assert!(futures::poll!(&mut begin).is_pending());
    drop(begin);
    let soon = || now().saturating_add(PATIENCE_FOR_FIRST_BYTE);
    until(|| place.uploads.lock().pending.idle_bytes("ann", soon()) > 0).await;

    let soon = soon();
    let early = place.uploads.begin(only_one()).await;
    assert!(early.is_err(), "it may still be sent: {early:?}");
    let id = place.uploads.begin_at(only_one(), soon).await.unwrap();
    assert_eq!(place.uploads.quotas().used("ann"), 50_000);
    assert!(place.files().iter().all(|name| name.ends_with(&id.to_string())));
    assert_eq!(place.store.scan_prefix(UPLOADS, &[]).count(), 2);

    // What fits in no case lets nothing make way.
    let later = soon.saturating_add(PATIENCE_FOR_FIRST_BYTE);
    let beyond = Announced {
        length: 50_001,
        ..only_one()
    };
    assert!(place.uploads.begin_at(beyond, later).await.is_err());
    place.send(id, "ann", 0, &content(10)).await.unwrap();
    let refused = place.uploads.begin_at(only_one(), later).await;
    assert!(refused.is_err(), "bytes that arrived stay: {refused:?}");
    assert_eq!(place.offset(id).await, 10);
}

#[tokio::test]
async fn a_length_beyond_the_quota_or_the_disk_is_refused_before_its_first_byte() {
    let place = Place::new();
    let mut beyond = announced("ann", 50_001);
    beyond.quota = Some(50_000);
    let refused = place.uploads.begin(beyond.clone()).await.unwrap_err();
    assert!(
        matches!(refused, ResumeError::Upload(UploadError::OverQuota(_))),
        "{refused}"
    );
    beyond.quota = None;
    beyond.length = crate::disk::available(place.data.path()).unwrap();
    let refused = place.uploads.begin(beyond).await.unwrap_err();
    assert!(
        matches!(refused, ResumeError::Upload(UploadError::DiskFull)),
        "{refused}"
    );
    assert_eq!(place.uploads.quotas().used("ann"), 0);
    assert_eq!(place.files(), Vec::<String>::new());
}

#[tokio::test]
async fn an_upload_whose_file_is_gone_is_forgotten_at_start() {
    let place = Place::new();
    let id = place.uploads.begin(announced("ann", 50_000)).await.unwrap();
    place.send(id, "ann", 0, &content(10_000)).await.unwrap();
    std::fs::remove_file(place.data.path().join(format!("tmp/upload-{id}"))).unwrap();
    let stray = place
        .data
        .path()
        .join("tmp/upload-00000000000000000000000000000000");
    std::fs::write(&stray, b"stray").unwrap();
    let place = place.restart().await;
    let gone = place.uploads.standing(id, "ann").await;
    assert!(matches!(gone, Err(ResumeError::Unknown)), "{gone:?}");
    assert_eq!(place.files(), Vec::<String>::new());
    assert!(place.store.is_empty(UPLOADS));
}

#[test]
fn only_one_text_names_an_upload() {
    let id = UploadId([0xab; 16]);
    assert_eq!(id.to_string().parse(), Ok(id));
    for other in ["", "ab", &"AB".repeat(16), &"ab".repeat(17), "../../identity.key"] {
        assert_eq!(other.parse::<UploadId>(), Err(UploadIdError), "{other}");
    }
}
