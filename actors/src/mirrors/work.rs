//! Fetching one copy: from where it stopped, piece after piece, and nothing written that was not checked.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::{Addr, Recipient};
use seedpod_protocol::metainfo::Info;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::messages::FetchRange;
use super::metrics::MirrorMetrics;
use super::state::{CopyFile, Trouble, Wish};
use crate::disk;
use crate::library::messages::GetInfo;
use crate::library::{LibraryActor, MediaFolder};

/// Bytes asked for at once, or one piece if that is larger.
const RANGE: usize = 2 << 20;
/// Bytes written between two syncs.
const SYNC_EVERY: u64 = 32 << 20;

/// What fetches need; clones are cheap.
#[derive(Clone)]
pub(super) struct Workshop {
    pub(super) folder: MediaFolder,
    pub(super) library: Addr<LibraryActor>,
    pub(super) fetcher: Recipient<FetchRange>,
    pub(super) metrics: MirrorMetrics,
}

/// Where one copy stands, for whoever shows it, and how to stop it.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// Bytes that are here and were checked.
    pub(super) held: Arc<AtomicU64>,
    pub(super) stop: CancellationToken,
}

impl Workshop {
    /// Fetches what is missing of all files of a video, from pods at these public URLs, the first ones first.
    pub(super) async fn fetch(
        self,
        wish: Wish,
        sources: Vec<String>,
        progress: Progress,
    ) -> Result<(), Trouble> {
        progress.held.store(0, Ordering::Relaxed);
        let mut sources = Sources::new(sources);
        let work = async {
            for file in &wish.files {
                self.fetch_file(file, &mut sources, &progress.held).await?;
            }
            Ok::<(), Trouble>(())
        };
        tokio::select! {
            outcome = work => outcome,
            () = progress.stop.cancelled() => Err(Trouble::Stopped),
        }
    }

    async fn fetch_file(
        &self,
        copy: &CopyFile,
        sources: &mut Sources,
        held: &AtomicU64,
    ) -> Result<(), Trouble> {
        let path = self.folder.mirror(&copy.name);
        let (looked_at, size) = (path.clone(), copy.size);
        if blocking(move || is_whole(&looked_at, size)).await? {
            held.fetch_add(copy.size, Ordering::Relaxed);
            return Ok(());
        }
        let info = self.info(copy).await?;
        let pieces = info.pieces().len();
        let part = part_path(&path);
        let (opened, checked) = (part.clone(), Arc::clone(&info));
        let (file, good) = blocking(move || open_part(&opened, &checked)).await?;
        let file = Arc::new(file);
        let have = offset(&info, good);
        held.fetch_add(have, Ordering::Relaxed);
        let (folder, allocated, rest) = (self.folder.clone(), Arc::clone(&file), copy.size - have);
        blocking(move || folder.allocate(&allocated, have, rest)).await?;

        let (mut next, mut unsynced) = (good, 0);
        while next < pieces {
            let ready = self.next_pieces(copy, &info, next, sources).await?;
            let bytes = ready.len() as u64;
            let (written, at) = (Arc::clone(&file), offset(&info, next));
            unsynced += bytes;
            let sync = unsynced >= SYNC_EVERY;
            blocking(move || {
                written.write_all_at(&ready, at)?;
                if sync { written.sync_data() } else { Ok(()) }
            })
            .await?;
            if sync {
                unsynced = 0;
            }
            held.fetch_add(bytes, Ordering::Relaxed);
            self.metrics.fetched_bytes.inc_by(bytes);
            next += usize::try_from(bytes.div_ceil(info.piece_length().into())).unwrap_or(usize::MAX);
        }
        blocking(move || name(&file, &part, &path)).await
    }

