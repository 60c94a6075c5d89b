//! Every rule of the tracker, told as a story of sockets A, B, C….

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use rand::SeedableRng;
use rand::rngs::StdRng;
use seedpod_protocol::tracker::{
    Action, Announce, Answer, ClientMessage, Event, Offer, OfferId, Scrape, SwarmCounts,
};
use serde_json::value::RawValue;

use super::*;

const VIDEO: InfoHash = InfoHash::from_bytes([7; 20]);
const OTHER_VIDEO: InfoHash = InfoHash::from_bytes([8; 20]);

/// A tracker with a clock and a die of its own that is checked after every step.
struct World {
    tracker: Tracker,
    now: Instant,
    rng: StdRng,
}

impl World {
    fn new(config: TrackerConfig) -> Self {
        let mut tracker = Tracker::new(config);
        tracker.admit([VIDEO, OTHER_VIDEO]);
        Self {
            tracker,
            now: Instant::now(),
            rng: StdRng::seed_from_u64(1),
        }
    }

    fn usual() -> Self {
        Self::new(TrackerConfig::default())
    }

    fn connect_from(&mut self, address: &str) -> Result<SocketId, TooMany> {
        let socket = self.tracker.connect(address.parse().unwrap(), self.now);
        self.tracker.check();
        socket
    }

    /// Connects a socket with an address of its own and lets it announce as the peer `number`.
    fn peer(&mut self, number: u8, left: Option<u64>) -> SocketId {
        let socket = self.connect_from(&format!("10.0.0.{number}")).unwrap();
        self.say(
            socket,
            Said {
                left,
                ..announce(number)
            },
        );
        socket
    }

    fn leecher(&mut self, number: u8) -> SocketId {
        self.peer(number, Some(5))
    }

    fn seeder(&mut self, number: u8) -> SocketId {
        self.peer(number, Some(0))
    }

    fn receive(&mut self, from: SocketId, message: ClientMessage) -> Vec<Told> {
        let effects = self.tracker.receive(from, Ok(message), self.now, &mut self.rng);
        self.tracker.check();
        effects.into_iter().map(Told::from).collect()
    }

    fn say(&mut self, from: SocketId, said: Said) -> Vec<Told> {
        self.receive(from, said.into())
    }

    fn answer(&mut self, from: SocketId, speaker: u8, to: u8, offer: u8) -> Vec<Told> {
        let answer = Answer {
            info_hash: VIDEO,
            peer_id: peer(speaker),
            to_peer_id: peer(to),
            offer_id: OfferId::from_bytes([offer; 20]),
            answer: description(offer),
        };
        self.receive(from, ClientMessage::Answer(answer))
    }

    fn wait(&mut self, secs: u64) -> Vec<Told> {
        self.now += Duration::from_secs(secs);
        let effects = self.tracker.tick(self.now);
        self.tracker.check();
        effects.into_iter().map(Told::from).collect()
    }

    fn size(&self) -> (u32, u32) {
        let size = self.tracker.size(&VIDEO);
        (size.seeders, size.leechers)
    }

    fn refused(&self, refusal: Refusal) -> u64 {
        self.tracker.stats().totals.refused[refusal as usize]
    }
}

/// An announce, with what matters made visible.
#[derive(Clone)]
struct Said {
    video: InfoHash,
    number: u8,
    event: Event,
    left: Option<u64>,
    offers: Vec<u8>,
}

fn announce(number: u8) -> Said {
    Said {
        video: VIDEO,
        number,
        event: Event::Update,
        left: None,
        offers: Vec::new(),
    }
}

impl From<Said> for ClientMessage {
    fn from(said: Said) -> Self {
        let offer = |id: u8| Offer {
            offer: description(id),
            offer_id: OfferId::from_bytes([id; 20]),
        };
        Self::Announce(Announce {
            info_hash: said.video,
            peer_id: peer(said.number),
            event: said.event,
            left: said.left,
            offers: said.offers.into_iter().map(offer).collect(),
        })
    }
}

fn peer(number: u8) -> PeerId {
    PeerId::from_bytes([number; 20])
}

fn description(number: u8) -> Box<RawValue> {
    RawValue::from_string(format!(r#"{{ "sdp": "{number}" }}"#)).unwrap()
}

/// An effect, comparable.
#[derive(Debug, PartialEq, Clone)]
enum Told {
    Reply {
        to: SocketId,
        complete: u32,
        incomplete: u32,
    },
    Offer {
        to: SocketId,
        from: PeerId,
        id: u8,
        text: String,
    },
    Answer {
        to: SocketId,
        from: PeerId,
        id: u8,
        text: String,
    },
    Files {
        to: SocketId,
        files: Vec<(InfoHash, SwarmCounts)>,
    },
    Failure {
        to: SocketId,
        action: Action,
        about: Option<InfoHash>,
        reason: String,
    },
    /// To this pod's own seeder.
    Handed {
        from: PeerId,
        id: u8,
    },
    Closed(SocketId),
}

impl From<Effect> for Told {
    fn from(effect: Effect) -> Self {
        let (to, message) = match effect {
            Effect::Close { socket } => return Self::Closed(socket),
            Effect::Ask { friend, .. } => panic!("{friend} is no friend here"),
            Effect::Hand(offer) => {
                return Self::Handed {
                    from: offer.peer_id,
                    id: offer.offer_id.as_bytes()[0],
                };
            }
            Effect::Send { socket, message } => (socket, message),
        };
        match message {
            ServerMessage::AnnounceReply {
                interval,
                complete,
                incomplete,
                ..
            } => {
                assert_eq!(interval, 120);
                Self::Reply {
                    to,
                    complete,
                    incomplete,
                }
            }
            ServerMessage::Offer {
                peer_id,
                offer_id,
                offer,
                ..
            } => Self::Offer {
                to,
                from: peer_id,
                id: offer_id.as_bytes()[0],
                text: offer.get().into(),
            },
            ServerMessage::Answer {
                peer_id,
                offer_id,
                answer,
                ..
            } => Self::Answer {
                to,
                from: peer_id,
                id: offer_id.as_bytes()[0],
                text: answer.get().into(),
            },
            ServerMessage::ScrapeReply { files, .. } => Self::Files { to, files },
            ServerMessage::Failure {
                action,
                info_hash,
                reason,
            } => Self::Failure {
                to,
                action,
                about: info_hash,
                reason,
            },
        }
    }
}

fn offers(told: &[Told]) -> Vec<(SocketId, u8)> {
    told.iter()
        .filter_map(|told| match told {
            Told::Offer { to, id, .. } => Some((*to, *id)),
            _ => None,
        })
        .collect()
}

fn failure(to: SocketId, refusal: Refusal) -> Vec<Told> {
    let reason = refusal.text().into();
    vec![Told::Failure {
        to,
        action: Action::Announce,
        about: Some(VIDEO),
        reason,
    }]
}

mod clients;
mod invariants;
mod limits;
mod offers;
mod peers;
mod pod;
