//! Fields of a text: where a name stands in front of a value.

use std::ops::Range;

use crate::decode::TAG as MAP_VALUE;

/// A value as its text bounds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether the text says that it ends here; otherwise the text ends.
    pub(super) ended: bool,
    pub(super) quoted: bool,
}

impl Token {
    pub(super) fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

/// The value behind the separator at `at`, if there is one by itself.
pub(super) fn value(text: &[u8], at: usize) -> Option<Token> {
    match text.get(at)? {
        b'>' => element(text, at + 1),
        b'/' => segment(text, at + 1),
        &MAP_VALUE => counted(text, at + 1),
        _ => token(text, at + 1),
    }
}

/// Whether the separator at `at` can end the name that begins at `start`: an element and a path segment are bounded, and
/// a map's key has its length in front.
pub(super) fn bounds(text: &[u8], at: usize, start: usize) -> bool {
    let before = start.checked_sub(1).and_then(|at| text.get(at));
    match text.get(at) {
        Some(b'>') => before == Some(&b'<'),
        Some(b'/') => before.is_none_or(|byte| matches!(byte, b'/' | b'=')),
        Some(&MAP_VALUE) => before.is_some_and(|length| usize::from(*length) == at - start),
        _ => true,
    }
}

/// The first value at `at` or behind blanks, a quote or the bracket of a list.
pub(super) fn token(text: &[u8], at: usize) -> Option<Token> {
    let mut start = skip_blanks(text, at);
    if text.get(start) == Some(&b'[') {
        start = skip_blanks(text, start + 1);
    }
    match text.get(start)? {
        quote @ (b'"' | b'\'') => Some(quoted(text, start + 1, *quote)),
        b'\\' => escaped(text, start),
        b'{' | b'=' => None,
        _ => Some(until(text, start, ends_value)),
    }
}

/// The text in quotes that the byte at `at` is in the middle of, if there are no blanks in it.
pub(super) fn around(text: &[u8], at: usize) -> Option<Token> {
    let before = text[..at]
        .iter()
        .rev()
        .take(MOST)
        .position(|byte| !byte.is_ascii_graphic() || *byte == b'"')?;
    let start = at - before;
    if text[start - 1] != b'"' {
        return None;
    }
    let token = until(text, start, |byte| {
        !byte.is_ascii_graphic() || matches!(byte, b'"' | b'\\')
    });
    let closed = !token.ended || matches!(text.get(token.end), Some(b'"' | b'\\'));
    closed.then_some(Token {
        quoted: true,
        ..token
    })
}

/// The item of a list behind another: its separator is at `at`.
pub(super) fn next_item(text: &[u8], at: usize) -> Option<Token> {
    let slashes = text.get(at..).unwrap_or_default().iter().take(8);
    let at = at + slashes.take_while(|byte| **byte == b'\\').count();
    let at = skip_blanks(
        text,
        if matches!(text.get(at), Some(b'"' | b'\'')) {
            at + 1
        } else {
            at
        },
    );
    match text.get(at)? {
        b',' => token(text, at + 1),
        _ => None,
    }
}

/// The value that goes with a name that was itself a value, which ends at `at`: the next one, over tags, further header
/// lines and the name of the member that it is in.
pub(super) fn value_of_named(text: &[u8], at: usize) -> Option<Token> {
    let at = if matches!(text.get(at), Some(b'"' | b'\'')) {
        at + 1
    } else {
        at
    };
    let rest = text.get(at..text.len().min(at + NEAR))?;
    match rest.first()? {
        b'>' => element(text, at + 1),
        b'<' => {
            let open = memchr::memchr_iter(b'>', rest).nth(1)?;
            element(text, at + open + 1)
        }
        b'\r' | b'\n' | b';' => {
            let body = memchr::memmem::find(rest, b"\r\n\r\n")?;
            Some(until(text, at + body + 4, |byte| {
                matches!(byte, b'\r' | b'\n')
            }))
        }
        b',' => {
            let colon = memchr::memchr(b':', rest)?;
            let is_member = rest[..colon].iter().all(|byte| {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b',' | b' ' | b'"' | b'_' | b'\n' | b'\r' | b'\t')
            });
            if is_member {
                token(text, at + colon + 1)
            } else {
                None
            }
        }
        _ => None,
    }
}

/// The same value, over blanks that may be part of it.
pub(super) fn with_blanks(text: &[u8], token: Token) -> Token {
    if token.quoted || token.ended && text.get(token.end) != Some(&b' ') {
        return token;
    }
    // The target of a request has no blanks: what follows is the version.
    if text[token.end..].starts_with(b" HTTP/") {
        return token;
    }
    until(text, token.start, |byte| byte != b' ' && ends_value(byte))
}

