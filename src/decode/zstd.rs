//! Zstandard frames (RFC 8878), whole.

use std::io::Read;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::coding::Progress;

/// One frame on its way.
pub(super) struct Zstd<'a> {
    decoder: FrameDecoder,
    source: &'a [u8],
    length: usize,
    /// Blocks that may still be decoded: each gives up to 128 KiB, and what it gives is not known before.
    blocks: usize,
}

impl<'a> Zstd<'a> {
    /// Reads the frame's header; `None` where it is none, or asks for a larger window than 8 MiB. About `most` decoded bytes
    /// are allowed.
    pub(super) fn new(frame: &'a [u8], most: usize) -> Option<Self> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        let mut source = frame;
        decoder.init(&mut source).ok()?;
        Some(Self {
            decoder,
            source,
            length: frame.len(),
            blocks: (most / BLOCK).saturating_add(FEW),
        })
    }

    /// How many bytes of the frame were read.
    pub(super) fn taken(&self) -> usize {
        self.length.saturating_sub(self.source.len())
    }

    /// Appends at most `most` decoded bytes.
    pub(super) fn pull(&mut self, out: &mut Vec<u8>, most: usize) -> Progress {
        let first = out.len();
        loop {
            let ready = self.decoder.can_collect();
            let room = most.saturating_sub(out.len().saturating_sub(first));
            if ready > 0 && room == 0 {
                return Progress::Full;
            }
            if ready > 0 {
                let length = out.len();
                out.resize(length.saturating_add(room.min(ready)), 0);
                let target = out.get_mut(length..).unwrap_or_default();
                let read = self.decoder.read(target).unwrap_or(0);
                out.truncate(length.saturating_add(read));
                if read == 0 {
                    return Progress::Broken;
                }
                continue;
            }
            if self.decoder.is_finished() {
                return Progress::Done;
            }
            let Some(left) = self.blocks.checked_sub(1) else {
                return Progress::Full;
            };
            self.blocks = left;
            let before = self.source;
            let block = BlockDecodingStrategy::UptoBlocks(1);
            if self.decoder.decode_blocks(&mut self.source, block).is_err() {
                let ends_early = self.source.is_empty();
                self.source = before;
                return if ends_early {
                    Progress::Starved
                } else {
                    Progress::Broken
                };
            }
        }
    }
}

/// The largest window: what RFC 8878 (3.1.1.1.2) asks every decoder to support.
const WINDOW: u64 = 8 * 1024 * 1024;
/// The largest block, decoded.
const BLOCK: usize = 128 * 1024;
/// Blocks that are decoded whatever they give.
const FEW: usize = 64;
