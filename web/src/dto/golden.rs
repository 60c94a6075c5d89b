//! The JSON of the API, written out: whoever changes a key sees here what clients will see.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::Arc;
use std::time::Duration;

use seedpod_actors::accounts::messages::{Role, User};
use seedpod_actors::catalog::messages::FriendSync;
use seedpod_actors::comments::messages::{CommentEntry, Said};
use seedpod_actors::friends::messages::{
    FriendEntry, InviteEntry, InviteState, Outstanding, Phase, RoundStats, ScoreChange, ScoreReason,
};
use seedpod_actors::meter::messages::{Figures, Told};
use seedpod_actors::search::messages::{ChannelEntry, VideoEntry};
use seedpod_actors::seeder::messages::Carried as Sent;
use seedpod_protocol::envelope::{Draft, Epoch, Stamp};
use seedpod_protocol::ids::{InfoHash, Timestamp};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::{Channel, Picture, Privacy, Profile, Record, Tally, Video, VideoFile};
use serde_json::{Value, json};

use super::*;

const OWN: &str = "http://localhost:9001";

fn profile() -> Arc<Profile> {
    Arc::new(Profile {
        name: "Three".into(),
        description: String::new(),
        email: Some("admin3@example.com".into()),
        url: "http://localhost:9003".into(),
        udp: Some(9013),
    })
}

fn channel(key: &PodKey) -> Arc<ChannelEntry> {
    let created_at = Timestamp::from_millis(1_700_000_000_000);
    let channel = Channel {
        nonce: [1; 16],
        name: "root_channel".into(),
        display_name: "Root's".into(),
        description: "All of it".into(),
        owner: "root".into(),
        created_at,
    };
    Arc::new(ChannelEntry {
        id: channel.id(&key.id()),
        number: 4,
        origin: key.id(),
        is_local: false,
        channel,
        profile: Some(profile()),
    })
}

/// A video of pod 3 as pod 1 sees it.
pub(crate) fn video() -> VideoEntry {
    let key = PodKey::from_seed(&[3; 32]);
    let hash = seedpod_protocol::ids::ContentHash::of(b"picture");
    let picture = Picture {
        hash,
        size: 1000,
        width: 280,
        height: 157,
    };
    let file = VideoFile {
        info_hash: InfoHash::from_bytes([0xab; 20]),
        size: 572_456,
        resolution: 720,
        width: 1280,
        height: 720,
        fps: 25,
        extension: "webm".into(),
        piece_length: 16 * 1024,
    };
    let video = Video {
        nonce: [2; 16],
        channel: channel(&key).id,
        owner: "root".into(),
        name: "A film & more".into(),
        description: Some("x".repeat(251)),
        category: Some(5),
        licence: None,
        language: Some("zh".into()),
        nsfw: true,
        tags: vec!["tag1".into(), "tag2".into()],
        support: None,
        comments_enabled: true,
        download_enabled: true,
        privacy: Privacy::Public,
        duration: 10,
        created_at: Timestamp::from_millis(1_700_000_000_001),
        published_at: Timestamp::from_millis(1_700_000_000_002),
        updated_at: Timestamp::from_millis(1_700_000_000_003),
        originally_published_at: None,
        thumbnail: Some(picture),
        preview: None,
        files: vec![file],
    };
    let stamp = Stamp {
        epoch: Epoch {
            counter: 1,
            tag: [0; 8],
        },
        seq: 1,
    };
    let record = Draft::live(&key.id(), Record::Video(video.clone()))
        .unwrap()
        .sign(&key, stamp)
        .unwrap();
    VideoEntry {
        id: video.id(&key.id()),
        number: 7,
        origin: key.id(),
        is_local: false,
        video,
        channel: Some(channel(&key)),
        profile: Some(profile()),
        received_at: Timestamp::from_millis(1_700_000_000_100),
        tally: Tally {
            views: 12,
            likes: 3,
            dislikes: 1,
        },
        via: key.id(),
        record,
    }
}

fn figures() -> Figures {
    Figures {
        sent: Sent {
            web_seed: 600,
            webrtc: 50,
            tcp: 20,
        },
        told: Told {
            from_viewers: 330,
            from_pods: 500,
            given: 300,
        },
    }
}

