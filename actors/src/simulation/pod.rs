//! The shell around one pod's states: what `catalog/actor.rs` and `catalog/batches.rs` do, without tasks and without a disk.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use seedpod_protocol::envelope::{
    Draft, Envelope, Epoch, Header, Kind, RegisterKey, Stamp, State, Verified, register_key,
};
use seedpod_protocol::ids::{ObjectId, PodId};
use seedpod_protocol::records::Record;
use seedpod_protocol::requests::{Refusal, Request, Response};

use super::disk::{Disk, Row, Table, Written};
use super::handshake::{Handshake, Then};
use super::world::{Event, Identity, Millis, Packet, ROUND, World, identity};
use crate::catalog::records::row_key;
use crate::catalog::state::{Catalog, Head, Outcome};
use crate::catalog::sync::{Effect, Input, Patience, Run, Terms};
use crate::friends::Policy;
use crate::friends::messages::Phase;
use crate::friends::records as friend_rows;
use crate::friends::state::{Friends, RoundResult};
use crate::swarm::{Admitted, RequestError};

/// Longest time that a batch is on its way to the disk.
const WRITE: Millis = 60;

/// One in so many rows is read back from its bytes at a start.
const READ_BACK: usize = 16;

/// A pod: what it is, what its disk holds and, while it is up, what it has in memory.
pub(super) struct Pod {
    pub(super) id: PodId,
    pub(super) identity: &'static Identity,
    pub(super) disk: Disk,
    /// An old copy of the disk.
    pub(super) copy: Option<Disk>,
    /// Counts crashes.
    pub(super) life: u32,
    pub(super) run: Option<Running>,
}

/// What a crash takes.
pub(super) struct Running {
    pub(super) catalog: Catalog,
    pub(super) friends: Friends,
    pub(super) admitted: Arc<Admitted>,
    patience: Patience,
    held_at_start: Option<Stamp>,
    looked_back: HashSet<PodId>,
    /// What waits while the batch before it is being written.
    pub(super) pending: Batch,
    pub(super) writing: Option<Batch>,
    /// Heads whose rows are not on the disk yet, each with the number of batches that hold it.
    unwritten: BTreeMap<(PodId, RegisterKey), Verified<Record>>,
    pub(super) asking: BTreeMap<u64, Question>,
    runs: BTreeMap<u64, (PodId, Run)>,
    last_run: u64,
}

/// Writes that go to the disk together, and what follows.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<Row>,
    changes: Vec<Change>,
    gossip: Vec<Verified<Record>>,
    pub(super) then: Vec<Then>,
}

enum Change {
    Head(Verified<Record>),
    /// Deleted or hidden.
    Gone(PodId),
    /// Not hidden any more.
    Back(PodId),
}

/// Why a question was asked.
#[derive(Debug)]
pub(super) enum Question {
    /// By a run of catch-up.
    Run(u64),
    /// To become friends.
    Befriend(Box<Handshake>),
    /// To say goodbye.
    Tell,
}

impl Pod {
    pub(super) fn new(number: usize) -> Self {
        let identity = identity(number);
        Self {
            id: identity.key.id(),
            identity,
            disk: Disk::default(),
            copy: None,
            life: 0,
            run: None,
        }
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.changes.is_empty() && self.then.is_empty() && self.gossip.is_empty()
    }
}

impl World {
    /// What a pod that is up has in memory.
    pub(super) fn running(&mut self, pod: usize) -> &mut Running {
        self.pods[pod]
            .run
            .as_mut()
            .expect("only a pod that is up does anything")
    }

    pub(super) fn friends_of(&self, pod: usize) -> Vec<PodId> {
        let run = self.pods[pod].run.as_ref();
        let friends = run.map(|run| run.friends.in_phase(Phase::Friends).map(|(friend, _)| friend));
        friends.into_iter().flatten().collect()
    }

