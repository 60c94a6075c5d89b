//! What was carried, and how far a teller is believed. Pure: told the time, knows no disk and no network.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use seedpod_protocol::envelope::{Kind, State};
use seedpod_protocol::ids::{InfoHash, PodId, Timestamp, VideoId};
use seedpod_protocol::records::Record;

use super::messages::{Figures, MeterError, Told};
use crate::address::counted_as;
use crate::catalog::messages::HeldRecord;
use crate::seeder::messages::{Carried, Sent};

/// How often within an hour one address may have got all files of a video, from viewers and from pods each. What is told beyond counts
/// for nothing. A household is one address, and a viewer whose player moves from HTTP into the swarm may get much of a file twice.
const RECEIVED_TIMES: u64 = 10;
/// How often within an hour one address may have given all files of a video.
const GIVEN_TIMES: u64 = 20;
/// How often within an hour one address may tell anything: a page tells six times a minute at most.
const REPORTS_AN_HOUR: u32 = 3_600;

/// How long it is remembered what an address told.
const WINDOW: Duration = Duration::from_secs(60 * 60);
/// Addresses remembered, and pairs of an address and a video. When there are as many, nobody new is listened to: somebody who invents
/// addresses must not make the pod forget what others told.
const MAX_TELLERS: usize = 100_000;

/// All figures.
#[derive(Debug)]
pub(super) struct Meter {
    me: PodId,
    videos: HashMap<VideoId, Film>,
    /// Each torrent counts for one video: this pod's own if it has one, else the first that named it.
    torrents: HashMap<InfoHash, VideoId>,
    figures: HashMap<VideoId, Figures>,
    all: Figures,
    /// What is not written down as it is.
    dirty: BTreeSet<VideoId>,
    all_dirty: bool,
    secret: [u8; 32],
    tellers: Hourly<u32>,
    accounts: Hourly<Told>,
}

/// A live video.
#[derive(Debug)]
struct Film {
    origin: PodId,
    /// Bytes of all files.
    size: u64,
    torrents: Vec<InfoHash>,
}

/// What is to be written down.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Figures of videos; nothing of one that was removed.
    pub(super) videos: Vec<(VideoId, Option<Figures>)>,
    pub(super) all: Option<Figures>,
}

impl Meter {
    /// `secret` makes what is remembered of tellers useless to whoever reads the memory later.
    pub(super) fn new(me: PodId, secret: [u8; 32]) -> Self {
        Self {
            me,
            videos: HashMap::new(),
            torrents: HashMap::new(),
            figures: HashMap::new(),
            all: Figures::default(),
            dirty: BTreeSet::new(),
            all_dirty: false,
            secret,
            tellers: Hourly::default(),
            accounts: Hourly::default(),
        }
    }

    /// Takes back what an earlier run stored, of one video or of all.
    pub(super) fn restore(&mut self, video: Option<VideoId>, figures: Figures) {
        match video {
            Some(video) => {
                self.figures.insert(video, figures);
            }
            None => self.all = figures,
        }
    }

    /// Takes the new head of a register. A video that was withdrawn may come back, so its figures stay; those of a removed one go.
    pub(super) fn heard(&mut self, held: &HeldRecord) {
        let header = held.record.header();
        let (Kind::VIDEO, Ok(id)) = (header.kind, VideoId::try_from(header.object)) else {
            return;
        };
        match held.record.payload() {
            Record::Video(video) if header.state == State::Live => {
                let film = Film {
                    origin: header.author,
                    size: video
                        .files
                        .iter()
                        .fold(0, |sum, file| sum.saturating_add(file.size)),
                    torrents: video.files.iter().map(|file| file.info_hash).collect(),
                };
                self.leave(&id);
                for info_hash in &film.torrents {
                    let holder = self.torrents.entry(*info_hash).or_insert(id);
                    if film.origin == self.me {
                        *holder = id;
                    }
                }
                self.videos.insert(id, film);
            }
            // Anybody can sign a removal of any id: it counts for its author's own video alone.
            _ if self
                .videos
                .get(&id)
                .is_some_and(|film| film.origin == header.author) =>
            {
                self.leave(&id);
                if header.state == State::Removed {
                    self.drop_figures(id);
                }
            }
            _ => {}
        }
    }

    /// An author's records left the catalog.
    pub(super) fn forget_author(&mut self, author: &PodId) {
        let of_author = |(id, film): (&VideoId, &Film)| (film.origin == *author).then_some(*id);
        let gone: Vec<VideoId> = self.videos.iter().filter_map(of_author).collect();
        for id in gone {
            self.leave(&id);
            self.drop_figures(id);
        }
    }

    fn leave(&mut self, id: &VideoId) {
        if let Some(film) = self.videos.remove(id) {
            for info_hash in film.torrents {
                if self.torrents.get(&info_hash) == Some(id) {
                    self.torrents.remove(&info_hash);
                }
            }
        }
    }

    fn drop_figures(&mut self, id: VideoId) {
        if self.figures.remove(&id).is_some() {
            self.dirty.insert(id);
        }
    }

