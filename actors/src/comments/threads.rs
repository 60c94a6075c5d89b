//! The threads about one video, always in order, so that a page of them costs what is on it. Pure.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use seedpod_protocol::ids::{CommentId, Timestamp};

use super::messages::ThreadOrder;

/// What is known of the comment that began a thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Root {
    /// Nothing: it has not arrived, or left with its author.
    #[default]
    Unknown,
    /// It is shown.
    Shown(Timestamp),
    /// It was deleted or hidden; the thread is listed for its replies.
    Gone,
}

/// One thread.
#[derive(Debug, Default)]
pub(crate) struct Thread {
    root: Root,
    /// Replies that may be shown, oldest first.
    replies: BTreeSet<(Timestamp, CommentId)>,
    /// How many of them each user of the video's origin wrote.
    by_origin: HashMap<Arc<str>, u32>,
    listed: Option<Listed>,
}

/// Where a thread stands in the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) at: Timestamp,
    pub(crate) replies: u32,
    /// Whether what began it is shown.
    pub(crate) whole: bool,
}

/// A reply, for putting it in and taking it out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) id: CommentId,
    pub(crate) at: Timestamp,
    /// Who wrote it, if that is a user of the video's origin.
    pub(crate) by_origin: Option<&'a Arc<str>>,
}

/// All threads about one video.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    threads: HashMap<CommentId, Thread>,
    by_time: BTreeSet<(Timestamp, CommentId)>,
    by_replies: BTreeSet<(u32, Timestamp, CommentId)>,
    comments: usize,
    /// Comments that are hidden, so that they can be found again.
    hidden: BTreeSet<(Timestamp, CommentId)>,
}

impl Threads {
    /// How many threads are listed.
    pub(crate) fn len(&self) -> usize {
        self.by_time.len()
    }

    /// How many comments are shown.
    pub(crate) fn comments(&self) -> usize {
        self.comments
    }

    /// Whether nothing is known that could be shown, now or later.
    pub(crate) fn is_empty(&self) -> bool {
        self.threads.is_empty() && self.hidden.is_empty()
    }

    /// The threads of a page.
    pub(crate) fn page(
        &self,
        order: ThreadOrder,
        descending: bool,
        start: usize,
        count: usize,
    ) -> Vec<CommentId> {
        fn cut<'a, T: 'a>(
            order: &'a BTreeSet<T>,
            descending: bool,
            (start, count): (usize, usize),
            id: impl Fn(&T) -> CommentId,
        ) -> Vec<CommentId> {
            if descending {
                order.iter().rev().skip(start).take(count).map(id).collect()
            } else {
                order.iter().skip(start).take(count).map(id).collect()
            }
        }
        match order {
            ThreadOrder::Time => cut(&self.by_time, descending, (start, count), |(_, id)| *id),
            ThreadOrder::Replies => cut(&self.by_replies, descending, (start, count), |(.., id)| *id),
        }
    }

    /// Where a thread stands; nothing if it is not listed.
    pub(crate) fn listed(&self, thread: &CommentId) -> Option<Listed> {
        self.threads.get(thread)?.listed
    }

    /// The first replies of a thread, oldest first.
    pub(crate) fn replies(&self, thread: &CommentId, count: usize) -> Vec<CommentId> {
        let replies = self.threads.get(thread).map(|thread| thread.replies.iter());
        replies
            .into_iter()
            .flatten()
            .take(count)
            .map(|(_, id)| *id)
            .collect()
    }

    /// Whether a thread has replies that may be shown.
    pub(crate) fn has_replies(&self, thread: &CommentId) -> bool {
        self.threads
            .get(thread)
            .is_some_and(|thread| !thread.replies.is_empty())
    }

    /// How many replies of a thread a user of the origin wrote.
    pub(crate) fn replies_by(&self, thread: &CommentId, user: &str) -> u32 {
        let by_origin = self.threads.get(thread).map(|thread| &thread.by_origin);
        by_origin.and_then(|users| users.get(user)).copied().unwrap_or(0)
    }

