//! Views and ratings: `videos/:id/views`, `videos/:id/rate`, `users/me/videos/:id/rating`.

use seedpod_actors::audience::messages::{CountView, GetRating, Rate, Rating};
use serde_json::json;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::videos::find;
use super::{body, done, json as json_answer, read};
use crate::body::{BodyStream, fields};
use crate::error::ApiError;
use crate::query::Query;
use crate::site::{Site, ask};
use crate::visit::{Visit, answer, visit};

pub(super) fn routes(site: &Site) -> BoxedFilter<(Response,)> {
    let visit = visit(site.clone());
    let view = warp::path!("videos" / String / "views")
        .and(warp::post().or(warp::put()).unify())
        .and(visit.clone())
        .and(body())
        .then(|id, visit, body| answer(view(id, visit, body)));
    let rate = warp::path!("videos" / String / "rate")
        .and(warp::put())
        .and(visit.clone())
        .and(body())
        .then(|id, visit, body| answer(rate(id, visit, body)));
    let rating = warp::path!("users" / "me" / "videos" / String / "rating")
        .and(read())
        .and(visit)
        .then(|id, visit| answer(rating(id, visit)));
    view.or(rate).unify().or(rating).unify().boxed()
}

/// Counts a view. Players tell where they are (`currentTime`, in seconds) every few seconds; the first time counts.
async fn view(id: String, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let fields = fields(&visit.headers, body).await?;
    if let Some(seconds) = fields.text("currentTime")
        && !seconds
            .parse::<f64>()
            .is_ok_and(|seconds| seconds.is_finite() && seconds >= 0.0)
    {
        return Err(ApiError::field("currentTime", "is no number of seconds"));
    }
    let entry = find(&visit, &id).await?;
    let counted = CountView {
        video: entry.id,
        from: visit.client,
    };
    ask(&visit.site.rooms().audience, counted).await??;
    Ok(done())
}

async fn rate(id: String, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    let rating = parse_rating(&fields(&visit.headers, body).await?)?;
    let entry = find(&visit, &id).await?;
    let rate = Rate {
        video: entry.id,
        username: caller.user.username.clone(),
        rating,
    };
    ask(&visit.site.rooms().audience, rate).await??;
    Ok(done())
}

async fn rating(id: String, visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.reader().await?;
    let entry = find(&visit, &id).await?;
    let asked = GetRating {
        video: entry.id,
        username: caller.user.username.clone(),
    };
    let rating = ask(&visit.site.rooms().audience, asked).await?;
    Ok(json_answer(
        &json!({ "videoId": entry.number, "rating": name_of(rating) }),
    ))
}

/// The rating that a form or a JSON body names.
pub(crate) fn parse_rating(fields: &Query) -> Result<Option<Rating>, ApiError> {
    match fields.text("rating") {
        Some("like") => Ok(Some(Rating::Like)),
        Some("dislike") => Ok(Some(Rating::Dislike)),
        Some("none") => Ok(None),
        _ => Err(ApiError::field("rating", "is neither like, dislike nor none")),
    }
}

/// What a rating is called outside.
pub(crate) fn name_of(rating: Option<Rating>) -> &'static str {
    match rating {
        Some(Rating::Like) => "like",
        Some(Rating::Dislike) => "dislike",
        None => "none",
    }
}
