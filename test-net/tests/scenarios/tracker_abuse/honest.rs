//! Peers that only want to meet each other: one browser that comes again and again and offers, several that answer, a client over HTTP and
//! one over UDP. They go on until they are told to stop, and fail when one of them is not answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use seedpod_protocol::ids::InfoHash;
use seedpod_protocol::tracker::udp::{Request, UdpAnnounce};
use seedpod_protocol::tracker::{Event, MAX_OFFERS, PeerId};
use seedpod_test_net::process::Pod;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use super::peers::{Browser, Client, SOON, UdpClient, offer};
use super::percent_encoded;
use crate::steps::text;

/// Browsers that answer.
const TAKERS: usize = 10;
/// A browser that is not answered by then was heard by strangers alone, and comes again.
const DRAWN: Duration = Duration::from_secs(2);
/// How often clients ask. Over UDP an address may ask a hundred times a second.
const PACE: Duration = Duration::from_millis(50);

/// What they have come to so far.
#[derive(Debug, Clone, Copy, Default)]
struct Served {
    met: u64,
    over_http: u64,
    over_udp: u64,
    /// The longest that a browser waited for the reply to its announce since this was last asked.
    slowest: Duration,
}

/// Honest peers of one torrent.
pub(super) struct Honest {
    served: Arc<watch::Sender<Served>>,
    tasks: JoinSet<anyhow::Result<()>>,
}

/// What a browser that answers calls itself.
pub(super) fn taker_id(number: usize) -> String {
    format!("-XX0000-taker{number:07}")
}

impl Honest {
    pub(super) async fn begin(pod: &Pod, torrent: InfoHash) -> anyhow::Result<Self> {
        let served = Arc::new(watch::Sender::new(Served::default()));
        let mut tasks = JoinSet::new();
        for number in 0..TAKERS {
            let mut taker = Browser::connect(pod, 4, torrent).await?;
            taker.id = taker_id(number);
            taker.ask(&taker.announce(&[])).await?;
            tasks.spawn(async move { answer(taker).await.context("a browser that answers") });
        }
        let maker = Browser::connect(pod, 3, torrent).await?;
        let report = Arc::clone(&served);
        tasks.spawn(async move { offer_again(maker, &report).await.context("a browser that offers") });
        let client = Client::connect(pod, 2).await?;
        let report = Arc::clone(&served);
        tasks.spawn(async move {
            over_http(client, torrent, &report)
                .await
                .context("a client over HTTP")
        });
        let client = UdpClient::bind(pod, [127, 2, 0, 2]).await?;
        let report = Arc::clone(&served);
        tasks.spawn(async move {
            over_udp(client, torrent, &report)
                .await
                .context("a client over UDP")
        });
        Ok(Self { served, tasks })
    }

    /// Lets an attack go on until it is over and, with what it left open, until honest peers were served by all three ways since it began.
    pub(super) async fn beside<T>(
        &mut self,
        attack: &str,
        attacking: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<()> {
        self.served.send_modify(|served| served.slowest = Duration::ZERO);
        let (before, begun) = (*self.served.borrow(), Instant::now());
        let tasks = &mut self.tasks;
        let mut failed = std::pin::pin!(async move {
            match tasks.join_next().await {
                Some(Ok(Err(error))) => error,
                _ => anyhow!("a task of theirs ended"),
            }
        });
        let held = tokio::select! {
            attacked = attacking => attacked.with_context(|| attack.to_owned())?,
            error = &mut failed => return Err(error.context(format!("beside {attack}"))),
        };
        let took = begun.elapsed();
        let mut served = self.served.subscribe();
        let since = |now: &Served| {
            now.met >= before.met + 2
                && now.over_http >= before.over_http + 2
                && now.over_udp >= before.over_udp + 2
        };
        let going_on = tokio::select! {
            waited = timeout(SOON, served.wait_for(since)) => *waited.context("they do not meet any more")??,
            error = failed => return Err(error.context(format!("beside {attack}"))),
        };
        drop(held);
        eprintln!(
            "{attack}, {:.1} s: {} browsers met meanwhile, {} answers over HTTP, {} over UDP; the slowest reply took {:.0} ms",
            took.as_secs_f64(),
            going_on.met - before.met,
            going_on.over_http - before.over_http,
            going_on.over_udp - before.over_udp,
            going_on.slowest.as_secs_f64() * 1e3,
        );
        Ok(())
    }

    /// Lets them go.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        self.tasks.shutdown().await;
        Ok(())
    }
}

/// Comes, offers, hears an answer, and comes again as somebody new.
async fn offer_again(mut maker: Browser, served: &watch::Sender<Served>) -> anyhow::Result<()> {
    for turn in 0_u64.. {
        maker.id = format!("-XX0000-new{turn:09}");
        let offers: Vec<Value> = (0..MAX_OFFERS)
            .map(|number| offer(&format!("{turn:018}{number:02}"), 500))
            .collect();
        let begun = Instant::now();
        let reply = maker.ask(&maker.announce(&offers)).await?;
        ensure!(reply["complete"].is_u64(), "{reply}");
        let took = begun.elapsed();
        served.send_modify(|served| served.slowest = served.slowest.max(took));
        let this_turn = format!("{turn:018}");
        let answered = async {
            loop {
                let answer = maker.hear_with("answer").await?;
                let honest = text(&answer, "/peer_id")?.starts_with("-XX0000-taker");
                if honest && text(&answer, "/offer_id")?.starts_with(&this_turn) {
                    return anyhow::Ok(());
                }
            }
        };
        if let Ok(answered) = timeout(DRAWN, answered).await {
            answered?;
            served.send_modify(|served| served.met += 1);
        }
    }
    Ok(())
}

/// Answers every offer.
async fn answer(mut taker: Browser) -> anyhow::Result<()> {
    loop {
        // Those that hear nothing for long are only out of luck.
        let Ok(offered) = timeout(SOON / 2, taker.hear_with("offer")).await else {
            taker.ask(&taker.announce(&[])).await?;
            continue;
        };
        let offered = offered?;
        let (maker, id) = (text(&offered, "/peer_id")?, text(&offered, "/offer_id")?);
        let answer = taker.answer(&taker.id, maker, id);
        taker.say(&answer).await?;
    }
}

async fn over_http(
    mut client: Client,
    torrent: InfoHash,
    served: &watch::Sender<Served>,
) -> anyhow::Result<()> {
    let hash = percent_encoded(torrent);
    let path = format!("/tracker/announce?info_hash={hash}&peer_id=-XX0000-over-http-00&port=6881&left=1");
    let mut pace = interval(PACE);
    loop {
        pace.tick().await;
        let body = client.get(&path).await?;
        ensure!(body.starts_with("d8:complete"), "{body}");
        served.send_modify(|served| served.over_http += 1);
    }
}

async fn over_udp(
    mut client: UdpClient,
    torrent: InfoHash,
    served: &watch::Sender<Served>,
) -> anyhow::Result<()> {
    let mut pace = interval(PACE);
    for turn in 0_u32.. {
        pace.tick().await;
        let announce = Request::Announce {
            connection: client.connection().await?,
            transaction: turn.to_be_bytes(),
            announce: UdpAnnounce {
                info_hash: torrent,
                peer_id: PeerId::from_bytes(*b"-XX0000-over-udp-000"),
                left: 1,
                event: Event::Update,
                numwant: 10,
                port: 6882,
            },
        };
        let answer = client.asked(&announce.encode()).await?;
        ensure!(answer.starts_with(&1_u32.to_be_bytes()), "{answer:?}");
        served.send_modify(|served| served.over_udp += 1);
    }
    Ok(())
}
