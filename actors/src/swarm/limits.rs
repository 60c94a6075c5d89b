//! How many connections there may be, decided before a connection costs anything.
//!
//! libp2p ships such a behaviour, but it keeps an entry for every peer that ever connected, and peers choose how many those are; and it
//! lets friends in only by lifting every limit for them. Here strangers share [`STRANGERS`] places, friends have their own, and each peer
//! has [`PER_PEER`]. Invariant: an entry exists for connected peers alone.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};

/// Connections of one peer; a second one is normal when both dial at once.
const PER_PEER: usize = 2;
/// Connections of all peers that are no friends.
const STRANGERS: usize = 128;
/// Handshakes under way that others began.
const PENDING_IN: usize = 256;
/// Handshakes under way that we began.
const PENDING_OUT: usize = 256;

/// Why a connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum LimitError {
    #[error("{PENDING_IN} handshakes are under way")]
    PendingIn,
    #[error("{PENDING_OUT} dials are under way")]
    PendingOut,
    #[error("the peer has {PER_PEER} connections")]
    PerPeer,
    #[error("{STRANGERS} strangers are connected")]
    Strangers,
}

/// Counts connections and refuses those that are too many.
#[derive(Debug, Default)]
pub(super) struct Limits {
    friends: HashSet<PeerId>,
    pending_in: HashSet<ConnectionId>,
    pending_out: HashSet<ConnectionId>,
    established: HashMap<PeerId, HashSet<ConnectionId>>,
}

impl Limits {
    pub(super) fn set_friends(&mut self, friends: impl IntoIterator<Item = PeerId>) {
        self.friends = friends.into_iter().collect();
    }

    fn begin_in(&mut self, connection: ConnectionId) -> Result<(), LimitError> {
        if self.pending_in.len() >= PENDING_IN {
            return Err(LimitError::PendingIn);
        }
        self.pending_in.insert(connection);
        Ok(())
    }

    fn begin_out(&mut self, connection: ConnectionId) -> Result<(), LimitError> {
        if self.pending_out.len() >= PENDING_OUT {
            return Err(LimitError::PendingOut);
        }
        self.pending_out.insert(connection);
        Ok(())
    }

    /// The handshake is done, one way or the other.
    fn end(&mut self, connection: ConnectionId) {
        self.pending_in.remove(&connection);
        self.pending_out.remove(&connection);
    }

    fn check(&self, peer: &PeerId) -> Result<(), LimitError> {
        if self.established.get(peer).map_or(0, HashSet::len) >= PER_PEER {
            return Err(LimitError::PerPeer);
        }
        let strangers = self
            .established
            .iter()
            .filter(|(peer, _)| !self.friends.contains(peer));
        if !self.friends.contains(peer) && strangers.map(|(_, open)| open.len()).sum::<usize>() >= STRANGERS {
            return Err(LimitError::Strangers);
        }
        Ok(())
    }

    fn opened(&mut self, peer: PeerId, connection: ConnectionId) {
        self.established.entry(peer).or_default().insert(connection);
    }

    fn closed(&mut self, peer: &PeerId, connection: ConnectionId) {
        if let Some(open) = self.established.get_mut(peer) {
            open.remove(&connection);
            if open.is_empty() {
                self.established.remove(peer);
            }
        }
    }
}

impl NetworkBehaviour for Limits {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.begin_in(connection).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.end(connection);
        self.check(&peer)
            .map(|()| dummy::ConnectionHandler)
            .map_err(ConnectionDenied::new)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        _: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.begin_out(connection)
            .map(|()| Vec::new())
            .map_err(ConnectionDenied::new)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.end(connection);
        self.check(&peer)
            .map(|()| dummy::ConnectionHandler)
            .map_err(ConnectionDenied::new)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => self.opened(event.peer_id, event.connection_id),
            FromSwarm::ConnectionClosed(event) => self.closed(&event.peer_id, event.connection_id),
            FromSwarm::DialFailure(event) => self.end(event.connection_id),
            FromSwarm::ListenFailure(event) => self.end(event.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(n: usize) -> ConnectionId {
        ConnectionId::new_unchecked(n)
    }

    #[test]
    fn strangers_share_their_places_and_friends_have_their_own() {
        let mut limits = Limits::default();
        for n in 0..STRANGERS {
            let peer = PeerId::random();
            assert_eq!(limits.check(&peer), Ok(()));
            limits.opened(peer, connection(n));
        }
        let friend = PeerId::random();
        assert_eq!(limits.check(&friend), Err(LimitError::Strangers));
        limits.set_friends([friend]);
        assert_eq!(limits.check(&friend), Ok(()));
        limits.opened(friend, connection(1000));
        limits.opened(friend, connection(1001));
        assert_eq!(limits.check(&friend), Err(LimitError::PerPeer));
    }

    #[test]
    fn nothing_is_left_of_a_peer_that_is_gone() {
        let mut limits = Limits::default();
        let peer = PeerId::random();
        limits.begin_in(connection(1)).expect("room");
        limits.end(connection(1));
        limits.opened(peer, connection(1));
        limits.closed(&peer, connection(1));
        assert!(limits.established.is_empty() && limits.pending_in.is_empty());
    }

    #[test]
    fn handshakes_under_way_are_counted() {
        let mut limits = Limits::default();
        for n in 0..PENDING_IN {
            assert_eq!(limits.begin_in(connection(n)), Ok(()));
        }
        assert_eq!(
            limits.begin_in(connection(PENDING_IN)),
            Err(LimitError::PendingIn)
        );
        limits.end(connection(0));
        assert_eq!(limits.begin_in(connection(PENDING_IN)), Ok(()));
    }
}
