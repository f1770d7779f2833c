use super::{
    brotli::{Brotli, Memory},
    coding::{Coding, Pool, Progress},
    inflate::{Frame, Inflate},
    protobuf::Field,
    runs::Runs,
    skim::Skim,
};

/// Buffers to decode into, used again from walk to walk.
///
/// A pointer, so that it is lent from one to the other at no cost; one that was never used owns nothing.
#[derive(Default)]
pub struct Scratch(Option<Box<Shelves>>);

#[derive(Default)]
struct Shelves {
    buffers: Vec<Vec<u8>>,
    runs: Vec<Runs>,
    inflates: Vec<Inflate>,
    brotlis: Vec<Memory>,
    fields: Vec<Vec<Field>>,
    skims: Vec<Skim>,
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
        let mut buffer = self.shelves().buffers.pop().unwrap_or_default();
        buffer.clear();
        buffer
    }

    /// Takes back a buffer.
    pub fn give(&mut self, buffer: Vec<u8>) {
        self.shelves().buffers.push(buffer);
    }

    /// Gives back what an unusual walk needed.
    pub fn trim(&mut self) {
        let Some(shelves) = &mut self.0 else {
            return;
        };
        shelves
            .buffers
            .retain(|buffer| buffer.capacity() <= Self::MOST);
        shelves.buffers.truncate(Self::MOST_BUFFERS);
        shelves.runs.retain(|runs| runs.capacity() <= Self::MOST);
        shelves.skims.retain(|skim| skim.capacity() <= Self::MOST);
        shelves.inflates.truncate(Self::MOST_MACHINES);
        shelves.brotlis.truncate(Self::MOST_MACHINES);
        shelves.fields.truncate(Self::MOST_MACHINES);
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
    pub fn pool(&mut self) -> &Pool {
        &self.shelves().pool
    }

    /// Room for runs of a text, to be given back.
    pub(super) fn take_runs(&mut self) -> Runs {
        self.shelves().runs.pop().unwrap_or_default()
    }

    pub(super) fn give_runs(&mut self, mut runs: Runs) {
        runs.renew();
        self.shelves().runs.push(runs);
    }

    /// Room for what the blocks of a text hold, to be given back.
    pub(super) fn take_skim(&mut self) -> Skim {
        self.shelves().skims.pop().unwrap_or_default()
    }

    pub(super) fn give_skim(&mut self, skim: Skim) {
        self.shelves().skims.push(skim);
    }

    /// A machine at the first byte of a Brotli stream, to be given back; it takes at most `most` bytes.
    pub(super) fn take_brotli(&mut self, most: usize) -> Brotli {
        Brotli::within(self.shelves().brotlis.pop().unwrap_or_default(), most)
    }

    pub(super) fn give_brotli(&mut self, machine: Brotli) {
        self.shelves().brotlis.push(machine.into_memory());
    }

    /// Room for the fields of a message, to be given back.
    pub(super) fn take_fields(&mut self) -> Vec<Field> {
        self.shelves().fields.pop().unwrap_or_default()
    }

    pub(super) fn give_fields(&mut self, fields: Vec<Field>) {
        self.shelves().fields.push(fields);
    }

    /// A machine at the first byte of a container, to be given back.
    pub(super) fn take_inflate(&mut self, frame: Frame) -> Inflate {
        match self.shelves().inflates.pop() {
            Some(mut machine) => {
                machine.reset(frame);
                machine
            }
            None => Inflate::new(frame),
        }
    }

    pub(super) fn give_inflate(&mut self, machine: Inflate) {
        self.shelves().inflates.push(machine);
    }

    fn shelves(&mut self) -> &mut Shelves {
        self.0.get_or_insert_default()
    }
}

/// Decoded bytes that show whether data is compressed.
const PROBE: usize = 256;
