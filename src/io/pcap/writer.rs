//! Recordings as pcapng files, written beside the engine's thread.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::blocks::{CUSTOM, ENHANCED_PACKET, INTERFACE_DESCRIPTION, SECTION_HEADER};
use crate::{
    engine::recording::{Note, Start},
    io::record::Record,
};

/// A recording in a file of its own: pcapng, in the byte order of this machine, one raw IP interface, nanoseconds.
///
/// `docs/recording.md` has the format. What the disk does not take at once waits in memory, twice [`Writer::MOST`] bytes at
/// most; the engine then waits [`Writer::PATIENCE`] for it, and after that the recording ends. A file that ends early ends with a
/// whole block.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Blocks since the last commit.
    blocks: Vec<u8>,
    began: Duration,
}

/// What the engine's thread and the writing one have in common.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write, or nothing more will come.
    more: Condvar,
    /// There is room again.
    room: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    ended: bool,
    failed: Option<io::Error>,
}

impl Writer {
    /// Bytes that wait for the disk at most.
    pub const MOST: usize = 16 << 20;
    /// How long the engine waits for the disk, once.
    pub const PATIENCE: Duration = Duration::from_millis(200);

    /// Records into `file`, which is empty.
    ///
    /// # Errors
    /// Where the thread cannot be started.
    pub fn new(file: File) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = thread::Builder::new().name("untold-record".into()).spawn({
            let shared = shared.clone();
            move || shared.write(file)
        })?;
        Ok(Self {
            shared,
            thread: Some(thread),
            blocks: Vec::new(),
            began: Duration::ZERO,
        })
    }

    /// Appends a block; `body` writes what stands between its two lengths.
    fn block(&mut self, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
        let start = self.blocks.len();
        self.blocks.extend(kind.to_ne_bytes());
        self.blocks.extend([0; 4]);
        body(&mut self.blocks);
        pad(&mut self.blocks, start);
        let len = (self.blocks.len() + 4 - start) as u32;
        self.blocks.extend(len.to_ne_bytes());
        if let Some(place) = self.blocks.get_mut(start + 4..start + 8) {
            place.copy_from_slice(&len.to_ne_bytes());
        }
    }
}

impl Record for Writer {
    fn start(&mut self, start: Start) {
        self.began = start.began;
        let writer = format!("untold {}", start.version);
        self.block(SECTION_HEADER, |body| {
            body.extend(0x1a2b_3c4du32.to_ne_bytes());
            // Version 1.0, of unknown length.
            body.extend([1u16, 0].map(u16::to_ne_bytes).concat());
            body.extend(u64::MAX.to_ne_bytes());
            option(
                body,
                OPTION_COMMENT,
                format!("recorded by {writer}").as_bytes(),
            );
            option(body, SECTION_APPLICATION, writer.as_bytes());
            option(body, OPTION_END, &[]);
        });
        self.block(INTERFACE_DESCRIPTION, |body| {
            body.extend([LINK_RAW, 0].map(u16::to_ne_bytes).concat());
            body.extend(0u32.to_ne_bytes());
            option(body, INTERFACE_NAME, b"tun");
            option(body, INTERFACE_RESOLUTION, &[9]);
            option(body, OPTION_END, &[]);
        });
        self.note(Duration::ZERO, &Note::Start(Box::new(start)));
    }

    fn packet(&mut self, at: Duration, outbound: bool, parts: [&[u8]; 2]) {
        let time = (self.began + at).as_nanos() as u64;
        let len = parts.iter().map(|part| part.len()).sum::<usize>() as u32;
        self.block(ENHANCED_PACKET, |body| {
            for word in [0, (time >> 32) as u32, time as u32, len, len] {
                body.extend(word.to_ne_bytes());
            }
            let start = body.len();
            parts.iter().for_each(|part| body.extend(*part));
            pad(body, start);
            let direction: u32 = if outbound { OUTBOUND } else { INBOUND };
            option(body, PACKET_FLAGS, &direction.to_ne_bytes());
            option(body, OPTION_END, &[]);
        });
    }

    fn note(&mut self, at: Duration, note: &Note) {
        let timed = Timed {
            at: u64::try_from(at.as_nanos()).unwrap_or(u64::MAX),
            note,
        };
        let text = serde_json::to_vec(&timed).expect("notes are plain values");
        self.block(CUSTOM, |body| {
            body.extend(NUMBER.to_ne_bytes());
            body.extend(text);
        });
    }

