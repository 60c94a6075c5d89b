//! Small test videos, made by ffmpeg and kept in `target/test-clips`.
//!
//! They show ffmpeg's moving test picture, so a person can see at a glance whether one plays. Programs that need the same
//! clip at the same time wait for the first to make it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// A test video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clip {
    /// H.264 and AAC in MP4, 5 s, 640x360, the index at the end: a player must fetch the end first.
    Mp4,
    /// VP9 and Opus in WebM, 10 s, 1280x720.
    WebM,
    /// Theora and Vorbis in Ogg, 5 s, 426x240.
    Ogg,
    /// H.264 in MP4, 1 s, 160x90, a few kilobytes.
    Tiny,
    /// Like [`Clip::Tiny`], but 15 s long: more than the test profile takes.
    TooLong,
}

impl Clip {
    fn file_name(self) -> &'static str {
        match self {
            Self::Mp4 => "h264-index-at-end.mp4",
            Self::WebM => "vp9.webm",
            Self::Ogg => "theora.ogv",
            Self::Tiny => "tiny.mp4",
            Self::TooLong => "too-long.mp4",
        }
    }

    /// Length of the video in whole seconds.
    pub fn seconds(self) -> u64 {
        match self {
            Self::Mp4 | Self::Ogg => 5,
            Self::WebM => 10,
            Self::Tiny => 1,
            Self::TooLong => 15,
        }
    }

    /// Height of the picture, which names the resolution.
    pub fn height(self) -> u64 {
        match self {
            Self::Mp4 => 360,
            Self::WebM => 720,
            Self::Ogg => 240,
            Self::Tiny | Self::TooLong => 90,
        }
    }

    /// Width of the picture.
    fn width(self) -> u64 {
        match self {
            Self::Mp4 => 640,
            Self::WebM => 1280,
            Self::Ogg => 426,
            Self::Tiny | Self::TooLong => 160,
        }
    }

    fn encoding(self) -> &'static [&'static str] {
        const H264: &[&str] = &[
            "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac",
        ];
        match self {
            Self::Mp4 | Self::Tiny | Self::TooLong => H264,
            Self::WebM => &[
                "-c:v",
                "libvpx-vp9",
                "-deadline",
                "realtime",
                "-cpu-used",
                "8",
                "-b:v",
                "600k",
                "-c:a",
                "libopus",
            ],
            Self::Ogg => &["-c:v", "libtheora", "-q:v", "5", "-c:a", "libvorbis"],
        }
    }

    /// The path of the clip, which is made if nobody has made it yet. Takes seconds the first time.
    ///
    /// # Errors
    /// When ffmpeg is missing or fails, or the disk refuses.
    pub async fn path(self) -> anyhow::Result<PathBuf> {
        tokio::task::spawn_blocking(move || self.find_or_make())
            .await
            .context("making a clip was cut off")?
    }

    fn find_or_make(self) -> anyhow::Result<PathBuf> {
        let folder = clips_folder()?;
        let path = folder.join(self.file_name());
        let lock = File::create(folder.join("lock")).context("cannot make the lock of the clips")?;
        lock.lock().context("cannot lock the clips")?;
        if !path.is_file() {
            self.make(&path)?;
        }
        Ok(path)
    }

    fn make(self, path: &Path) -> anyhow::Result<()> {
        // Under another name first: what has the right name is whole.
        let unfinished = path.with_file_name(format!("unfinished-{}", self.file_name()));
        let seconds = self.seconds();
        let picture = format!(
            "testsrc2=size={}x{}:rate=25:duration={seconds}",
            self.width(),
            self.height()
        );
        let tone = format!("sine=frequency=440:duration={seconds}");
        let output = Command::new("ffmpeg")
            .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"])
            .args([
                "-f",
                "lavfi",
                "-i",
                &picture,
                "-f",
                "lavfi",
                "-i",
                &tone,
                "-shortest",
            ])
            .args(self.encoding())
            .arg(&unfinished)
            .output()
            .context("cannot run ffmpeg, which makes the test videos (scripts/test installs it)")?;
        ensure!(
            output.status.success(),
            "ffmpeg cannot make {}: {}",
            path.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        std::fs::rename(&unfinished, path).with_context(|| format!("cannot name {}", path.display()))
    }
}

/// `target/test-clips`, in whatever folder cargo builds to.
fn clips_folder() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("cannot find this program")?;
    let target = this
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let target = target.with_context(|| format!("{} is in no folder of cargo's", this.display()))?;
    let folder = target.join("test-clips");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[tokio::test]
    async fn clips_are_small_and_what_they_say() {
        let find = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).position(|window| window == word);
        for clip in [Clip::Mp4, Clip::WebM, Clip::Ogg, Clip::Tiny, Clip::TooLong] {
            let bytes = std::fs::read(clip.path().await.unwrap()).unwrap();
            assert!(
                (5_000..2_000_000).contains(&bytes.len()),
                "{clip:?}: {} bytes",
                bytes.len()
            );
            match clip {
                Clip::Mp4 | Clip::Tiny | Clip::TooLong => {
                    assert!(find(&bytes, b"moov") > find(&bytes, b"mdat"));
                }
                Clip::WebM => assert!(find(&bytes[..4096], b"V_VP9").is_some()),
                Clip::Ogg => assert!(find(&bytes[..4096], b"theora").is_some()),
            }
        }
    }
}
