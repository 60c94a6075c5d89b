//! The network page: this pod and its friends, each with its state in words.

use std::fmt::Write as _;

use askama::Template;

use super::{CarriedView, Chrome, CopiesView, count};

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
    /// Ours is a friend to us, and it let us go while we were away.
    LetUsGo {
        /// What it said, in words.
        cause: String,
    },
    /// It could not be reached for so long that we let it go; what it published is kept for a while.
    LetGo {
        /// Why, in words.
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
            Self::LetUsGo { .. } => "It let us go".to_owned(),
            Self::LetGo { cause } if cause.is_empty() => "Let go".to_owned(),
            Self::LetGo { cause } => format!("Let go: {cause}"),
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
            Self::Unreachable { .. } | Self::LetUsGo { .. } | Self::LetGo { .. } | Self::Ended { .. } => {
                "state-trouble"
            }
        }
    }

    /// What happens next, or what to do; nothing when all is well.
    #[must_use]
    pub fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::InSync => return None,
            Self::CatchingUp { .. } | Self::Telling { .. } => "The rest arrives by itself.".to_owned(),
            Self::Waiting => "Whoever runs it has to accept; nothing to do here.".to_owned(),
            Self::Unreachable { .. } => {
                "It is tried again by itself, and its host is asked for a new address.".to_owned()
            }
            Self::LetUsGo { cause } if cause.is_empty() => "Ask it again.".to_owned(),
            Self::LetUsGo { cause } => format!("{cause}."),
            Self::LetGo { .. } => {
                "Its videos are hidden and kept for 30 days; they are back as soon as it is. Ask it again, or wait for it."
                    .to_owned()
            }
            Self::Ended { .. } => "Ask it again, or remove it from this list.".to_owned(),
        })
    }

    /// Whether asking again may make it a friend.
    #[must_use]
    pub fn may_ask_again(&self) -> bool {
        matches!(
            self,
            Self::LetUsGo { .. } | Self::LetGo { .. } | Self::Ended { .. }
        )
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
    /// When and why the score last moved.
    pub note: Option<ScoreNote>,
    /// Round-trip time in milliseconds, while it is connected.
    pub rtt_ms: Option<u32>,
    /// Version of its software; empty if it is not known.
    pub version: String,
    /// When we last heard from it, in milliseconds since the Unix epoch.
    pub last_heard: Option<u64>,
}

/// Why a score last moved.
#[derive(Debug, Clone)]
pub struct ScoreNote {
    /// How far.
    pub by: i64,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Why, in words.
    pub reason: String,
}

/// An invite this pod has made.
#[derive(Debug, Clone)]
pub struct InviteRow {
    /// The number that `DELETE /api/v1/pods/invites/:id` takes.
    pub id: String,
    /// What it is for.
    pub label: String,
    /// What is handed on, while it lets anybody in.
    pub link: Option<String>,
    /// The same, for a camera.
    pub qr: Option<QrCode>,
    /// `Open`, `Used up` or `Expired`.
    pub state: &'static str,
    /// How many pods may come in by it.
    pub uses: u32,
    /// How many did.
    pub used: u32,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expires: Option<u64>,
}

impl InviteRow {
    /// Its state, its uses and its end: `Open, 1 of 3 used, until …`.
    fn facts(&self) -> String {
        let facts = format!("{}, {} of {} used", self.state, self.used, self.uses);
        match self.expires {
            Some(expires) => format!("{facts}, until {}", super::day(expires)),
            None => facts,
        }
    }
}

/// A QR code as the one path of an SVG picture, a unit a module, with the quiet zone that the standard asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QrCode {
    /// Width and height.
    pub side: usize,
    /// The dark modules, run by run.
    pub path: String,
}

/// Light modules around the code.
const QUIET_ZONE: usize = 4;

impl QrCode {
    /// The code of a text; none if the text is too long for one.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let code = qrcode::QrCode::with_error_correction_level(text, qrcode::EcLevel::L).ok()?;
        let width = code.width();
        let colors = code.to_colors();
        let mut path = String::new();
        for (y, row) in colors.chunks(width).enumerate() {
            let mut x = 0;
            for run in row.chunk_by(|a, b| a == b) {
                if run.first() == Some(&qrcode::Color::Dark) {
                    let (left, top, long) = (x + QUIET_ZONE, y + QUIET_ZONE, run.len());
                    // Writing to a string does not fail.
                    let _ = write!(path, "M{left} {top}h{long}v1h-{long}z");
                }
                x += run.len();
            }
        }
        Some(Self {
            side: width + 2 * QUIET_ZONE,
            path,
        })
    }
}

/// Where the link of an invite leads in a browser.
#[derive(Debug, Clone, Template)]
#[template(path = "invited.html")]
pub struct InvitedPage {
    /// What all pages share.
    pub chrome: Chrome,
}

impl InvitedPage {
    /// The page as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        super::html(self)
    }
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
    /// How far the score moved: `+10` or `−10`.
    fn moved_text(&self) -> String {
        let by = self.note.as_ref().map_or(0, |note| note.by);
        let sign = if by < 0 { '−' } else { '+' };
        format!("{sign}{}", by.unsigned_abs())
    }

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
    /// Copies of friends' videos, for who may run the pod.
    pub copies: Option<CopiesView>,
    /// Pods that asked and have no answer yet; shown to whoever may answer.
    pub requests: Vec<RequestRow>,
    /// Invites this pod has made; shown to whoever runs it.
    pub invites: Vec<InviteRow>,
    /// Signs of another start with this pod's key: whether that one is running now.
    pub is_twin: Option<bool>,
    /// Videos of the network, this pod's included.
    pub videos: u64,
    /// Videos of this pod.
    pub local_videos: u64,
    /// Who carried the videos so far.
    pub carried: CarriedView,
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
        let absent = |state: &FriendState| {
            matches!(
                state,
                FriendState::Waiting | FriendState::Ended { .. } | FriendState::LetGo { .. }
            )
        };
        self.friends.iter().filter(move |friend| !absent(&friend.state))
    }

    /// Whether another pod is running with this one's key.
    fn has_twin(&self) -> bool {
        self.is_twin == Some(true)
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
