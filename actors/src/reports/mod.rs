//! What people find wrong with videos and comments, told to those who answer for them and to nobody else.
//!
//! A report about something of this pod stays here; one about something of a friend's goes there by a directed request,
//! signed, and is tried again until it has arrived. It is no record: no catalog holds it, no third pod hears of it, and who
//! was told cannot hand it on ([`Kind::REPORT`](seedpod_protocol::envelope::Kind::REPORT)). Each user has one report about
//! each thing; saying it again replaces the reason.
//!
//! | state of a report | who moves it |
//! |---|---|
//! | pending | the reporter, also by reporting again |
//! | accepted, rejected | an administrator here; what is decided here concerns this pod's copy alone |
//!
//! - [`state`] knows the reports, their bounds and what is due to be sent; pure.
//! - [`actor`] writes before it answers, and sends.

pub mod actor;
pub mod messages;
mod metrics;
mod records;
mod state;

pub use actor::ReportsActor;
pub use metrics::ReportsMetrics;
