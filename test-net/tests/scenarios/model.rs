//! What must be there, kept outside of the pods: every video with its name, and who watched and liked it where; and the comparison of every pod with
//! it and with every other.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail, ensure};
use seedpod_test_net::TestNet;
use seedpod_test_net::api::{Api, List};
use seedpod_test_net::process::Pod;
use serde_json::Value;

use crate::steps::shared_part;

/// Videos on one page of a list: as many as a pod gives.
const PAGE: u64 = 100;

/// What is known of one video that is not removed for certain.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// The pod that published it.
    pub(crate) origin: usize,
    /// The name that was answered last.
    pub(crate) name: String,
    /// A name that was sent and not answered.
    pub(crate) maybe_name: Option<String>,
    /// A removal was sent and not answered.
    pub(crate) maybe_removed: bool,
    /// Views that each pod counted.
    pub(crate) views: BTreeMap<usize, u64>,
    /// What the one user of each pod thinks of it; absent if nothing.
    pub(crate) likes: BTreeMap<usize, bool>,
}

impl Known {
    pub(crate) fn new(origin: usize, name: String) -> Self {
        Self {
            origin,
            name,
            maybe_name: None,
            maybe_removed: false,
            views: BTreeMap::new(),
            likes: BTreeMap::new(),
        }
    }

    /// Views, likes, dislikes of all pods.
    fn numbers(&self) -> [u64; 3] {
        let likes = self.likes.values().filter(|like| **like).count() as u64;
        [self.views.values().sum(), likes, self.likes.len() as u64 - likes]
    }
}

/// Everything that must be there.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// By uuid.
    pub(crate) videos: BTreeMap<String, Known>,
    /// Removed, and answered.
    pub(crate) removed: BTreeSet<String>,
    /// Names of uploads that were not answered, and where.
    pub(crate) maybe_uploads: BTreeSet<(usize, String)>,
}

impl Model {
    /// A removal was answered.
    pub(crate) fn remove(&mut self, uuid: &str) {
        self.videos.remove(uuid);
        self.removed.insert(uuid.to_owned());
    }

    /// Videos of a pod about which nothing is open.
    pub(crate) fn certain_of(&self, origin: usize) -> Vec<String> {
        let certain =
            |known: &Known| known.origin == origin && known.maybe_name.is_none() && !known.maybe_removed;
        let videos = self.videos.iter().filter(|(_, known)| certain(known));
        videos.map(|(uuid, _)| uuid.clone()).collect()
    }

    /// Asks the origins about everything that was sent and never answered: it happened or not, but not in part.
    ///
    /// # Errors
    /// When a video is neither as before nor as it was to be.
    pub(crate) async fn settle(&mut self, net: &TestNet) -> anyhow::Result<()> {
        for pod in net.pods() {
            let held = videos_of(&pod.visitor()).await?;
            for (uuid, video) in held.iter().filter(|(_, video)| video["isLocal"] == true) {
                let name = video["name"].as_str().unwrap_or_default().to_owned();
                if !self.videos.contains_key(uuid) && !self.removed.contains(uuid) {
                    let open = (pod.number(), name.clone());
                    ensure!(
                        self.maybe_uploads.remove(&open),
                        "pod {} has `{name}` ({uuid}), which nobody uploaded",
                        pod.number()
                    );
                    self.videos.insert(uuid.clone(), Known::new(pod.number(), name));
                }
            }
            let own = self
                .videos
                .iter_mut()
                .filter(|(_, known)| known.origin == pod.number());
            let mut gone = Vec::new();
            for (uuid, known) in own {
                match held.get(uuid) {
                    None if known.maybe_removed => gone.push(uuid.clone()),
                    None => bail!("{uuid} is lost on its own pod: {known:?}"),
                    Some(video) => {
                        let name = video["name"].as_str().unwrap_or_default();
                        ensure!(
                            name == known.name || Some(name) == known.maybe_name.as_deref(),
                            "{uuid} is called `{name}`: {known:?}"
                        );
                        name.clone_into(&mut known.name);
                        (known.maybe_name, known.maybe_removed) = (None, false);
                    }
                }
            }
            for uuid in gone {
                self.remove(&uuid);
            }
        }
        self.maybe_uploads.clear();
        Ok(())
    }

