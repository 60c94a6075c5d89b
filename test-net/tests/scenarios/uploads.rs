//! Uploads: large ones, many at once, cut ones that go on, and those that are refused before they cost anything.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures::future::{join_all, try_join_all};
use reqwest::Body;
use seedpod_test_net::api::{Answer, Api, Upload};
use seedpod_test_net::big::BigVideo;
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{Options, TestNet, eventually};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::steps::{SOON, text};

const MIB: u64 = 1 << 20;

/// Where PeerTube's resumable uploads begin.
const RESUMABLE: &str = "/api/v1/videos/upload-resumable";

/// Where tus uploads begin.
const TUS: &str = "/api/v1/uploads";

/// Time for one request with a large body, on a small and busy machine.
const LONG: Duration = Duration::from_secs(300);

/// What a pod may take beside its idle memory while large uploads arrive.
const FLAT: u64 = 64 * MIB;

fn with(settings: &[(&str, &str)]) -> Options {
    Options {
        environment: settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        ..Options::new(1)
    }
}

#[tokio::test]
async fn large_uploads_side_by_side_leave_the_memory_flat() {
    TestNet::scenario_with(with(&[("SEEDPOD__VIDEO__MAX_SIZE", "2 GiB")]), async |net| {
        let pod = net.pod(1);
        let root = pod.root().await?;
        // What the first upload brings along for good: threads, caches, the image library.
        let clip = Clip::Tiny.path().await?;
        root.upload(&Upload::file("Small", &clip)?).await?;
        let idle = memory(pod, "VmRSS")?;
        forget_peak(pod)?;

        let sizes = [1024 * MIB + 7, 160 * MIB, 160 * MIB + 1, 160 * MIB + 2];
        let uploads = sizes.iter().enumerate().map(|(number, size)| {
            let (root, clip) = (root.clone(), clip.clone());
            async move {
                let video = BigVideo::of(&clip, *size)?;
                if number % 2 == 0 {
                    in_one_form(&root, &video).await
                } else {
                    let place = begin(&root, &video).await?;
                    video_of(&piece(&root, &place, &video, 0, *size).await?)
                }
            }
        });
        let uuids = try_join_all(uploads).await?;
        let peak = memory(pod, "VmHWM")?;
        ensure!(
            peak < idle + FLAT,
            "{} MiB idle, {} MiB at most while uploads arrived",
            idle / MIB,
            peak / MIB
        );
        for (uuid, size) in uuids.iter().zip(sizes) {
            let video = root.video(uuid).await?;
            ensure!(video["files"][0]["size"] == size, "{video:#}");
            check_some_bytes(&root, &video, &BigVideo::of(&clip, size)?).await?;
        }
        expect_empty_tmp(pod).await
    })
    .await;
}

