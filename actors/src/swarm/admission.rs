//! Who may take part, and how much of us they may use. Pure: time comes in as an argument.
//!
//! Three questions are answered here: is this author admitted ([`Admitted`]), is this pod banned, and has this peer tokens left. Invariants:
//! meters exist for connected peers alone, bans and strikes are capped and expire, and a friend list never holds more than
//! [`FRIENDS_MAX`] pods.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use seedpod_protocol::ids::PodId;

use super::{door::Refusal, messages::BanReason};

/// Most friends a pod keeps; further ones are dropped with a warning.
pub const FRIENDS_MAX: usize = 4096;
/// How long a pod that broke the rules stays locked out.
pub const BAN_TIME: Duration = Duration::from_secs(30 * 60);
/// Malformed messages within [`BAN_TIME`] that lead to a ban.
const STRIKES_TO_BAN: u8 = 5;
/// Most bans, and most pods with strikes, kept at a time; the oldest makes room.
const RECORDS_MAX: usize = 1024;
/// Inbound requests of one friend answered at a time.
const REQUESTS_AT_ONCE: usize = 16;
/// The same for a pod that is no friend.
const STRANGER_REQUESTS_AT_ONCE: usize = 4;
/// Inbound requests answered at a time over all peers.
const REQUESTS_AT_ONCE_TOTAL: usize = 256;

/// The authors whose records we accept. Cheap to share with the threads that check signatures.
#[derive(Debug, Clone)]
pub struct Admitted {
    own: PodId,
    friends: HashSet<PodId>,
}

impl Admitted {
    /// This pod and its friends.
    pub fn new(own: PodId, friends: impl IntoIterator<Item = PodId>) -> Self {
        Self {
            own,
            friends: friends
                .into_iter()
                .filter(|pod| *pod != own)
                .take(FRIENDS_MAX)
                .collect(),
        }
    }

    /// Whether records of this author are accepted: a friend's, or our own coming back.
    pub fn admits(&self, author: &PodId) -> bool {
        *author == self.own || self.friends.contains(author)
    }

    /// Whether this is a friend.
    pub fn is_friend(&self, pod: &PodId) -> bool {
        self.friends.contains(pod)
    }

    /// This pod.
    pub fn own(&self) -> PodId {
        self.own
    }

    /// The friends.
    pub fn pods(&self) -> impl Iterator<Item = &PodId> {
        self.friends.iter()
    }

    /// How many friends there are.
    pub fn friends(&self) -> usize {
        self.friends.len()
    }
}

/// A token bucket: `rate` tokens a second, at most `burst` saved up.
#[derive(Debug, Clone)]
struct Bucket {
    tokens: f64,
    filled: Instant,
    rate: f64,
    burst: f64,
}

impl Bucket {
    fn new(now: Instant, rate: f64, burst: f64) -> Self {
        Self {
            tokens: burst,
            filled: now,
            rate,
            burst,
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        let enough = self.holds(1.0, now);
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }

    /// Whether so many tokens are left.
    fn holds(&mut self, tokens: f64, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + since * self.rate).min(self.burst);
        self.filled = now;
        self.tokens >= tokens
    }

    /// Friends and strangers have different rates; a bucket that changes hands keeps no more than its new burst.
    fn retune(&mut self, rate: f64, burst: f64) {
        self.tokens = if burst > self.burst {
            burst
        } else {
            self.tokens.min(burst)
        };
        (self.rate, self.burst) = (rate, burst);
    }
}

/// Gossip messages a second and at once which a friend may hand us; a stranger's never get here.
const GOSSIP_RATE: (f64, f64) = (500.0, 4000.0);
/// Bytes of them a second and at once: records weigh a kilobyte, so this meets nobody who says something.
const GOSSIP_BYTES_RATE: (f64, f64) = (2.0 * MIB, 16.0 * MIB);
const MIB: f64 = 1024.0 * 1024.0;
/// Requests a second and at once of a friend.
const REQUEST_RATE: (f64, f64) = (100.0, 400.0);
/// Requests a second and at once of a stranger: enough for a handshake.
const STRANGER_REQUEST_RATE: (f64, f64) = (2.0, 20.0);

/// What one connected peer has used.
#[derive(Debug, Clone)]
struct Meter {
    gossip: Bucket,
    gossip_bytes: Bucket,
    requests: Bucket,
    answering: usize,
}

/// Friends, bans, strikes and meters.
#[derive(Debug)]
pub(super) struct Admission {
    admitted: std::sync::Arc<Admitted>,
    bans: HashMap<PodId, Instant>,
    strikes: HashMap<PodId, (u8, Instant)>,
    meters: HashMap<PodId, Meter>,
    answering: usize,
}

impl Admission {
    pub(super) fn new(own: PodId) -> Self {
        Self {
            admitted: std::sync::Arc::new(Admitted::new(own, [])),
            bans: HashMap::new(),
            strikes: HashMap::new(),
            meters: HashMap::new(),
            answering: 0,
        }
    }

    pub(super) fn admitted(&self) -> &std::sync::Arc<Admitted> {
        &self.admitted
    }

