//! One run of catch-up with one friend, as a machine without network, disk or clock.
//!
//! A [`Run`] asks for the friend's roots, pulls of every author whose root differs what is stamped after the last stamp
//! held, and when that was not all, looks for the rest. It asks one question at a time and has one page checked while
//! it asks for the next, so that a run never holds more than two pages. Whatever the friend answers, a run ends after
//! [`MAX_REQUESTS`] questions; what is missing then is the next run's.
//!
//! Whoever drives it, the actor or a simulation, does what the effects say and hands back what came of it:
//!
//! ```text
//! let (mut run, mut effects) = Run::start(terms);
//! loop: for each effect
//!     Ask(request)     put it to the friend, whose shell answers with Catalog::answer(&request).read(…);
//!                      then run.heard(Input::Answer(response), &catalog), or Input::NoAnswer(error)
//!     Take(envelopes)  check each, offer what is sound to the catalog; then run.heard(Input::Taken(count), &catalog)
//!     End(result)      it is over: tell Patience, drop the run
//! ```
//!
//! An `Ask` and a `Take` may be under way at the same time and may be handed back in any order. `heard` takes the catalog as it
//! is then: it must hold what a `Taken` says was taken.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use seedpod_protocol::envelope::{Envelope, Stamp};
use seedpod_protocol::ids::{PodId, Timestamp};
use seedpod_protocol::requests::{AuthorRoot, Request, Response};

use super::catchup::{CatchUpError, CaughtUp};
use super::state::Catalog;
use crate::swarm::RequestError;

/// Questions of one run; what is missing then waits for the next.
pub(crate) const MAX_REQUESTS: usize = 2_000;

/// On which terms a run begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// This pod.
    pub(crate) me: PodId,
    /// At the first run with a friend: the last own record held at the start. Later ones are asked for even if newer
    /// ones were signed since, for after a restore the friend may hold what we have lost.
    pub(crate) look_back: Option<Option<Stamp>>,
    /// Whether to look for what a pull does not bring; see [`Patience`].
    pub(crate) may_dig: bool,
}

/// What the driver of a run has to do.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Ask the friend.
    Ask(Request),
    /// Check these envelopes and offer to the catalog what is sound.
    Take(Vec<Vec<u8>>),
    /// The run is over.
    End(Result<CaughtUp, CatchUpError>),
}

/// What came of an effect.
#[derive(Debug)]
pub(crate) enum Input {
    /// The friend's answer.
    Answer(Response),
    /// Why there is none.
    NoAnswer(RequestError),
    /// The envelopes were dealt with; so many of them changed the catalog.
    Taken(usize),
}

/// The run.
#[derive(Debug)]
pub(crate) struct Run {
    terms: Terms,
    /// Authors of whom the friend holds something else, not looked at yet.
    differences: VecDeque<Difference>,
    /// What is being done about one of them.
    work: Work,
    asking: bool,
    taking: bool,
    /// A page that came while the one before is being taken.
    waiting: Option<Vec<Vec<u8>>>,
    requests: usize,
    caught_up: CaughtUp,
    /// Why the run fails once what is under way is over.
    failure: Option<CatchUpError>,
}

#[derive(Debug)]
enum Work {
    /// Its roots were asked for.
    Compare,
    /// Nothing; on to the next difference.
    Idle,
    /// Pages of an author in the order of their stamps.
    Pull(Pull),
}

/// One author of whom a friend holds something else than we do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Difference {
    pub(crate) theirs: AuthorRoot,
    pub(crate) our_records: u64,
    /// The last stamp that we hold.
    pub(crate) after: Option<Stamp>,
}

#[derive(Debug)]
struct Pull {
    difference: Difference,
    after: Option<Stamp>,
    more: bool,
    /// It began at the first stamp: there is nothing left to look for.
    whole: bool,
}

impl Run {
    /// A run and its first question.
    pub(crate) fn start(terms: Terms) -> (Self, Vec<Effect>) {
        let run = Self {
            terms,
            differences: VecDeque::new(),
            work: Work::Compare,
            asking: true,
            taking: false,
            waiting: None,
            requests: 1,
            caught_up: CaughtUp::default(),
            failure: None,
        };
        (run, vec![Effect::Ask(Request::Roots)])
    }

    /// Takes note of what came of an effect; answers what is to be done now.
    pub(crate) fn heard(&mut self, input: Input, catalog: &Catalog) -> Vec<Effect> {
        match input {
            Input::Answer(response) => {
                self.asking = false;
                if let Err(error) = self.answered(response, catalog) {
                    self.failure = Some(error);
                }
            }
            Input::NoAnswer(error) => {
                self.asking = false;
                self.failure = Some(error.into());
            }
            Input::Taken(applied) => {
                self.taking = false;
                self.caught_up.applied += applied;
            }
        }
        self.go_on(catalog)
    }

    fn answered(&mut self, response: Response, catalog: &Catalog) -> Result<(), CatchUpError> {
        match (&mut self.work, response) {
            (Work::Compare, Response::Roots(roots)) => {
                self.compare(roots, catalog);
                Ok(())
            }
            // It ended the friendship while we were away, and shows us its signed no.
            (Work::Compare, Response::Page { envelopes, .. }) => {
                self.waiting = Some(plain(envelopes));
                Err(CatchUpError::Ended)
            }
            (Work::Pull(pull), Response::Page { envelopes, more }) => {
                let last = envelopes.last().and_then(|bytes| stamp_of(bytes, pull));
                // A page that does not advance would be asked for for ever.
                pull.more = more && last > pull.after;
                pull.after = last.max(pull.after);
                self.waiting = Some(plain(envelopes)).filter(|page| !page.is_empty());
                Ok(())
            }
            (_, Response::Refused { text, .. }) => Err(CatchUpError::Refused(text)),
            _ => Err(CatchUpError::Broken("an answer to another question")),
        }
    }

