//! The limits of payloads, from both sides: the last value that is taken and the first that is not.
#![allow(clippy::unwrap_used)] // a test that fails here has found something

mod common;

use common::{
    alice, bob, card, channel, comment, contribution, counter, file, friendship, hide, mirror, profile,
    reply, report, signed, stamp, tally, video,
};
use proptest::prelude::*;
use seedpod_protocol::{
    codec,
    envelope::{Draft, DraftError, Envelope, Kind, OpenError, State},
    ids::{InfoHash, ObjectId, Timestamp},
    records::{
        Channel, Comment, Contribution, Counter, Friendship, Mirror, Picture, Privacy, Profile, Record,
        RecordError, Reply, Report, Tally, Video, VideoFile,
    },
};

/// Whether a record with this payload can be signed; if not, it is for a limit of the named field.
fn taken(payload: impl Into<Record>, field: &str) -> bool {
    let key = alice();
    match Draft::live(&key.id(), payload.into())
        .unwrap()
        .sign(&key, stamp(1, 1))
    {
        Ok(_) => true,
        Err(DraftError::Record(RecordError::Limit { field: found, .. })) => {
            assert_eq!(found, field);
            false
        }
        Err(other) => panic!("{field}: {other}"),
    }
}

fn a(len: usize) -> String {
    "ä".repeat(len)
}

/// Pods that do not know the field take a profile with anything under it, so must pods that do.
#[test]
fn what_is_no_port_counts_as_none() {
    for (udp, expected) in [
        (serde_json::json!(9000), Some(9000)),
        (serde_json::json!(65535), Some(65535)),
        (serde_json::json!(0), None),
        (serde_json::json!(65536), None),
        (serde_json::json!(-1), None),
        (serde_json::json!("9000"), None),
        (serde_json::json!([1, { "a": 2 }]), None),
        (serde_json::json!({ "a": [2] }), None),
        (serde_json::json!(true), None),
    ] {
        let payload = codec::encode(&serde_json::json!({
            "v": 1, "name": "A", "description": "", "url": "https://pod.example", "udp": udp
        }));
        let draft = Draft {
            kind: Kind::PROFILE,
            object: ObjectId::EMPTY,
            state: State::Live,
            payload: Record::Opaque(payload),
        };
        let record = draft.sign(&alice(), stamp(1, 1)).unwrap();
        let Record::Profile(profile) = record.payload() else {
            panic!("{udp}: {:?}", record.payload());
        };
        assert_eq!(profile.udp, expected, "{udp}");
    }
}

#[test]
fn texts_have_lengths_in_characters() {
    let titled = |name: String| taken(Video { name, ..video() }, "name");
    assert_eq!(
        [2, 3, 120, 121].map(|len| titled(a(len))),
        [false, true, true, false]
    );
    let described = |text: String| {
        taken(
            Video {
                description: Some(text),
                ..video()
            },
            "description",
        )
    };
    assert_eq!(
        [0, 10_000, 10_001].map(|len| described(a(len))),
        [true, true, false]
    );
    let tagged = |len| {
        taken(
            Video {
                tags: vec![a(len)],
                ..video()
            },
            "tags",
        )
    };
    assert_eq!([1, 2, 30, 31].map(tagged), [false, true, true, false]);
    let named = |len| {
        taken(
            Profile {
                name: a(len),
                ..profile()
            },
            "name",
        )
    };
    assert_eq!([0, 1, 120, 121].map(named), [false, true, true, false]);
    let shown = |len| {
        taken(
            Channel {
                display_name: a(len),
                ..channel()
            },
            "display_name",
        )
    };
    assert_eq!([0, 1, 120, 121].map(shown), [false, true, true, false]);
    let support = |len| {
        taken(
            Video {
                support: Some(a(len)),
                ..video()
            },
            "support",
        )
    };
    assert_eq!([0, 1_000, 1_001].map(support), [true, true, false]);
}

