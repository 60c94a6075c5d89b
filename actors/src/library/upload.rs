//! Takes an upload: bytes go to disk and through the piece hashes as they arrive.
//!
//! ```text
//! request task ──(queue of 8 chunks)──▶ one blocking thread: write, hash ──▶ fsync ──▶ Received
//!                                          └──▶ another, now and then: fdatasync of what was written so far
//! ```
//!
//! The second thread is why the last byte is soon followed by an answer: when it comes, little is left to be synced. It is
//! one of its own: on the runtime's blocking threads it would queue behind uploads that wait for it.
//!
//! Invariants: whoever drops the writer, the future of [`UploadWriter::finish`] or the [`Received`] file deletes the
//! temporary file (one that may be resumed stays, with all that arrived); not a byte above the limit or the quota is
//! written; a full disk is told apart from a broken one.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use seedpod_protocol::metainfo::{PieceHasher, Pieces, piece_length_for};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::folder::{MediaFolder, TemporaryFile};
use super::media::Container;
use super::metrics::LibraryMetrics;
use super::places::{NoPlace, Place};
use super::quota::{Charge, OverQuota};
use super::resumable::Claim;
use crate::disk;
use crate::store::StoreError;

/// How many chunks wait for the disk; a full queue makes the sender wait, and through it the network.
pub const QUEUE: usize = 8;

/// How many bytes are written before they are synced in the background.
const SYNC_EVERY: u64 = 32 << 20;

/// How many bytes may wait for a sync; a disk that is slower makes the sender wait.
const MAX_UNSYNCED: u64 = 128 << 20;

/// How much is read at once of a file that is hashed again.
const REHASH_BUFFER: usize = 1 << 20;

/// Why an upload ended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UploadError {
    /// It is, or says it will be, longer than allowed.
    #[error("the upload is larger than {limit} bytes")]
    TooLarge {
        /// What was allowed, in bytes.
        limit: u64,
    },
    /// There was nothing in it.
    #[error("the upload is empty")]
    Empty,
    /// Its first bytes are those of no video that browsers play.
    #[error("the file is neither MP4, WebM nor Ogg")]
    NoVideo,
    /// Its owner's quota does not hold it.
    #[error(transparent)]
    OverQuota(#[from] OverQuota),
    /// Too many arrive at once.
    #[error(transparent)]
    NoPlace(#[from] NoPlace),
    /// The disk is full.
    #[error("there is no room left on the disk")]
    DiskFull,
    /// The disk failed otherwise.
    #[error("cannot store the upload: {0}")]
    Disk(Arc<io::Error>),
    /// What is known of the upload could not be stored.
    #[error("cannot note how far the upload is: {0}")]
    Store(Arc<StoreError>),
    /// The writing thread is gone: the pod is stopping. Or somebody else goes on with the same upload.
    #[error("the upload was interrupted")]
    Interrupted,
}

impl From<io::Error> for UploadError {
    fn from(error: io::Error) -> Self {
        if disk::is_full(&error) {
            Self::DiskFull
        } else {
            Self::Disk(Arc::new(error))
        }
    }
}

impl From<StoreError> for UploadError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::DiskFull,
            other => Self::Store(Arc::new(other)),
        }
    }
}

/// A whole upload on disk, with its pieces; dropping it deletes the file.
#[derive(Debug)]
pub struct Received {
    pub(super) file: TemporaryFile,
    /// Never 0.
    pub(super) size: u64,
    pub(super) piece_length: u32,
    pub(super) pieces: Pieces,
    /// Who pays for its bytes; taken when the video is added.
    pub(super) charge: Option<Charge>,
    /// The resumable upload that it was; forgotten with it unless it became a video.
    pub(super) claim: Option<Claim>,
}

impl Received {
    /// Where the file lies at present; it has no other name yet.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Its size in bytes; never 0.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How long a piece is, in bytes.
    pub fn piece_length(&self) -> u32 {
        self.piece_length
    }

    /// The hashes of its pieces.
    pub fn pieces(&self) -> &Pieces {
        &self.pieces
    }
}

enum Order {
    Write(Bytes),
    Pause(oneshot::Sender<Result<u64, UploadError>>),
    Finish(oneshot::Sender<Result<Received, UploadError>>),
}

/// Where the bytes of one upload go.
#[derive(Debug)]
pub struct UploadWriter {
    orders: mpsc::Sender<Order>,
    failure: Arc<OnceLock<UploadError>>,
    written: u64,
    limit: u64,
    /// Grows with what is written; an upload that may be resumed was paid for when it began.
    charge: Option<Charge>,
    /// The first bytes of the file, until they tell what it is.
    start: Vec<u8>,
    taken_over: CancellationToken,
    metrics: LibraryMetrics,
}

