//! Which uploads there are, how far each is, and who works on it. Pure: time comes in.
//!
//! ```text
//! begin ──▶ claimed ⇄ waiting ──▶ forgotten (cancelled, expired)
//!              └──▶ published ──▶ forgotten (expired, or the user begins others)
//! ```
//!
//! One that waits for its first byte for longer than [`PATIENCE_FOR_FIRST_BYTE`] makes way when its user begins others: whoever
//! began it never heard its name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use seedpod_protocol::ids::{Timestamp, VideoId};
use tokio_util::sync::CancellationToken;

use super::{ResumeError, UploadId};
use crate::library::records::{UploadProgress, UploadRow};

/// How long an upload waits for its next byte, and is known after it became a video.
pub const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How long an upload without a byte keeps its place from others of its user: clients send as soon as they know its name.
pub const PATIENCE_FOR_FIRST_BYTE: Duration = Duration::from_secs(30);

/// How many uploads of one user may wait for bytes; and how many that became videos are remembered.
pub const MAX_OPEN_PER_USER: usize = 10;

/// How many uploads of all users may wait for bytes: each that was touched since the start holds an open file.
const MAX_OPEN: usize = 256;

/// How an upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Bytes are missing, or it waits to be published.
    Open {
        /// How many bytes are on disk for certain.
        offset: u64,
        /// How many there will be.
        length: u64,
        /// When it is forgotten if nothing happens.
        expires: Timestamp,
    },
    /// It is a video.
    Published {
        /// Which.
        video: VideoId,
        /// How many bytes it has.
        length: u64,
    },
}

/// What whoever claims an upload needs to know.
#[derive(Debug, Clone)]
pub(super) struct Claimed {
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) takeover: CancellationToken,
}

/// Why an upload cannot be claimed.
#[derive(Debug, Clone)]
pub(super) enum Refusal {
    Unknown,
    Published(VideoId),
    /// Somebody works on it, who is told to let go by this.
    Claimed(CancellationToken),
}

#[derive(Debug)]
struct Entry {
    what: Arc<UploadRow>,
    touched: Timestamp,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Waiting {
        offset: u64,
    },
    Claimed {
        offset: u64,
        takeover: CancellationToken,
    },
    Published(VideoId),
}

impl Entry {
    fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::Published(_))
    }

    fn expires(&self) -> Timestamp {
        self.touched.saturating_add(LIFETIME)
    }

    fn is_idle(&self, now: Timestamp) -> bool {
        let waits = matches!(self.phase, Phase::Waiting { offset: 0 });
        waits && self.touched.saturating_add(PATIENCE_FOR_FIRST_BYTE) <= now
    }
}

/// All uploads that may be resumed.
#[derive(Debug, Default)]
pub(super) struct Pending {
    uploads: HashMap<UploadId, Entry>,
}

impl Pending {
    /// Takes up what was noted before a restart.
    pub(super) fn restore(&mut self, id: UploadId, what: UploadRow, progress: UploadProgress) {
        let (phase, touched) = match progress {
            UploadProgress::Receiving { offset, at } => (Phase::Waiting { offset }, at),
            UploadProgress::Published { video, at } => (Phase::Published(video), at),
        };
        let what = Arc::new(what);
        self.uploads.insert(id, Entry { what, touched, phase });
    }

    /// Begins an upload, which is claimed by whoever began it; says which were forgotten for it.
    pub(super) fn begin(
        &mut self,
        id: UploadId,
        what: UploadRow,
        now: Timestamp,
    ) -> Result<(Claimed, Vec<UploadId>), ResumeError> {
        let theirs = |entry: &&Entry| entry.what.owner.username == what.owner.username;
        let open = |entry: &&Entry| entry.is_open();
        let refused = if self.uploads.values().filter(theirs).filter(open).count() >= MAX_OPEN_PER_USER {
            Some(ResumeError::TooMany {
                limit: MAX_OPEN_PER_USER,
            })
        } else {
            (self.open() >= MAX_OPEN).then_some(ResumeError::Busy)
        };
        let idle = match refused {
            Some(error) => Some(self.evict_idle(&what.owner.username, now).ok_or(error)?),
            None => None,
        };
        let mut ended: Vec<(Timestamp, UploadId)> = self
            .uploads
            .iter()
            .filter(|(_, entry)| theirs(entry) && !entry.is_open())
            .map(|(id, entry)| (entry.touched, *id))
            .collect();
        ended.sort_unstable();
        ended.truncate((ended.len() + 1).saturating_sub(MAX_OPEN_PER_USER));
        let ended = ended.into_iter().map(|(_, id)| id);
        let evicted: Vec<UploadId> = ended.chain(idle).collect();
        for id in &evicted {
            self.forget(*id);
        }
        let takeover = CancellationToken::new();
        let claimed = Claimed {
            offset: 0,
            length: what.length,
            takeover: takeover.clone(),
        };
        let entry = Entry {
            what: Arc::new(what),
            touched: now,
            phase: Phase::Claimed { offset: 0, takeover },
        };
        self.uploads.insert(id, entry);
        Ok((claimed, evicted))
    }

