//! Where everybody asks who carries messages of clients: sockets, HTTP requests, UDP packets, this pod's seeder.
//!
//! A tracker answers in microseconds, so its state stands behind one lock that is held for no longer: what was said is read before, and
//! what is to be sent is written and queued after. Nobody waits for a mailbox, and two processors share the reading and writing, which
//! is most of the work. The [actor](super::TrackerActor) lets the state follow the catalog and the clock.
//!
//! A desk outlives the actor. Should something panic while it holds the lock, nobody is served from a state that may be half
//! changed: everybody hears [`Restarting`] until the actor was started again and begins anew.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use actix::Recipient;
use rand::SeedableRng;
use rand::rngs::StdRng;
use seedpod_protocol::ids::{InfoHash, PodId};
use seedpod_protocol::records::SwarmHint;
use seedpod_protocol::relay::{RelayedAnswer, RelayedOffer};
use seedpod_protocol::requests;
use seedpod_protocol::tracker::{ClientMessage, ServerMessage, SwarmCounts};
use tracing::debug;

use super::admission::AdmissionChange;
use super::messages::{
    AnnounceClient, AnswerOffer, AskFriend, ClientReply, Outbox, Refusal, RegisterSeeder, Restarting, Seed,
    SocketId, Stats, SwarmSize, TakeOffer, TooMany,
};
use super::outbox::{Line, OutboxError};
use super::relay::{HintOutcome, RelayRefusal};
use super::state::{Effect, Tracker, TrackerConfig};
use crate::clock;

/// The tracker, for those who carry messages; clones share it.
#[derive(Clone)]
pub struct Desk {
    room: Arc<Mutex<Room>>,
}

struct Room {
    state: Tracker,
    outboxes: HashMap<SocketId, Outbox>,
    seeder: Option<Recipient<TakeOffer>>,
    /// Asks friends; there is none in a pod that has no friends to ask.
    asker: Option<Recipient<AskFriend>>,
    rng: StdRng,
}

/// What is to be done once the lock is free.
enum Errand {
    Send(SocketId, Line, ServerMessage),
    Hand(Recipient<TakeOffer>, TakeOffer),
    Ask(Recipient<AskFriend>, AskFriend),
}

impl Desk {
    /// A desk of a tracker that serves nothing yet.
    #[must_use]
    pub fn new(config: TrackerConfig) -> Self {
        let room = Room {
            state: Tracker::new(config),
            outboxes: HashMap::new(),
            seeder: None,
            asker: None,
            rng: StdRng::from_os_rng(),
        };
        Self {
            room: Arc::new(Mutex::new(room)),
        }
    }

    /// A socket was opened from this address; limits are counted by IPv4 address or IPv6 /64.
    ///
    /// What is to be sent without having been asked for comes out of the [`Inbox`](super::messages::Inbox) of this outbox. The tracker
    /// closes a socket by ending it: the holder sends what is still queued, if it likes, and closes. An outbox that is full
    /// when something is to be put in belongs to a client that does not read, and is ended.
    ///
    /// # Errors
    /// When the tracker is being started again; and when there are too many sockets.
    pub fn connect(&self, address: IpAddr, outbox: Outbox) -> Result<Result<SocketId, TooMany>, Restarting> {
        let mut room = self.lock()?;
        let socket = room.state.connect(address, now());
        if let Ok(socket) = socket {
            room.outboxes.insert(socket, outbox);
        }
        Ok(socket)
    }

    /// A socket received a text; gives what is to be sent back, if anything is. Whoever holds the socket should send that before it
    /// reads on, so that a client that does not read is not heard either.
    ///
    /// # Errors
    /// When the tracker is being started again: the socket is to be closed.
    pub fn receive(&self, socket: SocketId, text: &str) -> Result<Option<String>, Restarting> {
        let message = ClientMessage::parse(text);
        let mut reply = None;
        let mut errands = Vec::new();
        {
            let mut room = self.lock()?;
            let Room { state, rng, .. } = &mut *room;
            for effect in state.receive(socket, message, now(), rng) {
                match effect {
                    Effect::Send { socket: to, message } if to == socket => reply = Some(message),
                    other => errands.extend(room.errand(other)),
                }
            }
        }
        self.run(errands);
        Ok(reply.map(|message| message.to_text()))
    }

