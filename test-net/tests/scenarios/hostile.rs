//! Clients that want to keep a pod busy for ever: slow headers, slow bodies, slow readers. People beside them are served,
//! memory stays where it was, and the slow ones are gone within their deadlines.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::future::join_all;
use seedpod_test_net::api::Upload;
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{TestNet, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::steps::text;

/// Clients of each kind. Issue figures are 1,000 and more; this keeps a run of all scenarios short.
const CLIENTS: u16 = 300;

/// When the last of them must be gone: two windows of patience of 15 s each, and the time a busy machine needs.
const GONE: Duration = Duration::from_secs(60);

/// What the pod may hold more than before, in KiB, while they are all connected: three portions of 128 KiB for each reader,
/// and something for each connection.
const MEMORY_KIB: u64 = 160 * 1024;

/// Large enough not to fit into the buffers of a socket.
const PADDING: usize = 24 * 1024 * 1024;

#[tokio::test]
async fn slow_clients_are_outlived() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let file = upload_large(pod).await?;
        let quiet = honest_requests(pod, &file, 40).await?;
        let before = memory_kib(pod)?;

        let begun = Instant::now();
        let slow = (0..CLIENTS).flat_map(|number| {
            [
                tokio::spawn(until_closed(pod.host(), number, slow_header(), Some(b'a'))),
                tokio::spawn(until_closed(pod.host(), number, slow_body(), Some(b'b'))),
                tokio::spawn(until_closed(pod.host(), number, slow_reader(&file), None)),
            ]
        });
        let slow: Vec<_> = slow.collect();
        eventually("all of them are connected", Duration::from_secs(30), async || {
            let open = open_connections(pod).await?;
            ensure!(open >= u64::from(CLIENTS), "{open} connections");
            Ok(())
        })
        .await?;
        let busy = honest_requests(pod, &file, 40).await?;
        let during = memory_kib(pod)?;
        for ended in tokio::time::timeout(GONE, join_all(slow)).await.context("some are still served")? {
            ended??;
        }
        eprintln!(
            "{} slow clients gone after {:.0} s; honest p99 {:.1} ms, {:.1} ms when quiet; {} KiB more memory",
            3 * CLIENTS,
            begun.elapsed().as_secs_f64(),
            busy.as_secs_f64() * 1e3,
            quiet.as_secs_f64() * 1e3,
            during.saturating_sub(before),
        );
        ensure!(during < before + MEMORY_KIB, "{before} KiB before, {during} KiB with them");
        honest_requests(pod, &file, 5).await?;
        Ok(())
    })
    .await;
}

/// Uploads a clip that is padded to some size in a way that players skip, and answers its path on the pod.
async fn upload_large(pod: &Pod) -> anyhow::Result<String> {
    let mut bytes = tokio::fs::read(Clip::Mp4.path().await?).await?;
    let length = u32::try_from(PADDING)?;
    bytes.extend(length.to_be_bytes());
    bytes.extend(b"free");
    bytes.resize(bytes.len() + PADDING - 8, 0);
    let root = pod.root().await?;
    let video = root.upload(&Upload::bytes("Long", "long.mp4", bytes)).await?;
    let seen = root.video(&video.uuid).await?;
    let url = text(&seen, "/files/0/fileUrl")?;
    Ok(url.replacen(&pod.url(), "", 1))
}

/// What a person does meanwhile; every answer must be right. Returns how long the slowest of a hundred took.
async fn honest_requests(pod: &Pod, file: &str, count: usize) -> anyhow::Result<Duration> {
    let visitor = pod.visitor();
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let begun = Instant::now();
        visitor.get("/api/v1/videos").await?.status(200)?;
        let part = visitor.get_range(file, "bytes=1000-65999").await?.status(206)?;
        ensure!(part.header("content-length") == "65000");
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    Ok(took[(took.len() * 99 / 100).min(took.len() - 1)])
}

fn slow_header() -> Vec<u8> {
    b"GET / HTTP/1.1\r\nhost: pod\r\nx-slow: ".to_vec()
}

fn slow_body() -> Vec<u8> {
    b"POST /api/v1/users/token HTTP/1.1\r\nhost: pod\r\ncontent-length: 5000\r\n\
      content-type: application/x-www-form-urlencoded\r\n\r\nusername="
        .to_vec()
}

fn slow_reader(file: &str) -> Vec<u8> {
    format!("GET {file} HTTP/1.1\r\nhost: pod\r\nrange: bytes=0-\r\n\r\n").into_bytes()
}

/// Connects from an address of its own, sends the beginning of a request, and then either a byte now and then or
/// nothing, until the pod closes the connection. One that only reads takes nothing before that.
async fn until_closed(host: String, number: u16, request: Vec<u8>, drip: Option<u8>) -> anyhow::Result<()> {
    let port = host.rsplit_once(':').context("a host with a port")?.1.parse()?;
    let socket = TcpSocket::new_v4()?;
    let [high, low] = number.to_be_bytes();
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 1, high, low), 0)))?;
    let mut stream = socket
        .connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .await?;
    stream.write_all(&request).await?;
    let mut pace = tokio::time::interval(Duration::from_millis(500));
    loop {
        pace.tick().await;
        if let Some(byte) = drip {
            if stream.write_all(&[byte]).await.is_err() || closed(&mut stream).await {
                return Ok(());
            }
        } else if stream
            .ready(tokio::io::Interest::ERROR | tokio::io::Interest::READABLE)
            .await?
            .is_read_closed()
        {
            return Ok(());
        }
    }
}

/// Whether the other side has closed; what it said before that is thrown away.
async fn closed(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 4096];
    let read = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut answer)).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

async fn open_connections(pod: &Pod) -> anyhow::Result<u64> {
    let answer = pod.visitor().get("/metrics").await?.status(200)?;
    let metrics = String::from_utf8(answer.body)?;
    let gauge = |line: &str| Some(line.strip_prefix("seedpod_web_connections ")?.trim().parse());
    Ok(metrics
        .lines()
        .find_map(gauge)
        .context("a gauge of connections")??)
}

/// Resident memory of the pod's process, in KiB.
fn memory_kib(pod: &Pod) -> anyhow::Result<u64> {
    let pid = pod.pid().context("a running pod")?;
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
