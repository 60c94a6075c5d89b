//! Conversation on three pods: what is said on one is read on all, what its author or the video's origin takes back is gone from all,
//! and a report reaches those who answer for the video and nobody else.

use std::time::Duration;

use anyhow::{Context, ensure};
use seedpod_protocol::ids::{CommentId, PodId, Timestamp, VideoId};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::{Comment, Hide, Reply};
use seedpod_protocol::requests::{Refusal, Request, Response};
use seedpod_test_net::api::{Upload, Uploaded};
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{TestNet, eventually};
use serde_json::{Value, json};

use crate::attacker::{Attacker, address_of};
use crate::steps::{SOON, befriend_three, expect_equal_digests, expect_friends, expect_videos};

/// A report that finds the origin away waits longer each time, and the origin's address has changed.
const RETRIED: Duration = Duration::from_secs(60);

/// A thread as a test writes it: the words, or nothing where a comment was deleted, and what was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said(Option<String>, Vec<Said>);

fn said(text: &str, answers: Vec<Said>) -> Said {
    Said(Some(text.to_owned()), answers)
}

#[tokio::test]
async fn what_is_said_on_one_pod_is_read_on_all() {
    TestNet::scenario(3, async |net| {
        befriend_three(net).await?;
        let video = upload(net.pod(1), "Talked about").await?;
        expect_videos(net, &[&video]).await?;
        expect_threads(net, &video, &[]).await?;

        // A comment on pod 2, a reply on pod 3, an answer to that by the publisher.
        say(net.pod(2), &video, None, "What a clip!").await?;
        expect_threads(net, &video, &[said("What a clip!", vec![])]).await?;
        say(net.pod(3), &video, Some("What a clip!"), "It is rather short.").await?;
        expect_threads(
            net,
            &video,
            &[said("What a clip!", vec![said("It is rather short.", vec![])])],
        )
        .await?;
        say(
            net.pod(1),
            &video,
            Some("It is rather short."),
            "Then watch it twice.",
        )
        .await?;
        say(net.pod(3), &video, None, "<b>Bold</b> & \"quoted\"").await?;
        let whole = [
            said("<b>Bold</b> & \"quoted\"", vec![]),
            said(
                "What a clip!",
                vec![said(
                    "It is rather short.",
                    vec![said("Then watch it twice.", vec![])],
                )],
            ),
        ];
        expect_threads(net, &video, &whole).await?;
        expect_equal_digests(net).await?;
        for pod in net.pods() {
            let rows = threads(pod, &video, "?sort=-totalReplies").await?;
            ensure!(rows[0]["text"] == "What a clip!", "{rows:#}");
            ensure!(rows[0]["totalReplies"] == 2, "{rows:#}");
            ensure!(rows[0]["totalRepliesFromVideoAuthor"] == 1, "{rows:#}");
            ensure!(rows[0]["account"]["host"] == net.pod(2).host(), "{rows:#}");
            ensure!(rows[0]["account"]["name"] == "root", "{rows:#}");
            let seen = pod.visitor().video(&video.uuid).await?;
            ensure!(
                seen["comments"] == 4,
                "pod {}: {}",
                pod.number(),
                seen["comments"]
            );
        }

        // The origin hides a reply; all pods honour that, and its answer stays in the thread.
        let hidden = number_of(net.pod(1), &video, "It is rather short.").await?;
        delete(net.pod(1), &video, hidden).await?.status(204)?;
        let after = [
            whole[0].clone(),
            said("What a clip!", vec![said("Then watch it twice.", vec![])]),
        ];
        expect_threads(net, &video, &after).await?;
        // And shows it again.
        let path = format!("/api/v1/videos/{}/comments/{hidden}/approve", video.uuid);
        let root = net.pod(1).root().await?;
        root.post_nothing(&path).await?.status(204)?;
        expect_threads(net, &video, &whole).await?;

        // Who wrote it deletes it; what was answered stays.
        let first = number_of(net.pod(2), &video, "What a clip!").await?;
        delete(net.pod(2), &video, first).await?.status(204)?;
        let gone = [
            whole[0].clone(),
            Said(
                None,
                vec![said(
                    "It is rather short.",
                    vec![said("Then watch it twice.", vec![])],
                )],
            ),
        ];
        expect_threads(net, &video, &gone).await?;
        expect_equal_digests(net).await?;

        // All of it is on the disk, after a kill too.
        for pod in net.pods() {
            pod.kill().await?;
        }
        for pod in net.pods() {
            pod.start().await?;
        }
        expect_threads(net, &video, &gone).await?;
        expect_equal_digests(net).await
    })
    .await;
}

