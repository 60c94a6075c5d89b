//! How far the word of another pod may lead this one.
//!
//! Friends say where they live, and whoever wants to can say `127.0.0.1`, the address of a router, or the one at which clouds hand
//! out the keys of a machine. So a pod that strangers can reach looks at public addresses alone, whoever names them. What counts is the address
//! that is connected to: names are resolved first and their addresses judged ([`Reach::resolver`]), so that no name, and no second
//! answer for one, leads anywhere else. libp2p's dials are judged by the same setting, in `actors`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Which addresses may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All of them: this pod lives on a private network itself, or its operator says so.
    Anywhere,
    /// Those that are the same place for everybody ([`is_public`]).
    Public,
}

/// Somebody led us where we do not go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{host}` leads to {address}, which is no public address (the setting is network.allow_private)")]
pub struct OutOfReach {
    /// The host as it was named.
    pub host: String,
    /// Where it leads.
    pub address: IpAddr,
}

impl Reach {
    /// What suits a pod with this public URL, unless its operator decided.
    ///
    /// Only a pod that lives on this machine or on a private network has friends there too.
    pub fn of(allow_private: Option<bool>, url: &str) -> Self {
        match allow_private.unwrap_or_else(|| lives_on_a_private_address(url)) {
            true => Self::Anywhere,
            false => Self::Public,
        }
    }

    /// Whether private addresses are within reach.
    pub fn allows_private(self) -> bool {
        self == Self::Anywhere
    }

    /// Refuses a URL whose host is an address out of reach. Names are judged when they are resolved.
    ///
    /// # Errors
    /// Where it leads.
    pub fn check(self, url: &Url) -> Result<(), OutOfReach> {
        let address = match url.host() {
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        match self.allows(address) {
            true => Ok(()),
            false => Err(OutOfReach {
                host: url.host_str().unwrap_or_default().to_owned(),
                address,
            }),
        }
    }

    /// The system's resolver, without what is out of reach.
    pub fn resolver(self) -> impl Resolve + 'static {
        Resolver(self)
    }

    fn allows(self, address: IpAddr) -> bool {
        self == Self::Anywhere || is_public(address)
    }
}

/// Whether an address is the same place for everybody: not this machine, not a private, shared or link-local network, not a group
/// of machines, and none of the ranges kept for documents, tests and the future (the special-purpose registries of RFC 6890).
///
/// An IPv6 address that carries an IPv4 address (mapped, RFC 4291; translated, RFC 6052; 6to4, RFC 3056) is as public as that.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol_assignments = (a, b, c) == (192, 0, 0);
    let relays = (a, b, c) == (192, 88, 99);
    let benchmarks = a == 198 && (18..20).contains(&b);
    let special = ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_documentation();
    // 224 to 239 are groups, 240 to 255 the future.
    !(a == 0 || a >= 224 || special || shared || protocol_assignments || relays || benchmarks)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let carried = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => carried(high, low),
        [0x2002, high, low, ..] => carried(high, low),
        // Protocol assignments (Teredo, ORCHID, benchmarks) and documents.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // Only this eighth is given out; link-local, unique local and groups lie outside of it.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// Whether a pod's own public URL names this machine or a private network. Only then may friends live there too: the
/// word of another pod must not lead a public pod into its operator's own network.
fn lives_on_a_private_address(url: &str) -> bool {
    match Url::parse(url).ok().as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => {
            name == "localhost" || name.ends_with(".localhost") || name.ends_with(".local")
        }
        Some(Host::Ipv4(ip)) => !is_public_v4(ip),
        Some(Host::Ipv6(ip)) => !is_public_v6(ip),
        None => false,
    }
}

