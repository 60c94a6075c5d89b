//! One connection: HTTP/1.1 or HTTP/2 by its first bytes, with an end for whoever says nothing or takes nothing.
//!
//! Phases of a connection, all of them with a deadline:
//!
//! * **nothing asked yet**: the first request must be complete within [`HEADER_DEADLINE`], whatever comes before it: the bytes that
//!   tell the version, settings, a header a byte at a time;
//! * **a request is running**: from its header to the last byte of its answer. Bodies have deadlines where they are read.
//!   A peer that does not take its answer loses an HTTP/1.1 connection by [`crate::patient`]; of HTTP/2 it loses that one
//!   stream ([`Streams`]), for a proxy may carry many people over one connection;
//! * **quiet**: [`HEADER_DEADLINE`] for HTTP/1.1, [`IDLE`] for HTTP/2, which then hears `GOAWAY`;
//! * **leaving**: told to go, it may finish what runs and has [`FAREWELL`] after that.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulConnection;
use seedpod_actors::places::Place;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::patient::Patience;

/// Time for the first request of a connection, and in HTTP/1.1 for the header of each further one.
pub(crate) const HEADER_DEADLINE: Duration = Duration::from_secs(15);
/// How long an HTTP/2 connection may be quiet.
const IDLE: Duration = Duration::from_secs(60);
/// How long a connection that was told to go may stay once nothing runs on it.
const FAREWELL: Duration = Duration::from_secs(1);
/// The slowest peer that is served: about a kilobyte a second while it keeps us waiting.
pub(crate) const PATIENCE: Patience = Patience {
    window: Duration::from_secs(15),
    bytes: 16 * 1024,
};
/// Largest buffer of an HTTP/1.1 connection, in bytes, and with it the longest headers. Above it no further portion of an
/// answer is asked for.
const BUFFER: usize = 64 * 1024;

/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 100;
/// Longest headers of an HTTP/2 request, in bytes, counted as the RFC does.
const HEADER_LIST: u32 = 16 * 1024;
/// Streams that a peer may have reset before we looked at them; more end the connection.
const PENDING_RESETS: usize = 20;
/// Streams that we may have had to reset for a peer's errors; more end the connection.
const ERROR_RESETS: usize = 64;
/// What a peer may send ahead on one stream, and on all of a connection, in bytes.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024;
/// What waits inside of one stream to be sent, in bytes.
const SEND_BUFFER: usize = 64 * 1024;
/// When a sign of life is asked for, and how long it may take.
const PING: Duration = Duration::from_secs(20);
const PONG: Duration = Duration::from_secs(10);

/// How connections are served. Streams of HTTP/2 end when `cut` is cancelled.
pub(crate) fn builder(cut: CancellationToken) -> Builder<Streams> {
    let mut builder = Builder::new(Streams { cut });
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_DEADLINE)
        .max_buf_size(BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_LIST)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(ERROR_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    builder
}

/// When everybody has to go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Closing {
    /// No further requests; what runs may finish.
    pub(crate) drain: CancellationToken,
    /// Nothing may finish any more.
    pub(crate) cut: CancellationToken,
}

/// Sees a connection through to its end.
pub(crate) async fn hold<C: GracefulConnection>(
    connection: C,
    activity: Arc<Activity>,
    closing: Closing,
) -> Result<(), C::Error> {
    let mut connection = pin!(connection);
    let mut drain = pin!(closing.drain.cancelled());
    let mut cut = pin!(closing.cut.cancelled());
    let mut look = pin!(tokio::time::sleep(HEADER_DEADLINE));
    let mut leaving = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = &mut look => {}
            () = drain.as_mut(), if !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
                look.as_mut().reset(Instant::now() + FAREWELL);
                continue;
            }
            () = cut.as_mut() => return Ok(()),
        }
        let now = Instant::now();
        match activity.quiet_until(now, leaving) {
            Some(later) => look.as_mut().reset(later),
            None if leaving => return Ok(()),
            None => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
                look.as_mut().reset(now + FAREWELL);
            }
        }
    }
}

