//! Where in a text something encoded can stand: runs of printable characters without blanks.

use std::ops::Range;

use super::blocks::{BLOCK, Class, eights, is_word, lowest};

/// Runs of at least eight word bytes, in which six decoded bytes can stand, in a text, in order; single NULs inside a run belong to it.
pub(super) struct Words<'a> {
    bytes: &'a [u8],
    /// Where the last run ended.
    floor: usize,
    /// The block that is looked at, and which of its bytes are word bytes after `floor`.
    block: usize,
    words: u64,
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

/// Values of the characters of base32, either case; 255 for others.
pub(super) const BASE32: [u8; 256] = {
    let mut table = digits(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    let mut value = 0u8;
    while value < 26 {
        set(&mut table, value.wrapping_add(b'a'), value);
        value = value.wrapping_add(1);
    }
    table
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
            floor: start,
            block: start,
            words: Class::Word.of(bytes, start),
        }
    }
}

impl Iterator for Words<'_> {
    type Item = Range<usize>;

    #[inline]
    fn next(&mut self) -> Option<Range<usize>> {
        let mut starts = eights(self.words);
        while starts == 0 {
            // Words that reach the block's end may go on: the next block begins with them.
            let reaching = self.words.leading_ones() as usize;
            self.block = self.block.saturating_add(BLOCK).saturating_sub(reaching);
            if self.block >= self.bytes.len() {
                return None;
            }
            self.words = Class::Word.of(self.bytes, self.block);
            starts = eights(self.words);
        }
        let first = starts.trailing_zeros();
        let start = self.block.saturating_add(first as usize);
        let length = self.words.wrapping_shr(first).trailing_ones();
        let mut end = start.saturating_add(length as usize);
        let reaches_on = first.saturating_add(length) as usize >= BLOCK;
        if reaches_on || self.bytes.get(end) == Some(&0) {
            end = end_of_run(self.bytes, end);
        }
        let start = match self.bytes.get(self.floor..start) {
            Some(before @ [.., 0]) => self.floor.saturating_add(start_of_run(before)),
            _ => start,
        };
        self.floor = end;
        match end.checked_sub(self.block) {
            Some(done @ ..BLOCK) => self.words &= !lowest(done),
            _ => {
                self.block = end;
                self.words = Class::Word.of(self.bytes, end);
            }
        }
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

/// The end of the run that `bytes[at]` is in, or would be.
fn end_of_run(bytes: &[u8], at: usize) -> usize {
    let mut end = at;
    loop {
        let length = Class::Word.of(bytes, end).trailing_ones() as usize;
        end = end.saturating_add(length);
        if length == BLOCK {
            continue;
        }
        match bytes.get(end..) {
            Some([0, next, ..]) if is_word(*next) => end = end.saturating_add(1),
            _ => return end,
        }
    }
}

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
                .any(|part| part.len() >= 8)
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
