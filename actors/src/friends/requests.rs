//! What other pods ask of us directly. Anybody may ask for the friend list or for friendship; the catalog is for
//! friends.

use actix::prelude::*;
use seedpod_protocol::envelope::{Envelope, Kind, State};
use seedpod_protocol::ids::{ObjectId, PodId};
use seedpod_protocol::limits;
use seedpod_protocol::requests::{FriendHint, Refusal, Request, Response};

use super::actor::FriendsActor;
use super::handshake::{Diplomat, Shown, refusal};
use super::messages::Phase;
use crate::catalog::catchup::accept;
use crate::catalog::messages::{AnswerFriend, GetEnvelope, Receive};
use crate::reports::messages::ReceiveReport;
use crate::swarm::{RequestArrived, Way};

impl Handler<RequestArrived> for FriendsActor {
    type Result = ();

    fn handle(&mut self, arrived: RequestArrived, ctx: &mut Context<Self>) {
        let RequestArrived { from, request, reply } = arrived;
        // One that we said yes to, and whose yes is on its way to us, may read already.
        let phase = self.state.phase(&from);
        let is_friend = matches!(phase, Some(Phase::Friends | Phase::Asking));
        let diplomat = self.diplomat(ctx);
        let hints = matches!(request, Request::ListFriends).then(|| self.hints());
        let work = async move {
            let response = match (request, hints) {
                (_, Some(hints)) => Response::Friends(hints),
                (
                    Request::Befriend {
                        card,
                        friendship,
                        invite,
                        keys,
                    },
                    _,
                ) => {
                    let shown = Shown {
                        card,
                        friendship,
                        keys,
                    };
                    diplomat.answer(from, shown, invite).await
                }
                (request, _) if is_friend => diplomat.serve(from, request).await,
                _ if phase == Some(Phase::Ejected) => refusal(
                    Refusal::NotAFriend,
                    "you could not be reached for so long that we let you go; ask for friendship again",
                ),
                (request, _) => diplomat.turn_away(from, &request).await,
            };
            // The asker may have gone; it will ask again.
            let _ = reply.send(response);
        };
        ctx.spawn(work.into_actor(self));
    }
}

impl FriendsActor {
    fn hints(&self) -> Vec<FriendHint> {
        self.state
            .in_phase(Phase::Friends)
            .take(limits::FRIENDS_MAX)
            .map(|(pod, entry)| FriendHint {
                pod,
                host: entry.host.clone(),
                addresses: entry.addresses.clone(),
            })
            .collect()
    }
}

impl Diplomat {
    /// Answers a friend.
    async fn serve(&self, from: PodId, request: Request) -> Response {
        let catalog = &self.links.catalog;
        match request {
            Request::Tell { envelopes } => {
                let verified = accept(&self.links.swarm, from, Way::Tell, envelopes).await;
                match catalog
                    .send(Receive {
                        from,
                        envelopes: verified,
                    })
                    .await
                {
                    Ok(Ok(applied)) => Response::Told {
                        applied: u32::try_from(applied).unwrap_or(u32::MAX),
                    },
                    Ok(Err(_)) => refusal(Refusal::Busy, "our disk does not answer"),
                    Err(_) => stopping(),
                }
            }
            Request::Report { report } => match &self.links.reports {
                Some(reports) => {
                    let receive = ReceiveReport {
                        from,
                        envelope: report,
                    };
                    reports.send(receive).await.unwrap_or_else(|_| stopping())
                }
                None => refusal(Refusal::Busy, "nobody takes reports at present"),
            },
            request => match catalog.send(AnswerFriend(request)).await {
                Ok(Ok(Some(response))) => response,
                Ok(Ok(None)) => refusal(Refusal::Malformed, "answered elsewhere"),
                Ok(Err(_)) => refusal(Refusal::Busy, "our disk does not answer"),
                Err(_) => stopping(),
            },
        }
    }

    /// Answers a pod that is no friend. One that was a friend, and asks because it does not know that we ended
    /// the friendship, gets our signed no instead of what it asked for.
    async fn turn_away(&self, from: PodId, request: &Request) -> Response {
        if matches!(
            request,
            Request::Roots | Request::Pull { .. } | Request::Nodes { .. } | Request::Fetch { .. }
        ) {
            let no = GetEnvelope {
                author: self.links.me,
                kind: Kind::FRIENDSHIP,
                object: ObjectId::from(from),
            };
            if let Ok(Some(bytes)) = self.links.catalog.send(no).await
                && Envelope::decode(bytes.clone()).is_ok_and(|no| no.header().state == State::Withdrawn)
            {
                // It may have forgotten which key signs for us.
                let mut envelopes = self.key_statements().await;
                envelopes.push(bytes);
                return Response::Page {
                    envelopes,
                    more: false,
                };
            }
        }
        refusal(Refusal::NotAFriend, "we are not friends")
    }
}

fn stopping() -> Response {
    refusal(Refusal::Busy, "this pod is stopping")
}
