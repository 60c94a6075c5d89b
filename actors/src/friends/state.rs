//! What is true of the friend list, and what follows from what other pods say.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use seedpod_protocol::ids::{PodId, Timestamp};
use seedpod_protocol::limits;
use seedpod_protocol::requests::{FriendHint, Refusal};

use super::messages::{FriendEntry, FriendsError, Phase, ResolvedHost};

/// Entries the list holds; a stranger's request above it is refused.
const MAX_ENTRIES: usize = 2_000;

/// Pods that wait for the operator; one more is refused. Ids cost nothing, so strangers must not fill the whole list.
const MAX_ASKED_US: usize = 200;

/// Pods that one friend can vouch for.
const MAX_VOUCHED_BY_ONE: usize = limits::FRIENDS_MAX;

/// The highest score.
const MAX_SCORE: u32 = 1000;

/// What a round that went well adds, and one that did not takes away.
const SCORE_STEP: u32 = 10;

/// Who may become a friend without the operator's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Everybody who asks.
    Open,
    /// Whoever a current friend has signed friendship with; the operator is asked about others.
    Vouched,
    /// The operator is always asked.
    Ask,
    /// Nobody.
    Closed,
}

/// Everything that is remembered of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    pub(crate) host: String,
    pub(crate) url: String,
    pub(crate) addresses: Vec<String>,
    pub(crate) phase: Phase,
    pub(crate) score: u32,
    pub(crate) since: Timestamp,
    /// What follows is not stored: it is learned again after a start.
    pub(crate) seen: Seen,
}

/// What the current run has seen of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) last_heard: Option<Timestamp>,
    pub(crate) trouble: Option<String>,
    /// Whether it had all of our records when it was last asked.
    pub(crate) acknowledged: bool,
    /// Since the last round that counted there was a record of ours that it lacked.
    pub(crate) owed: bool,
    /// A round with it is under way.
    pub(crate) busy: bool,
}

/// A pod that may become a friend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) pod: PodId,
    pub(crate) host: String,
    pub(crate) url: String,
    pub(crate) addresses: Vec<String>,
}

/// What to do about a pod that asks to be our friend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Sign our yes.
    Accept,
    /// Say no, and why.
    Refuse(Refusal),
}

/// How a round with a friend went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoundResult {
    /// It answered.
    Reached {
        /// It has all of our records.
        acknowledged: bool,
    },
    /// It did not.
    Failed,
}

/// The list.
#[derive(Debug)]
pub(crate) struct Friends {
    me: PodId,
    policy: Policy,
    initial_score: u32,
    entries: BTreeMap<PodId, Entry>,
    /// With whom each author says to be friends, this pod among the authors.
    said_yes: HashMap<PodId, BTreeSet<PodId>>,
    /// Pods with an open connection, friends or not, and the last round-trip time in milliseconds. As many as the
    /// swarm keeps connections.
    online: HashMap<PodId, Option<u32>>,
    last_number: u64,
}

impl Friends {
    pub(crate) fn new(me: PodId, policy: Policy, initial_score: u32) -> Self {
        Self {
            me,
            policy,
            initial_score: initial_score.clamp(1, MAX_SCORE),
            entries: BTreeMap::new(),
            said_yes: HashMap::new(),
            online: HashMap::new(),
            last_number: 0,
        }
    }

    /// Takes back an entry that an earlier run stored.
    pub(crate) fn restore(&mut self, pod: PodId, entry: Entry) {
        self.last_number = self.last_number.max(entry.number);
        self.entries.insert(pod, entry);
    }

    pub(crate) fn get(&self, pod: &PodId) -> Option<&Entry> {
        self.entries.get(pod)
    }

    pub(crate) fn phase(&self, pod: &PodId) -> Option<Phase> {
        self.entries.get(pod).map(|entry| entry.phase)
    }

    pub(crate) fn by_number(&self, number: u64) -> Result<PodId, FriendsError> {
        let found = self.entries.iter().find(|(_, entry)| entry.number == number);
        found.map(|(pod, _)| *pod).ok_or(FriendsError::Unknown(number))
    }

