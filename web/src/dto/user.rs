//! Users: to others an account, to themselves more.

use seedpod_actors::accounts::messages::{Role, User};
use serde::Serialize;

use super::channel::NoPictures;
use super::{Channel, Labelled, iso};
use crate::links::Origin;

/// A bound in bytes as clients expect it: -1 means that there is none.
pub(crate) fn quota(bytes: Option<u64>) -> i64 {
    bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// A user as others see them.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountSummary {
    name: String,
    display_name: String,
    url: String,
    host: String,
    avatars: NoPictures,
}

impl AccountSummary {
    /// The account of a user at a pod.
    pub(crate) fn at(username: &str, origin: Origin<'_>) -> Self {
        Self {
            name: username.to_owned(),
            display_name: username.to_owned(),
            url: format!("{}/a/{username}", origin.url()),
            host: origin.host().to_owned(),
            avatars: [],
        }
    }

    /// The same under the name that the user goes by.
    #[must_use]
    pub(crate) fn called(mut self, display_name: &str) -> Self {
        display_name.clone_into(&mut self.display_name);
        self
    }
}

/// A user as they see themselves.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Me {
    id: u64,
    username: String,
    email: Option<String>,
    role: Labelled<u8>,
    /// Bytes; -1 means no limit.
    video_quota: i64,
    video_quota_daily: i64,
    nsfw_policy: &'static str,
    created_at: String,
    account: AccountSummary,
    video_channels: Vec<Channel>,
}

impl Me {
    /// The user with their channels. `own_url` is this pod's.
    pub(crate) fn of(user: &User, channels: Vec<Channel>, own_url: &str) -> Self {
        let role = match user.role {
            Role::Administrator => Labelled::new(0, "Administrator"),
            Role::Moderator => Labelled::new(1, "Moderator"),
            Role::User => Labelled::new(2, "User"),
        };
        Self {
            id: user.number,
            username: user.username.clone(),
            email: user.email.clone(),
            role,
            video_quota: quota(user.video_quota),
            video_quota_daily: -1,
            nsfw_policy: "display",
            created_at: iso(user.created_at),
            account: AccountSummary::at(&user.username, Origin::at(own_url)),
            video_channels: channels,
        }
    }
}
