//! Signs of another start with this pod's key.
//!
//! Each start draws a tag of its own. What a lost start signed is found after a restore, each tag under the counter of its
//! time. A start that is running goes above every counter it sees under its key and keeps its tag: the same foreign tag
//! under a second counter is a twin's.

use std::collections::HashMap;

use seedpod_protocol::envelope::Epoch;
use seedpod_protocol::ids::Timestamp;

use super::messages::OtherStart;

/// Foreign tags that are remembered.
const MAX_TAGS: usize = 256;

/// What was seen of other starts since this one.
#[derive(Debug, Default)]
pub(super) struct OtherStarts {
    counters: HashMap<[u8; 8], u32>,
    last: Option<OtherStart>,
}

impl OtherStarts {
    /// Notes an epoch under our own key that is none of ours.
    pub(super) fn seen(&mut self, epoch: Epoch, now: Timestamp) -> OtherStart {
        let known = self.counters.get(&epoch.tag).copied();
        if known.is_some() || self.counters.len() < MAX_TAGS {
            self.counters.insert(epoch.tag, epoch.counter);
        }
        let answered = known.is_some_and(|counter| counter != epoch.counter);
        let before = self.last;
        let other = OtherStart {
            first_seen: before.map_or(now, |before| before.first_seen),
            last_seen: now,
            is_twin: answered || before.is_some_and(|before| before.is_twin),
        };
        self.last = Some(other);
        other
    }

    pub(super) fn last(&self) -> Option<OtherStart> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(counter: u32, tag: u8) -> Epoch {
        Epoch {
            counter,
            tag: [tag; 8],
        }
    }

    #[test]
    fn lost_starts_are_no_twin_and_one_that_answers_is() {
        let mut others = OtherStarts::default();
        let at = Timestamp::from_millis;
        assert_eq!(others.last(), None);
        for counter in 5..8 {
            let tag = u8::try_from(counter).expect("small");
            assert!(!others.seen(epoch(counter, tag), at(1)).is_twin);
        }
        let twin = others.seen(epoch(9, 7), at(2));
        assert_eq!((twin.first_seen, twin.last_seen), (at(1), at(2)));
        assert!(twin.is_twin);
        assert!(others.seen(epoch(12, 40), at(3)).is_twin, "it stays one");
    }
}