    /// Pods in a phase.
    pub(crate) fn in_phase(&self, phase: Phase) -> impl Iterator<Item = (PodId, &Entry)> {
        self.entries
            .iter()
            .filter(move |(_, entry)| entry.phase == phase)
            .map(|(pod, entry)| (*pod, entry))
    }

    pub(crate) fn list(&self) -> Vec<FriendEntry> {
        let shown = |(pod, entry): (&PodId, &Entry)| FriendEntry {
            number: entry.number,
            pod: *pod,
            host: entry.host.clone(),
            url: entry.url.clone(),
            phase: entry.phase,
            score: entry.score,
            since: entry.since,
            connected: self.online.contains_key(pod),
            last_heard: entry.seen.last_heard,
            rtt_ms: self.online.get(pod).copied().flatten(),
            in_sync: entry.seen.acknowledged,
            trouble: entry.seen.trouble.clone(),
        };
        self.entries.iter().map(shown).collect()
    }

    /// The majority rule: every pod gets a point from each asked host that lists it, an asked pod counts as listed
    /// by itself, and those with strictly more points than half the number of asked hosts are kept. Hosts that
    /// could not be asked are `None` and count as asked. Never this pod, never one the operator turned away,
    /// unless it was asked by name (and is not blocked).
    pub(crate) fn choose(&self, asked: &[Option<(ResolvedHost, Vec<FriendHint>)>]) -> Vec<Candidate> {
        let mut points: BTreeMap<PodId, (usize, Candidate)> = BTreeMap::new();
        let mut by_name = BTreeSet::new();
        for (resolved, hints) in asked.iter().flatten() {
            by_name.insert(resolved.pod);
            let mut counted = BTreeSet::from([resolved.pod]);
            let itself = Candidate {
                pod: resolved.pod,
                host: resolved.host.clone(),
                url: resolved.url.clone(),
                addresses: resolved.addresses.clone(),
            };
            // What a pod says of itself beats what others say of it.
            let held = points.entry(resolved.pod).or_insert_with(|| (0, itself.clone()));
            held.0 += 1;
            held.1 = itself;
            for hint in hints {
                if counted.insert(hint.pod) {
                    let listed = || Candidate {
                        pod: hint.pod,
                        host: hint.host.clone(),
                        url: String::new(),
                        addresses: hint.addresses.clone(),
                    };
                    points.entry(hint.pod).or_insert_with(|| (0, listed())).0 += 1;
                }
            }
        }
        let kept = |(pod, (points, candidate)): (PodId, (usize, Candidate))| {
            let welcome = match self.phase(&pod) {
                Some(Phase::Blocked | Phase::Friends) => false,
                Some(Phase::EndedByUs) => by_name.contains(&pod),
                _ => true,
            };
            (pod != self.me && welcome && 2 * points > asked.len()).then_some(candidate)
        };
        points.into_iter().filter_map(kept).collect()
    }

    /// Our yes is about to be signed and sent. Answers whether that may be: never to one that is blocked, or when there
    /// are as many friends as a network may have.
    pub(crate) fn asking(&mut self, candidate: &Candidate, now: Timestamp) -> bool {
        match self.phase(&candidate.pod) {
            Some(Phase::Blocked) => false,
            Some(Phase::Friends) => true,
            _ if self.is_full() => false,
            _ => {
                self.upsert(candidate, Phase::Asking, now);
                true
            }
        }
    }

    /// Whether there are as many friends as can be named in one answer.
    fn is_full(&self) -> bool {
        self.in_phase(Phase::Friends).count() >= limits::FRIENDS_MAX
    }

    /// Decides about a pod that showed its signed yes. One that is accepted is `Asking` until [`Self::gained`].
    pub(crate) fn asked(&mut self, candidate: &Candidate, now: Timestamp) -> Answer {
        if candidate.pod == self.me {
            return Answer::Refuse(Refusal::Malformed);
        }
        let phase = self.phase(&candidate.pod);
        match phase {
            Some(Phase::Blocked) => return Answer::Refuse(Refusal::Blocked),
            Some(Phase::Asking | Phase::Friends) => return Answer::Accept,
            None if self.entries.len() >= MAX_ENTRIES => return Answer::Refuse(Refusal::Busy),
            _ if self.is_full() => return Answer::Refuse(Refusal::Busy),
            _ => {}
        }
        let welcome = match self.policy {
            // Whom the operator removed comes back by the operator's word alone.
            Policy::Open => phase != Some(Phase::EndedByUs),
            Policy::Vouched => phase != Some(Phase::EndedByUs) && self.is_vouched(&candidate.pod),
            Policy::Closed => return Answer::Refuse(Refusal::Closed),
            Policy::Ask => false,
        };
        if welcome {
            self.upsert(candidate, Phase::Asking, now);
            return Answer::Accept;
        }
        if phase.is_none() && self.in_phase(Phase::AskedUs).count() >= MAX_ASKED_US {
            return Answer::Refuse(Refusal::Busy);
        }
        self.upsert(candidate, Phase::AskedUs, now);
        Answer::Refuse(Refusal::AskedOperator)
    }

