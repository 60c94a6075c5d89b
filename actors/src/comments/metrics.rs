//! What is counted of comments.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::messages::{CommentTotals, Deleted};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct How {
    how: &'static str,
}

/// Counters of the comments' room.
#[derive(Debug, Clone, Default)]
pub struct CommentsMetrics {
    held: Gauge,
    pub(super) posted: Counter,
    deleted: Family<How, Counter>,
}

impl CommentsMetrics {
    /// Registers the counters.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "seedpod_comments_held",
            "Live comments of all pods",
            metrics.held.clone(),
        );
        registry.register(
            "seedpod_comments_posted",
            "Comments that users of this pod wrote",
            metrics.posted.clone(),
        );
        registry.register(
            "seedpod_comments_deleted",
            "Comments that somebody here did not want, by what became of them",
            metrics.deleted.clone(),
        );
        metrics
    }

    pub(super) fn show(&self, totals: CommentTotals) {
        self.held.set(i64::try_from(totals.all).unwrap_or(i64::MAX));
    }

    pub(super) fn deleted(&self, what: Deleted) {
        let how = match what {
            Deleted::Removed => "removed",
            Deleted::Hidden => "hidden",
            Deleted::HiddenHere => "hidden_here",
        };
        self.deleted.get_or_create(&How { how }).inc();
    }
}
