//! Browsers: they announce with offers, answer what they are offered, and wait until all their own offers are answered.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::future::try_join_all;
use futures::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::server::Server;
use crate::{Figures, Meter, torrent};

/// Browsers of one address; a pod allows 100.
const PER_ADDRESS: usize = 100;
/// Browsers that come at once; with ten in a torrent, five torrents.
const GROUP: usize = 50;
/// Browsers of one torrent when they gather.
const SWARM: usize = 10;
/// An answer that has not come by then is lost.
const LOST: Duration = Duration::from_secs(5);
/// Length of a session description, in characters.
const SDP: usize = 550;
/// What a browser sets aside for reading, in bytes: thousands of them are one process here.
const BUFFER: usize = 4096;

/// Who announces.
pub(crate) struct Crowd {
    pub(crate) browsers: usize,
    pub(crate) swarms: usize,
    /// Offers of each announce.
    pub(crate) offers: usize,
}

/// Lets a crowd announce for so long, again and again.
pub(crate) async fn announce(server: &Server, crowd: &Crowd, time: Duration) -> anyhow::Result<Figures> {
    let mut browsers = Vec::new();
    for first in (0..crowd.browsers).step_by(GROUP) {
        let group = first..(first + GROUP).min(crowd.browsers);
        browsers.extend(come(server, group.map(|number| (number, number % crowd.swarms))).await?);
    }
    let meter = Meter::begin(server)?;
    let (_, answered, lost) = talk(browsers, crowd.offers, Some(Instant::now() + time)).await?;
    meter.end(answered, lost)
}

/// Lets browsers come, ten to a torrent, of which each announces with five offers, and stay.
pub(crate) async fn gather(server: &Server, count: usize) -> anyhow::Result<Vec<impl Sized>> {
    let mut staying = Vec::with_capacity(count);
    for first in (0..count).step_by(GROUP) {
        let group = first..(first + GROUP).min(count);
        let browsers = come(server, group.map(|number| (number, number / SWARM))).await?;
        let (browsers, _, lost) = talk(browsers, 5, None).await?;
        anyhow::ensure!(lost == 0, "{lost} offers are not answered");
        staying.extend(browsers);
    }
    Ok(staying)
}

/// Connects browsers and has each announce, so that they know of each other.
async fn come(server: &Server, who: impl Iterator<Item = (usize, usize)>) -> anyhow::Result<Vec<Browser>> {
    try_join_all(who.map(|(number, swarm)| async move {
        let mut browser = Browser::connect(server, number, swarm).await?;
        browser.announce(0, 0).await?;
        while browser.hear().await? != Heard::Reply {}
        anyhow::Ok(browser)
    }))
    .await
}

/// Lets browsers announce until the end, or once, and gives how long each announce took and how many offers were lost.
async fn talk(
    browsers: Vec<Browser>,
    offers: usize,
    end: Option<Instant>,
) -> anyhow::Result<(Vec<Browser>, Vec<Duration>, usize)> {
    let waiting = Arc::new(AtomicUsize::new(browsers.len()));
    let (over, is_over) = watch::channel(false);
    let over = Arc::new(over);
    let talking = browsers.into_iter().map(|mut browser| {
        let (waiting, over, mut is_over) = (Arc::clone(&waiting), Arc::clone(&over), is_over.clone());
        tokio::spawn(async move {
            let (mut answered, mut lost) = (Vec::new(), 0);
            loop {
                let begun = Instant::now();
                lost += browser.announce_and_wait(answered.len() + 1, offers).await?;
                answered.push(begun.elapsed());
                if end.is_none_or(|end| Instant::now() >= end) {
                    break;
                }
            }
            if waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
                over.send_replace(true);
            }
            // Others still offer.
            loop {
                tokio::select! {
                    biased;
                    _ = is_over.wait_for(|over| *over) => return anyhow::Ok((browser, answered, lost)),
                    heard = browser.hear() => heard?,
                };
            }
        })
    });
    let (mut browsers, mut answered, mut lost) = (Vec::new(), Vec::new(), 0);
    for talked in try_join_all(talking).await? {
        let (browser, took, missed) = talked?;
        browsers.push(browser);
        answered.extend(took);
        lost += missed;
    }
    Ok((browsers, answered, lost))
}

