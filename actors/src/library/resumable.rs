//! Uploads that go on after a lost connection, a closed laptop, a restarted pod.
//!
//! An upload begins with its length and everything that is said about the video. From then on its bytes are paid for
//! (`quota.rs`) and have room on the disk. They arrive in order, in as many requests as it takes; what was answered as
//! arrived is synced and noted in the store, and survives `kill -9` and power cuts. When all are there, [`Uploads::take`]
//! turns the upload into an [`AddVideo`]. The transaction that publishes the video notes so beside the upload: whoever lost
//! the last answer asks again and learns which video it became, instead of publishing it twice.
//!
//! Invariants: at most one request writes to an upload, the latest ([`Claim`]); what is in the file behind the noted offset
//! is never believed after a restart; an upload that nobody touches for [`LIFETIME`] is forgotten, with its file.
//!
//! `state.rs` decides, this file does. The shell is a handle and no actor, because bytes never pass through a mailbox.

mod state;

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use seedpod_protocol::ids::{Timestamp, VideoId};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use self::state::{LIFETIME, MAX_OPEN_PER_USER, PATIENCE_FOR_FIRST_BYTE, Standing};
use self::state::{Pending, Refusal};
use super::folder::{MediaFolder, PictureKind, TemporaryFile, delete};
use super::messages::{AddVideo, Owner, VideoDetails};
use super::metrics::LibraryMetrics;
use super::picture::{PictureError, Poster};
use super::places::{Place, Places};
use super::quota::{Charge, OverQuota, Quotas};
use super::records::{UploadProgress, UploadRow};
use super::sweep::OpenError;
use super::upload::{Sink, UploadError, UploadWriter, blocking};
use crate::clock::now;
use crate::store::tables::UPLOADS;
use crate::store::{Store, StoreError, Transaction};

/// How long a request waits for another one of the same upload to let go.
const PATIENCE: Duration = Duration::from_secs(10);

/// What files of uploads begin with.
const FILES: &str = "upload-";

/// Names one upload; drawn, and told to nobody but its owner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId([u8; 16]);

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text names no upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not the name of an upload")]
pub struct UploadIdError;

impl FromStr for UploadId {
    type Err = UploadIdError;

    fn from_str(text: &str) -> Result<Self, UploadIdError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| UploadIdError)?;
        bytes.try_into().map(Self).map_err(|_| UploadIdError)
    }
}

/// What is said of an upload before its first byte.
#[derive(Debug, Clone)]
pub struct Announced {
    /// Whose it is.
    pub owner: Owner,
    /// How many bytes of video the owner may keep; `None` means as many as the disk holds.
    pub quota: Option<u64>,
    /// What is said about the video.
    pub details: VideoDetails,
    /// What the file is called where it comes from.
    pub file_name: Option<String>,
    /// How many bytes it has; above 0.
    pub length: u64,
    /// As for [`AddVideo`].
    pub thumbnail: Option<Bytes>,
    /// As for [`AddVideo`].
    pub preview: Option<Bytes>,
}

/// Why nothing was done with an upload.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResumeError {
    /// There is none of this name, or it is somebody else's.
    #[error("there is no such upload; it may have ended or expired")]
    Unknown,
    /// It became a video already.
    #[error("the upload has become a video")]
    Published(VideoId),
    /// Its bytes are not all there yet.
    #[error("only {offset} of {length} bytes have arrived")]
    Incomplete {
        /// How many are there.
        offset: u64,
        /// How many there will be.
        length: u64,
    },
    /// The next byte to send is another one.
    #[error("the next byte that is expected is number {offset}")]
    Offset {
        /// How many bytes are there.
        offset: u64,
    },
    /// A picture that came with it cannot be used.
    #[error("{which}: {error}", which = which.name())]
    Picture {
        /// Which of the two.
        which: PictureKind,
        /// Why.
        error: Arc<PictureError>,
    },
    /// Another request works on it and does not let go.
    #[error("the upload is being worked on, try again in a moment")]
    Busy,
    /// The owner has too many uploads that did not end.
    #[error("at most {limit} uploads may be open at once; finish or cancel one first")]
    TooMany {
        /// How many may be open.
        limit: usize,
    },
    /// As for any upload.
    #[error(transparent)]
    Upload(#[from] UploadError),
}

impl From<OverQuota> for ResumeError {
    fn from(error: OverQuota) -> Self {
        Self::Upload(error.into())
    }
}

