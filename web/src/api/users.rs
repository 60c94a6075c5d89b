//! Users: the one who asks under `users/me`, and all of them for administrators.

use std::sync::Arc;
use std::time::Instant;

use seedpod_actors::accounts::messages::{
    AccountsError, CheckPassword, CreateUser, GetUser, ListUsers, Role, Secret, UpdateUser, User, UserPatch,
    UserSort,
};
use seedpod_actors::library::messages::UsageOf;
use seedpod_actors::search::messages::{ListChannels, VideoFilter};
use serde_json::json;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::pods::parse_number;
use super::videos::list_of;
use super::{body, done, json as json_answer, read};
use crate::body::{BodyStream, fields};
use crate::departures;
use crate::dto;
use crate::error::ApiError;
use crate::paging::{List, MAX_COUNT, Paging, sort};
use crate::query::Query;
use crate::session;
use crate::site::{Site, ask, ask_to_the_end, ask_work};
use crate::visit::{Caller, Visit, answer, visit};

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
    let own = me.or(videos).unify().or(usage).unify().boxed();
    own.or(changes_of_own(site)).unify().or(all(site)).unify().boxed()
}

/// What the user who asks changes about themselves.
fn changes_of_own(site: &Site) -> BoxedFilter<(Response,)> {
    let visit = visit(site.clone());
    let register = warp::path!("users" / "register")
        .and(warp::post())
        .and(visit.clone())
        .and(body())
        .then(|visit, body| answer(register(visit, body)));
    let update = warp::path!("users" / "me")
        .and(warp::put())
        .and(visit.clone())
        .and(body())
        .then(|visit, body| answer(update_me(visit, body)));
    let delete = warp::path!("users" / "me")
        .and(warp::delete())
        .and(visit)
        .then(|visit| answer(delete_me(visit)));
    register.or(update).unify().or(delete).unify().boxed()
}

/// What administrators do with users.
fn all(site: &Site) -> BoxedFilter<(Response,)> {
    let visit = visit(site.clone());
    let list = warp::path!("users")
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(list(visit)));
    let create = warp::path!("users")
        .and(warp::post())
        .and(visit.clone())
        .and(body())
        .then(|visit, body| answer(create(visit, body)));
    let one = warp::path!("users" / String)
        .and(read())
        .and(visit.clone())
        .then(|number, visit| answer(one(number, visit)));
    let update = warp::path!("users" / String)
        .and(warp::put())
        .and(visit.clone())
        .and(body())
        .then(|number, visit, body| answer(update(number, visit, body)));
    let delete = warp::path!("users" / String)
        .and(warp::delete())
        .and(visit)
        .then(|number, visit| answer(delete(number, visit)));
    list.or(create)
        .unify()
        .or(one)
        .unify()
        .or(update)
        .unify()
        .or(delete)
        .unify()
        .boxed()
}

/// Reads a field that has to be there.
fn required<'a>(form: &'a Query, name: &'static str) -> Result<&'a str, ApiError> {
    form.first(name)
        .ok_or_else(|| ApiError::field(name, "is missing"))
}

fn role(form: &Query) -> Result<Option<Role>, ApiError> {
    let role = |text: &str| match text {
        "0" => Ok(Role::Administrator),
        "1" => Ok(Role::Moderator),
        "2" => Ok(Role::User),
        _ => Err(ApiError::field(
            "role",
            "is not 0 (administrator), 1 (moderator) or 2 (user)",
        )),
    };
    form.first("role").map(role).transpose()
}

/// A bound in bytes; -1 stands for none.
fn quota(form: &Query) -> Result<Option<Option<u64>>, ApiError> {
    let Some(text) = form.first("videoQuota") else {
        return Ok(None);
    };
    if text == "-1" {
        return Ok(Some(None));
    }
    let bytes = text.parse().map_err(|_| {
        ApiError::field(
            "videoQuota",
            "is neither a number of bytes nor -1, which stands for no limit",
        )
    })?;
    Ok(Some(Some(bytes)))
}

/// Makes a user of the administrator's choice.
async fn create(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    visit.administrator().await?;
    let form = fields(&visit.headers, body).await?;
    let user = create_by(&visit.site, &form).await?;
    Ok(json_answer(
        &json!({ "user": { "id": user.number, "account": { "name": user.username } } }),
    ))
}

/// Makes a user as an administrator says.
pub(crate) async fn create_by(site: &Site, form: &Query) -> Result<Arc<User>, ApiError> {
    let missing = |name: &'static str| move || ApiError::field(name, "is missing");
    let create = CreateUser {
        username: required(form, "username")?.to_owned(),
        password: Secret(required(form, "password")?.to_owned()),
        email: Some(required(form, "email")?.to_owned()),
        role: role(form)?.ok_or_else(missing("role"))?,
        video_quota: quota(form)?.ok_or_else(missing("videoQuota"))?,
        limit: None,
    };
    Ok(ask_to_the_end(&site.rooms().accounts, create).await??)
}

