//! The one task that owns libp2p. Each branch of its loop calls one `on_…` method, and none of them waits.
//!
//! Order of the branches: our own commands, answers of subscribers, verdicts, upkeep, and last what peers send; so a flood from outside
//! delays nobody inside. Before the subscribers are known nothing from the network is looked at.

mod inbound;

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId, Swarm as Libp2pSwarm,
    gossipsub::{IdentTopic, MessageId, PublishError},
    multiaddr::Protocol,
    request_response::{OutboundRequestId, ResponseChannel},
    swarm::{
        ConnectionId, DialError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use seedpod_protocol::{
    envelope::Verified,
    ids::{PodId, Timestamp},
    records::Record,
    requests::{Request, Response},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    time::{Interval, MissedTickBehavior},
};
use tracing::{debug, info, warn};

use super::{
    Admitted, BanReason, Broker, Friend, PeerChanged, PeerInfo, RequestError, Subscribers, SwarmError,
    SwarmMetrics, SwarmOptions, Topic,
    admission::Admission,
    behaviour::{self, Behaviour, FRIEND_SCORE, STRANGER_SCORE},
    codec::Asked,
    dialing::{BackOff, Dialing},
    handle::Command,
    peer_id::peer_id,
    verify::{self, Candidate, Verdict},
};

/// How often redials, bans and idle strangers are looked at.
const UPKEEP: Duration = Duration::from_millis(100);
/// Our own requests under way.
const REQUESTS_OUT: usize = 512;
/// While there are no more friends than this, each is sent everything at once; above, the mesh carries it.
const EXPLICIT_FRIENDS: usize = 8;
/// Changes kept for a subscriber that is behind. Beyond, it has to ask for the peers: strangers choose how many changes there are.
const OWED_MAX: usize = 4096;
/// How long binding may take until the addresses are known.
const BIND_TIME: Duration = Duration::from_secs(5);

/// What the driver shows to the handles.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) addresses: watch::Sender<Vec<String>>,
    pub(super) admitted: watch::Sender<Arc<Admitted>>,
}

/// A connected peer.
struct Peer {
    connections: HashMap<ConnectionId, Multiaddr>,
    since: Timestamp,
    /// The last request from or to it.
    active: Instant,
    rtt: Option<Duration>,
}

/// One of our requests under way.
struct Asking {
    pod: PodId,
    reply: oneshot::Sender<Result<Response, RequestError>>,
}

/// An answer of the subscriber, or none.
struct Answer {
    pod: PodId,
    channel: ResponseChannel<Response>,
    response: Option<Response>,
}

/// What the subscriber found about a record that came by gossip.
struct Judged {
    id: MessageId,
    source: PeerId,
    news: bool,
}

/// The task's state.
pub(super) struct Driver {
    swarm: Libp2pSwarm<Behaviour>,
    own: PodId,
    metrics: SwarmMetrics,
    idle_time: Duration,
    request_time: Duration,
    orders: mpsc::Receiver<Command>,
    shared: Shared,
    subscribers: Option<Subscribers>,
    broker: Option<Broker>,
    admission: Admission,
    dialing: Dialing,
    peers: HashMap<PodId, Peer>,
    /// Pods whose change did not fit into the subscriber's mailbox.
    owed: HashSet<PodId>,
    asking: HashMap<OutboundRequestId, Asking>,
    answers: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// Records that the subscriber has not yet looked up.
    judging: FuturesUnordered<BoxFuture<'static, Judged>>,
    candidates: mpsc::Sender<Candidate>,
    verdicts: mpsc::Receiver<Verdict>,
    upkeep: Interval,
}