#[test]
fn control_characters_stay_out_of_lines() {
    for (text, in_line, in_lines) in [
        ("a\nbc", false, true),
        ("a\tbc", false, true),
        ("a\0bc", false, false),
        ("a\u{85}bc", false, false),
        ("<b>&", true, true),
    ] {
        assert_eq!(
            taken(
                Video {
                    name: text.into(),
                    ..video()
                },
                "name"
            ),
            in_line,
            "{text:?}"
        );
        assert_eq!(
            taken(
                Profile {
                    description: text.into(),
                    ..profile()
                },
                "description"
            ),
            in_lines,
            "{text:?}"
        );
    }
}

#[test]
fn handles_hosts_and_addresses_are_ascii() {
    let handle = |name: &str| {
        taken(
            Channel {
                name: name.into(),
                ..channel()
            },
            "name",
        )
    };
    assert!(handle("Root_channel-1.x") && handle(&"x".repeat(50)));
    assert!(!handle("") && !handle(&"x".repeat(51)) && !handle("a b") && !handle("é") && !handle("a/b"));
    let host = |host: &str| {
        taken(
            Friendship {
                host: host.into(),
                ..friendship(bob().id())
            },
            "host",
        )
    };
    assert!(host("localhost:9001") && host("pod.example") && host("[::1]:80"));
    assert!(!host("") && !host("a/b") && !host("user@host") && !host(&"x".repeat(262)));
    let url = |url: &str| {
        taken(
            Profile {
                url: url.into(),
                ..profile()
            },
            "url",
        )
    };
    assert!(url("http://localhost:9001") && url("https://pod.example"));
    for wrong in [
        "http://",
        "ftp://pod.example",
        "https://pod.example/",
        "https://pod.example?x",
        "javascript:alert(1)",
    ] {
        assert!(!url(wrong), "{wrong}");
    }
    let at = |list: Vec<String>| {
        taken(
            Friendship {
                addresses: list,
                ..friendship(bob().id())
            },
            "addresses",
        )
    };
    assert!(at(vec![]) && at(vec!["/ip6/::1/tcp/1".into(); 16]) && at(vec![format!("/{}", "x".repeat(255))]));
    assert!(!at(vec!["/x".into(); 17]) && !at(vec!["x".into(); 1]) && !at(vec!["localhost".into()]));
    assert!(!at(vec![format!("/{}", "x".repeat(256))]) && !at(vec!["/dns/a b".into()]));
    let mail = |text: &str| {
        taken(
            Profile {
                email: Some(text.into()),
                ..profile()
            },
            "email",
        )
    };
    assert!(mail("a@b") && !mail("a.b") && !mail("@") && !mail("a@\nb"));
    let language = |text: &str| {
        taken(
            Video {
                language: Some(text.into()),
                ..video()
            },
            "language",
        )
    };
    assert!(language("en") && language("pt-BR") && !language("e") && !language("é!"));
}

#[test]
fn a_video_has_sound_files_and_pictures() {
    let files = |files: Vec<VideoFile>| taken(Video { files, ..video() }, "files");
    assert!(files((1..=16).map(file).collect()) && !files((1..=17).map(file).collect()) && !files(vec![]));
    assert!(
        !files(vec![
            file(720),
            VideoFile {
                extension: "webm".into(),
                ..file(720)
            }
        ]),
        "one resolution twice"
    );
    let piece = |piece_length| {
        taken(
            Video {
                files: vec![VideoFile {
                    piece_length,
                    ..file(720)
                }],
                ..video()
            },
            "piece_length",
        )
    };
    assert_eq!(
        [0, 1 << 13, 1 << 14, 3 << 14, 1 << 24, 1 << 25].map(piece),
        [false, false, true, false, true, false]
    );
    let size = |size| {
        taken(
            Video {
                files: vec![VideoFile { size, ..file(720) }],
                ..video()
            },
            "size",
        )
    };
    assert_eq!(
        [0, 1, (1 << 53) - 1, 1 << 53].map(size),
        [false, true, true, false]
    );
    let kind = |extension: &str| {
        taken(
            Video {
                files: vec![VideoFile {
                    extension: extension.into(),
                    ..file(720)
                }],
                ..video()
            },
            "extension",
        )
    };
    assert!(kind("mp4") && kind("webm") && kind("ogv") && !kind("exe") && !kind("../mp4"));
    let sound = video().thumbnail.unwrap();
    let picture = |picture| {
        taken(
            Video {
                preview: Some(picture),
                ..video()
            },
            "picture",
        )
    };
    assert!(
        picture(Picture {
            size: 4 << 20,
            ..sound
        }) && !picture(Picture {
            size: (4 << 20) + 1,
            ..sound
        })
    );
    assert!(!picture(Picture { width: 0, ..sound }) && !picture(Picture { size: 0, ..sound }));
    let tags = |count| {
        taken(
            Video {
                tags: vec!["tag".into(); count],
                ..video()
            },
            "tags",
        )
    };
    assert!(tags(5) && !tags(6));
}

