//! SIGTERM is a promise too: a pod that is told to stop under load ends with 0 within [`STOPPED`], says goodbye to its sockets,
//! and has everything that it answered when it starts again.
//!
//! `CYCLES` (stops, default [`DEFAULT_CYCLES`]) and `SEED` are settable.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::{join_all, try_join_all};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use seedpod_test_net::api::{Api, Upload};
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{Options, TestNet, eventually};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::steps::{padded_clip, text};

/// Stops in an ordinary run of the tests.
const DEFAULT_CYCLES: u64 = 20;
/// The longest time from the signal to the end.
const STOPPED: Duration = Duration::from_secs(10);
/// One stop in so many has a download that nobody reads, which the pod must not wait for.
const HELD_EVERY: u64 = 5;
/// The longest time from the first write of a cycle to its signal.
const LONGEST_LIFE: Duration = Duration::from_millis(1200);
/// Videos that are kept; above it, writers remove.
const VIDEOS_MAX: usize = 20;
const WRITERS: usize = 3;
const READERS: usize = 4;
const SOCKETS: usize = 20;
/// Large enough not to fit into the buffers of a connection.
const PADDING: usize = 24 * 1024 * 1024;

/// What is known of one video; a write that was sent and not answered may have happened or not.
#[derive(Debug, Clone, Default)]
struct Known {
    name: String,
    maybe_name: Option<String>,
    maybe_removed: bool,
    removed: bool,
}

/// What the pod has answered, kept outside of it.
#[derive(Debug, Default)]
struct Ledger {
    videos: BTreeMap<String, Known>,
    answered: u64,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number"))
    })
}

