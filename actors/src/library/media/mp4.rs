//! Reads ISO base media files (ISO/IEC 14496-12) and their QuickTime relatives.
//!
//! The movie header may stand at the start or behind the media data. A fragmented file, as browsers record it, keeps
//! its length in its fragments, which are then added up. The depth of the walk is that of the calls below, never
//! that of the file.

use std::io::{Read, Seek};

use super::scan::Scan;
use super::{Container, MediaError, Probe, codec_name};

/// How many tracks of a movie are looked at.
const MAX_TRACKS: usize = 64;

/// A box: its four-character type and where its content lies, cut to what contains it.
struct Boxed {
    kind: [u8; 4],
    body: u64,
    end: u64,
}

#[derive(Default)]
struct Movie {
    timescale: u32,
    duration: u64,
    fragmented: bool,
    /// The length that a fragmented movie announces, in the movie's timescale.
    fragments_duration: u64,
    /// Default sample durations by track, for fragments.
    defaults: Vec<(u32, u32)>,
    tracks: Vec<Track>,
}

#[derive(Default)]
struct Track {
    id: u32,
    handler: [u8; 4],
    codec: [u8; 4],
    timescale: u32,
    duration: u64,
    samples: u64,
    ticks: u64,
    /// From the sample description, or else the track header.
    width: u32,
    height: u32,
    quarter_turn: bool,
    /// Where the last fragment ends, in the track's timescale.
    fragments_end: u64,
}

/// Reads a file that begins with an `ftyp` box.
pub(super) fn read<R: Read + Seek>(scan: &mut Scan<R>) -> Result<Probe, MediaError> {
    let mut movie: Option<Movie> = None;
    let (mut at, end) = (0, scan.len());
    while let Some(found) = next_box(scan, at, end)? {
        match (&found.kind, &mut movie) {
            (b"moov", None) => {
                let read = read_movie(scan, &found)?;
                let complete = !read.fragmented || read.fragments_duration > 0;
                movie = Some(read);
                if complete {
                    break;
                }
            }
            (b"moof", Some(movie)) => add_fragment(scan, &found, movie)?,
            _ => {}
        }
        at = found.end;
    }
    let movie = movie.ok_or(MediaError::Damaged {
        what: "no movie header",
        at: end,
    })?;
    describe(&movie)
}

fn describe(movie: &Movie) -> Result<Probe, MediaError> {
    let video = movie
        .tracks
        .iter()
        .find(|track| &track.handler == b"vide")
        .ok_or(MediaError::NoVideo)?;
    let audio = movie.tracks.iter().find(|track| &track.handler == b"soun");
    let ratio = |amount: u64, timescale: u32| {
        if timescale == 0 {
            0.0
        } else {
            amount as f64 / f64::from(timescale)
        }
    };
    let fragments = movie
        .tracks
        .iter()
        .map(|track| ratio(track.fragments_end, track.timescale))
        .fold(0.0, f64::max);
    let lengths = [
        ratio(movie.fragments_duration, movie.timescale),
        fragments,
        ratio(movie.duration, movie.timescale),
        movie
            .tracks
            .iter()
            .map(|track| ratio(track.duration, track.timescale))
            .fold(0.0, f64::max),
    ];
    let seconds = lengths
        .into_iter()
        .find(|seconds| *seconds > 0.0)
        .ok_or(MediaError::NoDuration)?;
    let fps =
        (video.ticks > 0).then(|| video.samples as f64 * f64::from(video.timescale) / video.ticks as f64);
    let (width, height) = if video.quarter_turn {
        (video.height, video.width)
    } else {
        (video.width, video.height)
    };
    Ok(Probe {
        container: Container::Mp4,
        seconds,
        width,
        height,
        fps,
        video_codec: name_of(video.codec),
        audio_codec: audio.map(|track| name_of(track.codec)),
    })
}

fn read_movie<R: Read + Seek>(scan: &mut Scan<R>, moov: &Boxed) -> Result<Movie, MediaError> {
    let mut movie = Movie::default();
    let mut at = moov.body;
    while let Some(found) = next_box(scan, at, moov.end)? {
        match &found.kind {
            b"mvhd" => (movie.timescale, movie.duration) = read_times(scan, &found)?,
            b"trak" if movie.tracks.len() < MAX_TRACKS => movie.tracks.push(read_track(scan, &found)?),
            b"mvex" => {
                movie.fragmented = true;
                read_extends(scan, &found, &mut movie)?;
            }
            _ => {}
        }
        at = found.end;
    }
    Ok(movie)
}

