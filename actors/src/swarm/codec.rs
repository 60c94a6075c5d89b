//! How a directed request and its answer travel: one stream each, one canonical CBOR item a direction, ended by closing the direction.
//!
//! Reads stop at the maxima of the protocol whatever the other side sends. The kind of an error tells who is at fault: `InvalidData` the
//! peer, `InvalidInput` we ourselves (a value too large to send), anything else the line. Decoding happens in the connection's own
//! task, off the driver.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response};
use seedpod_protocol::{
    codec::{self, CodecError},
    limits,
    requests::{Request, Response},
    topics,
};

/// The name of the protocol.
pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new(topics::REQUESTS);

/// A request as it came or goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// One that this version knows.
    Known(Request),
    /// Sound CBOR, but none of our requests: a later version asks. It gets an answer and no blame.
    Unknown(String),
    /// Too long, or no sound CBOR. A value rather than an error, because libp2p does not tell us about requests that it fails to read.
    Malformed(String),
}

/// The codec of directed requests.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Codec;

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Asked;
    type Response = Response;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Asked>
    where
        T: AsyncRead + Unpin + Send,
    {
        let bytes = match read_to_end(io, limits::REQUEST_MAX).await {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Ok(Asked::Malformed(error.to_string()));
            }
            read => read?,
        };
        Ok(match Request::decode(&bytes) {
            Ok(request) => Asked::Known(request),
            Err(error) if codec::check(&bytes, limits::REQUEST_MAX).is_ok() => {
                Asked::Unknown(error.to_string())
            }
            Err(error) => Asked::Malformed(error.to_string()),
        })
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        let bytes = read_to_end(io, limits::RESPONSE_MAX).await?;
        Response::decode(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Asked) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        match request {
            Asked::Known(request) => io.write_all(&request.encode().map_err(ours)?).await,
            Asked::Unknown(_) | Asked::Malformed(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: Response,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&response.encode().map_err(ours)?).await
    }
}

async fn read_to_end<T: AsyncRead + Unpin + Send>(io: &mut T, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io.take(max as u64 + 1).read_to_end(&mut bytes).await?;
    if bytes.is_empty() {
        // The other side gave up before it said anything: no fault of its encoding.
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if bytes.len() > max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("more than {max} bytes"),
        ));
    }
    Ok(bytes)
}

/// A value that no pod would take is our own mistake.
fn ours(error: CodecError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;
    use libp2p::request_response::Codec as _;

    use super::*;

    async fn read(bytes: Vec<u8>) -> io::Result<Asked> {
        Codec.read_request(&PROTOCOL, &mut Cursor::new(bytes)).await
    }

    #[tokio::test]
    async fn a_request_comes_out_as_it_went_in() {
        let mut line = Cursor::new(Vec::new());
        let asked = Asked::Known(Request::ListFriends);
        Codec
            .write_request(&PROTOCOL, &mut line, asked.clone())
            .await
            .expect("fits");
        assert_eq!(read(line.into_inner()).await.expect("what was written"), asked);
    }

    #[tokio::test]
    async fn the_peer_is_to_blame_for_noise_and_for_too_much() {
        for bytes in [vec![0xff; 20], vec![0; limits::REQUEST_MAX + 1]] {
            assert!(matches!(read(bytes).await, Ok(Asked::Malformed(_))));
        }
    }

    #[tokio::test]
    async fn nobody_is_to_blame_for_silence_or_for_a_later_version() {
        assert_eq!(
            read(vec![]).await.expect_err("refused").kind(),
            io::ErrorKind::UnexpectedEof
        );
        let later = codec::encode(&(1_u64, "a-request-of-tomorrow"));
        assert!(matches!(read(later).await, Ok(Asked::Unknown(_))));
    }

    #[tokio::test]
    async fn what_no_pod_would_take_is_not_sent() {
        let mut line = Cursor::new(Vec::new());
        let page = Response::Page {
            envelopes: vec![vec![0; 64 * 1024]; 70],
            more: false,
        };
        let error = Codec
            .write_response(&PROTOCOL, &mut line, page)
            .await
            .expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(line.into_inner().is_empty());
    }

    #[tokio::test]
    async fn reading_stops_at_the_maximum_of_an_endless_answer() {
        let mut endless = futures::io::repeat(0x82);
        let error = Codec
            .read_response(&PROTOCOL, &mut endless)
            .await
            .expect_err("too much");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