#[tokio::test]
async fn uploads_racing_for_the_last_bytes_never_exceed_a_quota() {
    let size = 2 * MIB;
    let quota = (3 * size + size / 2).to_string();
    let settings = [("SEEDPOD__ROOT__VIDEO_QUOTA", quota.as_str())];
    TestNet::scenario_with(with(&settings), async |net| {
        let pod = net.pod(1);
        let root = pod.root().await?;
        let video = BigVideo::of(&Clip::Tiny.path().await?, size)?;
        let used = async || -> anyhow::Result<u64> {
            let usage: Value = root
                .get("/api/v1/users/me/video-quota-used")
                .await?
                .status(200)?
                .json()?;
            usage["videoQuotaUsed"].as_u64().context("no usage")
        };
        // A third each in one form, of unknown length, and announced.
        let racers = (0..12).map(|number| {
            let (root, video) = (root.clone(), video.clone());
            async move {
                let answer = match number % 3 {
                    0 => form_answer(&root, &video, true).await,
                    1 => form_answer(&root, &video, false).await,
                    _ => match announce(&root, &video).await {
                        // What was announced keeps its room: one too many at once comes again until it is taken.
                        Ok(answer) if answer.status == 201 => loop {
                            match piece(&root, answer.header("location"), &video, 0, size).await {
                                Ok(answer) if answer.status == 429 => {}
                                answer => break answer,
                            }
                        },
                        other => other,
                    },
                };
                answer.map(|answer| answer.status)
            }
        });
        let watch = async {
            loop {
                let bytes = used().await?;
                ensure!(bytes <= 3 * size + size / 2, "{bytes} bytes are used");
            }
        };
        let statuses = tokio::select! {
            statuses = join_all(racers) => statuses,
            over = watch => return over,
        };
        let mut taken = 0;
        for status in statuses {
            match status.context("an upload got no answer")? {
                200 => taken += 1,
                // Beyond the quota, or one too many at once.
                413 | 429 => {}
                other => anyhow::bail!("an upload was answered with {other}"),
            }
        }
        ensure!(taken <= 3, "{taken} were taken where three fit");
        // Those that were refused gave everything back: it can be filled to the last byte, and not beyond.
        for _ in taken..3 {
            in_one_form(&root, &video).await?;
        }
        ensure!(form_answer(&root, &video, true).await?.problem(413)? == "quota_reached");
        ensure!(announce(&root, &video).await?.problem(413)? == "quota_reached");
        let last = BigVideo::of(&Clip::Tiny.path().await?, size / 2)?;
        in_one_form(&root, &last).await?;
        ensure!(used().await? == 3 * size + size / 2);
        ensure!(root.videos().await?.total == 4);
        expect_empty_tmp(pod).await
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_before_it_is_sent() {
    let settings = [
        ("SEEDPOD__VIDEO__MAX_SIZE", "900 TiB"),
        ("SEEDPOD__ROOT__VIDEO_QUOTA", "800 TiB"),
    ];
    TestNet::scenario_with(with(&settings), async |net| {
        let pod = net.pod(1);
        let root = pod.root().await?;
        let tib = 1_u64 << 40;
        for (length, status, code) in [
            (950 * tib, "413", "max_file_size_reached"),
            (850 * tib, "413", "quota_reached"),
            (700 * tib, "507", "no_space"),
        ] {
            let answer = ask_first(pod, &root, length, b"").await?;
            ensure!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(code),
                "{length} bytes: {answer}"
            );
            let announced = root
                .send_body(
                    "POST",
                    RESUMABLE,
                    &[("x-upload-content-length", length.to_string())],
                    r#"{"name":"Too large"}"#,
                    LONG,
                )
                .await?;
            ensure!(announced.problem(status.parse()?)? == code);
        }
        // What may be sent is asked for, and refused as soon as it shows what it is.
        let head = "--b\r\ncontent-disposition: form-data; name=\"name\"\r\n\r\nNo video\r\n\
             --b\r\ncontent-disposition: form-data; name=\"videofile\"; filename=\"film.mp4\"\r\n\r\n";
        let start = [head.as_bytes(), &[b'x'; 64 * 1024]].concat();
        let answer = ask_first(pod, &root, 64 * MIB, &start).await?;
        ensure!(
            answer.starts_with("HTTP/1.1 100 ") && answer.contains("HTTP/1.1 415 "),
            "{answer}"
        );
        // The name alone is enough.
        let named = json!({ "name": "No video", "filename": "film.avi" });
        let length = [("x-upload-content-length", "5000".to_owned()), json_type()];
        let refused = root
            .send_body("POST", RESUMABLE, &length, named.to_string(), LONG)
            .await?;
        refused.problem(415)?;
        ensure!(root.videos().await?.total == 0);
        expect_empty_tmp(pod).await
    })
    .await;
}

#[tokio::test]
async fn an_upload_goes_on_after_cuts_and_kills_and_is_published_once() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let root = pod.root().await?;
        let video = BigVideo::of(&Clip::Tiny.path().await?, 24 * MIB + 12_345)?;
        let length = video.length();
        let place = begin(&root, &video).await?;
        ask(&root, &place, length).await?.status(308)?;

        // Pieces of odd sizes, and a kill after each: what was acknowledged is there.
        let mut offset = 0;
        for size in [1, 12, 70_001, 5 * MIB] {
            let answer = piece(&root, &place, &video, offset, offset + size)
                .await?
                .status(308)?;
            offset += size;
            ensure!(answer.header("range") == format!("bytes=0-{}", offset - 1));
            pod.kill().await?;
            pod.start().await?;
            let answer = ask(&root, &place, length).await?.status(308)?;
            ensure!(
                answer.header("range") == format!("bytes=0-{}", offset - 1),
                "after a kill"
            );
        }
        let expected = format!("bytes=0-{}", offset - 1);

        // One that was sent before, one that leaves a gap: nothing changes, and the answer says where to go on.
        for (from, to) in [(0, 1000), (offset - 10, offset), (offset + 1, offset + MIB)] {
            let answer = piece(&root, &place, &video, from, to).await?.status(308)?;
            ensure!(answer.header("range") == expected, "after {from} to {to}");
        }
        // One that overlaps what is there.
        offset += 3 * MIB;
        piece(&root, &place, &video, offset - 4 * MIB, offset)
            .await?
            .status(308)?;

        // A connection that breaks; a second request while the first hangs.
        cut_off(pod, &root, &place, &video, offset, 2 * MIB).await?;
        let hanging = hang(pod, &root, &place, &video, offset).await?;
        offset = eventually("what arrived before the cut counts", SOON, async || {
            let range = ask(&root, &place, length)
                .await?
                .status(308)?
                .header("range")
                .to_owned();
            let reached = range.rsplit_once('-').context("no range")?.1.parse::<u64>()? + 1;
            ensure!(reached > offset, "still {offset}");
            Ok(reached)
        })
        .await?;
        drop(hanging);

        // Somebody without a login, nonsense, and another length.
        let body = || Body::from(Vec::new());
        let range = [("content-range", format!("bytes */{length}"))];
        let visitor = pod.visitor();
        visitor
            .send_body("PUT", &place, &range, body(), LONG)
            .await?
            .problem(401)?;
        let wrong = [("content-range", format!("bytes */{}", length + 1))];
        root.send_body("PUT", &place, &wrong, body(), LONG)
            .await?
            .problem(400)?;
        let unknown = format!("{RESUMABLE}?upload_id={}", "0".repeat(32));
        root.send_body("PUT", &unknown, &range, body(), LONG)
            .await?
            .problem(404)?;

        // The end; and whoever lost the answer gets it again, also after a kill.
        let uuid = video_of(&piece(&root, &place, &video, offset, length).await?)?;
        ensure!(video_of(&ask(&root, &place, length).await?)? == uuid);
        pod.kill().await?;
        pod.start().await?;
        ensure!(video_of(&piece(&root, &place, &video, length - 9, length).await?)? == uuid);
        ensure!(root.videos().await?.total == 1, "published more than once");
        let seen = root.video(&uuid).await?;
        let file = root
            .get(text(&seen, "/files/0/fileUrl")?)
            .await?
            .status(200)?
            .body;
        ensure!(file == whole(&video), "the file is another than was sent");

        // One that is given up leaves nothing.
        let place = begin(&root, &video).await?;
        piece(&root, &place, &video, 0, MIB).await?.status(308)?;
        root.delete(&place).await?.status(204)?;
        ask(&root, &place, length).await?.problem(404)?;
        expect_empty_tmp(pod).await?;

        // So does one that turns out to be no video, once all of it is there.
        let nonsense = BigVideo::of(&fake_clip(net.folder())?, 50_000)?;
        let place = begin(&root, &nonsense).await?;
        piece(&root, &place, &nonsense, 0, 50_000).await?.problem(415)?;
        expect_empty_tmp(pod).await
    })
    .await;
}

