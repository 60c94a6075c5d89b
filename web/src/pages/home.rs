//! The grid of videos: what the network has, and what a search found.

use askama::Template;

use super::{Chrome, VideoCard, count};

/// Which videos the grid shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// All, newest first.
    All,
    /// Those of this pod.
    Local,
    /// Those of friends.
    Friends,
}

impl Filter {
    /// Reads the query value `from`; anything unknown is `All`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "local" => Self::Local,
            "friends" => Self::Friends,
            _ => Self::All,
        }
    }

    /// The query value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Local => "local",
            Self::Friends => "friends",
        }
    }
}

/// The links to the pages before and after this one.
#[derive(Debug, Clone, Default)]
pub struct Pager {
    /// Path of the page before.
    pub previous: Option<String>,
    /// Path of the page after.
    pub next: Option<String>,
    /// Number of the first video on this page, from 1.
    pub first: u64,
    /// Number of the last one.
    pub last: u64,
    /// How many there are in all.
    pub total: u64,
}

/// The home page, and with [`HomePage::query`] the page of search results.
#[derive(Debug, Clone, Template)]
#[template(path = "home.html")]
pub struct HomePage {
    /// What all pages share.
    pub chrome: Chrome,
    /// Which filter is on.
    pub filter: Filter,
    /// What was searched for, on a page of results.
    pub query: Option<String>,
    /// The videos of this page.
    pub videos: Vec<VideoCard>,
    /// Where to go on.
    pub pager: Pager,
}

impl HomePage {
    /// The page as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        super::html(self)
    }

    fn total_text(&self) -> String {
        count(self.pager.total, "video")
    }
}
