//! Copies of friends' videos: fetched piece by piece, across kills and lies, served when the origin is away, gone when they should be.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use seedpod_protocol::metainfo::Metainfo;
use seedpod_test_net::api::{Api, Upload, Uploaded};
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use seedpod_test_net::torrent::Torrent;
use seedpod_test_net::{Options, TestNet, eventually};
use serde_json::{Value, json};

use crate::full_disk::SmallDisk;
use crate::relay::figure;
use crate::seeding::download;
use crate::steps::{befriend_three, expect_friends, expect_videos};

/// Plans are made every two seconds at most, and a stuck copy is tried again after some.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a dead friend that is owed records has before it is let go.
const UNTIL_EJECTED: Duration = Duration::from_secs(120);

/// One copy as the API has it.
async fn copy(api: &Api, video: &Uploaded) -> anyhow::Result<Value> {
    let list: Value = api.get("/api/v1/mirrors").await?.status(200)?.json()?;
    let copies = list["data"].as_array().context("copies")?;
    let found = copies
        .iter()
        .find(|copy| copy["video"]["uuid"] == json!(video.uuid));
    Ok(found.cloned().unwrap_or(Value::Null))
}

async fn expect_state(api: &Api, video: &Uploaded, state: &str) -> anyhow::Result<Value> {
    eventually(&format!("the copy is {state}"), PATIENCE, async || {
        let copy = copy(api, video).await?;
        ensure!(copy["state"] == json!(state), "{copy}");
        Ok(copy)
    })
    .await
}

async fn keep(api: &Api, video: &Uploaded) -> anyhow::Result<()> {
    api.put(&format!("/api/v1/mirrors/videos/{}", video.uuid), &json!({}))
        .await?
        .status(204)?;
    Ok(())
}

/// The path of a video's first file at every pod that has it.
async fn path_of(pod: &Pod, video: &Uploaded) -> anyhow::Result<String> {
    let seen = pod.visitor().video(&video.uuid).await?;
    let url = seen
        .pointer("/files/0/fileUrl")
        .and_then(Value::as_str)
        .context("fileUrl")?;
    let (_, name) = url.rsplit_once('/').context("a path")?;
    Ok(format!("/static/webseed/{name}"))
}

fn on_disk(pod: &Pod, folder: &str, path: &str) -> PathBuf {
    let name = path.rsplit('/').next().unwrap_or_default();
    pod.folder().join("media").join(folder).join(name)
}

/// Some hundred pieces, so that there is a middle.
async fn long_file() -> anyhow::Result<Vec<u8>> {
    let mut bytes = std::fs::read(Clip::Tiny.path().await?)?;
    let filler = 3_000_000_u32;
    bytes.extend_from_slice(&filler.to_be_bytes());
    bytes.extend_from_slice(b"free");
    let mut state = 7_u32;
    bytes.extend((8..filler).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    }));
    Ok(bytes)
}

