//! Channels: what videos are published under.

use serde::{Deserialize, Serialize};

use super::{RecordError, rules};
use crate::{
    ids::{ChannelId, Nonce, PodId, Timestamp},
    limits,
};

/// A channel. Its object id is derived from the author and the nonce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// 16 random bytes, drawn once.
    #[serde(with = "serde_bytes")]
    pub nonce: Nonce,
    /// Its handle: 1 to 50 letters, digits, dots, underscores and hyphens (ASCII).
    pub name: String,
    /// Its name as it is shown: 1 to 120 characters.
    pub display_name: String,
    /// What it is about: up to 10,000 characters, several lines.
    pub description: String,
    /// Handle of the user it belongs to.
    pub owner: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Channel {
    /// Its id when this author publishes it.
    pub fn id(&self, author: &PodId) -> ChannelId {
        ChannelId::derive(author, &self.nonce)
    }

    /// Checks the limits.
    ///
    /// # Errors
    /// The first value outside them.
    pub fn validate(&self) -> Result<(), RecordError> {
        rules::handle("name", &self.name)?;
        rules::line("display_name", &self.display_name, 1, limits::DISPLAY_NAME_MAX)?;
        rules::lines("description", &self.description, 0, limits::DESCRIPTION_MAX)?;
        rules::handle("owner", &self.owner)
    }
}
