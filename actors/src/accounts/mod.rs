//! The accounts room.

pub mod messages;
