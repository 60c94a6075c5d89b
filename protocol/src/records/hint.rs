//! What a pod's tracker has at the moment: short-lived, never kept, and a clock takes part, which it does in no record.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{RecordError, rules};
use crate::{
    ids::{InfoHash, Timestamp},
    limits,
};

/// "Of these torrents I have viewers here." Replaces what its author said before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwarmHint {
    /// When this was so, by its author's clock.
    pub at: Timestamp,
    /// For how many seconds it may be believed: 1 to 600.
    pub ttl: u16,
    /// Torrents that somebody takes part in there, ascending by info hash, at most 1,024; of the others there is nobody. A pod with more
    /// names some of them, others each time.
    pub swarms: Vec<HintedSwarm>,
}

/// One torrent of a hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(InfoHash, u16, u16)", from = "(InfoHash, u16, u16)")]
pub struct HintedSwarm {
    /// The torrent.
    pub info_hash: InfoHash,
    /// At least so many peers that lack something.
    pub leechers: u16,
    /// At least so many peers that have everything; there is a peer of one of both.
    pub seeders: u16,
}

impl SwarmHint {
    /// For how long it may be believed.
    pub fn lasts(&self) -> Duration {
        Duration::from_secs(self.ttl.into())
    }

    /// Checks the limits.
    ///
    /// # Errors
    /// The first value outside them.
    pub fn validate(&self) -> Result<(), RecordError> {
        if !(1..=limits::HINT_TTL_MAX).contains(&self.ttl) {
            return rules::fault(
                "ttl",
                format!("{} seconds, expected 1 to {}", self.ttl, limits::HINT_TTL_MAX),
            );
        }
        rules::at_most("swarms", self.swarms.len(), limits::HINT_SWARMS_MAX)?;
        if self.swarms.iter().any(HintedSwarm::is_empty) {
            return rules::fault("swarms", "a torrent without peers is named");
        }
        if !self
            .swarms
            .is_sorted_by(|one, next| one.info_hash < next.info_hash)
        {
            return rules::fault("swarms", "not in ascending order, or a torrent twice");
        }
        Ok(())
    }
}

impl HintedSwarm {
    /// What is said of a swarm of this size; nothing of one without peers. Each number is rounded down to a power of two, so that a
    /// lively swarm is not told anew with everyone who comes and goes, and nobody reads from it who watches what.
    pub fn of(info_hash: InfoHash, leechers: u32, seeders: u32) -> Option<Self> {
        let rounded = |count: u32| {
            let power = count.checked_ilog2().map_or(0, |log| 1_u32 << log);
            u16::try_from(power).unwrap_or(1 << 15)
        };
        let swarm = Self {
            info_hash,
            leechers: rounded(leechers),
            seeders: rounded(seeders),
        };
        (!swarm.is_empty()).then_some(swarm)
    }

    fn is_empty(&self) -> bool {
        self.leechers == 0 && self.seeders == 0
    }
}

impl From<HintedSwarm> for (InfoHash, u16, u16) {
    fn from(swarm: HintedSwarm) -> Self {
        (swarm.info_hash, swarm.leechers, swarm.seeders)
    }
}

impl From<(InfoHash, u16, u16)> for HintedSwarm {
    fn from((info_hash, leechers, seeders): (InfoHash, u16, u16)) -> Self {
        Self {
            info_hash,
            leechers,
            seeders,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_down_to_powers_of_two() {
        let hash = InfoHash::from_bytes([1; 20]);
        for (count, said) in [
            (1, 1),
            (2, 2),
            (3, 2),
            (1023, 512),
            (70_000, 1 << 15),
            (u32::MAX, 1 << 15),
        ] {
            let swarm = HintedSwarm::of(hash, count, 0).expect("it has peers");
            assert_eq!((swarm.leechers, swarm.seeders), (said, 0), "{count}");
        }
        assert_eq!(HintedSwarm::of(hash, 0, 0), None);
    }
}
