//! Catch-up: asking a friend for what is missing. This is the source of truth; gossip only makes it rarely needed.
//!
//! One run compares roots and pulls, of each author whose root differs, everything stamped after the last stamp
//! held. When that was not all (a record with an older stamp is missing), everything of that author is pulled once.

use std::collections::HashSet;

use actix::prelude::*;
use seedpod_protocol::envelope::{Stamp, Verified};
use seedpod_protocol::ids::{ContentHash, PodId};
use seedpod_protocol::records::Record;
use seedpod_protocol::requests::{AuthorRoot, Request, Response};
use tracing::{debug, warn};

use super::CatalogActor;
use super::messages::Receive;
use crate::swarm::{RequestError, Swarm};

/// Pages pulled of one author in one run; the rest waits for the next run.
const MAX_PAGES: usize = 1_000;

/// Compares roots with a friend and pulls what is missing.
#[derive(Debug, Message)]
#[rtype(result = "Result<CaughtUp, CatchUpError>")]
pub struct CatchUp {
    /// The friend.
    pub with: PodId,
    /// Where it can be dialed if it is not connected.
    pub addresses: Vec<String>,
}

/// What a run found.
#[derive(Debug, Clone, Copy)]
pub struct CaughtUp {
    /// Whether the friend has all of this pod's own records.
    pub acknowledged: bool,
    /// How many of this pod's own records the friend holds.
    pub holds_of_ours: u64,
    /// Records that were new to us.
    pub applied: usize,
}

/// Why a run did not finish.
#[derive(Debug, thiserror::Error)]
pub enum CatchUpError {
    /// The friend could not be asked.
    #[error("{0}")]
    Request(#[from] RequestError),
    /// It answered something else than was asked for.
    #[error("it does not treat us as a friend: {0}")]
    Refused(String),
    /// This pod's catalog is stopping or cannot write.
    #[error("our own catalog: {0}")]
    Ours(String),
}

/// One author of whom a friend holds something else than we do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Difference {
    pub(super) theirs: AuthorRoot,
    pub(super) ours: ContentHash,
    pub(super) our_records: u64,
    pub(super) after: Option<Stamp>,
}

/// Asks the catalog where it differs from a friend's roots.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Difference>")]
pub(super) struct Compare(pub(super) Vec<AuthorRoot>);

/// Pairs of roots that pulling everything did not reconcile, so that it is not tried again for the same pair.
pub(super) type Exhausted = HashSet<(PodId, ContentHash, ContentHash)>;

/// How many such pairs are remembered.
pub(super) const MAX_EXHAUSTED: usize = 10_000;

/// What a run knows of this pod.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own {
    pub(super) id: PodId,
    /// At the first run with a friend: the last own record held at the start. Later ones are asked for even if newer
    /// ones were signed since, for after a restore the friend may hold what we have lost.
    pub(super) look_back: Option<Option<Stamp>>,
}

pub(super) async fn run(
    catalog: Addr<CatalogActor>,
    swarm: Swarm,
    own: Own,
    exhausted: Exhausted,
    CatchUp { with, addresses }: CatchUp,
) -> (Result<CaughtUp, CatchUpError>, Exhausted) {
    let mut tried = Exhausted::new();
    let peer = Peer {
        catalog,
        swarm,
        own,
        with,
        addresses,
    };
    let result = peer.catch_up(&exhausted, &mut tried).await;
    (result, tried)
}

struct Peer {
    catalog: Addr<CatalogActor>,
    swarm: Swarm,
    own: Own,
    with: PodId,
    addresses: Vec<String>,
}

