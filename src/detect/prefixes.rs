//! Beginnings of needles at the end of a haystack.

/// Needles by their first four bytes.
pub(super) struct Prefixes {
    bits: Box<[u64; WORDS]>,
    /// Sorted; letters in lower case.
    heads: Box<[u32]>,
    needles: Box<[u32]>,
}

impl Prefixes {
    /// Builds the table; `needles` have four bytes or more.
    pub(super) fn new<'n>(needles: impl Iterator<Item = &'n [u8]>) -> Prefixes {
        let mut bits = vec![0; WORDS].into_boxed_slice();
        let mut sorted: Vec<(u32, u32)> = (0u32..)
            .zip(needles)
            .filter_map(|(needle, bytes)| Some((head(bytes)?, needle)))
            .collect();
        sorted.sort_unstable();
        for (head, _) in &sorted {
            let bit = bit(*head);
            bits[bit / 64] |= 1 << (bit % 64);
        }
        Prefixes {
            bits: bits.try_into().expect("the slice has WORDS words"),
            heads: sorted.iter().map(|(head, _)| *head).collect(),
            needles: sorted.iter().map(|(_, needle)| *needle).collect(),
        }
    }

    /// Needles that may begin as `bytes` do, in order.
    #[inline]
    pub(super) fn of(&self, bytes: &[u8]) -> &[u32] {
        let Some(head) = head(bytes) else { return &[] };
        let bit = bit(head);
        if self.bits[bit / 64] >> (bit % 64) & 1 == 0 {
            return &[];
        }
        let start = self.heads.partition_point(|known| *known < head);
        let count = self.heads[start..]
            .iter()
            .take_while(|known| **known == head)
            .count();
        &self.needles[start..start + count]
    }

    /// Bytes that the table takes.
    pub(super) fn table_bytes(&self) -> usize {
        8 * WORDS + 8 * self.heads.len()
    }
}

/// 16 KiB: one bit in thirty is set by 4,000 needles.
const WORDS: usize = 1 << (BITS - 6);
const BITS: u32 = 17;

fn head(bytes: &[u8]) -> Option<u32> {
    let first = bytes.first_chunk()?;
    Some(u32::from_le_bytes(*first) | 0x2020_2020)
}

fn bit(head: u32) -> usize {
    (head.wrapping_mul(0x9e37_79b1) >> (u32::BITS - BITS)) as usize
}
