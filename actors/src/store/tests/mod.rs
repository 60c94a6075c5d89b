//! The promises of the store, tried on real folders.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod folder;
mod full;
mod kill;
mod migrations;
mod model;
mod recovery;
mod snapshots;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::tables::{META, RECORDS, TOKENS, USERS};
use super::*;

/// A data folder that goes when the test ends.
struct Scratch {
    parent: TempDir,
}

impl Scratch {
    fn new() -> Self {
        Self {
            parent: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.parent.path().join("pod-data")
    }

    fn open(&self) -> Result<Store, StoreError> {
        open_patiently(&self.path(), &options())
    }

    /// What a process killed at this moment would leave behind, without the lock it held.
    fn image(&self) -> Scratch {
        let image = Scratch::new();
        copy_folder(&self.path(), &image.path());
        image
    }

    fn segment(&self, number: u64) -> PathBuf {
        self.path().join("journal").join(format!("{number:08}.log"))
    }

    fn index(&self) -> PathBuf {
        self.path().join("index")
    }
}

/// Opens a folder that nobody has open. Processes which other tests begin hold copies of our locks until they become another
/// program, so a lock may outlive its store by a moment.
fn open_patiently(folder: &Path, options: &StoreOptions) -> Result<Store, StoreError> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match Store::open(folder, options.clone()) {
            Err(StoreError::InUse(_)) if Instant::now() < deadline => thread::yield_now(),
            opened_or_refused => return opened_or_refused,
        }
    }
}

/// Small everything, so that a test meets several segments; snapshots only where a test asks for them.
fn options() -> StoreOptions {
    StoreOptions {
        index_cache_bytes: 1024 * 1024,
        segment_bytes: 4096,
        snapshot_bytes: u64::MAX,
        reserve_bytes: 64 * 1024,
        ..StoreOptions::default()
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn put(table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Transaction {
    let mut transaction = Transaction::new();
    transaction.put(table, key, value);
    transaction
}

fn rows(store: &Store, table: Table) -> Vec<(String, String)> {
    store
        .scan_range(table, ..)
        .map(|row| row.map(|(key, value)| (text(key), text(value))).unwrap())
        .collect()
}

fn keys(rows: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), StoreError>>) -> Vec<Vec<u8>> {
    rows.map(|row| row.unwrap().0).collect()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn an_answered_commit_is_there_to_read() {
    let scratch = Scratch::new();
    let store = scratch.open().unwrap();
    store.commit(put(USERS, "anna", "1")).await.unwrap();
    assert_eq!(store.get(USERS, b"anna").unwrap(), Some(b"1".to_vec()));
    assert_eq!(store.get(USERS, b"ann").unwrap(), None);
    assert_eq!(store.get(META, b"anna").unwrap(), None, "tables are apart");
}

#[tokio::test]
async fn the_last_change_of_a_key_holds() {
    let scratch = Scratch::new();
    let store = scratch.open().unwrap();
    let mut transaction = Transaction::new();
    transaction
        .put(USERS, "anna", "1")
        .delete(USERS, "anna")
        .put(USERS, "bert", "1")
        .put(USERS, "bert", "2");
    transaction.merge(put(USERS, "carl", "3"));
    assert_eq!(transaction.len(), 5);
    store.commit(transaction).await.unwrap();
    assert_eq!(
        rows(&store, USERS),
        [("bert".into(), "2".into()), ("carl".into(), "3".into())]
    );
    assert_eq!(store.len(USERS), 2);

    let mut transaction = Transaction::new();
    transaction.delete(USERS, "bert").delete(USERS, "nobody");
    store.commit(transaction).await.unwrap();
    assert_eq!(store.len(USERS), 1);
    assert!(store.is_empty(META) && store.commit(Transaction::new()).await.is_ok());
}

#[tokio::test]
async fn scans_stay_inside_their_table_and_bounds() {
    let scratch = Scratch::new();
    let store = scratch.open().unwrap();
    let mut transaction = Transaction::new();
    for key in ["a", "a/1", "a/2", "b", "\u{7f}"] {
        transaction
            .put(USERS, key, "")
            .put(META, key, "")
            .put(TOKENS, key, "");
    }
    transaction.put(USERS, vec![0xff; 3], "");
    store.commit(transaction).await.unwrap();

    assert_eq!(keys(store.scan_prefix(USERS, b"a/")), [b"a/1", b"a/2"]);
    assert_eq!(
        keys(store.scan_prefix(USERS, b"").rev().take(2)),
        [&[0xff; 3][..], b"\x7f"]
    );
    assert_eq!(keys(store.scan_range(USERS, ..)).len(), 6);
    assert_eq!(
        keys(store.scan_range(USERS, b"a/1".to_vec()..b"b".to_vec())),
        [b"a/1", b"a/2"]
    );
    assert_eq!(
        keys(store.scan_range(USERS, b"b".to_vec()..=b"\x7f".to_vec())),
        [b"b", b"\x7f"]
    );
    assert_eq!(
        keys(store.scan_range(USERS, b"b".to_vec()..b"a".to_vec())).len(),
        0
    );
}

#[tokio::test]
async fn reopening_keeps_all_and_goes_on() {
    let scratch = Scratch::new();
    for round in 0..4_u32 {
        let store = scratch.open().unwrap();
        assert_eq!(store.len(RECORDS), u64::from(round) * 40);
        for record in 0..40 {
            let number = round * 40 + record;
            store
                .commit(put(RECORDS, number.to_be_bytes(), vec![7; 200]))
                .await
                .unwrap();
        }
        if round % 2 == 0 {
            store.close().await;
        }
    }
    assert!(scratch.segment(3).exists(), "32 kB in segments of 4 kB");
}

#[tokio::test]
async fn committers_at_once_are_all_served() {
    let scratch = Scratch::new();
    let store = scratch.open().unwrap();
    let committers = (0..64_u32).map(|committer| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..10_u32 {
                let key = [committer.to_be_bytes(), number.to_be_bytes()].concat();
                store
                    .commit(put(RECORDS, key.clone(), key.clone()))
                    .await
                    .unwrap();
                assert_eq!(store.get(RECORDS, &key).unwrap(), Some(key));
            }
        })
    });
    for committer in committers.collect::<Vec<_>>() {
        committer.await.unwrap();
    }
    assert_eq!(store.len(RECORDS), 640);
}

