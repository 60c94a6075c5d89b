//! Videos on three pods: published, changed, removed; every pod compared with every other at each step.

use anyhow::{Context, ensure};
use seedpod_test_net::api::{Api, Upload, Uploaded};
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use seedpod_test_net::torrent::{self, Torrent};
use seedpod_test_net::{TestNet, eventually};
use serde_json::{Value, json};

use crate::steps::{
    SOON, as_seen_everywhere, at_rest, befriend_three, ensure_all_equal, expect_equal_digests, expect_videos,
    shared_part, text,
};

#[tokio::test]
async fn a_catalog_is_the_same_on_every_pod() {
    TestNet::scenario(3, async |net| {
        expect_videos(net, &[]).await?;
        befriend_three(net).await?;

        // Pod 1 publishes into a channel of its own.
        let (webm, webm_upload) = publish_with_everything(net.pod(1)).await?;
        expect_videos(net, &[&webm]).await?;
        ensure_shown_in_full(net, &webm, &webm_upload).await?;

        // Two quick uploads on pod 3, and one on pod 2.
        let root = net.pod(3).root().await?;
        let mp4_upload = Upload::file("An index at the end", &Clip::Mp4.path().await?)?;
        let ogg_upload = Upload::file("Free formats", &Clip::Ogg.path().await?)?;
        let (mp4, ogg) = tokio::try_join!(root.upload(&mp4_upload), root.upload(&ogg_upload))?;
        let tiny_upload = Upload::file("A second", &Clip::Tiny.path().await?)?;
        let tiny = net.pod(2).root().await?.upload(&tiny_upload).await?;
        expect_videos(net, &[&webm, &mp4, &ogg, &tiny]).await?;
        expect_equal_digests(net).await?;

        // Each is the same everywhere, and whoever adds its magnet gets the file that was uploaded.
        let all = [
            (&webm, Clip::WebM, 1),
            (&mp4, Clip::Mp4, 3),
            (&ogg, Clip::Ogg, 3),
            (&tiny, Clip::Tiny, 2),
        ];
        for (video, clip, origin) in all {
            ensure_same_everywhere(net, video, clip, origin)
                .await
                .with_context(|| format!("{clip:?}"))?;
        }

        // Pod 3 changes what it says about a video.
        change_everything(net, &mp4).await?;
        ensure_same_everywhere(net, &mp4, Clip::Mp4, 3).await?;
        expect_equal_digests(net).await?;

        // Pod 3 removes its two videos; nothing of them is left anywhere.
        let before = as_seen_everywhere(net, &mp4.uuid).await?;
        for video in [&mp4, &ogg] {
            root.delete(&format!("/api/v1/videos/{}", video.uuid))
                .await?
                .status(204)?;
        }
        expect_videos(net, &[&webm, &tiny]).await?;
        ensure_gone_everywhere(net, &before).await?;
        expect_equal_digests(net).await
    })
    .await;
}

