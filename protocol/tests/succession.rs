//! Whose signatures count: the rules one by one, and that order, repetition and loss followed by another hearing make no difference.
#![allow(clippy::unwrap_used)] // a test that fails here has found something

mod common;

use common::{alice, bob, pinned, recovery, revoked, second, stamp, succeeded, third, video};
use proptest::prelude::*;
use seedpod_protocol::{
    envelope::{Draft, DraftError, Envelope, EnvelopeError, Kind, Stamp, State, Verified},
    ids::PodId,
    keys::PodKey,
    records::{Record, RecordError, RecoveryPin, Revocation, Successor},
    succession::{Standing, Succession, Told},
};

const NEWS: Told = Told::News { contradicts: false };
const KNOWN: Told = Told::Known { contradicts: false };

fn plain() -> Succession {
    Succession::new(alice().id())
}

fn keys(succession: &Succession) -> Vec<PodId> {
    succession.keys().collect()
}

#[test]
fn a_pod_that_says_nothing_signs_with_its_first_key_for_ever() {
    let plain = plain();
    let id = alice().id();
    assert_eq!(plain.standing(&id, stamp(9, 9)), Standing::Counts(0));
    assert_eq!(
        plain.standing(&second().public(), stamp(9, 9)),
        Standing::Unlisted
    );
    assert_eq!((plain.signs_now(), plain.pin()), (Some(id), None));
    assert!(plain.is_plain());
}

#[test]
fn a_successor_signs_from_its_stamp_on_and_outranks_the_key_before() {
    let mut alices = plain();
    assert_eq!(alices.tell(&succeeded(&alice(), &second(), 5)), NEWS);
    let id = alice().id();
    assert_eq!(alices.standing(&id, stamp(1, 5)), Standing::Counts(0));
    assert_eq!(alices.standing(&id, stamp(1, 6)), Standing::Void);
    assert_eq!(
        alices.standing(&second().public(), stamp(1, 6)),
        Standing::Counts(1)
    );
    assert_eq!(alices.tell(&succeeded(&second(), &third(), 7)), NEWS);
    assert_eq!(keys(&alices), [id, second().public(), third().public()]);
    assert_eq!(alices.signs_now(), Some(third().public()));
}

#[test]
fn of_two_successors_the_earlier_counts_and_the_pod_is_reported() {
    for first in [5, 8] {
        let mut alices = plain();
        let other = if first == 5 { 8 } else { 5 };
        let (early, late) = if first == 5 {
            (second(), third())
        } else {
            (third(), second())
        };
        alices.tell(&succeeded(&alice(), &early, first));
        let told = alices.tell(&succeeded(&alice(), &late, other));
        assert!(
            matches!(
                told,
                Told::News { contradicts: true } | Told::Known { contradicts: true }
            ),
            "{told:?}"
        );
        assert_eq!(alices.signs_now(), Some(second().public()));
    }
}

#[test]
fn a_revocation_counts_for_the_key_that_was_pinned_and_wins_over_every_succession() {
    let mut alices = plain();
    let revocation = revoked(&alice(), stamp(1, 3), Some(&third()));
    assert_eq!(alices.tell(&revocation), Told::Unlisted, "nothing is pinned yet");
    assert_eq!(alices.tell(&pinned()), NEWS);
    assert_eq!(alices.tell(&succeeded(&alice(), &second(), 2)), NEWS);
    assert_eq!(alices.tell(&revocation), NEWS);
    assert_eq!(keys(&alices), [alice().id(), third().public()]);
    assert_eq!(
        alices.standing(&second().public(), stamp(1, 3)),
        Standing::Unlisted
    );
    assert_eq!(alices.standing(&alice().id(), stamp(1, 3)), Standing::Counts(0));
    assert_eq!(alices.standing(&alice().id(), stamp(1, 4)), Standing::Void);
    assert_eq!(
        alices.tell(&succeeded(&alice(), &second(), 1)),
        KNOWN,
        "a thief's succession, however early, comes too late"
    );
    assert_eq!((alices.revoked(), alices.believes_nothing()), (1, false));
}

#[test]
fn nobody_but_the_pinned_key_revokes_and_the_first_pin_stays() {
    let mut alices = plain();
    alices.tell(&pinned());
    let thief = PodKey::of_pod(alice().id(), &[0x66; 32]);
    let by_thief = Draft::live(
        &alice().id(),
        Revocation {
            key: alice().id(),
            last: Stamp::ZERO,
            next: Some(thief.public()),
        }
        .into(),
    )
    .unwrap()
    .sign(&thief, Stamp::ZERO)
    .unwrap();
    assert_eq!(alices.tell(&by_thief), Told::Unlisted);
    let pin = Draft::live(&alice().id(), RecoveryPin::of(&thief.public()).into())
        .unwrap()
        .sign(&alice(), Stamp::ZERO)
        .unwrap();
    assert_eq!(alices.tell(&pin), Told::Known { contradicts: true });
    assert_eq!(alices.tell(&by_thief), Told::Unlisted);
    assert!(alices.is_plain());
}

