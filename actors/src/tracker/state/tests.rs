//! Every rule of the tracker, told as a story of sockets A, B, C….

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use seedpod_protocol::tracker::{OfferId, SwarmCounts};
use serde_json::value::RawValue;

use super::*;

const VIDEO: InfoHash = InfoHash::from_bytes([7; 20]);
const OTHER_VIDEO: InfoHash = InfoHash::from_bytes([8; 20]);

/// A tracker with a clock and a die of its own that is checked after every step.
struct World {
    tracker: Tracker,
    now: Instant,
    rng: StdRng,
}

impl World {
    fn new(config: TrackerConfig) -> Self {
        let mut tracker = Tracker::new(config);
        tracker.admit([VIDEO, OTHER_VIDEO]);
        Self {
            tracker,
            now: Instant::now(),
            rng: StdRng::seed_from_u64(1),
        }
    }

    fn usual() -> Self {
        Self::new(TrackerConfig::default())
    }

    fn connect_from(&mut self, address: &str) -> Result<SocketId, TooMany> {
        let socket = self.tracker.connect(address.parse().unwrap(), self.now);
        self.tracker.check();
        socket
    }

    /// Connects a socket with an address of its own and lets it announce as the peer `number`.
    fn peer(&mut self, number: u8, left: Option<u64>) -> SocketId {
        let socket = self.connect_from(&format!("10.0.0.{number}")).unwrap();
        self.say(
            socket,
            Said {
                left,
                ..announce(number)
            },
        );
        socket
    }

    fn leecher(&mut self, number: u8) -> SocketId {
        self.peer(number, Some(5))
    }

    fn seeder(&mut self, number: u8) -> SocketId {
        self.peer(number, Some(0))
    }

    fn receive(&mut self, from: SocketId, message: ClientMessage) -> Vec<Told> {
        let effects = self.tracker.receive(from, Ok(message), self.now, &mut self.rng);
        self.tracker.check();
        effects.into_iter().map(Told::from).collect()
    }

    fn say(&mut self, from: SocketId, said: Said) -> Vec<Told> {
        self.receive(from, said.into())
    }

    fn answer(&mut self, from: SocketId, speaker: u8, to: u8, offer: u8) -> Vec<Told> {
        let answer = Answer {
            info_hash: VIDEO,
            peer_id: peer(speaker),
            to_peer_id: peer(to),
            offer_id: OfferId::from_bytes([offer; 20]),
            answer: description(offer),
        };
        self.receive(from, ClientMessage::Answer(answer))
    }

    fn wait(&mut self, secs: u64) -> Vec<Told> {
        self.now += Duration::from_secs(secs);
        let effects = self.tracker.tick(self.now);
        self.tracker.check();
        effects.into_iter().map(Told::from).collect()
    }

    fn size(&self) -> (u32, u32) {
        let size = self.tracker.size(&VIDEO);
        (size.seeders, size.leechers)
    }

    fn refused(&self, refusal: Refusal) -> u64 {
        self.tracker.stats().totals.refused[refusal as usize]
    }
}

/// An announce, with what matters made visible.
#[derive(Clone)]
struct Said {
    video: InfoHash,
    number: u8,
    event: Event,
    left: Option<u64>,
    offers: Vec<u8>,
}

fn announce(number: u8) -> Said {
    Said {
        video: VIDEO,
        number,
        event: Event::Update,
        left: None,
        offers: Vec::new(),
    }
}

impl From<Said> for ClientMessage {
    fn from(said: Said) -> Self {
        let offer = |id: u8| Offer {
            offer: description(id),
            offer_id: OfferId::from_bytes([id; 20]),
        };
        Self::Announce(Announce {
            info_hash: said.video,
            peer_id: peer(said.number),
            event: said.event,
            left: said.left,
            offers: said.offers.into_iter().map(offer).collect(),
        })
    }
}

fn peer(number: u8) -> PeerId {
    PeerId::from_bytes([number; 20])
}

