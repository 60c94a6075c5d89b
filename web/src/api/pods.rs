//! Friends: who this pod is, whom it knows, and what its operator does about them.

use std::collections::HashSet;
use std::time::Duration;

use data_encoding::BASE64;
use seedpod_actors::catalog::messages::GetSync;
use seedpod_actors::friends::messages::{
    CreateInvite, Decide, Decision, FriendEntry, GetRounds, ListInvites, ListPods, MadeFriends, MakeFriends,
    Phase, QuitFriends, RemoveFriend, RevokeInvite,
};
use seedpod_actors::search::messages::GetProfile;
use seedpod_protocol::invite::SignedInvite;
use serde_json::{Value, json};
use url::Url;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::{body, done, json as json_answer, read};
use crate::body::{BodyStream, small};
use crate::dto::{self, state_name};
use crate::error::ApiError;
use crate::paging::{Paging, sort};
use crate::query::{Query, shorten};
use crate::site::{Site, ask, ask_work};
use crate::visit::{Visit, answer, visit};

/// The longest life of an invite that ends: ten years.
const MAX_INVITE_SECONDS: u64 = 10 * 365 * 24 * 60 * 60;

/// Most hosts asked at once.
const MAX_HOSTS: usize = 100;

/// Hosts that were checked: each is one, and none is there twice.
pub(crate) type Hosts = Vec<String>;

pub(super) fn routes(site: &Site) -> BoxedFilter<(Response,)> {
    let visit = visit(site.clone());
    let myself = warp::path!("pods" / "self")
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(myself(visit)));
    let list = warp::path!("pods")
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(list(visit)));
    let add = warp::path!("pods")
        .and(warp::post())
        .and(visit.clone())
        .and(body())
        .then(|visit, body| answer(add(visit, body)));
    let make = warp::path!("pods" / "make-friends")
        .and(warp::post())
        .and(visit.clone())
        .and(body())
        .then(|visit, body| answer(make_friends(visit, body)));
    let quit = warp::path!("pods" / "quit-friends")
        .and(warp::post())
        .and(visit.clone())
        .then(|visit| answer(quit_friends(visit)));
    let requests = warp::path!("pods" / "requests")
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(requests(visit)));
    let decide = warp::path!("pods" / "requests" / String / String)
        .and(warp::post())
        .and(visit.clone())
        .then(|number, decision, visit| answer(decide(number, decision, visit)));
    let remove = warp::path!("pods" / String)
        .and(warp::delete())
        .and(visit.clone())
        .then(|number, visit| answer(remove(number, visit)));
    let rounds = warp::path!("request-schedulers" / "stats")
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(rounds(visit)));
    let invites = warp::path!("pods" / "invites")
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(invites(visit)));
    let invite = warp::path!("pods" / "invites")
        .and(warp::post())
        .and(visit.clone())
        .and(body())
        .then(|visit, body| answer(invite(visit, body)));
    let revoke = warp::path!("pods" / "invites" / String)
        .and(warp::delete())
        .and(visit)
        .then(|number, visit| answer(revoke(number, visit)));
    let reading = myself
        .or(list)
        .unify()
        .or(requests)
        .unify()
        .or(rounds)
        .unify()
        .or(invites)
        .unify()
        .boxed();
    let changing = add
        .or(make)
        .unify()
        .or(quit)
        .unify()
        .or(decide)
        .unify()
        .or(remove)
        .unify()
        .or(invite)
        .unify()
        .or(revoke)
        .unify()
        .boxed();
    reading.or(changing).unify().boxed()
}

/// Who lives here, signed.
async fn myself(visit: Visit) -> Result<Response, ApiError> {
    let options = visit.site.options();
    let card = (options.card)();
    Ok(json_answer(&json!({
        "podId": options.pod_id.to_string(),
        "name": options.name,
        "version": options.version,
        "url": options.public_url,
        "addresses": card.addresses,
        "envelope": BASE64.encode(&card.envelope),
    })))
}

