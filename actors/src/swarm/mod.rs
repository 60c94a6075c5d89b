//! The swarm room.
