//! Where in a text something encoded can stand: runs of printable characters without blanks.

use std::ops::Range;

/// Runs of at least [`SHORTEST`] word bytes in a text, in order; single NULs inside a run belong to it.
pub(super) struct Words<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the last run ended.
    floor: usize,
    /// How many more bytes outside words are looked at one by one.
    patience: usize,
}

/// Whether `byte` can be part of an encoded value: printable, not a blank and not a quote, or a line break.
pub(super) fn is_word(byte: u8) -> bool {
    // Few operations on a vector: above 0x24 as a signed byte, or 0x08–0x0f for CR and LF.
    (byte.cast_signed() > 0x24) | (byte & 0xf8 == 0x08)
}

/// How many bytes of `after` belong to a run that reaches over from `before`.
pub fn run_across(before: &[u8], after: &[u8]) -> usize {
    let reaches = match before {
        [.., last, 0] => is_word(*last),
        [.., last] => is_word(*last),
        [] => false,
    };
    if reaches { end_of_run(after, 0) } else { 0 }
}

/// Whether `byte` is ignored inside base64 and hexadecimal: CR, LF, and the NUL that one sender puts there.
pub(super) fn is_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | 0)
}

/// Fewest word bytes in which six decoded bytes can stand.
pub(super) const SHORTEST: usize = 8;

/// Values of the characters of base64, standard and URL-safe alphabet; 64 for what is ignored, 255 for others.
pub(super) const SEXTET: [u8; 256] = {
    let mut table = digits(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    set(&mut table, b'-', 62);
    set(&mut table, b'_', 63);
    with_breaks(table, 64)
};

/// Values of hexadecimal digits, either case; 16 for what is ignored, 255 for others.
pub(super) const HEX: [u8; 256] = {
    let mut table = digits(b"0123456789abcdef");
    let upper = *b"ABCDEF";
    let mut value = 10u8;
    let mut rest: &[u8] = &upper;
    while let Some((first, after)) = rest.split_first() {
        set(&mut table, *first, value);
        value = value.wrapping_add(1);
        rest = after;
    }
    with_breaks(table, 16)
};

/// Values of the characters of base32, either case; 32 for what is ignored, 255 for others.
pub(super) const BASE32: [u8; 256] = {
    let mut table = digits(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    let mut value = 0u8;
    while value < 26 {
        set(&mut table, value.wrapping_add(b'a'), value);
        value = value.wrapping_add(1);
    }
    with_breaks(table, 32)
};

impl<'a> Words<'a> {
    /// Begins with the run that `from` is in, or the next one.
    pub(super) fn new(bytes: &'a [u8], from: usize) -> Self {
        let from = from.min(bytes.len());
        let before = bytes.get(..from).unwrap_or_default();
        let gap = before.iter().rposition(|&byte| !is_word(byte) && byte != 0);
        let start = gap.map_or(0, |gap| gap.saturating_add(1));
        Self {
            bytes,
            at: start,
            floor: start,
            patience: 0,
        }
    }

    /// An index in the next eight word bytes in a row.
    fn inside(&mut self) -> Option<usize> {
        while self.patience > 0 {
            let here = words_at_start(self.bytes.get(self.at..)?);
            if here >= SHORTEST {
                return Some(self.at);
            }
            self.at = self.at.saturating_add(here).saturating_add(1);
            self.patience = self.patience.saturating_sub(1);
        }
        eight_in_a_row(self.bytes, self.at)
    }
}

impl Iterator for Words<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let inside = self.inside()?;
        let start = start_of_run(self.bytes.get(self.floor..inside)?);
        let start = self.floor.saturating_add(start);
        let end = end_of_run(self.bytes, inside);
        *self = Self {
            bytes: self.bytes,
            at: end,
            floor: end,
            patience: PATIENCE,
        };
        Some(start..end)
    }
}

/// Where the run that goes on after `before` begins in it.
fn start_of_run(before: &[u8]) -> usize {
    let mut start = before.len();
    loop {
        let rest = before.get(..start).unwrap_or_default();
        start = rest
            .iter()
            .rposition(|&byte| !is_word(byte))
            .map_or(0, |gap| gap.saturating_add(1));
        match before.get(..start) {
            Some([.., last, 0]) if is_word(*last) => start = start.saturating_sub(1),
            _ => return start,
        }
    }
}

