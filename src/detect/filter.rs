//! Which samples of a haystack can begin a gram: one bit in a table for each, looked up for eight samples at once where
//! the processor can. The only unsafe code of `detect`: a gather reads where it is told to, checked or not.

/// A set of grams by their hashes: of five bytes without regard to letter case if they are folded, else of three bytes as
/// they are.
pub(super) struct Filter<const FOLDED: bool> {
    /// One bit for each hash.
    table: Box<[u32]>,
    is_empty: bool,
}

/// Samples that passed: where their block begins, and a bit for each lane.
pub(super) type Passed = [(u16, u16); BLOCKS];

/// No samples yet.
pub(super) const NONE: Passed = [(0, 0); BLOCKS];

/// Distance of samples.
pub(super) const STEP: usize = 4;
/// Samples that are filtered together, as one block.
const LANES: usize = 8;
/// Bytes from block to block.
const STRIDE: usize = LANES * STEP;
/// Blocks of a round: what passes the filter is still in the first-level cache when it is compared.
const BLOCKS: usize = 64;
/// Bytes of a round.
pub(super) const ROUND: usize = BLOCKS * STRIDE;
/// Bytes that the samples of a block reach.
const BLOCK: usize = STRIDE + STEP;
/// Makes letters lower case (and merges some other bytes, which the comparison tells apart).
const FOLD: u32 = 0x2020_2020;
/// 2^32 divided by the golden ratio.
const SPREAD: u32 = 0x9e37_79b1;
/// An odd number without pattern, for the fifth byte.
const SPREAD_FIFTH: u32 = 0x85eb_ca6b;

impl<const FOLDED: bool> Filter<FOLDED> {
    /// 256 KiB, which the second-level cache of a phone holds, and half of that for the grams that are looked up in all that
    /// is searched.
    const BITS: u32 = if FOLDED { 21 } else { 20 };

    pub(super) fn new() -> Self {
        Filter {
            table: vec![0; 1 << (Self::BITS - 5)].into_boxed_slice(),
            is_empty: true,
        }
    }

    /// Adds the gram that begins `sample`.
    pub(super) fn add(&mut self, sample: u64) {
        let bit = Self::hash(sample) >> (u32::BITS - Self::BITS);
        self.table[bit as usize / 32] |= 1 << (bit % 32);
        self.is_empty = false;
    }

    /// Whether nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// Hash of the gram that begins `sample`.
    #[inline]
    pub(super) fn hash(sample: u64) -> u32 {
        if FOLDED {
            let first = sample as u32 | FOLD;
            let fifth = (sample >> 32) as u32 & 0xff | 0x20;
            first
                .wrapping_mul(SPREAD)
                .wrapping_add(fifth.wrapping_mul(SPREAD_FIFTH))
        } else {
            ((sample as u32) << 8).wrapping_mul(SPREAD)
        }
    }

