//! What travels by gossip: the names of the topics and the ids of messages.
//!
//! The data of a message on the catalog and friends topics is exactly one envelope. Gossip is a fast hint; catch-up is the truth.

use crate::ids::ContentHash;

/// New records: videos, channels, profiles and every other kind that has no topic of its own.
pub const CATALOG: &str = "/seedpod/1/catalog";
/// Friendships made and ended.
pub const FRIENDS: &str = "/seedpod/1/friends";
/// Short-lived news of swarms; never stored.
pub const SWARM: &str = "/seedpod/1/swarm";
/// All topics.
pub const ALL: [&str; 3] = [CATALOG, FRIENDS, SWARM];
/// The libp2p protocol name of directed requests.
pub const REQUESTS: &str = "/seedpod/1/requests";

/// Length of a message id in bytes.
pub const MESSAGE_ID_LEN: usize = 20;

/// The gossip id of a message: the same envelope from two pods is one message.
pub fn message_id(topic: &str, data: &[u8]) -> [u8; MESSAGE_ID_LEN] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(topic.as_bytes()).update(data);
    let hash = ContentHash::from_bytes(hasher.finalize().into());
    let mut id = [0; MESSAGE_ID_LEN];
    id.copy_from_slice(&hash.as_bytes()[..MESSAGE_ID_LEN]);
    id
}
