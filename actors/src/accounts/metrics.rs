//! What is counted of accounts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::messages::AccountsError;

/// Counters of accounts; clones share them. [`Default`] makes counters nobody reads.
#[derive(Clone, Debug, Default)]
pub struct AccountsMetrics {
    logins: Family<OutcomeLabel, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

impl AccountsMetrics {
    /// Counters known to `registry` as `seedpod_accounts_…`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("seedpod_accounts");
        registry.register(
            "logins",
            "Logins with a password, by what became of them",
            metrics.logins.clone(),
        );
        metrics
    }

    /// Counts a login.
    pub(super) fn login<T>(&self, login: &Result<T, AccountsError>) {
        let outcome = match login {
            Ok(_) => "fine",
            Err(AccountsError::WrongCredentials) => "refused",
            Err(AccountsError::Busy) => "busy",
            Err(AccountsError::Wait { .. }) => "held_back",
            Err(_) => "failed",
        };
        self.logins.get_or_create(&OutcomeLabel { outcome }).inc();
    }
}
