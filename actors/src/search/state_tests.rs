//! Lists, filters, orders and what leaves them.

use seedpod_protocol::envelope::{Draft, Epoch, Stamp};
use seedpod_protocol::ids::Timestamp;
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::VideoFile;

use super::*;

const NEWEST: Sort = Sort {
    key: SortKey::PublishedAt,
    descending: true,
};

fn key(seed: u8) -> PodKey {
    PodKey::from_seed(&[seed; 32])
}

fn stamp(seq: u64) -> Stamp {
    Stamp {
        epoch: Epoch {
            counter: 1,
            tag: [0; 8],
        },
        seq,
    }
}

fn held(author: &PodKey, seq: u64, draft: Draft) -> HeldRecord {
    HeldRecord {
        record: draft.sign(author, stamp(seq)).expect("within the limits"),
        number: seq,
        received_at: Timestamp::EPOCH,
        via: author.id(),
    }
}

fn channel() -> Channel {
    Channel {
        nonce: [7; 16],
        name: "root_channel".to_owned(),
        display_name: "Open Networks".to_owned(),
        description: String::new(),
        owner: "root".to_owned(),
        created_at: Timestamp::from_millis(1),
    }
}

fn video(author: &PodKey, number: u8, name: &str) -> Video {
    Video {
        nonce: [number; 16],
        channel: channel().id(&author.id()),
        owner: "root".to_owned(),
        name: name.to_owned(),
        description: None,
        category: Some(u16::from(number)),
        licence: None,
        language: None,
        nsfw: false,
        tags: vec![format!("tag{number}")],
        support: None,
        comments_enabled: true,
        download_enabled: true,
        privacy: Privacy::Public,
        duration: u32::from(number) * 10,
        created_at: Timestamp::from_millis(u64::from(number)),
        published_at: Timestamp::from_millis(u64::from(number)),
        updated_at: Timestamp::from_millis(u64::from(number)),
        originally_published_at: None,
        thumbnail: None,
        preview: None,
        files: vec![VideoFile {
            info_hash: InfoHash::from_bytes([number; 20]),
            size: 1000,
            resolution: 720,
            width: 1280,
            height: 720,
            fps: 25,
            extension: "mp4".to_owned(),
            piece_length: 16 * 1024,
        }],
    }
}

fn show(model: &mut ReadModel, author: &PodKey, seq: u64, video: Video) -> VideoId {
    let id = video.id(&author.id());
    model.apply(&held(
        author,
        seq,
        Draft::live(&author.id(), Record::Video(video)).expect("a video"),
    ));
    model.check();
    id
}

/// Three videos of this pod, the second one unlisted, and one of a friend.
fn model() -> (ReadModel, PodKey, PodKey) {
    let (me, friend) = (key(1), key(2));
    let mut model = ReadModel::new(me.id());
    for author in [&me, &friend] {
        let draft = Draft::live(&author.id(), Record::Channel(channel())).expect("a channel");
        model.apply(&held(author, 90, draft));
    }
    show(&mut model, &me, 1, video(&me, 1, "Alpha and the sea"));
    show(
        &mut model,
        &me,
        2,
        Video {
            privacy: Privacy::Unlisted,
            ..video(&me, 2, "Beta")
        },
    );
    show(
        &mut model,
        &me,
        3,
        Video {
            nsfw: true,
            ..video(&me, 3, "gamma")
        },
    );
    show(&mut model, &friend, 4, video(&friend, 4, "Delta by the sea"));
    assert_eq!(
        model.totals().videos,
        0,
        "without a profile there is no address to give people"
    );
    for (author, number) in [(&me, 1), (&friend, 2)] {
        let draft = Draft::live(&author.id(), Record::Profile(profile(number))).expect("a profile");
        model.apply(&held(author, 91, draft));
    }
    model.check();
    (model, me, friend)
}

fn profile(number: u8) -> Profile {
    Profile {
        name: format!("pod-{number}"),
        description: String::new(),
        email: None,
        url: format!("http://localhost:900{number}"),
        udp: None,
    }
}

