//! Capture files: pcap and pcapng, read as a stream of IP packets.

mod blocks;
mod links;
mod writer;

use std::{
    io::{ErrorKind, Read},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use blocks::{SECTION_HEADER, Section};
use links::{ip_offset, is_known, unknown_link};
pub use writer::Writer;

use crate::engine::recording::Note;

/// Reads a pcap (microseconds or nanoseconds, either byte order) or pcapng file.
///
/// Link types: Ethernet with VLAN tags, raw IP, Linux cooked (both versions), null and loopback. Holds one block in memory, 16 MiB at most.
pub struct Reader<R> {
    file: Arc<str>,
    input: R,
    buffer: Vec<u8>,
    /// What of `buffer` was read and not consumed.
    unread: Range<usize>,
    /// Where in the file `unread` begins.
    offset: u64,
    format: Format,
    time: Duration,
    outbound: Option<bool>,
    skipped: Skipped,
    /// Whether any packet was an IP packet.
    any: bool,
    failed: bool,
}

/// One IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// From the IP header on; may be cut off by the capture's snap length.
    pub ip: &'a [u8],
    /// When it was captured, since the Unix epoch.
    pub time: Duration,
    /// Whether it went out, where the file says so.
    pub outbound: Option<bool>,
}

/// What a file says next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An IP packet.
    Packet(Packet<'a>),
    /// A note of a recording, with the engine's time.
    Note(Duration, Note),
}

/// Records that were passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Skipped {
    /// Frames of other network protocols, such as ARP.
    pub not_ip: u64,
    /// Frames of interfaces whose link type is not known.
    pub link_type: u64,
    /// Notes of a kind that this version does not know.
    pub notes: u64,
}

/// A capture that cannot be read, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: byte {offset}: {reason}")]
pub struct CaptureError {
    /// File name as given.
    pub file: Arc<str>,
    /// Where in the file.
    pub offset: u64,
    /// What is wrong.
    pub reason: String,
}

impl<R: Read> Reader<R> {
    /// Reads the file's first header. `file` is its name for errors.
    pub fn new(file: impl Into<Arc<str>>, input: R) -> Result<Self, CaptureError> {
        let mut reader = Self {
            file: file.into(),
            input,
            buffer: vec![0; BUFFER],
            unread: 0..0,
            offset: 0,
            format: Format::Sections(Section {
                big_endian: false,
                interfaces: Vec::new(),
            }),
            time: Duration::ZERO,
            outbound: None,
            skipped: Skipped::default(),
            any: false,
            failed: false,
        };
        let magic = match *reader.peek(4)? {
            [a, b, c, d, ..] => u32::from_be_bytes([a, b, c, d]),
            [] => return Err(reader.error("the file is empty")),
            _ => return Err(reader.error(NOT_A_CAPTURE)),
        };
        let (big_endian, nanoseconds) = match magic {
            SECTION_HEADER => {
                reader.section_header()?;
                return Ok(reader);
            }
            0xa1b2_c3d4 => (true, false),
            0xa1b2_3c4d => (true, true),
            0xd4c3_b2a1 => (false, false),
            0x4d3c_b2a1 => (false, true),
            _ => return Err(reader.error(NOT_A_CAPTURE)),
        };
        let header = reader.peek(24)?;
        let Some(link) = number(header, 20, big_endian).filter(|_| header.len() >= 24) else {
            return Err(reader.error("the file ends within its header"));
        };
        let link = (link & 0xffff) as u16;
        if !is_known(link) {
            return Err(reader.error(unknown_link(link)));
        }
        reader.consume(24);
        reader.format = Format::Records {
            big_endian,
            nanoseconds,
            link,
        };
        Ok(reader)
    }

