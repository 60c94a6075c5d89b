//! Uploads: a multipart form whose file goes to the disk as it arrives.
//!
//! What can be known before the file is checked before it is read: the size, the kind, the fields that came first.
//! Whatever goes wrong at any point drops the library's writer, and with it every byte.

use bytes::Bytes;
use seedpod_actors::library::messages::{AddVideo, Owner};
use seedpod_actors::library::upload::Received;
use seedpod_actors::search::messages::{
    ChannelEntry, ChannelKey, GetChannel, GetVideo, VideoEntry, VideoKey,
};
use seedpod_protocol::ids::{ChannelId, VideoId};
use serde_json::json;
use std::sync::Arc;
use warp::reply::Response;

use super::{Fields, Pictures, json as json_answer};
use crate::body::{BodyStream, announced_length};
use crate::error::ApiError;
use crate::multipart::{Multipart, Part};
use crate::query::{Query, shorten};
use crate::session::{CSRF_FIELD, check_csrf};
use crate::site::{ask, ask_to_the_end};
use crate::visit::{Caller, Visit};

/// What a form may hold beside the file, in bytes: pictures, and texts.
const BESIDE: u64 = 16 * 1024 * 1024;
/// What a form without a video may hold, in bytes.
const MAX_FORM: u64 = 10 * 1024 * 1024;
/// Largest picture, in bytes.
const MAX_PICTURE: usize = 4 * 1024 * 1024;
/// Ends of file names that may be videos which browsers play.
const EXTENSIONS: [&str; 5] = ["mp4", "m4v", "webm", "ogv", "ogg"];

/// Takes an upload and publishes it. A form of our pages (`from_page`) must carry its token in front of the file.
pub(crate) async fn receive(
    visit: &Visit,
    caller: &Caller,
    body: BodyStream,
    from_page: bool,
) -> Result<Arc<VideoEntry>, ApiError> {
    let max = max_upload(visit);
    let announced = announced_length(&visit.headers);
    if let Some(announced) = announced {
        if announced > max.saturating_add(BESIDE) {
            return Err(too_large(max));
        }
        // Before a byte of the body is asked for; whatever fits now may not fit when it comes, and is refused then.
        let (user, at_least) = (&caller.user, announced.saturating_sub(BESIDE));
        let uploads = &visit.site.rooms().uploads;
        uploads.check(&user.username, user.video_quota, announced, at_least)?;
    }
    let mut form = Multipart::new(&visit.headers, body, max.saturating_add(BESIDE))?;
    let mut fields = Query::default();
    let mut pictures = Pictures::default();
    let mut upload: Option<(Received, Option<String>)> = None;
    while let Some(part) = form.next_part().await? {
        let name = part.name().to_owned();
        if part.file_name().is_none() {
            let text = part.text().await?;
            fields.push(name, text)?;
            continue;
        }
        if from_page && let Some(session) = &caller.session {
            check_csrf(session, fields.first(CSRF_FIELD))?;
        }
        match name.as_str() {
            "videofile" if upload.is_some() => return Err(ApiError::field("videofile", "is there twice")),
            "videofile" => {
                Fields::read(&fields)?;
                upload = Some(file(visit, caller, part, announced, max).await?);
            }
            "thumbnailfile" => pictures.thumbnail = picture(part).await?,
            "previewfile" => pictures.preview = picture(part).await?,
            _ => {}
        }
    }
    if from_page && let Some(session) = &caller.session {
        check_csrf(session, fields.first(CSRF_FIELD))?;
    }
    let wanted = Fields::read(&fields)?;
    let details = wanted.details()?;
    let (upload, file_name_hint) = upload.ok_or_else(|| ApiError::field("videofile", "is missing"))?;
    let channel = channel_of(
        visit,
        &caller.user.username,
        caller.user.channels.first(),
        wanted.channel,
    )
    .await?;

    let add = AddVideo {
        owner: Owner {
            username: caller.user.username.clone(),
            channel,
        },
        details,
        upload,
        file_name_hint,
        thumbnail: pictures.thumbnail,
        preview: pictures.preview,
    };
    publish(visit, add).await
}

/// Has a whole upload published, however long others keep it waiting, and finds it in the lists.
pub(super) async fn publish(visit: &Visit, add: AddVideo) -> Result<Arc<VideoEntry>, ApiError> {
    let record = ask_to_the_end(&visit.site.rooms().library, add).await??;
    let id = VideoId::try_from(record.header().object).map_err(|error| ApiError::internal(&error))?;
    listed(visit, id).await
}

/// A video that was published just now, as the lists show it.
pub(super) async fn listed(visit: &Visit, id: VideoId) -> Result<Arc<VideoEntry>, ApiError> {
    ask(&visit.site.rooms().search, GetVideo(VideoKey::Id(id)))
        .await?
        .ok_or(ApiError::Unavailable)
}

/// The largest video that is taken, in bytes.
pub(super) fn max_upload(visit: &Visit) -> u64 {
    visit.site.options().max_upload.unwrap_or(u64::MAX / 2)
}

