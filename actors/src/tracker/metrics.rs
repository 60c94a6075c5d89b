//! The tracker's figures for Prometheus.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::relay::{HintOutcome, RelayRefusal, RelayStats, RelayTotals};
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
    relay: RelayMetrics,
}

/// Those of the relay between pods.
#[derive(Debug, Clone)]
struct RelayMetrics {
    hinted: Gauge,
    waiting: Gauge,
    held: Gauge,
    /// In the order of [`HintOutcome::ALL`].
    hints: Vec<Counter>,
    said: Counter,
    offers_out: Counter,
    offers_in: Counter,
    answers_out: Counter,
    answers_in: Counter,
    /// In the order of [`RelayRefusal::ALL`].
    refused: Vec<Counter>,
    left_out: Counter,
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
            relay: RelayMetrics::register(registry),
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

    /// Something was not sent to a friend.
    pub(super) fn left_out(&self) {
        self.relay.left_out.inc();
    }

    /// The same of the relay.
    pub(super) fn report_relay(&self, reported: &mut RelayTotals, now: &RelayStats) {
        self.relay.report(reported, now);
        *reported = now.totals;
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

impl RelayMetrics {
    fn register(registry: &mut Registry) -> Self {
        let hints = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let relayed = Family::<[(&'static str, &'static str); 2], Counter>::default();
        let refused = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let of = |what, direction| relayed.get_or_create_owned(&[("what", what), ("direction", direction)]);
        let metrics = Self {
            hinted: Gauge::default(),
            waiting: Gauge::default(),
            held: Gauge::default(),
            hints: HintOutcome::ALL
                .iter()
                .map(|outcome| hints.get_or_create_owned(&[("outcome", outcome.label())]))
                .collect(),
            said: hints.get_or_create_owned(&[("outcome", "said")]),
            offers_out: of("offer", "out"),
            offers_in: of("offer", "in"),
            answers_out: of("answer", "out"),
            answers_in: of("answer", "in"),
            refused: RelayRefusal::ALL
                .iter()
                .map(|refusal| refused.get_or_create_owned(&[("reason", refusal.label())]))
                .collect(),
            left_out: Counter::default(),
        };
        let registry = registry.sub_registry_with_prefix("seedpod_tracker_relay");
        registry.register(
            "hinted_torrents",
            "Torrents that friends say they have viewers of, once for each friend",
            metrics.hinted.clone(),
        );
        registry.register(
            "waiting_offers",
            "Offers between pods that wait for their answer",
            metrics.waiting.clone(),
        );
        registry.register(
            "held_peers",
            "Peers whose offers wait for a friend that has somebody",
            metrics.held.clone(),
        );
        registry.register("hints", "Hints about swarms said and heard, by outcome", hints);
        registry.register(
            "relayed",
            "Offers and answers handed to friends and from friends",
            relayed,
        );
        registry.register(
            "refused",
            "Requests of friends to relay that were refused, by reason",
            refused,
        );
        registry.register(
            "left_out",
            "Offers and answers not sent to a friend because too many were on their way",
            metrics.left_out.clone(),
        );
        metrics
    }

    fn report(&self, reported: &RelayTotals, now: &RelayStats) {
        set(&self.hinted, now.hinted);
        set(&self.waiting, now.waiting);
        set(&self.held, now.held);
        let new = &now.totals;
        for ((counter, new), old) in self.hints.iter().zip(new.hints).zip(reported.hints) {
            counter.inc_by(new - old);
        }
        self.said.inc_by(new.hints_said - reported.hints_said);
        self.offers_out.inc_by(new.offers_out - reported.offers_out);
        self.offers_in.inc_by(new.offers_in - reported.offers_in);
        self.answers_out.inc_by(new.answers_out - reported.answers_out);
        self.answers_in.inc_by(new.answers_in - reported.answers_in);
        for ((counter, new), old) in self.refused.iter().zip(new.refused).zip(reported.refused) {
            counter.inc_by(new - old);
        }
    }
}

fn set(gauge: &Gauge, value: usize) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
