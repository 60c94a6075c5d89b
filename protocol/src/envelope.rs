//! Signed statements: the envelope, and the one door to what is in it.
//!
//! ```text
//! bytes ── Envelope::decode ──▶ Envelope ── open ──▶ Verified<Record>
//!          size, structure,     header readable,    signature, then payload,
//!          soundness of key     trust nothing       then derivation of ids
//! ```
//!
//! Invariants: the bytes received are kept and handed on, never written anew; the signature is checked over the body as received and
//! before the payload is decoded; nothing but [`Envelope::open`], [`Envelope::reopen`] and [`Draft::sign`] makes a [`Verified`].
//! What wins among records of one register is [`Rank`], a total order that no clock takes part in. `SPEC.md` §4 and §5.

use std::{cmp::Reverse, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use crate::ids::RegisterKey;
use crate::{
    codec::{self, CodecError},
    ids::{ContentHash, ObjectId, PodId},
    keys::{self, PodKey},
    limits,
    records::{self, Record, RecordError},
};

/// Says that a signed byte string is a body of this protocol. No other signature of a pod's key covers bytes that begin like a body.
const DOMAIN: &str = "seedpod-envelope";
/// The version of the body's form when the author's first key signs.
const VERSION: u64 = 1;
/// The version that names who signs: a later key of the author's, its recovery key, or whoever says something about keys.
const VERSION_SIGNER: u64 = 2;

/// One run of a pod, from start to stop: drawn and stored before the first signature of the run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "(u32, ByteTag)", from = "(u32, ByteTag)")]
pub struct Epoch {
    /// How many starts there were; higher than in every run before.
    pub counter: u32,
    /// Random. Two tags under one counter mean that two pods sign with one key.
    pub tag: [u8; 8],
}

/// A tag as a byte string, where serde would write a list of numbers.
type ByteTag = serde_bytes::ByteArray<8>;

impl From<Epoch> for (u32, ByteTag) {
    fn from(epoch: Epoch) -> Self {
        (epoch.counter, ByteTag::new(epoch.tag))
    }
}

impl From<(u32, ByteTag)> for Epoch {
    fn from((counter, tag): (u32, ByteTag)) -> Self {
        Self {
            counter,
            tag: tag.into_array(),
        }
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}-{}",
            self.counter,
            data_encoding::HEXLOWER.encode(&self.tag)
        )
    }
}

/// When a record was signed, in its author's own count: every record of an author has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// The run.
    pub epoch: Epoch,
    /// Counts up within the run; below 2^53.
    pub seq: u64,
}

impl Stamp {
    /// Before every stamp that a pod gives. What a pod's keys say without a count of their own stands under it.
    pub const ZERO: Self = Self {
        epoch: Epoch {
            counter: 0,
            tag: [0; 8],
        },
        seq: 0,
    };
}

/// What a statement is about. A retired number keeps its line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Kind(pub u16);

/// The one table of kinds.
const KIND_NAMES: &[(Kind, &str)] = &[
    (Kind::PROFILE, "profile"),
    (Kind::CHANNEL, "channel"),
    (Kind::VIDEO, "video"),
    (Kind::FRIENDSHIP, "friendship"),
    (Kind::COMMENT, "comment"),
    (Kind::HIDE, "hide"),
    (Kind::COUNTER, "counter"),
    (Kind::CONTRIBUTION, "contribution"),
    (Kind::MIRROR, "mirror"),
    (Kind::RECOVERY_PIN, "recovery-pin"),
    (Kind::SUCCESSOR, "successor"),
    (Kind::REVOCATION, "revocation"),
    (Kind::ABUSE, "abuse"),
    (Kind::PLAYLIST, "playlist"),
    (Kind::CARD, "card"),
    (Kind::INVITE, "invite"),
    (Kind::REPORT, "report"),
    (Kind::HINT, "hint"),
];

