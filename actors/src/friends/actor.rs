//! The shell of the friend list.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use seedpod_protocol::envelope::{Kind, State, Verified};
use seedpod_protocol::ids::{PodId, Timestamp};
use seedpod_protocol::invite::Invite;
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::Record;
use tokio::sync::Mutex;
use tracing::warn;

use super::handshake::{Diplomat, candidate_of};
use super::invites::{self, InviteId, MAX_LABEL, MAX_USES};
use super::messages::{
    CatalogReplayed, CreateInvite, Decide, Decision, FriendEntry, FriendsError, InviteEntry, ListInvites,
    ListPods, MadeFriends, MakeFriends, Phase, QuitFriends, RemoveFriend, ResolveHost, RevokeInvite,
};
use super::phases::Event;
use super::records;
use super::rounds::{SyncNow, sync_interval};
use super::state::{Friends, Policy};
use crate::catalog::CatalogActor;
use crate::catalog::messages::{Change, Changed};
use crate::clock;
use crate::reports::messages::ReceiveReport;
use crate::store::{Store, StoreError, tables};
use crate::supervise::Lifeline;
use crate::swarm::{PeerChanged, Swarm};

/// Messages that may wait; a request from another pod that finds it full is not answered.
const MAILBOX: usize = 512;

/// How long telling a friend that we leave may take.
const FAREWELL: Duration = Duration::from_secs(3);

/// What the operator decides about friendship.
#[derive(Debug, Clone)]
pub struct FriendsOptions {
    /// Who may become a friend without the operator's word.
    pub policy: Policy,
    /// How long a round is: how often a result counts for the score.
    pub round: Duration,
    /// The score of a new friend, 1 to 1000.
    pub initial_score: u32,
}

/// Everything through which the list reaches the world.
#[derive(Clone)]
pub(super) struct Links {
    pub(super) me: PodId,
    pub(super) catalog: Addr<CatalogActor>,
    pub(super) swarm: Swarm,
    pub(super) store: Store,
    pub(super) resolver: Recipient<ResolveHost>,
    /// Our own card, signed once at start, when the addresses are known.
    pub(super) card: Verified<Record>,
    pub(super) farewell: Duration,
    /// Who takes what friends' users report.
    pub(super) reports: Option<Recipient<ReceiveReport>>,
    /// Entries of the list are read and written in turn, so that the row written last is the newest.
    pub(super) writes: Arc<Mutex<()>>,
    /// The same for the friends that the swarm is told.
    pub(super) telling: Arc<Mutex<()>>,
}

/// The actor that owns the friend list.
pub struct FriendsActor {
    pub(super) state: Friends,
    pub(super) options: FriendsOptions,
    /// Until the catalog has been replayed, what is heard is nothing new.
    replaying: bool,
    /// Signs invites, and nothing else.
    key: PodKey,
    links: Links,
    metrics: FriendsMetrics,
    _lifeline: Lifeline,
}

/// Counters of the friend list.
#[derive(Debug, Clone, Default)]
pub struct FriendsMetrics {
    friends: Gauge,
    asked: Counter,
}

impl FriendsMetrics {
    /// Registers the counters.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "seedpod_friends_friends",
            "Pods that are friends now",
            metrics.friends.clone(),
        );
        registry.register(
            "seedpod_friends_syncs",
            "Times a friend was told to be asked",
            metrics.asked.clone(),
        );
        metrics
    }
}

