//! Counting once, summing up, and saying it neither too often nor too late.

use proptest::prelude::*;
use seedpod_protocol::envelope::{Draft, Epoch, Stamp};
use seedpod_protocol::keys::PodKey;

use super::*;
use crate::testing;

fn key(seed: u8) -> PodKey {
    PodKey::from_seed(&[seed; 32])
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_millis(secs * 1000)
}

fn address(number: u32) -> IpAddr {
    IpAddr::from(number.to_be_bytes())
}

fn sign(author: &PodKey, seq: u64, draft: Draft) -> Verified<Record> {
    let epoch = Epoch {
        counter: 1,
        tag: [0; 8],
    };
    draft
        .sign(author, Stamp { epoch, seq })
        .expect("within the limits")
}

/// A pod with one video of its own and one of a friend's.
struct Pod {
    me: PodKey,
    friend: PodKey,
    own: VideoId,
    theirs: VideoId,
    state: Audience,
    seq: u64,
}

impl Pod {
    fn new() -> Self {
        let (me, friend) = (key(1), key(2));
        let mut state = Audience::new(me.id(), [9; 32]);
        let mut publish = |author: &PodKey, number: u8| {
            let record = sign(author, number.into(), testing::video(author.id(), number));
            state.heard(&record, at(0));
            VideoId::try_from(record.header().object).expect("a video's id")
        };
        let (own, theirs) = (publish(&me, 1), publish(&friend, 2));
        Self {
            me,
            friend,
            own,
            theirs,
            state,
            seq: 100,
        }
    }

    /// What is due, as numbers; it is heard as said.
    fn say(&mut self, now: Timestamp) -> Vec<(VideoId, Option<Tally>)> {
        let statements = self.state.due(now);
        self.state.check();
        let mut said = Vec::new();
        for Statement { video, kind, record } in statements {
            let tally = match &record {
                Some(Record::Counter(counter)) => Some(counter.tally),
                Some(Record::Contribution(part)) => Some(part.tally),
                _ => None,
            };
            let draft = match record {
                Some(record) => Draft::live(&self.me.id(), record).expect("a known kind"),
                None => Draft::withdrawn(kind, video.into()),
            };
            self.seq += 1;
            let record = sign(&self.me, self.seq, draft);
            self.state.heard(&record, now);
            said.push((video, tally));
        }
        said
    }

    fn contribute(&mut self, from: &PodKey, views: u64) {
        self.seq += 1;
        let part = Contribution {
            video: self.own,
            origin: self.me.id(),
            tally: views_of(views),
        };
        let draft = Draft::live(&from.id(), part.into()).expect("a known kind");
        self.state.heard(&sign(from, self.seq, draft), at(0));
    }
}

fn views_of(views: u64) -> Tally {
    Tally {
        views,
        ..Tally::default()
    }
}

#[test]
fn an_address_counts_once_an_hour_for_each_video() {
    let mut pod = Pod::new();
    let hour = 60 * 60;
    assert_eq!(pod.state.view(pod.own, address(1), at(0)), View::Counted(1));
    assert_eq!(pod.state.view(pod.own, address(1), at(hour - 1)), View::Again);
    assert_eq!(pod.state.view(pod.theirs, address(1), at(1)), View::Counted(1));
    assert_eq!(pod.state.view(pod.own, address(2), at(1)), View::Counted(2));
    assert_eq!(pod.state.view(pod.own, address(1), at(hour)), View::Counted(3));
    let mapped = "::ffff:0.0.0.1".parse().expect("an address");
    assert_eq!(pod.state.view(pod.own, mapped, at(hour)), View::Again);
    let unknown = VideoId::derive(&pod.me.id(), &[77; 16]);
    assert_eq!(pod.state.view(unknown, address(1), at(0)), View::Unknown);
}

#[test]
fn a_household_of_ipv6_is_one_viewer() {
    let mut pod = Pod::new();
    let mut view = |text: &str| pod.state.view(pod.own, text.parse().expect("an address"), at(0));
    assert_eq!(view("2001:db8:0:1::1"), View::Counted(1));
    assert_eq!(view("2001:db8:0:1:ffff::2"), View::Again);
    assert_eq!(view("2001:db8:0:2::1"), View::Counted(2));
}

#[test]
fn viewers_are_forgotten_when_there_are_too_many() {
    let mut pod = Pod::new();
    for number in 0..=u32::try_from(MAX_VIEWERS).expect("a small number") {
        pod.state.view(pod.own, address(number), at(0));
    }
    pod.state.check();
    assert!(matches!(
        pod.state.view(pod.own, address(0), at(1)),
        View::Counted(_)
    ));
}

#[test]
fn the_last_rating_of_a_user_counts() {
    let mut pod = Pod::new();
    let tallies = |pod: &mut Pod, now| pod.say(at(now)).last().and_then(|(_, tally)| *tally);
    pod.state.rate(pod.own, "ann", Some(Rating::Like));
    pod.state.rate(pod.own, "bob", Some(Rating::Like));
    assert_eq!(tallies(&mut pod, 0).map(|t| (t.likes, t.dislikes)), Some((2, 0)));
    assert_eq!(
        pod.state.rate(pod.own, "ann", Some(Rating::Dislike)),
        Some(Rating::Like)
    );
    assert_eq!(tallies(&mut pod, 10).map(|t| (t.likes, t.dislikes)), Some((1, 1)));
    pod.state.rate(pod.own, "ann", None);
    pod.state.rate(pod.own, "ann", None);
    assert_eq!(tallies(&mut pod, 20).map(|t| (t.likes, t.dislikes)), Some((1, 0)));
    assert_eq!(pod.state.rating(&pod.own, "ann"), None);
    assert_eq!(pod.state.rating(&pod.own, "bob"), Some(Rating::Like));
}

