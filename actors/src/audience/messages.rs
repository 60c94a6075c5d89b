//! What may be said to the audience's room.

use std::net::IpAddr;
use std::sync::Arc;

use actix::Message;
use seedpod_protocol::ids::VideoId;

use crate::store::StoreError;

/// Somebody watched a video. Counted once an hour for each address; written before it is answered.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), AudienceError>")]
pub struct CountView {
    /// Which.
    pub video: VideoId,
    /// From where. Never stored.
    pub from: IpAddr,
}

/// What somebody thinks of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rating {
    /// They like it.
    Like,
    /// They do not.
    Dislike,
}

/// A user says what they think of a video; the last word counts. Written before it is answered.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), AudienceError>")]
pub struct Rate {
    /// Which.
    pub video: VideoId,
    /// Who.
    pub username: String,
    /// What they think; nothing takes it back.
    pub rating: Option<Rating>,
}

/// Asks what a user said of a video.
#[derive(Debug, Message)]
#[rtype(result = "Option<Rating>")]
pub struct GetRating {
    /// Which.
    pub video: VideoId,
    /// Who.
    pub username: String,
}

/// Why a view or a rating was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AudienceError {
    /// Nothing live has this id.
    #[error("there is no video `{0}`")]
    Unknown(VideoId),
    /// It did not reach the disk.
    #[error("{0}")]
    Store(Arc<StoreError>),
}

impl AudienceError {
    /// Whether there was no room on the disk; the same may be tried again later.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Store(error) if matches!(**error, StoreError::Full))
    }
}

/// The catalog has told everything it holds; from now on there is something to say.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct CatalogReplayed;
