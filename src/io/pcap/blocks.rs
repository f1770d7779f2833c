//! The blocks of a pcapng file (draft-ietf-opsawg-pcapng).

use std::{io::Read, ops::Range, time::Duration};

use super::{
    CaptureError, Format, Reader, Record, number,
    writer::{INBOUND, NUMBER, OUTBOUND, PACKET_FLAGS},
};

impl<R: Read> Reader<R> {
    /// A block of a pcapng file.
    pub(super) fn block(&mut self) -> Result<Record, CaptureError> {
        let Format::Sections(Section { big_endian, .. }) = self.format else {
            return Ok(Record::End);
        };
        let header = self.peek(8)?;
        match (header.len(), number(header, 0, true)) {
            (0, _) => return Ok(Record::End),
            (8, Some(SECTION_HEADER)) => {
                self.section_header()?;
                return Ok(Record::Other);
            }
            (8, _) => {}
            _ => return Err(self.error("the file ends within a block's header")),
        }
        let kind = number(header, 0, big_endian).unwrap_or_default();
        let len = number(header, 4, big_endian).unwrap_or_default();
        let body = self.body(len, big_endian)?;
        match kind {
            INTERFACE_DESCRIPTION => self.interface(body, big_endian),
            ENHANCED_PACKET | OBSOLETE_PACKET | SIMPLE_PACKET => {
                self.block_packet(kind, body, big_endian)
            }
            CUSTOM => Ok(self.custom(body, big_endian)),
            _ => Ok(Record::Other),
        }
    }

    /// Consumes a block of `len` bytes and gives the place of its body.
    fn body(&mut self, len: u32, big_endian: bool) -> Result<Range<usize>, CaptureError> {
        let len = len as usize;
        if !(12..=MAX_BLOCK).contains(&len) {
            return Err(self.error(format!("a block of {len} bytes: the file is corrupt")));
        }
        let block = self.peek(len)?;
        if block.len() < len {
            let there = block.len();
            return Err(self.error(format!(
                "the file ends within a block, {there} of {len} bytes"
            )));
        }
        if number(block, len - 4, big_endian) != Some(len as u32) {
            return Err(self.error("a block whose two lengths differ: the file is corrupt"));
        }
        let at = self.consume(len);
        Ok(at + 8..at + len - 4)
    }

    pub(super) fn section_header(&mut self) -> Result<(), CaptureError> {
        let header = self.peek(12)?;
        let big_endian = match number(header, 8, true) {
            Some(0x1a2b_3c4d) => true,
            Some(0x4d3c_2b1a) => false,
            Some(_) => {
                return Err(self.error("a section without a byte order: the file is corrupt"));
            }
            None => return Err(self.error("the file ends within a section header")),
        };
        let len = number(header, 4, big_endian).unwrap_or_default();
        self.body(len, big_endian)?;
        self.format = Format::Sections(Section {
            big_endian,
            interfaces: Vec::new(),
        });
        Ok(())
    }

    fn interface(&mut self, body: Range<usize>, big_endian: bool) -> Result<Record, CaptureError> {
        let bytes = self.buffer.get(body).unwrap_or_default();
        let interface = Interface::read(bytes, big_endian);
        let Some(interface) = interface else {
            return Err(self.error("an interface that cannot be: the file is corrupt"));
        };
        if let Format::Sections(section) = &mut self.format {
            if section.interfaces.len() >= MAX_INTERFACES {
                return Err(
                    self.error("more interfaces than a capture can have: the file is corrupt")
                );
            }
            section.interfaces.push(interface);
        }
        Ok(Record::Other)
    }

    /// A custom block: a note if it is one of ours and can be read, else nothing.
    fn custom(&mut self, body: Range<usize>, big_endian: bool) -> Record {
        let bytes = self.buffer.get(body.clone()).unwrap_or_default();
        match number(bytes, 0, big_endian) {
            Some(NUMBER) => Record::Note(body.start + 4..body.end),
            _ => Record::Other,
        }
    }