#[tokio::test]
async fn closing_finishes_what_was_queued_and_ends_writing_alone() {
    let scratch = Scratch::new();
    let store = scratch.open().unwrap();
    let queued: Vec<_> = (0..20_u32)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.commit(put(RECORDS, number.to_be_bytes(), "")).await })
        })
        .collect();
    tokio::task::yield_now().await; // one thread: all twenty run up to their wait
    store.close().await;
    for commit in queued {
        commit.await.unwrap().unwrap();
    }
    assert!(matches!(
        store.commit(put(META, "late", "")).await,
        Err(StoreError::Closed)
    ));
    assert_eq!(store.len(RECORDS), 20);
    assert_eq!(store.get(META, b"late").unwrap(), None);
    store.close().await;
}

#[tokio::test]
async fn what_is_above_a_limit_is_refused_and_harms_nothing() {
    let scratch = Scratch::new();
    let store = scratch.open().unwrap();
    let refused = store.commit(put(META, "k", vec![0; MAX_VALUE_BYTES + 1])).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { what: "value", .. })));
    store
        .commit(put(META, vec![1; MAX_KEY_BYTES], vec![0; MAX_VALUE_BYTES]))
        .await
        .unwrap();
    assert_eq!(store.len(META), 1);
}

#[tokio::test]
async fn after_a_failed_write_reads_go_on_and_writes_do_not() {
    let scratch = Scratch::new();
    let store = scratch.open().unwrap();
    let mut answered = 0_u32;
    fs::remove_dir_all(scratch.path().join("journal")).unwrap(); // the next segment has nowhere to go
    let failed = loop {
        match store
            .commit(put(RECORDS, answered.to_be_bytes(), vec![0; 500]))
            .await
        {
            Ok(()) => answered += 1,
            Err(error) => break error,
        }
        assert!(answered < 100, "no segment was begun");
    };
    assert!(matches!(failed, StoreError::Failed(_)), "{failed}");
    fs::create_dir(scratch.path().join("journal")).unwrap();
    assert!(
        matches!(
            store.commit(put(META, "later", "")).await,
            Err(StoreError::Failed(_))
        ),
        "not even if it would work"
    );
    assert!(store.failure().is_some());
    assert_eq!(store.len(RECORDS), u64::from(answered));
    assert_eq!(store.get(META, b"later").unwrap(), None);
}

#[tokio::test]
async fn the_store_counts_what_it_does() {
    let scratch = Scratch::new();
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = StoreMetrics::new(&mut registry);
    let store = Store::open(&scratch.path(), StoreOptions { metrics, ..options() }).unwrap();
    for number in 0..3_u8 {
        store.commit(put(META, [number], "")).await.unwrap();
    }
    store.close().await;
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
    let bytes = fs::metadata(scratch.segment(1)).unwrap().len();
    for line in [
        "seedpod_store_commits_total 3".to_owned(),
        "seedpod_store_sync_seconds_count 3".to_owned(),
        "seedpod_store_group_size_sum 3.0".to_owned(),
        format!("seedpod_store_journal_bytes {bytes}"),
    ] {
        assert!(page.contains(&line), "no `{line}` in\n{page}");
    }
}
