//! A desk as clients meet it, and a tracker that dies and comes back behind it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use actix::prelude::*;
use prometheus_client::registry::Registry;
use seedpod_protocol::envelope::{Draft, Kind};
use seedpod_protocol::ids::InfoHash;
use seedpod_protocol::tracker::{OfferId, PeerId};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::messages::{
    Admit, AnswerOffer, Inbox, OUTBOX_TEXTS, RegisterSeeder, Seed, SocketId, SwarmSize, TakeOffer, Withdraw,
    outbox,
};
use super::{Desk, TrackerActor, TrackerConfig};
use crate::testing::{Base, run, until, video};

const HASH: &str = "hhhhhhhhhhhhhhhhhhhh";

fn hash() -> InfoHash {
    InfoHash::from_bytes(HASH.as_bytes().try_into().unwrap())
}

fn announce(peer: &str, offers: &Value) -> Value {
    json!({ "action": "announce", "info_hash": HASH, "peer_id": peer, "left": 1, "offers": offers })
}

/// A socket at a desk.
struct Browser {
    desk: Desk,
    socket: SocketId,
    inbox: Inbox,
}

impl Browser {
    fn connect(desk: &Desk) -> Self {
        let (outbox, inbox) = outbox();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let socket = desk.connect(address, outbox).unwrap().unwrap();
        Self {
            desk: desk.clone(),
            socket,
            inbox,
        }
    }

    /// Says something and gives the reply.
    fn say(&self, message: &Value) -> Option<Value> {
        let reply = self.desk.receive(self.socket, &message.to_string()).unwrap();
        reply.map(|text| serde_json::from_str(&text).unwrap())
    }

    /// What was sent without having been asked for.
    async fn hear(&mut self) -> Value {
        let text = tokio::time::timeout(Duration::from_secs(5), self.inbox.recv())
            .await
            .unwrap();
        serde_json::from_str(&text.unwrap()).unwrap()
    }
}

/// A desk that serves one torrent.
async fn desk() -> (Desk, Addr<TrackerActor>) {
    let desk = Desk::new(TrackerConfig::default());
    let actor = TrackerActor::new(desk.clone()).start();
    let info_hashes = vec![hash()];
    actor.send(Admit { info_hashes }).await.unwrap();
    (desk, actor)
}

