//! The UDP tracker protocol ([BEP 15](https://www.bittorrent.org/beps/bep_0015.html)): packets of a few fixed fields, in network byte order.
//!
//! A client asks for a connection id first and names it in all that follows, which shows that it receives what is sent to its address.
//! Reading is total and in constant time but for a scrape's hashes; writing never makes a packet larger than [`MAX_PACKET_LEN`].

use std::net::SocketAddr;

use super::http::write_compact;
use super::{Event, PeerId, SwarmCounts};
use crate::ids::InfoHash;

/// Longest packet written, in bytes: it fits whole into what every path of the internet carries (IPv6 asks for 1,280).
pub const MAX_PACKET_LEN: usize = 1232;
/// Most torrents of one scrape, as the BEP has it; the rest is passed over.
pub const MAX_SCRAPED: usize = 74;
/// Most IPv4 peers in one answer.
pub const MAX_PEERS_V4: usize = (MAX_PACKET_LEN - 20) / 6;
/// Most IPv6 peers in one answer.
pub const MAX_PEERS_V6: usize = (MAX_PACKET_LEN - 20) / 18;
/// What a client names in place of a connection id when it asks for one.
const PROTOCOL_ID: u64 = 0x0417_2710_1980;
/// How many peers a client is told of if it does not say.
const DEFAULT_NUMWANT: usize = 50;

const CONNECT: u32 = 0;
const ANNOUNCE: u32 = 1;
const SCRAPE: u32 = 2;
const ERROR: u32 = 3;

/// What a client draws for each packet, to know the answer by.
pub type TransactionId = [u8; 4];
/// What the tracker gave the client, who has to show it.
pub type ConnectionId = [u8; 8];

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// It asks for a connection id.
    Connect {
        /// Comes back in the answer.
        transaction: TransactionId,
    },
    /// It takes part in a swarm, or leaves it.
    Announce {
        /// What it was given.
        connection: ConnectionId,
        /// Comes back in the answer.
        transaction: TransactionId,
        /// The rest.
        announce: UdpAnnounce,
    },
    /// It asks for the sizes of swarms.
    Scrape {
        /// What it was given.
        connection: ConnectionId,
        /// Comes back in the answer.
        transaction: TransactionId,
        /// At least one and at most [`MAX_SCRAPED`] torrents.
        info_hashes: Vec<InfoHash>,
    },
}

/// "I take part in this swarm, and listen on this port." The address that a packet may name is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpAnnounce {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Who speaks.
    pub peer_id: PeerId,
    /// Bytes it still wants.
    pub left: u64,
    /// What happened.
    pub event: Event,
    /// How many others it wants to be told of.
    pub numwant: usize,
    /// The TCP port it listens on.
    pub port: u16,
}

/// Why a packet is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// So short that there is nobody to answer: no transaction, or no connection.
    #[error("packet of {0} bytes")]
    Short(usize),
    /// A request for a connection id that is none.
    #[error("not the protocol's number")]
    Protocol,
    /// An announce or a scrape breaks off, or an action or event is not known. Whoever shows a sound connection id may be told.
    #[error("malformed request")]
    Malformed {
        /// What it was given.
        connection: ConnectionId,
        /// Comes back in the answer.
        transaction: TransactionId,
    },
}

impl Request {
    /// Reads a packet. What follows the fields (BEP 41 has options there) is passed over.
    ///
    /// # Errors
    /// When it is no request.
    pub fn decode(packet: &[u8]) -> Result<Self, RequestError> {
        let short = || RequestError::Short(packet.len());
        let (&connection, rest) = packet.split_first_chunk::<8>().ok_or_else(short)?;
        let (&action, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let (&transaction, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let malformed = RequestError::Malformed {
            connection,
            transaction,
        };
        match u32::from_be_bytes(action) {
            CONNECT if u64::from_be_bytes(connection) == PROTOCOL_ID => Ok(Self::Connect { transaction }),
            CONNECT => Err(RequestError::Protocol),
            ANNOUNCE => Ok(Self::Announce {
                connection,
                transaction,
                announce: UdpAnnounce::decode(rest).ok_or(malformed)?,
            }),
            SCRAPE => {
                let (hashes, _) = rest.as_chunks::<20>();
                let hashes = hashes.iter().take(MAX_SCRAPED);
                let info_hashes: Vec<_> = hashes.copied().map(InfoHash::from_bytes).collect();
                if info_hashes.is_empty() {
                    return Err(malformed);
                }
                Ok(Self::Scrape {
                    connection,
                    transaction,
                    info_hashes,
                })
            }
            _ => Err(malformed),
        }
    }

    /// The packet a client sends.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let head = |connection: ConnectionId, action: u32, transaction: &TransactionId| {
            [&connection[..], &action.to_be_bytes(), transaction].concat()
        };
        match self {
            Self::Connect { transaction } => head(PROTOCOL_ID.to_be_bytes(), CONNECT, transaction),
            Self::Announce {
                connection,
                transaction,
                announce,
            } => {
                let mut out = head(*connection, ANNOUNCE, transaction);
                announce.encode(&mut out);
                out
            }
            Self::Scrape {
                connection,
                transaction,
                info_hashes,
            } => {
                let mut out = head(*connection, SCRAPE, transaction);
                for info_hash in info_hashes {
                    out.extend_from_slice(info_hash.as_bytes());
                }
                out
            }
        }
    }
}

