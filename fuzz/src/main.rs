//! One program for all targets, so that one build is enough: `SEEDPOD_FUZZ` names the target, all else is libFuzzer's.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("SEEDPOD_FUZZ").unwrap_or_default();
    seedpod_fuzz::TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .map_or_else(
            || panic!("SEEDPOD_FUZZ={name} names no target"),
            |(_, target)| *target,
        )
});

fuzz_target!(|bytes: &[u8]| (*TARGET)(bytes));