#[test]
fn file_names_are_made_of_the_id() {
    let id = video().id(&alice().id());
    assert_eq!(file(720).file_name(&id), format!("{id}-720.mp4"));
    assert_eq!(file(720).torrent_name(&id), format!("{id}-720.torrent"));
}

#[test]
fn a_key_that_a_later_version_adds_is_ignored_and_its_bytes_are_kept() {
    let key = alice();
    let payload = codec::encode(&serde_json::json!({
        "v": 1, "name": "pod", "version": "9.0", "url": "http://localhost:9001", "addresses": [], "motto": "later",
    }));
    let draft = Draft {
        kind: Kind::CARD,
        object: ObjectId::EMPTY,
        state: State::Live,
        payload: Record::Opaque(payload.clone()),
    };
    let record = draft.sign(&key, stamp(1, 1)).unwrap();
    assert_eq!(record.card().unwrap().payload().version, "9.0");
    assert!(
        record
            .bytes()
            .windows(payload.len())
            .any(|window| window == payload)
    );
}

#[test]
fn an_unknown_kind_is_kept_whatever_it_says() {
    for (kind, record) in [(Kind(99), true), (Kind(100 + 1), false), (Kind(u16::MAX), false)] {
        assert_eq!(kind.is_record(), record);
        let draft = Draft {
            kind,
            object: ObjectId::from_bytes(&[9; 32]).unwrap(),
            state: State::Live,
            payload: Record::Opaque(vec![0xff; 1000]),
        };
        let signed = draft.sign(&alice(), stamp(1, 1)).unwrap();
        let opened = Envelope::decode(signed.bytes().clone()).unwrap().open().unwrap();
        assert_eq!(opened.payload(), &Record::Opaque(vec![0xff; 1000]));
    }
}

#[test]
fn a_statement_can_be_signed_again_under_a_new_stamp() {
    let before = signed(video(), stamp(1, 1));
    let after = Draft::from(&before).sign(&alice(), stamp(2, 1)).unwrap();
    assert_eq!(before.payload(), after.payload());
    assert_eq!(before.header().key(), after.header().key());
    assert!(after.rank() > before.rank());
}

#[test]
fn only_the_own_kind_fits() {
    let key = alice();
    let draft = Draft {
        kind: Kind::CHANNEL,
        ..Draft::live(&key.id(), video().into()).unwrap()
    };
    assert!(matches!(
        draft.sign(&key, stamp(1, 1)),
        Err(DraftError::Kind { .. })
    ));
    assert!(Draft::live(&key.id(), Record::Empty).is_err());
    let with_oneself = Draft::live(&key.id(), friendship(key.id()).into()).unwrap();
    assert!(matches!(
        with_oneself.sign(&key, stamp(1, 1)),
        Err(DraftError::Record(RecordError::Object { .. }))
    ));
    let elsewhere = Draft {
        object: bob().id().into(),
        ..Draft::live(&key.id(), card().into()).unwrap()
    };
    assert!(matches!(
        elsewhere.sign(&key, stamp(1, 1)),
        Err(DraftError::Record(RecordError::Object { .. }))
    ));
}

#[test]
fn the_largest_video_fits_and_a_larger_envelope_does_not() {
    let wide = |len| "🌱".repeat(len);
    let largest = Video {
        name: wide(120),
        description: Some(wide(10_000)),
        support: Some(wide(1_000)),
        tags: vec![wide(30); 5],
        files: (1..=16).map(file).collect(),
        ..video()
    };
    assert!(
        taken(largest, ""),
        "limits of the parts add up to less than that of the whole"
    );
    let draft = Draft {
        kind: Kind(50),
        object: ObjectId::EMPTY,
        state: State::Live,
        payload: Record::Opaque(vec![0; 64 * 1024]),
    };
    assert!(matches!(
        draft.sign(&alice(), stamp(1, 1)),
        Err(DraftError::Envelope(_))
    ));
}

