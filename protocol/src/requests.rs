//! TBD requests
