//! The watch page: the player, what is known about the video, who signed it, and what else there is.

use askama::Template;
use serde::Serialize;

use super::comments::Comments;
use super::video::pod_hue;
use super::{CarriedView, Chrome, CopyOffer, PlayerView, ScriptJson, VideoCard, iso};

/// One video to watch.
#[derive(Debug, Clone, Template)]
#[template(path = "watch.html")]
pub struct WatchPage {
    /// What all pages share.
    pub chrome: Chrome,
    /// What is played.
    pub player: PlayerView,
    /// The channel's name.
    pub channel: String,
    /// Path of the channel's page, once its record is here.
    pub channel_url: Option<String>,
    /// What its author wrote; may have line breaks.
    pub description: String,
    /// Views, all pods together.
    pub views: u64,
    /// What people think of it.
    pub ratings: Ratings,
    /// What people say about it.
    pub comments: Comments,
    /// When it was published, in milliseconds since the Unix epoch.
    pub published_at: u64,
    /// Label of the category.
    pub category: Option<String>,
    /// Label of the licence.
    pub licence: Option<String>,
    /// Label of the language.
    pub language: Option<String>,
    /// Label of who may see it, when that is not everybody.
    pub privacy: Option<String>,
    /// Its author's key words.
    pub tags: Vec<String>,
    /// Its author marked it as not for everyone.
    pub nsfw: bool,
    /// Published on this very pod.
    pub is_local: bool,
    /// When this pod received its record, and through which pod (a host); `None` on the origin.
    pub received: Option<Received>,
    /// Public URL of this pod, without a slash at the end.
    pub pod_url: String,
    /// The watch page on the origin.
    pub canonical: String,
    /// The copy here, for whoever may keep one.
    pub copy: Option<CopyOffer>,
    /// Who carried it so far.
    pub carried: CarriedView,
    /// This person may edit the video.
    pub can_edit: bool,
    /// Other videos worth a look.
    pub related: Vec<VideoCard>,
}

/// Likes and dislikes of all pods together, and those of who looks at the page.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ratings {
    /// How many people like it.
    pub likes: u64,
    /// How many do not.
    pub dislikes: u64,
    /// This person likes it.
    pub liked: bool,
    /// This person does not.
    pub disliked: bool,
}

impl Ratings {
    /// `1,204`
    #[must_use]
    pub fn likes_text(&self) -> String {
        super::format::grouped(self.likes)
    }

    /// `17`
    #[must_use]
    pub fn dislikes_text(&self) -> String {
        super::format::grouped(self.dislikes)
    }
}

/// How a friend's video came here.
#[derive(Debug, Clone)]
pub struct Received {
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Host of the pod that handed it over, if known.
    pub through: Option<String>,
}

/// The schema.org description, for search engines and download tools.
#[derive(Serialize)]
struct LinkedData<'a> {
    #[serde(rename = "@context")]
    context: &'static str,
    #[serde(rename = "@type")]
    kind: &'static str,
    name: &'a str,
    description: &'a str,
    #[serde(rename = "uploadDate")]
    upload_date: String,
    duration: String,
    #[serde(rename = "thumbnailUrl", skip_serializing_if = "Option::is_none")]
    thumbnail_url: Option<String>,
    #[serde(rename = "contentUrl", skip_serializing_if = "Option::is_none")]
    content_url: Option<String>,
    #[serde(rename = "embedUrl")]
    embed_url: String,
    url: &'a str,
}

impl WatchPage {
    /// The page as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        super::html(self)
    }

    fn hue(&self) -> &'static str {
        pod_hue(&self.player.origin_host, self.is_local)
    }

    fn share_url(&self) -> String {
        format!("{}/w/{}", self.pod_url, self.player.short_uuid)
    }

    fn embed_url(&self) -> String {
        format!("{}/videos/embed/{}", self.pod_url, self.player.uuid)
    }

    /// Absolute address of something on this pod; one that is absolute already stays.
    fn absolute(&self, url: &str) -> String {
        if url.starts_with('/') {
            format!("{}{url}", self.pod_url)
        } else {
            url.to_owned()
        }
    }

    fn poster_url(&self) -> Option<String> {
        self.player.poster.as_deref().map(|poster| self.absolute(poster))
    }

    /// Some tools ask the PeerTube API of a page that names this platform, and they only know https on its usual port: elsewhere
    /// the name would lead them to an error.
    fn names_platform(&self) -> bool {
        self.pod_url
            .strip_prefix("https://")
            .is_some_and(|host| !host.contains(':'))
    }

    fn linked_data(&self) -> ScriptJson {
        ScriptJson::of(&LinkedData {
            context: "https://schema.org",
            kind: "VideoObject",
            name: &self.player.title,
            description: &self.description,
            upload_date: iso(self.published_at),
            duration: format!("PT{}S", self.player.duration),
            thumbnail_url: self.poster_url(),
            content_url: self.player.files.first().map(|file| self.absolute(&file.url)),
            embed_url: self.embed_url(),
            url: &self.canonical,
        })
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "templates pass references")]
    fn more_text(&self, more: &u64) -> String {
        match more {
            1 => "1 more reply".to_owned(),
            more => format!("{} more replies", super::format::grouped(*more)),
        }
    }

    fn hidden_text(&self) -> String {
        super::count(self.comments.hidden.len() as u64, "hidden comment")
    }

    /// The first letters of the channel's name, in place of a picture.
    fn initial(&self) -> String {
        self.channel
            .chars()
            .next()
            .map_or_else(String::new, |letter| letter.to_uppercase().collect())
    }
}
