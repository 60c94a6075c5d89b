//! Which rooms live, and what follows when one ends. Pure: time comes in, effects go out.

use std::sync::Arc;
use std::time::Duration;

/// Longest wait before a restart.
pub const MAX_DELAY: Duration = Duration::from_secs(60);

/// A room that lived this long starts again with its first delay: its earlier deaths are history.
pub const STEADY: Duration = Duration::from_secs(120);

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitReason {
    /// It came to its end, or was dropped.
    Stopped,
    /// It panicked.
    Panicked,
}

/// What follows when a room ends while the pod is meant to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The pod cannot do without: it stops in order, and whoever started it starts it afresh.
    StopPod,
    /// The room is started again after a delay, which doubles with each death up to [`MAX_DELAY`].
    Restart {
        /// The first delay.
        delay: Duration,
    },
}

/// How a room is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomState {
    /// Everything of it lives.
    Running,
    /// It died and waits for its restart.
    Restarting,
    /// It ended, or a part of it did.
    Ended(ExitReason),
}

/// Why the pod should stop: the first room that died and that it cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopping {
    /// The room.
    pub room: &'static str,
    /// How it ended.
    pub reason: ExitReason,
}

/// How one room is, for health pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomHealth {
    /// Its name.
    pub name: &'static str,
    /// How it is now.
    pub state: RoomState,
    /// How often it was started again.
    pub restarts: u64,
    /// How often it panicked.
    pub panics: u64,
    /// What it says is wrong with it, while it lives on.
    pub trouble: Option<Arc<str>>,
}

/// How all rooms are, in the order of their first start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The rooms.
    pub rooms: Vec<RoomHealth>,
}

impl Health {
    /// Whether every room runs and none is in trouble.
    pub fn is_good(&self) -> bool {
        self.rooms
            .iter()
            .all(|room| room.state == RoomState::Running && room.trouble.is_none())
    }
}

/// An order to the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Restart { room: &'static str, after: Duration },
    StopPod(Stopping),
}

/// All rooms; times are since the supervisor's start.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    rooms: Vec<Room>,
    stopping: bool,
}

#[derive(Debug)]
struct Room {
    name: &'static str,
    policy: Policy,
    state: RoomState,
    /// Lifelines not yet dropped.
    living: u32,
    restarts: u64,
    panics: u64,
    last_start: Duration,
    next_delay: Duration,
}

impl Rooms {
    /// Notes that something of a room lives; the first time, the room gets its policy.
    pub(super) fn started(&mut self, name: &'static str, policy: Policy, now: Duration) {
        let next_delay = match policy {
            Policy::StopPod => Duration::ZERO,
            Policy::Restart { delay } => delay,
        };
        let index = self
            .rooms
            .iter()
            .position(|room| room.name == name)
            .unwrap_or_else(|| {
                let state = RoomState::Running;
                self.rooms.push(Room {
                    name,
                    policy,
                    state,
                    living: 0,
                    restarts: 0,
                    panics: 0,
                    last_start: now,
                    next_delay,
                });
                self.rooms.len() - 1
            });
        let room = &mut self.rooms[index];
        room.living += 1;
        room.last_start = now;
        if room.state == RoomState::Restarting {
            room.restarts += 1;
            room.state = RoomState::Running;
        }
    }

    /// Notes that something of a room ended, and says what follows.
    pub(super) fn exited(&mut self, name: &'static str, reason: ExitReason, now: Duration) -> Option<Effect> {
        let stopping = self.stopping;
        let room = self.room_mut(name)?;
        room.living = room.living.saturating_sub(1);
        room.panics += u64::from(reason == ExitReason::Panicked);
        room.state = RoomState::Ended(reason);
        if stopping {
            return None;
        }
        match room.policy {
            Policy::StopPod => Some(Effect::StopPod(Stopping { room: name, reason })),
            Policy::Restart { delay } => {
                if now.saturating_sub(room.last_start) >= STEADY {
                    room.next_delay = delay;
                }
                let after = room.next_delay.min(MAX_DELAY);
                room.next_delay = (after * 2).min(MAX_DELAY);
                room.state = RoomState::Restarting;
                Some(Effect::Restart { room: name, after })
            }
        }
    }

    /// Notes that a part of a room came to its planned end.
    pub(super) fn finished(&mut self, name: &'static str) {
        if let Some(room) = self.room_mut(name) {
            room.living = room.living.saturating_sub(1);
        }
    }

