//! What was counted, and what there is to say about it. Pure: told the time, knows no disk and no network.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use seedpod_protocol::envelope::{Kind, State, Verified};
use seedpod_protocol::ids::{PodId, Timestamp, VideoId};
use seedpod_protocol::records::{Contribution, Counter, Record, Tally};

use super::messages::Rating;
use crate::address::counted_as;

/// How long the views of one address count as one.
const SAME_VIEWER: Duration = Duration::from_secs(60 * 60);

/// Viewers remembered at once; the oldest are forgotten first, and may then count again.
const MAX_VIEWERS: usize = 100_000;

/// The shortest time between two statements about one video.
const PAUSE: Duration = Duration::from_secs(3);

/// Statements made at once; the others wait for the next time.
const STATEMENTS_AT_ONCE: usize = 200;

/// Views, ratings, and what has been said of them.
#[derive(Debug)]
pub(crate) struct Audience {
    me: PodId,
    /// Live videos, and who published them.
    origins: HashMap<VideoId, PodId>,
    /// What this pod's own people did.
    here: HashMap<VideoId, Tally>,
    ratings: HashMap<VideoId, HashMap<String, Rating>>,
    /// What friends contribute to this pod's own videos.
    contributed: HashMap<VideoId, HashMap<PodId, Tally>>,
    /// What this pod's own records say at present.
    said: HashMap<VideoId, Said>,
    /// Videos of which something may have to be said.
    due: BTreeSet<VideoId>,
    viewers: Viewers,
}

#[derive(Debug, Clone, Copy)]
struct Said {
    kind: Kind,
    tally: Tally,
    at: Timestamp,
}

/// What this pod is to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) video: VideoId,
    pub(crate) kind: Kind,
    /// The new numbers. Nothing if the video is not shown any more: then what was said of it is taken back, to be said
    /// again should it return.
    pub(crate) record: Option<Record>,
}

/// What became of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// It counts: the video has so many now.
    Counted(u64),
    /// This address was counted within the hour.
    Again,
    /// There is no such video.
    Unknown,
}

impl Audience {
    /// `secret` makes what is remembered of viewers useless to whoever reads the memory later.
    pub(crate) fn new(me: PodId, secret: [u8; 32]) -> Self {
        Self {
            me,
            origins: HashMap::new(),
            here: HashMap::new(),
            ratings: HashMap::new(),
            contributed: HashMap::new(),
            said: HashMap::new(),
            due: BTreeSet::new(),
            viewers: Viewers {
                secret,
                known: HashSet::new(),
                order: VecDeque::new(),
            },
        }
    }

    /// Takes back a number that an earlier run stored.
    pub(crate) fn restore_views(&mut self, video: VideoId, views: u64) {
        self.here.entry(video).or_default().views = views;
    }

    /// Counts a view, unless it is one of the same viewer.
    pub(crate) fn view(&mut self, video: VideoId, from: IpAddr, now: Timestamp) -> View {
        if !self.origins.contains_key(&video) {
            return View::Unknown;
        }
        if !self.viewers.is_new(&video, from, now) {
            return View::Again;
        }
        let tally = self.here.entry(video).or_default();
        tally.views += 1;
        self.due.insert(video);
        View::Counted(tally.views)
    }

    /// A view that was counted did not reach the disk.
    pub(crate) fn unview(&mut self, video: &VideoId) {
        if let Some(tally) = self.here.get_mut(video) {
            tally.views = tally.views.saturating_sub(1);
        }
    }

    /// Whether there is such a video.
    pub(crate) fn knows(&self, video: &VideoId) -> bool {
        self.origins.contains_key(video)
    }

    /// Sets what a user thinks, and answers what they thought before.
    pub(crate) fn rate(&mut self, video: VideoId, username: &str, rating: Option<Rating>) -> Option<Rating> {
        let users = self.ratings.entry(video).or_default();
        let before = match rating {
            Some(rating) => users.insert(username.to_owned(), rating),
            None => users.remove(username),
        };
        let tally = self.here.entry(video).or_default();
        if let Some(number) = before.map(|before| number_of(tally, before)) {
            *number = number.saturating_sub(1);
        }
        if let Some(rating) = rating {
            *number_of(tally, rating) += 1;
        }
        self.due.insert(video);
        before
    }

    pub(crate) fn rating(&self, video: &VideoId, username: &str) -> Option<Rating> {
        self.ratings.get(video)?.get(username).copied()
    }

    /// Takes the new head of a register. `now` matters for our own statements only.
    pub(crate) fn heard(&mut self, record: &Verified<Record>, now: Timestamp) {
        let header = record.header();
        let Ok(video) = VideoId::try_from(header.object) else {
            return;
        };
        let (author, live) = (header.author, header.state == State::Live);
        match (header.kind, record.payload()) {
            (Kind::VIDEO, _) if live => {
                self.origins.insert(video, author);
                self.due.insert(video);
            }
            // Anybody can take back a video of this id that they never had.
            (Kind::VIDEO, _) if self.origins.get(&video) == Some(&author) => {
                self.origins.remove(&video);
                self.due.insert(video);
            }
            (Kind::CONTRIBUTION, Record::Contribution(part))
                if live && part.origin == self.me && author != self.me =>
            {
                let parts = self.contributed.entry(video).or_default();
                parts.insert(author, part.tally);
                self.due.insert(video);
            }
            (Kind::CONTRIBUTION, _) if author != self.me => self.uncount(&video, &author),
            (kind @ (Kind::COUNTER | Kind::CONTRIBUTION), payload) if author == self.me => {
                let tally = match payload {
                    Record::Counter(counter) => Some(counter.tally),
                    Record::Contribution(part) => Some(part.tally),
                    _ => None,
                };
                match tally.filter(|_| live) {
                    Some(tally) => {
                        self.said.insert(video, Said { kind, tally, at: now });
                    }
                    None => {
                        self.said.remove(&video);
                    }
                }
            }
            _ => {}
        }
    }

