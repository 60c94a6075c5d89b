//! The search room.

pub mod messages;
