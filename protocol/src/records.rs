//! What statements say: one payload type per kind, with its limits.
//!
//! A payload is a canonical map with its version under `v`. Rules are checked the same way before signing and after receiving, and they
//! depend on the record alone, never on another pod's, a clock or a setting: so all pods agree which records are valid. A kind or a
//! payload version that this code does not know is kept as [`Record::Opaque`], so that old and new pods hold the same catalog.

mod channel;
mod comment;
mod friendship;
mod hint;
mod key_change;
mod mirror;
mod profile;
mod report;
mod rules;
mod tally;
mod video;

use serde::Deserialize;

pub use self::{
    channel::Channel,
    comment::{Comment, Hide, Reply},
    friendship::Friendship,
    hint::{HintedSwarm, SwarmHint},
    key_change::{RecoveryPin, Revocation, Successor},
    mirror::Mirror,
    profile::{Card, Profile},
    report::Report,
    tally::{Contribution, Counter, Tally},
    video::{EXTENSIONS, Picture, Privacy, Video, VideoFile},
};
use crate::{
    codec::{self, CodecError},
    envelope::{Header, Kind, Verified},
    ids::{ChannelId, CommentId, ContentHash, ObjectId, PodId, VideoId},
    limits,
};

/// The payload version this code writes, for every kind.
const VERSION: u64 = 1;

/// Why a payload breaks the rules of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not canonical, or not the map that belongs here.
    #[error("payload: {0}")]
    Encoding(#[from] CodecError),
    /// A live record of a known kind says something.
    #[error("a live record without a payload")]
    Missing,
    /// A value is outside its limits.
    #[error("{field}: {problem}")]
    Limit {
        /// Which value.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The object id has not the form that this kind asks for.
    #[error("object id {object} is not {expected}")]
    Object {
        /// The id.
        object: ObjectId,
        /// What it should be.
        expected: &'static str,
    },
    /// The object id is another author's, or made up.
    #[error("object id {object} is not derived from its author and nonce")]
    NotDerived {
        /// The id.
        object: ObjectId,
    },
    /// The next key did not agree to follow.
    #[error("the proof is not that of {next}")]
    Proof {
        /// The next key.
        next: PodId,
    },
    /// Not every key may say this.
    #[error("not signed by {expected}")]
    Signer {
        /// Who may.
        expected: &'static str,
    },
}

impl RecordError {
    /// A stable machine-readable name, for counters.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Encoding(_) => "payload-encoding",
            Self::Missing => "payload-missing",
            Self::Limit { .. } => "payload-limit",
            Self::Object { .. } => "object",
            Self::NotDerived { .. } => "not-derived",
            Self::Proof { .. } => "proof",
            Self::Signer { .. } => "signer",
        }
    }

    /// Whether this takes intent: an id claimed that is not the author's, or a key that did not agree.
    pub fn is_forgery(&self) -> bool {
        matches!(self, Self::NotDerived { .. } | Self::Proof { .. })
    }
}

/// What a statement says.
#[allow(clippy::large_enum_variant)] // one lives behind each `Verified`; a box more would cost and save nothing
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A pod about itself.
    Profile(Profile),
    /// A channel.
    Channel(Channel),
    /// A video.
    Video(Video),
    /// One side of a friendship.
    Friendship(Friendship),
    /// The sum of what all pods counted for a video.
    Counter(Counter),
    /// One pod's part of that sum.
    Contribution(Contribution),
    /// A comment.
    Comment(Comment),
    /// A comment that is not to be shown.
    Hide(Hide),
    /// A copy that a pod keeps of a friend's video.
    Mirror(Mirror),
    /// Which offline key may end the author's.
    RecoveryPin(RecoveryPin),
    /// The key that follows the one that signs this.
    Successor(Successor),
    /// The end of a key.
    Revocation(Revocation),
    /// Who lives at a host.
    Card(Card),
    /// What somebody finds wrong with a video or a comment.
    Report(Report),
    /// Which torrents have viewers at a pod now.
    Hint(SwarmHint),
    /// A kind or version that this code does not know: kept, counted and relayed, never looked into.
    Opaque(Vec<u8>),
    /// Nothing, in a withdrawal or a removal.
    Empty,
}

