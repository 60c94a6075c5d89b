//! Deaths, restarts and stops, with really panicking actors.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::time::timeout;

use super::{ExitReason, Health, Lifeline, RoomHealth, RoomState, Stopping, SuperviseMetrics, Supervisor};

const DEADLINE: Duration = Duration::from_secs(20);
const DELAY: Duration = Duration::from_millis(1);

/// A room's actor: says which life it is in, panics when told to.
struct Room {
    life: u32,
    lifeline: Lifeline,
    ended: Arc<Mutex<Vec<&'static str>>>,
}

#[derive(Message)]
#[rtype(u32)]
struct WhichLife;

#[derive(Message)]
#[rtype(result = "()")]
struct Panic;

#[derive(Message)]
#[rtype(result = "()")]
struct StopYourself;

impl Actor for Room {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.lifeline.stop_with_pod(ctx);
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.ended.lock().unwrap().push(self.lifeline.room());
    }
}

impl Handler<WhichLife> for Room {
    type Result = u32;

    fn handle(&mut self, _: WhichLife, _: &mut Context<Self>) -> u32 {
        self.life
    }
}

impl Handler<Panic> for Room {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        panic!("a room dies for a test");
    }
}

impl Handler<StopYourself> for Room {
    type Result = ();

    fn handle(&mut self, _: StopYourself, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

impl Room {
    fn start_with(lifeline: Lifeline) -> Addr<Self> {
        Self {
            life: 1,
            lifeline,
            ended: Arc::default(),
        }
        .start()
    }
}

/// Runs on a System like the pod's: several threads, actors on the first.
fn in_system<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    let system = System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    });
    system.block_on(async {
        timeout(DEADLINE, test())
            .await
            .expect("the test ends before its deadline");
    });
}

/// Waits until a condition holds; the test's deadline is the limit.
async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

fn room(supervisor: &Supervisor, name: &str) -> RoomHealth {
    supervisor
        .health()
        .rooms
        .into_iter()
        .find(|room| room.name == name)
        .unwrap()
}

#[test]
fn a_room_that_panics_is_restarted_under_the_same_slot() {
    in_system(|| async {
        let mut registry = Registry::default();
        let supervisor = Supervisor::new(SuperviseMetrics::new(&mut registry));
        let mut life = 0;
        let live = supervisor.supervise("search", DELAY, move |lifeline| {
            life += 1;
            Room {
                life,
                lifeline,
                ended: Arc::default(),
            }
            .start()
        });
        assert_eq!(live.addr().send(WhichLife).await, Ok(1));
        let held_by_a_caller = live.clone();
        for death in 1..=3 {
            let dead = live.addr();
            assert_eq!(dead.send(Panic).await, Err(MailboxError::Closed));
            until(|| room(&supervisor, "search").restarts == u64::from(death) && live.addr() != dead).await;
            assert_eq!(
                dead.send(WhichLife).await,
                Err(MailboxError::Closed),
                "the old address stays dead"
            );
            assert_eq!(held_by_a_caller.addr().send(WhichLife).await, Ok(death + 1));
        }
        let expected = RoomHealth {
            name: "search",
            state: RoomState::Running,
            restarts: 3,
            panics: 3,
            trouble: None,
        };
        assert_eq!(
            supervisor.health(),
            Health {
                rooms: vec![expected]
            }
        );
        assert_eq!(*supervisor.stopping().borrow(), None);
        let mut page = String::new();
        encode(&mut page, &registry).unwrap();
        assert!(
            page.contains("seedpod_supervise_restarts_total{room=\"search\"} 3"),
            "{page}"
        );
        assert!(
            page.contains("seedpod_supervise_panics_total{room=\"search\"} 3"),
            "{page}"
        );
    });
}

#[test]
fn a_room_that_stops_by_itself_is_restarted_too() {
    in_system(|| async {
        let supervisor = Supervisor::new(SuperviseMetrics::default());
        let live = supervisor.supervise("search", DELAY, Room::start_with);
        live.addr().send(StopYourself).await.unwrap();
        until(|| room(&supervisor, "search").restarts == 1).await;
        assert_eq!(room(&supervisor, "search").panics, 0);
        assert_eq!(live.addr().send(WhichLife).await, Ok(1));
    });
}

