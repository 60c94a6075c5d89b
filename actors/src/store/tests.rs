//! The promises of the store, tried on real folders.
