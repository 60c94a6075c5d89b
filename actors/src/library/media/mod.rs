//! What a media file is: container, length, size and codecs, told from its bytes.
//!
//! A file is recognised by its first bytes, never by its name or by what the sender called it. Three readers of our
//! own ([`mp4`], [`webm`], [`ogg`]) and ffprobe answer the same question; [`probe`] asks both when it can.
//!
//! Invariants: a reader is total on any bytes (a value or an error, never a panic), reads through one small window,
//! and stops after a fixed number of steps and reads whatever the file claims about itself (see [`scan`]).

pub mod ffprobe;
mod mp4;
mod ogg;
mod scan;
pub mod tool;
mod webm;

#[cfg(test)]
pub(crate) mod clips;
#[cfg(test)]
mod tests;

use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use tracing::{debug, warn};

use self::scan::Scan;
use self::tool::{MediaTools, ToolError};

/// The widest and tallest picture that is taken for a video, in pixels.
pub const MAX_DIMENSION: u32 = 16_384;

/// The longest name of a codec that is kept, in bytes.
const MAX_CODEC: usize = 16;

/// The containers that browsers play and pods serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Container {
    /// ISO base media file format, with QuickTime's dialect of it.
    Mp4,
    /// The subset of Matroska that browsers play.
    WebM,
    /// Ogg with Theora or VP8.
    Ogg,
}

impl Container {
    /// How many first bytes [`Container::sniff`] looks at.
    pub const SNIFFED: usize = 12;

    /// Recognises a container by the first bytes of a file; says nothing about the rest.
    pub fn sniff(start: &[u8]) -> Option<Self> {
        match start {
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some(Self::Mp4),
            [0x1a, 0x45, 0xdf, 0xa3, ..] => Some(Self::WebM),
            [b'O', b'g', b'g', b'S', ..] => Some(Self::Ogg),
            _ => None,
        }
    }

    /// The extension of media files of this container, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::WebM => "webm",
            Self::Ogg => "ogv",
        }
    }

    /// The container of media files with this extension.
    pub fn from_extension(extension: &str) -> Option<Self> {
        [Self::Mp4, Self::WebM, Self::Ogg]
            .into_iter()
            .find(|container| container.extension() == extension)
    }

    /// What ffmpeg's tools call the reader of this container.
    pub(super) fn demuxer(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::WebM => "webm",
            Self::Ogg => "ogg",
        }
    }
}

/// What a media file says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// How streams are put together.
    pub container: Container,
    /// The length, in seconds; finite and above zero.
    pub seconds: f64,
    /// Width of the pictures as shown (a rotated phone video is tall), in pixels; 1 to [`MAX_DIMENSION`].
    pub width: u32,
    /// Height of the pictures as shown, in pixels; 1 to [`MAX_DIMENSION`].
    pub height: u32,
    /// Pictures a second, averaged; none where the file does not tell.
    pub fps: Option<f64>,
    /// The first video stream's codec, as ffprobe names it (`h264`, `vp9`, `theora`).
    pub video_codec: String,
    /// The first audio stream's codec, if there is any audio.
    pub audio_codec: Option<String>,
}

impl Probe {
    /// The length in whole seconds: rounded to the nearest, halves up, and at least 1.
    pub fn duration(&self) -> u32 {
        // A float-to-integer cast saturates; `checked` keeps lengths below u32::MAX seconds.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates; checked on creation"
        )]
        let seconds = self.seconds.round() as u32;
        seconds.max(1)
    }

    /// Pictures a second as a whole number, 0 where the file does not tell.
    pub fn whole_fps(&self) -> u16 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates, and is not negative"
        )]
        self.fps.map_or(0, |fps| fps.round() as u16)
    }

    /// The same probe if its numbers can be believed.
    fn checked(self) -> Result<Self, MediaError> {
        if !(self.seconds.is_finite() && self.seconds > 0.0 && self.seconds < f64::from(u32::MAX)) {
            return Err(MediaError::NoDuration);
        }
        let sane = 1..=MAX_DIMENSION;
        if !sane.contains(&self.width) || !sane.contains(&self.height) {
            return Err(MediaError::Dimensions {
                width: self.width,
                height: self.height,
            });
        }
        let fps = self
            .fps
            .filter(|fps| fps.is_finite() && *fps > 0.0 && *fps <= 1000.0);
        Ok(Self { fps, ..self })
    }
}

