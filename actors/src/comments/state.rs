//! Which comments there are, which of them are shown, and who may do what. Pure; follows changes one at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use seedpod_protocol::envelope::{Header, Kind, State};
use seedpod_protocol::ids::{CommentId, PodId, Timestamp, VideoId};
use seedpod_protocol::records::{Comment, Hide, Profile, Record, Reply};

use super::messages::{CommentKey, CommentTotals, CommentsError, Deleted, Standing, Subject, ThreadOrder};
use super::threads::{Answer, Root, Threads};
use crate::catalog::messages::HeldRecord;

/// Comments of one friend that are looked at. What is beyond stays in the catalog, unseen: a friend may fill its own place,
/// and no other. This pod's users are held to [`MAX_OF_USER`] before they write.
const MAX_OF_AUTHOR: usize = 100_000;

/// Comments that one user of this pod may have.
pub(crate) const MAX_OF_USER: usize = 10_000;

/// Comments that one user may write within [`BURST_TIME`].
const BURST: usize = 30;
const BURST_TIME: Duration = Duration::from_secs(60);

/// Users whose last comments are remembered; with so many writing at once the oldest are forgotten first.
const MAX_WRITERS: usize = 10_000;

/// A comment may be from so much later than it arrived here: clocks differ. One from later still counts as of its arrival,
/// or it would stand first for ever.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

/// All comments.
#[derive(Debug)]
pub(crate) struct Conversation {
    me: PodId,
    /// Live ones, shown or not.
    comments: HashMap<CommentId, Held>,
    /// Of those, and of those that are gone.
    numbers: HashMap<u64, CommentId>,
    of_author: HashMap<PodId, HashSet<CommentId>>,
    /// How many each user of this pod wrote.
    of_user: HashMap<Arc<str>, usize>,
    /// Whose word there is that a comment is live no longer, and the number of that word here. Such a word names no nonce, so
    /// anybody can sign one for any id: while the comment is held only its author's counts, and the others wait. Were they
    /// thrown away, what is shown after its author left would depend on the order in which things came.
    gone: HashMap<CommentId, BTreeMap<PodId, u64>>,
    /// Comments that somebody signed a hide of, and under which video. Only the video's origin counts.
    hides: HashMap<(PodId, CommentId), VideoId>,
    hidden_here: HashSet<CommentId>,
    threads: HashMap<Subject, Threads>,
    /// Where comments have replies: whoever writes one may name any comment as the beginning of its thread.
    replied: HashMap<CommentId, BTreeSet<Subject>>,
    profiles: HashMap<PodId, Arc<Profile>>,
    writers: Writers,
    /// Videos about which something else is shown since somebody last asked.
    touched: BTreeSet<VideoId>,
}

/// What stays in memory of a live comment.
#[derive(Debug, Clone)]
struct Held {
    number: u64,
    author: PodId,
    on: Subject,
    reply: Option<Reply>,
    owner: Arc<str>,
    at: Timestamp,
}

/// A comment as it is listed; its words are read elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: CommentId,
    pub(crate) number: u64,
    pub(crate) thread: CommentId,
    pub(crate) thread_number: u64,
    pub(crate) in_reply_to: Option<u64>,
    pub(crate) replies: u32,
    pub(crate) replies_by_publisher: u32,
    pub(crate) at: Timestamp,
    /// Whose words to read; nothing if there are none to show.
    pub(crate) author: Option<PodId>,
}

/// What is to be done so that a comment is not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deletion {
    pub(crate) id: CommentId,
    pub(crate) what: Deleted,
}

impl Conversation {
    pub(crate) fn new(me: PodId) -> Self {
        Self {
            me,
            comments: HashMap::new(),
            numbers: HashMap::new(),
            of_author: HashMap::new(),
            of_user: HashMap::new(),
            gone: HashMap::new(),
            hides: HashMap::new(),
            hidden_here: HashSet::new(),
            threads: HashMap::new(),
            replied: HashMap::new(),
            profiles: HashMap::new(),
            writers: Writers::default(),
            touched: BTreeSet::new(),
        }
    }

