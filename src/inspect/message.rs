use std::ops::Range;

use super::{
    piece::{Piece, Tail, Wire},
    scanner::Scanner,
    unit::Unit,
};
use crate::{
    decode::Coding,
    detect::Detector,
    event::{Place, Wrapper},
    sniff::{Event, Http1, Part},
};

/// An HTTP/1 request on its way.
///
/// One reader runs ahead to see where the message ends; another stands where the unreleased bytes begin, so that what
/// is held can be read as often as it must be judged.
pub(super) struct Message {
    /// Where the message begins, in bytes from the start of the stream.
    pub(super) start: u64,
    /// Whether the message is no longer held whole.
    pub(super) streams: bool,
    /// Whether its names were judged.
    pub(super) named: bool,
    /// Whether a head that waits for `100 Continue` went.
    pub(super) continued: bool,
    ahead: Http1,
    ahead_at: u64,
    head_end: Option<u64>,
    reader: Http1,
    section: Option<Part>,
    scanner: Scanner,
    /// The scanner of a part of which nothing was released yet, and where that begins.
    next: Option<(Part, u64, Scanner)>,
    /// The last bytes of a chunked body that were released, framing and all.
    trail: Vec<u8>,
}

/// How far the reader ahead came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// To the end of the bytes.
    More,
    /// To the message's end, this many bytes from the front.
    End(usize),
    /// To where it is no HTTP, this many bytes from the front.
    Broken(usize),
}

impl Message {
    pub(super) fn new(start: u64) -> Self {
        Self {
            start,
            streams: false,
            named: false,
            continued: false,
            ahead: Http1::default(),
            ahead_at: start,
            head_end: None,
            reader: Http1::default(),
            section: None,
            scanner: Scanner::new(Place::Path, &[], start),
            next: None,
            trail: Vec::new(),
        }
    }

    /// Reads on to the end of `bytes`, which begin at `base` of the stream.
    pub(super) fn look_ahead(&mut self, bytes: &[u8], base: u64) -> Progress {
        let mut at = (self.ahead_at - base) as usize;
        let progress = loop {
            match self.ahead.next(&bytes[at..]) {
                Event::Piece(_, take) => at += take,
                Event::HeadEnd => self.head_end = Some(base + at as u64),
                Event::End => break Progress::End(at),
                Event::More => break Progress::More,
                Event::Broken => break Progress::Broken(at),
            }
        };
        self.ahead_at = base + at as u64;
        progress
    }

    /// Whether WebSocket is to follow it.
    pub(super) fn upgrades(&self) -> bool {
        self.ahead.head().upgrades
    }

    /// Whether it is no message but the beginning of HTTP/2.
    pub(super) fn is_preface(&self) -> bool {
        self.ahead.is_preface()
    }

    /// The names in the head, once it is whole.
    pub(super) fn names(&self) -> Option<&[String]> {
        self.head_end.map(|_| self.ahead.head().names.as_slice())
    }

    /// Where the head ends if the client waits there for `100 Continue`.
    pub(super) fn waits_at(&self) -> Option<u64> {
        self.head_end.filter(|_| self.ahead.head().expects)
    }

    /// The last bytes that were released, where a value may begin that goes on after broken framing.
    pub(super) fn carried(&self) -> &[u8] {
        if self.trail.is_empty() {
            self.scanner.carried()
        } else {
            &self.trail
        }
    }

    /// Searches `bytes`, which begin at `base` and of which `known` were searched before; returns how many at the end
    /// must wait.
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        base: u64,
        known: usize,
        tail: Tail,
        detector: &Detector,
        unit: &mut Unit,
    ) -> usize {
        let coding = self.coding();
        let mut next = self.next.take();
        let mut scan = Scan {
            bytes,
            base,
            known,
            detector,
            unit,
            body: self.head_end,
        };
        let mut reader = self.reader.clone();
        let mut scanner = Some(&mut self.scanner).filter(|_| self.section.is_some());
        let mut fresh = None;
        let mut group: Option<Group> = self.section.map(Group::new);
        let mut frame = 0..0;
        let mut at = 0;
        loop {
            let (part, take) = match reader.next(&bytes[at..]) {
                Event::Piece(part, take) => (part, take),
                Event::HeadEnd => continue,
                Event::End | Event::More | Event::Broken => break,
            };
            let range = at..at + take;
            at = range.end;
            if part == Part::Frame {
                if frame.end != range.start {
                    scan.aside(std::mem::replace(&mut frame, range));
                } else {
                    frame.end = range.end;
                }
                continue;
            }
            if group.as_ref().is_none_or(|group| group.part != part) {
                if let (Some(group), Some(scanner)) =
                    (group.take(), scanner.take().or(fresh.as_mut().map(third)))
                {
                    scan.group(&group, scanner, Tail::Closed);
                }
                scanner = None;
                let start = base + range.start as u64;
                let known = |(of, from, _): &(Part, u64, Scanner)| (*of, *from) == (part, start);
                fresh = next.take().filter(known).or_else(|| {
                    let scanner = scanner_for(part, start, self.head_end, coding);
                    Some((part, start, scanner))
                });
            }
            group
                .get_or_insert_with(|| Group::new(part))
                .push(range, bytes);
        }
        scan.aside(frame);
        let goes_on = scanner.is_none();
        let hold = match (group, scanner.or(fresh.as_mut().map(third))) {
            (Some(group), Some(scanner)) => scan.group(&group, scanner, tail),
            _ => 0,
        };
        self.next = fresh.filter(|_| goes_on);
        hold
    }

    /// What the body is said to be compressed by.
    fn coding(&self) -> Option<Coding> {
        Coding::named(self.ahead.head().coding.as_deref()?)
    }

    /// Takes note that `bytes`, which begin at `base`, were released.
    pub(super) fn advance(&mut self, bytes: &[u8], base: u64, context: usize) {
        let mut at = 0;
        loop {
            let (part, take) = match self.reader.next(&bytes[at..]) {
                Event::Piece(part, take) => (part, take),
                Event::HeadEnd => continue,
                Event::End | Event::More | Event::Broken => return,
            };
            if matches!(part, Part::Frame | Part::Chunk | Part::Trailer) {
                let piece = &bytes[at..at + take];
                self.trail
                    .extend_from_slice(&piece[piece.len().saturating_sub(context)..]);
                self.trail.drain(..self.trail.len().saturating_sub(context));
            }
            if part != Part::Frame {
                if self.section != Some(part) {
                    self.section = Some(part);
                    let start = base + at as u64;
                    self.scanner = match self.next.take() {
                        Some((of, from, scanner)) if (of, from) == (part, start) => scanner,
                        next => {
                            self.next = next;
                            scanner_for(part, start, self.head_end, self.coding())
                        }
                    };
                }
                self.scanner
                    .absorb(&bytes[at..at + take], base + at as u64, context);
            }
            at += take;
        }
    }
}

