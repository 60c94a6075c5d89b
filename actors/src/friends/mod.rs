//! The friends room.
