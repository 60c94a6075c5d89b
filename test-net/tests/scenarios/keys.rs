//! Keys that change: one that was stolen and taken back, and one that follows another while a friend is away.

use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use seedpod_protocol::envelope::{Draft, Envelope, Epoch, Kind, Stamp, Verified};
use seedpod_protocol::ids::PodId;
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::{Record, RecoveryPin, Revocation, Successor, Video};
use seedpod_protocol::requests::{Request, Response};
use seedpod_test_net::api::{Upload, Uploaded};
use seedpod_test_net::clips::Clip;
use seedpod_test_net::net::seedpod_binary;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{Options, TestNet, eventually};
use serde_json::{Value, json};

use crate::attacker::{Attacker, address_of};
use crate::steps::{SOON, befriend_three, expect_equal_digests, expect_videos};

#[tokio::test]
async fn whoever_stole_a_key_changes_nothing_once_it_is_revoked() {
    let mut options = Options::new(3);
    // The accomplice acknowledges nothing, and is to be there at the end.
    options.environment = vec![("SEEDPOD__NETWORK__INITIAL_SCORE".to_owned(), "1000".to_owned())];
    TestNet::scenario_with(options, async |net| {
        let (owner, friend) = (net.pod(1), net.pod(2));
        befriend_three(net).await?;
        let me = address_of(owner).await?.0;
        let drawer = net.folder().join("drawer");
        let hash = new_recovery(&drawer.to_string_lossy())?;
        owner.stop().await?;
        keys(owner, &["pin", &hash])?;
        owner.start().await?;
        let (kept, doomed) = (upload(owner, "Mine").await?, upload(owner, "Mine too").await?);
        expect_videos(net, &[&kept, &doomed]).await?;
        expect_equal_digests(net).await?;

        // Somebody copies the key while the pod is down, and speaks through a friend of a friend's.
        owner.stop().await?;
        let thief = PodKey::from_seed(
            std::fs::read(owner.folder().join("identity.key"))?
                .as_slice()
                .try_into()?,
        );
        let accomplice = Attacker::connect(PodKey::from_seed(&[0x5e; 32]), friend).await?;
        accomplice.befriend().await?;
        let said = said_of(&accomplice, me).await?;
        let strikes = strikes(&thief, &said)?;
        accomplice.tell(bytes(&strikes)).await?;
        for pod in &net.pods()[1..] {
            eventually("the thief is believed", SOON, async || {
                let names = names(pod).await?;
                ensure!(names == ["Stolen", "The thief's own"], "{names:?}");
                Ok(())
            })
            .await?;
        }

        // The recovery key takes it back, and what the pod has on its own disk is what was said.
        keys(owner, &["revoke", "--recovery", &drawer.to_string_lossy()])?;
        owner.start().await?;
        expect_videos(net, &[&kept, &doomed]).await?;
        for pod in net.pods() {
            ensure!(names(pod).await? == ["Mine", "Mine too"]);
        }
        let root = expect_one_root(net, me).await?;

        // Every way to say anything with the old key, again and anew.
        let other_thief = PodKey::of_pod(me, &[0x5f; 32]);
        let mut again = strikes;
        again.extend(statements(&thief, &other_thief)?);
        for counter in [0, 1, 2, 50, u32::MAX] {
            let stamp = stamp(counter, 77);
            again.push(Draft::live(&me, renamed(&said, "Stolen again")?.into())?.sign(&thief, stamp)?);
            again.push(Draft::live(&me, renamed(&said, "Stolen again")?.into())?.sign(&other_thief, stamp)?);
        }
        for statement in &again {
            accomplice.gossip(statement.bytes().to_vec()).await?;
        }
        accomplice.tell(bytes(&again)).await?;
        accomplice.answer_catch_up(bytes(&again)).await?;
        eventually("the friend asks for records", SOON, async || {
            ensure!(accomplice.was_asked(), "it has not asked");
            Ok(())
        })
        .await?;
        ensure!(expect_one_root(net, me).await? == root, "the root has changed");
        for pod in net.pods() {
            ensure!(names(pod).await? == ["Mine", "Mine too"]);
        }
        accomplice
            .ask(&Request::ListFriends)
            .await
            .context("nobody is banned for it")?;

        // Life goes on, and survives a restart of all.
        let later = upload(owner, "Later").await?;
        expect_videos(net, &[&kept, &doomed, &later]).await?;
        let root = expect_one_root(net, me).await?;
        for pod in net.pods() {
            pod.restart().await?;
        }
        expect_videos(net, &[&kept, &doomed, &later]).await?;
        ensure!(
            expect_one_root(net, me).await? == root,
            "a restart changes the root"
        );
        owner
            .root()
            .await?
            .delete(&format!("/api/v1/videos/{}", doomed.uuid))
            .await?
            .status(204)?;
        expect_videos(net, &[&kept, &later]).await
    })
    .await;
}

