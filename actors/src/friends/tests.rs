//! Whole friend lists, with catalogs, on the loopback network.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeMap;

use futures::future::join_all;
use seedpod_protocol::envelope::{Draft, Envelope, Kind, State};
use seedpod_protocol::ids::{ObjectId, PodId, Timestamp};
use seedpod_protocol::records::{Friendship, Record};

use super::messages::{CreateInvite, GetRounds, ListInvites, MakeFriends, Phase, QuitFriends};
use super::records;
use super::state::{Entry, Seen};
use crate::catalog::messages::{Admit, FriendSync, GetSync, Receive};
use crate::store::{Transaction, tables};
use crate::testing::{Base, Directory, Pod, copy_of, key, profile, run, stamp, thing, until};

async fn are_friends(one: &Pod, other: &Pod) -> bool {
    let phase = |entry: Option<super::messages::FriendEntry>| entry.map(|entry| entry.phase);
    phase(one.entry(other.base.id()).await) == Some(Phase::Friends)
        && phase(other.entry(one.base.id()).await) == Some(Phase::Friends)
}

async fn alike(one: &Pod, other: &Pod) -> bool {
    one.base.digest().await == other.base.digest().await
}

#[test]
fn two_pods_befriend_publish_quit_and_rejoin() {
    run(async {
        let directory = Directory::default();
        let (a, b) = (Pod::start(1, &directory).await, Pod::start(2, &directory).await);
        let early = b.base.publish(thing(1, State::Live, vec![1])).await.unwrap();
        assert_eq!(a.befriend(&[&b]).await.friends, vec![b.base.id()]);
        assert!(
            a.base.holds(&early).await,
            "the answer waits for the first comparison"
        );
        assert!(are_friends(&a, &b).await);
        let late = b.base.publish(thing(2, State::Live, vec![2])).await.unwrap();
        until("what is published arrives", || a.base.holds(&late)).await;
        until("both hold the same", || alike(&a, &b)).await;

        a.friends.send(QuitFriends).await.unwrap().unwrap();
        assert!(a.list().await.is_empty());
        assert!(!a.base.holds(&early).await && !a.base.holds(&late).await);
        until("the other learns it", || async {
            let entry = b.entry(a.base.id()).await;
            entry.is_some_and(|entry| entry.phase == Phase::EndedByThem)
        })
        .await;

        assert_eq!(b.befriend(&[&a]).await.failed, vec![]);
        until("the records are back", || async {
            a.base.holds(&early).await && a.base.holds(&late).await && alike(&a, &b).await
        })
        .await;
        assert!(are_friends(&a, &b).await);
    });
}

#[test]
fn what_is_older_than_all_that_is_held_is_dug_out_and_seen_in_the_counts() {
    run(async {
        let directory = Directory::default();
        let (a, b) = (Pod::start(1, &directory).await, Pod::start(2, &directory).await);
        a.befriend(&[&b]).await;
        for number in 1..=20 {
            let early = a.base.publish(thing(number, State::Live, vec![1])).await;
            early.unwrap();
        }
        until("both hold the same", || alike(&a, &b)).await;
        let mut before_all = stamp(1);
        before_all.epoch.counter = 0;
        let old = thing(900, State::Live, vec![1]);
        let old = old.sign(&key(1), before_all).unwrap();
        let receive = Receive {
            from: a.base.id(),
            envelopes: vec![old.clone()],
        };
        assert_eq!(a.base.catalog.send(receive).await.unwrap().unwrap(), 1);
        until("the old record is found", || b.base.holds(&old)).await;
        until("both know that they have each other's records", || async {
            let counts = |sync: BTreeMap<PodId, FriendSync>, of: PodId| {
                let sync = sync.get(&of).copied();
                sync.map(|sync| (sync.held, sync.total, sync.acknowledged, sync.own))
            };
            let (at_a, at_b) = (
                a.base.catalog.send(GetSync).await.unwrap(),
                b.base.catalog.send(GetSync).await.unwrap(),
            );
            // Twenty-one things and a friendship; a friendship.
            counts(at_b, a.base.id()) == Some((22, 22, 1, 1))
                && counts(at_a, b.base.id()) == Some((1, 1, 22, 22))
        })
        .await;
    });
}

#[test]
fn friends_made_all_at_once_are_all_heard() {
    run(async {
        let directory = Directory::default();
        let a = Pod::start(1, &directory).await;
        let mut others = Vec::new();
        for seed in 2..6 {
            others.push(Pod::start(seed, &directory).await);
        }
        let making = others.iter().map(|pod| async { a.befriend(&[pod]).await });
        for made in join_all(making).await {
            assert_eq!((made.friends.len(), made.failed), (1, vec![]));
        }
        for pod in &others {
            let record = pod.base.publish(thing(1, State::Live, vec![1])).await.unwrap();
            until("each friend's record arrives", || a.base.holds(&record)).await;
        }
    });
}

