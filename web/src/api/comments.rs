//! Comments: `videos/:id/comment-threads`, `videos/:id/comments`.

use std::sync::Arc;

use seedpod_actors::comments::messages::{
    CommentEntry, CommentKey, CountComments, DeleteComment, GetThread, ListThreads, MAX_REPLIES, PostComment,
    ShowComment, Standing, Subject, ThreadOrder,
};
use seedpod_actors::search::messages::VideoEntry;
use seedpod_protocol::limits;
use serde_json::json;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::videos::find;
use super::{body, done, json as json_answer, read};
use crate::body::{BodyStream, fields};
use crate::dto;
use crate::error::ApiError;
use crate::paging::{Paging, sort};
use crate::query::{Query, shorten};
use crate::site::{Site, ask};
use crate::visit::{Caller, Visit, answer, visit};

/// What threads may be sorted by.
const SORTS: [(&str, ThreadOrder); 2] = [
    ("createdAt", ThreadOrder::Time),
    ("totalReplies", ThreadOrder::Replies),
];

pub(super) fn routes(site: &Site) -> BoxedFilter<(Response,)> {
    let visit = visit(site.clone());
    let list = warp::path!("videos" / String / "comment-threads")
        .and(read())
        .and(visit.clone())
        .then(|id, visit| answer(list(id, visit)));
    let begin = warp::path!("videos" / String / "comment-threads")
        .and(warp::post())
        .and(visit.clone())
        .and(body())
        .then(|id, visit, body| answer(write(id, None, visit, body)));
    let thread = warp::path!("videos" / String / "comment-threads" / String)
        .and(read())
        .and(visit.clone())
        .then(|id, thread, visit| answer(thread_of(id, thread, visit)));
    let reply = warp::path!("videos" / String / "comments" / String)
        .and(warp::post())
        .and(visit.clone())
        .and(body())
        .then(|id, comment, visit, body| answer(write(id, Some(comment), visit, body)));
    let delete = warp::path!("videos" / String / "comments" / String)
        .and(warp::delete())
        .and(visit.clone())
        .then(|id, comment, visit| answer(delete(id, comment, visit)));
    let approve = warp::path!("videos" / String / "comments" / String / "approve")
        .and(warp::post())
        .and(visit)
        .then(|id, comment, visit| answer(approve(id, comment, visit)));
    list.or(begin)
        .unify()
        .or(thread)
        .unify()
        .or(reply)
        .unify()
        .or(delete)
        .unify()
        .or(approve)
        .unify()
        .boxed()
}

async fn list(id: String, visit: Visit) -> Result<Response, ApiError> {
    let query = visit.query()?;
    let paging = Paging::of(&query)?;
    let (order, descending) = sort(&query, &SORTS, (ThreadOrder::Time, true))?;
    let entry = find(&visit, &id).await?;
    let list = ListThreads {
        on: subject(&entry),
        publisher: entry.video.owner.clone(),
        order,
        descending,
        start: paging.start,
        count: paging.count,
    };
    let page = match entry.video.comments_enabled {
        true => ask(&visit.site.rooms().comments, list).await??,
        false => Default::default(),
    };
    let data: Vec<_> = page.rows.iter().map(|row| comment(&visit, &entry, row)).collect();
    Ok(json_answer(&json!({
        "total": page.total,
        "totalNotDeletedComments": page.comments,
        "data": data,
    })))
}

async fn thread_of(id: String, thread: String, visit: Visit) -> Result<Response, ApiError> {
    let key = parse_comment(&thread)?;
    let entry = find(&visit, &id).await?;
    let get = GetThread {
        on: subject(&entry),
        publisher: entry.video.owner.clone(),
        thread: key,
        replies: MAX_REPLIES,
    };
    let missing = || {
        ApiError::NotFound(format!(
            "there is no thread `{}` about this video",
            shorten(&thread)
        ))
    };
    if !entry.video.comments_enabled {
        return Err(missing());
    }
    let found = ask(&visit.site.rooms().comments, get)
        .await??
        .ok_or_else(missing)?;
    let root = comment(&visit, &entry, &found.root);
    let replies = found.replies.iter();
    let replies = replies.map(|reply| (reply.in_reply_to, comment(&visit, &entry, reply)));
    Ok(json_answer(&dto::CommentTree::of(root, replies.collect())))
}

async fn write(id: String, to: Option<String>, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    let form = fields(&visit.headers, body).await?;
    let text = parse_text(&form)?;
    let to = to.as_deref().map(parse_comment).transpose()?;
    let entry = find(&visit, &id).await?;
    let written = post(&visit, &caller, &entry, text, to).await?;
    Ok(json_answer(
        &json!({ "comment": comment(&visit, &entry, &written) }),
    ))
}

