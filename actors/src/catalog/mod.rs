//! The catalog: all valid records that this pod holds, its own and its friends'.
//!
//! Every record is a register with one head. Which of two envelopes is the head depends on the two alone, never on
//! the order of their arrival, so a catalog is a pure function of the *set* of valid records of its authors: loss,
//! duplication and reordering followed by catch-up make no difference, and no wall clock takes part.
//!
//! - [`state`] knows heads, ranks, roots and stamps. It never sees a payload or a disk.
//! - [`records`] is the form in which a record is stored, with the notes this pod keeps beside it.
//! - [`actor`] is the shell; [`batches`] is how it writes: one batch at a time, on disk before anyone is told.
//! - [`sync`] decides what a friend is asked for, and [`answers`] what a friend is answered; both pure. [`catchup`] is
//!   their shell; gossip is only a hint that makes catch-up rarely necessary.
//! - [`own_keys`] is what a start does about this pod's own keys; whose signatures count for an author is
//!   [`seedpod_protocol::succession`], and [`state`] keeps one of those for each.
//! - `twin` tells a restored copy of this pod from one that runs beside it.
//!
//! The room does not know what a video is, nor who is a friend: the friend list admits and expels authors.

pub mod actor;
pub(crate) mod answers;
mod batches;
pub mod catchup;
pub mod messages;
mod metrics;
pub mod own_keys;
pub(crate) mod records;
pub(crate) mod state;
pub(crate) mod sync;
#[cfg(test)]
mod tests;
mod twin;

pub use actor::CatalogActor;
pub use metrics::CatalogMetrics;
pub use own_keys::OwnKeys;
