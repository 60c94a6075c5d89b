//! What the library stores: a row for each video whose bytes lie here, and one for each of its torrents.
//!
//! The first byte of a value is its version; forms that were once written stay readable for ever.

use seedpod_protocol::codec::{self, CodecError};
use seedpod_protocol::ids::{Timestamp, VideoId};
use seedpod_protocol::records::Video;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::folder::MediaName;
use super::media::Container;
use super::messages::{Owner, VideoDetails};
use crate::store::MAX_VALUE_BYTES;

/// The longest name of an uploaded file that is kept, in characters.
pub const MAX_ORIGINAL_NAME: usize = 255;

/// A video of this pod, under its id in `LOCAL_VIDEOS`.
///
/// It holds what was last published of the video, so that a change can be made without asking anybody; row and record
/// are always written in one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalVideo {
    /// The payload of its record.
    pub video: Video,
    /// What the uploaded file was called; for its owner only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_name: Option<String>,
}

/// Why a row could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// There is nothing in it.
    #[error("the row is empty")]
    Empty,
    /// It was written by a later release.
    #[error("the row has version {found}, this release knows {known}")]
    Newer {
        /// Its version.
        found: u8,
        /// The latest version known here.
        known: u8,
    },
    /// It is not what a row of its version is.
    #[error("the row is damaged: {0}")]
    Damaged(#[from] CodecError),
    /// It has another length than rows of its version.
    #[error("the row has {0} bytes, which is no length of such a row")]
    Length(usize),
    /// Its id is no video id.
    #[error("the row names no video")]
    Id,
}

/// A version, then the whole in canonical CBOR.
fn encode_row<T: Serialize>(version: u8, value: &T) -> Vec<u8> {
    let mut row = vec![version];
    row.extend(codec::encode(value));
    row
}

/// Reads what [`encode_row`] wrote under the only version there has been so far.
fn decode_row<T: Serialize + DeserializeOwned>(known: u8, row: &[u8]) -> Result<T, RowError> {
    match row.split_first().ok_or(RowError::Empty)? {
        (&found, body) if found == known => Ok(codec::decode(body, MAX_VALUE_BYTES)?),
        (&found, _) => Err(RowError::Newer { found, known }),
    }
}

impl LocalVideo {
    /// The version that is written.
    pub const VERSION: u8 = 1;

    /// The bytes of the row.
    pub fn encode(&self) -> Vec<u8> {
        encode_row(Self::VERSION, self)
    }

    /// Reads a row of any version so far.
    pub fn decode(row: &[u8]) -> Result<Self, RowError> {
        decode_row(Self::VERSION, row)
    }

    /// How many bytes its files take together.
    pub fn bytes(&self) -> u64 {
        self.video
            .files
            .iter()
            .fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// The names of its files.
    pub fn file_names(&self, id: VideoId) -> impl Iterator<Item = MediaName> + '_ {
        self.video.files.iter().filter_map(move |file| {
            let container = Container::from_extension(&file.extension)?;
            Some(MediaName {
                video: id,
                resolution: file.resolution,
                container,
            })
        })
    }
}

/// A torrent of this pod, under its info hash in `TORRENTS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTorrent {
    /// Whose file it carries.
    pub video: VideoId,
    /// Which of the video's files, counted from 0.
    pub rendition: u8,
}

impl LocalTorrent {
    /// The version that is written.
    pub const VERSION: u8 = 1;

    /// The bytes of the row.
    pub fn encode(&self) -> Vec<u8> {
        let mut row = vec![Self::VERSION];
        row.extend(self.video.as_bytes());
        row.push(self.rendition);
        row
    }

    /// Reads a row of any version so far.
    pub fn decode(row: &[u8]) -> Result<Self, RowError> {
        match row.split_first().ok_or(RowError::Empty)? {
            (1, [id @ .., rendition]) if id.len() == VideoId::LEN => Ok(Self {
                video: VideoId::try_from(id).map_err(|_| RowError::Id)?,
                rendition: *rendition,
            }),
            (1, _) => Err(RowError::Length(row.len())),
            (&found, _) => Err(RowError::Newer {
                found,
                known: Self::VERSION,
            }),
        }
    }
}

/// What was announced of an upload that may be resumed, under its id in `UPLOADS`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRow {
    /// Whose it is.
    pub owner: Owner,
    /// What is said about the video.
    pub details: VideoDetails,
    /// What the file is called where it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// How many bytes it has.
    pub length: u64,
}

impl UploadRow {
    /// The version that is written.
    pub const VERSION: u8 = 1;

    /// The bytes of the row.
    pub fn encode(&self) -> Vec<u8> {
        encode_row(Self::VERSION, self)
    }

    /// Reads a row of any version so far.
    pub fn decode(row: &[u8]) -> Result<Self, RowError> {
        decode_row(Self::VERSION, row)
    }
}

