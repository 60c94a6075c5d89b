//! The HTTP tracker protocol: queries in URLs, answers in bencode
//! ([BEP 3](https://www.bittorrent.org/beps/bep_0003.html), compact answers of
//! [BEP 23](https://www.bittorrent.org/beps/bep_0023.html), IPv6 of [BEP 7](https://www.bittorrent.org/beps/bep_0007.html), scrapes of
//! [BEP 48](https://www.bittorrent.org/beps/bep_0048.html)).
//!
//! Info hashes and peer ids are 20 bytes of any value, percent-encoded: they never pass through text. What a client says about its own
//! address (`ip`, `ipv4`, `ipv6`) is not even read. A client that is refused gets a `failure reason` with status 200, for many
//! do not look into other answers.

use std::net::SocketAddr;

use percent_encoding::percent_decode;

use super::{Event, MAX_SCRAPED, PeerId, SwarmCounts};
use crate::ids::InfoHash;

/// Longest query read, in bytes: a scrape of [`MAX_SCRAPED`] torrents has 5,500 at most.
pub const MAX_QUERY_LEN: usize = 8 << 10;
/// How many others a client is told of if it does not say.
pub const DEFAULT_NUMWANT: usize = 50;

/// "I take part in this swarm, and listen on this port."
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpAnnounce {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Who speaks.
    pub peer_id: PeerId,
    /// The TCP port it listens on; 0 if it does not.
    pub port: u16,
    /// What happened.
    pub event: Event,
    /// Bytes it still wants; `None` when it does not say.
    pub left: Option<u64>,
    /// How many others it wants to be told of.
    pub numwant: usize,
    /// In which form.
    pub form: Form,
}

/// How others are written in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// 6 or 18 bytes each (BEP 23, BEP 7): what everybody gets who does not ask for another.
    Compact,
    /// A dictionary each, with the address as text.
    Dictionaries {
        /// Whether the peer ids are in them.
        ids: bool,
    },
}

