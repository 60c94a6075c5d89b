//! What media cost: processor time of the pod for each MiB served as ranges of 1 MiB at random places, beside nginx with
//! `sendfile` on the same file where that is installed. `scripts/bench-door media` builds what is needed and runs it.
//!
//! `SECONDS` sets how long each row takes. Processor time is the measure: rates on a small machine are mostly the client's.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use rand::Rng;
use seedpod_test_net::api::Upload;
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::processor_time;
use seedpod_test_net::{TestNet, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MIB: usize = 1024 * 1024;
/// The file.
const SIZE: usize = 64 * MIB;
/// Connections at once, row by row.
const ROWS: [usize; 3] = [1, 16, 256];

fn main() -> anyhow::Result<()> {
    // Without cargo's word for measuring, `cargo test --benches` only wants to know that it runs.
    let seconds = if std::env::args().any(|argument| argument == "--bench") {
        std::env::var("SECONDS")
            .map_or(Ok(5.0), |text| text.parse())
            .context("SECONDS is not a number")?
    } else {
        0.1
    };
    tokio::runtime::Runtime::new()?.block_on(measure(Duration::from_secs_f64(seconds)))
}

async fn measure(time: Duration) -> anyhow::Result<()> {
    let net = TestNet::start(1).await?;
    let pod = net.pod(1);
    let mut bytes = std::fs::read(Clip::Mp4.path().await?)?;
    bytes.extend(u32::try_from(SIZE)?.to_be_bytes());
    bytes.extend(b"free");
    bytes.resize(bytes.len() + SIZE - 8, 1);
    let length = bytes.len();
    let root = pod.root().await?;
    let video = root.upload(&Upload::bytes("Long", "long.mp4", bytes)).await?;
    let seen = root.video(&video.uuid).await?;
    let url = seen["files"][0]["fileUrl"].as_str().context("a file")?;
    let path = url.replacen(&pod.url(), "", 1);
    let name = path.rsplit('/').next().context("a name")?;

    println!("ranges of 1 MiB at random places of {} MiB:", length / MIB);
    println!("                connections   MiB/s   p50 ms   p99 ms   processor ms/MiB   resident MiB");
    for connections in ROWS {
        let before = pod.processor_time()?;
        let row = drive(&pod.host(), &path, length, connections, time).await?;
        row.show("seedpod", pod.processor_time()? - before, Some(pod.memory_kib()?));
    }
    match Nginx::start(&find(pod.folder(), name)?).await? {
        None => println!("nginx is not installed, so there is nothing beside it"),
        Some(nginx) => {
            for connections in ROWS {
                let before = processor_time(nginx.pid)?;
                let row = drive(&nginx.host, &format!("/{name}"), length, connections, time).await?;
                row.show("nginx", processor_time(nginx.pid)? - before, None);
            }
        }
    }
    net.stop().await
}

/// What a row came to.
struct Row {
    connections: usize,
    took: Duration,
    answers: Vec<Duration>,
}

impl Row {
    fn show(mut self, who: &str, processor: Duration, memory_kib: Option<u64>) {
        self.answers.sort_unstable();
        let at = |percent: usize| self.answers[(self.answers.len() - 1) * percent / 100].as_secs_f64() * 1e3;
        println!(
            "  {who:12} {:12} {:7.0} {:8.1} {:8.1} {:18.3} {:14}",
            self.connections,
            self.answers.len() as f64 / self.took.as_secs_f64(),
            at(50),
            at(99),
            processor.as_secs_f64() * 1e3 / self.answers.len() as f64,
            memory_kib.map_or(String::new(), |kib| format!("{:.1}", kib as f64 / 1024.0)),
        );
    }
}

/// Asks over so many connections, one request after the other on each.
async fn drive(
    host: &str,
    path: &str,
    length: usize,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Row> {
    let begun = Instant::now();
    let all = (0..connections).map(|_| {
        let (host, path) = (host.to_owned(), path.to_owned());
        tokio::spawn(async move { ask_on(&host, &path, length, begun + time).await })
    });
    let mut answers = Vec::new();
    for one in try_join_all(all).await? {
        answers.extend(one?);
    }
    Ok(Row {
        connections,
        took: begun.elapsed(),
        answers,
    })
}

async fn ask_on(host: &str, path: &str, length: usize, end: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut socket = TcpStream::connect(host).await?;
    socket.set_nodelay(true)?;
    let mut took = Vec::new();
    let mut buffer = vec![0; 256 * 1024];
    while took.is_empty() || Instant::now() < end {
        let begun = Instant::now();
        let first = rand::rng().random_range(0..length - MIB);
        let range = format!("bytes={first}-{}", first + MIB - 1);
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nrange: {range}\r\n\r\n");
        socket.write_all(request.as_bytes()).await?;
        let mut head = 0;
        let mut read = 0;
        while head == 0 || read < head + MIB {
            let more = socket
                .read(&mut buffer[if head == 0 { read } else { 0 }..])
                .await?;
            ensure!(more > 0, "the answer breaks off");
            read += more;
            if head == 0 {
                head = buffer[..read]
                    .windows(4)
                    .position(|four| four == b"\r\n\r\n")
                    .map_or(0, |at| at + 4);
                ensure!(
                    buffer.starts_with(b"HTTP/1.1 206"),
                    "{}",
                    String::from_utf8_lossy(&buffer[..read.min(200)])
                );
            }
        }
        ensure!(read == head + MIB, "more than was asked for");
        took.push(begun.elapsed());
    }
    Ok(took)
}

/// The media file of this name in a pod's folder.
fn find(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|found| found == name) {
                return Ok(path);
            }
        }
    }
    anyhow::bail!("no file {name} in the pod's folder")
}

/// An nginx of one process over the folder of a file.
struct Nginx {
    host: String,
    pid: i32,
    _child: tokio::process::Child,
    _folder: tempfile::TempDir,
}

impl Nginx {
    async fn start(file: &Path) -> anyhow::Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let host = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .to_string();
        let (at, root) = (
            folder.path().display(),
            file.parent().context("a folder")?.display(),
        );
        let page = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000;\n\
             client_body_temp_path {at}/a; proxy_temp_path {at}/b; fastcgi_temp_path {at}/c; uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;\n\
             server {{ listen {host}; root {root}; }} }}\n"
        );
        let config = folder.path().join("nginx.conf");
        std::fs::write(&config, page)?;
        let mut command = tokio::process::Command::new("nginx");
        command
            .arg("-c")
            .arg(&config)
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let Ok(child) = command.spawn() else {
            return Ok(None);
        };
        let pid = i32::try_from(child.id().context("a process")?)?;
        eventually("nginx listens", Duration::from_secs(10), async || {
            Ok(TcpStream::connect(&host).await?)
        })
        .await?;
        Ok(Some(Self {
            host,
            pid,
            _child: child,
            _folder: folder,
        }))
    }
}
