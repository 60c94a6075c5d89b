//! What it costs a pod to seed to browsers: processor time for each GB sent over a WebRTC data channel, and how long an offer waits
//! for its answer. `scripts/bench-seeding` builds what is needed and runs it.
//!
//! The other side is a WebRTC client of this process, so that the processor time of the pod's process is the pod's alone. It asks for
//! what browsers ask for, blocks of 16 KiB, and throws them away. `MB` sets how much it takes; `OFFERS` how many offers are made.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use bytes::BytesMut;
use futures::{SinkExt, StreamExt};
use rtc::ice::mdns::MulticastDnsMode;
use seedpod_protocol::ids::InfoHash;
use seedpod_protocol::tracker::PeerId;
use seedpod_protocol::wire::{Block, Features, Handshake, MAX_MESSAGE_LEN, Message};
use seedpod_test_net::api::Upload;
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{TestNet, eventually};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_tungstenite::{WebSocketStream, tungstenite};
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCSessionDescription, SettingEngineBuilder,
};
use webrtc::runtime::TokioRuntime;

/// The file: what the test net takes.
const SIZE: usize = 64 << 20;
/// What browsers ask for.
const BLOCK: u32 = 16 << 10;
/// Requests that wait at the pod; it promises 256.
const WAITING: usize = 128;
/// An answer that takes so long never comes.
const DEADLINE: Duration = Duration::from_secs(30);
/// A torrent's places, rounded down, and those of one address.
const OFFERS_PER_VIDEO: usize = 50;
const OFFERS_PER_ADDRESS: usize = 30;

fn main() -> anyhow::Result<()> {
    // Without cargo's word for measuring, `cargo test --benches` only wants to know that it runs.
    let (megabytes, offers) = if std::env::args().any(|argument| argument == "--bench") {
        (number("MB", 1000)?, number("OFFERS", 200)?)
    } else {
        (2, 4)
    };
    tokio::runtime::Runtime::new()?.block_on(measure(megabytes, offers))
}

fn number(name: &str, otherwise: usize) -> anyhow::Result<usize> {
    std::env::var(name)
        .map_or(Ok(otherwise), |text| text.parse())
        .with_context(|| format!("{name} is not a number"))
}

