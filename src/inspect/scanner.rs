use std::{ops::Range, sync::Arc};

use super::{
    opened::{Opened, Outcome},
    unit::{Stands, Unit},
};
use crate::{
    decode::{self, Coding, Lease, Pool, Rest, Text, Unfinished, Window},
    detect::{Detector, Hit, Seen},
    event::{Confidence, Place, Spelling, Wrapper},
};

/// Searches one text that arrives in pieces, and says how much of its end must wait.
///
/// What was released is gone but for the last [`Detector::context`] bytes of it, which are carried here.
pub(super) struct Scanner {
    place: Place,
    wrappers: Vec<Wrapper>,
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
    /// Whether the text began as a multipart message.
    multipart: bool,
    /// Where on the wire all of the text stands, where it came out of a container.
    point: Option<u64>,
    /// What the text is said to be compressed by, until that is found out.
    hint: Option<Coding>,
    /// Position in the text up to which containers were looked for.
    looked: u64,
    /// The compressed stream that the text is in the middle of.
    opened: Option<Box<Opened>>,
    /// A container inside encodings that is not whole yet.
    kept: Option<Box<Kept>>,
    /// What decoders of this text may take of the pool.
    room: usize,
    /// Position in the text where the first hit ends that what comes next decides on.
    undecided: Option<u64>,
    /// Where the last registered value that was told stands in the text itself.
    told: Range<u64>,
}

/// The beginning of a container that is encoded in the text, from which it must be read again when more is there.
struct Kept {
    /// Where it begins, as a position in the text.
    start: u64,
    /// Where `bytes` begin: names of values may stand in front of it.
    from: u64,
    /// How far it was read.
    read: u64,
    /// From where on the text waited when it was read.
    waits: u64,
    /// Its bytes that were released, and those in front.
    bytes: Vec<u8>,
    _lease: Lease,
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
    /// In strings that were decoded: index in the text, and where the string begins on the wire; the first one is at index 0.
    Strings(&'a [(usize, u64)]),
}

impl Scanner {
    pub(super) fn new(place: Place, wrappers: &[Wrapper], start: u64) -> Self {
        Self {
            place,
            wrappers: wrappers.to_vec(),
            start,
            carry: Vec::new(),
            released: 0,
            inherited: 0,
            stretches: Vec::new(),
            cut: false,
            json: None,
            multipart: false,
            point: None,
            hint: None,
            looked: 0,
            opened: None,
            kept: None,
            room: Pool::FLOW,
            undecided: None,
            told: 0..0,
        }
    }

