//! Hosts: from what people type to a pod's signed introduction.
//!
//! A host is `http(s)://host[:port]` or a bare `host[:port]`. [`HostAddress`] is the parsed form; two of them that name the
//! same place are found by [`HostAddress::first_repeated`]. [`Resolver`] asks a host for its introduction and returns the
//! signed bytes exactly as received; whether the signature holds is for `seedpod-protocol` to say. After that everything
//! between two pods is libp2p.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use data_encoding::BASE64;
use serde::Deserialize;

use crate::fetch::{FetchError, Fetcher};

/// Where every pod introduces itself.
pub const INTRODUCTION_PATH: &str = "/api/v1/pods/self";

/// Largest answer that is read: an envelope is at most 64 KiB, its base64 a third more.
pub const INTRODUCTION_MAX_BYTES: usize = 96 * 1024;

/// Time for one attempt, connecting included; a bare host takes at most two.
const ATTEMPT_DEADLINE: Duration = Duration::from_secs(5);

/// Longest name the DNS can hold.
const HOST_MAX_LENGTH: usize = 253;

/// The scheme of a public URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn own_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Where a pod can be asked for: a name or IP address, maybe a port, maybe a scheme. The name is in lower case, international
/// names are in their ASCII form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAddress {
    scheme: Option<Scheme>,
    host: String,
    port: Option<u16>,
}

impl HostAddress {
    /// The scheme, if one was written.
    pub fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// The name or IP address; an IPv6 address stands in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if one was written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The first host that names the same place as one before it: same name, same port once defaults are filled in.
    pub fn first_repeated(hosts: &[Self]) -> Option<&Self> {
        let mut seen = std::collections::HashSet::new();
        hosts.iter().find(|host| !seen.insert(host.place()))
    }

    /// Whether both name the same place: same name, same port once defaults are filled in.
    pub fn same_place(&self, other: &Self) -> bool {
        self.place() == other.place()
    }

    fn place(&self) -> (&str, u16) {
        (
            &self.host,
            self.port
                .unwrap_or(self.scheme.unwrap_or(Scheme::Https).own_port()),
        )
    }

    /// The base URLs to try, in order, without a slash at the end.
    ///
    /// A written scheme is taken at its word. Otherwise https comes first where a public pod would be, and http first on
    /// this machine and on ports of people's choice, where it is the likely one.
    pub fn base_urls(&self) -> Vec<String> {
        let url = |scheme: Scheme| match self.port {
            Some(port) if port != scheme.own_port() => format!("{}://{}:{port}", scheme.name(), self.host),
            _ => format!("{}://{}", scheme.name(), self.host),
        };
        match (self.scheme, self.port) {
            (Some(scheme), _) => vec![url(scheme)],
            (None, Some(80)) => vec![url(Scheme::Http)],
            (None, Some(443)) => vec![url(Scheme::Https)],
            (None, None) if !self.is_this_machine() => vec![url(Scheme::Https), url(Scheme::Http)],
            (None, _) => vec![url(Scheme::Http), url(Scheme::Https)],
        }
    }

    /// Name and port alone, as friends are listed: `localhost:9002`.
    pub fn without_scheme(&self) -> String {
        Self {
            scheme: None,
            ..self.clone()
        }
        .to_string()
    }

    fn is_this_machine(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost"
            || bare.ends_with(".localhost")
            || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{}://", scheme.name())?;
        }
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Why a text is not a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing was written.
    #[error("a host must not be empty")]
    Empty,
    /// Another scheme than http and https.
    #[error("host `{0}` has a scheme other than http and https")]
    Scheme(String),
    /// A path, query, fragment or credentials.
    #[error("host `{0}` must be written as `host`, `host:port` or `http(s)://host[:port]`, and nothing more")]
    Surplus(String),
    /// A port that is no number between 1 and 65535.
    #[error("host `{0}` has a port that is not a number between 1 and 65535")]
    Port(String),
    /// A name the DNS could not hold.
    #[error("host `{0}` is neither a domain name nor an IP address")]
    Name(String),
}

