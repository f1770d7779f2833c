//! Containers inside encodings that are not whole yet: they are read again from their first byte when more is there.

use super::{Scanner, View};
use crate::{
    decode::{Lease, Rest, Unfinished},
    detect::Detector,
    inspect::{
        piece::{Piece, Tail},
        unit::Unit,
    },
};

/// The beginning of a container that is encoded in the text, from which it must be read again when more is there.
pub(super) struct Kept {
    /// Where it begins, as a position in the text.
    pub(super) start: u64,
    /// Where `bytes` begin: names of values may stand in front of it.
    pub(super) from: u64,
    /// How far it was read.
    pub(super) read: u64,
    /// From where on the text waited when it was read.
    pub(super) waits: u64,
    /// Its bytes that were released, and those in front.
    pub(super) bytes: Vec<u8>,
    _lease: Lease,
}

impl Scanner {
    /// Begins to keep what a container inside encodings begins with.
    pub(super) fn keep(
        &mut self,
        rest: Rest,
        piece: &Piece<'_>,
        detector: &Detector,
        unit: &mut Unit,
    ) {
        let end = self.released + piece.text.len() as u64;
        let start = end - rest.keep as u64;
        let first = self.released - self.carry.len() as u64;
        let from = start
            .saturating_sub(detector.context() as u64)
            .max(first.min(start));
        let (_, budget, scratch) = unit.parts();
        let lease = scratch.pool().lease(KEPT).filter(|_| self.room() >= KEPT);
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
    pub(super) fn read_again(
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
}

/// Bytes of a container inside encodings that are kept until it is whole.
const KEPT: usize = 64 * 1024;
