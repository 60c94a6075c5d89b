//! Helpers of this crate's tests.

use bytes::Buf;
use hyper::body::Body;
use warp::reply::Response;

/// The bytes of an answer's body.
pub(crate) async fn body_of(response: Response) -> Vec<u8> {
    let mut body = response.into_body();
    let mut all = Vec::new();
    while let Some(frame) =
        std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await
    {
        let frame = frame.expect("a body made in memory does not break off");
        if let Ok(mut data) = frame.into_data() {
            all.extend_from_slice(&data.copy_to_bytes(data.remaining()));
        }
    }
    all
}
