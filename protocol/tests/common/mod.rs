//! Records that the tests share: small, complete, and the same on every run.
#![allow(dead_code, missing_docs, unreachable_pub)] // each test file uses its own part

use seedpod_protocol::{
    envelope::{Draft, Epoch, Stamp, Verified},
    ids::{ChannelId, CommentId, ContentHash, InfoHash, PodId, Timestamp, VideoId},
    keys::PodKey,
    records::{
        Card, Channel, Comment, Contribution, Counter, Friendship, Hide, HintedSwarm, Mirror, Picture,
        Privacy, Profile, Record, RecoveryPin, Reply, Report, Revocation, Successor, SwarmHint, Tally, Video,
        VideoFile,
    },
    relay::{RelayedAnswer, RelayedOffer, Session},
    tracker::{OfferId, PeerId},
};

/// The pod most tests speak for.
pub fn alice() -> PodKey {
    PodKey::from_seed(&[1; 32])
}

/// Another pod.
pub fn bob() -> PodKey {
    PodKey::from_seed(&[2; 32])
}

pub fn stamp(counter: u32, seq: u64) -> Stamp {
    Stamp {
        epoch: Epoch {
            counter,
            tag: [0xe0; 8],
        },
        seq,
    }
}

pub fn profile() -> Profile {
    Profile {
        name: "Alice's pod".into(),
        description: "Films about gardens.\nSince 2026.".into(),
        email: Some("alice@pod.example".into()),
        url: "https://pod.example".into(),
        udp: None,
    }
}

pub fn card() -> Card {
    Card {
        name: "Alice's pod".into(),
        version: "0.1.0".into(),
        url: "http://localhost:9001".into(),
        addresses: vec!["/ip4/127.0.0.1/tcp/4001".into()],
    }
}

pub fn channel() -> Channel {
    Channel {
        nonce: [3; 16],
        name: "root_channel".into(),
        display_name: "Main root channel".into(),
        description: String::new(),
        owner: "root".into(),
        created_at: Timestamp::from_millis(1_790_000_000_000),
    }
}

pub fn video() -> Video {
    let picture = Picture {
        hash: ContentHash::of(b"a picture"),
        size: 9_000,
        width: 280,
        height: 157,
    };
    Video {
        nonce: [4; 16],
        channel: ChannelId::derive(&alice().id(), &[3; 16]),
        owner: "root".into(),
        name: "Spring 🌱 in the garden".into(),
        description: Some("Line one\nline two".into()),
        category: Some(15),
        licence: Some(2),
        language: Some("en".into()),
        nsfw: false,
        tags: vec!["garden".into(), "été".into()],
        support: None,
        comments_enabled: true,
        download_enabled: true,
        privacy: Privacy::Public,
        duration: 14,
        created_at: Timestamp::from_millis(1_790_000_000_000),
        published_at: Timestamp::from_millis(1_790_000_001_000),
        updated_at: Timestamp::from_millis(1_790_000_002_000),
        originally_published_at: None,
        thumbnail: Some(picture),
        preview: Some(Picture {
            width: 850,
            height: 480,
            ..picture
        }),
        files: vec![file(720)],
    }
}

pub fn file(resolution: u16) -> VideoFile {
    VideoFile {
        info_hash: InfoHash::from_bytes([5; 20]),
        size: 1_234_567,
        resolution,
        width: 1280,
        height: resolution,
        fps: 25,
        extension: "mp4".into(),
        piece_length: 16 * 1024,
    }
}

pub fn friendship(with: PodId) -> Friendship {
    Friendship {
        with,
        host: "localhost:9001".into(),
        addresses: vec!["/ip4/127.0.0.1/tcp/4001".into()],
        recovery: None,
        since: Timestamp::from_millis(1_790_000_000_000),
    }
}

pub fn tally() -> Tally {
    Tally {
        views: 1_000,
        likes: 20,
        dislikes: 0,
    }
}

pub fn counter() -> Counter {
    Counter {
        video: video().id(&alice().id()),
        tally: tally(),
    }
}

pub fn contribution() -> Contribution {
    Contribution {
        video: video().id(&bob().id()),
        origin: bob().id(),
        tally: tally(),
    }
}

/// Alice about a video of Bob's.
pub fn comment() -> Comment {
    Comment {
        nonce: [6; 16],
        video: VideoId::derive(&bob().id(), &[4; 16]),
        origin: bob().id(),
        reply: None,
        owner: "root".into(),
        display_name: None,
        text: "What a garden!\n🌱".into(),
        created_at: Timestamp::from_millis(1_790_000_003_000),
        updated_at: Timestamp::from_millis(1_790_000_003_000),
    }
}

