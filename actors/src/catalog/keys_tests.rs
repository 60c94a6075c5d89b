//! Authors whose keys change: what counts, what is dropped, and that pods which heard different things in different orders agree after
//! catch-up.

use proptest::prelude::*;
use seedpod_protocol::envelope::{Draft, Epoch, Kind, Stamp, State, Verified};
use seedpod_protocol::ids::ObjectId;
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::{Record, RecoveryPin, Revocation, Successor};

use super::tests::Pod;
use super::*;
use crate::catalog::state::{Outcome, StoredHead};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// The author's keys: the first, which a thief has too, and later ones.
fn key(number: u8) -> PodKey {
    let first = PodKey::from_seed(&[4; 32]);
    match number {
        0 => first,
        _ => PodKey::of_pod(first.id(), &[0x40 + number; 32]),
    }
}

fn recovery() -> PodKey {
    PodKey::of_pod(key(0).id(), &[0x4f; 32])
}

fn stamp(seq: u64) -> Stamp {
    let epoch = Epoch {
        counter: 1,
        tag: [1; 8],
    };
    Stamp { epoch, seq }
}

fn record(by: u8, object: u8, state: State, seq: u64) -> Verified<Record> {
    let draft = Draft {
        kind: Kind(77),
        object: ObjectId::from_bytes(&[object]).expect("one byte"),
        state,
        payload: Record::Opaque(vec![by, object]),
    };
    draft.sign(&key(by), stamp(seq)).expect("within the limits")
}

fn statement(payload: impl Into<Record>, by: &PodKey, stamp: Stamp) -> Verified<Record> {
    Draft::live(&by.id(), payload.into())
        .and_then(|draft| draft.sign(by, stamp))
        .expect("a sound statement")
}

fn pin() -> Verified<Record> {
    statement(RecoveryPin::of(&recovery().public()), &key(0), Stamp::ZERO)
}

fn succession(now: u8, next: u8, seq: u64) -> Verified<Record> {
    statement(Successor::new(&key(now), &key(next)), &key(now), stamp(seq))
}

fn revocation(ended: u8, last: u64, next: u8) -> Verified<Record> {
    let revocation = Revocation {
        key: key(ended).public(),
        last: if last == 0 { Stamp::ZERO } else { stamp(last) },
        next: Some(key(next).public()),
    };
    statement(revocation, &recovery(), Stamp::ZERO)
}

fn pod(seed: u8) -> Pod {
    let mut pod = Pod::new(seed, &[1, 2, 3, 4]);
    pod.take(&pin());
    pod
}

fn outcome(pod: &mut Pod, record: &Verified<Record>) -> Outcome {
    let outcome = pod.catalog.offer(record, NOW);
    pod.catalog.check();
    outcome
}

#[test]
fn what_nobody_listed_and_what_is_void_changes_nothing_and_comes_later_if_it_is_listed() {
    let mut pod = pod(1);
    pod.take(&record(0, 1, State::Live, 3));
    let before = pod.catalog.digest();
    let by_second = record(1, 1, State::Live, 9);
    assert_eq!(outcome(&mut pod, &by_second), Outcome::Unlisted);
    assert_eq!(pod.catalog.digest(), before);
    assert!(pod.take(&succession(0, 1, 5)));
    assert_eq!(outcome(&mut pod, &record(0, 2, State::Live, 6)), Outcome::Void);
    assert!(matches!(outcome(&mut pod, &by_second), Outcome::Applied(_)));
    assert_eq!(
        outcome(&mut pod, &record(0, 1, State::Removed, 4)),
        Outcome::Stale,
        "a removal of the key before takes back nothing that a later key said"
    );
}

#[test]
fn a_friend_who_missed_the_succession_gets_it_before_what_it_lists() {
    let (mut one, mut other) = (pod(1), pod(2));
    for object in 0..20 {
        let first = record(0, object, State::Live, 1 + u64::from(object));
        one.take(&first);
        other.take(&first);
    }
    other.take(&succession(0, 1, 30));
    for object in 10..15 {
        other.take(&record(1, object, State::Live, 40 + u64::from(object)));
        // By gossip, and too early.
        one.take(&record(1, object, State::Live, 40 + u64::from(object)));
    }
    let (caught_up, cost) = one.catch_up(&other);
    assert_eq!(caught_up.applied, 6);
    assert_eq!(cost.requests, ["roots", "pull"]);
    assert_eq!(one.catalog.digest(), other.catalog.digest());
}

#[test]
fn what_a_thief_replaced_comes_back_after_the_revocation_from_whoever_has_it() {
    let (mut robbed, mut spared) = (pod(1), pod(2));
    for object in 0..5 {
        let first = record(0, object, State::Live, 1 + u64::from(object));
        robbed.take(&first);
        spared.take(&first);
    }
    let honest = spared.catalog.digest();
    robbed.take(&record(0, 1, State::Removed, 90));
    robbed.take(&record(0, 2, State::Withdrawn, 91));
    robbed.take(&record(0, 7, State::Live, 92));
    robbed.take(&succession(0, 3, 4));
    robbed.take(&record(3, 3, State::Removed, 93));
    assert_ne!(robbed.catalog.digest(), honest);

    let revocation = revocation(0, 50, 1);
    robbed.take(&revocation);
    spared.take(&revocation);
    robbed.catalog.check();
    let (caught_up, _) = robbed.catch_up(&spared);
    assert_eq!(robbed.catalog.digest(), spared.catalog.digest());
    assert!(caught_up.applied > 0);
    assert_eq!(spared.catch_up(&robbed).1.requests, ["roots"]);
    for late in [
        record(0, 1, State::Removed, 95),
        record(3, 1, State::Live, 95),
        succession(0, 3, 1),
    ] {
        let before = robbed.catalog.digest();
        assert!(!robbed.take(&late));
        assert_eq!(robbed.catalog.digest(), before);
    }
}

