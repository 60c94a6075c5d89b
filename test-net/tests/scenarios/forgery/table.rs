//! The matrix: what an attacker who is a friend may try, each with the reason it is refused for.

use seedpod_protocol::envelope::{Draft, Epoch, Stamp};
use seedpod_protocol::ids::{ChannelId, PodId, VideoId};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::Profile;

use super::cbor::Item::{self, Array, Bytes, Map, Negative, Raw, Text, Uint};
use crate::attacker::EPOCH;

/// What it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Locked out at once, for this reason.
    Ban(&'static str),
    /// Counted against the sender; the fifth locks it out.
    Strike,
    /// Refused and held against nobody.
    Ignore,
    /// Sound, and of no use to the catalog, which counts it so.
    Offered(&'static str),
}

use Fate::{Ban, Ignore, Offered, Strike};

/// One way to break the rules.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) bytes: fn(&Forger<'_>) -> Vec<u8>,
    pub(super) reason: &'static str,
    pub(super) fate: Fate,
}

const fn row(name: &'static str, reason: &'static str, fate: Fate, bytes: fn(&Forger<'_>) -> Vec<u8>) -> Row {
    Row {
        name,
        bytes,
        reason,
        fate,
    }
}

const STALE: Fate = Offered("stale");
/// Sound, and signed by a key that is none of its author's.
const UNLISTED: Fate = Offered("unlisted");
const FORGED: Fate = Ban("forged");
const SQUAT: Fate = Ban("foreign_id");

#[rustfmt::skip] // one line a row
pub(super) const TABLE: &[Row] = &[
    // Signatures: whoever hands these on has checked nothing.
    row("last bit of the signature turned", "signature", FORGED, |f| turned(f.sound(), -1)),
    row("first bit of the signature turned", "signature", FORGED, |f| turned(f.sound(), -64)),
    row("signature of zeros", "signature", FORGED, |f| envelope(&f.body(), &[0; 64])),
    row("signature with S above the order", "signature", FORGED, |f| f.with_signature(s_plus_order)),
    row("signature with R of small order", "signature", FORGED, |f| f.with_signature(small_r)),
    row("signature of the body with another prefix", "signature", FORGED, |f| f.signed_otherwise(b"libp2p-pubsub:")),
    row("signature of the payload alone", "signature", FORGED, |f| f.signed_payload()),
    row("seq changed after signing", "signature", FORGED, |f| f.changed("seq", Uint(9_999))),
    row("epoch changed after signing", "signature", FORGED, |f| f.changed("epoch", epoch(9, &[1; 8]))),
    row("kind changed after signing", "signature", FORGED, |f| f.changed("kind", Uint(77))),
    row("object changed after signing", "signature", FORGED, |f| f.changed("object", Bytes(vec![1]))),
    row("state changed after signing", "signature", FORGED, |f| f.changed("state", Uint(3))),
    row("payload changed after signing", "signature", FORGED, |f| f.changed("payload", Bytes(f.profile().with("name", Text("Changed")).encode()))),
    row("in the name of a third pod", "signature", FORGED, |f| f.says(f.body().with("author", pod(&f.third)))),
    row("in the name of the pod attacked", "signature", FORGED, |f| f.says(f.body().with("author", pod(&f.victim)))),
    row("a removal in the name of a third pod", "signature", FORGED, |f| f.says(f.removal(3, f.thirds_video.as_bytes()).with("author", pod(&f.third)))),

    // Ids of others.
    row("a third pod's video id claimed", "not-derived", SQUAT, |f| f.live(3, f.thirds_video.as_bytes(), f.video())),
    row("a video id made up", "not-derived", SQUAT, |f| f.live(3, &uuid(0x5a), f.video())),
    row("a third pod's channel id claimed", "not-derived", SQUAT, |f| f.live(2, ChannelId::derive(&f.third, &[9; 16]).as_bytes(), f.channel())),
    row("a channel id from another nonce", "not-derived", SQUAT, |f| f.live(2, ChannelId::derive(&f.key.id(), &[8; 16]).as_bytes(), f.channel())),

    // The form of the envelope.
    row("no bytes at all", "not-canonical", Strike, |_| Vec::new()),
    row("noise", "not-canonical", Strike, |_| vec![0xff; 100]),
    row("cut in the middle", "not-canonical", Strike, |f| half(f.sound())),
    row("a byte after the end", "not-canonical", Strike, |f| [f.sound(), vec![0]].concat()),
    row("a byte after the body's end", "not-canonical", Strike, |f| f.signs([f.body().encode(), vec![0]].concat())),
    row("a list of indefinite length", "not-canonical", Strike, |f| indefinite(f.sound())),
    row("a body in pieces of indefinite length", "not-canonical", Strike, |f| f.in_pieces()),
    row("a map of indefinite length", "not-canonical", Strike, |f| f.signs(indefinite_map(f.body()))),
    row("a number longer than needed", "not-canonical", Strike, |f| f.says(f.body().with("kind", Raw(vec![0x18, 0x01])))),
    row("a length longer than needed", "not-canonical", Strike, |f| f.says(f.body().with("object", Raw(vec![0x58, 0x00])))),
    row("a key twice", "not-canonical", Strike, |f| f.says(f.twice("seq"))),
    row("keys out of order", "not-canonical", Strike, |f| f.says(f.swapped())),
    row("a key that is no text", "not-canonical", Strike, |f| f.says(f.body().with("payload", Raw(vec![0xa1, 0x01, 0x02])))),
    row("a float for a number", "not-canonical", Strike, |f| f.says(f.body().with("seq", Raw(vec![0xfb, 0x40, 0x08, 0, 0, 0, 0, 0, 0])))),
    row("a NaN", "not-canonical", Strike, |f| f.says(f.body().with("seq", Raw(vec![0xf9, 0x7e, 0x00])))),
    row("a null", "not-canonical", Strike, |f| f.says(f.body().with("payload", Raw(vec![0xf6])))),
    row("a tag", "not-canonical", Strike, |f| [vec![0xd9, 0xd9, 0xf7], f.sound()].concat()),
    row("text that is no UTF-8", "not-canonical", Strike, |f| f.says(f.body().with("domain", Raw(vec![0x62, 0xc3, 0x28])))),
    row("a list of 17 levels", "not-canonical", Strike, |_| [vec![0x81; 17], vec![0]].concat()),
    row("a list of 60,000 levels", "not-canonical", Strike, |_| vec![0x81; 60_000]),
    row("a map of 60,000 levels", "not-canonical", Strike, |_| [0xa1, 0x60].repeat(30_000)),
    row("2^64 - 1 bytes declared", "not-canonical", Strike, |_| [vec![0x82, 0x5b], vec![0xff; 8]].concat()),
    row("2^64 - 1 elements declared", "not-canonical", Strike, |_| [vec![0x9b], vec![0xff; 8]].concat()),
    row("2^32 - 1 entries declared", "not-canonical", Strike, |_| [vec![0xba], vec![0xff; 4]].concat()),
    row("one byte too long", "too-long", Strike, |f| f.of_length(65_537)),
    row("a list of three", "shape", Strike, |f| Array(vec![Bytes(f.body().encode()), Bytes(vec![0; 64]), Uint(0)]).encode()),
    row("a list of one", "shape", Strike, |f| Array(vec![Bytes(f.body().encode())]).encode()),
    row("a map for the list", "shape", Strike, |f| Map(vec![("0", Bytes(f.body().encode())), ("1", Bytes(vec![0; 64]))]).encode()),
    row("a number for the envelope", "shape", Strike, |_| Uint(7).encode()),
    row("a signature of 63 bytes", "signature-length", Strike, |f| envelope(&f.body(), &[0; 63])),
    row("a signature of 65 bytes", "signature-length", Strike, |f| envelope(&f.body(), &[0; 65])),
    row("no signature", "signature-length", Strike, |f| envelope(&f.body(), &[])),

    // What stands in the body.
    row("a body that is a list", "shape", Strike, |f| f.says(Array(vec![Uint(1)]))),
    row("another domain", "domain", Strike, |f| f.says(f.body().with("domain", Text("seedpod-successor")))),
    row("an empty domain", "domain", Strike, |f| f.says(f.body().with("domain", Text("")))),
    row("no seq", "shape", Strike, |f| f.says(f.without("seq"))),
    row("no author", "shape", Strike, |f| f.says(f.without("author"))),
    row("a key more", "shape", Strike, |f| f.says(f.plus("version2", Uint(1)))),
    row("seq of 2^53", "sequence", Strike, |f| f.says(f.body().with("seq", Uint(1 << 53)))),
    row("seq of 2^64 - 1", "sequence", Strike, |f| f.says(f.body().with("seq", Uint(u64::MAX)))),
    row("a negative seq", "shape", Strike, |f| f.says(f.body().with("seq", Negative(4)))),
    row("an epoch of 2^32", "shape", Strike, |f| f.says(f.body().with("epoch", epoch(1 << 32, &[1; 8])))),
    row("a negative epoch", "shape", Strike, |f| f.says(f.body().with("epoch", Array(vec![Negative(0), Bytes(vec![1; 8])])))),
    row("an epoch's tag of 7 bytes", "shape", Strike, |f| f.says(f.body().with("epoch", epoch(6, &[1; 7])))),
    row("an epoch of three parts", "shape", Strike, |f| f.says(f.body().with("epoch", Array(vec![Uint(6), Bytes(vec![1; 8]), Uint(0)])))),
    row("kind 0", "kind", Strike, |f| f.says(f.body().with("kind", Uint(0)))),
    row("kind 65,536", "shape", Strike, |f| f.says(f.body().with("kind", Uint(65_536)))),
    row("state 0", "shape", Strike, |f| f.says(f.body().with("state", Uint(0)))),
    row("state 4", "shape", Strike, |f| f.says(f.body().with("state", Uint(4)))),
    row("an author of 31 bytes", "shape", Strike, |f| f.says(f.body().with("author", Bytes(vec![7; 31])))),
    row("an author of small order", "shape", Strike, |f| f.says(f.body().with("author", Bytes(small_order())))),
    row("an author in a second form", "shape", Strike, |f| f.says(f.body().with("author", Bytes(non_canonical())))),
    row("an author that is no point", "shape", Strike, |f| f.says(f.body().with("author", Bytes([vec![2], vec![0; 31]].concat())))),
    row("an object of 33 bytes", "shape", Strike, |f| f.says(f.body().with("object", Bytes(vec![1; 33])))),
    row("text for the payload", "shape", Strike, |f| f.says(f.body().with("payload", Text("payload")))),
    row("live without a payload", "empty-live", Strike, |f| f.says(f.body().with("payload", Bytes(vec![])))),

    // What stands in the payload: signed by its author, and against the rules of its kind.
    row("a payload that is a list", "payload-encoding", Strike, |f| f.live(1, &[], Array(vec![]))),
    row("a payload that is noise", "payload-encoding", Strike, |f| f.live(1, &[], Raw(vec![0xff; 20]))),
    row("a payload without its version", "payload-encoding", Strike, |f| f.live(1, &[], Map(f.profile().entries()[1..].to_vec()))),
    row("a float in the payload", "payload-encoding", Strike, |f| f.live(1, &[], f.profile().with("v", Raw(vec![0xf9, 0x3c, 0x00])))),
    row("a bomb of depth in the payload", "payload-encoding", Strike, |f| f.live(1, &[], f.profile().with("name", Raw(vec![0x81; 40_000])))),
    row("a name that is a number", "payload-encoding", Strike, |f| f.live(1, &[], f.profile().with("name", Uint(1)))),
    row("a name that is no UTF-8", "payload-encoding", Strike, |f| f.live(1, &[], f.profile().with("name", Raw(vec![0x62, 0xff, 0xfe])))),
    row("an empty name", "payload-limit", Strike, |f| f.live(1, &[], f.profile().with("name", Text("")))),
    row("a name of 121 characters", "payload-limit", Strike, |f| f.live(1, &[], f.profile().with("name", Text(concat_120())))),
    row("a name of two lines", "payload-limit", Strike, |f| f.live(1, &[], f.profile().with("name", Text("two\nlines")))),
    row("an escape sequence in a description", "payload-limit", Strike, |f| f.live(1, &[], f.profile().with("description", Text("\u{1b}[2J")))),
    row("a script for a URL", "payload-limit", Strike, |f| f.live(1, &[], f.profile().with("url", Text("javascript:alert(1)")))),
    row("a URL with a path", "payload-limit", Strike, |f| f.live(1, &[], f.profile().with("url", Text("http://pod.example/../x")))),
    row("a path for a channel's handle", "payload-limit", Strike, |f| f.own_channel(f.channel().with("name", Text("../../identity")))),
    row("a user's handle with a quote", "payload-limit", Strike, |f| f.own_channel(f.channel().with("owner", Text("a\"b")))),
    row("a path for a file's extension", "payload-limit", Strike, |f| f.own_video(f.video_with_file("extension", Text("/../mp4")))),
    row("a file of no bytes", "payload-limit", Strike, |f| f.own_video(f.video_with_file("size", Uint(0)))),
    row("a file of negative size", "payload-encoding", Strike, |f| f.own_video(f.video_with_file("size", Negative(9)))),
    row("a file of 2^53 bytes", "payload-limit", Strike, |f| f.own_video(f.video_with_file("size", Uint(1 << 53)))),
    row("pieces of one byte", "payload-limit", Strike, |f| f.own_video(f.video_with_file("piece_length", Uint(1)))),
    row("two files of one resolution", "payload-limit", Strike, |f| f.own_video(f.video().with("files", Array(vec![f.file(), f.file()])))),
    row("a video without files", "payload-limit", Strike, |f| f.own_video(f.video().with("files", Array(vec![])))),
    row("six tags", "payload-limit", Strike, |f| f.own_video(f.video().with("tags", Array(vec![Text("tag"); 6])))),
    row("a private video", "payload-encoding", Strike, |f| f.own_video(f.video().with("privacy", Uint(3)))),
    row("a profile about something", "object", Strike, |f| f.live(1, &[1], f.profile())),
    row("a video id that is no id", "object", Strike, |f| f.live(3, &[0; 16], f.video())),
    row("a removal of a video id of 3 bytes", "object", Strike, |f| f.says(f.removal(3, &[1, 2, 3]))),
    row("a friendship with itself", "object", Strike, |f| f.live(4, f.key.id().as_bytes(), f.friendship(&f.key.id()))),
    row("a friendship with another than it says", "object", Strike, |f| f.live(4, f.third.as_bytes(), f.friendship(&f.victim))),

    // Who signs, and what is said about keys.
    row("a later key named, and the first one signs", "signature", FORGED, |f| f.says(f.by(&f.later()))),
    row("a pin for a third pod", "signature", FORGED, |f| f.says(f.pin(0).with("author", pod(&f.third)).with("signer", pod(&f.third)))),
    row("a succession that the next key did not agree to", "proof", FORGED, |f| f.says(f.succession(&f.key.id(), [9; 64]))),
    row("a succession agreed to for another pod", "proof", FORGED, |f| f.says(f.succession(&f.third, f.agreed(&f.victim)))),
    row("version 1 with a signer", "shape", Strike, |f| f.signs_by(&f.later(), f.by(&f.later()).with("version", Uint(1)))),
    row("a signer of small order", "shape", Strike, |f| f.says(f.by(&f.later()).with("signer", Bytes(small_order())))),
    row("a signer of 31 bytes", "shape", Strike, |f| f.says(f.by(&f.later()).with("signer", Bytes(vec![7; 31])))),
    row("the first key named as the signer", "signer", Strike, |f| f.says(f.by(f.key))),
    row("a card by a later key", "signer", Strike, |f| f.signs_by(&f.later(), f.by(&f.later()).with("kind", Uint(100)))),
    row("a succession taken back", "signer", Strike, |f| f.says(f.succession(&f.key.id(), f.agreed(&f.key.id())).with("state", Uint(3)))),
    row("a pin by a later key", "signer", Strike, |f| f.signs_by(&f.later(), f.pin(0).with("signer", pod(&f.later().public())))),
    row("a pin under a stamp", "payload-limit", Strike, |f| f.says(f.pin(7))),
    row("a revocation up to 2^53", "payload-limit", Strike, |f| f.signs_by(&f.later(), f.revocation(&f.key.id(), 1 << 53))),
    row("a pin of another hash than it says", "object", Strike, |f| f.says(f.pin(0).with("object", Bytes(vec![8; 32])))),
    row("a pin about nothing", "object", Strike, |f| f.says(f.pin(0).with("object", Bytes(vec![])))),
    row("a pin that is noise", "payload-encoding", Strike, |f| f.says(f.pin(0).with("payload", Bytes(vec![0xff])))),

    // Comments: the rules of their kinds are read by those who know them, signatures by all.
    row("a comment in a third pod's name", "signature", FORGED, |f| f.changed_to(5, f.comment(), "author", pod(&f.third))),
    row("a comment changed after signing", "signature", FORGED, |f| f.changed_to(5, f.comment(), "payload", Bytes(f.comment().with("text", Text("Another")).encode()))),
    row("a hide in a third pod's name", "signature", FORGED, |f| f.changed_to(6, f.hide(), "author", pod(&f.third))),
    row("a comment removed in a third pod's name", "signature", FORGED, |f| envelope(&f.removal(5, &uuid(5)).with("author", pod(&f.third)), &[7; 64])),
    row("a live comment without a payload", "empty-live", Strike, |f| f.says(f.removal(5, &uuid(5)).with("state", Uint(1)))),

    // What is no fault of whoever hands it on.
    row("a stranger's record", "author", Ignore, |f| f.strangers()),
    row("a stranger's record, broken", "author", Ignore, |f| turned(f.strangers(), -1)),
    row("an envelope of a later version", "version", Ignore, |f| f.says(f.plus("signer", Bytes(vec![1; 32])).with("version", Uint(3)))),
    row("version 2 without a signer", "version", Ignore, |f| f.says(f.body().with("version", Uint(2)))),
    row("a record by a key that nobody listed", "stale", UNLISTED, |f| f.signs_by(&f.later(), f.by(&f.later()))),
    row("a third pod's record by a key of one's own", "stale", UNLISTED, |f| f.says(f.by(f.key).with("author", pod(&f.third)))),
    row("the succession of a third pod to a key of one's own", "stale", UNLISTED, |f| f.says(f.succession(&f.third, f.agreed(&f.third)))),
    row("a revocation by a key that nobody pinned", "stale", UNLISTED, |f| f.signs_by(&f.later(), f.revocation(&f.key.id(), 0))),
    row("a revocation of a third pod's key", "stale", UNLISTED, |f| f.says(f.revocation(&f.third, 0).with("author", pod(&f.third)).with("signer", pod(&f.key.id())))),
    row("a card among records", "place", Ignore, |f| f.live(100, &[], f.card())),
    row("a report among records", "place", Ignore, |f| f.live(102, f.thirds_video.as_bytes(), Raw(vec![0xa0]))),
    row("news of an unknown kind among records", "place", Ignore, |f| f.live(101, &[], Raw(vec![0xa0]))),

    // What was true once.
    row("the same record again", "stale", STALE, |f| f.profile_at(f.profile(), EPOCH.counter, 10)),
    row("an older record", "stale", STALE, |f| f.profile_at(f.profile().with("name", Text("Older")), EPOCH.counter, 9)),
    row("a later record of an older epoch", "stale", STALE, |f| f.profile_at(f.profile().with("name", Text("Older")), EPOCH.counter - 1, 99_999)),
    row("live after its removal", "stale", STALE, |f| f.own_channel(f.channel())),
    row("withdrawn after its removal", "stale", STALE, |f| f.says(f.removal(2, f.channel_id().as_bytes()).with("state", Uint(2)))),
    row("a third pod's record again", "stale", STALE, |f| f.thirds_record.clone()),
];

/// What an attacker forges with.
pub(super) struct Forger<'a> {
    pub(super) key: &'a PodKey,
    pub(super) victim: PodId,
    /// A friend of the victim.
    pub(super) third: PodId,
    pub(super) thirds_video: VideoId,
    /// A record of its that the victim holds.
    pub(super) thirds_record: Vec<u8>,
}