    fn commit(&mut self) -> io::Result<()> {
        if self.blocks.is_empty() {
            return Ok(());
        }
        let mut state = self.shared.lock();
        if state.waiting.len() + self.blocks.len() > Self::MOST && state.failed.is_none() {
            let is_full = |state: &mut State| !state.waiting.is_empty() && state.failed.is_none();
            let waited = self
                .shared
                .room
                .wait_timeout_while(state, Self::PATIENCE, is_full);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.waiting.len() + self.blocks.len() > Self::MOST && !state.waiting.is_empty() {
                state.ended = true;
                self.shared.more.notify_one();
                // It ends by itself, whenever the disk lets it.
                self.thread = None;
                return Err(io::Error::other("the disk is too slow"));
            }
        }
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        if state.waiting.is_empty() {
            self.shared.more.notify_one();
            std::mem::swap(&mut state.waiting, &mut self.blocks);
        } else {
            state.waiting.append(&mut self.blocks);
        }
        self.blocks.clear();
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.commit()?;
        self.end()
    }
}

impl Writer {
    fn end(&mut self) -> io::Result<()> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        self.shared.lock().ended = true;
        self.shared.more.notify_one();
        thread
            .join()
            .map_err(|_| io::Error::other("the recording thread panicked"))?;
        self.shared.lock().failed.take().map_or(Ok(()), Err)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // What ended it early was said when it did.
        let _ = self.end();
    }
}

impl Shared {
    /// A panic elsewhere leaves nothing half done in here.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what comes until the end.
    fn write(&self, mut file: File) {
        let mut blocks = Vec::new();
        let mut written = 0;
        loop {
            {
                let idle = |state: &mut State| state.waiting.is_empty() && !state.ended;
                let state = self.more.wait_while(self.lock(), idle);
                let mut state = state.unwrap_or_else(PoisonError::into_inner);
                blocks.clear();
                std::mem::swap(&mut state.waiting, &mut blocks);
                if blocks.is_empty() {
                    return;
                }
                self.room.notify_one();
            }
            match write_all(&mut file, &blocks) {
                Ok(()) => written += blocks.len() as u64,
                Err((n, error)) => {
                    // Where the file is no file but a pipe, its reader sees a block cut off.
                    let _ = file.set_len(written + whole(&blocks, n) as u64);
                    let mut state = self.lock();
                    state.waiting = Vec::new();
                    state.failed = Some(error);
                    self.room.notify_one();
                    return;
                }
            }
        }
    }
}

/// As the trait's, but says how much was written before an error.
fn write_all(file: &mut File, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return Err((done, ErrorKind::WriteZero.into())),
            Ok(n) => done += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err((done, error)),
        }
    }
    Ok(())
}

/// Bytes of the whole blocks among the first `n`.
fn whole(blocks: &[u8], n: usize) -> usize {
    let mut end = 0;
    while let Some(len) = blocks.get(end + 4..).and_then(|rest| rest.first_chunk()) {
        let next = end + u32::from_ne_bytes(*len) as usize;
        if next > n {
            break;
        }
        end = next;
    }
    end
}

/// A note with the engine's time, as in a custom block.
#[derive(serde::Serialize)]
struct Timed<'a> {
    at: u64,
    #[serde(flatten)]
    note: &'a Note,
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let start = body.len();
    body.extend(code.to_ne_bytes());
    body.extend((value.len() as u16).to_ne_bytes());
    body.extend(value);
    pad(body, start);
}

/// Fills up to a multiple of four bytes since `start`.
fn pad(bytes: &mut Vec<u8>, start: usize) {
    let len = bytes.len() - start;
    bytes.resize(start + len.next_multiple_of(4), 0);
}

/// Private enterprise number of our custom blocks: the one for documentation (RFC 5612), told apart by what is in the block.
pub(super) const NUMBER: u32 = 32_473;

const LINK_RAW: u16 = 101;
const OPTION_END: u16 = 0;
const OPTION_COMMENT: u16 = 1;
const SECTION_APPLICATION: u16 = 4;
const INTERFACE_NAME: u16 = 2;
const INTERFACE_RESOLUTION: u16 = 9;
pub(super) const PACKET_FLAGS: u16 = 2;
pub(super) const INBOUND: u32 = 1;
pub(super) const OUTBOUND: u32 = 2;
