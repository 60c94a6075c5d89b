//! The accept loop over real sockets: who is let in, both versions of HTTP, and the end.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
use std::sync::Arc;

use super::*;
use crate::body::BodyStream;
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use warp::Reply;

/// Bytes of the answer `/large`, and of each part it is made of.
const LARGE: usize = 4 * 1024 * 1024;
const PORTION: usize = 64 * 1024;
/// Nothing here takes so long.
const SOON: Duration = Duration::from_secs(30);

/// A server whose `/wait` answers when it is told to.
struct Served {
    address: SocketAddr,
    waiting: Arc<Notify>,
    go_on: Arc<Notify>,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

async fn start(grace: Duration) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (waiting, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (waits, goes) = (Arc::clone(&waiting), Arc::clone(&go_on));
    let wait = warp::path!("wait").then(move || {
        let (waits, goes) = (Arc::clone(&waits), Arc::clone(&goes));
        async move {
            waits.notify_one();
            goes.notified().await;
            "done".into_response()
        }
    });
    let who = warp::ext::optional::<RemoteAddress>()
        .map(|remote: Option<RemoteAddress>| remote.unwrap().0.ip().to_string().into_response());
    let large = warp::path!("large").map(|| {
        let portions =
            futures::stream::iter((0..LARGE / PORTION).map(|_| Ok::<_, Infallible>(vec![7; PORTION])));
        warp::reply::stream(portions).into_response()
    });
    let take = warp::path!("take").and(warp::body::stream()).then(async |body| {
        let chunks = BodyStream::of(body).take_while(|chunk| std::future::ready(chunk.is_ok()));
        chunks.count().await.to_string().into_response()
    });
    let routes = wait.or(large).unify().or(take).unify().or(who).unify();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let stop = async {
            let _ = stopped.await;
        };
        let door = Door::new(&[], WebMetrics::default(), Closing::default(), TaskTracker::new());
        run(listener, routes, door, stop, grace).await;
    });
    Served {
        address,
        waiting,
        go_on,
        stop: Some(stop),
        task,
    }
}

async fn ask(address: SocketAddr, path: &str) -> TcpStream {
    ask_from("127.0.0.1", address, path).await
}

async fn ask_from(own: &str, address: SocketAddr, path: &str) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(own.parse().unwrap(), 0)).unwrap();
    let mut socket = socket.connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}

async fn answer(mut socket: TcpStream) -> String {
    let mut text = String::new();
    let _ = socket.read_to_string(&mut text).await;
    text
}

#[tokio::test]
async fn a_request_knows_who_connected_and_a_stopped_server_takes_nobody() {
    let mut server = start(Duration::from_secs(5)).await;
    assert!(
        answer(ask(server.address, "/").await)
            .await
            .ends_with("127.0.0.1")
    );
    server.stop.take().unwrap().send(()).unwrap();
    server.task.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_running_request_is_finished_before_the_end() {
    let mut server = start(Duration::from_secs(60)).await;
    let socket = ask(server.address, "/wait").await;
    server.waiting.notified().await;
    server.stop.take().unwrap().send(()).unwrap();
    server.go_on.notify_one();
    assert!(answer(socket).await.ends_with("done"));
    server.task.await.unwrap();
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off() {
    let mut server = start(Duration::from_millis(50)).await;
    let _socket = ask(server.address, "/wait").await;
    server.waiting.notified().await;
    server.stop.take().unwrap().send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(30), server.task)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn an_address_that_has_all_its_places_is_turned_away_and_others_are_not() {
    let server = start(Duration::from_secs(5)).await;
    let mut held = Vec::new();
    for _ in 0..PLACES.per_address {
        held.push(TcpStream::connect(server.address).await.unwrap());
    }
    // Accepted and closed at once: the answer is the end of the stream, or a reset.
    assert_eq!(answer(ask(server.address, "/").await).await, "");
    let other = ask_from("127.0.0.2", server.address, "/").await;
    assert!(answer(other).await.ends_with("127.0.0.2"));
}

mod http2;
mod silence;