impl FriendsActor {
    /// Reads the list from the store. Blocking, but the list is short.
    ///
    /// # Errors
    /// When the store fails or holds an entry that this program cannot read.
    #[expect(clippy::too_many_arguments, reason = "composition names every link once")]
    pub fn open(
        options: FriendsOptions,
        catalog: Addr<CatalogActor>,
        swarm: Swarm,
        store: Store,
        resolver: Recipient<ResolveHost>,
        key: PodKey,
        card: Verified<Record>,
        metrics: FriendsMetrics,
        lifeline: Lifeline,
    ) -> Result<Self, StoreError> {
        let me = card.header().author;
        let mut state = Friends::new(me, options.policy, options.initial_score, options.round);
        if let Some(row) = store.get(tables::META, tables::META_FRIEND_NUMBERS)? {
            let numbers =
                records::decode_numbers(&row).map_err(|error| StoreError::Row(error.to_string()))?;
            state.go_on_from(numbers);
        }
        for row in store.scan_prefix(tables::FRIENDS, &[]) {
            let (key, value) = row?;
            let (pod, entry) =
                records::decode(&key, &value).map_err(|error| StoreError::Row(error.to_string()))?;
            state.restore(pod, entry);
        }
        for row in store.scan_prefix(tables::INVITES, &[]) {
            let (key, value) = row?;
            let (id, invite) =
                invites::decode(&key, &value).map_err(|error| StoreError::Row(error.to_string()))?;
            state.invites.insert(id, invite);
        }
        let links = Links {
            me,
            catalog,
            swarm,
            store,
            resolver,
            card,
            farewell: FAREWELL,
            reports: None,
            writes: Arc::default(),
            telling: Arc::default(),
        };
        Ok(Self {
            state,
            options,
            replaying: true,
            key,
            links,
            metrics,
            _lifeline: lifeline,
        })
    }

    /// Says who takes reports; without, friends are told to come back later.
    #[must_use]
    pub fn with_reports(mut self, reports: Recipient<ReceiveReport>) -> Self {
        self.links.reports = Some(reports);
        self
    }

    pub(super) fn diplomat(&self, ctx: &Context<Self>) -> Diplomat {
        Diplomat {
            list: ctx.address(),
            links: self.links.clone(),
        }
    }

    /// Runs something that takes several steps, beside the mailbox.
    fn run<R: 'static>(
        &self,
        ctx: &Context<Self>,
        work: impl AsyncFnOnce(Diplomat) -> R + 'static,
    ) -> ResponseFuture<R> {
        let diplomat = self.diplomat(ctx);
        Box::pin(async move { work(diplomat).await })
    }
}

impl Actor for FriendsActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        let diplomat = self.diplomat(ctx);
        ctx.spawn(
            async move {
                if let Err(error) = diplomat.tell_swarm().await {
                    warn!(%error, "the swarm does not know our friends");
                }
            }
            .into_actor(self),
        );
        ctx.run_interval(sync_interval(self.options.round), |actor, ctx| {
            actor.sync_all(ctx);
        });
    }
}

/// One step on the list, as a message: what it answers is what the step answered.
pub(super) struct With<F>(pub(super) F);

impl<F, R> Message for With<F>
where
    F: FnOnce(&mut Friends, Timestamp) -> R + Send,
    R: Send + 'static,
{
    type Result = R;
}

impl<F, R> Handler<With<F>> for FriendsActor
where
    F: FnOnce(&mut Friends, Timestamp) -> R + Send,
    R: Send + 'static,
{
    type Result = MessageResult<With<F>>;

    fn handle(&mut self, With(step): With<F>, _: &mut Context<Self>) -> Self::Result {
        let answer = step(&mut self.state, clock::now());
        let friends = self.state.in_phase(Phase::Friends).count();
        self.metrics
            .friends
            .set(i64::try_from(friends).unwrap_or(i64::MAX));
        MessageResult(answer)
    }
}

impl Handler<ListPods> for FriendsActor {
    type Result = Vec<FriendEntry>;

    fn handle(&mut self, _: ListPods, _: &mut Context<Self>) -> Vec<FriendEntry> {
        self.state.list()
    }
}

impl Handler<MakeFriends> for FriendsActor {
    type Result = ResponseFuture<Result<MadeFriends, FriendsError>>;

    fn handle(&mut self, make: MakeFriends, ctx: &mut Context<Self>) -> Self::Result {
        if make.only_when_alone && self.state.in_phase(Phase::Friends).next().is_some() {
            return Box::pin(async { Err(FriendsError::AlreadyHasFriends) });
        }
        self.run(ctx, async move |diplomat| diplomat.make_friends(make.hosts).await)
    }
}

impl Handler<QuitFriends> for FriendsActor {
    type Result = ResponseFuture<Result<(), FriendsError>>;

    fn handle(&mut self, _: QuitFriends, ctx: &mut Context<Self>) -> Self::Result {
        let pods = self.state.quit();
        self.run(ctx, async move |diplomat| diplomat.part(&pods, Event::Quit).await)
    }
}