impl Peer {
    async fn catch_up(&self, exhausted: &Exhausted, tried: &mut Exhausted) -> Result<CaughtUp, CatchUpError> {
        let roots = match self.request(Request::Roots).await? {
            Response::Roots(roots) => roots,
            // It ended the friendship while we were away, and shows us its signed no.
            Response::Page { envelopes, .. } => {
                self.receive(envelopes).await?;
                return Err(CatchUpError::Refused("it ended the friendship".to_owned()));
            }
            other => return Err(refused(&other)),
        };
        let of_ours = roots.iter().find(|root| root.author == self.own.id).copied();
        let mut applied = 0;
        let mut acknowledged = of_ours.is_some();
        for difference in self.compare(roots).await? {
            let author = difference.theirs.author;
            acknowledged &= author != self.own.id;
            let after = match self.own.look_back {
                Some(held_at_start) if author == self.own.id => held_at_start,
                _ => difference.after,
            };
            applied += self.pull(author, after).await?;
            let pair = (author, difference.theirs.root, difference.ours);
            // They may only be behind us: then there is nothing to get, and they will ask in their turn.
            let may_have_more = difference.theirs.records > difference.our_records
                || (author != self.own.id && difference.theirs.records == difference.our_records);
            if difference.after.is_some()
                && may_have_more
                && !exhausted.contains(&pair)
                && self.still_differs(&difference).await?
            {
                debug!(author = %author.short(), with = %self.with.short(), "pulling everything");
                applied += self.pull(author, None).await?;
                tried.insert(pair);
            }
        }
        Ok(CaughtUp {
            acknowledged,
            holds_of_ours: of_ours.map_or(0, |root| root.records),
            applied,
        })
    }

    async fn compare(&self, roots: Vec<AuthorRoot>) -> Result<Vec<Difference>, CatchUpError> {
        self.catalog.send(Compare(roots)).await.map_err(ours)
    }

    async fn still_differs(&self, difference: &Difference) -> Result<bool, CatchUpError> {
        Ok(!self.compare(vec![difference.theirs]).await?.is_empty())
    }

    /// Pulls pages until there are no more; answers how many records were new.
    async fn pull(&self, author: PodId, mut after: Option<Stamp>) -> Result<usize, CatchUpError> {
        let mut applied = 0;
        for _ in 0..MAX_PAGES {
            let (envelopes, more) = match self.request(Request::Pull { author, after }).await? {
                Response::Page { envelopes, more } => (envelopes, more),
                other => return Err(refused(&other)),
            };
            let (new, last) = self.receive(envelopes).await?;
            applied += new;
            // A page that does not advance would be asked for for ever.
            if !more || last <= after {
                break;
            }
            after = last;
        }
        Ok(applied)
    }

    /// Checks envelopes and hands them to the catalog: how many were new, and the last stamp among them.
    async fn receive<B: Into<Vec<u8>>>(
        &self,
        envelopes: Vec<B>,
    ) -> Result<(usize, Option<Stamp>), CatchUpError> {
        let envelopes = envelopes.into_iter().map(Into::into).collect();
        let verified = accept(&self.swarm, self.with, envelopes).await;
        let last = verified.iter().map(|record| record.header().stamp()).max();
        let received = self
            .catalog
            .send(Receive {
                from: self.with,
                envelopes: verified,
            })
            .await;
        let applied = received.map_err(ours)?.map_err(ours)?;
        Ok((applied, last))
    }

    async fn request(&self, request: Request) -> Result<Response, RequestError> {
        self.swarm.request(self.with, &self.addresses, request).await
    }
}

/// Checks envelopes that a pod handed over; what is refused is left out, and a forgery bans the pod that gave it.
pub(crate) async fn accept(swarm: &Swarm, from: PodId, envelopes: Vec<Vec<u8>>) -> Vec<Verified<Record>> {
    let mut accepted = Vec::with_capacity(envelopes.len());
    for checked in swarm.verify(envelopes).await {
        match checked {
            Ok(record) => accepted.push(record),
            Err(refusal) => {
                debug!(from = %from.short(), %refusal, "a record was refused");
                if let Some(reason) = refusal.ban() {
                    warn!(from = %from.short(), %refusal, "a pod handed over a forgery");
                    swarm.ban(from, reason).await;
                }
            }
        }
    }
    accepted
}

fn ours(error: impl std::fmt::Display) -> CatchUpError {
    CatchUpError::Ours(error.to_string())
}

fn refused(response: &Response) -> CatchUpError {
    CatchUpError::Refused(match response {
        Response::Refused { text, .. } => text.clone(),
        _ => "an answer to another question".to_owned(),
    })
}
