//! Small bodies: JSON and forms, read whole within a limit and a deadline.

use std::time::Duration;

use futures::StreamExt;
use warp::http::HeaderMap;
use warp::http::header::CONTENT_TYPE;

use crate::error::ApiError;
use crate::multipart::{BodyStream, announced_length, drain};
use crate::query::Query;

/// Longest JSON or form body, in bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;
/// Time for all of it to arrive.
const DEADLINE: Duration = Duration::from_secs(20);

/// Reads a body of at most [`MAX_BODY`] bytes.
pub(crate) async fn small(headers: &HeaderMap, mut body: BodyStream) -> Result<Vec<u8>, ApiError> {
    let too_large = || ApiError::TooLarge(format!("the body has more than {MAX_BODY} bytes"));
    if announced_length(headers).is_some_and(|length| length > MAX_BODY as u64) {
        drain(body);
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
    match read.await {
        Ok(Ok(())) => Ok(all),
        Ok(Err(error)) => {
            drain(body);
            Err(error)
        }
        Err(_) => Err(ApiError::BadRequest(format!(
            "the body took more than {} s to arrive",
            DEADLINE.as_secs()
        ))),
    }
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
    use bytes::Bytes;
    use futures::stream;

    fn body(bytes: impl Into<Bytes>) -> BodyStream {
        stream::iter([Ok(bytes.into())]).boxed()
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
}
