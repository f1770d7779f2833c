//! Brotli (RFC 7932) as it comes.

mod header;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use brotli_decompressor::{
    Allocator, BrotliDecompressStream, BrotliResult, BrotliState, HuffmanCode, SliceWrapper,
    SliceWrapperMut,
};

use super::coding::Progress;

pub(super) use header::{may_begin, plain_beginning};

/// A push machine whose memory is bounded: a stream that needs more is broken to it.
pub(super) struct Brotli {
    state: BrotliState<Cells<u8>, Cells<u32>, Cells<HuffmanCode>>,
    memory: Memory,
    total: usize,
    over: Option<Progress>,
}

impl Brotli {
    /// A machine that takes at most `most` bytes for its window and tables.
    pub(super) fn new(most: usize) -> Self {
        Self::within(Memory::default(), most)
    }

    /// As [`Self::new`], with memory that another machine left.
    pub(super) fn within(memory: Memory, most: usize) -> Self {
        memory.left.store(most, Ordering::Relaxed);
        let Memory {
            bytes,
            words,
            codes,
            ..
        } = memory.clone();
        Self {
            state: BrotliState::new_strict(bytes, words, codes),
            memory,
            total: 0,
            over: None,
        }
    }

    /// Ends the machine, and leaves its memory to another one.
    pub(super) fn into_memory(self) -> Memory {
        let Self { state, memory, .. } = self;
        drop(state);
        memory
    }

    /// As [`Inflate::push`](super::inflate::Inflate::push).
    pub(super) fn push(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        most: usize,
    ) -> (usize, Progress) {
        if let Some(over) = self.over {
            return (0, over);
        }
        let (mut left, mut taken, first) = (input.len(), 0usize, out.len());
        loop {
            let length = out.len();
            let room = most.saturating_sub(length.saturating_sub(first)).min(PIECE);
            if room == 0 {
                return (taken, Progress::Full);
            }
            out.resize(length.saturating_add(room), 0);
            let (mut free, mut written) = (room, 0usize);
            let result = BrotliDecompressStream(
                &mut left,
                &mut taken,
                input,
                &mut free,
                &mut written,
                out.get_mut(length..).unwrap_or_default(),
                &mut self.total,
                &mut self.state,
            );
            out.truncate(length.saturating_add(written.min(room)));
            match result {
                // It asks for input although there was no room for all that it had.
                BrotliResult::NeedsMoreInput if free == 0 => {}
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::NeedsMoreInput => return (taken, Progress::Starved),
                BrotliResult::ResultSuccess => {
                    self.over = Some(Progress::Done);
                    return (taken, Progress::Done);
                }
                BrotliResult::ResultFailure => {
                    self.over = Some(Progress::Broken);
                    return (taken, Progress::Broken);
                }
            }
        }
    }
}

/// What a machine may take, and what another one took and can be taken again without asking the allocator.
#[derive(Clone)]
pub(super) struct Memory {
    left: Arc<AtomicUsize>,
    bytes: Cells<u8>,
    words: Cells<u32>,
    codes: Cells<HuffmanCode>,
}

impl Default for Memory {
    fn default() -> Self {
        let left = Arc::default();
        Self {
            bytes: Cells::new(&left),
            words: Cells::new(&left),
            codes: Cells::new(&left),
            left,
        }
    }
}

/// Gives out no more memory than is left: the decoder then says that it failed.
#[derive(Clone)]
struct Cells<T> {
    left: Arc<AtomicUsize>,
    spare: Arc<Mutex<Vec<Cell<T>>>>,
}

#[derive(Default)]
struct Cell<T>(Vec<T>);

impl<T> Cells<T> {
    fn new(left: &Arc<AtomicUsize>) -> Self {
        Self {
            left: Arc::clone(left),
            spare: Arc::default(),
        }
    }

    /// The smallest spare cell that is large enough.
    fn take_spare(&self, len: usize) -> Option<Cell<T>> {
        let mut spare = self.spare.lock().ok()?;
        let sizes = spare.iter().map(|cell| cell.0.capacity()).enumerate();
        let (place, _) = sizes
            .filter(|(_, size)| *size >= len)
            .min_by_key(|(_, size)| *size)?;
        Some(spare.swap_remove(place))
    }
}

impl<T: Clone + Default> Allocator<T> for Cells<T> {
    type AllocatedMemory = Cell<T>;

    fn alloc_cell(&mut self, len: usize) -> Cell<T> {
        let take = |left: usize| left.checked_sub(len.checked_mul(size_of::<T>())?);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        if taken.is_err() || len == 0 {
            return Cell::default();
        }
        let mut cell = self.take_spare(len).unwrap_or_default();
        cell.0.clear();
        cell.0.resize(len, T::default());
        cell
    }

    fn free_cell(&mut self, cell: Cell<T>) {
        let bytes = size_of_val(cell.slice());
        self.left.fetch_add(bytes, Ordering::Relaxed);
        if let Ok(mut spare) = self.spare.lock()
            && (1..=MOST_SPARE_BYTES).contains(&bytes)
            && spare.len() < MOST_SPARE
        {
            spare.push(cell);
        }
    }
}

impl<T> SliceWrapper<T> for Cell<T> {
    fn slice(&self) -> &[T] {
        &self.0
    }
}

impl<T> SliceWrapperMut<T> for Cell<T> {
    fn slice_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

/// Cells of one type that are kept for the next machine.
const MOST_SPARE: usize = 8;
/// Bytes of the largest of them.
const MOST_SPARE_BYTES: usize = 64 * 1024;
/// Output that is made room for at a time.
const PIECE: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_no_more_memory_than_it_may_and_leaves_it_to_the_next() {
        let block = (0b1011u64 | (25 << 3 | 1 << 19) << 4).to_le_bytes();
        let stream = [&block[..3], b"abcdefghijklmnopqrstuvwxyz\x03"].concat();
        let mut memory = Memory::default();
        for (most, expected) in [(16, Progress::Broken), (8 << 20, Progress::Done)] {
            for _ in 0..3 {
                let mut machine = Brotli::within(memory, most);
                let (_, progress) = machine.push(&stream, &mut Vec::new(), 100);
                assert_eq!(progress, expected, "{most}");
                memory = machine.into_memory();
                assert_eq!(memory.left.load(Ordering::Relaxed), most);
            }
        }
    }
}
