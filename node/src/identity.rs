//! The identity of a pod: the 32-byte seed of its ed25519 key, in one file of the data folder.
//!
//! Losing the file loses the pod's name for ever; two pods with one file are twins. So it is written once, durably, for its
//! owner's eyes only, and never changed. The first key for signing and the one for the transport are both derived from the seed; keys
//! that follow are the business of [`crate::keys`].

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rand::TryRngCore;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

/// The name of the file in the data folder.
pub const IDENTITY_FILE: &str = "identity.key";

/// Length of the seed and of the file.
pub const SEED_LENGTH: usize = 32;

/// The seed; erased from memory when dropped.
pub type Seed = Zeroizing<[u8; SEED_LENGTH]>;

/// Why there is no usable identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The disk refuses.
    #[error("cannot {action} {}: {error}", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file is not a seed.
    #[error("{} holds {found} bytes, expected {SEED_LENGTH}; it is left as it is", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: usize,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
}

/// Makes the data folder (mode 0700) with its parents if missing.
///
/// # Errors
/// When it cannot be made or is not a folder.
pub fn make_data_folder(folder: &Path) -> Result<(), IdentityError> {
    let disk = |error| IdentityError::Disk {
        action: "make the data folder",
        path: folder.to_owned(),
        error,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(disk)?;
    let mode = folder.metadata().map_err(disk)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(folder = %folder.display(), mode = format!("{:o}", mode & 0o777), "others can look into the data folder");
    }
    Ok(())
}

/// Reads the seed from the data folder, or draws one and writes it there durably (mode 0600).
///
/// # Errors
/// When the file is not a seed or the disk refuses; an existing file is never replaced.
pub fn load_or_create(folder: &Path) -> Result<Seed, IdentityError> {
    let path = folder.join(IDENTITY_FILE);
    match std::fs::read(&path) {
        Ok(bytes) => {
            let bytes = Zeroizing::new(bytes);
            let seed = <[u8; SEED_LENGTH]>::try_from(bytes.as_slice());
            seed.map(Zeroizing::new).map_err(|_| IdentityError::Length {
                path,
                found: bytes.len(),
            })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => create(folder, &path),
        Err(error) => Err(IdentityError::Disk {
            action: "read",
            path,
            error,
        }),
    }
}

/// Draws a seed.
///
/// # Errors
/// When the system gives no random bytes.
pub fn draw() -> Result<Seed, IdentityError> {
    let mut seed = Zeroizing::new([0; SEED_LENGTH]);
    OsRng
        .try_fill_bytes(seed.as_mut_slice())
        .map_err(|error| IdentityError::Random(error.to_string()))?;
    Ok(seed)
}

fn create(folder: &Path, path: &Path) -> Result<Seed, IdentityError> {
    let disk = |error| IdentityError::Disk {
        action: "write",
        path: path.to_owned(),
        error,
    };
    let seed = draw()?;

    // Under another name first: a crash in between must not leave a short file under the real one.
    let unfinished = path.with_extension("key.new");
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(seed.as_slice())?;
        file.sync_all()?;
        // A link, unlike a rename, refuses to replace a key that another process made meanwhile.
        std::fs::hard_link(&unfinished, path)?;
        std::fs::remove_file(&unfinished)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(disk)?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_seed_is_made_once_and_for_its_owner_alone() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("deep/data");
        make_data_folder(&folder).unwrap();
        let first = load_or_create(&folder).unwrap();
        assert_eq!(load_or_create(&folder).unwrap(), first);
        assert_ne!(first.as_slice(), [0; SEED_LENGTH]);
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join(IDENTITY_FILE)), 0o600);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_no_seed_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(IDENTITY_FILE);
        std::fs::write(&path, b"short").unwrap();
        assert!(matches!(
            load_or_create(folder.path()),
            Err(IdentityError::Length { found: 5, .. })
        ));
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
    }

    #[test]
    fn a_start_that_was_cut_off_does_not_block_the_next() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("identity.key.new"), b"half").unwrap();
        assert_eq!(load_or_create(folder.path()).unwrap().len(), SEED_LENGTH);
    }
}