impl Forger<'_> {
    /// What the victim holds of the attacker before it begins: a profile, and a channel that was removed.
    pub(super) fn past(&self) -> Vec<Vec<u8>> {
        let removal = self.removal(2, self.channel_id().as_bytes());
        vec![
            self.profile_at(self.profile(), EPOCH.counter, 10),
            self.says(removal.with("seq", Uint(11))),
        ]
    }

    /// A body that would be taken: the profile, newer than what is held.
    fn body(&self) -> Item {
        Map(vec![
            ("seq", Uint(1_000)),
            ("kind", Uint(1)),
            ("epoch", epoch(u64::from(EPOCH.counter), &EPOCH.tag)),
            ("state", Uint(1)),
            ("author", pod(&self.key.id())),
            ("domain", Text("seedpod-envelope")),
            ("object", Bytes(vec![])),
            (
                "payload",
                Bytes(self.profile().with("name", Text("Taken in")).encode()),
            ),
            ("version", Uint(1)),
        ])
    }

    fn sound(&self) -> Vec<u8> {
        self.says(self.body())
    }

    fn signs(&self, body: Vec<u8>) -> Vec<u8> {
        let signature = self.key.sign(&body);
        Array(vec![Bytes(body), Bytes(signature.to_vec())]).encode()
    }

    fn says(&self, body: Item) -> Vec<u8> {
        self.signs(body.encode())
    }

    fn live(&self, kind: u64, object: &[u8], payload: Item) -> Vec<u8> {
        let body = self.body().with("kind", Uint(kind));
        let body = body.with("object", Bytes(object.to_vec()));
        self.says(body.with("payload", Bytes(payload.encode())))
    }

    /// Another key of the attacker's pod.
    fn later(&self) -> PodKey {
        PodKey::of_pod(self.key.id(), &[0x1a; 32])
    }

    /// A body that would be taken if this key counted.
    fn by(&self, key: &PodKey) -> Item {
        self.plus("signer", pod(&key.public())).with("version", Uint(2))
    }

    fn signs_by(&self, key: &PodKey, body: Item) -> Vec<u8> {
        let body = body.encode();
        let signature = key.sign(&body);
        Array(vec![Bytes(body), Bytes(signature.to_vec())]).encode()
    }

    /// A statement by the attacker's first key.
    fn statement(&self, kind: u64, object: &[u8], payload: Item) -> Item {
        let body = self.by(self.key).with("kind", Uint(kind));
        let body = body.with("object", Bytes(object.to_vec()));
        body.with("payload", Bytes(payload.encode()))
    }

    fn pin(&self, seq: u64) -> Item {
        let payload = Map(vec![("v", Uint(1)), ("hash", Bytes(vec![7; 32]))]);
        let pin = self.statement(10, &[7; 32], payload);
        pin.with("epoch", epoch(0, &[0; 8])).with("seq", Uint(seq))
    }

    /// A later key's signature to follow the attacker's in the name of a pod.
    fn agreed(&self, author: &PodId) -> [u8; 64] {
        let (now, later) = (self.key.id(), self.later());
        let next = later.public();
        let signed = [
            b"seedpod-successor-v1\0".as_slice(),
            author.as_bytes(),
            now.as_bytes(),
            next.as_bytes(),
        ];
        later.sign(&signed.concat())
    }

    fn succession(&self, author: &PodId, proof: [u8; 64]) -> Item {
        let next = self.later().public();
        let payload = Map(vec![
            ("v", Uint(1)),
            ("next", pod(&next)),
            ("proof", Bytes(proof.to_vec())),
        ]);
        self.statement(11, next.as_bytes(), payload)
            .with("author", pod(author))
    }

    /// By a later key, which nobody pinned.
    fn revocation(&self, key: &PodId, last: u64) -> Item {
        let last = Map(vec![("seq", Uint(last)), ("epoch", epoch(0, &[0; 8]))]);
        let payload = Map(vec![("v", Uint(1)), ("key", pod(key)), ("last", last)]);
        let revocation = self.statement(12, key.as_bytes(), payload);
        let revocation = revocation.with("signer", pod(&self.later().public()));
        revocation.with("epoch", epoch(0, &[0; 8])).with("seq", Uint(0))
    }

    fn removal(&self, kind: u64, object: &[u8]) -> Item {
        let body = self.body().with("kind", Uint(kind)).with("state", Uint(3));
        body.with("object", Bytes(object.to_vec()))
            .with("payload", Bytes(vec![]))
    }

    fn profile_at(&self, profile: Item, counter: u32, seq: u64) -> Vec<u8> {
        let body = self
            .body()
            .with("payload", Bytes(profile.encode()))
            .with("seq", Uint(seq));
        self.says(body.with("epoch", epoch(u64::from(counter), &EPOCH.tag)))
    }

    /// A body signed, and then another value put in.
    fn changed(&self, key: &str, value: Item) -> Vec<u8> {
        let signature = self.key.sign(&self.body().encode());
        envelope(&self.body().with(key, value), &signature)
    }

    /// A body about something of a kind, signed, and then another value put in.
    fn changed_to(&self, kind: u64, payload: Item, key: &str, value: Item) -> Vec<u8> {
        let body = self.body().with("kind", Uint(kind));
        let body = body.with("object", Bytes(uuid(5).to_vec()));
        let body = body.with("payload", Bytes(payload.encode()));
        let signature = self.key.sign(&body.encode());
        envelope(&body.with(key, value), &signature)
    }

    fn with_signature(&self, change: fn([u8; 64]) -> [u8; 64]) -> Vec<u8> {
        envelope(&self.body(), &change(self.key.sign(&self.body().encode())))
    }

    fn signed_otherwise(&self, prefix: &[u8]) -> Vec<u8> {
        let body = self.body().encode();
        envelope(&self.body(), &self.key.sign(&[prefix, &body].concat()))
    }

    fn signed_payload(&self) -> Vec<u8> {
        let Bytes(payload) = self.body().at("payload").clone() else {
            unreachable!("a payload is bytes")
        };
        envelope(&self.body(), &self.key.sign(&payload))
    }

    /// The body as a byte string of two pieces.
    fn in_pieces(&self) -> Vec<u8> {
        let body = self.body().encode();
        let signature = Bytes(self.key.sign(&body).to_vec()).encode();
        let (first, second) = body.split_at(20);
        let pieces = [Bytes(first.to_vec()).encode(), Bytes(second.to_vec()).encode()].concat();
        [vec![0x82, 0x5f], pieces, vec![0xff], signature].concat()
    }

    fn twice(&self, key: &'static str) -> Item {
        let mut body = self.body();
        body.entries().insert(1, (key, Uint(1_001)));
        body
    }

    fn swapped(&self) -> Item {
        let mut body = self.body();
        body.entries().swap(0, 1);
        body
    }

    fn without(&self, key: &str) -> Item {
        let mut body = self.body();
        body.entries().retain(|(held, _)| *held != key);
        body
    }

    /// With a key more, in its place.
    fn plus(&self, key: &'static str, value: Item) -> Item {
        let mut body = self.body();
        body.entries().push((key, value));
        body.entries().sort_by_key(|(key, _)| Text(key).encode());
        body
    }

    fn of_length(&self, length: usize) -> Vec<u8> {
        let kind = self.body().with("kind", Uint(99));
        let with = |padding: usize| self.says(kind.clone().with("payload", Bytes(vec![0x41; padding])));
        let longer = with(60_000).len() - 60_000;
        with(length - longer)
    }

    fn strangers(&self) -> Vec<u8> {
        let stranger = PodKey::from_seed(&[0x77; 32]);
        let profile = Profile {
            name: "A stranger".to_owned(),
            description: String::new(),
            email: None,
            url: "http://localhost:2".to_owned(),
            udp: None,
        };
        let stamp = Stamp {
            epoch: Epoch {
                counter: 1,
                // Another one for each attacker, so that gossip takes it for another message.
                tag: self.key.id().as_bytes()[..8].try_into().unwrap_or_default(),
            },
            seq: 1,
        };
        let signed =
            Draft::live(&stranger.id(), profile.into()).and_then(|draft| draft.sign(&stranger, stamp));
        signed.map(|record| record.bytes().to_vec()).unwrap_or_default()
    }

    fn profile(&self) -> Item {
        Map(vec![
            ("v", Uint(1)),
            ("url", Text("http://localhost:1")),
            ("name", Text("An attacker")),
            ("description", Text("")),
        ])
    }

    fn card(&self) -> Item {
        Map(vec![
            ("v", Uint(1)),
            ("url", Text("http://localhost:1")),
            ("name", Text("An attacker")),
            ("version", Text("")),
            ("addresses", Array(vec![])),
        ])
    }

    fn friendship(&self, with: &PodId) -> Item {
        Map(vec![
            ("v", Uint(1)),
            ("host", Text("localhost:1")),
            ("with", pod(with)),
            ("since", Uint(0)),
            ("addresses", Array(vec![])),
        ])
    }

    fn comment(&self) -> Item {
        Map(vec![
            ("v", Uint(1)),
            ("text", Text("A comment")),
            ("nonce", Bytes(vec![6; 16])),
            ("owner", Text("root")),
            ("video", Bytes(self.thirds_video.as_bytes().to_vec())),
            ("origin", pod(&self.third)),
            ("created_at", Uint(0)),
            ("updated_at", Uint(0)),
        ])
    }

    fn hide(&self) -> Item {
        Map(vec![
            ("v", Uint(1)),
            ("video", Bytes(self.thirds_video.as_bytes().to_vec())),
            ("comment", Bytes(uuid(5).to_vec())),
        ])
    }

    fn channel_id(&self) -> ChannelId {
        ChannelId::derive(&self.key.id(), &[9; 16])
    }

    fn channel(&self) -> Item {
        Map(vec![
            ("v", Uint(1)),
            ("name", Text("channel")),
            ("nonce", Bytes(vec![9; 16])),
            ("owner", Text("root")),
            ("created_at", Uint(0)),
            ("description", Text("")),
            ("display_name", Text("A channel")),
        ])
    }

    fn own_channel(&self, channel: Item) -> Vec<u8> {
        self.live(2, self.channel_id().as_bytes(), channel)
    }

    fn video(&self) -> Item {
        Map(vec![
            ("v", Uint(1)),
            ("name", Text("A video")),
            ("nsfw", Raw(vec![0xf4])),
            ("tags", Array(vec![])),
            ("files", Array(vec![self.file()])),
            ("nonce", Bytes(vec![4; 16])),
            ("owner", Text("root")),
            ("channel", Bytes(self.channel_id().as_bytes().to_vec())),
            ("privacy", Uint(1)),
            ("duration", Uint(9)),
            ("created_at", Uint(0)),
            ("updated_at", Uint(0)),
            ("published_at", Uint(0)),
            ("comments_enabled", Raw(vec![0xf5])),
            ("download_enabled", Raw(vec![0xf5])),
        ])
    }

    fn file(&self) -> Item {
        Map(vec![
            ("fps", Uint(25)),
            ("size", Uint(1_000)),
            ("width", Uint(320)),
            ("height", Uint(240)),
            ("extension", Text("mp4")),
            ("info_hash", Bytes(vec![5; 20])),
            ("resolution", Uint(240)),
            ("piece_length", Uint(16_384)),
        ])
    }

    fn video_with_file(&self, key: &str, value: Item) -> Item {
        self.video()
            .with("files", Array(vec![self.file().with(key, value)]))
    }

    fn own_video(&self, video: Item) -> Vec<u8> {
        self.live(3, VideoId::derive(&self.key.id(), &[4; 16]).as_bytes(), video)
    }
}