impl Record {
    /// The kind of a known payload.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Profile(_) => Some(Kind::PROFILE),
            Self::Channel(_) => Some(Kind::CHANNEL),
            Self::Video(_) => Some(Kind::VIDEO),
            Self::Friendship(_) => Some(Kind::FRIENDSHIP),
            Self::Counter(_) => Some(Kind::COUNTER),
            Self::Contribution(_) => Some(Kind::CONTRIBUTION),
            Self::Comment(_) => Some(Kind::COMMENT),
            Self::Hide(_) => Some(Kind::HIDE),
            Self::Mirror(_) => Some(Kind::MIRROR),
            Self::RecoveryPin(_) => Some(Kind::RECOVERY_PIN),
            Self::Successor(_) => Some(Kind::SUCCESSOR),
            Self::Revocation(_) => Some(Kind::REVOCATION),
            Self::Card(_) => Some(Kind::CARD),
            Self::Report(_) => Some(Kind::REPORT),
            Self::Hint(_) => Some(Kind::HINT),
            Self::Opaque(_) | Self::Empty => None,
        }
    }

    /// The object that a known payload is about when this author says it.
    pub fn object(&self, author: &PodId) -> Option<ObjectId> {
        match self {
            Self::Profile(_) | Self::Card(_) | Self::Hint(_) => Some(ObjectId::EMPTY),
            Self::Channel(channel) => Some(channel.id(author).into()),
            Self::Video(video) => Some(video.id(author).into()),
            Self::Friendship(friendship) => Some(friendship.with.into()),
            Self::Counter(counter) => Some(counter.video.into()),
            Self::Contribution(contribution) => Some(contribution.video.into()),
            Self::Comment(comment) => Some(comment.id(author).into()),
            Self::Hide(hide) => Some(hide.comment.into()),
            Self::Report(report) => Some(report.about()),
            Self::Mirror(mirror) => Some(mirror.video.into()),
            Self::RecoveryPin(pin) => Some(pin.hash.into()),
            Self::Successor(successor) => Some(successor.next.into()),
            Self::Revocation(revocation) => Some(revocation.key.into()),
            Self::Opaque(_) | Self::Empty => None,
        }
    }

    /// Checks the limits of the payload.
    ///
    /// # Errors
    /// The first value outside its limits.
    pub fn validate(&self) -> Result<(), RecordError> {
        match self {
            Self::Profile(profile) => profile.validate(),
            Self::Channel(channel) => channel.validate(),
            Self::Video(video) => video.validate(),
            Self::Friendship(friendship) => friendship.validate(),
            Self::Counter(counter) => counter.validate(),
            Self::Contribution(contribution) => contribution.validate(),
            Self::Comment(comment) => comment.validate(),
            Self::Mirror(mirror) => mirror.validate(),
            Self::Revocation(revocation) => revocation.validate(),
            Self::Card(card) => card.validate(),
            Self::Report(report) => report.validate(),
            Self::Hint(hint) => hint.validate(),
            Self::Hide(_) | Self::RecoveryPin(_) | Self::Successor(_) | Self::Opaque(_) | Self::Empty => {
                Ok(())
            }
        }
    }

    /// The bytes of the payload.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Profile(profile) => codec::encode_versioned(VERSION, profile),
            Self::Channel(channel) => codec::encode_versioned(VERSION, channel),
            Self::Video(video) => codec::encode_versioned(VERSION, video),
            Self::Friendship(friendship) => codec::encode_versioned(VERSION, friendship),
            Self::Counter(counter) => codec::encode_versioned(VERSION, counter),
            Self::Contribution(contribution) => codec::encode_versioned(VERSION, contribution),
            Self::Comment(comment) => codec::encode_versioned(VERSION, comment),
            Self::Hide(hide) => codec::encode_versioned(VERSION, hide),
            Self::Mirror(mirror) => codec::encode_versioned(VERSION, mirror),
            Self::RecoveryPin(pin) => codec::encode_versioned(VERSION, pin),
            Self::Successor(successor) => codec::encode_versioned(VERSION, successor),
            Self::Revocation(revocation) => codec::encode_versioned(VERSION, revocation),
            Self::Card(card) => codec::encode_versioned(VERSION, card),
            Self::Report(report) => codec::encode_versioned(VERSION, report),
            Self::Hint(hint) => codec::encode_versioned(VERSION, hint),
            Self::Opaque(bytes) => bytes.clone(),
            Self::Empty => Vec::new(),
        }
    }
}

macro_rules! views {
    ($($name:ident, $payload:ident, $what:literal;)*) => {
        $(
            impl From<$payload> for Record {
                fn from(payload: $payload) -> Self {
                    Self::$payload(payload)
                }
            }
        )*

        impl Verified<Record> {
            $(
                #[doc = concat!("This statement seen as ", $what, "; nothing if it is of another kind or says nothing.")]
                pub fn $name(&self) -> Option<Verified<$payload>> {
                    self.map(|record| match record {
                        Record::$payload(payload) => Some(payload),
                        _ => None,
                    })
                }
            )*
        }
    };
}

views! {
    profile, Profile, "a profile";
    channel, Channel, "a channel";
    video, Video, "a video";
    friendship, Friendship, "a side of a friendship";
    counter, Counter, "a counter";
    contribution, Contribution, "a contribution";
    comment, Comment, "a comment";
    hide, Hide, "the hiding of a comment";
    mirror, Mirror, "an offer of a copy";
    recovery_pin, RecoveryPin, "a pin of a recovery key";
    successor, Successor, "the statement that another key follows";
    revocation, Revocation, "the end of a key";
    card, Card, "a card";
    report, Report, "a report";
}

/// The part of a payload that says how to read the rest.
#[derive(Deserialize)]
struct Head {
    v: u64,
}