/// Friends; `state` asks for pods in another phase, or for `all`: for administrators alone, as who asked and who was refused
/// is nobody else's business.
async fn list(visit: Visit) -> Result<Response, ApiError> {
    let query = visit.query()?;
    let wanted: fn(Phase) -> bool = match query.text("state") {
        None | Some("friends") => |phase| phase == Phase::Friends,
        Some("all") => |_| true,
        Some("asking") => |phase| phase == Phase::Asking,
        Some("asked-us") => |phase| phase == Phase::AskedUs,
        Some("ended-by-them") => |phase| phase == Phase::EndedByThem,
        Some("ended-by-us") => |phase| phase == Phase::EndedByUs,
        Some("ejected") => |phase| phase == Phase::Ejected,
        Some("blocked") => |phase| phase == Phase::Blocked,
        Some(other) => {
            return Err(ApiError::field(
                "state",
                format!("`{}` is not `all` or one of {}", shorten(other), states()),
            ));
        }
    };
    if !matches!(query.text("state"), None | Some("friends")) {
        visit.reader().await?.require_administrator()?;
    }
    page(&visit, &query, wanted).await
}

fn states() -> String {
    [
        Phase::Friends,
        Phase::Asking,
        Phase::AskedUs,
        Phase::EndedByThem,
        Phase::EndedByUs,
        Phase::Ejected,
        Phase::Blocked,
    ]
    .map(state_name)
    .join(", ")
}

/// Pods that asked us and wait for an answer.
async fn requests(visit: Visit) -> Result<Response, ApiError> {
    visit.reader().await?.require_administrator()?;
    page(&visit, &visit.query()?, |phase| phase == Phase::AskedUs).await
}

/// When the next round is, and what friends have not acknowledged.
async fn rounds(visit: Visit) -> Result<Response, ApiError> {
    visit.reader().await?.require_administrator()?;
    let stats = ask(&visit.site.rooms().friends, GetRounds).await?;
    Ok(json_answer(&dto::rounds(&stats)))
}

/// All invites, newest first. They are secrets: whoever holds one comes in.
async fn invites(visit: Visit) -> Result<Response, ApiError> {
    visit.reader().await?.require_administrator()?;
    let paging = Paging::of(&visit.query()?)?;
    let cut = paging.cut(ask(&visit.site.rooms().friends, ListInvites).await?);
    let data: Vec<_> = cut.data.iter().map(dto::Invite::of).collect();
    Ok(json_answer(&json!({ "total": cut.total, "data": data })))
}

/// Makes an invite: `label`, `expiresIn` in seconds (absent or null: for ever), `uses` (absent: 1).
async fn invite(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    visit.administrator().await?;
    let create = asked_invite(&parse_json(&small(&visit.headers, body).await?)?)?;
    let made = ask_work(&visit.site.rooms().friends, create).await??;
    Ok(json_answer(&dto::Invite::of(&made)))
}

fn asked_invite(value: &Value) -> Result<CreateInvite, ApiError> {
    if !value.is_object() {
        return Err(ApiError::BadRequest("the body is not a JSON object".into()));
    }
    let label = match value.get("label") {
        None | Some(Value::Null) => String::new(),
        Some(label) => label
            .as_str()
            .ok_or_else(|| ApiError::field("label", "is not a text"))?
            .trim()
            .to_owned(),
    };
    let lasts = match value.get("expiresIn") {
        None | Some(Value::Null) => None,
        Some(seconds) => Some(
            seconds
                .as_u64()
                .filter(|seconds| (1..=MAX_INVITE_SECONDS).contains(seconds))
                .map(Duration::from_secs)
                .ok_or_else(|| ApiError::field("expiresIn", "is not a number of seconds up to ten years"))?,
        ),
    };
    let uses = match value.get("uses") {
        None | Some(Value::Null) => 1,
        Some(uses) => uses
            .as_u64()
            .and_then(|uses| u32::try_from(uses).ok())
            .ok_or_else(|| ApiError::field("uses", "is not a number"))?,
    };
    Ok(CreateInvite { label, lasts, uses })
}

async fn revoke(number: String, visit: Visit) -> Result<Response, ApiError> {
    visit.administrator().await?;
    let number = parse_number(&number)?;
    ask_work(&visit.site.rooms().friends, RevokeInvite(number)).await??;
    Ok(done())
}

