//! The JSON shapes of tracker messages: what serde needs to know, kept apart from what the messages mean.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, IgnoredAny, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{
    Action, Announce, Answer, ClientMessage, Event, MAX_OFFERS, MAX_SCRAPED, MAX_SDP_LEN, Offer, OfferId,
    ParseReason, PeerId, Scrape, SwarmCounts,
};
use crate::ids::InfoHash;

/// 20 bytes as a JSON string of 20 characters.
#[derive(Clone, Copy)]
pub(super) struct Binary(pub(super) [u8; 20]);

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Each byte becomes one or two bytes of UTF-8.
        let mut utf8 = [0; 40];
        let mut end = 0;
        for &byte in &self.0 {
            end += char::from(byte).encode_utf8(&mut utf8[end..]).len();
        }
        serializer.serialize_str(std::str::from_utf8(&utf8[..end]).expect("whole characters were written"))
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(BinaryVisitor)
    }
}

struct BinaryVisitor;

impl Visitor<'_> for BinaryVisitor {
    type Value = Binary;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a binary string of 20 characters up to U+00FF")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Binary, E> {
        let mut bytes = [0; 20];
        let mut chars = text.chars();
        for byte in &mut bytes {
            let char = chars.next().and_then(|char| u8::try_from(char).ok());
            *byte = char.ok_or_else(|| E::invalid_length(text.chars().count(), &self))?;
        }
        match chars.next() {
            None => Ok(Binary(bytes)),
            Some(_) => Err(E::invalid_length(text.chars().count(), &self)),
        }
    }
}

/// Every field a client's message may have; which of them are there says what message it is.
#[derive(Deserialize)]
pub(super) struct Fields<'a> {
    #[serde(default)]
    action: Option<Known<ActionName>>,
    #[serde(default)]
    info_hash: Hashes,
    #[serde(default)]
    peer_id: Option<PeerId>,
    #[serde(default)]
    to_peer_id: Option<PeerId>,
    #[serde(default)]
    event: Option<Known<Event>>,
    #[serde(default)]
    left: Option<Left>,
    #[serde(default)]
    offers: Option<Offers>,
    #[serde(default)]
    offer_id: Option<OfferId>,
    #[serde(default, borrow)]
    answer: Option<&'a RawValue>,
}

impl Fields<'_> {
    pub(super) fn check(self) -> Result<ClientMessage, ParseReason> {
        let action = match self.action.ok_or(ParseReason::Missing("action"))? {
            Known::Yes(ActionName(action)) => action,
            Known::No(name) => return Err(ParseReason::Action(name)),
        };
        let info_hashes = self.info_hash.0;
        let info_hash = *info_hashes.first().ok_or(ParseReason::Missing("info_hash"))?;
        if action == Action::Scrape {
            return Ok(ClientMessage::Scrape(Scrape { info_hashes }));
        }
        let peer_id = self.peer_id.ok_or(ParseReason::Missing("peer_id"))?;
        if let Some(answer) = self.answer {
            let to_peer_id = self.to_peer_id.ok_or(ParseReason::Missing("to_peer_id"))?;
            let offer_id = self.offer_id.ok_or(ParseReason::Missing("offer_id"))?;
            check_description(answer)?;
            let answer = answer.to_owned();
            return Ok(ClientMessage::Answer(Answer {
                info_hash,
                peer_id,
                to_peer_id,
                offer_id,
                answer,
            }));
        }
        let event = match self.event {
            None => Event::Update,
            Some(Known::Yes(event)) => event,
            Some(Known::No(name)) => return Err(ParseReason::Event(name)),
        };
        let left = self.left.map(|left| left.0);
        let offers = self.offers.map(|offers| offers.0).unwrap_or_default();
        offers
            .iter()
            .try_for_each(|offer| check_description(&offer.offer))?;
        Ok(ClientMessage::Announce(Announce {
            info_hash,
            peer_id,
            event,
            left,
            offers,
        }))
    }
}

fn check_description(json: &RawValue) -> Result<(), ParseReason> {
    let text = json.get();
    let fits = text.starts_with('{') && text.len() <= MAX_SDP_LEN;
    if fits {
        Ok(())
    } else {
        Err(ParseReason::Description(text.len()))
    }
}

/// Finds action and info hash in a message that is refused for another reason.
pub(super) fn salvage(text: &str) -> (Action, Option<InfoHash>) {
    #[derive(Deserialize)]
    struct Hints<'a> {
        #[serde(default, borrow)]
        action: Option<&'a RawValue>,
        #[serde(default, borrow)]
        info_hash: Option<&'a RawValue>,
    }
    let Ok(hints) = serde_json::from_str::<Hints<'_>>(text) else {
        return (Action::default(), None);
    };
    let action = hints
        .action
        .and_then(|json| serde_json::from_str(json.get()).ok());
    let hashes: Option<Hashes> = hints
        .info_hash
        .and_then(|json| serde_json::from_str(json.get()).ok());
    let action = match action {
        Some(Known::Yes(ActionName(action))) => action,
        _ => Action::default(),
    };
    (action, hashes.and_then(|hashes| hashes.0.first().copied()))
}

