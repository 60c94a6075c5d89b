//! What all connections of a pod share, whatever carries them.

use std::fmt;
use std::sync::Arc;

use seedpod_protocol::tracker::PeerId;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::ledger::Ledger;
use super::messages::Served;
use super::metrics::SeederMetrics;
use super::shelf::Shelf;
use super::slots::Slots;
use super::stream::Buffers;

/// How many peers are served at a time; the others wait for a turn.
const SLOTS: usize = 256;

/// Shared by all connections; clones are one.
#[derive(Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

struct Inner {
    peer_id: PeerId,
    shelf: Shelf,
    slots: Slots,
    buffers: Buffers,
    ledger: Ledger,
    metrics: SeederMetrics,
    stop: CancellationToken,
}

impl Service {
    /// The service of a pod that calls itself `peer_id`, until `stop` is cancelled.
    #[must_use]
    pub fn new(peer_id: PeerId, shelf: Shelf, metrics: SeederMetrics, stop: CancellationToken) -> Self {
        let inner = Inner {
            peer_id,
            shelf,
            slots: Slots::new(SLOTS),
            buffers: Buffers::default(),
            ledger: Ledger::new(metrics.clone()),
            metrics,
            stop,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(super) fn peer_id(&self) -> PeerId {
        self.inner.peer_id
    }

    pub(super) fn shelf(&self) -> &Shelf {
        &self.inner.shelf
    }

    pub(super) fn slots(&self) -> &Slots {
        &self.inner.slots
    }

    pub(super) fn buffers(&self) -> &Buffers {
        &self.inner.buffers
    }

    pub(super) fn metrics(&self) -> &SeederMetrics {
        &self.inner.metrics
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    pub(super) fn served(&self, served: Served) {
        self.inner.ledger.served(served);
    }

    pub(super) fn stopped(&self) -> WaitForCancellationFuture<'_> {
        self.inner.stop.cancelled()
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("peer_id", &self.inner.peer_id)
            .finish_non_exhaustive()
    }
}
