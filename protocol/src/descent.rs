//! Comparing two digests place by place: what a pod says stands where in the [`Trie`](crate::digest::Trie) of an author.
//!
//! Two pods whose roots differ compare places downwards, so that what is missing is found at a cost that follows the
//! difference. How both travel: `SPEC.md` §8.

use std::cmp::Reverse;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::DEPTH;
use crate::envelope::{Epoch, Rank};
use crate::ids::{ContentHash, RegisterKey};
use crate::limits;

/// Children of a branch.
const WIDTH: usize = 16;
/// Bytes of a leaf: key, hash, whether removed, epoch, sequence number.
const LEAF_LEN: usize = 32 + 32 + 1 + 12 + 8;

/// A place in a trie: the first nibbles of the keys that belong below it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    nibbles: [u8; DEPTH],
    len: u8,
}

impl Prefix {
    /// Where every key belongs.
    pub const TOP: Self = Self {
        nibbles: [0; DEPTH],
        len: 0,
    };

    /// The place of these nibbles; `None` if there are more than a key has, or one is above 15.
    pub fn new(nibbles: &[u8]) -> Option<Self> {
        let sound = nibbles.iter().all(|nibble| usize::from(*nibble) < WIDTH);
        let mut place = Self::TOP;
        place.len = u8::try_from(nibbles.len()).ok()?;
        place
            .nibbles
            .get_mut(..nibbles.len())
            .filter(|_| sound)?
            .copy_from_slice(nibbles);
        Some(place)
    }

    /// The place one nibble further down; `None` below a whole key, and for more than 15.
    pub fn child(&self, nibble: u8) -> Option<Self> {
        let mut child = *self;
        *child
            .nibbles
            .get_mut(usize::from(self.len))
            .filter(|_| usize::from(nibble) < WIDTH)? = nibble;
        child.len += 1;
        Some(child)
    }

    /// The nibbles.
    pub fn nibbles(&self) -> &[u8] {
        &self.nibbles[..usize::from(self.len)]
    }

    /// Whether a key belongs below.
    pub fn begins(&self, key: &RegisterKey) -> bool {
        let nibbles = key.as_bytes().iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        nibbles.zip(self.nibbles()).all(|(ours, theirs)| ours == *theirs)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prefix(")?;
        self.nibbles()
            .iter()
            .try_for_each(|nibble| write!(f, "{nibble:x}"))?;
        f.write_str(")")
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.nibbles())
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let nibbles = serde_bytes::ByteBuf::deserialize(deserializer)?;
        Self::new(&nibbles).ok_or_else(|| serde::de::Error::custom("not nibbles of a register key"))
    }
}

/// What a pod says that stands at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// No register of the author belongs there.
    Empty,
    /// Exactly one does.
    Leaf {
        /// The register.
        key: RegisterKey,
        /// The rank of its head, which tells whether it is worth fetching.
        rank: Rank,
    },
    /// Several do; the hash of each child, zeros where there is none.
    Branch(Box<[ContentHash; WIDTH]>),
}

impl Place {
    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Empty => Vec::new(),
            Self::Leaf { key, rank } => [
                key.as_bytes().as_slice(),
                rank.hash.0.as_bytes(),
                &[u8::from(rank.removed)],
                &rank.epoch.counter.to_be_bytes(),
                &rank.epoch.tag,
                &rank.seq.to_be_bytes(),
            ]
            .concat(),
            Self::Branch(children) => {
                let mut bytes = vec![0, 0];
                for (child, bit) in children.iter().zip(bits()) {
                    if *child != ContentHash::ZERO {
                        bytes[0] |= bit.to_be_bytes()[0];
                        bytes[1] |= bit.to_be_bytes()[1];
                        bytes.extend_from_slice(child.as_bytes());
                    }
                }
                bytes
            }
        }
    }

    /// `None` for anything that [`Self::to_bytes`] does not write.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::Empty);
        }
        if let Ok(leaf) = <&[u8; LEAF_LEN]>::try_from(bytes) {
            return leaf_of(leaf);
        }
        let (mask, mut rest) = bytes.split_first_chunk::<2>()?;
        let mask = u16::from_be_bytes(*mask);
        let mut children = Box::new([ContentHash::ZERO; WIDTH]);
        for (child, bit) in children.iter_mut().zip(bits()) {
            if mask & bit != 0 {
                let (hash, after) = rest.split_first_chunk::<32>()?;
                *child = ContentHash::from_bytes(*hash);
                rest = after;
                if *child == ContentHash::ZERO {
                    return None;
                }
            }
        }
        (mask != 0 && rest.is_empty()).then_some(Self::Branch(children))
    }
}

