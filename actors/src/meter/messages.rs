//! What may be said to the meter.

use std::net::IpAddr;

use actix::Message;
use seedpod_protocol::ids::VideoId;

use crate::seeder::messages::Carried;

/// What viewers say of themselves, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// Got from other viewers.
    pub from_viewers: u64,
    /// Got from pods, by whatever way.
    pub from_pods: u64,
    /// Given to other viewers.
    pub given: u64,
}

impl Told {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            from_viewers: self.from_viewers.saturating_add(other.from_viewers),
            from_pods: self.from_pods.saturating_add(other.from_pods),
            given: self.given.saturating_add(other.given),
        }
    }
}

/// Who carried how much, of one video or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// What this pod sent: measured.
    pub sent: Carried,
    /// What viewers at this pod told.
    pub told: Told,
}

impl Figures {
    /// Bytes that pods carried. What this pod sent leaves out other pods, and what viewers tell leaves out whoever tells nothing: the larger
    /// of both is closer to the truth, and telling less than was measured makes nobody's share larger.
    #[must_use]
    pub fn by_pods(&self) -> u64 {
        self.sent.in_all().max(self.told.from_pods)
    }

    /// Bytes that viewers carried for each other.
    #[must_use]
    pub fn by_viewers(&self) -> u64 {
        self.told.from_viewers
    }

    /// Both together.
    #[must_use]
    pub fn in_all(&self) -> u64 {
        self.by_pods().saturating_add(self.by_viewers())
    }

    /// Sums of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            sent: self.sent.plus(other.sent),
            told: self.told.plus(other.told),
        }
    }
}

/// A viewer's page tells what it got and gave since it last told; answered with the figures of the video.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<Figures, MeterError>")]
pub struct Tell {
    /// Of which video.
    pub video: VideoId,
    /// From where. Never stored.
    pub from: IpAddr,
    /// Since the last time.
    pub told: Told,
}

/// Asks for the figures of some videos, in their order; zeros of those that nothing is known of.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Vec<Figures>")]
pub struct GetFigures(
    /// Which.
    pub Vec<VideoId>,
);

/// Asks for the figures of all videos there ever were, together.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Figures")]
pub struct GetAllFigures;

/// Why a page was not listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MeterError {
    /// Nothing live has this id.
    #[error("there is no video `{0}`")]
    Unknown(VideoId),
    /// This address told too often within the hour.
    #[error("too much was told from this address, try again later")]
    TooOften,
    /// As many addresses as are remembered told something within the hour.
    #[error("too many are telling something, try again later")]
    Full,
}