    /// Gives an upload to one who works on it.
    pub(super) fn claim(&mut self, id: UploadId, user: &str) -> Result<Claimed, Refusal> {
        let entry = self
            .uploads
            .get_mut(&id)
            .filter(|entry| entry.what.owner.username == user)
            .ok_or(Refusal::Unknown)?;
        let offset = match &entry.phase {
            Phase::Waiting { offset } => *offset,
            Phase::Claimed { takeover, .. } => return Err(Refusal::Claimed(takeover.clone())),
            Phase::Published(video) => return Err(Refusal::Published(*video)),
        };
        let takeover = CancellationToken::new();
        entry.phase = Phase::Claimed {
            offset,
            takeover: takeover.clone(),
        };
        Ok(Claimed {
            offset,
            length: entry.what.length,
            takeover,
        })
    }

    /// Whoever worked on an upload lets go, with so many bytes on disk for certain, or as many as before. Says whether the
    /// upload is still known.
    pub(super) fn release(&mut self, id: UploadId, reached: Option<u64>, now: Timestamp) -> bool {
        let Some(entry) = self.uploads.get_mut(&id) else {
            return false;
        };
        if let Phase::Claimed { offset, .. } = entry.phase {
            if reached.is_some() {
                entry.touched = now;
            }
            entry.phase = Phase::Waiting {
                offset: reached.unwrap_or(offset),
            };
        }
        true
    }

    /// An upload became a video.
    pub(super) fn published(&mut self, id: UploadId, video: VideoId, now: Timestamp) {
        if let Some(entry) = self.uploads.get_mut(&id) {
            entry.touched = now;
            entry.phase = Phase::Published(video);
        }
    }

    /// Forgets an upload.
    pub(super) fn forget(&mut self, id: UploadId) {
        self.uploads.remove(&id);
    }

    /// Forgets the oldest upload of a user that never got a byte and is not about to.
    pub(super) fn evict_idle(&mut self, user: &str, now: Timestamp) -> Option<UploadId> {
        let (_, oldest) = self
            .idle(user, now)
            .map(|(id, entry)| (entry.touched, id))
            .min()?;
        self.forget(oldest);
        Some(oldest)
    }

    /// How many bytes are paid for by uploads of a user that would make way.
    pub(super) fn idle_bytes(&self, user: &str, now: Timestamp) -> u64 {
        let lengths = self.idle(user, now).map(|(_, entry)| entry.what.length);
        lengths.fold(0, u64::saturating_add)
    }

    fn idle(&self, user: &str, now: Timestamp) -> impl Iterator<Item = (UploadId, &Entry)> {
        let entries = self.uploads.iter().map(|(id, entry)| (*id, entry));
        entries.filter(move |(_, entry)| entry.what.owner.username == user && entry.is_idle(now))
    }

    /// How many wait for bytes or to be published.
    pub(super) fn open(&self) -> usize {
        self.uploads.values().filter(|entry| entry.is_open()).count()
    }

    /// Whether an upload is known.
    pub(super) fn knows(&self, id: UploadId) -> bool {
        self.uploads.contains_key(&id)
    }

    /// What was announced of an upload.
    pub(super) fn what(&self, id: UploadId) -> Option<Arc<UploadRow>> {
        self.uploads.get(&id).map(|entry| Arc::clone(&entry.what))
    }

    /// How an upload stands.
    pub(super) fn standing(&self, id: UploadId) -> Option<Standing> {
        let entry = self.uploads.get(&id)?;
        Some(match entry.phase {
            Phase::Waiting { offset } | Phase::Claimed { offset, .. } => Standing::Open {
                offset,
                length: entry.what.length,
                expires: entry.expires(),
            },
            Phase::Published(video) => Standing::Published {
                video,
                length: entry.what.length,
            },
        })
    }

