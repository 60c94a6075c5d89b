//! The first 68 bytes of each direction.

use super::WireError;
use crate::ids::InfoHash;
use crate::tracker::PeerId;

/// What every stream begins with: the length of a name, and the name.
const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

/// What a peer can do beyond BEP 3: the eight reserved bytes. Bits nobody told us about are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features([u8; 8]);

impl Features {
    /// The extension protocol (BEP 10): byte 5, bit 0x10.
    const EXTENDED: (usize, u8) = (5, 0x10);
    /// The fast extension (BEP 6): byte 7, bit 0x04.
    const FAST: (usize, u8) = (7, 0x04);

    /// What our own engine can do: both.
    #[must_use]
    pub fn ours() -> Self {
        Self::default().with(Self::EXTENDED).with(Self::FAST)
    }

    /// The features with these reserved bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Whether extended messages may be sent (BEP 10).
    #[must_use]
    pub fn extended(self) -> bool {
        self.has(Self::EXTENDED)
    }

    /// Whether the messages of the fast extension may be sent (BEP 6).
    #[must_use]
    pub fn fast(self) -> bool {
        self.has(Self::FAST)
    }

    /// What two peers have in common.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(std::array::from_fn(|byte| self.0[byte] & other.0[byte]))
    }

    fn with(mut self, (byte, bit): (usize, u8)) -> Self {
        self.0[byte] |= bit;
        self
    }

    fn has(self, (byte, bit): (usize, u8)) -> bool {
        self.0[byte] & bit != 0
    }
}

/// "I speak BitTorrent, about this torrent, and am this peer."
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// What the peer can do.
    pub features: Features,
    /// The torrent.
    pub info_hash: InfoHash,
    /// Who speaks.
    pub peer_id: PeerId,
}

impl Handshake {
    /// Its length, in bytes.
    pub const LEN: usize = 68;

    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..20].copy_from_slice(PROTOCOL);
        bytes[20..28].copy_from_slice(&self.features.0);
        bytes[28..48].copy_from_slice(self.info_hash.as_bytes());
        bytes[48..].copy_from_slice(self.peer_id.as_bytes());
        bytes
    }

    /// Reads the handshake a stream begins with; `None` while there are fewer than [`Handshake::LEN`] bytes. Bytes behind it are left alone.
    ///
    /// # Errors
    /// As soon as the first byte that does not belong there is seen.
    pub fn decode(stream: &[u8]) -> Result<Option<Self>, WireError> {
        let said = &stream[..stream.len().min(PROTOCOL.len())];
        if !PROTOCOL.starts_with(said) {
            return Err(WireError::Protocol);
        }
        let Some(bytes) = stream.first_chunk::<{ Self::LEN }>() else {
            return Ok(None);
        };
        let part = |from: usize| std::array::from_fn(|at| bytes[from + at]);
        Ok(Some(Self {
            features: Features(std::array::from_fn(|at| bytes[20 + at])),
            info_hash: InfoHash::from_bytes(part(28)),
            peer_id: PeerId::from_bytes(part(48)),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake() -> Handshake {
        Handshake {
            features: Features::ours(),
            info_hash: InfoHash::from_bytes([0xaa; 20]),
            peer_id: PeerId::from_bytes(*b"-SP0100-abcdefghijkl"),
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let bytes = handshake().encode();
        assert_eq!(&bytes[..20], b"\x13BitTorrent protocol");
        assert_eq!(bytes[20..28], [0, 0, 0, 0, 0, 0x10, 0, 0x04]);
        assert_eq!(bytes[28..48], [0xaa; 20]);
        assert_eq!(&bytes[48..], b"-SP0100-abcdefghijkl");
        assert_eq!(Handshake::decode(&bytes), Ok(Some(handshake())));
    }

    #[test]
    fn what_cannot_become_a_handshake_is_refused_at_its_first_wrong_byte() {
        let bytes = handshake().encode();
        for length in 0..Handshake::LEN {
            assert_eq!(Handshake::decode(&bytes[..length]), Ok(None), "{length} bytes");
        }
        for wrong in 0..20 {
            let mut bytes = bytes;
            bytes[wrong] ^= 1;
            assert_eq!(Handshake::decode(&bytes[..wrong]), Ok(None));
            assert_eq!(Handshake::decode(&bytes[..=wrong]), Err(WireError::Protocol));
        }
        assert_eq!(Handshake::decode(b"GET / HTTP/1.1\r\n"), Err(WireError::Protocol));
    }

    #[test]
    fn features_in_common_are_those_both_have() {
        let fast_alone = Features::from_bytes([0, 0, 0, 0, 0, 0, 0, 0x05]);
        let common = Features::ours().and(fast_alone);
        assert!(common.fast() && !common.extended());
        assert_eq!(common, Features::from_bytes([0, 0, 0, 0, 0, 0, 0, 0x04]));
    }
}
