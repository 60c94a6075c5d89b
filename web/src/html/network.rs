//! The network page and its forms.

use seedpod_actors::friends::messages::{FriendEntry, ListPods, Phase, QuitFriends, RemoveFriend};
use seedpod_actors::search::messages::{GetProfile, GetTotals, ListVideos, VideoFilter};
use warp::http::StatusCode;
use warp::reply::Response;

use super::lists::LATEST;
use super::{chrome, own_csp, page as answer_page, see_other, sentence};
use crate::api::{befriend, check_made, hosts_or_configured, parse_hosts, parse_number};
use crate::body::{BodyStream, fields};
use crate::error::ApiError;
use crate::pages::{FriendRow, FriendState, NetworkPage};
use crate::session::CSRF_FIELD;
use crate::site::{ask, ask_work};
use crate::visit::{Caller, Visit};

pub(super) async fn page(visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.caller().await?;
    show(&visit, caller.as_ref(), String::new(), StatusCode::OK, None).await
}

/// Makes friends with the hosts that were typed, one a line; with the configured ones if there are none.
pub(super) async fn make_friends(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let form = fields(&visit.headers, body).await?;
    let caller = visit.form_writer(form.first(CSRF_FIELD)).await?;
    caller.require_administrator()?;
    let typed = form.first("hosts").unwrap_or_default().to_owned();
    match try_to_make_friends(&visit, &typed).await {
        Ok(()) => Ok(see_other("/network?done=friends")),
        Err(error) if error.status() != StatusCode::INTERNAL_SERVER_ERROR => {
            show(
                &visit,
                Some(&caller),
                typed,
                error.status(),
                Some(sentence(&error)),
            )
            .await
        }
        Err(error) => Err(error),
    }
}

async fn try_to_make_friends(visit: &Visit, typed: &str) -> Result<(), ApiError> {
    let lines: Vec<&str> = typed
        .split(['\n', '\r', ',', ' '])
        .filter(|line| !line.is_empty())
        .collect();
    let typed = if lines.is_empty() {
        None
    } else {
        Some(parse_hosts(&lines)?)
    };
    // Whoever types a host knows what they want; the configured ones are for a pod that is alone.
    let only_when_alone = typed.is_none();
    check_made(&befriend(visit, hosts_or_configured(visit, typed)?, only_when_alone).await?)
}

pub(super) async fn remove(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let form = fields(&visit.headers, body).await?;
    visit
        .form_writer(form.first(CSRF_FIELD))
        .await?
        .require_administrator()?;
    let number = parse_number(form.first("id").unwrap_or_default())?;
    ask_work(&visit.site.rooms().friends, RemoveFriend(number)).await??;
    Ok(see_other("/network?done=removed"))
}

pub(super) async fn quit(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let form = fields(&visit.headers, body).await?;
    visit
        .form_writer(form.first(CSRF_FIELD))
        .await?
        .require_administrator()?;
    ask_work(&visit.site.rooms().friends, QuitFriends).await??;
    Ok(see_other("/network?done=quit"))
}

async fn show(
    visit: &Visit,
    caller: Option<&Caller>,
    hosts: String,
    status: StatusCode,
    error: Option<String>,
) -> Result<Response, ApiError> {
    let rooms = visit.site.rooms();
    let totals = ask(&rooms.search, GetTotals).await?;
    let mut friends = Vec::new();
    for entry in ask(&rooms.friends, ListPods).await? {
        let Some(state) = state_of(&entry) else { continue };
        let profile = ask(&rooms.search, GetProfile(entry.pod)).await?;
        let filter = VideoFilter {
            host: Some(entry.host.clone()),
            ..VideoFilter::default()
        };
        let videos = ask(
            &rooms.search,
            ListVideos {
                filter,
                sort: LATEST,
                start: 0,
                count: 0,
            },
        )
        .await?
        .total;
        friends.push(FriendRow {
            id: entry.number.to_string(),
            pod_id: entry.pod.to_string(),
            name: profile.map_or_else(|| entry.host.clone(), |profile| profile.name.clone()),
            host: entry.host,
            url: entry.url,
            state,
            videos: videos as u64,
            score: entry.score,
            last_heard: entry.last_heard.map(|time| time.as_millis()),
        });
    }
    let options = visit.site.options();
    let view = NetworkPage {
        chrome: chrome(visit, caller).await,
        pod_id: options.pod_id.to_string(),
        friends,
        videos: totals.videos as u64,
        local_videos: totals.local_videos as u64,
        configured: options.configured_friends.clone(),
        hosts,
        error,
    };
    Ok(answer_page(view.html(), status, &own_csp(visit)))
}

/// How an entry is shown; those that wait for the operator are not friends yet and have their own list.
fn state_of(entry: &FriendEntry) -> Option<FriendState> {
    let trouble = || entry.trouble.clone().unwrap_or_default();
    Some(match entry.phase {
        Phase::Friends if entry.connected && entry.in_sync => FriendState::InSync,
        Phase::Friends if entry.connected => FriendState::CatchingUp { have: 0, of: 0 },
        Phase::Friends => FriendState::Unreachable { cause: trouble() },
        Phase::Asking => FriendState::Waiting,
        Phase::EndedByThem => FriendState::Ended {
            cause: "they ended it".into(),
        },
        Phase::Ejected => FriendState::Ended {
            cause: "it could not be reached for too long".into(),
        },
        Phase::AskedUs | Phase::EndedByUs | Phase::Blocked => return None,
    })
}
