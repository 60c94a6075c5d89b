//! The page for everything that went wrong: what happened, and what to do next.

use askama::Template;

use super::Chrome;

/// An error for people.
#[derive(Debug, Clone, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// What all pages share.
    pub chrome: Chrome,
    /// The HTTP status.
    pub status: u16,
    /// What happened, in a sentence of its own; `None` for the usual words of the status.
    pub detail: Option<String>,
}

impl ErrorPage {
    /// The page as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        super::html(self)
    }

    /// A heading for the status.
    fn heading(&self) -> &'static str {
        match self.status {
            400 => "That request made no sense here",
            401 => "Please log in first",
            403 => "This is not yours to change",
            404 => "Nothing here",
            409 => "That does not fit what is here",
            413 => "That file is too large",
            415 => "That is not a video this pod can read",
            429 => "Too many tries",
            503 => "This pod is busy",
            500.. => "Something broke on our side",
            _ => "That did not work",
        }
    }

    /// What to do next.
    fn next_step(&self) -> &'static str {
        match self.status {
            400 | 409 | 413 | 415 => "Go back, change what you sent and try again.",
            401 => "Log in, and you are led on from there.",
            403 => "Log in as somebody who may, or go back.",
            404 => {
                "The link may be mistyped, or its author removed it: a removed video disappears from every pod of the network. Try the search."
            }
            429 | 503 => "Wait a minute and try again.",
            _ => {
                "Try again; if it stays like this, tell the person who runs this pod. Its log has the cause."
            }
        }
    }
}