#[test]
fn the_origin_says_the_sum_and_everybody_else_their_part() {
    let mut pod = Pod::new();
    let (friend, other) = (pod.friend.id(), key(3));
    pod.state.view(pod.own, address(1), at(0));
    pod.state.view(pod.theirs, address(1), at(0));
    pod.contribute(&key(2), 10);
    pod.contribute(&other, 100);
    pod.contribute(&other, 90);
    let mut said = pod.say(at(0));
    said.sort_unstable_by_key(|(video, _)| *video != pod.own);
    assert_eq!(
        said,
        [(pod.own, Some(views_of(101))), (pod.theirs, Some(views_of(1)))]
    );
    assert_eq!(pod.say(at(10)), []);
    pod.state.forget_author(&other.id());
    assert_eq!(pod.say(at(20)), [(pod.own, Some(views_of(11)))]);
    pod.state.forget_author(&friend);
    assert_eq!(pod.say(at(30)), [(pod.own, Some(views_of(1)))]);
}

#[test]
fn a_part_for_another_origin_or_by_ourselves_is_no_part() {
    let mut pod = Pod::new();
    for (seq, author, origin) in [(1, key(2), key(3).id()), (2, key(1), key(1).id())] {
        let part = Contribution {
            video: pod.own,
            origin,
            tally: views_of(5),
        };
        let draft = Draft::live(&author.id(), part.into()).expect("a known kind");
        pod.state.heard(&sign(&author, seq, draft), at(0));
    }
    pod.state.check();
    pod.state.view(pod.own, address(1), at(10));
    assert_eq!(pod.say(at(10)), [(pod.own, Some(views_of(1)))]);
}

#[test]
fn nothing_is_said_twice_within_a_moment_and_nothing_is_forgotten() {
    let mut pod = Pod::new();
    pod.state.view(pod.own, address(1), at(0));
    assert_eq!(pod.say(at(0)), [(pod.own, Some(views_of(1)))]);
    pod.state.view(pod.own, address(2), at(1));
    assert_eq!(pod.say(at(1)), []);
    assert_eq!(pod.say(at(2)), []);
    assert_eq!(pod.say(at(3)), [(pod.own, Some(views_of(2)))]);
    assert_eq!(pod.say(at(9)), []);
}

#[test]
fn numbers_of_a_video_that_is_gone_are_taken_back_and_come_again_with_it() {
    let mut pod = Pod::new();
    pod.state.view(pod.theirs, address(1), at(0));
    assert_eq!(pod.say(at(0)), [(pod.theirs, Some(views_of(1)))]);
    // Somebody else's word about it means nothing.
    let stranger = sign(&key(5), 1, Draft::removed(Kind::VIDEO, pod.theirs.into()));
    pod.state.heard(&stranger, at(1));
    assert_eq!(pod.say(at(5)), []);
    let withdrawn = sign(&pod.friend, 50, Draft::withdrawn(Kind::VIDEO, pod.theirs.into()));
    pod.state.heard(&withdrawn, at(5));
    assert_eq!(pod.say(at(5)), [(pod.theirs, None)]);
    let again = sign(&pod.friend, 51, testing::video(pod.friend.id(), 2));
    pod.state.heard(&again, at(9));
    assert_eq!(pod.say(at(9)), [(pod.theirs, Some(views_of(1)))]);
}

#[test]
fn more_than_is_said_at_once_is_said_the_next_time() {
    let mut pod = Pod::new();
    let count = STATEMENTS_AT_ONCE + 20;
    for number in 0..count {
        let video = VideoId::derive(&pod.me.id(), &(number as u128).to_be_bytes());
        pod.state.origins.insert(video, pod.me.id());
        pod.state.view(video, address(1), at(0));
    }
    assert_eq!(pod.say(at(0)).len(), STATEMENTS_AT_ONCE);
    assert_eq!(pod.say(at(1)).len(), 20);
    assert_eq!(pod.say(at(9)), []);
}

proptest! {
    #[test]
    fn what_is_said_in_the_end_is_what_happened(
        events in prop::collection::vec((0..3_u8, 0..4_u32, 0..3_u8), 0..60),
    ) {
        let mut pod = Pod::new();
        let mut ratings = HashMap::new();
        let mut viewers = HashSet::new();
        let mut last = Tally::default();
        for (second, (event, who, what)) in (0..).zip(events) {
            match event {
                0 => {
                    pod.state.view(pod.own, address(who), at(second));
                    viewers.insert(who);
                }
                1 => {
                    let rating = [None, Some(Rating::Like), Some(Rating::Dislike)][usize::from(what)];
                    pod.state.rate(pod.own, &who.to_string(), rating);
                    ratings.insert(who, rating);
                }
                _ => last = pod.say(at(second)).last().and_then(|(_, tally)| *tally).unwrap_or(last),
            }
        }
        last = pod.say(at(1000)).last().and_then(|(_, tally)| *tally).unwrap_or(last);
        let count = |rating| ratings.values().filter(|held| **held == Some(rating)).count() as u64;
        let happened = Tally {
            views: viewers.len() as u64,
            likes: count(Rating::Like),
            dislikes: count(Rating::Dislike),
        };
        prop_assert_eq!(last, happened);
    }
}
