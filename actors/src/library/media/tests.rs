#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use proptest::prelude::*;

use super::clips::{Clip, tools};
use super::tool::Tool;
use super::*;

fn assert_alike(ours: &Probe, theirs: &Probe, what: &str) {
    assert!(
        (ours.seconds - theirs.seconds).abs() < 0.1,
        "{what}: {ours:?} {theirs:?}"
    );
    assert_eq!((ours.width, ours.height), (theirs.width, theirs.height), "{what}");
    let (our_fps, their_fps) = (ours.fps.unwrap(), theirs.fps.unwrap());
    assert!(
        (our_fps - their_fps).abs() < 0.5,
        "{what}: {our_fps} and {their_fps} pictures a second"
    );
    assert_eq!(ours.container, theirs.container, "{what}");
    assert_eq!(ours.video_codec, theirs.video_codec, "{what}");
    assert_eq!(ours.audio_codec, theirs.audio_codec, "{what}");
}

#[tokio::test]
async fn own_readers_say_what_ffprobe_says() {
    let folder = tempfile::tempdir().unwrap();
    for clip in Clip::VIDEOS {
        let path = clip.make(folder.path(), 2);
        let ours = probe(&path, &MediaTools::none()).await.unwrap();
        assert_eq!(ours.duration(), 2, "{clip:?}: {ours:?}");
        let turned = matches!(clip, Clip::Mp4Turned);
        assert_eq!(
            (ours.width, ours.height),
            if turned { (90, 160) } else { (160, 90) },
            "{clip:?}"
        );
        let theirs = probe(&path, &tools()).await.unwrap();
        assert_alike(&ours, &theirs, &format!("{clip:?}"));
    }
}

#[tokio::test]
async fn files_without_pictures_are_refused_by_both() {
    let folder = tempfile::tempdir().unwrap();
    for clip in [Clip::Mp4SoundOnly, Clip::WebMSoundOnly, Clip::OggSoundOnly] {
        let path = clip.make(folder.path(), 1);
        for tools in [tools(), MediaTools::none()] {
            let error = probe(&path, &tools).await.unwrap_err();
            assert!(matches!(error, MediaError::NoVideo), "{clip:?}: {error}");
        }
    }
    let matroska = Clip::Matroska.make(folder.path(), 1);
    for tools in [tools(), MediaTools::none()] {
        let error = probe(&matroska, &tools).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the file is Matroska of type `matroska`, expected `webm`"
        );
    }
}

#[tokio::test]
async fn what_only_looks_like_a_video_is_refused_by_both() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("holiday.mp4");
    for bytes in [
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n".as_slice(),
        b"hello",
        b"",
        b"\0\0\0\x18ftypmp42 and then nothing that makes sense of it",
        b"\x1a\x45\xdf\xa3\x9f nothing",
        b"OggS\0\x02 nothing",
    ] {
        std::fs::write(&path, bytes).unwrap();
        for tools in [tools(), MediaTools::none()] {
            let error = probe(&path, &tools).await.unwrap_err();
            assert!(!matches!(error, MediaError::Io(_)), "{error}");
            assert!(
                !error.to_string().contains(folder.path().to_str().unwrap()),
                "a path leaks: {error}"
            );
        }
    }
}