#[tokio::test]
async fn conversation_goes_on_while_the_origin_is_away_and_leaves_with_a_friend() {
    TestNet::scenario(3, async |net| {
        befriend_three(net).await?;
        let video = upload(net.pod(1), "Talked about").await?;
        expect_videos(net, &[&video]).await?;
        say(net.pod(2), &video, None, "Anybody here?").await?;
        let before = [said("Anybody here?", vec![])];
        expect_threads(net, &video, &before).await?;

        net.pod(1).kill().await?;
        say(net.pod(3), &video, Some("Anybody here?"), "I am.").await?;
        let meanwhile = [said("Anybody here?", vec![said("I am.", vec![])])];
        eventually("pods 2 and 3 go on talking", SOON, async || {
            for number in [2, 3] {
                let shown = conversation(net.pod(number), &video).await?;
                ensure!(shown == meanwhile, "pod {number} shows {shown:?}");
            }
            Ok(())
        })
        .await?;
        net.pod(1).start().await?;
        expect_threads(net, &video, &meanwhile).await?;
        expect_equal_digests(net).await?;

        // A friend who leaves takes its words along, and brings them back.
        let third = net.pod(3).root().await?;
        third
            .post_nothing("/api/v1/pods/quit-friends")
            .await?
            .status(204)?;
        eventually("the words of pod 3 have left", SOON, async || {
            for number in [1, 2] {
                let shown = conversation(net.pod(number), &video).await?;
                ensure!(shown == before, "pod {number} shows {shown:?}");
            }
            Ok(())
        })
        .await?;
        let hosts = json!({ "hosts": [net.pod(1).host(), net.pod(2).host()] });
        third
            .post("/api/v1/pods/make-friends", &hosts)
            .await?
            .status(204)?;
        expect_friends(net, &[(1, &[2, 3]), (2, &[1, 3]), (3, &[1, 2])]).await?;
        expect_threads(net, &video, &meanwhile).await?;
        expect_equal_digests(net).await?;

        // Under a video that is gone nothing is shown, and nothing is lost: every pod still holds the same.
        let root = net.pod(1).root().await?;
        root.delete(&format!("/api/v1/videos/{}", video.uuid))
            .await?
            .status(204)?;
        expect_videos(net, &[]).await?;
        for pod in net.pods() {
            let path = format!("/api/v1/videos/{}/comment-threads", video.uuid);
            pod.visitor().get(&path).await?.problem(404)?;
        }
        expect_equal_digests(net).await
    })
    .await;
}

