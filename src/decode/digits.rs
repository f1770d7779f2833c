use std::ops::Range;

use super::blocks::{BLOCK, Class, eights, is_break, lowest};

/// Finds runs of at least so many digits of an encoding, over line breaks, in stretches of one text that are asked about
/// in order.
pub(super) struct Digits {
    class: Class,
    shortest: usize,
    /// Where the block begins that was looked at last, and what is in it.
    block: usize,
    runs: u64,
    /// Where the next break is that was looked for.
    next_break: usize,
}

/// Digits of an encoding, with line breaks between them or without; the first and the last byte are digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) range: Range<usize>,
    /// Digits in it: fewer than bytes where there are breaks.
    pub(super) digits: usize,
}

impl Run {
    /// Whether there are breaks in it.
    pub(super) fn is_broken(&self) -> bool {
        self.digits < self.range.len()
    }
}

impl Digits {
    /// Of base64, either alphabet: as many as six bytes need.
    pub(super) fn base64() -> Self {
        Self::new(Class::Sextet, BASE64_SHORTEST)
    }

    /// Of base32, either case: as many as six bytes need.
    pub(super) fn base32() -> Self {
        Self::new(Class::Base32, BASE32_SHORTEST)
    }

    /// Of hexadecimal: as many as six bytes need.
    pub(super) fn hex() -> Self {
        Self::new(Class::Hex, HEX_SHORTEST)
    }

    fn new(class: Class, shortest: usize) -> Self {
        Self {
            class,
            shortest,
            block: usize::MAX,
            runs: 0,
            next_break: 0,
        }
    }

    /// Forgets what it looked at: another text follows.
    pub(super) fn renew(&mut self) {
        *self = Self::new(self.class, self.shortest);
    }

    /// The first run in `bytes[within]`; the next one is in what follows its end.
    #[inline]
    pub(super) fn next(&mut self, bytes: &[u8], within: Range<usize>) -> Option<Run> {
        let Range { start: mut at, end } = within;
        loop {
            let left = end.saturating_sub(at);
            if left < self.shortest {
                return None;
            }
            let runs = self.look(bytes, at, end) & lowest(left);
            let starts = eights(runs);
            if starts == 0 {
                if left <= BLOCK {
                    return None;
                }
                // What reaches the block's end may go on: the next block begins with it.
                let reaching = runs.leading_ones() as usize;
                at = at.saturating_add(BLOCK).saturating_sub(reaching);
                continue;
            }
            let before = starts.trailing_zeros();
            let length = runs.wrapping_shr(before).trailing_ones() as usize;
            let start = at.saturating_add(before as usize);
            let mut stop = start.saturating_add(length);
            if length.saturating_add(before as usize) == BLOCK && stop < end {
                stop = self.end_of_run(bytes, stop, end);
            }
            at = stop;
            let run = if self.has_break(bytes, start..stop) {
                trimmed(bytes, start..stop)
            } else {
                Some(Run {
                    range: start..stop,
                    digits: stop.saturating_sub(start),
                })
            };
            if let Some(run) = run.filter(|run| run.digits >= self.shortest) {
                return Some(run);
            }
        }
    }

    /// Which bytes from `at` on are digits or breaks: 64 of them, or all up to `end`.
    #[inline]
    fn look(&mut self, bytes: &[u8], at: usize, end: usize) -> u64 {
        let last = self.block.saturating_add(BLOCK);
        if at < self.block || at >= last || end > last && at > self.block {
            self.block = at;
            self.runs = self.class.of(bytes, at);
        }
        self.runs.wrapping_shr(at.saturating_sub(self.block) as u32)
    }

    #[inline]
    fn has_break(&mut self, bytes: &[u8], range: Range<usize>) -> bool {
        if self.next_break < range.start || self.next_break == 0 {
            let rest = bytes.get(range.start..).unwrap_or_default();
            let next = memchr::memchr3(b'\r', b'\n', 0, rest).unwrap_or(rest.len());
            self.next_break = range.start.saturating_add(next);
        }
        self.next_break < range.end
    }

    fn end_of_run(&self, bytes: &[u8], from: usize, end: usize) -> usize {
        let mut at = from;
        while at < end {
            let length = self.class.of(bytes, at).trailing_ones() as usize;
            at = at.saturating_add(length);
            if length < BLOCK {
                break;
            }
        }
        at.min(end)
    }
}

/// A run without the breaks around it; nothing if there is no digit.
fn trimmed(bytes: &[u8], range: Range<usize>) -> Option<Run> {
    let run = bytes.get(range.clone())?;
    let first = run.iter().position(|byte| !is_break(*byte))?;
    let last = run.iter().rposition(|byte| !is_break(*byte))?;
    let range =
        range.start.saturating_add(first)..range.start.saturating_add(last).saturating_add(1);
    let inside = bytes.get(range.clone())?;
    let breaks: usize = (0..inside.len())
        .step_by(BLOCK)
        .map(|at| Class::Break.of(inside, at).count_ones() as usize)
        .sum();
    Some(Run {
        digits: range.len().saturating_sub(breaks),
        range,
    })
}