    /// From now on, ends are expected: nothing follows from them, and what waited for a restart waits no more.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
        for room in &mut self.rooms {
            if room.state == RoomState::Restarting {
                room.state = RoomState::Ended(ExitReason::Stopped);
            }
        }
    }

    /// Whether a restart that was ordered should still happen.
    pub(super) fn awaits_restart(&self, name: &'static str) -> bool {
        self.rooms
            .iter()
            .any(|room| room.name == name && room.state == RoomState::Restarting)
    }

    /// Whether anything of a room lives.
    pub(super) fn lives(&self, name: &'static str) -> bool {
        self.rooms.iter().any(|room| room.name == name && room.living > 0)
    }

    /// Names in the order in which rooms are to stop: the last one started is the first.
    pub(super) fn stop_order(&self) -> Vec<&'static str> {
        self.rooms.iter().rev().map(|room| room.name).collect()
    }

    pub(super) fn health(&self) -> Health {
        let health = |room: &Room| RoomHealth {
            name: room.name,
            state: room.state,
            restarts: room.restarts,
            panics: room.panics,
            trouble: None,
        };
        Health {
            rooms: self.rooms.iter().map(health).collect(),
        }
    }

    fn room_mut(&mut self, name: &'static str) -> Option<&mut Room> {
        self.rooms.iter_mut().find(|room| room.name == name)
    }

    /// The invariants.
    #[cfg(test)]
    pub(super) fn check(&self) {
        for room in &self.rooms {
            assert!(room.next_delay <= MAX_DELAY, "{} would wait too long", room.name);
            assert!(room.state != RoomState::Running || room.living > 0 || room.policy == Policy::StopPod);
            if room.state == RoomState::Restarting {
                assert!(
                    !self.stopping && room.living == 0,
                    "{} is restarted without need",
                    room.name
                );
                assert_ne!(room.policy, Policy::StopPod);
            }
        }
        let names: std::collections::BTreeSet<_> = self.rooms.iter().map(|room| room.name).collect();
        assert_eq!(names.len(), self.rooms.len(), "a room is listed twice");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(1);
    const RESTART: Policy = Policy::Restart { delay: DELAY };

    fn die(rooms: &mut Rooms, at: Duration) -> Duration {
        let effect = rooms.exited("search", ExitReason::Panicked, at);
        rooms.check();
        match effect {
            Some(Effect::Restart {
                room: "search",
                after,
            }) => after,
            other => panic!("expected a restart, got {other:?}"),
        }
    }

    #[test]
    fn delays_double_up_to_a_minute_and_start_anew_after_steady_life() {
        let mut rooms = Rooms::default();
        let mut now = Duration::ZERO;
        let mut delays = Vec::new();
        for _ in 0..9 {
            rooms.started("search", RESTART, now);
            rooms.check();
            delays.push(die(&mut rooms, now).as_secs());
        }
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        rooms.started("search", RESTART, now);
        now += STEADY;
        assert_eq!(die(&mut rooms, now), DELAY);
        let room = &rooms.health().rooms[0];
        assert_eq!(
            (room.restarts, room.panics, room.state),
            (9, 10, RoomState::Restarting)
        );
    }

    #[test]
    fn a_vital_room_stops_the_pod_and_is_not_restarted() {
        let mut rooms = Rooms::default();
        rooms.started("store", Policy::StopPod, Duration::ZERO);
        let effect = rooms.exited("store", ExitReason::Stopped, DELAY);
        rooms.check();
        assert_eq!(
            effect,
            Some(Effect::StopPod(Stopping {
                room: "store",
                reason: ExitReason::Stopped
            }))
        );
        assert!(!rooms.awaits_restart("store") && !rooms.health().is_good());
    }

    #[test]
    fn nothing_follows_from_an_end_while_stopping() {
        let mut rooms = Rooms::default();
        for (room, policy) in [
            ("store", Policy::StopPod),
            ("search", RESTART),
            ("tracker", RESTART),
        ] {
            rooms.started(room, policy, Duration::ZERO);
        }
        die(&mut rooms, DELAY);
        rooms.stop();
        rooms.check();
        assert!(
            !rooms.awaits_restart("search"),
            "a restart under way is called off"
        );
        assert_eq!(rooms.stop_order(), ["tracker", "search", "store"]);
        for room in rooms.stop_order() {
            assert_eq!(rooms.exited(room, ExitReason::Panicked, DELAY), None);
            rooms.check();
            assert!(!rooms.lives(room));
        }
    }

    #[test]
    fn a_planned_end_of_a_part_changes_nothing() {
        let mut rooms = Rooms::default();
        rooms.started("library", Policy::StopPod, Duration::ZERO);
        rooms.started("library", Policy::StopPod, Duration::ZERO);
        rooms.finished("library");
        rooms.check();
        assert!(rooms.health().is_good() && rooms.lives("library"));
    }
}
