//! What is true of the friend list, and what follows from what other pods say.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use seedpod_protocol::envelope::RegisterKey;
use seedpod_protocol::ids::{PodId, Timestamp};
use seedpod_protocol::limits;
use seedpod_protocol::requests::{FriendHint, Refusal};

use super::invites::{InviteId, Invites};
use super::messages::{FriendEntry, FriendsError, Phase, ResolvedHost, ScoreChange, ScoreReason};
use super::phases::{Event, after};

/// Entries the list holds. For a stranger above it the oldest that is over has to go; if there is none, it is refused.
pub(super) const MAX_ENTRIES: usize = 2_000;

/// Pods that wait for the operator; one more is refused. Ids cost nothing, so strangers must not fill the whole list.
pub(super) const MAX_ASKED_US: usize = 200;

/// Pods that one friend can vouch for.
const MAX_VOUCHED_BY_ONE: usize = limits::FRIENDS_MAX;

/// The highest score.
const MAX_SCORE: u32 = 1000;

/// What a round that went well adds, and one that did not takes away.
const SCORE_STEP: u32 = 10;

/// The longest wait between two rounds that count, for a friend that does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// Rounds shorter than this are those of a test net: there nobody has days to wait.
const SHORTEST_ROUND_THAT_BACKS_OFF: Duration = Duration::from_secs(60);

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
    /// Whether the operator dealt with it by hand: strangers' entries make room, these do not.
    pub(crate) by_operator: bool,
    /// The operator removed it from the friends and has not asked for it since: whatever it does, it waits for the operator.
    pub(crate) turned_away: bool,
    /// The version of its software, as it last introduced itself; empty if that is not known.
    pub(crate) version: String,
    /// Why it is over, in words; for phases in which it is.
    pub(crate) cause: Option<String>,
    /// When and why the score last moved.
    pub(crate) changed: Option<ScoreChange>,
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
    /// Everything of ours up to this change was with it when it was last asked.
    pub(crate) acknowledged_up_to: Option<u64>,
    /// The newest change of ours when the question under way was sent.
    asked_at_change: u64,
    /// When the next result counts for the score.
    next_round: Option<Timestamp>,
    /// Rounds in a row that failed.
    failures: u32,
    /// It was asked for its introduction.
    introduced: bool,
    /// It says that we are no friends: it let us go.
    pub(crate) refused: bool,
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
    pub(crate) version: String,
    /// An invite of theirs that the operator was given, as an envelope.
    pub(crate) invite: Option<Vec<u8>>,
}

/// A candidate that the majority rule kept.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    pub(crate) candidate: Candidate,
    /// The operator named its host; the others are only listed by those.
    pub(crate) named: bool,
    /// [`Friends::quits`] at that time.
    pub(crate) quits: u64,
}

/// What to do about a pod that asks to be our friend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Sign our yes.
    Accept,
    /// Say no, and why.
    Refuse(Refusal),
}

/// The highest numbers ever given: to entries of the list, and to invites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) entries: u64,
    pub(crate) invites: u64,
}

/// What a failed handshake leaves to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undo {
    /// All is as it should be.
    Nothing,
    /// It is ejected as it was before; our yes stands.
    Eject,
    /// It is what it was before; our no is signed.
    Restore,
    /// It leaves the list; our no is signed.
    Forget,
    /// Our no is signed, whatever it is now.
    Unsay,
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
    /// It answered that we are no friends.
    Refused,
}

/// A friend whose turn it is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) pod: PodId,
    pub(crate) addresses: Vec<String>,
    /// Whether a whole round has passed, so that the result counts for the score.
    pub(crate) counts: bool,
}

/// The list.
#[derive(Debug)]
pub(crate) struct Friends {
    me: PodId,
    policy: Policy,
    initial_score: u32,
    round: Duration,
    pub(super) entries: BTreeMap<PodId, Entry>,
    pub(super) invites: Invites,
    /// Our own registers, and the number of the change that each had last.
    own: BTreeMap<RegisterKey, u64>,
    own_changes: u64,
    /// With whom each author says to be friends, this pod among the authors.
    said_yes: HashMap<PodId, BTreeSet<PodId>>,
    /// Pods with an open connection, friends or not, and the last round-trip time in milliseconds. As many as the
    /// swarm keeps connections.
    online: HashMap<PodId, Option<u32>>,
    last_number: u64,
    quits: u64,
}

