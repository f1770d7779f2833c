//! Which samples of a haystack can begin a gram: one bit in a table for each, looked up for eight samples at once where
//! the processor can. The only unsafe code of `detect`: a gather reads where it is told to, checked or not.

/// Two sets of grams, by their hashes: of five bytes without regard to letter case, and of three bytes as they are.
pub(super) struct Filter {
    text: Box<[u32; TEXT_WORDS]>,
    short: Box<[u32; SHORT_WORDS]>,
    has_short: bool,
}

/// Samples that passed: where their block begins, and a bit for each lane.
pub(super) type Passed = [(u16, u16); BLOCKS];

/// Distance of samples.
pub(super) const STEP: usize = 4;
/// Samples that are filtered together, as one block.
const LANES: usize = 8;
/// Bytes from block to block.
pub(super) const STRIDE: usize = LANES * STEP;
/// Blocks of a round, 2 KiB: what passes the filter is still in the first-level cache when it is compared.
pub(super) const BLOCKS: usize = 64;
/// Bytes that the samples of a block reach.
const BLOCK: usize = STRIDE + STEP;
/// 256 KiB, which the second-level cache of a phone holds.
const TEXT_WORDS: usize = 1 << (TEXT_BITS - 5);
const TEXT_BITS: u32 = 21;
/// 32 KiB, as short needles are few.
const SHORT_WORDS: usize = 1 << (SHORT_BITS - 5);
const SHORT_BITS: u32 = 18;
/// Makes letters lower case (and merges some other bytes, which the comparison tells apart).
const FOLD: u32 = 0x2020_2020;
/// 2^32 divided by the golden ratio.
const SPREAD: u32 = 0x9e37_79b1;
/// An odd number without pattern, for the fifth byte.
const SPREAD_FIFTH: u32 = 0x85eb_ca6b;

impl Filter {
    pub(super) fn new() -> Filter {
        let zeros = |words: usize| vec![0; words].into_boxed_slice();
        Filter {
            text: zeros(TEXT_WORDS).try_into().expect("as many words"),
            short: zeros(SHORT_WORDS).try_into().expect("as many words"),
            has_short: false,
        }
    }

    /// Adds the gram of text that begins with the first five bytes of `sample`.
    pub(super) fn add_text(&mut self, sample: u64) {
        let bit = text_hash(sample) >> (u32::BITS - TEXT_BITS);
        self.text[bit as usize / 32] |= 1 << (bit % 32);
    }

    /// Adds the gram of the first three bytes of `sample`.
    pub(super) fn add_short(&mut self, sample: u64) {
        let bit = short_hash(sample) >> (u32::BITS - SHORT_BITS);
        self.short[bit as usize / 32] |= 1 << (bit % 32);
        self.has_short = true;
    }

    /// Whether there may be grams of three bytes that begin as `sample` does.
    #[inline]
    pub(super) fn has_short(&self, sample: u64) -> bool {
        self.has_short && self.short_bit(sample) & 1 != 0
    }

    /// Filters the first round of `haystack`; the result is how many entries of `passed` count.
    #[inline]
    pub(super) fn round(&self, haystack: &[u8], passed: &mut Passed) -> usize {
        if self.has_short {
            self.round_with::<true>(haystack, passed)
        } else {
            self.round_with::<false>(haystack, passed)
        }
    }

    #[inline]
    fn round_with<const SHORT: bool>(&self, haystack: &[u8], passed: &mut Passed) -> usize {
        let whole = haystack.len().saturating_sub(BLOCK - STRIDE) / STRIDE;
        let (whole, mut count) = (whole.min(BLOCKS), 0);
        let lanes = |lanes: u16, block: usize, count: &mut usize| {
            passed[*count % BLOCKS] = ((block * STRIDE) as u16, lanes);
            *count += usize::from(lanes != 0);
        };
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            unsafe { avx2::blocks::<SHORT>(self, haystack, whole, lanes, &mut count) };
            return self.last::<SHORT>(haystack, whole, passed, count);
        }
        self.blocks::<SHORT>(haystack, whole, lanes, &mut count);
        self.last::<SHORT>(haystack, whole, passed, count)
    }

    /// Blocks one sample after another.
    #[inline]
    fn blocks<const SHORT: bool>(
        &self,
        haystack: &[u8],
        whole: usize,
        mut found: impl FnMut(u16, usize, &mut usize),
        count: &mut usize,
    ) {
        for block in 0..whole {
            let bytes = haystack[block * STRIDE..].first_chunk();
            let lanes = bytes.map_or(0, |bytes| self.block::<SHORT>(bytes));
            found(lanes, block, count);
        }
    }

    /// The block that the haystack's end cuts, unless the round is full before.
    #[inline]
    fn last<const SHORT: bool>(
        &self,
        haystack: &[u8],
        whole: usize,
        passed: &mut Passed,
        mut count: usize,
    ) -> usize {
        for block in whole..BLOCKS {
            let Some(rest) = haystack
                .get(block * STRIDE..)
                .filter(|rest| !rest.is_empty())
            else {
                break;
            };
            let mut bytes = [0; BLOCK];
            let length = rest.len().min(BLOCK);
            bytes[..length].copy_from_slice(&rest[..length]);
            let lanes = self.block::<SHORT>(&bytes);
            passed[count % BLOCKS] = ((block * STRIDE) as u16, lanes);
            count += usize::from(lanes != 0);
        }
        count
    }

    #[inline]
    fn block<const SHORT: bool>(&self, block: &[u8; BLOCK]) -> u16 {
        let mut lanes = 0;
        for lane in (0..LANES).rev() {
            let mut sample = [0; 8];
            sample[..5].copy_from_slice(&block[lane * STEP..][..5]);
            let sample = u64::from_le_bytes(sample);
            let bit = text_hash(sample) >> (u32::BITS - TEXT_BITS);
            let mut hit = self.text[bit as usize / 32 % TEXT_WORDS] >> (bit % 32);
            if SHORT {
                hit |= self.short_bit(sample);
            }
            lanes = lanes << 1 | (hit & 1) as u16;
        }
        lanes
    }

    /// The lowest bit tells.
    #[inline]
    fn short_bit(&self, sample: u64) -> u32 {
        let bit = short_hash(sample) >> (u32::BITS - SHORT_BITS);
        self.short[bit as usize / 32 % SHORT_WORDS] >> (bit % 32)
    }

    /// Bytes that the tables take.
    pub(super) fn table_bytes(&self) -> usize {
        4 * (TEXT_WORDS + SHORT_WORDS)
    }
}

