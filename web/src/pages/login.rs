//! The login form.

use askama::Template;

use super::Chrome;

/// Asks for a name and a password.
#[derive(Debug, Clone, Template)]
#[template(path = "login.html")]
pub struct LoginPage {
    /// What all pages share.
    pub chrome: Chrome,
    /// The name typed last.
    pub username: String,
    /// Where to go afterwards, a path of this pod.
    pub next: String,
    /// Whether people may come in by themselves.
    pub signup: bool,
    /// Why the last try failed, with the next step.
    pub error: Option<String>,
}

impl LoginPage {
    /// The page as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        super::html(self)
    }
}
