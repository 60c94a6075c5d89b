//! Really full disks: small file systems in memory, which only root may mount.

use std::process::Command;

use super::*;

const MIB: usize = 1024 * 1024;

/// A file system of some size with a store in it; unmounted at the end.
struct SmallDisk {
    mounted: Scratch,
}

impl SmallDisk {
    fn new(mebibytes: usize) -> Self {
        let mounted = Scratch::new();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "seedpod-test"])
            .arg(mounted.parent.path())
            .status()
            .expect("`mount` can be run");
        assert!(
            status.success(),
            "cannot mount a small file system, so nothing is known of full disks: run this test as root"
        );
        Self { mounted }
    }

    fn open(&self) -> Store {
        let reserve_bytes = 2 * MIB as u64;
        open_patiently(
            &self.mounted.path(),
            &StoreOptions {
                reserve_bytes,
                ..options()
            },
        )
        .unwrap()
    }

    /// Fills the disk but for so many bytes, as others on the machine would.
    fn fill_but(&self, left: usize) {
        let room = crate::disk::available(self.mounted.parent.path()).unwrap();
        let bytes = usize::try_from(room).unwrap().checked_sub(left).unwrap();
        let name = format!("filler-{}", rand::random::<u64>());
        fs::write(self.mounted.parent.path().join(name), vec![1; bytes]).unwrap();
    }

    fn free(&self) {
        for entry in fs::read_dir(self.mounted.parent.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::remove_file(path).unwrap();
            }
        }
    }

    fn reserve(&self) -> u64 {
        fs::metadata(self.mounted.path().join("reserve")).map_or(0, |found| found.len())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let folder = self.mounted.parent.path();
        let gone = Command::new("umount").arg("--lazy").arg(folder).status();
        assert!(gone.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn large(name: &str, mebibytes: usize) -> Transaction {
    let mut transaction = Transaction::new();
    for part in 0..mebibytes * 512 {
        transaction.put(RECORDS, format!("{name}/{part:04}"), vec![9; MIB / 512]);
    }
    transaction
}

/// A file system of its own in a sparse file, so that what it has taken may find no place; unmounted at the end.
struct HollowDisk {
    beneath: SmallDisk,
    mounted: Scratch,
}

impl HollowDisk {
    fn new() -> Self {
        let (beneath, mounted) = (SmallDisk::new(8), Scratch::new());
        let image = beneath.mounted.parent.path().join("image");
        let file = fs::File::create(&image).unwrap();
        file.set_len(32 * MIB as u64).unwrap();
        let mut make = Command::new("mkfs.ext4");
        make.args(["-q", "-F"]).arg(&image);
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "ext4", "-o", "loop"])
            .arg(&image)
            .arg(mounted.parent.path());
        for command in [&mut make, &mut mount] {
            let status = command.status().expect("file systems can be made and mounted");
            assert!(
                status.success(),
                "{command:?}: run this test as root, with loop devices"
            );
        }
        Self { beneath, mounted }
    }
}

