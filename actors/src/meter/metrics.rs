//! What is counted of the meter's own work; what the pod sent is counted by those who send.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::messages::{MeterError, Told};

type Label = [(&'static str, &'static str); 1];

/// Counters of the meter's room.
#[derive(Debug, Clone, Default)]
pub struct MeterMetrics {
    told_bytes: Family<Label, Counter>,
    reports: Family<Label, Counter>,
}

impl MeterMetrics {
    /// Registers the counters.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "seedpod_meter_told_bytes",
            "Bytes that viewers' pages said they got or gave, as far as they were believed",
            metrics.told_bytes.clone(),
        );
        registry.register(
            "seedpod_meter_reports",
            "What viewers' pages told, by what became of it",
            metrics.reports.clone(),
        );
        metrics
    }

    /// Something was told; `asked` is what, and `outcome` what was believed of it.
    pub(super) fn told(&self, asked: Told, outcome: Result<Told, MeterError>) {
        let word = match outcome {
            Ok(believed) if believed == asked => "believed",
            Ok(_) => "cut",
            Err(MeterError::Unknown(_)) => "unknown",
            Err(MeterError::TooOften) => "too_often",
            Err(MeterError::Full) => "full",
        };
        self.reports.get_or_create(&[("outcome", word)]).inc();
        let believed = outcome.unwrap_or_default();
        for (what, bytes) in [
            ("from_viewers", believed.from_viewers),
            ("from_pods", believed.from_pods),
            ("given", believed.given),
        ] {
            if bytes > 0 {
                self.told_bytes.get_or_create(&[("what", what)]).inc_by(bytes);
            }
        }
    }
}
