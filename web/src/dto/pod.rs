//! Pods of the friend list.

use seedpod_actors::catalog::messages::FriendSync;
use seedpod_actors::friends::messages::{
    FriendEntry, InviteEntry, InviteState, Phase, RoundStats, ScoreChange, ScoreReason,
};
use seedpod_protocol::records::Profile;
use serde::Serialize;
use serde_json::{Value, json};

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
    /// Empty while it is not known.
    version: String,
    /// Whether it takes this pod for a friend, as far as is known.
    lets_us_in: bool,
    /// Why the friendship is over.
    cause: Option<String>,
    score_change: Option<Change>,
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

/// When and why a score last moved.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    by: i64,
    at: String,
    reason: String,
}

impl Change {
    fn of(change: &ScoreChange) -> Self {
        Self {
            by: change.by,
            at: iso(change.at),
            reason: reason_text(&change.reason),
        }
    }
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
            version: entry.version.clone(),
            lets_us_in: entry.lets_us_in,
            cause: entry.cause.clone(),
            score_change: entry.changed.as_ref().map(Change::of),
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

/// Why a score moved, in words.
pub(crate) fn reason_text(reason: &ScoreReason) -> String {
    match reason {
        ScoreReason::Acknowledged => "it took our records".to_owned(),
        ScoreReason::Unreachable(cause) if cause.is_empty() => {
            "it lacked our records and could not be reached".to_owned()
        }
        ScoreReason::Unreachable(cause) => format!("it lacked our records: {cause}"),
    }
}

/// An invite, as its maker sees it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Invite {
    id: u64,
    label: String,
    link: String,
    created_at: String,
    expires_at: Option<String>,
    uses: u32,
    used: u32,
    state: &'static str,
}

impl Invite {
    pub(crate) fn of(invite: &InviteEntry) -> Self {
        Self {
            id: invite.number,
            label: invite.label.clone(),
            link: invite.link.clone(),
            created_at: iso(invite.created),
            expires_at: invite.expires.map(iso),
            uses: invite.uses,
            used: invite.used,
            state: match invite.state {
                InviteState::Open => "open",
                InviteState::UsedUp => "used-up",
                InviteState::Expired => "expired",
            },
        }
    }
}

/// The rounds, under the names of the three queues that older clients know. Records of all kinds travel alike here, so the
/// first queue holds them all and the others are empty.
pub(crate) fn rounds(stats: &RoundStats) -> Value {
    let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let queue = |total: u64| {
        json!({
            "totalRequests": total,
            "remainingMilliSeconds": millis(stats.remaining),
            "milliSecondsInterval": millis(stats.round),
        })
    };
    let friends: Vec<Value> = stats
        .friends
        .iter()
        .map(|friend| {
            json!({
                "podId": friend.pod.to_string(),
                "host": friend.host,
                "unacknowledged": friend.records,
            })
        })
        .collect();
    json!({
        "requestScheduler": queue(stats.friends.iter().map(|friend| friend.records).sum()),
        "requestVideoQaduScheduler": queue(0),
        "requestVideoEventScheduler": queue(0),
        "friends": friends,
    })
}
