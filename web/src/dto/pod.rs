//! Pods of the friend list.

use seedpod_actors::catalog::messages::FriendSync;
use seedpod_actors::friends::messages::{FriendEntry, Phase};
use seedpod_protocol::records::Profile;
use serde::Serialize;

use super::iso;

/// A pod of the friend list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pod {
    id: u64,
    pod_id: String,
    host: String,
    url: String,
    name: String,
    /// Empty if the pod does not say.
    email: String,
    score: u32,
    state: &'static str,
    created_at: String,
    connected: bool,
    in_sync: bool,
    last_heard: Option<String>,
    rtt_ms: Option<u32>,
    trouble: Option<String>,
    /// How far both have each other's records; absent until the pod was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    sync: Option<Synced>,
}

/// Counts of records.
#[derive(Debug, Serialize)]
pub(crate) struct Synced {
    /// Of the friend's own, those that we hold.
    held: u64,
    /// The friend's own.
    total: u64,
    /// Of ours, those that the friend holds.
    acknowledged: u64,
    /// Ours.
    own: u64,
}

impl Pod {
    /// The entry, with what the pod says about itself if that is known.
    pub(crate) fn of(entry: &FriendEntry, profile: Option<&Profile>, sync: Option<&FriendSync>) -> Self {
        Self {
            id: entry.number,
            pod_id: entry.pod.to_string(),
            host: entry.host.clone(),
            url: entry.url.clone(),
            name: profile.map_or_else(|| entry.host.clone(), |profile| profile.name.clone()),
            email: profile
                .and_then(|profile| profile.email.clone())
                .unwrap_or_default(),
            score: entry.score,
            state: state_name(entry.phase),
            created_at: iso(entry.since),
            connected: entry.connected,
            in_sync: entry.in_sync,
            last_heard: entry.last_heard.map(iso),
            rtt_ms: entry.rtt_ms,
            trouble: entry.trouble.clone(),
            sync: sync.map(|sync| Synced {
                held: sync.held,
                total: sync.total,
                acknowledged: sync.acknowledged,
                own: sync.own,
            }),
        }
    }
}

/// What the API calls a phase.
pub(crate) fn state_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Asking => "asking",
        Phase::AskedUs => "asked-us",
        Phase::Friends => "friends",
        Phase::EndedByThem => "ended-by-them",
        Phase::EndedByUs => "ended-by-us",
        Phase::Ejected => "ejected",
        Phase::Blocked => "blocked",
    }
}
