//! What is kept, what goes, and in which order it is fetched.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use seedpod_protocol::keys::PodKey;

use super::*;

fn pod(number: u8) -> PodId {
    PodKey::from_seed(&[number; 32]).id()
}

fn wish(origin: u8, nonce: u8, size: u64) -> Wish {
    let video = VideoId::derive(&pod(origin), &[nonce; 16]);
    Wish {
        video,
        origin: pod(origin),
        host: format!("pod-{origin}"),
        title: format!("Video {nonce}"),
        files: vec![CopyFile {
            name: format!("{video}-720.mp4").parse().unwrap(),
            info_hash: InfoHash::from_bytes([nonce; 20]),
            size,
        }],
    }
}

fn mirrors(by_hand: u64, most_viewed: u64) -> Mirrors {
    Mirrors::new(Budgets { by_hand, most_viewed })
}

fn seen(wishes: impl IntoIterator<Item = (Bucket, Vec<Wish>)>) -> Seen {
    Seen {
        let_go: HashSet::new(),
        wishes: wishes.into_iter().collect(),
    }
}

fn states(mirrors: &Mirrors) -> Vec<(String, Bucket, &'static str)> {
    let list = mirrors.list(|_| 0);
    list.into_iter()
        .map(|entry| (entry.name, entry.bucket, entry.state.word()))
        .collect()
}

fn fetch_all(mirrors: &mut Mirrors, now: Instant) -> Vec<String> {
    let mut fetched = Vec::new();
    while let Some(wish) = mirrors.next(now) {
        fetched.push(wish.title);
        let effect = mirrors.fetched(&wish.video, Ok(()), now);
        assert_eq!(effect, [Effect::Serve(wish.video), Effect::Announce(wish.video)]);
        mirrors.announced(&wish.video);
    }
    fetched
}

#[test]
fn each_bucket_takes_what_fits_and_the_first_one_pays() {
    let mut mirrors = mirrors(100, 250);
    mirrors.set_budget(Bucket::Friend(pod(3)), Some(120));
    let (a, b, c, d) = (wish(3, 1, 60), wish(3, 2, 70), wish(3, 3, 100), wish(4, 4, 150));
    let effects = mirrors.plan(seen([
        (Bucket::Hand, vec![a.clone(), b.clone()]),
        (Bucket::Friend(pod(3)), vec![a.clone(), b, c.clone()]),
        (Bucket::MostViewed, vec![a, d, c, wish(4, 5, 1)]),
    ]));
    assert_eq!(effects.len(), 4);
    let found: Vec<(String, Bucket)> = states(&mirrors)
        .into_iter()
        .map(|(name, bucket, _)| (name, bucket))
        .collect();
    let expected = [
        ("Video 1", Bucket::Hand),
        ("Video 2", Bucket::Friend(pod(3))),
        ("Video 3", Bucket::MostViewed),
        ("Video 4", Bucket::MostViewed),
    ];
    assert_eq!(
        found,
        expected.map(|(name, bucket)| (name.to_owned(), bucket)),
        "the last byte of 251 is left out"
    );
    for budget in mirrors.budgets(|_| None) {
        assert!(budget.used <= budget.limit, "{budget:?}");
    }
}

#[test]
fn what_does_not_fit_is_said_and_fetched_when_there_is_room() {
    let (mut mirrors, now) = (mirrors(10, 0), Instant::now());
    let chosen = seen([(Bucket::Hand, vec![wish(3, 1, 11)])]);
    assert_eq!(mirrors.plan(chosen.clone()), []);
    assert_eq!(
        states(&mirrors),
        [("Video 1".to_owned(), Bucket::Hand, "over-budget")]
    );
    assert_eq!(mirrors.next(now), None);
    mirrors.set_budget(Bucket::Hand, Some(11));
    let effects = mirrors.plan(chosen.clone());
    assert_eq!(effects, [Effect::Remember(wish(3, 1, 11).video)]);
    assert_eq!(fetch_all(&mut mirrors, now), ["Video 1"]);
    // A budget that shrinks takes its copies along.
    mirrors.set_budget(Bucket::Hand, None);
    let effects = mirrors.plan(chosen);
    assert!(
        matches!(&effects[..], [Effect::Drop { announced: true, .. }]),
        "{effects:?}"
    );
}

