//! A pod that breaks the rules: libp2p and a key, and nothing of ours that would keep it from sending what it likes.
//!
//! It says true things too where it must, for it begins as a friend: its card, its yes, its answers to whoever asks for roots.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity, MessageId, PublishError};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{self, OutboundRequestId, ProtocolSupport};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, noise, tcp, yamux};
use seedpod_protocol::envelope::{Draft, Epoch, Kind, Stamp, Verified};
use seedpod_protocol::ids::{ContentHash, ObjectId, PodId, Timestamp};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::{Card, Friendship, Record};
use seedpod_protocol::requests::{AuthorRoot, Refusal, Request, Response};
use seedpod_protocol::topics;
use seedpod_test_net::process::Pod;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

/// What a pod on this machine takes at most for a step of a conversation.
const DEADLINE: Duration = Duration::from_secs(20);

/// How often what could not be published yet is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// Its epoch, above that of no pod that matters to it.
pub(crate) const EPOCH: Epoch = Epoch {
    counter: 5,
    tag: [0xa7; 8],
};

/// An attacker, connected to one pod. It ends when this is dropped.
pub(crate) struct Attacker {
    pub(crate) key: PodKey,
    /// The pod it attacks.
    pub(crate) victim: PodId,
    orders: mpsc::UnboundedSender<Order>,
    connected: watch::Receiver<bool>,
    /// What it answers to the next question for records.
    page: Arc<Mutex<Vec<Vec<u8>>>>,
}

enum Order {
    Dial,
    HangUp,
    Ask(Vec<u8>, oneshot::Sender<anyhow::Result<Vec<u8>>>),
    /// On this topic. Answers whether it went out.
    Publish(&'static str, Vec<u8>, oneshot::Sender<bool>),
}

impl Attacker {
    /// Connects to a pod as whoever has this key.
    pub(crate) async fn connect(key: PodKey, pod: &Pod) -> anyhow::Result<Self> {
        let (victim, address) = address_of(pod).await?;
        let (orders, queue) = mpsc::unbounded_channel();
        let (tell_connected, connected) = watch::channel(false);
        let page = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let driver = Driver {
            swarm: swarm(&key)?,
            own: key.id(),
            address,
            queue,
            connected: tell_connected,
            page: Arc::clone(&page),
            asking: HashMap::new(),
            unsent: Vec::new(),
        };
        tokio::spawn(driver.run());
        let attacker = Self {
            key,
            victim,
            orders,
            connected,
            page,
        };
        attacker.dial().await?;
        Ok(attacker)
    }

    /// Becomes a friend of the pod, as any pod would.
    pub(crate) async fn befriend(&self) -> anyhow::Result<()> {
        let card = Card {
            name: "A friend".to_owned(),
            version: "0.1.0".to_owned(),
            url: "http://localhost:1".to_owned(),
            addresses: Vec::new(),
        };
        let friendship = Friendship {
            with: self.victim,
            host: "localhost:1".to_owned(),
            addresses: Vec::new(),
            recovery: None,
            since: Timestamp::from_millis(1_790_000_000_000),
        };
        let request = Request::Befriend {
            card: self.sign(card.into(), 1)?.bytes().to_vec(),
            friendship: self.sign(friendship.into(), 2)?.bytes().to_vec(),
            invite: None,
            keys: Vec::new(),
        };
        match self.ask(&request).await? {
            Response::Befriended { .. } => Ok(()),
            other => bail!("no friendship: {other:?}"),
        }
    }

    /// A sound live record of its own.
    pub(crate) fn sign(&self, payload: Record, seq: u64) -> anyhow::Result<Verified<Record>> {
        let stamp = Stamp { epoch: EPOCH, seq };
        Ok(Draft::live(&self.key.id(), payload)?.sign(&self.key, stamp)?)
    }

    /// A removal of its own.
    pub(crate) fn remove(&self, kind: Kind, object: ObjectId, seq: u64) -> anyhow::Result<Verified<Record>> {
        let stamp = Stamp { epoch: EPOCH, seq };
        Ok(Draft::removed(kind, object).sign(&self.key, stamp)?)
    }

    /// Asks the pod something the protocol knows.
    pub(crate) async fn ask(&self, request: &Request) -> anyhow::Result<Response> {
        let answer = self.ask_raw(request.encode()?).await?;
        Ok(Response::decode(&answer)?)
    }

    /// Sends any bytes as a request, and answers what came back.
    pub(crate) async fn ask_raw(&self, request: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(Order::Ask(request, reply)).ok();
        timeout(DEADLINE, answer).await.context("no answer in time")??
    }

