//! The clock, the queue of events, the network between the pods, and the dice behind all of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::OnceLock;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use seedpod_protocol::envelope::{Draft, Envelope, EnvelopeError, Epoch, OpenError, Stamp, Verified};
use seedpod_protocol::ids::{ContentHash, ObjectId, PodId, Timestamp};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::{Card, Record};
use seedpod_protocol::requests::{Request, Response};

use super::oracle::Oracle;
use super::pod::{Pod, Question};
use crate::swarm::{Admitted, Refusal, RequestError, Topic, validate_by};

/// Virtual time, in milliseconds since the beginning.
pub(super) type Millis = u64;

/// How long a question waits for its answer.
const PATIENCE: Millis = 3_000;
/// How often a pod asks its friends.
pub(super) const ROUND: Millis = 5_000;
/// Friends asked in one round: enough for a rumour, few enough for fifty pods.
const ASKED_A_ROUND: usize = 6;

/// Answers that are remembered.
const ANSWERS_KEPT: usize = 4_000;

/// What the links do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    /// Of a hundred packets.
    pub(super) loss: u32,
    /// Of a hundred packets.
    pub(super) doubling: u32,
    pub(super) delay: Millis,
}

/// No loss, little delay.
pub(super) const FAIR: Weather = Weather {
    loss: 0,
    doubling: 0,
    delay: 50,
};

/// What crosses a link: bytes.
#[derive(Debug, Clone)]
pub(super) enum Packet {
    Gossip(Vec<u8>),
    Request { number: u64, bytes: Vec<u8> },
    Answer { number: u64, bytes: Vec<u8> },
}

#[derive(Debug)]
pub(super) enum Event {
    Arrive {
        from: usize,
        packet: Packet,
    },
    /// The batch that is being written is on the disk.
    Written,
    Round,
    GiveUp {
        number: u64,
    },
    Start,
}

#[derive(Debug)]
struct Due {
    pod: usize,
    /// Which of the pod's lives it belongs to; none for what outlives a crash.
    life: Option<u32>,
    event: Event,
}

pub(super) struct World {
    pub(super) now: Millis,
    pub(super) dice: StdRng,
    pub(super) pods: Vec<Pod>,
    pub(super) index: BTreeMap<PodId, usize>,
    pub(super) weather: Weather,
    /// Which part of a torn network each pod is in.
    pub(super) groups: Vec<u8>,
    pub(super) cuts: BTreeSet<(usize, usize)>,
    pub(super) oracle: Oracle,
    queue: BTreeMap<(Millis, u64), Due>,
    order: u64,
    last_question: u64,
    /// Each envelope is taken apart and verified once a seed.
    envelopes: HashMap<ContentHash, Result<Envelope, EnvelopeError>>,
    opened: HashMap<ContentHash, Result<Verified<Record>, OpenError>>,
    /// The same answer is read once: in a quiet network everybody says the same.
    answers: HashMap<ContentHash, Response>,
    /// Whom a friendship is with.
    pub(super) abouts: HashMap<ObjectId, PodId>,
    /// Changes of any state: a network is quiet while it stands still.
    pub(super) stirrings: u64,
    pub(super) events: u64,
    trace: bool,
}

