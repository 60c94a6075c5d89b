//! What the port answers, and what it must not.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use proptest::prelude::*;
use seedpod_protocol::ids::InfoHash;
use seedpod_protocol::tracker::udp::TransactionId;
use seedpod_protocol::tracker::{Event, PeerId};

use super::super::admission::AdmissionChange;
use super::super::state::TrackerConfig;
use super::*;

const TRANSACTION: TransactionId = *b"tran";
const VIDEO: InfoHash = InfoHash::from_bytes([7; 20]);
const STUN: [u8; 20] = *b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl";

struct World {
    port: Port,
    now: Instant,
    out: Vec<u8>,
}

impl World {
    fn new() -> Self {
        Self::with(UdpOptions::default())
    }

    fn with(options: UdpOptions) -> Self {
        let desk = Desk::new(TrackerConfig::default());
        desk.change(AdmissionChange {
            admit: vec![VIDEO],
            withdraw: Vec::new(),
        });
        Self {
            port: Port::new(desk, options, UdpMetrics::default(), [3; 32]),
            now: Instant::now(),
            out: Vec::new(),
        }
    }

    fn send(&mut self, packet: &[u8], from: &str) -> Option<Vec<u8>> {
        let answered = self
            .port
            .answer(packet, from.parse().unwrap(), self.now, &mut self.out);
        answered.then(|| self.out.clone())
    }

    fn say(&mut self, request: &Request, from: &str) -> Option<Vec<u8>> {
        self.send(&request.encode(), from)
    }

    fn connect(&mut self, from: &str) -> ConnectionId {
        let answer = self.say(
            &Request::Connect {
                transaction: TRANSACTION,
            },
            from,
        );
        let answer = answer.unwrap();
        assert_eq!(answer[..8], *b"\0\0\0\0tran");
        answer[8..].try_into().unwrap()
    }

    fn refused(&self, refusal: Refusal) -> u64 {
        self.port.desk.stats().totals.refused[refusal as usize]
    }
}

type ConnectionId = [u8; 8];

fn announce(connection: ConnectionId, left: u64, port: u16) -> Request {
    Request::Announce {
        connection,
        transaction: TRANSACTION,
        announce: UdpAnnounce {
            info_hash: VIDEO,
            peer_id: PeerId::from_bytes([b'p'; 20]),
            left,
            event: Event::Started,
            numwant: 50,
            port,
        },
    }
}