impl UdpAnnounce {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&info_hash, rest) = bytes.split_first_chunk::<20>()?;
        let (&peer_id, rest) = rest.split_first_chunk::<20>()?;
        let (_downloaded, rest) = rest.split_first_chunk::<8>()?;
        let (&left, rest) = rest.split_first_chunk::<8>()?;
        let (_uploaded, rest) = rest.split_first_chunk::<8>()?;
        let (&event, rest) = rest.split_first_chunk::<4>()?;
        let (_address, rest) = rest.split_first_chunk::<4>()?;
        let (_key, rest) = rest.split_first_chunk::<4>()?;
        let (&numwant, rest) = rest.split_first_chunk::<4>()?;
        let (&port, _) = rest.split_first_chunk::<2>()?;
        Some(Self {
            info_hash: InfoHash::from_bytes(info_hash),
            peer_id: PeerId::from_bytes(peer_id),
            left: u64::from_be_bytes(left),
            event: match u32::from_be_bytes(event) {
                0 => Event::Update,
                1 => Event::Completed,
                2 => Event::Started,
                3 => Event::Stopped,
                4 => Event::Paused,
                _ => return None,
            },
            // -1 and whatever is as senseless.
            numwant: usize::try_from(i32::from_be_bytes(numwant)).unwrap_or(DEFAULT_NUMWANT),
            port: u16::from_be_bytes(port),
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let event: u32 = match self.event {
            Event::Update => 0,
            Event::Completed => 1,
            Event::Started => 2,
            Event::Stopped => 3,
            Event::Paused => 4,
        };
        let numwant = i32::try_from(self.numwant).unwrap_or(i32::MAX);
        for field in [
            &self.info_hash.as_bytes()[..],
            self.peer_id.as_bytes(),
            &[0; 8],
            &self.left.to_be_bytes(),
            &[0; 8],
            &event.to_be_bytes(),
            &[0; 8],
            &numwant.to_be_bytes(),
            &self.port.to_be_bytes(),
        ] {
            out.extend_from_slice(field);
        }
    }
}

/// What the tracker says; written into a buffer that is used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response<'a> {
    /// The id to show from now on, for some minutes.
    Connect {
        /// The client's word.
        transaction: TransactionId,
        /// The id.
        connection: ConnectionId,
    },
    /// The reply to an announce.
    Announce {
        /// The client's word.
        transaction: TransactionId,
        /// When to announce again, in seconds.
        interval: u32,
        /// The size of the swarm.
        counts: SwarmCounts,
        /// Others, all of the family of the packet's address. Those beyond [`MAX_PEERS_V4`] or [`MAX_PEERS_V6`] are left out.
        peers: &'a [SocketAddr],
    },
    /// The sizes of swarms, in the order of the question.
    Scrape {
        /// The client's word.
        transaction: TransactionId,
        /// At most [`MAX_SCRAPED`].
        counts: &'a [SwarmCounts],
    },
    /// What was asked for is refused.
    Error {
        /// The client's word.
        transaction: TransactionId,
        /// Why, for people.
        reason: &'a str,
    },
}

