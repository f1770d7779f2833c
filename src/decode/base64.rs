//! Base64 (RFC 4648), both alphabets at once, line breaks and NUL ignored, padding not needed.

use super::words::SEXTET;

/// Replaces `sextets` by the values of the characters of `run`.
pub(super) fn read(run: &[u8], sextets: &mut Vec<u8>) {
    sextets.clear();
    let mut start = 0usize;
    for end in memchr::memchr3_iter(b'\n', b'\r', 0, run).chain([run.len()]) {
        let line = run.get(start..end).unwrap_or_default();
        sextets.extend(
            line.iter()
                .filter_map(|&byte| SEXTET.get(usize::from(byte)).copied()),
        );
        start = end.saturating_add(1);
    }
}

/// Appends what `sextets` decode to, every byte that is whole.
pub(super) fn decode(sextets: &[u8], out: &mut Vec<u8>) {
    let (quads, rest) = sextets.as_chunks::<4>();
    let start = out.len();
    out.resize(start.saturating_add(quads.len().saturating_mul(3)), 0);
    let (triples, _) = out
        .get_mut(start..)
        .unwrap_or_default()
        .as_chunks_mut::<3>();
    for (triple, [a, b, c, d]) in triples.iter_mut().zip(quads) {
        *triple = [(a << 2) | (b >> 4), (b << 4) | (c >> 2), (c << 6) | d];
    }
    match rest {
        [a, b, c] => out.extend([(a << 2) | (b >> 4), (b << 4) | (c >> 2)]),
        [a, b] => out.push((a << 2) | (b >> 4)),
        _ => {}
    }
}

/// The phases at which a run of these characters can be meant: from its beginning, after each character that may as
/// well separate, and all four for a run that is long enough to hold a value behind other letters.
pub(super) fn phases(run: &[u8], sextets: &[u8], cut: bool) -> [bool; 4] {
    let mut phases = [true, false, false, false];
    if cut || sextets.len() >= LONG {
        return [true; 4];
    }
    let mut character = 0usize;
    for &byte in run {
        if sextet(byte).is_some() {
            character = character.wrapping_add(1);
            if matches!(byte, b'/' | b'-' | b'_' | b'+')
                && let Some(phase) = phases.get_mut(character % 4)
            {
                *phase = true;
            }
        }
    }
    phases
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
        .filter(|(_, byte)| sextet(**byte).is_some())
        .nth(character)
        .map_or(run.len(), |(at, _)| at)
}

fn sextet(byte: u8) -> Option<u8> {
    SEXTET
        .get(usize::from(byte))
        .copied()
        .filter(|&value| value < 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(run: &str, phase: usize) -> Vec<u8> {
        let (mut sextets, mut out) = (Vec::new(), Vec::new());
        read(run.as_bytes(), &mut sextets);
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
            ("a-b_c\n/defg", false, [true, false, true, false]),
            ("abcdefghijklmnopqrst", false, [true; 4]),
            ("timestamp", true, [true; 4]),
        ];
        for (run, cut, expected) in cases {
            let mut sextets = Vec::new();
            read(run.as_bytes(), &mut sextets);
            assert_eq!(phases(run.as_bytes(), &sextets, cut), expected, "{run:?}");
        }
    }
}
