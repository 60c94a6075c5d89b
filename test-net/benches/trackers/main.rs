//! What trackers cost: processor time of the server for each announce, over WebSockets, HTTP and UDP, and its memory for each browser that
//! is connected. `scripts/bench-trackers` builds what is needed and runs it, beside opentracker and npm's bittorrent-tracker.
//!
//! Every row starts its server anew, as a process of its own, and asks it from one thread in closed loops: nobody says anything new before
//! what was said is answered. Server and load share the machine, so rates say little; the processor time of the server's process, in
//! it and in the system for it, is the measure.
//!
//! - WebSocket: 200 browsers in 20 torrents, each announcing with 5 offers of 550 bytes, all of which are answered, and waiting for the reply
//!   and the five answers; the same without offers. An offer whose answer has not come after 5 s is lost.
//! - Memory: 9,000 browsers in 900 torrents, each of which announced twice, the second time with 5 offers, all answered.
//! - HTTP: 32 connections from as many addresses, 100 torrents with 256 clients each, 50 of which are asked for; a new connection for each
//!   announce, or the same one. UDP: the same with 32 sockets.
//!
//! `SECONDS` sets how long each row takes, `SERVERS` (`seedpod,opentracker,npm`) and `ROWS` (`offers,bare,memory,http,kept,udp`) what is
//! measured, `PEERS` how many browsers there are when memory is. `BITTORRENT_TRACKER` names the folder in which npm installed the
//! package `bittorrent-tracker`; servers that are not there are left out. `PROGRAM` is another `seedpod` to compare with.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::time::Duration;

use anyhow::{Context, bail};
use seedpod_test_net::process::{memory_kib, processor_time};

use self::server::{Kind, Server};

mod http;
mod server;
mod udp;
mod websocket;

/// How many connections BitTorrent clients have, and from as many addresses.
const CLIENTS: usize = 32;
/// Their torrents.
const TORRENTS: usize = 100;
/// How many clients each connection speaks for in each torrent, by the port that it names.
const PORTS: usize = 8;
/// How many others a client wants to be told of.
const WANTED: usize = 50;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    Offers,
    Bare,
    Memory,
    Http,
    HttpKept,
    Udp,
}

impl Row {
    const ALL: [Self; 6] = [
        Self::Offers,
        Self::Bare,
        Self::Memory,
        Self::Http,
        Self::HttpKept,
        Self::Udp,
    ];

    fn parse(name: &str) -> anyhow::Result<Self> {
        Ok(match name {
            "offers" => Self::Offers,
            "bare" => Self::Bare,
            "memory" => Self::Memory,
            "http" => Self::Http,
            "kept" => Self::HttpKept,
            "udp" => Self::Udp,
            _ => bail!("no row `{name}`"),
        })
    }

    fn title(self) -> &'static str {
        match self {
            Self::Offers => "WebSocket, 5 offers answered",
            Self::Bare => "WebSocket, no offers",
            Self::Memory => "memory of WebSockets",
            Self::Http => "HTTP, new connections",
            Self::HttpKept => "HTTP, kept connections",
            Self::Udp => "UDP",
        }
    }

    /// What a pod must reach and is to reach: processor seconds for 100,000 announces, or KiB for a browser.
    fn aims(self) -> &'static str {
        match self {
            Self::Offers => "12 / 7",
            Self::Bare => "2.4 / 1.5",
            Self::Memory => "10 / 6",
            Self::Http => "4 / 1.3",
            Self::HttpKept => "",
            Self::Udp => "0.8 / 0.3",
        }
    }
}

/// How much is measured.
struct Plan {
    servers: Vec<Kind>,
    rows: Vec<Row>,
    time: Duration,
    /// Browsers connected when memory is measured.
    peers: usize,
    /// Browsers that announce otherwise, and their torrents.
    browsers: usize,
    swarms: usize,
}

