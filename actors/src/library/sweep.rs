//! What happens at start: rows are read, and files that nothing names are deleted.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use seedpod_protocol::ids::VideoId;
use tracing::{info, warn};

use super::folder::{MediaFolder, MediaName, delete};
use super::records::LocalVideo;
use crate::store::tables::LOCAL_VIDEOS;
use crate::store::{Store, StoreError};

/// Why the library did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The rows could not be read.
    #[error("cannot read the library's rows: {0}")]
    Store(#[from] StoreError),
    /// The folder could not be read.
    #[error("cannot read the media folder: {0}")]
    Io(#[from] io::Error),
}

/// Reads the rows of this pod's videos, deletes media files without a row and reports rows without a file. Blocks.
///
/// Without a single row nothing is deleted: whoever lost the rows may still bring them back, and lost files come from nowhere. They
/// are moved to `media/set-aside/`, where no later start looks.
pub(super) fn open(store: &Store, folder: &MediaFolder) -> Result<HashMap<VideoId, LocalVideo>, OpenError> {
    let mut videos = HashMap::new();
    let mut unreadable = HashSet::new();
    for row in store.scan_prefix(LOCAL_VIDEOS, &[]) {
        let (key, value) = row?;
        let Ok(id) = VideoId::try_from(key.as_slice()) else {
            warn!(bytes = key.len(), "a row of the library has no video's id");
            continue;
        };
        match LocalVideo::decode(&value) {
            Ok(video) => {
                videos.insert(id, video);
            }
            Err(error) => {
                warn!(video = %id, %error, "a video of this pod is left alone, its row cannot be read");
                unreadable.insert(id);
            }
        }
    }
    let named: HashSet<MediaName> = videos
        .iter()
        .flat_map(|(id, video)| video.file_names(*id))
        .collect();
    let has_rows = !store.is_empty(LOCAL_VIDEOS);
    let mut set_aside = 0_u64;
    for entry in fs::read_dir(folder.videos())? {
        let entry = entry?;
        let name = entry.file_name();
        match name.to_str().and_then(|name| name.parse::<MediaName>().ok()) {
            Some(name) if named.contains(&name) || unreadable.contains(&name.video) => {}
            Some(name) if !has_rows => {
                folder.set_aside(&name)?;
                set_aside += 1;
            }
            Some(name) => {
                info!(%name, "a media file of an unfinished upload or removal is deleted");
                delete(&entry.path())?;
            }
            None => {
                warn!(name = %name.display(), "a file in the media folder is none of ours, it is left alone");
            }
        }
    }
    if set_aside > 0 {
        let into = folder.aside();
        warn!(files = set_aside, folder = %into.display(), "media files were there and no video of this pod is known: they were set aside");
    }
    for name in &named {
        if !folder.video(name).try_exists()? {
            warn!(%name, "the media file of a published video is missing");
        }
    }
    Ok(videos)
}

/// Deletes pictures and info dictionaries that were there before a moment and that nothing names; returns how many. Blocks.
pub(super) fn sweep_cache(
    folder: &MediaFolder,
    wanted: &HashSet<PathBuf>,
    before: SystemTime,
) -> Result<usize, io::Error> {
    let mut deleted = 0;
    for entry in fs::read_dir(folder.pictures())?.chain(fs::read_dir(folder.infos())?) {
        let entry = entry?;
        let path = entry.path();
        let of_an_earlier_run = || {
            entry
                .metadata()
                .and_then(|file| file.modified())
                .is_ok_and(|at| at < before)
        };
        if !wanted.contains(&path) && of_an_earlier_run() {
            delete(&path)?;
            deleted += 1;
        }
    }
    Ok(deleted)
}
