//! Channels.

use seedpod_actors::search::messages::ChannelEntry;
use serde::Serialize;

use super::{AccountSummary, iso};
use crate::links::Origin;

/// A picture list that is always empty: pods have no avatars yet.
pub(super) type NoPictures = [(); 0];

/// A channel beside a video.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChannelSummary {
    id: u64,
    uuid: String,
    name: String,
    display_name: String,
    url: String,
    host: String,
    avatars: NoPictures,
}

impl ChannelSummary {
    /// The summary of a channel. `own_url` is this pod's.
    pub(crate) fn of(entry: &ChannelEntry, own_url: &str) -> Self {
        let origin = origin(entry, own_url);
        Self {
            id: entry.number,
            uuid: entry.id.to_string(),
            name: entry.channel.name.clone(),
            display_name: entry.channel.display_name.clone(),
            url: format!("{}/c/{}", origin.url(), entry.channel.name),
            host: origin.host().to_owned(),
            avatars: [],
        }
    }
}

/// A channel on its own. The follower count is what some clients tell a channel by.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Channel {
    #[serde(flatten)]
    summary: ChannelSummary,
    description: String,
    support: Option<String>,
    is_local: bool,
    pod_id: String,
    followers_count: u64,
    following_count: u64,
    banners: NoPictures,
    created_at: String,
    updated_at: String,
    owner_account: AccountSummary,
}

impl Channel {
    /// All of a channel. `own_url` is this pod's.
    pub(crate) fn of(entry: &ChannelEntry, own_url: &str) -> Self {
        Self {
            summary: ChannelSummary::of(entry, own_url),
            description: entry.channel.description.clone(),
            support: None,
            is_local: entry.is_local,
            pod_id: entry.origin.to_string(),
            followers_count: 0,
            following_count: 0,
            banners: [],
            created_at: iso(entry.channel.created_at),
            updated_at: iso(entry.channel.created_at),
            owner_account: AccountSummary::at(&entry.channel.owner, origin(entry, own_url)),
        }
    }
}

/// The pod of a channel; this one until the other's profile arrives.
fn origin<'a>(entry: &'a ChannelEntry, own_url: &'a str) -> Origin<'a> {
    Origin::at(entry.profile.as_ref().map_or(own_url, |profile| &profile.url))
}
