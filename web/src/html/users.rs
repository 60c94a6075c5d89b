//! Signing up, and the users for administrators.

use seedpod_actors::accounts::messages::{CountUsers, ListUsers, Login, Secret, UserSort};
use warp::http::StatusCode;
use warp::http::header::SET_COOKIE;
use warp::reply::Response;

use super::network::administrators_form;
use super::{chrome, own_csp, page, see_other, sentence};
use crate::api::{change_user, create_user, parse_number, sign_up};
use crate::body::{BodyStream, fields};
use crate::departures;
use crate::error::ApiError;
use crate::pages::{SignupPage, UserRow, UsersPage};
use crate::query::Query;
use crate::session;
use crate::site::{ask, ask_work};
use crate::visit::{Caller, Visit};

/// Users on a page.
const USERS: usize = 20;

pub(super) async fn signup(visit: Visit) -> Result<Response, ApiError> {
    show_signup(&visit, &Query::default(), StatusCode::OK, None).await
}

/// Takes somebody in, and logs them in.
pub(super) async fn signed_up(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let form = fields(&visit.headers, body).await?;
    // Nobody shall be logged in as somebody else by a page of another site.
    session::check_same_origin(&visit.headers, &visit.site.options().public_url)?;
    if let Err(error) = sign_up(&visit, &form).await {
        if error.status().is_server_error() {
            return Err(error);
        }
        return show_signup(&visit, &form, error.status(), Some(sentence(&error))).await;
    }
    let login = Login {
        from: visit.client,
        username: form.first("username").unwrap_or_default().to_owned(),
        password: Secret(form.first("password").unwrap_or_default().to_owned()),
    };
    let (tokens, _) = ask_work(&visit.site.rooms().accounts, login).await??;
    let cookie = visit
        .site
        .session_cookie()
        .start(&tokens.access, tokens.expires_in);
    let mut response = see_other("/?done=welcome");
    response
        .headers_mut()
        .insert(SET_COOKIE, cookie.ok_or(ApiError::Internal)?);
    Ok(response)
}

async fn show_signup(
    visit: &Visit,
    form: &Query,
    status: StatusCode,
    error: Option<String>,
) -> Result<Response, ApiError> {
    let options = visit.site.options();
    let caller = visit.caller().await.unwrap_or_default();
    let view = SignupPage {
        chrome: chrome(visit, caller.as_ref()).await,
        is_open: is_open(visit).await?,
        username: form.first("username").unwrap_or_default().to_owned(),
        email: form.first("email").unwrap_or_default().to_owned(),
        quota: options.user_quota,
        error,
    };
    Ok(page(view.html(), status, &own_csp(visit)))
}

/// Whether anybody may come in by themselves now.
pub(super) async fn is_open(visit: &Visit) -> Result<bool, ApiError> {
    let options = visit.site.options();
    let users = ask(&visit.site.rooms().accounts, CountUsers).await?;
    Ok(options.signup && options.max_users.is_none_or(|most| users < most))
}

pub(super) async fn list(visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.reader().await?;
    caller.require_administrator()?;
    show(&visit, &caller, StatusCode::OK, None).await
}

/// Makes a user.
pub(super) async fn made(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let (mut form, caller) = administrators_form(&visit, body).await?;
    if !form.has("videoQuota") {
        let quota = crate::dto::quota(visit.site.options().user_quota);
        form.push("videoQuota".to_owned(), quota.to_string())?;
    }
    let made = create_user(&visit.site, &form).await;
    answer(&visit, &caller, made.map(drop), "user-made").await
}

/// Changes what a user may do.
pub(super) async fn changed(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let (form, caller) = administrators_form(&visit, body).await?;
    let number = parse_number(form.first("id").unwrap_or_default())?;
    let changed = change_user(&visit.site, number, &form).await;
    answer(&visit, &caller, changed, "role-saved").await
}

/// Deletes a user with all they own.
pub(super) async fn deleted(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let (form, caller) = administrators_form(&visit, body).await?;
    let number = parse_number(form.first("id").unwrap_or_default())?;
    let deleted = departures::delete(&visit.site, number).await;
    answer(&visit, &caller, deleted, "user-deleted").await
}

/// Leads back to the list when it is done, and shows why when it is not.
async fn answer(
    visit: &Visit,
    caller: &Caller,
    outcome: Result<(), ApiError>,
    done: &str,
) -> Result<Response, ApiError> {
    match outcome {
        Ok(()) => Ok(see_other(&format!("/admin/users?done={done}"))),
        Err(error) if error.status().is_server_error() => Err(error),
        Err(error) => show(visit, caller, error.status(), Some(sentence(&error))).await,
    }
}

async fn show(
    visit: &Visit,
    caller: &Caller,
    status: StatusCode,
    error: Option<String>,
) -> Result<Response, ApiError> {
    let start = super::lists::start_of(&visit.query()?)?;
    let list = ListUsers {
        search: None,
        sort: UserSort::Number,
        descending: false,
        start,
        count: USERS,
    };
    let found = ask(&visit.site.rooms().accounts, list).await?;
    let rows: Vec<UserRow> = found
        .rows
        .iter()
        .map(|user| UserRow {
            id: user.number,
            username: user.username.clone(),
            email: user.email.clone(),
            role: user.role as u8,
            since: user.created_at.as_millis(),
            quota: user.video_quota,
            is_first: user.number == 1,
        })
        .collect();
    let options = visit.site.options();
    let view = UsersPage {
        chrome: chrome(visit, Some(caller)).await,
        pager: super::lists::pager("/admin/users", "", start, rows.len(), found.total),
        rows,
        total: found.total,
        signup: options.signup.then_some(options.max_users),
        error,
    };
    Ok(page(view.html(), status, &own_csp(visit)))
}
