//! The door: what is signed opens, and nothing else does.
#![allow(clippy::unwrap_used)] // a test that fails here has found something

mod common;

use common::{alice, bob, payloads, signed, stamp, video};
use seedpod_protocol::{
    envelope::{Draft, DraftError, Envelope, EnvelopeError, Kind, OpenError, State},
    ids::{ObjectId, VideoId},
    keys::PodKey,
    records::{Record, RecordError},
};

#[test]
fn what_is_signed_opens_to_the_same() {
    for payload in payloads() {
        let ours = signed(payload.clone(), stamp(1, 7));
        let theirs = Envelope::decode(ours.bytes().clone()).unwrap().open().unwrap();
        assert_eq!(theirs.payload(), &payload);
        assert_eq!(theirs.header(), ours.header());
        assert_eq!(theirs.hash(), ours.hash());
        assert_eq!(theirs.header().kind, payload.kind().unwrap());
        assert_eq!(theirs.header().author, alice().id());
        assert_eq!(theirs.header().stamp(), stamp(1, 7));
    }
}

#[test]
fn an_envelope_with_any_byte_changed_is_refused() {
    for payload in payloads() {
        let bytes = signed(payload, stamp(1, 7)).bytes().to_vec();
        for place in 0..bytes.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[place] ^= change;
                let opened = Envelope::decode(bytes).map(Envelope::open);
                assert!(
                    !matches!(opened, Ok(Ok(_))),
                    "byte {place} changed by {change:#x} was not noticed"
                );
            }
        }
        for len in 0..bytes.len() {
            assert!(
                Envelope::decode(&bytes[..len]).is_err(),
                "cut at {len} was not noticed"
            );
        }
    }
}

#[test]
fn a_signature_by_another_key_is_a_forgery() {
    let ours = signed(video(), stamp(1, 7)).bytes().to_vec();
    let body = &ours[3 + 1..ours.len() - 66];
    let mut forged = ours.clone();
    let at = forged.len() - PodKey::SIGNATURE_LEN;
    forged[at..].copy_from_slice(&bob().sign(body));
    let error = Envelope::decode(forged).unwrap().open().unwrap_err();
    assert_eq!(error, OpenError::Signature(alice().id()));
    assert!(error.is_forgery());
}

#[test]
fn an_id_that_is_not_derived_is_not_signed() {
    let squatted = VideoId::derive(&bob().id(), &video().nonce);
    let draft = Draft {
        kind: Kind::VIDEO,
        object: squatted.into(),
        state: State::Live,
        payload: video().into(),
    };
    let error = draft.sign(&alice(), stamp(1, 1)).unwrap_err();
    assert_eq!(
        error,
        DraftError::Record(RecordError::NotDerived {
            object: squatted.into()
        })
    );
}

#[test]
fn a_live_record_without_words_is_malformed() {
    let draft = Draft {
        kind: Kind::PROFILE,
        object: ObjectId::EMPTY,
        state: State::Live,
        payload: Record::Empty,
    };
    let error = draft.sign(&alice(), stamp(1, 1)).unwrap_err();
    assert_eq!(error, DraftError::Envelope(EnvelopeError::EmptyLive));
}
