//! Speaking with other pods: beginning friendships.
//!
//! Each step that changes the list is one message to the actor; between the steps the world may have moved, so every
//! step looks again. What is signed is on disk, together with the entry it belongs to, before the other side sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::prelude::*;
use futures::stream::{self, StreamExt};
use seedpod_protocol::envelope::{Envelope, Kind, State, Verified};
use seedpod_protocol::ids::{ObjectId, PodId, Timestamp};
use seedpod_protocol::invite::{InviteId, SignedInvite};
use seedpod_protocol::records::{Card, Friendship, Record};
use seedpod_protocol::requests::{FriendHint, Refusal, Request, Response};
use seedpod_protocol::succession::Succession;
use tracing::{debug, info, warn};

use super::actor::{FriendsActor, Links, With};
use super::messages::{FriendsError, MadeFriends, Phase, ResolveHost, ResolvedHost};
use super::phases::Event;
use super::rounds::SyncNow;
use super::state::{Answer, Candidate, Chosen, Entry, Friends, Undo};
use super::{invites, records};
use crate::catalog::messages::{Admit, GetEnvelope, GetKeyStatements, Hide, Publish, PublishError, Receive};
use crate::store::{Transaction, tables};
use crate::swarm::{Friend, Way, introduce};

/// Hosts and pods spoken with at once.
const AT_ONCE: usize = 10;

/// Pods that others list are dialed one after the other, at this distance: a list must not make us a battering ram.
const HINT_PACE: Duration = Duration::from_secs(1);

/// Pods dialed at most when friends are made once.
const HINTS_MAX: usize = 1_000;

/// So many of them are waited for; whoever made friends has the answer within a minute, and the rest goes on beside.
const HINTS_AWAITED: usize = 30;

/// How long making a friend waits for the first comparison of catalogs.
const FIRST_COMPARISON: Duration = Duration::from_secs(15);

/// Speaks for the friend list; cheap to clone.
#[derive(Clone)]
pub(super) struct Diplomat {
    pub(super) list: Addr<FriendsActor>,
    pub(super) links: Links,
}

