//! Classes of bytes, sixty-four at a time: one bit for each byte, the first one lowest.

use wide::u8x16;

/// What is asked of each byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Printable, neither blank nor quote, or a line break: what can be part of an encoded value.
    Word,
    /// A character of base64, standard or URL-safe alphabet, or a break.
    Sextet,
    /// A character of base32, either case, or a break.
    Base32,
    /// A hexadecimal digit, either case, or a break.
    Hex,
    /// CR, LF and NUL: ignored inside base64, base32 and hexadecimal.
    Break,
}

/// Bytes that are classified together.
pub(super) const BLOCK: usize = 64;

impl Class {
    /// Which of the [`BLOCK`] bytes from `at` on are of this class; beyond the end none is.
    #[inline]
    pub(super) fn of(self, bytes: &[u8], at: usize) -> u64 {
        let rest = bytes.get(at..).unwrap_or_default();
        if let Some(block) = rest.first_chunk() {
            return self.of_block(block);
        }
        let mut block = [0; BLOCK];
        if let Some(start) = block.get_mut(..rest.len()) {
            start.copy_from_slice(rest);
        }
        self.of_block(&block) & lowest(rest.len())
    }

    #[inline]
    fn of_block(self, block: &[u8; BLOCK]) -> u64 {
        match self {
            Class::Word => bits(block, words),
            Class::Sextet => bits(block, |bytes| sextets(bytes) | breaks(bytes)),
            Class::Base32 => bits(block, |bytes| base32_digits(bytes) | breaks(bytes)),
            Class::Hex => bits(block, |bytes| hex_digits(bytes) | breaks(bytes)),
            Class::Break => bits(block, breaks),
        }
    }
}

/// Whether `byte` can be part of an encoded value: printable, not a blank and not a quote, or a line break.
#[inline]
pub(crate) fn is_word(byte: u8) -> bool {
    // Few operations on a vector: above 0x24 as a signed byte, or 0x08–0x0f for CR and LF.
    (byte.cast_signed() > 0x24) | (byte & 0xf8 == 0x08)
}

/// Whether `byte` is ignored inside base64, base32 and hexadecimal: CR, LF, and the NUL that one sender puts there.
#[inline]
pub(super) fn is_break(byte: u8) -> bool {
    (byte == b'\r') | (byte == b'\n') | (byte == 0)
}

/// Whether `byte` is a character of base64, standard or URL-safe alphabet.
#[inline]
pub(super) fn is_sextet(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let slash_or_digit = byte.wrapping_sub(b'/') < 11;
    letter | slash_or_digit | (byte == b'+') | (byte == b'-') | (byte == b'_')
}

/// Whether `byte` is a hexadecimal digit, either case.
#[inline]
pub(super) fn is_hex(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 6;
    letter | (byte.wrapping_sub(b'0') < 10)
}

/// The lowest `count` bits; all of them from 64 on.
#[inline]
pub(super) fn lowest(count: usize) -> u64 {
    match u32::try_from(count) {
        Ok(count @ ..64) => !u64::MAX.wrapping_shl(count),
        _ => u64::MAX,
    }
}

/// Where eight bits in a row begin.
#[inline]
pub(super) fn eights(bits: u64) -> u64 {
    let pairs = bits & (bits >> 1);
    let fours = pairs & (pairs >> 2);
    fours & (fours >> 4)
}

/// A bit for each byte of a block that `class` marks by its highest bit, the first one lowest.
#[inline]
fn bits(block: &[u8; BLOCK], class: impl Fn(u8x16) -> u8x16) -> u64 {
    let quarters = block.as_chunks::<16>().0.iter().rev();
    quarters.fold(0, |bits, quarter| {
        bits << 16 | u64::from(class(u8x16::new(*quarter)).to_bitmask())
    })
}

/// As [`is_word`], of sixteen bytes; what is true is 0xff, also below.
#[inline]
fn words(bytes: u8x16) -> u8x16 {
    within(bytes, b'%', 0x5b) | within(bytes, 0x08, 8)
}

/// As [`is_break`].
#[inline]
fn breaks(bytes: u8x16) -> u8x16 {
    is(bytes, b'\r') | is(bytes, b'\n') | is(bytes, 0)
}

/// As [`is_sextet`].
#[inline]
fn sextets(bytes: u8x16) -> u8x16 {
    let letters = within(bytes | u8x16::splat(0x20), b'a', 26);
    letters | within(bytes, b'/', 11) | is(bytes, b'+') | is(bytes, b'-') | is(bytes, b'_')
}

/// Which of sixteen bytes are characters of base32, either case.
#[inline]
fn base32_digits(bytes: u8x16) -> u8x16 {
    within(bytes | u8x16::splat(0x20), b'a', 26) | within(bytes, b'2', 6)
}

/// As [`is_hex`].
#[inline]
fn hex_digits(bytes: u8x16) -> u8x16 {
    within(bytes | u8x16::splat(0x20), b'a', 6) | within(bytes, b'0', 10)
}

/// Which bytes are among `count` from `first` on.
#[inline]
pub(super) fn within(bytes: u8x16, first: u8, count: u8) -> u8x16 {
    wrapping_sub(bytes, u8x16::splat(first)).simd_lt(u8x16::splat(count))
}

/// Which bytes are this one.
#[inline]
pub(super) fn is(bytes: u8x16, byte: u8) -> u8x16 {
    bytes.simd_eq(u8x16::splat(byte))
}

#[inline]
#[expect(clippy::arithmetic_side_effects, reason = "lanes wrap around")]
pub(super) fn wrapping_sub(bytes: u8x16, other: u8x16) -> u8x16 {
    bytes - other
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Table = [(Class, fn(u8) -> bool); 5];

    const CLASSES: Table = [
        (
            Class::Word,
            |byte| matches!(byte, 0x25..=0x7f | 0x08..=0x0f),
        ),
        (Class::Sextet, |byte| {
            byte.is_ascii_alphanumeric() || b"+/-_\r\n\0".contains(&byte)
        }),
        (Class::Base32, |byte| {
            byte.is_ascii_alphabetic() || b"234567\r\n\0".contains(&byte)
        }),
        (Class::Hex, |byte| {
            byte.is_ascii_hexdigit() || b"\r\n\0".contains(&byte)
        }),
        (Class::Break, |byte| b"\r\n\0".contains(&byte)),
    ];

    #[test]
    fn every_byte_has_its_classes_at_every_place() {
        for (class, expected) in CLASSES {
            for byte in 0..=255 {
                for at in 0..BLOCK {
                    let mut block = [b'"'; BLOCK];
                    block[at] = byte;
                    let mask = u64::from(expected(byte)) << at;
                    assert_eq!(class.of(&block, 0), mask, "{class:?} {byte:#x} at {at}");
                }
            }
        }
    }

    #[test]
    fn nothing_beyond_the_end_is_of_any_class() {
        for length in 0..=BLOCK {
            let bytes = vec![0; length];
            assert_eq!(Class::Break.of(&bytes, 0), lowest(length), "{length}");
            assert_eq!(Class::Break.of(&bytes, length + 1), 0);
        }
    }

    proptest! {
        #[test]
        fn eights_begin_where_eight_bits_do(set in any::<u64>(), filler in any::<u64>()) {
            let set = set | filler | filler << 3;
            for at in 0..64 {
                let all = at <= 56 && (set >> at) & 0xff == 0xff;
                prop_assert_eq!(eights(set) >> at & 1 == 1, all);
            }
        }
    }
}
