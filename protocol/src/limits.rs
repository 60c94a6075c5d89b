//! TBD limits
