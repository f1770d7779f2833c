mod kept;
mod opening;

use std::{ops::Range, sync::Arc};

use kept::Kept;

use super::{
    opened::Opened,
    piece::{Piece, Tail},
    stretches::Stretches,
    unit::{Stands, Unit},
};
use crate::{
    decode::{self, Coding, Pool, Rest, Text, Unfinished, Window},
    detect::{Detector, Hit, Seen},
    event::{Confidence, Place, Spelling, Wrapper},
};

/// Searches one text that arrives in pieces, and says how much of its end must wait.
///
/// What was released is gone but for the last [`Detector::context`] bytes of it, which are carried here.
pub(super) struct Scanner {
    place: Place,
    /// What the text came out of, if it is not what stands on the wire.
    origin: Option<Box<Origin>>,
    /// Where the place begins, in bytes from the start of the stream.
    start: u64,
    carry: Vec<u8>,
    /// Bytes of text that were released.
    released: u64,
    /// Where they stand on the wire, as far as they are carried.
    stretches: Stretches,
    /// Whether the text began before what is carried.
    cut: bool,
    json: Option<bool>,
    /// Whether the text began as a multipart message.
    multipart: bool,
    /// What the text is said to be compressed by, until that is found out.
    hint: Option<Coding>,
    /// Position in the text up to which containers were looked for.
    looked: u64,
    /// The compressed stream that the text is in the middle of.
    opened: Option<Box<Opened>>,
    /// A container inside encodings that is not whole yet.
    kept: Option<Box<Kept>>,
    /// Position in the text where the first hit ends that what comes next decides on.
    undecided: Option<u64>,
    /// Where the last registered value that was told stands in the text itself.
    told: Range<u64>,
}

/// What a text came out of.
struct Origin {
    /// Outermost first.
    wrappers: Vec<Wrapper>,
    /// Where on the wire all of the text stands, where it came out of a container.
    point: Option<u64>,
    /// What decoders of this text may take of the pool.
    room: usize,
    /// How many bytes at its front were part of another text, which was judged by itself.
    inherited: u64,
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            wrappers: Vec::new(),
            point: None,
            room: Pool::FLOW,
            inherited: 0,
        }
    }
}

impl Scanner {
    pub(super) fn new(place: Place, wrappers: &[Wrapper], start: u64) -> Self {
        let origin = || {
            Box::new(Origin {
                wrappers: wrappers.to_vec(),
                ..Origin::default()
            })
        };
        Self {
            place,
            origin: (!wrappers.is_empty()).then(origin),
            start,
            carry: Vec::new(),
            released: 0,
            stretches: Stretches::default(),
            cut: false,
            json: None,
            multipart: false,
            hint: None,
            looked: 0,
            opened: None,
            kept: None,
            undecided: None,
            told: 0..0,
        }
    }

    /// For the text that comes out of a container, which stands at `wire`; its decoders may take `room` bytes of the pool.
    pub(super) fn inside(outer: &Scanner, wrapper: Wrapper, wire: u64, room: usize) -> Self {
        Self {
            origin: Some(Box::new(Origin {
                wrappers: [outer.wrappers(), &[wrapper]].concat(),
                point: Some(outer.point().unwrap_or(wire)),
                room,
                inherited: 0,
            })),
            ..Self::new(outer.place, &[], outer.start)
        }
    }

    fn wrappers(&self) -> &[Wrapper] {
        self.origin.as_ref().map_or(&[], |origin| &origin.wrappers)
    }

    fn point(&self) -> Option<u64> {
        self.origin.as_ref()?.point
    }

    fn room(&self) -> usize {
        self.origin
            .as_ref()
            .map_or(Pool::FLOW, |origin| origin.room)
    }

    /// Takes note of what the whole text is said to be compressed by. It is tried, and forgotten if it is not so.
    pub(super) fn expect(&mut self, coding: Option<Coding>) {
        self.hint = coding;
    }

