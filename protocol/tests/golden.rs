//! The bytes of the protocol, written down: `vectors/*.hex`.
//!
//! Each file holds lines of `name: value`. The tests make every value anew and compare; and they read the envelopes from the files and
//! judge them, as a stranger's implementation would. Vectors are added to, not edited: a value that changes is another protocol.
//! `cargo test -p seedpod-protocol --test golden -- --ignored` writes files that do not exist yet, and adds lines that are missing at the end.
#![allow(clippy::unwrap_used)] // a test that fails here has found something

mod common;

use std::{fmt::Write as _, fs, path::PathBuf};

use common::{
    alice, bob, card, channel, comment, contribution, counter, friendship, hide, mirror, payloads, pinned,
    recovery, reply, report, revoked, second, signed, stamp, succeeded, third, video,
};
use data_encoding::HEXLOWER;
use seedpod_protocol::{
    codec,
    descent::{Place, Prefix},
    digest::{Trie, TrieNode, state_digest},
    envelope::{Draft, Envelope, Kind, Rank, Stamp, State, Verified, register_key},
    ids::{ChannelId, ContentHash, ObjectId, PodId, RegisterKey, Timestamp, VideoId},
    invite::{Invite, InviteId},
    keys::PodKey,
    records::{Profile, Record},
    requests::{AuthorRoot, FriendHint, Refusal, Request, Response},
    topics,
};

/// One file of vectors: names and values in order.
#[derive(Default)]
struct Vectors(Vec<(String, String)>);

impl Vectors {
    fn hex(&mut self, name: &str, bytes: impl AsRef<[u8]>) {
        self.text(name, HEXLOWER.encode(bytes.as_ref()));
    }

    fn text(&mut self, name: &str, value: impl ToString) {
        self.0.push((name.to_owned(), value.to_string()));
    }

    fn record(&mut self, name: &str, record: &Verified<Record>) {
        let (body, signature) = parts(record.bytes());
        self.hex(&format!("{name} body"), body);
        self.hex(&format!("{name} signature"), signature);
        self.hex(&format!("{name} envelope"), record.bytes());
        self.text(&format!("{name} hash"), record.hash());
        self.text(&format!("{name} register"), record.header().key());
    }
}

/// Body and signature: the signature is the last 64 bytes after a head of 2; the body stands between it and two or three bytes of heads.
fn parts(envelope: &[u8]) -> (&[u8], &[u8]) {
    let (list, signature) = envelope.split_at(envelope.len() - 64);
    let heads = if list[1] == 0x58 { 3 } else { 4 };
    (&list[heads..list.len() - 2], signature)
}

fn seal(key: &PodKey, body: &[u8]) -> Vec<u8> {
    codec::encode(&(
        serde_bytes::Bytes::new(body),
        serde_bytes::Bytes::new(&key.sign(body)),
    ))
}

/// The body with one part replaced by another, signed by Alice.
fn altered(record: &Verified<Record>, from: &[u8], to: &[u8]) -> Vec<u8> {
    let (body, _) = parts(record.bytes());
    let at = body
        .windows(from.len())
        .position(|window| window == from)
        .expect("the part is there");
    seal(&alice(), &[&body[..at], to, &body[at + from.len()..]].concat())
}

fn ids() -> Vectors {
    let mut v = Vectors::default();
    for (name, seed, key) in [("alice", [1; 32], alice()), ("bob", [2; 32], bob())] {
        v.hex(&format!("{name} seed"), seed);
        v.hex(&format!("{name} key"), key.id().as_bytes());
        v.hex(&format!("{name} peer id bytes"), key.id().to_peer_bytes());
        v.text(&format!("{name} pod id"), key.id());
    }
    let id = VideoId::derive(&alice().id(), &video().nonce);
    v.hex("video nonce", video().nonce);
    v.text("video id of alice", id);
    v.text("video id of alice, short", id.short());
    v.text("video id of bob", VideoId::derive(&bob().id(), &video().nonce));
    v.hex("channel nonce", channel().nonce);
    v.text(
        "channel id of alice",
        ChannelId::derive(&alice().id(), &channel().nonce),
    );
    v.text(
        "register of alice's profile",
        register_key(&alice().id(), Kind::PROFILE, &ObjectId::EMPTY),
    );
    v.text(
        "register of alice's video",
        register_key(&alice().id(), Kind::VIDEO, &id.into()),
    );
    v.hex(
        "gossip id of `data` on the catalog topic",
        topics::message_id(topics::CATALOG, b"data"),
    );
    v.hex("comment nonce", comment().nonce);
    v.text(
        "comment id of alice, on bob's video of the video nonce",
        comment().id(&alice().id()),
    );
    v.text(
        "comment id of her reply to that, of the same nonce",
        reply().id(&alice().id()),
    );
    v
}

