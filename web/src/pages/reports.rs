//! What people reported, for those who run the pod.

use askama::Template;

use super::video::pod_hue;
use super::{Chrome, Pager, count};

/// The list of reports.
#[derive(Debug, Clone, Template)]
#[template(path = "reports.html")]
pub struct ReportsPage {
    /// What all pages share.
    pub chrome: Chrome,
    /// The reports of this page, latest first.
    pub rows: Vec<ReportRow>,
    /// Those that were decided, too.
    pub all: bool,
    /// Links to the other pages.
    pub pager: Pager,
}

/// One report.
#[derive(Debug, Clone)]
pub struct ReportRow {
    /// Its number.
    pub id: u64,
    /// The user who reports.
    pub reporter: String,
    /// Host of the user's pod.
    pub host: String,
    /// A user of this very pod.
    pub is_local: bool,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Why, in the user's words.
    pub reason: String,
    /// Why, in the words of a list.
    pub reasons: Vec<String>,
    /// Title of the video, if it is still there.
    pub title: Option<String>,
    /// Path of the video, or of the comment below it.
    pub url: Option<String>,
    /// It is about a comment.
    pub is_comment: bool,
    /// The words of the comment, if it is still there.
    pub words: Option<String>,
    /// 1 pending, 2 rejected, 3 accepted.
    pub state: u8,
    /// What an administrator wrote about it.
    pub note: String,
    /// How far it is on its way, if it is about something of another pod.
    pub delivery: Option<String>,
    /// Reports about the same thing.
    pub same: u32,
}

impl ReportRow {
    /// The class that colours the reporter's pod.
    #[must_use]
    pub fn hue(&self) -> &'static str {
        pod_hue(&self.host, self.is_local)
    }

    /// The state in words.
    #[must_use]
    pub fn state_word(&self) -> &'static str {
        match self.state {
            2 => "rejected",
            3 => "accepted",
            _ => "waits for a decision",
        }
    }

    /// The class that draws the state.
    #[must_use]
    pub fn state_class(&self) -> &'static str {
        match self.state {
            2 => "state-busy",
            3 => "state-good",
            _ => "state-wait",
        }
    }

    /// What it is about.
    #[must_use]
    pub fn about(&self) -> String {
        let title = self.title.as_deref().unwrap_or("a video that is gone");
        if self.is_comment {
            format!("A comment about {title}")
        } else {
            title.to_owned()
        }
    }
}

impl ReportsPage {
    /// The page as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        super::html(self)
    }

    fn total_text(&self) -> String {
        count(self.pager.total, "report")
    }
}