impl Plan {
    fn from_environment() -> anyhow::Result<Self> {
        let list = |name: &str| {
            let text = std::env::var(name).ok()?;
            Some(
                text.split(',')
                    .map(|one| one.trim().to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        let number = |name: &str, default: f64| {
            let parsed = std::env::var(name).map_or(Ok(default), |text| text.parse());
            parsed.with_context(|| format!("{name} is not a number"))
        };
        let servers = list("SERVERS").map(|names| names.iter().map(|name| Kind::parse(name)).collect());
        let rows = list("ROWS").map(|names| names.iter().map(|name| Row::parse(name)).collect());
        Ok(Self {
            servers: servers.unwrap_or_else(|| Ok(Kind::ALL.to_vec()))?,
            rows: rows.unwrap_or_else(|| Ok(Row::ALL.to_vec()))?,
            time: Duration::from_secs_f64(number("SECONDS", 5.0)?),
            peers: std::env::var("PEERS")
                .map_or(Ok(9_000), |text| text.parse())
                .context("PEERS is not a number")?,
            browsers: 200,
            swarms: 20,
        })
    }

    /// Enough to know that it runs.
    fn trial() -> Self {
        Self {
            servers: vec![Kind::Seedpod],
            rows: Row::ALL.to_vec(),
            time: Duration::from_millis(100),
            peers: 20,
            browsers: 20,
            swarms: 2,
        }
    }
}

/// What a row came to.
struct Figures {
    announces: usize,
    took: Duration,
    processor: Duration,
    /// From each announce to everything that it leads to.
    answered: Vec<Duration>,
    /// Offers that were not answered, or requests.
    lost: usize,
}

impl Figures {
    /// Processor seconds for 100,000 announces.
    fn cost(&self) -> f64 {
        self.processor.as_secs_f64() * 1e5 / self.announces as f64
    }
}

fn main() -> anyhow::Result<()> {
    // Without cargo's word for measuring, `cargo test --benches` only wants to know that it runs.
    let measured = std::env::args().any(|argument| argument == "--bench");
    let plan = if measured {
        Plan::from_environment()?
    } else {
        Plan::trial()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure(&plan))
}

async fn measure(plan: &Plan) -> anyhow::Result<()> {
    let load = std::fs::read_to_string("/proc/loadavg")?;
    println!("Load average at the beginning: {}", load.trim());
    println!(
        "Processor seconds of the server for 100,000 announces; in the last column, how many times a pod's.\n"
    );
    println!(
        "{:30} {:12} {:>11} {:>8} {:>8} {:>6} {:>12} {:>10} {:>6}",
        "", "server", "announces/s", "p50 ms", "p99 ms", "lost", "processor s", "must/goal", "times"
    );
    for &row in &plan.rows {
        let mut pod = None;
        for &kind in &plan.servers {
            if !kind.speaks(row) {
                continue;
            }
            let Some(server) = Server::start(kind).await? else {
                println!("{:30} {:12} is not installed", row.title(), kind.name());
                continue;
            };
            let cost = if row == Row::Memory {
                memory(&server, plan).await?
            } else {
                speed(row, &server, plan, pod).await?
            };
            if kind == Kind::Seedpod {
                pod = Some(cost);
            }
            server.stop().await?;
        }
    }
    Ok(())
}

async fn speed(row: Row, server: &Server, plan: &Plan, pod: Option<f64>) -> anyhow::Result<f64> {
    let crowd = |offers| websocket::Crowd {
        browsers: plan.browsers,
        swarms: plan.swarms,
        offers,
    };
    let mut figures = match row {
        Row::Offers => websocket::announce(server, &crowd(5), plan.time).await?,
        Row::Bare => websocket::announce(server, &crowd(0), plan.time).await?,
        Row::Http => http::announce(server, false, plan.time).await?,
        Row::HttpKept => http::announce(server, true, plan.time).await?,
        Row::Udp => udp::announce(server, plan.time).await?,
        Row::Memory => bail!("memory is measured otherwise"),
    };
    figures.answered.sort_unstable();
    let at =
        |percent: usize| figures.answered[(figures.answered.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "{:30} {:12} {:11.0} {:8.2} {:8.2} {:6} {:12.2} {:>10} {:>6}",
        row.title(),
        server.kind().name(),
        figures.announces as f64 / figures.took.as_secs_f64(),
        at(50),
        at(99),
        figures.lost,
        figures.cost(),
        if server.kind() == Kind::Seedpod {
            row.aims()
        } else {
            ""
        },
        pod.map_or(String::new(), |pod| format!("{:.2}", figures.cost() / pod)),
    );
    if let (Row::Offers, Some(counted)) = (row, server.counted().await?) {
        println!("{:30} {counted}", "");
    }
    Ok(figures.cost())
}

async fn memory(server: &Server, plan: &Plan) -> anyhow::Result<f64> {
    let before = memory_kib(server.pid())?;
    let processor = processor_time(server.pid())?;
    let crowd = websocket::gather(server, plan.peers).await?;
    let with = memory_kib(server.pid())?;
    let processor = processor_time(server.pid())? - processor;
    let each = (with as f64 - before as f64) / plan.peers as f64;
    println!(
        "{:30} {:12} {before} KiB before, {with} KiB with {} browsers: {each:.1} KiB for each (must/goal {}); {:.1} s of processor time",
        Row::Memory.title(),
        server.kind().name(),
        plan.peers,
        Row::Memory.aims(),
        processor.as_secs_f64(),
    );
    drop(crowd);
    Ok(each)
}

/// The info hash of a torrent: as random as they are.
fn torrent(number: usize) -> [u8; 20] {
    use sha1::{Digest, Sha1};
    Sha1::digest(format!("torrent {number}")).into()
}

/// Processor time that passes at a server.
struct Meter {
    pid: i32,
    begun: std::time::Instant,
    processor: Duration,
}

impl Meter {
    fn begin(server: &Server) -> anyhow::Result<Self> {
        Ok(Self {
            pid: server.pid(),
            processor: processor_time(server.pid())?,
            begun: std::time::Instant::now(),
        })
    }

    fn end(self, answered: Vec<Duration>, lost: usize) -> anyhow::Result<Figures> {
        Ok(Figures {
            announces: answered.len(),
            took: self.begun.elapsed(),
            processor: processor_time(self.pid)? - self.processor,
            answered,
            lost,
        })
    }
}
