//! Runs between two catalogs, without a network.

use std::collections::BTreeMap;

use proptest::prelude::*;
use seedpod_protocol::envelope::{Draft, Epoch, Kind, Rank, RegisterKey, State, Verified};
use seedpod_protocol::ids::{ContentHash, ObjectId};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::Record;

use super::*;
use crate::catalog::state::Outcome;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn key(seed: u8) -> PodKey {
    PodKey::from_seed(&[seed; 32])
}

/// A pod without disk and network: a catalog and the envelopes of its heads.
pub(super) struct Pod {
    pub(super) id: PodId,
    pub(super) catalog: Catalog,
    pub(super) bodies: BTreeMap<(PodId, RegisterKey), Vec<u8>>,
    pub(super) patience: Patience,
    pub(super) turn: u64,
}

/// What a run cost.
#[derive(Debug, Default)]
pub(super) struct Cost {
    pub(super) requests: Vec<&'static str>,
    /// Places of digests asked about.
    places: usize,
    envelopes: usize,
}

impl Pod {
    pub(super) fn new(seed: u8, friends: &[u8]) -> Self {
        let id = key(seed).id();
        let epoch = Epoch {
            counter: 100,
            tag: [seed; 8],
        };
        let mut catalog = Catalog::new(id, epoch);
        for friend in friends {
            catalog.admit(key(*friend).id());
        }
        Self {
            id,
            catalog,
            bodies: BTreeMap::new(),
            patience: Patience::default(),
            turn: 0x0123_4567_89ab_cdef,
        }
    }

    pub(super) fn take(&mut self, record: &Verified<Record>) -> bool {
        let header = record.header();
        match self.catalog.offer(record, NOW) {
            Outcome::Applied(_) => {}
            Outcome::KeysChanged { lapsed, .. } => {
                for key in lapsed {
                    self.bodies.remove(&(header.author, key));
                }
            }
            _ => return false,
        }
        self.bodies
            .insert((header.author, header.key()), record.bytes().to_vec());
        true
    }

    fn answer(&self, request: &Request) -> Response {
        // Over the wire, so that what no pod sends or takes is found.
        let request = Request::decode(&request.encode().expect("no pod refuses it")).expect("as it was sent");
        let answer = self.catalog.answer(&request).expect("a question for the catalog");
        let read = |author: &PodId, key: &RegisterKey| {
            Ok::<_, std::convert::Infallible>(self.bodies.get(&(*author, *key)).cloned())
        };
        let Ok(response) = answer.read(read);
        Response::decode(&response.encode().expect("no pod refuses it")).expect("as it was sent")
    }

    /// One run with a friend who answers by `answer`.
    fn run(
        &mut self,
        with: PodId,
        mut answer: impl FnMut(&Request) -> Response,
    ) -> (Result<CaughtUp, CatchUpError>, Cost) {
        let terms = Terms {
            me: self.id,
            with,
            look_back: None,
            may_dig: self.patience.may_dig(&with, NOW),
            turn: self.turn,
        };
        let mut cost = Cost::default();
        let (mut run, effects) = Run::start(terms);
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            let input = match effect {
                Effect::Ask(request) => {
                    cost.requests.push(request.name());
                    if let Request::Nodes { places, .. } = &request {
                        cost.places += places.len();
                    }
                    Input::Answer(answer(&request))
                }
                Effect::Take(envelopes) => {
                    cost.envelopes += envelopes.len();
                    let sound = envelopes
                        .into_iter()
                        .filter_map(|bytes| Envelope::decode(bytes).ok()?.open().ok());
                    let applied = sound.filter(|record| self.take(record)).count();
                    Input::Taken(applied)
                }
                Effect::End(result) => {
                    assert!(effects.is_empty(), "nothing is left to do at the end");
                    if let Ok(caught_up) = &result {
                        self.patience.ended(with, caught_up, NOW);
                    }
                    return (result, cost);
                }
            };
            effects.extend(run.heard(input, &self.catalog));
            assert!(effects.len() <= 2, "a run holds two pages at most");
        }
        panic!("a run stood still");
    }

    pub(super) fn catch_up(&mut self, with: &Self) -> (CaughtUp, Cost) {
        let (result, cost) = self.run(with.id, |request| with.answer(request));
        (result.expect("an honest friend"), cost)
    }
}

