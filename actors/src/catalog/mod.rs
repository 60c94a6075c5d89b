//! The catalog room.

pub mod messages;
