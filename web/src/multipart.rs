//! `multipart/form-data` bodies, read part by part as they arrive.
//!
//! Nothing of a part is kept that nobody asked for, and a sender cannot fill the memory: the parser is handed only so
//! much ahead of what was taken from it ([`READ_AHEAD`]), parts with endless headers end the request, fields have
//! maxima, and a sender that says nothing for [`SILENCE`] loses it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use warp::http::HeaderMap;
use warp::http::header::CONTENT_TYPE;

use crate::body::BodyStream;
use crate::error::ApiError;

/// Bytes that the parser may hold before something is taken from it.
const READ_AHEAD: usize = 512 * 1024;
/// How often the parser may ask for more without giving anything, before its part counts as malformed.
const MAX_HUNGER: usize = 3;
/// Longest text field, in bytes; descriptions have at most 10,000 characters.
const MAX_FIELD: usize = 64 * 1024;
/// Most parts of a form.
const MAX_PARTS: usize = 200;
/// Time in which the next bytes of a body must arrive.
const SILENCE: Duration = Duration::from_secs(60);

/// Whether a body is a multipart form.
pub(crate) fn is_multipart(headers: &HeaderMap) -> bool {
    content_type(headers).is_some_and(|kind| {
        kind.trim_start()
            .to_ascii_lowercase()
            .starts_with("multipart/form-data")
    })
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()
}

/// A form that is being read.
pub(crate) struct Multipart {
    inner: multer::Multipart<'static>,
    taken: Arc<AtomicUsize>,
    parts: usize,
}

impl Multipart {
    /// Begins to read a form of at most `limit` bytes in all.
    pub(crate) fn new(headers: &HeaderMap, body: BodyStream, limit: u64) -> Result<Self, ApiError> {
        let boundary = content_type(headers).and_then(|kind| multer::parse_boundary(kind).ok());
        let Some(boundary) = boundary else {
            return Err(ApiError::BadRequest(
                "this address takes a multipart/form-data body".into(),
            ));
        };
        let taken = Arc::new(AtomicUsize::new(0));
        let metered = Metered {
            body,
            taken: Arc::clone(&taken),
            seen: 0,
            given: 0,
            hunger: 0,
        };
        let limits = multer::Constraints::new().size_limit(multer::SizeLimit::new().whole_stream(limit));
        Ok(Self {
            inner: multer::Multipart::with_constraints(metered, boundary, limits),
            taken,
            parts: 0,
        })
    }

    /// The next part, once the one before was read or dropped.
    pub(crate) async fn next_part(&mut self) -> Result<Option<Part>, ApiError> {
        self.taken.fetch_add(1, Ordering::Relaxed);
        let Some(field) = patient(self.inner.next_field())
            .await?
            .map_err(|error| broken(&error))?
        else {
            return Ok(None);
        };
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(ApiError::BadRequest(format!(
                "the form has more than {MAX_PARTS} fields"
            )));
        }
        Ok(Some(Part {
            field,
            taken: Arc::clone(&self.taken),
        }))
    }
}

/// One field or file of a form.
pub(crate) struct Part {
    field: multer::Field<'static>,
    taken: Arc<AtomicUsize>,
}

impl Part {
    /// The field's name; empty if it has none.
    pub(crate) fn name(&self) -> &str {
        self.field.name().unwrap_or_default()
    }

    /// What the sender calls the file; present for files only.
    pub(crate) fn file_name(&self) -> Option<&str> {
        self.field.file_name()
    }

    /// What the sender says the file is.
    pub(crate) fn content_type(&self) -> Option<&str> {
        self.field.content_type().map(AsRef::as_ref)
    }

    /// The next bytes.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, ApiError> {
        self.taken.fetch_add(1, Ordering::Relaxed);
        patient(self.field.chunk()).await?.map_err(|error| broken(&error))
    }

    /// The whole of a text field.
    pub(crate) async fn text(self) -> Result<String, ApiError> {
        let name = self.name().to_owned();
        let bytes = self.bytes(MAX_FIELD).await?;
        String::from_utf8(bytes).map_err(|_| ApiError::field(name, "is not UTF-8 text"))
    }

    /// The whole of a small file.
    pub(crate) async fn bytes(mut self, max: usize) -> Result<Vec<u8>, ApiError> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if all.len() + chunk.len() > max {
                return Err(ApiError::TooLarge(format!(
                    "{}: has more than {max} bytes",
                    self.name()
                )));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }
}

/// Waits for a sender, but not for ever.
async fn patient<T>(step: impl Future<Output = T>) -> Result<T, ApiError> {
    tokio::time::timeout(SILENCE, step)
        .await
        .map_err(|_| ApiError::BadRequest(format!("nothing arrived for {} s", SILENCE.as_secs())))
}

/// A form that could not be read to its end.
fn broken(error: &multer::Error) -> ApiError {
    match error {
        multer::Error::StreamSizeExceeded { limit } => {
            ApiError::TooLarge(format!("the request has more than {limit} bytes"))
        }
        other => ApiError::BadRequest(format!("the form cannot be read: {other}")),
    }
}

/// Hands bytes to the parser in portions.
struct Metered {
    body: BodyStream,
    /// How often the reader took something; counted by the reader.
    taken: Arc<AtomicUsize>,
    /// That count when it was last looked at.
    seen: usize,
    /// Bytes of the running portion.
    given: usize,
    /// Whole portions handed over since the reader took something.
    hunger: usize,
}