impl From<StoreError> for ResumeError {
    fn from(error: StoreError) -> Self {
        Self::Upload(error.into())
    }
}

/// Where uploads arrive, those that may be resumed and plain ones; clones share everything.
#[derive(Clone)]
pub struct Uploads {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    folder: MediaFolder,
    quotas: Quotas,
    metrics: LibraryMetrics,
    /// Taken by whoever has bytes written.
    places: Places,
    open: Mutex<Open>,
    /// Told whenever a claim ends.
    freed: Notify,
    /// Pictures are looked at one after the other: each may be a large image.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Open {
    pending: Pending,
    charges: HashMap<UploadId, Charge>,
    /// Files with the hashes of what is in them; after a restart they are made anew.
    sinks: HashMap<UploadId, Sink>,
}

impl Uploads {
    /// Reads what is known of uploads, and deletes the files of those that ended. Blocks.
    ///
    /// # Errors
    /// When the store or the folder cannot be read.
    pub fn open(
        store: Store,
        folder: MediaFolder,
        quotas: Quotas,
        metrics: LibraryMetrics,
    ) -> Result<Self, OpenError> {
        let mut open = Open::default();
        for row in store.scan_prefix(UPLOADS, &[]) {
            let (key, value) = row?;
            let Ok(Key::What(id)) = Key::try_from(key.as_slice()) else {
                continue;
            };
            let progress = store.get(UPLOADS, &Key::Progress(id).encode())?;
            let read = UploadRow::decode(&value)
                .and_then(|what| Ok((what, UploadProgress::decode(&progress.unwrap_or_default())?)));
            match read {
                Ok((what, progress)) => {
                    if let UploadProgress::Receiving { offset, .. } = progress {
                        // Without a byte too: a cancel that was interrupted deleted the file and not the row.
                        if file_length(&folder, id).is_none_or(|length| length < offset) {
                            warn!(upload = %id, "the file of an upload is missing or too short: it is forgotten");
                            continue;
                        }
                        let charge = quotas.charge(&what.owner.username, what.length);
                        open.charges.insert(id, charge);
                    }
                    open.pending.restore(id, what, progress);
                }
                Err(error) => warn!(upload = %id, %error, "an upload is forgotten, its row cannot be read"),
            }
        }
        for entry in std::fs::read_dir(folder.tmp())? {
            let entry = entry?;
            let named = entry.file_name();
            let Some(rest) = named.to_str().and_then(|name| name.strip_prefix(FILES)) else {
                continue;
            };
            let id = rest.get(..32).and_then(|id| id.parse().ok());
            if id.is_none_or(|id| !open.charges.contains_key(&id)) {
                delete(&entry.path())?;
            }
        }
        let uploads = Self {
            inner: Arc::new(Inner {
                store,
                folder,
                quotas,
                metrics,
                places: Places::default(),
                open: Mutex::new(open),
                freed: Notify::new(),
                looking: tokio::sync::Mutex::default(),
            }),
        };
        uploads.show(&uploads.lock());
        Ok(uploads)
    }

    /// Deletes rows of uploads that were not restored at start; call once after [`open`](Self::open).
    ///
    /// # Errors
    /// When the store refuses; nothing is lost then.
    pub async fn sweep_rows(&self) -> Result<(), StoreError> {
        let mut dead = Transaction::new();
        for row in self.inner.store.scan_prefix(UPLOADS, &[]) {
            let (key, _) = row?;
            let known = Key::try_from(key.as_slice()).is_ok_and(|key| self.lock().pending.knows(key.id()));
            if !known {
                dead.delete(UPLOADS, key);
            }
        }
        self.inner.store.commit(dead).await
    }

    /// Who keeps how much.
    pub fn quotas(&self) -> &Quotas {
        &self.inner.quotas
    }

    /// Whether an upload of `announced` bytes, `at_least` of them video, would be taken now: before any of it is asked for.
    ///
    /// # Errors
    /// When the owner's quota or the disk does not hold it.
    pub fn check(
        &self,
        owner: &str,
        quota: Option<u64>,
        announced: u64,
        at_least: u64,
    ) -> Result<(), UploadError> {
        let checked = || {
            self.fits(owner, quota, at_least, now())?;
            Ok(self.inner.folder.check_room(announced)?)
        };
        checked().inspect_err(|error| self.inner.metrics.refused(error))
    }

