//! Which record of a register wins: a pure function of the set of records.
#![allow(clippy::unwrap_used)] // a test that fails here has found something

mod common;

use common::{alice, stamp, video};
use proptest::prelude::*;
use seedpod_protocol::{
    envelope::{Draft, Epoch, Kind, Stamp, State, Verified},
    ids::ObjectId,
    records::Record,
};

fn record(state: State, stamp: Stamp, name: &str) -> Verified<Record> {
    let key = alice();
    let object = ObjectId::from(video().id(&key.id()));
    let payload = match state {
        State::Live => seedpod_protocol::records::Video {
            name: name.into(),
            ..video()
        }
        .into(),
        _ => Record::Empty,
    };
    Draft {
        kind: Kind::VIDEO,
        object,
        state,
        payload,
    }
    .sign(&key, stamp)
    .unwrap()
}

#[test]
fn removed_is_final() {
    let removed = record(State::Removed, stamp(1, 1), "");
    for later in [
        record(State::Live, stamp(u32::MAX, (1 << 53) - 1), "later"),
        record(State::Withdrawn, stamp(9, 9), ""),
    ] {
        assert!(removed.rank() > later.rank());
    }
    assert!(record(State::Removed, stamp(1, 2), "").rank() > removed.rank());
}

#[test]
fn the_later_run_wins_then_the_later_record() {
    let rank = |counter, seq| record(State::Live, stamp(counter, seq), "same").rank();
    assert!(rank(2, 1) > rank(1, 1000));
    assert!(rank(2, 2) > rank(2, 1));
    assert!(record(State::Withdrawn, stamp(2, 2), "").rank() > rank(2, 1));
    assert!(
        rank(2, 3) > record(State::Withdrawn, stamp(2, 2), "").rank(),
        "a withdrawal can be taken back"
    );
}

#[test]
fn of_two_with_one_stamp_the_lower_hash_wins() {
    let (a, b) = (
        record(State::Live, stamp(1, 1), "one"),
        record(State::Live, stamp(1, 1), "two"),
    );
    assert_eq!(a.header().stamp(), b.header().stamp());
    assert_eq!(a.rank() > b.rank(), a.hash() < b.hash());
}

prop_compose! {
    fn any_stamp()(counter in 0..3_u32, tag in 0..2_u8, seq in 0..3_u64) -> Stamp {
        Stamp { epoch: Epoch { counter, tag: [tag; 8] }, seq }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_winner_takes_no_order(
        records in prop::collection::vec((0..3_u8, any_stamp(), "[a-c]{3}"), 1..8).prop_flat_map(|records| {
            (Just(records.clone()), Just(records).prop_shuffle())
        })
    ) {
        let winner = |list: &[(u8, Stamp, String)]| {
            list.iter()
                .map(|(state, stamp, name)| {
                    record([State::Live, State::Withdrawn, State::Removed][usize::from(*state)], *stamp, name)
                })
                .reduce(|held, new| if new.rank() > held.rank() { new } else { held })
                .unwrap()
        };
        let (one, other) = (winner(&records.0), winner(&records.1));
        prop_assert_eq!(one.hash(), other.hash());
        prop_assert_eq!(one.header().key(), other.header().key());
    }
}
