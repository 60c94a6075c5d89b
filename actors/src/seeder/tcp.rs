//! BitTorrent clients that connect by TCP.

use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::MissedTickBehavior;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::messages::Source;
use super::service::Service;
use super::stream;
use crate::places::{Limits, Place, Places};

/// Connections at once; one address may be a school behind one router.
const PEERS: Limits = Limits {
    total: 1024,
    per_address: 32,
};
/// Bytes that the system takes of us ahead of what it has sent.
const UNSENT: u32 = 128 << 10;
/// Pause after an accept that failed for want of something, file handles most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How often it is looked whether somebody's turn is over.
const ROTATE: Duration = Duration::from_secs(5);

/// Serves whoever connects, and gives peers of all ways their turns, until the service stops; then all connections of this listener
/// have ended.
pub async fn run(listener: TcpListener, service: Service) {
    // Connections have what their listener has.
    let socket = SockRef::from(&listener);
    if let Err(error) = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_tcp_notsent_lowat(UNSENT))
    {
        debug!(%error, "the listener keeps the system's settings");
    }
    let (places, peers) = (Places::new(PEERS, &[]), TaskTracker::new());
    let mut rotation = tokio::time::interval(ROTATE);
    rotation.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = service.stopped() => break,
            _ = rotation.tick() => {
                service.slots().rotate(Instant::now());
                let (taken, wanted) = service.slots().counts();
                service.metrics().set_slots(taken, wanted);
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, remote)) => match places.take(remote.ip()) {
                    Some(place) => drop(peers.spawn(serve(stream, place, service.clone()))),
                    None => service.metrics().refused(Source::Tcp, "too_many"),
                },
                Err(error) => {
                    warn!(%error, "no further peer could be let in");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    peers.close();
    peers.wait().await;
}

async fn serve(stream: TcpStream, _place: Place, service: Service) {
    service.metrics().peer_came(Source::Tcp);
    let end = stream::serve(stream, Source::Tcp, &service).await;
    debug!(%end, "a peer is served no more");
    service.metrics().peer_went(Source::Tcp, end.label());
}