    /// Begins an upload that ends with its request. `announced` is its length or a little more, `at_least` what it has for
    /// certain, `limit` what it may have.
    ///
    /// # Errors
    /// When the limit, the owner's quota or the disk does not hold it, or too many arrive at once.
    pub async fn receive(
        &self,
        owner: &str,
        quota: Option<u64>,
        announced: Option<u64>,
        at_least: u64,
        limit: u64,
    ) -> Result<UploadWriter, UploadError> {
        let created = async {
            let place = self.inner.places.take(owner)?;
            let charge = self.reserve(owner, quota, at_least, now()).await?;
            UploadWriter::create(&self.inner.folder, charge, place, announced, limit).await
        };
        let created = created
            .await
            .inspect_err(|error| self.inner.metrics.refused(error))?;
        Ok(created.counted(self.inner.metrics.clone()))
    }

    /// Begins an upload that may be resumed, wholly or not at all, even if nobody waits for the answer. Uploads of the same
    /// owner that wait for their first byte for too long make way for it.
    ///
    /// # Errors
    /// When a picture cannot be used, when the owner has too many, or when quota or disk do not hold it.
    pub async fn begin(&self, announced: Announced) -> Result<UploadId, ResumeError> {
        self.begin_at(announced, now()).await
    }

    async fn begin_at(&self, announced: Announced, now: Timestamp) -> Result<UploadId, ResumeError> {
        let uploads = self.clone();
        tokio::spawn(async move { uploads.set_up(announced, now).await })
            .await
            .unwrap_or(Err(UploadError::Interrupted.into()))
    }

    async fn set_up(&self, announced: Announced, now: Timestamp) -> Result<UploadId, ResumeError> {
        let Announced {
            owner,
            quota,
            details,
            file_name,
            length,
            thumbnail,
            preview,
        } = announced;
        if length == 0 {
            return Err(UploadError::Empty.into());
        }
        let pictures = [
            (PictureKind::Thumbnail, thumbnail),
            (PictureKind::Preview, preview),
        ];
        // Now, as nobody wants to hear of it after the last byte.
        for (which, picture) in &pictures {
            self.check_picture(*which, picture.clone()).await?;
        }
        let id = UploadId(rand::random());
        let what = UploadRow {
            owner,
            details,
            file_name,
            length,
        };
        let charge = self
            .reserve(&what.owner.username, quota, length, now)
            .await
            .inspect_err(|error| self.inner.metrics.refused(&(*error).into()))?;
        let (claim, evicted) = {
            let mut open = self.lock();
            let (claimed, evicted) = open.pending.begin(id, what.clone(), now)?;
            open.charges.insert(id, charge);
            self.show(&open);
            (self.claim_of(id, claimed), evicted)
        };
        let begun = async {
            for id in evicted {
                self.forget(id).await;
            }
            let folder = self.inner.folder.clone();
            let sink = blocking(move || {
                let (file, temporary) = folder.create_at(path(&folder, id))?;
                let sink = Sink::new(&folder, file, temporary, Some(length))?;
                for (which, picture) in pictures {
                    if let Some(picture) = picture {
                        folder.write(&picture_path(&folder, id, which), &picture)?;
                    }
                }
                Ok(sink)
            })
            .await?;
            let progress = UploadProgress::Receiving { offset: 0, at: now };
            let mut rows = Transaction::new();
            rows.put(UPLOADS, Key::What(id).encode(), what.encode());
            rows.put(UPLOADS, Key::Progress(id).encode(), progress.encode());
            self.inner.store.commit(rows).await?;
            Ok(sink)
        }
        .await;
        match begun {
            Ok(sink) => {
                claim.release(Some(sink), 0);
                Ok(id)
            }
            Err(error) => {
                drop(claim);
                self.forget(id).await;
                Err(error)
            }
        }
    }

    /// Refuses an image that cannot become a picture.
    async fn check_picture(&self, which: PictureKind, image: Option<Bytes>) -> Result<(), ResumeError> {
        let Some(image) = image else { return Ok(()) };
        let _turn = self.inner.looking.lock().await;
        let looked = blocking(move || Ok(Poster::from_upload(&image).map(drop))).await?;
        looked.map_err(|error| ResumeError::Picture {
            which,
            error: Arc::new(error),
        })
    }