    /// The next IP packet; `None` at the end of the file. After an error there is nothing more.
    pub fn packet(&mut self) -> Result<Option<Packet<'_>>, CaptureError> {
        // The loop of `item` over again, because a borrow that is returned lasts too long to go round.
        loop {
            match self.step()? {
                Some(Found::Packet(range)) => return Ok(Some(self.packet_at(range))),
                Some(Found::Note(..)) => {}
                None => return Ok(None),
            }
        }
    }

    /// The next packet or note; `None` at the end of the file. After an error there is nothing more.
    pub fn item(&mut self) -> Result<Option<Item<'_>>, CaptureError> {
        Ok(match self.step()? {
            Some(Found::Packet(range)) => Some(Item::Packet(self.packet_at(range))),
            Some(Found::Note(at, note)) => Some(Item::Note(at, note)),
            None => None,
        })
    }

    fn step(&mut self) -> Result<Option<Found>, CaptureError> {
        if self.failed {
            return Ok(None);
        }
        let result = self.next_item();
        self.failed = !matches!(result, Ok(Some(_)));
        result
    }

    fn packet_at(&self, range: Range<usize>) -> Packet<'_> {
        Packet {
            ip: self.buffer.get(range).unwrap_or_default(),
            time: self.time.min(LATEST),
            outbound: self.outbound,
        }
    }

    /// What was passed over so far.
    pub fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// Bytes of the file consumed so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn next_item(&mut self) -> Result<Option<Found>, CaptureError> {
        loop {
            let record = match self.format {
                Format::Records {
                    big_endian,
                    nanoseconds,
                    link,
                } => self.record(big_endian, nanoseconds, link)?,
                Format::Sections(_) => self.block()?,
            };
            let (link, frame) = match record {
                Record::Frame { link, frame } => (link, frame),
                Record::Other => continue,
                Record::Note(range) => match self.note(range) {
                    Some((at, note)) => return Ok(Some(Found::Note(at, note))),
                    None => continue,
                },
                Record::End if !self.any && self.skipped.link_type > 0 => {
                    return Err(
                        self.error("none of its interfaces has a link type that is supported")
                    );
                }
                Record::End => return Ok(None),
            };
            let bytes = self.buffer.get(frame.clone()).unwrap_or_default();
            match ip_offset(link, bytes) {
                Some(at) => {
                    self.any = true;
                    return Ok(Some(Found::Packet(frame.start + at..frame.end)));
                }
                None if is_known(link) => self.skipped.not_ip += 1,
                None => self.skipped.link_type += 1,
            }
        }
    }

    /// A note, unless it is of a kind that this version does not know.
    fn note(&mut self, range: Range<usize>) -> Option<(Duration, Note)> {
        let text = self.buffer.get(range).unwrap_or_default();
        let end = text.iter().rposition(|byte| *byte != 0)? + 1;
        match serde_json::from_slice(text.get(..end)?) {
            Ok(Timed { at, note }) => Some((Duration::from_nanos(at).min(LATEST), note)),
            Err(_) => {
                self.skipped.notes += 1;
                None
            }
        }
    }

    /// A record of a classic capture.
    fn record(
        &mut self,
        big_endian: bool,
        nanoseconds: bool,
        link: u16,
    ) -> Result<Record, CaptureError> {
        let header = self.peek(16)?;
        let field = |at| number(header, at, big_endian).unwrap_or_default();
        let (seconds, fraction, len) = (field(0), field(4), field(8) as usize);
        match header.len() {
            0 => return Ok(Record::End),
            1..16 => return Err(self.error("the file ends within a packet's header")),
            _ => {}
        }
        if len > MAX_PACKET {
            return Err(self.error(format!("a packet of {len} bytes: the file is corrupt")));
        }
        let there = self.peek(16 + len)?.len().saturating_sub(16);
        if there < len {
            return Err(self.error(format!(
                "the file ends within a packet, {there} of {len} bytes"
            )));
        }
        let fraction = u64::from(fraction) * if nanoseconds { 1 } else { 1_000 };
        self.time = Duration::from_secs(seconds.into()) + Duration::from_nanos(fraction);
        let at = self.consume(16 + len);
        Ok(Record::Frame {
            link,
            frame: at + 16..at + 16 + len,
        })
    }

    /// The next `len` bytes, or as many as the file still has.
    fn peek(&mut self, len: usize) -> Result<&[u8], CaptureError> {
        if self.unread.len() < len {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
            if self.buffer.len() < len {
                self.buffer.resize(len, 0);
            }
            while self.unread.end < len {
                let room = self.buffer.get_mut(self.unread.end..).unwrap_or_default();
                match self.input.read(room) {
                    Ok(0) => break,
                    Ok(n) => self.unread.end += n,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(self.error(error.to_string())),
                }
            }
        }
        let end = self.unread.end.min(self.unread.start + len);
        Ok(self.buffer.get(self.unread.start..end).unwrap_or_default())
    }

    /// Passes over bytes that were peeked at; returns where in the buffer they lie until the next peek.
    fn consume(&mut self, len: usize) -> usize {
        let at = self.unread.start;
        self.unread.start += len;
        self.offset += len as u64;
        at
    }
}

impl<R> Reader<R> {
    fn error(&self, reason: impl Into<String>) -> CaptureError {
        CaptureError {
            file: self.file.clone(),
            offset: self.offset,
            reason: reason.into(),
        }
    }
}

enum Format {
    /// Classic pcap.
    Records {
        big_endian: bool,
        nanoseconds: bool,
        link: u16,
    },
    /// pcapng.
    Sections(Section),
}

enum Record {
    Frame {
        link: u16,
        frame: Range<usize>,
    },
    /// Content of a custom block of ours.
    Note(Range<usize>),
    Other,
    End,
}

enum Found {
    Packet(Range<usize>),
    Note(Duration, Note),
}

#[derive(serde::Deserialize)]
struct Timed {
    at: u64,
    #[serde(flatten)]
    note: Note,
}

fn number(bytes: &[u8], at: usize, big_endian: bool) -> Option<u32> {
    let bytes = *bytes.get(at..)?.first_chunk()?;
    Some(if big_endian {
        u32::from_be_bytes(bytes)
    } else {
        u32::from_le_bytes(bytes)
    })
}

const NOT_A_CAPTURE: &str = "not a pcap or pcapng file";

/// Latest time believed, in the year 4147: deadlines are reckoned from it.
const LATEST: Duration = Duration::from_secs(1 << 36);
/// Bytes read at a time.
const BUFFER: usize = 256 * 1024;
/// Longest packet believed: four times libpcap's largest snap length.
const MAX_PACKET: usize = 1 << 20;
#[cfg(test)]
mod tests;
