//! The about page: what this pod is, and who sees what, in plain words.

use askama::Template;

use super::Chrome;

/// What a visitor may want to know.
#[derive(Debug, Clone, Template)]
#[template(path = "about.html")]
pub struct AboutPage {
    /// What all pages share.
    pub chrome: Chrome,
    /// What its operator says about this pod; may be empty.
    pub description: String,
    /// This pod's id.
    pub pod_id: String,
    /// Version of the program.
    pub version: String,
}

impl AboutPage {
    /// The page as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        super::html(self)
    }
}
