//! The tracker room.
