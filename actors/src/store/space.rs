//! Room on the disk: what the store does when there is none.
//!
//! - The **reserve** is a file that holds room for bad days. When the disk is full it is given back a quarter at a time, and only to
//!   small transactions: logins, changes, and the removals that make room again. When there is plenty of room, it is made anew.
//! - **sled never meets a full disk**: it writes some time after it was told to, and waits for ever where it is refused. So what it
//!   will need is allocated behind the end of its file before a group is taken, and a group for which that fails is refused.
//!
//! The journal copes with a refusal by itself, since others write to the same disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rand::RngCore;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use tracing::{info, warn};

use super::folder::{private_file, tighten};
use crate::disk;

/// What sled may need for a group beyond twice the group's size, and to open, in bytes: two of its segments.
const INDEX_ROOM: u64 = 1024 * 1024;

/// What must be free for a small group beside what the index has, in bytes.
const JOURNAL_ROOM: u64 = 2 * SMALL as u64;

/// The largest transaction, in bytes, that may use the reserve.
pub(super) const SMALL: usize = 128 * 1024;

/// What must be free beyond the reserve's own size before it is made again, so that it is not made and given back in turns.
const PLENTY: u64 = 2 * disk::MEDIA_HEADROOM / 3;

const STEPS: u64 = 4;
const FILE: &str = "reserve";

/// The room of one data folder.
#[derive(Debug)]
pub(super) struct Space {
    root: PathBuf,
    path: PathBuf,
    /// The index's file, once it is open.
    index: Option<File>,
    /// What the reserve should hold, in bytes.
    wanted: u64,
    /// What it holds.
    held: u64,
}

impl Space {
    /// Looks at the reserve and makes it if there is room. A disk that refuses leaves the pod without a reserve, not the people
    /// without a pod.
    pub(super) fn open(root: &Path, wanted: u64) -> Self {
        let path = root.join(FILE);
        // Blocks, not length: a file can be long and hold nothing.
        let held = fs::metadata(&path).map_or(0, |found| found.len().min(found.blocks() * 512));
        let mut space = Self {
            root: root.to_owned(),
            path,
            index: None,
            wanted,
            held,
        };
        space.refill();
        if space.held > 0
            && let Err(error) = tighten(&space.path)
        {
            warn!(%error, "the reserve is not private; it holds nothing but noise");
        }
        space
    }

    /// Bytes the reserve holds.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// From now on the index's file is kept ahead of what is written to it.
    pub(super) fn watch_index(&mut self, path: &Path) {
        self.index = File::options().write(true).open(path).ok();
    }

    /// Whether there is room for a group of so many bytes; makes the reserve again when there is plenty.
    pub(super) fn has_room(&mut self, bytes: usize) -> bool {
        self.refill();
        let need = INDEX_ROOM + 2 * bytes as u64;
        match self.allocate_index(need) {
            // Rows so large that sled keeps them in files of their own need room beside its file.
            Ok(()) if bytes <= SMALL => self.available() >= JOURNAL_ROOM,
            Err(Errno::NOSPC | Errno::DQUOT) => false,
            // A file system that cannot allocate ahead is only looked at.
            _ => self.available() >= need,
        }
    }

    /// Allocates so many bytes behind the end of the index's file; nothing happens if they are there.
    fn allocate_index(&self, bytes: u64) -> Result<(), Errno> {
        let Some(file) = &self.index else {
            return Err(Errno::OPNOTSUPP);
        };
        let length = file.metadata().map_or(0, |found| found.len());
        let end = (length + bytes).next_multiple_of(INDEX_ROOM);
        fallocate(file, FallocateFlags::KEEP_SIZE, length, end - length)
    }

    /// Gives a part of the reserve back to the disk; `false` if there is nothing left to give.
    pub(super) fn release(&mut self) -> bool {
        if self.held == 0 {
            return false;
        }
        let left = self.held.saturating_sub((self.wanted / STEPS).max(1));
        let shrunk = if left == 0 {
            fs::remove_file(&self.path)
        } else {
            File::options()
                .write(true)
                .open(&self.path)
                .and_then(|file| file.set_len(left))
        };
        match shrunk {
            Ok(()) => {
                warn!(left, "the disk is full: a part of the reserve is given back");
                self.held = left;
                true
            }
            Err(error) => {
                warn!(%error, "the disk is full, and the reserve cannot be given back");
                self.held = 0;
                false
            }
        }
    }

    /// Gives back what is needed to open the index, which may want to write.
    pub(super) fn make_room(&mut self) {
        while self.available() < INDEX_ROOM && self.release() {}
    }

    fn refill(&mut self) {
        if self.held >= self.wanted || self.available() < self.wanted + PLENTY {
            return;
        }
        match self.fill() {
            Ok(()) => {
                info!(bytes = self.wanted, "reserve made: there is room on the disk");
                self.held = self.wanted;
            }
            Err(error) => {
                warn!(%error, "the reserve for a full disk cannot be made");
                let _ = fs::remove_file(&self.path);
                self.held = 0;
            }
        }
    }

    fn fill(&self) -> io::Result<()> {
        let mut file = private_file()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&self.path)?;
        // Noise, since a disk that compresses would keep nothing for zeros.
        let mut noise = vec![0; 64 * 1024];
        let mut left = self.wanted;
        while left > 0 {
            rand::rng().fill_bytes(&mut noise);
            let part = usize::try_from(left).map_or(noise.len(), |left| left.min(noise.len()));
            file.write_all(&noise[..part])?;
            left -= part as u64;
        }
        file.sync_data()
    }

    /// A system that does not say is believed to have room.
    fn available(&self) -> u64 {
        disk::available(&self.root).unwrap_or(u64::MAX)
    }
}
