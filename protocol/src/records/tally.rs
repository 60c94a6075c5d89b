//! How often a video was watched and what people think of it: each pod's own part, and the origin's sum.

use serde::{Deserialize, Serialize};

use super::{RecordError, rules::fault};
use crate::{
    ids::{PodId, VideoId},
    limits,
};

/// Absolute numbers, never differences: whoever hears the last one knows everything, however often it comes and whatever was missed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tally {
    /// How often it was watched; below 2^53.
    pub views: u64,
    /// How many people like it now; below 2^53.
    pub likes: u64,
    /// How many people dislike it now; below 2^53.
    pub dislikes: u64,
}

impl Tally {
    /// Both together. What would leave the range stays at its end, so that one author's absurd numbers make no others invalid.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let sum = |ours: u64, theirs: u64| ours.saturating_add(theirs).min(limits::INTEGER_END - 1);
        Self {
            views: sum(self.views, other.views),
            likes: sum(self.likes, other.likes),
            dislikes: sum(self.dislikes, other.dislikes),
        }
    }

    fn validate(&self) -> Result<(), RecordError> {
        if [self.views, self.likes, self.dislikes]
            .iter()
            .any(|number| *number >= limits::INTEGER_END)
        {
            return fault("tally", "a number is not below 2^53");
        }
        Ok(())
    }
}

/// What the people of one pod did with a video of another: a pod's own part of the sum. Its object id is the video's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contribution {
    /// The video.
    pub video: VideoId,
    /// The pod that published it, never the author.
    pub origin: PodId,
    /// What happened at the author's.
    pub tally: Tally,
}

impl Contribution {
    /// Checks the limits.
    ///
    /// # Errors
    /// The first value outside them.
    pub fn validate(&self) -> Result<(), RecordError> {
        self.tally.validate()
    }
}

/// The sum over all pods, signed by the video's origin; another author's means nothing. Its object id is the video's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// The video.
    pub video: VideoId,
    /// What all pods show.
    pub tally: Tally,
}

impl Counter {
    /// Checks the limits.
    ///
    /// # Errors
    /// The first value outside them.
    pub fn validate(&self) -> Result<(), RecordError> {
        self.tally.validate()
    }
}