fn record(author: u8, object: u16, state: State, counter: u32, seq: u64) -> Verified<Record> {
    saying(author, object, state, counter, seq, 0)
}

fn saying(author: u8, object: u16, state: State, counter: u32, seq: u64, what: u8) -> Verified<Record> {
    let draft = Draft {
        kind: Kind(77),
        object: ObjectId::from_bytes(&object.to_be_bytes()).expect("two bytes"),
        state,
        payload: Record::Opaque(vec![1, 2, what]),
    };
    let stamp = Stamp {
        epoch: Epoch { counter, tag: [1; 8] },
        seq,
    };
    draft.sign(&key(author), stamp).expect("within the limits")
}

#[test]
fn a_newcomer_takes_everything_from_anybody_in_pages() {
    let (mut newcomer, mut friend) = (Pod::new(1, &[2, 3]), Pod::new(2, &[1, 3]));
    for n in 0..2_500 {
        friend.take(&record(3, n, State::Live, 1, 1 + u64::from(n)));
    }
    friend.take(&record(2, 1, State::Removed, 1, 1));
    let (caught_up, cost) = newcomer.catch_up(&friend);
    assert_eq!((caught_up.applied, cost.envelopes), (2_501, 2_501));
    assert_eq!(cost.requests, ["roots", "pull", "pull", "pull"]);
    assert_eq!(newcomer.catalog.digest(), friend.catalog.digest());
    assert_eq!(newcomer.catch_up(&friend).1.requests, ["roots"]);
}

#[test]
fn what_is_new_is_pulled_and_nothing_else() {
    let (mut one, mut other) = (Pod::new(1, &[2, 3]), Pod::new(2, &[1, 3]));
    for n in 0..100 {
        let record = record(3, n, State::Live, 1, 1 + u64::from(n));
        one.take(&record);
        other.take(&record);
    }
    for n in 50..53 {
        other.take(&record(3, n, State::Withdrawn, 2, 1 + u64::from(n)));
    }
    let (caught_up, cost) = one.catch_up(&other);
    assert_eq!((caught_up.applied, cost.envelopes), (3, 3));
    assert_eq!(cost.requests, ["roots", "pull"]);
}

#[test]
fn a_no_that_is_shown_is_taken_before_the_run_ends() {
    let mut pod = Pod::new(1, &[2]);
    let no = record(2, 1, State::Withdrawn, 1, 1);
    let (result, cost) = pod.run(key(2).id(), |_| Response::Page {
        envelopes: vec![no.bytes().to_vec()],
        more: true,
    });
    assert!(matches!(result, Err(CatchUpError::Ended)));
    assert_eq!(cost.envelopes, 1);
    assert_eq!(pod.bodies.len(), 1);
}

fn roots_of(author: u8, records: u64) -> Response {
    Response::Roots(vec![
        AuthorRoot {
            author: key(author).id(),
            root: ContentHash::of(b"whatever"),
            records,
        };
        5
    ])
}

#[test]
fn whoever_claims_more_records_than_can_be_counted_is_heard_out() {
    let mut pod = Pod::new(1, &[2]);
    pod.take(&record(2, 1, State::Live, 1, 1));
    let (result, cost) = pod.run(key(2).id(), |request| match request {
        Request::Roots => roots_of(2, u64::MAX),
        _ => Response::Page {
            envelopes: Vec::new(),
            more: false,
        },
    });
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(
        cost.requests[..3],
        ["roots", "pull", "pull"],
        "what is new, then everything"
    );
}

