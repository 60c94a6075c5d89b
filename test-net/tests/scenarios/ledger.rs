//! The ledger: what pods have answered, kept outside of them, to be held against them after they were killed.
//!
//! Before a write is sent, it is noted as open; its answer makes it certain; a write whose answer never came may have happened or
//! not, but not in part. After a start the pod must agree with the ledger: videos with their names and bytes, removals, sessions,
//! friends.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use rand::Rng;
use rand::rngs::StdRng;
use seedpod_test_net::api::{Api, Upload};
use seedpod_test_net::process::Pod;
use serde_json::{Value, json};

/// Videos kept on each pod; above it, writers remove.
const VIDEOS_MAX: usize = 20;

/// Sessions of one user that a pod keeps; a newer one ends the oldest.
const SESSIONS_MAX: usize = 50;

/// What is known of one video.
#[derive(Debug, Clone, Default)]
struct Known {
    /// The name that was answered last.
    name: String,
    /// A name that was sent and not answered.
    maybe_name: Option<String>,
    /// A removal was sent.
    maybe_removed: bool,
    /// A removal was answered.
    removed: bool,
}

/// What one pod has answered.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    videos: BTreeMap<String, Known>,
    /// Names of uploads that were not answered.
    maybe_uploads: Vec<String>,
    /// Logins that were answered, with the number each was among all that were sent.
    tokens: Vec<(usize, String)>,
    logins: usize,
    /// Whether this pod must list the other, where that is certain.
    friends: Option<bool>,
    /// Whether this cycle may begin or end the friendship: once, where both pods agreed on how things stood. A pod that was killed
    /// may not have heard of an end yet, which is no loss.
    may_change_friends: bool,
    /// Writes that were answered.
    pub(crate) answered: u64,
    /// Writes that were not.
    pub(crate) lost_answers: u64,
}

impl Ledger {
    /// Logs in as `root`, and notes it.
    pub(crate) async fn login(&mut self, pod: &Pod) -> anyhow::Result<Api> {
        self.logins += 1;
        let root = pod.root().await?;
        self.tokens
            .extend(root.token().map(|token| (self.logins, token.to_owned())));
        Ok(root)
    }

    /// Notes how things stand between two pods before they are written to.
    pub(crate) async fn note_friends(&mut self, pod: &Pod, other: &Pod) -> anyhow::Result<()> {
        let (ours, theirs) = (lists(pod, other).await?, lists(other, pod).await?);
        self.friends = (ours == theirs).then_some(ours);
        self.may_change_friends = ours == theirs;
        Ok(())
    }
}

/// One write of a random kind: noted, sent, and noted again when it was answered.
pub(crate) async fn write(
    root: &Api,
    pod: &Pod,
    other: &Pod,
    clip: &[u8],
    ledger: &mut Ledger,
    dice: &mut StdRng,
) -> anyhow::Result<()> {
    let certain: Vec<String> = ledger
        .videos
        .iter()
        .filter(|(_, known)| !known.removed && !known.maybe_removed && known.maybe_name.is_none())
        .map(|(uuid, _)| uuid.clone())
        .collect();
    let name = format!("video {:08x}", dice.random::<u32>());
    let chosen = (!certain.is_empty()).then(|| certain[dice.random_range(0..certain.len())].clone());
    ledger.lost_answers += 1;
    match (dice.random_range(0..10), chosen) {
        (0..=3, _) | (_, None) if certain.len() < VIDEOS_MAX => {
            ledger.maybe_uploads.push(name.clone());
            let video = root
                .upload(&Upload::bytes(&name, "clip.mp4", clip.to_vec()))
                .await?;
            ledger.maybe_uploads.pop();
            ledger.videos.insert(
                video.uuid,
                Known {
                    name,
                    ..Known::default()
                },
            );
        }
        (4..=5, Some(uuid)) => {
            let path = format!("/api/v1/videos/{uuid}");
            let known = ledger.videos.entry(uuid).or_default();
            known.maybe_name = Some(name.clone());
            root.put(&path, &json!({ "name": name })).await?.status(204)?;
            known.maybe_name = None;
            known.name = name;
        }
        (6..=7, _) if !ledger.may_change_friends || dice.random() => {
            ledger.login(pod).await?;
        }
        (6..=7, _) => {
            ledger.may_change_friends = false;
            if ledger.friends.take() == Some(true) {
                root.post_nothing("/api/v1/pods/quit-friends").await?.success()?;
                ledger.friends = Some(false);
            } else {
                // 502: the other pod has not noticed yet that this one was killed, and nothing came about.
                let answer = root
                    .post("/api/v1/pods", &json!({ "host": other.host() }))
                    .await?
                    .status_in(&[204, 502])?;
                ledger.friends = (answer.status == 204).then_some(true);
            }
        }
        (_, Some(uuid)) => {
            let path = format!("/api/v1/videos/{uuid}");
            let known = ledger.videos.entry(uuid).or_default();
            known.maybe_removed = true;
            root.delete(&path).await?.status(204)?;
            known.removed = true;
        }
        (_, None) => {}
    }
    ledger.lost_answers -= 1;
    ledger.answered += 1;
    Ok(())
}

