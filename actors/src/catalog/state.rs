//! What is true of the catalog: one small head per register, one trie per author.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use seedpod_protocol::descent::{Place, Prefix};
use seedpod_protocol::digest::{StateDigest, Trie, TrieNode, state_digest};
use seedpod_protocol::envelope::{Epoch, Header, Kind, Rank, RegisterKey, Stamp, State, Verified};
use seedpod_protocol::ids::{ContentHash, PodId, Timestamp};
use seedpod_protocol::records::Record;
use seedpod_protocol::requests::AuthorRoot;
use seedpod_protocol::succession::{Standing, Succession, Told};

use super::sync::Difference;

/// Registers that one author may hold here. An author with one more is frozen: what is held stays, no new register comes
/// in, and its root takes no part in digests and comparisons. The one more is kept, so that it is frozen after a restart.
pub(crate) const MAX_REGISTERS_PER_AUTHOR: usize = 200_000;

/// An epoch counter that no pod reaches by starting.
const NEARLY_SPENT: u32 = u32::MAX - 1_000_000;

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
    /// How many keys of the author came before the one that signed it.
    pub(crate) generation: u8,
    /// A statement about the author's keys: which of them counts is the succession's to say.
    pub(crate) of_keys: bool,
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

    /// Its place among the records of its register: what a later key signed before whatever an earlier one did.
    fn place(&self) -> (u8, Rank) {
        (self.generation, self.rank())
    }

    pub(crate) fn received_at(&self) -> Timestamp {
        Timestamp::from_millis(u64::from(self.received_s) * 1000)
    }
}

#[derive(Debug)]
struct Author {
    /// Whose signatures count.
    keys: Succession,
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
#[derive(Debug, Clone)]
pub(crate) struct StoredHead {
    pub(crate) header: Header,
    pub(crate) hash: ContentHash,
    pub(crate) number: u32,
    pub(crate) received_s: u32,
    /// What it says, if it is about the author's keys.
    pub(crate) of_keys: Option<Verified<Record>>,
}

/// What became of an envelope that was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is the head of its register now; persist it.
    Applied(Head),
    /// It changes whose signatures count. Persist it, and delete the registers whose heads do not count any more: what they said is
    /// not said, and what else the author said has to be told again.
    KeysChanged {
        /// The statement.
        head: Head,
        /// Registers that are gone.
        lapsed: Vec<RegisterKey>,
    },
    /// What is held outranks it, or is the same.
    Stale,
    /// Its author is not admitted.
    NotAdmitted,
    /// Its author has more registers than anyone may have.
    Frozen,
    /// Signed by a key of the author's that was over by then.
    Void,
    /// Signed by what is none of the author's keys, as far as is known. Not kept; once the statement that lists the key is here, roots
    /// differ, and catch-up brings it again.
    Unlisted,
    /// Says something about our own keys that we did not say: somebody else has one of them.
    Foreign,
}

impl Outcome {
    /// The word for counters.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Applied(_) => "applied",
            Self::KeysChanged { .. } => "keys_changed",
            Self::Stale => "stale",
            Self::NotAdmitted => "not_admitted",
            Self::Frozen => "frozen",
            Self::Void => "void",
            Self::Unlisted => "unlisted",
            Self::Foreign => "foreign",
        }
    }
}

