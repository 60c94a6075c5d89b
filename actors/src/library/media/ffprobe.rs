//! Asks ffprobe what a file is.
//!
//! The demuxer is forced to the container that the first bytes showed, and only the `file` protocol is open: a file
//! cannot make ffprobe try one of its hundreds of other formats, some of which open further files or addresses.

use std::ffi::OsString;
use std::path::Path;

use serde::Deserialize;

use super::tool::{Tool, ToolError, file_argument};
use super::{Container, MAX_DIMENSION, MediaError, Probe, codec_name};

/// The longest answer taken, in bytes; an honest one has some 4 kB a stream.
const MAX_ANSWER: u64 = 256 * 1024;

/// How many streams of an answer are looked at.
const MAX_STREAMS: usize = 64;

/// What ffprobe said; parts it did not know are open.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Report {
    container: Container,
    seconds: Option<f64>,
    video: Option<Video>,
    audio_codec: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Video {
    codec: String,
    width: u32,
    height: u32,
    fps: Option<f64>,
}

impl Report {
    /// The report as a probe; what it leaves open is taken from another one.
    pub(super) fn complete_with(self, other: Option<&Probe>) -> Result<Probe, MediaError> {
        let video = self.video.ok_or(MediaError::NoVideo)?;
        let seconds = self
            .seconds
            .or(other.map(|probe| probe.seconds))
            .ok_or(MediaError::NoDuration)?;
        Ok(Probe {
            container: self.container,
            seconds,
            width: video.width,
            height: video.height,
            fps: video.fps.or(other.and_then(|probe| probe.fps)),
            video_codec: video.codec,
            audio_codec: self.audio_codec,
        })
    }
}

/// Runs ffprobe on a file whose container is known.
pub(super) async fn probe(ffprobe: &Tool, path: &Path, container: Container) -> Result<Report, ToolError> {
    let fixed = [
        "-hide_banner",
        "-v",
        "error",
        "-print_format",
        "json",
        "-show_entries",
        "format=duration:stream=codec_type,codec_name,width,height,avg_frame_rate,duration:stream_disposition=attached_pic\
         :stream_side_data=rotation:stream_tags=rotate",
        "-protocol_whitelist",
        "file",
        "-f",
        container.demuxer(),
        "-i",
    ];
    let mut arguments: Vec<OsString> = fixed.into_iter().map(OsString::from).collect();
    arguments.push(file_argument(path));
    let answer = ffprobe.run(arguments, MAX_ANSWER).await?;
    let answer: Answer = serde_json::from_slice(&answer).map_err(|error| ToolError::Nonsense {
        program: ffprobe.program().to_owned(),
        text: error.to_string(),
    })?;
    Ok(answer.report(container))
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    format: Format,
}

#[derive(Default, Deserialize)]
struct Format {
    duration: Option<String>,
}

#[derive(Deserialize)]
struct Stream {
    codec_type: Option<String>,
    codec_name: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    avg_frame_rate: Option<String>,
    duration: Option<String>,
    #[serde(default)]
    disposition: Disposition,
    #[serde(default)]
    tags: Tags,
    #[serde(default)]
    side_data_list: Vec<SideData>,
}

#[derive(Default, Deserialize)]
struct Disposition {
    #[serde(default)]
    attached_pic: u8,
}

#[derive(Default, Deserialize)]
struct Tags {
    rotate: Option<String>,
}

#[derive(Deserialize)]
struct SideData {
    rotation: Option<f64>,
}

impl Answer {
    fn report(self, container: Container) -> Report {
        let streams = &self.streams[..self.streams.len().min(MAX_STREAMS)];
        let of_type = |name: &str| {
            let wanted = Some(name.to_owned());
            streams
                .iter()
                .find(move |stream| stream.codec_type == wanted && stream.disposition.attached_pic == 0)
        };
        let positive = |text: &String| {
            text.parse::<f64>()
                .ok()
                .filter(|number| number.is_finite() && *number > 0.0)
        };
        let longest = streams
            .iter()
            .filter_map(|stream| stream.duration.as_ref().and_then(positive))
            .reduce(f64::max);
        Report {
            container,
            seconds: self.format.duration.as_ref().and_then(positive).or(longest),
            video: of_type("video").map(Stream::video),
            audio_codec: of_type("audio").map(Stream::codec),
        }
    }
}

impl Stream {
    fn codec(&self) -> String {
        codec_name(self.codec_name.as_deref().unwrap_or_default().as_bytes())
    }

    fn video(&self) -> Video {
        // Above the maximum is as good as anything above it: `Probe::checked` refuses it.
        let side = |pixels: Option<u32>| pixels.unwrap_or(0).min(MAX_DIMENSION + 1);
        let (mut width, mut height) = (side(self.width), side(self.height));
        if self.quarter_turn() {
            (width, height) = (height, width);
        }
        Video {
            codec: self.codec(),
            width,
            height,
            fps: self.avg_frame_rate.as_deref().and_then(ratio),
        }
    }

    fn quarter_turn(&self) -> bool {
        let tagged = self
            .tags
            .rotate
            .as_ref()
            .and_then(|degrees| degrees.parse::<f64>().ok());
        let degrees = self
            .side_data_list
            .iter()
            .find_map(|data| data.rotation)
            .or(tagged);
        degrees.is_some_and(|degrees| (degrees.rem_euclid(180.0) - 90.0).abs() < 1.0)
    }
}

/// A number written as `30000/1001`.
fn ratio(text: &str) -> Option<f64> {
    let (above, below) = text.split_once('/')?;
    let (above, below): (f64, f64) = (above.parse().ok()?, below.parse().ok()?);
    (below > 0.0 && above > 0.0).then(|| above / below)
}
