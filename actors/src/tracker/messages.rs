//! What may be said to the tracker.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::Message;
use seedpod_protocol::ids::InfoHash;
use tokio::sync::mpsc;

pub use super::stats::{Refusal, Stats, Totals};

/// How many texts an outbox holds. A browser in a lively swarm gets some dozens of offers at once.
pub const OUTBOX_TEXTS: usize = 64;
/// How many bytes of texts an outbox holds; offers have a few thousand each.
pub const OUTBOX_BYTES: usize = 256 << 10;

/// What waits to be sent to one socket: the tracker's end, and the end of who holds the socket.
pub fn outbox() -> (Outbox, Inbox) {
    let (sender, receiver) = mpsc::channel(OUTBOX_TEXTS);
    let waiting = Arc::new(AtomicUsize::new(0));
    let outbox = Outbox {
        texts: sender,
        waiting: Arc::clone(&waiting),
    };
    let inbox = Inbox {
        texts: receiver,
        waiting,
    };
    (outbox, inbox)
}

/// Takes what is to be sent to a socket; bounded in texts and in bytes.
#[derive(Debug)]
pub struct Outbox {
    texts: mpsc::Sender<String>,
    waiting: Arc<AtomicUsize>,
}

/// Why an outbox takes nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutboxError {
    /// The client does not read.
    Full,
    /// Nobody holds the socket any more.
    Closed,
}

impl Outbox {
    /// Puts a text in, if there is room.
    pub(super) fn try_send(&self, text: String) -> Result<(), OutboxError> {
        let length = text.len();
        // Only the tracker puts texts in, so between these two lines the number can but fall.
        if self.waiting.load(Ordering::Acquire) + length > OUTBOX_BYTES {
            return Err(if self.texts.is_closed() {
                OutboxError::Closed
            } else {
                OutboxError::Full
            });
        }
        self.waiting.fetch_add(length, Ordering::AcqRel);
        self.texts.try_send(text).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => OutboxError::Full,
            mpsc::error::TrySendError::Closed(_) => OutboxError::Closed,
        })
    }
}

/// Gives what is to be sent to a socket.
#[derive(Debug)]
pub struct Inbox {
    texts: mpsc::Receiver<String>,
    waiting: Arc<AtomicUsize>,
}

impl Inbox {
    /// The next text; `None` once the tracker has let go of the socket and nothing is left.
    pub async fn recv(&mut self) -> Option<String> {
        let text = self.texts.recv().await?;
        self.waiting.fetch_sub(text.len(), Ordering::AcqRel);
        Some(text)
    }
}

/// Names one connected socket. Never used twice while the tracker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub(super) u64);

/// A socket was opened.
///
/// Texts for it come out of the [`Inbox`]. The tracker closes a socket by dropping the outbox: the holder sends
/// what is still queued, if it likes, and closes. An outbox that is full when something is to be put in
/// belongs to a client that does not read, and is dropped.
#[derive(Debug, Message)]
#[rtype(result = "Result<SocketId, TooMany>")]
pub struct Connect {
    /// Where the client is; limits are counted by IPv4 address or IPv6 /64.
    pub address: IpAddr,
    /// Takes what is to be sent; see [`outbox`].
    pub outbox: Outbox,
}

/// Why a socket is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TooMany {
    /// The tracker is full.
    #[error("the tracker has its {0} sockets already")]
    Sockets(usize),
    /// The address is.
    #[error("{address} has its {limit} sockets already")]
    OfAddress {
        /// Who asked.
        address: IpAddr,
        /// How many are allowed.
        limit: usize,
    },
}

/// A socket received a text. Whoever holds the socket should wait for this to be handled before reading on, so that a
/// client cannot queue up work.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Incoming {
    /// Which.
    pub socket: SocketId,
    /// What; binary frames holding UTF-8 are the same to the tracker.
    pub text: String,
}

/// A socket was closed from the other side. Its peers are gone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Disconnect {
    /// Which.
    pub socket: SocketId,
}

/// Serves these torrents from now on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Admit {
    /// Which; those served already stay as they are.
    pub info_hashes: Vec<InfoHash>,
}

/// Serves these torrents no more, and forgets their swarms. With `tracker.open` the swarms may form anew.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Withdraw {
    /// Which.
    pub info_hashes: Vec<InfoHash>,
}

/// Asks for the size of one swarm; of an unknown one it is zero.
#[derive(Debug, Message)]
#[rtype(result = "SwarmSize")]
pub struct GetSwarm {
    /// Which.
    pub info_hash: InfoHash,
}

/// The size of one swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SwarmSize {
    /// Peers that have everything.
    pub seeders: u32,
    /// Peers that do not.
    pub leechers: u32,
}

/// Asks for the tracker's figures.
#[derive(Debug, Message)]
#[rtype(result = "Stats")]
pub struct GetStats;
