//! Whatever happens in whatever order, the tracker stays consistent and keeps nothing.

use proptest::prelude::*;

use super::super::super::messages::{AnnounceClient, AnswerOffer, Family, Seed};
use super::super::super::stats::Way;
use super::*;

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
    Client {
        address: u8,
        port: u16,
        video: u8,
        event: Event,
        left: Option<u64>,
    },
    Seed(u8),
    PodAnswers(usize),
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
    let (client_event, client_left) = (event.clone(), left.clone());
    prop_oneof![
        3 => (0_u8..4).prop_map(Step::Connect),
        1 => any::<usize>().prop_map(Step::Disconnect),
        1 => any::<usize>().prop_map(Step::Slow),
        12 => (any::<usize>(), 0_u8..3, 0_u8..12, event, left, 0_usize..8).prop_map(
            |(socket, video, peer, event, left, offers)| Step::Announce { socket, video, peer, event, left, offers }),
        6 => (0_u8..4, 0_u16..4, 0_u8..3, client_event, client_left).prop_map(
            |(address, port, video, event, left)| Step::Client { address, port, video, event, left }),
        1 => (0_u8..3).prop_map(Step::Seed),
        2 => any::<usize>().prop_map(Step::PodAnswers),
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
            max_peers: 10,
            max_torrents: 2,
            max_clients_per_address: 4,
            max_clients_per_address_and_torrent: 2,
            max_waiting_offers: 4,
            ..TrackerConfig::default()
        });
        world.rng = StdRng::seed_from_u64(seed);
        let video = |number: u8| InfoHash::from_bytes([number + 7; 20]);
        // Every socket ever opened, and every offer ever relayed with the socket it went to.
        let mut sockets = Vec::new();
        let mut relayed: Vec<(SocketId, InfoHash, PeerId, OfferId)> = Vec::new();
        world.tracker.register_seeder(peer(200), &["10.0.0.8:1".parse().unwrap()], true);
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
                Step::Client { address, port, video: number, event, left } => {
                    let announce = AnnounceClient {
                        way: Way::Http,
                        info_hash: video(number),
                        peer_id: peer(address),
                        address: format!("10.0.0.{address}:{port}").parse().unwrap(),
                        event,
                        left,
                        wanted: 3,
                        family: Family::Any,
                    };
                    if let Ok(told) = world.tracker.announce_client(&announce, world.now, &mut world.rng) {
                        prop_assert!(told.peers.len() <= 3);
                        prop_assert!(told.peers.iter().all(|found| found.address != announce.address && found.address.port() != 0));
                    }
                    world.tracker.check();
                    continue;
                }
                Step::Seed(number) => {
                    world.tracker.seed(Seed { begin: vec![video(number)], end: vec![] });
                    continue;
                }
                Step::PodAnswers(index) => {
                    let handed: Vec<_> = relayed.iter().filter(|(to, ..)| *to == SocketId::POD).copied().collect();
                    let Some((to, info_hash, maker, offer_id)) = handed.get(index % handed.len().max(1)).copied() else { continue };
                    let answer = AnswerOffer { info_hash, to_peer_id: maker, offer_id, answer: description(0) };
                    if world.tracker.answer_offer(answer, world.now).is_ok() {
                        relayed.retain(|known| *known != (to, info_hash, maker, offer_id));
                    }
                    world.tracker.check();
                    continue;
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
                let (socket, message) = match effect {
                    Effect::Send { socket, message } => (socket, message),
                    Effect::Hand(offer) => {
                        relayed.push((SocketId::POD, offer.info_hash, offer.peer_id, offer.offer_id));
                        continue;
                    }
                    Effect::Close { .. } => panic!("a message closed a socket"),
                    Effect::Ask { friend, .. } => panic!("{friend} is no friend here"),
                };
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
        world.wait(1500);
        let stats = world.tracker.stats();
        prop_assert_eq!((stats.sockets, stats.peers, stats.clients), (0, 0, 0), "nothing stays behind");
    }
}
