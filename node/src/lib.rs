//! One pod: command line, settings, host resolving, composition, telemetry, shutdown.
//!
//! This crate is the only one that reads the environment, configuration files and signals. It turns them into typed values
//! ([`config::Settings`]) once, at the start, and hands those to the rooms of `seedpod-actors` and to `seedpod-web`, which
//! are wired together in one place ([`compose`]). The binary `seedpod` is a few lines over [`cli::run`].
#![forbid(unsafe_code)]

pub mod admin;
pub mod cli;
pub mod compose;
pub mod config;
pub mod exit;
pub mod fetch;
pub mod healthcheck;
pub mod identity;
pub mod keys;
pub mod operator;
mod outside;
pub mod panics;
pub mod ports;
pub mod reach;
pub mod resolve;
mod seeding;
pub mod serve;
pub mod telemetry;
