//! The reports, how many there may be, and which of them are to be sent when. Pure.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use seedpod_protocol::ids::{CommentId, PodId, Timestamp, VideoId};
use seedpod_protocol::records;

use super::messages::{Delivery, MAX_NOTE, ReportEntry, ReportPage, ReportState, ReportsError};

/// Reports kept of one friend: it may fill its own place, and no other.
pub(crate) const MAX_OF_FRIEND: usize = 1_000;

/// Reports kept of all friends together. They never shut out this pod's own users.
pub(crate) const MAX_OF_FRIENDS: usize = 10_000;

/// Reports kept of one user of this pod, and of all of them.
pub(crate) const MAX_OF_USER: usize = 100;
pub(crate) const MAX_OF_USERS: usize = 10_000;

/// Reports that are taken within [`HOUR`]: of a friend, and of a user of this pod.
pub(crate) const MAX_AN_HOUR: usize = 30;
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Names of who reported lately that are remembered; with more of them, the oldest are forgotten first.
const MAX_REMEMBERED: usize = 10_000;

/// Most rows of one page, whatever is asked for.
const MAX_PAGE: usize = 100;

/// How long to wait before a report is sent again; doubled every time.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LAST_PAUSE: Duration = Duration::from_secs(10 * 60);

/// An origin that has not answered for so long is not asked any more, and the report can make room once it was decided.
const GIVE_UP: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Reports sent at the same time.
const SENT_AT_ONCE: usize = 16;

/// Which report: of whom, about what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) pod: PodId,
    /// Id of the video or comment.
    pub(crate) about: [u8; 16],
    pub(crate) reporter: String,
}

impl Key {
    /// The key of what a user of `pod` says.
    pub(crate) fn of(pod: PodId, said: &records::Report) -> Self {
        Self {
            pod,
            about: said
                .comment
                .map_or(*said.video.as_bytes(), |comment| *comment.as_bytes()),
            reporter: said.reporter.clone(),
        }
    }
}

/// A report and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) number: u64,
    pub(crate) pod: PodId,
    pub(crate) reporter: String,
    pub(crate) origin: PodId,
    pub(crate) video: VideoId,
    pub(crate) comment: Option<CommentId>,
    pub(crate) reason: String,
    pub(crate) reasons: Vec<u8>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) state: ReportState,
    pub(crate) note: String,
    pub(crate) delivery: Delivery,
}

impl Report {
    /// The key under which it is held.
    pub(crate) fn key(&self) -> Key {
        Key {
            pod: self.pod,
            about: self.about(),
            reporter: self.reporter.clone(),
        }
    }

    fn about(&self) -> [u8; 16] {
        self.comment
            .map_or(*self.video.as_bytes(), |comment| *comment.as_bytes())
    }

    /// What is signed for the origin.
    pub(crate) fn statement(&self) -> records::Report {
        records::Report {
            origin: self.origin,
            video: self.video,
            comment: self.comment,
            reporter: self.reporter.clone(),
            reason: self.reason.clone(),
            reasons: self.reasons.clone(),
            created_at: self.created_at,
        }
    }
}

/// Rows to write: the new form of a report, and one that had to make room.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Writes {
    pub(crate) put: Report,
    pub(crate) delete: Option<(Key, Report)>,
}

/// All reports.
#[derive(Debug)]
pub(crate) struct Reports {
    me: PodId,
    reports: BTreeMap<Key, Report>,
    numbers: BTreeMap<u64, Key>,
    of_pod: HashMap<PodId, usize>,
    about: HashMap<[u8; 16], u32>,
    pending: usize,
    last_number: u64,
    /// When those that wait are sent, and how long they wait after that.
    due: HashMap<Key, (Timestamp, Duration)>,
    sending: usize,
    pace: Pace,
}

impl Reports {
    pub(crate) fn new(me: PodId) -> Self {
        Self {
            me,
            reports: BTreeMap::new(),
            numbers: BTreeMap::new(),
            of_pod: HashMap::new(),
            about: HashMap::new(),
            pending: 0,
            last_number: 0,
            due: HashMap::new(),
            sending: 0,
            pace: Pace::default(),
        }
    }

    /// Takes in a row of the disk, or a report as it was before a write that failed.
    pub(crate) fn restore(&mut self, report: Report) {
        let key = report.key();
        self.forget(&key);
        self.last_number = self.last_number.max(report.number);
        self.numbers.insert(report.number, key.clone());
        *self.of_pod.entry(report.pod).or_default() += 1;
        *self.about.entry(report.about()).or_default() += 1;
        self.pending += usize::from(report.state == ReportState::Pending);
        if report.delivery == Delivery::Waiting {
            self.due.insert(key.clone(), (Timestamp::EPOCH, FIRST_PAUSE));
        }
        self.reports.insert(key, report);
    }

