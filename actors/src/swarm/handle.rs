//! The handle by which the rest of the pod commands the swarm.

use std::{sync::Arc, time::Duration};

use seedpod_protocol::{
    envelope::Verified,
    ids::PodId,
    records::Record,
    requests::{Request, Response},
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{
    Admitted, BanReason, Broker, Friend, PeerInfo, Refusal, RequestError, Subscribers, SwarmError,
    SwarmMetrics, SwarmOptions, Topic, Way,
    driver::{Driver, Shared},
    validate,
};

/// Commands that may wait for the driver; whoever sends one more waits.
const COMMANDS: usize = 256;
/// Pages of envelopes checked at the same time on behalf of other rooms.
const PAGES_AT_ONCE: usize = 2;
/// Envelopes checked in one go on a blocking thread.
const PAGE_PART: usize = 256;

/// An order to the driver.
#[derive(Debug)]
pub(super) enum Command {
    Subscribe(Subscribers),
    Broker(Broker),
    SetFriends {
        friends: Vec<Friend>,
        done: oneshot::Sender<()>,
    },
    Gossip {
        topic: Topic,
        envelope: Verified<Record>,
    },
    Request {
        to: PodId,
        addresses: Vec<String>,
        request: Request,
        reply: oneshot::Sender<Result<Response, RequestError>>,
    },
    Peers {
        reply: oneshot::Sender<Vec<PeerInfo>>,
    },
    Refused {
        from: PodId,
        way: Way,
        refusals: Vec<Refusal>,
    },
    Ban {
        pod: PodId,
        reason: BanReason,
        done: oneshot::Sender<()>,
    },
    Unban {
        pod: PodId,
        done: oneshot::Sender<()>,
    },
    Shutdown,
}

/// A handle to the running swarm. Cheap to clone; when the last one is dropped the swarm stops.
#[derive(Debug, Clone)]
pub struct Swarm {
    commands: mpsc::Sender<Command>,
    addresses: watch::Receiver<Vec<String>>,
    admitted: watch::Receiver<Arc<Admitted>>,
    checks: Arc<Semaphore>,
    request_time: Duration,
}

impl Swarm {
    /// Binds the addresses and starts the driver task. It answers commands from now on, but hears nothing from the network before
    /// [`Swarm::subscribe`].
    ///
    /// # Errors
    /// The first address that cannot be listened on.
    pub async fn start(
        options: SwarmOptions,
        metrics: SwarmMetrics,
    ) -> Result<(Self, JoinHandle<()>), SwarmError> {
        let (swarm, orders, shared) = Self::seat(&options);
        let driver = Driver::bind(options, metrics, orders, shared).await?;
        Ok((swarm, tokio::spawn(driver.run())))
    }

    /// A handle, and what the driver behind it takes: whoever obeys the commands is a driver.
    pub(super) fn seat(options: &SwarmOptions) -> (Self, mpsc::Receiver<Command>, Shared) {
        let (commands, orders) = mpsc::channel(COMMANDS);
        let (announced, addresses) = watch::channel(Vec::new());
        let (admitting, admitted) = watch::channel(Arc::new(Admitted::new(options.key.id(), [])));
        let swarm = Self {
            commands,
            addresses,
            admitted,
            checks: Arc::new(Semaphore::new(PAGES_AT_ONCE)),
            request_time: options.request_time,
        };
        let shared = Shared {
            addresses: announced,
            admitted: admitting,
        };
        (swarm, orders, shared)
    }

    /// Says who hears what, and starts listening to the network. Pods that are connected already are told as [`PeerChanged`].
    ///
    /// [`PeerChanged`]: super::PeerChanged
    pub async fn subscribe(&self, subscribers: Subscribers) {
        self.order(Command::Subscribe(subscribers)).await;
    }

    /// Says who relays between viewers, instead of whoever did before. Until somebody does, hints are handed on unread and
    /// relays refused.
    pub async fn broker(&self, broker: Broker) {
        self.order(Command::Broker(broker)).await;
    }

    /// Multiaddrs where this pod can be reached, each with its `/p2p/<id>`: those announced, and those it listens on.
    pub fn addresses(&self) -> Vec<String> {
        self.addresses.borrow().clone()
    }

    /// Replaces the friends: the authors we accept, who take part in gossip and are kept connected. In force on return.
    ///
    /// Without the pods of before; their connections close when idle. At most [`FRIENDS_MAX`](super::FRIENDS_MAX).
    pub async fn set_friends(&self, friends: Vec<Friend>) {
        let (done, wait) = oneshot::channel();
        self.order(Command::SetFriends { friends, done }).await;
        wait.await.ok();
    }

    /// Hands a record to gossip. Having nobody to send it to is no error, nor is having sent it before.
    pub async fn gossip(&self, topic: Topic, envelope: Verified<Record>) {
        self.order(Command::Gossip { topic, envelope }).await;
    }

    /// Asks another pod, over the connection there is, or over a new one to one of these addresses.
    ///
    /// # Errors
    /// See [`RequestError`]; each within [`SwarmOptions::request_time`]. After a time-out or a closed connection nobody knows
    /// whether the other pod acted on it.
    pub async fn request(
        &self,
        to: PodId,
        addresses: &[String],
        request: Request,
    ) -> Result<Response, RequestError> {
        let (reply, answer) = oneshot::channel();
        let addresses = addresses.to_vec();
        let asking = async {
            self.order(Command::Request {
                to,
                addresses,
                request,
                reply,
            })
            .await;
            answer.await.unwrap_or(Err(RequestError::Stopped))
        };
        let late = RequestError::Timeout(self.request_time);
        tokio::time::timeout(self.request_time, asking)
            .await
            .unwrap_or(Err(late))
    }

    /// Checks envelopes that came by another way than gossip, in order, on blocking threads: the same door, the same answers.
    ///
    /// Our own records pass as well as our friends'. An envelope whose check never ran, because the pod is stopping, is left out, and
    /// with it all that follow.
    pub async fn verify(&self, envelopes: Vec<Vec<u8>>) -> Vec<Result<Verified<Record>, Refusal>> {
        let Ok(_turn) = self.checks.acquire().await else {
            return Vec::new();
        };
        let admitted = Arc::clone(&self.admitted.borrow());
        let mut checked = Vec::with_capacity(envelopes.len());
        let mut waiting = envelopes.into_iter();
        loop {
            let part: Vec<Vec<u8>> = waiting.by_ref().take(PAGE_PART).collect();
            if part.is_empty() {
                return checked;
            }
            let admitted = Arc::clone(&admitted);
            let check = move || {
                part.iter()
                    .map(|bytes| validate(bytes, Topic::Catalog, &admitted))
                    .collect::<Vec<_>>()
            };
            match tokio::task::spawn_blocking(check).await {
                Ok(answers) => checked.extend(answers),
                Err(_) => return checked,
            }
        }
    }

    /// Says what of a pod's envelopes was refused: each is counted and, unless an honest pod might have handed it on, held against it.
    /// A forgery locks it out at once, the fifth malformed one too.
    pub async fn refused(&self, from: PodId, way: Way, refusals: Vec<Refusal>) {
        if !refusals.is_empty() {
            self.order(Command::Refused { from, way, refusals }).await;
        }
    }

    /// The pods connected now.
    pub async fn peers(&self) -> Vec<PeerInfo> {
        let (reply, answer) = oneshot::channel();
        self.order(Command::Peers { reply }).await;
        answer.await.unwrap_or_default()
    }

    /// Disconnects a pod and locks it out for [`BAN_TIME`](super::BAN_TIME). In force on return.
    pub async fn ban(&self, pod: PodId, reason: BanReason) {
        let (done, wait) = oneshot::channel();
        self.order(Command::Ban { pod, reason, done }).await;
        wait.await.ok();
    }

    /// Ends a ban early.
    pub async fn unban(&self, pod: PodId) {
        let (done, wait) = oneshot::channel();
        self.order(Command::Unban { pod, done }).await;
        wait.await.ok();
    }

    /// Closes all connections and listeners, and returns when that is done.
    pub async fn shutdown(&self) {
        self.order(Command::Shutdown).await;
        self.commands.closed().await;
    }

    /// A command to a swarm that has stopped does nothing; those with an answer notice that it does not come.
    async fn order(&self, command: Command) {
        self.commands.send(command).await.ok();
    }
}
