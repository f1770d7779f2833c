//! Inflates DEFLATE (RFC 1951) as it comes, bare or inside gzip (RFC 1952), zlib (RFC 1950) or an entry of a zip archive.

use flate2::{Decompress, FlushDecompress, Status};

use super::{bits::Bits, coding::Progress, zip};

/// What stands around the DEFLATE data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Gzip,
    Zlib,
    Zip,
    Bare,
}

/// A push machine: give it the bytes of a container from the first one on. Checksums are not looked at: a receiver that
/// rejects the whole has read the value all the same.
pub(super) struct Inflate {
    inner: Decompress,
    frame: Frame,
    state: State,
    /// What was collected of a part of the header that has a fixed length.
    header: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The part of the header that is always there.
    Header,
    /// The length of gzip's extra field; `flags` say what follows.
    ExtraLength {
        flags: u8,
    },
    /// Bytes of the header that say nothing more.
    Skip {
        left: usize,
        flags: u8,
    },
    /// A text of the gzip header, up to its NUL.
    Text {
        flags: u8,
    },
    Body,
    Trailer(usize),
    Done,
    Broken,
}

impl Inflate {
    /// What one machine takes: the window, and the tables.
    pub(super) const BYTES: usize = 48 * 1024;

    pub(super) fn new(frame: Frame) -> Self {
        Self {
            inner: Decompress::new(false),
            frame,
            state: State::Header,
            header: Vec::new(),
        }
    }

    /// Begins another container.
    pub(super) fn reset(&mut self, frame: Frame) {
        self.inner.reset(false);
        self.frame = frame;
        self.state = State::Header;
        self.header.clear();
    }

    /// Takes bytes from the front of `input` and appends what they give to `out`, at most `most` bytes; returns how many
    /// it took.
    pub(super) fn push(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        most: usize,
    ) -> (usize, Progress) {
        let (mut at, first) = (0usize, out.len());
        loop {
            let rest = input.get(at..).unwrap_or_default();
            let take = match self.state {
                State::Done => return (at, Progress::Done),
                State::Broken => return (at, Progress::Broken),
                State::Body => {
                    let room = most.saturating_sub(out.len().saturating_sub(first));
                    let (take, progress) = self.body(rest, out, room);
                    if let Some(progress) = progress {
                        return (at.saturating_add(take), progress);
                    }
                    take
                }
                State::Skip { left: 0, flags } => self.become_state(after(flags)),
                State::Trailer(0) => self.become_state(State::Done),
                State::Header if self.frame == Frame::Bare => self.become_state(State::Body),
                _ if rest.is_empty() => return (at, Progress::Starved),
                State::Header => self.header(rest),
                State::ExtraLength { flags } => self.extra_length(rest, flags),
                State::Skip { left, flags } => {
                    let take = left.min(rest.len());
                    let left = left.saturating_sub(take);
                    self.state = State::Skip { left, flags };
                    take
                }
                State::Text { flags } => match memchr::memchr(0, rest) {
                    Some(end) => {
                        self.state = after(flags);
                        end.saturating_add(1)
                    }
                    None => rest.len(),
                },
                State::Trailer(left) => {
                    let take = left.min(rest.len());
                    self.state = State::Trailer(left.saturating_sub(take));
                    take
                }
            };
            at = at.saturating_add(take);
        }
    }

    fn become_state(&mut self, state: State) -> usize {
        self.state = state;
        0
    }

    fn header(&mut self, rest: &[u8]) -> usize {
        let length = match self.frame {
            Frame::Gzip => 10,
            Frame::Zlib => 2,
            Frame::Zip => zip::HEADER,
            Frame::Bare => 0,
        };
        let take = self.collect(rest, length);
        if self.header.len() == length {
            self.state = match (self.frame, self.header.as_slice()) {
                (Frame::Gzip, [0x1f, 0x8b, 8, flags, ..]) if flags & 0xe0 == 0 => after(*flags),
                (Frame::Zlib, [method, flags]) if is_zlib(*method, *flags) => State::Body,
                (Frame::Zip, header) => match zip::Entry::read(header) {
                    Some(entry) if entry.is_deflated() => State::Skip {
                        left: entry.names,
                        flags: 0,
                    },
                    _ => State::Broken,
                },
                _ => State::Broken,
            };
            self.header.clear();
        }
        take
    }

    fn extra_length(&mut self, rest: &[u8], flags: u8) -> usize {
        let take = self.collect(rest, 2);
        if let [low, high] = *self.header.as_slice() {
            let left = u16::from_le_bytes([low, high]).into();
            self.state = State::Skip { left, flags };
            self.header.clear();
        }
        take
    }