    /// Forgets a report.
    pub(crate) fn forget(&mut self, key: &Key) -> Option<Report> {
        let report = self.reports.remove(key)?;
        self.numbers.remove(&report.number);
        self.due.remove(key);
        self.pending -= usize::from(report.state == ReportState::Pending);
        less(&mut self.of_pod, &report.pod, |count| {
            *count -= 1;
            *count == 0
        });
        less(&mut self.about, &report.about(), |count| {
            *count -= 1;
            *count == 0
        });
        Some(report)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Report> {
        self.reports.get(key)
    }

    /// Takes a report of a user of `pod`. One about the same thing by the same user is replaced and is pending again.
    ///
    /// # Errors
    /// Too many, or too fast.
    pub(crate) fn take(
        &mut self,
        pod: PodId,
        said: records::Report,
        now: Timestamp,
    ) -> Result<Writes, ReportsError> {
        let key = Key::of(pod, &said);
        // A friend answers for all its users, this pod's users for themselves.
        let by = (pod, (pod == self.me).then(|| said.reporter.clone()));
        if let Some(wait) = self.pace.wait(&by, now) {
            return Err(ReportsError::TooFast { wait });
        }
        let held = self.reports.get(&key);
        let makes_room = match held {
            None => self.room_for(&key)?,
            Some(_) => None,
        };
        let delivery = if said.origin == self.me {
            Delivery::Here
        } else {
            Delivery::Waiting
        };
        let report = Report {
            number: held.map_or(self.last_number + 1, |held| held.number),
            pod,
            reporter: said.reporter,
            origin: said.origin,
            video: said.video,
            comment: said.comment,
            reason: said.reason,
            reasons: said.reasons,
            created_at: said.created_at.min(now),
            updated_at: now,
            state: ReportState::Pending,
            note: held.map(|held| held.note.clone()).unwrap_or_default(),
            delivery,
        };
        self.pace.note(by, now);
        let delete = makes_room.and_then(|key| {
            let report = self.forget(&key)?;
            Some((key, report))
        });
        self.restore(report.clone());
        Ok(Writes { put: report, delete })
    }

    /// What has to go for another report of a friend, or of a user of this pod: the oldest of theirs that was decided.
    fn room_for(&self, new: &Key) -> Result<Option<Key>, ReportsError> {
        let ours = new.pod == self.me;
        let theirs = |key: &&Key| key.pod == new.pod && (!ours || key.reporter == new.reporter);
        let own = self.of_pod.get(&self.me).copied().unwrap_or(0);
        let is_room = if ours {
            own < MAX_OF_USERS && self.reports.keys().filter(theirs).count() < MAX_OF_USER
        } else {
            let of_pod = self.of_pod.get(&new.pod).copied().unwrap_or(0);
            of_pod < MAX_OF_FRIEND && self.reports.len() - own < MAX_OF_FRIENDS
        };
        if is_room {
            return Ok(None);
        }
        let decided = self.reports.iter().filter(|(key, report)| {
            theirs(key) && report.state != ReportState::Pending && report.delivery != Delivery::Waiting
        });
        let oldest = decided.min_by_key(|(_, report)| (report.updated_at, report.number));
        oldest
            .map(|(key, _)| Some(key.clone()))
            .ok_or(ReportsError::TooMany)
    }

    /// Changes the state or the note of a report.
    ///
    /// # Errors
    /// No such report, or a note that is too long.
    pub(crate) fn decide(
        &mut self,
        number: u64,
        state: Option<ReportState>,
        note: Option<String>,
        now: Timestamp,
    ) -> Result<Report, ReportsError> {
        if note.as_ref().is_some_and(|note| note.chars().count() > MAX_NOTE) {
            return Err(ReportsError::Limit(format!(
                "a note has at most {MAX_NOTE} characters"
            )));
        }
        let mut report = self.by_number(number)?.clone();
        report.state = state.unwrap_or(report.state);
        report.note = note.unwrap_or(report.note);
        report.updated_at = now;
        let waits = self.due.get(&report.key()).copied();
        self.restore(report.clone());
        if let Some(waits) = waits {
            self.due.insert(report.key(), waits);
        }
        Ok(report)
    }

    /// A report by its number.
    ///
    /// # Errors
    /// No such report.
    pub(crate) fn by_number(&self, number: u64) -> Result<&Report, ReportsError> {
        let key = self.numbers.get(&number);
        key.and_then(|key| self.reports.get(key))
            .ok_or(ReportsError::Unknown(number))
    }

    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    /// Reports to hand to their origins now, and how long each waits if that fails. Each is given once until
    /// [`Self::sent`] tells what became of it.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<(Report, Duration)> {
        let room = SENT_AT_ONCE.saturating_sub(self.sending);
        let mut keys: Vec<(Timestamp, Key)> = self
            .due
            .iter()
            .filter(|(_, (at, _))| *at <= now)
            .map(|(key, (at, _))| (*at, key.clone()))
            .collect();
        keys.sort_unstable();
        keys.truncate(room);
        let mut due = Vec::new();
        for (_, key) in keys {
            let waited = self.due.remove(&key);
            if let (Some(report), Some((_, pause))) = (self.reports.get(&key), waited) {
                self.sending += 1;
                due.push((report.clone(), pause));
            }
        }
        due
    }