    /// Whether a current friend has signed friendship with a pod.
    fn is_vouched(&self, pod: &PodId) -> bool {
        let mut friends = self.in_phase(Phase::Friends).map(|(friend, _)| friend);
        friends.any(|friend| self.says_yes(&friend, pod))
    }

    fn says_yes(&self, author: &PodId, about: &PodId) -> bool {
        self.said_yes.get(author).is_some_and(|yes| yes.contains(about))
    }

    /// Pods that hold a signed yes of ours although they are no friends and not about to be: a handshake or a farewell
    /// was cut short by the end of an earlier run.
    pub(crate) fn unmeant(&self) -> Vec<PodId> {
        let yes = self.said_yes.get(&self.me).into_iter().flatten().copied();
        yes.filter(|pod| !matches!(self.phase(pod), Some(Phase::Friends | Phase::Asking)))
            .collect()
    }

    /// A pod that waits for the operator although, by now, a friend vouches for it.
    pub(crate) fn vouched_meanwhile(&self, pod: &PodId) -> bool {
        self.policy == Policy::Vouched && self.phase(pod) == Some(Phase::AskedUs) && self.is_vouched(pod)
    }

    /// Both said yes. Answers whether that still counts: the operator may have ended it while they spoke.
    pub(crate) fn gained(&mut self, candidate: &Candidate, now: Timestamp) -> bool {
        let agreed = matches!(self.phase(&candidate.pod), Some(Phase::Asking | Phase::Friends));
        if agreed {
            self.upsert(candidate, Phase::Friends, now);
        }
        agreed
    }

    /// Moves an entry to a phase in which it is no friend.
    pub(crate) fn ended(&mut self, pod: &PodId, phase: Phase, trouble: Option<String>, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(pod) {
            entry.phase = phase;
            entry.since = now;
            entry.seen = Seen {
                trouble,
                ..Seen::default()
            };
        }
    }

    /// Drops an entry.
    pub(crate) fn forget(&mut self, pod: &PodId) {
        self.entries.remove(pod);
    }

    /// Whether our yes to a pod stands, answered or not: only with a no of ours may its entry go.
    pub(crate) fn is_bound(&self, pod: &PodId) -> bool {
        matches!(self.phase(pod), Some(Phase::Friends | Phase::Asking))
    }

    /// A friend's address or name changed.
    pub(crate) fn moved(&mut self, resolved: &ResolvedHost) -> bool {
        let Some(entry) = self.entries.get_mut(&resolved.pod) else {
            return false;
        };
        let changed = entry.addresses != resolved.addresses || entry.url != resolved.url;
        entry.addresses.clone_from(&resolved.addresses);
        entry.url.clone_from(&resolved.url);
        changed
    }

    /// A connection opened or closed, or a ping came back. Answers whether the pod was away before and is here now.
    pub(crate) fn heard(&mut self, pod: PodId, connected: bool, rtt_ms: Option<u32>, now: Timestamp) -> bool {
        if !connected {
            self.online.remove(&pod);
            return false;
        }
        let arrived = !self.online.contains_key(&pod);
        let known = self.online.entry(pod).or_default();
        *known = rtt_ms.or(*known);
        if let Some(entry) = self.entries.get_mut(&pod) {
            entry.seen.last_heard = Some(now);
            entry.seen.trouble = None;
        }
        arrived
    }

