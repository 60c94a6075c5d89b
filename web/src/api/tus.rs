//! Uploads that may be resumed, after the tus protocol 1.0 (<https://tus.io/protocols/resumable-upload>) with its extensions
//! creation, expiration and termination, at `/api/v1/uploads`. A method in `X-HTTP-Method-Override` goes before that of the request.
//!
//! `Upload-Metadata` holds the fields of a video as the rest of the API names them, and `filename` and `filetype`. The request
//! that brings the last byte is answered once the video is published, with its address in `Content-Location`.

use std::future::ready;

use data_encoding::BASE64;
use seedpod_actors::library::resumable::{ResumeError, Standing, UploadId};
use seedpod_protocol::ids::Timestamp;
use warp::filters::BoxedFilter;
use warp::http::header::{CACHE_CONTROL, CONTENT_LOCATION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use warp::http::{HeaderMap, Method, StatusCode};
use warp::reject::Rejection;
use warp::reply::Response;
use warp::{Filter, Reply};

use super::resumable::{begin, check_announced, header_value, publish_upload, take};
use super::{Pictures, WrongMethod, body};
use crate::body::BodyStream;
use crate::error::ApiError;
use crate::query::Query;
use crate::site::Site;
use crate::visit::{Visit, answer, visit};

const VERSION: &str = "1.0.0";
const EXTENSIONS: &str = "creation,expiration,termination";
/// Where all of it lies.
const PLACE: &str = "/api/v1/uploads";

const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");

pub(super) fn routes(site: &Site) -> BoxedFilter<(Response,)> {
    let visit = visit(site.clone());
    let create = warp::path!("uploads")
        .and(asked_with(Method::POST))
        .and(visit.clone())
        .and(body())
        .then(|visit, body| spoken(post(visit, body)));
    let one = warp::path!("uploads" / String);
    let look = one
        .and(asked_with(Method::HEAD))
        .and(visit.clone())
        .then(|id, visit| spoken(head(id, visit)));
    let send = one
        .and(asked_with(Method::PATCH))
        .and(visit.clone())
        .and(body())
        .then(|id, visit, body| spoken(patch(id, visit, body)));
    let cancel = one
        .and(asked_with(Method::DELETE))
        .and(visit)
        .then(|id, visit| spoken(delete(id, visit)));
    create
        .or(look)
        .unify()
        .or(send)
        .unify()
        .or(cancel)
        .unify()
        .boxed()
}

/// The method of a request, which is that of `X-HTTP-Method-Override` where there is one: not every environment can send
/// `PATCH` and `DELETE`.
fn asked_with(method: Method) -> impl Filter<Extract = (), Error = Rejection> + Clone {
    warp::method()
        .and(warp::header::optional::<String>("x-http-method-override"))
        .and_then(move |sent: Method, instead: Option<String>| {
            let is_meant = instead.map_or(sent == method, |instead| instead == method.as_str());
            ready(
                is_meant
                    .then_some(())
                    .ok_or_else(|| warp::reject::custom(WrongMethod)),
            )
        })
        .untuple_one()
}

/// Says what is spoken here, to whoever asks with `OPTIONS`.
pub(crate) fn greet(path: &str, headers: &mut HeaderMap) {
    if path == PLACE || path.starts_with("/api/v1/uploads/") {
        headers.insert(TUS_RESUMABLE, HeaderValue::from_static(VERSION));
        headers.insert(TUS_VERSION, HeaderValue::from_static(VERSION));
        headers.insert(TUS_EXTENSION, HeaderValue::from_static(EXTENSIONS));
    }
}

/// Every answer says which version it speaks.
async fn spoken(handler: impl Future<Output = Result<Response, ApiError>>) -> Response {
    let mut response = answer(handler).await;
    let headers = response.headers_mut();
    headers.insert(TUS_RESUMABLE, HeaderValue::from_static(VERSION));
    headers.insert(TUS_VERSION, HeaderValue::from_static(VERSION));
    response
}

fn check_version(visit: &Visit) -> Result<(), ApiError> {
    match visit.header("tus-resumable") {
        Some(VERSION) => Ok(()),
        _ => Err(ApiError::Precondition("`Tus-Resumable` must be 1.0.0")),
    }
}

async fn post(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    check_version(&visit)?;
    let length = number(&visit, "upload-length")?;
    check_announced(&visit, &caller, length)?;
    let query = metadata(visit.header("upload-metadata").unwrap_or_default())?;
    let kind = query.text("filetype").map(str::to_owned);
    let id = begin(
        &visit,
        &caller,
        &query,
        Pictures::default(),
        length,
        kind.as_deref(),
    )
    .await?;
    drop(body);
    let mut response = StatusCode::CREATED.into_response();
    let place = format!("{}{PLACE}/{id}", visit.site.options().public_url);
    response.headers_mut().insert(LOCATION, header_value(&place)?);
    let standing = visit
        .site
        .rooms()
        .uploads
        .standing(id, &caller.user.username)
        .await?;
    show_expiry(&mut response, standing)?;
    Ok(response)
}

async fn head(id: String, visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.reader().await?;
    check_version(&visit)?;
    let uploads = &visit.site.rooms().uploads;
    let standing = uploads.standing(parse(&id)?, &caller.user.username).await?;
    let (offset, length) = match standing {
        Standing::Open { offset, length, .. } => (offset, length),
        Standing::Published { length, .. } => (length, length),
    };
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(UPLOAD_OFFSET, offset.into());
    headers.insert(UPLOAD_LENGTH, length.into());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Standing::Published { video, .. } = standing {
        headers.insert(
            CONTENT_LOCATION,
            header_value(&format!("/api/v1/videos/{video}"))?,
        );
    }
    show_expiry(&mut response, standing)?;
    Ok(response)
}

async fn patch(id: String, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    check_version(&visit)?;
    let kind = visit.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if kind != Some(b"application/offset+octet-stream") {
        return Err(ApiError::Unsupported(
            "`Content-Type` must be application/offset+octet-stream".into(),
        ));
    }
    let (id, offset) = (parse(&id)?, number(&visit, "upload-offset")?);
    let (uploads, user) = (&visit.site.rooms().uploads, &caller.user.username);
    let length = match uploads.standing(id, user).await? {
        Standing::Open { length, .. } => length,
        Standing::Published { video, length } if offset == length => {
            return arrived(length, Some(&video.to_string()));
        }
        Standing::Published { length, .. } => return Err(ResumeError::Offset { offset: length }.into()),
    };
    let mut reached = offset;
    if offset < length {
        let writer = uploads.resume(id, user, offset).await?;
        reached = take(writer, body, 0, length - offset).await?;
    }
    if reached < length {
        let mut response = arrived(reached, None)?;
        let standing = uploads.standing(id, user).await?;
        show_expiry(&mut response, standing)?;
        return Ok(response);
    }
    let entry = publish_upload(&visit, &caller, id).await?;
    arrived(length, Some(&entry.id.to_string()))
}

async fn delete(id: String, visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    check_version(&visit)?;
    let uploads = &visit.site.rooms().uploads;
    uploads.cancel(parse(&id)?, &caller.user.username).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// 204: so many bytes are on disk; with the video, once it is one.
fn arrived(offset: u64, video: Option<&str>) -> Result<Response, ApiError> {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(UPLOAD_OFFSET, offset.into());
    if let Some(video) = video {
        headers.insert(
            CONTENT_LOCATION,
            header_value(&format!("/api/v1/videos/{video}"))?,
        );
    }
    Ok(response)
}

fn show_expiry(response: &mut Response, standing: Standing) -> Result<(), ApiError> {
    if let Standing::Open { expires, .. } = standing {
        let value = header_value(&http_date(expires))?;
        response.headers_mut().insert(UPLOAD_EXPIRES, value);
    }
    Ok(())
}

fn http_date(at: Timestamp) -> String {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn parse(id: &str) -> Result<UploadId, ApiError> {
    id.parse().map_err(|_| ResumeError::Unknown.into())
}

fn number(visit: &Visit, name: &'static str) -> Result<u64, ApiError> {
    let text = visit
        .header(name)
        .ok_or_else(|| ApiError::field(name, "is missing"))?;
    text.parse()
        .map_err(|_| ApiError::field(name, "is not a number of bytes"))
}

/// The fields of `Upload-Metadata`: names and values in base64, between commas. Without a title the file's name is one.
fn metadata(text: &str) -> Result<Query, ApiError> {
    let wrong = || ApiError::field("Upload-Metadata", "must be pairs of a name and a value in base64");
    let mut query = Query::default();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let value = BASE64.decode(value.trim().as_bytes()).map_err(|_| wrong())?;
        query.push(name.to_owned(), String::from_utf8(value).map_err(|_| wrong())?)?;
    }
    if !query.has("name")
        && let Some(title) = query.text("filename").map(str::to_owned)
    {
        query.push("name".to_owned(), title)?;
    }
    Ok(query)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn metadata_are_fields_in_base64() {
        let query = metadata("filename YSBiLm1wNA==, name QSB3YWxr,nsfw dHJ1ZQ==,empty").unwrap();
        assert_eq!(query.text("name"), Some("A walk"));
        assert_eq!(query.text("filename"), Some("a b.mp4"));
        assert_eq!(query.flag("nsfw").unwrap(), Some(true));
        assert!(query.has("empty"));
        assert_eq!(
            metadata("filename YSBiLm1wNA==").unwrap().text("name"),
            Some("a b.mp4")
        );
        for bad in ["name !", "name QQ", "name /w=="] {
            assert_eq!(metadata(bad).unwrap_err().status(), 400, "{bad}");
        }
    }

    #[test]
    fn an_end_is_told_as_http_tells_times() {
        let at = Timestamp::from_millis(1_577_923_200_000);
        assert_eq!(http_date(at), "Thu, 02 Jan 2020 00:00:00 GMT");
    }
}
