//! Base32 (RFC 4648, 6), either case, line breaks ignored, padding not needed.

use super::words::{BASE32, is_break};

/// Appends what `run` decodes to from its character `phase` on, every byte that is whole.
pub(super) fn decode(run: &[u8], phase: usize, out: &mut Vec<u8>) {
    let (mut bits, mut held) = (0u32, 0u32);
    for value in run.iter().filter_map(|&byte| value(byte)).skip(phase) {
        bits = (bits << 5) | u32::from(value);
        held = held.saturating_add(5);
        if held >= 8 {
            held = held.saturating_sub(8);
            out.extend((bits >> held).to_le_bytes().first());
        }
    }
}

/// The index in `run` of the character that holds the first bit of output byte `index`.
pub(super) fn locate(run: &[u8], phase: usize, index: usize) -> usize {
    let character = index.saturating_mul(8) / 5;
    run.iter()
        .enumerate()
        .filter(|(_, byte)| !is_break(**byte))
        .nth(character.saturating_add(phase))
        .map_or(run.len(), |(at, _)| at)
}

/// Whether a run can be meant: letters of one case, and a number of characters that encodes whole bytes.
pub(super) fn is_plausible(run: &[u8], whole: bool) -> bool {
    let characters = run.iter().filter(|byte| !is_break(**byte));
    let length = characters.count() % 8;
    let upper = run.iter().any(u8::is_ascii_uppercase);
    let lower = run.iter().any(u8::is_ascii_lowercase);
    !(upper && lower) && (!whole || matches!(length, 0 | 2 | 4 | 5 | 7))
}

fn value(byte: u8) -> Option<u8> {
    let value = *BASE32.get(usize::from(byte))?;
    (value < 32).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_the_standard_encodes() {
        for (plain, encoded) in [
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "mzxw6ytboi"),
            ("foobar", "mzxw\r\n6ytb\noi"),
        ] {
            assert!(is_plausible(encoded.as_bytes(), true));
            let mut out = Vec::new();
            decode(encoded.as_bytes(), 0, &mut out);
            assert_eq!(out, plain.as_bytes(), "{encoded}");
        }
        assert!(!is_plausible(b"Mzxw", true) && !is_plausible(b"MZX", true));
    }

    #[test]
    fn locates_over_phases_and_line_breaks() {
        let places = |run: &[u8], phase| {
            (0..4)
                .map(|index| locate(run, phase, index))
                .collect::<Vec<_>>()
        };
        assert_eq!(places(b"MZXW6YTB", 0), [0, 1, 3, 4]);
        assert_eq!(places(b"xMZ\nXW6YTB", 1), [1, 2, 5, 6]);
    }
}
