//! The stored forms, all in [`tables::MIRRORS`](crate::store::tables::MIRRORS): a version byte, then canonical CBOR. The first byte of the key
//! says what a row is:
//!
//! | key | value |
//! |---|---|
//! | `0` ‖ video id | chosen by hand: nothing more |
//! | `1` ‖ video id | a copy: what it is of, its files, whether it was announced |
//! | `2` ‖ bucket | a budget that somebody set, in bytes |

use seedpod_protocol::codec::{self, CodecError};
use seedpod_protocol::ids::{InfoHash, PodId, VideoId};
use seedpod_protocol::limits;
use serde::{Deserialize, Serialize};

use super::messages::Bucket;
use super::state::{CopyFile, Wish};
use crate::library::MediaName;
use crate::store::Transaction;
use crate::store::tables::MIRRORS;

const VERSION: u8 = 1;
/// More than the longest row can be.
const MAX_ROW: usize = 16 * 1024;

const CHOSEN: u8 = 0;
const COPY: u8 = 1;
const BUDGET: u8 = 2;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Row {
    Chosen(VideoId),
    Copy {
        wish: Wish,
        bucket: Bucket,
        announced: bool,
    },
    Budget(Bucket, u64),
}

/// Why a stored row could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum MirrorRowError {
    #[error("a stored copy has a key that is none")]
    Key,
    #[error("a stored copy has version {0}, this program knows {VERSION}")]
    Newer(u8),
    #[error("a stored copy is damaged: {0}")]
    Codec(#[from] CodecError),
    #[error("a stored copy names a file that is none: {0}")]
    Name(String),
}

#[derive(Serialize, Deserialize)]
struct CopyRow {
    origin: PodId,
    host: String,
    title: String,
    #[serde(with = "serde_bytes_of_bucket")]
    bucket: Bucket,
    announced: bool,
    files: Vec<FileRow>,
}

#[derive(Serialize, Deserialize)]
struct FileRow {
    name: String,
    info_hash: InfoHash,
    size: u64,
}

#[derive(Serialize, Deserialize)]
struct BudgetRow {
    bytes: u64,
}

