//! The form in which a record is stored, under author (32 bytes) ‖ register key (32 bytes).
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 4 | this pod's number for the object, big-endian |
//! | 4 | seconds since the Unix epoch when the register's first record arrived, big-endian |
//! | 32 | the pod that handed the head over |
//! | rest | the envelope, as it was received |

use seedpod_protocol::envelope::{Envelope, EnvelopeError, RegisterKey};
use seedpod_protocol::ids::{IdError, PodId};

const VERSION: u8 = 1;
const NOTES_LEN: usize = 1 + 4 + 4 + PodId::LEN;

/// An envelope and the notes this pod keeps beside it.
#[derive(Debug, Clone)]
pub(crate) struct StoredRecord {
    pub(crate) number: u32,
    pub(crate) received_s: u32,
    pub(crate) via: PodId,
    pub(crate) envelope: Envelope,
}

/// Why a stored record could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoredRecordError {
    #[error("a stored record of {0} bytes is too short")]
    Short(usize),
    #[error("a stored record has version {found}, this program knows {VERSION}")]
    Newer { found: u8 },
    #[error("a stored record names no pod it came through: {0}")]
    Via(#[from] IdError),
    #[error("a stored envelope is damaged: {0}")]
    Envelope(#[from] EnvelopeError),
}

/// The row under which the head of a register is stored.
pub(crate) fn row_key(author: &PodId, key: &RegisterKey) -> Vec<u8> {
    [author.as_bytes().as_slice(), key.as_bytes().as_slice()].concat()
}

impl StoredRecord {
    pub(crate) fn encode(number: u32, received_s: u32, via: &PodId, envelope: &[u8]) -> Vec<u8> {
        let mut row = Vec::with_capacity(NOTES_LEN + envelope.len());
        row.push(VERSION);
        row.extend_from_slice(&number.to_be_bytes());
        row.extend_from_slice(&received_s.to_be_bytes());
        row.extend_from_slice(via.as_bytes());
        row.extend_from_slice(envelope);
        row
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, StoredRecordError> {
        if let Some(&found) = row.first()
            && found != VERSION
        {
            return Err(StoredRecordError::Newer { found });
        }
        let notes: &[u8; NOTES_LEN] = row.first_chunk().ok_or(StoredRecordError::Short(row.len()))?;
        let [_, n0, n1, n2, n3, r0, r1, r2, r3, via @ ..] = *notes;
        Ok(Self {
            number: u32::from_be_bytes([n0, n1, n2, n3]),
            received_s: u32::from_be_bytes([r0, r1, r2, r3]),
            via: PodId::from_bytes(via)?,
            envelope: Envelope::decode(&row[NOTES_LEN..])?,
        })
    }
}
