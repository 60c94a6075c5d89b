//! Uploads that may be resumed, as PeerTube has them: `POST` begins, `PUT` sends a piece or asks how far the upload is
//! (`Content-Range: bytes */N`), `DELETE` gives up. Until all is there the answer is 308 with a `Range` of what is on disk.
//!
//! A piece that was received before is skipped, in whole or in part. One that leaves a gap is not read: the 308 tells from
//! where to go on. Who repeats the last piece because the answer was lost gets the video that it became.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use seedpod_actors::library::messages::Owner;
use seedpod_actors::library::resumable::{Announced, ResumeError, Standing, UploadId};
use seedpod_actors::library::upload::{UploadError, UploadWriter};
use seedpod_actors::search::messages::VideoEntry;
use serde_json::json;
use warp::filters::BoxedFilter;
use warp::http::header::{CONTENT_RANGE, HeaderValue, LOCATION, RANGE};
use warp::http::{HeaderMap, StatusCode};
use warp::reply::Response;
use warp::{Filter, Reply};

use super::upload::{
    channel_of, check_kind, listed, max_upload, publish, small_form, too_large, video_answer,
};
use super::{Fields, Pictures, body, done, json as json_answer};
use crate::body::{BodyStream, announced_length, fields};
use crate::error::ApiError;
use crate::multipart::is_multipart;
use crate::query::Query;
use crate::site::Site;
use crate::visit::{Caller, Visit, answer, visit};

/// Time in which the next bytes of a piece must arrive.
const SILENCE: Duration = Duration::from_secs(60);

pub(super) fn routes(site: &Site) -> BoxedFilter<(Response,)> {
    let visit = visit(site.clone());
    let place = warp::path!("videos" / "upload-resumable");
    let begin = place
        .and(warp::post())
        .and(visit.clone())
        .and(body())
        .then(|visit, body| answer(post(visit, body)));
    let send = place
        .and(warp::put())
        .and(visit.clone())
        .and(body())
        .then(|visit, body| answer(put(visit, body)));
    let cancel = place
        .and(warp::delete())
        .and(visit)
        .then(|visit| answer(delete(visit)));
    begin.or(send).unify().or(cancel).unify().boxed()
}

async fn post(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    let header = |name: &'static str| visit.header(name);
    let length = header("x-upload-content-length")
        .ok_or_else(|| ApiError::field("X-Upload-Content-Length", "is missing"))?
        .parse()
        .map_err(|_| ApiError::field("X-Upload-Content-Length", "is not a number of bytes"))?;
    let kind = header("x-upload-content-type").map(str::to_owned);
    check_announced(&visit, &caller, length)?;
    check_kind(None, kind.as_deref())?;
    let mut pictures = Pictures::default();
    let query = if is_multipart(&visit.headers) {
        small_form(&visit, body, &mut pictures).await?
    } else {
        fields(&visit.headers, body).await?
    };
    let id = begin(&visit, &caller, &query, pictures, length, kind.as_deref()).await?;
    let place = format!("{}{}?upload_id={id}", visit.site.options().public_url, visit.path);
    let mut response = json_answer(&json!({}));
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().insert(LOCATION, header_value(&place)?);
    Ok(response)
}

/// Refuses a length that cannot be taken, before anything is read.
pub(super) fn check_announced(visit: &Visit, caller: &Caller, length: u64) -> Result<(), ApiError> {
    let max = max_upload(visit);
    if length > max {
        return Err(too_large(max));
    }
    let user = &caller.user;
    let uploads = &visit.site.rooms().uploads;
    Ok(uploads.check(&user.username, user.video_quota, length, length)?)
}

/// Begins an upload with everything that is said about the video.
pub(super) async fn begin(
    visit: &Visit,
    caller: &Caller,
    query: &Query,
    pictures: Pictures,
    length: u64,
    kind: Option<&str>,
) -> Result<UploadId, ApiError> {
    let file_name = query.text("filename").map(str::to_owned);
    check_kind(file_name.as_deref(), kind)?;
    let wanted = Fields::read(query)?;
    let details = wanted.details()?;
    let user = &caller.user;
    let channel = channel_of(visit, &user.username, user.channels.first(), wanted.channel).await?;
    let announced = Announced {
        owner: Owner {
            username: user.username.clone(),
            channel,
        },
        quota: user.video_quota,
        details,
        file_name,
        length,
        thumbnail: pictures.thumbnail,
        preview: pictures.preview,
    };
    Ok(visit.site.rooms().uploads.begin(announced).await?)
}

/// What a `PUT` is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// How far is it?
    Ask { total: u64 },
    /// Bytes `start` to `end`, both included.
    Bytes { start: u64, end: u64, total: u64 },
}

impl Piece {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let wrong = || ApiError::field("Content-Range", "must be `bytes a-b/N` or `bytes */N`");
        let text = headers
            .get(CONTENT_RANGE)
            .and_then(|value| value.to_str().ok())
            .ok_or_else(wrong)?;
        let (range, total) = text
            .trim()
            .strip_prefix("bytes ")
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(wrong)?;
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits
                .then(|| text.parse::<u64>().ok())
                .flatten()
                .ok_or_else(wrong)
        };
        let total = number(total)?;
        if range == "*" {
            return Ok(Self::Ask { total });
        }
        let (start, end) = range.split_once('-').ok_or_else(wrong)?;
        let (start, end) = (number(start)?, number(end)?);
        if start > end || end >= total {
            return Err(wrong());
        }
        let length = announced_length(headers);
        if length.is_some_and(|length| length != end - start + 1) {
            return Err(ApiError::field(
                "Content-Range",
                "names another length than the body has",
            ));
        }
        Ok(Self::Bytes { start, end, total })
    }

    fn total(self) -> u64 {
        match self {
            Self::Ask { total } | Self::Bytes { total, .. } => total,
        }
    }
}

