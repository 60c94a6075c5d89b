//! A hostile crowd at the tracker: strangers' peer ids, answers nobody asked for, a thousand offers, a megabyte of description, a hundred
//! thousand torrents nobody serves, sockets that never read, floods over HTTP and UDP. Replies and memory stay bounded, and honest peers
//! are answered and meet each other all the while.
//!
//! The attacks come one after the other; [`honest`] peers go on beside all of them, and [`Honest::beside`] lets no attack pass without
//! them.

use std::collections::HashMap;

use anyhow::{Context, bail, ensure};
use futures::future::try_join_all;
use futures::{SinkExt, StreamExt};
use seedpod_protocol::ids::InfoHash;
use seedpod_protocol::limits::SESSION_MAX;
use seedpod_protocol::tracker::udp::{Request, UdpAnnounce};
use seedpod_protocol::tracker::{Event, MAX_MESSAGE_LEN, MAX_OFFERS, PeerId, http};
use seedpod_test_net::api::Upload;
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{TestNet, eventually};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use self::honest::Honest;
use self::peers::{Browser, Client, SOON, UdpClient, offer};
use crate::steps::text;

mod honest;
mod peers;

/// Torrents nobody serves, asked for over WebSockets.
const UNKNOWN: usize = 100_000;
/// The same over HTTP.
const UNKNOWN_HTTP: usize = 20_000;
/// Packets of the UDP flood, and how many of them are answered at most: as many as an address may send at once, and what it may send in
/// half a minute, which the flood does not take.
const PACKETS: u32 = 20_000;
const PACKETS_ANSWERED: u32 = 1_000 + 100 * 30;
/// Sockets of one address that ask to be let in, and how many are.
const KNOCKING: u8 = 150;
const LET_IN: usize = 100;
/// Sockets that take part and never read, and such that talk all the while.
const DEAF: u8 = 40;
const SHOUTING: u8 = 8;
/// How many BitTorrent clients of one address there are at most in one torrent.
const PER_TORRENT: u64 = 16;

/// What the pod may hold more than before at any time, in KiB: for each socket that does not read the 256 that its outbox has, the 132
/// of the WebSocket and the message that is being sent; for everything else, each attack's share of it, less than this.
const MEMORY_KIB: u64 = DEAF as u64 * (256 + 132 + 64) + 32 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_clients_of_the_tracker_are_bounded_and_honest_ones_meet() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let root = pod.root().await?;
        let mut torrents = Vec::new();
        for name in ["Wanted", "Beside it"] {
            let clip = std::fs::read(Clip::Tiny.path().await?)?;
            // The same bytes under two names are two torrents.
            let video = root.upload(&Upload::bytes(name, "tiny.mp4", clip)).await?;
            let video = root.video(&video.uuid).await?;
            torrents.push(text(&video, "/files/0/infoHash")?.parse::<InfoHash>()?);
        }
        let (wanted, beside) = (torrents[0], torrents[1]);
        let mut honest = Honest::begin(pod, wanted).await?;
        honest.beside("nobody else", async { Ok(()) }).await?;
        pod.forget_memory_peak()?;
        let before = pod.memory_kib()?;

        honest.beside("pretenders", pretenders(pod, wanted)).await?;
        honest.beside("too much at once", too_much(pod, beside)).await?;
        honest.beside("unknown torrents", unknown_torrents(pod)).await?;
        honest.beside("knocking", too_many_sockets(pod, beside)).await?;
        honest.beside("an HTTP flood", http_flood(pod, wanted)).await?;
        honest.beside("a UDP flood", udp_flood(pod, wanted)).await?;
        honest.beside("the deaf", never_reading(pod, wanted)).await?;
        honest.beside("shouting", shouting(pod, wanted)).await?;

        let more = pod.memory_peak_kib()?.saturating_sub(before);
        eprintln!("{more} KiB more memory at most, {MEMORY_KIB} allowed");
        ensure!(more < MEMORY_KIB, "{more} KiB more memory");
        honest.end().await
    })
    .await;
}

