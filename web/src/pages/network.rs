//! The network page: this pod and its friends, each with its state in words.

use askama::Template;

use super::{Chrome, count};

/// How things stand with one friend. Every state that is not good says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FriendState {
    /// Connected, and each has all records of the other.
    InSync,
    /// Connected, and records are on their way.
    CatchingUp {
        /// Records we hold.
        have: u64,
        /// Records the friend says it has; 0 if it did not say.
        of: u64,
    },
    /// Connected; we hold what the friend has, and it takes ours.
    Telling {
        /// Records of ours that it holds.
        have: u64,
        /// Records of ours.
        of: u64,
    },
    /// We said yes, they have not yet.
    Waiting,
    /// Not connected.
    Unreachable {
        /// Why, in words: "timed out on 3 addresses".
        cause: String,
    },
    /// The friendship is over.
    Ended {
        /// Who ended it and why, in words: "they quit the network".
        cause: String,
    },
}

impl FriendState {
    /// The state as a phrase.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::InSync => "In sync".to_owned(),
            Self::CatchingUp { of: 0, .. } => "Catching up".to_owned(),
            Self::CatchingUp { have, of } => format!("Catching up: {have} of {of}"),
            Self::Telling { have, of } => format!("Catching up: it has {have} of our {of}"),
            Self::Waiting => "Waiting for them to accept".to_owned(),
            Self::Unreachable { cause } if cause.is_empty() => "Unreachable".to_owned(),
            Self::Unreachable { cause } => format!("Unreachable: {cause}"),
            Self::Ended { cause } if cause.is_empty() => "Ended".to_owned(),
            Self::Ended { cause } => format!("Ended: {cause}"),
        }
    }

    /// The style class: a colour and a shape, beside the words.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::InSync => "state-good",
            Self::CatchingUp { .. } | Self::Telling { .. } => "state-busy",
            Self::Waiting => "state-wait",
            Self::Unreachable { .. } | Self::Ended { .. } => "state-trouble",
        }
    }
}

/// One friend in the table.
#[derive(Debug, Clone)]
pub struct FriendRow {
    /// The number that `DELETE /api/v1/pods/:id` takes.
    pub id: String,
    /// Its public key as text.
    pub pod_id: String,
    /// Host of its public URL.
    pub host: String,
    /// Its public URL.
    pub url: String,
    /// Its name.
    pub name: String,
    /// How things stand.
    pub state: FriendState,
    /// Its videos that we know.
    pub videos: u64,
    /// Its score, 0 to 1000.
    pub score: u32,
    /// When we last heard from it, in milliseconds since the Unix epoch.
    pub last_heard: Option<u64>,
}

/// A pod that asked to be a friend and waits for the operator's answer.
#[derive(Debug, Clone)]
pub struct RequestRow {
    /// The number that `POST /api/v1/pods/requests/:id/accept` takes.
    pub id: String,
    /// Its public key as text.
    pub pod_id: String,
    /// Host of its public URL.
    pub host: String,
    /// Its public URL.
    pub url: String,
    /// When it asked, in milliseconds since the Unix epoch.
    pub since: u64,
}

impl FriendRow {
    fn videos_text(&self) -> String {
        count(self.videos, "video")
    }
}

/// This pod among its friends.
#[derive(Debug, Clone, Template)]
#[template(path = "network.html")]
pub struct NetworkPage {
    /// What all pages share.
    pub chrome: Chrome,
    /// This pod's id.
    pub pod_id: String,
    /// Its friends, and those that just ceased to be.
    pub friends: Vec<FriendRow>,
    /// Pods that asked and have no answer yet; shown to whoever may answer.
    pub requests: Vec<RequestRow>,
    /// Videos of the network, this pod's included.
    pub videos: u64,
    /// Videos of this pod.
    pub local_videos: u64,
    /// Hosts that its configuration names as friends.
    pub configured: Vec<String>,
    /// What was typed into the form, after a failed try.
    pub hosts: String,
    /// Why the last try failed.
    pub error: Option<String>,
}

/// A friend in the picture: coordinates in a field of 480 by 320.
struct Spot<'a> {
    friend: &'a FriendRow,
    x: i32,
    y: i32,
    label_y: i32,
}

/// Friends beyond these are in the table only.
const MOST_IN_PICTURE: usize = 16;

impl NetworkPage {
    /// The page as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        super::html(self)
    }

    /// Those of the list that are friends now: neither asked only, nor over.
    fn present(&self) -> impl Iterator<Item = &FriendRow> {
        self.friends
            .iter()
            .filter(|friend| !matches!(friend.state, FriendState::Waiting | FriendState::Ended { .. }))
    }

    /// How many friends hold what we hold and the other way round.
    fn in_sync(&self) -> usize {
        self.present()
            .filter(|friend| friend.state == FriendState::InSync)
            .count()
    }

    /// What keeps the others, or that nothing does.
    fn sync_text(&self) -> String {
        let behind: Vec<&FriendRow> = self
            .present()
            .filter(|friend| friend.state != FriendState::InSync)
            .collect();
        match behind.as_slice() {
            _ if self.present().next().is_none() => "no friends yet".to_owned(),
            [] => "all hold the same catalog".to_owned(),
            [friend] => format!("{}: {}", friend.host, lower_first(&friend.state.words())),
            more => format!("{} are not: see the table", more.len()),
        }
    }

    fn friends_text(&self) -> String {
        format!("{} from friends", self.videos.saturating_sub(self.local_videos))
    }

    /// The short form of this pod's id.
    fn short_id(&self) -> String {
        let letters: Vec<char> = self.pod_id.chars().collect();
        if letters.len() <= 16 {
            return self.pod_id.clone();
        }
        let head: String = letters[..8].iter().collect();
        let tail: String = letters[letters.len() - 4..].iter().collect();
        format!("{head}…{tail}")
    }

    /// Where the friends stand around this pod, evenly on an ellipse.
    fn spots(&self) -> Vec<Spot<'_>> {
        let shown = self.friends.iter().take(MOST_IN_PICTURE);
        let total = u16::try_from(self.friends.len().min(MOST_IN_PICTURE))
            .unwrap_or(1)
            .max(1);
        (0_u16..)
            .zip(shown)
            .map(|(index, friend)| {
                let angle = std::f64::consts::TAU * (f64::from(index) + 0.5) / f64::from(total)
                    - std::f64::consts::FRAC_PI_2;
                let (x, y) = (
                    around(240.0, 160.0, angle.cos()),
                    around(160.0, 96.0, angle.sin()),
                );
                Spot {
                    friend,
                    x,
                    y,
                    label_y: if y < 160 { y - 32 } else { y + 44 },
                }
            })
            .collect()
    }
}

/// A whole coordinate on one axis of the ellipse.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the field is 480 by 320: every value fits"
)]
fn around(middle: f64, radius: f64, part: f64) -> i32 {
    (middle + radius * part).round() as i32
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
