//! The player alone, for frames on other sites.

use askama::Template;

use super::{AssetUrls, PlayerView};

/// One video and nothing around it.
#[derive(Debug, Clone, Template)]
#[template(path = "embed.html")]
pub struct EmbedPage {
    /// Where style and scripts are.
    pub assets: AssetUrls,
    /// What is played.
    pub player: PlayerView,
    /// The watch page on this pod, absolute.
    pub watch_url: String,
}

impl EmbedPage {
    /// The page as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        super::html(self)
    }
}
