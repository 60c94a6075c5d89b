//! Which files of friends are being fetched, which wait, and which are not to be had for a while.
//!
//! Invariants (`Fetches::check`): a file is in at most one of running, wanted and ahead; at most [`MAX_RUNNING`] run, of
//! which at most [`MAX_AHEAD_RUNNING`] nobody waits for; each queue has its named length. Pure.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use seedpod_protocol::ids::Timestamp;

use super::messages::LibraryError;
use super::state::CachedFile;

/// How many fetches run at once.
pub(super) const MAX_RUNNING: usize = 8;

/// How many of those nobody waits for.
pub(super) const MAX_AHEAD_RUNNING: usize = 4;

/// How many files that somebody waits for are queued; more are refused.
pub(super) const MAX_WANTED: usize = 256;

/// How many files nobody waits for are queued; more are dropped, and fetched when somebody asks.
pub(super) const MAX_AHEAD: usize = 4096;

/// How long a file that was not to be had is not asked for again.
pub(super) const NEGATIVE: Duration = Duration::from_secs(5);

/// How many such files are remembered; beyond that all are forgotten, which costs a repeated question.
const MAX_NEGATIVE: usize = 1024;

/// Whether somebody waits for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Somebody does.
    Wanted,
    /// Nobody does; it is fetched ahead of time.
    Ahead,
}

/// The fetches of one library.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    running: HashMap<CachedFile, Urgency>,
    wanted: VecDeque<CachedFile>,
    ahead: VecDeque<CachedFile>,
    /// What stands in `ahead`; what is not here any more is passed over when its turn comes.
    waiting_ahead: HashSet<CachedFile>,
    not_before: HashMap<CachedFile, Timestamp>,
}

/// There was no room in the queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QueueFull;

impl Fetches {
    /// Puts a file that somebody waits for into the queue, or joins its fetch.
    pub(super) fn want(&mut self, file: CachedFile, now: Timestamp) -> Result<(), LibraryError> {
        if self.running.contains_key(&file) || self.wanted.contains(&file) {
            return Ok(());
        }
        if self.is_negative(&file, now) {
            return Err(LibraryError::Unavailable);
        }
        if self.wanted.len() >= MAX_WANTED {
            return Err(LibraryError::Busy);
        }
        self.waiting_ahead.remove(&file);
        self.wanted.push_back(file);
        Ok(())
    }

    /// Puts a file that nobody waits for into the queue, unless it is on its way already.
    pub(super) fn prefetch(&mut self, file: CachedFile, now: Timestamp) -> Result<(), QueueFull> {
        let on_its_way = self.running.contains_key(&file)
            || self.wanted.contains(&file)
            || self.waiting_ahead.contains(&file);
        if on_its_way || self.is_negative(&file, now) {
            return Ok(());
        }
        if self.ahead.len() >= MAX_AHEAD {
            return Err(QueueFull);
        }
        self.waiting_ahead.insert(file);
        self.ahead.push_back(file);
        Ok(())
    }

    /// The next file to fetch, if one may start now; it counts as running from here on.
    pub(super) fn next(&mut self) -> Option<(CachedFile, Urgency)> {
        if self.running.len() >= MAX_RUNNING {
            return None;
        }
        let next = self
            .wanted
            .pop_front()
            .map(|file| (file, Urgency::Wanted))
            .or_else(|| self.next_ahead())?;
        self.running.insert(next.0, next.1);
        Some(next)
    }

    fn next_ahead(&mut self) -> Option<(CachedFile, Urgency)> {
        let running = self
            .running
            .values()
            .filter(|urgency| **urgency == Urgency::Ahead)
            .count();
        if running >= MAX_AHEAD_RUNNING {
            return None;
        }
        loop {
            let file = self.ahead.pop_front()?;
            if self.waiting_ahead.remove(&file) {
                return Some((file, Urgency::Ahead));
            }
        }
    }

    /// A fetch ended.
    pub(super) fn finish(&mut self, file: CachedFile, arrived: bool, now: Timestamp) {
        self.running.remove(&file);
        if arrived {
            self.not_before.remove(&file);
            return;
        }
        if self.not_before.len() >= MAX_NEGATIVE {
            self.not_before.retain(|_, until| *until > now);
        }
        if self.not_before.len() >= MAX_NEGATIVE {
            self.not_before.clear();
        }
        self.not_before.insert(file, now.saturating_add(NEGATIVE));
    }

    /// A fetch that `next` gave is not made after all.
    pub(super) fn cancel(&mut self, file: CachedFile) {
        self.running.remove(&file);
    }

    fn is_negative(&self, file: &CachedFile, now: Timestamp) -> bool {
        self.not_before.get(file).is_some_and(|until| *until > now)
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        let ahead = self
            .running
            .values()
            .filter(|urgency| **urgency == Urgency::Ahead)
            .count();
        assert!(self.running.len() <= MAX_RUNNING && ahead <= MAX_AHEAD_RUNNING);
        assert!(self.wanted.len() <= MAX_WANTED && self.ahead.len() <= MAX_AHEAD);
        assert!(self.not_before.len() <= MAX_NEGATIVE);
        assert!(self.waiting_ahead.iter().all(|file| self.ahead.contains(file)));
        for file in &self.wanted {
            assert!(
                !self.running.contains_key(file) && !self.waiting_ahead.contains(file),
                "{file:?} stands twice"
            );
        }
        assert!(
            self.waiting_ahead
                .iter()
                .all(|file| !self.running.contains_key(file))
        );
        let distinct: HashSet<_> = self.wanted.iter().collect();
        assert_eq!(distinct.len(), self.wanted.len());
    }
}
