//! Tiny real clips for tests, made by ffmpeg when a test asks for one.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::tool::MediaTools;

/// The tools, which tests insist on: `scripts/test` installs ffmpeg.
pub(crate) fn tools() -> MediaTools {
    let tools = MediaTools::find(std::env::var_os("PATH").as_deref());
    assert!(
        tools.ffmpeg().is_some() && tools.ffprobe().is_some(),
        "tests need ffmpeg; scripts/test installs it"
    );
    tools
}

/// What a clip is made of; each has 2 s of moving bars and a tone unless its name says otherwise.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Clip {
    Mp4MoovLast,
    Mp4MoovFirst,
    Mp4Fragmented,
    Mp4Turned,
    Mp4SoundOnly,
    WebMVp9,
    WebMVp8Live,
    WebMSoundOnly,
    OggTheora,
    OggSoundOnly,
    Matroska,
}

impl Clip {
    pub(crate) const VIDEOS: [Self; 7] = [
        Self::Mp4MoovLast,
        Self::Mp4MoovFirst,
        Self::Mp4Fragmented,
        Self::Mp4Turned,
        Self::WebMVp9,
        Self::WebMVp8Live,
        Self::OggTheora,
    ];

    /// Writes the clip into a folder, this long, and returns its path.
    pub(crate) fn make(self, folder: &Path, seconds: u32) -> PathBuf {
        let h264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac";
        let vp9 = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus";
        let (name, options) = match self {
            Self::Mp4MoovLast => ("last.mp4", h264.to_owned()),
            Self::Mp4MoovFirst => ("first.mp4", format!("{h264} -movflags +faststart")),
            Self::Mp4Fragmented => (
                "fragmented.mp4",
                format!("{h264} -g 10 -movflags +frag_keyframe+empty_moov+default_base_moof"),
            ),
            Self::Mp4Turned => ("turned.mp4", h264.to_owned()),
            Self::Mp4SoundOnly => ("sound.mp4", "-vn -c:a aac".to_owned()),
            Self::WebMVp9 => ("vp9.webm", vp9.to_owned()),
            Self::WebMVp8Live => (
                "live.webm",
                "-c:v libvpx -deadline realtime -c:a libvorbis -live 1".to_owned(),
            ),
            Self::WebMSoundOnly => ("sound.webm", "-vn -c:a libopus".to_owned()),
            Self::OggTheora => ("theora.ogv", "-c:v libtheora -c:a libvorbis".to_owned()),
            Self::OggSoundOnly => ("sound.ogg", "-vn -c:a libvorbis".to_owned()),
            Self::Matroska => ("vp9.mkv", vp9.to_owned()),
        };
        let path = folder.join(name);
        let bars = format!("testsrc=size=160x90:rate=25:duration={seconds}");
        let tone = format!("sine=frequency=440:duration={seconds}");
        ffmpeg(
            ["-f", "lavfi", "-i", &bars, "-f", "lavfi", "-i", &tone]
                .into_iter()
                .chain(options.split(' '))
                .chain([path.to_str().unwrap()]),
        );
        if matches!(self, Self::Mp4Turned) {
            // A turn is a mark in the header, which this version of ffmpeg writes only while copying.
            let upright = folder.join("upright.mp4");
            std::fs::rename(&path, &upright).unwrap();
            let (from, to) = (upright.to_str().unwrap(), path.to_str().unwrap());
            ffmpeg(["-i", from, "-c", "copy", "-metadata:s:v:0", "rotate=90", to]);
        }
        path
    }
}

fn ffmpeg<'a>(arguments: impl IntoIterator<Item = &'a str>) {
    tools();
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y", "-threads", "1"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