    /// Adds what this pod sent. Bytes of a torrent that is of no video any more count in the sum of all.
    pub(super) fn sent(&mut self, sent: &Sent) {
        for (info_hash, carried) in &sent.torrents {
            match self.torrents.get(info_hash).copied() {
                Some(video) => self.add(Some(video), *carried, Told::default()),
                None => self.add(None, *carried, Told::default()),
            }
        }
        self.add(None, sent.others, Told::default());
    }

    /// Adds what a viewer's page told, as far as it is believed; answers how far that was.
    pub(super) fn tell(
        &mut self,
        video: VideoId,
        from: IpAddr,
        told: Told,
        now: Timestamp,
    ) -> Result<Told, MeterError> {
        let size = self.videos.get(&video).ok_or(MeterError::Unknown(video))?.size;
        let teller = self.teller(None, from);
        let reports = self.tellers.of(teller, now).ok_or(MeterError::Full)?;
        if *reports >= REPORTS_AN_HOUR {
            return Err(MeterError::TooOften);
        }
        *reports += 1;
        let teller = self.teller(Some(&video), from);
        let account = self.accounts.of(teller, now).ok_or(MeterError::Full)?;
        let believe =
            |before: u64, told: u64, times: u64| told.min(size.saturating_mul(times).saturating_sub(before));
        let believed = Told {
            from_viewers: believe(account.from_viewers, told.from_viewers, RECEIVED_TIMES),
            from_pods: believe(account.from_pods, told.from_pods, RECEIVED_TIMES),
            given: believe(account.given, told.given, GIVEN_TIMES),
        };
        *account = account.plus(believed);
        self.add(Some(video), Carried::default(), believed);
        Ok(believed)
    }

    fn add(&mut self, video: Option<VideoId>, sent: Carried, told: Told) {
        let more = Figures { sent, told };
        if more == Figures::default() {
            return;
        }
        if let Some(video) = video {
            let figures = self.figures.entry(video).or_default();
            *figures = figures.plus(more);
            self.dirty.insert(video);
        }
        self.all = self.all.plus(more);
        self.all_dirty = true;
    }

    /// The figures of a video; zeros while nothing is known.
    pub(super) fn figures(&self, video: &VideoId) -> Figures {
        self.figures.get(video).copied().unwrap_or_default()
    }

    /// The figures of all videos there ever were.
    pub(super) fn all(&self) -> Figures {
        self.all
    }

    /// What changed since this was last asked.
    pub(super) fn changes(&mut self) -> Changes {
        let dirty = std::mem::take(&mut self.dirty);
        Changes {
            videos: dirty
                .into_iter()
                .map(|video| (video, self.figures.get(&video).copied()))
                .collect(),
            all: std::mem::take(&mut self.all_dirty).then_some(self.all),
        }
    }

    /// Those changes did not reach the disk: they stay due.
    pub(super) fn unwritten(&mut self, changes: Changes) {
        self.dirty
            .extend(changes.videos.into_iter().map(|(video, _)| video));
        self.all_dirty |= changes.all.is_some();
    }

    /// One teller, or one teller of one video, as a keyed hash.
    fn teller(&self, video: Option<&VideoId>, from: IpAddr) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        match counted_as(from) {
            IpAddr::V4(ip) => hasher.update(&ip.octets()),
            IpAddr::V6(ip) => hasher.update(&ip.octets()),
        };
        if let Some(video) = video {
            hasher.update(video.as_bytes());
        }
        let mut teller = [0; 16];
        hasher.finalize_xof().fill(&mut teller);
        teller
    }

    /// Panics when an invariant is broken.
    #[cfg(test)]
    fn check(&self) {
        let all = self
            .figures
            .values()
            .fold(Figures::default(), |sum, one| sum.plus(*one));
        assert!(all.sent.in_all() <= self.all.sent.in_all());
        assert!(all.told.from_viewers <= self.all.told.from_viewers);
        assert!(
            self.torrents
                .iter()
                .all(|(hash, id)| self.videos[id].torrents.contains(hash))
        );
        self.tellers.check();
        self.accounts.check();
    }
}

/// Something about each of a bounded number of tellers, forgotten an hour after the first word.
#[derive(Debug)]
struct Hourly<T> {
    known: HashMap<[u8; 16], T>,
    order: VecDeque<(Timestamp, [u8; 16])>,
}

impl<T> Default for Hourly<T> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<T: Default> Hourly<T> {
    /// What is known of a teller; nothing when there are too many others.
    fn of(&mut self, teller: [u8; 16], now: Timestamp) -> Option<&mut T> {
        while let Some((since, oldest)) = self.order.front()
            && now.since(*since) >= WINDOW
        {
            self.known.remove(oldest);
            self.order.pop_front();
        }
        if !self.known.contains_key(&teller) {
            if self.known.len() >= MAX_TELLERS {
                return None;
            }
            self.order.push_back((now, teller));
        }
        Some(self.known.entry(teller).or_default())
    }

    #[cfg(test)]
    fn check(&self) {
        assert_eq!(self.known.len(), self.order.len());
        assert!(self.known.len() <= MAX_TELLERS);
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