    /// Takes the new head of a register.
    pub(crate) fn apply(&mut self, held: &HeldRecord) {
        let header = held.record.header();
        let live = header.state == State::Live;
        match (header.kind, held.record.payload()) {
            (Kind::COMMENT, Record::Comment(comment)) if live => self.take(held, comment),
            (Kind::COMMENT, _) => self.lose(header, held.number),
            (Kind::HIDE, record) => {
                let hide = match record {
                    Record::Hide(hide) if live => Some(hide),
                    _ => None,
                };
                self.hide(header, hide);
            }
            (Kind::PROFILE, Record::Profile(profile)) if live => {
                self.profiles.insert(header.author, Arc::new(profile.clone()));
            }
            (Kind::PROFILE, _) => {
                self.profiles.remove(&header.author);
            }
            _ => {}
        }
    }

    /// Forgets everything of an author.
    pub(crate) fn forget_author(&mut self, author: &PodId) {
        for id in self.of_author.remove(author).unwrap_or_default() {
            self.drop_comment(&id);
        }
        let by_author =
            |(id, by): (&CommentId, &BTreeMap<PodId, u64>)| by.contains_key(author).then_some(*id);
        let gone: Vec<CommentId> = self.gone.iter().filter_map(by_author).collect();
        for id in gone {
            self.forget_gone(&id, author);
            self.behead(&id);
        }
        let of_author = |(by, id): &(PodId, CommentId)| (by == author).then_some(*id);
        let hidden: Vec<CommentId> = self.hides.keys().filter_map(of_author).collect();
        for id in hidden {
            self.again(&id, |conversation| {
                conversation.hides.remove(&(*author, id));
            });
        }
        self.profiles.remove(author);
    }

    /// Hides a comment from this pod's visitors, or shows it again.
    pub(crate) fn hide_here(&mut self, id: CommentId, hidden: bool) {
        self.again(&id, |conversation| {
            if hidden {
                conversation.hidden_here.insert(id);
            } else {
                conversation.hidden_here.remove(&id);
            }
        });
    }

    fn take(&mut self, held: &HeldRecord, comment: &Comment) {
        let header = held.record.header();
        let Ok(id) = CommentId::try_from(header.object) else {
            return;
        };
        let of_author = self.of_author.entry(header.author).or_default();
        let is_full = header.author != self.me && of_author.len() >= MAX_OF_AUTHOR;
        if is_full && !of_author.contains(&id) {
            return;
        }
        // What an earlier version said of it no longer holds.
        self.drop_comment(&id);
        self.forget_gone(&id, &header.author);
        self.of_author.entry(header.author).or_default().insert(id);
        let owner: Arc<str> = comment.owner.as_str().into();
        if header.author == self.me {
            *self.of_user.entry(Arc::clone(&owner)).or_default() += 1;
        }
        let latest = held.received_at.saturating_add(CLOCKS_DIFFER);
        let at = if comment.created_at > latest {
            held.received_at
        } else {
            comment.created_at
        };
        let on = Subject {
            video: comment.video,
            origin: comment.origin,
        };
        let number = held.number;
        self.numbers.insert(number, id);
        self.comments.insert(
            id,
            Held {
                number,
                author: header.author,
                on,
                reply: comment.reply,
                owner,
                at,
            },
        );
        self.place(&id);
        self.behead(&id);
    }

    /// A comment is not live any more, says the author of this header.
    fn lose(&mut self, header: &Header, number: u64) {
        let Ok(id) = CommentId::try_from(header.object) else {
            return;
        };
        if self
            .comments
            .get(&id)
            .is_some_and(|held| held.author == header.author)
        {
            if let Some(ids) = self.of_author.get_mut(&header.author) {
                ids.remove(&id);
            }
            self.drop_comment(&id);
        }
        if header.state == State::Live {
            return; // it says something that we cannot read
        }
        if let Some(earlier) = self.gone.entry(id).or_default().insert(header.author, number) {
            self.numbers.remove(&earlier);
        }
        self.numbers.insert(number, id);
        self.behead(&id);
    }

