//! Reports, which PeerTube calls abuses.

use seedpod_actors::comments::messages::CommentEntry;
use seedpod_actors::reports::messages::{Delivery, ReportEntry, ReportState};
use seedpod_actors::search::messages::VideoEntry;
use serde::Serialize;
use serde_json::{Value, json};

use super::{AccountSummary, ChannelSummary, Labelled, iso};
use crate::constants::REASONS;
use crate::links::{self, Origin};

/// A report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    id: u64,
    reason: String,
    predefined_reasons: Vec<&'static str>,
    reporter_account: AccountSummary,
    state: Labelled<u16>,
    moderation_comment: Option<String>,
    video: Value,
    comment: Value,
    flagged_account: Option<AccountSummary>,
    created_at: String,
    updated_at: String,
    count_messages: u32,
    // Of 2017.
    video_id: Option<u64>,
    reporter_username: String,
    reporter_pod_host: String,
    // Ours.
    pod_id: String,
    origin_pod_id: String,
    delivery: &'static str,
    delivery_error: Option<String>,
}

/// A report with what it is about, as far as that is here.
pub(crate) struct Reported<'a> {
    pub(crate) report: &'a ReportEntry,
    pub(crate) video: Option<&'a VideoEntry>,
    pub(crate) comment: Option<&'a CommentEntry>,
    /// The public URL of the pod whose user reports, if it is known.
    pub(crate) home: Option<&'a str>,
}

impl Report {
    /// What administrators see. `own_url` is this pod's.
    pub(crate) fn of(reported: &Reported<'_>, own_url: &str) -> Self {
        let report = reported.report;
        let home = Origin::at(reported.home.unwrap_or_default());
        let (video, comment) = (reported.video, reported.comment);
        let said = comment.and_then(|comment| comment.said.as_ref());
        let publisher = |video: &VideoEntry| {
            let origin = Origin::of(video, own_url).unwrap_or(Origin::at(own_url));
            AccountSummary::at(&video.video.owner, origin)
        };
        let flagged = match (report.comment, said) {
            (None, _) => video.map(publisher),
            (Some(_), said) => said.map(|said| {
                let url = said.profile.as_ref().map_or(own_url, |profile| &profile.url);
                AccountSummary::at(&said.owner, Origin::at(url))
            }),
        };
        let reasons = REASONS
            .iter()
            .filter(|(number, _)| report.reasons.contains(number));
        let (delivery, delivery_error) = match &report.delivery {
            Delivery::Here => ("here", None),
            Delivery::Delivered => ("delivered", None),
            Delivery::Waiting => ("waiting", None),
            Delivery::Refused(text) => ("refused", Some(text.clone())),
        };
        Self {
            id: report.number,
            reason: report.reason.clone(),
            predefined_reasons: reasons.map(|(_, name)| *name).collect(),
            reporter_account: AccountSummary::at(&report.reporter, home),
            state: state(report.state),
            moderation_comment: Some(report.note.clone()).filter(|note| !note.is_empty()),
            video: if report.comment.is_none() {
                video_of(report, video, own_url)
            } else {
                Value::Null
            },
            comment: match report.comment {
                Some(id) => json!({
                    "id": comment.map(|comment| comment.number),
                    "uuid": id.to_string(),
                    "threadId": comment.map(|comment| comment.thread_number),
                    "text": said.map(|said| said.text.as_str()).unwrap_or_default(),
                    "deleted": said.is_none(),
                    "video": {
                        "id": video.map(|video| video.number),
                        "name": video.map(|video| video.video.name.as_str()).unwrap_or_default(),
                        "uuid": report.video.to_string(),
                        "shortUUID": report.video.short(),
                    },
                }),
                None => Value::Null,
            },
            flagged_account: flagged,
            created_at: iso(report.created_at),
            updated_at: iso(report.updated_at),
            count_messages: 0,
            video_id: video.map(|video| video.number),
            reporter_username: report.reporter.clone(),
            reporter_pod_host: home.host().to_owned(),
            pod_id: report.pod.to_string(),
            origin_pod_id: report.origin.to_string(),
            delivery,
            delivery_error,
        }
    }
}

fn video_of(report: &ReportEntry, video: Option<&VideoEntry>, own_url: &str) -> Value {
    let channel = video.and_then(|video| video.channel.as_deref());
    json!({
        "id": video.map(|video| video.number),
        "uuid": report.video.to_string(),
        "shortUUID": report.video.short(),
        "name": video.map(|video| video.video.name.as_str()).unwrap_or_default(),
        "nsfw": video.is_some_and(|video| video.video.nsfw),
        "deleted": video.is_none(),
        "blacklisted": false,
        "thumbnailPath": video.and_then(|video| links::thumbnail_path(&video.id, &video.video)),
        "channel": channel.map(|channel| ChannelSummary::of(channel, own_url)),
        "countReports": report.same,
        "nthReport": 1,
        "startAt": null,
        "endAt": null,
    })
}

fn state(state: ReportState) -> Labelled<u16> {
    match state {
        ReportState::Pending => Labelled::new(1, "Pending"),
        ReportState::Rejected => Labelled::new(2, "Rejected"),
        ReportState::Accepted => Labelled::new(3, "Accepted"),
    }
}
