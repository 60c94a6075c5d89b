//! One run of catch-up with one friend, as a machine without network, disk or clock.
//!
//! A [`Run`] asks for the friend's roots and pulls of every author whose root differs what is stamped after the last stamp
//! held. When that was not all, something older is missing, and it digs: it compares the two digests place by place,
//! from the top down, many places a question, and fetches what outranks what is held. So a run costs what is
//! missing, times the depth of the digest, and takes about as many round trips as that is deep. Of an author of
//! whom we hold less than half, everything is pulled instead, which costs less.
//!
//! It asks one question at a time and has one page checked while it asks for the next, so that a run never holds more
//! than two pages. Whatever the friend answers, a run ends after [`MAX_REQUESTS`] questions and [`MAX_PLACES`]
//! places; what is missing then is the next run's.
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

use seedpod_protocol::descent::{Place, Prefix};
use seedpod_protocol::envelope::{Envelope, Header, RegisterKey, Stamp};
use seedpod_protocol::ids::{ContentHash, PodId, Timestamp};
use seedpod_protocol::limits::{FETCH_MAX, PLACES_MAX};
use seedpod_protocol::requests::{AuthorRoot, Refusal, Request, Response};

use super::catchup::{CatchUpError, CaughtUp};
use super::state::Catalog;
use crate::swarm::RequestError;

/// Questions of one run; what is missing then waits for the next.
pub(crate) const MAX_REQUESTS: usize = 2_000;

/// Places of digests that one run looks at; each costs the friend some 30 bytes to 500.
pub(crate) const MAX_PLACES: usize = 100_000;

/// A friend that holds fewer records of an author than we do is dug with all the same if it is no more than this many: who
/// lacks more is busy catching up itself.
const NEARLY_AS_MANY: u64 = 1_000;

/// Of so many runs with a friend that holds as many of our own records as we do, and others, one looks for what a twin signed.
const ONE_RUN_IN: u64 = 8;

/// On which terms a run begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// This pod.
    pub(crate) me: PodId,
    /// The friend.
    pub(crate) with: PodId,
    /// At the first run with a friend: the last own record held at the start. Later ones are asked for even if newer
    /// ones were signed since, for after a restore the friend may hold what we have lost.
    pub(crate) look_back: Option<Option<Stamp>>,
    /// Whether to look for what a pull does not bring; see [`Patience`].
    pub(crate) may_dig: bool,
    /// Anything, another in each run: where digging begins, so that one that has to stop early begins elsewhere the next time.
    pub(crate) turn: u64,
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
    /// Places that may still be looked at.
    places_left: usize,
    said: Option<Said>,
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
    /// Places of an author's digest, and what was found there.
    Dig(Box<Dig>),
}

/// One author of whom a friend holds something else than we do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Difference {
    pub(crate) theirs: AuthorRoot,
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

#[derive(Debug)]
struct Dig {
    difference: Difference,
    /// Places to ask about, the highest first.
    places: VecDeque<Prefix>,
    /// Places that were asked about.
    asked: Vec<Prefix>,
    /// Registers to fetch.
    wanted: VecDeque<RegisterKey>,
    /// Registers that were asked for.
    fetching: Vec<RegisterKey>,
    answered: bool,
}

