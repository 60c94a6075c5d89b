//! What may be said to the catalog, and what it tells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actix::{Message, Recipient};
use seedpod_protocol::digest::StateDigest;
use seedpod_protocol::envelope::{Kind, RegisterKey, State, Verified};
use seedpod_protocol::ids::{ObjectId, PodId, Timestamp};
use seedpod_protocol::records::Record;
use seedpod_protocol::requests::{AuthorRoot, Request, Response};

use crate::store::{StoreError, Transaction};

/// Signs and publishes a record of this pod, replacing the one held under the same (kind, object).
///
/// The answer comes after the record, and everything in `along`, is on disk and after every subscriber in
/// the same process was told: a list asked for next shows it.
#[derive(Debug, Message)]
#[rtype(result = "Result<Verified<Record>, PublishError>")]
pub struct Publish {
    /// What kind of record.
    pub kind: Kind,
    /// Which object of that kind; empty for a profile.
    pub object: ObjectId,
    /// Live, withdrawn or removed; removed is final.
    pub state: State,
    /// The payload, [`Record::Empty`] for a withdrawal or removal that needs none.
    pub payload: Record,
    /// Rows of the asking room that must be written in the same transaction.
    pub along: Transaction,
}

/// Why a record was not published. Nothing was written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PublishError {
    /// The payload breaks a limit of the protocol.
    #[error("{0}")]
    Draft(#[from] seedpod_protocol::envelope::DraftError),
    /// The object was removed, and removed is final.
    #[error("this object was removed and cannot come back")]
    Removed,
    /// The transaction did not reach the disk.
    #[error("{0}")]
    Store(Arc<StoreError>),
}

impl PublishError {
    /// Whether there was no room on the disk; the same may be tried again later.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Store(error) if matches!(**error, StoreError::Full))
    }
}

/// Hands over envelopes that came from a friend by any path. Those by authors who are not admitted, and those
/// that do not outrank what is held, are ignored. Answers how many were new, once they are on disk.
#[derive(Debug, Message)]
#[rtype(result = "Result<usize, Arc<StoreError>>")]
pub struct Receive {
    /// The pod that handed them over, not necessarily their author.
    pub from: PodId,
    /// Verified envelopes, at most a page of them.
    pub envelopes: Vec<Verified<Record>>,
}

/// Lets an author's records in: a friendship began, or is being shaken hands on. Those that were hidden are told to
/// everybody again, from the disk.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Admit(
    /// The author.
    pub PodId,
);

/// Deletes an author's records and lets no more of them in: a friendship ended.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), Arc<StoreError>>")]
pub struct Expel(
    /// The author.
    pub PodId,
);

/// Keeps an author's records on the disk and out of everything else, digests included, until it is admitted again: a
/// friend that could not be reached for long. Answers when everybody was told.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), Arc<StoreError>>")]
pub struct Hide(
    /// The author.
    pub PodId,
);

/// Ends a friendship in one step: signs and publishes `saying`, deletes the author's records and lets no more of them
/// in. All of it is on disk when this answers, or none of it happened.
#[derive(Debug, Message)]
#[rtype(result = "Result<Verified<Record>, PublishError>")]
pub struct Part {
    /// The author.
    pub author: PodId,
    /// Our no.
    pub saying: Publish,
}

/// Says whose records are held besides this pod's: all others are expelled. Answers how many had to go.
#[derive(Debug, Default, Message)]
#[rtype(result = "Result<usize, Arc<StoreError>>")]
pub struct KeepAuthors {
    /// Those who are let in.
    pub admitted: BTreeSet<PodId>,
    /// Those whose records are kept and hidden.
    pub hidden: BTreeSet<PodId>,
}

/// Asks whether another start of this pod was found to sign with its key.
#[derive(Debug, Message)]
#[rtype(result = "Option<OtherStart>")]
pub struct GetOtherStart;

