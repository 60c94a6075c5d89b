//! The REST API under `/api/v1`, in the shapes of PeerTube. One file for each group of addresses.

mod abuses;
mod audience;
mod carried;
mod channels;
mod comments;
mod events;
mod fields;
mod mirrors;
mod oauth;
mod pods;
mod resumable;
mod server;
mod tus;
mod upload;
mod users;
mod videos;

use serde::Serialize;
use warp::filters::BoxedFilter;
use warp::http::StatusCode;
use warp::reject::{MethodNotAllowed, Reject, Rejection};
use warp::reply::Response;
use warp::{Filter, Reply};

pub(crate) use abuses::{decide_by, file_about, parse_reason, parse_reasons, reported, require_moderator};
pub(crate) use audience::parse_rating;
pub(crate) use carried::figures;
pub(crate) use channels::find as find_channel;
pub(crate) use comments::{parse_comment, parse_text, post as post_comment, standing, subject};
pub(crate) use fields::{Fields, Pictures};
pub(crate) use mirrors::parse_bucket;
pub(crate) use pods::{befriend, check_made, hosts_or_configured, parse_hosts, parse_number};
pub(crate) use tus::greet as greet_tus;
pub(crate) use upload::receive;
pub(crate) use users::{change as change_user, create_by as create_user, sign_up};
pub(crate) use videos::find as find_video;
pub(crate) use videos::{parse_key, remove, update};

use crate::body::BodyStream;
use crate::error::ApiError;
use crate::site::Site;

/// All addresses of the API; what is none of them is a problem in JSON too.
pub(crate) fn routes(site: &Site) -> BoxedFilter<(Response,)> {
    let groups = server::routes(site)
        .or(oauth::routes(site))
        .unify()
        .or(users::routes(site))
        .unify()
        .or(channels::routes(site))
        .unify()
        .or(audience::routes(site))
        .unify()
        .or(carried::routes(site))
        .unify()
        .or(comments::routes(site))
        .unify()
        .or(abuses::routes(site))
        .unify()
        .or(resumable::routes(site))
        .unify()
        .or(tus::routes(site))
        .unify()
        .or(videos::routes(site))
        .unify()
        .or(pods::routes(site))
        .unify()
        .or(mirrors::routes(site))
        .unify()
        .or(events::routes(site))
        .unify();
    warp::path("api")
        .and(warp::path("v1").and(groups).recover(problem).unify())
        .boxed()
}

async fn problem(rejection: Rejection) -> Result<Response, std::convert::Infallible> {
    Ok(refusal(&rejection).into_response())
}

/// An address is asked with a method that it does not know, where warp's own filters do not look at the method.
#[derive(Debug)]
struct WrongMethod;

impl Reject for WrongMethod {}

/// What a request was turned away for before any handler saw it.
pub(crate) fn refusal(rejection: &Rejection) -> ApiError {
    if rejection.find::<MethodNotAllowed>().is_some() || rejection.find::<WrongMethod>().is_some() {
        ApiError::MethodNotAllowed
    } else {
        ApiError::NotFound("there is nothing at this address".into())
    }
}

/// A request that reads: GET, or HEAD, whose body is left out later.
pub(crate) fn read() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    warp::get().or(warp::head()).unify()
}

/// The bytes of a request as they arrive.
pub(crate) fn body() -> impl Filter<Extract = (BodyStream,), Error = Rejection> + Copy {
    warp::header::headers_cloned()
        .and(warp::body::stream())
        .map(|headers, body| BodyStream::of(body).asked(&headers))
}

/// 200 with a JSON body.
pub(crate) fn json<T: Serialize>(value: &T) -> Response {
    warp::reply::json(value).into_response()
}

/// 204: done, and there is nothing to say.
pub(crate) fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
