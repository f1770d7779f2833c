use std::collections::VecDeque;

use super::{
    piece::{Piece, Tail, Wire},
    scanner::Scanner,
    unit::Unit,
};
use crate::{
    decode::{Coding, Decoder, Lease, Progress},
    detect::Detector,
};

/// A compressed stream in the middle of a text, and the text that comes out of it.
pub(super) struct Opened {
    decoder: Decoder,
    /// Where it begins, as a position in the text.
    pub(super) start: u64,
    /// Position in the text up to which it was read.
    pub(super) fed: u64,
    inner: Scanner,
    /// What came out and is not released inside.
    out: Vec<u8>,
    /// How much of that was searched.
    known: usize,
    /// How much came out, from the beginning.
    decoded: u64,
    /// After which bytes of the text how much had come out.
    marks: VecDeque<Mark>,
    _lease: Lease,
}

#[derive(Clone, Copy)]
struct Mark {
    decoded: u64,
    fed: u64,
}

/// What became of a compressed stream.
pub(super) enum Outcome {
    /// It goes on; this many bytes at the end of what was read must wait.
    GoesOn { waits: usize },
    /// It is over, or was none.
    Over {
        /// Whether anything came out.
        gave: bool,
    },
}

impl Opened {
    /// A stream whose first byte is at `start` of a text.
    pub(super) fn new(coding: Coding, start: u64, lease: Lease, inner: Scanner) -> Self {
        Self {
            decoder: Decoder::new(coding, Decoder::bytes(coding)),
            start,
            fed: start,
            inner,
            out: Vec::new(),
            known: 0,
            decoded: 0,
            marks: VecDeque::from([Mark {
                decoded: 0,
                fed: start,
            }]),
            _lease: lease,
        }
    }

    /// What a stream takes of the pool.
    pub(super) fn bytes(coding: Coding) -> usize {
        Decoder::bytes(coding) + OUT
    }

    /// Reads on, and searches what comes out.
    pub(super) fn feed(
        &mut self,
        input: &[u8],
        tail: Tail,
        detector: &Detector,
        unit: &mut Unit,
    ) -> Outcome {
        let mut rest = input;
        let mut over = false;
        while !over && !rest.is_empty() {
            let slice = &rest[..rest.len().min(SLICE)];
            let before = self.decoded;
            let (taken, progress) = self.push(slice, detector, unit);
            rest = &rest[taken..];
            self.fed += taken as u64;
            if self.decoded > before {
                let (decoded, fed) = (self.decoded, self.fed);
                self.marks.push_back(Mark { decoded, fed });
            }
            over = progress != Progress::Starved;
        }
        let tail = if over { Tail::Closed } else { tail };
        let waits = self.search(tail, detector, unit);
        if over {
            let gave = self.gave();
            return Outcome::Over { gave };
        }
        Outcome::GoesOn { waits }
    }

    /// Whether anything came out.
    pub(super) fn gave(&self) -> bool {
        self.decoded > 0
    }

    /// Reads a slice to its end, unless the stream ends or breaks in it.
    fn push(&mut self, slice: &[u8], detector: &Detector, unit: &mut Unit) -> (usize, Progress) {
        let mut taken = 0;
        loop {
            let length = self.out.len();
            let most = OUT.saturating_sub(length).max(1);
            let (took, progress) = self.decoder.push(&slice[taken..], &mut self.out, most);
            taken += took;
            let fresh = self.out.len() - length;
            self.decoded += fresh as u64;
            let (_, budget, _) = unit.parts();
            if fresh > 0 && !budget.take(fresh) {
                self.out.truncate(length);
                return (taken, Progress::Broken);
            }
            if progress != Progress::Full {
                return (taken, progress);
            }
            self.search(Tail::Open, detector, unit);
            if self.out.len() >= OUT {
                self.release(self.out.len(), detector);
            }
        }
    }

    /// Searches what came out; returns how many bytes of the text wait for more.
    fn search(&mut self, tail: Tail, detector: &Detector, unit: &mut Unit) -> usize {
        let piece = Piece {
            text: &self.out,
            known: self.known,
            tail,
            wire: Wire::Stretch(0),
        };
        let hold = self.inner.scan(&piece, detector, unit).min(self.out.len());
        self.release(self.out.len() - hold, detector);
        let first = self.decoded - hold as u64;
        while let [_, second, ..] = self.marks.make_contiguous()
            && second.decoded <= first
        {
            self.marks.pop_front();
        }
        // Behind the last mark stands what gives nothing yet.
        let mark = self.marks.front().map_or(self.start, |mark| mark.fed);
        (self.fed - mark) as usize
    }

    fn release(&mut self, count: usize, detector: &Detector) {
        self.inner.absorb(&self.out[..count], 0, detector.context());
        self.out.drain(..count);
        self.known = self.out.len();
    }
}

/// Bytes of the text after which it is noted how much came out.
const SLICE: usize = 256;
/// Decoded bytes that are searched at a time.
const OUT: usize = 16 * 1024;
