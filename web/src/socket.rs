//! The tracker's WebSocket: texts in, texts out, and an end for whoever is slow, silent or unwelcome.
//!
//! One task holds one socket. It waits for the tracker to handle a text before it reads the next one, so a browser
//! cannot queue up work. What the tracker says goes through an outbox of fixed size: when that is full the tracker drops
//! it, and the socket closes.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use seedpod_actors::tracker::messages::{Connect, Disconnect, Incoming, OUTBOX_CAPACITY};
use seedpod_protocol::tracker::MAX_MESSAGE_LEN;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::debug;
use warp::Reply;
use warp::reply::Response;
use warp::ws::{Message, WebSocket, Ws};

use crate::site::ask;
use crate::visit::Visit;

/// How often a sign of life is asked for.
const PING: Duration = Duration::from_secs(45);
/// A socket that gave none for so long is closed.
const SILENCE: Duration = Duration::from_secs(120);
/// How long a text may take to be written.
const WRITE_DEADLINE: Duration = Duration::from_secs(15);
/// What may wait to be written inside of the socket, in bytes; above the library's own buffer of 128 KiB.
const WRITE_BUFFER: usize = 256 * 1024;
/// "Try again later" (RFC 6455 §7.4, registered by IANA).
const TRY_AGAIN_LATER: u16 = 1013;
/// "Going away".
const GOING_AWAY: u16 = 1001;

/// Takes the upgrade.
pub(crate) fn upgrade(socket: Ws, visit: Visit) -> Response {
    socket
        .max_message_size(MAX_MESSAGE_LEN)
        .max_frame_size(MAX_MESSAGE_LEN)
        .max_write_buffer_size(WRITE_BUFFER)
        .on_upgrade(move |socket| hold(socket, visit))
        .into_response()
}

/// Holds one socket from beginning to end.
async fn hold(mut socket: WebSocket, visit: Visit) {
    let (outbox, mut inbox) = mpsc::channel(OUTBOX_CAPACITY);
    let rooms = visit.site.rooms();
    let id = match ask(
        &rooms.tracker,
        Connect {
            address: visit.client,
            outbox,
        },
    )
    .await
    {
        Ok(Ok(id)) => id,
        refused => {
            visit.site.metrics().sockets_refused.inc();
            let reason = match refused {
                Ok(Err(too_many)) => too_many.to_string(),
                _ => "the tracker is restarting".to_owned(),
            };
            let _ = timeout(
                WRITE_DEADLINE,
                socket.send(Message::close_with(TRY_AGAIN_LATER, reason)),
            )
            .await;
            return;
        }
    };
    visit.site.metrics().sockets.inc();
    let mut ping = interval(PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    let farewell = loop {
        let outgoing = tokio::select! {
            received = socket.next() => {
                let Some(Ok(message)) = received else { break None };
                heard = Instant::now();
                if message.is_close() {
                    break None;
                }
                if message.is_ping() || message.is_pong() {
                    continue;
                }
                let Ok(text) = std::str::from_utf8(message.as_bytes()) else { continue };
                if ask(&rooms.tracker, Incoming { socket: id, text: text.to_owned() }).await.is_err() {
                    break Some(TRY_AGAIN_LATER);
                }
                continue;
            }
            text = inbox.recv() => match text {
                Some(text) => Message::text::<String>(text),
                None => break Some(TRY_AGAIN_LATER), // the tracker let go of it
            },
            _ = ping.tick() => {
                if heard.elapsed() > SILENCE {
                    debug!("a socket of the tracker fell silent");
                    break None;
                }
                Message::ping(Vec::new())
            }
            () = visit.site.stopping().cancelled() => break Some(GOING_AWAY),
        };
        if !matches!(timeout(WRITE_DEADLINE, socket.send(outgoing)).await, Ok(Ok(()))) {
            break None;
        }
    };
    if let Some(code) = farewell {
        let _ = timeout(WRITE_DEADLINE, socket.send(Message::close_with(code, ""))).await;
    }
    visit.site.metrics().sockets.dec();
    // If the tracker is gone, so is its memory of the socket.
    let _ = ask(&rooms.tracker, Disconnect { socket: id }).await;
}
