//! What may be said to the friend list.

use std::time::Duration;

use actix::Message;
use seedpod_protocol::ids::{PodId, Timestamp};

/// How this pod stands with another. See the list of phases and who may move between them in [`super`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// We said yes and wait for their yes.
    Asking,
    /// They said yes and wait for our operator.
    AskedUs,
    /// Both said yes.
    Friends,
    /// They said no after both had said yes.
    EndedByThem,
    /// The operator removed it; it comes back only when it is named.
    EndedByUs,
    /// Unreachable for so long that the score fell to nothing.
    Ejected,
    /// The operator wants nothing to do with it.
    Blocked,
}

/// One pod of the friend list, as people see it.
#[derive(Debug, Clone)]
pub struct FriendEntry {
    /// A small number that names it on this pod only.
    pub number: u64,
    /// The pod.
    pub pod: PodId,
    /// Its host, `localhost:9002`.
    pub host: String,
    /// Its public URL, `http://localhost:9002`.
    pub url: String,
    /// How we stand.
    pub phase: Phase,
    /// 0 to 1000; at 0 it is ejected.
    pub score: u32,
    /// When the friendship (or the request) began.
    pub since: Timestamp,
    /// Whether a connection is open now.
    pub connected: bool,
    /// When it was last heard.
    pub last_heard: Option<Timestamp>,
    /// Round-trip time of the open connection, in milliseconds.
    pub rtt_ms: Option<u32>,
    /// Whether it has acknowledged all of our records.
    pub in_sync: bool,
    /// Whether it still takes us for a friend, as far as we know: one that let us go has not told us, and refuses us.
    pub lets_us_in: bool,
    /// The version of its software, as it last introduced itself; empty if that is not known.
    pub version: String,
    /// Why the friendship is over, in words.
    pub cause: Option<String>,
    /// When and why the score last moved.
    pub changed: Option<ScoreChange>,
    /// What went wrong last, in words.
    pub trouble: Option<String>,
}

/// A move of a friend's score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreChange {
    /// How far, up or down.
    pub by: i64,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: ScoreReason,
}

/// Why a score moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScoreReason {
    /// It took the records of ours that it lacked.
    Acknowledged,
    /// It could not be reached while it lacked records of ours; in words, why.
    Unreachable(String),
}

/// A pod found at a host: what `GET /api/v1/pods/self` said, signature checked.
#[derive(Debug, Clone)]
pub struct ResolvedHost {
    /// The pod.
    pub pod: PodId,
    /// Host in its normal form.
    pub host: String,
    /// Its public URL.
    pub url: String,
    /// Its name.
    pub name: String,
    /// The version of its software.
    pub version: String,
    /// Multiaddrs at which it can be dialed.
    pub addresses: Vec<String>,
}

/// Asks the shell around the pod who lives at a host. Answered by `node`, over HTTP.
#[derive(Debug, Message)]
#[rtype(result = "Result<ResolvedHost, ResolveError>")]
pub struct ResolveHost {
    /// `localhost:9002`, `https://pod.example`, …
    pub host: String,
}

/// Why a host could not be resolved.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{host}: {cause}")]
pub struct ResolveError {
    /// The host as it was given.
    pub host: String,
    /// What went wrong, in words.
    pub cause: String,
}

/// Makes friends with the pods at these hosts and with those that most of them know.
#[derive(Debug, Message)]
#[rtype(result = "Result<MadeFriends, FriendsError>")]
pub struct MakeFriends {
    /// Hosts or links of invites, none twice.
    pub hosts: Vec<String>,
    /// Whether it is an error to have friends already; false adds to them.
    pub only_when_alone: bool,
}

/// How making friends went.
#[derive(Debug, Clone, Default)]
pub struct MadeFriends {
    /// Pods that are friends now.
    pub friends: Vec<PodId>,
    /// Hosts and pods that did not work out, and why.
    pub failed: Vec<(String, String)>,
}

