//! Torrent files: version 1, one file each ([BEP 3](https://www.bittorrent.org/beps/bep_0003.html)).
//!
//! The `info` dictionary ([`Info`]) depends on the content and the name alone, and its SHA-1 is the torrent's
//! [`InfoHash`]. Trackers and web seeds stand beside it in [`Metainfo`], so that a pod can move to another host without
//! changing an info hash. The bytes of an `info` that was read are kept as they were: re-encoding could drop a key we
//! do not know and with it the hash.

use sha1::{Digest, Sha1};

use crate::bencode::{BencodeError, Reader, Value};
use crate::ids::InfoHash;

/// Longest torrent file read, in bytes: 200,000 pieces and generous lists of sources.
pub const MAX_METAINFO_LEN: usize = 4 << 20;
/// Longest `name`, in bytes: what file systems take.
pub const MAX_NAME_LEN: usize = 255;
/// Most trackers, and most web seeds, kept of one torrent file; more are ignored.
pub const MAX_SOURCES: usize = 32;
/// Longest address of a tracker or web seed, in bytes; longer ones are ignored.
pub const MAX_SOURCE_LEN: usize = 2048;

/// Smallest piece length we choose, in bytes.
pub const MIN_PIECE_LENGTH: u32 = 16 << 10;
/// Greatest piece length we choose, in bytes.
pub const MAX_PIECE_LENGTH: u32 = 16 << 20;
/// The piece length when the length of the content is not known beforehand, in bytes.
pub const DEFAULT_PIECE_LENGTH: u32 = 1 << 20;
/// Browsers check every piece before they start to play: more than this many make them slow.
const MOST_PIECES: u64 = 300;

/// The piece length, in bytes, for content of `total` bytes: the power of two that gives 150 to 300 pieces, within
/// [`MIN_PIECE_LENGTH`] and [`MAX_PIECE_LENGTH`]; [`DEFAULT_PIECE_LENGTH`] when the total is unknown.
#[must_use]
pub fn piece_length_for(total: Option<u64>) -> u32 {
    let Some(total) = total else {
        return DEFAULT_PIECE_LENGTH;
    };
    let wanted = total
        .div_ceil(MOST_PIECES)
        .clamp(u64::from(MIN_PIECE_LENGTH), u64::from(MAX_PIECE_LENGTH));
    u32::try_from(wanted)
        .unwrap_or(MAX_PIECE_LENGTH)
        .next_power_of_two()
}

/// The SHA-1 of every piece, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pieces(Vec<[u8; Pieces::HASH_LEN]>);

impl Pieces {
    /// Length of one hash, in bytes.
    pub const HASH_LEN: usize = 20;

    /// How many pieces there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none: the content is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The hash of piece `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[u8; Self::HASH_LEN]> {
        self.0.get(index)
    }

    /// Whether `bytes` are piece `index`.
    #[must_use]
    pub fn verify(&self, index: usize, bytes: &[u8]) -> bool {
        self.get(index)
            .is_some_and(|hash| Sha1::digest(bytes).as_slice() == hash)
    }

    /// All hashes, joined, as they stand in an `info` dictionary.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_flattened()
    }
}

/// Hashes pieces while the content streams by.
#[derive(Debug, Clone)]
pub struct PieceHasher {
    piece_length: usize,
    hasher: Sha1,
    filled: usize,
    length: u64,
    done: Vec<[u8; Pieces::HASH_LEN]>,
}

impl PieceHasher {
    /// A hasher of pieces of `piece_length` bytes; 0 counts as 1.
    #[must_use]
    pub fn new(piece_length: u32) -> Self {
        let piece_length = usize::try_from(piece_length)
            .expect("pods run where usize has at least 32 bits")
            .max(1);
        Self {
            piece_length,
            hasher: Sha1::new(),
            filled: 0,
            length: 0,
            done: Vec::new(),
        }
    }

