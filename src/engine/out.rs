//! A flow's bytes on their way to its socket.

use std::io::IoSlice;

use super::slots::{RefList, Refs, Slot};

/// Accepted bytes in order: a contiguous buffer (released ones first, then held ones), then runs still in their slots.
///
/// Runs exist only while nothing is held: bytes behind a held byte are held too, and copied behind it.
#[derive(Default)]
pub(super) struct Out {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were sent.
    head: usize,
    /// End of the bytes of `buffer` that may go.
    clear: usize,
    pub(super) refs: RefList,
}

impl Out {
    /// Accepted and not sent.
    pub(super) fn len(&self) -> usize {
        self.buffer.len() - self.head + self.refs.bytes
    }

    /// May be sent now.
    pub(super) fn sendable(&self) -> usize {
        self.clear - self.head + self.refs.bytes
    }

    /// Accepted and not released, contiguous.
    pub(super) fn held(&self) -> &[u8] {
        self.buffer.get(self.clear..).unwrap_or(&[])
    }

    /// Copies `bytes` behind what is held, not released yet.
    pub(super) fn hold(&mut self, bytes: &[u8], spare: &mut Spare) {
        if self.buffer.capacity() == 0 {
            self.buffer = spare.take();
        }
        if self.head > 0 && self.buffer.len() + bytes.len() > self.buffer.capacity() {
            self.buffer.drain(..self.head);
            self.clear -= self.head;
            self.head = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Lets the first `n` held bytes go.
    pub(super) fn release(&mut self, n: usize) {
        self.clear = (self.clear + n).min(self.buffer.len());
    }

    /// Copies the runs out of their slots: the only copy from now on.
    pub(super) fn settle(&mut self, refs: &Refs, slots: &[Slot], spare: &mut Spare) {
        if self.refs.bytes == 0 {
            return;
        }
        let list = std::mem::take(&mut self.refs);
        for run in refs.iter(&list, slots) {
            self.hold(run, spare);
        }
        self.clear = self.buffer.len();
    }

    /// Puts what may be sent into `parts`; returns how many parts and bytes that is.
    pub(super) fn parts<'a>(
        &'a self,
        refs: &'a Refs,
        slots: &'a [Slot],
        parts: &mut [IoSlice<'a>],
    ) -> (usize, usize) {
        let first = self.buffer.get(self.head..self.clear).unwrap_or(&[]);
        let runs = std::iter::once(first)
            .filter(|run| !run.is_empty())
            .chain(refs.iter(&self.refs, slots));
        let (mut count, mut bytes) = (0, 0);
        for (part, run) in parts.iter_mut().zip(runs) {
            *part = IoSlice::new(run);
            count += 1;
            bytes += run.len();
        }
        (count, bytes)
    }

    /// The first `n` sendable bytes were sent.
    pub(super) fn sent(&mut self, n: usize, refs: &mut Refs, spare: &mut Spare) {
        let here = n.min(self.clear - self.head);
        self.head += here;
        refs.consume(&mut self.refs, n - here);
        if self.head == self.buffer.len() {
            spare.give(std::mem::take(&mut self.buffer));
            self.head = 0;
            self.clear = 0;
        }
    }

    /// Gives back memory beyond what is needed.
    pub(super) fn shrink(&mut self) {
        self.buffer.shrink_to_fit();
    }

    /// Forgets everything.
    pub(super) fn discard(&mut self, spare: &mut Spare) {
        spare.give(std::mem::take(&mut self.buffer));
        *self = Self::default();
    }
}

/// Buffers that flows have given back.
#[derive(Default)]
pub(super) struct Spare {
    buffers: Vec<Vec<u8>>,
}

impl Spare {
    /// Buffers kept at most.
    const MOST: usize = 16;
    /// Larger ones are not kept.
    const MOST_BYTES: usize = 512 * 1024;

    /// Bytes of the buffers kept.
    pub(super) fn bytes(&self) -> usize {
        self.buffers.iter().map(Vec::capacity).sum()
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    pub(super) fn give(&mut self, mut buffer: Vec<u8>) {
        let fits = buffer.capacity() > 0 && buffer.capacity() <= Self::MOST_BYTES;
        if fits && self.buffers.len() < Self::MOST {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Span;

    fn sendable(out: &Out, refs: &Refs, slots: &[Slot]) -> Vec<u8> {
        let mut parts = [IoSlice::new(&[]); 8];
        let (count, bytes) = out.parts(refs, slots, &mut parts);
        let sent: Vec<u8> = parts[..count]
            .iter()
            .flat_map(|part| part.iter().copied())
            .collect();
        assert_eq!(sent.len(), bytes);
        sent
    }

    #[test]
    fn held_bytes_stay_and_order_is_kept_across_buffer_and_slots() {
        let mut slots = super::super::slots::arena(1_500);
        slots[0].bytes[..6].copy_from_slice(b"slot-0");
        let (mut refs, mut spare, mut out) = (Refs::default(), Spare::default(), Out::default());
        out.hold(b"abcdef", &mut spare);
        out.release(2);
        assert_eq!(
            (sendable(&out, &refs, &slots).as_slice(), out.held()),
            (&b"ab"[..], &b"cdef"[..])
        );
        out.release(4);
        refs.push(&mut out.refs, 0, Span { start: 0, end: 6 });
        assert_eq!(sendable(&out, &refs, &slots), b"abcdefslot-0");
        out.sent(8, &mut refs, &mut spare);
        assert_eq!(sendable(&out, &refs, &slots), b"ot-0");
        out.settle(&refs, &slots, &mut spare);
        slots[0].bytes.fill(0);
        assert_eq!(
            (sendable(&out, &refs, &slots).as_slice(), out.len()),
            (&b"ot-0"[..], 4)
        );
        out.hold(b"held", &mut spare);
        assert_eq!((out.sendable(), out.len()), (4, 8));
        out.sent(4, &mut refs, &mut spare);
        assert_eq!((out.sendable(), out.held()), (0, &b"held"[..]));
        out.release(4);
        out.sent(4, &mut refs, &mut spare);
        assert_eq!((out.len(), spare.buffers.len()), (0, 1));
    }
}
