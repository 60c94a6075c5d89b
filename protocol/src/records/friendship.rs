//! One side of a friendship.

use serde::{Deserialize, Serialize};

use super::{RecordError, rules};
use crate::ids::{ContentHash, PodId, Timestamp};

/// What one pod says about its friendship with another: yes while the record is live, no when it is withdrawn. Two pods are friends
/// while both say yes. Its object id is the other's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Friendship {
    /// The other pod, never the author.
    pub with: PodId,
    /// Where the author lives, `host[:port]`: up to 261 bytes.
    pub host: String,
    /// Multiaddrs at which the author can be dialed: up to 16, each up to 256 bytes.
    pub addresses: Vec<String>,
    /// The BLAKE3 hash of the author's offline recovery key, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<ContentHash>,
    /// When the author said yes.
    pub since: Timestamp,
}

impl Friendship {
    /// Checks the limits.
    ///
    /// # Errors
    /// The first value outside them.
    pub fn validate(&self) -> Result<(), RecordError> {
        rules::host("host", &self.host)?;
        rules::addresses("addresses", &self.addresses)
    }
}