#[tokio::test]
async fn a_copy_is_fetched_piece_by_piece_across_lies_and_kills_and_outlives_its_origin() {
    let mut options = Options::new(3);
    // The origin is away for long, and is not to be ejected: its videos would be hidden.
    options.environment = vec![("SEEDPOD__NETWORK__INITIAL_SCORE".to_owned(), "1000".to_owned())];
    TestNet::scenario_with(options, async |net| {
        befriend_three(net).await?;
        let (mirror, other, origin) = (net.pod(1), net.pod(2), net.pod(3));
        let content = long_file().await?;
        let upload = Upload::bytes("Worth keeping", "long.mp4", content.clone());
        let video = origin.root().await?.upload(&upload).await?;
        expect_videos(net, &[&video]).await?;
        let path = path_of(mirror, &video).await?;
        let torrent_path = path.replace("webseed", "torrents").replace(".mp4", ".torrent");
        let metainfo = mirror.visitor().get(&torrent_path).await?.status(200)?.body;
        let torrent = Torrent::parse(&metainfo)?;
        ensure!(torrent.pieces.len() > 20, "{} pieces", torrent.pieces.len());

        // The origin lies from the middle on.
        let original = on_disk(origin, "videos", &path);
        let bad_piece = torrent.pieces.len() / 2;
        let good = bad_piece * torrent.piece_length;
        let mut lie = content.clone();
        lie[good + 1] ^= 1;
        std::fs::write(&original, &lie)?;

        let api = mirror.root().await?;
        keep(&api, &video).await?;
        let stuck = expect_state(&api, &video, "stuck").await?;
        ensure!(
            stuck["held"] == json!(good),
            "{stuck}, expected {good} bytes of {}",
            content.len()
        );
        ensure!(
            stuck["trouble"]
                .as_str()
                .is_some_and(|why| why.contains("signed")),
            "{stuck}"
        );
        ensure!(figure(mirror, "seedpod_mirrors_refused_pieces_total").await? >= 1);
        mirror.visitor().get(&path).await?.status(404)?;
        let told = other
            .visitor()
            .get(&format!("/w/{}", video.short_uuid))
            .await?
            .status(200)?
            .text_whole();
        ensure!(
            !told.contains(&mirror.url()),
            "a copy that is not whole was announced"
        );

        // It is killed, the origin repents, and it goes on where it was.
        mirror.kill().await?;
        std::fs::write(&original, &content)?;
        mirror.start().await?;
        let api = mirror.root().await?;
        let whole = expect_state(&api, &video, "whole").await?;
        ensure!(whole["held"] == whole["size"], "{whole}");
        let fetched = figure(mirror, "seedpod_mirrors_fetched_bytes_total").await?;
        ensure!(
            fetched == (content.len() - good) as u64,
            "{fetched} bytes were fetched after the restart"
        );

        // With the origin away it is served byte for byte, and other pods' pages name it.
        origin.kill().await?;
        let served = mirror.visitor().get(&path).await?.status(200)?;
        ensure!(served.body == content, "the copy is another file");
        let range = mirror
            .visitor()
            .get_range(&path, "bytes=100-199")
            .await?
            .status(206)?;
        ensure!(range.body[..] == content[100..200]);
        eventually("the page of another pod names the mirror", PATIENCE, async || {
            let page = other
                .visitor()
                .get(&format!("/w/{}", video.short_uuid))
                .await?
                .status(200)?;
            let policy = page.header("content-security-policy").to_owned();
            ensure!(policy.contains(&mirror.url()), "{policy}");
            ensure!(
                page.text_whole().contains(&format!("{}{path}", mirror.url())),
                "no source"
            );
            Ok(())
        })
        .await?;
        // A mirror that does not answer is named no more, and again when it does.
        mirror.kill().await?;
        eventually("the page names the mirror no more", PATIENCE, async || {
            let page = other
                .visitor()
                .get(&format!("/w/{}", video.short_uuid))
                .await?
                .status(200)?;
            ensure!(
                !page.text_whole().contains(&format!("{}{path}", mirror.url())),
                "it does"
            );
            Ok(())
        })
        .await?;
        mirror.start().await?;
        eventually("the page names the mirror again", PATIENCE, async || {
            let page = other
                .visitor()
                .get(&format!("/w/{}", video.short_uuid))
                .await?
                .status(200)?;
            ensure!(
                page.text_whole().contains(&format!("{}{path}", mirror.url())),
                "it does not"
            );
            Ok(())
        })
        .await?;

        // BitTorrent clients download from it, too, also after that restart and with nobody else to ask.
        seeds(mirror, 1).await?;
        let tracker = format!("{}/tracker/announce", mirror.url());
        let found = download(&Metainfo::decode(&metainfo)?, &tracker, net.folder()).await?;
        ensure!(found == content, "peers get another file");

        // Removed at its origin, it goes everywhere.
        origin.start().await?;
        origin
            .root()
            .await?
            .delete(&format!("/api/v1/videos/{}", video.uuid))
            .await?
            .status(204)?;
        let file = on_disk(mirror, "mirrors", &path);
        eventually("the copy is gone", PATIENCE, async || {
            ensure!(!file.exists(), "{} is there", file.display());
            ensure!(copy(&mirror.root().await?, &video).await?.is_null());
            mirror.visitor().get(&path).await?.status(404)?;
            Ok(())
        })
        .await?;
        seeds(mirror, 0).await
    })
    .await;
}

