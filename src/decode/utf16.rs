//! UTF-16 in either byte order, as far as it is Latin: characters with a NUL between them.

use std::ops::Range;

/// Runs of characters and NULs in turn that are long enough for a value.
pub(super) fn runs(bytes: &[u8], from: usize) -> impl Iterator<Item = Range<usize>> {
    let mut at = start_of_run(bytes, from);
    std::iter::from_fn(move || {
        loop {
            let nul = at.saturating_add(memchr::memchr(0, bytes.get(at..)?)?);
            let start = match nul.checked_sub(1).filter(|before| *before >= at) {
                Some(before) if bytes.get(before).is_some_and(|byte| is_character(*byte)) => before,
                _ => nul,
            };
            let rest = bytes.get(nul..)?;
            let (pairs, last) = rest.as_chunks::<2>();
            let alternate = |pair: &&[u8; 2]| pair[0] == 0 && is_character(pair[1]);
            let count = pairs.iter().take_while(alternate).count();
            let mut end = nul.saturating_add(count.saturating_mul(2));
            if bytes.get(end) == Some(&0) {
                end = end.saturating_add(1);
            } else if count == pairs.len() && last == [0] {
                end = bytes.len();
            }
            let zeros = bytes.get(end..)?.iter().take_while(|byte| **byte == 0);
            at = end.saturating_add(zeros.count()).max(nul.saturating_add(1));
            if end.saturating_sub(start) >= SHORTEST && end > from {
                return Some(start..end);
            }
        }
    })
}

/// Appends the characters of a run that stand at `first` (0 or 1) and every second place after it, as UTF-8.
pub(super) fn decode(run: &[u8], first: usize, out: &mut Vec<u8>) {
    for byte in run.iter().skip(first).step_by(2).filter(|byte| **byte != 0) {
        let mut buffer = [0; 4];
        out.extend_from_slice(char::from(*byte).encode_utf8(&mut buffer).as_bytes());
    }
}

/// The index in `run` of the character that output byte `index` is of.
pub(super) fn locate(run: &[u8], first: usize, index: usize) -> usize {
    let mut left = index;
    for (at, byte) in run.iter().enumerate().skip(first).step_by(2) {
        let width = char::from(*byte).len_utf8();
        if left < width {
            return at;
        }
        left = left.saturating_sub(width);
    }
    run.len()
}

/// Whether the characters of a run stand at its even places, or at its odd ones.
pub(super) fn first(run: &[u8]) -> usize {
    usize::from(run.first() == Some(&0))
}

fn start_of_run(bytes: &[u8], from: usize) -> usize {
    let before = bytes.get(..from).unwrap_or_default();
    let alternates = |pair: &[u8]| matches!(pair, [a, b] if (*a == 0) != (*b == 0));
    let back = before
        .windows(2)
        .rev()
        .take_while(|pair| alternates(pair))
        .count();
    from.saturating_sub(back.saturating_add(1))
}

fn is_character(byte: u8) -> bool {
    byte >= 0x20 || matches!(byte, b'\t' | b'\r' | b'\n')
}

/// Bytes of six characters.
const SHORTEST: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Vec<String> {
        let text = |run: Range<usize>| {
            let mut out = Vec::new();
            let run = &bytes[run];
            decode(run, first(run), &mut out);
            String::from_utf8(out).expect("UTF-8")
        };
        runs(bytes, 0).map(text).collect()
    }

    #[test]
    fn reads_either_byte_order() {
        let text = "490154203237518 \u{e6}\u{f8}\u{e5}";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decoded(&little), [text]);
        assert_eq!(decoded(&big), [text]);
        let both = [
            &[0xff, 0xfe][..],
            &little,
            &[0, 0, 0],
            b"plain",
            &big,
            &[0; 9],
        ]
        .concat();
        assert!(decoded(&both).iter().any(|said| said.contains(text)));
        assert_eq!(decoded(b"no nul at all, and \0 one"), Vec::<String>::new());
        assert_eq!(decoded(&[0; 500]), Vec::<String>::new());
    }

    #[test]
    fn locates_each_byte_of_a_character() {
        let run: Vec<u8> = "a\u{e6}b"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let places: Vec<_> = (0..5).map(|index| locate(&run, 0, index)).collect();
        assert_eq!(places, [0, 2, 2, 4, 6]);
    }
}