impl Row {
    fn key(&self) -> Vec<u8> {
        match self {
            Self::Chosen(video) => key_of(CHOSEN, video),
            Self::Copy { wish, .. } => key_of(COPY, &wish.video),
            Self::Budget(bucket, _) => budget_key(bucket),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut value = vec![VERSION];
        match self {
            Self::Chosen(_) => {}
            Self::Copy {
                wish,
                bucket,
                announced,
            } => {
                let files = wish.files.iter().map(|file| FileRow {
                    name: file.name.to_string(),
                    info_hash: file.info_hash,
                    size: file.size,
                });
                value.extend(codec::encode(&CopyRow {
                    origin: wish.origin,
                    host: wish.host.clone(),
                    title: wish.title.clone(),
                    bucket: *bucket,
                    announced: *announced,
                    files: files.collect(),
                }));
            }
            Self::Budget(_, bytes) => value.extend(codec::encode(&BudgetRow { bytes: *bytes })),
        }
        value
    }

    pub(super) fn put(&self, transaction: &mut Transaction) {
        transaction.put(MIRRORS, self.key(), self.encode());
    }

    pub(super) fn decode(key: &[u8], value: &[u8]) -> Result<Self, MirrorRowError> {
        let body = match value.split_first() {
            Some((&VERSION, body)) => body,
            Some((&found, _)) => return Err(MirrorRowError::Newer(found)),
            None => return Err(MirrorRowError::Newer(0)),
        };
        let (&what, rest) = key.split_first().ok_or(MirrorRowError::Key)?;
        let video = || VideoId::try_from(rest).map_err(|_| MirrorRowError::Key);
        match what {
            CHOSEN => Ok(Self::Chosen(video()?)),
            COPY => {
                let row: CopyRow = codec::decode(body, MAX_ROW)?;
                let files = row.files.into_iter().take(limits::FILES_MAX).map(|file| {
                    let name: MediaName = file.name.parse().map_err(|_| MirrorRowError::Name(file.name))?;
                    Ok(CopyFile {
                        name,
                        info_hash: file.info_hash,
                        size: file.size,
                    })
                });
                let wish = Wish {
                    video: video()?,
                    origin: row.origin,
                    host: row.host,
                    title: row.title,
                    files: files.collect::<Result<_, MirrorRowError>>()?,
                };
                Ok(Self::Copy {
                    wish,
                    bucket: row.bucket,
                    announced: row.announced,
                })
            }
            BUDGET => {
                let row: BudgetRow = codec::decode(body, MAX_ROW)?;
                Ok(Self::Budget(
                    bucket_of(rest).ok_or(MirrorRowError::Key)?,
                    row.bytes,
                ))
            }
            _ => Err(MirrorRowError::Key),
        }
    }
}

pub(super) fn forget_choice(video: &VideoId, transaction: &mut Transaction) {
    transaction.delete(MIRRORS, key_of(CHOSEN, video));
}

pub(super) fn forget_copy(video: &VideoId, transaction: &mut Transaction) {
    transaction.delete(MIRRORS, key_of(COPY, video));
}

pub(super) fn forget_budget(bucket: &Bucket, transaction: &mut Transaction) {
    transaction.delete(MIRRORS, budget_key(bucket));
}

fn key_of(what: u8, video: &VideoId) -> Vec<u8> {
    [&[what][..], video.as_bytes()].concat()
}

fn budget_key(bucket: &Bucket) -> Vec<u8> {
    [vec![BUDGET], bucket_bytes(bucket)].concat()
}

/// 0 by hand, 1 and its key a friend, 2 the most viewed.
fn bucket_bytes(bucket: &Bucket) -> Vec<u8> {
    match bucket {
        Bucket::Hand => vec![0],
        Bucket::Friend(pod) => [&[1][..], pod.as_bytes()].concat(),
        Bucket::MostViewed => vec![2],
    }
}

fn bucket_of(bytes: &[u8]) -> Option<Bucket> {
    match bytes.split_first()? {
        (0, []) => Some(Bucket::Hand),
        (1, pod) => Some(Bucket::Friend(PodId::try_from(pod).ok()?)),
        (2, []) => Some(Bucket::MostViewed),
        _ => None,
    }
}

mod serde_bytes_of_bucket {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Bucket, bucket_bytes, bucket_of};

    pub(super) fn serialize<S: Serializer>(bucket: &Bucket, serializer: S) -> Result<S::Ok, S::Error> {
        bucket_bytes(bucket).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bucket, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        bucket_of(&bytes).ok_or_else(|| D::Error::custom("no bucket"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use seedpod_protocol::keys::PodKey;

    use super::*;

    #[test]
    fn rows_come_back_as_they_were() {
        let origin = PodKey::from_seed(&[3; 32]).id();
        let video = VideoId::derive(&origin, &[1; 16]);
        let file = CopyFile {
            name: format!("{video}-720.mp4").parse().unwrap(),
            info_hash: InfoHash::from_bytes([5; 20]),
            size: 1 << 40,
        };
        let wish = Wish {
            video,
            origin,
            host: "localhost:9003".to_owned(),
            title: "A film".to_owned(),
            files: vec![file],
        };
        let copy = |bucket, announced| Row::Copy {
            wish: wish.clone(),
            bucket,
            announced,
        };
        for row in [
            Row::Chosen(video),
            copy(Bucket::Hand, false),
            copy(Bucket::Friend(origin), true),
            copy(Bucket::MostViewed, true),
            Row::Budget(Bucket::Friend(origin), 7),
            Row::Budget(Bucket::MostViewed, 0),
        ] {
            assert_eq!(Row::decode(&row.key(), &row.encode()).unwrap(), row);
            assert!(matches!(
                Row::decode(&row.key(), &[9]),
                Err(MirrorRowError::Newer(9))
            ));
            assert!(Row::decode(&[7], &row.encode()).is_err());
        }
    }
}