fn records() -> Vectors {
    let mut v = Vectors::default();
    for (seq, payload) in (1..).zip(payloads()) {
        let record = signed(payload, stamp(1, seq));
        v.record(record.header().kind.name(), &record);
    }
    let key = alice();
    let object = video().id(&key.id()).into();
    v.record(
        "removed video",
        &Draft::removed(Kind::VIDEO, object)
            .sign(&key, stamp(2, 1))
            .unwrap(),
    );
    let ended = Draft::withdrawn(Kind::FRIENDSHIP, bob().id().into())
        .sign(&key, stamp(2, 2))
        .unwrap();
    v.record("withdrawn friendship", &ended);
    let unknown = |kind, payload: &[u8]| Draft {
        kind,
        object: ObjectId::EMPTY,
        state: State::Live,
        payload: Record::Opaque(payload.to_vec()),
    };
    v.record(
        "unknown kind 77",
        &unknown(Kind(77), b"anything at all")
            .sign(&key, stamp(2, 3))
            .unwrap(),
    );
    let later = unknown(
        Kind::PROFILE,
        &codec::encode(&serde_json::json!({"v": 2, "mood": "good"})),
    );
    v.record(
        "profile of version 2",
        &later.sign(&key, stamp(2, (1 << 53) - 1)).unwrap(),
    );
    v.record("counter", &signed(counter(), stamp(3, 1)));
    v.record("contribution", &signed(contribution(), stamp(3, 2)));
    let misfit = Draft {
        kind: Kind::COUNTER,
        object: ObjectId::EMPTY,
        state: State::Live,
        payload: Record::Opaque(codec::encode(&serde_json::json!({"v": 1, "views": -1}))),
    };
    v.record(
        "unknown use of a counter, kept unread",
        &misfit.sign(&key, stamp(3, 3)).unwrap(),
    );
    v.record("comment", &signed(comment(), stamp(4, 1)));
    v.record("comment in reply", &signed(reply(), stamp(4, 2)));
    v.record("hide", &signed(hide(), stamp(4, 3)));
    let squatted = Draft {
        kind: Kind::COMMENT,
        object: comment().id(&bob().id()).into(),
        state: State::Live,
        payload: Record::Opaque(payload_of(&signed(comment(), stamp(4, 1)))),
    };
    v.record(
        "unknown use of a comment, under an id of bob's, kept unread",
        &squatted.sign(&key, stamp(4, 4)).unwrap(),
    );
    v.record("report", &signed(report(), stamp(0, 0)));
    v.record("mirror", &signed(mirror(), stamp(3, 4)));
    let reachable = Profile {
        udp: Some(9000),
        ..common::profile()
    };
    v.record("profile with a UDP port", &signed(reachable, stamp(3, 5)));
    v
}

/// The payload of a record that `parts` can take apart.
fn payload_of(record: &Verified<Record>) -> Vec<u8> {
    let (body, _) = parts(record.bytes());
    let at = body
        .windows(8)
        .position(|window| window == b"\x67payload")
        .expect("a body has a payload")
        + 8;
    // A byte string of 24 to 65,535 bytes, then `version`.
    let head = if body[at] == 0x58 { 2 } else { 3 };
    body[at + head..body.len() - b"\x67version\x01".len()].to_vec()
}