#[test]
fn a_first_pin_stays_and_a_second_is_noted() {
    let mut pod = pod(1);
    let thiefs = statement(RecoveryPin::of(&key(9).public()), &key(0), Stamp::ZERO);
    assert_eq!(outcome(&mut pod, &thiefs), Outcome::Stale);
    assert_eq!(pod.catalog.equivocators(), 1);
}

#[test]
fn nobody_else_changes_the_keys_of_this_pod() {
    let mut own = Pod::new(4, &[1]);
    let before = own.catalog.digest();
    for statement in [pin(), succession(0, 1, 5)] {
        assert_eq!(outcome(&mut own, &statement), Outcome::Foreign);
    }
    assert_eq!(own.catalog.digest(), before);
}

#[test]
fn the_disk_gives_back_what_was_held() {
    let mut pod = pod(1);
    for record in [
        record(0, 1, State::Live, 1),
        record(0, 2, State::Live, 2),
        succession(0, 1, 5),
        record(1, 2, State::Live, 6),
        record(1, 3, State::Live, 7),
        succession(1, 2, 8),
        record(2, 3, State::Removed, 9),
    ] {
        assert!(pod.take(&record));
    }
    let rows = (1..).zip(pod.bodies.values()).map(|(number, body)| {
        let envelope = Envelope::decode(body.as_slice()).expect("what was held");
        let header = *envelope.header();
        StoredHead {
            header,
            hash: ContentHash::of(body),
            number,
            received_s: 1,
            of_keys: envelope.reopen().ok().filter(|_| header.is_of_keys()),
        }
    });
    let mut again = Pod::new(1, &[2, 3, 4]);
    again.catalog.restore_all(rows);
    again.catalog.check();
    assert_eq!(again.catalog.digest(), pod.catalog.digest());
    let later = record(2, 1, State::Live, 10);
    assert!(matches!(
        outcome(&mut again, &later),
        Outcome::Applied(head) if head.generation == 2
    ));
    pod.take(&later);
    assert_eq!(again.catalog.digest(), pod.catalog.digest());
}

/// Anything that the owner or a thief of any of the keys might say; the recovery key is the owner's alone.
fn anything() -> impl Strategy<Value = Verified<Record>> {
    let state = |number: u8| [State::Live, State::Withdrawn, State::Removed][usize::from(number)];
    prop_oneof![
        6 => (0u8..4, 0u8..4, 0u8..3, 1u64..12)
            .prop_map(move |(by, object, number, seq)| record(by, object, state(number), seq)),
        2 => (0u8..4, 1u8..4, 1u64..12)
            .prop_filter("another key", |(now, next, _)| now != next)
            .prop_map(|(now, next, seq)| succession(now, next, seq)),
        1 => (0u8..4, 0u64..12, 1u8..4)
            .prop_filter("another key", |(ended, _, next)| ended != next)
            .prop_map(|(ended, last, next)| revocation(ended, last, next)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Three pods hear some of it, each in an order of its own and some of it twice, and then compare with each other until nobody
    /// learns anything: they hold the same.
    #[test]
    fn pods_that_heard_different_things_agree_after_catch_up(
        said in prop::collection::vec((anything(), 0u8..8), 1..24),
        turns in prop::array::uniform3(any::<prop::sample::Index>()),
    ) {
        let mut pods = [pod(1), pod(2), pod(3)];
        for (number, pod) in pods.iter_mut().enumerate() {
            let mut heard: Vec<_> = said.iter().filter(|(_, who)| who & (1 << number) != 0).collect();
            if !heard.is_empty() {
                let at = turns[number].index(heard.len());
                heard.rotate_left(at);
            }
            if number == 1 { heard.reverse(); }
            for (record, _) in heard.iter().chain(heard.first()) {
                pod.take(record);
                pod.catalog.check();
            }
        }
        let mut rounds = 0;
        loop {
            let mut applied = 0;
            for asker in 0..3 {
                for giver in (0..3).filter(|giver| *giver != asker) {
                    let [one, other] = pods.get_disjoint_mut([asker, giver]).expect("two of three");
                    one.patience = Patience::default();
                    one.turn = one.turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    applied += one.catch_up(other).0.applied;
                    one.catalog.check();
                }
            }
            if applied == 0 { break; }
            rounds += 1;
            prop_assert!(rounds < 30, "they go on learning for ever");
        }
        let roots = pods.each_ref().map(|pod| {
            let of_author = |root: &AuthorRoot| root.author == key(0).id();
            pod.catalog.roots().into_iter().find(of_author).map(|root| root.root)
        });
        prop_assert_eq!(roots[0], roots[1]);
        prop_assert_eq!(roots[1], roots[2]);
    }
}
