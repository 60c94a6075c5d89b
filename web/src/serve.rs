//! The accept loop: from a bound socket to answered requests, and to a stop within a deadline.
//!
//! A server that accepts whatever comes can be stopped by anybody who opens connections and says nothing. Here
//! connections have [places](seedpod_actors::places) and [deadlines](crate::connection), and a peer that takes next to
//! nothing of its answer tries our [`PATIENCE`].

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::gauge::Gauge;
use rustix::process::{Resource, getrlimit};
use seedpod_actors::places::{Limits, Place, Places};
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tower_service::Service;
use tracing::{debug, info, warn};
use warp::http::StatusCode;
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::announce::Announces;
use crate::connection::{self, Activity, Closing, PATIENCE, track};
use crate::error::ApiError;
use crate::metrics::WebMetrics;
use crate::patient::Patient;

/// Connections at once, where the system lets us have so many files.
const PLACES: Limits = Limits {
    total: 16 * 1024,
    per_address: 1024,
};
/// Requests that run at once, on whatever connections: one of HTTP/2 carries up to a hundred.
const REQUESTS: Limits = Limits {
    total: 8 * 1024,
    per_address: 512,
};
/// Most header fields of a request. Of HTTP/1.1 no more are read; HTTP/2 packs a thousand into a kilobyte, and here each takes room.
const FIELDS: usize = 100;
/// Files that are left for everything else: the store, downloads, other pods, media tools.
const OTHER_FILES: u64 = 3072;
/// Bytes that the system takes of us ahead of what it has sent. A peer that reads gets a window as large as its line needs all the
/// same; one that does not read costs no more than this.
const UNSENT: u32 = 128 * 1024;
/// Pause after an accept that failed for want of something, file handles most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// What is left for tasks to notice that they were cut off.
const CUT: Duration = Duration::from_secs(1);

/// The address at the other end of a connection; a proxy's, if there is one in between.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RemoteAddress(pub(crate) SocketAddr);

/// A connection as the HTTP server holds it.
pub(crate) type Wire = Patient<Seat>;

/// What an open connection holds, also after it became a WebSocket.
#[derive(Debug)]
pub(crate) struct Seat {
    _place: Place,
    open: Gauge,
}

impl Seat {
    fn take(place: Place, open: &Gauge) -> Self {
        open.inc();
        Self {
            _place: place,
            open: open.clone(),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// Who is let in, and what is counted at the door.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    places: Places,
    requests: Places,
    metrics: WebMetrics,
    closing: Closing,
    visitors: TaskTracker,
    announces: Option<Arc<Announces>>,
}

impl Door {
    /// A door that closes by `closing`; it waits for everybody whose task is among the `visitors`.
    pub(crate) fn new(
        trusted_proxies: &[IpAddr],
        metrics: WebMetrics,
        closing: Closing,
        visitors: TaskTracker,
    ) -> Self {
        Self {
            places: Places::new(places(), trusted_proxies),
            requests: Places::new(REQUESTS, trusted_proxies),
            metrics,
            closing,
            visitors,
            announces: None,
        }
    }

    /// The same door, at which BitTorrent clients are answered too.
    pub(crate) fn announcing(self, announces: Announces) -> Self {
        Self {
            announces: Some(Arc::new(announces)),
            ..self
        }
    }
}

/// As many places as there may be with so many files.
fn places() -> Limits {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let free = files.saturating_sub(OTHER_FILES).max(files / 4);
    Limits {
        total: usize::try_from(free).map_or(PLACES.total, |free| free.min(PLACES.total)),
        ..PLACES
    }
}

/// Serves until `stop` completes, then lets running requests finish for at most `grace`.
pub(crate) async fn run<F>(
    listener: TcpListener,
    routes: F,
    door: Door,
    stop: impl Future<Output = ()>,
    grace: Duration,
) where
    F: Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static,
{
    // Connections have what their listener has. Answers are small or large, never many small writes: nothing is gained by
    // waiting for more.
    let socket = SockRef::from(&listener);
    if let Err(error) = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_tcp_notsent_lowat(UNSENT))
    {
        debug!(%error, "the listener keeps the system's settings");
    }
    let server = connection::builder(door.closing.cut.clone());
    let routes = warp::service(routes);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = door.places.take(remote.ip()) else {
            door.metrics.connections_refused.inc();
            continue;
        };
        let seat = Seat::take(place, &door.metrics.connections);
        let wire = TokioIo::new(Wire::new(stream, PATIENCE, seat));
        let activity = Activity::new();
        let (answering, routes, requests) = (activity.clone(), routes.clone(), door.requests.clone());
        let announces = door.announces.clone();
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(RemoteAddress(remote));
            let place = requests.take(remote.ip());
            let client = || announces.as_ref()?.answer(&request, remote.ip());
            let answered = refusal(&request, place.as_ref()).or_else(client);
            let visited = answered.ok_or_else(|| (routes.clone(), request));
            track(answering.begin(place), async move {
                match visited {
                    Ok(response) => Ok(response),
                    Err((mut routes, request)) => routes.call(request).await,
                }
            })
        });
        let connection = server.serve_connection_with_upgrades(wire, service).into_owned();
        let closing = door.closing.clone();
        door.visitors.spawn(async move {
            if let Err(error) = connection::hold(connection, activity, closing).await {
                debug!(%remote, %error, "connection ended");
            }
        });
    }
    drop(listener);
    info!("no new connections are taken");
    leave(&door, grace).await;
}

/// The answer to a request that is looked at no further.
fn refusal(request: &hyper::Request<Incoming>, place: Option<&Place>) -> Option<Response> {
    if request.headers().len() > FIELDS {
        return Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.into_response());
    }
    place.is_none().then(|| ApiError::Unavailable.into_response())
}

/// Waits until everybody has left; after `grace` they are shown out.
async fn leave(door: &Door, grace: Duration) {
    door.closing.drain.cancel();
    door.visitors.close();
    if tokio::time::timeout(grace, door.visitors.wait()).await.is_ok() {
        return;
    }
    warn!(
        seconds = grace.as_secs(),
        left = door.visitors.len(),
        "some requests were still running and are cut off"
    );
    door.closing.cut.cancel();
    let _ = tokio::time::timeout(CUT, door.visitors.wait()).await;
}

#[cfg(test)]
mod tests;