    /// The last of the hidden comments, latest first.
    pub(crate) fn hidden(&self, count: usize) -> Vec<CommentId> {
        self.hidden.iter().rev().take(count).map(|(_, id)| *id).collect()
    }

    /// Says what is known of what began a thread.
    pub(crate) fn set_root(&mut self, id: CommentId, root: Root) {
        self.change(id, |thread| thread.root = root);
    }

    /// Takes a reply in.
    pub(crate) fn add(&mut self, thread: CommentId, answer: Answer<'_>) {
        self.change(thread, |thread| {
            if thread.replies.insert((answer.at, answer.id))
                && let Some(user) = answer.by_origin
            {
                *thread.by_origin.entry(Arc::clone(user)).or_default() += 1;
            }
        });
    }

    /// Takes a reply out.
    pub(crate) fn remove(&mut self, thread: CommentId, answer: Answer<'_>) {
        self.change(thread, |thread| {
            if thread.replies.remove(&(answer.at, answer.id))
                && let Some(user) = answer.by_origin
                && let Some(count) = thread.by_origin.get_mut(user)
            {
                *count -= 1;
                if *count == 0 {
                    thread.by_origin.remove(user);
                }
            }
        });
    }

    /// Remembers, or forgets, that a comment is hidden.
    pub(crate) fn set_hidden(&mut self, id: CommentId, at: Timestamp, hidden: bool) {
        if hidden {
            self.hidden.insert((at, id));
        } else {
            self.hidden.remove(&(at, id));
        }
    }

    /// Changes a thread and moves it to where it then belongs.
    fn change(&mut self, id: CommentId, how: impl FnOnce(&mut Thread)) {
        let thread = self.threads.entry(id).or_default();
        let before = thread.listed;
        how(thread);
        thread.listed = thread.place();
        let after = thread.listed;
        if thread.root == Root::Unknown && thread.replies.is_empty() {
            self.threads.remove(&id);
        }
        if before == after {
            return;
        }
        if let Some(listed) = before {
            self.by_time.remove(&(listed.at, id));
            self.by_replies.remove(&(listed.replies, listed.at, id));
            self.comments -= listed.comments();
        }
        if let Some(listed) = after {
            self.by_time.insert((listed.at, id));
            self.by_replies.insert((listed.replies, listed.at, id));
            self.comments += listed.comments();
        }
    }

    /// Threads that have nothing but a beginning.
    #[cfg(test)]
    pub(crate) fn bare(&self) -> impl Iterator<Item = &CommentId> {
        let bare = self
            .threads
            .iter()
            .filter(|(_, thread)| thread.replies.is_empty());
        bare.map(|(id, _)| id)
    }

    /// Panics when an invariant is broken.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        let listed: Vec<_> = self
            .threads
            .iter()
            .filter_map(|(id, thread)| Some((*id, thread.listed?)))
            .collect();
        assert_eq!(self.by_time.len(), listed.len());
        assert_eq!(self.by_replies.len(), listed.len());
        let comments: usize = listed.iter().map(|(_, listed)| listed.comments()).sum();
        assert_eq!(self.comments, comments);
        for (id, thread) in &self.threads {
            assert_eq!(thread.listed, thread.place());
            assert!(
                thread.root != Root::Unknown || !thread.replies.is_empty(),
                "{id} is nothing"
            );
            let by_origin: u32 = thread.by_origin.values().sum();
            assert!(by_origin as usize <= thread.replies.len());
        }
    }
}

impl Thread {
    /// Where it belongs: one whose beginning is shown stands by that, one whose beginning is gone by its first reply.
    fn place(&self) -> Option<Listed> {
        let replies = u32::try_from(self.replies.len()).unwrap_or(u32::MAX);
        let (at, whole) = match self.root {
            Root::Shown(at) => (at, true),
            Root::Gone => (self.replies.first()?.0, false),
            Root::Unknown => return None,
        };
        Some(Listed { at, replies, whole })
    }
}

impl Listed {
    fn comments(&self) -> usize {
        self.replies as usize + usize::from(self.whole)
    }
}
