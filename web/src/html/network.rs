//! The network page and its forms.

use std::time::Duration;

use seedpod_actors::catalog::messages::{FriendSync, GetOtherStart, GetSync};
use seedpod_actors::friends::messages::{
    CreateInvite, Decide, Decision, FriendEntry, InviteEntry, InviteState, ListInvites, ListPods, Phase,
    QuitFriends, RemoveFriend, RevokeInvite,
};
use seedpod_actors::meter::messages::GetAllFigures;
use seedpod_actors::search::messages::{GetProfile, GetTotals, ListVideos, VideoFilter};
use warp::http::StatusCode;
use warp::reply::Response;

use super::lists::LATEST;
use super::{chrome, copies, own_csp, page as answer_page, see_other, sentence};
use crate::api::{befriend, check_made, hosts_or_configured, parse_hosts, parse_number};
use crate::body::{BodyStream, fields};
use crate::dto::reason_text;
use crate::error::ApiError;
use crate::pages::{
    FriendRow, FriendState, InviteRow, InvitedPage, NetworkPage, QrCode, RequestRow, ScoreNote,
};
use crate::query::Query;
use crate::session::CSRF_FIELD;
use crate::site::{ask, ask_work, host_of};
use crate::visit::{Caller, Visit};

/// The longest life of an invite that ends, in days.
const MOST_DAYS: u64 = 3650;

/// A form of this page, sent by an administrator from a page of this pod.
pub(super) async fn administrators_form(
    visit: &Visit,
    body: BodyStream,
) -> Result<(Query, Caller), ApiError> {
    let form = fields(&visit.headers, body).await?;
    let caller = visit.form_writer(form.first(CSRF_FIELD)).await?;
    caller.require_administrator()?;
    Ok((form, caller))
}

pub(super) async fn page(visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.caller().await?;
    show(&visit, caller.as_ref(), String::new(), StatusCode::OK, None).await
}

/// Makes friends with the hosts that were typed, one a line; with the configured ones if there are none.
pub(super) async fn make_friends(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let (form, caller) = administrators_form(&visit, body).await?;
    let typed = form.first("hosts").unwrap_or_default().to_owned();
    match try_to_make_friends(&visit, &typed).await {
        Ok(done) => Ok(see_other(&format!("/network?done={done}"))),
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

/// Makes friends, or at least asks; the word says which, for the notice.
async fn try_to_make_friends(visit: &Visit, typed: &str) -> Result<&'static str, ApiError> {
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
    let made = befriend(visit, hosts_or_configured(visit, typed)?, only_when_alone).await?;
    if made.friends.is_empty() && !made.failed.is_empty() {
        // Whose operator answers by hand is no friend yet, and nothing went wrong.
        let pods = ask(&visit.site.rooms().friends, ListPods).await?;
        let asking = |named: &str| {
            pods.iter()
                .filter(|pod| pod.phase == Phase::Asking)
                .any(|pod| pod.host == host_of(named) || pod.pod.to_string() == named)
        };
        if made.failed.iter().all(|(named, _)| asking(named)) {
            return Ok("asked");
        }
    }
    check_made(&made)?;
    Ok("friends")
}

pub(super) async fn remove(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let (form, _) = administrators_form(&visit, body).await?;
    let number = parse_number(form.first("id").unwrap_or_default())?;
    ask_work(&visit.site.rooms().friends, RemoveFriend(number)).await??;
    Ok(see_other("/network?done=removed"))
}

/// Answers a pod that asked to be a friend.
pub(super) async fn decide(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let (form, _) = administrators_form(&visit, body).await?;
    let number = parse_number(form.first("id").unwrap_or_default())?;
    let (decision, done) = match form.first("decision").unwrap_or_default() {
        "accept" => (Decision::Accept, "accepted"),
        "refuse" => (Decision::Refuse, "refused"),
        "block" => (Decision::Block, "blocked"),
        _ => return Err(ApiError::field("decision", "is not accept, refuse or block")),
    };
    ask_work(&visit.site.rooms().friends, Decide { number, decision }).await??;
    Ok(see_other(&format!("/network?done={done}")))
}

/// Makes an invite.
pub(super) async fn invite(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let (form, caller) = administrators_form(&visit, body).await?;
    let number = |field: &'static str, usual: u64| match form.first(field).map(str::trim) {
        None | Some("") => Ok(usual),
        Some(text) => text
            .parse::<u64>()
            .map_err(|_| ApiError::field(field, "is not a number")),
    };
    let asked = || -> Result<CreateInvite, ApiError> {
        let days = number("days", 0)?;
        if days > MOST_DAYS {
            return Err(ApiError::field("days", format!("is more than {MOST_DAYS}")));
        }
        Ok(CreateInvite {
            label: form.first("label").unwrap_or_default().trim().to_owned(),
            lasts: (days > 0).then(|| Duration::from_secs(days * 24 * 60 * 60)),
            uses: u32::try_from(number("uses", 1)?).unwrap_or(u32::MAX),
        })
    };
    let made = match asked() {
        Ok(create) => ask_work(&visit.site.rooms().friends, create)
            .await?
            .map_err(ApiError::from),
        Err(error) => Err(error),
    };
    match made {
        Ok(_) => Ok(see_other("/network?done=invited#invites")),
        Err(error) if error.status().is_client_error() => {
            let status = error.status();
            show(
                &visit,
                Some(&caller),
                String::new(),
                status,
                Some(sentence(&error)),
            )
            .await
        }
        Err(error) => Err(error),
    }
}

