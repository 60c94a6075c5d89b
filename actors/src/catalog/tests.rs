//! The catalog's shell on a real disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use seedpod_protocol::envelope::{Draft, State, Verified};
use seedpod_protocol::records::Record;
use tokio::sync::Semaphore;

use super::messages::{
    Admit, Change, Changed, Expel, GetOtherStart, GetRoots, Hide, KeepAuthors, Part, Receive, Replay,
    Subscribe,
};
use crate::catalog::messages::PublishError;
use crate::store::{Transaction, tables};
use crate::testing::{Base, key, profile, publish, run, stamp, thing, until};

/// Notes the state of each object in the order in which it hears; takes one message for each permit.
#[derive(Clone)]
struct Ear {
    heard: Arc<Mutex<BTreeMap<Vec<u8>, State>>>,
    messages: Arc<Mutex<usize>>,
    turns: Arc<Semaphore>,
}

impl Ear {
    fn new(turns: usize) -> Self {
        Self {
            heard: Arc::default(),
            messages: Arc::default(),
            turns: Arc::new(Semaphore::new(turns)),
        }
    }

    fn state_of(&self, record: &Verified<Record>) -> Option<State> {
        let object = record.header().object;
        self.heard.lock().unwrap().get(object.as_bytes()).copied()
    }
}

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Changed> for Ear {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, changed: Changed, _: &mut Context<Self>) -> Self::Result {
        let turns = Arc::clone(&self.turns);
        let wait = async move { turns.acquire_owned().await.unwrap().forget() };
        AtomicResponse::new(Box::pin(wait.into_actor(self).map(move |(), ear, _| {
            *ear.messages.lock().unwrap() += 1;
            for change in changed.changes.iter() {
                match change {
                    Change::Head(held) => {
                        let header = held.record.header();
                        let object = header.object.as_bytes().to_vec();
                        ear.heard.lock().unwrap().insert(object, header.state);
                    }
                    Change::AuthorGone(_) | Change::AuthorHidden(_) => ear.heard.lock().unwrap().clear(),
                }
            }
        })))
    }
}

fn signed(seed: u8, seq: u64, draft: Draft) -> Verified<Record> {
    draft.sign(&key(seed), stamp(seq)).unwrap()
}

/// Lets the disk, and with it everything that waits for it, take some turns.
async fn disk_turns(base: &Base) {
    for n in 0..20_u8 {
        let mut transaction = Transaction::new();
        transaction.put(tables::META, "turn", vec![n]);
        base.store.commit(transaction).await.unwrap();
    }
}

fn row_of(record: &Verified<Record>) -> Vec<u8> {
    super::records::row_key(&record.header().author, &record.header().key())
}

async fn receive(base: &Base, envelopes: Vec<Verified<Record>>) -> usize {
    let from = key(2).id();
    base.catalog
        .send(Receive { from, envelopes })
        .await
        .unwrap()
        .unwrap()
}

#[test]
fn publish_is_answered_after_the_disk_and_after_the_subscribers() {
    run(async {
        let base = Base::open(1).await;
        let ear = Ear::new(usize::MAX >> 3);
        let address = ear.clone().start();
        base.catalog.send(Subscribe(address.recipient())).await.unwrap();
        let mut order = publish(thing(7, State::Live, vec![1]));
        order.along.put(tables::META, "beside", "it");
        let record = base.catalog.send(order).await.unwrap().unwrap();
        assert_eq!(ear.state_of(&record), Some(State::Live));
        assert!(base.holds(&record).await);
        assert_eq!(
            base.store.get(tables::META, b"beside").unwrap().as_deref(),
            Some(b"it".as_slice())
        );

        let digest = base.digest().await;
        let again = Base::open_in(1, base.die().await).await;
        assert_eq!(again.digest().await, digest, "what was answered is on the disk");
        assert!(again.holds(&record).await);
    });
}

#[test]
fn what_the_disk_refuses_never_happened() {
    run(async {
        let base = Base::open(1).await;
        base.publish(thing(7, State::Live, vec![1])).await.unwrap();
        let ear = Ear::new(usize::MAX >> 3);
        let address = ear.clone().start();
        base.catalog.send(Subscribe(address.recipient())).await.unwrap();
        let digest = base.digest().await;
        base.store.close().await;
        for draft in [thing(7, State::Removed, vec![]), thing(8, State::Live, vec![2])] {
            let refused = base.publish(draft).await;
            assert!(matches!(refused, Err(PublishError::Store(_))), "{refused:?}");
        }
        assert_eq!(base.digest().await, digest);
        assert_eq!(*ear.messages.lock().unwrap(), 0);
    });
}