#[test]
fn of_two_revocations_of_a_key_the_one_that_leaves_less_counts() {
    let (lax, strict) = (
        revoked(&alice(), stamp(4, 4), Some(&second())),
        revoked(&alice(), Stamp::ZERO, Some(&second())),
    );
    for order in [[&lax, &strict], [&strict, &lax]] {
        let mut alices = plain();
        alices.tell(&pinned());
        order.into_iter().for_each(|statement| {
            alices.tell(statement);
        });
        assert_eq!(alices.standing(&alice().id(), stamp(1, 1)), Standing::Void);
        assert_eq!(alices.signs_now(), Some(second().public()));
        assert!(alices.believes_nothing());
    }
}

#[test]
fn keys_can_be_stolen_twice() {
    let mut alices = plain();
    for statement in [
        pinned(),
        revoked(&alice(), stamp(4, 4), Some(&second())),
        succeeded(&second(), &third(), 9),
    ] {
        assert_eq!(alices.tell(&statement), NEWS);
    }
    assert_eq!(alices.to_revoke(), Some(second().public()));
    let fourth = PodKey::of_pod(alice().id(), &[0x14; 32]);
    assert_eq!(alices.tell(&revoked(&second(), Stamp::ZERO, Some(&fourth))), NEWS);
    assert_eq!(keys(&alices), [alice().id(), second().public(), fourth.public()]);
    assert_eq!(alices.to_revoke(), Some(fourth.public()));
    assert_eq!(alices.tell(&revoked(&fourth, Stamp::ZERO, None)), NEWS);
    assert_eq!((alices.signs_now(), alices.to_revoke()), (None, None));
}

#[test]
fn a_stricter_statement_with_the_same_next_key_keeps_what_follows() {
    let mut alices = plain();
    alices.tell(&pinned());
    alices.tell(&succeeded(&alice(), &second(), 9));
    alices.tell(&succeeded(&second(), &third(), 10));
    assert_eq!(
        alices.tell(&revoked(&alice(), stamp(1, 2), Some(&second()))),
        NEWS
    );
    assert_eq!(alices.signs_now(), Some(third().public()));
}

#[test]
fn a_key_does_not_come_again_and_there_are_so_many_and_no_more() {
    let mut alices = plain();
    let key = |number: u8| PodKey::of_pod(alice().id(), &[number; 32]);
    alices.tell(&succeeded(&alice(), &key(0x30), 1));
    for number in 0x30..0x70 {
        alices.tell(&succeeded(&key(number), &key(number + 1), 1));
    }
    assert_eq!(keys(&alices).len(), 32);
    assert_eq!(
        alices.statements().count(),
        32,
        "the last key's end is known, what follows is not"
    );

    let mut round = plain();
    round.tell(&succeeded(&alice(), &second(), 1));
    round.tell(&succeeded(&second(), &third(), 2));
    round.tell(&succeeded(&third(), &second(), 3));
    assert_eq!(keys(&round).len(), 3);
    assert_eq!(round.signs_now(), None);
}

#[test]
fn what_is_about_keys_names_its_signer_and_is_checked_strictly() {
    let opened = |record: &Verified<Record>| Envelope::decode(record.bytes().clone()).unwrap().open();
    for statement in [
        pinned(),
        succeeded(&alice(), &second(), 5),
        revoked(&alice(), Stamp::ZERO, None),
    ] {
        let header = statement.header();
        assert!(header.is_of_keys() && header.signer.is_some());
        assert_eq!(opened(&statement).as_ref(), Ok(&statement));
    }
    let sign = |payload: Record, key: &PodKey, stamp| {
        Draft::live(&alice().id(), payload)
            .unwrap()
            .sign(key, stamp)
            .map(drop)
    };
    let pin = || Record::from(RecoveryPin::of(&recovery().public()));
    assert_eq!(sign(pin(), &alice(), Stamp::ZERO), Ok(()));
    let limit = |result| {
        matches!(
            result,
            Err(DraftError::Record(RecordError::Limit { field: "stamp", .. }))
        )
    };
    assert!(limit(sign(pin(), &alice(), stamp(1, 1))));
    assert!(matches!(
        sign(pin(), &second(), Stamp::ZERO),
        Err(DraftError::Record(RecordError::Signer { .. }))
    ));
    let to_itself = Successor::new(&second(), &second()).into();
    assert!(matches!(
        sign(to_itself, &second(), stamp(1, 1)),
        Err(DraftError::Record(RecordError::Object { .. }))
    ));
    // A proof for another key's hand.
    let moved = Successor::new(&alice(), &third()).into();
    assert!(matches!(
        sign(moved, &second(), stamp(1, 1)),
        Err(DraftError::Record(RecordError::Proof { .. }))
    ));
    let back = Draft {
        kind: Kind::SUCCESSOR,
        object: second().public().into(),
        state: State::Removed,
        payload: Successor::new(&alice(), &second()).into(),
    };
    assert!(matches!(
        back.sign(&alice(), stamp(1, 1)),
        Err(DraftError::Envelope(EnvelopeError::Signer(_)))
    ));
}