fn names(model: &ReadModel, filter: VideoFilter, sort: Sort) -> Vec<String> {
    let page = model.videos(&filter, sort, 0, 100);
    assert_eq!(page.total, page.rows.len());
    page.rows.iter().map(|entry| entry.video.name.clone()).collect()
}

#[test]
fn public_videos_are_listed_newest_first() {
    let (model, ..) = model();
    assert_eq!(
        names(&model, VideoFilter::default(), NEWEST),
        ["Delta by the sea", "gamma", "Alpha and the sea"]
    );
    let by_name = Sort {
        key: SortKey::Name,
        descending: false,
    };
    assert_eq!(
        names(&model, VideoFilter::default(), by_name),
        ["Alpha and the sea", "Delta by the sea", "gamma"]
    );
}

#[test]
fn a_page_tells_the_total() {
    let (model, ..) = model();
    let page = model.videos(&VideoFilter::default(), NEWEST, 1, 1);
    assert_eq!((page.total, page.rows.len()), (3, 1));
    assert_eq!(page.rows[0].video.name, "gamma");
    assert!(
        model
            .videos(&VideoFilter::default(), NEWEST, 9, 5)
            .rows
            .is_empty()
    );
}

#[test]
fn filters_narrow() {
    let (model, ..) = model();
    let list = |filter| names(&model, filter, NEWEST);
    let text = |text: &str| VideoFilter {
        text: Some(text.to_owned()),
        ..VideoFilter::default()
    };
    assert_eq!(list(text("SEA")), ["Delta by the sea", "Alpha and the sea"]);
    assert_eq!(
        list(text("sea localhost:9002")),
        ["Delta by the sea"],
        "the host is searched, once it is known"
    );
    assert_eq!(list(text("open networks")).len(), 3, "so is the channel");
    assert_eq!(
        list(VideoFilter {
            is_local: Some(false),
            ..VideoFilter::default()
        }),
        ["Delta by the sea"]
    );
    assert_eq!(
        list(VideoFilter {
            nsfw: Some(true),
            ..VideoFilter::default()
        }),
        ["gamma"]
    );
    assert_eq!(
        list(VideoFilter {
            categories: vec![1, 9],
            ..VideoFilter::default()
        }),
        ["Alpha and the sea"]
    );
    let tags = VideoFilter {
        tags_one_of: vec!["TAG4".to_owned(), "tag9".to_owned()],
        ..VideoFilter::default()
    };
    assert_eq!(list(tags), ["Delta by the sea"]);
    let host = VideoFilter {
        host: Some("localhost:9002".to_owned()),
        ..VideoFilter::default()
    };
    assert_eq!(list(host), ["Delta by the sea"]);
}

#[test]
fn owners_see_what_is_unlisted_and_others_find_it_by_its_link_alone() {
    let (model, me, _) = model();
    let own = VideoFilter {
        owner: Some("root".to_owned()),
        ..VideoFilter::default()
    };
    assert_eq!(names(&model, own, NEWEST), ["gamma", "Beta", "Alpha and the sea"]);
    let id = video(&me, 2, "Beta").id(&me.id());
    assert!(model.video(VideoKey::Id(id)).is_some());
    assert!(model.video(VideoKey::Number(2)).is_some());
}

#[test]
fn an_update_replaces_and_a_removal_hides() {
    let (mut model, me, _) = model();
    let id = show(&mut model, &me, 50, video(&me, 1, "Alpha, renamed"));
    assert_eq!(
        model.video(VideoKey::Id(id)).expect("shown").video.name,
        "Alpha, renamed"
    );
    assert_eq!(model.totals().videos, 3);
    model.apply(&held(&me, 51, Draft::removed(Kind::VIDEO, id.into())));
    model.check();
    assert!(model.video(VideoKey::Id(id)).is_none());
    assert!(model.video_with(&InfoHash::from_bytes([1; 20])).is_none());
    assert_eq!(model.totals().videos, 2);
}

