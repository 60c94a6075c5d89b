//! Small files from other pods over HTTP: introductions, pictures, torrents.
//!
//! Whoever answers is a stranger. So each fetch has a deadline, a largest size that is enforced while the bytes arrive, and
//! follows redirects only within the host that was asked. Nobody leads us to an address that is out of [`Reach`], neither by a
//! name nor by a redirect. Proxies named in the environment are not used: pods talk to each other directly.

use std::time::Duration;

use reqwest::header::RANGE;
use reqwest::redirect;
use reqwest::{Client, StatusCode};
use url::Url;

use crate::reach::{OutOfReach, Reach};

/// Time to open a connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// Time for a whole fetch, connecting included.
const FETCH_DEADLINE: Duration = Duration::from_secs(15);

/// Time for a part of a large file.
const RANGE_DEADLINE: Duration = Duration::from_secs(60);

/// Redirects followed within one host, for example from http to https.
const REDIRECTS_MAX: usize = 3;

/// Connections kept open per host for the next fetch.
const IDLE_CONNECTIONS_PER_HOST: usize = 2;

/// Installs the TLS implementation for the whole process. Call it once, before the first [`Fetcher`]; again does no harm.
pub fn install_tls() {
    // An error only says that somebody installed one before us.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Fetches small files into memory. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: Client,
    reach: Reach,
}

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No HTTP client can be made on this machine.
    #[error("cannot prepare for https: {0}")]
    Client(String),
    /// What was asked for is no URL.
    #[error("`{0}` is no URL")]
    Url(String),
    /// It lies where this pod does not go.
    #[error(transparent)]
    OutOfReach(#[from] OutOfReach),
    /// No connection, or a broken one.
    #[error("{0}")]
    Network(String),
    /// Not all of it arrived before the deadline.
    #[error("no whole answer within {0:?}")]
    Timeout(Duration),
    /// An answer other than 200.
    #[error("{url} answers {status}")]
    Status {
        /// What was asked.
        url: String,
        /// How it was answered.
        status: StatusCode,
    },
    /// More bytes than allowed.
    #[error("{url} is larger than {max} bytes")]
    TooLarge {
        /// What was asked.
        url: String,
        /// The most that would have been taken.
        max: usize,
    },
}

impl Fetcher {
    /// A fetcher with its own connections.
    ///
    /// # Errors
    /// When TLS cannot be prepared even without the system's certificates.
    pub fn new(reach: Reach) -> Result<Self, FetchError> {
        install_tls();
        let client = Self::builder(reach).build().or_else(|error| {
            // Bare containers have no certificates. Pods on plain http can still be friends.
            tracing::warn!(%error, "the system's certificates cannot be used, https to other pods will fail");
            Self::builder(reach).tls_certs_only([]).build()
        });
        client
            .map(|client| Self { client, reach })
            .map_err(|error| FetchError::Client(causes(&error)))
    }

