//! Runs between two catalogs, without a network.

use std::collections::BTreeMap;

use seedpod_protocol::envelope::{Draft, Epoch, Kind, RegisterKey, State, Verified};
use seedpod_protocol::ids::{ContentHash, ObjectId};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::Record;

use super::*;
use crate::catalog::state::Outcome;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn key(seed: u8) -> PodKey {
    PodKey::from_seed(&[seed; 32])
}

/// A pod without disk and network: a catalog and the envelopes of its heads.
struct Pod {
    id: PodId,
    catalog: Catalog,
    bodies: BTreeMap<(PodId, RegisterKey), Vec<u8>>,
    patience: Patience,
}

/// What a run cost.
#[derive(Debug, Default)]
struct Cost {
    requests: Vec<&'static str>,
    envelopes: usize,
}

impl Pod {
    fn new(seed: u8, friends: &[u8]) -> Self {
        let id = key(seed).id();
        let epoch = Epoch {
            counter: 100,
            tag: [seed; 8],
        };
        let mut catalog = Catalog::new(id, epoch);
        for friend in friends {
            catalog.admit(key(*friend).id());
        }
        Self {
            id,
            catalog,
            bodies: BTreeMap::new(),
            patience: Patience::default(),
        }
    }

    fn take(&mut self, record: &Verified<Record>) -> bool {
        let header = record.header();
        let applied = matches!(
            self.catalog.offer(header, record.hash(), NOW),
            Outcome::Applied(_)
        );
        if applied {
            self.bodies
                .insert((header.author, header.key()), record.bytes().to_vec());
        }
        applied
    }

    fn answer(&self, request: &Request) -> Response {
        // Over the wire, so that what no pod sends or takes is found.
        let request = Request::decode(&request.encode().expect("no pod refuses it")).expect("as it was sent");
        let answer = self.catalog.answer(&request).expect("a question for the catalog");
        let read = |author: &PodId, key: &RegisterKey| {
            Ok::<_, std::convert::Infallible>(self.bodies.get(&(*author, *key)).cloned())
        };
        let Ok(response) = answer.read(read);
        Response::decode(&response.encode().expect("no pod refuses it")).expect("as it was sent")
    }

    /// One run with a friend who answers by `answer`.
    fn run(
        &mut self,
        with: PodId,
        mut answer: impl FnMut(&Request) -> Response,
    ) -> (Result<CaughtUp, CatchUpError>, Cost) {
        let terms = Terms {
            me: self.id,
            look_back: None,
            may_dig: self.patience.may_dig(&with, NOW),
        };
        let mut cost = Cost::default();
        let (mut run, effects) = Run::start(terms);
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            let input = match effect {
                Effect::Ask(request) => {
                    cost.requests.push(request.name());
                    Input::Answer(answer(&request))
                }
                Effect::Take(envelopes) => {
                    cost.envelopes += envelopes.len();
                    let sound = envelopes
                        .into_iter()
                        .filter_map(|bytes| Envelope::decode(bytes).ok()?.open().ok());
                    let applied = sound.filter(|record| self.take(record)).count();
                    Input::Taken(applied)
                }
                Effect::End(result) => {
                    assert!(effects.is_empty(), "nothing is left to do at the end");
                    if let Ok(caught_up) = &result {
                        self.patience.ended(with, caught_up, NOW);
                    }
                    return (result, cost);
                }
            };
            effects.extend(run.heard(input, &self.catalog));
            assert!(effects.len() <= 2, "a run holds two pages at most");
        }
        panic!("a run stood still");
    }

    fn catch_up(&mut self, with: &Self) -> (CaughtUp, Cost) {
        let (result, cost) = self.run(with.id, |request| with.answer(request));
        (result.expect("an honest friend"), cost)
    }
}

fn record(author: u8, object: u16, state: State, counter: u32, seq: u64) -> Verified<Record> {
    let draft = Draft {
        kind: Kind(77),
        object: ObjectId::from_bytes(&object.to_be_bytes()).expect("two bytes"),
        state,
        payload: Record::Opaque(vec![1, 2, 3]),
    };
    let stamp = Stamp {
        epoch: Epoch { counter, tag: [1; 8] },
        seq,
    };
    draft.sign(&key(author), stamp).expect("within the limits")
}

#[test]
fn a_newcomer_takes_everything_from_anybody_in_pages() {
    let (mut newcomer, mut friend) = (Pod::new(1, &[2, 3]), Pod::new(2, &[1, 3]));
    for n in 0..2_500 {
        friend.take(&record(3, n, State::Live, 1, 1 + u64::from(n)));
    }
    friend.take(&record(2, 1, State::Removed, 1, 1));
    let (caught_up, cost) = newcomer.catch_up(&friend);
    assert_eq!((caught_up.applied, cost.envelopes), (2_501, 2_501));
    assert_eq!(cost.requests, ["roots", "pull", "pull", "pull"]);
    assert_eq!(newcomer.catalog.digest(), friend.catalog.digest());
    assert_eq!(newcomer.catch_up(&friend).1.requests, ["roots"]);
}