#[test]
fn a_video_that_is_gone_goes_with_its_offer_and_one_of_a_friend_who_is_away_stays() {
    let (mut mirrors, now) = (mirrors(1000, 0), Instant::now());
    let (gone, away) = (wish(3, 1, 10), wish(4, 2, 10));
    mirrors.choose(away.video);
    mirrors.plan(seen([(Bucket::Hand, vec![gone.clone(), away.clone()])]));
    fetch_all(&mut mirrors, now);
    let effects = mirrors.plan(Seen {
        let_go: [pod(4)].into(),
        wishes: BTreeMap::new(),
    });
    let [
        Effect::Drop {
            video,
            announced: true,
            files,
        },
    ] = &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!((*video, files.len()), (gone.video, 1));
    assert_eq!(states(&mirrors), [("Video 2".to_owned(), Bucket::Hand, "whole")]);

    // While its files are being deleted it is not fetched again.
    mirrors.plan(seen([(Bucket::Hand, vec![gone.clone(), away])]));
    assert_eq!(mirrors.next(now), None);
    assert_eq!(mirrors.dropped(&gone.video), Some(Effect::Remember(gone.video)));
    assert_eq!(mirrors.next(now).map(|wish| wish.video), Some(gone.video));
}

#[test]
fn what_is_kept_of_a_friend_who_is_away_can_be_let_go_and_has_to_fit() {
    let (mut mirrors, now) = (mirrors(1000, 0), Instant::now());
    let away = [wish(4, 1, 10), wish(4, 2, 10)];
    for wish in &away {
        mirrors.choose(wish.video);
    }
    mirrors.plan(seen([(Bucket::Hand, away.to_vec())]));
    fetch_all(&mut mirrors, now);
    let let_go = Seen {
        let_go: [pod(4)].into(),
        wishes: BTreeMap::new(),
    };
    assert_eq!(mirrors.plan(let_go.clone()), []);
    mirrors.unchoose(&away[0].video);
    let effects = mirrors.plan(let_go.clone());
    assert!(
        matches!(&effects[..], [Effect::Drop { video, .. }] if *video == away[0].video),
        "{effects:?}"
    );
    mirrors.set_budget(Bucket::Hand, Some(9));
    let effects = mirrors.plan(let_go);
    assert!(
        matches!(&effects[..], [Effect::Drop { video, .. }] if *video == away[1].video),
        "{effects:?}"
    );
}

#[test]
fn an_offer_that_is_on_its_way_is_taken_back_too() {
    let (mut mirrors, now) = (mirrors(1000, 0), Instant::now());
    mirrors.plan(seen([(Bucket::Hand, vec![wish(3, 1, 10)])]));
    let video = mirrors.next(now).unwrap().video;
    mirrors.fetched(&video, Ok(()), now);
    // The disk has not answered yet.
    let effects = mirrors.plan(seen([]));
    assert!(
        matches!(&effects[..], [Effect::Drop { announced: true, .. }]),
        "{effects:?}"
    );
}

#[test]
fn what_could_not_be_written_down_is_tried_again() {
    let mut mirrors = mirrors(1000, 0);
    let wanted = seen([(Bucket::Hand, vec![wish(3, 1, 10)])]);
    let effects = mirrors.plan(wanted.clone());
    let [Effect::Remember(video)] = effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(mirrors.plan(wanted.clone()), []);
    mirrors.unwritten(&video);
    assert_eq!(mirrors.plan(wanted), [Effect::Remember(video)]);
}

