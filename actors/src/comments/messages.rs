//! What may be said to the comments' room.

use std::sync::Arc;
use std::time::Duration;

use actix::{Message, Recipient};
use seedpod_protocol::ids::{CommentId, PodId, Timestamp, VideoId};
use seedpod_protocol::records::Profile;

use crate::catalog::messages::PublishError;
use crate::store::StoreError;

/// What comments are about: a video, and the pod that published it. A comment that names another pod stands elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// The video.
    pub video: VideoId,
    /// Its author.
    pub origin: PodId,
}

/// Names a comment by uuid or by this pod's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommentKey {
    /// Its id in the network.
    Id(CommentId),
    /// Its number on this pod.
    Number(u64),
}

/// In which order threads are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ThreadOrder {
    /// By when they began.
    Time,
    /// By how many replies they have, then by time.
    Replies,
}

/// A comment as people see it.
#[derive(Debug, Clone)]
pub struct CommentEntry {
    /// The comment.
    pub id: CommentId,
    /// A small number that names it on this pod only.
    pub number: u64,
    /// The comment that began its thread, perhaps itself.
    pub thread: CommentId,
    /// That one's number.
    pub thread_number: u64,
    /// The number of the comment that it answers.
    pub in_reply_to: Option<u64>,
    /// Replies in its thread, if it began one.
    pub replies: u32,
    /// Those by the publisher of the video.
    pub replies_by_publisher: u32,
    /// When it was written; when it arrived here, if it claims to be from later.
    pub at: Timestamp,
    /// What is said; nothing if it was deleted or hidden and is listed for its replies.
    pub said: Option<Said>,
}

/// The words of a comment, and whose they are.
#[derive(Debug, Clone)]
pub struct Said {
    /// The pod whose user wrote it.
    pub author: PodId,
    /// Whether that is this pod.
    pub is_local: bool,
    /// That pod's profile; absent until its record arrives.
    pub profile: Option<Arc<Profile>>,
    /// The user's handle.
    pub owner: String,
    /// What the user is called, if that is not the handle.
    pub display_name: Option<String>,
    /// What they say. Text, never markup.
    pub text: String,
    /// When it was last edited.
    pub updated_at: Timestamp,
}

/// One page of the threads about a video.
#[derive(Debug, Clone, Default)]
pub struct ThreadPage {
    /// Threads, on this page or not.
    pub total: usize,
    /// Comments that are shown, in all threads.
    pub comments: usize,
    /// The comments that began the threads of this page.
    pub rows: Vec<CommentEntry>,
}

/// Asks for a page of threads.
#[derive(Debug, Message)]
#[rtype(result = "Result<ThreadPage, CommentsError>")]
pub struct ListThreads {
    /// About what.
    pub on: Subject,
    /// The handle of whoever published the video, whose replies are counted.
    pub publisher: String,
    /// In which order.
    pub order: ThreadOrder,
    /// Latest, or most, first.
    pub descending: bool,
    /// How many to skip.
    pub start: usize,
    /// How many to give, at most 100.
    pub count: usize,
}

/// One thread: the comment that began it, and its replies, oldest first.
#[derive(Debug, Clone)]
pub struct Thread {
    /// What began it.
    pub root: CommentEntry,
    /// What was answered, at most [`MAX_REPLIES`]; `root.replies` tells how many there are.
    pub replies: Vec<CommentEntry>,
}

/// Replies of a thread that are given at once.
pub const MAX_REPLIES: usize = 500;

/// Asks for one thread.
#[derive(Debug, Message)]
#[rtype(result = "Result<Option<Thread>, CommentsError>")]
pub struct GetThread {
    /// About what.
    pub on: Subject,
    /// The handle of whoever published the video.
    pub publisher: String,
    /// Which.
    pub thread: CommentKey,
    /// How many replies to give, at most [`MAX_REPLIES`].
    pub replies: usize,
}

/// Asks for one comment that is shown.
#[derive(Debug, Message)]
#[rtype(result = "Result<Option<CommentEntry>, CommentsError>")]
pub struct GetComment {
    /// About what.
    pub on: Subject,
    /// Which.
    pub comment: CommentKey,
}