#[tokio::test]
async fn a_report_reaches_the_origin_and_no_third_pod() {
    TestNet::scenario(3, async |net| {
        befriend_three(net).await?;
        let theirs = upload(net.pod(1), "Reported").await?;
        let own = upload(net.pod(2), "Reported at home").await?;
        expect_videos(net, &[&theirs, &own]).await?;
        say(net.pod(3), &theirs, None, "Buy my things").await?;
        expect_threads(net, &theirs, &[said("Buy my things", vec![])]).await?;
        let digests = digests(net).await?;

        // While the origin is away the report waits, and the reporter is answered all the same.
        net.pod(1).kill().await?;
        let reporter = net.pod(2).root().await?;
        let about_video = json!({
            "reason": "Not what it says",
            "predefinedReasons": ["spamOrMisleading", "rights"],
            "video": { "id": theirs.uuid },
        });
        let filed: Value = reporter
            .post("/api/v1/abuses", &about_video)
            .await?
            .status(200)?
            .json()?;
        ensure!(filed["abuse"]["id"].is_u64(), "{filed}");
        let spam = number_of(net.pod(2), &theirs, "Buy my things").await?;
        let about_comment = json!({
            "reason": "Spam",
            "video": { "id": theirs.uuid },
            "comment": { "id": spam },
        });
        reporter
            .post("/api/v1/abuses", &about_comment)
            .await?
            .status(200)?;
        let at_home = json!({ "reason": "I was wrong myself" });
        reporter
            .post(&format!("/api/v1/videos/{}/abuse", own.uuid), &at_home)
            .await?
            .status(204)?;
        // Said twice it is one report.
        reporter.post("/api/v1/abuses", &about_video).await?.status(200)?;
        let waiting = abuses(net.pod(2), "").await?;
        ensure!(waiting["total"] == 3, "{waiting:#}");
        net.pod(2).kill().await?;
        net.pod(2).start().await?;
        net.pod(1).start().await?;

        eventually("the reports arrive", RETRIED, async || {
            let at_origin = abuses(net.pod(1), "").await?;
            ensure!(at_origin["total"] == 2, "{at_origin:#}");
            let sent = abuses(net.pod(2), "").await?;
            let delivered = rows(&sent)?.iter().filter(|row| row["delivery"] == "delivered");
            ensure!(delivered.count() == 2, "{sent:#}");
            Ok(())
        })
        .await?;
        // They were on their way at the same time: which came first is chance.
        let at_origin = abuses(net.pod(1), "").await?;
        let about = |what: &'static str| {
            let mut rows = rows(&at_origin)?.iter();
            rows.find(|row| !row[what].is_null())
                .with_context(|| format!("{what}: {at_origin:#}"))
        };
        let (video, comment) = (about("video")?, about("comment")?);
        ensure!(video["reason"] == "Not what it says", "{video:#}");
        ensure!(
            video["predefinedReasons"] == json!(["spamOrMisleading", "rights"]),
            "{video:#}"
        );
        ensure!(video["video"]["uuid"] == theirs.uuid.as_str(), "{video:#}");
        ensure!(video["reporterUsername"] == "root", "{video:#}");
        ensure!(video["reporterPodHost"] == net.pod(2).host(), "{video:#}");
        ensure!(video["state"]["id"] == 1, "{video:#}");
        ensure!(comment["comment"]["text"] == "Buy my things", "{comment:#}");
        ensure!(
            comment["flaggedAccount"]["host"] == net.pod(3).host(),
            "{comment:#}"
        );
        let nothing = abuses(net.pod(3), "").await?;
        ensure!(nothing["total"] == 0, "{nothing:#}");
        ensure!(self::digests(net).await? == digests, "a report changed a catalog");

        // Administrators decide, at the origin alone, and nobody else sees any of it.
        let id = &video["id"];
        let root = net.pod(1).root().await?;
        let decision = json!({ "state": 3, "moderationComment": "It is not" });
        root.put(&format!("/api/v1/abuses/{id}"), &decision)
            .await?
            .status(204)?;
        net.pod(1).restart().await?;
        let accepted = abuses(net.pod(1), "?state=3").await?;
        ensure!(
            accepted["total"] == 1 && accepted["data"][0]["moderationComment"] == "It is not",
            "{accepted:#}"
        );
        let elsewhere = abuses(net.pod(2), "?state=3").await?;
        ensure!(elsewhere["total"] == 0, "{elsewhere:#}");
        root.delete(&format!("/api/v1/abuses/{id}")).await?.status(204)?;
        root.delete(&format!("/api/v1/abuses/{id}")).await?.problem(404)?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let root = pod.root().await?;
        let video = upload(pod, "Talked about").await?;
        let clip = Clip::Tiny.path().await?;
        let quiet = Upload::file("Quiet", &clip)?.with("commentsEnabled", "false");
        let quiet = root.upload(&quiet).await?;
        let threads = format!("/api/v1/videos/{}/comment-threads", video.uuid);
        let comments = format!("/api/v1/videos/{}/comments", video.uuid);
        let text = json!({ "text": "Hello" });
        let visitor = pod.visitor();
        visitor.post(&threads, &text).await?.problem(401)?;
        visitor
            .with_token("wrong")
            .post(&threads, &text)
            .await?
            .problem(401)?;
        for wrong in [
            json!({}),
            json!({ "text": "" }),
            json!({ "text": " \n " }),
            json!({ "text": "a\u{0}b" }),
            json!({ "text": "x".repeat(10_001) }),
        ] {
            root.post(&threads, &wrong).await?.problem(400)?;
        }
        let unknown = "/api/v1/videos/4a5e1e4b-aaab-4daf-8d8f-6c9f6e4e0f4e/comment-threads";
        visitor.get(unknown).await?.problem(404)?;
        root.post(unknown, &text).await?.problem(404)?;
        let welcome = root.post(&threads, &text).await?.status(200)?;
        let written: Value = welcome.json()?;
        let id = written["comment"]["id"].as_u64().context("an id")?;
        for (path, status) in [("hello", 400), ("999999", 404), ("-1", 400)] {
            visitor.get(&format!("{threads}/{path}")).await?.problem(status)?;
            root.post(&format!("{comments}/{path}"), &text)
                .await?
                .problem(status)?;
            root.delete(&format!("{comments}/{path}"))
                .await?
                .problem(status)?;
        }
        visitor.delete(&format!("{comments}/{id}")).await?.problem(401)?;
        for wrong in ["?sort=name", "?start=a", "?count=101"] {
            visitor.get(&format!("{threads}{wrong}")).await?.problem(400)?;
        }

        // Comments that are not welcome.
        let closed = format!("/api/v1/videos/{}/comment-threads", quiet.uuid);
        root.post(&closed, &text).await?.problem(409)?;
        let none: Value = visitor.get(&closed).await?.status(200)?.json()?;
        ensure!(none["total"] == 0 && none["data"] == json!([]), "{none}");

        // Faster than people write.
        let mut refused = None;
        for _ in 0..40 {
            let answer = root.post(&threads, &text).await?;
            if answer.status != 200 {
                refused = Some(answer);
                break;
            }
        }
        let refused = refused.context("somebody says stop")?;
        let wait: u64 = refused.header("retry-after").parse()?;
        ensure!((1..=60).contains(&wait), "{wait}");
        refused.problem(429)?;

        // Reports.
        let about = |reason: &str| json!({ "reason": reason, "video": { "id": video.id } });
        visitor
            .post("/api/v1/abuses", &about("Wrong"))
            .await?
            .problem(401)?;
        visitor.get("/api/v1/abuses").await?.problem(401)?;
        for wrong in [
            about("x"),
            about(&"x".repeat(301)),
            json!({ "reason": "No video" }),
            json!({ "reason": "A list", "video": { "id": [] } }),
            json!({ "reason": "An id", "video": { "id": "hello" } }),
            json!({ "reason": "Other", "predefinedReasons": ["other"], "video": { "id": video.id } }),
        ] {
            root.post("/api/v1/abuses", &wrong).await?.problem(400)?;
        }
        let missing = json!({ "reason": "Gone", "video": { "id": 999_999 } });
        root.post("/api/v1/abuses", &missing).await?.problem(404)?;
        root.post("/api/v1/abuses", &about(&"x".repeat(300)))
            .await?
            .status(200)?;
        root.put("/api/v1/abuses/1", &json!({ "state": 9 }))
            .await?
            .problem(400)?;
        root.put("/api/v1/abuses/99", &json!({ "state": 2 }))
            .await?
            .problem(404)?;
        root.get("/api/v1/abuses?sort=name").await?.problem(400)?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_friend_who_lies_hides_and_reports_nothing_of_others() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let video = upload(pod, "Talked about").await?;
        let (origin, _) = address_of(pod).await?;
        let attacker = Attacker::connect(PodKey::from_seed(&[0xa1; 32]), pod).await?;
        attacker.befriend().await?;
        say(pod, &video, None, "Ours").await?;
        let rows = threads(pod, &video, "").await?;
        let ours: CommentId = rows[0]["uuid"].as_str().context("a uuid")?.parse()?;
        let uuid: VideoId = video.uuid.parse()?;

        let comment = |nonce: u8, origin: PodId, reply: Option<Reply>, text: &str| Comment {
            nonce: [nonce; 16],
            video: uuid,
            origin,
            reply,
            owner: "root".to_owned(),
            display_name: Some(PAYLOAD.to_owned()),
            text: text.to_owned(),
            // It claims to be the last word for ever.
            created_at: Timestamp::from_millis(9_000_000_000_000),
            updated_at: Timestamp::from_millis(9_000_000_000_000),
        };
        let elsewhere = comment(1, attacker.key.id(), None, "Under no video");
        let headless = comment(
            2,
            origin,
            Some(Reply {
                thread: comment(9, origin, None, "").id(&attacker.key.id()),
                to: ours,
            }),
            "In no thread",
        );
        let honest = comment(3, origin, None, PAYLOAD);
        let hide = Hide {
            comment: ours,
            video: uuid,
        };
        let removal = attacker.remove(seedpod_protocol::envelope::Kind::COMMENT, ours.into(), 15)?;
        let told = vec![
            attacker.sign(elsewhere.into(), 10)?.bytes().to_vec(),
            attacker.sign(headless.into(), 11)?.bytes().to_vec(),
            attacker.sign(honest.into(), 12)?.bytes().to_vec(),
            attacker.sign(hide.into(), 13)?.bytes().to_vec(),
            removal.bytes().to_vec(),
        ];
        attacker.tell(told).await?;
        eventually("the one comment that is sound is shown", SOON, async || {
            let rows = threads(pod, &video, "?sort=createdAt").await?;
            let rows = rows.as_array().context("rows")?.iter();
            let mut texts: Vec<_> = rows.filter_map(|row| row["text"].as_str()).collect();
            texts.sort_unstable();
            ensure!(texts == [PAYLOAD, "Ours"], "{texts:?}");
            Ok(())
        })
        .await?;
        let page = pod
            .root()
            .await?
            .get(&format!("/w/{}", video.short_uuid))
            .await?
            .status(200)?
            .text_whole();
        ensure!(
            !page.contains("<img src=x"),
            "markup of a friend reached the page"
        );
        ensure!(
            page.contains("&#60;img src=x") || page.contains("&lt;img src=x"),
            "{page}"
        );

        // A report in another's name, or about another pod's things, is turned away.
        let report = |origin: PodId| seedpod_protocol::records::Report {
            origin,
            video: uuid,
            comment: None,
            reporter: "root".to_owned(),
            reason: "Because".to_owned(),
            reasons: vec![],
            created_at: Timestamp::from_millis(1),
        };
        let sound = attacker.sign(report(origin).into(), 0)?;
        let others = Attacker::connect(PodKey::from_seed(&[0xa2; 32]), pod).await?;
        let of_others = others.sign(report(origin).into(), 0)?;
        let not_ours = attacker.sign(report(attacker.key.id()).into(), 0)?;
        let ask = async |attacker: &Attacker, report: &[u8]| {
            let report = report.to_vec();
            attacker.ask(&Request::Report { report }).await
        };
        for wrong in [of_others.bytes(), not_ours.bytes()] {
            let answer = ask(&attacker, wrong).await?;
            let refused = matches!(
                answer,
                Response::Refused {
                    reason: Refusal::Malformed,
                    ..
                }
            );
            ensure!(refused, "{answer:?}");
        }
        let answer = ask(&others, of_others.bytes()).await?;
        let refused = matches!(
            answer,
            Response::Refused {
                reason: Refusal::NotAFriend,
                ..
            }
        );
        ensure!(refused, "{answer:?}");
        let answer = ask(&attacker, sound.bytes()).await?;
        ensure!(answer == Response::Told { applied: 1 }, "{answer:?}");
        let listed = abuses(pod, "").await?;
        ensure!(listed["total"] == 1, "{listed:#}");
        // More of them than people write are put off.
        let mut busy = false;
        for number in 0..40_u8 {
            let mut one = report(origin);
            one.reporter = format!("user{number}");
            let signed = attacker.sign(one.into(), 0)?;
            let answer = ask(&attacker, signed.bytes()).await?;
            busy |= matches!(
                answer,
                Response::Refused {
                    reason: Refusal::Busy,
                    ..
                }
            );
        }
        ensure!(busy, "nobody says stop");
        Ok(())
    })
    .await;
}

