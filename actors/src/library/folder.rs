//! Where media lie on disk, and how a file gets its name.
//!
//! ```text
//! media/videos/<uuid>-<resolution>.<ext>    this pod's own files, as they were uploaded
//! media/mirrors/<uuid>-<resolution>.<ext>   copies of friends' files, whole and checked; the room `mirrors` knows which
//! media/mirrors/<the same>.part             those on their way: good pieces from the first on, and nothing else
//! media/set-aside/<the same>                files that were there when not one video was known; nobody reads or deletes them
//! media/pictures/<uuid>-thumbnail-<hash>.jpg  pictures of own and friends' videos, named by the start of their hash:
//! media/pictures/<uuid>-preview-<hash>.jpg    a newer picture never lies under an older one's name
//! media/infos/<infohash>.info               info dictionaries of own and friends' torrents, as they were hashed
//! tmp/seedpod-<random>                      files that are not whole yet; deleted at start
//! tmp/upload-<id>[-thumbnail|-preview]      uploads that may be resumed; `resumable.rs` knows which
//! ```
//!
//! Invariants: folders are 0700 and files 0600; a file has its name only when all of it is on disk (temporary file,
//! fsync, rename, fsync of the folder); an upload that may be resumed keeps its old name beside the new one until its
//! publication is on disk; a name is made from checked values, never from what somebody sent.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::HEXLOWER;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use seedpod_protocol::ids::{ContentHash, InfoHash, VideoId};

use super::media::Container;
use crate::disk;

/// What our own temporary files begin with: nothing else in `tmp/` is ever deleted.
const TEMPORARY: &str = "seedpod-";

/// The media part of a data folder; clones are cheap.
#[derive(Debug, Clone)]
pub struct MediaFolder {
    root: Arc<Path>,
    /// Whoever promises room holds this, so that no two promise the same.
    promising: Arc<Mutex<()>>,
}

/// The two pictures of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PictureKind {
    /// The small one of lists.
    Thumbnail,
    /// The large one that is shown before the video plays.
    Preview,
}

impl PictureKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Thumbnail, Self::Preview];

    /// Width and height, in pixels.
    pub const fn size(self) -> (u16, u16) {
        match self {
            Self::Thumbnail => (280, 157),
            Self::Preview => (850, 480),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Thumbnail => "thumbnail",
            Self::Preview => "preview",
        }
    }
}

/// The name of a media file: `<uuid>-<resolution>.<ext>`, in exactly one spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MediaName {
    /// Whose file it is.
    pub video: VideoId,
    /// The resolution class, in lines.
    pub resolution: u16,
    /// What kind of file it is; shown as its extension.
    pub container: Container,
}

impl fmt::Display for MediaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}-{}.{}",
            self.video,
            self.resolution,
            self.container.extension()
        )
    }
}

/// A text is not the name of a media file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a media file")]
pub struct MediaNameError(String);

impl FromStr for MediaName {
    type Err = MediaNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || MediaNameError(text.chars().take(80).filter(|c| !c.is_control()).collect());
        let parse = || {
            let (video, rest) = text.split_at_checked(36)?;
            let (resolution, extension) = rest.strip_prefix('-')?.split_once('.')?;
            let name = Self {
                video: video.parse().ok()?,
                resolution: resolution.parse().ok()?,
                container: Container::from_extension(extension)?,
            };
            // Upper case, leading zeros and signs would be second names of one file.
            (name.to_string() == text).then_some(name)
        };
        parse().ok_or_else(refused)
    }
}

