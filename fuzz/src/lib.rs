//! Every parser that meets a peer, as a function of bytes that must not panic, and what must hold of what it takes.
//!
//! `scripts/fuzz` runs each under libFuzzer; `tests/seeds.rs` replays the committed seeds through each in the ordinary tests. Seeds are
//! small and made by our own code ([`seeds`]); what a fuzzer found joins them as a file with a name that says what it is.
#![forbid(unsafe_code)]

pub mod seeds;
mod targets;

/// A target: takes anything, panics on a fault.
pub type Target = fn(&[u8]);

/// All targets by the names of their folders under `seeds/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("bencode", targets::bencode),
    ("cbor", targets::cbor),
    ("door", targets::door),
    ("envelope", targets::envelope),
    ("ids", targets::ids),
    ("magnet", targets::magnet),
    ("media", targets::media),
    ("metainfo", targets::metainfo),
    ("payload", targets::payload),
    ("request", targets::request),
    ("response", targets::response),
    ("stun", targets::stun),
    ("tracker", targets::tracker),
    ("tracker_http", targets::tracker_http),
    ("tracker_udp", targets::tracker_udp),
    ("trie", targets::trie),
];
