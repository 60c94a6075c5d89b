//! What can go wrong with the store.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why the store did not open, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder of the store could not be made, read or written at start.
    #[error("cannot use `{}`: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process (or another `Store` of this one) has the folder open.
    #[error("data folder `{}` is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The folder was written by a newer release. Nothing in it was touched.
    #[error(
        "the store has format {found}, this release knows up to {known}; start the release that wrote it"
    )]
    Newer {
        /// The format found.
        found: u32,
        /// The newest format this release reads.
        known: u32,
    },
    /// The journal is not what was written: bytes that were once durable are missing or changed. Nothing was changed by
    /// looking; a backup, or a decision by the operator, is needed.
    #[error("journal is damaged: `{}` at offset {offset}: {what}", file.display())]
    Damaged {
        /// The segment file.
        file: PathBuf,
        /// Where in the file, in bytes.
        offset: u64,
        /// What was found there.
        what: String,
    },
    /// The index answered with an error. The journal is whole, and the next start rebuilds the index from it.
    #[error("index failed: {0}")]
    Index(String),
    /// A row is not what the room that owns its table wrote.
    #[error("a stored row cannot be read: {0}")]
    Row(String),
    /// A key, value or transaction is above its limit; nothing of the transaction was written.
    #[error("{what} of {bytes} bytes is above the limit of {limit}")]
    TooLarge {
        /// `key`, `value` or `transaction`.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The disk refused a write or a sync, now or earlier, and the store takes no more transactions until the pod starts
    /// again. Whether the transaction that met the failure itself survives is open until then; later ones were not begun.
    #[error("the store takes no more writes: {0}")]
    Failed(Arc<str>),
    /// There is no room on the disk. Nothing of the transaction was written or ever will be; later ones are taken as soon as
    /// there is room again.
    #[error("there is no room left on the disk")]
    Full,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// For `map_err`: an I/O error with the path it happened at.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
