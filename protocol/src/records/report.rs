//! Reports: what a user tells the people who answer for a video, and nobody else.

use serde::{Deserialize, Serialize};

use super::{
    RecordError,
    rules::{self, fault},
};
use crate::{
    ids::{CommentId, ObjectId, PodId, Timestamp, VideoId},
    limits,
};

/// A report of a video, or of a comment under it, to the video's origin. No record: it goes there by a directed request alone, and no
/// catalog keeps it, so that nobody who was told can publish what was meant for them. Its object id is what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The pod that is told, which published the video.
    pub origin: PodId,
    /// The video.
    pub video: VideoId,
    /// The comment under it that is meant; absent if it is the video itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<CommentId>,
    /// Handle of the user who reports, at the author's pod.
    pub reporter: String,
    /// Why, in their words: 2 to 3,000 characters, several lines.
    pub reason: String,
    /// Why, as PeerTube counts reasons: up to 8 numbers from 1 to 99, ascending.
    pub reasons: Vec<u8>,
    /// When they said so.
    pub created_at: Timestamp,
}

impl Report {
    /// What it is about: a comment's id or a video's.
    pub fn about(&self) -> ObjectId {
        self.comment.map_or_else(|| self.video.into(), ObjectId::from)
    }

    /// Checks the limits.
    ///
    /// # Errors
    /// The first value outside them.
    pub fn validate(&self) -> Result<(), RecordError> {
        rules::handle("reporter", &self.reporter)?;
        rules::lines("reason", &self.reason, limits::REASON_MIN, limits::REASON_MAX)?;
        rules::at_most("reasons", self.reasons.len(), limits::REASONS_MAX)?;
        if !self.reasons.is_sorted_by(|a, b| a < b)
            || self.reasons.iter().any(|reason| !(1..=99).contains(reason))
        {
            return fault("reasons", "not ascending numbers from 1 to 99");
        }
        Ok(())
    }
}
