//! Reads WebM, the subset of Matroska (RFC 9559) in EBML (RFC 8794) that browsers play.
//!
//! Segment and clusters may have an unknown size, as a browser's recorder writes them: such a cluster ends where an
//! element of the upper level begins. A recording without a duration is as long as its last block says.

use std::io::{Read, Seek};

use super::scan::Scan;
use super::{Container, MediaError, Probe, codec_name};

/// How many tracks of a file are looked at.
const MAX_TRACKS: usize = 64;

/// How many pictures are counted where the file does not tell its rate.
const COUNTED_FRAMES: u32 = 120;

const DOC_TYPE: u32 = 0x4282;
const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_a966;
const TIMESTAMP_SCALE: u32 = 0x2a_d7b1;
const DURATION: u32 = 0x4489;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK_ENTRY: u32 = 0xae;
const TRACK_NUMBER: u32 = 0xd7;
const TRACK_TYPE: u32 = 0x83;
const CODEC_ID: u32 = 0x86;
const DEFAULT_DURATION: u32 = 0x23_e383;
const VIDEO: u32 = 0xe0;
const PIXEL_WIDTH: u32 = 0xb0;
const PIXEL_HEIGHT: u32 = 0xba;
const CLUSTER: u32 = 0x1f43_b675;
const TIMESTAMP: u32 = 0xe7;
const SIMPLE_BLOCK: u32 = 0xa3;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;
/// What may stand beside a cluster, and so ends one of unknown size: seek head, cues, chapters, attachments, tags.
const OTHERS_BESIDE_CLUSTERS: [u32; 5] = [0x114d_9b74, 0x1c53_bb6b, 0x1043_a770, 0x1941_a469, 0x1254_c367];

const TYPE_VIDEO: u64 = 1;
const TYPE_AUDIO: u64 = 2;

/// An element; one of unknown size has no end.
struct Element {
    id: u32,
    body: u64,
    end: Option<u64>,
}

#[derive(Default)]
struct Track {
    number: u64,
    kind: u64,
    codec: Vec<u8>,
    frame_nanoseconds: u64,
    width: u64,
    height: u64,
}

/// What was seen of the blocks, in units of the segment's timestamp scale.
#[derive(Default)]
struct Blocks {
    last: Option<u64>,
    first_frame: Option<u64>,
    last_frame: Option<u64>,
    frames: u32,
}

/// Reads a file that begins with an EBML header.
pub(super) fn read<R: Read + Seek>(scan: &mut Scan<R>) -> Result<Probe, MediaError> {
    let len = scan.len();
    let header = known(element(scan, 0, len)?, 0)?;
    check_doc_type(scan, header.body, header.end)?;
    let mut at = header.end;
    let segment = loop {
        match element(scan, at, len)? {
            Some(found) if found.id == SEGMENT => break found,
            found => at = known(found, at)?.end,
        }
    };
    read_segment(scan, segment.body, segment.end.unwrap_or(len).min(len))
}

fn check_doc_type<R: Read + Seek>(scan: &mut Scan<R>, mut at: u64, end: u64) -> Result<(), MediaError> {
    while let Some(found) = element(scan, at, end)? {
        let found = known(Some(found), at)?;
        if found.id == DOC_TYPE {
            let name = text(scan, &found)?;
            return if name == b"webm" {
                Ok(())
            } else {
                Err(MediaError::DocType(codec_name(&name)))
            };
        }
        at = found.end;
    }
    Err(MediaError::Damaged {
        what: "no document type",
        at: end,
    })
}

fn read_segment<R: Read + Seek>(scan: &mut Scan<R>, mut at: u64, end: u64) -> Result<Probe, MediaError> {
    let mut scale = 1_000_000u64;
    let mut duration = None;
    let mut tracks: Vec<Track> = Vec::new();
    let mut blocks = Blocks::default();
    let mut last_cluster = None;
    while let Some(found) = element(scan, at, end)? {
        let body_end = found.end.unwrap_or(end);
        match found.id {
            INFO => {
                let info = known(Some(found), at)?;
                (scale, duration) = read_info(scan, &info)?;
            }
            TRACKS => {
                let list = known(Some(found), at)?;
                tracks = read_tracks(scan, &list)?;
            }
            CLUSTER => {
                let video = tracks.iter().find(|track| track.kind == TYPE_VIDEO);
                let counting =
                    video.is_some_and(|track| track.frame_nanoseconds == 0) && blocks.frames < COUNTED_FRAMES;
                if duration.is_some() && !tracks.is_empty() && !counting {
                    break;
                }
                let number = video.map(|track| track.number);
                if found.end.is_none() || counting {
                    at = read_cluster(scan, &found, end, number, &mut blocks)?;
                    continue;
                }
                last_cluster = Some(found);
            }
            _ if found.end.is_none() => {
                return Err(MediaError::Damaged {
                    what: "an element of unknown size",
                    at,
                });
            }
            _ => {}
        }
        at = body_end;
    }
    let video = tracks
        .iter()
        .find(|track| track.kind == TYPE_VIDEO)
        .ok_or(MediaError::NoVideo)?;
    if let Some(cluster) = last_cluster.filter(|_| duration.is_none()) {
        read_cluster(scan, &cluster, end, None, &mut blocks)?;
    }
    let seconds = |units: f64| units * scale as f64 / 1e9;
    let frame = video.frame_nanoseconds as f64 / 1e9;
    let length = match duration {
        Some(units) => seconds(units),
        None => seconds(blocks.last.ok_or(MediaError::NoDuration)? as f64) + frame,
    };
    let counted = blocks
        .first_frame
        .zip(blocks.last_frame)
        .filter(|(first, last)| last > first);
    let fps = match counted {
        _ if frame > 0.0 => Some(1.0 / frame),
        Some((first, last)) => Some(f64::from(blocks.frames - 1) / seconds((last - first) as f64)),
        None => None,
    };
    let audio = tracks.iter().find(|track| track.kind == TYPE_AUDIO);
    Ok(Probe {
        container: Container::WebM,
        seconds: length,
        width: u32::try_from(video.width).unwrap_or(u32::MAX),
        height: u32::try_from(video.height).unwrap_or(u32::MAX),
        fps,
        video_codec: name_of(&video.codec),
        audio_codec: audio.map(|track| name_of(&track.codec)),
    })
}

