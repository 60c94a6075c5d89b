//! The seeder's figures for Prometheus.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::messages::Source;

/// All metrics of the seeder. Clones share the figures, so that they outlive a restart of the actor.
#[derive(Debug, Clone)]
pub struct SeederMetrics {
    web_seed_bytes: Counter,
}

impl SeederMetrics {
    /// Makes the metrics and registers them as `seedpod_seeder_…`.
    pub fn register(registry: &mut Registry) -> Self {
        let bytes = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let web_seed_bytes = bytes.get_or_create_owned(&[("source", Source::WebSeed.label())]);
        registry.sub_registry_with_prefix("seedpod_seeder").register(
            "served_bytes",
            "Bytes of content sent, by the way they left the pod",
            bytes,
        );
        Self { web_seed_bytes }
    }

    /// Adds bytes that were sent.
    pub(super) fn served(&self, bytes: u64, source: Source) {
        match source {
            Source::WebSeed => self.web_seed_bytes.inc_by(bytes),
        };
    }
}