    /// Takes bytes of a quota, if need be those of the owner's uploads that make way.
    async fn reserve(
        &self,
        owner: &str,
        quota: Option<u64>,
        bytes: u64,
        now: Timestamp,
    ) -> Result<Charge, OverQuota> {
        loop {
            let refused = match self.inner.quotas.reserve(owner, quota, bytes) {
                Ok(charge) => return Ok(charge),
                Err(refused) => refused,
            };
            self.fits(owner, quota, bytes, now)?;
            let idle = self.lock().pending.evict_idle(owner, now);
            self.forget(idle.ok_or(refused)?).await;
        }
    }

    /// Whether a quota holds so many more bytes once all that make way have done so.
    fn fits(&self, owner: &str, quota: Option<u64>, bytes: u64, now: Timestamp) -> Result<(), OverQuota> {
        let idle = self.lock().pending.idle_bytes(owner, now);
        self.inner.quotas.check(owner, quota, bytes, idle)
    }

    /// How far an upload is. A request that still sends to it is ended first, so that the answer stays true.
    ///
    /// # Errors
    /// When it is not known to this user, or a request does not let go of it.
    pub async fn standing(&self, id: UploadId, user: &str) -> Result<Standing, ResumeError> {
        match self.claim(id, user).await {
            Ok(claim) => {
                let standing = self.lock().pending.standing(id);
                drop(claim);
                standing.ok_or(ResumeError::Unknown)
            }
            Err(ResumeError::Published(_)) => self.lock().pending.standing(id).ok_or(ResumeError::Unknown),
            Err(error) => Err(error),
        }
    }

    /// Goes on with an upload from the byte it expects next.
    ///
    /// # Errors
    /// When that is not `offset`, when it is not known to this user, when a request does not let go of it, or when too many
    /// arrive at once.
    pub async fn resume(&self, id: UploadId, user: &str, offset: u64) -> Result<UploadWriter, ResumeError> {
        let claim = self.claim(id, user).await?;
        if claim.offset != offset {
            return Err(ResumeError::Offset { offset: claim.offset });
        }
        let place = (self.inner.places.take(user).map_err(UploadError::from))
            .inspect_err(|error| self.inner.metrics.refused(error))?;
        let (sink, claim) = self.sink_of(claim).await?;
        let length = claim.length;
        Ok(UploadWriter::over(sink, length, place, Some(claim)).counted(self.inner.metrics.clone()))
    }

    /// Turns an upload whose bytes are all there into the order to publish it. Dropping the order leaves the upload as it
    /// is.
    ///
    /// # Errors
    /// When bytes are missing, when it is published already, or as [`resume`](Self::resume).
    pub async fn take(&self, id: UploadId, user: &str) -> Result<AddVideo, ResumeError> {
        let claim = self.claim(id, user).await?;
        if claim.offset < claim.length {
            return Err(ResumeError::Incomplete {
                offset: claim.offset,
                length: claim.length,
            });
        }
        let what = self.lock().pending.what(id).ok_or(ResumeError::Unknown)?;
        let (sink, claim) = self.sink_of(claim).await?;
        let folder = self.inner.folder.clone();
        let (upload, thumbnail, preview) = blocking(move || {
            let mut upload = sink.finish(Some(claim))?;
            upload.file.keep(true);
            let picture = |which| match std::fs::read(picture_path(&folder, id, which)) {
                Ok(bytes) => Ok(Some(Bytes::from(bytes))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            };
            Ok((
                upload,
                picture(PictureKind::Thumbnail)?,
                picture(PictureKind::Preview)?,
            ))
        })
        .await?;
        let UploadRow {
            owner,
            details,
            file_name,
            ..
        } = Arc::unwrap_or_clone(what);
        Ok(AddVideo {
            owner,
            details,
            upload,
            file_name_hint: file_name,
            thumbnail,
            preview,
        })
    }

    /// Ends an upload and deletes what arrived.
    ///
    /// # Errors
    /// When it is not known to this user, is a video already, or a request does not let go of it.
    pub async fn cancel(&self, id: UploadId, user: &str) -> Result<(), ResumeError> {
        let claim = self.claim(id, user).await?;
        self.forget(id).await;
        drop(claim);
        Ok(())
    }

    /// Forgets uploads that nobody touched for [`LIFETIME`]; returns how many.
    pub async fn expire(&self, now: Timestamp) -> usize {
        let mut expired = 0;
        loop {
            // Looked for anew each time: while one is deleted, somebody may go on with another.
            let Some(id) = self.lock().pending.evict_expired(now) else {
                return expired;
            };
            info!(upload = %id, "an upload that nobody went on with is forgotten");
            self.forget(id).await;
            expired += 1;
        }
    }

    /// What is counted of uploads.
    pub fn metrics(&self) -> &LibraryMetrics {
        &self.inner.metrics
    }

    /// Deletes everything of an upload, even if nobody waits for it. What cannot be deleted is deleted at the next start.
    async fn forget(&self, id: UploadId) {
        let (charge, sink) = {
            let mut open = self.lock();
            open.pending.forget(id);
            self.show(&open);
            (open.charges.remove(&id), open.sinks.remove(&id))
        };
        let uploads = self.clone();
        let deleting = tokio::spawn(async move { uploads.delete(id, charge, sink).await });
        if let Err(error) = deleting.await {
            warn!(upload = %id, %error, "an upload stays until the next start");
        }
    }

    async fn delete(&self, id: UploadId, charge: Option<Charge>, sink: Option<Sink>) {
        let folder = self.inner.folder.clone();
        let deleted = tokio::task::spawn_blocking(move || {
            drop(sink);
            for path in all_paths(&folder, id) {
                delete(&path)?;
            }
            // Only now are its bytes free.
            drop(charge);
            Ok::<_, io::Error>(())
        });
        if let Err(error) = deleted.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            warn!(upload = %id, %error, "files of an upload stay until the next start");
        }
        let mut rows = Transaction::new();
        rows.delete(UPLOADS, Key::What(id).encode());
        rows.delete(UPLOADS, Key::Progress(id).encode());
        if let Err(error) = self.inner.store.commit(rows).await {
            warn!(upload = %id, %error, "an upload is noted until the next start");
        }
    }