fn read_info<R: Read + Seek>(scan: &mut Scan<R>, info: &Known) -> Result<(u64, Option<f64>), MediaError> {
    let (mut scale, mut duration, mut at) = (1_000_000, None, info.body);
    while let Some(found) = element(scan, at, info.end)? {
        let found = known(Some(found), at)?;
        match found.id {
            TIMESTAMP_SCALE => scale = unsigned(scan, &found)?,
            DURATION => duration = float(scan, &found)?.filter(|units| units.is_finite() && *units > 0.0),
            _ => {}
        }
        at = found.end;
    }
    Ok((scale, duration))
}

fn read_tracks<R: Read + Seek>(scan: &mut Scan<R>, list: &Known) -> Result<Vec<Track>, MediaError> {
    let (mut tracks, mut at) = (Vec::new(), list.body);
    while let Some(found) = element(scan, at, list.end)? {
        let entry = known(Some(found), at)?;
        if entry.id == TRACK_ENTRY && tracks.len() < MAX_TRACKS {
            tracks.push(read_track(scan, &entry)?);
        }
        at = entry.end;
    }
    Ok(tracks)
}

fn read_track<R: Read + Seek>(scan: &mut Scan<R>, entry: &Known) -> Result<Track, MediaError> {
    let (mut track, mut at) = (Track::default(), entry.body);
    while let Some(found) = element(scan, at, entry.end)? {
        let found = known(Some(found), at)?;
        match found.id {
            TRACK_NUMBER => track.number = unsigned(scan, &found)?,
            TRACK_TYPE => track.kind = unsigned(scan, &found)?,
            CODEC_ID => track.codec = text(scan, &found)?,
            DEFAULT_DURATION => track.frame_nanoseconds = unsigned(scan, &found)?,
            VIDEO => {
                let mut at = found.body;
                while let Some(inner) = element(scan, at, found.end)? {
                    let inner = known(Some(inner), at)?;
                    match inner.id {
                        PIXEL_WIDTH => track.width = unsigned(scan, &inner)?,
                        PIXEL_HEIGHT => track.height = unsigned(scan, &inner)?,
                        _ => {}
                    }
                    at = inner.end;
                }
            }
            _ => {}
        }
        at = found.end;
    }
    Ok(track)
}

/// Walks a cluster's blocks and returns where it ends.
fn read_cluster<R: Read + Seek>(
    scan: &mut Scan<R>,
    cluster: &Element,
    segment_end: u64,
    video: Option<u64>,
    blocks: &mut Blocks,
) -> Result<u64, MediaError> {
    let end = cluster.end.unwrap_or(segment_end);
    let (mut at, mut start) = (cluster.body, 0u64);
    while let Some(found) = element(scan, at, end)? {
        if cluster.end.is_none() && ends_cluster(found.id) {
            return Ok(at);
        }
        let found = known(Some(found), at)?;
        match found.id {
            TIMESTAMP => start = unsigned(scan, &found)?,
            SIMPLE_BLOCK => note_block(scan, &found, start, video, blocks)?,
            BLOCK_GROUP => {
                let mut at = found.body;
                while let Some(inner) = element(scan, at, found.end)? {
                    let inner = known(Some(inner), at)?;
                    if inner.id == BLOCK {
                        note_block(scan, &inner, start, video, blocks)?;
                    }
                    at = inner.end;
                }
            }
            _ => {}
        }
        at = found.end;
    }
    Ok(end)
}

fn ends_cluster(id: u32) -> bool {
    matches!(id, CLUSTER | INFO | TRACKS) || OTHERS_BESIDE_CLUSTERS.contains(&id)
}