/// What happens on a connection.
#[derive(Debug)]
pub(crate) struct Activity {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    asked: bool,
    running: usize,
    quiet_since: Instant,
}

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        let state = State {
            asked: false,
            running: 0,
            quiet_since: Instant::now(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
        })
    }

    /// A request was read, and has this place until its answer is gone.
    pub(crate) fn begin(self: &Arc<Self>, place: Option<Place>) -> Running {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked = true;
        state.running += 1;
        Running {
            activity: Arc::clone(self),
            _place: place,
        }
    }

    /// When to look again whether the connection has been quiet for too long; `None` if it has.
    fn quiet_until(&self, now: Instant, leaving: bool) -> Option<Instant> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = match (leaving, state.asked) {
            (true, _) => FAREWELL,
            (false, true) => IDLE,
            (false, false) => HEADER_DEADLINE,
        };
        if state.running > 0 {
            return Some(now + allowed);
        }
        Some(state.quiet_since + allowed).filter(|end| *end > now)
    }
}

/// A request that runs, until the last of its answer is gone or given up.
#[derive(Debug)]
pub(crate) struct Running {
    activity: Arc<Activity>,
    _place: Option<Place>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.activity.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running -= 1;
        state.quiet_since = Instant::now();
    }
}

/// An answer whose progress is known.
#[derive(Debug)]
pub(crate) struct Tracked<B> {
    body: B,
    _running: Running,
}

/// Lets a request be answered and its progress be known.
pub(crate) async fn track<B, E>(
    running: Running,
    answer: impl Future<Output = Result<hyper::Response<B>, E>>,
) -> Result<hyper::Response<Tracked<B>>, E> {
    let response = answer.await?;
    let _ = PROGRESS.try_with(|progress| progress.answering.store(true, Ordering::Relaxed));
    Ok(response.map(|body| Tracked {
        body,
        _running: running,
    }))
}

impl<B: Body + Unpin> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        // An answer that has nothing to say for a while, as events do, says nothing about its reader.
        let _ = PROGRESS.try_with(|progress| progress.answering.store(polled.is_ready(), Ordering::Relaxed));
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, |data| data.remaining() as u64);
            let _ = PROGRESS.try_with(|progress| progress.taken.fetch_add(bytes, Ordering::Relaxed));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

tokio::task_local! {
    /// Of the stream whose task this is; HTTP/1.1 has none.
    static PROGRESS: Arc<Progress>;
}

/// How the answer on one stream of HTTP/2 gets on.
#[derive(Debug, Default)]
struct Progress {
    /// There is something to take.
    answering: AtomicBool,
    taken: AtomicU64,
}

impl Progress {
    /// Completes when the peer takes next to nothing of its answer. Flow control keeps it from us in that case: a stream
    /// without a window is not polled for more.
    async fn stalled(&self, patience: Patience) {
        let mut before = None;
        loop {
            tokio::time::sleep(patience.window).await;
            let answering = self.answering.load(Ordering::Relaxed);
            let taken = answering.then(|| self.taken.load(Ordering::Relaxed));
            if let (Some(before), Some(taken)) = (before, taken)
                && taken - before < patience.bytes as u64
            {
                return;
            }
            before = taken;
        }
    }
}

/// Runs the streams of HTTP/2, each in a task of its own.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    cut: CancellationToken,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let (progress, cut) = (Arc::new(Progress::default()), self.cut.clone());
        TokioExecutor::new().execute(async move {
            tokio::select! {
                _ = PROGRESS.scope(Arc::clone(&progress), stream) => {}
                () = progress.stalled(PATIENCE) => debug!("a stream was reset: its peer takes next to nothing"),
                () = cut.cancelled() => {}
            }
        });
    }
}
