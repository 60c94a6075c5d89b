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

/// `/healthz`: 200 while every room runs and none is in trouble, else 503; the body names each.
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
        .map(|room| {
            let mut shown = json!({
                "name": room.name,
                "state": state(room.state),
                "restarts": room.restarts,
                "panics": room.panics,
            });
            if let Some(trouble) = &room.trouble {
                shown["trouble"] = trouble.as_ref().into();
            }
            shown
        })
        .collect();
    let (status, word) = if health.is_good() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "degraded")
    };
    let body = warp::reply::json(&json!({ "status": word, "rooms": rooms }));
    Ok(warp::reply::with_status(body, status).into_response())
}

/// `/readyz`: 200 while requests can be served: every room runs, lists are answered, and the pod is not stopping.
pub(crate) async fn ready(visit: Visit) -> Result<Response, ApiError> {
    let rooms = visit.site.rooms();
    if visit.site.stopping().is_cancelled() || !rooms.supervisor.health().is_good() {
        return Err(ApiError::Unavailable);
    }
    ask(&rooms.search, GetTotals).await?;
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
