//! Brotli (RFC 7932) as it comes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use brotli_decompressor::{
    Allocator, BrotliDecompressStream, BrotliResult, BrotliState, SliceWrapper, StandardAlloc,
};

use super::coding::Progress;

/// A push machine whose memory is bounded: a stream that needs more is broken to it.
pub(super) struct Brotli {
    state: BrotliState<Bounded, Bounded, Bounded>,
    total: usize,
    over: Option<Progress>,
}

impl Brotli {
    /// A machine that takes at most `memory` bytes for its window and tables.
    pub(super) fn new(memory: usize) -> Self {
        let bounded = Bounded {
            left: Arc::new(AtomicUsize::new(memory)),
        };
        Self {
            state: BrotliState::new_strict(bounded.clone(), bounded.clone(), bounded),
            total: 0,
            over: None,
        }
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

/// Gives out no more memory than is left: the decoder then says that it failed.
#[derive(Clone)]
struct Bounded {
    left: Arc<AtomicUsize>,
}

impl<T: Clone + Default> Allocator<T> for Bounded {
    type AllocatedMemory = <StandardAlloc as Allocator<T>>::AllocatedMemory;

    fn alloc_cell(&mut self, len: usize) -> Self::AllocatedMemory {
        let take = |left: usize| left.checked_sub(len.checked_mul(size_of::<T>())?);
        match self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        {
            Ok(_) => StandardAlloc::default().alloc_cell(len),
            Err(_) => Self::AllocatedMemory::default(),
        }
    }

    fn free_cell(&mut self, data: Self::AllocatedMemory) {
        let bytes = size_of_val(data.slice());
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Output that is made room for at a time.
const PIECE: usize = 8 * 1024;