    /// Gossips any bytes as soon as the pod listens; answers whether they went out, which those said before do not.
    pub(crate) async fn gossip(&self, bytes: Vec<u8>) -> anyhow::Result<bool> {
        self.gossip_on(topics::CATALOG, bytes).await
    }

    /// The same on any topic.
    pub(crate) async fn gossip_on(&self, topic: &'static str, bytes: Vec<u8>) -> anyhow::Result<bool> {
        let (done, sent) = oneshot::channel();
        self.orders.send(Order::Publish(topic, bytes, done)).ok();
        timeout(DEADLINE, sent)
            .await
            .context("nobody takes its gossip")?
            .context("it has ended")
    }

    /// Tells the pod records unasked. What it answers is not looked at: it may hang up.
    pub(crate) async fn tell(&self, envelopes: Vec<Vec<u8>>) -> anyhow::Result<()> {
        let request = Request::Tell { envelopes }.encode()?;
        drop(self.ask_raw(request).await);
        Ok(())
    }

    /// Answers the next question for its records with these, and makes the pod ask by coming anew.
    pub(crate) async fn answer_catch_up(&self, envelopes: Vec<Vec<u8>>) -> anyhow::Result<()> {
        *self.page.lock().unwrap_or_else(PoisonError::into_inner) = envelopes;
        self.orders.send(Order::HangUp).ok();
        self.until_connected(false).await?;
        self.dial().await
    }

