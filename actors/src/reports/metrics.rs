//! What is counted of reports.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// Counters of the reports' room.
#[derive(Debug, Clone, Default)]
pub struct ReportsMetrics {
    pub(super) pending: Gauge,
    pub(super) filed: Counter,
    received: Family<Outcome, Counter>,
    sent: Family<Outcome, Counter>,
}

impl ReportsMetrics {
    /// Registers the counters.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "seedpod_reports_pending",
            "Reports that nobody decided yet",
            metrics.pending.clone(),
        );
        registry.register(
            "seedpod_reports_filed",
            "Reports by users of this pod",
            metrics.filed.clone(),
        );
        registry.register(
            "seedpod_reports_received",
            "Reports that friends handed over, by what became of them",
            metrics.received.clone(),
        );
        registry.register(
            "seedpod_reports_sent",
            "Attempts to hand a report to the origin, by what became of them",
            metrics.sent.clone(),
        );
        metrics
    }

    pub(super) fn received(&self, outcome: &'static str) {
        self.received.get_or_create(&Outcome { outcome }).inc();
    }

    pub(super) fn sent(&self, outcome: &'static str) {
        self.sent.get_or_create(&Outcome { outcome }).inc();
    }
}
