//! What one record costs: signing it, opening it, and counting it into a digest.
//!
//! `cargo bench -p seedpod-protocol --bench envelope`
#![allow(clippy::unwrap_used, missing_docs)] // a benchmark that fails here measures nothing

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;

use common::{alice, card, signed, stamp, video};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use seedpod_protocol::{
    codec,
    digest::Trie,
    envelope::{Draft, Envelope},
    ids::{ContentHash, RegisterKey},
    limits,
    requests::Response,
};

fn envelopes(c: &mut Criterion) {
    let key = alice();
    let record = signed(video(), stamp(1, 1));
    let bytes = record.bytes().clone();
    let mut group = c.benchmark_group("envelope");
    group.throughput(Throughput::Elements(1));
    group.bench_function("sign a video", |b| {
        b.iter(|| {
            Draft::live(&key.id(), video().into())
                .unwrap()
                .sign(&key, stamp(1, 1))
                .unwrap()
        });
    });
    group.bench_function("decode", |b| {
        b.iter(|| Envelope::decode(black_box(bytes.clone())).unwrap());
    });
    group.bench_function("decode and open", |b| {
        b.iter(|| {
            Envelope::decode(black_box(bytes.clone()))
                .unwrap()
                .open()
                .unwrap()
        });
    });
    group.bench_function("decode and reopen", |b| {
        b.iter(|| {
            Envelope::decode(black_box(bytes.clone()))
                .unwrap()
                .reopen()
                .unwrap()
        });
    });
    // The body stands between four bytes of heads and the 66 of the signature.
    let body = &bytes[4..bytes.len() - 66];
    group.bench_function("canonical check of the body", |b| {
        b.iter(|| codec::check(black_box(body), limits::ENVELOPE_MAX).unwrap());
    });
    group.finish();
}

fn digests(c: &mut Criterion) {
    let heads: Vec<_> = (0..10_000_u32)
        .map(|n| {
            (
                RegisterKey::from_bytes(blake3::hash(&n.to_be_bytes()).into()),
                ContentHash::of(b"head"),
            )
        })
        .collect();
    let trie: Trie = heads.iter().copied().collect();
    let mut group = c.benchmark_group("trie of 10,000");
    group.bench_function("build", |b| {
        b.iter(|| heads.iter().copied().collect::<Trie>().root());
    });
    group.bench_function("replace one head", |b| {
        let (mut trie, mut n) = (trie.clone(), 0);
        b.iter(|| {
            n = (n + 1) % heads.len();
            trie.insert(heads[n].0, ContentHash::from_bytes([7; 32]));
            trie.root()
        });
    });
    group.finish();
}

fn pages(c: &mut Criterion) {
    let envelope = signed(card(), stamp(1, 1)).bytes().to_vec();
    let page = Response::Page {
        envelopes: vec![envelope; limits::PAGE_ENVELOPES_MAX],
        more: true,
    };
    let bytes = page.encode().unwrap();
    let mut group = c.benchmark_group("page");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("encode", |b| b.iter(|| page.encode().unwrap()));
    group.bench_function("decode", |b| {
        b.iter(|| Response::decode(black_box(&bytes)).unwrap());
    });
    group.finish();
}

criterion_group!(benches, envelopes, digests, pages);
criterion_main!(benches);
