//! TBD magnet