#[test]
fn two_are_fetched_at_once_chosen_ones_first() {
    let (mut mirrors, now) = (mirrors(1000, 1000), Instant::now());
    mirrors.plan(seen([
        (
            Bucket::MostViewed,
            vec![wish(3, 1, 1), wish(3, 2, 1), wish(3, 3, 1)],
        ),
        (Bucket::Hand, vec![wish(3, 9, 1)]),
    ]));
    let first = mirrors.next(now).unwrap();
    assert_eq!(first.title, "Video 9");
    assert!(mirrors.next(now).is_some());
    assert_eq!(mirrors.next(now), None);
    mirrors.fetched(&first.video, Ok(()), now);
    assert!(mirrors.next(now).is_some());
}

#[test]
fn what_cannot_be_had_is_tried_ever_more_rarely() {
    let (mut mirrors, start) = (mirrors(1000, 0), Instant::now());
    mirrors.plan(seen([(Bucket::Hand, vec![wish(3, 1, 10)])]));
    let mut now = start;
    for wait in [3, 6, 12, 24, 48, 96, 192, 384, 600, 600] {
        let video = mirrors.next(now).unwrap().video;
        mirrors.fetched(&video, Err(Trouble::NoSource("it is away".to_owned())), now);
        assert_eq!(states(&mirrors)[0].2, "stuck");
        now += Duration::from_secs(wait) - Duration::from_millis(1);
        assert_eq!(mirrors.next(now), None, "{wait} s");
        now += Duration::from_millis(1);
    }
    let video = mirrors.next(now).unwrap().video;
    mirrors.fetched(&video, Err(Trouble::NoRoom), now);
    mirrors.hurry();
    assert_eq!(fetch_all(&mut mirrors, now), ["Video 1"]);
}

#[test]
fn a_fetch_of_what_was_dropped_meanwhile_means_nothing() {
    let (mut mirrors, now) = (mirrors(1000, 0), Instant::now());
    mirrors.plan(seen([(Bucket::Hand, vec![wish(3, 1, 10)])]));
    let video = mirrors.next(now).unwrap().video;
    let effects = mirrors.plan(seen([]));
    assert!(matches!(&effects[..], [Effect::Drop { announced: false, .. }]));
    assert_eq!(mirrors.fetched(&video, Ok(()), now), []);
    assert_eq!(mirrors.totals(), (0, 0));
}

#[test]
fn files_that_change_are_another_copy_and_a_new_title_is_none() {
    let (mut mirrors, now) = (mirrors(1000, 0), Instant::now());
    let first = wish(3, 1, 10);
    mirrors.plan(seen([(Bucket::Hand, vec![first.clone()])]));
    fetch_all(&mut mirrors, now);
    let renamed = Wish {
        title: "Another title".to_owned(),
        ..first.clone()
    };
    assert_eq!(
        mirrors.plan(seen([(Bucket::Hand, vec![renamed])])),
        [Effect::Remember(first.video)]
    );
    let mut anew = first;
    anew.files[0].info_hash = InfoHash::from_bytes([99; 20]);
    let effects = mirrors.plan(seen([(Bucket::Hand, vec![anew])]));
    assert!(matches!(&effects[..], [Effect::Drop { .. }]), "{effects:?}");
    assert_eq!(mirrors.totals(), (0, 0));
}

#[test]
fn what_could_not_be_told_is_told_again() {
    let (mut mirrors, now) = (mirrors(1000, 0), Instant::now());
    let wanted = seen([(Bucket::Hand, vec![wish(3, 1, 10)])]);
    mirrors.plan(wanted.clone());
    let video = mirrors.next(now).unwrap().video;
    assert_eq!(
        mirrors.fetched(&video, Ok(()), now),
        [Effect::Serve(video), Effect::Announce(video)]
    );
    assert_eq!(mirrors.plan(wanted.clone()), [Effect::Announce(video)]);
    mirrors.announced(&video);
    assert_eq!(mirrors.plan(wanted), []);
}