/// What a hostile pod may write wherever it can write.
const PAYLOAD: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>";

async fn upload(pod: &Pod, name: &str) -> anyhow::Result<Uploaded> {
    let upload = Upload::file(name, &Clip::Tiny.path().await?)?;
    pod.root().await?.upload(&upload).await
}

/// The root user of a pod says something, in answer to a comment that has these words.
async fn say(pod: &Pod, video: &Uploaded, to: Option<&str>, text: &str) -> anyhow::Result<()> {
    let place = match to {
        None => "comment-threads".to_owned(),
        Some(to) => format!("comments/{}", number_of(pod, video, to).await?),
    };
    let path = format!("/api/v1/videos/{}/{place}", video.uuid);
    let answer = pod.root().await?.post(&path, &json!({ "text": text })).await?;
    let written: Value = answer.status(200)?.json()?;
    ensure!(written["comment"]["text"] == text, "{written}");
    // Whoever wrote it sees it at once.
    let shown = number_of(pod, video, text).await?;
    ensure!(written["comment"]["id"] == shown, "{written}");
    Ok(())
}

async fn delete(pod: &Pod, video: &Uploaded, comment: u64) -> anyhow::Result<seedpod_test_net::api::Answer> {
    let path = format!("/api/v1/videos/{}/comments/{comment}", video.uuid);
    pod.root().await?.delete(&path).await
}

