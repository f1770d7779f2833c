//! Hexadecimal digits, either case, line breaks between them ignored.

use super::{blocks::is_break, packed, words::HEX};

/// Appends what `digits`, nothing else, decode to from digit `phase` on; a last lone digit is left.
pub(super) fn decode(digits: &[u8], phase: usize, out: &mut Vec<u8>) {
    let digits = digits.get(phase..).unwrap_or_default();
    let start = out.len();
    packed::pack_hex(digits, out);
    out.truncate(start.saturating_add(length(digits.len())));
}

/// The bits of these digits, the first one highest; what is no digit gives any.
#[inline]
pub(super) fn bits(digits: &[u8; 32]) -> u128 {
    packed::bits_of_hex(digits)
}

/// How many whole bytes so many digits decode to.
pub(super) fn length(digits: usize) -> usize {
    digits / 2
}

/// The index in `run` of the digit that begins output byte `index`.
pub(super) fn locate(run: &[u8], phase: usize, index: usize) -> usize {
    let digit = index.saturating_mul(2).saturating_add(phase);
    run.iter()
        .enumerate()
        .filter(|(_, byte)| !is_break(**byte))
        .nth(digit)
        .map_or(run.len(), |(at, _)| at)
}

/// The byte that two hexadecimal digits write.
pub(super) fn byte(high: u8, low: u8) -> Option<u8> {
    Some((nibble(high)? << 4) | nibble(low)?)
}

fn nibble(digit: u8) -> Option<u8> {
    let value = *HEX.get(usize::from(digit))?;
    (value < 16).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_at_both_phases() {
        let cases: [(&str, usize, &[u8]); 4] = [
            ("343930", 0, b"490"),
            ("f343930", 1, b"490"),
            ("34393", 0, b"49"),
            ("3439A", 0, b"49"),
        ];
        for (run, phase, expected) in cases {
            let mut out = Vec::new();
            decode(run.as_bytes(), phase, &mut out);
            assert_eq!(out, expected, "{run:?}");
        }
    }

    #[test]
    fn locates_past_line_breaks() {
        assert_eq!(
            (0..3)
                .map(|i| locate(b"34\n39\n30", 0, i))
                .collect::<Vec<_>>(),
            [0, 3, 6]
        );
        assert_eq!(locate(b"34", 0, 5), 2);
    }
}
