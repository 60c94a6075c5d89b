//! What an idle WebSocket costs: resident memory of a pod with many of them open, and after they are gone.
//!
//! `scripts/bench-door sockets` builds what is needed and runs it; `SOCKETS` sets how many there are. They come from many addresses,
//! because the tracker grants each no more than 100.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{TestNet, eventually};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;

/// Sockets from one address.
const PER_ADDRESS: usize = 100;
/// Sockets opened at once.
const OPENING: usize = 50;

fn main() -> anyhow::Result<()> {
    // Without cargo's word for measuring, `cargo test --benches` only wants to know that it runs.
    let sockets = if std::env::args().any(|argument| argument == "--bench") {
        std::env::var("SOCKETS")
            .map_or(Ok(5000), |text| text.parse())
            .context("SOCKETS is not a number")?
    } else {
        10
    };
    tokio::runtime::Runtime::new()?.block_on(measure(sockets))
}

async fn measure(count: usize) -> anyhow::Result<()> {
    let net = TestNet::start(1).await?;
    let pod = net.pod(1);
    // What comes with the first visitors should not count.
    drop(open(pod, 0..PER_ADDRESS.min(count)).await?);
    until_open(pod, 0).await?;
    let before = pod.memory_kib()?;
    let mut sockets = Vec::with_capacity(count);
    let begun = std::time::Instant::now();
    for first in (0..count).step_by(OPENING) {
        sockets.extend(open(pod, first..(first + OPENING).min(count)).await?);
    }
    until_open(pod, count as u64).await?;
    let took = begun.elapsed();
    let during = pod.memory_kib()?;
    drop(sockets);
    until_open(pod, 0).await?;
    let after = pod.memory_kib()?;
    println!("{count} idle sockets, opened in {:.1} s:", took.as_secs_f64());
    println!(
        "  {before} KiB before, {during} KiB with them, {after} KiB after; {:.1} KiB for each",
        (during as f64 - before as f64) / count as f64
    );
    net.stop().await
}

async fn open(pod: &Pod, numbers: std::ops::Range<usize>) -> anyhow::Result<Vec<WebSocketStream<TcpStream>>> {
    try_join_all(numbers.map(|number| open_one(pod, number))).await
}

async fn open_one(pod: &Pod, number: usize) -> anyhow::Result<WebSocketStream<TcpStream>> {
    let host = pod.host();
    let port: u16 = host.rsplit_once(':').context("a host with a port")?.1.parse()?;
    let socket = TcpSocket::new_v4()?;
    let address = u8::try_from(number / PER_ADDRESS).context("more addresses than were thought of")?;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 2, address, 1), 0)))?;
    let stream = socket
        .connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .await?;
    let url = format!("ws://{host}/tracker/socket");
    Ok(tokio_tungstenite::client_async(url, stream).await?.0)
}

async fn until_open(pod: &Pod, count: u64) -> anyhow::Result<()> {
    eventually(
        "the pod counts the same sockets",
        Duration::from_secs(60),
        async || {
            let metrics = pod.visitor().get("/metrics").await?.status(200)?;
            let text = String::from_utf8(metrics.body)?;
            let gauge = |line: &str| {
                line.strip_prefix("seedpod_web_sockets ")?
                    .trim()
                    .parse::<u64>()
                    .ok()
            };
            let open = text.lines().find_map(gauge).context("a gauge of sockets")?;
            ensure!(open == count, "{open} sockets");
            Ok(())
        },
    )
    .await
}
