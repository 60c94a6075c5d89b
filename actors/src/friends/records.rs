//! The form in which an entry of the friend list is stored, under the pod's 32 key bytes: a version byte, then
//! canonical CBOR.

use seedpod_protocol::codec::{self, CodecError};
use seedpod_protocol::ids::{PodId, Timestamp};
use serde::{Deserialize, Serialize};

use super::messages::{Phase, ScoreChange, ScoreReason};
use super::state::{Entry, Numbers, Seen};

const VERSION: u8 = 2;

/// More than the longest entry can be.
const MAX_ROW: usize = 64 * 1024;

/// Why a stored entry could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FriendRowError {
    #[error("a stored friend has no version")]
    Empty,
    #[error("a stored friend has version {0}, this program knows {VERSION}")]
    Newer(u8),
    #[error("a stored friend has the unknown phase {0}")]
    Phase(u8),
    #[error("a stored friend's score moved for the unknown reason {0}")]
    Reason(u8),
    #[error("a stored friend is damaged: {0}")]
    Codec(#[from] CodecError),
    #[error("a stored friend has a key that is no pod")]
    Key,
    #[error("the stored numbers of friends and invites are damaged")]
    Numbers,
}

#[derive(Serialize, Deserialize)]
struct RowV1 {
    number: u64,
    host: String,
    url: String,
    addresses: Vec<String>,
    phase: u8,
    score: u32,
    since: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct RowV2 {
    number: u64,
    host: String,
    url: String,
    addresses: Vec<String>,
    phase: u8,
    score: u32,
    since: Timestamp,
    by_operator: bool,
    version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed: Option<Changed>,
    /// Missing in rows of releases that did not know it: there the phase alone said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    turned_away: Option<bool>,
}

/// Why: 1 acknowledged, 2 unreachable.
#[derive(Serialize, Deserialize)]
struct Changed {
    by: i64,
    at: Timestamp,
    why: u8,
    text: String,
}

impl From<RowV1> for RowV2 {
    /// What the first version did not know: nobody dealt with by the operator's own hand may be lost.
    fn from(row: RowV1) -> Self {
        Self {
            number: row.number,
            host: row.host,
            url: row.url,
            addresses: row.addresses,
            phase: row.phase,
            score: row.score,
            since: row.since,
            by_operator: true,
            version: String::new(),
            cause: None,
            changed: None,
            turned_away: None,
        }
    }
}

impl Changed {
    fn of(change: &ScoreChange) -> Self {
        let (why, text) = match &change.reason {
            ScoreReason::Acknowledged => (1, String::new()),
            ScoreReason::Unreachable(text) => (2, text.clone()),
        };
        Self {
            by: change.by,
            at: change.at,
            why,
            text,
        }
    }

    fn into_change(self) -> Result<ScoreChange, FriendRowError> {
        let reason = match self.why {
            1 => ScoreReason::Acknowledged,
            2 => ScoreReason::Unreachable(self.text),
            other => return Err(FriendRowError::Reason(other)),
        };
        Ok(ScoreChange {
            by: self.by,
            at: self.at,
            reason,
        })
    }
}

/// Numbers of phases on disk; a retired one keeps its line.
const PHASES: [(u8, Phase); 7] = [
    (1, Phase::Asking),
    (2, Phase::AskedUs),
    (3, Phase::Friends),
    (4, Phase::EndedByThem),
    (5, Phase::EndedByUs),
    (6, Phase::Ejected),
    (7, Phase::Blocked),
];

pub(crate) fn encode(entry: &Entry) -> Vec<u8> {
    let phase = PHASES
        .iter()
        .find(|(_, phase)| *phase == entry.phase)
        .map_or(0, |(number, _)| *number);
    let row = RowV2 {
        number: entry.number,
        host: entry.host.clone(),
        url: entry.url.clone(),
        addresses: entry.addresses.clone(),
        phase,
        score: entry.score,
        since: entry.since,
        by_operator: entry.by_operator,
        version: entry.version.clone(),
        cause: entry.cause.clone(),
        changed: entry.changed.as_ref().map(Changed::of),
        turned_away: Some(entry.turned_away),
    };
    [&[VERSION], codec::encode(&row).as_slice()].concat()
}

/// The row under [`tables::META_FRIEND_NUMBERS`](crate::store::tables::META_FRIEND_NUMBERS).
pub(crate) fn encode_numbers(Numbers { entries, invites }: Numbers) -> Vec<u8> {
    [&[1][..], &entries.to_be_bytes(), &invites.to_be_bytes()].concat()
}

pub(crate) fn decode_numbers(row: &[u8]) -> Result<Numbers, FriendRowError> {
    match row.split_first().ok_or(FriendRowError::Empty)? {
        (1, body) => {
            let (entries, invites) = body.split_first_chunk().ok_or(FriendRowError::Numbers)?;
            let invites = invites.try_into().map_err(|_| FriendRowError::Numbers)?;
            Ok(Numbers {
                entries: u64::from_be_bytes(*entries),
                invites: u64::from_be_bytes(invites),
            })
        }
        (&found, _) => Err(FriendRowError::Newer(found)),
    }
}

pub(crate) fn decode(key: &[u8], row: &[u8]) -> Result<(PodId, Entry), FriendRowError> {
    let pod = key
        .try_into()
        .ok()
        .and_then(|key| PodId::from_bytes(key).ok())
        .ok_or(FriendRowError::Key)?;
    let row: RowV2 = match row.split_first().ok_or(FriendRowError::Empty)? {
        (1, body) => codec::decode::<RowV1>(body, MAX_ROW)?.into(),
        (&VERSION, body) => codec::decode(body, MAX_ROW)?,
        (&found, _) => return Err(FriendRowError::Newer(found)),
    };
    let phase = PHASES
        .iter()
        .find(|(number, _)| *number == row.phase)
        .ok_or(FriendRowError::Phase(row.phase))?
        .1;
    let entry = Entry {
        number: row.number,
        host: row.host,
        url: row.url,
        addresses: row.addresses,
        phase,
        score: row.score,
        since: row.since,
        by_operator: row.by_operator,
        version: row.version,
        cause: row.cause,
        changed: row.changed.map(Changed::into_change).transpose()?,
        turned_away: row.turned_away.unwrap_or(phase == Phase::EndedByUs),
        seen: Seen::default(),
    };
    Ok((pod, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_back_and_damaged_ones_refused() {
        let numbers = Numbers {
            entries: 7,
            invites: u64::MAX,
        };
        let row = encode_numbers(numbers);
        assert_eq!(decode_numbers(&row).ok(), Some(numbers));
        for damaged in [&[][..], &row[..16], &[&row[..], &[0]].concat(), &[2; 17]] {
            assert!(decode_numbers(damaged).is_err());
        }
    }
}
