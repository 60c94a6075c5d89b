//! Making and ending friendships: what `friends/handshake.rs`, `friends/farewell.rs` and `friends/requests.rs` do, step by step.

use seedpod_protocol::envelope::{Draft, Header, Kind, State, Verified, register_key};
use seedpod_protocol::ids::{ObjectId, PodId};
use seedpod_protocol::records::{Card, Friendship, Record};
use seedpod_protocol::requests::{Refusal, Request, Response};

use super::disk::{Row, Table};
use super::pod::Question;
use super::world::World;
use crate::catalog::sync::Input;
use crate::friends::messages::Phase;
use crate::friends::phases::Event;
use crate::friends::records as friend_rows;
use crate::friends::state::{Answer, Candidate, Entry, Undo};
use crate::swarm::Admitted;

/// Where an answer goes: the pod and the number of its question.
type ReplyTo = (usize, u64);

/// Two pods on the way to each other.
#[derive(Debug)]
pub(super) struct Handshake {
    candidate: Candidate,
    /// The entry as it was when it began.
    before: Option<Entry>,
}

/// What follows when a batch is on the disk.
pub(super) enum Then {
    /// The page of a run was taken.
    Taken { number: u64, applied: usize },
    /// Somebody gets its answer.
    Reply { to: ReplyTo, response: Response },
    /// The operator was told that this is published.
    Published(Verified<Record>),
    /// Our yes is written: it may be shown.
    Ask {
        handshake: Handshake,
        ours: Verified<Record>,
    },
    /// Our yes is written, and theirs was shown to us.
    Agree {
        handshake: Handshake,
        ours: Verified<Record>,
        theirs: Verified<Record>,
        to: ReplyTo,
    },
    /// Their yes is written too.
    Gain {
        handshake: Handshake,
        /// They asked, and wait for this.
        answer: Option<(ReplyTo, Verified<Record>)>,
    },
    /// Our no is written: they may hear it.
    Tell { pod: PodId, no: Verified<Record> },
}

impl World {
    pub(super) fn then(&mut self, pod: usize, step: Then) {
        match step {
            Then::Taken { number, applied } => self.heard(pod, number, Input::Taken(applied)),
            Then::Reply { to, response } => self.reply(pod, to, &response),
            Then::Published(record) => self.oracle.answered(&record),
            Then::Ask { handshake, ours } => {
                self.told(pod, &ours);
                let request = Request::Befriend {
                    card: self.pods[pod].identity.card.clone(),
                    friendship: ours.bytes().to_vec(),
                    invite: None,
                    keys: Vec::new(),
                };
                let to = handshake.candidate.pod;
                self.ask(pod, to, &request, Question::Befriend(Box::new(handshake)));
            }
            Then::Agree {
                handshake,
                ours,
                theirs,
                to,
            } => self.both_agree(pod, handshake, theirs, Some((to, ours))),
            Then::Gain { handshake, answer } => self.gain(pod, handshake, answer),
            Then::Tell { pod: to, no } => {
                self.told(pod, &no);
                let request = Request::Tell {
                    envelopes: vec![no.bytes().to_vec()],
                };
                self.ask(pod, to, &request, Question::Tell);
            }
        }
    }

    /// Shakes hands: our yes is signed and written, then shown.
    pub(super) fn shake_hands(&mut self, pod: usize, candidate: Candidate) {
        let now = self.clock();
        let run = self.running(pod);
        let before = run.friends.get(&candidate.pod).cloned();
        if !run.friends.asking(&candidate, now) {
            return;
        }
        self.trace(pod, || format!("asks {} to be friends", candidate.pod.short()));
        let handshake = Handshake { candidate, before };
        match self.say(pod, &handshake.candidate, State::Live) {
            Some(ours) => {
                let then = &mut self.running(pod).pending.then;
                then.push(Then::Ask { handshake, ours });
            }
            None => self.take_back(pod, handshake),
        }
        self.go_on(pod);
    }

    /// Our yes or no, and the entry as it stands, in the next batch.
    fn say(&mut self, pod: usize, candidate: &Candidate, state: State) -> Option<Verified<Record>> {
        let friendship = Friendship {
            with: candidate.pod,
            host: candidate.host.clone(),
            addresses: candidate.addresses.clone(),
            recovery: None,
            since: self.clock(),
        };
        let said = self.publish(
            pod,
            Draft {
                kind: Kind::FRIENDSHIP,
                object: ObjectId::from(candidate.pod),
                state,
                payload: Record::Friendship(friendship),
            },
        );
        self.save(pod, candidate.pod);
        said
    }

    fn save(&mut self, pod: usize, friend: PodId) {
        let run = self.running(pod);
        let key = friend.as_bytes().to_vec();
        let row = match run.friends.get(&friend) {
            Some(entry) => Row::put(Table::Friends, key, friend_rows::encode(entry)),
            None => Row::delete(Table::Friends, key),
        };
        run.pending.rows.push(row);
    }

    pub(super) fn tell_swarm(&mut self, pod: usize) {
        let (me, friends) = (self.pods[pod].id, self.friends_of(pod));
        self.stirrings += 1;
        self.running(pod).admitted = Admitted::new(me, friends).into();
    }