/// Somebody who claims to be others, or answers what was not offered.
async fn pretenders(pod: &Pod, torrent: InfoHash) -> anyhow::Result<Browser> {
    let mut stranger = Browser::connect(pod, 5, torrent).await?;
    let own = std::mem::replace(&mut stranger.id, honest::taker_id(0));
    let reason = stranger.refused(&stranger.announce(&[])).await?;
    ensure!(
        reason == "this peer id is in use by another connection",
        "{reason}"
    );
    // Nor is anybody made to leave: those who offer go on meeting this one.
    let stop = json!({ "action": "announce", "info_hash": stranger.hash, "peer_id": stranger.id, "event": "stopped" });
    stranger.ask(&stop).await?;

    stranger.id = own;
    stranger.ask(&stranger.announce(&[])).await?;
    let offered = stranger.hear_with("offer").await?;
    let (id, maker) = (text(&offered, "/offer_id")?, text(&offered, "/peer_id")?);
    let own = stranger.id.clone();
    let invented = "o".repeat(20);
    let taker = honest::taker_id(0);
    for (speaker, to, offer) in [
        (own.as_str(), taker.as_str(), invented.as_str()),
        (&own, maker, &invented),
        (&own, &taker, id),
        (&taker, maker, id),
        (maker, &own, id),
    ] {
        let reason = stranger.refused(&stranger.answer(speaker, to, offer)).await?;
        ensure!(
            reason.contains("offer") || reason.contains("take part"),
            "{reason}"
        );
    }
    // The offer may be answered, once.
    stranger.say(&stranger.answer(&own, maker, id)).await?;
    let again = stranger.refused(&stranger.answer(&own, maker, id)).await?;
    ensure!(
        again == "no such offer is waiting for an answer of this peer",
        "{again}"
    );
    Ok(stranger)
}

/// A thousand offers, descriptions and messages that are too long, senseless texts.
async fn too_much(pod: &Pod, torrent: InfoHash) -> anyhow::Result<Vec<Browser>> {
    let mut listeners = Vec::new();
    for number in 0..15_u8 {
        let mut listener = Browser::connect(pod, 6, torrent).await?;
        listener.id = format!("-XX0000-listener{number:04}");
        listener.ask(&listener.announce(&[])).await?;
        listeners.push(listener);
    }
    let mut loud = Browser::connect(pod, 7, torrent).await?;
    let thousand: Vec<_> = (0..1_000)
        .map(|number| json!({ "offer": {}, "offer_id": format!("{number:020}") }))
        .collect();
    let reply = loud.ask(&loud.announce(&thousand)).await?;
    ensure!(reply.get("complete").is_some(), "{reply}");
    let mut heard = 0;
    for _ in 0..3 {
        for listener in &mut listeners {
            heard += listener.offers_before_reply().await?;
        }
    }
    ensure!(
        (1..=MAX_OFFERS).contains(&heard),
        "{heard} of a thousand offers were relayed"
    );

    let long = loud.announce(&[offer(&"l".repeat(20), SESSION_MAX)]);
    let reason = loud.refused(&long).await?;
    ensure!(reason.contains("session description"), "{reason}");
    for senseless in [
        "",
        "[[[[[[",
        "null",
        "{\"action\":7}",
        "\u{0}",
        &"[".repeat(MAX_MESSAGE_LEN),
    ] {
        loud.socket.send(Message::text(senseless.to_owned())).await?;
        let reply = loud.hear().await?;
        ensure!(reply["action"] == "announce", "{reply}");
        ensure!(
            reply.get("failure reason").is_some() && reply.to_string().len() < 512,
            "{reply}"
        );
    }
    let megabyte = loud.announce(&[offer(&"m".repeat(20), 1 << 20)]);
    loud.ends_on(&megabyte)
        .await
        .context("a megabyte in one message is borne")?;
    Ok(listeners)
}

/// A hundred thousand torrents that this pod does not have.
async fn unknown_torrents(pod: &Pod) -> anyhow::Result<()> {
    const SPEAKERS: usize = 4;
    let swarms = figure(pod, "seedpod_tracker_swarms").await?;
    let mut speakers = JoinSet::new();
    for speaker in 0..SPEAKERS {
        let browser = Browser::connect(pod, 8, InfoHash::from_bytes([0; 20])).await?;
        speakers.spawn(ask_for_unknown(
            browser,
            speaker * UNKNOWN / SPEAKERS,
            UNKNOWN / SPEAKERS,
        ));
    }
    while let Some(asked) = speakers.join_next().await {
        asked??;
    }
    let left = figure(pod, "seedpod_tracker_swarms").await?;
    ensure!(left == swarms, "{swarms} swarms before, {left} after");
    Ok(())
}