    /// The info dictionary, which the library checked against the signed info hash.
    async fn info(&self, copy: &CopyFile) -> Result<Arc<Info>, Trouble> {
        let get = GetInfo {
            info_hash: copy.info_hash,
        };
        let no_torrent = |why: String| Trouble::NoSource(format!("its torrent cannot be had: {why}"));
        let bytes = match self.library.send(get).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) => return Err(no_torrent(error.to_string())),
            Err(_) => return Err(Trouble::Stopped),
        };
        let info = Info::decode(&bytes).map_err(|error| no_torrent(error.to_string()))?;
        // The record's author signed both; should they differ, the record says nothing that could be kept.
        if info.info_hash() != copy.info_hash || info.length() != copy.size {
            return Err(no_torrent("it is not what its origin signed".to_owned()));
        }
        Ok(Arc::new(info))
    }

    /// Some good pieces from one on: at least one, or why there is none.
    async fn next_pieces(
        &self,
        copy: &CopyFile,
        info: &Info,
        first: usize,
        sources: &mut Sources,
    ) -> Result<Vec<u8>, Trouble> {
        let at_once = (RANGE / usize::try_from(info.piece_length()).unwrap_or(RANGE)).max(1);
        let last = (first + at_once).min(info.pieces().len());
        let (from, to) = (offset(info, first), offset(info, last));
        let count =
            usize::try_from(to - from).map_err(|_| Trouble::Disk("a piece is too large".to_owned()))?;
        for _ in 0..sources.len() {
            let Some(source) = sources.current() else { break };
            let url = format!("{}/static/webseed/{}", source.url, copy.name);
            let range = FetchRange {
                url,
                first: from,
                count,
            };
            match self.fetcher.send(range).await {
                Ok(Ok(mut bytes)) if bytes.len() == count => {
                    let good = good_prefix(info, first, &bytes);
                    if good < bytes.len() {
                        warn!(url = %source.url, file = %copy.name, "a piece from this pod is not what was signed");
                        self.metrics.refused_pieces.inc();
                        source.blamed = true;
                        let why = format!("{} hands out something else than what was signed", source.url);
                        sources.why = why;
                        sources.turn();
                    }
                    if good > 0 {
                        bytes.truncate(good);
                        return Ok(bytes.to_vec());
                    }
                }
                Ok(Ok(bytes)) => {
                    sources.why = format!("{} gave {} bytes of {count}", source.url, bytes.len());
                    sources.turn();
                }
                Ok(Err(error)) => {
                    debug!(url = %source.url, %error, "a source gives nothing");
                    sources.why = format!("{}: {error}", source.url);
                    sources.turn();
                }
                Err(_) => return Err(Trouble::Stopped),
            }
        }
        Err(Trouble::NoSource(sources.why.clone()))
    }

    /// Deletes the files of a copy, whole and unfinished ones.
    pub(super) async fn delete(&self, files: Vec<PathBuf>) {
        let deleted = blocking(move || {
            for path in files {
                crate::library::folder::delete(&path)?;
                crate::library::folder::delete(&part_path(&path))?;
            }
            Ok(())
        });
        if let Err(trouble) = deleted.await {
            warn!(?trouble, "files of a copy stay until the next start");
        }
    }
}

/// The pods that have a file, in the order in which they are asked.
struct Sources {
    sources: Vec<Source>,
    current: usize,
    /// What went wrong last, in words.
    why: String,
}

struct Source {
    url: String,
    /// It handed out something else than what was signed, and is not asked again.
    blamed: bool,
}

impl Sources {
    fn new(urls: Vec<String>) -> Self {
        let source = |url| Source { url, blamed: false };
        Self {
            sources: urls.into_iter().map(source).collect(),
            current: 0,
            why: "no pod that has it is known".to_owned(),
        }
    }

    fn len(&self) -> usize {
        self.sources.len()
    }

    /// The one to ask, if there is one left.
    fn current(&mut self) -> Option<&mut Source> {
        let count = self.sources.len();
        let place = (0..count)
            .map(|step| (self.current + step) % count)
            .find(|at| !self.sources[*at].blamed)?;
        self.current = place;
        self.sources.get_mut(place)
    }

    /// Another one from now on.
    fn turn(&mut self) {
        self.current = (self.current + 1) % self.sources.len().max(1);
    }
}

/// How many bytes from a piece on are good pieces.
fn good_prefix(info: &Info, first: usize, bytes: &[u8]) -> usize {
    let length = usize::try_from(info.piece_length()).unwrap_or(usize::MAX);
    let mut good = 0;
    for (piece, index) in bytes.chunks(length).zip(first..) {
        if !info.pieces().verify(index, piece) {
            break;
        }
        good += piece.len();
    }
    good
}