impl Drop for HollowDisk {
    fn drop(&mut self) {
        let folder = self.mounted.parent.path();
        let gone = Command::new("umount").arg("--lazy").arg(folder).status();
        assert!(gone.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[test]
fn a_frame_that_only_memory_has_is_made_durable_or_not_served() {
    let disk = HollowDisk::new();
    let folder = disk.mounted.parent.path().join("journal");
    fs::create_dir(&folder).unwrap();
    let open = || {
        let survey = journal::survey(&folder, |_| 0).unwrap();
        let journal = Journal::open(&folder, &survey, [7; 16], FORMAT, 64 * MIB as u64);
        (survey.last, journal)
    };
    let mut journal = open().1.unwrap();
    journal.append(&[put(META, "durable", "1")]).unwrap();
    journal.sync().unwrap();
    journal.append(&[large("unsynced", 2)]).unwrap();
    drop(journal); // killed before the sync
    disk.beneath.fill_but(0);
    let (last, opened) = open();
    assert_eq!(last, 2, "it can be read");
    assert!(
        matches!(opened, Err(StoreError::Io { .. })),
        "and is not on the disk: {opened:?}"
    );
}

#[test]
fn a_frame_that_the_disk_refuses_in_its_middle_is_cut_back() {
    let disk = SmallDisk::new(12);
    let folder = disk.mounted.parent.path().join("journal");
    fs::create_dir(&folder).unwrap();
    let survey = journal::survey(&folder, |_| 0).unwrap();
    let mut journal = Journal::open(&folder, &survey, [7; 16], FORMAT, 64 * MIB as u64).unwrap();
    journal.append(&[put(META, "before", "1")]).unwrap();
    journal.sync().unwrap();
    let before = fs::read(folder.join("00000001.log")).unwrap();

    disk.fill_but(MIB);
    let refused = journal.append(&[large("refused", 8)]);
    assert!(matches!(refused, Err(journal::AppendError::Full)), "{refused:?}");
    assert_eq!(fs::read(folder.join("00000001.log")).unwrap(), before);
    journal.append(&[put(META, "small", "2")]).unwrap();
    disk.free();
    assert_eq!(journal.append(&[large("accepted", 8)]).unwrap(), 3);
    journal.sync().unwrap();
    assert_eq!(journal::survey(&folder, |_| 0).unwrap().last, 3);
}

#[test]
fn a_segment_that_cannot_be_begun_is_begun_later() {
    let disk = SmallDisk::new(4);
    let folder = disk.mounted.parent.path().join("journal");
    fs::create_dir(&folder).unwrap();
    let survey = journal::survey(&folder, |_| 0).unwrap();
    let mut journal = Journal::open(&folder, &survey, [7; 16], FORMAT, 1).unwrap();
    journal.append(&[put(META, "before", "1")]).unwrap();
    disk.fill_but(0);
    let refused = journal.append(&[put(META, "refused", "2")]);
    assert!(matches!(refused, Err(journal::AppendError::Full)), "{refused:?}");
    disk.free();
    journal.append(&[put(META, "after", "3")]).unwrap();
    assert_eq!(journal::survey(&folder, |_| 0).unwrap().last, 2);
}

#[tokio::test]
async fn a_refused_transaction_is_no_failure_and_later_ones_succeed() {
    let disk = SmallDisk::new(24);
    let store = disk.open();
    store.commit(put(META, "before", "1")).await.unwrap();
    disk.fill_but(3 * MIB);
    let refused = store.commit(large("refused", 8)).await;
    assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
    assert_eq!(store.failure(), None, "a full disk is no failure");
    store.commit(put(META, "small", "2")).await.unwrap();
    assert!(store.is_empty(RECORDS));

    disk.free();
    store.commit(large("accepted", 1)).await.unwrap();
    drop(store);
    fs::remove_dir_all(disk.mounted.index()).unwrap();
    let store = disk.open();
    assert_eq!((store.len(META), store.len(RECORDS)), (2, 512));
}

#[tokio::test]
async fn of_a_group_that_finds_no_room_the_small_ones_are_written() {
    let disk = SmallDisk::new(24);
    let store = disk.open();
    disk.fill_but(3 * MIB / 2);
    let commits: Vec<_> = (0..20_u8)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let transaction = if number % 5 == 0 {
                    large(&number.to_string(), 3)
                } else {
                    put(META, [number], "small")
                };
                (number, store.commit(transaction).await)
            })
        })
        .collect();
    for commit in commits {
        match commit.await.unwrap() {
            (number, Err(StoreError::Full)) => assert_eq!(number % 5, 0, "small ones have the reserve"),
            (number, result) => {
                result.unwrap();
                assert_ne!(number % 5, 0);
            }
        }
    }
    assert_eq!((store.len(META), store.len(RECORDS)), (16, 0));
}

#[tokio::test]
async fn a_full_disk_opens_reads_and_removes_from_its_reserve_which_returns_with_the_room() {
    let disk = SmallDisk::new(24);
    let store = disk.open();
    store.commit(large("video", 1)).await.unwrap();
    assert_eq!(disk.reserve(), 2 * MIB as u64);
    disk.fill_but(0);
    store.commit(put(META, "login", "1")).await.unwrap();
    let after_one = disk.reserve();
    assert!(after_one < 2 * MIB as u64, "it was used: {after_one}");
    drop(store);

    disk.fill_but(0); // others eat what was given back
    let store = disk.open();
    assert_eq!(store.get(META, b"login").unwrap(), Some(b"1".to_vec()));
    let mut removal = Transaction::new();
    for (key, _) in store.scan_prefix(RECORDS, b"video").map(Result::unwrap) {
        removal.delete(RECORDS, key);
    }
    store.commit(removal).await.unwrap();
    assert!(store.is_empty(RECORDS));

    // At last there is nothing left to give: refused, read on, nothing lost.
    let mut taken = 0_u32;
    while store
        .commit(put(USERS, taken.to_be_bytes(), vec![0; 1000]))
        .await
        .is_ok()
    {
        taken += 1;
        if taken.is_multiple_of(100) {
            disk.fill_but(0);
        }
        assert!(taken < 100_000, "the reserve has no end");
    }
    assert_eq!(disk.reserve(), 0);
    assert_eq!(store.failure(), None);
    assert_eq!(store.len(USERS), u64::from(taken));

    disk.free();
    store.commit(put(META, "after", "1")).await.unwrap();
    assert_eq!(disk.reserve(), 2 * MIB as u64);
    drop(store);
    let store = disk.open();
    assert_eq!((store.len(META), store.len(USERS)), (2, u64::from(taken)));
}