async fn ask_for_unknown(browser: Browser, first: usize, count: usize) -> anyhow::Result<()> {
    let (mut sink, mut stream) = browser.socket.split();
    let id = browser.id;
    let asking = tokio::spawn(async move {
        for number in first..first + count {
            let text = format!(
                r#"{{"action":"announce","info_hash":"{number:020}","peer_id":"{id}","left":1,"offers":[]}}"#
            );
            sink.feed(Message::text(text)).await?;
        }
        sink.flush().await
    });
    for number in first..first + count {
        let heard = tokio::time::timeout(SOON, stream.next())
            .await
            .context("silence")?;
        let Some(Message::Text(reply)) = heard.transpose()? else {
            bail!("the tracker has had enough after {number}");
        };
        ensure!(reply.len() < 200, "{reply}");
        ensure!(reply.contains(&format!("{number:020}")), "{reply}");
        ensure!(
            reply.contains("this tracker does not serve that torrent"),
            "{reply}"
        );
    }
    asking.await??;
    Ok(())
}

/// More sockets than one address may have.
async fn too_many_sockets(pod: &Pod, torrent: InfoHash) -> anyhow::Result<Vec<Browser>> {
    let mut held = Vec::new();
    for number in 0..KNOCKING {
        let mut one = Browser::connect(pod, 9, torrent).await?;
        one.id = format!("-XX0000-knocking{number:04}");
        // One too many is told so, and closed.
        if one.ask(&one.announce(&[])).await.is_ok() {
            held.push(one);
        }
    }
    ensure!(held.len() == LET_IN, "{} of {KNOCKING} were let in", held.len());
    Ok(held)
}

/// Unknown torrents, a thousand ports of one address, wishes without measure, queries without end.
async fn http_flood(pod: &Pod, torrent: InfoHash) -> anyhow::Result<Vec<Client>> {
    const SPEAKERS: usize = 8;
    let refused = "this tracker does not serve that torrent";
    let flooding = (0..SPEAKERS).map(|speaker| async move {
        let mut client = Client::connect(pod, 10).await?;
        for number in (speaker..UNKNOWN_HTTP).step_by(SPEAKERS) {
            let query = format!("info_hash={number:020}&peer_id={number:020}&port=6881&left=1");
            let body = client.get(&format!("/tracker/announce?{query}")).await?;
            ensure!(body.len() < 100 && body.contains(refused), "{body}");
        }
        anyhow::Ok(client)
    });
    let mut clients = try_join_all(flooding).await?;
    let client = &mut clients[0];

    let before = figure(pod, "seedpod_tracker_clients").await?;
    let hash = percent_encoded(torrent);
    for port in 1..=2_000_u64 {
        let query = format!("info_hash={hash}&peer_id={port:020}&port={port}&left=1&numwant=4294967295");
        let body = client.get(&format!("/tracker/announce?{query}")).await?;
        ensure!(body.len() < 2_000, "{} bytes", body.len());
        let refused = body.contains("too many peers from this address");
        ensure!(refused == (port > PER_TORRENT), "port {port}: {body}");
    }
    let more = figure(pod, "seedpod_tracker_clients").await? - before;
    ensure!(more <= PER_TORRENT, "{more} clients more");

    let scraped = vec![format!("info_hash={hash}"); 80].join("&");
    for (query, complaint) in [
        (
            format!("announce?{}", "a".repeat(http::MAX_QUERY_LEN + 1)),
            "at most",
        ),
        (
            format!("announce?info_hash={hash}&info_hash={hash}"),
            "more than one",
        ),
        (
            format!("announce?info_hash={}", "%00".repeat(2_000)),
            "expected 20",
        ),
        (format!("scrape?{scraped}"), "more than"),
    ] {
        let body = client.get(&format!("/tracker/{query}")).await?;
        ensure!(
            body.contains("failure reason") && body.contains(complaint),
            "{body}"
        );
    }
    Ok(clients)
}