    /// Takes the next bytes of the content, in chunks of any size.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.piece_length - self.filled));
            self.hasher.update(now);
            self.filled += now.len();
            if self.filled == self.piece_length {
                self.close_piece();
            }
            bytes = later;
        }
    }

    /// How many bytes were taken so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The hashes of all pieces, the last of which may be short.
    #[must_use]
    pub fn finish(mut self) -> Pieces {
        if self.filled > 0 {
            self.close_piece();
        }
        Pieces(self.done)
    }

    fn close_piece(&mut self) {
        self.done.push(self.hasher.finalize_reset().into());
        self.filled = 0;
    }
}

/// Why a torrent file or its `info` dictionary was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetainfoError {
    /// It is longer than [`MAX_METAINFO_LEN`].
    #[error("torrent file has {0} bytes, at most {MAX_METAINFO_LEN} are read")]
    TooLong(usize),
    /// It is not canonical bencode, or a value has another kind than BEP 3 says.
    #[error(transparent)]
    Bencode(#[from] BencodeError),
    /// A key that must be there is not.
    #[error("torrent file has no `{0}`")]
    Missing(&'static str),
    /// A torrent of several files.
    #[error("torrent holds several files, only single files are supported")]
    SeveralFiles,
    /// The name is empty, too long, not UTF-8, or could name another folder.
    #[error("torrent name `{0}` is not a plain file name of at most {MAX_NAME_LEN} bytes")]
    Name(String),
    /// The length is negative or beyond what bencode holds.
    #[error("torrent length {0} is out of range")]
    Length(i128),
    /// The piece length is not within 1 and 2^31 - 1 bytes.
    #[error("piece length {0} is out of range")]
    PieceLength(i64),
    /// The hashes do not fit the length.
    #[error("torrent has {found} bytes of piece hashes, its length needs {expected}")]
    Pieces {
        /// Bytes of hashes found.
        found: u64,
        /// Bytes of hashes the length asks for.
        expected: u64,
    },
}

/// The `info` dictionary of a single file: what the info hash is the hash of. Every `Info` is consistent: its name is a
/// plain file name, and it has exactly the hashes its length needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    name: String,
    length: u64,
    piece_length: u32,
    pieces: Pieces,
}

impl Info {
    /// Describes content of `length` bytes cut into pieces of `piece_length` bytes.
    ///
    /// # Errors
    /// When the name is no plain file name, a number is out of range, or the number of hashes does not fit.
    pub fn new(name: String, length: u64, piece_length: u32, pieces: Pieces) -> Result<Self, MetainfoError> {
        let plain = !name.is_empty()
            && name.len() <= MAX_NAME_LEN
            && name != "."
            && name != ".."
            && !name.chars().any(|c| matches!(c, '/' | '\\') || c.is_control());
        if !plain {
            return Err(MetainfoError::Name(name.chars().take(MAX_NAME_LEN).collect()));
        }
        if i64::try_from(length).is_err() {
            return Err(MetainfoError::Length(i128::from(length)));
        }
        if piece_length == 0 || i32::try_from(piece_length).is_err() {
            return Err(MetainfoError::PieceLength(i64::from(piece_length)));
        }
        let expected = length
            .div_ceil(u64::from(piece_length))
            .saturating_mul(Pieces::HASH_LEN as u64);
        let found = pieces.as_bytes().len() as u64;
        if found != expected {
            return Err(MetainfoError::Pieces { found, expected });
        }
        Ok(Self {
            name,
            length,
            piece_length,
            pieces,
        })
    }

    /// The file name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length of the content, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Length of every piece but the last, in bytes.
    #[must_use]
    pub fn piece_length(&self) -> u32 {
        self.piece_length
    }

    /// The hashes of the pieces.
    #[must_use]
    pub fn pieces(&self) -> &Pieces {
        &self.pieces
    }