/// What a friend said when it was last asked for its roots.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said {
    /// How many records of its own it has.
    pub(crate) of_its_own: u64,
    /// How many of ours it holds.
    pub(crate) of_ours: u64,
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
            places_left: MAX_PLACES,
            said: None,
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

    /// What the friend said about how many records there are, once it has.
    pub(crate) fn said(&self) -> Option<Said> {
        self.said
    }

    fn answered(&mut self, response: Response, catalog: &Catalog) -> Result<(), CatchUpError> {
        match (&mut self.work, response) {
            (Work::Compare, Response::Roots(roots)) => {
                self.compare(roots, catalog);
                Ok(())
            }
            // It ended the friendship while we were away, and shows us its signed no.
            (Work::Compare, Response::Page { envelopes, .. }) => {
                self.waiting = Some(envelopes);
                Err(CatchUpError::Ended)
            }
            (Work::Pull(pull), Response::Page { envelopes, more }) => {
                let author = pull.difference.theirs.author;
                let last = last_of(&envelopes, author).map(|header| header.stamp());
                // A page that does not advance would be asked for for ever.
                pull.more = more && last > pull.after;
                pull.after = last.max(pull.after);
                self.waiting = Some(envelopes).filter(|page| !page.is_empty());
                Ok(())
            }
            (Work::Dig(dig), Response::Nodes(found)) => {
                dig.answered = true;
                let sorted = dig.sort(found, catalog, self.terms.turn)?;
                let kept = sorted.into_iter().take(self.places_left);
                let before = dig.places.len();
                dig.places.extend(kept);
                self.places_left -= dig.places.len() - before;
                Ok(())
            }
            (Work::Dig(dig), Response::Page { envelopes, more }) => {
                dig.fetched(&envelopes, more)?;
                self.waiting = Some(envelopes).filter(|page| !page.is_empty());
                Ok(())
            }
            // A pod of an earlier release: everything it has, as there is no other way.
            (
                Work::Dig(dig),
                Response::Refused {
                    reason: Refusal::Malformed,
                    ..
                },
            ) if !dig.answered => {
                self.work = Work::Pull(Pull::whole(dig.difference));
                Ok(())
            }
            (_, Response::Refused { text, .. }) => Err(CatchUpError::Refused(text)),
            _ => Err(CatchUpError::Broken("an answer to another question")),
        }
    }

    fn compare(&mut self, roots: Vec<AuthorRoot>, catalog: &Catalog) {
        let of_ours = roots.iter().find(|root| root.author == self.terms.me);
        let of_its_own = roots.iter().find(|root| root.author == self.terms.with);
        self.said = Some(Said {
            of_its_own: of_its_own.map_or(0, |root| root.records),
            of_ours: of_ours.map_or(0, |root| root.records),
        });
        self.differences = catalog.differences(roots.iter().copied()).into();
        self.caught_up.alike = self.differences.is_empty();
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
        match &mut self.work {
            Work::Dig(dig) => dig.question(),
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
            let difference = pull.difference;
            let held = catalog.records_of(&difference.theirs.author);
            self.caught_up.dug = true;
            self.work = if difference.theirs.records / 2 > held {
                Work::Pull(Pull::whole(difference))
            } else {
                Work::Dig(Box::new(Dig::from_the_top(difference)))
            };
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
        let theirs = &pull.difference.theirs;
        let held = catalog.records_of(&theirs.author);
        let may_have_more = if theirs.author == self.terms.me {
            // Of ours it has what we gave it; more only if we lost something. A better version of what we have too would be
            // a twin's, and of the many friends who are only behind us few are worth the question.
            let may_be_a_twins = theirs.records == held && self.terms.turn.is_multiple_of(ONE_RUN_IN);
            theirs.records > held || self.terms.look_back.is_some() || may_be_a_twins
        } else {
            theirs.records.saturating_add(NEARLY_AS_MANY) >= held
        };
        self.terms.may_dig && !pull.whole && may_have_more && catalog.differs(theirs)
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

impl Dig {
    fn from_the_top(difference: Difference) -> Self {
        Self {
            difference,
            places: VecDeque::from([Prefix::TOP]),
            asked: Vec::new(),
            wanted: VecDeque::new(),
            fetching: Vec::new(),
            answered: false,
        }
    }

    /// Fetches as soon as a question is full of what was found, and when there is nowhere left to look.
    fn question(&mut self) -> Option<Request> {
        let author = self.difference.theirs.author;
        if self.wanted.len() >= FETCH_MAX || (self.places.is_empty() && !self.wanted.is_empty()) {
            let count = self.wanted.len().min(FETCH_MAX);
            self.fetching = self.wanted.drain(..count).collect();
            let keys = self.fetching.clone();
            return Some(Request::Fetch { author, keys });
        }
        let count = self.places.len().min(PLACES_MAX);
        self.asked = self.places.drain(..count).collect();
        let places = self.asked.clone();
        (!places.is_empty()).then_some(Request::Nodes { author, places })
    }

    /// Notes what is to be fetched; answers where to look next.
    fn sort(&mut self, found: Vec<Place>, catalog: &Catalog, turn: u64) -> Result<Vec<Prefix>, CatchUpError> {
        let author = self.difference.theirs.author;
        if found.len() != self.asked.len() {
            return Err(CatchUpError::Broken("another number of places than asked about"));
        }
        let mut below = Vec::new();
        for (place, stands) in self.asked.drain(..).zip(found) {
            match stands {
                Place::Empty => {}
                Place::Leaf { key, .. } if !place.begins(&key) => {
                    return Err(CatchUpError::Broken("a register at a place that is not its own"));
                }
                Place::Leaf { key, rank } => {
                    if catalog.wants(&author, &key, &rank) {
                        self.wanted.push_back(key);
                    }
                }
                Place::Branch(theirs) => {
                    let ours = catalog.children(&author, &place);
                    let depth = place.nibbles().len();
                    for step in 0..16_u8 {
                        let nibble = (step + first_nibble(turn, depth)) % 16;
                        let at = usize::from(nibble);
                        if theirs[at] == ContentHash::ZERO || theirs[at] == ours[at] {
                            continue;
                        }
                        let child = place
                            .child(nibble)
                            .ok_or(CatchUpError::Broken("a branch below a whole key"))?;
                        below.push(child);
                    }
                }
            }
        }
        Ok(below)
    }

    /// A page of what was asked for came; what it does not reach is asked for again.
    fn fetched(&mut self, envelopes: &[Vec<u8>], more: bool) -> Result<(), CatchUpError> {
        let keys = std::mem::take(&mut self.fetching);
        let Some(last) = last_of(envelopes, self.difference.theirs.author) else {
            return if envelopes.is_empty() && !more {
                Ok(())
            } else {
                Err(CatchUpError::Broken("a page without a record that was asked for"))
            };
        };
        let last = keys.iter().position(|key| *key == last.key());
        match last {
            Some(last) if envelopes.len() <= last + 1 => {
                if more {
                    self.wanted.extend(&keys[last + 1..]);
                }
                Ok(())
            }
            _ => Err(CatchUpError::Broken("records that were not asked for")),
        }
    }
}

/// Which child of a place is looked at first.
fn first_nibble(turn: u64, depth: usize) -> u8 {
    turn.to_be_bytes()[depth % 8] & 0xf
}

/// The header of the last envelope of a page, not checked yet, if it is of this author.
fn last_of(envelopes: &[Vec<u8>], author: PodId) -> Option<Header> {
    let envelope = Envelope::decode(envelopes.last()?.as_slice()).ok()?;
    let header = *envelope.header();
    (header.author == author).then_some(header)
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
        if caught_up.applied > 0 || caught_up.alike {
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

#[cfg(test)]
#[path = "keys_tests.rs"]
mod keys_tests;
