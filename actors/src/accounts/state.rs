//! Who is known here and who has come in. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use seedpod_protocol::ids::{ChannelId, ContentHash, Timestamp};

use super::messages::{AccountsError, ListUsers, Role, Secret, User, UserPage, UserPatch, UserSort};

/// How long an access token opens the API.
pub(crate) const ACCESS_LIFE: Duration = Duration::from_secs(4 * 3600);

/// How long a refresh token buys new tokens.
pub(crate) const REFRESH_LIFE: Duration = Duration::from_secs(14 * 24 * 3600);

/// Sessions a user may have; a new one above it ends the one that would end first.
pub(crate) const MAX_SESSIONS_PER_USER: usize = 50;

/// The password of a user has so many characters.
const PASSWORD: std::ops::RangeInclusive<usize> = 6..=255;

/// The name of a user has so many characters.
const USERNAME: std::ops::RangeInclusive<usize> = 3..=20;

/// Longest email address, in bytes (RFC 5321).
const EMAIL_MAX: usize = 254;

/// Whether a user is there.
///
/// | phase | ends by |
/// |---|---|
/// | here | somebody who deletes the user |
/// | leaving | the last of what they own being removed |
/// | gone | –; the name stays taken, so that nobody poses as whoever had it |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Here = 0,
    Leaving = 1,
    Gone = 2,
}

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
    pub(crate) phase: Phase,
}

impl Account {
    /// What others may see.
    pub(crate) fn user(&self) -> Arc<User> {
        Arc::new(User {
            number: self.number,
            username: self.username.clone(),
            email: self.email.clone(),
            role: self.role,
            video_quota: self.video_quota,
            created_at: self.created_at,
            channels: self.channels.clone(),
        })
    }
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

    /// A user who is here.
    pub(crate) fn account(&self, username: &str) -> Option<&Account> {
        self.accounts
            .get(username)
            .filter(|account| account.phase == Phase::Here)
    }

    /// A user by number, in any phase but the last.
    pub(crate) fn by_number(&self, number: u64) -> Result<&Account, AccountsError> {
        let mut accounts = self.accounts.values();
        accounts
            .find(|account| account.number == number && account.phase != Phase::Gone)
            .ok_or(AccountsError::UnknownNumber(number))
    }

    pub(crate) fn user(&self, username: &str) -> Result<Arc<User>, AccountsError> {
        let account = self.account(username);
        let account = account.ok_or_else(|| AccountsError::UnknownUser(username.to_owned()))?;
        Ok(account.user())
    }

    fn here(&self) -> impl Iterator<Item = &Account> {
        self.accounts
            .values()
            .filter(|account| account.phase == Phase::Here)
    }

    /// The administrator who came first.
    pub(crate) fn first_administrator(&self) -> Option<Arc<User>> {
        let administrators = self.here().filter(|account| account.role == Role::Administrator);
        let first = administrators.min_by_key(|account| account.number);
        first.map(Account::user)
    }

