//! BitTorrent clients over UDP: each asks for a connection id once and announces again and again.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures::future::try_join_all;
use seedpod_protocol::ids::InfoHash;
use seedpod_protocol::tracker::udp::{ConnectionId, Request, UdpAnnounce};
use seedpod_protocol::tracker::{Event, PeerId};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::server::Server;
use crate::{CLIENTS, Figures, Meter, PORTS, TORRENTS, WANTED, torrent};

/// A packet that is not answered by then is lost.
const LOST: Duration = Duration::from_secs(1);
/// Packets lost one after the other until somebody gives up.
const GIVE_UP: usize = 5;
/// Where the transaction stands in a request and in an answer.
const ASKED: std::ops::Range<usize> = 12..16;
const ANSWERED: std::ops::Range<usize> = 4..8;

/// Lets clients announce for so long.
pub(crate) async fn announce(server: &Server, time: Duration) -> anyhow::Result<Figures> {
    let mut clients = try_join_all((0..CLIENTS).map(|number| Client::connect(server, number))).await?;
    // Everybody has come before it begins.
    try_join_all(clients.iter_mut().map(|client| client.announce_all())).await?;
    let meter = Meter::begin(server)?;
    let end = Instant::now() + time;
    let announcing = clients.into_iter().map(|mut client| {
        tokio::spawn(async move {
            let before = client.lost;
            let mut answered = Vec::new();
            while answered.is_empty() || Instant::now() < end {
                let begun = Instant::now();
                client.announce().await?;
                answered.push(begun.elapsed());
            }
            anyhow::Ok((answered, client.lost - before))
        })
    });
    let (mut answered, mut lost) = (Vec::new(), 0);
    for one in try_join_all(announcing).await? {
        let (took, missed) = one?;
        answered.extend(took);
        lost += missed;
    }
    meter.end(answered, lost)
}

struct Client {
    socket: UdpSocket,
    /// Packets for all torrents and ports, and which is next.
    packets: Vec<Vec<u8>>,
    next: usize,
    turn: u32,
    lost: usize,
    answer: Vec<u8>,
}

impl Client {
    async fn connect(server: &Server, number: usize) -> anyhow::Result<Self> {
        let address = Ipv4Addr::new(127, 5, u8::try_from(number)?, 1);
        let socket = UdpSocket::bind((IpAddr::V4(address), 0)).await?;
        socket.connect(server.address()).await?;
        let mut client = Self {
            socket,
            packets: Vec::new(),
            next: 0,
            turn: 0,
            lost: 0,
            answer: vec![0; 2048],
        };
        let transaction = *b"conn";
        let length = client.ask(&Request::Connect { transaction }.encode()).await?;
        ensure!(length == 16, "no connection id: {:?}", &client.answer[..length]);
        let connection: ConnectionId = client.answer[8..16].try_into()?;
        let all = (0..PORTS).flat_map(|port| (0..TORRENTS).map(move |torrent| (torrent, port)));
        for (torrent_number, port) in all {
            let announce = UdpAnnounce {
                info_hash: InfoHash::from_bytes(torrent(torrent_number)),
                peer_id: PeerId::from_bytes(format!("-XX0000-{number:06}{port:06}").as_bytes().try_into()?),
                left: 1_000_000,
                event: Event::Update,
                numwant: WANTED,
                port: u16::try_from(6881 + port)?,
            };
            let transaction = [0; 4];
            let packet = Request::Announce {
                connection,
                transaction,
                announce,
            }
            .encode();
            client.packets.push(packet);
        }
        // Not all at the same torrent at the same time.
        client.next = number * client.packets.len() / CLIENTS;
        Ok(client)
    }

    async fn announce_all(&mut self) -> anyhow::Result<()> {
        for _ in 0..self.packets.len() {
            self.announce().await?;
        }
        Ok(())
    }

    async fn announce(&mut self) -> anyhow::Result<()> {
        self.turn += 1;
        let mut packet = std::mem::take(&mut self.packets[self.next]);
        packet[ASKED].copy_from_slice(&self.turn.to_be_bytes());
        let length = self.ask(&packet).await?;
        self.packets[self.next] = packet;
        self.next = (self.next + 1) % self.packets.len();
        ensure!(
            self.answer.starts_with(&1_u32.to_be_bytes()) && length >= 20,
            "refused: {}",
            String::from_utf8_lossy(&self.answer[8..length.max(8)])
        );
        Ok(())
    }

    /// Sends a packet until it is answered; the length of the answer.
    async fn ask(&mut self, packet: &[u8]) -> anyhow::Result<usize> {
        for _ in 0..GIVE_UP {
            self.socket.send(packet).await?;
            while let Ok(length) = timeout(LOST, self.socket.recv(&mut self.answer)).await {
                let length = length.context("the tracker is gone")?;
                if self.answer[ANSWERED] == packet[ASKED] {
                    return Ok(length);
                }
            }
            self.lost += 1;
        }
        bail!("{GIVE_UP} packets in a row were not answered")
    }
}
