//! Clients that speak HTTP/2 without asking first, as reverse proxies do; good ones and others.

use super::*;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use h2::Reason;
use h2::client::{Connection, SendRequest};
use warp::http::Request;

/// Frames or streams that a hostile client sends.
const FLOOD: usize = 2000;

async fn connect(address: SocketAddr) -> (SendRequest<Bytes>, Connection<TcpStream, Bytes>) {
    let socket = TcpStream::connect(address).await.unwrap();
    h2::client::Builder::new()
        .initial_window_size(64 * 1024)
        .handshake(socket)
        .await
        .unwrap()
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("http://pod{path}")).body(()).unwrap()
}

/// Asks for a path and gives status and body.
async fn ask(client: &SendRequest<Bytes>, path: &str) -> Result<(u16, Vec<u8>), h2::Error> {
    let mut client = client.clone().ready().await?;
    let (response, _) = client.send_request(get(path), true)?;
    let (head, mut body) = response.await?.into_parts();
    let mut all = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        all.extend_from_slice(&chunk);
    }
    Ok((head.status.as_u16(), all))
}

#[tokio::test]
async fn many_requests_share_a_connection() {
    let server = start(Duration::from_secs(5)).await;
    let (client, connection) = connect(server.address).await;
    tokio::spawn(connection);
    let all = (0..20).map(|_| async {
        let (status, body) = ask(&client, "/large").await.unwrap();
        assert_eq!((status, body.len()), (200, LARGE));
        assert!(body.iter().all(|byte| *byte == 7));
    });
    futures::future::join_all(all).await;
    let (_, who) = ask(&client, "/").await.unwrap();
    assert_eq!(who, b"127.0.0.1");
}

#[tokio::test]
async fn more_requests_than_one_address_may_have_are_refused_whatever_the_connections() {
    let server = start(Duration::from_secs(5)).await;
    let above = 40;
    let mut asked = FuturesUnordered::new();
    let mut clients = Vec::new();
    for nth in 0..REQUESTS.per_address + above {
        if nth % 90 == 0 {
            let (client, connection) = connect(server.address).await;
            tokio::spawn(connection);
            clients.push(client);
        }
        let client = clients.last().unwrap().clone();
        let mut client = client.ready().await.unwrap();
        let (response, _) = client.send_request(get("/wait"), true).unwrap();
        asked.push(response);
    }
    for _ in 0..above {
        let response = tokio::time::timeout(SOON, asked.next()).await.unwrap().unwrap();
        assert_eq!(response.unwrap().status(), 503);
    }
    let other = ask_from("127.0.0.2", server.address, "/").await;
    assert!(answer(other).await.ends_with("127.0.0.2"));
    // Places are free again with their requests.
    drop((asked, clients));
    tokio::time::timeout(SOON, async {
        while !answer(super::ask(server.address, "/").await)
            .await
            .ends_with("127.0.0.1")
        {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_thousand_fields_in_a_kilobyte_are_too_many() {
    let server = start(Duration::from_secs(5)).await;
    let (client, connection) = connect(server.address).await;
    tokio::spawn(connection);
    let mut request = get("/");
    for _ in 0..=FIELDS {
        request.headers_mut().append("accept", "*/*".parse().unwrap());
    }
    let mut client = client.ready().await.unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    assert_eq!(response.await.unwrap().status(), 431);
    assert_eq!(ask(&client, "/").await.unwrap().0, 200);
}

#[tokio::test]
async fn at_the_end_a_running_request_is_finished_and_a_new_one_refused() {
    let mut server = start(Duration::from_secs(60)).await;
    let (client, connection) = connect(server.address).await;
    let connection = tokio::spawn(connection);
    let running = tokio::spawn({
        let client = client.clone();
        async move { ask(&client, "/wait").await }
    });
    server.waiting.notified().await;
    server.stop.take().unwrap().send(()).unwrap();
    // The goodbye ends the client's side for new requests.
    tokio::time::timeout(SOON, async { while ask(&client, "/").await.is_ok() {} })
        .await
        .unwrap();
    server.go_on.notify_one();
    assert_eq!(running.await.unwrap().unwrap(), (200, b"done".to_vec()));
    connection.await.unwrap().unwrap();
    server.task.await.unwrap();
}

#[tokio::test]
async fn who_opens_streams_only_to_reset_them_is_sent_away() {
    let server = start(Duration::from_secs(5)).await;
    let (client, connection) = connect(server.address).await;
    let connection = tokio::spawn(connection);
    for _ in 0..FLOOD {
        let Ok(mut client) = client.clone().ready().await else {
            break;
        };
        let Ok((_, mut stream)) = client.send_request(get("/large"), false) else {
            break;
        };
        stream.send_reset(Reason::CANCEL);
    }
    let ended = tokio::time::timeout(SOON, connection).await;
    // It hears why, or finds the connection gone while it still writes.
    assert!(ended.expect("the connection ends").unwrap().is_err());
    let honest = answer(super::ask(server.address, "/").await).await;
    assert!(honest.ends_with("127.0.0.1"));
}

#[tokio::test]
async fn who_sends_empty_frames_for_ever_is_sent_away() {
    let server = start(Duration::from_secs(5)).await;
    // To who reads a body, and to who does not.
    for path in ["/take", "/wait"] {
        let (client, connection) = connect(server.address).await;
        let connection = tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        let request = Request::post(format!("http://pod{path}")).body(()).unwrap();
        let (_response, mut stream) = client.send_request(request, false).unwrap();
        for _ in 0..FLOOD {
            if stream.send_data(Bytes::new(), false).is_err() {
                break;
            }
            // The client's own queue is emptied by the task of its connection.
            tokio::task::yield_now().await;
        }
        let ended = tokio::time::timeout(SOON, connection).await;
        assert!(ended.expect("the connection ends").unwrap().is_err(), "{path}");
    }
    let honest = answer(super::ask(server.address, "/").await).await;
    assert!(honest.ends_with("127.0.0.1"));
}

/// Time is paused: it passes as fast as everybody waits.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_read_is_reset_and_its_neighbours_are_not() {
    let server = start(Duration::from_secs(5)).await;
    let socket = TcpStream::connect(server.address).await.unwrap();
    let mut client = h2::client::Builder::new();
    client
        .initial_window_size(64 * 1024)
        .initial_connection_window_size(1024 * 1024);
    let (client, connection) = client.handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let mut asking = client.clone().ready().await.unwrap();
    let (response, _) = asking.send_request(get("/large"), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    let reset = async {
        // What arrives is never released, so no further window is granted.
        while let Some(chunk) = body.data().await {
            if let Err(error) = chunk {
                return error;
            }
        }
        panic!("all of it came");
    };
    let error = tokio::time::timeout(8 * PATIENCE.window, reset).await.unwrap();
    assert_eq!(error.reason(), Some(Reason::CANCEL), "{error}");
    assert_eq!(ask(&client, "/").await.unwrap().1, b"127.0.0.1");
}
