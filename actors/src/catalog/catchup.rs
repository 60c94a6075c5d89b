//! Catch-up: asking a friend for what is missing. This is the source of truth; gossip only makes it rarely needed.
//!
//! [`sync`](super::sync) decides what is asked; here its questions meet the network and its pages the disk.

use actix::prelude::*;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use seedpod_protocol::envelope::Verified;
use seedpod_protocol::ids::PodId;
use seedpod_protocol::records::Record;
use seedpod_protocol::requests::Request;

use super::messages::Receive;
use super::sync::{Effect, Input, Run, Terms};
use super::{CatalogActor, CatalogMetrics};
use crate::swarm::{RequestError, Swarm, Way};

/// Compares roots with a friend and takes what is missing.
#[derive(Debug, Message)]
#[rtype(result = "Result<CaughtUp, CatchUpError>")]
pub struct CatchUp {
    /// The friend.
    pub with: PodId,
    /// Where it can be dialed if it is not connected.
    pub addresses: Vec<String>,
}

/// What a run found.
#[derive(Debug, Clone, Copy, Default)]
pub struct CaughtUp {
    /// Whether the friend has all of this pod's own records.
    pub acknowledged: bool,
    /// Whether both held the same of every common author when the run began.
    pub alike: bool,
    /// Records that were new to us.
    pub applied: usize,
    /// Whether it looked for more than a pull of what is new brings.
    pub dug: bool,
}

/// Why a run did not finish.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CatchUpError {
    /// The friend could not be asked.
    #[error("{0}")]
    Request(#[from] RequestError),
    /// It is no friend any more, and showed its signed no.
    #[error("it ended the friendship")]
    Ended,
    /// It refused.
    #[error("it does not treat us as a friend: {0}")]
    Refused(String),
    /// It answered what no pod of this protocol answers.
    #[error("it breaks the protocol: {0}")]
    Broken(&'static str),
    /// This pod's catalog is stopping or cannot write.
    #[error("our own catalog: {0}")]
    Ours(String),
}

impl CatchUpError {
    /// The word for counters.
    fn reason(&self) -> &'static str {
        match self {
            Self::Request(error) => error.reason(),
            Self::Ended => "ended",
            Self::Refused(_) => "refused",
            Self::Broken(_) => "broken",
            Self::Ours(_) => "ours",
        }
    }
}

/// Lets a run look at the catalog and go on.
#[derive(Debug, Message)]
#[rtype(result = "(Run, Vec<Effect>)")]
pub(super) struct Step {
    with: PodId,
    run: Run,
    input: Input,
}

impl Handler<Step> for CatalogActor {
    type Result = MessageResult<Step>;

    fn handle(&mut self, step: Step, _: &mut Context<Self>) -> Self::Result {
        let Step { with, mut run, input } = step;
        let effects = run.heard(input, &self.state);
        if let Some(said) = run.said()
            && self.state.is_admitted(&with)
        {
            self.said.insert(with, said);
        }
        MessageResult((run, effects))
    }
}

/// Does for a run what it says.
pub(super) struct Driver {
    pub(super) catalog: Addr<CatalogActor>,
    pub(super) swarm: Swarm,
    pub(super) with: PodId,
    pub(super) addresses: Vec<String>,
    pub(super) metrics: CatalogMetrics,
}

impl Driver {
    /// Drives a run to its end, and counts it.
    pub(super) async fn drive(&self, terms: Terms) -> Result<CaughtUp, CatchUpError> {
        let result = self.drive_on(terms).await;
        let outcome = result.as_ref().map_or_else(CatchUpError::reason, |_| "done");
        self.metrics.caught_up(outcome);
        result
    }

    async fn drive_on(&self, terms: Terms) -> Result<CaughtUp, CatchUpError> {
        let (mut run, mut effects) = Run::start(terms);
        let mut under_way: FuturesUnordered<BoxFuture<'_, Result<Input, CatchUpError>>> =
            FuturesUnordered::new();
        loop {
            for effect in effects {
                match effect {
                    Effect::Ask(request) => under_way.push(self.ask(request).boxed()),
                    Effect::Take(envelopes) => under_way.push(self.take(envelopes).boxed()),
                    Effect::End(result) => return result,
                }
            }
            let input = match under_way.next().await {
                Some(input) => input?,
                None => return Err(ours("a run stood still")),
            };
            (run, effects) = self
                .catalog
                .send(Step {
                    with: self.with,
                    run,
                    input,
                })
                .await
                .map_err(ours)?;
        }
    }

    async fn ask(&self, request: Request) -> Result<Input, CatchUpError> {
        self.metrics.asked(request.name());
        let answer = self.swarm.request(self.with, &self.addresses, request).await;
        Ok(answer.map_or_else(Input::NoAnswer, Input::Answer))
    }

    async fn take(&self, envelopes: Vec<Vec<u8>>) -> Result<Input, CatchUpError> {
        let bytes = envelopes.iter().map(Vec::len).sum();
        let envelopes = accept(&self.swarm, self.with, Way::CatchUp, envelopes).await;
        let receive = Receive {
            from: self.with,
            envelopes,
        };
        let received = self.catalog.send(receive).await;
        let applied = received.map_err(ours)?.map_err(ours)?;
        self.metrics.taken(bytes, applied);
        Ok(Input::Taken(applied))
    }
}

/// Checks envelopes that a pod handed over; what is refused is left out and told to the swarm, which holds it against that pod.
pub(crate) async fn accept(
    swarm: &Swarm,
    from: PodId,
    way: Way,
    envelopes: Vec<Vec<u8>>,
) -> Vec<Verified<Record>> {
    let mut accepted = Vec::with_capacity(envelopes.len());
    let mut refused = Vec::new();
    for checked in swarm.verify(envelopes).await {
        match checked {
            Ok(record) => accepted.push(record),
            Err(refusal) => refused.push(refusal),
        }
    }
    swarm.refused(from, way, refused).await;
    accepted
}

fn ours(error: impl std::fmt::Display) -> CatchUpError {
    CatchUpError::Ours(error.to_string())
}
