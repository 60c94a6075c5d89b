//! The torrents this pod has in whole, and where their bytes are.
//!
//! Whoever holds content puts it on the [`Shelf`]: the seeder its own videos, mirrors what they have fetched and verified. Connections
//! take it from there, without asking anybody's mailbox. What no connection uses costs a path: the file is open and its info dictionary
//! in memory only while somebody is served.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use bytes::Bytes;
use seedpod_protocol::ids::InfoHash;
use seedpod_protocol::metainfo::{Info, MetainfoError, info_hash_of};
use tokio_util::sync::CancellationToken;

use super::connection::Layout;

/// Content that lies here in whole: every piece of it was verified when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Its torrent.
    pub info_hash: InfoHash,
    /// Where the content lies.
    pub media: PathBuf,
    /// Where the info dictionary lies, exactly the bytes whose SHA-1 is the info hash.
    pub info: PathBuf,
}

/// Why content on the shelf cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// It is not, or no more, on the shelf.
    #[error("this pod does not have torrent {}", .0.short())]
    Unknown(InfoHash),
    /// A file cannot be read.
    #[error("{0}")]
    Disk(#[from] io::Error),
    /// The file of the info dictionary holds something else.
    #[error("the info dictionary: {0}")]
    Info(#[from] MetainfoError),
    /// The info dictionary is that of another torrent.
    #[error("the info dictionary is that of torrent {}", .0.short())]
    OtherInfo(InfoHash),
    /// The content is longer or shorter than its info dictionary says.
    #[error("the content has {found} bytes, its torrent {expected}")]
    Length {
        /// What was found, in bytes.
        found: u64,
        /// What the torrent says, in bytes.
        expected: u64,
    },
}

/// All holdings; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    entries: Arc<RwLock<HashMap<InfoHash, Entry>>>,
}

#[derive(Debug)]
struct Entry {
    holding: Holding,
    /// Cancelled when it leaves the shelf, for those who are being served.
    gone: CancellationToken,
    /// What connections share while there are any.
    opened: Weak<Torrent>,
}

/// A torrent that is being served.
#[derive(Debug)]
pub(super) struct Torrent {
    pub(super) info_hash: InfoHash,
    pub(super) layout: Layout,
    pub(super) file: Arc<File>,
    pub(super) gone: CancellationToken,
}

impl Shelf {
    /// Puts content there; the same content at another place replaces it, and those who are served from the old place are let go. Says
    /// whether the torrent is new.
    pub fn put(&self, holding: Holding) -> bool {
        let mut entries = self.write();
        if entries
            .get(&holding.info_hash)
            .is_some_and(|held| held.holding == holding)
        {
            return false;
        }
        let entry = Entry {
            gone: CancellationToken::new(),
            opened: Weak::new(),
            holding,
        };
        let former = entries.insert(entry.holding.info_hash, entry);
        former.as_ref().inspect(|former| former.gone.cancel()).is_none()
    }

    /// Takes content away; connections that serve it end. Says whether it was there.
    pub fn remove(&self, info_hash: &InfoHash) -> bool {
        let removed = self.write().remove(info_hash);
        removed
            .as_ref()
            .inspect(|removed| removed.gone.cancel())
            .is_some()
    }

    /// Whether it is there.
    pub fn holds(&self, info_hash: &InfoHash) -> bool {
        self.read().contains_key(info_hash)
    }

