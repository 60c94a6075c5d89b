//! Takes an upload: bytes go to disk and through the piece hashes as they arrive.
//!
//! ```text
//! request task ──(queue of 8 chunks)──▶ one blocking thread: write, hash ──▶ fsync ──▶ Received
//! ```
//!
//! Invariants: whoever drops the writer, the future of [`UploadWriter::finish`] or the [`Received`] file deletes the
//! temporary file; not a byte above the limit is written; a full disk is told apart from a broken one.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use seedpod_protocol::metainfo::{PieceHasher, Pieces, piece_length_for};
use tokio::sync::{mpsc, oneshot};

use super::folder::{MediaFolder, TemporaryFile};

/// How many chunks wait for the disk; a full queue makes the sender wait, and through it the network.
pub const QUEUE: usize = 8;

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
    /// The disk is full.
    #[error("there is no room left on the disk")]
    DiskFull,
    /// The disk failed otherwise.
    #[error("cannot store the upload: {0}")]
    Disk(Arc<io::Error>),
    /// The writing thread is gone: the pod is stopping.
    #[error("the upload was interrupted")]
    Interrupted,
}

impl From<io::Error> for UploadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Disk(Arc::new(error)),
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
    Finish(oneshot::Sender<Result<Received, UploadError>>),
}

/// Where the bytes of one upload go.
#[derive(Debug)]
pub struct UploadWriter {
    orders: mpsc::Sender<Order>,
    failure: Arc<OnceLock<UploadError>>,
    written: u64,
    limit: u64,
}

impl UploadWriter {
    /// Begins an upload of an announced length (a hint that sets the piece length) and of at most `limit` bytes.
    ///
    /// Must be called on a tokio runtime. Fails at once if more is announced than allowed; a disk that fails is noticed
    /// by a later [`write`](Self::write) or by [`finish`](Self::finish).
    pub fn create(folder: &MediaFolder, announced: Option<u64>, limit: u64) -> Result<Self, UploadError> {
        if announced.is_some_and(|announced| announced > limit) {
            return Err(UploadError::TooLarge { limit });
        }
        let (orders, queue) = mpsc::channel(QUEUE);
        let failure = Arc::new(OnceLock::new());
        let (folder, noted) = (folder.clone(), Arc::clone(&failure));
        tokio::task::spawn_blocking(move || {
            let mut queue = queue;
            if let Err(error) = receive(&folder, piece_length_for(announced), &mut queue) {
                noted.set(error).ok();
            }
            // Only now is the queue closed: whoever finds it closed finds the reason too.
            drop(queue);
        });
        Ok(Self {
            orders,
            failure,
            written: 0,
            limit,
        })
    }

    /// How many bytes were taken so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Takes the next bytes; waits while the disk is behind.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), UploadError> {
        let written = self.written.saturating_add(bytes.len() as u64);
        if written > self.limit {
            return Err(UploadError::TooLarge { limit: self.limit });
        }
        self.orders
            .send(Order::Write(bytes))
            .await
            .map_err(|_| self.why())?;
        self.written = written;
        Ok(())
    }

    /// Ends the upload; answers when all of it is on disk.
    pub async fn finish(self) -> Result<Received, UploadError> {
        let (answer, answered) = oneshot::channel();
        self.orders
            .send(Order::Finish(answer))
            .await
            .map_err(|_| self.why())?;
        answered.await.unwrap_or_else(|_| Err(self.why()))
    }

    fn why(&self) -> UploadError {
        self.failure.get().cloned().unwrap_or(UploadError::Interrupted)
    }
}

/// The blocking side: ends when the upload does, however that is.
fn receive(
    folder: &MediaFolder,
    piece_length: u32,
    queue: &mut mpsc::Receiver<Order>,
) -> Result<(), UploadError> {
    let (mut file, temporary) = folder.create_temporary()?;
    let mut hasher = PieceHasher::new(piece_length);
    while let Some(order) = queue.blocking_recv() {
        match order {
            Order::Write(bytes) => {
                folder.check_room(bytes.len())?;
                file.write_all(&bytes)?;
                hasher.update(&bytes);
            }
            Order::Finish(answer) => {
                let size = hasher.length();
                let received = close(&file, size).map(|()| Received {
                    file: temporary,
                    size,
                    piece_length,
                    pieces: hasher.finish(),
                });
                // Nobody waits any more: the file is deleted with the answer.
                answer.send(received).ok();
                return Ok(());
            }
        }
    }
    Ok(())
}

fn close(file: &File, size: u64) -> Result<(), UploadError> {
    if size == 0 {
        return Err(UploadError::Empty);
    }
    Ok(file.sync_all()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

    use std::time::Duration;

    use super::*;

    fn content(length: usize) -> Vec<u8> {
        (0..length)
            .map(|at| u8::try_from(at * 31 % 251).unwrap())
            .collect()
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
            let mut writer = UploadWriter::create(&folder, announced, 300_001).unwrap();
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

    #[tokio::test]
    async fn an_upload_that_is_given_up_leaves_nothing() {
        let data = tempfile::tempdir().unwrap();
        let folder = MediaFolder::open(data.path()).unwrap();
        let mut writer = UploadWriter::create(&folder, None, 1000).unwrap();
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
            UploadWriter::create(&folder, Some(11), 10),
            Err(UploadError::TooLarge { limit: 10 })
        ));
        let mut writer = UploadWriter::create(&folder, None, 10).unwrap();
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
        let writer = UploadWriter::create(&folder, None, 10).unwrap();
        assert!(matches!(writer.finish().await, Err(UploadError::Empty)));
        until(|| leftovers(data.path()) == 0).await;
    }

    #[tokio::test]
    async fn a_failing_disk_is_told_to_whoever_writes() {
        let data = tempfile::tempdir().unwrap();
        let folder = MediaFolder::open(data.path()).unwrap();
        std::fs::remove_dir(data.path().join("tmp")).unwrap();
        let writer = UploadWriter::create(&folder, None, 10).unwrap();
        assert!(matches!(writer.finish().await, Err(UploadError::Disk(_))));
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(matches!(UploadError::from(full), UploadError::DiskFull));
    }
}
