//! The tracker's figures for Prometheus.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::stats::{Refusal, Stats, Totals};

/// All metrics of the tracker. Clones share the figures, so that they outlive a restart of the actor.
#[derive(Debug, Clone)]
pub struct TrackerMetrics {
    sockets: Gauge,
    peers: Gauge,
    swarms: Gauge,
    announces: Counter,
    scrapes: Counter,
    offers_relayed: Counter,
    offers_held_back: Counter,
    answers_relayed: Counter,
    /// In the order of [`Refusal::ALL`].
    refused: Vec<Counter>,
    slow_sockets: Counter,
}

impl TrackerMetrics {
    /// Makes the metrics and registers them as `seedpod_tracker_…`.
    pub fn register(registry: &mut Registry) -> Self {
        let refused = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let metrics = Self {
            sockets: Gauge::default(),
            peers: Gauge::default(),
            swarms: Gauge::default(),
            announces: Counter::default(),
            scrapes: Counter::default(),
            offers_relayed: Counter::default(),
            offers_held_back: Counter::default(),
            answers_relayed: Counter::default(),
            refused: Refusal::ALL
                .iter()
                .map(|refusal| refused.get_or_create_owned(&[("reason", refusal.label())]))
                .collect(),
            slow_sockets: Counter::default(),
        };
        let registry = registry.sub_registry_with_prefix("seedpod_tracker");
        registry.register(
            "sockets",
            "WebSockets connected to the tracker",
            metrics.sockets.clone(),
        );
        registry.register(
            "peers",
            "Peers in swarms, one for each torrent of a socket",
            metrics.peers.clone(),
        );
        registry.register(
            "swarms",
            "Torrents that have peers, or had some",
            metrics.swarms.clone(),
        );
        registry.register(
            "announces",
            "Announces that were accepted",
            metrics.announces.clone(),
        );
        registry.register("scrapes", "Scrapes that were answered", metrics.scrapes.clone());
        registry.register(
            "offers_relayed",
            "WebRTC offers handed to a peer",
            metrics.offers_relayed.clone(),
        );
        registry.register(
            "offers_held_back",
            "WebRTC offers not handed on, their maker having too many unanswered ones",
            metrics.offers_held_back.clone(),
        );
        registry.register(
            "answers_relayed",
            "WebRTC answers handed to the maker of the offer",
            metrics.answers_relayed.clone(),
        );
        registry.register("refused", "Messages and sockets refused, by reason", refused);
        registry.register(
            "slow_sockets",
            "Sockets dropped because they did not read what they were sent",
            metrics.slow_sockets.clone(),
        );
        metrics
    }

    /// Brings the metrics from what was `reported` before up to `now`.
    pub(super) fn report(&self, reported: &mut Totals, now: &Stats) {
        set(&self.sockets, now.sockets);
        set(&self.peers, now.peers);
        set(&self.swarms, now.swarms);
        let new = &now.totals;
        self.announces.inc_by(new.announces - reported.announces);
        self.scrapes.inc_by(new.scrapes - reported.scrapes);
        self.offers_relayed
            .inc_by(new.offers_relayed - reported.offers_relayed);
        self.offers_held_back
            .inc_by(new.offers_held_back - reported.offers_held_back);
        self.answers_relayed
            .inc_by(new.answers_relayed - reported.answers_relayed);
        for ((counter, new), old) in self.refused.iter().zip(new.refused).zip(reported.refused) {
            counter.inc_by(new - old);
        }
        self.slow_sockets.inc_by(new.slow_sockets - reported.slow_sockets);
        *reported = now.totals;
    }
}

fn set(gauge: &Gauge, value: usize) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
