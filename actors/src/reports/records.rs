//! The form in which reports are stored: a version byte, then canonical CBOR.

use seedpod_protocol::codec::{self, CodecError};
use seedpod_protocol::ids::{CommentId, PodId, Timestamp, VideoId};
use serde::{Deserialize, Serialize};

use super::messages::{Delivery, ReportState};
use super::state::{Key, Report};

const VERSION: u8 = 1;

/// More than the longest row can be.
const MAX_ROW: usize = 64 * 1024;

/// Why a row could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportRowError {
    #[error("a stored report has no version")]
    Empty,
    #[error("a stored report has version {0}, this program knows {VERSION}")]
    Newer(u8),
    #[error("a stored report is damaged: {0}")]
    Codec(#[from] CodecError),
    #[error("a stored report has a state or a delivery that is none")]
    Word,
}

#[derive(Serialize, Deserialize)]
struct ReportV1 {
    number: u64,
    pod: PodId,
    reporter: String,
    origin: PodId,
    video: VideoId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    comment: Option<CommentId>,
    reason: String,
    reasons: Vec<u8>,
    created_at: Timestamp,
    updated_at: Timestamp,
    state: u8,
    note: String,
    delivery: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// The key of a row.
pub(crate) fn row_key(key: &Key) -> Vec<u8> {
    [key.pod.as_bytes(), key.about.as_slice(), key.reporter.as_bytes()].concat()
}

pub(crate) fn encode(report: &Report) -> Vec<u8> {
    let (delivery, refused) = match &report.delivery {
        Delivery::Here => (0, None),
        Delivery::Delivered => (1, None),
        Delivery::Waiting => (2, None),
        Delivery::Refused(text) => (3, Some(text.clone())),
    };
    let row = ReportV1 {
        number: report.number,
        pod: report.pod,
        reporter: report.reporter.clone(),
        origin: report.origin,
        video: report.video,
        comment: report.comment,
        reason: report.reason.clone(),
        reasons: report.reasons.clone(),
        created_at: report.created_at,
        updated_at: report.updated_at,
        state: match report.state {
            ReportState::Pending => 1,
            ReportState::Rejected => 2,
            ReportState::Accepted => 3,
        },
        note: report.note.clone(),
        delivery,
        refused,
    };
    [&[VERSION][..], &codec::encode(&row)].concat()
}

pub(crate) fn decode(row: &[u8]) -> Result<Report, ReportRowError> {
    let row: ReportV1 = match row.split_first().ok_or(ReportRowError::Empty)? {
        (&VERSION, body) => codec::decode(body, MAX_ROW)?,
        (&found, _) => return Err(ReportRowError::Newer(found)),
    };
    Ok(Report {
        number: row.number,
        pod: row.pod,
        reporter: row.reporter,
        origin: row.origin,
        video: row.video,
        comment: row.comment,
        reason: row.reason,
        reasons: row.reasons,
        created_at: row.created_at,
        updated_at: row.updated_at,
        state: match row.state {
            1 => ReportState::Pending,
            2 => ReportState::Rejected,
            3 => ReportState::Accepted,
            _ => return Err(ReportRowError::Word),
        },
        note: row.note,
        delivery: match (row.delivery, row.refused) {
            (0, _) => Delivery::Here,
            (1, _) => Delivery::Delivered,
            (2, _) => Delivery::Waiting,
            (3, text) => Delivery::Refused(text.unwrap_or_default()),
            _ => return Err(ReportRowError::Word),
        },
    })
}