/// How far an upload is, beside what was announced of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadProgress {
    /// So many bytes are on disk for certain.
    Receiving {
        /// How many.
        offset: u64,
        /// When the last of them came.
        at: Timestamp,
    },
    /// It became a video.
    Published {
        /// Which.
        video: VideoId,
        /// When.
        at: Timestamp,
    },
}

impl UploadProgress {
    /// The version that is written.
    pub const VERSION: u8 = 1;

    /// The bytes of the row: version, time, and 8 bytes of an offset or 16 of a video's id.
    pub fn encode(&self) -> Vec<u8> {
        let (at, rest): (_, &[u8]) = match self {
            Self::Receiving { offset, at } => (at, &offset.to_be_bytes()),
            Self::Published { video, at } => (at, video.as_bytes()),
        };
        let mut row = vec![Self::VERSION];
        row.extend(at.as_millis().to_be_bytes());
        row.extend(rest);
        row
    }

    /// Reads a row of any version so far.
    pub fn decode(row: &[u8]) -> Result<Self, RowError> {
        let body = match row.split_first().ok_or(RowError::Empty)? {
            (1, body) => body,
            (&found, _) => {
                return Err(RowError::Newer {
                    found,
                    known: Self::VERSION,
                });
            }
        };
        let (at, rest) = body.split_first_chunk().ok_or(RowError::Length(row.len()))?;
        let at = Timestamp::from_millis(u64::from_be_bytes(*at));
        if let Ok(offset) = rest.try_into() {
            let offset = u64::from_be_bytes(offset);
            return Ok(Self::Receiving { offset, at });
        }
        let video = match rest.len() {
            16 => VideoId::try_from(rest).map_err(|_| RowError::Id)?,
            _ => return Err(RowError::Length(row.len())),
        };
        Ok(Self::Published { video, at })
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

    use proptest::prelude::*;
    use seedpod_protocol::ids::{ChannelId, ContentHash, InfoHash, PodId, Timestamp};
    use seedpod_protocol::keys::PodKey;
    use seedpod_protocol::records::{Picture, Privacy, VideoFile};

    use super::*;

    /// A video of one file, told apart from others by its number.
    pub(in crate::library) fn video(author: &PodId, owner: &str, number: u8, size: u64) -> Video {
        let picture = |part: u8| Picture {
            hash: ContentHash::of(&[number, part]),
            size: 1000,
            width: 280,
            height: 157,
        };
        let mut hash = [number; 20];
        hash[1..5].copy_from_slice(&author.as_bytes()[..4]);
        Video {
            nonce: [number; 16],
            channel: ChannelId::derive(author, &[1; 16]),
            owner: owner.to_owned(),
            name: "A walk".to_owned(),
            description: None,
            category: Some(1),
            licence: None,
            language: Some("en".to_owned()),
            nsfw: false,
            tags: vec!["walk".to_owned()],
            support: None,
            comments_enabled: true,
            download_enabled: true,
            privacy: Privacy::Public,
            duration: 5,
            created_at: Timestamp::from_millis(1),
            published_at: Timestamp::from_millis(1),
            updated_at: Timestamp::from_millis(1),
            originally_published_at: None,
            thumbnail: Some(picture(1)),
            preview: Some(picture(2)),
            files: vec![VideoFile {
                info_hash: InfoHash::from_bytes(hash),
                size,
                resolution: 90,
                width: 160,
                height: 90,
                fps: 25,
                extension: "mp4".to_owned(),
                piece_length: 16_384,
            }],
        }
    }

    pub(in crate::library) fn key(number: u8) -> PodKey {
        PodKey::from_seed(&[number; 32])
    }

    pub(in crate::library) fn pod(number: u8) -> PodId {
        key(number).id()
    }

    #[test]
    fn rows_survive_their_stored_form() {
        let author = pod(1);
        let row = LocalVideo {
            video: video(&author, "ann", 1, 5),
            original_name: Some("walk.mp4".to_owned()),
        };
        assert_eq!(LocalVideo::decode(&row.encode()).unwrap(), row);
        let torrent = LocalTorrent {
            video: row.video.id(&author),
            rendition: 3,
        };
        assert_eq!(LocalTorrent::decode(&torrent.encode()).unwrap(), torrent);
        assert!(matches!(
            LocalVideo::decode(&[9, 1]),
            Err(RowError::Newer { found: 9, known: 1 })
        ));
        assert!(matches!(LocalTorrent::decode(&[1, 1]), Err(RowError::Length(2))));
    }

    #[test]
    fn the_form_on_disk_does_not_change() {
        let torrent = LocalTorrent {
            video: "7a1c4f5e-94d2-8c3a-9b1d-2e3f4a5b6c7d".parse().unwrap(),
            rendition: 2,
        };
        let hex = data_encoding::HEXLOWER.encode(&torrent.encode());
        assert_eq!(hex, "017a1c4f5e94d28c3a9b1d2e3f4a5b6c7d02");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_row_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(LocalVideo::decode(&bytes));
            drop(LocalTorrent::decode(&bytes));
        }
    }
}
