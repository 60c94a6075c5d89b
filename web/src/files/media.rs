//! Media over HTTP: what web seeds of torrents and plain players read.
//!
//! A file is read in portions of [`PORTION`] on blocking threads, one portion ahead of the network, so that memory stays
//! bounded however slow the reader is; [`MAX_WAIT`] is how long a download waits for a free slot. What is served is
//! counted by torrent when the download ends, whole or not.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use seedpod_actors::search::messages::{GetVideo, VideoKey};
use seedpod_actors::seeder::messages::{Served, Source};
use seedpod_protocol::ids::InfoHash;
use tokio::sync::OwnedSemaphorePermit;
use warp::Reply;
use warp::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use warp::http::{HeaderMap, Method, StatusCode};
use warp::reply::Response;

use crate::error::ApiError;
use crate::range::{Extent, resolve};
use crate::site::{Site, ask};
use crate::visit::Visit;

/// Bytes read at once. A reader holds three portions at most, so larger ones make slow readers dear; smaller ones cost processor
/// time.
const PORTION: u32 = 128 * 1024;
/// How long a download waits for a slot.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Answers a request for a media file of this pod by its name, `<uuid>-<resolution>.<ext>`.
pub(crate) async fn media(name: String, method: Method, visit: Visit) -> Result<Response, ApiError> {
    serve(name, method, visit, false).await
}

/// The same, for keeping: the browser saves it under the video's name.
pub(crate) async fn download(name: String, method: Method, visit: Visit) -> Result<Response, ApiError> {
    serve(name, method, visit, true).await
}

async fn serve(name: String, method: Method, visit: Visit, save: bool) -> Result<Response, ApiError> {
    let unknown = || ApiError::NotFound("there is no such media file on this pod".into());
    let rooms = visit.site.rooms();
    let id = name
        .split_at_checked(36)
        .and_then(|(id, _)| id.parse().ok())
        .ok_or_else(unknown)?;
    let entry = ask(&rooms.search, GetVideo(VideoKey::Id(id)))
        .await?
        .ok_or_else(unknown)?;
    let known = entry
        .video
        .files
        .iter()
        .find(|file| file.file_name(&id) == name)
        .ok_or_else(unknown)?;
    let (length, info_hash) = (known.size, known.info_hash);

    let path = rooms.media.media_file(&name).ok_or_else(unknown)?;
    let opened = tokio::task::spawn_blocking(move || -> io::Result<(File, u64)> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    });
    let (file, found) = match opened.await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => return Err(unknown()),
        Ok(Err(error)) => return Err(ApiError::internal(&error)),
        Err(error) => return Err(ApiError::internal(&error)),
    };
    if found != length {
        return Err(ApiError::internal(&format!(
            "media file {name} has {found} bytes, its record says {length}"
        )));
    }

    // The content of a torrent never changes, so its hash is the strongest of tags.
    let tag = format!("\"{info_hash}\"");
    let mut response = Plan::of(&visit.headers, &tag, length)
        .answer(&method, file, length, info_hash, &visit.site)
        .await?;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(mime(&known.extension)));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    headers.extend(HeaderValue::from_str(&tag).ok().map(|tag| (ETAG, tag)));
    if save {
        let file_name = format!("{}-{}.{}", entry.video.name, known.resolution, known.extension);
        headers.extend(attachment(&file_name).map(|value| (CONTENT_DISPOSITION, value)));
    }
    Ok(response)
}

/// The media type of a file by its extension.
pub(crate) fn mime(extension: &str) -> &'static str {
    match extension {
        "webm" => "video/webm",
        "ogv" => "video/ogg",
        _ => "video/mp4",
    }
}

/// A `Content-Disposition` that saves under a name: in ASCII for old programs, in full for the others.
pub(crate) fn attachment(name: &str) -> Option<HeaderValue> {
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || " .-_()".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    let full = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    HeaderValue::from_str(&format!(
        "attachment; filename=\"{plain}\"; filename*=UTF-8''{full}"
    ))
    .ok()
}

/// What a request for a file comes to.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// The reader has it: 304.
    Unchanged,
    /// The rest, by the range.
    Send(Extent),
}

