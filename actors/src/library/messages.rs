//! What may be said to the library, and what it asks of others.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use actix::Message;
use bytes::Bytes;
use seedpod_protocol::envelope::{DraftError, Verified};
use seedpod_protocol::ids::{ChannelId, InfoHash, Timestamp, VideoId};
use seedpod_protocol::records::{Privacy, Record, RecordError};
use serde::{Deserialize, Serialize};

use super::folder::PictureKind;
use super::media::MediaError;
use super::picture::PictureError;
use super::upload::Received;
use crate::catalog::messages::PublishError;

/// Who publishes a video.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The user of this pod.
    pub username: String,
    /// The channel of theirs that the video appears in.
    pub channel: ChannelId,
}

/// Who wants to change a video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Editor {
    /// A user, who may change their own videos.
    User(String),
    /// Somebody who may change every video of this pod.
    Moderator,
}

/// What people say about a video; limits are those of [`seedpod_protocol::records::Video`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoDetails {
    /// Its title.
    pub name: String,
    /// Several lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Number of a category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<u16>,
    /// Number of a licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<u16>,
    /// A language tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Whether it is not for everybody's eyes.
    pub nsfw: bool,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// How to support its author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support: Option<String>,
    /// Who finds it.
    pub privacy: Privacy,
    /// Whether people may comment.
    pub comments_enabled: bool,
    /// Whether pages offer to download it.
    pub download_enabled: bool,
    /// When it first appeared elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub originally_published_at: Option<Timestamp>,
}

/// Publishes an uploaded video: probes it, makes its pictures and torrent, gives it its place, and has the catalog sign
/// it. The answer comes when all of that is on disk, and every list shows the video then.
///
/// On an error nothing is left of it; the upload is gone either way, unless it may be resumed and what went wrong was not
/// its fault.
#[derive(Debug, Message)]
#[rtype(result = "Result<Verified<Record>, LibraryError>")]
pub struct AddVideo {
    /// Whose it is.
    pub owner: Owner,
    /// What is said about it.
    pub details: VideoDetails,
    /// The file.
    pub upload: Received,
    /// What the file was called where it came from; told to nobody but its owner, and never made part of a path.
    pub file_name_hint: Option<String>,
    /// An image to use as thumbnail in place of a frame (JPEG, PNG or WebP, at most 4 MiB).
    pub thumbnail: Option<Bytes>,
    /// An image to use as preview, as for the thumbnail.
    pub preview: Option<Bytes>,
}

/// What to change about a video; what is `None` stays as it is. An inner `None` clears a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VideoPatch {
    /// Its title.
    pub name: Option<String>,
    /// Several lines.
    pub description: Option<Option<String>>,
    /// Number of a category.
    pub category: Option<Option<u16>>,
    /// Number of a licence.
    pub licence: Option<Option<u16>>,
    /// A language tag.
    pub language: Option<Option<String>>,
    /// Whether it is not for everybody's eyes.
    pub nsfw: Option<bool>,
    /// Words to find it by.
    pub tags: Option<Vec<String>>,
    /// How to support its author.
    pub support: Option<Option<String>>,
    /// Who finds it.
    pub privacy: Option<Privacy>,
    /// Whether people may comment.
    pub comments_enabled: Option<bool>,
    /// Whether pages offer to download it.
    pub download_enabled: Option<bool>,
    /// When it first appeared elsewhere.
    pub originally_published_at: Option<Option<Timestamp>>,
    /// The channel it appears in; whether it is the owner's is for the asker to check.
    pub channel: Option<ChannelId>,
}

/// Changes a video of this pod and publishes the change.
#[derive(Debug, Message)]
#[rtype(result = "Result<Verified<Record>, LibraryError>")]
pub struct UpdateVideo {
    /// Which.
    pub id: VideoId,
    /// Who asks.
    pub by: Editor,
    /// What changes.
    pub patch: VideoPatch,
    /// A new thumbnail, as for [`AddVideo`].
    pub thumbnail: Option<Bytes>,
    /// A new preview.
    pub preview: Option<Bytes>,
}

/// Removes a video of this pod for good: publishes its removal, then deletes its files.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), LibraryError>")]
pub struct RemoveVideo {
    /// Which.
    pub id: VideoId,
    /// Who asks.
    pub by: Editor,
}

/// Asks how many bytes of video a user keeps on this pod, those being added included.
#[derive(Debug, Message)]
#[rtype(result = "u64")]
pub struct UsageOf {
    /// Which user.
    pub username: String,
}

