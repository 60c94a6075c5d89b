//! What machines that watch a pod see: health, readiness, figures.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use seedpod_test_net::TestNet;
use seedpod_test_net::api::{Api, Upload};
use seedpod_test_net::clips::Clip;
use serde_json::Value;

use crate::steps::{SOON, befriend_three, expect_videos, text};

/// Where every figure is documented.
const DOCUMENT: &str = include_str!("../../../ARCHITECTURE.md");

#[tokio::test]
async fn every_room_shows_in_the_health_of_a_pod() {
    TestNet::scenario(1, async |net| {
        let visitor = net.pod(1).visitor();
        let health: Value = visitor.get("/healthz").await?.status(200)?.json()?;
        ensure!(health["status"] == "ok", "{health:#}");
        let rooms = health["rooms"].as_array().context("no rooms")?;
        let names = rooms
            .iter()
            .map(|room| text(room, "/name"))
            .collect::<Result<BTreeSet<_>, _>>()?;
        let expected = [
            "accounts", "audience", "catalog", "comments", "friends", "library", "meter", "mirrors",
            "outside", "peers", "reports", "search", "seeder", "store", "swarm", "tracker", "udp", "web",
        ];
        ensure!(names == BTreeSet::from(expected), "{names:?}");
        for room in rooms {
            ensure!(room["state"] == "running" && room["panics"] == 0, "{room}");
        }
        visitor.get("/readyz").await?.status(200)?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn figures_are_those_that_are_documented() {
    TestNet::scenario(3, async |net| {
        let root = net.pod(1).root().await?;
        befriend_three(net).await?;
        let video = root
            .upload(&Upload::file("Counted", &Clip::Tiny.path().await?)?)
            .await?;
        expect_videos(net, &[&video]).await?;
        root.try_upload(&Upload::bytes(
            "Refused",
            "film.mp4",
            b"this is no video".to_vec(),
        ))
        .await?
        .problem(415)?;

        let documented = documented();
        ensure!(documented.len() > 40, "the table is not found");
        for pod in net.pods() {
            let shown = shown(&pod.visitor()).await?;
            for name in &shown {
                ensure!(documented.contains_key(name), "{name} is not documented");
            }
            for (name, has_labels) in &documented {
                ensure!(
                    *has_labels || shown.contains(name),
                    "{name} is documented and not shown"
                );
            }
        }
        for (name, value) in [
            ("seedpod_panics_total", "0"),
            ("seedpod_search_videos", "1"),
            ("seedpod_library_videos", "1"),
            ("seedpod_library_uploads_total{outcome=\"Published\"}", "1"),
            ("seedpod_library_refused_total{reason=\"no_video\"}", "1"),
            ("seedpod_friends_friends", "2"),
        ] {
            seedpod_test_net::eventually("a figure", SOON, async || {
                let page = root.get("/metrics").await?.status(200)?.text_whole();
                let line = page
                    .lines()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
                ensure!(line == Some(value), "{name} is {line:?}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    })
    .await;
}

/// The figures of the table, and whether each has labels.
fn documented() -> BTreeMap<String, bool> {
    let rows = DOCUMENT
        .lines()
        .filter_map(|line| line.strip_prefix("| `seedpod_"));
    rows.filter_map(|row| {
        let mut cells = row.split('|');
        let name = cells.next()?.trim().trim_end_matches('`');
        let labels = cells.next()?.trim();
        Some((format!("seedpod_{name}"), !labels.is_empty()))
    })
    .collect()
}

/// The figures that a pod shows, by their whole names.
async fn shown(visitor: &Api) -> anyhow::Result<BTreeSet<String>> {
    let page = visitor.get("/metrics").await?.status(200)?.text_whole();
    ensure!(page.ends_with("# EOF\n"), "the page is cut");
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .map(|line| {
            let (name, kind) = line.split_once(' ').context("a figure without a type")?;
            let suffix = if kind == "counter" { "_total" } else { "" };
            Ok(format!("{name}{suffix}"))
        })
        .collect()
}
