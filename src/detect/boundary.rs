//! Where a value may begin and end: digits inside a longer number are not a finding.

use super::value::luhn_digit;

/// What must not adjoin a spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Boundary {
    /// Anything may adjoin it.
    Free,
    /// Decimal digits.
    Digit,
    /// Hex digits, except that a word may stand in front: `androidid9774…`.
    Hex,
    /// ASCII letters and digits.
    Word,
    /// What would make it another e-mail address or account name.
    Mail,
    /// Decimal digits, except that a software version of two may follow 14 (3GPP TS 23.003, 6.2.2). Where the first of
    /// the two is the check digit, it is the 15-digit form with a digit too many.
    Version,
    /// Hex digits, and further pairs of them behind the same kind of separator: eight octets are not a MAC address.
    Octets,
    /// A nibble of the byte there must be the digit that is left over of an odd number of them.
    Nibble {
        /// The bits of the byte that count.
        mask: u8,
        /// What they are.
        bits: u8,
    },
}

/// Digits of the software version.
pub(super) const VERSION: usize = 2;

/// What the bytes behind a match say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It ends here.
    Ends,
    /// It is part of something longer.
    Continues,
    /// The bytes that would tell are not there yet.
    Unknown,
}

/// Bytes in front of a match that its left boundary may depend on.
pub(super) const LOOK_BEHIND: usize = 9;

impl Boundary {
    /// Whether a match at `start` begins a value, as far as the [`LOOK_BEHIND`] bytes before it say.
    pub(super) fn begins(self, haystack: &[u8], start: usize) -> bool {
        let before = &haystack[start.saturating_sub(LOOK_BEHIND)..start];
        let Some(last) = before.last() else {
            return !matches!(self, Boundary::Nibble { .. });
        };
        match self {
            Boundary::Nibble { mask, bits } => last & mask == bits,
            Boundary::Octets => {
                let octet_before = match before {
                    [rest @ .., high, low, b':' | b'-'] => {
                        let digits = high.is_ascii_hexdigit() && low.is_ascii_hexdigit();
                        digits && !rest.last().is_some_and(u8::is_ascii_alphanumeric)
                    }
                    _ => false,
                };
                !octet_before && Boundary::Hex.begins(haystack, start)
            }
            Boundary::Free => true,
            Boundary::Digit | Boundary::Version => !last.is_ascii_digit(),
            Boundary::Hex => !last.is_ascii_hexdigit() || ends_a_word(before),
            Boundary::Word => !last.is_ascii_alphanumeric(),
            Boundary::Mail => !last.is_ascii_alphanumeric() && !b".-_+".contains(last),
        }
    }

