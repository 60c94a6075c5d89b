#![allow(clippy::unwrap_used, reason = "a test may panic")]

use seedpod_protocol::ids::InfoHash;
use seedpod_protocol::wire::{Block, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::super::testing::{Content, Leecher, Pod};
use super::*;

/// A connection that is being served, and the other end of it.
fn connect(pod: &Pod, room: usize) -> (DuplexStream, JoinHandle<String>) {
    let (ours, theirs) = duplex(room);
    let service = pod.service.clone();
    let serving = tokio::spawn(async move { serve(ours, Source::Tcp, &service).await.label().to_owned() });
    (theirs, serving)
}

#[tokio::test]
async fn a_peer_downloads_everything_and_every_byte_is_counted_once() {
    let content = Content::new(300_001);
    let pod = Pod::with(&content);
    // A narrow pipe: nothing arrives in the portions in which it was sent.
    let (stream, serving) = connect(&pod, 1000);
    let mut leecher = Leecher::greet(stream, content.info_hash()).await;
    assert!(leecher.download(content.bytes.len()).await == content.bytes);
    drop(leecher);
    assert_eq!(serving.await.unwrap(), "left");
    assert_eq!(pod.served(), 300_001);
    assert_eq!(pod.service.slots().counts(), (0, 0));
}

#[tokio::test]
async fn a_peer_may_greet_and_say_what_it_wants_in_one_breath() {
    let content = Content::new(10);
    let pod = Pod::with(&content);
    let (mut stream, serving) = connect(&pod, 1000);
    let greeting = seedpod_protocol::wire::Handshake {
        features: seedpod_protocol::wire::Features::ours(),
        info_hash: content.info_hash(),
        peer_id: seedpod_protocol::tracker::PeerId::from_bytes([1; 20]),
    };
    let mut said = greeting.encode().to_vec();
    Message::Interested.encode(&mut said);
    stream.write_all(&said).await.unwrap();
    let mut heard = Vec::new();
    let unchoke = [0, 0, 0, 1, 1];
    let served = async {
        while !heard.ends_with(&unchoke) {
            stream.read_buf(&mut heard).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), served)
        .await
        .unwrap();
    drop(stream);
    assert_eq!(serving.await.unwrap(), "left");
}

#[tokio::test]
async fn what_was_asked_for_and_never_taken_is_not_counted() {
    let content = Content::new(100_000);
    let pod = Pod::with(&content);
    let (stream, serving) = connect(&pod, 1000);
    let mut leecher = Leecher::greet(stream, content.info_hash()).await;
    leecher.unchoked().await;
    for piece in 0..4 {
        let length = Content::PIECE;
        leecher
            .say(Message::Request(Block {
                piece,
                begin: 0,
                length,
            }))
            .await;
    }
    let mut some = [0; 5000];
    leecher.stream.read_exact(&mut some).await.unwrap();
    drop(leecher);
    serving.await.unwrap();
    assert!((4000..=6100).contains(&pod.served()), "{}", pod.served());
}

#[tokio::test]
async fn unknown_torrents_withdrawn_ones_and_the_end_of_the_pod_end_connections() {
    let content = Content::new(10);
    let pod = Pod::with(&content);
    let (mut stranger, serving) = connect(&pod, 1000);
    let other = seedpod_protocol::wire::Handshake {
        features: seedpod_protocol::wire::Features::ours(),
        info_hash: InfoHash::from_bytes([9; 20]),
        peer_id: seedpod_protocol::tracker::PeerId::from_bytes([1; 20]),
    };
    stranger.write_all(&other.encode()).await.unwrap();
    assert_eq!(serving.await.unwrap(), "unknown_torrent");
    assert_eq!(stranger.read(&mut [0; 9]).await.unwrap(), 0, "nothing was said");

    let (stream, serving) = connect(&pod, 1000);
    let mut leecher = Leecher::greet(stream, content.info_hash()).await;
    pod.shelf.remove(&content.info_hash());
    assert_eq!(serving.await.unwrap(), "withdrawn");
    while leecher.hear(|_| ()).await.is_some() {}

    pod.shelf.put(content.holding());
    let (stream, serving) = connect(&pod, 1000);
    let _leecher = Leecher::greet(stream, content.info_hash()).await;
    pod.stop.cancel();
    assert_eq!(serving.await.unwrap(), "stopped");
}

#[test]
fn whoever_takes_next_to_nothing_is_let_go_and_who_reads_is_not() {
    let buffers = Buffers::default();
    let mut now = Instant::now();
    let mut ready = Ready::new(&buffers, now);
    assert_eq!(ready.deadline(), None, "nothing waits for anybody");
    ready.refill().extend([7; 3 * SLOWEST]);
    ready.settle(true, now);
    // A kilobyte every four seconds is too little.
    let begun = now;
    let slow = loop {
        now += Duration::from_secs(4);
        ready.advance(1000, now);
        if let Err(end) = ready.check(now) {
            break end;
        }
    };
    assert_eq!(slow.label(), "slow");
    assert!(now - begun >= PATIENCE && now - begun < 2 * PATIENCE);

    for _ in 0..100 {
        let waited = ready.is_empty();
        ready.refill().extend([7; SLOWEST]);
        ready.settle(waited, now);
        now += PATIENCE / 2;
        ready.advance(SLOWEST, now);
        assert!(ready.check(now).is_ok());
    }
}

#[test]
fn a_connection_holds_no_buffer_while_nothing_waits() {
    let buffers = Buffers::default();
    let now = Instant::now();
    let mut ready = Ready::new(&buffers, now);
    ready.refill().extend(b"abc");
    ready.settle(true, now);
    ready.advance(2, now);
    assert_eq!(ready.waiting(), b"c");
    assert_eq!(ready.refill(), b"c", "what was sent is gone");
    ready.settle(false, now);
    ready.advance(1, now);
    ready.refill();
    ready.settle(true, now);
    assert_eq!(ready.bytes.capacity(), 0);
    assert_eq!(buffers.spare.lock().unwrap().len(), 1);
    drop(ready);
    assert_eq!(buffers.take().len(), 0);
}

#[tokio::test]
async fn a_file_that_shrinks_ends_the_connection_and_hurts_nobody() {
    let content = Content::new(100_000);
    let pod = Pod::with(&content);
    let (stream, serving) = connect(&pod, 1000);
    let mut leecher = Leecher::greet(stream, content.info_hash()).await;
    leecher.unchoked().await;
    std::fs::write(content.holding().media, b"short").unwrap();
    let length = Content::PIECE;
    leecher
        .say(Message::Request(Block {
            piece: 3,
            begin: 0,
            length,
        }))
        .await;
    assert_eq!(serving.await.unwrap(), "unreadable");
    assert_eq!(pod.served(), 0);
}

#[tokio::test]
async fn a_listener_lets_in_counts_and_ends_all_when_the_pod_stops() {
    let content = Content::new(100_000);
    let pod = Pod::with(&content);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let running = tokio::spawn(super::super::tcp::run(listener, pod.service.clone()));
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut leecher = Leecher::greet(stream, content.info_hash()).await;
    assert!(leecher.download(content.bytes.len()).await == content.bytes);
    assert!(pod.metrics().contains(r#"seedpod_seeder_peers{source="tcp"} 1"#));

    // One address has its places; whoever comes after that is closed without a word.
    let mut others = Vec::new();
    for _ in 0..40 {
        others.push(tokio::net::TcpStream::connect(address).await.unwrap());
    }
    let last = others.last_mut().unwrap();
    assert!(matches!(last.read(&mut [0; 9]).await, Ok(0) | Err(_)));
    let metrics = pod.metrics();
    let refused = r#"seedpod_seeder_peers_refused_total{source="tcp",reason="too_many"} 9"#;
    assert!(metrics.contains(refused), "{metrics}");

    pod.stop.cancel();
    tokio::time::timeout(Duration::from_secs(20), running)
        .await
        .unwrap()
        .unwrap();
    assert!(pod.metrics().contains(r#"seedpod_seeder_peers{source="tcp"} 0"#));
    assert_eq!(pod.served(), 100_000);
}