    /// Reads the disk, begins an epoch, and finishes what the end of the last run cut short.
    pub(super) fn start(&mut self, pod: usize) {
        if self.pods[pod].run.is_some() {
            return;
        }
        let me = self.pods[pod].id;
        let tag = self.dice.random();
        let disk = &mut self.pods[pod].disk;
        let counter = disk.epoch_counter() + 1;
        let mut catalog = Catalog::new(me, Epoch { counter, tag });
        let mut friends = Friends::new(me, Policy::Open, 1_000, Duration::from_secs(10));
        let mut noes = Vec::new();
        for (nth, written) in disk.records().enumerate() {
            if nth % READ_BACK == usize::from(counter.is_multiple_of(2)) {
                written.check();
            }
            let header = &written.header;
            catalog.restore(header, written.hash, written.number, written.received_s);
            if header.kind == Kind::FRIENDSHIP {
                let agrees = header.state == State::Live;
                let about = self.abouts[&header.object];
                friends.stated(header.author, about, agrees);
                if about == me && !agrees {
                    noes.push(header.author);
                }
            }
        }
        for (key, row) in disk.scan(Table::Friends) {
            let (friend, entry) = friend_rows::decode(key, row).expect("what was written can be read");
            friends.restore(friend, entry);
        }
        let counter = catalog.epoch().counter.to_be_bytes().to_vec();
        disk.write(vec![Row::put(Table::Epoch, [], counter)]);
        let held_at_start = catalog.last_stamp(&me);
        self.pods[pod].run = Some(Running {
            catalog,
            friends,
            admitted: Arc::new(Admitted::new(me, [])),
            patience: Patience::default(),
            held_at_start,
            looked_back: HashSet::new(),
            pending: Batch::default(),
            writing: None,
            unwritten: BTreeMap::new(),
            asking: BTreeMap::new(),
            runs: BTreeMap::new(),
            last_run: 0,
        });
        self.stirrings += 1;
        self.trace(pod, || "starts".to_owned());
        self.check_restored(pod);
        // What the replay of the catalog tells.
        noes.into_iter().for_each(|author| self.they_ended(pod, author));
        self.settle(pod);
        self.tell_swarm(pod);
        let first = self.dice.random_range(1..=ROUND);
        self.later(pod, first, Event::Round);
    }

    /// Power goes. What was being written is whole or not there; what waited is lost.
    pub(super) fn crash(&mut self, pod: usize) {
        let written = self.dice.random_bool(0.5);
        let Some(run) = self.pods[pod].run.take() else {
            return;
        };
        if let Some(batch) = run.writing.filter(|_| written) {
            self.pods[pod].disk.write(batch.rows);
        }
        self.pods[pod].life += 1;
        self.trace(pod, || "crashes".to_owned());
    }

    /// A stop in order: everything is written first.
    pub(super) fn stop(&mut self, pod: usize) {
        let Some(run) = self.pods[pod].run.take() else {
            return;
        };
        let disk = &mut self.pods[pod].disk;
        if let Some(batch) = run.writing {
            disk.write(batch.rows);
        }
        disk.write(run.pending.rows);
        self.pods[pod].life += 1;
        self.trace(pod, || "stops".to_owned());
    }

    /// Writes what waits, when nothing is being written.
    pub(super) fn go_on(&mut self, pod: usize) {
        let run = self.running(pod);
        if run.writing.is_none() && !run.pending.is_empty() {
            run.writing = Some(std::mem::take(&mut run.pending));
            let takes = self.dice.random_range(1..=WRITE);
            self.later(pod, takes, Event::Written);
        }
    }