async fn register(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let form = fields(&visit.headers, body).await?;
    sign_up(&visit, &form).await?;
    Ok(done())
}

/// Takes somebody in who comes by themselves, where the pod lets people come.
pub(crate) async fn sign_up(visit: &Visit, form: &Query) -> Result<(), ApiError> {
    let options = visit.site.options();
    if !options.signup {
        return Err(ApiError::Forbidden("this pod takes no registrations".into()));
    }
    let create = CreateUser {
        username: required(form, "username")?.to_owned(),
        password: Secret(required(form, "password")?.to_owned()),
        email: Some(required(form, "email")?.to_owned()),
        role: Role::User,
        video_quota: options.user_quota,
        limit: options.max_users,
    };
    let arrivals = visit.site.arrivals();
    let counted = arrivals.begin(visit.client, Instant::now());
    counted.map_err(|wait| ApiError::Wait {
        text: "too many registrations from your address, try again later".into(),
        seconds: wait.as_secs().max(1),
    })?;
    let created = ask_to_the_end(&visit.site.rooms().accounts, create).await;
    if !matches!(created, Ok(Ok(_))) {
        arrivals.take_back(visit.client);
    }
    created??;
    Ok(())
}

async fn list(visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.reader().await?;
    caller.require_administrator()?;
    let query = visit.query()?;
    let paging = Paging::of(&query)?;
    let keys = [
        ("id", UserSort::Number),
        ("username", UserSort::Username),
        ("createdAt", UserSort::Number),
    ];
    let (sort, descending) = sort(&query, &keys, (UserSort::Number, false))?;
    let list = ListUsers {
        search: query.text("search").map(str::to_owned),
        sort,
        descending,
        start: paging.start,
        count: paging.count,
    };
    let page = ask(&visit.site.rooms().accounts, list).await?;
    let own_url = &visit.site.options().public_url;
    let rows = page
        .rows
        .iter()
        .map(|user| dto::Me::of(user, Vec::new(), own_url));
    Ok(json_answer(&List {
        total: page.total,
        data: rows.collect(),
    }))
}

async fn one(number: String, visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.reader().await?;
    caller.require_administrator()?;
    let user = ask(&visit.site.rooms().accounts, GetUser(parse_number(&number)?)).await??;
    let channels = channels_of(&visit, &user).await?;
    let own_url = &visit.site.options().public_url;
    Ok(json_answer(&dto::Me::of(&user, channels, own_url)))
}

async fn update(number: String, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    visit.administrator().await?;
    let number = parse_number(&number)?;
    let form = fields(&visit.headers, body).await?;
    change(&visit.site, number, &form).await?;
    Ok(done())
}

/// Changes a user as an administrator says.
pub(crate) async fn change(site: &Site, number: u64, form: &Query) -> Result<(), ApiError> {
    let patch = UserPatch {
        password: form.first("password").map(|text| Secret(text.to_owned())),
        email: form.first("email").map(|text| Some(text.to_owned())),
        role: role(form)?,
        video_quota: quota(form)?,
    };
    let update = UpdateUser {
        number,
        patch,
        keep: None,
    };
    ask_to_the_end(&site.rooms().accounts, update).await??;
    Ok(())
}

async fn delete(number: String, visit: Visit) -> Result<Response, ApiError> {
    visit.administrator().await?;
    departures::delete(&visit.site, parse_number(&number)?).await?;
    Ok(done())
}

/// Changes the caller's address or password. Whoever found an open browser knows the session, and not the password: that one is
/// asked for.
async fn update_me(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    let form = fields(&visit.headers, body).await?;
    change_own(&visit, &caller, &form).await?;
    Ok(done())
}

/// Changes the caller's address or password, after asking for the present one.
pub(crate) async fn change_own(visit: &Visit, caller: &Caller, form: &Query) -> Result<(), ApiError> {
    let patch = UserPatch {
        password: form.first("password").map(|text| Secret(text.to_owned())),
        email: form.first("email").map(|text| Some(text.to_owned())),
        ..UserPatch::default()
    };
    if patch.password.is_none() && patch.email.is_none() {
        return Ok(());
    }
    let accounts = &visit.site.rooms().accounts;
    let check = CheckPassword {
        from: visit.client,
        username: caller.user.username.clone(),
        password: Secret(required(form, "currentPassword")?.to_owned()),
    };
    ask_work(accounts, check).await?.map_err(|error| match error {
        AccountsError::WrongCredentials => ApiError::field("currentPassword", "is wrong"),
        other => other.into(),
    })?;
    let bearer = session::bearer(&visit.headers).map(|token| Secret(token.to_owned()));
    let update = UpdateUser {
        number: caller.user.number,
        patch,
        keep: caller.session.clone().or(bearer),
    };
    ask_to_the_end(accounts, update).await??;
    Ok(())
}

async fn delete_me(visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    departures::delete(&visit.site, caller.user.number).await?;
    Ok(done())
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