    /// Filters the samples that begin in the first `length` bytes of `haystack`, of [`ROUND`] at most; the result is how many
    /// entries of `passed` count.
    #[inline]
    pub(super) fn round(&self, haystack: &[u8], length: usize, passed: &mut Passed) -> usize {
        let whole = haystack.len().saturating_sub(BLOCK - STRIDE).min(length) / STRIDE;
        let (whole, mut count) = (whole.min(BLOCKS), 0);
        let lanes = |lanes: u16, block: usize, count: &mut usize| {
            passed[*count % BLOCKS] = ((block * STRIDE) as u16, lanes);
            *count += usize::from(lanes != 0);
        };
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            unsafe { avx2::blocks(self, haystack, whole, lanes, &mut count) };
            return self.last(haystack, length, whole, passed, count);
        }
        self.blocks(haystack, whole, lanes, &mut count);
        self.last(haystack, length, whole, passed, count)
    }

    /// Blocks one sample after another.
    #[inline]
    fn blocks(
        &self,
        haystack: &[u8],
        whole: usize,
        mut found: impl FnMut(u16, usize, &mut usize),
        count: &mut usize,
    ) {
        for block in 0..whole {
            let bytes = haystack[block * STRIDE..].first_chunk();
            let lanes = bytes.map_or(0, |bytes| self.block(bytes));
            found(lanes, block, count);
        }
    }

    /// The blocks that the haystack's end cuts or where `length` ends, unless the round is full before.
    #[inline]
    fn last(
        &self,
        haystack: &[u8],
        length: usize,
        whole: usize,
        passed: &mut Passed,
        mut count: usize,
    ) -> usize {
        let length = length.min(haystack.len());
        for block in whole..BLOCKS {
            let Some(rest) = haystack
                .get(block * STRIDE..)
                .filter(|_| block * STRIDE < length)
            else {
                break;
            };
            let mut bytes = [0; BLOCK];
            let length = rest.len().min(BLOCK);
            bytes[..length].copy_from_slice(&rest[..length]);
            let lanes = self.block(&bytes);
            passed[count % BLOCKS] = ((block * STRIDE) as u16, lanes);
            count += usize::from(lanes != 0);
        }
        count
    }

    #[inline]
    fn block(&self, block: &[u8; BLOCK]) -> u16 {
        let mut lanes = 0;
        for lane in (0..LANES).rev() {
            let mut sample = [0; 8];
            sample[..5].copy_from_slice(&block[lane * STEP..][..5]);
            let bit = Self::hash(u64::from_le_bytes(sample)) >> (u32::BITS - Self::BITS);
            let hit = self.table[bit as usize / 32] >> (bit % 32);
            lanes = lanes << 1 | (hit & 1) as u16;
        }
        lanes
    }

    /// Bytes that the table takes.
    pub(super) fn table_bytes(&self) -> usize {
        4 * self.table.len()
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::*;

    /// As [`Filter::blocks`], the samples of a block at once.
    #[target_feature(enable = "avx2")]
    pub(super) fn blocks<const FOLDED: bool>(
        filter: &Filter<FOLDED>,
        haystack: &[u8],
        whole: usize,
        mut found: impl FnMut(u16, usize, &mut usize),
        count: &mut usize,
    ) {
        let fold = _mm256_set1_epi32(FOLD as i32);
        let fold_fifth = _mm256_set1_epi32(0x20);
        let fifth_byte = _mm256_set1_epi32(0xff);
        let spread = _mm256_set1_epi32(SPREAD as i32);
        let spread_fifth = _mm256_set1_epi32(SPREAD_FIFTH as i32);
        let lowest = _mm256_set1_epi32(31);
        let upper = _mm_cvtsi32_si128(32 - Filter::<FOLDED>::BITS as i32);
        for block in 0..whole {
            let Some(bytes) = haystack[block * STRIDE..].first_chunk::<BLOCK>() else {
                return;
            };
            // SAFETY: both loads are within the 36 bytes of the block.
            let (first, next) = unsafe {
                let start = bytes.as_ptr();
                (
                    _mm256_loadu_si256(start.cast()),
                    _mm256_loadu_si256(start.add(STEP).cast()),
                )
            };
            let hash = if FOLDED {
                let four = _mm256_mullo_epi32(_mm256_or_si256(first, fold), spread);
                let fifth = _mm256_or_si256(_mm256_and_si256(next, fifth_byte), fold_fifth);
                _mm256_add_epi32(four, _mm256_mullo_epi32(fifth, spread_fifth))
            } else {
                _mm256_mullo_epi32(_mm256_slli_epi32::<8>(first), spread)
            };
            let bit = _mm256_srl_epi32(hash, upper);
            let word = _mm256_srli_epi32::<5>(bit);
            // SAFETY: the table has as many bits as the upper bits of a hash can number, and is made so.
            let words = unsafe { _mm256_i32gather_epi32::<4>(filter.table.as_ptr().cast(), word) };
            // Shifted to the left by 31 less the bit's number; only the five lowest bits of its complement count.
            let hit = _mm256_sllv_epi32(words, _mm256_andnot_si256(bit, lowest));
            let lanes = _mm256_movemask_ps(_mm256_castsi256_ps(hit));
            found(lanes as u16, block, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agree<const FOLDED: bool>(grams: &[u64], haystack: &[u8], length: usize) {
        let mut filter = Filter::<FOLDED>::new();
        for gram in grams {
            filter.add(*gram);
        }
        let (mut fast, mut plain) = ([(0, 0); BLOCKS], [(0, 0); BLOCKS]);
        let count = filter.round(haystack, length, &mut fast);
        let expected = filter.last(haystack, length, 0, &mut plain, 0);
        assert_eq!(&fast[..count], &plain[..expected]);
        let reached = fast[..count]
            .iter()
            .all(|(start, _)| usize::from(*start) < length.min(haystack.len()));
        assert!(reached, "a block beyond {length}");
    }

    proptest! {
        #[test]
        fn the_vectors_and_their_portable_twin_agree(
            grams in prop::collection::vec(any::<u64>(), 0..40),
            haystack in prop::collection::vec(any::<u8>(), 0..2300),
            places in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..40),
            length in 0usize..2500,
        ) {
            let mut haystack = haystack;
            for (gram, place) in &places {
                if !grams.is_empty() && haystack.len() >= 8 {
                    let at = place.index(haystack.len() - 7);
                    haystack[at..at + 8].copy_from_slice(&gram.get(&grams).to_le_bytes());
                }
            }
            agree::<false>(&grams, &haystack, length);
            agree::<true>(&grams, &haystack, length);
        }
    }
}