#[test]
fn what_is_new_is_pulled_and_nothing_else() {
    let (mut one, mut other) = (Pod::new(1, &[2, 3]), Pod::new(2, &[1, 3]));
    for n in 0..100 {
        let record = record(3, n, State::Live, 1, 1 + u64::from(n));
        one.take(&record);
        other.take(&record);
    }
    for n in 50..53 {
        other.take(&record(3, n, State::Withdrawn, 2, 1 + u64::from(n)));
    }
    let (caught_up, cost) = one.catch_up(&other);
    assert_eq!((caught_up.applied, cost.envelopes), (3, 3));
    assert_eq!(cost.requests, ["roots", "pull"]);
}

#[test]
fn a_no_that_is_shown_is_taken_before_the_run_ends() {
    let mut pod = Pod::new(1, &[2]);
    let no = record(2, 1, State::Withdrawn, 1, 1);
    let (result, cost) = pod.run(key(2).id(), |_| Response::Page {
        envelopes: vec![no.bytes().to_vec()],
        more: true,
    });
    assert!(matches!(result, Err(CatchUpError::Ended)));
    assert_eq!(cost.envelopes, 1);
    assert_eq!(pod.bodies.len(), 1);
}

fn roots_of(author: u8, records: u64) -> Response {
    Response::Roots(vec![
        AuthorRoot {
            author: key(author).id(),
            root: ContentHash::of(b"whatever"),
            records,
        };
        5
    ])
}

#[test]
fn whoever_lies_about_roots_is_asked_less_and_less() {
    let mut pod = Pod::new(1, &[2]);
    pod.take(&record(2, 1, State::Live, 1, 1));
    let (liar, mut now, mut dug) = (key(2).id(), NOW, 0);
    for _ in 0..1_000 {
        let may_dig = pod.patience.may_dig(&liar, now);
        dug += usize::from(may_dig);
        let in_vain = CaughtUp {
            dug: may_dig,
            ..CaughtUp::default()
        };
        pod.patience.ended(liar, &in_vain, now);
        now = now.saturating_add(Duration::from_secs(1));
    }
    assert!((8..12).contains(&dug), "{dug} in 1,000 s");
    let fruitful = CaughtUp {
        applied: 1,
        ..CaughtUp::default()
    };
    pod.patience.ended(liar, &fruitful, now);
    assert!(pod.patience.may_dig(&liar, now));
}

#[test]
fn pages_without_end_end() {
    let mut pod = Pod::new(1, &[2]);
    let first = record(2, 1, State::Live, 1, 1);
    let mut asked = 0;
    let (result, _) = pod.run(key(2).id(), |request| {
        asked += 1;
        match request {
            Request::Roots => roots_of(2, 1_000_000),
            _ => Response::Page {
                envelopes: vec![first.bytes().to_vec()],
                more: true,
            },
        }
    });
    assert_eq!(result.expect("no failure").applied, 1);
    assert!(asked <= 4, "a page that does not advance is the last: {asked}");

    let mut seq = 1;
    let (result, cost) = pod.run(key(2).id(), |request| match request {
        Request::Roots => roots_of(2, 1_000_000),
        _ => {
            seq += 1;
            Response::Page {
                envelopes: vec![record(2, 1, State::Live, 1, seq).bytes().to_vec()],
                more: true,
            }
        }
    });
    assert!(result.is_ok());
    assert_eq!(cost.requests.len(), MAX_REQUESTS);
}

#[test]
fn records_of_strangers_and_noise_change_nothing() {
    let mut pod = Pod::new(1, &[2]);
    let strange = record(9, 1, State::Live, 1, 1).bytes().to_vec();
    for bytes in [strange, vec![0xff; 100], Vec::new()] {
        let (_, cost) = pod.run(key(2).id(), |request| match request {
            Request::Roots => roots_of(2, 7),
            _ => Response::Page {
                envelopes: vec![bytes.clone()],
                more: true,
            },
        });
        assert!(cost.requests.len() <= 3, "{cost:?}");
        assert!(pod.bodies.is_empty());
    }
}

#[test]
fn an_answer_to_another_question_ends_the_run() {
    for answer in [Response::Told { applied: 1 }, Response::Friends(Vec::new())] {
        let mut pod = Pod::new(1, &[2]);
        let (result, cost) = pod.run(key(2).id(), |_| answer.clone());
        assert!(matches!(result, Err(CatchUpError::Broken(_))), "{result:?}");
        assert_eq!(cost.requests.len(), 1);
    }
}
