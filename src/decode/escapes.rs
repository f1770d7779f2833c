use std::ops::Range;

/// Which layers can apply to a word at all.
#[derive(Default)]
pub(super) struct Marks {
    pub(super) percent: bool,
    pub(super) plus: bool,
    pub(super) backslash: bool,
}

impl Marks {
    pub(super) fn of(word: &[u8]) -> Marks {
        let mut marks = Marks::default();
        for at in memchr::memchr3_iter(b'%', b'+', b'\\', word) {
            match word.get(at) {
                Some(b'%') => marks.percent = true,
                Some(b'+') => marks.plus = true,
                _ => marks.backslash = true,
            }
        }
        marks
    }
}

/// Where the next escape is, and how far JSON strings were resolved.
pub(super) struct Escapes<'a> {
    bytes: &'a [u8],
    next: usize,
    pub(super) resolved: usize,
}

impl<'a> Escapes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            next: 0,
            resolved: 0,
        }
    }

    /// Whether there may be one in a word; words are asked about in order.
    pub(super) fn are_in(&mut self, word: &Range<usize>) -> bool {
        if self.next <= word.start {
            let rest = self.bytes.get(word.start..).unwrap_or_default();
            let next = memchr::memchr3(b'%', b'+', b'\\', rest).unwrap_or(rest.len());
            self.next = word.start.saturating_add(next);
        }
        self.next < word.end
    }
}
