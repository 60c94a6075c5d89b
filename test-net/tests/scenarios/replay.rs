//! What was true once and is no more: nobody brings it back, neither a friend who kept every envelope nor a pod that wakes up with
//! old data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use rand::seq::SliceRandom;
use rand::{SeedableRng, rngs::StdRng};
use seedpod_protocol::envelope::{Envelope, Kind, Stamp};
use seedpod_protocol::ids::{ChannelId, InfoHash, PodId, Timestamp, VideoId};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::{Privacy, Record, Video, VideoFile};
use seedpod_protocol::requests::{Request, Response};
use seedpod_test_net::api::{Upload, Uploaded};
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{Options, TestNet, eventually, torrent};
use serde_json::{Value, json};

use crate::attacker::{Attacker, address_of};
use crate::steps::{SOON, as_seen_everywhere, expect_friends, expect_videos, text};

/// Envelopes told in one request.
const TOLD_AT_ONCE: usize = 40;

/// Orders in which everything is replayed; the first is the order in which it was said, the second its reverse.
const ORDERS: u64 = 4;

#[tokio::test]
async fn a_friend_who_replays_everything_changes_nothing_of_anybody_elses() {
    let mut options = Options::new(2);
    // It acknowledges nothing, and is to be there at the end.
    options.environment = vec![("SEEDPOD__NETWORK__INITIAL_SCORE".to_owned(), "1000".to_owned())];
    TestNet::scenario_with(options, async |net| {
        let (pod, third) = (net.pod(1), net.pod(2));
        befriend(net).await?;
        let attacker = Attacker::connect(PodKey::from_seed(&[0x4e; 32]), pod).await?;
        attacker.befriend().await?;
        let authors = [address_of(pod).await?.0, address_of(third).await?.0];
        let mut kept = Kept::default();

        // A life: published, renamed, removed, on both pods.
        let tiny = Clip::Tiny.path().await?;
        let mut alive = Vec::new();
        let mut gone = Vec::new();
        for owner in [pod, third] {
            let root = owner.root().await?;
            let stays = root.upload(&Upload::file("A first name", &tiny)?).await?;
            let goes = root.upload(&Upload::file("Gone by the end", &tiny)?).await?;
            expect_held(&attacker, &authors, &[&stays, &goes]).await?;
            kept.pull(&attacker, &authors).await?;
            for name in ["A second name", "A third name"] {
                rename(owner, &stays, name).await?;
                expect_name(net, &stays, name).await?;
                kept.pull(&attacker, &authors).await?;
            }
            root.delete(&format!("/api/v1/videos/{}", goes.uuid))
                .await?
                .status(204)?;
            alive.push(stays);
            gone.push(goes);
        }
        let alive: Vec<&Uploaded> = alive.iter().collect();
        expect_videos(net, &alive).await?;
        kept.pull(&attacker, &authors).await?;
        let before = Seen::of(net, &alive, &authors).await?;
        ensure!(
            kept.said.len() > 12,
            "only {} envelopes were kept",
            kept.said.len()
        );

        for order in 0..ORDERS {
            let mut envelopes = kept.said.clone();
            match order {
                0 => {}
                1 => envelopes.reverse(),
                seed => envelopes.shuffle(&mut StdRng::seed_from_u64(seed)),
            }
            for envelope in &envelopes {
                attacker.gossip(envelope.clone()).await?;
            }
            for part in envelopes.chunks(TOLD_AT_ONCE) {
                attacker.tell(part.to_vec()).await?;
            }
            attacker.answer_catch_up(envelopes).await?;
            eventually("the pod asks for records", SOON, async || {
                ensure!(attacker.was_asked(), "it has not asked");
                Ok(())
            })
            .await?;
        }
        // What it says of its own about the ids and torrents of others is its own affair.
        for (number, video) in alive.iter().enumerate() {
            claim(
                &attacker,
                video,
                &before.videos[number],
                100 * (number as u64 + 1),
            )
            .await?;
        }
        before
            .expect(net, &alive, &authors)
            .await
            .context("after the replay")?;

        pod.restart().await?;
        before
            .expect(net, &alive, &authors)
            .await
            .context("after a restart")?;
        for video in &gone {
            for pod in net.pods() {
                pod.visitor()
                    .get(&format!("/api/v1/videos/{}", video.uuid))
                    .await?
                    .status(404)?;
            }
        }
        // Whoever replays sound records has broken nothing.
        attacker.until_connected(false).await.ok();
        let again = Attacker::connect(PodKey::from_seed(&[0x4e; 32]), pod).await?;
        again.ask(&Request::ListFriends).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_pod_that_wakes_up_with_old_data_resurrects_nothing() {
    TestNet::scenario(2, async |net| {
        let (pod, friend) = (net.pod(1), net.pod(2));
        befriend(net).await?;
        let watcher = Attacker::connect(PodKey::from_seed(&[0x57; 32]), friend).await?;
        watcher.befriend().await?;
        let authors = [address_of(pod).await?.0];
        let mut kept = Kept::default();

        let tiny = Clip::Tiny.path().await?;
        let root = pod.root().await?;
        let renamed = root.upload(&Upload::file("An old name", &tiny)?).await?;
        let removed = root
            .upload(&Upload::file("Removed after the copy", &tiny)?)
            .await?;
        expect_videos(net, &[&renamed, &removed]).await?;
        kept.pull(&watcher, &authors).await?;

        pod.stop().await?;
        let copy = net.folder().join("copy-of-pod-1");
        copy_folder(pod.folder(), &copy)?;
        pod.start().await?;
        rename(pod, &renamed, "A new name").await?;
        pod.root()
            .await?
            .delete(&format!("/api/v1/videos/{}", removed.uuid))
            .await?
            .status(204)?;
        expect_videos(net, &[&renamed]).await?;
        expect_name(net, &renamed, "A new name").await?;
        expect_equal_digests_of(net, &authors).await?;
        kept.pull(&watcher, &authors).await?;

        pod.stop().await?;
        std::fs::remove_dir_all(pod.folder())?;
        std::fs::rename(&copy, pod.folder())?;
        pod.start().await?;
        // It learns from its friend what it said itself, and goes on from there.
        expect_videos(net, &[&renamed]).await?;
        expect_name(net, &renamed, "A new name").await?;
        rename(pod, &renamed, "A name after the restore").await?;
        expect_name(net, &renamed, "A name after the restore").await?;
        let published = pod
            .root()
            .await?
            .upload(&Upload::file("Published after the restore", &tiny)?)
            .await?;
        expect_videos(net, &[&renamed, &published]).await?;
        expect_equal_digests_of(net, &authors).await?;
        kept.pull(&watcher, &authors).await?;
        kept.expect_no_stamp_twice()
    })
    .await;
}

async fn befriend(net: &TestNet) -> anyhow::Result<()> {
    net.pod(2)
        .root()
        .await?
        .post("/api/v1/pods", &json!({ "host": net.pod(1).host() }))
        .await?
        .status(204)?;
    expect_friends(net, &[(1, &[2]), (2, &[1])]).await
}

/// Every envelope that somebody ever handed over.
#[derive(Default)]
struct Kept {
    said: Vec<Vec<u8>>,
    known: BTreeSet<Vec<u8>>,
}

impl Kept {
    /// Asks for all records of these authors and keeps those that are new.
    async fn pull(&mut self, from: &Attacker, authors: &[PodId]) -> anyhow::Result<()> {
        for author in authors {
            for envelope in pull(from, *author).await? {
                if self.known.insert(envelope.clone()) {
                    self.said.push(envelope);
                }
            }
        }
        Ok(())
    }

    fn expect_no_stamp_twice(&self) -> anyhow::Result<()> {
        let mut stamps: BTreeMap<(PodId, Stamp), &Vec<u8>> = BTreeMap::new();
        for bytes in &self.said {
            let envelope = Envelope::decode(bytes.clone())?;
            let stamp = (envelope.header().author, envelope.header().stamp());
            if let Some(other) = stamps.insert(stamp, bytes) {
                bail!("{stamp:?} stands on two records: {other:02x?} and {bytes:02x?}");
            }
        }
        Ok(())
    }
}

async fn pull(from: &Attacker, author: PodId) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut held = Vec::new();
    let mut after = None;
    loop {
        let Response::Page { envelopes, more } = from.ask(&Request::Pull { author, after }).await? else {
            bail!("a question for records was not answered with some");
        };
        held.extend(envelopes);
        let Some(last) = held.last().filter(|_| more) else {
            return Ok(held);
        };
        after = Some(Envelope::decode(last.clone())?.header().stamp());
    }
}

/// Waits until the pod attacked holds these videos.
async fn expect_held(attacker: &Attacker, authors: &[PodId], videos: &[&Uploaded]) -> anyhow::Result<()> {
    eventually("the pod holds the videos", SOON, async || {
        let mut held = BTreeSet::new();
        for author in authors {
            for envelope in pull(attacker, *author).await? {
                let envelope = Envelope::decode(envelope)?;
                held.insert(
                    VideoId::try_from(envelope.header().object).map_or(String::new(), |id| id.to_string()),
                );
            }
        }
        for video in videos {
            ensure!(held.contains(&video.uuid), "{} is not held", video.uuid);
        }
        Ok(())
    })
    .await
}

async fn rename(owner: &Pod, video: &Uploaded, name: &str) -> anyhow::Result<()> {
    owner
        .root()
        .await?
        .put(
            &format!("/api/v1/videos/{}", video.uuid),
            &json!({ "name": name }),
        )
        .await?
        .status(204)?;
    Ok(())
}

async fn expect_name(net: &TestNet, video: &Uploaded, name: &str) -> anyhow::Result<()> {
    eventually("every pod shows the name", SOON, async || {
        for pod in net.pods() {
            let shown = pod.visitor().video(&video.uuid).await?;
            ensure!(
                shown["name"] == name,
                "pod {} shows {}",
                pod.number(),
                shown["name"]
            );
        }
        Ok(())
    })
    .await
}

/// What people and pods see: lists, videos, and roots of the honest authors.
struct Seen {
    videos: Vec<Vec<Value>>,
    roots: Vec<BTreeMap<String, String>>,
}

impl Seen {
    async fn of(net: &TestNet, videos: &[&Uploaded], authors: &[PodId]) -> anyhow::Result<Self> {
        expect_equal_digests_of(net, authors).await?;
        let mut seen = Vec::new();
        for video in videos {
            seen.push(as_seen_everywhere(net, &video.uuid).await?);
        }
        let mut roots = Vec::new();
        for pod in net.pods() {
            roots.push(roots_of(pod, authors).await?);
        }
        Ok(Self { videos: seen, roots })
    }

    async fn expect(&self, net: &TestNet, videos: &[&Uploaded], authors: &[PodId]) -> anyhow::Result<()> {
        expect_videos(net, videos).await?;
        let now = Self::of(net, videos, authors).await?;
        ensure!(
            now.roots == self.roots,
            "other roots: {:?}, {:?}",
            self.roots,
            now.roots
        );
        for (before, after) in self.videos.iter().flatten().zip(now.videos.iter().flatten()) {
            ensure!(before == after, "another video: {before}, {after}");
            torrent::add(text(after, "/files/0/magnetUri")?).await?;
        }
        Ok(())
    }
}

async fn roots_of(pod: &Pod, authors: &[PodId]) -> anyhow::Result<BTreeMap<String, String>> {
    let path = "/api/v1/server/state-digest";
    let digest: Value = pod.visitor().get(path).await?.status(200)?.json()?;
    let listed = digest["authors"].as_array().context("authors")?;
    let of_author = |author: &PodId| {
        let author = author.to_string();
        let found = listed.iter().find(|listed| listed["podId"] == author.as_str());
        let root = found.and_then(|found| found["root"].as_str());
        (author, root.unwrap_or_default().to_owned())
    };
    Ok(authors.iter().map(of_author).collect())
}

/// Waits until all pods hold the same of these authors.
async fn expect_equal_digests_of(net: &TestNet, authors: &[PodId]) -> anyhow::Result<()> {
    eventually("all pods hold the same of the honest ones", SOON, async || {
        let first = roots_of(net.pod(1), authors).await?;
        for pod in net.pods() {
            let roots = roots_of(pod, authors).await?;
            ensure!(
                roots == first,
                "pod {}: {roots:?}, pod 1: {first:?}",
                pod.number()
            );
        }
        Ok(())
    })
    .await
}

/// Signs, as the attacker's own, a removal of somebody's video id, and a video with somebody's torrent that is then removed.
async fn claim(attacker: &Attacker, video: &Uploaded, seen: &[Value], seq: u64) -> anyhow::Result<()> {
    let id: VideoId = video.uuid.parse()?;
    let info_hash: InfoHash = magnet_hash(text(&seen[0], "/files/0/magnetUri")?)?;
    let own = Record::Video(Video {
        nonce: *id.as_bytes(),
        channel: ChannelId::derive(&attacker.key.id(), &[1; 16]),
        owner: "root".to_owned(),
        name: "With somebody's torrent".to_owned(),
        description: None,
        category: None,
        licence: None,
        language: None,
        nsfw: false,
        tags: Vec::new(),
        support: None,
        comments_enabled: true,
        download_enabled: true,
        privacy: Privacy::Public,
        duration: 9,
        created_at: Timestamp::EPOCH,
        published_at: Timestamp::EPOCH,
        updated_at: Timestamp::EPOCH,
        originally_published_at: None,
        thumbnail: None,
        preview: None,
        files: vec![VideoFile {
            info_hash,
            size: 1_000,
            resolution: 240,
            width: 320,
            height: 240,
            fps: 25,
            extension: "mp4".to_owned(),
            piece_length: 16 * 1024,
        }],
    });
    let live = attacker.sign(own.clone(), seq)?;
    let removed = attacker.remove(
        Kind::VIDEO,
        own.object(&attacker.key.id()).context("an id")?,
        seq + 1,
    )?;
    let of_theirs = attacker.remove(Kind::VIDEO, id.into(), seq + 2)?;
    for record in [&live, &removed, &of_theirs] {
        attacker.tell(vec![record.bytes().to_vec()]).await?;
    }
    eventually("the pod holds what it was told", SOON, async || {
        let held = pull(attacker, attacker.key.id()).await?;
        for record in [&removed, &of_theirs] {
            ensure!(
                held.iter().any(|bytes| bytes[..] == record.bytes()[..]),
                "one is missing"
            );
        }
        Ok(())
    })
    .await
}

fn magnet_hash(magnet: &str) -> anyhow::Result<InfoHash> {
    let hex = magnet.split("btih:").nth(1).context("an info hash")?;
    Ok(hex.get(..40).context("40 digits")?.parse()?)
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    // Folders of keys are nobody else's business; a pod refuses looser modes.
    std::fs::set_permissions(to, std::fs::metadata(from)?.permissions())?;
    Ok(())
}