/// Compares a pod that was just started with what it had answered, and settles what was open.
pub(crate) async fn check(pod: &Pod, other: &Pod, clip: &[u8], ledger: &mut Ledger) -> anyhow::Result<()> {
    let visitor = pod.visitor();
    for (uuid, known) in &mut ledger.videos {
        let answer = visitor.get(&format!("/api/v1/videos/{uuid}")).await?;
        if known.removed {
            ensure!(answer.status == 404, "{uuid} was removed and is back: {known:?}");
            continue;
        }
        if known.maybe_removed && answer.status == 404 {
            known.removed = true;
            continue;
        }
        ensure!(
            answer.status == 200,
            "{uuid} is lost ({}): {known:?}",
            answer.status
        );
        let video: Value = answer.json()?;
        let name = video["name"].as_str().unwrap_or_default();
        ensure!(
            name == known.name || Some(name) == known.maybe_name.as_deref(),
            "{uuid} is called `{name}`: {known:?}"
        );
        name.clone_into(&mut known.name);
        (known.maybe_name, known.maybe_removed) = (None, false);
        let file = visitor
            .get(&format!("/static/webseed/{uuid}-90.mp4"))
            .await?
            .status(200)?;
        ensure!(file.body == clip, "{uuid} has another file");
    }
    ledger.videos.retain(|_, known| !known.removed);

    // An upload without an answer is there whole, or not at all.
    let listed = visitor.videos().await?;
    for video in listed.data.iter().filter(|video| video["isLocal"] == true) {
        let (uuid, name) = (video["uuid"].as_str().unwrap_or_default(), video["name"].as_str());
        let name = name.unwrap_or_default();
        if !ledger.videos.contains_key(uuid) {
            ensure!(
                ledger.maybe_uploads.iter().any(|open| open == name),
                "`{name}` ({uuid}) is here, and nobody uploaded it"
            );
            let file = visitor
                .get(&format!("/static/webseed/{uuid}-90.mp4"))
                .await?
                .status(200)?;
            ensure!(file.body == clip, "{uuid} has half a file");
            let name = name.to_owned();
            ledger.videos.insert(
                uuid.to_owned(),
                Known {
                    name,
                    ..Known::default()
                },
            );
        }
    }
    ledger.maybe_uploads.clear();

    // The newest few sessions; older ones were looked at before, and those beyond a user's limit make room for newer ones.
    ledger
        .tokens
        .retain(|(number, _)| number + SESSIONS_MAX > ledger.logins);
    for (_, token) in ledger.tokens.iter().rev().take(8) {
        visitor
            .with_token(token)
            .get("/api/v1/users/me")
            .await?
            .status(200)
            .context("a session is lost")?;
    }
    if let Some(friends) = ledger.friends {
        ensure!(
            lists(pod, other).await? == friends,
            "friends: {}, while the answer said {friends}",
            !friends
        );
    }
    Ok(())
}

/// Whether a pod lists another among its friends.
async fn lists(pod: &Pod, other: &Pod) -> anyhow::Result<bool> {
    let friends = pod.visitor().friends().await?;
    Ok(friends.data.iter().any(|friend| friend.host == other.host()))
}