/// The end of the run that `bytes[at]` is in.
fn end_of_run(bytes: &[u8], at: usize) -> usize {
    let mut end = at;
    loop {
        let rest = bytes.get(end..).unwrap_or_default();
        end = end.saturating_add(words_at_start(rest));
        match bytes.get(end..) {
            Some([0, next, ..]) if is_word(*next) => end = end.saturating_add(1),
            _ => return end,
        }
    }
}

fn words_at_start(bytes: &[u8]) -> usize {
    let near = bytes.get(..NEAR).unwrap_or(bytes);
    if let Some(end) = near.iter().position(|&byte| !is_word(byte)) {
        return end;
    }
    let rest = bytes.get(near.len()..).unwrap_or_default();
    let all_words = |chunk: &&[u8; 16]| chunk.iter().fold(true, |all, byte| all & is_word(*byte));
    let whole = rest
        .as_chunks::<16>()
        .0
        .iter()
        .take_while(all_words)
        .count()
        .saturating_mul(16);
    let tail = rest.get(whole..).unwrap_or_default();
    let last = tail
        .iter()
        .position(|&byte| !is_word(byte))
        .unwrap_or(tail.len());
    near.len().saturating_add(whole).saturating_add(last)
}

/// An index inside the first run of at least eight word bytes.
fn eight_in_a_row(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    while let Some(block) = bytes.get(at..at.saturating_add(BLOCK).saturating_add(1)) {
        let block = block.first_chunk()?;
        let mut next = BLOCK;
        if any_group(block) {
            match look(block, bytes.get(..at)?) {
                Ok(inside) => return Some(at.saturating_add(inside)),
                Err(rest) => next = rest,
            }
        }
        at = at.saturating_add(next);
    }
    let tail = bytes.get(at..)?;
    let mut block = [0; BLOCK + 1];
    block.get_mut(..tail.len())?.copy_from_slice(tail);
    let inside = look(&block, bytes.get(..at)?).ok()?;
    Some(at.saturating_add(inside))
}

/// Looks for a run of eight that begins in the block or shortly before it: an index inside it, or where to look on.
fn look(block: &[u8; BLOCK + 1], before: &[u8]) -> Result<usize, usize> {
    let words = mask(block);
    let mut eight = words & (words >> 1);
    eight &= eight >> 2;
    eight &= eight >> 4;
    let first = words.trailing_ones() as usize;
    if first > 0 {
        let back = before
            .iter()
            .rev()
            .take(SHORTEST)
            .take_while(|byte| is_word(**byte))
            .count();
        if first.saturating_add(back) >= SHORTEST {
            return Ok(0);
        }
    }
    if eight != 0 {
        return Ok(eight.trailing_zeros() as usize);
    }
    // A run that reaches the block's end is looked at in the next one, from its beginning.
    Err(BLOCK.saturating_sub(words.leading_ones() as usize).max(1))
}

/// Whether four word bytes and their right neighbour stand in an aligned group, as in every run of eight.
fn any_group(block: &[u8; BLOCK + 1]) -> bool {
    let mut both = [0; BLOCK];
    if let (Some(first), Some(second)) = (block.first_chunk::<BLOCK>(), block.last_chunk::<BLOCK>())
    {
        for (out, (a, b)) in both.iter_mut().zip(first.iter().zip(second)) {
            *out = u8::from(is_word(*a) & is_word(*b)).wrapping_neg();
        }
    }
    let mut any = false;
    for group in both.as_chunks::<4>().0 {
        any |= u32::from_ne_bytes(*group) == u32::MAX;
    }
    any
}

/// A bit for each byte of the block but the last: whether it is a word byte, the first one lowest.
fn mask(block: &[u8; BLOCK + 1]) -> u64 {
    let mut word = [0u8; BLOCK];
    for (out, byte) in word.iter_mut().zip(block) {
        *out = u8::from(is_word(*byte));
    }
    let mut mask = 0;
    for (place, eight) in word.as_chunks::<8>().0.iter().enumerate() {
        let bits = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        mask |= bits << place.wrapping_mul(8);
    }
    mask
}

