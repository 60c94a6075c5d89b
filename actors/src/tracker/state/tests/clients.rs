//! BitTorrent clients: who is told of whom, and how many there may be.

use super::super::super::messages::{AnnounceClient, ClientReply, Family};
use super::super::super::stats::Way;
use super::*;

/// An announce of the client at an address.
fn client(address: &str) -> AnnounceClient {
    AnnounceClient {
        way: Way::Http,
        info_hash: VIDEO,
        peer_id: peer(0xcc),
        address: address.parse().unwrap(),
        event: Event::Started,
        left: Some(5),
        wanted: 50,
        family: Family::Any,
    }
}

fn seeder(address: &str) -> AnnounceClient {
    AnnounceClient {
        left: Some(0),
        ..client(address)
    }
}

impl World {
    fn tell(&mut self, announce: AnnounceClient) -> Result<ClientReply, Refusal> {
        let told = self.tracker.announce_client(&announce, self.now, &mut self.rng);
        self.tracker.check();
        told
    }

    /// Whom a client is told of, in order.
    fn told_of(&mut self, announce: AnnounceClient) -> Vec<String> {
        let mut peers: Vec<String> = self
            .tell(announce)
            .unwrap()
            .peers
            .iter()
            .map(|found| found.address.to_string())
            .collect();
        peers.sort();
        peers
    }
}

#[test]
fn clients_are_told_of_each_other_and_seeders_of_leechers_alone() {
    let mut world = World::usual();
    let none: [&str; 0] = [];
    assert_eq!(world.told_of(seeder("10.0.0.1:6881")), none);
    assert_eq!(
        world.told_of(seeder("10.0.0.2:6881")),
        none,
        "seeders have nothing for each other"
    );
    assert_eq!(
        world.told_of(client("10.0.0.3:6881")),
        ["10.0.0.1:6881", "10.0.0.2:6881"]
    );
    assert_eq!(world.told_of(seeder("10.0.0.1:6881")), ["10.0.0.3:6881"]);
    assert_eq!(
        world.told_of(client("10.0.0.3:7000")),
        ["10.0.0.1:6881", "10.0.0.2:6881", "10.0.0.3:6881"],
        "two of one address are two"
    );
}

#[test]
fn browsers_and_clients_are_one_swarm_and_not_told_of_each_other() {
    let mut world = World::usual();
    let a = world.leecher(1);
    let reply = world.tell(seeder("10.0.0.9:6881")).unwrap();
    assert_eq!((reply.counts.complete, reply.counts.incomplete), (1, 1));
    assert_eq!(reply.peers, []);
    assert_eq!((reply.interval, reply.min_interval), (600, 60));
    let told = world.say(
        a,
        Said {
            offers: vec![1, 2],
            ..announce(1)
        },
    );
    assert_eq!(
        told,
        [Told::Reply {
            to: a,
            complete: 1,
            incomplete: 1
        }],
        "nobody takes the offers"
    );
}

#[test]
fn a_client_is_told_addresses_it_can_use_and_not_more_than_it_wants() {
    let mut world = World::usual();
    for number in 1..=9 {
        world.tell(seeder(&format!("10.0.0.{number}:1"))).unwrap();
        world
            .tell(seeder(&format!("[2001:db8:0:{number}::1]:1")))
            .unwrap();
    }
    let found = |world: &mut World, family, wanted| {
        let told = world.tell(AnnounceClient {
            family,
            wanted,
            ..client("[2001:db8:9::9]:2")
        });
        let peers = told.unwrap().peers;
        let v6 = peers.iter().filter(|found| found.address.is_ipv6()).count();
        (peers.len() - v6, v6)
    };
    assert_eq!(found(&mut world, Family::V4, 50), (9, 0));
    assert_eq!(found(&mut world, Family::V6, 50), (0, 9));
    assert_eq!(found(&mut world, Family::Any, 50), (9, 9));
    assert_eq!(found(&mut world, Family::Any, 12), (3, 9), "its own family first");
    assert_eq!(found(&mut world, Family::Any, 0), (0, 0));
    world.tracker.config.max_answer = 4;
    assert_eq!(found(&mut world, Family::Any, usize::MAX), (0, 4));
}

#[test]
fn mapped_addresses_are_ipv4_and_scopes_mean_nothing() {
    let mut world = World::usual();
    world.tell(client("[::ffff:10.0.0.1]:6881")).unwrap();
    world.tell(client("10.0.0.1:6881")).unwrap();
    world.tell(client("[fe80::1%3]:6881")).unwrap();
    assert_eq!(world.size(), (0, 2));
    assert_eq!(
        world.told_of(client("10.0.0.2:1")),
        ["10.0.0.1:6881", "[fe80::1]:6881"]
    );
}

#[test]
fn a_port_that_is_none_is_told_to_nobody() {
    let mut world = World::usual();
    world.tell(seeder("10.0.0.1:6881")).unwrap();
    assert_eq!(world.told_of(client("10.0.0.2:0")), ["10.0.0.1:6881"]);
    assert_eq!(world.size(), (1, 0));
}