    /// Forgets that an author said a comment is gone.
    fn forget_gone(&mut self, id: &CommentId, author: &PodId) {
        let Some(by) = self.gone.get_mut(id) else {
            return;
        };
        let number = by.remove(author);
        if by.is_empty() {
            self.gone.remove(id);
        }
        if let Some(number) = number {
            self.numbers.remove(&number);
        }
    }

    /// Whether there is no such comment, and a word that it is gone.
    fn is_gone(&self, id: &CommentId) -> bool {
        self.gone.contains_key(id) && !self.comments.contains_key(id)
    }

    fn hide(&mut self, header: &Header, hide: Option<&Hide>) {
        let Ok(id) = CommentId::try_from(header.object) else {
            return;
        };
        let key = (header.author, id);
        self.again(&id, |conversation| match hide {
            Some(hide) => {
                conversation.hides.insert(key, hide.video);
            }
            None => {
                conversation.hides.remove(&key);
            }
        });
    }

    /// Changes something that decides whether a comment is shown.
    fn again(&mut self, id: &CommentId, how: impl FnOnce(&mut Self)) {
        self.unplace(id);
        how(self);
        self.place(id);
    }

    fn is_hidden(&self, id: &CommentId, on: &Subject) -> bool {
        self.is_hidden_by_origin(id, on) || self.hidden_here.contains(id)
    }

    fn is_hidden_by_origin(&self, id: &CommentId, on: &Subject) -> bool {
        self.hides.get(&(on.origin, *id)) == Some(&on.video)
    }

    /// Videos about which something else may be shown than when this was last asked.
    pub(crate) fn take_touched(&mut self) -> Vec<VideoId> {
        std::mem::take(&mut self.touched).into_iter().collect()
    }

    /// Puts a held comment where it belongs.
    fn place(&mut self, id: &CommentId) {
        let Some(held) = self.comments.get(id).cloned() else {
            return;
        };
        self.touched.insert(held.on.video);
        let hidden = self.is_hidden(id, &held.on);
        let threads = self.threads.entry(held.on).or_default();
        if hidden {
            threads.set_hidden(*id, held.at, true);
        }
        match held.reply {
            None if hidden => threads.set_root(*id, Root::Gone),
            None => threads.set_root(*id, Root::Shown(held.at)),
            Some(_) if hidden => {}
            Some(reply) => {
                threads.add(reply.thread, held.answer(*id));
                self.replied.entry(reply.thread).or_default().insert(held.on);
                self.behead(&reply.thread);
            }
        }
    }

    /// Takes a held comment out of where it is.
    fn unplace(&mut self, id: &CommentId) {
        let Some(held) = self.comments.get(id).cloned() else {
            return;
        };
        self.touched.insert(held.on.video);
        let hidden = self.is_hidden(id, &held.on);
        let Some(threads) = self.threads.get_mut(&held.on) else {
            return;
        };
        threads.set_hidden(*id, held.at, false);
        match held.reply {
            None => threads.set_root(*id, Root::Unknown),
            Some(_) if hidden => {}
            Some(reply) => {
                threads.remove(reply.thread, held.answer(*id));
                if !threads.has_replies(&reply.thread) {
                    let root = self.comments.get(&reply.thread);
                    if !root.is_some_and(|root| root.reply.is_none() && root.on == held.on) {
                        // Nothing is left of the thread.
                        threads.set_root(reply.thread, Root::Unknown);
                    }
                    if let Some(subjects) = self.replied.get_mut(&reply.thread) {
                        subjects.remove(&held.on);
                        if subjects.is_empty() {
                            self.replied.remove(&reply.thread);
                        }
                    }
                }
            }
        }
        if threads.is_empty() {
            self.threads.remove(&held.on);
        }
    }

