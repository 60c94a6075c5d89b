//! Who speaks with the tracker here: a browser, a client over HTTP, a client over UDP, each as far as the tracker can tell.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures::{SinkExt, StreamExt};
use seedpod_protocol::ids::InfoHash;
use seedpod_protocol::tracker::udp::{ConnectionId, Request};
use seedpod_test_net::process::Pod;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Nothing that is answered at all takes so long, and whoever does not read is gone by then.
pub(super) const SOON: Duration = Duration::from_secs(60);
/// After so long a UDP client says again what was not answered.
const UDP_AGAIN: Duration = Duration::from_millis(500);
/// What somebody takes from the system who does not want to read, in bytes.
const SMALL_BUFFER: u32 = 4096;

/// A browser.
pub(super) struct Browser {
    pub(super) socket: WebSocketStream<TcpStream>,
    pub(super) id: String,
    pub(super) hash: String,
}

impl Browser {
    /// Connects from 127.`net`.0.1: each net is somebody else.
    pub(super) async fn connect(pod: &Pod, net: u8, torrent: InfoHash) -> anyhow::Result<Self> {
        Self::on(TcpSocket::new_v4()?, pod, net, torrent).await
    }

    /// The same for one who never reads: the system is not to help it by reading in its place.
    pub(super) async fn deaf(pod: &Pod, net: u8, torrent: InfoHash) -> anyhow::Result<Self> {
        let tcp = TcpSocket::new_v4()?;
        tcp.set_recv_buffer_size(SMALL_BUFFER)?;
        Self::on(tcp, pod, net, torrent).await
    }

    async fn on(tcp: TcpSocket, pod: &Pod, net: u8, torrent: InfoHash) -> anyhow::Result<Self> {
        let stream = connect(tcp, pod, net).await?;
        let url = format!("ws://{}/tracker/socket", pod.host());
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await?;
        Ok(Self {
            socket,
            id: format!("-XX0000-{net:012}"),
            // A character for each byte.
            hash: torrent.as_bytes().iter().copied().map(char::from).collect(),
        })
    }

    /// What it says to take part.
    pub(super) fn announce(&self, offers: &[Value]) -> Value {
        json!({ "action": "announce", "info_hash": self.hash, "peer_id": self.id, "left": 1, "offers": offers })
    }

    /// What somebody says who answers an offer.
    pub(super) fn answer(&self, speaker: &str, to: &str, offer: &str) -> Value {
        json!({ "action": "announce", "info_hash": self.hash, "peer_id": speaker, "to_peer_id": to, "offer_id": offer,
            "answer": { "type": "answer", "sdp": "here" } })
    }

    pub(super) async fn say(&mut self, message: &Value) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::text(message.to_string())).await?)
    }

    pub(super) async fn hear(&mut self) -> anyhow::Result<Value> {
        loop {
            let heard = timeout(SOON, self.socket.next())
                .await
                .context("the tracker is silent")?;
            match heard.context("the tracker closed the socket")?? {
                Message::Text(text) => return Ok(serde_json::from_str(&text)?),
                Message::Close(_) => bail!("the tracker closed the socket"),
                _ => {}
            }
        }
    }

    /// The next message with this key; what comes before it is passed over.
    pub(super) async fn hear_with(&mut self, key: &str) -> anyhow::Result<Value> {
        loop {
            let heard = self.hear().await?;
            if heard.get(key).is_some() {
                return Ok(heard);
            }
        }
    }

    /// Says something and hears the reply. Offers of others may come before.
    pub(super) async fn ask(&mut self, message: &Value) -> anyhow::Result<Value> {
        self.say(message).await?;
        self.hear_with("interval").await
    }

    /// Says something that must be refused, in a form that clients cope with; gives the reason.
    pub(super) async fn refused(&mut self, message: &Value) -> anyhow::Result<String> {
        self.say(message).await?;
        let reply = self.hear_with("failure reason").await?;
        ensure!(reply["action"] == "announce", "{reply}");
        ensure!(reply["info_hash"] == message["info_hash"], "{reply}");
        ensure!(reply.to_string().len() < 512, "{reply}");
        Ok(reply["failure reason"].as_str().context("a reason")?.to_owned())
    }

    /// Announces itself once more; how many offers it heard before the reply.
    pub(super) async fn offers_before_reply(&mut self) -> anyhow::Result<usize> {
        self.say(&self.announce(&[])).await?;
        let mut offers = 0;
        loop {
            let heard = self.hear().await?;
            offers += usize::from(heard.get("offer").is_some());
            if heard.get("interval").is_some() {
                return Ok(offers);
            }
        }
    }

    /// Says something upon which the tracker must close the socket.
    pub(super) async fn ends_on(mut self, message: &Value) -> anyhow::Result<()> {
        let closed = async {
            // Whoever goes on sending meets a closed connection sooner or later.
            let _ = self.say(message).await;
            while let Some(Ok(_)) = self.socket.next().await {}
        };
        timeout(SOON, closed).await.context("the socket stays open")
    }
}

