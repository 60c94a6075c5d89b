//! Which torrents are this pod's own: those of its live videos, unlisted ones among them. Pure.

use std::collections::HashMap;

use seedpod_protocol::envelope::{Kind, State};
use seedpod_protocol::ids::{InfoHash, PodId, VideoId};
use seedpod_protocol::records::Record;

use crate::catalog::messages::Change;

/// One file of a video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnFile {
    pub(super) info_hash: InfoHash,
    /// What it is called in the library.
    pub(super) name: String,
}

/// The files of this pod's videos.
#[derive(Debug)]
pub(super) struct OwnVideos {
    pod: PodId,
    videos: HashMap<VideoId, Vec<OwnFile>>,
}

/// What a change of the catalog does to them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct OwnChange {
    pub(super) begin: Vec<OwnFile>,
    pub(super) end: Vec<InfoHash>,
}

impl OwnVideos {
    pub(super) fn new(pod: PodId) -> Self {
        Self {
            pod,
            videos: HashMap::new(),
        }
    }

    /// Follows one change. What a video keeps is neither begun nor ended.
    pub(super) fn follow(&mut self, change: &Change) -> OwnChange {
        let Change::Head(held) = change else {
            return OwnChange::default();
        };
        let header = held.record.header();
        let (Kind::VIDEO, Ok(id)) = (header.kind, VideoId::try_from(header.object)) else {
            return OwnChange::default();
        };
        if header.author != self.pod {
            return OwnChange::default();
        }
        let now: Vec<OwnFile> = match held.record.payload() {
            Record::Video(video) if header.state == State::Live => video
                .files
                .iter()
                .map(|file| OwnFile {
                    info_hash: file.info_hash,
                    name: file.file_name(&id),
                })
                .collect(),
            _ => Vec::new(),
        };
        let before = self.videos.remove(&id).unwrap_or_default();
        let change = OwnChange {
            begin: now
                .iter()
                .filter(|file| !before.contains(file))
                .cloned()
                .collect(),
            end: before
                .iter()
                .map(|file| file.info_hash)
                .filter(|info_hash| now.iter().all(|file| file.info_hash != *info_hash))
                .collect(),
        };
        if !now.is_empty() {
            self.videos.insert(id, now);
        }
        change
    }
}
