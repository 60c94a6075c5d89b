//! What the supervisor counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Counters per room; clones share them. [`Default`] makes counters nobody reads.
#[derive(Clone, Debug, Default)]
pub struct SuperviseMetrics {
    pub(super) restarts: Family<RoomLabel, Counter>,
    pub(super) panics: Family<RoomLabel, Counter>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RoomLabel {
    pub(super) room: &'static str,
}

impl SuperviseMetrics {
    /// Counters known to `registry` as `seedpod_supervise_…`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("seedpod_supervise");
        registry.register(
            "restarts",
            "Times a room was started again",
            metrics.restarts.clone(),
        );
        registry.register(
            "panics",
            "Times an actor or task of a room panicked",
            metrics.panics.clone(),
        );
        metrics
    }
}