/// Alice pins a recovery key, makes a second key follow her first, ends both with the recovery key, and goes on with a third.
fn keys() -> Vectors {
    let mut v = Vectors::default();
    for (name, seed, key) in [
        ("second", [0x11; 32], second()),
        ("recovery", [0x12; 32], recovery()),
        ("third", [0x13; 32], third()),
    ] {
        v.hex(&format!("{name} seed"), seed);
        v.hex(&format!("{name} key"), key.public().as_bytes());
    }
    v.record("pin", &pinned());
    v.record("successor", &succeeded(&alice(), &second(), 9));
    let by_second = Draft::live(&alice().id(), video().into()).unwrap();
    v.record(
        "video by the second key",
        &by_second.sign(&second(), stamp(2, 1)).unwrap(),
    );
    v.record("revocation", &revoked(&alice(), stamp(1, 3), Some(&third())));
    v.record(
        "stricter revocation",
        &revoked(&alice(), Stamp::ZERO, Some(&third())),
    );
    let by_third = Draft::removed(Kind::VIDEO, video().id(&alice().id()).into());
    v.record(
        "removed video by the third key",
        &by_third.sign(&third(), stamp(3, 1)).unwrap(),
    );
    v.record("end of the third key", &revoked(&third(), stamp(3, 1), None));
    v
}

/// Envelopes that every pod refuses, by the reason for which this one does.
fn refused() -> Vectors {
    let mut v = Vectors::default();
    let sound = signed(video(), stamp(1, 3));
    let (body, signature) = parts(sound.bytes());
    let id = video().id(&alice().id());

    let mut broken = sound.bytes().to_vec();
    *broken.last_mut().unwrap() ^= 1;
    v.hex("signature / last bit of the signature", broken);
    let mut forged = seal(&bob(), body);
    v.hex("signature / signed by bob in alice's name", &forged);
    forged.push(0);
    v.hex("not-canonical / a byte after the end", forged);
    let squatted = VideoId::derive(&bob().id(), &video().nonce);
    v.hex(
        "not-derived / the object is bob's",
        altered(&sound, id.as_bytes(), squatted.as_bytes()),
    );
    v.hex(
        "object / not shaped as a UUIDv8",
        altered(&sound, id.as_bytes(), &[7; 16]),
    );
    v.hex(
        "domain / another purpose",
        altered(&sound, b"seedpod-envelope", b"seedpod-evnelope"),
    );
    v.hex(
        "version / a later one",
        altered(&sound, b"version\x01", b"version\x02"),
    );
    v.hex(
        "not-canonical / a sequence number in two bytes",
        altered(&sound, b"seq\x03", b"seq\x18\x03"),
    );
    v.hex(
        "not-canonical / keys out of order",
        altered(&sound, b"\x63seq\x03\x64kind\x03", b"\x64kind\x03\x63seq\x03"),
    );
    let end = [b"seq\x1b".as_slice(), &(1_u64 << 53).to_be_bytes()].concat();
    v.hex("sequence / 2^53", altered(&sound, b"seq\x03", &end));
    v.hex("kind / 0", altered(&sound, b"kind\x03", b"kind\x00"));
    v.hex("shape / state 4", altered(&sound, b"state\x01", b"state\x04"));
    v.hex(
        "not-canonical / the state is a float",
        altered(&sound, b"state\x01", b"state\xf9\x3c\x00"),
    );
    let gone = Draft::removed(Kind::VIDEO, id.into())
        .sign(&alice(), stamp(1, 5))
        .unwrap();
    v.hex(
        "empty-live / a live record without a payload",
        altered(&gone, b"state\x03", b"state\x01"),
    );
    let mut weak = [0; 32];
    weak[0] = 1;
    v.hex(
        "shape / an author of small order",
        altered(&sound, alice().id().as_bytes(), &weak),
    );
    let short = codec::encode(&(
        serde_bytes::Bytes::new(body),
        serde_bytes::Bytes::new(&signature[..63]),
    ));
    v.hex("signature-length / 63 bytes", short);
    for (name, from, to) in [
        (
            "payload-limit / a piece length that is no power of two",
            b"\x19\x40\x00".as_slice(),
            b"\x19\x40\x01".as_slice(),
        ),
        (
            "payload-limit / a control character in a title",
            b"in the garden",
            b"in\x01the garden",
        ),
        ("payload-encoding / no title", b"\x64name", b"\x64mane"),
        ("payload-encoding / null", b"nsfw\xf4", b"nsfw\xf6"),
        (
            "payload-encoding / a byte string where text belongs",
            b"owner\x64root",
            b"owner\x44root",
        ),
        (
            "payload-encoding / a list where a map belongs",
            b"\x69thumbnail\xa4",
            b"\x69thumbnail\x84",
        ),
    ] {
        v.hex(name, altered(&sound, from, to));
    }
    let with_self = altered(
        &signed(friendship(bob().id()), stamp(1, 4)),
        bob().id().as_bytes(),
        alice().id().as_bytes(),
    );
    v.hex("object / friendship with oneself", with_self);
    let elsewhere = altered(
        &signed(report(), stamp(0, 0)),
        report().video.as_bytes(),
        hide().video.as_bytes(),
    );
    v.hex("object / a report of something else than it says", elsewhere);
    refused_keys(&mut v);
    v
}

