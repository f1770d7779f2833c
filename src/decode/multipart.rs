//! Multipart messages (RFC 2046, 5.1), by the boundary that they begin with.

use std::ops::Range;

/// Whether a text begins as a multipart message does.
pub fn is_multipart(text: &[u8]) -> bool {
    delimiter(text).is_some()
}

/// The delimiter that a text begins with, its two hyphens included.
pub(super) fn delimiter(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_prefix(b"\r\n").unwrap_or(text);
    if !text.starts_with(b"--") {
        return None;
    }
    let end = text.iter().take(LONGEST).position(|&byte| byte == b'\n')?;
    let line = text.get(..end)?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let boundary = line.strip_prefix(b"--")?;
    // RFC 2046 has no asterisks, but `*****` is what many apps were told to write.
    let plausible = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? *".contains(byte);
    let rest = text.get(end..)?;
    let field = rest.get(1..)?.split(|&byte| byte == b'\n').next()?;
    let named = field.contains(&b':') || field.trim_ascii().is_empty();
    (!boundary.is_empty() && boundary.iter().all(plausible) && named).then_some(line)
}

/// The bodies of the parts between delimiters; what no delimiter ends goes to the end.
pub(super) fn bodies<'a>(
    text: &'a [u8],
    delimiter: &'a [u8],
) -> impl Iterator<Item = Range<usize>> {
    let mut marks = memchr::memmem::find_iter(text, delimiter)
        .filter(|at| begins_line(text, *at))
        .map(|at| (at, at.saturating_add(delimiter.len())))
        .peekable();
    std::iter::from_fn(move || {
        let (_, after) = marks.next()?;
        let end = marks.peek().map_or(text.len(), |(next, _)| *next);
        Some((after, end))
    })
    .filter_map(|(after, end)| {
        let part = text.get(after..end)?;
        let head = head_end(part)?;
        let body = part.get(head..)?;
        let body = body.strip_suffix(b"\n").unwrap_or(body);
        let body = body.strip_suffix(b"\r").unwrap_or(body);
        let start = after.saturating_add(head);
        Some(start..start.saturating_add(body.len()))
    })
}

fn begins_line(text: &[u8], at: usize) -> bool {
    at.checked_sub(1)
        .is_none_or(|before| text.get(before) == Some(&b'\n'))
}

/// The end of the blank line behind the fields of a part.
fn head_end(part: &[u8]) -> Option<usize> {
    let mut lines = memchr::memchr_iter(b'\n', part);
    let mut start = lines.next()?.saturating_add(1);
    for end in lines {
        let line = part.get(start..end)?;
        start = end.saturating_add(1);
        if line.trim_ascii().is_empty() {
            return Some(start);
        }
    }
    None
}

/// Bytes of the longest delimiter line: 70 characters of boundary, and what stands around them.
const LONGEST: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<Vec<&str>> {
        let delimiter = delimiter(text.as_bytes())?;
        let bodies = bodies(text.as_bytes(), delimiter);
        Some(bodies.map(|body| &text[body]).collect())
    }

    #[test]
    fn finds_the_bodies_of_parts() {
        let form = "--abc\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--abc\r\n\
            Content-Type: text/plain\r\nX: y\r\n\r\ntwo\r\n--x\r\n\r\n--abc--\r\n";
        assert_eq!(parts(form), Some(vec!["one", "two\r\n--x\r\n"]));
        let unix = "--=_x y\n\nbody --=_x y goes on\n--=_x y--\n";
        assert_eq!(parts(unix), Some(vec!["body --=_x y goes on"]));
        assert_eq!(parts("\r\n--a\r\nA: b\r\n\r\nopen"), Some(vec!["open"]));
        for none in [
            "--\r\nA: b\r\n\r\nx",
            "-- x\n",
            "a--b\r\n",
            "---\ntitle: x\nyaml",
            "",
        ] {
            let found = parts(none).unwrap_or_default();
            assert!(found.is_empty(), "{none:?} {found:?}");
        }
    }
}