fn read_extends<R: Read + Seek>(
    scan: &mut Scan<R>,
    mvex: &Boxed,
    movie: &mut Movie,
) -> Result<(), MediaError> {
    let mut at = mvex.body;
    while let Some(found) = next_box(scan, at, mvex.end)? {
        match &found.kind {
            b"mehd" => {
                let wide = scan.u8(found.body)? == 1;
                let at = found.body + 4;
                movie.fragments_duration = if wide { scan.u64(at)? } else { scan.u32(at)?.into() };
            }
            b"trex" if movie.defaults.len() < MAX_TRACKS => {
                movie
                    .defaults
                    .push((scan.u32(found.body + 4)?, scan.u32(found.body + 12)?));
            }
            _ => {}
        }
        at = found.end;
    }
    Ok(())
}

fn read_track<R: Read + Seek>(scan: &mut Scan<R>, trak: &Boxed) -> Result<Track, MediaError> {
    let mut track = Track::default();
    let mut at = trak.body;
    while let Some(found) = next_box(scan, at, trak.end)? {
        match &found.kind {
            b"tkhd" => read_track_header(scan, &found, &mut track)?,
            b"mdia" => read_media(scan, &found, &mut track)?,
            _ => {}
        }
        at = found.end;
    }
    Ok(track)
}

fn read_track_header<R: Read + Seek>(
    scan: &mut Scan<R>,
    tkhd: &Boxed,
    track: &mut Track,
) -> Result<(), MediaError> {
    let wide = scan.u8(tkhd.body)? == 1;
    let (id, matrix) = if wide { (20, 52) } else { (12, 40) };
    track.id = scan.u32(tkhd.body + id)?;
    // The first row of the matrix is (cos, sin): a quarter turn has no cosine.
    track.quarter_turn = scan.u32(tkhd.body + matrix)? == 0 && scan.u32(tkhd.body + matrix + 4)? != 0;
    if track.width == 0 {
        // 16.16 fixed point.
        track.width = scan.u32(tkhd.body + matrix + 36)? >> 16;
        track.height = scan.u32(tkhd.body + matrix + 40)? >> 16;
    }
    Ok(())
}

fn read_media<R: Read + Seek>(scan: &mut Scan<R>, mdia: &Boxed, track: &mut Track) -> Result<(), MediaError> {
    let mut at = mdia.body;
    while let Some(found) = next_box(scan, at, mdia.end)? {
        match &found.kind {
            b"mdhd" => (track.timescale, track.duration) = read_times(scan, &found)?,
            b"hdlr" => track.handler = scan.array(found.body + 8)?,
            b"minf" => {
                let mut at = found.body;
                while let Some(inner) = next_box(scan, at, found.end)? {
                    if &inner.kind == b"stbl" {
                        read_samples(scan, &inner, track)?;
                    }
                    at = inner.end;
                }
            }
            _ => {}
        }
        at = found.end;
    }
    Ok(())
}

fn read_samples<R: Read + Seek>(
    scan: &mut Scan<R>,
    stbl: &Boxed,
    track: &mut Track,
) -> Result<(), MediaError> {
    let mut at = stbl.body;
    while let Some(found) = next_box(scan, at, stbl.end)? {
        match &found.kind {
            b"stsd" => {
                // The first entry describes the track; `hdlr` stands before `minf` in every file that plays.
                track.codec = scan.array(found.body + 12)?;
                if &track.handler == b"vide" {
                    let [w0, w1, h0, h1] = scan.array(found.body + 8 + 32)?;
                    let (width, height) = (u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1]));
                    if width > 0 && height > 0 {
                        (track.width, track.height) = (width.into(), height.into());
                    }
                }
            }
            b"stts" => {
                let rows = u64::from(scan.u32(found.body + 4)?);
                let fitting = found.end.saturating_sub(found.body + 8) / 8;
                for row in 0..rows.min(fitting) {
                    scan.step()?;
                    let at = found.body + 8 + row * 8;
                    let (count, delta) = (u64::from(scan.u32(at)?), u64::from(scan.u32(at + 4)?));
                    track.samples = track.samples.saturating_add(count);
                    track.ticks = track.ticks.saturating_add(count.saturating_mul(delta));
                }
            }
            _ => {}
        }
        at = found.end;
    }
    Ok(())
}

