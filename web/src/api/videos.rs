//! Videos: lists, one, what changes them, and the fixed lists of their fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use seedpod_actors::library::messages::{Editor, RemoveVideo, UpdateVideo};
use seedpod_actors::search::messages::{
    GetVideo, ListVideos, Sort, SortKey, VideoEntry, VideoFilter, VideoKey,
};
use seedpod_protocol::ids::{IdError, VideoId};
use serde_json::json;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::carried::figures;
use super::comments::counts;
use super::upload::{channel_of, receive, small_form, video_answer};
use super::{Fields, Pictures, body, done, json as json_answer, read};
use crate::body::{BodyStream, fields};
use crate::constants::{CATEGORIES, LANGUAGES, LICENCES, PRIVACIES};
use crate::dto;
use crate::error::ApiError;
use crate::multipart::is_multipart;
use crate::paging::{List, Paging, sort};
use crate::query::{Query, shorten};
use crate::site::{Site, ask, ask_work};
use crate::visit::{Caller, Visit, answer, visit};

/// What lists may be sorted by. What is on the rise is what was watched or liked most; nobody measures the slope yet.
const SORTS: [(&str, SortKey); 12] = [
    ("name", SortKey::Name),
    ("duration", SortKey::Duration),
    ("createdAt", SortKey::CreatedAt),
    ("publishedAt", SortKey::PublishedAt),
    ("originallyPublishedAt", SortKey::PublishedAt),
    ("match", SortKey::PublishedAt),
    ("views", SortKey::Views),
    ("likes", SortKey::Likes),
    ("dislikes", SortKey::Dislikes),
    ("trending", SortKey::Views),
    ("hot", SortKey::Views),
    ("best", SortKey::Likes),
];

pub(super) fn routes(site: &Site) -> BoxedFilter<(Response,)> {
    let visit = visit(site.clone());
    let fixed = warp::path!("videos" / "categories")
        .and(read())
        .map(|| numbers(&CATEGORIES))
        .or(warp::path!("videos" / "licences")
            .and(read())
            .map(|| numbers(&LICENCES)))
        .unify()
        .or(warp::path!("videos" / "languages")
            .and(read())
            .map(|| json_answer(&BTreeMap::from(LANGUAGES))))
        .unify()
        .or(warp::path!("videos" / "privacies")
            .and(read())
            .map(|| numbers(&PRIVACIES)))
        .unify()
        .boxed();
    let list = warp::path!("videos")
        .or(warp::path!("search" / "videos"))
        .unify()
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(list(visit)));
    let upload = warp::path!("videos" / "upload")
        .and(warp::post())
        .and(visit.clone())
        .and(body())
        .then(|visit, body| answer(upload(visit, body)));
    let one = warp::path!("videos" / String)
        .and(read())
        .and(visit.clone())
        .then(|id, visit| answer(one(id, visit)));
    let description = warp::path!("videos" / String / "description")
        .and(read())
        .and(visit.clone())
        .then(|id, visit| answer(description(id, visit)));
    let put = warp::path!("videos" / String)
        .and(warp::put())
        .and(visit.clone())
        .and(body())
        .then(|id, visit, body| answer(put(id, visit, body)));
    let delete = warp::path!("videos" / String)
        .and(warp::delete())
        .and(visit)
        .then(|id, visit| answer(delete(id, visit)));
    let reading = fixed
        .or(list)
        .unify()
        .or(one)
        .unify()
        .or(description)
        .unify()
        .boxed();
    // The upload's address looks like that of a video, so it comes first: a GET there is no unknown video.
    upload
        .or(reading)
        .unify()
        .or(put)
        .unify()
        .or(delete)
        .unify()
        .boxed()
}

fn numbers(list: &'static [(u16, &'static str)]) -> Response {
    json_answer(&list.iter().copied().collect::<BTreeMap<u16, &str>>())
}

async fn list(visit: Visit) -> Result<Response, ApiError> {
    let filter = filter_of(&visit.query()?)?;
    list_of(&visit, filter).await
}