#[test]
fn whoever_lies_about_roots_is_asked_less_and_less() {
    let mut pod = Pod::new(1, &[2]);
    pod.take(&record(2, 1, State::Live, 1, 1));
    let (liar, mut now, mut dug) = (key(2).id(), NOW, 0);
    for _ in 0..1_000 {
        let may_dig = pod.patience.may_dig(&liar, now);
        dug += usize::from(may_dig);
        let in_vain = CaughtUp {
            dug: may_dig,
            ..CaughtUp::default()
        };
        pod.patience.ended(liar, &in_vain, now);
        now = now.saturating_add(Duration::from_secs(1));
    }
    assert!((8..12).contains(&dug), "{dug} in 1,000 s");
    let fruitful = CaughtUp {
        applied: 1,
        ..CaughtUp::default()
    };
    pod.patience.ended(liar, &fruitful, now);
    assert!(pod.patience.may_dig(&liar, now));
}

/// Two pods which hold the same `all` records of a third, but for some that one of them lacks.
fn all_but(all: u16, lacks: impl Fn(u16) -> bool) -> (Pod, Pod) {
    let (mut one, mut other) = (Pod::new(1, &[2, 3]), Pod::new(2, &[1, 3]));
    for n in 0..all {
        let record = record(3, n, State::Live, 1, 1 + u64::from(n));
        other.take(&record);
        if !lacks(n) {
            one.take(&record);
        }
    }
    (one, other)
}

#[test]
fn what_is_old_is_dug_out_at_a_cost_that_follows_it() {
    for (step, missing) in [(3_000, 1), (300, 10), (30, 100), (6, 500)] {
        let (mut one, other) = all_but(3_000, |n| n % step == 1);
        let (caught_up, cost) = one.catch_up(&other);
        assert_eq!(
            (caught_up.applied, cost.envelopes),
            (missing, missing),
            "{cost:?}"
        );
        // log16(3000) = 2.9: a leaf stands some four nibbles deep, seldom six.
        assert!(cost.places <= 1 + 5 * missing, "{} of {missing}", cost.places);
        let trips = 2 + 7 + cost.places / PLACES_MAX + missing.div_ceil(FETCH_MAX);
        assert!(cost.requests.len() <= trips, "{cost:?}");
        assert_eq!(one.catalog.digest(), other.catalog.digest());
        assert_eq!(one.catch_up(&other).1.requests, ["roots"]);
    }
}

#[test]
fn who_lacks_more_than_half_pulls_everything_once() {
    let (mut one, other) = all_but(1_000, |n| n % 3 != 0 && n != 999);
    let (caught_up, cost) = one.catch_up(&other);
    assert_eq!(caught_up.applied, 666);
    assert_eq!(cost.requests, ["roots", "pull", "pull"]);
    assert_eq!(cost.envelopes, 1_000);
}

#[test]
fn who_is_behind_is_found_to_have_nothing_and_nothing_is_fetched() {
    let (ahead, behind) = all_but(300, |n| n % 7 == 1);
    // Now the other way round: the one who has everything asks.
    let (mut asks, answers) = (behind, ahead);
    for n in 0..20 {
        asks.take(&record(3, n, State::Removed, 2, 1 + u64::from(n)));
    }
    let (caught_up, cost) = asks.catch_up(&answers);
    assert!(caught_up.dug);
    assert_eq!((caught_up.applied, cost.envelopes), (0, 0), "{cost:?}");
    assert!(!asks.patience.may_dig(&answers.id, NOW));
    assert_eq!(asks.catch_up(&answers).1.requests, ["roots", "pull"]);
}

