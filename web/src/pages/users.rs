//! The users of this pod, for its administrators.

use askama::Template;

use super::{Chrome, Pager, count};

/// The list of users, and the form that makes one.
#[derive(Debug, Clone, Template)]
#[template(path = "users.html")]
pub struct UsersPage {
    /// What all pages share.
    pub chrome: Chrome,
    /// The users of this page, in the order in which they came.
    pub rows: Vec<UserRow>,
    /// How many there are.
    pub total: usize,
    /// Whether people may come by themselves, and how many users there may be then.
    pub signup: Option<Option<u32>>,
    /// Why the last form was refused, with the next step.
    pub error: Option<String>,
    /// Links to the other pages.
    pub pager: Pager,
}

/// One user.
#[derive(Debug, Clone)]
pub struct UserRow {
    /// Their number.
    pub id: u64,
    /// Their name.
    pub username: String,
    /// Where to write to.
    pub email: Option<String>,
    /// 0 administrator, 1 moderator, 2 user.
    pub role: u8,
    /// When they came, in milliseconds since the Unix epoch.
    pub since: u64,
    /// Bytes of video they may keep; `None` means as many as the disk holds.
    pub quota: Option<u64>,
    /// The first user, who stays.
    pub is_first: bool,
}

/// What a user may do, by number.
pub const ROLES: [(u8, &str); 3] = [(0, "Administrator"), (1, "Moderator"), (2, "User")];

impl UsersPage {
    /// The page as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        super::html(self)
    }

    fn total_text(&self) -> String {
        let users = count(u64::try_from(self.total).unwrap_or(u64::MAX), "user");
        match self.signup {
            None => format!("{users} · nobody signs up by themselves"),
            Some(None) => format!("{users} · anybody may sign up"),
            Some(Some(most)) => format!("{users} · anybody may sign up until there are {most}"),
        }
    }
}

impl UserRow {
    fn quota_text(&self) -> String {
        self.quota
            .map_or_else(|| "no limit".to_owned(), super::format::bytes)
    }
}