async fn put(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    let id = id_in_query(&visit)?;
    let piece = Piece::of(&visit.headers)?;
    let (uploads, user) = (&visit.site.rooms().uploads, &caller.user.username);
    let (offset, length) = match uploads.standing(id, user).await? {
        Standing::Published { video, .. } => return Ok(video_answer(&*listed(&visit, video).await?)),
        Standing::Open { offset, length, .. } => (offset, length),
    };
    if piece.total() != length {
        return Err(ApiError::field(
            "Content-Range",
            format!("the upload has {length} bytes in all"),
        ));
    }
    let reached = match piece {
        Piece::Bytes { start, end, .. } if start <= offset && end >= offset => {
            let writer = uploads.resume(id, user, offset).await?;
            take(writer, body, offset - start, end + 1 - offset).await?
        }
        _ => offset,
    };
    if reached < length {
        return incomplete(reached);
    }
    Ok(video_answer(&*publish_upload(&visit, &caller, id).await?))
}

async fn delete(visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    let id = id_in_query(&visit)?;
    let uploads = &visit.site.rooms().uploads;
    uploads.cancel(id, &caller.user.username).await?;
    Ok(done())
}

/// Writes `length` bytes of a body after leaving out `skip`; answers with how many of the whole upload are on disk then. A
/// body that breaks off leaves what arrived.
pub(super) async fn take(
    mut writer: UploadWriter,
    mut body: BodyStream,
    mut skip: u64,
    length: u64,
) -> Result<u64, ApiError> {
    let taken_over = writer.taken_over();
    let end = writer.written() + length;
    loop {
        let next = tokio::select! {
            next = tokio::time::timeout(SILENCE, body.next()) => next,
            () = taken_over.cancelled() => return Err(UploadError::Interrupted.into()),
        };
        let silent = |_| ApiError::BadRequest(format!("nothing was sent for {} s", SILENCE.as_secs()));
        let Some(chunk) = next.map_err(silent)? else { break };
        let mut chunk: Bytes =
            chunk.map_err(|error| ApiError::BadRequest(format!("the body broke off: {error}")))?;
        let skipped = chunk.len().min(usize::try_from(skip).unwrap_or(usize::MAX));
        skip -= skipped as u64;
        let chunk = chunk.split_off(skipped);
        if writer.written() + chunk.len() as u64 > end {
            return Err(ApiError::BadRequest("the body is longer than was said".into()));
        }
        if !chunk.is_empty() {
            writer.write(chunk).await?;
        }
    }
    Ok(writer.pause().await?)
}

/// Has an upload published whose bytes are all there, or finds the video that it became.
pub(super) async fn publish_upload(
    visit: &Visit,
    caller: &Caller,
    id: UploadId,
) -> Result<Arc<VideoEntry>, ApiError> {
    match visit.site.rooms().uploads.take(id, &caller.user.username).await {
        Ok(add) => publish(visit, add).await,
        Err(ResumeError::Published(video)) => listed(visit, video).await,
        Err(error) => Err(error.into()),
    }
}

fn id_in_query(visit: &Visit) -> Result<UploadId, ApiError> {
    let query = visit.query()?;
    let text = query
        .text("upload_id")
        .ok_or_else(|| ApiError::field("upload_id", "is missing"))?;
    text.parse().map_err(|_| ResumeError::Unknown.into())
}

/// 308: more is expected, from behind the range on.
fn incomplete(offset: u64) -> Result<Response, ApiError> {
    let mut response = StatusCode::PERMANENT_REDIRECT.into_response();
    if offset > 0 {
        let range = header_value(&format!("bytes=0-{}", offset - 1))?;
        response.headers_mut().insert(RANGE, range);
    }
    Ok(response)
}

pub(super) fn header_value(text: &str) -> Result<HeaderValue, ApiError> {
    HeaderValue::from_str(text).map_err(|error| ApiError::internal(&error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use warp::http::header::CONTENT_LENGTH;

    fn piece(range: &str, length: Option<u64>) -> Result<Piece, ApiError> {
        let mut headers = HeaderMap::from_iter([(CONTENT_RANGE, range.parse().unwrap())]);
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        Piece::of(&headers)
    }

    #[test]
    fn a_piece_is_named_by_its_first_and_last_byte() {
        let all = Piece::Bytes {
            start: 5,
            end: 9,
            total: 10,
        };
        assert_eq!(piece("bytes 5-9/10", Some(5)).unwrap(), all);
        assert_eq!(piece("bytes 5-9/10", None).unwrap(), all);
        assert_eq!(piece("bytes */10", Some(0)).unwrap(), Piece::Ask { total: 10 });
    }

    #[test]
    fn ranges_that_make_no_sense_are_refused() {
        for range in [
            "",
            "bytes",
            "bytes 0-9",
            "bytes 0-9/*",
            "bytes 9-5/10",
            "bytes 0-10/10",
            "bytes -5/10",
            "bytes 5-/10",
            "bytes +0-9/10",
            "bytes 0-9/99999999999999999999",
            "chunks 0-9/10",
        ] {
            assert_eq!(piece(range, None).unwrap_err().status(), 400, "{range}");
        }
        assert_eq!(piece("bytes 0-9/10", Some(11)).unwrap_err().status(), 400);
    }
}
