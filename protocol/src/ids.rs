//! TBD ids