impl Kind {
    /// What a pod says about itself.
    pub const PROFILE: Self = Self(1);
    /// A channel.
    pub const CHANNEL: Self = Self(2);
    /// A video.
    pub const VIDEO: Self = Self(3);
    /// One side's yes or no to a friendship.
    pub const FRIENDSHIP: Self = Self(4);
    /// A comment.
    pub const COMMENT: Self = Self(5);
    /// The origin hides a comment under its video.
    pub const HIDE: Self = Self(6);
    /// The origin's sums of views and likes.
    pub const COUNTER: Self = Self(7);
    /// A pod's own part of those sums.
    pub const CONTRIBUTION: Self = Self(8);
    /// A copy that a pod keeps of a friend's video.
    pub const MIRROR: Self = Self(9);
    /// The hash of an offline recovery key.
    pub const RECOVERY_PIN: Self = Self(10);
    /// The key that follows this one.
    pub const SUCCESSOR: Self = Self(11);
    /// The end of a key.
    pub const REVOCATION: Self = Self(12);
    /// Retired before it was used: what a report says is no record ([`Self::REPORT`]).
    pub const ABUSE: Self = Self(13);
    /// Reserved: a playlist.
    pub const PLAYLIST: Self = Self(14);
    /// Who lives at a host; no record.
    pub const CARD: Self = Self(100);
    /// What lets whoever holds it become a friend ([`crate::invite`]); no record.
    pub const INVITE: Self = Self(101);
    /// What somebody finds wrong with a video or a comment, told to the video's origin alone; no record.
    pub const REPORT: Self = Self(102);
    /// Which torrents have viewers at a pod now; no record.
    pub const HINT: Self = Self(103);

    /// Whether statements of this kind are records, which catalogs keep; also for kinds this version does not know.
    pub const fn is_record(self) -> bool {
        self.0 < limits::RECORD_KIND_END
    }

    /// Whether statements of this kind, in an envelope that names its signer, are about the author's keys.
    pub const fn is_of_keys(self) -> bool {
        matches!(self, Self::RECOVERY_PIN | Self::SUCCESSOR | Self::REVOCATION)
    }

    /// Its name in logs and metrics; `other` for kinds that are not in the table, so that strangers make up no labels.
    pub fn name(self) -> &'static str {
        KIND_NAMES
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("other", |(_, name)| name)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0, self.name())
    }
}

/// Whether what a record says holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum State {
    /// It holds.
    Live = 1,
    /// It does not hold at present; a newer record may say otherwise.
    Withdrawn = 2,
    /// It will never hold again: beats every record of its register that is not a removal, whatever their stamps.
    Removed = 3,
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            1 => Ok(Self::Live),
            2 => Ok(Self::Withdrawn),
            3 => Ok(Self::Removed),
            other => Err(de::Error::custom(format_args!("{other} is no state"))),
        }
    }
}

/// What a statement says of itself. Of an [`Envelope`] it is a claim, of a [`Verified`] it is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// Which pod says it.
    pub author: PodId,
    /// Who signed, if the envelope names it: version 2. Without it, the author's first key, which is its name.
    pub signer: Option<PodId>,
    /// The run of the author's pod.
    pub epoch: Epoch,
    /// The count within the run.
    pub seq: u64,
    /// What it is about.
    pub kind: Kind,
    /// Which of the author's things of that kind.
    pub object: ObjectId,
    /// Whether it holds.
    pub state: State,
}

impl Header {
    /// The register that this statement wants to be the head of. Statements about keys have registers of their signer's own: no key
    /// says a word over another's.
    pub fn key(&self) -> RegisterKey {
        match self.signer {
            Some(signer) if self.is_of_keys() => {
                keys_register(&self.author, &signer, self.kind, &self.object)
            }
            _ => register_key(&self.author, self.kind, &self.object),
        }
    }

    /// The key whose signature this carries.
    pub fn signer(&self) -> PodId {
        self.signer.unwrap_or(self.author)
    }

    /// Whether this is about the author's keys.
    pub fn is_of_keys(&self) -> bool {
        self.signer.is_some() && self.kind.is_of_keys()
    }

    /// When it was signed.
    pub fn stamp(&self) -> Stamp {
        Stamp {
            epoch: self.epoch,
            seq: self.seq,
        }
    }
}

/// The register of an author's records of one kind about one object.
pub fn register_key(author: &PodId, kind: Kind, object: &ObjectId) -> RegisterKey {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(b"seedpod-register-v1\0")
        .update(author.as_bytes())
        .update(&kind.0.to_be_bytes())
        .update(object.as_bytes());
    RegisterKey::from_bytes(hasher.finalize().into())
}

/// The register of what one key says about the keys of an author.
fn keys_register(author: &PodId, signer: &PodId, kind: Kind, object: &ObjectId) -> RegisterKey {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(b"seedpod-register-v2\0")
        .update(author.as_bytes())
        .update(signer.as_bytes())
        .update(&kind.0.to_be_bytes())
        .update(object.as_bytes());
    RegisterKey::from_bytes(hasher.finalize().into())
}

/// Which of several records of one register is its head: the greatest. Fields are compared in the order in which they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    /// Removed is final.
    pub removed: bool,
    /// Then the later run,
    pub epoch: Epoch,
    /// then the later record of a run,
    pub seq: u64,
    /// then the lower hash. Two different envelopes get this far only if their author, or a twin, broke the rules.
    pub hash: Reverse<ContentHash>,
}

