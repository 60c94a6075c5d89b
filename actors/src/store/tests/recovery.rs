//! Crashes and damage.

use super::*;

/// A folder with `count` committed rows in META, one frame each, all named and valued by their number.
async fn folder_with(count: u32) -> Scratch {
    let scratch = Scratch::new();
    let store = scratch.open().unwrap();
    commit_rows(&store, 0..count).await;
    store.close().await;
    drop(store);
    scratch
}

async fn commit_rows(store: &Store, numbers: std::ops::Range<u32>) {
    for number in numbers {
        store
            .commit(put(META, format!("{number:04}"), number.to_string()))
            .await
            .unwrap();
    }
}

fn expect_rows(store: &Store, count: u32) {
    let expected: Vec<_> = (0..count)
        .map(|number| (format!("{number:04}"), number.to_string()))
        .collect();
    assert_eq!(rows(store, META), expected);
    assert_eq!(store.len(META), u64::from(count));
}

fn aside(scratch: &Scratch) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(scratch.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("index.damaged-"))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_a_killed_process_leaves_has_every_answered_commit() {
    let scratch = Scratch::new();
    let store = scratch.open().unwrap();
    for round in 0..10 {
        commit_rows(&store, round * 20..(round + 1) * 20).await;
        let image = scratch.image(); // the store is open and sled has flushed nothing
        expect_rows(&image.open().unwrap(), (round + 1) * 20);
    }
}

#[tokio::test]
async fn a_write_cut_short_anywhere_costs_nothing_that_was_answered() {
    let scratch = folder_with(3).await;
    // A crash between the journal's write and the index: the index is from before the last commit.
    let before = scratch.image();
    let whole = fs::metadata(scratch.segment(1)).unwrap().len();
    let store = scratch.open().unwrap();
    commit_rows(&store, 3..4).await;
    drop(store);
    let bytes = fs::read(scratch.segment(1)).unwrap();
    assert!(whole + 30 < bytes.len() as u64);
    for cut in usize::try_from(whole).unwrap()..=bytes.len() {
        fs::write(before.segment(1), &bytes[..cut]).unwrap();
        let crashed = before.image();
        let store = crashed
            .open()
            .unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        expect_rows(&store, if cut == bytes.len() { 4 } else { 3 });
        // The cut is forgotten: what is written next is read back.
        store.commit(put(META, "0003", "3")).await.unwrap();
        if cut < bytes.len() {
            commit_rows(&store, 4..5).await;
            drop(store);
            fs::remove_dir_all(crashed.index()).unwrap();
            expect_rows(&crashed.open().unwrap(), 5);
        }
    }
}

#[tokio::test]
async fn a_torn_write_with_a_frame_in_a_strangers_record_is_cut_off() {
    let scratch = folder_with(3).await;
    let whole = fs::read(scratch.segment(1)).unwrap();
    // What somebody who knows about how far we are could send us.
    let mut payload = [5_u64.to_be_bytes().as_slice(), &1_u32.to_be_bytes()].concat();
    put(META, "decoy", "").encode(&mut payload);
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let crc = journal::frame_crc(&length, &payload).to_be_bytes();
    let decoy = [length.as_slice(), &crc, &payload].concat();

    let written = scratch.image();
    let store = written.open().unwrap();
    let value = [decoy.as_slice(), &[7; 100]].concat();
    store.commit(put(META, "record", value)).await.unwrap();
    drop(store);
    let bytes = fs::read(written.segment(1)).unwrap();
    let decoy_at = whole.len()
        + bytes[whole.len()..]
            .windows(decoy.len())
            .position(|part| part == decoy)
            .unwrap();
    for cut in [
        decoy_at + decoy.len(),
        decoy_at + decoy.len() + 50,
        bytes.len() - 1,
    ] {
        let cut_short = bytes[..cut].to_vec();
        let mut zeroed = bytes.clone();
        zeroed[cut..].fill(0);
        for torn in [cut_short, zeroed] {
            let crashed = scratch.image();
            fs::write(crashed.segment(1), torn).unwrap();
            let store = crashed
                .open()
                .unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
            expect_rows(&store, 3);
        }
    }
}

#[tokio::test]
async fn a_torn_write_full_of_zeros_is_cut_off() {
    let scratch = folder_with(3).await;
    let mut bytes = fs::read(scratch.segment(1)).unwrap();
    bytes.extend([0; 5000]);
    fs::write(scratch.segment(1), &bytes).unwrap();
    expect_rows(&scratch.open().unwrap(), 3);
    assert_eq!(
        fs::metadata(scratch.segment(1)).unwrap().len(),
        bytes.len() as u64 - 5000
    );
}

