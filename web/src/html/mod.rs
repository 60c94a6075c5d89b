//! The pages, wired to the rooms: what [`crate::pages`] shows is collected here, and what its forms send is done here.
//!
//! A form answers with a redirect when it did something, so that loading again does nothing twice, and with its page and
//! the reason when it did not.

mod account;
mod conversation;
mod copies;
mod lists;
mod mine;
mod network;
mod upload;
mod users;
mod watch;

use std::convert::Infallible;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use seedpod_actors::friends::messages::{ListPods, Phase};
use seedpod_actors::meter::messages::Figures;
use warp::filters::BoxedFilter;
use warp::http::StatusCode;
use warp::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue, LOCATION};
use warp::reject::Rejection;
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::api::{body, read, refusal};
use crate::csp::Csp;
use crate::error::ApiError;
use crate::pages::{CarriedView, Chrome, ErrorPage, UserMenu};
use crate::session::csrf_token;
use crate::site::{Site, ask, now};
use crate::visit::{Caller, Visit, visit};

/// All pages. The last one answers every address that is none.
pub(crate) fn routes(site: &Site) -> BoxedFilter<(Response,)> {
    let visit = visit(site.clone());
    let get = |place: BoxedFilter<()>| place.and(read()).and(visit.clone());
    let get_one = |place: BoxedFilter<(String,)>| place.and(read()).and(visit.clone());
    let post = |place: BoxedFilter<()>| place.and(warp::post()).and(visit.clone()).and(body());
    let post_one = |place: BoxedFilter<(String,)>| place.and(warp::post()).and(visit.clone()).and(body());

    let lists = get(warp::path::end().boxed())
        .then(|visit: Visit| show(visit.clone(), lists::home(visit)))
        .or(get(warp::path!("search").boxed()).then(|visit: Visit| show(visit.clone(), lists::search(visit))))
        .unify()
        .or(get(warp::path!("about").boxed()).then(|visit: Visit| show(visit.clone(), account::about(visit))))
        .unify()
        .boxed();
    let watch = get_one(warp::path!("w" / String).boxed())
        .or(get_one(warp::path!("videos" / "watch" / String).boxed()))
        .unify()
        .then(|id, visit: Visit| show(visit.clone(), watch::watch(id, visit)))
        .or(get_one(warp::path!("videos" / "embed" / String).boxed())
            .then(|id, visit: Visit| show(visit.clone(), watch::embed(id, visit))))
        .unify()
        .or(post_one(warp::path!("w" / String / "rate").boxed())
            .then(|id, visit: Visit, body| show(visit.clone(), watch::rated(id, visit, body))))
        .unify()
        .or(post_one(warp::path!("w" / String / "keep").boxed())
            .then(|id, visit: Visit, body| show(visit.clone(), copies::keep_this(id, visit, body))))
        .unify()
        .or(post_one(warp::path!("w" / String / "let-go").boxed())
            .then(|id, visit: Visit, body| show(visit.clone(), copies::let_this_go(id, visit, body))))
        .unify()
        .or(post_one(warp::path!("w" / String / "comments").boxed())
            .then(|id, visit: Visit, body| show(visit.clone(), conversation::commented(id, visit, body))))
        .unify()
        .or(
            post_one(warp::path!("w" / String / "comments" / "remove").boxed())
                .then(|id, visit: Visit, body| show(visit.clone(), conversation::removed(id, visit, body))),
        )
        .unify()
        .or(post_one(warp::path!("w" / String / "comments" / "show").boxed())
            .then(|id, visit: Visit, body| show(visit.clone(), conversation::shown(id, visit, body))))
        .unify()
        .or(post_one(warp::path!("w" / String / "report").boxed())
            .then(|id, visit: Visit, body| show(visit.clone(), conversation::report(id, visit, body))))
        .unify()
        .boxed();
    let reports = get(warp::path!("admin" / "reports").boxed())
        .then(|visit: Visit| show(visit.clone(), conversation::reports(visit)))
        .or(post(warp::path!("admin" / "reports").boxed())
            .then(|visit: Visit, body| show(visit.clone(), conversation::decided(visit, body))))
        .unify()
        .boxed();
    let channels = get_one(warp::path!("c" / String).boxed())
        .then(|handle, visit: Visit| show(visit.clone(), lists::channel(handle, visit)))
        .or(get_one(warp::path!("a" / String).boxed())
            .then(|handle, visit: Visit| show(visit.clone(), lists::account(handle, visit))))
        .unify()
        .boxed();
    let upload = get(warp::path!("upload").boxed())
        .then(|visit: Visit| show(visit.clone(), upload::form(visit)))
        .or(post(warp::path!("upload").boxed())
            .then(|visit: Visit, body| show(visit.clone(), upload::sent(visit, body))))
        .unify()
        .boxed();
    let mine = get(warp::path!("my" / "videos").boxed())
        .then(|visit: Visit| show(visit.clone(), mine::list(visit)))
        .or(get_one(warp::path!("my" / "videos" / String / "edit").boxed())
            .then(|id, visit: Visit| show(visit.clone(), mine::edit(id, visit))))
        .unify()
        .or(post_one(warp::path!("my" / "videos" / String / "edit").boxed())
            .then(|id, visit: Visit, body| show(visit.clone(), mine::edited(id, visit, body))))
        .unify()
        .or(post_one(warp::path!("my" / "videos" / String / "delete").boxed())
            .then(|id, visit: Visit, body| show(visit.clone(), mine::delete(id, visit, body))))
        .unify()
        .boxed();
    let network = get(warp::path!("network").boxed())
        .then(|visit: Visit| show(visit.clone(), network::page(visit)))
        .or(post(warp::path!("network" / "make-friends").boxed())
            .then(|visit: Visit, body| show(visit.clone(), network::make_friends(visit, body))))
        .unify()
        .or(post(warp::path!("network" / "keep").boxed())
            .then(|visit: Visit, body| show(visit.clone(), copies::keep(visit, body))))
        .unify()
        .or(post(warp::path!("network" / "let-go").boxed())
            .then(|visit: Visit, body| show(visit.clone(), copies::let_go(visit, body))))
        .unify()
        .or(post(warp::path!("network" / "budget").boxed())
            .then(|visit: Visit, body| show(visit.clone(), copies::set_budget(visit, body))))
        .unify()
        .or(post(warp::path!("network" / "remove").boxed())
            .then(|visit: Visit, body| show(visit.clone(), network::remove(visit, body))))
        .unify()
        .or(post(warp::path!("network" / "decide").boxed())
            .then(|visit: Visit, body| show(visit.clone(), network::decide(visit, body))))
        .unify()
        .or(post(warp::path!("network" / "invite").boxed())
            .then(|visit: Visit, body| show(visit.clone(), network::invite(visit, body))))
        .unify()
        .or(post(warp::path!("network" / "revoke").boxed())
            .then(|visit: Visit, body| show(visit.clone(), network::revoke(visit, body))))
        .unify()
        .or(get(warp::path!("invite").boxed())
            .then(|visit: Visit| show(visit.clone(), network::invited(visit))))
        .unify()
        .or(post(warp::path!("network" / "quit").boxed())
            .then(|visit: Visit, body| show(visit.clone(), network::quit(visit, body))))
        .unify()
        .boxed();
    let account = get(warp::path!("login").boxed())
        .then(|visit: Visit| show(visit.clone(), account::login(visit)))
        .or(post(warp::path!("login").boxed())
            .then(|visit: Visit, body| show(visit.clone(), account::log_in(visit, body))))
        .unify()
        .or(post(warp::path!("logout").boxed())
            .then(|visit: Visit, body| show(visit.clone(), account::log_out(visit, body))))
        .unify()
        .boxed();
    let users = get(warp::path!("signup").boxed())
        .then(|visit: Visit| show(visit.clone(), users::signup(visit)))
        .or(post(warp::path!("signup").boxed())
            .then(|visit: Visit, body| show(visit.clone(), users::signed_up(visit, body))))
        .unify()
        .or(get(warp::path!("admin" / "users").boxed())
            .then(|visit: Visit| show(visit.clone(), users::list(visit))))
        .unify()
        .or(post(warp::path!("admin" / "users").boxed())
            .then(|visit: Visit, body| show(visit.clone(), users::made(visit, body))))
        .unify()
        .or(post(warp::path!("admin" / "users" / "role").boxed())
            .then(|visit: Visit, body| show(visit.clone(), users::changed(visit, body))))
        .unify()
        .or(post(warp::path!("admin" / "users" / "delete").boxed())
            .then(|visit: Visit, body| show(visit.clone(), users::deleted(visit, body))))
        .unify()
        .boxed();
    let nothing = read()
        .and(visit.clone())
        .then(|visit: Visit| show(visit.clone(), nothing(visit)));
    lists
        .or(watch)
        .unify()
        .or(reports)
        .unify()
        .or(channels)
        .unify()
        .or(upload)
        .unify()
        .or(mine)
        .unify()
        .or(network)
        .unify()
        .or(account)
        .unify()
        .or(users)
        .unify()
        .or(nothing)
        .unify()
        .boxed()
}

