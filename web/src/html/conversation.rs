//! Comments below a video, the forms that write, delete, hide and report, and the list of reports.

use futures::future::try_join_all;
use seedpod_actors::comments::messages::{
    CommentEntry, CommentKey, DeleteComment, Deleted, GetThread, ListHidden, ListThreads, MAX_REPLIES, Said,
    ShowComment, Standing, Thread, ThreadOrder,
};
use seedpod_actors::reports::messages::{Delivery, ListReports, ReportState};
use seedpod_actors::search::messages::VideoEntry;
use warp::http::StatusCode;
use warp::reply::Response;

use super::watch::{find, watch_page};
use super::{chrome, own_csp, page, see_other, sentence};
use crate::api::{
    decide_by, file_about, parse_comment, parse_reason, parse_reasons, parse_text, post_comment, reported,
    require_moderator, standing, subject,
};
use crate::body::{BodyStream, fields};
use crate::error::ApiError;
use crate::links;
use crate::pages::{CommentView, Comments, Removal, ReportRow, ReportsPage, ThreadView, Words};
use crate::paging::Paging;
use crate::query::Query;
use crate::session::CSRF_FIELD;
use crate::site::{ask, host_of};
use crate::visit::{Caller, Visit};

/// Threads on one page.
const THREADS: usize = 20;

/// Replies of a thread that are on the page; the others come when the thread is looked at alone.
const REPLIES: usize = 30;

/// Reports on one page.
const REPORTS: usize = super::lists::PAGE;

/// What somebody was about to say, and what was wrong with it.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) text: String,
    pub(super) error: Option<String>,
}

/// The comments of a watch page, as its query asks for them.
pub(super) async fn comments(
    visit: &Visit,
    entry: &VideoEntry,
    caller: Option<&Caller>,
    draft: Draft,
) -> Result<Comments, ApiError> {
    if !entry.video.comments_enabled {
        return Ok(Comments::default());
    }
    let query = visit.query().unwrap_or_default();
    let by_replies = query.first("order") == Some("replies");
    let start = Paging::of(&start_of(&query))?.start;
    let rooms = visit.site.rooms();
    let list = ListThreads {
        on: subject(entry),
        publisher: entry.video.owner.clone(),
        order: if by_replies {
            ThreadOrder::Replies
        } else {
            ThreadOrder::Time
        },
        descending: true,
        start,
        count: THREADS,
    };
    let alone = query
        .first("thread")
        .and_then(|thread| parse_comment(thread).ok());
    let found = ask(&rooms.comments, list).await??;
    let (shown, total) = (found.rows.len(), found.total);
    let whole = async |thread, replies| {
        let get = GetThread {
            on: subject(entry),
            publisher: String::new(),
            thread,
            replies,
        };
        ask(&rooms.comments, get).await?.map_err(ApiError::from)
    };
    let threads: Vec<Thread> = match alone {
        Some(thread) => whole(thread, MAX_REPLIES).await?.into_iter().collect(),
        None => {
            let threads = found.rows.into_iter().map(async |root| {
                let replies = Vec::new();
                if root.replies == 0 {
                    return Ok(Thread { root, replies });
                }
                // It may have gone since it was listed.
                let thread = whole(CommentKey::Id(root.id), REPLIES).await?;
                Ok::<_, ApiError>(thread.unwrap_or(Thread { root, replies }))
            });
            try_join_all(threads).await?
        }
    };
    let viewer = Viewer {
        entry,
        own_host: visit.site.host(),
        username: caller.map(|caller| caller.user.username.as_str()),
        standing: caller.map(|caller| standing(caller, entry)),
    };
    let hidden = match viewer.standing {
        Some(Standing::Moderator | Standing::Publisher) => {
            ask(&rooms.comments, ListHidden(subject(entry))).await??
        }
        _ => Vec::new(),
    };
    let path = links::watch_path(&entry.id);
    let link = |start: usize| {
        let order = if by_replies { "&order=replies" } else { "" };
        format!("{path}?comments={start}{order}#comments")
    };
    Ok(Comments {
        welcome: true,
        count: found.comments as u64,
        threads: threads.iter().map(|thread| viewer.thread(thread)).collect(),
        by_replies,
        draft: draft.text,
        error: draft.error,
        next: (alone.is_none() && start + shown < total).then(|| link(start + THREADS)),
        previous: (alone.is_none() && start > 0).then(|| link(start.saturating_sub(THREADS))),
        all: alone.map(|_| format!("{path}#comments")),
        hidden: hidden.iter().map(|entry| viewer.comment(entry, &[])).collect(),
    })
}