/// Resolves names, and knows only what is within reach.
struct Resolver(Reach);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let (within, out): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|address| reach.allows(address.ip()));
            match (within.is_empty(), out.first()) {
                (true, Some(address)) => Err(OutOfReach {
                    host: name.as_str().to_owned(),
                    address: address.ip(),
                }
                .into()),
                _ => Ok(Box::new(within.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn special_addresses_are_not_public_and_their_neighbours_are() {
        for (special, neighbour) in [
            ("127.0.0.1", "128.0.0.1"),
            ("127.255.255.255", "126.255.255.255"),
            ("0.0.0.0", "1.0.0.0"),
            ("10.0.0.1", "11.0.0.1"),
            ("172.16.0.1", "172.15.255.255"),
            ("172.31.255.255", "172.32.0.0"),
            ("192.168.1.1", "192.169.1.1"),
            // The address at which clouds tell a machine its secrets, and others of that use.
            ("169.254.169.254", "169.253.169.254"),
            ("100.100.100.200", "100.128.0.0"),
            ("100.64.0.0", "100.63.255.255"),
            ("192.0.0.192", "192.0.1.1"),
            ("192.0.2.1", "192.0.3.1"),
            ("198.51.100.1", "198.51.101.1"),
            ("203.0.113.1", "203.0.112.1"),
            ("198.18.0.1", "198.17.255.255"),
            ("198.19.255.255", "198.20.0.0"),
            ("192.88.99.1", "192.88.98.1"),
            ("224.0.0.1", "223.255.255.255"),
            ("255.255.255.255", "8.8.8.8"),
            ("240.0.0.1", "9.9.9.9"),
            ("::1", "2000::1"),
            ("::", "2003::1"),
            ("fe80::1", "2620:fe::fe"),
            ("fd00:ec2::254", "2606:4700::1111"),
            ("fc00::1", "2a00::1"),
            ("ff02::1", "3ffe::1"),
            ("2001:db8::1", "2001:db9::1"),
            ("2001::1", "2001:200::1"),
            ("3fff:fff::1", "3fff:1000::1"),
            ("::ffff:127.0.0.1", "::ffff:8.8.8.8"),
            ("::ffff:169.254.169.254", "::ffff:1.1.1.1"),
            ("64:ff9b::10.0.0.1", "64:ff9b::8.8.8.8"),
            ("2002:7f00:1::1", "2002:808:808::1"),
            // Once meant an IPv4 address, and still is no public one.
            ("::127.0.0.1", "2400::1"),
            ("4000::1", "3ffd::1"),
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
            assert!(is_public(neighbour.parse().unwrap()), "{neighbour}");
        }
    }

    #[test]
    fn however_an_address_is_written_it_is_judged_as_what_it_is() {
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "http://169.254.169.254/latest/meta-data/",
        ] {
            let url = Url::parse(url).unwrap();
            assert!(Reach::Public.check(&url).is_err(), "{url}");
            assert!(Reach::Anywhere.check(&url).is_ok(), "{url}");
        }
        let named = Url::parse("http://pod.example/").unwrap();
        assert_eq!(Reach::Public.check(&named), Ok(()), "judged once it is resolved");
    }

    #[test]
    fn a_pod_reaches_private_addresses_if_it_lives_on_one_or_is_told_so() {
        for private in [
            "http://localhost:9001",
            "http://10.1.2.3",
            "http://nas.local",
            "http://[fd00::1]:80",
        ] {
            assert_eq!(Reach::of(None, private), Reach::Anywhere, "{private}");
            assert_eq!(Reach::of(Some(false), private), Reach::Public, "{private}");
        }
        for public in [
            "https://pod.example",
            "http://8.8.8.8",
            "https://localhost.example",
        ] {
            assert_eq!(Reach::of(None, public), Reach::Public, "{public}");
            assert_eq!(Reach::of(Some(true), public), Reach::Anywhere, "{public}");
        }
    }

    #[tokio::test]
    async fn a_name_is_resolved_to_what_is_within_reach() {
        let name = || "localhost".parse::<Name>().unwrap();
        let found = Reach::Anywhere.resolver().resolve(name()).await.unwrap();
        assert!(found.into_iter().all(|address| address.ip().is_loopback()));
        let refused = Reach::Public.resolver().resolve(name()).await.err().unwrap();
        assert!(refused.downcast_ref::<OutOfReach>().is_some(), "{refused}");
    }
}
