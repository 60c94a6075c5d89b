//! The shell: reads the words of the comments that are asked for, and has the catalog sign what our users say.

use std::sync::Arc;

use actix::prelude::*;
use seedpod_protocol::envelope::{Kind, State, Verified, register_key};
use seedpod_protocol::ids::{CommentId, PodId};
use seedpod_protocol::records::{Comment, Hide, Record};

use super::CommentsMetrics;
use super::messages::{
    CommentEntry, CommentTotals, CommentsChanged, CommentsError, CountComments, DeleteComment, Deleted,
    FollowComments, GetComment, GetCommentTotals, GetThread, ListHidden, ListThreads, MAX_REPLIES,
    PostComment, RemoveCommentsOf, Said, ShowComment, Subject, Thread, ThreadPage,
};
use super::records::{put_hidden, read_hidden};
use super::state::{Conversation, Seen};
use crate::catalog::CatalogActor;
use crate::catalog::messages::{Change, Changed, Publish, READ_MAX, ReadRecords};
use crate::clock;
use crate::store::{Store, StoreError, Transaction, tables};
use crate::supervise::Lifeline;

/// Messages that may wait; askers wait with them.
const MAILBOX: usize = 1024;

/// Most rows of one page, whatever is asked for.
const MAX_PAGE: usize = 100;

/// The actor that owns the comments' read model.
pub struct CommentsActor {
    me: PodId,
    state: Conversation,
    store: Store,
    catalog: Addr<CatalogActor>,
    followers: Vec<Recipient<CommentsChanged>>,
    metrics: CommentsMetrics,
    _lifeline: Lifeline,
}

impl CommentsActor {
    /// Reads what is hidden on this pod alone; let the catalog replay into it before anyone asks.
    ///
    /// # Errors
    /// When the store fails or holds a row that this program cannot read.
    pub fn open(
        me: PodId,
        store: Store,
        catalog: Addr<CatalogActor>,
        metrics: CommentsMetrics,
        lifeline: Lifeline,
    ) -> Result<Self, StoreError> {
        let mut state = Conversation::new(me);
        for row in store.scan_prefix(tables::HIDDEN_COMMENTS, &[]) {
            let (key, row) = row?;
            let id = read_hidden(&key, &row).map_err(|error| StoreError::Row(error.to_string()))?;
            state.hide_here(id, true);
        }
        Ok(Self {
            me,
            state,
            store,
            catalog,
            followers: Vec::new(),
            metrics,
            _lifeline: lifeline,
        })
    }

    /// Tells whoever follows what is shown. One whose mailbox is full looks again later, as it does anyway.
    fn tell_followers(&mut self) {
        let touched = self.state.take_touched();
        self.followers.retain(Recipient::connected);
        if touched.is_empty() {
            return;
        }
        for follower in &self.followers {
            let _ = follower.try_send(CommentsChanged(touched.clone()));
        }
    }

    /// Fills in the words of some comments.
    fn tell(&self, seen: Vec<Seen>) -> ResponseActFuture<Self, Result<Vec<CommentEntry>, CommentsError>> {
        let key = |seen: &Seen| {
            let author = seen.author?;
            Some((author, register_key(&author, Kind::COMMENT, &seen.id.into())))
        };
        let keys: Vec<_> = seen.iter().filter_map(key).collect();
        let catalog = self.catalog.clone();
        let reading = async move {
            let mut records = Vec::with_capacity(keys.len());
            for part in keys.chunks(READ_MAX) {
                let read = catalog.send(ReadRecords(part.to_vec())).await;
                records.extend(
                    read.map_err(|_| CommentsError::Stopping)?
                        .map_err(CommentsError::Store)?,
                );
            }
            Ok::<_, CommentsError>(records)
        };
        Box::pin(reading.into_actor(self).map(|read, actor, _| {
            let mut read = read?.into_iter();
            let with_words = seen.into_iter().map(|seen| {
                let record = seen.author.and_then(|_| read.next().flatten());
                actor.entry(&seen, record.as_ref())
            });
            Ok(with_words.collect())
        }))
    }

    /// A comment with its words. One that was deleted since it was listed has none.
    fn entry(&self, seen: &Seen, record: Option<&Verified<Record>>) -> CommentEntry {
        let comment = record.and_then(|record| match record.payload() {
            Record::Comment(comment) if record.header().state == State::Live => {
                Some((record.header().author, comment))
            }
            _ => None,
        });
        CommentEntry {
            id: seen.id,
            number: seen.number,
            thread: seen.thread,
            thread_number: seen.thread_number,
            in_reply_to: seen.in_reply_to,
            replies: seen.replies,
            replies_by_publisher: seen.replies_by_publisher,
            at: seen.at,
            said: comment.map(|(author, comment)| Said {
                author,
                is_local: author == self.me,
                profile: self.state.profile(&author),
                owner: comment.owner.clone(),
                display_name: comment.display_name.clone(),
                text: comment.text.clone(),
                updated_at: comment.updated_at,
            }),
        }
    }