#[test]
fn a_friend_leaves_with_everything() {
    let (mut model, _, friend) = model();
    model.forget_author(&friend.id());
    model.check();
    assert_eq!(
        names(&model, VideoFilter::default(), NEWEST),
        ["gamma", "Alpha and the sea"]
    );
    assert!(model.profile(&friend.id()).is_none());
    assert_eq!(model.channels(None, 0, 10).total, 1);
}

#[test]
fn of_an_author_who_is_hidden_those_videos_stay_that_are_kept_here() {
    let (mut model, me, friend) = model();
    let before = model.totals().videos;
    let of_friend = |model: &ReadModel| -> Vec<VideoId> {
        let shown = model
            .videos
            .values()
            .filter(|shown| shown.entry.origin == friend.id());
        shown.map(|shown| shown.entry.id).collect()
    };
    let kept = of_friend(&model)[0];
    let film = model.video(VideoKey::Id(kept)).expect("shown");
    let offer = |author: &PodKey| {
        let mirror = Mirror {
            video: kept,
            origin: friend.id(),
            info_hashes: film.video.files.iter().map(|file| file.info_hash).collect(),
        };
        Draft::live(&author.id(), mirror.into()).expect("an offer")
    };
    show(&mut model, &friend, 200, video(&friend, 9, "Not kept"));
    model.apply(&held(&me, 201, offer(&me)));
    model.hide_author(&friend.id());
    model.check();
    assert_eq!(of_friend(&model), [kept]);
    assert_eq!(model.mirrors(&kept).len(), 1, "it can be watched from here");
    assert!(model.profile(&friend.id()).is_some() && film.channel.is_some());

    // The copy goes, and the video with it.
    model.apply(&held(&me, 202, Draft::withdrawn(Kind::MIRROR, kept.into())));
    model.check();
    assert_eq!(of_friend(&model), []);
    assert!(model.profile(&friend.id()).is_none());

    // Somebody else's copy is none of ours, and who is back is shown whole.
    let (mut model, me, _) = self::model();
    model.apply(&held(&key(3), 203, offer(&key(3))));
    model.hide_author(&friend.id());
    assert_eq!(of_friend(&model), []);
    let (mut model_again, _, _) = self::model();
    model_again.apply(&held(&me, 204, offer(&me)));
    model_again.hide_author(&friend.id());
    show(&mut model_again, &friend, 205, video(&friend, 9, "Back"));
    model_again.apply(&held(&me, 206, Draft::withdrawn(Kind::MIRROR, kept.into())));
    model_again.check();
    assert!(of_friend(&model_again).contains(&kept));
    assert_eq!(model_again.totals().videos, before + 1);
}

#[test]
fn channels_are_found_by_handle_here_and_with_a_host_elsewhere() {
    let (model, me, friend) = model();
    let find = |host: Option<&str>| {
        let key = ChannelKey::Handle {
            name: "root_channel".to_owned(),
            host: host.map(str::to_owned),
        };
        model.channel(&key).map(|channel| channel.origin)
    };
    assert_eq!(find(None), Some(me.id()));
    assert_eq!(find(Some("localhost:9002")), Some(friend.id()));
    assert_eq!(find(Some("localhost:9009")), None);
}

#[test]
fn nobody_hides_what_belongs_to_another() {
    let (mut model, me, friend) = model();
    let id = video(&me, 1, "Alpha").id(&me.id());
    let channel = channel().id(&me.id());
    for (kind, object) in [(Kind::VIDEO, id.into()), (Kind::CHANNEL, channel.into())] {
        model.apply(&held(&friend, 99, Draft::removed(kind, object)));
        model.check();
    }
    assert!(model.video(VideoKey::Id(id)).is_some());
    assert!(model.channel(&ChannelKey::Id(channel)).is_some());
}

