//! Who carried how much: of one video, and of all.

use seedpod_actors::meter::messages::Figures;
use serde::Serialize;

/// Bytes since the video came here. What this pod sent is measured; what viewers say of themselves nobody can check.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Carried {
    /// Sent by this pod over HTTP.
    web_seed: u64,
    /// Sent by this pod to browsers over WebRTC.
    webrtc: u64,
    /// Sent by this pod to BitTorrent clients over TCP.
    tcp: u64,
    /// What viewers at this pod told.
    viewers: Viewers,
    /// The part of everything that viewers carried for each other, 0 to 1; `null` while nothing was carried.
    share: Option<f64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Viewers {
    from_viewers: u64,
    from_pods: u64,
    given: u64,
}

impl From<Figures> for Carried {
    fn from(figures: Figures) -> Self {
        let Figures { sent, told } = figures;
        Self {
            web_seed: sent.web_seed,
            webrtc: sent.webrtc,
            tcp: sent.tcp,
            viewers: Viewers {
                from_viewers: told.from_viewers,
                from_pods: told.from_pods,
                given: told.given,
            },
            share: share(figures.by_viewers(), figures.in_all()),
        }
    }
}

/// A part of a whole with four digits.
#[allow(
    clippy::cast_precision_loss,
    reason = "nobody needs the seventeenth digit of a share"
)]
fn share(part: u64, whole: u64) -> Option<f64> {
    let share = part as f64 / whole as f64;
    (whole > 0).then(|| (share * 10_000.0).round() / 10_000.0)
}
