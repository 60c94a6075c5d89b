//! How a swarm behaves, over real TCP on the loopback address and in memory: one suite, two grounds. Nothing sleeps: each step
//! awaits a condition, up to [`DEADLINE`].
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod rogues;
mod weather;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::{Actor, Context, Handler, System};
use seedpod_protocol::{
    ids::PodId,
    requests::{Refusal as Refused, Request, Response},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::{
    memory::Network,
    testing::{key, record, tampered},
    *,
};

const DEADLINE: Duration = Duration::from_secs(20);

/// Runs a test as a pod runs: actors on a multi-thread runtime inside actix's System.
fn run(test: impl Future<Output = ()>) {
    System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    })
    .block_on(async { within(test).await });
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future)
        .await
        .expect("the condition holds before the deadline")
}

/// What the ear does with a request.
#[derive(Clone)]
enum Manner {
    Answer(Response),
    Drop,
    Keep,
}

/// Hears everything a swarm tells.
struct Ear {
    envelopes: mpsc::UnboundedSender<EnvelopeArrived>,
    changes: mpsc::UnboundedSender<PeerChanged>,
    manner: Manner,
    /// Whether it finds records new; asked for each.
    news: Arc<AtomicBool>,
    kept: Vec<oneshot::Sender<Response>>,
}

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<EnvelopeArrived> for Ear {
    type Result = ();

    fn handle(&mut self, mut arrived: EnvelopeArrived, _: &mut Self::Context) {
        let news = std::mem::replace(&mut arrived.news, oneshot::channel().0);
        self.envelopes.send(arrived).ok();
        news.send(self.news.load(Ordering::Relaxed)).ok();
    }
}

impl Handler<PeerChanged> for Ear {
    type Result = ();

    fn handle(&mut self, change: PeerChanged, _: &mut Self::Context) {
        self.changes.send(change).ok();
    }
}

impl Handler<RequestArrived> for Ear {
    type Result = ();

    fn handle(&mut self, arrived: RequestArrived, _: &mut Self::Context) {
        match &self.manner {
            Manner::Answer(response) => {
                arrived.reply.send(response.clone()).ok();
            }
            Manner::Drop => {}
            Manner::Keep => self.kept.push(arrived.reply),
        }
    }
}

/// One pod's swarm and what it told.
struct Pod {
    id: PodId,
    swarm: Swarm,
    task: JoinHandle<()>,
    metrics: SwarmMetrics,
    news: Arc<AtomicBool>,
    envelopes: mpsc::UnboundedReceiver<EnvelopeArrived>,
    changes: mpsc::UnboundedReceiver<PeerChanged>,
}

/// Where the pods of a test meet.
#[derive(Clone)]
enum Ground {
    Loopback,
    Memory(Network),
}

impl Ground {
    fn memory() -> Self {
        Self::Memory(Network::new(1))
    }

    fn options(&self, n: u8) -> SwarmOptions {
        let listen = match self {
            Self::Loopback => "/ip4/127.0.0.1/tcp/0",
            Self::Memory(_) => "/memory/0",
        };
        SwarmOptions {
            listen: vec![listen.to_owned()],
            dial_private: true,
            redial: Duration::from_millis(50),
            redial_ceiling: Duration::from_millis(400),
            ..SwarmOptions::new(key(n))
        }
    }

    async fn start(
        &self,
        options: SwarmOptions,
        metrics: SwarmMetrics,
    ) -> Result<(Swarm, JoinHandle<()>), SwarmError> {
        match self {
            Self::Loopback => Swarm::start(options, metrics).await,
            Self::Memory(network) => network.start(options, metrics).await,
        }
    }

    async fn pod(&self, n: u8) -> Pod {
        self.pod_with(self.options(n), Manner::Answer(Response::Friends(vec![])))
            .await
    }

