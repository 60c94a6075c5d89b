//! Reads Ogg (RFC 3533) with Theora or VP8 pictures and Vorbis, Opus or FLAC sound.
//!
//! The first page of each stream says what it is. How long a stream is says the granule position of its last page,
//! which is looked for from the end of the file.

use std::io::{Read, Seek};

use super::scan::Scan;
use super::{Container, MediaError, Probe};

/// How many streams are looked at.
const MAX_STREAMS: usize = 32;

/// How far from the end of the file the last pages are looked for; a page is at most 65,307 bytes.
const TAIL: u64 = 1 << 20;

/// The part of a page's header that is always there.
const HEADER: usize = 27;

/// How much of a stream's first packet is looked at; Theora's is the longest.
const FIRST_PACKET: usize = 48;

const BEGINS_STREAM: u8 = 0x02;

struct Page {
    flags: u8,
    granule: u64,
    serial: u32,
    body: u64,
    end: u64,
}

struct Stream {
    serial: u32,
    codec: Codec,
    last_granule: Option<u64>,
}

enum Codec {
    Theora {
        width: u32,
        height: u32,
        rate: f64,
        shift: u32,
    },
    Vp8 {
        width: u32,
        height: u32,
        rate: f64,
    },
    Sound {
        name: &'static str,
        rate: u32,
        skip: u64,
    },
}

impl Codec {
    /// Recognises a stream by its first packet, padded with zeros.
    fn identify(packet: &[u8; FIRST_PACKET]) -> Option<Self> {
        let be16 = |at: usize| u32::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
        let be24 = |at: usize| u32::from_be_bytes([0, packet[at], packet[at + 1], packet[at + 2]]);
        let be32 =
            |at: usize| u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
        let le32 =
            |at: usize| u32::from_le_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
        let rate = |at: usize| {
            if be32(at + 4) == 0 {
                0.0
            } else {
                f64::from(be32(at)) / f64::from(be32(at + 4))
            }
        };
        if packet.starts_with(b"\x80theora") {
            let shift = u32::from(u16::from_be_bytes([packet[40], packet[41]]) >> 5 & 0x1f);
            return Some(Self::Theora {
                width: be24(14),
                height: be24(17),
                rate: rate(22),
                shift,
            });
        }
        if packet.starts_with(b"OVP80\x01") {
            return Some(Self::Vp8 {
                width: be16(8),
                height: be16(10),
                rate: rate(18),
            });
        }
        if packet.starts_with(b"\x01vorbis") {
            return Some(Self::Sound {
                name: "vorbis",
                rate: le32(12),
                skip: 0,
            });
        }
        if packet.starts_with(b"OpusHead") {
            let skip = u64::from(u16::from_le_bytes([packet[10], packet[11]]));
            return Some(Self::Sound {
                name: "opus",
                rate: 48_000,
                skip,
            });
        }
        if packet.starts_with(b"\x7fFLAC") {
            return Some(Self::Sound {
                name: "flac",
                rate: be32(27) >> 12,
                skip: 0,
            });
        }
        None
    }

    /// How many seconds have passed at a granule position.
    fn seconds(&self, granule: u64) -> f64 {
        match *self {
            Self::Theora { rate, shift, .. } => {
                // Frames up to the last key frame in the upper bits, frames since then in the lower ones.
                let frames = (granule >> shift).saturating_add(granule & ((1 << shift) - 1));
                if rate > 0.0 { frames as f64 / rate } else { 0.0 }
            }
            Self::Vp8 { rate, .. } => {
                if rate > 0.0 {
                    (granule >> 32) as f64 / rate
                } else {
                    0.0
                }
            }
            Self::Sound { rate, skip, .. } => {
                if rate == 0 {
                    0.0
                } else {
                    granule.saturating_sub(skip) as f64 / f64::from(rate)
                }
            }
        }
    }
}