fn note_block<R: Read + Seek>(
    scan: &mut Scan<R>,
    block: &Known,
    start: u64,
    video: Option<u64>,
    blocks: &mut Blocks,
) -> Result<(), MediaError> {
    let Some((track, length)) = variable(scan, block.body, block.end)? else {
        return Ok(());
    };
    let at = block.body + u64::from(length);
    if block.end.saturating_sub(at) < 2 {
        return Ok(());
    }
    let time = start.saturating_add_signed(i16::from_be_bytes(scan.array(at)?).into());
    blocks.last = blocks.last.max(Some(time));
    if track.is_some() && track == video && blocks.frames < COUNTED_FRAMES {
        blocks.frames += 1;
        blocks.first_frame = Some(blocks.first_frame.map_or(time, |first| first.min(time)));
        blocks.last_frame = blocks.last_frame.max(Some(time));
    }
    Ok(())
}

/// An element whose end is known.
struct Known {
    id: u32,
    body: u64,
    end: u64,
}

fn known(found: Option<Element>, at: u64) -> Result<Known, MediaError> {
    match found {
        Some(Element {
            id,
            body,
            end: Some(end),
        }) => Ok(Known { id, body, end }),
        Some(_) => Err(MediaError::Damaged {
            what: "an element of unknown size",
            at,
        }),
        None => Err(MediaError::Damaged {
            what: "an element is missing",
            at,
        }),
    }
}

/// The element at an offset, cut to `limit`; none where the level ends.
fn element<R: Read + Seek>(scan: &mut Scan<R>, at: u64, limit: u64) -> Result<Option<Element>, MediaError> {
    let limit = limit.min(scan.len());
    if at >= limit {
        return Ok(None);
    }
    scan.step()?;
    let first = scan.u8(at)?;
    let id_length = first.leading_zeros() + 1;
    if id_length > 4 {
        return Err(MediaError::Damaged {
            what: "not an element",
            at,
        });
    }
    let mut id = 0u32;
    for byte in 0..u64::from(id_length) {
        id = id << 8 | u32::from(scan.u8(at + byte)?);
    }
    let size_at = at + u64::from(id_length);
    let Some((size, length)) = variable(scan, size_at, limit)? else {
        return Ok(None);
    };
    let body = size_at + u64::from(length);
    // A cut-off file ends inside an element: what is left of it is all there is.
    let end = size.map(|size| body.saturating_add(size).min(limit));
    if body > limit {
        return Ok(None);
    }
    Ok(Some(Element { id, body, end }))
}

/// A number of variable length (none where all its bits are set: "unknown") and how many bytes it takes.
fn variable<R: Read + Seek>(
    scan: &mut Scan<R>,
    at: u64,
    limit: u64,
) -> Result<Option<(Option<u64>, u32)>, MediaError> {
    if at >= limit {
        return Ok(None);
    }
    let first = scan.u8(at)?;
    let length = first.leading_zeros() + 1;
    if length > 8 {
        return Err(MediaError::Damaged {
            what: "a number is longer than 8 bytes",
            at,
        });
    }
    if limit - at < u64::from(length) {
        return Ok(None);
    }
    let mut value = u64::from(first) & (0xff >> length);
    for byte in 1..u64::from(length) {
        value = value << 8 | u64::from(scan.u8(at + byte)?);
    }
    let all_ones = (1u64 << (7 * length)) - 1;
    Ok(Some(((value != all_ones).then_some(value), length)))
}

fn unsigned<R: Read + Seek>(scan: &mut Scan<R>, found: &Known) -> Result<u64, MediaError> {
    let length = found.end - found.body;
    if length > 8 {
        return Err(MediaError::Damaged {
            what: "an integer is longer than 8 bytes",
            at: found.body,
        });
    }
    let mut value = 0u64;
    for byte in 0..length {
        value = value << 8 | u64::from(scan.u8(found.body + byte)?);
    }
    Ok(value)
}

fn float<R: Read + Seek>(scan: &mut Scan<R>, found: &Known) -> Result<Option<f64>, MediaError> {
    Ok(match found.end - found.body {
        4 => Some(f32::from_be_bytes(scan.array(found.body)?).into()),
        8 => Some(f64::from_be_bytes(scan.array(found.body)?)),
        _ => None,
    })
}

/// A short text, cut at 64 bytes and at its first zero.
fn text<R: Read + Seek>(scan: &mut Scan<R>, found: &Known) -> Result<Vec<u8>, MediaError> {
    let length = usize::try_from((found.end - found.body).min(64)).unwrap_or(64);
    let mut bytes = vec![0; length];
    scan.exact(found.body, &mut bytes)?;
    let used = bytes.iter().position(|byte| *byte == 0).unwrap_or(length);
    bytes.truncate(used);
    Ok(bytes)
}

fn name_of(id: &[u8]) -> String {
    let name = match id {
        b"V_VP8" => "vp8",
        b"V_VP9" => "vp9",
        b"V_AV1" => "av1",
        b"V_MPEG4/ISO/AVC" => "h264",
        b"V_MPEGH/ISO/HEVC" => "hevc",
        b"A_OPUS" => "opus",
        b"A_VORBIS" => "vorbis",
        b"A_AAC" => "aac",
        other => return codec_name(other),
    };
    name.to_owned()
}