/// Why a file is not a video that can be published.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The file could not be read from disk; says nothing about its content.
    #[error("cannot read the file: {0}")]
    Io(#[from] std::io::Error),
    /// Neither MP4, WebM nor Ogg.
    #[error("the file is neither MP4, WebM nor Ogg")]
    UnknownContainer,
    /// Matroska, but not the subset that browsers play.
    #[error("the file is Matroska of type `{0}`, expected `webm`")]
    DocType(String),
    /// The file's structure is wrong.
    #[error("the file is damaged at byte {at}: {what}")]
    Damaged {
        /// What is wrong.
        what: &'static str,
        /// Where it is wrong.
        at: u64,
    },
    /// The reader gave up; an honest file needs far fewer steps.
    #[error("the file has too many parts to be read")]
    TooComplex,
    /// There are no moving pictures in it.
    #[error("the file has no video track")]
    NoVideo,
    /// Nothing says how long it is.
    #[error("the file does not tell how long it is")]
    NoDuration,
    /// Pictures are too large, or have no size.
    #[error("the video measures {width} x {height} pixels, expected 1 to {MAX_DIMENSION} each way")]
    Dimensions {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// ffprobe looked at the file and refused it.
    #[error("the file cannot be read as a video: {0}")]
    Refused(String),
}

/// Reads what a file is with our own readers alone. Blocks.
pub fn read(source: impl Read + Seek) -> Result<Probe, MediaError> {
    let mut scan = Scan::new(source)?;
    let mut start = [0; Container::SNIFFED];
    let known = scan.peek(0, &mut start)?;
    let probe = match Container::sniff(&start[..known]).ok_or(MediaError::UnknownContainer)? {
        Container::Mp4 => mp4::read(&mut scan),
        Container::WebM => webm::read(&mut scan),
        Container::Ogg => ogg::read(&mut scan),
    }?;
    probe.checked()
}

/// Tells what a file is.
///
/// Where ffprobe is present its answer wins over our reader's, and ours fills what it leaves open (the length of a
/// recording that was never closed). A tool that fails without an opinion (a timeout, a crash) leaves ours alone.
pub async fn probe(path: &Path, tools: &MediaTools) -> Result<Probe, MediaError> {
    let file: PathBuf = path.to_owned();
    let (container, ours) = tokio::task::spawn_blocking(move || {
        let mut start = Vec::new();
        std::fs::File::open(&file)?
            .take(Container::SNIFFED as u64)
            .read_to_end(&mut start)?;
        let container = Container::sniff(&start).ok_or(MediaError::UnknownContainer)?;
        Ok::<_, MediaError>((container, read(std::fs::File::open(&file)?)))
    })
    .await
    .map_err(|error| MediaError::Io(std::io::Error::other(error)))??;
    // A reader that met an unreadable disk has no opinion to overrule.
    let ours = match ours {
        Err(error @ (MediaError::Io(_) | MediaError::DocType(_))) => return Err(error),
        other => other,
    };
    let Some(ffprobe) = tools.ffprobe() else {
        return ours;
    };
    match ffprobe::probe(ffprobe, path, container).await {
        Ok(report) => {
            let theirs = report.complete_with(ours.as_ref().ok())?.checked()?;
            if let Ok(ours) = &ours
                && ((ours.seconds - theirs.seconds).abs() > 1.0
                    || (ours.width, ours.height) != (theirs.width, theirs.height))
            {
                debug!(?ours, ?theirs, "readers disagree about a media file");
            }
            Ok(theirs)
        }
        Err(ToolError::Failed { text, .. }) => Err(MediaError::Refused(text)),
        Err(error) => {
            warn!(%error, "ffprobe gave no answer, the own reader's stands");
            ours
        }
    }
}

/// A codec's name as others may see it: short, lower case, of harmless characters.
fn codec_name(raw: &[u8]) -> String {
    let name: String = raw
        .iter()
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/'))
        .take(MAX_CODEC)
        .collect();
    if name.is_empty() {
        "unknown".to_owned()
    } else {
        name
    }
}
