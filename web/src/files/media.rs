//! Media over HTTP: what web seeds of torrents and plain players read.
//!
//! [`super::conditions`] decides what a request comes to and [`super::portions`] reads it. What is served is counted by
//! torrent when the download ends, whole or not.

use std::fs::File;
use std::io;

use futures::TryStreamExt;
use seedpod_actors::search::messages::{GetVideo, VideoKey};
use seedpod_actors::seeder::messages::{Served, Source};
use seedpod_protocol::ids::InfoHash;
use warp::Reply;
use warp::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderName, HeaderValue,
};
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use super::conditions::{Verdict, judge};
use crate::error::ApiError;
use crate::range::Extent;
use crate::site::{Site, ask};
use crate::visit::Visit;

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

    // A copy of a friend's video is whole, and checked, when it has its name.
    let path = if entry.is_local {
        rooms.media.media_file(&name)
    } else {
        rooms.media.mirror_file(&name)
    };
    let path = path.ok_or_else(unknown)?;
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
    let verdict = judge(&method, &visit.headers, &tag, length);
    let mut response = answer(verdict, &method, file, length, info_hash, &visit)?;
    let refused = response.status().is_client_error();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(mime(&known.extension)));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.extend(HeaderValue::from_str(&tag).ok().map(|tag| (ETAG, tag)));
    if refused {
        // A cache on the way must not tell everybody what one reader was told.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return Ok(response);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
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

/// The part of a file that a verdict asks for.
fn answer(
    verdict: Verdict,
    method: &Method,
    file: File,
    length: u64,
    info_hash: InfoHash,
    visit: &Visit,
) -> Result<Response, ApiError> {
    let (first, count, status) = match verdict {
        Verdict::Refused => return Ok(StatusCode::PRECONDITION_FAILED.into_response()),
        Verdict::Unchanged => return Ok(StatusCode::NOT_MODIFIED.into_response()),
        Verdict::Send(Extent::Unsatisfiable) => {
            let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            set(&mut response, CONTENT_RANGE, &format!("bytes */{length}"));
            return Ok(response);
        }
        Verdict::Send(Extent::Whole) => (0, length, StatusCode::OK),
        Verdict::Send(Extent::Part { first, last }) => (first, last - first + 1, StatusCode::PARTIAL_CONTENT),
    };
    let mut response = if method == Method::HEAD {
        Response::default()
    } else {
        let Some(download) = visit.site.downloads().begin(visit.client) else {
            visit.site.metrics().downloads_refused.inc();
            return Err(ApiError::Unavailable);
        };
        let mut tally = Tally {
            served: 0,
            info_hash,
            site: visit.site.clone(),
        };
        let bytes = download.read(file, first, count);
        warp::reply::stream(bytes.inspect_ok(move |portion| tally.add(portion.len()))).into_response()
    };
    *response.status_mut() = status;
    // Said explicitly, it also keeps the answer from being cut into chunks.
    response.headers_mut().insert(CONTENT_LENGTH, count.into());
    if status == StatusCode::PARTIAL_CONTENT {
        let last = first + count - 1;
        set(
            &mut response,
            CONTENT_RANGE,
            &format!("bytes {first}-{last}/{length}"),
        );
    }
    Ok(response)
}

fn set(response: &mut Response, name: HeaderName, value: &str) {
    response
        .headers_mut()
        .extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
}

/// What was handed to the network of one download; told to the seeder at its end.
struct Tally {
    served: u64,
    info_hash: InfoHash,
    site: Site,
}

impl Tally {
    /// Through a method, so that a closure takes all of the tally along, with its end.
    fn add(&mut self, bytes: usize) {
        self.served += bytes as u64;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn a_title_is_a_safe_file_name() {
        let header = attachment("a\"b\r\nc/é.mp4").unwrap();
        assert_eq!(
            header,
            "attachment; filename=\"a_b__c__.mp4\"; filename*=UTF-8''a%22b%0D%0Ac%2F%C3%A9%2Emp4"
        );
    }
}
