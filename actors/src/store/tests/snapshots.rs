//! Snapshots: made while people write, believed only if whole, and what they spare the journal.

use std::collections::BTreeMap;

use super::super::cut::Cut;
use super::super::snapshot::SnapshotError;
use super::*;

const JOURNAL: JournalId = [7; 16];

pub(super) fn eager() -> StoreOptions {
    StoreOptions {
        snapshot_bytes: 8192,
        ..options()
    }
}

fn open_eager(scratch: &Scratch) -> Store {
    open_patiently(&scratch.path(), &eager()).unwrap()
}

fn snapshots(folder: &Path) -> Vec<PathBuf> {
    let all = snapshot::list(&folder.join("snapshots")).unwrap();
    all.into_iter().map(|snapshot| snapshot.path).collect()
}

fn segments(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder.join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Every row of the tables these tests use.
fn all_rows(store: &Store) -> BTreeMap<(Table, Vec<u8>), Vec<u8>> {
    let mut all = BTreeMap::new();
    for table in [META, RECORDS, USERS] {
        let rows = store.scan_range(table, ..).map(Result::unwrap);
        all.extend(rows.map(|(key, value)| ((table, key), value)));
    }
    all
}

/// Changes rows, again and again the same ones, until the condition holds.
async fn write_until(store: &Store, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    for number in 0_u32.. {
        if holds() {
            return;
        }
        assert!(Instant::now() < deadline, "{what} does not happen");
        let mut transaction = put(
            RECORDS,
            (number % 50).to_be_bytes(),
            number.to_string().repeat(40),
        );
        transaction.put(USERS, [u8::try_from(number % 7).unwrap()], number.to_be_bytes());
        if number % 3 == 0 {
            transaction.delete(META, [u8::try_from(number % 5).unwrap()]);
        } else {
            transaction.put(META, [u8::try_from(number % 5).unwrap()], number.to_be_bytes());
        }
        store.commit(transaction).await.unwrap();
    }
}

/// A folder with two snapshots and rows after them, closed, and its rows.
async fn folder_with_two_snapshots() -> (Scratch, BTreeMap<(Table, Vec<u8>), Vec<u8>>) {
    let scratch = Scratch::new();
    let store = open_eager(&scratch);
    let folder = scratch.path();
    write_until(&store, "the dropping of the first segment", || {
        snapshots(&folder).len() == 2 && !scratch.segment(1).exists()
    })
    .await;
    store.commit(put(META, "last", "row")).await.unwrap();
    let all = all_rows(&store);
    store.close().await;
    drop(store);
    (scratch, all)
}

fn expect_all(scratch: &Scratch, all: &BTreeMap<(Table, Vec<u8>), Vec<u8>>, what: &str) {
    let store = scratch.open().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(&all_rows(&store), all, "{what}");
}

fn flip(path: &Path, place: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[place] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn the_journal_stays_in_proportion_and_nothing_is_missing() {
    let scratch = Scratch::new();
    let mut registry = prometheus_client::registry::Registry::default();
    let options = StoreOptions {
        metrics: StoreMetrics::new(&mut registry),
        ..eager()
    };
    let store = open_patiently(&scratch.path(), &options).unwrap();
    let folder = scratch.path();
    // Some hundred kilobytes of changes to 62 rows.
    write_until(&store, "the fifteenth segment", || scratch.segment(15).exists()).await;
    write_until(&store, "the end of old segments", || !scratch.segment(6).exists()).await;
    assert!(snapshots(&folder).len() <= 3, "two, and one that takes its place");
    let all = all_rows(&store);
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
    let value = |name: &str| {
        let line = page
            .lines()
            .find(|line| line.starts_with(&format!("seedpod_store_{name} ")));
        let line = line.unwrap_or_else(|| panic!("no {name} in\n{page}"));
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert!(value("snapshots_total") >= 2 && value("failed_snapshots_total") == 0);
    assert!(value("journal_segments") < 15 && value("snapshot_bytes") > 1000);
    assert!(value("snapshot_made_seconds") > 1_600_000_000);
    drop(store);
    expect_all(&scratch, &all, "reopened");
    fs::remove_dir_all(scratch.index()).unwrap();
    expect_all(&scratch, &all, "without an index");
}

#[tokio::test]
async fn a_damaged_index_is_built_from_the_newest_snapshot_or_the_older_one() {
    let (scratch, all) = folder_with_two_snapshots().await;
    let [older, newest] = snapshots(&scratch.path()).try_into().unwrap();
    let without_index = || {
        let image = scratch.image();
        fs::remove_dir_all(image.index()).unwrap();
        image
    };
    let inside = |image: &Scratch, path: &Path| image.path().join(path.strip_prefix(scratch.path()).unwrap());

    expect_all(&without_index(), &all, "both are whole");
    let length = usize::try_from(fs::metadata(&newest).unwrap().len()).unwrap();
    for place in [0, 13, 30, 39, 40, 45, 60, length / 2, length - 100, length - 1] {
        let image = without_index();
        flip(&inside(&image, &newest), place);
        expect_all(&image, &all, &format!("the newest is hurt at {place}"));
        let aside = inside(&image, &newest).with_added_extension("damaged");
        assert!(aside.exists(), "it counts no more");
    }
    for cut in [0, 20, 40, length / 3, length - 1] {
        let image = without_index();
        let bytes = fs::read(&newest).unwrap();
        fs::write(inside(&image, &newest), &bytes[..cut]).unwrap();
        expect_all(&image, &all, &format!("the newest is cut at {cut}"));
    }
    let image = without_index();
    fs::remove_file(inside(&image, &newest)).unwrap();
    expect_all(&image, &all, "the newest is gone");
    let image = without_index();
    fs::remove_file(inside(&image, &older)).unwrap();
    expect_all(&image, &all, "the older one is gone");
    let image = without_index();
    fs::copy(&newest, inside(&image, &older)).unwrap();
    fs::remove_file(inside(&image, &newest)).unwrap();
    assert!(
        matches!(image.open(), Err(StoreError::Damaged { .. })),
        "a snapshot under the name of another, and no other"
    );

    // Without any that is whole there is no way; and nothing is changed by saying so.
    let image = without_index();
    flip(&inside(&image, &newest), 100);
    flip(&inside(&image, &older), 100);
    let error = image.open().unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("no snapshot that verifies"), "{error}");
    assert_eq!(snapshots(&image.path()).len(), 2);
    let image = scratch.image();
    flip(&inside(&image, &newest), 100);
    flip(&inside(&image, &older), 100);
    expect_all(&image, &all, "the index is whole and needs none");
}

#[tokio::test]
async fn a_changed_byte_in_a_snapshot_is_never_believed() {
    let (scratch, _) = folder_with_two_snapshots().await;
    let newest = snapshot::list(&scratch.path().join("snapshots"))
        .unwrap()
        .pop()
        .unwrap();
    let id = journal::survey(&scratch.path().join("journal"), |_| 0)
        .unwrap()
        .id
        .unwrap();
    newest.verify(id).unwrap();
    assert!(newest.verify(JOURNAL).is_err(), "of another journal");
    let bytes = fs::read(&newest.path).unwrap();
    for place in (0..bytes.len()).step_by(7).chain(bytes.len() - 80..bytes.len()) {
        if (8..12).contains(&place) {
            continue; // the format is looked at before anything else
        }
        let mut hurt = bytes.clone();
        hurt[place] ^= 1;
        fs::write(&newest.path, hurt).unwrap();
        assert!(newest.verify(id).is_err(), "a change at {place} went unnoticed");
    }
    let mut longer = bytes;
    longer.push(0);
    fs::write(&newest.path, longer).unwrap();
    assert!(newest.verify(id).is_err(), "something was added");
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_snapshot_is_harmless() {
    let (scratch, all) = folder_with_two_snapshots().await;
    let folder = scratch.path();
    // Half written, under its temporary name; with and without an index.
    let image = scratch.image();
    let bytes = fs::read(&snapshots(&folder)[1]).unwrap();
    fs::write(
        image.path().join("snapshots/snapshot.new"),
        &bytes[..bytes.len() / 2],
    )
    .unwrap();
    expect_all(&image, &all, "half a snapshot");
    assert!(!image.path().join("snapshots/snapshot.new").exists());

    // A third one written, and nothing dropped; then with the oldest snapshot dropped, then each segment.
    let complete = Scratch::new();
    let store = open_eager(&complete);
    let path = complete.path();
    write_until(&store, "a first snapshot", || snapshots(&path).len() == 1).await;
    let first = complete.image();
    write_until(&store, "a third snapshot", || {
        snapshots(&path).len() == 2 && !complete.segment(1).exists()
    })
    .await;
    store.close().await;
    let all = all_rows(&store);
    drop(store);
    // What the second snapshot let go is put back: a crash before the first drop.
    for name in segments(&first.path()) {
        let target = path.join("journal").join(&name);
        if !target.exists() {
            fs::copy(first.path().join("journal").join(&name), target).unwrap();
        }
    }
    let kept = segments(&path);
    let lowest = snapshot::list(&path.join("snapshots")).unwrap()[0].applied;
    let needed = |image: &Scratch| {
        let survey = journal::survey(&image.path().join("journal"), |_| 0).unwrap();
        survey.first
    };
    let mut steps = 0;
    for dropped in 0..kept.len() {
        let image = complete.image();
        for name in &kept[..dropped] {
            fs::remove_file(image.path().join("journal").join(name)).unwrap();
        }
        if needed(&image) > lowest + 1 {
            break; // further than any drop goes
        }
        for index in [true, false] {
            let image = image.image();
            if !index {
                fs::remove_dir_all(image.index()).unwrap();
            }
            expect_all(
                &image,
                &all,
                &format!("{dropped} segments dropped, index: {index}"),
            );
            assert!(
                needed(&image) <= lowest + 1,
                "what the older snapshot needs is there"
            );
            assert!(
                !image.segment(1).exists() || lowest == 0,
                "the start goes on with dropping"
            );
        }
        steps += 1;
    }
    assert!(steps >= 2, "{kept:?}");

    // Drops that reached the disk in another order leave a gap where nobody needs anything.
    if steps >= 3 {
        let image = complete.image();
        fs::remove_file(image.path().join("journal").join(&kept[1])).unwrap();
        expect_all(&image, &all, "a gap");
    }
}

#[tokio::test]
async fn a_damaged_segment_does_no_harm_where_a_snapshot_covers_it_and_is_refused_where_none_does() {
    let (scratch, all) = folder_with_two_snapshots().await;
    let newest = snapshot::list(&scratch.path().join("snapshots")).unwrap()[1].applied;
    let names = segments(&scratch.path());
    let (mut covered, mut refused) = (0, 0);
    for (position, name) in names.iter().enumerate() {
        let is_last = position + 1 == names.len();
        for place in [20, 50, 54, 60, 100] {
            let image = scratch.image();
            let path = image.path().join("journal").join(name);
            let length = fs::metadata(&path).unwrap().len();
            if place as u64 >= length {
                continue;
            }
            flip(&path, place);
            match image.open() {
                Ok(store) => {
                    assert_eq!(all_rows(&store), all, "{name} hurt at {place}");
                    assert!(!is_last, "{name} hurt at {place} went unnoticed");
                    covered += 1;
                    // And it is still so without the index.
                    drop(store);
                    fs::remove_dir_all(image.index()).unwrap();
                    expect_all(&image, &all, "and without the index");
                }
                Err(StoreError::Damaged { file, .. }) => {
                    assert_eq!(file, path);
                    refused += 1;
                }
                Err(error) => panic!("{name} hurt at {place}: {error}"),
            }
        }
    }
    assert!(
        covered > 0 && refused > 0,
        "{covered} covered, {refused} refused, {names:?}, {newest}"
    );
}

#[tokio::test]
async fn a_damaged_segment_goes_with_the_next_snapshots() {
    let (scratch, all) = folder_with_two_snapshots().await;
    let first = scratch.path().join("journal").join(&segments(&scratch.path())[0]);
    flip(&first, 60);
    let store = open_eager(&scratch);
    assert_eq!(all_rows(&store), all);
    write_until(&store, "the end of the damaged segment", || !first.exists()).await;
    drop(store);
    scratch.open().unwrap();
}

#[tokio::test]
async fn a_journal_that_was_dropped_too_far_is_refused() {
    let (scratch, _) = folder_with_two_snapshots().await;
    for path in snapshots(&scratch.path()) {
        fs::remove_file(path).unwrap();
    }
    let error = scratch.open().unwrap_err();
    assert!(error.to_string().contains("no snapshot"), "{error}");
    let (scratch, _) = folder_with_two_snapshots().await;
    for name in segments(&scratch.path()) {
        fs::remove_file(scratch.path().join("journal").join(name)).unwrap();
    }
    fs::remove_dir_all(scratch.index()).unwrap();
    let error = scratch.open().unwrap_err();
    assert!(error.to_string().contains("a snapshot has"), "{error}");
}

/// An index with so many rows, and the rows.
fn index_with(folder: &Path, count: u32) -> (Index, BTreeMap<Vec<u8>, Vec<u8>>) {
    let mut index = Index::open(folder, JOURNAL, 1 << 20).unwrap();
    let mut rows = BTreeMap::new();
    let mut all = Transaction::new();
    for number in 0..count {
        all.put(RECORDS, (2 * number).to_be_bytes(), vec![1; 300]);
        rows.insert(
            [vec![RECORDS.number()], (2 * number).to_be_bytes().to_vec()].concat(),
            vec![1; 300],
        );
    }
    index.apply(all.into_operations(), 1).unwrap();
    (index, rows)
}

fn read(cut: &mut Cut) -> Option<BTreeMap<Vec<u8>, Vec<u8>>> {
    cut.next().unwrap()
}

#[test]
fn a_cut_stays_as_it_was_whatever_changes_before_and_behind_its_reader() {
    let scratch = Scratch::new();
    let (mut index, rows) = index_with(&scratch.path(), 5000);
    let mut cut = index.cut();
    let mut seen = BTreeMap::new();
    let mut step = 0_u32;
    while let Some(piece) = read(&mut cut) {
        seen.extend(piece);
        // Between two pieces rows change, go and come everywhere, some more than once.
        let mut changes = Transaction::new();
        for number in (step % 7..10_000).step_by(7) {
            match number % 3 {
                0 => changes.delete(RECORDS, number.to_be_bytes()),
                _ => changes.put(RECORDS, number.to_be_bytes(), vec![2; 30]),
            };
        }
        changes.put(META, [u8::try_from(step % 200).unwrap()], "");
        changes.put(USERS, [u8::try_from(step % 200).unwrap()], "");
        index
            .apply(changes.into_operations(), u64::from(step) + 2)
            .unwrap();
        step += 1;
    }
    assert!(step > 5, "{step} pieces");
    assert_eq!(seen, rows);
    assert!(read(&mut cut).is_none());
}

#[test]
fn a_snapshot_of_an_index_that_lost_a_row_does_not_verify() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.path().join("snapshots")).unwrap();
    let (mut index, _) = index_with(&scratch.index(), 1000);
    let folder = scratch.path().join("snapshots");
    let whole = snapshot::make(&folder, index.cut(), FORMAT, |_| Ok(())).unwrap();
    whole.verify(JOURNAL).unwrap();
    fs::remove_file(whole.path).unwrap();

    index.lose_a_row();
    let error = snapshot::make(&folder, index.cut(), FORMAT, |_| Ok(())).unwrap_err();
    assert!(matches!(error, SnapshotError::Damaged(_)), "{error}");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "nothing is left of it");
}

