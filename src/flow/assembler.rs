//! Segments that came before their turn.

use super::before;

/// Bytes beyond a gap, in order, without overlap; the first to arrive wins.
#[derive(Default)]
pub(crate) struct Assembler {
    parts: Vec<Part>,
    bytes: usize,
}

struct Part {
    seq: u32,
    bytes: Vec<u8>,
}

impl Part {
    fn end(&self) -> u32 {
        self.seq.wrapping_add(self.bytes.len() as u32)
    }
}

impl Assembler {
    /// Bytes kept at most for one flow; what does not fit is left to the sender's retransmission.
    const MOST_BYTES: usize = 512 * 1024;
    /// Parts kept at most.
    const MOST_PARTS: usize = 512;

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Sequence number of the first byte kept.
    pub(crate) fn first(&self) -> Option<u32> {
        self.parts.first().map(|part| part.seq)
    }

    /// Whether `len` more bytes would be kept, at whatever place.
    pub(crate) fn has_room(&self, len: usize) -> bool {
        // One insertion may fill every hole between parts.
        self.bytes + len <= Self::MOST_BYTES && 2 * self.parts.len() < Self::MOST_PARTS
    }

    /// Bytes of memory, bookkeeping included.
    pub(crate) fn weight(&self) -> usize {
        self.bytes + self.parts.len() * size_of::<Part>()
    }

    /// Keeps the bytes at `seq` that are not there yet.
    pub(crate) fn insert(&mut self, seq: u32, bytes: &[u8]) {
        let (mut seq, mut bytes) = (seq, bytes);
        let mut index = 0;
        while !bytes.is_empty() {
            // Skip the parts that end at or before `seq`.
            while self
                .parts
                .get(index)
                .is_some_and(|part| !before(seq, part.end()))
            {
                index += 1;
            }
            let gap = match self.parts.get(index) {
                Some(part) if before(seq, part.seq) => part.seq.wrapping_sub(seq) as usize,
                Some(part) => {
                    let known = (part.end().wrapping_sub(seq) as usize).min(bytes.len());
                    seq = seq.wrapping_add(known as u32);
                    bytes = &bytes[known..];
                    continue;
                }
                None => bytes.len(),
            };
            let new = gap.min(bytes.len());
            if self.bytes + new > Self::MOST_BYTES || self.parts.len() >= Self::MOST_PARTS {
                return;
            }
            self.bytes += new;
            self.parts.insert(
                index,
                Part {
                    seq,
                    bytes: bytes[..new].to_vec(),
                },
            );
            seq = seq.wrapping_add(new as u32);
            bytes = &bytes[new..];
        }
    }

    /// Takes out the bytes that begin at or before `next`, less what lies before it.
    pub(crate) fn take(&mut self, next: u32) -> Option<Vec<u8>> {
        while let Some(first) = self.parts.first() {
            if before(next, first.seq) {
                return None;
            }
            let mut part = self.parts.remove(0);
            self.bytes -= part.bytes.len();
            if before(next, part.end()) {
                part.bytes.drain(..next.wrapping_sub(part.seq) as usize);
                return Some(part.bytes);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the order and overlap, what comes out is what the first arrivals said.
        #[test]
        fn the_first_byte_to_arrive_wins(
            pieces in proptest::collection::vec((0u32..200, 1usize..60, any::<u8>()), 1..40),
            base in any::<u32>(),
        ) {
            let mut model = vec![None; 300];
            let mut assembler = Assembler::default();
            for (at, len, value) in pieces {
                assembler.insert(base.wrapping_add(at), &vec![value; len]);
                for slot in &mut model[at as usize..at as usize + len] {
                    slot.get_or_insert(value);
                }
            }
            let mut next = 0;
            while next < model.len() {
                match assembler.take(base.wrapping_add(next as u32)) {
                    Some(bytes) => {
                        for byte in bytes {
                            prop_assert_eq!(model[next], Some(byte));
                            next += 1;
                        }
                    }
                    None => {
                        prop_assert_eq!(model[next], None);
                        next += 1;
                    }
                }
            }
            prop_assert!(assembler.is_empty() && assembler.bytes == 0);
        }

        #[test]
        fn memory_is_bounded(seqs in proptest::collection::vec(any::<u32>(), 600)) {
            let mut assembler = Assembler::default();
            for seq in seqs {
                assembler.insert(seq, &[0; 1_400]);
            }
            prop_assert!(assembler.parts.len() <= Assembler::MOST_PARTS);
            prop_assert!(assembler.bytes <= Assembler::MOST_BYTES);
        }
    }
}
