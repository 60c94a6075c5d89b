//! Several pods: real `seedpod` processes on this machine, and what tests need to look at them.
//!
//! * [`net`] starts and stops a whole net; [`process`] is one pod of it: its process, its log, its ports.
//! * [`lan`] gives them a network of their own that can be cut.
//! * [`api`] is a typed client of the REST interface; it knows nothing that a stranger could not know.
//! * [`torrent`] adds a magnet as a BitTorrent client would and checks every piece.
//! * [`crowd`] is a crowd of hostile clients.
//! * [`clips`] makes small videos with ffmpeg, [`big`] large ones out of them; [`eventually()`] waits for conditions.
//!
//! Invariants: no fixed port outside the `seedpod-test-net` binary's default mode, nothing survives a net that is dropped,
//! and nobody sleeps: whoever waits, waits for a condition with a deadline.
#![forbid(unsafe_code)]

pub mod api;
pub mod big;
pub mod clips;
pub mod crowd;
mod eventually;
pub mod lan;
pub mod net;
pub mod process;
pub mod torrent;

pub use eventually::eventually;
pub use net::{Options, Ports, TestNet};
