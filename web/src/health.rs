//! For machines that watch the pod: does it live, can it answer, what has it counted.

use prometheus_client::encoding::text::encode;
use seedpod_actors::search::messages::GetTotals;
use seedpod_actors::supervise::{ExitReason, RoomState};
use serde_json::json;
use warp::Reply;
use warp::http::StatusCode;
use warp::http::header::{CONTENT_TYPE, HeaderValue};
use warp::reply::Response;

use crate::error::ApiError;
use crate::site::ask;
use crate::visit::Visit;

/// `/healthz`: 200 while every room runs, else 503; the body names each.
pub(crate) async fn healthy(visit: Visit) -> Result<Response, ApiError> {
    let health = visit.site.rooms().supervisor.health();
    let state = |state| match state {
        RoomState::Running => "running",
        RoomState::Restarting => "restarting",
        RoomState::Ended(ExitReason::Stopped) => "stopped",
        RoomState::Ended(ExitReason::Panicked) => "panicked",
    };
    let rooms: Vec<_> = health
        .rooms
        .iter()
        .map(|room| json!({ "name": room.name, "state": state(room.state), "restarts": room.restarts, "panics": room.panics }))
        .collect();
    let (status, word) = if health.is_good() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "degraded")
    };
    let body = warp::reply::json(&json!({ "status": word, "rooms": rooms }));
    Ok(warp::reply::with_status(body, status).into_response())
}

/// `/readyz`: 200 once lists can be answered.
pub(crate) async fn ready(visit: Visit) -> Result<Response, ApiError> {
    if visit.site.stopping().is_cancelled() {
        return Err(ApiError::Unavailable);
    }
    ask(&visit.site.rooms().search, GetTotals).await?;
    Ok("ready\n".into_response())
}

/// `/metrics`, in the text form of OpenMetrics.
pub(crate) async fn metrics(visit: Visit) -> Result<Response, ApiError> {
    let mut text = String::new();
    encode(&mut text, visit.site.registry()).map_err(|error| ApiError::internal(&error))?;
    let mut response = text.into_response();
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
    );
    Ok(response)
}
