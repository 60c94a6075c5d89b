//! Videos: what a video is called, what it looks like, and which files and torrents carry it.

use std::collections::HashSet;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    RecordError,
    rules::{self, fault},
};
use crate::{
    ids::{ChannelId, ContentHash, InfoHash, Nonce, PodId, Timestamp, VideoId},
    limits,
};

/// A video. Its object id is derived from the author and the nonce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Video {
    /// 16 random bytes, drawn once.
    #[serde(with = "serde_bytes")]
    pub nonce: Nonce,
    /// The channel of the same author under which it is published.
    pub channel: ChannelId,
    /// Handle of the user who published it.
    pub owner: String,
    /// Its title: 3 to 120 characters.
    pub name: String,
    /// Up to 10,000 characters, several lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Number of a category, as PeerTube counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<u16>,
    /// Number of a licence, as PeerTube counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<u16>,
    /// A language tag: 2 to 10 letters, digits, hyphens and underscores (ASCII).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Whether it is not for everybody's eyes.
    pub nsfw: bool,
    /// Up to 5, each 2 to 30 characters.
    pub tags: Vec<String>,
    /// How to support the author: up to 1,000 characters, several lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support: Option<String>,
    /// Whether people may comment.
    pub comments_enabled: bool,
    /// Whether pages offer to download it.
    pub download_enabled: bool,
    /// Who finds it.
    pub privacy: Privacy,
    /// Playing time in seconds, rounded.
    pub duration: u32,
    /// When it was uploaded.
    pub created_at: Timestamp,
    /// When it was first published.
    pub published_at: Timestamp,
    /// When this record was last edited.
    pub updated_at: Timestamp,
    /// When it first appeared elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub originally_published_at: Option<Timestamp>,
    /// The small picture of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<Picture>,
    /// The large picture shown before it plays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Picture>,
    /// 1 to 16 files, no two of one resolution: that is what they are named by.
    pub files: Vec<VideoFile>,
}

impl Video {
    /// Its id when this author publishes it.
    pub fn id(&self, author: &PodId) -> VideoId {
        VideoId::derive(author, &self.nonce)
    }

    /// Checks the limits.
    ///
    /// # Errors
    /// The first value outside them.
    pub fn validate(&self) -> Result<(), RecordError> {
        rules::handle("owner", &self.owner)?;
        rules::line("name", &self.name, limits::VIDEO_NAME_MIN, limits::VIDEO_NAME_MAX)?;
        if let Some(description) = &self.description {
            rules::lines("description", description, 0, limits::DESCRIPTION_MAX)?;
        }
        if let Some(language) = &self.language {
            rules::language("language", language)?;
        }
        rules::at_most("tags", self.tags.len(), limits::TAGS_MAX)?;
        for tag in &self.tags {
            rules::line("tags", tag, limits::TAG_MIN, limits::TAG_MAX)?;
        }
        if let Some(support) = &self.support {
            rules::lines("support", support, 0, limits::SUPPORT_MAX)?;
        }
        for picture in self.thumbnail.iter().chain(&self.preview) {
            picture.validate()?;
        }
        if self.files.is_empty() {
            return fault("files", "a video has at least one");
        }
        rules::at_most("files", self.files.len(), limits::FILES_MAX)?;
        let mut resolutions = HashSet::new();
        for file in &self.files {
            file.validate()?;
            if !resolutions.insert(file.resolution) {
                return fault("files", format!("two of resolution {}", file.resolution));
            }
        }
        Ok(())
    }
}

/// Who finds a video. Videos that fewer people may see never become records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Privacy {
    /// Everybody: it is listed.
    Public = 1,
    /// Everybody who has its address.
    Unlisted = 2,
}

impl Serialize for Privacy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

impl<'de> Deserialize<'de> for Privacy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            1 => Ok(Self::Public),
            2 => Ok(Self::Unlisted),
            other => Err(de::Error::custom(format_args!(
                "{other} is no privacy of a published video"
            ))),
        }
    }
}

/// A JPEG picture, fetched over HTTP from the origin and checked by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// BLAKE3 of the file.
    pub hash: ContentHash,
    /// Its size in bytes: 1 to 4 MiB.
    pub size: u32,
    /// Width in pixels, at least 1.
    pub width: u16,
    /// Height in pixels, at least 1.
    pub height: u16,
}

impl Picture {
    fn validate(&self) -> Result<(), RecordError> {
        if self.size == 0 || self.size > limits::PICTURE_MAX || self.width == 0 || self.height == 0 {
            return fault(
                "picture",
                format!("{} bytes, {} by {}", self.size, self.width, self.height),
            );
        }
        Ok(())
    }
}

/// What the files of a video may be: MP4, WebM, Ogg.
pub const EXTENSIONS: [&str; 3] = ["mp4", "webm", "ogv"];

/// One file of a video, with its torrent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoFile {
    /// Its torrent.
    pub info_hash: InfoHash,
    /// Its size in bytes: 1 to 2^53 − 1.
    pub size: u64,
    /// What it is called by: the height of its class in lines (240, 720, …), 0 for sound alone.
    pub resolution: u16,
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// Pictures in a second, rounded; 0 if unknown.
    pub fps: u16,
    /// What the file is: one of [`EXTENSIONS`].
    pub extension: String,
    /// Length of the torrent's pieces in bytes: a power of two from 16 KiB to 16 MiB.
    pub piece_length: u32,
}

impl VideoFile {
    /// The name of the file and of its torrent's content: `<uuid>-<resolution>.<extension>`.
    pub fn file_name(&self, video: &VideoId) -> String {
        format!("{video}-{}.{}", self.resolution, self.extension)
    }

    /// The name of the file that holds its torrent: `<uuid>-<resolution>.torrent`.
    pub fn torrent_name(&self, video: &VideoId) -> String {
        format!("{video}-{}.torrent", self.resolution)
    }

    fn validate(&self) -> Result<(), RecordError> {
        if self.size == 0 || self.size >= limits::INTEGER_END {
            return fault("size", format!("{} bytes", self.size));
        }
        if !EXTENSIONS.contains(&self.extension.as_str()) {
            return fault("extension", "neither mp4, webm nor ogv");
        }
        let sound = (limits::PIECE_MIN..=limits::PIECE_MAX).contains(&self.piece_length);
        if !sound || !self.piece_length.is_power_of_two() {
            return fault("piece_length", format!("{} bytes", self.piece_length));
        }
        Ok(())
    }
}