#[test]
fn clients_come_finish_stop_and_are_forgotten() {
    let mut world = World::usual();
    world.tell(client("10.0.0.1:1")).unwrap();
    let completed = AnnounceClient {
        event: Event::Completed,
        left: Some(0),
        ..client("10.0.0.1:1")
    };
    assert_eq!(world.tell(completed).unwrap().counts.downloaded, 1);
    assert_eq!(
        world.tell(completed).unwrap().counts.downloaded,
        1,
        "it is counted once"
    );
    world.tell(seeder("10.0.0.2:1")).unwrap();
    assert_eq!(
        world.tracker.counts(&VIDEO).downloaded,
        1,
        "who came with everything did not finish here"
    );
    let stopped = AnnounceClient {
        event: Event::Stopped,
        ..completed
    };
    let told = world.tell(stopped).unwrap();
    assert_eq!((told.counts.complete, told.peers.len()), (1, 0));
    world.wait(1499);
    assert_eq!(world.size(), (1, 0));
    world.wait(1);
    assert_eq!((world.size(), world.tracker.stats().clients), ((0, 0), 0));
    assert_eq!(world.tracker.counts(&VIDEO).downloaded, 1, "that is remembered");
}

#[test]
fn clients_are_capped_by_address_and_torrent_and_in_all() {
    let mut world = World::new(TrackerConfig {
        max_clients_per_address: 3,
        max_clients_per_address_and_torrent: 2,
        max_peers_per_torrent: 4,
        max_peers: 6,
        ..TrackerConfig::default()
    });
    let elsewhere = |address| AnnounceClient {
        info_hash: OTHER_VIDEO,
        ..client(address)
    };
    assert!(world.tell(client("10.0.0.1:1")).is_ok());
    assert!(world.tell(client("10.0.0.1:2")).is_ok());
    assert_eq!(world.tell(client("10.0.0.1:3")), Err(Refusal::TooManyOfAddress));
    assert!(world.tell(client("10.0.0.1:2")).is_ok(), "who is in stays in");
    assert!(world.tell(elsewhere("10.0.0.1:3")).is_ok());
    assert_eq!(
        world.tell(elsewhere("10.0.0.1:4")),
        Err(Refusal::TooManyOfAddress)
    );
    assert!(world.tell(client("[2001:db8::1]:1")).is_ok());
    assert!(world.tell(client("[2001:db8::2]:1")).is_ok());
    assert_eq!(
        world.tell(client("[2001:db8::3]:1")),
        Err(Refusal::TooManyOfAddress),
        "a network of one customer is one address"
    );
    assert_eq!(world.tell(client("10.0.0.2:1")), Err(Refusal::SwarmFull));
    assert!(world.tell(elsewhere("10.0.0.2:1")).is_ok());
    assert_eq!(world.tell(elsewhere("10.0.0.3:1")), Err(Refusal::TrackerFull));
    assert_eq!(world.refused(Refusal::TooManyOfAddress), 3);
    let stop = AnnounceClient {
        event: Event::Stopped,
        ..client("10.0.0.1:1")
    };
    assert!(world.tell(stop).is_ok());
    assert!(world.tell(elsewhere("10.0.0.3:1")).is_ok(), "there is room again");
}

#[test]
fn torrents_of_strangers_are_capped_and_admitted_ones_are_not() {
    let mut world = World::new(TrackerConfig {
        open: true,
        max_torrents: 1,
        ..TrackerConfig::default()
    });
    let unknown = |number| AnnounceClient {
        info_hash: InfoHash::from_bytes([number; 20]),
        ..client("10.0.0.1:1")
    };
    assert!(world.tell(unknown(91)).is_ok());
    assert_eq!(world.tell(unknown(92)), Err(Refusal::TrackerFull));
    assert!(world.tell(client("10.0.0.1:1")).is_ok());
}

#[test]
fn torrents_nobody_admitted_leave_no_trace() {
    let mut world = World::usual();
    for number in 0..=255 {
        let unknown = AnnounceClient {
            info_hash: InfoHash::from_bytes([number; 20]),
            ..client("10.0.0.1:1")
        };
        let admitted = [VIDEO, OTHER_VIDEO].contains(&unknown.info_hash);
        assert_eq!(world.tell(unknown).is_ok(), admitted);
    }
    assert_eq!(world.refused(Refusal::NotAdmitted), 254);
    assert_eq!(world.tracker.stats().swarms, 2);
    world.tracker.withdraw([VIDEO]);
    world.tracker.check();
    assert_eq!(world.tracker.stats().clients, 1);
}

#[test]
fn a_scrape_gives_sizes_in_the_order_of_the_question() {
    let mut world = World::usual();
    let _browser = world.leecher(1);
    world.tell(seeder("10.0.0.1:1")).unwrap();
    let unknown = InfoHash::from_bytes([99; 20]);
    let counts = world.tracker.scrape_clients(&[unknown, VIDEO, VIDEO]);
    let sizes: Vec<_> = counts
        .iter()
        .map(|counts| (counts.complete, counts.incomplete))
        .collect();
    assert_eq!(sizes, [(0, 0), (1, 1), (1, 1)]);
}
