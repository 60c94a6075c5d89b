//! What is counted of the read model.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::messages::Totals;

/// Counters of the read model; clones share them. [`Default`] makes counters nobody reads.
#[derive(Clone, Debug, Default)]
pub struct SearchMetrics {
    videos: Gauge,
    changes: Counter,
}

impl SearchMetrics {
    /// Counters known to `registry` as `seedpod_search_…`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("seedpod_search");
        registry.register(
            "videos",
            "Public videos in the lists, friends' included",
            metrics.videos.clone(),
        );
        registry.register(
            "changes",
            "Changes of the catalog taken into the lists",
            metrics.changes.clone(),
        );
        metrics
    }

    /// Counts changes and shows what the lists hold after them.
    pub(super) fn changed(&self, changes: usize, totals: &Totals) {
        self.changes.inc_by(changes as u64);
        self.videos.set(i64::try_from(totals.videos).unwrap_or(i64::MAX));
    }
}
