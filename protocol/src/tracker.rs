//! The WebTorrent tracker protocol: JSON messages over a WebSocket by which browsers find each other. What BitTorrent clients say
//! to the same tracker is in [`http`] and [`udp`].
//!
//! Its peculiarity are the binary strings: info hashes, peer ids and offer ids travel as JSON strings of exactly 20
//! characters U+0000 to U+00FF, one for each byte, whatever way they are escaped. Offers and answers are relayed as the JSON
//! text they arrived in ([`RawValue`]), never taken apart.
//!
//! Two rules come from how clients behave. A reply without `action` makes a client drop its socket for good, so
//! every [`ServerMessage::Failure`] has one, also the failure to understand a message ([`ParseError`]). And a scrape
//! without an entry for a hash that was asked for makes a client warn, so unknown hashes are answered with zeros.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use self::json::{
    AnnounceText, AnswerText, Binary, FailureText, Fields, Files, Flags, RelayText, ReplyText,
    ScrapeReplyText, ScrapeText, salvage, to_json,
};
use crate::ids::InfoHash;

pub mod http;
pub mod udp;

mod json;

/// Longest message read, in bytes.
pub const MAX_MESSAGE_LEN: usize = 64 << 10;
/// Most offers taken of one announce; the rest is passed over. Clients send 5.
pub const MAX_OFFERS: usize = 10;
/// Longest JSON text of one offer or answer, in bytes. Chromium's have about 1,000.
pub const MAX_SDP_LEN: usize = crate::limits::SESSION_MAX;
/// Most info hashes taken of one scrape; the rest is passed over.
pub const MAX_SCRAPED: usize = 74;
/// Longest text of a parser's complaint that is sent back, in characters.
const MAX_COMPLAINT: usize = 160;

macro_rules! binary_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 20]);

        impl $name {
            /// The id with these bytes; every sequence is an id.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 20]) -> Self {
                Self(bytes)
            }

            /// The bytes of the id.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 20] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Binary(self.0).serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Binary::deserialize(deserializer).map(|binary| Self(binary.0))
            }
        }
    };
}

binary_id! {
    /// What a WebTorrent client calls itself within swarms. Chosen by the client, shown to every peer it talks to: no secret.
    PeerId
}
binary_id! {
    /// What a client calls one of its offers, so that it recognises the answer.
    OfferId
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Taking part in a swarm; offers and answers are announces too.
    #[default]
    Announce,
    /// Asking for the size of swarms.
    Scrape,
}

/// What happened to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// It has begun.
    Started,
    /// It has everything now.
    Completed,
    /// It leaves.
    Stopped,
    /// Nothing; it is still there. Also the meaning of an empty or absent event.
    #[default]
    Update,
    /// It has all it wants, though not everything (BEP 21).
    Paused,
}

impl FromStr for Event {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "started" => Ok(Self::Started),
            "completed" => Ok(Self::Completed),
            "stopped" => Ok(Self::Stopped),
            "update" | "empty" | "" => Ok(Self::Update),
            "paused" => Ok(Self::Paused),
            _ => Err(()),
        }
    }
}

/// One WebRTC offer of an announce.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Offer {
    /// The session description, as the client wrote it: a JSON object.
    pub offer: Box<RawValue>,
    /// The client's name for it.
    pub offer_id: OfferId,
}

/// "I take part in this swarm."
#[derive(Debug, Clone)]
pub struct Announce {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Who speaks.
    pub peer_id: PeerId,
    /// What happened.
    pub event: Event,
    /// Bytes the peer still wants; `None` when it does not know, as with a magnet link before its metadata arrived.
    pub left: Option<u64>,
    /// At most [`MAX_OFFERS`], to be handed to that many other peers.
    pub offers: Vec<Offer>,
}

/// "I answer that offer."
#[derive(Debug, Clone)]
pub struct Answer {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Who speaks.
    pub peer_id: PeerId,
    /// Who made the offer.
    pub to_peer_id: PeerId,
    /// Which offer is answered.
    pub offer_id: OfferId,
    /// The session description, as the client wrote it: a JSON object.
    pub answer: Box<RawValue>,
}

