//! STUN binding ([RFC 8489](https://www.rfc-editor.org/rfc/rfc8489)): a browser asks from which address its packets arrive, to tell other
//! browsers where it can be reached.
//!
//! Of STUN this is what WebRTC needs of a server that knows nobody: a request is answered with XOR-MAPPED-ADDRESS alone. Attributes
//! of the request are passed over, as §6.3.1 has it, but for those that must be understood: then the answer names them
//! ([`Answer::UnknownAttribute`]).

use std::net::{IpAddr, SocketAddr};

/// Tells a STUN packet from all others that may arrive at the same port: bytes 4 to 8.
const MAGIC_COOKIE: [u8; 4] = 0x2112_A442_u32.to_be_bytes();
/// The length of a header, and of a request without attributes.
pub const HEADER_LEN: usize = 20;
/// How much longer an answer is than the shortest request, in bytes: the address of an IPv6 client.
pub const MAX_GROWTH: usize = 24;

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// Attributes below must be understood.
const OPTIONAL: u16 = 0x8000;
/// Attributes that must be understood by whoever has a use for them: those of WebRTC's checks between peers (RFC 8445) and of credentials,
/// which we do not ask for.
const HARMLESS: [u16; 7] = [0x0006, 0x0008, 0x0014, 0x0015, 0x001C, 0x0024, 0x0025];

/// A binding request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindingRequest {
    transaction: [u8; 12],
    /// The first attribute that must be understood and is not.
    unknown: Option<u16>,
}

/// What a request is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The address it came from.
    Mapped(SocketAddr),
    /// It has an attribute that must be understood and is not (error 420).
    UnknownAttribute(u16),
}

/// Whether a packet is meant to be STUN: a tracker's packet has zeros where STUN has its cookie, or something secret.
#[must_use]
pub fn is_stun(packet: &[u8]) -> bool {
    packet.len() >= HEADER_LEN && packet[0] & 0xC0 == 0 && packet[4..8] == MAGIC_COOKIE
}

impl BindingRequest {
    /// Reads a packet. What is no sound binding request gives nothing, and deserves no answer.
    #[must_use]
    pub fn decode(packet: &[u8]) -> Option<Self> {
        let (header, mut attributes) = packet.split_first_chunk::<HEADER_LEN>()?;
        let [t1, t0, l1, l0, rest @ ..] = header;
        let (cookie, transaction) = rest.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([*l1, *l0]));
        let is_request = u16::from_be_bytes([*t1, *t0]) == BINDING_REQUEST;
        if !is_request || *cookie != MAGIC_COOKIE || length != attributes.len() || length % 4 != 0 {
            return None;
        }
        let mut unknown = None;
        while let Some((head, rest)) = attributes.split_first_chunk::<4>() {
            let kind = u16::from_be_bytes([head[0], head[1]]);
            let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
            attributes = rest.get(length.next_multiple_of(4)..)?;
            if kind < OPTIONAL && !HARMLESS.contains(&kind) {
                unknown = unknown.or(Some(kind));
            }
        }
        Some(Self {
            transaction: transaction.try_into().ok()?,
            unknown,
        })
    }

    /// The answer for whoever asks from `address`.
    #[must_use]
    pub fn answer(&self, address: SocketAddr) -> Answer {
        match self.unknown {
            None => Answer::Mapped(address),
            Some(attribute) => Answer::UnknownAttribute(attribute),
        }
    }

    /// Writes an answer; what `out` held before is gone. It is at most [`MAX_GROWTH`] bytes longer than the shortest request, and 12 for
    /// IPv4.
    pub fn encode(&self, answer: Answer, out: &mut Vec<u8>) {
        out.clear();
        match answer {
            Answer::Mapped(address) => {
                let ip = address.ip().to_canonical();
                let length: u16 = if ip.is_ipv4() { 8 } else { 20 };
                self.header(BINDING_SUCCESS, length + 4, out);
                attribute(XOR_MAPPED_ADDRESS, length, out);
                out.extend_from_slice(&[0, if ip.is_ipv4() { 1 } else { 2 }]);
                out.extend_from_slice(&xor(address.port().to_be_bytes(), &MAGIC_COOKIE));
                match ip {
                    IpAddr::V4(ip) => out.extend_from_slice(&xor(ip.octets(), &MAGIC_COOKIE)),
                    IpAddr::V6(ip) => {
                        let key = [&MAGIC_COOKIE[..], &self.transaction].concat();
                        out.extend_from_slice(&xor(ip.octets(), &key));
                    }
                }
            }
            Answer::UnknownAttribute(unknown) => {
                self.header(BINDING_ERROR, 16, out);
                attribute(ERROR_CODE, 4, out);
                out.extend_from_slice(&[0, 0, 4, 20]);
                attribute(UNKNOWN_ATTRIBUTES, 2, out);
                out.extend_from_slice(&unknown.to_be_bytes());
                out.extend_from_slice(&[0, 0]);
            }
        }
    }

    fn header(&self, kind: u16, length: u16, out: &mut Vec<u8>) {
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&MAGIC_COOKIE);
        out.extend_from_slice(&self.transaction);
    }
}

