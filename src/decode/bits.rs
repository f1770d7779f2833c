//! Bits of compressed data, the lowest one of each byte first.

/// Reads bits in the order of RFC 1951, 3.1.1, which Brotli shares.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next `count` bits, 24 at most, as a number; none if there are fewer.
    #[inline]
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let word = match rest.first_chunk() {
            Some(word) => u32::from_le_bytes(*word),
            None => rest
                .iter()
                .rev()
                .fold(0, |word, byte| word << 8 | u32::from(*byte)),
        };
        let end = self.at.saturating_add(count as usize);
        if end > self.bytes.len().saturating_mul(8) {
            return None;
        }
        let skipped = word.wrapping_shr((self.at % 8) as u32);
        self.at = end;
        Some(skipped & !u32::MAX.wrapping_shl(count))
    }

    /// What begins with the byte behind what was read.
    pub(super) fn rest(&self) -> &'a [u8] {
        let start = self.at.div_ceil(8);
        self.bytes.get(start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_lowest_bits_first_and_none_that_are_not_there() {
        let mut bits = Bits::new(&[0b1010_0110, 0xff, 0x00, 0x5a, 0xc3]);
        assert_eq!(bits.take(1), Some(0));
        assert_eq!(bits.take(3), Some(0b011));
        assert_eq!(bits.take(0), Some(0));
        assert_eq!(bits.take(24), Some(0xa00_ffa));
        assert_eq!(bits.rest(), [0xc3]);
        assert_eq!(bits.take(13), None);
        assert_eq!(bits.take(12), Some(0xc35));
        assert_eq!(bits.take(1), None);
        assert!(bits.rest().is_empty());
    }
}