async fn page(visit: &Visit, query: &Query, wanted: fn(Phase) -> bool) -> Result<Response, ApiError> {
    let paging = Paging::of(query)?;
    let keys = [
        ("id", Key::Id),
        ("host", Key::Host),
        ("score", Key::Score),
        ("createdAt", Key::CreatedAt),
    ];
    let (key, descending) = sort(query, &keys, (Key::Id, false))?;
    let rooms = visit.site.rooms();
    let mut entries = ask(&rooms.friends, ListPods).await?;
    entries.retain(|entry| wanted(entry.phase));
    order(&mut entries, key, descending);
    let cut = paging.cut(entries);
    let sync = ask(&rooms.catalog, GetSync).await?;
    let mut data = Vec::with_capacity(cut.data.len());
    for entry in &cut.data {
        let profile = ask(&rooms.search, GetProfile(entry.pod)).await?;
        data.push(dto::Pod::of(entry, profile.as_deref(), sync.get(&entry.pod)));
    }
    Ok(json_answer(&json!({ "total": cut.total, "data": data })))
}

#[derive(Clone, Copy)]
enum Key {
    Id,
    Host,
    Score,
    CreatedAt,
}

/// Sorts by a key; what is equal keeps the order of numbers.
fn order(entries: &mut [FriendEntry], key: Key, descending: bool) {
    entries.sort_by(|a, b| {
        let order = match key {
            Key::Id => a.number.cmp(&b.number),
            Key::Host => a.host.cmp(&b.host),
            Key::Score => a.score.cmp(&b.score),
            Key::CreatedAt => a.since.cmp(&b.since),
        };
        if descending { order.reverse() } else { order }.then(a.number.cmp(&b.number))
    });
}

async fn make_friends(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    visit.administrator().await?;
    let asked = asked_hosts(&small(&visit.headers, body).await?)?;
    let hosts = hosts_or_configured(&visit, asked)?;
    befriend(&visit, hosts, true).await?;
    Ok(done())
}

/// The hosts that were given, or those of the configuration.
pub(crate) fn hosts_or_configured(visit: &Visit, asked: Option<Hosts>) -> Result<Hosts, ApiError> {
    let configured = &visit.site.options().configured_friends;
    match asked {
        Some(hosts) => Ok(hosts),
        None if configured.is_empty() => {
            Err(ApiError::field("hosts", "are missing, and none are configured"))
        }
        None => parse_hosts(configured),
    }
}

/// Asks the friend list to make friends.
pub(crate) async fn befriend(
    visit: &Visit,
    hosts: Hosts,
    only_when_alone: bool,
) -> Result<MadeFriends, ApiError> {
    Ok(ask_work(
        &visit.site.rooms().friends,
        MakeFriends {
            hosts,
            only_when_alone,
        },
    )
    .await??)
}

async fn add(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    visit.administrator().await?;
    let value = parse_json(&small(&visit.headers, body).await?)?;
    let host = value
        .get("host")
        .and_then(Value::as_str)
        .ok_or_else(|| ApiError::field("host", "is missing"))?;
    check_made(&befriend(&visit, parse_hosts(&[host])?, false).await?)?;
    Ok(done())
}

/// Whether anything came of it, when there was something to come.
pub(crate) fn check_made(made: &MadeFriends) -> Result<(), ApiError> {
    match made.failed.first() {
        Some((host, cause)) if made.friends.is_empty() => {
            let host = if cause.contains(host.as_str()) {
                String::new()
            } else {
                format!("{host}: ")
            };
            Err(ApiError::BadGateway(format!(
                "no friendship came about: {host}{cause}"
            )))
        }
        _ => Ok(()),
    }
}

async fn quit_friends(visit: Visit) -> Result<Response, ApiError> {
    visit.administrator().await?;
    ask_work(&visit.site.rooms().friends, QuitFriends).await??;
    Ok(done())
}

async fn remove(number: String, visit: Visit) -> Result<Response, ApiError> {
    visit.administrator().await?;
    let number = parse_number(&number)?;
    ask_work(&visit.site.rooms().friends, RemoveFriend(number)).await??;
    Ok(done())
}

async fn decide(number: String, decision: String, visit: Visit) -> Result<Response, ApiError> {
    visit.administrator().await?;
    let decision = match decision.as_str() {
        "accept" => Decision::Accept,
        "refuse" => Decision::Refuse,
        "block" => Decision::Block,
        _ => {
            return Err(ApiError::NotFound(
                "a request is answered with accept, refuse or block".into(),
            ));
        }
    };
    let number = parse_number(&number)?;
    ask_work(&visit.site.rooms().friends, Decide { number, decision }).await??;
    Ok(done())
}

