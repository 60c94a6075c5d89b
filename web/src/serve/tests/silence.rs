//! Clients that begin and do not go on. Time is paused: it passes as fast as everybody waits.

use super::*;
use crate::connection::HEADER_DEADLINE;

/// The first words of HTTP/2, and empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// A header block that goes on in frames to come: `HEADERS` without `END_HEADERS`, for stream 1.
const HALF_A_HEADER: &[u8] = &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82];
/// One more byte of it: `CONTINUATION`, still without an end.
const MORE_HEADER: &[u8] = &[0, 0, 1, 9, 0, 0, 0, 0, 1, 0x84];

/// Sends a beginning at once and then one piece after the other, a second apart. Gives the time until the server closed.
async fn dribble(server: &Served, beginning: &[u8], pieces: impl Iterator<Item = Vec<u8>>) -> Duration {
    let begun = tokio::time::Instant::now();
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(beginning).await.unwrap();
    let mut pace = tokio::time::interval(Duration::from_secs(1));
    let mut scrap = [0; 4096];
    for piece in pieces.chain(std::iter::repeat(Vec::new())) {
        pace.tick().await;
        assert!(begun.elapsed() < 4 * HEADER_DEADLINE, "still served");
        if socket.write_all(&piece).await.is_err() {
            break;
        }
        match socket.try_read(&mut scrap) {
            Ok(1..) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => break,
        }
    }
    begun.elapsed()
}

fn bytes(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    bytes.iter().map(|byte| vec![*byte])
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_nothing_in_time_is_closed_whatever_it_says_meanwhile() {
    let server = start(Duration::from_secs(5)).await;
    let hello = [PREFACE, SETTINGS].concat();
    let half = [PREFACE, SETTINGS, HALF_A_HEADER].concat();
    let tries = [
        ("nothing", dribble(&server, b"", std::iter::empty()).await),
        (
            "a preface, byte by byte",
            dribble(&server, b"", bytes(PREFACE)).await,
        ),
        (
            "a preface alone",
            dribble(&server, PREFACE, std::iter::empty()).await,
        ),
        (
            "HTTP/2 without a request",
            dribble(&server, &hello, std::iter::empty()).await,
        ),
        (
            "a header block without an end",
            dribble(&server, &half, std::iter::repeat(MORE_HEADER.to_vec())).await,
        ),
        (
            "a header, byte by byte",
            dribble(
                &server,
                b"GET / HTTP/1.1\r\nx-slow: ",
                std::iter::repeat(b"a".to_vec()),
            )
            .await,
        ),
    ];
    for (what, took) in tries {
        // Some are told first, which takes the moment of a farewell.
        assert!(
            took < HEADER_DEADLINE + Duration::from_secs(5),
            "{what}: {took:?}"
        );
    }
}
