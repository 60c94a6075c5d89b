//! What counts as one address where people are limited by where they come from.

use std::net::IpAddr;

/// The part of an address that stands for one customer: all of an IPv4 address, written as IPv6 or not, and the /64 of an
/// IPv6 address, of which every customer has at least one.
#[must_use]
pub fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here says where")]
    use super::*;

    #[test]
    fn clothes_and_the_lower_half_of_an_address_make_no_difference() {
        let counted = |address: &str| counted_as(address.parse().unwrap()).to_string();
        assert_eq!(counted("192.0.2.1"), "192.0.2.1");
        assert_eq!(counted("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(counted("2001:db8:1:2:ffff::9"), "2001:db8:1:2::");
    }
}
