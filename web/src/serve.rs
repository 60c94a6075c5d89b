//! The accept loop: from a bound socket to answered requests, and to a stop within a deadline.
//!
//! A server that accepts whatever comes can be stopped by anybody who opens connections and says nothing. Here
//! connections have [places](crate::places), headers must arrive in [`HEADER_DEADLINE`], and a peer that takes next to
//! nothing of its answer tries our [`PATIENCE`]. Bodies have their own deadlines where they are read.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tracing::{debug, info, warn};
use warp::Filter;
use warp::reply::Response;

use crate::metrics::WebMetrics;
use crate::patient::{Patience, Patient};
use crate::places::{Limits, Places};

/// Connections at once.
const PLACES: Limits = Limits {
    total: 8192,
    per_address: 1024,
};
/// Time for the headers of a request, and the longest pause between two requests.
const HEADER_DEADLINE: Duration = Duration::from_secs(20);
/// The slowest peer that is served: about a kilobyte a second while it keeps us waiting.
const PATIENCE: Patience = Patience {
    window: Duration::from_secs(15),
    bytes: 16 * 1024,
};
/// Largest buffer of a connection, in bytes, and with it the longest headers.
const READ_BUFFER: usize = 256 * 1024;
/// Pause after an accept that failed for want of something, file handles most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The address at the other end of a connection; a proxy's, if there is one in between.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RemoteAddress(pub(crate) SocketAddr);

/// Who is let in, and what is counted at the door.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    places: Places,
    metrics: WebMetrics,
}

impl Door {
    pub(crate) fn new(trusted_proxies: &[IpAddr], metrics: WebMetrics) -> Self {
        Self {
            places: Places::new(PLACES, trusted_proxies),
            metrics,
        }
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
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
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
        // Answers are small or large, never many small writes: nothing is gained by waiting for more.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(WithAddress {
            inner: warp::service(routes.clone()),
            remote,
        });
        let mut server = Builder::new(TokioExecutor::new()).http1_only();
        server
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_DEADLINE)
            .max_buf_size(READ_BUFFER);
        let connection = server
            .serve_connection_with_upgrades(TokioIo::new(Patient::new(stream, PATIENCE)), service)
            .into_owned();
        let connection = graceful.watch(connection);
        door.metrics.connections.inc();
        let open = door.metrics.connections.clone();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%remote, %error, "connection ended");
            }
            open.dec();
            drop(place);
        });
    }
    drop(listener);
    info!("no new connections are taken");
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        warn!(
            seconds = grace.as_secs(),
            "some requests were still running and are cut off"
        );
    }
}

/// Puts the peer's address beside each request of its connection.
#[derive(Clone)]
struct WithAddress<S> {
    inner: S,
    remote: SocketAddr,
}

impl<S, B> tower_service::Service<warp::http::Request<B>> for WithAddress<S>
where
    S: tower_service::Service<warp::http::Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: warp::http::Request<B>) -> S::Future {
        request.extensions_mut().insert(RemoteAddress(self.remote));
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use std::sync::Arc;

    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::{Notify, oneshot};
    use warp::Reply;

    /// A server whose `/wait` answers when it is told to.
    struct Served {
        address: SocketAddr,
        waiting: Arc<Notify>,
        go_on: Arc<Notify>,
        stop: Option<oneshot::Sender<()>>,
        task: tokio::task::JoinHandle<()>,
    }

    async fn start(grace: Duration) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (waiting, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (waits, goes) = (Arc::clone(&waiting), Arc::clone(&go_on));
        let wait = warp::path!("wait").then(move || {
            let (waits, goes) = (Arc::clone(&waits), Arc::clone(&goes));
            async move {
                waits.notify_one();
                goes.notified().await;
                "done".into_response()
            }
        });
        let who = warp::ext::optional::<RemoteAddress>()
            .map(|remote: Option<RemoteAddress>| remote.unwrap().0.ip().to_string().into_response());
        let routes = wait.or(who).unify();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let stop = async {
                let _ = stopped.await;
            };
            let door = Door::new(&[], WebMetrics::default());
            run(listener, routes, door, stop, grace).await;
        });
        Served {
            address,
            waiting,
            go_on,
            stop: Some(stop),
            task,
        }
    }

    async fn ask(address: SocketAddr, path: &str) -> TcpStream {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    async fn answer(mut socket: TcpStream) -> String {
        let mut text = String::new();
        let _ = socket.read_to_string(&mut text).await;
        text
    }

    #[tokio::test]
    async fn a_request_knows_who_connected_and_a_stopped_server_takes_nobody() {
        let mut server = start(Duration::from_secs(5)).await;
        assert!(
            answer(ask(server.address, "/").await)
                .await
                .ends_with("127.0.0.1")
        );
        server.stop.take().unwrap().send(()).unwrap();
        server.task.await.unwrap();
        assert!(TcpStream::connect(server.address).await.is_err());
    }

    #[tokio::test]
    async fn a_running_request_is_finished_before_the_end() {
        let mut server = start(Duration::from_secs(60)).await;
        let socket = ask(server.address, "/wait").await;
        server.waiting.notified().await;
        server.stop.take().unwrap().send(()).unwrap();
        server.go_on.notify_one();
        assert!(answer(socket).await.ends_with("done"));
        server.task.await.unwrap();
    }

    #[tokio::test]
    async fn a_request_that_does_not_end_is_cut_off() {
        let mut server = start(Duration::from_millis(50)).await;
        let _socket = ask(server.address, "/wait").await;
        server.waiting.notified().await;
        server.stop.take().unwrap().send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(30), server.task)
            .await
            .unwrap()
            .unwrap();
    }

    #[tokio::test]
    async fn an_address_that_has_all_its_places_is_turned_away_and_others_are_not() {
        let server = start(Duration::from_secs(5)).await;
        let mut held = Vec::new();
        for _ in 0..PLACES.per_address {
            held.push(TcpStream::connect(server.address).await.unwrap());
        }
        // Accepted and closed at once: the answer is the end of the stream, or a reset.
        assert_eq!(answer(ask(server.address, "/").await).await, "");
        let other = tokio::net::TcpSocket::new_v4().unwrap();
        other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut other = other.connect(server.address).await.unwrap();
        other
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        assert!(answer(other).await.ends_with("127.0.0.2"));
    }
}
