//! Bad input, line by line: a clear text and the right status always, never a panic, never a half-published video.

use std::path::Path;

use anyhow::{Context, ensure};
use seedpod_test_net::api::{Api, OauthClient, Upload};
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{Options, TestNet, eventually};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::steps::{SOON, expect_friends, make_configured_friends};

/// No pod gives this to anybody.
const UNKNOWN_UUID: &str = "0af2ba0d-0000-8000-8000-00000000cafe";

#[tokio::test]
async fn a_login_that_is_wrong_says_what_is_wrong() {
    TestNet::scenario(1, async |net| {
        let visitor = net.pod(1).visitor();
        let client = visitor.oauth_client().await?;
        for (username, password) in [
            ("root", "wrong"),
            ("nobody", "test1"),
            ("root", ""),
            ("", ""),
            ("Root\u{0}", "test1"),
        ] {
            let code = visitor
                .ask_for_token(&client, username, password)
                .await?
                .problem(400)?;
            ensure!(code == "invalid_grant", "`{username}`: {code}");
        }
        let stranger = |client_id: &str, client_secret: &str| OauthClient {
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
        };
        for client in [
            stranger("nobody", &client.client_secret),
            stranger(&client.client_id, "wrong"),
            stranger("", ""),
        ] {
            let code = visitor
                .ask_for_token(&client, "root", "test1")
                .await?
                .problem(400)?;
            ensure!(code == "invalid_client", "{client:?}: {code}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn whoever_is_not_logged_in_changes_nothing() {
    TestNet::scenario(2, async |net| {
        let pod = net.pod(1);
        let video = pod
            .root()
            .await?
            .upload(&Upload::file("Not yours", &Clip::Tiny.path().await?)?)
            .await?;
        let upload = Upload::file("By a stranger", &Clip::Tiny.path().await?)?;
        let hosts = json!({ "hosts": [net.pod(2).host()] });
        let path = format!("/api/v1/videos/{}", video.uuid);
        let visitor = pod.visitor();
        for somebody in [
            visitor.clone(),
            visitor.with_token("mytoken"),
            visitor.with_token(""),
            visitor.with_token("é"),
        ] {
            somebody.try_upload(&upload).await?.problem(401)?;
            somebody
                .post("/api/v1/pods/make-friends", &hosts)
                .await?
                .problem(401)?;
            somebody
                .post("/api/v1/pods", &json!({ "host": net.pod(2).host() }))
                .await?
                .problem(401)?;
            somebody
                .post_nothing("/api/v1/pods/quit-friends")
                .await?
                .problem(401)?;
            somebody.delete("/api/v1/pods/1").await?.problem(401)?;
            somebody
                .put(&path, &json!({ "name": "Mine now" }))
                .await?
                .problem(401)?;
            somebody.delete(&path).await?.problem(401)?;
            somebody
                .post(
                    "/api/v1/video-channels",
                    &json!({ "name": "mine", "displayName": "Mine" }),
                )
                .await?
                .problem(401)?;
            somebody.get("/api/v1/users/me").await?.problem(401)?;
        }
        let seen = visitor.video(&video.uuid).await?;
        ensure!(seen["name"] == "Not yours", "{seen:#}");
        ensure!(
            visitor.videos().await?.total == 1,
            "a stranger published something"
        );
        expect_friends(net, &[(1, &[]), (2, &[])]).await
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_published_leaves_nothing_behind() {
    let small = vec![("SEEDPOD__VIDEO__MAX_SIZE".to_owned(), "400 KiB".to_owned())];
    TestNet::scenario_with(
        Options {
            environment: small,
            ..Options::new(1)
        },
        async |net| {
            let pod = net.pod(1);
            let root = pod.root().await?;
            let tiny = Clip::Tiny.path().await?;
            let bytes = std::fs::read(&tiny)?;

            // Not a video, whatever its name says; and pieces of one.
            let text = b"This is a letter, not a video. ".repeat(100);
            let mut broken = bytes.clone();
            broken.truncate(bytes.len() / 2);
            for (file_name, bytes) in [
                ("letter.mp4", text.clone()),
                ("letter.txt", text),
                ("letter.webm", vec![0; 5000]),
                ("half.mp4", broken),
                (
                    "picture.mp4",
                    [b"\xff\xd8\xff\xe0".as_slice(), &[7; 3000]].concat(),
                ),
                (
                    "matroska.webm",
                    [b"\x1a\x45\xdf\xa3".as_slice(), &[0xff; 3000]].concat(),
                ),
                ("ogg.ogv", [b"OggS".as_slice(), &[0; 3000]].concat()),
                (
                    "boxes.mp4",
                    [
                        b"\x00\x00\x00\x18ftypisom\xff\xff\xff\xffmoov".as_slice(),
                        &[0xff; 3000],
                    ]
                    .concat(),
                ),
            ] {
                let answer = root
                    .try_upload(&Upload::bytes("Not a video", file_name, bytes))
                    .await?;
                answer.problem(415).with_context(|| file_name.to_owned())?;
            }

            // Too large, too long.
            let large = [bytes.clone(), vec![7; 500 * 1024]].concat();
            root.try_upload(&Upload::bytes("Too large", "large.mp4", large))
                .await?
                .problem(413)?;
            root.try_upload(&Upload::file("Too long", &Clip::TooLong.path().await?)?)
                .await?
                .problem(400)?;

            // Nothing at all, or only half of a form.
            root.try_upload(&Upload::bytes("Empty", "empty.mp4", Vec::new()))
                .await?
                .problem(400)?;
            root.post_nothing("/api/v1/videos/upload")
                .await?
                .status_in(&[400, 415])?;
            root.post("/api/v1/videos/upload", &json!({ "name": "No file" }))
                .await?
                .status_in(&[400, 415])?;

            // Fields that are not what they should be.
            let good = || Upload::bytes("A good name", "tiny.mp4", bytes.clone());
            for upload in [
                Upload::bytes("ab", "tiny.mp4", bytes.clone()),
                Upload::bytes("", "tiny.mp4", bytes.clone()),
                Upload::bytes(&"a".repeat(121), "tiny.mp4", bytes.clone()),
                good().with("category", 125),
                good().with("category", "sports"),
                good().with("licence", 125),
                good().with("language", "klingon"),
                good().with("nsfw", "perhaps"),
                good().with("privacy", 99),
                good().with("description", "a".repeat(10_001)),
                good().with("channelId", 123_456),
                good().with("channelId", "hello"),
                good().with("tags[]", "t"),
                good().with("tags[]", "t".repeat(31)),
                ["tag1", "tag2", "tag3", "tag4", "tag5", "tag6"]
                    .iter()
                    .fold(good(), |upload, tag| upload.with("tags[]", tag)),
            ] {
                root.try_upload(&upload)
                    .await?
                    .problem(400)
                    .with_context(|| format!("{:?}", upload.fields()))?;
            }

            // A connection that ends in the middle.
            cut_off_in_the_middle(pod, &root, &bytes).await?;

            ensure!(root.videos().await?.total == 0, "something was published");
            eventually("no file is left behind", SOON, async || {
                let left = [
                    files_in(&pod.folder().join("tmp"))?,
                    files_in(&pod.folder().join("media"))?,
                ]
                .concat();
                ensure!(left.is_empty(), "{left:?}");
                Ok(())
            })
            .await?;

            // After all this, a good upload is taken.
            root.upload(&good()).await?;
            Ok(())
        },
    )
    .await;
}

#[tokio::test]
async fn lists_refuse_what_is_no_page_and_no_order() {
    TestNet::scenario(1, async |net| {
        let visitor = net.pod(1).visitor();
        for list in ["/api/v1/videos", "/api/v1/pods"] {
            for query in [
                "start=hello",
                "count=hello",
                "start=-1",
                "count=-1",
                "count=101",
                "start=1.5",
                "sort=hello",
                "sort=--name",
                "sort=-",
                "start=99999999999999999999999",
            ] {
                let answer = visitor.get(&format!("{list}?{query}")).await?;
                answer.problem(400).with_context(|| query.to_owned())?;
            }
            visitor
                .get(&format!("{list}?start=0&count=0"))
                .await?
                .status(200)?;
            visitor
                .get(&format!("{list}?start=1000&count=100&sort=-createdAt"))
                .await?
                .status(200)?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_is_no_id_is_refused() {
    TestNet::scenario(1, async |net| {
        let root = net.pod(1).root().await?;
        for id in [UNKNOWN_UUID, "123456", "kkzGLqSCt4CgkQ7GXBFfKd"] {
            let path = format!("/api/v1/videos/{id}");
            root.get(&path).await?.problem(404)?;
            root.put(&path, &json!({ "name": "Nobody's" }))
                .await?
                .problem(404)?;
            root.delete(&path).await?.problem(404)?;
        }
        for id in ["not-an-id", "..%2f..%2fidentity.key", "%00", "-1", "1e3"] {
            root.get(&format!("/api/v1/videos/{id}"))
                .await?
                .status_in(&[400, 404])?;
        }
        root.delete("/api/v1/pods/12345").await?.problem(404)?;
        for id in ["undefined", "hello", "-1", "1.5"] {
            root.delete(&format!("/api/v1/pods/{id}")).await?.problem(400)?;
        }
        root.get("/api/v1/video-channels/nobody").await?.problem(404)?;
        root.get("/api/v1/nothing-here").await?.problem(404)?;
        for path in [
            format!("/static/webseed/{UNKNOWN_UUID}-720.mp4"),
            format!("/static/torrents/{UNKNOWN_UUID}-720.torrent"),
            format!("/lazy-static/thumbnails/{UNKNOWN_UUID}.jpg"),
            format!("/lazy-static/previews/{UNKNOWN_UUID}.jpg"),
            format!("/w/{UNKNOWN_UUID}"),
            "/static/webseed/..%2f..%2fidentity.key".to_owned(),
            "/static/webseed/%2e%2e/identity.key".to_owned(),
        ] {
            root.get(&path).await?.status(404)?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn hosts_that_are_none_make_no_friends() {
    TestNet::scenario(3, async |net| {
        let root = net.pod(1).root().await?;
        let friend = net.pod(2).host();
        let bad = [
            json!({ "hosts": [] }),
            json!({ "hosts": friend }),
            json!({ "hosts": null }),
            json!({ "hosts": [17] }),
            json!({ "hosts": [""] }),
            json!({ "hosts": ["localhost:coucou"] }),
            json!({ "hosts": ["localhost:9002/path"] }),
            json!({ "hosts": ["ftp://localhost"] }),
            json!({ "hosts": ["root:test2@localhost"] }),
            json!({ "hosts": ["local host"] }),
            json!({ "hosts": [friend, friend] }),
            json!({ "hosts": [friend, format!("http://{friend}")] }),
            json!([friend]),
            json!("hello"),
        ];
        for body in bad {
            let answer = root.post("/api/v1/pods/make-friends", &body).await?;
            answer.problem(400).with_context(|| body.to_string())?;
        }
        for body in [
            json!({}),
            json!({ "host": "localhost:coucou" }),
            json!({ "host": 17 }),
            json!({ "host": [friend] }),
        ] {
            root.post("/api/v1/pods", &body)
                .await?
                .problem(400)
                .with_context(|| body.to_string())?;
        }
        expect_friends(net, &[(1, &[]), (2, &[]), (3, &[])]).await?;

        // The scheme may be written; a pod never befriends itself.
        let body = json!({ "hosts": [format!("http://{friend}/")] });
        root.post("/api/v1/pods/make-friends", &body).await?.status(204)?;
        expect_friends(net, &[(1, &[2]), (2, &[1]), (3, &[])]).await?;
        let body = json!({ "hosts": [net.pod(3).host()] });
        net.pod(3)
            .root()
            .await?
            .post("/api/v1/pods/make-friends", &body)
            .await?
            .status_in(&[204, 400])?;
        expect_friends(net, &[(1, &[2]), (2, &[1]), (3, &[])]).await?;

        // Whoever has friends is told so, before its hosts are looked at.
        make_configured_friends(net.pod(3)).await?;
        root.post_nothing("/api/v1/pods/make-friends")
            .await?
            .problem(409)?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn bodies_and_methods_that_make_no_sense_are_told_so() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let root = pod.root().await?;
        let video = root
            .upload(&Upload::file("To be changed", &Clip::Tiny.path().await?)?)
            .await?;
        let path = format!("/api/v1/videos/{}", video.uuid);
        for change in [
            json!({ "name": "ab" }),
            json!({ "name": "a".repeat(121) }),
            json!({ "category": 125 }),
            json!({ "licence": 125 }),
            json!({ "language": "klingon" }),
            json!({ "nsfw": "perhaps" }),
            json!({ "privacy": 99 }),
            json!({ "tags": ["t"] }),
            json!({ "tags": ["tag1", "tag2", "tag3", "tag4", "tag5", "tag6"] }),
            json!({ "description": "a".repeat(10_001) }),
        ] {
            root.put(&path, &change)
                .await?
                .problem(400)
                .with_context(|| change.to_string())?;
        }
        let seen: Value = root.video(&video.uuid).await?;
        ensure!(
            seen["name"] == "To be changed" && seen["tags"] == json!([]),
            "{seen:#}"
        );
        root.delete("/api/v1/videos").await?.problem(405)?;
        root.delete("/api/v1/config").await?.problem(405)?;
        pod.visitor().get("/healthz").await?.status(200)?;
        Ok(())
    })
    .await;
}

/// Sends the first half of an upload and hangs up.
async fn cut_off_in_the_middle(pod: &Pod, root: &Api, bytes: &[u8]) -> anyhow::Result<()> {
    let token = root.token().context("root is logged in")?;
    let head = "--b\r\ncontent-disposition: form-data; name=\"name\"\r\n\r\nCut off\r\n\
         --b\r\ncontent-disposition: form-data; name=\"videofile\"; filename=\"tiny.mp4\"\r\n\r\n";
    let length = head.len() + bytes.len() + "\r\n--b--\r\n".len();
    let request = format!(
        "POST /api/v1/videos/upload HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
         content-type: multipart/form-data; boundary=b\r\ncontent-length: {length}\r\n\r\n{head}",
        pod.host()
    );
    let mut socket = TcpStream::connect(pod.host()).await?;
    socket.write_all(request.as_bytes()).await?;
    socket.write_all(&bytes[..bytes.len() / 2]).await?;
    socket.flush().await?;
    Ok(())
}

/// All files in a folder and the folders in it.
fn files_in(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    if !folder.exists() {
        return Ok(files);
    }
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_in(&path)?);
        } else {
            files.push(path.display().to_string());
        }
    }
    Ok(files)
}