impl Response<'_> {
    /// Writes the packet; what `out` held before is gone.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        let head = |out: &mut Vec<u8>, action: u32, transaction: &TransactionId| {
            out.extend_from_slice(&action.to_be_bytes());
            out.extend_from_slice(transaction);
        };
        match self {
            Self::Connect {
                transaction,
                connection,
            } => {
                head(out, CONNECT, transaction);
                out.extend_from_slice(connection);
            }
            Self::Announce {
                transaction,
                interval,
                counts,
                peers,
            } => {
                head(out, ANNOUNCE, transaction);
                for number in [*interval, counts.incomplete, counts.complete] {
                    out.extend_from_slice(&number.to_be_bytes());
                }
                let most = match peers.first() {
                    Some(SocketAddr::V6(_)) => MAX_PEERS_V6,
                    _ => MAX_PEERS_V4,
                };
                for address in peers.iter().take(most) {
                    write_compact(out, address);
                }
            }
            Self::Scrape { transaction, counts } => {
                head(out, SCRAPE, transaction);
                for counts in counts.iter().take(MAX_SCRAPED) {
                    for number in [counts.complete, counts.downloaded, counts.incomplete] {
                        out.extend_from_slice(&number.to_be_bytes());
                    }
                }
            }
            Self::Error { transaction, reason } => {
                head(out, ERROR, transaction);
                out.extend_from_slice(reason.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    const TRANSACTION: TransactionId = *b"tran";

    fn written(response: &Response<'_>) -> Vec<u8> {
        let mut out = b"left over".to_vec();
        response.encode(&mut out);
        assert!(out.len() <= MAX_PACKET_LEN);
        out
    }

    #[test]
    fn requests_are_read_as_the_bep_has_them() {
        let connect = b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0tran";
        assert_eq!(
            Request::decode(connect),
            Ok(Request::Connect {
                transaction: TRANSACTION
            })
        );
        let announce = [
            &b"connect!\0\0\0\x01tran"[..],
            b"hhhhhhhhhhhhhhhhhhhhpppppppppppppppppppp",
            b"\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x07",
            b"\0\0\0\x02\x7f\0\0\x01key.\xff\xff\xff\xff\x1a\xe1options of a later BEP",
        ]
        .concat();
        let expected = UdpAnnounce {
            info_hash: InfoHash::from_bytes([b'h'; 20]),
            peer_id: PeerId::from_bytes([b'p'; 20]),
            left: 5,
            event: Event::Started,
            numwant: 50,
            port: 6881,
        };
        assert_eq!(
            Request::decode(&announce),
            Ok(Request::Announce {
                connection: *b"connect!",
                transaction: TRANSACTION,
                announce: expected
            })
        );
        let scrape = [&b"connect!\0\0\0\x02tran"[..], &[b'h'; 20 * 80], b"rest"].concat();
        let Ok(Request::Scrape { info_hashes, .. }) = Request::decode(&scrape) else {
            panic!("a scrape");
        };
        assert_eq!(info_hashes, vec![expected.info_hash; MAX_SCRAPED]);
    }

    #[test]
    fn what_is_no_request_is_told_only_to_whom_that_makes_sense() {
        let malformed = Err(RequestError::Malformed {
            connection: *b"connect!",
            transaction: TRANSACTION,
        });
        for packet in [
            &b"connect!\0\0\0\x01tran too short"[..],
            b"connect!\0\0\0\x02tran",
            b"connect!\0\0\0\x07tran",
        ] {
            assert_eq!(Request::decode(packet), malformed);
        }
        assert_eq!(
            Request::decode(b"connect!\0\0\0\0tran"),
            Err(RequestError::Protocol)
        );
        assert_eq!(
            Request::decode(b"connect!\0\0\0\x01tra"),
            Err(RequestError::Short(15))
        );
        assert_eq!(Request::decode(b""), Err(RequestError::Short(0)));
    }

    #[test]
    fn responses_are_written_as_the_bep_has_them() {
        let counts = SwarmCounts {
            complete: 2,
            incomplete: 3,
            downloaded: 4,
        };
        let v4: Vec<SocketAddr> = vec!["10.0.0.1:6881".parse().unwrap(); 500];
        let v6: Vec<SocketAddr> = vec!["[2001:db8::1]:6881".parse().unwrap(); 500];
        let reply = |peers| Response::Announce {
            transaction: TRANSACTION,
            interval: 600,
            counts,
            peers,
        };
        assert_eq!(
            written(&reply(&v4[..1])),
            b"\0\0\0\x01tran\0\0\x02\x58\0\0\0\x03\0\0\0\x02\x0a\0\0\x01\x1a\xe1"
        );
        assert_eq!(written(&reply(&v4)).len(), 20 + 6 * MAX_PEERS_V4);
        assert_eq!(written(&reply(&v6)).len(), 20 + 18 * MAX_PEERS_V6);
        let scrape = Response::Scrape {
            transaction: TRANSACTION,
            counts: &[counts; 99],
        };
        assert_eq!(
            &written(&scrape)[..20],
            b"\0\0\0\x02tran\0\0\0\x02\0\0\0\x04\0\0\0\x03"
        );
        let connect = Response::Connect {
            transaction: TRANSACTION,
            connection: *b"connect!",
        };
        assert_eq!(written(&connect), b"\0\0\0\0tranconnect!");
        let error = Response::Error {
            transaction: TRANSACTION,
            reason: "no",
        };
        assert_eq!(written(&error), b"\0\0\0\x03tranno");
    }

    proptest! {
        #[test]
        fn announces_survive_a_round_trip(hash: [u8; 20], id: [u8; 20], left: u64, event in 0_u32..5, numwant in 0_usize..9999, port: u16) {
            let event = [Event::Update, Event::Completed, Event::Started, Event::Stopped, Event::Paused][event as usize];
            let announce = UdpAnnounce {
                info_hash: InfoHash::from_bytes(hash),
                peer_id: PeerId::from_bytes(id),
                left,
                event,
                numwant,
                port,
            };
            let request = Request::Announce { connection: *b"12345678", transaction: TRANSACTION, announce };
            prop_assert_eq!(Request::decode(&request.encode()), Ok(request));
        }

        #[test]
        fn any_bytes_give_a_request_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = Request::decode(&bytes);
        }
    }
}
