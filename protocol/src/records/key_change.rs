//! What a pod says about its own keys: which offline key may take the others from them, which key follows which, and which is over.
//!
//! Statements of these kinds have their meaning in envelopes of version 2 alone, where they name who signed them; what they mean
//! together is [`crate::succession`]. Unlike those of other kinds they are checked strictly: every pod that reads version 2 knows them.

use serde::{Deserialize, Serialize};

use super::RecordError;
use crate::{
    envelope::{Header, Stamp},
    ids::{ContentHash, PodId},
    keys::{self, PodKey},
    limits,
};

/// "Whoever has the key of this hash may end my keys." Signed by the pod's first key, under the stamp of zeros. Its object id is the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryPin {
    /// BLAKE3 of the public key of the recovery key.
    pub hash: ContentHash,
}

impl RecoveryPin {
    /// Pins a recovery key by its public key.
    pub fn of(recovery: &PodId) -> Self {
        Self {
            hash: ContentHash::of(recovery.as_bytes()),
        }
    }

    pub(super) fn check(&self, header: &Header) -> Result<(), RecordError> {
        if header.signer() != header.author {
            return Err(RecordError::Signer {
                expected: "the first key",
            });
        }
        expect_zeros(header)
    }
}

/// "That key signs from here on." Signed by the key it follows, with a proof that whoever has the next one agrees. Its object id is the
/// next key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Successor {
    /// The next key: neither the one that signs this nor the pod's first.
    pub next: PodId,
    /// Its signature, over author, signer and itself.
    #[serde(with = "serde_bytes")]
    pub proof: [u8; PodKey::SIGNATURE_LEN],
}

impl Successor {
    /// Hands over from the key that signs now to another one of the same pod.
    pub fn new(now: &PodKey, next: &PodKey) -> Self {
        Self {
            next: next.public(),
            proof: next.sign(&proved(&now.id(), &now.public(), &next.public())),
        }
    }

    pub(super) fn check(&self, header: &Header) -> Result<(), RecordError> {
        let signer = header.signer();
        if self.next == signer || self.next == header.author {
            return Err(RecordError::Object {
                object: header.object,
                expected: "a key that has not signed yet",
            });
        }
        if !keys::verify(
            &self.next,
            &proved(&header.author, &signer, &self.next),
            &self.proof,
        ) {
            return Err(RecordError::Proof { next: self.next });
        }
        Ok(())
    }
}

/// What the next key signs to agree. Begins like no body of an envelope.
fn proved(author: &PodId, signer: &PodId, next: &PodId) -> Vec<u8> {
    [
        b"seedpod-successor-v1\0".as_slice(),
        author.as_bytes(),
        signer.as_bytes(),
        next.as_bytes(),
    ]
    .concat()
}

/// "Of what that key signed, only what is stamped up to here holds; the next one signs from now on." Signed by the recovery key, under
/// the stamp of zeros: a key that is kept in a drawer keeps no count. Its object id is the key that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// The key that is over.
    pub key: PodId,
    /// The last stamp under which it is believed; zeros for none at all.
    pub last: Stamp,
    /// The key that signs from now on, neither the one that is over nor the pod's first; without it, nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<PodId>,
}

impl Revocation {
    /// Checks the limits.
    ///
    /// # Errors
    /// The first value outside them.
    pub fn validate(&self) -> Result<(), RecordError> {
        if self.last.seq >= limits::INTEGER_END {
            return super::rules::fault("last", "a sequence number is not below 2^53");
        }
        Ok(())
    }

    pub(super) fn check(&self, header: &Header) -> Result<(), RecordError> {
        if self
            .next
            .is_some_and(|next| next == self.key || next == header.author)
        {
            return Err(RecordError::Object {
                object: header.object,
                expected: "followed by a key that has not signed yet",
            });
        }
        expect_zeros(header)
    }
}

fn expect_zeros(header: &Header) -> Result<(), RecordError> {
    if header.stamp() == Stamp::ZERO {
        Ok(())
    } else {
        super::rules::fault("stamp", "not the stamp of zeros")
    }
}
