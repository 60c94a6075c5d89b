//! A file's bytes for the network: a portion at a time, in buffers that are used again.
//!
//! A portion is read when the network asks for it and not before, so a download holds no more than one that waits inside of the
//! connection and the rest of another that is being sent. What the system has in its page cache is read on the spot
//! (`RWF_NOWAIT`); only what must come from the disk goes to a blocking thread. Both matter: handing portions from thread
//! to thread, and asking the system for fresh memory for each, cost more than copying them.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{Stream, stream};
use seedpod_actors::disk::read_cached;
use seedpod_actors::places::{Limits, Place, Places};

/// Bytes read at once. Half of it costs half as much again for each MiB, twice of it hardly less (`scripts/bench-door media`).
pub(crate) const PORTION: usize = 128 * 1024;
/// Downloads at once. Each holds at most 192 KiB: a connection asks for a further portion when less than 64 KiB wait inside of it. All of
/// them together hold 240 MiB.
const LIMITS: Limits = Limits {
    total: 1280,
    per_address: 256,
};
/// Buffers that are kept while nobody needs them: 8 MiB.
const SPARE: usize = 64;

/// Room for downloads, and their memory; clones share both.
#[derive(Debug, Clone)]
pub(crate) struct Downloads {
    places: Places,
    buffers: Arc<Buffers>,
}

impl Downloads {
    pub(crate) fn new() -> Self {
        Self {
            places: Places::new(LIMITS, &[]),
            buffers: Arc::default(),
        }
    }

    /// Room for one more download for this address, if there is any.
    pub(crate) fn begin(&self, client: IpAddr) -> Option<Download> {
        Some(Download {
            _place: self.places.take(client)?,
            buffers: Arc::clone(&self.buffers),
        })
    }
}

/// The room of one download.
#[derive(Debug)]
pub(crate) struct Download {
    _place: Place,
    buffers: Arc<Buffers>,
}

impl Download {
    /// The bytes of a part of a file.
    pub(crate) fn read(
        self,
        file: File,
        first: u64,
        count: u64,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
        let file = Arc::new(file);
        stream::try_unfold((self, first), move |(download, offset)| {
            let left = (first + count).saturating_sub(offset);
            let length = usize::try_from(left).map_or(PORTION, |left| left.min(PORTION));
            let file = Arc::clone(&file);
            async move {
                if length == 0 {
                    return Ok(None);
                }
                let buffer = portion(&file, download.buffers.take(length), offset).await?;
                Ok(Some((
                    Bytes::from_owner(buffer),
                    (download, offset + length as u64),
                )))
            }
        })
    }
}

/// Fills a buffer from a file.
async fn portion(file: &Arc<File>, mut buffer: Buffer, offset: u64) -> io::Result<Buffer> {
    let ready = read_cached(file, buffer.as_mut(), offset);
    if ready == buffer.length {
        return Ok(buffer);
    }
    let file = Arc::clone(file);
    let reading = tokio::task::spawn_blocking(move || {
        file.read_exact_at(&mut buffer.as_mut()[ready..], offset + ready as u64)?;
        Ok(buffer)
    });
    reading
        .await
        .unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
}

/// Buffers that wait to be used again.
#[derive(Debug, Default)]
struct Buffers {
    spare: Mutex<Vec<Box<[u8]>>>,
}

impl Buffers {
    /// A buffer that shows so many bytes, at most [`PORTION`]; whatever they are, they are to be overwritten.
    fn take(self: &Arc<Self>, length: usize) -> Buffer {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer {
            bytes: spare.unwrap_or_else(|| vec![0; PORTION].into()),
            length: length.min(PORTION),
            home: Arc::clone(self),
        }
    }
}

/// A buffer in use; it goes home when it is dropped.
#[derive(Debug)]
struct Buffer {
    bytes: Box<[u8]>,
    length: usize,
    home: Arc<Buffers>,
}

impl Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut spare = self.home.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE {
            spare.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use std::io::Write;

    use futures::TryStreamExt;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    async fn read(downloads: &Downloads, bytes: &[u8], first: usize, count: usize) -> io::Result<Vec<u8>> {
        let download = downloads.begin(CLIENT).unwrap();
        let stream = download.read(file(bytes), first as u64, count as u64);
        let portions: Vec<Bytes> = stream.try_collect().await?;
        Ok(portions.concat())
    }

    #[tokio::test]
    async fn parts_are_read_whatever_their_edges() {
        let bytes: Vec<u8> = (0..=250).cycle().take(3 * PORTION + 5).collect();
        let (all, edge) = (bytes.len(), PORTION);
        let downloads = Downloads::new();
        for (first, count) in [
            (0, all),
            (0, 1),
            (all - 1, 1),
            (edge - 1, 2),
            (1, 2 * edge),
            (edge, edge),
            (7, 0),
        ] {
            let read = read(&downloads, &bytes, first, count).await.unwrap();
            assert!(read == bytes[first..first + count], "{count} bytes from {first}");
        }
    }

    #[tokio::test]
    async fn a_file_that_ends_too_soon_is_an_error_and_not_old_bytes() {
        let downloads = Downloads::new();
        read(&downloads, &[1; 1000], 0, 1000).await.unwrap();
        let error = read(&downloads, &[2; 999], 0, 1000).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn buffers_are_used_again_and_places_given_back() {
        let downloads = Downloads::new();
        for _ in 0..3 {
            read(&downloads, &[3; 4 * PORTION], 0, 4 * PORTION).await.unwrap();
        }
        let spare = downloads.buffers.spare.lock().unwrap().len();
        assert_eq!(spare, 4, "those of one download that were collected together");
        let held: Vec<_> = std::iter::from_fn(|| downloads.begin(CLIENT)).collect();
        assert_eq!(held.len(), LIMITS.per_address);
        assert!(downloads.begin("192.0.2.1".parse().unwrap()).is_some());
        drop(held);
        assert!(downloads.begin(CLIENT).is_some());
    }
}
