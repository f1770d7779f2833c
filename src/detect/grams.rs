//! The filter: which places of a haystack can hold a needle at all.
//!
//! Every needle has a tail, its last [`TEXT_TAIL`] (or, for short binary ones, [`RAW_TAIL`]) bytes. A haystack is
//! sampled at every [`STEP`]th byte; a tail is so long that, wherever it lies, one sample begins a whole gram of it.
//! One bit says whether a gram occurs in any tail; the few samples that pass are compared with the tails that hold
//! the gram. Tails, not heads: a haystack that grows is searched again for their length only.

/// Filter tables of one set of needles.
pub(super) struct Grams {
    text: Bitmap<TEXT_WORDS>,
    raw: Bitmap<RAW_WORDS>,
    text_tails: Tails,
    raw_tails: Tails,
}

/// Bytes of a tail that is compared without regard to letter case.
pub(super) const TEXT_TAIL: usize = 8;
/// Bytes of the tail of a binary needle shorter than [`TEXT_TAIL`].
pub(super) const RAW_TAIL: usize = 6;

impl Grams {
    /// Builds the tables; `needles` have [`RAW_TAIL`] bytes or more, and text is in lower case.
    pub(super) fn new<'n>(needles: impl Iterator<Item = &'n [u8]> + Clone) -> Grams {
        let (mut text, mut raw) = (Bitmap::new(), Bitmap::new());
        let mut text_tails = Vec::new();
        let mut raw_tails = Vec::new();
        for (needle, bytes) in (0u32..).zip(needles) {
            if let Some(tail) = bytes.last_chunk::<TEXT_TAIL>() {
                let tail = u64::from_le_bytes(*tail);
                for offset in 0..STEP as u32 {
                    let hash = text_hash(tail >> (8 * offset));
                    text.set(hash);
                    text_tails.push(Tail {
                        hash,
                        bytes: tail | FOLD,
                        needle,
                        offset,
                    });
                }
            } else if let Some(tail) = bytes.last_chunk::<RAW_TAIL>() {
                let tail = word(tail, 0);
                for offset in 0..STEP as u32 {
                    let hash = raw_hash(tail >> (8 * offset));
                    raw.set(hash);
                    raw_tails.push(Tail {
                        hash,
                        bytes: tail,
                        needle,
                        offset,
                    });
                }
            }
        }
        Grams {
            text,
            raw,
            text_tails: Tails::new(text_tails, TEXT_BUCKET_BITS),
            raw_tails: Tails::new(raw_tails, RAW_BUCKET_BITS),
        }
    }

    /// Calls `found` with a needle and the end of its tail for every tail in `haystack` that ends after `from`, and
    /// perhaps for some that end before.
    pub(super) fn sweep(&self, haystack: &[u8], from: usize, mut found: impl FnMut(u32, usize)) {
        let mut at = (from + 1).saturating_sub(TEXT_TAIL);
        while let Some(rest) = haystack.get(at..).filter(|rest| !rest.is_empty()) {
            let mut last = [0; BLOCK];
            let block = match rest.first_chunk() {
                Some(block) => block,
                None => {
                    last[..rest.len()].copy_from_slice(rest);
                    &last
                }
            };
            let mut lanes = if self.raw_tails.is_empty() {
                self.filter::<false>(block)
            } else {
                self.filter::<true>(block)
            };
            while lanes != 0 {
                let sample = at + STEP * lanes.trailing_zeros() as usize;
                self.compare(haystack, sample, &mut found);
                lanes &= lanes - 1;
            }
            at += LANES * STEP;
        }
    }

    /// One bit for each sample of `block` that begins a gram of some tail.
    #[inline]
    fn filter<const RAW: bool>(&self, block: &[u8; BLOCK]) -> u32 {
        let mut lanes = 0;
        for lane in 0..LANES {
            let sample = word(block, lane * STEP);
            let mut hit = self.text.get(text_hash(sample));
            if RAW {
                hit |= self.raw.get(raw_hash(sample));
            }
            lanes |= hit << lane;
        }
        lanes
    }

    #[inline(never)]
    fn compare(&self, haystack: &[u8], sample: usize, found: &mut impl FnMut(u32, usize)) {
        let gram = padded_word(haystack, sample);
        for tail in self.text_tails.with(text_hash(gram)) {
            let Some(start) = sample.checked_sub(tail.offset as usize) else {
                continue;
            };
            let Some(bytes) = haystack.get(start..start + TEXT_TAIL) else {
                continue;
            };
            if word(bytes, 0) | FOLD == tail.bytes {
                found(tail.needle, start + TEXT_TAIL);
            }
        }
        for tail in self.raw_tails.with(raw_hash(gram)) {
            let Some(start) = sample.checked_sub(tail.offset as usize) else {
                continue;
            };
            let Some(bytes) = haystack.get(start..start + RAW_TAIL) else {
                continue;
            };
            if padded_word(bytes, 0) == tail.bytes {
                found(tail.needle, start + RAW_TAIL);
            }
        }
    }

    /// Bytes that the tables take.
    pub(super) fn table_bytes(&self) -> usize {
        8 * (TEXT_WORDS + RAW_WORDS) + self.text_tails.table_bytes() + self.raw_tails.table_bytes()
    }
}

