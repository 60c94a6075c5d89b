//! What is true of the catalog: one small head per register, one trie per author.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use seedpod_protocol::descent::{Place, Prefix};
use seedpod_protocol::digest::{StateDigest, Trie, TrieNode, state_digest};
use seedpod_protocol::envelope::{Epoch, Header, Kind, Rank, RegisterKey, Stamp, State};
use seedpod_protocol::ids::{ContentHash, PodId, Timestamp};
use seedpod_protocol::requests::AuthorRoot;

use super::sync::Difference;

/// Registers that one author may hold here. An author with one more is frozen: what is held stays, no new register comes
/// in, and its root takes no part in digests and comparisons. The one more is kept, so that it is frozen after a restart.
pub(crate) const MAX_REGISTERS_PER_AUTHOR: usize = 200_000;

/// How many stamps of one page are looked at; the bytes are capped by the shell.
pub(crate) const PAGE_RECORDS: usize = 2_000;

/// The heads of all registers of all admitted authors. Pure: no disk, no network, no clock.
#[derive(Debug)]
pub(crate) struct Catalog {
    me: PodId,
    authors: BTreeMap<PodId, Author>,
    /// Authors whose records are kept and take part in nothing until they are admitted again.
    hidden: BTreeMap<PodId, Author>,
    epoch: Epoch,
    last_seq: u64,
    last_number: u32,
    max_registers: usize,
    /// Own registers signed since the start under an epoch that another start was found to have reached too.
    to_sign_again: BTreeSet<RegisterKey>,
}

/// What is kept in memory of one record; the body is on disk. At most 96 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) stamp: Stamp,
    pub(crate) hash: ContentHash,
    pub(crate) kind: Kind,
    pub(crate) state: State,
    /// This pod's own number for the object, kept when the head changes.
    pub(crate) number: u32,
    /// Seconds since the Unix epoch when the register's first record arrived.
    pub(crate) received_s: u32,
}

const _: () = assert!(
    size_of::<Head>() <= 96,
    "heads are kept in memory for every record of the network"
);

impl Head {
    fn rank(&self) -> Rank {
        Rank {
            removed: self.state == State::Removed,
            epoch: self.stamp.epoch,
            seq: self.stamp.seq,
            hash: Reverse(self.hash),
        }
    }

    pub(crate) fn received_at(&self) -> Timestamp {
        Timestamp::from_millis(u64::from(self.received_s) * 1000)
    }
}

#[derive(Debug, Default)]
struct Author {
    heads: BTreeMap<RegisterKey, Head>,
    by_stamp: BTreeSet<(Stamp, RegisterKey)>,
    trie: Trie,
    equivocated: bool,
}

/// What was changed and never reached the disk.
#[derive(Debug, Default)]
pub(crate) struct Unwritten {
    /// Registers that got another head, and the lowest number that their object had with one.
    pub(crate) heads: BTreeMap<(PodId, RegisterKey), u32>,
    /// Authors that were expelled.
    pub(crate) gone: BTreeSet<PodId>,
}

/// What the disk has of a register.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredHead {
    pub(crate) header: Header,
    pub(crate) hash: ContentHash,
    pub(crate) number: u32,
    pub(crate) received_s: u32,
}

/// What became of an envelope that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is the head of its register now; persist it.
    Applied(Head),
    /// What is held outranks it, or is the same.
    Stale,
    /// Its author is not admitted.
    NotAdmitted,
    /// Its author has more registers than anyone may have.
    Frozen,
}

impl Catalog {
    /// A catalog that holds nothing yet and will stamp its own records with `epoch`.
    pub(crate) fn new(me: PodId, epoch: Epoch) -> Self {
        let authors = BTreeMap::from([(me, Author::default())]);
        Self {
            me,
            authors,
            hidden: BTreeMap::new(),
            epoch,
            last_seq: 0,
            last_number: 0,
            max_registers: MAX_REGISTERS_PER_AUTHOR,
            to_sign_again: BTreeSet::new(),
        }
    }