    fn block_packet(
        &mut self,
        kind: u32,
        body: Range<usize>,
        big_endian: bool,
    ) -> Result<Record, CaptureError> {
        let bytes = self.buffer.get(body.clone()).unwrap_or_default();
        let field = |at| number(bytes, at, big_endian);
        let read = || match kind {
            SIMPLE_PACKET => Some((0, None, field(0)? as usize, 4)),
            ENHANCED_PACKET => Some((
                field(0)? as usize,
                field(4).zip(field(8)),
                field(12)? as usize,
                20,
            )),
            // Interface and drop count are 16 bits each.
            _ => {
                let interface = short(bytes, 0, big_endian)?;
                Some((
                    usize::from(interface),
                    field(4).zip(field(8)),
                    field(12)? as usize,
                    20,
                ))
            }
        };
        let Format::Sections(section) = &self.format else {
            return Ok(Record::End);
        };
        let Some((interface, ticks, mut len, header)) = read() else {
            return Err(self.error("a packet shorter than its header: the file is corrupt"));
        };
        let Some(interface) = section.interfaces.get(interface).copied() else {
            return Err(self.error(format!(
                "a packet of interface {interface}, which the file does not describe"
            )));
        };
        let room = bytes.len().saturating_sub(header);
        if kind == SIMPLE_PACKET {
            let snap = if interface.snap == 0 {
                usize::MAX
            } else {
                interface.snap as usize
            };
            len = len.min(room).min(snap);
        }
        if len > room {
            return Err(self.error(format!(
                "a packet of {len} bytes in a block of {room}: the file is corrupt"
            )));
        }
        if let Some((high, low)) = ticks {
            self.time = interface.time(u64::from(high) << 32 | u64::from(low));
        }
        let start = body.start + header;
        // Only enhanced packets say which way they went.
        let options = bytes.get(header + len.next_multiple_of(4)..);
        self.outbound = options
            .filter(|_| kind == ENHANCED_PACKET)
            .and_then(|options| direction(options, big_endian));
        Ok(Record::Frame {
            link: interface.link,
            frame: start..start + len,
        })
    }
}

/// Which way a packet went, by its flags.
fn direction(options: &[u8], big_endian: bool) -> Option<bool> {
    let flags = Options::new(options, big_endian)
        .find(|(code, _)| *code == PACKET_FLAGS)
        .and_then(|(_, value)| number(value, 0, big_endian))?;
    match flags & 3 {
        INBOUND => Some(false),
        OUTBOUND => Some(true),
        _ => None,
    }
}

/// The options at the end of a block, up to their end mark or what cannot be one.
struct Options<'a> {
    rest: &'a [u8],
    big_endian: bool,
}

impl<'a> Options<'a> {
    fn new(rest: &'a [u8], big_endian: bool) -> Self {
        Self { rest, big_endian }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let code = short(self.rest, 0, self.big_endian)?;
        let len = usize::from(short(self.rest, 2, self.big_endian)?);
        if code == 0 {
            return None;
        }
        let value = self.rest.get(4..4 + len)?;
        let next = 4 + len.next_multiple_of(4);
        self.rest = self.rest.get(next..).unwrap_or_default();
        Some((code, value))
    }
}

fn short(bytes: &[u8], at: usize, big_endian: bool) -> Option<u16> {
    let bytes = *bytes.get(at..)?.first_chunk()?;
    Some(if big_endian {
        u16::from_be_bytes(bytes)
    } else {
        u16::from_le_bytes(bytes)
    })
}

pub(super) struct Section {
    pub(super) big_endian: bool,
    pub(super) interfaces: Vec<Interface>,
}

#[derive(Clone, Copy)]
pub(super) struct Interface {
    link: u16,
    snap: u32,
    /// Ticks in a second.
    per_second: u128,
    /// Seconds to add.
    offset: i64,
}

impl Interface {
    fn read(body: &[u8], big_endian: bool) -> Option<Self> {
        let mut interface = Self {
            link: short(body, 0, big_endian)?,
            snap: number(body, 4, big_endian)?,
            per_second: 1_000_000,
            offset: 0,
        };
        for (code, value) in Options::new(body.get(8..).unwrap_or_default(), big_endian) {
            match (code, value) {
                (TIME_RESOLUTION, [exponent]) => {
                    let base = if exponent & 0x80 == 0 { 10u128 } else { 2 };
                    interface.per_second = base.checked_pow(u32::from(exponent & 0x7f))?;
                }
                (TIME_OFFSET, value) => {
                    let value = *value.first_chunk()?;
                    interface.offset = if big_endian {
                        i64::from_be_bytes(value)
                    } else {
                        i64::from_le_bytes(value)
                    };
                }
                _ => {}
            }
        }
        Some(interface)
    }

    fn time(&self, ticks: u64) -> Duration {
        let ticks = u128::from(ticks);
        let nanos = (ticks % self.per_second).saturating_mul(1_000_000_000) / self.per_second;
        let seconds = u64::try_from(ticks / self.per_second).unwrap_or(u64::MAX);
        Duration::new(
            seconds.saturating_add_signed(self.offset),
            u32::try_from(nanos).unwrap_or_default(),
        )
    }
}

pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
pub(super) const ENHANCED_PACKET: u32 = 6;
/// A custom block that may be copied into other files.
pub(super) const CUSTOM: u32 = 0x0bad;
const TIME_RESOLUTION: u16 = 9;
const TIME_OFFSET: u16 = 14;

/// Longest pcapng block believed, as in Wireshark.
const MAX_BLOCK: usize = 16 << 20;
/// Interfaces per section believed.
const MAX_INTERFACES: usize = 65_536;
