//! A long life: on several pods at once people publish, change, remove, watch and like, while pods are killed, stopped, cut off from each other,
//! leave the network and come back. Again and again everything is let come to rest; then every pod is compared with every other and with a model
//! of what must be there (`model.rs`).
//!
//! `ROUNDS` (times everything comes to rest, default [`DEFAULT_ROUNDS`]), `SEED` and `PODS` are settable; `scripts/soak` runs any number. A seed
//! draws the same events again; how they meet is up to the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use seedpod_test_net::api::{Api, Upload};
use seedpod_test_net::clips::Clip;
use seedpod_test_net::net::{PODS_MAX, Ports};
use seedpod_test_net::{Options, TestNet, eventually, lan};
use serde_json::json;
use tempfile::TempDir;

use crate::kill_loop::number;
use crate::model::{Known, Model, compare_friends};

/// Rests in an ordinary run of the tests.
const DEFAULT_ROUNDS: u64 = 4;

/// Pods in an ordinary run.
const DEFAULT_PODS: u64 = 4;

/// Events between two rests.
const EVENTS: usize = 60;

/// Videos on all pods above which more are removed than added.
const VIDEOS_MAX: usize = 60;

/// People who watch, each at an address of their own.
const PEOPLE: u8 = 4;

/// The longest time from a write that nobody waits for to the kill of its pod.
const LONGEST_LIFE: Duration = Duration::from_millis(60);

/// What a network needs to be at rest after the last trouble is over: lost connections are found and made anew, and numbers are told once in some
/// seconds.
const AT_REST: Duration = Duration::from_secs(60);

#[tokio::test]
async fn whatever_happens_every_pod_ends_with_the_same() {
    if !lan::enter("soak::whatever_happens_every_pod_ends_with_the_same").await {
        return;
    }
    let rounds = number("ROUNDS", DEFAULT_ROUNDS);
    let seed = number("SEED", rand::random::<u32>().into());
    let pods = usize::try_from(number("PODS", DEFAULT_PODS))
        .unwrap_or(0)
        .clamp(2, PODS_MAX);
    eprintln!("soak: {rounds} rounds on {pods} pods, SEED={seed}");
    let no_tools = TempDir::new().expect("a temporary folder");
    let options = Options {
        ports: Ports::Lan,
        environment: vec![
            ("SEEDPOD__NETWORK__INITIAL_SCORE".into(), "1000".into()),
            ("SEEDPOD__STORAGE__SNAPSHOT_AFTER".into(), "64 KiB".into()),
            // Frames of clips are the business of other tests.
            ("PATH".into(), no_tools.path().display().to_string()),
        ],
        ..Options::new(pods)
    };
    TestNet::scenario_with(options, async |net| {
        let mut world = World::new(net, seed).await?;
        let outcome = world.go_on(rounds).await;
        outcome.with_context(|| format!("SEED={seed}, after {:#?}", world.story))
    })
    .await;
}

/// What may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Add,
    Edit,
    Remove,
    View,
    Rate,
    /// Killed in the middle of a write whose answer nobody gets.
    KillWriting,
    Kill,
    /// Stopped in order, and started at once.
    Restart,
    /// One that was killed is started.
    Revive,
    /// The network falls in two.
    Cut,
    Heal,
    /// A pod ends all its friendships, until the next rest.
    Leave,
}

/// How often each happens.
const WEIGHTS: [(Event, u32); 12] = [
    (Event::Add, 18),
    (Event::Edit, 16),
    (Event::Remove, 8),
    (Event::View, 20),
    (Event::Rate, 16),
    (Event::KillWriting, 3),
    (Event::Kill, 2),
    (Event::Restart, 2),
    (Event::Revive, 6),
    (Event::Cut, 3),
    (Event::Heal, 3),
    (Event::Leave, 1),
];

/// Events told when something is wrong.
const STORY: usize = 80;

struct World<'a> {
    net: &'a TestNet,
    dice: StdRng,
    clip: Vec<u8>,
    model: Model,
    /// Each pod's only user.
    roots: BTreeMap<usize, Api>,
    /// A pod as each of some people see it.
    people: BTreeMap<(usize, u8), Api>,
    alive: BTreeSet<usize>,
    /// Pods that have left the network.
    alone: BTreeSet<usize>,
    /// Who watched what, as long as a pod remembers it: until it ends.
    seen: BTreeSet<(usize, u8, String)>,
    counts: BTreeMap<Event, u32>,
    story: Vec<String>,
    names: u64,
}