impl MediaFolder {
    /// Opens the media part of a data folder, creates what is missing and deletes unfinished files of an earlier run.
    /// Blocks.
    pub fn open(data: &Path) -> io::Result<Self> {
        let folder = Self {
            root: data.into(),
            promising: Arc::default(),
        };
        for path in [
            data.to_owned(),
            folder.media(),
            folder.videos(),
            folder.pictures(),
            folder.infos(),
            folder.mirrors(),
            folder.tmp(),
        ] {
            DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
            fs::set_permissions(&path, Permissions::from_mode(0o700))?;
        }
        for entry in fs::read_dir(folder.tmp())? {
            let entry = entry?;
            let ours = entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(TEMPORARY));
            if ours && entry.file_type()?.is_file() {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(folder)
    }

    /// The path of a media file, whether it exists or not; none where the text is not a media file's name.
    pub fn media_file(&self, name: &str) -> Option<PathBuf> {
        name.parse().ok().map(|name| self.video(&name))
    }

    /// The path of a media file.
    pub fn video(&self, name: &MediaName) -> PathBuf {
        self.videos().join(name.to_string())
    }

    /// The path of a copy of a friend's media file, whether it exists or not: under this name it is whole.
    pub fn mirror(&self, name: &MediaName) -> PathBuf {
        self.mirrors().join(name.to_string())
    }

    /// The same by the text of its name; none where that is not a media file's name.
    pub fn mirror_file(&self, name: &str) -> Option<PathBuf> {
        name.parse().ok().map(|name| self.mirror(&name))
    }

    /// Where copies of friends' media files lie.
    pub(crate) fn mirrors(&self) -> PathBuf {
        self.media().join("mirrors")
    }

    /// The path of a picture of this content.
    pub fn picture(&self, video: &VideoId, which: PictureKind, hash: &ContentHash) -> PathBuf {
        let hash = HEXLOWER.encode(&hash.as_bytes()[..8]);
        self.pictures()
            .join(format!("{video}-{}-{hash}.jpg", which.name()))
    }

    /// The path of a torrent's info dictionary.
    pub fn info(&self, info_hash: &InfoHash) -> PathBuf {
        self.infos()
            .join(format!("{}.info", HEXLOWER.encode(info_hash.as_bytes())))
    }

    /// Where the pod's own media files lie.
    pub(super) fn videos(&self) -> PathBuf {
        self.media().join("videos")
    }

    /// Where media files lie that nobody knows and nobody may delete.
    pub(super) fn aside(&self) -> PathBuf {
        self.media().join("set-aside")
    }

    /// Moves a media file to where it counts no more. Blocks.
    pub(super) fn set_aside(&self, name: &MediaName) -> io::Result<()> {
        let aside = self.aside();
        DirBuilder::new().recursive(true).mode(0o700).create(&aside)?;
        fs::rename(self.video(name), aside.join(name.to_string()))?;
        File::open(aside)?.sync_all()
    }

    fn media(&self) -> PathBuf {
        self.root.join("media")
    }

    pub(super) fn pictures(&self) -> PathBuf {
        self.media().join("pictures")
    }

    pub(super) fn infos(&self) -> PathBuf {
        self.media().join("infos")
    }

    pub(super) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Creates an empty temporary file. Blocks.
    pub(super) fn create_temporary(&self) -> io::Result<(File, TemporaryFile)> {
        let name = format!("{TEMPORARY}{}", HEXLOWER.encode(&rand::random::<[u8; 16]>()));
        self.create_at(self.tmp().join(name))
    }

    /// Creates an empty file that is deleted again unless it is renamed or kept. Blocks.
    pub(super) fn create_at(&self, path: PathBuf) -> io::Result<(File, TemporaryFile)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok((file, TemporaryFile::at(path)))
    }

    /// Makes sure of room for `bytes` more bytes of a file from an offset on: nobody else gets it, and the file's length
    /// stays what it is. On a file system that promises nothing, the room is there now and may be gone later. Blocks.
    pub(crate) fn allocate(&self, file: &File, from: u64, bytes: u64) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        let _promising = self.promising.lock().unwrap_or_else(PoisonError::into_inner);
        disk::check_media_room(&self.root, bytes)?;
        match fallocate(file, FallocateFlags::KEEP_SIZE, from, bytes) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            allocated => Ok(allocated?),
        }
    }

    /// Refuses so many more bytes where the rest of the pod would be left without room.
    pub(super) fn check_room(&self, bytes: u64) -> io::Result<()> {
        disk::check_media_room(&self.root, bytes)
    }

    /// Writes a whole file under its final name, replacing what was there. Blocks.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.check_room(bytes.len() as u64)?;
        let (mut file, temporary) = self.create_temporary()?;
        file.write_all(bytes)?;
        file.sync_all()?;
        temporary.name(path)
    }
}