/// Where a part is said to be found; offsets count from the part's first byte, of a chunked body from the head's end.
fn scanner_for(part: Part, start: u64, head_end: Option<u64>, coding: Option<Coding>) -> Scanner {
    let mut scanner = match part {
        Part::Path => Scanner::new(Place::Path, &[], start),
        Part::Query => Scanner::new(Place::Query, &[], start),
        Part::Method | Part::Header | Part::Trailer => Scanner::new(Place::Header, &[], start),
        Part::Body => Scanner::new(Place::Body, &[], start),
        Part::Chunk => Scanner::new(Place::Body, &[Wrapper::Chunked], head_end.unwrap_or(start)),
        Part::Frame => Scanner::new(Place::Body, &[], head_end.unwrap_or(start)),
    };
    scanner.expect(coding.filter(|_| matches!(part, Part::Body | Part::Chunk)));
    scanner
}

fn third((_, _, scanner): &mut (Part, u64, Scanner)) -> &mut Scanner {
    scanner
}

struct Scan<'a> {
    bytes: &'a [u8],
    base: u64,
    known: usize,
    detector: &'a Detector,
    unit: &'a mut Unit,
    body: Option<u64>,
}

impl Scan<'_> {
    fn group(&mut self, group: &Group, scanner: &mut Scanner, tail: Tail) -> usize {
        let base = self.base;
        let stretches: Vec<(usize, u64)>;
        let (text, wire): (&[u8], Wire<'_>) = if group.copy.is_empty() {
            (
                &self.bytes[group.range.clone()],
                Wire::Stretch(base + group.range.start as u64),
            )
        } else {
            stretches = group
                .stretches
                .iter()
                .map(|(text, wire)| (*text, base + *wire as u64))
                .collect();
            (&group.copy, Wire::Stretches(&stretches))
        };
        let known = group.texts_before(self.known).min(text.len());
        let hold = scanner.scan(
            &Piece {
                text,
                known,
                tail,
                wire,
            },
            self.detector,
            self.unit,
        );
        match hold {
            0 => 0,
            hold => self.bytes.len() - group.wire_at(text.len().saturating_sub(hold)),
        }
    }

    /// Searches framing for itself: it is not part of the text around it.
    fn aside(&mut self, frame: Range<usize>) {
        if frame.is_empty() || frame.end <= self.known {
            return;
        }
        let start = self.base + frame.start as u64;
        let mut scanner = scanner_for(Part::Frame, start, self.body, None);
        let piece = Piece {
            text: &self.bytes[frame],
            known: 0,
            tail: Tail::Closed,
            wire: Wire::Stretch(start),
        };
        scanner.scan(&piece, self.detector, self.unit);
    }
}

/// Bytes of one part, copied together only where framing stands between them.
struct Group {
    part: Part,
    range: Range<usize>,
    copy: Vec<u8>,
    stretches: Vec<(usize, usize)>,
}

impl Group {
    fn new(part: Part) -> Self {
        Self {
            part,
            range: 0..0,
            copy: Vec::new(),
            stretches: Vec::new(),
        }
    }

    fn push(&mut self, range: Range<usize>, bytes: &[u8]) {
        if self.range.is_empty() && self.copy.is_empty() {
            self.range = range;
            return;
        }
        if self.copy.is_empty() {
            if self.range.end == range.start {
                self.range.end = range.end;
                return;
            }
            self.stretches.push((0, self.range.start));
            self.copy.extend_from_slice(&bytes[self.range.clone()]);
        }
        self.stretches.push((self.copy.len(), range.start));
        self.copy.extend_from_slice(&bytes[range]);
    }

    /// Where byte `index` of the text is in the bytes.
    fn wire_at(&self, index: usize) -> usize {
        let after = self.stretches.partition_point(|(start, _)| *start <= index);
        match after.checked_sub(1).and_then(|at| self.stretches.get(at)) {
            Some((start, wire)) => wire + (index - start),
            None => self.range.start + index,
        }
    }

    /// How many bytes of the text stand before `wire` in the bytes, or more than there are.
    fn texts_before(&self, wire: usize) -> usize {
        let after = self.stretches.partition_point(|(_, start)| *start <= wire);
        match (after.checked_sub(1), self.stretches.is_empty()) {
            (_, true) => wire.saturating_sub(self.range.start),
            (None, false) => 0,
            (Some(at), false) => {
                let (text, start) = self.stretches[at];
                let next = self
                    .stretches
                    .get(after)
                    .map_or(self.copy.len(), |(text, _)| *text);
                next.min(text + (wire - start))
            }
        }
    }
}