impl Rank {
    /// The rank of a statement with this header and this envelope hash.
    pub fn new(header: &Header, hash: ContentHash) -> Self {
        Self {
            removed: header.state == State::Removed,
            epoch: header.epoch,
            seq: header.seq,
            hash: Reverse(hash),
        }
    }
}

/// What is signed. Every field is always there, the signer in version 2 and only there.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    domain: String,
    version: u64,
    author: PodId,
    epoch: Epoch,
    seq: u64,
    kind: u16,
    object: ObjectId,
    state: State,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signer: Option<PodId>,
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
}

/// What tells whether the rest of a body can be read.
#[derive(Deserialize)]
struct BodyHead {
    domain: String,
    version: u64,
    /// Whatever it is: whether it is there is part of the version.
    #[serde(default)]
    signer: Option<de::IgnoredAny>,
}

/// Why bytes are no envelope. Malformed bytes prove nothing about the pod they name: anybody can make them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Too long, not canonical, or of another shape.
    #[error("no envelope: {0}")]
    Encoding(#[from] CodecError),
    /// The signature has another length than 64 bytes.
    #[error("a signature of {0} bytes, expected 64")]
    SignatureLength(usize),
    /// Signed for another purpose.
    #[error("signed for `{0}`, expected `seedpod-envelope`")]
    Domain(String),
    /// From a later version of the protocol.
    #[error("version {0} of the envelope is not known here")]
    Version(u64),
    /// The sequence number is 2^53 or more.
    #[error("sequence number {0} is not below 2^53")]
    Sequence(u64),
    /// The kind number is 0, which is no kind.
    #[error("0 is no kind")]
    Kind,
    /// A live statement of any kind says something.
    #[error("a live statement without a payload")]
    EmptyLive,
    /// It names its signer where that may not be.
    #[error("{0}")]
    Signer(&'static str),
}

impl EnvelopeError {
    /// A stable machine-readable name, for counters.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Encoding(error) => error.reason(),
            Self::SignatureLength(_) => "signature-length",
            Self::Domain(_) => "domain",
            Self::Version(_) => "version",
            Self::Sequence(_) => "sequence",
            Self::Kind => "kind",
            Self::EmptyLive => "empty-live",
            Self::Signer(_) => "signer",
        }
    }

    /// Always false: bytes like these carry nobody's signature.
    pub fn is_forgery(&self) -> bool {
        false
    }
}

/// Why an envelope was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Who is named as the signer did not sign this.
    #[error("the signature is not that of {0}")]
    Signature(PodId),
    /// The author signed something that breaks the rules of its kind.
    #[error("{kind:?} refused: {error}")]
    Payload {
        /// The kind.
        kind: Kind,
        /// What is wrong with the payload.
        error: RecordError,
    },
}

impl OpenError {
    /// A stable machine-readable name, for counters.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Signature(_) => "signature",
            Self::Payload { error, .. } => error.reason(),
        }
    }

    /// Whether whoever sent this made it up or handed on what an honest pod would have refused: a broken signature, or an id that is
    /// not derived from its author. Ban the sender; all else is merely malformed.
    pub fn is_forgery(&self) -> bool {
        match self {
            Self::Signature(_) => true,
            Self::Payload { error, .. } => error.is_forgery(),
        }
    }
}

/// A statement that is well formed and nothing more: the header is what somebody claims. Cheap to clone.
#[derive(Clone)]
pub struct Envelope {
    bytes: Arc<[u8]>,
    header: Header,
    payload: Arc<[u8]>,
}