const BLOCK: usize = 64;
/// Bytes of a run that are looked at one by one: most are short.
const NEAR: usize = 24;
/// Gaps after a word behind which the next one is looked for byte by byte: words stand close together in text.
const PATIENCE: usize = 8;

const fn digits(alphabet: &[u8]) -> [u8; 256] {
    let mut table = [255; 256];
    let mut value = 0u8;
    let mut rest = alphabet;
    while let Some((first, after)) = rest.split_first() {
        set(&mut table, *first, value);
        value = value.wrapping_add(1);
        rest = after;
    }
    table
}

const fn with_breaks(mut table: [u8; 256], mark: u8) -> [u8; 256] {
    set(&mut table, b'\r', mark);
    set(&mut table, b'\n', mark);
    set(&mut table, 0, mark);
    table
}

#[expect(
    clippy::indexing_slicing,
    reason = "a byte is within 256, and this runs at compile time"
)]
const fn set(table: &mut [u8; 256], byte: u8, value: u8) {
    table[byte as usize] = value;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Runs of word bytes, joined over single NULs, of which one part is long enough.
    fn naive(bytes: &[u8]) -> Vec<Range<usize>> {
        let joins = |at: usize| {
            bytes[at] == 0
                && at > 0
                && is_word(bytes[at - 1])
                && bytes.get(at + 1).is_some_and(|next| is_word(*next))
        };
        let mut words: Vec<Range<usize>> = Vec::new();
        for at in (0..bytes.len()).filter(|at| is_word(bytes[*at]) || joins(*at)) {
            match words.last_mut() {
                Some(word) if word.end == at => word.end = at + 1,
                _ => words.push(at..at + 1),
            }
        }
        let long = |word: &Range<usize>| {
            bytes[word.clone()]
                .split(|byte| *byte == 0)
                .any(|part| part.len() >= SHORTEST)
        };
        words.retain(long);
        words
    }

    #[test]
    fn finds_a_run_of_eight_at_every_place() {
        for before in 0..200 {
            let mut bytes = vec![b' '; before];
            bytes.extend_from_slice(b"abcdefgh");
            assert_eq!(
                Words::new(&bytes, 0).collect::<Vec<_>>(),
                std::iter::once(before..before + 8).collect::<Vec<_>>()
            );
            bytes.resize(before + 300, 0xff);
            assert_eq!(
                Words::new(&bytes, 0).collect::<Vec<_>>(),
                std::iter::once(before..before + 8).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn joins_over_one_nul() {
        let bytes = b"\0\0abcdefgh\0ijkl\0\0mnop";
        assert_eq!(
            Words::new(bytes, 0).collect::<Vec<_>>(),
            std::iter::once(2..15).collect::<Vec<_>>()
        );
    }

    #[test]
    fn begins_with_the_run_around_an_index() {
        let bytes = b"abcdefgh ijkl\0mnopqrst uvwxyzab";
        let at = |from| {
            Words::new(bytes, from)
                .map(|word| word.start)
                .collect::<Vec<_>>()
        };
        assert_eq!(at(7), [0, 9, 23]);
        assert_eq!(at(9), [9, 23]);
        assert_eq!(at(16), [9, 23]);
        assert_eq!(at(23), [23]);
        assert_eq!(at(99), [23]);
    }

    #[test]
    fn sees_a_run_across_an_edge() {
        assert_eq!(run_across(b"ab", b"cd ef"), 2);
        assert_eq!(run_across(b"ab\0", b"cd ef"), 2);
        assert_eq!(run_across(b"ab ", b"cd"), 0);
        assert_eq!(run_across(b"ab", b"\0cd "), 3);
        assert_eq!(run_across(b"", b"cd"), 0);
    }

    proptest! {
        #[test]
        fn agrees_with_a_scan_byte_by_byte(bytes in prop::collection::vec(
            prop_oneof![8 => 0x25u8..0x80, 1 => any::<u8>(), 1 => Just(b'\n'), 1 => Just(0)], 0..400)
        ) {
            prop_assert_eq!(Words::new(&bytes, 0).collect::<Vec<_>>(), naive(&bytes));
        }
    }
}