#[tokio::test]
async fn tus_clients_begin_go_on_and_give_up() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let root = pod.root().await?;
        let video = BigVideo::of(&Clip::Tiny.path().await?, 3 * MIB + 5)?;
        let length = video.length();
        let tus = |headers: &[(&'static str, String)]| {
            let version = ("tus-resumable", "1.0.0".to_owned());
            [&[version], headers].concat()
        };
        let metadata = "filename dGlueS5tcDQ=,filetype dmlkZW8vbXA0,name QSB3YWxr,tags[] d2Fsaw==";
        let announced = [
            ("upload-length", length.to_string()),
            ("upload-metadata", metadata.to_owned()),
        ];
        root.send_body("POST", TUS, &announced, "", LONG)
            .await?
            .problem(412)?;
        let created = root
            .send_body("POST", TUS, &tus(&announced), "", LONG)
            .await?
            .status(201)?;
        let place = created.header("location").to_owned();
        ensure!(
            created.header("upload-expires").ends_with("GMT"),
            "no end is told"
        );

        let send = async |place: &str, from: u64, to: u64| {
            let headers = tus(&[
                ("upload-offset", from.to_string()),
                ("content-type", "application/offset+octet-stream".to_owned()),
            ]);
            let body = Body::wrap_stream(video.stream(from, to));
            root.send_body("PATCH", place, &headers, body, LONG).await
        };
        let offset = async |place: &str| {
            let answer = root
                .send_body("HEAD", place, &tus(&[]), "", LONG)
                .await?
                .status(200)?;
            ensure!(answer.header("cache-control") == "no-store");
            ensure!(answer.header("upload-length") == length.to_string());
            Ok(answer.header("upload-offset").parse::<u64>()?)
        };
        let sent = send(&place, 0, MIB).await?.status(204)?;
        ensure!(sent.header("upload-offset") == MIB.to_string());
        pod.kill().await?;
        pod.start().await?;
        ensure!(offset(&place).await? == MIB);
        send(&place, 0, MIB).await?.problem(409)?;
        send(&place, 2 * MIB, length).await?.problem(409)?;
        let done = send(&place, MIB, length).await?.status(204)?;
        let uuid = done
            .header("content-location")
            .rsplit('/')
            .next()
            .unwrap_or_default();
        let seen = root.video(uuid).await?;
        ensure!(
            seen["name"] == "A walk" && seen["tags"] == json!(["walk"]),
            "{seen:#}"
        );
        let file = root
            .get(text(&seen, "/files/0/fileUrl")?)
            .await?
            .status(200)?
            .body;
        ensure!(file == whole(&video), "the file is another than was sent");
        ensure!(offset(&place).await? == length, "a finished upload is at its end");

        let created = root.send_body("POST", TUS, &tus(&announced), "", LONG).await?;
        let place = created.status(201)?.header("location").to_owned();
        send(&place, 0, MIB).await?.status(204)?;
        root.send_body("DELETE", &place, &tus(&[]), "", LONG)
            .await?
            .status(204)?;
        send(&place, MIB, length).await?.problem(404)?;
        expect_empty_tmp(pod).await?;

        // Some environments send nothing but GET and POST: the method that counts is in a header.
        let created = root.send_body("POST", TUS, &tus(&announced), "", LONG).await?;
        let place = created.status(201)?.header("location").to_owned();
        let instead = |method: &str| ("x-http-method-override", method.to_owned());
        let patch = tus(&[
            instead("PATCH"),
            ("upload-offset", "0".to_owned()),
            ("content-type", "application/offset+octet-stream".to_owned()),
        ]);
        let body = Body::wrap_stream(video.stream(0, MIB));
        root.send_body("POST", &place, &patch, body, LONG)
            .await?
            .status(204)?;
        let head = root
            .send_body("POST", &place, &tus(&[instead("HEAD")]), "", LONG)
            .await?;
        ensure!(head.status(200)?.header("upload-offset") == MIB.to_string());
        root.send_body("POST", &place, &tus(&[]), "", LONG)
            .await?
            .problem(405)?;
        root.send_body("PATCH", &place, &tus(&[instead("PUT")]), "", LONG)
            .await?
            .problem(405)?;
        root.send_body("POST", &place, &tus(&[instead("DELETE")]), "", LONG)
            .await?
            .status(204)?;
        send(&place, MIB, length).await?.problem(404)?;
        expect_empty_tmp(pod).await
    })
    .await;
}