impl Envelope {
    /// Takes bytes apart without trusting them. Costs no signature check and does not look into the payload.
    ///
    /// # Errors
    /// Any breach of `SPEC.md` §4 that can be seen before the signature.
    pub fn decode(bytes: impl Into<Arc<[u8]>>) -> Result<Self, EnvelopeError> {
        let bytes = bytes.into();
        codec::check(&bytes, limits::ENVELOPE_MAX)?;
        let (body, signature) = codec::pair_of_byte_strings(&bytes)?;
        if signature.len() != PodKey::SIGNATURE_LEN {
            return Err(EnvelopeError::SignatureLength(signature.len()));
        }
        codec::check(body, limits::ENVELOPE_MAX)?;
        if !codec::is_map(body) {
            return Err(CodecError::shape("a body is a map").into());
        }
        let head: BodyHead = codec::peek(body)?;
        if head.domain != DOMAIN {
            return Err(EnvelopeError::Domain(head.domain.chars().take(40).collect()));
        }
        match (head.version, &head.signer) {
            // With a signer, version 1 has a key too many, which is found below.
            (VERSION, _) | (VERSION_SIGNER, Some(_)) => {}
            _ => return Err(EnvelopeError::Version(head.version)),
        }
        let Body {
            author,
            epoch,
            seq,
            kind,
            object,
            state,
            signer,
            payload,
            ..
        } = codec::decode(body, limits::ENVELOPE_MAX)?;
        if head.version == VERSION && signer.is_some() {
            return Err(CodecError::shape("version 1 of a body has no signer").into());
        }
        if seq >= limits::INTEGER_END {
            return Err(EnvelopeError::Sequence(seq));
        }
        if kind == 0 {
            return Err(EnvelopeError::Kind);
        }
        if state == State::Live && payload.is_empty() {
            return Err(EnvelopeError::EmptyLive);
        }
        let header = Header {
            author,
            signer,
            epoch,
            seq,
            kind: Kind(kind),
            object,
            state,
        };
        check_signer(&header)?;
        Ok(Self {
            bytes,
            header,
            payload: payload.into(),
        })
    }

    /// What it claims to be.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The bytes as they came.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// Checks the signature, then reads the payload and checks the rules of its kind. Some 50 µs: not for the driver's loop.
    ///
    /// # Errors
    /// Not signed by the author it names, or a payload that breaks the rules of its kind.
    pub fn open(self) -> Result<Verified<Record>, OpenError> {
        let (body, signature) = codec::pair_of_byte_strings(&self.bytes).expect("decoded before");
        let signature = signature.try_into().expect("measured before");
        let signer = self.header.signer();
        if !keys::verify(&signer, body, signature) {
            return Err(OpenError::Signature(signer));
        }
        self.reopen()
    }

    /// Like [`open`](Self::open) without the check of the signature: only for bytes that this pod opened before and read back from its
    /// own checksummed store.
    ///
    /// # Errors
    /// A payload that breaks the rules of its kind.
    pub fn reopen(self) -> Result<Verified<Record>, OpenError> {
        let payload = records::decode(&self.header, &self.payload).map_err(|error| OpenError::Payload {
            kind: self.header.kind,
            error,
        })?;
        Ok(Verified::seal(self.header, self.bytes, payload))
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("claims", &self.header)
            .field("len", &self.bytes.len())
            .finish()
    }
}

/// Each statement has one form: the first key signs without being named, but for what is about keys.
fn check_signer(header: &Header) -> Result<(), EnvelopeError> {
    let Some(signer) = header.signer else {
        return Ok(());
    };
    if header.kind.is_of_keys() {
        return if header.state == State::Live {
            Ok(())
        } else {
            Err(EnvelopeError::Signer("a statement about keys is not taken back"))
        };
    }
    if signer == header.author {
        return Err(EnvelopeError::Signer("the first key is named as the signer"));
    }
    if !header.kind.is_record() {
        return Err(EnvelopeError::Signer(
            "what is no record is signed by the first key",
        ));
    }
    Ok(())
}

/// A statement that whoever it names as its signer signed, and that keeps the rules of its kind. Cheap to clone.
///
/// In version 1 that is the author. In version 2 it is one of the author's other keys, or somebody who says so: what the author said about
/// its keys tells which ([`Succession`](crate::succession::Succession)).
pub struct Verified<T = Record> {
    sealed: Arc<Sealed>,
    payload: Arc<T>,
}

struct Sealed {
    header: Header,
    bytes: Arc<[u8]>,
    hash: ContentHash,
}

impl<T> Verified<T> {
    fn seal(header: Header, bytes: Arc<[u8]>, payload: T) -> Self {
        let hash = ContentHash::of(&bytes);
        Self {
            sealed: Arc::new(Sealed { header, bytes, hash }),
            payload: Arc::new(payload),
        }
    }

    /// Who says it, when, and of what.
    pub fn header(&self) -> &Header {
        &self.sealed.header
    }

    /// What is said.
    pub fn payload(&self) -> &T {
        &self.payload
    }

    /// The envelope as it was received; store and relay these.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.sealed.bytes
    }

    /// The hash of the envelope.
    pub fn hash(&self) -> ContentHash {
        self.sealed.hash
    }

    /// Its place among the records of its register; the greatest wins.
    pub fn rank(&self) -> Rank {
        Rank::new(&self.sealed.header, self.sealed.hash)
    }

    /// The same statement seen as a part of its payload. A part is borrowed from the whole, so nothing can be slipped in.
    pub fn map<U: Clone>(&self, part: impl FnOnce(&T) -> Option<&U>) -> Option<Verified<U>> {
        let payload = Arc::new(part(&self.payload)?.clone());
        Some(Verified {
            sealed: Arc::clone(&self.sealed),
            payload,
        })
    }
}

