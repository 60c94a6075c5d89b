//! Scenarios on real pods.
