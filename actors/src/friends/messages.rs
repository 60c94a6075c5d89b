//! What may be said to the friend list.

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
    /// What went wrong last, in words.
    pub trouble: Option<String>,
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
    /// Hosts, each a host and none twice.
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
