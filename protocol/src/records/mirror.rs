//! What a pod keeps of a friend's videos.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{
    RecordError,
    rules::{self, fault},
};
use crate::{
    ids::{InfoHash, PodId, VideoId},
    limits,
};

/// "I keep a copy of that video and serve it, as its origin does": while the record is live. Its object id is the video's; where the
/// author lives is in its profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// The video.
    pub video: VideoId,
    /// The pod that published it, never the author.
    pub origin: PodId,
    /// The torrents of the files that are kept whole: 1 to 16, no two alike.
    pub info_hashes: Vec<InfoHash>,
}

impl Mirror {
    /// Checks the limits.
    ///
    /// # Errors
    /// The first value outside them.
    pub fn validate(&self) -> Result<(), RecordError> {
        if self.info_hashes.is_empty() {
            return fault("info_hashes", "a copy has at least one file");
        }
        rules::at_most("info_hashes", self.info_hashes.len(), limits::FILES_MAX)?;
        let different: HashSet<&InfoHash> = self.info_hashes.iter().collect();
        if different.len() < self.info_hashes.len() {
            return fault("info_hashes", "one of them is named twice");
        }
        Ok(())
    }
}
