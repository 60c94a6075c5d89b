//! The table of contents: every address of a pod, and where it is answered. Two are not here: [`crate::announce`] answers BitTorrent
//! clients before anybody looks into this table.

use std::convert::Infallible;

use hyper::upgrade::OnUpgrade;
use seedpod_actors::library::folder::PictureKind;
use warp::filters::BoxedFilter;
use warp::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use warp::http::{Method, StatusCode};
use warp::path::{FullPath, Tail};
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::api::read;
use crate::files::{assets, media, pictures, torrents};
use crate::metrics::{Answered, Part};
use crate::site::Site;
use crate::visit::{Visit, answer, visit};
use crate::{api, health, html, socket};

/// What other sites' pages may read of us: everything but pages, and never with our cookies.
const OPEN_TO_ALL: [&str; 4] = ["/api/", "/static/", "/lazy-static/", "/download/"];

/// All routes of a site.
pub(crate) fn routes(
    site: &Site,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + use<> {
    let all = preflight()
        .or(api::routes(site))
        .unify()
        .or(tracker(site))
        .unify()
        .or(media_files(site))
        .unify()
        .or(page_files(site))
        .unify()
        .or(watching(site))
        .unify()
        .or(html::routes(site))
        .unify()
        .boxed();
    let lost = site.clone();
    let answered = all
        .recover(move |rejection| html::turned_away(lost.clone(), rejection))
        .unify();
    let counting = site.clone();
    warp::path::full()
        .and(answered)
        .map(move |path: FullPath, mut response: Response| {
            let part = part_of(path.as_str());
            counting
                .metrics()
                .requests
                .get_or_create(&Answered::new(part, response.status()))
                .inc();
            finish(path.as_str(), &mut response);
            response
        })
}

/// `/tracker/socket`
fn tracker(site: &Site) -> BoxedFilter<(Response,)> {
    warp::path!("tracker" / "socket")
        .and(warp::get())
        .and(warp::ext::optional::<OnUpgrade>())
        .and(visit(site.clone()))
        .map(socket::upgrade)
        .boxed()
}

/// Media, torrents, pictures.
fn media_files(site: &Site) -> BoxedFilter<(Response,)> {
    let visit = visit(site.clone());
    let of_media = |place: BoxedFilter<(String,)>| place.and(read()).and(warp::method()).and(visit.clone());
    let seed = of_media(warp::path!("static" / "webseed" / String).boxed())
        .then(|name, method: Method, visit| answer(media::media(name, method, visit)));
    let save = of_media(warp::path!("download" / "videos" / String).boxed())
        .then(|name, method: Method, visit| answer(media::download(name, method, visit)));
    let torrent = warp::path!("static" / "torrents" / String)
        .or(warp::path!("lazy-static" / "torrents" / String))
        .unify()
        .and(read())
        .and(visit.clone())
        .then(|name, visit| answer(torrents::torrent(name, visit)));
    let save_torrent = warp::path!("download" / "torrents" / String)
        .and(read())
        .and(visit.clone())
        .then(|name, visit| answer(torrents::download(name, visit)));
    let picture = |folder: &'static str, kind: PictureKind| {
        warp::path("static")
            .or(warp::path("lazy-static"))
            .unify()
            .and(warp::path(folder))
            .and(warp::path::param())
            .and(warp::path::end())
            .and(read())
            .and(visit.clone())
            .then(move |name, visit| answer(pictures::picture(kind, name, visit)))
    };
    let pictures = picture("thumbnails", PictureKind::Thumbnail)
        .or(picture("previews", PictureKind::Preview))
        .unify();
    seed.or(save)
        .unify()
        .or(torrent)
        .unify()
        .or(save_torrent)
        .unify()
        .or(pictures)
        .unify()
        .boxed()
}

/// Style, scripts, and what browsers ask for by themselves.
fn page_files(site: &Site) -> BoxedFilter<(Response,)> {
    let visit = visit(site.clone());
    let below = |folder: &'static str| {
        warp::path(folder)
            .and(warp::path::tail())
            .and(read())
            .and(visit.clone())
    };
    let written =
        below("assets").then(|path: Tail, visit| answer(assets::written(path.as_str().to_owned(), visit)));
    let built = below("ui").then(|path: Tail, visit| answer(assets::built(path.as_str().to_owned(), visit)));
    let webtorrent = warp::path!("vendor" / "webtorrent" / String)
        .and(read())
        .and(visit.clone())
        .then(|name, visit| answer(assets::webtorrent(name, visit)));
    let worker = warp::path!("sw.min.js")
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(assets::service_worker(visit)));
    // The service worker answers these once it runs; before that they reach us and mean nothing.
    let stray = warp::path!("webtorrent" / ..)
        .and(read())
        .map(|| StatusCode::NO_CONTENT.into_response());
    let icon = warp::path!("favicon.ico")
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(assets::icon(visit)));
    let robots = warp::path!("robots.txt").and(read()).map(|| {
        "User-agent: *\nDisallow: /api/\nDisallow: /my/\nDisallow: /login\nAllow: /\n".into_response()
    });
    let scripts = built
        .or(webtorrent)
        .unify()
        .or(worker)
        .unify()
        .or(stray)
        .unify()
        .boxed();
    written
        .or(scripts)
        .unify()
        .or(icon)
        .unify()
        .or(robots)
        .unify()
        .boxed()
}

/// For those who watch the pod.
fn watching(site: &Site) -> BoxedFilter<(Response,)> {
    let visit = visit(site.clone());
    let healthy = warp::path!("healthz")
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(health::healthy(visit)));
    let ready = warp::path!("readyz")
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(health::ready(visit)));
    let metrics = warp::path!("metrics")
        .and(read())
        .and(visit)
        .then(|visit: Visit| answer(health::metrics(visit)));
    healthy.or(ready).unify().or(metrics).unify().boxed()
}

/// What a browser asks before a page of another site may ask us something.
fn preflight() -> BoxedFilter<(Response,)> {
    warp::options()
        .and(warp::path::full())
        .and_then(|path: FullPath| async move {
            if !is_open(path.as_str()) {
                return Err(warp::reject::not_found());
            }
            let mut response = StatusCode::NO_CONTENT.into_response();
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
            let allowed = "Range, Cache-Control, User-Agent, If-Range, If-None-Match, Authorization, Content-Type, X-Peertube-Video-Password, Content-Range, X-Upload-Content-Length, X-Upload-Content-Type, Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata, X-HTTP-Method-Override";
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed));
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
            api::greet_tus(path.as_str(), headers);
            Ok(response)
        })
        .boxed()
}

fn is_open(path: &str) -> bool {
    OPEN_TO_ALL.iter().any(|start| path.starts_with(start))
}

fn part_of(path: &str) -> Part {
    let files = [
        "/static/",
        "/lazy-static/",
        "/download/",
        "/assets/",
        "/ui/",
        "/vendor/",
        "/webtorrent/",
    ];
    if path.starts_with("/api/") {
        Part::Api
    } else if files.iter().any(|start| path.starts_with(start)) {
        Part::Files
    } else {
        Part::Pages
    }
}

/// What every answer carries.
fn finish(path: &str, response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    if is_open(path) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(
                "Content-Range, Accept-Ranges, Content-Length, ETag, Content-Disposition, Location, Range, Content-Location, Tus-Resumable, Tus-Version, Tus-Extension, Upload-Offset, Upload-Length, Upload-Expires",
            ),
        );
    }
}