#[test]
fn a_later_key_signs_for_the_pod_and_ids_stay_those_of_the_first() {
    let record = Draft::live(&alice().id(), video().into())
        .unwrap()
        .sign(&second(), stamp(2, 1))
        .unwrap();
    let opened = Envelope::decode(record.bytes().clone()).unwrap().open().unwrap();
    assert_eq!(opened.header().author, alice().id());
    assert_eq!(opened.header().signer(), second().public());
    let first = common::signed(video(), stamp(1, 1));
    assert_eq!(opened.header().key(), first.header().key(), "the same register");
    // In the name of another pod the id does not fit.
    let bobs = PodKey::of_pod(bob().id(), &[0x12; 32]);
    let squatted = Draft {
        kind: Kind::VIDEO,
        object: video().id(&alice().id()).into(),
        state: State::Live,
        payload: video().into(),
    };
    assert!(matches!(
        squatted.sign(&bobs, stamp(1, 1)),
        Err(DraftError::Record(RecordError::NotDerived { .. }))
    ));
    // What is no record is the first key's to say.
    let card = Draft::live(&alice().id(), common::card().into()).unwrap();
    assert!(matches!(
        card.sign(&second(), stamp(1, 1)),
        Err(DraftError::Envelope(EnvelopeError::Signer(_)))
    ));
}

/// Every statement that an owner and a thief of any of some keys might make.
fn any_statement() -> impl Strategy<Value = Verified<Record>> {
    let key = |number: u8| match number {
        0 => alice(),
        number => PodKey::of_pod(alice().id(), &[0x20 + number; 32]),
    };
    prop_oneof![
        (0u8..4, 1u8..4, 1u64..6)
            .prop_filter("another key", |(signer, next, _)| signer != next)
            .prop_map(move |(signer, next, seq)| succeeded(&key(signer), &key(next), seq)),
        (0u8..4, prop::option::of(1u8..4), 0u64..6)
            .prop_filter("another key", |(ended, next, _)| Some(*ended) != *next)
            .prop_map(move |(ended, next, seq)| {
                let last = if seq == 0 { Stamp::ZERO } else { stamp(1, seq) };
                revoked(&key(ended), last, next.map(key).as_ref())
            }),
    ]
}

/// What counts, as anybody can see it.
fn seen(succession: &Succession) -> (Vec<PodId>, Vec<String>) {
    let registers = succession.statements().map(|register| register.to_string());
    (keys(succession), registers.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Two pods that heard different parts in different orders, and then tell each other what counts until neither learns anything,
    /// agree; and neither goes on learning for ever.
    #[test]
    fn two_pods_that_tell_each_other_what_counts_agree(
        statements in prop::collection::vec((any_statement(), 0u8..3), 0..14),
    ) {
        let (mut one, mut other) = (plain(), plain());
        one.tell(&pinned());
        other.tell(&pinned());
        for (statement, who) in &statements {
            if *who != 0 { one.tell(statement); }
        }
        for (statement, who) in statements.iter().rev() {
            if *who != 1 { other.tell(statement); }
        }
        let all: Vec<_> = statements.iter().map(|(statement, _)| statement.clone()).chain([pinned()]).collect();
        let counting = |of: &Succession| -> Vec<Verified<Record>> {
            let by_register = |register| all.iter().find(|statement| {
                statement.header().key() == register && of.counts(&register, &statement.hash())
            });
            of.statements().map(|register| by_register(register).unwrap().clone()).collect()
        };
        let mut rounds = 0;
        loop {
            let mut learned = false;
            for statement in counting(&one) { learned |= matches!(other.tell(&statement), Told::News { .. }); }
            for statement in counting(&other) { learned |= matches!(one.tell(&statement), Told::News { .. }); }
            if !learned { break; }
            rounds += 1;
            prop_assert!(rounds < 40);
        }
        prop_assert_eq!(seen(&one), seen(&other));
    }

    /// Whoever hears everything, as often as it takes, ends where everybody does.
    #[test]
    fn whoever_hears_everything_again_and_again_ends_at_the_same(
        statements in prop::collection::vec(any_statement(), 0..14),
        turn in any::<prop::sample::Index>(),
    ) {
        let settle = |order: &[Verified<Record>]| {
            let mut succession = plain();
            succession.tell(&pinned());
            for _ in 0..40 { for statement in order { succession.tell(statement); } }
            succession
        };
        let straight = settle(&statements);
        let mut turned = statements;
        if !turned.is_empty() { let at = turn.index(turned.len()); turned.rotate_left(at); turned.reverse(); }
        prop_assert_eq!(seen(&straight), seen(&settle(&turned)));
        turned.push(pinned());
        prop_assert_eq!(seen(&straight), seen(&Succession::of(alice().id(), &turned)), "heard at once");
    }
}