    /// A batch is on the disk: subscribers hear of it, then whoever waits, then friends.
    pub(super) fn on_written(&mut self, pod: usize) {
        let Some(batch) = self.running(pod).writing.take() else {
            return;
        };
        let Batch {
            rows,
            changes,
            gossip,
            then,
        } = batch;
        self.pods[pod].disk.write(rows);
        for change in changes {
            match change {
                Change::Head(record) => {
                    let register = (record.header().author, record.header().key());
                    let run = self.running(pod);
                    if run.unwritten.get(&register).is_some_and(|held| *held == record) {
                        run.unwritten.remove(&register);
                    }
                    self.on_changed(pod, record.header());
                }
                Change::Back(author) => {
                    let records = self.pods[pod].disk.records().map(|written| written.header);
                    let back: Vec<Header> = records.filter(|header| header.author == author).collect();
                    back.iter().for_each(|header| self.on_changed(pod, header));
                }
                Change::Gone(author) => self.running(pod).friends.silenced(&author),
            }
        }
        for step in then {
            self.then(pod, step);
        }
        for record in gossip {
            self.told(pod, &record);
            self.spread(pod, record.bytes(), None);
        }
        self.go_on(pod);
    }

    /// Gossips to all friends, or hands on to some.
    pub(super) fn spread(&mut self, pod: usize, bytes: &[u8], source: Option<usize>) {
        for friend in self.friends_of(pod) {
            let to = self.index[&friend];
            let chosen = source.is_none_or(|source| source != to && self.dice.random_bool(0.15));
            if chosen {
                self.send(pod, to, &Packet::Gossip(bytes.to_vec()));
            }
        }
    }

    /// Signs a record and puts it into the next batch. Answers what it signed, unless the object was removed for good.
    pub(super) fn publish(&mut self, pod: usize, draft: Draft) -> Option<Verified<Record>> {
        let record = self.sign(pod, draft);
        let me = self.pods[pod].id;
        if !self.apply(pod, record.clone(), me) {
            return None;
        }
        self.running(pod).pending.gossip.push(record.clone());
        Some(record)
    }

    fn sign(&mut self, pod: usize, draft: Draft) -> Verified<Record> {
        let identity = self.pods[pod].identity;
        let stamp = self.running(pod).catalog.next_stamp();
        let record = draft.sign(&identity.key, stamp).expect("a sound draft");
        self.oracle.signed(&record);
        record
    }

    /// Takes a verified envelope into the state and, if it became a head, into the next batch.
    pub(super) fn apply(&mut self, pod: usize, record: Verified<Record>, via: PodId) -> bool {
        if !record.header().kind.is_record() {
            return false;
        }
        let (me, now) = (self.pods[pod].id, self.clock());
        let run = self.running(pod);
        let before = run.catalog.epoch();
        let outcome = run.catalog.offer(&record, now);
        let signed_now = self.unsettled_own(pod, before);
        let news = if let Outcome::Applied(head) = outcome {
            self.put(pod, head, record, via);
            true
        } else {
            false
        };
        for draft in signed_now {
            let record = self.sign(pod, draft);
            if self.apply(pod, record.clone(), me) {
                self.running(pod).pending.gossip.push(record);
            }
        }
        news
    }

    fn put(&mut self, pod: usize, head: Head, record: Verified<Record>, via: PodId) {
        self.stirrings += 1;
        let header = *record.header();
        self.trace(pod, || format!("takes {}", describe(&record)));
        let written = Written::new(&record, head.number, head.received_s, &via);
        let run = self.running(pod);
        run.pending.rows.push(Row::record(written));
        run.unwritten
            .insert((header.author, header.key()), record.clone());
        run.pending.changes.push(Change::Head(record));
    }

    /// What this run has signed and has to sign again, because another start of this pod was found.
    fn unsettled_own(&mut self, pod: usize, before: Epoch) -> Vec<Draft> {
        let me = self.pods[pod].id;
        let run = self.running(pod);
        let now = run.catalog.epoch();
        if now == before {
            return Vec::new();
        }
        let keys = run.catalog.take_to_sign_again();
        let counter = now.counter.to_be_bytes().to_vec();
        run.pending.rows.push(Row::put(Table::Epoch, [], counter));
        self.trace(pod, || format!("goes on as {now:?}, signs {} again", keys.len()));
        let read = |key: &RegisterKey| {
            let run = self.pods[pod].run.as_ref()?;
            let record = run.unwritten.get(&(me, *key)).cloned().or_else(|| {
                let written = self.pods[pod].disk.head(&me, key)?;
                Envelope::decode(Arc::clone(&written.envelope))
                    .ok()?
                    .reopen()
                    .ok()
            })?;
            let header = record.header();
            Some(Draft {
                kind: header.kind,
                object: header.object,
                state: header.state,
                payload: record.payload().clone(),
            })
        };
        keys.iter().filter_map(read).collect()
    }

