//! Channels: `video-channels`.

use seedpod_actors::accounts::messages::{CreateChannel, RemoveChannel, UpdateChannel};
use seedpod_actors::search::messages::{ChannelEntry, ChannelKey, GetChannel, ListChannels, VideoFilter};
use std::sync::Arc;

use seedpod_protocol::ids::ChannelId;
use serde_json::json;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::videos::list_of;
use super::{body, done, json as json_answer, read};
use crate::body::{BodyStream, fields};
use crate::departures;
use crate::dto;
use crate::error::ApiError;
use crate::paging::{List, Paging};
use crate::query::shorten;
use crate::site::{Site, ask, ask_to_the_end};
use crate::visit::{Caller, Visit, answer, visit};

pub(super) fn routes(site: &Site) -> BoxedFilter<(Response,)> {
    let visit = visit(site.clone());
    let list = warp::path!("video-channels")
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(list(visit)));
    let create = warp::path!("video-channels")
        .and(warp::post())
        .and(visit.clone())
        .and(body())
        .then(|visit, body| answer(create(visit, body)));
    let one = warp::path!("video-channels" / String)
        .and(read())
        .and(visit.clone())
        .then(|handle, visit| answer(one(handle, visit)));
    let videos = warp::path!("video-channels" / String / "videos")
        .and(read())
        .and(visit)
        .then(|handle, visit| answer(videos(handle, visit)));
    let changes = crate::visit::visit(site.clone());
    let update = warp::path!("video-channels" / String)
        .and(warp::put())
        .and(changes.clone())
        .and(body())
        .then(|handle, visit, body| answer(update(handle, visit, body)));
    let delete = warp::path!("video-channels" / String)
        .and(warp::delete())
        .and(changes)
        .then(|handle, visit| answer(delete(handle, visit)));
    list.or(create)
        .unify()
        .or(one)
        .unify()
        .or(videos)
        .unify()
        .or(update)
        .unify()
        .or(delete)
        .unify()
        .boxed()
}

/// A channel of this pod that the caller may change: their own, or any as a moderator.
async fn own(visit: &Visit, caller: &Caller, handle: &str) -> Result<Arc<ChannelEntry>, ApiError> {
    let entry = find(visit, handle).await?;
    if !entry.is_local {
        return Err(ApiError::Forbidden(
            "this channel belongs to another pod, and only that pod may change it".into(),
        ));
    }
    if !caller.may_edit(&entry.channel.owner) {
        return Err(ApiError::Forbidden(
            "this channel belongs to somebody else".into(),
        ));
    }
    Ok(entry)
}

async fn update(handle: String, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    let entry = own(&visit, &caller, &handle).await?;
    let form = fields(&visit.headers, body).await?;
    let mut channel = entry.channel.clone();
    if let Some(name) = form.first("displayName") {
        name.clone_into(&mut channel.display_name);
    }
    if let Some(description) = form.first("description") {
        description.clone_into(&mut channel.description);
    }
    let update = UpdateChannel {
        id: entry.id,
        channel,
    };
    ask(&visit.site.rooms().accounts, update).await??;
    Ok(done())
}

/// Removes a channel with its videos. The last one of a user stays, and its videos with it.
async fn delete(handle: String, visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    let entry = own(&visit, &caller, &handle).await?;
    let owner = entry.channel.owner.clone();
    let list = ListChannels {
        owner: Some(owner.clone()),
        start: 0,
        count: 2,
    };
    if ask(&visit.site.rooms().search, list).await?.total < 2 {
        return Err(ApiError::BadRequest(
            "the last channel of a user cannot be removed".into(),
        ));
    }
    let filter = VideoFilter {
        channel: Some(entry.id),
        owner: Some(owner.clone()),
        ..VideoFilter::default()
    };
    departures::remove_videos(&visit.site, &filter).await?;
    let remove = RemoveChannel { id: entry.id, owner };
    ask_to_the_end(&visit.site.rooms().accounts, remove).await??;
    Ok(done())
}

