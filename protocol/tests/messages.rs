//! Directed requests: there and back, and nothing over its maximum.
#![allow(clippy::unwrap_used)] // a test that fails here has found something

mod common;

use common::{alice, bob, card, friendship, report, signed, stamp};
use proptest::prelude::*;
use seedpod_protocol::{
    codec::{self, CodecError},
    descent::{Place, Prefix},
    envelope::Rank,
    ids::{ContentHash, RegisterKey},
    limits,
    requests::{AuthorRoot, FriendHint, Refusal, Request, Response},
};

fn envelope_bytes() -> (Vec<u8>, Vec<u8>) {
    (
        signed(card(), stamp(1, 1)).bytes().to_vec(),
        signed(friendship(bob().id()), stamp(1, 2)).bytes().to_vec(),
    )
}

fn requests() -> Vec<Request> {
    let (card, friendship) = envelope_bytes();
    vec![
        Request::Befriend {
            card: card.clone(),
            friendship: friendship.clone(),
            invite: None,
            keys: Vec::new(),
        },
        Request::Befriend {
            card: card.clone(),
            friendship: friendship.clone(),
            invite: Some(card.clone()),
            keys: Vec::new(),
        },
        Request::ListFriends,
        Request::Roots,
        Request::Pull {
            author: alice().id(),
            after: None,
        },
        Request::Pull {
            author: alice().id(),
            after: Some(stamp(3, 4)),
        },
        Request::Tell {
            envelopes: vec![card, friendship],
        },
        Request::Tell { envelopes: vec![] },
        Request::Nodes {
            author: alice().id(),
            places: vec![Prefix::TOP, Prefix::new(&[1, 15, 3]).unwrap()],
        },
        Request::Fetch {
            author: alice().id(),
            keys: vec![RegisterKey::from_bytes([7; 32])],
        },
        Request::Report {
            report: signed(report(), stamp(0, 0)).bytes().to_vec(),
        },
        Request::RelayOffer(common::relayed().0),
        Request::RelayAnswer(common::relayed().1),
    ]
}

fn responses() -> Vec<Response> {
    let (card, friendship) = envelope_bytes();
    let hint = FriendHint {
        pod: bob().id(),
        host: "localhost:9002".into(),
        addresses: vec!["/ip4/1.2.3.4/tcp/1".into()],
    };
    vec![
        Response::Befriended {
            card: card.clone(),
            friendship,
            keys: Vec::new(),
        },
        Response::refused(Refusal::NotVouched, "nobody here knows you"),
        Response::Refused {
            reason: Refusal::Other(4000),
            text: String::new(),
        },
        Response::Friends(vec![hint.clone(), hint]),
        Response::Friends(vec![]),
        Response::Roots(vec![AuthorRoot {
            author: alice().id(),
            root: ContentHash::of(b"x"),
            records: 7,
        }]),
        Response::Page {
            envelopes: vec![card],
            more: true,
        },
        Response::Told { applied: 3 },
        Response::Nodes(places()),
        Response::Relayed,
    ]
}

fn places() -> Vec<Place> {
    let record = signed(card(), stamp(1, 1));
    let mut children = Box::new([ContentHash::ZERO; 16]);
    children[3] = ContentHash::of(b"three");
    children[15] = ContentHash::of(b"fifteen");
    vec![
        Place::Empty,
        Place::Leaf {
            key: record.header().key(),
            rank: Rank::new(record.header(), record.hash()),
        },
        Place::Branch(children),
    ]
}

#[test]
fn there_and_back() {
    for request in requests() {
        assert_eq!(Request::decode(&request.encode().unwrap()), Ok(request));
    }
    for response in responses() {
        assert_eq!(Response::decode(&response.encode().unwrap()), Ok(response));
    }
}

#[test]
fn refusals_keep_their_numbers() {
    for number in 0..=u16::MAX {
        assert_eq!(u16::from(Refusal::from(number)), number);
    }
    assert_eq!(u16::from(Refusal::NotAFriend), 7);
    assert_eq!(Refusal::from(7).name(), "not-a-friend");
}

