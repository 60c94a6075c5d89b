#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use seedpod_protocol::ids::InfoHash;
use seedpod_protocol::tracker::{OfferId, PeerId};
use seedpod_protocol::wire::{Block, Message};
use serde_json::value::RawValue;
use tokio::io::AsyncWriteExt;

use super::super::testing::{Content, Leecher, Pod};
use super::super::visits::Visits;
use super::*;
use crate::tracker::messages::TakeOffer;

/// A browser, as far as a pod can tell: it offers a data channel and waits for it to open.
struct Browser {
    connection: Arc<dyn PeerConnection>,
    channel: oneshot::Receiver<ChannelStream>,
    offer: Box<RawValue>,
}

impl Browser {
    async fn new() -> Self {
        let (opened, channel) = oneshot::channel();
        let events = Arc::new(Events {
            gathered: Notify::new(),
            opened: Mutex::new(None),
            over: CancellationToken::new(),
        });
        let transport = WebRtc::new(vec![Ipv4Addr::LOCALHOST.into()], vec![], PortRange::ANY);
        let (connection, _) = Box::pin(transport.connect(&events)).await.unwrap();
        let data = connection.create_data_channel("x", None).await.unwrap();
        tokio::spawn(carry(data, opened, CancellationToken::new()));
        let offer = connection.create_offer(None).await.unwrap();
        connection.set_local_description(offer).await.unwrap();
        events.gathered.notified().await;
        let sdp = connection.local_description().await.unwrap().sdp;
        let offer = serde_json::json!({ "type": "offer", "sdp": sdp });
        Self {
            connection,
            channel,
            offer: serde_json::value::to_raw_value(&offer).unwrap(),
        }
    }

    /// Hears the answer, and waits for the channel.
    async fn connect(self, answer: &RawValue) -> (Arc<dyn PeerConnection>, ChannelStream) {
        let answer: serde_json::Value = serde_json::from_str(answer.get()).unwrap();
        assert_eq!(answer["type"], "answer");
        let sdp = answer["sdp"].as_str().unwrap().to_owned();
        let answer = RTCSessionDescription::answer(sdp).unwrap();
        self.connection.set_remote_description(answer).await.unwrap();
        (self.connection, self.channel.await.unwrap())
    }
}

fn visits(pod: &Pod, limit: usize) -> Visits {
    let transport = WebRtc::new(vec![Ipv4Addr::LOCALHOST.into()], vec![], PortRange::ANY);
    Visits::new(Arc::new(transport), limit, pod.service.clone())
}

fn peer(number: u8) -> PeerId {
    PeerId::from_bytes([number; 20])
}

/// An offer as the tracker hands it over.
fn offered(info_hash: InfoHash, peer_id: PeerId, offer: &RawValue) -> TakeOffer {
    TakeOffer {
        info_hash,
        peer_id,
        address: Ipv4Addr::new(192, 0, 2, peer_id.as_bytes()[0]).into(),
        offer_id: OfferId::from_bytes([0; 20]),
        offer: offer.to_owned(),
    }
}