    /// What became of a report that was handed over: its delivery, or nothing if it is to be tried again. Answers what to
    /// write. One that was changed while it was on its way is sent again.
    pub(crate) fn sent(
        &mut self,
        report: &Report,
        pause: Duration,
        delivery: Option<Delivery>,
        now: Timestamp,
    ) -> Option<Report> {
        self.sending = self.sending.saturating_sub(1);
        let key = report.key();
        let held = self.reports.get_mut(&key)?;
        if held.delivery != Delivery::Waiting || self.due.contains_key(&key) {
            return None;
        }
        let same = held.statement() == report.statement();
        match delivery.filter(|_| same) {
            Some(delivery) => {
                held.delivery = delivery;
                Some(held.clone())
            }
            None if same && now.since(held.updated_at) >= GIVE_UP => {
                held.delivery = Delivery::Refused("The pod has not answered for a month.".to_owned());
                Some(held.clone())
            }
            None => {
                let next = (pause * 2).min(LAST_PAUSE);
                self.due.insert(key, (now.saturating_add(pause), next));
                None
            }
        }
    }

    /// A page of reports, and how many match.
    pub(crate) fn page(
        &self,
        state: Option<ReportState>,
        number: Option<u64>,
        ascending: bool,
        start: usize,
        count: usize,
    ) -> ReportPage {
        let matching = |report: &&Report| {
            state.is_none_or(|state| report.state == state)
                && number.is_none_or(|number| report.number == number)
        };
        let by_number = self.numbers.values().filter_map(|key| self.reports.get(key));
        // There are some thousands at most, and only administrators ask.
        let mut matching: Vec<&Report> = by_number.filter(matching).collect();
        if !ascending {
            matching.reverse();
        }
        ReportPage {
            total: matching.len(),
            rows: matching
                .into_iter()
                .skip(start)
                .take(count.min(MAX_PAGE))
                .map(|report| self.entry(report))
                .collect(),
        }
    }

    fn entry(&self, report: &Report) -> ReportEntry {
        ReportEntry {
            number: report.number,
            pod: report.pod,
            reporter: report.reporter.clone(),
            origin: report.origin,
            video: report.video,
            comment: report.comment,
            reason: report.reason.clone(),
            reasons: report.reasons.clone(),
            created_at: report.created_at,
            updated_at: report.updated_at,
            state: report.state,
            note: report.note.clone(),
            delivery: report.delivery.clone(),
            same: self.about.get(&report.about()).copied().unwrap_or(0),
        }
    }

    /// Panics when an invariant is broken.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        assert_eq!(self.numbers.len(), self.reports.len());
        assert_eq!(self.of_pod.values().sum::<usize>(), self.reports.len());
        for (pod, count) in &self.of_pod {
            let most = if *pod == self.me {
                MAX_OF_USERS
            } else {
                MAX_OF_FRIEND
            };
            assert!((1..=most).contains(count), "{count} of {pod}");
        }
        assert_eq!(self.about.values().sum::<u32>() as usize, self.reports.len());
        let pending = |report: &&Report| report.state == ReportState::Pending;
        assert_eq!(self.reports.values().filter(pending).count(), self.pending);
        for key in self.due.keys() {
            assert_eq!(self.reports[key].delivery, Delivery::Waiting);
        }
    }
}

fn less<K: std::hash::Hash + Eq, V>(counts: &mut HashMap<K, V>, key: &K, down: impl FnOnce(&mut V) -> bool) {
    if counts.get_mut(key).is_some_and(down) {
        counts.remove(key);
    }
}

/// Who reported when, within the last hour.
#[derive(Debug, Default)]
struct Pace {
    times: HashMap<By, VecDeque<Timestamp>>,
    order: VecDeque<(Timestamp, By)>,
}

/// A friend, or a user of this pod.
type By = (PodId, Option<String>);

impl Pace {
    /// How long somebody has to wait, if they have to.
    fn wait(&mut self, by: &By, now: Timestamp) -> Option<Duration> {
        while self.order.front().is_some_and(|(at, _)| now.since(*at) >= HOUR)
            || self.order.len() >= MAX_REMEMBERED
        {
            if let Some((_, by)) = self.order.pop_front() {
                less(&mut self.times, &by, |times| {
                    times.pop_front();
                    times.is_empty()
                });
            }
        }
        let times = self.times.get(by).filter(|times| times.len() >= MAX_AN_HOUR)?;
        let first = times.front()?;
        Some(HOUR.saturating_sub(now.since(*first)))
    }

    fn note(&mut self, by: By, now: Timestamp) {
        self.times.entry(by.clone()).or_default().push_back(now);
        self.order.push_back((now, by));
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
