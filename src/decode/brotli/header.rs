//! What a Brotli stream begins with, as far as it tells that bytes are none: most of what is tried is none, and to set up a
//! decoder takes longer than to read all that was tried.

use super::super::bits::Bits;

/// Whether a Brotli stream that gives anything can begin with these bytes; it can if they end before that shows.
///
/// Reads the stream's header and that of its first meta-block (RFC 7932, 9.1 and 9.2) up to the first prefix code.
pub(in crate::decode) fn may_begin(stream: &[u8]) -> bool {
    let mut bits = Bits::new(stream);
    match Beginning::read(&mut bits) {
        Some(Beginning::Compressed { length, is_last }) => {
            // No encoder makes more of what it compresses than it was.
            let too_long = is_last && stream.len() > length.saturating_add(SLACK);
            !too_long && may_be_compressed(&mut bits).unwrap_or(true)
        }
        Some(Beginning::Plain) | None => true,
        Some(Beginning::Broken) => false,
    }
}

/// What a stream begins with that stands in it as it is (a first meta-block that is not compressed), if so.
pub(in crate::decode) fn plain_beginning(stream: &[u8]) -> Option<&[u8]> {
    let mut bits = Bits::new(stream);
    match Beginning::read(&mut bits)? {
        Beginning::Plain => Some(bits.rest()),
        _ => None,
    }
}

/// The first meta-block.
enum Beginning {
    Compressed {
        length: usize,
        is_last: bool,
    },
    Plain,
    /// There is none, or none that gives anything.
    Broken,
}

impl Beginning {
    fn read(bits: &mut Bits<'_>) -> Option<Beginning> {
        // RFC 7932, 9.1: the window's size is one bit, four or seven; one value of those is none.
        if bits.take(1)? == 1 && bits.take(3)? == 0 && bits.take(3)? == 1 {
            return Some(Beginning::Broken);
        }
        let (is_last, nibbles) = loop {
            let is_last = bits.take(1)? == 1;
            if is_last && bits.take(1)? == 1 {
                return Some(Beginning::Broken);
            }
            match bits.take(2)? {
                3 => {}
                few => break (is_last, few.wrapping_add(4)),
            }
            // Metadata, which is skipped, behind a bit that must not be set.
            if bits.take(1)? == 1 {
                return Some(Beginning::Broken);
            }
            let bytes = bits.take(2)?;
            let length = bits.take(bytes.wrapping_mul(8))?;
            let skipped = if bytes == 0 {
                0
            } else {
                length.saturating_add(1)
            };
            match bits.rest().get(skipped as usize..) {
                Some(rest) => *bits = Bits::new(rest),
                None => return Some(Beginning::Broken),
            }
        };
        let length = bits.take(nibbles.wrapping_mul(4))?;
        let shortest = 1u32.wrapping_shl(nibbles.wrapping_sub(1).wrapping_mul(4));
        if nibbles > 4 && length < shortest {
            return Some(Beginning::Broken);
        }
        if !is_last && bits.take(1)? == 1 {
            return Some(Beginning::Plain);
        }
        Some(Beginning::Compressed {
            length: (length as usize).saturating_add(1),
            is_last,
        })
    }
}

/// Whether what comes next can be the rest of the header of a compressed meta-block: none if that does not show.
fn may_be_compressed(bits: &mut Bits<'_>) -> Option<bool> {
    for _category in 0..3 {
        let types = variable(bits)?;
        if types > 1 {
            return prefix_code(bits, types.wrapping_add(2));
        }
    }
    // NPOSTFIX, NDIRECT and the context mode of literals.
    bits.take(8)?;
    for _map in ["literals", "distances"] {
        let trees = variable(bits)?;
        if trees > 1 {
            let runs = match bits.take(1)? {
                0 => 0,
                _ => bits.take(4)?.wrapping_add(1),
            };
            return prefix_code(bits, trees.wrapping_add(runs));
        }
    }
    prefix_code(bits, 256)
}

/// A number from 1 to 256, as block types and trees are counted.
fn variable(bits: &mut Bits<'_>) -> Option<u32> {
    if bits.take(1)? == 0 {
        return Some(1);
    }
    let extra = bits.take(3)?;
    let more = bits.take(extra)?;
    Some(1u32.wrapping_shl(extra).wrapping_add(more).wrapping_add(1))
}

