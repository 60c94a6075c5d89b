//! Which pieces somebody has: one bit each, the first piece the highest bit of the first byte. Pure.

/// The pieces of one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Have {
    bits: Vec<u8>,
    pieces: u32,
    count: u32,
}

impl Have {
    /// Nothing of so many pieces.
    pub(super) fn none(pieces: u32) -> Self {
        Self {
            bits: vec![0; bytes_of(pieces)],
            pieces,
            count: 0,
        }
    }

    /// All of so many pieces.
    pub(super) fn all(pieces: u32) -> Self {
        let mut bits = vec![0xff; bytes_of(pieces)];
        if let (Some(last), spare @ 1..) = (bits.last_mut(), pieces.wrapping_neg() % 8) {
            *last <<= spare;
        }
        Self {
            bits,
            pieces,
            count: pieces,
        }
    }

    /// What a bitfield says; none if it is of another length. Bits beyond the last piece mean nothing.
    pub(super) fn from_bytes(pieces: u32, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != bytes_of(pieces) {
            return None;
        }
        let mut bits = Self::all(pieces).bits;
        for (bit, said) in bits.iter_mut().zip(bytes) {
            *bit &= said;
        }
        let count = bits.iter().map(|bits| bits.count_ones()).sum();
        Some(Self { bits, pieces, count })
    }

    /// Adds a piece, and says whether it is a new one; none if there is no such piece.
    pub(super) fn set(&mut self, piece: u32) -> Option<bool> {
        let byte = usize::try_from(piece / 8).ok()?;
        let bit = 0x80 >> (piece % 8);
        let bits = self.bits.get_mut(byte).filter(|_| piece < self.pieces)?;
        let new = *bits & bit == 0;
        *bits |= bit;
        self.count += u32::from(new);
        Some(new)
    }

    /// Whether no piece is missing.
    pub(super) fn is_complete(&self) -> bool {
        self.count == self.pieces
    }

    /// The bitfield.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bits
    }
}

fn bytes_of(pieces: u32) -> usize {
    usize::try_from(pieces.div_ceil(8)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn bits_are_in_the_order_of_the_specification() {
        for (pieces, bits) in [(0, &[][..]), (1, &[0x80]), (8, &[0xff]), (10, &[0xff, 0xc0])] {
            assert_eq!(Have::all(pieces).bytes(), bits, "{pieces} pieces");
            assert!(Have::all(pieces).is_complete());
        }
        let mut have = Have::none(10);
        assert_eq!(
            (have.set(0), have.set(9), have.set(9)),
            (Some(true), Some(true), Some(false))
        );
        assert_eq!(have.set(10), None);
        assert_eq!(have.set(u32::MAX), None);
        assert_eq!(have.bytes(), [0x80, 0x40]);
    }

    #[test]
    fn a_peer_is_complete_with_its_last_piece() {
        let mut have = Have::from_bytes(10, &[0xff, 0x80]).unwrap();
        assert!(!have.is_complete());
        have.set(9);
        assert!(have.is_complete());
        assert!(
            Have::from_bytes(10, &[0xff, 0xff]).unwrap().is_complete(),
            "spare bits mean nothing"
        );
        assert!(!Have::from_bytes(10, &[0x7f, 0xff]).unwrap().is_complete());
        assert_eq!(Have::from_bytes(10, &[0xff]), None);
        assert_eq!(Have::from_bytes(10, &[0xff; 3]), None);
    }
}
