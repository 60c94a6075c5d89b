//! What a pod's data folder goes through: damage, other releases, other users of the machine. And that an answer is a promise: the
//! journal is synced before it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use seedpod_test_net::api::{Upload, Uploaded};
use seedpod_test_net::clips::Clip;
use seedpod_test_net::net::seedpod_binary;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{Options, TestNet, eventually};
use serde_json::json;
use tempfile::TempDir;

use crate::steps::{SOON, expect_friends};
use crate::trace::Trace;

/// Everything below a folder: mode and content.
fn everything(root: &Path) -> anyhow::Result<BTreeMap<PathBuf, (u32, Vec<u8>)>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        found.insert(folder.clone(), (mode(&folder)?, Vec::new()));
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.clone(), (mode(&path)?, std::fs::read(&path)?));
            }
        }
    }
    Ok(found)
}

fn mode(path: &Path) -> anyhow::Result<u32> {
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o777)
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_folder(&path, &target)?;
        } else {
            std::fs::copy(&path, &target)?;
            std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

/// Files below a folder.
fn files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    Ok(everything(root)?
        .into_keys()
        .filter(|path| path.is_file())
        .collect())
}

/// A pod that was given something to keep, and what that is.
struct Kept {
    videos: Vec<(Uploaded, String)>,
    removed: Uploaded,
    token: String,
    clip: Vec<u8>,
}

impl Kept {
    /// Fills pod 1 of a net of two, whose pods become friends.
    async fn give(net: &TestNet) -> anyhow::Result<Self> {
        let pod = net.pod(1);
        let root = pod.root().await?;
        root.post("/api/v1/pods", &json!({ "host": net.pod(2).host() }))
            .await?
            .status(204)?;
        expect_friends(net, &[(1, &[2]), (2, &[1])]).await?;
        let path = Clip::Tiny.path().await?;
        let mut videos = Vec::new();
        for number in 1..=4 {
            let name = format!("Kept {number}");
            videos.push((root.upload(&Upload::file(&name, &path)?).await?, name));
        }
        let removed = root.upload(&Upload::file("Removed", &path)?).await?;
        root.delete(&format!("/api/v1/videos/{}", removed.uuid))
            .await?
            .status(204)?;
        Ok(Self {
            videos,
            removed,
            token: root.token().context("root is logged in")?.to_owned(),
            clip: std::fs::read(path)?,
        })
    }

    /// Whether a pod that runs has all of it, and nothing else.
    async fn check(&self, net: &TestNet) -> anyhow::Result<()> {
        let pod = net.pod(1);
        let visitor = pod.visitor();
        for (video, name) in &self.videos {
            ensure!(visitor.video(&video.uuid).await?["name"] == json!(name));
            let file = visitor
                .get(&format!("/static/webseed/{}-90.mp4", video.uuid))
                .await?
                .status(200)?;
            ensure!(file.body == self.clip, "`{name}` has another file");
        }
        ensure!(visitor.videos().await?.total == self.videos.len() as u64);
        visitor
            .get(&format!("/api/v1/videos/{}", self.removed.uuid))
            .await?
            .status(404)?;
        visitor
            .with_token(&self.token)
            .get("/api/v1/users/me")
            .await?
            .status(200)
            .context("a session is lost")?;
        let friends = visitor.friends().await?;
        ensure!(friends.data.len() == 1 && friends.data[0].host == net.pod(2).host());
        Ok(())
    }
}

/// Settings with which a few requests make snapshots and drop segments.
fn eager() -> Options {
    Options {
        environment: vec![("SEEDPOD__STORAGE__SNAPSHOT_AFTER".into(), "2 KiB".into())],
        ..Options::new(2)
    }
}

/// Logs in until the journal begins anew and has closed segments: there are two snapshots then.
async fn drop_segments(pod: &Pod) -> anyhow::Result<()> {
    eventually(
        "the first segment is dropped",
        Duration::from_secs(60),
        async || {
            pod.root().await?;
            let first = pod.folder().join("journal/00000001.log");
            ensure!(!first.exists(), "the first segment is still there");
            Ok(())
        },
    )
    .await
}

