//! What waits to be sent to one socket: a queue bounded in texts and in bytes, of which an empty one costs little.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures::task::AtomicWaker;

/// How many texts an outbox holds. A browser in a lively swarm gets some dozens of offers at once.
pub const OUTBOX_TEXTS: usize = 64;
/// How many bytes of texts an outbox holds; offers have a few thousand each.
pub const OUTBOX_BYTES: usize = 256 << 10;
/// Room for so many texts is kept by a queue that is empty again.
const ROOM_KEPT: usize = 8;

/// The tracker's end of a queue, and the end of who holds the socket.
#[must_use]
pub fn outbox() -> (Outbox, Inbox) {
    let queue = Arc::new(Shared::default());
    (Outbox(Line(Arc::clone(&queue))), Inbox(queue))
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    reader: AtomicWaker,
}

#[derive(Debug, Default)]
struct Queue {
    texts: VecDeque<String>,
    bytes: usize,
    /// One of the ends is gone.
    closed: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.queue().closed = true;
        self.reader.wake();
    }
}

/// Takes what is to be sent to a socket. Dropped, it ends the socket: the holder reads what is queued and then the end.
#[derive(Debug)]
pub struct Outbox(Line);

impl Outbox {
    /// A way to put texts in that does not keep the socket open.
    pub(super) fn line(&self) -> Line {
        self.0.clone()
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.0.0.close();
    }
}

/// Why an outbox takes nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutboxError {
    /// The client does not read.
    Full,
    /// Nobody holds the socket any more, or the tracker let go of it.
    Closed,
}

/// Puts texts into an outbox.
#[derive(Debug, Clone)]
pub(super) struct Line(Arc<Shared>);

impl Line {
    /// Puts a text in, if there is room.
    pub(super) fn try_send(&self, text: String) -> Result<(), OutboxError> {
        let mut queue = self.0.queue();
        if queue.closed {
            return Err(OutboxError::Closed);
        }
        if queue.texts.len() >= OUTBOX_TEXTS || queue.bytes + text.len() > OUTBOX_BYTES {
            return Err(OutboxError::Full);
        }
        queue.bytes += text.len();
        queue.texts.push_back(text);
        drop(queue);
        self.0.reader.wake();
        Ok(())
    }
}

/// Gives what is to be sent to a socket.
#[derive(Debug)]
pub struct Inbox(Arc<Shared>);

impl Inbox {
    /// The next text; `None` once the tracker has let go of the socket and nothing is left. Nothing is lost when the wait is given up.
    pub async fn recv(&mut self) -> Option<String> {
        std::future::poll_fn(|context| {
            if let Poll::Ready(text) = self.poll_queue() {
                return Poll::Ready(text);
            }
            self.0.reader.register(context.waker());
            // Something may have come between the look and the registration.
            self.poll_queue()
        })
        .await
    }

    /// The next text, if one waits.
    pub fn try_recv(&mut self) -> Option<String> {
        match self.poll_queue() {
            Poll::Ready(text) => text,
            Poll::Pending => None,
        }
    }

    fn poll_queue(&mut self) -> Poll<Option<String>> {
        let mut queue = self.0.queue();
        match queue.texts.pop_front() {
            Some(text) => {
                queue.bytes -= text.len();
                if queue.texts.is_empty() && queue.texts.capacity() > ROOM_KEPT {
                    queue.texts = VecDeque::new();
                }
                Poll::Ready(Some(text))
            }
            None if queue.closed => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_outbox_is_bounded_in_bytes_and_takes_more_once_something_was_read() {
        let (outbox, mut inbox) = outbox();
        let line = outbox.line();
        let large = "x".repeat(OUTBOX_BYTES / 4);
        for _ in 0..4 {
            assert_eq!(line.try_send(large.clone()), Ok(()));
        }
        assert_eq!(line.try_send("y".into()), Err(OutboxError::Full));
        assert_eq!(inbox.recv().await.as_ref(), Some(&large));
        assert_eq!(line.try_send(large.clone()), Ok(()));
        drop(inbox);
        assert_eq!(line.try_send("y".into()), Err(OutboxError::Closed));
    }

    #[tokio::test]
    async fn an_outbox_is_bounded_in_texts_and_can_be_read_after_its_end() {
        let (outbox, mut inbox) = outbox();
        let line = outbox.line();
        for number in 0..OUTBOX_TEXTS {
            assert_eq!(line.try_send(number.to_string()), Ok(()));
        }
        assert_eq!(line.try_send("y".into()), Err(OutboxError::Full));
        drop(outbox);
        assert_eq!(line.try_send("y".into()), Err(OutboxError::Closed));
        for number in 0..OUTBOX_TEXTS {
            assert_eq!(inbox.recv().await, Some(number.to_string()));
        }
        assert_eq!((inbox.recv().await, inbox.try_recv()), (None, None));
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let (outbox, mut inbox) = outbox();
        let line = outbox.line();
        let reader = tokio::spawn(async move { (inbox.recv().await, inbox.recv().await) });
        tokio::task::yield_now().await;
        assert_eq!(line.try_send("a".into()), Ok(()));
        tokio::task::yield_now().await;
        drop(outbox);
        assert_eq!(reader.await.expect("no panic"), (Some("a".to_owned()), None));
    }
}
