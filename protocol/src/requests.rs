//! Directed requests: what one pod asks another over a libp2p stream, and the answers.
//!
//! Requests and answers are canonical CBOR with a version in front; they are not signed, since the stream already says who speaks. What
//! they carry for others to keep are envelopes, as byte strings. Every list has a maximum (`SPEC.md` §8).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    codec::{self, CodecError},
    descent::{Place, Prefix},
    envelope::Stamp,
    ids::{ContentHash, PodId, RegisterKey},
    limits,
    relay::{RelayedAnswer, RelayedOffer},
};

/// The version of requests and answers.
const VERSION: u64 = 1;

/// What a pod asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// "Be my friend": the asker's card and its yes, both as envelopes.
    Befriend {
        /// Envelope of kind card.
        #[serde(with = "serde_bytes")]
        card: Vec<u8>,
        /// Envelope of kind friendship, live, with the pod asked.
        #[serde(with = "serde_bytes")]
        friendship: Vec<u8>,
        /// Envelope of kind invite, by the pod asked.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "serde_bytes")]
        invite: Option<Vec<u8>>,
        /// What the asker said about its keys, as envelopes: with them the friendship may be signed by a later one. At most 33.
        #[serde(default, skip_serializing_if = "Vec::is_empty", with = "codec::byte_strings")]
        keys: Vec<Vec<u8>>,
    },
    /// "Who are your friends?" Anybody may ask.
    ListFriends,
    /// "What do you hold?" Friends may ask.
    Roots,
    /// "Give me an author's records in the order of their stamps." Friends may ask.
    Pull {
        /// Whose records.
        author: PodId,
        /// Only those stamped after this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Stamp>,
    },
    /// "What stands at these places of the digest of an author?" Friends may ask.
    Nodes {
        /// Whose digest.
        author: PodId,
        /// The places, at most 512.
        places: Vec<Prefix>,
    },
    /// "Give me the heads of these registers." Friends may ask.
    Fetch {
        /// Whose registers.
        author: PodId,
        /// Their keys, at most 1,024.
        keys: Vec<RegisterKey>,
    },
    /// "Here are records you lack." Friends may say so; an end of friendship too.
    Tell {
        /// Envelopes, at most 64.
        #[serde(with = "codec::byte_strings")]
        envelopes: Vec<Vec<u8>>,
    },
    /// "One of our users finds something wrong at yours." Friends may say so, of their own users.
    Report {
        /// Envelope of kind report, live, by the asker, with the asked as origin.
        #[serde(with = "serde_bytes")]
        report: Vec<u8>,
    },
    /// "Hand this offer to a viewer of yours." Friends may ask.
    RelayOffer(RelayedOffer),
    /// "Hand this answer to whoever made the offer." Friends may ask.
    RelayAnswer(RelayedAnswer),
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// "Yes": the answerer's card and its yes, both as envelopes.
    Befriended {
        /// Envelope of kind card.
        #[serde(with = "serde_bytes")]
        card: Vec<u8>,
        /// Envelope of kind friendship, live, with the asker.
        #[serde(with = "serde_bytes")]
        friendship: Vec<u8>,
        /// What the answerer said about its keys, as for the asker.
        #[serde(default, skip_serializing_if = "Vec::is_empty", with = "codec::byte_strings")]
        keys: Vec<Vec<u8>>,
    },
    /// "No", to whatever was asked.
    Refused {
        /// Why, for programs.
        reason: Refusal,
        /// Why, for people: up to 500 characters.
        text: String,
    },
    /// Friends, at most 1,024.
    Friends(Vec<FriendHint>),
    /// What is held of each author, at most 1,025.
    Roots(Vec<AuthorRoot>),
    /// Some records.
    Page {
        /// Envelopes in the order of their stamps, or of the keys asked for; at most 2,048.
        #[serde(with = "codec::byte_strings")]
        envelopes: Vec<Vec<u8>>,
        /// Whether there are later ones: ask again after the stamp, or the key, of the last.
        more: bool,
    },
    /// What stands at each place asked for, in their order; at most 512.
    Nodes(Vec<Place>),
    /// Records, or a report, were taken.
    Told {
        /// How many of them changed the catalog; of a report, 1.
        applied: u32,
    },
    /// The offer or answer was handed on.
    Relayed,
}

