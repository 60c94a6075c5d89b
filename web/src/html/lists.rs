//! The home page and the page of search results.

use seedpod_actors::search::messages::{ListVideos, Sort, SortKey, VideoEntry, VideoFilter};
use warp::http::StatusCode;
use warp::reply::Response;

use super::{chrome, own_csp, page};
use crate::error::ApiError;
use crate::links::{self, Origin};
use crate::pages::{Filter, HomePage, Pager, VideoCard};
use crate::query::Query;
use crate::site::ask;
use crate::visit::Visit;

/// Videos on one page: whole rows of two, three and four.
pub(super) const PAGE: usize = 24;
/// Latest first.
pub(super) const LATEST: Sort = Sort {
    key: SortKey::PublishedAt,
    descending: true,
};

pub(super) async fn home(visit: Visit) -> Result<Response, ApiError> {
    let query = visit.query()?;
    let filter = Filter::parse(query.first("from").unwrap_or_default());
    grid(&visit, &query, filter, None).await
}

pub(super) async fn search(visit: Visit) -> Result<Response, ApiError> {
    let query = visit.query()?;
    let text = query.text("q").unwrap_or_default().to_owned();
    let filter = Filter::parse(query.first("from").unwrap_or_default());
    grid(&visit, &query, filter, Some(text)).await
}

async fn grid(
    visit: &Visit,
    query: &Query,
    filter: Filter,
    text: Option<String>,
) -> Result<Response, ApiError> {
    let start = start_of(query)?;
    let wanted = VideoFilter {
        text: text.clone().filter(|text| !text.is_empty()),
        is_local: match filter {
            Filter::All => None,
            Filter::Local => Some(true),
            Filter::Friends => Some(false),
        },
        ..VideoFilter::default()
    };
    let list = ListVideos {
        filter: wanted,
        sort: LATEST,
        start,
        count: PAGE,
    };
    let found = ask(&visit.site.rooms().search, list).await?;
    let own_url = &visit.site.options().public_url;
    let videos: Vec<_> = found.rows.iter().map(|entry| card(entry, own_url)).collect();

    let from = (filter != Filter::All).then_some(("from", filter.as_str()));
    let kept = text.as_deref().map(|text| ("q", text)).into_iter().chain(from);
    let kept = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(kept)
        .finish();
    let base = if text.is_some() { "/search" } else { "/" };
    let pager = pager(base, &kept, start, videos.len(), found.total);
    let caller = visit.caller().await?;
    let html = HomePage {
        chrome: chrome(visit, caller.as_ref()).await,
        filter,
        query: text,
        videos,
        pager,
    }
    .html();
    Ok(page(html, StatusCode::OK, &own_csp(visit)))
}

/// Which row a page begins with.
pub(super) fn start_of(query: &Query) -> Result<usize, ApiError> {
    Ok(query
        .parsed::<u32>("start", "a number")?
        .map_or(0, |start| start as usize))
}

/// The links around a page of rows `start` and following. `query` is what stays in the address.
pub(super) fn pager(base: &str, query: &str, start: usize, shown: usize, total: usize) -> Pager {
    let link = |start: usize| {
        let joint = if query.is_empty() { "" } else { "&" };
        match start {
            0 if query.is_empty() => base.to_owned(),
            0 => format!("{base}?{query}"),
            _ => format!("{base}?{query}{joint}start={start}"),
        }
    };
    let end = start + shown;
    Pager {
        previous: (start > 0).then(|| link(start.saturating_sub(PAGE))),
        next: (shown > 0 && end < total).then(|| link(end)),
        first: if shown == 0 { 0 } else { start as u64 + 1 },
        last: if shown == 0 { 0 } else { end as u64 },
        total: total as u64,
    }
}

/// A video as a card.
pub(super) fn card(entry: &VideoEntry, own_url: &str) -> VideoCard {
    let origin = Origin::of(entry, own_url);
    VideoCard {
        title: entry.video.name.clone(),
        url: links::watch_path(&entry.id),
        thumbnail: links::thumbnail_path(&entry.id, &entry.video),
        duration: u64::from(entry.video.duration),
        channel: channel_name(entry),
        pod_host: origin.map(|origin| origin.host().to_owned()).unwrap_or_default(),
        is_local: entry.is_local,
        views: 0,
        published_at: entry.video.published_at.as_millis(),
        nsfw: entry.video.nsfw,
    }
}

/// The name of a video's channel; of its author until the channel's record arrives.
pub(super) fn channel_name(entry: &VideoEntry) -> String {
    entry.channel.as_ref().map_or_else(
        || entry.video.owner.clone(),
        |channel| channel.channel.display_name.clone(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pagers_lead_back_and_on_and_keep_the_query() {
        let first = pager("/", "", 0, 24, 50);
        assert_eq!(
            (first.previous, first.next.as_deref()),
            (None, Some("/?start=24"))
        );
        assert_eq!((first.first, first.last, first.total), (1, 24, 50));
        let last = pager("/search", "q=a+b", 48, 2, 50);
        assert_eq!(
            (last.previous.as_deref(), last.next),
            (Some("/search?q=a+b&start=24"), None)
        );
        let second = pager("/search", "q=a", 24, 24, 50);
        assert_eq!(second.previous.as_deref(), Some("/search?q=a"));
        let beyond = pager("/", "", 100, 0, 50);
        assert_eq!((beyond.next, beyond.first, beyond.last), (None, 0, 0));
    }
}
