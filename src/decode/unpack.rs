//! Containers in a text: what must be read from its first byte on.

use std::{io::Write, ops::Range};

use super::{
    brotli::{self, Brotli},
    coding::{Coding, Progress},
    inflate::{self, Frame, Inflate},
    json, magic, multipart, protobuf,
    skim::{Kind, Skim},
    text::{Layer, Origin, Text},
    utf16,
    walk::{BATCH, Rest, Unfinished, Walk, goes_on, is_cut},
    xor,
    zip::{self, Entry},
    zstd::Zstd,
};
use crate::event::Wrapper;

/// Something that gives decoded bytes when asked.
trait Source {
    /// Appends at most `most` bytes.
    fn pull(&mut self, out: &mut Vec<u8>, most: usize) -> Progress;
    /// How many encoded bytes it has taken.
    fn taken(&self) -> usize;
}

impl Walk<'_> {
    /// Shows what is in the containers of a text.
    pub(super) fn containers(&mut self, text: &Text<'_>, skim: &Skim, depth: usize) -> Rest {
        let whole = !text.cut || text.reopened;
        let first = if whole {
            0
        } else {
            text.from.saturating_sub(NEAR)
        };
        if text.is_window()
            && let Some(coding) = self.hint.take()
            && self.is_hinted(text, coding, depth)
        {
            return Rest::default();
        }
        let mut rest = self.marked(text, first, depth);
        rest = rest.max(self.utf16(text, skim, depth));
        if !text.cut && !text.open {
            for part in text.parts(SHORTEST) {
                self.unmarked(text, part, depth);
            }
        }
        rest
    }

    /// Undoes the compression that a whole text is said to have; says whether it has it.
    fn is_hinted(&mut self, text: &Text<'_>, coding: Coding, depth: usize) -> bool {
        let bytes = text.bytes;
        if magic::of(bytes).is_some() || !self.budget.charge_try() {
            return false;
        }
        let (taken, _, progress) = match coding.frame() {
            Some(frame) => self.inflated(text, 0..bytes.len(), coding.wrapper(), frame, depth),
            None if self.is_all_brotli(bytes) => self.unbrotled(text, 0..bytes.len(), depth),
            None => return false,
        };
        progress == Progress::Done && bytes.len().saturating_sub(taken) <= TRAILER
    }

    /// Whether bytes are one Brotli stream and nothing else: the beginning of text may look like one, which then breaks.
    fn is_all_brotli(&mut self, bytes: &[u8]) -> bool {
        let mut out = self.spare.take();
        let most = WINDOW.min(self.budget.left());
        let mut machine = self.spare.take_brotli(BROTLI_MEMORY);
        let (taken, progress) = machine.push(bytes, &mut out, most);
        self.spare.give_brotli(machine);
        self.spare.give(out);
        match progress {
            Progress::Done => taken == bytes.len(),
            Progress::Full => true,
            Progress::Starved | Progress::Broken => false,
        }
    }

    /// Containers that say by their first bytes what they are.
    fn marked(&mut self, text: &Text<'_>, first: usize, depth: usize) -> Rest {
        let mut rest = Rest::default();
        let mut at = first;
        let find = if self.streams && text.is_window() {
            magic::find_zstd
        } else {
            magic::find
        };
        while let Some((start, wrapper)) = find(text.bytes, at) {
            at = start.saturating_add(1);
            let end = text.end_of_part(start);
            let cut = goes_on(text, end);
            if cut && self.unfinished == Unfinished::Leave {
                rest.keep = rest.keep.max(text.bytes.len().saturating_sub(start));
                break;
            }
            let (taken, inner, progress) = self.unpack(text, start..end, wrapper, depth);
            if cut && progress == Progress::Starved {
                rest.keep = rest.keep.max(text.bytes.len().saturating_sub(start));
                if inner.hold > 0 {
                    rest.hold = rest.hold.max(text.bytes.len().saturating_sub(start));
                }
                break;
            }
            if taken > 0 {
                at = start.saturating_add(taken);
            }
        }
        rest
    }

    /// Unpacks a container; returns how many of its bytes were read, and how it ended.
    fn unpack(
        &mut self,
        text: &Text<'_>,
        range: Range<usize>,
        wrapper: Wrapper,
        depth: usize,
    ) -> (usize, Rest, Progress) {
        let nothing = (0, Rest::default(), Progress::Broken);
        let Some(encoded) = text.bytes.get(range.clone()) else {
            return nothing;
        };
        if !self.budget.charge_try() {
            return nothing;
        }
        let frame = match wrapper {
            Wrapper::Gzip => Frame::Gzip,
            Wrapper::Zlib => Frame::Zlib,
            Wrapper::Deflate => Frame::Bare,
            Wrapper::Zip => return self.zip(text, range, depth),
            Wrapper::Zstd => {
                let left = self.budget.left();
                return match Zstd::new(encoded, left) {
                    Some(mut zstd) => self.shown(text, range, wrapper, &mut zstd, depth),
                    None if encoded.len() < ZSTD_HEADER => (0, Rest::default(), Progress::Starved),
                    None => nothing,
                };
            }
            _ => return nothing,
        };
        self.inflated(text, range, wrapper, frame, depth)
    }

    fn zip(
        &mut self,
        text: &Text<'_>,
        range: Range<usize>,
        depth: usize,
    ) -> (usize, Rest, Progress) {
        let header = text.bytes.get(range.clone()).unwrap_or_default();
        match Entry::read(header) {
            Some(entry) if entry.is_deflated() => {
                self.inflated(text, range, Wrapper::Zip, Frame::Zip, depth)
            }
            Some(entry) => {
                let first = zip::HEADER.saturating_add(entry.names);
                let size = entry.stored(header.get(first..).unwrap_or_default());
                let start = range.start.saturating_add(first);
                let stored = start..start.saturating_add(size).min(range.end);
                let bytes = text.bytes.get(stored.clone()).unwrap_or_default();
                let layer = Layer::Part(Wrapper::Zip);
                let copy = &mut |out: &mut Vec<u8>| out.extend_from_slice(bytes);
                self.decoded(text, stored, layer, depth, copy);
                // What is in it may be found again by its own marks, beside it.
                (zip::HEADER, Rest::default(), Progress::Done)
            }
            None if header.len() < zip::HEADER => (0, Rest::default(), Progress::Starved),
            None => (0, Rest::default(), Progress::Broken),
        }
    }

    fn inflated(
        &mut self,
        text: &Text<'_>,
        range: Range<usize>,
        wrapper: Wrapper,
        frame: Frame,
        depth: usize,
    ) -> (usize, Rest, Progress) {
        let input = text.bytes.get(range.clone()).unwrap_or_default();
        let mut machine = self.spare.take_inflate(frame);
        let mut source = Inflating {
            machine: &mut machine,
            input,
            at: 0,
        };
        let shown = self.shown(text, range, wrapper, &mut source, depth);
        self.spare.give_inflate(machine);
        shown
    }

    fn unbrotled(
        &mut self,
        text: &Text<'_>,
        range: Range<usize>,
        depth: usize,
    ) -> (usize, Rest, Progress) {
        let mut source = Unbrotling {
            machine: self.spare.take_brotli(BROTLI_MEMORY),
            input: text.bytes.get(range.clone()).unwrap_or_default(),
            at: 0,
        };
        let shown = self.shown(text, range, Wrapper::Brotli, &mut source, depth);
        self.spare.give_brotli(source.machine);
        shown
    }

    /// Walks what a source gives, window by window.
    fn shown(
        &mut self,
        outer: &Text<'_>,
        range: Range<usize>,
        wrapper: Wrapper,
        source: &mut dyn Source,
        depth: usize,
    ) -> (usize, Rest, Progress) {
        let encoded = outer.bytes.get(range.clone()).unwrap_or_default();
        let mut decoded = self.spare.take();
        let (mut from, mut cut, mut json, mut multipart) = (0usize, false, false, false);
        let (rest, progress) = loop {
            let before = decoded.len();
            let most = WINDOW.saturating_sub(before).min(self.budget.left());
            let progress = match most {
                0 => Progress::Full,
                most => source.pull(&mut decoded, most),
            };
            let fresh = decoded.len().saturating_sub(before);
            if fresh == 0 {
                if progress == Progress::Full {
                    self.budget.exhaust();
                }
                break (Rest::default(), progress);
            }
            let paid = self.budget.charge(fresh);
            if !cut {
                json = json::is_document(&decoded);
                multipart = multipart::is_multipart(&decoded);
            }
            let open = match progress {
                Progress::Full => true,
                Progress::Starved => goes_on(outer, range.end),
                Progress::Done | Progress::Broken => false,
            };
            let text = Text {
                bytes: &decoded,
                from,
                cut,
                open,
                more: progress == Progress::Full,
                json,
                multipart,
                reopened: false,
                origin: Origin::Decoded {
                    outer,
                    start: range.start,
                    encoded,
                    layer: Layer::Container(wrapper),
                },
            };
            let rest = self.text(&text, depth);
            if progress != Progress::Full || !paid {
                break (rest, progress);
            }
            if rest.keep > 0 {
                // A container inside that is larger than a window.
                self.budget.exhaust();
            }
            decoded.drain(..decoded.len().saturating_sub(OVERLAP));
            from = decoded.len().saturating_sub(NEAR);
            cut = true;
        };
        self.spare.give(decoded);
        (source.taken(), rest, progress)
    }

    /// UTF-16 of either byte order.
    fn utf16(&mut self, text: &Text<'_>, skim: &Skim, depth: usize) -> Rest {
        let mut rest = Rest::default();
        if skim.next(Kind::Wide, text.from).is_none() {
            return rest;
        }
        let mut runs = self.spare.take_runs();
        for run in utf16::runs(text.bytes, text.from, skim) {
            let encoded = text.bytes.get(run.clone()).unwrap_or_default();
            let own = utf16::first(encoded);
            // The first or the last character may be a neighbour's, and the other byte order meant.
            for first in [own, 1usize.saturating_sub(own)] {
                let layer = Layer::Utf16 { first };
                let mut decode = |out: &mut Vec<u8>| utf16::decode(encoded, first, out);
                if is_cut(text, run.start) || goes_on(text, run.end) {
                    rest = rest.max(self.decoded(text, run.clone(), layer, depth, &mut decode));
                } else {
                    runs.add(&run, layer, encoded.len() / 2, self.budget, decode);
                }
            }
            if runs.len() >= BATCH {
                self.batch(text, &mut runs, depth);
            }
        }
        self.batch(text, &mut runs, depth);
        self.spare.give_runs(runs);
        rest
    }

    /// What says by no mark what it is, in a part that stands for itself: tried in the order of how sure it can be.
    fn unmarked(&mut self, text: &Text<'_>, part: Range<usize>, depth: usize) {
        let bytes = text.bytes.get(part.clone()).unwrap_or_default();
        if bytes.len() < SHORTEST || magic::of(bytes).is_some() {
            return;
        }
        if protobuf::is_text(bytes) {
            self.xored(text, part, depth);
            return;
        }
        let inner = protobuf::in_grpc(bytes).unwrap_or(0..bytes.len());
        let message = bytes.get(inner.clone()).unwrap_or_default();
        let mut values = self.spare.take_fields();
        let is_message = protobuf::parse(message, &mut values).is_some();
        if is_message {
            let start = part.start.saturating_add(inner.start);
            self.fields(text, start, &values, depth);
        }
        self.spare.give_fields(values);
        if is_message {
            return;
        }
        if self.xored(text, part.clone(), depth) {
            return;
        }
        if bytes.len() < PACKED_SHORTEST {
            return;
        }
        let is_zlib = matches!(bytes, [method, flags, ..] if inflate::is_zlib(*method, *flags));
        let frames = [
            (is_zlib, Wrapper::Zlib, Frame::Zlib),
            (inflate::may_begin(bytes), Wrapper::Deflate, Frame::Bare),
        ];
        for (_, wrapper, frame) in frames.into_iter().filter(|(may_be, ..)| *may_be) {
            if self.is_deflate(bytes, frame) {
                self.inflated(text, part.clone(), wrapper, frame, depth);
                return;
            }
        }
        if self.budget.charge_try() && self.is_brotli(bytes) {
            self.unbrotled(text, part, depth);
        }
    }

    /// Text under a key; says whether there may be one.
    fn xored(&mut self, text: &Text<'_>, part: Range<usize>, depth: usize) -> bool {
        if self.xored {
            return false;
        }
        let bytes = text.bytes.get(part.clone()).unwrap_or_default();
        let keys = xor::keys(bytes);
        self.xored = !keys.is_empty();
        for key in keys.iter() {
            self.decoded(text, part.clone(), Layer::Xor { key }, depth, &mut |out| {
                out.extend(bytes.iter().map(|byte| byte ^ key))
            });
        }
        std::mem::take(&mut self.xored)
    }

    /// The values of a protobuf message that begins at `start` of a text.
    fn fields(&mut self, text: &Text<'_>, start: usize, values: &[protobuf::Field], depth: usize) {
        let mut runs = self.spare.take_runs();
        let mut before = None;
        for (range, value) in values {
            let range = start.saturating_add(range.start)..start.saturating_add(range.end);
            let encoded = text.bytes.get(range.clone()).unwrap_or_default();
            match value {
                protobuf::Value::Bytes => {
                    let layer = Layer::Part(Wrapper::Protobuf);
                    let copy = |out: &mut Vec<u8>| out.extend_from_slice(encoded);
                    runs.add(&range, layer, encoded.len(), self.budget, copy);
                    before = None;
                }
                protobuf::Value::Number(number) => {
                    // A vector takes all that is written to it.
                    let write = |out: &mut Vec<u8>| drop(write!(out, "{number}"));
                    let length = Layer::Number.expected(range.len());
                    runs.add(&range, Layer::Number, length, self.budget, write);
                    if let Some((first, other)) = before.replace((range.start, *number)) {
                        let both = first..range.end;
                        let length = Layer::Number.expected(both.len()).saturating_mul(2);
                        for [one, other] in protobuf::coordinates(other, *number) {
                            let write =
                                |out: &mut Vec<u8>| drop(write!(out, "{one:.7},{other:.7}"));
                            runs.add(&both, Layer::Number, length, self.budget, write);
                        }
                    }
                }
            }
            if runs.len() >= BATCH {
                self.batch(text, &mut runs, depth);
            }
        }
        self.batch(text, &mut runs, depth);
        self.spare.give_runs(runs);
    }

    /// Whether all of `bytes` is one piece of DEFLATE data that gives something to read.
    fn is_deflate(&mut self, bytes: &[u8], frame: Frame) -> bool {
        if !self.budget.charge_try() {
            return false;
        }
        let mut machine = self.spare.take_inflate(frame);
        let mut out = self.spare.take();
        let (taken, progress) = machine.push(bytes, &mut out, PROBE);
        let is_all = progress == Progress::Done && bytes.len().saturating_sub(taken) <= TRAILER;
        let reads = is_all || progress == Progress::Full || protobuf::is_text(&out);
        let given = out.len() >= SHORTEST && progress != Progress::Broken && reads;
        self.spare.give_inflate(machine);
        self.spare.give(out);
        given
    }

    /// Whether bytes begin a Brotli stream whose first output reads like text.
    fn is_brotli(&mut self, bytes: &[u8]) -> bool {
        // A machine takes megabytes for the window at once.
        let is_noise =
            |plain: &[u8]| !protobuf::is_text(plain.get(..BROTLI_PROBE).unwrap_or(plain));
        if !brotli::may_begin(bytes) || brotli::plain_beginning(bytes).is_some_and(is_noise) {
            return false;
        }
        let mut out = self.spare.take();
        let mut machine = self.spare.take_brotli(BROTLI_MEMORY);
        let (_, progress) = machine.push(bytes, &mut out, BROTLI_PROBE);
        let reads = progress != Progress::Broken
            && out.len() >= SHORTEST
            && protobuf::is_text(&out)
            && is_varied(&out);
        self.spare.give_brotli(machine);
        self.spare.give(out);
        reads
    }
}

