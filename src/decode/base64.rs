//! Base64 (RFC 4648), both alphabets at once, line breaks and NUL ignored, padding not needed.

use wide::u8x16;

use super::{
    blocks::{is, is_sextet, within, wrapping_sub},
    packed,
    words::SEXTET,
};

/// Replaces `sextets` by the values of `characters`, which are none but those of base64.
pub(super) fn read(characters: &[u8], sextets: &mut Vec<u8>) {
    sextets.clear();
    sextets.resize(characters.len(), 0);
    let (blocks, rest) = characters.as_chunks::<VECTOR>();
    let (values, last) = sextets.as_chunks_mut::<VECTOR>();
    for (sextets, block) in values.iter_mut().zip(blocks) {
        *sextets = self::values(u8x16::new(*block)).to_array();
    }
    for (sextet, byte) in last.iter_mut().zip(rest) {
        *sextet = SEXTET.get(usize::from(*byte)).copied().unwrap_or_default();
    }
}

/// Appends what `sextets` decode to, every byte that is whole.
pub(super) fn decode(sextets: &[u8], out: &mut Vec<u8>) {
    let end = out.len().saturating_add(length(sextets.len()));
    packed::pack_sextets(sextets, out);
    out.truncate(end);
}

/// How many whole bytes so many characters decode to.
pub(super) fn length(characters: usize) -> usize {
    characters.saturating_mul(6) / 8
}

/// The phases at which a run of these characters can be meant: from its beginning, after each character that may as
/// well separate, and all four for a run that is long enough to hold a value behind other letters.
pub(super) fn phases(sextets: &[u8], cut: bool) -> [bool; 4] {
    if cut || sextets.len() >= LONG {
        return [true; 4];
    }
    // The characters after letters and digits are the ones that separate: `+`, `-`, `/` and `_`. One is 62 or 63, and
    // two more carry it into the seventh bit.
    let (fours, rest) = sextets.as_chunks::<4>();
    let mut last = [0; 4];
    for (sextet, byte) in rest.iter().zip(&mut last) {
        *byte = *sextet;
    }
    let separators = fours.iter().chain([&last]).fold(0, |any, four| {
        any | u32::from_le_bytes(*four).wrapping_add(0x0202_0202)
    });
    let [after_first, after_second, after_third, _] = separators.to_le_bytes();
    let separates = |after: u8| after & 0x40 != 0;
    [
        true,
        separates(after_first),
        separates(after_second),
        separates(after_third),
    ]
}

/// The phases of a short run, by which of its characters are neither letters nor digits.
#[inline]
pub(super) fn phases_after(separators: u64) -> [bool; 4] {
    const FOURTH: u64 = 0x1111_1111_1111_1111;
    let after = |place: u32| separators & (FOURTH << place) != 0;
    [true, after(0), after(1), after(2)]
}

/// The bits of the first 20 of these characters, the first one highest, and which of the characters are neither
/// letters nor digits.
#[inline]
pub(super) fn bits(characters: &[u8; 32]) -> (u128, u64) {
    let mut sextets = [0; 32];
    let mut separators = 0;
    let halves = sextets.as_chunks_mut::<VECTOR>().0.iter_mut();
    for (half, characters) in halves.zip(characters.as_chunks().0).rev() {
        let values = values(u8x16::new(*characters));
        let ordinary = values.simd_lt(u8x16::splat(62)).to_bitmask();
        separators = separators << 16 | u64::from(!ordinary & 0xffff);
        *half = values.to_array();
    }
    (packed::bits_of_sextets(&sextets), separators)
}

/// From this many characters on every phase of a run is decoded.
pub(super) const LONG: usize = 20;

/// The index in `run` of the character that holds the first bit of output byte `index`.
pub(super) fn locate(run: &[u8], phase: usize, index: usize) -> usize {
    let character = (index / 3)
        .saturating_mul(4)
        .saturating_add(index % 3)
        .saturating_add(phase);
    run.iter()
        .enumerate()
        .filter(|(_, byte)| is_sextet(**byte))
        .nth(character)
        .map_or(run.len(), |(at, _)| at)
}

/// The values of sixteen characters of base64.
#[inline]
fn values(characters: u8x16) -> u8x16 {
    // From a character's code to its value, by what it is; the slash and the low line are what is left.
    let is_lower = within(characters, b'a', 26);
    let is_upper = within(characters, b'A', 26);
    let is_digit = within(characters, b'0', 10);
    let is_first = is(characters, b'+') | is(characters, b'-');
    let known = is_lower | is_upper | is_digit;
    let distance = (is_lower & u8x16::splat(b'a' - 26))
        | (is_upper & u8x16::splat(b'A'))
        | (is_digit & u8x16::splat(b'0'.wrapping_sub(52)));
    let ordinary = wrapping_sub(characters, distance) & known;
    let other = wrapping_sub(u8x16::splat(63), is_first & u8x16::splat(1)) & !known;
    ordinary | other
}

/// Characters that are read at once.
const VECTOR: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(run: &str, phase: usize) -> Vec<u8> {
        let (mut sextets, mut out) = (Vec::new(), Vec::new());
        let characters: Vec<u8> = run.bytes().filter(|byte| is_sextet(*byte)).collect();
        read(&characters, &mut sextets);
        decode(&sextets[phase..], &mut out);
        out
    }

    #[test]
    fn decodes_every_phase_and_either_alphabet() {
        let cases: [(&str, usize, &[u8]); 7] = [
            ("NDkwMTU0", 0, b"490154"),
            ("xNDkwMTU0", 1, b"490154"),
            ("/abNDkwMTU0", 3, b"490154"),
            ("NDkw\nMTU\r\n0", 0, b"490154"),
            ("NDkw\0MTU0", 0, b"490154"),
            ("-_+/", 0, &[0xfb, 0xff, 0xbf]),
            ("NDkwMQ", 0, b"4901"),
        ];
        for (run, phase, expected) in cases {
            assert_eq!(decoded(run, phase), expected, "{run:?}");
        }
    }

    #[test]
    fn shows_a_byte_as_soon_as_its_bits_are_there() {
        for (run, expected) in [("N", 0), ("ND", 1), ("NDk", 2), ("NDkw", 3)] {
            assert_eq!(decoded(run, 0).len(), expected, "{run}");
        }
    }

    #[test]
    fn locates_past_line_breaks() {
        let run = b"NDkw\nMTU0";
        assert_eq!(
            (0..6).map(|i| locate(run, 0, i)).collect::<Vec<_>>(),
            [0, 1, 2, 5, 6, 7]
        );
    }

    #[test]
    fn tries_the_phases_that_a_run_can_have() {
        let cases = [
            ("timestamp", false, [true, false, false, false]),
            ("id/TmljZQ", false, [true, false, false, true]),
            ("a-b_c/defg", false, [true, false, true, false]),
            ("abcdefghijklmnopqrst", false, [true; 4]),
            ("timestamp", true, [true; 4]),
        ];
        for (run, cut, expected) in cases {
            let mut sextets = Vec::new();
            read(run.as_bytes(), &mut sextets);
            assert_eq!(phases(&sextets, cut), expected, "{run:?}");
        }
    }
}