fn attribute(kind: u16, length: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
}

fn xor<const N: usize>(mut bytes: [u8; N], key: &[u8]) -> [u8; N] {
    for (byte, key) in bytes.iter_mut().zip(key) {
        *byte ^= key;
    }
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    /// A binding request with these attributes behind its header.
    fn request(attributes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
        let transaction = b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae";
        [&[0, 1], &length[..], &MAGIC_COOKIE, transaction, attributes].concat()
    }

    fn answered(packet: &[u8], from: &str) -> Vec<u8> {
        let request = BindingRequest::decode(packet).unwrap();
        let mut out = b"left over".to_vec();
        request.encode(request.answer(from.parse().unwrap()), &mut out);
        out
    }

    /// The addresses and the transaction of the samples in RFC 5769 §2.2 and §2.3.
    #[test]
    fn addresses_are_masked_as_in_the_samples_of_the_rfc() {
        let packet = request(b"");
        let v4 = answered(&packet, "192.0.2.1:32853");
        assert_eq!(v4[..4], [1, 1, 0, 12]);
        assert_eq!(v4[4..20], packet[4..20]);
        assert_eq!(v4[20..], *b"\0\x20\0\x08\0\x01\xa1\x47\xe1\x12\xa6\x43");
        let v6 = answered(&packet, "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
        assert_eq!(
            v6[20..],
            *b"\0\x20\0\x14\0\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9"
        );
        assert_eq!(answered(&packet, "[::ffff:192.0.2.1]:32853"), v4);
        assert_eq!((v4.len(), v6.len()), (32, HEADER_LEN + MAX_GROWTH));
    }

    /// As it was captured on the way from Chromium 156 at home to a pod, and back to its router.
    #[test]
    fn a_browser_learns_the_address_of_its_router() {
        let asked = b"\0\x01\0\0\x21\x12\xa4\x42vhckExCdwpRI";
        let told = b"\x01\x01\0\x0c\x21\x12\xa4\x42vhckExCdwpRI\0\x20\0\x08\0\x01\xbd\xaa\xea\x12\xd5\x27";
        assert_eq!(answered(asked, "203.0.113.101:40120"), told);
    }

    #[test]
    fn attributes_that_may_be_ignored_are() {
        let software = b"\x80\x22\0\x05test \0\0\0\0\x06\0\x03a:b\0";
        assert_eq!(answered(&request(software), "192.0.2.1:1")[..2], [1, 1]);
        let unknown = b"\0\x7e\0\0\0\x7f\0\0";
        let error = answered(&request(unknown), "192.0.2.1:1");
        assert_eq!(error[..4], [1, 0x11, 0, 16]);
        assert_eq!(error[20..], *b"\0\x09\0\x04\0\0\x04\x14\0\x0a\0\x02\0\x7e\0\0");
    }

    #[test]
    fn what_is_no_binding_request_gives_nothing() {
        let sound = request(b"\x80\x22\0\x04abcd");
        assert!(is_stun(&sound) && BindingRequest::decode(&sound).is_some());
        let changed = |place: usize, byte: u8| {
            let mut packet = sound.clone();
            packet[place] = byte;
            packet
        };
        for packet in [
            changed(1, 0x11), // an indication
            changed(0, 1),    // an answer
            changed(1, 3),    // TURN's allocation
            changed(3, 4),    // another length
            changed(4, 0),    // another cookie
            changed(23, 5),   // an attribute beyond the end
            sound[..19].to_vec(),
            sound[..27].to_vec(),
            Vec::new(),
        ] {
            assert_eq!(BindingRequest::decode(&packet), None);
        }
        let connect = b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0tran....";
        assert!(!is_stun(connect), "a tracker's packet is none");
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_request_or_nothing(attributes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Some(sound) = BindingRequest::decode(&request(&attributes)) {
                let mut out = Vec::new();
                sound.encode(sound.answer("[2001:db8::1]:9".parse().unwrap()), &mut out);
                prop_assert!(out.len() <= HEADER_LEN + MAX_GROWTH);
            }
            let _ = BindingRequest::decode(&attributes);
        }
    }
}
