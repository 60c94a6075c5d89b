//! Which addresses an answer names, and which of an offer are believed: none. Pure.
//!
//! Whoever makes an offer may write any address into it, of somebody's printer or of a stranger to be bothered. So nothing is sent to
//! any of them: a browser sends first, with the password from our answer, and where that came from is where it is
//! (a peer-reflexive candidate, RFC 8445 §7.3.1.3). Browsers that hide their addresses behind `.local` names lose nothing by it.
//!
//! The library finds the addresses of this machine. A pod behind a router that hands packets on unchanged (1:1 NAT, as many clouds have it)
//! has others in the eyes of the world, and those are named instead: ICE (RFC 8445) needs nothing else, for a browser's first packet
//! shows where the answer is to go.

use std::collections::HashSet;
use std::net::IpAddr;

/// What a line of candidates (RFC 8839 §5.1) begins with.
const CANDIDATE: &str = "a=candidate:";
/// Which word of such a line is the address; the port is the next one.
const ADDRESS: usize = 4;

/// The description without its candidates.
pub(super) fn without_candidates(description: &str) -> String {
    let lines = description.split_inclusive('\n');
    lines.filter(|line| !line.starts_with(CANDIDATE)).collect()
}

/// The description with each candidate of a family of addresses that has `public` ones replaced by those, at the same port. Addresses that
/// stand for none, such as `0.0.0.0`, are left out.
pub(super) fn name_addresses(description: &str, public: &[IpAddr]) -> String {
    let mut named = HashSet::new();
    let mut written = String::with_capacity(description.len());
    for line in description.split_inclusive('\n') {
        let Some((words, address, port)) = candidate(line) else {
            written.push_str(line);
            continue;
        };
        let mut instead: Vec<IpAddr> = public
            .iter()
            .filter(|public| public.is_ipv4() == address.is_ipv4())
            .copied()
            .collect();
        if instead.is_empty() {
            instead.push(address);
        }
        for address in instead {
            if !address.is_unspecified() && named.insert((address, port)) {
                let mut words: Vec<&str> = words.clone();
                let text = address.to_string();
                words[ADDRESS] = &text;
                written.push_str(&words.join(" "));
            }
        }
    }
    written
}

/// The words of a line, its address and its port, if it is a candidate with an address.
fn candidate(line: &str) -> Option<(Vec<&str>, IpAddr, u16)> {
    let words: Vec<&str> = line.starts_with(CANDIDATE).then(|| line.split(' ').collect())?;
    let address = words.get(ADDRESS)?.parse().ok()?;
    let port = words.get(ADDRESS + 1)?.parse().ok()?;
    Some((words, address, port))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    const ANSWER: &str = "v=0\r\n\
        c=IN IP4 0.0.0.0\r\n\
        a=candidate:1 1 udp 2130706431 10.0.0.7 9100 typ host\r\n\
        a=candidate:2 1 udp 2130706431 172.17.0.1 9100 typ host\r\n\
        a=candidate:3 1 udp 2130706431 fd00::7 9100 typ host ufrag x\r\n\
        a=candidate:4 1 udp 2130706431 0.0.0.0 9100 typ host\r\n\
        a=end-of-candidates\r\n";

    fn named(public: &[&str]) -> Vec<String> {
        let public: Vec<IpAddr> = public.iter().map(|text| text.parse().unwrap()).collect();
        let written = name_addresses(ANSWER, &public);
        assert!(written.starts_with("v=0\r\nc=IN IP4 0.0.0.0\r\n"), "{written}");
        assert!(written.ends_with("\r\na=end-of-candidates\r\n"), "{written}");
        let lines = written.lines().filter(|line| line.starts_with(CANDIDATE));
        lines
            .map(|line| line.split(' ').nth(ADDRESS).unwrap().to_owned())
            .collect()
    }

    #[test]
    fn an_offer_leads_nowhere() {
        assert_eq!(
            without_candidates(ANSWER),
            "v=0\r\nc=IN IP4 0.0.0.0\r\na=end-of-candidates\r\n"
        );
    }

    #[test]
    fn public_addresses_are_named_instead_of_those_of_their_family() {
        assert_eq!(named(&[]), ["10.0.0.7", "172.17.0.1", "fd00::7"]);
        assert_eq!(named(&["192.0.2.1"]), ["192.0.2.1", "fd00::7"]);
        assert_eq!(
            named(&["192.0.2.1", "2001:db8::1", "192.0.2.2"]),
            ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
        );
    }
}
