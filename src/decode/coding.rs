use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{
    brotli::Brotli,
    inflate::{Frame, Inflate},
    magic,
};
use crate::event::Wrapper;

/// A compression that can be undone as its bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// gzip (RFC 1952).
    Gzip,
    /// zlib (RFC 1950), which HTTP calls `deflate`.
    Zlib,
    /// Bare DEFLATE (RFC 1951), as WebSocket messages have it (RFC 7692).
    Deflate,
    /// An entry of a zip archive, from its local header on.
    Zip,
    /// Brotli (RFC 7932).
    Brotli,
}

impl Coding {
    /// What HTTP means by a content coding (RFC 9110, 8.4.1), as far as it must be told: gzip and zlib tell it themselves.
    pub fn named(name: &str) -> Option<Coding> {
        match name {
            "br" => Some(Coding::Brotli),
            "deflate" => Some(Coding::Deflate),
            _ => None,
        }
    }

    /// The first place where data of a coding may begin that is known by its first bytes, and which.
    pub fn find(bytes: &[u8]) -> Option<(usize, Coding)> {
        let mut at = 0usize;
        loop {
            let (start, wrapper) = magic::find(bytes, at)?;
            match wrapper {
                Wrapper::Gzip => return Some((start, Coding::Gzip)),
                Wrapper::Zlib => return Some((start, Coding::Zlib)),
                Wrapper::Zip => return Some((start, Coding::Zip)),
                _ => at = start.saturating_add(1),
            }
        }
    }

    /// How many bytes [`Self::find`] looks at: with one less at the end of what there is, something may yet begin.
    pub const LOOKED_AT: usize = magic::LONGEST;

    /// How events name it.
    pub fn wrapper(self) -> Wrapper {
        match self {
            Coding::Gzip => Wrapper::Gzip,
            Coding::Zlib => Wrapper::Zlib,
            Coding::Deflate => Wrapper::Deflate,
            Coding::Zip => Wrapper::Zip,
            Coding::Brotli => Wrapper::Brotli,
        }
    }

    pub(super) fn frame(self) -> Option<Frame> {
        match self {
            Coding::Gzip => Some(Frame::Gzip),
            Coding::Zlib => Some(Frame::Zlib),
            Coding::Deflate => Some(Frame::Bare),
            Coding::Zip => Some(Frame::Zip),
            Coding::Brotli => None,
        }
    }
}

/// How a [`Decoder`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All input was taken, and more is needed.
    Starved,
    /// As much came out as was asked for.
    Full,
    /// The data is over.
    Done,
    /// This is not such data, or damaged, or its window is larger than allowed.
    Broken,
}

/// A push machine for one compressed stream, from its first byte to its last.
pub struct Decoder {
    machine: Machine,
}

enum Machine {
    Inflate(Box<Inflate>),
    Brotli(Box<Brotli>),
}

impl Decoder {
    /// A machine at the first byte of a stream. `memory` bounds what brotli takes for its window and tables, in bytes: a
    /// stream that needs more is broken. DEFLATE always takes the same.
    pub fn new(coding: Coding, memory: usize) -> Self {
        let machine = match coding.frame() {
            Some(frame) => Machine::Inflate(Box::new(Inflate::new(frame))),
            None => Machine::Brotli(Box::new(Brotli::new(memory))),
        };
        Self { machine }
    }

    /// Bytes that a machine of a stream takes, of which brotli may use all.
    pub fn bytes(coding: Coding) -> usize {
        match coding {
            Coding::Gzip | Coding::Zlib | Coding::Deflate | Coding::Zip => Inflate::BYTES,
            Coding::Brotli => 192 * 1024,
        }
    }

    /// Takes bytes from the front of `input` and appends what they decode to, at most `most` bytes. Returns how many bytes
    /// it took, and why it stopped.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>, most: usize) -> (usize, Progress) {
        match &mut self.machine {
            Machine::Inflate(inflate) => inflate.push(input, out, most),
            Machine::Brotli(brotli) => brotli.push(input, out, most),
        }
    }
}

/// Memory that decoders of streams share: what one of them holds is held by a [`Lease`].
#[derive(Clone, Debug, Default)]
pub struct Pool {
    used: Arc<AtomicUsize>,
}

/// A part of a [`Pool`], given back when dropped.
#[derive(Debug)]
pub struct Lease {
    pool: Pool,
    bytes: usize,
}

impl Pool {
    /// What all streams of a pool may hold together: 16 MiB.
    pub const TOTAL: usize = 16 * 1024 * 1024;
    /// What one flow may hold: 256 KiB.
    pub const FLOW: usize = 256 * 1024;

    /// Takes `bytes` out of the pool, if they are left.
    pub fn lease(&self, bytes: usize) -> Option<Lease> {
        let take = |used: usize| {
            let after = used.checked_add(bytes)?;
            (after <= Self::TOTAL).then_some(after)
        };
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .ok()?;
        Some(Lease {
            pool: self.clone(),
            bytes,
        })
    }

    /// Bytes that are held now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Lease {
    /// How much this is.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