/// The digits of a run without its breaks, in `buffer` if there are any.
#[inline]
pub(super) fn without_breaks<'a>(run: &Run, bytes: &'a [u8], buffer: &'a mut Vec<u8>) -> &'a [u8] {
    let digits = bytes.get(run.range.clone()).unwrap_or_default();
    if !run.is_broken() {
        return digits;
    }
    buffer.clear();
    let mut start = 0usize;
    for end in memchr::memchr3_iter(b'\n', b'\r', 0, digits).chain([digits.len()]) {
        buffer.extend_from_slice(digits.get(start..end).unwrap_or_default());
        start = end.saturating_add(1);
    }
    buffer
}

/// Characters of base64 that six bytes need.
pub(super) const BASE64_SHORTEST: usize = 8;
/// Characters of base32 that six bytes need.
const BASE32_SHORTEST: usize = 10;
/// Hexadecimal digits that six bytes need.
const HEX_SHORTEST: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn runs(digits: &mut Digits, bytes: &[u8], within: Range<usize>) -> Vec<Run> {
        let mut runs = Vec::new();
        let mut at = within.start;
        while let Some(run) = digits.next(bytes, at..within.end) {
            at = run.range.end;
            runs.push(run);
        }
        runs
    }

    #[test]
    fn finds_runs_over_line_breaks_and_none_that_is_short() {
        let table: &[(&str, &[&str])] = &[
            ("abcdefgh", &["abcdefgh"]),
            ("abcdefg.hijklmno", &["hijklmno"]),
            ("\r\nabcd\nef\r\ngh\n", &["abcd\nef\r\ngh"]),
            ("abc\n\n\n\n\ndef", &[]),
            ("a=bcdefghi=jklmnopq", &["bcdefghi", "jklmnopq"]),
            ("", &[]),
        ];
        for (text, expected) in table {
            let found: Vec<_> = runs(&mut Digits::base64(), text.as_bytes(), 0..text.len())
                .into_iter()
                .map(|run| &text[run.range])
                .collect();
            assert_eq!(found, *expected, "{text:?}");
        }
        let hex = runs(&mut Digits::hex(), b"xyz0123456789abcdefg", 0..20);
        let expected = Run {
            range: 3..19,
            digits: 16,
        };
        assert_eq!(hex, [expected]);
    }

    fn places(runs: Vec<Run>) -> Vec<(Range<usize>, usize)> {
        runs.into_iter()
            .map(|run| (run.range, run.digits))
            .collect()
    }

    /// Byte by byte.
    fn naive(
        bytes: &[u8],
        within: Range<usize>,
        shortest: usize,
        is_digit: fn(u8) -> bool,
    ) -> Vec<(Range<usize>, usize)> {
        let mut runs = Vec::new();
        let mut rest = within;
        while !rest.is_empty() {
            let in_run = |at: &usize| is_digit(bytes[*at]) || is_break(bytes[*at]);
            let end = rest.clone().find(|at| !in_run(at)).unwrap_or(rest.end);
            let mut range = rest.start..end;
            while !range.is_empty() && is_break(bytes[range.start]) {
                range.start += 1;
            }
            while !range.is_empty() && is_break(bytes[range.end - 1]) {
                range.end -= 1;
            }
            let digits = bytes[range.clone()]
                .iter()
                .filter(|byte| is_digit(**byte))
                .count();
            if digits >= shortest {
                runs.push((range, digits));
            }
            rest.start = (end + 1).min(rest.end);
        }
        runs
    }

    proptest! {
        #[test]
        fn agrees_with_a_scan_byte_by_byte(
            bytes in prop::collection::vec(prop_oneof![
                40 => prop::sample::select(&b"0123456789abcdefABCDEF"[..]),
                4 => prop::sample::select(&b"ghXYZ+/-_"[..]),
                2 => prop::sample::select(&b"\r\n\0"[..]),
                1 => any::<u8>(),
            ], 0..400),
            cuts in prop::collection::vec(0usize..400, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let (mut base64, mut base32, mut hex) = (Digits::base64(), Digits::base32(), Digits::hex());
            for stretch in cuts.windows(2) {
                let within = stretch[0]..stretch[1];
                prop_assert_eq!(
                    places(runs(&mut base64, &bytes, within.clone())),
                    naive(&bytes, within.clone(), 8, |byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte))
                );
                prop_assert_eq!(
                    places(runs(&mut base32, &bytes, within.clone())),
                    naive(&bytes, within.clone(), 10, |byte| byte.is_ascii_alphabetic() || (b'2'..=b'7').contains(&byte))
                );
                prop_assert_eq!(
                    places(runs(&mut hex, &bytes, within.clone())),
                    naive(&bytes, within, 12, |byte| byte.is_ascii_hexdigit())
                );
            }
        }
    }
}