fn json_type() -> (&'static str, String) {
    ("content-type", "application/json".to_owned())
}

/// Announces an upload as PeerTube's clients do.
async fn announce(root: &Api, video: &BigVideo) -> anyhow::Result<Answer> {
    let headers = [
        ("x-upload-content-length", video.length().to_string()),
        ("x-upload-content-type", "video/mp4".to_owned()),
        json_type(),
    ];
    let fields = json!({ "name": "Large", "filename": "large.mp4", "tags": ["large"] });
    root.send_body("POST", RESUMABLE, &headers, fields.to_string(), LONG)
        .await
}

/// Begins an upload; returns where its bytes go.
async fn begin(root: &Api, video: &BigVideo) -> anyhow::Result<String> {
    let answer = announce(root, video).await?.status(201)?;
    let place = answer.header("location");
    ensure!(
        place.starts_with("http://localhost:") && place.contains("upload_id="),
        "{place}"
    );
    Ok(place.to_owned())
}

/// Sends the bytes of a video from `from` to before `to`.
async fn piece(root: &Api, place: &str, video: &BigVideo, from: u64, to: u64) -> anyhow::Result<Answer> {
    let headers = [
        (
            "content-range",
            format!("bytes {from}-{}/{}", to - 1, video.length()),
        ),
        ("content-length", (to - from).to_string()),
    ];
    let body = Body::wrap_stream(video.stream(from, to));
    root.send_body("PUT", place, &headers, body, LONG).await
}

