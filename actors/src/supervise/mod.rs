//! Notices when a part of the pod dies, and does what must follow.
//!
//! A handler that panics takes its actor with it and closes the mailbox; the neighbours live on, and nobody is told. So every
//! room's actor owns a [`Lifeline`], whose drop is the news: [`Supervisor::lifeline`] for rooms the pod cannot do without (it
//! then stops in order, see [`Supervisor::stopping`]), [`Supervisor::supervise`] for rooms that a factory can start again.
//! Plain tokio tasks are watched in the same way, by [`Supervisor::spawn`] and [`Supervisor::watch`]; what has no task says
//! itself when it is in trouble ([`Supervisor::examine`]).
//!
//! A restartable room is reached through its [`Live`] slot, whose address changes with each restart. What it knew is gone: its
//! factory rebuilds it from the store. [`Supervisor::shutdown`] stops the rooms in the reverse order of their start.
//!
//! `state.rs` decides, `supervisor.rs` does.

mod metrics;
mod state;
mod supervisor;
#[cfg(test)]
mod tests;

pub use self::metrics::SuperviseMetrics;
pub use self::state::{ExitReason, Health, MAX_DELAY, Policy, RoomHealth, RoomState, STEADY, Stopping};
pub use self::supervisor::{Lifeline, Live, Supervisor, Watched};