/// Where the list of threads begins: what cannot be read is the beginning.
fn start_of(query: &Query) -> Query {
    let start = query.first("comments").unwrap_or("0");
    Query::parse(&format!("start={start}"))
        .ok()
        .filter(|query| Paging::of(query).is_ok())
        .unwrap_or_default()
}

/// Who looks at the comments of which video.
struct Viewer<'a> {
    entry: &'a VideoEntry,
    own_host: &'a str,
    username: Option<&'a str>,
    standing: Option<Standing>,
}

impl Viewer<'_> {
    fn thread(&self, thread: &Thread) -> ThreadView {
        let replies = &thread.replies;
        ThreadView {
            first: self.comment(&thread.root, &[]),
            replies: replies.iter().map(|reply| self.comment(reply, replies)).collect(),
            more: u64::from(thread.root.replies).saturating_sub(replies.len() as u64),
        }
    }

    fn comment(&self, comment: &CommentEntry, beside: &[CommentEntry]) -> CommentView {
        let answered = comment.in_reply_to.and_then(|number| {
            let answered = beside.iter().find(|other| other.number == number)?;
            Some((answered.id.to_string(), name_of(answered.said.as_ref()?)))
        });
        CommentView {
            id: comment.number,
            uuid: comment.id.to_string(),
            at: comment.at.as_millis(),
            words: comment.said.as_ref().map(|said| self.words(said)),
            answers: answered,
        }
    }

    fn words(&self, said: &Said) -> Words {
        let host = match &said.profile {
            Some(profile) => host_of(&profile.url),
            None if said.is_local => self.own_host,
            None => "",
        };
        let elsewhere = (!said.is_local).then_some(host);
        Words {
            name: name_of(said),
            account_url: links::account_path(&said.owner, elsewhere),
            host: host.to_owned(),
            is_local: said.is_local,
            is_publisher: said.author == self.entry.origin && said.owner == self.entry.video.owner,
            text: said.text.clone(),
            removal: self.removal(said),
        }
    }

    /// What the room would do if this person wants a comment gone.
    fn removal(&self, said: &Said) -> Removal {
        let Some(standing) = self.standing else {
            return Removal::None;
        };
        let is_own = said.is_local && self.username == Some(said.owner.as_str());
        match standing {
            _ if is_own || said.is_local && standing == Standing::Moderator => Removal::Delete,
            Standing::Moderator | Standing::Publisher if self.entry.is_local => Removal::Hide,
            Standing::Moderator => Removal::HideHere,
            Standing::Publisher | Standing::User => Removal::None,
        }
    }
}

fn name_of(said: &Said) -> String {
    said.display_name.clone().unwrap_or_else(|| said.owner.clone())
}

/// The page, at its comments, with a word about what was done.
fn back(entry: &VideoEntry, word: &str, at: &str) -> Response {
    let path = links::watch_path(&entry.id);
    see_other(&format!("{path}?done={word}#{at}"))
}