/// What is wrong with a query, in words for the failure reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// It is longer than [`MAX_QUERY_LEN`].
    #[error("the query has {0} bytes, at most {MAX_QUERY_LEN} are read")]
    TooLong(usize),
    /// A field that must be there is not.
    #[error("missing {0}")]
    Missing(&'static str),
    /// A field that must be there once is there again.
    #[error("more than one {0}")]
    Repeated(&'static str),
    /// An info hash or a peer id of another length than 20 bytes.
    #[error("{field} has {length} bytes, expected 20")]
    Length {
        /// Which field.
        field: &'static str,
        /// Its length, as far as it was read.
        length: usize,
    },
    /// A number that is none, or out of range.
    #[error("{0} is not a number in its range")]
    Number(&'static str),
    /// An event nobody knows.
    #[error("unknown event")]
    Event,
    /// More info hashes than a scrape may name.
    #[error("more than {MAX_SCRAPED} torrents")]
    TooMany,
}

impl HttpAnnounce {
    /// Reads the query of an announce, without the question mark. Fields that are not known are passed over.
    ///
    /// # Errors
    /// When it is too long, or a field is missing or wrong.
    pub fn parse(query: &[u8]) -> Result<Self, QueryError> {
        let (mut info_hash, mut peer_id, mut port) = (None, None, None);
        let (mut event, mut left, mut numwant) = (Event::Update, None, DEFAULT_NUMWANT);
        let (mut compact, mut ids) = (true, true);
        for (name, value) in pairs(query)? {
            match name {
                b"info_hash" => once("info_hash", &mut info_hash, binary("info_hash", value)?)?,
                b"peer_id" => once("peer_id", &mut peer_id, binary("peer_id", value)?)?,
                b"port" => once("port", &mut port, number("port", value)?)?,
                b"left" => left = Some(bytes_left(value)?),
                b"event" => event = parse_event(value)?,
                // -1 means what the absence means.
                b"numwant" if value != b"-1" => {
                    numwant = usize::try_from(number::<u32>("numwant", value)?).unwrap_or(usize::MAX);
                }
                b"compact" => compact = value != b"0",
                b"no_peer_id" => ids = value == b"0",
                _ => {}
            }
        }
        Ok(Self {
            info_hash: info_hash
                .map(InfoHash::from_bytes)
                .ok_or(QueryError::Missing("info_hash"))?,
            peer_id: peer_id
                .map(PeerId::from_bytes)
                .ok_or(QueryError::Missing("peer_id"))?,
            port: port.ok_or(QueryError::Missing("port"))?,
            event,
            left,
            numwant,
            form: if compact {
                Form::Compact
            } else {
                Form::Dictionaries { ids }
            },
        })
    }
}

/// Reads the query of a scrape: at least one torrent and at most [`MAX_SCRAPED`].
///
/// # Errors
/// When it is too long, names no torrent or too many, or one that is no info hash.
pub fn parse_scrape(query: &[u8]) -> Result<Vec<InfoHash>, QueryError> {
    let mut info_hashes = Vec::new();
    for (name, value) in pairs(query)? {
        if name != b"info_hash" {
            continue;
        }
        if info_hashes.len() == MAX_SCRAPED {
            return Err(QueryError::TooMany);
        }
        info_hashes.push(InfoHash::from_bytes(binary("info_hash", value)?));
    }
    if info_hashes.is_empty() {
        return Err(QueryError::Missing("info_hash"));
    }
    Ok(info_hashes)
}

/// What a client is told that announced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReply<'a> {
    /// When to announce again, in seconds.
    pub interval: u32,
    /// When to announce again at the earliest, in seconds.
    pub min_interval: u32,
    /// Size of the swarm.
    pub counts: SwarmCounts,
    /// Others, with their ids.
    pub peers: &'a [(PeerId, SocketAddr)],
    /// How they are written.
    pub form: Form,
}

impl HttpReply<'_> {
    /// The bencoded answer. IPv6 peers of a compact one stand under `peers6`, which is left out when there are none.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(160 + self.peers.len() * 20);
        out.push(b'd');
        integer(&mut out, "complete", self.counts.complete);
        integer(&mut out, "downloaded", self.counts.downloaded);
        integer(&mut out, "incomplete", self.counts.incomplete);
        integer(&mut out, "interval", self.interval);
        integer(&mut out, "min interval", self.min_interval);
        match self.form {
            Form::Compact => {
                compact(&mut out, "peers", self.peers, SocketAddr::is_ipv4);
                if self.peers.iter().any(|(_, address)| address.is_ipv6()) {
                    compact(&mut out, "peers6", self.peers, SocketAddr::is_ipv6);
                }
            }
            Form::Dictionaries { ids } => {
                string(&mut out, b"peers");
                out.push(b'l');
                for (id, address) in self.peers {
                    out.push(b'd');
                    string(&mut out, b"ip");
                    string(&mut out, address.ip().to_string().as_bytes());
                    if ids {
                        string(&mut out, b"peer id");
                        string(&mut out, id.as_bytes());
                    }
                    integer(&mut out, "port", u32::from(address.port()));
                    out.push(b'e');
                }
                out.push(b'e');
            }
        }
        out.push(b'e');
        out
    }
}

/// The bencoded answer to a scrape: each torrent once, whatever its order and however often it was asked for.
#[must_use]
pub fn encode_scrape(files: &[(InfoHash, SwarmCounts)]) -> Vec<u8> {
    let mut files = files.to_vec();
    files.sort_by_key(|(info_hash, _)| *info_hash);
    files.dedup_by_key(|(info_hash, _)| *info_hash);
    let mut out = Vec::with_capacity(16 + files.len() * 90);
    out.push(b'd');
    string(&mut out, b"files");
    out.push(b'd');
    for (info_hash, counts) in files {
        string(&mut out, info_hash.as_bytes());
        out.push(b'd');
        integer(&mut out, "complete", counts.complete);
        integer(&mut out, "downloaded", counts.downloaded);
        integer(&mut out, "incomplete", counts.incomplete);
        out.push(b'e');
    }
    out.extend_from_slice(b"ee");
    out
}

