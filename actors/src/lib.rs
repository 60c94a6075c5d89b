//! What pods do: pure state machines in thin actix shells.
//!
//! Each module is a room: one owner of one thing. State decides and the shell does; `ARCHITECTURE.md` draws the map.

pub mod accounts;
pub mod address;
pub mod audience;
pub mod catalog;
pub mod clock;
pub mod comments;
pub mod disk;
pub mod friends;
pub mod library;
pub mod meter;
pub mod mirrors;
pub mod places;
pub mod reports;
pub mod search;
pub mod seeder;
#[cfg(test)]
mod simulation;
pub mod store;
pub mod supervise;
pub mod swarm;
#[cfg(test)]
mod testing;
pub mod tracker;
