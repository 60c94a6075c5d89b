//! The folder: who may use it, which format it has, and how files get their names durably.
//!
//! Folders are 0700 and files 0600 whatever the umask and whatever they were before. sled makes its files by the umask: they are
//! tightened at start, and those it makes later lie in a folder that nobody else can enter.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::StoreError;

const FORMAT_FILE: &str = "format";
const FORMAT_WORDS: &str = "seedpod store ";
const LOCK_FILE: &str = "lock";

/// The paths inside a data folder that belong to the store.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) root: PathBuf,
    pub(super) journal: PathBuf,
    pub(super) index: PathBuf,
    pub(super) snapshots: PathBuf,
}

impl Folder {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            journal: root.join("journal"),
            index: root.join("index"),
            snapshots: root.join("snapshots"),
        }
    }

    /// The format of what is there, nothing if there is nothing yet. Refuses a store from the future. Touches nothing: not the lock
    /// file, not a mode, not a time stamp.
    pub(super) fn check_format(&self, known: u32) -> Result<Option<u32>, StoreError> {
        let path = self.root.join(FORMAT_FILE);
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(&path)(error)),
        };
        let found = text
            .strip_prefix(FORMAT_WORDS)
            .and_then(|number| number.trim_end().parse::<u32>().ok());
        match found {
            Some(found) if found > known => Err(StoreError::Newer { found, known }),
            Some(found) if found > 0 => Ok(Some(found)),
            _ => Err(StoreError::Damaged {
                file: path,
                offset: 0,
                what: format!("`{}` names no format", text.trim_end()),
            }),
        }
    }

    /// Makes the folders and takes the lock, which is held as long as the returned file lives.
    pub(super) fn enter(&self) -> Result<File, StoreError> {
        create_folder(&self.root)?;
        let path = self.root.join(LOCK_FILE);
        let lock = private_file()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StoreError::io(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(StoreError::InUse(self.root.clone())),
            Err(fs::TryLockError::Error(error)) => return Err(StoreError::io(&path)(error)),
        }
        tighten(&path)?;
        create_folder(&self.journal)?;
        create_folder(&self.snapshots)?;
        self.enter_index()?;
        Ok(lock)
    }

    /// Makes the index's folder.
    pub(super) fn enter_index(&self) -> Result<(), StoreError> {
        create_folder(&self.index)
    }

    /// Says which format the folder has from now on.
    pub(super) fn write_format(&self, format: u32) -> Result<(), StoreError> {
        let path = self.root.join(FORMAT_FILE);
        write_durably(&path, format!("{FORMAT_WORDS}{format}\n").as_bytes()).map_err(StoreError::io(&path))
    }

    /// Makes the note of the format private, whatever it was.
    pub(super) fn tighten_format(&self) -> Result<(), StoreError> {
        tighten(&self.root.join(FORMAT_FILE))
    }
}

/// Options for a new file that nobody else may read.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Writes a file that is there whole or not at all, also after a power cut: temporary name, sync, rename, sync of the folder.
pub(super) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_added_extension("new");
    let mut file = private_file()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&temporary)?;
    file.set_permissions(Permissions::from_mode(0o600))?; // the umask may have taken away even our own
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

/// Makes the names in a path's folder durable.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// Makes everything below `folder` private, and the folder itself.
pub(super) fn tighten_all(folder: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(folder).map_err(StoreError::io(folder))? {
        let path = entry.map_err(StoreError::io(folder))?.path();
        if path.is_dir() {
            tighten_all(&path)?;
        } else {
            tighten(&path)?;
        }
    }
    set_mode(folder, 0o700)
}

pub(super) fn tighten(file: &Path) -> Result<(), StoreError> {
    set_mode(file, 0o600)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), StoreError> {
    match fs::set_permissions(path, Permissions::from_mode(mode)) {
        // The index's own threads replace files while we look.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(StoreError::io(path)),
    }
}

pub(super) fn create_folder(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(StoreError::io(path))?;
    set_mode(path, 0o700)?;
    sync_parent(path).map_err(StoreError::io(path))
}