/// Reads the payload under a header and checks all rules of its kind.
pub(crate) fn decode(header: &Header, payload: &[u8]) -> Result<Record, RecordError> {
    match header.kind {
        Kind::PROFILE
        | Kind::CHANNEL
        | Kind::VIDEO
        | Kind::FRIENDSHIP
        | Kind::CARD
        | Kind::REPORT
        | Kind::HINT => {}
        // Pods that do not know these kinds hold whatever is signed under them, so must pods that do (`SPEC.md` §7).
        Kind::COUNTER | Kind::CONTRIBUTION | Kind::COMMENT | Kind::HIDE | Kind::MIRROR => {
            return Ok(decode_known(header, payload).unwrap_or_else(|_| unread(payload)));
        }
        // Whoever reads the envelopes that name their signer knows these kinds, from the beginning.
        _ if header.is_of_keys() => {}
        _ => return Ok(unread(payload)),
    }
    check_object(header)?;
    decode_known(header, payload)
}

/// A payload that this code does not look into.
fn unread(payload: &[u8]) -> Record {
    if payload.is_empty() {
        Record::Empty
    } else {
        Record::Opaque(payload.to_vec())
    }
}

/// Reads a payload of a kind that this code knows; one of a later version is not looked into.
fn decode_known(header: &Header, payload: &[u8]) -> Result<Record, RecordError> {
    if payload.is_empty() {
        // The form of an envelope leaves this to withdrawals and removals.
        return Ok(Record::Empty);
    }
    codec::check(payload, limits::ENVELOPE_MAX)?;
    if !codec::is_map(payload) {
        return Err(CodecError::shape("a payload is a map").into());
    }
    let Head { v } = codec::peek(payload)?;
    if v != VERSION {
        return Ok(Record::Opaque(payload.to_vec()));
    }
    let record = match header.kind {
        Kind::PROFILE => Record::Profile(codec::decode(payload, limits::ENVELOPE_MAX)?),
        Kind::CHANNEL => Record::Channel(codec::decode(payload, limits::ENVELOPE_MAX)?),
        Kind::VIDEO => Record::Video(codec::decode(payload, limits::ENVELOPE_MAX)?),
        Kind::FRIENDSHIP => Record::Friendship(codec::decode(payload, limits::ENVELOPE_MAX)?),
        Kind::COUNTER => Record::Counter(codec::decode(payload, limits::ENVELOPE_MAX)?),
        Kind::CONTRIBUTION => Record::Contribution(codec::decode(payload, limits::ENVELOPE_MAX)?),
        Kind::COMMENT => Record::Comment(codec::decode(payload, limits::ENVELOPE_MAX)?),
        Kind::HIDE => Record::Hide(codec::decode(payload, limits::ENVELOPE_MAX)?),
        Kind::REPORT => Record::Report(codec::decode(payload, limits::ENVELOPE_MAX)?),
        Kind::MIRROR => Record::Mirror(codec::decode(payload, limits::ENVELOPE_MAX)?),
        Kind::HINT => Record::Hint(codec::decode(payload, limits::ENVELOPE_MAX)?),
        Kind::RECOVERY_PIN => Record::RecoveryPin(codec::decode(payload, limits::ENVELOPE_MAX)?),
        Kind::SUCCESSOR => Record::Successor(codec::decode(payload, limits::ENVELOPE_MAX)?),
        Kind::REVOCATION => Record::Revocation(codec::decode(payload, limits::ENVELOPE_MAX)?),
        _ => Record::Card(codec::decode(payload, limits::ENVELOPE_MAX)?),
    };
    record.validate()?;
    if record.object(&header.author) != Some(header.object) {
        let object = header.object;
        return Err(match header.kind {
            Kind::FRIENDSHIP => RecordError::Object {
                object,
                expected: "the pod that the friendship is with",
            },
            Kind::REPORT => RecordError::Object {
                object,
                expected: "what the report is about",
            },
            _ if header.is_of_keys() => RecordError::Object {
                object,
                expected: "what the payload names",
            },
            _ => RecordError::NotDerived { object },
        });
    }
    match &record {
        Record::RecoveryPin(pin) => pin.check(header)?,
        Record::Successor(successor) => successor.check(header)?,
        Record::Revocation(revocation) => revocation.check(header)?,
        _ => {}
    }
    Ok(record)
}

/// Checks the form of the object id, which needs no payload.
fn check_object(header: &Header) -> Result<(), RecordError> {
    let object = header.object;
    let (sound, expected) = match header.kind {
        Kind::CHANNEL => (ChannelId::try_from(object).is_ok(), "a channel id"),
        Kind::VIDEO => (VideoId::try_from(object).is_ok(), "a video id"),
        Kind::FRIENDSHIP => (
            PodId::try_from(object).is_ok_and(|pod| pod != header.author),
            "the id of another pod",
        ),
        Kind::REPORT => (
            CommentId::try_from(object).is_ok(),
            "the id of a video or a comment",
        ),
        Kind::RECOVERY_PIN => (object.as_bytes().len() == ContentHash::LEN, "a hash"),
        Kind::SUCCESSOR | Kind::REVOCATION => (PodId::try_from(object).is_ok(), "a key"),
        _ => (object.is_empty(), "empty"),
    };
    if sound {
        Ok(())
    } else {
        Err(RecordError::Object { object, expected })
    }
}