    async fn pod_with(&self, options: SwarmOptions, manner: Manner) -> Pod {
        let (id, metrics) = (options.key.id(), SwarmMetrics::default());
        let (swarm, task) = self
            .start(options, metrics.clone())
            .await
            .expect("a free address");
        let (tell_envelopes, envelopes) = mpsc::unbounded_channel();
        let (tell_changes, changes) = mpsc::unbounded_channel();
        let news = Arc::new(AtomicBool::new(true));
        let ear = Ear {
            envelopes: tell_envelopes,
            changes: tell_changes,
            manner,
            news: Arc::clone(&news),
            kept: Vec::new(),
        }
        .start();
        swarm
            .subscribe(Subscribers {
                envelopes: ear.clone().recipient(),
                requests: ear.clone().recipient(),
                peers: ear.recipient(),
            })
            .await;
        Pod {
            id,
            swarm,
            task,
            metrics,
            news,
            envelopes,
            changes,
        }
    }
}

/// Runs every test of the suite on every ground.
macro_rules! on_every_ground {
    ($($test:ident,)*) => {
        mod loopback {
            $(
                #[test]
                fn $test() {
                    super::run(super::$test(super::Ground::Loopback));
                }
            )*
        }

        mod memory {
            $(
                #[test]
                fn $test() {
                    super::run(super::$test(super::Ground::memory()));
                }
            )*
        }
    };
}

on_every_ground! {
    two_pods_exchange_requests_over_one_connection,
    a_request_to_nobody_says_why,
    a_question_without_an_answer_ends_and_too_many_at_once_are_refused,
    an_answer_that_takes_too_long_is_not_waited_for,
    a_friends_record_reaches_a_pod_two_links_away,
    with_many_friends_the_mesh_carries_it,
    a_record_of_a_stranger_is_ignored_and_its_bearer_is_not_blamed,
    a_pod_that_is_no_friend_takes_no_part_in_gossip_until_it_is_one,
    a_friend_that_stops_is_missed_and_one_that_returns_is_found,
    a_silent_stranger_is_disconnected_and_a_friend_stays,
    a_banned_pod_stays_out_until_it_is_pardoned,
    catch_up_comes_through_the_same_door,
    what_is_no_news_goes_no_further,
    what_is_refused_by_other_ways_is_counted_and_held_against_who_brought_it,
    a_taken_address_is_named,
    after_the_end_nobody_is_connected_and_nothing_is_asked,
    the_task_ends_with_its_last_handle,
}

impl Pod {
    /// Named with its addresses: to be dialed.
    fn reachable(&self) -> Friend {
        Friend {
            pod: self.id,
            addresses: self.swarm.addresses(),
        }
    }

    /// Named without: an author we accept and wait for.
    fn author(&self) -> Friend {
        Friend {
            pod: self.id,
            addresses: vec![],
        }
    }

    async fn sees(&mut self, pod: PodId, connected: bool) {
        loop {
            let change = self.changes.recv().await.expect("the ear lives");
            if change.pod == pod && change.connected == connected {
                return;
            }
        }
    }

    /// Gossips newer and newer records of `author` until `to` hears one: the links of gossip take a moment to form.
    async fn gossip_until_heard(&self, author: u8, seq: &mut u64, to: &mut Self) -> EnvelopeArrived {
        loop {
            *seq += 1;
            self.swarm
                .gossip(Topic::Catalog, record(&key(author), *seq))
                .await;
            if let Ok(heard) = timeout(Duration::from_millis(50), to.envelopes.recv()).await {
                return heard.expect("the ear lives");
            }
        }
    }

