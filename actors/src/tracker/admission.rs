//! Which torrents the catalog admits: those of live videos, unlisted ones among them.

use std::collections::HashMap;

use seedpod_protocol::envelope::{Kind, State};
use seedpod_protocol::ids::{InfoHash, PodId, VideoId};
use seedpod_protocol::records::Record;

use crate::catalog::messages::Change;

/// The torrents of each live video.
#[derive(Debug, Default)]
pub(super) struct Admission {
    videos: HashMap<VideoId, (PodId, Vec<InfoHash>)>,
}

/// What a change of the catalog does to the admitted torrents.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct AdmissionChange {
    pub(super) admit: Vec<InfoHash>,
    pub(super) withdraw: Vec<InfoHash>,
}

impl Admission {
    /// Follows one change. A torrent that a video keeps is neither admitted nor withdrawn: its swarm lives on.
    pub(super) fn follow(&mut self, change: &Change) -> AdmissionChange {
        let held = match change {
            Change::Head(held) => held,
            Change::AuthorGone(author) => return self.forget(author),
        };
        let header = held.record.header();
        let (Kind::VIDEO, Ok(id)) = (header.kind, VideoId::try_from(header.object)) else {
            return AdmissionChange::default();
        };
        let now = match held.record.payload() {
            Record::Video(video) if header.state == State::Live => {
                video.files.iter().map(|file| file.info_hash).collect()
            }
            _ => Vec::new(),
        };
        let before = self
            .videos
            .remove(&id)
            .map(|(_, hashes)| hashes)
            .unwrap_or_default();
        let change = AdmissionChange {
            admit: now
                .iter()
                .filter(|hash| !before.contains(hash))
                .copied()
                .collect(),
            withdraw: before.into_iter().filter(|hash| !now.contains(hash)).collect(),
        };
        if !now.is_empty() {
            self.videos.insert(id, (header.author, now));
        }
        change
    }

    fn forget(&mut self, author: &PodId) -> AdmissionChange {
        let mut withdraw = Vec::new();
        self.videos.retain(|_, (origin, hashes)| {
            let stays = origin != author;
            if !stays {
                withdraw.append(hashes);
            }
            stays
        });
        AdmissionChange {
            admit: Vec::new(),
            withdraw,
        }
    }
}

#[cfg(test)]
mod tests {
    use seedpod_protocol::envelope::{Draft, Epoch, Stamp};
    use seedpod_protocol::ids::{ChannelId, Timestamp};
    use seedpod_protocol::keys::PodKey;
    use seedpod_protocol::records::{Privacy, Video, VideoFile};

    use super::*;
    use crate::catalog::messages::HeldRecord;

    fn file(number: u8) -> VideoFile {
        VideoFile {
            info_hash: InfoHash::from_bytes([number; 20]),
            size: 1000,
            resolution: 720,
            width: 1280,
            height: 720,
            fps: 25,
            extension: "mp4".to_owned(),
            piece_length: 16 * 1024,
        }
    }

    fn hashes(numbers: &[u8]) -> Vec<InfoHash> {
        numbers
            .iter()
            .map(|number| InfoHash::from_bytes([*number; 20]))
            .collect()
    }

    fn author() -> PodKey {
        PodKey::from_seed(&[1; 32])
    }

    fn change(seq: u64, draft: Draft) -> Change {
        let record = draft
            .sign(
                &author(),
                Stamp {
                    epoch: Epoch {
                        counter: 1,
                        tag: [0; 8],
                    },
                    seq,
                },
            )
            .expect("within the limits");
        Change::Head(HeldRecord {
            record,
            number: seq,
            received_at: Timestamp::EPOCH,
            via: author().id(),
        })
    }

    fn video(files: &[u8]) -> Draft {
        let video = Video {
            nonce: [3; 16],
            channel: ChannelId::derive(&author().id(), &[4; 16]),
            owner: "root".to_owned(),
            name: "A film".to_owned(),
            description: None,
            category: None,
            licence: None,
            language: None,
            nsfw: false,
            tags: Vec::new(),
            support: None,
            comments_enabled: true,
            download_enabled: true,
            privacy: Privacy::Unlisted,
            duration: 5,
            created_at: Timestamp::EPOCH,
            published_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
            originally_published_at: None,
            thumbnail: None,
            preview: None,
            files: files.iter().map(|number| file(*number)).collect(),
        };
        Draft::live(&author().id(), Record::Video(video)).expect("a video")
    }

    #[test]
    fn torrents_come_and_go_with_their_video() {
        let mut admission = Admission::default();
        let first = admission.follow(&change(1, video(&[1, 2])));
        assert_eq!(
            first,
            AdmissionChange {
                admit: hashes(&[1, 2]),
                withdraw: vec![]
            }
        );
        let update = admission.follow(&change(2, video(&[2, 3])));
        assert_eq!(
            update,
            AdmissionChange {
                admit: hashes(&[3]),
                withdraw: hashes(&[1])
            }
        );
        let object = video(&[1]).object;
        let removal = admission.follow(&change(3, Draft::removed(Kind::VIDEO, object)));
        assert_eq!(
            removal,
            AdmissionChange {
                admit: vec![],
                withdraw: hashes(&[2, 3])
            }
        );
    }

    #[test]
    fn an_author_who_leaves_takes_all_torrents_along() {
        let mut admission = Admission::default();
        admission.follow(&change(1, video(&[1, 2])));
        let gone = admission.follow(&Change::AuthorGone(author().id()));
        assert_eq!(gone.withdraw, hashes(&[1, 2]));
        assert_eq!(
            admission.follow(&Change::AuthorGone(author().id())),
            AdmissionChange::default()
        );
    }
}
