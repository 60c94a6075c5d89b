//! The tracker's WebSocket: texts in, texts out, and an end for whoever is slow, silent or unwelcome.
//!
//! We take the upgrade (RFC 6455 §4.2) ourselves, for the sake of the buffers: ten thousand browsers that say nothing should cost
//! little. One task holds one socket. It sends the tracker's reply to a text before it reads the next one, so a browser
//! cannot queue up work. What others say to it goes through an outbox of fixed size: when that is full the tracker ends
//! it, and the socket closes.

use std::net::IpAddr;
use std::time::Duration;

use data_encoding::BASE64;
use futures::{SinkExt, StreamExt};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use seedpod_actors::tracker::messages::{Inbox, SocketId, outbox};
use seedpod_protocol::tracker::MAX_MESSAGE_LEN;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tracing::{debug, warn};
use warp::Reply;
use warp::http::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use warp::http::{HeaderMap, StatusCode};
use warp::reply::Response;

use crate::serve::Wire;
use crate::site::Site;
use crate::visit::Visit;

/// How often a sign of life is asked for.
const PING: Duration = Duration::from_secs(45);
/// A socket that gave none for so long is closed.
const SILENCE: Duration = Duration::from_secs(120);
/// How long a text may take to be written.
const WRITE_DEADLINE: Duration = Duration::from_secs(15);
/// How long a goodbye may take, theirs included.
const FAREWELL: Duration = Duration::from_secs(2);
/// What is set aside for reading, in bytes. The library asks for room for a message on top of what it has read, and keeps it: four times
/// as much here would cost each browser 5 KiB for as long as it stays, and save few reads.
const READ_BUFFER: usize = 1024;
/// What may wait to be written inside of the socket, in bytes.
const WRITE_BUFFER: usize = 4 * 1024 + 2 * MAX_MESSAGE_LEN;
/// The only version of the protocol there is.
const VERSION: &str = "13";

/// Takes the upgrade, or says what is missing.
pub(crate) fn upgrade(upgrade: Option<OnUpgrade>, visit: Visit) -> Response {
    let (Ok(accept), Some(upgrade)) = (handshake(&visit.headers), upgrade) else {
        visit.site.metrics().sockets_refused.inc();
        return refusal(handshake(&visit.headers).err().unwrap_or(Refusal::NoUpgrade));
    };
    let (site, client) = (visit.site, visit.client);
    site.spawn(serve(upgrade, client, site.clone()));
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.extend(
        HeaderValue::from_str(&accept)
            .ok()
            .map(|accept| (SEC_WEBSOCKET_ACCEPT, accept)),
    );
    response
}

/// Why a request becomes no WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("this address speaks WebSocket; ask for an upgrade, over HTTP/1.1")]
    NoUpgrade,
    #[error("this server speaks version {VERSION} of the WebSocket protocol")]
    Version,
    #[error("Sec-WebSocket-Key must be the base64 of 16 bytes")]
    Key,
}

/// Checks what a client says when it asks for an upgrade, and gives the answer to its key.
fn handshake(headers: &HeaderMap) -> Result<String, Refusal> {
    if !names(headers, CONNECTION, "upgrade") || !names(headers, UPGRADE, "websocket") {
        return Err(Refusal::NoUpgrade);
    }
    if headers
        .get(SEC_WEBSOCKET_VERSION)
        .is_none_or(|version| version != VERSION)
    {
        return Err(Refusal::Version);
    }
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err(Refusal::Key);
    };
    match BASE64.decode(key.as_bytes()) {
        Ok(bytes) if bytes.len() == 16 => Ok(derive_accept_key(key.as_bytes())),
        _ => Err(Refusal::Key),
    }
}

/// Whether a list of tokens names this one.
fn names(headers: &HeaderMap, header: HeaderName, token: &str) -> bool {
    headers
        .get_all(header)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|one| one.trim().eq_ignore_ascii_case(token))
}

fn refusal(refusal: Refusal) -> Response {
    let mut response = format!("{refusal}\n").into_response();
    if refusal == Refusal::Key {
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    }
    *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
    response
}

/// A socket of a browser.
type Socket = WebSocketStream<Wire>;