    async fn stop(self) {
        self.swarm.shutdown().await;
        self.task.await.expect("the driver does not panic");
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}

async fn until_peers(pod: &Pod, count: usize) {
    while pod.swarm.peers().await.len() != count {
        tokio::task::yield_now().await;
    }
}

async fn two_pods_exchange_requests_over_one_connection(ground: Ground) {
    let (a, b) = (ground.pod(1).await, ground.pod(2).await);
    let answer = a
        .swarm
        .request(b.id, &b.swarm.addresses(), Request::ListFriends)
        .await;
    assert_eq!(answer, Ok(Response::Friends(vec![])));
    // Without addresses there is nothing to dial, and none is needed.
    assert_eq!(
        a.swarm.request(b.id, &[], Request::ListFriends).await,
        Ok(Response::Friends(vec![]))
    );
    assert_eq!(
        b.swarm.request(a.id, &[], Request::ListFriends).await,
        Ok(Response::Friends(vec![]))
    );
    let peers = a.swarm.peers().await;
    assert_eq!(
        (peers.len(), peers[0].pod, peers[0].addresses.len()),
        (1, b.id, 1)
    );
    a.stop().await;
    b.stop().await;
}

async fn a_request_to_nobody_says_why(ground: Ground) {
    let (a, b) = (ground.pod(1).await, ground.pod(2).await);
    let (b_id, addresses) = (b.id, b.swarm.addresses());
    assert_eq!(
        a.swarm.request(b_id, &[], Request::ListFriends).await,
        Err(RequestError::Unreachable(b_id))
    );
    assert_eq!(
        a.swarm.request(a.id, &[], Request::ListFriends).await,
        Err(RequestError::Ourselves)
    );
    // Somebody answers at that address, but not who was asked for.
    let without_id: Vec<String> = addresses
        .iter()
        .map(|text| text.split("/p2p/").next().unwrap().to_owned())
        .collect();
    let other = key(3).id();
    assert_eq!(
        a.swarm.request(other, &without_id, Request::ListFriends).await,
        Err(RequestError::Unreachable(other))
    );
    b.stop().await;
    assert_eq!(
        a.swarm.request(b_id, &addresses, Request::ListFriends).await,
        Err(RequestError::Unreachable(b_id))
    );
    let handle = a.swarm.clone();
    a.stop().await;
    assert_eq!(
        handle.request(b_id, &addresses, Request::ListFriends).await,
        Err(RequestError::Stopped)
    );
}

#[test]
fn private_addresses_are_not_dialed_unless_allowed() {
    run(async {
        let a = Ground::Loopback
            .pod_with(
                SwarmOptions {
                    dial_private: false,
                    ..Ground::Loopback.options(1)
                },
                Manner::Drop,
            )
            .await;
        let b = Ground::Loopback.pod(2).await;
        let port = b.swarm.addresses()[0].split('/').nth(4).unwrap().to_owned();
        for host in ["ip4/127.0.0.1", "dns4/localhost"] {
            let answer = a
                .swarm
                .request(b.id, &[format!("/{host}/tcp/{port}")], Request::ListFriends)
                .await;
            assert_eq!(answer, Err(RequestError::Unreachable(b.id)));
        }
        assert!(b.swarm.peers().await.is_empty());
    });
}

async fn a_question_without_an_answer_ends_and_too_many_at_once_are_refused(ground: Ground) {
    let (a, silent) = (
        ground.pod(1).await,
        ground.pod_with(ground.options(2), Manner::Drop).await,
    );
    let answer = a
        .swarm
        .request(silent.id, &silent.swarm.addresses(), Request::ListFriends)
        .await;
    assert_eq!(answer, Err(RequestError::Closed("no answer".to_owned())));

    let keeps = ground.pod_with(ground.options(3), Manner::Keep).await;
    let addresses = keeps.swarm.addresses();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let (swarm, addresses, to) = (a.swarm.clone(), addresses.clone(), keeps.id);
        asking.spawn(async move { swarm.request(to, &addresses, Request::ListFriends).await });
    }
    let first = asking.join_next().await.unwrap().unwrap();
    assert!(
        matches!(
            first,
            Ok(Response::Refused {
                reason: Refused::Busy,
                ..
            })
        ),
        "{first:?}"
    );
}