    /// Searches what is new in `piece`; returns how many bytes at its end must wait for more.
    pub(super) fn scan(
        &mut self,
        piece: &Piece<'_>,
        detector: &Detector,
        unit: &mut Unit,
    ) -> usize {
        if piece.text.is_empty() {
            return 0;
        }
        self.note_json(piece.text);
        self.note_multipart(piece.text);
        let whole = piece.tail == Tail::Closed && self.released == 0 && piece.known == 0;
        let streams = self.place != Place::Datagram && !whole;
        let hold = self.search(piece, streams, detector, unit);
        if streams {
            hold.max(self.unpack(piece, detector, unit))
        } else {
            hold
        }
    }

    fn search(
        &mut self,
        piece: &Piece<'_>,
        streams: bool,
        detector: &Detector,
        unit: &mut Unit,
    ) -> usize {
        let end = self.released + piece.text.len() as u64;
        if let Some(kept) = &self.kept {
            let again =
                piece.tail != Tail::Open || end - kept.start >= 2 * (kept.read - kept.start);
            if again {
                return self.read_again(piece, streams, detector, unit);
            }
        }
        let waits = self
            .kept
            .as_ref()
            .map_or(0, |kept| (end - kept.waits) as usize);
        let unfinished = if self.kept.is_some() {
            Unfinished::Leave
        } else {
            Unfinished::Read
        };
        let (rest, all) = self.local(piece, streams, unfinished, detector, unit);
        if self.kept.is_some() || rest.keep == 0 || (all && piece.tail == Tail::Closed) {
            return rest.hold.max(waits);
        }
        self.keep(rest, piece, detector, unit);
        if all {
            return rest.hold;
        }
        rest.hold
            .max(self.read_again(piece, streams, detector, unit))
    }

    /// Searches with no more in front than the longest spelling needs; says whether what must be kept was read to the end.
    fn local(
        &mut self,
        piece: &Piece<'_>,
        streams: bool,
        unfinished: Unfinished,
        detector: &Detector,
        unit: &mut Unit,
    ) -> (Rest, bool) {
        let context = detector.context();
        let settled = self.settled(self.released + piece.known as u64);
        let known = settled.saturating_sub(self.released) as usize;
        let view = View {
            bytes: piece.text,
            from: known,
            cut: self.cut,
            first: 0,
            is_last: true,
            streams,
            unfinished,
        };
        if known >= HELD {
            let view = view.beginning_at(known - HELD);
            return (self.view(view, piece, detector, unit), true);
        }
        if self.carry.is_empty() && !self.cut {
            return (self.view(view, piece, detector, unit), true);
        }
        let across = decode::run_across(&self.carry, piece.text);
        // Two bytes more show that the run ends: one NUL alone may yet join it to another.
        let near = piece.text.len().min((across + 2).max(known + context));
        // A short piece is read in one, sooner than twice.
        let near = if piece.text.len() <= JOINED {
            piece.text.len()
        } else {
            near
        };
        let is_last = near == piece.text.len();
        let mut joined = unit.scratch().take();
        let carried = self.carry.len();
        joined.extend_from_slice(&self.carry);
        joined.extend_from_slice(&piece.text[..near]);
        let from = if known == 0 {
            let back = self.released.saturating_sub(settled);
            carried.saturating_sub(RESETTLED.max(back as usize))
        } else {
            carried + known
        };
        let edge = View {
            bytes: &joined,
            from,
            first: -(carried as isize),
            is_last,
            ..view
        };
        let rest = self.view(edge, piece, detector, unit);
        unit.scratch().give(joined);
        if is_last {
            return (rest, true);
        }
        let across_keep = match rest.keep {
            0 => 0,
            keep => keep + piece.text.len() - near,
        };
        let from = near.saturating_sub(RESETTLED);
        // Where nothing reaches across, what stood before the text is no part of a value in it.
        let view = View {
            from,
            cut: across > 0,
            ..view
        };
        let start = from.saturating_sub(HELD.min(ENCODED * context));
        let rest = self.view(view.beginning_at(start), piece, detector, unit);
        let keep = rest.keep.max(across_keep);
        (Rest { keep, ..rest }, across_keep == 0)
    }

