//! The names of things: pods, records, videos, channels, torrents, contents, moments.
//!
//! Every type here has a private field and checked doors, so a value in hand is well formed: a [`PodId`] is a usable key, a [`VideoId`]
//! is shaped as a UUIDv8. In CBOR they are byte strings (a [`Timestamp`] a number), in JSON the text a person sees.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use data_encoding::HEXLOWER_PERMISSIVE;
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::limits;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Wrong number of bytes.
    #[error("{what} has {len} bytes, expected {expected}")]
    Length {
        /// What was read.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// What its length should be.
        expected: usize,
    },
    /// The text is no such name.
    #[error("`{text}` is not {what}")]
    Text {
        /// What was expected, with its article.
        what: &'static str,
        /// The beginning of the text.
        text: String,
    },
    /// A UUID, but not of version 8: no video or channel of any pod has it.
    #[error("uuid {0} is not of version 8")]
    Version(String),
    /// Not an ed25519 key, or one that signatures cannot be trusted under (non-canonical, small order).
    #[error("{0} is not a usable ed25519 key")]
    Key(String),
    /// At or above 2^53.
    #[error("{0} is not below 2^53")]
    Range(u64),
}

impl IdError {
    fn text(what: &'static str, text: &str) -> Self {
        Self::Text {
            what,
            text: text.chars().take(80).collect(),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// Fixed-length names: text in formats for people, a byte string on the wire.
macro_rules! serde_as_bytes_or_text {
    ($name:ident, $what:literal) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(self.as_bytes())
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;

                impl de::Visitor<'_> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }

                    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<$name, E> {
                        $name::try_from(bytes).map_err(E::custom)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }

                if deserializer.is_human_readable() {
                    deserializer.deserialize_str(Visitor)
                } else {
                    deserializer.deserialize_bytes(Visitor)
                }
            }
        }
    };
}

/// Names one pod: its ed25519 public key, for ever.
///
/// Shown as the libp2p peer id of the same key (`12D3KooW…`), which holds the key itself: a peer id is an author. Never a key of small
/// order or in a second spelling, so one signature cannot fit two authors.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId([u8; Self::LEN]);

impl PodId {
    /// Length in bytes.
    pub const LEN: usize = 32;
    /// What stands before the key in a peer id: identity multihash of 36 bytes, key type ed25519, 32 bytes of key.
    const PEER_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
    /// Length of the bytes of a peer id.
    pub const PEER_LEN: usize = Self::PEER_PREFIX.len() + Self::LEN;

    /// Takes a public key.
    ///
    /// # Errors
    /// Not a point of the curve, of small order, or not in its canonical form.
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Result<Self, IdError> {
        let canonical = is_below_field_prime(&bytes);
        let key = VerifyingKey::from_bytes(&bytes)
            .ok()
            .filter(|key| canonical && !key.is_weak());
        key.map(|_| Self(bytes)).ok_or_else(|| IdError::Key(hex(&bytes)))
    }

    /// The public key.
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The key of a signer of this crate, which is sound by how it was made.
    pub(crate) fn from_key(key: &VerifyingKey) -> Self {
        Self(key.to_bytes())
    }

    pub(crate) fn key(&self) -> VerifyingKey {
        VerifyingKey::from_bytes(&self.0).expect("checked when this id was made")
    }

    /// The bytes of the libp2p peer id of this key.
    pub fn to_peer_bytes(&self) -> [u8; Self::PEER_LEN] {
        let mut bytes = [0; Self::PEER_LEN];
        bytes[..Self::PEER_PREFIX.len()].copy_from_slice(&Self::PEER_PREFIX);
        bytes[Self::PEER_PREFIX.len()..].copy_from_slice(&self.0);
        bytes
    }

    /// Takes the bytes of a libp2p peer id.
    ///
    /// # Errors
    /// Not the identity form of an ed25519 key, or not a usable key.
    pub fn from_peer_bytes(bytes: &[u8]) -> Result<Self, IdError> {
        let key = bytes
            .strip_prefix(&Self::PEER_PREFIX)
            .and_then(|key| key.try_into().ok());
        Self::from_bytes(key.ok_or_else(|| IdError::Key(hex(&bytes[..bytes.len().min(40)])))?)
    }

