//! A tracker that dies and comes back.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use actix::prelude::*;
use prometheus_client::registry::Registry;
use seedpod_protocol::envelope::{Draft, Kind};
use serde_json::{Value, json};

use super::messages::{Connect, Incoming, outbox};
use super::{TrackerActor, TrackerConfig, TrackerMetrics};
use crate::supervise::Live;
use crate::testing::{Base, run, until, video};

#[derive(Message)]
#[rtype(result = "()")]
struct Die;

impl Handler<Die> for TrackerActor {
    type Result = ();

    fn handle(&mut self, _: Die, _: &mut Context<Self>) {
        panic!("told to");
    }
}

/// Whether the tracker that lives now serves a torrent; `false` too while none does.
async fn serves(tracker: &Live<TrackerActor>, number: u8) -> bool {
    let (outbox, mut inbox) = outbox();
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let Ok(socket) = tracker.addr().send(Connect { address, outbox }).await else {
        return false;
    };
    let socket = socket.unwrap();
    let info_hash = char::from(number).to_string().repeat(20);
    let announce = json!({
        "action": "announce", "info_hash": info_hash, "peer_id": "pppppppppppppppppppp", "left": 1, "offers": []
    });
    let incoming = Incoming {
        socket,
        text: announce.to_string(),
    };
    if tracker.addr().send(incoming).await.is_err() {
        return false;
    }
    let answer: Value = serde_json::from_str(&inbox.recv().await.unwrap()).unwrap();
    answer.get("failure reason").is_none()
}

#[test]
fn a_tracker_that_was_restarted_knows_what_the_catalog_holds_and_hears_what_changes() {
    run(async {
        let base = Base::open(1).await;
        base.publish(video(base.id(), b'a')).await.unwrap();
        let catalog = base.catalog.clone();
        let (delay, metrics) = (
            Duration::from_millis(1),
            TrackerMetrics::register(&mut Registry::default()),
        );
        let tracker = base.supervisor.supervise("tracker", delay, move |lifeline| {
            TrackerActor::new(TrackerConfig::default(), metrics.clone())
                .with_lifeline(lifeline)
                .follow(&catalog)
        });
        until("it has heard the replay", || serves(&tracker, b'a')).await;
        base.publish(video(base.id(), b'b')).await.unwrap();
        assert!(serves(&tracker, b'b').await);

        assert!(tracker.addr().send(Die).await.is_err());
        until("the next one has heard it too", || serves(&tracker, b'b')).await;
        assert!(serves(&tracker, b'a').await);
        let c = video(base.id(), b'c');
        base.publish(c.clone()).await.unwrap();
        assert!(serves(&tracker, b'c').await, "it is subscribed");
        base.publish(Draft::removed(Kind::VIDEO, c.object)).await.unwrap();
        assert!(!serves(&tracker, b'c').await);
    });
}
