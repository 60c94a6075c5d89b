//! The UDP port: a tracker for BitTorrent clients (BEP 15) and a STUN server for browsers (RFC 8489), told apart by STUN's magic cookie.
//!
//! Anybody can write any address on a packet, so until a client has shown that it receives what is sent to its address:
//!
//! - nothing is kept about it: connection ids are [computed](connections), and requests are counted in a [table](limiter) of fixed
//!   size;
//! - it is sent no more than it sent, with one exception. A browser's STUN request has 20 bytes, the least there is, and the answer has
//!   to hold an address: 32 bytes for IPv4, 44 for IPv6. With the headers of IP and UDP that is 60 for 48 (or 92 for 68), and an address
//!   is sent no more than [`STUN_RATE`] a second, whatever is asked in its name: of no use to anybody who wants to flood others.
//!
//! Packets are answered one after the other as they come, a bounded number at a time before other tasks have their turn. What does not fit
//! into the system's queues is lost, as is usual with UDP; clients ask again.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use seedpod_protocol::stun::{self, BindingRequest};
use seedpod_protocol::tracker::udp::{Request, RequestError, Response, TransactionId, UdpAnnounce};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use self::connections::Connections;
use self::limiter::Limiter;
pub use self::limiter::Rate;
use super::desk::Desk;
use super::messages::{self, AnnounceClient, Refusal, Way};

mod connections;
mod limiter;

/// Longest packet that is read, in bytes: a scrape of the most torrents, with room for options. What is longer is cut.
const PACKET: usize = 2048;
/// Packets that are answered before other tasks have their turn.
const BATCH: usize = 64;
/// STUN answers that one IPv4 address or IPv6 /64 is sent: ten a second, a hundred at once. A page asks some dozens of times when it
/// begins to play, and a household has several.
pub const STUN_RATE: Rate = Rate {
    per_second: 10,
    at_once: 100,
};

/// How the port behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpOptions {
    /// Requests to the tracker that one IPv4 address or IPv6 /64 may make; more are not answered.
    pub tracker_rate: Rate,
    /// STUN answers that it is sent.
    pub stun_rate: Rate,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self {
            tracker_rate: Rate {
                per_second: 100,
                at_once: 1000,
            },
            stun_rate: STUN_RATE,
        }
    }
}

/// What arrived at the port and what became of it; clones share the figures.
#[derive(Debug, Clone, Default)]
pub struct UdpMetrics {
    stun: Family<[(&'static str, &'static str); 1], Counter>,
    dropped: Counter,
}

impl UdpMetrics {
    /// Makes the metrics and registers them as `seedpod_tracker_…`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("seedpod_tracker");
        let help = "STUN requests, by what became of them";
        registry.register("stun", help, metrics.stun.clone());
        let help = "UDP packets that were neither a request to the tracker nor one of STUN, and answers the system did not take";
        registry.register("udp_dropped", help, metrics.dropped.clone());
        metrics
    }
}

/// Answers packets until `stop` is cancelled.
pub async fn serve(
    socket: UdpSocket,
    desk: Desk,
    options: UdpOptions,
    metrics: UdpMetrics,
    stop: CancellationToken,
) {
    let mut port = Port::new(desk, options, metrics.clone(), rand::random());
    let mut packet = [0; PACKET];
    let mut answer = Vec::with_capacity(PACKET);
    info!(address = ?socket.local_addr().ok(), "the tracker's UDP port is open");
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            ready = socket.readable() => if let Err(error) = ready {
                debug!(%error, "the UDP port");
            }
        }
        let now = tokio::time::Instant::now().into_std();
        for _ in 0..BATCH {
            let (length, from) = match socket.try_recv_from(&mut packet) {
                Ok(received) => received,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    // Somebody's router says that nobody is there any more.
                    debug!(%error, "the UDP port");
                    continue;
                }
            };
            let answered = port.answer(&packet[..length], from, now, &mut answer);
            if answered && socket.try_send_to(&answer, from).is_err() {
                metrics.dropped.inc();
            }
        }
        tokio::task::yield_now().await;
    }
}

/// What is answered to which packet.
struct Port {
    desk: Desk,
    metrics: UdpMetrics,
    connections: Connections,
    tracker: Limiter,
    stun: Limiter,
    stun_answered: Counter,
    stun_refused: Counter,
    /// Where the addresses of an answer are gathered, to be used again.
    peers: Vec<SocketAddr>,
}

