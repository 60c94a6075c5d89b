//! Rounds: asking every friend what we miss, and keeping the score.
//!
//! Friends are asked every sync interval, a fraction of a round. Once a round has passed the next result counts for
//! the score. A friend that does not answer has its host resolved again: addresses may change.

use std::time::Duration;

use actix::prelude::*;
use seedpod_protocol::ids::PodId;
use tracing::{debug, info, warn};

use super::actor::FriendsActor;
use super::handshake::Diplomat;
use super::messages::{GetRounds, Outstanding, Phase, ResolveHost, RoundStats};
use super::state::{Due, RoundResult};
use crate::catalog::catchup::{CatchUp, CatchUpError};
use crate::clock;

/// Asks one friend at once, out of turn.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct SyncNow(pub(super) PodId);

/// How often friends are asked, given how long a round is.
pub(super) fn sync_interval(round: Duration) -> Duration {
    (round / 5).clamp(Duration::from_secs(1), Duration::from_secs(30))
}

impl FriendsActor {
    /// Asks all friends who are not being asked already.
    pub(super) fn sync_all(&mut self, ctx: &mut Context<Self>) {
        for due in self.state.begin_round(clock::now()) {
            self.sync(due, ctx);
        }
        let diplomat = self.diplomat(ctx);
        let clearing = async move {
            if let Err(error) = diplomat.clear_surplus().await {
                warn!(%error, "what has outlived its time could not be let go");
            }
        };
        ctx.spawn(clearing.into_actor(self));
    }

    fn sync(&mut self, due: Due, ctx: &mut Context<Self>) {
        let diplomat = self.diplomat(ctx);
        ctx.spawn(async move { diplomat.sync(due).await }.into_actor(self));
    }
}

impl Handler<SyncNow> for FriendsActor {
    type Result = ();

    fn handle(&mut self, SyncNow(pod): SyncNow, ctx: &mut Context<Self>) {
        if let Some(addresses) = self.state.begin_round_with(&pod) {
            let counts = false;
            self.sync(
                Due {
                    pod,
                    addresses,
                    counts,
                },
                ctx,
            );
        }
    }
}

impl Handler<GetRounds> for FriendsActor {
    type Result = MessageResult<GetRounds>;

    fn handle(&mut self, _: GetRounds, _: &mut Context<Self>) -> Self::Result {
        let friends = self
            .state
            .in_phase(Phase::Friends)
            .map(|(pod, entry)| Outstanding {
                pod,
                host: entry.host.clone(),
                records: self.state.unacknowledged(&pod) as u64,
            });
        MessageResult(RoundStats {
            round: self.options.round,
            remaining: self.state.until_next_round(clock::now()),
            friends: friends.collect(),
        })
    }
}

impl Diplomat {
    /// Asks one friend at once and waits for the end of it, unless it is being asked already.
    pub(super) async fn sync_now(&self, pod: PodId) {
        if let Ok(Some(addresses)) = self.with(move |friends, _| friends.begin_round_with(&pod)).await {
            let counts = false;
            self.sync(Due {
                pod,
                addresses,
                counts,
            })
            .await;
        }
    }

    async fn sync(&self, due: Due) {
        let Due {
            pod,
            addresses,
            counts,
        } = due;
        let caught_up = self.links.catalog.send(CatchUp { with: pod, addresses }).await;
        let (result, trouble) = match caught_up {
            Ok(Ok(caught_up)) => {
                if caught_up.applied > 0 {
                    debug!(pod = %pod.short(), applied = caught_up.applied, "caught up");
                }
                (
                    RoundResult::Reached {
                        acknowledged: caught_up.acknowledged,
                    },
                    None,
                )
            }
            Ok(Err(error @ CatchUpError::Refused(_))) => (RoundResult::Refused, Some(error.to_string())),
            Ok(Err(error)) => (RoundResult::Failed, Some(error.to_string())),
            // The catalog is gone, and so will this pod be.
            Err(_) => return,
        };
        let failed = result == RoundResult::Failed;
        let ended = self
            .with(move |friends, now| friends.round_ended(&pod, result, trouble, counts, now))
            .await;
        if counts {
            self.save(pod).await;
        }
        if ended.unwrap_or(false) {
            if let Err(error) = self.eject(pod).await {
                warn!(%error, "the ejected friend could not be let go");
            }
        } else if failed && counts {
            self.resolve_again(pod).await;
        }
    }

    /// Asks a friend's host who and where it is now.
    pub(super) async fn resolve_again(&self, pod: PodId) {
        let known = self.with(move |friends, _| friends.get(&pod).map(|entry| entry.url.clone()));
        if let Ok(Some(url)) = known.await {
            self.resolve_at(pod, url).await;
        }
    }

    /// Takes what the host at a URL says of itself, if it is the friend that lives there.
    pub(super) async fn resolve_at(&self, pod: PodId, url: String) {
        let Ok(Ok(resolved)) = self.links.resolver.send(ResolveHost { host: url }).await else {
            return;
        };
        if resolved.pod != pod {
            return;
        }
        if self
            .with(move |friends, _| friends.moved(&resolved))
            .await
            .unwrap_or(false)
        {
            info!(pod = %pod.short(), "a friend has moved");
            self.save(pod).await;
            if let Err(error) = self.tell_swarm().await {
                debug!(%error, "the swarm does not know the new address yet");
            }
        }
    }
}