/// Takes a comment from the page's form, and leads back to it. What cannot be taken stays in the form, with the reason.
pub(super) async fn commented(id: String, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let form = fields(&visit.headers, body).await?;
    let caller = visit.form_writer(form.first(CSRF_FIELD)).await?;
    let entry = find(&visit, &id).await?;
    let to = form.text("to").map(parse_comment).transpose()?;
    let written = match parse_text(&form) {
        Ok(text) => post_comment(&visit, &caller, &entry, text, to).await,
        Err(error) => Err(error),
    };
    match written {
        Ok(comment) => Ok(back(&entry, "commented", &format!("comment-{}", comment.id))),
        Err(error @ (ApiError::Field { .. } | ApiError::Wait { .. } | ApiError::Conflict(_))) => {
            let draft = Draft {
                text: form.first("text").unwrap_or_default().to_owned(),
                error: Some(sentence(&error)),
            };
            watch_page(&visit, &entry, Some(&caller), draft, error.status()).await
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn removed(id: String, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let form = fields(&visit.headers, body).await?;
    let caller = visit.form_writer(form.first(CSRF_FIELD)).await?;
    let entry = find(&visit, &id).await?;
    let delete = DeleteComment {
        on: subject(&entry),
        comment: parse_comment(form.first("id").unwrap_or_default())?,
        username: caller.user.username.clone(),
        standing: standing(&caller, &entry),
    };
    let word = match ask(&visit.site.rooms().comments, delete).await?? {
        Deleted::Removed => "uncommented",
        Deleted::Hidden | Deleted::HiddenHere => "hidden",
    };
    Ok(back(&entry, word, "comments"))
}

pub(super) async fn shown(id: String, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let form = fields(&visit.headers, body).await?;
    let caller = visit.form_writer(form.first(CSRF_FIELD)).await?;
    let entry = find(&visit, &id).await?;
    let show = ShowComment {
        on: subject(&entry),
        comment: parse_comment(form.first("id").unwrap_or_default())?,
        standing: standing(&caller, &entry),
    };
    ask(&visit.site.rooms().comments, show).await??;
    Ok(back(&entry, "shown", "comments"))
}

/// Takes a report of the video, or of a comment about it.
pub(super) async fn report(id: String, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let form = fields(&visit.headers, body).await?;
    let caller = visit.form_writer(form.first(CSRF_FIELD)).await?;
    let entry = find(&visit, &id).await?;
    let reason = parse_reason(form.first("reason"))?;
    let reasons = parse_reasons(form.all("predefinedReasons"))?;
    file_about(&visit, &caller, &id, form.text("comment"), reason, reasons).await?;
    Ok(back(&entry, "reported", "main"))
}

/// The reports, for those who moderate.
pub(super) async fn reports(visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.reader().await?;
    require_moderator(&caller)?;
    let query = visit.query()?;
    let all = query.first("show") == Some("all");
    let start = super::lists::start_of(&query)?;
    let list = ListReports {
        state: (!all).then_some(ReportState::Pending),
        number: None,
        ascending: false,
        start,
        count: REPORTS,
    };
    let found = ask(&visit.site.rooms().reports, list).await?;
    let rows = found.rows.iter().map(async |report| {
        let about = reported(&visit.site, report).await?;
        let comment = about.comment.as_ref().and_then(|comment| comment.said.as_ref());
        let video = about.video.as_deref();
        Ok::<_, ApiError>(ReportRow {
            id: report.number,
            reporter: report.reporter.clone(),
            host: about.home.as_deref().map(host_of).unwrap_or_default().to_owned(),
            is_local: report.pod == visit.site.options().pod_id,
            at: report.created_at.as_millis(),
            reason: report.reason.clone(),
            reasons: crate::constants::REASONS
                .iter()
                .filter(|(number, _)| report.reasons.contains(number))
                .filter_map(|(_, name)| crate::pages::REASONS.iter().find(|(known, _)| known == name))
                .map(|(_, words)| (*words).to_owned())
                .collect(),
            title: video.map(|video| video.video.name.clone()),
            url: video.map(|video| match report.comment {
                Some(comment) => format!("{}#comment-{comment}", links::watch_path(&video.id)),
                None => links::watch_path(&video.id),
            }),
            is_comment: report.comment.is_some(),
            words: comment.map(|said| said.text.clone()),
            state: match report.state {
                ReportState::Pending => 1,
                ReportState::Rejected => 2,
                ReportState::Accepted => 3,
            },
            note: report.note.clone(),
            delivery: match &report.delivery {
                Delivery::Here => None,
                Delivery::Delivered => Some("handed to the pod that published it".to_owned()),
                Delivery::Waiting => Some("on its way to the pod that published it".to_owned()),
                Delivery::Refused(text) => Some(format!("not taken by the pod that published it: {text}")),
            },
            same: report.same,
        })
    });
    let rows = try_join_all(rows).await?;
    let view = ReportsPage {
        chrome: chrome(&visit, Some(&caller)).await,
        pager: super::lists::pager(
            "/admin/reports",
            if all { "show=all" } else { "" },
            start,
            rows.len(),
            found.total,
        ),
        rows,
        all,
    };
    Ok(page(view.html(), StatusCode::OK, &own_csp(&visit)))
}

pub(super) async fn decided(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let form = fields(&visit.headers, body).await?;
    let caller = visit.form_writer(form.first(CSRF_FIELD)).await?;
    require_moderator(&caller)?;
    decide_by(&visit.site, form.first("id").unwrap_or_default(), &form).await?;
    let show = if form.first("show") == Some("all") {
        "show=all&"
    } else {
        ""
    };
    Ok(see_other(&format!("/admin/reports?{show}done=decided")))
}
