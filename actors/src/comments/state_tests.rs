//! What is shown, to whom it is left, and that neither depends on the order in which records arrive.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use proptest::prelude::*;
use seedpod_protocol::envelope::{Draft, Epoch, Stamp, Verified};
use seedpod_protocol::keys::PodKey;

use super::*;
use crate::testing;

/// Pod 1 is this one and publishes the video; 2 and 3 are friends.
fn key(seed: u8) -> PodKey {
    PodKey::from_seed(&[seed; 32])
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_millis(secs * 1000)
}

fn on() -> Subject {
    Subject {
        video: VideoId::derive(&key(1).id(), &[1; 16]),
        origin: key(1).id(),
    }
}

fn comment(nonce: u8, reply: Option<Reply>) -> Comment {
    Comment {
        nonce: [nonce; 16],
        video: on().video,
        origin: on().origin,
        reply,
        owner: "root".to_owned(),
        display_name: None,
        text: format!("comment {nonce}"),
        created_at: at(100 + u64::from(nonce)),
        updated_at: at(100 + u64::from(nonce)),
    }
}

/// A record as the catalog tells of it; its number follows from its register.
fn held(author: u8, seq: u64, draft: Draft) -> HeldRecord {
    let epoch = Epoch {
        counter: 1,
        tag: [0; 8],
    };
    let record: Verified<Record> = draft.sign(&key(author), Stamp { epoch, seq }).unwrap();
    let register = record.header().key();
    HeldRecord {
        number: u64::from(u32::from_be_bytes(*register.as_bytes().first_chunk().unwrap())),
        record,
        received_at: at(1_000),
        via: key(author).id(),
    }
}

fn says(author: u8, comment: Comment) -> HeldRecord {
    held(author, 1, Draft::live(&key(author).id(), comment.into()).unwrap())
}

fn removes(author: u8, id: CommentId) -> HeldRecord {
    held(author, 2, Draft::removed(Kind::COMMENT, id.into()))
}

fn hides(author: u8, id: CommentId, seq: u64, hidden: bool) -> HeldRecord {
    let hide = Hide {
        comment: id,
        video: on().video,
    };
    let draft = match hidden {
        true => Draft::live(&key(author).id(), hide.into()).unwrap(),
        false => Draft::withdrawn(Kind::HIDE, id.into()),
    };
    held(author, seq, draft)
}

fn to(thread: CommentId, to: CommentId) -> Option<Reply> {
    Some(Reply { thread, to })
}

/// A thread, whether its beginning is shown, and its replies with what they answer.
type ShownThread = (CommentId, bool, Vec<(CommentId, Option<u64>)>);

/// A conversation on this pod.
struct Room(Conversation);

impl Room {
    fn new() -> Self {
        Self(Conversation::new(key(1).id()))
    }

    fn hears(&mut self, record: &HeldRecord) -> CommentId {
        self.0.apply(record);
        self.0.check();
        CommentId::try_from(record.record.header().object).unwrap()
    }

    /// Every thread by time, with whether its beginning is shown, and its replies with what they answer.
    fn shown(&self) -> Vec<ShownThread> {
        let (total, rows) = self.0.page(&on(), "root", (ThreadOrder::Time, false), 0, 100);
        assert_eq!(total, rows.len());
        let thread = |row: &Seen| {
            let (root, replies) = self.0.thread(&on(), "root", CommentKey::Id(row.id), 100).unwrap();
            assert_eq!(root.replies as usize, replies.len());
            assert_eq!(self.0.resolve(CommentKey::Number(row.number)), Some(row.id));
            let replies = replies.iter().map(|reply| (reply.id, reply.in_reply_to));
            (row.id, root.author.is_some(), replies.collect::<Vec<_>>())
        };
        let shown: Vec<_> = rows.iter().map(thread).collect();
        let count: usize = shown
            .iter()
            .map(|(_, whole, replies)| usize::from(*whole) + replies.len())
            .sum();
        assert_eq!(self.0.count(&on()), count as u64);
        shown
    }