/// The comments that begin threads, as a pod lists them.
async fn threads(pod: &Pod, video: &Uploaded, query: &str) -> anyhow::Result<Value> {
    let path = format!("/api/v1/videos/{}/comment-threads{query}", video.uuid);
    let list: Value = pod.visitor().get(&path).await?.status(200)?.json()?;
    ensure!(
        list["total"].as_u64() == list["data"].as_array().map(|rows| rows.len() as u64),
        "{list:#}"
    );
    Ok(list["data"].clone())
}

async fn trees(pod: &Pod, video: &Uploaded) -> anyhow::Result<Vec<Value>> {
    let listed = threads(pod, video, "").await?;
    let mut trees = Vec::new();
    for root in listed.as_array().context("rows")? {
        let path = format!("/api/v1/videos/{}/comment-threads/{}", video.uuid, root["id"]);
        let tree: Value = pod.visitor().get(&path).await?.status(200)?.json()?;
        ensure!(tree["comment"]["id"] == root["id"], "{tree:#}");
        trees.push(tree);
    }
    Ok(trees)
}

/// All that is said about a video, latest thread first.
async fn conversation(pod: &Pod, video: &Uploaded) -> anyhow::Result<Vec<Said>> {
    fn read(tree: &Value) -> Said {
        let comment = &tree["comment"];
        let text = comment["text"].as_str().map(str::to_owned);
        let text = text.filter(|_| comment["isDeleted"] == false);
        let children = tree["children"].as_array().into_iter().flatten();
        Said(text, children.map(read).collect())
    }
    Ok(trees(pod, video).await?.iter().map(read).collect())
}