/// Serves one socket from beginning to end.
async fn serve(upgrade: OnUpgrade, client: IpAddr, site: Site) {
    let Ok(Ok(upgraded)) = timeout(WRITE_DEADLINE, upgrade).await else {
        return; // the connection broke before it heard that it may
    };
    let Ok(parts) = downcast::<TokioIo<Wire>>(upgraded) else {
        warn!("a connection of another kind asked for a WebSocket");
        return;
    };
    let limits = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(MAX_MESSAGE_LEN))
        .max_frame_size(Some(MAX_MESSAGE_LEN));
    let (wire, read_already) = (parts.io.into_inner(), parts.read_buf.to_vec());
    // The HTTP server's own buffer, for as long as anything holds it.
    drop(parts.read_buf);
    let mut socket =
        WebSocketStream::from_partially_read(wire, read_already, Role::Server, Some(limits)).await;

    let (outbox, mut inbox) = outbox();
    let desk = &site.rooms().desk;
    let id = match desk.connect(client, outbox) {
        Ok(Ok(id)) => id,
        refused => {
            site.metrics().sockets_refused.inc();
            let reason = match refused {
                Ok(Err(too_many)) => too_many.to_string(),
                Ok(Ok(_)) => String::new(),
                Err(restarting) => restarting.to_string(),
            };
            return part(socket, CloseCode::Again, reason).await;
        }
    };
    site.metrics().sockets.inc();
    if let Some(code) = hold(&mut socket, id, &mut inbox, &site).await {
        part(socket, code, String::new()).await;
    }
    site.metrics().sockets.dec();
    desk.disconnect(id);
}

/// Carries texts both ways until an end; with a code, if the other side is to be told why.
async fn hold(socket: &mut Socket, id: SocketId, inbox: &mut Inbox, site: &Site) -> Option<CloseCode> {
    let desk = &site.rooms().desk;
    let mut ping = interval_at(Instant::now() + PING, PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        let outgoing = tokio::select! {
            received = socket.next() => {
                heard = Instant::now();
                let text = match received {
                    Some(Ok(Message::Text(text))) => text.as_str().to_owned(),
                    // To the tracker, binary frames that hold text are the same.
                    Some(Ok(Message::Binary(bytes))) => match String::from_utf8(bytes.to_vec()) {
                        Ok(text) => text,
                        Err(_) => continue,
                    },
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                    Some(Ok(Message::Close(_))) => {
                        // The reply is written by itself; it only has to get out.
                        let _ = timeout(FAREWELL, socket.flush()).await;
                        return None;
                    }
                    Some(Err(error)) => {
                        debug!(%error, "a socket of the tracker broke");
                        return fault(&error);
                    }
                    None => return None,
                };
                match desk.receive(id, &text) {
                    Ok(Some(reply)) => Message::text(reply),
                    Ok(None) => continue,
                    Err(_) => return Some(CloseCode::Again),
                }
            }
            text = inbox.recv() => match text {
                Some(text) => Message::text(text),
                None => return Some(CloseCode::Again), // the tracker let go of it
            },
            _ = ping.tick() => {
                if heard.elapsed() > SILENCE {
                    debug!("a socket of the tracker fell silent");
                    return None;
                }
                Message::Ping(bytes::Bytes::new())
            }
            () = site.stopping().cancelled() => return Some(CloseCode::Away),
        };
        if !matches!(timeout(WRITE_DEADLINE, socket.send(outgoing)).await, Ok(Ok(()))) {
            return None;
        }
    }
}

/// What to tell a client about its fault.
fn fault(error: &tokio_tungstenite::tungstenite::Error) -> Option<CloseCode> {
    use tokio_tungstenite::tungstenite::Error;
    match error {
        Error::Capacity(_) => Some(CloseCode::Size),
        Error::Protocol(_) => Some(CloseCode::Protocol),
        Error::Utf8(_) => Some(CloseCode::Invalid),
        _ => None,
    }
}

/// Says goodbye and waits a moment for the other side to say it too: closed at once, with something unread, the connection would be
/// reset and the goodbye lost.
async fn part(mut socket: Socket, code: CloseCode, reason: String) {
    let goodbye = async {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        if socket.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let _ = timeout(FAREWELL, goodbye).await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    const GOOD: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn with(name: &'static str, value: Option<&str>) -> Result<String, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in GOOD {
            headers.insert(name, value.parse().unwrap());
        }
        headers.remove(name);
        if let Some(value) = value {
            headers.insert(name, value.parse().unwrap());
        }
        handshake(&headers)
    }

    #[test]
    fn the_example_of_the_rfc_is_answered_as_there() {
        assert_eq!(
            with("origin", Some("https://else.where")).as_deref(),
            Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        );
        assert!(with("upgrade", Some("WebSocket")).is_ok());
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(with("connection", None), Err(Refusal::NoUpgrade));
        assert_eq!(with("connection", Some("close")), Err(Refusal::NoUpgrade));
        assert_eq!(with("upgrade", Some("h2c")), Err(Refusal::NoUpgrade));
        for version in [None, Some("8"), Some("013")] {
            assert_eq!(with("sec-websocket-version", version), Err(Refusal::Version));
        }
        for key in [None, Some(""), Some("c2hvcnQ="), Some("not base64 at all, no!")] {
            assert_eq!(with("sec-websocket-key", key), Err(Refusal::Key));
        }
        let refused = refusal(Refusal::Version);
        assert_eq!(refused.status(), 426);
        assert_eq!(refused.headers()["sec-websocket-version"], "13");
        assert_eq!(refusal(Refusal::Key).status(), 400);
    }
}