    /// Whether a match up to `end` ends a value.
    pub(super) fn ends(self, haystack: &[u8], end: usize) -> Ending {
        let continues = |is: bool| if is { Ending::Continues } else { Ending::Ends };
        let next = match (self, haystack.get(end)) {
            (Boundary::Free, _) => return Ending::Ends,
            (_, None) => return Ending::Unknown,
            (_, Some(next)) => next,
        };
        match self {
            Boundary::Free => Ending::Ends,
            Boundary::Digit => continues(next.is_ascii_digit()),
            Boundary::Hex => continues(next.is_ascii_hexdigit()),
            Boundary::Word => continues(next.is_ascii_alphanumeric()),
            Boundary::Mail if matches!(next, b'.' | b'-') => match haystack.get(end + 1) {
                Some(label) => continues(label.is_ascii_alphanumeric()),
                None => Ending::Unknown,
            },
            Boundary::Mail => continues(next.is_ascii_alphanumeric()),
            Boundary::Nibble { mask, bits } => continues(next & mask != bits),
            Boundary::Octets if matches!(next, b':' | b'-') => {
                match haystack.get(end + 1..).unwrap_or_default() {
                    [high, low, ..] => {
                        continues(high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
                    }
                    [high] if !high.is_ascii_hexdigit() => Ending::Ends,
                    _ => Ending::Unknown,
                }
            }
            Boundary::Octets => continues(next.is_ascii_hexdigit()),
            Boundary::Version => {
                let after = haystack.get(end..).unwrap_or_default();
                let digits = after
                    .iter()
                    .take(3)
                    .take_while(|byte| byte.is_ascii_digit());
                match digits.count() {
                    0 => Ending::Ends,
                    2 if is_check_digit(haystack, end) => Ending::Continues,
                    2 if after.len() == 2 => Ending::Unknown,
                    2 => Ending::Ends,
                    _ => Ending::Continues,
                }
            }
        }
    }
}

/// Whether the bytes before `start` say that a text of `length` bytes begins there, and so where it ends: a length as
/// protobuf, ASN.1 and fixed binary headers have it, or the header of a string in MessagePack or CBOR (RFC 8949, 3.1).
pub(super) fn is_framed(haystack: &[u8], start: usize, length: usize) -> bool {
    let before = &haystack[start.saturating_sub(4)..start];
    let (Some(&last), Ok(length)) = (before.last(), u8::try_from(length)) else {
        return false;
    };
    // A line break is the end of a line, unless binary stands before it too.
    let is_break = matches!(last, b'\t' | b'\n' | b'\r');
    let in_binary = before.iter().rev().nth(1).is_some_and(|byte| {
        byte.is_ascii_control() && !byte.is_ascii_whitespace() || !byte.is_ascii()
    });
    let counted = last == length && (!is_break || in_binary);
    let in_32_bits = *before == [length, 0, 0, 0];
    let message_pack = length < 32 && last == 0xa0 | length;
    // In front of shorter values the header is taken for the letter that it is too.
    let cbor = (12..24).contains(&length) && last == 0x60 | length;
    counted || in_32_bits || message_pack || cbor
}

/// Whether the digit at `end` is the check digit of the 14 before it.
fn is_check_digit(haystack: &[u8], end: usize) -> bool {
    let body = end
        .checked_sub(14)
        .and_then(|start| haystack.get(start..end));
    let body = body.and_then(|body| std::str::from_utf8(body).ok());
    body.is_some_and(|body| haystack.get(end) == Some(&(luhn_digit(body) as u8)))
}

/// Whether the hex digits that `before` ends with are the end of a word, such as the `d` of `imeid`.
fn ends_a_word(before: &[u8]) -> bool {
    let word = before
        .iter()
        .rev()
        .find(|byte| !matches!(byte, b'a'..=b'f' | b'A'..=b'F'));
    word.is_some_and(u8::is_ascii_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_value_from_a_part_of_something_longer() {
        use Boundary::{Digit, Free, Hex, Mail, Octets, Version, Word};
        let table: &[(Boundary, &str, &str, bool)] = &[
            (Free, "1", "1", true),
            (Digit, "", ",", true),
            (Digit, "x", "y", true),
            (Digit, "imei", "\"", true),
            (Digit, "0", ",", false),
            (Digit, ":", "0", false),
            (Hex, "id=", "&", true),
            (Hex, "0", "&", false),
            (Hex, "=", "F", false),
            (Hex, "=", "g", true),
            (Hex, "androidid", "&", true),
            (Hex, "mac", "&", true),
            (Hex, "ad", "&", false),
            (Hex, "=ad", "&", false),
            (Hex, "m4c", "&", false),
            (Hex, "abcdefabcdef", "&", false),
            (Word, "_", "_", true),
            (Word, "a", " ", false),
            (Word, " ", "9", false),
            (Mail, "mailto:", "\"", true),
            (Mail, "<", ">", true),
            (Mail, "o.", ">", false),
            (Mail, "-", ">", false),
            (Mail, "_", ">", false),
            (Mail, "+", ">", false),
            (Mail, "<", ". ", true),
            (Mail, "<", ".org", false),
            (Mail, "<", "-x", false),
            (Mail, "<", "s", false),
            (Octets, "mac:", "\"", true),
            (Octets, "=", ":x", true),
            (Octets, "=", ":01", false),
            (Octets, "01:", "&", false),
            (Octets, "=", "a", false),
            (Version, "=", "&", true),
            (Version, "=", "1&", false),
            (Version, "=", "01&", true),
            (Version, "=", "012&", false),
            (Version, "0", "&", false),
        ];
        for (boundary, before, after, expected) in table {
            let haystack = format!("{before}|{after}");
            let start = before.len();
            let begins = boundary.begins(haystack.as_bytes(), start);
            let ends = boundary.ends(haystack.as_bytes(), start + 1) == Ending::Ends;
            assert_eq!(begins && ends, *expected, "{boundary:?} {haystack}");
        }
    }

    #[test]
    fn waits_for_the_bytes_that_decide() {
        use Ending::{Ends, Unknown};
        let table = [
            (Boundary::Free, "", Ends),
            (Boundary::Digit, "", Unknown),
            (Boundary::Hex, "", Unknown),
            (Boundary::Word, "", Unknown),
            (Boundary::Mail, "", Unknown),
            (Boundary::Mail, ".", Unknown),
            (Boundary::Mail, " ", Ends),
            (Boundary::Version, "", Unknown),
            (Boundary::Version, "1", Ending::Continues),
            (Boundary::Version, "12", Unknown),
            (Boundary::Version, "12,", Ends),
        ];
        for (boundary, after, expected) in table {
            assert_eq!(
                boundary.ends(after.as_bytes(), 0),
                expected,
                "{boundary:?} {after:?}"
            );
        }
    }

    #[test]
    fn sees_the_lengths_that_binary_formats_put_in_front() {
        let table: &[(&[u8], usize, bool)] = &[
            (b"\x32\x0f", 15, true),
            (b"\x32\x10", 15, false),
            (b"imei\xaf", 15, true),
            (b"imei\x6f", 15, true),
            (b"tel\x6a", 10, false),
            (b"\x0f\0\0\0", 15, true),
            (b"\0\0\0\x0f", 15, true),
            (b"\x0a\x20", 32, true),
            (b"\x0a$", 36, true),
            (b"tel\n", 10, false),
            (b"\x12\n", 10, true),
            (b"", 15, false),
            (b"\x0f", 300, false),
        ];
        for (before, length, framed) in table {
            let shown = before.escape_ascii();
            assert_eq!(
                is_framed(before, before.len(), *length),
                *framed,
                "{shown} {length}"
            );
        }
    }
}
