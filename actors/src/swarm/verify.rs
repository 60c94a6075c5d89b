//! Signatures are checked here, on blocking threads, in batches, so that no author can stall the driver.
//!
//! Bounds: [`QUEUE`] envelopes wait at most, [`WORKERS`] batches of [`BATCH`] are checked at a time. When the queue is full the newcomer
//! is left out and counted; catch-up brings it later.

use std::sync::Arc;

use libp2p::{PeerId, gossipsub::MessageId};
use seedpod_protocol::{envelope::Verified, records::Record};
use tokio::sync::{Mutex, mpsc};

use super::{
    admission::Admitted,
    door::{Refusal, validate},
    messages::Topic,
};

/// Envelopes that may wait for their check: at most 32 MiB.
pub(super) const QUEUE: usize = 512;
/// Envelopes checked in one go, some two milliseconds of work.
const BATCH: usize = 32;
/// Batches checked at the same time.
const WORKERS: usize = 2;

/// A gossip message that waits for its check.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) id: MessageId,
    pub(super) source: PeerId,
    pub(super) topic: Topic,
    pub(super) bytes: Vec<u8>,
    pub(super) admitted: Arc<Admitted>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) id: MessageId,
    pub(super) source: PeerId,
    pub(super) outcome: Result<Verified<Record>, Refusal>,
}

/// Starts the workers. They end when the sender is dropped, or the receiver.
pub(super) fn start() -> (mpsc::Sender<Candidate>, mpsc::Receiver<Verdict>) {
    let (candidates, waiting) = mpsc::channel(QUEUE);
    let (verdicts, decided) = mpsc::channel(QUEUE);
    let waiting = Arc::new(Mutex::new(waiting));
    for _ in 0..WORKERS {
        tokio::spawn(work(Arc::clone(&waiting), verdicts.clone()));
    }
    (candidates, decided)
}

async fn work(waiting: Arc<Mutex<mpsc::Receiver<Candidate>>>, verdicts: mpsc::Sender<Verdict>) {
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        if waiting.lock().await.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        let check = tokio::task::spawn_blocking(|| batch.into_iter().map(decide).collect::<Vec<_>>());
        // A panic in a check is a bug; the batch stays without a verdict, which gossip treats as ignored.
        for verdict in check.await.unwrap_or_default() {
            if verdicts.send(verdict).await.is_err() {
                return;
            }
        }
    }
}

fn decide(candidate: Candidate) -> Verdict {
    let outcome = validate(&candidate.bytes, candidate.topic, &candidate.admitted);
    Verdict {
        id: candidate.id,
        source: candidate.source,
        outcome,
    }
}
