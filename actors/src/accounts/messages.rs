//! What may be said to the accounts.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use actix::Message;
use seedpod_protocol::envelope::Verified;
use seedpod_protocol::ids::{ChannelId, Timestamp};
use seedpod_protocol::records::Record;

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything.
    Administrator = 0,
    /// Everything about content.
    Moderator = 1,
    /// Their own things.
    User = 2,
}

/// A user, without anything secret.
#[derive(Debug, Clone)]
pub struct User {
    /// A small number that names the user on this pod.
    pub number: u64,
    /// 3 to 20 characters of `a-z 0-9 . _`.
    pub username: String,
    /// Where to write to.
    pub email: Option<String>,
    /// What they may do.
    pub role: Role,
    /// Bytes of video they may keep; `None` means as many as the disk holds.
    pub video_quota: Option<u64>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// Their channels, oldest first; never empty.
    pub channels: Vec<ChannelId>,
}

/// A secret that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(
    /// The text.
    pub String,
);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What a login gives. Only hashes of the tokens are stored.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Opens the API for `expires_in` seconds.
    pub access: Secret,
    /// Buys new tokens, once, for `refresh_expires_in` seconds.
    pub refresh: Secret,
    /// Seconds.
    pub expires_in: u64,
    /// Seconds.
    pub refresh_expires_in: u64,
}

/// Logs in. An address that was wrong too often waits, and has few logins checked at once.
#[derive(Debug, Message)]
#[rtype(result = "Result<(Tokens, Arc<User>), AccountsError>")]
pub struct Login {
    /// Where they come from.
    pub from: IpAddr,
    /// Who they say they are.
    pub username: String,
    /// The password; hashing it takes a while and few are hashed at once.
    pub password: Secret,
}

/// Trades a refresh token for new tokens; the old pair ends.
#[derive(Debug, Message)]
#[rtype(result = "Result<(Tokens, Arc<User>), AccountsError>")]
pub struct Refresh(
    /// The refresh token.
    pub Secret,
);

/// Ends the session of an access token.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), AccountsError>")]
pub struct Logout(
    /// The access token.
    pub Secret,
);

/// Asks whose access token this is.
#[derive(Debug, Message)]
#[rtype(result = "Result<Arc<User>, AccountsError>")]
pub struct Authenticate(
    /// The access token.
    pub Secret,
);

/// Makes a channel for a user and publishes it.
#[derive(Debug, Message)]
#[rtype(result = "Result<Verified<Record>, AccountsError>")]
pub struct CreateChannel {
    /// Whose.
    pub username: String,
    /// Handle: 1 to 50 characters of `a-z 0-9 . _ -`, unique on this pod.
    pub name: String,
    /// 1 to 120 characters.
    pub display_name: String,
    /// At most 1000 characters.
    pub description: Option<String>,
}

/// The application's id and secret, which clients of the API send along when they log in. They keep nothing
/// safe; they exist because clients expect them.
#[derive(Debug, Clone)]
pub struct OAuthClient {
    /// Id.
    pub id: String,
    /// Not a secret, in spite of its name.
    pub secret: String,
}

/// Asks for the application's id and secret.
#[derive(Debug, Message)]
#[rtype(result = "OAuthClient")]
pub struct GetOAuthClient;

/// Why the accounts refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AccountsError {
    /// Unknown user or wrong password; never says which.
    #[error("the username or the password is wrong")]
    WrongCredentials,
    /// Too many passwords from this address were wrong; none is looked at for now.
    #[error("too many wrong logins from your address, try again in {}", in_words(*.seconds))]
    Wait {
        /// When one is looked at again, rounded up.
        seconds: u64,
    },
    /// Too many logins are being checked.
    #[error("too many logins at once, try again in a moment")]
    Busy,
    /// Unknown, ended or expired token.
    #[error("the token is unknown or has expired")]
    BadToken,
    /// The handle is taken.
    #[error("the channel name `{0}` is taken")]
    ChannelTaken(String),
    /// A field is not what it should be.
    #[error("{field}: {problem}")]
    Field {
        /// The field, as the API names it.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The user is gone.
    #[error("there is no user `{0}`")]
    UnknownUser(String),
    /// The disk is full; the same may be tried again later.
    #[error("there is no room left on the disk")]
    DiskFull,
    /// The disk refused.
    #[error("{0}")]
    Store(String),
}

/// A wait as people say it, rounded up.
fn in_words(seconds: u64) -> String {
    if seconds > 90 {
        format!("{} minutes", seconds.div_ceil(60))
    } else {
        format!("{seconds} s")
    }
}
