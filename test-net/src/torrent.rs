//! A magnet, added as a BitTorrent client would: fetch its torrent, check the info hash, fetch every piece from the web seed.
//!
//! Deliberately independent of `seedpod-protocol`: a test that read torrents with the pod's own reader would share its
//! mistakes. What a browser does with the same magnet over WebRTC is tested in a browser.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use data_encoding::HEXLOWER;
use sha1::{Digest, Sha1};

use crate::api::Api;

/// Length of a SHA-1.
const HASH_LENGTH: usize = 20;

/// The parts of a magnet link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Magnet {
    /// The info hash, 40 lower-case hex digits.
    pub info_hash: String,
    /// `dn`: the name.
    pub name: String,
    /// `tr`: trackers.
    pub trackers: Vec<String>,
    /// `ws`: web seeds.
    pub web_seeds: Vec<String>,
    /// `xs`: where the torrent is.
    pub torrents: Vec<String>,
}

impl Magnet {
    /// Reads a magnet link.
    ///
    /// # Errors
    /// When it is none, or names not exactly one torrent.
    pub fn parse(link: &str) -> anyhow::Result<Self> {
        let query = link
            .strip_prefix("magnet:?")
            .with_context(|| format!("not a magnet link: {link}"))?;
        let all = |name: &str| -> Vec<String> {
            let pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs
                .filter(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
                .collect()
        };
        let topics = all("xt");
        let [topic] = topics.as_slice() else {
            bail!("{} topics in {link}", topics.len())
        };
        let info_hash = topic
            .strip_prefix("urn:btih:")
            .with_context(|| format!("not a torrent: {link}"))?;
        ensure!(
            HEXLOWER
                .decode(info_hash.as_bytes())
                .is_ok_and(|it| it.len() == HASH_LENGTH),
            "no info hash: {link}"
        );
        Ok(Self {
            info_hash: info_hash.to_owned(),
            name: all("dn").into_iter().next().unwrap_or_default(),
            trackers: all("tr"),
            web_seeds: all("ws"),
            torrents: all("xs"),
        })
    }
}

/// A torrent of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torrent {
    /// The SHA-1 of the info dictionary as it stands in the file, 40 lower-case hex digits.
    pub info_hash: String,
    /// The file's name.
    pub name: String,
    /// The file's length.
    pub length: usize,
    /// The length of each piece but the last.
    pub piece_length: usize,
    /// The SHA-1 of each piece.
    pub pieces: Vec<[u8; HASH_LENGTH]>,
}

impl Torrent {
    /// Reads a `.torrent`.
    ///
    /// # Errors
    /// When it is none, or holds not exactly one file.
    pub fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let mut rest = bytes;
        let whole = read(&mut rest)?;
        ensure!(rest.is_empty(), "{} bytes after the torrent", rest.len());
        let info = whole.entry("info")?;
        let dictionary = info.dictionary()?;
        ensure!(
            !dictionary.contains_key("files".as_bytes()),
            "the torrent has a list of files, expected one file"
        );
        let hashes = info.entry("pieces")?.bytes()?;
        ensure!(
            hashes.len() % HASH_LENGTH == 0,
            "{} bytes of piece hashes",
            hashes.len()
        );
        let torrent = Self {
            info_hash: HEXLOWER.encode(&Sha1::digest(info.raw)),
            name: String::from_utf8(info.entry("name")?.bytes()?.to_vec())
                .context("the name is not UTF-8")?,
            length: info.entry("length")?.number()?,
            piece_length: info.entry("piece length")?.number()?,
            pieces: hashes.as_chunks().0.to_vec(),
        };
        ensure!(torrent.piece_length > 0, "pieces of no length");
        let expected = torrent.length.div_ceil(torrent.piece_length);
        ensure!(
            torrent.pieces.len() == expected,
            "{} pieces, expected {expected}",
            torrent.pieces.len()
        );
        Ok(torrent)
    }

    /// Fetches every piece from a web seed with a range of its own and checks its hash; returns the whole file.
    ///
    /// # Errors
    /// When a piece is missing, has another length or another hash.
    pub async fn fetch_from(&self, web_seed: &str) -> anyhow::Result<Vec<u8>> {
        let stranger = Api::visitor(String::new());
        let mut file = Vec::with_capacity(self.length);
        for (index, hash) in self.pieces.iter().enumerate() {
            let start = index * self.piece_length;
            let end = (start + self.piece_length).min(self.length) - 1;
            let answer = stranger
                .get_range(web_seed, &format!("bytes={start}-{end}"))
                .await?
                .status(206)?;
            let range = answer.header("content-range");
            let expected = format!("bytes {start}-{end}/{}", self.length);
            ensure!(
                range == expected,
                "content-range of {web_seed} is `{range}`, expected `{expected}`"
            );
            ensure!(
                Sha1::digest(&answer.body).as_slice() == hash,
                "piece {index} of {web_seed} has another hash"
            );
            file.extend_from_slice(&answer.body);
        }
        Ok(file)
    }
}

/// What came of adding a magnet.
#[derive(Debug)]
pub struct Added {
    /// The magnet's parts.
    pub magnet: Magnet,
    /// The torrent it names.
    pub torrent: Torrent,
    /// The whole file, each piece checked.
    pub file: Vec<u8>,
}

