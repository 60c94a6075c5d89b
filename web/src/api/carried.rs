//! Who carried a video: `videos/:id/carried`, where pages tell what they got and gave.

use std::sync::Arc;

use seedpod_actors::meter::messages::{Figures, GetFigures, Tell, Told};
use seedpod_actors::search::messages::VideoEntry;
use serde_json::json;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::videos::find;
use super::{body, json as json_answer};
use crate::body::{BodyStream, fields};
use crate::dto::Carried;
use crate::error::ApiError;
use crate::query::Query;
use crate::site::{Site, ask};
use crate::visit::{Visit, answer, visit};

pub(super) fn routes(site: &Site) -> BoxedFilter<(Response,)> {
    warp::path!("videos" / String / "carried")
        .and(warp::post())
        .and(visit(site.clone()))
        .and(body())
        .then(|id, visit, body| answer(tell(id, visit, body)))
        .boxed()
}

/// Takes what a page got from other viewers and from pods, and gave, in bytes since it last told: `{"fromViewers","fromPods","given"}`, each
/// 0 when left out. Anybody may say anything, so it is believed within bounds and for display alone. Answered with the video's figures.
async fn tell(id: String, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let told = parse(&fields(&visit.headers, body).await?)?;
    let entry = find(&visit, &id).await?;
    let tell = Tell {
        video: entry.id,
        from: visit.client,
        told,
    };
    let figures = ask(&visit.site.rooms().meter, tell).await??;
    Ok(json_answer(&json!({ "carried": Carried::from(figures) })))
}

fn parse(fields: &Query) -> Result<Told, ApiError> {
    let bytes = |name| {
        fields
            .parsed(name, "a number of bytes")
            .map(Option::unwrap_or_default)
    };
    Ok(Told {
        from_viewers: bytes("fromViewers")?,
        from_pods: bytes("fromPods")?,
        given: bytes("given")?,
    })
}

/// Who carried each of some videos; zeros while the room does not answer.
pub(crate) async fn figures(site: &Site, entries: &[Arc<VideoEntry>]) -> Vec<Figures> {
    let videos = entries.iter().map(|entry| entry.id).collect();
    let mut figures = ask(&site.rooms().meter, GetFigures(videos))
        .await
        .unwrap_or_default();
    figures.resize(entries.len(), Figures::default());
    figures
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn what_is_told_is_bytes_or_refused() {
        let parse = |text| parse(&Query::parse(text).unwrap());
        let told = parse("fromViewers=7&given=18446744073709551615").unwrap();
        assert_eq!((told.from_viewers, told.from_pods, told.given), (7, 0, u64::MAX));
        for bad in [
            "fromViewers=-1",
            "fromPods=1.5",
            "given=18446744073709551616",
            "given=NaN",
            "fromPods=all",
        ] {
            assert_eq!(parse(bad).unwrap_err().status(), 400, "{bad}");
        }
    }
}
