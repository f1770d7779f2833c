//! Base64 (RFC 4648), both alphabets at once, line breaks and NUL ignored, padding not needed.

use super::words::SEXTET;

/// Appends what `run` decodes to from its character `phase` on, every byte that is whole.
pub(super) fn decode(run: &[u8], phase: usize, out: &mut Vec<u8>) {
    let mut sextets = run
        .iter()
        .filter_map(|&byte| {
            SEXTET
                .get(usize::from(byte))
                .copied()
                .filter(|&value| value < 64)
        })
        .skip(phase);
    loop {
        let Some(a) = sextets.next() else { return };
        let Some(b) = sextets.next() else { return };
        out.push((a << 2) | (b >> 4));
        let Some(c) = sextets.next() else { return };
        out.push((b << 4) | (c >> 2));
        let Some(d) = sextets.next() else { return };
        out.push((c << 6) | d);
    }
}

/// The index in `run` of the character that holds the first bit of output byte `index`.
pub(super) fn locate(run: &[u8], phase: usize, index: usize) -> usize {
    let character = (index / 3)
        .saturating_mul(4)
        .saturating_add(index % 3)
        .saturating_add(phase);
    run.iter()
        .enumerate()
        .filter(|(_, byte)| {
            SEXTET
                .get(usize::from(**byte))
                .is_some_and(|&value| value < 64)
        })
        .nth(character)
        .map_or(run.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let mut out = Vec::new();
            decode(run.as_bytes(), phase, &mut out);
            assert_eq!(out, expected, "{run:?}");
        }
    }

    #[test]
    fn shows_a_byte_as_soon_as_its_bits_are_there() {
        for (run, expected) in [("N", 0), ("ND", 1), ("NDk", 2), ("NDkw", 3)] {
            let mut out = Vec::new();
            decode(run.as_bytes(), 0, &mut out);
            assert_eq!(out.len(), expected, "{run}");
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
}