#[test]
fn clients_connect_announce_scrape_and_are_told_of_their_own_family() {
    let mut world = World::new();
    for (number, from) in ["192.0.2.1:999", "[::ffff:192.0.2.2]:999", "[2001:db8::1]:999"]
        .into_iter()
        .enumerate()
    {
        let connection = world.connect(from);
        let port = 7000 + u16::try_from(number).unwrap();
        let answer = world.say(&announce(connection, 0, port), from).unwrap();
        assert_eq!(answer[..8], *b"\0\0\0\x01tran");
        assert_eq!(answer.len(), 20, "seeders are told of nobody");
    }
    let mut peers_of = |from: &str| {
        let connection = world.connect(from);
        let answer = world.say(&announce(connection, 5, 1), from).unwrap();
        let mut peers: Vec<Vec<u8>> = match from.starts_with('[') {
            true => answer[20..].chunks(18).map(<[u8]>::to_vec).collect(),
            false => answer[20..].chunks(6).map(<[u8]>::to_vec).collect(),
        };
        peers.sort();
        (answer[8..20].to_vec(), peers)
    };
    let (head, peers) = peers_of("192.0.2.9:1");
    assert_eq!(head, b"\0\0\x02\x58\0\0\0\x01\0\0\0\x03");
    assert_eq!(peers, [*b"\xc0\0\x02\x01\x1b\x58", *b"\xc0\0\x02\x02\x1b\x59"]);
    let (_, peers) = peers_of("[2001:db8::9]:1");
    assert_eq!(peers, [*b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1b\x5a"]);

    let connection = world.connect("192.0.2.9:1");
    let scrape = Request::Scrape {
        connection,
        transaction: TRANSACTION,
        info_hashes: vec![InfoHash::from_bytes([8; 20]), VIDEO],
    };
    let answer = world.say(&scrape, "192.0.2.9:77").unwrap();
    assert_eq!(
        answer,
        [
            &b"\0\0\0\x02tran\0\0\0\0\0\0\0\0\0\0\0\0"[..],
            b"\0\0\0\x03\0\0\0\0\0\0\0\x02"
        ]
        .concat()
    );
}

#[test]
fn what_is_refused_is_said_to_whoever_showed_its_address() {
    let mut world = World::new();
    let from = "192.0.2.1:1";
    let connection = world.connect(from);
    let Request::Announce { announce: said, .. } = announce(connection, 0, 1) else {
        unreachable!("it is an announce")
    };
    let unknown = Request::Announce {
        connection,
        transaction: TRANSACTION,
        announce: UdpAnnounce {
            info_hash: InfoHash::from_bytes([9; 20]),
            ..said
        },
    };
    let answer = world.say(&unknown, from).unwrap();
    assert_eq!(answer, b"\0\0\0\x03tranthis tracker does not serve that torrent");
    let malformed = [&connection[..], b"\0\0\0\x09tran"].concat();
    let answer = world.send(&malformed, from).unwrap();
    assert_eq!(
        answer,
        b"\0\0\0\x03tranthis is no message of the tracker protocol"
    );
}

#[test]
fn an_id_of_another_address_or_of_long_ago_is_none() {
    let mut world = World::new();
    let connection = world.connect("192.0.2.1:1");
    let refused = b"\0\0\0\x03tranconnect first".to_vec();
    assert_eq!(
        world.say(&announce(connection, 0, 1), "192.0.2.2:1"),
        Some(refused.clone())
    );
    assert!(
        world
            .say(&announce(connection, 0, 1), "192.0.2.1:2")
            .is_some_and(|answer| answer != refused)
    );
    world.now += Duration::from_secs(120);
    assert_eq!(
        world.say(&announce(connection, 0, 1), "192.0.2.1:1"),
        Some(refused)
    );
    assert_eq!(world.refused(Refusal::ConnectionId), 2);
    assert_eq!(world.port.desk.stats().clients, 1);
}

#[test]
fn browsers_learn_their_address_some_times_a_second() {
    let mut world = World::new();
    let answer = world.send(&STUN, "192.0.2.1:32853").unwrap();
    assert_eq!(answer.len(), 32);
    assert_eq!(answer[8..20], STUN[8..20]);
    assert_eq!(answer[20..], *b"\0\x20\0\x08\0\x01\xa1\x47\xe1\x12\xa6\x43");
    let answered = (0..1000)
        .filter(|port| world.send(&STUN, &format!("192.0.2.1:{}", 2000 + port)).is_some())
        .count();
    assert_eq!(answered, 99, "a hundred with the first");
    assert!(world.send(&STUN, "192.0.2.2:1").is_some(), "others are answered");
    world.now += Duration::from_secs(1);
    let answered = (0..1000)
        .filter(|_| world.send(&STUN, "192.0.2.1:1").is_some())
        .count();
    assert_eq!(answered, 10);
    assert_eq!(world.port.stun_refused.get(), 901 + 990);
}

#[test]
fn an_address_asks_the_tracker_so_often_and_no_more() {
    let rate = Rate {
        per_second: 1,
        at_once: 3,
    };
    let mut world = World::with(UdpOptions {
        tracker_rate: rate,
        ..UdpOptions::default()
    });
    let from = "192.0.2.1:1";
    let connection = world.connect(from);
    let answered = (0..10)
        .filter(|port| world.say(&announce(connection, 0, *port), from).is_some())
        .count();
    assert_eq!((answered, world.refused(Refusal::TooOften)), (2, 8));
    assert!(world.send(&STUN, from).is_some(), "that is counted apart");
}

proptest! {
    #[test]
    fn nobody_unknown_is_sent_more_than_it_sent(
        head in prop_oneof![
            Just(vec![]),
            Just(b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0".to_vec()),
            Just(b"12345678\0\0\0\x01".to_vec()),
            Just(b"12345678\0\0\0\x02".to_vec()),
            Just(STUN.to_vec()),
        ],
        tail in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut world = World::new();
        let packet = [head, tail].concat();
        if let Some(answer) = world.send(&packet, "[2001:db8::1]:1") {
            let growth = if stun::is_stun(&packet) { stun::MAX_GROWTH } else { 0 };
            prop_assert!(answer.len() <= packet.len() + growth);
        }
        prop_assert_eq!(world.port.desk.stats().clients, 0);
    }
}

#[actix::test]
async fn a_socket_is_answered_and_stops_when_told_to() {
    let world = World::new();
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(
        server,
        world.port.desk.clone(),
        UdpOptions::default(),
        UdpMetrics::default(),
        stop.clone(),
    ));
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(address).await.unwrap();
    let mut answer = [0; 100];
    for request in [&STUN[..], b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0tran"] {
        client.send(request).await.unwrap();
        let received = tokio::time::timeout(Duration::from_secs(10), client.recv(&mut answer));
        assert!(received.await.unwrap().unwrap() >= 16);
    }
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), serving)
        .await
        .unwrap()
        .unwrap();
}
