//! The filter: which places of a haystack can hold a needle at all.
//!
//! A haystack is sampled at every [`STEP`]th byte. Near its end every needle has four grams that begin one byte apart
//! from each other: wherever the needle lies, one sample begins one of them. One bit says whether a gram occurs in
//! any needle; the few samples that pass are compared with the needles that hold the gram. Near the end, so that a haystack
//! that grew is searched again for [`REACH`] bytes only.
//!
//! Nearly all spellings are texts that end with a run of word bytes. They have a filter of their own, which is asked only
//! where such a run is: in what is encrypted or compressed that is next to nowhere.

use super::filter::{Filter, NONE, ROUND, STEP};
use crate::decode::{Kind, Skim, is_word};

/// Filter tables of one set of needles.
pub(super) struct Grams {
    /// Grams of needles that end with word bytes: of five bytes, without regard to letter case.
    words: Filter<true>,
    /// The same once more; of eight bytes where the needle goes on so far.
    confirmed: Bitmap<CONFIRMED_WORDS>,
    word_places: Places,
    /// Grams of all others, of three bytes.
    bytes: Filter<false>,
    byte_places: Places,
}

/// The shortest needle.
pub(super) const MIN_NEEDLE: usize = 6;

impl Grams {
    /// Builds the tables. `needles` have [`MIN_NEEDLE`] bytes or more; those that are text, which is the second of each, are
    /// in lower case.
    pub(super) fn new<'n>(needles: impl Iterator<Item = (&'n [u8], bool)>) -> Grams {
        let mut grams = Grams {
            words: Filter::new(),
            confirmed: Bitmap::new(),
            word_places: Places::default(),
            bytes: Filter::new(),
            byte_places: Places::default(),
        };
        let (mut word_places, mut byte_places) = (Vec::new(), Vec::new());
        for (needle, (bytes, is_text)) in (0u32..).zip(needles) {
            let span = match bytes.len() {
                REACH.. => REACH,
                8.. => 8,
                length => MIN_NEEDLE.min(length),
            };
            let end = &bytes[bytes.len() - span..];
            let in_words = is_text && span >= 8 && end.iter().all(|byte| is_word(*byte));
            for offset in 0..STEP {
                let reach = span - offset;
                let gram = word(end, offset);
                if in_words {
                    word_places.push(grams.in_words(gram, needle, reach));
                } else if is_text {
                    let spelled = |gram| (gram, GRAM);
                    for (gram, length) in cases(gram).map(spelled) {
                        byte_places.push(grams.in_bytes(gram, length, needle, reach));
                    }
                } else {
                    byte_places.push(grams.in_bytes(gram, reach, needle, reach));
                }
            }
        }
        Grams {
            word_places: Places::new(word_places, WORD_BUCKET_BITS),
            byte_places: Places::new(byte_places, BYTE_BUCKET_BITS),
            ..grams
        }
    }

    fn in_words(&mut self, gram: u64, needle: u32, reach: usize) -> Place {
        let gram = gram | FOLD;
        self.words.add(gram);
        self.confirmed.set(if reach >= 8 {
            long_hash(gram)
        } else {
            second_hash(gram)
        });
        Place {
            hash: Filter::<true>::hash(gram),
            gram,
            length: reach,
            needle,
            reach,
        }
    }

    fn in_bytes(&mut self, gram: u64, length: usize, needle: u32, reach: usize) -> Place {
        self.bytes.add(gram);
        Place {
            hash: Filter::<false>::hash(gram),
            gram,
            length,
            needle,
            reach,
        }
    }

    /// Calls `found` with a needle and where it would end, for every needle in `haystack` that ends after `from`, and
    /// for others of which three bytes or more are there. `skim` is what is known of the haystack.
    pub(super) fn sweep(
        &self,
        haystack: &[u8],
        from: usize,
        skim: Option<&Skim>,
        mut found: impl FnMut(u32, usize),
    ) {
        // A sample in a block of words must not be passed over by those that begin at another block.
        let first = (from + 1).saturating_sub(REACH) / STEP * STEP;
        let end = haystack.len();
        sample(&self.bytes, haystack, first, end, |at| {
            let sample = word(haystack, at);
            let hash = Filter::<false>::hash(sample);
            self.byte_places
                .compare(hash, sample, |needle, reach| found(needle, at + reach));
        });
        let mut in_words = |start, end| {
            sample(&self.words, haystack, start, end, |at| {
                let sample = word(haystack, at) | FOLD;
                if self.confirm(sample) {
                    let hash = Filter::<true>::hash(sample);
                    self.word_places
                        .compare(hash, sample, |needle, reach| found(needle, at + reach));
                }
            });
        };
        match skim {
            None => in_words(first, end),
            Some(skim) => {
                for blocks in skim.stretches(Kind::Words, first) {
                    in_words(blocks.start, blocks.end);
                }
            }
        }
    }

    #[inline]
    fn confirm(&self, sample: u64) -> bool {
        (self.confirmed.get(long_hash(sample)) | self.confirmed.get(second_hash(sample))) & 1 != 0
    }

    /// Bytes that the tables take.
    pub(super) fn table_bytes(&self) -> usize {
        self.words.table_bytes()
            + 8 * CONFIRMED_WORDS
            + self.word_places.table_bytes()
            + self.bytes.table_bytes()
            + self.byte_places.table_bytes()
    }
}

