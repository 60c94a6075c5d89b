//! Carries one connection over a stream of bytes, whatever makes it: from the first byte to the end.
//!
//! Blocks are read when the stream can take them and not before, so that a peer who reads slowly costs one buffer; one that takes next
//! to nothing is let go. While nothing is to be sent, a connection holds no buffer at all.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::connection::{Connection, Fault, Portion};
use super::messages::{Served, Source};
use super::service::Service;
use super::shelf::{ShelfError, Torrent};
use crate::disk::read_cached;

/// So much is made ready for the network at once, in bytes; with the last block, and what is said between blocks, it may be more.
const READY: usize = 64 << 10;
/// Below this it is made more.
const LOW: usize = READY / 2;
/// How much is read at once, in bytes. Peers say little.
const HEARD: usize = 4 << 10;
/// In so long a peer takes at least [`SLOWEST`] of what waits for it.
const PATIENCE: Duration = Duration::from_secs(30);
/// See [`PATIENCE`]; in bytes.
const SLOWEST: usize = 16 << 10;
/// Longer than any connection goes on without something to look at.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);
/// What was sent is told at least so often while more is sent.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Buffers that are kept while nobody needs them.
const SPARE: usize = 64;
/// A buffer that has grown beyond this is not kept, in bytes.
const KEPT: usize = 3 * READY;

/// How a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The peer closed it.
    #[error("the peer left")]
    Left,
    /// The stream broke.
    #[error("the connection broke: {0}")]
    Broken(#[source] io::Error),
    /// The pod stops.
    #[error("the pod stops")]
    Stopped,
    /// The torrent is served no more.
    #[error("the torrent is served no more")]
    Withdrawn,
    /// The torrent cannot be served.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// The content could not be read.
    #[error("the content cannot be read: {0}")]
    Disk(#[source] io::Error),
    /// The peer takes next to nothing of what it asked for.
    #[error("the peer does not read")]
    Slow,
    /// What the peer says, or does not say.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl End {
    /// The end as a metric's label.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Broken(_) => "broken",
            Self::Stopped => "stopped",
            Self::Withdrawn => "withdrawn",
            Self::Shelf(ShelfError::Unknown(_)) => "unknown_torrent",
            Self::Shelf(_) | Self::Disk(_) => "unreadable",
            Self::Slow => "slow",
            Self::Fault(fault) => fault.label(),
        }
    }
}

/// Serves a peer until one side has enough. Dropping the future closes the connection.
pub(super) async fn serve(stream: impl AsyncRead + AsyncWrite, source: Source, service: &Service) -> End {
    let (mut reader, mut writer) = tokio::io::split(Box::pin(stream));
    let mut connection = Connection::new(service.peer_id(), now());
    let mut slot = service.slots().enter();
    let mut torrent: Option<Arc<Torrent>> = None;
    let mut ready = Ready::new(service.buffers(), now());
    let mut tally = Tally::new(service, source);
    let mut heard = [0; HEARD];
    let timer = tokio::time::sleep_until(connection.deadline().into());
    tokio::pin!(timer);
    loop {
        if let Some(info_hash) = connection.wanted() {
            let found = tokio::select! {
                () = service.stopped() => return End::Stopped,
                found = service.shelf().open(info_hash) => found,
            };
            let served = match found {
                Ok(torrent) => torrent,
                Err(error) => return error.into(),
            };
            if let Err(fault) = connection.open(served.layout.clone(), now()) {
                return fault.into();
            }
            tally.info_hash = Some(served.info_hash);
            torrent = Some(served);
        }
        match fill(&mut ready, &mut connection, torrent.as_deref(), &mut tally).await {
            Ok(()) => {}
            Err(end) => return tally.finish(&ready, end),
        }
        // Not only what was just read may have changed it: also what waited while the torrent was looked for, or answers were full.
        slot.want(connection.interested(), now());
        let deadline = ready
            .deadline()
            .map_or(connection.deadline(), |ready| ready.min(connection.deadline()));
        if timer.deadline().into_std() > deadline {
            timer.as_mut().reset(deadline.into());
        }
        let room = connection.room().min(HEARD);
        let outcome = tokio::select! {
            biased;
            () = service.stopped() => Err(End::Stopped),
            () = withdrawn(torrent.as_deref()) => Err(End::Withdrawn),
            read = reader.read(&mut heard[..room]), if room > 0 => match read {
                Ok(0) => Err(End::Left),
                Ok(length) => connection
                    .receive(&heard[..length], now())
                    .map_err(End::from),
                Err(error) => Err(End::Broken(error)),
            },
            written = writer.write(ready.waiting()), if !ready.is_empty() => match written {
                Ok(0) => Err(End::Left),
                Ok(length) => {
                    ready.advance(length, now());
                    Ok(())
                }
                Err(error) => Err(End::Broken(error)),
            },
            () = slot.changed() => {
                connection.set_unchoked(slot.is_served());
                Ok(())
            }
            () = timer.as_mut() => {
                // What it was set for may have changed since; it is set again above.
                timer.as_mut().reset(tokio::time::Instant::now() + LONG);
                connection.tick(now()).map_err(End::from).and_then(|()| ready.check(now()))
            }
        };
        if let Err(end) = outcome {
            return tally.finish(&ready, end);
        }
        tally.tell(now());
    }
}