    /// Forgets an upload that nobody works on and nobody touched for too long, if there is one.
    pub(super) fn evict_expired(&mut self, now: Timestamp) -> Option<UploadId> {
        let is_over = |entry: &Entry| !matches!(entry.phase, Phase::Claimed { .. }) && entry.expires() <= now;
        let mut entries = self.uploads.iter();
        let id = entries.find_map(|(id, entry)| is_over(entry).then_some(*id))?;
        self.forget(id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

    use super::*;
    use crate::library::resumable::tests::row_of;

    fn id(number: u8) -> UploadId {
        UploadId([number; 16])
    }

    fn at(hours: u64) -> Timestamp {
        Timestamp::from_millis(hours * 60 * 60 * 1000)
    }

    fn begun(pending: &mut Pending, number: u8, user: &str) {
        pending.begin(id(number), row_of(user, 100), at(0)).unwrap();
        assert!(pending.release(id(number), Some(0), at(0)));
    }

    #[test]
    fn one_works_on_an_upload_and_the_next_one_can_tell_it_to_stop() {
        let mut pending = Pending::default();
        begun(&mut pending, 1, "ann");
        let first = pending.claim(id(1), "ann").unwrap();
        let Err(Refusal::Claimed(takeover)) = pending.claim(id(1), "ann") else {
            panic!("two work on one upload");
        };
        takeover.cancel();
        assert!(first.takeover.is_cancelled());
        pending.release(id(1), Some(40), at(1));
        let second = pending.claim(id(1), "ann").unwrap();
        assert_eq!((second.offset, second.takeover.is_cancelled()), (40, false));
        pending.release(id(1), None, at(2));
        assert_eq!(
            pending.standing(id(1)),
            Some(Standing::Open {
                offset: 40,
                length: 100,
                expires: at(25)
            }),
            "who lets go without a byte changes nothing"
        );
    }

    #[test]
    fn nobody_works_on_an_upload_of_somebody_else() {
        let mut pending = Pending::default();
        begun(&mut pending, 1, "ann");
        assert!(matches!(pending.claim(id(1), "bob"), Err(Refusal::Unknown)));
        assert!(matches!(pending.claim(id(2), "ann"), Err(Refusal::Unknown)));
    }

    #[test]
    fn open_uploads_are_limited_for_each_user_and_ended_ones_make_way() {
        let mut pending = Pending::default();
        for number in 0..10 {
            begun(&mut pending, number, "ann");
        }
        let more = pending.begin(id(10), row_of("ann", 100), at(0));
        assert!(matches!(more, Err(ResumeError::TooMany { limit: 10 })));
        begun(&mut pending, 100, "bob");
        let video = "00000000-0000-8000-8000-000000000001".parse().unwrap();
        for number in 0..10 {
            pending.published(id(number), video, at(number.into()));
        }
        let (_, evicted) = pending.begin(id(10), row_of("ann", 100), at(0)).unwrap();
        assert_eq!(evicted, [id(0)], "the oldest is forgotten");
    }

    #[test]
    fn an_upload_whose_name_nobody_heard_makes_way() {
        let soon = at(0).saturating_add(PATIENCE_FOR_FIRST_BYTE);
        let mut pending = Pending::default();
        for number in 0..9 {
            begun(&mut pending, number, "ann");
            pending.claim(id(number), "ann").unwrap();
            pending.release(id(number), Some(1), at(0));
        }
        begun(&mut pending, 9, "ann");
        begun(&mut pending, 100, "bob");
        assert!(pending.begin(id(10), row_of("ann", 100), at(0)).is_err());
        assert_eq!(
            (pending.idle_bytes("ann", at(0)), pending.idle_bytes("ann", soon)),
            (0, 100)
        );
        let (_, evicted) = pending.begin(id(10), row_of("ann", 100), soon).unwrap();
        assert_eq!(evicted, [id(9)], "with bytes, or somebody else's, it stays");
        assert!(!pending.knows(id(9)));
        assert!(
            pending.begin(id(11), row_of("ann", 100), at(23)).is_err(),
            "one that is worked on stays"
        );
        assert_eq!(pending.evict_idle("ann", at(23)), None);
        assert_eq!(pending.evict_idle("bob", soon), Some(id(100)));
    }

    #[test]
    fn what_nobody_touches_for_a_day_expires_unless_it_is_worked_on() {
        let mut pending = Pending::default();
        for number in 1..=3 {
            begun(&mut pending, number, "ann");
        }
        pending.claim(id(2), "ann").unwrap();
        pending.release(id(2), Some(1), at(10));
        pending.claim(id(3), "ann").unwrap();
        assert_eq!(pending.evict_expired(at(23)), None);
        assert_eq!(pending.evict_expired(at(24)), Some(id(1)));
        assert_eq!(pending.evict_expired(at(24)), None);
        assert!(!pending.release(id(1), Some(5), at(24)), "forgotten is forgotten");
        assert_eq!(pending.evict_expired(at(34)), Some(id(2)));
    }
}
