//! The seeder's figures for Prometheus.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::messages::Source;

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// All metrics of the seeder. Clones share the figures, so that they outlive a restart of the actor.
#[derive(Debug, Clone)]
pub struct SeederMetrics {
    served_bytes: Family<Labels<1>, Counter>,
    peers: Family<Labels<1>, Gauge>,
    peers_ended: Family<Labels<2>, Counter>,
    peers_refused: Family<Labels<2>, Counter>,
    slots_taken: Gauge,
    slots_wanted: Gauge,
    torrents: Gauge,
    answer_seconds: Histogram,
}

impl SeederMetrics {
    /// Makes the metrics and registers them as `seedpod_seeder_…`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            served_bytes: Family::default(),
            peers: Family::default(),
            peers_ended: Family::default(),
            peers_refused: Family::default(),
            slots_taken: Gauge::default(),
            slots_wanted: Gauge::default(),
            torrents: Gauge::default(),
            answer_seconds: Histogram::new([0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0]),
        };
        for source in Source::ALL {
            let _ = metrics.served_bytes.get_or_create(&[("source", source.label())]);
        }
        let room = registry.sub_registry_with_prefix("seedpod_seeder");
        room.register(
            "served_bytes",
            "Bytes of content sent, by the way they left the pod",
            metrics.served_bytes.clone(),
        );
        room.register("peers", "Peers connected now", metrics.peers.clone());
        room.register(
            "peers_ended",
            "Connections of peers that ended, by why",
            metrics.peers_ended.clone(),
        );
        room.register(
            "peers_refused",
            "Peers that were not let in, by why",
            metrics.peers_refused.clone(),
        );
        room.register("slots_taken", "Peers served now", metrics.slots_taken.clone());
        room.register(
            "slots_wanted",
            "Peers that wait to be served",
            metrics.slots_wanted.clone(),
        );
        room.register("torrents", "Torrents served", metrics.torrents.clone());
        room.register(
            "answer_seconds",
            "Time from a browser's offer to our answer",
            metrics.answer_seconds.clone(),
        );
        metrics
    }

    /// Adds bytes that were sent.
    pub(super) fn served(&self, bytes: u64, source: Source) {
        self.served_bytes
            .get_or_create(&[("source", source.label())])
            .inc_by(bytes);
    }

    /// A peer was let in.
    pub(super) fn peer_came(&self, source: Source) {
        self.peers.get_or_create(&[("source", source.label())]).inc();
    }

    /// A peer that was let in is gone.
    pub(super) fn peer_went(&self, source: Source, why: &'static str) {
        self.peers.get_or_create(&[("source", source.label())]).dec();
        self.peers_ended
            .get_or_create(&[("source", source.label()), ("reason", why)])
            .inc();
    }

    /// A peer was not let in.
    pub(super) fn refused(&self, source: Source, why: &'static str) {
        self.peers_refused
            .get_or_create(&[("source", source.label()), ("reason", why)])
            .inc();
    }

    /// How many are served, and how many wait for it.
    pub(super) fn set_slots(&self, taken: usize, wanted: usize) {
        self.slots_taken.set(i64::try_from(taken).unwrap_or(i64::MAX));
        self.slots_wanted.set(i64::try_from(wanted).unwrap_or(i64::MAX));
    }

    /// How many torrents are served.
    pub(super) fn set_torrents(&self, torrents: usize) {
        self.torrents.set(i64::try_from(torrents).unwrap_or(i64::MAX));
    }

    /// An offer was answered.
    pub(super) fn answered(&self, after: Duration) {
        self.answer_seconds.observe(after.as_secs_f64());
    }
}