    /// The canonical bytes of the dictionary.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Value::dict([
            (
                "length",
                Value::Integer(i64::try_from(self.length).expect("`new` refuses greater lengths")),
            ),
            ("name", Value::text(&self.name)),
            ("piece length", Value::Integer(i64::from(self.piece_length))),
            ("pieces", Value::Bytes(self.pieces.as_bytes())),
        ])
        .encode()
    }

    /// Reads a dictionary. Keys we do not know are passed over, so `encode` gives the same bytes only without them.
    ///
    /// # Errors
    /// When it is not canonical, describes several files, or is inconsistent (see [`Info::new`]).
    pub fn decode(bytes: &[u8]) -> Result<Self, MetainfoError> {
        if bytes.len() > MAX_METAINFO_LEN {
            return Err(MetainfoError::TooLong(bytes.len()));
        }
        let (mut name, mut length, mut piece_length, mut hashes) = (None, None, None, None);
        let mut reader = Reader::new(bytes);
        reader.dict(|key, reader| {
            match key {
                b"name" => name = Some(reader.bytes()?),
                b"length" => length = Some(reader.integer()?),
                b"piece length" => piece_length = Some(reader.integer()?),
                b"pieces" => hashes = Some(reader.bytes()?),
                b"files" => return Err(MetainfoError::SeveralFiles),
                _ => {}
            }
            Ok(())
        })?;
        reader.finish()?;

        let name = name.ok_or(MetainfoError::Missing("name"))?;
        let length = length.ok_or(MetainfoError::Missing("length"))?;
        let piece_length = piece_length.ok_or(MetainfoError::Missing("piece length"))?;
        let (hashes, odd) = hashes.ok_or(MetainfoError::Missing("pieces"))?.as_chunks();
        let length = u64::try_from(length).map_err(|_| MetainfoError::Length(i128::from(length)))?;
        let piece_length =
            u32::try_from(piece_length).map_err(|_| MetainfoError::PieceLength(piece_length))?;
        if !odd.is_empty() {
            let found = (hashes.as_flattened().len() + odd.len()) as u64;
            return Err(MetainfoError::Pieces {
                found,
                expected: found - odd.len() as u64,
            });
        }
        let name = String::from_utf8(name.to_vec()).map_err(|_| {
            MetainfoError::Name(String::from_utf8_lossy(&name[..name.len().min(MAX_NAME_LEN)]).into_owned())
        })?;
        Self::new(name, length, piece_length, Pieces(hashes.to_vec()))
    }

    /// The torrent's info hash, of the bytes `encode` gives.
    #[must_use]
    pub fn info_hash(&self) -> InfoHash {
        info_hash_of(&self.encode())
    }
}

/// The info hash of the bytes of an `info` dictionary, as they stand; whether they are one is not looked at.
#[must_use]
pub fn info_hash_of(info_bytes: &[u8]) -> InfoHash {
    InfoHash::from_bytes(Sha1::digest(info_bytes).into())
}

/// A torrent file: an `info` dictionary and where to find peers and the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metainfo {
    info: Info,
    info_bytes: Vec<u8>,
    /// Trackers in tiers: a client tries the tiers in order, and the trackers of one tier in any order.
    pub announce_list: Vec<Vec<String>>,
    /// Web seeds: HTTP addresses of the whole file ([BEP 19](https://www.bittorrent.org/beps/bep_0019.html)).
    pub url_list: Vec<String>,
    /// The program that made the file.
    pub created_by: Option<String>,
    /// When the file was made, in seconds since the Unix epoch.
    pub creation_date: Option<i64>,
}

impl Metainfo {
    /// A torrent file without trackers and web seeds.
    #[must_use]
    pub fn new(info: Info) -> Self {
        let info_bytes = info.encode();
        let (announce_list, url_list) = (Vec::new(), Vec::new());
        Self {
            info,
            info_bytes,
            announce_list,
            url_list,
            created_by: None,
            creation_date: None,
        }
    }

    /// What the torrent holds.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The `info` dictionary exactly as it was read.
    #[must_use]
    pub fn info_bytes(&self) -> &[u8] {
        &self.info_bytes
    }

    /// The torrent's info hash, of the bytes as they were read.
    #[must_use]
    pub fn info_hash(&self) -> InfoHash {
        info_hash_of(&self.info_bytes)
    }

