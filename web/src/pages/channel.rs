//! The page of one channel, or of one account: who it is, and its videos.

use askama::Template;

use super::video::pod_hue;
use super::{Chrome, Pager, VideoCard, count};

/// A channel or an account with its videos.
#[derive(Debug, Clone, Template)]
#[template(path = "channel.html")]
pub struct ChannelPage {
    /// What all pages share.
    pub chrome: Chrome,
    /// The name people read.
    pub title: String,
    /// The name in addresses, `name@host`.
    pub handle: String,
    /// Host of its pod.
    pub host: String,
    /// It belongs to this very pod.
    pub is_local: bool,
    /// What its owner wrote; may have line breaks.
    pub description: String,
    /// The account behind a channel: its name and the path of its page.
    pub owner: Option<(String, String)>,
    /// The videos of this page.
    pub videos: Vec<VideoCard>,
    /// Where to go on.
    pub pager: Pager,
}

impl ChannelPage {
    /// The page as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        super::html(self)
    }

    fn hue(&self) -> &'static str {
        pod_hue(&self.host, self.is_local)
    }

    fn total_text(&self) -> String {
        count(self.pager.total, "video")
    }

    /// The first letter of the name, in place of a picture.
    fn initial(&self) -> String {
        self.title
            .chars()
            .next()
            .map_or_else(String::new, |letter| letter.to_uppercase().collect())
    }
}
