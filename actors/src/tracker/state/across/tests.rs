//! Trackers of friends, told as a story of pods and their viewers: what one asks, the other is handed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::limits;
use seedpod_protocol::relay::Session;
use seedpod_protocol::requests::Request;
use seedpod_protocol::tracker::{Announce, Answer, ClientMessage, Event, Offer, OfferId, PeerId};
use serde_json::value::RawValue;

use super::*;
use crate::tracker::messages::SocketId;
use crate::tracker::relay::RelayLimits;
use crate::tracker::state::TrackerConfig;
use crate::tracker::stats::Refusal as SocketRefusal;

const VIDEO: InfoHash = InfoHash::from_bytes([7; 20]);
const UNKNOWN: InfoHash = InfoHash::from_bytes([9; 20]);

/// What a viewer was told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Offer { from: u8, offer: u8 },
    Answer { from: u8, offer: u8 },
    Failure(String),
}

/// Pods that are friends of each other, on one clock.
struct Net {
    pods: Vec<Tracker>,
    now: Instant,
    wall: Timestamp,
    rng: StdRng,
    told: HashMap<(usize, SocketId), Vec<Told>>,
}

impl Net {
    fn new(pods: usize) -> Self {
        Self::with(pods, TrackerConfig::default())
    }

    fn with(pods: usize, config: TrackerConfig) -> Self {
        let pod = |_| {
            let mut tracker = Tracker::new(config.clone());
            tracker.admit([VIDEO]);
            tracker
        };
        Self {
            pods: (0..pods).map(pod).collect(),
            now: Instant::now(),
            wall: Timestamp::from_millis(1_790_000_000_000),
            rng: StdRng::seed_from_u64(1),
            told: HashMap::new(),
        }
    }

    fn wait(&mut self, secs: u64) {
        let span = Duration::from_secs(secs);
        self.now += span;
        self.wall = self.wall.saturating_add(span);
        for pod in 0..self.pods.len() {
            let effects = self.pods[pod].tick(self.now);
            self.run(pod, effects);
        }
    }

    /// Lets every pod say what it has to say, to all others.
    fn hint(&mut self) {
        for pod in 0..self.pods.len() {
            if let Some(hint) = self.pods[pod].hint(self.now, self.wall, &mut self.rng) {
                hint.validate().unwrap();
                for other in (0..self.pods.len()).filter(|other| *other != pod) {
                    self.hear(other, id(pod), &hint);
                }
            }
        }
    }

    fn hear(&mut self, pod: usize, friend: PodId, hint: &SwarmHint) -> HintOutcome {
        let (outcome, effects) = self.pods[pod].hinted(friend, hint, self.now, self.wall);
        self.run(pod, effects);
        outcome
    }

    fn viewer(&mut self, pod: usize, number: u8) -> SocketId {
        let address = format!("10.{pod}.0.{number}").parse().unwrap();
        self.pods[pod].connect(address, self.now).unwrap()
    }

    fn announce(&mut self, pod: usize, socket: SocketId, number: u8, left: u64, offers: &[u8]) {
        let offer = |offer: &u8| Offer {
            offer: description(*offer),
            offer_id: OfferId::from_bytes([*offer; 20]),
        };
        let announce = Announce {
            info_hash: VIDEO,
            peer_id: peer(number),
            event: Event::Update,
            left: Some(left),
            offers: offers.iter().map(offer).collect(),
        };
        self.say(pod, socket, ClientMessage::Announce(announce));
    }

    fn answer(&mut self, pod: usize, socket: SocketId, number: u8, to: u8, offer: u8) {
        let answer = Answer {
            info_hash: VIDEO,
            peer_id: peer(number),
            to_peer_id: peer(to),
            offer_id: OfferId::from_bytes([offer; 20]),
            answer: description(offer),
        };
        self.say(pod, socket, ClientMessage::Answer(answer));
    }

    fn say(&mut self, pod: usize, socket: SocketId, message: ClientMessage) {
        let effects = self.pods[pod].receive(socket, Ok(message), self.now, &mut self.rng);
        self.run(pod, effects);
    }