#[tokio::test]
async fn a_key_that_follows_reaches_a_friend_who_was_away_and_friends_to_come() {
    TestNet::scenario(4, async |net| {
        let (owner, friend, away, newcomer) = (net.pod(1), net.pod(2), net.pod(3), net.pod(4));
        befriend(owner, friend).await?;
        befriend(owner, away).await?;
        befriend(friend, away).await?;
        let first = upload(owner, "By the first key").await?;
        let me = address_of(owner).await?.0;
        expect_names(friend, &["By the first key"]).await?;
        expect_names(away, &["By the first key"]).await?;

        away.stop().await?;
        owner.stop().await?;
        keys(owner, &["succeed"])?;
        ensure!(keys(owner, &["show"])?.contains("next start"));
        owner.start().await?;
        ensure!(
            !keys(owner, &["show"])?.contains("next start"),
            "the next key signs"
        );
        ensure!(address_of(owner).await?.0 == me, "the name stays");
        upload(owner, "By the second key").await?;
        owner
            .root()
            .await?
            .put(
                &format!("/api/v1/videos/{}", first.uuid),
                &json!({ "name": "Renamed by the second key" }),
            )
            .await?
            .status(204)?;
        let names = ["By the second key", "Renamed by the second key"];
        expect_names(friend, &names).await?;

        // From a third pod, while the one that speaks is down.
        owner.stop().await?;
        away.start().await?;
        expect_names(away, &names).await?;
        owner.start().await?;
        // Nobody has heard of this pod before, and of what it says about its keys: it shows that when it says yes.
        befriend(newcomer, owner).await
    })
    .await;
}

/// Runs `seedpod keys` on the folder of a pod.
fn keys(pod: &Pod, arguments: &[&str]) -> anyhow::Result<String> {
    let folder = pod.folder().to_string_lossy().into_owned();
    run(&[&["keys"], arguments, &["--data-dir", &folder]].concat())
}

/// Makes a recovery key and answers its hash.
fn new_recovery(file: &str) -> anyhow::Result<String> {
    let said = run(&["keys", "new-recovery", file])?;
    let hash = said.split_whitespace().next_back();
    Ok(hash.context("a hash")?.to_owned())
}

fn run(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(seedpod_binary()?)
        .args(arguments)
        .stdin(Stdio::null())
        .output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    ensure!(output.status.success(), "{arguments:?}: {}", text(output.stderr));
    Ok(text(output.stdout))
}

async fn upload(pod: &Pod, name: &str) -> anyhow::Result<Uploaded> {
    let upload = Upload::file(name, &Clip::Tiny.path().await?)?;
    pod.root().await?.upload(&upload).await
}

async fn befriend(pod: &Pod, other: &Pod) -> anyhow::Result<()> {
    let host = json!({ "host": other.host() });
    pod.root().await?.post("/api/v1/pods", &host).await?.status(204)?;
    Ok(())
}

async fn names(pod: &Pod) -> anyhow::Result<Vec<String>> {
    let videos = pod.visitor().videos().await?.data;
    let mut names: Vec<String> = videos
        .iter()
        .filter_map(|video| video["name"].as_str().map(str::to_owned))
        .collect();
    names.sort();
    Ok(names)
}

