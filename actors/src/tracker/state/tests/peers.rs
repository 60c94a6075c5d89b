//! Who is in a swarm: announces, stops, reconnects, and what scrapes say of it.

use super::*;

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
    assert_eq!(world.tracker.stats().totals.announces, [5, 0, 0]);
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