impl Plan {
    fn of(headers: &HeaderMap, tag: &str, length: u64) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let matches = |list: &str| {
            list.split(',')
                .any(|one| matches!(one.trim(), "*") || one.trim().trim_start_matches("W/") == tag)
        };
        if text(IF_NONE_MATCH).is_some_and(matches) {
            return Self::Unchanged;
        }
        // A range of another version of the file is of no use: then all of it is sent.
        let same = text(IF_RANGE).is_none_or(|condition| condition.trim() == tag);
        Self::Send(resolve(text(RANGE).filter(|_| same), length))
    }

    async fn answer(
        self,
        method: &Method,
        file: File,
        length: u64,
        info_hash: InfoHash,
        site: &Site,
    ) -> Result<Response, ApiError> {
        let (first, count, status) = match self {
            Self::Unchanged => return Ok(StatusCode::NOT_MODIFIED.into_response()),
            Self::Send(Extent::Unsatisfiable) => {
                let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
                response.headers_mut().extend(
                    HeaderValue::from_str(&format!("bytes */{length}"))
                        .ok()
                        .map(|value| (CONTENT_RANGE, value)),
                );
                return Ok(response);
            }
            Self::Send(Extent::Whole) => (0, length, StatusCode::OK),
            Self::Send(Extent::Part { first, last }) => {
                (first, last - first + 1, StatusCode::PARTIAL_CONTENT)
            }
        };
        let mut response = if method == Method::HEAD {
            Response::default()
        } else {
            let slot = tokio::time::timeout(MAX_WAIT, Arc::clone(site.downloads()).acquire_owned()).await;
            let Ok(Ok(slot)) = slot else {
                site.metrics().downloads_refused.inc();
                return Err(ApiError::Unavailable);
            };
            let tally = Tally {
                served: 0,
                info_hash,
                site: site.clone(),
                _slot: slot,
            };
            warp::reply::stream(read(Arc::new(file), first, count, tally)).into_response()
        };
        *response.status_mut() = status;
        let headers = response.headers_mut();
        // Said explicitly, it also keeps the answer from being cut into chunks.
        headers.insert(CONTENT_LENGTH, count.into());
        if status == StatusCode::PARTIAL_CONTENT {
            let range = format!("bytes {first}-{}/{length}", first + count - 1);
            headers.extend(
                HeaderValue::from_str(&range)
                    .ok()
                    .map(|value| (CONTENT_RANGE, value)),
            );
        }
        Ok(response)
    }
}

/// What was handed to the network of one download; told to the seeder at its end.
struct Tally {
    served: u64,
    info_hash: InfoHash,
    site: Site,
    _slot: OwnedSemaphorePermit,
}

impl Tally {
    /// Through a method, so that a closure takes all of the tally along, with its slot and its end.
    fn add(&mut self, bytes: u64) {
        self.served += bytes;
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.site.metrics().media_bytes.inc_by(self.served);
        if self.served > 0 {
            let served = Served {
                info_hash: self.info_hash,
                bytes: self.served,
                source: Source::WebSeed,
            };
            if self.site.rooms().seeder.addr().try_send(served).is_err() {
                self.site.metrics().tallies_lost.inc();
            }
        }
    }
}

/// The bytes of a part of a file, read one portion ahead.
fn read(
    file: Arc<File>,
    first: u64,
    count: u64,
    tally: Tally,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
    let end = first + count;
    let portions = (first..end)
        .step_by(PORTION as usize)
        .map(move |offset| (offset, (end - offset).min(u64::from(PORTION))));
    let reads = stream::iter(portions).map(move |(offset, length)| {
        let file = Arc::clone(&file);
        let reading = tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0; usize::try_from(length).unwrap_or(PORTION as usize)];
            file.read_exact_at(&mut buffer, offset)?;
            Ok(Bytes::from(buffer))
        });
        async move {
            reading
                .await
                .unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
        }
    });
    let mut tally = tally;
    reads.buffered(2).inspect(move |read: &io::Result<Bytes>| {
        if let Ok(bytes) = read {
            tally.add(bytes.len() as u64);
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn plan(headers: &[(&'static str, &str)]) -> Plan {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Plan::of(&map, "\"abc\"", 10)
    }

    #[test]
    fn a_range_is_for_the_version_it_names() {
        let part = Plan::Send(Extent::Part { first: 2, last: 5 });
        assert_eq!(plan(&[("range", "bytes=2-5")]), part);
        assert_eq!(plan(&[("range", "bytes=2-5"), ("if-range", "\"abc\"")]), part);
        for other in ["\"abd\"", "W/\"abc\"", "Wed, 21 Oct 2015 07:28:00 GMT", "abc"] {
            assert_eq!(
                plan(&[("range", "bytes=2-5"), ("if-range", other)]),
                Plan::Send(Extent::Whole),
                "{other}"
            );
        }
    }

    #[test]
    fn what_the_reader_has_is_not_sent_again() {
        for same in ["\"abc\"", "W/\"abc\"", "*", "\"x\", \"abc\""] {
            assert_eq!(plan(&[("if-none-match", same)]), Plan::Unchanged, "{same}");
        }
        assert_eq!(plan(&[("if-none-match", "\"x\"")]), Plan::Send(Extent::Whole));
    }

    #[test]
    fn a_title_is_a_safe_file_name() {
        let header = attachment("a\"b\r\nc/é.mp4").unwrap();
        assert_eq!(
            header,
            "attachment; filename=\"a_b__c__.mp4\"; filename*=UTF-8''a%22b%0D%0Ac%2F%C3%A9%2Emp4"
        );
    }
}
