//! Where in a text something may begin that says by its first bytes what it is.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::{inflate, skim};
use crate::event::Wrapper;

/// The first place at `at` or later where a container may begin, and which.
pub(super) fn find(bytes: &[u8], at: usize) -> Option<(usize, Wrapper)> {
    let mut at = at;
    loop {
        let start = skim::find_container(bytes, at)?;
        if let Some(wrapper) = of(bytes.get(start..)?) {
            return Some((start, wrapper));
        }
        at = start.saturating_add(1);
    }
}

/// The same of Zstandard alone.
pub(super) fn find_zstd(bytes: &[u8], at: usize) -> Option<(usize, Wrapper)> {
    static FINDER: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(&ZSTD));
    let found = FINDER.find(bytes.get(at..)?)?;
    Some((at.saturating_add(found), Wrapper::Zstd))
}

/// Which container a text begins as, if any.
pub(super) fn of(text: &[u8]) -> Option<Wrapper> {
    match text {
        [0x1f, 0x8b, 8, flags, ..] if flags & 0xe0 == 0 => Some(Wrapper::Gzip),
        [b'P', b'K', 3, 4, ..] => Some(Wrapper::Zip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Wrapper::Zstd),
        [0x78, flags, first, ..]
            if inflate::is_zlib(0x78, *flags) && inflate::may_begin(&[*first]) =>
        {
            Some(Wrapper::Zlib)
        }
        _ => None,
    }
}

const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
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