#[test]
fn a_refusal_reads_back_what_was_refused_and_no_other_row() {
    run(async {
        let base = Base::open(1).await;
        let author = key(2).id();
        base.catalog.send(Admit(author)).await.unwrap();
        let page: Vec<_> = (0..3)
            .map(|n| signed(2, 1 + u64::from(n), thing(n, State::Live, vec![1])))
            .collect();
        assert_eq!(receive(&base, page).await, 3);
        let digest = base.digest().await;
        // Whoever reads all rows stumbles over this one.
        let mut unreadable = Transaction::new();
        unreadable.put(tables::RECORDS, [0xff; 64], "no record");
        base.store.commit(unreadable).await.unwrap();
        base.store.close().await;

        let envelopes = vec![
            signed(2, 8, thing(1, State::Removed, vec![])),
            signed(2, 9, thing(9, State::Live, vec![1])),
        ];
        let receive = Receive {
            from: author,
            envelopes,
        };
        assert!(base.catalog.send(receive).await.unwrap().is_err());
        assert_eq!(base.digest().await, digest);
        assert!(base.catalog.send(Expel(author)).await.unwrap().is_err());
        assert_eq!(base.digest().await, digest);
    });
}

#[test]
fn more_than_one_transaction_holds_is_written_in_several() {
    run(async {
        let base = Base::open(1).await;
        base.catalog.send(Admit(key(2).id())).await.unwrap();
        let records: Vec<_> = (0..300)
            .map(|n| signed(2, 1 + u64::from(n), thing(n, State::Live, vec![7; 60_000])))
            .collect();
        assert_eq!(receive(&base, records).await, 300, "18 MB in one go");
        assert_eq!(base.store.len(tables::RECORDS), 300);
        base.catalog.send(Expel(key(2).id())).await.unwrap().unwrap();
        assert_eq!(base.store.len(tables::RECORDS), 0);
    });
}

