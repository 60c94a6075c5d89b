//! What tests of several rooms share: a pod without its web server, on a real disk and a real loopback network.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use seedpod_protocol::digest::StateDigest;
use seedpod_protocol::envelope::{Draft, Epoch, Kind, Stamp, State, Verified};
use seedpod_protocol::ids::{ChannelId, InfoHash, ObjectId, PodId, Timestamp};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::{Card, Privacy, Profile, Record, Video, VideoFile};
use tempfile::TempDir;

use crate::catalog::messages::{GetDigest, GetEnvelope, Publish, PublishError, Replay, Subscribe};
use crate::catalog::{CatalogActor, CatalogMetrics};
use crate::friends::messages::{
    CatalogReplayed, FriendEntry, ListPods, MadeFriends, MakeFriends, ResolveError, ResolveHost, ResolvedHost,
};
use crate::friends::{FriendsActor, FriendsMetrics, FriendsOptions, Policy};
use crate::store::{Store, StoreOptions, Transaction};
use crate::supervise::{SuperviseMetrics, Supervisor};
use crate::swarm::{Subscribers, Swarm, SwarmMetrics, SwarmOptions};

const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) fn key(seed: u8) -> PodKey {
    PodKey::from_seed(&[seed; 32])
}

/// Runs a test as a pod runs: actors on a multi-thread runtime inside actix's System.
pub(crate) fn run(test: impl Future<Output = ()>) {
    System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    })
    .block_on(test);
}

/// Awaits a condition, asking again and again.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let asking = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(
        tokio::time::timeout(DEADLINE, asking).await.is_ok(),
        "not within {DEADLINE:?}: {what}"
    );
}

/// Who lives where; stands for the web servers of all pods of a test.
#[derive(Clone, Default)]
pub(crate) struct Directory(Arc<Mutex<HashMap<String, ResolvedHost>>>);

impl Actor for Directory {
    type Context = Context<Self>;
}

impl Handler<ResolveHost> for Directory {
    type Result = Result<ResolvedHost, ResolveError>;

    fn handle(&mut self, ResolveHost { host }: ResolveHost, _: &mut Context<Self>) -> Self::Result {
        let known = self
            .0
            .lock()
            .unwrap()
            .get(host.trim_start_matches("http://"))
            .cloned();
        known.ok_or(ResolveError {
            host,
            cause: "nobody lives there".to_owned(),
        })
    }
}

/// A catalog with its store and its swarm.
pub(crate) struct Base {
    pub(crate) key: PodKey,
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    pub(crate) swarm: Swarm,
    pub(crate) catalog: Addr<CatalogActor>,
    pub(crate) supervisor: Supervisor,
}

impl Base {
    pub(crate) async fn open(seed: u8) -> Self {
        Self::open_in(seed, tempfile::tempdir().unwrap()).await
    }

    pub(crate) async fn open_in(seed: u8, folder: TempDir) -> Self {
        let path = folder.path().to_owned();
        let store = tokio::task::spawn_blocking(move || Store::open(&path, StoreOptions::default()))
            .await
            .unwrap()
            .unwrap();
        let options = SwarmOptions {
            listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
            dial_private: true,
            redial: Duration::from_millis(20),
            ..SwarmOptions::new(key(seed))
        };
        let (swarm, _) = Swarm::start(options, SwarmMetrics::default()).await.unwrap();
        let supervisor = Supervisor::new(SuperviseMetrics::default());
        let catalog = CatalogActor::open(
            key(seed),
            rand::random(),
            store.clone(),
            swarm.clone(),
            CatalogMetrics::default(),
            supervisor.lifeline("catalog"),
        );
        let catalog = catalog.await.unwrap().start();
        Self {
            key: key(seed),
            folder,
            store,
            swarm,
            catalog,
            supervisor,
        }
    }

    pub(crate) fn id(&self) -> PodId {
        self.key.id()
    }

    pub(crate) async fn publish(&self, draft: Draft) -> Result<Verified<Record>, PublishError> {
        self.catalog.send(publish(draft)).await.unwrap()
    }

    pub(crate) async fn digest(&self) -> StateDigest {
        self.catalog.send(GetDigest).await.unwrap()
    }

    pub(crate) async fn envelope(&self, author: PodId, kind: Kind, object: ObjectId) -> Option<Vec<u8>> {
        let get = GetEnvelope { author, kind, object };
        self.catalog.send(get).await.unwrap()
    }

    pub(crate) async fn holds(&self, record: &Verified<Record>) -> bool {
        let header = record.header();
        let held = self.envelope(header.author, header.kind, header.object).await;
        held.is_some_and(|held| *held == **record.bytes())
    }

    /// Ends it as a power cut would, apart from what the disk already has, and answers a copy of its folder.
    pub(crate) async fn die(self) -> TempDir {
        self.swarm.shutdown().await;
        self.store.close().await;
        copy_of(self.folder.path())
    }
}