    /// Tells the threads that name a comment as their beginning whether it is gone, unless it is held and tells them itself.
    fn behead(&mut self, id: &CommentId) {
        let held = self.comments.get(id).filter(|held| held.reply.is_none());
        let stands = held.map(|held| held.on);
        let root = match self.is_gone(id) {
            true => Root::Gone,
            false => Root::Unknown,
        };
        for on in self.replied.get(id).into_iter().flatten() {
            if stands != Some(*on)
                && let Some(threads) = self.threads.get_mut(on)
            {
                self.touched.insert(on.video);
                threads.set_root(*id, root);
            }
        }
    }

    /// Takes a comment out of everything but `of_author`.
    fn drop_comment(&mut self, id: &CommentId) {
        self.unplace(id);
        let Some(held) = self.comments.remove(id) else {
            return;
        };
        self.behead(id);
        self.numbers.remove(&held.number);
        if held.author == self.me
            && let Some(count) = self.of_user.get_mut(&held.owner)
        {
            *count -= 1;
            if *count == 0 {
                self.of_user.remove(&held.owner);
            }
        }
    }

    /// How many comments are shown about a video.
    pub(crate) fn count(&self, on: &Subject) -> u64 {
        self.threads
            .get(on)
            .map_or(0, |threads| threads.comments() as u64)
    }

    pub(crate) fn totals(&self) -> CommentTotals {
        CommentTotals {
            all: self.comments.len() as u64,
            local: self.of_user.values().map(|count| *count as u64).sum(),
        }
    }

    /// How many threads there are about a video, and those of a page.
    pub(crate) fn page(
        &self,
        on: &Subject,
        publisher: &str,
        (order, descending): (ThreadOrder, bool),
        start: usize,
        count: usize,
    ) -> (usize, Vec<Seen>) {
        let Some(threads) = self.threads.get(on) else {
            return (0, Vec::new());
        };
        let page = threads.page(order, descending, start, count);
        let rows = page.iter().filter_map(|id| self.root(threads, id, publisher));
        (threads.len(), rows.collect())
    }

    /// A thread and its first replies.
    pub(crate) fn thread(
        &self,
        on: &Subject,
        publisher: &str,
        thread: CommentKey,
        replies: usize,
    ) -> Option<(Seen, Vec<Seen>)> {
        let threads = self.threads.get(on)?;
        let root = self.root(threads, &self.resolve(thread)?, publisher)?;
        let replies = threads.replies(&root.thread, replies);
        let replies = replies.iter().filter_map(|id| self.reply(id, &root));
        Some((root.clone(), replies.collect()))
    }

    /// One comment that is shown.
    pub(crate) fn one(&self, on: &Subject, comment: CommentKey) -> Option<Seen> {
        let id = self.resolve(comment)?;
        let threads = self.threads.get(on)?;
        let held = self.shown(&id, on)?;
        match held.reply {
            None => self.root(threads, &id, ""),
            Some(reply) => self.reply(&id, &self.root(threads, &reply.thread, "")?),
        }
    }

    /// The last comments that are hidden.
    pub(crate) fn hidden(&self, on: &Subject, count: usize) -> Vec<Seen> {
        let hidden = self.threads.get(on).map(|threads| threads.hidden(count));
        let seen = |id: CommentId| {
            let held = self.comments.get(&id)?;
            Some(Seen {
                id,
                number: held.number,
                thread: held.reply.map_or(id, |reply| reply.thread),
                thread_number: held.number,
                in_reply_to: None,
                replies: 0,
                replies_by_publisher: 0,
                at: held.at,
                author: Some(held.author),
            })
        };
        hidden.into_iter().flatten().filter_map(seen).collect()
    }

