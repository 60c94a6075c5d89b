//! Every seed goes through its target, as in the fuzzer, on every run of the tests.

use std::path::{Path, PathBuf};

use seedpod_fuzz::{TARGETS, seeds};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds")
}

#[test]
fn every_committed_seed_passes_its_target() {
    let mut replayed = 0;
    for (name, target) in TARGETS {
        let mut held = 0;
        let entries = std::fs::read_dir(folder().join(name));
        for entry in entries.unwrap_or_else(|error| panic!("no seeds of {name}: {error}")) {
            let path = entry.expect("an entry").path();
            let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            target(&bytes);
            held += 1;
        }
        assert!(held > 0, "no seeds of {name}");
        replayed += held;
    }
    assert!(replayed > 60, "{replayed} seeds");
}

/// What our code makes today is committed. `SEEDS=write` writes it anew.
#[test]
fn committed_seeds_are_those_our_code_makes() {
    let write = std::env::var("SEEDS").is_ok_and(|value| value == "write");
    for seed in seeds::all() {
        let path = folder().join(seed.target).join(&seed.name);
        if write {
            std::fs::create_dir_all(folder().join(seed.target)).expect("a folder");
            std::fs::write(&path, &seed.bytes).expect("a file");
        }
        let committed = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(committed, seed.bytes, "{}", path.display());
    }
}

/// Seeds cut short and with bytes turned: no fuzzer, but it runs everywhere and each time.
#[test]
fn seeds_cut_and_turned_pass_too() {
    for seed in seeds::all() {
        let (_, target) = TARGETS
            .iter()
            .find(|(name, _)| *name == seed.target)
            .unwrap_or_else(|| panic!("no target {}", seed.target));
        let step = seed.bytes.len() / 200 + 1;
        for at in (0..seed.bytes.len()).step_by(step) {
            target(&seed.bytes[..at]);
            for value in [0x00, 0x7f, 0x80, 0xff] {
                let mut turned = seed.bytes.clone();
                turned[at] = value;
                target(&turned);
            }
        }
    }
}
