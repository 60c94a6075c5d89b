//! The task that obeys a handle's commands on a [`Network`] in memory. Friends, bans and meters, redials and the door to records are the
//! same code as on the real network; gossip is a plain flood among friends.

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::Multiaddr;
use seedpod_protocol::{
    codec,
    ids::{ContentHash, PodId, Timestamp},
    limits,
    requests::{self, Request, Response},
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    super::{
        ANSWER_TIME, Admitted, BanReason, Broker, EnvelopeArrived, Friend, PeerChanged, PeerInfo, Refusal,
        RequestArrived, RequestError, Subscribers, SwarmError, SwarmMetrics, SwarmOptions, Topic, Way,
        admission::Admission,
        behaviour,
        dialing::{BackOff, Dialing},
        driver::Shared,
        handle::Command,
        peer_id::peer_id,
        validate,
    },
    Network, Packet,
};

/// How often redials, bans and idle strangers are looked at.
const UPKEEP: Duration = Duration::from_millis(20);

struct Peer {
    address: Multiaddr,
    since: Timestamp,
    active: Instant,
}

struct Asking {
    pod: PodId,
    reply: oneshot::Sender<Result<Response, RequestError>>,
}

struct Answer {
    pod: PodId,
    number: u64,
    response: Option<Response>,
}

/// What the subscriber found about a record that came by gossip.
struct Judged {
    from: PodId,
    topic: Topic,
    bytes: Vec<u8>,
    news: bool,
}

pub(super) struct MemoryDriver {
    network: Network,
    number: u64,
    own: PodId,
    idle_time: Duration,
    metrics: SwarmMetrics,
    orders: mpsc::Receiver<Command>,
    packets: mpsc::UnboundedReceiver<Packet>,
    admitted: watch::Sender<Arc<Admitted>>,
    /// Kept open: handles read it.
    _addresses: watch::Sender<Vec<String>>,
    subscribers: Option<Subscribers>,
    broker: Option<Broker>,
    admission: Admission,
    dialing: Dialing,
    peers: HashMap<PodId, Peer>,
    asking: HashMap<u64, Asking>,
    last_question: u64,
    answers: FuturesUnordered<BoxFuture<'static, Answer>>,
    judging: FuturesUnordered<BoxFuture<'static, Judged>>,
    /// Gossip that came or went before, each topic apart.
    seen: HashSet<(Topic, ContentHash)>,
}

impl MemoryDriver {
    pub(super) fn bind(
        network: Network,
        options: SwarmOptions,
        metrics: SwarmMetrics,
        orders: mpsc::Receiver<Command>,
        shared: Shared,
    ) -> Result<Self, SwarmError> {
        let own = options.key.id();
        let listen = options.listen.first().map_or("/memory/0", String::as_str);
        let (number, packets) = network.join(own, listen)?;
        shared
            .addresses
            .send_replace(vec![format!("/memory/{number}/p2p/{own}")]);
        Ok(Self {
            network,
            number,
            own,
            idle_time: options.idle_time,
            metrics,
            orders,
            packets,
            admitted: shared.admitted,
            _addresses: shared.addresses,
            subscribers: None,
            broker: None,
            admission: Admission::new(own),
            dialing: Dialing::new(BackOff {
                first: options.redial,
                ceiling: options.redial_ceiling,
            }),
            peers: HashMap::new(),
            asking: HashMap::new(),
            last_question: 0,
            answers: FuturesUnordered::new(),
            judging: FuturesUnordered::new(),
            seen: HashSet::new(),
        })
    }