/// Asks how far an upload is.
async fn ask(root: &Api, place: &str, length: u64) -> anyhow::Result<Answer> {
    let headers = [("content-range", format!("bytes */{length}"))];
    root.send_body("PUT", place, &headers, Vec::new(), LONG).await
}

/// The video that an upload became.
fn video_of(answer: &Answer) -> anyhow::Result<String> {
    let body: Value = answer.clone().status(200)?.json()?;
    Ok(text(&body, "/video/uuid")?.to_owned())
}

async fn in_one_form(root: &Api, video: &BigVideo) -> anyhow::Result<String> {
    video_of(&form_answer(root, video, true).await?)
}

/// Sends a video in a form, with its length announced or not.
async fn form_answer(root: &Api, video: &BigVideo, announced: bool) -> anyhow::Result<Answer> {
    let head = "--b\r\ncontent-disposition: form-data; name=\"name\"\r\n\r\nLarge\r\n\
         --b\r\ncontent-disposition: form-data; name=\"videofile\"; filename=\"large.mp4\"\r\n\r\n";
    let tail = "\r\n--b--\r\n";
    let length = head.len() as u64 + video.length() + tail.len() as u64;
    let mut headers = vec![("content-type", "multipart/form-data; boundary=b".to_owned())];
    if announced {
        headers.push(("content-length", length.to_string()));
    }
    let part = |text: &'static str| futures::stream::iter([Ok(bytes::Bytes::from_static(text.as_bytes()))]);
    let file = video.stream(0, video.length());
    let body = futures::StreamExt::chain(futures::StreamExt::chain(part(head), file), part(tail));
    root.send_body(
        "POST",
        "/api/v1/videos/upload",
        &headers,
        Body::wrap_stream(body),
        LONG,
    )
    .await
}

