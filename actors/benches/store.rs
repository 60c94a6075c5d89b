//! Commits a second, each answered after an `fdatasync`: by one committer, and by 64 who share syncs. The disk below the
//! temporary folder (`TMPDIR`) is what is measured.
#![allow(missing_docs, reason = "criterion's macros make public items without docs")]
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that fails may say so with a panic"
)]

use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use seedpod_actors::store::{Store, StoreOptions, Transaction, tables};
use tokio::runtime::Builder;

/// Size of a row's value: an envelope of a video.
const VALUE_BYTES: usize = 600;

fn commits(criterion: &mut Criterion) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut group = criterion.benchmark_group("store_commit");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    for committers in [1_u64, 64] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), StoreOptions::default()).unwrap();
        let mut run = 0_u64;
        group.bench_function(BenchmarkId::new("committers", committers), |bencher| {
            bencher.iter_custom(|commits| {
                run += 1;
                let started = Instant::now();
                runtime.block_on(async {
                    let tasks: Vec<_> = (0..committers)
                        .map(|committer| {
                            let (store, share) = (store.clone(), commits.div_ceil(committers));
                            tokio::spawn(async move {
                                for number in 0..share {
                                    let key = [run, committer, number].map(u64::to_be_bytes).concat();
                                    let mut transaction = Transaction::new();
                                    transaction.put(tables::RECORDS, key, vec![7; VALUE_BYTES]);
                                    store.commit(transaction).await.unwrap();
                                }
                            })
                        })
                        .collect();
                    for task in tasks {
                        task.await.unwrap();
                    }
                });
                // The last committers' shares are rounded up: count what was really done.
                let done = commits.div_ceil(committers) * committers;
                started.elapsed().mul_f64(commits as f64 / done as f64)
            });
        });
        runtime.block_on(store.close());
    }
    group.finish();
}

criterion_group!(benches, commits);
criterion_main!(benches);
