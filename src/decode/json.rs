//! Escapes of JSON strings (RFC 8259, 7), and what looks like JSON.

use std::ops::Range;

/// Appends what the inside of a string means; an escape that is none, or not whole yet, stands for itself.
pub(super) fn decode(encoded: &[u8], out: &mut Vec<u8>) {
    let mut rest = encoded;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escaped) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        let mut symbols = Symbols { rest: escaped };
        if let Some((symbol, _)) = symbols.next() {
            symbol.append(out);
        }
        rest = symbols.rest;
    }
    out.extend_from_slice(rest);
}

/// The index in `encoded` of what means output byte `index`.
pub(super) fn locate(encoded: &[u8], index: usize) -> usize {
    let (mut at, mut seen) = (0usize, 0usize);
    for (symbol, width) in (Symbols { rest: encoded }) {
        seen = seen.saturating_add(symbol.len());
        if seen > index {
            return at;
        }
        at = at.saturating_add(width);
    }
    at
}

/// The first backslash that begins an escape, or is the last byte and may.
pub(super) fn find_escape(encoded: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\\', encoded).find(|at| {
        let next = encoded.get(at.saturating_add(1));
        next.is_none_or(|next| b"u/\"\\bfnrt".contains(next))
    })
}

/// How many bytes at the end are the beginning of an escape.
pub(super) fn partial_escape(encoded: &[u8]) -> usize {
    let near = encoded
        .get(encoded.len().saturating_sub(5)..)
        .unwrap_or(encoded);
    let Some(at) = near.iter().rposition(|&byte| byte == b'\\') else {
        return 0;
    };
    let length = near.len().saturating_sub(at);
    let before = encoded
        .get(..encoded.len().saturating_sub(length))
        .unwrap_or_default();
    let escaped = before
        .iter()
        .rev()
        .take_while(|byte| **byte == b'\\')
        .count()
        % 2
        == 1;
    let begins = match near.get(at.saturating_add(1)..) {
        Some([]) => true,
        Some([b'u', digits @ ..]) => digits.iter().all(u8::is_ascii_hexdigit),
        _ => false,
    };
    if begins && !escaped { length } else { 0 }
}

/// The inside of the string around the backslash at `at`, not reaching back beyond `floor`. What bounds it is part of no
/// value and of no encoding, so that a value reads the same in the string and in the text around it.
pub(super) fn string_around(bytes: &[u8], at: usize, floor: usize) -> Range<usize> {
    let before = bytes.get(floor..at).unwrap_or_default();
    let bound = before.iter().rposition(|&byte| is_bound(byte));
    let start = bound.map_or(floor, |bound| floor.saturating_add(bound).saturating_add(1));
    let mut end = at;
    loop {
        let rest = bytes.get(end..).unwrap_or_default();
        match rest
            .iter()
            .position(|&byte| is_bound(byte) || byte == b'\\')
        {
            None => return start..bytes.len(),
            Some(next) if rest.get(next) == Some(&b'\\') => {
                end = end.saturating_add(next).saturating_add(2)
            }
            Some(next) => return start..end.saturating_add(next),
        }
    }
}

/// A quote, a control character other than a blank, a line break or NUL, or a byte that UTF-8 has not.
fn is_bound(byte: u8) -> bool {
    matches!(byte, b'"' | 0x01..=0x08 | 0x0b | 0x0c | 0x0e..=0x1f | 0x7f | 0xf5..)
}

/// Whether a text begins as a JSON object or array does.
pub fn is_document(text: &[u8]) -> bool {
    let mut bytes = text
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace());
    match bytes.next() {
        Some(b'{') => matches!(bytes.next(), Some(b'"' | b'}')),
        Some(b'[') => matches!(
            bytes.next(),
            Some(b'{' | b'[' | b'"' | b']' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
        ),
        _ => false,
    }
}

/// Whether `index` is where the value of an object's member begins: after `"key":`, with or without its own quote.
pub(super) fn is_value(text: &[u8], index: usize) -> bool {
    let before = text.get(..index).unwrap_or_default();
    let unquoted = before.strip_suffix(b"\"").unwrap_or(before);
    let Some(before_colon) = unquoted.trim_ascii_end().strip_suffix(b":") else {
        return false;
    };
    before_colon.trim_ascii_end().ends_with(b"\"")
}

struct Symbols<'a> {
    rest: &'a [u8],
}

#[derive(Clone, Copy)]
enum Symbol {
    Byte(u8),
    Char(char),
}