#[test]
fn large_records_come_in_several_pages() {
    let (mut one, mut other) = (Pod::new(1, &[2, 3]), Pod::new(2, &[1, 3]));
    for n in 0..100 {
        let mut draft = Draft {
            kind: Kind(77),
            object: ObjectId::from_bytes(&[n]).expect("one byte"),
            state: State::Live,
            payload: Record::Opaque(vec![n; 60_000]),
        };
        let epoch = Epoch {
            counter: 1,
            tag: [1; 8],
        };
        let seq = 1 + u64::from(n);
        if n % 2 == 1 {
            draft.payload = Record::Opaque(vec![n]);
        }
        let record = draft
            .sign(&key(3), Stamp { epoch, seq })
            .expect("within the limits");
        other.take(&record);
        if n % 2 == 1 {
            one.take(&record);
        }
    }
    let (caught_up, cost) = one.catch_up(&other);
    assert_eq!((caught_up.applied, cost.envelopes), (50, 50));
    let fetches = cost.requests.iter().filter(|name| **name == "fetch").count();
    assert!((3..=4).contains(&fetches), "3 MB in pages of 1 MiB: {cost:?}");
}

#[test]
fn a_pod_of_an_earlier_release_is_pulled_from_the_start() {
    let (mut one, other) = all_but(100, |n| n == 50);
    let (result, cost) = one.run(other.id, |request| match request {
        Request::Nodes { .. } => Response::refused(Refusal::Malformed, "no such request"),
        request => other.answer(request),
    });
    assert_eq!(result.expect("it goes on").applied, 1);
    assert_eq!(cost.requests, ["roots", "pull", "nodes", "pull"]);
}

#[test]
fn how_far_a_friend_is_is_known_from_its_first_answer() {
    let mut pod = Pod::new(1, &[2]);
    let terms = Terms {
        me: pod.id,
        with: key(2).id(),
        look_back: None,
        may_dig: true,
        turn: 0,
    };
    pod.take(&record(2, 1, State::Live, 1, 1));
    let (mut run, _) = Run::start(terms);
    assert!(run.said().is_none());
    let effects = run.heard(Input::Answer(roots_of(2, 340)), &pod.catalog);
    assert!(matches!(*effects, [Effect::Ask(Request::Pull { .. })]));
    let said = run.said().expect("it answered");
    assert_eq!((said.of_its_own, said.of_ours), (340, 0));
}

#[test]
fn pages_without_end_end() {
    let mut pod = Pod::new(1, &[2]);
    let first = record(2, 1, State::Live, 1, 1);
    let mut asked = 0;
    let (result, _) = pod.run(key(2).id(), |request| {
        asked += 1;
        match request {
            Request::Roots => roots_of(2, 1_000_000),
            _ => Response::Page {
                envelopes: vec![first.bytes().to_vec()],
                more: true,
            },
        }
    });
    assert_eq!(result.expect("no failure").applied, 1);
    assert!(asked <= 4, "a page that does not advance is the last: {asked}");

    let mut seq = 1;
    let (result, cost) = pod.run(key(2).id(), |request| match request {
        Request::Roots => roots_of(2, 1_000_000),
        _ => {
            seq += 1;
            Response::Page {
                envelopes: vec![record(2, 1, State::Live, 1, seq).bytes().to_vec()],
                more: true,
            }
        }
    });
    assert!(result.is_ok());
    assert_eq!(cost.requests.len(), MAX_REQUESTS);
}

/// A pod that holds one record of a friend, which makes it dig whatever the friend says.
fn run_with_liar(answer: impl Fn(&Request) -> Response) -> (Result<CaughtUp, CatchUpError>, Cost, Pod) {
    let mut pod = Pod::new(1, &[2]);
    pod.take(&record(2, 1, State::Live, 1, 1));
    let nothing = Response::Page {
        envelopes: Vec::new(),
        more: false,
    };
    let (result, cost) = pod.run(key(2).id(), |request| match request {
        Request::Roots => roots_of(2, 2),
        Request::Pull { .. } => nothing.clone(),
        request => answer(request),
    });
    pod.catalog.check();
    (result, cost, pod)
}

