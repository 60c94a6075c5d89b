//! The catalog as a function of the set of records it was offered.

use proptest::prelude::*;
use seedpod_protocol::envelope::{Draft, Verified};
use seedpod_protocol::ids::ObjectId;
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::{Profile, Record};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn key(seed: u8) -> PodKey {
    PodKey::from_seed(&[seed; 32])
}

fn epoch(counter: u32, tag: u8) -> Epoch {
    Epoch {
        counter,
        tag: [tag; 8],
    }
}

fn stamp(counter: u32, seq: u64) -> Stamp {
    Stamp {
        epoch: epoch(counter, 1),
        seq,
    }
}

/// A record of an unknown kind, so that any object and state is valid.
fn record(author: &PodKey, object: u8, state: State, stamp: Stamp) -> Verified<Record> {
    let draft = Draft {
        kind: Kind(77),
        object: ObjectId::from_bytes(&[object]).expect("one byte"),
        state,
        payload: Record::Opaque(vec![object]),
    };
    draft.sign(author, stamp).expect("within the limits")
}

fn catalog() -> Catalog {
    Catalog::new(key(1).id(), epoch(9, 9))
}

fn offer(catalog: &mut Catalog, record: &Verified<Record>) -> Outcome {
    let outcome = catalog.offer(record, NOW);
    catalog.check();
    outcome
}

#[test]
fn a_newer_record_replaces_an_older_one_and_keeps_its_number() {
    let (mut catalog, author) = (catalog(), key(2));
    catalog.admit(author.id());
    let Outcome::Applied(old) = offer(&mut catalog, &record(&author, 5, State::Live, stamp(1, 1))) else {
        panic!("the first record of a register is its head");
    };
    let Outcome::Applied(new) = offer(&mut catalog, &record(&author, 5, State::Withdrawn, stamp(1, 2)))
    else {
        panic!("a later record outranks an earlier one");
    };
    assert_eq!((old.number, new.number), (1, 1));
    assert_eq!(
        offer(&mut catalog, &record(&author, 5, State::Live, stamp(1, 1))),
        Outcome::Stale
    );
}

#[test]
fn removed_is_final_whatever_the_numbers_say() {
    let (mut catalog, author) = (catalog(), key(2));
    catalog.admit(author.id());
    offer(&mut catalog, &record(&author, 5, State::Removed, stamp(1, 1)));
    assert_eq!(
        offer(&mut catalog, &record(&author, 5, State::Live, stamp(8, 800))),
        Outcome::Stale
    );
}

#[test]
fn an_author_who_is_not_admitted_changes_nothing() {
    let mut catalog = catalog();
    let before = catalog.digest();
    assert_eq!(
        offer(&mut catalog, &record(&key(2), 5, State::Live, stamp(1, 1))),
        Outcome::NotAdmitted
    );
    assert_eq!(catalog.digest(), before);
}

#[test]
fn an_expelled_author_leaves_no_trace_and_comes_back_whole() {
    let (mut catalog, author) = (catalog(), key(2));
    let before = catalog.digest();
    let records: Vec<_> = (0..4)
        .map(|object| record(&author, object, State::Live, stamp(1, 1 + u64::from(object))))
        .collect();
    catalog.admit(author.id());
    let admitted = {
        records
            .iter()
            .for_each(|record| assert!(matches!(offer(&mut catalog, record), Outcome::Applied(_))));
        catalog.digest()
    };
    assert_eq!(catalog.expel(author.id()).len(), 4);
    catalog.check();
    assert_eq!(catalog.digest(), before);
    catalog.admit(author.id());
    records
        .iter()
        .rev()
        .for_each(|record| assert!(matches!(offer(&mut catalog, record), Outcome::Applied(_))));
    assert_eq!(catalog.digest(), admitted);
}

#[test]
fn this_pod_itself_is_never_expelled() {
    let mut catalog = catalog();
    assert!(catalog.expel(key(1).id()).is_empty());
    catalog.check();
}

#[test]
fn our_own_key_under_a_higher_start_lifts_us_above_it() {
    let mut catalog = catalog();
    let ours = record(
        &key(1),
        3,
        State::Live,
        Stamp {
            epoch: epoch(40, 7),
            seq: 12,
        },
    );
    offer(&mut catalog, &ours);
    let next = catalog.next_stamp();
    assert_eq!(next.epoch.counter, 41);
    assert!(next > ours.header().stamp());
}

#[test]
fn pages_follow_stamps_and_continue_after_the_last() {
    let (mut catalog, author) = (catalog(), key(2));
    catalog.admit(author.id());
    for seq in [3, 1, 2] {
        offer(
            &mut catalog,
            &record(
                &author,
                u8::try_from(seq).expect("small"),
                State::Live,
                stamp(1, seq),
            ),
        );
    }
    assert_eq!(catalog.page(&author.id(), None).len(), 3);
    let rest = catalog.page(&author.id(), Some(stamp(1, 2)));
    assert_eq!(
        rest,
        vec![record(&author, 3, State::Live, stamp(1, 3)).header().key()]
    );
    assert!(catalog.page(&author.id(), Some(stamp(1, 3))).is_empty());
}

