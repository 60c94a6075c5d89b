//! The one door for records from outside: gossip, catch-up and what is told all come through [`validate`]; what a pod shows of itself to
//! become a friend, before it is one, through [`introduce`].
//!
//! Pure. What it answers depends on the bytes, the topic and the set of admitted authors alone, and a refusal says both what to tell
//! gossipsub and whether its sender forfeits its place. Order of checks: size and form, author, signature, payload; so an author who is
//! no friend of ours costs us no signature check, and whoever forwards its records is not punished: it may well be its friend.

use libp2p::gossipsub::MessageAcceptance;
use seedpod_protocol::{
    envelope::{Envelope, EnvelopeError, Kind, OpenError, Verified},
    ids::PodId,
    records::{Record, RecordError},
    succession::{Standing, Succession},
};

use super::{
    admission::Admitted,
    messages::{BanReason, Topic},
};

/// Why bytes are not a record for us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not an envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Its author is no friend of ours.
    #[error("author {} is no friend", .0.short())]
    Author(PodId),
    /// A statement of this kind has no place there: records are not short-lived news, and the other way round.
    #[error("{kind:?} has no place on {}", topic.name())]
    Place {
        /// The kind.
        kind: Kind,
        /// Where it was sent.
        topic: Topic,
    },
    /// It is signed by what is none of its author's keys, as far as was shown.
    #[error("not signed by a key that counts: {}", .0.short())]
    Signer(PodId),
    /// Not signed by whoever it names, or breaking the rules of its kind.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl Refusal {
    /// A stable machine-readable name, for counters.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Envelope(error) => error.reason(),
            Self::Author(_) => "author",
            Self::Place { .. } => "place",
            Self::Signer(_) => "unlisted",
            Self::Open(error) => error.reason(),
        }
    }

    /// What gossip does with the message: `Ignore` forwards nothing and blames nobody, `Reject` blames the forwarder too.
    pub fn verdict(&self) -> MessageAcceptance {
        match self {
            // A later version is a newer pod, not a hostile one.
            Self::Author(_)
            | Self::Place { .. }
            | Self::Signer(_)
            | Self::Envelope(EnvelopeError::Version(_)) => MessageAcceptance::Ignore,
            Self::Envelope(_) | Self::Open(_) => MessageAcceptance::Reject,
        }
    }

    /// Whether an honest pod would not have handed it on, so that it is held against the sender.
    pub fn blames(&self) -> bool {
        matches!(self.verdict(), MessageAcceptance::Reject)
    }

    /// Why its sender is locked out at once, if it is. No honest pod forwards such a thing, so this never meets one.
    pub fn ban(&self) -> Option<BanReason> {
        match self {
            Self::Open(
                OpenError::Signature(_)
                | OpenError::Payload {
                    error: RecordError::Proof { .. },
                    ..
                },
            ) => Some(BanReason::Forged),
            Self::Open(error) if error.is_forgery() => Some(BanReason::ForeignId),
            _ => None,
        }
    }
}

/// Takes an envelope that came over `topic` ([`Topic::Catalog`] for catch-up and restore) from a stranger's bytes to a record that holds.
///
/// Some 50 µs of signature check: call it on a blocking thread. Our own records are let in, for they come back after a restore.
///
/// # Errors
/// See [`Refusal`].
pub fn validate(bytes: &[u8], topic: Topic, admitted: &Admitted) -> Result<Verified<Record>, Refusal> {
    validate_by(Envelope::decode(bytes), topic, admitted, Envelope::open)
}

/// What follows the check of the form, with any way to open what may come in: a simulation remembers what it has verified.
pub(crate) fn validate_by(
    decoded: Result<Envelope, EnvelopeError>,
    topic: Topic,
    admitted: &Admitted,
    open: impl FnOnce(Envelope) -> Result<Verified<Record>, OpenError>,
) -> Result<Verified<Record>, Refusal> {
    let envelope = decoded?;
    let header = envelope.header();
    if !admitted.admits(&header.author) {
        return Err(Refusal::Author(header.author));
    }
    if header.kind.is_record() == (topic == Topic::Swarm) {
        return Err(Refusal::Place {
            kind: header.kind,
            topic,
        });
    }
    Ok(open(envelope)?)
}