async fn expect_names(pod: &Pod, expected: &[&str]) -> anyhow::Result<()> {
    eventually("the pod shows these videos", SOON, async || {
        let names = names(pod).await?;
        ensure!(names == expected, "pod {} shows {names:?}", pod.number());
        Ok(())
    })
    .await
}

/// Waits until all pods hold the same of an author, and answers its root.
async fn expect_one_root(net: &TestNet, author: PodId) -> anyhow::Result<String> {
    let author = author.to_string();
    let mut agreed = String::new();
    eventually("all pods hold the same of one", SOON, async || {
        let mut roots = Vec::new();
        for pod in net.pods() {
            let path = "/api/v1/server/state-digest";
            let digest: Value = pod.visitor().get(path).await?.status(200)?.json()?;
            let authors = digest["authors"].as_array().context("authors")?;
            let found = authors.iter().find(|held| held["podId"] == author.as_str());
            let root = found.and_then(|held| held["root"].as_str());
            roots.push(
                root.with_context(|| format!("not held by pod {}", pod.number()))?
                    .to_owned(),
            );
        }
        roots.dedup();
        ensure!(roots.len() == 1, "{roots:?}");
        agreed = roots.remove(0);
        Ok(())
    })
    .await?;
    Ok(agreed)
}

/// The records that a pod holds of an author.
async fn said_of(asker: &Attacker, author: PodId) -> anyhow::Result<Vec<Verified<Record>>> {
    match asker.ask(&Request::Pull { author, after: None }).await? {
        Response::Page { envelopes, .. } => envelopes
            .into_iter()
            .map(|bytes| Ok(Envelope::decode(bytes)?.open()?))
            .collect(),
        other => bail!("no page: {other:?}"),
    }
}

fn stamp(counter: u32, seq: u64) -> Stamp {
    let epoch = Epoch {
        counter,
        tag: [0x5e; 8],
    };
    Stamp { epoch, seq }
}

fn renamed(said: &[Verified<Record>], name: &str) -> anyhow::Result<Video> {
    let video = said.iter().find_map(Verified::video).context("a video")?;
    Ok(Video {
        name: name.to_owned(),
        ..video.payload().clone()
    })
}

/// A video renamed, the other removed, one more, and a stamp beyond everything.
fn strikes(thief: &PodKey, said: &[Verified<Record>]) -> anyhow::Result<Vec<Verified<Record>>> {
    let me = thief.id();
    let doomed = said
        .iter()
        .filter_map(Verified::video)
        .nth(1)
        .context("a second video")?;
    let another = Video {
        nonce: [0x5e; 16],
        ..renamed(said, "The thief's own")?
    };
    Ok(vec![
        Draft::live(&me, renamed(said, "Stolen")?.into())?.sign(thief, stamp(40, 1))?,
        Draft::removed(Kind::VIDEO, doomed.header().object).sign(thief, stamp(40, 2))?,
        Draft::live(&me, another.into())?.sign(thief, stamp(u32::MAX, 3))?,
    ])
}

/// What a thief may say about keys.
fn statements(thief: &PodKey, other: &PodKey) -> anyhow::Result<Vec<Verified<Record>>> {
    let me = thief.id();
    let revocation = Revocation {
        key: me,
        last: Stamp::ZERO,
        next: Some(thief_next().public()),
    };
    Ok(vec![
        Draft::live(&me, Successor::new(thief, other).into())?.sign(thief, stamp(0, 1))?,
        Draft::live(&me, RecoveryPin::of(&other.public()).into())?.sign(thief, Stamp::ZERO)?,
        Draft::live(&me, revocation.into())?.sign(other, Stamp::ZERO)?,
    ])
}

fn thief_next() -> PodKey {
    PodKey::from_seed(&[0x60; 32])
}

fn bytes(records: &[Verified<Record>]) -> Vec<Vec<u8>> {
    records.iter().map(|record| record.bytes().to_vec()).collect()
}
