use super::{
    Broken, Item, Protocol, Sniffed,
    hpack::{Decoder, Field, Lost},
};
use crate::event::Place;

/// Reads the client's side of an HTTP/2 connection (RFC 9113), from its preface on, as the bytes come.
///
/// A unit is a stream's message; unit 0 is what belongs to no stream, a frame at a time.
#[derive(Default)]
pub struct Http2 {
    state: State,
    frame: Frame,
    hpack: Decoder,
    block: Block,
    /// Header blocks cannot be decoded any more.
    lost: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    kind: u8,
    flags: u8,
    /// The unit that it is part of.
    unit: u32,
    /// The stream that it names.
    stream: u32,
    /// Bytes before the padding that were not read yet.
    left: usize,
    padding: usize,
    /// Wire position of its first byte.
    at: u64,
}

/// A field section on its way, in one frame or several.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    /// The stream whose section has begun and not ended.
    stream: Option<u32>,
    /// Whether the message ends with it.
    ends: bool,
    expects: bool,
    /// Frames and encoded bytes so far.
    frames: usize,
    encoded: usize,
    /// Bytes of the fields so far.
    decoded: usize,
    /// More was spent on it than on any honest one: the table is kept up, the fields are not shown.
    excess: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// This many bytes of the preface came.
    Preface(usize),
    /// This many bytes of a frame's header came.
    Header {
        bytes: [u8; HEADER],
        have: usize,
    },
    /// The length of the padding comes.
    Padded,
    /// This many bytes of a deprecated priority come (RFC 9113, 6.2).
    Priority(usize),
    Payload,
    Padding(usize),
}

impl Default for State {
    fn default() -> Self {
        State::Preface(0)
    }
}

impl Http2 {
    /// A connection of whose preface this many bytes were read.
    pub fn within_preface(have: usize) -> Self {
        Self {
            state: State::Preface(have),
            ..Self::default()
        }
    }