    /// A socket was closed from the other side. Its peers are gone.
    pub fn disconnect(&self, socket: SocketId) {
        // A tracker that is being started again has forgotten it anyway.
        if let Ok(mut room) = self.lock() {
            room.state.disconnect(socket);
            room.outboxes.remove(&socket);
        }
    }

    /// A BitTorrent client announces itself.
    ///
    /// # Errors
    /// When the tracker is being started again; and when it refuses.
    pub fn announce(&self, announce: &AnnounceClient) -> Result<Result<ClientReply, Refusal>, Restarting> {
        let mut room = self.lock()?;
        let Room { state, rng, .. } = &mut *room;
        Ok(state.announce_client(announce, now(), rng))
    }

    /// The sizes of swarms, in the order in which they are asked for; zeros for those that are unknown.
    ///
    /// # Errors
    /// When the tracker is being started again.
    pub fn scrape(&self, info_hashes: &[InfoHash]) -> Result<Vec<SwarmCounts>, Restarting> {
        Ok(self.lock()?.state.scrape_clients(info_hashes))
    }

    /// Counts something that was refused before the tracker heard of it.
    pub fn count(&self, refusal: Refusal) {
        if let Ok(mut room) = self.lock() {
            room.state.count(refusal);
        }
    }

    /// This pod seeds by itself; see [`RegisterSeeder`]. Remembered when the tracker is started again.
    pub fn register_seeder(&self, seeder: RegisterSeeder) {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        room.state
            .register_seeder(seeder.peer_id, &seeder.addresses, seeder.offers.is_some());
        room.seeder = seeder.offers;
    }

    /// What this pod seeds has changed. Remembered when the tracker is started again.
    pub fn seed(&self, seed: Seed) {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        room.state.seed(seed);
    }

    /// Hands the answer of this pod's seeder to the maker of the offer; one that came too late is passed over.
    pub fn answer_offer(&self, answer: AnswerOffer) {
        let errand = self.lock().ok().and_then(|mut room| {
            let effect = room.state.answer_offer(answer, now()).ok()?;
            room.errand(effect)
        });
        self.run(errand);
    }

    /// The size of a swarm; of an unknown one, and while the tracker is being started again, it is zero.
    #[must_use]
    pub fn size(&self, info_hash: &InfoHash) -> SwarmSize {
        self.lock()
            .map(|room| room.state.size(info_hash))
            .unwrap_or_default()
    }

