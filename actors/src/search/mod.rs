//! The read model: what people see of the catalog, joined, filtered, sorted and counted.
//!
//! Everything here is derived from records and can be rebuilt from them at any time; nothing is stored. Lists and
//! totals are answered from sorted sets that follow every change, never by reading the catalog.
//!
//! - [`state`] is the model itself; pure.
//! - [`actor`] takes changes from the catalog and questions from the web.
//!
//! The room does not know where a record came from, nor what a page looks like.

pub mod actor;
pub mod messages;
mod metrics;
mod state;

pub use actor::SearchActor;
pub use metrics::SearchMetrics;