    /// The last six characters of the text, enough to tell pods apart in a log.
    pub fn short(&self) -> String {
        let text = self.to_string();
        text[text.len() - 6..].to_owned()
    }
}

/// Whether the y coordinate is written as a number below 2^255 − 19. The one other second spelling (x = 0 with the sign bit) belongs to
/// points of small order only.
fn is_below_field_prime(bytes: &[u8; 32]) -> bool {
    bytes[31] & 0x7f != 0x7f || bytes[1..31].iter().any(|byte| *byte != 0xff) || bytes[0] < 0xed
}

impl TryFrom<&[u8]> for PodId {
    type Error = IdError;

    fn try_from(bytes: &[u8]) -> Result<Self, IdError> {
        Self::from_bytes(exactly("a pod id", bytes)?)
    }
}

impl fmt::Display for PodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&bs58::encode(self.to_peer_bytes()).into_string())
    }
}

impl FromStr for PodId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        // A peer id of this form has 52 characters; the decoder is quadratic, so nothing long reaches it.
        let bytes = (text.len() <= 64)
            .then(|| bs58::decode(text).into_vec().ok())
            .flatten();
        Self::from_peer_bytes(&bytes.ok_or_else(|| IdError::text("a pod id", text))?)
            .map_err(|_| IdError::text("a pod id", text))
    }
}

serde_as_bytes_or_text!(PodId, "a pod id");

fn exactly<const N: usize>(what: &'static str, bytes: &[u8]) -> Result<[u8; N], IdError> {
    bytes.try_into().map_err(|_| IdError::Length {
        what,
        len: bytes.len(),
        expected: N,
    })
}

/// Names the object a record is about, among the records of one author and kind: 0 to 32 bytes, held inline.
///
/// Ordered as byte strings are. What it means depends on the kind: nothing for a profile, a [`VideoId`] for a video.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ObjectId {
    /// Bytes beyond `len` are zero.
    bytes: [u8; limits::OBJECT_ID_MAX],
    len: u8,
}

impl ObjectId {
    /// The empty id, of things an author has one of.
    pub const EMPTY: Self = Self {
        bytes: [0; limits::OBJECT_ID_MAX],
        len: 0,
    };

    /// Takes up to 32 bytes.
    ///
    /// # Errors
    /// More bytes than that.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdError> {
        let len = u8::try_from(bytes.len())
            .ok()
            .filter(|_| bytes.len() <= limits::OBJECT_ID_MAX);
        let len = len.ok_or(IdError::Length {
            what: "an object id",
            len: bytes.len(),
            expected: limits::OBJECT_ID_MAX,
        })?;
        let mut id = Self { len, ..Self::EMPTY };
        id.bytes[..bytes.len()].copy_from_slice(bytes);
        Ok(id)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl PartialOrd for ObjectId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ObjectId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for ObjectId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex(self.as_bytes()))
    }
}

impl FromStr for ObjectId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bytes = (text.len() <= 2 * limits::OBJECT_ID_MAX)
            .then(|| HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok())
            .flatten();
        Self::from_bytes(&bytes.ok_or_else(|| IdError::text("an object id", text))?)
    }
}

impl TryFrom<&[u8]> for ObjectId {
    type Error = IdError;

    fn try_from(bytes: &[u8]) -> Result<Self, IdError> {
        Self::from_bytes(bytes)
    }
}

impl From<PodId> for ObjectId {
    fn from(pod: PodId) -> Self {
        Self::from_bytes(&pod.0).expect("32 bytes fit")
    }
}

impl TryFrom<ObjectId> for PodId {
    type Error = IdError;

    fn try_from(id: ObjectId) -> Result<Self, IdError> {
        Self::try_from(id.as_bytes())
    }
}

serde_as_bytes_or_text!(ObjectId, "an object id of at most 32 bytes");

/// A nonce from which an author derives the id of a new video, channel or comment: 16 random bytes.
pub type Nonce = [u8; 16];

/// Lower and upper case are told apart, and `0 I O l` left out: 58 digits people can read aloud.
const SHORT_DIGITS: &[u8; 58] = b"123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ";
/// Digits in the short form of every UUID: enough for 128 bits, padded with `1`, which is zero.
const SHORT_LEN: usize = 22;