    /// The figures. What was counted survives when the tracker is started again.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        room.state.stats()
    }

    /// Ends all sockets and begins anew, after whatever happened. From now on friends are asked by `asker`.
    pub(super) fn renew(&self, asker: Option<Recipient<AskFriend>>) {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        room.state = room.state.renewed();
        room.outboxes.clear();
        room.asker = asker;
        self.room.clear_poison();
    }

    /// Whether something panicked at the desk since it was last renewed.
    pub(super) fn is_broken(&self) -> bool {
        self.room.is_poisoned()
    }

    /// Follows the catalog.
    pub(super) fn change(&self, change: AdmissionChange) {
        if let Ok(mut room) = self.lock() {
            room.state.admit(change.admit);
            room.state.withdraw(change.withdraw);
        }
    }

    /// Takes in which torrents a friend has viewers of.
    pub(super) fn hinted(&self, friend: PodId, hint: &SwarmHint) -> Option<HintOutcome> {
        let mut room = self.lock().ok()?;
        let (outcome, effects) = room.state.hinted(friend, hint, now(), clock::now());
        self.run_after(room, effects);
        Some(outcome)
    }

    /// Shows a friend's offer to one peer here.
    pub(super) fn offered(
        &self,
        friend: PodId,
        offer: &RelayedOffer,
    ) -> Result<Result<(), RelayRefusal>, Restarting> {
        let mut room = self.lock()?;
        let Room { state, rng, .. } = &mut *room;
        let offered = state.offered(friend, offer, now(), rng);
        Ok(offered.map(|effects| self.run_after(room, effects)))
    }

    /// Hands a friend's answer to the peer here who made the offer.
    pub(super) fn answered(
        &self,
        friend: PodId,
        answer: &RelayedAnswer,
    ) -> Result<Result<(), RelayRefusal>, Restarting> {
        let mut room = self.lock()?;
        let answered = room.state.answered(friend, answer, now());
        Ok(answered.map(|effects| self.run_after(room, effects)))
    }

    /// A friend did not take an offer.
    pub(super) fn relay_failed(&self, friend: PodId, info_hash: &InfoHash, reason: requests::Refusal) {
        if let Ok(mut room) = self.lock() {
            room.state.relay_failed(friend, info_hash, reason);
        }
    }

    /// What friends are to be told now, if anything.
    pub(super) fn hint(&self) -> Option<SwarmHint> {
        let mut room = self.lock().ok()?;
        let Room { state, rng, .. } = &mut *room;
        state.hint(now(), clock::now(), rng)
    }

    /// Something was not sent to a friend, because too much was on its way.
    pub(super) fn count_left_out(&self) {
        if let Ok(mut room) = self.lock() {
            room.state.count_left_out();
        }
    }

    /// Forgets what a pod said that is no friend any more.
    pub(super) fn forget_friend(&self, friend: &PodId) {
        if let Ok(mut room) = self.lock() {
            room.state.forget_friend(friend);
        }
    }

    /// Forgets what is over.
    pub(super) fn tick(&self) {
        if let Ok(mut room) = self.lock() {
            for effect in room.state.tick(now()) {
                // Nothing is sent by a tick.
                room.errand(effect);
            }
        }
    }

    /// What must never happen.
    #[cfg(test)]
    pub(super) fn panic_while_locked(&self) {
        let _room = self.lock();
        panic!("told to");
    }

    fn lock(&self) -> Result<MutexGuard<'_, Room>, Restarting> {
        self.room.lock().map_err(|_| Restarting)
    }

    /// Does what the state wants done, once the lock is free.
    fn run_after(&self, mut room: MutexGuard<'_, Room>, effects: Vec<Effect>) {
        let errands: Vec<Errand> = effects
            .into_iter()
            .filter_map(|effect| room.errand(effect))
            .collect();
        drop(room);
        self.run(errands);
    }

    /// Writes and queues what is to be sent. The lock is not held.
    fn run(&self, errands: impl IntoIterator<Item = Errand>) {
        for errand in errands {
            match errand {
                Errand::Send(socket, line, message) => match line.try_send(message.to_text()) {
                    Ok(()) => {}
                    Err(OutboxError::Full) => {
                        debug!(?socket, "socket does not read, dropped");
                        self.drop_slow(socket);
                    }
                    Err(OutboxError::Closed) => self.disconnect(socket),
                },
                Errand::Hand(seeder, offer) => {
                    if seeder.try_send(offer).is_err()
                        && let Ok(mut room) = self.lock()
                    {
                        room.state.count_lost_offer();
                    }
                }
                Errand::Ask(asker, ask) => {
                    if asker.try_send(ask).is_err() {
                        self.count_left_out();
                    }
                }
            }
        }
    }

    fn drop_slow(&self, socket: SocketId) {
        if let Ok(mut room) = self.lock() {
            room.state.drop_slow(socket);
            room.outboxes.remove(&socket);
        }
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk")
    }
}

impl Room {
    /// What an effect leads to once the lock is free. A socket that is to be closed is closed at once.
    fn errand(&mut self, effect: Effect) -> Option<Errand> {
        match effect {
            Effect::Send { socket, message } => {
                let line = self.outboxes.get(&socket)?.line();
                Some(Errand::Send(socket, line, message))
            }
            Effect::Hand(offer) => Some(Errand::Hand(self.seeder.clone()?, offer)),
            Effect::Ask { friend, request } => {
                let Some(asker) = self.asker.clone() else {
                    self.state.count_left_out();
                    return None;
                };
                Some(Errand::Ask(asker, AskFriend { friend, request }))
            }
            Effect::Close { socket } => {
                self.outboxes.remove(&socket);
                None
            }
        }
    }
}

/// Follows tokio's clock, which tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
