//! What time it is. Only shells ask; states are told.

use std::time::{SystemTime, UNIX_EPOCH};

use seedpod_protocol::ids::Timestamp;

/// The wall clock, in milliseconds since the Unix epoch; a clock set before 1970 reads as 1970.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
