use super::unit::Unit;
use crate::{
    decode::{self, Text, Window},
    detect::{Detector, Hit},
    event::{Place, Spelling, Wrapper},
};

/// Searches one text that arrives in pieces, and says how much of its end must wait.
///
/// What was released is gone but for the last [`Detector::context`] bytes of it, which are carried here.
pub(super) struct Scanner {
    place: Place,
    wrappers: &'static [Wrapper],
    /// Where the place begins, in bytes from the start of the stream.
    start: u64,
    carry: Vec<u8>,
    /// Bytes of text that were released.
    released: u64,
    /// How many of them were part of another text, which was judged by itself.
    inherited: u64,
    /// Where they stand on the wire, as far as they are carried: text position, and wire position from there on.
    stretches: Vec<(u64, u64)>,
    /// Whether the text began before what is carried.
    cut: bool,
    json: Option<bool>,
}

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
}

impl Scanner {
    pub(super) fn new(place: Place, wrappers: &'static [Wrapper], start: u64) -> Self {
        Self {
            place,
            wrappers,
            start,
            carry: Vec::new(),
            released: 0,
            inherited: 0,
            stretches: Vec::new(),
            cut: false,
            json: None,
        }
    }

    /// Searches what is new in `piece`; returns how many bytes at its end must wait for more.
    pub(super) fn scan(
        &mut self,
        piece: &Piece<'_>,
        detector: &Detector,
        unit: &mut Unit,
    ) -> usize {
        if detector.is_empty() || piece.text.is_empty() {
            return 0;
        }
        self.note_json(piece.text);
        let context = detector.context();
        let known = piece.known.saturating_sub(RESETTLED);
        let view = View {
            bytes: piece.text,
            from: known,
            cut: self.cut,
            first: 0,
            is_last: true,
        };
        if known >= HELD {
            return self.view(view.beginning_at(known - HELD), piece, detector, unit);
        }
        if self.carry.is_empty() && !self.cut {
            return self.view(view, piece, detector, unit);
        }
        let across = decode::run_across(&self.carry, piece.text);
        // Two bytes more show that the run ends: one NUL alone may yet join it to another.
        let near = piece.text.len().min((across + 2).max(known + context));
        let is_last = near == piece.text.len();
        let mut joined = unit.scratch().take();
        let carried = self.carry.len();
        joined.extend_from_slice(&self.carry);
        joined.extend_from_slice(&piece.text[..near]);
        let from = if known == 0 {
            carried.saturating_sub(RESETTLED)
        } else {
            carried + known
        };
        let edge = View {
            bytes: &joined,
            from,
            cut: self.cut,
            first: -(carried as isize),
            is_last,
        };
        let hold = self.view(edge, piece, detector, unit);
        unit.scratch().give(joined);
        if is_last {
            return hold;
        }
        let from = near.saturating_sub(RESETTLED);
        // Where nothing reaches across, what stood before the text is no part of a value in it.
        let view = View {
            from,
            cut: across > 0,
            ..view
        };
        let start = from.saturating_sub(HELD.min(ENCODED * context));
        self.view(view.beginning_at(start), piece, detector, unit)
    }

    /// Begins with the end of another text in front: a value may have begun there.
    pub(super) fn inherit(&mut self, text: &[u8], wire: u64, context: usize) {
        self.absorb(text, wire, context);
        self.inherited = self.released;
    }

    /// Takes note of text that was released, and of where it begins on the wire.
    pub(super) fn absorb(&mut self, text: &[u8], wire: u64, context: usize) {
        if text.is_empty() {
            return;
        }
        let goes_on = self
            .stretches
            .last()
            .is_some_and(|(from, start)| start + (self.released - from) == wire);
        if !goes_on {
            self.stretches.push((self.released, wire));
        }
        self.released += text.len() as u64;
        self.carry_on(text, context);
        let first = self.released - self.carry.len() as u64;
        let before = self.stretches.partition_point(|(from, _)| *from <= first);
        self.stretches.drain(..before.saturating_sub(1));
    }

    fn carry_on(&mut self, text: &[u8], context: usize) {
        if self.json.is_none() {
            self.note_json(text);
        }
        if text.len() >= context {
            self.cut |= text.len() > context || !self.carry.is_empty();
            self.carry.clear();
            self.carry.extend_from_slice(&text[text.len() - context..]);
            return;
        }
        let drop = (self.carry.len() + text.len()).saturating_sub(context);
        self.cut |= drop > 0;
        self.carry.drain(..drop);
        self.carry.extend_from_slice(text);
    }

    /// The last bytes that were released.
    pub(super) fn carried(&self) -> &[u8] {
        &self.carry
    }

