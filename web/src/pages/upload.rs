//! The upload form, and the fields it shares with the edit form.

use askama::Template;

use super::{Chrome, bytes, clock};

/// One option of a list.
#[derive(Debug, Clone)]
pub struct Choice {
    /// What the form sends.
    pub value: String,
    /// What people read.
    pub label: String,
    /// Is the one chosen.
    pub selected: bool,
}

/// What people say about a video: the fields of the upload and of the edit form.
#[derive(Debug, Clone, Default)]
pub struct VideoFields {
    /// The title, 3 to 120 characters.
    pub name: String,
    /// The description.
    pub description: String,
    /// Key words, between commas.
    pub tags: String,
    /// Not for everyone.
    pub nsfw: bool,
    /// The person's channels; on the edit form empty, a video stays in its channel.
    pub channels: Vec<Choice>,
    /// Categories.
    pub categories: Vec<Choice>,
    /// Licences.
    pub licences: Vec<Choice>,
    /// Languages.
    pub languages: Vec<Choice>,
    /// Who may watch.
    pub privacies: Vec<Choice>,
}

/// The form that takes a video.
#[derive(Debug, Clone, Template)]
#[template(path = "upload.html")]
pub struct UploadPage {
    /// What all pages share.
    pub chrome: Chrome,
    /// What was typed so far.
    pub fields: VideoFields,
    /// Why the last try failed.
    pub error: Option<String>,
    /// The largest file this pod takes, in bytes.
    pub max_bytes: Option<u64>,
    /// The longest video this pod takes, in seconds.
    pub max_seconds: Option<u64>,
}

impl UploadPage {
    /// The page as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        super::html(self)
    }

    /// "Up to 2 GB and 0:14 long", or nothing when there is no limit.
    fn limits(&self) -> Option<String> {
        match (self.max_bytes, self.max_seconds) {
            (Some(size), Some(length)) => Some(format!("up to {} and {} long", bytes(size), clock(length))),
            (Some(size), None) => Some(format!("up to {}", bytes(size))),
            (None, Some(length)) => Some(format!("up to {} long", clock(length))),
            (None, None) => None,
        }
    }
}
