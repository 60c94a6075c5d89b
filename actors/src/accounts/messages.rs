//! What may be said to the accounts.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use actix::Message;
use seedpod_protocol::envelope::Verified;
use seedpod_protocol::ids::{ChannelId, Timestamp};
use seedpod_protocol::records::{Channel, Record};

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

/// From now on, and until the room ends, this token opens the API as the first administrator. It is kept in memory alone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AdmitOperator(
    /// The token.
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

/// Changes what a channel says of itself. Whether whoever asks may do so is for the asker to know.
#[derive(Debug, Message)]
#[rtype(result = "Result<Verified<Record>, AccountsError>")]
pub struct UpdateChannel {
    /// Which, one of this pod.
    pub id: ChannelId,
    /// The channel as it is to be; its nonce, handle and owner stay those of the one that is there.
    pub channel: Channel,
}

/// Removes a channel for good. The last one of a user who is here stays. What was published in it is for the asker to remove
/// first.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), AccountsError>")]
pub struct RemoveChannel {
    /// Which.
    pub id: ChannelId,
    /// Whose.
    pub owner: String,
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

/// Makes a user and their first channel. Written before it is answered.
#[derive(Debug, Message)]
#[rtype(result = "Result<Arc<User>, AccountsError>")]
pub struct CreateUser {
    /// 3 to 20 characters of `a-z 0-9 . _`; one that was ever used here is taken for good.
    pub username: String,
    /// 6 to 255 characters.
    pub password: Secret,
    /// Where to write to; nobody else's.
    pub email: Option<String>,
    /// What they may do.
    pub role: Role,
    /// Bytes of video they may keep; `None` means as many as the disk holds.
    pub video_quota: Option<u64>,
    /// Refused when there are so many users already; `None` knows no limit.
    pub limit: Option<u32>,
}

/// In which order users are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserSort {
    /// By their numbers, which is by when they came.
    Number,
    /// By their names.
    Username,
}

/// Asks for a page of users.
#[derive(Debug, Message)]
#[rtype(result = "UserPage")]
pub struct ListUsers {
    /// Only those whose name or address holds this, without regard to case.
    pub search: Option<String>,
    /// In which order.
    pub sort: UserSort,
    /// The other way round.
    pub descending: bool,
    /// How many to skip.
    pub start: usize,
    /// How many to give.
    pub count: usize,
}

/// One page of users.
#[derive(Debug, Clone, Default)]
pub struct UserPage {
    /// Users that match, on this page or not.
    pub total: usize,
    /// Those of the page.
    pub rows: Vec<Arc<User>>,
}

/// Asks for a user by number; one that is being deleted is gone.
#[derive(Debug, Message)]
#[rtype(result = "Result<Arc<User>, AccountsError>")]
pub struct GetUser(
    /// The number.
    pub u64,
);

/// Asks how many users there are.
#[derive(Debug, Message)]
#[rtype(result = "u32")]
pub struct CountUsers;

/// What changes about a user; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct UserPatch {
    /// A new password: all their sessions end but the one that is kept.
    pub password: Option<Secret>,
    /// Where to write to, or nowhere.
    pub email: Option<Option<String>>,
    /// What they may do. The last administrator stays one.
    pub role: Option<Role>,
    /// Bytes of video they may keep, or as many as the disk holds.
    pub video_quota: Option<Option<u64>>,
}

/// Changes a user. Written before it is answered.
#[derive(Debug, Message)]
#[rtype(result = "Result<Arc<User>, AccountsError>")]
pub struct UpdateUser {
    /// Who, by number.
    pub number: u64,
    /// What.
    pub patch: UserPatch,
    /// The access token of the session that outlives a new password.
    pub keep: Option<Secret>,
}

/// Asks whether a password is a user's, as a login would: wrong ones make the address wait.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), AccountsError>")]
pub struct CheckPassword {
    /// Where they come from.
    pub from: IpAddr,
    /// Who they are.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// Begins to delete a user: from now on they are nobody, and what they own is to be removed. Whoever asks twice is answered
/// twice. The first user stays.
#[derive(Debug, Message)]
#[rtype(result = "Result<Arc<User>, AccountsError>")]
pub struct BeginDeparture(
    /// The number.
    pub u64,
);

/// Ends it, once nothing is left of what they owned: what remains is their name, which nobody else gets.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), AccountsError>")]
pub struct EndDeparture(
    /// The number.
    pub u64,
);

/// Asks who is being deleted: a pod that stopped in the middle of it goes on when it starts.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Arc<User>>")]
pub struct ListDepartures;

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
    /// The name is taken, or was once.
    #[error("the username `{0}` is taken")]
    UsernameTaken(String),
    /// The address is somebody else's.
    #[error("somebody here has this email address")]
    EmailTaken,
    /// There are as many users as there may be.
    #[error("this pod takes no more users")]
    Full,
    /// The first user, or the last administrator.
    #[error("{0}")]
    Indispensable(&'static str),
    /// No user has this number.
    #[error("there is no user {0}")]
    UnknownNumber(u64),
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
