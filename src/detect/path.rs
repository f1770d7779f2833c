//! Where in a text's own structure a value stands, in words that hold no value.

use std::ops::Range;

/// The JSON pointer (RFC 6901) of the value at `index` of a document, or the name of its form field, header, part or
/// element. `shows` says whether a name may be shown; `*` stands for one that may not.
pub(super) fn of(text: &[u8], index: usize, shows: &dyn Fn(&[u8]) -> bool) -> Option<String> {
    let start = text[..index]
        .iter()
        .rposition(|byte| *byte == BETWEEN)
        .map_or(0, |at| at + 1);
    let (text, index) = (&text[start..], index - start);
    if crate::decode::is_document(text) && index <= FAR {
        return pointer(text, index, shows);
    }
    let name = member(text, index)
        .or_else(|| element(text, index))
        .or_else(|| part(text, index))
        .or_else(|| line(text, index))?;
    let name = text.get(name)?.trim_ascii();
    let fits = (1..=LONGEST).contains(&name.len()) && name.iter().all(is_plain);
    fits.then(|| shown(name, shows))
}

/// The way to the value at `index` of a JSON document, however broken that is.
fn pointer(text: &[u8], index: usize, shows: &dyn Fn(&[u8]) -> bool) -> Option<String> {
    let mut levels: Vec<Level> = Vec::new();
    let mut at = 0;
    while at < index {
        match text[at] {
            b'{' => levels.push(Level::Object(None)),
            b'[' => levels.push(Level::Array(0)),
            b'}' | b']' => {
                levels.pop();
            }
            b',' => {
                if let Some(Level::Array(count)) = levels.last_mut() {
                    *count += 1;
                }
            }
            b'"' => {
                let end = end_of_string(text, at + 1);
                if end >= index {
                    break;
                }
                let is_name = text[end + 1..].trim_ascii_start().starts_with(b":");
                if let (Some(Level::Object(name)), true) = (levels.last_mut(), is_name) {
                    *name = Some(at + 1..end);
                }
                at = end;
            }
            _ => {}
        }
        if levels.len() > DEEPEST {
            return None;
        }
        at += 1;
    }
    let mut pointer = String::new();
    for level in levels {
        pointer.push('/');
        match level {
            Level::Array(count) => pointer.push_str(&count.to_string()),
            Level::Object(name) => {
                let name = name.map_or(&b""[..], |name| &text[name]);
                let fits = name.len() <= LONGEST && name.iter().all(is_plain);
                let name = if fits {
                    shown(name, shows)
                } else {
                    HIDDEN.into()
                };
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
        }
    }
    (pointer.len() <= LONGEST_POINTER).then_some(pointer)
}

/// What is open around a value.
enum Level {
    /// With the name of the member that was read last.
    Object(Option<Range<usize>>),
    /// With the number of items before.
    Array(usize),
}

/// Where the string ends that begins at `start`: at its quote, or at the text's end.
fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// The name right before the value: `"imei":"…`.
fn member(text: &[u8], index: usize) -> Option<Range<usize>> {
    let before = text[..index].strip_suffix(b"\"").unwrap_or(&text[..index]);
    let name = before.trim_ascii_end().strip_suffix(b":")?;
    let name = name.trim_ascii_end().strip_suffix(b"\"")?;
    let start = name.iter().rposition(|byte| *byte == b'"')?;
    Some(start + 1..name.len())
}

/// The name of the element that the value begins: `<imei>…`.
fn element(text: &[u8], index: usize) -> Option<Range<usize>> {
    let tag = text[..index].trim_ascii_end().strip_suffix(b">")?;
    let start = tag.iter().rposition(|byte| *byte == b'<')? + 1;
    let name = tag[start..]
        .split(|byte| byte.is_ascii_whitespace())
        .next()?;
    Some(start..start + name.len())
}

/// The name of the part of a multipart body that the value begins.
fn part(text: &[u8], index: usize) -> Option<Range<usize>> {
    let head = text[..index].strip_suffix(b"\r\n\r\n")?;
    let near = head.len().saturating_sub(NEAR);
    let start = near + memchr::memmem::rfind(&head[near..], b"name=\"")? + b"name=\"".len();
    let length = memchr::memchr(b'"', &head[start..])?;
    Some(start..start + length)
}

/// What stands before the first `=` or `:` of the form field or line that the value is in.
fn line(text: &[u8], index: usize) -> Option<Range<usize>> {
    let near = index.saturating_sub(NEAR);
    let before = &text[near..index];
    let first = before
        .iter()
        .rposition(|byte| matches!(byte, b'&' | b'\n' | b'?'))
        .map(|at| at + 1);
    let start = match first {
        Some(first) => near + first,
        None if near == 0 => 0,
        None => return None,
    };
    let length = memchr::memchr2(b'=', b':', &text[start..index])?;
    Some(start..start + length)
}

/// A name as it may be shown: one that a value was put into may not.
fn shown(name: &[u8], shows: &dyn Fn(&[u8]) -> bool) -> String {
    let digits = name.iter().filter(|byte| byte.is_ascii_digit()).count();
    if digits <= MOST_DIGITS && !name.contains(&b'@') && shows(name) {
        String::from_utf8_lossy(name).into_owned()
    } else {
        HIDDEN.into()
    }
}

fn is_plain(byte: &u8) -> bool {
    byte.is_ascii_graphic() || *byte == b' '
}

/// What the decoders put between texts that have nothing to do with each other.
const BETWEEN: u8 = 0xff;
/// Instead of a name that is not shown.
const HIDDEN: &str = "*";
/// Digits of a name that is shown, at most.
const MOST_DIGITS: usize = 4;
/// Bytes of a name.
const LONGEST: usize = 48;
/// Bytes of a pointer.
const LONGEST_POINTER: usize = 160;
/// Bytes of a document that are read for a pointer.
const FAR: usize = 64 * 1024;
/// Objects and arrays inside one another.
const DEEPEST: usize = 16;
/// Bytes before a value in which its name is looked for.
const NEAR: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the `V` of a text stands.
    fn path(text: &str) -> Option<String> {
        of(text.as_bytes(), text.find('V')?, &|name| name != b"secret")
    }

    #[test]
    fn says_where_a_value_stands() {
        for (text, expected) in [
            (
                r#"{"device":{"ids":[{"a":1},{"imei":"V"}]}}"#,
                Some("/device/ids/1/imei"),
            ),
            (r#"[1,[2,"V"]]"#, Some("/1/1")),
            (r#"{"a/b~":"x, \"y\": V"}"#, Some("/a~1b~0")),
            (
                r#"{"490154203237518":{"secret":{"x@y.example":"V"}}}"#,
                Some("/*/*/*"),
            ),
            ("\u{fffd}{\"x\":\"V\"", Some("x")),
            ("a=1&imei=V&b", Some("imei")),
            ("Host: x\r\nX-Device-Id: V\r\n", Some("X-Device-Id")),
            ("Cookie: a=b; imei=V\r\n", Some("Cookie")),
            (
                "--b\r\nContent-Disposition: form-data; name=\"imei\"\r\n\r\nV",
                Some("imei"),
            ),
            ("<a><imei x='1'>V", Some("imei")),
            ("secret=V", Some("*")),
            ("490154203237518=V", Some("*")),
            ("V", None),
            ("x V", None),
        ] {
            assert_eq!(path(text).as_deref(), expected, "{text}");
        }
        let deep = "[".repeat(100) + "V";
        assert_eq!(path(&deep), None);
    }

    #[test]
    fn begins_behind_what_has_nothing_to_do_with_it() {
        let text = b"{\"a\":1}\xff{\"b\":\"V\"";
        assert_eq!(of(text, text.len() - 2, &|_| true).as_deref(), Some("/b"));
    }
}
