//! The meter: who carried how much of which video.
//!
//! Two kinds of figures stand beside each other and are never mixed. What this pod *sent*, by web seed, WebRTC and TCP, is measured: the
//! seeder's ledger and the web server count it, and this room keeps the sums. What viewers *told* is what pages on this pod say they got from
//! each other and from pods, and gave; nobody can check it, so it is shown and decides nothing.
//!
//! - [`state`] adds up, and believes a teller no further than a video is long; pure.
//! - [`actor`] takes the seeder's sums and writes what changed every few seconds, and when the pod stops. A crash loses what came since.
//!
//! Who told what is known for an hour, in memory, under a key that is drawn at each start; the disk has sums of videos alone.

pub mod actor;
pub mod messages;
mod metrics;
mod records;
mod state;

pub use actor::MeterActor;
pub use metrics::MeterMetrics;
