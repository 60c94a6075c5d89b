//! What the tests of this room share: keys, records and damage.

use seedpod_protocol::{
    envelope::{Draft, Epoch, Kind, Stamp, Verified},
    ids::ObjectId,
    keys::PodKey,
    records::Record,
};

pub(super) fn key(n: u8) -> PodKey {
    PodKey::from_seed(&[n; 32])
}

/// A record of this pod; another one for every `seq`.
pub(super) fn record(key: &PodKey, seq: u64) -> Verified<Record> {
    let stamp = Stamp {
        epoch: Epoch {
            counter: 1,
            tag: [1; 8],
        },
        seq,
    };
    Draft::withdrawn(Kind::PROFILE, ObjectId::EMPTY)
        .sign(key, stamp)
        .expect("a sound record")
}

/// The same envelope with one bit of its signature turned.
pub(super) fn tampered(record: &Verified<Record>) -> Vec<u8> {
    let mut bytes = record.bytes().to_vec();
    *bytes.last_mut().expect("an envelope is not empty") ^= 1;
    bytes
}
