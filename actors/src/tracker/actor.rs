//! The shell of the tracker: hands texts and time to the state, and what the state wants sent to the outboxes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, MessageResult, Recipient, WrapFuture,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use seedpod_protocol::envelope::{Draft, Epoch, Stamp};
use seedpod_protocol::ids::PodId;
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::{Record, SwarmHint};
use seedpod_protocol::requests::{self, Request, Response};
use seedpod_protocol::tracker::ClientMessage;
use tracing::{debug, warn};

use super::admission::{Admission, AdmissionChange};
use super::messages::{
    Admit, Connect, Disconnect, GetStats, GetSwarm, Incoming, Outbox, OutboxError, SocketId, SwarmSize,
    TooMany, Withdraw,
};
use super::metrics::TrackerMetrics;
use super::relay::{HintOutcome, RelayRefusal, RelayTotals};
use super::state::{Effect, Tracker, TrackerConfig};
use super::stats::{Stats, Totals};
use crate::catalog::CatalogActor;
use crate::catalog::messages::{Change, Changed, Replay, Subscribe};
use crate::clock;
use crate::supervise::Lifeline;
use crate::swarm::{Broker, EnvelopeArrived, RequestArrived, Swarm, Topic};

/// How many messages wait for the tracker before senders wait themselves.
const MAILBOX_CAPACITY: usize = 1024;
/// How often the state looks for what is over.
const TICK: Duration = Duration::from_secs(10);
/// How often it is considered whether friends are to be told something.
const SAY: Duration = Duration::from_secs(1);
/// Requests to friends under way; what is more is left out, and viewers offer again.
const ASKING_MAX: usize = 128;

/// The tracker. All sockets end when it stops, for it drops their outboxes.
pub struct TrackerActor {
    state: Tracker,
    outboxes: HashMap<SocketId, Outbox>,
    rng: StdRng,
    metrics: TrackerMetrics,
    reported: Totals,
    reported_relay: RelayTotals,
    admission: Admission,
    abroad: Option<Abroad>,
    _lifeline: Option<Lifeline>,
}

/// What it takes to speak with the trackers of friends.
struct Abroad {
    swarm: Swarm,
    key: Arc<PodKey>,
    /// Requests under way.
    asking: usize,
}

impl Abroad {
    /// A hint, signed. It is a word, not a record: its stamp means nothing.
    async fn say(swarm: Swarm, key: Arc<PodKey>, hint: SwarmHint) {
        let stamp = Stamp {
            epoch: Epoch {
                counter: 0,
                tag: [0; 8],
            },
            seq: 0,
        };
        let signed = Draft::live(&key.id(), Record::Hint(hint)).and_then(|draft| draft.sign(&key, stamp));
        match signed {
            Ok(hint) => swarm.gossip(Topic::Swarm, hint).await,
            Err(error) => warn!(%error, "friends are not told which torrents have viewers here"),
        }
    }
}

impl TrackerActor {
    /// A tracker to be started.
    #[must_use]
    pub fn new(config: TrackerConfig, metrics: TrackerMetrics) -> Self {
        Self {
            state: Tracker::new(config),
            outboxes: HashMap::new(),
            rng: StdRng::from_os_rng(),
            metrics,
            reported: Totals::default(),
            reported_relay: RelayTotals::default(),
            admission: Admission::default(),
            abroad: None,
            _lifeline: None,
        }
    }

    /// The same tracker, which speaks with those of friends. `key` signs hints, and nothing else.
    #[must_use]
    pub fn among_friends(self, swarm: Swarm, key: Arc<PodKey>) -> Self {
        let abroad = Abroad {
            swarm,
            key,
            asking: 0,
        };
        Self {
            abroad: Some(abroad),
            ..self
        }
    }

    /// Starts the tracker and lets it follow a catalog: what it holds, and every change after it. The catalog subscribes
    /// before it replays, so nothing falls between, after a restart no less than at the first start.
    pub fn follow(self, catalog: &Addr<CatalogActor>) -> Addr<Self> {
        let tracker = self.start();
        let recipient: Recipient<Changed> = tracker.clone().recipient();
        catalog.do_send(Subscribe(recipient.clone()));
        catalog.do_send(Replay { to: recipient });
        tracker
    }

    /// The same tracker, whose end is noticed.
    #[must_use]
    pub fn with_lifeline(self, lifeline: Lifeline) -> Self {
        Self {
            _lifeline: Some(lifeline),
            ..self
        }
    }

