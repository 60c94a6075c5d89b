//! The targets. What is taken is written again and read again: two readers of the same bytes must understand the same.

use std::io::Cursor;

use seedpod_actors::library::media;
use seedpod_actors::swarm::{Admitted, Topic, introduce, validate};
use seedpod_protocol::bencode::Reader;
use seedpod_protocol::codec;
use seedpod_protocol::digest::Trie;
use seedpod_protocol::envelope::{Draft, Envelope, Epoch, Kind, RegisterKey, Stamp, State};
use seedpod_protocol::ids::{ChannelId, ContentHash, InfoHash, ObjectId, PodId, Timestamp, VideoId};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::magnet::Magnet;
use seedpod_protocol::metainfo::{Info, Metainfo};
use seedpod_protocol::records::{Comment, Record};
use seedpod_protocol::requests::{Request, Response};
use seedpod_protocol::stun::{self, BindingRequest};
use seedpod_protocol::succession::Succession;
use seedpod_protocol::tracker::http::{HttpAnnounce, MAX_QUERY_LEN, parse_scrape};
use seedpod_protocol::tracker::udp::Request as UdpRequest;
use seedpod_protocol::tracker::{ClientMessage, MAX_SCRAPED};

/// The author of what is signed here.
pub(crate) fn author() -> PodKey {
    PodKey::from_seed(&[1; 32])
}

pub(crate) fn cbor(bytes: &[u8]) {
    // Twice the same answer, and no more taken than allowed.
    let checked = codec::check(bytes, 4096);
    assert_eq!(checked, codec::check(bytes, 4096));
    if checked.is_ok() {
        assert!(bytes.len() <= 4096);
        assert!(codec::check(&[bytes, &[0]].concat(), 1 << 20).is_err());
    }
}

pub(crate) fn envelope(bytes: &[u8]) {
    let Ok(envelope) = Envelope::decode(bytes) else {
        return;
    };
    assert_eq!(&envelope.bytes()[..], bytes);
    let header = *envelope.header();
    // Without the check of the signature, which no fuzzer passes.
    if let Ok(record) = envelope.reopen() {
        assert_eq!(&record.bytes()[..], bytes);
        assert_eq!(record.hash(), ContentHash::of(bytes));
        assert!(record.payload().validate().is_ok());
        if let Some(object) = record.payload().object(&header.author) {
            assert_eq!(object, header.object);
        }
    }
}

/// Payloads of known kinds, soundly signed: the first byte says the kind, the second the state.
pub(crate) fn payload(bytes: &[u8]) {
    let [kind, state, payload @ ..] = bytes else {
        return;
    };
    let author = author();
    let kinds = [
        Kind::PROFILE,
        Kind::CHANNEL,
        Kind::VIDEO,
        Kind::FRIENDSHIP,
        Kind::CARD,
        Kind::HINT,
        Kind::COMMENT,
        Kind::HIDE,
        Kind::REPORT,
    ];
    let kind = kinds[usize::from(*kind) % kinds.len()];
    let object = match kind {
        Kind::CHANNEL => ChannelId::derive(&author.id(), &[3; 16]).into(),
        Kind::VIDEO => VideoId::derive(&author.id(), &[4; 16]).into(),
        Kind::FRIENDSHIP => PodKey::from_seed(&[2; 32]).id().into(),
        Kind::COMMENT => commented().id(&author.id()).into(),
        Kind::HIDE | Kind::REPORT => commented().video.into(),
        _ => ObjectId::EMPTY,
    };
    let draft = Draft {
        kind,
        object,
        state: [State::Live, State::Withdrawn, State::Removed][usize::from(*state) % 3],
        payload: Record::Opaque(payload.to_vec()),
    };
    let stamp = Stamp {
        epoch: Epoch {
            counter: 1,
            tag: [0; 8],
        },
        seq: 1,
    };
    if let Ok(record) = draft.sign(&author, stamp) {
        assert!(record.payload().validate().is_ok());
        // What was understood can be said again.
        let again = Draft::from(&record).sign(&author, stamp);
        assert_eq!(
            again.map(|again| again.payload().clone()).as_ref(),
            Ok(record.payload())
        );
    }
}

/// The comment whose id a payload may be under.
pub(crate) fn commented() -> Comment {
    let origin = PodKey::from_seed(&[2; 32]).id();
    Comment {
        nonce: [6; 16],
        video: VideoId::derive(&origin, &[4; 16]),
        origin,
        reply: None,
        owner: "root".to_owned(),
        display_name: None,
        text: "Seen".to_owned(),
        created_at: Timestamp::EPOCH,
        updated_at: Timestamp::EPOCH,
    }
}

pub(crate) fn door(bytes: &[u8]) {
    let author = author().id();
    let admitted = Admitted::new(PodKey::from_seed(&[2; 32]).id(), [author]);
    for topic in Topic::ALL {
        match validate(bytes, topic, &admitted) {
            Ok(record) => assert!(admitted.admits(&record.header().author)),
            Err(refusal) => assert!(refusal.blames() || refusal.ban().is_none(), "{refusal}"),
        }
    }
    if let Ok(record) = introduce(bytes, &author, &Succession::new(author)) {
        assert_eq!(record.header().author, author);
    }
}

pub(crate) fn request(bytes: &[u8]) {
    if let Ok(request) = Request::decode(bytes) {
        let again = request.encode().map(|bytes| Request::decode(&bytes));
        assert_eq!(again, Ok(Ok(request)));
    }
}

