//! What is counted of the audience.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Counters of the audience's room.
#[derive(Debug, Clone, Default)]
pub struct AudienceMetrics {
    pub(super) views: Counter,
    pub(super) views_again: Counter,
    pub(super) ratings: Counter,
    pub(super) statements: Counter,
}

impl AudienceMetrics {
    /// Registers the counters.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let mut register = |name, help, counter: &Counter| registry.register(name, help, counter.clone());
        register("seedpod_audience_views", "Views that counted", &metrics.views);
        register(
            "seedpod_audience_views_again",
            "Views by an address that was counted within the hour",
            &metrics.views_again,
        );
        register(
            "seedpod_audience_ratings",
            "Ratings given, changed or taken back",
            &metrics.ratings,
        );
        register(
            "seedpod_audience_statements",
            "Counters and contributions signed",
            &metrics.statements,
        );
        metrics
    }
}