    /// Forgets an author.
    pub(super) fn expel(&mut self, pod: usize, author: PodId) {
        self.trace(pod, || format!("expels {}", author.short()));
        self.stirrings += 1;
        self.oracle.expelled(self.pods[pod].id, author);
        let run = self.running(pod);
        run.looked_back.remove(&author);
        run.patience.forget(&author);
        for key in run.catalog.expel(author) {
            let row = row_key(&author, &key);
            run.pending.rows.push(Row::delete(Table::Records, row));
            run.unwritten.remove(&(author, key));
        }
        run.pending.changes.push(Change::Gone(author));
    }

    /// What the disk has of a register: whether it says yes, if it is there.
    pub(super) fn says_yes(&self, pod: usize, author: PodId) -> Option<bool> {
        let about_us = register_key(&author, Kind::FRIENDSHIP, &ObjectId::from(self.pods[pod].id));
        let written = self.pods[pod].disk.head(&author, &about_us)?;
        Some(written.header.state == State::Live)
    }

    pub(super) fn on_packet(&mut self, pod: usize, from: usize, packet: Packet) {
        match packet {
            Packet::Gossip(bytes) => self.on_gossip(pod, from, &bytes),
            Packet::Request { number, bytes } => {
                let request = Request::decode(&bytes).expect("what a pod sent can be read");
                self.on_request(pod, (from, number), request);
            }
            Packet::Answer { number, bytes } => {
                let response = self.response(&bytes);
                self.on_outcome(pod, number, Ok(response));
            }
        }
    }

    fn on_gossip(&mut self, pod: usize, from: usize, bytes: &[u8]) {
        let via = self.pods[from].id;
        let run = self.running(pod);
        if !run.admitted.is_friend(&via) {
            return;
        }
        let admitted = Arc::clone(&run.admitted);
        // The driver drops our own.
        let Ok(record) = self.validate(bytes, &admitted) else {
            return;
        };
        if record.header().author != self.pods[pod].id && self.apply(pod, record, via) {
            self.spread(pod, bytes, Some(from));
            self.go_on(pod);
        }
    }

    /// Checks envelopes that a pod handed over and applies what is sound.
    pub(super) fn take(&mut self, pod: usize, from: PodId, envelopes: Vec<Vec<u8>>) -> usize {
        let admitted = Arc::clone(&self.running(pod).admitted);
        let mut applied = 0;
        for bytes in envelopes {
            match self.validate(&bytes, &admitted) {
                Ok(record) => applied += usize::from(self.apply(pod, record, from)),
                Err(refusal) => assert_eq!(refusal.ban(), None, "an honest pod hands over no forgery"),
            }
        }
        applied
    }

    /// Answers what a friend asks of the catalog, from the disk.
    pub(super) fn answer_friend(&mut self, pod: usize, request: &Request) -> Response {
        let Some(answer) = self.running(pod).catalog.answer(request) else {
            return Response::refused(Refusal::Malformed, "answered elsewhere");
        };
        let disk = &self.pods[pod].disk;
        let read = |author: &PodId, key: &RegisterKey| {
            let written = disk.head(author, key);
            Ok::<_, std::convert::Infallible>(written.map(|written| written.envelope.to_vec()))
        };
        let Ok(response) = answer.read(read);
        response
    }

