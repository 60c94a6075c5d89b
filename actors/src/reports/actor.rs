//! The shell: a report is on the disk before whoever wrote it is answered, and on its way until the origin has it.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use seedpod_protocol::envelope::{Draft, Envelope, Epoch, Kind, Stamp, State};
use seedpod_protocol::ids::PodId;
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::{self, Record};
use seedpod_protocol::requests::{Refusal, Request, Response};
use tracing::{info, warn};

use super::ReportsMetrics;
use super::messages::{
    DecideReport, DeleteReport, Delivery, FileReport, ListReports, ReceiveReport, ReportPage, ReportsError,
};
use super::records::{decode, encode, row_key};
use super::state::{Key, Report, Reports, Writes};
use crate::clock;
use crate::store::{Store, StoreError, Transaction, tables};
use crate::supervise::Lifeline;
use crate::swarm::Swarm;

/// Messages that may wait; askers wait with them.
const MAILBOX: usize = 256;

/// How often what is due is looked at.
const TICK: Duration = Duration::from_secs(1);

/// The actor that owns reports.
pub struct ReportsActor {
    me: PodId,
    /// Signs reports, and nothing else.
    key: PodKey,
    state: Reports,
    store: Store,
    swarm: Swarm,
    metrics: ReportsMetrics,
    _lifeline: Lifeline,
}

impl ReportsActor {
    /// Reads the reports from the store. Blocking, but there are not many.
    ///
    /// # Errors
    /// When the store fails or holds a row that this program cannot read.
    pub fn open(
        key: PodKey,
        store: Store,
        swarm: Swarm,
        metrics: ReportsMetrics,
        lifeline: Lifeline,
    ) -> Result<Self, StoreError> {
        let me = key.id();
        let mut state = Reports::new(me);
        for row in store.scan_prefix(tables::REPORTS, &[]) {
            let (_, row) = row?;
            state.restore(decode(&row).map_err(|error| StoreError::Row(error.to_string()))?);
        }
        let actor = Self {
            me,
            key,
            state,
            store,
            swarm,
            metrics,
            _lifeline: lifeline,
        };
        actor.show();
        Ok(actor)
    }

    fn show(&self) {
        let pending = i64::try_from(self.state.pending()).unwrap_or(i64::MAX);
        self.metrics.pending.set(pending);
    }

    /// Takes a report into the state and writes it. What the disk refuses never happened.
    fn take(
        &mut self,
        pod: PodId,
        said: records::Report,
    ) -> ResponseActFuture<Self, Result<u64, ReportsError>> {
        let key = Key::of(pod, &said);
        let before = self.state.get(&key).cloned();
        let writes = match self.state.take(pod, said, clock::now()) {
            Ok(writes) => writes,
            Err(error) => return Box::pin(actix::fut::err(error)),
        };
        let Writes { put, delete } = writes;
        let mut transaction = Transaction::new();
        transaction.put(tables::REPORTS, row_key(&put.key()), encode(&put));
        if let Some((key, _)) = &delete {
            transaction.delete(tables::REPORTS, row_key(key));
        }
        Box::pin(self.commit(transaction).map(move |written, actor, _| {
            // A later word about it stands.
            if written.is_err() && actor.state.get(&key) == Some(&put) {
                actor.state.forget(&key);
                let lost = before.into_iter().chain(delete.map(|(_, report)| report));
                lost.for_each(|report| actor.state.restore(report));
            }
            actor.show();
            written.map(|()| put.number)
        }))
    }

    fn commit(&self, transaction: Transaction) -> ResponseActFuture<Self, Result<(), ReportsError>> {
        let store = self.store.clone();
        let writing = async move { store.commit(transaction).await };
        let written = writing.into_actor(self);
        Box::pin(written.map(|written, _, _| written.map_err(|error| ReportsError::Store(Arc::new(error)))))
    }

    /// Hands what is due to its origin.
    fn send_due(&mut self, ctx: &mut Context<Self>) {
        for (report, pause) in self.state.due(clock::now()) {
            let Some(envelope) = self.sign(&report) else {
                // Nothing was written: after the next start it is tried once more, perhaps by a program that can.
                let refused = Delivery::Refused("It could not be signed.".to_owned());
                let _ = self.state.sent(&report, pause, Some(refused), clock::now());
                continue;
            };
            let (swarm, to) = (self.swarm.clone(), report.origin);
            let asking = async move {
                // Friends are kept connected: there is a connection, or nobody would answer at any address.
                swarm.request(to, &[], Request::Report { report: envelope }).await
            };
            ctx.spawn(asking.into_actor(self).map(move |answer, actor, ctx| {
                let (outcome, delivery) = match answer {
                    Ok(Response::Told { .. }) => ("taken", Some(Delivery::Delivered)),
                    Ok(Response::Refused {
                        reason: Refusal::Busy,
                        ..
                    }) => ("busy", None),
                    Ok(Response::Refused { text, .. }) => ("refused", Some(Delivery::Refused(text))),
                    Ok(_) | Err(_) => ("unanswered", None),
                };
                actor.metrics.sent(outcome);
                if let Some(held) = actor.state.sent(&report, pause, delivery, clock::now()) {
                    let mut transaction = Transaction::new();
                    transaction.put(tables::REPORTS, row_key(&held.key()), encode(&held));
                    // Should the disk refuse, the report is sent once more after the next start, and replaces itself there.
                    let written = actor.commit(transaction).map(|written, _, _| {
                        if let Err(error) = written {
                            warn!(%error, "that a report arrived could not be written");
                        }
                    });
                    ctx.spawn(written);
                }
            }));
        }
    }

