//! Invites: what a pod's operator hands to another's, so that their pods become friends without a further question.
//!
//! An invite is a signed statement of kind [`Kind::INVITE`] about a random id. As a link it is
//! `<public URL>/invite#<base64url of the envelope>`: what follows the `#` is never sent to a web server, so that it stands
//! in no log. Whoever holds it may show it with its yes (`SPEC.md` §8); whether it still counts is for its author to say.

use std::{fmt, str::FromStr, sync::Arc};

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use crate::{
    codec::{self, CodecError},
    envelope::{Draft, DraftError, Envelope, EnvelopeError, Epoch, Kind, OpenError, Stamp, State},
    ids::{ObjectId, PodId, Timestamp},
    keys::PodKey,
    limits,
    records::Record,
};

/// The payload version this code writes and knows.
const VERSION: u64 = 1;

/// What stands between the public URL and the envelope.
const MARK: &str = "/invite#";

/// Names one invite of a pod: 16 random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InviteId([u8; 16]);

impl InviteId {
    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// What an invite says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// Which of its author's invites.
    pub id: InviteId,
    /// The public URL of the pod that invites, without a slash at its end.
    pub url: String,
    /// When it ceases to count, for people: the author decides by what it stored.
    pub expires: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

/// An invite whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedInvite {
    pod: PodId,
    invite: Invite,
    envelope: Arc<[u8]>,
}

/// Why bytes or a text are no invite.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// Not `<URL>/invite#<envelope>`.
    #[error("this is no invite link")]
    Link,
    /// Longer than any invite.
    #[error("an invite of {0} bytes is too long")]
    TooLong(usize),
    /// Not an envelope.
    #[error("the invite is damaged: {0}")]
    Envelope(#[from] EnvelopeError),
    /// The signature does not hold.
    #[error("the invite is not genuine: {0}")]
    Signature(#[from] OpenError),
    /// The payload is not what it should be.
    #[error("the invite cannot be read: {0}")]
    Payload(#[from] CodecError),
    /// A signed statement, but of another kind, taken back, or of a later version.
    #[error("what was signed is no invite that this version knows")]
    Kind,
    /// The link leads elsewhere than the pod that signed says.
    #[error("the link leads to another address than the invite in it")]
    Elsewhere,
}

impl Invite {
    /// Signs an invite. It is a word, not a record: its stamp means nothing.
    ///
    /// # Errors
    /// When the URL is longer than any pod takes.
    pub fn sign(&self, key: &PodKey) -> Result<SignedInvite, DraftError> {
        let payload = Payload {
            url: self.url.clone(),
            expires: self.expires,
        };
        let draft = Draft {
            kind: Kind::INVITE,
            object: ObjectId::from_bytes(self.id.as_bytes()).expect("16 bytes fit into an object id"),
            state: State::Live,
            payload: Record::Opaque(codec::encode_versioned(VERSION, &payload)),
        };
        let epoch = Epoch {
            counter: 0,
            tag: [0; 8],
        };
        let signed = draft.sign(key, Stamp { epoch, seq: 0 })?;
        Ok(SignedInvite {
            pod: key.id(),
            invite: self.clone(),
            envelope: Arc::clone(signed.bytes()),
        })
    }
}

impl SignedInvite {
    /// Reads an invite from its envelope.
    ///
    /// # Errors
    /// When it is longer than an invite may be, its signature does not hold, or it says something else.
    pub fn open(envelope: &[u8]) -> Result<Self, InviteError> {
        if envelope.len() > limits::INVITE_MAX {
            return Err(InviteError::TooLong(envelope.len()));
        }
        let statement = Envelope::decode(envelope)?.open()?;
        let header = statement.header();
        let Record::Opaque(payload) = statement.payload() else {
            return Err(InviteError::Kind);
        };
        let id: [u8; 16] = header
            .object
            .as_bytes()
            .try_into()
            .map_err(|_| InviteError::Kind)?;
        codec::check(payload, limits::INVITE_MAX)?;
        if header.kind != Kind::INVITE || header.state != State::Live || !codec::is_map(payload) {
            return Err(InviteError::Kind);
        }
        let Version { v } = codec::peek(payload)?;
        if v != VERSION {
            return Err(InviteError::Kind);
        }
        let Payload { url, expires } = codec::decode(payload, limits::INVITE_MAX)?;
        if url.len() > limits::URL_MAX || !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err(InviteError::Kind);
        }
        Ok(Self {
            pod: header.author,
            invite: Invite {
                id: InviteId(id),
                url,
                expires,
            },
            envelope: Arc::clone(statement.bytes()),
        })
    }

    /// Whether a text looks like the link of an invite.
    pub fn is_link(text: &str) -> bool {
        text.contains(MARK)
    }

    /// The pod that invites.
    pub fn pod(&self) -> PodId {
        self.pod
    }

    /// What it says.
    pub fn invite(&self) -> &Invite {
        &self.invite
    }

    /// The envelope, as it was signed.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.envelope
    }
}