impl World {
    pub(super) fn new(seed: u64, pods: usize) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let pods: Vec<Pod> = (0..pods).map(Pod::new).collect();
        let index = pods.iter().enumerate().map(|(at, pod)| (pod.id, at)).collect();
        let weather = Weather {
            loss: dice.random_range(10..=40),
            doubling: dice.random_range(10..=30),
            delay: dice.random_range(50..=1_500),
        };
        let groups = vec![0; pods.len()];
        let abouts = pods.iter().map(|pod| (ObjectId::from(pod.id), pod.id)).collect();
        Self {
            now: 0,
            dice,
            pods,
            index,
            weather,
            groups,
            cuts: BTreeSet::new(),
            oracle: Oracle::default(),
            queue: BTreeMap::new(),
            order: 0,
            last_question: 0,
            envelopes: HashMap::new(),
            opened: HashMap::new(),
            answers: HashMap::new(),
            abouts,
            stirrings: 0,
            events: 0,
            trace: std::env::var_os("TRACE").is_some(),
        }
    }

    pub(super) fn clock(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + self.now)
    }

    pub(super) fn trace(&self, pod: usize, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>9} ms  pod {pod:<2} {}", self.now, what());
        }
    }

    /// Puts an event into a pod's future; it does not outlive the pod's life.
    pub(super) fn later(&mut self, pod: usize, after: Millis, event: Event) {
        let life = match event {
            Event::Start => None,
            _ => Some(self.pods[pod].life),
        };
        self.order += 1;
        self.queue
            .insert((self.now + after, self.order), Due { pod, life, event });
    }

    /// Tells the story up to a moment.
    pub(super) fn run_until(&mut self, moment: Millis) {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > moment {
                break;
            }
            let ((at, _), Due { pod, life, event }) = entry.remove_entry();
            self.now = at;
            self.events += 1;
            if life.is_none_or(|life| life == self.pods[pod].life) {
                self.happen(pod, event);
            }
        }
        self.now = moment;
    }

    fn happen(&mut self, pod: usize, event: Event) {
        match event {
            Event::Start => self.start(pod),
            _ if self.pods[pod].run.is_none() => {}
            Event::Arrive { from, packet } => {
                if self.are_linked(from, pod) {
                    self.on_packet(pod, from, packet);
                }
            }
            Event::Written => self.on_written(pod),
            Event::GiveUp { number } => {
                let late = RequestError::Timeout(Duration::from_millis(PATIENCE));
                self.on_outcome(pod, number, Err(late));
            }
            Event::Round => {
                self.later(pod, ROUND, Event::Round);
                let mut friends = self.friends_of(pod);
                while friends.len() > ASKED_A_ROUND {
                    let left_out = self.dice.random_range(0..friends.len());
                    friends.swap_remove(left_out);
                }
                friends.into_iter().for_each(|friend| self.catch_up(pod, friend));
            }
        }
    }

    pub(super) fn are_linked(&self, a: usize, b: usize) -> bool {
        self.groups[a] == self.groups[b] && !self.cuts.contains(&(a.min(b), a.max(b)))
    }

    /// Sends, whatever the weather makes of it.
    pub(super) fn send(&mut self, from: usize, to: usize, packet: &Packet) {
        let Weather {
            loss,
            doubling,
            delay,
        } = self.weather;
        let roll = self.dice.random_range(0..100);
        let copies = match roll {
            _ if !self.are_linked(from, to) => 0,
            _ if roll < loss => 0,
            _ if roll < loss + doubling => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let on_its_way = self.dice.random_range(1..=delay);
            let packet = packet.clone();
            self.later(to, on_its_way, Event::Arrive { from, packet });
        }
    }

    /// Asks; the answer, or that there is none, comes to `on_outcome`.
    pub(super) fn ask(&mut self, from: usize, to: PodId, request: &Request, question: Question) {
        self.last_question += 1;
        let number = self.last_question;
        let bytes = request.encode().expect("what a pod asks can be sent");
        self.running(from).asking.insert(number, question);
        self.later(from, PATIENCE, Event::GiveUp { number });
        let to = self.index[&to];
        self.send(from, to, &Packet::Request { number, bytes });
    }

    pub(super) fn reply(&mut self, from: usize, to: (usize, u64), response: &Response) {
        let (to, number) = to;
        let bytes = response.encode().expect("what a pod answers can be sent");
        self.send(from, to, &Packet::Answer { number, bytes });
    }

    /// The one door, with the memory of a seed: what was verified before is not verified again.
    pub(super) fn validate(
        &mut self,
        bytes: &[u8],
        admitted: &Admitted,
    ) -> Result<Verified<Record>, Refusal> {
        let (hash, decoded) = self.decoded(bytes);
        let opened = &mut self.opened;
        validate_by(decoded, Topic::Catalog, admitted, |envelope| {
            remembered(opened, hash, envelope)
        })
    }

    /// The same for what comes in without being a friend's yet: cards, and the first yes.
    pub(super) fn open(&mut self, bytes: &[u8]) -> Option<Verified<Record>> {
        let (hash, decoded) = self.decoded(bytes);
        remembered(&mut self.opened, hash, decoded.ok()?).ok()
    }

    fn decoded(&mut self, bytes: &[u8]) -> (ContentHash, Result<Envelope, EnvelopeError>) {
        let hash = ContentHash::of(bytes);
        let decoded = self.envelopes.entry(hash);
        (hash, decoded.or_insert_with(|| Envelope::decode(bytes)).clone())
    }

    /// Reads an answer.
    pub(super) fn response(&mut self, bytes: &[u8]) -> Response {
        if self.answers.len() > ANSWERS_KEPT {
            self.answers.clear();
        }
        let read = || Response::decode(bytes).expect("what a pod sent can be read");
        self.answers
            .entry(ContentHash::of(bytes))
            .or_insert_with(read)
            .clone()
    }

    /// Whom a friendship is with.
    pub(super) fn about(&self, object: &ObjectId) -> PodId {
        self.abouts[object]
    }
}

fn remembered(
    opened: &mut HashMap<ContentHash, Result<Verified<Record>, OpenError>>,
    hash: ContentHash,
    envelope: Envelope,
) -> Result<Verified<Record>, OpenError> {
    opened.entry(hash).or_insert_with(|| envelope.open()).clone()
}

/// Who a pod is, whatever the seed.
pub(super) struct Identity {
    pub(super) key: PodKey,
    pub(super) host: String,
    pub(super) addresses: Vec<String>,
    /// Its card.
    pub(super) card: Vec<u8>,
}

/// Most pods of a world.
pub(super) const PODS_MAX: usize = 100;

/// The pods that there are; keys and cards are made once.
pub(super) fn identity(number: usize) -> &'static Identity {
    static IDENTITIES: OnceLock<Vec<Identity>> = OnceLock::new();
    &IDENTITIES.get_or_init(|| (0..PODS_MAX).map(make_identity).collect())[number]
}

fn make_identity(number: usize) -> Identity {
    let seed = u8::try_from(number + 1).expect("pods are few");
    let key = PodKey::from_seed(&[seed; 32]);
    let host = format!("localhost:{}", 9000 + number);
    let addresses = vec![format!("/memory/{}", number + 1)];
    let card = Card {
        name: host.clone(),
        version: "0".to_owned(),
        url: format!("http://{host}"),
        addresses: addresses.clone(),
    };
    let stamp = Stamp {
        epoch: Epoch {
            counter: 0,
            tag: [0; 8],
        },
        seq: 0,
    };
    let card = Draft::live(&key.id(), Record::Card(card)).expect("a card is sound");
    let card = card.sign(&key, stamp).expect("a card is sound").bytes().to_vec();
    Identity {
        key,
        host,
        addresses,
        card,
    }
}
