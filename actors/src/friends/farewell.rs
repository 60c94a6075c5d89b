//! Ending friendships, whoever ends them: our no, the entry and the end of the other's records are one step on the disk.

use futures::future::join_all;
use seedpod_protocol::envelope::{State, Verified};
use seedpod_protocol::ids::{PodId, Timestamp};
use seedpod_protocol::records::Record;
use seedpod_protocol::requests::Request;
use tracing::{info, warn};

use super::handshake::{Diplomat, candidate_of, signed, stopped, store, text};
use super::messages::{FriendsError, Phase};
use super::phases::{Event, after};
use super::state::{Candidate, Friends};
use crate::catalog::messages::{Hide, KeepAuthors, Part};

impl Diplomat {
    /// Ends friendships: signs our no, lets their records go, and tells those who can be reached. The entries move as
    /// the event says; one whose no could not be written stays as it was.
    pub(super) async fn part(&self, pods: &[PodId], event: Event) -> Result<(), FriendsError> {
        let mut noes = Vec::new();
        let mut failed = None;
        for &pod in pods {
            let end = move |friends: &mut Friends, now| {
                friends.happened(&pod, event, now);
            };
            // What happened meanwhile counts: one that came back does not expire.
            let meant = move |phase: Phase| phase.binds() && after(Some(phase), event).is_some();
            match self.end(pod, meant, end).await {
                Ok(Some((candidate, no))) => {
                    info!(pod = %pod.short(), host = %candidate.host, "friendship ended");
                    noes.push((candidate, no));
                }
                Ok(None) => {}
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        self.tell_swarm().await?;
        join_all(noes.iter().map(|(candidate, no)| self.tell(candidate, no))).await;
        failed.map_or(Ok(()), Err)
    }

    /// Forgets an entry; one that our yes stands with is parted from first.
    pub(super) async fn drop_entry(&self, pod: PodId) -> Result<(), FriendsError> {
        let dropped = self
            .with(move |friends, now| {
                let free = !friends.is_bound(&pod);
                if free {
                    friends.happened(&pod, Event::Remove, now);
                }
                free
            })
            .await?;
        if dropped {
            self.save(pod).await;
            return Ok(());
        }
        self.part(&[pod], Event::Remove).await
    }

    /// Turns a request down.
    pub(super) async fn refuse(&self, pod: PodId) -> Result<(), FriendsError> {
        self.with(move |friends, now| friends.refuse(&pod, now)).await?;
        self.save(pod).await;
        Ok(())
    }

    /// Wants nothing to do with a pod any more.
    pub(super) async fn block(&self, pod: PodId) -> Result<(), FriendsError> {
        let blocked = self
            .with(move |friends, now| {
                let free = !friends.is_bound(&pod);
                if free {
                    friends.happened(&pod, Event::Block, now);
                }
                free
            })
            .await?;
        if blocked {
            self.save(pod).await;
            return Ok(());
        }
        self.part(&[pod], Event::Block).await
    }

    /// A friend could not be reached for too long: its records are kept and hidden. Our yes stands, so that it comes back
    /// without a question and nothing has to be fetched again.
    pub(super) async fn eject(&self, pod: PodId) -> Result<(), FriendsError> {
        let ejected = self.with(move |friends, now| friends.happened(&pod, Event::ScoreSpent, now));
        if !ejected.await? {
            return Ok(());
        }
        info!(pod = %pod.short(), "friend ejected: it could not be reached for too long");
        self.save(pod).await;
        let hidden = self.links.catalog.send(Hide(pod)).await;
        hidden.map_err(stopped)?.map_err(store)?;
        self.tell_swarm().await
    }

    /// Lets go of what has outlived its time: ejected friends with their records, requests, strangers that are over.
    pub(super) async fn clear_surplus(&self) -> Result<(), FriendsError> {
        let surplus = self.with(|friends, now| friends.surplus(now)).await?;
        for pod in surplus.forget {
            self.with(move |friends, now| friends.happened(&pod, Event::Expire, now))
                .await?;
            self.save(pod).await;
        }
        if surplus.part.is_empty() {
            return Ok(());
        }
        self.part(&surplus.part, Event::Expire).await
    }

    /// The other side signed a no: so do we, and its records leave.
    pub(super) async fn they_ended(&self, pod: PodId) -> Result<(), FriendsError> {
        if self.says_yes(pod).await != Some(false) {
            // It said yes again before we came to it.
            return Ok(());
        }
        let end = move |friends: &mut Friends, now| {
            friends.happened(&pod, Event::TheyEnded, now);
        };
        let ended = self.end(pod, |phase| phase == Phase::Friends, end).await?;
        let Some((candidate, _)) = ended else {
            return Ok(());
        };
        info!(pod = %pod.short(), host = %candidate.host, "friendship ended by them");
        self.tell_swarm().await
    }

    /// Moves an entry, if it is in one of the phases meant, and lets the pod go. When that could not be written the entry
    /// goes back.
    pub(super) async fn end(
        &self,
        pod: PodId,
        meant: impl FnOnce(Phase) -> bool + Send + 'static,
        end: impl FnOnce(&mut Friends, Timestamp) + Send + 'static,
    ) -> Result<Option<(Candidate, Verified<Record>)>, FriendsError> {
        let ended = self
            .with(move |friends, now| {
                let before = friends.get(&pod).filter(|entry| meant(entry.phase))?.clone();
                let candidate = candidate_of(friends, &pod)?;
                end(friends, now);
                Some((candidate, before))
            })
            .await?;
        let Some((candidate, before)) = ended else {
            return Ok(None);
        };
        match self.let_go(&candidate).await {
            Ok(no) => Ok(Some((candidate, no))),
            Err(error) => {
                self.with(move |friends, _| friends.restore(pod, before)).await?;
                Err(error)
            }
        }
    }

    /// Our no, the entry as it stands and the end of the pod's records, in one step.
    pub(super) async fn let_go(&self, candidate: &Candidate) -> Result<Verified<Record>, FriendsError> {
        let _turn = self.links.writes.lock().await;
        let part = Part {
            author: candidate.pod,
            saying: self.friendship(candidate, State::Withdrawn).await?,
        };
        signed(self.links.catalog.send(part).await)
    }

    /// After a start, when the list has heard what the catalog holds: finishes what the end of the last run cut short.
    pub(super) async fn settle(&self) -> Result<(), FriendsError> {
        let (keep, unmeant) = self
            .with(|friends, _| {
                let in_phase = |phase| friends.in_phase(phase).map(|(pod, _)| pod);
                let keep = KeepAuthors {
                    admitted: in_phase(Phase::Friends).collect(),
                    // A handshake that goes on may bring an ejected friend back.
                    hidden: in_phase(Phase::Ejected).chain(in_phase(Phase::Asking)).collect(),
                };
                (keep, friends.unmeant())
            })
            .await?;
        let gone = self
            .links
            .catalog
            .send(keep)
            .await
            .map_err(stopped)?
            .map_err(store)?;
        if gone > 0 {
            info!(gone, "records of pods that are no friends any more were deleted");
        }
        for pod in unmeant {
            self.unsay(pod).await?;
        }
        Ok(())
    }

    /// Our yes stands, and is not meant: the end of a run cut short what was being said, or this pod was put back to an old
    /// copy of itself and hears from friends what it said after the copy was made.
    pub(super) async fn unsay(&self, pod: PodId) -> Result<(), FriendsError> {
        // Where it lives may be forgotten, and a no needs no address.
        let nowhere = Candidate {
            pod,
            host: String::new(),
            url: String::new(),
            addresses: Vec::new(),
            version: String::new(),
            invite: None,
        };
        let candidate = self
            .with(move |friends, _| {
                let free = !friends.is_bound(&pod);
                free.then(|| candidate_of(friends, &pod).unwrap_or(nowhere))
            })
            .await?;
        if let Some(candidate) = candidate {
            self.let_go(&candidate).await?;
        }
        Ok(())
    }

    /// Sends an envelope to a pod at once; when it cannot be reached it learns by asking.
    async fn tell(&self, to: &Candidate, envelope: &Verified<Record>) {
        let request = Request::Tell {
            envelopes: vec![envelope.bytes().to_vec()],
        };
        let told = self.links.swarm.request(to.pod, &to.addresses, request);
        if let Ok(Err(error)) | Err(error) = tokio::time::timeout(self.links.farewell, told)
            .await
            .map(|told| told.map_err(text))
            .map_err(text)
        {
            warn!(host = %to.host, %error, "could not be told; it learns when it asks");
        }
    }
}
