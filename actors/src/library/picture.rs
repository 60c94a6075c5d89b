//! Pictures of a video: a frame of it, an uploaded image, or a drawing.
//!
//! Whatever they come from, both pictures are JPEG of a fixed size, cropped to it, without any metadata of the source.
//! The dimensions an image claims are checked before a pixel of it is decoded.

mod drawing;

use std::ffi::OsString;
use std::io::Cursor;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use seedpod_protocol::ids::{ContentHash, VideoId};
use seedpod_protocol::records::Picture;

use super::folder::PictureKind;
use super::media::Probe;
use super::media::tool::{MediaTools, Tool, ToolError, file_argument};

/// The largest image that may be uploaded, in bytes.
pub const MAX_UPLOADED_BYTES: usize = 4 << 20;

/// The widest and tallest image that is decoded, in pixels.
pub const MAX_SIDE: u32 = 8192;

/// The most pixels of an image that is decoded.
pub const MAX_PIXELS: u64 = 40_000_000;

/// The most memory a decoder may ask for, in bytes.
const MAX_DECODER_MEMORY: u64 = 256 << 20;

/// The largest frame taken from ffmpeg, in bytes of PNG.
const MAX_FRAME: u64 = 16 << 20;

const JPEG_QUALITY: u8 = 82;

/// Why an image cannot be a picture of a video.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The file is too long.
    #[error("the image has {0} bytes, at most {MAX_UPLOADED_BYTES} are taken")]
    TooLarge(usize),
    /// Not one of the formats that are taken.
    #[error("the image is neither JPEG, PNG nor WebP")]
    UnknownFormat,
    /// It claims to be larger than anything that is decoded.
    #[error(
        "the image measures {width} x {height} pixels, at most {MAX_SIDE} each way and {MAX_PIXELS} in all are taken"
    )]
    Dimensions {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// Its content is damaged.
    #[error("the image cannot be decoded: {0}")]
    Damaged(image::ImageError),
    /// The picture could not be written as JPEG.
    #[error("the picture cannot be encoded: {0}")]
    Encode(image::ImageError),
}

/// A finished picture.
#[derive(Debug, Clone)]
pub struct RenderedPicture {
    /// The JPEG file.
    pub bytes: Vec<u8>,
    /// What a record says of it.
    pub picture: Picture,
}

/// What a poster is made of.
#[derive(Debug)]
pub struct Poster(DynamicImage);

impl Poster {
    /// Decodes an uploaded image, turned as its metadata says. Blocks for as long as some seconds.
    pub fn from_upload(bytes: &[u8]) -> Result<Self, PictureError> {
        if bytes.len() > MAX_UPLOADED_BYTES {
            return Err(PictureError::TooLarge(bytes.len()));
        }
        decode(bytes)
    }

    /// Draws a picture that belongs to a video: the same for the same video everywhere, hardly the same for two.
    pub fn draw(video: &VideoId) -> Self {
        let (width, height) = PictureKind::Preview.size();
        Self(
            drawing::draw(
                blake3::hash(video.as_bytes()).as_bytes(),
                width.into(),
                height.into(),
            )
            .into(),
        )
    }

    /// Crops and scales to one of the pictures of a video. Blocks.
    pub fn render(&self, which: PictureKind) -> Result<RenderedPicture, PictureError> {
        let (width, height) = which.size();
        let scaled = self
            .0
            .resize_to_fill(width.into(), height.into(), FilterType::CatmullRom);
        let opaque = over_black(&scaled);
        let mut bytes = Vec::new();
        opaque
            .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY))
            .map_err(PictureError::Encode)?;
        let size = u32::try_from(bytes.len()).map_err(|_| PictureError::TooLarge(bytes.len()))?;
        let picture = Picture {
            hash: ContentHash::of(&bytes),
            size,
            width,
            height,
        };
        Ok(RenderedPicture { bytes, picture })
    }
}

