//! Every byte once, and nobody believed further than a video is long.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use proptest::prelude::*;
use seedpod_protocol::envelope::{Draft, Epoch, Stamp};
use seedpod_protocol::keys::PodKey;

use super::*;
use crate::seeder::messages::Source;
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

fn head(author: &PodKey, seq: u64, draft: Draft) -> HeldRecord {
    let epoch = Epoch {
        counter: 1,
        tag: [0; 8],
    };
    HeldRecord {
        record: draft.sign(author, Stamp { epoch, seq }).unwrap(),
        number: seq,
        received_at: Timestamp::EPOCH,
        via: author.id(),
    }
}

/// A meter that knows one video of this pod and one of a friend.
struct Pod {
    meter: Meter,
    friend: PodKey,
    own: VideoId,
    theirs: VideoId,
    /// The torrent and the size of the friend's.
    torrent: InfoHash,
    size: u64,
}

impl Pod {
    fn new() -> Self {
        let (me, friend) = (key(1), key(2));
        let mut meter = Meter::new(me.id(), [9; 32]);
        let mut publish = |author: &PodKey, number: u8| {
            let held = head(author, number.into(), testing::video(author.id(), number));
            meter.heard(&held);
            VideoId::try_from(held.record.header().object).unwrap()
        };
        let (own, theirs) = (publish(&me, 1), publish(&friend, 2));
        let film = &meter.videos[&theirs];
        let (torrent, size) = (film.torrents[0], film.size);
        assert!(size > 0);
        Self {
            meter,
            friend,
            own,
            theirs,
            torrent,
            size,
        }
    }

    fn tell(&mut self, from: u32, told: Told, now: u64) -> Result<Told, MeterError> {
        let believed = self.meter.tell(self.theirs, address(from), told, at(now));
        self.meter.check();
        believed
    }

    fn told(&self) -> Told {
        self.meter.figures(&self.theirs).told
    }
}

fn got(from_viewers: u64) -> Told {
    Told {
        from_viewers,
        ..Told::default()
    }
}

fn web_seed(bytes: u64) -> Carried {
    let mut carried = Carried::default();
    carried.add(bytes, Source::WebSeed);
    carried
}

const LIES: Told = Told {
    from_viewers: u64::MAX,
    from_pods: u64::MAX,
    given: u64::MAX,
};

#[test]
fn what_was_sent_counts_once_for_its_video_and_once_in_all() {
    let mut pod = Pod::new();
    let stranger = InfoHash::from_bytes([0xee; 20]);
    for _ in 0..2 {
        pod.meter.sent(&Sent {
            torrents: vec![(pod.torrent, web_seed(5)), (stranger, web_seed(100))],
            others: web_seed(1),
        });
    }
    assert_eq!(pod.meter.figures(&pod.theirs).sent, web_seed(10));
    assert_eq!(pod.meter.figures(&pod.own), Figures::default());
    assert_eq!(pod.meter.all().sent, web_seed(212));
    pod.meter.check();
}

#[test]
fn a_liar_changes_nothing_beyond_a_cap() {
    let mut pod = Pod::new();
    let cap = Told {
        from_viewers: RECEIVED_TIMES * pod.size,
        from_pods: RECEIVED_TIMES * pod.size,
        given: GIVEN_TIMES * pod.size,
    };
    assert_eq!(pod.tell(1, LIES, 0), Ok(cap));
    for second in 1..100 {
        assert_eq!(pod.tell(1, LIES, second), Ok(Told::default()));
    }
    assert_eq!(pod.told(), cap);
    // Of somebody else the same is believed, and of the liar an hour later.
    assert_eq!(pod.tell(2, got(7), 100), Ok(got(7)));
    assert_eq!(pod.tell(1, got(7), 3600), Ok(got(7)));
    assert_eq!(pod.told().from_viewers, cap.from_viewers + 14);
    assert_eq!(pod.meter.all().told, pod.told());
}

#[test]
fn a_lie_cannot_make_measured_bytes_vanish() {
    let mut pod = Pod::new();
    pod.meter.sent(&Sent {
        torrents: vec![(pod.torrent, web_seed(1000))],
        others: Carried::default(),
    });
    pod.tell(1, got(10), 0).unwrap();
    let figures = pod.meter.figures(&pod.theirs);
    assert_eq!(
        (figures.by_viewers(), figures.by_pods(), figures.in_all()),
        (10, 1000, 1010)
    );
}

#[test]
fn one_network_is_one_teller() {
    let mut pod = Pod::new();
    let video = pod.theirs;
    let tell = |meter: &mut Meter, from: &str| {
        let told = meter.tell(video, from.parse().unwrap(), LIES, at(0));
        told.unwrap().from_viewers
    };
    assert!(tell(&mut pod.meter, "2001:db8::1") > 0);
    assert_eq!(tell(&mut pod.meter, "2001:db8::2"), 0);
    assert!(tell(&mut pod.meter, "2001:db8:0:1::1") > 0);
    assert!(tell(&mut pod.meter, "192.0.2.1") > 0);
    assert_eq!(tell(&mut pod.meter, "::ffff:192.0.2.1"), 0);
}