/// Distance of samples.
const STEP: usize = 4;
/// Samples that are filtered together.
const LANES: usize = 16;
/// Bytes that the samples of one round reach.
const BLOCK: usize = (LANES - 1) * STEP + 8;
/// Bits of the index of the text bitmap: 256 KiB, which the second-level cache of a phone holds.
const TEXT_BITS: u32 = 21;
const TEXT_WORDS: usize = 1 << (TEXT_BITS - 6);
/// Bits of the index of the bitmap of short binary needles: 8 KiB, as they are few.
const RAW_BITS: u32 = 16;
const RAW_WORDS: usize = 1 << (RAW_BITS - 6);
const TEXT_BUCKET_BITS: u32 = 14;
const RAW_BUCKET_BITS: u32 = 8;
/// Makes letters lower case (and merges some other bytes, which the comparison tells apart).
const FOLD: u64 = 0x2020_2020_2020_2020;
/// 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hash of the first five bytes of `sample`, without regard to letter case.
#[inline]
fn text_hash(sample: u64) -> u64 {
    ((sample | FOLD) << 24).wrapping_mul(SPREAD)
}

/// Hash of the first three bytes of `sample`.
#[inline]
fn raw_hash(sample: u64) -> u64 {
    (sample << 40).wrapping_mul(SPREAD)
}

#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => padded_word(bytes, at),
    }
}

fn padded_word(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter()
        .take(8)
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
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

    #[inline]
    fn get(&self, hash: u64) -> u32 {
        let bit = hash >> Self::SHIFT;
        (self.0[(bit >> 6) as usize % WORDS] >> (bit & 63)) as u32 & 1
    }
}

/// A tail under one of its grams.
struct Tail {
    hash: u64,
    bytes: u64,
    needle: u32,
    /// Where in the tail the gram begins.
    offset: u32,
}

/// Tails in buckets by the upper bits of their grams' hashes.
struct Tails {
    shift: u32,
    starts: Box<[u32]>,
    bytes: Box<[u64]>,
    /// Needle, and in the lowest two bits the offset.
    needles: Box<[u32]>,
}

impl Tails {
    fn new(mut tails: Vec<Tail>, bucket_bits: u32) -> Tails {
        let shift = u64::BITS - bucket_bits;
        tails.sort_unstable_by_key(|tail| (tail.hash >> shift, tail.needle, tail.offset));
        let mut starts = vec![0u32; (1 << bucket_bits) + 1];
        for tail in &tails {
            starts[(tail.hash >> shift) as usize + 1] += 1;
        }
        for bucket in 1..starts.len() {
            starts[bucket] += starts[bucket - 1];
        }
        Tails {
            shift,
            starts: starts.into(),
            bytes: tails.iter().map(|tail| tail.bytes).collect(),
            needles: tails
                .iter()
                .map(|tail| tail.needle << 2 | tail.offset)
                .collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// Tails that may hold the gram with this hash.
    #[inline]
    fn with(&self, hash: u64) -> impl Iterator<Item = Tail> {
        let bucket = (hash >> self.shift) as usize;
        let range = self.starts[bucket] as usize..self.starts[bucket + 1] as usize;
        let entries = self.bytes[range.clone()].iter().zip(&self.needles[range]);
        entries.map(move |(bytes, packed)| Tail {
            hash,
            bytes: *bytes,
            needle: packed >> 2,
            offset: packed & 3,
        })
    }

    fn table_bytes(&self) -> usize {
        4 * self.starts.len() + 8 * self.bytes.len() + 4 * self.needles.len()
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
