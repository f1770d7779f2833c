//! The filter: which places of a haystack can hold a needle at all.
//!
//! A haystack is sampled at every [`STEP`]th byte. Near its end every needle has four grams that begin one byte apart
//! from each other: wherever the needle lies, one sample begins one of them. One bit says whether a gram occurs in
//! any needle, a second one, of more bytes where the needle has them, confirms it; the few samples that pass are
//! compared with the needles that hold the gram. Near the end, so that a haystack that grew is searched again for
//! [`REACH`] bytes only.

use super::filter::{BLOCKS, Filter, STEP, STRIDE, short_hash, text_hash};

/// Filter tables of one set of needles.
pub(super) struct Grams {
    /// Grams of five bytes, without regard to letter case; of three bytes, where a needle is too short for four of five.
    filter: Filter,
    /// The grams of five bytes; of eight bytes where the needle goes on so far.
    confirmed: Bitmap<CONFIRMED_WORDS>,
    text_places: Places,
    short_places: Places,
}

/// The shortest needle.
pub(super) const MIN_NEEDLE: usize = 6;

impl Grams {
    /// Builds the tables; `needles` have [`MIN_NEEDLE`] bytes or more, and text is in lower case.
    pub(super) fn new<'n>(needles: impl Iterator<Item = &'n [u8]>) -> Grams {
        let (mut filter, mut confirmed) = (Filter::new(), Bitmap::new());
        let mut text_places = Vec::new();
        let mut short_places = Vec::new();
        for (needle, bytes) in (0u32..).zip(needles) {
            let span = match bytes.len() {
                REACH.. => REACH,
                8.. => 8,
                length => MIN_NEEDLE.min(length),
            };
            for offset in 0..STEP {
                let reach = span - offset;
                let gram = word(bytes, bytes.len() - reach);
                if span == MIN_NEEDLE {
                    let hash = short_hash(gram);
                    filter.add_short(gram);
                    short_places.push(Place {
                        hash,
                        gram,
                        needle,
                        reach,
                    });
                } else {
                    let (gram, hash) = (gram | FOLD, text_hash(gram));
                    filter.add_text(gram);
                    confirmed.set(if reach >= 8 {
                        long_hash(gram)
                    } else {
                        second_hash(gram)
                    });
                    text_places.push(Place {
                        hash,
                        gram,
                        needle,
                        reach,
                    });
                }
            }
        }
        Grams {
            filter,
            confirmed,
            text_places: Places::new(text_places, TEXT_BUCKET_BITS),
            short_places: Places::new(short_places, SHORT_BUCKET_BITS),
        }
    }

    /// Calls `found` with a needle and where it would end, for every needle in `haystack` that ends after `from`, and
    /// for others whose last [`MIN_NEEDLE`] bytes or more are there.
    ///
    /// Filters a round of blocks before it looks at what passed: a branch on each block would be foreseen wrongly
    /// whenever a sample passes, and cost more than the filter.
    pub(super) fn sweep(&self, haystack: &[u8], from: usize, mut found: impl FnMut(u32, usize)) {
        let mut at = (from + 1).saturating_sub(REACH);
        let mut passed = [(0, 0); BLOCKS];
        while at < haystack.len() {
            let count = self.filter.round(&haystack[at..], &mut passed);
            for (start, lanes) in &passed[..count] {
                let mut lanes = *lanes;
                while lanes != 0 {
                    let lane = lanes.trailing_zeros() as usize;
                    let sample = at + usize::from(*start) + STEP * lane;
                    self.compare(haystack, sample, &mut found);
                    lanes &= lanes - 1;
                }
            }
            at += BLOCKS * STRIDE;
        }
    }

    #[inline]
    fn compare(&self, haystack: &[u8], at: usize, found: &mut impl FnMut(u32, usize)) {
        let sample = word(haystack, at);
        let hash = text_hash(sample);
        if self.confirm(sample) {
            self.text_places
                .compare(hash, sample | FOLD, |needle, reach| {
                    found(needle, at + reach)
                });
        }
        if self.filter.has_short(sample) {
            let hash = short_hash(sample);
            self.short_places
                .compare(hash, sample, |needle, reach| found(needle, at + reach));
        }
    }

    #[inline]
    fn confirm(&self, sample: u64) -> bool {
        let sample = sample | FOLD;
        (self.confirmed.get(long_hash(sample)) | self.confirmed.get(second_hash(sample))) & 1 != 0
    }

    /// Bytes that the tables take.
    pub(super) fn table_bytes(&self) -> usize {
        self.filter.table_bytes()
            + 8 * CONFIRMED_WORDS
            + self.text_places.table_bytes()
            + self.short_places.table_bytes()
    }
}

