//! The sums of what was sent, for everybody who sends: connections add to them without waiting for a mailbox.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(test)]
use super::messages::Carried;
use super::messages::{Sent, Served};
use super::metrics::SeederMetrics;
use super::state::Seeder;

/// The sums; clones share them. They outlive a restart of the actor.
#[derive(Debug, Clone)]
pub struct Ledger {
    sums: Arc<Mutex<Seeder>>,
    metrics: SeederMetrics,
}

impl Ledger {
    /// Sums of nothing.
    #[must_use]
    pub fn new(metrics: SeederMetrics) -> Self {
        Self {
            sums: Arc::default(),
            metrics,
        }
    }

    pub(super) fn served(&self, served: Served) {
        self.lock().served(served.info_hash, served.bytes, served.source);
        self.metrics.served(served.bytes, served.source);
    }

    pub(super) fn take(&self) -> Sent {
        self.lock().take()
    }

    #[cfg(test)]
    pub(super) fn totals(&self) -> Carried {
        self.lock().totals()
    }

    fn lock(&self) -> MutexGuard<'_, Seeder> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