    /// Hands on what a pod wants done: a request arrives at once.
    fn run(&mut self, pod: usize, effects: Vec<Effect>) {
        self.pods[pod].check();
        for effect in effects {
            match effect {
                Effect::Ask { friend, request } => {
                    let other = (0..self.pods.len()).find(|other| id(*other) == friend);
                    let Some(other) = other else { continue };
                    if let Err(refusal) = self.request(other, id(pod), &request)
                        && let (RelayRefusal::Nobody, Request::RelayOffer(offer)) = (refusal, &request)
                    {
                        self.pods[pod].relay_failed(friend, &offer.info_hash, Refusal::Nobody);
                    }
                }
                Effect::Send { socket, message } => {
                    let told = match message {
                        ServerMessage::Offer {
                            peer_id, offer_id, ..
                        } => Told::Offer {
                            from: peer_id.as_bytes()[0],
                            offer: offer_id.as_bytes()[0],
                        },
                        ServerMessage::Answer {
                            peer_id, offer_id, ..
                        } => Told::Answer {
                            from: peer_id.as_bytes()[0],
                            offer: offer_id.as_bytes()[0],
                        },
                        ServerMessage::Failure { reason, .. } => Told::Failure(reason),
                        _ => continue,
                    };
                    self.told.entry((pod, socket)).or_default().push(told);
                }
                _ => {}
            }
        }
        self.pods[pod].check();
    }

    fn request(&mut self, pod: usize, from: PodId, request: &Request) -> Result<(), RelayRefusal> {
        let done = match request {
            Request::RelayOffer(offer) => self.pods[pod].offered(from, offer, self.now, &mut self.rng),
            Request::RelayAnswer(answer) => self.pods[pod].answered(from, answer, self.now),
            _ => unreachable!("a tracker asks nothing else"),
        };
        done.map(|effects| self.run(pod, effects))
    }

    fn told(&mut self, pod: usize, socket: SocketId) -> Vec<Told> {
        self.told.remove(&(pod, socket)).unwrap_or_default()
    }
}

fn id(pod: usize) -> PodId {
    PodKey::from_seed(&[u8::try_from(pod).unwrap() + 1; 32]).id()
}

fn peer(number: u8) -> PeerId {
    PeerId::from_bytes([number; 20])
}