async fn delete(id: String, comment: String, visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    let key = parse_comment(&comment)?;
    let entry = find(&visit, &id).await?;
    let delete = DeleteComment {
        on: subject(&entry),
        comment: key,
        username: caller.user.username.clone(),
        standing: standing(&caller, &entry),
    };
    ask(&visit.site.rooms().comments, delete).await??;
    Ok(done())
}

/// Shows a comment again that was hidden.
async fn approve(id: String, comment: String, visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    let key = parse_comment(&comment)?;
    let entry = find(&visit, &id).await?;
    let show = ShowComment {
        on: subject(&entry),
        comment: key,
        standing: standing(&caller, &entry),
    };
    ask(&visit.site.rooms().comments, show).await??;
    Ok(done())
}

fn comment(visit: &Visit, video: &VideoEntry, entry: &CommentEntry) -> dto::Comment {
    dto::Comment::of(entry, video, &visit.site.options().public_url)
}

/// Writes a comment of the caller, if comments are welcome.
pub(crate) async fn post(
    visit: &Visit,
    caller: &Caller,
    entry: &VideoEntry,
    text: String,
    to: Option<CommentKey>,
) -> Result<CommentEntry, ApiError> {
    if !entry.video.comments_enabled {
        return Err(ApiError::Conflict(
            "whoever published this video does not want comments".into(),
        ));
    }
    let post = PostComment {
        on: subject(entry),
        username: caller.user.username.clone(),
        text,
        to,
    };
    Ok(ask(&visit.site.rooms().comments, post).await??)
}

/// What comments about a video are about.
pub(crate) fn subject(entry: &VideoEntry) -> Subject {
    Subject {
        video: entry.id,
        origin: entry.origin,
    }
}

/// What the caller is to a video.
pub(crate) fn standing(caller: &Caller, entry: &VideoEntry) -> Standing {
    if caller.may_edit("") {
        Standing::Moderator
    } else if entry.is_local && caller.user.username == entry.video.owner {
        Standing::Publisher
    } else {
        Standing::User
    }
}

/// How many comments each of some videos has; none where they are not welcome, and while the room does not answer.
pub(crate) async fn counts(site: &Site, entries: &[Arc<VideoEntry>]) -> Vec<u64> {
    let subjects = entries.iter().map(|entry| subject(entry)).collect();
    let counts = ask(&site.rooms().comments, CountComments(subjects)).await;
    let mut counts = counts.unwrap_or_default();
    counts.resize(entries.len(), 0);
    let welcome = entries.iter().map(|entry| entry.video.comments_enabled);
    counts
        .into_iter()
        .zip(welcome)
        .map(|(count, welcome)| if welcome { count } else { 0 })
        .collect()
}

/// The name of a comment in an address: this pod's number, a uuid, or its short form.
pub(crate) fn parse_comment(text: &str) -> Result<CommentKey, ApiError> {
    let number = || {
        text.parse()
            .ok()
            .filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if let Some(number) = number() {
        return Ok(CommentKey::Number(number));
    }
    text.parse().map(CommentKey::Id).map_err(|_| {
        ApiError::field(
            "commentId",
            format!("`{}` is neither a number nor a uuid", shorten(text)),
        )
    })
}

/// What somebody wants to say, without the white space around it and with line ends of one kind.
pub(crate) fn parse_text(form: &Query) -> Result<String, ApiError> {
    let text = form
        .text("text")
        .ok_or_else(|| ApiError::field("text", "is missing"))?;
    let text = text.replace("\r\n", "\n");
    let length = text.chars().count();
    if length > limits::COMMENT_MAX {
        let problem = format!(
            "has {length} characters, at most {} are taken",
            limits::COMMENT_MAX
        );
        return Err(ApiError::field("text", problem));
    }
    if text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    {
        return Err(ApiError::field("text", "holds a control character"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn a_comment_is_named_by_number_or_uuid() {
        assert_eq!(parse_comment("7").unwrap(), CommentKey::Number(7));
        let id = "4a5e1e4b-aaab-8daf-8d8f-000000000000";
        assert!(matches!(parse_comment(id).unwrap(), CommentKey::Id(_)));
        for bad in [
            "",
            "-1",
            "+1",
            "x",
            "1.5",
            "99999999999999999999999",
            "4a5e1e4b-aaab-4daf-8d8f-000000000000",
        ] {
            assert_eq!(parse_comment(bad).unwrap_err().status(), 400, "{bad}");
        }
    }

    #[test]
    fn a_text_has_something_in_it_and_an_end() {
        let text = |text: &str| {
            let mut form = Query::default();
            form.push("text".into(), text.into()).unwrap();
            parse_text(&form)
        };
        assert_eq!(text("  a\r\nb\n ").unwrap(), "a\nb");
        assert_eq!(text("<script>").unwrap(), "<script>");
        for bad in ["", "  \n", "a\0b", &"x".repeat(10_001)] {
            assert_eq!(text(bad).unwrap_err().status(), 400);
        }
        assert!(text(&"ä".repeat(10_000)).is_ok());
    }
}