impl FromStr for HostAddress {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let whole = || text.chars().take(2 * HOST_MAX_LENGTH).collect::<String>();
        let rest = text.trim();
        let (scheme, rest) = match rest.split_once("://") {
            None => (None, rest),
            Some((name, rest)) => {
                let scheme = match name.to_ascii_lowercase().as_str() {
                    "http" => Scheme::Http,
                    "https" => Scheme::Https,
                    _ => return Err(HostError::Scheme(whole())),
                };
                (Some(scheme), rest.strip_suffix('/').unwrap_or(rest))
            }
        };
        if rest.is_empty() {
            return Err(HostError::Empty);
        }
        if rest
            .chars()
            .any(|c| "/\\?#@%".contains(c) || c.is_whitespace() || c.is_control())
        {
            return Err(HostError::Surplus(whole()));
        }
        let (name, port) = match rest.rfind(':') {
            Some(at) if !rest[at..].contains(']') => {
                let digits = &rest[at + 1..];
                let port = digits
                    .parse()
                    .ok()
                    .filter(|port| *port != 0 && !digits.starts_with('+'));
                (&rest[..at], Some(port.ok_or_else(|| HostError::Port(whole()))?))
            }
            _ => (rest, None),
        };
        if name.is_empty() || name.len() > HOST_MAX_LENGTH {
            return Err(HostError::Name(whole()));
        }
        let host = url::Host::parse(name).map_err(|_| HostError::Name(whole()))?;
        if let url::Host::Domain(domain) = &host {
            let domain = domain.strip_suffix('.').unwrap_or(domain);
            let fits = |label: &str| {
                (1..=63).contains(&label.len())
                    && label
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
            };
            if domain.len() > HOST_MAX_LENGTH || !domain.split('.').all(fits) {
                return Err(HostError::Name(whole()));
            }
        }
        Ok(Self {
            scheme,
            host: host.to_string(),
            port,
        })
    }
}

/// What a host said about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// The base URL that answered, without a slash at its end.
    pub url: String,
    /// The signed envelope, exactly as received and not verified yet.
    pub envelope: Vec<u8>,
}

/// Why a host could not be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The text is not a host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Nobody answered under any of the URLs; the reason is that of the first.
    #[error("no answer from {url}: {error}")]
    NoAnswer {
        /// The first base URL tried.
        url: String,
        /// What went wrong there.
        error: FetchError,
    },
    /// Somebody answered, but not as a pod does.
    #[error("{0} answers, but not as a pod")]
    NotAPod(String),
}

/// Asks hosts for their introductions.
#[derive(Debug, Clone)]
pub struct Resolver {
    fetcher: Fetcher,
}

/// The answer of [`INTRODUCTION_PATH`].
#[derive(Deserialize)]
struct Answer {
    envelope: String,
}

impl Resolver {
    /// A resolver that shares the connections of `fetcher`.
    pub fn new(fetcher: Fetcher) -> Self {
        Self { fetcher }
    }

    /// Asks the host people typed.
    ///
    /// # Errors
    /// When the text is no host, nobody answers in time, or what answers is no pod.
    pub async fn resolve(&self, host: &str) -> Result<Introduction, ResolveError> {
        self.resolve_address(&host.parse()?).await
    }