    /// How many users are here.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.here().count()).unwrap_or(u32::MAX)
    }

    /// Those who are being deleted.
    pub(crate) fn leaving(&self) -> Vec<Arc<User>> {
        let leaving = |account: &&Account| account.phase == Phase::Leaving;
        self.accounts
            .values()
            .filter(leaving)
            .map(Account::user)
            .collect()
    }

    /// A page of users.
    pub(crate) fn page(&self, list: &ListUsers) -> UserPage {
        let search = list.search.as_deref().map(str::to_lowercase);
        let matches = |account: &&Account| {
            search.as_deref().is_none_or(|search| {
                let email = account.email.as_deref().unwrap_or_default().to_lowercase();
                account.username.contains(search) || email.contains(search)
            })
        };
        let mut rows: Vec<&Account> = self.here().filter(matches).collect();
        if list.sort == UserSort::Number {
            rows.sort_unstable_by_key(|account| account.number);
        }
        if list.descending {
            rows.reverse();
        }
        let page = rows.iter().skip(list.start).take(list.count);
        UserPage {
            total: rows.len(),
            rows: page.map(|account| account.user()).collect(),
        }
    }

    /// Whether somebody may come in under this name and address.
    ///
    /// # Errors
    /// A field that is not what it should be, a name or address that is taken, or as many users as there may be.
    pub(crate) fn may_come(
        &self,
        username: &str,
        email: Option<&str>,
        limit: Option<u32>,
    ) -> Result<(), AccountsError> {
        check_username(username)?;
        if limit.is_some_and(|limit| self.count() >= limit) {
            return Err(AccountsError::Full);
        }
        if self.accounts.contains_key(username) {
            return Err(AccountsError::UsernameTaken(username.to_owned()));
        }
        email.map_or(Ok(()), |email| self.check_email(email, None))
    }

    fn check_email(&self, email: &str, of: Option<u64>) -> Result<(), AccountsError> {
        check_email(email)?;
        let same = |account: &Account| {
            let held = account.email.as_deref();
            Some(account.number) != of && held.is_some_and(|held| held.eq_ignore_ascii_case(email))
        };
        match self.accounts.values().any(same) {
            true => Err(AccountsError::EmailTaken),
            false => Ok(()),
        }
    }

    /// A user as a change would leave them; their password is changed elsewhere.
    ///
    /// # Errors
    /// No such user, a bad or taken address, or the last administrator.
    pub(crate) fn patched(&self, number: u64, patch: &UserPatch) -> Result<Account, AccountsError> {
        let held = self.by_number(number)?;
        if held.phase != Phase::Here {
            return Err(AccountsError::UnknownNumber(number));
        }
        let mut account = held.clone();
        if let Some(email) = &patch.email {
            if let Some(email) = email {
                self.check_email(email, Some(number))?;
            }
            account.email.clone_from(email);
        }
        if let Some(role) = patch.role {
            let is_another = |other: &Account| other.number != number && other.role == Role::Administrator;
            if role != Role::Administrator && !self.here().any(is_another) {
                return Err(AccountsError::Indispensable("the last administrator stays one"));
            }
            account.role = role;
        }
        if let Some(quota) = patch.video_quota {
            account.video_quota = quota;
        }
        Ok(account)
    }

    /// A user as they are from the moment on in which somebody deletes them.
    ///
    /// # Errors
    /// No such user, or the first one.
    pub(crate) fn leaves(&self, number: u64) -> Result<Account, AccountsError> {
        let held = self.by_number(number)?;
        let first = self.accounts.values().map(|account| account.number).min();
        if first == Some(number) {
            return Err(AccountsError::Indispensable(
                "the first user of a pod cannot be deleted",
            ));
        }
        Ok(Account {
            phase: Phase::Leaving,
            ..held.clone()
        })
    }

    /// What stays of a user who is gone.
    ///
    /// # Errors
    /// Nobody of this number is leaving.
    pub(crate) fn left(&self, number: u64) -> Result<Account, AccountsError> {
        let held = self.by_number(number)?;
        if held.phase != Phase::Leaving {
            return Err(AccountsError::UnknownNumber(number));
        }
        Ok(Account {
            number,
            username: held.username.clone(),
            email: None,
            role: Role::User,
            video_quota: Some(0),
            created_at: held.created_at,
            password_hash: String::new(),
            channels: Vec::new(),
            phase: Phase::Gone,
        })
    }

    /// A user without one of their channels, the last of which somebody who is here keeps.
    ///
    /// # Errors
    /// No such user or channel, or the last one.
    pub(crate) fn without_channel(
        &self,
        username: &str,
        channel: &ChannelId,
    ) -> Result<Account, AccountsError> {
        let held = self.accounts.get(username);
        let held = held.filter(|account| account.channels.contains(channel));
        let mut account = held
            .cloned()
            .ok_or_else(|| AccountsError::UnknownUser(username.to_owned()))?;
        if account.channels.len() == 1 && account.phase == Phase::Here {
            return Err(AccountsError::Indispensable(
                "the last channel of a user cannot be removed",
            ));
        }
        account.channels.retain(|held| held != channel);
        Ok(account)
    }

    /// Ends all sessions of a user but one.
    pub(crate) fn end_all(&mut self, username: &str, keep: Option<&ContentHash>) -> SessionChange {
        let of_user = |(access, session): &(&ContentHash, &Session)| {
            session.username == username && Some(*access) != keep
        };
        let ended: Vec<ContentHash> = self
            .sessions
            .iter()
            .filter(of_user)
            .map(|(access, _)| *access)
            .collect();
        let drop_one = |access| Some((access, self.drop_session(&access)?));
        SessionChange {
            begun: None,
            ended: ended.into_iter().filter_map(drop_one).collect(),
        }
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

/// Checks the name of a user: 3 to 20 characters of `a-z 0-9 . _`.
fn check_username(name: &str) -> Result<(), AccountsError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_');
    if !USERNAME.contains(&name.chars().count()) {
        return Err(field("username", "must have 3 to 20 characters"));
    }
    if !name.chars().all(allowed) {
        return Err(field(
            "username",
            "may hold lower-case letters, digits, dots and underscores only",
        ));
    }
    Ok(())
}

/// Checks a new password: 6 to 255 characters.
pub(crate) fn check_password(password: &Secret) -> Result<(), AccountsError> {
    if PASSWORD.contains(&password.0.chars().count()) {
        Ok(())
    } else {
        Err(field("password", "must have 6 to 255 characters"))
    }
}

/// Checks that an address could be one. Whether it is, only a letter would show.
fn check_email(email: &str) -> Result<(), AccountsError> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';' | '"');
    let parts = email.split_once('@');
    let is_one =
        parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'));
    if is_one && email.len() <= EMAIL_MAX && !email.contains(odd) {
        Ok(())
    } else {
        Err(field("email", "is no email address"))
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