impl UploadWriter {
    /// Begins an upload of an announced length (a hint that sets the piece length) and of at most `limit` bytes, paid by
    /// `charge`. Room on the disk for what is announced is there when this answers.
    ///
    /// # Errors
    /// When more is announced than allowed or than there is room for.
    pub(super) async fn create(
        folder: &MediaFolder,
        charge: Charge,
        place: Place,
        announced: Option<u64>,
        limit: u64,
    ) -> Result<Self, UploadError> {
        if announced.is_some_and(|announced| announced > limit) {
            return Err(UploadError::TooLarge { limit });
        }
        let folder = folder.clone();
        let sink = blocking(move || {
            let (file, temporary) = folder.create_temporary()?;
            Sink::new(&folder, file, temporary, announced)
        })
        .await?;
        Ok(Self {
            charge: Some(charge),
            ..Self::over(sink, limit, place, None)
        })
    }

    /// Counts what becomes of it.
    pub(super) fn counted(self, metrics: LibraryMetrics) -> Self {
        Self { metrics, ..self }
    }

    /// Goes on where a sink is. With a claim the sink is given back to it in the end, and the file stays.
    pub(super) fn over(sink: Sink, limit: u64, place: Place, claim: Option<Claim>) -> Self {
        let (orders, mut queue) = mpsc::channel(QUEUE);
        let failure = Arc::new(OnceLock::new());
        let noted = Arc::clone(&failure);
        let written = sink.length();
        let taken_over = claim.as_ref().map(Claim::taken_over).unwrap_or_default();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = receive(sink, &mut queue, claim, place) {
                noted.set(error).ok();
            }
            // Only now is the queue closed: whoever finds it closed finds the reason too.
            drop(queue);
        });
        Self {
            orders,
            failure,
            written,
            limit,
            charge: None,
            start: Vec::new(),
            taken_over,
            metrics: LibraryMetrics::default(),
        }
    }

    /// How many bytes were taken so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Is cancelled when somebody else wants to go on with the same upload: a client that lost its connection is back
    /// before we noticed that it was gone.
    pub fn taken_over(&self) -> CancellationToken {
        self.taken_over.clone()
    }

    /// Takes the next bytes; waits while the disk is behind.
    ///
    /// # Errors
    /// When they are too many, are no video's, or the disk refuses.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), UploadError> {
        let length = bytes.len() as u64;
        let taken = self.take(bytes).await;
        match &taken {
            Ok(()) => _ = self.metrics.received_bytes.inc_by(length),
            Err(error) => self.metrics.refused(error),
        }
        taken
    }

    async fn take(&mut self, bytes: Bytes) -> Result<(), UploadError> {
        let written = self.written.saturating_add(bytes.len() as u64);
        if written > self.limit {
            return Err(UploadError::TooLarge { limit: self.limit });
        }
        if let Some(charge) = self.charge.as_mut().filter(|charge| written > charge.bytes()) {
            charge.resize(written)?;
        }
        self.look_at_start(&bytes)?;
        self.orders
            .send(Order::Write(bytes))
            .await
            .map_err(|_| self.why())?;
        self.written = written;
        Ok(())
    }

    /// Refuses a file that shows by its first bytes that it is no video.
    fn look_at_start(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        let seen = self.start.len();
        if seen < Container::SNIFFED && self.written == seen as u64 {
            let missing = (Container::SNIFFED - seen).min(bytes.len());
            self.start.extend_from_slice(&bytes[..missing]);
            if self.start.len() == Container::SNIFFED && Container::sniff(&self.start).is_none() {
                return Err(UploadError::NoVideo);
            }
        }
        Ok(())
    }

    /// Stops for now; answers with how many bytes of the whole are on disk for certain.
    ///
    /// # Errors
    /// When the disk refuses; what was answered before stays true.
    pub async fn pause(self) -> Result<u64, UploadError> {
        self.ask(Order::Pause).await
    }

    /// Ends the upload; answers when all of it is on disk.
    ///
    /// # Errors
    /// When there was nothing in it or the disk refuses.
    pub async fn finish(mut self) -> Result<Received, UploadError> {
        let charge = self.charge.take();
        let mut received = self.ask(Order::Finish).await?;
        if let Some(mut charge) = charge {
            charge.settle(received.size);
            received.charge = Some(charge);
        }
        Ok(received)
    }

    async fn ask<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, UploadError>>) -> Order,
    ) -> Result<T, UploadError> {
        let (answer, answered) = oneshot::channel();
        let answered = match self.orders.send(order(answer)).await {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(self.why())),
            Err(_) => Err(self.why()),
        };
        answered.inspect_err(|error| self.metrics.refused(error))
    }

    fn why(&self) -> UploadError {
        self.failure.get().cloned().unwrap_or(UploadError::Interrupted)
    }
}