#[test]
fn a_no_that_could_not_be_written_leaves_a_friend_a_friend() {
    run(async {
        let directory = Directory::default();
        let (a, b) = (Pod::start(1, &directory).await, Pod::start(2, &directory).await);
        a.befriend(&[&b]).await;
        let digest = a.base.digest().await;
        a.base.store.close().await;
        assert!(a.friends.send(QuitFriends).await.unwrap().is_err());
        assert!(are_friends(&a, &b).await);
        assert_eq!(a.base.digest().await, digest);
    });
}

#[test]
fn friendship_survives_a_restart() {
    run(async {
        let directory = Directory::default();
        let (a, b) = (Pod::start(1, &directory).await, Pod::start(2, &directory).await);
        a.befriend(&[&b]).await;
        let a = Pod::on(Base::open_in(1, a.base.die().await).await, &directory).await;
        let late = b.base.publish(thing(2, State::Live, vec![2])).await.unwrap();
        until("it still hears its friend", || a.base.holds(&late)).await;
        until("both hold the same", || alike(&a, &b)).await;
    });
}

/// Our register about a pod, as a handshake signs it.
fn yes_to(with: &Pod) -> Draft {
    let friendship = Friendship {
        with: with.base.id(),
        host: with.host.clone(),
        addresses: Vec::new(),
        recovery: None,
        since: Timestamp::EPOCH,
    };
    Draft {
        kind: Kind::FRIENDSHIP,
        object: ObjectId::from(with.base.id()),
        state: State::Live,
        payload: Record::Friendship(friendship),
    }
}

#[test]
fn what_a_crash_cut_short_is_settled_at_the_next_start() {
    run(async {
        let directory = Directory::default();
        let stranger = Pod::start(2, &directory).await;
        let base = Base::open(1).await;
        // Our yes and some of its records are on the disk, and no entry says that it is a friend.
        base.publish(yes_to(&stranger)).await.unwrap();
        base.catalog.send(Admit(stranger.base.id())).await.unwrap();
        let record = thing(1, State::Live, vec![1]).sign(&key(2), stamp(1)).unwrap();
        let receive = Receive {
            from: stranger.base.id(),
            envelopes: vec![record.clone()],
        };
        assert_eq!(base.catalog.send(receive).await.unwrap().unwrap(), 1);

        let pod = Pod::on(Base::open_in(1, base.die().await).await, &directory).await;
        assert!(!pod.base.holds(&record).await);
        let ours = pod
            .base
            .envelope(
                pod.base.id(),
                Kind::FRIENDSHIP,
                ObjectId::from(stranger.base.id()),
            )
            .await;
        let ours = Envelope::decode(ours.unwrap()).unwrap();
        assert_eq!(ours.header().state, State::Withdrawn);
    });
}

#[test]
fn whoever_had_not_answered_is_asked_again() {
    run(async {
        let directory = Directory::default();
        let other = Pod::start(2, &directory).await;
        let base = Base::open(1).await;
        base.publish(yes_to(&other)).await.unwrap();
        let bare = |address: String| address.split("/p2p/").next().unwrap_or_default().to_owned();
        let entry = Entry {
            number: 1,
            host: other.host.clone(),
            url: format!("http://{}", other.host),
            addresses: other.base.swarm.addresses().into_iter().map(bare).collect(),
            phase: Phase::Asking,
            score: 20,
            since: Timestamp::EPOCH,
            by_operator: true,
            version: String::new(),
            cause: None,
            changed: None,
            turned_away: false,
            seen: Seen::default(),
        };
        let mut transaction = Transaction::new();
        transaction.put(
            tables::FRIENDS,
            other.base.id().as_bytes().to_vec(),
            records::encode(&entry),
        );
        base.store.commit(transaction).await.unwrap();

        let pod = Pod::on(Base::open_in(1, base.die().await).await, &directory).await;
        until("they are friends", || are_friends(&pod, &other)).await;
    });
}

