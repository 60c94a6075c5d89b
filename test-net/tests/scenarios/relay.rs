//! Viewers of different pods find each other through the trackers of their pods, with the video's origin away; and a friend that
//! abuses this reaches nobody.
//!
//! The viewers are plain WebSocket clients that speak the tracker's protocol; browsers do the same in `browser/relay.test.mjs`.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures::{SinkExt, StreamExt};
use seedpod_protocol::envelope::{Draft, Stamp};
use seedpod_protocol::ids::{InfoHash, Timestamp};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::{HintedSwarm, Record, SwarmHint};
use seedpod_protocol::relay::{RelayedAnswer, RelayedOffer, Session};
use seedpod_protocol::requests::{Refusal, Request, Response};
use seedpod_protocol::topics;
use seedpod_protocol::tracker::{OfferId, PeerId};
use seedpod_test_net::api::{Upload, Uploaded};
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use seedpod_test_net::torrent::Magnet;
use seedpod_test_net::{TestNet, eventually};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::attacker::{Attacker, EPOCH};
use crate::steps::{SOON, befriend_three, expect_videos};

/// A viewer's socket at its pod's tracker.
struct Viewer {
    socket: WebSocketStream<TcpStream>,
    info_hash: String,
    peer_id: String,
}

impl Viewer {
    async fn connect(pod: &Pod, torrent: InfoHash, letter: char) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(pod.host()).await?;
        let url = format!("ws://{}/tracker/socket", pod.host());
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await?;
        Ok(Self {
            socket,
            info_hash: torrent.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
            peer_id: letter.to_string().repeat(20),
        })
    }

    /// Announces with offers of these letters, and waits for the reply.
    async fn announce(&mut self, left: u64, offers: &[char]) -> anyhow::Result<()> {
        let offer = |letter: &char| json!({ "offer_id": letter.to_string().repeat(20), "offer": { "type": "offer", "sdp": letter } });
        let offers: Vec<Value> = offers.iter().map(offer).collect();
        self.say(json!({ "left": left, "offers": offers, "numwant": offers.len() }))
            .await?;
        self.hear("interval").await.map(drop)
    }

    /// Answers an offer that was shown to it.
    async fn answer(&mut self, offer: &Value) -> anyhow::Result<()> {
        self.say(json!({
            "to_peer_id": offer["peer_id"], "offer_id": offer["offer_id"],
            "answer": { "type": "answer", "sdp": "here" },
        }))
        .await
    }

    async fn say(&mut self, mut message: Value) -> anyhow::Result<()> {
        message["action"] = json!("announce");
        message["info_hash"] = json!(self.info_hash);
        message["peer_id"] = json!(self.peer_id);
        Ok(self.socket.send(Message::text(message.to_string())).await?)
    }

    /// The next message with this key.
    async fn hear(&mut self, key: &str) -> anyhow::Result<Value> {
        let hearing = async {
            loop {
                let message = self.socket.next().await.context("the socket was closed")??;
                let Message::Text(text) = message else { continue };
                let value: Value = serde_json::from_str(&text)?;
                if let Some(reason) = value.get("failure reason") {
                    bail!("refused: {reason}");
                }
                if value.get(key).is_some() {
                    return Ok(value);
                }
            }
        };
        timeout(SOON, hearing)
            .await
            .with_context(|| format!("no `{key}` in time"))?
    }

    /// How many messages with this key are there already.
    async fn count(&mut self, key: &str) -> anyhow::Result<usize> {
        // The reply to this comes after whatever was sent before.
        self.say(json!({ "left": 5, "offers": [] })).await?;
        let mut count = 0;
        loop {
            let message = timeout(SOON, self.socket.next())
                .await?
                .context("the socket was closed")??;
            let Message::Text(text) = message else { continue };
            let value: Value = serde_json::from_str(&text)?;
            if value.get("interval").is_some() {
                return Ok(count);
            }
            count += usize::from(value.get(key).is_some());
        }
    }
}

