//! Where in a text something encoded can stand: runs of printable characters without blanks.

use std::ops::Range;

/// Runs of at least [`SHORTEST`] word bytes in a text, in order; single NULs inside a run belong to it.
pub(super) struct Words<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Whether `byte` can be part of an encoded value: printable, not a blank and not a quote, or a line break.
pub(super) fn is_word(byte: u8) -> bool {
    // Two ranges that vectorise: 0x25–0x7e, and 0x08–0x0f for CR and LF.
    (byte.wrapping_sub(0x25) <= 0x59) | (byte & 0xf8 == 0x08)
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

/// Values of the characters of base64, standard and URL-safe alphabet; 255 for others.
pub(super) const SEXTET: [u8; 256] = {
    let mut table = digits(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    set(&mut table, b'-', 62);
    set(&mut table, b'_', 63);
    table
};

/// Values of hexadecimal digits, either case; 255 for others.
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
    table
};

impl<'a> Words<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }
}

impl Iterator for Words<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let mut patience = PATIENCE;
        loop {
            let inside = match self.bytes.get(self.at) {
                Some(byte) if is_word(*byte) => self.at,
                _ if patience > 0 => {
                    patience = patience.saturating_sub(1);
                    self.at = self.at.saturating_add(1).min(self.bytes.len());
                    if self.at == self.bytes.len() {
                        return None;
                    }
                    continue;
                }
                _ => five_in_a_row(self.bytes, self.at)?,
            };
            let before = self.bytes.get(self.at..inside)?;
            let start = before
                .iter()
                .rposition(|&byte| !is_word(byte))
                .map_or(self.at, |gap| self.at.saturating_add(gap).saturating_add(1));
            let end = end_of_run(self.bytes, inside);
            self.at = end;
            if end.saturating_sub(start) >= SHORTEST {
                return Some(start..end);
            }
        }
    }
}

/// The end of the run that `bytes[at]` is in.
fn end_of_run(bytes: &[u8], at: usize) -> usize {
    let mut end = at;
    loop {
        let rest = bytes.get(end..).unwrap_or_default();
        end = end.saturating_add(
            rest.iter()
                .position(|&byte| !is_word(byte))
                .unwrap_or(rest.len()),
        );
        match bytes.get(end..) {
            Some([0, next, ..]) if is_word(*next) => end = end.saturating_add(1),
            _ => return end,
        }
    }
}

/// The index of some byte in the first run of five word bytes or more whose group of four is aligned to `at`; every
/// run of eight has such a group.
fn five_in_a_row(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    while let Some(block) = bytes.get(at..at.saturating_add(BLOCK).saturating_add(1)) {
        let block = block.first_chunk()?;
        if any_group(block) {
            return Some(at.saturating_add(group(block)?));
        }
        at = at.saturating_add(BLOCK);
    }
    let tail = bytes.get(at..).filter(|tail| tail.len() > 4)?;
    let mut block = [0; BLOCK + 1];
    block.get_mut(..tail.len())?.copy_from_slice(tail);
    Some(at.saturating_add(group(&block)?))
}

fn any_group(block: &[u8; BLOCK + 1]) -> bool {
    let mut any = false;
    for group in both(block).as_chunks::<4>().0 {
        any |= u32::from_ne_bytes(*group) == u32::MAX;
    }
    any
}

fn group(block: &[u8; BLOCK + 1]) -> Option<usize> {
    let found = both(block)
        .as_chunks::<4>()
        .0
        .iter()
        .position(|group| *group == [0xff; 4])?;
    Some(found.saturating_mul(4))
}

/// 0xff where a byte and its right neighbour are word bytes.
fn both(block: &[u8; BLOCK + 1]) -> [u8; BLOCK] {
    let mut word = [0; BLOCK + 1];
    for (out, byte) in word.iter_mut().zip(block) {
        *out = u8::from(is_word(*byte)).wrapping_neg();
    }
    let mut both = [0; BLOCK];
    for (out, pair) in both.iter_mut().zip(word.windows(2)) {
        if let [a, b] = pair {
            *out = a & b;
        }
    }
    both
}

const BLOCK: usize = 64;
/// Bytes outside words that are looked at one by one before blocks are: words stand close together in text.
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

    fn naive(bytes: &[u8]) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for (at, &byte) in bytes.iter().enumerate() {
            if is_word(byte) {
                match runs.last_mut() {
                    Some(run) if run.end == at => run.end = at + 1,
                    _ => runs.push(at..at + 1),
                }
            }
        }
        let mut words: Vec<Range<usize>> = Vec::new();
        for run in runs {
            match words.last_mut() {
                Some(word) if run.start <= word.end => word.end = word.end.max(run.end),
                _ => {
                    let end = end_of_run(bytes, run.start);
                    if run.end - run.start >= SHORTEST || end - run.start >= SHORTEST {
                        words.push(run.start..end);
                    }
                }
            }
        }
        words
    }

    #[test]
    fn finds_a_run_of_eight_at_every_place() {
        for before in 0..200 {
            let mut bytes = vec![b' '; before];
            bytes.extend_from_slice(b"abcdefgh");
            assert_eq!(
                Words::new(&bytes).collect::<Vec<_>>(),
                std::iter::once(before..before + 8).collect::<Vec<_>>()
            );
            bytes.resize(before + 300, 0xff);
            assert_eq!(
                Words::new(&bytes).collect::<Vec<_>>(),
                std::iter::once(before..before + 8).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn joins_over_one_nul() {
        let bytes = b"\0\0abcdefgh\0ijkl\0\0mnop";
        assert_eq!(
            Words::new(bytes).collect::<Vec<_>>(),
            std::iter::once(2..15).collect::<Vec<_>>()
        );
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
            prop_oneof![8 => 0x25u8..0x7f, 1 => any::<u8>(), 1 => Just(b'\n')], 0..400)
        ) {
            let without_nul: Vec<u8> = bytes.into_iter().map(|b| if b == 0 { b' ' } else { b }).collect();
            prop_assert_eq!(Words::new(&without_nul).collect::<Vec<_>>(), naive(&without_nul));
        }
    }
}
