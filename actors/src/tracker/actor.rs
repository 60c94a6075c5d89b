//! The shell of the tracker beside its [desk](super::desk): lets the state follow the catalog and the clock, speaks with the trackers of
//! friends, and begins anew after a panic.

use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Recipient, WrapFuture,
};
use seedpod_protocol::envelope::{Draft, Epoch, Stamp};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::{Record, SwarmHint};
use seedpod_protocol::requests::{self, Request, Response};
use tracing::{debug, warn};

use super::admission::{Admission, AdmissionChange};
use super::desk::Desk;
use super::messages::{Admit, AskFriend, Withdraw};
use super::relay::{HintOutcome, RelayRefusal};
use crate::catalog::CatalogActor;
use crate::catalog::messages::{Change, Changed, Replay, Subscribe};
use crate::supervise::Lifeline;
use crate::swarm::{Broker, EnvelopeArrived, RequestArrived, Swarm, Topic};

/// How many messages wait for the tracker before senders wait themselves.
const MAILBOX_CAPACITY: usize = 1024;
/// How often the state looks for what is over.
const TICK: Duration = Duration::from_secs(10);
/// How often the actor looks whether something panicked at the desk.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is considered whether friends are to be told something.
const SAY: Duration = Duration::from_secs(1);
/// Requests to friends under way; what is more is left out, and viewers offer again.
const ASKING_MAX: usize = 128;

/// The tracker. All sockets end when it is started again.
pub struct TrackerActor {
    desk: Desk,
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
    /// A tracker to be started, behind a desk that has no other.
    #[must_use]
    pub fn new(desk: Desk) -> Self {
        Self {
            desk,
            admission: Admission::default(),
            abroad: None,
            _lifeline: None,
        }
    }

    /// The same tracker, which speaks with those of friends. `key` signs hints, and nothing else.
    #[must_use]
    pub fn among_friends(self, swarm: Swarm, key: Arc<PodKey>) -> Self {
        let admission = Admission::of(key.id());
        let abroad = Abroad {
            swarm,
            key,
            asking: 0,
        };
        Self {
            abroad: Some(abroad),
            admission,
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

    /// Tells friends which torrents have viewers here, if it is time.
    fn say(&mut self, ctx: &mut Context<Self>) {
        let Some(abroad) = &self.abroad else { return };
        let Some(hint) = self.desk.hint() else { return };
        let (swarm, key) = (abroad.swarm.clone(), Arc::clone(&abroad.key));
        ctx.spawn(Abroad::say(swarm, key, hint).into_actor(self));
    }
}

impl Actor for TrackerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_CAPACITY);
        let asker = self.abroad.as_ref().map(|_| ctx.address().recipient());
        self.desk.renew(asker);
        ctx.run_interval(TICK, |actor, _| actor.desk.tick());
        ctx.run_interval(LOOK, |actor, ctx| {
            if actor.desk.is_broken() {
                // Whoever supervises starts another one, which renews the desk.
                ctx.stop();
            }
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

impl Handler<Changed> for TrackerActor {
    type Result = ();

    fn handle(&mut self, changed: Changed, _: &mut Self::Context) {
        for change in changed.changes.iter() {
            if let Change::AuthorGone(author) | Change::AuthorHidden(author) = change {
                self.desk.forget_friend(author);
            }
            self.desk.change(self.admission.follow(change));
        }
    }
}

impl Handler<AskFriend> for TrackerActor {
    type Result = ();

    /// Asks a friend to relay something. Without an answer nothing happens: viewers wait for each other for a while only.
    fn handle(&mut self, ask: AskFriend, ctx: &mut Self::Context) {
        let AskFriend { friend, request } = ask;
        let Some(abroad) = self.abroad.as_mut().filter(|abroad| abroad.asking < ASKING_MAX) else {
            self.desk.count_left_out();
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
                    actor.desk.relay_failed(friend, &torrent, reason);
                }
                (Err(error), _) => debug!(friend = %friend.short(), %error, "nothing relayed"),
                _ => {}
            }
        }));
    }
}

impl Handler<EnvelopeArrived> for TrackerActor {
    type Result = ();

    fn handle(&mut self, arrived: EnvelopeArrived, _: &mut Self::Context) {
        let author = arrived.envelope.header().author;
        // Statements of another kind are of a later version, and say nothing here.
        let Record::Hint(hint) = arrived.envelope.payload() else {
            return;
        };
        let outcome = self.desk.hinted(author, hint);
        // Whoever waits for the word may be gone.
        let _ = arrived.news.send(outcome == Some(HintOutcome::Taken));
    }
}

impl Handler<RequestArrived> for TrackerActor {
    type Result = ();

    fn handle(&mut self, arrived: RequestArrived, _: &mut Self::Context) {
        let RequestArrived { from, request, reply } = arrived;
        let relayed = match request {
            Request::RelayOffer(offer) => self.desk.offered(from, &offer),
            Request::RelayAnswer(answer) => self.desk.answered(from, &answer),
            // The swarm sends nothing else here.
            _ => return,
        };
        let response = match relayed {
            Ok(Ok(())) => Response::Relayed,
            Ok(Err(refusal)) => {
                let reason = match refusal {
                    RelayRefusal::Nobody | RelayRefusal::NoSuchOffer => requests::Refusal::Nobody,
                    RelayRefusal::Twice => requests::Refusal::Malformed,
                    RelayRefusal::ViewersBusy | RelayRefusal::FriendTooMany | RelayRefusal::TooMany => {
                        requests::Refusal::Busy
                    }
                };
                Response::refused(reason, refusal.text())
            }
            Err(restarting) => Response::refused(requests::Refusal::Busy, &restarting.to_string()),
        };
        // The asker may be gone.
        let _ = reply.send(response);
    }
}

impl Handler<Admit> for TrackerActor {
    type Result = ();

    fn handle(&mut self, admit: Admit, _: &mut Self::Context) {
        self.desk.change(AdmissionChange {
            admit: admit.info_hashes,
            withdraw: Vec::new(),
        });
    }
}

impl Handler<Withdraw> for TrackerActor {
    type Result = ();

    fn handle(&mut self, withdraw: Withdraw, _: &mut Self::Context) {
        self.desk.change(AdmissionChange {
            admit: Vec::new(),
            withdraw: withdraw.info_hashes,
        });
    }
}
