//! Whose signature counts for a pod: its keys, in the order in which one followed the other.
//!
//! A pod is named by its first key for ever, and that key signs until a statement says otherwise (`SPEC.md` §11):
//!
//! ```text
//! first key ── successor, signed by the key before ──▶ second key ── revocation, signed by the recovery key ──▶ third key
//!    │ up to the stamp of the statement                    │ up to the stamp that it names                        │ from now on
//! ```
//!
//! A [`Succession`] is what the statements known so far come to. Of several statements about the end of one key the strictest counts, so
//! that the outcome depends on the set of statements and not on their order; what a statement that no longer counts had led to is
//! forgotten, and has to be heard again should it count again. The one thing that order decides is the pin: the first one heard of stays.
//! Nothing but time tells an owner's pin from a thief's who has the same key, and no other pod's clock can be believed.

use crate::{
    envelope::{Header, RegisterKey, Stamp, Verified},
    ids::{ContentHash, PodId},
    limits,
    records::{Record, RecoveryPin, Revocation, Successor},
};

/// The keys of one pod.
#[derive(Debug, Clone)]
pub struct Succession {
    author: PodId,
    pin: Option<Pin>,
    /// How the first key ended, the one that followed it, and so on; empty for almost every author.
    ends: Vec<End>,
}

#[derive(Debug, Clone, Copy)]
struct Pin {
    hash: ContentHash,
    said_by: Said,
}

/// How the key at this place ended.
#[derive(Debug, Clone, Copy)]
struct End {
    /// The last stamp under which it is believed.
    last: Stamp,
    next: Option<PodId>,
    revoked: bool,
    said_by: Said,
}

/// A statement: where it stands in the catalog, and its envelope.
#[derive(Debug, Clone, Copy)]
struct Said {
    register: RegisterKey,
    hash: ContentHash,
}

/// What a signature is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It counts. The number says how many keys of the pod came before: what a later key signs outranks whatever an earlier one did.
    Counts(u8),
    /// The key was over by then.
    Void,
    /// It is none of the pod's keys, as far as is known.
    Unlisted,
}

/// What became of a statement about keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It counts now; look again at whatever the pod signed.
    News {
        /// Whether it contradicts the one that counted before: two successors of one key. An honest pod does not say such things.
        contradicts: bool,
    },
    /// It counts already, or a stricter one does.
    Known {
        /// Whether it contradicts the one that counts: two successors of one key, or two pins.
        contradicts: bool,
    },
    /// Whoever signed it may not say so, as far as is known, or says it of a key that is none of the pod's.
    Unlisted,
}

impl Succession {
    /// A pod that never said anything about its keys.
    pub fn new(author: PodId) -> Self {
        Self {
            author,
            pin: None,
            ends: Vec::new(),
        }
    }

