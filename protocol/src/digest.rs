//! TBD digest