#[test]
fn reopening_still_checks_the_rules() {
    let bytes = signed(video(), stamp(1, 1)).bytes().to_vec();
    assert!(Envelope::decode(bytes.clone()).unwrap().reopen().is_ok());
    let at = bytes.windows(4).position(|window| window == b"nsfw").unwrap() + 4;
    let mut damaged = bytes;
    damaged[at] = 0x00; // a number where a bool belongs
    let error = Envelope::decode(damaged).unwrap().reopen().unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::Payload {
                kind: Kind::VIDEO,
                ..
            }
        ),
        "{error}"
    );
}

prop_compose! {
    fn any_video()(
        nonce: [u8; 16],
        name in "\\PC{3,120}",
        description in prop::option::of("[\\PC\n]{0,300}"),
        numbers in (any::<Option<u16>>(), any::<Option<u16>>(), any::<u32>()),
        tags in prop::collection::vec("\\PC{2,30}", 0..=5),
        flags: [bool; 4],
        times in prop::array::uniform3(any::<u64>().prop_map(Timestamp::from_millis)),
        elsewhere in prop::option::of(any::<u64>().prop_map(Timestamp::from_millis)),
        pictures: [bool; 2],
        sizes in prop::collection::btree_map(any::<u16>(), 1..1_u64 << 53, 1..=16),
    ) -> Video {
        Video {
            nonce,
            name,
            description,
            category: numbers.0,
            licence: numbers.1,
            duration: numbers.2,
            tags,
            nsfw: flags[0],
            comments_enabled: flags[1],
            download_enabled: flags[2],
            privacy: if flags[3] { Privacy::Public } else { Privacy::Unlisted },
            created_at: times[0],
            published_at: times[1],
            updated_at: times[2],
            originally_published_at: elsewhere,
            thumbnail: video().thumbnail.filter(|_| pictures[0]),
            preview: video().preview.filter(|_| pictures[1]),
            files: sizes.into_iter().map(|(resolution, size)| VideoFile { size, ..file(resolution) }).collect(),
            ..video()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sound_video_comes_back(video in any_video(), counter: u32, seq in 0..1_u64 << 53) {
        let ours = signed(video.clone(), stamp(counter, seq));
        let theirs = Envelope::decode(ours.bytes().clone()).unwrap().open().unwrap();
        let theirs_seen = theirs.video().unwrap();
        prop_assert_eq!(theirs_seen.payload(), &video);
        prop_assert_eq!(theirs.rank(), ours.rank());
    }
}

#[test]
fn numbers_out_of_range_are_not_signed_and_are_kept_unread_when_somebody_does() {
    let end = 1 << 53;
    let counted = |views| {
        taken(
            Counter {
                tally: Tally { views, ..tally() },
                ..counter()
            },
            "tally",
        )
    };
    assert_eq!([0, end - 1, end].map(counted), [true, true, false]);
    let misfit = Contribution {
        tally: Tally {
            likes: end,
            ..tally()
        },
        ..contribution()
    };
    let draft = Draft {
        kind: Kind::CONTRIBUTION,
        object: misfit.video.into(),
        state: State::Live,
        payload: Record::Opaque(codec::encode(&serde_json::json!({"v": 1, "likes": end}))),
    };
    let record = draft.sign(&alice(), stamp(1, 1)).unwrap();
    let record = Envelope::decode(record.bytes().clone()).unwrap().open().unwrap();
    assert!(matches!(record.payload(), Record::Opaque(_)));
}

#[test]
fn comments_and_reports_have_their_limits() {
    let says = |text: String| taken(Comment { text, ..comment() }, "text");
    assert_eq!(
        [0, 1, 10_000, 10_001].map(|len| says(a(len))),
        [false, true, true, false]
    );
    assert!(says("<script>\n\t".into()) && !says("a\0".into()));
    let called = |name: &str| {
        let display_name = Some(name.to_owned());
        taken(
            Comment {
                display_name,
                ..comment()
            },
            "display_name",
        )
    };
    assert!(called(&a(120)) && !called(&a(121)) && !called("") && !called("two\nlines"));
    let widest = Comment {
        text: "🌱".repeat(10_000),
        display_name: Some("🌱".repeat(120)),
        ..reply()
    };
    assert!(
        taken(widest, ""),
        "limits of the parts add up to less than that of the whole"
    );
    let because = |reason: String| taken(Report { reason, ..report() }, "reason");
    assert_eq!(
        [1, 2, 3_000, 3_001].map(|len| because(a(len))),
        [false, true, true, false]
    );
    let counted = |reasons: &[u8]| {
        let reasons = reasons.to_vec();
        taken(Report { reasons, ..report() }, "reasons")
    };
    assert!(counted(&[]) && counted(&[1, 8, 99]) && counted(&[1, 2, 3, 4, 5, 6, 7, 8]));
    assert!(!counted(&[0]) && !counted(&[100]) && !counted(&[2, 1]) && !counted(&[1, 1]));
    assert!(!counted(&[1, 2, 3, 4, 5, 6, 7, 8, 9]));
}

#[test]
fn the_id_of_a_comment_holds_its_place() {
    let author = alice().id();
    let ids = [
        comment().id(&author),
        comment().id(&bob().id()),
        reply().id(&author),
        Comment {
            origin: author,
            ..comment()
        }
        .id(&author),
        Comment {
            video: video().id(&author),
            ..comment()
        }
        .id(&author),
        Comment {
            nonce: [7; 16],
            ..comment()
        }
        .id(&author),
        Comment {
            reply: reply().reply.map(|reply| Reply {
                to: hide().comment,
                ..reply
            }),
            ..comment()
        }
        .id(&author),
    ];
    let different: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(different.len(), ids.len());
}

#[test]
fn a_comment_that_breaks_the_rules_is_kept_unread_and_a_report_is_refused() {
    let key = alice();
    let kept = |kind, object| {
        let draft = Draft {
            kind,
            object,
            state: State::Live,
            payload: Record::Opaque(codec::encode(&serde_json::json!({"v": 1, "text": ""}))),
        };
        draft.sign(&key, stamp(1, 1))
    };
    for kind in [Kind::COMMENT, Kind::HIDE, Kind::ABUSE] {
        let record = kept(kind, ObjectId::EMPTY).unwrap();
        assert!(matches!(record.payload(), Record::Opaque(_)), "{kind:?}");
    }
    let refused = |object| match kept(Kind::REPORT, object) {
        Err(DraftError::Record(error)) => error.reason(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(ObjectId::EMPTY), "object");
    assert_eq!(refused(video().id(&key.id()).into()), "payload-encoding");
    assert!(!Kind::REPORT.is_record());
}

#[test]
fn sums_stay_in_their_range() {
    let most = Tally {
        views: (1 << 53) - 1,
        likes: 1,
        dislikes: 0,
    };
    let sum = most.plus(tally());
    assert_eq!((sum.views, sum.likes, sum.dislikes), ((1 << 53) - 1, 21, 0));
}

#[test]
fn an_offer_of_a_copy_names_one_to_sixteen_different_torrents() {
    let offered = |hashes: &[u8]| {
        let info_hashes = hashes
            .iter()
            .map(|hash| InfoHash::from_bytes([*hash; 20]))
            .collect();
        taken(
            Mirror {
                info_hashes,
                ..mirror()
            },
            "info_hashes",
        )
    };
    let many: Vec<u8> = (0..17).collect();
    assert_eq!(
        [&[][..], &many[..1], &many[..16], &many, &[1, 2, 1]].map(offered),
        [false, true, true, false, false]
    );
}

#[test]
fn an_offer_under_another_object_is_kept_unread() {
    let object = video().id(&alice().id()).into();
    let draft = Draft {
        kind: Kind::MIRROR,
        object,
        state: State::Live,
        payload: mirror().into(),
    };
    let record = draft.sign(&alice(), stamp(1, 1)).unwrap();
    assert!(matches!(record.payload(), Record::Opaque(_)));
}