/// The page of videos that the query's paging and sort name, of those that a filter lets through.
pub(super) async fn list_of(visit: &Visit, filter: VideoFilter) -> Result<Response, ApiError> {
    let query = visit.query()?;
    let paging = Paging::of(&query)?;
    let (key, descending) = sort(&query, &SORTS, (SortKey::PublishedAt, true))?;
    if asks_for_other_media(&query)? {
        return Ok(json_answer(&List::<()> {
            total: 0,
            data: Vec::new(),
        }));
    }
    let list = ListVideos {
        filter,
        sort: Sort { key, descending },
        start: paging.start,
        count: paging.count,
    };
    let page = ask(&visit.site.rooms().search, list).await?;
    let own_url = &visit.site.options().public_url;
    let comments = counts(&visit.site, &page.rows).await;
    let figures = figures(&visit.site, &page.rows).await;
    let data = page
        .rows
        .iter()
        .zip(comments.into_iter().zip(figures))
        .map(|(entry, (comments, figures))| dto::Video::of(entry, comments, figures, own_url))
        .collect();
    Ok(json_answer(&List {
        total: page.total,
        data,
    }))
}

/// Which videos a query lets through.
pub(super) fn filter_of(query: &Query) -> Result<VideoFilter, ApiError> {
    let texts = |name| query.all(name).map(str::to_owned).collect();
    Ok(VideoFilter {
        text: query.text("search").map(str::to_owned),
        is_local: query.flag("isLocal")?,
        nsfw: match query.text("nsfw") {
            None | Some("both") => None,
            Some(_) => query.flag("nsfw")?,
        },
        categories: query.all_parsed("categoryOneOf", "a number")?,
        licences: query.all_parsed("licenceOneOf", "a number")?,
        languages: texts("languageOneOf"),
        tags_one_of: texts("tagsOneOf"),
        tags_all_of: texts("tagsAllOf"),
        origin: None,
        host: query.text("host").map(str::to_owned),
        owner: None,
        account: None,
        channel: None,
    })
}

/// Whether a query asks for live streams or other media that no pod has.
fn asks_for_other_media(query: &Query) -> Result<bool, ApiError> {
    Ok(query.flag("isLive")? == Some(true)
        || query.flag("hasHLSFiles")? == Some(true)
        || query.flag("hasWebVideoFiles")? == Some(false))
}

async fn one(id: String, visit: Visit) -> Result<Response, ApiError> {
    let entry = find(&visit, &id).await?;
    let this = std::slice::from_ref(&entry);
    let (comments, figures) = (counts(&visit.site, this).await, figures(&visit.site, this).await);
    Ok(json_answer(&dto::Video::of(
        &entry,
        comments.first().copied().unwrap_or(0),
        figures.first().copied().unwrap_or_default(),
        &visit.site.options().public_url,
    )))
}

async fn description(id: String, visit: Visit) -> Result<Response, ApiError> {
    let entry = find(&visit, &id).await?;
    Ok(json_answer(
        &json!({ "description": entry.video.description.as_deref().unwrap_or_default() }),
    ))
}

async fn upload(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    let entry = receive(&visit, &caller, body, false).await?;
    Ok(video_answer(&entry))
}

async fn put(id: String, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    let entry = find(&visit, &id).await?;
    let mut pictures = Pictures::default();
    let query = if is_multipart(&visit.headers) {
        small_form(&visit, body, &mut pictures).await?
    } else {
        fields(&visit.headers, body).await?
    };
    update(&visit, &caller, &entry, &query, pictures).await?;
    Ok(done())
}

/// Changes a video as fields say.
pub(crate) async fn update(
    visit: &Visit,
    caller: &Caller,
    entry: &VideoEntry,
    query: &Query,
    pictures: Pictures,
) -> Result<(), ApiError> {
    check_local(entry)?;
    let Fields { mut patch, channel } = Fields::read(query)?;
    if channel.is_some() {
        patch.channel = Some(channel_of(visit, &entry.video.owner, None, channel).await?);
    }
    let change = UpdateVideo {
        id: entry.id,
        by: editor(caller),
        patch,
        thumbnail: pictures.thumbnail,
        preview: pictures.preview,
    };
    ask_work(&visit.site.rooms().library, change).await??;
    Ok(())
}

async fn delete(id: String, visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    let entry = find(&visit, &id).await?;
    remove(&visit, &caller, &entry).await?;
    Ok(done())
}

