//! Settings: from the embedded page, files, environment and flags to one typed value.
//!
//! * [`layers`] reads the layers, refuses unknown keys, merges, and remembers where each value came from.
//! * This file names every setting and its type. It and `config/default.yaml` say the same; a test holds them together.
//! * [`values`] parses what people write: durations, sizes, limits.
//!
//! Invariant: whoever holds a [`Settings`] holds checked values; nothing is parsed again later.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use seedpod_actors::seeder::ports::PortRange;
use serde::{Deserialize, Deserializer};

pub mod layers;
pub mod values;

pub use layers::{Loaded, SettingsError, Sources, load};
pub use values::{Limit, Secret, Size, Span, ValueError};

use crate::resolve::HostAddress;
use values::{deserialize_from_text, from_text};

/// All settings of one pod. What each means is written in `config/default.yaml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the web server listens.
    pub listen: Listen,
    /// The public URL.
    pub webserver: Webserver,
    /// The data folder.
    pub storage: Storage,
    /// Federation over libp2p.
    pub network: Network,
    /// The tracker.
    pub tracker: Tracker,
    /// Copies of friends' videos.
    pub mirror: Mirror,
    /// Ports for torrents.
    pub torrent: Torrent,
    /// Reverse proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Registration of new users.
    pub signup: Signup,
    /// What a new user gets.
    pub user: User,
    /// What may be uploaded.
    pub video: Video,
    /// The administrator made at the first start.
    pub root: Root,
    /// How the pod presents itself.
    pub pod: Pod,
    /// The log.
    pub log: Log,
}

/// Where the web server listens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// The address to bind.
    pub address: IpAddr,
    /// The port to bind; 0 lets the system choose.
    pub port: u16,
}

/// How the world reaches this pod.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webserver {
    /// Whether a proxy in front of the pod speaks https.
    pub https: bool,
    /// The public name, without port.
    #[serde(deserialize_with = "hostname")]
    pub hostname: String,
    /// The public port, if it is not the one that follows from `https` and `listen.port`.
    pub port: Option<u16>,
}

impl Webserver {
    /// The public URL, without a slash at its end; the port is left out when it is the scheme's own.
    pub fn public_url(&self, listening_port: u16) -> String {
        let (scheme, own_port) = if self.https { ("https", 443) } else { ("http", 80) };
        let port = self
            .port
            .unwrap_or(if self.https { own_port } else { listening_port });
        if port == own_port {
            format!("{scheme}://{}", self.hostname)
        } else {
            format!("{scheme}://{}:{port}", self.hostname)
        }
    }
}

/// Where the data is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// The data folder, made with mode 0700 if missing.
    pub folder: PathBuf,
    /// Size of the journal after the newest snapshot from which the next one is made.
    pub snapshot_after: Size,
}

/// Federation over libp2p.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Addresses to listen on.
    pub listen: Vec<Multiaddr>,
    /// Hosts to ask when "make friends" names none; no two of them are the same place.
    #[serde(deserialize_with = "distinct_hosts")]
    pub friends: Vec<HostAddress>,
    /// Who becomes a friend by asking.
    pub policy: Policy,
    /// Time between two rounds.
    pub round: Span,
    /// The score a new friend starts with.
    #[serde(deserialize_with = "score")]
    pub initial_score: u16,
    /// Whether friends may lead this pod to addresses of private networks and of this machine; what suits the public URL if
    /// nothing is said.
    pub allow_private: Option<bool>,
}

/// The tracker.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracker {
    /// Whether torrents outside the catalog are served too.
    pub open: bool,
    /// Requests a second of one address over UDP.
    pub udp_rate: u32,
}

/// Ports for torrents.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Torrent {
    /// The address to bind, if it is not that of the web server.
    pub address: Option<IpAddr>,
    /// The TCP port to bind for BitTorrent clients; 0 lets the system choose.
    pub tcp_port: u16,
    /// The UDP port to bind, if it is not the number of the web server's.
    pub udp_port: Option<Port>,
    /// UDP ports for browsers, one for each.
    pub webrtc_ports: WebRtcPorts,
    /// Addresses the world sees instead of this machine's.
    pub public_addresses: Vec<IpAddr>,
}

impl Torrent {
    /// Where to bind the UDP port, beside a web server that listens at `web`; `None` if there is to be none.
    pub fn udp_address(&self, web: SocketAddr) -> Option<SocketAddr> {
        let port = match self.udp_port {
            None => web.port(),
            Some(Port::At(port)) => port,
            Some(Port::None) => return None,
        };
        Some(SocketAddr::new(self.address.unwrap_or(web.ip()), port))
    }
}

/// A port, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// Not opened.
    None,
    /// The port to bind; 0 lets the system choose.
    At(u16),
}

impl FromStr for Port {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.trim() {
            "none" => Ok(Self::None),
            number => number
                .parse()
                .map(Self::At)
                .map_err(|_| ValueError::Port(text.to_owned())),
        }
    }
}