/// The bencoded answer to what is refused.
#[must_use]
pub fn encode_failure(reason: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(24 + reason.len());
    out.push(b'd');
    string(&mut out, b"failure reason");
    string(&mut out, reason.as_bytes());
    out.push(b'e');
    out
}

/// Names and values as they stand in a query.
fn pairs(query: &[u8]) -> Result<impl Iterator<Item = (&[u8], &[u8])>, QueryError> {
    if query.len() > MAX_QUERY_LEN {
        return Err(QueryError::TooLong(query.len()));
    }
    let pairs = query.split(|byte| *byte == b'&');
    Ok(
        pairs.map(|pair| match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        }),
    )
}

/// 20 bytes, percent-encoded wherever the client likes. A plus sign is a plus sign: these are no forms.
fn binary(field: &'static str, value: &[u8]) -> Result<[u8; 20], QueryError> {
    let mut bytes = [0; 20];
    let mut length = 0;
    for byte in percent_decode(value) {
        if let Some(place) = bytes.get_mut(length) {
            *place = byte;
        }
        length += 1;
    }
    if length == bytes.len() {
        Ok(bytes)
    } else {
        Err(QueryError::Length { field, length })
    }
}

fn once<T>(field: &'static str, place: &mut Option<T>, value: T) -> Result<(), QueryError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(QueryError::Repeated(field)),
    }
}

fn number<T: std::str::FromStr>(field: &'static str, value: &[u8]) -> Result<T, QueryError> {
    let text = std::str::from_utf8(value).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or(QueryError::Number(field))
}

/// Bytes that are left. What does not know writes -1 or the largest number it has.
fn bytes_left(value: &[u8]) -> Result<u64, QueryError> {
    match value.strip_prefix(b"-") {
        Some(digits) => number::<u64>("left", digits).map(|_| u64::MAX),
        None if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
            Ok(number("left", value).unwrap_or(u64::MAX))
        }
        None => Err(QueryError::Number("left")),
    }
}

fn parse_event(value: &[u8]) -> Result<Event, QueryError> {
    let text = std::str::from_utf8(value).map_err(|_| QueryError::Event)?;
    text.parse().map_err(|()| QueryError::Event)
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    decimal(out, bytes.len() as u64);
    out.push(b':');
    out.extend_from_slice(bytes);
}

fn integer(out: &mut Vec<u8>, key: &str, value: u32) {
    string(out, key.as_bytes());
    out.push(b'i');
    decimal(out, u64::from(value));
    out.push(b'e');
}

fn decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b"0123456789"[(value % 10) as usize];
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

fn compact(
    out: &mut Vec<u8>,
    key: &str,
    peers: &[(PeerId, SocketAddr)],
    of_family: impl Fn(&SocketAddr) -> bool,
) {
    let of_family = || {
        peers
            .iter()
            .map(|(_, address)| address)
            .filter(|address| of_family(address))
    };
    let each = of_family().next().map_or(0, compact_len);
    string_head(out, key, of_family().count() * each);
    for address in of_family() {
        write_compact(out, address);
    }
}

fn string_head(out: &mut Vec<u8>, key: &str, length: usize) {
    string(out, key.as_bytes());
    decimal(out, length as u64);
    out.push(b':');
}

/// How many bytes an address has in its compact form.
pub(super) fn compact_len(address: &SocketAddr) -> usize {
    if address.is_ipv4() { 6 } else { 18 }
}

