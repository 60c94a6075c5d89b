//! What the mirrors count, named `seedpod_mirrors_…`.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Counters and gauges of the mirrors. Clones share their values.
#[derive(Debug, Clone, Default)]
pub struct MirrorMetrics {
    copies: Gauge,
    bytes: Gauge,
    pub(super) fetched_bytes: Counter,
    pub(super) refused_pieces: Counter,
    fetches: Family<[(&'static str, &'static str); 1], Counter>,
}

impl MirrorMetrics {
    /// Makes them known under `seedpod_mirrors_…`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("seedpod_mirrors");
        registry.register(
            "copies",
            "Whole copies of friends' videos",
            metrics.copies.clone(),
        );
        registry.register_with_unit("held", "Size of whole copies", Unit::Bytes, metrics.bytes.clone());
        registry.register_with_unit(
            "fetched",
            "Bytes of copies that came and were good",
            Unit::Bytes,
            metrics.fetched_bytes.clone(),
        );
        registry.register(
            "refused_pieces",
            "Pieces that were not what was signed",
            metrics.refused_pieces.clone(),
        );
        registry.register(
            "fetches",
            "Fetches of copies, by outcome",
            metrics.fetches.clone(),
        );
        metrics
    }

    pub(super) fn set_totals(&self, (copies, bytes): (usize, u64)) {
        self.copies.set(i64::try_from(copies).unwrap_or(i64::MAX));
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(super) fn fetched(&self, outcome: &'static str) {
        self.fetches.get_or_create(&[("outcome", outcome)]).inc();
    }
}
