//! Where a value may begin and end: digits inside a longer number are not a finding.

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
}

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
            return true;
        };
        match self {
            Boundary::Free => true,
            Boundary::Digit => !last.is_ascii_digit(),
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
        }
    }
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
        use Boundary::{Digit, Free, Hex, Mail, Word};
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
        ];
        for (boundary, after, expected) in table {
            assert_eq!(
                boundary.ends(after.as_bytes(), 0),
                expected,
                "{boundary:?} {after:?}"
            );
        }
    }
}