/// Takes a frame out of a video, or draws a picture where ffmpeg is absent or has none to give.
pub async fn poster(path: &Path, probe: &Probe, video: &VideoId, tools: &MediaTools) -> Poster {
    if let Some(ffmpeg) = tools.ffmpeg() {
        // The beginning of a video is often black; a very short one has little else.
        let tenth = probe.seconds / 10.0;
        let at = if tenth >= 1.0 {
            tenth
        } else {
            (probe.seconds / 2.0).min(1.0)
        };
        for at in [at, 0.0] {
            match frame(ffmpeg, path, probe, at).await {
                Ok(png) if png.is_empty() => {}
                Ok(png) => match tokio::task::spawn_blocking(move || decode(&png)).await {
                    Ok(Ok(poster)) => return poster,
                    Ok(Err(error)) => {
                        tracing::warn!(video = %video, %error, "ffmpeg gave a frame that is no image");
                    }
                    Err(error) => tracing::warn!(video = %video, %error, "a frame could not be decoded"),
                },
                Err(error) => tracing::warn!(video = %video, %error, "ffmpeg gave no frame"),
            }
        }
    }
    let video = *video;
    tokio::task::spawn_blocking(move || Poster::draw(&video))
        .await
        .unwrap_or_else(|_| Poster::draw(&video))
}

/// One frame as PNG, at most 1280 pixels wide; empty where the video ends before.
async fn frame(ffmpeg: &Tool, path: &Path, probe: &Probe, at: f64) -> Result<Vec<u8>, ToolError> {
    let before = [
        "-nostdin",
        "-hide_banner",
        "-v",
        "error",
        "-threads",
        "1",
        "-protocol_whitelist",
        "file",
        "-ss",
    ];
    let after = [
        "-map",
        "0:v:0",
        "-an",
        "-sn",
        "-dn",
        "-frames:v",
        "1",
        "-vf",
        "scale='min(1280,iw)':-2",
        "-f",
        "image2pipe",
        "-c:v",
        "png",
        "pipe:1",
    ];
    let mut arguments: Vec<OsString> = before.into_iter().map(OsString::from).collect();
    arguments.push(format!("{at:.3}").into());
    arguments.extend(["-f", probe.container.demuxer(), "-i"].map(OsString::from));
    arguments.push(file_argument(path));
    arguments.extend(after.map(OsString::from));
    ffmpeg.run(arguments, MAX_FRAME).await
}

fn decode(bytes: &[u8]) -> Result<Poster, PictureError> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|_| PictureError::UnknownFormat)?;
    if !matches!(
        reader.format(),
        Some(ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)
    ) {
        return Err(PictureError::UnknownFormat);
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODER_MEMORY);
    // Ours are checked below, where the error can name the dimensions.
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(PictureError::Damaged)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if width > MAX_SIDE || height > MAX_SIDE || pixels > MAX_PIXELS || pixels == 0 {
        return Err(PictureError::Dimensions { width, height });
    }
    let orientation = decoder.orientation().ok();
    let mut image = DynamicImage::from_decoder(decoder).map_err(PictureError::Damaged)?;
    if let Some(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    Ok(Poster(image))
}

