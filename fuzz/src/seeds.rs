//! Small inputs that our own code makes: where a fuzzer begins.

use data_encoding::HEXLOWER;
use seedpod_protocol::codec;
use seedpod_protocol::ids::{CommentId, InfoHash};
use seedpod_protocol::metainfo::{Info, Metainfo, PieceHasher};
use seedpod_protocol::records::{Hide, Report};
use seedpod_protocol::tracker::udp::{Request as UdpRequest, UdpAnnounce};
use seedpod_protocol::tracker::{Event, PeerId};

/// One seed of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// The target's name.
    pub target: &'static str,
    /// Its own, good as the name of a file.
    pub name: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// All of them.
///
/// # Panics
/// Never: they are the same on every run, and the tests make them.
pub fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut add = |target, name: &str, bytes: &[u8]| {
        seeds.push(Seed {
            target,
            name: name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"),
            bytes: bytes.to_vec(),
        });
    };
    let records = vectors(include_str!("../../protocol/vectors/records.hex"));
    let keys = vectors(include_str!("../../protocol/vectors/keys.hex"));
    for (name, bytes) in records.chain(keys) {
        if name.contains("envelope") {
            add("envelope", name, &bytes);
            add("door", name, &bytes);
        } else if name.contains("body") {
            add("cbor", name, &bytes);
        }
    }
    for (name, bytes) in vectors(include_str!("../../protocol/vectors/refused.hex")) {
        if bytes.len() <= SMALL {
            add("envelope", name, &bytes);
            add("door", name, &bytes);
        }
    }
    for (name, bytes) in vectors(include_str!("../../protocol/vectors/requests.hex")) {
        let target = if name.starts_with("request") {
            "request"
        } else {
            "response"
        };
        add(target, name, &bytes);
    }
    for (name, bytes) in vectors(include_str!("../../protocol/vectors/swarms.hex")) {
        match name.split(' ').next() {
            Some("request") => add("request", name, &bytes),
            Some("response") => add("response", name, &bytes),
            _ if name.contains("envelope") => {
                add("envelope", name, &bytes);
                add("door", name, &bytes);
            }
            _ => {}
        }
    }
    for (kind, payload) in [
        "a4617601637572 6c 72687474703a2f2f6c6f63616c686f73743a31646e616d656161 6b6465736372697074696f6e60",
        "a1617602",
    ]
    .into_iter()
    .zip(0_u8..)
    .map(|(hex, kind)| (kind, HEXLOWER.decode(hex.replace(' ', "").as_bytes())))
    {
        let payload = payload.expect("hex digits in pairs");
        add(
            "payload",
            &format!("kind {kind}"),
            &[&[0, 0][..], &payload].concat(),
        );
    }
    for (kind, name, payload) in conversation() {
        add("payload", name, &[&[kind, 0][..], &payload].concat());
    }
    let torrent = torrent();
    add("metainfo", "torrent", &torrent.encode());
    add("metainfo", "info", torrent.info_bytes());
    add("bencode", "torrent", &torrent.encode());
    for (name, text) in [
        ("list", "l4:spami-3ee"),
        ("dict", "d1:ai1e1:bd1:c0:ee"),
        ("zero", "i0e"),
    ] {
        add("bencode", name, text.as_bytes());
    }
    let hash = InfoHash::from_bytes([7; 20]);
    let magnet = format!(
        "magnet:?xt=urn:btih:{hash}&dn=A+video%20here&tr=ws%3A%2F%2Flocalhost%2Ftracker%2Fsocket&ws=http%3A%2F%2Flocalhost%2Ff"
    );
    add("magnet", "whole", magnet.as_bytes());
    add(
        "magnet",
        "hash alone",
        format!("magnet:?xt=urn:btih:{hash}").as_bytes(),
    );
    let peer = "-WW0200-012345678901";
    let announce = format!(
        r#"{{"action":"announce","info_hash":"{peer}","peer_id":"{peer}","numwant":1,"uploaded":0,"downloaded":0,"left":1,"event":"started","offers":[{{"offer":{{"type":"offer","sdp":"v=0"}},"offer_id":"{peer}"}}]}}"#
    );
    add("tracker", "announce", announce.as_bytes());
    let answer = format!(
        r#"{{"action":"announce","info_hash":"{peer}","peer_id":"{peer}","to_peer_id":"{peer}","offer_id":"{peer}","answer":{{"type":"answer","sdp":"v=0"}}}}"#
    );
    add("tracker", "answer", answer.as_bytes());
    add(
        "tracker",
        "scrape",
        format!(r#"{{"action":"scrape","info_hash":["{peer}"]}}"#).as_bytes(),
    );
    let hash_bytes = "%07".repeat(20);
    let query = format!(
        "info_hash={hash_bytes}&peer_id={peer}&port=6881&uploaded=0&downloaded=0&left=9&compact=1&numwant=50&event=started"
    );
    add("tracker_http", "announce", query.as_bytes());
    add(
        "tracker_http",
        "scrape",
        format!("info_hash={hash_bytes}&info_hash={peer}").as_bytes(),
    );
    let transaction = *b"tran";
    let connection = *b"connect!";
    for (name, request) in [
        ("connect", UdpRequest::Connect { transaction }),
        (
            "scrape",
            UdpRequest::Scrape {
                connection,
                transaction,
                info_hashes: vec![hash, hash],
            },
        ),
        (
            "announce",
            UdpRequest::Announce {
                connection,
                transaction,
                announce: UdpAnnounce {
                    info_hash: hash,
                    peer_id: PeerId::from_bytes([b'p'; 20]),
                    left: 9,
                    event: Event::Started,
                    numwant: 50,
                    port: 6881,
                },
            },
        ),
    ] {
        add("tracker_udp", name, &request.encode());
    }
    let stun = b"\x21\x12\xa4\x42abcdefghijkl";
    add("stun", "bare", &[&[0, 1, 0, 0][..], stun].concat());
    add(
        "stun",
        "software",
        &[&[0, 1, 0, 8][..], stun, b"\x80\x22\0\x04test"].concat(),
    );
    add(
        "stun",
        "unknown",
        &[&[0, 1, 0, 4][..], stun, b"\0\x7e\0\0"].concat(),
    );
    let author = crate::targets::author().id();
    add("ids", "pod", author.to_string().as_bytes());
    add("ids", "video", b"5243cc68-099b-8e7e-86e9-08faa71479d1");
    add("ids", "short", b"babUfGVsdbb7nCSWa5bRZk");
    add("ids", "hash", hash.to_string().as_bytes());
    add(
        "trie",
        "two and one gone",
        &[0, 31, 1, 0, 0x11, 3, 4, 0, 0, 31, 1, 1],
    );
    add("media", "mp4", &mp4());
    add("media", "webm", &webm());
    add("media", "ogg", &ogg());
    seeds
}

