//! The pages people see, as plain values in and HTML out.
//!
//! Each page is a *view struct* of strings, numbers and options, and `view.html() -> String`. Nothing here knows an actor, a
//! request or a clock: whoever answers the request collects the values (with [`Chrome::now`] as the time of the page) and calls
//! `html`. The templates are in `web/templates/`, the hand-written style in `web/assets/`, the TypeScript islands that add
//! peer-to-peer, live tables and upload progress in `web/ui/`.
//!
//! Invariants, each with a test:
//! - Every page is useful without JavaScript and without the built UI: videos play by plain HTTP, forms post.
//! - Text that came from people or other pods is text: askama escapes it, and no template marks a value as safe. The only values
//!   that pass unescaped are [`ScriptJson`], which cannot close its own `<script>` element.
//! - No inline script, style or event handler, so that `default-src 'self'` holds as a Content-Security-Policy.
//!
//! # Where forms post and links lead
//!
//! Every form holds the hidden field `csrf` ([`Chrome::csrf`]); a multipart one sends it first.
//!
//! | form or link | method, action | fields |
//! |---|---|---|
//! | search | GET `/search` | `q` |
//! | filters, paging | GET `/` | `from` = `all`, `local`, `friends`; `start` |
//! | log in | POST `/login` | `username`, `password`, `next` (a path of this pod) |
//! | sign up | POST `/signup` | `username`, `email`, `password` |
//! | make a user | POST `/admin/users` | `username`, `email`, `password`, `role` |
//! | change a role, delete a user | POST `/admin/users/role`, `/admin/users/delete` | `id`, `role` |
//! | log out | POST `/logout` | |
//! | upload | POST `/upload`, multipart | as the API: `name`, `description`, `channelId`, `category`, `licence`, `language`, `nsfw`, `privacy`, `tags` (one field, commas), `videofile` last |
//! | edit a video | GET, POST `/my/videos/<uuid>/edit` | `name`, `description`, `category`, `licence`, `language`, `nsfw`, `privacy`, `tags` |
//! | delete a video | POST `/my/videos/<uuid>/delete` | |
//! | make friends | POST `/network/make-friends` | `hosts`, one a line; empty means the configured ones |
//! | remove a friend | POST `/network/remove` | `id` |
//! | answer a pod that asked | POST `/network/decide` | `id`, `decision` = `accept`, `refuse`, `block` |
//! | make an invite | POST `/network/invite` | `label`, `days` (empty: for ever), `uses` |
//! | take an invite back | POST `/network/revoke` | `id` |
//! | quit | POST `/network/quit` | |
//! | keep a copy of a video | POST `/network/keep` | `video`, an id or the address of its page |
//! | keep it no more | POST `/network/let-go` | `video`, its uuid |
//! | the same, on the page of the video | POST `/w/<id>/keep`, `/w/<id>/let-go` | |
//! | room for copies | POST `/network/budget` | `bucket` = `by-hand`, `most-viewed` or a friend's id; `gb` |
//! | write a comment | POST `/w/<id>/comments` | `text`; `to` = number or uuid of the comment that it answers |
//! | delete or hide a comment | POST `/w/<id>/comments/remove` | `id` |
//! | show a hidden comment again | POST `/w/<id>/comments/show` | `id` |
//! | report a video or a comment | POST `/w/<id>/report` | `reason`, `predefinedReasons`, `comment` |
//! | decide about a report | POST `/admin/reports` | `id`, `state` = `1`, `2`, `3`, `moderationComment` |
//! | reports | GET `/admin/reports` | `show` = `all`; `start` |
//! | comments | GET `/w/<id>` | `comments` = first thread, `order` = `replies`; `thread` = one alone |
//! | watch, embed | GET `/w/<shortUUID>`, `/videos/embed/<uuid>` | |
//! | what changed since | GET `/api/v1/events` | `since` = [`Chrome::moment`], `video` |
//! | a channel, an account | GET `/c/<handle>`, `/a/<name>`, those of friends with `@host` | `start` |
//!
//! Assets: `/assets/<file>` from `web/assets`, `/ui/<file>` from `web/ui/dist`, `/vendor/webtorrent/webtorrent.min.js` and
//! `/sw.min.js` from `web/ui/dist/vendor/webtorrent` (the latter with `Cache-Control: no-cache` and `Service-Worker-Allowed: /`).
//! `/webtorrent/…` belongs to that worker; what reaches the pod before the worker is in charge is answered with 204.
//! The Content-Security-Policy of a watch page adds to `default-src 'self'`: `connect-src` the trackers and sources of its video,
//! `media-src` its sources and `blob:`, `worker-src 'self'`.

mod about;
mod carried;
mod channel;
mod comments;
mod copies;
mod embed;
mod error;
mod format;
mod home;
mod json;
mod login;
mod my_videos;
mod network;
mod reports;
mod signup;
mod upload;
mod users;
mod video;
mod watch;
mod words;

#[cfg(test)]
mod preview;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use about::AboutPage;
pub use carried::CarriedView;
pub use channel::ChannelPage;
pub use comments::{CommentView, Comments, REASONS, Removal, ThreadView, Words};
pub use copies::{CopiesView, CopyBudget, CopyOffer, CopyReason, CopyRow, CopyStep};
pub use embed::EmbedPage;
pub use error::ErrorPage;
pub use format::{bytes, clock, count, day, iso, relative};
pub use home::{Filter, HomePage, Pager};
pub use json::ScriptJson;
pub use login::LoginPage;
pub use my_videos::{EditPage, MyVideo, MyVideosPage};
pub use network::{
    FriendRow, FriendState, InviteRow, InvitedPage, NetworkPage, QrCode, RequestRow, ScoreNote,
};
pub use reports::{ReportRow, ReportsPage};
pub use signup::SignupPage;
pub use upload::{Choice, UploadPage, VideoFields};
pub use users::{ROLES, UserRow, UsersPage};
pub use video::{PlayerView, SourceFile, VideoCard};
pub use watch::{Ratings, Received, WatchPage};

