//! The HTTP tracker: `/tracker/announce` and `/tracker/scrape` for BitTorrent clients.
//!
//! Clients come by the thousand, most with a connection for one request. So these two addresses are answered at the door, before the
//! routes of people: there is nothing to wait for, no user, no page, and the answer is one small buffer. A client's address is
//! the one it connected from, or what a trusted proxy says; what it writes into its query is not believed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use seedpod_actors::tracker::Desk;
use seedpod_actors::tracker::messages::{AnnounceClient, Family, Refusal, Way};
use seedpod_protocol::tracker::PeerId;
use seedpod_protocol::tracker::http::{HttpAnnounce, HttpReply, encode_failure, encode_scrape, parse_scrape};
use warp::http::header::{CONTENT_TYPE, HeaderValue};
use warp::http::{HeaderMap, Method, Request, StatusCode};
use warp::reply::Response;

use crate::metrics::{Answered, Part, WebMetrics};
use crate::visit::client_address;

/// Where clients announce themselves.
pub(crate) const ANNOUNCE: &str = "/tracker/announce";
/// Where they ask how large swarms are.
pub(crate) const SCRAPE: &str = "/tracker/scrape";

/// Answers clients; clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Announces {
    desk: Desk,
    trusted_proxies: Arc<[IpAddr]>,
    answered: Counter,
}

impl Announces {
    pub(crate) fn new(desk: Desk, trusted_proxies: &[IpAddr], metrics: &WebMetrics) -> Self {
        let answered = Answered::new(Part::Tracker, StatusCode::OK);
        Self {
            desk,
            trusted_proxies: trusted_proxies.into(),
            answered: metrics.requests.get_or_create_owned(&answered),
        }
    }

    /// The answer to a request of a client; `None` for all other requests.
    pub(crate) fn answer<B>(&self, request: &Request<B>, remote: IpAddr) -> Option<Response> {
        let path = request.uri().path();
        if request.method() != Method::GET || path != ANNOUNCE && path != SCRAPE {
            return None;
        }
        let query = request.uri().query().unwrap_or_default().as_bytes();
        let body = if path == ANNOUNCE {
            self.announce(query, request.headers(), remote)
        } else {
            self.scrape(query)
        };
        self.answered.inc();
        let mut response = Response::new(body.into());
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        Some(response)
    }

    fn announce(&self, query: &[u8], headers: &HeaderMap, remote: IpAddr) -> Vec<u8> {
        let announce = match HttpAnnounce::parse(query) {
            Ok(announce) => announce,
            Err(error) => {
                self.desk.count(Refusal::Unreadable);
                return encode_failure(&error.to_string());
            }
        };
        let ip = client_address(headers, remote, &self.trusted_proxies);
        let reply = self.desk.announce(&AnnounceClient {
            way: Way::Http,
            info_hash: announce.info_hash,
            peer_id: announce.peer_id,
            address: SocketAddr::new(ip, announce.port),
            event: announce.event,
            left: announce.left,
            wanted: announce.numwant,
            family: Family::Any,
        });
        let reply = match reply {
            Ok(Ok(reply)) => reply,
            Ok(Err(refusal)) => return encode_failure(refusal.text()),
            Err(restarting) => return encode_failure(&restarting.to_string()),
        };
        let peers: Vec<(PeerId, SocketAddr)> = reply
            .peers
            .iter()
            .map(|found| (found.id, found.address))
            .collect();
        HttpReply {
            interval: reply.interval,
            min_interval: reply.min_interval,
            counts: reply.counts,
            peers: &peers,
            form: announce.form,
        }
        .encode()
    }