/// Three pods in a line, each with so many more friends that never come.
async fn a_record_travels_along_a_line(ground: Ground, absent: u8) {
    let (mut a, mut b, mut c) = (ground.pod(1).await, ground.pod(2).await, ground.pod(3).await);
    let with_absent = |mut friends: Vec<Friend>| {
        friends.extend((0..absent).map(|n| Friend {
            pod: key(100 + n).id(),
            addresses: vec![],
        }));
        friends
    };
    a.swarm
        .set_friends(with_absent(vec![b.reachable(), c.author()]))
        .await;
    b.swarm
        .set_friends(with_absent(vec![a.reachable(), c.reachable()]))
        .await;
    c.swarm
        .set_friends(with_absent(vec![b.reachable(), a.author()]))
        .await;
    a.sees(b.id, true).await;
    c.sees(b.id, true).await;
    b.sees(a.id, true).await;
    let heard = a.gossip_until_heard(1, &mut 0, &mut c).await;
    assert_eq!((heard.from, heard.envelope.header().author), (b.id, a.id));
    assert!(
        a.swarm.peers().await.iter().all(|peer| peer.pod == b.id),
        "the line has no short cut"
    );
}

async fn a_friends_record_reaches_a_pod_two_links_away(ground: Ground) {
    a_record_travels_along_a_line(ground, 0).await;
}

async fn with_many_friends_the_mesh_carries_it(ground: Ground) {
    a_record_travels_along_a_line(ground, 20).await;
}

async fn a_record_of_a_stranger_is_ignored_and_its_bearer_is_not_blamed(ground: Ground) {
    let (a, mut b) = (ground.pod(1).await, ground.pod(2).await);
    a.swarm.set_friends(vec![b.reachable()]).await;
    b.swarm.set_friends(vec![a.author()]).await;
    let mut seq = 0;
    a.gossip_until_heard(1, &mut seq, &mut b).await;
    a.swarm.gossip(Topic::Catalog, record(&key(9), 1)).await;
    until(|| b.metrics.gossip_count("ignore", "author") == 1).await;
    let heard = a.gossip_until_heard(1, &mut seq, &mut b).await;
    assert_eq!(heard.envelope.header().author, a.id);
    assert_eq!(b.metrics.gossip_count("reject", "signature"), 0);
}

async fn a_pod_that_is_no_friend_takes_no_part_in_gossip_until_it_is_one(ground: Ground) {
    let (a, mut b) = (ground.pod(1).await, ground.pod(2).await);
    a.swarm.set_friends(vec![b.reachable()]).await;
    b.sees(a.id, true).await;
    // What a stranger sends is dropped before it costs anything; its requests are heard all the same.
    let mut seq = 0;
    while a.metrics.published_count("sent") == 0 {
        seq += 1;
        a.swarm.gossip(Topic::Catalog, record(&key(1), seq)).await;
    }
    assert_eq!(
        a.swarm.request(b.id, &[], Request::ListFriends).await,
        Ok(Response::Friends(vec![]))
    );
    assert!(b.envelopes.try_recv().is_err());
    // On the connection there is, without a new one.
    b.swarm.set_friends(vec![a.author()]).await;
    a.gossip_until_heard(1, &mut seq, &mut b).await;
    assert_eq!(b.metrics.gossip_count("ignore", "stranger"), 0);
    assert_eq!(a.swarm.peers().await[0].addresses.len(), 1);
}

async fn a_friend_that_stops_is_missed_and_one_that_returns_is_found(ground: Ground) {
    let (mut a, b) = (ground.pod(1).await, ground.pod(2).await);
    let address = b.swarm.addresses()[0].split("/p2p/").next().unwrap().to_owned();
    a.swarm.set_friends(vec![b.reachable()]).await;
    a.sees(b.id, true).await;
    let b_id = b.id;
    b.stop().await;
    a.sees(b_id, false).await;
    assert!(a.swarm.peers().await.is_empty());
    // The same port is free again at once, and found without being told.
    let b = ground
        .pod_with(
            SwarmOptions {
                listen: vec![address],
                ..ground.options(2)
            },
            Manner::Drop,
        )
        .await;
    a.sees(b.id, true).await;
}

