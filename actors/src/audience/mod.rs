//! Who watched and who liked what: this pod's own part of each video's numbers, and the sums of its own videos.
//!
//! A pod says of each video of a friend what its own people did with it, in absolute numbers (a *contribution*); the
//! video's origin adds all contributions to its own numbers and signs the sum (a *counter*), which is what every pod
//! shows. Losses, repetitions and restarts change nothing, and the numbers of a friend who leaves leave with it.
//!
//! - [`state`] counts and decides what there is to say; pure.
//! - [`actor`] writes views and ratings before they are answered, and says what is due every second.
//!
//! Who watches is known for an hour, in memory, under a key that is drawn at each start; what a user rated is stored and
//! never leaves the pod.

pub mod actor;
pub mod messages;
mod metrics;
mod records;
mod state;

pub use actor::AudienceActor;
pub use metrics::AudienceMetrics;