    /// Compares all these pods with this model and, field by field, with each other; their digests too.
    ///
    /// # Errors
    /// With the first difference.
    pub(crate) async fn compare(&self, net: &TestNet, pods: &[usize]) -> anyhow::Result<()> {
        let mut first: Option<(usize, BTreeMap<String, Value>)> = None;
        let mut digests = BTreeMap::new();
        for &number in pods {
            let visitor = net.pod(number).visitor();
            digests.insert(number, visitor.state_digest().await?);
            let held = videos_of(&visitor).await?;
            self.compare_with(net, number, &held)?;
            let shared = held
                .into_iter()
                .map(|(uuid, video)| (uuid, shared_part(&video)))
                .collect();
            match &first {
                None => first = Some((number, shared)),
                Some((other, theirs)) => {
                    for (uuid, video) in &shared {
                        ensure!(
                            theirs.get(uuid) == Some(video),
                            "pod {number} says\n{video:#}\nwhile pod {other} says\n{:#}",
                            theirs.get(uuid).unwrap_or(&Value::Null)
                        );
                    }
                }
            }
        }
        let distinct: BTreeSet<&String> = digests.values().collect();
        ensure!(distinct.len() <= 1, "the state digests differ: {digests:?}");
        Ok(())
    }

    fn compare_with(
        &self,
        net: &TestNet,
        number: usize,
        held: &BTreeMap<String, Value>,
    ) -> anyhow::Result<()> {
        let missing: Vec<&String> = self
            .videos
            .keys()
            .filter(|uuid| !held.contains_key(*uuid))
            .collect();
        let back: Vec<&String> = held.keys().filter(|uuid| self.removed.contains(*uuid)).collect();
        let surplus: Vec<&String> = held
            .keys()
            .filter(|uuid| !self.videos.contains_key(*uuid))
            .collect();
        ensure!(
            missing.is_empty() && surplus.is_empty(),
            "pod {number} lists {} videos of {}; {} are missing ({:?}), {} too many, of which {} were removed ({:?})",
            held.len(),
            self.videos.len(),
            missing.len(),
            missing.first(),
            surplus.len(),
            back.len(),
            surplus.first()
        );
        for (uuid, known) in &self.videos {
            let video = &held[uuid];
            ensure!(
                video["name"] == known.name.as_str(),
                "pod {number} calls {uuid} {}, expected `{}`",
                video["name"],
                known.name
            );
            ensure!(
                video["podHost"] == net.pod(known.origin).host().as_str(),
                "pod {number} says that {uuid} is of {}",
                video["podHost"]
            );
            ensure!(
                video["isLocal"] == (known.origin == number),
                "pod {number} says of {uuid} that it is local: {}",
                video["isLocal"]
            );
            let numbers = ["views", "likes", "dislikes"].map(|name| video[name].as_u64().unwrap_or(u64::MAX));
            ensure!(
                numbers == known.numbers(),
                "pod {number} shows {numbers:?} for {uuid} of pod {}, expected {:?}: {known:?}",
                known.origin,
                known.numbers()
            );
        }
        Ok(())
    }
}

/// Every video that a pod lists, by uuid.
///
/// # Errors
/// When the list has one twice, or another total than rows.
pub(crate) async fn videos_of(visitor: &Api) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut all = BTreeMap::new();
    loop {
        let start = all.len();
        let path = format!("/api/v1/videos?start={start}&count={PAGE}&sort=createdAt");
        let page: List<Value> = visitor.get(&path).await?.status(200)?.json()?;
        for video in &page.data {
            let uuid = video["uuid"].as_str().context("a uuid")?.to_owned();
            ensure!(
                all.insert(uuid, video.clone()).is_none(),
                "listed twice: {video:#}"
            );
        }
        if all.len() as u64 >= page.total || page.data.is_empty() {
            ensure!(
                all.len() as u64 == page.total,
                "{} rows of {} in all",
                all.len(),
                page.total
            );
            return Ok(all);
        }
    }
}

/// Checks that each pod lists all others as friends, and nobody else.
///
/// # Errors
/// With the first that does not.
pub(crate) async fn compare_friends(pods: &[Pod]) -> anyhow::Result<()> {
    for pod in pods {
        let listed = pod.visitor().friends().await?.data;
        let listed: BTreeSet<String> = listed.into_iter().map(|friend| friend.host).collect();
        let others = pods.iter().map(Pod::host).filter(|host| *host != pod.host());
        let expected: BTreeSet<String> = others.collect();
        ensure!(
            listed == expected,
            "pod {} lists {listed:?}, expected {expected:?}",
            pod.number()
        );
    }
    Ok(())
}