/// Sends the head of an upload that asks whether it may go on, then `body` if it may, and reads what is answered.
async fn ask_first(pod: &Pod, root: &Api, length: u64, body: &[u8]) -> anyhow::Result<String> {
    let token = root.token().context("root is logged in")?;
    let request = format!(
        "POST /api/v1/videos/upload HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\nexpect: 100-continue\r\n\
         content-type: multipart/form-data; boundary=b\r\ncontent-length: {length}\r\n\r\n",
        pod.host()
    );
    let mut socket = TcpStream::connect(pod.host()).await?;
    socket.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let reading = async {
        let mut sent = false;
        loop {
            let text = String::from_utf8_lossy(&answer).into_owned();
            if text.starts_with("HTTP/1.1 100 ") && !sent {
                socket.write_all(body).await?;
                sent = true;
            }
            // An error's body is small JSON, whose last member is always there.
            if text.trim_end().ends_with('}') {
                return anyhow::Ok(text);
            }
            ensure!(
                socket.read_buf(&mut answer).await? > 0,
                "the end came after: {text}"
            );
        }
    };
    tokio::time::timeout(SOON, reading).await.context("no answer")?
}

fn put_head(pod: &Pod, root: &Api, place: &str, video: &BigVideo, from: u64) -> anyhow::Result<String> {
    let token = root.token().context("root is logged in")?;
    let path = place.split_once("/api/").context("no place of the API")?.1;
    let length = video.length();
    Ok(format!(
        "PUT /api/{path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
         content-range: bytes {from}-{}/{length}\r\ncontent-length: {}\r\n\r\n",
        pod.host(),
        length - 1,
        length - from
    ))
}

/// Promises the rest of a video, sends so many bytes of it and hangs up.
async fn cut_off(
    pod: &Pod,
    root: &Api,
    place: &str,
    video: &BigVideo,
    from: u64,
    bytes: u64,
) -> anyhow::Result<()> {
    let mut socket = hang(pod, root, place, video, from).await?;
    let mut at = from;
    while at < from + bytes {
        let part = video.bytes(at, 64 * 1024);
        socket.write_all(&part).await?;
        at += part.len() as u64;
    }
    socket.shutdown().await?;
    Ok(())
}

/// Promises the rest of a video and sends nothing.
async fn hang(pod: &Pod, root: &Api, place: &str, video: &BigVideo, from: u64) -> anyhow::Result<TcpStream> {
    let mut socket = TcpStream::connect(pod.host()).await?;
    socket
        .write_all(put_head(pod, root, place, video, from)?.as_bytes())
        .await?;
    Ok(socket)
}

fn whole(video: &BigVideo) -> Vec<u8> {
    let mut all = Vec::new();
    while (all.len() as u64) < video.length() {
        all.extend_from_slice(&video.bytes(all.len() as u64, 1 << 20));
    }
    all
}

/// A file that begins like a video and is none.
fn fake_clip(folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    let path = folder.join("fake.mp4");
    std::fs::write(&path, b"\0\0\0\x18ftypisom\0\0\x02\0isommp41")?;
    Ok(path)
}

/// Compares parts of a file that is too large to be compared whole.
async fn check_some_bytes(root: &Api, video: &Value, sent: &BigVideo) -> anyhow::Result<()> {
    let url = text(video, "/files/0/fileUrl")?;
    for from in [0, sent.length() / 3, sent.length() - 5000] {
        let range = format!("bytes={from}-{}", from + 4999);
        let body = root.get_range(url, &range).await?.status(206)?.body;
        let mut expected = Vec::new();
        while expected.len() < 5000 {
            expected.extend_from_slice(&sent.bytes(from + expected.len() as u64, 5000 - expected.len()));
        }
        ensure!(body == expected, "bytes from {from} on are others than were sent");
    }
    Ok(())
}

async fn expect_empty_tmp(pod: &Pod) -> anyhow::Result<()> {
    eventually("nothing is left in tmp/", SOON, async || {
        let left: Vec<_> = std::fs::read_dir(pod.folder().join("tmp"))?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<std::io::Result<_>>()?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await
}

/// A figure of a pod's memory in bytes, by its name in `/proc/PID/status`.
fn memory(pod: &Pod, name: &str) -> anyhow::Result<u64> {
    let pid = pod.pid().context("the pod runs")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .with_context(|| format!("no {name}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// Begins to look for the peak of a pod's memory anew.
fn forget_peak(pod: &Pod) -> anyhow::Result<()> {
    let pid = pod.pid().context("the pod runs")?;
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").context("cannot reset the peak of the memory")
}