/// Alice answers herself.
pub fn reply() -> Comment {
    let thread = comment().id(&alice().id());
    Comment {
        reply: Some(Reply { thread, to: thread }),
        display_name: Some("Alice <b>".into()),
        text: "And the bees.".into(),
        ..comment()
    }
}

/// Alice does not want a comment of Bob's under her video.
pub fn hide() -> Hide {
    let video = video().id(&alice().id());
    Hide {
        comment: CommentId::derive(&bob().id(), &[6; 16], &alice().id(), &video, None),
        video,
    }
}

/// A user of Alice's reports a video of Bob's.
pub fn report() -> Report {
    Report {
        origin: bob().id(),
        video: comment().video,
        comment: None,
        reporter: "root".into(),
        reason: "Not a garden at all.".into(),
        reasons: vec![2, 7],
        created_at: Timestamp::from_millis(1_790_000_004_000),
    }
}

pub fn mirror() -> Mirror {
    Mirror {
        video: video().id(&bob().id()),
        origin: bob().id(),
        info_hashes: vec![InfoHash::from_bytes([5; 20]), InfoHash::from_bytes([6; 20])],
    }
}

pub fn hint() -> SwarmHint {
    let swarm = |hash, leechers, seeders| HintedSwarm {
        info_hash: InfoHash::from_bytes([hash; 20]),
        leechers,
        seeders,
    };
    SwarmHint {
        at: Timestamp::from_millis(1_790_000_000_000),
        ttl: 90,
        swarms: vec![swarm(5, 4, 1), swarm(6, 0, 256)],
    }
}

/// An offer of a viewer, and the answer to it.
pub fn relayed() -> (RelayedOffer, RelayedAnswer) {
    let session = |text: &str| Session::try_from(text.to_owned()).expect("an object");
    let (info_hash, offer_id) = (InfoHash::from_bytes([5; 20]), OfferId::from_bytes([8; 20]));
    let offer = RelayedOffer {
        info_hash,
        peer_id: PeerId::from_bytes([6; 20]),
        offer_id,
        seeder: false,
        offer: session(r#"{"type":"offer","sdp":"v=0\r\n"}"#),
    };
    let answer = RelayedAnswer {
        info_hash,
        peer_id: PeerId::from_bytes([7; 20]),
        to_peer_id: offer.peer_id,
        offer_id,
        answer: session(r#"{"type":"answer","sdp":"v=0\r\n"}"#),
    };
    (offer, answer)
}

/// Alice's second key.
pub fn second() -> PodKey {
    PodKey::of_pod(alice().id(), &[0x11; 32])
}

/// Her third.
pub fn third() -> PodKey {
    PodKey::of_pod(alice().id(), &[0x13; 32])
}

/// The key in her drawer.
pub fn recovery() -> PodKey {
    PodKey::of_pod(alice().id(), &[0x12; 32])
}

/// Alice pins it.
pub fn pinned() -> Verified<Record> {
    let key = alice();
    Draft::live(&key.id(), RecoveryPin::of(&recovery().public()).into())
        .and_then(|draft| draft.sign(&key, Stamp::ZERO))
        .expect("a sound pin")
}

/// One of Alice's keys makes another follow.
pub fn succeeded(now: &PodKey, next: &PodKey, seq: u64) -> Verified<Record> {
    Draft::live(&now.id(), Successor::new(now, next).into())
        .and_then(|draft| draft.sign(now, stamp(1, seq)))
        .expect("a sound succession")
}

/// Her recovery key ends one.
pub fn revoked(key: &PodKey, last: Stamp, next: Option<&PodKey>) -> Verified<Record> {
    let revocation = Revocation {
        key: key.public(),
        last,
        next: next.map(PodKey::public),
    };
    Draft::live(&key.id(), revocation.into())
        .and_then(|draft| draft.sign(&recovery(), Stamp::ZERO))
        .expect("a sound revocation")
}

/// One payload of every kind that catalogs hold from the first version on.
pub fn payloads() -> Vec<Record> {
    vec![
        profile().into(),
        channel().into(),
        video().into(),
        friendship(bob().id()).into(),
        card().into(),
    ]
}

/// Signs a live record of Alice's.
pub fn signed(payload: impl Into<Record>, stamp: Stamp) -> Verified<Record> {
    let key = alice();
    Draft::live(&key.id(), payload.into())
        .and_then(|draft| draft.sign(&key, stamp))
        .expect("a sound record")
}
