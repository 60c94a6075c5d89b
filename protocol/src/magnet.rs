//! Magnet links: a torrent's info hash, and where to begin looking for it.
//!
//! All pods show the same link for one video, so the text is canonical: keys in the order `xt`, `dn`, `tr`, `ws`, `xs`, the
//! hash in lower-case hex, and everything percent-encoded but RFC 3986's unreserved characters. Reading is generous
//! (unknown keys, any order, base32 hashes) and bounded.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::ids::InfoHash;

/// Longest magnet link read, in bytes.
pub const MAX_MAGNET_LEN: usize = 16 << 10;
/// Most addresses of one kind that are kept; more are ignored.
pub const MAX_ADDRESSES: usize = 32;

/// Everything but letters, digits and `-._~` (RFC 3986 §2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What a magnet link says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Magnet {
    /// The torrent (`xt`).
    pub info_hash: InfoHash,
    /// What to call it before its torrent file is known (`dn`); empty when the link has none.
    pub name: String,
    /// Trackers (`tr`).
    pub trackers: Vec<String>,
    /// Web seeds (`ws`).
    pub web_seeds: Vec<String>,
    /// Where the torrent file is (`xs`); by far the fastest way to start.
    pub sources: Vec<String>,
}

impl fmt::Display for Magnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "magnet:?xt=urn:btih:{}", self.info_hash)?;
        if !self.name.is_empty() {
            write!(f, "&dn={}", utf8_percent_encode(&self.name, ENCODED))?;
        }
        for (key, addresses) in [
            ("tr", &self.trackers),
            ("ws", &self.web_seeds),
            ("xs", &self.sources),
        ] {
            for address in addresses {
                write!(f, "&{key}={}", utf8_percent_encode(address, ENCODED))?;
            }
        }
        Ok(())
    }
}

/// Why a text is no magnet link to a torrent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MagnetError {
    /// It is longer than [`MAX_MAGNET_LEN`].
    #[error("magnet link has {0} bytes, at most {MAX_MAGNET_LEN} are read")]
    TooLong(usize),
    /// It does not begin with `magnet:?`.
    #[error("magnet link begins with `{0}`, expected `magnet:?`")]
    Scheme(String),
    /// A value is not percent-encoded UTF-8.
    #[error("magnet link has a value that is not percent-encoded UTF-8: `{0}`")]
    Encoding(String),
    /// No `xt` names a version 1 torrent.
    #[error("magnet link has no `xt=urn:btih:`")]
    NoHash,
    /// The info hash has neither 40 hex digits nor 32 base32 digits.
    #[error("info hash `{text}` has {} characters, expected 40 hex or 32 base32 digits", text.chars().count())]
    HashLength {
        /// What stands there.
        text: String,
    },
    /// The info hash has the right length, but a digit that is none.
    #[error("info hash `{text}` has a character that is no digit")]
    HashDigit {
        /// What stands there.
        text: String,
    },
}

impl FromStr for Magnet {
    type Err = MagnetError;

    fn from_str(text: &str) -> Result<Self, MagnetError> {
        const SCHEME: &str = "magnet:?";
        if text.len() > MAX_MAGNET_LEN {
            return Err(MagnetError::TooLong(text.len()));
        }
        let query = match text.split_at_checked(SCHEME.len()) {
            Some((scheme, query)) if scheme.eq_ignore_ascii_case(SCHEME) => query,
            _ => return Err(MagnetError::Scheme(text.chars().take(SCHEME.len()).collect())),
        };

        let (mut info_hash, mut name) = (None, String::new());
        let (mut trackers, mut web_seeds, mut sources) = (Vec::new(), Vec::new(), Vec::new());
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let keep = |into: &mut Vec<String>| {
                if into.len() < MAX_ADDRESSES {
                    into.push(unescape(value)?);
                }
                Ok(())
            };
            match key {
                "xt" if info_hash.is_none() => info_hash = exact_topic(&unescape(value)?)?,
                "dn" if name.is_empty() => name = unescape(value)?,
                "tr" => keep(&mut trackers)?,
                "ws" => keep(&mut web_seeds)?,
                "xs" => keep(&mut sources)?,
                _ => {}
            }
        }
        Ok(Self {
            info_hash: info_hash.ok_or(MagnetError::NoHash)?,
            name,
            trackers,
            web_seeds,
            sources,
        })
    }
}

/// Reads `urn:btih:…`; another kind of topic gives `None`.
fn exact_topic(topic: &str) -> Result<Option<InfoHash>, MagnetError> {
    const PREFIX: &str = "urn:btih:";
    let text = match topic.split_at_checked(PREFIX.len()) {
        Some((prefix, text)) if prefix.eq_ignore_ascii_case(PREFIX) => text,
        _ => return Ok(None),
    };
    let decoded = match text.len() {
        40 => data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()),
        32 => data_encoding::BASE32.decode(text.to_ascii_uppercase().as_bytes()),
        _ => {
            return Err(MagnetError::HashLength {
                text: text.to_owned(),
            });
        }
    };
    let bytes = decoded.ok().and_then(|bytes| <[u8; 20]>::try_from(bytes).ok());
    let bytes = bytes.ok_or_else(|| MagnetError::HashDigit {
        text: text.to_owned(),
    })?;
    Ok(Some(InfoHash::from_bytes(bytes)))
}