/// Why a request was refused. Numbers that are not in the table are kept as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// This pod makes no friends.
    Closed,
    /// The operator was asked; the answer comes as a friendship later.
    AskedOperator,
    /// No friend of this pod vouches for the asker.
    NotVouched,
    /// The operator blocked the asker.
    Blocked,
    /// Too much to do; ask again later.
    Busy,
    /// The request breaks the protocol.
    Malformed,
    /// Only friends may ask this.
    NotAFriend,
    /// Nobody here whom it could be handed to.
    Nobody,
    /// A reason of a later version.
    Other(u16),
}

impl Refusal {
    const NUMBERS: [(u16, Self, &str); 8] = [
        (1, Self::Closed, "closed"),
        (2, Self::AskedOperator, "asked-operator"),
        (3, Self::NotVouched, "not-vouched"),
        (4, Self::Blocked, "blocked"),
        (5, Self::Busy, "busy"),
        (6, Self::Malformed, "malformed"),
        (7, Self::NotAFriend, "not-a-friend"),
        (8, Self::Nobody, "nobody"),
    ];

    /// A stable machine-readable name.
    pub fn name(self) -> &'static str {
        Self::NUMBERS
            .iter()
            .find(|(_, refusal, _)| *refusal == self)
            .map_or("other", |(.., name)| name)
    }
}

impl From<u16> for Refusal {
    fn from(number: u16) -> Self {
        let known = Self::NUMBERS.iter().find(|(known, ..)| *known == number);
        known.map_or(Self::Other(number), |(_, refusal, _)| *refusal)
    }
}

impl From<Refusal> for u16 {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Other(number) => number,
            known => Refusal::NUMBERS
                .iter()
                .find(|(_, refusal, _)| *refusal == known)
                .map(|(number, ..)| *number)
                .expect("every other refusal is in the table"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16((*self).into())
    }
}

impl<'de> Deserialize<'de> for Refusal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u16::deserialize(deserializer).map(Self::from)
    }
}

/// A friend as its friend names it. A hint: only the friend's own card proves anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FriendHint {
    /// The friend.
    pub pod: PodId,
    /// Where it lives, `host[:port]`: up to 261 bytes.
    pub host: String,
    /// Multiaddrs: up to 16, each up to 256 bytes.
    pub addresses: Vec<String>,
}

/// What a pod holds of one author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorRoot {
    /// The author.
    pub author: PodId,
    /// Root of the digest of its records.
    pub root: ContentHash,
    /// How many records that is; below 2^53.
    pub records: u64,
}

impl Request {
    /// The request as bytes.
    ///
    /// # Errors
    /// A list or the whole is longer than any pod takes.
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        self.check()?;
        fitting(codec::encode(&(VERSION, self)), limits::REQUEST_MAX)
    }

    /// Reads a request.
    ///
    /// # Errors
    /// Longer than allowed, not canonical, of another version, or none of the requests.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let request: Self = decode(bytes, limits::REQUEST_MAX)?;
        request.check()?;
        Ok(request)
    }

    /// Its name in logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Befriend { .. } => "befriend",
            Self::ListFriends => "list-friends",
            Self::Roots => "roots",
            Self::Pull { .. } => "pull",
            Self::Nodes { .. } => "nodes",
            Self::Fetch { .. } => "fetch",
            Self::Tell { .. } => "tell",
            Self::Report { .. } => "report",
            Self::RelayOffer(_) => "relay-offer",
            Self::RelayAnswer(_) => "relay-answer",
        }
    }

    /// Whether it is between viewers, and none of the catalog's or the friend list's business.
    pub fn is_relay(&self) -> bool {
        matches!(self, Self::RelayOffer(_) | Self::RelayAnswer(_))
    }

    fn check(&self) -> Result<(), CodecError> {
        match self {
            Self::Befriend { keys, .. } => {
                at_most("statements about keys", keys.len(), limits::STATEMENTS_MAX)
            }
            Self::Tell { envelopes } => at_most("envelopes", envelopes.len(), limits::TELL_MAX),
            Self::Nodes { places, .. } => at_most("places", places.len(), limits::PLACES_MAX),
            Self::Fetch { keys, .. } => at_most("keys", keys.len(), limits::FETCH_MAX),
            Self::Pull {
                after: Some(after), ..
            } if after.seq >= limits::INTEGER_END => {
                Err(CodecError::shape("sequence number is not below 2^53"))
            }
            _ => Ok(()),
        }
    }
}