    fn compare(&mut self, roots: Vec<AuthorRoot>, catalog: &Catalog) {
        let of_ours = roots.iter().find(|root| root.author == self.terms.me);
        self.caught_up.holds_of_ours = of_ours.map_or(0, |root| root.records);
        self.differences = catalog.differences(roots.iter().copied()).into();
        let mut differing = self.differences.iter();
        self.caught_up.acknowledged =
            of_ours.is_some() && differing.all(|difference| difference.theirs.author != self.terms.me);
        self.work = Work::Idle;
    }

    /// Everything that can be done now.
    fn go_on(&mut self, catalog: &Catalog) -> Vec<Effect> {
        let mut effects = Vec::new();
        if !self.taking
            && let Some(page) = self.waiting.take()
        {
            self.taking = true;
            effects.push(Effect::Take(page));
        }
        while !self.asking && self.waiting.is_none() && self.failure.is_none() {
            if let Some(request) = self.question() {
                if self.requests == MAX_REQUESTS {
                    self.differences.clear();
                    self.work = Work::Idle;
                    continue;
                }
                self.requests += 1;
                self.asking = true;
                effects.push(Effect::Ask(request));
            } else if self.taking || !self.next_work(catalog) {
                break;
            }
        }
        if !self.asking && !self.taking && effects.is_empty() {
            let result = match self.failure.take() {
                Some(error) => Err(error),
                None => Ok(self.caught_up),
            };
            effects.push(Effect::End(result));
        }
        effects
    }

    /// What the work in hand has to ask next, if anything.
    fn question(&mut self) -> Option<Request> {
        match &self.work {
            Work::Pull(pull) if pull.more => Some(Request::Pull {
                author: pull.difference.theirs.author,
                after: pull.after,
            }),
            _ => None,
        }
    }

    /// The work in hand is done: looks what follows from it. Answers whether there is anything left to do.
    fn next_work(&mut self, catalog: &Catalog) -> bool {
        let work = std::mem::replace(&mut self.work, Work::Idle);
        if let Work::Pull(pull) = work
            && self.is_worth_digging(&pull, catalog)
        {
            self.caught_up.dug = true;
            self.work = Work::Pull(Pull::whole(pull.difference));
            return true;
        }
        let Some(difference) = self.differences.pop_front() else {
            return false;
        };
        let after = match self.terms.look_back {
            Some(held_at_start) if difference.theirs.author == self.terms.me => held_at_start,
            _ => difference.after,
        };
        self.work = Work::Pull(Pull {
            difference,
            after,
            more: true,
            whole: after.is_none(),
        });
        true
    }

    /// Whether the friend may hold what a pull did not bring: a record with an older stamp than the last we hold.
    fn is_worth_digging(&self, pull: &Pull, catalog: &Catalog) -> bool {
        let Difference {
            theirs, our_records, ..
        } = pull.difference;
        // Who is only behind us will ask in its turn.
        let may_have_more =
            theirs.records > our_records || (theirs.author != self.terms.me && theirs.records == our_records);
        self.terms.may_dig && !pull.whole && may_have_more && catalog.differs(&theirs)
    }
}

impl Pull {
    fn whole(difference: Difference) -> Self {
        Self {
            difference,
            after: None,
            more: true,
            whole: true,
        }
    }
}

/// The stamp of an envelope that was not checked yet, if it is the pulled author's.
fn stamp_of(bytes: &[u8], pull: &Pull) -> Option<Stamp> {
    let envelope = Envelope::decode(bytes).ok()?;
    let header = envelope.header();
    (header.author == pull.difference.theirs.author).then(|| header.stamp())
}

fn plain<B: Into<Vec<u8>>>(envelopes: Vec<B>) -> Vec<Vec<u8>> {
    envelopes.into_iter().map(Into::into).collect()
}

/// How long a friend with whom digging was in vain is not dug with again, at first.
const FIRST_CALM: Duration = Duration::from_secs(2);
/// And at most.
const LONGEST_CALM: Duration = Duration::from_secs(10 * 60);

/// With whom digging was in vain: a friend whose roots do not come from its records costs less and less work. Honest friends
/// meet it when they are behind us; nothing is lost, for what they have later comes by gossip, pull or another friend.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    calm: BTreeMap<PodId, Calm>,
}

#[derive(Debug, Clone, Copy)]
struct Calm {
    lasts: Duration,
    until: Timestamp,
}

impl Patience {
    /// Whether a run that begins now may dig.
    pub(crate) fn may_dig(&self, with: &PodId, now: Timestamp) -> bool {
        self.calm.get(with).is_none_or(|calm| now >= calm.until)
    }

    /// Takes note of how a run ended.
    pub(crate) fn ended(&mut self, with: PodId, caught_up: &CaughtUp, now: Timestamp) {
        if caught_up.applied > 0 {
            self.calm.remove(&with);
        } else if caught_up.dug {
            let before = self.calm.get(&with).map(|calm| calm.lasts);
            let lasts = before.map_or(FIRST_CALM, |lasts| (2 * lasts).min(LONGEST_CALM));
            let until = now.saturating_add(lasts);
            self.calm.insert(with, Calm { lasts, until });
        }
    }

    /// Forgets a pod that is no friend any more.
    pub(crate) fn forget(&mut self, pod: &PodId) {
        self.calm.remove(pod);
    }
}

#[cfg(test)]
#[path = "sync_tests.rs"]
mod tests;