/// A value without the quotes that Android puts around the name of a network, escaped in JSON.
pub(super) fn unquoted(text: &[u8], token: Token) -> Token {
    let inside = &text[token.range()];
    for quote in [&b"\\\""[..], b"\""] {
        let bare = inside
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote));
        if let Some(bare) = bare {
            let start = token.start + quote.len();
            return Token {
                start,
                end: start + bare.len(),
                ..token
            };
        }
    }
    token
}

fn element(text: &[u8], at: usize) -> Option<Token> {
    let token = until(text, skip_blanks(text, at), |byte| byte == b'<');
    (token.start < token.end).then_some(token)
}

fn segment(text: &[u8], at: usize) -> Option<Token> {
    let token = until(text, at, |byte| {
        byte == b'/' || ends_value(byte) || matches!(byte, b'?' | b'#')
    });
    (token.start < token.end).then_some(token)
}

fn counted(text: &[u8], at: usize) -> Option<Token> {
    let length = usize::from(*text.get(at)?);
    let start = at + 1;
    let end = text.len().min(start + length);
    (1..MOST).contains(&length).then_some(Token {
        start,
        end,
        ended: end == start + length,
        quoted: true,
    })
}

/// A text in quotes that are escaped: JSON in a text of JSON.
fn escaped(text: &[u8], at: usize) -> Option<Token> {
    let slashes = text[at..]
        .iter()
        .take(8)
        .take_while(|byte| **byte == b'\\')
        .count();
    let quote = at + slashes;
    (text.get(quote) == Some(&b'"')).then(|| Token {
        quoted: true,
        ..until(text, quote + 1, |byte| matches!(byte, b'\\' | b'"'))
    })
}

fn quoted(text: &[u8], start: usize, quote: u8) -> Token {
    let mut end = start;
    loop {
        match text.get(end) {
            Some(byte) if *byte == quote => break,
            Some(b'\\') => end += 2,
            Some(_) => end += 1,
            None => {
                let end = text.len();
                return Token {
                    start,
                    end,
                    ended: false,
                    quoted: true,
                };
            }
        }
        if end - start > MOST {
            break;
        }
    }
    Token {
        start,
        end,
        ended: true,
        quoted: true,
    }
}

fn until(text: &[u8], start: usize, ends: impl Fn(u8) -> bool) -> Token {
    let rest = text.get(start..).unwrap_or_default();
    let length = rest
        .iter()
        .take(MOST + 1)
        .position(|byte| ends(*byte))
        .unwrap_or(rest.len().min(MOST + 1));
    Token {
        start,
        end: start + length,
        ended: length < rest.len(),
        quoted: false,
    }
}

fn skip_blanks(text: &[u8], at: usize) -> usize {
    let blanks = text.get(at..).unwrap_or_default().iter().take(BLANKS);
    at + blanks
        .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
        .count()
}

/// Whether a byte ends a value that has no quotes around it.
fn ends_value(byte: u8) -> bool {
    matches!(
        byte,
        b'&' | b';' | b',' | b'}' | b']' | b')' | b'<' | b'>' | b'"' | b'\'' | b'|' | b' ' | 0xff
    ) || byte.is_ascii_control()
}

/// Bytes of the longest value: longer ones are none that a name would tell.
pub(super) const MOST: usize = 128;
/// Bytes between a name that is a value, and the value that goes with it.
const NEAR: usize = 96;
/// Blanks between a separator and a value.
const BLANKS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Skim;

    fn values(text: &str) -> Vec<&str> {
        let text_bytes = text.as_bytes();
        let skim = Skim::of(text_bytes);
        let tokens = skim.fields(0).filter_map(|at| value(text_bytes, at));
        tokens.map(|token| &text[token.range()]).collect()
    }

    #[test]
    fn reads_values_of_every_format() {
        for (text, expected) in [
            (r#"{"imei":"4901","n": 7}"#, vec!["4901", "7"]),
            ("{\"a\" :\n  [ \"x\\\"y\", 2]}", vec!["x\\\"y"]),
            ("a=1&b=two;c='x y'", vec!["1", "two", "x y"]),
            ("X-Id: 42\r\nB:c d\r\n", vec!["42", "c"]),
            ("<imei>4901</imei>", vec!["4901"]),
            ("/imei/4901/y?z", vec!["4901", "y"]),
            ("x/imei/4901/y?z", vec![]),
            ("\x04imei\x12\x03490x", vec!["490"]),
            ("a={}", vec![]),
        ] {
            assert_eq!(values(text), expected, "{text:?}");
        }
    }

    #[test]
    fn says_whether_a_value_ended() {
        for (text, ended) in [
            ("a=1", false),
            ("a=1&", true),
            ("a=\"1", false),
            ("a=\"1\"", true),
            ("\x12\x03ab", false),
        ] {
            let at = text.find(['=', '\x12']).expect("a separator");
            let token = value(text.as_bytes(), at).expect("a value");
            assert_eq!(token.ended, ended, "{text:?}");
        }
    }
}
