//! Comments, and the word of a video's origin that one of them is not to be shown.

use serde::{Deserialize, Serialize};

use super::{RecordError, rules};
use crate::{
    ids::{CommentId, Nonce, PodId, Timestamp, VideoId},
    limits,
};

/// A comment, signed by the pod of whoever wrote it. Its object id is derived from the author, the nonce and the place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// 16 random bytes, drawn once.
    #[serde(with = "serde_bytes")]
    pub nonce: Nonce,
    /// The video that it is about.
    pub video: VideoId,
    /// The pod that published the video. A comment that names another pod stands nowhere.
    pub origin: PodId,
    /// What it answers; absent in a comment that begins a thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
    /// Handle of the user who wrote it.
    pub owner: String,
    /// What the user is called, 1 to 120 characters; the handle if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What they say: 1 to 10,000 characters, several lines. Text, never markup.
    pub text: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// When this record was last edited.
    pub updated_at: Timestamp,
}

/// What a comment answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reply {
    /// The comment that began the thread.
    pub thread: CommentId,
    /// The comment that is answered: the same, or another one of the thread.
    pub to: CommentId,
}

impl Comment {
    /// Its id when this author publishes it.
    pub fn id(&self, author: &PodId) -> CommentId {
        let reply = self.reply.as_ref().map(|reply| (&reply.thread, &reply.to));
        CommentId::derive(author, &self.nonce, &self.origin, &self.video, reply)
    }

    /// Checks the limits.
    ///
    /// # Errors
    /// The first value outside them.
    pub fn validate(&self) -> Result<(), RecordError> {
        rules::handle("owner", &self.owner)?;
        if let Some(name) = &self.display_name {
            rules::line("display_name", name, 1, limits::DISPLAY_NAME_MAX)?;
        }
        rules::lines("text", &self.text, 1, limits::COMMENT_MAX)
    }
}

/// The origin of a video does not want a comment under it: all pods honour that while it is live. By anybody but the origin that the
/// comment names it means nothing. Its object id is the comment's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hide {
    /// The comment.
    pub comment: CommentId,
    /// The author's video, under which it stands.
    pub video: VideoId,
}
