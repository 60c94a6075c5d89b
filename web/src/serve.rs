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
            .serve_connection_with_upgrades(TokioIo::new(Patient::new(stream)), service)
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

/// A connection that is given up when its peer takes nothing for [`STALL`].
struct Patient {
    stream: TcpStream,
    stalled: Pin<Box<Sleep>>,
    waiting: bool,
}

impl Patient {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            stalled: Box::pin(tokio::time::sleep(STALL)),
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
            self.stalled.as_mut().reset(Instant::now() + STALL);
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
