//! TBD metainfo