use serde::Deserialize;

/// Who is logged in, as the header shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserMenu {
    /// The name the person logs in with.
    pub username: String,
    /// May run the pod: sees the forms of the network page.
    pub is_admin: bool,
}

impl UserMenu {
    /// The first letter of the name, in place of a picture.
    #[must_use]
    pub fn initial(&self) -> String {
        self.username
            .chars()
            .next()
            .map_or_else(String::new, |letter| letter.to_uppercase().collect())
    }
}

/// What every page shares: the header, the footer and what forms need.
#[derive(Debug, Clone)]
pub struct Chrome {
    /// The name of this pod, chosen by its operator.
    pub pod_name: String,
    /// Host and port of this pod's public URL, e.g. `localhost:9001`.
    pub host: String,
    /// The person logged in, if any.
    pub user: Option<UserMenu>,
    /// How many friends this pod has; the network is one pod larger.
    pub friends: usize,
    /// The token every form of this page sends back.
    pub csrf: String,
    /// Where style and scripts are.
    pub assets: AssetUrls,
    /// What is in the search box.
    pub search: String,
    /// Path and query of this page, for the way back after logging in.
    pub path: String,
    /// A sentence about what just happened ("3 videos were …"), shown once above the page.
    pub notice: Option<String>,
    /// Names the state of the pod that the page shows, for hearing of what changed since.
    pub moment: String,
    /// The time of the page in milliseconds since the Unix epoch: relative times count from it.
    pub now: u64,
}

impl Chrome {
    /// "1 pod", "3 pods": the size of the network, this pod included.
    #[must_use]
    pub fn pods(&self) -> String {
        match self.friends {
            0 => "1 pod".to_owned(),
            friends => format!("{} pods", friends + 1),
        }
    }

    /// "1 friend", "2 friends".
    #[must_use]
    pub fn pods_of_friends(&self) -> String {
        count(self.friends as u64, "friend")
    }

    /// Whether the person logged in may run the pod.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.is_admin)
    }

    /// The link to the login form that leads back to this page.
    #[must_use]
    pub fn login_link(&self) -> String {
        if self.path.is_empty() || self.path == "/" || self.path.starts_with("/login") {
            return "/login".to_owned();
        }
        let next = percent_encoding::utf8_percent_encode(&self.path, percent_encoding::NON_ALPHANUMERIC);
        format!("/login?next={next}")
    }
}

/// Where the page finds its style and, if the UI was built, its scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetUrls {
    /// The style sheet.
    pub css: String,
    /// The icon in the tab.
    pub icon: String,
    /// The scripts; `None` until `./scripts/build-ui` ran, and pages then say so.
    pub ui: Option<UiUrls>,
}

/// The scripts of a built UI, one entry for each kind of page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UiUrls {
    /// What every page has: links that keep the document, live parts, the search key, copy buttons, relative times.
    pub page: String,
    /// `<pod-player>` and `<swarm-panel>`.
    pub watch: String,
    /// `<upload-progress>`.
    pub upload: String,
}

/// Renders a template. It fails only if a value's `Display` fails, and those of text and numbers do not; should one ever, the
/// page is a sentence rather than half a page.
fn html<T: askama::Template>(page: &T) -> String {
    page.render().unwrap_or_else(|error| {
        tracing::error!(%error, "page not rendered");
        "<!doctype html><title>Error</title><p>This page could not be written. The pod's log has the cause."
            .to_owned()
    })
}

/// The part of Vite's `manifest.json` that is needed here.
#[derive(Deserialize)]
struct ManifestEntry {
    file: String,
}

impl AssetUrls {
    /// The hand-written assets alone: what a pod without the built UI has.
    #[must_use]
    pub fn without_ui() -> Self {
        Self {
            css: "/assets/seedpod.css".to_owned(),
            icon: "/assets/mark.svg".to_owned(),
            ui: None,
        }
    }

    /// Reads the manifest that `./scripts/build-ui` leaves as `web/ui/dist/manifest.json`. One that cannot be read, or that lacks
    /// an entry, counts as no built UI.
    #[must_use]
    pub fn from_manifest(manifest: &[u8]) -> Self {
        let ui = serde_json::from_slice::<std::collections::BTreeMap<String, ManifestEntry>>(manifest)
            .ok()
            .and_then(|entries| {
                let url = |name: &str| {
                    entries
                        .get(&format!("src/{name}.ts"))
                        .map(|entry| format!("/ui/{}", entry.file))
                };
                Some(UiUrls {
                    page: url("page")?,
                    watch: url("watch")?,
                    upload: url("upload")?,
                })
            });
        Self {
            ui,
            ..Self::without_ui()
        }
    }

    /// The same with a version in the address of each hand-written asset, so that caches may keep them for long. `version` is
    /// any text that changes with their content.
    #[must_use]
    pub fn versioned(self, version: &str) -> Self {
        Self {
            css: format!("{}?v={version}", self.css),
            icon: format!("{}?v={version}", self.icon),
            ui: self.ui,
        }
    }
}