/// "How large are these swarms?"
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scrape {
    /// At least one and at most [`MAX_SCRAPED`] torrents.
    pub info_hashes: Vec<InfoHash>,
}

/// What a client says to a tracker.
#[derive(Debug, Clone)]
pub enum ClientMessage {
    /// It takes part in a swarm, or leaves it.
    Announce(Announce),
    /// It answers an offer.
    Answer(Answer),
    /// It asks for sizes.
    Scrape(Scrape),
}

/// What is wrong with a client's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseReason {
    /// It is longer than [`MAX_MESSAGE_LEN`].
    #[error("message has {0} bytes, at most {MAX_MESSAGE_LEN} are read")]
    TooLong(usize),
    /// It is not JSON, or a field has the wrong type.
    #[error("invalid message: {0}")]
    Json(String),
    /// Neither `announce` nor `scrape`.
    #[error("invalid action `{0}`, expected `announce` or `scrape`")]
    Action(String),
    /// An event nobody knows.
    #[error("invalid event `{0}`")]
    Event(String),
    /// A field that must be there is not.
    #[error("missing `{0}`")]
    Missing(&'static str),
    /// An offer or answer is no JSON object, or longer than [`MAX_SDP_LEN`].
    #[error("session description of {0} bytes is no object of at most {MAX_SDP_LEN} bytes")]
    Description(usize),
}

/// A message that was not understood, with what must be echoed so that the client copes with the failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ParseError {
    /// What the message seems to be about; `announce` in doubt.
    pub action: Action,
    /// The torrent it names, if it could be found.
    pub info_hash: Option<InfoHash>,
    /// What is wrong.
    pub reason: ParseReason,
}

impl From<ParseError> for ServerMessage {
    fn from(error: ParseError) -> Self {
        Self::Failure {
            action: error.action,
            info_hash: error.info_hash,
            reason: error.to_string(),
        }
    }
}

impl ClientMessage {
    /// Reads a message. Time and memory are bounded by [`MAX_MESSAGE_LEN`]; longer texts are not looked at.
    ///
    /// # Errors
    /// When it is too long, not JSON, or not a message of the protocol.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let fail = |reason| {
            let (action, info_hash) = salvage(text);
            ParseError {
                action,
                info_hash,
                reason,
            }
        };
        if text.len() > MAX_MESSAGE_LEN {
            let reason = ParseReason::TooLong(text.len());
            return Err(ParseError {
                action: Action::default(),
                info_hash: None,
                reason,
            });
        }
        let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| {
            fail(ParseReason::Json(
                error.to_string().chars().take(MAX_COMPLAINT).collect(),
            ))
        })?;
        fields.check().map_err(fail)
    }

    /// The text a client sends.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Announce(Announce {
                info_hash,
                peer_id,
                event,
                left,
                offers,
            }) => to_json(&AnnounceText {
                action: Action::Announce,
                info_hash: Binary(*info_hash.as_bytes()),
                peer_id: *peer_id,
                event: *event,
                left: *left,
                numwant: offers.len(),
                offers,
            }),
            Self::Answer(Answer {
                info_hash,
                peer_id,
                to_peer_id,
                offer_id,
                answer,
            }) => to_json(&AnswerText {
                action: Action::Announce,
                info_hash: Binary(*info_hash.as_bytes()),
                peer_id: *peer_id,
                to_peer_id: *to_peer_id,
                offer_id: *offer_id,
                answer,
            }),
            Self::Scrape(Scrape { info_hashes }) => to_json(&ScrapeText {
                action: Action::Scrape,
                info_hash: info_hashes.iter().map(|hash| Binary(*hash.as_bytes())).collect(),
            }),
        }
    }
}

/// The size of one swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct SwarmCounts {
    /// Peers that have everything.
    pub complete: u32,
    /// Peers that do not.
    pub incomplete: u32,
    /// How many completed while this tracker watched.
    pub downloaded: u32,
}