/// Writes an address in its compact form: the address's bytes, then the port's.
pub(super) fn write_compact(out: &mut Vec<u8>, address: &SocketAddr) {
    match address {
        SocketAddr::V4(address) => out.extend_from_slice(&address.ip().octets()),
        SocketAddr::V6(address) => out.extend_from_slice(&address.ip().octets()),
    }
    out.extend_from_slice(&address.port().to_be_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;
    use crate::bencode::{BencodeError, Reader};

    const HASH: &str = "%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A";
    const HASH_BYTES: [u8; 20] =
        *b"\x12\x34\x56\x78\x9a\xbc\xde\xf1\x23\x45\x67\x89\xab\xcd\xef\x12\x34\x56\x78\x9a";
    const PEER: &str = "-SP0100-%00%26%3d%25+~xx%ffzyy";

    fn query(more: &str) -> String {
        format!("info_hash={HASH}&peer_id={PEER}&port=6881{more}")
    }

    fn parse(query: &str) -> Result<HttpAnnounce, QueryError> {
        HttpAnnounce::parse(query.as_bytes())
    }

    #[test]
    fn an_announce_is_read() {
        let read = parse(&query(
            "&uploaded=0&downloaded=0&left=77&event=started&numwant=20&compact=1&key=x&ip=1.2.3.4",
        ))
        .unwrap();
        assert_eq!(read.info_hash.as_bytes(), &HASH_BYTES);
        assert_eq!(read.peer_id.as_bytes(), b"-SP0100-\0&=%+~xx\xffzyy");
        let expected = HttpAnnounce {
            port: 6881,
            event: Event::Started,
            left: Some(77),
            numwant: 20,
            form: Form::Compact,
            ..read
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn what_is_not_said_has_a_meaning() {
        let read = parse(&query("")).unwrap();
        assert_eq!(
            (read.event, read.left, read.numwant, read.form),
            (Event::Update, None, DEFAULT_NUMWANT, Form::Compact)
        );
        assert_eq!(parse(&query("&numwant=-1")).unwrap().numwant, DEFAULT_NUMWANT);
        assert_eq!(parse(&query("&event=")).unwrap().event, Event::Update);
        assert_eq!(
            parse(&query("&compact=0")).unwrap().form,
            Form::Dictionaries { ids: true }
        );
        assert_eq!(
            parse(&query("&compact=0&no_peer_id=1")).unwrap().form,
            Form::Dictionaries { ids: false }
        );
    }

    #[test]
    fn bytes_left_may_be_unknown_or_beyond_any_file() {
        for (text, left) in [
            ("0", 0),
            ("12", 12),
            ("-1", u64::MAX),
            ("18446744073709551615", u64::MAX),
            ("99999999999999999999999", u64::MAX),
        ] {
            assert_eq!(parse(&query(&format!("&left={text}"))).unwrap().left, Some(left));
        }
        for text in ["", "-", "x", "1.5", "+1"] {
            assert_eq!(
                parse(&query(&format!("&left={text}"))),
                Err(QueryError::Number("left")),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let twenty = "a".repeat(20);
        for (text, error) in [
            (String::new(), QueryError::Missing("info_hash")),
            (format!("info_hash={twenty}"), QueryError::Missing("peer_id")),
            (
                format!("info_hash={twenty}&peer_id={twenty}"),
                QueryError::Missing("port"),
            ),
            (
                "info_hash=abc".into(),
                QueryError::Length {
                    field: "info_hash",
                    length: 3,
                },
            ),
            (
                format!("peer_id={twenty}%00"),
                QueryError::Length {
                    field: "peer_id",
                    length: 21,
                },
            ),
            (
                query("&info_hash=aaaaaaaaaaaaaaaaaaaa"),
                QueryError::Repeated("info_hash"),
            ),
            (query("&port=1"), QueryError::Repeated("port")),
            ("port=65536".into(), QueryError::Number("port")),
            (query("&numwant=many"), QueryError::Number("numwant")),
            (query("&event=won"), QueryError::Event),
            (
                query(&"&".repeat(MAX_QUERY_LEN)),
                QueryError::TooLong(MAX_QUERY_LEN + query("").len()),
            ),
        ] {
            assert_eq!(parse(&text), Err(error));
        }
    }

    #[test]
    fn a_scrape_names_its_torrents() {
        let read = parse_scrape(format!("info_hash={HASH}&x=1&info_hash={}", "b".repeat(20)).as_bytes());
        let expected = [HASH_BYTES, [b'b'; 20]].map(InfoHash::from_bytes);
        assert_eq!(read.as_deref(), Ok(&expected[..]));
        assert_eq!(parse_scrape(b""), Err(QueryError::Missing("info_hash")));
        let many = |count| format!("info_hash={}&", "%ff".repeat(20)).repeat(count);
        assert_eq!(
            parse_scrape(many(MAX_SCRAPED).as_bytes()).unwrap().len(),
            MAX_SCRAPED
        );
        assert_eq!(
            parse_scrape(many(MAX_SCRAPED + 1).as_bytes()),
            Err(QueryError::TooMany)
        );
    }

    fn peers() -> Vec<(PeerId, SocketAddr)> {
        ["10.0.0.1:6881", "[2001:db8::1]:1", "192.0.2.7:80"]
            .map(|address| (PeerId::from_bytes([b'p'; 20]), address.parse().unwrap()))
            .to_vec()
    }

    fn reply(peers: &[(PeerId, SocketAddr)], form: Form) -> Vec<u8> {
        let counts = SwarmCounts {
            complete: 3,
            incomplete: 40,
            downloaded: 500,
        };
        HttpReply {
            interval: 600,
            min_interval: 60,
            counts,
            peers,
            form,
        }
        .encode()
    }

    #[test]
    fn answers_are_written_as_the_beps_say() {
        assert_eq!(
            reply(&peers(), Form::Compact),
            [
                &b"d8:completei3e10:downloadedi500e10:incompletei40e8:intervali600e12:min intervali60e"[..],
                b"5:peers12:\x0a\0\0\x01\x1a\xe1\xc0\0\x02\x07\0\x50",
                b"6:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x01e",
            ]
            .concat()
        );
        assert!(reply(&[], Form::Compact).ends_with(b"5:peers0:e"));
        let ids = reply(&peers()[1..2], Form::Dictionaries { ids: true });
        assert!(ids.ends_with(b"5:peersld2:ip11:2001:db8::17:peer id20:pppppppppppppppppppp4:porti1eeee"));
        let no_ids = reply(&peers()[..1], Form::Dictionaries { ids: false });
        assert!(no_ids.ends_with(b"5:peersld2:ip8:10.0.0.14:porti6881eeee"));
        assert_eq!(encode_failure("no"), b"d14:failure reason2:noe");
        let counts = SwarmCounts {
            complete: 1,
            incomplete: 2,
            downloaded: 3,
        };
        let [a, b] = [[b'a'; 20], [b'b'; 20]].map(InfoHash::from_bytes);
        assert_eq!(
            encode_scrape(&[(b, counts), (a, SwarmCounts::default()), (b, counts)]),
            [
                &b"d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei0e10:downloadedi0e10:incompletei0ee"[..],
                b"20:bbbbbbbbbbbbbbbbbbbbd8:completei1e10:downloadedi3e10:incompletei2eeee",
            ]
            .concat()
        );
    }

    #[test]
    fn answers_are_canonical_bencode() {
        for bytes in [
            reply(&peers(), Form::Compact),
            reply(&peers(), Form::Dictionaries { ids: true }),
            reply(&[], Form::Dictionaries { ids: false }),
            encode_failure(""),
            encode_scrape(&[]),
        ] {
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.raw(), Ok(&bytes[..]));
            assert_eq!(reader.finish(), Ok::<(), BencodeError>(()));
        }
    }

    proptest! {
        #[test]
        fn all_bytes_survive_however_they_are_escaped(hash: [u8; 20], id: [u8; 20], escape: [bool; 20]) {
            let mut text = String::from("peer_id=");
            for (byte, escape) in id.into_iter().zip(escape) {
                let plain = byte.is_ascii_alphanumeric() || b"-._~+".contains(&byte);
                if plain && !escape {
                    text.push(char::from(byte));
                } else {
                    write!(text, "%{byte:02x}").unwrap();
                }
            }
            text.push_str("&port=1&info_hash=");
            for byte in hash {
                write!(text, "%{byte:02X}").unwrap();
            }
            let read = parse(&text).unwrap();
            prop_assert_eq!((read.info_hash.as_bytes(), read.peer_id.as_bytes()), (&hash, &id));
        }

        #[test]
        fn any_bytes_give_a_query_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = HttpAnnounce::parse(&bytes);
            let _ = parse_scrape(&bytes);
        }
    }
}
