use std::ops::Range;

use super::words::is_break;

/// Runs of at least `shortest` digits of an encoding in a word, over line breaks.
pub(super) struct Digits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Values of digits, below `base`, and of what is ignored, `base`.
    table: &'static [u8; 256],
    base: u8,
    shortest: usize,
}

impl<'a> Digits<'a> {
    pub(super) fn new(
        bytes: &'a [u8],
        table: &'static [u8; 256],
        base: u8,
        shortest: usize,
    ) -> Self {
        Self {
            bytes,
            at: 0,
            table,
            base,
            shortest,
        }
    }
}

impl Iterator for Digits<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        loop {
            // A run that begins at `at` or later, and is long enough, has its digit or a break here.
            let probe = self.at.saturating_add(self.shortest).saturating_sub(1);
            let in_run = |byte: &u8| {
                self.table
                    .get(usize::from(*byte))
                    .is_some_and(|&value| value <= self.base)
            };
            if !in_run(self.bytes.get(probe)?) {
                self.at = probe.saturating_add(1);
                continue;
            }
            let before = self.bytes.get(self.at..probe)?;
            let start = before
                .iter()
                .rposition(|byte| !in_run(byte))
                .map_or(0, |gap| gap.saturating_add(1));
            let start = self.at.saturating_add(start);
            let after = self.bytes.get(probe..)?;
            let end = after
                .iter()
                .position(|byte| !in_run(byte))
                .unwrap_or(after.len());
            let end = probe.saturating_add(end);
            self.at = end.saturating_add(1);
            let run = self.bytes.get(start..end)?;
            let first = run
                .iter()
                .position(|byte| !is_break(*byte))
                .unwrap_or(run.len());
            let last = run
                .iter()
                .rposition(|byte| !is_break(*byte))
                .map_or(first, |last| last.saturating_add(1));
            let digits = run.get(first..last)?;
            let breaks = digits.iter().filter(|byte| is_break(**byte)).count();
            if digits.len().saturating_sub(breaks) >= self.shortest {
                return Some(start.saturating_add(first)..start.saturating_add(last));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::words::{HEX, SEXTET};

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
            let runs: Vec<_> = Digits::new(text.as_bytes(), &SEXTET, 64, 8)
                .map(|run| &text[run])
                .collect();
            assert_eq!(runs, *expected, "{text:?}");
        }
        let hex: Vec<_> = Digits::new(b"xyz0123456789abcdefg", &HEX, 16, 12).collect();
        assert_eq!(hex, std::iter::once(3..19).collect::<Vec<_>>());
    }
}