impl Entry {
    /// What is known of the pod, to ask it.
    pub(crate) fn candidate(&self, pod: PodId) -> Candidate {
        Candidate {
            pod,
            host: self.host.clone(),
            url: self.url.clone(),
            addresses: self.addresses.clone(),
            version: self.version.clone(),
            invite: None,
        }
    }
}

impl Friends {
    pub(crate) fn new(me: PodId, policy: Policy, initial_score: u32, round: Duration) -> Self {
        Self {
            me,
            policy,
            initial_score: initial_score.clamp(1, MAX_SCORE),
            round,
            entries: BTreeMap::new(),
            invites: Invites::default(),
            own: BTreeMap::new(),
            own_changes: 0,
            said_yes: HashMap::new(),
            online: HashMap::new(),
            last_number: 0,
            quits: 0,
        }
    }

    /// The highest numbers ever given.
    pub(crate) fn numbers(&self) -> Numbers {
        Numbers {
            entries: self.last_number,
            invites: self.invites.last_number(),
        }
    }

    /// Takes back the highest numbers that earlier runs gave.
    pub(crate) fn go_on_from(&mut self, numbers: Numbers) {
        self.last_number = self.last_number.max(numbers.entries);
        self.invites.go_on_from(numbers.invites);
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
            lets_us_in: !entry.seen.refused,
            version: entry.version.clone(),
            cause: entry.cause.clone(),
            changed: entry.changed.clone(),
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
                version: resolved.version.clone(),
                invite: None,
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
                        version: String::new(),
                        invite: None,
                    };
                    points.entry(hint.pod).or_insert_with(|| (0, listed())).0 += 1;
                }
            }
        }
        let kept = |(pod, (points, candidate)): (PodId, (usize, Candidate))| {
            let named = by_name.contains(&pod);
            let welcome = match self.phase(&pod) {
                Some(Phase::Blocked) => false,
                // One that let us go while we were away is asked again when it is named.
                Some(Phase::Friends) => named && self.get(&pod).is_some_and(|entry| entry.seen.refused),
                Some(Phase::EndedByUs | Phase::Ejected) => named,
                _ => named || !self.is_turned_away(&pod),
            };
            (pod != self.me && welcome && 2 * points > asked.len()).then_some(candidate)
        };
        points.into_iter().filter_map(kept).collect()
    }

    /// How often the operator quit: what was begun before stops at the next quit.
    pub(crate) fn quits(&self) -> u64 {
        self.quits
    }

    /// The operator quits the network: nothing that is under way may make friends any more. Answers whom to part from.
    pub(crate) fn quit(&mut self) -> Vec<PodId> {
        self.quits += 1;
        let bound = self.entries.iter().filter(|(_, entry)| entry.phase.binds());
        bound.map(|(pod, _)| *pod).collect()
    }

    /// The same as [`Self::asking`] for one of those chosen a while ago, when the operator had quit so many times: what
    /// happened meanwhile counts more.
    pub(crate) fn asking_chosen(&mut self, chosen: &Chosen, now: Timestamp) -> bool {
        let pod = &chosen.candidate.pod;
        let let_go = matches!(self.phase(pod), Some(Phase::EndedByUs | Phase::Ejected));
        let listed = chosen.named || !(let_go || self.is_turned_away(pod));
        self.quits == chosen.quits && listed && self.asking(&chosen.candidate, now)
    }

    /// Our yes is about to be signed and sent. Answers whether that may be: never to one that is blocked, or when there
    /// are as many friends as a network may have.
    pub(crate) fn asking(&mut self, candidate: &Candidate, now: Timestamp) -> bool {
        match self.phase(&candidate.pod) {
            Some(Phase::Blocked) => false,
            Some(Phase::Friends | Phase::Asking) => true,
            _ if candidate.pod == self.me || self.is_full() => false,
            _ => {
                self.learn(candidate, now);
                self.happened(&candidate.pod, Event::WeAsk, now)
            }
        }
    }

    /// Whether a stranger that asks gets a place on the list, if only to wait for the operator.
    pub(crate) fn lists_strangers(&self) -> bool {
        self.policy != Policy::Closed
    }

    /// Whether there are as many friends as can be named in one answer.
    fn is_full(&self) -> bool {
        self.in_phase(Phase::Friends).count() >= limits::FRIENDS_MAX
    }

    /// Decides about a pod that showed its signed yes. One that is accepted is `Asking` until [`Self::gained`].
    /// `invite` is one of ours that it showed; a use of it is counted when it is what lets the pod in.
    pub(crate) fn asked(
        &mut self,
        candidate: &Candidate,
        invite: Option<InviteId>,
        now: Timestamp,
    ) -> Answer {
        let pod = candidate.pod;
        if pod == self.me {
            return Answer::Refuse(Refusal::Malformed);
        }
        let phase = self.phase(&pod);
        match phase {
            Some(Phase::Blocked) => return Answer::Refuse(Refusal::Blocked),
            Some(Phase::Asking | Phase::Friends) => return Answer::Accept,
            None if self.entries.len() >= MAX_ENTRIES => return Answer::Refuse(Refusal::Busy),
            _ if self.is_full() => return Answer::Refuse(Refusal::Busy),
            _ => {}
        }
        if self.is_welcome(&pod, phase, invite, now) {
            self.learn(candidate, now);
            self.happened(&pod, Event::TheyAsk, now);
            return Answer::Accept;
        }
        if self.policy == Policy::Closed {
            return Answer::Refuse(Refusal::Closed);
        }
        if phase.is_none() && self.in_phase(Phase::AskedUs).count() >= MAX_ASKED_US {
            return Answer::Refuse(Refusal::Busy);
        }
        self.learn(candidate, now);
        self.happened(&pod, Event::TheyWait, now);
        Answer::Refuse(Refusal::AskedOperator)
    }

    /// Whether a pod that asks becomes a friend without the operator's word.
    fn is_welcome(
        &mut self,
        pod: &PodId,
        phase: Option<Phase>,
        invite: Option<InviteId>,
        now: Timestamp,
    ) -> bool {
        match (phase, self.policy) {
            // Whom the operator removed comes back by the operator's word alone, however often it asks.
            _ if self.is_turned_away(pod) => false,
            // It was let go because it could not be reached, and our yes stands.
            (Some(Phase::Ejected), _) => true,
            (_, Policy::Open) => {
                self.invites.redeem(invite, pod, now);
                true
            }
            (_, Policy::Vouched) => self.is_vouched(pod) || self.invites.redeem(invite, pod, now),
            // Whoever makes an invite has decided.
            (_, Policy::Ask) => self.invites.redeem(invite, pod, now),
            (_, Policy::Closed) => false,
        }
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
        yes.filter(|pod| !self.is_bound(pod)).collect()
    }

    /// A pod that waits for the operator although, by now, a friend vouches for it.
    pub(crate) fn vouched_meanwhile(&self, pod: &PodId) -> bool {
        self.policy == Policy::Vouched
            && self.phase(pod) == Some(Phase::AskedUs)
            && !self.is_turned_away(pod)
            && self.is_vouched(pod)
    }

    fn is_turned_away(&self, pod: &PodId) -> bool {
        self.entries.get(pod).is_some_and(|entry| entry.turned_away)
    }

    /// Both said yes. Answers whether that still counts: the operator may have ended it while they spoke.
    pub(crate) fn gained(&mut self, candidate: &Candidate, now: Timestamp) -> bool {
        let agreed = matches!(self.phase(&candidate.pod), Some(Phase::Asking | Phase::Friends));
        if agreed {
            self.learn(candidate, now);
            self.happened(&candidate.pod, Event::BothSaidYes, now);
            if let Some(entry) = self.entries.get_mut(&candidate.pod) {
                entry.seen.refused = false;
                entry.seen.failures = 0;
            }
        }
        agreed
    }

    /// The operator refuses a request. The entry leaves the list, unless a stranger could come in where this one may not.
    pub(crate) fn refuse(&mut self, pod: &PodId, now: Timestamp) {
        let event = match self.is_turned_away(pod) {
            true => Event::TurnAway,
            false => Event::Remove,
        };
        if self.phase(pod) == Some(Phase::AskedUs) {
            self.happened(pod, event, now);
        }
    }

    /// What becomes of an entry when the handshake that it began with `before` failed.
    pub(crate) fn handshake_failed(&self, pod: &PodId, before: Option<&Entry>) -> Undo {
        let before = before.map(|entry| entry.phase);
        match (self.phase(pod), before) {
            (Some(Phase::Friends), _) => Undo::Nothing,
            (Some(Phase::Asking), Some(Phase::Ejected)) => Undo::Eject,
            (Some(Phase::Asking), Some(phase)) if !phase.binds() => Undo::Restore,
            (Some(Phase::Asking), _) => Undo::Forget,
            // The operator ended it while we spoke; what was signed after that no must not stand either.
            _ => Undo::Unsay,
        }
    }

    /// Moves an entry, or takes it off the list, as [`after`] says. Answers whether anything changed.
    pub(crate) fn happened(&mut self, pod: &PodId, event: Event, now: Timestamp) -> bool {
        let initial_score = self.initial_score;
        let Some(to) = after(self.phase(pod), event) else {
            return false;
        };
        let Some(to) = to else {
            self.entries.remove(pod);
            return true;
        };
        let Some(entry) = self.entries.get_mut(pod) else {
            return false;
        };
        entry.phase = to;
        entry.since = now;
        entry.by_operator |= matches!(event, Event::WeAsk | Event::Remove | Event::Block);
        entry.turned_away = match event {
            Event::Remove => true,
            Event::WeAsk => false,
            _ => entry.turned_away,
        };
        entry.cause = match event {
            Event::TheyEnded => Some("they ended the friendship".to_owned()),
            Event::ScoreSpent => Some(match &entry.seen.trouble {
                Some(trouble) => format!("it could not be reached for too long: {trouble}"),
                None => "it could not be reached for too long".to_owned(),
            }),
            _ => None,
        };
        if to != Phase::Ejected {
            entry.score = initial_score;
            entry.changed = None;
        }
        entry.seen = Seen::default();
        true
    }

    /// Whether our yes to a pod stands, answered or not: only with a no of ours may its entry go.
    pub(crate) fn is_bound(&self, pod: &PodId) -> bool {
        self.phase(pod).is_some_and(Phase::binds)
    }

    /// A friend's address or name changed.
    pub(crate) fn moved(&mut self, resolved: &ResolvedHost) -> bool {
        let Some(entry) = self.entries.get_mut(&resolved.pod) else {
            return false;
        };
        let changed = entry.addresses != resolved.addresses
            || entry.url != resolved.url
            || entry.version != resolved.version;
        entry.addresses.clone_from(&resolved.addresses);
        entry.url.clone_from(&resolved.url);
        entry.host.clone_from(&resolved.host);
        entry.version.clone_from(&resolved.version);
        changed
    }

    /// Whether a friend says that it lives elsewhere than we know.
    pub(crate) fn has_moved_to(&self, pod: &PodId, url: &str) -> bool {
        self.get(pod)
            .is_some_and(|entry| entry.phase == Phase::Friends && entry.url != url)
    }

    /// Whether a friend that is here should be asked for its introduction: once in a run, for it may have been updated.
    /// Answered with yes once.
    pub(crate) fn wants_introduction(&mut self, pod: &PodId) -> bool {
        self.entries
            .get_mut(pod)
            .is_some_and(|entry| !std::mem::replace(&mut entry.seen.introduced, true))
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
            if !entry.seen.refused {
                entry.seen.trouble = None;
            }
        }
        arrived
    }

    /// Friends whose turn it is; they count as busy until [`Self::round_ended`]. One that does not answer is asked ever more
    /// rarely, unless it is connected again.
    pub(crate) fn begin_round(&mut self, now: Timestamp) -> Vec<Due> {
        let (round, change) = (self.round, self.own_changes);
        let mut due = Vec::new();
        for (pod, entry) in &mut self.entries {
            if entry.phase != Phase::Friends || entry.seen.busy {
                continue;
            }
            // A clock that was set back must not make anybody wait for more than the longest pause.
            let next = *entry.seen.next_round.get_or_insert_with(|| later(now, round));
            let counts = now >= next || next > later(now, LONGEST_PAUSE.max(round));
            let backs_off = entry.seen.failures > 0 && round >= SHORTEST_ROUND_THAT_BACKS_OFF;
            if backs_off && !counts && !self.online.contains_key(pod) {
                continue;
            }
            if counts {
                entry.seen.next_round = Some(later(now, round));
            }
            entry.seen.busy = true;
            entry.seen.asked_at_change = change;
            due.push(Due {
                pod: *pod,
                addresses: entry.addresses.clone(),
                counts,
            });
        }
        due
    }

    /// The same for one friend, out of turn.
    pub(crate) fn begin_round_with(&mut self, pod: &PodId) -> Option<Vec<String>> {
        let change = self.own_changes;
        let entry = self.entries.get_mut(pod)?;
        if entry.phase != Phase::Friends || std::mem::replace(&mut entry.seen.busy, true) {
            return None;
        }
        entry.seen.asked_at_change = change;
        Some(entry.addresses.clone())
    }

    /// How long until the next result counts for the score of some friend; at most a round, that much if there is none.
    pub(crate) fn until_next_round(&self, now: Timestamp) -> Duration {
        let waits = self.in_phase(Phase::Friends).filter_map(|(_, entry)| {
            let next = entry.seen.next_round?;
            Some(Duration::from_millis(
                next.as_millis().saturating_sub(now.as_millis()),
            ))
        });
        waits.min().unwrap_or(self.round).min(self.round)
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
        let (round, own_changes) = (self.round, self.own_changes);
        let Some(entry) = self.entries.get_mut(pod) else {
            return false;
        };
        entry.seen.busy = false;
        if entry.phase != Phase::Friends {
            return false;
        }
        let mut moved = None;
        match result {
            RoundResult::Reached { acknowledged } => {
                if acknowledged {
                    entry.seen.acknowledged_up_to = Some(entry.seen.asked_at_change);
                }
                // What was published while it was being asked it may lack.
                let acknowledged = acknowledged && entry.seen.asked_at_change == own_changes;
                entry.seen.acknowledged = acknowledged;
                entry.seen.last_heard = Some(now);
                entry.seen.trouble = None;
                entry.seen.refused = false;
                entry.seen.failures = 0;
                if counts && entry.seen.owed && acknowledged {
                    moved = Some((
                        (entry.score + SCORE_STEP).min(MAX_SCORE),
                        ScoreReason::Acknowledged,
                    ));
                    entry.seen.owed = false;
                }
                entry.seen.owed |= !acknowledged;
            }
            RoundResult::Failed | RoundResult::Refused => {
                entry.seen.trouble.clone_from(&trouble);
                entry.seen.refused |= result == RoundResult::Refused;
                if counts {
                    entry.seen.failures = entry.seen.failures.saturating_add(1);
                    entry.seen.next_round = Some(later(now, pause(round, entry.seen.failures)));
                }
                // What it had acknowledged when it went away it does not lack.
                if counts && entry.seen.owed && !entry.seen.acknowledged {
                    let why = trouble.unwrap_or_default();
                    moved = Some((
                        entry.score.saturating_sub(SCORE_STEP),
                        ScoreReason::Unreachable(why),
                    ));
                }
            }
        }
        if let Some((score, reason)) = moved {
            entry.changed = Some(ScoreChange {
                by: i64::from(score) - i64::from(entry.score),
                at: now,
                reason,
            });
            entry.score = score;
        }
        entry.score == 0
    }

    /// This pod holds a record of its own, new or from an earlier run. A new one nobody has acknowledged yet.
    pub(crate) fn holds_own(&mut self, register: RegisterKey, is_new: bool) {
        self.own_changes += 1;
        self.own.insert(register, self.own_changes);
        if is_new {
            for entry in self.entries.values_mut() {
                entry.seen.acknowledged = false;
                entry.seen.owed = true;
            }
        }
    }

    /// How many of our records a friend has not acknowledged, as far as this run knows.
    pub(crate) fn unacknowledged(&self, pod: &PodId) -> usize {
        let up_to = self
            .get(pod)
            .and_then(|entry| entry.seen.acknowledged_up_to)
            .unwrap_or(0);
        self.own.values().filter(|change| **change > up_to).count()
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

    /// Takes what a pod says of itself, making an entry that is not in any phase of friendship yet.
    fn learn(&mut self, candidate: &Candidate, now: Timestamp) {
        let initial_score = self.initial_score;
        let last_number = &mut self.last_number;
        let entry = self.entries.entry(candidate.pod).or_insert_with(|| {
            *last_number += 1;
            Entry {
                number: *last_number,
                host: String::new(),
                url: String::new(),
                addresses: Vec::new(),
                phase: Phase::AskedUs,
                score: initial_score,
                since: now,
                by_operator: false,
                turned_away: false,
                version: String::new(),
                cause: None,
                changed: None,
                seen: Seen::default(),
            }
        });
        entry.host.clone_from(&candidate.host);
        if !candidate.url.is_empty() {
            entry.url.clone_from(&candidate.url);
        }
        if !candidate.version.is_empty() {
            entry.version.clone_from(&candidate.version);
        }
        entry.addresses.clone_from(&candidate.addresses);
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

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_add(wait))
}

/// How long after so many failures in a row the next result counts: doubling up to a day.
fn pause(round: Duration, failures: u32) -> Duration {
    if round < SHORTEST_ROUND_THAT_BACKS_OFF {
        return round;
    }
    let doubled = round.saturating_mul(2_u32.saturating_pow(failures));
    doubled.min(LONGEST_PAUSE).max(round)
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