    pub(super) fn set_friends(&mut self, friends: impl IntoIterator<Item = PodId>) {
        self.admitted = std::sync::Arc::new(Admitted::new(self.admitted.own, friends));
        for (pod, meter) in &mut self.meters {
            let (rate, burst) = request_rate(&self.admitted, pod);
            if meter.requests.rate != rate {
                meter.requests.retune(rate, burst);
            }
        }
    }

    pub(super) fn connected(&mut self, pod: PodId, now: Instant) {
        let (rate, burst) = request_rate(&self.admitted, &pod);
        self.meters.entry(pod).or_insert_with(|| Meter {
            gossip: Bucket::new(now, GOSSIP_RATE.0, GOSSIP_RATE.1),
            gossip_bytes: Bucket::new(now, GOSSIP_BYTES_RATE.0, GOSSIP_BYTES_RATE.1),
            requests: Bucket::new(now, rate, burst),
            answering: 0,
        });
    }

    pub(super) fn disconnected(&mut self, pod: &PodId) {
        if let Some(meter) = self.meters.remove(pod) {
            self.answering -= meter.answering;
        }
    }

    /// Whether a gossip message of this peer may cost us a signature check.
    ///
    /// # Errors
    /// The reason, for counters.
    pub(super) fn take_gossip(
        &mut self,
        pod: &PodId,
        bytes: usize,
        now: Instant,
    ) -> Result<(), &'static str> {
        let meter = self.meters.get_mut(pod).ok_or("stranger")?;
        let weight = u32::try_from(bytes).map_or(f64::INFINITY, f64::from);
        if !meter.gossip_bytes.holds(weight, now) {
            return Err("rate_bytes");
        }
        if !meter.gossip.take(now) {
            return Err("rate");
        }
        meter.gossip_bytes.tokens -= weight;
        Ok(())
    }

    /// Whether a request of this peer is answered; if so, [`Admission::answered`] follows.
    pub(super) fn take_request(&mut self, pod: &PodId, now: Instant) -> bool {
        let at_once = if self.admitted.is_friend(pod) {
            REQUESTS_AT_ONCE
        } else {
            STRANGER_REQUESTS_AT_ONCE
        };
        let Some(meter) = self.meters.get_mut(pod) else {
            return false;
        };
        let free =
            meter.answering < at_once && self.answering < REQUESTS_AT_ONCE_TOTAL && meter.requests.take(now);
        if free {
            meter.answering += 1;
            self.answering += 1;
        }
        free
    }

    /// A request that was taken is done with. Requests of a peer that left meanwhile were given back when it left.
    pub(super) fn answered(&mut self, pod: &PodId) {
        if let Some(meter) = self.meters.get_mut(pod)
            && meter.answering > 0
        {
            meter.answering -= 1;
            self.answering -= 1;
        }
    }

    /// Whether this pod is answering a request of that one.
    pub(super) fn is_answering(&self, pod: &PodId) -> bool {
        self.meters.get(pod).is_some_and(|meter| meter.answering > 0)
    }

    /// Counts a malformed message; the fifth says why to ban.
    pub(super) fn strike(&mut self, pod: PodId, now: Instant) -> Option<BanReason> {
        make_room(&mut self.strikes, &pod, |(_, since)| *since);
        let (count, _) = self.strikes.entry(pod).or_insert((0, now));
        *count += 1;
        (*count >= STRIKES_TO_BAN).then_some(BanReason::Malformed)
    }

    /// Holds an envelope that did not pass the door against whoever brought it, if that is to blame; says why to ban.
    pub(super) fn refused(&mut self, from: PodId, refusal: &Refusal, now: Instant) -> Option<BanReason> {
        if self.is_banned(&from) || !refusal.blames() {
            return None;
        }
        let struck = self.strike(from, now);
        refusal.ban().or(struck)
    }

    pub(super) fn ban(&mut self, pod: PodId, now: Instant) {
        make_room(&mut self.bans, &pod, |until| *until);
        self.strikes.remove(&pod);
        self.bans.insert(pod, now + BAN_TIME);
    }

    pub(super) fn unban(&mut self, pod: &PodId) -> bool {
        self.bans.remove(pod).is_some()
    }

    pub(super) fn is_banned(&self, pod: &PodId) -> bool {
        self.bans.contains_key(pod)
    }

    pub(super) fn bans(&self) -> impl Iterator<Item = &PodId> {
        self.bans.keys()
    }

    /// Forgets what is over and names the pods whose ban has ended.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<PodId> {
        self.strikes
            .retain(|_, (_, since)| now.saturating_duration_since(*since) < BAN_TIME);
        let over: Vec<PodId> = self
            .bans
            .iter()
            .filter(|(_, until)| **until <= now)
            .map(|(pod, _)| *pod)
            .collect();
        for pod in &over {
            self.bans.remove(pod);
        }
        over
    }

    #[cfg(test)]
    fn check(&self) {
        assert_eq!(
            self.answering,
            self.meters.values().map(|meter| meter.answering).sum::<usize>()
        );
        assert!(self.answering <= REQUESTS_AT_ONCE_TOTAL);
        assert!(self.bans.len() <= RECORDS_MAX && self.strikes.len() <= RECORDS_MAX);
        assert!(self.admitted.friends() <= FRIENDS_MAX && !self.admitted.is_friend(&self.admitted.own));
    }
}