async fn measure(megabytes: usize, offers: usize) -> anyhow::Result<()> {
    let net = TestNet::start(1).await?;
    let pod = net.pod(1);
    let mut bytes = std::fs::read(Clip::Tiny.path().await?)?;
    bytes.extend(u32::try_from(SIZE)?.to_be_bytes());
    bytes.extend(b"free");
    bytes.resize(bytes.len() + SIZE - 8, 1);
    let film = upload(pod, "Long", bytes).await?;

    let mut answers = Vec::new();
    for number in 0..offers.div_ceil(OFFERS_PER_VIDEO) {
        let clip = std::fs::read(Clip::Tiny.path().await?)?;
        let video = upload(pod, &format!("Short {number}"), clip).await?;
        let offers = (offers - number * OFFERS_PER_VIDEO).min(OFFERS_PER_VIDEO);
        answers.extend(offer_again(pod, &video, number * OFFERS_PER_VIDEO, offers).await?);
    }
    answers.sort_unstable();
    let at = |percent: usize| answers[(answers.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "{offers} offers, one after the other, to their answers, ms: p50 {:.1}  p99 {:.1}  max {:.1}",
        at(50),
        at(99),
        at(100)
    );

    let mut browser = Browser::connect(pod, &film, 200).await?;
    browser.download(&film, SIZE / 8).await?;
    let (begun, before) = (Instant::now(), pod.processor_time()?);
    let wanted = megabytes * 1_000_000;
    let mut taken = 0;
    while taken < wanted {
        let part = (wanted - taken).min(film.length);
        taken += browser.download(&film, part).await?;
    }
    let (took, processor) = (begun.elapsed(), pod.processor_time()? - before);
    let gigabytes = taken as f64 / 1e9;
    println!(
        "{:.2} GB over one data channel: {:.1} MB/s, {:.2} processor s per GB, {:.1} MiB resident",
        gigabytes,
        gigabytes * 1e3 / took.as_secs_f64(),
        processor.as_secs_f64() / gigabytes,
        pod.memory_kib()? as f64 / 1024.0
    );
    net.stop().await
}

/// A file that a pod seeds.
struct Film {
    info_hash: InfoHash,
    length: usize,
    piece_length: u32,
}

async fn upload(pod: &Pod, name: &str, bytes: Vec<u8>) -> anyhow::Result<Film> {
    let length = bytes.len();
    let root = pod.root().await?;
    let video = root.upload(&Upload::bytes(name, "film.mp4", bytes)).await?;
    eventually("the pod seeds it", DEADLINE, async || {
        let seen = pod.visitor().video(&video.uuid).await?;
        let url = seen["files"][0]["torrentUrl"].as_str().context("a torrent")?;
        let path = url.replacen(&pod.url(), "", 1);
        let torrent = pod.visitor().get(&path).await?.status(200)?.body;
        let torrent = seedpod_protocol::metainfo::Metainfo::decode(&torrent)?;
        Ok(Film {
            info_hash: torrent.info_hash(),
            length,
            piece_length: torrent.info().piece_length(),
        })
    })
    .await
}

/// Makes the same offer under many names; gives how long each answer took.
async fn offer_again(pod: &Pod, film: &Film, first: usize, offers: usize) -> anyhow::Result<Vec<Duration>> {
    let (_connection, _channel, sdp) = Browser::offer().await?;
    let mut took = Vec::new();
    for number in first..first + offers {
        let mut tracker = Tracker::connect(pod, number / OFFERS_PER_ADDRESS).await?;
        let begun = Instant::now();
        tracker.offer(film, number, &sdp).await?;
        took.push(begun.elapsed());
    }
    Ok(took)
}

/// A socket of the pod's tracker, from one of many addresses of this machine.
struct Tracker {
    socket: WebSocketStream<TcpStream>,
}

impl Tracker {
    async fn connect(pod: &Pod, address: usize) -> anyhow::Result<Self> {
        let host = pod.host();
        let port: u16 = host.rsplit_once(':').context("a host with a port")?.1.parse()?;
        let socket = TcpSocket::new_v4()?;
        let from = Ipv4Addr::new(127, 3, u8::try_from(address)?, 1);
        socket.bind(SocketAddr::from((from, 0)))?;
        let stream = socket
            .connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            .await?;
        stream.set_nodelay(true)?;
        let url = format!("ws://{host}/tracker/socket");
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await?;
        Ok(Self { socket })
    }

    /// Offers, and waits for the answer.
    async fn offer(&mut self, film: &Film, number: usize, sdp: &str) -> anyhow::Result<String> {
        let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
        let peer = peer_id(number);
        let announce = json!({
            "action": "announce", "info_hash": text(film.info_hash.as_bytes()), "peer_id": text(peer.as_bytes()),
            "event": "started", "left": 1, "numwant": 1,
            "offers": [{ "offer_id": text(peer.as_bytes()), "offer": { "type": "offer", "sdp": sdp } }],
        });
        self.socket
            .send(tungstenite::Message::text(announce.to_string()))
            .await?;
        let answer = async {
            loop {
                let heard = self.socket.next().await.context("the tracker is gone")??;
                let tungstenite::Message::Text(heard) = heard else {
                    continue;
                };
                let heard: Value = serde_json::from_str(&heard)?;
                if let Some(sdp) = heard["answer"]["sdp"].as_str() {
                    return anyhow::Ok(sdp.to_owned());
                }
            }
        };
        timeout(DEADLINE, answer).await.context("no answer")?
    }
}

fn peer_id(number: usize) -> PeerId {
    let mut id = *b"-XX0000-000000000000";
    id[12..].copy_from_slice(&(number as u64).to_be_bytes().map(|byte| byte & 0x7f));
    PeerId::from_bytes(id)
}

/// A connection to the pod, greeted and being served.
struct Browser {
    _connection: Arc<dyn PeerConnection>,
    channel: Arc<dyn DataChannel>,
    heard: BytesMut,
}

impl Browser {
    /// A connection with a channel, and its offer.
    async fn offer() -> anyhow::Result<(Arc<dyn PeerConnection>, Arc<dyn DataChannel>, String)> {
        let gathered = Arc::new(Gathered(Notify::new()));
        let settings = SettingEngineBuilder::new()
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            .with_include_loopback_candidate(true)
            .build();
        let building = PeerConnectionBuilder::new()
            .with_setting_engine(settings)
            .with_handler(Arc::clone(&gathered) as Arc<dyn PeerConnectionEventHandler>)
            .with_runtime(Arc::new(TokioRuntime))
            .with_udp_addrs(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))])
            .build();
        let connection: Arc<dyn PeerConnection> = Arc::new(Box::pin(building).await?);
        let channel = connection.create_data_channel("data", None).await?;
        let offer = connection.create_offer(None).await?;
        connection.set_local_description(offer).await?;
        gathered.0.notified().await;
        let offer = connection.local_description().await.context("no offer")?;
        Ok((connection, channel, offer.sdp))
    }

    async fn connect(pod: &Pod, film: &Film, number: usize) -> anyhow::Result<Self> {
        let (connection, channel, sdp) = Self::offer().await?;
        let mut tracker = Tracker::connect(pod, 99).await?;
        let answer = tracker.offer(film, number, &sdp).await?;
        connection
            .set_remote_description(RTCSessionDescription::answer(answer)?)
            .await?;
        let mut browser = Self {
            _connection: connection,
            channel,
            heard: BytesMut::new(),
        };
        while !matches!(browser.poll().await?, DataChannelEvent::OnOpen) {}
        let greeting = Handshake {
            features: Features::ours(),
            info_hash: film.info_hash,
            peer_id: peer_id(number),
        };
        let mut said = greeting.encode().to_vec();
        Message::Interested.encode(&mut said);
        browser.channel.send(BytesMut::from(&said[..])).await?;
        while browser.heard.len() < Handshake::LEN {
            browser.listen().await?;
        }
        let _theirs = browser.heard.split_to(Handshake::LEN);
        while !browser.hear(|message| *message == Message::Unchoke).await? {}
        Ok(browser)
    }

    /// Takes so many bytes of a film, in whole blocks, with requests waiting all the time; gives how many came.
    async fn download(&mut self, film: &Film, bytes: usize) -> anyhow::Result<usize> {
        let mut blocks = blocks(film).take(bytes.div_ceil(BLOCK as usize));
        let (mut waiting, mut taken) = (0, 0);
        loop {
            if waiting <= WAITING / 2 {
                let mut requests = Vec::new();
                for block in blocks.by_ref().take(WAITING - waiting) {
                    Message::Request(block).encode(&mut requests);
                    waiting += 1;
                }
                if !requests.is_empty() {
                    self.channel.send(BytesMut::from(&requests[..])).await?;
                }
            }
            if waiting == 0 {
                return Ok(taken);
            }
            let length = self
                .hear(|message| match message {
                    Message::Piece { bytes, .. } => Some(bytes.len()),
                    _ => None,
                })
                .await?;
            if let Some(length) = length {
                waiting -= 1;
                taken += length;
            }
        }
    }

    /// The next message.
    async fn hear<T>(&mut self, listen: impl Fn(&Message<'_>) -> T) -> anyhow::Result<T> {
        loop {
            if let Some((message, used)) = Message::decode(&self.heard, MAX_MESSAGE_LEN)? {
                let heard = listen(&message);
                let _used = self.heard.split_to(used);
                return Ok(heard);
            }
            self.listen().await?;
        }
    }

    async fn listen(&mut self) -> anyhow::Result<()> {
        if let DataChannelEvent::OnMessage(message) = self.poll().await? {
            self.heard.extend_from_slice(&message.data);
        }
        Ok(())
    }

    async fn poll(&self) -> anyhow::Result<DataChannelEvent> {
        let event = timeout(DEADLINE, self.channel.poll()).await.context("silence")?;
        let event = event.context("the channel is gone")?;
        ensure!(
            !matches!(event, DataChannelEvent::OnClose),
            "the pod closed the channel"
        );
        Ok(event)
    }
}

/// All blocks of a film, as browsers ask for them.
fn blocks(film: &Film) -> impl Iterator<Item = Block> + use<> {
    let (length, piece_length) = (film.length as u64, u64::from(film.piece_length));
    (0..length).step_by(BLOCK as usize).filter_map(move |at| {
        let piece = at / piece_length;
        let end = ((piece + 1) * piece_length)
            .min(length)
            .min(at + u64::from(BLOCK));
        Some(Block {
            piece: u32::try_from(piece).ok()?,
            begin: u32::try_from(at % piece_length).ok()?,
            length: u32::try_from(end - at).ok()?,
        })
    })
}

struct Gathered(Notify);

#[async_trait]
impl PeerConnectionEventHandler for Gathered {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.0.notify_one();
        }
    }
}
