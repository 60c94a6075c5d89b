//! What an author's records come to: a hash that two pods share exactly when they hold the same records.
//!
//! A [`Trie`] has one leaf per register, found by the nibbles of its key. A subtree with a single leaf is that leaf, at whatever depth,
//! so the form, and with it the root, depends on the set of leaves alone and not on how it came about. Two pods whose roots differ
//! compare nodes downwards and so find what is missing at a cost that follows the difference. Hashing: `SPEC.md` §6.

use std::fmt;

use crate::ids::{ContentHash, PodId, RegisterKey};

/// A digest over the roots of all authors.
pub type StateDigest = ContentHash;

/// Children of a branch.
const WIDTH: usize = 16;
/// Nibbles of a register key.
pub const DEPTH: usize = 2 * RegisterKey::LEN;

/// The digest of one author's records: a map from register to the hash of its head, with a root. Inserting and removing cost a few
/// hashes each, and the root is always at hand.
#[derive(Clone, Default)]
pub struct Trie {
    top: Option<Node>,
    len: usize,
}

#[derive(Clone)]
enum Node {
    Leaf { key: RegisterKey, head: ContentHash },
    Branch(Box<Branch>),
}

#[derive(Clone)]
struct Branch {
    hash: ContentHash,
    children: [Option<Node>; WIDTH],
}

/// What stands at a place of a [`Trie`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrieNode {
    /// No register has a key that begins so.
    Empty,
    /// Exactly one has.
    Leaf {
        /// The register.
        key: RegisterKey,
        /// Hash of the envelope that is its head.
        head: ContentHash,
    },
    /// Several have; the hash of each child, zeros where there is none.
    Branch(Box<[ContentHash; WIDTH]>),
}

impl Trie {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the head of a register. Returns the one it had.
    pub fn insert(&mut self, key: RegisterKey, head: ContentHash) -> Option<ContentHash> {
        let before = match &mut self.top {
            Some(top) => top.insert(0, key, head),
            empty => {
                *empty = Some(Node::Leaf { key, head });
                None
            }
        };
        self.len += usize::from(before.is_none());
        before
    }

    /// Takes a register out. Returns the head it had.
    pub fn remove(&mut self, key: &RegisterKey) -> Option<ContentHash> {
        let before = Node::remove(&mut self.top, 0, key)?;
        self.len -= 1;
        Some(before)
    }

    /// The head of a register.
    pub fn get(&self, key: &RegisterKey) -> Option<ContentHash> {
        let mut node = self.top.as_ref()?;
        for depth in 0.. {
            match node {
                Node::Leaf { key: found, head } => return (found == key).then_some(*head),
                Node::Branch(branch) => node = branch.children[nibble(key, depth)].as_ref()?,
            }
        }
        None
    }

    /// How many registers there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The hash of it all; zeros when it is empty.
    pub fn root(&self) -> ContentHash {
        hash_of(self.top.as_ref())
    }

    /// What stands below some first nibbles (each 0 to 15) of keys; the top for none. Anything else than nibbles finds nothing.
    pub fn node(&self, prefix: &[u8]) -> TrieNode {
        match self.below(prefix) {
            None => TrieNode::Empty,
            Some(Node::Leaf { key, head }) => TrieNode::Leaf {
                key: *key,
                head: *head,
            },
            Some(Node::Branch(branch)) => TrieNode::Branch(Box::new(std::array::from_fn(|child| {
                hash_of(branch.children[child].as_ref())
            }))),
        }
    }

    /// The hash of what stands there: what a branch above it holds; zeros for nothing.
    pub fn hash_at(&self, prefix: &[u8]) -> ContentHash {
        hash_of(self.below(prefix))
    }

    fn below(&self, prefix: &[u8]) -> Option<&Node> {
        let mut node = self.top.as_ref()?;
        for (depth, wanted) in prefix.iter().enumerate() {
            match node {
                Node::Branch(branch) => node = branch.children.get(usize::from(*wanted))?.as_ref()?,
                Node::Leaf { key, .. } => {
                    let mut rest = prefix[depth..].iter().enumerate();
                    let is_its_own = prefix.len() <= DEPTH
                        && rest.all(|(i, wanted)| nibble(key, depth + i) == usize::from(*wanted));
                    return is_its_own.then_some(node);
                }
            }
        }
        Some(node)
    }
}

