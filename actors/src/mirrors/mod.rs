//! The mirrors room: copies of friends' videos that this pod keeps and serves, so that they can be watched while their origin is away.
//!
//! Three things fill it: videos an administrator chose by hand, everything of a friend, and what is watched most. Each has a budget in bytes
//! ([`messages::Bucket`]), and a video counts against the first that takes it. What to keep is decided anew from the lists of the network
//! whenever they change ([`state`]); what is not wanted any more goes, with its offer first and its bytes after.
//!
//! Bytes come by HTTP from the origin's web seed or another mirror's ([`work`]), piece after piece; each is checked against the torrent
//! whose info hash its origin signed before it is written. So a file that lies under its unfinished name holds nothing but good pieces, a
//! restart goes on behind them, and a file under its final name is whole and may be served. The room for a file is taken on the disk
//! before its first byte.
//!
//! A whole copy is told to the network with a signed record (kind `mirror`); pages name such pods as further sources while they answer
//! ([`health`]). A copy is deleted when its video is removed, withdrawn, or its pod is a friend no more; one of a friend that was let go because
//! it cannot be reached stays, for that is what it is for.

mod actor;
mod health;
pub mod messages;
mod metrics;
mod records;
mod state;
mod work;

pub use actor::{MirrorsActor, MirrorsOptions};
pub use metrics::MirrorMetrics;