/// What the tracker said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// The reply to an announce.
    Reply,
    /// The answer to an offer of this turn.
    Answer(usize),
    /// Something else: an offer, which was answered.
    Other,
}

/// A message of the tracker, as far as it matters here.
#[derive(Deserialize)]
struct Text<'a> {
    #[serde(default, borrow)]
    offer: Option<&'a RawValue>,
    #[serde(default, borrow)]
    answer: Option<&'a RawValue>,
    #[serde(default, borrow)]
    peer_id: Option<&'a str>,
    #[serde(default, borrow)]
    offer_id: Option<&'a str>,
    #[serde(default)]
    interval: Option<u32>,
    #[serde(default, rename = "failure reason")]
    failure: Option<String>,
}

struct Browser {
    socket: WebSocketStream<TcpStream>,
    id: String,
    /// The info hash, as JSON.
    hash: String,
    sdp: String,
}

impl Browser {
    async fn connect(server: &Server, number: usize, swarm: usize) -> anyhow::Result<Self> {
        let address = u8::try_from(number / PER_ADDRESS).context("more addresses than were thought of")?;
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((Ipv4Addr::new(127, 3, address, 1), 0)))?;
        let stream = socket.connect(server.address()).await?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(0);
        let url = format!("ws://{}/tracker/socket", server.address());
        let (socket, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await?;
        // A character for each byte, as browsers write it.
        let hash: String = torrent(swarm).into_iter().map(char::from).collect();
        Ok(Self {
            socket,
            id: format!("-WW0201-{number:012}"),
            hash: serde_json::to_string(&hash)?,
            sdp: "a=candidate ".repeat(SDP / 12 + 1)[..SDP].to_owned(),
        })
    }

    async fn announce(&mut self, turn: usize, offers: usize) -> anyhow::Result<()> {
        let list: Vec<String> = (0..offers)
            .map(|number| {
                let sdp = &self.sdp;
                format!(r#"{{"offer":{{"type":"offer","sdp":"{sdp}"}},"offer_id":"{turn:016}{number:04}"}}"#)
            })
            .collect();
        let (hash, id, list) = (&self.hash, &self.id, list.join(","));
        self.say(format!(
            r#"{{"action":"announce","info_hash":{hash},"peer_id":"{id}","uploaded":0,"downloaded":0,"left":1000000,"numwant":{offers},"offers":[{list}]}}"#
        ))
        .await
    }

    /// Announces and waits for the reply and all answers; how many answers did not come.
    async fn announce_and_wait(&mut self, turn: usize, offers: usize) -> anyhow::Result<usize> {
        self.announce(turn, offers).await?;
        let (mut replied, mut missing) = (false, offers);
        while !replied || missing > 0 {
            match timeout(LOST, self.hear()).await {
                Ok(heard) => match heard? {
                    Heard::Reply => replied = true,
                    Heard::Answer(of) if of == turn => missing -= 1,
                    Heard::Answer(_) | Heard::Other => {}
                },
                Err(_) if replied => break,
                Err(_) => bail!("no reply"),
            }
        }
        Ok(missing)
    }

    /// Hears one message; an offer is answered.
    async fn hear(&mut self) -> anyhow::Result<Heard> {
        loop {
            let Message::Text(heard) = self
                .socket
                .next()
                .await
                .context("the tracker closed the socket")??
            else {
                continue;
            };
            let text: Text<'_> = serde_json::from_str(&heard).with_context(|| heard.to_string())?;
            if let Some(reason) = text.failure {
                bail!("refused: {reason}");
            }
            if text.interval.is_some() {
                return Ok(Heard::Reply);
            }
            let offer_id = text.offer_id.context("no offer id")?;
            if text.answer.is_some() {
                return Ok(Heard::Answer(offer_id[..16].parse()?));
            }
            if text.offer.is_some() {
                let (hash, id, sdp) = (&self.hash, &self.id, &self.sdp);
                let to = text.peer_id.context("no peer id")?;
                let answer = format!(
                    r#"{{"action":"announce","info_hash":{hash},"peer_id":"{id}","to_peer_id":"{to}","answer":{{"type":"answer","sdp":"{sdp}"}},"offer_id":"{offer_id}"}}"#
                );
                self.say(answer).await?;
            }
            return Ok(Heard::Other);
        }
    }

    async fn say(&mut self, text: String) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::text(text)).await?)
    }
}