#[test]
fn telling_has_a_rate_and_tellers_a_number() {
    let mut pod = Pod::new();
    for _ in 0..REPORTS_AN_HOUR {
        pod.tell(1, Told::default(), 0).unwrap();
    }
    assert_eq!(pod.tell(1, got(1), 0), Err(MeterError::TooOften));
    assert_eq!(pod.tell(2, got(1), 0), Ok(got(1)));
    let video = pod.theirs;
    for number in 0..u32::try_from(MAX_TELLERS).unwrap() + 10 {
        let _ = pod.meter.tell(video, address(number), got(1), at(1));
    }
    pod.meter.check();
    assert_eq!(pod.tell(4_000_000_000, got(1), 2), Err(MeterError::Full));
    assert_eq!(pod.tell(2, got(1), 2), Ok(got(1)), "whoever is known is heard");
    assert_eq!(
        pod.tell(4_000_000_000, got(1), 3601),
        Ok(got(1)),
        "there is room again"
    );
}

#[test]
fn figures_of_a_withdrawn_video_stay_and_those_of_a_removed_one_go() {
    let mut pod = Pod::new();
    pod.tell(1, got(5), 0).unwrap();
    assert_eq!(pod.meter.changes().videos.len(), 1);
    let friend = key(2);
    pod.meter.heard(&head(
        &friend,
        3,
        Draft::withdrawn(Kind::VIDEO, pod.theirs.into()),
    ));
    assert_eq!(pod.tell(1, got(5), 0), Err(MeterError::Unknown(pod.theirs)));
    assert_eq!(pod.told(), got(5));
    pod.meter.heard(&head(&friend, 4, testing::video(friend.id(), 2)));
    pod.tell(1, got(1), 0).unwrap();
    // A stranger's removal is nothing.
    pod.meter
        .heard(&head(&key(5), 1, Draft::removed(Kind::VIDEO, pod.theirs.into())));
    assert_eq!(pod.told(), got(6));
    pod.meter
        .heard(&head(&friend, 5, Draft::removed(Kind::VIDEO, pod.theirs.into())));
    assert_eq!(pod.told(), Told::default());
    assert_eq!(pod.meter.changes().videos, [(pod.theirs, None)]);
    assert_eq!(pod.meter.all().told, got(6), "what was carried was carried");
    pod.meter.check();
}

#[test]
fn an_author_who_leaves_takes_the_figures_along() {
    let mut pod = Pod::new();
    pod.tell(1, got(5), 0).unwrap();
    pod.meter.forget_author(&pod.friend.id());
    assert_eq!(pod.told(), Told::default());
    assert!(pod.meter.torrents.values().all(|video| *video == pod.own));
    pod.meter.check();
}

#[test]
fn what_did_not_reach_the_disk_is_written_again() {
    let mut pod = Pod::new();
    assert_eq!(pod.meter.changes(), Changes::default());
    pod.tell(1, got(5), 0).unwrap();
    let changes = pod.meter.changes();
    let figures = Figures {
        told: got(5),
        ..Figures::default()
    };
    assert_eq!(changes.videos, [(pod.theirs, Some(figures))]);
    assert_eq!(changes.all, Some(figures));
    assert_eq!(pod.meter.changes(), Changes::default());
    pod.meter.unwritten(changes);
    pod.tell(1, got(1), 0).unwrap();
    assert_eq!(pod.meter.changes().all.unwrap().told, got(6));
}

#[test]
fn a_run_goes_on_where_the_last_one_stopped() {
    let mut pod = Pod::new();
    let before = Figures {
        told: got(100),
        sent: web_seed(7),
    };
    pod.meter.restore(Some(pod.theirs), before);
    pod.meter.restore(None, before);
    pod.tell(1, got(1), 0).unwrap();
    assert_eq!((pod.told(), pod.meter.all().told), (got(101), got(101)));
    assert_eq!(pod.meter.all().sent, web_seed(7));
}

proptest! {
    #[test]
    fn the_sum_of_all_is_what_was_sent_and_believed(
        events in prop::collection::vec((0..3_u8, 0..4_u32, 0..5_000_000_u64), 0..80),
    ) {
        let mut pod = Pod::new();
        let (mut sent, mut told) = (Carried::default(), Told::default());
        for (second, (event, who, bytes)) in (0..).zip(events) {
            if event == 0 {
                let source = Source::ALL[who as usize % 3];
                let mut carried = Carried::default();
                carried.add(bytes, source);
                sent = sent.plus(carried);
                pod.meter.sent(&Sent { torrents: vec![(pod.torrent, carried)], others: Carried::default() });
            } else {
                told = told.plus(pod.tell(who, got(bytes), second).unwrap());
            }
            pod.meter.check();
        }
        let expected = Figures { sent, told };
        prop_assert_eq!(pod.meter.all(), expected);
        prop_assert_eq!(pod.meter.figures(&pod.theirs), expected);
        prop_assert!(told.from_viewers <= 4 * RECEIVED_TIMES * pod.size);
    }
}