/// A figure of a pod's metrics, labels included; 0 if it never counted.
pub(crate) async fn figure(pod: &Pod, name: &str) -> anyhow::Result<u64> {
    let metrics = pod.visitor().get("/metrics").await?.status(200)?.text_whole();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.map_or(Ok(0), str::parse)?)
}

async fn torrent_of(pod: &Pod, video: &Uploaded) -> anyhow::Result<InfoHash> {
    let seen = pod.visitor().video(&video.uuid).await?;
    let link = seen
        .pointer("/files/0/magnetUri")
        .and_then(Value::as_str)
        .context("a magnet")?;
    Ok(Magnet::parse(link)?.info_hash.parse()?)
}

#[tokio::test]
async fn viewers_of_two_pods_meet_while_the_origin_is_away() {
    TestNet::scenario(3, async |net| {
        befriend_three(net).await?;
        let upload = Upload::file("Watched everywhere", &Clip::Tiny.path().await?)?;
        let video = net.pod(3).root().await?.upload(&upload).await?;
        expect_videos(net, &[&video]).await?;
        let torrent = torrent_of(net.pod(1), &video).await?;
        net.pod(3).kill().await?;

        let mut a = Viewer::connect(net.pod(1), torrent, 'a').await?;
        a.announce(0, &[]).await?;
        eventually("pod 2 has heard of the viewer", SOON, async || {
            let hinted = figure(net.pod(2), "seedpod_tracker_relay_hinted_torrents").await?;
            ensure!(hinted == 1, "{hinted} torrents");
            Ok(())
        })
        .await?;

        let mut b = Viewer::connect(net.pod(2), torrent, 'b').await?;
        b.announce(5, &['x', 'y', 'z']).await?;
        let offer = a.hear("offer").await?;
        ensure!(offer["peer_id"] == json!(b.peer_id), "{offer}");
        a.answer(&offer).await?;
        let answer = b.hear("answer").await?;
        ensure!(
            (&answer["peer_id"], &answer["offer_id"]) == (&json!(a.peer_id), &offer["offer_id"]),
            "{answer}"
        );
        ensure!(
            answer["answer"] == json!({ "type": "answer", "sdp": "here" }),
            "{answer}"
        );

        // Answered once; a second answer finds no offer.
        a.answer(&offer).await?;
        ensure!(a.hear("answer").await.is_err(), "a second answer was taken");
        for (pod, what) in [
            (2, "what=\"offer\",direction=\"out\""),
            (1, "what=\"answer\",direction=\"out\""),
        ] {
            let relayed = figure(
                net.pod(pod),
                &format!("seedpod_tracker_relay_relayed_total{{{what}}}"),
            )
            .await?;
            ensure!(relayed == 1, "{what} on pod {pod}: {relayed}");
        }

        // When nobody is left there, that is heard too.
        drop(a);
        eventually("pod 2 has heard that the viewer is gone", SOON, async || {
            let hinted = figure(net.pod(2), "seedpod_tracker_relay_hinted_torrents").await?;
            ensure!(hinted == 0, "{hinted} torrents");
            Ok(())
        })
        .await?;
        net.pod(3).start().await
    })
    .await;
}