/// A file that grows, with the hashes of what is in it.
#[derive(Debug)]
pub(super) struct Sink {
    folder: MediaFolder,
    file: Arc<File>,
    temporary: TemporaryFile,
    piece_length: u32,
    hasher: PieceHasher,
    /// Up to where there is room for certain.
    allocated: u64,
    /// How many bytes were written since the last sync began.
    unsynced: u64,
    sync: Option<JoinHandle<io::Result<()>>>,
}

impl Sink {
    /// An empty file with room for what is announced. Blocks.
    pub(super) fn new(
        folder: &MediaFolder,
        file: File,
        temporary: TemporaryFile,
        announced: Option<u64>,
    ) -> Result<Self, UploadError> {
        let allocated = announced.unwrap_or(0);
        folder.allocate(&file, 0, allocated)?;
        let piece_length = piece_length_for(announced);
        Ok(Self {
            folder: folder.clone(),
            file: Arc::new(file),
            temporary,
            piece_length,
            hasher: PieceHasher::new(piece_length),
            allocated,
            unsynced: 0,
            sync: None,
        })
    }

    /// A file of which `offset` bytes are on disk for certain: what is behind them is cut off, they are hashed again, and
    /// there is room for the rest of `length`. Blocks for as long as reading takes.
    pub(super) fn reopen(
        folder: &MediaFolder,
        mut file: File,
        temporary: TemporaryFile,
        offset: u64,
        length: u64,
    ) -> Result<Self, UploadError> {
        file.set_len(offset)?;
        folder.allocate(&file, offset, length.saturating_sub(offset))?;
        let piece_length = piece_length_for(Some(length));
        let mut hasher = PieceHasher::new(piece_length);
        let mut buffer = vec![0; REHASH_BUFFER];
        file.seek(SeekFrom::Start(0))?;
        while hasher.length() < offset {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            hasher.update(&buffer[..read]);
        }
        Ok(Self {
            folder: folder.clone(),
            file: Arc::new(file),
            temporary,
            piece_length,
            hasher,
            allocated: length,
            unsynced: 0,
            sync: None,
        })
    }

    /// How many bytes are in it.
    pub(super) fn length(&self) -> u64 {
        self.hasher.length()
    }

    /// The file stays when this is dropped.
    pub(super) fn keep_file(&mut self) {
        self.temporary.keep(true);
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        if self.length().saturating_add(bytes.len() as u64) > self.allocated {
            self.folder.check_room(bytes.len() as u64)?;
        }
        (&*self.file).write_all(bytes)?;
        self.hasher.update(bytes);
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_EVERY {
            self.sync_meanwhile()?;
        }
        Ok(())
    }

    /// Has what is written so far synced while more arrives.
    fn sync_meanwhile(&mut self) -> Result<(), UploadError> {
        let running = self.sync.as_ref().is_some_and(|sync| !sync.is_finished());
        if running && self.unsynced < MAX_UNSYNCED {
            return Ok(());
        }
        self.await_sync()?;
        let file = Arc::clone(&self.file);
        let sync = thread::Builder::new().name("upload-sync".to_owned());
        self.sync = Some(sync.spawn(move || file.sync_data())?);
        self.unsynced = 0;
        Ok(())
    }

