//! Which torrents the catalog admits: those of live videos, unlisted ones among them. Of an author whose records are hidden, those of which
//! this pod has a copy.

use std::collections::{HashMap, HashSet};

use seedpod_protocol::envelope::{Kind, State};
use seedpod_protocol::ids::{InfoHash, PodId, VideoId};
use seedpod_protocol::records::Record;

use crate::catalog::messages::Change;

/// The torrents of each live video.
#[derive(Debug, Default)]
pub(super) struct Admission {
    me: Option<PodId>,
    /// Videos of which this pod offers a copy.
    copies: HashSet<VideoId>,
    /// Authors whose records are hidden.
    hidden: HashSet<PodId>,
    videos: HashMap<VideoId, (PodId, Vec<InfoHash>)>,
    /// How many videos have a torrent. Nothing keeps a pod from naming another's torrent in a video of its own; when that one
    /// goes, the torrent must stay.
    holders: HashMap<InfoHash, usize>,
}

/// What a change of the catalog does to the admitted torrents.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct AdmissionChange {
    pub(super) admit: Vec<InfoHash>,
    pub(super) withdraw: Vec<InfoHash>,
}

impl Admission {
    /// Nothing is admitted yet. `me` is this pod, whose copies count.
    pub(super) fn of(me: PodId) -> Self {
        Self {
            me: Some(me),
            ..Self::default()
        }
    }

    /// Follows one change. A torrent that a video keeps is neither admitted nor withdrawn: its swarm lives on.
    pub(super) fn follow(&mut self, change: &Change) -> AdmissionChange {
        let held = match change {
            Change::Head(held) => held,
            Change::AuthorGone(author) => {
                self.hidden.remove(author);
                return self.forget(author, &HashSet::new());
            }
            Change::AuthorHidden(author) => {
                self.hidden.insert(*author);
                let copies = self.copies.clone();
                return self.forget(author, &copies);
            }
        };
        let header = held.record.header();
        // Nothing is told of who is hidden: this one is back.
        self.hidden.remove(&header.author);
        if let (Kind::MIRROR, Ok(id)) = (header.kind, VideoId::try_from(header.object))
            && Some(header.author) == self.me
        {
            return self.follow_copy(id, header.state == State::Live);
        }
        let (Kind::VIDEO, Ok(id)) = (header.kind, VideoId::try_from(header.object)) else {
            return AdmissionChange::default();
        };
        let now = match held.record.payload() {
            Record::Video(video) if header.state == State::Live => {
                video.files.iter().map(|file| file.info_hash).collect()
            }
            _ => Vec::new(),
        };
        let of_another = |(author, _): &(PodId, Vec<InfoHash>)| *author != header.author;
        let before = match now.is_empty() {
            // A removal names no nonce, so anybody can sign one for any id: it counts for its author's own video alone.
            true if self.videos.get(&id).is_some_and(of_another) => None,
            true => self.videos.remove(&id),
            false => self.videos.insert(id, (header.author, now.clone())),
        };
        // The new ones first: what a video keeps never falls to no holder.
        let mut change = AdmissionChange::default();
        for info_hash in now {
            let holders = self.holders.entry(info_hash).or_insert(0);
            *holders += 1;
            if *holders == 1 {
                change.admit.push(info_hash);
            }
        }
        change.withdraw = self.release(before.map(|(_, hashes)| hashes).unwrap_or_default());
        change
    }

    fn follow_copy(&mut self, id: VideoId, live: bool) -> AdmissionChange {
        if live {
            self.copies.insert(id);
            return AdmissionChange::default();
        }
        self.copies.remove(&id);
        let hidden = |(origin, _): &(PodId, Vec<InfoHash>)| self.hidden.contains(origin);
        let released = match self.videos.get(&id).is_some_and(hidden) {
            true => self.videos.remove(&id).map(|(_, hashes)| hashes),
            false => None,
        };
        AdmissionChange {
            admit: Vec::new(),
            withdraw: self.release(released.unwrap_or_default()),
        }
    }

    fn forget(&mut self, author: &PodId, but: &HashSet<VideoId>) -> AdmissionChange {
        let gone = self
            .videos
            .extract_if(|id, (origin, _)| origin == author && !but.contains(id));
        let released = gone.flat_map(|(_, (_, hashes))| hashes).collect();
        AdmissionChange {
            admit: Vec::new(),
            withdraw: self.release(released),
        }
    }

