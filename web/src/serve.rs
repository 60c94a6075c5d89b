//! The accept loop: from a bound socket to answered requests, and to a stop within a deadline.
//!
//! A server that accepts whatever comes can be stopped by anybody who opens connections and says nothing. Here
//! connections are counted ([`MAX_CONNECTIONS`]), headers must arrive in [`HEADER_DEADLINE`], and a peer that takes
//! nothing of its answer for [`STALL`] loses its connection. Bodies have their own deadlines where they are read.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};
use tracing::{debug, info, warn};
use warp::Filter;
use warp::reply::Response;

/// Connections at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;
/// Time for the headers of a request, and the longest pause between two requests.
const HEADER_DEADLINE: Duration = Duration::from_secs(75);
/// Longest time in which a peer may take nothing of what is sent. A paused player counts as one: it asks again.
const STALL: Duration = Duration::from_secs(180);
/// Largest buffer of a connection, in bytes, and with it the longest headers.
const READ_BUFFER: usize = 256 * 1024;
/// Pause after an accept that failed for want of something, file handles most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The address at the other end of a connection; a proxy's, if there is one in between.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RemoteAddress(pub(crate) SocketAddr);

/// Serves until `stop` completes, then lets running requests finish for at most `grace`.
pub(crate) async fn run<F>(listener: TcpListener, routes: F, stop: impl Future<Output = ()>, grace: Duration)
where
    F: Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static,
{
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (listener.accept().await, slot)
        };
        let (accepted, slot) = tokio::select! {
            next = next => next,
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
            .serve_connection_with_upgrades(TokioIo::new(Patient::new(stream, STALL)), service)
            .into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%remote, %error, "connection ended");
            }
            drop(slot);
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

/// A connection that is given up when its peer takes nothing for a while.
struct Patient {
    stream: TcpStream,
    patience: Duration,
    stalled: Pin<Box<Sleep>>,
    waiting: bool,
}

impl Patient {
    fn new(stream: TcpStream, patience: Duration) -> Self {
        let stalled = Box::pin(tokio::time::sleep(patience));
        Self {
            stream,
            patience,
            stalled,
            waiting: false,
        }
    }

    /// Turns a write that has been pending for too long into an error.
    fn judge<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waiting = false;
            return polled;
        }
        if !self.waiting {
            self.waiting = true;
            let end = Instant::now() + self.patience;
            self.stalled.as_mut().reset(end);
        }
        ready!(self.stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer takes nothing",
        )))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
            run(listener, routes, stop, grace).await;
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
    async fn a_peer_that_takes_nothing_loses_its_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut connection = Patient::new(listener.accept().await.unwrap().0, Duration::from_millis(20));
        let flood = async { while connection.write_all(&[0; 64 * 1024]).await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(30), flood)
            .await
            .unwrap();
        let error = connection.write_all(&[0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(peer);
    }
}