/// Runs a page's handler. Who has to log in first is led there and back; other errors have a page.
async fn show(visit: Visit, handler: impl Future<Output = Result<Response, ApiError>>) -> Response {
    match handler.await {
        Ok(response) => response,
        Err(ApiError::Unauthorized(_)) => {
            let next = utf8_percent_encode(&visit.path_and_query(), NON_ALPHANUMERIC).to_string();
            see_other(&format!("/login?next={next}"))
        }
        Err(error) => {
            let caller = visit.caller().await.unwrap_or_default();
            let chrome = chrome(&visit, caller.as_ref()).await;
            error_page(&visit, chrome, &error)
        }
    }
}

/// An address that is no page.
async fn nothing(_: Visit) -> Result<Response, ApiError> {
    Err(ApiError::NotFound("There is no page at this address.".into()))
}

/// What no route took: a method that an address does not know, most likely.
pub(crate) async fn turned_away(site: Site, rejection: Rejection) -> Result<Response, Infallible> {
    let error = refusal(&rejection);
    let chrome = Chrome {
        pod_name: site.options().name.clone(),
        host: site.host().to_owned(),
        user: None,
        friends: count_friends(&site).await,
        csrf: String::new(),
        assets: site.assets().urls(),
        search: String::new(),
        path: String::new(),
        notice: None,
        moment: String::new(),
        now: now().as_millis(),
    };
    let html = ErrorPage {
        chrome,
        status: error.status().as_u16(),
        detail: Some(sentence(&error)),
    }
    .html();
    Ok(page(
        html,
        error.status(),
        &Csp::of([site.options().public_url.as_str()]),
    ))
}