impl Handler<RemoveFriend> for FriendsActor {
    type Result = ResponseFuture<Result<(), FriendsError>>;

    fn handle(&mut self, RemoveFriend(number): RemoveFriend, ctx: &mut Context<Self>) -> Self::Result {
        let found = self.state.by_number(number);
        self.run(ctx, async move |diplomat| diplomat.drop_entry(found?).await)
    }
}

impl Handler<Decide> for FriendsActor {
    type Result = ResponseFuture<Result<(), FriendsError>>;

    fn handle(&mut self, Decide { number, decision }: Decide, ctx: &mut Context<Self>) -> Self::Result {
        let found = self.state.by_number(number).and_then(|pod| {
            let candidate = candidate_of(&self.state, &pod).ok_or(FriendsError::Unknown(number))?;
            if decision != Decision::Block && self.state.phase(&pod) != Some(Phase::AskedUs) {
                return Err(FriendsError::WrongPhase {
                    host: candidate.host,
                    expected: "waiting for an answer",
                });
            }
            Ok(candidate)
        });
        self.run(ctx, async move |diplomat| {
            let candidate = found?;
            match decision {
                Decision::Accept => diplomat
                    .shake_hands(&candidate)
                    .await
                    .map_err(FriendsError::Unreachable),
                Decision::Refuse => diplomat.refuse(candidate.pod).await,
                Decision::Block => diplomat.block(candidate.pod).await,
            }
        })
    }
}

impl Handler<CreateInvite> for FriendsActor {
    type Result = ResponseFuture<Result<InviteEntry, FriendsError>>;

    fn handle(&mut self, create: CreateInvite, ctx: &mut Context<Self>) -> Self::Result {
        let made = self.make_invite(create);
        self.run(ctx, async move |diplomat| {
            let (id, number) = made?;
            if let Err(error) = diplomat.save_invite(id).await {
                let gone = move |friends: &mut Friends, _| friends.invites.revoke(number).map(drop);
                // What is not on the disk must not let anybody in until the next start.
                let _ = diplomat.with(gone).await?;
                return Err(error);
            }
            let all = diplomat.with(|friends, now| friends.invites.list(now)).await?;
            let made = all.into_iter().find(|invite| invite.number == number);
            made.ok_or(FriendsError::UnknownInvite(number))
        })
    }
}

impl Handler<ListInvites> for FriendsActor {
    type Result = Vec<InviteEntry>;

    fn handle(&mut self, _: ListInvites, _: &mut Context<Self>) -> Vec<InviteEntry> {
        self.state.invites.list(clock::now())
    }
}

impl Handler<RevokeInvite> for FriendsActor {
    type Result = ResponseFuture<Result<(), FriendsError>>;

    fn handle(&mut self, RevokeInvite(number): RevokeInvite, ctx: &mut Context<Self>) -> Self::Result {
        let revoked = self.state.invites.revoke(number);
        self.run(ctx, async move |diplomat| {
            let (id, invite) = revoked?;
            let saved = diplomat.save_invite(id).await;
            if saved.is_err() {
                diplomat
                    .with(move |friends, _| friends.invites.insert(id, invite))
                    .await?;
            }
            saved
        })
    }
}

impl FriendsActor {
    /// Signs an invite and takes it into the list.
    fn make_invite(&mut self, create: CreateInvite) -> Result<(InviteId, u64), FriendsError> {
        let CreateInvite { label, lasts, uses } = create;
        let refuse = |text: String| Err(FriendsError::Invite(text));
        if self.options.policy == Policy::Closed {
            return refuse("this pod's policy is `closed`: nobody could come in by an invite".to_owned());
        }
        if !(1..=MAX_USES).contains(&uses) {
            return refuse(format!("{uses} uses: an invite has 1 to {MAX_USES}"));
        }
        if label.chars().count() > MAX_LABEL || label.chars().any(char::is_control) {
            return refuse(format!(
                "the label is not one line of at most {MAX_LABEL} characters"
            ));
        }
        let Record::Card(card) = self.links.card.payload() else {
            return refuse("this pod has no card".to_owned());
        };
        let number = self.state.invites.next_number()?;
        let created = clock::now();
        let expires = lasts.map(|lasts| {
            let lasts = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
            Timestamp::from_millis(created.as_millis().saturating_add(lasts))
        });
        let invite = Invite {
            id: InviteId::from_bytes(rand::random()),
            url: card.url.clone(),
            expires,
        };
        let signed = match invite.sign(&self.key) {
            Ok(signed) => signed,
            Err(error) => return refuse(error.to_string()),
        };
        let stored = invites::Invite {
            number,
            label,
            created,
            expires,
            uses,
            used_by: Vec::new(),
            link: signed.to_string(),
        };
        self.state.invites.insert(invite.id, stored);
        Ok((invite.id, number))
    }
}

