//! The user who asks: `users/me`.

use seedpod_actors::accounts::messages::User;
use seedpod_actors::library::messages::UsageOf;
use seedpod_actors::search::messages::{ListChannels, VideoFilter};
use serde_json::json;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::videos::list_of;
use super::{json as json_answer, read};
use crate::dto;
use crate::error::ApiError;
use crate::paging::MAX_COUNT;
use crate::site::{Site, ask};
use crate::visit::{Visit, answer, visit};

pub(super) fn routes(site: &Site) -> BoxedFilter<(Response,)> {
    let visit = visit(site.clone());
    let me = warp::path!("users" / "me")
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(me(visit)));
    let videos = warp::path!("users" / "me" / "videos")
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(my_videos(visit)));
    let usage = warp::path!("users" / "me" / "video-quota-used")
        .and(read())
        .and(visit)
        .then(|visit| answer(my_usage(visit)));
    me.or(videos).unify().or(usage).unify().boxed()
}

async fn me(visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.reader().await?;
    let channels = channels_of(&visit, &caller.user).await?;
    Ok(json_answer(&dto::Me::of(
        &caller.user,
        channels,
        &visit.site.options().public_url,
    )))
}

/// The channels of a user of this pod, newest first.
async fn channels_of(visit: &Visit, user: &User) -> Result<Vec<dto::Channel>, ApiError> {
    let list = ListChannels {
        owner: Some(user.username.clone()),
        start: 0,
        count: MAX_COUNT,
    };
    let page = ask(&visit.site.rooms().search, list).await?;
    let own_url = &visit.site.options().public_url;
    // Oldest first: clients upload into the first one, which is the one the user was made with.
    Ok(page
        .rows
        .iter()
        .rev()
        .map(|entry| dto::Channel::of(entry, own_url))
        .collect())
}

/// How many bytes of video the caller keeps or is sending. Nobody counts by day, as nobody has a daily quota.
async fn my_usage(visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.reader().await?;
    let usage = UsageOf {
        username: caller.user.username.clone(),
    };
    let used = ask(&visit.site.rooms().library, usage).await?;
    Ok(json_answer(
        &json!({ "videoQuotaUsed": used, "videoQuotaUsedDaily": 0 }),
    ))
}

/// The caller's own videos, unlisted ones too.
async fn my_videos(visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.reader().await?;
    let filter = VideoFilter {
        owner: Some(caller.user.username.clone()),
        ..VideoFilter::default()
    };
    list_of(&visit, filter).await
}
