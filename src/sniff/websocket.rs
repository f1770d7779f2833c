use super::{Broken, Item, Protocol, Sniffed};
use crate::event::Place;

/// Reads the client's side of a WebSocket connection (RFC 6455, 5), after its handshake, as the bytes come.
///
/// A message is a unit, its fragments joined and unmasked; so is each control frame, which may stand between them.
#[derive(Default)]
pub struct WebSocket {
    header: [u8; MOST_HEADER],
    have: usize,
    /// Payload bytes to come.
    left: u64,
    /// Payload bytes that came.
    done: usize,
    /// Whether a message has begun and not ended.
    open: bool,
    /// Whether it is compressed, and where its payload begins.
    compressed: bool,
    start: u64,
}

impl WebSocket {
    /// Takes the next bytes, which stand at wire position `at`.
    pub fn push(
        &mut self,
        bytes: &[u8],
        at: u64,
        show: &mut dyn FnMut(Item<'_>),
    ) -> Result<(), Broken> {
        let mut rest = bytes;
        let mut at = at;
        while !rest.is_empty() {
            let take = if self.left > 0 {
                self.payload(rest, at, show)
            } else {
                self.begin(rest, at, show)?
            };
            rest = rest.get(take..).unwrap_or_default();
            at = at.saturating_add(take as u64);
        }
        Ok(())
    }

    /// The last bytes of what was pushed, as far as they say nothing yet, or turned out to begin something else.
    pub fn pending(&self) -> &[u8] {
        match self.left {
            0 => self.header.get(..self.have).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Takes bytes of a frame's header.
    fn begin(
        &mut self,
        rest: &[u8],
        at: u64,
        show: &mut dyn FnMut(Item<'_>),
    ) -> Result<usize, Broken> {
        let start = at.saturating_sub(self.have as u64);
        let mut take = 0usize;
        while let (Some(slot), Some(byte)) = (self.header.get_mut(self.have), rest.get(take)) {
            *slot = *byte;
            self.have = self.have.saturating_add(1);
            take = take.saturating_add(1);
            if !self.is_plausible() {
                return Err(Broken { at: start });
            }
            if self.have >= 2 && self.have == self.header_length() {
                self.frame(start, show);
                break;
            }
        }
        Ok(take)
    }

    /// Whether a server would take the header so far.
    fn is_plausible(&self) -> bool {
        let [first, second, length, ..] = self.header;
        let opcode = first & OPCODE;
        let follows = match opcode {
            CONTINUATION => self.open && first & COMPRESSED == 0,
            TEXT | BINARY => !self.open,
            CLOSE | PING | PONG => first & FINAL != 0 && first & COMPRESSED == 0,
            _ => false,
        };
        let short = second & LENGTH <= 125;
        follows
            && first & RESERVED == 0
            && (self.have < 2 || second & MASKED != 0 && (short || opcode < CLOSE))
            && (self.have < 3 || second & LENGTH < 127 || length & 0x80 == 0)
    }

    fn header_length(&self) -> usize {
        let [_, second, ..] = self.header;
        match second & LENGTH {
            126 => 8,
            127 => 14,
            _ => 6,
        }
    }

    /// A frame's header is whole.
    fn frame(&mut self, at: u64, show: &mut dyn FnMut(Item<'_>)) {
        let [first, second, a, b, c, d, e, f, g, h, ..] = self.header;
        self.left = match second & LENGTH {
            126 => u64::from(u16::from_be_bytes([a, b])),
            127 => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            short => u64::from(short),
        };
        self.done = 0;
        if self.is_data() && !self.open {
            self.open = true;
            self.compressed = first & COMPRESSED != 0;
            self.start = at.saturating_add(self.have as u64);
        }
        show(Item::Frame {
            unit: self.unit(),
            at,
        });
        if self.left == 0 {
            self.end(show);
        }
    }

    fn payload(&mut self, rest: &[u8], at: u64, show: &mut dyn FnMut(Item<'_>)) -> usize {
        let take = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(rest.len());
        let key = self.key();
        let place = if self.is_data() {
            Place::Body
        } else {
            Place::Stream
        };
        let mut clear = [0; UNMASKED_AT_ONCE];
        let mut at = at;
        for piece in rest.get(..take).unwrap_or_default().chunks(clear.len()) {
            // The key is four bytes long.
            let mask = key.iter().cycle().skip(self.done & 3);
            for ((slot, byte), mask) in clear.iter_mut().zip(piece).zip(mask) {
                *slot = byte ^ mask;
            }
            let unit = self.unit();
            let bytes = clear.get(..piece.len()).unwrap_or_default();
            show(if self.is_data() && self.compressed {
                let at = self.start;
                Item::Deflated { unit, bytes, at }
            } else {
                Item::Text {
                    unit,
                    place,
                    bytes,
                    at,
                }
            });
            at = at.saturating_add(piece.len() as u64);
            self.done = self.done.wrapping_add(piece.len());
        }
        self.left = self.left.saturating_sub(take as u64);
        if self.left == 0 {
            self.end(show);
        }
        take
    }

    fn end(&mut self, show: &mut dyn FnMut(Item<'_>)) {
        let [first, ..] = self.header;
        if first & FINAL != 0 {
            if self.is_data() && self.compressed {
                show(Item::Deflated {
                    unit: self.unit(),
                    bytes: END_OF_DEFLATE,
                    at: self.start,
                });
            }
            show(Item::End { unit: self.unit() });
            self.open &= !self.is_data();
        }
        self.have = 0;
    }

    fn is_data(&self) -> bool {
        let [first, ..] = self.header;
        first & OPCODE < CLOSE
    }

    fn unit(&self) -> u32 {
        u32::from(!self.is_data())
    }

    /// The masking key: the last four bytes of the header.
    fn key(&self) -> [u8; 4] {
        let start = self.header_length().saturating_sub(4);
        let key = self.header.get(start..).unwrap_or_default();
        key.first_chunk().copied().unwrap_or_default()
    }
}

/// Recognises the first frame after a handshake.
pub(super) fn sniff(bytes: &[u8]) -> Option<Sniffed> {
    let begins = |first: &u8| {
        matches!(first & OPCODE, TEXT | BINARY | CLOSE..=PONG) && first & RESERVED == 0
    };
    match bytes {
        [first, second, ..] => {
            (begins(first) && second & MASKED != 0).then_some(Sniffed::Is(Protocol::WebSocket))
        }
        // A compressed fragment's first byte may as well be a letter.
        [first] => (begins(first) && !first.is_ascii_alphabetic())
            .then_some(Sniffed::Maybe(Protocol::WebSocket)),
        [] => None,
    }
}

const MOST_HEADER: usize = 14;
const FINAL: u8 = 0x80;
/// RSV1: the message is compressed (RFC 7692, 6).
const COMPRESSED: u8 = 0x40;
const RESERVED: u8 = 0x30;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// What the sender leaves out (RFC 7692, 7.2.1).
const END_OF_DEFLATE: &[u8] = b"\0\0\xff\xff";
/// Bytes shown in one piece; a multiple of the key's length is not needed.
const UNMASKED_AT_ONCE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, text: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match text.len() {
            length @ ..126 => frame.push(MASKED | length as u8),
            length @ ..0x1_0000 => {
                frame.push(MASKED | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(MASKED | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        let key = [0x37, 0xfa, 0x21, 0x3d];
        frame.extend(key);
        frame.extend(text.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b));
        frame
    }

    /// Where a unit begins, and its text.
    type Unit = (u64, Vec<u8>);

    /// The whole units, and how it ended.
    fn units(bytes: &[u8], step: usize) -> (Vec<Unit>, Result<(), Broken>) {
        let mut socket = WebSocket::default();
        let mut open = [(0, Vec::new()), (0, Vec::new())];
        let mut units = Vec::new();
        for (number, piece) in bytes.chunks(step).enumerate() {
            let pushed = socket.push(piece, (number * step) as u64, &mut |item| match item {
                Item::Frame { unit, at } if open[unit as usize].1.is_empty() => {
                    open[unit as usize].0 = at;
                }
                Item::Text { unit, bytes, .. } => open[unit as usize].1.extend(bytes),
                Item::End { unit } => units.push(std::mem::take(&mut open[unit as usize])),
                _ => {}
            });
            if pushed.is_err() {
                return (units, pushed);
            }
        }
        (units, Ok(()))
    }

    #[test]
    fn reads_the_example_of_the_standard() {
        // RFC 6455, 5.7: a masked text message.
        let bytes = [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        for step in 1..12 {
            assert_eq!(units(&bytes, step), (vec![(0, b"Hello".to_vec())], Ok(())));
        }
    }

    #[test]
    fn joins_fragments_around_control_frames() {
        let long = vec![b'x'; 70_000];
        let bytes = [
            frame(TEXT, b"Hel"),
            frame(FINAL | PING, b"are you there"),
            frame(CONTINUATION, b""),
            frame(FINAL, b"lo"),
            frame(FINAL | BINARY, &long[..300]),
            frame(FINAL | BINARY, &long),
            frame(FINAL | CLOSE, b""),
        ]
        .concat();
        for step in [1, 2, 3, 7, 1000, bytes.len()] {
            let (units, end) = units(&bytes, step);
            let texts: Vec<_> = units.iter().map(|(_, text)| text.as_slice()).collect();
            assert_eq!(
                texts,
                [b"are you there", &b"Hello"[..], &long[..300], &long, b""],
                "in pieces of {step}"
            );
            assert_eq!(end, Ok(()));
        }
    }

    #[test]
    fn ends_where_a_server_would() {
        let good = frame(FINAL | TEXT, b"good");
        for bad in [
            &[0x81, 0x05, b'H'][..], // not masked
            &[0x80, 0x85],           // nothing to continue
            &[0x91, 0x85],           // reserved
            &[0x83, 0x85],           // no such opcode
            &[0x09, 0x85],           // a control frame in fragments
            &[0x89, 0xfe],           // a long one
            &[0x82, 0xff, 0x80],     // longer than anything
            b"GET / HTTP/1.1\r\n\r\n",
        ] {
            let bytes = [&good[..], bad].concat();
            for step in [1, 3, 100] {
                let (units, end) = units(&bytes, step);
                let at = good.len() as u64;
                assert_eq!((units.len(), end), (1, Err(Broken { at })), "{bad:x?}");
            }
        }
    }
}