/// Where a piece begins; the end of the file for the one after the last.
fn offset(info: &Info, piece: usize) -> u64 {
    (piece as u64)
        .saturating_mul(info.piece_length().into())
        .min(info.length())
}

fn part_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Whether a file is there under its final name. It got that when all of it was checked and on the disk.
fn is_whole(path: &Path, size: u64) -> io::Result<bool> {
    match path.metadata() {
        Ok(found) if found.len() == size => Ok(true),
        Ok(_) => crate::library::folder::delete(path).map(|()| false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Opens an unfinished file and says how many good pieces it begins with; what follows them is cut off.
fn open_part(path: &Path, info: &Info) -> io::Result<(File, usize)> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    let mut piece = vec![0; usize::try_from(info.piece_length()).unwrap_or_default()];
    let mut good = 0;
    file.seek(SeekFrom::Start(0))?;
    while good < info.pieces().len() {
        let length = usize::try_from(offset(info, good + 1) - offset(info, good)).unwrap_or_default();
        let read = file.read_exact(&mut piece[..length]);
        if read.is_err() || !info.pieces().verify(good, &piece[..length]) {
            break;
        }
        good += 1;
    }
    file.set_len(offset(info, good))?;
    Ok((file, good))
}

/// Gives a file that is whole its final name, durably.
fn name(file: &File, part: &Path, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    std::fs::rename(part, path)?;
    let folder = path
        .parent()
        .ok_or_else(|| io::Error::other("a copy lies in a folder"))?;
    File::open(folder)?.sync_all()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Trouble> {
    let done = tokio::task::spawn_blocking(work).await;
    match done.unwrap_or_else(|stopped| Err(io::Error::other(stopped))) {
        Ok(done) => Ok(done),
        Err(error) if disk::is_full(&error) => Err(Trouble::NoRoom),
        Err(error) => Err(Trouble::Disk(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use seedpod_protocol::metainfo::PieceHasher;

    use super::*;

    const PIECE: usize = 16 * 1024;

    fn content() -> Vec<u8> {
        (0..3 * PIECE + 100)
            .map(|at| u8::try_from(at % 251).unwrap())
            .collect()
    }

    fn info() -> Info {
        let mut hasher = PieceHasher::new(16 * 1024);
        hasher.update(&content());
        Info::new(
            "a-240.mp4".to_owned(),
            content().len() as u64,
            16 * 1024,
            hasher.finish(),
        )
        .unwrap()
    }

    #[test]
    fn good_pieces_end_before_the_first_bad_one() {
        let (info, mut bytes) = (info(), content());
        assert_eq!(good_prefix(&info, 0, &bytes), bytes.len());
        bytes[2 * PIECE + 5] ^= 1;
        assert_eq!(good_prefix(&info, 0, &bytes), 2 * PIECE);
        assert_eq!(good_prefix(&info, 2, &bytes[2 * PIECE..]), 0);
        assert_eq!(good_prefix(&info, 3, &bytes[3 * PIECE..]), 100);
        assert_eq!(
            good_prefix(&info, 3, &bytes[3 * PIECE..3 * PIECE + 99]),
            0,
            "a short piece is a bad one"
        );
    }

    #[test]
    fn an_unfinished_file_goes_on_behind_its_good_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.part");
        let (info, bytes) = (info(), content());
        assert_eq!(open_part(&path, &info).unwrap().1, 0);
        // A kill in the middle of a write, and a disk that lost one behind it.
        std::fs::write(&path, &bytes[..PIECE + 7]).unwrap();
        assert_eq!(open_part(&path, &info).unwrap().1, 1);
        assert_eq!(path.metadata().unwrap().len(), PIECE as u64);
        let mut torn = bytes.clone();
        torn[PIECE..2 * PIECE].fill(0);
        std::fs::write(&path, &torn).unwrap();
        assert_eq!(open_part(&path, &info).unwrap().1, 1);
        std::fs::write(&path, &bytes).unwrap();
        let (file, good) = open_part(&path, &info).unwrap();
        assert_eq!(good, 4);
        let whole = folder.path().join("x");
        name(&file, &path, &whole).unwrap();
        assert!(is_whole(&whole, bytes.len() as u64).unwrap() && !path.exists());
        assert!(
            !is_whole(&whole, 5).unwrap() && !whole.exists(),
            "one of another length is none"
        );
    }
}