fn request_rate(admitted: &Admitted, pod: &PodId) -> (f64, f64) {
    if admitted.is_friend(pod) {
        REQUEST_RATE
    } else {
        STRANGER_REQUEST_RATE
    }
}

/// Drops the entry with the earliest time when a new one would not fit.
fn make_room<V>(map: &mut HashMap<PodId, V>, newcomer: &PodId, time: impl Fn(&V) -> Instant) {
    if map.len() >= RECORDS_MAX
        && !map.contains_key(newcomer)
        && let Some(oldest) = map
            .iter()
            .min_by_key(|(_, value)| time(value))
            .map(|(pod, _)| *pod)
    {
        map.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use seedpod_protocol::keys::PodKey;

    use super::*;

    fn pod(n: u32) -> PodId {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&n.to_be_bytes());
        PodKey::from_seed(&seed).id()
    }

    #[test]
    fn only_friends_and_ourselves_are_admitted() {
        let admitted = Admitted::new(pod(0), [pod(0), pod(1)]);
        assert!(admitted.admits(&pod(0)) && admitted.admits(&pod(1)) && !admitted.admits(&pod(2)));
        assert!(!admitted.is_friend(&pod(0)));
        assert_eq!(admitted.friends(), 1);
    }

    #[test]
    fn a_flood_is_cut_to_the_rate() {
        let start = Instant::now();
        let mut admission = Admission::new(pod(0));
        admission.connected(pod(1), start);
        let taken = (0..10_000)
            .filter(|_| admission.take_gossip(&pod(1), 100, start).is_ok())
            .count();
        assert_eq!(taken, 4000);
        let later = start + Duration::from_secs(1);
        let taken = (0..10_000)
            .filter(|_| admission.take_gossip(&pod(1), 100, later).is_ok())
            .count();
        assert_eq!(taken, 500);
        admission.check();
    }

    #[test]
    fn heavy_messages_are_cut_by_their_weight() {
        let start = Instant::now();
        let mut admission = Admission::new(pod(0));
        admission.connected(pod(1), start);
        let heavy = 64 * 1024;
        let taken = (0..1000).filter(|_| admission.take_gossip(&pod(1), heavy, start).is_ok());
        assert_eq!(taken.count(), 256);
        assert_eq!(admission.take_gossip(&pod(1), heavy, start), Err("rate_bytes"));
        assert_eq!(
            admission.take_gossip(&pod(1), heavy, start + Duration::from_secs(1)),
            Ok(())
        );
        assert_eq!(admission.take_gossip(&pod(2), 1, start), Err("stranger"));
    }

    #[test]
    fn a_stranger_has_few_requests_at_once_and_a_friend_more() {
        let now = Instant::now();
        let mut admission = Admission::new(pod(0));
        admission.connected(pod(1), now);
        assert_eq!(
            (0..50).filter(|_| admission.take_request(&pod(1), now)).count(),
            4
        );
        admission.check();
        admission.set_friends([pod(1)]);
        assert_eq!(
            (0..50).filter(|_| admission.take_request(&pod(1), now)).count(),
            12
        );
        admission.answered(&pod(1));
        assert!(admission.take_request(&pod(1), now));
        admission.check();
        admission.disconnected(&pod(1));
        admission.answered(&pod(1));
        assert!(
            !admission.take_request(&pod(1), now),
            "a peer that is not connected has no meter"
        );
        admission.check();
    }

    #[test]
    fn the_fifth_malformed_message_bans_and_the_ban_ends() {
        let now = Instant::now();
        let mut admission = Admission::new(pod(0));
        for _ in 0..4 {
            assert_eq!(admission.strike(pod(1), now), None);
        }
        assert_eq!(admission.strike(pod(1), now), Some(BanReason::Malformed));
        admission.ban(pod(1), now);
        assert!(admission.is_banned(&pod(1)));
        assert!(
            admission
                .expire(now + BAN_TIME - Duration::from_secs(1))
                .is_empty()
        );
        assert_eq!(admission.expire(now + BAN_TIME), vec![pod(1)]);
        assert!(!admission.is_banned(&pod(1)));
        admission.check();
    }

    #[test]
    fn strikes_are_forgotten_in_time() {
        let now = Instant::now();
        let mut admission = Admission::new(pod(0));
        for _ in 0..4 {
            admission.strike(pod(1), now);
        }
        admission.expire(now + BAN_TIME);
        assert_eq!(admission.strike(pod(1), now + BAN_TIME), None);
    }

    #[test]
    fn sybils_cannot_grow_the_lists() {
        let start = Instant::now();
        let mut admission = Admission::new(pod(0));
        for n in 0..1500_u32 {
            let now = start + Duration::from_millis(n.into());
            admission.strike(pod(n + 1), now);
            admission.ban(pod(n + 1), now);
        }
        admission.check();
        assert!(admission.is_banned(&pod(1500)) && !admission.is_banned(&pod(1)));
    }
}
