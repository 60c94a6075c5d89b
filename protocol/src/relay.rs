//! What trackers hand to each other for their viewers: offers and answers of WebRTC, so that viewers of different pods find each other.
//!
//! The session descriptions in them hold addresses of the viewers: a pod shows them to the one viewer they are for and keeps them no
//! longer than an offer lives (`SPEC.md` §8).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    ids::InfoHash,
    limits,
    tracker::{OfferId, PeerId},
};

/// "Hand this offer of a viewer of mine to one of yours."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayedOffer {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Who made the offer.
    #[serde(with = "twenty_bytes")]
    pub peer_id: PeerId,
    /// Its name for the offer.
    #[serde(with = "twenty_bytes")]
    pub offer_id: OfferId,
    /// Whether its maker has everything and looks for somebody who has not.
    pub seeder: bool,
    /// The offer.
    pub offer: Session,
}

/// "A viewer of mine answers that offer."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayedAnswer {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Who answers.
    #[serde(with = "twenty_bytes")]
    pub peer_id: PeerId,
    /// Who made the offer.
    #[serde(with = "twenty_bytes")]
    pub to_peer_id: PeerId,
    /// Which offer.
    #[serde(with = "twenty_bytes")]
    pub offer_id: OfferId,
    /// The answer.
    pub answer: Session,
}

/// A session description as its maker wrote it: the text of a JSON object of at most 16 KiB. Whoever holds one knows that.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Session(String);

/// Why a text is no session description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Longer than any tracker takes.
    #[error("a session description of {0} bytes, at most {max} are taken", max = limits::SESSION_MAX)]
    TooLong(usize),
    /// Not the text of a JSON object.
    #[error("a session description that is no JSON object")]
    NoObject,
}

impl Session {
    /// The description as a part of a tracker's message.
    pub fn to_raw(&self) -> Box<RawValue> {
        RawValue::from_string(self.0.clone()).expect("it was checked to be JSON")
    }
}

impl TryFrom<String> for Session {
    type Error = SessionError;

    fn try_from(text: String) -> Result<Self, SessionError> {
        if text.len() > limits::SESSION_MAX {
            return Err(SessionError::TooLong(text.len()));
        }
        let value: &RawValue = serde_json::from_str(&text).map_err(|_| SessionError::NoObject)?;
        // Blanks around it would be no part of a raw value.
        if value.get().len() == text.len() && text.starts_with('{') {
            Ok(Self(text))
        } else {
            Err(SessionError::NoObject)
        }
    }
}

impl TryFrom<&RawValue> for Session {
    type Error = SessionError;

    fn try_from(value: &RawValue) -> Result<Self, SessionError> {
        value.get().to_owned().try_into()
    }
}

impl From<Session> for String {
    fn from(session: Session) -> Self {
        session.0
    }
}

impl fmt::Debug for Session {
    /// Addresses of viewers have no place in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({} bytes)", self.0.len())
    }
}

/// Ids of clients as byte strings, where WebTorrent's JSON has them as text of 20 characters.
mod twenty_bytes {
    use serde::{Deserialize, Deserializer, Serializer};
    use serde_bytes::ByteArray;

    use super::{OfferId, PeerId};

    pub(super) trait Id {
        fn to_bytes(&self) -> &[u8; 20];
        fn of_bytes(bytes: [u8; 20]) -> Self;
    }

    impl Id for PeerId {
        fn to_bytes(&self) -> &[u8; 20] {
            self.as_bytes()
        }

        fn of_bytes(bytes: [u8; 20]) -> Self {
            Self::from_bytes(bytes)
        }
    }

    impl Id for OfferId {
        fn to_bytes(&self) -> &[u8; 20] {
            self.as_bytes()
        }

        fn of_bytes(bytes: [u8; 20]) -> Self {
            Self::from_bytes(bytes)
        }
    }

    pub(super) fn serialize<T: Id, S: Serializer>(id: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(id.to_bytes())
    }

    pub(super) fn deserialize<'de, T: Id, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        ByteArray::<20>::deserialize(deserializer).map(|bytes| T::of_bytes(bytes.into_array()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_the_text_of_an_object_and_nothing_around_it() {
        let sound = r#"{"type":"offer","sdp":"v=0\r\nö"}"#.to_owned();
        let session = Session::try_from(sound.clone()).expect("an object");
        assert_eq!(session.to_raw().get(), sound);
        assert_eq!(format!("{session:?}"), format!("Session({} bytes)", sound.len()));
        for (text, error) in [
            (String::new(), SessionError::NoObject),
            ("[]".to_owned(), SessionError::NoObject),
            ("{}{}".to_owned(), SessionError::NoObject),
            (" {}".to_owned(), SessionError::NoObject),
            ("{} ".to_owned(), SessionError::NoObject),
            ("{\"sdp\":".to_owned(), SessionError::NoObject),
            (
                format!("{{\"sdp\":\"{}\"}}", "x".repeat(limits::SESSION_MAX)),
                SessionError::TooLong(limits::SESSION_MAX + 10),
            ),
        ] {
            assert_eq!(Session::try_from(text), Err(error));
        }
    }
}