    /// Makes the caller the only one who works on an upload.
    async fn claim(&self, id: UploadId, user: &str) -> Result<Claim, ResumeError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut freed = std::pin::pin!(self.inner.freed.notified());
            freed.as_mut().enable();
            let claimed = self.lock().pending.claim(id, user);
            match claimed {
                Ok(claimed) => return Ok(self.claim_of(id, claimed)),
                Err(Refusal::Unknown) => return Err(ResumeError::Unknown),
                Err(Refusal::Published(video)) => return Err(ResumeError::Published(video)),
                Err(Refusal::Claimed(takeover)) => {
                    takeover.cancel();
                    if timeout_at(deadline, freed).await.is_err() {
                        return Err(ResumeError::Busy);
                    }
                }
            }
        }
    }

    fn claim_of(&self, id: UploadId, claimed: state::Claimed) -> Claim {
        Claim {
            uploads: self.clone(),
            id,
            offset: claimed.offset,
            length: claimed.length,
            takeover: claimed.takeover,
            held: true,
        }
    }

    /// The file of a claimed upload, hashed up to the claim's offset.
    async fn sink_of(&self, claim: Claim) -> Result<(Sink, Claim), ResumeError> {
        let id = claim.id;
        let kept = self.lock().sinks.remove(&id);
        if let Some(sink) = kept.filter(|sink| sink.length() == claim.offset) {
            return Ok((sink, claim));
        }
        let (folder, offset, length) = (self.inner.folder.clone(), claim.offset, claim.length);
        let sink = blocking(move || {
            let path = path(&folder, id);
            let file = File::options().read(true).write(true).open(&path)?;
            let mut temporary = TemporaryFile::at(path);
            temporary.keep(true);
            Sink::reopen(&folder, file, temporary, offset, length)
        });
        Ok((sink.await?, claim))
    }

    fn show(&self, open: &Open) {
        let open = i64::try_from(open.pending.open()).unwrap_or(i64::MAX);
        self.inner.metrics.open_uploads.set(open);
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.inner.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Uploads")
    }
}

/// The right to work on an upload; dropped, it lets others.
pub(super) struct Claim {
    uploads: Uploads,
    id: UploadId,
    /// Bytes on disk for certain when it was claimed.
    offset: u64,
    length: u64,
    takeover: CancellationToken,
    held: bool,
}

impl Claim {
    /// Is cancelled when somebody else wants to go on with the upload.
    pub(super) fn taken_over(&self) -> CancellationToken {
        self.takeover.clone()
    }

