//! Copies of friends' videos: what the network page shows of them, and its forms.

use seedpod_actors::mirrors::messages::{
    Bucket, BudgetEntry, CopyEntry, CopyState, GetCopy, KeepVideo, LetGo, ListMirrors, SetBudget,
};
use seedpod_actors::search::messages::VideoEntry;
use warp::reply::Response;

use super::network::administrators_form;
use super::see_other;
use crate::api::{find_video, parse_bucket};
use crate::body::BodyStream;
use crate::error::ApiError;
use crate::links::watch_path;
use crate::pages::{CopiesView, CopyBudget, CopyOffer, CopyReason, CopyRow, CopyStep};
use crate::site::ask;
use crate::visit::{Caller, Visit};

/// Bytes of the unit in which people give budgets here.
const GB: f64 = 1e9;
/// More than any disk holds, in that unit.
const MOST_GB: f64 = 1e9;

/// Everything for the page.
pub(super) async fn view(visit: &Visit) -> Result<CopiesView, ApiError> {
    let report = ask(&visit.site.rooms().mirrors, ListMirrors).await?;
    Ok(CopiesView {
        rows: report.copies.iter().map(row).collect(),
        budgets: report.budgets.into_iter().map(budget).collect(),
    })
}

fn row(entry: &CopyEntry) -> CopyRow {
    CopyRow {
        uuid: entry.video.to_string(),
        url: watch_path(&entry.video),
        title: entry.name.clone(),
        host: entry.host.clone(),
        reason: match entry.bucket {
            Bucket::Hand => CopyReason::Hand,
            Bucket::Friend(_) => CopyReason::Friend,
            Bucket::MostViewed => CopyReason::MostViewed,
        },
        state: match &entry.state {
            CopyState::Waiting => CopyStep::Waiting,
            CopyState::Fetching => CopyStep::Fetching,
            CopyState::Whole => CopyStep::Whole,
            CopyState::Stuck(why) => CopyStep::Stuck(why.clone()),
            CopyState::OverBudget => CopyStep::OverBudget,
        },
        size: entry.size,
        held: entry.held,
    }
}

fn budget(entry: BudgetEntry) -> CopyBudget {
    let (name, title) = match entry.bucket {
        Bucket::Hand => ("by-hand".to_owned(), "Chosen by hand".to_owned()),
        Bucket::MostViewed => ("most-viewed".to_owned(), "The most viewed".to_owned()),
        Bucket::Friend(pod) => {
            let name = pod.to_string();
            let host = entry.host.unwrap_or_else(|| name.clone());
            (name, format!("Everything of {host}"))
        }
    };
    CopyBudget {
        name,
        title,
        limit: entry.limit,
        used: entry.used,
        is_set: entry.is_set,
    }
}

/// Keeps a copy of a video, which is named by its id or the address of its page.
pub(super) async fn keep(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let (form, _) = administrators_form(&visit, body).await?;
    let typed = form.first("video").unwrap_or_default().trim();
    let id = typed.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let entry = find_video(&visit, id).await?;
    ask(&visit.site.rooms().mirrors, KeepVideo(entry.id)).await??;
    Ok(see_other("/network?done=kept#copies"))
}

/// The same for one video, from its own page.
pub(super) async fn keep_this(id: String, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    administrators_form(&visit, body).await?;
    let entry = find_video(&visit, &id).await?;
    ask(&visit.site.rooms().mirrors, KeepVideo(entry.id)).await??;
    Ok(see_other(&format!("{}?done=kept", watch_path(&entry.id))))
}

/// Keeps one video by hand no more, from its own page.
pub(super) async fn let_this_go(id: String, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    administrators_form(&visit, body).await?;
    let entry = find_video(&visit, &id).await?;
    ask(&visit.site.rooms().mirrors, LetGo(entry.id)).await??;
    Ok(see_other(&format!("{}?done=let-go", watch_path(&entry.id))))
}

/// What the page of a video says of its copy here, to whoever may keep one: nobody needs one of what is this pod's own.
pub(super) async fn of_video(
    visit: &Visit,
    entry: &VideoEntry,
    caller: Option<&Caller>,
) -> Result<Option<CopyOffer>, ApiError> {
    if entry.is_local || !caller.is_some_and(Caller::is_administrator) {
        return Ok(None);
    }
    let kept = ask(&visit.site.rooms().mirrors, GetCopy(entry.id)).await?;
    Ok(Some(CopyOffer {
        by_hand: kept.by_hand,
        copy: kept.copy.as_ref().map(row),
    }))
}

/// Keeps none by hand any more.
pub(super) async fn let_go(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let (form, _) = administrators_form(&visit, body).await?;
    let id = form
        .first("video")
        .unwrap_or_default()
        .parse()
        .map_err(|_| ApiError::field("video", "is no video id"))?;
    ask(&visit.site.rooms().mirrors, LetGo(id)).await??;
    Ok(see_other("/network?done=let-go#copies"))
}

/// Sets a budget in GB; left empty it is what the settings say, and of a friend nothing more.
pub(super) async fn set_budget(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let (form, _) = administrators_form(&visit, body).await?;
    let bucket = parse_bucket(form.first("bucket").unwrap_or_default(), &visit).await?;
    let bytes = match form.first("gb").map(str::trim) {
        None | Some("") => None,
        Some(text) => Some(parse_gb(text)?),
    };
    ask(&visit.site.rooms().mirrors, SetBudget { bucket, bytes }).await??;
    Ok(see_other("/network?done=budget#copies"))
}

fn parse_gb(text: &str) -> Result<u64, ApiError> {
    let gb = text
        .replace(',', ".")
        .parse::<f64>()
        .ok()
        .filter(|gb| (0.0..=MOST_GB).contains(gb));
    let gb = gb.ok_or_else(|| ApiError::field("gb", "is not a size in GB"))?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it was checked to lie between"
    )]
    Ok((gb * GB).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_taken_in_gb_and_nothing_else() {
        for (text, bytes) in [("10", 10_000_000_000), ("0,5", 500_000_000), ("0", 0)] {
            assert_eq!(parse_gb(text).ok(), Some(bytes));
        }
        for text in ["-1", "nan", "inf", "1e20", "ten"] {
            assert!(parse_gb(text).is_err(), "{text}");
        }
    }
}