/// The refusal of a larger one.
pub(super) fn too_large(max: u64) -> ApiError {
    ApiError::TooLarge(format!(
        "the video is larger than the {max} bytes that this pod takes"
    ))
}

/// Writes the file to the disk.
async fn file(
    visit: &Visit,
    caller: &Caller,
    mut part: Part,
    announced: Option<u64>,
    max: u64,
) -> Result<(Received, Option<String>), ApiError> {
    let file_name = part
        .file_name()
        .map(str::to_owned)
        .filter(|name| !name.is_empty());
    check_kind(file_name.as_deref(), part.content_type())?;
    let announced = announced.map(|length| length.min(max));
    let at_least = announced.unwrap_or(0).saturating_sub(BESIDE);
    let (user, uploads) = (&caller.user, &visit.site.rooms().uploads);
    let mut writer = uploads
        .receive(&user.username, user.video_quota, announced, at_least, max)
        .await?;
    while let Some(bytes) = part.chunk().await? {
        writer.write(bytes).await?;
    }
    Ok((writer.finish().await?, file_name))
}

/// Refuses what says of itself that it is no video browsers play. What it really is, its bytes tell later.
pub(super) fn check_kind(file_name: Option<&str>, content_type: Option<&str>) -> Result<(), ApiError> {
    let extension = file_name
        .and_then(|name| name.rsplit_once('.'))
        .map(|(_, extension)| extension.to_ascii_lowercase());
    let known = match &extension {
        Some(extension) => EXTENSIONS.contains(&extension.as_str()),
        None => content_type.is_none_or(|kind| {
            kind.starts_with("video/")
                || matches!(
                    kind,
                    "application/ogg" | "application/mp4" | "application/octet-stream"
                )
        }),
    };
    if known {
        return Ok(());
    }
    let what = extension.as_deref().or(content_type).unwrap_or_default();
    Err(ApiError::Unsupported(format!(
        "`{}` is not a video that browsers play; MP4, WebM and Ogg are taken",
        shorten(what)
    )))
}

/// Reads a form without a video: texts and two pictures.
pub(super) async fn small_form(
    visit: &Visit,
    body: BodyStream,
    pictures: &mut Pictures,
) -> Result<Query, ApiError> {
    let mut form = Multipart::new(&visit.headers, body, MAX_FORM)?;
    let mut query = Query::default();
    while let Some(part) = form.next_part().await? {
        match (part.name(), part.file_name().is_some()) {
            ("thumbnailfile", true) => pictures.thumbnail = picture(part).await?,
            ("previewfile", true) => pictures.preview = picture(part).await?,
            (_, true) => {}
            (name, false) => {
                let name = name.to_owned();
                query.push(name, part.text().await?)?;
            }
        }
    }
    Ok(query)
}

/// What an upload is answered with once it is a video.
pub(super) fn video_answer(entry: &VideoEntry) -> Response {
    json_answer(
        &json!({ "video": { "id": entry.number, "uuid": entry.id.to_string(), "shortUUID": entry.id.short() } }),
    )
}

/// A picture; an input that nobody filled is sent as an empty file without a name.
async fn picture(part: Part) -> Result<Option<Bytes>, ApiError> {
    let bytes = part.bytes(MAX_PICTURE).await?;
    Ok((!bytes.is_empty()).then(|| bytes.into()))
}

/// The channel that a user names, which must be theirs; their first one if they name none.
pub(super) async fn channel_of(
    visit: &Visit,
    username: &str,
    first: Option<&ChannelId>,
    named: Option<ChannelKey>,
) -> Result<ChannelId, ApiError> {
    let Some(key) = named else {
        return first
            .copied()
            .ok_or_else(|| ApiError::field("channelId", "is missing"));
    };
    let found = ask(&visit.site.rooms().search, GetChannel(key)).await?;
    let theirs = |channel: &Arc<ChannelEntry>| channel.is_local && channel.channel.owner == username;
    found
        .filter(theirs)
        .map(|channel| channel.id)
        .ok_or_else(|| ApiError::field("channelId", "is not a channel of this user"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_that_it_is_no_video_is_refused_early() {
        for (name, kind) in [
            ("a.mp4", "video/mp4"),
            ("A.WEBM", "application/octet-stream"),
            ("b.ogv", ""),
            ("clip.mp4", "text/plain"),
        ] {
            assert!(check_kind(Some(name), Some(kind)).is_ok(), "{name} {kind}");
        }
        for (name, kind) in [
            ("notes.txt", "text/plain"),
            ("a.avi", "video/x-msvideo"),
            ("a.mp4.exe", "video/mp4"),
        ] {
            let error = check_kind(Some(name), Some(kind))
                .err()
                .map(|error| error.status().as_u16());
            assert_eq!(error, Some(415), "{name} {kind}");
        }
        assert!(check_kind(Some("blob"), Some("video/webm")).is_ok());
        assert!(check_kind(None, None).is_ok());
        assert!(check_kind(Some("blob"), Some("image/png")).is_err());
    }
}