fn add_fragment<R: Read + Seek>(
    scan: &mut Scan<R>,
    moof: &Boxed,
    movie: &mut Movie,
) -> Result<(), MediaError> {
    let mut at = moof.body;
    while let Some(traf) = next_box(scan, at, moof.end)? {
        at = traf.end;
        if &traf.kind != b"traf" {
            continue;
        }
        let (mut track, mut default, mut start, mut ticks, mut samples) = (0, 0, None, 0u64, 0u64);
        let mut inner = traf.body;
        while let Some(found) = next_box(scan, inner, traf.end)? {
            match &found.kind {
                b"tfhd" => {
                    let flags = scan.u32(found.body)?;
                    track = scan.u32(found.body + 4)?;
                    default = movie
                        .defaults
                        .iter()
                        .find(|(id, _)| *id == track)
                        .map_or(0, |(_, ticks)| *ticks);
                    if flags & 0x08 != 0 {
                        let skip =
                            if flags & 0x01 != 0 { 8 } else { 0 } + if flags & 0x02 != 0 { 4 } else { 0 };
                        default = scan.u32(found.body + 8 + skip)?;
                    }
                }
                b"tfdt" => {
                    let wide = scan.u8(found.body)? == 1;
                    let at = found.body + 4;
                    start = Some(if wide { scan.u64(at)? } else { scan.u32(at)?.into() });
                }
                b"trun" => {
                    let (count, length) = read_run(scan, &found, default)?;
                    samples = samples.saturating_add(count);
                    ticks = ticks.saturating_add(length);
                }
                _ => {}
            }
            inner = found.end;
        }
        if let Some(track) = movie.tracks.iter_mut().find(|known| known.id == track) {
            track.fragments_end = track
                .fragments_end
                .max(start.unwrap_or(track.fragments_end).saturating_add(ticks));
            track.samples = track.samples.saturating_add(samples);
            track.ticks = track.ticks.saturating_add(ticks);
        }
    }
    Ok(())
}

/// How many samples a track run holds, and how long they last together.
fn read_run<R: Read + Seek>(
    scan: &mut Scan<R>,
    trun: &Boxed,
    default: u32,
) -> Result<(u64, u64), MediaError> {
    let flags = scan.u32(trun.body)?;
    let count = u64::from(scan.u32(trun.body + 4)?);
    if flags & 0x100 == 0 {
        return Ok((count, count.saturating_mul(default.into())));
    }
    let first = trun.body + 8 + if flags & 0x01 != 0 { 4 } else { 0 } + if flags & 0x04 != 0 { 4 } else { 0 };
    let row = 4 * u64::from((flags & 0xf00).count_ones());
    let count = count.min(trun.end.saturating_sub(first) / row);
    let mut ticks = 0u64;
    for sample in 0..count {
        scan.step()?;
        ticks = ticks.saturating_add(scan.u32(first + sample * row)?.into());
    }
    Ok((count, ticks))
}

/// Timescale and duration of an `mvhd` or `mdhd` box; an unknown duration is 0.
fn read_times<R: Read + Seek>(scan: &mut Scan<R>, header: &Boxed) -> Result<(u32, u64), MediaError> {
    let at = header.body;
    if scan.u8(at)? == 1 {
        let duration = scan.u64(at + 24)?;
        return Ok((
            scan.u32(at + 20)?,
            if duration == u64::MAX { 0 } else { duration },
        ));
    }
    let duration = scan.u32(at + 16)?;
    Ok((
        scan.u32(at + 12)?,
        if duration == u32::MAX { 0 } else { duration.into() },
    ))
}

/// The box at an offset, if one fits before `end`.
fn next_box<R: Read + Seek>(scan: &mut Scan<R>, at: u64, end: u64) -> Result<Option<Boxed>, MediaError> {
    // All offsets stay below the file's length plus small constants, so sums of them cannot overflow.
    let end = end.min(scan.len());
    if end.saturating_sub(at) < 8 {
        return Ok(None);
    }
    scan.step()?;
    let [s0, s1, s2, s3, kind @ ..] = scan.array::<8>(at)?;
    let (header, size) = match u32::from_be_bytes([s0, s1, s2, s3]) {
        0 => (8, end - at),
        1 if end - at < 16 => return Ok(None),
        1 => (16, scan.u64(at + 8)?),
        size => (8, size.into()),
    };
    if size < header {
        return Err(MediaError::Damaged {
            what: "a box is smaller than its header",
            at,
        });
    }
    Ok(Some(Boxed {
        kind,
        body: at + header,
        end: at.saturating_add(size).min(end),
    }))
}

fn name_of(code: [u8; 4]) -> String {
    let name = match &code {
        b"avc1" | b"avc3" => "h264",
        b"hev1" | b"hvc1" => "hevc",
        b"vp08" => "vp8",
        b"vp09" => "vp9",
        b"av01" => "av1",
        b"mp4v" => "mpeg4",
        b"mp4a" => "aac",
        b"ac-3" => "ac3",
        b"ec-3" => "eac3",
        other => return codec_name(other),
    };
    name.to_owned()
}
