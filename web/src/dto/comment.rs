//! Comments and threads.

use std::collections::{HashMap, HashSet};

use seedpod_actors::comments::messages::CommentEntry;
use seedpod_actors::search::messages::VideoEntry;
use serde::Serialize;

use super::{AccountSummary, iso};
use crate::links::Origin;

/// A comment. One that was deleted has no words and no account.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Comment {
    id: u64,
    uuid: String,
    /// Where it is on the page of the video's origin.
    url: String,
    text: String,
    thread_id: u64,
    in_reply_to_comment_id: Option<u64>,
    video_id: u64,
    created_at: String,
    updated_at: String,
    deleted_at: Option<String>,
    is_deleted: bool,
    held_for_review: bool,
    total_replies: u32,
    total_replies_from_video_author: u32,
    account: Option<AccountSummary>,
    // Ours.
    pod_id: Option<String>,
    is_local: bool,
}

impl Comment {
    /// A comment about a video. `own_url` is this pod's.
    pub(crate) fn of(entry: &CommentEntry, video: &VideoEntry, own_url: &str) -> Self {
        let page = Origin::of(video, own_url)
            .unwrap_or(Origin::at(own_url))
            .watch(&video.id);
        let said = entry.said.as_ref();
        let updated_at = said.map_or(entry.at, |said| said.updated_at.max(entry.at));
        Self {
            id: entry.number,
            uuid: entry.id.to_string(),
            url: format!("{page}#comment-{}", entry.id),
            text: said.map(|said| said.text.clone()).unwrap_or_default(),
            thread_id: entry.thread_number,
            in_reply_to_comment_id: entry.in_reply_to,
            video_id: video.number,
            created_at: iso(entry.at),
            updated_at: iso(updated_at),
            deleted_at: said.is_none().then(|| iso(entry.at)),
            is_deleted: said.is_none(),
            held_for_review: false,
            total_replies: entry.replies,
            total_replies_from_video_author: entry.replies_by_publisher,
            account: said.map(|said| {
                let home = match &said.profile {
                    Some(profile) => profile.url.as_str(),
                    None if said.is_local => own_url,
                    None => "",
                };
                let account = AccountSummary::at(&said.owner, Origin::at(home));
                match &said.display_name {
                    Some(name) => account.called(name),
                    None => account,
                }
            }),
            pod_id: said.map(|said| said.author.to_string()),
            is_local: said.is_some_and(|said| said.is_local),
        }
    }
}

/// Answers to answers that stand below each other. Readers of JSON give up on what is nested deeper than they like.
const MAX_DEPTH: usize = 20;

/// A comment and what was answered to it.
#[derive(Debug, Serialize)]
pub(crate) struct CommentTree {
    comment: Comment,
    children: Vec<CommentTree>,
}

impl CommentTree {
    /// A thread of its replies, each with the number of the comment that it answers. One that answers none of these stands
    /// under the first, and those that would stand too deep stand beside each other.
    pub(crate) fn of(root: Comment, replies: Vec<(Option<u64>, Comment)>) -> Self {
        let known: HashSet<u64> = replies.iter().map(|(_, reply)| reply.id).collect();
        let mut children: HashMap<u64, Vec<Comment>> = HashMap::new();
        for (to, reply) in replies {
            let to = to.filter(|to| known.contains(to) && *to != reply.id);
            children.entry(to.unwrap_or(root.id)).or_default().push(reply);
        }
        Self::grow(root, &mut children, MAX_DEPTH)
    }

    fn grow(comment: Comment, children: &mut HashMap<u64, Vec<Comment>>, depth: usize) -> Self {
        let mut below = children.remove(&comment.id).unwrap_or_default();
        if depth == 1 {
            let mut at = 0;
            while let Some(reply) = below.get(at) {
                let deeper = children.remove(&reply.id).unwrap_or_default();
                at += 1;
                below.splice(at..at, deeper);
            }
        }
        let grow = |child| match depth {
            1 => Self {
                comment: child,
                children: Vec::new(),
            },
            _ => Self::grow(child, children, depth - 1),
        };
        Self {
            children: below.into_iter().map(grow).collect(),
            comment,
        }
    }
}