impl Handler<PeerChanged> for FriendsActor {
    type Result = ();

    fn handle(&mut self, changed: PeerChanged, ctx: &mut Context<Self>) {
        let PeerChanged { pod, connected, rtt } = changed;
        let arrived = self.state.heard(pod, connected, rtt.map(millis), clock::now());
        if arrived && self.state.phase(&pod) == Some(Phase::Friends) {
            self.metrics.asked.inc();
            ctx.notify(SyncNow(pod));
            if self.state.wants_introduction(&pod) {
                let diplomat = self.diplomat(ctx);
                ctx.spawn(async move { diplomat.resolve_again(pod).await }.into_actor(self));
            }
        }
    }
}

impl Handler<Changed> for FriendsActor {
    type Result = ();

    fn handle(&mut self, changed: Changed, ctx: &mut Context<Self>) {
        for change in changed.changes.iter() {
            let held = match change {
                Change::Head(held) => held,
                Change::AuthorGone(author) | Change::AuthorHidden(author) => {
                    self.state.silenced(author);
                    continue;
                }
            };
            let header = held.record.header();
            if header.author == self.links.me {
                self.state.holds_own(header.key(), !self.replaying);
            }
            if let Record::Profile(profile) = held.record.payload()
                && self.state.has_moved_to(&header.author, &profile.url)
            {
                let (diplomat, pod, url) = (self.diplomat(ctx), header.author, profile.url.clone());
                ctx.spawn(async move { diplomat.resolve_at(pod, url).await }.into_actor(self));
            }
            if header.kind == Kind::FRIENDSHIP
                && let Ok(about) = PodId::try_from(header.object)
            {
                self.stated(header.author, about, header.state == State::Live, ctx);
            }
        }
    }
}

impl Handler<CatalogReplayed> for FriendsActor {
    type Result = ResponseFuture<Result<(), FriendsError>>;

    fn handle(&mut self, _: CatalogReplayed, ctx: &mut Context<Self>) -> Self::Result {
        self.replaying = false;
        self.run(ctx, async move |diplomat| {
            diplomat.settle().await?;
            actix::spawn(async move {
                if let Err(error) = diplomat.ask_again().await {
                    warn!(%error, "who had not answered could not be asked again");
                }
            });
            Ok(())
        })
    }
}

impl FriendsActor {
    /// A pod signed a yes or a no about another, perhaps about us.
    fn stated(&mut self, author: PodId, about: PodId, agrees: bool, ctx: &mut Context<Self>) {
        self.state.stated(author, about, agrees);
        let diplomat = self.diplomat(ctx);
        if about == self.links.me && !agrees && self.state.phase(&author) == Some(Phase::Friends) {
            let ending = async move {
                if let Err(error) = diplomat.they_ended(author).await {
                    warn!(%error, "a friendship that ended could not be let go");
                }
            };
            ctx.spawn(ending.into_actor(self));
        } else if author == self.links.me && agrees && !self.replaying && !self.state.is_bound(&about) {
            let unsaying = async move {
                if let Err(error) = diplomat.unsay(about).await {
                    warn!(%error, "a yes that is not meant could not be taken back");
                }
            };
            ctx.spawn(unsaying.into_actor(self));
        } else if agrees && self.state.vouched_meanwhile(&about) {
            let Some(candidate) = candidate_of(&self.state, &about) else {
                return;
            };
            let accepting = async move {
                if let Err(cause) = diplomat.shake_hands(&candidate).await {
                    warn!(host = %candidate.host, %cause, "a vouched pod could not be befriended");
                }
            };
            ctx.spawn(accepting.into_actor(self));
        }
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