#[test]
fn truncated_and_changed_files_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    for clip in Clip::VIDEOS {
        let whole = std::fs::read(clip.make(folder.path(), 1)).unwrap();
        assert!(read(Cursor::new(&whole)).is_ok(), "{clip:?}");
        for cut in (0..whole.len()).step_by(97) {
            drop(read(Cursor::new(&whole[..cut])));
            let mut changed = whole.clone();
            changed[cut] ^= 0xff;
            drop(read(Cursor::new(&changed)));
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_after_a_known_start_end_in_an_answer(
        start in prop::sample::select(vec![
            b"\0\0\0\x10ftypmp42\0\0\0\0".as_slice(),
            b"\0\0\0\x10ftypmp42\0\0\0\0\0\0\x02\0moov",
            b"\0\0\0\x10ftypmp42\0\0\0\0\0\0\x02\0moov\0\0\x01\0trak\0\0\0\xf0mdia",
            b"\x1a\x45\xdf\xa3\x87\x42\x82\x84webm",
            b"\x1a\x45\xdf\xa3\x87\x42\x82\x84webm\x18\x53\x80\x67\xff",
            b"\x1a\x45\xdf\xa3\x87\x42\x82\x84webm\x18\x53\x80\x67\xff\x16\x54\xae\x6b\xf0\xae\xc0",
            b"OggS\0\x02",
            b"OggS\0\x02\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0\x01\x2a\x80theora\x03\x02",
            b"",
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        if let Ok(probe) = read(Cursor::new([start, rest.as_slice()].concat())) {
            prop_assert!(probe.duration() >= 1);
            prop_assert!((1..=MAX_DIMENSION).contains(&probe.width) && (1..=MAX_DIMENSION).contains(&probe.height));
            prop_assert!(probe.video_codec.len() <= 16);
        }
    }
}

#[test]
fn a_file_of_endless_tiny_parts_is_given_up() {
    let mut boxes = b"\0\0\0\x10ftypmp42\0\0\0\0".to_vec();
    boxes.extend(b"\0\0\0\x08free".repeat(1_100_000));
    assert!(matches!(read(Cursor::new(boxes)), Err(MediaError::TooComplex)));
}

#[test]
fn lengths_are_rounded_to_whole_seconds() {
    let probe = |seconds| Probe {
        container: Container::Mp4,
        seconds,
        width: 1,
        height: 1,
        fps: None,
        video_codec: String::new(),
        audio_codec: None,
    };
    let rounded = [0.04, 1.49, 1.5, 14.4].map(|seconds| probe(seconds).duration());
    assert_eq!(rounded, [1, 1, 2, 14]);
    for impossible in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
        assert!(probe(impossible).checked().is_err());
    }
}

/// A program of ours in place of ffprobe.
fn script(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("ffprobe");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn a_tool_that_hangs_floods_or_crashes_is_ended_and_overruled() {
    let folder = tempfile::tempdir().unwrap();
    let clip = Clip::Mp4MoovFirst.make(folder.path(), 1);
    for (text, expected) in [
        ("while :; do :; done", "took longer"),
        ("while :; do echo flood; done", "answered more"),
        ("kill -SEGV $$", "signal 11"),
        ("echo '{\"streams\": 7}'", "nonsense"),
    ] {
        let program = script(folder.path(), text);
        let tool = Tool::at(program, Duration::from_secs(1));
        let error = ffprobe::probe(&tool, &clip, Container::Mp4).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        let path = folder.path().as_os_str();
        let probe = probe(&clip, &MediaTools::find(Some(path)).hurried())
            .await
            .unwrap();
        assert_eq!(probe.duration(), 1, "our own reader's answer stands");
    }
}

#[tokio::test]
async fn ffprobe_wins_where_it_disagrees() {
    let folder = tempfile::tempdir().unwrap();
    let clip = Clip::Mp4MoovFirst.make(folder.path(), 1);
    script(
        folder.path(),
        r#"echo '{"streams":[{"codec_type":"video","codec_name":"h264","width":640,"height":360}],"format":{"duration":"7.2"}}'"#,
    );
    let found = probe(&clip, &MediaTools::find(Some(folder.path().as_os_str())))
        .await
        .unwrap();
    assert_eq!((found.duration(), found.width, found.height), (7, 640, 360));
    assert_eq!(
        found.whole_fps(),
        25,
        "what ffprobe leaves open comes from our reader"
    );
    script(
        folder.path(),
        "echo 'file:/x/y.mp4: Invalid data found' >&2; exit 1",
    );
    let error = probe(&clip, &MediaTools::find(Some(folder.path().as_os_str())))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the file cannot be read as a video: Invalid data found"
    );
}
