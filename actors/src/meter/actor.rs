//! The shell: takes what the seeder counted, listens to what pages tell, and writes sums every few seconds.

use std::time::Duration;

use actix::prelude::*;
use seedpod_protocol::ids::PodId;
use tracing::warn;

use super::MeterMetrics;
use super::messages::{Figures, GetAllFigures, GetFigures, MeterError, Tell};
use super::records;
use super::state::{Changes, Meter};
use crate::catalog::messages::{Change, Changed};
use crate::clock;
use crate::seeder::SeederActor;
use crate::seeder::messages::TakeSent;
use crate::store::{Store, StoreError, Transaction, tables};
use crate::supervise::{Lifeline, Live};

/// Messages that may wait; askers wait with them.
const MAILBOX: usize = 1024;

/// How often what changed is written.
const TICK: Duration = Duration::from_secs(5);

/// The actor that owns the figures.
pub struct MeterActor {
    state: Meter,
    store: Store,
    seeder: Live<SeederActor>,
    metrics: MeterMetrics,
    /// Changes are on their way to the disk; no others are sent after them meanwhile.
    writing: bool,
    lifeline: Lifeline,
}

impl MeterActor {
    /// Reads the figures from the store.
    ///
    /// # Errors
    /// When the store fails or holds a row that this program cannot read.
    pub fn open(
        me: PodId,
        store: Store,
        seeder: Live<SeederActor>,
        metrics: MeterMetrics,
        lifeline: Lifeline,
    ) -> Result<Self, StoreError> {
        let mut state = Meter::new(me, rand::random());
        for row in store.scan_prefix(tables::FIGURES, &[]) {
            let (key, row) = row?;
            let (video, figures) =
                records::read(&key, &row).map_err(|error| StoreError::Index(error.to_string()))?;
            state.restore(video, figures);
        }
        Ok(Self {
            state,
            store,
            seeder,
            metrics,
            writing: false,
            lifeline,
        })
    }

    /// Takes what the seeder counted since the last time. One that is being started again is asked the next time.
    fn take(&self) -> impl ActorFuture<Self, Output = ()> + use<> {
        let asked = self.seeder.addr().send(TakeSent);
        asked.into_actor(self).map(|sent, actor, _| {
            if let Ok(sent) = sent {
                actor.state.sent(&sent);
            }
        })
    }

    fn write(&mut self) -> impl ActorFuture<Self, Output = ()> + use<> {
        self.writing = true;
        let changes = self.state.changes();
        let (store, transaction) = (self.store.clone(), transaction(&changes));
        let write = async move {
            if transaction.is_empty() {
                return Ok(());
            }
            store.commit(transaction).await
        };
        write.into_actor(self).map(move |written, actor, _| {
            actor.writing = false;
            if let Err(error) = written {
                warn!(%error, "figures could not be written, they are tried again");
                actor.state.unwritten(changes);
            }
        })
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        if !self.writing {
            self.writing = true;
            ctx.spawn(self.take().then(|(), actor, _| actor.write()));
        }
    }
}

fn transaction(changes: &Changes) -> Transaction {
    let mut transaction = Transaction::new();
    for (video, figures) in &changes.videos {
        match figures {
            Some(figures) => records::put_video(&mut transaction, video, figures),
            None => records::forget_video(&mut transaction, video),
        }
    }
    if let Some(all) = &changes.all {
        records::put_all(&mut transaction, all);
    }
    transaction
}

impl Actor for MeterActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(TICK, Self::tick);
        // Whoever counts stops after this room, and the store after all of them.
        let stop = self.lifeline.token().cancelled_owned();
        let last = actix::fut::wrap_future::<_, Self>(stop)
            .then(|(), actor, _| actor.take())
            .then(|(), actor, _| actor.write())
            .map(|(), _, ctx: &mut Context<Self>| ctx.stop());
        ctx.spawn(last);
    }
}

impl Handler<Changed> for MeterActor {
    type Result = ();

    fn handle(&mut self, changed: Changed, _: &mut Context<Self>) {
        for change in changed.changes.iter() {
            match change {
                Change::Head(held) => self.state.heard(held),
                Change::AuthorGone(author) => self.state.forget_author(author),
                // Kept, as the records are.
                Change::AuthorHidden(_) => {}
            }
        }
    }
}

impl Handler<Tell> for MeterActor {
    type Result = ResponseActFuture<Self, Result<Figures, MeterError>>;

    fn handle(&mut self, Tell { video, from, told }: Tell, _: &mut Context<Self>) -> Self::Result {
        let outcome = self.state.tell(video, from, told, clock::now());
        self.metrics.told(told, outcome);
        match outcome {
            Ok(_) => Box::pin(
                self.take()
                    .map(move |(), actor, _| Ok(actor.state.figures(&video))),
            ),
            Err(error) => Box::pin(actix::fut::ready(Err(error))),
        }
    }
}

impl Handler<GetFigures> for MeterActor {
    type Result = ResponseActFuture<Self, Vec<Figures>>;

    fn handle(&mut self, GetFigures(videos): GetFigures, _: &mut Context<Self>) -> Self::Result {
        Box::pin(self.take().map(move |(), actor, _| {
            let figures = videos.iter().map(|video| actor.state.figures(video));
            figures.collect()
        }))
    }
}

impl Handler<GetAllFigures> for MeterActor {
    type Result = ResponseActFuture<Self, Figures>;

    fn handle(&mut self, _: GetAllFigures, _: &mut Context<Self>) -> Self::Result {
        Box::pin(self.take().map(|(), actor, _| actor.state.all()))
    }
}
