//! When to dial which friend. Pure: time and randomness come in as arguments.
//!
//! A friend is in one of three phases: *connected*, *dialing* (one attempt under way), or *waiting* until its next attempt. Each failed
//! attempt doubles the wait up to a ceiling, with a random part so that pods which lost each other do not meet in step. A connection that
//! lasted [`STEADY`] starts over; a shorter one counts as a failure, for a pod that locks us out accepts and hangs up. Whoever was
//! lost [`LATELY`] is tried every [`SOON`]: a network that was cut and is whole again agrees at once, not after the longest wait.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::Multiaddr;
use rand::Rng;
use seedpod_protocol::ids::PodId;

/// Most addresses kept for one friend, told and discovered together.
const ADDRESSES_MAX: usize = 32;

/// A connection that ends sooner counts as a failed attempt.
const STEADY: Duration = Duration::from_secs(10);

/// So long after a steady connection was lost the ceiling is [`SOON`].
const LATELY: Duration = Duration::from_secs(10 * 60);

/// The longest wait for a friend that was lost lately.
const SOON: Duration = Duration::from_secs(5);

/// The waits between attempts.
#[derive(Debug, Clone, Copy)]
pub(super) struct BackOff {
    pub(super) first: Duration,
    pub(super) ceiling: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connected { since: Instant },
    Dialing,
    Waiting { until: Instant },
}

#[derive(Debug)]
struct Friend {
    addresses: Vec<Multiaddr>,
    phase: Phase,
    failures: u32,
    /// When its last steady connection ended.
    lost: Option<Instant>,
}

/// The friends to be kept connected.
#[derive(Debug)]
pub(super) struct Dialing {
    back_off: BackOff,
    friends: HashMap<PodId, Friend>,
}

impl Dialing {
    pub(super) fn new(back_off: BackOff) -> Self {
        Self {
            back_off,
            friends: HashMap::new(),
        }
    }

    /// Replaces the list. A friend that stays keeps its phase, unless its addresses changed: then it is tried at once.
    pub(super) fn set(
        &mut self,
        friends: Vec<(PodId, Vec<Multiaddr>)>,
        connected: impl Fn(&PodId) -> bool,
        now: Instant,
    ) {
        let mut before = std::mem::take(&mut self.friends);
        for (pod, mut addresses) in friends {
            addresses.truncate(ADDRESSES_MAX);
            let kept = before.remove(&pod);
            let phase = match kept {
                Some(Friend {
                    phase: phase @ Phase::Connected { .. },
                    ..
                }) if connected(&pod) => phase,
                _ if connected(&pod) => Phase::Connected { since: now },
                Some(Friend {
                    phase: Phase::Dialing,
                    ..
                }) => Phase::Dialing,
                Some(Friend {
                    phase: phase @ Phase::Waiting { .. },
                    addresses: ref old,
                    ..
                }) if *old == addresses => phase,
                _ => Phase::Waiting { until: now },
            };
            let (failures, lost) = kept.map_or((0, None), |friend| (friend.failures, friend.lost));
            self.friends.insert(
                pod,
                Friend {
                    addresses,
                    phase,
                    failures,
                    lost,
                },
            );
        }
    }

    /// A friend was seen at another address (local discovery). Nothing happens for pods that are no friends.
    #[cfg(feature = "lan")]
    pub(super) fn hint(&mut self, pod: &PodId, address: Multiaddr, now: Instant) {
        if let Some(friend) = self.friends.get_mut(pod)
            && friend.addresses.len() < ADDRESSES_MAX
            && !friend.addresses.contains(&address)
        {
            friend.addresses.push(address);
            if let Phase::Waiting { until } = &mut friend.phase {
                *until = now;
            }
        }
    }

    pub(super) fn addresses(&self, pod: &PodId) -> &[Multiaddr] {
        self.friends.get(pod).map_or(&[], |friend| &friend.addresses)
    }

    /// Friends whose time has come. Each counts as being dialed until [`Dialing::connected`] or [`Dialing::failed`] is told.
    pub(super) fn due(&mut self, now: Instant) -> Vec<PodId> {
        let mut due = Vec::new();
        for (pod, friend) in &mut self.friends {
            if matches!(friend.phase, Phase::Waiting { until } if until <= now)
                && !friend.addresses.is_empty()
            {
                friend.phase = Phase::Dialing;
                due.push(*pod);
            }
        }
        due
    }

    /// The first connection to this pod opened, from either side.
    pub(super) fn connected(&mut self, pod: &PodId, now: Instant) {
        if let Some(friend) = self.friends.get_mut(pod) {
            friend.phase = Phase::Connected { since: now };
        }
    }

    /// The last connection to this pod closed.
    pub(super) fn disconnected(&mut self, pod: &PodId, now: Instant, rng: &mut impl Rng) {
        if let Some(friend) = self.friends.get_mut(pod)
            && let Phase::Connected { since } = friend.phase
        {
            if now.saturating_duration_since(since) >= STEADY {
                friend.failures = 0;
                friend.lost = Some(now);
            } else {
                friend.failures = friend.failures.saturating_add(1);
            }
            self.wait(pod, now, rng);
        }
    }

    /// An attempt failed.
    pub(super) fn failed(&mut self, pod: &PodId, now: Instant, rng: &mut impl Rng) {
        if let Some(friend) = self.friends.get_mut(pod)
            && friend.phase == Phase::Dialing
        {
            friend.failures = friend.failures.saturating_add(1);
            self.wait(pod, now, rng);
        }
    }