    fn view(
        &self,
        view: View<'_>,
        piece: &Piece<'_>,
        detector: &Detector,
        unit: &mut Unit,
    ) -> usize {
        let tail = if view.is_last { piece.tail } else { Tail::Open };
        let window = Window {
            bytes: view.bytes,
            from: view.from,
            cut: view.cut,
            open: tail != Tail::Closed,
            json: self.json == Some(true),
            wrappers: self.wrappers,
        };
        let (found, budget, scratch) = unit.parts();
        let mut hits: Vec<Hit> = Vec::new();
        decode::walk(window, scratch, budget, &mut |text| {
            hits.clear();
            detector.search(text.bytes, text.from, &mut hits);
            let mut hold = if text.open && view.is_last {
                detector.unfinished(text.bytes)
            } else {
                0
            };
            for hit in &hits {
                if text.cut && hit.start == 0
                    || self.is_inherited(&view, || text.origin(hit.end.saturating_sub(1)))
                {
                    continue;
                }
                let ending = within_digits(text, hit, detector);
                if ending == Ending::Continues {
                    continue;
                }
                if (hit.open || ending == Ending::Unknown) && text.open && tail == Tail::Open {
                    hold = hold.max(text.bytes.len() - hit.start);
                    continue;
                }
                found.see(detector.describe(hit.needle), self.place, || {
                    let at = view.first + text.origin(hit.start) as isize;
                    let wire = match usize::try_from(at) {
                        Ok(at) => piece.wire.at(at),
                        Err(_) => self.carried_at(at.unsigned_abs()),
                    };
                    (wire.saturating_sub(self.start), text.chain(hit.start))
                });
            }
            hold
        })
    }

    /// Whether the byte at `index` of a view belongs to another text.
    fn is_inherited(&self, view: &View<'_>, index: impl FnOnce() -> usize) -> bool {
        self.inherited > 0
            && self.released as i64 + view.first as i64 + (index() as i64) < self.inherited as i64
    }

    /// Where the byte `back` bytes before what is unreleased is on the wire.
    fn carried_at(&self, back: usize) -> u64 {
        let at = self.released.saturating_sub(back as u64);
        let after = self.stretches.partition_point(|(from, _)| *from <= at);
        let (from, wire) = self
            .stretches
            .get(after.saturating_sub(1))
            .copied()
            .unwrap_or_default();
        wire + at.saturating_sub(from)
    }

    fn note_json(&mut self, text: &[u8]) {
        if self.json.is_some() {
            return;
        }
        if self.cut {
            self.json = Some(false);
            return;
        }
        let mut start = self
            .carry
            .iter()
            .chain(text)
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace());
        if let (Some(first), Some(second)) = (start.next(), start.next()) {
            self.json = Some(decode::is_document(&[first, second]));
        }
    }
}

/// A part of a text, and what is carried in front of it.
struct View<'a> {
    bytes: &'a [u8],
    /// Bytes before this index are only context.
    from: usize,
    cut: bool,
    /// Where the first byte is in the text; negative if it is carried.
    first: isize,
    /// Whether it reaches to the text's end, as far as that is there.
    is_last: bool,
}

impl View<'_> {
    fn beginning_at(self, start: usize) -> Self {
        Self {
            bytes: &self.bytes[start..],
            from: self.from - start,
            cut: self.cut || start > 0,
            first: start as isize,
            ..self
        }
    }
}

impl Wire<'_> {
    /// Where the byte at `index` of the text is.
    fn at(self, index: usize) -> u64 {
        let (from, wire) = match self {
            Wire::Stretch(wire) => (0, wire),
            Wire::Stretches(stretches) => {
                let after = stretches.partition_point(|(from, _)| *from <= index);
                stretches
                    .get(after.saturating_sub(1))
                    .copied()
                    .unwrap_or_default()
            }
        };
        wire + (index - from) as u64
    }
}

/// Whether bytes that were written in hexadecimal digits are a value, or part of a longer number: two decimal digits a
/// byte are nothing but their digits, and of other bytes up to three more digits make another number.
fn within_digits(text: &Text<'_>, hit: &Hit, detector: &Detector) -> Ending {
    let spelling = detector.describe(hit.needle).spelling;
    if !matches!(spelling, Spelling::Bcd | Spelling::Raw | Spelling::Integer) {
        return Ending::Ends;
    }
    let Some((before, after)) = text.digits_around(hit.start..hit.end) else {
        return Ending::Ends;
    };
    let continues = |digits: &[u8]| match spelling {
        Spelling::Bcd => digits.first().is_some_and(u8::is_ascii_digit),
        _ => (1..FEW_DIGITS).contains(&digits.len()),
    };
    let more = if spelling == Spelling::Bcd {
        after.is_empty()
    } else {
        after.len() < FEW_DIGITS
    };
    match (text.open && more, continues(&before) || continues(&after)) {
        (true, _) if !continues(&before) => Ending::Unknown,
        (_, true) => Ending::Continues,
        (_, false) => Ending::Ends,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Ends,
    Continues,
    Unknown,
}

/// From this many adjoining digits on, bytes are part of a dump.
const FEW_DIGITS: usize = 4;
/// Bytes before what is new that are searched again: a hit whose right neighbour was missing ends in them.
const RESETTLED: usize = 12;
/// Bytes of an encoding for one of a value, at most, as far as it matters: `\u0034`.
const ENCODED: usize = 6;
/// What is held of a stream can begin this far back: the longest spelling, encoded.
const HELD: usize = 4096;
