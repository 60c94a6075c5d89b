//! Folders of older formats, and programs that are older than the folder.

use std::sync::atomic::{AtomicU64, Ordering};

use super::super::migrations::{Changes, Migration, Outcome, Release, THIS};
use super::folder::everything;
use super::*;

/// A folder of format 1 as this program wrote it, kept for ever: see `write_the_golden_folder`.
fn golden() -> Scratch {
    let scratch = Scratch::new();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/tests/golden/format-1");
    copy_folder(&kept, &scratch.path());
    scratch
}

/// What is in it.
fn golden_rows() -> Vec<(Table, String, String)> {
    let mut rows = Vec::new();
    for number in 0..30 {
        rows.push((RECORDS, format!("record {number:02}"), "r".repeat(40 + number)));
    }
    rows.retain(|(_, key, _)| key != "record 07");
    for name in ["anna", "bert"] {
        rows.push((USERS, name.to_owned(), format!("\u{1}{name}'s row")));
    }
    rows.push((META, "epoch".to_owned(), "\u{1}a fact".to_owned()));
    rows
}

fn expect_golden(store: &Store) {
    for table in [META, RECORDS, USERS] {
        let mut expected: Vec<_> = golden_rows()
            .into_iter()
            .filter(|row| row.0 == table)
            .map(|(_, key, value)| (key, value))
            .collect();
        expected.sort();
        assert_eq!(rows(store, table), expected, "{}", table.name());
    }
}

/// Writes the folder that is kept. Run it once for each new format, into a folder of its own, and never again.
#[tokio::test]
#[ignore = "writes a fixture; run by hand with GOLDEN=<new folder>"]
async fn write_the_golden_folder() {
    let folder = PathBuf::from(std::env::var_os("GOLDEN").expect("GOLDEN=<new folder>"));
    let options = StoreOptions {
        segment_bytes: 1024,
        snapshot_bytes: 1024,
        reserve_bytes: 0,
        ..options()
    };
    let store = Store::open(&folder, options).unwrap();
    store.commit(put(RECORDS, "record 07", "gone")).await.unwrap();
    for (table, key, value) in golden_rows() {
        store.commit(put(table, key, value)).await.unwrap();
    }
    // Two snapshots, no longer all segments, and something after them.
    let mut round = 0_u32;
    while snapshot::list(&folder.join("snapshots")).unwrap().len() < 2
        || folder.join("journal/00000001.log").exists()
    {
        store
            .commit(put(META, "passing", round.to_string()))
            .await
            .unwrap();
        round += 1;
    }
    let mut last = Transaction::new();
    last.delete(RECORDS, "record 07").delete(META, "passing");
    store.commit(last).await.unwrap();
    expect_golden(&store);
    store.close().await;
    drop(store);
    for gone in ["index", "reserve", "lock"] {
        let path = folder.join(gone);
        let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
    }
}

#[tokio::test]
async fn a_folder_of_format_1_opens_with_all_it_had() {
    let scratch = golden();
    assert!(!scratch.segment(1).exists(), "its first segments were dropped");
    let store = scratch.open().unwrap();
    expect_golden(&store);
    store.commit(put(META, "new", "row")).await.unwrap();
    drop(store);
    assert_eq!(scratch.open().unwrap().len(META), 2);
}