/// Ports for browsers, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebRtcPorts {
    /// Browsers cannot connect.
    None,
    /// One of these for each browser.
    Of(PortRange),
}

impl FromStr for WebRtcPorts {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.trim() {
            "none" => Ok(Self::None),
            range => Ok(Self::Of(range.parse()?)),
        }
    }
}

/// How much room copies of friends' videos may take; changed while the pod runs, what was set there wins.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// Those chosen by hand.
    pub by_hand: Size,
    /// The most viewed; 0 keeps none.
    pub most_viewed: Size,
}

/// Registration of new users.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signup {
    /// Whether people may register.
    pub enabled: bool,
    /// Most users, root included.
    pub limit: Limit<u32>,
}

/// What a new user gets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Sum of the sizes of one user's videos.
    pub video_quota: Limit<Size>,
}

/// What may be uploaded.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Video {
    /// Longest video.
    pub max_duration: Span,
    /// Largest file.
    pub max_size: Size,
}

/// The administrator made at the first start.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// The name to log in with.
    pub username: String,
    /// The password; one is drawn and printed once when there is none.
    pub password: Option<Secret>,
    /// How many bytes of video it may keep.
    pub video_quota: Limit<Size>,
}

/// How the pod presents itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pod {
    /// Its name on pages and in friends' lists.
    pub name: String,
    /// One sentence about it.
    pub description: String,
    /// The operator's address; may be empty.
    pub email: String,
}

/// The log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Text for people or JSON for machines.
    pub format: LogFormat,
    /// Directives such as `info` or `info,seedpod_web=debug`.
    pub level: String,
}

/// Who becomes a friend by asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Everybody.
    Open,
    /// Whoever a current friend has signed a friendship with; the operator decides about the others.
    Vouched,
    /// The operator decides every time.
    Ask,
    /// Nobody.
    Closed,
}

impl FromStr for Policy {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "open" => Ok(Self::Open),
            "vouched" => Ok(Self::Vouched),
            "ask" => Ok(Self::Ask),
            "closed" => Ok(Self::Closed),
            _ => Err(ValueError::Word {
                found: text.to_owned(),
                expected: &["open", "vouched", "ask", "closed"],
            }),
        }
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(ValueError::Word {
                found: text.to_owned(),
                expected: &["text", "json"],
            }),
        }
    }
}

/// A libp2p address as text. Its shape is checked here; the swarm says whether it has a transport for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multiaddr(String);

impl Multiaddr {
    /// The address as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Multiaddr {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let mut parts = text.split('/');
        let rooted = parts.next() == Some("");
        if rooted && parts.clone().count() >= 2 && parts.all(|part| !part.is_empty()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ValueError::Multiaddr(text.to_owned()))
        }
    }
}

deserialize_from_text!(Policy, LogFormat, Multiaddr, HostAddress, Port, WebRtcPorts);

fn hostname<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    use serde::de::Error;

    let address: HostAddress = from_text(deserializer)?;
    match (address.scheme(), address.port()) {
        (None, None) => Ok(address.host().to_owned()),
        _ => Err(D::Error::custom(format!(
            "`{address}` must be a name alone, without scheme and port"
        ))),
    }
}

fn distinct_hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<HostAddress>, D::Error> {
    use serde::de::Error;

    let hosts = Vec::<HostAddress>::deserialize(deserializer)?;
    match HostAddress::first_repeated(&hosts) {
        Some(host) => Err(D::Error::custom(format!("`{host}` is listed twice"))),
        None => Ok(hosts),
    }
}

fn score<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    use serde::de::Error;

    let score = u16::deserialize(deserializer)?;
    if (10..=1000).contains(&score) {
        Ok(score)
    } else {
        Err(D::Error::custom(format!(
            "`{score}` is not a score between 10 and 1000"
        )))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn the_udp_port_follows_the_web_server_unless_told_otherwise() {
        let web = "127.0.0.1:9001".parse().unwrap();
        let bound = |address: Option<&str>, port: Option<&str>| {
            let torrent = Torrent {
                address: address.map(|text| text.parse().unwrap()),
                tcp_port: 0,
                udp_port: port.map(|text| text.parse().unwrap()),
                webrtc_ports: WebRtcPorts::None,
                public_addresses: Vec::new(),
            };
            torrent.udp_address(web).map(|address| address.to_string())
        };
        assert_eq!(bound(None, None).as_deref(), Some("127.0.0.1:9001"));
        assert_eq!(bound(Some("::"), Some("6969")).as_deref(), Some("[::]:6969"));
        assert_eq!(bound(Some("0.0.0.0"), Some("none")), None);
        for wrong in ["", "65536", "on", "-1"] {
            assert!(wrong.parse::<Port>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn browsers_have_a_range_of_ports_or_none() {
        assert_eq!("none".parse(), Ok(WebRtcPorts::None));
        assert_eq!("0".parse(), Ok(WebRtcPorts::Of(PortRange::ANY)));
        let error = "9355-9100".parse::<WebRtcPorts>().unwrap_err();
        assert!(error.to_string().contains("9355-9100"), "{error}");
    }
}
