//! Offers and answers: who gets which, once, and for how long.

use super::*;

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