    pub(crate) fn profile(&self, pod: &PodId) -> Option<Arc<Profile>> {
        self.profiles.get(pod).cloned()
    }

    /// A comment that may be shown about a video.
    fn shown(&self, id: &CommentId, on: &Subject) -> Option<&Held> {
        let held = self.comments.get(id)?;
        (held.on == *on && !self.is_hidden(id, on)).then_some(held)
    }

    fn resolve(&self, key: CommentKey) -> Option<CommentId> {
        match key {
            CommentKey::Id(id) => Some(id),
            CommentKey::Number(number) => self.numbers.get(&number).copied(),
        }
    }

    /// What began a thread that is listed.
    fn root(&self, threads: &Threads, id: &CommentId, publisher: &str) -> Option<Seen> {
        let listed = threads.listed(id)?;
        let held = self.comments.get(id);
        let number = match held {
            Some(held) => held.number,
            None => *self.gone.get(id)?.values().next()?,
        };
        Some(Seen {
            id: *id,
            number,
            thread: *id,
            thread_number: number,
            in_reply_to: None,
            replies: listed.replies,
            replies_by_publisher: threads.replies_by(id, publisher),
            at: listed.at,
            author: held.filter(|_| listed.whole).map(|held| held.author),
        })
    }

    /// A reply in a thread that is listed. What it answers is the beginning of the thread if nothing else is shown.
    fn reply(&self, id: &CommentId, root: &Seen) -> Option<Seen> {
        let held = self.comments.get(id)?;
        let reply = held.reply?;
        let answered = self
            .shown(&reply.to, &held.on)
            .filter(|answered| answered.reply.is_some_and(|reply| reply.thread == root.thread));
        Some(Seen {
            id: *id,
            number: held.number,
            thread: root.thread,
            thread_number: root.number,
            in_reply_to: Some(answered.map_or(root.number, |answered| answered.number)),
            replies: 0,
            replies_by_publisher: 0,
            at: held.at,
            author: Some(held.author),
        })
    }

    /// Whether a user may write now, and in which place: what they answer has to be shown.
    ///
    /// # Errors
    /// Too much, too fast, or in answer to nothing.
    pub(crate) fn may_write(
        &mut self,
        on: &Subject,
        username: &str,
        to: Option<CommentKey>,
        now: Timestamp,
    ) -> Result<Option<Reply>, CommentsError> {
        let reply = match to {
            None => None,
            Some(key) => {
                let answered = self.one(on, key).ok_or(CommentsError::Unknown)?;
                Some(Reply {
                    thread: answered.thread,
                    to: answered.id,
                })
            }
        };
        if self
            .of_user
            .get(username)
            .is_some_and(|count| *count >= MAX_OF_USER)
        {
            return Err(CommentsError::TooMany(MAX_OF_USER));
        }
        match self.writers.write(username, now) {
            Some(wait) => Err(CommentsError::TooFast { wait }),
            None => Ok(reply),
        }
    }

    /// All comments of a user of this pod.
    pub(crate) fn of_user(&self, username: &str) -> Vec<CommentId> {
        let own = self.of_author.get(&self.me).into_iter().flatten();
        own.filter(|id| {
            self.comments
                .get(*id)
                .is_some_and(|held| *held.owner == *username)
        })
        .copied()
        .collect()
    }

    /// What somebody who does not want a comment to be seen may do about it.
    ///
    /// # Errors
    /// No such comment, or nothing.
    pub(crate) fn deletion(
        &self,
        on: &Subject,
        comment: CommentKey,
        username: &str,
        standing: Standing,
    ) -> Result<Deletion, CommentsError> {
        let id = self.resolve(comment).ok_or(CommentsError::Unknown)?;
        let held = self.shown(&id, on).ok_or(CommentsError::Unknown)?;
        let is_own = held.author == self.me && *held.owner == *username;
        let is_of_a_user = held.author == self.me && standing == Standing::Moderator;
        let what = match standing {
            _ if is_own || is_of_a_user => Deleted::Removed,
            Standing::Publisher | Standing::Moderator if on.origin == self.me => Deleted::Hidden,
            Standing::Moderator => Deleted::HiddenHere,
            Standing::User | Standing::Publisher => return Err(CommentsError::Forbidden),
        };
        Ok(Deletion { id, what })
    }

