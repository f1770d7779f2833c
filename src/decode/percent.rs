//! Percent-encoding (RFC 3986, 2.1) and, with `plus`, form encoding (a `+` is a blank).

/// Appends what `encoded` decodes to; an escape that is none, or not whole yet, stands for itself.
pub(super) fn decode(encoded: &[u8], plus: bool, out: &mut Vec<u8>) {
    let mut start = 0usize;
    let mut resolve = |at: usize| {
        let rest = encoded.get(at..).unwrap_or_default();
        if let Some((byte, width)) = symbol(rest, plus) {
            out.extend_from_slice(encoded.get(start..at).unwrap_or_default());
            out.push(byte);
            start = at.saturating_add(width);
        }
    };
    if plus {
        memchr::memchr2_iter(b'%', b'+', encoded).for_each(&mut resolve);
    } else {
        memchr::memchr_iter(b'%', encoded).for_each(&mut resolve);
    }
    out.extend_from_slice(encoded.get(start..).unwrap_or_default());
}

/// The index in `encoded` of what decodes to output byte `index`.
pub(super) fn locate(encoded: &[u8], plus: bool, index: usize) -> usize {
    Symbols {
        rest: encoded,
        plus,
    }
    .take(index)
    .fold(0, |at, (_, width)| at.saturating_add(width))
}

/// Whether there is anything to decode, or may be.
pub(super) fn has_escape(encoded: &[u8]) -> bool {
    let begins = |at: usize| encoded.get(at..).is_some_and(|rest| escape(rest).is_some());
    partial_escape(encoded) > 0 || memchr::memchr_iter(b'%', encoded).any(begins)
}

/// How many bytes at the end are the beginning of an escape.
pub(super) fn partial_escape(encoded: &[u8]) -> usize {
    match encoded {
        [.., b'%'] => 1,
        [.., b'%', digit] if digit.is_ascii_hexdigit() => 2,
        _ => 0,
    }
}

struct Symbols<'a> {
    rest: &'a [u8],
    plus: bool,
}

impl Iterator for Symbols<'_> {
    type Item = (u8, usize);

    fn next(&mut self) -> Option<(u8, usize)> {
        let (byte, width) = symbol(self.rest, self.plus)?;
        self.rest = self.rest.get(width..)?;
        Some((byte, width))
    }
}

/// What the first byte, or the escape that it begins, stands for, and how many bytes that is.
fn symbol(rest: &[u8], plus: bool) -> Option<(u8, usize)> {
    Some(match *rest.first()? {
        b'%' => escape(rest).map_or((b'%', 1), |byte| (byte, 3)),
        b'+' if plus => (b' ', 1),
        byte => (byte, 1),
    })
}

fn escape(rest: &[u8]) -> Option<u8> {
    match rest {
        [b'%', high, low, ..] => super::hex::byte(*high, *low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_escapes_and_keeps_what_is_none() {
        let cases: [(&str, bool, &str); 8] = [
            ("ifa%3A38400000", false, "ifa:38400000"),
            ("%34%39", false, "49"),
            ("a%2", false, "a%2"),
            ("a%", false, "a%"),
            ("100%zz", false, "100%zz"),
            ("a+b", false, "a+b"),
            ("a+b%2Bc", true, "a b+c"),
            ("%2540", false, "%40"),
        ];
        for (encoded, plus, expected) in cases {
            let mut out = Vec::new();
            decode(encoded.as_bytes(), plus, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected, "{encoded}");
        }
    }

    #[test]
    fn locates_each_decoded_byte() {
        assert_eq!(
            (0..4)
                .map(|i| locate(b"a%40b+", true, i))
                .collect::<Vec<_>>(),
            [0, 1, 4, 5]
        );
    }

    #[test]
    fn sees_whole_escapes_and_what_may_become_one() {
        assert!(has_escape(b"50%%40"));
        assert!(has_escape(b"100%4"));
        assert!(!has_escape(b"50% of 100%."));
    }
}