/// Takes what a pod shows of itself from bytes to a statement that holds: its card, its side of a friendship, or what it says about its
/// keys. `keys` are those that count after what it showed before; what is about keys is for them to judge.
///
/// # Errors
/// See [`Refusal`]; one of anybody but `from` is refused for its author.
pub fn introduce(bytes: &[u8], from: &PodId, keys: &Succession) -> Result<Verified<Record>, Refusal> {
    let envelope = Envelope::decode(bytes)?;
    if envelope.header().author != *from {
        return Err(Refusal::Author(envelope.header().author));
    }
    let shown = envelope.open()?;
    let header = shown.header();
    let counts = matches!(
        keys.standing(&header.signer(), header.stamp()),
        Standing::Counts(_)
    );
    if counts || header.is_of_keys() {
        Ok(shown)
    } else {
        Err(Refusal::Signer(header.signer()))
    }
}

#[cfg(test)]
mod tests {
    use seedpod_protocol::{envelope::Kind, limits};

    use super::{super::testing, *};

    #[test]
    fn a_friends_record_comes_in_byte_for_byte() {
        let (friend, own) = (testing::key(1), testing::key(2).id());
        let record = testing::record(&friend, 1);
        let admitted = Admitted::new(own, [friend.id()]);
        assert_eq!(
            validate(record.bytes(), Topic::Catalog, &admitted).as_ref(),
            Ok(&record)
        );
    }

    #[test]
    fn our_own_record_comes_back_in() {
        let key = testing::key(1);
        let record = testing::record(&key, 1);
        assert!(validate(record.bytes(), Topic::Catalog, &Admitted::new(key.id(), [])).is_ok());
    }

    #[test]
    fn a_strangers_record_is_ignored_and_nobody_is_blamed_even_when_it_is_broken() {
        let stranger = testing::key(1);
        let admitted = Admitted::new(testing::key(2).id(), []);
        for bytes in [
            testing::record(&stranger, 1).bytes().to_vec(),
            testing::tampered(&testing::record(&stranger, 1)),
        ] {
            let refusal = validate(&bytes, Topic::Catalog, &admitted).expect_err("refused");
            assert_eq!(refusal, Refusal::Author(stranger.id()));
            assert_eq!(refusal.verdict(), MessageAcceptance::Ignore);
            assert_eq!(refusal.ban(), None);
        }
    }

    #[test]
    fn a_broken_signature_bans() {
        let friend = testing::key(1);
        let admitted = Admitted::new(testing::key(2).id(), [friend.id()]);
        let refusal = validate(
            &testing::tampered(&testing::record(&friend, 1)),
            Topic::Catalog,
            &admitted,
        )
        .expect_err("refused");
        assert_eq!(
            (refusal.reason(), refusal.verdict()),
            ("signature", MessageAcceptance::Reject)
        );
        assert_eq!(refusal.ban(), Some(BanReason::Forged));
    }

    #[test]
    fn a_pod_introduces_itself_and_nobody_else() {
        let (pod, other) = (testing::key(1), testing::key(2));
        let shown = testing::record(&pod, 1);
        let keys = Succession::new(pod.id());
        assert_eq!(introduce(shown.bytes(), &pod.id(), &keys).as_ref(), Ok(&shown));
        assert_eq!(
            introduce(shown.bytes(), &other.id(), &keys),
            Err(Refusal::Author(pod.id()))
        );
        let forged = introduce(&testing::tampered(&shown), &pod.id(), &keys).expect_err("refused");
        assert_eq!(forged.ban(), Some(BanReason::Forged));
    }

    #[test]
    fn noise_is_rejected_without_a_ban_at_once() {
        let admitted = Admitted::new(testing::key(2).id(), []);
        for bytes in [
            vec![],
            vec![0xff; 100],
            vec![0x82; 40],
            vec![0; limits::ENVELOPE_MAX + 1],
        ] {
            let refusal = validate(&bytes, Topic::Catalog, &admitted).expect_err("refused");
            assert_eq!(refusal.verdict(), MessageAcceptance::Reject, "{refusal}");
            assert_eq!(refusal.ban(), None);
        }
    }

    #[test]
    fn records_and_short_lived_news_do_not_mix() {
        let friend = testing::key(1);
        let admitted = Admitted::new(testing::key(2).id(), [friend.id()]);
        let refusal =
            validate(testing::record(&friend, 1).bytes(), Topic::Swarm, &admitted).expect_err("refused");
        assert_eq!(
            refusal,
            Refusal::Place {
                kind: Kind::PROFILE,
                topic: Topic::Swarm
            }
        );
        assert_eq!(refusal.verdict(), MessageAcceptance::Ignore);
    }
}
