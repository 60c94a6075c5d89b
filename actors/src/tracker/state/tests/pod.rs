//! This pod's own seeder among the others.

use super::super::super::messages::{AnnounceClient, AnswerOffer, Family, Seed};
use super::super::super::stats::Way;
use super::*;

const POD: [u8; 20] = *b"-SP0100-xxxxxxxxxxxx";

impl World {
    /// A tracker whose pod seeds the video.
    fn seeding() -> Self {
        let mut world = Self::usual();
        let addresses = ["192.0.2.1:7000", "[2001:db8::7]:7000"].map(|address| address.parse().unwrap());
        world
            .tracker
            .register_seeder(PeerId::from_bytes(POD), &addresses, true);
        world.tracker.seed(Seed {
            begin: vec![VIDEO],
            end: vec![],
        });
        world.tracker.check();
        world
    }

    /// The addresses that a client of this family is told.
    fn clients_of(&mut self, left: u64, family: Family) -> Vec<String> {
        let announce = AnnounceClient {
            way: Way::Udp,
            info_hash: VIDEO,
            peer_id: peer(9),
            address: "10.0.0.9:9".parse().unwrap(),
            event: Event::Update,
            left: Some(left),
            wanted: 50,
            family,
        };
        let told = self.tracker.announce_client(&announce, self.now, &mut self.rng);
        self.tracker.check();
        told.unwrap()
            .peers
            .iter()
            .map(|found| found.address.to_string())
            .collect()
    }

    fn pod_answers(&mut self, to: u8, offer: u8) -> Result<Told, Refusal> {
        let answer = AnswerOffer {
            info_hash: VIDEO,
            to_peer_id: peer(to),
            offer_id: OfferId::from_bytes([offer; 20]),
            answer: description(offer),
        };
        let effect = self.tracker.answer_offer(answer, self.now);
        self.tracker.check();
        effect.map(Told::from)
    }
}

fn handed(told: &[Told]) -> Vec<u8> {
    told.iter()
        .filter_map(|told| match told {
            Told::Handed { id, .. } => Some(*id),
            _ => None,
        })
        .collect()
}

#[test]
fn the_pod_is_one_seeder_whatever_ways_lead_to_it() {
    let mut world = World::seeding();
    assert_eq!(world.size(), (1, 0));
    assert_eq!(
        world.clients_of(5, Family::Any),
        ["192.0.2.1:7000", "[2001:db8::7]:7000"]
    );
    assert_eq!(world.clients_of(5, Family::V4), ["192.0.2.1:7000"]);
    assert_eq!(world.clients_of(5, Family::V6), ["[2001:db8::7]:7000"]);
    let nobody: [&str; 0] = [];
    assert_eq!(
        world.clients_of(0, Family::Any),
        nobody,
        "who has everything wants nothing of it"
    );
    assert_eq!(world.size(), (2, 0));
}

#[test]
fn whoever_watches_is_told_how_many_do_and_pods_and_clients_do_not() {
    let mut world = World::seeding();
    world.clients_of(5, Family::Any);
    let a = world.leecher(1);
    let b = world.leecher(2);
    assert_eq!(world.size(), (1, 3), "the pod; a client and two browsers");
    assert_eq!(world.tracker.size(&VIDEO).viewers, 2);
    world.tracker.disconnect(a);
    assert_eq!(world.tracker.size(&VIDEO).viewers, 1);
    world.tracker.disconnect(b);
    assert_eq!(world.tracker.size(&VIDEO).viewers, 0);
}

#[test]
fn the_first_offer_of_who_wants_something_is_for_the_pod() {
    let mut world = World::seeding();
    let a = world.leecher(1);
    let _b = world.leecher(2);
    let told = world.say(
        a,
        Said {
            left: Some(5),
            offers: vec![1, 2, 3],
            ..announce(1)
        },
    );
    assert_eq!((handed(&told), offers(&told).len()), (vec![1], 1));
    let seeder = world.seeder(3);
    let told = world.say(
        seeder,
        Said {
            left: Some(0),
            offers: vec![1, 2, 3],
            ..announce(3)
        },
    );
    assert_eq!((handed(&told), offers(&told).len()), (vec![], 2));
}

#[test]
fn the_pod_answers_what_it_was_given_and_once() {
    let mut world = World::seeding();
    let a = world.leecher(1);
    world.say(
        a,
        Said {
            left: Some(5),
            offers: vec![7],
            ..announce(1)
        },
    );
    assert_eq!(world.pod_answers(1, 8), Err(Refusal::NoSuchOffer));
    assert_eq!(
        world.pod_answers(1, 7),
        Ok(Told::Answer {
            to: a,
            from: PeerId::from_bytes(POD),
            id: 7,
            text: description(7).get().to_owned()
        })
    );
    assert_eq!(world.pod_answers(1, 7), Err(Refusal::NoSuchOffer));
    world.say(
        a,
        Said {
            left: Some(5),
            offers: vec![9],
            ..announce(1)
        },
    );
    world.now += Duration::from_secs(60);
    assert_eq!(world.pod_answers(1, 9), Err(Refusal::NoSuchOffer), "too late");
}

#[test]
fn nobody_takes_part_as_the_pod() {
    let mut world = World::seeding();
    let a = world.connect_from("10.0.0.1").unwrap();
    let posing = ClientMessage::Announce(Announce {
        info_hash: VIDEO,
        peer_id: PeerId::from_bytes(POD),
        event: Event::Started,
        left: Some(1),
        offers: vec![],
    });
    assert_eq!(world.receive(a, posing), failure(a, Refusal::PeerIdTaken));
}

#[test]
fn the_pod_seeds_what_is_served_and_as_long_as_it_says() {
    let mut world = World::seeding();
    world.tracker.withdraw([VIDEO]);
    assert_eq!(world.size(), (0, 0));
    world.tracker.admit([VIDEO]);
    assert_eq!(world.size(), (1, 0), "it had not said otherwise");
    let mut renewed = world.tracker.renewed();
    renewed.admit([VIDEO]);
    assert_eq!(renewed.size(&VIDEO).seeders, 1, "a new tracker knows it too");
    renewed.seed(Seed {
        begin: vec![],
        end: vec![VIDEO],
    });
    assert_eq!(renewed.size(&VIDEO).seeders, 0);
}
