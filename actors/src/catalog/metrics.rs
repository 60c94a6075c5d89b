//! What is counted of the catalog.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters of the catalog.
#[derive(Debug, Clone, Default)]
pub struct CatalogMetrics {
    offered: Family<OutcomeLabel, Counter>,
    records: Gauge,
    authors: Gauge,
    equivocators: Gauge,
    runs: Family<OutcomeLabel, Counter>,
    requests: Family<RequestLabel, Counter>,
    taken_bytes: Counter,
    taken_records: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabel {
    request: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

impl CatalogMetrics {
    /// Registers the counters.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "seedpod_catalog_offered",
            "Verified envelopes offered to the catalog, by what became of them",
            metrics.offered.clone(),
        );
        registry.register("seedpod_catalog_records", "Records held", metrics.records.clone());
        registry.register(
            "seedpod_catalog_authors",
            "Authors admitted, this pod included",
            metrics.authors.clone(),
        );
        registry.register(
            "seedpod_catalog_equivocators",
            "Authors that signed two envelopes under one stamp",
            metrics.equivocators.clone(),
        );
        registry.register(
            "seedpod_catalog_catch_ups",
            "Runs of catch-up with a friend, by how they ended",
            metrics.runs.clone(),
        );
        registry.register(
            "seedpod_catalog_catch_up_requests",
            "Questions asked by catch-up",
            metrics.requests.clone(),
        );
        registry.register(
            "seedpod_catalog_catch_up_bytes",
            "Bytes of envelopes that friends handed over in catch-up",
            metrics.taken_bytes.clone(),
        );
        registry.register(
            "seedpod_catalog_catch_up_records",
            "Records that catch-up brought and that changed the catalog",
            metrics.taken_records.clone(),
        );
        metrics
    }

    /// Counts a run of catch-up.
    pub(super) fn caught_up(&self, outcome: &'static str) {
        self.runs.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Counts a question of catch-up.
    pub(super) fn asked(&self, request: &'static str) {
        self.requests.get_or_create(&RequestLabel { request }).inc();
    }

    /// Counts a page that catch-up brought.
    pub(super) fn taken(&self, bytes: usize, applied: usize) {
        self.taken_bytes.inc_by(bytes as u64);
        self.taken_records.inc_by(applied as u64);
    }

    /// Counts an envelope that was offered.
    pub(super) fn offered(&self, outcome: &'static str) {
        self.offered.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Shows how much is held.
    pub(super) fn show(&self, records: usize, authors: usize, equivocators: usize) {
        let set = |gauge: &Gauge, count: usize| {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        set(&self.records, records);
        set(&self.authors, authors);
        set(&self.equivocators, equivocators);
    }
}