#[test]
fn what_was_withdrawn_while_it_waited_for_its_channel_is_never_shown() {
    let (me, friend) = (key(1), key(2));
    let mut model = ReadModel::new(me.id());
    let id = show(&mut model, &friend, 1, video(&friend, 4, "Delta"));
    let withdrawn = Draft::withdrawn(Kind::VIDEO, id.into());
    model.apply(&held(&friend, 2, withdrawn));
    model.check();
    let draft = Draft::live(&friend.id(), Record::Channel(channel())).expect("a channel");
    model.apply(&held(&friend, 3, draft));
    let draft = Draft::live(&friend.id(), Record::Profile(profile(2))).expect("a profile");
    model.apply(&held(&friend, 4, draft));
    model.check();
    assert!(model.video(VideoKey::Id(id)).is_none());
}

#[test]
fn a_version_that_cannot_be_shown_yet_hides_the_one_before() {
    let (mut model, _, friend) = model();
    let moved = Video {
        channel: ChannelId::derive(&friend.id(), &[8; 16]),
        privacy: Privacy::Unlisted,
        ..video(&friend, 4, "Delta by the sea")
    };
    let id = show(&mut model, &friend, 95, moved);
    assert!(model.video(VideoKey::Id(id)).is_none(), "its channel is not here");
    assert_eq!(
        names(&model, VideoFilter::default(), NEWEST),
        ["gamma", "Alpha and the sea"]
    );
    let draft = Draft::live(
        &friend.id(),
        Record::Channel(Channel {
            nonce: [8; 16],
            ..channel()
        }),
    );
    model.apply(&held(&friend, 96, draft.expect("a channel")));
    model.check();
    assert!(model.video(VideoKey::Id(id)).is_some());
}

#[test]
fn copies_are_found_while_they_are_offered_and_of_use() {
    let (mut model, me, friend) = model();
    let other = key(3);
    let shown = |model: &ReadModel, id: &VideoId| -> Vec<(PodId, String)> {
        let entries = model.mirrors(id);
        entries.into_iter().map(|entry| (entry.pod, entry.url)).collect()
    };
    let ours = video(&me, 1, "Alpha and the sea").id(&me.id());
    let offer = |origin: &PodKey, hash: u8| Mirror {
        video: ours,
        origin: origin.id(),
        info_hashes: vec![InfoHash::from_bytes([hash; 20]), InfoHash::from_bytes([0xee; 20])],
    };
    let offered =
        |author: &PodKey, mirror: Mirror| Draft::live(&author.id(), mirror.into()).expect("an offer");
    model.apply(&held(&other, 95, offered(&other, offer(&me, 1))));
    assert_eq!(shown(&model, &ours), [], "nobody knows where it lives");
    let lives = Draft::live(&other.id(), Record::Profile(profile(3))).expect("a profile");
    model.apply(&held(&other, 96, lives));
    model.apply(&held(&friend, 97, offered(&friend, offer(&me, 1))));
    let mut both = vec![
        (friend.id(), "http://localhost:9002".to_owned()),
        (other.id(), "http://localhost:9003".to_owned()),
    ];
    both.sort();
    assert_eq!(shown(&model, &ours), both);
    let hashes = model.mirrors(&ours).remove(0).info_hashes;
    assert_eq!(
        hashes,
        [InfoHash::from_bytes([1; 20])],
        "only files that the video has"
    );

    model.apply(&held(&me, 98, offered(&me, offer(&me, 1))));
    assert_eq!(shown(&model, &ours), both, "an origin's own files are no copies");
    model.apply(&held(&friend, 99, offered(&friend, offer(&friend, 1))));
    assert_eq!(
        shown(&model, &ours).len(),
        1,
        "another origin's video is another video"
    );
    model.apply(&held(&friend, 100, offered(&friend, offer(&me, 7))));
    assert_eq!(
        shown(&model, &ours).len(),
        1,
        "torrents of an earlier version are of no use"
    );
    model.apply(&held(&friend, 101, offered(&friend, offer(&me, 1))));
    assert_eq!(shown(&model, &ours), both);

    model.apply(&held(&friend, 102, Draft::withdrawn(Kind::MIRROR, ours.into())));
    assert_eq!(shown(&model, &ours).len(), 1);
    model.forget_author(&other.id());
    assert_eq!(shown(&model, &ours), []);
    model.check();
}