    fn collect(&mut self, rest: &[u8], length: usize) -> usize {
        let missing = length.saturating_sub(self.header.len()).min(rest.len());
        self.header
            .extend_from_slice(rest.get(..missing).unwrap_or_default());
        missing
    }

    /// Inflates at most `room` bytes; no progress to tell means that the data is over.
    fn body(&mut self, rest: &[u8], out: &mut Vec<u8>, room: usize) -> (usize, Option<Progress>) {
        let (first, mut taken) = (out.len(), 0usize);
        loop {
            let length = out.len();
            let room = room.saturating_sub(length.saturating_sub(first)).min(PIECE);
            if room == 0 {
                return (taken, Some(Progress::Full));
            }
            out.resize(length.saturating_add(room), 0);
            let (in_before, out_before) = (self.inner.total_in(), self.inner.total_out());
            let status = self.inner.decompress(
                rest.get(taken..).unwrap_or_default(),
                out.get_mut(length..).unwrap_or_default(),
                FlushDecompress::None,
            );
            let written = since(self.inner.total_out(), out_before);
            let used = since(self.inner.total_in(), in_before);
            out.truncate(length.saturating_add(written));
            taken = taken.saturating_add(used);
            match status {
                Ok(Status::StreamEnd) => {
                    self.state = State::Trailer(match self.frame {
                        Frame::Gzip => 8,
                        Frame::Zlib => 4,
                        Frame::Zip | Frame::Bare => 0,
                    });
                    return (taken, None);
                }
                Ok(Status::Ok | Status::BufError) if written < room => {
                    return (taken, Some(Progress::Starved));
                }
                Ok(Status::Ok | Status::BufError) => {}
                Err(_) => {
                    self.state = State::Broken;
                    return (taken, Some(Progress::Broken));
                }
            }
        }
    }
}

/// Whether two bytes begin zlib data: method 8, a window that is allowed, the check bits right, no preset dictionary.
pub(super) fn is_zlib(method: u8, flags: u8) -> bool {
    method & 0x8f == 8
        && flags & 0x20 == 0
        && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}

/// Whether DEFLATE data can begin with these bytes, by what its first block says of itself (RFC 1951, 3.2.3 to 3.2.7); it
/// can if they end before that shows.
pub(super) fn may_begin(data: &[u8]) -> bool {
    first_block(&mut Bits::new(data)).unwrap_or(true)
}

fn first_block(bits: &mut Bits<'_>) -> Option<bool> {
    let _is_last = bits.take(1)?;
    match bits.take(2)? {
        0 => match bits.rest() {
            [low, high, not_low, not_high, ..] => Some(*low == !not_low && *high == !not_high),
            _ => None,
        },
        1 => Some(true),
        2 => {
            let (lengths, distances, codes) = (bits.take(5)?, bits.take(5)?, bits.take(4)?);
            if lengths > 29 || distances > 29 {
                return Some(false);
            }
            // The code for code lengths must be whole.
            let mut taken = 0u32;
            for _ in 0..codes.wrapping_add(4) {
                let length = bits.take(3)?;
                if length > 0 {
                    taken = taken.wrapping_add(128u32.wrapping_shr(length));
                }
            }
            Some(taken == 128)
        }
        _ => Some(false),
    }
}

/// What comes after a part of the gzip header, where `flags` are of the parts that are still missing.
fn after(flags: u8) -> State {
    if flags & EXTRA != 0 {
        let flags = flags & !EXTRA;
        State::ExtraLength { flags }
    } else if flags & NAME != 0 {
        let flags = flags & !NAME;
        State::Text { flags }
    } else if flags & COMMENT != 0 {
        let flags = flags & !COMMENT;
        State::Text { flags }
    } else if flags & CHECKSUM != 0 {
        State::Skip { left: 2, flags: 0 }
    } else {
        State::Body
    }
}

fn since(total: u64, before: u64) -> usize {
    usize::try_from(total.saturating_sub(before)).unwrap_or(0)
}

/// Flags of a gzip header (RFC 1952, 2.3.1), in the order in which their parts come.
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const CHECKSUM: u8 = 2;
/// Output that is made room for at a time.
const PIECE: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use flate2::{Compression, write::DeflateEncoder};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_gives_anything_may_begin(
            text in prop::collection::vec(prop_oneof![any::<u8>(), b'a'..=b'e'], 0..600),
            level in 0u32..=9,
            noise in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
            encoder.write_all(&text).unwrap();
            let deflated = encoder.finish().unwrap();
            for length in 0..=deflated.len() {
                prop_assert!(may_begin(&deflated[..length]));
            }
            let mut out = Vec::new();
            Inflate::new(Frame::Bare).push(&noise, &mut out, 100);
            prop_assert!(may_begin(&noise) || out.is_empty());
        }
    }
}
