//! The videos of the person logged in: a list, the form that edits one, the button that removes one.

use std::sync::Arc;

use seedpod_actors::search::messages::{GetVideo, ListVideos, VideoEntry, VideoFilter};
use seedpod_protocol::records::Privacy;
use warp::http::StatusCode;
use warp::reply::Response;

use super::lists::{LATEST, PAGE, pager, start_of};
use super::upload::{choices, languages};
use super::{chrome, own_csp, page, see_other, sentence};
use crate::api::{self, Pictures, parse_key};
use crate::body::{BodyStream, fields};
use crate::constants::{CATEGORIES, LICENCES, PRIVACIES, UNKNOWN, label};
use crate::error::ApiError;
use crate::links;
use crate::pages::{EditPage, MyVideo, MyVideosPage, VideoFields};
use crate::query::Query;
use crate::session::CSRF_FIELD;
use crate::site::ask;
use crate::visit::{Caller, Visit};

pub(super) async fn list(visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.reader().await?;
    let start = start_of(&visit.query()?)?;
    let filter = VideoFilter {
        owner: Some(caller.user.username.clone()),
        ..VideoFilter::default()
    };
    let found = ask(
        &visit.site.rooms().search,
        ListVideos {
            filter,
            sort: LATEST,
            start,
            count: PAGE,
        },
    )
    .await?;
    let videos: Vec<_> = found.rows.iter().map(|entry| row(entry)).collect();
    let pager = pager("/my/videos", "", start, videos.len(), found.total);
    let view = MyVideosPage {
        chrome: chrome(&visit, Some(&caller)).await,
        videos,
        pager,
    };
    Ok(page(view.html(), StatusCode::OK, &own_csp(&visit)))
}

fn row(entry: &VideoEntry) -> MyVideo {
    MyVideo {
        uuid: entry.id.to_string(),
        title: entry.video.name.clone(),
        url: links::watch_path(&entry.id),
        thumbnail: links::thumbnail_path(&entry.id, &entry.video),
        duration: u64::from(entry.video.duration),
        privacy: label(&PRIVACIES, privacy_of(entry)).unwrap_or(UNKNOWN).to_owned(),
        state: None,
        views: entry.tally.views,
        published_at: entry.video.published_at.as_millis(),
    }
}

fn privacy_of(entry: &VideoEntry) -> u16 {
    match entry.video.privacy {
        Privacy::Public => 1,
        Privacy::Unlisted => 2,
    }
}

pub(super) async fn edit(id: String, visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.reader().await?;
    let entry = find(&visit, &caller, &id).await?;
    show_form(&visit, &caller, &entry, None, StatusCode::OK, None).await
}

pub(super) async fn edited(id: String, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let mut form = fields(&visit.headers, body).await?;
    let caller = visit.form_writer(form.first(CSRF_FIELD)).await?;
    let entry = find(&visit, &caller, &id).await?;
    // A box that is not ticked, and a tag field that was emptied, are not sent or are sent without a value.
    if !form.has("nsfw") {
        form.push("nsfw".into(), "false".into())?;
    }
    match api::update(&visit, &caller, &entry, &form, Pictures::default()).await {
        Ok(()) => Ok(see_other("/my/videos?done=edited")),
        Err(error) if error.status().is_client_error() => {
            show_form(
                &visit,
                &caller,
                &entry,
                Some(&form),
                error.status(),
                Some(sentence(&error)),
            )
            .await
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn delete(id: String, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let form = fields(&visit.headers, body).await?;
    let caller = visit.form_writer(form.first(CSRF_FIELD)).await?;
    let entry = find(&visit, &caller, &id).await?;
    api::remove(&visit, &caller, &entry).await?;
    Ok(see_other("/my/videos?done=deleted"))
}

/// A video that the caller may edit.
async fn find(visit: &Visit, caller: &Caller, id: &str) -> Result<Arc<VideoEntry>, ApiError> {
    let missing = || ApiError::NotFound("There is no such video on this pod.".into());
    let key = parse_key(id).map_err(|_| missing())?;
    let entry = ask(&visit.site.rooms().search, GetVideo(key))
        .await?
        .filter(|entry| entry.is_local)
        .ok_or_else(missing)?;
    if caller.may_edit(&entry.video.owner) {
        Ok(entry)
    } else {
        Err(ApiError::Forbidden("this video belongs to somebody else".into()))
    }
}

/// The form with what the video is, or with what was typed when that was refused.
async fn show_form(
    visit: &Visit,
    caller: &Caller,
    entry: &VideoEntry,
    typed: Option<&Query>,
    status: StatusCode,
    error: Option<String>,
) -> Result<Response, ApiError> {
    let video = &entry.video;
    let text = |name: &str, held: &str| {
        typed
            .map_or(held, |typed| typed.first(name).unwrap_or_default())
            .to_owned()
    };
    let number = |name: &str, held: Option<u16>| {
        typed.map_or(held, |typed| typed.text(name).and_then(|text| text.parse().ok()))
    };
    let language = text("language", video.language.as_deref().unwrap_or_default());
    let fields = VideoFields {
        name: text("name", &video.name),
        description: text("description", video.description.as_deref().unwrap_or_default()),
        tags: text("tags", &video.tags.join(", ")),
        nsfw: typed.map_or(video.nsfw, |typed| {
            typed.flag("nsfw").ok().flatten().unwrap_or_default()
        }),
        channels: Vec::new(),
        categories: choices(&CATEGORIES, number("category", video.category)),
        licences: choices(&LICENCES, number("licence", video.licence)),
        languages: languages(Some(&language)),
        privacies: choices(&PRIVACIES, number("privacy", Some(privacy_of(entry)))),
    };
    let view = EditPage {
        chrome: chrome(visit, Some(caller)).await,
        uuid: entry.id.to_string(),
        url: links::watch_path(&entry.id),
        fields,
        error,
    };
    Ok(page(view.html(), status, &own_csp(visit)))
}
