//! What the swarm counts, named `seedpod_swarm_…`. Labels are words from fixed lists, never an id.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verdict {
    verdict: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    way: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    direction: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Queue {
    queue: &'static str,
}

/// Counters and gauges of the swarm. Clones share their values.
#[derive(Clone, Debug, Default)]
pub struct SwarmMetrics {
    connected: Gauge,
    gossip: Family<Verdict, Counter>,
    refused: Family<Refused, Counter>,
    published: Family<Reason, Counter>,
    requests: Family<Outcome, Counter>,
    queue_full: Family<Queue, Counter>,
    bans: Family<Reason, Counter>,
    dials: Family<Reason, Counter>,
}

impl SwarmMetrics {
    /// Makes them known under `seedpod_swarm_…`; `registry` is the root, without a prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let room = registry.sub_registry_with_prefix("seedpod_swarm");
        room.register(
            "connected_peers",
            "Peers connected now",
            metrics.connected.clone(),
        );
        room.register(
            "gossip",
            "Gossip messages received, by verdict and reason",
            metrics.gossip.clone(),
        );
        room.register(
            "refused",
            "Envelopes that the door did not let in, by the way they came and the reason",
            metrics.refused.clone(),
        );
        room.register(
            "published",
            "Gossip messages of our own, by what became of them",
            metrics.published.clone(),
        );
        room.register(
            "requests",
            "Directed requests, by direction and outcome",
            metrics.requests.clone(),
        );
        room.register(
            "queue_full",
            "Messages left out because a queue was full",
            metrics.queue_full.clone(),
        );
        room.register("bans", "Pods locked out for a time", metrics.bans.clone());
        room.register(
            "dials",
            "Attempts to reach friends that failed or worked",
            metrics.dials.clone(),
        );
        metrics
    }

    pub(super) fn set_connected(&self, peers: usize) {
        self.connected.set(i64::try_from(peers).unwrap_or(i64::MAX));
    }

    pub(super) fn gossip(&self, verdict: &'static str, reason: &'static str) {
        self.gossip.get_or_create(&Verdict { verdict, reason }).inc();
    }

    pub(super) fn refused(&self, way: &'static str, reason: &'static str) {
        self.refused.get_or_create(&Refused { way, reason }).inc();
    }

    pub(super) fn published(&self, outcome: &'static str) {
        self.published.get_or_create(&Reason { reason: outcome }).inc();
    }

    pub(super) fn request_in(&self, outcome: &'static str) {
        self.requests
            .get_or_create(&Outcome {
                direction: "in",
                outcome,
            })
            .inc();
    }

    pub(super) fn request_out(&self, outcome: &'static str) {
        self.requests
            .get_or_create(&Outcome {
                direction: "out",
                outcome,
            })
            .inc();
    }

    pub(super) fn queue_full(&self, queue: &'static str) {
        self.queue_full.get_or_create(&Queue { queue }).inc();
    }

    pub(super) fn ban(&self, reason: &'static str) {
        self.bans.get_or_create(&Reason { reason }).inc();
    }

    pub(super) fn dial(&self, outcome: &'static str) {
        self.dials.get_or_create(&Reason { reason: outcome }).inc();
    }

    /// How many gossip messages got this verdict (`accept`, `ignore`, `reject`) for this reason (empty for accepted ones).
    pub fn gossip_count(&self, verdict: &'static str, reason: &'static str) -> u64 {
        self.gossip.get_or_create(&Verdict { verdict, reason }).get()
    }

    /// How many envelopes that came this way (see [`Way::name`](super::Way::name)) were refused for this reason.
    pub fn refused_count(&self, way: &'static str, reason: &'static str) -> u64 {
        self.refused.get_or_create(&Refused { way, reason }).get()
    }

    /// How many of our own gossip messages came to this end (`sent`, `duplicate`, `nobody`, `queues_full`, `failed`).
    pub fn published_count(&self, outcome: &'static str) -> u64 {
        self.published.get_or_create(&Reason { reason: outcome }).get()
    }

    /// How many pods were locked out for this reason.
    pub fn ban_count(&self, reason: &'static str) -> u64 {
        self.bans.get_or_create(&Reason { reason }).get()
    }
}