    /// The ways in which a comment is hidden that whoever asks may end.
    ///
    /// # Errors
    /// No such comment, or none of them is theirs to end.
    pub(crate) fn showing(
        &self,
        on: &Subject,
        comment: CommentKey,
        standing: Standing,
    ) -> Result<(CommentId, Vec<Deleted>), CommentsError> {
        let id = self.resolve(comment).ok_or(CommentsError::Unknown)?;
        let held = self.comments.get(&id).filter(|held| held.on == *on);
        held.ok_or(CommentsError::Unknown)?;
        let (ours, moderator) = (on.origin == self.me, standing == Standing::Moderator);
        if !(moderator || ours && standing == Standing::Publisher) {
            return Err(CommentsError::Forbidden);
        }
        let mut ends = Vec::new();
        if ours && self.is_hidden_by_origin(&id, on) {
            ends.push(Deleted::Hidden);
        }
        if moderator && self.hidden_here.contains(&id) {
            ends.push(Deleted::HiddenHere);
        }
        Ok((id, ends))
    }

    /// Panics when an invariant is broken.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        let gone: usize = self.gone.values().map(BTreeMap::len).sum();
        assert_eq!(self.numbers.len(), self.comments.len() + gone);
        for (id, held) in &self.comments {
            let by_author = self.gone.get(id).is_some_and(|by| by.contains_key(&held.author));
            assert!(!by_author, "what is held is not gone by its author's word");
        }
        for (thread, subjects) in &self.replied {
            assert!(!subjects.is_empty());
            assert!(subjects.iter().all(|on| self.threads[on].has_replies(thread)));
        }
        let of_author: usize = self.of_author.values().map(HashSet::len).sum();
        assert_eq!(of_author, self.comments.len());
        for threads in self.threads.values() {
            assert!(!threads.is_empty());
            threads.check();
            assert!(threads.bare().all(|id| self.comments.contains_key(id)));
        }
        for (id, held) in &self.comments {
            assert!(self.of_author[&held.author].contains(id));
            assert!(self.threads.contains_key(&held.on));
        }
    }
}

impl Held {
    fn answer(&self, id: CommentId) -> Answer<'_> {
        Answer {
            id,
            at: self.at,
            by_origin: (self.author == self.on.origin).then_some(&self.owner),
        }
    }
}

/// Who wrote when, within the last minute.
#[derive(Debug, Default)]
struct Writers {
    last: HashMap<Arc<str>, VecDeque<Timestamp>>,
    order: VecDeque<(Timestamp, Arc<str>)>,
}

impl Writers {
    /// Notes that somebody writes, or says how long they have to wait.
    fn write(&mut self, username: &str, now: Timestamp) -> Option<Duration> {
        let over = |at: &Timestamp| now.since(*at) >= BURST_TIME;
        while self.order.front().is_some_and(|(at, _)| over(at)) || self.order.len() >= MAX_WRITERS {
            if let Some((_, writer)) = self.order.pop_front()
                && let Some(times) = self.last.get_mut(&writer)
            {
                times.pop_front();
                if times.is_empty() {
                    self.last.remove(&writer);
                }
            }
        }
        if let Some(times) = self.last.get(username)
            && times.len() >= BURST
            && let Some(first) = times.front()
        {
            return Some(BURST_TIME.saturating_sub(now.since(*first)));
        }
        let username: Arc<str> = username.into();
        self.last.entry(Arc::clone(&username)).or_default().push_back(now);
        self.order.push_back((now, username));
        None
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
