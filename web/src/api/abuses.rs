//! Reports of videos and comments, which PeerTube calls abuses: `abuses`, and the addresses of 2017 under `videos`.

use seedpod_actors::comments::messages::{CommentEntry, GetComment};
use seedpod_actors::reports::messages::{
    DecideReport, DeleteReport, FileReport, ListReports, ReportEntry, ReportState,
};
use seedpod_actors::search::messages::{GetProfile, GetVideo, VideoEntry, VideoKey};
use seedpod_protocol::limits;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::comments::{parse_comment, subject};
use super::videos::find;
use super::{body, done, json as json_answer, read};
use crate::body::{BodyStream, fields, small};
use crate::constants::REASONS;
use crate::dto;
use crate::error::ApiError;
use crate::paging::{List, Paging, sort};
use crate::query::{Query, shorten};
use crate::site::{Site, ask};
use crate::visit::{Caller, Visit, answer, visit};

/// The longest reason that people may give, in characters. Other pods may send longer ones.
pub(crate) const MAX_REASON: usize = 300;

pub(super) fn routes(site: &Site) -> BoxedFilter<(Response,)> {
    let visit = visit(site.clone());
    let list = warp::path!("abuses")
        .or(warp::path!("videos" / "abuse"))
        .unify()
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(list(visit)));
    let file = warp::path!("abuses")
        .and(warp::post())
        .and(visit.clone())
        .and(body())
        .then(|visit, body| answer(file(visit, body)));
    let file_2017 = warp::path!("videos" / String / "abuse")
        .and(warp::post())
        .and(visit.clone())
        .and(body())
        .then(|id, visit, body| answer(file_2017(id, visit, body)));
    let decide = warp::path!("abuses" / String)
        .and(warp::put())
        .and(visit.clone())
        .and(body())
        .then(|id, visit, body| answer(decide(id, visit, body)));
    let delete = warp::path!("abuses" / String)
        .and(warp::delete())
        .and(visit)
        .then(|id, visit| answer(delete(id, visit)));
    list.or(file)
        .unify()
        .or(file_2017)
        .unify()
        .or(decide)
        .unify()
        .or(delete)
        .unify()
        .boxed()
}

async fn list(visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.reader().await?;
    require_moderator(&caller)?;
    let query = visit.query()?;
    let paging = Paging::of(&query)?;
    let (_, descending) = sort(
        &query,
        &[("createdAt", ()), ("id", ()), ("state", ())],
        ((), true),
    )?;
    let list = ListReports {
        state: query.text("state").map(parse_state).transpose()?,
        number: query.parsed("id", "a number")?,
        ascending: !descending,
        start: paging.start,
        count: paging.count,
    };
    let page = ask(&visit.site.rooms().reports, list).await?;
    let mut data = Vec::with_capacity(page.rows.len());
    for report in &page.rows {
        data.push(reported(&visit.site, report).await?.dto(&visit.site));
    }
    Ok(json_answer(&List {
        total: page.total,
        data,
    }))
}

/// A report with what it is about.
pub(crate) struct Reported<'a> {
    pub(crate) report: &'a ReportEntry,
    pub(crate) video: Option<Arc<VideoEntry>>,
    pub(crate) comment: Option<CommentEntry>,
    /// The public URL of the reporter's pod, if it is known.
    pub(crate) home: Option<String>,
}

/// Looks up what a report is about.
pub(crate) async fn reported<'a>(site: &Site, report: &'a ReportEntry) -> Result<Reported<'a>, ApiError> {
    let rooms = site.rooms();
    let video = ask(&rooms.search, GetVideo(VideoKey::Id(report.video))).await?;
    let comment = match (&video, report.comment) {
        (Some(video), Some(id)) => {
            let get = GetComment {
                on: subject(video),
                comment: seedpod_actors::comments::messages::CommentKey::Id(id),
            };
            ask(&rooms.comments, get).await??
        }
        _ => None,
    };
    let home = match report.pod == site.options().pod_id {
        true => Some(site.options().public_url.clone()),
        false => ask(&rooms.search, GetProfile(report.pod))
            .await?
            .map(|profile| profile.url.clone()),
    };
    Ok(Reported {
        report,
        video,
        comment,
        home,
    })
}

impl Reported<'_> {
    fn dto(&self, site: &Site) -> dto::Report {
        let reported = dto::Reported {
            report: self.report,
            video: self.video.as_deref(),
            comment: self.comment.as_ref(),
            home: self.home.as_deref(),
        };
        dto::Report::of(&reported, &site.options().public_url)
    }
}

/// Takes what PeerTube's clients send: `{"reason": …, "video": {"id": …}, "comment": {"id": …}, "predefinedReasons": […]}`.
async fn file(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    let bytes = small(&visit.headers, body).await?;
    let object: Map<String, Value> = serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::BadRequest(format!("the JSON body cannot be read: {error}")))?;
    let reason = match object.get("reason") {
        Some(Value::String(reason)) => parse_reason(Some(reason))?,
        _ => parse_reason(None)?,
    };
    let reasons = match object.get("predefinedReasons") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(names)) => {
            let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
            parse_reasons(names.unwrap_or_else(|| vec![""]))?
        }
        Some(_) => return Err(ApiError::field("predefinedReasons", "is no list")),
    };
    let id_of = |name: &'static str| match object.get(name).map(|about| &about["id"]) {
        None => Ok(None),
        Some(Value::String(id)) => Ok(Some(id.clone())),
        Some(Value::Number(id)) => Ok(Some(id.to_string())),
        Some(_) => Err(ApiError::field(
            format!("{name}.id"),
            "is neither a number nor a uuid",
        )),
    };
    let comment = id_of("comment")?;
    let Some(video) = id_of("video")? else {
        // PeerTube's numbers of comments are unique by themselves; ours are asked for with their video.
        let problem = match comment {
            Some(_) => "is missing: name the video under which the comment is, too",
            None => "is missing: videos and comments can be reported",
        };
        return Err(ApiError::field("video", problem));
    };
    let filed = file_about(&visit, &caller, &video, comment.as_deref(), reason, reasons).await?;
    Ok(json_answer(&json!({ "abuse": { "id": filed } })))
}