/// Why the friend list refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FriendsError {
    /// There are friends already.
    #[error("this pod already has friends; quit them first, or add a single pod")]
    AlreadyHasFriends,
    /// No such number.
    #[error("there is no pod number {0} in the friend list")]
    Unknown(u64),
    /// No such invite.
    #[error("there is no invite number {0}")]
    UnknownInvite(u64),
    /// As many invites as are kept.
    #[error("there are {0} invites already; revoke some")]
    TooManyInvites(usize),
    /// The invite that was asked for cannot be.
    #[error("{0}")]
    Invite(String),
    /// The entry is in a phase in which this makes no sense.
    #[error("{host} is not {expected}")]
    WrongPhase {
        /// Which pod.
        host: String,
        /// What it would have to be.
        expected: &'static str,
    },
    /// The other pod did not answer, or refused.
    #[error("no friendship: {0}")]
    Unreachable(String),
    /// The disk is full; the same may be tried again later.
    #[error("there is no room left on the disk")]
    DiskFull,
    /// The disk refused.
    #[error("{0}")]
    Store(String),
}

/// Ends all friendships. Each friend that can be reached is told at once.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), FriendsError>")]
pub struct QuitFriends;

/// Ends one friendship, or forgets an entry that is none.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), FriendsError>")]
pub struct RemoveFriend(
    /// The entry's number.
    pub u64,
);

/// What the operator says to a pod that asked us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Say yes.
    Accept,
    /// Say no; it may ask again.
    Refuse,
    /// Say no for good.
    Block,
}

/// Decides on a request.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), FriendsError>")]
pub struct Decide {
    /// The entry's number.
    pub number: u64,
    /// What to say.
    pub decision: Decision,
}

/// Asks for every entry of the list; the caller picks phases, sorts and pages (friends are tens, not thousands).
#[derive(Debug, Message)]
#[rtype(result = "Vec<FriendEntry>")]
pub struct ListPods;

/// Says that the catalog has told everything it held: what comes from now on is new. Answers when what the end of the
/// last run cut short is settled; let nobody ask for friendship before.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), FriendsError>")]
pub struct CatalogReplayed;

/// Asks when the next round is and what friends have not acknowledged.
#[derive(Debug, Message)]
#[rtype(result = "RoundStats")]
pub struct GetRounds;

/// The rounds as they stand.
#[derive(Debug, Clone)]
pub struct RoundStats {
    /// How long a round is.
    pub round: Duration,
    /// How long until the next one.
    pub remaining: Duration,
    /// Friends, each with how many of our records it has not acknowledged as far as this run knows.
    pub friends: Vec<Outstanding>,
}

/// What one friend has not acknowledged.
#[derive(Debug, Clone)]
pub struct Outstanding {
    /// The friend.
    pub pod: PodId,
    /// Its host.
    pub host: String,
    /// Records of ours.
    pub records: u64,
}

/// Makes an invite: whoever holds its link becomes a friend without a further question, unless the policy is closed.
#[derive(Debug, Message)]
#[rtype(result = "Result<InviteEntry, FriendsError>")]
pub struct CreateInvite {
    /// What it is for, up to 120 characters; only this pod's operator sees it.
    pub label: String,
    /// How long it holds; for ever if absent.
    pub lasts: Option<Duration>,
    /// How many pods may come in by it, 1 to 1,000.
    pub uses: u32,
}

/// Asks for all invites, newest first.
#[derive(Debug, Message)]
#[rtype(result = "Vec<InviteEntry>")]
pub struct ListInvites;

/// Takes an invite back: nobody comes in by it any more. Friendships that came of it stay.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), FriendsError>")]
pub struct RevokeInvite(
    /// Its number.
    pub u64,
);

/// An invite, as the operator sees it.
#[derive(Debug, Clone)]
pub struct InviteEntry {
    /// A small number that names it on this pod.
    pub number: u64,
    /// What it is for.
    pub label: String,
    /// What is handed on. A secret: whoever holds it comes in.
    pub link: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it ceases to hold.
    pub expires: Option<Timestamp>,
    /// How many pods may come in by it.
    pub uses: u32,
    /// How many did.
    pub used: u32,
    /// Whether it lets anybody in now.
    pub state: InviteState,
}

/// Whether an invite lets anybody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InviteState {
    /// It does.
    Open,
    /// As many came as may.
    UsedUp,
    /// Its time is over.
    Expired,
}