    /// The bytes from a position on that is not further back than the carry; `joined` is a buffer to put them together in.
    fn text_from<'p>(&self, position: u64, piece: &Piece<'p>, joined: &'p mut Vec<u8>) -> &'p [u8] {
        match position.checked_sub(self.released) {
            Some(at) => &piece.text[(at as usize).min(piece.text.len())..],
            None => {
                joined.clear();
                joined.extend_from_slice(self.carried_from(position));
                joined.extend_from_slice(piece.text);
                joined
            }
        }
    }

    /// What is carried of the text from a position on.
    fn carried_from(&self, position: u64) -> &[u8] {
        let back = self.released.saturating_sub(position) as usize;
        &self.carry[self.carry.len().saturating_sub(back)..]
    }

    /// Begins with the end of another text in front: a value may have begun there.
    pub(super) fn inherit(&mut self, text: &[u8], wire: u64, context: usize) {
        self.absorb(text, wire, context);
        self.origin.get_or_insert_default().inherited = self.released;
    }

    /// Takes note of text that was released, and of where it begins on the wire.
    pub(super) fn absorb(&mut self, text: &[u8], wire: u64, context: usize) {
        if text.is_empty() {
            return;
        }
        self.note_multipart(text);
        self.stretches.go_on(self.released, wire);
        self.released += text.len() as u64;
        self.carry_on(text, context);
        if let Some(kept) = &mut self.kept {
            let skip = kept.from.saturating_sub(self.released - text.len() as u64) as usize;
            kept.bytes
                .extend_from_slice(text.get(skip..).unwrap_or_default());
        }
        let first = self.released - self.carry.len() as u64;
        let first = self
            .kept
            .as_ref()
            .map_or(first, |kept| first.min(kept.from));
        self.stretches.forget(first);
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

    /// Up to which position of the text all is settled, where it was searched to `known`.
    fn settled(&self, known: u64) -> u64 {
        let settled = known.saturating_sub(RESETTLED as u64);
        self.undecided
            .map_or(settled, |undecided| undecided.min(settled))
    }

    fn view(
        &mut self,
        view: View<'_>,
        piece: &Piece<'_>,
        detector: &Detector,
        unit: &mut Unit,
    ) -> Rest {
        let tail = if view.is_last { piece.tail } else { Tail::Open };
        let window = Window {
            bytes: view.bytes,
            from: view.from,
            cut: view.cut,
            open: tail != Tail::Closed,
            json: self.json == Some(true),
            multipart: self.multipart,
            wrappers: self.wrappers(),
            hint: self.hint,
            streams: view.streams,
            unfinished: view.unfinished,
        };
        let (found, budget, scratch) = unit.parts();
        let mut hits: Vec<Hit> = Vec::new();
        let mut named: Vec<Seen> = Vec::new();
        let mut undecided: Option<u64> = None;
        let mut wait_for = |at: u64| undecided = Some(undecided.map_or(at, |first| first.min(at)));
        let mut told = self.told.clone();
        let position = |text: &Text<'_>, index: usize| {
            let at = view.first as i64 + text.origin(index) as i64;
            self.released.saturating_add_signed(at)
        };
        let rest = decode::walk(window, scratch, budget, &mut |text, skim| {
            hits.clear();
            detector.search_skimmed(text.bytes, text.from, skim, &mut hits);
            let mut hold = if text.open && view.is_last {
                detector.unfinished(text.bytes)
            } else {
                0
            };
            let place = |index: usize| {
                let at = || view.first + text.origin(index) as isize;
                let wire = self.point().unwrap_or_else(|| match usize::try_from(at()) {
                    Ok(at) => piece.wire.at(at),
                    Err(_) => self.carried_at(at().unsigned_abs()),
                });
                Stands {
                    offset: wire.saturating_sub(self.start),
                    chain: text.chain(index),
                    field: field(text, index, detector),
                }
            };
            named.clear();
            let waits =
                detector.search_named(text.bytes, text.from, text.cut, text.open, skim, &mut named);
            if view.is_last {
                hold = hold.max(waits);
            }
            // What is registered is told as that, and not as what it looks like besides.
            named.retain(|seen| {
                let same = |hit: &&Hit| hit.start < seen.value.end && seen.value.start < hit.end;
                let was_told = || {
                    let at = |index| position(text, index);
                    text.outer(seen.value.start).is_none()
                        && self.told.start < at(seen.value.end)
                        && at(seen.value.start) < self.told.end
                };
                seen.sighting.confidence == Confidence::Exact
                    || !(hits.iter().any(|hit| same(&hit)) || was_told())
            });
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
                let undecided = (hit.open || ending == Ending::Unknown) && text.open;
                if undecided && text.more {
                    continue;
                }
                if undecided && tail == Tail::Open {
                    hold = hold.max(text.bytes.len() - hit.start);
                    wait_for(position(text, hit.end.saturating_sub(1)));
                    continue;
                }
                if text.outer(hit.start).is_none() {
                    told = position(text, hit.start)..position(text, hit.end);
                }
                let sighting = detector.describe(hit.needle);
                found.see(sighting, self.place, true, || place(hit.start));
            }
            for seen in &named {
                if self.is_inherited(&view, || text.origin(seen.end.saturating_sub(1))) {
                    continue;
                }
                if seen.open && text.open && text.more {
                    continue;
                }
                if seen.open && text.open && tail == Tail::Open {
                    hold = hold.max(text.bytes.len() - seen.start);
                    wait_for(position(text, seen.end.saturating_sub(1)));
                    continue;
                }
                found.see(&seen.sighting, self.place, seen.alone, || place(seen.start));
            }
            hold
        });
        if view.is_last {
            self.undecided = undecided;
        }
        self.told = told;
        rest
    }

    /// Whether the byte at `index` of a view belongs to another text.
    fn is_inherited(&self, view: &View<'_>, index: impl FnOnce() -> usize) -> bool {
        let inherited = self.origin.as_ref().map_or(0, |origin| origin.inherited);
        inherited > 0
            && self.released as i64 + view.first as i64 + (index() as i64) < inherited as i64
    }

    /// Where the byte `back` bytes before what is unreleased is on the wire.
    fn carried_at(&self, back: usize) -> u64 {
        let at = self.released.saturating_sub(back as u64);
        self.stretches.wire(at)
    }

    fn note_multipart(&mut self, text: &[u8]) {
        let first = self.carry.first().or(text.first());
        if self.cut || self.multipart || !matches!(first, Some(b'-' | b'\r')) {
            return;
        }
        let start = &text[..text.len().min(HELD)];
        self.multipart = decode::is_multipart(&[&self.carry, start].concat());
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
#[derive(Clone, Copy)]
struct View<'a> {
    bytes: &'a [u8],
    /// Bytes before this index are only context.
    from: usize,
    cut: bool,
    /// Where the first byte is in the text; negative if it is carried.
    first: isize,
    /// Whether it reaches to the text's end, as far as that is there.
    is_last: bool,
    streams: bool,
    unfinished: Unfinished,
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

/// The name that a value stands under, in its own text or else in the one around that.
fn field(text: &Text<'_>, index: usize, detector: &Detector) -> Option<Arc<str>> {
    match (detector.field(text.bytes, index), text.outer(index)) {
        (Some(field), _) => Some(field.into()),
        (None, Some((outer, at))) => field(outer, at, detector),
        (None, None) => None,
    }
}

/// Whether bytes that were written in hexadecimal digits are a value, or part of a longer number: two decimal digits a
/// byte are nothing but their digits; of other bytes up to three more digits make another number, and so does an odd digit
/// at either side, which moves the bounds of all bytes between them.
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
    let is_odd = |digits: &[u8]| spelling != Spelling::Bcd && digits.len() % 2 == 1;
    let may_be_astride = !text.cut && is_odd(&before);
    let more = match spelling {
        Spelling::Bcd => after.is_empty(),
        _ => after.len() < FEW_DIGITS || may_be_astride,
    };
    let is_astride = may_be_astride && is_odd(&after);
    match (
        text.open && more,
        continues(&before) || continues(&after) || is_astride,
    ) {
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
/// Bytes of a piece that is copied behind what is carried, as a whole.
const JOINED: usize = 4096;