pub(crate) fn response(bytes: &[u8]) {
    if let Ok(response) = Response::decode(bytes) {
        let again = response.encode().map(|bytes| Response::decode(&bytes));
        assert_eq!(again, Ok(Ok(response)));
    }
}

pub(crate) fn bencode(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    if let Ok(raw) = reader.raw() {
        assert_eq!([raw, reader.rest()].concat(), bytes);
    }
}

pub(crate) fn metainfo(bytes: &[u8]) {
    if let Ok(torrent) = Metainfo::decode(bytes) {
        let again = Metainfo::decode(&torrent.encode());
        assert_eq!(
            again.map(|again| again.info_hash()).ok(),
            Some(torrent.info_hash())
        );
    }
    if let Ok(info) = Info::decode(bytes) {
        assert!(!info.name().contains('/'), "a name is no path: {}", info.name());
        assert_eq!(Info::decode(&info.encode()).ok().as_ref(), Some(&info));
    }
}

pub(crate) fn magnet(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(magnet) = text.parse::<Magnet>() {
        assert_eq!(magnet.to_string().parse::<Magnet>().ok().as_ref(), Some(&magnet));
    }
}

pub(crate) fn tracker(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(message) = ClientMessage::parse(text) {
        let said = message.to_text();
        let again = ClientMessage::parse(&said).map(|again| again.to_text());
        assert_eq!(again.as_deref(), Ok(said.as_str()));
    }
}

/// Queries of announces and of scrapes, which are the same bytes to a stranger.
pub(crate) fn tracker_http(bytes: &[u8]) {
    if let Ok(announce) = HttpAnnounce::parse(bytes) {
        assert!(bytes.len() <= MAX_QUERY_LEN);
        assert_eq!(HttpAnnounce::parse(bytes), Ok(announce));
        // What follows and is not known changes nothing.
        let more = [bytes, b"&ip=192.0.2.1&key=x"].concat();
        if more.len() <= MAX_QUERY_LEN {
            assert_eq!(HttpAnnounce::parse(&more), Ok(announce));
        }
    }
    if let Ok(info_hashes) = parse_scrape(bytes) {
        assert!((1..=MAX_SCRAPED).contains(&info_hashes.len()));
    }
}

pub(crate) fn tracker_udp(bytes: &[u8]) {
    if let Ok(request) = UdpRequest::decode(bytes) {
        assert_eq!(UdpRequest::decode(&request.encode()), Ok(request));
    }
}

pub(crate) fn stun(bytes: &[u8]) {
    let Some(request) = BindingRequest::decode(bytes) else {
        return;
    };
    assert!(stun::is_stun(bytes));
    let mut out = Vec::new();
    for address in ["192.0.2.1:1", "[2001:db8::1]:65535"] {
        let address = address.parse().expect("an address");
        request.encode(request.answer(address), &mut out);
        assert!(out.len() <= stun::HEADER_LEN + stun::MAX_GROWTH);
        assert_eq!(out[4..20], bytes[4..20], "cookie and transaction come back");
    }
}

pub(crate) fn ids(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(id) = text.parse::<PodId>() {
        assert_eq!(id.to_string().parse::<PodId>(), Ok(id));
    }
    if let Ok(id) = text.parse::<ObjectId>() {
        assert_eq!(id.to_string().parse::<ObjectId>(), Ok(id));
    }
    if let Ok(id) = text.parse::<VideoId>() {
        assert_eq!(id.to_string().parse::<VideoId>(), Ok(id));
        assert_eq!(id.short().parse::<VideoId>(), Ok(id));
    }
    if let Ok(id) = text.parse::<InfoHash>() {
        assert_eq!(id.to_string().parse::<InfoHash>(), Ok(id));
    }
}

/// MP4, WebM and Ogg: headers of files that people upload.
pub(crate) fn media(bytes: &[u8]) {
    if let Ok(probe) = media::read(Cursor::new(bytes)) {
        assert!(probe.seconds >= 0.0 && probe.seconds.is_finite());
        assert!(probe.width <= media::MAX_DIMENSION && probe.height <= media::MAX_DIMENSION);
        // Of any numbers: it must not panic.
        probe.duration();
        probe.whole_fps();
    }
}

/// Pairs of a register and a head, put in and taken out: the root is a function of what is held.
pub(crate) fn trie(bytes: &[u8]) {
    let mut trie = Trie::new();
    let mut held = std::collections::BTreeMap::new();
    for step in bytes.chunks_exact(4).take(256) {
        // Few different nibbles: long common prefixes.
        let mut key = [step[0] & 0x11; 32];
        key[usize::from(step[1]) % 32] = step[2];
        let key = RegisterKey::from_bytes(key);
        if step[3] & 1 == 0 {
            let head = ContentHash::of(step);
            assert_eq!(trie.insert(key, head), held.insert(key, head));
        } else {
            assert_eq!(trie.remove(&key), held.remove(&key));
        }
    }
    let mut rebuilt = Trie::new();
    for (key, head) in &held {
        rebuilt.insert(*key, *head);
    }
    assert_eq!((trie.root(), trie.len()), (rebuilt.root(), held.len()));
    trie.node(&bytes.iter().map(|byte| byte & 0x0f).take(64).collect::<Vec<_>>());
}