/// Makes ready what the peer is to get next.
async fn fill(
    ready: &mut Ready<'_>,
    connection: &mut Connection,
    torrent: Option<&Torrent>,
    tally: &mut Tally<'_>,
) -> Result<(), End> {
    if ready.waiting().len() >= LOW {
        return Ok(());
    }
    let was_empty = ready.is_empty();
    let bytes = ready.refill();
    while bytes.len() < READY {
        let Some(portion) = connection.next(bytes, now())? else {
            break;
        };
        let torrent = torrent.ok_or(End::Withdrawn)?;
        append(bytes, torrent, portion).await.map_err(End::Disk)?;
        tally.bytes += portion.length as u64;
    }
    ready.settle(was_empty, now());
    Ok(())
}

/// Appends a portion of the content.
async fn append(bytes: &mut Vec<u8>, torrent: &Torrent, portion: Portion) -> io::Result<()> {
    let start = bytes.len();
    bytes.resize(start + portion.length, 0);
    let cached = read_cached(&torrent.file, &mut bytes[start..], portion.offset);
    if cached == portion.length {
        return Ok(());
    }
    let (file, mut taken) = (Arc::clone(&torrent.file), std::mem::take(bytes));
    let reading = tokio::task::spawn_blocking(move || {
        use std::os::unix::fs::FileExt;
        file.read_exact_at(&mut taken[start + cached..], portion.offset + cached as u64)?;
        Ok(taken)
    });
    *bytes = reading
        .await
        .unwrap_or_else(|stopped| Err(io::Error::other(stopped)))?;
    Ok(())
}

async fn withdrawn(torrent: Option<&Torrent>) {
    match torrent {
        Some(torrent) => torrent.gone.cancelled().await,
        None => std::future::pending().await,
    }
}

/// Follows tokio's clock, which tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// What waits for the network, and how it is taken.
struct Ready<'a> {
    buffers: &'a Buffers,
    bytes: Vec<u8>,
    sent: usize,
    /// Since when what the peer takes is counted.
    since: Instant,
    taken: usize,
}

impl<'a> Ready<'a> {
    fn new(buffers: &'a Buffers, now: Instant) -> Self {
        Self {
            buffers,
            bytes: Vec::new(),
            sent: 0,
            since: now,
            taken: 0,
        }
    }

    fn waiting(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    /// The buffer, with nothing in it but what waits.
    fn refill(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = self.buffers.take();
        }
        self.bytes.drain(..self.sent);
        self.sent = 0;
        &mut self.bytes
    }

    /// What was to be added was added.
    fn settle(&mut self, was_empty: bool, now: Instant) {
        if self.is_empty() {
            self.buffers.give(std::mem::take(&mut self.bytes));
        } else if was_empty {
            (self.since, self.taken) = (now, 0);
        }
    }

    fn advance(&mut self, length: usize, now: Instant) {
        self.sent += length;
        self.taken += length;
        if self.taken >= SLOWEST {
            (self.since, self.taken) = (now, 0);
        }
    }

    /// When a peer that takes too little is let go.
    fn deadline(&self) -> Option<Instant> {
        (!self.is_empty()).then(|| self.since + PATIENCE)
    }

    fn check(&self, now: Instant) -> Result<(), End> {
        match self.deadline() {
            Some(deadline) if now >= deadline => Err(End::Slow),
            _ => Ok(()),
        }
    }
}

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        self.buffers.give(std::mem::take(&mut self.bytes));
    }
}

/// Buffers that wait to be used again.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    fn take(&self) -> Vec<u8> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| Vec::with_capacity(READY + READY / 2))
    }

    fn give(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() == 0 || buffer.capacity() > KEPT {
            return;
        }
        buffer.clear();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE {
            spare.push(buffer);
        }
    }
}

/// Bytes of content that this connection sent and nobody was told of yet.
struct Tally<'a> {
    service: &'a Service,
    source: Source,
    info_hash: Option<seedpod_protocol::ids::InfoHash>,
    bytes: u64,
    told: Instant,
}

impl<'a> Tally<'a> {
    fn new(service: &'a Service, source: Source) -> Self {
        Self {
            service,
            source,
            info_hash: None,
            bytes: 0,
            told: now(),
        }
    }

    fn tell(&mut self, now: Instant) {
        if self.bytes > 0 && now >= self.told + TELL_EVERY {
            self.tell_now();
            self.told = now;
        }
    }

    fn tell_now(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if let Some(info_hash) = self.info_hash.filter(|_| bytes > 0) {
            self.service.served(Served {
                info_hash,
                bytes,
                source: self.source,
            });
        }
    }

    /// What was made ready and never sent does not count.
    fn finish(&mut self, ready: &Ready<'_>, end: End) -> End {
        self.bytes = self.bytes.saturating_sub(ready.waiting().len() as u64);
        end
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        self.tell_now();
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