/// Whether a text has more in it than a few characters over and over, which random bytes decode to by chance, and without end.
fn is_varied(text: &[u8]) -> bool {
    let seen = text.iter().fold(0u128, |seen, byte| {
        seen | 1u128.wrapping_shl((byte & 0x7f).into())
    });
    seen.count_ones() > FEW
}

struct Inflating<'a> {
    machine: &'a mut Inflate,
    input: &'a [u8],
    at: usize,
}

impl Source for Inflating<'_> {
    fn pull(&mut self, out: &mut Vec<u8>, most: usize) -> Progress {
        let input = self.input.get(self.at..).unwrap_or_default();
        let (taken, progress) = self.machine.push(input, out, most);
        self.at = self.at.saturating_add(taken);
        progress
    }

    fn taken(&self) -> usize {
        self.at
    }
}

struct Unbrotling<'a> {
    machine: Brotli,
    input: &'a [u8],
    at: usize,
}

impl Source for Unbrotling<'_> {
    fn pull(&mut self, out: &mut Vec<u8>, most: usize) -> Progress {
        let input = self.input.get(self.at..).unwrap_or_default();
        let (taken, progress) = self.machine.push(input, out, most);
        self.at = self.at.saturating_add(taken);
        progress
    }

    fn taken(&self) -> usize {
        self.at
    }
}