    /// What statements that are all of this author come to, in whatever order they are.
    pub fn of<'a>(author: PodId, statements: impl IntoIterator<Item = &'a Verified<Record>>) -> Self {
        let mut succession = Self::new(author);
        let statements: Vec<_> = statements.into_iter().collect();
        // One may have to wait for another that comes later, and one that counted may stop to do so, with all that stood on
        // it, and count again on another. A round settles at least the next key of the line for good, or is the last.
        for _ in 0..=statements.len() {
            let told = statements.iter().map(|statement| succession.tell(statement));
            let news = told.filter(|told| matches!(told, Told::News { .. })).count();
            if news == 0 {
                break;
            }
        }
        succession
    }

    /// Takes in a statement of this author about its keys. Anything else is answered with [`Told::Unlisted`].
    pub fn tell(&mut self, statement: &Verified<Record>) -> Told {
        let header = statement.header();
        if header.author != self.author {
            return Told::Unlisted;
        }
        let said_by = Said {
            register: header.key(),
            hash: statement.hash(),
        };
        match statement.payload() {
            Record::RecoveryPin(pin) => self.hear_pin(pin, said_by),
            Record::Successor(successor) => self.hear_successor(header, successor, said_by),
            Record::Revocation(revocation) => self.hear_revocation(header, revocation, said_by),
            _ => Told::Unlisted,
        }
    }

    fn hear_pin(&mut self, pin: &RecoveryPin, said_by: Said) -> Told {
        match self.pin {
            Some(held) if held.hash != pin.hash => Told::Known { contradicts: true },
            // The same pin, said twice: all pods keep the same of both.
            Some(held) if held.said_by.hash <= said_by.hash => Told::Known { contradicts: false },
            _ => {
                let hash = pin.hash;
                self.pin = Some(Pin { hash, said_by });
                Told::News { contradicts: false }
            }
        }
    }

    fn hear_successor(&mut self, header: &Header, successor: &Successor, said_by: Said) -> Told {
        let Some(place) = self.place_of(&header.signer()) else {
            return Told::Unlisted;
        };
        let end = End {
            last: header.stamp(),
            next: Some(successor.next),
            revoked: false,
            said_by,
        };
        self.ended(place, end)
    }

    fn hear_revocation(&mut self, header: &Header, revocation: &Revocation, said_by: Said) -> Told {
        let by = ContentHash::of(header.signer().as_bytes());
        if self.pin.is_none_or(|pin| pin.hash != by) {
            return Told::Unlisted;
        }
        let Some(place) = self.place_of(&revocation.key) else {
            return Told::Unlisted;
        };
        let end = End {
            last: revocation.last,
            next: revocation.next,
            revoked: true,
            said_by,
        };
        self.ended(place, end)
    }

    fn ended(&mut self, place: usize, end: End) -> Told {
        let mut contradicts = false;
        if let Some(held) = self.ends.get(place) {
            contradicts = !held.revoked && !end.revoked && held.next != end.next;
            if held.strictness() >= end.strictness() {
                return Told::Known { contradicts };
            }
            // Whoever follows stays who follows: what is known of the keys after this one still holds.
            if held.next != end.next {
                self.ends.truncate(place);
            }
        }
        match self.ends.get_mut(place) {
            Some(held) => *held = end,
            None => self.ends.push(end),
        }
        Told::News { contradicts }
    }

    /// The keys that ever counted, the first of the pod first.
    pub fn keys(&self) -> impl Iterator<Item = PodId> + '_ {
        (0..=self.ends.len()).map_while(|place| self.key_at(place))
    }

    /// The key at a place, if there is one: a key that stood before cannot come again, and there are at most so many.
    fn key_at(&self, place: usize) -> Option<PodId> {
        let Some(before) = place.checked_sub(1) else {
            return Some(self.author);
        };
        let next = self.ends.get(before)?.next?;
        let again = self.author == next || self.ends[..before].iter().any(|end| end.next == Some(next));
        (!again && place < limits::KEYS_MAX).then_some(next)
    }

    fn place_of(&self, key: &PodId) -> Option<usize> {
        self.keys().position(|known| known == *key)
    }

    /// The key that signs now; `None` when the last one was ended and none follows.
    pub fn signs_now(&self) -> Option<PodId> {
        self.key_at(self.ends.len())
    }

    /// The hash of the recovery key, once one is pinned.
    pub fn pin(&self) -> Option<ContentHash> {
        self.pin.map(|pin| pin.hash)
    }

    /// Whether the first key is the only one that ever signed, and signs still.
    pub fn is_plain(&self) -> bool {
        self.ends.is_empty()
    }

    /// What a signature under this stamp is worth.
    pub fn standing(&self, signer: &PodId, stamp: Stamp) -> Standing {
        match self.place_of(signer) {
            None => Standing::Unlisted,
            Some(place) if self.is_void(place, stamp) => Standing::Void,
            Some(place) => Standing::Counts(u8::try_from(place).unwrap_or(u8::MAX)),
        }
    }

    /// Whether the key at a place was over by the time of a stamp.
    pub fn is_void(&self, place: usize, stamp: Stamp) -> bool {
        self.ends.get(place).is_some_and(|end| stamp > end.last)
    }

    /// How many keys came before the last one that follows from a revocation; 0 if none does.
    pub fn revoked(&self) -> usize {
        let last = self.ends.iter().rposition(|end| end.revoked);
        last.map_or(0, |place| place + 1)
    }

    /// Whether the newest revocation believes nothing at all of what came before.
    pub fn believes_nothing(&self) -> bool {
        let last = self.ends.iter().rfind(|end| end.revoked);
        last.is_some_and(|end| end.last == Stamp::ZERO)
    }

    /// The registers of the statements that count, in the order in which they have to be heard: the pin, then each end.
    pub fn statements(&self) -> impl Iterator<Item = RegisterKey> + '_ {
        let pin = self.pin.iter().map(|pin| pin.said_by.register);
        pin.chain(self.ends.iter().map(|end| end.said_by.register))
    }

    /// Whether a statement is one of those that count.
    pub fn counts(&self, register: &RegisterKey, hash: &ContentHash) -> bool {
        let pin = self.pin.iter().map(|pin| pin.said_by);
        pin.chain(self.ends.iter().map(|end| end.said_by))
            .any(|said| said.register == *register && said.hash == *hash)
    }

    /// The first key that no revocation ended: the one to revoke when the keys of a pod were stolen. `None` when all were.
    pub fn to_revoke(&self) -> Option<PodId> {
        let unrevoked = |place: &usize| self.ends.get(*place).is_none_or(|end| !end.revoked);
        (0..=self.ends.len())
            .find(unrevoked)
            .and_then(|place| self.key_at(place))
    }
}

impl End {
    /// Of two the greater counts: a revocation before any succession, then the one that leaves less, then the lower hash.
    fn strictness(&self) -> impl Ord {
        use std::cmp::Reverse;
        (self.revoked, Reverse(self.last), Reverse(self.said_by.hash))
    }
}
