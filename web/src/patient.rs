//! A connection with patience: whoever takes next to nothing of what is sent loses its connection.
//!
//! Without this a stranger asks for large files, never reads them, and holds memory and a place for ever. A paused player
//! looks the same; it asks again, from where it stopped, once it goes on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// How slowly a peer may take what is sent: at least so many bytes in each window during which it keeps us waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) window: Duration,
    pub(crate) bytes: usize,
}

/// A stream whose writes fail once the peer has tried our patience. What is held for as long as the stream lives, a place for
/// example, goes along as its seat.
pub(crate) struct Patient<S = ()> {
    stream: TcpStream,
    _seat: S,
    patience: Patience,
    /// The end of the present window.
    end: Pin<Box<Sleep>>,
    taken: usize,
    /// Whether the last write had to wait.
    blocked: bool,
}

impl<S> Patient<S> {
    pub(crate) fn new(stream: TcpStream, patience: Patience, seat: S) -> Self {
        let end = Box::pin(tokio::time::sleep(patience.window));
        Self {
            stream,
            _seat: seat,
            patience,
            end,
            taken: 0,
            blocked: false,
        }
    }

    fn begin_window(&mut self) {
        self.taken = 0;
        self.end.as_mut().reset(Instant::now() + self.patience.window);
    }

    /// Counts what was taken, and turns a wait into an error when the window closes on too little.
    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
        taken: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(result) = polled {
            self.taken = self.taken.saturating_add(result.as_ref().map_or(0, taken));
            self.blocked = false;
            return Poll::Ready(result);
        }
        // A window that ran out while nobody waited judges nobody.
        if !self.blocked && self.end.is_elapsed() {
            self.begin_window();
        }
        self.blocked = true;
        while self.end.as_mut().poll(context).is_ready() {
            if self.taken < self.patience.bytes {
                // What was sent and not taken is thrown away; closed politely it would stay in the system's buffers for
                // as long as the peer likes.
                let _ = self.stream.set_zero_linger();
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the peer takes next to nothing",
                )));
            }
            self.begin_window();
        }
        Poll::Pending
    }
}

impl<S: Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, polled, |taken| *taken)
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
        self.judge(context, polled, |taken| *taken)
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
    use tokio::net::TcpListener;

    /// Long enough for a fast peer on a busy machine, short enough to wait for.
    const WINDOW: Duration = Duration::from_millis(300);

    async fn connected(bytes: usize) -> (Patient, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (
            Patient::new(
                stream,
                Patience {
                    window: WINDOW,
                    bytes,
                },
                (),
            ),
            peer,
        )
    }

    /// Writes until the connection refuses, and says why.
    async fn flood(mut connection: Patient) -> io::ErrorKind {
        let flooded = async {
            loop {
                if let Err(error) = connection.write_all(&[0; 64 * 1024]).await {
                    return error.kind();
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), flooded)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_loses_its_connection() {
        let (connection, peer) = connected(1).await;
        assert_eq!(flood(connection).await, io::ErrorKind::TimedOut);
        drop(peer);
    }

    #[tokio::test]
    async fn a_peer_that_takes_a_byte_now_and_then_loses_it_too() {
        let (connection, mut peer) = connected(8 * 1024 * 1024).await;
        let trickle = tokio::spawn(async move {
            let mut byte = [0; 1024];
            let mut pace = tokio::time::interval(WINDOW / 20);
            while peer.read(&mut byte).await.is_ok_and(|read| read > 0) {
                pace.tick().await;
            }
        });
        assert_eq!(flood(connection).await, io::ErrorKind::TimedOut);
        trickle.abort();
    }

    #[tokio::test]
    async fn a_peer_that_reads_is_served_for_as_long_as_it_likes() {
        let (mut connection, mut peer) = connected(1024).await;
        let reads = tokio::spawn(async move {
            let mut total = 0;
            let mut portion = vec![0; 256 * 1024];
            // Slower than the writer, for several windows: what counts is that it takes enough in each.
            let mut pace = tokio::time::interval(WINDOW / 30);
            while let Ok(read @ 1..) = peer.read(&mut portion).await {
                total += read;
                pace.tick().await;
            }
            total
        });
        let begun = Instant::now();
        let mut sent = 0;
        while begun.elapsed() < 3 * WINDOW {
            connection.write_all(&[0; 64 * 1024]).await.unwrap();
            sent += 64 * 1024;
        }
        drop(connection);
        assert_eq!(reads.await.unwrap(), sent);
    }

    #[tokio::test]
    async fn a_connection_that_was_idle_begins_a_window_of_its_own() {
        let (mut connection, mut peer) = connected(1).await;
        // The first window runs out while nothing is sent.
        connection.end.as_mut().await;
        let reads = tokio::spawn(async move {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).await.unwrap();
            all.len()
        });
        connection.write_all(&vec![0; 16 * 1024 * 1024]).await.unwrap();
        drop(connection);
        assert_eq!(reads.await.unwrap(), 16 * 1024 * 1024);
    }
}