    /// Takes in a row of the disk, admitting its author unless it is hidden.
    pub(crate) fn restore(&mut self, header: &Header, hash: ContentHash, number: u32, received_s: u32) {
        let head = Head {
            stamp: header.stamp(),
            hash,
            kind: header.kind,
            state: header.state,
            number,
            received_s,
        };
        self.last_number = self.last_number.max(number);
        if header.author == self.me && outdates(header, self.epoch) {
            self.epoch = above(header.epoch, self.epoch);
        }
        let author = match self.hidden.get_mut(&header.author) {
            Some(hidden) => hidden,
            None => self.authors.entry(header.author).or_default(),
        };
        author.set(header.key(), head);
    }

    /// Makes everything that never reached the disk what it was before. `stored` is what the disk has of the registers and authors
    /// concerned. Who is admitted and who is hidden stays; stamps go on, for one is never given twice.
    pub(crate) fn forget(&mut self, unwritten: &Unwritten, stored: &[StoredHead]) {
        for author in &unwritten.gone {
            if let Some(author) = self.author_mut(author) {
                *author = Author::default();
            }
        }
        for (author, key) in unwritten.heads.keys() {
            if let Some(author) = self.author_mut(author) {
                author.unset(key);
            }
        }
        let numbers: BTreeMap<_, _> = stored
            .iter()
            .map(|stored| ((stored.header.author, stored.header.key()), stored.number))
            .collect();
        // Numbers are given in the order of writing: from the first that was given for nothing on, all were.
        let unused = unwritten.heads.iter();
        let unused = unused.filter(|(register, number)| numbers.get(register) != Some(number));
        if let Some(first) = unused.map(|(_, number)| *number).min() {
            self.last_number = self.last_number.min(first.saturating_sub(1));
        }
        for StoredHead {
            header,
            hash,
            number,
            received_s,
        } in stored
        {
            self.restore(header, *hash, *number, *received_s);
        }
    }

    fn author_mut(&mut self, author: &PodId) -> Option<&mut Author> {
        self.authors
            .get_mut(author)
            .or_else(|| self.hidden.get_mut(author))
    }

    /// Offers a verified envelope, by whatever path it came. The outcome depends on what is held and on the
    /// envelope alone; `now` is only noted.
    pub(crate) fn offer(&mut self, header: &Header, hash: ContentHash, now: Timestamp) -> Outcome {
        let Some(author) = self.authors.get_mut(&header.author) else {
            return Outcome::NotAdmitted;
        };
        if header.author == self.me && outdates(header, self.epoch) {
            let signed_now = author
                .heads
                .iter()
                .filter(|(_, head)| head.stamp.epoch == self.epoch);
            self.to_sign_again.extend(signed_now.map(|(key, _)| *key));
            self.epoch = above(header.epoch, self.epoch);
        }
        let key = header.key();
        let held = author.heads.get(&key).copied();
        let mut head = Head {
            stamp: header.stamp(),
            hash,
            kind: header.kind,
            state: header.state,
            number: 0,
            received_s: u32::try_from(now.as_secs()).unwrap_or(u32::MAX),
        };
        if let Some(held) = held {
            if held.stamp == head.stamp && held.hash != head.hash {
                author.equivocated = true;
            }
            if held.rank() >= head.rank() {
                return Outcome::Stale;
            }
            head.number = held.number;
            head.received_s = held.received_s;
        } else {
            if author.heads.len() > self.max_registers {
                return Outcome::Frozen;
            }
            self.last_number += 1;
            head.number = self.last_number;
        }
        author.set(key, head);
        Outcome::Applied(head)
    }

    /// The stamp for this pod's next record: higher than every one given before, under this start's epoch.
    pub(crate) fn next_stamp(&mut self) -> Stamp {
        self.last_seq += 1;
        Stamp {
            epoch: self.epoch,
            seq: self.last_seq,
        }
    }

    /// The epoch that own records are stamped with.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Own registers whose heads must be signed again: this pod was rolled back, restored or cloned, and what it has
    /// said since it started is to outrank what the other start said. Answered once.
    pub(crate) fn take_to_sign_again(&mut self) -> BTreeSet<RegisterKey> {
        std::mem::take(&mut self.to_sign_again)
    }

    /// The last stamp held of an author.
    pub(crate) fn last_stamp(&self, author: &PodId) -> Option<Stamp> {
        let author = self.authors.get(author)?;
        author.by_stamp.last().map(|(stamp, _)| *stamp)
    }