/// Asks for the comments about a video that are hidden here or by its origin, latest first, at most 100: for those who may
/// show them again.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<CommentEntry>, CommentsError>")]
pub struct ListHidden(
    /// About what.
    pub Subject,
);

/// Asks how many comments are shown about each of some videos.
#[derive(Debug, Message)]
#[rtype(result = "Vec<u64>")]
pub struct CountComments(
    /// About what, at most 100.
    pub Vec<Subject>,
);

/// How many comments there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommentTotals {
    /// Of all pods.
    pub all: u64,
    /// Of this pod's users.
    pub local: u64,
}

/// Asks for the totals.
#[derive(Debug, Message)]
#[rtype(result = "CommentTotals")]
pub struct GetCommentTotals;

/// A user of this pod says something. Written and told to everybody here before it is answered. Whether comments are
/// welcome under the video is for whoever asks.
#[derive(Debug, Message)]
#[rtype(result = "Result<CommentEntry, CommentsError>")]
pub struct PostComment {
    /// About what.
    pub on: Subject,
    /// Who.
    pub username: String,
    /// What: 1 to 10,000 characters.
    pub text: String,
    /// Which comment they answer, if it begins no thread.
    pub to: Option<CommentKey>,
}

/// What somebody is to a video and this pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// One of its users.
    User,
    /// Who published the video here.
    Publisher,
    /// A moderator or administrator of this pod.
    Moderator,
}

/// Somebody does not want a comment to be seen. Their own is removed for good, on all pods; under a video of this pod its
/// publisher and moderators hide it, on all pods; elsewhere a moderator hides it from this pod's visitors.
#[derive(Debug, Message)]
#[rtype(result = "Result<Deleted, CommentsError>")]
pub struct DeleteComment {
    /// About what it is.
    pub on: Subject,
    /// Which.
    pub comment: CommentKey,
    /// Who wants it.
    pub username: String,
    /// What they are.
    pub standing: Standing,
}

/// What became of a comment that somebody did not want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is removed everywhere, for good.
    Removed,
    /// It is hidden everywhere, and may be shown again.
    Hidden,
    /// It is hidden on this pod, and may be shown again.
    HiddenHere,
}

/// Shows a comment again that [`DeleteComment`] hid. Showing one that is not hidden does nothing.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), CommentsError>")]
pub struct ShowComment {
    /// About what it is.
    pub on: Subject,
    /// Which.
    pub comment: CommentKey,
    /// What whoever asks is to the video.
    pub standing: Standing,
}

/// Removes every comment that a user of this pod wrote, for good. Answers how many there were.
#[derive(Debug, Message)]
#[rtype(result = "Result<usize, CommentsError>")]
pub struct RemoveCommentsOf(
    /// The user's name.
    pub String,
);

/// Asks to be told from now on about which videos something else is shown.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct FollowComments(
    /// Who is told.
    pub Recipient<CommentsChanged>,
);

/// The comments about these videos changed, or somebody shows or hides some.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct CommentsChanged(
    /// Which videos, each once.
    pub Vec<VideoId>,
);

/// Why a comment was not written, deleted, hidden or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommentsError {
    /// Nothing that is shown has this name.
    #[error("there is no such comment about this video")]
    Unknown,
    /// It is not theirs.
    #[error("only who wrote it, who published the video and moderators may do this to a comment")]
    Forbidden,
    /// Too many in too short a time.
    #[error("that is a lot of comments in a short time; wait {} s", wait.as_secs().max(1))]
    TooFast {
        /// Until the next one is taken.
        wait: Duration,
    },
    /// As many as one user may have.
    #[error("one user may have {0} comments; delete some")]
    TooMany(usize),
    /// The record could not be made or written.
    #[error("{0}")]
    Publish(#[from] PublishError),
    /// The disk did not answer.
    #[error("{0}")]
    Store(Arc<StoreError>),
    /// The pod is stopping.
    #[error("this pod is stopping")]
    Stopping,
}

impl CommentsError {
    /// Whether there was no room on the disk; the same may be tried again later.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Publish(error) => error.is_full(),
            Self::Store(error) => matches!(**error, StoreError::Full),
            _ => false,
        }
    }
}
