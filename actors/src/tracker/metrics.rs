//! The tracker's figures for Prometheus, read from the desk when somebody asks for them.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::desk::Desk;
use super::relay::{HintOutcome, RelayRefusal};
use super::stats::{Refusal, Way};

impl Desk {
    /// Shows the figures in a registry, as `seedpod_tracker_…`.
    pub fn register(&self, registry: &mut Registry) {
        registry
            .sub_registry_with_prefix("seedpod_tracker")
            .register_collector(Box::new(Figures(self.clone())));
        registry
            .sub_registry_with_prefix("seedpod_tracker_relay")
            .register_collector(Box::new(RelayFigures(self.clone())));
    }
}

#[derive(Debug)]
struct Figures(Desk);

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.0.stats();
        let totals = stats.totals;
        for (name, help, value) in [
            ("sockets", "WebSockets connected to the tracker", stats.sockets),
            (
                "peers",
                "Browsers in swarms, one for each torrent of a socket",
                stats.peers,
            ),
            (
                "clients",
                "BitTorrent clients in swarms, one for each torrent of a port",
                stats.clients,
            ),
            ("swarms", "Torrents that have peers, or had some", stats.swarms),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        for (name, help, value) in [
            ("scrapes", "Scrapes that were answered", totals.scrapes),
            (
                "offers_relayed",
                "WebRTC offers handed to a peer",
                totals.offers_relayed,
            ),
            (
                "offers_held_back",
                "WebRTC offers not handed on, their maker having too many unanswered ones",
                totals.offers_held_back,
            ),
            (
                "offers_lost",
                "WebRTC offers that this pod's seeder was too busy to take",
                totals.offers_lost,
            ),
            (
                "answers_relayed",
                "WebRTC answers handed to the maker of the offer",
                totals.answers_relayed,
            ),
            (
                "slow_sockets",
                "Sockets dropped because they did not read what they were sent",
                totals.slow_sockets,
            ),
        ] {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        let mut announces = encoder.encode_descriptor(
            "announces",
            "Announces that were accepted",
            None,
            MetricType::Counter,
        )?;
        for (way, value) in Way::ALL.iter().zip(totals.announces) {
            let label = [("way", way.label())];
            ConstCounter::new(value).encode(announces.encode_family(&label)?)?;
        }
        let help = "Messages and sockets refused, by reason";
        let mut refused = encoder.encode_descriptor("refused", help, None, MetricType::Counter)?;
        for (refusal, value) in Refusal::ALL.iter().zip(totals.refused) {
            let label = [("reason", refusal.label())];
            ConstCounter::new(value).encode(refused.encode_family(&label)?)?;
        }
        Ok(())
    }
}

/// What goes on between pods, as `seedpod_tracker_relay_…`.
#[derive(Debug)]
struct RelayFigures(Desk);

impl Collector for RelayFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.0.stats();
        let (left_out, relay) = (stats.totals.relays_left_out, stats.relay);
        for (name, help, value) in [
            (
                "hinted_torrents",
                "Torrents that friends say they have viewers of, once for each friend",
                relay.hinted,
            ),
            (
                "waiting_offers",
                "Offers between pods that wait for their answer",
                relay.waiting,
            ),
            (
                "held_peers",
                "Peers whose offers wait for a friend that has somebody",
                relay.held,
            ),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let totals = relay.totals;
        let help = "Hints about swarms said and heard, by outcome";
        let mut hints = encoder.encode_descriptor("hints", help, None, MetricType::Counter)?;
        let heard = HintOutcome::ALL
            .iter()
            .map(|outcome| outcome.label())
            .zip(totals.hints);
        for (outcome, value) in heard.chain([("said", totals.hints_said)]) {
            ConstCounter::new(value).encode(hints.encode_family(&[("outcome", outcome)])?)?;
        }
        let help = "Offers and answers handed to friends and from friends";
        let mut relayed = encoder.encode_descriptor("relayed", help, None, MetricType::Counter)?;
        for (what, direction, value) in [
            ("offer", "out", totals.offers_out),
            ("offer", "in", totals.offers_in),
            ("answer", "out", totals.answers_out),
            ("answer", "in", totals.answers_in),
        ] {
            let labels = [("what", what), ("direction", direction)];
            ConstCounter::new(value).encode(relayed.encode_family(&labels)?)?;
        }
        let help = "Requests of friends to relay that were refused, by reason";
        let mut refused = encoder.encode_descriptor("refused", help, None, MetricType::Counter)?;
        for (refusal, value) in RelayRefusal::ALL.iter().zip(totals.refused) {
            let label = [("reason", refusal.label())];
            ConstCounter::new(value).encode(refused.encode_family(&label)?)?;
        }
        let help = "Offers and answers not sent to a friend because too many were on their way";
        let counter = ConstCounter::new(left_out);
        counter.encode(encoder.encode_descriptor("left_out", help, None, MetricType::Counter)?)
    }
}
