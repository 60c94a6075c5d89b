//! The store against a `BTreeMap`, through any order of commits, reopenings and crashes, with and without snapshots.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// Changes of (table, key), to a value of some length or to nothing.
    Commit(Vec<(u8, u8, Option<u16>)>),
    Reopen,
    /// Go on with what a killed process would have left.
    Crash,
    /// Go on without an index.
    LoseIndex,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = (0..3_u8, 0..12_u8, proptest::option::weighted(0.7, 0..600_u16));
    let step = prop_oneof![
        12 => vec(change, 1..8).prop_map(Step::Commit),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
        1 => Just(Step::LoseIndex),
    ];
    vec(step, 1..40)
}

const TABLES: [Table; 3] = [META, RECORDS, USERS];

async fn compare(steps: Vec<Step>, snapshot_bytes: u64) {
    let options = StoreOptions {
        snapshot_bytes,
        ..options()
    };
    let open = |scratch: &Scratch| open_patiently(&scratch.path(), &options).unwrap();
    let mut scratch = Scratch::new();
    let mut store = open(&scratch);
    let mut model: BTreeMap<(Table, Vec<u8>), Vec<u8>> = BTreeMap::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Commit(changes) => {
                let mut transaction = Transaction::new();
                for (table, key, length) in changes {
                    let table = TABLES[usize::from(table)];
                    if let Some(length) = length {
                        let value = vec![u8::try_from(number).unwrap(); usize::from(length)];
                        model.insert((table, vec![key]), value.clone());
                        transaction.put(table, [key], value);
                    } else {
                        model.remove(&(table, vec![key]));
                        transaction.delete(table, [key]);
                    }
                }
                store.commit(transaction).await.unwrap();
            }
            // With snapshots files come and go while they are copied, which no crash looks like; `kill.rs` has those.
            Step::Crash if snapshot_bytes == u64::MAX => {
                let image = scratch.image();
                drop(store);
                scratch = image;
                store = open(&scratch);
            }
            Step::Reopen | Step::Crash => {
                drop(store);
                store = open(&scratch);
            }
            Step::LoseIndex => {
                drop(store);
                fs::remove_dir_all(scratch.index()).unwrap();
                store = open(&scratch);
            }
        }
        let mut found = BTreeMap::new();
        for table in TABLES {
            let rows: Vec<_> = store.scan_range(table, ..).map(Result::unwrap).collect();
            assert_eq!(store.len(table), rows.len() as u64);
            found.extend(rows.into_iter().map(|(key, value)| ((table, key), value)));
        }
        assert_eq!(found, model, "after step {number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_a_map_that_survives(steps in steps(), snapshot_bytes in prop_oneof![Just(u64::MAX), 300..6000_u64]) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(compare(steps, snapshot_bytes));
    }
}