fn refused_keys(v: &mut Vectors) {
    let altered_by = |key: &PodKey, record: &Verified<Record>, from: &[u8], to: &[u8]| {
        let (body, _) = parts(record.bytes());
        let at = body.windows(from.len()).position(|window| window == from);
        let at = at.expect("the part is there");
        seal(key, &[&body[..at], to, &body[at + from.len()..]].concat())
    };
    let by_second = Draft::live(&alice().id(), video().into())
        .and_then(|draft| draft.sign(&second(), stamp(2, 1)))
        .unwrap();
    let (body, _) = parts(by_second.bytes());
    v.hex(
        "signature / the second key is named and the first one signs",
        seal(&alice(), body),
    );
    let (a, s) = (alice().id(), second().public());
    v.hex(
        "signer / the first key is named as the signer of a video",
        altered_by(&alice(), &by_second, s.as_bytes(), a.as_bytes()),
    );
    v.hex(
        "shape / version 1 with a signer",
        altered_by(&second(), &by_second, b"version\x02", b"version\x01"),
    );
    let successor = succeeded(&alice(), &second(), 9);
    v.hex(
        "signer / a succession that is taken back",
        altered_by(&alice(), &successor, b"state\x01", b"state\x02"),
    );
    let proof = match successor.payload() {
        Record::Successor(successor) => successor.proof,
        _ => unreachable!("a succession"),
    };
    let mut turned = proof;
    turned[63] ^= 1;
    v.hex(
        "proof / of nobody",
        altered_by(&alice(), &successor, &proof, &turned),
    );
    let pin = pinned();
    v.hex(
        "payload-limit / a pin under a stamp",
        altered_by(&alice(), &pin, b"seq\x00", b"seq\x01"),
    );
    v.hex(
        "signer / a pin by the second key",
        altered_by(&second(), &pin, &signer_entry(&a), &signer_entry(&s)),
    );
}

fn signer_entry(key: &PodId) -> Vec<u8> {
    [b"\x66signer\x58\x20".as_slice(), key.as_bytes()].concat()
}

fn digests() -> Vectors {
    let mut v = Vectors::default();
    let mut trie = Trie::new();
    v.text("root of nothing", trie.root());
    // The first two part at the first nibble, the third follows the second for 63 of 64 nibbles.
    let mut twin = [0x20; 32];
    twin[31] = 0x21;
    for (n, key) in (1_u8..).zip([[0x10; 32], [0x20; 32], twin]) {
        let head = ContentHash::of(&[n]);
        v.hex(&format!("key {n}"), key);
        v.text(&format!("head {n}"), head);
        trie.insert(RegisterKey::from_bytes(key), head);
        v.text(&format!("root of 1 to {n}"), trie.root());
    }
    let many = (0..1000_u16).map(|n| (RegisterKey::from_bytes(blake3::hash(&n.to_be_bytes()).into()), n));
    let many: Trie = many
        .map(|(key, n)| (key, ContentHash::of(&n.to_le_bytes())))
        .collect();
    v.text(
        "root of 1000: key blake3(n as u16, big-endian), head blake3(n as u16, little-endian)",
        many.root(),
    );
    v.text(
        "state of alice with the first and bob with the second",
        state_digest([(alice().id(), trie.root()), (bob().id(), many.root())]),
    );
    v
}