/// From the first gram of a needle to its end, at most: then all four have eight bytes.
const REACH: usize = 8 + STEP - 1;
/// 32 KiB.
const CONFIRMED_WORDS: usize = 1 << 12;
const WORD_BUCKET_BITS: u32 = 14;
const BYTE_BUCKET_BITS: u32 = 12;
/// Bytes that [`Filter`] looks at where letter case counts.
const GRAM: usize = 3;
/// Makes letters lower case (and merges some other bytes, which the comparison tells apart).
const FOLD: u64 = 0x2020_2020_2020_2020;
/// An odd number without pattern, for a second hash of the same bytes.
const SPREAD_TOO: u64 = 0xd6e8_feb8_6659_fd93;

/// Calls `passed` with every sample from `first` on, before `end`, that may begin a gram of `filter`.
///
/// Filters a round of blocks before it looks at what passed: a branch on each block would be foreseen wrongly
/// whenever a sample passes, and cost more than the filter.
#[inline]
fn sample<const FOLDED: bool>(
    filter: &Filter<FOLDED>,
    haystack: &[u8],
    first: usize,
    end: usize,
    mut passed: impl FnMut(usize),
) {
    if filter.is_empty() {
        return;
    }
    let (mut at, end) = (first, end.min(haystack.len()));
    let mut blocks = NONE;
    while at < end {
        let count = filter.round(&haystack[at..], end - at, &mut blocks);
        for (start, lanes) in &blocks[..count] {
            let mut lanes = *lanes;
            while lanes != 0 {
                let lane = lanes.trailing_zeros() as usize;
                passed(at + usize::from(*start) + STEP * lane);
                lanes &= lanes - 1;
            }
        }
        at += ROUND;
    }
}

/// Every spelling of the first [`GRAM`] bytes of `gram` in upper and lower case.
fn cases(gram: u64) -> impl Iterator<Item = u64> {
    let bytes = gram.to_le_bytes();
    (0..1u32 << GRAM).filter_map(move |upper| {
        let mut bytes = bytes;
        for (number, byte) in bytes[..GRAM].iter_mut().enumerate() {
            if upper >> number & 1 != 0 {
                if !byte.is_ascii_lowercase() {
                    return None;
                }
                byte.make_ascii_uppercase();
            }
        }
        Some(u64::from_le_bytes(bytes))
    })
}

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
    /// What a sample there begins with.
    gram: u64,
    /// How many bytes of [`Place::gram`] count; all eight if it is more.
    length: usize,
    needle: u32,
    /// Bytes from here to the needle's end.
    reach: usize,
}

/// Grams of needles, in buckets by the upper bits of their hashes.
#[derive(Default)]
struct Places {
    shift: u32,
    starts: Box<[u32]>,
    grams: Box<[u64]>,
    /// Needle, and in the lowest eight bits how many bytes of the gram count, and the reach.
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
                .map(|place| place.needle << 8 | (place.length << 4 | place.reach) as u32)
                .collect(),
        }
    }

    /// Calls `found` with needle and reach of every gram that agrees with `sample`.
    #[inline]
    fn compare(&self, hash: u32, sample: u64, mut found: impl FnMut(u32, usize)) {
        let bucket = (hash >> self.shift) as usize;
        let range = self.starts[bucket] as usize..self.starts[bucket + 1] as usize;
        for (gram, packed) in self.grams[range.clone()].iter().zip(&self.needles[range]) {
            let length = packed >> 4 & 15;
            let beyond = 8 * 8u32.saturating_sub(length);
            if (sample ^ gram) << beyond == 0 {
                found(packed >> 8, (packed & 15) as usize);
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
        let needles: Vec<(&[u8], bool)> = vec![
            (b"identifier", true),
            (b"12345678", true),
            (b"my home", false),
            (b"at home, 12b", true),
            ("stra\u{df}e 7".as_bytes(), true),
            (b"\x02\x01\xff\x03\x04\x05", false),
            (b"\x01identifying", false),
        ];
        let grams = Grams::new(needles.iter().copied());
        for (number, (needle, is_text)) in needles.iter().enumerate() {
            for before in 0..140 {
                for after in [0, 1, 2, 3, 4, 5, 63, 64, 65] {
                    let mut haystack = vec![0xf5; before];
                    haystack.extend_from_slice(needle);
                    if *is_text && before % 2 == 0 {
                        haystack.make_ascii_uppercase();
                    }
                    let end = haystack.len();
                    haystack.resize(end + after, b'\0');
                    let skim = Skim::of(&haystack);
                    for skim in [None, Some(&skim)] {
                        let mut found = Vec::new();
                        grams.sweep(&haystack, end - 1, skim, |number, end| {
                            let (needle, _) = needles[number as usize];
                            let seen = haystack.get(..end).unwrap_or_default();
                            if seen.to_ascii_lowercase().ends_with(needle) {
                                found.push((number as usize, end));
                            }
                        });
                        assert_eq!(found, [(number, end)], "{before} before, {after} after");
                    }
                }
            }
        }
    }
}
