//! TBD keys
