//! The people of this pod: users, their channels, their sessions.
//!
//! Passwords are hashed with argon2id, at most a few at once, on blocking threads. Tokens are random and opaque; only
//! their hashes are stored, so a stolen disk opens no session. A user and its channels are written in the same
//! transaction as the channel's record: neither exists without the other.
//!
//! - [`state`] holds users and sessions and decides who may come in; pure.
//! - [`guesses`] makes whoever guesses wait; pure.
//! - [`passwords`] hashes and compares; [`actor`] is the shell, [`people`] that of users as they come, change and leave.
//!
//! The room does not know what a cookie or a header is.

pub mod actor;
mod guesses;
pub mod messages;
mod metrics;
mod passwords;
mod people;
mod records;
mod state;
#[cfg(test)]
mod tests;

pub use actor::{AccountsActor, FirstStart, FirstUser, open};
pub use metrics::AccountsMetrics;