    fn publish(
        &self,
        publish: Publish,
    ) -> impl Future<Output = Result<Verified<Record>, CommentsError>> + use<> {
        let catalog = self.catalog.clone();
        async move {
            let published = catalog.send(publish).await.map_err(|_| CommentsError::Stopping)?;
            Ok(published?)
        }
    }

    /// Hides a comment on this pod alone, or shows it again; written before it is true.
    fn hide_here(&self, id: CommentId, hidden: bool) -> ResponseActFuture<Self, Result<(), CommentsError>> {
        let mut transaction = Transaction::new();
        put_hidden(&mut transaction, &id, hidden);
        let store = self.store.clone();
        let writing = async move { store.commit(transaction).await };
        Box::pin(writing.into_actor(self).map(move |written, actor, _| {
            written.map_err(|error| CommentsError::Store(Arc::new(error)))?;
            actor.state.hide_here(id, hidden);
            actor.tell_followers();
            Ok(())
        }))
    }
}

/// The order to remove a comment for good.
fn removing(id: CommentId) -> Publish {
    Publish {
        kind: Kind::COMMENT,
        object: id.into(),
        state: State::Removed,
        payload: Record::Empty,
        along: Transaction::new(),
    }
}

/// The statement that a comment is hidden, or not any more.
fn hiding(comment: CommentId, on: &Subject, state: State) -> Publish {
    let video = on.video;
    Publish {
        kind: Kind::HIDE,
        object: comment.into(),
        state,
        payload: match state {
            State::Live => Record::Hide(Hide { comment, video }),
            _ => Record::Empty,
        },
        along: Transaction::new(),
    }
}

impl Actor for CommentsActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Changed> for CommentsActor {
    type Result = ();

    fn handle(&mut self, changed: Changed, _: &mut Context<Self>) {
        for change in changed.changes.iter() {
            match change {
                Change::Head(held) => self.state.apply(held),
                Change::AuthorGone(author) | Change::AuthorHidden(author) => self.state.forget_author(author),
            }
        }
        self.metrics.show(self.state.totals());
        self.tell_followers();
    }
}

impl Handler<FollowComments> for CommentsActor {
    type Result = ();

    fn handle(&mut self, FollowComments(follower): FollowComments, _: &mut Context<Self>) {
        self.followers.push(follower);
    }
}

impl Handler<ListThreads> for CommentsActor {
    type Result = ResponseActFuture<Self, Result<ThreadPage, CommentsError>>;

    fn handle(&mut self, list: ListThreads, _: &mut Context<Self>) -> Self::Result {
        let order = (list.order, list.descending);
        let count = list.count.min(MAX_PAGE);
        let (total, seen) = self
            .state
            .page(&list.on, &list.publisher, order, list.start, count);
        let comments = usize::try_from(self.state.count(&list.on)).unwrap_or(usize::MAX);
        Box::pin(self.tell(seen).map(move |rows, _, _| {
            Ok(ThreadPage {
                total,
                comments,
                rows: rows?,
            })
        }))
    }
}

impl Handler<GetThread> for CommentsActor {
    type Result = ResponseActFuture<Self, Result<Option<Thread>, CommentsError>>;

    fn handle(&mut self, get: GetThread, _: &mut Context<Self>) -> Self::Result {
        let replies = get.replies.min(MAX_REPLIES);
        let Some((root, replies)) = self.state.thread(&get.on, &get.publisher, get.thread, replies) else {
            return Box::pin(actix::fut::ready(Ok(None)));
        };
        let seen = std::iter::once(root).chain(replies).collect();
        Box::pin(self.tell(seen).map(|rows, _, _| {
            let mut rows = rows?.into_iter();
            let thread = rows.next().map(|root| Thread {
                root,
                // A tombstone stands for a thread, never for a reply.
                replies: rows.filter(|reply| reply.said.is_some()).collect(),
            });
            Ok(thread)
        }))
    }
}

impl Handler<GetComment> for CommentsActor {
    type Result = ResponseActFuture<Self, Result<Option<CommentEntry>, CommentsError>>;

    fn handle(&mut self, GetComment { on, comment }: GetComment, _: &mut Context<Self>) -> Self::Result {
        let seen = self.state.one(&on, comment).into_iter().collect();
        Box::pin(self.tell(seen).map(|rows, _, _| Ok(rows?.pop())))
    }
}

impl Handler<ListHidden> for CommentsActor {
    type Result = ResponseActFuture<Self, Result<Vec<CommentEntry>, CommentsError>>;

    fn handle(&mut self, ListHidden(on): ListHidden, _: &mut Context<Self>) -> Self::Result {
        self.tell(self.state.hidden(&on, MAX_PAGE))
    }
}

impl Handler<CountComments> for CommentsActor {
    type Result = Vec<u64>;