#[tokio::test]
async fn a_pod_that_is_told_to_stop_under_load_ends_in_order_and_loses_nothing() {
    let (cycles, seed) = (
        number("CYCLES", DEFAULT_CYCLES),
        number("SEED", rand::random::<u32>().into()),
    );
    eprintln!("shutdown: {cycles} cycles, SEED={seed}");
    TestNet::scenario_with(Options::new(1), async |net| {
        let pod = net.pod(1);
        let root = pod.root().await?;
        let large = root
            .upload(&Upload::bytes("Long", "long.mp4", padded_clip(PADDING).await?))
            .await?;
        let file = text(&root.video(&large.uuid).await?, "/files/0/fileUrl")?.replacen(&pod.url(), "", 1);
        let clip = std::fs::read(Clip::Tiny.path().await?)?;
        let ledger = Mutex::new(Ledger::default());
        let mut dice = StdRng::seed_from_u64(seed);
        let mut longest = Duration::ZERO;
        for cycle in 1..=cycles {
            let load = Load {
                pod,
                clip: &clip,
                file: &file,
                ledger: &ledger,
                held: cycle % HELD_EVERY == 0,
            };
            let took = load
                .stop_under_it(dice.random_range(Duration::ZERO..LONGEST_LIFE), dice.random())
                .await
                .with_context(|| format!("cycle {cycle}, SEED={seed}"))?;
            longest = longest.max(took);
            pod.start().await?;
            check(pod, &ledger)
                .await
                .with_context(|| format!("after cycle {cycle}, SEED={seed}"))?;
        }
        let answered = lock(&ledger).answered;
        eprintln!("shutdown: {cycles} stops, the longest {longest:?}; {answered} answered writes, none lost");
        ensure!(
            answered >= cycles,
            "only {answered} writes were answered, nothing was tried"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_second_signal_ends_a_pod_that_waits_for_somebody() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let root = pod.root().await?;
        let video = root
            .upload(&Upload::bytes("Long", "long.mp4", padded_clip(PADDING).await?))
            .await?;
        let file = text(&root.video(&video.uuid).await?, "/files/0/fileUrl")?.replacen(&pod.url(), "", 1);
        let held = begin_download(pod, &file).await?;
        pod.terminate()?;
        eventually("it takes nobody new", Duration::from_secs(5), async || {
            ensure!(TcpStream::connect(pod.host()).await.is_err(), "it still listens");
            Ok(())
        })
        .await?;
        // Two signals within a second are one wish: `timeout` sends its own to a whole group.
        let begun = Instant::now();
        let status = loop {
            pod.terminate()?;
            if let Ok(status) = tokio::time::timeout(Duration::from_millis(100), pod.ended()).await {
                break status.context("nobody saw how it ended")?;
            }
        };
        ensure!(status.code() == Some(1), "it ended with {status}");
        ensure!(
            begun.elapsed() < Duration::from_secs(4),
            "it took {:?}",
            begun.elapsed()
        );
        drop(held);
        pod.start().await?;
        pod.visitor().video(&video.uuid).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_pod_may_be_stopped_while_it_starts() {
    let seed = number("SEED", rand::random::<u32>().into());
    eprintln!("stops while starting: SEED={seed}");
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let mut dice = StdRng::seed_from_u64(seed);
        for _ in 0..DEFAULT_CYCLES {
            pod.stop().await?;
            let lines = pod.lines_written();
            let life = dice.random_range(Duration::ZERO..Duration::from_millis(400));
            let ready = tokio::time::timeout(life, pod.start()).await.is_ok();
            if pod.pid().is_none() {
                bail!("it ended by itself");
            }
            let begun = Instant::now();
            pod.terminate()?;
            let status = pod.ended().await.context("nobody saw how it ended")?;
            // Before it listens for signals it has not begun anything, its log neither.
            let at_once = status.signal() == Some(15) && pod.lines_written() == lines;
            ensure!(
                status.success() || at_once,
                "{status} after {life:?}, ready: {ready}"
            );
            ensure!(begun.elapsed() < STOPPED, "it took {:?}", begun.elapsed());
        }
        pod.start().await?;
        pod.root().await?;
        Ok(())
    })
    .await;
}

fn lock(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().expect("no writer panics while it notes something")
}

/// What goes on at a pod while it is told to stop.
struct Load<'a> {
    pod: &'a Pod,
    clip: &'a [u8],
    file: &'a str,
    ledger: &'a Mutex<Ledger>,
    held: bool,
}

impl Load<'_> {
    /// Lets everybody begin, sends the signal after a while and gives the time until the end.
    async fn stop_under_it(&self, life: Duration, seed: u64) -> anyhow::Result<Duration> {
        let root = self.pod.root().await?;
        let sockets = try_join_all((0..SOCKETS).map(|_| open_socket(self.pod))).await?;
        let held = match self.held {
            true => Some(begin_download(self.pod, self.file).await?),
            false => None,
        };
        let goodbyes = join_all(sockets.into_iter().map(last_word));
        let writers =
            join_all((0..WRITERS as u64).map(|writer| self.write(&root, seed.wrapping_add(writer))));
        let readers = join_all((0..READERS).map(|_| self.read()));
        let streams = self.read_streams();
        let stop = async {
            // Not a wait for anything: the moment is left to chance.
            let _ = tokio::time::timeout(life, std::future::pending::<()>()).await;
            let begun = Instant::now();
            self.pod.terminate()?;
            let status = tokio::time::timeout(2 * STOPPED, self.pod.ended()).await;
            let status = status
                .context("it does not end")?
                .context("nobody saw how it ended")?;
            anyhow::Ok((status, begun.elapsed()))
        };
        let (stopped, goodbyes, _, _, ()) = tokio::join!(stop, goodbyes, writers, readers, streams);
        drop(held);
        let (status, took) = stopped?;
        ensure!(status.success(), "it ended with {status}");
        ensure!(took < STOPPED, "it took {took:?}");
        for code in goodbyes {
            ensure!(code == Some(CloseCode::Away), "a socket was left with {code:?}");
        }
        Ok(took)
    }

    /// Writes until the pod is gone.
    async fn write(&self, root: &Api, seed: u64) -> anyhow::Result<()> {
        let mut dice = StdRng::seed_from_u64(seed);
        loop {
            self.write_once(root, &mut dice).await?;
            lock(self.ledger).answered += 1;
        }
    }

    async fn write_once(&self, root: &Api, dice: &mut StdRng) -> anyhow::Result<()> {
        let name = format!("video {:08x}", dice.random::<u32>());
        let change = |uuid: &str, change: &dyn Fn(&mut Known)| {
            change(lock(self.ledger).videos.entry(uuid.to_owned()).or_default());
        };
        match self.choose(dice) {
            None => {
                let upload = Upload::bytes(&name, "clip.mp4", self.clip.to_vec());
                let video = root.upload(&upload).await?;
                change(&video.uuid, &|known| known.name.clone_from(&name));
            }
            Some(uuid) if dice.random() => {
                change(&uuid, &|known| known.maybe_name = Some(name.clone()));
                let path = format!("/api/v1/videos/{uuid}");
                root.put(&path, &json!({ "name": name })).await?.status(204)?;
                change(&uuid, &|known| {
                    known.name.clone_from(&name);
                    known.maybe_name = None;
                });
            }
            Some(uuid) => {
                change(&uuid, &|known| known.maybe_removed = true);
                root.delete(&format!("/api/v1/videos/{uuid}"))
                    .await?
                    .status(204)?;
                change(&uuid, &|known| known.removed = true);
            }
        }
        Ok(())
    }

    /// A video to change, or none if there should be one more. A video belongs to one writer at a time.
    fn choose(&self, dice: &mut StdRng) -> Option<String> {
        let ledger = lock(self.ledger);
        let certain: Vec<&String> = ledger
            .videos
            .iter()
            .filter(|(_, known)| !known.maybe_removed && known.maybe_name.is_none())
            .map(|(uuid, _)| uuid)
            .collect();
        let add = certain.is_empty() || (certain.len() < VIDEOS_MAX && dice.random_bool(0.5));
        (!add).then(|| certain[dice.random_range(0..certain.len())].clone())
    }

    /// Reads the large file over and over until the pod is gone.
    async fn read(&self) -> anyhow::Result<()> {
        let visitor = self.pod.visitor();
        loop {
            visitor
                .get_range(self.file, "bytes=1000-4000000")
                .await?
                .status(206)?;
        }
    }

    /// The same over HTTP/2, several at once on one connection.
    async fn read_streams(&self) {
        let reading = async {
            let socket = TcpStream::connect(self.pod.host()).await?;
            let (client, connection) = h2::client::handshake(socket).await?;
            let streams = join_all((0..READERS).map(|_| self.read_stream(client.clone())));
            let _ = tokio::join!(connection, streams);
            anyhow::Ok(())
        };
        let _ = reading.await;
    }

    async fn read_stream(&self, mut client: h2::client::SendRequest<Bytes>) -> anyhow::Result<()> {
        loop {
            client = client.ready().await?;
            let request = http::Request::get(format!("{}{}", self.pod.url(), self.file))
                .header("range", "bytes=1000-1000000")
                .body(())?;
            let (response, _) = client.send_request(request, true)?;
            let mut body = response.await?.into_body();
            while let Some(chunk) = body.data().await {
                let length = chunk?.len();
                body.flow_control().release_capacity(length)?;
            }
        }
    }
}