/// What a tracker says to a client.
#[derive(Debug, Clone)]
pub enum ServerMessage {
    /// The reply to an announce.
    AnnounceReply {
        /// The torrent.
        info_hash: InfoHash,
        /// When to announce again, in seconds.
        interval: u32,
        /// Peers that have everything.
        complete: u32,
        /// Peers that do not.
        incomplete: u32,
        /// Those of both that came over WebSocket, the asker among them: people in front of a page, where seeding pods and
        /// BitTorrent clients are none. Ours alone; clients that do not know it pass over it.
        viewers: u32,
    },
    /// Another peer's offer.
    Offer {
        /// The torrent.
        info_hash: InfoHash,
        /// Who made the offer.
        peer_id: PeerId,
        /// Its name for the offer.
        offer_id: OfferId,
        /// The offer, untouched.
        offer: Box<RawValue>,
    },
    /// Another peer's answer.
    Answer {
        /// The torrent.
        info_hash: InfoHash,
        /// Who answers.
        peer_id: PeerId,
        /// Which offer.
        offer_id: OfferId,
        /// The answer, untouched.
        answer: Box<RawValue>,
    },
    /// The reply to a scrape, with an entry for every hash that was asked for.
    ScrapeReply {
        /// Sizes by torrent; no torrent twice.
        files: Vec<(InfoHash, SwarmCounts)>,
        /// When to ask again at the earliest, in seconds.
        min_request_interval: u32,
    },
    /// What was asked for is refused.
    Failure {
        /// What it was about.
        action: Action,
        /// Which torrent, if known.
        info_hash: Option<InfoHash>,
        /// Why, for people.
        reason: String,
    },
}

