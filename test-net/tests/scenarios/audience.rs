//! Views and ratings on three pods: people watch and like wherever they are, and every pod ends with the same numbers.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::ensure;
use seedpod_test_net::api::{Upload, Uploaded};
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{TestNet, eventually};
use serde_json::json;

use crate::steps::{SOON, befriend_three, expect_equal_digests, expect_videos};

/// Views, likes, dislikes.
type Numbers = [u64; 3];

#[tokio::test]
async fn views_and_ratings_are_the_same_on_every_pod() {
    TestNet::scenario(3, async |net| {
        befriend_three(net).await?;
        let upload = Upload::file("Watched by many", &Clip::Tiny.path().await?)?;
        let video = net.pod(3).root().await?.upload(&upload).await?;
        let other = net.pod(1).root().await?.upload(&upload).await?;
        expect_videos(net, &[&video, &other]).await?;
        expect_numbers(net, &video, [0, 0, 0]).await?;

        // Local views on the origin alone.
        for viewer in 1..=3 {
            watch(net.pod(3), &video, viewer).await?;
        }
        expect_numbers(net, &video, [3, 0, 0]).await?;
        // From several pods; somebody who looks twice is one viewer.
        for (pod, viewer) in [(1, 1), (1, 2), (1, 2), (2, 1), (2, 1), (2, 3), (3, 1)] {
            watch(net.pod(pod), &video, viewer).await?;
        }
        expect_numbers(net, &video, [7, 0, 0]).await?;

        // One user on each pod; the last word of each counts.
        for (pod, rating) in [(1, "like"), (2, "like"), (3, "dislike"), (2, "none"), (3, "like")] {
            rate(net.pod(pod), &video, rating).await?;
        }
        expect_numbers(net, &video, [7, 2, 0]).await?;
        rate(net.pod(1), &video, "dislike").await?;
        expect_numbers(net, &video, [7, 1, 1]).await?;
        expect_numbers(net, &other, [0, 0, 0]).await?;

        // What was counted is on the disk, also where nothing was said about it yet.
        watch(net.pod(1), &video, 4).await?;
        watch(net.pod(3), &video, 4).await?;
        for number in [1, 3] {
            net.pod(number).kill().await?;
            net.pod(number).start().await?;
        }
        expect_numbers(net, &video, [9, 1, 1]).await?;
        expect_equal_digests(net).await?;

        // Lists can be sorted by them.
        let by_views = net.pod(2).visitor().get("/api/v1/videos?sort=-views").await?;
        let rows = by_views.status(200)?.json::<serde_json::Value>()?;
        ensure!(rows["data"][0]["uuid"] == video.uuid.as_str(), "{rows:#}");

        // A friend who leaves takes its numbers along.
        let root = net.pod(1).root().await?;
        root.post_nothing("/api/v1/pods/quit-friends")
            .await?
            .status(204)?;
        eventually("the numbers of the friend who left are gone", SOON, async || {
            for number in [2, 3] {
                let numbers = numbers(net.pod(number), &video).await?;
                ensure!(numbers == [6, 1, 0], "pod {number}: {numbers:?}");
            }
            Ok(())
        })
        .await
    })
    .await;
}

#[tokio::test]
async fn views_and_ratings_that_make_no_sense_are_refused() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let root = pod.root().await?;
        let video = root
            .upload(&Upload::file("Rated", &Clip::Tiny.path().await?)?)
            .await?;
        let path = |what: &str| format!("/api/v1/videos/{}/{what}", video.uuid);
        let visitor = pod.visitor();
        let like = json!({ "rating": "like" });
        visitor.put(&path("rate"), &like).await?.problem(401)?;
        visitor
            .with_token("wrong")
            .put(&path("rate"), &like)
            .await?
            .problem(401)?;
        for wrong in [
            json!({ "rating": "superb" }),
            json!({}),
            json!({ "rating": null }),
        ] {
            root.put(&path("rate"), &wrong).await?.problem(400)?;
        }
        let unknown = "/api/v1/videos/4a5e1e4b-aaab-4daf-8d8f-6c9f6e4e0f4e";
        root.put(&format!("{unknown}/rate"), &like).await?.problem(404)?;
        visitor
            .post_nothing(&format!("{unknown}/views"))
            .await?
            .problem(404)?;
        visitor
            .post_nothing("/api/v1/videos/hello/views")
            .await?
            .problem(400)?;
        for wrong in [json!({ "currentTime": -1 }), json!({ "currentTime": "soon" })] {
            visitor.post(&path("views"), &wrong).await?.problem(400)?;
        }
        visitor
            .post(&path("views"), &json!({ "currentTime": 7 }))
            .await?
            .status(204)?;

        let mine = format!("/api/v1/users/me/videos/{}/rating", video.uuid);
        visitor.get(&mine).await?.problem(401)?;
        for rating in ["none", "like", "dislike", "none"] {
            root.put(&path("rate"), &json!({ "rating": rating }))
                .await?
                .status(204)?;
            let answer: serde_json::Value = root.get(&mine).await?.status(200)?.json()?;
            ensure!(
                answer["rating"] == rating && answer["videoId"] == video.id,
                "{answer}"
            );
        }
        expect_numbers(net, &video, [1, 0, 0]).await
    })
    .await;
}

/// Somebody at an address of their own watches a video.
async fn watch(pod: &Pod, video: &Uploaded, viewer: u8) -> anyhow::Result<()> {
    let address = IpAddr::from(Ipv4Addr::new(127, 0, 1, viewer));
    pod.visitor()
        .from_address(address)
        .post_nothing(&format!("/api/v1/videos/{}/views", video.uuid))
        .await?
        .status(204)?;
    Ok(())
}

async fn rate(pod: &Pod, video: &Uploaded, rating: &str) -> anyhow::Result<()> {
    let path = format!("/api/v1/videos/{}/rate", video.uuid);
    pod.root()
        .await?
        .put(&path, &json!({ "rating": rating }))
        .await?
        .status(204)?;
    Ok(())
}

async fn numbers(pod: &Pod, video: &Uploaded) -> anyhow::Result<Numbers> {
    let seen = pod.visitor().video(&video.uuid).await?;
    Ok(["views", "likes", "dislikes"].map(|name| seen[name].as_u64().unwrap_or(u64::MAX)))
}

/// Waits until every pod shows these numbers.
async fn expect_numbers(net: &TestNet, video: &Uploaded, expected: Numbers) -> anyhow::Result<()> {
    eventually("every pod shows the same numbers", SOON, async || {
        for pod in net.pods() {
            let numbers = numbers(pod, video).await?;
            ensure!(
                numbers == expected,
                "pod {} shows {numbers:?}, expected {expected:?}",
                pod.number()
            );
        }
        Ok(())
    })
    .await
}