fn description(number: u8) -> Box<RawValue> {
    RawValue::from_string(format!(r#"{{ "sdp": "{number}" }}"#)).unwrap()
}

/// An effect, comparable.
#[derive(Debug, PartialEq, Clone)]
enum Told {
    Reply {
        to: SocketId,
        complete: u32,
        incomplete: u32,
    },
    Offer {
        to: SocketId,
        from: PeerId,
        id: u8,
        text: String,
    },
    Answer {
        to: SocketId,
        from: PeerId,
        id: u8,
        text: String,
    },
    Files {
        to: SocketId,
        files: Vec<(InfoHash, SwarmCounts)>,
    },
    Failure {
        to: SocketId,
        action: Action,
        about: Option<InfoHash>,
        reason: String,
    },
    Closed(SocketId),
}

impl From<Effect> for Told {
    fn from(effect: Effect) -> Self {
        let (to, message) = match effect {
            Effect::Close { socket } => return Self::Closed(socket),
            Effect::Send { socket, message } => (socket, message),
        };
        match message {
            ServerMessage::AnnounceReply {
                interval,
                complete,
                incomplete,
                ..
            } => {
                assert_eq!(interval, 120);
                Self::Reply {
                    to,
                    complete,
                    incomplete,
                }
            }
            ServerMessage::Offer {
                peer_id,
                offer_id,
                offer,
                ..
            } => Self::Offer {
                to,
                from: peer_id,
                id: offer_id.as_bytes()[0],
                text: offer.get().into(),
            },
            ServerMessage::Answer {
                peer_id,
                offer_id,
                answer,
                ..
            } => Self::Answer {
                to,
                from: peer_id,
                id: offer_id.as_bytes()[0],
                text: answer.get().into(),
            },
            ServerMessage::ScrapeReply { files, .. } => Self::Files { to, files },
            ServerMessage::Failure {
                action,
                info_hash,
                reason,
            } => Self::Failure {
                to,
                action,
                about: info_hash,
                reason,
            },
        }
    }
}

fn offers(told: &[Told]) -> Vec<(SocketId, u8)> {
    told.iter()
        .filter_map(|told| match told {
            Told::Offer { to, id, .. } => Some((*to, *id)),
            _ => None,
        })
        .collect()
}

fn failure(to: SocketId, refusal: Refusal) -> Vec<Told> {
    let reason = refusal.text().into();
    vec![Told::Failure {
        to,
        action: Action::Announce,
        about: Some(VIDEO),
        reason,
    }]
}

#[test]
fn left_zero_or_completed_makes_a_seeder() {
    let mut world = World::usual();
    let a = world.peer(1, None);
    let _b = world.peer(2, Some(9));
    let _c = world.peer(3, Some(0));
    assert_eq!(world.size(), (1, 2));
    let told = world.say(
        a,
        Said {
            event: Event::Completed,
            ..announce(1)
        },
    );
    assert_eq!(
        told,
        [Told::Reply {
            to: a,
            complete: 2,
            incomplete: 1
        }]
    );
    let told = world.say(
        a,
        Said {
            left: Some(3),
            ..announce(1)
        },
    );
    assert_eq!(
        told,
        [Told::Reply {
            to: a,
            complete: 1,
            incomplete: 2
        }]
    );
    assert_eq!(world.tracker.stats().totals.announces, 5);
}

#[test]
fn the_reply_goes_out_before_the_relays() {
    let mut world = World::usual();
    let b = world.leecher(2);
    let a = world.leecher(1);
    let told = world.say(
        a,
        Said {
            offers: vec![1],
            ..announce(1)
        },
    );
    let text = r#"{ "sdp": "1" }"#.to_owned();
    assert_eq!(
        told,
        [
            Told::Reply {
                to: a,
                complete: 0,
                incomplete: 2
            },
            Told::Offer {
                to: b,
                from: peer(1),
                id: 1,
                text
            }
        ]
    );
}

#[test]
fn each_offer_goes_to_another_peer_and_the_rest_is_dropped() {
    let mut world = World::usual();
    let a = world.leecher(1);
    let others: HashSet<_> = (2..5).map(|number| world.leecher(number)).collect();
    let offered = offers(&world.say(
        a,
        Said {
            offers: vec![10, 11, 12, 13, 14],
            ..announce(1)
        },
    ));
    assert_eq!(
        offered.iter().map(|(_, id)| *id).collect::<Vec<_>>(),
        [10, 11, 12]
    );
    assert_eq!(
        offered.into_iter().map(|(to, _)| to).collect::<HashSet<_>>(),
        others
    );
    assert_eq!(world.tracker.stats().totals.offers_relayed, 3);
}

#[test]
fn seeders_offer_to_leechers_only() {
    let mut world = World::usual();
    let a = world.seeder(1);
    let b = world.seeder(2);
    let c = world.leecher(3);
    let said = Said {
        left: Some(0),
        offers: vec![10, 11, 12],
        ..announce(1)
    };
    assert_eq!(offers(&world.say(a, said)), [(c, 10)]);
    let to_anyone: HashSet<_> = offers(&world.say(
        c,
        Said {
            offers: vec![20, 21],
            ..announce(3)
        },
    ))
    .into_iter()
    .map(|(to, _)| to)
    .collect();
    assert_eq!(to_anyone, HashSet::from([a, b]));
}

#[test]
fn offers_stay_within_their_torrent() {
    let mut world = World::usual();
    let a = world.leecher(1);
    let b = world.connect_from("10.0.0.2").unwrap();
    world.say(
        b,
        Said {
            video: OTHER_VIDEO,
            ..announce(2)
        },
    );
    assert_eq!(
        offers(&world.say(
            a,
            Said {
                offers: vec![1],
                ..announce(1)
            }
        )),
        []
    );
}

#[test]
fn an_answer_reaches_the_maker_of_the_offer_once() {
    let mut world = World::usual();
    let b = world.leecher(2);
    let a = world.leecher(1);
    world.say(
        a,
        Said {
            offers: vec![1],
            ..announce(1)
        },
    );
    let told = world.answer(b, 2, 1, 1);
    assert_eq!(
        told,
        [Told::Answer {
            to: a,
            from: peer(2),
            id: 1,
            text: r#"{ "sdp": "1" }"#.into()
        }]
    );
    assert_eq!(world.answer(b, 2, 1, 1), failure(b, Refusal::NoSuchOffer));
    assert_eq!(world.tracker.stats().totals.answers_relayed, 1);
}

#[test]
fn answers_nobody_asked_for_are_refused() {
    let mut world = World::usual();
    let b = world.leecher(2);
    let a = world.leecher(1);
    world.say(
        a,
        Said {
            offers: vec![1],
            ..announce(1)
        },
    );
    let c = world.leecher(3);
    assert_eq!(
        world.answer(c, 3, 1, 1),
        failure(c, Refusal::NoSuchOffer),
        "the offer went to somebody else"
    );
    assert_eq!(
        world.answer(b, 2, 1, 9),
        failure(b, Refusal::NoSuchOffer),
        "there is no such offer"
    );
    assert_eq!(
        world.answer(b, 2, 9, 1),
        failure(b, Refusal::NoSuchOffer),
        "there is no such peer"
    );
    assert_eq!(
        world.answer(c, 2, 1, 1),
        failure(c, Refusal::NotTakingPart),
        "the peer id is another's"
    );
    let d = world.connect_from("10.0.0.9").unwrap();
    assert_eq!(
        world.answer(d, 4, 1, 1),
        failure(d, Refusal::NotTakingPart),
        "it never announced"
    );
    assert_eq!(world.refused(Refusal::NoSuchOffer), 3);
    assert_eq!(world.refused(Refusal::NotTakingPart), 2);
    assert!(
        matches!(world.answer(b, 2, 1, 1)[..], [Told::Answer { .. }]),
        "the right answer still arrives"
    );
}

#[test]
fn offers_are_forgotten_after_their_lifetime() {
    let mut world = World::usual();
    let b = world.leecher(2);
    let a = world.leecher(1);
    world.say(
        a,
        Said {
            offers: vec![1],
            ..announce(1)
        },
    );
    world.wait(59);
    world.say(
        a,
        Said {
            offers: vec![2],
            ..announce(1)
        },
    );
    world.now += Duration::from_secs(1);
    assert_eq!(world.answer(b, 2, 1, 1), failure(b, Refusal::NoSuchOffer));
    assert!(matches!(world.answer(b, 2, 1, 2)[..], [Told::Answer { .. }]));
}

#[test]
fn an_answer_for_somebody_who_left_is_refused() {
    let mut world = World::usual();
    let b = world.leecher(2);
    let a = world.leecher(1);
    world.say(
        a,
        Said {
            offers: vec![1],
            ..announce(1)
        },
    );
    world.tracker.disconnect(a);
    assert_eq!(world.answer(b, 2, 1, 1), failure(b, Refusal::NoSuchOffer));
}

#[test]
fn unanswered_offers_are_capped_per_peer() {
    let mut world = World::new(TrackerConfig {
        max_waiting_offers: 3,
        ..TrackerConfig::default()
    });
    let b = world.leecher(2);
    let a = world.leecher(1);
    for id in 1..=5 {
        let told = world.say(
            a,
            Said {
                offers: vec![id],
                ..announce(1)
            },
        );
        assert_eq!(offers(&told).len(), usize::from(id <= 3), "offer {id}");
    }
    assert_eq!(world.tracker.stats().totals.offers_held_back, 2);
    world.answer(b, 2, 1, 2);
    assert_eq!(
        offers(&world.say(
            a,
            Said {
                offers: vec![6],
                ..announce(1)
            }
        )),
        [(b, 6)],
        "an answer makes room"
    );
    world.wait(60);
    assert_eq!(
        offers(&world.say(
            a,
            Said {
                offers: vec![7],
                ..announce(1)
            }
        )),
        [(b, 7)],
        "so does time"
    );
}

#[test]
fn a_stopped_peer_is_gone_and_gets_a_reply() {
    let mut world = World::usual();
    let a = world.leecher(1);
    let b = world.leecher(2);
    let stop = Said {
        event: Event::Stopped,
        offers: vec![1],
        ..announce(1)
    };
    assert_eq!(
        world.say(a, stop.clone()),
        [Told::Reply {
            to: a,
            complete: 0,
            incomplete: 1
        }]
    );
    assert_eq!(
        world.say(a, stop),
        [Told::Reply {
            to: a,
            complete: 0,
            incomplete: 1
        }],
        "twice does no harm"
    );
    world.say(
        b,
        Said {
            event: Event::Stopped,
            ..announce(9)
        },
    );
    assert_eq!(world.size(), (0, 1), "nobody stops a peer they are not");
}

#[test]
fn a_closed_socket_takes_its_peers_along_at_once() {
    let mut world = World::usual();
    let a = world.leecher(1);
    world.say(
        a,
        Said {
            video: OTHER_VIDEO,
            ..announce(1)
        },
    );
    let b = world.leecher(2);
    world.tracker.disconnect(a);
    world.tracker.check();
    assert_eq!(world.tracker.stats().peers, 1);
    assert_eq!(
        offers(&world.say(
            b,
            Said {
                offers: vec![1],
                ..announce(2)
            }
        )),
        []
    );
    assert_eq!(
        world.say(a, announce(1)),
        [],
        "what a closed socket said last is ignored"
    );
    world.tracker.disconnect(a);
}

#[test]
fn a_peer_id_in_use_is_refused_from_another_address() {
    let mut world = World::usual();
    let a = world.leecher(1);
    let thief = world.connect_from("10.0.0.66").unwrap();
    assert_eq!(
        world.say(thief, announce(1)),
        failure(thief, Refusal::PeerIdTaken)
    );
    assert_eq!(world.size(), (0, 1));
    assert_eq!(world.refused(Refusal::PeerIdTaken), 1);
    let told = world.say(
        thief,
        Said {
            video: OTHER_VIDEO,
            ..announce(1)
        },
    );
    assert!(
        matches!(told[..], [Told::Reply { .. }]),
        "peer ids count within one torrent"
    );
    world.tracker.disconnect(a);
    assert!(
        matches!(world.say(thief, announce(1))[..], [Told::Reply { .. }]),
        "a free id is free"
    );
}

#[test]
fn a_client_that_reconnects_takes_its_peer_id_over() {
    let mut world = World::usual();
    let broken = world.leecher(1);
    let again = world.connect_from("10.0.0.1").unwrap();
    let b = world.leecher(2);
    assert_eq!(
        world.say(again, announce(1)),
        [Told::Reply {
            to: again,
            complete: 0,
            incomplete: 2
        }]
    );
    world.tracker.disconnect(broken);
    world.tracker.check();
    assert_eq!(
        offers(&world.say(
            b,
            Said {
                offers: vec![1],
                ..announce(2)
            }
        )),
        [(again, 1)]
    );
}

#[test]
fn a_socket_is_one_peer_of_a_torrent() {
    let mut world = World::usual();
    let a = world.leecher(1);
    assert_eq!(
        world.say(a, announce(9)),
        [Told::Reply {
            to: a,
            complete: 0,
            incomplete: 1
        }]
    );
    assert_eq!(world.answer(a, 1, 9, 1), failure(a, Refusal::NotTakingPart));
    let _b = world
        .connect_from("10.0.0.2")
        .map(|b| world.say(b, announce(1)))
        .unwrap();
    assert_eq!(world.size(), (0, 2), "the former id is free again");
}

#[test]
fn torrents_nobody_admitted_are_refused_unless_the_tracker_is_open() {
    let unknown = InfoHash::from_bytes([99; 20]);
    let said = Said {
        video: unknown,
        ..announce(1)
    };
    let mut world = World::usual();
    let a = world.connect_from("10.0.0.1").unwrap();
    let about = Some(unknown);
    let reason = Refusal::NotAdmitted.text().into();
    assert_eq!(
        world.say(a, said.clone()),
        [Told::Failure {
            to: a,
            action: Action::Announce,
            about,
            reason
        }]
    );
    let mut open = World::new(TrackerConfig {
        open: true,
        ..TrackerConfig::default()
    });
    let a = open.connect_from("10.0.0.1").unwrap();
    assert_eq!(
        open.say(a, said),
        [Told::Reply {
            to: a,
            complete: 0,
            incomplete: 1
        }]
    );
    open.say(
        a,
        Said {
            video: unknown,
            event: Event::Completed,
            ..announce(1)
        },
    );
    open.tracker.disconnect(a);
    open.tracker.check();
    assert_eq!(
        open.tracker.stats().swarms,
        0,
        "strangers' torrents leave nothing behind"
    );
}

#[test]
fn withdrawn_torrents_lose_their_swarms() {
    let mut world = World::usual();
    let a = world.leecher(1);
    world.say(
        a,
        Said {
            video: OTHER_VIDEO,
            ..announce(1)
        },
    );
    world.tracker.withdraw([VIDEO]);
    world.tracker.check();
    assert_eq!((world.size(), world.tracker.stats().peers), ((0, 0), 1));
    assert_eq!(world.say(a, announce(1)), failure(a, Refusal::NotAdmitted));
    assert_eq!(world.answer(a, 1, 2, 1), failure(a, Refusal::NotTakingPart));
    world.tracker.admit([VIDEO]);
    assert!(matches!(world.say(a, announce(1))[..], [Told::Reply { .. }]));
}

#[test]
fn a_scrape_has_an_entry_for_every_hash() {
    let mut world = World::usual();
    let a = world.leecher(1);
    let _b = world.seeder(2);
    world.say(
        a,
        Said {
            event: Event::Completed,
            ..announce(1)
        },
    );
    let _c = world.leecher(3);
    let unknown = InfoHash::from_bytes([99; 20]);
    let scrape = ClientMessage::Scrape(Scrape {
        info_hashes: vec![unknown, VIDEO, unknown],
    });
    let counts = SwarmCounts {
        complete: 2,
        incomplete: 1,
        downloaded: 1,
    };
    let files = vec![(VIDEO, counts), (unknown, SwarmCounts::default())];
    assert_eq!(world.receive(a, scrape), [Told::Files { to: a, files }]);
}

#[test]
fn what_cannot_be_read_is_answered_and_counted() {
    let mut world = World::usual();
    let a = world.leecher(1);
    let error = ClientMessage::parse("{}").unwrap_err();
    let told = world.tracker.receive(a, Err(error), world.now, &mut world.rng);
    let told: Vec<_> = told.into_iter().map(Told::from).collect();
    let reason = "missing `action`".into();
    assert_eq!(
        told,
        [Told::Failure {
            to: a,
            action: Action::Announce,
            about: None,
            reason
        }]
    );
    assert_eq!((world.refused(Refusal::Unreadable), world.size()), (1, (0, 1)));
}

#[test]
fn silent_peers_are_forgotten_and_silent_sockets_closed() {
    let mut world = World::usual();
    let a = world.leecher(1);
    let b = world.leecher(2);
    world.say(
        b,
        Said {
            video: OTHER_VIDEO,
            ..announce(2)
        },
    );
    assert_eq!(world.wait(299), []);
    world.say(
        b,
        Said {
            video: OTHER_VIDEO,
            ..announce(2)
        },
    );
    assert_eq!(world.wait(1), [Told::Closed(a)]);
    assert_eq!(
        world.size(),
        (0, 0),
        "b still speaks, though not about this torrent"
    );
    assert_eq!(
        world.tracker.stats(),
        Stats {
            sockets: 1,
            peers: 1,
            swarms: 1,
            ..world.tracker.stats()
        }
    );
    assert_eq!(world.wait(300), [Told::Closed(b)]);
    assert_eq!(world.tracker.stats().sockets, 0);
}

#[test]
fn sockets_are_capped_in_all_and_by_address() {
    let limits = TrackerConfig {
        max_sockets: 4,
        max_sockets_per_address: 2,
        ..TrackerConfig::default()
    };
    let mut world = World::new(limits);
    let first = world.connect_from("2001:db8::1").unwrap();
    world.connect_from("2001:db8::ffff").unwrap();
    let same_network = "2001:db8::2".parse().unwrap();
    assert_eq!(
        world.connect_from("2001:db8::2"),
        Err(TooMany::OfAddress {
            address: same_network,
            limit: 2
        })
    );
    world.connect_from("10.0.0.1").unwrap();
    world.connect_from("::ffff:10.0.0.1").unwrap();
    assert_eq!(world.connect_from("10.0.0.2"), Err(TooMany::Sockets(4)));
    world.tracker.disconnect(first);
    assert!(
        matches!(world.connect_from("10.0.0.1"), Err(TooMany::OfAddress { .. })),
        "mapped addresses count as IPv4"
    );
    assert!(world.connect_from("2001:db8::2").is_ok());
    assert_eq!(world.refused(Refusal::TooManySockets), 3);
}

#[test]
fn torrents_of_a_socket_and_peers_of_a_torrent_are_capped() {
    let limits = TrackerConfig {
        max_torrents_per_socket: 1,
        max_peers_per_torrent: 2,
        ..TrackerConfig::default()
    };
    let mut world = World::new(limits);
    let a = world.leecher(1);
    let told = world.say(
        a,
        Said {
            video: OTHER_VIDEO,
            ..announce(1)
        },
    );
    assert!(matches!(&told[..], [Told::Failure { reason, .. }] if reason == Refusal::TooManyTorrents.text()));
    let _b = world.leecher(2);
    let c = world.connect_from("10.0.0.3").unwrap();
    assert_eq!(world.say(c, announce(3)), failure(c, Refusal::SwarmFull));
    assert!(
        matches!(world.say(a, announce(1))[..], [Told::Reply { .. }]),
        "who is in stays in"
    );
    assert!(
        matches!(world.say(a, announce(4))[..], [Told::Reply { .. }]),
        "also under a new id"
    );
}

#[derive(Debug, Clone)]
enum Step {
    Connect(u8),
    Disconnect(usize),
    Slow(usize),
    Announce {
        socket: usize,
        video: u8,
        peer: u8,
        event: Event,
        left: Option<u64>,
        offers: usize,
    },
    Answer(usize),
    Scrape(usize),
    Wait(u64),
    Admit(u8),
    Withdraw(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let event = prop_oneof![
        Just(Event::Started),
        Just(Event::Completed),
        Just(Event::Stopped),
        Just(Event::Update),
        Just(Event::Paused)
    ];
    let left = prop_oneof![Just(None), Just(Some(0)), Just(Some(7))];
    prop_oneof![
        3 => (0_u8..4).prop_map(Step::Connect),
        1 => any::<usize>().prop_map(Step::Disconnect),
        1 => any::<usize>().prop_map(Step::Slow),
        12 => (any::<usize>(), 0_u8..3, 0_u8..12, event, left, 0_usize..8).prop_map(
            |(socket, video, peer, event, left, offers)| Step::Announce { socket, video, peer, event, left, offers }),
        6 => any::<usize>().prop_map(Step::Answer),
        1 => any::<usize>().prop_map(Step::Scrape),
        2 => (0_u64..200).prop_map(Step::Wait),
        1 => (0_u8..3).prop_map(Step::Admit),
        1 => (0_u8..3).prop_map(Step::Withdraw),
    ]
}

proptest! {
    #[test]
    fn invariants_hold_whatever_happens(open: bool, seed: u64, steps in proptest::collection::vec(step(), 0..150)) {
        let mut world = World::new(TrackerConfig {
            open,
            max_sockets: 12,
            max_sockets_per_address: 5,
            max_torrents_per_socket: 2,
            max_peers_per_torrent: 6,
            max_waiting_offers: 4,
            ..TrackerConfig::default()
        });
        world.rng = StdRng::seed_from_u64(seed);
        let video = |number: u8| InfoHash::from_bytes([number + 7; 20]);
        // Every socket ever opened, and every offer ever relayed with the socket it went to.
        let mut sockets = Vec::new();
        let mut relayed: Vec<(SocketId, InfoHash, PeerId, OfferId)> = Vec::new();
        for step in steps {
            let pick = |index: usize| sockets.get(index % sockets.len().max(1)).copied();
            let (from, message) = match step {
                Step::Connect(address) => {
                    sockets.extend(world.connect_from(&format!("10.0.0.{address}")));
                    continue;
                }
                Step::Disconnect(socket) => {
                    pick(socket).into_iter().for_each(|socket| world.tracker.disconnect(socket));
                    continue;
                }
                Step::Slow(socket) => {
                    pick(socket).into_iter().for_each(|socket| world.tracker.drop_slow(socket));
                    continue;
                }
                Step::Wait(secs) => {
                    world.wait(secs);
                    continue;
                }
                Step::Admit(number) => {
                    world.tracker.admit([video(number)]);
                    continue;
                }
                Step::Withdraw(number) => {
                    world.tracker.withdraw([video(number)]);
                    continue;
                }
                Step::Announce { socket, video: number, peer, event, left, offers } => {
                    let offers = (0..offers).map(|offer| u8::try_from(offer).unwrap()).collect();
                    (pick(socket), Said { video: video(number), number: peer, event, left, offers }.into())
                }
                Step::Answer(index) => match relayed.get(index % relayed.len().max(1)).copied() {
                    None => continue,
                    Some((to, info_hash, maker, offer_id)) => {
                        let Some(speaker) = world.tracker.sockets.get(&to).and_then(|socket| socket.peers.get(&info_hash)) else {
                            continue;
                        };
                        let (peer_id, to_peer_id, answer) = (*speaker, maker, description(0));
                        (Some(to), ClientMessage::Answer(Answer { info_hash, peer_id, to_peer_id, offer_id, answer }))
                    }
                },
                Step::Scrape(socket) => (pick(socket), ClientMessage::Scrape(Scrape { info_hashes: vec![video(0), video(9)] })),
            };
            let Some(from) = from else { continue };
            let effects = world.tracker.receive(from, Ok(message), world.now, &mut world.rng);
            world.tracker.check();
            for effect in effects {
                let Effect::Send { socket, message } = effect else { panic!("a message closed a socket") };
                prop_assert!(world.tracker.sockets.contains_key(&socket), "nothing is sent to the dead");
                match message {
                    ServerMessage::Offer { info_hash, peer_id, offer_id, .. } => {
                        prop_assert_ne!(socket, from);
                        relayed.push((socket, info_hash, peer_id, offer_id));
                    }
                    ServerMessage::Answer { info_hash, offer_id, .. } => {
                        let maker = world.tracker.sockets[&socket].peers[&info_hash];
                        let place = relayed.iter().position(|known| *known == (from, info_hash, maker, offer_id));
                        prop_assert!(place.is_some(), "only offers that were relayed are answered, and once");
                        relayed.remove(place.unwrap());
                    }
                    _ => prop_assert_eq!(socket, from),
                }
            }
            world.tracker.check();
        }
        for socket in sockets {
            world.tracker.disconnect(socket);
        }
        world.tracker.check();
        let stats = world.tracker.stats();
        prop_assert_eq!((stats.sockets, stats.peers), (0, 0), "nothing stays behind");
    }
}
