//! TBD codec