    fn run(&mut self, effects: Vec<Effect>, ctx: &mut Context<Self>) {
        for effect in effects {
            match effect {
                Effect::Ask { friend, request } => self.ask(friend, request, ctx),
                Effect::Close { socket } => drop(self.outboxes.remove(&socket)),
                Effect::Send { socket, message } => {
                    let Some(outbox) = self.outboxes.get(&socket) else {
                        continue;
                    };
                    match outbox.try_send(message.to_text()) {
                        Ok(()) => continue,
                        Err(OutboxError::Full) => {
                            debug!(?socket, "socket does not read, dropped");
                            self.state.drop_slow(socket);
                        }
                        Err(OutboxError::Closed) => self.state.disconnect(socket),
                    }
                    self.outboxes.remove(&socket);
                }
            }
        }
        self.report();
    }

    /// Asks a friend to relay something. Without an answer nothing happens: viewers wait for each other for a while only.
    fn ask(&mut self, friend: PodId, request: Request, ctx: &mut Context<Self>) {
        let Some(abroad) = self.abroad.as_mut().filter(|abroad| abroad.asking < ASKING_MAX) else {
            self.metrics.left_out();
            return;
        };
        abroad.asking += 1;
        let swarm = abroad.swarm.clone();
        let torrent = match &request {
            Request::RelayOffer(offer) => Some(offer.info_hash),
            _ => None,
        };
        let asking = async move { swarm.request(friend, &[], request).await };
        ctx.spawn(asking.into_actor(self).map(move |answer, actor, _| {
            if let Some(abroad) = &mut actor.abroad {
                abroad.asking -= 1;
            }
            match (answer, torrent) {
                (Ok(Response::Refused { reason, .. }), Some(torrent)) => {
                    actor.state.relay_failed(friend, &torrent, reason);
                }
                (Err(error), _) => debug!(friend = %friend.short(), %error, "nothing relayed"),
                _ => {}
            }
        }));
    }

    /// Tells friends which torrents have viewers here, if it is time.
    fn say(&mut self, ctx: &mut Context<Self>) {
        let Some(abroad) = &self.abroad else { return };
        let Some(hint) = self.state.hint(now(), clock::now(), &mut self.rng) else {
            return;
        };
        let (swarm, key) = (abroad.swarm.clone(), Arc::clone(&abroad.key));
        ctx.spawn(Abroad::say(swarm, key, hint).into_actor(self));
        self.report();
    }

    fn report(&mut self) {
        let stats = self.state.stats();
        self.metrics.report(&mut self.reported, &stats);
        self.metrics.report_relay(&mut self.reported_relay, &stats.relay);
    }
}

impl Actor for TrackerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_CAPACITY);
        ctx.run_interval(TICK, |actor, ctx| {
            let effects = actor.state.tick(now());
            actor.run(effects, ctx);
        });
        if let Some(abroad) = &self.abroad {
            let broker = Broker {
                hints: ctx.address().recipient(),
                relays: ctx.address().recipient(),
            };
            let swarm = abroad.swarm.clone();
            ctx.spawn(async move { swarm.broker(broker).await }.into_actor(self));
            ctx.run_interval(SAY, Self::say);
        }
    }
}

impl Handler<Connect> for TrackerActor {
    type Result = Result<SocketId, TooMany>;

    fn handle(&mut self, connect: Connect, _: &mut Self::Context) -> Self::Result {
        let socket = self.state.connect(connect.address, now());
        if let Ok(socket) = socket {
            self.outboxes.insert(socket, connect.outbox);
        }
        self.report();
        socket
    }
}

impl Handler<Incoming> for TrackerActor {
    type Result = ();

    fn handle(&mut self, incoming: Incoming, ctx: &mut Self::Context) {
        let message = ClientMessage::parse(&incoming.text);
        let effects = self.state.receive(incoming.socket, message, now(), &mut self.rng);
        self.run(effects, ctx);
    }
}

impl Handler<Disconnect> for TrackerActor {
    type Result = ();

    fn handle(&mut self, disconnect: Disconnect, _: &mut Self::Context) {
        self.state.disconnect(disconnect.socket);
        self.outboxes.remove(&disconnect.socket);
        self.report();
    }
}

impl Handler<Changed> for TrackerActor {
    type Result = ();

    fn handle(&mut self, changed: Changed, _: &mut Self::Context) {
        for change in changed.changes.iter() {
            if let Change::AuthorGone(author) | Change::AuthorHidden(author) = change {
                self.state.forget_friend(author);
            }
            let AdmissionChange { admit, withdraw } = self.admission.follow(change);
            self.state.admit(admit);
            self.state.withdraw(withdraw);
        }
        self.report();
    }
}