    /// Lets an author's records in; those that were hidden are back. Answers whether any were.
    pub(crate) fn admit(&mut self, author: PodId) -> bool {
        let hidden = self.hidden.remove(&author);
        let back = hidden.is_some();
        self.authors.entry(author).or_insert(hidden.unwrap_or_default());
        back
    }

    /// Keeps an author's records out of everything until it is admitted again; this pod itself stays. Answers whether
    /// it was admitted.
    pub(crate) fn hide(&mut self, author: PodId) -> bool {
        if author == self.me {
            return false;
        }
        let Some(held) = self.authors.remove(&author) else {
            return false;
        };
        self.hidden.insert(author, held);
        true
    }

    /// Authors whose records are kept and not shown.
    pub(crate) fn hidden(&self) -> impl Iterator<Item = PodId> + '_ {
        self.hidden.keys().copied()
    }

    /// Forgets an author and answers the keys of all registers that were held; this pod itself stays.
    pub(crate) fn expel(&mut self, author: PodId) -> Vec<RegisterKey> {
        if author == self.me {
            return Vec::new();
        }
        let held = [self.authors.remove(&author), self.hidden.remove(&author)];
        let heads = held.into_iter().flatten().map(|author| author.heads);
        heads.flat_map(BTreeMap::into_keys).collect()
    }

    /// The root of every author that takes part in digests, sorted by author.
    pub(crate) fn roots(&self) -> Vec<AuthorRoot> {
        self.authors
            .iter()
            .filter(|(_, author)| author.heads.len() <= self.max_registers)
            .map(|(id, author)| AuthorRoot {
                author: *id,
                root: author.trie.root(),
                records: author.heads.len() as u64,
            })
            .collect()
    }

    /// The digest of the whole state.
    pub(crate) fn digest(&self) -> StateDigest {
        state_digest(self.roots().into_iter().map(|root| (root.author, root.root)))
    }

    /// Where a friend's roots differ from ours, each author once, and the last stamp held of those authors. Authors who
    /// are not admitted, or frozen, are left out.
    pub(crate) fn differences(&self, theirs: impl IntoIterator<Item = AuthorRoot>) -> Vec<Difference> {
        let theirs: BTreeMap<PodId, AuthorRoot> =
            theirs.into_iter().map(|root| (root.author, root)).collect();
        let differing = theirs.into_values().filter(|theirs| self.differs(theirs));
        differing
            .map(|theirs| Difference {
                theirs,
                after: self.last_stamp(&theirs.author),
            })
            .collect()
    }

    /// Whether a friend holds something else of an author than we do. Never of one who is not admitted, or frozen.
    pub(crate) fn differs(&self, theirs: &AuthorRoot) -> bool {
        self.authors.get(&theirs.author).is_some_and(|author| {
            author.heads.len() <= self.max_registers && author.trie.root() != theirs.root
        })
    }

    /// The rank of the head of a register, if there is one.
    pub(crate) fn rank(&self, author: &PodId, key: &RegisterKey) -> Option<Rank> {
        Some(self.authors.get(author)?.heads.get(key)?.rank())
    }

    /// The hashes below a place of an author's digest; zeros where nothing is held.
    pub(crate) fn children(&self, author: &PodId, place: &Prefix) -> [ContentHash; 16] {
        let Some(author) = self.authors.get(author) else {
            return [ContentHash::ZERO; 16];
        };
        if let TrieNode::Branch(children) = author.trie.node(place.nibbles()) {
            return *children;
        }
        // A lone leaf stands wherever its key leads.
        let below = |nibble| {
            place
                .child(nibble)
                .map(|child| author.trie.hash_at(child.nibbles()))
        };
        let mut nibbles = 0..;
        std::array::from_fn(|_| nibbles.next().and_then(below).unwrap_or(ContentHash::ZERO))
    }

    /// What stands at places of an author's digest; nothing for one who is not admitted, or frozen.
    pub(crate) fn places(&self, author: &PodId, places: &[Prefix]) -> Vec<Place> {
        let author = self
            .authors
            .get(author)
            .filter(|author| author.heads.len() <= self.max_registers);
        let stands = |place: &Prefix| match author?.trie.node(place.nibbles()) {
            TrieNode::Empty => None,
            TrieNode::Branch(children) => Some(Place::Branch(children)),
            TrieNode::Leaf { key, .. } => {
                let rank = author?.heads.get(&key)?.rank();
                Some(Place::Leaf { key, rank })
            }
        };
        places
            .iter()
            .map(|place| stands(place).unwrap_or(Place::Empty))
            .collect()
    }

    /// Those of some registers that are held.
    pub(crate) fn held(&self, author: &PodId, keys: &[RegisterKey]) -> Vec<RegisterKey> {
        let heads = self.authors.get(author).map(|author| &author.heads);
        let is_held = |key: &&RegisterKey| heads.is_some_and(|heads| heads.contains_key(key));
        keys.iter().filter(is_held).copied().collect()
    }

    /// How many records of an author are held.
    pub(crate) fn records_of(&self, author: &PodId) -> u64 {
        self.authors
            .get(author)
            .map_or(0, |author| author.heads.len() as u64)
    }

    /// Whether an author's records are let in.
    pub(crate) fn is_admitted(&self, author: &PodId) -> bool {
        self.authors.contains_key(author)
    }

    /// Every author whose records are let in, this pod among them.
    pub(crate) fn authors(&self) -> impl Iterator<Item = PodId> + '_ {
        self.authors.keys().copied()
    }

    /// Registers of an author whose heads are stamped after `after`, in the order of their stamps.
    pub(crate) fn page(&self, author: &PodId, after: Option<Stamp>) -> Vec<RegisterKey> {
        let Some(author) = self.authors.get(author) else {
            return Vec::new();
        };
        let from = match after {
            Some(stamp) => Bound::Excluded((stamp, RegisterKey::from_bytes([0xff; RegisterKey::LEN]))),
            None => Bound::Unbounded,
        };
        author
            .by_stamp
            .range((from, Bound::Unbounded))
            .take(PAGE_RECORDS)
            .map(|(_, key)| *key)
            .collect()
    }

    /// How many records are held, and of how many authors.
    pub(crate) fn size(&self) -> (usize, usize) {
        (
            self.authors.values().map(|author| author.heads.len()).sum(),
            self.authors.len(),
        )
    }

    /// Authors that signed two different envelopes under one stamp.
    pub(crate) fn equivocators(&self) -> usize {
        self.authors.values().filter(|author| author.equivocated).count()
    }

    /// Panics when an invariant is broken.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        assert!(
            self.authors.contains_key(&self.me),
            "this pod is always among the authors"
        );
        assert!(
            self.hidden
                .keys()
                .all(|author| !self.authors.contains_key(author)),
            "who is hidden is not admitted"
        );
        for author in self.authors.values().chain(self.hidden.values()) {
            assert_eq!(author.heads.len(), author.by_stamp.len());
            assert_eq!(author.heads.len(), author.trie.len());
            let mut rebuilt = Trie::default();
            for (key, head) in &author.heads {
                assert!(
                    author.by_stamp.contains(&(head.stamp, *key)),
                    "every head is found by its stamp"
                );
                assert!(head.number > 0 && head.number <= self.last_number);
                rebuilt.insert(*key, head.hash);
            }
            assert_eq!(
                rebuilt.root(),
                author.trie.root(),
                "the root is a function of the heads"
            );
        }
    }
}

/// Whether a record under our own key is from a start that is not this one and not before it.
fn outdates(header: &Header, epoch: Epoch) -> bool {
    header.epoch.counter >= epoch.counter && header.epoch != epoch
}

/// The epoch to go on with: what this run says from now on outranks what the other said.
fn above(seen: Epoch, ours: Epoch) -> Epoch {
    Epoch {
        counter: seen.counter.saturating_add(1),
        tag: ours.tag,
    }
}

impl Author {
    fn unset(&mut self, key: &RegisterKey) {
        if let Some(old) = self.heads.remove(key) {
            self.by_stamp.remove(&(old.stamp, *key));
            self.trie.remove(key);
        }
    }

    fn set(&mut self, key: RegisterKey, head: Head) {
        if let Some(old) = self.heads.insert(key, head) {
            self.by_stamp.remove(&(old.stamp, key));
        }
        self.by_stamp.insert((head.stamp, key));
        self.trie.insert(key, head.hash);
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