impl<'a> World<'a> {
    async fn new(net: &'a TestNet, seed: u64) -> anyhow::Result<Self> {
        let mut world = Self {
            net,
            dice: StdRng::seed_from_u64(seed),
            clip: std::fs::read(Clip::Tiny.path().await?)?,
            model: Model::default(),
            roots: BTreeMap::new(),
            people: BTreeMap::new(),
            alive: net.pods().iter().map(|pod| pod.number()).collect(),
            alone: BTreeSet::new(),
            seen: BTreeSet::new(),
            counts: BTreeMap::new(),
            story: Vec::new(),
            names: 0,
        };
        for pod in net.pods() {
            world.roots.insert(pod.number(), pod.root().await?);
            for person in 0..PEOPLE {
                let there = pod.visitor().from_address(lan::Lan::person(person));
                world.people.insert((pod.number(), person), there);
            }
        }
        net.befriend_all().await?;
        Ok(world)
    }

    async fn go_on(&mut self, rounds: u64) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut slowest = Duration::ZERO;
        for round in 1..=rounds {
            for _ in 0..EVENTS {
                let event = WEIGHTS.choose_weighted(&mut self.dice, |(_, weight)| *weight)?.0;
                self.happen(event)
                    .await
                    .with_context(|| format!("round {round}, {event:?}"))?;
            }
            let rests = Instant::now();
            self.rest()
                .await
                .with_context(|| format!("at rest after round {round}"))?;
            slowest = slowest.max(rests.elapsed());
            if round % 10 == 0 || round == rounds {
                eprintln!(
                    "soak: {round} rounds in {:?}, the slowest rest took {slowest:?}; {} videos, {} removed; {:?}",
                    begun.elapsed(),
                    self.model.videos.len(),
                    self.model.removed.len(),
                    self.counts
                );
            }
        }
        Ok(())
    }

    /// Lets one thing happen, if it can now.
    async fn happen(&mut self, event: Event) -> anyhow::Result<()> {
        let alive: Vec<usize> = self.alive.iter().copied().collect();
        let Some(&pod) = alive.choose(&mut self.dice) else {
            return self.revive().await;
        };
        let crowded = self.model.videos.len() >= VIDEOS_MAX;
        let happened = match event {
            Event::Add if crowded => self.remove(pod).await?,
            Event::Add => self.add(pod).await?,
            Event::Edit => self.edit(pod).await?,
            Event::Remove => self.remove(pod).await?,
            Event::View => self.view(pod).await?,
            Event::Rate => self.rate(pod).await?,
            Event::KillWriting => self.kill_writing(pod).await?,
            Event::Kill => {
                self.end(pod);
                self.net.pod(pod).kill().await?;
                self.alive.remove(&pod);
                Some(format!("pod {pod} is killed"))
            }
            Event::Restart => {
                self.end(pod);
                self.net.pod(pod).restart().await?;
                Some(format!("pod {pod} is restarted"))
            }
            Event::Revive => {
                self.revive().await?;
                None
            }
            Event::Cut => self.cut().await?,
            Event::Heal => {
                self.net.lan()?.heal().await?;
                Some("the network is whole".to_owned())
            }
            Event::Leave => {
                let root = &self.roots[&pod];
                root.post_nothing("/api/v1/pods/quit-friends")
                    .await?
                    .status(204)?;
                self.alone.insert(pod);
                Some(format!("pod {pod} leaves"))
            }
        };
        if let Some(what) = happened {
            *self.counts.entry(event).or_default() += 1;
            self.tell(what);
        }
        Ok(())
    }

    fn tell(&mut self, what: String) {
        if self.story.len() == STORY {
            self.story.remove(0);
        }
        self.story.push(what);
    }

    /// What a pod forgets when it ends.
    fn end(&mut self, pod: usize) {
        self.seen.retain(|(where_seen, ..)| *where_seen != pod);
    }

    fn name(&mut self, pod: usize) -> String {
        self.names += 1;
        format!("Name {} of pod {pod}", self.names)
    }

    fn draw(&mut self, from: Vec<String>) -> Option<String> {
        from.choose(&mut self.dice).cloned()
    }

    async fn add(&mut self, pod: usize) -> anyhow::Result<Option<String>> {
        let name = self.name(pod);
        let upload = Upload::bytes(&name, "clip.mp4", self.clip.clone());
        let video = self.roots[&pod].upload(&upload).await?;
        let told = format!("pod {pod} publishes `{name}`, {}", video.uuid);
        self.model.videos.insert(video.uuid, Known::new(pod, name));
        Ok(Some(told))
    }

    async fn edit(&mut self, pod: usize) -> anyhow::Result<Option<String>> {
        let Some(uuid) = self.draw(self.model.certain_of(pod)) else {
            return Ok(None);
        };
        let name = self.name(pod);
        let changes = json!({ "name": name, "description": format!("Now `{name}`"), "tags": ["soak"] });
        let path = format!("/api/v1/videos/{uuid}");
        self.roots[&pod].put(&path, &changes).await?.status(204)?;
        let told = format!("pod {pod} calls {uuid} `{name}`");
        self.model
            .videos
            .entry(uuid)
            .and_modify(|known| known.name = name);
        Ok(Some(told))
    }

    async fn remove(&mut self, pod: usize) -> anyhow::Result<Option<String>> {
        let Some(uuid) = self.draw(self.model.certain_of(pod)) else {
            return Ok(None);
        };
        let path = format!("/api/v1/videos/{uuid}");
        self.roots[&pod].delete(&path).await?.status(204)?;
        self.model.remove(&uuid);
        Ok(Some(format!("pod {pod} removes {uuid}")))
    }

    /// Somebody watches a video where they are; a pod that has not heard of it yet says so.
    async fn view(&mut self, pod: usize) -> anyhow::Result<Option<String>> {
        let person = self.dice.random_range(0..PEOPLE);
        let Some(uuid) = self.draw(self.model.videos.keys().cloned().collect()) else {
            return Ok(None);
        };
        let path = format!("/api/v1/videos/{uuid}/views");
        let answer = self.people[&(pod, person)].post_nothing(&path).await?;
        if answer.status_in(&[204, 404])?.status == 404 {
            return Ok(None);
        }
        let told = format!("person {person} watches {uuid} on pod {pod}");
        if self.seen.insert((pod, person, uuid.clone())) {
            let known = self.model.videos.get_mut(&uuid).context("drawn from the model")?;
            *known.views.entry(pod).or_default() += 1;
        }
        Ok(Some(told))
    }

    async fn rate(&mut self, pod: usize) -> anyhow::Result<Option<String>> {
        let Some(uuid) = self.draw(self.model.videos.keys().cloned().collect()) else {
            return Ok(None);
        };
        let (word, likes) = *[("like", Some(true)), ("dislike", Some(false)), ("none", None)]
            .choose(&mut self.dice)
            .context("three words")?;
        let path = format!("/api/v1/videos/{uuid}/rate");
        let answer = self.roots[&pod].put(&path, &json!({ "rating": word })).await?;
        if answer.status_in(&[204, 404])?.status == 404 {
            return Ok(None);
        }
        let told = format!("pod {pod} says {word} to {uuid}");
        let known = self.model.videos.get_mut(&uuid).context("drawn from the model")?;
        match likes {
            Some(like) => known.likes.insert(pod, like),
            None => known.likes.remove(&pod),
        };
        Ok(Some(told))
    }

    /// The pod is killed soon after a write was sent: it may have happened or not.
    async fn kill_writing(&mut self, pod: usize) -> anyhow::Result<Option<String>> {
        let life = self.dice.random_range(Duration::ZERO..LONGEST_LIFE);
        let (name, kind) = (self.name(pod), self.dice.random_range(0..3));
        let chosen = self.draw(self.model.certain_of(pod));
        let root = &self.roots[&pod];
        let told = match (kind, chosen) {
            (0, Some(uuid)) => {
                let path = format!("/api/v1/videos/{uuid}");
                let known = self.model.videos.get_mut(&uuid).context("drawn from the model")?;
                known.maybe_name = Some(name.clone());
                let changes = json!({ "name": name });
                let answer = tokio::time::timeout(life, root.put(&path, &changes)).await;
                if let Ok(answer) = answer {
                    answer?.status(204)?;
                    (known.name, known.maybe_name) = (name, None);
                }
                format!("pod {pod} is killed while it renames {uuid}")
            }
            (1, Some(uuid)) => {
                let path = format!("/api/v1/videos/{uuid}");
                let known = self.model.videos.get_mut(&uuid).context("drawn from the model")?;
                known.maybe_removed = true;
                let answer = tokio::time::timeout(life, root.delete(&path)).await;
                if let Ok(answer) = answer {
                    answer?.status(204)?;
                    self.model.remove(&uuid);
                }
                format!("pod {pod} is killed while it removes {uuid}")
            }
            _ => {
                self.model.maybe_uploads.insert((pod, name.clone()));
                let upload = Upload::bytes(&name, "clip.mp4", self.clip.clone());
                let answer = tokio::time::timeout(life, root.upload(&upload)).await;
                if let Ok(video) = answer {
                    self.model.maybe_uploads.remove(&(pod, name.clone()));
                    self.model
                        .videos
                        .insert(video?.uuid, Known::new(pod, name.clone()));
                }
                format!("pod {pod} is killed while it publishes `{name}`")
            }
        };
        self.end(pod);
        self.net.pod(pod).kill().await?;
        self.alive.remove(&pod);
        Ok(Some(told))
    }

    async fn revive(&mut self) -> anyhow::Result<()> {
        let dead: Vec<usize> = self.net.pods().iter().map(|pod| pod.number()).collect();
        let dead: Vec<usize> = dead.into_iter().filter(|pod| !self.alive.contains(pod)).collect();
        if let Some(&pod) = dead.choose(&mut self.dice) {
            self.net.pod(pod).start().await?;
            self.alive.insert(pod);
            *self.counts.entry(Event::Revive).or_default() += 1;
            self.tell(format!("pod {pod} is started"));
        }
        Ok(())
    }

    /// Two sides, neither empty; what was cut before stays cut.
    async fn cut(&mut self) -> anyhow::Result<Option<String>> {
        let mut pods: Vec<usize> = self.net.pods().iter().map(|pod| pod.number()).collect();
        pods.shuffle(&mut self.dice);
        let at = self.dice.random_range(1..pods.len());
        let (side, other) = pods.split_at(at);
        self.net.lan()?.cut(side, other).await?;
        Ok(Some(format!("nothing passes between {side:?} and {other:?}")))
    }

    /// Ends all trouble and waits until every pod is as it should be.
    async fn rest(&mut self) -> anyhow::Result<()> {
        self.net.lan()?.heal().await?;
        while self.alive.len() < self.net.pods().len() {
            self.revive().await?;
        }
        for pod in std::mem::take(&mut self.alone) {
            self.come_back(pod)
                .await
                .with_context(|| format!("pod {pod} comes back"))?;
        }
        self.tell("everything comes to rest".to_owned());
        self.model.settle(self.net).await?;
        let all: Vec<usize> = self.alive.iter().copied().collect();
        eventually("every pod is as it should be", AT_REST, async || {
            compare_friends(self.net.pods()).await?;
            self.model.compare(self.net, &all).await
        })
        .await?;
        // What was removed is gone everywhere, whoever asks for it by name.
        let removed: Vec<String> = self.model.removed.iter().cloned().collect();
        for uuid in removed.choose_multiple(&mut self.dice, 3) {
            for pod in self.net.pods() {
                let path = format!("/api/v1/videos/{uuid}");
                pod.visitor().get(&path).await?.status(404)?;
            }
        }
        ensure!(self.alone.is_empty());
        Ok(())
    }

    /// Makes friends again with every other pod.
    async fn come_back(&mut self, pod: usize) -> anyhow::Result<()> {
        for other in self.net.pods().iter().filter(|other| other.number() != pod) {
            // The network was cut a moment ago: connections that hang are given up first.
            let host = json!({ "host": other.host() });
            eventually("a pod is let in again", AT_REST, async || {
                self.roots[&pod].post("/api/v1/pods", &host).await?.status(204)?;
                Ok(())
            })
            .await?;
        }
        self.tell(format!("pod {pod} is back"));
        Ok(())
    }
}