    fn wait(&mut self, pod: &PodId, now: Instant, rng: &mut impl Rng) {
        let BackOff { first, ceiling } = self.back_off;
        if let Some(friend) = self.friends.get_mut(pod) {
            let lately = friend
                .lost
                .is_some_and(|lost| now.saturating_duration_since(lost) < LATELY);
            let ceiling = if lately { ceiling.min(SOON) } else { ceiling };
            let doubled = first
                .saturating_mul(1_u32.checked_shl(friend.failures.min(31)).unwrap_or(u32::MAX))
                .min(ceiling);
            friend.phase = Phase::Waiting {
                until: now + doubled.mul_f64(rng.random_range(0.75..=1.0)),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};
    use seedpod_protocol::keys::PodKey;

    use super::*;

    const BACK_OFF: BackOff = BackOff {
        first: Duration::from_secs(1),
        ceiling: Duration::from_secs(60),
    };

    fn pod(n: u8) -> PodId {
        PodKey::from_seed(&[n; 32]).id()
    }

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address")
    }

    fn waiting(friends: Vec<(PodId, Vec<Multiaddr>)>, now: Instant) -> Dialing {
        let mut dialing = Dialing::new(BACK_OFF);
        dialing.set(friends, |_| false, now);
        dialing
    }

    #[test]
    fn a_new_friend_is_dialed_at_once_and_only_once() {
        let now = Instant::now();
        let mut dialing = waiting(vec![(pod(1), vec![address(1)])], now);
        assert_eq!(dialing.due(now), vec![pod(1)]);
        assert_eq!(dialing.due(now + Duration::from_secs(999)), vec![]);
    }

    #[test]
    fn a_friend_without_an_address_is_waited_for() {
        let now = Instant::now();
        let mut dialing = waiting(vec![(pod(1), vec![])], now);
        assert_eq!(dialing.due(now), vec![]);
    }

    #[test]
    fn waits_double_to_the_ceiling_and_start_over_after_a_connection() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut now = Instant::now();
        let mut dialing = waiting(vec![(pod(1), vec![address(1)])], now);
        for failures in 1..10_u32 {
            assert_eq!(dialing.due(now), vec![pod(1)]);
            dialing.failed(&pod(1), now, &mut rng);
            let full = Duration::from_secs(1 << failures).min(BACK_OFF.ceiling);
            assert_eq!(dialing.due(now + full.mul_f64(0.74)), vec![]);
            now += full;
        }
        assert_eq!(dialing.due(now), vec![pod(1)]);
        dialing.connected(&pod(1), now);
        now += STEADY;
        assert_eq!(dialing.due(now), vec![]);
        dialing.disconnected(&pod(1), now, &mut rng);
        assert_eq!(dialing.due(now + BACK_OFF.first), vec![pod(1)]);
    }

    #[test]
    fn a_friend_that_was_lost_lately_is_tried_every_few_seconds() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut now = Instant::now();
        let mut dialing = waiting(vec![(pod(1), vec![address(1)])], now);
        dialing.due(now);
        dialing.connected(&pod(1), now);
        now += STEADY;
        dialing.disconnected(&pod(1), now, &mut rng);
        let lost = now;
        while now < lost + LATELY {
            now += SOON;
            assert_eq!(dialing.due(now), vec![pod(1)]);
            dialing.failed(&pod(1), now, &mut rng);
        }
        // Then as seldom as anybody who is never there.
        assert_eq!(dialing.due(now + BACK_OFF.ceiling.mul_f64(0.74)), vec![]);
        assert_eq!(dialing.due(now + BACK_OFF.ceiling), vec![pod(1)]);
    }

    #[test]
    fn a_pod_that_accepts_and_hangs_up_is_tried_less_and_less() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut now = Instant::now();
        let mut dialing = waiting(vec![(pod(1), vec![address(1)])], now);
        for rounds in 1..6_u32 {
            assert_eq!(dialing.due(now), vec![pod(1)]);
            dialing.connected(&pod(1), now);
            dialing.disconnected(&pod(1), now, &mut rng);
            let full = Duration::from_secs(1 << rounds);
            assert_eq!(dialing.due(now + full.mul_f64(0.74)), vec![]);
            now += full;
        }
    }

    #[test]
    fn new_addresses_are_tried_at_once_and_the_same_ones_are_not() {
        let mut rng = StdRng::seed_from_u64(1);
        let now = Instant::now();
        let mut dialing = waiting(vec![(pod(1), vec![address(1)])], now);
        dialing.due(now);
        dialing.failed(&pod(1), now, &mut rng);
        dialing.set(vec![(pod(1), vec![address(1)])], |_| false, now);
        assert_eq!(dialing.due(now), vec![]);
        dialing.set(vec![(pod(1), vec![address(2)])], |_| false, now);
        assert_eq!(dialing.due(now), vec![pod(1)]);
    }

    #[test]
    fn a_former_friend_is_left_alone() {
        let now = Instant::now();
        let mut dialing = waiting(vec![(pod(1), vec![address(1)])], now);
        dialing.set(vec![], |_| false, now);
        assert_eq!(dialing.due(now), vec![]);
        assert!(dialing.addresses(&pod(1)).is_empty());
    }

    #[test]
    fn a_late_failure_of_another_dial_does_not_disturb_a_connected_friend() {
        let mut rng = StdRng::seed_from_u64(1);
        let now = Instant::now();
        let mut dialing = waiting(vec![(pod(1), vec![address(1)])], now);
        dialing.due(now);
        dialing.connected(&pod(1), now);
        dialing.failed(&pod(1), now, &mut rng);
        assert_eq!(dialing.due(now + BACK_OFF.ceiling), vec![]);
    }
}
