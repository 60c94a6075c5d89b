//! The friends room.

pub mod messages;