impl Handler<EnvelopeArrived> for TrackerActor {
    type Result = ();

    fn handle(&mut self, arrived: EnvelopeArrived, ctx: &mut Self::Context) {
        let author = arrived.envelope.header().author;
        // Statements of another kind are of a later version, and say nothing here.
        let Record::Hint(hint) = arrived.envelope.payload() else {
            return;
        };
        let (outcome, effects) = self.state.hinted(author, hint, now(), clock::now());
        // Whoever waits for the word may be gone.
        let _ = arrived.news.send(outcome == HintOutcome::Taken);
        self.run(effects, ctx);
    }
}

impl Handler<RequestArrived> for TrackerActor {
    type Result = ();

    fn handle(&mut self, arrived: RequestArrived, ctx: &mut Self::Context) {
        let RequestArrived { from, request, reply } = arrived;
        let relayed = match request {
            Request::RelayOffer(offer) => self.state.offered(from, &offer, now(), &mut self.rng),
            Request::RelayAnswer(answer) => self.state.answered(from, &answer, now()),
            // The swarm sends nothing else here.
            _ => return,
        };
        let response = match relayed {
            Ok(effects) => {
                self.run(effects, ctx);
                Response::Relayed
            }
            Err(refusal) => {
                self.report();
                let reason = match refusal {
                    RelayRefusal::Nobody | RelayRefusal::NoSuchOffer => requests::Refusal::Nobody,
                    RelayRefusal::Twice => requests::Refusal::Malformed,
                    RelayRefusal::ViewersBusy | RelayRefusal::FriendTooMany | RelayRefusal::TooMany => {
                        requests::Refusal::Busy
                    }
                };
                Response::refused(reason, refusal.text())
            }
        };
        // The asker may be gone.
        let _ = reply.send(response);
    }
}

impl Handler<Admit> for TrackerActor {
    type Result = ();

    fn handle(&mut self, admit: Admit, _: &mut Self::Context) {
        self.state.admit(admit.info_hashes);
    }
}

impl Handler<Withdraw> for TrackerActor {
    type Result = ();

    fn handle(&mut self, withdraw: Withdraw, _: &mut Self::Context) {
        self.state.withdraw(withdraw.info_hashes);
        self.report();
    }
}

impl Handler<GetSwarm> for TrackerActor {
    type Result = MessageResult<GetSwarm>;

    fn handle(&mut self, get: GetSwarm, _: &mut Self::Context) -> Self::Result {
        let size: SwarmSize = self.state.size(&get.info_hash);
        MessageResult(size)
    }
}

impl Handler<GetStats> for TrackerActor {
    type Result = MessageResult<GetStats>;

    fn handle(&mut self, _: GetStats, _: &mut Self::Context) -> Self::Result {
        let stats: Stats = self.state.stats();
        MessageResult(stats)
    }
}

