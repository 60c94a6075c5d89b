//! Pictures of videos, own and friends'. A friend's is fetched from its origin when somebody first asks for it, checked
//! by its hash and kept.

use std::io::ErrorKind;

use seedpod_actors::library::folder::PictureKind;
use seedpod_actors::library::messages::GetPicture;
use seedpod_actors::search::messages::{GetVideo, VideoKey};
use seedpod_protocol::ids::VideoId;
use warp::Reply;
use warp::http::StatusCode;
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use warp::reply::Response;

use crate::error::ApiError;
use crate::site::{ask, ask_work};
use crate::visit::Visit;

/// Answers a request for `<uuid>.jpg`.
pub(crate) async fn picture(kind: PictureKind, name: String, visit: Visit) -> Result<Response, ApiError> {
    let unknown = || ApiError::NotFound("there is no such picture on this pod".into());
    let id: VideoId = name
        .strip_suffix(".jpg")
        .and_then(|id| id.parse().ok())
        .ok_or_else(unknown)?;
    let rooms = visit.site.rooms();
    let entry = ask(&rooms.search, GetVideo(VideoKey::Id(id)))
        .await?
        .ok_or_else(unknown)?;
    let picture = match kind {
        PictureKind::Thumbnail => entry.video.thumbnail,
        PictureKind::Preview => entry.video.preview,
    };
    let picture = picture.ok_or_else(unknown)?;

    let tag = format!("\"{}\"", picture.hash);
    let mut response = if visit.header(IF_NONE_MATCH.as_str()) == Some(&tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let path = ask_work(
            &rooms.library,
            GetPicture {
                video: id,
                which: kind,
            },
        )
        .await??;
        let bytes = tokio::fs::read(path).await.map_err(|error| {
            if error.kind() == ErrorKind::NotFound {
                unknown()
            } else {
                ApiError::internal(&error)
            }
        })?;
        bytes.into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
    // A video may get a new picture under the same address, so the tag is asked about after a while.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    headers.extend(HeaderValue::from_str(&tag).ok().map(|tag| (ETAG, tag)));
    Ok(response)
}
