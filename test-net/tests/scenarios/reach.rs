//! A friend that says it lives where this pod has no business: on this machine, or at an address of the pod's own network. What it says it signs;
//! the pod believes the signature and does not go there.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use seedpod_protocol::ids::{ChannelId, ContentHash, InfoHash, Timestamp};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::{Channel, Picture, Privacy, Profile, Record, Video, VideoFile};
use seedpod_test_net::process::Pod;
use seedpod_test_net::{Options, TestNet, eventually};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::attacker::Attacker;
use crate::steps::SOON;

/// Somebody on this machine who was never meant to be asked by strangers.
struct Inner {
    port: u16,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Inner {
    async fn listen() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let asked = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(Self { port, asked, task })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn a_friend_cannot_send_a_public_pod_into_its_own_network() {
    for allowed in [false, true] {
        let mut options = Options::new(1);
        options.environment = vec![("SEEDPOD__NETWORK__ALLOW_PRIVATE".to_owned(), allowed.to_string())];
        TestNet::scenario_with(options, async |net| {
            let (pod, inner) = (net.pod(1), Inner::listen().await?);
            let attacker = Attacker::connect(PodKey::from_seed(&[0x55; 32]), pod).await?;
            attacker.befriend().await?;
            for (number, host) in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"]
                .into_iter()
                .enumerate()
            {
                // The profile says where pictures and torrents are; the pod fetches them as soon as it hears of a video.
                let url = format!("http://{host}:{}", inner.port);
                let video = say(&attacker, &url, 10 * (number as u64 + 1)).await?;
                expect_listed(pod, &video).await?;
                // Somebody looks at it, and waits for what comes of the fetch.
                let shown = pod.visitor().video(&video).await?;
                let picture = shown["thumbnailPath"].as_str().context("a path")?.to_owned();
                let answer = pod.visitor().get(&picture).await?;
                ensure!(
                    answer.status != 200,
                    "there is no such picture: {}",
                    answer.status
                );
            }
            // The operator's own word is no other.
            let root = pod.root().await?;
            let host = json!({ "host": format!("127.0.0.1:{}", inner.port) });
            let refused = root.post("/api/v1/pods", &host).await?;
            let said = refused.text();
            refused.problem(502)?;
            if allowed {
                // That is how it is noticed at all.
                ensure!(inner.asked() > 0, "nobody was asked, so nothing was tried");
            } else {
                ensure!(inner.asked() == 0, "it was asked {} times", inner.asked());
                ensure!(said.contains("no public address"), "{said}");
            }
            Ok(())
        })
        .await;
    }
}

/// Says where it lives, and that it has a video.
async fn say(attacker: &Attacker, url: &str, seq: u64) -> anyhow::Result<String> {
    let profile = Profile {
        name: "A friend".to_owned(),
        description: String::new(),
        email: None,
        url: url.to_owned(),
        udp: None,
    };
    let picture = Picture {
        hash: ContentHash::of(url.as_bytes()),
        size: 1_000,
        width: 280,
        height: 157,
    };
    let id = attacker.key.id();
    let channel = Channel {
        nonce: [1; 16],
        name: "films".to_owned(),
        display_name: "Films".to_owned(),
        description: String::new(),
        owner: "root".to_owned(),
        created_at: Timestamp::EPOCH,
    };
    let video = Video {
        nonce: [seq.to_be_bytes()[7]; 16],
        channel: ChannelId::derive(&id, &[1; 16]),
        owner: "root".to_owned(),
        name: format!("To be fetched from {url}"),
        description: None,
        category: None,
        licence: None,
        language: None,
        nsfw: false,
        tags: Vec::new(),
        support: None,
        comments_enabled: true,
        download_enabled: true,
        privacy: Privacy::Public,
        duration: 9,
        created_at: Timestamp::EPOCH,
        published_at: Timestamp::EPOCH,
        updated_at: Timestamp::EPOCH,
        originally_published_at: None,
        thumbnail: Some(picture),
        preview: Some(picture),
        files: vec![VideoFile {
            info_hash: InfoHash::from_bytes([seq.to_be_bytes()[7]; 20]),
            size: 1_000,
            resolution: 240,
            width: 320,
            height: 240,
            fps: 25,
            extension: "mp4".to_owned(),
            piece_length: 16 * 1024,
        }],
    };
    let uuid = Record::Video(video.clone()).object(&id).context("an id")?;
    let records = [Record::from(profile), channel.into(), Record::Video(video)];
    for (record, seq) in records.into_iter().zip(seq..) {
        let signed = attacker.sign(record, seq)?;
        attacker.tell(vec![signed.bytes().to_vec()]).await?;
    }
    Ok(seedpod_protocol::ids::VideoId::try_from(uuid)?.to_string())
}

async fn expect_listed(pod: &Pod, uuid: &str) -> anyhow::Result<()> {
    eventually("the friend's video is listed", SOON, async || {
        let shown: Value = pod.visitor().video(uuid).await?;
        ensure!(shown["uuid"] == uuid);
        Ok(())
    })
    .await
}