impl Stream for Metered {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let taken = self.taken.load(Ordering::Relaxed);
        if taken != self.seen {
            (self.seen, self.given, self.hunger) = (taken, 0, 0);
        }
        if self.given >= READ_AHEAD {
            (self.given, self.hunger) = (0, self.hunger + 1);
            if self.hunger > MAX_HUNGER {
                return Poll::Ready(Some(Err(std::io::Error::other(
                    "the headers of a part do not end",
                ))));
            }
            // The parser takes all it can get in one go; a pause makes it hand on what it has.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.body).poll_next(context);
        polled.map(|chunk| {
            chunk.map(|chunk| {
                let chunk = chunk.map_err(std::io::Error::other)?;
                self.given += chunk.len();
                Ok(chunk)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use futures::{StreamExt, stream};

    fn headers() -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, "multipart/form-data; boundary=XX".parse().unwrap())])
    }

    fn form(chunks: Vec<Vec<u8>>) -> Multipart {
        let body = stream::iter(chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk))));
        Multipart::new(&headers(), BodyStream::of(body), 1 << 30).unwrap()
    }

    const FORM: &[u8] = b"--XX\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nm\xc3\xa9t\xc3\xa9o\r\n\
        --XX\r\nContent-Disposition: form-data; name=\"videofile\"; filename=\"a b.mp4\"\r\nContent-Type: video/mp4\r\n\r\n0123\r\n--X456\r\n\
        --XX\r\nContent-Disposition: form-data; name=\"tags[0]\"\r\n\r\nsky\r\n--XX--\r\n";

    async fn read(mut form: Multipart) -> Vec<(String, Option<String>, Vec<u8>)> {
        let mut parts = Vec::new();
        while let Some(part) = form.next_part().await.unwrap() {
            let (name, file) = (part.name().to_owned(), part.file_name().map(str::to_owned));
            parts.push((name, file, part.bytes(1000).await.unwrap()));
        }
        parts
    }

    #[tokio::test]
    async fn parts_are_the_same_however_the_bytes_arrive() {
        let expected = [
            ("name".to_owned(), None, "météo".into()),
            (
                "videofile".to_owned(),
                Some("a b.mp4".to_owned()),
                b"0123\r\n--X456".to_vec(),
            ),
            ("tags[0]".to_owned(), None, b"sky".to_vec()),
        ];
        for size in [1, 2, 3, 7, 64, 10_000] {
            let parts = read(form(FORM.chunks(size).map(<[u8]>::to_vec).collect())).await;
            assert_eq!(parts, expected, "in chunks of {size}");
        }
    }

    #[tokio::test]
    async fn a_form_that_breaks_off_is_an_error_and_not_a_short_file() {
        let mut form = form(vec![FORM[..FORM.len() - 60].to_vec()]);
        let mut seen = Vec::new();
        let error = loop {
            match form.next_part().await {
                Ok(Some(part)) => match part.bytes(1000).await {
                    Ok(bytes) => seen.push(bytes),
                    Err(error) => break error,
                },
                Ok(None) => panic!("the form has no end, and was read to its end"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.status(), 400);
        assert!(seen.len() <= 2);
    }

    #[tokio::test]
    async fn headers_without_an_end_do_not_fill_the_memory() {
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&taken);
        let endless = stream::iter(std::iter::repeat_with(move || {
            counter.fetch_add(64 * 1024, Ordering::Relaxed);
            Ok(Bytes::from(vec![b'a'; 64 * 1024]))
        }));
        let start = stream::iter([Ok(Bytes::from_static(b"--XX\r\nContent-Disposition: "))]);
        let mut form = Multipart::new(&headers(), BodyStream::of(start.chain(endless)), u64::MAX).unwrap();
        assert_eq!(
            form.next_part().await.err().map(|error| error.status().as_u16()),
            Some(400)
        );
        assert!(
            taken.load(Ordering::Relaxed) <= (MAX_HUNGER + 2) * READ_AHEAD,
            "{taken:?}"
        );
    }

    #[tokio::test]
    async fn a_large_file_passes_in_portions() {
        let file: Vec<Vec<u8>> = (0..64).map(|_| vec![7_u8; 256 * 1024]).collect();
        let mut chunks = vec![
            b"--XX\r\nContent-Disposition: form-data; name=\"videofile\"; filename=\"x\"\r\n\r\n".to_vec(),
        ];
        chunks.extend(file);
        chunks.push(b"\r\n--XX--\r\n".to_vec());
        let mut form = form(chunks);
        let mut part = form.next_part().await.unwrap().unwrap();
        let (mut total, mut largest) = (0, 0);
        while let Some(chunk) = part.chunk().await.unwrap() {
            total += chunk.len();
            largest = largest.max(chunk.len());
        }
        assert_eq!(total, 16 * 1024 * 1024);
        assert!(largest <= 2 * READ_AHEAD, "{largest}");
    }

    #[tokio::test]
    async fn a_form_over_its_limit_is_too_large() {
        let body = BodyStream::of(stream::iter([Ok(Bytes::from_static(FORM))]));
        let mut form = Multipart::new(&headers(), body, 20).unwrap();
        assert_eq!(
            form.next_part().await.err().map(|error| error.status().as_u16()),
            Some(413)
        );
    }

    #[test]
    fn what_is_no_form_is_not_taken_for_one() {
        assert!(is_multipart(&headers()));
        assert!(!is_multipart(&HeaderMap::from_iter([(
            CONTENT_TYPE,
            "application/json".parse().unwrap()
        )])));
        assert!(!is_multipart(&HeaderMap::new()));
    }
}