    /// What came of our asking.
    pub(super) fn on_befriended(&mut self, pod: usize, handshake: Handshake, response: Option<Response>) {
        let theirs = match response {
            Some(Response::Befriended { friendship, .. }) => {
                self.yes_of(pod, handshake.candidate.pod, friendship)
            }
            // In no story does an operator answer those who wait, so they give up.
            _ => None,
        };
        match theirs {
            Some(theirs) => self.both_agree(pod, handshake, theirs, None),
            None => self.take_back(pod, handshake),
        }
        self.go_on(pod);
    }

    /// A friendship register that is `from`'s yes to us.
    fn yes_of(&mut self, pod: usize, from: PodId, friendship: Vec<u8>) -> Option<Verified<Record>> {
        let me = self.pods[pod].id;
        let record = self.open(&friendship)?;
        let header = record.header();
        let is_yes = matches!(record.payload(), Record::Friendship(said) if said.with == me)
            && header.author == from
            && header.state == State::Live;
        is_yes.then_some(record)
    }

    /// Lets the other's records in, its yes first.
    fn both_agree(
        &mut self,
        pod: usize,
        handshake: Handshake,
        theirs: Verified<Record>,
        answer: Option<(ReplyTo, Verified<Record>)>,
    ) {
        let other = handshake.candidate.pod;
        self.admit(pod, other);
        self.apply(pod, theirs, other);
        let then = &mut self.running(pod).pending.then;
        then.push(Then::Gain { handshake, answer });
        self.go_on(pod);
    }

    /// Both yeses are written, if they still hold.
    fn gain(&mut self, pod: usize, handshake: Handshake, answer: Option<(ReplyTo, Verified<Record>)>) {
        let now = self.clock();
        let friend = handshake.candidate.pod;
        let agreed = self.says_yes(pod, friend) == Some(true)
            && self.running(pod).friends.gained(&handshake.candidate, now);
        self.trace(pod, || format!("agrees with {}: {agreed}", friend.short()));
        if !agreed {
            self.take_back(pod, handshake);
            if let Some((to, _)) = answer {
                self.reply(pod, to, &Response::refused(Refusal::Busy, "taken back"));
            }
            return;
        }
        self.save(pod, friend);
        self.tell_swarm(pod);
        if let Some((to, ours)) = answer {
            self.told(pod, &ours);
            let response = Response::Befriended {
                card: self.pods[pod].identity.card.clone(),
                friendship: ours.bytes().to_vec(),
                keys: Vec::new(),
            };
            self.running(pod).pending.then.push(Then::Reply { to, response });
        }
        self.go_on(pod);
        self.catch_up(pod, friend);
    }

    /// A handshake failed.
    fn take_back(&mut self, pod: usize, handshake: Handshake) {
        let Handshake { candidate, before } = handshake;
        let other = candidate.pod;
        let friends = &mut self.running(pod).friends;
        match (friends.handshake_failed(&other, before.as_ref()), before) {
            (Undo::Nothing, _) => {}
            (Undo::Eject, Some(before)) => {
                friends.restore(other, before);
                self.save(pod, other);
                self.hide(pod, other);
            }
            (Undo::Restore, Some(before)) => {
                friends.restore(other, before);
                self.let_go(pod, &candidate);
            }
            (Undo::Forget, _) => self.part(pod, other, Event::Quit),
            _ => {
                self.let_go(pod, &candidate);
            }
        }
        self.go_on(pod);
    }

    pub(super) fn candidate_of(&self, pod: usize, other: &PodId) -> Candidate {
        let run = self.pods[pod].run.as_ref();
        match run.and_then(|run| run.friends.get(other)) {
            Some(entry) => entry.candidate(*other),
            None => self.found(self.index[other]),
        }
    }

    /// What resolving a pod's host finds.
    pub(super) fn found(&self, other: usize) -> Candidate {
        let identity = self.pods[other].identity;
        Candidate {
            pod: self.pods[other].id,
            host: identity.host.clone(),
            url: format!("http://{}", identity.host),
            addresses: identity.addresses.clone(),
            version: String::new(),
            invite: None,
        }
    }

    /// Ends a friendship, or a request for one: our no, the entry and the end of their records are one batch.
    pub(super) fn part(&mut self, pod: usize, friend: PodId, event: Event) {
        let now = self.clock();
        let candidate = self.candidate_of(pod, &friend);
        let run = self.running(pod);
        if !run.friends.is_bound(&friend) {
            return;
        }
        run.friends.happened(&friend, event, now);
        if let Some(no) = self.let_go(pod, &candidate) {
            let then = &mut self.running(pod).pending.then;
            then.push(Then::Tell { pod: friend, no });
        }
        self.tell_swarm(pod);
        self.go_on(pod);
    }

    fn let_go(&mut self, pod: usize, candidate: &Candidate) -> Option<Verified<Record>> {
        self.trace(pod, || format!("lets {} go", candidate.pod.short()));
        let no = self.say(pod, candidate, State::Withdrawn);
        self.expel(pod, candidate.pod);
        no
    }