/// Waits until the pod lets peers have so many torrents.
async fn seeds(pod: &Pod, count: u64) -> anyhow::Result<()> {
    eventually(&format!("{count} torrents are seeded"), PATIENCE, async || {
        let seeded = figure(pod, "seedpod_seeder_torrents").await?;
        ensure!(seeded == count, "{seeded}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn budgets_are_kept_and_can_be_changed_while_it_runs() {
    let mut options = Options::new(2);
    options.environment = vec![("SEEDPOD__MIRROR__BY_HAND".to_owned(), "1000 B".to_owned())];
    TestNet::scenario_with(options, async |net| {
        net.befriend_all().await?;
        let (mirror, origin) = (net.pod(1), net.pod(2));
        let tiny = Clip::Tiny.path().await?;
        let root = origin.root().await?;
        let first = root.upload(&Upload::file("The first", &tiny)?).await?;
        let second = root.upload(&Upload::file("The second", &tiny)?).await?;
        expect_videos(net, &[&first, &second]).await?;
        let size = std::fs::metadata(&tiny)?.len();
        let api = mirror.root().await?;
        mirror.visitor().get("/api/v1/mirrors").await?.status(401)?;

        keep(&api, &first).await?;
        expect_state(&api, &first, "over-budget").await?;
        api.put("/api/v1/mirrors/budgets/by-hand", &json!({ "bytes": size }))
            .await?
            .status(204)?;
        expect_state(&api, &first, "whole").await?;

        // Everything of a friend: there is room for one.
        let friend = api
            .friends()
            .await?
            .data
            .first()
            .context("a friend")?
            .pod_id
            .clone();
        let budget = format!("/api/v1/mirrors/budgets/{friend}");
        api.put(&budget, &json!({ "bytes": size })).await?.status(204)?;
        expect_state(&api, &second, "whole").await?;
        let third = root.upload(&Upload::file("The third", &tiny)?).await?;
        expect_videos(net, &[&first, &second, &third]).await?;
        // The newest comes first, and no byte above the budget.
        expect_state(&api, &third, "whole").await?;
        let budgets: Value = api.get("/api/v1/mirrors/budgets").await?.status(200)?.json()?;
        for budget in budgets["data"].as_array().context("budgets")? {
            ensure!(budget["used"].as_u64() <= budget["limit"].as_u64(), "{budget}");
        }
        eventually("the second is let go", PATIENCE, async || {
            let copy = copy(&api, &second).await?;
            ensure!(copy.is_null(), "{copy}");
            Ok(())
        })
        .await?;

        // Undone, and undone again, across a restart.
        api.delete(&budget).await?.status(204)?;
        eventually("the third is let go", PATIENCE, async || {
            ensure!(copy(&api, &third).await?.is_null());
            Ok(())
        })
        .await?;
        let path = format!("/api/v1/mirrors/videos/{}", first.uuid);
        api.delete(&path).await?.status(204)?;
        api.delete(&path).await?.status(404)?;
        eventually("the first is let go", PATIENCE, async || {
            ensure!(copy(&api, &first).await?.is_null());
            Ok(())
        })
        .await?;
        keep(&api, &first).await?;
        expect_state(&api, &first, "whole").await?;
        mirror.restart().await?;
        expect_state(&mirror.root().await?, &first, "whole").await?;
        keep(&origin.root().await?, &first)
            .await
            .err()
            .context("an origin keeps no copy of its own")?;

        // When the friendship ends, the copies go.
        mirror
            .root()
            .await?
            .post_nothing("/api/v1/pods/quit-friends")
            .await?
            .status(204)?;
        let file = on_disk(mirror, "mirrors", &path_of(origin, &first).await?);
        eventually("the copy is gone", PATIENCE, async || {
            ensure!(!file.exists(), "{} is there", file.display());
            Ok(())
        })
        .await
    })
    .await;
}

#[tokio::test]
async fn a_copy_that_the_disk_has_no_room_for_waits_without_a_byte() {
    let disk = SmallDisk::mount().unwrap_or_else(|error| panic!("{error:#}"));
    let options = Options {
        folder: Some(disk.folder.path().to_owned()),
        ..Options::new(2)
    };
    TestNet::scenario_with(options, async |net| {
        net.befriend_all().await?;
        let (mirror, origin) = (net.pod(1), net.pod(2));
        let content = long_file().await?;
        let upload = Upload::bytes("Large", "long.mp4", content.clone());
        let video = origin.root().await?.upload(&upload).await?;
        expect_videos(net, &[&video]).await?;
        // Room for the file, and not for what media leave to the rest of the pod.
        disk.fill_but(9 << 20)?;
        let api = mirror.root().await?;
        keep(&api, &video).await?;
        let stuck = expect_state(&api, &video, "stuck").await?;
        ensure!(
            stuck["trouble"]
                .as_str()
                .is_some_and(|why| why.contains("no room")),
            "{stuck}"
        );
        ensure!(
            stuck["held"] == json!(0) && figure(mirror, "seedpod_mirrors_fetched_bytes_total").await? == 0
        );
        mirror.visitor().get("/readyz").await?.status(200)?;

        std::fs::remove_file(disk.filler())?;
        expect_state(&api, &video, "whole").await?;
        let served = mirror
            .visitor()
            .get(&path_of(origin, &video).await?)
            .await?
            .status(200)?;
        ensure!(served.body == content);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn of_a_friend_that_was_let_go_those_videos_stay_that_are_kept() {
    TestNet::scenario(2, async |net| {
        let (mirror, origin) = (net.pod(1), net.pod(2));
        let api = mirror.root().await?;
        api.post("/api/v1/pods", &json!({ "host": origin.host() }))
            .await?
            .status(204)?;
        expect_friends(net, &[(1, &[2]), (2, &[1])]).await?;
        let clip = Clip::Tiny.path().await?;
        let theirs = origin.root().await?;
        let kept = theirs.upload(&Upload::file("Kept", &clip)?).await?;
        let other = theirs.upload(&Upload::file("Not kept", &clip)?).await?;
        expect_videos(net, &[&kept, &other]).await?;
        keep(&api, &kept).await?;
        expect_state(&api, &kept, "whole").await?;
        let path = path_of(mirror, &kept).await?;

        origin.kill().await?;
        // A friend that is owed nothing is kept.
        api.upload(&Upload::file("Published meanwhile", &clip)?).await?;
        eventually("the origin is let go", UNTIL_EJECTED, async || {
            let list: Value = api.get("/api/v1/pods?state=all").await?.status(200)?.json()?;
            ensure!(list["data"][0]["state"] == "ejected", "{list:#}");
            Ok(())
        })
        .await?;
        let only_the_kept_one = async || {
            let visitor = mirror.visitor();
            visitor
                .get(&format!("/api/v1/videos/{}", other.uuid))
                .await?
                .problem(404)?;
            let list = visitor.videos().await?;
            ensure!(list.total == 2, "{:#?}", list.data);
            let page = format!("/w/{}", kept.short_uuid);
            visitor.get(&page).await?.status(200)?;
            let file = visitor.get(&path).await?.status(200)?;
            ensure!(file.body == std::fs::read(&clip)?);
            visitor
                .post_nothing(&format!("/api/v1/videos/{}/views", kept.uuid))
                .await?
                .status(204)?;
            ensure!(figure(mirror, "seedpod_search_videos").await? == 2);
            Ok(())
        };
        only_the_kept_one().await?;

        // After a restart no less.
        mirror.restart().await?;
        eventually("it is the same after a restart", PATIENCE, only_the_kept_one).await
    })
    .await;
}