/// Deletes a file; one that is not there is as good as deleted. Blocks.
pub(crate) fn delete(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A file without a name of its own yet; dropping it deletes it, unless it is kept.
#[derive(Debug)]
pub(super) struct TemporaryFile {
    path: Option<PathBuf>,
    kept: bool,
}

impl TemporaryFile {
    pub(super) fn at(path: PathBuf) -> Self {
        Self {
            path: Some(path),
            kept: false,
        }
    }

    /// Whether the file outlives this value.
    pub(super) fn keep(&mut self, kept: bool) {
        self.kept = kept;
    }

    pub(super) fn path(&self) -> &Path {
        self.path
            .as_deref()
            .expect("only `name` takes the path, and it consumes the file")
    }

    /// Gives the file, whose content must be on disk already, its final name durably. One that is kept has both names
    /// then, where the file system can do that. Blocks.
    pub(super) fn name(mut self, path: &Path) -> io::Result<()> {
        if !self.kept || !link(self.path(), path)? {
            fs::rename(self.path(), path)?;
        }
        self.path = None;
        let folder = path
            .parent()
            .ok_or_else(|| io::Error::other("a media file lies in a folder"))?;
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        if synced.is_err() {
            // Nobody was told of the name, so nobody may find it.
            delete(path).ok();
        }
        synced
    }
}

/// Gives a file a second name; false on a file system that has one name for each.
fn link(file: &Path, path: &Path) -> io::Result<bool> {
    match fs::hard_link(file, path) {
        Ok(()) => Ok(true),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if let Some(path) = self.path.as_ref().filter(|_| !self.kept)
            && let Err(error) = delete(path)
        {
            tracing::warn!(path = %path.display(), %error, "a temporary file stays until the next start");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

    use super::*;

    const UUID: &str = "7a1c4f5e-94d2-8c3a-9b1d-2e3f4a5b6c7d";

    #[test]
    fn only_one_spelling_names_a_media_file() {
        let data = tempfile::tempdir().unwrap();
        let folder = MediaFolder::open(data.path()).unwrap();
        for extension in ["mp4", "webm", "ogv"] {
            let name = format!("{UUID}-720.{extension}");
            assert_eq!(
                folder.media_file(&name).unwrap(),
                data.path().join("media/videos").join(&name)
            );
        }
        for refused in [
            "",
            "..",
            "../../identity.key",
            &format!("{UUID}-720.exe"),
            &format!("{UUID}-720.mp4/"),
            &format!("../{UUID}-720.mp4"),
            &format!("{UUID}-0720.mp4"),
            &format!("{UUID}-+720.mp4"),
            &format!("{UUID}-99999.mp4"),
            &format!("{UUID}-720.mp4\0"),
            &format!("{UUID}-720.MP4"),
            &format!("{}-720.mp4", UUID.to_uppercase()),
            &format!("{}-720.mp4", UUID.replace('-', "")),
            &"é".repeat(40),
        ] {
            assert_eq!(folder.media_file(refused), None, "{refused}");
        }
    }

    #[test]
    fn opening_makes_private_folders_and_deletes_only_our_own_leftovers() {
        let data = tempfile::tempdir().unwrap();
        let folder = MediaFolder::open(data.path()).unwrap();
        let left = folder.tmp().join("seedpod-left");
        let others = folder.tmp().join("letter.txt");
        fs::write(&left, b"half").unwrap();
        fs::write(&others, b"whole").unwrap();
        MediaFolder::open(data.path()).unwrap();
        assert!(!left.exists() && others.exists());
        for path in [
            "",
            "media",
            "media/videos",
            "media/pictures",
            "media/infos",
            "tmp",
        ] {
            assert_eq!(
                fs::metadata(data.path().join(path)).unwrap().permissions().mode() & 0o777,
                0o700,
                "{path}"
            );
        }
    }

    #[test]
    fn a_file_that_is_kept_has_its_old_name_beside_the_new_one() {
        let data = tempfile::tempdir().unwrap();
        let folder = MediaFolder::open(data.path()).unwrap();
        let name = folder.media_file(&format!("{UUID}-720.mp4")).unwrap();
        let (mut file, mut temporary) = folder.create_temporary().unwrap();
        file.write_all(b"kept").unwrap();
        temporary.keep(true);
        let path = temporary.path().to_owned();
        temporary.name(&name).unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"kept");
        assert_eq!(fs::read(&path).unwrap(), b"kept");
    }

    #[test]
    fn a_temporary_file_leaves_under_its_name_or_not_at_all() {
        let data = tempfile::tempdir().unwrap();
        let folder = MediaFolder::open(data.path()).unwrap();
        let (_, temporary) = folder.create_temporary().unwrap();
        let path = temporary.path().to_owned();
        drop(temporary);
        assert!(!path.exists());
        let video: VideoId = UUID.parse().unwrap();
        let picture = folder.picture(&video, PictureKind::Preview, &ContentHash::ZERO);
        folder.write(&picture, b"one").unwrap();
        folder.write(&picture, b"two").unwrap();
        assert_eq!(fs::read(&picture).unwrap(), b"two");
        assert_eq!(
            fs::metadata(&picture).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(folder.tmp()).unwrap().count(), 0);
    }
}
