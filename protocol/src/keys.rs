//! The key of a pod: what signs, and nothing that leaves the process.
//!
//! Invariant: the seed is readable only through [`PodKey::seed`], which wipes its copy, and never through `Debug`. The same seed gives
//! libp2p's identity; what each signs begins with different bytes, so neither's signature can be taken for the other's (`SPEC.md` §3).

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey};
use zeroize::Zeroizing;

use crate::ids::PodId;

/// A signing key of a pod. Wiped from memory when dropped.
pub struct PodKey {
    key: SigningKey,
    public: PodId,
    id: PodId,
}

impl PodKey {
    /// Length of a seed in bytes.
    pub const SEED_LEN: usize = 32;
    /// Length of a signature in bytes.
    pub const SIGNATURE_LEN: usize = 64;

    /// Derives the first key of a pod, which gives it its name, from 32 random bytes, the only part that is ever stored. Wipe your own
    /// copy.
    pub fn from_seed(seed: &[u8; Self::SEED_LEN]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let public = PodId::from_key(&key.verifying_key());
        Self {
            key,
            public,
            id: public,
        }
    }

    /// Like [`from_seed`](Self::from_seed), for a later key of a pod, or its recovery key: the name stays.
    pub fn of_pod(id: PodId, seed: &[u8; Self::SEED_LEN]) -> Self {
        Self {
            id,
            ..Self::from_seed(seed)
        }
    }

    /// The seed, for storing it and for deriving libp2p's identity.
    pub fn seed(&self) -> Zeroizing<[u8; Self::SEED_LEN]> {
        Zeroizing::new(self.key.to_bytes())
    }

    /// The name of the pod that holds this key.
    pub fn id(&self) -> PodId {
        self.id
    }

    /// The public half of this key: the pod's name, if this is its first.
    pub fn public(&self) -> PodId {
        self.public
    }

    /// Signs bytes as they are. For records use [`Draft::sign`](crate::envelope::Draft::sign), which says what is signed.
    pub fn sign(&self, bytes: &[u8]) -> [u8; Self::SIGNATURE_LEN] {
        self.key.sign(bytes).to_bytes()
    }
}

impl fmt::Debug for PodKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PodKey({} of {})", self.public, self.id)
    }
}

/// Whether a signature of these bytes is this key's, by the strict rules all pods share (`SPEC.md` §3).
pub fn verify(key: &PodId, bytes: &[u8], signature: &[u8; PodKey::SIGNATURE_LEN]) -> bool {
    key.key()
        .verify_strict(bytes, &Signature::from_bytes(signature))
        .is_ok()
}