macro_rules! uuid_name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; Self::LEN]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = 16;

            /// The first bytes of a hash, shaped as a UUIDv8.
            fn of_hash(hash: &blake3::Hash) -> Self {
                let mut bytes = [0; Self::LEN];
                bytes.copy_from_slice(&hash.as_bytes()[..Self::LEN]);
                Self(uuid::Builder::from_custom_bytes(bytes).into_uuid().into_bytes())
            }

            /// Takes the bytes of a UUID.
            ///
            /// # Errors
            /// Not of version 8.
            pub fn from_bytes(bytes: [u8; Self::LEN]) -> Result<Self, IdError> {
                let uuid = uuid::Uuid::from_bytes(bytes);
                let shaped = uuid.get_version_num() == 8 && uuid.get_variant() == uuid::Variant::RFC4122;
                shaped.then_some(Self(bytes)).ok_or_else(|| IdError::Version(uuid.hyphenated().to_string()))
            }

            /// The bytes of the UUID.
            pub fn as_bytes(&self) -> &[u8; Self::LEN] {
                &self.0
            }

            /// The short form of 22 characters, as PeerTube's clients know it; [`str::parse`] takes it back.
            pub fn short(&self) -> String {
                let mut number = u128::from_be_bytes(self.0);
                let mut digits = [SHORT_DIGITS[0]; SHORT_LEN];
                for digit in digits.iter_mut().rev() {
                    *digit = SHORT_DIGITS[usize::try_from(number % 58).expect("below 58")];
                    number /= 58;
                }
                digits.iter().map(|digit| char::from(*digit)).collect()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(uuid::Uuid::from_bytes(self.0).as_hyphenated(), f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            /// Takes the hyphenated form (in either case) and the short one.
            fn from_str(text: &str) -> Result<Self, IdError> {
                uuid_bytes(text).ok_or_else(|| IdError::text($what, text)).and_then(Self::from_bytes)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = IdError;

            fn try_from(bytes: &[u8]) -> Result<Self, IdError> {
                Self::from_bytes(exactly($what, bytes)?)
            }
        }

        impl From<$name> for ObjectId {
            fn from(id: $name) -> Self {
                Self::from_bytes(&id.0).expect("16 bytes fit")
            }
        }

        impl TryFrom<ObjectId> for $name {
            type Error = IdError;

            fn try_from(id: ObjectId) -> Result<Self, IdError> {
                Self::try_from(id.as_bytes())
            }
        }

        serde_as_bytes_or_text!($name, $what);
    };
}

/// The bytes of a UUID in its hyphenated or its short form.
fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    match text.len() {
        36 => uuid::Uuid::try_parse(text).ok().map(uuid::Uuid::into_bytes),
        SHORT_LEN => text
            .bytes()
            .try_fold(0_u128, |number, digit| {
                let value = SHORT_DIGITS.iter().position(|known| *known == digit)?;
                number.checked_mul(58)?.checked_add(u128::try_from(value).ok()?)
            })
            .map(u128::to_be_bytes),
        _ => None,
    }
}

