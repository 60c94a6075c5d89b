//! What may be said to the reports' room.

use std::sync::Arc;
use std::time::Duration;

use actix::Message;
use seedpod_protocol::ids::{CommentId, PodId, Timestamp, VideoId};
use seedpod_protocol::requests::Response;

use crate::store::StoreError;

/// Longest note of an administrator, in characters.
pub const MAX_NOTE: usize = 3_000;

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReportState {
    /// Nobody has decided yet.
    Pending,
    /// It was found to be wrong.
    Rejected,
    /// It was found to be right.
    Accepted,
}

/// How far a report is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// It is about something of this pod.
    Here,
    /// The origin has it.
    Delivered,
    /// The origin has not answered yet; it is tried again.
    Waiting,
    /// The origin does not take it; why, in its words.
    Refused(String),
}

/// A report as administrators see it.
#[derive(Debug, Clone)]
pub struct ReportEntry {
    /// A small number that names it on this pod only.
    pub number: u64,
    /// The pod whose user reports.
    pub pod: PodId,
    /// The user's handle there.
    pub reporter: String,
    /// The pod that published the video.
    pub origin: PodId,
    /// The video.
    pub video: VideoId,
    /// The comment under it, if that is meant.
    pub comment: Option<CommentId>,
    /// Why, in the user's words. Text, never markup.
    pub reason: String,
    /// Why, as PeerTube counts reasons, 1 to 8.
    pub reasons: Vec<u8>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it, or what was decided, last changed here.
    pub updated_at: Timestamp,
    /// What became of it.
    pub state: ReportState,
    /// What an administrator wrote about it; empty if nothing. It never leaves the pod.
    pub note: String,
    /// How far it is on its way.
    pub delivery: Delivery,
    /// How many reports about the same thing there are here.
    pub same: u32,
}

/// A user of this pod reports something. Written before it is answered.
#[derive(Debug, Message)]
#[rtype(result = "Result<u64, ReportsError>")]
pub struct FileReport {
    /// The pod that published the video.
    pub origin: PodId,
    /// The video.
    pub video: VideoId,
    /// The comment under it, if that is meant.
    pub comment: Option<CommentId>,
    /// Who reports.
    pub username: String,
    /// Why: 2 to 3,000 characters.
    pub reason: String,
    /// Why, by numbers: at most 8.
    pub reasons: Vec<u8>,
}

/// A friend hands over a report of one of its users. Answers what the friend is told.
#[derive(Debug, Message)]
#[rtype(result = "Response")]
pub struct ReceiveReport {
    /// Who, proved by the connection; a friend.
    pub from: PodId,
    /// The envelope, as it came.
    pub envelope: Vec<u8>,
}

/// Asks for a page of reports, latest first unless told otherwise.
#[derive(Debug, Message)]
#[rtype(result = "ReportPage")]
pub struct ListReports {
    /// Only those in this state.
    pub state: Option<ReportState>,
    /// Only this one.
    pub number: Option<u64>,
    /// Oldest first.
    pub ascending: bool,
    /// How many to skip.
    pub start: usize,
    /// How many to give, at most 100.
    pub count: usize,
}

/// One page of reports.
#[derive(Debug, Clone, Default)]
pub struct ReportPage {
    /// Reports that match, on this page or not.
    pub total: usize,
    /// The reports of this page.
    pub rows: Vec<ReportEntry>,
}

/// Decides about a report, or writes a note. Written before it is answered.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ReportsError>")]
pub struct DecideReport {
    /// Which.
    pub number: u64,
    /// The new state.
    pub state: Option<ReportState>,
    /// The new note, at most [`MAX_NOTE`] characters; empty takes it back.
    pub note: Option<String>,
}

/// Deletes a report from this pod.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ReportsError>")]
pub struct DeleteReport(
    /// Which.
    pub u64,
);

/// Why a report was not taken or changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReportsError {
    /// No such number.
    #[error("there is no report number {0}")]
    Unknown(u64),
    /// More than are kept.
    #[error("there are too many undecided reports; try again when some were dealt with")]
    TooMany,
    /// Too many in too short a time.
    #[error("that is a lot of reports in a short time; wait {} s", wait.as_secs().max(1))]
    TooFast {
        /// Until the next one is taken.
        wait: Duration,
    },
    /// A value outside its limits.
    #[error("{0}")]
    Limit(String),
    /// It did not reach the disk.
    #[error("{0}")]
    Store(Arc<StoreError>),
}

impl ReportsError {
    /// Whether there was no room on the disk; the same may be tried again later.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Store(error) if matches!(**error, StoreError::Full))
    }
}
