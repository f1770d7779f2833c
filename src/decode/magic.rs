//! Where in a text something may begin that says by its first bytes what it is.

use super::inflate;
use crate::event::Wrapper;

/// The first place at `at` or later where a container may begin, and which.
pub(super) fn find(bytes: &[u8], at: usize) -> Option<(usize, Wrapper)> {
    let mut at = at;
    while let Some(block) = bytes.get(at..at.saturating_add(BLOCK).saturating_add(1)) {
        if may_begin(block)
            && let Some(found) = look(bytes, at, at.saturating_add(BLOCK))
        {
            return Some(found);
        }
        at = at.saturating_add(BLOCK);
    }
    look(bytes, at, bytes.len())
}

/// Which container a text begins as, if any.
pub(super) fn of(text: &[u8]) -> Option<Wrapper> {
    match text {
        [0x1f, 0x8b, 8, flags, ..] if flags & 0xe0 == 0 => Some(Wrapper::Gzip),
        [b'P', b'K', 3, 4, ..] => Some(Wrapper::Zip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Wrapper::Zstd),
        [0x78, flags, first, ..]
            if inflate::is_zlib(0x78, *flags) && inflate::may_begin(*first) =>
        {
            Some(Wrapper::Zlib)
        }
        _ => None,
    }
}

fn look(bytes: &[u8], from: usize, to: usize) -> Option<(usize, Wrapper)> {
    (from..to).find_map(|at| Some((at, of(bytes.get(at..)?)?)))
}

/// Whether the first two bytes of a container stand anywhere in a block, its last byte being that of the next.
fn may_begin(block: &[u8]) -> bool {
    let rest = block.get(1..).unwrap_or_default();
    let mut any = 0;
    for (a, b) in block.iter().zip(rest) {
        any |= u8::from((*a == 0x1f) & (*b == 0x8b))
            | u8::from((*a == b'P') & (*b == b'K'))
            | u8::from((*a == 0x28) & (*b == 0xb5))
            | u8::from((*a == 0x78) & ((*b == 0x9c) | (*b == 0xda) | (*b == 1) | (*b == 0x5e)));
    }
    any != 0
}

const BLOCK: usize = 256;
/// Bytes that [`of`] looks at.
pub(super) const LONGEST: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_container_at_every_place() {
        let containers: [(&[u8], Wrapper); 7] = [
            (&[0x1f, 0x8b, 8, 0], Wrapper::Gzip),
            (b"PK\x03\x04", Wrapper::Zip),
            (&[0x28, 0xb5, 0x2f, 0xfd], Wrapper::Zstd),
            (&[0x78, 0x9c, 1], Wrapper::Zlib),
            (&[0x78, 0xda, 3], Wrapper::Zlib),
            (&[0x78, 0x01, 5], Wrapper::Zlib),
            (&[0x78, 0x5e, 0], Wrapper::Zlib),
        ];
        for (start, wrapper) in containers {
            for before in (0..20).chain(250..270).chain([600]) {
                let text = [&vec![b'x'; before], start, b"yy"].concat();
                assert_eq!(find(&text, 0), Some((before, wrapper)), "{start:?}");
                assert_eq!(find(&text, before + 1), None);
            }
        }
    }

    #[test]
    fn takes_nothing_for_a_container_that_is_none() {
        let table: [&[u8]; 6] = [
            &[0x1f, 0x8b, 7, 0],
            &[0x1f, 0x8b, 8, 0xff],
            b"PK\x05\x06",
            &[0x78, 0x9d, 1],
            &[0x78, 0x9c, 7],
            b"x^>y",
        ];
        for text in table {
            assert_eq!(find(text, 0), None, "{text:?}");
        }
    }
}