/// An offer of this length.
pub(super) fn offer(id: &str, length: usize) -> Value {
    json!({ "offer": { "type": "offer", "sdp": "x".repeat(length) }, "offer_id": id })
}

/// A client over HTTP that keeps its connection.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects from 127.`net`.0.1.
    pub(super) async fn connect(pod: &Pod, net: u8) -> anyhow::Result<Self> {
        let stream = connect(TcpSocket::new_v4()?, pod, net).await?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// What is answered, which must be well.
    pub(super) async fn get(&mut self, path: &str) -> anyhow::Result<String> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: pod\r\n\r\n");
        timeout(SOON, self.exchange(&request))
            .await
            .context("the tracker is silent")?
    }

    async fn exchange(&mut self, request: &str) -> anyhow::Result<String> {
        self.stream.write_all(request.as_bytes()).await?;
        let mut status = String::new();
        self.stream.read_line(&mut status).await?;
        ensure!(status.starts_with("HTTP/1.1 200 "), "{status}");
        let mut length = None;
        loop {
            let mut line = String::new();
            ensure!(
                self.stream.read_line(&mut line).await? > 0,
                "the answer breaks off"
            );
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(text) = line.strip_prefix("content-length:") {
                length = Some(text.trim().parse()?);
            }
        }
        let mut body = vec![0; length.context("no length")?];
        self.stream.read_exact(&mut body).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

/// A client over UDP.
pub(super) struct UdpClient {
    pub(super) socket: UdpSocket,
}

impl UdpClient {
    pub(super) async fn bind(pod: &Pod, address: [u8; 4]) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((IpAddr::from(address), 0)).await?;
        socket.connect((Ipv4Addr::LOCALHOST, port(pod)?)).await?;
        Ok(Self { socket })
    }

    /// The answer to a packet, which is sent again until there is one; what answers others is passed over.
    pub(super) async fn asked(&mut self, packet: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut answer = vec![0; 4096];
        let asking = async {
            loop {
                // A tracker that is flooded loses packets of anybody, as is usual with UDP.
                let _ = self.socket.send(packet).await;
                while let Ok(Ok(length)) = timeout(UDP_AGAIN, self.socket.recv(&mut answer)).await {
                    if answer[4..8] == packet[12..16] {
                        return answer[..length].to_vec();
                    }
                }
            }
        };
        timeout(SOON, asking).await.context("the UDP tracker is silent")
    }

    /// A connection id.
    pub(super) async fn connection(&mut self) -> anyhow::Result<ConnectionId> {
        let transaction = *b"conn";
        let answer = self.asked(&Request::Connect { transaction }.encode()).await?;
        ensure!(answer.starts_with(&[0; 4]) && answer.len() == 16, "{answer:?}");
        Ok(answer[8..].try_into()?)
    }
}

async fn connect(tcp: TcpSocket, pod: &Pod, net: u8) -> anyhow::Result<TcpStream> {
    tcp.bind(SocketAddr::from((Ipv4Addr::new(127, net, 0, 1), 0)))?;
    let stream = tcp
        .connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port(pod)?)))
        .await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The port of the web server, which is that of the UDP tracker too.
fn port(pod: &Pod) -> anyhow::Result<u16> {
    let host = pod.host();
    Ok(host.rsplit_once(':').context("a host with a port")?.1.parse()?)
}