/// A friend list on top.
pub(crate) struct Pod {
    pub(crate) base: Base,
    pub(crate) friends: Addr<FriendsActor>,
    pub(crate) host: String,
}

impl Pod {
    pub(crate) async fn start(seed: u8, directory: &Directory) -> Self {
        Self::on(Base::open(seed).await, directory).await
    }

    pub(crate) async fn on(base: Base, directory: &Directory) -> Self {
        let host = format!("localhost:9{:03}", base.key.id().as_bytes()[0]);
        let url = format!("http://{host}");
        let bare = |address: String| address.split("/p2p/").next().unwrap_or_default().to_owned();
        let addresses: Vec<String> = base.swarm.addresses().into_iter().map(bare).collect();
        let lives = ResolvedHost {
            pod: base.id(),
            host: host.clone(),
            url: url.clone(),
            name: host.clone(),
            version: "0".to_owned(),
            addresses: addresses.clone(),
        };
        directory.0.lock().unwrap().insert(host.clone(), lives);
        let card = Card {
            name: host.clone(),
            version: "0".to_owned(),
            url,
            addresses,
        };
        let card = Draft::live(&base.id(), Record::Card(card)).unwrap();
        let options = FriendsOptions {
            policy: Policy::Open,
            round: Duration::from_secs(5),
            initial_score: 20,
        };
        let friends = FriendsActor::open(
            options,
            base.catalog.clone(),
            base.swarm.clone(),
            base.store.clone(),
            directory.clone().start().recipient(),
            PodKey::from_seed(&base.key.seed()),
            card.sign(&base.key, stamp(0)).unwrap(),
            FriendsMetrics::default(),
            base.supervisor.lifeline("friends"),
        );
        let friends = friends.unwrap().start();
        base.catalog
            .send(Subscribe(friends.clone().recipient()))
            .await
            .unwrap();
        let to = friends.clone().recipient();
        base.catalog.send(Replay { to }).await.unwrap().unwrap();
        friends.send(CatalogReplayed).await.unwrap().unwrap();
        let subscribers = Subscribers {
            envelopes: base.catalog.clone().recipient(),
            requests: friends.clone().recipient(),
            peers: friends.clone().recipient(),
        };
        base.swarm.subscribe(subscribers).await;
        Self { base, friends, host }
    }

    pub(crate) async fn befriend(&self, others: &[&Pod]) -> MadeFriends {
        let make = MakeFriends {
            hosts: others.iter().map(|pod| pod.host.clone()).collect(),
            only_when_alone: false,
        };
        self.friends.send(make).await.unwrap().unwrap()
    }

    pub(crate) async fn list(&self) -> Vec<FriendEntry> {
        self.friends.send(ListPods).await.unwrap()
    }

    pub(crate) async fn entry(&self, other: PodId) -> Option<FriendEntry> {
        self.list().await.into_iter().find(|entry| entry.pod == other)
    }
}

pub(crate) fn stamp(seq: u64) -> Stamp {
    let epoch = Epoch {
        counter: 1,
        tag: [1; 8],
    };
    Stamp { epoch, seq }
}

pub(crate) fn publish(draft: Draft) -> Publish {
    Publish {
        kind: draft.kind,
        object: draft.object,
        state: draft.state,
        payload: draft.payload,
        along: Transaction::new(),
    }
}

/// A record of a kind nobody knows, so that any object and state is valid.
pub(crate) fn thing(number: u16, state: State, payload: Vec<u8>) -> Draft {
    Draft {
        kind: Kind(77),
        object: ObjectId::from_bytes(&number.to_be_bytes()).unwrap(),
        state,
        payload: Record::Opaque(payload),
    }
}

pub(crate) fn profile(author: PodId, name: &str) -> Draft {
    let profile = Profile {
        name: name.to_owned(),
        description: String::new(),
        email: None,
        url: "http://localhost:9001".to_owned(),
        udp: None,
    };
    Draft::live(&author, Record::Profile(profile)).unwrap()
}

/// A public video with one torrent, whose info hash is `number` over and over.
pub(crate) fn video(author: PodId, number: u8) -> Draft {
    let at = Timestamp::from_millis(u64::from(number));
    let file = VideoFile {
        info_hash: InfoHash::from_bytes([number; 20]),
        size: 1000,
        resolution: 720,
        width: 1280,
        height: 720,
        fps: 25,
        extension: "mp4".to_owned(),
        piece_length: 16 * 1024,
    };
    let video = Video {
        nonce: [number; 16],
        channel: ChannelId::derive(&author, &[7; 16]),
        owner: "root".to_owned(),
        name: format!("Video {number}"),
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
        duration: 10,
        created_at: at,
        published_at: at,
        updated_at: at,
        originally_published_at: None,
        thumbnail: None,
        preview: None,
        files: vec![file],
    };
    Draft::live(&author, Record::Video(video)).unwrap()
}

/// A copy of a data folder, as a backup made while the pod runs would be.
pub(crate) fn copy_of(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_into(folder, copy.path());
    copy
}

fn copy_into(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_into(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