    /// The bytes of the file. The first tracker also stands under `announce`, for clients that know no tiers.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut file = vec![("info", Value::Raw(&self.info_bytes))];
        if let Some(first) = self.announce_list.iter().flatten().next() {
            file.push(("announce", Value::text(first)));
            file.push((
                "announce-list",
                Value::List(
                    self.announce_list
                        .iter()
                        .map(|tier| Value::List(texts(tier)))
                        .collect(),
                ),
            ));
        }
        if !self.url_list.is_empty() {
            file.push(("url-list", Value::List(texts(&self.url_list))));
        }
        if let Some(program) = &self.created_by {
            file.push(("created by", Value::text(program)));
        }
        if let Some(seconds) = self.creation_date {
            file.push(("creation date", Value::Integer(seconds)));
        }
        Value::Dict(
            file.into_iter()
                .map(|(key, value)| (key.as_bytes(), value))
                .collect(),
        )
        .encode()
    }

    /// Reads a torrent file. Of trackers and web seeds the first [`MAX_SOURCES`] that are UTF-8 and not longer than
    /// [`MAX_SOURCE_LEN`] are kept; keys we do not know are passed over.
    ///
    /// # Errors
    /// When it is too long, not canonical, or its `info` is refused (see [`Info::decode`]).
    pub fn decode(bytes: &[u8]) -> Result<Self, MetainfoError> {
        if bytes.len() > MAX_METAINFO_LEN {
            return Err(MetainfoError::TooLong(bytes.len()));
        }
        let (mut info_bytes, mut announce, mut created_by, mut creation_date) = (None, None, None, None);
        let (mut announce_list, mut url_list) = (Vec::new(), Vec::new());
        let mut trackers = 0;
        let mut reader = Reader::new(bytes);
        reader.dict(|key, reader| {
            match key {
                b"info" => info_bytes = Some(reader.raw()?),
                b"announce" => announce = source(reader.bytes()?),
                b"announce-list" => reader.list(|reader| {
                    let mut tier = Vec::new();
                    sources(reader, &mut tier, &mut trackers)?;
                    if !tier.is_empty() {
                        announce_list.push(tier);
                    }
                    Ok::<_, BencodeError>(())
                })?,
                // BEP 19 allows a single address in place of the list.
                b"url-list" => sources(reader, &mut url_list, &mut 0)?,
                b"created by" => created_by = source(reader.bytes()?),
                b"creation date" => creation_date = Some(reader.integer()?),
                _ => {}
            }
            Ok::<_, MetainfoError>(())
        })?;
        reader.finish()?;

        let info_bytes = info_bytes.ok_or(MetainfoError::Missing("info"))?;
        if announce_list.is_empty() {
            announce_list.extend(announce.map(|tracker| vec![tracker]));
        }
        Ok(Self {
            info: Info::decode(info_bytes)?,
            info_bytes: info_bytes.to_vec(),
            announce_list,
            url_list,
            created_by,
            creation_date,
        })
    }
}

fn texts(list: &[String]) -> Vec<Value<'_>> {
    list.iter().map(|text| Value::text(text)).collect()
}

/// Reads one address or a list of them, keeping those that fit while fewer than [`MAX_SOURCES`] were `kept`.
fn sources(reader: &mut Reader<'_>, into: &mut Vec<String>, kept: &mut usize) -> Result<(), BencodeError> {
    let mut keep = |bytes: &[u8]| {
        if let Some(text) = source(bytes).filter(|_| *kept < MAX_SOURCES) {
            *kept += 1;
            into.push(text);
        }
    };
    if reader.kind()? == crate::bencode::Kind::Bytes {
        keep(reader.bytes()?);
        return Ok(());
    }
    reader.list(|reader| {
        keep(reader.bytes()?);
        Ok(())
    })
}

