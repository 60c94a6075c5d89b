//! Offers on their way between a socket here and a friend, until they are answered or too old.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use seedpod_protocol::ids::{InfoHash, PodId};
use seedpod_protocol::tracker::{OfferId, PeerId};

use super::RelayLimits;
use super::stats::RelayRefusal;
use crate::tracker::messages::SocketId;

/// Names one offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::tracker) struct Route {
    pub(in crate::tracker) info_hash: InfoHash,
    /// Who made it, here or there.
    pub(in crate::tracker) maker: PeerId,
    pub(in crate::tracker) offer: OfferId,
}

/// The two ends of an offer that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leg {
    pub(super) friend: PodId,
    pub(super) socket: SocketId,
    expires: Instant,
}

/// Offers in one direction. Who answers quickly may offer no more often for it: what counts against a friend is how many there were within
/// a lifetime.
#[derive(Debug)]
pub(super) struct Routes {
    limits: RelayLimits,
    legs: HashMap<Route, Leg>,
    /// All of the last lifetime, answered or not, the oldest first.
    recent: VecDeque<(Instant, PodId, Route)>,
    by_friend: HashMap<PodId, usize>,
    /// Those not answered.
    by_socket: HashMap<SocketId, usize>,
}

impl Routes {
    pub(super) fn new(limits: RelayLimits) -> Self {
        Self {
            limits,
            legs: HashMap::new(),
            recent: VecDeque::new(),
            by_friend: HashMap::new(),
            by_socket: HashMap::new(),
        }
    }

    /// Whether a socket may have one more offer that waits.
    pub(super) fn has_room_for(&self, socket: SocketId) -> bool {
        self.by_socket
            .get(&socket)
            .is_none_or(|count| *count < self.limits.offers_of_socket)
    }

    /// Remembers an offer, if it is new and none too many.
    pub(super) fn open(
        &mut self,
        route: Route,
        friend: PodId,
        socket: SocketId,
        now: Instant,
    ) -> Result<(), RelayRefusal> {
        self.expire(now);
        if self
            .by_friend
            .get(&friend)
            .is_some_and(|count| *count >= self.limits.offers_of_friend)
        {
            return Err(RelayRefusal::FriendTooMany);
        }
        if self.recent.len() >= self.limits.offers {
            return Err(RelayRefusal::TooMany);
        }
        if !self.has_room_for(socket) {
            return Err(RelayRefusal::ViewersBusy);
        }
        if self.legs.contains_key(&route) {
            return Err(RelayRefusal::Twice);
        }
        let expires = now + self.limits.lifetime;
        let leg = Leg {
            friend,
            socket,
            expires,
        };
        self.legs.insert(route, leg);
        self.recent.push_back((expires, friend, route));
        *self.by_friend.entry(friend).or_default() += 1;
        *self.by_socket.entry(socket).or_default() += 1;
        Ok(())
    }

    /// Takes an offer out that lives and whose ends are as they should be.
    pub(super) fn close(&mut self, route: &Route, now: Instant, fits: impl Fn(&Leg) -> bool) -> Option<Leg> {
        self.expire(now);
        let leg = *self.legs.get(route).filter(|leg| fits(leg))?;
        self.drop_leg(route);
        Some(leg)
    }

    /// Forgets the offers under way from and to a pod that is no friend any more: their answers hold addresses of viewers.
    pub(super) fn forget(&mut self, friend: &PodId) {
        let theirs = self.legs.iter().filter(|(_, leg)| leg.friend == *friend);
        let routes: Vec<Route> = theirs.map(|(route, _)| *route).collect();
        for route in routes {
            self.drop_leg(&route);
        }
    }

    /// Offers that wait for their answer.
    pub(super) fn len(&self) -> usize {
        self.legs.len()
    }

    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((expires, friend, route)) = self.recent.front().copied() {
            if expires > now {
                return;
            }
            self.recent.pop_front();
            less(&mut self.by_friend, &friend);
            // One that was answered may have been made again under the same name.
            if self.legs.get(&route).is_some_and(|leg| leg.expires == expires) {
                self.drop_leg(&route);
            }
        }
    }

    fn drop_leg(&mut self, route: &Route) {
        if let Some(leg) = self.legs.remove(route) {
            less(&mut self.by_socket, &leg.socket);
        }
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        assert!(self.recent.len() <= self.limits.offers && self.legs.len() <= self.recent.len());
        assert_eq!(self.by_friend.values().sum::<usize>(), self.recent.len());
        assert_eq!(self.by_socket.values().sum::<usize>(), self.legs.len());
        assert!(
            self.by_friend
                .values()
                .all(|count| *count <= self.limits.offers_of_friend)
        );
        assert!(
            self.by_socket
                .values()
                .all(|count| *count <= self.limits.offers_of_socket)
        );
    }
}

fn less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