impl Port {
    fn new(desk: Desk, options: UdpOptions, metrics: UdpMetrics, secret: [u8; 32]) -> Self {
        let outcome = |outcome| metrics.stun.get_or_create_owned(&[("outcome", outcome)]);
        Self {
            connections: Connections::new(secret),
            tracker: Limiter::new(options.tracker_rate),
            stun: Limiter::new(options.stun_rate),
            stun_answered: outcome("answered"),
            stun_refused: outcome("refused"),
            peers: Vec::new(),
            desk,
            metrics,
        }
    }

    /// Writes the answer to a packet; whether there is one.
    fn answer(&mut self, packet: &[u8], from: SocketAddr, now: Instant, out: &mut Vec<u8>) -> bool {
        if stun::is_stun(packet) {
            return self.answer_stun(packet, from, now, out);
        }
        let ip = from.ip().to_canonical();
        let request = Request::decode(packet);
        if matches!(request, Err(RequestError::Short(_) | RequestError::Protocol)) {
            self.metrics.dropped.inc();
            return false;
        }
        if !self.tracker.take(ip, now) {
            self.desk.count(Refusal::TooOften);
            return false;
        }
        let (connection, transaction) = match request {
            Ok(Request::Connect { transaction }) => {
                let connection = self.connections.give(ip, now);
                Response::Connect {
                    transaction,
                    connection,
                }
                .encode(out);
                return true;
            }
            Ok(Request::Announce {
                connection,
                transaction,
                ..
            }) => (connection, transaction),
            Ok(Request::Scrape {
                connection,
                transaction,
                ..
            }) => (connection, transaction),
            Err(RequestError::Malformed {
                connection,
                transaction,
            }) => (connection, transaction),
            Err(_) => return false,
        };
        if !self.connections.knows(connection, ip, now) {
            self.desk.count(Refusal::ConnectionId);
            return self.refuse_stranger(transaction, packet.len(), out);
        }
        let refused = match request {
            Ok(Request::Announce { announce, .. }) => {
                let address = SocketAddr::new(ip, announce.port);
                self.announce(transaction, &announce, address, out)
            }
            Ok(Request::Scrape { info_hashes, .. }) => match self.desk.scrape(&info_hashes) {
                Ok(counts) => {
                    let counts = &counts;
                    Response::Scrape { transaction, counts }.encode(out);
                    None
                }
                Err(restarting) => Some(restarting.to_string()),
            },
            _ => {
                self.desk.count(Refusal::Unreadable);
                Some(Refusal::Unreadable.text().to_owned())
            }
        };
        if let Some(reason) = refused {
            let reason = &reason;
            Response::Error { transaction, reason }.encode(out);
        }
        true
    }

    /// Announces a client at the desk and writes the answer, or gives the reason of a refusal.
    fn announce(
        &mut self,
        transaction: TransactionId,
        announce: &UdpAnnounce,
        address: SocketAddr,
        out: &mut Vec<u8>,
    ) -> Option<String> {
        let reply = self.desk.announce(&AnnounceClient {
            way: Way::Udp,
            info_hash: announce.info_hash,
            peer_id: announce.peer_id,
            address,
            event: announce.event,
            left: Some(announce.left),
            wanted: announce.numwant,
            family: match address.ip() {
                IpAddr::V4(_) => messages::Family::V4,
                IpAddr::V6(_) => messages::Family::V6,
            },
        });
        let reply = match reply {
            Ok(Ok(reply)) => reply,
            Ok(Err(refusal)) => return Some(refusal.text().to_owned()),
            Err(restarting) => return Some(restarting.to_string()),
        };
        self.peers.clear();
        self.peers.extend(reply.peers.iter().map(|found| found.address));
        Response::Announce {
            transaction,
            interval: reply.interval,
            counts: reply.counts,
            peers: &self.peers,
        }
        .encode(out);
        None
    }

    /// Tells somebody who may not be at this address that a connection id is needed, in no more bytes than were sent.
    fn refuse_stranger(&self, transaction: TransactionId, length: usize, out: &mut Vec<u8>) -> bool {
        let reason = Refusal::ConnectionId.text();
        Response::Error { transaction, reason }.encode(out);
        out.len() <= length
    }

    fn answer_stun(&mut self, packet: &[u8], from: SocketAddr, now: Instant, out: &mut Vec<u8>) -> bool {
        let Some(request) = BindingRequest::decode(packet) else {
            self.metrics.dropped.inc();
            return false;
        };
        if !self.stun.take(from.ip().to_canonical(), now) {
            self.stun_refused.inc();
            return false;
        }
        request.encode(request.answer(from), out);
        self.stun_answered.inc();
        true
    }
}

#[cfg(test)]
mod tests;
