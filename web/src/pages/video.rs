//! How one video appears on several pages: as a card, and as something to play.

use serde::Serialize;

use super::{ScriptJson, bytes, clock, count};

/// A video in a grid or a list.
#[derive(Debug, Clone)]
pub struct VideoCard {
    /// The title, as its author wrote it.
    pub title: String,
    /// Path of the watch page on this pod, `/w/<shortUUID>`.
    pub url: String,
    /// Address of the small picture; without one the card shows a plain field.
    pub thumbnail: Option<String>,
    /// Length in seconds.
    pub duration: u64,
    /// The channel's name.
    pub channel: String,
    /// Path of the channel's page, once its record is here.
    pub channel_url: Option<String>,
    /// Host of the pod that published it.
    pub pod_host: String,
    /// Published on this very pod.
    pub is_local: bool,
    /// Views, all pods together.
    pub views: u64,
    /// When it was published, in milliseconds since the Unix epoch.
    pub published_at: u64,
    /// Its author marked it as not for everyone.
    pub nsfw: bool,
}

impl VideoCard {
    /// The length as the corner of the picture shows it.
    #[must_use]
    pub fn clock(&self) -> String {
        clock(self.duration)
    }

    /// "1 view", "8,912 views".
    #[must_use]
    pub fn views_text(&self) -> String {
        count(self.views, "view")
    }

    /// The style class of the dot beside the pod's name.
    #[must_use]
    pub fn hue(&self) -> &'static str {
        pod_hue(&self.pod_host, self.is_local)
    }
}

/// The class that colours the mark of a pod: its own colour for this pod, one of three for the others, the same everywhere.
pub(super) fn pod_hue(host: &str, is_local: bool) -> &'static str {
    if is_local {
        return "pod-here";
    }
    let sum = host.bytes().fold(0_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(byte))
    });
    ["pod-blue", "pod-amber", "pod-violet"][(sum % 3) as usize]
}

/// One file of a video, in the ways it can be had.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Address for plain HTTP: what `<source>` names.
    pub url: String,
    /// Media type, e.g. `video/mp4`.
    pub mime: String,
    /// What people call this size, e.g. `720p`.
    pub label: String,
    /// Height of the picture in lines.
    pub resolution: u32,
    /// Bytes of the file.
    pub size: u64,
    /// Info hash of its torrent, 40 hex digits.
    pub info_hash: String,
    /// The magnet link, the same on every pod.
    pub magnet: String,
    /// Address of the .torrent on this pod, `/static/torrents/<uuid>-<resolution>.torrent`.
    pub torrent_url: String,
    /// Address of the origin's web seed.
    pub web_seed: String,
    /// Addresses of the same file at pods that keep a copy and answer.
    pub mirrors: Vec<String>,
}

impl SourceFile {
    /// The size for people.
    #[must_use]
    pub fn size_text(&self) -> String {
        bytes(self.size)
    }
}

/// Everything the player of one video needs, with or without scripts.
#[derive(Debug, Clone)]
pub struct PlayerView {
    /// The video's uuid.
    pub uuid: String,
    /// Its short form, as in `/w/<shortUUID>`.
    pub short_uuid: String,
    /// The title.
    pub title: String,
    /// Address of the large picture.
    pub poster: Option<String>,
    /// Length in seconds.
    pub duration: u64,
    /// The files, best first. Empty while the first one is still being made.
    pub files: Vec<SourceFile>,
    /// Host of this pod.
    pub own_host: String,
    /// Host of the pod that published the video.
    pub origin_host: String,
    /// Trackers a viewer of this page should announce to: this pod's first, then the origin's. `ws://` or `wss://`.
    pub trackers: Vec<String>,
    /// STUN servers: this pod's first, then the origin's. `stun:host:port`.
    pub stun: Vec<String>,
    /// Peer-to-peer is allowed for this video.
    pub p2p: bool,
}

/// What the scripts read from `<script id="page-data">`; `web/ui/src/page-data.ts` is its other end.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlayerData<'a> {
    uuid: &'a str,
    short_uuid: &'a str,
    duration: u64,
    own_host: &'a str,
    origin_host: &'a str,
    trackers: &'a [String],
    stun: &'a [String],
    p2p: bool,
    files: Vec<FileData<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileData<'a> {
    label: &'a str,
    resolution: u32,
    size: u64,
    url: &'a str,
    info_hash: &'a str,
    magnet: &'a str,
    torrent_url: &'a str,
    web_seed: &'a str,
    mirrors: &'a [String],
}

impl PlayerView {
    /// The page data for the scripts.
    #[must_use]
    pub fn data(&self) -> ScriptJson {
        let files = self.files.iter().map(|file| FileData {
            label: &file.label,
            resolution: file.resolution,
            size: file.size,
            url: &file.url,
            info_hash: &file.info_hash,
            magnet: &file.magnet,
            torrent_url: &file.torrent_url,
            web_seed: &file.web_seed,
            mirrors: &file.mirrors,
        });
        ScriptJson::of(&PlayerData {
            uuid: &self.uuid,
            short_uuid: &self.short_uuid,
            duration: self.duration,
            own_host: &self.own_host,
            origin_host: &self.origin_host,
            trackers: &self.trackers,
            stun: &self.stun,
            p2p: self.p2p,
            files: files.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_keeps_its_colour_and_this_pod_has_its_own() {
        assert_eq!(pod_hue("localhost:9001", true), "pod-here");
        assert_eq!(pod_hue("localhost:9002", false), pod_hue("localhost:9002", false));
        assert_ne!(pod_hue("localhost:9002", false), pod_hue("localhost:9003", false));
    }
}