/// JPEG knows no transparency.
fn over_black(image: &DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.to_rgb8();
    }
    let mut opaque = RgbImage::new(image.width(), image.height());
    for (under, over) in opaque.pixels_mut().zip(image.to_rgba8().pixels()) {
        let [red, green, blue, alpha] = over.0.map(u16::from);
        under.0 = [red, green, blue].map(|channel| u8::try_from(channel * alpha / 255).unwrap_or(u8::MAX));
    }
    opaque
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

    use super::super::media::clips::{Clip, tools};
    use super::super::media::probe;
    use super::*;

    const VIDEO: &str = "7a1c4f5e-94d2-8c3a-9b1d-2e3f4a5b6c7d";

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn assert_sound(rendered: &RenderedPicture, which: PictureKind) -> RgbImage {
        let image = image::load_from_memory_with_format(&rendered.bytes, ImageFormat::Jpeg).unwrap();
        let (width, height) = which.size();
        assert_eq!((image.width(), image.height()), (width.into(), height.into()));
        assert_eq!((rendered.picture.width, rendered.picture.height), (width, height));
        assert_eq!(rendered.picture.hash, ContentHash::of(&rendered.bytes));
        assert_eq!(
            usize::try_from(rendered.picture.size).unwrap(),
            rendered.bytes.len()
        );
        image.to_rgb8()
    }

    #[tokio::test]
    async fn a_poster_is_a_frame_where_ffmpeg_is_and_a_drawing_where_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let video: VideoId = VIDEO.parse().unwrap();
        for clip in [Clip::Mp4MoovLast, Clip::WebMVp9, Clip::OggTheora] {
            let path = clip.make(folder.path(), 2);
            let probe = probe(&path, &tools()).await.unwrap();
            let drawn = poster(&path, &probe, &video, &MediaTools::none()).await;
            let framed = poster(&path, &probe, &video, &tools()).await;
            assert_eq!(framed.0.width(), 160, "{clip:?}: a frame has the video's size");
            for which in PictureKind::ALL {
                let drawn = assert_sound(&drawn.render(which).unwrap(), which);
                let framed = assert_sound(&framed.render(which).unwrap(), which);
                assert_ne!(drawn, framed);
            }
        }
    }

    #[test]
    fn drawings_are_colourful_repeatable_and_differ_between_videos() {
        let one = Poster::draw(&VIDEO.parse().unwrap());
        let again = Poster::draw(&VIDEO.parse().unwrap());
        let other = Poster::draw(&"11111111-94d2-8c3a-9b1d-2e3f4a5b6c7d".parse().unwrap());
        assert_eq!(one.0, again.0);
        assert_ne!(one.0, other.0);
        let colours: std::collections::HashSet<_> = one.0.to_rgb8().pixels().map(|pixel| pixel.0).collect();
        assert!(colours.len() > 1000, "{} colours", colours.len());
    }

    #[test]
    fn uploads_of_each_format_and_shape_are_cropped_to_size() {
        let tall = DynamicImage::new_rgba8(300, 900);
        let wide = DynamicImage::new_rgb8(2000, 100);
        for (image, format) in [
            (&tall, ImageFormat::Png),
            (&tall, ImageFormat::WebP),
            (&wide, ImageFormat::Jpeg),
        ] {
            let poster = Poster::from_upload(&encoded(image, format)).unwrap();
            for which in PictureKind::ALL {
                assert_sound(&poster.render(which).unwrap(), which);
            }
        }
    }

    /// A PNG whose header claims these dimensions; its checksum is right.
    fn png_claiming(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = encoded(&DynamicImage::new_rgb8(1, 1), ImageFormat::Png);
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let checksum = crc32fast::hash(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    #[test]
    fn bombs_are_refused_before_they_are_decoded() {
        for (width, height) in [(60_000, 60_000), (8193, 1), (8000, 8000), (1, u32::MAX >> 1)] {
            let error = Poster::from_upload(&png_claiming(width, height)).unwrap_err();
            assert!(
                matches!(error, PictureError::Dimensions { .. } | PictureError::Damaged(_)),
                "{width} x {height}: {error}"
            );
        }
        let long = vec![0; MAX_UPLOADED_BYTES + 1];
        assert!(matches!(
            Poster::from_upload(&long),
            Err(PictureError::TooLarge(_))
        ));
        for other in [b"GIF89a\x01\0\x01\0".as_slice(), b"<svg/>", b""] {
            assert!(matches!(
                Poster::from_upload(other),
                Err(PictureError::UnknownFormat)
            ));
        }
        let mut cut = encoded(&DynamicImage::new_rgb8(64, 64), ImageFormat::Png);
        cut.truncate(60);
        assert!(matches!(Poster::from_upload(&cut), Err(PictureError::Damaged(_))));
    }
}