#[test]
fn two_envelopes_under_one_stamp_flag_their_author_and_converge() {
    let author = key(2);
    let profile = |name: &str| {
        let profile = Profile {
            name: name.to_owned(),
            description: String::new(),
            email: None,
            url: "http://localhost:9002".to_owned(),
            udp: None,
        };
        Draft::live(&author.id(), Record::Profile(profile))
            .expect("a profile")
            .sign(&author, stamp(1, 1))
            .expect("signed")
    };
    let (a, b) = (profile("one"), profile("two"));
    let digest_of = |order: [&Verified<Record>; 2]| {
        let mut catalog = catalog();
        catalog.admit(author.id());
        order.iter().for_each(|record| {
            offer(&mut catalog, record);
        });
        assert_eq!(catalog.equivocators(), 1);
        catalog.digest()
    };
    assert_eq!(digest_of([&a, &b]), digest_of([&b, &a]));
}

#[test]
fn restoring_rows_gives_the_same_catalog() {
    let (mut catalog, author) = (catalog(), key(2));
    catalog.admit(author.id());
    let records: Vec<_> = (1..6)
        .map(|n| record(&author, n, State::Live, stamp(1, u64::from(n))))
        .collect();
    let mut again = super::Catalog::new(key(1).id(), epoch(10, 10));
    for record in &records {
        let Outcome::Applied(head) = offer(&mut catalog, record) else {
            panic!("new")
        };
        again.restore(record.header(), record.hash(), head.number, head.received_s);
    }
    again.check();
    assert_eq!(again.digest(), catalog.digest());
}

#[test]
fn an_author_with_too_many_registers_is_frozen_before_and_after_a_restart() {
    let (mut catalog, author) = (catalog(), key(2));
    catalog.max_registers = 3;
    catalog.admit(author.id());
    let records: Vec<_> = (1..6)
        .map(|n| record(&author, n, State::Live, stamp(1, u64::from(n))))
        .collect();
    let mut again = super::Catalog::new(key(1).id(), epoch(10, 10));
    again.max_registers = 3;
    for record in &records[..4] {
        let Outcome::Applied(head) = offer(&mut catalog, record) else {
            panic!("the last of these freezes")
        };
        again.restore(record.header(), record.hash(), head.number, head.received_s);
    }
    let theirs = AuthorRoot {
        author: author.id(),
        root: ContentHash::of(b"more"),
        records: 9,
    };
    for mut frozen in [catalog, again] {
        assert_eq!(offer(&mut frozen, &records[4]), Outcome::Frozen);
        assert_eq!(frozen.roots().len(), 1, "this pod's own");
        assert!(
            frozen.differences([theirs]).is_empty(),
            "asking would bring nothing, again and again"
        );
    }
}

#[test]
fn what_this_run_signed_is_to_be_signed_again_once() {
    let mut catalog = catalog();
    let me = key(1);
    let before = record(&me, 1, State::Live, stamp(3, 1));
    let now = record(&me, 2, State::Live, catalog.next_stamp());
    for record in [&before, &now] {
        offer(&mut catalog, record);
    }
    assert!(catalog.take_to_sign_again().is_empty());
    // Stale, for what it is about was removed: the start it is from is noticed all the same.
    let removed = record(&me, 5, State::Removed, stamp(3, 2));
    offer(&mut catalog, &removed);
    assert_eq!(
        offer(&mut catalog, &record(&me, 5, State::Live, stamp(40, 1))),
        Outcome::Stale
    );
    assert_eq!(catalog.take_to_sign_again(), BTreeSet::from([now.header().key()]));
    assert!(catalog.take_to_sign_again().is_empty());
    assert_eq!(catalog.next_stamp().epoch.counter, 41);
}

proptest! {
    /// Order, duplication and loss followed by another try make no difference.
    #[test]
    fn the_digest_depends_on_the_set_of_records_alone(
        statements in prop::collection::vec((0u8..6, 0u8..3, 1u32..4, 1u64..6), 1..24),
        shuffled in any::<prop::sample::Index>(),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let author = key(2);
        let state = |number| [State::Live, State::Withdrawn, State::Removed][usize::from(number)];
        let records: Vec<_> = statements
            .iter()
            .map(|&(object, number, counter, seq)| record(&author, object, state(number), stamp(counter, seq)))
            .collect();
        let mut straight = catalog();
        straight.admit(author.id());
        records.iter().for_each(|record| { offer(&mut straight, record); });

        let mut other = catalog();
        other.admit(author.id());
        let turn = shuffled.index(records.len());
        let order = records[turn..].iter().chain(&records[..turn]).rev();
        let order = order.chain(again.iter().map(|index| index.get(&records)));
        order.for_each(|record| { offer(&mut other, record); });
        prop_assert_eq!(straight.digest(), other.digest());
    }
}