#[tokio::test]
async fn each_of_its_snapshots_is_enough() {
    let newest = |scratch: &Scratch| {
        let all = snapshot::list(&scratch.path().join("snapshots")).unwrap();
        assert_eq!(all.len(), 2);
        all[1].path.clone()
    };
    let scratch = golden();
    let mut bytes = fs::read(newest(&scratch)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(newest(&scratch), bytes).unwrap();
    expect_golden(&scratch.open().unwrap());
}

/// Format 2 of these tests: user names in capitals.
fn shout(changes: &mut Changes<'_>) -> Result<Outcome, StoreError> {
    let mut changed = 0;
    let users: Vec<_> = changes.rows().scan_prefix(USERS, b"").collect::<Result<_, _>>()?;
    for (key, value) in users {
        let name = text(key);
        let loud = name.to_uppercase();
        if loud == name {
            continue; // done before an interruption
        }
        if INTERRUPTED_AFTER.load(Ordering::Relaxed) == changed {
            return Err(StoreError::Closed);
        }
        let mut both = Transaction::new();
        both.delete(USERS, name).put(USERS, loud, value);
        changes.commit(both)?;
        changed += 1;
    }
    Ok(Outcome::Rows(changed))
}

/// Where the migration is interrupted, as a crash would.
static INTERRUPTED_AFTER: AtomicU64 = AtomicU64::new(u64::MAX);

const SECOND: Release = Release {
    format: 2,
    migrations: &[Migration {
        to: 2,
        name: "user names in capitals",
        run: shout,
    }],
};

const THIRD: Release = Release {
    format: 3,
    migrations: &[
        SECOND.migrations[0],
        Migration {
            to: 3,
            name: "nothing to do",
            run: |_| Ok(Outcome::Skipped),
        },
    ],
};

fn open_as(scratch: &Scratch, release: &Release) -> Result<Store, StoreError> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match Store::open_as(&scratch.path(), options(), release) {
            Err(StoreError::InUse(_)) if Instant::now() < deadline => thread::yield_now(),
            opened_or_refused => return opened_or_refused,
        }
    }
}

fn users(store: &Store) -> Vec<String> {
    rows(store, USERS).into_iter().map(|(key, _)| key).collect()
}

fn format_of(scratch: &Scratch) -> String {
    fs::read_to_string(scratch.path().join("format")).unwrap()
}

/// One test, since the place of the interruption belongs to the process.
#[tokio::test]
async fn migrations_run_once_in_order_resume_and_keep_what_was() {
    // Through two formats at once.
    let scratch = golden();
    let store = open_as(&scratch, &THIRD).unwrap();
    assert_eq!(users(&store), ["ANNA", "BERT"]);
    assert_eq!(store.len(RECORDS), 29, "other rows are as they were");
    store.commit(put(USERS, "carl", "is new")).await.unwrap();
    drop(store);
    assert_eq!(format_of(&scratch), "seedpod store 3\n");
    assert_eq!(
        users(&open_as(&scratch, &THIRD).unwrap()),
        ["ANNA", "BERT", "carl"]
    );

    // The older program refuses the folder, and opens the copy that was kept.
    fs::remove_file(scratch.path().join("lock")).unwrap();
    let before = everything(&scratch.path());
    let refused = open_as(&scratch, &THIS);
    assert!(
        matches!(
            refused,
            Err(StoreError::Newer {
                found: 3,
                known: FORMAT
            })
        ),
        "{refused:?}"
    );
    fs::write(scratch.path().join("format"), "seedpod store 1\n").unwrap();
    let refused = open_as(&scratch, &THIS);
    assert!(
        matches!(refused, Err(StoreError::Newer { .. })),
        "the journal says it, too: {refused:?}"
    );
    fs::write(scratch.path().join("format"), "seedpod store 3\n").unwrap();
    assert_eq!(everything(&scratch.path()).len(), before.len());
    let kept = Scratch::new();
    copy_folder(&scratch.path().join("before-format-2"), &kept.path());
    expect_golden(&open_as(&kept, &THIS).unwrap());

    // Interrupted anywhere.
    for stop in 0..2 {
        let scratch = golden();
        INTERRUPTED_AFTER.store(stop, Ordering::Relaxed);
        let interrupted = open_as(&scratch, &SECOND);
        INTERRUPTED_AFTER.store(u64::MAX, Ordering::Relaxed);
        assert!(interrupted.is_err());
        assert_eq!(format_of(&scratch), "seedpod store 1\n");
        let store = open_as(&scratch, &SECOND).unwrap();
        assert_eq!(users(&store), ["ANNA", "BERT"], "interrupted after {stop}");
        assert_eq!(format_of(&scratch), "seedpod store 2\n");
        drop(store);
        fs::remove_dir_all(scratch.index()).unwrap();
        assert_eq!(users(&open_as(&scratch, &SECOND).unwrap()), ["ANNA", "BERT"]);
    }
}

#[test]
fn this_release_has_one_migration_for_each_format_after_the_first() {
    let steps: Vec<u32> = THIS.migrations.iter().map(|step| step.to).collect();
    assert_eq!(steps, (1..FORMAT).map(|from| from + 1).collect::<Vec<_>>());
}
