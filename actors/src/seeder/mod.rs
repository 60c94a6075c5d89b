//! The seeder room: what this pod gives to swarms.
//!
//! Today a pod seeds over HTTP alone, as the web seed of its videos: `web` serves the bytes and reports them here with
//! [`Served`](messages::Served). The room keeps the sums, in all and by torrent, since the pod started; nothing is stored.

pub mod actor;
pub mod messages;
pub mod metrics;
pub mod state;

pub use actor::SeederActor;
pub use metrics::SeederMetrics;
