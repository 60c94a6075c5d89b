//! The friend list: how this pod stands with every other pod it knows.
//!
//! A friendship is two registers of the catalog, one signed by each side, both saying yes; either side ends it with
//! a newer no. The list keeps one [`messages::Phase`] per pod and moves between them like this:
//!
//! | from | to | who moves |
//! |---|---|---|
//! | – | `Asking` | this pod's operator, by making friends: our yes is signed and sent |
//! | – | `AskedUs` | the other pod, when our policy leaves the answer to the operator |
//! | – , `Asking`, `AskedUs`, `EndedByThem`, `Ejected` | `Friends` | both said yes: their answer to us, or ours to them |
//! | `Asking` | – | the other pod refused, or could not be reached: our no is signed |
//! | `Friends` | `EndedByThem` | the other pod, with a newer no; we sign ours, so that no old yes counts again |
//! | `Friends` | `EndedByUs` | the operator, by removing it: it comes back only when named |
//! | `Friends` | – | the operator, by quitting the network |
//! | `Friends` | `Ejected` | the score, at 0 |
//! | any | `Blocked` | the operator |
//!
//! - [`state`] holds the list and decides: the majority rule, policies, scores. Pure.
//! - [`handshake`] speaks with other pods; [`actor`] is the shell that rounds and requests arrive at.
//!
//! The room does not speak HTTP: hosts are resolved by a `Recipient<ResolveHost>` given at construction.

pub mod actor;
mod handshake;
pub mod messages;
mod records;
mod requests;
mod rounds;
mod state;

pub use actor::{FriendsActor, FriendsMetrics, FriendsOptions};
pub use state::Policy;
