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

    /// What was sent of these torrents together.
    #[must_use]
    pub fn carried<'a>(&self, info_hashes: impl IntoIterator<Item = &'a InfoHash>) -> Carried {
        let mut sum = Carried::default();
        for carried in info_hashes
            .into_iter()
            .filter_map(|info_hash| self.by_torrent.get(info_hash))
        {
            for source in Source::ALL {
                sum.add(carried.by(source), source);
            }
        }
        sum
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
        for source in Source::ALL {
            let of_torrents = self.by_torrent.values().map(|carried| carried.by(source));
            let sum = of_torrents.fold(0_u64, u64::saturating_add);
            assert!(sum <= self.totals.by(source));
        }
    }
}

impl Carried {
    fn add(&mut self, bytes: u64, source: Source) {
        let sum = match source {
            Source::WebSeed => &mut self.web_seed,
            Source::WebRtc => &mut self.webrtc,
            Source::Tcp => &mut self.tcp,
        };
        *sum = sum.saturating_add(bytes);
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
    fn bytes_are_summed_by_torrent_by_way_and_in_all() {
        let mut seeder = Seeder::default();
        for (number, bytes, source) in [
            (1, 10, Source::WebSeed),
            (2, 5, Source::Tcp),
            (1, 7, Source::WebSeed),
            (2, 3, Source::WebRtc),
        ] {
            seeder.served(torrent(number), bytes, source);
            seeder.check();
        }
        let (web_seed, webrtc, tcp) = (17, 3, 5);
        let both = [&torrent(1), &torrent(2), &torrent(3)];
        let all = Carried {
            web_seed,
            webrtc,
            tcp,
        };
        assert_eq!((seeder.carried(both), seeder.totals()), (all, all));
        seeder.forget(&torrent(1));
        let left = Carried {
            web_seed: 0,
            webrtc,
            tcp,
        };
        assert_eq!((seeder.carried(both), seeder.totals()), (left, all));
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
        assert_eq!(seeder.carried([&torrent(MAX_TORRENTS)]), Carried::default());
        assert_eq!(seeder.totals().web_seed, u64::MAX);
    }
}
