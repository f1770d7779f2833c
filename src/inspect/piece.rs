//! What of a text is there, and where it stands on the wire.

/// What of a text is there and not released.
pub(super) struct Piece<'a> {
    pub(super) text: &'a [u8],
    /// Bytes of `text` that an earlier scan covered.
    pub(super) known: usize,
    pub(super) tail: Tail,
    pub(super) wire: Wire<'a>,
}

/// What is known of the bytes after a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// The text goes on.
    Open,
    /// It may go on, but nothing came for a while: what could be a value is one.
    Paused,
    /// It is over.
    Closed,
}

/// Where the bytes of a text stand on the wire, counted from the start of the stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wire<'a> {
    /// In one stretch from here.
    Stretch(u64),
    /// In stretches: index in the text, and on the wire; the first one is at index 0.
    Stretches(&'a [(usize, u64)]),
    /// In strings that were decoded: index in the text, and where the string begins on the wire; the first one is at index 0.
    Strings(&'a [(usize, u64)]),
}

impl Wire<'_> {
    /// Where the byte at `index` of the text is.
    pub(super) fn at(self, index: usize) -> u64 {
        let (from, wire) = match self {
            Wire::Stretch(wire) => (0, wire),
            Wire::Stretches(stretches) => {
                let after = stretches.partition_point(|(from, _)| *from <= index);
                stretches
                    .get(after.saturating_sub(1))
                    .copied()
                    .unwrap_or_default()
            }
            Wire::Strings(strings) => {
                let after = strings.partition_point(|(from, _)| *from <= index);
                let string = strings.get(after.saturating_sub(1));
                return string.copied().unwrap_or_default().1;
            }
        };
        wire + (index - from) as u64
    }
}
