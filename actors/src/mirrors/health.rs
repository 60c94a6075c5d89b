//! Which other pods answer: pages name only those as sources. Pure.
//!
//! A pod is looked at when a page would name it, not more often than its last answer allows: one that answers every half minute, one that
//! does not ever more rarely. One that nobody looked at yet counts as well: what it does not give, the page has from elsewhere.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Pods remembered; the one that was looked at longest ago makes room.
const PODS_MAX: usize = 1024;
/// How long one that answered is believed.
const FRESH: Duration = Duration::from_secs(30);
/// When one that did not is looked at again; doubled each time, up to [`CEILING`].
const AGAIN: Duration = Duration::from_secs(5);
const CEILING: Duration = Duration::from_secs(600);

#[derive(Debug)]
struct Pod {
    failures: u32,
    next: Instant,
    looking: bool,
}

#[derive(Debug, Default)]
pub(super) struct Health {
    pods: HashMap<String, Pod>,
}

/// What is known of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Whether a page may name it.
    pub(super) answers: bool,
    /// Whether to look at it now; [`Health::looked`] follows.
    pub(super) look: bool,
}

impl Health {
    /// How the pod at this URL is, and whether it is time to look.
    pub(super) fn of(&mut self, url: &str, now: Instant) -> Standing {
        if !self.pods.contains_key(url) {
            if self.pods.len() >= PODS_MAX
                && let Some(oldest) = self
                    .pods
                    .iter()
                    .min_by_key(|(_, pod)| pod.next)
                    .map(|(url, _)| url.clone())
            {
                self.pods.remove(&oldest);
            }
            let pod = Pod {
                failures: 0,
                next: now,
                looking: false,
            };
            self.pods.insert(url.to_owned(), pod);
        }
        let Some(pod) = self.pods.get_mut(url) else {
            return Standing {
                answers: true,
                look: false,
            };
        };
        let look = !pod.looking && pod.next <= now;
        pod.looking |= look;
        Standing {
            answers: pod.failures == 0,
            look,
        }
    }

    /// What looking at a pod came to.
    pub(super) fn looked(&mut self, url: &str, answered: bool, now: Instant) {
        let Some(pod) = self.pods.get_mut(url) else { return };
        pod.looking = false;
        if answered {
            pod.failures = 0;
            pod.next = now + FRESH;
        } else {
            let wait = AGAIN.saturating_mul(1 << pod.failures.min(16));
            pod.failures = pod.failures.saturating_add(1);
            pod.next = now + wait.min(CEILING);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_does_not_answer_is_named_no_more_and_asked_ever_more_rarely() {
        let (mut health, start) = (Health::default(), Instant::now());
        let (url, mut now) = ("http://pod", start);
        assert_eq!(
            health.of(url, now),
            Standing {
                answers: true,
                look: true
            }
        );
        assert_eq!(
            health.of(url, now),
            Standing {
                answers: true,
                look: false
            },
            "one look at a time"
        );
        for wait in [5, 10, 20, 40, 80, 160, 320, 600, 600] {
            health.looked(url, false, now);
            now += Duration::from_secs(wait - 1);
            assert_eq!(
                health.of(url, now),
                Standing {
                    answers: false,
                    look: false
                },
                "{wait} s"
            );
            now += Duration::from_secs(1);
            assert_eq!(
                health.of(url, now),
                Standing {
                    answers: false,
                    look: true
                },
                "{wait} s"
            );
        }
        health.looked(url, true, now);
        assert_eq!(
            health.of(url, now),
            Standing {
                answers: true,
                look: false
            }
        );
        assert!(health.of(url, now + FRESH).look);
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let (mut health, now) = (Health::default(), Instant::now());
        for number in 0..2 * PODS_MAX {
            health.of(&format!("http://pod-{number}"), now);
        }
        assert_eq!(health.pods.len(), PODS_MAX);
    }
}
