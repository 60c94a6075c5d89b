//! The shell around [`Rooms`]: lifelines report deaths, restarts run on the actix `System`, stops are told to `node`.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use actix::prelude::*;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::metrics::{RoomLabel, SuperviseMetrics};
use super::state::{Effect, ExitReason, Health, Policy, RoomHealth, RoomState, Rooms, Stopping};

/// Starts rooms, notices when they die, and acts by their policy. Clones share everything.
#[derive(Clone)]
pub struct Supervisor {
    inner: Arc<Inner>,
}

struct Inner {
    shell: Mutex<Shell>,
    /// Where actors are started: the System's own arbiter.
    arbiter: ArbiterHandle,
    born: Instant,
    stopping: watch::Sender<Option<Stopping>>,
    /// Counts ends, for those who wait for one.
    ends: watch::Sender<u64>,
    metrics: SuperviseMetrics,
}

#[derive(Default)]
struct Shell {
    rooms: Rooms,
    factories: BTreeMap<&'static str, Factory>,
    stops: BTreeMap<&'static str, Stop>,
    doctors: Vec<(&'static str, Doctor)>,
}

/// Starts a room and puts its new address where callers look.
type Factory = Box<dyn FnMut(Lifeline) + Send>;

/// Says what is wrong with a room that has no actor to die.
type Doctor = Arc<dyn Fn() -> Option<Arc<str>> + Send + Sync>;

/// How a room is told to stop.
#[derive(Default)]
struct Stop {
    token: CancellationToken,
    /// Whether anybody in the room listens; if not, there is no use in waiting for it.
    heard: bool,
}

/// Reports the end of whatever owns it: an actor struct, or a task's future. Dropped during a panic, it reports a panic.
#[must_use = "dropping a lifeline reports the end of its room"]
pub struct Lifeline {
    supervisor: Supervisor,
    room: &'static str,
    reports: bool,
}

/// The address of a room that may be restarted: ask for it anew each time, since a restart changes it. While the room is
/// dead, its last address answers `MailboxError::Closed`.
pub struct Live<A: Actor> {
    slot: Arc<RwLock<Addr<A>>>,
}

impl Supervisor {
    /// A supervisor without rooms. Call it inside the actix `System` in which actors are to be restarted.
    ///
    /// # Panics
    /// If called outside of a `System`.
    pub fn new(metrics: SuperviseMetrics) -> Self {
        let inner = Inner {
            shell: Mutex::default(),
            arbiter: Arbiter::current(),
            born: Instant::now(),
            stopping: watch::Sender::new(None),
            ends: watch::Sender::new(0),
            metrics,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// A lifeline for something the pod cannot do without ([`Policy::StopPod`]). A room may have several; the end of any
    /// counts.
    pub fn lifeline(&self, room: &'static str) -> Lifeline {
        self.lifeline_with(room, Policy::StopPod)
    }

    /// Starts a room that is restarted when it dies, and returns its slot. The factory is called now, and again on the
    /// System's arbiter after each death; the lifeline it is given belongs into the actor's struct. A factory that panics
    /// counts as a death of the room.
    pub fn supervise<A>(
        &self,
        room: &'static str,
        delay: Duration,
        mut factory: impl FnMut(Lifeline) -> Addr<A> + Send + 'static,
    ) -> Live<A>
    where
        A: Actor<Context = Context<A>>,
    {
        let policy = Policy::Restart { delay };
        let live = Live {
            slot: Arc::new(RwLock::new(factory(self.lifeline_with(room, policy)))),
        };
        let slot = live.clone();
        let factory: Factory = Box::new(move |lifeline| slot.set(factory(lifeline)));
        self.shell().factories.insert(room, factory);
        live
    }

    /// Spawns a task the pod cannot do without; it must run until the token it is given is cancelled.
    pub fn spawn<F>(&self, room: &'static str, task: impl FnOnce(CancellationToken) -> F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let lifeline = self.lifeline(room);
        let task = task(lifeline.token());
        tokio::spawn(async move {
            let _lifeline = lifeline;
            task.await;
        })
    }

    /// Watches a task that was spawned elsewhere and that the pod cannot do without.
    pub fn watch(&self, room: &'static str, task: JoinHandle<()>) -> Watched {
        let lifeline = self.lifeline(room);
        let planned = CancellationToken::new();
        let expected = planned.clone();
        let watcher = tokio::spawn(async move {
            let ended = task.await;
            match &ended {
                Ok(()) if expected.is_cancelled() => lifeline.finish(),
                Err(error) if error.is_panic() => lifeline.report(ExitReason::Panicked),
                _ => lifeline.report(ExitReason::Stopped),
            }
            ended
        });
        Watched { planned, watcher }
    }

    /// Shows a room in [`health`](Self::health) that has no task of its own, or that may be in trouble without dying: whoever
    /// asks for the health asks `doctor`, which must not block.
    pub fn examine(&self, room: &'static str, doctor: impl Fn() -> Option<Arc<str>> + Send + Sync + 'static) {
        self.shell().doctors.push((room, Arc::new(doctor)));
    }

    /// Tells when the pod should stop because it lost a room it cannot do without; `None` until then.
    pub fn stopping(&self) -> watch::Receiver<Option<Stopping>> {
        self.inner.stopping.subscribe()
    }

    /// Stops all rooms, the last one started first, each before the next; those that do not listen to their token are not
    /// waited for. Nothing is restarted any more. Returns the rooms that still lived after `patience`.
    pub async fn shutdown(&self, patience: Duration) -> Vec<&'static str> {
        let deadline = tokio::time::Instant::now() + patience;
        let (order, factories) = {
            let mut shell = self.shell();
            shell.rooms.stop();
            (shell.rooms.stop_order(), std::mem::take(&mut shell.factories))
        };
        drop(factories); // not under the lock: what they hold may report an end
        let mut left = Vec::new();
        for room in order {
            let mut ends = self.inner.ends.subscribe();
            let heard = self.shell().stops.get(room).is_some_and(|stop| {
                stop.token.cancel();
                stop.heard
            });
            while heard && self.shell().rooms.lives(room) {
                if timeout_at(deadline, ends.changed()).await.is_err() {
                    warn!(room, "room did not stop in time");
                    left.push(room);
                    break;
                }
            }
        }
        left
    }

    /// How all rooms are.
    pub fn health(&self) -> Health {
        let (mut health, doctors) = {
            let shell = self.shell();
            (shell.rooms.health(), shell.doctors.clone())
        };
        for (name, doctor) in doctors {
            let trouble = doctor();
            match health.rooms.iter_mut().find(|room| room.name == name) {
                Some(room) => room.trouble = trouble,
                None => health.rooms.push(RoomHealth {
                    name,
                    state: RoomState::Running,
                    restarts: 0,
                    panics: 0,
                    trouble,
                }),
            }
        }
        health
    }

    fn lifeline_with(&self, room: &'static str, policy: Policy) -> Lifeline {
        let now = self.inner.born.elapsed();
        let mut shell = self.shell();
        shell.rooms.started(room, policy, now);
        shell.stops.entry(room).or_default();
        Lifeline {
            supervisor: self.clone(),
            room,
            reports: true,
        }
    }

    fn exited(&self, room: &'static str, reason: ExitReason) {
        if reason == ExitReason::Panicked {
            self.inner.metrics.panics.get_or_create(&RoomLabel { room }).inc();
        }
        let effect = self.shell().rooms.exited(room, reason, self.inner.born.elapsed());
        match effect {
            Some(Effect::StopPod(cause)) => {
                error!(room, ?reason, "a room the pod cannot do without has ended");
                self.inner.stopping.send_if_modified(|first| {
                    let modified = first.is_none();
                    first.get_or_insert(cause);
                    modified
                });
            }
            Some(Effect::Restart { room, after }) => {
                warn!(room, ?reason, ?after, "a room has ended and will be restarted");
                let supervisor = self.clone();
                self.inner.arbiter.spawn(async move {
                    tokio::time::sleep(after).await;
                    supervisor.restart(room, after);
                });
            }
            None => {}
        }
        self.inner.ends.send_modify(|ends| *ends += 1);
    }

    /// Runs on the System's arbiter, so the factory may start actors; not under the lock, since it may do anything.
    fn restart(&self, room: &'static str, delay: Duration) {
        let factory = {
            let mut shell = self.shell();
            shell
                .rooms
                .awaits_restart(room)
                .then(|| shell.factories.remove(room))
                .flatten()
        };
        let Some(mut factory) = factory else { return };
        let lifeline = self.lifeline_with(room, Policy::Restart { delay });
        self.inner
            .metrics
            .restarts
            .get_or_create(&RoomLabel { room })
            .inc();
        // A panic drops the lifeline, which reports it; there is nothing to add.
        if catch_unwind(AssertUnwindSafe(|| factory(lifeline))).is_ok() {
            info!(room, "room restarted");
        }
        self.shell().factories.insert(room, factory);
    }

    /// How many share this supervisor: clones, lifelines and ordered restarts.
    #[cfg(test)]
    pub(super) fn handles(&self) -> usize {
        Arc::strong_count(&self.inner)
    }

    fn shell(&self) -> MutexGuard<'_, Shell> {
        self.inner.shell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}

impl Lifeline {
    /// The room it reports for.
    pub fn room(&self) -> &'static str {
        self.room
    }

