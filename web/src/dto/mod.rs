//! The JSON of the API: the shapes of PeerTube's present API, with a few keys of 2017 that clash with nothing (`podHost`,
//! `author`) and some of ours (`podId`, `receivedAt`, `via`, `carried`).
//!
//! A type here is made from what the rooms say and holds nothing else: it is written, never read. Integers are never
//! negative and every labelled value is an object with a label even where its id is `null`, as strict clients demand.

mod carried;
mod channel;
mod comment;
#[cfg(test)]
mod golden;
mod pod;
mod report;
mod user;
mod video;

use jiff::Timestamp as Instant;
use seedpod_protocol::ids::Timestamp;
use serde::Serialize;

pub(crate) use carried::Carried;
pub(crate) use channel::{Channel, ChannelSummary};
pub(crate) use comment::{Comment, CommentTree};
pub(crate) use pod::{Invite, Pod, reason_text, rounds, state_name};
pub(crate) use report::{Report, Reported};
pub(crate) use user::{AccountSummary, Me, quota};
pub(crate) use video::{Video, resolution_label};

use crate::constants::{self, UNKNOWN};

/// A value with the words for it.
#[derive(Debug, Serialize)]
pub(crate) struct Labelled<I> {
    id: I,
    label: String,
}

impl<I> Labelled<I> {
    fn new(id: I, label: impl Into<String>) -> Self {
        Self {
            id,
            label: label.into(),
        }
    }
}

/// A number of a fixed list, or nothing.
fn numbered(list: &[(u16, &'static str)], id: Option<u16>) -> Labelled<Option<u16>> {
    Labelled::new(
        id,
        id.and_then(|id| constants::label(list, id)).unwrap_or(UNKNOWN),
    )
}

/// A time as ISO 8601 in UTC with milliseconds.
pub(crate) fn iso(time: Timestamp) -> String {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let instant = Instant::from_millisecond(millis).unwrap_or(Instant::MAX);
    instant.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_iso_8601_with_milliseconds() {
        assert_eq!(iso(Timestamp::from_millis(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            iso(Timestamp::from_millis(1_795_253_400_007)),
            "2026-11-21T09:30:00.007Z"
        );
        assert_eq!(iso(Timestamp::from_millis(u64::MAX)), "9999-12-30T22:00:00.999Z");
    }
}