/// A word we know, or the beginning of one we do not: the message is understood either way, and can be refused in our words.
enum Known<T> {
    Yes(T),
    No(String),
}

impl<'de, T: FromStr> Deserialize<'de> for Known<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words<T>(std::marker::PhantomData<T>);

        impl<T: FromStr> Visitor<'_> for Words<T> {
            type Value = Known<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Known<T>, E> {
                Ok(text
                    .parse()
                    .map_or_else(|_| Known::No(text.chars().take(32).collect()), Known::Yes))
            }
        }
        deserializer.deserialize_str(Words(std::marker::PhantomData))
    }
}

struct ActionName(Action);

impl FromStr for ActionName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "announce" => Ok(Self(Action::Announce)),
            "scrape" => Ok(Self(Action::Scrape)),
            _ => Err(()),
        }
    }
}

/// One info hash, several, or none.
#[derive(Default)]
struct Hashes(Vec<InfoHash>);

impl<'de> Deserialize<'de> for Hashes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Hashes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an info hash or a list of them")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Hashes, E> {
                Ok(Hashes::default())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Hashes, E> {
                BinaryVisitor
                    .visit_str(text)
                    .map(|binary| Hashes(vec![InfoHash::from_bytes(binary.0)]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Hashes, A::Error> {
                let hashes = at_most(MAX_SCRAPED, list)?;
                Ok(Hashes(
                    hashes
                        .into_iter()
                        .map(|binary: Binary| InfoHash::from_bytes(binary.0))
                        .collect(),
                ))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

/// The first [`MAX_OFFERS`] of a list.
struct Offers(Vec<Offer>);

impl<'de> Deserialize<'de> for Offers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Offers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of offers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Offers, A::Error> {
                at_most(MAX_OFFERS, list).map(Offers)
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// Takes the first `most` values of a list and passes over the rest.
fn at_most<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(
    most: usize,
    mut list: A,
) -> Result<Vec<T>, A::Error> {
    let mut taken = Vec::new();
    while taken.len() < most {
        match list.next_element()? {
            Some(value) => taken.push(value),
            None => return Ok(taken),
        }
    }
    while list.next_element::<IgnoredAny>()?.is_some() {}
    Ok(taken)
}

/// A number of bytes, which JavaScript may write as a float.
struct Left(u64);

impl<'de> Deserialize<'de> for Left {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Left;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Left, E> {
                Ok(Left(number))
            }

            // What is not a whole number of bytes says only that something is left.
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Left, E> {
                Ok(Left(u64::MAX))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Left, E> {
                Ok(Left(if number == 0.0 { 0 } else { u64::MAX }))
            }
        }
        deserializer.deserialize_any(Number)
    }
}

pub(super) fn to_json(message: &impl Serialize) -> String {
    serde_json::to_string(message)
        .expect("strings, numbers and raw JSON under string keys can always be written")
}

#[derive(Serialize)]
pub(super) struct AnnounceText<'a> {
    pub(super) action: Action,
    pub(super) info_hash: Binary,
    pub(super) peer_id: PeerId,
    pub(super) event: Event,
    pub(super) left: Option<u64>,
    pub(super) numwant: usize,
    pub(super) offers: &'a [Offer],
}

#[derive(Serialize)]
pub(super) struct AnswerText<'a> {
    pub(super) action: Action,
    pub(super) info_hash: Binary,
    pub(super) peer_id: PeerId,
    pub(super) to_peer_id: PeerId,
    pub(super) offer_id: OfferId,
    pub(super) answer: &'a RawValue,
}

#[derive(Serialize)]
pub(super) struct ScrapeText {
    pub(super) action: Action,
    pub(super) info_hash: Vec<Binary>,
}

#[derive(Serialize)]
pub(super) struct ReplyText {
    pub(super) action: Action,
    pub(super) info_hash: Binary,
    pub(super) interval: u32,
    pub(super) complete: u32,
    pub(super) incomplete: u32,
    pub(super) viewers: u32,
}

#[derive(Serialize)]
pub(super) struct RelayText<'a> {
    pub(super) action: Action,
    pub(super) info_hash: Binary,
    pub(super) peer_id: PeerId,
    pub(super) offer_id: OfferId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) offer: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answer: Option<&'a RawValue>,
}

#[derive(Serialize)]
pub(super) struct ScrapeReplyText<'a> {
    pub(super) action: Action,
    pub(super) files: Files<'a>,
    pub(super) flags: Flags,
}

pub(super) struct Files<'a>(pub(super) &'a [(InfoHash, SwarmCounts)]);

impl Serialize for Files<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (info_hash, counts) in self.0 {
            map.serialize_entry(&Binary(*info_hash.as_bytes()), counts)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
pub(super) struct Flags {
    pub(super) min_request_interval: u32,
}

#[derive(Serialize)]
pub(super) struct FailureText<'a> {
    pub(super) action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) info_hash: Option<Binary>,
    #[serde(rename = "failure reason")]
    pub(super) reason: &'a str,
}