    /// A sync that failed is never tried again: the system may have dropped what it could not write.
    fn await_sync(&mut self) -> Result<(), UploadError> {
        match self.sync.take() {
            Some(sync) => Ok(sync
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the sync panicked")))?),
            None => Ok(()),
        }
    }

    /// Everything written so far is on disk when this answers.
    pub(super) fn sync(&mut self) -> Result<(), UploadError> {
        self.await_sync()?;
        self.file.sync_data()?;
        self.unsynced = 0;
        Ok(())
    }

    /// The file as it is, whole and on disk; room that it does not need is given back.
    pub(super) fn finish(mut self, claim: Option<Claim>) -> Result<Received, UploadError> {
        let size = self.length();
        if size == 0 {
            return Err(UploadError::Empty);
        }
        self.await_sync()?;
        if self.allocated > size {
            self.file.set_len(size)?;
        }
        self.file.sync_all()?;
        self.temporary.keep(false);
        Ok(Received {
            file: self.temporary,
            size,
            piece_length: self.piece_length,
            pieces: self.hasher.finish(),
            charge: None,
            claim,
        })
    }
}

/// The blocking side: ends when the upload does, however that is.
fn receive(
    mut sink: Sink,
    queue: &mut mpsc::Receiver<Order>,
    claim: Option<Claim>,
    place: Place,
) -> Result<(), UploadError> {
    while let Some(order) = queue.blocking_recv() {
        match order {
            Order::Write(bytes) => sink.write(&bytes)?,
            Order::Pause(answer) => {
                let saved = match claim {
                    Some(claim) => claim.give_back(sink, place),
                    None => Err(UploadError::Interrupted),
                };
                answer.send(saved).ok();
                return Ok(());
            }
            Order::Finish(answer) => {
                let finished = sink.finish(claim);
                drop(place);
                // Nobody waits any more: the file is deleted with the answer.
                answer.send(finished).ok();
                return Ok(());
            }
        }
    }
    match claim {
        // The connection broke: what arrived is not sent again.
        Some(claim) => claim.give_back(sink, place).map(|_| ()),
        None => Ok(()),
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UploadError> + Send + 'static,
) -> Result<T, UploadError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error).into()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

    use std::time::Duration;

    use super::*;
    use crate::library::places::Places;
    use crate::library::quota::Quotas;

    async fn create(
        folder: &MediaFolder,
        announced: Option<u64>,
        limit: u64,
    ) -> Result<UploadWriter, UploadError> {
        let charge = Quotas::default().reserve("ann", None, 0).unwrap();
        UploadWriter::create(folder, charge, place(), announced, limit).await
    }

    fn place() -> Place {
        Places::default().take("ann").unwrap()
    }

    fn content(length: usize) -> Vec<u8> {
        let noise = (8..length).map(|at| u8::try_from(at * 31 % 251).unwrap());
        let mut content = b"\0\0\0\x20ftyp".to_vec();
        content.extend(noise);
        content.truncate(length);
        content
    }

