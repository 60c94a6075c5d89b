//! Catch-up between two pods in this process, each with its own store on the disk and its own swarm on the loopback
//! network: how long a newcomer takes for everything and with how much memory, and how the cost follows what is missing.
//!
//! `cargo bench -p seedpod-actors --bench catch_up`; with `-- 100000` the newcomer also takes so many records.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark says what it found, and may fail with a panic"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use actix::prelude::*;
use seedpod_actors::catalog::catchup::CatchUp;
use seedpod_actors::catalog::messages::{Admit, AnswerFriend, GetDigest, Receive};
use seedpod_actors::catalog::{CatalogActor, CatalogMetrics};
use seedpod_actors::store::{Store, StoreOptions};
use seedpod_actors::supervise::{SuperviseMetrics, Supervisor};
use seedpod_actors::swarm::{
    Friend, PeerChanged, RequestArrived, Subscribers, Swarm, SwarmMetrics, SwarmOptions,
};
use seedpod_protocol::envelope::{Draft, Epoch, Stamp, Verified};
use seedpod_protocol::ids::{ChannelId, InfoHash, Timestamp};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::{Privacy, Record, Video, VideoFile};
use tempfile::TempDir;

/// Records signed and handed over at once while a catalog is filled.
const PART: u64 = 2_000;
/// Where the sequence numbers of a catalog begin: what is older than all of it is signed below.
const FIRST: u64 = 1_000_000;

fn main() {
    let most: Option<u64> = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap()
    })
    .block_on(async {
        println!("A newcomer takes everything\n\nrecords | seconds | records/s | requests | MB sent | MiB of memory, at most");
        for records in [10_000].into_iter().chain(most) {
            newcomer(records).await;
        }
        println!("\nOne that has all but some\n\nrecords | missing | stamps | requests | kB asked | kB sent | ms");
        for records in [1_000, 10_000, 50_000] {
            few_missing(records).await;
        }
    });
}

async fn newcomer(records: u64) {
    let (giver, taker) = (Pod::open(1).await, Pod::open(2).await);
    introduce(&giver, &taker).await;
    giver.fill(FIRST..FIRST + records).await;
    giver.served.take();
    let before = memory("VmRSS:");
    // The peak counts from here on.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let (took, applied) = taker.catch_up(&giver).await;
    assert_eq!(applied as u64, records);
    let peak = memory("VmHWM:").saturating_sub(before);
    let [requests, _, sent] = giver.served.take();
    println!(
        "{records} | {:.2} | {:.0} | {requests} | {:.1} | {}",
        took.as_secs_f64(),
        records as f64 / took.as_secs_f64(),
        sent as f64 / 1e6,
        peak / 1024
    );
    giver.close().await;
    taker.close().await;
}

async fn few_missing(records: u64) {
    let (giver, taker) = (Pod::open(1).await, Pod::open(2).await);
    introduce(&giver, &taker).await;
    giver.fill(FIRST..FIRST + records).await;
    taker.catch_up(&giver).await;
    let (mut oldest, mut newest) = (FIRST, FIRST + records);
    for missing in [1, 10, 100, 1_000] {
        for stamps in ["old", "new"] {
            let seqs = if stamps == "old" {
                oldest -= missing;
                oldest..oldest + missing
            } else {
                newest += missing;
                newest - missing..newest
            };
            giver.fill(seqs).await;
            giver.served.take();
            let (took, applied) = taker.catch_up(&giver).await;
            let [requests, asked, sent] = giver.served.take();
            assert_eq!(applied as u64, missing);
            assert_eq!(
                giver.catalog.send(GetDigest).await.unwrap(),
                taker.catalog.send(GetDigest).await.unwrap()
            );
            println!(
                "{records} | {missing} | {stamps} | {requests} | {:.1} | {:.1} | {:.1}",
                asked as f64 / 1e3,
                sent as f64 / 1e3,
                took.as_secs_f64() * 1e3
            );
        }
    }
    giver.close().await;
    taker.close().await;
}

/// A line of this process's status, in KiB.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// A catalog with its store and its swarm, which answers whoever asks.
struct Pod {
    key: PodKey,
    store: Store,
    swarm: Swarm,
    catalog: Addr<CatalogActor>,
    served: Served,
    _supervisor: Supervisor,
    _folder: TempDir,
}

/// Requests answered, bytes of them, bytes of answers.
#[derive(Clone, Default)]
struct Served(Arc<[AtomicUsize; 3]>);

impl Served {
    fn add(&self, counts: [usize; 3]) {
        for (sum, count) in self.0.iter().zip(counts) {
            sum.fetch_add(count, Relaxed);
        }
    }

    fn take(&self) -> [usize; 3] {
        self.0.each_ref().map(|count| count.swap(0, Relaxed))
    }
}

/// Answers as the friend list does for friends.
struct Answerer {
    catalog: Addr<CatalogActor>,
    served: Served,
}

impl Actor for Answerer {
    type Context = Context<Self>;
}

