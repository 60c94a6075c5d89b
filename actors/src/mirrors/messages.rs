//! What may be said to the mirrors, and what they ask of others.

use std::sync::Arc;

use actix::Message;
use bytes::Bytes;
use seedpod_protocol::ids::{InfoHash, PodId, VideoId};

use crate::library::messages::FetchError;
use crate::store::StoreError;

/// Why copies are kept; each has a budget of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// An administrator chose the video.
    Hand,
    /// Everything of this friend, the newest first.
    Friend(PodId),
    /// What is watched most of all friends' videos.
    MostViewed,
}

/// How many bytes each kind of copies may take when nobody says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// Videos chosen by hand.
    pub by_hand: u64,
    /// The most viewed; 0 keeps none.
    pub most_viewed: u64,
}

/// Keeps a copy of a friend's video from now on.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), MirrorError>")]
pub struct KeepVideo(
    /// Which.
    pub VideoId,
);

/// Keeps no copy by hand any more; adding it again undoes this. What another bucket wants stays.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), MirrorError>")]
pub struct LetGo(
    /// Which.
    pub VideoId,
);

/// Changes a budget.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), MirrorError>")]
pub struct SetBudget {
    /// Whose.
    pub bucket: Bucket,
    /// Bytes; `None` is what the settings say, and for a friend nothing.
    pub bytes: Option<u64>,
}

/// Why a change was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MirrorError {
    /// No such video here.
    #[error("there is no such video in this pod's catalog")]
    Unknown,
    /// It is this pod's own.
    #[error("this pod is the origin of that video")]
    OurOwn,
    /// It was not chosen by hand.
    #[error("no copy of that video was chosen by hand")]
    NotChosen,
    /// Not a friend.
    #[error("that pod is no friend")]
    NoFriend,
    /// As many as are kept.
    #[error("{0} videos are chosen by hand already")]
    TooMany(usize),
    /// The disk is full.
    #[error("there is no room left on the disk")]
    DiskFull,
    /// The disk failed otherwise.
    #[error("{0}")]
    Store(Arc<StoreError>),
}

impl From<StoreError> for MirrorError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::DiskFull,
            other => Self::Store(Arc::new(other)),
        }
    }
}

/// Asks what copies there are and what they may take.
#[derive(Debug, Message)]
#[rtype(result = "MirrorReport")]
pub struct ListMirrors;

/// Asks about the copy of one video.
#[derive(Debug, Message)]
#[rtype(result = "Kept")]
pub struct GetCopy(
    /// Which.
    pub VideoId,
);

/// Whether and how a video is kept.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// Whether an administrator chose it, so that it can be let go by hand.
    pub by_hand: bool,
    /// The copy; none yet just after it was chosen.
    pub copy: Option<CopyEntry>,
}

/// All copies and budgets.
#[derive(Debug, Clone, Default)]
pub struct MirrorReport {
    /// Copies there are or should be, in the order of their videos' titles.
    pub copies: Vec<CopyEntry>,
    /// Budgets: by hand first, the most viewed last.
    pub budgets: Vec<BudgetEntry>,
}

/// One copy.
#[derive(Debug, Clone)]
pub struct CopyEntry {
    /// The video.
    pub video: VideoId,
    /// Its title.
    pub name: String,
    /// The pod that published it.
    pub origin: PodId,
    /// Its host.
    pub host: String,
    /// Why it is kept.
    pub bucket: Bucket,
    /// How far it is.
    pub state: CopyState,
    /// Bytes of all its files.
    pub size: u64,
    /// Bytes of them that are here and were checked.
    pub held: u64,
}

/// How far a copy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyState {
    /// Others are fetched first.
    Waiting,
    /// Bytes arrive.
    Fetching,
    /// It is whole and served.
    Whole,
    /// It will be tried again; in words, what is wrong.
    Stuck(String),
    /// It does not fit into its budget.
    OverBudget,
}

impl CopyState {
    /// The state as a word for programs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Fetching => "fetching",
            Self::Whole => "whole",
            Self::Stuck(_) => "stuck",
            Self::OverBudget => "over-budget",
        }
    }
}

/// One budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetEntry {
    /// Whose.
    pub bucket: Bucket,
    /// The host, of a friend's.
    pub host: Option<String>,
    /// Bytes it may take.
    pub limit: u64,
    /// Bytes its copies take, or will once they are whole.
    pub used: u64,
    /// Whether somebody set it here; otherwise it is what the settings say.
    pub is_set: bool,
}

/// Asks which other pods a page may name as sources of a video now: those that say they have it, and answer.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Source>")]
pub struct GetSources(
    /// Which.
    pub VideoId,
);

/// A pod that has files of a video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its public URL, without a slash at its end: the files are under `/static/webseed/` there.
    pub url: String,
    /// Whether it is this pod.
    pub is_local: bool,
    /// The files it has.
    pub info_hashes: Vec<InfoHash>,
}

/// Asks for a part of a file of another pod over HTTP; whoever asks checks what comes.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Bytes, FetchError>")]
pub struct FetchRange {
    /// Where: a public URL of a pod and a path on it.
    pub url: String,
    /// The first byte.
    pub first: u64,
    /// How many; no more are taken, and fewer are an error.
    pub count: usize,
}
