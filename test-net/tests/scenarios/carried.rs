//! Who carried how much: bytes are counted where they leave, once, by how they left; what viewers tell is believed within bounds.

use anyhow::{Context, ensure};
use seedpod_protocol::metainfo::Metainfo;
use seedpod_test_net::api::Upload;
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{TestNet, eventually};
use serde_json::{Value, json};

use crate::seeding::download;
use crate::steps::{SOON, text};

/// How often one address may have got, and given, a video within an hour, as far as a pod believes it.
const RECEIVED_TIMES: u64 = 10;
const GIVEN_TIMES: u64 = 20;

#[tokio::test]
async fn bytes_by_web_seed_and_over_tcp_are_counted_once_and_outlive_the_pod() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let clip = Clip::Mp4.path().await?;
        let size = std::fs::read(&clip)?.len() as u64;
        let root = pod.root().await?;
        let uploaded = root.upload(&Upload::file("Counted", &clip)?).await?;
        let other = root
            .upload(&Upload::file("Not asked for", &Clip::Tiny.path().await?)?)
            .await?;
        let video = pod.visitor().video(&uploaded.uuid).await?;
        ensure!(
            video["carried"]["share"].is_null(),
            "{:#}, of a video that nobody asked for",
            video["carried"]
        );

        // The whole file, a part of it, and a question that brings no bytes.
        let file = text(&video, "/files/0/fileUrl")?;
        pod.visitor().get(file).await?.status(200)?;
        pod.visitor()
            .get_range(file, "bytes=100-1099")
            .await?
            .status(206)?;
        let past = format!("bytes={size}-");
        pod.visitor().get_range(file, &past).await?.status(416)?;
        let expected = size + 1000;
        eventually("the web seed's bytes are there, each once", SOON, async || {
            let carried = carried(pod, &uploaded.uuid).await?;
            ensure!(
                number(&carried, "webSeed")? == expected,
                "{carried:#}, not {expected}"
            );
            ensure!(number(&carried, "tcp")? == 0, "{carried:#}");
            Ok(())
        })
        .await?;

        // A BitTorrent client that knows no web seed.
        let torrent = pod
            .visitor()
            .get(text(&video, "/files/0/torrentUrl")?)
            .await?
            .status(200)?;
        let torrent = Metainfo::decode(&torrent.body)?;
        let trackers: Vec<_> = torrent.announce_list.iter().flatten().cloned().collect();
        let mut http = trackers.iter().filter(|tracker| tracker.starts_with("http://"));
        let tracker = http.next().context("no tracker over HTTP")?;
        let found = download(&torrent, tracker, net.folder()).await?;
        ensure!(found.len() as u64 == size);
        let before = eventually("the client's bytes are there, each once", SOON, async || {
            let carried = carried(pod, &uploaded.uuid).await?;
            ensure!(number(&carried, "webSeed")? == expected, "{carried:#}");
            // At the end aria2 asks several times for what it waits for.
            let sent = number(&carried, "tcp")?;
            ensure!((size..2 * size).contains(&sent), "{carried:#}, of {size}");
            ensure!(
                sent == metric(pod, "tcp").await?,
                "{carried:#}, and another metric"
            );
            ensure!(expected == metric(pod, "web_seed").await?);
            Ok(carried)
        })
        .await?;
        let nothing = carried(pod, &other.uuid).await?;
        ensure!(
            number(&nothing, "webSeed")? + number(&nothing, "tcp")? == 0,
            "{nothing:#}"
        );
        ensure!(totals(pod).await? == before, "{:#}", totals(pod).await?);

        // A new run goes on where the last one stopped.
        pod.restart().await?;
        ensure!(carried(pod, &uploaded.uuid).await? == before);
        pod.visitor().get_range(file, "bytes=0-9").await?.status(206)?;
        eventually("it goes on", SOON, async || {
            let carried = carried(pod, &uploaded.uuid).await?;
            ensure!(number(&carried, "webSeed")? == expected + 10, "{carried:#}");
            Ok(())
        })
        .await?;

        // What was carried was carried, also of a video that is gone.
        let all = totals(pod).await?;
        root.delete(&format!("/api/v1/videos/{}", uploaded.uuid))
            .await?
            .status(204)?;
        ensure!(totals(pod).await? == all);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_liar_changes_nothing_beyond_a_cap() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let clip = Clip::Tiny.path().await?;
        let size = std::fs::read(&clip)?.len() as u64;
        let video = pod
            .root()
            .await?
            .upload(&Upload::file("Lied about", &clip)?)
            .await?;
        let path = format!("/api/v1/videos/{}/carried", video.uuid);
        let visitor = pod.visitor();
        let lie = json!({ "fromViewers": u64::MAX, "fromPods": u64::MAX, "given": u64::MAX });
        for _ in 0..5 {
            let answer: Value = visitor.post(&path, &lie).await?.status(200)?.json()?;
            let viewers = &answer["carried"]["viewers"];
            let believed = json!({
                "fromViewers": RECEIVED_TIMES * size,
                "fromPods": RECEIVED_TIMES * size,
                "given": GIVEN_TIMES * size,
            });
            ensure!(*viewers == believed, "{answer:#}, not {believed:#}");
        }
        // Somebody else at another address is heard.
        let neighbour = visitor.from_address("127.0.1.9".parse()?);
        let answer: Value = neighbour
            .post(&path, &json!({ "fromViewers": 7 }))
            .await?
            .status(200)?
            .json()?;
        let told = number(&answer["carried"]["viewers"], "fromViewers")?;
        ensure!(told == RECEIVED_TIMES * size + 7, "{answer:#}");
        ensure!(number(&totals(pod).await?["viewers"], "fromViewers")? == told);

        for wrong in [
            json!({ "fromViewers": -1 }),
            json!({ "fromPods": 1.5 }),
            json!({ "given": "all" }),
            json!([]),
        ] {
            visitor.post(&path, &wrong).await?.problem(400)?;
        }
        visitor
            .post(
                "/api/v1/videos/4a5e1e4b-aaab-4daf-8d8f-6c9f6e4e0f4e/carried",
                &json!({}),
            )
            .await?
            .problem(404)?;
        ensure!(number(&totals(pod).await?["viewers"], "fromViewers")? == told);
        Ok(())
    })
    .await;
}

/// Who carried a video, as a pod has it.
async fn carried(pod: &Pod, video: &str) -> anyhow::Result<Value> {
    Ok(pod.visitor().video(video).await?["carried"].clone())
}

/// Who carried all of a pod's videos.
async fn totals(pod: &Pod) -> anyhow::Result<Value> {
    let stats: Value = pod
        .visitor()
        .get("/api/v1/server/stats")
        .await?
        .status(200)?
        .json()?;
    Ok(stats["carried"].clone())
}

fn number(carried: &Value, name: &str) -> anyhow::Result<u64> {
    carried[name]
        .as_u64()
        .with_context(|| format!("{name} of {carried:#}"))
}

/// Bytes that the pod's seeder sent by one way since it started.
async fn metric(pod: &Pod, source: &str) -> anyhow::Result<u64> {
    let begin = format!("seedpod_seeder_served_bytes_total{{source=\"{source}\"}} ");
    let metrics = pod.visitor().get("/metrics").await?.text_whole();
    let line = metrics.lines().find_map(|line| line.strip_prefix(&begin));
    Ok(line.context("nothing was counted")?.parse()?)
}