    /// Compares with a friend and takes what is missing, unless that is going on.
    pub(super) fn catch_up(&mut self, pod: usize, with: PodId) {
        let (me, now, turn) = (self.pods[pod].id, self.clock(), self.dice.random());
        let run = self.running(pod);
        if run.friends.begin_round_with(&with).is_none() {
            return;
        }
        let terms = Terms {
            me,
            with,
            look_back: (!run.looked_back.contains(&with)).then_some(run.held_at_start),
            may_dig: run.patience.may_dig(&with, now),
            turn,
        };
        let (machine, effects) = Run::start(terms);
        run.last_run += 1;
        let number = run.last_run;
        run.runs.insert(number, (with, machine));
        self.obey(pod, number, effects);
    }

    pub(super) fn heard(&mut self, pod: usize, number: u64, input: Input) {
        let run = self.running(pod);
        let Some((_, machine)) = run.runs.get_mut(&number) else {
            return;
        };
        let effects = machine.heard(input, &run.catalog);
        self.obey(pod, number, effects);
    }

    fn obey(&mut self, pod: usize, number: u64, effects: Vec<Effect>) {
        let with = self.running(pod).runs[&number].0;
        for effect in effects {
            match effect {
                Effect::Ask(request) => self.ask(pod, with, &request, Question::Run(number)),
                Effect::Take(envelopes) => {
                    let applied = self.take(pod, with, envelopes);
                    self.running(pod)
                        .pending
                        .then
                        .push(Then::Taken { number, applied });
                    self.go_on(pod);
                }
                Effect::End(result) => {
                    let now = self.clock();
                    let run = self.running(pod);
                    run.runs.remove(&number);
                    let outcome = match &result {
                        Ok(caught_up) => {
                            if run.catalog.is_admitted(&with) {
                                run.looked_back.insert(with);
                                run.patience.ended(with, caught_up, now);
                            }
                            RoundResult::Reached {
                                acknowledged: caught_up.acknowledged,
                            }
                        }
                        Err(_) => RoundResult::Failed,
                    };
                    run.friends.round_ended(&with, outcome, None, false, now);
                    self.trace(pod, || format!("asked {}: {result:?}", with.short()));
                }
            }
        }
    }

    /// What came of a question; the second answer, or one that comes too late, finds nobody who asks.
    pub(super) fn on_outcome(&mut self, pod: usize, number: u64, outcome: Result<Response, RequestError>) {
        let Some(question) = self.running(pod).asking.remove(&number) else {
            return;
        };
        match question {
            Question::Run(run) => self.heard(pod, run, outcome.map_or_else(Input::NoAnswer, Input::Answer)),
            Question::Befriend(handshake) => self.on_befriended(pod, *handshake, outcome.ok()),
            Question::Tell => {}
        }
    }

    /// Nothing waits and nothing is under way.
    pub(super) fn is_still(&self, pod: usize) -> bool {
        let run = self.pods[pod].run.as_ref();
        run.is_some_and(|run| run.writing.is_none() && run.pending.is_empty() && run.asking.is_empty())
    }

    /// This pod's own things on its disk.
    pub(super) fn own_things(&self, pod: usize) -> Vec<Header> {
        let me = self.pods[pod].id;
        let own = self.pods[pod].disk.records().map(|written| written.header);
        own.filter(|header| header.author == me && header.kind == Kind(77))
            .collect()
    }

    /// Lets an author in. What was hidden of it is told again.
    pub(super) fn admit(&mut self, pod: usize, author: PodId) {
        if self.running(pod).catalog.admit(author) {
            self.stirrings += 1;
            self.running(pod).pending.changes.push(Change::Back(author));
        }
    }

    /// Keeps an author's records out of everything.
    pub(super) fn hide(&mut self, pod: usize, author: PodId) {
        let run = self.running(pod);
        if run.catalog.hide(author) {
            run.looked_back.remove(&author);
            run.pending.changes.push(Change::Gone(author));
        }
    }
}

pub(super) fn describe(record: &Verified<Record>) -> String {
    let header = record.header();
    format!(
        "{} {:?} {} {:?} {:?}.{} = {}",
        header.author.short(),
        header.kind,
        header.object,
        header.state,
        header.epoch,
        header.seq,
        record.hash().short()
    )
}
