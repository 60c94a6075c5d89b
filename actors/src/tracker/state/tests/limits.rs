//! What is refused, forgotten or capped.

use super::*;

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
