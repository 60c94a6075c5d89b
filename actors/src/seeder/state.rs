//! The sums of what was sent. Pure.

use std::collections::HashMap;

use seedpod_protocol::ids::InfoHash;

use super::messages::{Carried, Source};

/// Most torrents with a sum of their own; what goes out of further ones is in the totals only.
pub const MAX_TORRENTS: usize = 100_000;

/// What was sent, in all and by torrent.
#[derive(Debug, Default)]
pub struct Seeder {
    totals: Carried,
    by_torrent: HashMap<InfoHash, Carried>,
}

impl Seeder {
    /// Adds bytes that were sent.
    pub fn served(&mut self, info_hash: InfoHash, bytes: u64, source: Source) {
        self.totals.add(bytes, source);
        let has_room = self.by_torrent.len() < MAX_TORRENTS;
        if has_room || self.by_torrent.contains_key(&info_hash) {
            self.by_torrent.entry(info_hash).or_default().add(bytes, source);
        }
    }

    /// Drops the sum of one torrent; the totals keep it.
    pub fn forget(&mut self, info_hash: &InfoHash) {
        self.by_torrent.remove(info_hash);
    }

    /// What was sent of one torrent.
    #[must_use]
    pub fn carried(&self, info_hash: &InfoHash) -> Carried {
        self.by_torrent.get(info_hash).copied().unwrap_or_default()
    }

    /// What was sent in all.
    #[must_use]
    pub fn totals(&self) -> Carried {
        self.totals
    }

    /// Panics unless the sums of the torrents fit into the totals.
    #[cfg(test)]
    fn check(&self) {
        assert!(self.by_torrent.len() <= MAX_TORRENTS);
        let sum = self
            .by_torrent
            .values()
            .fold(0_u64, |sum, carried| sum.saturating_add(carried.web_seed));
        assert!(sum <= self.totals.web_seed);
    }
}

impl Carried {
    fn add(&mut self, bytes: u64, source: Source) {
        match source {
            Source::WebSeed => self.web_seed = self.web_seed.saturating_add(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn torrent(number: usize) -> InfoHash {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        InfoHash::from_bytes(bytes)
    }

    #[test]
    fn bytes_are_summed_by_torrent_and_in_all() {
        let mut seeder = Seeder::default();
        for (number, bytes) in [(1, 10), (2, 5), (1, 7)] {
            seeder.served(torrent(number), bytes, Source::WebSeed);
            seeder.check();
        }
        assert_eq!(seeder.carried(&torrent(1)), Carried { web_seed: 17 });
        assert_eq!(seeder.carried(&torrent(3)), Carried::default());
        seeder.forget(&torrent(1));
        assert_eq!(seeder.carried(&torrent(1)), Carried::default());
        assert_eq!(seeder.totals(), Carried { web_seed: 22 });
        seeder.check();
    }

    #[test]
    fn torrents_are_bounded_and_totals_still_right() {
        let mut seeder = Seeder::default();
        for number in 0..MAX_TORRENTS + 5 {
            seeder.served(torrent(number), 1, Source::WebSeed);
        }
        seeder.served(torrent(0), u64::MAX, Source::WebSeed);
        seeder.check();
        assert_eq!(seeder.carried(&torrent(MAX_TORRENTS)), Carried::default());
        assert_eq!(seeder.totals(), Carried { web_seed: u64::MAX });
    }
}