impl fmt::Display for SignedInvite {
    /// The link.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let envelope = BASE64URL_NOPAD.encode(&self.envelope);
        write!(f, "{}{MARK}{envelope}", self.invite.url)
    }
}

impl FromStr for SignedInvite {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        let (url, envelope) = text.trim().split_once(MARK).ok_or(InviteError::Link)?;
        if envelope.len() > 2 * limits::INVITE_MAX {
            return Err(InviteError::TooLong(envelope.len()));
        }
        let envelope = BASE64URL_NOPAD
            .decode(envelope.as_bytes())
            .map_err(|_| InviteError::Link)?;
        let signed = Self::open(&envelope)?;
        if signed.invite.url == url {
            Ok(signed)
        } else {
            Err(InviteError::Elsewhere)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use proptest::prelude::*;

    use super::*;

    fn invite() -> Invite {
        Invite {
            id: InviteId::from_bytes([7; 16]),
            url: "https://pod.example".to_owned(),
            expires: Some(Timestamp::from_millis(1_790_000_000_000)),
        }
    }

    fn key() -> PodKey {
        PodKey::from_seed(&[1; 32])
    }

    #[test]
    fn a_link_says_who_invites_and_where() {
        let signed = invite().sign(&key()).unwrap();
        let link = signed.to_string();
        assert!(link.starts_with("https://pod.example/invite#"), "{link}");
        assert!(link.len() < 512, "short enough for a QR code: {}", link.len());
        let read: SignedInvite = format!(" {link}\n").parse().unwrap();
        assert_eq!(read, signed);
        assert_eq!((read.pod(), read.invite()), (key().id(), &invite()));
    }

    #[test]
    fn a_link_that_was_bent_is_refused() {
        let link = invite().sign(&key()).unwrap().to_string();
        let elsewhere = link.replace("pod.example", "evil.example");
        assert!(matches!(
            elsewhere.parse::<SignedInvite>(),
            Err(InviteError::Elsewhere)
        ));
        for text in [
            "",
            "https://pod.example",
            "https://pod.example/invite#",
            "x/invite#&&",
        ] {
            assert!(text.parse::<SignedInvite>().is_err(), "{text}");
        }
    }

    #[test]
    fn other_statements_are_no_invites() {
        let stamp = Stamp {
            epoch: Epoch {
                counter: 0,
                tag: [0; 8],
            },
            seq: 0,
        };
        let sign = |kind, object: &[u8], payload: Vec<u8>| {
            let draft = Draft {
                kind,
                object: ObjectId::from_bytes(object).unwrap(),
                state: State::Live,
                payload: Record::Opaque(payload),
            };
            draft.sign(&key(), stamp).unwrap().bytes().to_vec()
        };
        let payload = |version| {
            codec::encode_versioned(
                version,
                &Payload {
                    url: invite().url,
                    expires: None,
                },
            )
        };
        assert!(SignedInvite::open(&sign(Kind::INVITE, &[7; 16], payload(1))).is_ok());
        for other in [
            sign(Kind(150), &[7; 16], payload(1)),
            sign(Kind::INVITE, &[7; 15], payload(1)),
            sign(Kind::INVITE, &[7; 16], payload(2)),
            sign(Kind::INVITE, &[7; 16], vec![0x01]),
            sign(Kind::INVITE, &[7; 16], vec![0; 2000]),
        ] {
            assert!(SignedInvite::open(&other).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_byte_can_be_changed(at in 0_usize..10_000, bit in 0_u8..8) {
            let signed = invite().sign(&key()).unwrap();
            let mut bytes = signed.bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(SignedInvite::open(&bytes).is_err());
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = text.parse::<SignedInvite>();
            let _ = SignedInvite::open(&bytes);
            let _ = format!("http://a/invite#{}", BASE64URL_NOPAD.encode(&bytes)).parse::<SignedInvite>();
        }
    }
}