    /// Takes the next bytes, which stand at wire position `at`.
    pub fn push(
        &mut self,
        bytes: &[u8],
        at: u64,
        show: &mut dyn FnMut(Item<'_>),
    ) -> Result<(), Broken> {
        let mut done = 0usize;
        loop {
            let rest = bytes.get(done..).unwrap_or_default();
            let here = at.saturating_add(done as u64);
            if rest.is_empty() && !self.is_due() {
                return Ok(());
            }
            let take = self.step(rest, here, show)?;
            done = done.saturating_add(take);
        }
    }

    /// The last bytes of what was pushed, as far as they say nothing yet, or turned out to begin something else.
    pub fn pending(&self) -> &[u8] {
        match &self.state {
            State::Preface(have) => PREFACE.get(..*have).unwrap_or_default(),
            State::Header { bytes, have } => bytes.get(..*have).unwrap_or_default(),
            State::Padded | State::Priority(_) | State::Payload | State::Padding(_) => &[],
        }
    }

    /// The unit of a header field that is not whole yet, and where the field begins on the wire.
    pub fn field_at(&self) -> Option<(u32, u64)> {
        let stream = self.block.stream.filter(|_| !self.lost)?;
        let (_, at) = self.hpack.partial()?;
        Some((stream, at))
    }

    /// Shows what a receiver can decode of that field.
    pub fn show_unfinished(&self, show: &mut dyn FnMut(Item<'_>)) {
        let Some(unit) = self.block.stream.filter(|_| !self.lost) else {
            return;
        };
        if let Some((name, value, name_at, value_at)) = self.hpack.unfinished() {
            Field {
                name: &name,
                value: &value,
                name_at,
                value_at,
                end: value_at.saturating_add(value.len() as u64),
            }
            .show(unit, false, show);
        }
    }

    /// Whether the state moves on without a byte.
    fn is_due(&self) -> bool {
        match self.state {
            State::Payload => self.frame.left == 0,
            State::Padding(left) => left == 0,
            State::Preface(_) | State::Header { .. } | State::Padded | State::Priority(_) => false,
        }
    }

    fn step(
        &mut self,
        rest: &[u8],
        at: u64,
        show: &mut dyn FnMut(Item<'_>),
    ) -> Result<usize, Broken> {
        match self.state {
            State::Preface(have) => {
                let due = PREFACE.get(have..).unwrap_or_default();
                let same = due.iter().zip(rest).take_while(|(a, b)| a == b).count();
                if same < due.len().min(rest.len()) {
                    let at = at.saturating_sub(have as u64);
                    return Err(Broken { at });
                }
                self.state = if same == due.len() {
                    State::NEXT
                } else {
                    State::Preface(have.saturating_add(same))
                };
                Ok(same)
            }
            State::Header { mut bytes, have } => {
                let room = bytes.get_mut(have..).unwrap_or_default();
                let take = room.len().min(rest.len());
                for (slot, byte) in room.iter_mut().zip(rest) {
                    *slot = *byte;
                }
                let have = have.saturating_add(take);
                self.state = State::Header { bytes, have };
                if have == HEADER {
                    let start = at.saturating_add(take as u64).saturating_sub(HEADER as u64);
                    self.begin(bytes, start, show).ok_or(Broken { at: start })?;
                }
                Ok(take)
            }
            State::Padded => {
                let padding = usize::from(rest.first().copied().unwrap_or_default());
                let left = self.frame.left.saturating_sub(1);
                if padding > left {
                    return Err(Broken { at: self.frame.at });
                }
                self.frame.left = left.saturating_sub(padding);
                self.frame.padding = padding;
                self.state = self.after_padded();
                Ok(1)
            }
            State::Priority(due) => {
                let take = due.min(rest.len());
                let left = self.frame.left.checked_sub(take);
                self.frame.left = left.ok_or(Broken { at: self.frame.at })?;
                self.state = match due.saturating_sub(take) {
                    0 => State::Payload,
                    due => State::Priority(due),
                };
                Ok(take)
            }
            State::Payload => {
                let take = self.frame.left.min(rest.len());
                self.payload(rest.get(..take).unwrap_or_default(), at, show);
                self.frame.left = self.frame.left.saturating_sub(take);
                if self.frame.left == 0 {
                    self.state = State::Padding(self.frame.padding);
                }
                Ok(take)
            }
            State::Padding(left) => {
                let take = left.min(rest.len());
                if take > 0 {
                    show(Item::Text {
                        unit: self.frame.unit,
                        place: Place::Stream,
                        bytes: rest.get(..take).unwrap_or_default(),
                        at,
                    });
                }
                self.state = State::Padding(left.saturating_sub(take));
                if take == left {
                    self.end_frame(show);
                    self.state = State::NEXT;
                }
                Ok(take)
            }
        }
    }

    /// A frame's header is whole; `None` where a server would end the connection.
    fn begin(
        &mut self,
        header: [u8; HEADER],
        at: u64,
        show: &mut dyn FnMut(Item<'_>),
    ) -> Option<()> {
        let [high, mid, low, kind, flags, stream @ ..] = header;
        let left = u32::from_be_bytes([0, high, mid, low]) as usize;
        let stream = u32::from_be_bytes(stream) & !(1 << 31);
        let of_stream = stream != 0;
        let fits = match kind {
            DATA | HEADERS => of_stream,
            PRIORITY => of_stream && left == 5,
            RST_STREAM => of_stream && left == 4,
            SETTINGS => !of_stream && left.is_multiple_of(6),
            PUSH_PROMISE => false,
            PING => !of_stream && left == 8,
            GOAWAY => !of_stream && left >= 8,
            WINDOW_UPDATE => left == 4,
            CONTINUATION => self.block.stream == Some(stream),
            _ => true,
        };
        if !fits || (self.block.stream.is_some() && kind != CONTINUATION) {
            return None;
        }
        // What is about a stream without being part of its message is a unit of its own.
        let unit = match kind {
            DATA | HEADERS | CONTINUATION => stream,
            _ => 0,
        };
        self.frame = Frame {
            kind,
            flags,
            unit,
            stream,
            left,
            padding: 0,
            at,
        };
        self.state = match kind {
            DATA | HEADERS if flags & PADDED != 0 => State::Padded,
            _ => self.after_padded(),
        };
        match kind {
            HEADERS => {
                self.block = Block {
                    stream: Some(stream),
                    ends: flags & END_STREAM != 0,
                    ..Block::default()
                };
            }
            CONTINUATION => self.block.frames = self.block.frames.saturating_add(1),
            _ => {}
        }
        if !self.is_too_short_to_tell() {
            show(Item::Frame { unit, at });
        }
        if self.state_needs_a_byte_too_many() {
            return None;
        }
        Some(())
    }

    /// Whether the flags promise what the length leaves no room for.
    fn state_needs_a_byte_too_many(&self) -> bool {
        match self.state {
            State::Padded => self.frame.left == 0,
            State::Priority(due) => self.frame.left < due,
            State::Preface(_) | State::Header { .. } | State::Payload | State::Padding(_) => false,
        }
    }

    /// Whether the frame has no room for anything that is looked for: four or five bytes that servers check.
    fn is_too_short_to_tell(&self) -> bool {
        matches!(self.frame.kind, PRIORITY | RST_STREAM | WINDOW_UPDATE)
    }

    fn after_padded(&self) -> State {
        if self.frame.kind == HEADERS && self.frame.flags & PRIORITIZED != 0 {
            State::Priority(5)
        } else {
            State::Payload
        }
    }

    fn payload(&mut self, bytes: &[u8], at: u64, show: &mut dyn FnMut(Item<'_>)) {
        let unit = self.frame.unit;
        match self.frame.kind {
            _ if bytes.is_empty() => {}
            HEADERS | CONTINUATION => self.fields(bytes, at, show),
            PRIORITY | RST_STREAM | WINDOW_UPDATE => {}
            kind => show(Item::Text {
                unit,
                place: if kind == DATA {
                    Place::Body
                } else {
                    Place::Stream
                },
                bytes,
                at,
            }),
        }
    }

    /// The next bytes of a field section. Beyond what is shown of one, in whatever pieces it comes, they are a text as they
    /// stand.
    fn fields(&mut self, bytes: &[u8], at: u64, show: &mut dyn FnMut(Item<'_>)) {
        let room = MOST_BLOCK.saturating_sub(self.block.encoded);
        let (within, beyond) = bytes.split_at(room.min(bytes.len()));
        self.block.encoded = self.block.encoded.saturating_add(bytes.len());
        if !within.is_empty() {
            self.read_fields(within, at, show);
        }
        if beyond.is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.block.excess, true) {
            show(Item::Lost {
                unit: self.frame.unit,
            });
            if let Some((bytes, at)) = self.hpack.partial() {
                self.show_raw(bytes, at, show);
            }
        }
        self.read_fields(beyond, at.saturating_add(within.len() as u64), show);
    }

    fn read_fields(&mut self, bytes: &[u8], at: u64, show: &mut dyn FnMut(Item<'_>)) {
        if self.lost {
            return self.show_raw(bytes, at, show);
        }
        let unit = self.frame.unit;
        let Http2 { hpack, block, .. } = self;
        let mut raw_from = block.excess.then_some(at);
        let read = if block.frames <= MOST_FRAMES {
            hpack.push(bytes, at, &mut |field| {
                block.field(unit, field, show);
                if block.excess {
                    raw_from.get_or_insert(field.end);
                }
            })
        } else {
            hpack.keep(bytes, at);
            Err(Lost)
        };
        if read.is_err() {
            show(Item::Lost { unit });
            self.lost = true;
            let unread = std::mem::take(&mut self.hpack).into_partial();
            if let Some((bytes, at)) = unread.filter(|_| raw_from.is_none()) {
                self.show_raw(&bytes, at, show);
            }
        }
        if let Some(from) = raw_from {
            let shown = usize::try_from(from.saturating_sub(at)).unwrap_or(usize::MAX);
            self.show_raw(bytes.get(shown..).unwrap_or_default(), from, show);
        }
    }

    fn show_raw(&self, bytes: &[u8], at: u64, show: &mut dyn FnMut(Item<'_>)) {
        if !bytes.is_empty() {
            show(Item::Text {
                unit: self.frame.unit,
                place: Place::Stream,
                bytes,
                at,
            });
        }
    }

    fn end_frame(&mut self, show: &mut dyn FnMut(Item<'_>)) {
        let Frame {
            kind,
            flags,
            unit,
            stream,
            padding,
            ..
        } = self.frame;
        if padding > 0 {
            show(Item::Close {
                unit,
                place: Place::Stream,
            });
        }
        match kind {
            DATA if flags & END_STREAM != 0 => show(Item::End { unit }),
            DATA => {}
            HEADERS | CONTINUATION if flags & END_HEADERS != 0 => self.end_block(unit, show),
            HEADERS | CONTINUATION => {}
            RST_STREAM => show(Item::End { unit: stream }),
            PRIORITY | WINDOW_UPDATE => {}
            _ => show(Item::End { unit }),
        }
    }

    fn end_block(&mut self, unit: u32, show: &mut dyn FnMut(Item<'_>)) {
        let block = std::mem::take(&mut self.block);
        if let Some((bytes, at)) = self.hpack.partial() {
            show(Item::Lost { unit });
            show(Item::Text {
                unit,
                place: Place::Stream,
                bytes,
                at,
            });
            (self.lost, self.hpack) = (true, Decoder::default());
        }
        for place in [Place::Path, Place::Query, Place::Header, Place::Stream] {
            show(Item::Close { unit, place });
        }
        if block.expects {
            show(Item::Expect { unit });
        }
        if block.ends {
            show(Item::End { unit });
        }
    }
}

impl State {
    const NEXT: State = State::Header {
        bytes: [0; HEADER],
        have: 0,
    };
}

impl Block {
    fn field(&mut self, unit: u32, field: Field<'_>, show: &mut dyn FnMut(Item<'_>)) {
        let Field { name, value, .. } = field;
        if self.excess {
            return;
        }
        let size = name.len().saturating_add(value.len());
        self.decoded = self.decoded.saturating_add(size);
        if self.decoded > MOST_BLOCK {
            self.excess = true;
            show(Item::Lost { unit });
        }
        field.show(unit, true, show);
        match name {
            b":authority" | b"host" => show(Item::Authority(value)),
            b"expect" => self.expects |= value.eq_ignore_ascii_case(b"100-continue"),
            _ => {}
        }
    }
}

impl Field<'_> {
    /// The texts that a field is.
    fn show(&self, unit: u32, whole: bool, show: &mut dyn FnMut(Item<'_>)) {
        let Field {
            name,
            value,
            name_at,
            value_at,
            end: _,
        } = *self;
        let mut coded = |place, bytes, at| {
            show(Item::Coded {
                unit,
                place,
                bytes,
                at,
            });
        };
        match name {
            b":path" => {
                let split = memchr::memchr(b'?', value).map(|mark| mark.saturating_add(1));
                let (path, query) = value.split_at(split.unwrap_or(value.len()));
                coded(Place::Path, path, value_at);
                coded(Place::Query, query, value_at);
            }
            _ => {
                coded(Place::Header, name, name_at);
                coded(Place::Header, b": ", value_at);
                coded(Place::Header, value, value_at);
                if whole {
                    coded(Place::Header, b"\r\n", value_at);
                }
            }
        }
    }
}

/// Recognises the preface; its first two letters may as well begin a method.
pub(super) fn sniff(bytes: &[u8]) -> Option<Sniffed> {
    if bytes.starts_with(PREFACE) {
        return Some(Sniffed::Is(Protocol::Http2));
    }
    (bytes.len() > 2 && PREFACE.starts_with(bytes)).then_some(Sniffed::Maybe(Protocol::Http2))
}

/// What a client sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// As far as it looks like a request.
pub(super) const FIRST_LINE: &[u8] = b"PRI * HTTP/2.0\r\n";
const HEADER: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITIZED: u8 = 0x20;

/// Bytes of a field section, encoded as well as decoded, that are shown. Servers take 8 to 32 KiB.
const MOST_BLOCK: usize = 64 * 1024;
/// Frames of one field section.
const MOST_FRAMES: usize = 128;
