//! What the seeder needs of a WebRTC library, and nothing more: an answer to an offer, and a stream of bytes if the browser comes.
//!
//! One file names the library (`webrtc.rs`); another one can take its place without the wire protocol noticing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

/// Longest message of a data channel, in bytes; browsers take more, and the library sends no more.
pub(super) const MAX_SENT: usize = 64 << 10;
/// So many messages wait until the connection reads them. Browsers send each request in one of its own, all we promised at once.
const MAX_WAITING: usize = 2048;
/// So many bytes in them. A peer that sends more while it is not answered is up to nothing good.
const MAX_WAITING_BYTES: usize = 256 << 10;

/// Why no connection came of an offer.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransportError {
    /// The offer is none, or none of a data channel.
    #[error("the offer cannot be answered: {0}")]
    Offer(String),
    /// All ports of the range are taken.
    #[error("no port is free")]
    Ports,
    /// It took too long.
    #[error("took too long")]
    Late,
}

/// Answers offers.
#[async_trait]
pub(super) trait PeerTransport: Send + Sync + 'static {
    /// Answers the offer with these session descriptions (SDP), without asking anybody else anything, so that it takes milliseconds.
    async fn answer(&self, offer: String) -> Result<Answered, TransportError>;
}

/// An answered offer.
pub(super) struct Answered {
    /// Our session description, all candidates in it.
    pub(super) answer: String,
    /// What may become of it.
    pub(super) connection: Box<dyn PendingConnection>,
}

/// A connection whose other side may or may not come. It must be closed, whatever became of it.
#[async_trait]
pub(super) trait PendingConnection: Send {
    /// Waits until the browser's data channel is open, however long that takes; `None` if it never will be.
    async fn open(&mut self) -> Option<ChannelStream>;

    /// Ends the connection and gives back what it held.
    async fn close(self: Box<Self>);
}

/// A data channel as a stream of bytes: its messages begin and end anywhere.
#[derive(Debug)]
pub(super) struct ChannelStream {
    incoming: mpsc::Receiver<Bytes>,
    waiting: Arc<AtomicUsize>,
    reading: Bytes,
    outgoing: PollSender<BytesMut>,
}

/// The library's ends of a [`ChannelStream`]; both are gone once the stream is dropped.
pub(super) struct ChannelEnds {
    pub(super) received: Received,
    /// What is to be sent, at most [`MAX_SENT`] bytes a message, one at a time.
    pub(super) to_send: mpsc::Receiver<BytesMut>,
}

/// Takes what came over the channel.
pub(super) struct Received {
    sender: mpsc::Sender<Bytes>,
    waiting: Arc<AtomicUsize>,
}

impl Received {
    /// Hands a message on. False if nobody wants it, or if too much waits already: the connection is to be closed then.
    pub(super) fn put(&self, message: Bytes) -> bool {
        let length = message.len();
        if length == 0 {
            return !self.sender.is_closed();
        }
        // Only this end adds, so between these two lines the number can but fall.
        if self.waiting.load(Ordering::Acquire) + length > MAX_WAITING_BYTES {
            return false;
        }
        self.waiting.fetch_add(length, Ordering::AcqRel);
        self.sender.try_send(message).is_ok()
    }
}

/// A stream and its other ends.
pub(super) fn channel_stream() -> (ChannelStream, ChannelEnds) {
    let (sender, incoming) = mpsc::channel(MAX_WAITING);
    // One message is made while another is being sent.
    let (outgoing, to_send) = mpsc::channel(1);
    let waiting = Arc::new(AtomicUsize::new(0));
    let stream = ChannelStream {
        incoming,
        waiting: Arc::clone(&waiting),
        reading: Bytes::new(),
        outgoing: PollSender::new(outgoing),
    };
    let ends = ChannelEnds {
        received: Received { sender, waiting },
        to_send,
    };
    (stream, ends)
}

impl AsyncRead for ChannelStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.reading.is_empty() {
            let Some(message) = ready!(self.incoming.poll_recv(cx)) else {
                return Poll::Ready(Ok(()));
            };
            self.waiting.fetch_sub(message.len(), Ordering::AcqRel);
            self.reading = message;
        }
        let length = self.reading.len().min(buffer.remaining());
        buffer.put_slice(&self.reading[..length]);
        self.reading.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ChannelStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let closed = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        ready!(self.outgoing.poll_reserve(cx)).map_err(closed)?;
        let length = bytes.len().min(MAX_SENT);
        self.outgoing
            .send_item(BytesMut::from(&bytes[..length]))
            .map_err(closed)?;
        Poll::Ready(Ok(length))
    }

    /// Nothing is kept back, so there is nothing to do.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.close();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn messages_are_a_stream_in_both_directions() {
        let (mut stream, mut ends) = channel_stream();
        assert!(ends.received.put(Bytes::from_static(b"ab")));
        assert!(ends.received.put(Bytes::new()));
        assert!(ends.received.put(Bytes::from_static(b"cde")));
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"abcde");
        let sending = tokio::spawn(async move {
            stream.write_all(&vec![7; 2 * MAX_SENT + 9]).await.unwrap();
            stream
        });
        let mut lengths = Vec::new();
        while lengths.iter().sum::<usize>() < 2 * MAX_SENT + 9 {
            lengths.push(ends.to_send.recv().await.unwrap().len());
        }
        assert_eq!(lengths, [MAX_SENT, MAX_SENT, 9]);
        let mut stream = sending.await.unwrap();
        drop(ends);
        assert_eq!(stream.read(&mut heard).await.unwrap(), 0);
        assert_eq!(
            stream.write(b"x").await.unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
    }

    #[tokio::test]
    async fn what_nobody_reads_is_bounded() {
        let (mut stream, ends) = channel_stream();
        let message = Bytes::from(vec![1; MAX_WAITING_BYTES / 4]);
        for _ in 0..4 {
            assert!(ends.received.put(message.clone()));
        }
        assert!(!ends.received.put(Bytes::from_static(b"x")));
        let mut heard = vec![0; message.len()];
        stream.read_exact(&mut heard).await.unwrap();
        assert!(ends.received.put(Bytes::from_static(b"x")));
        let many = (0..MAX_WAITING)
            .filter(|_| ends.received.put(Bytes::from_static(b"x")))
            .count();
        assert!(many < MAX_WAITING);
        drop(stream);
        assert!(!ends.received.put(Bytes::from_static(b"x")));
    }
}