/// Signs of another start with this pod's key: this pod was restored from an old copy, or a copy of it is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherStart {
    /// When the first sign was seen.
    pub first_seen: Timestamp,
    /// When the last one was.
    pub last_seen: Timestamp,
    /// Whether the other one answered to what this one says, so that it must be running: a twin.
    pub is_twin: bool,
}

/// Asks for the root of every admitted author and of this pod, sorted by author.
#[derive(Debug, Message)]
#[rtype(result = "Vec<AuthorRoot>")]
pub struct GetRoots;

/// Asks for one digest over all roots.
#[derive(Debug, Message)]
#[rtype(result = "StateDigest")]
pub struct GetDigest;

/// Asks how far this pod and each friend have each other's own records, for the friends that were asked since the start.
#[derive(Debug, Message)]
#[rtype(result = "BTreeMap<PodId, FriendSync>")]
pub struct GetSync;

/// How far two friends have each other's own records. Counts of registers: a newer version that is on its way does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FriendSync {
    /// Records of the friend that we hold.
    pub held: u64,
    /// Records that the friend has.
    pub total: u64,
    /// Our own records that the friend said it holds.
    pub acknowledged: u64,
    /// Our own records.
    pub own: u64,
}

/// Asks for the answer to a friend's request. `None` if the request is not about the catalog.
#[derive(Debug, Message)]
#[rtype(result = "Result<Option<Response>, Arc<StoreError>>")]
pub struct AnswerFriend(
    /// What it asks.
    pub Request,
);

/// Asks for every record held, once, as one change each; how a read model begins. No later change is told before the
/// replay is over, so whoever subscribed before it hears everything in order.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), Arc<StoreError>>")]
pub struct Replay {
    /// Who is told, in pages.
    pub to: Recipient<Changed>,
}

/// Subscribes to every later change.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Subscribe(
    /// Who is told.
    pub Recipient<Changed>,
);

/// The catalog changed; what changed is on disk.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Changed {
    /// In the order in which they were applied.
    pub changes: Arc<Vec<Change>>,
}

/// One register got a new head, or left with its author.
#[derive(Debug, Clone)]
pub enum Change {
    /// A record is now the head of its register; look at its state before showing it.
    Head(HeldRecord),
    /// All records of an author left the catalog.
    AuthorGone(PodId),
    /// All records of an author are to be shown no longer. They are kept, with everything that was fetched for them, and
    /// told again as heads should the author come back.
    AuthorHidden(PodId),
}

/// A record with what this pod noted beside it; the notes are local and never leave the pod.
#[derive(Debug, Clone)]
pub struct HeldRecord {
    /// The record.
    pub record: Verified<Record>,
    /// A small number that names the object on this pod only, for clients that want integers.
    pub number: u64,
    /// When the object's first record arrived here.
    pub received_at: Timestamp,
    /// Which pod handed the head over; this pod itself for its own records.
    pub via: PodId,
}

/// Registers whose heads are read at once.
pub const READ_MAX: usize = 128;

/// Asks for the heads of some registers, in their order; nothing stands for one that is not held, or cannot be read. At
/// most [`READ_MAX`]: what is beyond is left out. For rooms that remember what there is, and not what it says.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<Option<Verified<Record>>>, Arc<StoreError>>")]
pub struct ReadRecords(
    /// Whose registers, and which.
    pub Vec<(PodId, RegisterKey)>,
);

/// Asks for the envelope that is the head of a register, as it was received.
#[derive(Debug, Message)]
#[rtype(result = "Option<Vec<u8>>")]
pub struct GetEnvelope {
    /// Whose register.
    pub author: PodId,
    /// Of which kind.
    pub kind: Kind,
    /// Of which object.
    pub object: ObjectId,
}

/// Asks for what counts of an author's statements about its keys, as envelopes in the order in which they have to be heard. Empty for
/// almost everybody.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Vec<u8>>")]
pub struct GetKeyStatements(
    /// Whose.
    pub PodId,
);