impl Response {
    /// The answer as bytes.
    ///
    /// # Errors
    /// A list, a text or the whole is longer than any pod takes.
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        self.check()?;
        fitting(codec::encode(&(VERSION, self)), limits::RESPONSE_MAX)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// Longer than allowed, not canonical, of another version, or none of the answers.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let response: Self = decode(bytes, limits::RESPONSE_MAX)?;
        response.check()?;
        Ok(response)
    }

    /// A refusal; a text that is too long is cut.
    pub fn refused(reason: Refusal, text: &str) -> Self {
        Self::Refused {
            reason,
            text: text.chars().take(limits::REFUSAL_TEXT_MAX).collect(),
        }
    }

    fn check(&self) -> Result<(), CodecError> {
        match self {
            Self::Refused { text, .. } => at_most(
                "characters of text",
                text.chars().count(),
                limits::REFUSAL_TEXT_MAX,
            ),
            Self::Friends(friends) => {
                at_most("friends", friends.len(), limits::FRIENDS_MAX)?;
                friends.iter().try_for_each(FriendHint::check)
            }
            Self::Roots(roots) => {
                at_most("roots", roots.len(), limits::ROOTS_MAX)?;
                if roots.iter().any(|root| root.records >= limits::INTEGER_END) {
                    return Err(CodecError::shape("a number of records is not below 2^53"));
                }
                Ok(())
            }
            Self::Page { envelopes, .. } => at_most("envelopes", envelopes.len(), limits::PAGE_ENVELOPES_MAX),
            Self::Nodes(places) => at_most("places", places.len(), limits::PLACES_MAX),
            Self::Befriended { keys, .. } => {
                at_most("statements about keys", keys.len(), limits::STATEMENTS_MAX)
            }
            Self::Told { .. } | Self::Relayed => Ok(()),
        }
    }
}

impl FriendHint {
    fn check(&self) -> Result<(), CodecError> {
        at_most("bytes of host", self.host.len(), limits::HOST_MAX)?;
        at_most("addresses", self.addresses.len(), limits::ADDRESSES_MAX)?;
        self.addresses
            .iter()
            .try_for_each(|address| at_most("bytes of address", address.len(), limits::ADDRESS_MAX))
    }
}

fn at_most(what: &str, count: usize, max: usize) -> Result<(), CodecError> {
    if count > max {
        return Err(CodecError::shape(format_args!(
            "{count} {what}, at most {max} are taken"
        )));
    }
    Ok(())
}

fn fitting(bytes: Vec<u8>, max: usize) -> Result<Vec<u8>, CodecError> {
    if bytes.len() > max {
        return Err(CodecError::TooLong {
            len: bytes.len(),
            max,
        });
    }
    Ok(bytes)
}

fn decode<T: Serialize + serde::de::DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, CodecError> {
    codec::check(bytes, max)?;
    // `[version, …]`: the version stands in one byte until there are 24 of them.
    match bytes {
        [0x82, 0x01, ..] => {}
        [0x82, version @ 0..=0x17, ..] => {
            return Err(CodecError::shape(format_args!(
                "version {version} is not known here"
            )));
        }
        _ => return Err(CodecError::shape("not a list of a version and a message")),
    }
    let (_, message): (u64, T) = codec::decode(bytes, max)?;
    Ok(message)
}