#[test]
fn what_is_over_its_maximum_is_neither_sent_nor_taken() {
    let many = Request::Tell {
        envelopes: vec![vec![]; limits::TELL_MAX + 1],
    };
    assert!(many.encode().is_err());
    assert!(Request::decode(&codec::encode(&(1_u64, &many))).is_err());
    let long = Request::Tell {
        envelopes: vec![vec![0; limits::REQUEST_MAX]],
    };
    assert!(matches!(long.encode(), Err(CodecError::TooLong { .. })));
    let page = Response::Page {
        envelopes: vec![vec![]; limits::PAGE_ENVELOPES_MAX + 1],
        more: false,
    };
    assert!(page.encode().is_err());
    assert!(Response::decode(&codec::encode(&(1_u64, &page))).is_err());
    let full = Response::Page {
        envelopes: vec![vec![0; 500]; limits::PAGE_ENVELOPES_MAX],
        more: false,
    };
    assert_eq!(Response::decode(&full.encode().unwrap()), Ok(full));
    let talkative = Response::Refused {
        reason: Refusal::Busy,
        text: "x".repeat(501),
    };
    assert!(talkative.encode().is_err());
    assert!(
        Response::refused(Refusal::Busy, &"ä".repeat(501))
            .encode()
            .is_ok()
    );
    // Questions and answers of the greatest number go, one more does not.
    let deepest = Prefix::new(&[15; 64]).unwrap();
    let full = Box::new([ContentHash::of(b"child"); 16]);
    let key = RegisterKey::from_bytes([7; 32]);
    for (more, goes) in [(0, true), (1, false)] {
        let author = alice().id();
        let places = vec![deepest; limits::PLACES_MAX + more];
        assert_eq!(Request::Nodes { author, places }.encode().is_ok(), goes);
        let keys = vec![key; limits::FETCH_MAX + more];
        assert_eq!(Request::Fetch { author, keys }.encode().is_ok(), goes);
        let places = vec![Place::Branch(full.clone()); limits::PLACES_MAX + more];
        assert_eq!(Response::Nodes(places).encode().is_ok(), goes);
    }
    // The largest envelope can be told.
    assert!(
        Request::Tell {
            envelopes: vec![vec![0; limits::ENVELOPE_MAX]]
        }
        .encode()
        .is_ok()
    );
}

#[test]
fn other_versions_and_other_forms_are_refused() {
    assert!(
        Request::decode(&codec::encode(&(2_u64, Request::Roots)))
            .unwrap_err()
            .to_string()
            .contains("version 2")
    );
    assert!(Request::decode(&codec::encode(&(1_u64, "unheard-of"))).is_err());
    assert!(Request::decode(&codec::encode(&Request::Roots)).is_err());
    assert!(Request::decode(&codec::encode(&(1_u64, Request::Roots, 0_u64))).is_err());
    assert!(Request::decode(&[]).is_err());
}

#[test]
fn what_is_relayed_is_a_session_description_and_no_longer_than_one() {
    let (offer, _) = common::relayed();
    let sound = Request::RelayOffer(offer).encode().unwrap();
    let session = br#"{"type":"offer","sdp":"v=0\r\n"}"#;
    let at = sound
        .windows(session.len())
        .position(|part| part == session)
        .unwrap();
    // The same length, so that all around it holds.
    for other in [
        &br#"["type","offer","sdp","v=0\r\n"]"#[..],
        br#"{"type":"offer","sdp":"v=0\r\n" "#,
    ] {
        let mut bytes = sound.clone();
        bytes[at..at + other.len()].copy_from_slice(other);
        assert!(Request::decode(&bytes).is_err());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Request::decode(&noise);
        let _ = Response::decode(&noise);
        let _ = seedpod_protocol::envelope::Envelope::decode(noise);
    }

    #[test]
    fn a_damaged_message_is_refused_or_another_sound_one(which in 0..10_usize, place: prop::sample::Index, bit in 0..8_u8) {
        let mut bytes = responses()[which].encode().unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        if let Ok(response) = Response::decode(&bytes) {
            prop_assert_eq!(response.encode().unwrap(), bytes);
        }
    }
}
