//! The Huffman code of HPACK (RFC 7541, 5.2 and Appendix B).

/// Decodes a string in front of what `out` holds already; false where it is none: an end-of-string symbol, or padding that
/// is not the beginning of one (RFC 7541, 5.2). What comes before the fault is decoded all the same.
///
/// With `open`, the string may go on: then any bits that are left over are fine.
pub(super) fn decode(coded: &[u8], open: bool, out: &mut Vec<u8>) -> bool {
    let (mut bits, mut have) = (0u64, 0u32);
    let mut bytes = coded.iter();
    loop {
        while have <= 32
            && let Some(byte) = bytes.next()
        {
            bits |= u64::from(*byte) << 56u32.saturating_sub(have);
            have = have.saturating_add(8);
        }
        let window = (bits >> 32) as u32;
        // The code is canonical: of all codes of one length the symbols follow each other in order.
        let group = CODE
            .groups
            .iter()
            .find(|group| u64::from(window) < group.limit);
        let Some(group) = group.filter(|group| group.length <= have) else {
            return open || is_padding(window, have);
        };
        let rank = (window >> 32u32.saturating_sub(group.length)).saturating_sub(group.first);
        let at = usize::from(group.offset).saturating_add(rank as usize);
        match CODE.symbols.get(at).map(|symbol| u8::try_from(*symbol)) {
            Some(Ok(byte)) => out.push(byte),
            Some(Err(_)) | None => return false,
        }
        bits <<= group.length;
        have = have.saturating_sub(group.length);
    }
}

/// Whether the `have` bits at the front of `window` can end a string: fewer than eight, all of them ones.
fn is_padding(window: u32, have: u32) -> bool {
    have < 8 && window.leading_ones() >= have
}

struct Code {
    /// Symbols by length of their codes, then by value.
    symbols: [u16; LENGTHS.len()],
    /// One for each length of codes, the shortest first.
    groups: [Group; GROUPS],
}

#[derive(Clone, Copy)]
struct Group {
    length: u32,
    /// The first code of this length.
    first: u32,
    /// Index of its symbol.
    offset: u16,
    /// All 32-bit windows below this begin with a code of this length or a shorter one.
    limit: u64,
}

/// Orders the symbols as the canonical code does, from the lengths alone.
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "evaluated by the compiler, for constants"
)]
const fn canonical() -> Code {
    let mut symbols = [0; LENGTHS.len()];
    let mut groups = [Group {
        length: 0,
        first: 0,
        offset: 0,
        limit: 0,
    }; GROUPS];
    let (mut placed, mut group, mut code, mut length) = (0, 0, 0u64, 1);
    while length <= 30 {
        let (first, offset) = (code, placed);
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as u32 == length {
                symbols[placed] = symbol as u16;
                placed += 1;
                code += 1;
            }
            symbol += 1;
        }
        if placed > offset {
            groups[group] = Group {
                length,
                first: first as u32,
                offset: offset as u16,
                limit: code << (32 - length),
            };
            group += 1;
        }
        code <<= 1;
        length += 1;
    }
    Code { symbols, groups }
}

static CODE: Code = canonical();
/// How many lengths of codes there are.
const GROUPS: usize = 21;

/// Bits of each symbol's code; the last one is the end of a string.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(coded: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(coded, false, &mut out).then_some(out)
    }

    #[test]
    fn decodes_the_examples_of_the_standard() {
        // RFC 7541, C.4 and C.6.
        for (coded, text) in [
            ("f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"),
            ("a8eb10649cbf", "no-cache"),
            ("25a849e95ba97d7f", "custom-key"),
            ("25a849e95bb8e8b4bf", "custom-value"),
            (
                "d07abe941054d444a8200595040b8166e082a62d1bff",
                "Mon, 21 Oct 2013 20:13:21 GMT",
            ),
            (
                "9d29ad171863c78f0b97c8e9ae82ae43d3",
                "https://www.example.com",
            ),
        ] {
            let coded = data_encoding::HEXLOWER.decode(coded.as_bytes()).unwrap();
            assert_eq!(decoded(&coded).as_deref(), Some(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn the_code_is_complete() {
        assert_eq!(CODE.groups[GROUPS - 1].limit, 1 << 32);
        assert_eq!(CODE.groups[GROUPS - 1].length, 30);
    }

    #[test]
    fn refuses_padding_that_is_none_and_the_end_of_string() {
        assert_eq!(decoded(b""), Some(vec![]));
        // '0' is 00000, then three ones.
        assert_eq!(decoded(&[0b0000_0111]), Some(b"0".to_vec()));
        assert_eq!(decoded(&[0b0000_0110]), None);
        assert_eq!(decoded(&[0b0000_0111, 0xff]), None, "more than seven bits");
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), None, "end of string");
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xfc]), None, "end of string");
    }

    #[test]
    fn reads_what_there_is_of_an_open_string() {
        let coded = data_encoding::HEXLOWER
            .decode(b"f1e3c2e5f23a6ba0ab90f4ff")
            .unwrap();
        let mut before = 0;
        for end in 0..=coded.len() {
            let mut out = Vec::new();
            assert!(decode(&coded[..end], true, &mut out));
            assert!(b"www.example.com".starts_with(&out) && out.len() >= before);
            before = out.len();
        }
    }
}
