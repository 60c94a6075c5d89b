//! How much room a disk has, for everyone who writes to it, and what can be read without waiting for it.
//!
//! The room of a disk is shared by media, pictures and the store. So that a full disk never takes the pod's memory away, the
//! large things stop first: media leave [`MEDIA_HEADROOM`] free, from which the store goes on for a long time, and when
//! others have eaten that too, the store has a reserve of its own (`store/space.rs`).

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::path::Path;

use rustix::io::{ReadWriteFlags, preadv2};

/// What media files leave free, in bytes. Sessions, changes and removals of months fit.
pub const MEDIA_HEADROOM: u64 = 8 * 1024 * 1024;

/// Bytes that may still be written below `folder`; nothing if the system does not say. Takes microseconds.
pub fn available(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Whether an error says that there is no room left, be it on the disk or in a quota.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Refuses media of so many bytes where they would leave less than [`MEDIA_HEADROOM`], with the error of a full disk.
pub fn check_media_room(folder: &Path, bytes: u64) -> io::Result<()> {
    match available(folder) {
        Some(room) if room < bytes.saturating_add(MEDIA_HEADROOM) => Err(io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    }
}

/// Reads what can be had from a file without waiting for a disk, and says how many bytes that were; none where the system cannot tell.
/// What is missing is to be read on a blocking thread. For files that are in the page cache, as those are that many people watch, this
/// saves the way to another thread and back.
pub fn read_cached(file: &File, bytes: &mut [u8], offset: u64) -> usize {
    preadv2(
        file,
        &mut [IoSliceMut::new(bytes)],
        offset,
        ReadWriteFlags::NOWAIT,
    )
    .unwrap_or(0)
}
