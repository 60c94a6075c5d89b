//! BitTorrent clients over HTTP: one request after the other, each on a connection of its own or all on one.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::server::Server;
use crate::{CLIENTS, Figures, Meter, PORTS, TORRENTS, WANTED, torrent};

/// Lets clients announce for so long.
pub(crate) async fn announce(server: &Server, kept: bool, time: Duration) -> anyhow::Result<Figures> {
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|number| Client::new(server, number, kept))
        .collect::<Result<_, _>>()?;
    // Everybody has come before it begins.
    try_join_all(clients.iter_mut().map(|client| client.announce_all())).await?;
    let meter = Meter::begin(server)?;
    let end = Instant::now() + time;
    let announcing = clients.into_iter().map(|mut client| {
        tokio::spawn(async move {
            let mut answered = Vec::new();
            while answered.is_empty() || Instant::now() < end {
                let begun = Instant::now();
                client.announce().await?;
                answered.push(begun.elapsed());
            }
            anyhow::Ok(answered)
        })
    });
    let mut answered = Vec::new();
    for one in try_join_all(announcing).await? {
        answered.extend(one?);
    }
    meter.end(answered, 0)
}

struct Client {
    server: SocketAddr,
    address: SocketAddr,
    /// Requests for all torrents and ports, and which is next.
    requests: Vec<String>,
    next: usize,
    kept: bool,
    stream: Option<TcpStream>,
    answer: Vec<u8>,
}

impl Client {
    fn new(server: &Server, number: usize, kept: bool) -> anyhow::Result<Self> {
        let address = Ipv4Addr::new(127, 4, u8::try_from(number)?, 1);
        let (path, host) = (server.announce_path(), server.address());
        let connection = if kept { "keep-alive" } else { "close" };
        let request = |(torrent_number, port): (usize, usize)| {
            let hash: String = torrent(torrent_number)
                .iter()
                .map(|byte| format!("%{byte:02X}"))
                .collect();
            let query = format!(
                "info_hash={hash}&peer_id=-XX0000-{number:06}{port:06}&port={}&uploaded=0&downloaded=0&left=1000000&compact=1&numwant={WANTED}",
                6881 + port
            );
            format!(
                "GET {path}?{query} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: load\r\nConnection: {connection}\r\n\r\n"
            )
        };
        let all = (0..PORTS).flat_map(|port| (0..TORRENTS).map(move |torrent| (torrent, port)));
        let requests: Vec<_> = all.map(request).collect();
        Ok(Self {
            server: server.address(),
            address: SocketAddr::from((address, 0)),
            // Not all at the same torrent at the same time.
            next: number * requests.len() / CLIENTS,
            requests,
            kept,
            stream: None,
            answer: vec![0; 4096],
        })
    }

    async fn announce_all(&mut self) -> anyhow::Result<()> {
        for _ in 0..self.requests.len() {
            self.announce().await?;
        }
        Ok(())
    }

    async fn announce(&mut self) -> anyhow::Result<()> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let socket = TcpSocket::new_v4()?;
                socket.set_reuseaddr(true)?;
                socket.bind(self.address)?;
                let stream = socket.connect(self.server).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        stream.write_all(self.requests[self.next].as_bytes()).await?;
        self.next = (self.next + 1) % self.requests.len();
        let mut read = 0;
        let whole = loop {
            let more = stream.read(&mut self.answer[read..]).await?;
            read += more;
            match whole_length(&self.answer[..read])? {
                Some(length) if read >= length => break length,
                // Without a length it ends with the connection.
                None if more == 0 && read > 0 => break read,
                _ => ensure!(more > 0, "the answer breaks off"),
            }
        };
        let answer = &self.answer[..whole];
        let peers = answer.windows(7).any(|seven| seven == b"5:peers");
        ensure!(peers, "refused: {}", String::from_utf8_lossy(answer));
        if self.kept {
            self.stream = Some(stream);
        }
        Ok(())
    }
}

/// The length of an answer with its head, once that is known.
fn whole_length(answer: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&answer[..head])?;
    ensure!(
        text.starts_with("HTTP/1.1 200") || text.starts_with("HTTP/1.0 200"),
        "{text}"
    );
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>())
    });
    let length = length.transpose().context("a length that is no number")?;
    Ok(length.map(|length| head + 4 + length))
}