/// The number of an entry.
pub(crate) fn parse_number(text: &str) -> Result<u64, ApiError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| ApiError::field("id", format!("`{}` is not a number", shorten(text))))
}

fn parse_json(bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(json!({}));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::BadRequest(format!("the JSON body cannot be read: {error}")))
}

/// The hosts of a body; `None` if it names none.
fn asked_hosts(bytes: &[u8]) -> Result<Option<Hosts>, ApiError> {
    let value = parse_json(bytes)?;
    let object = value
        .as_object()
        .ok_or_else(|| ApiError::BadRequest("the body is not a JSON object".into()))?;
    let Some(hosts) = object.get("hosts") else {
        return Ok(None);
    };
    let hosts = hosts
        .as_array()
        .ok_or_else(|| ApiError::field("hosts", "is not an array"))?;
    let texts: Option<Vec<&str>> = hosts.iter().map(Value::as_str).collect();
    parse_hosts(&texts.ok_or_else(|| ApiError::field("hosts", "holds something that is not a text"))?)
        .map(Some)
}

/// Checks hosts: `host[:port]`, `http(s)://host[:port]` or the link of an invite, at least one, none twice.
pub(crate) fn parse_hosts<T: AsRef<str>>(texts: &[T]) -> Result<Hosts, ApiError> {
    if texts.is_empty() {
        return Err(ApiError::field("hosts", "names no host"));
    }
    if texts.len() > MAX_HOSTS {
        return Err(ApiError::field(
            "hosts",
            format!(
                "names {} hosts, at most {MAX_HOSTS} are asked at once",
                texts.len()
            ),
        ));
    }
    let mut places = HashSet::new();
    let mut hosts = Hosts::new();
    for text in texts {
        let text = text.as_ref().trim();
        let (host, place) = parse_host(text)
            .ok_or_else(|| ApiError::field("hosts", format!("`{}` is not a host", shorten(text))))?;
        if !places.insert(place) {
            return Err(ApiError::field(
                "hosts",
                format!("`{}` is there twice", shorten(text)),
            ));
        }
        hosts.push(host);
    }
    Ok(hosts)
}