/// The bit of each child: the highest for child 0.
fn bits() -> impl Iterator<Item = u16> {
    (0..WIDTH).map(|child| 0x8000 >> child)
}

fn leaf_of(bytes: &[u8; LEAF_LEN]) -> Option<Place> {
    let (key, rest) = bytes.split_first_chunk::<32>()?;
    let (hash, rest) = rest.split_first_chunk::<32>()?;
    let (removed, rest) = rest.split_first()?;
    let (counter, rest) = rest.split_first_chunk::<4>()?;
    let (tag, rest) = rest.split_first_chunk::<8>()?;
    let rank = Rank {
        removed: match removed {
            0 => false,
            1 => true,
            _ => return None,
        },
        epoch: Epoch {
            counter: u32::from_be_bytes(*counter),
            tag: *tag,
        },
        seq: u64::from_be_bytes(*rest.first_chunk()?),
        hash: Reverse(ContentHash::from_bytes(*hash)),
    };
    (rank.seq < limits::INTEGER_END).then_some(Place::Leaf {
        key: RegisterKey::from_bytes(*key),
        rank,
    })
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.to_bytes())
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = serde_bytes::ByteBuf::deserialize(deserializer)?;
        Self::from_bytes(&bytes).ok_or_else(|| serde::de::Error::custom("not a place of a digest"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_at_most_a_key_of_nibbles() {
        let key = RegisterKey::from_bytes([0x2f; 32]);
        let mut place = Prefix::TOP;
        for depth in 0..DEPTH {
            assert!(place.begins(&key));
            assert!(!place.child(7).is_some_and(|other| other.begins(&key)));
            assert_eq!(Prefix::new(place.nibbles()), Some(place));
            place = place
                .child(if depth % 2 == 0 { 2 } else { 15 })
                .expect("not below a whole key");
        }
        assert!(place.begins(&key));
        assert_eq!(place.child(0), None);
        assert_eq!(Prefix::new(&[0; DEPTH + 1]), None);
        assert_eq!(Prefix::new(&[16]), None);
        assert_eq!(Prefix::TOP.child(16), None);
    }

    #[test]
    fn bytes_that_no_pod_writes_are_no_place() {
        let hash = [7; 32];
        let branch = [&[0x80, 0x01], hash.as_slice(), &hash].concat();
        let Some(Place::Branch(children)) = Place::from_bytes(&branch) else {
            panic!("two children")
        };
        assert!(children[0] != ContentHash::ZERO && children[15] != ContentHash::ZERO);
        assert_eq!(Place::Branch(children).to_bytes(), branch);
        let none = [0, 0].as_slice();
        let missing = &branch[..34];
        let zeros = [&[0x80, 0x00], [0; 32].as_slice()].concat();
        let more = [branch.as_slice(), &[0]].concat();
        let mut leaf = [0; LEAF_LEN];
        for bytes in [none, missing, &zeros, &more, &[1]] {
            assert_eq!(Place::from_bytes(bytes), None, "{bytes:?}");
        }
        assert!(matches!(Place::from_bytes(&leaf), Some(Place::Leaf { .. })));
        leaf[64] = 2;
        assert_eq!(Place::from_bytes(&leaf), None, "neither removed nor not");
        leaf[64] = 1;
        leaf[77] = 0x20;
        assert_eq!(Place::from_bytes(&leaf), None, "a sequence number of 2^61");
    }
}