fn requests() -> Vectors {
    let mut v = Vectors::default();
    let card = signed(card(), stamp(1, 1)).bytes().to_vec();
    let friendship = signed(friendship(bob().id()), stamp(1, 2)).bytes().to_vec();
    for (name, request) in [
        (
            "befriend",
            Request::Befriend {
                card: card.clone(),
                friendship: friendship.clone(),
                invite: None,
                keys: Vec::new(),
            },
        ),
        ("list-friends", Request::ListFriends),
        ("roots", Request::Roots),
        (
            "pull all",
            Request::Pull {
                author: alice().id(),
                after: None,
            },
        ),
        (
            "pull after",
            Request::Pull {
                author: alice().id(),
                after: Some(stamp(3, 4)),
            },
        ),
        (
            "tell",
            Request::Tell {
                envelopes: vec![friendship.clone()],
            },
        ),
    ] {
        v.hex(&format!("request {name}"), request.encode().unwrap());
    }
    let hint = FriendHint {
        pod: bob().id(),
        host: "localhost:9002".into(),
        addresses: vec!["/ip4/127.0.0.1/tcp/4002".into()],
    };
    let root = AuthorRoot {
        author: alice().id(),
        root: ContentHash::of(b"root"),
        records: 5,
    };
    for (name, response) in [
        (
            "befriended",
            Response::Befriended {
                card,
                friendship: friendship.clone(),
                keys: Vec::new(),
            },
        ),
        (
            "refused",
            Response::refused(Refusal::AskedOperator, "the operator was asked"),
        ),
        ("friends", Response::Friends(vec![hint])),
        ("roots", Response::Roots(vec![root])),
        (
            "page",
            Response::Page {
                envelopes: vec![friendship],
                more: false,
            },
        ),
        ("told", Response::Told { applied: 1 }),
    ] {
        v.hex(&format!("response {name}"), response.encode().unwrap());
    }
    descent(&mut v);
    let report = signed(report(), stamp(0, 0)).bytes().to_vec();
    v.hex("request report", Request::Report { report }.encode().unwrap());
    v
}

/// Comparing digests: the trie has Alice's video and her profile, and is asked at the top and where each of them stands.
fn descent(v: &mut Vectors) {
    let author = alice().id();
    let records = [
        signed(video(), stamp(1, 3)),
        signed(common::profile(), stamp(1, 1)),
    ];
    let keys = records.each_ref().map(|record| record.header().key());
    let trie: Trie = records
        .iter()
        .map(|record| (record.header().key(), record.hash()))
        .collect();
    let first = |key: &RegisterKey| Prefix::new(&[key.as_bytes()[0] >> 4]).unwrap();
    let places = [Prefix::TOP, first(&keys[0]), first(&keys[1])];
    let stands = places.map(|place| match trie.node(place.nibbles()) {
        TrieNode::Empty => Place::Empty,
        TrieNode::Branch(children) => Place::Branch(children),
        TrieNode::Leaf { key, .. } => {
            let record = records
                .iter()
                .find(|record| record.header().key() == key)
                .unwrap();
            let rank = Rank::new(record.header(), record.hash());
            Place::Leaf { key, rank }
        }
    });
    assert!(matches!(
        stands,
        [Place::Branch(_), Place::Leaf { .. }, Place::Leaf { .. }]
    ));
    let nodes = Request::Nodes {
        author,
        places: places.to_vec(),
    };
    v.hex("request nodes", nodes.encode().unwrap());
    v.hex(
        "response nodes",
        Response::Nodes([stands.as_slice(), &[Place::Empty]].concat())
            .encode()
            .unwrap(),
    );
    let fetch = Request::Fetch {
        author,
        keys: keys.to_vec(),
    };
    v.hex("request fetch", fetch.encode().unwrap());
}