macro_rules! derived_uuid {
    ($(#[$doc:meta])* $name:ident, $what:literal, $domain:literal) => {
        uuid_name!($(#[$doc])* $name, $what);

        impl $name {
            /// The id that this author gets from this nonce. Nobody else can get the same one, so ids cannot be squatted.
            pub fn derive(author: &PodId, nonce: &Nonce) -> Self {
                let mut hasher = blake3::Hasher::new();
                hasher.update($domain).update(author.as_bytes()).update(nonce);
                Self::of_hash(&hasher.finalize())
            }
        }
    };
}

derived_uuid!(
    /// Names one video: a UUIDv8 derived from its author and a nonce.
    VideoId, "a video id", b"seedpod-video-v1\0"
);
derived_uuid!(
    /// Names one channel: a UUIDv8 derived from its author and a nonce.
    ChannelId, "a channel id", b"seedpod-channel-v1\0"
);
uuid_name!(
    /// Names one comment: a UUIDv8 derived from its author, a nonce, and the place where it stands. So nobody else gets it, a comment
    /// never moves, and what answers what is no circle: whoever names a comment came after it.
    CommentId, "a comment id"
);

impl CommentId {
    /// The id that this author gets from this nonce for a comment on a video of `origin`: one that begins a thread, or one in the
    /// thread that `reply` names first, answering the comment that it names second.
    pub fn derive(
        author: &PodId,
        nonce: &Nonce,
        origin: &PodId,
        video: &VideoId,
        reply: Option<(&Self, &Self)>,
    ) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(b"seedpod-comment-v1\0")
            .update(author.as_bytes())
            .update(nonce)
            .update(origin.as_bytes())
            .update(video.as_bytes());
        if let Some((thread, to)) = reply {
            hasher.update(thread.as_bytes()).update(to.as_bytes());
        }
        Self::of_hash(&hasher.finalize())
    }
}

macro_rules! hash_name {
    ($(#[$doc:meta])* $name:ident, $len:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; Self::LEN]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// Takes the bytes of a hash.
            pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
                &self.0
            }

            /// The first eight hex digits, enough to tell hashes apart in a log.
            pub fn short(&self) -> String {
                hex(&self.0[..4])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&hex(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            /// Takes hex digits in either case.
            fn from_str(text: &str) -> Result<Self, IdError> {
                let bytes = (text.len() == 2 * Self::LEN)
                    .then(|| HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok())
                    .flatten();
                Self::try_from(&*bytes.ok_or_else(|| IdError::text($what, text))?)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = IdError;

            fn try_from(bytes: &[u8]) -> Result<Self, IdError> {
                Ok(Self(exactly($what, bytes)?))
            }
        }

        serde_as_bytes_or_text!($name, $what);
    };
}

hash_name!(
    /// Names one torrent: the SHA-1 of its bencoded `info` dictionary. Shown as 40 hex digits.
    InfoHash, 20, "an info hash of 40 hex digits"
);
hash_name!(
    /// The BLAKE3 hash of some content: an envelope, a picture, a digest's node. Shown as 64 hex digits.
    ContentHash, 32, "a hash of 64 hex digits"
);
hash_name!(
    /// Names one register: the hash of the author, the kind and the object of a record. Shown as 64 hex digits.
    RegisterKey, 32, "a register key of 64 hex digits"
);

impl From<ContentHash> for ObjectId {
    fn from(hash: ContentHash) -> Self {
        Self::from_bytes(&hash.0).expect("32 bytes fit")
    }
}

impl ContentHash {
    /// Stands for nothing: the root of an empty digest.
    pub const ZERO: Self = Self([0; Self::LEN]);

    /// The hash of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).into())
    }
}

/// A moment: milliseconds since the start of 1970 (UTC), below 2^53.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The start of 1970.
    pub const EPOCH: Self = Self(0);

    /// Takes milliseconds; beyond the last moment that can be written (some 285,000 years on) it is that last moment.
    pub const fn from_millis(millis: u64) -> Self {
        Self(if millis < limits::INTEGER_END {
            millis
        } else {
            limits::INTEGER_END - 1
        })
    }

    /// Milliseconds since the start of 1970.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the start of 1970.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// The moment so much later; the last one if there is none.
    #[must_use]
    pub fn saturating_add(self, span: std::time::Duration) -> Self {
        Self::from_millis(
            self.0
                .saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// How long ago an earlier moment was; zero if it is not earlier.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let millis = u64::deserialize(deserializer)?;
        if millis >= limits::INTEGER_END {
            return Err(de::Error::custom(IdError::Range(millis)));
        }
        Ok(Self(millis))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails here has found something

    use proptest::prelude::*;

    use super::*;
    use crate::keys::PodKey;

    fn pod(seed: u8) -> PodId {
        PodKey::from_seed(&[seed; 32]).id()
    }

    #[test]
    fn a_pod_id_is_a_peer_id() {
        let text = pod(1).to_string();
        assert!(text.starts_with("12D3KooW"), "{text}");
        assert_eq!(text.len(), 52);
        assert_eq!(text.parse(), Ok(pod(1)));
        assert_eq!(pod(1).short(), text[46..]);
        assert_eq!(PodId::from_peer_bytes(&pod(1).to_peer_bytes()), Ok(pod(1)));
        for wrong in [
            "",
            "12D3KooW",
            "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
            &"1".repeat(1_000_000),
            "0OIl",
        ] {
            assert!(wrong.parse::<PodId>().is_err());
        }
    }

    #[test]
    fn keys_that_prove_nothing_are_no_pod_ids() {
        let mut small_order = vec![[0; 32], [0; 32], [0xff; 32]];
        small_order[0][0] = 1; // the neutral element
        small_order[2][0] = 0xec; // minus one,
        small_order[2][31] = 0x7f; // of order two
        // y = 1 and y = 3 written with the prime added, the second of them a sound point otherwise.
        let mut second_spellings = vec![[0xff; 32], [0xff; 32]];
        for (key, low) in second_spellings.iter_mut().zip([0xee, 0xf0]) {
            key[0] = low;
            key[31] = 0x7f;
        }
        let mut off_the_curve = [0; 32];
        off_the_curve[0] = 2;
        for key in small_order
            .into_iter()
            .chain(second_spellings)
            .chain([off_the_curve])
        {
            assert!(
                matches!(PodId::from_bytes(key), Err(IdError::Key(_))),
                "{}",
                hex(&key)
            );
        }
        let mut three = [0; 32];
        three[0] = 3;
        assert!(
            PodId::from_bytes(three).is_ok(),
            "y = 3 in its own spelling is a point like any other"
        );
    }

    #[test]
    fn a_video_id_is_shaped_as_a_uuid_and_has_a_short_form() {
        let id = VideoId::derive(&pod(1), &[7; 16]);
        let text = id.to_string();
        assert_eq!((text.len(), &text[14..15]), (36, "8"));
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.to_uppercase().parse(), Ok(id));
        assert_eq!(id.short().len(), 22);
        assert_eq!(id.short().parse(), Ok(id));
        assert_ne!(id, VideoId::derive(&pod(2), &[7; 16]), "another author");
        assert_ne!(
            id.as_bytes(),
            ChannelId::derive(&pod(1), &[7; 16]).as_bytes(),
            "another kind"
        );
        let random = "9a1a9be2-6b4c-4f0e-8b80-0c1e3c1f2a3b";
        assert_eq!(random.parse::<VideoId>(), Err(IdError::Version(random.into())));
        for wrong in [
            "",
            "ZZZZZZZZZZZZZZZZZZZZZZ",
            "0000000000000000000000",
            &text[1..],
            &format!("{{{}", &text[1..]),
        ] {
            assert!(
                matches!(wrong.parse::<VideoId>(), Err(IdError::Text { .. })),
                "{wrong}"
            );
        }
    }

    #[test]
    fn text_for_people_and_bytes_on_the_wire() {
        let hash = InfoHash::from_bytes([0xab; 20]);
        assert_eq!(
            serde_json::to_string(&hash).unwrap(),
            format!("\"{}\"", "ab".repeat(20))
        );
        assert_eq!(
            serde_json::from_str::<InfoHash>(&format!("\"{}\"", "AB".repeat(20))).unwrap(),
            hash
        );
        assert_eq!(crate::codec::encode(&hash), [&[0x54][..], &[0xab; 20]].concat());
        assert!("ab".repeat(21).parse::<InfoHash>().is_err());
        assert!("zz".repeat(20).parse::<InfoHash>().is_err());
        assert!(crate::codec::decode::<Timestamp>(&crate::codec::encode(&(1_u64 << 53)), 20).is_err());
        assert_eq!(Timestamp::from_millis(u64::MAX).as_millis(), (1 << 53) - 1);
    }

    proptest! {
        #[test]
        fn short_forms_come_back(bytes: [u8; 16]) {
            let id = VideoId(uuid::Builder::from_custom_bytes(bytes).into_uuid().into_bytes());
            prop_assert_eq!(id.short().parse(), Ok(id));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn object_ids_are_ordered_as_bytes_are(a in prop::collection::vec(any::<u8>(), 0..=32), b in prop::collection::vec(any::<u8>(), 0..=32)) {
            let ids = (ObjectId::from_bytes(&a).unwrap(), ObjectId::from_bytes(&b).unwrap());
            prop_assert_eq!(ids.0.cmp(&ids.1), a.cmp(&b));
            prop_assert_eq!(ids.0.as_bytes(), &a[..]);
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in ".{0,60}") {
            let _ = text.parse::<PodId>();
            let _ = text.parse::<VideoId>();
            let _ = text.parse::<ObjectId>();
            let _ = text.parse::<ContentHash>();
        }
    }
}