impl Catalog {
    /// A catalog that holds nothing yet and will stamp its own records with `epoch`.
    pub(crate) fn new(me: PodId, epoch: Epoch) -> Self {
        let authors = BTreeMap::from([(me, Author::new(me))]);
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

    /// Takes in a row of the disk, signed by its author's first key, admitting its author unless it is hidden.
    pub(crate) fn restore(&mut self, header: &Header, hash: ContentHash, number: u32, received_s: u32) {
        self.restore_head(header, hash, number, received_s, 0);
    }

    fn restore_head(
        &mut self,
        header: &Header,
        hash: ContentHash,
        number: u32,
        received_s: u32,
        generation: u8,
    ) {
        let head = Head {
            stamp: header.stamp(),
            hash,
            kind: header.kind,
            state: header.state,
            number,
            received_s,
            generation,
            of_keys: header.is_of_keys(),
        };
        self.last_number = self.last_number.max(number);
        if header.author == self.me && outdates(header, self.epoch) {
            self.epoch = above(header.epoch, self.epoch);
        }
        self.author_or_new(header.author).set(header.key(), head);
    }

    /// Takes in rows of the disk, in whatever order. What does not count is left out, of others; of this pod's own it is kept for
    /// [`lapsed_own`](Self::lapsed_own).
    pub(crate) fn restore_all(&mut self, rows: impl IntoIterator<Item = StoredHead>) {
        let mut signed_later = Vec::new();
        let mut statements: BTreeMap<PodId, Vec<StoredHead>> = BTreeMap::new();
        for row in rows {
            if row.of_keys.is_some() {
                statements.entry(row.header.author).or_default().push(row);
            } else if row.header.signer.is_some() && !row.header.is_of_keys() {
                signed_later.push(row);
            } else if !row.header.is_of_keys() {
                self.restore(&row.header, row.hash, row.number, row.received_s);
            }
        }
        let authors: Vec<PodId> = statements.keys().copied().collect();
        for (author, rows) in statements {
            let said = rows.iter().filter_map(|row| row.of_keys.as_ref());
            self.author_or_new(author).keys = Succession::of(author, said);
            for row in rows {
                if self
                    .author_or_new(author)
                    .keys
                    .counts(&row.header.key(), &row.hash)
                {
                    self.restore(&row.header, row.hash, row.number, row.received_s);
                }
            }
        }
        for row in signed_later {
            let keys = &self.author_or_new(row.header.author).keys;
            let generation = match keys.standing(&row.header.signer(), row.header.stamp()) {
                Standing::Counts(generation) => generation,
                // As `lapse_own` has it: what was to be signed again when the last run ended.
                _ if row.header.author == self.me => 0,
                _ => continue,
            };
            self.restore_head(&row.header, row.hash, row.number, row.received_s, generation);
        }
        let me = self.me;
        for author in authors.into_iter().filter(|author| *author != me) {
            let author = self.author_or_new(author);
            let keys: Vec<PodId> = author.keys.keys().collect();
            author.lapse(&keys);
        }
    }

    fn author_or_new(&mut self, author: PodId) -> &mut Author {
        match self.hidden.get_mut(&author) {
            Some(hidden) => hidden,
            None => self.authors.entry(author).or_insert_with(|| Author::new(author)),
        }
    }

    /// Makes everything that never reached the disk what it was before. `stored` is what the disk has of the registers and authors
    /// concerned. Who is admitted and who is hidden stays; stamps go on, for one is never given twice.
    pub(crate) fn forget(&mut self, unwritten: &Unwritten, stored: &[StoredHead]) {
        for id in &unwritten.gone {
            if let Some(author) = self.author_mut(id) {
                *author = Author::new(*id);
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
        self.restore_all(stored.iter().cloned());
    }

    fn author_mut(&mut self, author: &PodId) -> Option<&mut Author> {
        self.authors
            .get_mut(author)
            .or_else(|| self.hidden.get_mut(author))
    }

    /// Offers a verified envelope, by whatever path it came. The outcome depends on what is held and on the
    /// envelope alone; `now` is only noted.
    pub(crate) fn offer(&mut self, record: &Verified<Record>, now: Timestamp) -> Outcome {
        let (header, hash) = (record.header(), record.hash());
        let Some(author) = self.authors.get_mut(&header.author) else {
            return Outcome::NotAdmitted;
        };
        if header.is_of_keys() {
            // What is said of our own keys is said at home.
            return if header.author != self.me {
                self.tell_keys(record, now)
            } else if author.keys.counts(&header.key(), &hash) {
                Outcome::Stale
            } else {
                Outcome::Foreign
            };
        }
        let generation = match author.keys.standing(&header.signer(), header.stamp()) {
            Standing::Counts(generation) => generation,
            Standing::Void => return Outcome::Void,
            Standing::Unlisted => return Outcome::Unlisted,
        };
        if header.author == self.me && outdates(header, self.epoch) {
            let signed_now = author
                .heads
                .iter()
                .filter(|(_, head)| head.stamp.epoch == self.epoch && !head.of_keys);
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
            received_s: seconds(now),
            generation,
            of_keys: false,
        };
        if let Some(held) = held {
            if held.stamp == head.stamp && held.hash != head.hash && held.generation == generation {
                author.equivocated = true;
            }
            if held.place() >= head.place() {
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

    /// Takes in what an admitted author, this pod itself among them, says about its keys.
    pub(crate) fn tell_keys(&mut self, statement: &Verified<Record>, now: Timestamp) -> Outcome {
        let header = statement.header();
        let is_own = header.author == self.me;
        let Some(author) = self.authors.get_mut(&header.author) else {
            return Outcome::NotAdmitted;
        };
        let before: Vec<PodId> = author.keys.keys().collect();
        match author.keys.tell(statement) {
            Told::News { contradicts } => author.equivocated |= contradicts,
            Told::Known { contradicts } => {
                author.equivocated |= contradicts;
                return Outcome::Stale;
            }
            Told::Unlisted => return Outcome::Unlisted,
        }
        let mut lapsed = if is_own {
            author.lapse_own(&before)
        } else {
            author.lapse(&before)
        };
        lapsed.retain(|key| *key != header.key());
        self.last_number += 1;
        let head = Head {
            stamp: header.stamp(),
            hash: statement.hash(),
            kind: header.kind,
            state: header.state,
            number: self.last_number,
            received_s: seconds(now),
            generation: 0,
            of_keys: true,
        };
        author.set(header.key(), head);
        Outcome::KeysChanged { head, lapsed }
    }

    /// The keys of an author whose records are held.
    pub(crate) fn succession(&self, author: &PodId) -> Option<&Succession> {
        self.authors.get(author).map(|author| &author.keys)
    }

    /// Own registers whose heads an earlier key signed that was revoked since: what still counts, then what does not.
    pub(crate) fn lapsed_own(&self) -> (Vec<RegisterKey>, Vec<RegisterKey>) {
        let Some(author) = self.authors.get(&self.me) else {
            return Default::default();
        };
        let revoked = author.keys.revoked();
        let before = author.heads.iter().filter(|(_, head)| !head.of_keys);
        let before = before.filter(|(_, head)| usize::from(head.generation) < revoked);
        let (void, counts): (Vec<_>, Vec<_>) = before
            .map(|(key, head)| (*key, author.is_void(head)))
            .partition(|(_, void)| *void);
        let keys = |heads: Vec<(RegisterKey, bool)>| heads.into_iter().map(|(key, _)| key).collect();
        (keys(counts), keys(void))
    }

    /// Whether what stands after the last revocation is to be believed alone: then this pod signs again whatever is on its own disk.
    pub(crate) fn own_believes_nothing(&self) -> bool {
        self.succession(&self.me)
            .is_some_and(Succession::believes_nothing)
    }

    /// A new key begins to count its starts anew if somebody who had an earlier one has driven the count to its end.
    pub(crate) fn renew_epoch(&mut self) {
        let Some(author) = self
            .authors
            .get(&self.me)
            .filter(|author| !author.keys.is_plain())
        else {
            return;
        };
        if self.epoch.counter < NEARLY_SPENT {
            return;
        }
        let generation = author.keys.keys().count().saturating_sub(1);
        let counts = author.heads.values().filter(|head| {
            !head.of_keys && usize::from(head.generation) == generation && !author.is_void(head)
        });
        let highest = counts.map(|head| head.stamp.epoch.counter).max();
        self.epoch.counter = highest.map_or(1, |highest| highest.saturating_add(1));
    }

    /// Takes own registers out that are not worth signing again.
    pub(crate) fn drop_own(&mut self, keys: &[RegisterKey]) {
        if let Some(author) = self.authors.get_mut(&self.me) {
            keys.iter().for_each(|key| author.unset(key));
        }
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
        self.authors
            .entry(author)
            .or_insert_with(|| hidden.unwrap_or_else(|| Author::new(author)));
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
    #[cfg(test)]
    pub(crate) fn rank(&self, author: &PodId, key: &RegisterKey) -> Option<Rank> {
        Some(self.authors.get(author)?.heads.get(key)?.rank())
    }

    /// Whether a register whose head a friend ranks so is worth fetching. Ranks do not tell which key signed: of an author who has
    /// had several, whatever differs is.
    pub(crate) fn wants(&self, author: &PodId, key: &RegisterKey, rank: &Rank) -> bool {
        let Some(author) = self.authors.get(author) else {
            return true;
        };
        match author.heads.get(key) {
            None => true,
            Some(head) if author.keys.is_plain() => head.rank() < *rank,
            Some(head) => head.hash != rank.hash.0,
        }
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

    /// The registers of what counts of an author's statements about its keys, in the order in which they have to be heard; then
    /// registers whose heads are stamped after `after`, in the order of their stamps.
    pub(crate) fn page(&self, author: &PodId, after: Option<Stamp>) -> Vec<RegisterKey> {
        let Some(author) = self.authors.get(author) else {
            return Vec::new();
        };
        let from = match after {
            Some(stamp) => Bound::Excluded((stamp, RegisterKey::from_bytes([0xff; RegisterKey::LEN]))),
            None => Bound::Unbounded,
        };
        let later = author.by_stamp.range((from, Bound::Unbounded));
        let later = later.take(PAGE_RECORDS).map(|(_, key)| *key);
        author.keys.statements().chain(later).collect()
    }

    /// The registers of what counts of an author's statements about its keys.
    pub(crate) fn statements(&self, author: &PodId) -> Vec<RegisterKey> {
        self.succession(author)
            .map(|keys| keys.statements().collect())
            .unwrap_or_default()
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
            let of_keys = author.heads.values().filter(|head| head.of_keys).count();
            assert_eq!(of_keys, author.keys.statements().count());
            assert_eq!(author.heads.len(), author.by_stamp.len() + of_keys);
            assert_eq!(author.heads.len(), author.trie.len());
            let mut rebuilt = Trie::default();
            for (key, head) in &author.heads {
                assert_eq!(
                    author.by_stamp.contains(&(head.stamp, *key)),
                    !head.of_keys,
                    "every head is found by its stamp, unless it is about keys"
                );
                assert_eq!(head.of_keys, author.keys.counts(key, &head.hash));
                assert!(
                    !author.is_void(head) || author.keys.keys().next() == Some(self.me),
                    "what is held counts"
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

fn seconds(now: Timestamp) -> u32 {
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}

impl Author {
    fn new(id: PodId) -> Self {
        Self {
            keys: Succession::new(id),
            heads: BTreeMap::new(),
            by_stamp: BTreeSet::new(),
            trie: Trie::default(),
            equivocated: false,
        }
    }

    fn is_void(&self, head: &Head) -> bool {
        !head.of_keys && self.keys.is_void(usize::from(head.generation), head.stamp)
    }

    /// The keys changed: takes out what does not count any more, and answers its registers. `before` are the keys that were.
    fn lapse(&mut self, before: &[PodId]) -> Vec<RegisterKey> {
        let same = before
            .iter()
            .zip(self.keys.keys())
            .take_while(|(was, is)| **was == *is);
        let same = same.count();
        let lapses = |key: &RegisterKey, head: &Head| {
            if head.of_keys {
                !self.keys.counts(key, &head.hash)
            } else {
                usize::from(head.generation) >= same.max(1) || self.is_void(head)
            }
        };
        let heads = self.heads.iter();
        let lapsed: Vec<RegisterKey> = heads
            .filter(|(key, head)| lapses(key, head))
            .map(|(key, _)| *key)
            .collect();
        lapsed.iter().for_each(|key| self.unset(key));
        lapsed
    }

    /// Like [`lapse`](Self::lapse) of this pod itself: only statements go. What else does not count is to be signed again, and stands
    /// as if the first key had signed it until then.
    fn lapse_own(&mut self, before: &[PodId]) -> Vec<RegisterKey> {
        let same = before
            .iter()
            .zip(self.keys.keys())
            .take_while(|(was, is)| **was == *is);
        let same = same.count();
        let mut lapsed = Vec::new();
        for (key, head) in &mut self.heads {
            if head.of_keys && !self.keys.counts(key, &head.hash) {
                lapsed.push(*key);
            } else if usize::from(head.generation) >= same.max(1) {
                head.generation = 0;
            }
        }
        lapsed.iter().for_each(|key| self.unset(key));
        lapsed
    }

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
        // What is about keys goes before everything else, and says nothing about how much else is held.
        if !head.of_keys {
            self.by_stamp.insert((head.stamp, key));
        }
        self.trie.insert(key, head.hash);
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
