//! The Content-Security-Policy of a page: its own pod and the sources of the video it shows, nobody else.
//!
//! Sources come from other pods' records, so none is copied into the header as text: each is parsed as a URL and only
//! its origin is written. What is no http(s) or ws(s) URL with a host is left out.

use std::collections::BTreeSet;

use url::Url;

/// More sources than this are left out: a page shows one video.
const MAX_SOURCES: usize = 64;

/// What one page may load.
#[derive(Debug, Clone, Default)]
pub(crate) struct Csp {
    media: BTreeSet<String>,
    connect: BTreeSet<String>,
    embeddable: bool,
}

impl Csp {
    /// The policy of a page of the pod that people reach at `own_urls` (its public URL, and the address they used).
    pub(crate) fn of<'a>(own_urls: impl IntoIterator<Item = &'a str>) -> Self {
        let mut csp = Self::default();
        for url in own_urls {
            // Not every browser takes `'self'` for the WebSocket of the same host.
            if let Some(own) = origin(url) {
                csp.connect.insert(own.replacen("http", "ws", 1));
            }
        }
        csp
    }

    /// Lets the page play media from there and fetch it, as web seeds do.
    pub(crate) fn media(mut self, url: &str) -> Self {
        if let Some(origin) = origin(url).filter(|_| self.media.len() < MAX_SOURCES) {
            self.media.insert(origin);
        }
        self.connect(url)
    }

    /// Lets the page connect there.
    pub(crate) fn connect(mut self, url: &str) -> Self {
        if let Some(origin) = origin(url).filter(|_| self.connect.len() < MAX_SOURCES) {
            self.connect.insert(origin);
        }
        self
    }

    /// Lets any site show the page in a frame, as the embedded player needs.
    pub(crate) fn embeddable(mut self) -> Self {
        self.embeddable = true;
        self
    }

    /// The header's value.
    pub(crate) fn header(&self) -> String {
        let list = |sources: &BTreeSet<String>| {
            sources
                .iter()
                .fold(String::new(), |text, source| text + " " + source)
        };
        format!(
            "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:{}; connect-src 'self'{}; \
             worker-src 'self'; frame-ancestors {}; form-action 'self'; base-uri 'none'; object-src 'none'",
            list(&self.media),
            list(&self.connect),
            if self.embeddable { "*" } else { "'self'" },
        )
    }
}

/// The origin of an http(s) or ws(s) URL in its normal form, `http://localhost:9001`.
pub(crate) fn origin(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    if !matches!(url.scheme(), "http" | "https" | "ws" | "wss") {
        return None;
    }
    let origin = url.origin().ascii_serialization();
    // The parser lets more characters into hosts than a policy can hold.
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'/' | b'[' | b']')
    };
    origin.bytes().all(plain).then_some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_its_pod_and_the_sources_of_its_video_exactly() {
        let csp = Csp::of(["http://localhost:9001"])
            .media("http://localhost:9003/static/webseed/x.mp4")
            .connect("ws://localhost:9003/tracker/socket");
        assert_eq!(
            csp.header(),
            "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob: http://localhost:9003; \
             connect-src 'self' http://localhost:9003 ws://localhost:9001 ws://localhost:9003; worker-src 'self'; frame-ancestors 'self'; \
             form-action 'self'; base-uri 'none'; object-src 'none'"
        );
    }

    #[test]
    fn default_ports_and_paths_are_left_out() {
        assert_eq!(
            origin("https://pod.example:443/static/x?y#z").as_deref(),
            Some("https://pod.example")
        );
        assert_eq!(
            origin("wss://pod.example/tracker/socket").as_deref(),
            Some("wss://pod.example")
        );
        assert_eq!(origin("http://[::1]:9000/").as_deref(), Some("http://[::1]:9000"));
    }

    #[test]
    fn text_of_strangers_cannot_add_a_directive() {
        let hostile = [
            "http://a; script-src *",
            "javascript:alert(1)",
            "data:text/html,x",
            "http://*",
            "http://a'b/",
            "*",
            "",
            "http://",
            "file:///etc/passwd",
            "http://a,b/",
            "http://a%3Bb/",
        ];
        let plain = Csp::of([]).header();
        for url in hostile {
            assert_eq!(Csp::of([url]).media(url).connect(url).header(), plain, "{url}");
        }
    }

    #[test]
    fn only_the_embedded_player_may_be_framed_by_others() {
        assert!(Csp::of([]).header().contains("frame-ancestors 'self';"));
        assert!(Csp::of([]).embeddable().header().contains("frame-ancestors *;"));
    }

    #[test]
    fn a_record_with_thousands_of_sources_gives_a_short_header() {
        let csp = (0..5000).fold(Csp::default(), |csp, n| {
            csp.media(&format!("http://host-{n}.example/"))
        });
        assert!(csp.header().len() < 8 * 1024);
    }
}