    /// Takes one holder off each, and returns those that have none left.
    fn release(&mut self, mut info_hashes: Vec<InfoHash>) -> Vec<InfoHash> {
        info_hashes.retain(|info_hash| {
            let Some(holders) = self.holders.get_mut(info_hash) else {
                return false;
            };
            *holders -= 1;
            let free = *holders == 0;
            if free {
                self.holders.remove(info_hash);
            }
            free
        });
        info_hashes
    }
}

#[cfg(test)]
mod tests {
    use seedpod_protocol::envelope::{Draft, Epoch, Stamp};
    use seedpod_protocol::ids::{ChannelId, Timestamp};
    use seedpod_protocol::keys::PodKey;
    use seedpod_protocol::records::{Mirror, Privacy, Video, VideoFile};

    use super::*;
    use crate::catalog::messages::HeldRecord;

    fn file(number: u8) -> VideoFile {
        VideoFile {
            info_hash: InfoHash::from_bytes([number; 20]),
            size: 1000,
            resolution: 240 + u16::from(number),
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
        change_by(&author(), seq, draft)
    }

    fn change_by(key: &PodKey, seq: u64, draft: Draft) -> Change {
        let record = draft
            .sign(
                key,
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
        video_of_nonce(3, files)
    }

    fn video_of_nonce(nonce: u8, files: &[u8]) -> Draft {
        let video = Video {
            nonce: [nonce; 16],
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

    #[test]
    fn of_an_author_who_is_hidden_the_torrents_stay_that_are_kept_here() {
        let me = PodKey::from_seed(&[2; 32]);
        let mut admission = Admission::of(me.id());
        let kept = video_of_nonce(3, &[1]);
        let id = VideoId::try_from(kept.object).expect("a video's id");
        admission.follow(&change(1, kept));
        admission.follow(&change(2, video_of_nonce(4, &[2])));
        let mirror = Mirror {
            video: id,
            origin: author().id(),
            info_hashes: hashes(&[1]),
        };
        let offer = Draft::live(&me.id(), Record::Mirror(mirror)).expect("an offer");
        assert_eq!(
            admission.follow(&change_by(&me, 3, offer)),
            AdmissionChange::default()
        );
        let hidden = admission.follow(&Change::AuthorHidden(author().id()));
        assert_eq!(hidden.withdraw, hashes(&[2]));
        let taken_back = Draft::withdrawn(Kind::MIRROR, id.into());
        let gone = admission.follow(&change_by(&me, 4, taken_back));
        assert_eq!(gone.withdraw, hashes(&[1]));
        assert!(admission.holders.is_empty() && admission.videos.is_empty());
        // Of a friend who is back, a copy more or less changes nothing.
        let back = admission.follow(&change(1, video_of_nonce(3, &[1])));
        assert_eq!(back.admit, hashes(&[1]));
        let taken_back = Draft::withdrawn(Kind::MIRROR, id.into());
        assert_eq!(
            admission.follow(&change_by(&me, 5, taken_back)),
            AdmissionChange::default()
        );
    }

    #[test]
    fn a_torrent_two_videos_name_stays_until_both_are_gone() {
        let mut admission = Admission::default();
        admission.follow(&change(1, video_of_nonce(3, &[1])));
        let second = video_of_nonce(4, &[1, 2]);
        let object = second.object;
        assert_eq!(admission.follow(&change(2, second)).admit, hashes(&[2]));
        let removal = admission.follow(&change(3, Draft::removed(Kind::VIDEO, object)));
        assert_eq!(removal.withdraw, hashes(&[2]));
        let gone = admission.follow(&Change::AuthorGone(author().id()));
        assert_eq!(gone.withdraw, hashes(&[1]));
        assert!(admission.holders.is_empty() && admission.videos.is_empty());
    }

    #[test]
    fn nobody_withdraws_the_video_of_another() {
        let mut admission = Admission::default();
        admission.follow(&change(1, video(&[1])));
        let removal = Draft::removed(Kind::VIDEO, video(&[1]).object);
        let stranger = PodKey::from_seed(&[9; 32]);
        assert_eq!(
            admission.follow(&change_by(&stranger, 2, removal)),
            AdmissionChange::default()
        );
    }
}
