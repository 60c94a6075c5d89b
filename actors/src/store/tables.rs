//! Every table of the store, on one page.
//!
//! A table is a number and a name. The number is written into the journal and before each key of the index, so it is for
//! ever: a retired table keeps its line here, and no number is used twice. The name is for people (logs, `doctor`).
//!
//! Keys are big-endian, so that their order means something. The first byte of a value is its version, and the room that
//! owns a table defines the rest in its own `records.rs`; the store never looks inside.

/// Names one table; the constants of this module are all there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table {
    number: u8,
    name: &'static str,
}

impl Table {
    const fn new(number: u8, name: &'static str) -> Self {
        Self { number, name }
    }

    /// The number in the journal and in the index; never 0, which is the index's own marker, and never 255.
    pub const fn number(self) -> u8 {
        self.number
    }

    /// The name people see.
    pub const fn name(self) -> &'static str {
        self.name
    }
}

/// Single facts. Key: a name (see [`META_EPOCH`]). Value: as the fact's owner defines it.
pub const META: Table = Table::new(1, "meta");

/// Records, our own and our friends'. Key: author (32 bytes) ‖ kind (2) ‖ object id. Value: version, when and from whom it
/// was received, a local number, and the envelope's bytes as they came. Owner: `catalog`.
pub const RECORDS: Table = Table::new(2, "records");

/// Pods we know, whatever their phase. Key: pod id (32 bytes). Value: the friend record. Owner: `friends`.
pub const FRIENDS: Table = Table::new(3, "friends");

/// Videos whose bytes lie on this pod. Key: video id (16 bytes). Value: its files on disk. Owner: `library`.
pub const LOCAL_VIDEOS: Table = Table::new(4, "local_videos");

/// Torrents this pod can serve or names. Key: info hash (20 bytes). Value: version, video id (16), number of the rendition.
/// Owner: `library`.
pub const TORRENTS: Table = Table::new(5, "torrents");

/// People with an account here. Key: user name in UTF-8. Value: the user. Owner: `accounts`.
pub const USERS: Table = Table::new(6, "users");

/// Sessions. Key: blake3 of the token (32 bytes), never the token itself. Value: the session. Owner: `accounts`.
pub const TOKENS: Table = Table::new(7, "tokens");

/// Names of channels that are taken. Key: handle in UTF-8. Value: version alone. Owner: `accounts`.
pub const CHANNEL_HANDLES: Table = Table::new(8, "channel_handles");

/// How often videos were watched here. Key: video id (16 bytes). Value: version, number of views (8). Owner: `audience`.
pub const VIEWS: Table = Table::new(9, "views");

/// What users of this pod think of videos. Key: video id (16 bytes) ‖ user name in UTF-8. Value: version, 1 for a like or 2
/// for a dislike. Owner: `audience`.
pub const RATINGS: Table = Table::new(10, "ratings");

/// Uploads that may be resumed. Key: upload id (16 bytes) ‖ 0 for what was announced, ‖ 1 for how far it is. Value: version and
/// the rest. Owner: `library`.
pub const UPLOADS: Table = Table::new(11, "uploads");

/// Invites to become a friend. Key: the invite's id (16 bytes). Value: what it is for and who came in by it. Owner: `friends`.
pub const INVITES: Table = Table::new(12, "invites");

/// Copies of friends' videos, which were chosen, and what they may take. Key: 0 or 1 ‖ video id (16 bytes), or 2 ‖ a bucket. Value:
/// version and the rest. Owner: `mirrors`.
pub const MIRRORS: Table = Table::new(20, "mirrors");

/// Comments that moderators of this pod hid from its visitors. Key: comment id (16 bytes). Value: version alone. Owner:
/// `comments`.
pub const HIDDEN_COMMENTS: Table = Table::new(16, "hidden_comments");

/// Reports by users of this pod, and those of friends' users about what is here. Key: pod id of the reporter's pod (32 bytes) ‖
/// id of the video or comment (16) ‖ the reporter's handle in UTF-8. Value: the report and what became of it. Owner: `reports`.
pub const REPORTS: Table = Table::new(17, "reports");

/// Who carried how much. Key: 0 for all videos there ever were together, or 1 ‖ video id (16 bytes). Value: version, bytes this pod sent by
/// web seed, WebRTC and TCP, bytes viewers told they got from viewers and from pods, and gave (8 each). Owner: `meter`.
pub const FIGURES: Table = Table::new(18, "figures");

/// All tables, for people who look at the whole store.
pub const ALL: &[Table] = &[
    META,
    RECORDS,
    FRIENDS,
    LOCAL_VIDEOS,
    TORRENTS,
    USERS,
    TOKENS,
    CHANNEL_HANDLES,
    VIEWS,
    RATINGS,
    UPLOADS,
    INVITES,
    MIRRORS,
    HIDDEN_COMMENTS,
    REPORTS,
    FIGURES,
];

/// Key in [`META`]: the epoch of this start, version ‖ start counter (4 bytes) ‖ 8 random bytes; committed before the first
/// signature. Owner: `catalog`.
pub const META_EPOCH: &[u8] = b"epoch";

/// Key in [`META`]: version ‖ the highest number ever given to an entry of the friend list ‖ the same of invites, 8 bytes each: what was
/// deleted leaves its number behind. Owner: `friends`.
pub const META_FRIEND_NUMBERS: &[u8] = b"friend-numbers";

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_and_names_are_used_once() {
        let numbers: BTreeSet<u8> = ALL.iter().map(|table| table.number()).collect();
        let names: BTreeSet<&str> = ALL.iter().map(|table| table.name()).collect();
        assert_eq!(numbers.len(), ALL.len());
        assert_eq!(names.len(), ALL.len());
        assert!(
            !numbers.contains(&0) && !numbers.contains(&255),
            "0 is the marker, 255 has no successor"
        );
    }
}
