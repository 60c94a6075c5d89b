//! The tracker's WebSocket as a stranger meets it: what it refuses, in plain words, and whom it closes.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures::{SinkExt, StreamExt};
use seedpod_test_net::TestNet;
use seedpod_test_net::process::Pod;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// Above the pod's own deadlines for whoever does not read.
const SOON: Duration = Duration::from_secs(60);
/// The longest message that is read, in bytes.
const LONGEST: usize = 64 * 1024;
/// The headers of a good request for an upgrade.
const GOOD: [&str; 4] = [
    "connection: Upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
];

#[tokio::test]
async fn an_upgrade_is_taken_or_refused_in_plain_words() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let without = |index: usize| {
            GOOD.iter()
                .enumerate()
                .filter(move |(at, _)| *at != index)
                .map(|(_, line)| *line)
        };
        let with = |index: usize, other: &'static str| without(index).chain([other]).collect::<Vec<_>>();
        let (_, good) = request(pod, &GOOD).await?;
        ensure!(good.starts_with("HTTP/1.1 101 "), "{good}");
        ensure!(
            good.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            "{good}"
        );
        let cases = [
            (Vec::new(), "426", "speaks WebSocket"),
            (without(0).collect(), "426", "speaks WebSocket"),
            (with(2, "sec-websocket-version: 8"), "426", "version 13"),
            (with(3, "sec-websocket-key: c2hvcnQ="), "400", "16 bytes"),
            (without(3).collect(), "400", "16 bytes"),
        ];
        for (lines, status, words) in cases {
            let (_, answer) = request(pod, &lines).await?;
            ensure!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{lines:?}: {answer}"
            );
            ensure!(answer.contains(words), "{lines:?}: {answer}");
            ensure!(
                status != "426" || answer.contains("upgrade: websocket"),
                "{lines:?}: {answer}"
            );
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn whoever_breaks_the_rules_is_told_and_closed() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let mut good = open(pod, TcpStream::connect(pod.host()).await?, Role::Client).await?;
        good.send(Message::text("x".repeat(LONGEST))).await?;
        ensure!(
            matches!(good.next().await, Some(Ok(Message::Text(_)))),
            "the longest message is answered"
        );

        let mut loud = open(pod, TcpStream::connect(pod.host()).await?, Role::Client).await?;
        loud.send(Message::text("x".repeat(LONGEST + 1))).await?;
        ensure!(
            last_word(loud).await? == CloseCode::Size,
            "a message that is too long"
        );

        // Whoever plays the server sends frames without a mask, which a client must not.
        let mut bare = open(pod, TcpStream::connect(pod.host()).await?, Role::Server).await?;
        bare.send(Message::text("{}")).await?;
        let mut answer = Vec::new();
        tokio::time::timeout(SOON, bare.get_mut().read_to_end(&mut answer)).await??;
        ensure!(
            answer.ends_with(&1002_u16.to_be_bytes())
                || answer.windows(2).any(|code| code == 1002_u16.to_be_bytes())
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn whoever_does_not_read_loses_its_socket() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let before = pod.memory_kib()?;
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        let port: u16 = pod.host().rsplit_once(':').context("a host with a port")?.1.parse()?;
        let stream = socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await?;
        let mut deaf = open(pod, stream, Role::Client).await?;
        let announce = json!({
            "action": "announce", "info_hash": "h".repeat(20), "peer_id": "p".repeat(20), "left": 1, "offers": []
        });
        let talk = async {
            while deaf.send(Message::text(announce.to_string())).await.is_ok() {}
        };
        ensure!(tokio::time::timeout(SOON, talk).await.is_ok(), "it may still talk");
        let more = pod.memory_kib()?.saturating_sub(before);
        ensure!(more < 16 * 1024, "{more} KiB for one socket");
        Ok(())
    })
    .await;
}

/// Sends a request with these headers; gives the connection and the beginning of the answer.
async fn request(pod: &Pod, lines: &[&str]) -> anyhow::Result<(TcpStream, String)> {
    let mut socket = TcpStream::connect(pod.host()).await?;
    let head = upgrade_request(pod, lines);
    socket.write_all(head.as_bytes()).await?;
    let mut answer = vec![0; 4096];
    let mut read = 0;
    // Refusals come with their length; the end of the words is waited for.
    loop {
        read += socket.read(&mut answer[read..]).await?;
        let text = String::from_utf8_lossy(&answer[..read]).into_owned();
        if text.starts_with("HTTP/1.1 101") && text.contains("\r\n\r\n")
            || text.ends_with("\n") && !text.ends_with("\r\n")
        {
            return Ok((socket, text));
        }
        ensure!(read < answer.len(), "a longer answer than was thought of: {text}");
    }
}

fn upgrade_request(pod: &Pod, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!(
        "GET /tracker/socket HTTP/1.1\r\nhost: {}\r\n{lines}\r\n",
        pod.host()
    )
}

/// A socket after its upgrade, played in this role.
async fn open(pod: &Pod, mut stream: TcpStream, role: Role) -> anyhow::Result<WebSocketStream<TcpStream>> {
    stream.write_all(upgrade_request(pod, &GOOD).as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    ensure!(
        head.starts_with(b"HTTP/1.1 101"),
        "{}",
        String::from_utf8_lossy(&head)
    );
    Ok(WebSocketStream::from_raw_socket(stream, role, None::<WebSocketConfig>).await)
}

/// Why the pod closes a socket.
async fn last_word(mut socket: WebSocketStream<TcpStream>) -> anyhow::Result<CloseCode> {
    let closing = async {
        while let Some(message) = socket.next().await {
            if let Message::Close(frame) = message? {
                return Ok(frame.context("a reason")?.code);
            }
        }
        bail!("it closes without a word");
    };
    tokio::time::timeout(SOON, closing).await?
}
