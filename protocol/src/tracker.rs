//! TBD tracker