async fn a_silent_stranger_is_disconnected_and_a_friend_stays(ground: Ground) {
    let mut pod = ground
        .pod_with(
            SwarmOptions {
                idle_time: Duration::from_millis(300),
                ..ground.options(1)
            },
            Manner::Drop,
        )
        .await;
    let (friend, stranger) = (ground.pod(2).await, ground.pod(3).await);
    pod.swarm.set_friends(vec![friend.reachable()]).await;
    pod.sees(friend.id, true).await;
    stranger
        .swarm
        .request(pod.id, &pod.swarm.addresses(), Request::ListFriends)
        .await
        .ok();
    pod.sees(stranger.id, false).await;
    assert_eq!(
        pod.swarm
            .peers()
            .await
            .iter()
            .map(|peer| peer.pod)
            .collect::<Vec<_>>(),
        [friend.id]
    );
}

async fn what_is_no_news_goes_no_further(ground: Ground) {
    let (mut a, mut b, mut c) = (ground.pod(1).await, ground.pod(2).await, ground.pod(3).await);
    a.swarm.set_friends(vec![b.reachable(), c.author()]).await;
    b.swarm.set_friends(vec![a.author(), c.author()]).await;
    c.swarm.set_friends(vec![b.reachable(), a.author()]).await;
    a.sees(b.id, true).await;
    c.sees(b.id, true).await;
    a.gossip_until_heard(1, &mut 0, &mut c).await;
    while b.envelopes.try_recv().is_ok() {}
    b.news.store(false, Ordering::Relaxed);
    for old in 1..=5 {
        a.swarm.gossip(Topic::Catalog, record(&key(1), 1_000 + old)).await;
    }
    until(|| b.metrics.gossip_count("ignore", "stale") >= 5).await;
    b.news.store(true, Ordering::Relaxed);
    // Whatever B would have sent on comes before this.
    let mut heard = vec![a.gossip_until_heard(1, &mut 2_000, &mut c).await];
    while let Ok(more) = c.envelopes.try_recv() {
        heard.push(more);
    }
    let went_on: Vec<u64> = heard.iter().map(|heard| heard.envelope.header().seq).collect();
    assert!(
        !went_on.iter().any(|seq| (1_000..2_000).contains(seq)),
        "{went_on:?}"
    );
}

async fn what_is_refused_by_other_ways_is_counted_and_held_against_who_brought_it(ground: Ground) {
    let (pod, rogue) = (ground.pod(1).await, ground.pod(2).await);
    let refusals = |bytes: Vec<&[u8]>| {
        let admitted = Admitted::new(pod.id, [rogue.id]);
        let refuse = |bytes: &[u8]| validate(bytes, Topic::Catalog, &admitted).expect_err("refused");
        bytes.into_iter().map(refuse).collect::<Vec<_>>()
    };
    pod.swarm.set_friends(vec![rogue.reachable()]).await;
    until_peers(&pod, 1).await;
    let stranger = record(&key(3), 1);
    let strangers = refusals(vec![stranger.bytes(); 9]);
    pod.swarm.refused(rogue.id, Way::CatchUp, strangers).await;
    let noise: &[u8] = &[0xff];
    pod.swarm
        .refused(rogue.id, Way::Tell, refusals(vec![noise; 4]))
        .await;
    until_peers(&pod, 1).await;
    assert_eq!(pod.metrics.refused_count("catch_up", "author"), 9);
    assert_eq!(pod.metrics.refused_count("tell", "not-canonical"), 4);
    pod.swarm
        .refused(rogue.id, Way::Handshake, refusals(vec![noise]))
        .await;
    until_peers(&pod, 0).await;
    assert_eq!(pod.metrics.ban_count("malformed"), 1);
}

