//! What a pod says about itself: the profile that its friends keep, and the card that its host hands to anyone.

use serde::{Deserialize, Serialize};

use super::{RecordError, rules};
use crate::limits;

/// A pod about itself. One per pod: its object id is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Its name: 1 to 120 characters.
    pub name: String,
    /// What it is for: up to 10,000 characters, several lines.
    pub description: String,
    /// How to write to its operator: up to 254 characters, with an `@`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Its public URL, scheme and host without a slash at the end: up to 256 bytes.
    pub url: String,
}

impl Profile {
    /// Checks the limits.
    ///
    /// # Errors
    /// The first value outside them.
    pub fn validate(&self) -> Result<(), RecordError> {
        rules::line("name", &self.name, 1, limits::POD_NAME_MAX)?;
        rules::lines("description", &self.description, 0, limits::DESCRIPTION_MAX)?;
        if let Some(email) = &self.email {
            rules::email("email", email)?;
        }
        rules::url("url", &self.url)
    }
}

/// Who lives at a host: the signed answer of `GET /api/v1/pods/self`. No record; no catalog keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Name of the pod: 1 to 120 characters.
    pub name: String,
    /// Version of its software: up to 40 characters.
    pub version: String,
    /// Its public URL, scheme and host without a slash at the end: up to 256 bytes.
    pub url: String,
    /// Multiaddrs at which it can be dialed, without the peer id: up to 16, each up to 256 bytes.
    pub addresses: Vec<String>,
}

impl Card {
    /// Checks the limits.
    ///
    /// # Errors
    /// The first value outside them.
    pub fn validate(&self) -> Result<(), RecordError> {
        rules::line("name", &self.name, 1, limits::POD_NAME_MAX)?;
        rules::line("version", &self.version, 0, limits::POD_VERSION_MAX)?;
        rules::url("url", &self.url)?;
        rules::addresses("addresses", &self.addresses)
    }
}