async fn file_2017(id: String, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    let form = fields(&visit.headers, body).await?;
    let reason = parse_reason(form.first("reason"))?;
    file_about(&visit, &caller, &id, None, reason, Vec::new()).await?;
    Ok(done())
}

/// Files a report of the caller, and answers its number.
pub(crate) async fn file_about(
    visit: &Visit,
    caller: &Caller,
    video: &str,
    comment: Option<&str>,
    reason: String,
    reasons: Vec<u8>,
) -> Result<u64, ApiError> {
    let comment = comment.map(parse_comment).transpose()?;
    let entry = find(visit, video).await?;
    let rooms = visit.site.rooms();
    let comment = match comment {
        None => None,
        Some(comment) => {
            let get = GetComment {
                on: subject(&entry),
                comment,
            };
            let found = ask(&rooms.comments, get).await??;
            let missing = || ApiError::NotFound("there is no such comment about this video".into());
            Some(found.ok_or_else(missing)?.id)
        }
    };
    let file = FileReport {
        origin: entry.origin,
        video: entry.id,
        comment,
        username: caller.user.username.clone(),
        reason,
        reasons,
    };
    Ok(ask(&rooms.reports, file).await??)
}

async fn decide(id: String, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    require_moderator(&caller)?;
    let form = fields(&visit.headers, body).await?;
    decide_by(&visit.site, &id, &form).await?;
    Ok(done())
}

/// Sets the state and the note that a form or a JSON body names.
pub(crate) async fn decide_by(site: &Site, id: &str, form: &Query) -> Result<(), ApiError> {
    let decide = DecideReport {
        number: parse_number(id)?,
        state: form.text("state").map(parse_state).transpose()?,
        note: form
            .first("moderationComment")
            .map(|note| note.trim().replace("\r\n", "\n")),
    };
    Ok(ask(&site.rooms().reports, decide).await??)
}

async fn delete(id: String, visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    require_moderator(&caller)?;
    let number = parse_number(&id)?;
    ask(&visit.site.rooms().reports, DeleteReport(number)).await??;
    Ok(done())
}

/// Reports are for those who moderate.
pub(crate) fn require_moderator(caller: &Caller) -> Result<(), ApiError> {
    if caller.may_edit("") {
        return Ok(());
    }
    Err(ApiError::Forbidden(
        "only moderators and administrators of this pod may do this".into(),
    ))
}

fn parse_number(text: &str) -> Result<u64, ApiError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| ApiError::field("id", format!("`{}` is not a number", shorten(text))))
}

fn parse_state(text: &str) -> Result<ReportState, ApiError> {
    match text {
        "1" => Ok(ReportState::Pending),
        "2" => Ok(ReportState::Rejected),
        "3" => Ok(ReportState::Accepted),
        _ => Err(ApiError::field(
            "state",
            "is neither 1 (pending), 2 (rejected) nor 3 (accepted)",
        )),
    }
}

/// A reason in words: 2 to 300 characters.
pub(crate) fn parse_reason(text: Option<&str>) -> Result<String, ApiError> {
    let text = text.unwrap_or_default().trim().replace("\r\n", "\n");
    let length = text.chars().count();
    if !(limits::REASON_MIN..=MAX_REASON).contains(&length) {
        let problem = format!(
            "has {length} characters, expected {} to {MAX_REASON}",
            limits::REASON_MIN
        );
        return Err(ApiError::field("reason", problem));
    }
    if text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    {
        return Err(ApiError::field("reason", "holds a control character"));
    }
    Ok(text)
}

/// Reasons by their names.
pub(crate) fn parse_reasons<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<u8>, ApiError> {
    let number_of = |name: &str| {
        let found = REASONS.iter().find(|(_, known)| *known == name);
        found.map(|(number, _)| *number).ok_or_else(|| {
            ApiError::field(
                "predefinedReasons",
                format!("`{}` is none of them", shorten(name)),
            )
        })
    };
    let mut reasons: Vec<u8> = names.into_iter().map(number_of).collect::<Result<_, _>>()?;
    reasons.sort_unstable();
    reasons.dedup();
    Ok(reasons)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn a_reason_is_neither_empty_nor_a_book() {
        let length = |length: usize| parse_reason(Some(&"ä".repeat(length)));
        assert_eq!(
            [1, 2, 300, 301].map(|len| length(len).is_ok()),
            [false, true, true, false]
        );
        assert_eq!(parse_reason(None).unwrap_err().status(), 400);
        assert_eq!(parse_reason(Some("  x  ")).unwrap_err().status(), 400);
    }

    #[test]
    fn reasons_have_names() {
        assert_eq!(parse_reasons(["rights", "privacy", "rights"]).unwrap(), [4, 5]);
        assert_eq!(parse_reasons(["other"]).unwrap_err().status(), 400);
    }

    #[test]
    fn states_and_numbers_are_read_strictly() {
        assert_eq!(parse_state("3").unwrap(), ReportState::Accepted);
        assert!(parse_state("4").is_err() && parse_state("").is_err());
        assert!(parse_number("12").is_ok() && parse_number("+1").is_err() && parse_number("x").is_err());
    }
}
