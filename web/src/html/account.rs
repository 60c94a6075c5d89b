//! Logging in and out, and what this pod says about itself.

use seedpod_actors::accounts::messages::{AccountsError, Login, Logout, Secret};
use warp::http::StatusCode;
use warp::http::header::{RETRY_AFTER, SET_COOKIE};
use warp::reply::Response;

use super::{chrome, local_path, own_csp, page, see_other, sentence};
use crate::body::{BodyStream, fields};
use crate::error::ApiError;
use crate::pages::{AboutPage, LoginPage};
use crate::session::{self, CSRF_FIELD};
use crate::site::{ask, ask_work};
use crate::visit::Visit;

pub(super) async fn login(visit: Visit) -> Result<Response, ApiError> {
    let query = visit.query()?;
    let next = local_path(query.first("next").unwrap_or("/")).to_owned();
    show_form(&visit, String::new(), next, StatusCode::OK, None).await
}

pub(super) async fn log_in(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let form = fields(&visit.headers, body).await?;
    // Nobody shall be logged in as somebody else by a page of another site.
    session::check_same_origin(&visit.headers, &visit.site.options().public_url)?;
    let next = local_path(form.first("next").unwrap_or("/")).to_owned();
    let username = form.text("username").unwrap_or_default().to_owned();
    let password = Secret(form.first("password").unwrap_or_default().to_owned());
    let login = Login {
        from: visit.client,
        username: username.clone(),
        password,
    };
    match ask_work(&visit.site.rooms().accounts, login).await? {
        Ok((tokens, _)) => {
            let cookie = visit
                .site
                .session_cookie()
                .start(&tokens.access, tokens.expires_in)
                .ok_or(ApiError::Internal)?;
            let mut response = see_other(&next);
            response.headers_mut().insert(SET_COOKIE, cookie);
            Ok(response)
        }
        Err(
            error @ (AccountsError::WrongCredentials
            | AccountsError::Wait { .. }
            | AccountsError::Busy
            | AccountsError::Field { .. }),
        ) => {
            let error = ApiError::from(error);
            let text = Some(sentence(&error));
            let mut response = show_form(&visit, username, next, error.status(), text).await?;
            if let Some(seconds) = error.retry_after() {
                response.headers_mut().insert(RETRY_AFTER, seconds.into());
            }
            Ok(response)
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn log_out(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let form = fields(&visit.headers, body).await?;
    let caller = visit.form_writer(form.first(CSRF_FIELD)).await?;
    if let Some(token) = caller.session {
        ask(&visit.site.rooms().accounts, Logout(token)).await??;
    }
    let mut response = see_other("/");
    response
        .headers_mut()
        .insert(SET_COOKIE, visit.site.session_cookie().end());
    Ok(response)
}

async fn show_form(
    visit: &Visit,
    username: String,
    next: String,
    status: StatusCode,
    error: Option<String>,
) -> Result<Response, ApiError> {
    let caller = visit.caller().await.unwrap_or_default();
    let view = LoginPage {
        chrome: chrome(visit, caller.as_ref()).await,
        username,
        next,
        signup: super::users::is_open(visit).await.unwrap_or(false),
        error,
    };
    Ok(page(view.html(), status, &own_csp(visit)))
}

pub(super) async fn about(visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.caller().await?;
    let options = visit.site.options();
    let view = AboutPage {
        chrome: chrome(&visit, caller.as_ref()).await,
        description: options.description.clone(),
        pod_id: options.pod_id.to_string(),
        version: options.version.clone(),
    };
    Ok(page(view.html(), StatusCode::OK, &own_csp(&visit)))
}