/// Sound payloads of the later kinds, by their place in the target's list.
fn conversation() -> [(u8, &'static str, Vec<u8>); 3] {
    let comment = crate::targets::commented();
    let hide = Hide {
        // The target's ids are one for both kinds.
        comment: CommentId::try_from(&comment.video.as_bytes()[..]).expect("shaped alike"),
        video: comment.video,
    };
    let report = Report {
        origin: comment.origin,
        video: comment.video,
        comment: None,
        reporter: "root".to_owned(),
        reason: "Not so".to_owned(),
        reasons: vec![1, 2],
        created_at: comment.created_at,
    };
    [
        (6, "comment", versioned(&comment)),
        (7, "hide", versioned(&hide)),
        (8, "report", versioned(&report)),
    ]
}

/// A payload as a map with its version: one entry more, and keys of one letter stand first.
fn versioned(payload: &impl serde::Serialize) -> Vec<u8> {
    let bytes = codec::encode(payload);
    [&[bytes[0] + 1, 0x61, b'v', 1], &bytes[1..]].concat()
}

/// Above this a seed teaches a fuzzer nothing that it would not find.
const SMALL: usize = 4096;

/// Lines `name: hex` of a page of vectors.
fn vectors(page: &'static str) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let lines = page
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.filter_map(|line| {
        // Some values are text, and one is empty.
        let (name, hex) = line.rsplit_once(": ")?;
        Some((name, HEXLOWER.decode(hex.as_bytes()).ok()?))
    })
}

fn torrent() -> Metainfo {
    let mut hasher = PieceHasher::new(16 << 10);
    hasher.update(&[7; 20_000]);
    let info = Info::new("a-240.mp4".to_owned(), 20_000, 16 << 10, hasher.finish());
    let mut torrent = Metainfo::new(info.expect("sound"));
    torrent.announce_list = vec![vec!["ws://localhost/tracker/socket".to_owned()]];
    torrent.url_list = vec!["http://localhost/static/webseed/a-240.mp4".to_owned()];
    torrent
}

/// A box of an MP4 file.
fn mp4_box(name: &[u8; 4], content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let length = u32::try_from(content.len() + 8).expect("a small box");
    [&length.to_be_bytes()[..], name, &content].concat()
}

fn mp4() -> Vec<u8> {
    let zeros = [0_u8; 100];
    let entry = mp4_box(b"avc1", &[&zeros[..78]]);
    let stsd = mp4_box(b"stsd", &[&zeros[..4], &[0, 0, 0, 1], &entry]);
    let stts = mp4_box(b"stts", &[&zeros[..4], &[0, 0, 0, 1, 0, 0, 0, 50, 0, 0, 0, 40]]);
    let stbl = mp4_box(b"stbl", &[&stsd, &stts]);
    let minf = mp4_box(b"minf", &[&stbl]);
    let timed = [&zeros[..12], &[0, 0, 3, 0xe8, 0, 0, 7, 0xd0][..], &zeros[..80]].concat();
    let mdhd = mp4_box(b"mdhd", &[&timed[..24]]);
    let hdlr = mp4_box(b"hdlr", &[&zeros[..8], b"vide", &zeros[..13]]);
    let mdia = mp4_box(b"mdia", &[&mdhd, &hdlr, &minf]);
    let tkhd = mp4_box(b"tkhd", &[&zeros[..76], &[1, 64, 0, 0, 0, 240, 0, 0]]);
    let trak = mp4_box(b"trak", &[&tkhd, &mdia]);
    let mvhd = mp4_box(b"mvhd", &[&timed]);
    let moov = mp4_box(b"moov", &[&mvhd, &trak]);
    [mp4_box(b"ftyp", &[b"isom", &zeros[..4], b"isom"]), moov].concat()
}

/// An element of a WebM file with a length of one byte.
fn element(id: &[u8], content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let length = u16::try_from(content.len()).expect("a small element") | 0x4000;
    [id, &length.to_be_bytes(), &content].concat()
}

fn webm() -> Vec<u8> {
    let head = element(&[0x1a, 0x45, 0xdf, 0xa3], &[&element(&[0x42, 0x82], &[b"webm"])]);
    let scale = element(&[0x2a, 0xd7, 0xb1], &[&[0x0f, 0x42, 0x40]]);
    let duration = element(&[0x44, 0x89], &[&2000_f64.to_be_bytes()]);
    let info = element(&[0x15, 0x49, 0xa9, 0x66], &[&scale, &duration]);
    let size = [element(&[0xb0], &[&[1, 64]]), element(&[0xba], &[&[0, 240]])].concat();
    let video = element(&[0xe0], &[&size]);
    let entry = [element(&[0x83], &[&[1]]), element(&[0x86], &[b"V_VP9"]), video].concat();
    let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &[&element(&[0xae], &[&entry])]);
    [head, element(&[0x18, 0x53, 0x80, 0x67], &[&info, &tracks])].concat()
}

fn ogg() -> Vec<u8> {
    let head = [&b"\x80theora\x03\x02\x01"[..], &[0, 20, 0, 15], &[0; 30]].concat();
    let page = |flags: u8, granule: u8, packet: &[u8]| {
        let length = u8::try_from(packet.len()).expect("a small packet");
        let position = [&[granule][..], &[0; 7]].concat();
        [
            &b"OggS\0"[..],
            &[flags],
            &position,
            &[1, 0, 0, 0],
            &[0; 8],
            &[1, length],
            packet,
        ]
        .concat()
    };
    [page(2, 0, &head), page(4, 50, &[0; 10])].concat()
}