async fn catch_up_comes_through_the_same_door(ground: Ground) {
    let pod = ground.pod(1).await;
    let friend = Friend {
        pod: key(2).id(),
        addresses: vec![],
    };
    pod.swarm.set_friends(vec![friend]).await;
    let good = record(&key(2), 1);
    let page = vec![
        good.bytes().to_vec(),
        tampered(&good),
        record(&key(3), 1).bytes().to_vec(),
        vec![1, 2, 3],
    ];
    let checked = pod.swarm.verify(page).await;
    assert_eq!(checked.len(), 4);
    assert_eq!(checked[0].as_ref(), Ok(&good));
    let reasons: Vec<&str> = checked[1..]
        .iter()
        .map(|refused| refused.as_ref().expect_err("refused").reason())
        .collect();
    assert_eq!(reasons[..2], ["signature", "author"]);
    assert!(matches!(checked[3], Err(Refusal::Envelope(_))));
}

async fn a_taken_address_is_named(ground: Ground) {
    let a = ground.pod(1).await;
    let taken = a.swarm.addresses()[0].split("/p2p/").next().unwrap().to_owned();
    let listen = vec![taken.clone()];
    let refused = ground
        .start(
            SwarmOptions {
                listen,
                ..ground.options(2)
            },
            SwarmMetrics::default(),
        )
        .await;
    match refused {
        Err(SwarmError::Listen { address, .. }) => assert_eq!(address, taken),
        other => panic!("expected a refusal, got {other:?}"),
    }
    let listen = vec!["not an address".to_owned()];
    let refused = ground
        .start(
            SwarmOptions {
                listen,
                ..ground.options(2)
            },
            SwarmMetrics::default(),
        )
        .await;
    assert!(matches!(refused, Err(SwarmError::Address(_))));
}

async fn the_task_ends_with_its_last_handle(ground: Ground) {
    let Pod { swarm, task, .. } = ground.pod(1).await;
    drop(swarm);
    task.await.expect("the driver does not panic");
}

async fn an_answer_that_takes_too_long_is_not_waited_for(ground: Ground) {
    let patience = Duration::from_millis(200);
    let options = SwarmOptions {
        request_time: patience,
        ..ground.options(1)
    };
    let a = ground.pod_with(options, Manner::Drop).await;
    let keeps = ground.pod_with(ground.options(2), Manner::Keep).await;
    let answer = a
        .swarm
        .request(keeps.id, &keeps.swarm.addresses(), Request::ListFriends)
        .await;
    assert_eq!(answer, Err(RequestError::Timeout(patience)));
}

async fn a_banned_pod_stays_out_until_it_is_pardoned(ground: Ground) {
    let (mut a, mut b) = (ground.pod(1).await, ground.pod(2).await);
    a.swarm.set_friends(vec![b.author()]).await;
    b.swarm.set_friends(vec![a.reachable()]).await;
    a.sees(b.id, true).await;
    b.sees(a.id, true).await;
    a.swarm.ban(b.id, BanReason::Asked).await;
    a.sees(b.id, false).await;
    b.sees(a.id, false).await;
    assert_eq!(
        a.swarm
            .request(b.id, &b.swarm.addresses(), Request::ListFriends)
            .await,
        Err(RequestError::Banned(b.id))
    );
    assert!(
        b.swarm
            .request(a.id, &a.swarm.addresses(), Request::ListFriends)
            .await
            .is_err()
    );
    // It has tried again and again meanwhile, and is let in when it may come.
    a.swarm.unban(b.id).await;
    a.sees(b.id, true).await;
    assert_eq!(a.metrics.ban_count("asked"), 1);
}

async fn after_the_end_nobody_is_connected_and_nothing_is_asked(ground: Ground) {
    let (a, mut b) = (ground.pod(1).await, ground.pod(2).await);
    b.swarm.set_friends(vec![a.reachable()]).await;
    b.sees(a.id, true).await;
    let (id, stopped) = (a.id, a.swarm.clone());
    a.stop().await;
    b.sees(id, false).await;
    assert!(stopped.peers().await.is_empty());
    stopped.set_friends(vec![b.reachable()]).await;
    stopped.gossip(Topic::Catalog, record(&key(1), 1)).await;
    assert_eq!(
        stopped.request(b.id, &[], Request::ListFriends).await,
        Err(RequestError::Stopped)
    );
}
