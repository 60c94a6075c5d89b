//! The friend list: how this pod stands with every other pod it knows.
//!
//! A friendship is two registers of the catalog, one signed by each side, both saying yes; either side ends it with
//! a newer no. The list keeps one [`messages::Phase`] per pod and moves between them like this:
//!
//! | from | to | who moves |
//! |---|---|---|
//! | all but `Friends`, `Blocked` | `Asking` | this pod's operator, by making friends or accepting: our yes is signed and sent |
//! | – , `EndedByThem`, `EndedByUs` | `AskedUs` | the other pod, when our policy leaves the answer to the operator |
//! | – , `AskedUs`, `EndedByThem` | `Asking` | the other pod, when our policy or an invite welcomes its yes: ours is being signed |
//! | `Ejected` | `Asking` | the other pod, whatever the policy: our yes stood all the time |
//! | `Asking` | `Friends` | both said yes, and neither took it back meanwhile |
//! | `Asking` | what it was | the other pod refused, or could not be reached: our no is signed, unless it was `Ejected` |
//! | `Friends` | `EndedByThem` | the other pod, with a newer no; we sign ours, so that no old yes counts again |
//! | `Friends` | `EndedByUs` | the operator, by removing it: it comes back by the operator's word alone, however often it asks |
//! | `AskedUs` | `EndedByUs` | the operator, by refusing one that was removed before |
//! | `Friends` | `Ejected` | the score, at 0: its records are hidden and kept, and our yes stands |
//! | `Friends`, `Asking`, `Ejected` | – | the operator, by quitting the network: our no is signed |
//! | any but `Friends` | – | the operator, by removing it from the list; where our yes stands, our no is signed |
//! | any | `Blocked` | the operator |
//! | `Ejected`, `AskedUs` | – | time: 30 days; not one that was removed |
//! | `EndedByThem`, `Ejected` | – | the list, when it holds too many strangers that are over: the oldest go |
//!
//! `phases.rs` is this table as a function, tried for every event in every phase.
//!
//! Whatever ends a friendship is one step on the disk: our no, the entry, and the end of the other's records. What a crash
//! cut short all the same (a yes signed, the other's never stored) is settled at the next start.
//!
//! - [`state`] holds the list and decides: the majority rule, policies, scores. Pure, like `invites`, which counts who
//!   came in by which, and `surplus`, which keeps strangers from filling the list.
//! - [`handshake`] and [`farewell`] speak with other pods; [`actor`] is the shell that rounds and requests arrive at.
//!
//! The room does not speak HTTP: hosts are resolved by a `Recipient<ResolveHost>` given at construction.

pub mod actor;
mod farewell;
mod handshake;
mod invites;
pub mod messages;
pub(crate) mod phases;
pub(crate) mod records;
mod requests;
mod rounds;
pub(crate) mod state;
mod surplus;
#[cfg(test)]
mod tests;

pub use actor::{FriendsActor, FriendsMetrics, FriendsOptions};
pub use state::Policy;