impl<T> Clone for Verified<T> {
    fn clone(&self) -> Self {
        Self {
            sealed: Arc::clone(&self.sealed),
            payload: Arc::clone(&self.payload),
        }
    }
}

impl<T> PartialEq for Verified<T> {
    /// Same envelope.
    fn eq(&self, other: &Self) -> bool {
        self.sealed.hash == other.sealed.hash
    }
}

impl<T> Eq for Verified<T> {}

impl<T: fmt::Debug> fmt::Debug for Verified<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("header", &self.sealed.header)
            .field("hash", &self.sealed.hash.short())
            .field("payload", &self.payload)
            .finish()
    }
}

/// Why a statement was not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// The payload breaks a rule of its kind.
    #[error("{0}")]
    Record(#[from] RecordError),
    /// The payload is of another kind than the draft says.
    #[error("the payload does not belong to kind {kind:?}")]
    Kind {
        /// What the draft says.
        kind: Kind,
    },
    /// The envelope would be longer than any pod takes, or break another rule of the form.
    #[error("{0}")]
    Envelope(#[from] EnvelopeError),
}

/// A statement before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it is about.
    pub kind: Kind,
    /// Which of the author's things of that kind.
    pub object: ObjectId,
    /// Whether it holds.
    pub state: State,
    /// What is said; [`Record::Empty`] for a withdrawal or removal that needs no words.
    pub payload: Record,
}

impl Draft {
    /// A live statement by this author; kind and object follow from the payload.
    ///
    /// # Errors
    /// [`Record::Opaque`] and [`Record::Empty`] say neither.
    pub fn live(author: &PodId, payload: Record) -> Result<Self, DraftError> {
        match (payload.kind(), payload.object(author)) {
            (Some(kind), Some(object)) => Ok(Self {
                kind,
                object,
                state: State::Live,
                payload,
            }),
            _ => Err(EnvelopeError::EmptyLive.into()),
        }
    }

    /// Says, until further notice, that an object does not hold.
    pub fn withdrawn(kind: Kind, object: ObjectId) -> Self {
        Self {
            kind,
            object,
            state: State::Withdrawn,
            payload: Record::Empty,
        }
    }

    /// Removes an object for good.
    pub fn removed(kind: Kind, object: ObjectId) -> Self {
        Self {
            kind,
            object,
            state: State::Removed,
            payload: Record::Empty,
        }
    }

    /// Signs. Each stamp may be used once; storing that is the caller's duty, before anybody sees the result.
    ///
    /// # Errors
    /// Whatever another pod would refuse is refused here.
    pub fn sign(self, key: &PodKey, stamp: Stamp) -> Result<Verified<Record>, DraftError> {
        if self.payload.kind().is_some_and(|kind| kind != self.kind) {
            return Err(DraftError::Kind { kind: self.kind });
        }
        // Of some kinds a misfit would pass the door below, unread.
        self.payload.validate()?;
        let of_keys = self.payload.kind().is_some_and(Kind::is_of_keys);
        let signer = (of_keys || key.public() != key.id()).then(|| key.public());
        let payload = self.payload.encode();
        let body = codec::encode(&Body {
            domain: DOMAIN.to_owned(),
            version: if signer.is_some() { VERSION_SIGNER } else { VERSION },
            signer,
            author: key.id(),
            epoch: stamp.epoch,
            seq: stamp.seq,
            kind: self.kind.0,
            object: self.object,
            state: self.state,
            payload,
        });
        let signature = key.sign(&body);
        let bytes = codec::encode(&(
            serde_bytes::Bytes::new(&body),
            serde_bytes::Bytes::new(&signature),
        ));
        // Through the same door as everybody else's: what we refuse to read we do not say. Our own signature needs no check.
        Envelope::decode(bytes)?.reopen().map_err(|error| match error {
            OpenError::Payload { error, .. } => error.into(),
            OpenError::Signature(_) => unreachable!("reopening checks no signature"),
        })
    }
}

impl From<&Verified<Record>> for Draft {
    /// The same statement, to be signed again under a new stamp.
    fn from(verified: &Verified<Record>) -> Self {
        let Header {
            kind, object, state, ..
        } = *verified.header();
        Self {
            kind,
            object,
            state,
            payload: verified.payload().clone(),
        }
    }
}
