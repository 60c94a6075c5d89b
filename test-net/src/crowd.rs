//! A crowd of hostile clients: slow headers, slow bodies, slow readers, from several addresses of this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::future::try_join_all;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// How many connections come from one address. The pod grants one address no more than 1024, and 256 downloads.
const PER_ADDRESS: usize = 200;

/// The pause between two bytes of who sends slowly.
const PACE: Duration = Duration::from_millis(500);

/// Connections made at once.
const CONNECTING: usize = 64;

/// How many of each kind.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    /// Send a header that has no end, a byte at a time.
    pub slow_headers: usize,
    /// Send a body that has no end, a byte at a time.
    pub slow_bodies: usize,
    /// Ask for a large file and read nothing of it.
    pub slow_readers: usize,
}

/// A crowd that is connected.
#[derive(Debug)]
pub struct Arrived(Vec<JoinHandle<anyhow::Result<Duration>>>);

impl Crowd {
    /// How many there are.
    pub fn size(&self) -> usize {
        self.slow_headers + self.slow_bodies + self.slow_readers
    }

    /// Connects all of them to a pod at this host (`localhost:9001`). `file` is the path of a large file there.
    ///
    /// # Errors
    /// When one cannot connect.
    pub async fn come(&self, host: &str, file: &str) -> anyhow::Result<Arrived> {
        let port = host.rsplit_once(':').context("a host with a port")?.1.parse()?;
        let header = (b"GET / HTTP/1.1\r\nhost: pod\r\nx-slow: ".to_vec(), Some(b'a'));
        let body = (
            b"POST /api/v1/users/token HTTP/1.1\r\nhost: pod\r\ncontent-length: 5000\r\n\
              content-type: application/x-www-form-urlencoded\r\n\r\nusername="
                .to_vec(),
            Some(b'b'),
        );
        let request = format!("GET {file} HTTP/1.1\r\nhost: pod\r\nrange: bytes=0-\r\n\r\n");
        let reader = (request.into_bytes(), None);
        // Mixed, so that every address has some of each kind.
        let kinds = [
            (self.slow_headers, header),
            (self.slow_bodies, body),
            (self.slow_readers, reader),
        ];
        let most = self.slow_headers.max(self.slow_bodies).max(self.slow_readers);
        let members: Vec<_> = (0..most)
            .flat_map(|turn| {
                kinds
                    .iter()
                    .filter(move |(count, _)| turn < *count)
                    .map(|(_, kind)| kind)
            })
            .enumerate()
            .collect();
        let mut arrived = Vec::with_capacity(members.len());
        for group in members.chunks(CONNECTING) {
            let connected = group.iter().map(|(number, kind)| connect(*number, port, &kind.0));
            for (stream, (_, kind)) in try_join_all(connected).await?.into_iter().zip(group) {
                arrived.push(tokio::spawn(stay(stream, kind.1)));
            }
        }
        Ok(Arrived(arrived))
    }
}

impl Arrived {
    /// Waits until the pod has closed every one of them; gives how long each was served.
    ///
    /// # Errors
    /// When a connection cannot be looked at.
    pub async fn leave(self) -> anyhow::Result<Vec<Duration>> {
        let mut stays = Vec::with_capacity(self.0.len());
        for stay in self.0 {
            stays.push(stay.await??);
        }
        Ok(stays)
    }
}

/// Connects from this member's address and begins its request.
async fn connect(number: usize, port: u16, request: &[u8]) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let address = u8::try_from(number / PER_ADDRESS).context("more addresses than were thought of")?;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 1, address, 1), 0)))?;
    let mut stream = socket
        .connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .await?;
    stream.write_all(request).await?;
    Ok(stream)
}

/// Sends a byte now and then, or nothing, until the pod closes the connection. One that only reads takes nothing before that.
async fn stay(mut stream: TcpStream, drip: Option<u8>) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut pace = tokio::time::interval(PACE);
    let Some(byte) = drip else {
        // Readable from the beginning, so the end is looked for now and then.
        loop {
            pace.tick().await;
            let ready = stream.ready(Interest::ERROR | Interest::READABLE).await?;
            if ready.is_error() || ready.is_read_closed() {
                return Ok(begun.elapsed());
            }
        }
    };
    let mut answer = [0; 4096];
    loop {
        pace.tick().await;
        if stream.write_all(&[byte]).await.is_err() || matches!(stream.try_read(&mut answer), Ok(0)) {
            return Ok(begun.elapsed());
        }
    }
}