#[tokio::test]
async fn a_video_is_on_its_own_pod_before_the_upload_is_answered() {
    TestNet::scenario(1, async |net| {
        let root = net.pod(1).root().await?;
        let video = root
            .upload(&Upload::file("At once", &Clip::Tiny.path().await?)?)
            .await?;
        let listed = root.videos().await?;
        ensure!(
            listed.total == 1 && listed.data[0]["uuid"] == video.uuid.as_str(),
            "{listed:?}"
        );
        let seen = root.video(&video.uuid).await?;
        torrent::add(text(&seen, "/files/0/magnetUri")?).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_friend_who_comes_later_gets_everything_and_leaves_with_nothing_of_others() {
    TestNet::scenario(2, async |net| {
        let tiny = Clip::Tiny.path().await?;
        let early = net
            .pod(1)
            .root()
            .await?
            .upload(&Upload::file("Before", &tiny)?)
            .await?;
        let own = net
            .pod(2)
            .root()
            .await?
            .upload(&Upload::file("My own", &tiny)?)
            .await?;
        let root = net.pod(2).root().await?;
        root.post("/api/v1/pods", &json!({ "host": net.pod(1).host() }))
            .await?
            .status(204)?;
        expect_videos(net, &[&early, &own]).await?;
        expect_equal_digests(net).await?;

        root.post_nothing("/api/v1/pods/quit-friends")
            .await?
            .status(204)?;
        for (pod, kept) in [(net.pod(1), &early), (net.pod(2), &own)] {
            eventually("each pod lists its own video alone", SOON, async || {
                let listed = pod.visitor().videos().await?;
                let uuids: Vec<&Value> = listed.data.iter().map(|video| &video["uuid"]).collect();
                ensure!(
                    uuids == [kept.uuid.as_str()],
                    "pod {} lists {uuids:?}",
                    pod.number()
                );
                Ok(())
            })
            .await?;
        }
        Ok(())
    })
    .await;
}

/// Publishes the WebM clip with every field set, into a new channel.
async fn publish_with_everything(pod: &Pod) -> anyhow::Result<(Uploaded, Upload)> {
    let root = pod.root().await?;
    let channel = json!({ "name": "films", "displayName": "My films", "description": "Made for a test" });
    let created: Value = root
        .post("/api/v1/video-channels", &channel)
        .await?
        .status(200)?
        .json()?;
    let channel = created.pointer("/videoChannel/id").and_then(Value::as_u64);
    let upload = Upload::file("My super name for pod 1", &Clip::WebM.path().await?)?
        .with("category", 5)
        .with("licence", 4)
        .with("language", "fr")
        .with("nsfw", true)
        .with("description", "My super description for pod 1")
        .with("tags[]", "tag1p1")
        .with("tags[]", "tag2p1")
        .with(
            "channelId",
            channel.with_context(|| format!("no number of the channel in {created}"))?,
        );
    let uploaded = root.upload(&upload).await?;
    Ok((uploaded, upload))
}

/// Checks every field of the video that [`publish_with_everything`] published, on every pod.
async fn ensure_shown_in_full(net: &TestNet, video: &Uploaded, upload: &Upload) -> anyhow::Result<()> {
    let origin = net.pod(1);
    for pod in net.pods() {
        let seen = pod.visitor().video(&video.uuid).await?;
        let expected = [
            ("/name", json!("My super name for pod 1")),
            ("/uuid", json!(video.uuid)),
            ("/shortUUID", json!(video.short_uuid)),
            ("/category/id", json!(5)),
            ("/category/label", json!("Sports")),
            ("/licence/id", json!(4)),
            ("/language/id", json!("fr")),
            ("/language/label", json!("French")),
            ("/privacy/id", json!(1)),
            ("/nsfw", json!(true)),
            ("/description", json!("My super description for pod 1")),
            ("/tags", json!(["tag1p1", "tag2p1"])),
            ("/duration", json!(Clip::WebM.seconds())),
            ("/podHost", json!(origin.host())),
            ("/author", json!("root")),
            ("/account/name", json!("root")),
            ("/account/host", json!(origin.host())),
            ("/channel/name", json!("films")),
            ("/channel/displayName", json!("My films")),
            ("/channel/host", json!(origin.host())),
            ("/isLocal", json!(pod.number() == origin.number())),
            ("/files/0/resolution/id", json!(720)),
            ("/files/0/resolution/label", json!("720p")),
            ("/files/0/size", json!(upload.size())),
            ("/url", json!(format!("{}/w/{}", origin.url(), video.short_uuid))),
        ];
        for (pointer, expected) in expected {
            let found = seen.pointer(pointer);
            ensure!(
                found == Some(&expected),
                "pod {} says {found:?} at {pointer}, not {expected}",
                pod.number()
            );
        }
        for pointer in ["/files/0/torrentUrl", "/files/0/fileUrl"] {
            let url = text(&seen, pointer)?;
            ensure!(
                url.starts_with(&format!("{}/static/", origin.url())),
                "{pointer} on pod {} is {url}",
                pod.number()
            );
        }
        let channel = pod
            .visitor()
            .get(&format!("/api/v1/video-channels/films@{}", origin.host()))
            .await?;
        let channel: Value = channel.status(200)?.json()?;
        ensure!(
            channel["description"] == "Made for a test",
            "pod {} says {channel}",
            pod.number()
        );
    }
    Ok(())
}

/// Checks that every pod says the same about a video, in lists and alone, by each of its ids; that each hands out the same
/// torrent and pictures; and that a client which adds the magnet from each pod gets the file that was uploaded.
async fn ensure_same_everywhere(
    net: &TestNet,
    video: &Uploaded,
    clip: Clip,
    origin: usize,
) -> anyhow::Result<()> {
    let seen = as_seen_everywhere(net, &video.uuid).await?;
    ensure_all_equal(&seen)?;
    let uploaded = std::fs::read(clip.path().await?)?;
    let mut handed_out: Option<HandedOut> = None;
    for (pod, seen) in net.pods().iter().zip(&seen) {
        let visitor = pod.visitor();
        let by_short = visitor.video(&video.short_uuid).await?;
        ensure!(
            at_rest(&by_short) == *seen,
            "pod {} says another thing by the short uuid",
            pod.number()
        );
        let by_number = visitor.video(&seen["id"].to_string()).await?;
        ensure!(
            at_rest(&by_number) == *seen,
            "pod {} says another thing by its own number",
            pod.number()
        );
        let listed = visitor.videos().await?;
        let row = listed
            .data
            .iter()
            .find(|row| row["uuid"] == video.uuid.as_str())
            .context("the video is listed")?;
        for field in [
            "name",
            "duration",
            "thumbnailPath",
            "previewPath",
            "shortUUID",
            "nsfw",
            "podHost",
            "isLocal",
        ] {
            ensure!(
                row[field] == seen[field],
                "the list of pod {} has another {field}: {row}",
                pod.number()
            );
        }

        ensure!(
            seen["duration"] == clip.seconds(),
            "pod {}: duration {}",
            pod.number(),
            seen["duration"]
        );
        ensure!(
            seen["files"].as_array().map(Vec::len) == Some(1),
            "pod {}: {}",
            pod.number(),
            seen["files"]
        );
        ensure!(
            seen["files"][0]["resolution"]["id"] == clip.height(),
            "pod {}: {}",
            pod.number(),
            seen["files"]
        );
        ensure!(
            seen["isLocal"] == (pod.number() == origin),
            "pod {}: isLocal {}",
            pod.number(),
            seen["isLocal"]
        );

        let given = HandedOut::by(&visitor, seen)
            .await
            .with_context(|| format!("from pod {}", pod.number()))?;
        match &handed_out {
            None => handed_out = Some(given),
            Some(first) => ensure!(
                given == *first,
                "pod {} hands out other files than pod 1",
                pod.number()
            ),
        }

        let added = torrent::add(text(seen, "/files/0/magnetUri")?).await?;
        ensure!(
            added.file == uploaded,
            "the magnet of pod {} leads to another file",
            pod.number()
        );
        let name = text(seen, "/files/0/fileUrl")?
            .rsplit('/')
            .next()
            .unwrap_or_default();
        ensure!(
            added.torrent.name == name,
            "the torrent is named {}, the file {name}",
            added.torrent.name
        );
        let host = net.pod(origin).host();
        let trackers = [
            format!("ws://{host}/tracker/socket"),
            format!("http://{host}/tracker/announce"),
            format!("udp://{host}/announce"),
        ];
        ensure!(added.magnet.trackers == trackers, "{:?}", added.magnet.trackers);
    }
    Ok(())
}

/// What a pod hands out with its own server for a video: torrent and pictures.
#[derive(PartialEq)]
struct HandedOut {
    torrent: Vec<u8>,
    thumbnail: Vec<u8>,
    preview: Vec<u8>,
}

impl HandedOut {
    async fn by(visitor: &Api, video: &Value) -> anyhow::Result<Self> {
        let torrent = visitor
            .get(&path_of(text(video, "/files/0/torrentUrl")?)?)
            .await?
            .status(200)?
            .body;
        let hash = Torrent::parse(&torrent)?.info_hash;
        ensure!(
            text(video, "/files/0/magnetUri")?.contains(&hash),
            "the torrent has another info hash, {hash}"
        );
        let mut pictures = Vec::new();
        for pointer in ["/thumbnailPath", "/previewPath"] {
            let path = text(video, pointer)?;
            ensure!(path.starts_with("/lazy-static/"), "{pointer} is {path}");
            let picture = visitor.get(path).await?.status(200)?;
            ensure!(
                picture.header("content-type") == "image/jpeg",
                "{path} is {}",
                picture.header("content-type")
            );
            ensure!(picture.body.starts_with(&[0xff, 0xd8, 0xff]), "{path} is no JPEG");
            pictures.push(picture.body);
        }
        let [thumbnail, preview] = pictures
            .try_into()
            .map_err(|_| anyhow::anyhow!("two pictures were fetched"))?;
        ensure!(
            preview.len() > thumbnail.len(),
            "the preview is not larger than the thumbnail"
        );
        Ok(Self {
            torrent,
            thumbnail,
            preview,
        })
    }
}

/// Changes every field people can change, at the origin (pod 3), and waits until every pod shows it.
async fn change_everything(net: &TestNet, video: &Uploaded) -> anyhow::Result<()> {
    let path = format!("/api/v1/videos/{}", video.uuid);
    let root = net.pod(3).root().await?;
    let before = root.video(&video.uuid).await?;
    let change = json!({
        "name": "My super video updated",
        "category": 10,
        "licence": 7,
        "language": "de",
        "nsfw": true,
        "description": "My super description updated",
        "tags": ["tagup1", "tagup2"],
    });
    root.put(&path, &change).await?.status(204)?;
    // The origin shows it at once.
    ensure!(
        root.video(&video.uuid).await?["name"] == "My super video updated",
        "the origin shows the old name"
    );

    let seen = eventually("every pod shows the new name", SOON, async || {
        let seen = as_seen_everywhere(net, &video.uuid).await?;
        for (video, number) in seen.iter().zip(1..) {
            ensure!(
                video["name"] == "My super video updated",
                "pod {number} says {}",
                video["name"]
            );
        }
        Ok(seen)
    })
    .await?;
    for (after, number) in seen.iter().zip(1..) {
        let expected = [
            ("/category/id", json!(10)),
            ("/licence/id", json!(7)),
            ("/language/id", json!("de")),
            ("/nsfw", json!(true)),
            ("/description", json!("My super description updated")),
            ("/tags", json!(["tagup1", "tagup2"])),
            // What was not changed has stayed, the torrent above all.
            ("/files/0/infoHash", before["files"][0]["infoHash"].clone()),
            ("/files/0/torrentUrl", before["files"][0]["torrentUrl"].clone()),
            ("/files/0/fileUrl", before["files"][0]["fileUrl"].clone()),
            ("/createdAt", before["createdAt"].clone()),
            ("/thumbnailPath", before["thumbnailPath"].clone()),
        ];
        for (pointer, expected) in expected {
            let found = after.pointer(pointer);
            ensure!(
                found == Some(&expected),
                "pod {number} says {found:?} at {pointer}, not {expected}"
            );
        }
        // The magnet shows the new name and leads to the same torrent.
        let magnet = text(after, "/files/0/magnetUri")?;
        ensure!(
            magnet.contains("dn=My%20super%20video%20updated"),
            "pod {number} says {magnet}"
        );
        torrent::add(magnet).await?;
        let (old, new) = (text(&before, "/updatedAt")?, text(after, "/updatedAt")?);
        ensure!(
            old.parse::<jiff::Timestamp>()? < new.parse()?,
            "pod {number} says it was updated at {new}, before at {old}"
        );
    }

    // One field alone leaves the others as they are.
    root.put(&path, &json!({ "tags": ["alone"] }))
        .await?
        .status(204)?;
    let mut expected = shared_part(&root.video(&video.uuid).await?);
    expected["updatedAt"] = Value::Null;
    expected["tags"] = seen[2]["tags"].clone();
    let mut unchanged = shared_part(&seen[2]);
    unchanged["updatedAt"] = Value::Null;
    ensure!(
        expected == unchanged,
        "the tags alone were changed, yet\n{expected:#}\nis not\n{unchanged:#}"
    );
    eventually("every pod shows the new tags", SOON, async || {
        for (video, number) in as_seen_everywhere(net, &video.uuid).await?.iter().zip(1..) {
            ensure!(
                video["tags"] == json!(["alone"]),
                "pod {number} says {}",
                video["tags"]
            );
        }
        Ok(())
    })
    .await
}

/// Checks that no pod knows the video or hands out anything of it. Takes what each pod said about it before.
async fn ensure_gone_everywhere(net: &TestNet, before: &[Value]) -> anyhow::Result<()> {
    for (pod, video) in net.pods().iter().zip(before) {
        let visitor = pod.visitor();
        let (uuid, short) = (text(video, "/uuid")?, text(video, "/shortUUID")?);
        let mut paths = vec![
            format!("/api/v1/videos/{uuid}"),
            format!("/api/v1/videos/{short}"),
            format!("/api/v1/videos/{}", video["id"]),
            format!("/w/{short}"),
        ];
        for pointer in ["/files/0/torrentUrl", "/files/0/fileUrl"] {
            paths.push(path_of(text(video, pointer)?)?);
        }
        for pointer in ["/thumbnailPath", "/previewPath"] {
            paths.push(text(video, pointer)?.to_owned());
        }
        for path in paths {
            visitor
                .get(&path)
                .await?
                .status(404)
                .with_context(|| format!("on pod {}", pod.number()))?;
        }
    }
    Ok(())
}

/// The path of a URL, to ask another pod for the same file.
fn path_of(url: &str) -> anyhow::Result<String> {
    Ok(url::Url::parse(url)
        .with_context(|| format!("no URL: {url}"))?
        .path()
        .to_owned())
}