/// Removes a video for good.
pub(crate) async fn remove(visit: &Visit, caller: &Caller, entry: &VideoEntry) -> Result<(), ApiError> {
    check_local(entry)?;
    ask_work(
        &visit.site.rooms().library,
        RemoveVideo {
            id: entry.id,
            by: editor(caller),
        },
    )
    .await??;
    Ok(())
}

fn check_local(entry: &VideoEntry) -> Result<(), ApiError> {
    if entry.is_local {
        Ok(())
    } else {
        Err(ApiError::Forbidden(
            "this video belongs to another pod, and only that pod may change it".into(),
        ))
    }
}

fn editor(caller: &Caller) -> Editor {
    // The empty name is nobody's: whoever may edit that may edit everything.
    if caller.may_edit("") {
        Editor::Moderator
    } else {
        Editor::User(caller.user.username.clone())
    }
}

/// The live video that a text names.
pub(crate) async fn find(visit: &Visit, id: &str) -> Result<Arc<VideoEntry>, ApiError> {
    let key = parse_key(id)?;
    let found = ask(&visit.site.rooms().search, GetVideo(key)).await?;
    found.ok_or_else(|| ApiError::NotFound(format!("there is no video `{}`", shorten(id))))
}

/// What a text in the place of a video's id means: this pod's number, a uuid, or a short uuid.
pub(crate) fn parse_key(text: &str) -> Result<VideoKey, ApiError> {
    if text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        return text
            .parse()
            .map(VideoKey::Number)
            .map_err(|_| ApiError::field("id", "is not a number"));
    }
    match text.parse::<VideoId>() {
        Ok(id) => Ok(VideoKey::Id(id)),
        Err(IdError::Version(_)) => Err(ApiError::NotFound(format!(
            "there is no video `{}`",
            shorten(text)
        ))),
        Err(_) => Err(ApiError::field(
            "id",
            format!("`{}` is neither a number nor a uuid", shorten(text)),
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn a_video_is_named_in_three_ways() {
        let uuid = "00000000-0000-8000-8000-000000000001";
        let id: VideoId = uuid.parse().unwrap();
        assert_eq!(parse_key("12").unwrap(), VideoKey::Number(12));
        assert_eq!(parse_key(uuid).unwrap(), VideoKey::Id(id));
        assert_eq!(parse_key(&id.short()).unwrap(), VideoKey::Id(id));
    }

    #[test]
    fn a_uuid_that_no_video_can_have_is_unknown_and_other_texts_are_wrong() {
        assert_eq!(
            parse_key("4a5e1e4b-aaab-4daf-8d8f-6c9f6e4e0f4e")
                .unwrap_err()
                .status(),
            404
        );
        for bad in [
            "",
            "hello",
            "-1",
            "1.5",
            "4a5e1e4b-aaab-4daf-8d8f",
            "99999999999999999999999999",
        ] {
            assert_eq!(parse_key(bad).unwrap_err().status(), 400, "{bad}");
        }
    }

    #[test]
    fn filters_are_read_from_the_query() {
        let filter = |text: &str| filter_of(&Query::parse(text).unwrap());
        let read = filter("search=sea%20sky&isLocal=true&nsfw=false&categoryOneOf=1&categoryOneOf=2&tagsAllOf[]=a&languageOneOf=fr&host=localhost:9001").unwrap();
        assert_eq!(read.text.as_deref(), Some("sea sky"));
        assert_eq!((read.is_local, read.nsfw), (Some(true), Some(false)));
        assert_eq!(
            (read.categories, read.tags_all_of, read.languages),
            (vec![1, 2], vec!["a".to_owned()], vec!["fr".to_owned()])
        );
        assert_eq!(read.host.as_deref(), Some("localhost:9001"));
        assert_eq!(filter("nsfw=both").unwrap().nsfw, None);
        for bad in [
            "nsfw=maybe",
            "isLocal=x",
            "categoryOneOf=music",
            "licenceOneOf=-1",
        ] {
            assert_eq!(filter(bad).unwrap_err().status(), 400, "{bad}");
        }
    }

    #[test]
    fn media_that_no_pod_has_are_found_nowhere() {
        let asks = |text: &str| asks_for_other_media(&Query::parse(text).unwrap()).unwrap();
        assert!(asks("isLive=true") && asks("hasHLSFiles=true") && asks("hasWebVideoFiles=false"));
        assert!(!asks("isLive=false") && !asks("hasWebVideoFiles=true") && !asks(""));
    }
}
