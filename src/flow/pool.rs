//! Chunks of memory that flows share.

/// Hands out chunks of [`Pool::CHUNK`] bytes up to a total, and takes them back.
pub(crate) struct Pool {
    #[expect(clippy::vec_box, reason = "flows link chunks by these boxes")]
    free: Vec<Box<Chunk>>,
    out: usize,
    most: usize,
}

/// A chunk, and what of it is in use; a flow's chunks form a list.
pub(crate) struct Chunk {
    /// [`Pool::CHUNK`] bytes.
    pub(super) bytes: Box<[u8]>,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Where filling stops: a multiple of the segment size, so that no segment is cut short at a chunk's end.
    pub(super) limit: usize,
    pub(super) next: Option<Box<Chunk>>,
}

impl Pool {
    /// Bytes of a chunk: one socket read, and room for a whole segment at the largest MTU.
    pub(crate) const CHUNK: usize = 65_536;
    /// Chunks kept ready when nobody needs them: 1 MiB.
    const SPARE: usize = 16;

    /// A pool that never has more than `bytes` out.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            free: Vec::new(),
            out: 0,
            most: Self::chunks(bytes),
        }
    }

    /// Changes the total; chunks that are out beyond it stay out until they come back.
    pub(crate) fn set_limit(&mut self, bytes: usize) {
        self.most = Self::chunks(bytes);
    }

    /// Frees the chunks that nobody needs.
    pub(crate) fn shed(&mut self) {
        self.free = Vec::new();
    }

    /// Bytes of all chunks, out or kept ready.
    pub(crate) fn bytes(&self) -> usize {
        (self.out + self.free.len()) * Self::CHUNK
    }

    fn chunks(bytes: usize) -> usize {
        (bytes / Self::CHUNK).max(1)
    }

    /// An empty chunk, whose bytes are unspecified; `None` while all are out.
    pub(crate) fn take(&mut self) -> Option<Box<Chunk>> {
        if self.out >= self.most {
            return None;
        }
        self.out += 1;
        let fresh = || {
            Box::new(Chunk {
                bytes: vec![0; Self::CHUNK].into_boxed_slice(),
                start: 0,
                end: 0,
                limit: Self::CHUNK,
                next: None,
            })
        };
        Some(self.free.pop().unwrap_or_else(fresh))
    }

    /// Takes a chunk back, without those that follow it in a list.
    pub(crate) fn give(&mut self, mut chunk: Box<Chunk>) {
        self.out -= 1;
        if self.free.len() < Self::SPARE {
            (chunk.start, chunk.end, chunk.limit) = (0, 0, Self::CHUNK);
            chunk.next = None;
            self.free.push(chunk);
        }
    }

    /// Whether [`Pool::take`] would give one.
    pub(crate) fn has_room(&self) -> bool {
        self.out < self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_hands_out_more_than_its_total() {
        let mut pool = Pool::new(3 * Pool::CHUNK);
        let mut taken: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(taken.len(), 3);
        assert!(!pool.has_room());
        pool.give(taken.pop().unwrap());
        assert!(pool.take().is_some());
        assert!(pool.take().is_none());
        pool.set_limit(Pool::CHUNK);
        taken.into_iter().for_each(|chunk| pool.give(chunk));
        assert!(!pool.has_room(), "one is out, and no more than one may be");
        pool.shed();
        assert_eq!(pool.bytes(), Pool::CHUNK);
    }
}