async fn list(visit: Visit) -> Result<Response, ApiError> {
    let paging = Paging::of(&visit.query()?)?;
    let page = ask(
        &visit.site.rooms().search,
        ListChannels {
            owner: None,
            start: paging.start,
            count: paging.count,
        },
    )
    .await?;
    let own_url = &visit.site.options().public_url;
    let data = page
        .rows
        .iter()
        .map(|entry| dto::Channel::of(entry, own_url))
        .collect();
    Ok(json_answer(&List {
        total: page.total,
        data,
    }))
}

async fn create(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    let form = fields(&visit.headers, body).await?;
    let required = |name: &'static str| {
        form.text(name)
            .map(str::to_owned)
            .ok_or_else(|| ApiError::field(name, "is missing"))
    };
    let channel = CreateChannel {
        username: caller.user.username.clone(),
        name: required("name")?,
        display_name: required("displayName")?,
        description: form.text("description").map(str::to_owned),
    };
    let rooms = visit.site.rooms();
    let record = ask(&rooms.accounts, channel).await??;
    let id = ChannelId::try_from(record.header().object).map_err(|error| ApiError::internal(&error))?;
    let entry = ask(&rooms.search, GetChannel(ChannelKey::Id(id)))
        .await?
        .ok_or(ApiError::Unavailable)?;
    Ok(json_answer(
        &json!({ "videoChannel": { "id": entry.number, "uuid": id.to_string(), "name": entry.channel.name } }),
    ))
}

async fn one(handle: String, visit: Visit) -> Result<Response, ApiError> {
    let entry = find(&visit, &handle).await?;
    Ok(json_answer(&dto::Channel::of(
        &entry,
        &visit.site.options().public_url,
    )))
}

async fn videos(handle: String, visit: Visit) -> Result<Response, ApiError> {
    let entry = find(&visit, &handle).await?;
    let mut filter = super::videos::filter_of(&visit.query()?)?;
    filter.channel = Some(entry.id);
    list_of(&visit, VideoFilter { ..filter }).await
}

/// The channel of a handle, `name` or `name@host`, of a uuid or of a number.
pub(crate) async fn find(visit: &Visit, text: &str) -> Result<Arc<ChannelEntry>, ApiError> {
    let text = percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned();
    let key = key_of(&text, visit.site.host());
    let found = ask(&visit.site.rooms().search, GetChannel(key)).await?;
    found.ok_or_else(|| ApiError::NotFound(format!("there is no channel `{}`", shorten(&text))))
}

/// What a text in the place of a channel's name means. A host that is this pod's is no host.
fn key_of(text: &str, own_host: &str) -> ChannelKey {
    if let Ok(id) = text.parse::<ChannelId>() {
        return ChannelKey::Id(id);
    }
    match text.split_once('@') {
        Some((name, host)) => ChannelKey::Handle {
            name: name.to_owned(),
            host: (host != own_host).then(|| host.to_owned()),
        },
        None => ChannelKey::Handle {
            name: text.to_owned(),
            host: None,
        },
    }
}

/// What a text in the field `channelId` means: a number of this pod, or a uuid.
pub(super) fn id_of(text: &str) -> Option<ChannelKey> {
    let number = text
        .parse()
        .ok()
        .filter(|_| text.len() <= 16)
        .map(ChannelKey::Number);
    number.or_else(|| text.parse().ok().map(ChannelKey::Id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_of_this_pod_need_no_host() {
        let here = ChannelKey::Handle {
            name: "root_channel".into(),
            host: None,
        };
        assert_eq!(key_of("root_channel", "localhost:9001"), here);
        assert_eq!(key_of("root_channel@localhost:9001", "localhost:9001"), here);
        let there = ChannelKey::Handle {
            name: "root_channel".into(),
            host: Some("localhost:9002".into()),
        };
        assert_eq!(key_of("root_channel@localhost:9002", "localhost:9001"), there);
    }

    #[test]
    fn a_channel_id_is_a_number_or_a_uuid() {
        assert_eq!(id_of("7"), Some(ChannelKey::Number(7)));
        assert!(matches!(
            id_of("00000000-0000-8000-8000-000000000001"),
            Some(ChannelKey::Id(_))
        ));
        for bad in ["", "-1", "x", "1.5", "99999999999999999999999"] {
            assert_eq!(id_of(bad), None, "{bad}");
        }
    }
}