fn description(number: u8) -> Box<RawValue> {
    RawValue::from_string(format!(r#"{{"sdp":"{number}"}}"#)).unwrap()
}

fn offer_of(number: u8, offer: u16) -> RelayedOffer {
    let mut offer_id = [0; 20];
    offer_id[..2].copy_from_slice(&offer.to_be_bytes());
    RelayedOffer {
        info_hash: VIDEO,
        peer_id: peer(number),
        offer_id: OfferId::from_bytes(offer_id),
        seeder: false,
        offer: Session::try_from(r#"{"sdp":""}"#.to_owned()).unwrap(),
    }
}

fn hint_of(at: Timestamp, hashes: impl IntoIterator<Item = InfoHash>) -> SwarmHint {
    let swarms = hashes
        .into_iter()
        .filter_map(|info_hash| HintedSwarm::of(info_hash, 1, 1));
    SwarmHint {
        at,
        ttl: 60,
        swarms: swarms.collect(),
    }
}

#[test]
fn viewers_of_two_pods_are_brought_together() {
    let mut net = Net::new(2);
    let a = net.viewer(0, 1);
    net.announce(0, a, 1, 0, &[]);
    net.hint();
    let b = net.viewer(1, 2);
    net.announce(1, b, 2, 5, &[21, 22]);
    let offers = net.told(0, a);
    let [Told::Offer { from: 2, offer }] = offers[..] else {
        panic!("one peer there is worth one offer: {offers:?}");
    };
    net.answer(0, a, 1, 2, offer);
    assert_eq!(net.told(1, b), [Told::Answer { from: 1, offer }]);
    net.answer(0, a, 1, 2, offer);
    let refused = Told::Failure(SocketRefusal::NoSuchOffer.text().to_owned());
    assert_eq!(net.told(0, a), [refused], "once");
    let totals = net.pods[1].stats().relay.totals;
    assert_eq!((totals.offers_out, totals.answers_in), (1, 1));
}

#[test]
fn two_who_come_before_they_were_heard_of_meet_when_they_are() {
    let mut net = Net::new(2);
    // Each pod has said something before, or it would not know that it has friends.
    for pod in 0..2 {
        let hint = hint_of(net.wall, [UNKNOWN]);
        net.hear(1 - pod, id(pod), &hint);
    }
    net.wait(1);
    let a = net.viewer(0, 1);
    net.announce(0, a, 1, 5, &[11, 12, 13]);
    let b = net.viewer(1, 2);
    net.announce(1, b, 2, 5, &[21, 22, 23]);
    assert_eq!((net.told(0, a), net.told(1, b)), (vec![], vec![]));
    assert_eq!(net.pods[0].stats().relay.held, 1);
    net.hint();
    let both = [net.told(0, a), net.told(1, b)].concat();
    assert!(!both.is_empty(), "one of them hears of the other");

    net.wait(41);
    assert_eq!(
        net.pods[0].stats().relay.held,
        0,
        "clients have given up what waited"
    );
}

#[test]
fn seeders_are_not_offered_to_seeders_and_nobody_to_oneself() {
    let mut net = Net::new(2);
    let a = net.viewer(0, 1);
    net.announce(0, a, 1, 0, &[]);
    net.hint();
    let b = net.viewer(1, 2);
    net.announce(1, b, 2, 0, &[21]);
    assert_eq!(net.told(0, a), []);
    // The same browser at both pods.
    let again = net.viewer(1, 1);
    net.announce(1, again, 1, 5, &[31]);
    assert!(
        !net.told(0, a)
            .iter()
            .any(|told| matches!(told, Told::Offer { from: 1, .. }))
    );
}

#[test]
fn viewers_here_come_first_and_one_offer_of_several_still_goes_abroad() {
    let mut net = Net::new(2);
    let a = net.viewer(0, 1);
    net.announce(0, a, 1, 5, &[]);
    net.hint();
    let here: Vec<SocketId> = (2..10).map(|number| net.viewer(1, number)).collect();
    for (socket, number) in here.iter().zip(2..) {
        net.announce(1, *socket, number, 5, &[]);
    }
    let b = net.viewer(1, 20);
    net.announce(1, b, 20, 5, &[1, 2, 3, 4, 5]);
    let told_here = here
        .iter()
        .filter(|socket| !net.told(1, **socket).is_empty())
        .count();
    assert_eq!((told_here, net.told(0, a).len()), (4, 1));
}

#[test]
fn a_hint_is_believed_for_its_time_and_replaced_by_a_newer_one() {
    let mut net = Net::new(2);
    let at = net.wall;
    let hint = hint_of(at, [VIDEO, UNKNOWN]);
    assert_eq!(net.hear(1, id(0), &hint), HintOutcome::Taken);
    assert_eq!(
        net.pods[1].stats().relay.hinted,
        1,
        "what is not in the catalog is passed over"
    );
    assert_eq!(net.hear(1, id(0), &hint), HintOutcome::Stale);
    net.wait(59);
    assert_eq!(net.pods[1].stats().relay.hinted, 1);
    net.wait(1);
    assert_eq!(net.pods[1].stats().relay.hinted, 0);
    assert_eq!(
        net.hear(1, id(0), &hint),
        HintOutcome::Stale,
        "nobody brings it back"
    );

    let later = hint_of(net.wall, [VIDEO]);
    assert_eq!(net.hear(1, id(0), &later), HintOutcome::Taken);
    let none = hint_of(net.wall.saturating_add(Duration::from_millis(1)), []);
    assert_eq!(net.hear(1, id(0), &none), HintOutcome::Taken);
    assert_eq!(net.pods[1].stats().relay.hinted, 0);

    for (at, outcome) in [
        (
            net.wall.saturating_add(Duration::from_secs(121)),
            HintOutcome::OutOfTime,
        ),
        (at, HintOutcome::Stale),
    ] {
        assert_eq!(net.hear(1, id(0), &hint_of(at, [VIDEO])), outcome);
    }
    net.wait(1000);
    assert_eq!(net.hear(1, id(1), &hint), HintOutcome::OutOfTime);
}

#[test]
fn hints_fill_no_more_memory_than_they_may() {
    let relay = RelayLimits {
        hinted: 1500,
        ..RelayLimits::default()
    };
    let mut net = Net::with(
        1,
        TrackerConfig {
            relay,
            ..TrackerConfig::default()
        },
    );
    let hashes: Vec<InfoHash> = (0..limits::HINT_SWARMS_MAX)
        .map(|number| {
            let mut hash = [0; 20];
            hash[..8].copy_from_slice(&(number as u64).to_be_bytes());
            InfoHash::from_bytes(hash)
        })
        .collect();
    net.pods[0].admit(hashes.clone());
    for friend in 1..4 {
        let hint = hint_of(net.wall, hashes.clone());
        assert_eq!(net.hear(0, id(friend), &hint), HintOutcome::Taken);
    }
    assert_eq!(net.pods[0].stats().relay.hinted, 1500);
    net.pods[0].forget_friend(&id(1));
    assert_eq!(net.pods[0].stats().relay.hinted, 1500 - 1024);
    net.pods[0].withdraw(hashes);
    assert_eq!(net.pods[0].stats().relay.hinted, 0);
    net.pods[0].check();
}

#[test]
fn it_is_said_what_changed_soon_and_what_did_not_before_it_is_forgotten() {
    let mut net = Net::new(1);
    let say = |net: &mut Net| {
        net.pods[0]
            .hint(net.now, net.wall, &mut net.rng)
            .map(|hint| hint.swarms.len())
    };
    assert_eq!(say(&mut net), None, "nothing to say");
    let a = net.viewer(0, 1);
    net.announce(0, a, 1, 5, &[]);
    assert_eq!(say(&mut net), Some(1));
    net.wait(1);
    net.pods[0].disconnect(a);
    assert_eq!(say(&mut net), None, "not at once again");
    net.wait(1);
    assert_eq!(say(&mut net), Some(0), "that nobody is left is said");
    let b = net.viewer(0, 2);
    net.announce(0, b, 2, 5, &[]);
    net.wait(2);
    assert_eq!(say(&mut net), Some(1));
    net.wait(29);
    assert_eq!(say(&mut net), None);
    net.wait(1);
    assert_eq!(say(&mut net), Some(1), "so that nobody forgets it");
}

#[test]
fn a_friend_that_has_nobody_is_not_asked_again() {
    let mut net = Net::new(2);
    let hint = hint_of(net.wall, [VIDEO]);
    net.hear(1, id(0), &hint);
    let b = net.viewer(1, 2);
    net.announce(1, b, 2, 5, &[21]);
    assert_eq!(
        net.pods[0].stats().relay.totals.refused[RelayRefusal::Nobody as usize],
        1
    );
    assert_eq!(net.pods[1].stats().relay.hinted, 0);
    net.announce(1, b, 2, 5, &[22]);
    assert_eq!(net.pods[1].stats().relay.totals.offers_out, 1);
}

#[test]
fn no_answer_goes_to_a_pod_that_is_no_friend_any_more() {
    let mut net = Net::new(2);
    let a = net.viewer(0, 1);
    net.announce(0, a, 1, 5, &[]);
    net.hint();
    let b = net.viewer(1, 2);
    net.announce(1, b, 2, 5, &[21]);
    assert_eq!(net.told(0, a).len(), 1);
    net.pods[0].forget_friend(&id(1));
    net.pods[0].check();
    net.answer(0, a, 1, 2, 21);
    let refused = Told::Failure(SocketRefusal::NoSuchOffer.text().to_owned());
    assert_eq!(net.told(0, a), [refused]);
    assert_eq!(net.told(1, b), []);
}

#[test]
fn an_answer_counts_only_from_whom_the_offer_was_sent_to() {
    let mut net = Net::new(3);
    let a = net.viewer(0, 1);
    net.announce(0, a, 1, 5, &[]);
    net.hint();
    let b = net.viewer(1, 2);
    net.announce(1, b, 2, 5, &[21]);
    assert_eq!(net.told(0, a).len(), 1);
    let mut answer = RelayedAnswer {
        info_hash: VIDEO,
        peer_id: peer(3),
        to_peer_id: peer(2),
        offer_id: OfferId::from_bytes([21; 20]),
        answer: Session::try_from("{}".to_owned()).unwrap(),
    };
    // Pod 3 was sent nothing; and pod 1 nothing of this name.
    for (from, offer) in [(2, 21), (0, 22)] {
        answer.offer_id = OfferId::from_bytes([offer; 20]);
        let refused = net.request(1, id(from), &Request::RelayAnswer(answer.clone()));
        assert_eq!(refused, Err(RelayRefusal::NoSuchOffer));
    }
    assert_eq!(net.told(1, b), []);
    // Another socket of pod 1 was shown nothing.
    let c = net.viewer(0, 3);
    net.announce(0, c, 3, 5, &[]);
    net.answer(0, c, 3, 2, 21);
    assert_eq!(net.told(1, b), []);
    // Too late is too late.
    net.wait(60);
    net.answer(0, a, 1, 2, 21);
    assert_eq!(net.told(1, b), []);
}

#[test]
fn a_flood_of_one_friend_is_cut_and_does_not_reach_one_viewer_alone() {
    let relay = RelayLimits {
        offers_of_friend: 100,
        ..RelayLimits::default()
    };
    let mut net = Net::with(
        1,
        TrackerConfig {
            relay,
            ..TrackerConfig::default()
        },
    );
    let flood = |net: &mut Net, friend: usize, from: u16| {
        let mut outcomes = HashMap::new();
        for offer in from..from + 1000 {
            let outcome = net.request(0, id(friend), &Request::RelayOffer(offer_of(99, offer)));
            *outcomes.entry(outcome).or_insert(0) += 1;
        }
        outcomes
    };
    let a = net.viewer(0, 1);
    net.announce(0, a, 1, 5, &[]);
    let outcomes = flood(&mut net, 5, 0);
    assert_eq!(
        outcomes[&Ok(())],
        16,
        "so many unanswered offers of others has one"
    );
    assert_eq!(outcomes[&Err(RelayRefusal::ViewersBusy)], 984);
    assert_eq!(net.told(0, a).len(), 16);

    let others: Vec<SocketId> = (2..40).map(|number| net.viewer(0, number)).collect();
    for (socket, number) in others.iter().zip(2..) {
        net.announce(0, *socket, number, 5, &[]);
    }
    let outcomes = flood(&mut net, 5, 2000);
    assert_eq!(outcomes[&Ok(())], 84);
    assert_eq!(outcomes[&Err(RelayRefusal::FriendTooMany)], 916);
    // Another friend's offers find their way.
    assert_eq!(
        net.request(0, id(6), &Request::RelayOffer(offer_of(98, 1))),
        Ok(())
    );
    assert_eq!(
        net.request(0, id(6), &Request::RelayOffer(offer_of(98, 1))),
        Err(RelayRefusal::Twice)
    );
    // Answering makes room at the viewer, not in what the friend may.
    net.wait(60);
    assert_eq!(net.pods[0].stats().relay.waiting, 0);
    assert_eq!(flood(&mut net, 5, 4000)[&Ok(())], 100);
}

#[test]
fn offers_for_torrents_that_are_not_served_are_refused() {
    let mut net = Net::with(
        1,
        TrackerConfig {
            open: true,
            ..TrackerConfig::default()
        },
    );
    let a = net.viewer(0, 1);
    let announce = Announce {
        info_hash: UNKNOWN,
        peer_id: peer(1),
        event: Event::Started,
        left: None,
        offers: Vec::new(),
    };
    net.say(0, a, ClientMessage::Announce(announce));
    let offer = RelayedOffer {
        info_hash: UNKNOWN,
        ..offer_of(2, 1)
    };
    assert_eq!(
        net.request(0, id(1), &Request::RelayOffer(offer)),
        Err(RelayRefusal::Nobody)
    );
    assert_eq!(
        net.pods[0].hint(net.now, net.wall, &mut net.rng),
        None,
        "nor are they told of"
    );
}

proptest! {
    /// Viewers of four pods come, go, offer and answer at random, and friends flood: no part breaks its bounds, and all of it ends.
    #[test]
    fn whatever_happens_it_is_bounded_and_over_in_the_end(seed: u64, steps in prop::collection::vec((0_u8..9, 0_usize..4, 0_u8..12), 0..200)) {
        let relay = RelayLimits { offers: 60, offers_of_friend: 25, offers_of_socket: 3, held_bytes: 100, ..RelayLimits::default() };
        let mut net = Net::with(4, TrackerConfig { relay, ..TrackerConfig::default() });
        net.rng = StdRng::seed_from_u64(seed);
        let mut viewers: HashMap<(usize, u8), SocketId> = HashMap::new();
        let mut given: Vec<(usize, u8, u8, u8)> = Vec::new();
        for (what, pod, number) in steps {
            let viewer = viewers.get(&(pod, number)).copied();
            match (what, viewer) {
                (0..=4, Some(socket)) => net.announce(pod, socket, number, u64::from(what), &[number, number + 20, number + 40]),
                (0..=4, None) => {
                    let socket = net.viewer(pod, number);
                    viewers.insert((pod, number), socket);
                    net.announce(pod, socket, number, 1, &[number + 60]);
                }
                (5, Some(socket)) => {
                    net.pods[pod].disconnect(socket);
                    viewers.remove(&(pod, number));
                }
                (6, _) => {
                    net.wait(u64::from(number) * 3);
                    net.hint();
                }
                (7, _) => {
                    for offer in 0..u16::from(number) {
                        let _ = net.request(pod, id((pod + 1) % 4), &Request::RelayOffer(offer_of(200, offer + u16::from(what) * 100)));
                    }
                }
                _ => {
                    for (pod, viewer, to, offer) in std::mem::take(&mut given) {
                        if let Some(socket) = viewers.get(&(pod, viewer)).copied() {
                            net.answer(pod, socket, viewer, to, offer);
                        }
                    }
                }
            }
            for ((pod, viewer), socket) in &viewers {
                for told in net.told.remove(&(*pod, *socket)).unwrap_or_default() {
                    if let Told::Offer { from, offer } = told {
                        prop_assert_ne!(from, *viewer, "nobody is offered to themselves");
                        given.push((*pod, *viewer, from, offer));
                    }
                }
            }
        }
        net.wait(601);
        for pod in &net.pods {
            let stats = pod.stats().relay;
            prop_assert_eq!((stats.hinted, stats.waiting, stats.held), (0, 0, 0));
        }
    }
}