    fn leftovers(data: &Path) -> usize {
        std::fs::read_dir(data.join("tmp")).unwrap().count()
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

    #[tokio::test]
    async fn pieces_are_those_of_the_whole_file_however_it_arrives() {
        let data = tempfile::tempdir().unwrap();
        let folder = MediaFolder::open(data.path()).unwrap();
        let content = content(300_001);
        for (announced, chunk) in [
            (Some(300_001), 1021),
            (None, 70_000),
            (Some(300_001), 16_384),
            (Some(5), 299_999),
        ] {
            let mut writer = create(&folder, announced, 300_001).await.unwrap();
            for part in content.chunks(chunk) {
                writer.write(Bytes::copy_from_slice(part)).await.unwrap();
            }
            let received = writer.finish().await.unwrap();
            assert_eq!(std::fs::read(received.path()).unwrap(), content);
            assert_eq!(received.size, 300_001);
            assert_eq!(received.piece_length, piece_length_for(announced));
            let mut whole = PieceHasher::new(received.piece_length);
            whole.update(&content);
            assert_eq!(received.pieces, whole.finish());
        }
        until(|| leftovers(data.path()) == 0).await;
    }

    #[test]
    fn a_runtime_whose_blocking_threads_all_write_still_syncs() {
        let data = tempfile::tempdir().unwrap();
        let folder = MediaFolder::open(data.path()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        let chunk = Bytes::from(content(1 << 20));
        let upload = async {
            let mut writer = create(&folder, None, u64::MAX).await.unwrap();
            while writer.written() < SYNC_EVERY + 5 {
                writer.write(chunk.clone()).await.unwrap();
            }
            writer.finish().await
        };
        let finished =
            runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), upload).await });
        // A thread that hangs would be waited for.
        runtime.shutdown_background();
        let received = finished
            .expect("the sync waits for the thread that waits for it")
            .unwrap();
        assert_eq!(received.size(), SYNC_EVERY + (1 << 20));
    }

    #[tokio::test]
    async fn an_upload_that_is_given_up_leaves_nothing() {
        let data = tempfile::tempdir().unwrap();
        let folder = MediaFolder::open(data.path()).unwrap();
        let mut writer = create(&folder, None, 1000).await.unwrap();
        writer.write(Bytes::from_static(b"some")).await.unwrap();
        until(|| leftovers(data.path()) == 1).await;
        drop(writer);
        until(|| leftovers(data.path()) == 0).await;
    }

    #[tokio::test]
    async fn an_upload_over_its_limit_leaves_nothing() {
        let data = tempfile::tempdir().unwrap();
        let folder = MediaFolder::open(data.path()).unwrap();
        assert!(matches!(
            create(&folder, Some(11), 10).await,
            Err(UploadError::TooLarge { limit: 10 })
        ));
        let mut writer = create(&folder, None, 10).await.unwrap();
        writer.write(Bytes::from_static(b"ten bytes.")).await.unwrap();
        let error = writer.write(Bytes::from_static(b"!")).await.unwrap_err();
        assert!(matches!(error, UploadError::TooLarge { limit: 10 }), "{error}");
        drop(writer);
        until(|| leftovers(data.path()) == 0).await;
    }

    #[tokio::test]
    async fn an_empty_upload_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let folder = MediaFolder::open(data.path()).unwrap();
        let writer = create(&folder, None, 10).await.unwrap();
        assert!(matches!(writer.finish().await, Err(UploadError::Empty)));
        until(|| leftovers(data.path()) == 0).await;
    }

    #[tokio::test]
    async fn a_failing_disk_is_told_to_whoever_writes() {
        let data = tempfile::tempdir().unwrap();
        let folder = MediaFolder::open(data.path()).unwrap();
        std::fs::remove_dir(data.path().join("tmp")).unwrap();
        assert!(matches!(
            create(&folder, None, 10).await,
            Err(UploadError::Disk(_))
        ));
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(matches!(UploadError::from(full), UploadError::DiskFull));
    }

    #[tokio::test]
    async fn what_begins_like_no_video_is_refused_at_once() {
        let data = tempfile::tempdir().unwrap();
        let folder = MediaFolder::open(data.path()).unwrap();
        for chunk in [1, 5, 12, 40] {
            let mut writer = create(&folder, None, 1000).await.unwrap();
            let mut refused = None;
            for part in b"<!doctype html><title>no video</title>".chunks(chunk) {
                if let Err(error) = writer.write(Bytes::copy_from_slice(part)).await {
                    refused = Some((error, writer.written()));
                    break;
                }
            }
            let (error, written) = refused.unwrap();
            assert!(matches!(error, UploadError::NoVideo), "{error}");
            assert!(written < 12, "{written} bytes were taken in chunks of {chunk}");
        }
        until(|| leftovers(data.path()) == 0).await;
    }

    #[tokio::test]
    async fn a_quota_ends_an_upload_of_unknown_length_at_its_last_byte() {
        let data = tempfile::tempdir().unwrap();
        let folder = MediaFolder::open(data.path()).unwrap();
        let quotas = Quotas::default();
        let charge = quotas.reserve("ann", Some(100), 0).unwrap();
        let mut writer = UploadWriter::create(&folder, charge, place(), None, 1000)
            .await
            .unwrap();
        writer.write(content(100).into()).await.unwrap();
        let error = writer.write(Bytes::from_static(b"!")).await.unwrap_err();
        assert!(
            matches!(error, UploadError::OverQuota(over) if over.size == 101),
            "{error}"
        );
        let received = writer.finish().await.unwrap();
        assert_eq!((received.size, quotas.used("ann")), (100, 100));
        drop(received);
        assert_eq!(quotas.used("ann"), 0);
        until(|| leftovers(data.path()) == 0).await;
    }

    #[tokio::test]
    async fn more_than_the_disk_holds_is_refused_before_the_first_byte() {
        let data = tempfile::tempdir().unwrap();
        let folder = MediaFolder::open(data.path()).unwrap();
        let room = disk::available(data.path()).unwrap();
        let refused = create(&folder, Some(room), u64::MAX).await;
        assert!(matches!(refused, Err(UploadError::DiskFull)), "{refused:?}");
        until(|| leftovers(data.path()) == 0).await;
    }

    #[tokio::test]
    async fn room_that_was_promised_and_not_needed_is_given_back() {
        use std::os::unix::fs::MetadataExt;

        let data = tempfile::tempdir().unwrap();
        let folder = MediaFolder::open(data.path()).unwrap();
        let mut writer = create(&folder, Some(8 << 20), 8 << 20).await.unwrap();
        writer.write(content(100_000).into()).await.unwrap();
        let received = writer.finish().await.unwrap();
        let file = std::fs::metadata(received.path()).unwrap();
        assert_eq!(file.len(), 100_000);
        assert!(file.blocks() * 512 < 1 << 20, "{} blocks", file.blocks());
    }
}