fn unescape(value: &str) -> Result<String, MagnetError> {
    let refused = || MagnetError::Encoding(value.to_owned());
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('%') {
        let digits = after
            .as_bytes()
            .get(..2)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        digits.ok_or_else(refused)?;
        rest = after;
    }
    percent_decode_str(value)
        .decode_utf8()
        .map(String::from)
        .map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef01234567";

    fn hash(hex: &str) -> InfoHash {
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
        InfoHash::from_bytes(bytes.try_into().unwrap())
    }

    #[test]
    fn golden_link() {
        let magnet = Magnet {
            info_hash: hash(HEX),
            name: "Größe & co+1.mp4".into(),
            trackers: vec!["ws://localhost:9003/tracker/socket".into()],
            web_seeds: vec!["http://localhost:9003/static/webseed/a-720.mp4".into()],
            sources: vec!["http://localhost:9003/static/torrents/a-720.torrent".into()],
        };
        let text = "magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567&dn=Gr%C3%B6%C3%9Fe%20%26%20co%2B1.mp4\
            &tr=ws%3A%2F%2Flocalhost%3A9003%2Ftracker%2Fsocket\
            &ws=http%3A%2F%2Flocalhost%3A9003%2Fstatic%2Fwebseed%2Fa-720.mp4\
            &xs=http%3A%2F%2Flocalhost%3A9003%2Fstatic%2Ftorrents%2Fa-720.torrent";
        assert_eq!(magnet.to_string(), text);
        assert_eq!(text.parse(), Ok(magnet));
    }

    #[test]
    fn any_order_unknown_keys_upper_case_and_base32_are_read() {
        let base32 = data_encoding::BASE32.encode(hash(HEX).as_bytes());
        for text in [
            format!(
                "MAGNET:?tr=ws:a&xt=urn:sha1:ABC&x.pe=1&xt=urn:btih:{}&dn=b",
                HEX.to_uppercase()
            ),
            format!("magnet:?dn=b&tr=ws:a&tr.1=c&xt=urn%3Abtih%3A{base32}&flag"),
            format!("magnet:?dn=b&tr=ws:a&xt=URN:BTIH:{}", base32.to_lowercase()),
        ] {
            let magnet: Magnet = text.parse().unwrap();
            assert_eq!(magnet.info_hash, hash(HEX), "{text}");
            assert_eq!(
                (magnet.name.as_str(), magnet.trackers),
                ("b", vec!["ws:a".to_owned()]),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |text: &str| text.parse::<Magnet>().unwrap_err();
        assert_eq!(error("http://a"), MagnetError::Scheme("http://a".into()));
        assert_eq!(error(""), MagnetError::Scheme(String::new()));
        assert_eq!(error("magnet:?dn=a"), MagnetError::NoHash);
        assert_eq!(error("magnet:?xt=urn:btmh:1220aa"), MagnetError::NoHash);
        assert_eq!(
            error("magnet:?xt=urn:btih:abc").to_string(),
            "info hash `abc` has 3 characters, expected 40 hex or 32 base32 digits"
        );
        assert!(matches!(
            error(&format!("magnet:?xt=urn:btih:{}", "z".repeat(40))),
            MagnetError::HashDigit { .. }
        ));
        for bad in ["%", "%4", "%zz", "a%+1b", "%ff", "%é"] {
            assert_eq!(
                error(&format!("magnet:?xt=urn:btih:{HEX}&dn={bad}")),
                MagnetError::Encoding(bad.into())
            );
        }
        assert_eq!(
            error(&"m".repeat(MAX_MAGNET_LEN + 1)),
            MagnetError::TooLong(MAX_MAGNET_LEN + 1)
        );
    }

    #[test]
    fn addresses_are_capped() {
        let text = format!("magnet:?xt=urn:btih:{HEX}{}", "&tr=ws:a".repeat(100));
        assert_eq!(text.parse::<Magnet>().unwrap().trackers.len(), MAX_ADDRESSES);
    }

    proptest! {
        #[test]
        fn links_survive_a_round_trip(
            bytes: [u8; 20],
            name in ".{0,40}",
            trackers in proptest::collection::vec(".{0,40}", 0..4),
            web_seeds in proptest::collection::vec(".{0,40}", 0..4),
            sources in proptest::collection::vec(".{0,40}", 0..4),
        ) {
            let magnet = Magnet { info_hash: InfoHash::from_bytes(bytes), name, trackers, web_seeds, sources };
            let text = magnet.to_string();
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(text.parse(), Ok(magnet));
        }

        #[test]
        fn any_text_gives_a_magnet_or_an_error(text in "(magnet:\\?)?(xt=urn:btih:[0-9a-f]{38,41})?.{0,60}") {
            let _ = text.parse::<Magnet>();
        }
    }
}