    /// An author's records left the catalog, and its numbers with them.
    pub(crate) fn forget_author(&mut self, author: &PodId) {
        self.origins.retain(|_, origin| origin != author);
        self.hide_author(author);
    }

    /// An author's records are shown no longer: its numbers go. Its videos are watched on where there is a copy, and those views count.
    pub(crate) fn hide_author(&mut self, author: &PodId) {
        let touched: Vec<VideoId> = self
            .contributed
            .iter()
            .filter_map(|(video, parts)| parts.contains_key(author).then_some(*video))
            .collect();
        for video in touched {
            self.uncount(&video, author);
        }
    }

    fn uncount(&mut self, video: &VideoId, author: &PodId) {
        if let Some(parts) = self.contributed.get_mut(video)
            && parts.remove(author).is_some()
        {
            self.due.insert(*video);
        }
    }

    /// What is to be signed now. Those that were signed a moment ago stay due, as does what is above the limit.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<Statement> {
        let mut statements = Vec::new();
        let mut later = BTreeSet::new();
        while let Some(video) = self.due.pop_first() {
            if statements.len() >= STATEMENTS_AT_ONCE {
                self.due.insert(video);
                break;
            }
            let said = self.said.get(&video).copied();
            let Some(origin) = self.origins.get(&video).copied() else {
                statements.extend(said.map(|said| Statement {
                    video,
                    kind: said.kind,
                    record: None,
                }));
                continue;
            };
            let tally = self.tally(&video, &origin);
            if said.map(|said| said.tally).unwrap_or_default() == tally {
                continue;
            }
            if said.is_some_and(|said| now.since(said.at) < PAUSE) {
                later.insert(video);
                continue;
            }
            statements.push(self.statement(video, origin, tally));
        }
        self.due.append(&mut later);
        statements
    }

    /// A statement did not reach the disk: it stays due.
    pub(crate) fn unsaid(&mut self, video: VideoId) {
        self.due.insert(video);
    }

    /// A counter if the video is ours, a contribution otherwise.
    fn statement(&self, video: VideoId, origin: PodId, tally: Tally) -> Statement {
        let (kind, record) = if origin == self.me {
            (Kind::COUNTER, Counter { video, tally }.into())
        } else {
            (Kind::CONTRIBUTION, Contribution { video, origin, tally }.into())
        };
        Statement {
            video,
            kind,
            record: Some(record),
        }
    }

    fn tally(&self, video: &VideoId, origin: &PodId) -> Tally {
        let here = self.here.get(video).copied().unwrap_or_default();
        if *origin != self.me {
            return here;
        }
        let parts = self.contributed.get(video).into_iter().flat_map(HashMap::values);
        parts.fold(here, |sum, part| sum.plus(*part))
    }

    /// Panics when an invariant is broken.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        for (video, users) in &self.ratings {
            let count = |rating| users.values().filter(|held| **held == rating).count() as u64;
            let tally = self.here.get(video).copied().unwrap_or_default();
            assert_eq!(
                (tally.likes, tally.dislikes),
                (count(Rating::Like), count(Rating::Dislike))
            );
        }
        assert_eq!(self.viewers.known.len(), self.viewers.order.len());
        assert!(self.viewers.known.len() <= MAX_VIEWERS);
        assert!(
            self.contributed
                .values()
                .all(|parts| !parts.contains_key(&self.me))
        );
    }
}

fn number_of(tally: &mut Tally, rating: Rating) -> &mut u64 {
    match rating {
        Rating::Like => &mut tally.likes,
        Rating::Dislike => &mut tally.dislikes,
    }
}

/// Who was counted within the hour, as keyed hashes.
#[derive(Debug)]
struct Viewers {
    secret: [u8; 32],
    known: HashSet<[u8; 16]>,
    order: VecDeque<(Timestamp, [u8; 16])>,
}

impl Viewers {
    fn is_new(&mut self, video: &VideoId, from: IpAddr, now: Timestamp) -> bool {
        let expired = |(since, _): &(Timestamp, _)| now.since(*since) >= SAME_VIEWER;
        while self.order.front().is_some_and(expired) || self.order.len() >= MAX_VIEWERS {
            if let Some((_, viewer)) = self.order.pop_front() {
                self.known.remove(&viewer);
            }
        }
        let viewer = self.viewer(video, from);
        let new = self.known.insert(viewer);
        if new {
            self.order.push_back((now, viewer));
        }
        new
    }

    fn viewer(&self, video: &VideoId, from: IpAddr) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(video.as_bytes());
        match counted_as(from) {
            IpAddr::V4(ip) => hasher.update(&ip.octets()),
            IpAddr::V6(ip) => hasher.update(&ip.octets()),
        };
        let mut viewer = [0; 16];
        hasher.finalize_xof().fill(&mut viewer);
        viewer
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
