//! What the web front counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use warp::http::StatusCode;

/// Counters; clones share them. [`Default`] makes counters that nobody reads.
#[derive(Clone, Debug, Default)]
pub struct WebMetrics {
    pub(crate) requests: Family<Answered, Counter>,
    pub(crate) media_bytes: Counter,
    pub(crate) downloads_refused: Counter,
    pub(crate) tallies_lost: Counter,
    pub(crate) connections: Gauge,
    pub(crate) connections_refused: Counter,
    pub(crate) sockets: Gauge,
    pub(crate) sockets_refused: Counter,
    pub(crate) listeners: Gauge,
    pub(crate) listeners_refused: Counter,
}

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Answered {
    part: &'static str,
    status: &'static str,
}

/// Which part of the site was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// `/api`.
    Api,
    /// The HTTP tracker.
    Tracker,
    /// Media, torrents, pictures, assets.
    Files,
    /// Everything else: pages, mostly.
    Pages,
}

impl Answered {
    pub(crate) fn new(part: Part, status: StatusCode) -> Self {
        let part = match part {
            Part::Api => "api",
            Part::Tracker => "tracker",
            Part::Files => "files",
            Part::Pages => "pages",
        };
        let status = match status.as_u16() {
            500.. => "failed",
            400.. => "refused",
            _ => "fine",
        };
        Self { part, status }
    }
}

impl WebMetrics {
    /// Counters known to `registry` as `seedpod_web_…`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("seedpod_web");
        registry.register("requests", "Requests answered", metrics.requests.clone());
        registry.register_with_unit(
            "media",
            "Bytes of media handed to the network",
            Unit::Bytes,
            metrics.media_bytes.clone(),
        );
        registry.register(
            "downloads_refused",
            "Media requests refused because too many were running",
            metrics.downloads_refused.clone(),
        );
        registry.register(
            "tallies_lost",
            "Downloads that the seeder was too busy to count",
            metrics.tallies_lost.clone(),
        );
        registry.register(
            "connections",
            "Open HTTP connections",
            metrics.connections.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections closed at once because their address, or everybody together, had enough",
            metrics.connections_refused.clone(),
        );
        registry.register("sockets", "Open sockets of the tracker", metrics.sockets.clone());
        registry.register(
            "sockets_refused",
            "Sockets that the tracker refused",
            metrics.sockets_refused.clone(),
        );
        registry.register(
            "listeners",
            "Pages that listen to what changes",
            metrics.listeners.clone(),
        );
        registry.register(
            "listeners_refused",
            "Pages that found no place to listen",
            metrics.listeners_refused.clone(),
        );
        metrics
    }
}