    fn builder(reach: Reach) -> reqwest::ClientBuilder {
        Client::builder()
            .no_proxy()
            .dns_resolver(reach.resolver())
            .user_agent(concat!("seedpod/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_DEADLINE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST)
            .redirect(redirect::Policy::custom(|attempt| {
                let asked = attempt
                    .previous()
                    .first()
                    .and_then(|url| url.host_str().map(str::to_owned));
                if attempt.previous().len() > REDIRECTS_MAX || asked.as_deref() != attempt.url().host_str() {
                    attempt.stop()
                } else {
                    attempt.follow()
                }
            }))
    }

    /// The whole file at `url`, of at most `max` bytes.
    ///
    /// # Errors
    /// When the network fails, the answer is not 200 or the file is larger. Nothing of it is kept then.
    pub async fn get(&self, url: &str, max: usize) -> Result<Vec<u8>, FetchError> {
        self.get_within(url, max, FETCH_DEADLINE).await
    }

    /// As [`Fetcher::get`], with a deadline for all of it.
    ///
    /// # Errors
    /// As [`Fetcher::get`], and when the deadline passes.
    pub async fn get_within(&self, url: &str, max: usize, deadline: Duration) -> Result<Vec<u8>, FetchError> {
        self.fetch(url, None, max, deadline).await
    }

    /// At most `count` bytes of the file at `url`, from `first` on.
    ///
    /// # Errors
    /// As [`Fetcher::get`]; also when the host gives the whole file instead of a part.
    pub async fn get_range(&self, url: &str, first: u64, count: usize) -> Result<Vec<u8>, FetchError> {
        self.fetch(url, Some(first), count, RANGE_DEADLINE).await
    }

    async fn fetch(
        &self,
        url: &str,
        first: Option<u64>,
        max: usize,
        deadline: Duration,
    ) -> Result<Vec<u8>, FetchError> {
        let network = |error: reqwest::Error| match out_of_reach(&error) {
            Some(error) => FetchError::OutOfReach(error.clone()),
            None if error.is_timeout() => FetchError::Timeout(deadline),
            None => FetchError::Network(causes(&error.without_url())),
        };
        let too_large = || FetchError::TooLarge {
            url: url.to_owned(),
            max,
        };

        let parsed = Url::parse(url).map_err(|_| FetchError::Url(url.to_owned()))?;
        // A redirect stays with this host, so it is judged by this too.
        self.reach.check(&parsed)?;
        let mut request = self.client.get(parsed).timeout(deadline);
        let mut expected = StatusCode::OK;
        if let Some(first) = first {
            let last = first + (max as u64).saturating_sub(1);
            request = request.header(RANGE, format!("bytes={first}-{last}"));
            expected = StatusCode::PARTIAL_CONTENT;
        }
        let mut response = request.send().await.map_err(network)?;
        if response.status() != expected {
            return Err(FetchError::Status {
                url: url.to_owned(),
                status: response.status(),
            });
        }
        if response
            .content_length()
            .is_some_and(|length| length > max as u64)
        {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(network)? {
            if body.len() + chunk.len() > max {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// Whether a request failed because a name led out of reach.
fn out_of_reach(error: &reqwest::Error) -> Option<&OutOfReach> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// An error and its causes in one line: the outermost alone says little ("error sending request").
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;

    /// A server which gives every connection the same answer, for tests of strangers' behaviour.
    pub(crate) struct Answering {
        port: u16,
        asked: Arc<AtomicBool>,
        task: JoinHandle<()>,
    }

    impl Answering {
        pub(crate) async fn start(answer: String) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let asked = Arc::<AtomicBool>::default();
            let was_asked = Arc::clone(&asked);
            let task = tokio::spawn(async move {
                loop {
                    let (mut socket, _) = listener.accept().await.unwrap();
                    was_asked.store(true, Ordering::Relaxed);
                    let answer = answer.clone();
                    tokio::spawn(async move {
                        let mut request = [0; 4096];
                        let _ = socket.read(&mut request).await;
                        let _ = socket.write_all(answer.as_bytes()).await;
                    });
                }
            });
            Self { port, asked, task }
        }

        pub(crate) fn host(&self) -> String {
            format!("127.0.0.1:{}", self.port)
        }

        /// Whether anybody connected.
        pub(crate) fn was_asked(&self) -> bool {
            self.asked.load(Ordering::Relaxed)
        }

        /// Stops answering; nobody listens at the host any more.
        pub(crate) fn into_closed_host(self) -> String {
            self.host()
        }
    }

    impl Drop for Answering {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    pub(crate) fn answer(status: &str, body: &str) -> String {
        format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    #[tokio::test]
    async fn a_file_within_the_limit_is_fetched_whole() {
        let server = Answering::start(answer("200 OK", "12345")).await;
        let url = format!("http://{}/file", server.host());
        let fetcher = Fetcher::new(Reach::Anywhere).unwrap();
        assert_eq!(fetcher.get(&url, 5).await.unwrap(), b"12345");
        assert!(matches!(
            fetcher.get(&url, 4).await,
            Err(FetchError::TooLarge { max: 4, .. })
        ));
    }

    #[tokio::test]
    async fn a_file_of_unknown_length_is_cut_off_at_the_limit() {
        let endless = format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}",
            "x".repeat(100_000)
        );
        let server = Answering::start(endless).await;
        let result = Fetcher::new(Reach::Anywhere)
            .unwrap()
            .get(&format!("http://{}/", server.host()), 1000)
            .await;
        assert!(matches!(result, Err(FetchError::TooLarge { .. })), "{result:?}");
    }

    #[tokio::test]
    async fn a_redirect_to_another_host_is_not_followed() {
        let secret = Answering::start(answer("200 OK", "inner network")).await;
        let elsewhere = format!("http://localhost:{}/", secret.port);
        let redirect = format!("HTTP/1.1 302 Found\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n");
        let server = Answering::start(redirect).await;
        let result = Fetcher::new(Reach::Anywhere)
            .unwrap()
            .get(&format!("http://{}/", server.host()), 1000)
            .await;
        assert!(
            matches!(
                result,
                Err(FetchError::Status {
                    status: StatusCode::FOUND,
                    ..
                })
            ),
            "{result:?}"
        );
    }

    #[tokio::test]
    async fn nobody_leads_out_of_reach_by_number_or_by_name() {
        let secret = Answering::start(answer("200 OK", "inner network")).await;
        let port = secret.port;
        let fetcher = Fetcher::new(Reach::Public).unwrap();
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"] {
            let result = fetcher.get(&format!("http://{host}:{port}/"), 1000).await;
            assert!(
                matches!(result, Err(FetchError::OutOfReach(_))),
                "{host}: {result:?}"
            );
        }
        assert!(!secret.was_asked());
        let allowed = Fetcher::new(Reach::Anywhere).unwrap();
        let url = format!("http://localhost:{port}/");
        assert_eq!(allowed.get(&url, 1000).await.unwrap(), b"inner network");
        assert!(secret.was_asked());
    }

    #[tokio::test]
    async fn a_silent_host_is_given_up_at_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let result = Fetcher::new(Reach::Anywhere)
            .unwrap()
            .get_within(&url, 10, Duration::from_millis(50))
            .await;
        assert!(matches!(result, Err(FetchError::Timeout(_))), "{result:?}");
    }
}