type Hurt = (&'static str, fn(&mut Vec<u8>));

/// Ways to hurt a file.
const HURTS: [Hurt; 3] = [
    ("truncated to half", |bytes| bytes.truncate(bytes.len() / 2)),
    ("its last 64 KiB zeroed", |bytes| {
        let from = bytes.len().saturating_sub(64 * 1024);
        bytes[from..].fill(0);
    }),
    ("its middle zeroed", |bytes| {
        let length = bytes.len();
        bytes[length / 3..length * 2 / 3].fill(0);
    }),
];

#[tokio::test]
async fn whatever_happens_to_the_index_the_pod_starts_with_everything() {
    TestNet::scenario_with(eager(), async |net| {
        let kept = Kept::give(net).await?;
        let pod = net.pod(1);
        drop_segments(pod).await?;
        // sled writes its own snapshot of pages at its second start.
        pod.restart().await?;
        pod.stop().await?;
        let index = pod.folder().join("index");
        let whole = tempfile::tempdir()?;
        copy_folder(&index, &whole.path().join("index"))?;
        let count = files(&index)?.len();
        ensure!(count >= 2, "the index has {count} files");
        let mut starts = 0;
        for number in 0..count {
            for hurt in HURTS.iter().map(Some).chain([None]) {
                // Always the same index, older than the journal but whole but for the one file.
                std::fs::remove_dir_all(&index)?;
                copy_folder(&whole.path().join("index"), &index)?;
                let file = &files(&index)?[number];
                let what = match hurt {
                    Some((what, hurt)) => {
                        let mut bytes = std::fs::read(file)?;
                        hurt(&mut bytes);
                        std::fs::write(file, bytes)?;
                        format!("{}: {what}", file.display())
                    }
                    None => {
                        std::fs::remove_file(file)?;
                        format!("{}: deleted", file.display())
                    }
                };
                pod.start().await.with_context(|| what.clone())?;
                kept.check(net).await.context(what)?;
                pod.kill().await?;
                starts += 1;
            }
        }
        std::fs::remove_dir_all(&index)?;
        pod.start().await.context("without an index")?;
        kept.check(net).await.context("without an index")?;
        eprintln!("{starts} damaged indexes, {count} files");
        for said in ["index is damaged", "index built from a snapshot"] {
            ensure!(
                pod.first_line_with(said).is_some(),
                "the pod does not say: {said}"
            );
        }
        // The pod goes on as any other.
        let more = pod
            .root()
            .await?
            .upload(&Upload::file("After", &Clip::Tiny.path().await?)?)
            .await?;
        pod.restart().await?;
        pod.visitor().video(&more.uuid).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_flipped_byte_in_the_journal_is_refused_or_not_needed_and_never_served() {
    TestNet::scenario_with(eager(), async |net| {
        let kept = Kept::give(net).await?;
        let pod = net.pod(1);
        drop_segments(pod).await?;
        pod.stop().await?;
        let whole = tempfile::tempdir()?;
        copy_folder(pod.folder(), whole.path())?;
        let segments = files(&pod.folder().join("journal"))?;
        ensure!(segments.len() >= 2, "{segments:?}");
        let (mut refused, mut not_needed) = (0, 0);
        for (position, segment) in segments.iter().enumerate() {
            let is_last = position + 1 == segments.len();
            if !is_last && position > 1 {
                continue; // one closed segment is like another
            }
            // In the header, then in the first frame: its length, its checksum, its content.
            for (place, part) in [(30, "header"), (51, "length"), (54, "checksum"), (90, "content")] {
                let mut bytes = std::fs::read(segment)?;
                ensure!(bytes.len() > 90 + 60, "{} is short", segment.display());
                bytes[place] ^= 0x04;
                std::fs::write(segment, bytes)?;
                let what = format!("{}: a flipped bit in its {part}", segment.display());
                match pod.start().await {
                    Ok(()) => {
                        ensure!(!is_last, "{what}: went unnoticed");
                        kept.check(net).await.with_context(|| what.clone())?;
                        not_needed += 1;
                        pod.kill().await?;
                    }
                    Err(error) => {
                        let said = format!("{error:#}");
                        ensure!(
                            said.contains("exit status: 3") && said.contains("journal is damaged"),
                            "{what}: {said}"
                        );
                        refused += 1;
                    }
                }
                std::fs::remove_dir_all(pod.folder())?;
                copy_folder(whole.path(), pod.folder())?;
            }
        }
        eprintln!("{refused} flips refused, {not_needed} in what a snapshot covers");
        ensure!(
            refused >= 4 && not_needed >= 1,
            "{refused} refused, {not_needed} not needed"
        );

        // The end of a write that a crash cut short is cut off: nobody was told that it had happened.
        let last = segments.last().context("there are segments")?;
        let length = std::fs::metadata(last)?.len();
        std::fs::write(last, [std::fs::read(last)?, vec![0, 0, 1, 0, 9, 9]].concat())?;
        pod.start().await?;
        kept.check(net).await.context("a torn end")?;
        ensure!(pod.first_line_with("unfinished write cut off").is_some());
        ensure!(std::fs::metadata(last).map_or(true, |now| now.len() != length + 6));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_folder_of_a_newer_release_is_refused_and_left_as_it_is() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        pod.root().await?;
        pod.stop().await?;
        let format = pod.folder().join("format");
        let known = std::fs::read_to_string(&format)?;
        std::fs::write(&format, "seedpod store 4711\n")?;
        let before = everything(pod.folder())?;
        ensure!(before.len() > 8, "{:?}", before.keys());
        let refused = format!(
            "{:#}",
            pod.start().await.err().context("a newer format was opened")?
        );
        ensure!(refused.contains("exit status: 3"), "{refused}");
        ensure!(
            refused.contains("the store has format 4711, this release knows up to 1"),
            "{refused}"
        );
        ensure!(
            everything(pod.folder())? == before,
            "something in the folder changed"
        );
        std::fs::write(&format, known)?;
        pod.start().await
    })
    .await;
}

/// A program that runs `seedpod` in another way.
fn wrapped(folder: &Path, command: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join("wrapped-seedpod");
    let seedpod = seedpod_binary()?;
    std::fs::write(
        &path,
        format!("#!/bin/sh\n{command} '{}' \"$@\"\n", seedpod.display()),
    )?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

fn scratch() -> TempDir {
    tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary folder: {error}"))
}

#[tokio::test]
async fn files_are_private_whatever_the_umask() {
    let folder = scratch();
    let program = wrapped(folder.path(), "umask 000; exec").unwrap_or_else(|error| panic!("{error:#}"));
    let options = Options {
        program: Some(program),
        ..eager()
    };
    TestNet::scenario_with(options, async |net| {
        let _kept = Kept::give(net).await?;
        let pod = net.pod(1);
        drop_segments(pod).await?;
        pod.restart().await?;
        let found = everything(pod.folder())?;
        ensure!(found.len() > 20, "{:?}", found.keys());
        for folder in ["journal", "snapshots", "index", "media"] {
            ensure!(
                found
                    .keys()
                    .any(|path| path.starts_with(pod.folder().join(folder))),
                "no {folder}"
            );
        }
        for (path, (mode, _)) in found {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            ensure!(mode == expected, "{} has mode {mode:o}", path.display());
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_an_interrupted_upload_left_is_swept_at_start() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let root = pod.root().await?;
        let video = root
            .upload(&Upload::file("Kept", &Clip::Tiny.path().await?)?)
            .await?;
        pod.stop().await?;
        let media = pod.folder().join("media/videos");
        let own = format!("{}-90.mp4", video.uuid);
        ensure!(media.join(&own).exists(), "{:?}", files(&media)?);
        // Placed and never published, for its pod was killed in between; and half written.
        let changed = if video.uuid.ends_with('0') { "1" } else { "0" };
        let stray = media.join(format!("{}{changed}-90.mp4", &video.uuid[..video.uuid.len() - 1]));
        let half = pod.folder().join("tmp/seedpod-half");
        for path in [&stray, &half] {
            std::fs::write(path, b"half a video")?;
        }
        pod.start().await?;
        eventually("the leftovers are gone", SOON, async || {
            ensure!(!stray.exists() && !half.exists(), "{:?}", files(pod.folder())?);
            Ok(())
        })
        .await?;
        ensure!(media.join(&own).exists());
        pod.visitor()
            .get(&format!("/static/webseed/{own}"))
            .await?
            .status(200)
            .map(drop)
    })
    .await;
}

#[tokio::test]
async fn an_answer_to_a_write_comes_after_the_sync_of_the_journal() {
    let folder = scratch();
    // -D: the pod stays our child and keeps its number ($$), the tracer becomes its companion.
    let strace = format!(
        "exec strace -D -f -yy -s 160 -o '{}'/trace.$$ -e trace=fdatasync,fsync,sendto,sendmsg,write,writev,recvfrom,recvmsg,read,readv",
        folder.path().display()
    );
    let program = wrapped(folder.path(), &strace).unwrap_or_else(|error| panic!("{error:#}"));
    let mut pods = Options::new(2);
    pods.program = Some(program);
    TestNet::scenario_with(pods, async |net| {
        let (pod, other) = (net.pod(1), net.pod(2));
        let path = Clip::Tiny.path().await?;
        let root = pod.root().await?;
        let video = root.upload(&Upload::file("Synced", &path)?).await?;
        let one = format!("/api/v1/videos/{}", video.uuid);
        root.put(&one, &json!({ "name": "Changed" })).await?.status(204)?;
        root.delete(&one).await?.status(204)?;
        root.post("/api/v1/pods/make-friends", &json!({ "hosts": [other.host()] }))
            .await?
            .status(204)?;
        root.post_nothing("/api/v1/pods/quit-friends").await?.success()?;
        pod.visitor().get("/api/v1/videos").await?.status(200)?;
        let pid = pod.pid().context("the pod runs")?;
        pod.stop().await?;
        let trace = folder.path().join(format!("trace.{pid}"));
        let trace = eventually("the tracer is done", SOON, async || {
            let trace = Trace::read(&trace)?;
            ensure!(trace.has_ended(pid), "the trace has no end");
            Ok(trace)
        })
        .await?;
        for request in [
            "POST /api/v1/users/token".to_owned(),
            "POST /api/v1/videos/upload".to_owned(),
            format!("PUT {one}"),
            format!("DELETE {one}"),
            "POST /api/v1/pods/make-friends".to_owned(),
            "POST /api/v1/pods/quit-friends".to_owned(),
        ] {
            let journal = pod.folder().join("journal");
            trace.ensure_synced_before_answer(&request, &journal)?;
        }
        Ok(())
    })
    .await;
}