fn invites() -> Vectors {
    let mut v = Vectors::default();
    for (name, expires) in [
        ("for ever", None),
        ("expires", Some(Timestamp::from_millis(1_790_000_000_000))),
    ] {
        let invite = Invite {
            id: InviteId::from_bytes([9; 16]),
            url: "http://localhost:9002".into(),
            expires,
        };
        let signed = invite.sign(&bob()).unwrap();
        v.hex(&format!("invite {name} envelope"), signed.bytes());
        v.text(&format!("invite {name} link"), &signed);
        let request = Request::Befriend {
            card: common::signed(card(), stamp(1, 1)).bytes().to_vec(),
            friendship: common::signed(friendship(bob().id()), stamp(1, 2))
                .bytes()
                .to_vec(),
            invite: Some(signed.bytes().to_vec()),
            keys: Vec::new(),
        };
        v.hex(
            &format!("request befriend with invite {name}"),
            request.encode().unwrap(),
        );
    }
    v
}

/// What pods tell each other about their viewers, and hand on for them.
fn swarms() -> Vectors {
    let mut v = Vectors::default();
    v.record("hint", &signed(Record::Hint(common::hint()), stamp(0, 0)));
    let (offer, answer) = common::relayed();
    for (name, request) in [
        ("relay-offer", Request::RelayOffer(offer)),
        ("relay-answer", Request::RelayAnswer(answer)),
    ] {
        v.hex(&format!("request {name}"), request.encode().unwrap());
    }
    v.hex("response relayed", Response::Relayed.encode().unwrap());
    let nobody = Response::refused(Refusal::Nobody, "nobody here takes part in that torrent");
    v.hex("response nobody", nobody.encode().unwrap());
    v
}

fn all() -> [(&'static str, Vectors); 8] {
    [
        ("ids", ids()),
        ("records", records()),
        ("refused", refused()),
        ("digests", digests()),
        ("requests", requests()),
        ("invites", invites()),
        ("swarms", swarms()),
        ("keys", keys()),
    ]
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("vectors")
        .join(format!("{name}.hex"))
}

fn read(name: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(path(name)).unwrap();
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            line.rsplit_once(": ")
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .unwrap()
        })
        .collect()
}

#[test]
#[ignore = "writes files of vectors that do not exist yet, and adds the lines that a file lacks at its end"]
fn write_missing_files() {
    for (name, vectors) in all() {
        if path(name).exists() {
            let mut text = fs::read_to_string(path(name)).unwrap();
            for (name, value) in vectors.0.into_iter().skip(read(name).len()) {
                writeln!(text, "{name}: {value}").unwrap();
            }
            fs::write(path(name), text).unwrap();
            continue;
        }
        let mut text =
            format!("# Vectors of protocol/SPEC.md, checked by protocol/tests/golden.rs: {name}.\n");
        for (name, value) in vectors.0 {
            writeln!(text, "{name}: {value}").unwrap();
        }
        fs::write(path(name), text).unwrap();
    }
}

#[test]
fn every_vector_is_made_again() {
    for (file, vectors) in all() {
        let written = read(file);
        for (made, written) in vectors.0.iter().zip(&written) {
            assert_eq!(made, written, "in {file}.hex");
        }
        assert_eq!(vectors.0.len(), written.len(), "in {file}.hex");
    }
}

#[test]
fn every_envelope_of_the_files_opens() {
    let mut opened = 0;
    for (name, value) in read("records").into_iter().chain(read("keys")) {
        if name.ends_with(" envelope") {
            let record = Envelope::decode(HEXLOWER.decode(value.as_bytes()).unwrap())
                .unwrap()
                .open()
                .unwrap();
            let opaque = name.contains("unknown") || name.contains("version 2");
            assert_eq!(matches!(record.payload(), Record::Opaque(_)), opaque, "{name}");
            opened += 1;
        }
    }
    assert_eq!(opened, 26);
}

#[test]
fn every_refused_envelope_is_refused_for_its_reason() {
    for (name, value) in read("refused") {
        let bytes = HEXLOWER.decode(value.as_bytes()).unwrap();
        let (reason, forgery) = match Envelope::decode(bytes).map(Envelope::open) {
            Err(error) => (error.reason(), error.is_forgery()),
            Ok(Err(error)) => (error.reason(), error.is_forgery()),
            Ok(Ok(_)) => panic!("{name} was opened"),
        };
        assert_eq!(reason, name.split(" / ").next().unwrap(), "{name}");
        assert_eq!(
            forgery,
            matches!(reason, "signature" | "not-derived" | "proof"),
            "{name}"
        );
    }
}
