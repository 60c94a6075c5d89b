//! The form by which people come in by themselves.

use askama::Template;

use super::Chrome;

/// Asks for a name, an address and a password.
#[derive(Debug, Clone, Template)]
#[template(path = "signup.html")]
pub struct SignupPage {
    /// What all pages share.
    pub chrome: Chrome,
    /// Whether the pod takes anybody now.
    pub is_open: bool,
    /// The name typed last.
    pub username: String,
    /// The address typed last.
    pub email: String,
    /// Bytes of video that a new user may keep; `None` means as many as the disk holds.
    pub quota: Option<u64>,
    /// Why the last try failed, with the next step.
    pub error: Option<String>,
}

impl SignupPage {
    /// The page as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        super::html(self)
    }

    fn quota_text(&self) -> Option<String> {
        self.quota.map(super::format::bytes)
    }
}
