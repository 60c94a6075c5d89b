//! Making room: what the list lets go of by itself, so that strangers never fill it.
//!
//! Friends, those that are asked, the blocked, and those the operator dealt with by hand stay. Pure.

use std::time::Duration;

use seedpod_protocol::ids::{PodId, Timestamp};

use super::messages::Phase;
use super::phases::Event;
use super::state::{Entry, Friends, MAX_ENTRIES};

/// How long an ejected friend's records are kept, and a request waits for the operator.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Strangers whose friendship is over that are still listed. Older ones are let go, ejected ones with their records.
pub(super) const MAX_ENDED_STRANGERS: usize = 500;

/// What is to go.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Surplus {
    /// Our yes stands: our no is signed and the records go.
    pub(crate) part: Vec<PodId>,
    /// Only the entry goes.
    pub(crate) forget: Vec<PodId>,
}

impl Friends {
    /// What has outlived its time, and the oldest of the strangers that are over when there are too many.
    pub(crate) fn surplus(&self, now: Timestamp) -> Surplus {
        let mut over: Vec<(Timestamp, PodId)> = Vec::new();
        let mut surplus = Surplus::default();
        let mut add = |pod: PodId, phase: Phase| match phase.binds() {
            true => surplus.part.push(pod),
            false => surplus.forget.push(pod),
        };
        for (pod, entry) in &self.entries {
            // Forgotten, whom the operator turned away would come back as a stranger.
            let waits = matches!(entry.phase, Phase::Ejected | Phase::AskedUs) && !entry.turned_away;
            if waits && entry.is_older_than(KEPT, now) {
                add(*pod, entry.phase);
            } else if entry.is_stranger_that_is_over() {
                over.push((entry.since, *pod));
            }
        }
        over.sort_unstable();
        let too_many = over.len().saturating_sub(MAX_ENDED_STRANGERS);
        for (_, pod) in over.into_iter().take(too_many) {
            if let Some(phase) = self.phase(&pod) {
                add(pod, phase);
            }
        }
        surplus
    }

    /// Takes the oldest stranger that is over off a full list, for one that is not on it. Ejected ones are left to
    /// [`Self::surplus`]: their records have to go first.
    pub(crate) fn make_room(&mut self, newcomer: &PodId) -> Option<PodId> {
        if self.entries.len() < MAX_ENTRIES || self.entries.contains_key(newcomer) {
            return None;
        }
        let over = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.is_stranger_that_is_over() && !entry.phase.binds());
        let oldest = *over.min_by_key(|(pod, entry)| (entry.since, **pod))?.0;
        self.happened(&oldest, Event::Expire, Timestamp::EPOCH);
        Some(oldest)
    }
}

impl Entry {
    fn is_stranger_that_is_over(&self) -> bool {
        !self.by_operator && matches!(self.phase, Phase::EndedByThem | Phase::Ejected)
    }

    fn is_older_than(&self, age: Duration, now: Timestamp) -> bool {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        now.as_millis().saturating_sub(self.since.as_millis()) >= age
    }
}