/// Hash of the first five bytes of `sample`, without regard to letter case.
#[inline]
pub(super) fn text_hash(sample: u64) -> u32 {
    let first = sample as u32 | FOLD;
    let fifth = (sample >> 32) as u32 & 0xff | 0x20;
    first
        .wrapping_mul(SPREAD)
        .wrapping_add(fifth.wrapping_mul(SPREAD_FIFTH))
}

/// Hash of the first three bytes of `sample`.
#[inline]
pub(super) fn short_hash(sample: u64) -> u32 {
    ((sample as u32) << 8).wrapping_mul(SPREAD)
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::*;

    /// As [`Filter::blocks`], the samples of a block at once.
    #[target_feature(enable = "avx2")]
    pub(super) fn blocks<const SHORT: bool>(
        filter: &Filter,
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
            let text = _mm256_mullo_epi32(_mm256_or_si256(first, fold), spread);
            let fifth = _mm256_or_si256(_mm256_and_si256(next, fifth_byte), fold_fifth);
            let text = _mm256_add_epi32(text, _mm256_mullo_epi32(fifth, spread_fifth));
            // SAFETY: as many upper bits of a hash number the bits of the table.
            let mut hit = unsafe { look_up::<TEXT_BITS>(filter.text.as_ptr(), text) };
            if SHORT {
                let short = _mm256_mullo_epi32(_mm256_slli_epi32::<8>(first), spread);
                // SAFETY: the same.
                let hit_short = unsafe { look_up::<SHORT_BITS>(filter.short.as_ptr(), short) };
                hit = _mm256_or_si256(hit, hit_short);
            }
            let lanes = _mm256_movemask_ps(_mm256_castsi256_ps(hit));
            found(lanes as u16, block, count);
        }
    }

    /// The bit of each hash, as the uppermost of its lane.
    ///
    /// # Safety
    ///
    /// `table` has 2 to the power of `BITS` bits.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn look_up<const BITS: u32>(table: *const u32, hash: __m256i) -> __m256i {
        let bit = _mm256_srl_epi32(hash, _mm_cvtsi32_si128(32 - BITS as i32));
        let word = _mm256_srli_epi32::<5>(bit);
        // SAFETY: the caller's promise; the index is BITS - 5 bits wide.
        let words = unsafe { _mm256_i32gather_epi32::<4>(table.cast(), word) };
        // Shifted to the left by 31 less the bit's number; only the five lowest bits of its complement count.
        let lowest = _mm256_set1_epi32(31);
        _mm256_sllv_epi32(words, _mm256_andnot_si256(bit, lowest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_vectors_and_their_portable_twin_agree(
            grams in prop::collection::vec(any::<u64>(), 0..40),
            haystack in prop::collection::vec(any::<u8>(), 0..2300),
            places in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..40),
        ) {
            let mut filter = Filter::new();
            let mut haystack = haystack;
            for (number, gram) in grams.iter().enumerate() {
                if number % 3 == 0 { filter.add_short(*gram) } else { filter.add_text(*gram) }
            }
            for (gram, place) in &places {
                if !grams.is_empty() && haystack.len() >= 8 {
                    let at = place.index(haystack.len() - 7);
                    haystack[at..at + 8].copy_from_slice(&gram.get(&grams).to_le_bytes());
                }
            }
            let (mut fast, mut plain) = ([(0, 0); BLOCKS], [(0, 0); BLOCKS]);
            let count = filter.round(&haystack, &mut fast);
            let expected = filter.last::<true>(&haystack, 0, &mut plain, 0);
            if filter.has_short {
                prop_assert_eq!(&fast[..count], &plain[..expected]);
            } else {
                let expected = filter.last::<false>(&haystack, 0, &mut plain, 0);
                prop_assert_eq!(&fast[..count], &plain[..expected]);
            }
        }
    }
}
