//! Segments of one flow that follow each other, judged together: to look into a stream costs as much for a few bytes as for
//! many.

use super::{Bytes, Engine};
use crate::{engine::slots::payload, flow::Key, wire::Span};

/// Payload of a flow that was accepted and not judged yet, in slots. Empty between two batches of the device.
#[derive(Default)]
pub(in crate::engine) struct Batch {
    flow: Option<Key>,
    runs: Vec<(usize, Span)>,
    bytes: usize,
    /// What the runs are put together in, where there are several.
    joined: Vec<u8>,
}

impl Batch {
    /// Bytes that are judged together: they stay in the first-level cache.
    const MOST: usize = 16 * 1024;
}

impl Engine {
    /// Adds accepted payload of a flow to those that are judged together.
    pub(super) fn gather(&mut self, key: Key, slot: usize, span: Span) {
        let bytes = (span.end - span.start) as usize;
        if self.batch.flow != Some(key) || self.batch.bytes + bytes > Batch::MOST {
            self.judge_batch();
        }
        self.batch.flow = Some(key);
        self.batch.runs.push((slot, span));
        self.batch.bytes += bytes;
        // What cannot be read is not worth a copy.
        if self.flows.get(key).is_some_and(|flow| flow.is_opaque()) {
            self.judge_batch();
        }
    }

    /// Whether payload of this flow waits to be judged.
    pub(super) fn is_gathered(&self, key: Key) -> bool {
        self.batch.flow == Some(key)
    }

    /// Judges what was gathered, and does what follows from it.
    pub(in crate::engine) fn judge_batch(&mut self) {
        let Some(key) = self.batch.flow.take() else {
            return;
        };
        let Batch {
            mut runs,
            mut joined,
            ..
        } = std::mem::take(&mut self.batch);
        if runs.len() > 1 {
            for (slot, span) in &runs {
                joined.extend_from_slice(payload(&self.slots, *slot, *span));
            }
        }
        self.outbound(
            key,
            Bytes::Slots {
                runs: &runs,
                joined: &joined,
            },
        );
        runs.clear();
        joined.clear();
        self.batch = Batch {
            runs,
            joined,
            ..Batch::default()
        };
        self.follow_up(key);
    }
}
