//! The shell: views and ratings go to the disk before they are answered; what is due is signed every second.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use seedpod_protocol::envelope::State;
use seedpod_protocol::ids::PodId;
use seedpod_protocol::records::Record;
use tracing::warn;

use super::AudienceMetrics;
use super::messages::{AudienceError, CatalogReplayed, CountView, GetRating, Rate, Rating};
use super::records::{put_rating, put_views, read_rating, read_views};
use super::state::{Audience, Statement, View};
use crate::catalog::messages::{Change, Changed, Publish, PublishError};
use crate::clock;
use crate::store::{Store, StoreError, Transaction, tables};
use crate::supervise::Lifeline;

/// Messages that may wait; askers wait with them.
const MAILBOX: usize = 1024;

/// How often what is due is looked at.
const TICK: Duration = Duration::from_secs(1);

/// The actor that owns views and ratings.
pub struct AudienceActor {
    state: Audience,
    store: Store,
    publisher: Recipient<Publish>,
    metrics: AudienceMetrics,
    /// Statements are on their way to the disk; no others are made meanwhile.
    speaking: bool,
    _lifeline: Lifeline,
}

impl AudienceActor {
    /// Reads views and ratings from the store.
    ///
    /// # Errors
    /// When the store fails or holds a row that this program cannot read.
    pub fn open(
        me: PodId,
        store: Store,
        publisher: Recipient<Publish>,
        metrics: AudienceMetrics,
        lifeline: Lifeline,
    ) -> Result<Self, StoreError> {
        let unreadable = |error: super::records::AudienceRowError| StoreError::Index(error.to_string());
        let mut state = Audience::new(me, rand::random());
        for row in store.scan_prefix(tables::VIEWS, &[]) {
            let (key, row) = row?;
            let (video, views) = read_views(&key, &row).map_err(unreadable)?;
            state.restore_views(video, views);
        }
        for row in store.scan_prefix(tables::RATINGS, &[]) {
            let (key, row) = row?;
            let (video, username, rating) = read_rating(&key, &row).map_err(unreadable)?;
            state.rate(video, &username, Some(rating));
        }
        Ok(Self {
            state,
            store,
            publisher,
            metrics,
            speaking: false,
            _lifeline: lifeline,
        })
    }

    /// Signs what is due, one statement after the other.
    fn speak(&mut self, ctx: &mut Context<Self>) {
        if self.speaking {
            return;
        }
        let statements = self.state.due(clock::now());
        if statements.is_empty() {
            return;
        }
        self.speaking = true;
        let publisher = self.publisher.clone();
        let speaking = async move {
            let mut unsaid = Vec::new();
            let mut said = 0;
            for statement in statements {
                let video = statement.video;
                match publisher.send(publish(statement)).await {
                    Ok(Ok(_)) => said += 1,
                    Ok(Err(PublishError::Store(error))) => {
                        warn!(%video, %error, "numbers of a video could not be signed, they are tried again");
                        unsaid.push(video);
                    }
                    // Nothing that trying again would change.
                    Ok(Err(error)) => warn!(%video, %error, "numbers of a video could not be signed"),
                    Err(_) => break, // the pod is stopping
                }
            }
            (said, unsaid)
        };
        ctx.spawn(speaking.into_actor(self).map(|(said, unsaid), actor, _| {
            actor.speaking = false;
            actor.metrics.statements.inc_by(said);
            for video in unsaid {
                actor.state.unsaid(video);
            }
        }));
    }
}

fn publish(statement: Statement) -> Publish {
    let Statement { video, kind, record } = statement;
    Publish {
        kind,
        object: video.into(),
        state: if record.is_some() {
            State::Live
        } else {
            State::Withdrawn
        },
        payload: record.unwrap_or(Record::Empty),
        along: Transaction::new(),
    }
}

impl Actor for AudienceActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<CatalogReplayed> for AudienceActor {
    type Result = ();

    fn handle(&mut self, _: CatalogReplayed, ctx: &mut Context<Self>) {
        ctx.run_interval(TICK, Self::speak);
    }
}

impl Handler<Changed> for AudienceActor {
    type Result = ();

    fn handle(&mut self, changed: Changed, _: &mut Context<Self>) {
        let now = clock::now();
        for change in changed.changes.iter() {
            match change {
                Change::Head(held) => self.state.heard(&held.record, now),
                Change::AuthorGone(author) => self.state.forget_author(author),
                Change::AuthorHidden(author) => self.state.hide_author(author),
            }
        }
    }
}

type Written = ResponseActFuture<AudienceActor, Result<(), AudienceError>>;

impl Handler<CountView> for AudienceActor {
    type Result = Written;

    fn handle(&mut self, CountView { video, from }: CountView, _: &mut Context<Self>) -> Written {
        let views = match self.state.view(video, from, clock::now()) {
            View::Counted(views) => views,
            View::Again => {
                self.metrics.views_again.inc();
                return Box::pin(actix::fut::ready(Ok(())));
            }
            View::Unknown => return Box::pin(actix::fut::ready(Err(AudienceError::Unknown(video)))),
        };
        let mut transaction = Transaction::new();
        put_views(&mut transaction, &video, views);
        let store = self.store.clone();
        let writing = async move { store.commit(transaction).await };
        Box::pin(writing.into_actor(self).map(move |result, actor, _| {
            match &result {
                Ok(()) => {
                    actor.metrics.views.inc();
                }
                Err(_) => actor.state.unview(&video),
            }
            result.map_err(|error| AudienceError::Store(Arc::new(error)))
        }))
    }
}

impl Handler<Rate> for AudienceActor {
    type Result = Written;

    fn handle(&mut self, rate: Rate, _: &mut Context<Self>) -> Written {
        let Rate {
            video,
            username,
            rating,
        } = rate;
        if !self.state.knows(&video) {
            return Box::pin(actix::fut::ready(Err(AudienceError::Unknown(video))));
        }
        let mut transaction = Transaction::new();
        put_rating(&mut transaction, &video, &username, rating);
        let before = self.state.rate(video, &username, rating);
        let store = self.store.clone();
        let writing = async move { store.commit(transaction).await };
        Box::pin(writing.into_actor(self).map(move |result, actor, _| {
            match &result {
                Ok(()) => {
                    actor.metrics.ratings.inc();
                }
                // A later word of the same user stands.
                Err(_) if actor.state.rating(&video, &username) == rating => {
                    actor.state.rate(video, &username, before);
                }
                Err(_) => {}
            }
            result.map_err(|error| AudienceError::Store(Arc::new(error)))
        }))
    }
}

impl Handler<GetRating> for AudienceActor {
    type Result = MessageResult<GetRating>;

    fn handle(&mut self, GetRating { video, username }: GetRating, _: &mut Context<Self>) -> Self::Result {
        let rating: Option<Rating> = self.state.rating(&video, &username);
        MessageResult(rating)
    }
}
