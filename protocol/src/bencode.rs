//! TBD bencode