/// Follows tokio's clock, which tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::net::{IpAddr, Ipv4Addr};

    use prometheus_client::registry::Registry;
    use seedpod_protocol::ids::InfoHash;
    use serde_json::{Value, json};

    use super::super::messages::{Inbox, OUTBOX_BYTES, OUTBOX_TEXTS, outbox};
    use super::*;

    const HASH: &str = "hhhhhhhhhhhhhhhhhhhh";

    struct Browser {
        socket: SocketId,
        inbox: Inbox,
    }

    impl Browser {
        async fn connect(tracker: &Addr<TrackerActor>) -> Self {
            let (outbox, inbox) = outbox();
            let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let socket = tracker.send(Connect { address, outbox }).await.unwrap().unwrap();
            Self { socket, inbox }
        }

        async fn say(&self, tracker: &Addr<TrackerActor>, message: Value) {
            tracker
                .send(Incoming {
                    socket: self.socket,
                    text: message.to_string(),
                })
                .await
                .unwrap();
        }

        async fn hear(&mut self) -> Value {
            let text = tokio::time::timeout(Duration::from_secs(5), self.inbox.recv())
                .await
                .unwrap();
            serde_json::from_str(&text.unwrap()).unwrap()
        }
    }

    fn start() -> (Addr<TrackerActor>, Registry) {
        let mut registry = Registry::default();
        let metrics = TrackerMetrics::register(&mut registry);
        (
            TrackerActor::new(TrackerConfig::default(), metrics).start(),
            registry,
        )
    }

    fn announce(peer: &str, offers: &Value) -> Value {
        json!({ "action": "announce", "info_hash": HASH, "peer_id": peer, "left": 1, "offers": offers })
    }

    fn hash() -> InfoHash {
        InfoHash::from_bytes(HASH.as_bytes().try_into().unwrap())
    }

    #[actix::test]
    async fn two_browsers_find_each_other_through_their_texts() {
        let (tracker, registry) = start();
        tracker
            .send(Admit {
                info_hashes: vec![hash()],
            })
            .await
            .unwrap();
        let (a_id, b_id, offer_id) = (
            "aaaaaaaaaaaaaaaaaaaa",
            "bbbbbbbbbbbbbbbbbbbb",
            "oooooooooooooooooooo",
        );
        let mut a = Browser::connect(&tracker).await;
        let mut b = Browser::connect(&tracker).await;
        a.say(&tracker, announce(a_id, &json!([]))).await;
        assert_eq!(a.hear().await["incomplete"], 1);
        let offer = json!({ "type": "offer", "sdp": "v=0\r\nö" });
        b.say(
            &tracker,
            announce(b_id, &json!([{ "offer": offer, "offer_id": offer_id }])),
        )
        .await;
        assert_eq!(b.hear().await["interval"], 120);
        let relayed = a.hear().await;
        assert_eq!((&relayed["offer"], &relayed["peer_id"]), (&offer, &json!(b_id)));
        let answer = json!({ "type": "answer", "sdp": "v=0" });
        a.say(
            &tracker,
            json!({ "action": "announce", "info_hash": HASH, "peer_id": a_id, "to_peer_id": b_id,
                "answer": answer, "offer_id": offer_id }),
        )
        .await;
        let relayed = b.hear().await;
        assert_eq!(
            (&relayed["answer"], &relayed["offer_id"]),
            (&answer, &json!(offer_id))
        );

        assert_eq!(
            tracker.send(GetSwarm { info_hash: hash() }).await.unwrap(),
            SwarmSize {
                seeders: 0,
                leechers: 2
            }
        );
        tracker.send(Disconnect { socket: a.socket }).await.unwrap();
        assert_eq!(a.inbox.recv().await, None, "its outbox is dropped");
        tracker
            .send(Withdraw {
                info_hashes: vec![hash()],
            })
            .await
            .unwrap();
        b.say(&tracker, announce(b_id, &json!([]))).await;
        assert_eq!(
            b.hear().await["failure reason"],
            "this tracker does not serve that torrent"
        );
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "seedpod_tracker_sockets 1",
            "seedpod_tracker_peers 0",
            "seedpod_tracker_announces_total 2",
            "seedpod_tracker_offers_relayed_total 1",
            "seedpod_tracker_answers_relayed_total 1",
            r#"seedpod_tracker_refused_total{reason="not_admitted"} 1"#,
            r#"seedpod_tracker_refused_total{reason="unreadable"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }

    #[actix::test]
    async fn a_socket_that_does_not_read_is_dropped() {
        let (tracker, _registry) = start();
        let mut slow = Browser::connect(&tracker).await;
        for _ in 0..=OUTBOX_TEXTS {
            slow.say(&tracker, json!({})).await;
        }
        let stats = tracker.send(GetStats).await.unwrap();
        assert_eq!((stats.sockets, stats.totals.slow_sockets), (0, 1));
        for _ in 0..OUTBOX_TEXTS {
            slow.hear().await;
        }
        assert_eq!(
            slow.inbox.recv().await,
            None,
            "what was queued can be read, then the socket is to be closed"
        );
        slow.say(&tracker, json!({})).await;
    }

    #[tokio::test]
    async fn an_outbox_is_bounded_in_bytes_and_takes_more_once_something_was_read() {
        let (outbox, mut inbox) = outbox();
        let large = "x".repeat(OUTBOX_BYTES / 4);
        for _ in 0..4 {
            assert_eq!(outbox.try_send(large.clone()), Ok(()));
        }
        assert_eq!(outbox.try_send("y".into()), Err(OutboxError::Full));
        assert_eq!(inbox.recv().await.as_ref(), Some(&large));
        assert_eq!(outbox.try_send(large.clone()), Ok(()));
        drop(inbox);
        assert_eq!(outbox.try_send("y".into()), Err(OutboxError::Closed));
    }

    #[actix::test]
    async fn a_socket_whose_holder_is_gone_is_forgotten() {
        let (tracker, _registry) = start();
        let gone = Browser::connect(&tracker).await;
        let socket = gone.socket;
        drop(gone);
        tracker
            .send(Incoming {
                socket,
                text: String::new(),
            })
            .await
            .unwrap();
        let stats = tracker.send(GetStats).await.unwrap();
        assert_eq!((stats.sockets, stats.totals.slow_sockets), (0, 0));
    }
}