fn shown(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

#[actix::test]
async fn two_browsers_find_each_other_through_their_texts() {
    let (desk, actor) = desk().await;
    let mut registry = Registry::default();
    desk.register(&mut registry);
    let (a_id, b_id, offer_id) = (
        "aaaaaaaaaaaaaaaaaaaa",
        "bbbbbbbbbbbbbbbbbbbb",
        "oooooooooooooooooooo",
    );
    let mut a = Browser::connect(&desk);
    let mut b = Browser::connect(&desk);
    assert_eq!(a.say(&announce(a_id, &json!([]))).unwrap()["incomplete"], 1);
    let offer = json!({ "type": "offer", "sdp": "v=0\r\nö" });
    let offers = json!([{ "offer": offer, "offer_id": offer_id }]);
    assert_eq!(b.say(&announce(b_id, &offers)).unwrap()["interval"], 120);
    let relayed = a.hear().await;
    assert_eq!((&relayed["offer"], &relayed["peer_id"]), (&offer, &json!(b_id)));
    let answer = json!({ "type": "answer", "sdp": "v=0" });
    let answering = json!({ "action": "announce", "info_hash": HASH, "peer_id": a_id, "to_peer_id": b_id,
        "answer": answer, "offer_id": offer_id });
    assert_eq!(a.say(&answering), None, "an answer has no reply");
    let relayed = b.hear().await;
    assert_eq!(
        (&relayed["answer"], &relayed["offer_id"]),
        (&answer, &json!(offer_id))
    );

    assert_eq!(
        desk.size(&hash()),
        SwarmSize {
            seeders: 0,
            leechers: 2,
            viewers: 2,
        }
    );
    desk.disconnect(a.socket);
    assert_eq!(a.inbox.recv().await, None, "its outbox has ended");
    let info_hashes = vec![hash()];
    actor.send(Withdraw { info_hashes }).await.unwrap();
    assert_eq!(
        b.say(&announce(b_id, &json!([]))).unwrap()["failure reason"],
        "this tracker does not serve that torrent"
    );
    let text = shown(&registry);
    for line in [
        "seedpod_tracker_sockets 1",
        "seedpod_tracker_peers 0",
        r#"seedpod_tracker_announces_total{way="websocket"} 2"#,
        "seedpod_tracker_offers_relayed_total 1",
        "seedpod_tracker_answers_relayed_total 1",
        r#"seedpod_tracker_refused_total{reason="not_admitted"} 1"#,
        r#"seedpod_tracker_refused_total{reason="unreadable"} 0"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
}

#[actix::test]
async fn a_socket_that_does_not_read_is_dropped() {
    let (desk, _actor) = desk().await;
    let mut slow = Browser::connect(&desk);
    slow.say(&announce("aaaaaaaaaaaaaaaaaaaa", &json!([])));
    let talker = Browser::connect(&desk);
    for turn in 0..=OUTBOX_TEXTS {
        // Each offer has a name of its own; those that were relayed live for a minute, so the talker comes as somebody new.
        let peer = format!("{turn:020}");
        let offers = json!([{ "offer": { "type": "offer", "sdp": "" }, "offer_id": peer }]);
        assert_eq!(talker.say(&announce(&peer, &offers)).unwrap()["interval"], 120);
    }
    let stats = desk.stats();
    assert_eq!((stats.sockets, stats.totals.slow_sockets), (1, 1));
    for _ in 0..OUTBOX_TEXTS {
        slow.hear().await;
    }
    assert_eq!(
        slow.inbox.recv().await,
        None,
        "what was queued can be read, then the socket is to be closed"
    );
    assert_eq!(slow.say(&json!({})), None, "and is not heard any more");
}

#[actix::test]
async fn a_socket_whose_holder_is_gone_is_forgotten() {
    let (desk, _actor) = desk().await;
    let gone = Browser::connect(&desk);
    gone.say(&announce("aaaaaaaaaaaaaaaaaaaa", &json!([])));
    drop(gone.inbox);
    let other = Browser::connect(&desk);
    let offers = json!([{ "offer": { "type": "offer", "sdp": "" }, "offer_id": "oooooooooooooooooooo" }]);
    other.say(&announce("bbbbbbbbbbbbbbbbbbbb", &offers));
    let stats = desk.stats();
    assert_eq!((stats.sockets, stats.totals.slow_sockets), (1, 0));
}

/// A seeder that answers every offer.
struct Answering(Desk);

impl Actor for Answering {
    type Context = Context<Self>;
}

impl Handler<TakeOffer> for Answering {
    type Result = ();

    fn handle(&mut self, offer: TakeOffer, _: &mut Context<Self>) {
        let answer = json!({ "type": "answer", "sdp": format!("to {}", offer.offer.get()) });
        self.0.answer_offer(AnswerOffer {
            info_hash: offer.info_hash,
            to_peer_id: offer.peer_id,
            offer_id: offer.offer_id,
            answer: RawValue::from_string(answer.to_string()).unwrap(),
        });
    }
}

#[actix::test]
async fn the_pods_own_seeder_is_offered_and_answers_and_outlives_a_restart() {
    let (desk, actor) = desk().await;
    let seeder = Answering(desk.clone()).start();
    desk.register_seeder(RegisterSeeder {
        peer_id: PeerId::from_bytes(*b"-SP0100-ssssssssssss"),
        addresses: vec!["127.0.0.1:6881".parse().unwrap()],
        offers: Some(seeder.recipient()),
    });
    let begin = vec![hash()];
    desk.seed(Seed {
        begin,
        ..Seed::default()
    });
    let exchange = async || {
        let mut browser = Browser::connect(&desk);
        let offers = json!([{ "offer": { "sdp": "x" }, "offer_id": "oooooooooooooooooooo" }]);
        let reply = browser.say(&announce("aaaaaaaaaaaaaaaaaaaa", &offers)).unwrap();
        assert_eq!((&reply["complete"], &reply["incomplete"]), (&json!(1), &json!(1)));
        let answer = browser.hear().await;
        assert_eq!(answer["peer_id"], "-SP0100-ssssssssssss");
        assert_eq!(answer["answer"]["sdp"], r#"to {"sdp":"x"}"#);
        desk.disconnect(browser.socket);
    };
    exchange().await;
    desk.renew(None);
    let info_hashes = vec![hash()];
    actor.send(Admit { info_hashes }).await.unwrap();
    exchange().await;

    // What nobody asked for is passed over.
    desk.answer_offer(AnswerOffer {
        info_hash: hash(),
        to_peer_id: PeerId::from_bytes([b'a'; 20]),
        offer_id: OfferId::from_bytes([b'o'; 20]),
        answer: RawValue::from_string("{}".into()).unwrap(),
    });
    assert_eq!(desk.stats().totals.answers_relayed, 2);
}

#[derive(Message)]
#[rtype(result = "()")]
struct Die;

impl Handler<Die> for TrackerActor {
    type Result = ();

    fn handle(&mut self, _: Die, _: &mut Context<Self>) {
        panic!("told to");
    }
}

/// Whether the tracker serves a torrent; `false` too while it is being started again.
fn serves(desk: &Desk, number: u8) -> bool {
    let (outbox, _inbox) = outbox();
    let Ok(socket) = desk.connect(IpAddr::V4(Ipv4Addr::LOCALHOST), outbox) else {
        return false;
    };
    let socket = socket.unwrap();
    let info_hash = char::from(number).to_string().repeat(20);
    let announce = json!({
        "action": "announce", "info_hash": info_hash, "peer_id": "pppppppppppppppppppp", "left": 1, "offers": []
    });
    let answer = desk.receive(socket, &announce.to_string());
    desk.disconnect(socket);
    let Ok(Some(answer)) = answer else { return false };
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer.get("failure reason").is_none()
}

#[test]
fn a_tracker_that_was_restarted_knows_what_the_catalog_holds_and_hears_what_changes() {
    run(async {
        let base = Base::open(1).await;
        base.publish(video(base.id(), b'a')).await.unwrap();
        let catalog = base.catalog.clone();
        let desk = Desk::new(TrackerConfig::default());
        let at = desk.clone();
        let delay = Duration::from_millis(1);
        let tracker = base.supervisor.supervise("tracker", delay, move |lifeline| {
            TrackerActor::new(at.clone())
                .with_lifeline(lifeline)
                .follow(&catalog)
        });
        until("it has heard the replay", || async { serves(&desk, b'a') }).await;
        base.publish(video(base.id(), b'b')).await.unwrap();
        until("it has heard the change", || async { serves(&desk, b'b') }).await;

        let mut waiting = Browser::connect(&desk);
        assert!(tracker.addr().send(Die).await.is_err());
        until("the next one has heard it too", || async { serves(&desk, b'b') }).await;
        assert_eq!(
            waiting.inbox.recv().await,
            None,
            "sockets of the former one are ended"
        );
        until("and what came before", || async { serves(&desk, b'a') }).await;
        let c = video(base.id(), b'c');
        base.publish(c.clone()).await.unwrap();
        until("it is subscribed", || async { serves(&desk, b'c') }).await;
        base.publish(Draft::removed(Kind::VIDEO, c.object)).await.unwrap();
        until("the removal came too", || async { !serves(&desk, b'c') }).await;
    });
}

#[test]
fn a_panic_at_the_desk_starts_the_tracker_again() {
    run(async {
        let base = Base::open(1).await;
        base.publish(video(base.id(), b'a')).await.unwrap();
        let catalog = base.catalog.clone();
        let desk = Desk::new(TrackerConfig::default());
        let at = desk.clone();
        let delay = Duration::from_millis(1);
        let _tracker = base.supervisor.supervise("tracker", delay, move |lifeline| {
            TrackerActor::new(at.clone())
                .with_lifeline(lifeline)
                .follow(&catalog)
        });
        until("it has heard the replay", || async { serves(&desk, b'a') }).await;
        let breaking = desk.clone();
        let broken = std::thread::spawn(move || breaking.panic_while_locked());
        assert!(broken.join().is_err());
        assert!(
            !serves(&desk, b'a'),
            "nobody is served from what may be half changed"
        );
        until("it was started again", || async { serves(&desk, b'a') }).await;
    });
}