#[test]
fn a_snapshot_that_finds_no_room_or_no_time_leaves_nothing_behind() {
    let scratch = Scratch::new();
    let folder = scratch.path().join("snapshots");
    fs::create_dir_all(&folder).unwrap();
    let (mut index, _) = index_with(&scratch.index(), 5000);
    for give_up_at in [0, 1, 3, 12] {
        let mut asked = 0;
        let result = snapshot::make(&folder, index.cut(), FORMAT, |_| {
            asked += 1;
            if asked > give_up_at {
                Err(SnapshotError::Full)
            } else {
                Ok(())
            }
        });
        assert!(matches!(result, Err(SnapshotError::Full)), "{result:?}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }
    snapshot::make(&folder, index.cut(), FORMAT, |_| Ok(())).unwrap();
}

#[test]
fn too_many_changes_lose_a_cut_and_not_the_memory() {
    let scratch = Scratch::new();
    let (mut index, _) = index_with(&scratch.path(), 100);
    let mut cut = index.cut();
    // Longer than all rows of the cut: each is saved as a place where there was none.
    for round in 0..20_u64 {
        let mut changes = Transaction::new();
        for number in 0..2000_u64 {
            let key = [vec![9; 1000], (round * 2000 + number).to_be_bytes().to_vec()].concat();
            changes.put(TOKENS, key, "");
        }
        index.apply(changes.into_operations(), round + 2).unwrap();
    }
    let error = cut.next().unwrap_err();
    assert!(matches!(error, SnapshotError::Lost), "{error}");
    assert!(!error.blames_the_index(), "it is whole, and only busy");
    assert!(index.cut().next().is_ok(), "the next one begins anew");
}