/// From the first gram of a needle to its end, at most: then all four have eight bytes.
const REACH: usize = 8 + STEP - 1;
/// 32 KiB.
const CONFIRMED_WORDS: usize = 1 << 12;
const TEXT_BUCKET_BITS: u32 = 14;
const SHORT_BUCKET_BITS: u32 = 10;
/// Makes letters lower case (and merges some other bytes, which the comparison tells apart).
const FOLD: u64 = 0x2020_2020_2020_2020;
/// An odd number without pattern, for a second hash of the same bytes.
const SPREAD_TOO: u64 = 0xd6e8_feb8_6659_fd93;

/// Another hash of the first five bytes of a folded `sample`.
#[inline]
fn second_hash(sample: u64) -> u64 {
    (sample << 24).wrapping_mul(SPREAD_TOO)
}

/// Hash of all eight bytes of a folded `sample`.
#[inline]
fn long_hash(sample: u64) -> u64 {
    (sample ^ sample >> 29).wrapping_mul(SPREAD_TOO)
}

/// Eight bytes of `bytes`, from `at` on, the first one lowest; zeros after the end.
#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first_chunk() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => rest
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// A set of hashes, by their upper bits.
struct Bitmap<const WORDS: usize>(Box<[u64; WORDS]>);

impl<const WORDS: usize> Bitmap<WORDS> {
    const SHIFT: u32 = 64 - 6 - WORDS.ilog2();

    fn new() -> Self {
        let words = vec![0; WORDS].into_boxed_slice();
        Bitmap(words.try_into().expect("the slice has WORDS words"))
    }

    fn set(&mut self, hash: u64) {
        let bit = hash >> Self::SHIFT;
        self.0[(bit >> 6) as usize % WORDS] |= 1 << (bit & 63);
    }

    /// The lowest bit tells; the others mean nothing.
    #[inline]
    fn get(&self, hash: u64) -> u32 {
        let bit = hash >> Self::SHIFT;
        (self.0[(bit >> 6) as usize % WORDS] >> (bit & 63)) as u32
    }
}

/// One gram of one needle.
struct Place {
    hash: u32,
    /// What a sample there begins with; [`Place::reach`] bytes of it, or all eight, are the needle's.
    gram: u64,
    needle: u32,
    /// Bytes from here to the needle's end.
    reach: usize,
}

/// Grams of needles, in buckets by the upper bits of their hashes.
struct Places {
    shift: u32,
    starts: Box<[u32]>,
    grams: Box<[u64]>,
    /// Needle, and in the lowest four bits the reach.
    needles: Box<[u32]>,
}

impl Places {
    fn new(mut places: Vec<Place>, bucket_bits: u32) -> Places {
        let shift = u32::BITS - bucket_bits;
        places.sort_unstable_by_key(|place| (place.hash >> shift, place.needle, place.reach));
        let mut starts = vec![0u32; (1 << bucket_bits) + 1];
        for place in &places {
            starts[(place.hash >> shift) as usize + 1] += 1;
        }
        for bucket in 1..starts.len() {
            starts[bucket] += starts[bucket - 1];
        }
        Places {
            shift,
            starts: starts.into(),
            grams: places.iter().map(|place| place.gram).collect(),
            needles: places
                .iter()
                .map(|place| place.needle << 4 | place.reach as u32)
                .collect(),
        }
    }

    /// Calls `found` with needle and reach of every gram that agrees with `sample`.
    #[inline]
    fn compare(&self, hash: u32, sample: u64, mut found: impl FnMut(u32, usize)) {
        let bucket = (hash >> self.shift) as usize;
        let range = self.starts[bucket] as usize..self.starts[bucket + 1] as usize;
        for (gram, packed) in self.grams[range.clone()].iter().zip(&self.needles[range]) {
            let reach = packed & 15;
            let beyond = 8 * 8u32.saturating_sub(reach);
            if (sample ^ gram) << beyond == 0 {
                found(packed >> 4, reach as usize);
            }
        }
    }

    fn table_bytes(&self) -> usize {
        4 * self.starts.len() + 8 * self.grams.len() + 4 * self.needles.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_tail_at_every_alignment() {
        let needles: Vec<&[u8]> = vec![
            b"identifier",
            b"12345678",
            b"\x02\x01\xff\x03\x04\x05",
            b"seven77",
        ];
        let grams = Grams::new(needles.iter().copied());
        for (number, needle) in needles.iter().enumerate() {
            for before in 0..140 {
                for after in [0, 1, 2, 3, 4, 5, 63, 64, 65] {
                    let mut haystack = vec![b'.'; before];
                    haystack.extend_from_slice(needle);
                    let end = haystack.len();
                    haystack.resize(end + after, b'.');
                    let mut found = Vec::new();
                    grams.sweep(&haystack, end - 1, |needle, end| {
                        found.push((needle as usize, end))
                    });
                    assert_eq!(found, [(number, end)], "{before} before, {after} after");
                }
            }
        }
    }
}