impl ServerMessage {
    /// The text a tracker sends.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::AnnounceReply {
                info_hash,
                interval,
                complete,
                incomplete,
                viewers,
            } => to_json(&ReplyText {
                action: Action::Announce,
                info_hash: Binary(*info_hash.as_bytes()),
                interval: *interval,
                complete: *complete,
                incomplete: *incomplete,
                viewers: *viewers,
            }),
            Self::Offer {
                info_hash,
                peer_id,
                offer_id,
                offer,
            } => to_json(&RelayText {
                action: Action::Announce,
                info_hash: Binary(*info_hash.as_bytes()),
                peer_id: *peer_id,
                offer_id: *offer_id,
                offer: Some(offer),
                answer: None,
            }),
            Self::Answer {
                info_hash,
                peer_id,
                offer_id,
                answer,
            } => to_json(&RelayText {
                action: Action::Announce,
                info_hash: Binary(*info_hash.as_bytes()),
                peer_id: *peer_id,
                offer_id: *offer_id,
                offer: None,
                answer: Some(answer),
            }),
            Self::ScrapeReply {
                files,
                min_request_interval,
            } => to_json(&ScrapeReplyText {
                action: Action::Scrape,
                files: Files(files),
                flags: Flags {
                    min_request_interval: *min_request_interval,
                },
            }),
            Self::Failure {
                action,
                info_hash,
                reason,
            } => to_json(&FailureText {
                action: *action,
                info_hash: info_hash.map(|hash| Binary(*hash.as_bytes())),
                reason,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const HASH: &str = "\\u0000\\u001f\\\"\\\\é\u{ff}\\u00ffabcdefghijklm";
    const HASH_BYTES: [u8; 20] = *b"\x00\x1f\"\\\xe9\xff\xffabcdefghijklm";
    const PEER: &str = "-WW0201-abcdefghijkl";

    fn announce(text: &str) -> Announce {
        match ClientMessage::parse(text).unwrap() {
            ClientMessage::Announce(announce) => announce,
            other => panic!("{other:?}"),
        }
    }

    fn refusal(text: &str) -> ParseReason {
        ClientMessage::parse(text).unwrap_err().reason
    }

    /// An announce with these fields beside the obligatory ones.
    fn with(fields: &str) -> String {
        format!(r#"{{"action":"announce","info_hash":"{HASH}","peer_id":"{PEER}"{fields}}}"#)
    }

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.into()).unwrap()
    }

    #[test]
    fn an_announce_of_a_browser_is_read() {
        let read = announce(&with(
            r#","numwant":5,"uploaded":0,"downloaded":0,"left":null,"event":"started","trackerid":"x","offers":[{"offer":{"type":"offer","sdp":"v=0\r\n"},"offer_id":"01234567890123456789"}]"#,
        ));
        assert_eq!(read.info_hash.as_bytes(), &HASH_BYTES);
        assert_eq!(read.peer_id.as_bytes(), PEER.as_bytes());
        assert_eq!((read.event, read.left), (Event::Started, None));
        assert_eq!(read.offers[0].offer.get(), r#"{"type":"offer","sdp":"v=0\r\n"}"#);
        assert_eq!(read.offers[0].offer_id.as_bytes(), b"01234567890123456789");
    }

    #[test]
    fn escaped_and_plain_binary_strings_are_the_same() {
        let every: Vec<u8> = (0..=255).collect();
        for bytes in every.chunks_exact(20) {
            let escaped: String = bytes.iter().map(|byte| format!("\\u{byte:04x}")).collect();
            let plain =
                serde_json::to_string(&bytes.iter().map(|&byte| char::from(byte)).collect::<String>())
                    .unwrap();
            for json in [format!("\"{escaped}\""), plain] {
                let id: PeerId = serde_json::from_str(&json).unwrap();
                assert_eq!(id.as_bytes(), bytes);
                assert_eq!(
                    serde_json::from_str::<PeerId>(&serde_json::to_string(&id).unwrap()).unwrap(),
                    id
                );
            }
        }
    }

    #[test]
    fn binary_strings_have_20_characters_up_to_ff() {
        for bad in [
            "",
            "1234567890123456789",
            "123456789012345678901",
            "1234567890123456789Ā",
            "1234567890123456789😀",
        ] {
            assert!(serde_json::from_value::<PeerId>(json!(bad)).is_err(), "{bad}");
        }
        assert!(
            serde_json::from_str::<PeerId>(r#""1234567890123456789\ud800""#).is_err(),
            "half a surrogate pair"
        );
        assert!(serde_json::from_value::<PeerId>(json!([0, 1])).is_err());
    }

    #[test]
    fn left_is_a_number_null_or_absent() {
        for (json, left) in [
            ("", None),
            (r#","left":null"#, None),
            (r#","left":0"#, Some(0)),
            (r#","left":0.0"#, Some(0)),
            (r#","left":7"#, Some(7)),
            (r#","left":1e300"#, Some(u64::MAX)),
            (r#","left":-1"#, Some(u64::MAX)),
        ] {
            assert_eq!(announce(&with(json)).left, left, "{json}");
        }
        assert!(matches!(refusal(&with(r#","left":"0""#)), ParseReason::Json(_)));
    }

    #[test]
    fn events_are_read() {
        for (json, event) in [
            ("", Event::Update),
            (r#","event":null"#, Event::Update),
            (r#","event":"""#, Event::Update),
            (r#","event":"empty""#, Event::Update),
            (r#","event":"update""#, Event::Update),
            (r#","event":"paused""#, Event::Paused),
            (r#","event":"stopped""#, Event::Stopped),
            (r#","event":"completed""#, Event::Completed),
        ] {
            assert_eq!(announce(&with(json)).event, event, "{json}");
        }
        assert_eq!(
            refusal(&with(r#","event":"exploded""#)),
            ParseReason::Event("exploded".into())
        );
    }

    #[test]
    fn offers_may_be_absent_and_are_capped() {
        for none in ["", r#","offers":null"#, r#","offers":[]"#] {
            assert!(announce(&with(none)).offers.is_empty());
        }
        let offer = r#"{"offer":{"sdp":"é"},"offer_id":"01234567890123456789"}"#;
        let many = with(&format!(r#","offers":[{}]"#, [offer; 30].join(",")));
        assert_eq!(announce(&many).offers.len(), MAX_OFFERS);
    }

    #[test]
    fn descriptions_are_objects_of_bounded_size() {
        let offer = |json: &str| {
            with(&format!(
                r#","offers":[{{"offer":{json},"offer_id":"01234567890123456789"}}]"#
            ))
        };
        let object = |len: usize| format!(r#"{{"sdp":"{}"}}"#, "x".repeat(len - 10));
        assert_eq!(announce(&offer(&object(MAX_SDP_LEN))).offers.len(), 1);
        assert_eq!(
            refusal(&offer(&object(MAX_SDP_LEN + 1))),
            ParseReason::Description(MAX_SDP_LEN + 1)
        );
        assert_eq!(refusal(&offer("5")), ParseReason::Description(1));
        let answer =
            with(r#","answer":"x","to_peer_id":"01234567890123456789","offer_id":"01234567890123456789""#);
        assert_eq!(refusal(&answer), ParseReason::Description(3));
    }

    #[test]
    fn scrapes_name_one_torrent_or_several() {
        let scrape = |json: &str| ClientMessage::parse(&format!(r#"{{"action":"scrape"{json}}}"#));
        let hashes = |json: &str| match scrape(json).unwrap() {
            ClientMessage::Scrape(scrape) => scrape.info_hashes,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            hashes(&format!(r#","info_hash":"{HASH}""#)),
            [InfoHash::from_bytes(HASH_BYTES)]
        );
        let many = format!(r#","info_hash":[{}]"#, vec![format!("\"{HASH}\""); 200].join(","));
        assert_eq!(hashes(&many).len(), MAX_SCRAPED);
        for none in ["", r#","info_hash":null"#, r#","info_hash":[]"#] {
            let error = scrape(none).unwrap_err();
            assert_eq!(
                (error.action, error.reason),
                (Action::Scrape, ParseReason::Missing("info_hash"))
            );
        }
    }

    #[test]
    fn every_failure_has_an_action_and_the_hash_if_it_is_known() {
        for (text, has_hash) in [
            ("", false),
            ("[]", false),
            ("{}", false),
            (r#"{"action":7}"#, false),
            (&with(r#","event":"exploded""#), true),
            (&with(r#","left":"x""#), true),
            (&with(r#","offers":5"#), true),
            (&format!(r#"{{"info_hash":"{HASH}"}}"#), true),
            (&format!(r#"{{"action":"dance","info_hash":"{HASH}"}}"#), true),
            (&format!(r#"{{"action":"announce","info_hash":"{HASH}"}}"#), true),
            (&with(r#","answer":{}"#), true),
            (&"x".repeat(MAX_MESSAGE_LEN + 1), false),
        ] {
            let failure = ServerMessage::from(ClientMessage::parse(text).unwrap_err()).to_text();
            let failure: Value = serde_json::from_str(&failure).unwrap();
            assert_eq!(failure["action"], "announce", "{text}");
            assert_eq!(failure.get("info_hash").is_some(), has_hash, "{text}");
            let reason = failure["failure reason"].as_str().unwrap();
            assert!(!reason.is_empty() && reason.chars().count() < 200, "{reason}");
        }
    }

    #[test]
    fn golden_server_messages() {
        let info_hash = InfoHash::from_bytes(*b"\x00\x7f\x80\xff\"bcdefghijklmnop");
        let hash = "\\u0000\u{7f}\u{80}\u{ff}\\\"bcdefghijklmnop";
        let peer_id = PeerId::from_bytes(*b"-WW0201-abcdefghijkl");
        let offer_id = OfferId::from_bytes(*b"01234567890123456789");
        let description = r#"{ "type":"offer", "sdp":"\u00e9" }"#;
        let from = r#""peer_id":"-WW0201-abcdefghijkl","offer_id":"01234567890123456789""#;
        for (message, expected) in [
            (
                ServerMessage::AnnounceReply {
                    info_hash,
                    interval: 120,
                    complete: 1,
                    incomplete: 2,
                    viewers: 3,
                },
                format!(
                    r#"{{"action":"announce","info_hash":"{hash}","interval":120,"complete":1,"incomplete":2,"viewers":3}}"#
                ),
            ),
            (
                ServerMessage::Offer {
                    info_hash,
                    peer_id,
                    offer_id,
                    offer: raw(description),
                },
                format!(r#"{{"action":"announce","info_hash":"{hash}",{from},"offer":{description}}}"#),
            ),
            (
                ServerMessage::Answer {
                    info_hash,
                    peer_id,
                    offer_id,
                    answer: raw("{}"),
                },
                format!(r#"{{"action":"announce","info_hash":"{hash}",{from},"answer":{{}}}}"#),
            ),
            (
                ServerMessage::ScrapeReply {
                    files: vec![(info_hash, SwarmCounts::default())],
                    min_request_interval: 60,
                },
                format!(
                    r#"{{"action":"scrape","files":{{"{hash}":{{"complete":0,"incomplete":0,"downloaded":0}}}},"flags":{{"min_request_interval":60}}}}"#
                ),
            ),
            (
                ServerMessage::Failure {
                    action: Action::Scrape,
                    info_hash: None,
                    reason: "no".into(),
                },
                r#"{"action":"scrape","failure reason":"no"}"#.into(),
            ),
        ] {
            assert_eq!(message.to_text(), expected);
        }
    }

    fn client_message() -> impl Strategy<Value = ClientMessage> {
        let hash = || any::<[u8; 20]>().prop_map(InfoHash::from_bytes);
        let peer = || any::<[u8; 20]>().prop_map(PeerId::from_bytes);
        let offer_id = || any::<[u8; 20]>().prop_map(OfferId::from_bytes);
        let description =
            || ".{0,40}".prop_map(|sdp| raw(&json!({ "type": "offer", "sdp": sdp }).to_string()));
        let event = prop_oneof![
            Just(Event::Started),
            Just(Event::Completed),
            Just(Event::Stopped),
            Just(Event::Update),
            Just(Event::Paused)
        ];
        let offer = (description(), offer_id()).prop_map(|(offer, offer_id)| Offer { offer, offer_id });
        let offers = proptest::collection::vec(offer, 0..=MAX_OFFERS);
        prop_oneof![
            (hash(), peer(), event, any::<Option<u64>>(), offers).prop_map(
                |(info_hash, peer_id, event, left, offers)| {
                    ClientMessage::Announce(Announce {
                        info_hash,
                        peer_id,
                        event,
                        left,
                        offers,
                    })
                }
            ),
            (hash(), peer(), peer(), offer_id(), description()).prop_map(
                |(info_hash, peer_id, to_peer_id, offer_id, answer)| {
                    ClientMessage::Answer(Answer {
                        info_hash,
                        peer_id,
                        to_peer_id,
                        offer_id,
                        answer,
                    })
                }
            ),
            proptest::collection::vec(hash(), 1..5)
                .prop_map(|info_hashes| ClientMessage::Scrape(Scrape { info_hashes })),
        ]
    }

    proptest! {
        #[test]
        fn client_messages_survive_a_round_trip(message in client_message()) {
            let text = message.to_text();
            let read = ClientMessage::parse(&text).unwrap();
            prop_assert_eq!(format!("{read:?}"), format!("{message:?}"));
            prop_assert_eq!(read.to_text(), text);
        }

        #[test]
        fn any_text_gives_a_message_or_an_error(text in ".{0,200}") {
            let _ = ClientMessage::parse(&text);
        }

        #[test]
        fn a_damaged_message_gives_a_message_or_an_error(message in client_message(), at: prop::sample::Index, char: char) {
            let mut chars: Vec<char> = message.to_text().chars().collect();
            let at = at.index(chars.len());
            chars[at] = char;
            let _ = ClientMessage::parse(&chars.into_iter().collect::<String>());
        }
    }

    #[test]
    fn deeply_nested_json_is_refused_without_harm() {
        let deep = with(&format!(r#","x":{}"#, "[".repeat(60_000)));
        assert!(matches!(refusal(&deep), ParseReason::Json(_)));
    }
}
