//! Scenarios on real pods: several `seedpod` processes on this machine, looked at through their REST interface alone.
//!
//! The scenarios are those by which the first prototype of federated video was judged, with one difference: what should be
//! the same everywhere is compared on *every* pod. Build the program first (`cargo build -p seedpod-node`); `scripts/test`
//! does.
#![forbid(unsafe_code)]

mod attacker;
mod audience;
mod bad_input;
mod carried;
mod catalog;
mod comments;
mod flood;
mod forgery;
mod friends;
mod full_disk;
mod health;
mod hostile;
mod keys;
mod kill_loop;
mod ledger;
mod logins;
mod mirrors;
mod model;
mod networks;
mod partition;
mod power_cut;
mod ranges;
mod reach;
mod relay;
mod replay;
mod restart;
mod seeding;
mod shutdown;
mod soak;
mod sockets;
mod steps;
mod store;
mod trace;
mod tracker_abuse;
mod uploads;
mod users;