    /// Is cancelled when the room is to stop. Asking for it is a promise to end soon after.
    pub fn token(&self) -> CancellationToken {
        let mut shell = self.supervisor.shell();
        let stop = shell.stops.entry(self.room).or_default();
        stop.heard = true;
        stop.token.clone()
    }

    /// For an actor's `started()`: stops the actor when the room is to stop.
    pub fn stop_with_pod<A: Actor<Context = Context<A>>>(&self, ctx: &mut Context<A>) {
        let stop = self.token().cancelled_owned();
        ctx.spawn(actix::fut::wrap_future::<_, A>(stop).map(|(), _, ctx: &mut Context<A>| ctx.stop()));
    }

    fn report(mut self, reason: ExitReason) {
        self.reports = false;
        self.supervisor.exited(self.room, reason);
    }

    /// Ends it without a report: what it watched came to a planned end.
    pub fn finish(mut self) {
        self.reports = false;
        self.supervisor.shell().rooms.finished(self.room);
        self.supervisor.inner.ends.send_modify(|ends| *ends += 1);
    }
}

/// A task that is watched; dropping this changes nothing for it.
#[derive(Debug)]
pub struct Watched {
    planned: CancellationToken,
    watcher: JoinHandle<Result<(), JoinError>>,
}

impl Watched {
    /// From now on its end is no death.
    pub fn expect_end(&self) {
        self.planned.cancel();
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it panicked or was aborted.
    pub async fn join(self) -> Result<(), JoinError> {
        self.watcher.await?
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        if self.reports {
            let reason = if std::thread::panicking() {
                ExitReason::Panicked
            } else {
                ExitReason::Stopped
            };
            self.supervisor.exited(self.room, reason);
        }
    }
}

impl fmt::Debug for Lifeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifeline")
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}

impl<A: Actor> Live<A> {
    /// The room's present address.
    pub fn addr(&self) -> Addr<A> {
        self.slot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, addr: Addr<A>) {
        *self.slot.write().unwrap_or_else(PoisonError::into_inner) = addr;
    }
}

impl<A: Actor> Clone for Live<A> {
    fn clone(&self) -> Self {
        Self {
            slot: Arc::clone(&self.slot),
        }
    }
}

/// A room that is never restarted, for callers that take a [`Live`].
impl<A: Actor> From<Addr<A>> for Live<A> {
    fn from(addr: Addr<A>) -> Self {
        Self {
            slot: Arc::new(RwLock::new(addr)),
        }
    }
}

impl<A: Actor> fmt::Debug for Live<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Live")
    }
}