    /// Asks a parsed host, trying its base URLs in order.
    ///
    /// # Errors
    /// When nobody answers in time, or what answers is no pod.
    pub async fn resolve_address(&self, host: &HostAddress) -> Result<Introduction, ResolveError> {
        let mut first_error = None;
        for url in host.base_urls() {
            match self.ask(url).await {
                Ok(introduction) => return Ok(introduction),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.expect("every host has at least one base URL"))
    }

    async fn ask(&self, url: String) -> Result<Introduction, ResolveError> {
        let asked = format!("{url}{INTRODUCTION_PATH}");
        let body = match self
            .fetcher
            .get_within(&asked, INTRODUCTION_MAX_BYTES, ATTEMPT_DEADLINE)
            .await
        {
            Ok(body) => body,
            Err(FetchError::Status { .. } | FetchError::TooLarge { .. }) => {
                return Err(ResolveError::NotAPod(url));
            }
            Err(error) => return Err(ResolveError::NoAnswer { url, error }),
        };
        let envelope = serde_json::from_slice(&body)
            .ok()
            .and_then(|answer: Answer| BASE64.decode(answer.envelope.as_bytes()).ok());
        match envelope {
            Some(envelope) => Ok(Introduction { url, envelope }),
            None => Err(ResolveError::NotAPod(url)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::fetch::tests::{Answering, answer};
    use crate::reach::Reach;

    fn parse(text: &str) -> Result<HostAddress, HostError> {
        text.parse()
    }

    #[test]
    fn hosts_are_read_and_written_back_in_one_form() {
        for (text, form) in [
            ("localhost:9002", "localhost:9002"),
            (" Pod.Example ", "pod.example"),
            ("HTTP://Pod.Example:80/", "http://pod.example:80"),
            ("https://pod.example", "https://pod.example"),
            ("127.0.0.1:9001", "127.0.0.1:9001"),
            ("[::1]:9001", "[::1]:9001"),
            ("http://[::1]", "http://[::1]"),
            ("bücher.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), form);
        }
    }

    #[test]
    fn what_is_not_a_host_is_refused_with_a_reason() {
        for text in ["", "  ", "http://", "https:///"] {
            assert!(parse(text).is_err(), "{text}");
        }
        for text in [
            "localhost:coucou",
            "localhost:",
            "localhost:0",
            "localhost:70000",
            "localhost:+80",
            "::1",
        ] {
            assert!(
                matches!(parse(text), Err(HostError::Port(_) | HostError::Name(_))),
                "{text}"
            );
        }
        for text in ["ftp://pod.example", "/ip4/127.0.0.1", "ws://a"] {
            assert!(
                matches!(parse(text), Err(HostError::Scheme(_) | HostError::Surplus(_))),
                "{text}"
            );
        }
        for text in [
            "pod.example/videos",
            "http://pod.example/a/",
            "user:pw@pod.example",
            "a b",
            "a?b",
            "a#b",
            "a\\b",
        ] {
            assert!(matches!(parse(text), Err(HostError::Surplus(_))), "{text}");
        }
        let long = format!("{}.example", "a".repeat(300));
        for text in ["[::1", "a..b", ".", "-:9000:1", "<b>", long.as_str()] {
            assert!(
                matches!(parse(text), Err(HostError::Name(_) | HostError::Port(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn the_same_place_is_recognised_however_it_is_written() {
        let same = |a: &str, b: &str| parse(a).unwrap().same_place(&parse(b).unwrap());
        assert!(same("localhost:9002", "http://LOCALHOST:9002"));
        assert!(same("http://pod.example", "pod.example:80"));
        assert!(same("pod.example", "https://pod.example:443"));
        assert!(!same("pod.example", "http://pod.example"));
        assert!(!same("localhost:9002", "localhost:9003"));
        let hosts = ["a:1", "b:1", "http://a:1"].map(|text| parse(text).unwrap());
        assert_eq!(HostAddress::first_repeated(&hosts), Some(&hosts[2]));
        assert_eq!(HostAddress::first_repeated(&hosts[..2]), None);
    }

    #[test]
    fn the_likelier_scheme_is_tried_first() {
        let urls = |text: &str| parse(text).unwrap().base_urls();
        assert_eq!(
            urls("localhost:9002"),
            ["http://localhost:9002", "https://localhost:9002"]
        );
        assert_eq!(urls("pod.example"), ["https://pod.example", "http://pod.example"]);
        assert_eq!(urls("pod.example:443"), ["https://pod.example"]);
        assert_eq!(urls("http://pod.example:80"), ["http://pod.example"]);
        assert_eq!(urls("https://pod.example:9000"), ["https://pod.example:9000"]);
    }

    #[tokio::test]
    async fn a_pod_is_resolved_to_the_bytes_it_signed() {
        let body = format!("{{\"envelope\":\"{}\"}}", BASE64.encode(b"signed bytes"));
        let pod = Answering::start(answer("200 OK", &body)).await;
        let resolver = Resolver::new(Fetcher::new(Reach::Anywhere).unwrap());
        let introduction = resolver.resolve(&pod.host()).await.unwrap();
        assert_eq!(introduction.envelope, b"signed bytes");
        assert_eq!(introduction.url, format!("http://{}", pod.host()));
    }

    #[tokio::test]
    async fn what_answers_unlike_a_pod_is_no_pod() {
        let resolver = Resolver::new(Fetcher::new(Reach::Anywhere).unwrap());
        let large = "x".repeat(INTRODUCTION_MAX_BYTES + 1);
        for (status, body) in [
            ("200 OK", "hello"),
            ("200 OK", "{\"envelope\":\"&&&\"}"),
            ("200 OK", "{\"envelope\":[1]}"),
            ("404 Not Found", "{}"),
            ("200 OK", large.as_str()),
        ] {
            let server = Answering::start(answer(status, body)).await;
            let error = resolver
                .resolve(&format!("http://{}", server.host()))
                .await
                .unwrap_err();
            assert!(matches!(error, ResolveError::NotAPod(_)), "{status}: {error}");
        }
    }

    #[tokio::test]
    async fn a_host_where_nobody_listens_gives_no_answer() {
        let host = Answering::start(String::new()).await.into_closed_host();
        let error = Resolver::new(Fetcher::new(Reach::Anywhere).unwrap())
            .resolve(&host)
            .await
            .unwrap_err();
        assert!(matches!(error, ResolveError::NoAnswer { .. }), "{error}");
    }
}