impl Driver {
    /// Binds every address and waits until each is known.
    pub(super) async fn bind(
        options: SwarmOptions,
        metrics: SwarmMetrics,
        orders: mpsc::Receiver<Command>,
        shared: Shared,
    ) -> Result<Self, SwarmError> {
        let mut swarm = behaviour::build(&options)?;
        for text in &options.announce {
            swarm.add_external_address(text.parse().map_err(|_| SwarmError::Address(text.clone()))?);
        }
        let mut unbound = HashMap::new();
        for text in &options.listen {
            let address: Multiaddr = text.parse().map_err(|_| SwarmError::Address(text.clone()))?;
            let taken = |reason: String| SwarmError::Listen {
                address: text.clone(),
                reason,
            };
            check_free(&address)
                .await
                .map_err(|error| taken(error.to_string()))?;
            let listener = swarm
                .listen_on(address)
                .map_err(|error| taken(error.to_string()))?;
            unbound.insert(listener, text.clone());
        }
        let (candidates, verdicts) = verify::start();
        let own = options.key.id();
        let mut upkeep = tokio::time::interval(UPKEEP);
        upkeep.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut driver = Self {
            swarm,
            own,
            metrics,
            idle_time: options.idle_time,
            request_time: options.request_time,
            orders,
            shared,
            subscribers: None,
            broker: None,
            admission: Admission::new(own),
            dialing: Dialing::new(BackOff {
                first: options.redial,
                ceiling: options.redial_ceiling,
            }),
            peers: HashMap::new(),
            owed: HashSet::new(),
            asking: HashMap::new(),
            answers: FuturesUnordered::new(),
            judging: FuturesUnordered::new(),
            candidates,
            verdicts,
            upkeep,
        };
        let deadline = tokio::time::Instant::now() + BIND_TIME;
        while !unbound.is_empty() {
            let Ok(event) = tokio::time::timeout_at(deadline, driver.swarm.select_next_some()).await else {
                let address = unbound.into_values().next().unwrap_or_default();
                return Err(SwarmError::Listen {
                    address,
                    reason: format!("no address within {BIND_TIME:?}"),
                });
            };
            match &event {
                SwarmEvent::NewListenAddr { listener_id, .. } => {
                    unbound.remove(listener_id);
                }
                SwarmEvent::ListenerClosed {
                    listener_id, reason, ..
                } => {
                    if let Some(address) = unbound.remove(listener_id) {
                        let reason = reason
                            .as_ref()
                            .err()
                            .map_or_else(|| "closed".to_owned(), ToString::to_string);
                        return Err(SwarmError::Listen { address, reason });
                    }
                }
                _ => {}
            }
            driver.on_swarm_event(event);
        }
        driver.show_addresses();
        Ok(driver)
    }

