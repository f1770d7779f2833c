//! Base32 (RFC 4648, 6), either case, line breaks ignored, padding not needed.

use super::{blocks::is_break, words::BASE32};

/// Appends what `digits`, nothing else, decode to from digit `phase` on, every byte that is whole.
pub(super) fn decode(digits: &[u8], phase: usize, out: &mut Vec<u8>) {
    let digits = digits.get(phase..).unwrap_or_default();
    let end = out.len().saturating_add(length(digits.len()));
    let (blocks, rest) = digits.as_chunks::<8>();
    for block in blocks {
        out.extend_from_slice(&five_bytes(block));
    }
    if !rest.is_empty() {
        let mut block = *b"AAAAAAAA";
        for (character, digit) in block.iter_mut().zip(rest) {
            *character = *digit;
        }
        out.extend_from_slice(&five_bytes(&block));
        out.truncate(end);
    }
}

/// How many whole bytes so many characters decode to.
fn length(characters: usize) -> usize {
    characters.saturating_mul(5) / 8
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

/// Whether so many characters encode whole bytes.
pub(super) fn is_length(characters: usize) -> bool {
    matches!(characters % 8, 0 | 2 | 4 | 5 | 7)
}

/// Whether the letters of a run are all of one case, as an encoder writes them.
pub(super) fn is_of_one_case(run: &[u8]) -> bool {
    !(run.iter().any(u8::is_ascii_uppercase) && run.iter().any(u8::is_ascii_lowercase))
}

fn five_bytes(characters: &[u8; 8]) -> [u8; 5] {
    let value = |character: &u8| BASE32.get(usize::from(*character)).copied();
    let bits = characters.iter().fold(0u64, |bits, character| {
        bits << 5 | u64::from(value(character).unwrap_or_default())
    });
    let [_, _, _, bytes @ ..] = bits.to_be_bytes();
    bytes
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
            ("foobarfoobar", "MZXW6YTBOJTG633CMFZA"),
        ] {
            assert!(is_length(encoded.len()) && is_of_one_case(encoded.as_bytes()));
            let mut out = Vec::new();
            decode(encoded.as_bytes(), 0, &mut out);
            assert_eq!(out, plain.as_bytes(), "{encoded}");
        }
        assert!(!is_of_one_case(b"Mzxw") && !is_length(3));
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
