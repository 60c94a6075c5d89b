//! How people see a pod: pages, the REST API, the tracker's socket, media.
//!
//! [`Site::new`] takes the rooms of the pod and [`Site::serve`] a bound listener; between them is [`Site::routes`], the table
//! of contents in `routes.rs`. A handler extracts what it needs of a request, asks one room, and shapes the answer:
//! `dto/` for programs, [`pages`] for people. Nothing here keeps state of its own but counters and hints, opens a store, or reads a
//! setting; no request, however it is made, ends in a panic or in memory that grows with what a stranger sends.

#![cfg_attr(test, recursion_limit = "256")] // golden JSON is written in one macro call

mod announce;
mod api;
mod arrivals;
mod body;
mod connection;
mod constants;
mod csp;
mod departures;
mod dto;
mod error;
mod files;
mod health;
mod html;
mod links;
mod metrics;
mod multipart;
mod news;
pub mod pages;
mod paging;
mod patient;
mod query;
mod range;
mod routes;
mod serve;
mod session;
mod site;
mod socket;
#[cfg(test)]
mod testing;
mod visit;

pub use metrics::WebMetrics;
pub use site::{Rooms, SignedCard, Site, SiteOptions};
