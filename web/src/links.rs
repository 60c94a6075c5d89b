//! Where the things of a video are: at its origin, and at this pod.
//!
//! Media, torrents and the tracker of a video are its origin's, and the magnet is made of nothing else, so that every
//! pod shows the same one. Pictures and pages are this pod's.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use seedpod_actors::search::messages::{ChannelEntry, VideoEntry};
use seedpod_protocol::ids::VideoId;
use seedpod_protocol::magnet::Magnet;
use seedpod_protocol::records::{Video, VideoFile};

use crate::site::host_of;

/// What is written as it is in `name@host:port`.
const HANDLE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'@')
    .remove(b':')
    .remove(b'.')
    .remove(b'-')
    .remove(b'_');

/// The addresses at the pod that published a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin<'a> {
    url: &'a str,
    udp: Option<u16>,
}

impl<'a> Origin<'a> {
    /// The pod at a public URL.
    pub(crate) fn at(url: &'a str) -> Self {
        Self {
            url: url.trim_end_matches('/'),
            udp: None,
        }
    }

    /// The same pod, whose tracker and STUN server have this UDP port.
    pub(crate) fn with_udp(self, udp: Option<u16>) -> Self {
        Self { udp, ..self }
    }

    /// The origin of a video, unless its profile has not arrived yet. `own_url` is this pod's.
    pub(crate) fn of(entry: &'a VideoEntry, own_url: &'a str) -> Option<Self> {
        match &entry.profile {
            Some(profile) => Some(Self::at(&profile.url).with_udp(profile.udp)),
            None => entry.is_local.then(|| Self::at(own_url)),
        }
    }

    /// Its public URL.
    pub(crate) fn url(&self) -> &'a str {
        self.url
    }

    /// Host and port.
    pub(crate) fn host(&self) -> &'a str {
        host_of(self.url)
    }

    /// Its tracker for browsers.
    pub(crate) fn tracker(&self) -> String {
        // http becomes ws, https becomes wss.
        format!("{}/tracker/socket", self.url.replacen("http", "ws", 1))
    }

    /// Its tracker by all ways: for browsers, and for BitTorrent clients over HTTP and UDP.
    pub(crate) fn trackers(&self) -> Vec<String> {
        let udp = self
            .udp_address()
            .map(|address| format!("udp://{address}/announce"));
        let http = format!("{}{}", self.url, crate::announce::ANNOUNCE);
        [self.tracker(), http].into_iter().chain(udp).collect()
    }

    /// Its STUN server, as WebRTC wants it named.
    pub(crate) fn stun(&self) -> Option<String> {
        self.udp_address().map(|address| format!("stun:{address}"))
    }

    /// `host:port` of its UDP port.
    fn udp_address(&self) -> Option<String> {
        let url = url::Url::parse(self.url).ok()?;
        Some(format!("{}:{}", url.host_str()?, self.udp?))
    }

    /// The file over HTTP, for torrents and players.
    pub(crate) fn web_seed(&self, id: &VideoId, file: &VideoFile) -> String {
        format!("{}/static/webseed/{}", self.url, file.file_name(id))
    }

    /// The file over HTTP, to keep.
    pub(crate) fn download(&self, id: &VideoId, file: &VideoFile) -> String {
        format!("{}/download/videos/{}", self.url, file.file_name(id))
    }

    /// The torrent.
    pub(crate) fn torrent(&self, id: &VideoId, file: &VideoFile) -> String {
        format!("{}/static/torrents/{}", self.url, file.torrent_name(id))
    }

    /// The torrent, to keep.
    pub(crate) fn torrent_download(&self, id: &VideoId, file: &VideoFile) -> String {
        format!("{}/download/torrents/{}", self.url, file.torrent_name(id))
    }

    /// The page on which it can be watched there.
    pub(crate) fn watch(&self, id: &VideoId) -> String {
        format!("{}{}", self.url, watch_path(id))
    }

    /// The magnet link, the same on every pod.
    pub(crate) fn magnet(&self, id: &VideoId, video: &Video, file: &VideoFile) -> String {
        Magnet {
            info_hash: file.info_hash,
            name: video.name.clone(),
            trackers: self.trackers(),
            web_seeds: vec![self.web_seed(id, file)],
            sources: vec![self.torrent(id, file)],
        }
        .to_string()
    }
}

/// The path of the watch page on this pod.
pub(crate) fn watch_path(id: &VideoId) -> String {
    format!("/w/{}", id.short())
}

/// The path of a channel's page on this pod; a friend's channel is named with its host.
pub(crate) fn channel_path(channel: &ChannelEntry) -> Option<String> {
    let name = &channel.channel.name;
    let handle = if channel.is_local {
        name.clone()
    } else {
        format!("{name}@{}", channel.host()?)
    };
    Some(format!("/c/{}", utf8_percent_encode(&handle, HANDLE)))
}

/// The path of an account's page on this pod.
pub(crate) fn account_path(name: &str, host: Option<&str>) -> String {
    let handle = host.map_or_else(|| name.to_owned(), |host| format!("{name}@{host}"));
    format!("/a/{}", utf8_percent_encode(&handle, HANDLE))
}

/// The path of the player alone.
pub(crate) fn embed_path(id: &VideoId) -> String {
    format!("/videos/embed/{id}")
}

/// The path of the small picture, if the video has one.
pub(crate) fn thumbnail_path(id: &VideoId, video: &Video) -> Option<String> {
    video
        .thumbnail
        .map(|_| format!("/lazy-static/thumbnails/{id}.jpg"))
}

/// The path of the large picture, if the video has one.
pub(crate) fn preview_path(id: &VideoId, video: &Video) -> Option<String> {
    video.preview.map(|_| format!("/lazy-static/previews/{id}.jpg"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracker_is_named_by_all_its_ways() {
        let plain = Origin::at("http://localhost:9003").with_udp(Some(9013));
        assert_eq!(
            plain.trackers(),
            [
                "ws://localhost:9003/tracker/socket",
                "http://localhost:9003/tracker/announce",
                "udp://localhost:9013/announce"
            ]
        );
        assert_eq!(plain.stun().as_deref(), Some("stun:localhost:9013"));
        let secure = Origin::at("https://pod.example/");
        assert_eq!(
            secure.trackers(),
            [
                "wss://pod.example/tracker/socket",
                "https://pod.example/tracker/announce"
            ]
        );
        assert_eq!(secure.stun(), None);
        let v6 = Origin::at("http://[2001:db8::1]:80").with_udp(Some(1));
        assert_eq!(v6.stun().as_deref(), Some("stun:[2001:db8::1]:1"));
    }
}
