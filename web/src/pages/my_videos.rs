//! The videos of the person logged in: a list, and the form that edits one.

use askama::Template;

use super::{Chrome, Pager, VideoFields, count};

/// One row of the list.
#[derive(Debug, Clone)]
pub struct MyVideo {
    /// The video's uuid.
    pub uuid: String,
    /// The title.
    pub title: String,
    /// Path of the watch page.
    pub url: String,
    /// Address of the small picture.
    pub thumbnail: Option<String>,
    /// Length in seconds.
    pub duration: u64,
    /// Label of who may watch.
    pub privacy: String,
    /// What happens with it right now, if anything ("Making the picture"), in words.
    pub state: Option<String>,
    /// Views, all pods together.
    pub views: u64,
    /// When it was published, in milliseconds since the Unix epoch.
    pub published_at: u64,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "my_videos.html")]
pub struct MyVideosPage {
    /// What all pages share.
    pub chrome: Chrome,
    /// The rows of this page.
    pub videos: Vec<MyVideo>,
    /// Where to go on.
    pub pager: Pager,
}

impl MyVideosPage {
    /// The page as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        super::html(self)
    }

    fn total_text(&self) -> String {
        count(self.pager.total, "video")
    }
}

/// The form that edits one video.
#[derive(Debug, Clone, Template)]
#[template(path = "edit.html")]
pub struct EditPage {
    /// What all pages share.
    pub chrome: Chrome,
    /// The video's uuid.
    pub uuid: String,
    /// Path of its watch page.
    pub url: String,
    /// What the form holds.
    pub fields: VideoFields,
    /// Why the last try failed.
    pub error: Option<String>,
}

impl EditPage {
    /// The page as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        super::html(self)
    }
}