    /// Runs until told to stop, or until no handle is left.
    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                command = self.orders.recv() => {
                    let Some(command) = command else { break };
                    if self.on_command(command).is_break() {
                        break;
                    }
                }
                Some(answer) = self.answers.next() => self.on_answer(answer),
                Some(judged) = self.judging.next() => self.on_judged(judged),
                Some(verdict) = self.verdicts.recv() => self.on_verdict(verdict),
                _ = self.upkeep.tick() => self.on_upkeep(Instant::now()),
                event = self.swarm.select_next_some(), if self.subscribers.is_some() => self.on_swarm_event(event),
            }
        }
        info!("swarm stopped");
    }

    fn on_command(&mut self, command: Command) -> ControlFlow<()> {
        match command {
            Command::Subscribe(subscribers) => {
                self.subscribers = Some(subscribers);
                let connected: Vec<PodId> = self.peers.keys().copied().collect();
                for pod in connected {
                    self.tell_peer_changed(pod);
                }
            }
            Command::Broker(broker) => self.broker = Some(broker),
            Command::SetFriends { friends, done } => {
                self.on_set_friends(friends);
                done.send(()).ok();
            }
            Command::Gossip { topic, envelope } => self.on_gossip(topic, &envelope),
            Command::Request {
                to,
                addresses,
                request,
                reply,
            } => self.on_request(to, &addresses, request, reply),
            Command::Peers { reply } => {
                reply
                    .send(self.peers.iter().map(|(pod, peer)| info_of(*pod, peer)).collect())
                    .ok();
            }
            Command::Refused { from, way, refusals } => {
                for refusal in &refusals {
                    self.on_refused(from, way, refusal);
                }
            }
            Command::Ban { pod, reason, done } => {
                self.ban(pod, reason);
                done.send(()).ok();
            }
            Command::Unban { pod, done } => {
                if self.admission.unban(&pod) {
                    self.swarm.behaviour_mut().blocked.unblock_peer(peer_id(&pod));
                }
                done.send(()).ok();
            }
            Command::Shutdown => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn on_set_friends(&mut self, mut friends: Vec<Friend>) {
        if friends.len() > super::FRIENDS_MAX {
            warn!(
                friends = friends.len(),
                most = super::FRIENDS_MAX,
                "too many friends, the last ones are left out"
            );
            friends.truncate(super::FRIENDS_MAX);
        }
        self.admission
            .set_friends(friends.iter().map(|friend| friend.pod));
        let after = Arc::clone(self.admission.admitted());
        let list = friends
            .iter()
            .filter(|friend| friend.pod != self.own)
            .map(|friend| {
                let peer = peer_id(&friend.pod);
                let addresses = friend
                    .addresses
                    .iter()
                    .filter_map(|text| behaviour::address_of(&peer, text))
                    .collect();
                (friend.pod, addresses)
            });
        self.dialing
            .set(list.collect(), |pod| self.peers.contains_key(pod), Instant::now());
        self.swarm
            .behaviour_mut()
            .limits
            .set_friends(after.pods().map(peer_id));
        let connected: Vec<PodId> = self.peers.keys().copied().collect();
        for pod in connected {
            self.place_in_gossip(&pod);
        }
        self.shared.admitted.send_replace(after);
        self.on_upkeep(Instant::now());
    }

    /// Tells gossipsub what a connected pod is to us. Explicit peers are named to it while they are connected only, because it would
    /// dial them on its own terms otherwise.
    fn place_in_gossip(&mut self, pod: &PodId) {
        let admitted = self.admission.admitted();
        let (friend, few) = (admitted.is_friend(pod), admitted.friends() <= EXPLICIT_FRIENDS);
        let peer = peer_id(pod);
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        gossip.set_application_score(&peer, if friend { FRIEND_SCORE } else { STRANGER_SCORE });
        if friend && few {
            gossip.add_explicit_peer(&peer);
        } else {
            gossip.remove_explicit_peer(&peer);
        }
    }

    fn on_gossip(&mut self, topic: Topic, envelope: &Verified<Record>) {
        let sent = self
            .swarm
            .behaviour_mut()
            .gossip
            .publish(IdentTopic::new(topic.name()), envelope.bytes().to_vec());
        let outcome = match sent {
            Ok(_) => "sent",
            Err(PublishError::Duplicate) => "duplicate",
            Err(PublishError::NoPeersSubscribedToTopic) => "nobody",
            Err(PublishError::AllQueuesFull(_)) => "queues_full",
            Err(error) => {
                warn!(%error, topic = topic.name(), "gossip not sent");
                "failed"
            }
        };
        self.metrics.published(outcome);
    }

    fn on_request(
        &mut self,
        to: PodId,
        addresses: &[String],
        request: Request,
        reply: oneshot::Sender<Result<Response, RequestError>>,
    ) {
        let refused = if to == self.own {
            Some(RequestError::Ourselves)
        } else if self.admission.is_banned(&to) {
            Some(RequestError::Banned(to))
        } else if self.asking.len() >= REQUESTS_OUT {
            Some(RequestError::Busy(REQUESTS_OUT))
        } else if !self.peers.contains_key(&to) {
            let peer = peer_id(&to);
            let mut known: Vec<Multiaddr> = addresses
                .iter()
                .filter_map(|text| behaviour::address_of(&peer, text))
                .collect();
            known.extend(
                self.dialing
                    .addresses(&to)
                    .iter()
                    .filter(|address| !addresses.contains(&address.to_string()))
                    .cloned(),
            );
            self.dial(&to, known).err().map(|_| RequestError::Unreachable(to))
        } else {
            None
        };
        if let Some(error) = refused {
            self.metrics.request_out(error.reason());
            reply.send(Err(error)).ok();
            return;
        }
        if let Some(peer) = self.peers.get_mut(&to) {
            peer.active = Instant::now();
        }
        // Not connected yet: the request waits inside libp2p for the dial above, and fails with it.
        let id = self
            .swarm
            .behaviour_mut()
            .requests
            .send_request(&peer_id(&to), Asked::Known(request));
        self.asking.insert(id, Asking { pod: to, reply });
    }

    /// Dials, unless that is under way already. A port of its own keeps two pods that dial each other at the same moment from
    /// meeting in one TCP connection without a listener.
    fn dial(&mut self, pod: &PodId, addresses: Vec<Multiaddr>) -> Result<(), DialError> {
        if addresses.is_empty() {
            return Err(DialError::NoAddresses);
        }
        let options = DialOpts::peer_id(peer_id(pod))
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .allocate_new_port()
            .addresses(addresses)
            .build();
        match self.swarm.dial(options) {
            Err(DialError::DialPeerConditionFalse(_)) => Ok(()),
            dialed => dialed,
        }
    }

    fn on_answer(&mut self, answer: Answer) {
        self.admission.answered(&answer.pod);
        let Some(response) = answer.response else {
            // Dropping the channel closes the stream; the asker learns that there is no answer.
            self.metrics.request_in("unanswered");
            return;
        };
        let sent = self
            .swarm
            .behaviour_mut()
            .requests
            .send_response(answer.channel, response);
        self.metrics
            .request_in(if sent.is_ok() { "answered" } else { "gone" });
    }

    fn on_upkeep(&mut self, now: Instant) {
        for pod in self.admission.expire(now) {
            self.swarm.behaviour_mut().blocked.unblock_peer(peer_id(&pod));
        }
        for pod in self.dialing.due(now) {
            let banned = self.admission.is_banned(&pod);
            let addresses = self.dialing.addresses(&pod).to_vec();
            if banned || self.dial(&pod, addresses).is_err() {
                self.dialing.failed(&pod, now, &mut rand::rng());
            }
        }
        let idle: Vec<PodId> = self
            .peers
            .iter()
            .filter(|(pod, peer)| self.is_idle(pod, peer, now))
            .map(|(pod, _)| *pod)
            .collect();
        for pod in idle {
            debug!(peer = %pod.short(), "idle stranger disconnected");
            self.swarm.disconnect_peer_id(peer_id(&pod)).ok();
        }
        let owed: Vec<PodId> = self.owed.iter().copied().collect();
        for pod in owed {
            self.tell_peer_changed(pod);
        }
    }

    /// libp2p counts the standing streams of gossip as activity, so its own idle time-out never ends such a connection.
    fn is_idle(&self, pod: &PodId, peer: &Peer, now: Instant) -> bool {
        !self.admission.admitted().is_friend(pod)
            && now.saturating_duration_since(peer.active) >= self.idle_time
            && !self.admission.is_answering(pod)
            && !self.asking.values().any(|asking| asking.pod == *pod)
    }

    fn ban(&mut self, pod: PodId, reason: BanReason) {
        if pod == self.own {
            return;
        }
        warn!(peer = %pod.short(), reason = reason.reason(), "locked out");
        let before: Vec<PodId> = self.admission.bans().copied().collect();
        self.admission.ban(pod, Instant::now());
        self.metrics.ban(reason.reason());
        // The oldest ban may have made room.
        for gone in before.into_iter().filter(|gone| !self.admission.is_banned(gone)) {
            self.swarm.behaviour_mut().blocked.unblock_peer(peer_id(&gone));
        }
        self.swarm.behaviour_mut().blocked.block_peer(peer_id(&pod));
    }

    /// Tells the newest state of a peer, now or when there is room.
    fn tell_peer_changed(&mut self, pod: PodId) {
        let owed = self.owed.remove(&pod);
        // Nobody listens yet: `Subscribe` tells all who are connected then.
        let Some(subscribers) = &self.subscribers else {
            return;
        };
        let peer = self.peers.get(&pod);
        let change = PeerChanged {
            pod,
            connected: peer.is_some(),
            rtt: peer.and_then(|peer| peer.rtt),
        };
        if subscribers.peers.try_send(change).is_err() && subscribers.peers.connected() {
            if !owed {
                self.metrics.queue_full("peers");
            }
            if self.owed.len() < OWED_MAX {
                self.owed.insert(pod);
            }
        }
    }

    /// Announced addresses first, then those we listen on, each once and with our id.
    fn show_addresses(&self) {
        let peer = *self.swarm.local_peer_id();
        let mut shown = Vec::new();
        for address in self.swarm.external_addresses().chain(self.swarm.listeners()) {
            if let Ok(whole) = address.clone().with_p2p(peer)
                && !shown.contains(&whole.to_string())
            {
                shown.push(whole.to_string());
            }
        }
        self.shared.addresses.send_replace(shown);
    }
}

fn info_of(pod: PodId, peer: &Peer) -> PeerInfo {
    PeerInfo {
        pod,
        addresses: peer.connections.values().map(ToString::to_string).collect(),
        connected_since: peer.since,
        rtt: peer.rtt,
    }
}

/// libp2p binds with `SO_REUSEPORT`, so that a second pod on the same port would silently take every other connection. Binding without it
/// for a moment finds the port taken.
async fn check_free(address: &Multiaddr) -> std::io::Result<()> {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => IpAddr::from(ip),
        Some(Protocol::Ip6(ip)) => IpAddr::from(ip),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => TcpListener::bind((ip, port)).await.map(drop),
        _ => Ok(()),
    }
}

fn wall_clock() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
