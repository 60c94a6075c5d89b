//! The actor over a real catalog on a real disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use seedpod_protocol::ids::VideoId;

use super::*;
use crate::catalog::messages::{Replay, Subscribe};
use crate::comments::messages::{CommentKey, Standing, ThreadOrder};
use crate::testing::{Base, run};

async fn open(base: &Base) -> Addr<CommentsActor> {
    let comments = CommentsActor::open(
        base.id(),
        base.store.clone(),
        base.catalog.clone(),
        CommentsMetrics::default(),
        base.supervisor.lifeline("comments"),
    );
    let comments = comments.unwrap().start();
    let follower = comments.clone().recipient();
    base.catalog.send(Subscribe(follower.clone())).await.unwrap();
    base.catalog.send(Replay { to: follower }).await.unwrap().unwrap();
    comments
}

fn post(on: Subject, text: &str, to: Option<CommentKey>) -> PostComment {
    PostComment {
        on,
        username: "root".to_owned(),
        text: text.to_owned(),
        to,
    }
}

async fn threads(comments: &Addr<CommentsActor>, on: Subject) -> ThreadPage {
    let list = ListThreads {
        on,
        publisher: "root".to_owned(),
        order: ThreadOrder::Time,
        descending: true,
        start: 0,
        count: 10,
    };
    comments.send(list).await.unwrap().unwrap()
}

#[test]
fn what_is_written_is_listed_at_once_and_after_a_restart() {
    run(async {
        let base = Base::open(1).await;
        let on = Subject {
            video: VideoId::derive(&base.id(), &[1; 16]),
            origin: base.id(),
        };
        let comments = open(&base).await;
        let first = comments.send(post(on, "First", None)).await.unwrap().unwrap();
        let answered = Some(CommentKey::Number(first.number));
        let reply = comments
            .send(post(on, "Second", answered))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((reply.thread, reply.in_reply_to), (first.id, Some(first.number)));
        let hidden = comments.send(post(on, "Third", answered)).await.unwrap().unwrap();
        let unwanted = |comment, username: &str, standing| DeleteComment {
            on,
            comment: CommentKey::Id(comment),
            username: username.to_owned(),
            standing,
        };
        let hide = unwanted(hidden.id, "ann", Standing::Publisher);
        assert_eq!(comments.send(hide).await.unwrap().unwrap(), Deleted::Hidden);
        let delete = unwanted(first.id, "root", Standing::User);
        assert_eq!(comments.send(delete).await.unwrap().unwrap(), Deleted::Removed);
        let again = open(&base).await;
        for room in [&comments, &again] {
            let page = threads(room, on).await;
            assert_eq!((page.total, page.comments), (1, 1));
            assert!(page.rows[0].said.is_none(), "it was deleted");
            let get = GetThread {
                on,
                publisher: "root".to_owned(),
                thread: CommentKey::Number(page.rows[0].number),
                replies: 10,
            };
            let thread = room.send(get).await.unwrap().unwrap().unwrap();
            let texts: Vec<_> = thread
                .replies
                .iter()
                .map(|reply| reply.said.clone().unwrap().text)
                .collect();
            assert_eq!(texts, ["Second"]);
            let unseen = room.send(ListHidden(on)).await.unwrap().unwrap();
            assert_eq!(unseen[0].said.clone().unwrap().text, "Third");
        }
        let show = ShowComment {
            on,
            comment: CommentKey::Id(hidden.id),
            standing: Standing::Publisher,
        };
        comments.send(show).await.unwrap().unwrap();
        assert_eq!(again.send(CountComments(vec![on])).await.unwrap(), [2]);
    });
}

#[test]
fn what_is_hidden_here_stays_hidden_and_is_said_to_nobody() {
    run(async {
        let base = Base::open(1).await;
        let elsewhere = crate::testing::key(2).id();
        let on = Subject {
            video: VideoId::derive(&elsewhere, &[1; 16]),
            origin: elsewhere,
        };
        let comments = open(&base).await;
        let said = comments.send(post(on, "Hello", None)).await.unwrap().unwrap();
        let digest = base.digest().await;
        let standing = Standing::Moderator;
        comments.send(Hidden(said.id)).await.unwrap().unwrap();
        assert_eq!(base.digest().await, digest);
        let again = open(&base).await;
        assert_eq!(threads(&again, on).await.total, 0);
        let show = ShowComment {
            on,
            comment: CommentKey::Id(said.id),
            standing,
        };
        again.send(show).await.unwrap().unwrap();
        assert_eq!(threads(&again, on).await.total, 1);
        assert_eq!(base.digest().await, digest);
    });
}

/// Hides a comment here, as a moderator does with one of a friend.
struct Hidden(CommentId);

impl Message for Hidden {
    type Result = Result<(), CommentsError>;
}

impl Handler<Hidden> for CommentsActor {
    type Result = ResponseActFuture<Self, Result<(), CommentsError>>;

    fn handle(&mut self, Hidden(id): Hidden, _: &mut Context<Self>) -> Self::Result {
        self.hide_here(id, true)
    }
}
