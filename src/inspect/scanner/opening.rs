//! Compressed streams that begin in the text itself, which are undone as they come.

use super::Scanner;
use crate::{
    decode::{self, Coding},
    detect::Detector,
    inspect::{
        opened::{Opened, Outcome},
        piece::Piece,
        unit::Unit,
    },
};

impl Scanner {
    /// Undoes compression that begins in the text itself as it comes; returns how many bytes at the end must wait.
    pub(super) fn unpack(
        &mut self,
        piece: &Piece<'_>,
        detector: &Detector,
        unit: &mut Unit,
    ) -> usize {
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
        let lease = scratch.pool().lease(bytes).filter(|_| bytes <= self.room());
        let shallow = self.wrappers().len() < decode::DEPTH;
        match lease.filter(|_| shallow) {
            Some(lease) => {
                let room = self.room() - bytes;
                let inner = Scanner::inside(self, coding.wrapper(), wire, room);
                self.opened = Some(Box::new(Opened::new(coding, start, lease, inner)));
            }
            None => budget.exhaust(),
        }
        if self.opened.is_none() {
            self.hint = None;
        }
    }
}
