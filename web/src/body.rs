//! Bodies of requests: as they arrive, and, where they are small, whole within a limit and a deadline.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tokio::runtime::Handle;
use warp::http::HeaderMap;
use warp::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};

use crate::error::ApiError;
use crate::query::Query;

/// What is thrown away of a body that nobody read to its end, so that its sender gets to read the answer.
const DRAIN_BYTES: usize = 64 * 1024 * 1024;
/// For how long.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// Longest JSON or form body, in bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;
/// Time for all of it to arrive.
const DEADLINE: Duration = Duration::from_secs(20);

/// The bytes of a request as they arrive.
///
/// Dropped before its end, it throws away what still comes, for a while, in the background: otherwise the connection
/// would be reset while the sender still writes, and it would never read why it was refused.
///
/// A sender that asked whether it may send (`Expect: 100-continue`) is told so by the first look at the body. One that was
/// refused before sends nothing, and there is nothing to throw away.
pub(crate) struct BodyStream {
    inner: Option<BoxStream<'static, Result<Bytes, warp::Error>>>,
    /// The sender waits for a word, and nobody has looked yet.
    waits: bool,
}

impl BodyStream {
    /// The body that warp hands over.
    pub(crate) fn of<B: Buf>(body: impl Stream<Item = Result<B, warp::Error>> + Send + 'static) -> Self {
        let plain = body.map(|chunk| chunk.map(|mut chunk| chunk.copy_to_bytes(chunk.remaining())));
        Self {
            inner: Some(plain.boxed()),
            waits: false,
        }
    }

    /// The same body, whose sender may have asked first whether it may send.
    pub(crate) fn asked(self, headers: &HeaderMap) -> Self {
        let expects = headers
            .get(EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        let mut body = self;
        body.waits = expects;
        body
    }
}

impl Stream for BodyStream {
    type Item = Result<Bytes, warp::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.waits = false;
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let polled = inner.as_mut().poll_next(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.inner = None;
        }
        polled
    }
}

impl Drop for BodyStream {
    fn drop(&mut self) {
        if self.waits {
            return;
        }
        let (Some(mut body), Ok(runtime)) = (self.inner.take(), Handle::try_current()) else {
            return;
        };
        runtime.spawn(tokio::time::timeout(DRAIN_TIME, async move {
            let mut left = DRAIN_BYTES;
            while let Some(Ok(chunk)) = body.next().await {
                left = left.saturating_sub(chunk.len());
                if left == 0 {
                    break;
                }
            }
        }));
    }
}

/// The length that a request says its body has.
pub(crate) fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a body of at most [`MAX_BODY`] bytes.
pub(crate) async fn small(headers: &HeaderMap, mut body: BodyStream) -> Result<Vec<u8>, ApiError> {
    let too_large = || ApiError::TooLarge(format!("the body has more than {MAX_BODY} bytes"));
    if announced_length(headers).is_some_and(|length| length > MAX_BODY as u64) {
        return Err(too_large());
    }
    let mut all = Vec::new();
    let read = tokio::time::timeout(DEADLINE, async {
        while let Some(chunk) = body.next().await {
            let chunk =
                chunk.map_err(|error| ApiError::BadRequest(format!("the body broke off: {error}")))?;
            if all.len() + chunk.len() > MAX_BODY {
                return Err(too_large());
            }
            all.extend_from_slice(&chunk);
        }
        Ok(())
    });
    let late = |_| {
        ApiError::BadRequest(format!(
            "the body took more than {} s to arrive",
            DEADLINE.as_secs()
        ))
    };
    read.await.map_err(late)??;
    Ok(all)
}

/// Reads fields from a form or from a flat JSON object; both are sent to the same addresses.
pub(crate) async fn fields(headers: &HeaderMap, body: BodyStream) -> Result<Query, ApiError> {
    let is_json = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.to_ascii_lowercase().contains("json"));
    let bytes = small(headers, body).await?;
    if !is_json {
        let text = String::from_utf8(bytes)
            .map_err(|_| ApiError::BadRequest("the form is not UTF-8 text".into()))?;
        return Query::parse(&text);
    }
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::BadRequest(format!("the JSON body cannot be read: {error}")))?;
    flatten(object)
}