    /// A record became a head and is written.
    pub(super) fn on_changed(&mut self, pod: usize, header: &Header) {
        let me = self.pods[pod].id;
        if header.author == me {
            self.running(pod).friends.holds_own(header.key(), true);
        }
        if header.kind != Kind::FRIENDSHIP {
            return;
        }
        let about = self.about(&header.object);
        let agrees = header.state == State::Live;
        let friends = &mut self.running(pod).friends;
        friends.stated(header.author, about, agrees);
        if about == me && !agrees {
            self.they_ended(pod, header.author);
        } else if header.author == me && agrees && !self.running(pod).friends.is_bound(&about) {
            let candidate = self.candidate_of(pod, &about);
            self.let_go(pod, &candidate);
        }
    }

    /// The other side signed a no: so do we, and its records leave.
    pub(super) fn they_ended(&mut self, pod: usize, friend: PodId) {
        let is_friend = self.running(pod).friends.phase(&friend) == Some(Phase::Friends);
        if !is_friend || self.says_yes(pod, friend) != Some(false) {
            return;
        }
        let now = self.clock();
        let candidate = self.candidate_of(pod, &friend);
        let friends = &mut self.running(pod).friends;
        friends.happened(&friend, Event::TheyEnded, now);
        self.let_go(pod, &candidate);
        self.tell_swarm(pod);
    }

    /// After a start: finishes what was cut short.
    pub(super) fn settle(&mut self, pod: usize) {
        let me = self.pods[pod].id;
        let friends = self.friends_of(pod);
        let run = self.running(pod);
        let unmeant = run.friends.unmeant();
        let asking: Vec<PodId> = {
            let asking = run.friends.in_phase(Phase::Asking);
            asking.map(|(other, _)| other).collect()
        };
        let held: Vec<PodId> = run.catalog.authors().filter(|author| *author != me).collect();
        for author in held {
            if asking.contains(&author) {
                self.hide(pod, author);
            } else if !friends.contains(&author) {
                self.expel(pod, author);
            }
        }
        for friend in friends {
            self.admit(pod, friend);
        }
        for other in unmeant {
            let candidate = self.candidate_of(pod, &other);
            self.let_go(pod, &candidate);
        }
        for other in asking {
            let candidate = self.candidate_of(pod, &other);
            self.shake_hands(pod, candidate);
        }
        self.go_on(pod);
    }

    pub(super) fn on_request(&mut self, pod: usize, to: ReplyTo, request: Request) {
        let from = self.pods[to.0].id;
        let phase = self.running(pod).friends.phase(&from);
        let is_friend = matches!(phase, Some(Phase::Friends | Phase::Asking));
        let response = match request {
            Request::Befriend { card, friendship, .. } => return self.answer(pod, to, card, friendship),
            request if !is_friend => self.turn_away(pod, from, &request),
            Request::Tell { envelopes } => {
                let applied = self.take(pod, from, envelopes);
                let response = Response::Told {
                    applied: u32::try_from(applied).unwrap_or(u32::MAX),
                };
                self.running(pod).pending.then.push(Then::Reply { to, response });
                return self.go_on(pod);
            }
            request => self.answer_friend(pod, &request),
        };
        self.reply(pod, to, &response);
    }

    /// One that does not know that we ended the friendship gets our signed no.
    fn turn_away(&self, pod: usize, from: PodId, request: &Request) -> Response {
        let me = self.pods[pod].id;
        let about_them = register_key(&me, Kind::FRIENDSHIP, &ObjectId::from(from));
        let no = self.pods[pod].disk.head(&me, &about_them);
        match no.filter(|no| no.header.state == State::Withdrawn) {
            Some(no) if matches!(request, Request::Roots | Request::Pull { .. }) => Response::Page {
                envelopes: vec![no.envelope.to_vec()],
                more: false,
            },
            _ => Response::refused(Refusal::NotAFriend, "we are not friends"),
        }
    }

    /// Answers a pod that shows its yes.
    fn answer(&mut self, pod: usize, to: ReplyTo, card: Vec<u8>, friendship: Vec<u8>) {
        let (from, now) = (self.pods[to.0].id, self.clock());
        let introduced = self.open(&card).is_some_and(|card| {
            card.header().author == from && matches!(card.payload(), Record::Card(Card { .. }))
        });
        let theirs = self.yes_of(pod, from, friendship).filter(|_| introduced);
        let theirs = theirs.expect("an honest pod shows its own card and its own yes");
        let candidate = self.found(to.0);
        let before = self.running(pod).friends.get(&from).cloned();
        if let Answer::Refuse(reason) = self.running(pod).friends.asked(&candidate, None, now) {
            let refused = Response::refused(reason, "no");
            return self.reply(pod, to, &refused);
        }
        let handshake = Handshake { candidate, before };
        match self.say(pod, &handshake.candidate, State::Live) {
            Some(ours) => {
                let then = &mut self.running(pod).pending.then;
                then.push(Then::Agree {
                    handshake,
                    ours,
                    theirs,
                    to,
                });
            }
            None => self.take_back(pod, handshake),
        }
        self.go_on(pod);
    }
}