    fn handle(&mut self, CountComments(subjects): CountComments, _: &mut Context<Self>) -> Vec<u64> {
        subjects.iter().map(|on| self.state.count(on)).collect()
    }
}

impl Handler<GetCommentTotals> for CommentsActor {
    type Result = MessageResult<GetCommentTotals>;

    fn handle(&mut self, _: GetCommentTotals, _: &mut Context<Self>) -> Self::Result {
        let totals: CommentTotals = self.state.totals();
        MessageResult(totals)
    }
}

impl Handler<PostComment> for CommentsActor {
    type Result = ResponseActFuture<Self, Result<CommentEntry, CommentsError>>;

    fn handle(&mut self, post: PostComment, _: &mut Context<Self>) -> Self::Result {
        let PostComment {
            on,
            username,
            text,
            to,
        } = post;
        let now = clock::now();
        let reply = match self.state.may_write(&on, &username, to, now) {
            Ok(reply) => reply,
            Err(error) => return Box::pin(actix::fut::err(error)),
        };
        let comment = Comment {
            nonce: rand::random(),
            video: on.video,
            origin: on.origin,
            reply,
            owner: username,
            display_name: None,
            text,
            created_at: now,
            updated_at: now,
        };
        let id = comment.id(&self.me);
        let publishing = self.publish(Publish {
            kind: Kind::COMMENT,
            object: id.into(),
            state: State::Live,
            payload: Record::Comment(comment),
            along: Transaction::new(),
        });
        Box::pin(publishing.into_actor(self).map(move |record, actor, _| {
            let record = record?;
            actor.metrics.posted.inc();
            // The catalog told us of it before it answered; it may have been hidden or answered since.
            let key = super::messages::CommentKey::Id(id);
            let seen = actor.state.one(&on, key).ok_or(CommentsError::Unknown)?;
            Ok(actor.entry(&seen, Some(&record)))
        }))
    }
}

impl Handler<DeleteComment> for CommentsActor {
    type Result = ResponseActFuture<Self, Result<Deleted, CommentsError>>;

    fn handle(&mut self, delete: DeleteComment, _: &mut Context<Self>) -> Self::Result {
        let DeleteComment {
            on,
            comment,
            username,
            standing,
        } = delete;
        let deletion = match self.state.deletion(&on, comment, &username, standing) {
            Ok(deletion) => deletion,
            Err(error) => return Box::pin(actix::fut::err(error)),
        };
        let (id, what) = (deletion.id, deletion.what);
        let publish = match what {
            Deleted::Removed => removing(id),
            Deleted::Hidden => hiding(id, &on, State::Live),
            Deleted::HiddenHere => {
                return Box::pin(self.hide_here(id, true).map(move |hidden, actor, _| {
                    hidden?;
                    actor.metrics.deleted(what);
                    Ok(what)
                }));
            }
        };
        let publishing = self.publish(publish);
        Box::pin(publishing.into_actor(self).map(move |published, actor, _| {
            published?;
            actor.metrics.deleted(what);
            Ok(what)
        }))
    }
}

impl Handler<RemoveCommentsOf> for CommentsActor {
    type Result = ResponseActFuture<Self, Result<usize, CommentsError>>;

    fn handle(
        &mut self,
        RemoveCommentsOf(username): RemoveCommentsOf,
        _: &mut Context<Self>,
    ) -> Self::Result {
        let removals = self.state.of_user(&username).into_iter().map(removing);
        let publishing: Vec<_> = removals.map(|removal| self.publish(removal)).collect();
        let removed = async move {
            let count = publishing.len();
            for removal in publishing {
                removal.await?;
            }
            Ok(count)
        };
        Box::pin(removed.into_actor(self))
    }
}

impl Handler<ShowComment> for CommentsActor {
    type Result = ResponseActFuture<Self, Result<(), CommentsError>>;

    fn handle(&mut self, show: ShowComment, _: &mut Context<Self>) -> Self::Result {
        let ShowComment {
            on,
            comment,
            standing,
        } = show;
        let (id, ends) = match self.state.showing(&on, comment, standing) {
            Ok(showing) => showing,
            Err(error) => return Box::pin(actix::fut::err(error)),
        };
        let unhide = ends
            .contains(&Deleted::Hidden)
            .then(|| self.publish(hiding(id, &on, State::Withdrawn)));
        let publishing = async move {
            match unhide {
                Some(unhide) => unhide.await.map(drop),
                None => Ok(()),
            }
        };
        let here = ends.contains(&Deleted::HiddenHere);
        let shown = publishing.into_actor(self).then(
            move |published, actor, _| -> ResponseActFuture<Self, Result<(), CommentsError>> {
                match published {
                    Ok(()) if here => actor.hide_here(id, false),
                    other => Box::pin(actix::fut::ready(other)),
                }
            },
        );
        Box::pin(shown)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