    /// Friends with whom no round is under way; they count as busy until [`Self::round_ended`].
    pub(crate) fn begin_round(&mut self) -> Vec<(PodId, Vec<String>)> {
        let idle = self
            .entries
            .iter_mut()
            .filter(|(_, entry)| entry.phase == Phase::Friends && !entry.seen.busy);
        idle.map(|(pod, entry)| {
            entry.seen.busy = true;
            (*pod, entry.addresses.clone())
        })
        .collect()
    }

    /// The same for one friend, out of turn.
    pub(crate) fn begin_round_with(&mut self, pod: &PodId) -> Option<Vec<String>> {
        let entry = self.entries.get_mut(pod)?;
        if entry.phase != Phase::Friends || std::mem::replace(&mut entry.seen.busy, true) {
            return None;
        }
        Some(entry.addresses.clone())
    }

    /// Notes how asking a friend went. When `counts` (a whole round has passed) the score moves, but only if it
    /// lacked records of ours before. Answers whether its score fell to nothing.
    pub(crate) fn round_ended(
        &mut self,
        pod: &PodId,
        result: RoundResult,
        trouble: Option<String>,
        counts: bool,
        now: Timestamp,
    ) -> bool {
        let Some(entry) = self.entries.get_mut(pod) else {
            return false;
        };
        entry.seen.busy = false;
        if entry.phase != Phase::Friends {
            return false;
        }
        match result {
            RoundResult::Reached { acknowledged } => {
                entry.seen.acknowledged = acknowledged;
                entry.seen.last_heard = Some(now);
                entry.seen.trouble = None;
                if counts && entry.seen.owed && acknowledged {
                    entry.score = (entry.score + SCORE_STEP).min(MAX_SCORE);
                    entry.seen.owed = false;
                }
                entry.seen.owed |= !acknowledged;
            }
            RoundResult::Failed => {
                entry.seen.trouble = trouble;
                if counts && entry.seen.owed {
                    entry.score = entry.score.saturating_sub(SCORE_STEP);
                }
            }
        }
        entry.score == 0
    }

    /// This pod published something: nobody has acknowledged it yet.
    pub(crate) fn owe_everyone(&mut self) {
        for entry in self.entries.values_mut() {
            entry.seen.acknowledged = false;
            entry.seen.owed = true;
        }
    }

    /// A signed statement of one pod about another, seen in the catalog.
    pub(crate) fn stated(&mut self, author: PodId, about: PodId, agrees: bool) {
        if agrees {
            let yes = self.said_yes.entry(author).or_default();
            if author == self.me || yes.len() < MAX_VOUCHED_BY_ONE {
                yes.insert(about);
            }
        } else if let Some(yes) = self.said_yes.get_mut(&author) {
            yes.remove(&about);
        }
    }

    /// An author's records left the catalog, and its word with them.
    pub(crate) fn silenced(&mut self, author: &PodId) {
        self.said_yes.remove(author);
    }

    fn upsert(&mut self, candidate: &Candidate, phase: Phase, now: Timestamp) {
        let initial_score = self.initial_score;
        let last_number = &mut self.last_number;
        let entry = self.entries.entry(candidate.pod).or_insert_with(|| {
            *last_number += 1;
            Entry {
                number: *last_number,
                host: String::new(),
                url: String::new(),
                addresses: Vec::new(),
                phase,
                score: initial_score,
                since: now,
                seen: Seen::default(),
            }
        });
        entry.host.clone_from(&candidate.host);
        if !candidate.url.is_empty() {
            entry.url.clone_from(&candidate.url);
        }
        entry.addresses.clone_from(&candidate.addresses);
        if entry.phase != phase {
            entry.phase = phase;
            entry.since = now;
            entry.score = initial_score;
            entry.seen = Seen::default();
        }
    }

    /// Panics when an invariant is broken.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        let mut numbers = BTreeSet::new();
        assert!(
            !self.entries.contains_key(&self.me),
            "nobody is a friend of itself"
        );
        for entry in self.entries.values() {
            assert!(numbers.insert(entry.number), "numbers name one entry");
            assert!(entry.number > 0 && entry.number <= self.last_number);
            assert!(entry.score <= MAX_SCORE);
        }
        let others = self.said_yes.iter().filter(|(author, _)| **author != self.me);
        assert!(others.into_iter().all(|(_, yes)| yes.len() <= MAX_VOUCHED_BY_ONE));
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