#[test]
fn who_is_hidden_takes_part_in_nothing_and_comes_back_whole() {
    let (mut catalog, author) = (catalog(), key(2));
    catalog.admit(author.id());
    offer(&mut catalog, &record(&author, 1, State::Live, stamp(1, 1)));
    let before = catalog.digest();
    assert!(catalog.hide(author.id()));
    catalog.check();
    assert_eq!(catalog.roots().len(), 1, "this pod itself");
    assert_ne!(catalog.digest(), before);
    let next = record(&author, 2, State::Live, stamp(1, 2));
    assert_eq!(offer(&mut catalog, &next), Outcome::NotAdmitted);
    assert!(catalog.admit(author.id()), "there was something to come back");
    catalog.check();
    assert_eq!(catalog.digest(), before);
    assert!(!catalog.admit(author.id()));
    let me = catalog.me;
    assert!(!catalog.hide(me), "this pod itself stays");
    catalog.hide(author.id());
    assert_eq!(
        catalog.expel(author.id()).len(),
        1,
        "what is hidden can be deleted"
    );
}

/// What was done to a catalog and is not on its disk yet.
#[derive(Debug, Clone)]
enum Step {
    Offer {
        author: u8,
        object: u8,
        removed: bool,
        seq: u64,
    },
    Expel(u8),
    Admit(u8),
    Hide(u8),
    Written,
    Refused,
}

fn step() -> impl Strategy<Value = Step> {
    let author = 2u8..4;
    let offer = (author.clone(), 0u8..5, any::<bool>(), 1u64..20);
    prop_oneof![
        8 => offer.prop_map(|(author, object, removed, seq)| Step::Offer { author, object, removed, seq }),
        1 => author.clone().prop_map(Step::Expel),
        2 => author.clone().prop_map(Step::Admit),
        1 => author.prop_map(Step::Hide),
        2 => Just(Step::Written),
        2 => Just(Step::Refused),
    ]
}

/// The rows of a disk.
type Rows = BTreeMap<(PodId, RegisterKey), StoredHead>;

proptest! {
    /// After a refusal all is as if the catalog were read from the disk, and no two objects have one number.
    #[test]
    fn what_was_refused_never_happened(steps in prop::collection::vec(step(), 1..60)) {
        let mut catalog = catalog();
        let authors = [key(2), key(3)];
        authors.iter().for_each(|author| { catalog.admit(author.id()); });
        let (mut disk, mut next, mut unwritten) = (Rows::new(), Rows::new(), Unwritten::default());
        for step in steps {
            match step {
                Step::Offer { author, object, removed, seq } => {
                    let state = if removed { State::Removed } else { State::Live };
                    let record = record(&key(author), object, state, stamp(1, seq));
                    let Outcome::Applied(head) = offer(&mut catalog, &record) else { continue };
                    let (header, register) = (*record.header(), (key(author).id(), record.header().key()));
                    let (number, received_s) = (head.number, head.received_s);
                    next.insert(register, StoredHead { header, hash: record.hash(), number, received_s, of_keys: None });
                    let lowest = unwritten.heads.entry(register).or_insert(number);
                    *lowest = number.min(*lowest);
                }
                Step::Expel(author) => {
                    let author = key(author).id();
                    for register in catalog.expel(author) {
                        next.remove(&(author, register));
                    }
                    unwritten.gone.insert(author);
                }
                Step::Admit(author) => drop(catalog.admit(key(author).id())),
                Step::Hide(author) => drop(catalog.hide(key(author).id())),
                Step::Written => {
                    disk = next.clone();
                    unwritten = Unwritten::default();
                }
                Step::Refused => {
                    let concerned = |register: &(PodId, RegisterKey)| {
                        unwritten.gone.contains(&register.0) || unwritten.heads.contains_key(register)
                    };
                    let stored: Vec<_> = disk
                        .iter()
                        .filter(|(register, _)| concerned(register))
                        .map(|(_, stored)| stored.clone())
                        .collect();
                    catalog.forget(&unwritten, &stored);
                    next = disk.clone();
                    unwritten = Unwritten::default();
                    let mut read = Catalog::new(catalog.me, catalog.epoch);
                    for row in disk.values() {
                        read.restore(&row.header, row.hash, row.number, row.received_s);
                    }
                    for author in catalog.authors() {
                        read.admit(author);
                    }
                    for author in catalog.hidden() {
                        read.admit(author);
                        read.hide(author);
                    }
                    read.check();
                    prop_assert_eq!(read.digest(), catalog.digest());
                    prop_assert!(read.last_number <= catalog.last_number);
                }
            }
            catalog.check();
            let known = catalog.authors.values().chain(catalog.hidden.values());
            let mut numbers: Vec<u32> = known
                .flat_map(|author| author.heads.values().map(|head| head.number))
                .collect();
            let objects = numbers.len();
            numbers.sort_unstable();
            numbers.dedup();
            prop_assert_eq!(numbers.len(), objects);
        }
    }
}