/// Reads a file that begins with an Ogg page.
pub(super) fn read<R: Read + Seek>(scan: &mut Scan<R>) -> Result<Probe, MediaError> {
    let mut streams = read_streams(scan)?;
    find_last_pages(scan, &mut streams)?;
    let mut seconds = 0.0f64;
    let (mut video, mut audio) = (None, None);
    for stream in &streams {
        if let Some(granule) = stream.last_granule {
            seconds = seconds.max(stream.codec.seconds(granule));
        }
        match stream.codec {
            Codec::Theora {
                width, height, rate, ..
            } => {
                video = video.or(Some(("theora", width, height, rate)));
            }
            Codec::Vp8 { width, height, rate } => video = video.or(Some(("vp8", width, height, rate))),
            Codec::Sound { name, .. } => audio = audio.or(Some(name.to_owned())),
        }
    }
    let (name, width, height, rate) = video.ok_or(MediaError::NoVideo)?;
    Ok(Probe {
        container: Container::Ogg,
        seconds,
        width,
        height,
        fps: Some(rate),
        video_codec: name.to_owned(),
        audio_codec: audio,
    })
}

/// The streams whose first pages stand together at the start of the file.
fn read_streams<R: Read + Seek>(scan: &mut Scan<R>) -> Result<Vec<Stream>, MediaError> {
    let (mut streams, mut at): (Vec<Stream>, _) = (Vec::new(), 0);
    while let Some(page) = page_at(scan, at)? {
        if page.flags & BEGINS_STREAM == 0 {
            break;
        }
        let mut packet = [0; FIRST_PACKET];
        let length = usize::try_from(page.end - page.body)
            .unwrap_or(FIRST_PACKET)
            .min(FIRST_PACKET);
        scan.exact(page.body, &mut packet[..length])?;
        if let Some(codec) = Codec::identify(&packet).filter(|_| streams.len() < MAX_STREAMS) {
            streams.push(Stream {
                serial: page.serial,
                codec,
                last_granule: None,
            });
        }
        at = page.end;
    }
    Ok(streams)
}

fn find_last_pages<R: Read + Seek>(scan: &mut Scan<R>, streams: &mut [Stream]) -> Result<(), MediaError> {
    let (mut at, end) = (scan.len().saturating_sub(TAIL), scan.len());
    let mut chunk = [0; 4096];
    while at < end {
        scan.step()?;
        let length = scan.peek(at, &mut chunk)?;
        let Some(found) = chunk[..length].windows(4).position(|bytes| bytes == b"OggS") else {
            // A capture pattern may lie across two chunks.
            at += (length as u64).saturating_sub(3).max(1);
            continue;
        };
        at += found as u64;
        // A granule position of all ones says that no packet ends on the page.
        match page_at(scan, at)? {
            Some(page) if streams.iter().any(|stream| stream.serial == page.serial) => {
                if page.granule != u64::MAX {
                    for stream in streams.iter_mut().filter(|stream| stream.serial == page.serial) {
                        stream.last_granule = Some(page.granule);
                    }
                }
                at = page.end;
            }
            _ => at += 4,
        }
    }
    Ok(())
}

/// The whole page at an offset; none where there is no page, or only a part of one.
fn page_at<R: Read + Seek>(scan: &mut Scan<R>, at: u64) -> Result<Option<Page>, MediaError> {
    scan.step()?;
    let mut header = [0; HEADER];
    if scan.peek(at, &mut header)? < HEADER || !header.starts_with(b"OggS\0") {
        return Ok(None);
    }
    let mut lacing = [0; 255];
    let segments = usize::from(header[26]);
    if scan.peek(at + HEADER as u64, &mut lacing[..segments])? < segments {
        return Ok(None);
    }
    let size: u64 = lacing[..segments].iter().map(|length| u64::from(*length)).sum();
    let body = at + (HEADER + segments) as u64;
    if body + size > scan.len() {
        return Ok(None);
    }
    let [g0, g1, g2, g3, g4, g5, g6, g7, s0, s1, s2, s3] = header[6..18]
        .try_into()
        .expect("a range of twelve bytes is twelve bytes");
    Ok(Some(Page {
        flags: header[5],
        granule: u64::from_le_bytes([g0, g1, g2, g3, g4, g5, g6, g7]),
        serial: u32::from_le_bytes([s0, s1, s2, s3]),
        body,
        end: body + size,
    }))
}
