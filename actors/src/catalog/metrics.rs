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
        metrics
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
