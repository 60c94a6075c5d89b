//! TBD envelope
