//! Videos: the same shape in lists and alone.

use seedpod_actors::meter::messages::Figures;
use seedpod_actors::search::messages::VideoEntry;
use seedpod_protocol::ids::VideoId;
use seedpod_protocol::records::{self, Privacy, VideoFile};
use serde::Serialize;

use super::{AccountSummary, Carried, ChannelSummary, Labelled, iso, numbered};
use crate::constants::{CATEGORIES, LICENCES, PRIVACIES, PUBLISHED, UNKNOWN, label, language};
use crate::links::{self, Origin};

/// Characters of the short description.
const TRUNCATED: usize = 250;

/// A video.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Video {
    id: u64,
    uuid: String,
    #[serde(rename = "shortUUID")]
    short_uuid: String,
    /// The watch page at its origin.
    url: String,
    name: String,
    category: Labelled<Option<u16>>,
    licence: Labelled<Option<u16>>,
    language: Labelled<Option<String>>,
    privacy: Labelled<u16>,
    nsfw: bool,
    description: Option<String>,
    truncated_description: Option<String>,
    support: Option<String>,
    is_local: bool,
    is_live: bool,
    duration: u32,
    views: u64,
    likes: u64,
    dislikes: u64,
    comments: u64,
    thumbnail_path: Option<String>,
    preview_path: Option<String>,
    embed_path: String,
    created_at: String,
    published_at: String,
    updated_at: String,
    originally_published_at: Option<String>,
    account: AccountSummary,
    channel: Option<ChannelSummary>,
    comments_enabled: bool,
    download_enabled: bool,
    wait_transcoding: bool,
    state: Labelled<u16>,
    tags: Vec<String>,
    tracker_urls: Vec<String>,
    files: Vec<File>,
    streaming_playlists: [(); 0],
    // Of 2017.
    pod_host: String,
    author: String,
    // Ours.
    pod_id: String,
    received_at: String,
    via: String,
    carried: Carried,
}

/// One file of a video.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    resolution: Labelled<u16>,
    size: u64,
    fps: u16,
    width: u16,
    height: u16,
    info_hash: String,
    magnet_uri: String,
    torrent_url: String,
    torrent_download_url: String,
    file_url: String,
    file_download_url: String,
    has_video: bool,
    has_audio: bool,
}

impl Video {
    /// All that this pod knows of a video, how many comments it has and who carried it. `own_url` is this pod's.
    pub(crate) fn of(entry: &VideoEntry, comments: u64, figures: Figures, own_url: &str) -> Self {
        let (id, video) = (&entry.id, &entry.video);
        // Without its origin's address a video has no files yet; the profile is among the first records that arrive.
        let known = Origin::of(entry, own_url);
        let origin = known.unwrap_or(Origin::at(own_url));
        let files = known.map(|origin| {
            video
                .files
                .iter()
                .map(|file| File::of(id, video, file, origin))
                .collect()
        });
        let privacy = match video.privacy {
            Privacy::Public => 1,
            Privacy::Unlisted => 2,
        };
        Self {
            id: entry.number,
            uuid: id.to_string(),
            short_uuid: id.short(),
            url: origin.watch(id),
            name: video.name.clone(),
            category: numbered(&CATEGORIES, video.category),
            licence: numbered(&LICENCES, video.licence),
            language: Labelled::new(
                video.language.clone(),
                video.language.as_deref().and_then(language).unwrap_or(UNKNOWN),
            ),
            privacy: Labelled::new(privacy, label(&PRIVACIES, privacy).unwrap_or(UNKNOWN)),
            nsfw: video.nsfw,
            description: video.description.clone(),
            truncated_description: video.description.as_deref().map(truncate),
            support: video.support.clone(),
            is_local: entry.is_local,
            is_live: false,
            duration: video.duration,
            views: entry.tally.views,
            likes: entry.tally.likes,
            dislikes: entry.tally.dislikes,
            comments,
            thumbnail_path: links::thumbnail_path(id, video),
            preview_path: links::preview_path(id, video),
            embed_path: links::embed_path(id),
            created_at: iso(video.created_at),
            published_at: iso(video.published_at),
            updated_at: iso(video.updated_at),
            originally_published_at: video.originally_published_at.map(iso),
            account: AccountSummary::at(&video.owner, origin),
            channel: entry
                .channel
                .as_deref()
                .map(|channel| ChannelSummary::of(channel, own_url)),
            comments_enabled: video.comments_enabled,
            download_enabled: video.download_enabled,
            wait_transcoding: false,
            state: Labelled::new(PUBLISHED.0, PUBLISHED.1),
            tags: video.tags.clone(),
            tracker_urls: known.iter().flat_map(Origin::trackers).collect(),
            files: files.unwrap_or_default(),
            streaming_playlists: [],
            pod_host: known.map(|origin| origin.host().to_owned()).unwrap_or_default(),
            author: video.owner.clone(),
            pod_id: entry.origin.to_string(),
            received_at: iso(entry.received_at),
            via: entry.via.to_string(),
            carried: figures.into(),
        }
    }
}

impl File {
    fn of(id: &VideoId, video: &records::Video, file: &VideoFile, origin: Origin<'_>) -> Self {
        Self {
            resolution: Labelled::new(file.resolution, resolution_label(file.resolution)),
            size: file.size,
            fps: file.fps,
            width: file.width,
            height: file.height,
            info_hash: file.info_hash.to_string(),
            magnet_uri: origin.magnet(id, video, file),
            torrent_url: origin.torrent(id, file),
            torrent_download_url: origin.torrent_download(id, file),
            file_url: origin.web_seed(id, file),
            file_download_url: origin.download(id, file),
            has_video: file.resolution > 0,
            // Records do not say; a player that expects sound and finds none is no worse off.
            has_audio: true,
        }
    }
}

/// What people call a size.
pub(crate) fn resolution_label(resolution: u16) -> String {
    if resolution == 0 {
        "Audio only".to_owned()
    } else {
        format!("{resolution}p")
    }
}

/// The beginning of a text, cut at a character, with a sign that it goes on.
fn truncate(text: &str) -> String {
    if text.chars().nth(TRUNCATED).is_none() {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(TRUNCATED - 3).collect();
    short.push_str("...");
    short
}