/// Begins to download a file, and reads next to nothing of it.
async fn begin_download(pod: &Pod, file: &str) -> anyhow::Result<TcpStream> {
    let mut socket = TcpStream::connect(pod.host()).await?;
    let request = format!("GET {file} HTTP/1.1\r\nhost: pod\r\nrange: bytes=0-\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut first = [0; 12];
    socket.read_exact(&mut first).await?;
    ensure!(&first == b"HTTP/1.1 206", "the download does not begin");
    Ok(socket)
}

type Socket = tokio_tungstenite::WebSocketStream<TcpStream>;

async fn open_socket(pod: &Pod) -> anyhow::Result<Socket> {
    let stream = TcpStream::connect(pod.host()).await?;
    let url = format!("ws://{}/tracker/socket", pod.host());
    let (socket, _) = tokio_tungstenite::client_async(url, stream).await?;
    Ok(socket)
}

/// Why a socket was closed, when it was.
async fn last_word(mut socket: Socket) -> Option<CloseCode> {
    let mut code = None;
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Close(frame) = message {
            code = frame.map(|frame| frame.code);
        }
    }
    code
}

/// Compares a pod that was started again with what it had answered, and settles what was open.
async fn check(pod: &Pod, ledger: &Mutex<Ledger>) -> anyhow::Result<()> {
    let visitor = pod.visitor();
    let videos = std::mem::take(&mut lock(ledger).videos);
    for (uuid, known) in videos {
        let answer = visitor
            .get(&format!("/api/v1/videos/{uuid}"))
            .await?
            .status_in(&[200, 404])?;
        if answer.status == 404 {
            ensure!(known.maybe_removed, "the video {uuid} is gone: {known:?}");
            continue;
        }
        ensure!(!known.removed, "the video {uuid} is back: {known:?}");
        let video: serde_json::Value = answer.json()?;
        let name = text(&video, "/name")?.to_owned();
        ensure!(
            name == known.name || Some(&name) == known.maybe_name.as_ref(),
            "the video {uuid} is called {name}: {known:?}"
        );
        let settled = Known {
            name,
            ..Known::default()
        };
        lock(ledger).videos.insert(uuid, settled);
    }
    Ok(())
}