#[tokio::test]
async fn two_viewers_who_come_at_the_same_time_meet_without_announcing_again() {
    TestNet::scenario(2, async |net| {
        net.befriend_all().await?;
        let upload = Upload::file("A first showing", &Clip::Tiny.path().await?)?;
        let video = net.pod(1).root().await?.upload(&upload).await?;
        expect_videos(net, &[&video]).await?;
        let torrent = torrent_of(net.pod(1), &video).await?;
        // Both pods have heard of the other's viewers at least once: of somebody who left again.
        for pod in [1, 2] {
            let mut early = Viewer::connect(net.pod(pod), torrent, 'e').await?;
            early.announce(5, &[]).await?;
            let heard = "seedpod_tracker_relay_hints_total{outcome=\"taken\"}";
            eventually("it is heard", SOON, async || {
                let count = figure(net.pod(3 - pod), heard).await?;
                ensure!(count > 0, "{count} hints");
                Ok(())
            })
            .await?;
        }
        let gone = "seedpod_tracker_relay_hinted_torrents";
        eventually("nobody is there", SOON, async || {
            let there = figure(net.pod(1), gone).await? + figure(net.pod(2), gone).await?;
            ensure!(there == 0, "{there}");
            Ok(())
        })
        .await?;

        let mut a = Viewer::connect(net.pod(1), torrent, 'a').await?;
        let mut b = Viewer::connect(net.pod(2), torrent, 'b').await?;
        tokio::try_join!(a.announce(5, &['r', 's']), b.announce(5, &['x', 'y']))?;
        tokio::select! {
            offer = a.hear("offer") => ensure!(offer?["peer_id"] == json!("b".repeat(20))),
            offer = b.hear("offer") => ensure!(offer?["peer_id"] == json!("a".repeat(20))),
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn whoever_floods_with_offers_or_invents_answers_reaches_nobody() {
    TestNet::scenario(2, async |net| {
        net.befriend_all().await?;
        let pod = net.pod(1);
        let upload = Upload::file("Much wanted", &Clip::Tiny.path().await?)?;
        let video = pod.root().await?.upload(&upload).await?;
        expect_videos(net, &[&video]).await?;
        let torrent = torrent_of(pod, &video).await?;
        let mut viewer = Viewer::connect(pod, torrent, 'a').await?;
        viewer.announce(5, &[]).await?;

        let session = || Session::try_from(r#"{"type":"offer","sdp":"flood"}"#.to_owned());
        let mut offer_id = [0; 20];
        let mut offer = async |attacker: &Attacker, number: u16| -> anyhow::Result<Response> {
            offer_id[..2].copy_from_slice(&number.to_be_bytes());
            let offer = RelayedOffer {
                info_hash: torrent,
                peer_id: PeerId::from_bytes([b'm'; 20]),
                offer_id: OfferId::from_bytes(offer_id),
                seeder: false,
                offer: session()?,
            };
            attacker.ask(&Request::RelayOffer(offer)).await
        };
        let refused = |response: &Response, with: Refusal| match response {
            Response::Refused { reason, .. } => *reason == with,
            _ => false,
        };

        // A stranger is no friend.
        let attacker = Attacker::connect(PodKey::from_seed(&[0xb1; 32]), pod).await?;
        let answer = offer(&attacker, 0).await?;
        ensure!(refused(&answer, Refusal::NotAFriend), "{answer:?}");

        attacker.befriend().await?;
        let mut shown = 0;
        for number in 1..300 {
            match offer(&attacker, number).await? {
                Response::Relayed => shown += 1,
                answer => ensure!(refused(&answer, Refusal::Busy), "{answer:?}"),
            }
        }
        ensure!(shown == 16, "{shown} offers were shown to one viewer");
        let heard = viewer.count("offer").await?;
        ensure!(heard == 16, "the viewer was shown {heard}");

        // Nobody was sent the offers that it answers, nor of this torrent.
        let answer = RelayedAnswer {
            info_hash: torrent,
            peer_id: PeerId::from_bytes([b'm'; 20]),
            to_peer_id: PeerId::from_bytes([b'a'; 20]),
            offer_id: OfferId::from_bytes([b'x'; 20]),
            answer: session()?,
        };
        let answered = attacker.ask(&Request::RelayAnswer(answer)).await?;
        ensure!(refused(&answered, Refusal::Nobody), "{answered:?}");
        ensure!(
            viewer.count("answer").await? == 0,
            "an invented answer was handed on"
        );

        // An honest friend's viewer still finds another one.
        let mut other = Viewer::connect(pod, torrent, 'c').await?;
        other.announce(5, &[]).await?;
        let hinted = "seedpod_tracker_relay_hinted_torrents";
        eventually("pod 2 has heard of viewers", SOON, async || {
            ensure!(figure(net.pod(2), hinted).await? == 1);
            Ok(())
        })
        .await?;
        let mut honest = Viewer::connect(net.pod(2), torrent, 'b').await?;
        honest.announce(5, &['x', 'y', 'z']).await?;
        let offer = other.hear("offer").await?;
        ensure!(offer["peer_id"] == json!(honest.peer_id), "{offer}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn false_hints_lead_nowhere_and_forged_ones_are_paid_for() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let upload = Upload::file("Hinted at", &Clip::Tiny.path().await?)?;
        let video = pod.root().await?.upload(&upload).await?;
        let torrent = torrent_of(pod, &video).await?;
        let now = || Timestamp::from_millis(u64::try_from(now_millis()).unwrap_or(u64::MAX));
        let sign = |attacker: &Attacker, hint: SwarmHint| -> anyhow::Result<Vec<u8>> {
            let draft = Draft::live(&attacker.key.id(), Record::Hint(hint))?;
            let stamp = Stamp { epoch: EPOCH, seq: 1 };
            Ok(draft.sign(&attacker.key, stamp)?.bytes().to_vec())
        };
        let hint = |at: Timestamp, hashes: &[InfoHash]| SwarmHint {
            at,
            ttl: 60,
            swarms: hashes
                .iter()
                .filter_map(|hash| HintedSwarm::of(*hash, 1, 1))
                .collect(),
        };
        let attacker = Attacker::connect(PodKey::from_seed(&[0xb2; 32]), pod).await?;
        attacker.befriend().await?;
        let counted = async |outcome: &str, count: u64| {
            let name = format!("seedpod_tracker_relay_hints_total{{outcome=\"{outcome}\"}}");
            eventually("it is counted", SOON, async || {
                let found = figure(pod, &name).await?;
                ensure!(found == count, "{outcome}: {found}, expected {count}");
                Ok(())
            })
            .await
        };

        // Torrents that nobody here knows are passed over.
        let unknown: Vec<InfoHash> = (0..100)
            .map(|number| InfoHash::from_bytes([number; 20]))
            .collect();
        let at = now();
        attacker
            .gossip_on(topics::SWARM, sign(&attacker, hint(at, &unknown))?)
            .await?;
        counted("taken", 1).await?;
        ensure!(figure(pod, "seedpod_tracker_relay_hinted_torrents").await? == 0);

        // Of another time.
        let hour = Duration::from_secs(3600);
        attacker
            .gossip_on(
                topics::SWARM,
                sign(&attacker, hint(at.saturating_add(hour), &[torrent]))?,
            )
            .await?;
        counted("out_of_time", 1).await?;
        let before = Timestamp::from_millis(at.as_millis() - 1);
        attacker
            .gossip_on(topics::SWARM, sign(&attacker, hint(before, &[torrent]))?)
            .await?;
        counted("stale", 1).await?;

        // One that is believed leads a viewer's offer to the attacker, who does not take it: the viewer is none the worse.
        attacker
            .gossip_on(topics::SWARM, sign(&attacker, hint(now(), &[torrent]))?)
            .await?;
        counted("taken", 2).await?;
        let mut viewer = Viewer::connect(pod, torrent, 'a').await?;
        viewer.announce(5, &['x', 'y', 'z']).await?;
        let mut other = Viewer::connect(pod, torrent, 'b').await?;
        other.announce(5, &['u', 'v', 'w']).await?;
        viewer.hear("offer").await?;

        // A signature of somebody else's, or a hint that no honest pod would pass on, costs the place.
        let mut forged = sign(&attacker, hint(now(), &[torrent]))?;
        *forged.last_mut().context("an envelope has bytes")? ^= 1;
        attacker.gossip_on(topics::SWARM, forged).await?;
        attacker.expect_locked_out().await
    })
    .await;
}

fn now_millis() -> u128 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis())
}
