//! The sums of what was sent. Pure.

use std::collections::HashMap;

use seedpod_protocol::ids::InfoHash;

use super::messages::{Carried, Sent, Source};

/// Most torrents told apart between two times that the sums are taken.
pub const MAX_TORRENTS: usize = 100_000;

/// What was sent and not yet taken.
#[derive(Debug, Default)]
pub struct Seeder {
    by_torrent: HashMap<InfoHash, Carried>,
    others: Carried,
    #[cfg(test)]
    totals: Carried,
}

impl Seeder {
    /// Adds bytes that were sent.
    pub fn served(&mut self, info_hash: InfoHash, bytes: u64, source: Source) {
        #[cfg(test)]
        self.totals.add(bytes, source);
        let has_room = self.by_torrent.len() < MAX_TORRENTS;
        let sum = if has_room || self.by_torrent.contains_key(&info_hash) {
            self.by_torrent.entry(info_hash).or_default()
        } else {
            &mut self.others
        };
        sum.add(bytes, source);
    }

    /// Hands over what was sent since the last time.
    pub fn take(&mut self) -> Sent {
        Sent {
            torrents: std::mem::take(&mut self.by_torrent).into_iter().collect(),
            others: std::mem::take(&mut self.others),
        }
    }

    /// What was ever sent.
    #[cfg(test)]
    pub fn totals(&self) -> Carried {
        self.totals
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

    fn sum(sent: &Sent) -> Carried {
        let all = sent.torrents.iter().map(|(_, carried)| *carried);
        all.fold(sent.others, Carried::plus)
    }

    #[test]
    fn bytes_are_summed_by_torrent_and_by_way_and_handed_over_once() {
        let mut seeder = Seeder::default();
        for (number, bytes, source) in [
            (1, 10, Source::WebSeed),
            (2, 5, Source::Tcp),
            (1, 7, Source::WebSeed),
            (2, 3, Source::WebRtc),
        ] {
            seeder.served(torrent(number), bytes, source);
        }
        let mut sent = seeder.take();
        sent.torrents.sort_by_key(|(info_hash, _)| *info_hash);
        let one = Carried {
            web_seed: 17,
            ..Carried::default()
        };
        let two = Carried {
            webrtc: 3,
            tcp: 5,
            ..Carried::default()
        };
        assert_eq!(sent.torrents, [(torrent(1), one), (torrent(2), two)]);
        assert_eq!(sum(&sent), seeder.totals());
        assert_eq!(seeder.take(), Sent::default(), "nothing is told twice");
        seeder.served(torrent(1), 1, Source::Tcp);
        assert_eq!(seeder.take().torrents.len(), 1);
    }

    #[test]
    fn torrents_are_bounded_and_nothing_is_lost() {
        let mut seeder = Seeder::default();
        for number in 0..MAX_TORRENTS + 5 {
            seeder.served(torrent(number), 1, Source::WebSeed);
        }
        let sent = seeder.take();
        assert_eq!((sent.torrents.len(), sent.others.web_seed), (MAX_TORRENTS, 5));
        assert_eq!(sum(&sent), seeder.totals());
        for _ in 0..2 {
            seeder.served(torrent(0), u64::MAX, Source::WebSeed);
        }
        assert_eq!(sum(&seeder.take()).web_seed, u64::MAX, "it saturates");
    }
}