    /// Whether the pod has asked for what was laid out.
    pub(crate) fn was_asked(&self) -> bool {
        self.page
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Whether there is a connection now.
    pub(crate) fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    /// Dials, and does not wait for what comes of it.
    pub(crate) fn try_dial(&self) {
        self.orders.send(Order::Dial).ok();
    }

    /// Waits until there is a connection, or none.
    pub(crate) async fn until_connected(&self, yes: bool) -> anyhow::Result<()> {
        let mut connected = self.connected.clone();
        let waiting = connected.wait_for(|now| *now == yes);
        timeout(DEADLINE, waiting)
            .await
            .with_context(|| format!("connected is not {yes} in time"))??;
        Ok(())
    }

    /// Dials and fails if the pod does not keep the line long enough to answer a question.
    pub(crate) async fn expect_locked_out(&self) -> anyhow::Result<()> {
        self.until_connected(false).await?;
        self.orders.send(Order::Dial).ok();
        let answer = self.ask(&Request::ListFriends).await;
        ensure!(answer.is_err(), "it was let in again: {answer:?}");
        Ok(())
    }

    async fn dial(&self) -> anyhow::Result<()> {
        self.orders.send(Order::Dial).ok();
        self.until_connected(true).await
    }
}

/// Who a pod is, and where it is dialed.
pub(crate) async fn address_of(pod: &Pod) -> anyhow::Result<(PodId, Multiaddr)> {
    let card: serde_json::Value = pod
        .visitor()
        .get("/api/v1/pods/self")
        .await?
        .status(200)?
        .json()?;
    let id: PodId = card["podId"].as_str().context("podId")?.parse()?;
    let address: Multiaddr = card["addresses"][0].as_str().context("an address")?.parse()?;
    let address = address
        .with_p2p(PeerId::from_bytes(&id.to_peer_bytes())?)
        .map_err(|address| anyhow!("{address} is of another pod"))?;
    Ok((id, address))
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    gossip: gossipsub::Behaviour,
    requests: request_response::Behaviour<RawCodec>,
}

fn swarm(key: &PodKey) -> anyhow::Result<Swarm<Behaviour>> {
    let keypair = Keypair::ed25519_from_bytes(*key.seed())?;
    let config = gossipsub::ConfigBuilder::default()
        .message_id_fn(|message| MessageId::new(&topics::message_id(message.topic.as_str(), &message.data)))
        .max_transmit_size(1 << 20)
        .build()?;
    let signed = MessageAuthenticity::Signed(keypair.clone());
    let mut gossip = gossipsub::Behaviour::new(signed, config).map_err(|error| anyhow!(error))?;
    gossip.subscribe(&IdentTopic::new(topics::CATALOG))?;
    gossip.subscribe(&IdentTopic::new(topics::SWARM))?;
    let protocol = StreamProtocol::new(topics::REQUESTS);
    let requests = request_response::Behaviour::with_codec(
        RawCodec,
        [(protocol, ProtocolSupport::Full)],
        request_response::Config::default(),
    );
    Ok(libp2p::SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(
            tcp::Config::default().nodelay(true),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_behaviour(|_| Behaviour { gossip, requests })?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .build())
}

struct Driver {
    swarm: Swarm<Behaviour>,
    own: PodId,
    address: Multiaddr,
    queue: mpsc::UnboundedReceiver<Order>,
    connected: watch::Sender<bool>,
    page: Arc<Mutex<Vec<Vec<u8>>>>,
    asking: HashMap<OutboundRequestId, oneshot::Sender<anyhow::Result<Vec<u8>>>>,
    unsent: Vec<(&'static str, Vec<u8>, oneshot::Sender<bool>)>,
}

impl Driver {
    async fn run(mut self) {
        let mut retry = tokio::time::interval(RETRY);
        loop {
            tokio::select! {
                order = self.queue.recv() => {
                    let Some(order) = order else { return };
                    self.obey(order);
                }
                _ = retry.tick(), if !self.unsent.is_empty() => {
                    for (topic, bytes, done) in std::mem::take(&mut self.unsent) {
                        self.publish(topic, bytes, done);
                    }
                }
                event = self.swarm.select_next_some() => self.on_event(event),
            }
        }
    }

    fn victim(&self) -> PeerId {
        match self.address.iter().last() {
            Some(Protocol::P2p(peer)) => peer,
            _ => unreachable!("the address was made with its id"),
        }
    }

    fn obey(&mut self, order: Order) {
        let victim = self.victim();
        match order {
            Order::Dial => {
                let options = DialOpts::peer_id(victim).addresses(vec![self.address.clone()]);
                self.swarm.dial(options.allocate_new_port().build()).ok();
            }
            Order::HangUp => {
                self.swarm.disconnect_peer_id(victim).ok();
            }
            Order::Ask(request, reply) => {
                let requests = &mut self.swarm.behaviour_mut().requests;
                self.asking.insert(requests.send_request(&victim, request), reply);
            }
            Order::Publish(topic, bytes, done) => self.publish(topic, bytes, done),
        }
    }

    fn publish(&mut self, topic: &'static str, bytes: Vec<u8>, done: oneshot::Sender<bool>) {
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        match gossip.publish(IdentTopic::new(topic), bytes.clone()) {
            Err(PublishError::NoPeersSubscribedToTopic) if !done.is_closed() => {
                self.unsent.push((topic, bytes, done));
            }
            published => {
                done.send(published.is_ok()).ok();
            }
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { .. } => {
                self.connected.send_replace(true);
            }
            SwarmEvent::ConnectionClosed {
                num_established: 0, ..
            } => {
                self.connected.send_replace(false);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Requests(event)) => match event {
                request_response::Event::Message {
                    message: request_response::Message::Request { request, channel, .. },
                    ..
                } => {
                    let answer = self.answer(&request);
                    self.swarm
                        .behaviour_mut()
                        .requests
                        .send_response(channel, answer)
                        .ok();
                }
                request_response::Event::Message {
                    message: request_response::Message::Response { request_id, response },
                    ..
                } => self.answered(request_id, Ok(response)),
                request_response::Event::OutboundFailure {
                    request_id, error, ..
                } => self.answered(request_id, Err(error.into())),
                _ => {}
            },
            _ => {}
        }
    }

    fn answered(&mut self, id: OutboundRequestId, answer: anyhow::Result<Vec<u8>>) {
        if let Some(reply) = self.asking.remove(&id) {
            reply.send(answer).ok();
        }
    }

    /// Lays out its page when it has one, and says that it holds nothing otherwise.
    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let mut page = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        let response = match Request::decode(request) {
            Ok(Request::Roots) if page.is_empty() => Response::Roots(Vec::new()),
            Ok(Request::Roots) => Response::Roots(vec![AuthorRoot {
                author: self.own,
                root: ContentHash::of(b"a root of nothing"),
                records: 1_000,
            }]),
            Ok(Request::ListFriends) => Response::Friends(Vec::new()),
            Ok(Request::Pull { .. }) => Response::Page {
                envelopes: std::mem::take(&mut *page),
                more: false,
            },
            _ => Response::refused(Refusal::Malformed, "not by me"),
        };
        response.encode().unwrap_or_default()
    }
}

/// Bytes as they are, of any length.
#[derive(Clone, Default)]
struct RawCodec;

impl request_response::Codec for RawCodec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        read(io).await
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        read(io).await
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await
    }
}

async fn read<T: AsyncRead + Unpin + Send>(io: &mut T) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io.read_to_end(&mut bytes).await.map(|_| bytes)
}