fn envelope(body: &Item, signature: &[u8]) -> Vec<u8> {
    Array(vec![Bytes(body.encode()), Bytes(signature.to_vec())]).encode()
}

fn epoch(counter: u64, tag: &[u8]) -> Item {
    Array(vec![Uint(counter), Bytes(tag.to_vec())])
}

fn pod(id: &PodId) -> Item {
    Bytes(id.as_bytes().to_vec())
}

/// One bit turned, at a place counted from the end.
fn turned(mut bytes: Vec<u8>, at: isize) -> Vec<u8> {
    let place = bytes.len().checked_add_signed(at);
    if let Some(byte) = place.and_then(|place| bytes.get_mut(place)) {
        *byte ^= 1;
    }
    bytes
}

fn half(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() / 2);
    bytes
}

fn indefinite(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[0] = 0x9f;
    bytes.push(0xff);
    bytes
}

fn indefinite_map(body: Item) -> Vec<u8> {
    let mut bytes = body.encode();
    bytes[0] = 0xbf;
    bytes.push(0xff);
    bytes
}

fn uuid(byte: u8) -> [u8; 16] {
    let mut bytes = [byte; 16];
    bytes[6] = 0x80 | byte & 0x0f;
    bytes[8] = 0x80 | byte & 0x3f;
    bytes
}

/// The order of the group, lowest byte first.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The same signature with the order added to S: right for whoever reduces it.
fn s_plus_order(mut signature: [u8; 64]) -> [u8; 64] {
    let mut carry = 0_u16;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = ((sum & 0xff) as u8, sum >> 8);
    }
    signature
}

fn small_r(mut signature: [u8; 64]) -> [u8; 64] {
    signature[..32].copy_from_slice(&small_order());
    signature
}

/// The neutral element.
fn small_order() -> Vec<u8> {
    [vec![1], vec![0; 31]].concat()
}

/// The neutral element with p added to its y.
fn non_canonical() -> Vec<u8> {
    [vec![0xee], vec![0xff; 30], vec![0x7f]].concat()
}

fn concat_120() -> &'static str {
    concat!(
        "1234567890123456789012345678901234567890",
        "1234567890123456789012345678901234567890",
        "1234567890123456789012345678901234567890",
        "1"
    )
}