async fn answered(visits: &Visits, info_hash: InfoHash, from: PeerId, offer: &RawValue) -> Box<RawValue> {
    let (answer, answered) = oneshot::channel();
    visits.take(&offered(info_hash, from, offer), |sdp| {
        drop(answer.send(sdp));
    });
    timeout(Duration::from_secs(20), answered).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_offers_downloads_everything() {
    let content = Content::new(3_000_001);
    let pod = Pod::with(&content);
    let visits = visits(&pod, 3);
    let browser = Browser::new().await;
    let answer = answered(&visits, content.info_hash(), peer(1), &browser.offer).await;
    assert!(answer.get().contains("127.0.0.1"), "{answer}");
    assert!(!answer.get().contains(".local"), "{answer}");
    let (connection, stream) = browser.connect(&answer).await;
    let mut leecher = Leecher::greet(stream, content.info_hash()).await;
    assert!(leecher.download(content.bytes.len()).await == content.bytes);
    drop(leecher);
    connection.close().await.unwrap();
    pod.stop.cancel();
    timeout(Duration::from_secs(20), visits.wait()).await.unwrap();
    assert_eq!(pod.served(), 3_000_001);
    let metrics = pod.metrics();
    assert!(
        metrics.contains("seedpod_seeder_answer_seconds_count 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains(r#"seedpod_seeder_peers{source="webrtc"} 0"#),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_that_are_not_welcome_are_refused_and_counted() {
    let content = Content::new(10);
    let pod = Pod::with(&content);
    let visits = visits(&pod, 3);
    let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    let ignore = |_: Box<RawValue>| panic!("nothing is to be answered");
    let take = |info_hash, from, offer: &RawValue| visits.take(&offered(info_hash, from, offer), ignore);
    take(InfoHash::from_bytes([9; 20]), peer(1), &raw("{}"));
    take(content.info_hash(), peer(1), &raw("{}"));
    take(
        content.info_hash(),
        peer(1),
        &raw(r#"{"type":"answer","sdp":""}"#),
    );
    let offer = raw(r#"{"type":"offer","sdp":"what is this"}"#);
    take(content.info_hash(), peer(2), &offer);
    let browser = Browser::new().await;
    let _answer = answered(&visits, content.info_hash(), peer(3), &browser.offer).await;
    take(content.info_hash(), peer(3), &browser.offer);
    let metrics = pod.metrics();
    for reason in ["unknown_torrent", "bad_offer", "connected_already"] {
        assert!(
            metrics.contains(&format!(r#"reason="{reason}""#)),
            "{reason} in {metrics}"
        );
    }
    browser.connection.close().await.unwrap();
    pod.stop.cancel();
    timeout(Duration::from_secs(20), visits.wait()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_pod_ends_connections_and_frees_their_ports() {
    let content = Content::new(10);
    let pod = Pod::with(&content);
    let visits = visits(&pod, 3);
    let browser = Browser::new().await;
    let answer = answered(&visits, content.info_hash(), peer(1), &browser.offer).await;
    let (connection, stream) = browser.connect(&answer).await;
    let mut leecher = Leecher::greet(stream, content.info_hash()).await;
    pod.stop.cancel();
    timeout(Duration::from_secs(20), visits.wait()).await.unwrap();
    let over = async { while leecher.hear(|_| ()).await.is_some() {} };
    timeout(Duration::from_secs(20), over).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_offers_from_one_address_leaves_room_for_others() {
    let content = Content::new(300_001);
    let pod = Pod::with(&content);
    let visits = visits(&pod, 64);
    let (crowd, honest) = (Browser::new().await, Browser::new().await);
    for number in 0..300_u16 {
        let mut id = [7; 20];
        id[1..3].copy_from_slice(&number.to_be_bytes());
        let offer = offered(content.info_hash(), PeerId::from_bytes(id), &crowd.offer);
        visits.take(&offer, |_| ());
    }
    let refused = r#"seedpod_seeder_peers_refused_total{source="webrtc",reason="too_many"} 268"#;
    assert!(pod.metrics().contains(refused), "{}", pod.metrics());
    let answer = answered(&visits, content.info_hash(), peer(1), &honest.offer).await;
    let (connection, stream) = honest.connect(&answer).await;
    let mut leecher = Leecher::greet(stream, content.info_hash()).await;
    assert!(leecher.download(content.bytes.len()).await == content.bytes);
    drop(leecher);
    connection.close().await.unwrap();
    pod.stop.cancel();
    timeout(Duration::from_secs(20), visits.wait()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_that_lack_a_line_or_are_endless_are_answered_or_refused() {
    let panics = Arc::new(AtomicUsize::new(0));
    let (counted, before) = (Arc::clone(&panics), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        counted.fetch_add(1, Ordering::Relaxed);
        before(panic);
    }));
    let content = Content::new(10);
    let pod = Pod::with(&content);
    let visits = visits(&pod, 1000);
    let browser = Browser::new().await;
    let offer: serde_json::Value = serde_json::from_str(browser.offer.get()).unwrap();
    let sdp = offer["sdp"].as_str().unwrap();
    let lines: Vec<&str> = sdp.split_inclusive('\n').collect();
    let mut offers: Vec<String> = (0..lines.len())
        .map(|left_out| {
            let kept = lines.iter().enumerate().filter(|(at, _)| *at != left_out);
            kept.map(|(_, line)| *line).collect()
        })
        .collect();
    let longer = |more: &str| format!("{sdp}{}", more.repeat(60_000 / more.len()));
    offers.push(longer("a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"));
    offers.push(longer(
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:x\r\n",
    ));
    offers.push(longer("m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\n"));
    offers.push(longer("a=fingerprint:sha-256 00\r\n"));
    offers.push("v=0\r\n".repeat(10_000));
    let heard = Arc::new(AtomicUsize::new(0));
    let asked = offers.len();
    for (number, sdp) in offers.into_iter().enumerate() {
        let offer = serde_json::json!({ "type": "offer", "sdp": sdp });
        let offer = serde_json::value::to_raw_value(&offer).unwrap();
        let heard = Arc::clone(&heard);
        let number = u8::try_from(number).unwrap();
        visits.take(&offered(content.info_hash(), peer(number), &offer), move |_| {
            heard.fetch_add(1, Ordering::Relaxed);
        });
    }
    let settled = async {
        while heard.load(Ordering::Relaxed) + refused(&pod) < asked {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), settled).await.unwrap();
    assert!(refused(&pod) > 0 && heard.load(Ordering::Relaxed) > 0);
    browser.connection.close().await.unwrap();
    pod.stop.cancel();
    timeout(Duration::from_secs(20), visits.wait()).await.unwrap();
    assert_eq!(panics.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_opens_more_channels_is_let_go() {
    let content = Content::new(10);
    let pod = Pod::with(&content);
    let visits = visits(&pod, 3);
    let browser = Browser::new().await;
    let answer = answered(&visits, content.info_hash(), peer(1), &browser.offer).await;
    let (connection, stream) = browser.connect(&answer).await;
    let mut leecher = Leecher::greet(stream, content.info_hash()).await;
    let _second = connection.create_data_channel("y", None).await.unwrap();
    let over = async { while leecher.hear(|_| ()).await.is_some() {} };
    timeout(Duration::from_secs(20), over).await.unwrap();
    connection.close().await.unwrap();
    pod.stop.cancel();
    timeout(Duration::from_secs(20), visits.wait()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_falls_asleep_costs_a_buffer_and_keeps_nobody_waiting() {
    const LENGTH: usize = 16 << 20;
    let content = Content::new(LENGTH);
    let pod = Pod::with(&content);
    let visits = visits(&pod, 3);

    // A runtime of its own, which nobody drives once everything was asked for.
    let (offers, offered) = oneshot::channel();
    let (answers, answer) = oneshot::channel::<Box<RawValue>>();
    let (asleep, sleeps) = oneshot::channel();
    let (wake, woken) = std::sync::mpsc::channel::<()>();
    let info_hash = content.info_hash();
    let sleeper = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let held = runtime.block_on(async {
            let browser = Browser::new().await;
            offers.send(browser.offer.clone()).unwrap();
            let answer = answer.await.unwrap();
            let (connection, stream) = browser.connect(&answer).await;
            let mut leecher = Leecher::greet(stream, info_hash).await;
            leecher.unchoked().await;
            let mut requests = Vec::new();
            for piece in 0..u32::try_from(LENGTH).unwrap() / Content::PIECE {
                let (begin, length) = (0, Content::PIECE);
                Message::Request(Block { piece, begin, length }).encode(&mut requests);
            }
            leecher.stream.write_all(&requests).await.unwrap();
            leecher.hear(|_| ()).await.unwrap();
            (connection, leecher)
        });
        asleep.send(()).unwrap();
        let _woken = woken.recv();
        drop((held, runtime));
    });
    let answer = answered(&visits, info_hash, peer(1), &offered.await.unwrap()).await;
    answers.send(answer).unwrap();
    sleeps.await.unwrap();

    let honest = Browser::new().await;
    let answer = answered(&visits, info_hash, peer(2), &honest.offer).await;
    let (connection, stream) = honest.connect(&answer).await;
    let mut leecher = Leecher::greet(stream, info_hash).await;
    assert!(leecher.download(LENGTH).await == content.bytes);
    drop(leecher);
    connection.close().await.unwrap();
    pod.stop.cancel();
    timeout(Duration::from_secs(20), visits.wait()).await.unwrap();
    let sleeping = usize::try_from(pod.served()).unwrap() - LENGTH;
    assert!(
        sleeping <= 4 * SEND_BUFFER,
        "{sleeping} bytes for one that does not take them"
    );
    drop(wake);
    sleeper.join().unwrap();
}

/// How many offers were refused, for whatever reason.
fn refused(pod: &Pod) -> usize {
    let metrics = pod.metrics();
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("seedpod_seeder_peers_refused_total"));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap())
        .sum()
}