/// Adds a magnet: fetches its torrent, checks the info hash, and fetches every piece from its web seed.
///
/// # Errors
/// When any of this fails.
pub async fn add(link: &str) -> anyhow::Result<Added> {
    let magnet = Magnet::parse(link)?;
    let source = magnet
        .torrents
        .first()
        .context("the magnet says not where its torrent is")?;
    let answer = Api::visitor(String::new()).get(source).await?.status(200)?;
    let torrent = Torrent::parse(&answer.body).with_context(|| format!("{source} is no torrent"))?;
    ensure!(
        torrent.info_hash == magnet.info_hash,
        "{source} has info hash {}, not {}",
        torrent.info_hash,
        link
    );
    let web_seed = magnet.web_seeds.first().context("the magnet has no web seed")?;
    let file = torrent.fetch_from(web_seed).await?;
    Ok(Added {
        magnet,
        torrent,
        file,
    })
}

/// A bencoded value, with the bytes it stands for.
struct Bencoded<'a> {
    raw: &'a [u8],
    value: Kind<'a>,
}

enum Kind<'a> {
    Number(usize),
    Bytes(&'a [u8]),
    List,
    Dictionary(BTreeMap<&'a [u8], Bencoded<'a>>),
}

impl<'a> Bencoded<'a> {
    fn dictionary(&self) -> anyhow::Result<&BTreeMap<&'a [u8], Self>> {
        match &self.value {
            Kind::Dictionary(entries) => Ok(entries),
            _ => bail!("not a dictionary"),
        }
    }

    fn entry(&self, name: &str) -> anyhow::Result<&Self> {
        self.dictionary()?
            .get(name.as_bytes())
            .with_context(|| format!("no entry `{name}`"))
    }

    fn bytes(&self) -> anyhow::Result<&'a [u8]> {
        match self.value {
            Kind::Bytes(bytes) => Ok(bytes),
            _ => bail!("not a string"),
        }
    }

    fn number(&self) -> anyhow::Result<usize> {
        match self.value {
            Kind::Number(number) => Ok(number),
            _ => bail!("not a number"),
        }
    }
}

/// Reads one value and moves `rest` behind it. Sizes in torrents are never negative, so numbers are not either.
fn read<'a>(rest: &mut &'a [u8]) -> anyhow::Result<Bencoded<'a>> {
    fn until<'a>(rest: &mut &'a [u8], end: u8) -> anyhow::Result<&'a str> {
        let at = rest
            .iter()
            .position(|byte| *byte == end)
            .context("the torrent breaks off")?;
        let (text, after) = rest.split_at(at);
        *rest = &after[1..];
        Ok(std::str::from_utf8(text)?)
    }

    let begin = *rest;
    let value = match begin.first() {
        Some(b'i') => {
            *rest = &begin[1..];
            Kind::Number(until(rest, b'e')?.parse().context("not a size")?)
        }
        Some(b'l') => {
            *rest = &begin[1..];
            while rest.first() != Some(&b'e') {
                read(rest)?;
            }
            *rest = &rest[1..];
            Kind::List
        }
        Some(b'd') => {
            *rest = &begin[1..];
            let mut entries = BTreeMap::new();
            while rest.first() != Some(&b'e') {
                let key = read(rest)?.bytes()?;
                ensure!(
                    entries.last_key_value().is_none_or(|(last, _)| *last < key),
                    "keys are not in order"
                );
                entries.insert(key, read(rest)?);
            }
            *rest = &rest[1..];
            Kind::Dictionary(entries)
        }
        Some(byte) if byte.is_ascii_digit() => {
            let length: usize = until(rest, b':')?.parse()?;
            ensure!(length <= rest.len(), "the torrent breaks off");
            let (bytes, after) = rest.split_at(length);
            *rest = after;
            Kind::Bytes(bytes)
        }
        _ => bail!("not a torrent"),
    };
    Ok(Bencoded {
        raw: &begin[..begin.len() - rest.len()],
        value,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn the_info_hash_is_of_the_bytes_as_they_stand() {
        let info = b"d6:lengthi5e4:name5:a.mp412:piece lengthi4e6:pieces40:aaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbe";
        let file = [
            b"d8:announce1:x13:announce-listll1:xee4:info".as_slice(),
            info,
            b"e",
        ]
        .concat();
        let torrent = Torrent::parse(&file).unwrap();
        assert_eq!(torrent.info_hash, HEXLOWER.encode(&Sha1::digest(info)));
        assert_eq!((torrent.length, torrent.piece_length), (5, 4));
        assert_eq!(torrent.pieces, [[b'a'; 20], [b'b'; 20]]);
    }

    #[test]
    fn what_is_no_torrent_is_refused() {
        for bytes in [
            "",
            "d",
            "i5e",
            "d4:info",
            "d4:infodee",
            "x",
            "d4:infod6:lengthi-1eee",
            "9:a",
            "l",
        ] {
            assert!(Torrent::parse(bytes.as_bytes()).is_err(), "{bytes}");
        }
    }

    #[test]
    fn a_magnet_is_taken_apart() {
        let hash = "0123456789abcdef0123456789abcdef01234567";
        let link = format!(
            "magnet:?xt=urn:btih:{hash}&dn=a.mp4&tr=ws%3A%2F%2Fh%2Ft&ws=http%3A%2F%2Fh%2Fw&xs=http%3A%2F%2Fh%2Fx"
        );
        let magnet = Magnet::parse(&link).unwrap();
        assert_eq!(magnet.info_hash, hash);
        assert_eq!(magnet.trackers, ["ws://h/t"]);
        assert_eq!(
            (magnet.web_seeds, magnet.torrents),
            (vec!["http://h/w".to_owned()], vec!["http://h/x".to_owned()])
        );
        for link in ["", "http://x", "magnet:?dn=a", "magnet:?xt=urn:btih:123"] {
            assert!(Magnet::parse(link).is_err(), "{link}");
        }
    }
}