    /// For the text that comes out of a container, which stands at `wire`; its decoders may take `room` bytes of the pool.
    pub(super) fn inside(outer: &Scanner, wrapper: Wrapper, wire: u64, room: usize) -> Self {
        let mut inner = Self::new(outer.place, &outer.wrappers, outer.start);
        inner.wrappers.push(wrapper);
        inner.point = Some(outer.point.unwrap_or(wire));
        inner.room = room;
        inner
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

    /// Begins to keep what a container inside encodings begins with.
    fn keep(&mut self, rest: Rest, piece: &Piece<'_>, detector: &Detector, unit: &mut Unit) {
        let end = self.released + piece.text.len() as u64;
        let start = end - rest.keep as u64;
        let first = self.released - self.carry.len() as u64;
        let from = start
            .saturating_sub(detector.context() as u64)
            .max(first.min(start));
        let (_, budget, scratch) = unit.parts();
        let lease = scratch.pool().lease(KEPT).filter(|_| self.room >= KEPT);
        match lease.filter(|_| from >= first) {
            Some(lease) => {
                self.kept = Some(Box::new(Kept {
                    start,
                    from,
                    read: end,
                    waits: end - rest.hold as u64,
                    bytes: self.carried_from(from).to_vec(),
                    _lease: lease,
                }));
            }
            _ => budget.exhaust(),
        }
    }

    /// Reads a container that was kept from its first byte on.
    fn read_again(
        &mut self,
        piece: &Piece<'_>,
        streams: bool,
        detector: &Detector,
        unit: &mut Unit,
    ) -> usize {
        let Some(mut kept) = self.kept.take() else {
            return 0;
        };
        let end = self.released + piece.text.len() as u64;
        let first = kept.from.saturating_sub(self.released) as usize;
        let mut joined = std::mem::take(&mut kept.bytes);
        let carried = joined.len();
        joined.extend_from_slice(&piece.text[first.min(piece.text.len())..]);
        let view = View {
            bytes: &joined,
            from: (self.settled(kept.read).saturating_sub(kept.from) as usize).min(joined.len()),
            cut: kept.from > 0,
            first: first as isize - carried as isize,
            is_last: true,
            streams,
            unfinished: Unfinished::Reopen,
        };
        let rest = self.view(view, piece, detector, unit);
        let goes_on = rest.keep > 0 && piece.tail != Tail::Closed;
        if goes_on && joined.len() <= KEPT {
            joined.truncate(carried);
            // What else the text holds was read with it: only what began there is kept on.
            let start = (end - rest.keep as u64).max(kept.start);
            let from = start.saturating_sub(detector.context() as u64);
            let from = from.max(kept.from);
            joined.drain(..joined.len().min((from - kept.from) as usize));
            (kept.start, kept.from) = (start, from);
            kept.read = end;
            kept.waits = end - rest.hold as u64;
            kept.bytes = joined;
            self.kept = Some(kept);
        } else if goes_on {
            let (_, budget, _) = unit.parts();
            budget.exhaust();
        }
        rest.hold
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

    /// Undoes compression that begins in the text itself as it comes; returns how many bytes at the end must wait.
    fn unpack(&mut self, piece: &Piece<'_>, detector: &Detector, unit: &mut Unit) -> usize {
        let end = self.released + piece.text.len() as u64;
        loop {
            let Some(mut opened) = self.opened.take() else {
                match self.next_container(piece, unit) {
                    Some((start, coding)) => {
                        self.open(start, coding, piece, unit);
                        continue;
                    }
                    None => return 0,
                }
            };
            let mut joined = unit.scratch().take();
            let bytes = self.text_from(opened.fed, piece, &mut joined);
            let outcome = opened.feed(bytes, piece.tail, detector, unit);
            unit.scratch().give(joined);
            match outcome {
                Outcome::GoesOn { waits } => {
                    self.opened = Some(opened);
                    return waits.min((end - self.released) as usize);
                }
                Outcome::Over { gave: true } => {
                    self.hint = None;
                    self.looked = opened.fed;
                }
                Outcome::Over { gave: false } => {
                    // Where a hint was wrong, what is there says itself what it is.
                    let hinted = self.hint.take().is_some();
                    self.looked = opened.start + u64::from(!hinted);
                }
            }
        }
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

    /// Position and coding of the next compressed stream.
    fn next_container(&mut self, piece: &Piece<'_>, unit: &mut Unit) -> Option<(u64, Coding)> {
        let end = self.released + piece.text.len() as u64;
        let (_, _, scratch) = unit.parts();
        if let Some(coding) = self.hint.filter(|_| self.looked == 0) {
            let zlib = Coding::find(piece.text).is_some_and(|found| found == (0, Coding::Zlib));
            return Some((0, if zlib { Coding::Zlib } else { coding }));
        }
        let first = self.released - self.carry.len() as u64;
        let mut joined = scratch.take();
        let found = loop {
            let from = self.looked.max(first);
            let Some((start, coding)) = self.find_container(from, piece, &mut joined) else {
                let last = end.saturating_sub(Coding::LOOKED_AT as u64 - 1);
                self.looked = self.looked.max(last);
                break None;
            };
            self.looked = start + 1;
            if scratch.may_be(coding, self.text_from(start, piece, &mut joined)) {
                break Some((start, coding));
            }
        };
        scratch.give(joined);
        found
    }

    /// Position and coding of the first place from `from` on where compressed data may begin.
    fn find_container(
        &self,
        from: u64,
        piece: &Piece<'_>,
        joined: &mut Vec<u8>,
    ) -> Option<(u64, Coding)> {
        let carried = self.carried_from(from);
        if !carried.is_empty() {
            // What begins in the carry shows within so many bytes, however long the piece is.
            joined.clear();
            joined.extend_from_slice(carried);
            joined.extend_from_slice(&piece.text[..piece.text.len().min(Coding::LOOKED_AT - 1)]);
            if let Some((at, coding)) = Coding::find(joined).filter(|(at, _)| *at < carried.len()) {
                return Some((self.released - (carried.len() - at) as u64, coding));
            }
        }
        let first = from.saturating_sub(self.released) as usize;
        let (at, coding) = Coding::find(piece.text.get(first..)?)?;
        Some((self.released + (first + at) as u64, coding))
    }

    fn open(&mut self, start: u64, coding: Coding, piece: &Piece<'_>, unit: &mut Unit) {
        let wire = match start.checked_sub(self.released) {
            Some(at) => piece.wire.at(at as usize),
            None => self.carried_at((self.released - start) as usize),
        };
        let (_, budget, scratch) = unit.parts();
        let bytes = Opened::bytes(coding);
        let lease = scratch.pool().lease(bytes).filter(|_| bytes <= self.room);
        let shallow = self.wrappers.len() < decode::DEPTH;
        match lease.filter(|_| shallow) {
            Some(lease) => {
                let room = self.room - bytes;
                let inner = Scanner::inside(self, coding.wrapper(), wire, room);
                self.opened = Some(Box::new(Opened::new(coding, start, lease, inner)));
            }
            None => budget.exhaust(),
        }
        if self.opened.is_none() {
            self.hint = None;
        }
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
        self.note_multipart(text);
        let goes_on = self
            .stretches
            .last()
            .is_some_and(|(from, start)| start + (self.released - from) == wire);
        if !goes_on {
            self.stretches.push((self.released, wire));
        }
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
            wrappers: &self.wrappers,
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
            detector.search(text.bytes, text.from, &mut hits);
            let mut hold = if text.open && view.is_last {
                detector.unfinished(text.bytes)
            } else {
                0
            };
            let place = |index: usize| {
                let at = || view.first + text.origin(index) as isize;
                let wire = self.point.unwrap_or_else(|| match usize::try_from(at()) {
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
            Wire::Strings(strings) => {
                let after = strings.partition_point(|(from, _)| *from <= index);
                let string = strings.get(after.saturating_sub(1));
                return string.copied().unwrap_or_default().1;
            }
        };
        wire + (index - from) as u64
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
/// Bytes of a container inside encodings that are kept until it is whole.
const KEPT: usize = 64 * 1024;