#[tokio::test]
async fn a_changed_byte_is_never_served() {
    let scratch = folder_with(8).await;
    let folder = scratch.path().join("journal");
    let bytes = fs::read(scratch.segment(1)).unwrap();
    let last_frame = bytes.len() - (bytes.len() - 48) / 8;
    for place in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut hurt = bytes.clone();
            hurt[place] ^= flip;
            fs::write(scratch.segment(1), &hurt).unwrap();
            match journal::survey(&folder, |_| 0) {
                Err(StoreError::Damaged { file, offset, .. }) => {
                    assert_eq!(file, scratch.segment(1));
                    assert!(offset <= place as u64, "{offset} is behind {place}");
                }
                Err(StoreError::Newer { .. }) => assert!((8..12).contains(&place), "the format field alone"),
                Ok(survey) => {
                    assert!(place >= last_frame, "a change at {place} went unnoticed");
                    assert_eq!(survey.last, 7);
                }
                Err(other) => panic!("change at {place}: {other}"),
            }
        }
    }
    // In the last frame it could be a torn write, but the index knows that it was whole once.
    let mut hurt = bytes;
    *hurt.last_mut().unwrap() ^= 1;
    fs::write(scratch.segment(1), &hurt).unwrap();
    let error = scratch.open().unwrap_err();
    assert!(
        matches!(&error, StoreError::Damaged { file, .. } if *file == scratch.segment(1)),
        "{error}"
    );
    assert_eq!(fs::read(scratch.segment(1)).unwrap(), hurt, "nothing was cut off");
    fs::remove_dir_all(scratch.index()).unwrap(); // the operator accepts the loss
    expect_rows(&scratch.open().unwrap(), 7);
}

#[tokio::test]
async fn damage_in_an_earlier_segment_is_named() {
    let scratch = folder_with(300).await;
    assert!(scratch.segment(3).exists());
    let whole = fs::read(scratch.segment(1)).unwrap();
    fs::write(scratch.segment(1), &whole[..whole.len() - 1]).unwrap();
    let error = scratch.open().unwrap_err().to_string();
    assert!(
        error.contains("00000001.log") && error.contains("cut short"),
        "{error}"
    );
    fs::write(scratch.segment(1), &whole).unwrap();

    let second = fs::read(scratch.segment(2)).unwrap();
    fs::remove_file(scratch.segment(2)).unwrap();
    assert!(
        matches!(scratch.open(), Err(StoreError::Damaged { .. })),
        "a segment is missing"
    );
    fs::write(scratch.segment(2), &whole).unwrap();
    assert!(
        matches!(scratch.open(), Err(StoreError::Damaged { .. })),
        "a segment stands in for another"
    );
    fs::write(scratch.segment(2), &second).unwrap();
    expect_rows(&scratch.open().unwrap(), 300);
}

#[tokio::test]
async fn a_journal_behind_its_index_is_refused() {
    let scratch = folder_with(5).await;
    let earlier = scratch.image();
    let store = scratch.open().unwrap();
    commit_rows(&store, 5..9).await;
    drop(store);
    fs::copy(earlier.segment(1), scratch.segment(1)).unwrap();
    let error = scratch.open().unwrap_err().to_string();
    assert!(
        error.contains("ends with transaction 5") && error.contains("index has 9"),
        "{error}"
    );
}

#[tokio::test]
async fn an_index_whose_journal_is_gone_is_refused_and_kept() {
    let scratch = folder_with(5).await;
    let whole = scratch.image();
    fs::remove_file(scratch.segment(1)).unwrap();
    let without_the_folder = scratch.image();
    fs::remove_dir_all(without_the_folder.path().join("journal")).unwrap();
    let with_a_hurt_index = scratch.image();
    fs::write(with_a_hurt_index.index().join("conf"), vec![0xa5; 3000]).unwrap();
    for (what, lost) in [
        ("the segment", &scratch),
        ("the folder", &without_the_folder),
        ("the segment and the index", &with_a_hurt_index),
    ] {
        let error = lost.open().expect_err(what);
        assert!(
            matches!(&error, StoreError::Damaged { file, .. } if *file == lost.segment(1)),
            "{what}: {error}"
        );
        assert!(
            error.to_string().contains("put the journal back"),
            "{what}: {error}"
        );
        assert!(aside(lost).is_empty() && !lost.segment(1).exists(), "{what}");
    }

    let segment = fs::read(whole.segment(1)).unwrap();
    fs::write(scratch.segment(1), segment).unwrap(); // from a backup
    expect_rows(&scratch.open().unwrap(), 5);
    fs::remove_dir_all(without_the_folder.index()).unwrap(); // the operator accepts the loss
    expect_rows(&without_the_folder.open().unwrap(), 0);
}

#[tokio::test]
async fn a_first_start_that_ended_before_its_journal_is_made_again() {
    let scratch = folder_with(0).await;
    fs::remove_file(scratch.segment(1)).unwrap();
    assert!(index::is_begun(&scratch.index()));
    expect_rows(&scratch.open().unwrap(), 0);
}