/// A JSON object as the pairs of a form would be. `null` is a field without a value, which sets it to nothing; an empty
/// list is a list without items.
fn flatten(object: serde_json::Map<String, serde_json::Value>) -> Result<Query, ApiError> {
    use serde_json::Value;
    let scalar = |name: &str, value: Value| match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Array(_) | Value::Object(_) => Err(ApiError::field(name, "is nested too deeply")),
    };
    let mut fields = Query::default();
    for (name, value) in object {
        match value {
            Value::Array(items) => {
                let list = format!("{name}[]");
                if items.is_empty() {
                    fields.push(list.clone(), String::new())?;
                }
                for item in items {
                    fields.push(list.clone(), scalar(&name, item)?)?;
                }
            }
            value => {
                let value = scalar(&name, value)?;
                fields.push(name, value)?;
            }
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use futures::stream;

    fn body(bytes: impl Into<Bytes>) -> BodyStream {
        BodyStream::of(stream::iter([Ok(bytes.into())]))
    }

    fn json_headers() -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, "application/json".parse().unwrap())])
    }

    #[tokio::test]
    async fn json_and_forms_give_the_same_fields() {
        let from_form = fields(
            &HeaderMap::new(),
            body("name=a%20b&nsfw=true&category=3&tags[]=x&tags[]=y&licence="),
        )
        .await
        .unwrap();
        let json = r#"{"name":"a b","nsfw":true,"category":3,"tags":["x","y"],"licence":null}"#;
        let from_json = fields(&json_headers(), body(json)).await.unwrap();
        for query in [from_form, from_json] {
            assert_eq!(query.text("name"), Some("a b"));
            assert_eq!(query.flag("nsfw").unwrap(), Some(true));
            assert_eq!(query.parsed::<u16>("category", "a number").unwrap(), Some(3));
            assert_eq!(query.all("tags").collect::<Vec<_>>(), ["x", "y"]);
            assert!(query.has("licence") && query.text("licence").is_none());
        }
    }

    #[tokio::test]
    async fn an_empty_list_is_present_and_empty() {
        let query = fields(&json_headers(), body(r#"{"tags":[]}"#)).await.unwrap();
        assert!(query.has("tags"));
        assert_eq!(query.all("tags").count(), 0);
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_with_and_without_a_length() {
        let error = small(&HeaderMap::new(), body(vec![b'a'; MAX_BODY + 1]))
            .await
            .unwrap_err();
        assert_eq!(error.status(), 413);
        let long = HeaderMap::from_iter([(warp::http::header::CONTENT_LENGTH, (MAX_BODY + 1).into())]);
        assert_eq!(small(&long, body("")).await.unwrap_err().status(), 413);
        assert_eq!(
            small(&HeaderMap::new(), body(vec![b'a'; MAX_BODY]))
                .await
                .unwrap()
                .len(),
            MAX_BODY
        );
    }

    #[tokio::test]
    async fn json_that_cannot_be_read_is_a_400_that_says_where() {
        for bad in ["{", "[1]", "\"x\"", "{\"a\":{\"b\":1}}", "\u{0}"] {
            assert_eq!(
                fields(&json_headers(), body(bad)).await.unwrap_err().status(),
                400,
                "{bad}"
            );
        }
    }

    #[tokio::test]
    async fn a_body_that_nobody_reads_is_thrown_away_to_its_end() {
        let (said, mut heard) = tokio::sync::mpsc::channel(1);
        let chunks = stream::iter((0..10).map(|n| Ok(Bytes::from(vec![n; 1000]))));
        let end = stream::once(async move {
            said.send(()).await.unwrap();
            Ok(Bytes::new())
        });
        drop(BodyStream::of(chunks.chain(end)));
        let end = tokio::time::timeout(DRAIN_TIME, heard.recv()).await;
        assert_eq!(end, Ok(Some(())));
    }

    #[tokio::test]
    async fn a_body_that_waits_for_a_word_and_is_refused_is_left_alone() {
        let looked = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let headers = HeaderMap::from_iter([(EXPECT, "100-Continue".parse().unwrap())]);
        let asked = || {
            let looked = std::sync::Arc::clone(&looked);
            let chunk = stream::once(async move {
                looked.store(true, std::sync::atomic::Ordering::Relaxed);
                Ok(Bytes::from_static(b"video"))
            });
            BodyStream::of(chunk).asked(&headers)
        };
        drop(asked());
        tokio::task::yield_now().await;
        assert!(!looked.load(std::sync::atomic::Ordering::Relaxed));
        assert_eq!(small(&HeaderMap::new(), asked()).await.unwrap(), b"video");
    }
}