/// Takes an invite back.
pub(super) async fn revoke(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let (form, _) = administrators_form(&visit, body).await?;
    let number = parse_number(form.first("id").unwrap_or_default())?;
    ask_work(&visit.site.rooms().friends, RevokeInvite(number)).await??;
    Ok(see_other("/network?done=revoked#invites"))
}

/// Where the link of an invite leads somebody who opens it in a browser. The invite itself is behind the `#`, which no
/// browser sends.
pub(super) async fn invited(visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.caller().await?;
    let view = InvitedPage {
        chrome: chrome(&visit, caller.as_ref()).await,
    };
    Ok(answer_page(view.html(), StatusCode::OK, &own_csp(&visit)))
}

pub(super) async fn quit(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    administrators_form(&visit, body).await?;
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
    let sync = ask(&rooms.catalog, GetSync).await?;
    let (mut friends, mut requests) = (Vec::new(), Vec::new());
    for entry in ask(&rooms.friends, ListPods).await? {
        if entry.phase == Phase::AskedUs {
            requests.push(RequestRow {
                id: entry.number.to_string(),
                pod_id: entry.pod.to_string(),
                host: entry.host,
                url: entry.url,
                since: entry.since.as_millis(),
            });
            continue;
        }
        let Some(state) = state_of(&entry, sync.get(&entry.pod)) else {
            continue;
        };
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
            note: entry.changed.as_ref().map(|change| ScoreNote {
                by: change.by,
                at: change.at.as_millis(),
                reason: reason_text(&change.reason),
            }),
            rtt_ms: entry.rtt_ms,
            version: entry.version,
            last_heard: entry.last_heard.map(|time| time.as_millis()),
        });
    }
    let options = visit.site.options();
    let is_admin = caller.is_some_and(Caller::is_administrator);
    let (invites, other_start) = if is_admin {
        let invites = ask(&rooms.friends, ListInvites).await?;
        (invites, ask(&rooms.catalog, GetOtherStart).await?)
    } else {
        (Vec::new(), None)
    };
    let copies = if is_admin {
        Some(copies::view(visit).await?)
    } else {
        None
    };
    let view = NetworkPage {
        chrome: chrome(visit, caller).await,
        copies,
        pod_id: options.pod_id.to_string(),
        friends,
        requests,
        invites: invites.iter().map(invite_row).collect(),
        is_twin: other_start.map(|other| other.is_twin),
        videos: totals.videos as u64,
        local_videos: totals.local_videos as u64,
        carried: ask(&rooms.meter, GetAllFigures).await?.into(),
        configured: options.configured_friends.clone(),
        hosts,
        error,
    };
    Ok(answer_page(view.html(), status, &own_csp(visit)))
}

