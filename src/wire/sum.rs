//! The Internet checksum (RFC 1071).

use std::net::IpAddr;

/// A one's-complement sum in progress, over 16-bit words in memory order, so that no byte is swapped on the way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum(u64);

impl Sum {
    /// Starts with the pseudo-header of a transport protocol (RFC 9293 section 3.1, RFC 8200 section 8.1).
    pub(super) fn pseudo(src: IpAddr, dst: IpAddr, protocol: u8, len: usize) -> Self {
        let sum = Self::default()
            .address(src)
            .address(dst)
            .word(u16::from(protocol));
        let [a, b, c, d] = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
        sum.word(u16::from_be_bytes([a, b]))
            .word(u16::from_be_bytes([c, d]))
    }

    /// Adds a word given as a number.
    pub(super) fn word(self, value: u16) -> Self {
        Self(self.0.wrapping_add(u64::from(value.to_be())))
    }

    /// Adds bytes that start at an even offset of the packet; an odd last byte is padded with zero.
    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let mut sum = self.0;
        if !blocks.is_empty() {
            sum = sum.wrapping_add(sum_blocks(blocks));
        }
        let (words, rest) = rest.as_chunks::<4>();
        for word in words {
            sum = sum.wrapping_add(u64::from(u32::from_ne_bytes(*word)));
        }
        let mut last = [0; 4];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        Self(fold_once(sum).wrapping_add(u64::from(u32::from_ne_bytes(last))))
    }

    /// The checksum field, as it lies in memory.
    pub(super) fn finish(self) -> [u8; 2] {
        (!self.fold()).to_ne_bytes()
    }

    /// The sum itself, as it lies in memory: what a checksum field holds until the device adds the rest.
    pub(super) fn partial(self) -> [u8; 2] {
        self.fold().to_ne_bytes()
    }

    /// Whether the sum, taken over a checksum field too, says that nothing was altered.
    pub(super) fn is_intact(self) -> bool {
        self.fold() == 0xffff
    }

    fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.bytes(&address.octets()),
            IpAddr::V6(address) => self.bytes(&address.octets()),
        }
    }

    fn fold(self) -> u16 {
        let mut sum = self.0;
        while let over @ 1.. = sum >> 16 {
            sum = (sum & 0xffff).wrapping_add(over);
        }
        sum as u16
    }
}

/// Bytes added per round: eight lanes of which each keeps its two halves apart, which is what SSE2 and NEON both add without carries.
const BLOCK: usize = 64;
const LANES: usize = BLOCK / 8;

fn sum_blocks(blocks: &[[u8; BLOCK]]) -> u64 {
    let mut low = [0u64; LANES];
    let mut high = [0u64; LANES];
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for ((word, low), high) in words.iter().zip(&mut low).zip(&mut high) {
            let word = u64::from_ne_bytes(*word);
            *low = low.wrapping_add(word & 0xffff_ffff);
            *high = high.wrapping_add(word >> 32);
        }
    }
    low.into_iter()
        .chain(high)
        .fold(0, |sum, lane| fold_once(sum).wrapping_add(fold_once(lane)))
}

fn fold_once(sum: u64) -> u64 {
    (sum & 0xffff_ffff).wrapping_add(sum >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn matches_the_example_of_rfc_1071() {
        let sum = Sum::default().bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.finish(), (!0xddf2u16).to_be_bytes());
    }

    #[test]
    fn the_longest_packet_of_ones_does_not_overflow() {
        let bytes = vec![0xff; 1 << 20];
        assert_eq!(Sum::default().bytes(&bytes).finish(), [0, 0]);
    }

    proptest! {
        #[test]
        fn equals_the_naive_sum(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..150) {
            let expect = naive(&bytes).to_be_bytes();
            prop_assert_eq!(Sum::default().bytes(&bytes).finish(), expect);
            let (a, b) = bytes.split_at((cut * 2).min(bytes.len() & !1));
            prop_assert_eq!(Sum::default().bytes(a).bytes(b).finish(), expect);
        }
    }
}
