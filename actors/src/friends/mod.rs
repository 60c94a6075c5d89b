//! The friend list: how this pod stands with every other pod it knows.
//!
//! A friendship is two registers of the catalog, one signed by each side, both saying yes; either side ends it with
//! a newer no. The list keeps one [`messages::Phase`] per pod and moves between them like this:
//!
//! | from | to | who moves |
//! |---|---|---|
//! | – | `Asking` | this pod's operator, by making friends: our yes is signed and sent |
//! | – | `AskedUs` | the other pod, when our policy leaves the answer to the operator |
//! | – , `AskedUs`, `EndedByThem`, `Ejected` | `Asking` | the other pod, when our policy accepts its yes: ours is being signed |
//! | `Asking` | `Friends` | both said yes, and neither took it back meanwhile |
//! | `Asking` | – | the other pod refused, or could not be reached: our no is signed |
//! | `Friends` | `EndedByThem` | the other pod, with a newer no; we sign ours, so that no old yes counts again |
//! | `Friends` | `EndedByUs` | the operator, by removing it: it comes back only when named |
//! | `Friends`, `Asking` | – | the operator, by quitting the network |
//! | `Friends` | `Ejected` | the score, at 0 |
//! | any | `Blocked` | the operator |
//!
//! Whatever ends a friendship is one step on the disk: our no, the entry, and the end of the other's records. What a crash
//! cut short all the same (a yes signed, the other's never stored) is settled at the next start.
//!
//! - [`state`] holds the list and decides: the majority rule, policies, scores. Pure.
//! - [`handshake`] and [`farewell`] speak with other pods; [`actor`] is the shell that rounds and requests arrive at.
//!
//! The room does not speak HTTP: hosts are resolved by a `Recipient<ResolveHost>` given at construction.

pub mod actor;
mod farewell;
mod handshake;
pub mod messages;
pub(crate) mod records;
mod requests;
mod rounds;
pub(crate) mod state;
#[cfg(test)]
mod tests;

pub use actor::{FriendsActor, FriendsMetrics, FriendsOptions};
pub use state::Policy;