/// An invite as the page shows it; one that lets nobody in has no link to hand on.
fn invite_row(invite: &InviteEntry) -> InviteRow {
    let open = invite.state == InviteState::Open;
    InviteRow {
        id: invite.number.to_string(),
        label: invite.label.clone(),
        link: open.then(|| invite.link.clone()),
        qr: open.then(|| QrCode::of(&invite.link)).flatten(),
        state: match invite.state {
            InviteState::Open => "Open",
            InviteState::UsedUp => "Used up",
            InviteState::Expired => "Expired",
        },
        uses: invite.uses,
        used: invite.used,
        expires: invite.expires.map(|time| time.as_millis()),
    }
}

/// How an entry is shown; those that wait for the operator are not friends yet and have their own list.
fn state_of(entry: &FriendEntry, sync: Option<&FriendSync>) -> Option<FriendState> {
    let trouble = || entry.trouble.clone().unwrap_or_default();
    Some(match entry.phase {
        Phase::Friends if !entry.lets_us_in => FriendState::LetUsGo { cause: trouble() },
        Phase::Friends if entry.connected => match sync {
            Some(sync) if sync.held < sync.total => FriendState::CatchingUp {
                have: sync.held,
                of: sync.total,
            },
            _ if entry.in_sync => FriendState::InSync,
            Some(sync) if sync.acknowledged < sync.own => FriendState::Telling {
                have: sync.acknowledged,
                of: sync.own,
            },
            _ => FriendState::CatchingUp { have: 0, of: 0 },
        },
        Phase::Friends => FriendState::Unreachable { cause: trouble() },
        Phase::Asking => FriendState::Waiting,
        Phase::EndedByThem => FriendState::Ended {
            cause: entry
                .cause
                .clone()
                .unwrap_or_else(|| "they ended the friendship".into()),
        },
        Phase::Ejected => FriendState::LetGo {
            cause: entry.cause.clone().unwrap_or_default(),
        },
        Phase::AskedUs | Phase::EndedByUs | Phase::Blocked => return None,
    })
}

#[cfg(test)]
mod tests {
    use seedpod_protocol::ids::Timestamp;
    use seedpod_protocol::keys::PodKey;

    use super::*;

    #[test]
    fn how_far_a_friend_is_is_said_in_words() {
        let mut entry = FriendEntry {
            number: 1,
            pod: PodKey::from_seed(&[2; 32]).id(),
            host: "localhost:9002".into(),
            url: "http://localhost:9002".into(),
            phase: Phase::Friends,
            score: 20,
            since: Timestamp::from_millis(1),
            connected: true,
            last_heard: None,
            rtt_ms: None,
            in_sync: true,
            trouble: None,
            lets_us_in: true,
            version: String::new(),
            cause: None,
            changed: None,
        };
        let words = |entry: &FriendEntry, held, acknowledged| {
            let sync = FriendSync {
                held,
                total: 340,
                acknowledged,
                own: 9,
            };
            state_of(entry, Some(&sync)).map(|state| state.words())
        };
        assert_eq!(words(&entry, 120, 9).as_deref(), Some("Catching up: 120 of 340"));
        assert_eq!(words(&entry, 340, 9).as_deref(), Some("In sync"));
        entry.in_sync = false;
        assert_eq!(
            words(&entry, 340, 5).as_deref(),
            Some("Catching up: it has 5 of our 9")
        );
        assert_eq!(words(&entry, 340, 9).as_deref(), Some("Catching up"));
        entry.connected = false;
        assert_eq!(words(&entry, 120, 5).as_deref(), Some("Unreachable"));
    }
}
