//! The forms in which users and sessions are stored: a version byte, then canonical CBOR.

use seedpod_protocol::codec::{self, CodecError};
use seedpod_protocol::ids::{ChannelId, ContentHash, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::messages::Role;
use super::state::{Account, Phase, Session};

const VERSION: u8 = 1;

/// More than the longest row can be.
const MAX_ROW: usize = 64 * 1024;

/// Why a row could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountRowError {
    #[error("a stored account or session has no version")]
    Empty,
    #[error("a stored account or session has version {0}, this program knows {VERSION}")]
    Newer(u8),
    #[error("a stored account has the unknown role {0}")]
    Role(u8),
    #[error("a stored account has the unknown phase {0}")]
    Phase(u8),
    #[error("a stored account or session is damaged: {0}")]
    Codec(#[from] CodecError),
}

#[derive(Serialize, Deserialize)]
struct AccountV1 {
    number: u64,
    username: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    role: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quota: Option<u64>,
    created_at: Timestamp,
    password: String,
    channels: Vec<ChannelId>,
    /// 0 here, 1 being deleted, 2 gone.
    #[serde(default, skip_serializing_if = "is_zero")]
    phase: u8,
}

#[derive(Serialize, Deserialize)]
struct SessionV1 {
    username: String,
    refresh: ContentHash,
    access_ends: Timestamp,
    refresh_ends: Timestamp,
}

pub(crate) fn encode_account(account: &Account) -> Vec<u8> {
    versioned(&AccountV1 {
        number: account.number,
        username: account.username.clone(),
        email: account.email.clone(),
        role: account.role as u8,
        quota: account.video_quota,
        created_at: account.created_at,
        password: account.password_hash.clone(),
        channels: account.channels.clone(),
        phase: account.phase as u8,
    })
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_zero(phase: &u8) -> bool {
    *phase == 0
}

pub(crate) fn decode_account(row: &[u8]) -> Result<Account, AccountRowError> {
    let row: AccountV1 = body(row)?;
    Ok(Account {
        number: row.number,
        username: row.username,
        email: row.email,
        role: match row.role {
            0 => Role::Administrator,
            1 => Role::Moderator,
            2 => Role::User,
            other => return Err(AccountRowError::Role(other)),
        },
        video_quota: row.quota,
        created_at: row.created_at,
        password_hash: row.password,
        channels: row.channels,
        phase: match row.phase {
            0 => Phase::Here,
            1 => Phase::Leaving,
            2 => Phase::Gone,
            other => return Err(AccountRowError::Phase(other)),
        },
    })
}

pub(crate) fn encode_session(session: &Session) -> Vec<u8> {
    versioned(&SessionV1 {
        username: session.username.clone(),
        refresh: session.refresh,
        access_ends: session.access_ends,
        refresh_ends: session.refresh_ends,
    })
}

pub(crate) fn decode_session(row: &[u8]) -> Result<Session, AccountRowError> {
    let row: SessionV1 = body(row)?;
    Ok(Session {
        username: row.username,
        refresh: row.refresh,
        access_ends: row.access_ends,
        refresh_ends: row.refresh_ends,
    })
}

fn versioned<T: Serialize>(row: &T) -> Vec<u8> {
    [&[VERSION], codec::encode(row).as_slice()].concat()
}

fn body<T: Serialize + DeserializeOwned>(row: &[u8]) -> Result<T, AccountRowError> {
    match row.split_first().ok_or(AccountRowError::Empty)? {
        (&VERSION, body) => Ok(codec::decode(body, MAX_ROW)?),
        (&found, _) => Err(AccountRowError::Newer(found)),
    }
}