#[test]
fn a_factory_that_panics_is_tried_again() {
    in_system(|| async {
        let supervisor = Supervisor::new(SuperviseMetrics::default());
        let mut calls = 0;
        let live = supervisor.supervise("search", DELAY, move |lifeline| {
            calls += 1;
            assert!(calls != 2, "a factory dies for a test");
            Room {
                life: calls,
                lifeline,
                ended: Arc::default(),
            }
            .start()
        });
        assert!(live.addr().send(Panic).await.is_err());
        until(|| room(&supervisor, "search").restarts == 2).await;
        assert_eq!(live.addr().send(WhichLife).await, Ok(3));
        assert_eq!(room(&supervisor, "search").panics, 2);
    });
}

#[test]
fn the_death_of_a_vital_room_asks_the_pod_to_stop() {
    in_system(|| async {
        let supervisor = Supervisor::new(SuperviseMetrics::default());
        let mut stopping = supervisor.stopping();
        let vital = Room::start_with(supervisor.lifeline("catalog"));
        let neighbour = Room::start_with(supervisor.lifeline("tracker"));
        assert!(supervisor.health().is_good());
        assert!(vital.send(Panic).await.is_err());
        let cause = *stopping.wait_for(Option::is_some).await.unwrap();
        assert_eq!(
            cause,
            Some(Stopping {
                room: "catalog",
                reason: ExitReason::Panicked
            })
        );
        assert_eq!(
            room(&supervisor, "catalog").state,
            RoomState::Ended(ExitReason::Panicked)
        );
        assert_eq!(neighbour.send(WhichLife).await, Ok(1), "the neighbour lives on");

        // A second death does not hide the first.
        assert!(neighbour.send(Panic).await.is_err());
        until(|| room(&supervisor, "tracker").panics == 1).await;
        assert_eq!(*supervisor.stopping().borrow(), cause);
    });
}

#[test]
fn a_plain_task_is_watched_too() {
    in_system(|| async {
        let supervisor = Supervisor::new(SuperviseMetrics::default());
        let mut stopping = supervisor.stopping();
        let task = supervisor.spawn("swarm", |_| async { panic!("a task dies for a test") });
        assert!(task.await.unwrap_err().is_panic());
        let cause = *stopping.wait_for(Option::is_some).await.unwrap();
        assert_eq!(
            cause,
            Some(Stopping {
                room: "swarm",
                reason: ExitReason::Panicked
            })
        );
    });
}

#[test]
fn a_task_that_was_spawned_elsewhere_is_watched() {
    in_system(|| async {
        let supervisor = Supervisor::new(SuperviseMetrics::default());
        let planned = supervisor.watch("planned", tokio::spawn(async {}));
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let asked = supervisor.watch("asked", tokio::spawn(async { ended.await.unwrap() }));
        asked.expect_end();
        end.send(()).unwrap();
        asked.join().await.unwrap();
        assert_eq!(room(&supervisor, "asked").state, RoomState::Running);
        planned.join().await.unwrap();
        assert_eq!(
            room(&supervisor, "planned").state,
            RoomState::Ended(ExitReason::Stopped),
            "nobody asked it to end"
        );
        let dies = supervisor.watch("dies", tokio::spawn(async { panic!("a task dies for a test") }));
        dies.expect_end();
        assert!(dies.join().await.unwrap_err().is_panic());
        assert_eq!(
            room(&supervisor, "dies").state,
            RoomState::Ended(ExitReason::Panicked),
            "a panic is never planned"
        );
    });
}