/// Asks for a picture of a video of this pod or of a friend; answers with a JPEG file, fetched first if need be.
#[derive(Debug, Message)]
#[rtype(result = "Result<PathBuf, LibraryError>")]
pub struct GetPicture {
    /// Whose picture.
    pub video: VideoId,
    /// Which of the two.
    pub which: PictureKind,
}

/// Asks for the info dictionary of a torrent of this pod or of a friend, exactly the bytes whose SHA-1 is the info
/// hash; fetched first if need be.
#[derive(Debug, Message)]
#[rtype(result = "Result<Bytes, LibraryError>")]
pub struct GetInfo {
    /// Which torrent.
    pub info_hash: InfoHash,
}

/// Says that the catalog has told everything it holds since this pod started: cached files that no record names are
/// deleted now.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct CatalogReplayed;

/// Asks for a file of another pod over HTTP; the library checks what comes against what was signed.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Bytes, FetchError>")]
pub struct FetchFile {
    /// Where: a public URL of a pod and a path on it.
    pub url: String,
    /// The most bytes to take.
    pub limit: usize,
}

/// Why a file was not fetched.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// No connection, or a broken one.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// An answer that is no file.
    #[error("answered with status {0}")]
    Status(u16),
    /// More bytes than asked for.
    #[error("longer than {0} bytes")]
    TooLarge(usize),
    /// It took too long.
    #[error("took too long")]
    Timeout,
    /// An address that this pod does not ask.
    #[error("refused to ask `{0}`")]
    Refused(String),
}

/// Why the library refused.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// No such video, picture or torrent here.
    #[error("not found")]
    Unknown,
    /// The video belongs to somebody else.
    #[error("the video belongs to somebody else")]
    NotYours,
    /// The file is no video that browsers play.
    #[error("unsupported media: {0}")]
    Unsupported(MediaError),
    /// The video is longer than this pod takes.
    #[error("the video lasts {seconds} s, at most {limit} s are taken")]
    TooLong {
        /// Its length in seconds, rounded.
        seconds: u32,
        /// What is allowed, in seconds.
        limit: u32,
    },
    /// An uploaded image cannot be used.
    #[error("{}: {error}", match which { PictureKind::Thumbnail => "thumbnail", PictureKind::Preview => "preview" })]
    Picture {
        /// Which of the two.
        which: PictureKind,
        /// Why.
        error: PictureError,
    },
    /// A detail is outside its limits.
    #[error("{field}: {problem}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The catalog did not publish it.
    #[error("{0}")]
    Publish(PublishError),
    /// The disk is full.
    #[error("there is no room left on the disk")]
    DiskFull,
    /// The disk failed otherwise.
    #[error("the disk failed: {0}")]
    Disk(Arc<io::Error>),
    /// A row of this room's tables could not be read.
    #[error("{0}")]
    Store(Arc<crate::store::StoreError>),
    /// Too much is being done already.
    #[error("too much is being done at once, try again in a moment")]
    Busy,
    /// The file's origin does not hand it out at present.
    #[error("the file cannot be had from its origin at present")]
    Unavailable,
    /// The pod is stopping.
    #[error("the pod is stopping")]
    Stopping,
}

impl LibraryError {
    /// Whether the same upload may succeed later. Images that came with it were looked at when it began: one that fails now was
    /// hurt on this disk, and that is no reason to throw the video away.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Picture { .. }
            | Self::DiskFull
            | Self::Disk(_)
            | Self::Store(_)
            | Self::Busy
            | Self::Unavailable
            | Self::Stopping => true,
            Self::Publish(error) => matches!(error, PublishError::Store(_)),
            _ => false,
        }
    }
}

impl From<io::Error> for LibraryError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Disk(Arc::new(error)),
        }
    }
}

impl From<MediaError> for LibraryError {
    fn from(error: MediaError) -> Self {
        match error {
            MediaError::Io(error) => error.into(),
            other => Self::Unsupported(other),
        }
    }
}

impl From<RecordError> for LibraryError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Limit { field, problem } => Self::Field { field, problem },
            other => Self::Publish(PublishError::Draft(DraftError::Record(other))),
        }
    }
}

impl From<PublishError> for LibraryError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Draft(DraftError::Record(error)) => error.into(),
            error if error.is_full() => Self::DiskFull,
            other => Self::Publish(other),
        }
    }
}
