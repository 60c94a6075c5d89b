//! Seedpod.