    fn ids(&self) -> Vec<CommentId> {
        self.shown().into_iter().map(|(id, ..)| id).collect()
    }
}

#[test]
fn replies_stand_in_their_thread_and_wait_for_it() {
    let mut room = Room::new();
    let first = says(2, comment(1, None));
    let thread = comment(1, None).id(&key(2).id());
    let second = comment(2, to(thread, thread));
    let second_id = second.id(&key(3).id());
    let third = room.hears(&says(2, comment(3, to(thread, second_id))));
    room.hears(&says(3, second));
    assert_eq!(room.shown(), [], "what is answered has not arrived");
    room.hears(&first);
    let number = |id| room.0.comments[&id].number;
    assert_eq!(
        room.shown(),
        [(
            thread,
            true,
            vec![
                (second_id, Some(number(thread))),
                (third, Some(number(second_id)))
            ]
        )]
    );
}

#[test]
fn threads_are_ordered_by_time_and_by_replies() {
    let mut room = Room::new();
    let quiet = room.hears(&says(2, comment(5, None)));
    let loud = room.hears(&says(3, comment(4, None)));
    room.hears(&says(1, comment(6, to(loud, loud))));
    let page = |order, descending, start, count| {
        let (total, rows) = room.0.page(&on(), "root", (order, descending), start, count);
        assert_eq!(total, 2);
        rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(page(ThreadOrder::Time, true, 0, 5), [quiet, loud]);
    assert_eq!(page(ThreadOrder::Time, false, 0, 5), [loud, quiet]);
    assert_eq!(page(ThreadOrder::Replies, true, 0, 5), [loud, quiet]);
    assert_eq!(page(ThreadOrder::Time, true, 1, 5), [loud]);
    assert_eq!(page(ThreadOrder::Time, true, 0, 1), [quiet]);
    assert_eq!(page(ThreadOrder::Time, true, 2, 5), []);
    let (root, _) = room.0.thread(&on(), "root", CommentKey::Id(loud), 5).unwrap();
    assert_eq!((root.replies, root.replies_by_publisher), (1, 1));
    let (root, _) = room.0.thread(&on(), "another", CommentKey::Id(loud), 5).unwrap();
    assert_eq!((root.replies, root.replies_by_publisher), (1, 0));
}

#[test]
fn a_comment_from_the_future_counts_as_of_its_arrival() {
    let mut room = Room::new();
    let future = Comment {
        created_at: at(9_999_999),
        ..comment(1, None)
    };
    let id = room.hears(&says(2, future));
    assert_eq!(room.0.comments[&id].at, at(1_000));
}

#[test]
fn what_was_deleted_stands_for_its_replies_alone() {
    let mut room = Room::new();
    let thread = room.hears(&says(2, comment(1, None)));
    let reply = room.hears(&says(3, comment(2, to(thread, thread))));
    let removal = removes(2, thread);
    room.hears(&removal);
    assert_eq!(
        room.shown(),
        [(thread, false, vec![(reply, Some(removal.number))])]
    );
    room.hears(&removes(3, reply));
    assert_eq!(room.shown(), []);
    assert!(room.0.threads.is_empty(), "nothing is left of it");
    // Who hears of it all later sees the same.
    let mut later = Room::new();
    later.hears(&says(3, comment(2, to(thread, thread))));
    later.hears(&removal);
    assert_eq!(
        later.shown(),
        [(thread, false, vec![(reply, Some(removal.number))])]
    );
    later.0.forget_author(&key(3).id());
    assert!(later.0.threads.is_empty(), "nothing is left of it");
}

#[test]
fn while_a_comment_is_held_its_authors_word_alone_counts() {
    let (theirs, strangers) = (says(2, comment(1, None)), removes(3, thread_of(2)));
    let reply = says(1, comment(2, to(thread_of(2), thread_of(2))));
    let mut rooms = [Room::new(), Room::new()];
    for record in [&theirs, &strangers, &reply] {
        rooms[0].hears(record);
    }
    for record in [&strangers, &reply, &theirs] {
        rooms[1].hears(record);
    }
    for room in &mut rooms {
        assert!(room.shown()[0].1, "the comment is shown");
        room.0.forget_author(&key(2).id());
        room.0.check();
    }
    // Somebody says it is gone, and nobody that it is there.
    let mut fresh = Room::new();
    fresh.hears(&strangers);
    fresh.hears(&reply);
    assert!(!fresh.shown()[0].1);
    for room in &rooms {
        assert_eq!(room.shown(), fresh.shown(), "whatever came first");
    }
}

/// The comment with nonce 1 of an author.
fn thread_of(author: u8) -> CommentId {
    comment(1, None).id(&key(author).id())
}

#[test]
fn the_origin_hides_and_nobody_else() {
    let mut room = Room::new();
    let thread = room.hears(&says(2, comment(1, None)));
    let reply = room.hears(&says(3, comment(2, to(thread, thread))));
    room.hears(&hides(2, reply, 5, true));
    room.hears(&hides(3, thread, 5, true));
    assert_eq!(room.0.count(&on()), 2, "theirs is not the video");
    room.hears(&hides(1, reply, 5, true));
    assert_eq!(room.shown()[0].2, []);
    assert_eq!(room.0.hidden(&on(), 10)[0].id, reply);
    room.hears(&hides(1, thread, 6, true));
    assert_eq!(room.shown(), []);
    room.hears(&hides(1, reply, 7, false));
    assert!(!room.shown()[0].1, "the thread is there for its reply");
    room.hears(&hides(1, thread, 8, false));
    assert!(room.shown()[0].1);
    assert_eq!(room.0.hidden(&on(), 10), []);
}

#[test]
fn a_hide_may_come_before_what_it_hides() {
    let mut room = Room::new();
    let id = comment(1, None).id(&key(2).id());
    room.hears(&hides(1, id, 5, true));
    room.hears(&says(2, comment(1, None)));
    assert_eq!(room.shown(), []);
    // A hide that names another video is none of this one.
    let elsewhere = Hide {
        comment: id,
        video: VideoId::derive(&key(1).id(), &[2; 16]),
    };
    let draft = Draft::live(&key(1).id(), elsewhere.into()).unwrap();
    room.hears(&held(1, 6, draft));
    assert_eq!(room.ids(), [id]);
}

#[test]
fn what_leaves_with_a_friend_comes_back_with_it() {
    let mut room = Room::new();
    let records = [
        says(2, comment(1, None)),
        says(
            3,
            comment(
                2,
                to(
                    comment(1, None).id(&key(2).id()),
                    comment(1, None).id(&key(2).id()),
                ),
            ),
        ),
        says(3, comment(3, None)),
    ];
    for record in &records {
        room.hears(record);
    }
    let before = room.shown();
    assert_eq!(before.len(), 2);
    room.0.forget_author(&key(2).id());
    room.0.check();
    assert_eq!(room.shown().len(), 1, "the reply waits for what it answers");
    room.0.forget_author(&key(3).id());
    room.0.check();
    assert_eq!(room.shown(), []);
    for record in records.iter().rev() {
        room.hears(record);
    }
    assert_eq!(room.shown(), before);
}

#[test]
fn a_word_about_a_comment_by_somebody_else_leaves_with_them() {
    let mut room = Room::new();
    let thread = comment(1, None).id(&key(2).id());
    room.hears(&says(3, comment(2, to(thread, thread))));
    room.hears(&removes(4, thread));
    assert_eq!(room.ids(), [thread], "we cannot know better");
    room.hears(&says(2, comment(1, None)));
    assert!(room.shown()[0].1);
    room.hears(&removes(2, thread));
    room.0.forget_author(&key(4).id());
    room.0.check();
    assert!(!room.shown()[0].1);
}

#[test]
fn a_reply_in_a_thread_of_another_video_is_not_shown() {
    let mut room = Room::new();
    let thread = room.hears(&says(2, comment(1, None)));
    let elsewhere = Comment {
        video: VideoId::derive(&key(1).id(), &[9; 16]),
        ..comment(2, to(thread, thread))
    };
    let reply = room.hears(&says(3, elsewhere));
    let claimed = room.hears(&says(3, comment(4, to(reply, reply))));
    assert_eq!(room.shown(), [(thread, true, vec![])]);
    assert_eq!(room.0.one(&on(), CommentKey::Id(reply)), None);
    assert_eq!(room.0.one(&on(), CommentKey::Id(claimed)), None);
}

#[test]
fn who_may_do_what() {
    let mut room = Room::new();
    let theirs = room.hears(&says(2, comment(1, None)));
    let ours = room.hears(&says(1, comment(2, None)));
    let may = |room: &Room, on: &Subject, id, who: &str, standing| {
        let deletion = room.0.deletion(on, CommentKey::Id(id), who, standing);
        deletion
            .map(|deletion| deletion.what)
            .map_err(|error| error.to_string())
    };
    use Standing::{Moderator, Publisher, User};
    assert_eq!(may(&room, &on(), ours, "root", User), Ok(Deleted::Removed));
    assert!(may(&room, &on(), ours, "other", User).is_err());
    assert!(
        may(&room, &on(), theirs, "root", User).is_err(),
        "the same handle elsewhere is somebody else"
    );
    assert_eq!(may(&room, &on(), theirs, "other", Publisher), Ok(Deleted::Hidden));
    assert_eq!(may(&room, &on(), ours, "other", Publisher), Ok(Deleted::Hidden));
    assert_eq!(may(&room, &on(), ours, "other", Moderator), Ok(Deleted::Removed));
    assert_eq!(may(&room, &on(), theirs, "other", Moderator), Ok(Deleted::Hidden));
    // About a video of another pod.
    let far = Subject {
        video: VideoId::derive(&key(2).id(), &[1; 16]),
        origin: key(2).id(),
    };
    let about_far = |nonce| Comment {
        video: far.video,
        origin: far.origin,
        ..comment(nonce, None)
    };
    let theirs = room.hears(&says(2, about_far(1)));
    let ours = room.hears(&says(1, about_far(2)));
    assert_eq!(
        may(&room, &far, theirs, "mod", Moderator),
        Ok(Deleted::HiddenHere)
    );
    assert!(may(&room, &far, theirs, "root", Publisher).is_err());
    assert_eq!(may(&room, &far, ours, "mod", Moderator), Ok(Deleted::Removed));
    assert!(
        may(&room, &on(), theirs, "mod", Moderator).is_err(),
        "it is not about this video"
    );
    room.0.hide_here(theirs, true);
    room.0.check();
    assert_eq!(room.0.one(&far, CommentKey::Id(theirs)), None);
    let showing = room.0.showing(&far, CommentKey::Id(theirs), Moderator).unwrap();
    assert_eq!(showing, (theirs, vec![Deleted::HiddenHere]));
    assert!(room.0.showing(&far, CommentKey::Id(theirs), User).is_err());
}

#[test]
fn nobody_writes_faster_than_people_do() {
    let mut room = Room::new();
    let mut write = |who: &str, secs| room.0.may_write(&on(), who, None, at(secs));
    for _ in 0..BURST {
        assert!(write("ann", 0).is_ok());
    }
    assert!(
        matches!(write("ann", 59), Err(CommentsError::TooFast { wait }) if wait == Duration::from_secs(1))
    );
    assert!(write("bob", 59).is_ok());
    assert!(write("ann", 60).is_ok());
    let nothing = CommentKey::Number(7);
    assert!(matches!(
        room.0.may_write(&on(), "bob", Some(nothing), at(60)),
        Err(CommentsError::Unknown)
    ));
}

#[test]
fn an_answer_to_a_reply_stays_in_the_thread() {
    let mut room = Room::new();
    let thread = room.hears(&says(2, comment(1, None)));
    let reply = room.hears(&says(3, comment(2, to(thread, thread))));
    let place = room
        .0
        .may_write(&on(), "root", Some(CommentKey::Id(reply)), at(0))
        .unwrap();
    assert_eq!(place, to(thread, reply));
}

/// Comments of three pods, some in reply to others, with removals and hides: whatever pods may say.
fn history(choices: &[(u8, u8, u8)]) -> Vec<HeldRecord> {
    let mut records = Vec::new();
    let mut known: Vec<(u8, CommentId, CommentId)> = Vec::new();
    for (nonce, (who, what, which)) in (1_u8..).zip(choices) {
        let author = who % 3 + 1;
        let chosen = known.get(usize::from(*which) % known.len().max(1)).copied();
        match (what % 5, chosen) {
            (0 | 1, Some((_, thread, id))) => {
                let reply = comment(nonce, to(thread, id));
                known.push((author, thread, reply.id(&key(author).id())));
                records.push(says(author, reply));
            }
            (2, Some((by, _, id))) => records.push(removes(by, id)),
            (3, Some((_, _, id))) => records.push(hides(author, id, u64::from(nonce), which % 2 == 0)),
            _ => {
                let first = comment(nonce, None);
                let id = first.id(&key(author).id());
                known.push((author, id, id));
                records.push(says(author, first));
            }
        }
    }
    records
}

/// The heads of their registers.
fn heads(records: &[HeldRecord]) -> Vec<HeldRecord> {
    let mut heads = BTreeMap::new();
    for record in records {
        let head = heads
            .entry(record.record.header().key())
            .or_insert_with(|| record.clone());
        if record.record.rank() > head.record.rank() {
            *head = record.clone();
        }
    }
    heads.into_values().collect()
}

proptest! {
    #[test]
    fn what_is_shown_is_a_function_of_what_is_held(
        choices in prop::collection::vec(any::<(u8, u8, u8)>(), 0..30),
        order in prop::collection::vec(any::<prop::sample::Index>(), 30),
        leaves in prop::option::of(1..4_u8),
    ) {
        let records = history(&choices);
        // One hears everything as it happens, another the heads alone in any order, a third sees a friend come and go.
        let mut first = Room::new();
        for record in &records {
            // The catalog tells of heads only.
            let key = record.record.header().key();
            let newer = records.iter().take_while(|other| !std::ptr::eq(*other, record));
            if newer.filter(|other| other.record.header().key() == key).all(|other| other.record.rank() < record.record.rank()) {
                first.hears(record);
            }
        }
        let mut rest = heads(&records);
        let mut second = Room::new();
        for index in order {
            if rest.is_empty() {
                break;
            }
            let record = rest.swap_remove(index.index(rest.len()));
            second.hears(&record);
        }
        for record in rest {
            second.hears(&record);
        }
        prop_assert_eq!(first.shown(), second.shown());
        if let Some(leaves) = leaves {
            let author = key(leaves).id();
            second.0.forget_author(&author);
            second.0.check();
            for record in heads(&records).iter().filter(|record| record.record.header().author == author) {
                second.hears(record);
            }
            prop_assert_eq!(first.shown(), second.shown());
        }
    }
}

#[test]
fn a_profile_comes_and_goes() {
    let mut room = Room::new();
    room.0.apply(&held(2, 1, testing::profile(key(2).id(), "Two")));
    assert_eq!(room.0.profile(&key(2).id()).unwrap().name, "Two");
    room.0.forget_author(&key(2).id());
    assert_eq!(room.0.profile(&key(2).id()), None);
}
