//! One identity, two names: a pod id is the public key, libp2p's peer id is the same key in its own wrapping.
//!
//! Nothing else in the room converts between them.

use libp2p::PeerId;
use seedpod_protocol::ids::PodId;

/// What libp2p calls this pod.
pub(super) fn peer_id(pod: &PodId) -> PeerId {
    PeerId::from_bytes(&pod.to_peer_bytes()).expect("a pod id has the form of a peer id")
}

/// What we call this peer; none if its key is not a usable ed25519 key.
pub(super) fn pod_id(peer: &PeerId) -> Option<PodId> {
    PodId::from_peer_bytes(&peer.to_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;
    use seedpod_protocol::keys::PodKey;

    use super::*;

    #[test]
    fn the_same_seed_has_the_same_name_in_both_worlds() {
        let key = PodKey::from_seed(&[7; 32]);
        let keypair = Keypair::ed25519_from_bytes(*key.seed()).expect("32 bytes are a seed");
        let peer = keypair.public().to_peer_id();
        assert_eq!(peer_id(&key.id()), peer);
        assert_eq!(pod_id(&peer), Some(key.id()));
        assert_eq!(peer.to_string(), key.id().to_string());
    }

    #[test]
    fn a_peer_without_an_ed25519_key_is_no_pod() {
        assert_eq!(pod_id(&PeerId::random()), None);
    }
}