/// Whether a prefix code of `symbols` can stand here (RFC 7932, 3.4 and 3.5).
fn prefix_code(bits: &mut Bits<'_>, symbols: u32) -> Option<bool> {
    let skipped = bits.take(2)?;
    if skipped == 1 {
        return simple(bits, symbols);
    }
    // Lengths of the code for code lengths, until they fill it.
    let (mut space, mut used) = (32u32, 0u32);
    for _ in skipped..18 {
        let length = length(bits)?;
        if length > 0 {
            used = used.wrapping_add(1);
            match space.checked_sub(32u32.wrapping_shr(length)) {
                None => return Some(false),
                Some(0) => return Some(true),
                Some(rest) => space = rest,
            }
        }
    }
    Some(used == 1)
}

/// The length of a code for code lengths, itself in a code.
fn length(bits: &mut Bits<'_>) -> Option<u32> {
    Some(match bits.take(2)? {
        0 => 0,
        1 => 4,
        2 => 3,
        _ => match bits.take(1)? {
            0 => 2,
            _ => match bits.take(1)? {
                0 => 1,
                _ => 5,
            },
        },
    })
}

/// One to four symbols, each another one and in the alphabet.
fn simple(bits: &mut Bits<'_>, symbols: u32) -> Option<bool> {
    let count = bits.take(2)?.wrapping_add(1);
    let width = u32::BITS.wrapping_sub(symbols.wrapping_sub(1).leading_zeros());
    let mut seen = [u32::MAX; 4];
    for place in seen.iter_mut().take(count as usize) {
        *place = bits.take(width)?;
    }
    let seen = seen.get(..count as usize).unwrap_or_default();
    let all_in = seen.iter().all(|symbol| *symbol < symbols);
    let differ = |(number, symbol)| !seen.iter().take(number).any(|other| other == symbol);
    Some(all_in && seen.iter().enumerate().all(differ))
}

/// Bytes of header and codes that even what does not compress has beside its length.
const SLACK: usize = 512;

#[cfg(test)]
mod tests {
    use super::{
        super::{Brotli, Progress},
        *,
    };
    use crate::decode::tests::noise;
    use proptest::prelude::*;

    #[test]
    fn knows_the_beginning_that_is_not_compressed() {
        // Windows of 16, 22 and 10 bits (RFC 7932, 9.1); then ISLAST 0, MNIBBLES 4, MLEN 26, ISUNCOMPRESSED 1.
        for (window, bits) in [(0u64, 1), (0b1011, 4), (0b010_0001, 7)] {
            let block = 25 << 3 | 1 << 19;
            let header = (window | block << bits).to_le_bytes();
            let length = (bits + 20usize).div_ceil(8);
            let stream = [&header[..length], b"abcdefghijklmnopqrstuvwxyz\x03"].concat();
            assert_eq!(plain_beginning(&stream), Some(&stream[length..]));
            let mut out = Vec::new();
            let (_, progress) = Brotli::new(1 << 20).push(&stream, &mut out, 100);
            assert_eq!(
                (progress, out.as_slice()),
                (Progress::Done, &stream[length..][..26])
            );
        }
        for compressed in [&b"\x1b\x19\x00\xf8"[..], b"\x06", b""] {
            assert_eq!(plain_beginning(compressed), None);
        }
    }

    fn decoded(stream: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Brotli::new(1 << 24).push(stream, &mut out, 100);
        out
    }

    proptest! {
        #[test]
        fn what_gives_anything_may_begin(
            header in prop::collection::vec(0u8..=1, 40),
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            // Few bits are set: so small numbers, and short codes, are frequent.
            let header = header.chunks(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit));
            let stream: Vec<u8> = header.map(|byte| byte & 0x5b).chain(rest).collect();
            prop_assert!(may_begin(&stream) || decoded(&stream).is_empty(), "{stream:x?}");
        }
    }

    #[test]
    fn most_of_what_is_none_does_not_begin_one() {
        let mut begins = 0;
        for bytes in noise(480_000).chunks(48) {
            let may = may_begin(bytes);
            assert!(may || decoded(bytes).is_empty(), "{bytes:x?}");
            begins += usize::from(may);
        }
        assert!(begins < 3_500, "{begins} of 10,000");
    }
}