/// The number that a pod gives to the comment with these words.
async fn number_of(pod: &Pod, video: &Uploaded, text: &str) -> anyhow::Result<u64> {
    fn find(tree: &Value, text: &str) -> Option<u64> {
        if tree["comment"]["text"] == text {
            return tree["comment"]["id"].as_u64();
        }
        tree["children"]
            .as_array()?
            .iter()
            .find_map(|child| find(child, text))
    }
    let trees = trees(pod, video).await?;
    let found = trees.iter().find_map(|tree| find(tree, text));
    found.with_context(|| format!("pod {} shows no `{text}`", pod.number()))
}

/// Waits until every pod shows exactly this conversation.
async fn expect_threads(net: &TestNet, video: &Uploaded, expected: &[Said]) -> anyhow::Result<()> {
    eventually("every pod shows the same conversation", SOON, async || {
        for pod in net.pods() {
            let shown = conversation(pod, video).await?;
            ensure!(
                shown == expected,
                "pod {} shows {shown:?}, expected {expected:?}",
                pod.number()
            );
        }
        Ok(())
    })
    .await
}

async fn abuses(pod: &Pod, query: &str) -> anyhow::Result<Value> {
    let root = pod.root().await?;
    root.get(&format!("/api/v1/abuses{query}"))
        .await?
        .status(200)?
        .json()
}

fn rows(list: &Value) -> anyhow::Result<&Vec<Value>> {
    list["data"].as_array().context("rows")
}

async fn digests(net: &TestNet) -> anyhow::Result<Vec<String>> {
    let mut digests = Vec::new();
    for pod in net.pods() {
        digests.push(pod.visitor().state_digest().await?);
    }
    Ok(digests)
}