fn source(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.is_empty() && text.len() <= MAX_SOURCE_LEN).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use proptest::prelude::*;

    fn pieces_of(content: &[u8], piece_length: u32) -> Pieces {
        let mut hasher = PieceHasher::new(piece_length);
        hasher.update(content);
        hasher.finish()
    }

    fn info_of(content: &[u8], piece_length: u32) -> Info {
        Info::new(
            "film-720.mp4".into(),
            content.len() as u64,
            piece_length,
            pieces_of(content, piece_length),
        )
        .unwrap()
    }

    #[test]
    fn piece_length_gives_150_to_300_pieces() {
        let mut total = 300 * u64::from(MIN_PIECE_LENGTH) + 1;
        while total < 150 * u64::from(MAX_PIECE_LENGTH) {
            let length = piece_length_for(Some(total));
            let pieces = total.div_ceil(u64::from(length));
            assert!(
                length.is_power_of_two() && (150..=300).contains(&pieces),
                "{total} → {length}, {pieces} pieces"
            );
            total += total / 7;
        }
        assert_eq!(piece_length_for(None), 1 << 20);
        assert_eq!(piece_length_for(Some(0)), MIN_PIECE_LENGTH);
        assert_eq!(piece_length_for(Some(u64::MAX)), MAX_PIECE_LENGTH);
        assert_eq!(piece_length_for(Some(145_000_000)), 512 << 10);
    }

    #[test]
    fn golden_torrent_file() {
        let mut file = Metainfo::new(info_of(b"hello, swarm", 16 << 10));
        file.announce_list = vec![vec!["ws://localhost:9003/tracker/socket".into()]];
        file.url_list = vec!["http://localhost:9003/static/webseed/film-720.mp4".into()];
        file.created_by = Some("seedpod".into());
        let mut expected = b"d8:announce34:ws://localhost:9003/tracker/socket\
            13:announce-listll34:ws://localhost:9003/tracker/socketee10:created by7:seedpod\
            4:infod6:lengthi12e4:name12:film-720.mp412:piece lengthi16384e6:pieces20:"
            .to_vec();
        expected.extend_from_slice(&Sha1::digest(b"hello, swarm"));
        expected.extend_from_slice(b"e8:url-listl49:http://localhost:9003/static/webseed/film-720.mp4ee");
        assert_eq!(file.encode(), expected);
        assert_eq!(Metainfo::decode(&expected).unwrap(), file);
    }

    #[test]
    fn sources_do_not_change_the_info_hash() {
        let info = info_of(&[7; 100_000], 16 << 10);
        let mut moved = Metainfo::new(info.clone());
        moved.announce_list = vec![vec!["wss://elsewhere/tracker/socket".into()]];
        assert_eq!(
            Metainfo::decode(&moved.encode()).unwrap().info_hash(),
            info.info_hash()
        );
    }

    #[test]
    fn unknown_info_keys_are_kept_verbatim() {
        let info = b"d6:lengthi0e4:name1:a12:piece lengthi16384e6:pieces0:6:source3:xyze";
        let file = Value::dict([("info", Value::Raw(info))]).encode();
        let read = Metainfo::decode(&file).unwrap();
        assert_eq!(read.info_bytes(), info);
        assert_eq!(read.info_hash(), info_hash_of(info));
        assert_ne!(read.info_hash(), read.info().info_hash());
        assert_eq!(read.encode(), file);
    }

    #[test]
    fn inconsistent_infos_are_refused() {
        let hashes = |count: usize| Pieces(vec![[0; 20]; count]);
        let named = |name: &str| Info::new(name.into(), 1, 1, hashes(1));
        for bad in ["", ".", "..", "a/b", "a\\b", "a\0b", "a\nb", &"x".repeat(256)] {
            assert!(matches!(named(bad), Err(MetainfoError::Name(_))), "{bad:?}");
        }
        assert!(named("größe.webm").is_ok());
        assert!(matches!(
            Info::new("a".into(), 2, 1, hashes(1)),
            Err(MetainfoError::Pieces {
                found: 20,
                expected: 40
            })
        ));
        assert!(matches!(
            Info::new("a".into(), 0, 0, hashes(0)),
            Err(MetainfoError::PieceLength(0))
        ));
        assert!(matches!(
            Info::new("a".into(), u64::MAX, 1, hashes(0)),
            Err(MetainfoError::Length(_))
        ));
        let decode = |text: &str| Info::decode(text.as_bytes());
        assert_eq!(decode("d5:filesle4:name1:ae"), Err(MetainfoError::SeveralFiles));
        assert_eq!(
            decode("d6:lengthi1e12:piece lengthi1e6:pieces0:e"),
            Err(MetainfoError::Missing("name"))
        );
        assert_eq!(
            decode("d6:lengthi-1e4:name1:a12:piece lengthi1e6:pieces0:e"),
            Err(MetainfoError::Length(-1))
        );
        assert_eq!(
            decode("d6:lengthi0e4:name1:a12:piece lengthi0e6:pieces0:e"),
            Err(MetainfoError::PieceLength(0))
        );
        assert!(matches!(
            decode("d6:lengthi0e4:name1:a12:piece lengthi1e6:pieces1:xe"),
            Err(MetainfoError::Pieces { .. })
        ));
        assert!(matches!(
            Metainfo::decode(&vec![b'l'; MAX_METAINFO_LEN + 1]),
            Err(MetainfoError::TooLong(_))
        ));
        assert_eq!(Metainfo::decode(b"de"), Err(MetainfoError::Missing("info")));
    }

    #[test]
    fn sources_are_capped_and_a_single_web_seed_is_a_list_of_one() {
        let info = info_of(b"x", 16 << 10).encode();
        let many = (0..100)
            .map(|_| Value::List(vec![Value::text("ws://t")]))
            .collect();
        let file = Value::dict([
            ("info", Value::Raw(&info)),
            ("announce-list", Value::List(many)),
            ("url-list", Value::text("http://w")),
        ]);
        let read = Metainfo::decode(&file.encode()).unwrap();
        assert_eq!(read.announce_list.len(), MAX_SOURCES);
        assert_eq!(read.url_list, ["http://w"]);
    }

    #[test]
    fn a_piece_is_verified_against_its_hash() {
        let pieces = pieces_of(b"aaaabbbbcc", 4);
        assert!(pieces.verify(0, b"aaaa") && pieces.verify(2, b"cc"));
        assert!(!pieces.verify(1, b"aaaa") && !pieces.verify(3, b""));
    }

    proptest! {
        #[test]
        fn pieces_do_not_depend_on_how_the_content_arrives(
            content in proptest::collection::vec(any::<u8>(), 0..3000),
            piece_length in 1_u32..700,
            chunk in 1_usize..900,
        ) {
            let mut hasher = PieceHasher::new(piece_length);
            content.chunks(chunk).for_each(|bytes| hasher.update(bytes));
            prop_assert_eq!(hasher.length(), content.len() as u64);
            let expected = content.chunks(piece_length as usize).map(|piece| Sha1::digest(piece).into()).collect();
            prop_assert_eq!(hasher.finish(), Pieces(expected));
        }

        #[test]
        fn torrent_files_survive_a_round_trip(
            content in proptest::collection::vec(any::<u8>(), 0..200),
            tiers in proptest::collection::vec(proptest::collection::vec("ws://[a-z]{1,9}", 1..3), 0..4),
            url_list in proptest::collection::vec("http://\\PC{1,9}", 0..4),
            created_by in proptest::option::of("\\PC{1,20}"),
            creation_date in proptest::option::of(any::<i64>()),
        ) {
            let file = Metainfo { announce_list: tiers, url_list, created_by, creation_date, ..Metainfo::new(info_of(&content, 64)) };
            prop_assert_eq!(Metainfo::decode(&file.encode()).unwrap(), file);
        }

        #[test]
        fn any_bytes_give_a_torrent_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Metainfo::decode(&bytes);
            let _ = Info::decode(&bytes);
        }

        #[test]
        fn a_damaged_torrent_gives_a_torrent_or_an_error(at in 0_usize..150, byte: u8) {
            let mut bytes = Metainfo::new(info_of(b"content", 4)).encode();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(file) = Metainfo::decode(&bytes) {
                prop_assert_eq!(Info::decode(file.info_bytes()).unwrap(), file.info);
            }
        }
    }
}