#[tokio::test]
async fn an_index_of_another_journal_is_not_believed() {
    let scratch = folder_with(5).await;
    let other = folder_with(3).await;
    fs::remove_dir_all(scratch.index()).unwrap();
    copy_folder(&other.index(), &scratch.index());
    expect_rows(&scratch.open().unwrap(), 5);
    assert_eq!(aside(&scratch), ["index.damaged-1"]);
}

#[tokio::test]
async fn an_older_index_catches_up() {
    let scratch = folder_with(5).await;
    let earlier = scratch.image();
    let store = scratch.open().unwrap();
    commit_rows(&store, 5..200).await;
    drop(store);
    fs::remove_dir_all(scratch.index()).unwrap();
    copy_folder(&earlier.index(), &scratch.index());
    expect_rows(&scratch.open().unwrap(), 200);
    assert!(aside(&scratch).is_empty(), "it was whole, only old");
}

/// Ways to hurt a file.
#[derive(Clone, Copy, Debug)]
enum Hurt {
    Deleted,
    Emptied,
    Halved,
    OneByteShort,
    ZeroedAtTheStart,
    ZeroedInTheMiddle,
    ZeroedAtTheEnd,
    TurnedToNonsense,
}

impl Hurt {
    const ALL: [Self; 8] = [
        Self::Deleted,
        Self::Emptied,
        Self::Halved,
        Self::OneByteShort,
        Self::ZeroedAtTheStart,
        Self::ZeroedInTheMiddle,
        Self::ZeroedAtTheEnd,
        Self::TurnedToNonsense,
    ];

    fn file(self, path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        let length = bytes.len();
        match self {
            Self::Deleted => return fs::remove_file(path).unwrap(),
            Self::Emptied => bytes.clear(),
            Self::Halved => bytes.truncate(length / 2),
            Self::OneByteShort => bytes.truncate(length.saturating_sub(1)),
            Self::ZeroedAtTheStart => bytes[..length.min(64)].fill(0),
            Self::ZeroedInTheMiddle => bytes[length / 3..length * 2 / 3].fill(0),
            Self::ZeroedAtTheEnd => bytes[length - length / 4..].fill(0),
            Self::TurnedToNonsense => bytes = vec![0xa5; 3000],
        }
        fs::write(path, bytes).unwrap();
    }
}

#[tokio::test]
async fn whatever_happens_to_a_file_of_the_index_nothing_is_lost() {
    const COUNT: u32 = 1500;
    let scratch = Scratch::new();
    let store = scratch.open().unwrap();
    let mut all = Transaction::new();
    for number in 0..COUNT {
        all.put(META, format!("{number:04}"), number.to_string()).put(
            RECORDS,
            number.to_be_bytes(),
            vec![9; 300],
        );
    }
    store.commit(all).await.unwrap();
    drop(store);
    drop(scratch.open().unwrap()); // sled writes its snapshot at its second start

    let mut files = Vec::new();
    let mut folders = vec![scratch.index()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    assert!(files.len() >= 2, "{files:?}");
    let mut rebuilt = 0;
    for file in files {
        for hurt in Hurt::ALL {
            let image = scratch.image();
            hurt.file(&image.path().join(file.strip_prefix(scratch.path()).unwrap()));
            let store = image
                .open()
                .unwrap_or_else(|error| panic!("{} {hurt:?}: {error}", file.display()));
            expect_rows(&store, COUNT);
            assert_eq!(
                store.len(RECORDS),
                u64::from(COUNT),
                "{} {hurt:?}",
                file.display()
            );
            store.commit(put(META, "next", "")).await.unwrap();
            rebuilt += aside(&image).len();
        }
    }
    assert!(rebuilt > 0, "some of this must have hurt");
}

#[tokio::test]
async fn only_the_newest_damaged_indexes_are_kept() {
    let scratch = folder_with(4).await;
    for _ in 0..4 {
        for entry in fs::read_dir(scratch.index()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::write(path, vec![0xa5; 3000]).unwrap();
            }
        }
        expect_rows(&scratch.open().unwrap(), 4);
    }
    assert_eq!(aside(&scratch), ["index.damaged-3", "index.damaged-4"]);
}

#[tokio::test]
async fn a_segment_whose_making_was_interrupted_is_made_again() {
    let scratch = folder_with(5).await;
    fs::write(scratch.path().join("journal/00000002.log.new"), "SEED").unwrap();
    let store = scratch.open().unwrap();
    expect_rows(&store, 5);
    commit_rows(&store, 5..200).await;
    drop(store);
    assert!(scratch.segment(2).exists());
    expect_rows(&scratch.open().unwrap(), 200);
}
