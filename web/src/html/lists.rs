//! Grids of videos: the home page, search results, the videos of a channel and of an account.

use seedpod_actors::search::messages::{ListChannels, ListVideos, Sort, SortKey, VideoEntry, VideoFilter};
use warp::http::StatusCode;
use warp::reply::Response;

use super::{chrome, own_csp, page};
use crate::api::find_channel;
use crate::error::ApiError;
use crate::links::{self, Origin};
use crate::pages::{ChannelPage, Filter, HomePage, Pager, VideoCard};
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

/// A channel and its public videos, newest first.
pub(super) async fn channel(handle: String, visit: Visit) -> Result<Response, ApiError> {
    let missing = |_| ApiError::NotFound("There is no such channel in this network.".into());
    let entry = find_channel(&visit, &handle).await.map_err(missing)?;
    let own_url = &visit.site.options().public_url;
    let host = entry.host().unwrap_or_else(|| visit.site.host()).to_owned();
    let filter = VideoFilter {
        channel: Some(entry.id),
        ..VideoFilter::default()
    };
    let base = links::channel_path(&entry).ok_or(ApiError::Unavailable)?;
    let (videos, pager) = cards(&visit, filter, &base, own_url).await?;
    let channel = &entry.channel;
    let owner_host = (!entry.is_local).then_some(host.as_str());
    let caller = visit.caller().await?;
    let view = ChannelPage {
        chrome: chrome(&visit, caller.as_ref()).await,
        title: channel.display_name.clone(),
        handle: format!("{}@{host}", channel.name),
        description: channel.description.clone(),
        owner: Some((
            channel.owner.clone(),
            links::account_path(&channel.owner, owner_host),
        )),
        host,
        is_local: entry.is_local,
        videos,
        pager,
    };
    Ok(page(view.html(), StatusCode::OK, &own_csp(&visit)))
}

/// An account and its public videos, newest first. Of a friend's accounts those are known that published something.
pub(super) async fn account(handle: String, visit: Visit) -> Result<Response, ApiError> {
    let handle = percent_encoding::percent_decode_str(&handle)
        .decode_utf8_lossy()
        .into_owned();
    let own_host = visit.site.host().to_owned();
    let (name, host) = match handle.split_once('@') {
        Some((name, host)) if host != own_host => (name, Some(host)),
        Some((name, _)) => (name, None),
        None => (handle.as_str(), None),
    };
    let filter = VideoFilter {
        account: Some(name.to_owned()),
        host: host.map(str::to_owned),
        is_local: Some(host.is_none()),
        ..VideoFilter::default()
    };
    let base = links::account_path(name, host);
    let (videos, pager) = cards(&visit, filter, &base, &visit.site.options().public_url).await?;
    let owned = ListChannels {
        owner: Some(name.to_owned()),
        start: 0,
        count: 1,
    };
    let known =
        pager.total > 0 || (host.is_none() && ask(&visit.site.rooms().search, owned).await?.total > 0);
    if !known {
        return Err(ApiError::NotFound(
            "There is no such account in this network, or it has published nothing.".into(),
        ));
    }
    let caller = visit.caller().await?;
    let view = ChannelPage {
        chrome: chrome(&visit, caller.as_ref()).await,
        title: name.to_owned(),
        handle: format!("{name}@{}", host.unwrap_or(&own_host)),
        host: host.unwrap_or(&own_host).to_owned(),
        is_local: host.is_none(),
        description: String::new(),
        owner: None,
        videos,
        pager,
    };
    Ok(page(view.html(), StatusCode::OK, &own_csp(&visit)))
}

/// One page of the videos that pass a filter, latest first.
async fn cards(
    visit: &Visit,
    filter: VideoFilter,
    base: &str,
    own_url: &str,
) -> Result<(Vec<VideoCard>, Pager), ApiError> {
    let start = start_of(&visit.query()?)?;
    let list = ListVideos {
        filter,
        sort: LATEST,
        start,
        count: PAGE,
    };
    let found = ask(&visit.site.rooms().search, list).await?;
    let videos: Vec<_> = found.rows.iter().map(|entry| card(entry, own_url)).collect();
    let pager = pager(base, "", start, videos.len(), found.total);
    Ok((videos, pager))
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
        channel_url: channel_url(entry),
        pod_host: origin.map(|origin| origin.host().to_owned()).unwrap_or_default(),
        is_local: entry.is_local,
        views: entry.tally.views,
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

/// The page of a video's channel, once the channel's record is here.
pub(super) fn channel_url(entry: &VideoEntry) -> Option<String> {
    entry.channel.as_deref().and_then(links::channel_path)
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