fn branch(child: impl Fn(u8) -> ContentHash) -> Place {
    let mut nibbles = 0..;
    Place::Branch(Box::new(std::array::from_fn(|_| {
        nibbles.next().map_or(ContentHash::ZERO, &child)
    })))
}

fn of(places: &[Prefix], stands: impl Fn(&Prefix) -> Place) -> Response {
    Response::Nodes(places.iter().map(stands).collect())
}

#[test]
fn a_digest_without_end_ends() {
    let (result, cost, pod) = run_with_liar(|request| match request {
        Request::Nodes { places, .. } => of(places, |_| branch(|nibble| ContentHash::of(&[nibble]))),
        _ => panic!("there is nothing to fetch"),
    });
    assert!(result.expect("no failure").dug);
    assert!(cost.places <= MAX_PLACES + 1, "{}", cost.places);
    assert!(
        cost.requests.len() <= 2 + MAX_PLACES / PLACES_MAX + 5,
        "{}",
        cost.requests.len()
    );
    assert!(!pod.patience.may_dig(&key(2).id(), NOW));
}

#[test]
fn a_digest_deeper_than_a_key_breaks_the_protocol() {
    let only = |nibble| {
        if nibble == 5 {
            ContentHash::of(b"deep")
        } else {
            ContentHash::ZERO
        }
    };
    let (result, cost, _) = run_with_liar(|request| match request {
        Request::Nodes { places, .. } => of(places, |_| branch(only)),
        _ => panic!("there is nothing to fetch"),
    });
    assert!(matches!(result, Err(CatchUpError::Broken(_))));
    assert_eq!(cost.requests.len(), 2 + 65);
}

#[test]
fn places_that_were_not_asked_about_break_the_protocol() {
    let leaf = |key: RegisterKey| {
        let other = record(2, 9, State::Live, 7, 7);
        let rank = Rank::new(other.header(), other.hash());
        Place::Leaf { key, rank }
    };
    let (result, ..) = run_with_liar(|request| match request {
        Request::Nodes { places, .. } => Response::Nodes(vec![Place::Empty; places.len() + 1]),
        _ => panic!("there is nothing to fetch"),
    });
    assert!(matches!(result, Err(CatchUpError::Broken(_))), "one too many");
    let (result, ..) = run_with_liar(|request| match request {
        Request::Nodes { places, .. } if places[0] == Prefix::TOP => {
            of(places, |_| branch(|nibble| ContentHash::of(&[nibble])))
        }
        Request::Nodes { places, .. } => of(places, |_| leaf(RegisterKey::from_bytes([0xff; 32]))),
        _ => panic!("there is nothing to fetch"),
    });
    assert!(
        matches!(result, Err(CatchUpError::Broken(_))),
        "a register again and again"
    );
}

#[test]
fn pages_of_what_was_not_asked_for_break_the_protocol_or_change_nothing() {
    let wanted = record(2, 9, State::Live, 7, 7);
    let page = |envelopes: Vec<Vec<u8>>, more| Response::Page { envelopes, more };
    let bytes = |record: &Verified<Record>| record.bytes().to_vec();
    let stranger = record(9, 9, State::Live, 7, 7);
    let another = record(2, 8, State::Live, 7, 8);
    for (envelopes, more, sound) in [
        (vec![], false, true),
        (vec![], true, false),
        (vec![bytes(&stranger)], false, false),
        (vec![bytes(&another)], false, false),
        (vec![bytes(&another), bytes(&wanted)], false, false),
        (vec![vec![0xff; 100]], true, false),
        (vec![bytes(&wanted)], true, true),
        (vec![bytes(&record(2, 9, State::Live, 0, 1))], false, true),
    ] {
        let (result, cost, _) = run_with_liar(|request| match request {
            Request::Nodes { places, .. } => of(places, |_| Place::Leaf {
                key: wanted.header().key(),
                rank: Rank::new(wanted.header(), wanted.hash()),
            }),
            _ => page(envelopes.clone(), more),
        });
        assert_eq!(
            result.is_ok(),
            sound,
            "{result:?} to {} and {more}",
            envelopes.len()
        );
        assert!(cost.requests.len() <= 4, "{cost:?}");
    }
}