impl Source for Zstd<'_> {
    fn pull(&mut self, out: &mut Vec<u8>, most: usize) -> Progress {
        Zstd::pull(self, out, most)
    }

    fn taken(&self) -> usize {
        Zstd::taken(self)
    }
}

/// Decoded bytes that are walked at a time.
const WINDOW: usize = 256 * 1024;
/// Decoded bytes that the next window begins with: twice the longest spelling, six characters a byte.
const OVERLAP: usize = 4096;
/// Bytes before what is new in which a mark, or an undecided match, may have begun.
const NEAR: usize = 32;
/// Bytes of the smallest part that is worth a try.
const SHORTEST: usize = 8;
/// Characters that a text with a value in it has more than.
const FEW: u32 = 4;
/// Bytes of the longest header of a zstd frame.
const ZSTD_HEADER: usize = 18;
/// Decoded bytes that show whether data is DEFLATE.
const PROBE: usize = 1024;
/// Bytes that may follow DEFLATE data in its part: a checksum.
const TRAILER: usize = 8;
/// Bytes of the smallest part that is tried as compressed: digits of an IMEI take as many.
const PACKED_SHORTEST: usize = 16;
/// Decoded bytes that show whether data is Brotli.
const BROTLI_PROBE: usize = 64;
/// What Brotli may take for the window and tables of a unit that is there as a whole.
const BROTLI_MEMORY: usize = 8 * 1024 * 1024;
