//! What a pod does for every uploaded byte and every tracker message: `cargo bench -p seedpod-protocol --bench torrent`.
//!
//! To compare: mktorrent hashes 1.2 GB/s with one thread on two cores with SHA-NI, and a whole announce with five answered
//! offers costs other trackers 150 to 250 µs of processor time.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use seedpod_protocol::ids::InfoHash;
use seedpod_protocol::metainfo::{Info, Metainfo, PieceHasher};
use seedpod_protocol::tracker::{Announce, ClientMessage, Event, Offer, OfferId, PeerId, ServerMessage};
use serde_json::value::RawValue;

/// As an upload arrives: chunks that do not fit into pieces evenly.
fn piece_hashing(c: &mut Criterion) {
    let content = vec![0x5a; 32 << 20];
    let mut group = c.benchmark_group("pieces");
    group
        .throughput(Throughput::Bytes(content.len() as u64))
        .sample_size(10);
    for (name, chunk) in [
        ("1 MiB pieces from 60,000-byte chunks", 60_000),
        ("1 MiB pieces from one chunk", content.len()),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut hasher = PieceHasher::new(1 << 20);
                black_box(&content)
                    .chunks(chunk)
                    .for_each(|bytes| hasher.update(bytes));
                hasher.finish()
            });
        });
    }
}

/// As many pieces as the longest film has: what is read of a torrent fetched from a friend.
fn torrent_file(c: &mut Criterion) {
    let (length, piece_length) = (300, 1);
    let mut hasher = PieceHasher::new(piece_length);
    hasher.update(&[0; 300]);
    let info =
        Info::new("film-1080.mp4".into(), length, piece_length, hasher.finish()).expect("it is consistent");
    let bytes = Metainfo::new(info).encode();
    c.bench_function("decode a torrent file of 300 pieces", |b| {
        b.iter(|| Metainfo::decode(black_box(&bytes)));
    });
}

fn tracker_messages(c: &mut Criterion) {
    let sdp = format!(
        r#"{{"type":"offer","sdp":"{}"}}"#,
        "a=candidate:1 1 udp 2113937151 ".repeat(18)
    );
    let description = || RawValue::from_string(sdp.clone()).expect("it is JSON");
    let info_hash = InfoHash::from_bytes([0xf1; 20]);
    let peer_id = PeerId::from_bytes(*b"-WW0201-abcdefghijkl");
    let announce = |offers: u8| {
        let offers = (0..offers).map(|id| Offer {
            offer: description(),
            offer_id: OfferId::from_bytes([id; 20]),
        });
        let (event, left) = (Event::Started, Some(1_000_000));
        ClientMessage::Announce(Announce {
            info_hash,
            peer_id,
            event,
            left,
            offers: offers.collect(),
        })
    };
    let mut group = c.benchmark_group("tracker");
    for offers in [0, 5] {
        let text = announce(offers).to_text();
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("parse an announce with {offers} offers"), |b| {
            b.iter(|| ClientMessage::parse(black_box(&text)));
        });
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("write an offer", |b| {
        let offer_id = OfferId::from_bytes([9; 20]);
        b.iter_batched_ref(
            || ServerMessage::Offer {
                info_hash,
                peer_id,
                offer_id,
                offer: description(),
            },
            |message| message.to_text(),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, piece_hashing, torrent_file, tracker_messages);
criterion_main!(benches);
