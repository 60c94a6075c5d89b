//! Copies of friends' videos: which there are, how far they are, and what they may take. For administrators.

use seedpod_actors::friends::messages::ListPods;
use seedpod_actors::mirrors::messages::{
    Bucket, BudgetEntry, CopyEntry, CopyState, KeepVideo, LetGo, ListMirrors, SetBudget,
};
use seedpod_protocol::ids::PodId;
use serde_json::{Value, json};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::videos::find;
use super::{body, done, json as json_answer, read};
use crate::body::{BodyStream, small};
use crate::error::ApiError;
use crate::paging::Paging;
use crate::query::shorten;
use crate::site::{Site, ask};
use crate::visit::{Visit, answer, visit};

pub(super) fn routes(site: &Site) -> BoxedFilter<(Response,)> {
    let visit = visit(site.clone());
    let list = warp::path!("mirrors")
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(list(visit)));
    let budgets = warp::path!("mirrors" / "budgets")
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(budgets(visit)));
    let set = warp::path!("mirrors" / "budgets" / String)
        .and(warp::put())
        .and(visit.clone())
        .and(body())
        .then(|bucket, visit, body| answer(set(bucket, visit, body)));
    let unset = warp::path!("mirrors" / "budgets" / String)
        .and(warp::delete())
        .and(visit.clone())
        .then(|bucket, visit| answer(unset(bucket, visit)));
    let keep = warp::path!("mirrors" / "videos" / String)
        .and(warp::put())
        .and(visit.clone())
        .then(|video, visit| answer(keep(video, visit)));
    let let_go = warp::path!("mirrors" / "videos" / String)
        .and(warp::delete())
        .and(visit)
        .then(|video, visit| answer(let_go(video, visit)));
    list.or(budgets)
        .unify()
        .or(set)
        .unify()
        .or(unset)
        .unify()
        .or(keep)
        .unify()
        .or(let_go)
        .unify()
        .boxed()
}

/// All copies.
async fn list(visit: Visit) -> Result<Response, ApiError> {
    visit.reader().await?.require_administrator()?;
    let paging = Paging::of(&visit.query()?)?;
    let report = ask(&visit.site.rooms().mirrors, ListMirrors).await?;
    let cut = paging.cut(report.copies);
    let data: Vec<Value> = cut.data.iter().map(copy).collect();
    Ok(json_answer(&json!({ "total": cut.total, "data": data })))
}

async fn budgets(visit: Visit) -> Result<Response, ApiError> {
    visit.reader().await?.require_administrator()?;
    let report = ask(&visit.site.rooms().mirrors, ListMirrors).await?;
    let data: Vec<Value> = report.budgets.iter().map(budget).collect();
    Ok(json_answer(&json!({ "total": data.len(), "data": data })))
}

fn copy(entry: &CopyEntry) -> Value {
    json!({
        "video": { "uuid": entry.video.to_string(), "shortUUID": entry.video.short(), "name": entry.name },
        "origin": { "podId": entry.origin.to_string(), "host": entry.host },
        "reason": reason(&entry.bucket),
        "state": entry.state.word(),
        "trouble": match &entry.state {
            CopyState::Stuck(why) => Some(why),
            _ => None,
        },
        "size": entry.size,
        "held": entry.held,
    })
}

fn budget(entry: &BudgetEntry) -> Value {
    json!({
        "name": match entry.bucket {
            Bucket::Friend(pod) => pod.to_string(),
            bucket => reason(&bucket).to_owned(),
        },
        "reason": reason(&entry.bucket),
        "host": entry.host,
        "limit": entry.limit,
        "used": entry.used,
        "isSet": entry.is_set,
    })
}

fn reason(bucket: &Bucket) -> &'static str {
    match bucket {
        Bucket::Hand => "by-hand",
        Bucket::Friend(_) => "friend",
        Bucket::MostViewed => "most-viewed",
    }
}

/// Keeps a copy of a friend's video. Doing it again changes nothing.
async fn keep(video: String, visit: Visit) -> Result<Response, ApiError> {
    visit.administrator().await?;
    let entry = find(&visit, &video).await?;
    ask(&visit.site.rooms().mirrors, KeepVideo(entry.id)).await??;
    Ok(done())
}

/// Keeps none by hand any more. The video need not be there: its origin may have removed it.
async fn let_go(video: String, visit: Visit) -> Result<Response, ApiError> {
    visit.administrator().await?;
    let id = video
        .parse()
        .map_err(|_| ApiError::field("id", format!("`{}` is no video id", shorten(&video))))?;
    ask(&visit.site.rooms().mirrors, LetGo(id)).await??;
    Ok(done())
}

/// Sets a budget in bytes: `{"bytes": …}`. The bucket is `by-hand`, `most-viewed`, or the id of a friend, of which everything is kept then.
async fn set(bucket: String, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    visit.administrator().await?;
    let value: Value = serde_json::from_slice(&small(&visit.headers, body).await?)
        .map_err(|_| ApiError::BadRequest("the body is not JSON".into()))?;
    let bytes = value
        .get("bytes")
        .and_then(Value::as_u64)
        .ok_or_else(|| ApiError::field("bytes", "is not a number of bytes"))?;
    change(&bucket, &visit, Some(bytes)).await
}

/// What the settings say from now on; of a friend nothing more.
async fn unset(bucket: String, visit: Visit) -> Result<Response, ApiError> {
    visit.administrator().await?;
    change(&bucket, &visit, None).await
}

async fn change(bucket: &str, visit: &Visit, bytes: Option<u64>) -> Result<Response, ApiError> {
    let bucket = parse_bucket(bucket, visit).await?;
    ask(&visit.site.rooms().mirrors, SetBudget { bucket, bytes }).await??;
    Ok(done())
}

/// `by-hand`, `most-viewed`, the id of a pod, or the host of one in the friend list.
pub(crate) async fn parse_bucket(text: &str, visit: &Visit) -> Result<Bucket, ApiError> {
    match text {
        "by-hand" => return Ok(Bucket::Hand),
        "most-viewed" => return Ok(Bucket::MostViewed),
        _ => {}
    }
    if let Ok(pod) = text.parse::<PodId>() {
        return Ok(Bucket::Friend(pod));
    }
    let pods = ask(&visit.site.rooms().friends, ListPods).await?;
    pods.iter()
        .find(|pod| pod.host == text)
        .map(|pod| Bucket::Friend(pod.pod))
        .ok_or_else(|| {
            ApiError::field(
                "bucket",
                format!("`{}` is not by-hand, most-viewed or a friend", shorten(text)),
            )
        })
}