#[test]
fn a_pod_restored_from_an_old_copy_gets_its_records_back_and_has_the_last_word() {
    run(async {
        let directory = Directory::default();
        let (a, b) = (Pod::start(1, &directory).await, Pod::start(2, &directory).await);
        let me = a.base.id();
        a.befriend(&[&b]).await;
        a.base.publish(profile(me, "first")).await.unwrap();
        // What is lost are later versions of these, so that counting does not betray that something is missing.
        for number in [1, 2] {
            let early = a.base.publish(thing(number, State::Live, vec![0])).await;
            early.unwrap();
        }
        let copy = copy_of(a.base.folder.path());
        // Lost with the folder: these are in the copy's own epoch, and in the one the copy will take.
        let lost = a.base.publish(thing(1, State::Live, vec![1])).await.unwrap();
        until("b has it", || b.base.holds(&lost)).await;
        let folder = a.base.die().await;
        let a = Pod::on(Base::open_in(1, folder).await, &directory).await;
        let lost_too = a.base.publish(thing(2, State::Live, vec![2])).await.unwrap();
        a.base.publish(profile(me, "second")).await.unwrap();
        until("b has that too", || async {
            b.base.holds(&lost_too).await && alike(&a, &b).await
        })
        .await;
        drop(a.base.die().await);

        let restored = Base::open_in(1, copy).await;
        let third = restored.publish(profile(me, "third")).await.unwrap();
        let a = Pod::on(restored, &directory).await;
        until("what was lost is back", || async {
            a.base.holds(&lost).await && a.base.holds(&lost_too).await
        })
        .await;
        until("what was said last holds everywhere", || async {
            let held = b.base.envelope(me, Kind::PROFILE, ObjectId::EMPTY).await.unwrap();
            Envelope::decode(held).unwrap().open().unwrap().payload() == third.payload()
                && alike(&a, &b).await
        })
        .await;
    });
}

#[test]
fn an_ejected_friend_is_hidden_and_comes_back_with_what_was_kept() {
    run(async {
        let directory = Directory::default();
        let (a, b) = (Pod::start(1, &directory).await, Pod::start(2, &directory).await);
        a.befriend(&[&b]).await;
        let kept = b.base.publish(thing(1, State::Live, vec![1])).await.unwrap();
        until("the record is here", || a.base.holds(&kept)).await;
        let rows = a.base.store.len(tables::RECORDS);
        let before = a.base.digest().await;

        let away = b.base.id();
        let folder = b.base.die().await;
        drop(b.friends);
        let owed = a.base.publish(thing(2, State::Live, vec![2])).await.unwrap();
        let rounds = a.friends.send(GetRounds).await.unwrap();
        assert!(rounds.friends[0].records >= 1, "{rounds:?}");
        until("it is ejected", || async {
            let entry = a.entry(away).await.unwrap();
            entry.phase == Phase::Ejected && entry.cause.is_some()
        })
        .await;
        assert_eq!(a.base.store.len(tables::RECORDS), rows + 1, "everything is kept");
        assert_ne!(a.base.digest().await, before);

        // What it does not know it still lists; that it was let go it hears when it asks.
        let b = Pod::on(Base::open_in(2, folder).await, &directory).await;
        until("it hears that it was let go", || async {
            let entry = b.entry(a.base.id()).await.unwrap();
            entry.phase == Phase::Friends && !entry.lets_us_in
        })
        .await;
        assert_eq!(b.befriend(&[&a]).await.failed, vec![]);
        until("all is as it was", || async {
            are_friends(&a, &b).await && b.base.holds(&owed).await && alike(&a, &b).await
        })
        .await;
        assert!(b.entry(a.base.id()).await.unwrap().lets_us_in);
    });
}

#[test]
fn an_invite_is_a_host_and_its_use_is_counted_for_good() {
    run(async {
        let directory = Directory::default();
        let (a, b) = (Pod::start(1, &directory).await, Pod::start(2, &directory).await);
        let create = CreateInvite {
            label: "for b".to_owned(),
            lasts: None,
            uses: 1,
        };
        let invite = a.friends.send(create).await.unwrap().unwrap();
        let bent = invite.link.replace("localhost:9", "localhost:8");
        for (hosts, friends) in [(vec![bent], 0), (vec![invite.link], 1)] {
            let make = MakeFriends {
                hosts,
                only_when_alone: false,
            };
            let made = b.friends.send(make).await.unwrap().unwrap();
            assert_eq!(made.friends.len(), friends, "{made:?}");
        }
        assert!(are_friends(&a, &b).await);
        assert_eq!(a.friends.send(ListInvites).await.unwrap()[0].used, 1);
        let a = Pod::on(Base::open_in(1, a.base.die().await).await, &directory).await;
        let invites = a.friends.send(ListInvites).await.unwrap();
        assert_eq!((invites.len(), invites[0].used), (1, 1));
        for (label, uses) in [
            ("x".repeat(121), 1),
            ("two\nlines".to_owned(), 1),
            (String::new(), 0),
        ] {
            let lasts = None;
            let create = CreateInvite { label, lasts, uses };
            assert!(a.friends.send(create).await.unwrap().is_err());
        }
    });
}
