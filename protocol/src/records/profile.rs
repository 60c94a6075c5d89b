//! What a pod says about itself: the profile that its friends keep, and the card that its host hands to anyone.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

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
    /// The UDP port of its tracker and its STUN server, at the host of `url`. It came after the rules of profiles were fixed: what is no
    /// port counts as none instead of making the record invalid.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "port")]
    pub udp: Option<u16>,
}

/// Reads a port from 1 on; anything else is none.
fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    struct Port;

    impl<'de> Visitor<'de> for Port {
        type Value = Option<u16>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("anything")
        }

        fn visit_u64<E>(self, number: u64) -> Result<Option<u16>, E> {
            Ok(u16::try_from(number).ok().filter(|port| *port != 0))
        }

        fn visit_i64<E>(self, _: i64) -> Result<Option<u16>, E> {
            Ok(None)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Option<u16>, E> {
            Ok(None)
        }

        fn visit_bool<E>(self, _: bool) -> Result<Option<u16>, E> {
            Ok(None)
        }

        fn visit_unit<E>(self) -> Result<Option<u16>, E> {
            Ok(None)
        }

        fn visit_str<E>(self, _: &str) -> Result<Option<u16>, E> {
            Ok(None)
        }

        fn visit_bytes<E>(self, _: &[u8]) -> Result<Option<u16>, E> {
            Ok(None)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<u16>, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<u16>, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(None)
        }
    }

    deserializer.deserialize_any(Port)
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
