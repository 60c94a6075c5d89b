//! Logging in and out: tokens as clients of PeerTube ask for them.

use seedpod_actors::accounts::messages::{
    AccountsError, GetOAuthClient, Login, Logout, Refresh, Secret, Tokens,
};
use serde_json::json;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::header::{CACHE_CONTROL, HeaderValue};
use warp::reply::Response;

use super::{body, json as json_answer, read};
use crate::body::{BodyStream, fields};
use crate::error::ApiError;
use crate::session;
use crate::site::{Site, ask, ask_work};
use crate::visit::{Visit, answer, visit};

pub(super) fn routes(site: &Site) -> BoxedFilter<(Response,)> {
    let visit = visit(site.clone());
    let client = warp::path!("oauth-clients" / "local")
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(client(visit)));
    let token = warp::path!("users" / "token")
        .and(warp::post())
        .and(visit.clone())
        .and(body())
        .then(|visit, body| answer(token(visit, body)));
    let revoke = warp::path!("users" / "revoke-token")
        .and(warp::post())
        .and(visit)
        .then(|visit| answer(revoke(visit)));
    client.or(token).unify().or(revoke).unify().boxed()
}

async fn client(visit: Visit) -> Result<Response, ApiError> {
    let client = ask(&visit.site.rooms().accounts, GetOAuthClient).await?;
    Ok(json_answer(
        &json!({ "client_id": client.id, "client_secret": client.secret }),
    ))
}

/// The grants `password` and `refresh_token` of RFC 6749.
async fn token(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let form = fields(&visit.headers, body).await?;
    let accounts = &visit.site.rooms().accounts;
    let client = ask(accounts, GetOAuthClient).await?;
    if form.first("client_id") != Some(&client.id) || form.first("client_secret") != Some(&client.secret) {
        return Err(ApiError::InvalidClient);
    }
    // An empty name or password is a wrong one; an absent one is another request.
    let required = |name: &'static str| {
        form.first(name)
            .ok_or_else(|| ApiError::field(name, "is missing"))
    };
    let (tokens, _) = match form.first("grant_type") {
        Some("password") => {
            let login = Login {
                from: visit.client,
                username: required("username")?.to_owned(),
                password: Secret(required("password")?.to_owned()),
            };
            ask_work(accounts, login).await??
        }
        Some("refresh_token") => {
            let refresh = Refresh(Secret(required("refresh_token")?.to_owned()));
            ask(accounts, refresh).await?.map_err(|error| match error {
                AccountsError::BadToken => {
                    ApiError::InvalidGrant("the refresh token is unknown, used or has expired".into())
                }
                other => other.into(),
            })?
        }
        Some(_) => {
            return Err(ApiError::field(
                "grant_type",
                "is neither `password` nor `refresh_token`",
            ));
        }
        None => return Err(ApiError::field("grant_type", "is missing")),
    };
    Ok(granted(&tokens))
}

fn granted(tokens: &Tokens) -> Response {
    let mut response = json_answer(&json!({
        "token_type": "Bearer",
        "access_token": tokens.access.0,
        "refresh_token": tokens.refresh.0,
        "expires_in": tokens.expires_in,
        "refresh_token_expires_in": tokens.refresh_expires_in,
    }));
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Ends the session of the bearer token.
async fn revoke(visit: Visit) -> Result<Response, ApiError> {
    let token =
        session::bearer(&visit.headers).ok_or(ApiError::Unauthorized("a bearer token is expected"))?;
    ask(&visit.site.rooms().accounts, Logout(Secret(token.to_owned()))).await??;
    Ok(json_answer(&json!({})))
}