fn error_page(visit: &Visit, chrome: Chrome, error: &ApiError) -> Response {
    let html = ErrorPage {
        chrome,
        status: error.status().as_u16(),
        detail: Some(sentence(error)),
    }
    .html();
    page(html, error.status(), &own_csp(visit))
}

/// An error as a sentence of its own.
fn sentence(error: &ApiError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let mut text: String = letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect());
    if !text.ends_with(['.', '!', '?']) {
        text.push('.');
    }
    text
}

/// What all pages share. A room that does not answer leaves its part empty: the page itself may still be of use.
async fn chrome(visit: &Visit, caller: Option<&Caller>) -> Chrome {
    let site = &visit.site;
    let query = visit.query().unwrap_or_default();
    Chrome {
        pod_name: site.options().name.clone(),
        host: site.host().to_owned(),
        user: caller.map(|caller| UserMenu {
            username: caller.user.username.clone(),
            is_admin: caller.is_administrator(),
        }),
        friends: count_friends(site).await,
        csrf: caller
            .and_then(|caller| caller.session.as_ref())
            .map(csrf_token)
            .unwrap_or_default(),
        assets: site.assets().urls(),
        search: query.text("q").unwrap_or_default().to_owned(),
        path: visit.path_and_query(),
        notice: query.first("done").and_then(notice).map(str::to_owned),
        moment: visit.moment.clone(),
        now: now().as_millis(),
    }
}

/// How many friends there are; none while the room that knows does not answer.
async fn count_friends(site: &Site) -> usize {
    match ask(&site.rooms().friends, ListPods).await {
        Ok(pods) => pods.iter().filter(|pod| pod.phase == Phase::Friends).count(),
        Err(_) => 0,
    }
}

