//! Seedpod.

pub mod pages;
