//! What the store counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Counters of one store; clones share them.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    pub(super) commits: Counter,
    pub(super) failed_commits: Counter,
    pub(super) group_size: Histogram,
    pub(super) sync_seconds: Histogram,
    pub(super) journal_bytes: Gauge,
    pub(super) journal_segments: Gauge,
    pub(super) snapshots: Counter,
    pub(super) failed_snapshots: Counter,
    pub(super) snapshot_bytes: Gauge,
    pub(super) snapshot_time: Gauge,
    pub(super) queue_depth: Gauge,
    pub(super) refused_full: Counter,
    pub(super) reserve_bytes: Gauge,
}

impl StoreMetrics {
    /// Counters known to `registry` as `seedpod_store_…`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("seedpod_store");
        registry.register(
            "commits",
            "Transactions answered as durable",
            metrics.commits.clone(),
        );
        registry.register(
            "failed_commits",
            "Transactions refused because the disk failed",
            metrics.failed_commits.clone(),
        );
        registry.register(
            "group_size",
            "Transactions made durable by one sync",
            metrics.group_size.clone(),
        );
        registry.register_with_unit(
            "sync",
            "Duration of one journal sync",
            Unit::Seconds,
            metrics.sync_seconds.clone(),
        );
        registry.register_with_unit(
            "journal",
            "Size of all journal segments",
            Unit::Bytes,
            metrics.journal_bytes.clone(),
        );
        registry.register(
            "journal_segments",
            "Files the journal consists of",
            metrics.journal_segments.clone(),
        );
        registry.register(
            "snapshots",
            "Snapshots made and verified since the start",
            metrics.snapshots.clone(),
        );
        registry.register(
            "failed_snapshots",
            "Snapshots given up since the start, for want of room or because the index could not be trusted",
            metrics.failed_snapshots.clone(),
        );
        registry.register_with_unit(
            "snapshot",
            "Size of the newest snapshot; 0 if there is none",
            Unit::Bytes,
            metrics.snapshot_bytes.clone(),
        );
        registry.register_with_unit(
            "snapshot_made",
            "When the newest snapshot was made, since 1970: time() minus this is its age; 0 if there is none",
            Unit::Seconds,
            metrics.snapshot_time.clone(),
        );
        registry.register(
            "queue_depth",
            "Transactions waiting for the writer",
            metrics.queue_depth.clone(),
        );
        registry.register(
            "refused_full",
            "Transactions refused because the disk was full",
            metrics.refused_full.clone(),
        );
        registry.register_with_unit(
            "reserve",
            "Room kept for a full disk; below its usual size while the disk is full",
            Unit::Bytes,
            metrics.reserve_bytes.clone(),
        );
        metrics
    }
}

/// Counters nobody reads.
impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            commits: Counter::default(),
            failed_commits: Counter::default(),
            group_size: Histogram::new(exponential_buckets(1.0, 2.0, 9)),
            sync_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            journal_bytes: Gauge::default(),
            journal_segments: Gauge::default(),
            snapshots: Counter::default(),
            failed_snapshots: Counter::default(),
            snapshot_bytes: Gauge::default(),
            snapshot_time: Gauge::default(),
            queue_depth: Gauge::default(),
            refused_full: Counter::default(),
            reserve_bytes: Gauge::default(),
        }
    }
}