/// Packets that are none, guessed connection ids, and a thousand ports of one address.
async fn udp_flood(pod: &Pod, torrent: InfoHash) -> anyhow::Result<()> {
    const BATCH: u32 = 64;
    let flooder = UdpClient::bind(pod, [127, 11, 0, 1]).await?;
    let announce = |connection, number: u32, port| {
        let announce = UdpAnnounce {
            info_hash: torrent,
            peer_id: PeerId::from_bytes([9; 20]),
            left: 1,
            event: Event::Started,
            numwant: usize::MAX,
            port,
        };
        let transaction = number.to_be_bytes();
        Request::Announce {
            connection,
            transaction,
            announce,
        }
        .encode()
    };
    let clients = figure(pod, "seedpod_tracker_clients").await?;
    let mut beside = UdpClient::bind(pod, [127, 11, 2, 1]).await?;
    let mut answered = 0;
    let mut sent = HashMap::new();
    let mut answer = vec![0; 4096];
    for number in 0..PACKETS {
        let whole = announce(*b"guessed!", number, 6881);
        let cut = if number % 2 == 0 {
            whole.len()
        } else {
            number as usize % whole.len()
        };
        sent.insert(number, cut);
        flooder.socket.send(&whole[..cut]).await?;
        if number % BATCH == 0 {
            // Whoever is answered now came after all of them: none gets lost in the system.
            beside.connection().await?;
        }
        while let Ok(length) = flooder.socket.try_recv(&mut answer) {
            let number: [u8; 4] = answer[4..8].try_into()?;
            let asked = sent[&u32::from_be_bytes(number)];
            ensure!(
                length <= asked,
                "{length} bytes for {asked} that anybody may have sent"
            );
            answered += 1;
        }
    }
    eprintln!("{answered} of {PACKETS} packets of a flood were answered");
    ensure!(answered <= PACKETS_ANSWERED, "{answered} answers");
    ensure!(
        figure(pod, "seedpod_tracker_clients").await? == clients,
        "they left something behind"
    );

    // Somebody who may speak for the address, and does for too many.
    let mut speaker = UdpClient::bind(pod, [127, 11, 1, 1]).await?;
    let connection = speaker.connection().await?;
    for port in 1..=200 {
        speaker
            .socket
            .send(&announce(connection, u32::from(port), port))
            .await?;
        while let Ok(length) = speaker.socket.try_recv(&mut answer) {
            ensure!(length <= 1_232, "{length} bytes");
        }
    }
    speaker.asked(&announce(connection, 0, 201)).await?;
    let more = figure(pod, "seedpod_tracker_clients").await? - clients;
    ensure!(more <= PER_TORRENT, "{more} clients more");
    Ok(())
}

/// Sockets that take part, are sent offers, and never read.
async fn never_reading(pod: &Pod, torrent: InfoHash) -> anyhow::Result<()> {
    let slow = figure(pod, "seedpod_tracker_slow_sockets_total").await?;
    let before = figure(pod, "seedpod_web_sockets").await?;
    let mut deaf = Vec::new();
    for number in 0..DEAF {
        let mut one = Browser::deaf(pod, 12, torrent).await?;
        one.id = format!("-XX0000-deaf{number:08}");
        one.say(&one.announce(&[])).await?;
        deaf.push(one);
    }
    // Somebody offers as much as fits into a message, again and again, until none of them is left. The same browser may not have
    // too many offers open, so it comes as somebody new each time.
    let mut talker = Browser::connect(pod, 13, torrent).await?;
    for round in 0_usize.. {
        let offers: Vec<_> = (0..3)
            .map(|turn| offer(&format!("d{round:017}{turn:02}"), SESSION_MAX - 100))
            .collect();
        talker.id = format!("-XX0000-talk{round:08}");
        talker.ask(&talker.announce(&offers)).await?;
        if round % 20 == 0 && figure(pod, "seedpod_web_sockets").await? <= before + 1 {
            break;
        }
        ensure!(round < 10_000, "some are still waited for");
    }
    let slow = figure(pod, "seedpod_tracker_slow_sockets_total").await? - slow;
    ensure!(slow > 0, "nobody was dropped for not reading");
    Ok(())
}

/// Sockets that talk and never read: what is answered to them has nowhere to go.
async fn shouting(pod: &Pod, torrent: InfoHash) -> anyhow::Result<()> {
    let before = figure(pod, "seedpod_web_sockets").await?;
    let mut shouting = JoinSet::new();
    for number in 0..SHOUTING {
        let mut one = Browser::deaf(pod, 14, torrent).await?;
        one.id = format!("-XX0000-loud{number:08}");
        let text = one.announce(&[]).to_string();
        shouting.spawn(async move {
            let end = async { while one.socket.send(Message::text(text.clone())).await.is_ok() {} };
            tokio::time::timeout(SOON, end).await
        });
    }
    while let Some(shouted) = shouting.join_next().await {
        shouted?.context("one is heard for ever")?;
    }
    eventually("they are forgotten", SOON, async || {
        let open = figure(pod, "seedpod_web_sockets").await?;
        ensure!(open <= before, "{before} sockets before, {open} now");
        Ok(())
    })
    .await
}

/// A figure without labels, of those that `/metrics` shows.
async fn figure(pod: &Pod, name: &str) -> anyhow::Result<u64> {
    let page = pod.visitor().get("/metrics").await?.status(200)?.text_whole();
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line
        .with_context(|| format!("no figure {name}"))?
        .trim()
        .parse()?)
}

fn percent_encoded(torrent: InfoHash) -> String {
    torrent
        .as_bytes()
        .iter()
        .map(|byte| format!("%{byte:02X}"))
        .collect()
}
