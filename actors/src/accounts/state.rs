//! Who is known here and who has come in. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use seedpod_protocol::ids::{ChannelId, ContentHash, Timestamp};

use super::messages::{AccountsError, Role, User};

/// How long an access token opens the API.
pub(crate) const ACCESS_LIFE: Duration = Duration::from_secs(4 * 3600);

/// How long a refresh token buys new tokens.
pub(crate) const REFRESH_LIFE: Duration = Duration::from_secs(14 * 24 * 3600);

/// Sessions a user may have; a new one above it ends the one that would end first.
pub(crate) const MAX_SESSIONS_PER_USER: usize = 50;

/// A user with what is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) number: u64,
    pub(crate) username: String,
    pub(crate) email: Option<String>,
    pub(crate) role: Role,
    pub(crate) video_quota: Option<u64>,
    pub(crate) created_at: Timestamp,
    pub(crate) password_hash: String,
    pub(crate) channels: Vec<ChannelId>,
}

/// A login that has not ended. Found by the hash of its access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) username: String,
    pub(crate) refresh: ContentHash,
    pub(crate) access_ends: Timestamp,
    pub(crate) refresh_ends: Timestamp,
}

/// The hashes of a fresh pair of tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenHashes {
    pub(crate) access: ContentHash,
    pub(crate) refresh: ContentHash,
}

/// What a change of sessions writes and deletes, by access hash; enough to undo it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionChange {
    pub(crate) begun: Option<(ContentHash, Session)>,
    pub(crate) ended: Vec<(ContentHash, Session)>,
}

/// All users and sessions.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    accounts: BTreeMap<String, Account>,
    sessions: HashMap<ContentHash, Session>,
    by_refresh: HashMap<ContentHash, ContentHash>,
    last_number: u64,
}

impl Accounts {
    /// Takes back a user, or replaces one.
    pub(crate) fn put(&mut self, account: Account) {
        self.last_number = self.last_number.max(account.number);
        self.accounts.insert(account.username.clone(), account);
    }

    /// Takes back a session that an earlier run stored.
    pub(crate) fn restore_session(&mut self, access: ContentHash, session: Session) {
        self.by_refresh.insert(session.refresh, access);
        self.sessions.insert(access, session);
    }

    /// Whether there is no user at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.last_number + 1
    }

    pub(crate) fn account(&self, username: &str) -> Option<&Account> {
        self.accounts.get(username)
    }

    pub(crate) fn user(&self, username: &str) -> Result<Arc<User>, AccountsError> {
        let account = self
            .accounts
            .get(username)
            .ok_or_else(|| AccountsError::UnknownUser(username.to_owned()))?;
        Ok(Arc::new(User {
            number: account.number,
            username: account.username.clone(),
            email: account.email.clone(),
            role: account.role,
            video_quota: account.video_quota,
            created_at: account.created_at,
            channels: account.channels.clone(),
        }))
    }

    /// Begins a session for a user whose password was right.
    pub(crate) fn begin(&mut self, username: &str, tokens: TokenHashes, now: Timestamp) -> SessionChange {
        let mut leaving = self.expired(now);
        let mut own: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.username == username && session.refresh_ends > now)
            .map(|(access, session)| (session.refresh_ends, *access))
            .collect();
        own.sort_unstable();
        let surplus = (own.len() + 1).saturating_sub(MAX_SESSIONS_PER_USER);
        leaving.extend(own.into_iter().take(surplus).map(|(_, access)| access));
        let drop_one = |access| Some((access, self.drop_session(&access)?));
        let ended = leaving.into_iter().filter_map(drop_one).collect();
        let session = Session {
            username: username.to_owned(),
            refresh: tokens.refresh,
            access_ends: now.saturating_add(ACCESS_LIFE),
            refresh_ends: now.saturating_add(REFRESH_LIFE),
        };
        self.restore_session(tokens.access, session.clone());
        SessionChange {
            begun: Some((tokens.access, session)),
            ended,
        }
    }

    /// Trades a refresh token: its session ends and a new one begins.
    pub(crate) fn refresh(
        &mut self,
        refresh: &ContentHash,
        tokens: TokenHashes,
        now: Timestamp,
    ) -> Result<(String, SessionChange), AccountsError> {
        let access = *self.by_refresh.get(refresh).ok_or(AccountsError::BadToken)?;
        let session = self
            .sessions
            .get(&access)
            .filter(|session| session.refresh_ends > now);
        if session.is_none() {
            // Its row goes with the next session that begins.
            return Err(AccountsError::BadToken);
        }
        let session = self.drop_session(&access).ok_or(AccountsError::BadToken)?;
        let username = session.username.clone();
        let mut change = self.begin(&username, tokens, now);
        change.ended.push((access, session));
        Ok((username, change))
    }

    /// Ends a session.
    pub(crate) fn end(&mut self, access: &ContentHash) -> Result<SessionChange, AccountsError> {
        let session = self.drop_session(access).ok_or(AccountsError::BadToken)?;
        Ok(SessionChange {
            begun: None,
            ended: vec![(*access, session)],
        })
    }

    /// Takes back a change that did not reach the disk.
    pub(crate) fn undo(&mut self, change: SessionChange) {
        if let Some((access, _)) = change.begun {
            self.drop_session(&access);
        }
        for (access, session) in change.ended {
            self.restore_session(access, session);
        }
    }

    /// Whose access token this is.
    pub(crate) fn authenticate(
        &self,
        access: &ContentHash,
        now: Timestamp,
    ) -> Result<Arc<User>, AccountsError> {
        let session = self
            .sessions
            .get(access)
            .filter(|session| session.access_ends > now);
        let session = session.ok_or(AccountsError::BadToken)?;
        self.user(&session.username).map_err(|_| AccountsError::BadToken)
    }

    fn expired(&self, now: Timestamp) -> Vec<ContentHash> {
        let over =
            |(access, session): (&ContentHash, &Session)| (session.refresh_ends <= now).then_some(*access);
        self.sessions.iter().filter_map(over).collect()
    }

    fn drop_session(&mut self, access: &ContentHash) -> Option<Session> {
        let session = self.sessions.remove(access)?;
        self.by_refresh.remove(&session.refresh);
        Some(session)
    }

    /// Panics when an invariant is broken.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        assert_eq!(
            self.sessions.len(),
            self.by_refresh.len(),
            "each session is found by both its tokens"
        );
        for (refresh, access) in &self.by_refresh {
            assert_eq!(self.sessions[access].refresh, *refresh);
        }
        let mut per_user: HashMap<&str, usize> = HashMap::new();
        for session in self.sessions.values() {
            *per_user.entry(&session.username).or_default() += 1;
        }
        assert!(per_user.values().all(|count| *count <= MAX_SESSIONS_PER_USER));
    }
}

/// Checks the handle of a channel: 1 to 50 characters of `a-z 0-9 . _ -`.
pub(crate) fn check_handle(name: &str) -> Result<(), AccountsError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 50 {
        return Err(field("name", "must have 1 to 50 characters"));
    }
    if !name.chars().all(allowed) {
        return Err(field(
            "name",
            "may hold lower-case letters, digits, dots, hyphens and underscores only",
        ));
    }
    Ok(())
}

pub(crate) fn field(field: &'static str, problem: &str) -> AccountsError {
    AccountsError::Field {
        field,
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