fn json_of(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

#[test]
fn a_video_of_a_friend() {
    let entry = video();
    let (id, pod) = (entry.id.to_string(), entry.origin.to_string());
    let (name, magnet_name) = (format!("{id}-720.webm"), "A%20film%20%26%20more");
    let encoded = format!("http%3A%2F%2Flocalhost%3A9003%2Fstatic%2Fwebseed%2F{id}-720.webm");
    let encoded_torrent = format!("http%3A%2F%2Flocalhost%3A9003%2Fstatic%2Ftorrents%2F{id}-720.torrent");
    let magnet = format!(
        "magnet:?xt=urn:btih:{}&dn={magnet_name}&tr=ws%3A%2F%2Flocalhost%3A9003%2Ftracker%2Fsocket&tr=http%3A%2F%2Flocalhost%3A9003%2Ftracker%2Fannounce\
         &tr=udp%3A%2F%2Flocalhost%3A9013%2Fannounce&ws={encoded}&xs={encoded_torrent}",
        "ab".repeat(20)
    );
    let expected = json!({
        "id": 7,
        "uuid": id,
        "shortUUID": entry.id.short(),
        "url": format!("http://localhost:9003/w/{}", entry.id.short()),
        "name": "A film & more",
        "category": { "id": 5, "label": "Sports" },
        "licence": { "id": null, "label": "Unknown" },
        "language": { "id": "zh", "label": "Chinese" },
        "privacy": { "id": 1, "label": "Public" },
        "nsfw": true,
        "description": "x".repeat(251),
        "truncatedDescription": "x".repeat(247) + "...",
        "support": null,
        "isLocal": false,
        "isLive": false,
        "duration": 10,
        "views": 12,
        "likes": 3,
        "dislikes": 1, "comments": 7,
        "thumbnailPath": format!("/lazy-static/thumbnails/{id}.jpg"),
        "previewPath": null,
        "embedPath": format!("/videos/embed/{id}"),
        "createdAt": "2023-11-14T22:13:20.001Z",
        "publishedAt": "2023-11-14T22:13:20.002Z",
        "updatedAt": "2023-11-14T22:13:20.003Z",
        "originallyPublishedAt": null,
        "account": { "name": "root", "displayName": "root", "url": "http://localhost:9003/a/root", "host": "localhost:9003", "avatars": [] },
        "channel": {
            "id": 4,
            "uuid": entry.video.channel.to_string(),
            "name": "root_channel",
            "displayName": "Root's",
            "url": "http://localhost:9003/c/root_channel",
            "host": "localhost:9003",
            "avatars": [],
        },
        "commentsEnabled": true,
        "downloadEnabled": true,
        "waitTranscoding": false,
        "state": { "id": 1, "label": "Published" },
        "tags": ["tag1", "tag2"],
        "trackerUrls": [
            "ws://localhost:9003/tracker/socket",
            "http://localhost:9003/tracker/announce",
            "udp://localhost:9013/announce",
        ],
        "files": [{
            "resolution": { "id": 720, "label": "720p" },
            "size": 572_456,
            "fps": 25,
            "width": 1280,
            "height": 720,
            "infoHash": "ab".repeat(20),
            "magnetUri": magnet,
            "torrentUrl": format!("http://localhost:9003/static/torrents/{id}-720.torrent"),
            "torrentDownloadUrl": format!("http://localhost:9003/download/torrents/{id}-720.torrent"),
            "fileUrl": format!("http://localhost:9003/static/webseed/{name}"),
            "fileDownloadUrl": format!("http://localhost:9003/download/videos/{name}"),
            "hasVideo": true,
            "hasAudio": true,
        }],
        "streamingPlaylists": [],
        "podHost": "localhost:9003",
        "author": "root",
        "podId": pod,
        "receivedAt": "2023-11-14T22:13:20.100Z",
        "via": pod,
        "carried": {
            "webSeed": 600,
            "webrtc": 50,
            "tcp": 20,
            "viewers": { "fromViewers": 330, "fromPods": 500, "given": 300 },
            "share": 0.33,
        },
    });
    assert_eq!(json_of(&super::Video::of(&entry, 7, figures(), OWN)), expected);
}

#[test]
fn nobody_has_a_share_of_nothing() {
    let carried = json_of(&Carried::from(Figures::default()));
    assert_eq!(
        (&carried["webSeed"], &carried["share"]),
        (&json!(0), &Value::Null)
    );
}

#[test]
fn a_video_looks_the_same_on_every_pod_but_for_what_is_local() {
    let entry = video();
    let (mut here, mut there) = (
        json_of(&super::Video::of(&entry, 7, figures(), OWN)),
        json_of(&super::Video::of(&entry, 7, figures(), "https://pod.example")),
    );
    for json in [&mut here, &mut there] {
        json.as_object_mut()
            .unwrap()
            .retain(|key, _| !matches!(key.as_str(), "id" | "isLocal" | "receivedAt" | "via" | "carried"));
    }
    assert_eq!(here, there);
}

#[test]
fn a_video_whose_origin_is_not_known_yet_has_no_files() {
    let entry = VideoEntry {
        profile: None,
        channel: None,
        ..video()
    };
    let json = json_of(&super::Video::of(&entry, 7, figures(), OWN));
    assert_eq!(
        (&json["files"], &json["trackerUrls"], &json["channel"]),
        (&json!([]), &json!([]), &Value::Null)
    );
}

#[test]
fn a_channel() {
    let entry = channel(&PodKey::from_seed(&[3; 32]));
    let expected = json!({
        "id": 4,
        "uuid": entry.id.to_string(),
        "name": "root_channel",
        "displayName": "Root's",
        "url": "http://localhost:9003/c/root_channel",
        "host": "localhost:9003",
        "avatars": [],
        "description": "All of it",
        "support": null,
        "isLocal": false,
        "podId": entry.origin.to_string(),
        "followersCount": 0,
        "followingCount": 0,
        "banners": [],
        "createdAt": "2023-11-14T22:13:20.000Z",
        "updatedAt": "2023-11-14T22:13:20.000Z",
        "ownerAccount": { "name": "root", "displayName": "root", "url": "http://localhost:9003/a/root", "host": "localhost:9003", "avatars": [] },
    });
    assert_eq!(json_of(&super::Channel::of(&entry, OWN)), expected);
}

#[test]
fn a_friend() {
    let pod = PodKey::from_seed(&[3; 32]).id();
    let entry = FriendEntry {
        number: 2,
        pod,
        host: "localhost:9003".into(),
        url: "http://localhost:9003".into(),
        phase: Phase::Friends,
        score: 20,
        since: Timestamp::from_millis(1_700_000_000_000),
        connected: true,
        last_heard: None,
        rtt_ms: Some(3),
        in_sync: false,
        trouble: None,
        lets_us_in: true,
        version: "0.1.0".into(),
        cause: None,
        changed: Some(ScoreChange {
            by: -10,
            at: Timestamp::from_millis(1_700_000_000_000),
            reason: ScoreReason::Unreachable("timed out".into()),
        }),
    };
    let sync = FriendSync {
        held: 120,
        total: 340,
        acknowledged: 8,
        own: 9,
    };
    let mut expected = json!({
        "id": 2,
        "podId": pod.to_string(),
        "host": "localhost:9003",
        "url": "http://localhost:9003",
        "name": "Three",
        "email": "admin3@example.com",
        "score": 20,
        "state": "friends",
        "createdAt": "2023-11-14T22:13:20.000Z",
        "connected": true,
        "inSync": false,
        "lastHeard": null,
        "rttMs": 3,
        "trouble": null,
        "version": "0.1.0",
        "letsUsIn": true,
        "cause": null,
        "scoreChange": { "by": -10, "at": "2023-11-14T22:13:20.000Z", "reason": "it lacked our records: timed out" },
    });
    assert_eq!(json_of(&super::Pod::of(&entry, Some(&profile()), None)), expected);
    expected["sync"] = json!({ "held": 120, "total": 340, "acknowledged": 8, "own": 9 });
    let asked = super::Pod::of(&entry, Some(&profile()), Some(&sync));
    assert_eq!(json_of(&asked), expected);
}

#[test]
fn an_invite() {
    let invite = InviteEntry {
        number: 4,
        label: "for a neighbour".into(),
        link: "http://localhost:9001/invite#abc".into(),
        created: Timestamp::from_millis(1_700_000_000_000),
        expires: None,
        uses: 2,
        used: 1,
        state: InviteState::Open,
    };
    let expected = json!({
        "id": 4,
        "label": "for a neighbour",
        "link": "http://localhost:9001/invite#abc",
        "createdAt": "2023-11-14T22:13:20.000Z",
        "expiresAt": null,
        "uses": 2,
        "used": 1,
        "state": "open",
    });
    assert_eq!(json_of(&super::Invite::of(&invite)), expected);
}

#[test]
fn the_rounds() {
    let pod = PodKey::from_seed(&[3; 32]).id();
    let stats = RoundStats {
        round: Duration::from_secs(10),
        remaining: Duration::from_millis(1500),
        friends: vec![Outstanding {
            pod,
            host: "localhost:9003".into(),
            records: 3,
        }],
    };
    let queue = |total| json!({ "totalRequests": total, "remainingMilliSeconds": 1500, "milliSecondsInterval": 10_000 });
    let expected = json!({
        "requestScheduler": queue(3),
        "requestVideoQaduScheduler": queue(0),
        "requestVideoEventScheduler": queue(0),
        "friends": [{ "podId": pod.to_string(), "host": "localhost:9003", "unacknowledged": 3 }],
    });
    assert_eq!(super::rounds(&stats), expected);
}

#[test]
fn a_user() {
    let user = User {
        number: 1,
        username: "root".into(),
        email: None,
        role: Role::Administrator,
        video_quota: None,
        created_at: Timestamp::from_millis(1_700_000_000_000),
        channels: Vec::new(),
    };
    let expected = json!({
        "id": 1,
        "username": "root",
        "email": null,
        "role": { "id": 0, "label": "Administrator" },
        "videoQuota": -1,
        "videoQuotaDaily": -1,
        "nsfwPolicy": "display",
        "createdAt": "2023-11-14T22:13:20.000Z",
        "account": { "name": "root", "displayName": "root", "url": "http://localhost:9001/a/root", "host": "localhost:9001", "avatars": [] },
        "videoChannels": [],
    });
    assert_eq!(json_of(&super::Me::of(&user, Vec::new(), OWN)), expected);
}

fn comment(number: u64, in_reply_to: Option<u64>) -> CommentEntry {
    let key = PodKey::from_seed(&[3; 32]);
    let id = |nonce: u8| {
        let video = video().id;
        seedpod_protocol::ids::CommentId::derive(&key.id(), &[nonce; 16], &key.id(), &video, None)
    };
    CommentEntry {
        id: id(1),
        number,
        thread: id(1),
        thread_number: 30,
        in_reply_to,
        replies: 2,
        replies_by_publisher: 1,
        at: Timestamp::from_millis(1_700_000_000_000),
        said: Some(Said {
            author: key.id(),
            is_local: false,
            profile: Some(profile()),
            owner: "ann".into(),
            display_name: Some("Ann <b>".into()),
            text: "Hello".into(),
            updated_at: Timestamp::from_millis(1_700_000_000_000),
        }),
    }
}

#[test]
fn a_comment() {
    let (entry, video) = (comment(30, None), video());
    let expected = json!({
        "id": 30,
        "uuid": entry.id.to_string(),
        "url": format!("http://localhost:9003/w/{}#comment-{}", video.id.short(), entry.id),
        "text": "Hello",
        "threadId": 30,
        "inReplyToCommentId": null,
        "videoId": video.number,
        "createdAt": "2023-11-14T22:13:20.000Z",
        "updatedAt": "2023-11-14T22:13:20.000Z",
        "deletedAt": null,
        "isDeleted": false,
        "heldForReview": false,
        "totalReplies": 2,
        "totalRepliesFromVideoAuthor": 1,
        "account": {
            "name": "ann",
            "displayName": "Ann <b>",
            "url": "http://localhost:9003/a/ann",
            "host": "localhost:9003",
            "avatars": [],
        },
        "podId": PodKey::from_seed(&[3; 32]).id().to_string(),
        "isLocal": false,
    });
    assert_eq!(json_of(&super::Comment::of(&entry, &video, OWN)), expected);
    let gone = CommentEntry { said: None, ..entry };
    let gone = json_of(&super::Comment::of(&gone, &video, OWN));
    assert_eq!((&gone["isDeleted"], &gone["text"]), (&json!(true), &json!("")));
    assert_eq!(
        (&gone["account"], &gone["deletedAt"]),
        (&Value::Null, &json!("2023-11-14T22:13:20.000Z"))
    );
}

#[test]
fn a_thread_is_a_tree_and_not_a_deep_one() {
    let video = video();
    let of = |number, to| super::Comment::of(&comment(number, to), &video, OWN);
    // Each answers the one before it.
    let replies = (31..=80).map(|number| (Some(number - 1), of(number, Some(number - 1))));
    let tree = json_of(&super::CommentTree::of(of(30, None), replies.collect()));
    let (mut at, mut depth, mut seen) = (&tree, 0, 1);
    while let Some(next) = at["children"].as_array().and_then(|children| children.first()) {
        depth += 1;
        seen += at["children"].as_array().unwrap().len();
        assert_eq!(next["comment"]["id"], 30 + depth);
        at = next;
    }
    assert_eq!((depth, seen), (20, 51));
    // Who answers something that is not there answers the first.
    let tree = json_of(&super::CommentTree::of(
        of(30, None),
        vec![(Some(99), of(31, None)), (None, of(32, None))],
    ));
    assert_eq!(tree["children"].as_array().unwrap().len(), 2);
}