#[test]
fn records_of_strangers_and_noise_change_nothing() {
    let mut pod = Pod::new(1, &[2]);
    let strange = record(9, 1, State::Live, 1, 1).bytes().to_vec();
    for bytes in [strange, vec![0xff; 100], Vec::new()] {
        let (_, cost) = pod.run(key(2).id(), |request| match request {
            Request::Roots => roots_of(2, 7),
            _ => Response::Page {
                envelopes: vec![bytes.clone()],
                more: true,
            },
        });
        assert!(cost.requests.len() <= 3, "{cost:?}");
        assert!(pod.bodies.is_empty());
    }
}

#[test]
fn an_answer_to_another_question_ends_the_run() {
    for answer in [Response::Told { applied: 1 }, Response::Friends(Vec::new())] {
        let mut pod = Pod::new(1, &[2]);
        let (result, cost) = pod.run(key(2).id(), |_| answer.clone());
        assert!(matches!(result, Err(CatchUpError::Broken(_))), "{result:?}");
        assert_eq!(cost.requests.len(), 1);
    }
}

proptest! {
    /// Whatever each lacks, and whatever its authors signed twice: when each has asked the other, both hold the same, and nothing
    /// was sent in vain but what a pull of new stamps brings.
    #[test]
    fn two_pods_that_ask_each_other_hold_the_same(
        statements in prop::collection::vec((3u8..6, 0u16..60, 0u8..8, 1u32..3, 1u64..60, 0u8..2, 0u8..6), 0..150),
    ) {
        let (mut one, mut other) = (Pod::new(1, &[2, 3, 4, 5]), Pod::new(2, &[1, 3, 4, 5]));
        for (author, object, state, counter, seq, what, who) in statements {
            let state = [State::Withdrawn, State::Removed].get(usize::from(state)).copied();
            let record = saying(author, object, state.unwrap_or(State::Live), counter, seq, what);
            if who != 0 {
                one.take(&record);
            }
            if who != 1 {
                other.take(&record);
            }
        }
        for _ in 0..2 {
            let outranked = |one: &Pod, other: &Pod| {
                let above = |(author, key): &&(PodId, RegisterKey)| {
                    other.catalog.rank(author, key) > one.catalog.rank(author, key)
                };
                other.bodies.keys().filter(above).count()
            };
            let (missing, stale) = (outranked(&one, &other), outranked(&other, &one));
            let (caught_up, cost) = one.catch_up(&other);
            one.catalog.check();
            prop_assert_eq!(caught_up.applied, missing);
            prop_assert!(cost.envelopes <= 2 * missing + stale, "{:?} for {} and {}", cost, missing, stale);
            prop_assert!(cost.requests.len() <= 1 + 3 * 8, "{:?}", cost);
            std::mem::swap(&mut one, &mut other);
        }
        prop_assert_eq!(one.catalog.digest(), other.catalog.digest());
    }
}

#[test]
fn what_a_twin_said_with_our_key_comes_to_us_though_the_friend_holds_no_more_than_we_do() {
    let (mut pod, mut friend) = (Pod::new(1, &[2]), Pod::new(2, &[1]));
    for object in 1..=2 {
        let ours = record(1, object, State::Live, 1, u64::from(object));
        assert!(pod.take(&ours) && friend.take(&ours));
    }
    // Stamped before the last that we hold, and final.
    assert!(friend.take(&record(1, 1, State::Removed, 1, 1)));
    assert_eq!(pod.catch_up(&friend).0.applied, 0, "not in every run");
    pod.turn = ONE_RUN_IN;
    assert_eq!(pod.catch_up(&friend).0.applied, 1);
    assert_eq!(pod.catalog.digest(), friend.catalog.digest());
}