impl fmt::Debug for Trie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trie({} registers, root {})", self.len, self.root().short())
    }
}

impl FromIterator<(RegisterKey, ContentHash)> for Trie {
    fn from_iter<I: IntoIterator<Item = (RegisterKey, ContentHash)>>(heads: I) -> Self {
        let mut trie = Self::new();
        for (key, head) in heads {
            trie.insert(key, head);
        }
        trie
    }
}

impl Node {
    fn insert(&mut self, depth: usize, key: RegisterKey, head: ContentHash) -> Option<ContentHash> {
        match self {
            Node::Leaf {
                key: found,
                head: old,
            } if *found == key => Some(std::mem::replace(old, head)),
            Node::Leaf { key: found, .. } => {
                let place = nibble(found, depth);
                let mut branch = Box::new(Branch {
                    hash: ContentHash::ZERO,
                    children: Default::default(),
                });
                let other = std::mem::replace(self, Node::Leaf { key, head });
                branch.children[place] = Some(other);
                *self = Node::Branch(branch);
                self.insert(depth, key, head)
            }
            Node::Branch(branch) => {
                let before = match &mut branch.children[nibble(&key, depth)] {
                    Some(child) => child.insert(depth + 1, key, head),
                    empty => {
                        *empty = Some(Node::Leaf { key, head });
                        None
                    }
                };
                branch.rehash();
                before
            }
        }
    }

    fn remove(place: &mut Option<Node>, depth: usize, key: &RegisterKey) -> Option<ContentHash> {
        match place {
            Some(Node::Branch(branch)) => {
                let before = Self::remove(&mut branch.children[nibble(key, depth)], depth + 1, key)?;
                match branch.only_leaf() {
                    Some(leaf) => *place = Some(leaf),
                    None => branch.rehash(),
                }
                Some(before)
            }
            Some(Node::Leaf { key: found, head }) if found == key => {
                let before = *head;
                *place = None;
                Some(before)
            }
            _ => None,
        }
    }
}

impl Branch {
    fn rehash(&mut self) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"seedpod-branch-v1\0");
        for child in &self.children {
            hasher.update(hash_of(child.as_ref()).as_bytes());
        }
        self.hash = ContentHash::from_bytes(hasher.finalize().into());
    }

    /// The one leaf, if that is all there is: then there must be no branch.
    fn only_leaf(&mut self) -> Option<Node> {
        let mut filled = self.children.iter_mut().filter(|child| child.is_some());
        match (filled.next(), filled.next()) {
            (Some(only @ Some(Node::Leaf { .. })), None) => only.take(),
            _ => None,
        }
    }
}

fn hash_of(node: Option<&Node>) -> ContentHash {
    match node {
        None => ContentHash::ZERO,
        Some(Node::Branch(branch)) => branch.hash,
        Some(Node::Leaf { key, head }) => {
            let mut hasher = blake3::Hasher::new();
            hasher
                .update(b"seedpod-leaf-v1\0")
                .update(key.as_bytes())
                .update(head.as_bytes());
            ContentHash::from_bytes(hasher.finalize().into())
        }
    }
}

/// The nibble of a key at a depth, the high half of a byte first.
fn nibble(key: &RegisterKey, depth: usize) -> usize {
    let byte = key.as_bytes()[depth / 2];
    usize::from(if depth.is_multiple_of(2) {
        byte >> 4
    } else {
        byte & 0xf
    })
}

/// The digest over several authors: the same whatever the order, and the same whether an author without records is named or not.
/// Name each author once.
pub fn state_digest(roots: impl IntoIterator<Item = (PodId, ContentHash)>) -> StateDigest {
    let mut roots: Vec<_> = roots
        .into_iter()
        .filter(|(_, root)| *root != ContentHash::ZERO)
        .collect();
    roots.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"seedpod-state-v1\0");
    for (author, root) in &roots {
        hasher.update(author.as_bytes()).update(root.as_bytes());
    }
    ContentHash::from_bytes(hasher.finalize().into())
}