    /// All torrents on it.
    pub fn info_hashes(&self) -> Vec<InfoHash> {
        self.read().keys().copied().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// Opens content for serving; all who serve one torrent share a file and an info dictionary. Dropping the future leaves the shelf
    /// as it was.
    pub(super) async fn open(&self, info_hash: InfoHash) -> Result<Arc<Torrent>, ShelfError> {
        let (holding, gone) = {
            let entries = self.read();
            let entry = entries.get(&info_hash).ok_or(ShelfError::Unknown(info_hash))?;
            if let Some(opened) = entry.opened.upgrade() {
                return Ok(opened);
            }
            (entry.holding.clone(), entry.gone.clone())
        };
        let opening = tokio::task::spawn_blocking(move || open(&holding, gone));
        let opened = Arc::new(
            opening
                .await
                .unwrap_or_else(|stopped| Err(io::Error::other(stopped).into()))?,
        );
        let mut entries = self.write();
        match entries.get_mut(&info_hash) {
            // Two may have opened it at once; the first one's is shared.
            Some(entry) if !opened.gone.is_cancelled() => {
                if let Some(first) = entry.opened.upgrade() {
                    return Ok(first);
                }
                entry.opened = Arc::downgrade(&opened);
                Ok(opened)
            }
            _ => Err(ShelfError::Unknown(info_hash)),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<InfoHash, Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<InfoHash, Entry>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(holding: &Holding, gone: CancellationToken) -> Result<Torrent, ShelfError> {
    let metadata = std::fs::read(&holding.info)?;
    let found = info_hash_of(&metadata);
    if found != holding.info_hash {
        return Err(ShelfError::OtherInfo(found));
    }
    let info = Info::decode(&metadata)?;
    let file = File::open(&holding.media)?;
    let found = file.metadata()?.len();
    if found != info.length() {
        let expected = info.length();
        return Err(ShelfError::Length { found, expected });
    }
    Ok(Torrent {
        info_hash: holding.info_hash,
        layout: Layout {
            length: info.length(),
            piece_length: info.piece_length(),
            pieces: u32::try_from(info.pieces().len()).unwrap_or(u32::MAX),
            metadata: Bytes::from(metadata),
        },
        file: Arc::new(file),
        gone,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::super::testing::Content;
    use super::*;

    #[tokio::test]
    async fn those_who_serve_one_torrent_share_its_file_and_nobody_keeps_it_open() {
        let content = Content::new(100_000);
        let shelf = Shelf::default();
        assert!(shelf.put(content.holding()));
        assert!(!shelf.put(content.holding()), "it is there already");
        let (one, other) = tokio::join!(shelf.open(content.info_hash()), shelf.open(content.info_hash()));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!((one.layout.length, one.layout.pieces), (100_000, 7));
        drop((one, other));
        let entries = shelf.read();
        assert_eq!(entries[&content.info_hash()].opened.strong_count(), 0);
    }

    #[tokio::test]
    async fn what_leaves_the_shelf_is_served_no_more() {
        let content = Content::new(10);
        let shelf = Shelf::default();
        shelf.put(content.holding());
        let served = shelf.open(content.info_hash()).await.unwrap();
        assert!(shelf.remove(&content.info_hash()));
        assert!(served.gone.is_cancelled() && shelf.is_empty());
        assert!(!shelf.remove(&content.info_hash()));
        let refused = shelf.open(content.info_hash()).await;
        assert!(matches!(refused, Err(ShelfError::Unknown(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn damaged_files_are_not_served() {
        let content = Content::new(50_000);
        let shelf = Shelf::default();
        shelf.put(content.holding());
        let media = std::fs::read(content.holding().media).unwrap();
        std::fs::write(content.holding().media, &media[..49_999]).unwrap();
        let refused = shelf.open(content.info_hash()).await;
        assert!(
            matches!(
                refused,
                Err(ShelfError::Length {
                    found: 49_999,
                    expected: 50_000
                })
            ),
            "{refused:?}"
        );
        std::fs::write(content.holding().info, b"de").unwrap();
        let refused = shelf.open(content.info_hash()).await;
        assert!(matches!(refused, Err(ShelfError::OtherInfo(_))), "{refused:?}");
        std::fs::remove_file(content.holding().info).unwrap();
        let refused = shelf.open(content.info_hash()).await;
        assert!(matches!(refused, Err(ShelfError::Disk(_))), "{refused:?}");
    }
}