    pub(super) async fn run(mut self) {
        let mut upkeep = tokio::time::interval(UPKEEP);
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
                _ = upkeep.tick() => self.on_upkeep(),
                Some(packet) = self.packets.recv(), if self.subscribers.is_some() => self.on_packet(packet),
            }
        }
    }

    fn on_command(&mut self, command: Command) -> ControlFlow<()> {
        match command {
            Command::Subscribe(subscribers) => self.subscribers = Some(subscribers),
            Command::Broker(broker) => self.broker = Some(broker),
            Command::SetFriends { friends, done } => {
                self.set_friends(friends);
                done.send(()).ok();
            }
            Command::Gossip { topic, envelope } => {
                let outcome = if self.seen.insert((topic, envelope.hash())) {
                    self.flood(topic, envelope.bytes(), None)
                } else {
                    "duplicate"
                };
                self.metrics.published(outcome);
            }
            Command::Request {
                to,
                addresses,
                request,
                reply,
            } => self.ask(to, &addresses, &request, reply),
            Command::Peers { reply } => {
                let infos = self.peers.iter().map(|(pod, peer)| PeerInfo {
                    pod: *pod,
                    addresses: vec![peer.address.to_string()],
                    connected_since: peer.since,
                    rtt: None,
                });
                reply.send(infos.collect()).ok();
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
                self.admission.unban(&pod);
                self.network.set_banned(self.number, pod, false);
                done.send(()).ok();
            }
            Command::Shutdown => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn set_friends(&mut self, friends: Vec<Friend>) {
        self.admission
            .set_friends(friends.iter().map(|friend| friend.pod));
        let list = friends.iter().filter(|friend| friend.pod != self.own);
        let list = list.map(|friend| (friend.pod, parsed(&friend.pod, &friend.addresses)));
        self.dialing
            .set(list.collect(), |pod| self.peers.contains_key(pod), Instant::now());
        self.admitted.send_replace(Arc::clone(self.admission.admitted()));
        self.on_upkeep();
    }

    /// Sends to every connected friend but the one it came from.
    fn flood(&self, topic: Topic, bytes: &[u8], source: Option<PodId>) -> &'static str {
        let admitted = self.admission.admitted();
        let mut outcome = "nobody";
        for pod in self.peers.keys() {
            if admitted.is_friend(pod) && Some(*pod) != source {
                let (from, bytes) = (self.own, bytes.to_vec());
                self.network
                    .send(from, *pod, &Packet::Gossip { from, topic, bytes });
                outcome = "sent";
            }
        }
        outcome
    }

    fn ask(
        &mut self,
        to: PodId,
        addresses: &[String],
        request: &Request,
        reply: oneshot::Sender<Result<Response, RequestError>>,
    ) {
        match self.prepared(to, addresses, request) {
            Ok(bytes) => {
                self.last_question += 1;
                let (from, number) = (self.own, self.last_question);
                self.asking.insert(number, Asking { pod: to, reply });
                if let Some(peer) = self.peers.get_mut(&to) {
                    peer.active = Instant::now();
                }
                self.network
                    .send(from, to, &Packet::Request { from, number, bytes });
            }
            Err(error) => {
                self.metrics.request_out(error.reason());
                reply.send(Err(error)).ok();
            }
        }
    }

    fn prepared(&self, to: PodId, addresses: &[String], request: &Request) -> Result<Vec<u8>, RequestError> {
        if to == self.own {
            return Err(RequestError::Ourselves);
        }
        if self.admission.is_banned(&to) {
            return Err(RequestError::Banned(to));
        }
        let mut known = parsed(&to, addresses);
        known.extend_from_slice(self.dialing.addresses(&to));
        if !self.network.connect(self.own, to, &known) {
            return Err(RequestError::Unreachable(to));
        }
        request
            .encode()
            .map_err(|error| RequestError::TooLarge(error.to_string()))
    }

    fn on_answer(
        &mut self,
        Answer {
            pod,
            number,
            response,
        }: Answer,
    ) {
        self.admission.answered(&pod);
        self.metrics.request_in(if response.is_some() {
            "answered"
        } else {
            "unanswered"
        });
        let bytes = response.and_then(|response| response.encode().ok());
        self.network
            .send(self.own, pod, &Packet::Answer { number, bytes });
    }

    fn on_upkeep(&mut self) {
        let now = Instant::now();
        for pod in self.admission.expire(now) {
            self.network.set_banned(self.number, pod, false);
        }
        for pod in self.dialing.due(now) {
            let addresses = self.dialing.addresses(&pod);
            if self.admission.is_banned(&pod) || !self.network.connect(self.own, pod, addresses) {
                self.metrics.dial("failed");
                self.dialing.failed(&pod, now, &mut rand::rng());
            }
        }
        for (pod, peer) in &self.peers {
            let stranger = !self.admission.admitted().is_friend(pod);
            let idle = now.saturating_duration_since(peer.active) >= self.idle_time;
            let asked = self.asking.values().any(|asking| asking.pod == *pod);
            if stranger && idle && !asked && !self.admission.is_answering(pod) {
                self.network.disconnect(self.own, *pod);
            }
        }
        self.asking.retain(|_, asking| !asking.reply.is_closed());
    }

    fn on_packet(&mut self, packet: Packet) {
        match packet {
            Packet::Opened { peer, address } => self.on_opened(peer, address),
            Packet::Closed { peer } => self.on_closed(peer),
            Packet::Gossip { from, topic, bytes } => self.on_gossip(from, topic, &bytes),
            Packet::Request { from, number, bytes } => self.on_request(from, number, &bytes),
            Packet::Answer { number, bytes } => {
                // The second copy of an answer finds nobody who asks.
                let Some(asking) = self.asking.remove(&number) else {
                    return;
                };
                let outcome = match bytes.as_deref().map(Response::decode) {
                    Some(Ok(response)) => Ok(response),
                    Some(Err(error)) => Err(RequestError::Answer(error.to_string())),
                    None => Err(RequestError::Closed("no answer".to_owned())),
                };
                self.metrics
                    .request_out(outcome.as_ref().map_or_else(RequestError::reason, |_| "answered"));
                asking.reply.send(outcome).ok();
            }
        }
    }

    fn on_opened(&mut self, pod: PodId, address: Multiaddr) {
        let now = Instant::now();
        let peer = Peer {
            address,
            since: crate::clock::now(),
            active: now,
        };
        self.peers.insert(pod, peer);
        self.admission.connected(pod, now);
        self.dialing.connected(&pod, now);
        self.tell_changed(pod, true);
    }

    fn on_closed(&mut self, pod: PodId) {
        if self.peers.remove(&pod).is_none() {
            return;
        }
        self.admission.disconnected(&pod);
        self.dialing.disconnected(&pod, Instant::now(), &mut rand::rng());
        let lost: Vec<u64> = self.asking_of(pod).collect();
        for number in lost {
            if let Some(asking) = self.asking.remove(&number) {
                let closed = RequestError::Closed("connection lost".to_owned());
                asking.reply.send(Err(closed)).ok();
            }
        }
        self.tell_changed(pod, false);
    }

    fn asking_of(&self, pod: PodId) -> impl Iterator<Item = u64> + '_ {
        let theirs = self.asking.iter().filter(move |(_, asking)| asking.pod == pod);
        theirs.map(|(number, _)| *number)
    }

    fn on_gossip(&mut self, from: PodId, topic: Topic, bytes: &[u8]) {
        if !self.admission.admitted().is_friend(&from) || !self.seen.insert((topic, ContentHash::of(bytes))) {
            return;
        }
        if let Err(reason) = self.admission.take_gossip(&from, bytes.len(), Instant::now()) {
            self.metrics.gossip("ignore", reason);
            return;
        }
        match validate(bytes, topic, self.admission.admitted()) {
            Ok(envelope) if envelope.header().author == self.own => self.metrics.gossip("ignore", "own"),
            Ok(envelope) => {
                let (news, judged) = oneshot::channel();
                let hears = if envelope.header().kind.is_record() {
                    self.subscribers.as_ref().map(|to| &to.envelopes)
                } else {
                    self.broker.as_ref().map(|broker| &broker.hints)
                };
                let told = hears.map(|hears| hears.try_send(EnvelopeArrived { from, envelope, news }));
                let heard = Judged {
                    from,
                    topic,
                    bytes: bytes.to_vec(),
                    news: true,
                };
                if let Some(Ok(())) = told {
                    let judging = judged.map(move |news| Judged {
                        news: news.unwrap_or(false),
                        ..heard
                    });
                    self.judging.push(judging.boxed());
                } else {
                    self.metrics.queue_full("envelopes");
                    self.on_judged(heard);
                }
            }
            Err(refusal) => {
                let verdict = if refusal.blames() { "reject" } else { "ignore" };
                self.metrics.gossip(verdict, refusal.reason());
                self.on_refused(from, Way::Gossip, &refusal);
            }
        }
    }

    fn on_judged(&mut self, judged: Judged) {
        if judged.news {
            self.metrics.gossip("accept", "");
            self.flood(judged.topic, &judged.bytes, Some(judged.from));
        } else {
            self.metrics.gossip("ignore", "stale");
        }
    }

    fn on_refused(&mut self, from: PodId, way: Way, refusal: &Refusal) {
        self.metrics.refused(way.name(), refusal.reason());
        if let Some(reason) = self.admission.refused(from, refusal, Instant::now()) {
            self.ban(from, reason);
        }
    }

    fn on_request(&mut self, from: PodId, number: u64, bytes: &[u8]) {
        let now = Instant::now();
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.active = now;
        }
        let request = match Request::decode(bytes) {
            Err(_) if codec::check(bytes, limits::REQUEST_MAX).is_err() => {
                self.metrics.request_in("malformed");
                if let Some(reason) = self.admission.strike(from, now) {
                    self.ban(from, reason);
                }
                return;
            }
            request => request,
        };
        let (reason, text) = if !self.admission.take_request(&from, now) {
            (requests::Refusal::Busy, "too many requests".to_owned())
        } else {
            match request {
                Ok(request) if request.is_relay() && !self.admission.admitted().is_friend(&from) => {
                    self.admission.answered(&from);
                    (requests::Refusal::NotAFriend, "we are not friends".to_owned())
                }
                Ok(request) => {
                    let (reply, response) = oneshot::channel();
                    let answers = if request.is_relay() {
                        self.broker.as_ref().map(|broker| &broker.relays)
                    } else {
                        self.subscribers.as_ref().map(|to| &to.requests)
                    };
                    let told = answers
                        .map(|answers| answers.try_send(RequestArrived { from, request, reply }).is_ok());
                    if told == Some(true) {
                        let answer =
                            tokio::time::timeout(ANSWER_TIME, response).map(move |response| Answer {
                                pod: from,
                                number,
                                response: response.ok().and_then(Result::ok),
                            });
                        self.answers.push(answer.boxed());
                        return;
                    }
                    self.admission.answered(&from);
                    (requests::Refusal::Busy, "too much to do".to_owned())
                }
                Err(error) => {
                    self.admission.answered(&from);
                    (requests::Refusal::Malformed, error.to_string())
                }
            }
        };
        let bytes = Response::refused(reason, &text).encode().ok();
        self.network
            .send(self.own, from, &Packet::Answer { number, bytes });
    }

    fn ban(&mut self, pod: PodId, reason: BanReason) {
        if pod == self.own {
            return;
        }
        self.admission.ban(pod, Instant::now());
        self.metrics.ban(reason.reason());
        self.network.set_banned(self.number, pod, true);
    }

    fn tell_changed(&self, pod: PodId, connected: bool) {
        self.metrics.set_connected(self.peers.len());
        let change = PeerChanged {
            pod,
            connected,
            rtt: None,
        };
        if let Some(subscribers) = &self.subscribers
            && subscribers.peers.try_send(change).is_err()
        {
            self.metrics.queue_full("peers");
        }
    }
}

impl Drop for MemoryDriver {
    fn drop(&mut self) {
        self.network.leave(self.number);
    }
}

fn parsed(pod: &PodId, addresses: &[String]) -> Vec<Multiaddr> {
    let peer = peer_id(pod);
    let parsed = addresses.iter();
    parsed
        .filter_map(|text| behaviour::address_of(&peer, text))
        .collect()
}