impl Diplomat {
    /// Resolves the hosts, applies the majority rule and shakes hands with everybody kept.
    pub(super) async fn make_friends(&self, hosts: Vec<String>) -> Result<MadeFriends, FriendsError> {
        let mut made = MadeFriends::default();
        let quits = self.with(|friends, _| friends.quits()).await?;
        let asked: Vec<_> = stream::iter(hosts)
            .map(|host| async move {
                let answer = self.ask_host(&host).await;
                (host, answer)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let mut lists = Vec::new();
        let mut invites: BTreeMap<PodId, Vec<u8>> = BTreeMap::new();
        for (host, answer) in asked {
            match answer {
                Ok((resolved, hints, invite)) => {
                    invites.extend(invite.map(|invite| (resolved.pod, invite)));
                    lists.push(Some((resolved, hints)));
                }
                Err(cause) => {
                    made.failed.push((shown(host), cause));
                    lists.push(None);
                }
            }
        }
        let by_name: Vec<PodId> = lists.iter().flatten().map(|(resolved, _)| resolved.pod).collect();
        let (named, mut listed): (Vec<_>, Vec<_>) = self
            .with(move |friends, _| {
                let chosen = friends.choose(&lists).into_iter();
                chosen
                    .map(|candidate| Chosen {
                        named: by_name.contains(&candidate.pod),
                        quits,
                        candidate: Candidate {
                            invite: invites.remove(&candidate.pod),
                            ..candidate
                        },
                    })
                    .partition::<Vec<_>, _>(|chosen| chosen.named)
            })
            .await?;
        // Those asked by name come first: they vouch for us with those they listed.
        self.greet(named, Duration::ZERO, &mut made).await;
        listed.truncate(HINTS_MAX);
        let later = listed.split_off(listed.len().min(HINTS_AWAITED));
        self.greet(listed, HINT_PACE, &mut made).await;
        if !later.is_empty() {
            let diplomat = self.clone();
            actix::spawn(async move {
                tokio::time::sleep(HINT_PACE).await;
                let mut made = MadeFriends::default();
                diplomat.greet(later, HINT_PACE, &mut made).await;
                info!(
                    friends = made.friends.len(),
                    failed = made.failed.len(),
                    "all listed pods were asked"
                );
            });
        }
        Ok(made)
    }

    /// Shakes hands with each, beginning one after the other at a distance, and notes what came of it.
    async fn greet(&self, group: Vec<Chosen>, pace: Duration, made: &mut MadeFriends) {
        let shaken: Vec<_> = stream::iter(group.into_iter().enumerate())
            .then(|(number, chosen)| async move {
                if number > 0 {
                    tokio::time::sleep(pace).await;
                }
                chosen
            })
            .map(|chosen| async move {
                let asking = chosen.clone();
                let result = self
                    .shake(&chosen.candidate, move |friends, now| {
                        friends.asking_chosen(&asking, now)
                    })
                    .await;
                (chosen.candidate, result)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        for (candidate, result) in shaken {
            match result {
                Ok(()) => made.friends.push(candidate.pod),
                Err(cause) => {
                    warn!(host = %candidate.host, %cause, "no friendship");
                    made.failed.push((candidate.host, cause));
                }
            }
        }
    }

    /// Who lives at a host, or at the one that an invite's link leads to, and whom it lists.
    async fn ask_host(&self, host: &str) -> Result<(ResolvedHost, Vec<FriendHint>, Option<Vec<u8>>), String> {
        let invite = SignedInvite::is_link(host)
            .then(|| host.parse::<SignedInvite>())
            .transpose()
            .map_err(text)?;
        let resolve = ResolveHost {
            host: invite
                .as_ref()
                .map_or_else(|| host.to_owned(), |invite| invite.invite().url.clone()),
        };
        let resolved = self
            .links
            .resolver
            .send(resolve)
            .await
            .map_err(text)?
            .map_err(text)?;
        if resolved.pod == self.links.me {
            return Err("this is our own address".to_owned());
        }
        if invite.as_ref().is_some_and(|invite| invite.pod() != resolved.pod) {
            return Err("another pod than the one that invited lives there now".to_owned());
        }
        let invite = invite.map(|invite| invite.bytes().to_vec());
        match self
            .links
            .swarm
            .request(resolved.pod, &resolved.addresses, Request::ListFriends)
            .await
        {
            Ok(Response::Friends(hints)) => Ok((resolved, hints, invite)),
            Ok(other) => Err(unexpected(&other)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Signs our yes, sends it and takes their yes.
    pub(super) async fn shake_hands(&self, candidate: &Candidate) -> Result<(), String> {
        let asking = candidate.clone();
        self.shake(candidate, move |friends, now| friends.asking(&asking, now))
            .await
    }

    /// The same; whether it may be is decided by `asking`, which moves the entry.
    async fn shake(
        &self,
        candidate: &Candidate,
        asking: impl FnOnce(&mut Friends, Timestamp) -> bool + Send + 'static,
    ) -> Result<(), String> {
        let pod = candidate.pod;
        let (before, may) = self
            .with(move |friends, now| (friends.get(&pod).cloned(), asking(friends, now)))
            .await
            .map_err(text)?;
        if !may {
            return Err("it is blocked, was removed meanwhile, or there are too many friends".to_owned());
        }
        let result = match self.say_yes(candidate, None).await {
            Ok(ours) => self.ask_for_friendship(candidate, &ours).await,
            Err(error) => Err(Refused::no(error)),
        };
        match result {
            Ok(()) => {
                info!(pod = %candidate.pod.short(), host = %candidate.host, "friend gained");
                Ok(())
            }
            Err(Refused::Waiting) => Err("asked; their operator has to accept".to_owned()),
            Err(Refused::No(cause)) => {
                self.take_back(candidate, before).await;
                Err(cause)
            }
        }
    }

    /// A handshake failed: [`Friends::handshake_failed`] says what is left to do.
    async fn take_back(&self, candidate: &Candidate, before: Option<Entry>) {
        let pod = candidate.pod;
        let decided = self
            .with(move |friends, _| (friends.handshake_failed(&pod, before.as_ref()), before))
            .await;
        let taken = match decided {
            Ok((Undo::Nothing, _)) => Ok(()),
            Ok((Undo::Eject, Some(before))) => self.let_be(pod, before).await,
            Ok((Undo::Restore, Some(before))) => {
                let back = move |friends: &mut Friends, _| friends.restore(pod, before);
                let ended = self.end(pod, |phase| phase == Phase::Asking, back).await;
                ended.map(drop)
            }
            Ok((Undo::Forget, _)) => self.part(&[pod], Event::Quit).await,
            Ok(_) => self.let_go(candidate).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = taken {
            warn!(host = %candidate.host, %error, "our yes could not be taken back");
        }
    }

    /// An ejected friend that did not come back is ejected as it was, its records kept.
    async fn let_be(&self, pod: PodId, before: Entry) -> Result<(), FriendsError> {
        self.with(move |friends, _| friends.restore(pod, before)).await?;
        self.save(pod).await;
        let hidden = self.links.catalog.send(Hide(pod)).await;
        hidden.map_err(stopped)?.map_err(store)
    }

    async fn ask_for_friendship(
        &self,
        candidate: &Candidate,
        ours: &Verified<Record>,
    ) -> Result<(), Refused> {
        let request = Request::Befriend {
            card: self.links.card.bytes().to_vec(),
            friendship: ours.bytes().to_vec(),
            invite: candidate.invite.clone(),
            keys: self.key_statements().await,
        };
        let answer = self
            .links
            .swarm
            .request(candidate.pod, &candidate.addresses, request)
            .await;
        match answer.map_err(Refused::no)? {
            Response::Befriended {
                card,
                friendship,
                keys,
            } => {
                let introduced = self.introduced(candidate.pod, &card).await;
                let candidate = introduced.unwrap_or_else(|_| candidate.clone());
                let theirs = self
                    .yes_of(candidate.pod, &friendship, keys)
                    .await
                    .map_err(Refused::no)?;
                let agreed = self.both_agree(candidate.clone(), theirs).await;
                agreed.map_err(Refused::no)?;
                // Whoever made a friend wants to see its videos: the answer waits for the first comparison, though not
                // for ever, which the friend could make it last. It goes on beside us.
                let (diplomat, pod) = (self.clone(), candidate.pod);
                let comparing = actix::spawn(async move { diplomat.sync_now(pod).await });
                let _ = tokio::time::timeout(FIRST_COMPARISON, comparing).await;
                Ok(())
            }
            Response::Refused {
                reason: Refusal::AskedOperator,
                ..
            } => Err(Refused::Waiting),
            other => Err(Refused::no(unexpected(&other))),
        }
    }

    /// Answers a pod that shows its yes.
    pub(super) async fn answer(&self, from: PodId, shown: Shown, invite: Option<Vec<u8>>) -> Response {
        let Shown {
            card,
            friendship,
            keys,
        } = shown;
        let candidate = match self.introduced(from, &card).await {
            Ok(candidate) => candidate,
            Err(cause) => return refusal(Refusal::Malformed, &cause),
        };
        let theirs = match self.yes_of(from, &friendship, keys).await {
            Ok(theirs) => theirs,
            Err(cause) => return refusal(Refusal::Malformed, &cause),
        };
        // An invite that is none of ours is as good as none.
        let invite = invite
            .and_then(|bytes| SignedInvite::open(&bytes).ok())
            .filter(|invite| invite.pod() == self.links.me)
            .map(|invite| invite.invite().id);
        let asking = candidate.clone();
        let decided = self
            .with(move |friends, now| {
                let made_room = friends
                    .lists_strangers()
                    .then(|| friends.make_room(&asking.pod))
                    .flatten();
                let before = friends.get(&asking.pod).cloned();
                let uses = invite.map(|id| friends.invites.uses_of(&id));
                let answer = friends.asked(&asking, invite, now);
                let counted = invite.filter(|id| uses != Some(friends.invites.uses_of(id)));
                (answer, before, counted, made_room)
            })
            .await;
        let Ok((answer, before, counted, made_room)) = decided else {
            return refusal(Refusal::Busy, "this pod is stopping");
        };
        if let Some(gone) = made_room {
            self.save(gone).await;
        }
        if let Answer::Refuse(reason) = answer {
            if reason == Refusal::AskedOperator {
                self.save(candidate.pod).await;
            }
            return refusal(reason, refusal_text(reason));
        }
        let agreed = match self.say_yes(&candidate, counted).await {
            Ok(ours) => self.both_agree(candidate.clone(), theirs).await.map(|()| ours),
            Err(error) => Err(error),
        };
        match agreed {
            Ok(ours) => {
                info!(pod = %from.short(), host = %candidate.host, "friend gained");
                self.list.do_send(SyncNow(from));
                Response::Befriended {
                    card: self.links.card.bytes().to_vec(),
                    friendship: ours.bytes().to_vec(),
                    keys: self.key_statements().await,
                }
            }
            Err(error) => {
                self.take_back(&candidate, before).await;
                self.give_back(counted, from).await;
                refusal(Refusal::Busy, &error.to_string())
            }
        }
    }

    /// Lets the other's records in, its yes and what tells who signed it first, and makes it a friend.
    async fn both_agree(
        &self,
        candidate: Candidate,
        theirs: Vec<Verified<Record>>,
    ) -> Result<(), FriendsError> {
        let pod = candidate.pod;
        self.links.catalog.send(Admit(pod)).await.map_err(stopped)?;
        let receive = Receive {
            from: pod,
            envelopes: theirs,
        };
        self.links
            .catalog
            .send(receive)
            .await
            .map_err(stopped)?
            .map_err(store)?;
        let host = candidate.host.clone();
        let agreed = self.says_yes(pod).await == Some(true)
            && self
                .with(move |friends, now| friends.gained(&candidate, now))
                .await?;
        if !agreed {
            return Err(FriendsError::Unreachable(format!(
                "{host} or we took it back meanwhile"
            )));
        }
        self.save(pod).await;
        self.tell_swarm().await
    }

    /// What we said about our keys, for pods that know nothing of us.
    pub(super) async fn key_statements(&self) -> Vec<Vec<u8>> {
        let ours = GetKeyStatements(self.links.me);
        self.links.catalog.send(ours).await.unwrap_or_default()
    }

    /// What a pod's register about us says, if we hold one.
    pub(super) async fn says_yes(&self, pod: PodId) -> Option<bool> {
        let about_us = GetEnvelope {
            author: pod,
            kind: Kind::FRIENDSHIP,
            object: ObjectId::from(self.links.me),
        };
        let bytes = self.links.catalog.send(about_us).await.ok()??;
        let envelope = Envelope::decode(bytes).ok()?;
        Some(envelope.header().state == State::Live)
    }

    /// Stores an invite as it stands, or that it is gone.
    pub(super) async fn save_invite(&self, id: InviteId) -> Result<(), FriendsError> {
        let _turn = self.links.writes.lock().await;
        let row = self.with(move |friends, _| invite_row(friends, &id)).await?;
        self.links.store.commit(row).await.map_err(store)
    }

    /// No friendship came of an invite, so it was not used.
    async fn give_back(&self, invite: Option<InviteId>, pod: PodId) {
        let Some(id) = invite else { return };
        let _turn = self.links.writes.lock().await;
        let given = self
            .with(move |friends, _| {
                let is_friend = friends.phase(&pod) == Some(Phase::Friends);
                if !is_friend {
                    friends.invites.give_back(&id, &pod);
                }
                invite_row(friends, &id)
            })
            .await;
        if let Ok(row) = given
            && let Err(error) = self.links.store.commit(row).await
        {
            warn!(%error, "a use of an invite that came to nothing could not be taken back");
        }
    }

    /// Our yes, the entry as it stands, and the invite that let it in.
    async fn say_yes(
        &self,
        candidate: &Candidate,
        invite: Option<InviteId>,
    ) -> Result<Verified<Record>, FriendsError> {
        let _turn = self.links.writes.lock().await;
        let mut publish = self.friendship(candidate, State::Live).await?;
        if let Some(id) = invite {
            let row = self.with(move |friends, _| invite_row(friends, &id)).await?;
            publish.along.merge(row);
        }
        signed(self.links.catalog.send(publish).await)
    }

    /// Asks those again who had not answered when the last run ended.
    pub(super) async fn ask_again(&self) -> Result<(), FriendsError> {
        let asking = self
            .with(|friends, _| {
                let asking = friends.in_phase(Phase::Asking);
                asking
                    .map(|(pod, entry)| entry.candidate(pod))
                    .collect::<Vec<_>>()
            })
            .await?;
        for candidate in asking {
            if let Err(cause) = self.shake_hands(&candidate).await {
                debug!(host = %candidate.host, %cause, "asked again, still no friendship");
            }
        }
        Ok(())
    }

    /// Our register about a pod, to be written together with its entry of the list.
    pub(super) async fn friendship(
        &self,
        candidate: &Candidate,
        state: State,
    ) -> Result<Publish, FriendsError> {
        let payload = if candidate.host.is_empty() {
            Record::Empty
        } else {
            Record::Friendship(Friendship {
                with: candidate.pod,
                host: candidate.host.clone(),
                addresses: candidate.addresses.clone(),
                recovery: None,
                since: crate::clock::now(),
            })
        };
        Ok(Publish {
            kind: Kind::FRIENDSHIP,
            object: ObjectId::from(candidate.pod),
            state,
            payload,
            along: self.row(candidate.pod).await?,
        })
    }

    /// The row of a pod's entry as it stands, or its deletion.
    async fn row(&self, pod: PodId) -> Result<Transaction, FriendsError> {
        self.with(move |friends, _| {
            let mut transaction = Transaction::new();
            match friends.get(&pod) {
                Some(entry) => {
                    transaction.put(tables::FRIENDS, pod.as_bytes().to_vec(), records::encode(entry))
                }
                None => transaction.delete(tables::FRIENDS, pod.as_bytes().to_vec()),
            };
            put_numbers(friends, &mut transaction);
            transaction
        })
        .await
    }

    /// Stores an entry as it stands.
    pub(super) async fn save(&self, pod: PodId) {
        let _turn = self.links.writes.lock().await;
        let Ok(transaction) = self.row(pod).await else {
            return;
        };
        if let Err(error) = self.links.store.commit(transaction).await {
            // The signed registers are the truth; what does not agree with them is settled at the next start.
            warn!(%error, "an entry of the friend list could not be stored");
        }
    }

    /// Tells the swarm who our friends are now.
    pub(super) async fn tell_swarm(&self) -> Result<(), FriendsError> {
        // In turn, so that the list told last is the newest.
        let _turn = self.links.telling.lock().await;
        let friends = self
            .with(|friends, _| {
                friends
                    .in_phase(Phase::Friends)
                    .map(|(pod, entry)| Friend {
                        pod,
                        addresses: entry.addresses.clone(),
                    })
                    .collect::<Vec<_>>()
            })
            .await?;
        self.links.swarm.set_friends(friends).await;
        Ok(())
    }

    /// Looks at the list, or changes it, inside the actor.
    pub(super) async fn with<R: Send + 'static>(
        &self,
        step: impl FnOnce(&mut Friends, Timestamp) -> R + Send + 'static,
    ) -> Result<R, FriendsError> {
        self.list.send(With(step)).await.map_err(stopped)
    }
}

/// The row of an invite as it stands, or its deletion.
pub(super) fn invite_row(friends: &Friends, id: &InviteId) -> Transaction {
    let mut transaction = Transaction::new();
    let key = id.as_bytes().to_vec();
    match friends.invites.get(id) {
        Some(invite) => transaction.put(tables::INVITES, key, invites::encode(invite)),
        None => transaction.delete(tables::INVITES, key),
    };
    put_numbers(friends, &mut transaction);
    transaction
}

/// Written along with every row, so that no restart gives a number a second time.
fn put_numbers(friends: &Friends, transaction: &mut Transaction) {
    let row = records::encode_numbers(friends.numbers());
    transaction.put(tables::META, tables::META_FRIEND_NUMBERS, row);
}

/// What a pod shows of itself to become a friend.
pub(super) struct Shown {
    pub(super) card: Vec<u8>,
    pub(super) friendship: Vec<u8>,
    /// What it said about its keys.
    pub(super) keys: Vec<Vec<u8>>,
}

/// Why a pod that was asked is no friend.
enum Refused {
    /// Their operator decides.
    Waiting,
    /// It came to nothing, and why in words.
    No(String),
}

impl Refused {
    fn no(cause: impl std::fmt::Display) -> Self {
        Self::No(cause.to_string())
    }
}

pub(super) fn candidate_of(friends: &Friends, pod: &PodId) -> Option<Candidate> {
    friends.get(pod).map(|entry| entry.candidate(*pod))
}

impl Diplomat {
    /// Opens a card and checks that it is the sender's own.
    async fn introduced(&self, from: PodId, card: &[u8]) -> Result<Candidate, String> {
        let record = self.shown_by(from, card, &Succession::new(from)).await?;
        match record.payload() {
            Record::Card(Card {
                url,
                addresses,
                version,
                ..
            }) => Ok(Candidate {
                pod: from,
                host: host_of(url).to_owned(),
                url: url.clone(),
                addresses: addresses.clone(),
                version: version.clone(),
                invite: None,
            }),
            _ => Err("the card is none".to_owned()),
        }
    }

    /// Opens a friendship register and checks that it is `from`'s yes to us, signed by a key that counts after what it says about
    /// its keys. Answers those statements, and the yes last.
    async fn yes_of(
        &self,
        from: PodId,
        friendship: &[u8],
        keys: Vec<Vec<u8>>,
    ) -> Result<Vec<Verified<Record>>, String> {
        let mut said = Vec::with_capacity(keys.len() + 1);
        for statement in keys {
            let statement = self.shown_by(from, &statement, &Succession::new(from)).await?;
            if !statement.header().is_of_keys() {
                return Err("a statement about keys is none".to_owned());
            }
            said.push(statement);
        }
        let succession = Succession::of(from, &said);
        let record = self.shown_by(from, friendship, &succession).await?;
        match record.payload() {
            Record::Friendship(friendship)
                if friendship.with == self.links.me && record.header().state == State::Live =>
            {
                said.push(record);
                Ok(said)
            }
            _ => Err("the friendship is not the sender's yes to us".to_owned()),
        }
    }

    /// Opens what a pod shows of itself; what is refused is held against it.
    async fn shown_by(
        &self,
        from: PodId,
        envelope: &[u8],
        keys: &Succession,
    ) -> Result<Verified<Record>, String> {
        match introduce(envelope, &from, keys) {
            Ok(record) => Ok(record),
            Err(refusal) => {
                let cause = text(&refusal);
                self.links
                    .swarm
                    .refused(from, Way::Handshake, vec![refusal])
                    .await;
                Err(cause)
            }
        }
    }
}

/// `http://localhost:9002` → `localhost:9002`.
fn host_of(url: &str) -> &str {
    url.split_once("://")
        .map_or(url, |(_, host)| host)
        .trim_end_matches('/')
}

pub(super) fn refusal(reason: Refusal, cause: &str) -> Response {
    Response::refused(reason, cause)
}

fn refusal_text(reason: Refusal) -> &'static str {
    match reason {
        Refusal::Closed => "this pod makes no new friends",
        Refusal::AskedOperator => "the operator of this pod has been asked",
        Refusal::NotVouched => "no friend of this pod vouches for you",
        Refusal::Blocked => "this pod does not want your friendship",
        Refusal::Busy => "this pod is too busy, try again later",
        Refusal::Malformed => "the request is not what it should be",
        Refusal::NotAFriend => "we are not friends",
        Refusal::Nobody | Refusal::Other(_) => "refused",
    }
}

/// A host as it may be shown and logged: an invite's link is a secret.
fn shown(host: String) -> String {
    match host.split_once("/invite#") {
        Some((place, _)) => place.to_owned(),
        None => host,
    }
}

fn unexpected(response: &Response) -> String {
    match response {
        Response::Refused { text, .. } => text.clone(),
        _ => "it answered another question".to_owned(),
    }
}

pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

pub(super) fn stopped(error: MailboxError) -> FriendsError {
    FriendsError::Store(format!("this pod is stopping: {error}"))
}

pub(super) fn signed(
    answer: Result<Result<Verified<Record>, PublishError>, MailboxError>,
) -> Result<Verified<Record>, FriendsError> {
    answer.map_err(stopped)?.map_err(|error| {
        if error.is_full() {
            FriendsError::DiskFull
        } else {
            store(error)
        }
    })
}

pub(super) fn store(error: impl std::fmt::Display) -> FriendsError {
    FriendsError::Store(error.to_string())
}