#[test]
fn a_room_in_trouble_is_not_healthy_until_it_is_over() {
    in_system(|| async {
        let supervisor = Supervisor::new(SuperviseMetrics::default());
        let trouble = Arc::new(Mutex::new(None));
        let says = Arc::clone(&trouble);
        supervisor.examine("store", move || says.lock().unwrap().clone());
        assert!(supervisor.health().is_good());
        assert_eq!(room(&supervisor, "store").state, RoomState::Running);
        *trouble.lock().unwrap() = Some(Arc::from("the disk is gone"));
        assert!(!supervisor.health().is_good());
        assert_eq!(
            room(&supervisor, "store").trouble.as_deref(),
            Some("the disk is gone")
        );
        *trouble.lock().unwrap() = None;
        assert!(supervisor.health().is_good());
    });
}

#[test]
fn a_task_that_ends_early_is_a_death_unless_it_was_planned() {
    in_system(|| async {
        let supervisor = Supervisor::new(SuperviseMetrics::default());
        let lifeline = supervisor.lifeline("library");
        tokio::spawn(async move { lifeline.finish() }).await.unwrap();
        assert_eq!(*supervisor.stopping().borrow(), None);
        supervisor.spawn("library", |_| async {}).await.unwrap();
        let cause = Stopping {
            room: "library",
            reason: ExitReason::Stopped,
        };
        assert_eq!(*supervisor.stopping().borrow(), Some(cause));
    });
}

#[test]
fn shutdown_stops_the_last_room_first_and_restarts_nothing() {
    in_system(|| async {
        let supervisor = Supervisor::new(SuperviseMetrics::default());
        let ended = Arc::new(Mutex::new(Vec::new()));
        let started = Arc::new(AtomicU32::new(0));
        let _store = Room {
            life: 1,
            lifeline: supervisor.lifeline("store"),
            ended: Arc::clone(&ended),
        }
        .start();
        let live = {
            let (ended, started) = (Arc::clone(&ended), Arc::clone(&started));
            supervisor.supervise("search", DELAY, move |lifeline| {
                started.fetch_add(1, Ordering::Relaxed);
                Room {
                    life: 1,
                    lifeline,
                    ended: Arc::clone(&ended),
                }
                .start()
            })
        };
        let note = Arc::clone(&ended);
        let task = supervisor.spawn("swarm", |stop| async move {
            stop.cancelled().await;
            note.lock().unwrap().push("swarm");
        });
        let _deaf = supervisor.lifeline("deaf"); // listens to nothing: is not waited for
        live.addr().send(WhichLife).await.unwrap();

        assert_eq!(supervisor.shutdown(DEADLINE).await, Vec::<&str>::new());
        assert_eq!(*ended.lock().unwrap(), ["swarm", "search", "store"]);
        assert_eq!(started.load(Ordering::Relaxed), 1);
        assert_eq!(*supervisor.stopping().borrow(), None, "a planned end is no cause");
        task.await.unwrap();
    });
}

#[test]
fn shutdown_names_the_rooms_that_do_not_stop() {
    in_system(|| async {
        let supervisor = Supervisor::new(SuperviseMetrics::default());
        let stubborn = supervisor.lifeline("stubborn");
        let _promise = stubborn.token();
        assert_eq!(supervisor.shutdown(Duration::from_millis(5)).await, ["stubborn"]);
    });
}

#[test]
fn a_restart_under_way_is_called_off_by_shutdown() {
    in_system(|| async {
        let supervisor = Supervisor::new(SuperviseMetrics::default());
        let started = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&started);
        let live = supervisor.supervise("search", Duration::from_millis(20), move |lifeline| {
            count.fetch_add(1, Ordering::Relaxed);
            Room::start_with(lifeline)
        });
        assert!(live.addr().send(Panic).await.is_err());
        until(|| room(&supervisor, "search").state == RoomState::Restarting).await;
        supervisor.shutdown(DEADLINE).await;
        // The order to restart is held by a timer with a handle on the supervisor; when that is gone, it was carried out.
        until(|| supervisor.handles() == 1).await;
        assert_eq!(started.load(Ordering::Relaxed), 1);
        assert_eq!(
            room(&supervisor, "search").state,
            RoomState::Ended(ExitReason::Stopped)
        );
    });
}
