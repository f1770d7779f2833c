//! Bytes on their way to the app, kept until it acknowledges them.

use super::{Pool, pool::Chunk};

/// A queue of bytes in chunks of a [`Pool`]; empty, it owns nothing.
#[derive(Default)]
pub(crate) struct Retain {
    first: Option<Box<Chunk>>,
    len: usize,
}

/// A contiguous run of retained bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    chunk: usize,
    start: usize,
    end: usize,
}

impl Place {
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }
}

impl Retain {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Room for at most `most` bytes behind the last one; `None` while the pool is empty.
    pub(crate) fn room(
        &mut self,
        most: usize,
        segment: usize,
        pool: &mut Pool,
    ) -> Option<&mut [u8]> {
        let full = self.last().is_none_or(|chunk| chunk.end == chunk.limit);
        if full {
            let mut chunk = pool.take()?;
            if segment <= chunk.limit {
                chunk.limit = chunk.limit / segment * segment;
            }
            *self.end() = Some(chunk);
        }
        let chunk = self.last()?;
        let end = chunk.limit.min(chunk.end.saturating_add(most));
        chunk.bytes.get_mut(chunk.end..end)
    }

    /// The first `n` bytes of the last [`Retain::room`] have been filled.
    pub(crate) fn fill(&mut self, n: usize) {
        if let Some(chunk) = self.last() {
            let n = n.min(chunk.limit - chunk.end);
            chunk.end += n;
            self.len += n;
        }
    }

    /// Forgets the first `n` bytes.
    pub(crate) fn consume(&mut self, n: usize, pool: &mut Pool) {
        let mut left = n.min(self.len);
        self.len -= left;
        while let Some(chunk) = &mut self.first {
            let here = left.min(chunk.end - chunk.start);
            chunk.start += here;
            left -= here;
            if chunk.start < chunk.end || (chunk.end < chunk.limit && self.len > 0) {
                break;
            }
            self.drop_first(pool);
        }
    }

    /// Gives every chunk back.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        self.len = 0;
        while self.first.is_some() {
            self.drop_first(pool);
        }
    }

    /// The longest contiguous run from `offset` on, at most `most` bytes.
    pub(crate) fn place(&self, offset: usize, most: usize) -> Place {
        let mut offset = offset;
        for (index, chunk) in self.chunks().enumerate() {
            let here = chunk.end - chunk.start;
            if offset < here {
                let start = chunk.start + offset;
                return Place {
                    chunk: index,
                    start,
                    end: chunk.end.min(start.saturating_add(most)),
                };
            }
            offset -= here;
        }
        Place::default()
    }

    /// The bytes of a place found since the last change.
    pub(crate) fn bytes(&self, place: Place) -> &[u8] {
        let chunk = self.chunks().nth(place.chunk);
        chunk
            .and_then(|chunk| chunk.bytes.get(place.start..place.end))
            .unwrap_or(&[])
    }

    fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        std::iter::successors(self.first.as_deref(), |chunk| chunk.next.as_deref())
    }

    fn last(&mut self) -> Option<&mut Chunk> {
        let mut chunk = self.first.as_deref_mut()?;
        while chunk.next.is_some() {
            chunk = chunk.next.as_deref_mut()?;
        }
        Some(chunk)
    }

    /// Where the list goes on.
    fn end(&mut self) -> &mut Option<Box<Chunk>> {
        let mut end = &mut self.first;
        while let Some(chunk) = end {
            end = &mut chunk.next;
        }
        end
    }

    fn drop_first(&mut self, pool: &mut Pool) {
        if let Some(mut chunk) = self.first.take() {
            self.first = chunk.next.take();
            pool.give(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_and_chunks_go_back() {
        let mut pool = Pool::new(4 * Pool::CHUNK);
        let mut retain = Retain::default();
        let sent: Vec<u8> = (0..150_000u32).map(|n| (n % 251) as u8).collect();
        let (mut filled, mut read) = (0, Vec::new());
        while read.len() < sent.len() {
            if let Some(room) = retain.room(7_000, 1_448, &mut pool) {
                let n = room.len().min(sent.len() - filled);
                room[..n].copy_from_slice(&sent[filled..filled + n]);
                retain.fill(n);
                filled += n;
            }
            let place = retain.place(0, 1_448);
            assert!(place.len() == 1_448 || filled == sent.len() || retain.len() < 1_448);
            read.extend_from_slice(retain.bytes(place));
            retain.consume(place.len(), &mut pool);
        }
        assert_eq!(read, sent);
        assert!(retain.first.is_none(), "an idle flow owns no chunk");
        assert_eq!(std::iter::from_fn(|| pool.take()).count(), 4);
    }

    #[test]
    fn an_offset_past_the_first_chunk_is_found() {
        let mut pool = Pool::new(4 * Pool::CHUNK);
        let mut retain = Retain::default();
        for value in 0..3u8 {
            retain
                .room(usize::MAX, Pool::CHUNK, &mut pool)
                .unwrap()
                .fill(value);
            retain.fill(Pool::CHUNK);
        }
        assert_eq!(
            retain.bytes(retain.place(Pool::CHUNK * 2 + 5, 3)),
            [2, 2, 2]
        );
        assert_eq!(retain.place(Pool::CHUNK * 3, 3).len(), 0);
    }
}