    fn scrape(&self, query: &[u8]) -> Vec<u8> {
        let info_hashes = match parse_scrape(query) {
            Ok(info_hashes) => info_hashes,
            Err(error) => {
                self.desk.count(Refusal::Unreadable);
                return encode_failure(&error.to_string());
            }
        };
        match self.desk.scrape(&info_hashes) {
            Ok(counts) => {
                let files: Vec<_> = info_hashes.into_iter().zip(counts).collect();
                encode_scrape(&files)
            }
            Err(restarting) => encode_failure(&restarting.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use crate::testing::body_of;
    use seedpod_actors::tracker::TrackerConfig;

    fn announces() -> Announces {
        let desk = Desk::new(TrackerConfig {
            open: true,
            ..TrackerConfig::default()
        });
        Announces::new(desk, &["127.0.0.1".parse().unwrap()], &WebMetrics::default())
    }

    fn request(path_and_query: &str) -> Request<()> {
        Request::get(path_and_query).body(()).unwrap()
    }

    /// What a client at this address is told.
    async fn told(announces: &Announces, path_and_query: &str, remote: &str) -> String {
        let response = announces.answer(&request(path_and_query), remote.parse().unwrap());
        let response = response.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/plain");
        String::from_utf8_lossy(&body_of(response).await).into_owned()
    }

    fn announce(more: &str) -> String {
        let hash = "%ff".repeat(20);
        format!("/tracker/announce?info_hash={hash}&peer_id=-XX0000-000000000000&{more}")
    }

    #[tokio::test]
    async fn clients_find_each_other_and_not_where_they_say_they_are() {
        let announces = announces();
        let seeder = announce("port=6881&left=0&ip=198.51.100.9&ipv4=198.51.100.9");
        told(&announces, &seeder, "192.0.2.1").await;
        let leecher = announce("port=7000&left=5&compact=0");
        assert_eq!(
            told(&announces, &leecher, "192.0.2.2").await,
            "d8:completei1e10:downloadedi0e10:incompletei1e8:intervali600e12:min intervali60e\
             5:peersld2:ip9:192.0.2.17:peer id20:-XX0000-0000000000004:porti6881eeee"
        );
        let scrape = format!("/tracker/scrape?info_hash={}", "%FF".repeat(20));
        let size = told(&announces, &scrape, "192.0.2.3").await;
        assert!(
            size.ends_with("d8:completei1e10:downloadedi0e10:incompletei1eeee"),
            "{size}"
        );
    }

    #[tokio::test]
    async fn a_trusted_proxy_says_where_a_client_is_and_nobody_else_does() {
        let announces = announces();
        for (remote, port) in [("127.0.0.1", 1), ("192.0.2.9", 2)] {
            let mut request = request(&announce(&format!("port={port}&left=0")));
            let forwarded = "203.0.113.7".parse().unwrap();
            request.headers_mut().insert("x-forwarded-for", forwarded);
            announces.answer(&request, remote.parse().unwrap()).unwrap();
        }
        let told = told(
            &announces,
            &announce("port=3&left=1&compact=0&no_peer_id=1"),
            "192.0.2.3",
        )
        .await;
        assert!(told.contains("d2:ip11:203.0.113.74:porti1ee"), "{told}");
        assert!(told.contains("d2:ip9:192.0.2.94:porti2ee"), "{told}");
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_in_bencode() {
        let announces = announces();
        assert_eq!(
            told(&announces, "/tracker/announce", "192.0.2.1").await,
            "d14:failure reason17:missing info_hashe"
        );
        assert_eq!(
            told(&announces, "/tracker/scrape?info_hash=abc", "192.0.2.1").await,
            "d14:failure reason34:info_hash has 3 bytes, expected 20e"
        );
        let refused = announces.desk.stats().totals.refused[Refusal::Unreadable as usize];
        assert_eq!(refused, 2);
    }

    #[test]
    fn other_requests_are_for_others() {
        let announces = announces();
        let client = "192.0.2.1".parse().unwrap();
        for path in [
            "/",
            "/tracker/announcement",
            "/tracker/socket",
            "/tracker/announce/",
        ] {
            assert!(announces.answer(&request(path), client).is_none(), "{path}");
        }
        let post = Request::post(ANNOUNCE).body(()).unwrap();
        assert!(announces.answer(&post, client).is_none());
    }
}