    /// Syncs the file, notes how far it is, and lets others go on; answers with how many bytes are on disk. Blocks, on a
    /// thread of the runtime.
    pub(super) fn give_back(self, mut sink: Sink, place: Place) -> Result<u64, UploadError> {
        sink.sync()?;
        let offset = sink.length();
        let progress = UploadProgress::Receiving { offset, at: now() };
        let mut rows = Transaction::new();
        rows.put(UPLOADS, Key::Progress(self.id).encode(), progress.encode());
        Handle::current().block_on(self.uploads.inner.store.commit(rows))?;
        // Whoever waits for the upload needs a place too.
        drop(place);
        self.release(Some(sink), offset);
        Ok(offset)
    }

    /// What the transaction that publishes the video notes beside it.
    pub(super) fn note_published(&self, video: VideoId, along: &mut Transaction) {
        let progress = UploadProgress::Published { video, at: now() };
        along.put(UPLOADS, Key::Progress(self.id).encode(), progress.encode());
    }

    /// The upload became this video, and the transaction that says so is on disk.
    pub(super) fn published(mut self, video: VideoId) {
        self.held = false;
        let folder = self.uploads.inner.folder.clone();
        let id = self.id;
        {
            let mut open = self.uploads.lock();
            open.pending.published(id, video, now());
            open.charges.remove(&id);
            self.uploads.show(&open);
        }
        self.uploads.inner.freed.notify_waiters();
        tokio::task::spawn_blocking(move || {
            for path in all_paths(&folder, id) {
                delete(&path).ok(); // what stays is deleted at the next start
            }
        });
    }

    /// The upload will never be a video: everything of it is deleted.
    pub(super) async fn forget(mut self) {
        self.held = false;
        self.uploads.forget(self.id).await;
        self.uploads.inner.freed.notify_waiters();
    }

    /// Whether its file still lies where it arrived.
    pub(super) fn has_file(&self) -> bool {
        path(&self.uploads.inner.folder, self.id).exists()
    }

    /// The bytes of the upload, paid for since it began; for the video that it becomes.
    pub(super) fn take_charge(&self) -> Option<Charge> {
        self.uploads.lock().charges.remove(&self.id)
    }

    /// Takes a charge back from a video that did not come to be.
    pub(super) fn return_charge(&self, charge: Charge) {
        self.uploads.lock().charges.insert(self.id, charge);
    }

    fn release(mut self, sink: Option<Sink>, offset: u64) {
        self.held = false;
        self.let_go(sink, Some(offset));
    }

    fn let_go(&self, sink: Option<Sink>, offset: Option<u64>) {
        {
            let mut open = self.uploads.lock();
            if open.pending.release(self.id, offset, now())
                && let Some(mut sink) = sink
            {
                sink.keep_file();
                open.sinks.insert(self.id, sink);
            }
        }
        self.uploads.inner.freed.notify_waiters();
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.held {
            self.let_go(None, None);
        }
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A key of [`UPLOADS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    What(UploadId),
    Progress(UploadId),
}

impl Key {
    fn id(self) -> UploadId {
        match self {
            Self::What(id) | Self::Progress(id) => id,
        }
    }

    fn encode(self) -> Vec<u8> {
        let part = match self {
            Self::What(_) => 0,
            Self::Progress(_) => 1,
        };
        let mut key = self.id().0.to_vec();
        key.push(part);
        key
    }
}

impl TryFrom<&[u8]> for Key {
    type Error = UploadIdError;

    fn try_from(key: &[u8]) -> Result<Self, UploadIdError> {
        let (part, id) = key.split_last().ok_or(UploadIdError)?;
        let id = id.try_into().map(UploadId).map_err(|_| UploadIdError)?;
        match part {
            0 => Ok(Self::What(id)),
            1 => Ok(Self::Progress(id)),
            _ => Err(UploadIdError),
        }
    }
}

fn path(folder: &MediaFolder, id: UploadId) -> PathBuf {
    folder.tmp().join(format!("{FILES}{id}"))
}

fn picture_path(folder: &MediaFolder, id: UploadId, which: PictureKind) -> PathBuf {
    folder.tmp().join(format!("{FILES}{id}-{}", which.name()))
}

fn all_paths(folder: &MediaFolder, id: UploadId) -> impl Iterator<Item = PathBuf> {
    let pictures = PictureKind::ALL.map(|which| picture_path(folder, id, which));
    std::iter::once(path(folder, id)).chain(pictures)
}

fn file_length(folder: &MediaFolder, id: UploadId) -> Option<u64> {
    std::fs::metadata(path(folder, id)).ok().map(|file| file.len())
}

#[cfg(test)]
pub(super) mod tests;