impl Symbol {
    fn len(self) -> usize {
        match self {
            Symbol::Byte(_) => 1,
            Symbol::Char(char) => char.len_utf8(),
        }
    }

    fn append(self, out: &mut Vec<u8>) {
        match self {
            Symbol::Byte(byte) => out.push(byte),
            Symbol::Char(char) => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

impl Iterator for Symbols<'_> {
    type Item = (Symbol, usize);

    fn next(&mut self) -> Option<(Symbol, usize)> {
        let (&first, after) = self.rest.split_first()?;
        let (symbol, width) = if first == b'\\' {
            escape(after)
        } else {
            (Symbol::Byte(first), 1)
        };
        self.rest = self.rest.get(width..)?;
        Some((symbol, width))
    }
}

/// What follows a backslash, and the width of the escape with it.
fn escape(after: &[u8]) -> (Symbol, usize) {
    let byte = match after.first() {
        Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'u') => return unicode(after),
        _ => return (Symbol::Byte(b'\\'), 1),
    };
    (Symbol::Byte(byte), 2)
}

fn unicode(after: &[u8]) -> (Symbol, usize) {
    let Some(first) = unit(after) else {
        return (Symbol::Byte(b'\\'), 1);
    };
    if let Some(char) = char::from_u32(u32::from(first)) {
        return (Symbol::Char(char), 6);
    }
    let second = match after.get(5..) {
        Some([b'\\', low @ ..]) => unit(low),
        _ => None,
    };
    let pair = second.and_then(|second| char::decode_utf16([first, second]).next()?.ok());
    pair.map_or((Symbol::Char(char::REPLACEMENT_CHARACTER), 6), |char| {
        (Symbol::Char(char), 12)
    })
}

/// The four digits after `u`.
fn unit(after: &[u8]) -> Option<u16> {
    let [b'u', a, b, c, d, ..] = after else {
        return None;
    };
    Some(u16::from_be_bytes([
        super::hex::byte(*a, *b)?,
        super::hex::byte(*c, *d)?,
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolves_escapes_and_keeps_what_is_none() {
        let cases = [
            (r"a\/b", "a/b"),
            (r"\u0034\u0039", "49"),
            (r"x\u0040y", "x@y"),
            (r"\ud83d\ude00", "\u{1f600}"),
            (r"\ud83dx", "\u{fffd}x"),
            (r"\ude00", "\u{fffd}"),
            (r#"\"\\\n\t"#, "\"\\\n\t"),
            (r"\u00", r"\u00"),
            (r"\q\", r"\q\"),
        ];
        for (encoded, expected) in cases {
            let mut out = Vec::new();
            decode(encoded.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected, "{encoded}");
        }
    }

    #[test]
    fn locates_each_decoded_byte() {
        assert_eq!(
            (0..4).map(|i| locate(br"a\/\u00e9", i)).collect::<Vec<_>>(),
            [0, 1, 3, 3]
        );
    }

    #[test]
    fn finds_the_string_around_an_escape() {
        let text = br#"{"k":"a \"b\" \u0040","l":1}"#;
        let at = text.iter().position(|&b| b == b'\\').unwrap();
        assert_eq!(&text[string_around(text, at, 0)], br#"a \"b\" \u0040"#);
        assert_eq!(string_around(b"ab\\", 2, 1), 1..3);
    }

    #[test]
    fn measures_an_escape_that_is_not_whole() {
        for (encoded, partial) in [
            (r"a\", 1),
            (r"a\u", 2),
            (r"a\u00", 4),
            (r"a\u004", 5),
            (r"a\u0041", 0),
            (r"a\\", 0),
            (r"a\\\", 1),
            (r"a\n", 0),
            ("a", 0),
        ] {
            assert_eq!(partial_escape(encoded.as_bytes()), partial, "{encoded}");
        }
    }

    #[test]
    fn tells_documents_and_values() {
        for yes in ["{\"a\":1}", " {\n \"a\"", "[1,2]", "[{\"", "{}"] {
            assert!(is_document(yes.as_bytes()), "{yes}");
        }
        for no in ["{a:1}", "[section]", "", "x{\"", "{"] {
            assert!(!is_document(no.as_bytes()), "{no}");
        }
        assert!(is_value(br#"{"imei":"49"#, 9));
        assert!(is_value(br#"{"imei" : 49"#, 10));
        assert!(!is_value(b"imei: 49", 6));
    }
}