/// A host in its normal form, and the place it names.
fn parse_host(text: &str) -> Option<(String, (String, u16))> {
    if SignedInvite::is_link(text) {
        let invite: SignedInvite = text.parse().ok()?;
        let (_, place) = parse_host(&invite.invite().url)?;
        return Some((invite.to_string(), place));
    }
    let (scheme, bare) = match text.split_once("://") {
        Some((scheme, bare))
            if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") =>
        {
            (Some(scheme.to_ascii_lowercase()), bare)
        }
        Some(_) => return None,
        None => (None, text),
    };
    let bare = if scheme.is_some() {
        bare.strip_suffix('/').unwrap_or(bare)
    } else {
        bare
    };
    // The parser forgives much: tabs, backslashes, a password. None of that is part of a host.
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if bare.is_empty() || bare.len() > 300 || !bare.chars().all(plain) || bare.ends_with(':') {
        return None;
    }
    // A scheme without a port of its own keeps the port that was written.
    let url = Url::parse(&format!("x://{bare}")).ok()?;
    let port = url.port();
    let url = Url::parse(&format!("http://{bare}")).ok()?;
    let name = url.host_str()?.to_owned();
    if port == Some(0) || name.starts_with('.') || name.contains("..") {
        return None;
    }
    let usual = if scheme.as_deref() == Some("http") {
        80
    } else {
        443
    };
    let host = port.map_or_else(|| name.clone(), |port| format!("{name}:{port}"));
    let host = scheme.map_or_else(|| host.clone(), |scheme| format!("{scheme}://{host}"));
    Some((host, (name, port.unwrap_or(usual))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn hosts(body: &str) -> Result<Option<Hosts>, ApiError> {
        asked_hosts(body.as_bytes())
    }

    #[test]
    fn hosts_are_taken_in_their_normal_form() {
        let asked = hosts(r#"{"hosts":["localhost:9002"," Pod.Example ","https://a.example:8443/","http://[::1]:9003","127.0.0.1:80","bücher.example"]}"#).unwrap().unwrap();
        assert_eq!(
            asked,
            [
                "localhost:9002",
                "pod.example",
                "https://a.example:8443",
                "http://[::1]:9003",
                "127.0.0.1:80",
                "xn--bcher-kva.example"
            ]
        );
    }

    #[test]
    fn an_invite_is_a_host_and_the_same_place_as_its_pod() {
        let invite = seedpod_protocol::invite::Invite {
            id: seedpod_protocol::invite::InviteId::from_bytes([1; 16]),
            url: "http://localhost:9002".into(),
            expires: None,
        };
        let key = seedpod_protocol::keys::PodKey::from_seed(&[2; 32]);
        let link = invite.sign(&key).unwrap().to_string();
        assert_eq!(
            parse_hosts(&[link.as_str()]).unwrap(),
            std::slice::from_ref(&link)
        );
        assert!(parse_hosts(&[link.as_str(), "http://localhost:9002"]).is_err());
        assert!(parse_hosts(&[link.replace("9002", "9003").as_str()]).is_err());
    }

    #[test]
    fn invites_are_asked_for_with_care() {
        let asked = |value: Value| asked_invite(&value);
        let plain = asked(json!({})).unwrap();
        assert_eq!((plain.label.as_str(), plain.lasts, plain.uses), ("", None, 1));
        let full = asked(json!({ "label": " x ", "expiresIn": 60, "uses": 3 })).unwrap();
        assert_eq!(
            (full.label.as_str(), full.lasts, full.uses),
            ("x", Some(Duration::from_secs(60)), 3)
        );
        for bad in [
            json!({ "label": 1 }),
            json!({ "expiresIn": 0 }),
            json!({ "expiresIn": "soon" }),
            json!({ "expiresIn": u64::MAX }),
            json!({ "uses": -1 }),
            json!({ "uses": "2" }),
            json!([]),
        ] {
            assert_eq!(asked(bad.clone()).unwrap_err().status(), 400, "{bad}");
        }
    }

    #[test]
    fn no_hosts_at_all_means_the_configured_ones() {
        for body in ["", "{}", "  \n", r#"{"other":1}"#] {
            assert_eq!(hosts(body).unwrap(), None, "{body}");
        }
    }

    #[test]
    fn bad_hosts_are_refused() {
        let bad = [
            r#"{"hosts":[]}"#,
            r#"{"hosts":"localhost:9002"}"#,
            r#"{"hosts":null}"#,
            r#"{"hosts":{}}"#,
            r#"{"hosts":[1]}"#,
            r#"{"hosts":[""]}"#,
            r#"{"hosts":["localhost:coucou"]}"#,
            r#"{"hosts":["localhost:"]}"#,
            r#"{"hosts":["localhost:99999"]}"#,
            r#"{"hosts":["localhost:0"]}"#,
            r#"{"hosts":["ftp://localhost"]}"#,
            r#"{"hosts":["http://localhost/path"]}"#,
            r#"{"hosts":["a b"]}"#,
            r#"{"hosts":["user@host"]}"#,
            r#"{"hosts":["http://"]}"#,
            r#"{"hosts":["host?x"]}"#,
            r#"{"hosts":[".."]}"#,
            r#"{"hosts":["a\\b"]}"#,
            "[]",
            "[\"localhost:9002\"]",
            "\"x\"",
            "{",
            "null",
        ];
        for body in bad {
            assert_eq!(hosts(body).unwrap_err().status(), 400, "{body}");
        }
    }

    #[test]
    fn a_host_that_is_there_twice_is_refused_in_any_spelling() {
        for pair in [
            ["localhost:9002", "localhost:9002"],
            ["localhost:9002", "http://LOCALHOST:9002/"],
            ["pod.example", "https://pod.example"],
            ["pod.example:443", "pod.example"],
        ] {
            assert_eq!(parse_hosts(&pair).unwrap_err().status(), 400, "{pair:?}");
        }
        assert!(parse_hosts(&["localhost:9002", "localhost:9003"]).is_ok());
        assert!(parse_hosts(&["http://pod.example", "https://pod.example"]).is_ok());
    }

    #[test]
    fn numbers_are_digits() {
        assert_eq!(parse_number("7").unwrap(), 7);
        for bad in ["", "x", "-1", "+1", "1.0", "undefined"] {
            assert_eq!(parse_number(bad).unwrap_err().status(), 400, "{bad}");
        }
    }
}
