//! TBD records