#[test]
fn a_replay_is_over_before_anything_newer_is_told() {
    run(async {
        let base = Base::open(1).await;
        base.catalog.send(Admit(key(2).id())).await.unwrap();
        let mut records: Vec<_> = (0..1000)
            .map(|n| signed(2, 1 + u64::from(n), thing(n, State::Live, vec![1])))
            .collect();
        receive(&base, records.clone()).await;
        records.sort_by_key(|record| record.header().key());

        let ear = Ear::new(0);
        let to = ear.clone().start().recipient();
        base.catalog.send(Subscribe(to.clone())).await.unwrap();
        let replay = base.catalog.send(Replay { to });
        ear.turns.add_permits(1);
        until("the first page was heard", || async {
            *ear.messages.lock().unwrap() == 1
        })
        .await;
        // Meanwhile the replay reads ahead as far as it may.
        disk_turns(&base).await;
        // One that it has read and not told.
        let object = records[600].header().object;
        let withdrawn = Draft {
            object,
            ..thing(0, State::Withdrawn, vec![])
        };
        let withdrawn = Draft {
            payload: Record::Empty,
            ..withdrawn
        };
        let withdrawn = signed(2, 5000, withdrawn);
        let before = base.store.get(tables::RECORDS, &row_of(&withdrawn)).unwrap();
        let receiving = base.catalog.send(Receive {
            from: key(2).id(),
            envelopes: vec![withdrawn.clone()],
        });
        // Told too early, it would be heard before the page that has it live.
        let told_early = async {
            while base.store.get(tables::RECORDS, &row_of(&withdrawn)).unwrap() == before {
                tokio::task::yield_now().await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(300), told_early).await;
        disk_turns(&base).await;
        ear.turns.add_permits(100);
        replay.await.unwrap().unwrap();
        assert_eq!(receiving.await.unwrap().unwrap(), 1);
        assert_eq!(ear.state_of(&withdrawn), Some(State::Withdrawn));
        assert_eq!(ear.heard.lock().unwrap().len(), 1000);
    });
}

#[test]
fn parting_is_one_step_and_a_page_in_flight_brings_nothing_back() {
    run(async {
        let base = Base::open(1).await;
        base.catalog.send(Admit(key(2).id())).await.unwrap();
        let page: Vec<_> = (0..5)
            .map(|n| signed(2, 1 + u64::from(n), thing(n, State::Live, vec![1])))
            .collect();
        receive(&base, page[..3].to_vec()).await;
        let saying = publish(thing(900, State::Live, vec![9]));
        let author = key(2).id();
        let no = base.catalog.send(Part { author, saying }).await.unwrap().unwrap();
        assert_eq!(receive(&base, page.clone()).await, 0);
        assert_eq!(base.store.len(tables::RECORDS), 1);

        base.catalog.send(Admit(author)).await.unwrap();
        assert_eq!(receive(&base, page).await, 5, "it comes back whole");
        let gone = base
            .catalog
            .send(KeepAuthors {
                admitted: [key(3).id()].into(),
                ..KeepAuthors::default()
            })
            .await
            .unwrap();
        assert_eq!(gone.unwrap(), 1);
        assert_eq!(base.store.len(tables::RECORDS), 1);
        assert!(base.holds(&no).await);
    });
}

#[test]
fn an_own_record_of_a_lost_start_lifts_what_was_signed_since() {
    run(async {
        let base = Base::open(1).await;
        let since = base.publish(profile(base.id(), "since")).await.unwrap();
        let lost = profile(base.id(), "lost");
        let mut later = stamp(3);
        later.epoch.counter = 50;
        let lost = lost.sign(&base.key, later).unwrap();
        assert_eq!(receive(&base, vec![lost]).await, 1);
        let header = since.header();
        let held = base
            .envelope(base.id(), header.kind, header.object)
            .await
            .unwrap();
        let held = seedpod_protocol::envelope::Envelope::decode(held)
            .unwrap()
            .open()
            .unwrap();
        assert_eq!(held.payload(), since.payload());
        assert_eq!(held.header().epoch.counter, 51);

        let again = Base::open_in(1, base.die().await).await;
        let next = again.publish(thing(1, State::Live, vec![1])).await.unwrap();
        assert_eq!(next.header().epoch.counter, 52);
    });
}

#[test]
fn hidden_records_stay_on_the_disk_and_are_told_again() {
    run(async {
        let base = Base::open(1).await;
        let author = key(2).id();
        base.catalog.send(Admit(author)).await.unwrap();
        let page: Vec<_> = (0..3)
            .map(|n| signed(2, 1 + u64::from(n), thing(n, State::Live, vec![1])))
            .collect();
        assert_eq!(receive(&base, page.clone()).await, 3);
        let digest = base.digest().await;
        let ear = Ear::new(100);
        let heard = Arc::clone(&ear.heard);
        let ear = ear.start();
        base.catalog
            .send(Subscribe(ear.clone().recipient()))
            .await
            .unwrap();
        base.catalog
            .send(Replay {
                to: ear.clone().recipient(),
            })
            .await
            .unwrap()
            .unwrap();
        assert_eq!(heard.lock().unwrap().len(), 3);

        base.catalog.send(Hide(author)).await.unwrap().unwrap();
        assert!(heard.lock().unwrap().is_empty(), "nobody shows them");
        assert_eq!(base.store.len(tables::RECORDS), 3, "they are kept");
        assert_eq!(base.catalog.send(GetRoots).await.unwrap().len(), 1);
        let late = signed(2, 9, thing(9, State::Live, vec![9]));
        assert_eq!(receive(&base, vec![late.clone()]).await, 0);

        base.catalog.send(Admit(author)).await.unwrap();
        assert_eq!(receive(&base, vec![late]).await, 1);
        assert_eq!(heard.lock().unwrap().len(), 4, "first what was hidden");
        base.catalog.send(Hide(author)).await.unwrap().unwrap();

        // A start shows everybody until it is told who is hidden.
        let again = Base::open_in(1, base.die().await).await;
        let keep = KeepAuthors {
            hidden: [author].into(),
            ..KeepAuthors::default()
        };
        assert_eq!(again.catalog.send(keep).await.unwrap().unwrap(), 0);
        assert_eq!(again.catalog.send(GetRoots).await.unwrap().len(), 1);
        assert_ne!(again.digest().await, digest);
        assert_eq!(again.store.len(tables::RECORDS), 4);
        assert_eq!(again.catalog.send(GetOtherStart).await.unwrap(), None);
    });
}
