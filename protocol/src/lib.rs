//! What pods say: values and bytes.
//!
//! Nothing here does I/O, reads a clock or draws randomness; `SPEC.md` beside this crate is the specification it follows.

pub mod bencode;
pub mod codec;
pub mod descent;
pub mod digest;
pub mod envelope;
pub mod ids;
pub mod invite;
pub mod keys;
pub mod limits;
pub mod magnet;
pub mod metainfo;
pub mod records;
pub mod relay;
pub mod requests;
pub mod stun;
pub mod succession;
pub mod topics;
pub mod tracker;
pub mod wire;
