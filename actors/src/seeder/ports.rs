//! UDP ports for connections to browsers: one each, from a range that a firewall can let through.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

/// Ports that may be used. Written as `40000-40199`; `0` means any that the system has free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

/// A text is no range of ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a range of ports, write it like `40000-40199`, or 0 for any")]
pub struct PortRangeError(String);

impl PortRange {
    /// Any port.
    pub const ANY: Self = Self { first: 0, last: 0 };

    /// How many there are; none where any port will do.
    #[must_use]
    pub fn count(&self) -> Option<usize> {
        (self.first > 0).then(|| usize::from(self.last - self.first) + 1)
    }
}

impl FromStr for PortRange {
    type Err = PortRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || PortRangeError(text.chars().take(40).collect());
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| refused());
        let range = Self {
            first: port(first)?,
            last: port(last)?,
        };
        let sound = range.first <= range.last && (range.first > 0 || range.last == 0);
        if sound { Ok(range) } else { Err(refused()) }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count() {
            None => f.write_str("0"),
            Some(_) => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// Who has which port; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Ports {
    range: PortRange,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    ports: BTreeSet<u16>,
    /// The one given last: a port that was just used may still get packets of its former user.
    last: Option<u16>,
}

/// A port in use; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Port {
    number: u16,
    ports: Ports,
}

impl Ports {
    pub(super) fn new(range: PortRange) -> Self {
        Self {
            range,
            taken: Arc::default(),
        }
    }

    /// A port nobody here has, in turn; none if all are taken. Port 0, which any number of users may have, means that the system chooses.
    pub(super) fn take(&self) -> Option<Port> {
        let PortRange { first, last } = self.range;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let after = taken
            .last
            .filter(|port| *port < last)
            .map_or(first, |port| port + 1);
        let number = if first == 0 {
            0
        } else {
            (after..=last)
                .chain(first..after)
                .find(|port| !taken.ports.contains(port))?
        };
        taken.ports.insert(number);
        taken.last = Some(number);
        drop(taken);
        Some(Port {
            number,
            ports: self.clone(),
        })
    }
}

impl Port {
    pub(super) fn number(&self) -> u16 {
        self.number
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let mut taken = self.ports.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.ports.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn ranges_are_written_with_a_dash() {
        for text in ["0", "40000-40199", "7-7"] {
            assert_eq!(text.parse::<PortRange>().unwrap().to_string(), text);
        }
        assert_eq!("9".parse::<PortRange>().unwrap().count(), Some(1));
        assert_eq!("40000 - 40199".parse::<PortRange>().unwrap().count(), Some(200));
        for text in ["", "-", "9-8", "0-9", "1-70000", "a-b", "1-2-3"] {
            assert_eq!(
                text.parse::<PortRange>(),
                Err(PortRangeError(text.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn ports_are_given_in_turn_and_come_back() {
        let ports = Ports::new("50-52".parse().unwrap());
        let first = ports.take().unwrap();
        let held: Vec<_> = std::iter::from_fn(|| ports.take()).collect();
        let numbers: Vec<_> = held.iter().map(Port::number).collect();
        assert_eq!((first.number(), numbers), (50, vec![51, 52]));
        drop(first);
        assert_eq!(ports.take().unwrap().number(), 50);
        drop(held);
        let numbers: Vec<_> = (0..4).map(|_| ports.take().unwrap().number()).collect();
        assert_eq!(numbers, [51, 52, 50, 51], "the one that was just used comes last");

        let any = Ports::new(PortRange::ANY);
        let held: Vec<_> = (0..3).map(|_| any.take().unwrap().number()).collect();
        assert_eq!(held, [0, 0, 0]);
    }
}