impl Handler<RequestArrived> for Answerer {
    type Result = ();

    fn handle(&mut self, arrived: RequestArrived, ctx: &mut Context<Self>) {
        let (catalog, served) = (self.catalog.clone(), self.served.clone());
        let asked = arrived.request.encode().unwrap().len();
        let answering = async move {
            let answer = catalog.send(AnswerFriend(arrived.request)).await.unwrap();
            let response = answer.unwrap().unwrap();
            served.add([1, asked, response.encode().unwrap().len()]);
            arrived.reply.send(response).unwrap();
        };
        ctx.spawn(answering.into_actor(self));
    }
}

impl Handler<PeerChanged> for Answerer {
    type Result = ();

    fn handle(&mut self, _: PeerChanged, _: &mut Context<Self>) {}
}

async fn introduce(one: &Pod, other: &Pod) {
    for (me, friend) in [(one, other), (other, one)] {
        let pod = friend.key.id();
        let addresses = friend.swarm.addresses();
        me.swarm.set_friends(vec![Friend { pod, addresses }]).await;
        me.catalog.send(Admit(pod)).await.unwrap();
    }
}

impl Pod {
    async fn open(seed: u8) -> Self {
        let key = || PodKey::from_seed(&[seed; 32]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let store = tokio::task::spawn_blocking(move || Store::open(&path, StoreOptions::default()));
        let store = store.await.unwrap().unwrap();
        let options = SwarmOptions {
            listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
            dial_private: true,
            ..SwarmOptions::new(key())
        };
        let (swarm, _) = Swarm::start(options, SwarmMetrics::default()).await.unwrap();
        let supervisor = Supervisor::new(SuperviseMetrics::default());
        let catalog = CatalogActor::open(
            key(),
            [seed; 8],
            store.clone(),
            swarm.clone(),
            CatalogMetrics::default(),
            supervisor.lifeline("catalog"),
        );
        let catalog = catalog.await.unwrap().start();
        let served = Served::default();
        let answerer = Answerer {
            catalog: catalog.clone(),
            served: served.clone(),
        };
        let answerer = answerer.start();
        let subscribers = Subscribers {
            envelopes: catalog.clone().recipient(),
            requests: answerer.clone().recipient(),
            peers: answerer.recipient(),
        };
        swarm.subscribe(subscribers).await;
        Self {
            key: key(),
            store,
            swarm,
            catalog,
            served,
            _supervisor: supervisor,
            _folder: folder,
        }
    }

    /// Own videos with these sequence numbers.
    async fn fill(&self, seqs: std::ops::Range<u64>) {
        let mut from = seqs.start;
        while from < seqs.end {
            let to = seqs.end.min(from + PART);
            let envelopes = (from..to).map(|seq| video(&self.key, seq)).collect();
            let receive = Receive {
                from: self.key.id(),
                envelopes,
            };
            self.catalog.send(receive).await.unwrap().unwrap();
            from = to;
        }
    }

    /// One run with another pod: how long it took, and how many records it brought.
    async fn catch_up(&self, with: &Self) -> (Duration, usize) {
        let started = Instant::now();
        let catch_up = CatchUp {
            with: with.key.id(),
            addresses: with.swarm.addresses(),
        };
        let caught_up = self.catalog.send(catch_up).await.unwrap().unwrap();
        (started.elapsed(), caught_up.applied)
    }

    async fn close(self) {
        self.swarm.shutdown().await;
        self.store.close().await;
    }
}

fn video(key: &PodKey, seq: u64) -> Verified<Record> {
    let author = key.id();
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&seq.to_be_bytes());
    let at = Timestamp::from_millis(1_700_000_000_000 + seq);
    let file = |resolution: u16| VideoFile {
        info_hash: InfoHash::from_bytes([u8::try_from(seq % 251).unwrap(); 20]),
        size: 50_000_000,
        resolution,
        width: 1280,
        height: 720,
        fps: 25,
        extension: "mp4".to_owned(),
        piece_length: 256 * 1024,
    };
    let video = Video {
        nonce,
        channel: ChannelId::derive(&author, &[7; 16]),
        owner: "root".to_owned(),
        name: format!("A walk in the garden, part {seq}"),
        description: Some("What grows there, and who lives in it. ".repeat(4)),
        category: Some(5),
        licence: None,
        language: Some("en".to_owned()),
        nsfw: false,
        tags: vec!["garden".to_owned(), "walk".to_owned()],
        support: None,
        comments_enabled: true,
        download_enabled: true,
        privacy: Privacy::Public,
        duration: 600,
        created_at: at,
        published_at: at,
        updated_at: at,
        originally_published_at: None,
        thumbnail: None,
        preview: None,
        files: vec![file(720), file(480)],
    };
    let stamp = Stamp {
        epoch: Epoch {
            counter: 1,
            tag: [1; 8],
        },
        seq,
    };
    Draft::live(&author, Record::Video(video))
        .unwrap()
        .sign(key, stamp)
        .unwrap()
}