    /// A report as its origin takes it. It is a word, not a record: its stamp means nothing.
    fn sign(&self, report: &Report) -> Option<Vec<u8>> {
        let stamp = Stamp {
            epoch: Epoch {
                counter: 0,
                tag: [0; 8],
            },
            seq: 0,
        };
        let signed = Draft::live(&self.me, report.statement().into())
            .and_then(|draft| draft.sign(&self.key, stamp))
            .inspect_err(|error| warn!(%error, "a report could not be signed"));
        signed.ok().map(|signed| signed.bytes().to_vec())
    }
}

/// Reads what a friend hands over: its own report about something of ours.
fn open(envelope: Vec<u8>, from: PodId, me: PodId) -> Result<records::Report, &'static str> {
    let envelope = Envelope::decode(envelope).map_err(|_| "no envelope")?;
    if envelope.header().author != from || envelope.header().kind != Kind::REPORT {
        return Err("not a report of yours");
    }
    let opened = envelope.open().map_err(|_| "the report breaks the rules")?;
    match opened.payload() {
        Record::Report(report) if opened.header().state == State::Live && report.origin == me => {
            Ok(report.clone())
        }
        _ => Err("not a report about something of ours"),
    }
}

impl Actor for ReportsActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(TICK, Self::send_due);
    }
}

impl Handler<FileReport> for ReportsActor {
    type Result = ResponseActFuture<Self, Result<u64, ReportsError>>;

    fn handle(&mut self, file: FileReport, _: &mut Context<Self>) -> Self::Result {
        let said = records::Report {
            origin: file.origin,
            video: file.video,
            comment: file.comment,
            reporter: file.username,
            reason: file.reason,
            reasons: file.reasons,
            created_at: clock::now(),
        };
        if let Err(error) = said.validate() {
            return Box::pin(actix::fut::err(ReportsError::Limit(error.to_string())));
        }
        Box::pin(self.take(self.me, said).map(|taken, actor, _| {
            if taken.is_ok() {
                actor.metrics.filed.inc();
            }
            taken
        }))
    }
}

impl Handler<ReceiveReport> for ReportsActor {
    type Result = ResponseActFuture<Self, Response>;

    fn handle(
        &mut self,
        ReceiveReport { from, envelope }: ReceiveReport,
        _: &mut Context<Self>,
    ) -> Self::Result {
        let me = self.me;
        // Some 50 µs of signature check: not for this thread.
        let opening = async move { tokio::task::spawn_blocking(move || open(envelope, from, me)).await };
        Box::pin(opening.into_actor(self).then(
            move |opened, actor, _| -> ResponseActFuture<Self, Response> {
                let said = match opened {
                    Ok(Ok(said)) => said,
                    Ok(Err(problem)) => {
                        actor.metrics.received("malformed");
                        return Box::pin(actix::fut::ready(Response::refused(Refusal::Malformed, problem)));
                    }
                    Err(_) => {
                        let busy = Response::refused(Refusal::Busy, "the report could not be read");
                        return Box::pin(actix::fut::ready(busy));
                    }
                };
                Box::pin(actor.take(from, said).map(move |taken, actor, _| match taken {
                    Ok(number) => {
                        info!(peer = %from.short(), number, "a report arrived");
                        actor.metrics.received("taken");
                        Response::Told { applied: 1 }
                    }
                    Err(error) => {
                        actor.metrics.received("busy");
                        Response::refused(Refusal::Busy, &error.to_string())
                    }
                }))
            },
        ))
    }
}

impl Handler<ListReports> for ReportsActor {
    type Result = MessageResult<ListReports>;

    fn handle(&mut self, list: ListReports, _: &mut Context<Self>) -> Self::Result {
        let page: ReportPage =
            self.state
                .page(list.state, list.number, list.ascending, list.start, list.count);
        MessageResult(page)
    }
}

impl Handler<DecideReport> for ReportsActor {
    type Result = ResponseActFuture<Self, Result<(), ReportsError>>;

    fn handle(&mut self, decide: DecideReport, _: &mut Context<Self>) -> Self::Result {
        let DecideReport { number, state, note } = decide;
        let before = self.state.by_number(number).cloned();
        let decided = before.and_then(|before| {
            let decided = self.state.decide(number, state, note, clock::now())?;
            Ok((before, decided))
        });
        let (before, decided) = match decided {
            Ok(both) => both,
            Err(error) => return Box::pin(actix::fut::err(error)),
        };
        let mut transaction = Transaction::new();
        transaction.put(tables::REPORTS, row_key(&decided.key()), encode(&decided));
        Box::pin(self.commit(transaction).map(move |written, actor, _| {
            // A later word about it stands.
            if written.is_err() && actor.state.get(&decided.key()) == Some(&decided) {
                actor.state.restore(before);
            }
            actor.show();
            written
        }))
    }
}

impl Handler<DeleteReport> for ReportsActor {
    type Result = ResponseActFuture<Self, Result<(), ReportsError>>;

    fn handle(&mut self, DeleteReport(number): DeleteReport, _: &mut Context<Self>) -> Self::Result {
        let key = match self.state.by_number(number) {
            Ok(report) => report.key(),
            Err(error) => return Box::pin(actix::fut::err(error)),
        };
        let mut transaction = Transaction::new();
        transaction.delete(tables::REPORTS, row_key(&key));
        Box::pin(self.commit(transaction).map(move |written, actor, _| {
            if written.is_ok() {
                actor.state.forget(&key);
            }
            actor.show();
            written
        }))
    }
}