impl From<Figures> for CarriedView {
    fn from(figures: Figures) -> Self {
        Self {
            by_viewers: figures.by_viewers(),
            in_all: figures.in_all(),
        }
    }
}

/// What just happened, by the word that the redirect carries: never a text from the address itself.
fn notice(word: &str) -> Option<&'static str> {
    match word {
        "welcome" => Some("Welcome. What you upload is seen here and on all friends of this pod."),
        "user-made" => Some("The user is made, and can log in."),
        "role-saved" => Some("The role is saved, and counts from now on."),
        "user-deleted" => Some("The user is deleted, with all they published."),
        "edited" => Some("Your changes are saved and on their way to all friends."),
        "deleted" => Some(
            "The video was removed here and on all friends. What somebody already downloaded cannot be recalled.",
        ),
        "friends" => Some("Friends were made. Their videos arrive in a moment."),
        "asked" => Some("The pod was asked. You are friends as soon as whoever runs it accepts."),
        "accepted" => Some("You are friends now. Its videos arrive in a moment."),
        "refused" => Some("You said no. It may ask again."),
        "blocked" => Some("You said no for good: that pod cannot ask again."),
        "removed" => Some("That friendship is over; its videos have left."),
        "invited" => {
            Some("The invite is made. Hand its link to whoever runs the other pod; it works like a key.")
        }
        "revoked" => Some("Nobody comes in by that invite any more. Friendships that came of it stay."),
        "kept" => Some("A copy is on its way here. Viewers are served from it as soon as it is whole."),
        "let-go" => Some("No copy is kept by hand any more."),
        "budget" => Some("Noted. What fits is fetched, and what does not fit any more is let go."),
        "commented" => Some("Your comment is on its way to all friends."),
        "uncommented" => Some("The comment was deleted, here and on all friends."),
        "hidden" => Some("The comment is hidden. You can show it again below the comments."),
        "shown" => Some("The comment is shown again."),
        "reported" => Some(
            "Thank you. Only the people who run this pod and the one that published it will see your report.",
        ),
        "decided" => Some("Noted."),
        "quit" => Some("All friendships are over. This pod is on its own."),
        _ => None,
    }
}

/// The policy of a page that shows no video.
fn own_csp(visit: &Visit) -> Csp {
    let public = visit.site.options().public_url.as_str();
    let scheme = if visit.site.is_https() { "https" } else { "http" };
    let asked = visit
        .header(HOST.as_str())
        .map(|host| format!("{scheme}://{host}"))
        .unwrap_or_default();
    Csp::of([public, &asked])
}

/// A page as an answer.
fn page(html: String, status: StatusCode, csp: &Csp) -> Response {
    let mut response = warp::reply::html(html).into_response();
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    // Pages show who is logged in.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.extend(
        HeaderValue::from_str(&csp.header())
            .ok()
            .map(|policy| (CONTENT_SECURITY_POLICY, policy)),
    );
    response
}

/// Leads on after a form.
fn see_other(path: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    response
        .headers_mut()
        .extend(HeaderValue::from_str(path).ok().map(|path| (LOCATION, path)));
    response
}

/// A path of this pod to lead on to; anything else is the home page.
fn local_path(text: &str) -> &str {
    let plain = text.starts_with('/')
        && !text.starts_with("//")
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if plain { text } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_never_leaves_the_pod() {
        assert_eq!(local_path("/my/videos?start=24"), "/my/videos?start=24");
        for elsewhere in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a\r\nset-cookie: x",
            "/é",
            "evil",
        ] {
            assert_eq!(local_path(elsewhere), "/", "{elsewhere}");
        }
    }

    #[test]
    fn errors_read_as_sentences() {
        assert_eq!(
            sentence(&ApiError::field("name", "is missing")),
            "Name: is missing."
        );
        assert_eq!(
            sentence(&ApiError::NotFound("There is no page at this address.".into())),
            "There is no page at this address."
        );
    }

    #[test]
    fn a_notice_is_one_of_ours() {
        assert!(notice("edited").is_some());
        assert_eq!(notice("<script>"), None);
    }
}
