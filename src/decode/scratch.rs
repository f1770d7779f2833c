use super::{
    brotli::{Brotli, Memory},
    coding::{Coding, Pool, Progress},
    inflate::{Frame, Inflate},
    protobuf::Field,
    runs::Runs,
};

/// Buffers to decode into, used again from walk to walk.
#[derive(Default)]
pub struct Scratch {
    buffers: Vec<Vec<u8>>,
    runs: Vec<Runs>,
    inflates: Vec<Inflate>,
    brotlis: Vec<Memory>,
    fields: Vec<Vec<Field>>,
    pool: Pool,
}

impl Scratch {
    /// Bytes of the largest buffer that is kept.
    const MOST: usize = 1024 * 1024;
    /// Buffers that are kept.
    const MOST_BUFFERS: usize = 16;
    /// Machines of a kind that are kept: one is at work on a container while what came out of it is tried as another.
    const MOST_MACHINES: usize = 2;

    /// An empty buffer, to be given back.
    pub fn take(&mut self) -> Vec<u8> {
        let mut buffer = self.buffers.pop().unwrap_or_default();
        buffer.clear();
        buffer
    }

    /// Takes back a buffer.
    pub fn give(&mut self, buffer: Vec<u8>) {
        self.buffers.push(buffer);
    }

    /// Gives back what an unusual walk needed.
    pub fn trim(&mut self) {
        self.buffers
            .retain(|buffer| buffer.capacity() <= Self::MOST);
        self.buffers.truncate(Self::MOST_BUFFERS);
        self.runs.retain(|runs| runs.capacity() <= Self::MOST);
        self.inflates.truncate(Self::MOST_MACHINES);
        self.brotlis.truncate(Self::MOST_MACHINES);
        self.fields.truncate(Self::MOST_MACHINES);
    }

    /// Whether `bytes` can be the beginning of compressed data, as far as they go.
    pub fn may_be(&mut self, coding: Coding, bytes: &[u8]) -> bool {
        let Some(frame) = coding.frame() else {
            return true;
        };
        let mut machine = self.take_inflate(frame);
        let mut out = self.take();
        let (_, progress) = machine.push(bytes, &mut out, PROBE);
        self.give_inflate(machine);
        self.give(out);
        progress != Progress::Broken
    }

    /// The memory that decoders of streams share.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Room for runs of a text, to be given back.
    pub(super) fn take_runs(&mut self) -> Runs {
        self.runs.pop().unwrap_or_default()
    }

    pub(super) fn give_runs(&mut self, mut runs: Runs) {
        runs.renew();
        self.runs.push(runs);
    }

    /// A machine at the first byte of a Brotli stream, to be given back; it takes at most `most` bytes.
    pub(super) fn take_brotli(&mut self, most: usize) -> Brotli {
        Brotli::within(self.brotlis.pop().unwrap_or_default(), most)
    }

    pub(super) fn give_brotli(&mut self, machine: Brotli) {
        self.brotlis.push(machine.into_memory());
    }

    /// Room for the fields of a message, to be given back.
    pub(super) fn take_fields(&mut self) -> Vec<Field> {
        self.fields.pop().unwrap_or_default()
    }

    pub(super) fn give_fields(&mut self, fields: Vec<Field>) {
        self.fields.push(fields);
    }

    /// A machine at the first byte of a container, to be given back.
    pub(super) fn take_inflate(&mut self, frame: Frame) -> Inflate {
        match self.inflates.pop() {
            Some(mut machine) => {
                machine.reset(frame);
                machine
            }
            None => Inflate::new(frame),
        }
    }

    pub(super) fn give_inflate(&mut self, machine: Inflate) {
        self.inflates.push(machine);
    }
}

/// Decoded bytes that show whether data is compressed.
const PROBE: usize = 256;
