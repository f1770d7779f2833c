use super::{Broken, Item, Protocol, Sniffed};
use crate::event::Place;

/// Reads what an MQTT client sends (3.1.1 and 5.0, OASIS), from its CONNECT on, as the bytes come.
///
/// A packet is a unit: topics are its path, other strings its header, what is published its body.
#[derive(Default)]
pub struct Mqtt {
    state: State,
    /// First byte of the packet.
    first: u8,
    /// Bytes of the packet to come.
    left: usize,
    fields: Fields,
    /// Whether packets have properties, as they do from version 5 on.
    properties: bool,
    /// The fixed header so far, for whoever reads on if it is none.
    header: [u8; MOST_HEADER],
    have: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// The fixed header comes: the length so far.
    #[default]
    Fixed,
    /// A field begins, or the packet ends.
    Field,
    /// A number that says how a field goes on.
    Number {
        field: Field,
        value: usize,
        have: u32,
    },
    /// Bytes of a text.
    Text { place: Place, left: usize },
}

/// What a packet consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// A packet identifier, a time, or options: this many bytes.
    Bytes(u32),
    /// Version of the protocol.
    Level,
    /// What follows in a CONNECT.
    Flags,
    /// A string with two bytes of length in front.
    String(Place),
    /// Properties, with a variable length in front.
    Properties,
    /// Pairs of a topic and this many bytes, to the packet's end.
    Topics(u32),
    /// All that is left.
    Rest(Place),
}

/// Fields to come.
#[derive(Clone, Copy, Debug, Default)]
struct Fields {
    list: [Option<Field>; 8],
    next: usize,
}

impl Mqtt {
    /// Takes the next bytes, which stand at wire position `at`.
    pub fn push(
        &mut self,
        bytes: &[u8],
        at: u64,
        show: &mut dyn FnMut(Item<'_>),
    ) -> Result<(), Broken> {
        let mut done = 0usize;
        loop {
            while let State::Field = self.state {
                self.field(show);
            }
            let rest = bytes.get(done..).unwrap_or_default();
            let Some(byte) = rest.first().copied() else {
                return Ok(());
            };
            let here = at.saturating_add(done as u64);
            let take = match self.state {
                State::Fixed => {
                    self.fixed(byte, here, show)?;
                    1
                }
                State::Field => 0,
                State::Number { field, value, have } => {
                    self.left = self.left.saturating_sub(1);
                    self.number(field, value, have, byte);
                    1
                }
                State::Text { place, left } => {
                    let take = left.min(rest.len());
                    show(Item::Text {
                        unit: 0,
                        place,
                        bytes: rest.get(..take).unwrap_or_default(),
                        at: here,
                    });
                    self.left = self.left.saturating_sub(take);
                    self.text(place, left.saturating_sub(take), show);
                    take
                }
            };
            done = done.saturating_add(take);
        }
    }

    /// The last bytes of what was pushed, as far as they say nothing yet, or turned out to begin something else.
    pub fn pending(&self) -> &[u8] {
        self.header.get(..self.have).unwrap_or_default()
    }

    /// A byte of the fixed header (MQTT 5.0, 2.1).
    fn fixed(&mut self, byte: u8, at: u64, show: &mut dyn FnMut(Item<'_>)) -> Result<(), Broken> {
        let start = at.saturating_sub(self.have as u64);
        if let Some(slot) = self.header.get_mut(self.have) {
            *slot = byte;
        }
        self.have = self.have.saturating_add(1);
        if self.have == 1 {
            self.first = byte;
            self.left = 0;
            return if is_first(byte) {
                Ok(())
            } else {
                Err(Broken { at: start })
            };
        }
        let shift = self.have.saturating_sub(2).saturating_mul(7);
        self.left |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            self.have = 0;
            self.fields = self.fields_of_packet();
            self.state = State::Field;
            show(Item::Frame { unit: 0, at: start });
        } else if self.have == MOST_HEADER {
            return Err(Broken { at: start });
        }
        Ok(())
    }

    fn fields_of_packet(&self) -> Fields {
        use Field::{Bytes, Flags, Level, Rest, String, Topics};
        let properties = self.properties.then_some(Field::Properties);
        let identifier = Some(Bytes(2));
        let quality = self.first >> 1 & 3;
        let list = match self.first >> 4 {
            CONNECT => [Some(String(Place::Header)), Some(Level), Some(Flags), None],
            PUBLISH => [
                Some(String(Place::Path)),
                identifier.filter(|_| quality > 0),
                properties,
                Some(Rest(Place::Body)),
            ],
            SUBSCRIBE => [identifier, properties, Some(Topics(1)), None],
            UNSUBSCRIBE => [identifier, properties, Some(Topics(0)), None],
            _ => [Some(Rest(Place::Header)), None, None, None],
        };
        Fields::new(&list)
    }

    /// Begins the next field, or ends the packet.
    fn field(&mut self, show: &mut dyn FnMut(Item<'_>)) {
        if self.left == 0 {
            self.state = State::Fixed;
            return show(Item::End { unit: 0 });
        }
        // What no field is for is there all the same.
        let field = self.fields.next().unwrap_or(Field::Rest(Place::Stream));
        self.state = match field {
            Field::Rest(place) => State::Text {
                place,
                left: self.left,
            },
            field => State::Number {
                field,
                value: 0,
                have: 0,
            },
        };
    }

    /// A byte of a number.
    fn number(&mut self, field: Field, value: usize, have: u32, byte: u8) {
        let big_endian = value << 8 | usize::from(byte);
        let have = have.saturating_add(1);
        let more = |value| State::Number { field, value, have };
        self.state = match field {
            Field::Bytes(count) if have < count => more(0),
            Field::Bytes(_) => State::Field,
            Field::Level => {
                self.properties = byte >= 5;
                State::Field
            }
            // Flags, and two bytes of time.
            Field::Flags if have < 3 => more(big_endian),
            Field::Flags => {
                self.fields = self.fields_of_connect(big_endian >> 16);
                State::Field
            }
            Field::String(_) | Field::Topics(_) if have < 2 => more(big_endian),
            Field::String(place) => self.begin_text(place, big_endian),
            Field::Topics(options) => {
                let options = (options > 0).then_some(Field::Bytes(options));
                self.fields = Fields::new(&[options, Some(field)]);
                self.begin_text(Place::Path, big_endian)
            }
            Field::Properties => {
                let value =
                    value | usize::from(byte & 0x7f) << have.saturating_sub(1).saturating_mul(7);
                if byte & 0x80 != 0 && have < 4 {
                    more(value)
                } else {
                    self.begin_text(Place::Header, value)
                }
            }
            Field::Rest(place) => self.begin_text(place, self.left),
        };
        if self.left == 0 {
            self.state = State::Field;
        }
    }

    /// MQTT 5.0, 3.1.3.
    fn fields_of_connect(&self, flags: usize) -> Fields {
        let properties = self.properties.then_some(Field::Properties);
        let text = |place: Place| Some(Field::String(place));
        let will = flags & 0x04 != 0;
        Fields::new(&[
            properties,
            text(Place::Header),
            properties.filter(|_| will),
            text(Place::Path).filter(|_| will),
            text(Place::Body).filter(|_| will),
            text(Place::Header).filter(|_| flags & 0x80 != 0),
            text(Place::Header).filter(|_| flags & 0x40 != 0),
        ])
    }

    /// A text of `length` bytes begins; one that is longer than its packet is the rest of it.
    fn begin_text(&self, place: Place, length: usize) -> State {
        match length.min(self.left) {
            0 => State::Field,
            left => State::Text { place, left },
        }
    }

    fn text(&mut self, place: Place, left: usize, show: &mut dyn FnMut(Item<'_>)) {
        self.state = if left > 0 {
            State::Text { place, left }
        } else {
            show(Item::Close { unit: 0, place });
            State::Field
        };
    }
}

impl Fields {
    fn new(list: &[Option<Field>]) -> Self {
        let mut fields = Self::default();
        let present = list.iter().copied().flatten();
        for (slot, field) in fields.list.iter_mut().zip(present) {
            *slot = Some(field);
        }
        fields
    }

    fn next(&mut self) -> Option<Field> {
        let field = self.list.get(self.next).copied().flatten();
        self.next = self.next.saturating_add(1);
        field
    }
}

/// Whether a client's packet begins so (MQTT 5.0, 2.1.2 and 2.1.3).
fn is_first(byte: u8) -> bool {
    let flags = byte & 0x0f;
    match byte >> 4 {
        CONNECT | PUBACK | PUBREC | PUBCOMP | PINGREQ | DISCONNECT | AUTH => flags == 0,
        PUBLISH => flags & 0x06 != 0x06,
        PUBREL | SUBSCRIBE | UNSUBSCRIBE => flags == 2,
        _ => false,
    }
}

/// Recognises a CONNECT by its protocol name and version, the same in every version.
pub(super) fn sniff(bytes: &[u8]) -> Option<Sniffed> {
    let (&first, rest) = bytes.split_first()?;
    if first != CONNECT << 4 {
        return None;
    }
    let digits = rest.iter().take_while(|byte| **byte & 0x80 != 0).count();
    if digits > 3 {
        return None;
    }
    let name = rest.get(digits.saturating_add(1)..).unwrap_or_default();
    let versions: [&[u8]; 3] = [b"\0\x04MQTT\x04", b"\0\x04MQTT\x05", b"\0\x06MQIsdp\x03"];
    if versions.iter().any(|version| name.starts_with(version)) {
        return Some(Sniffed::Is(Protocol::Mqtt));
    }
    versions
        .iter()
        .any(|version| version.starts_with(name))
        .then_some(Sniffed::Maybe(Protocol::Mqtt))
}

/// One byte, and four of length.
const MOST_HEADER: usize = 5;
const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const PUBREC: u8 = 5;
const PUBREL: u8 = 6;
const PUBCOMP: u8 = 7;
const SUBSCRIBE: u8 = 8;
const UNSUBSCRIBE: u8 = 10;
const PINGREQ: u8 = 12;
const DISCONNECT: u8 = 14;
const AUTH: u8 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    type Text = (Place, String, u64);

    /// The texts of each packet and where they begin, and how it ended.
    fn packets(bytes: &[u8], step: usize) -> (Vec<Vec<Text>>, Result<(), Broken>) {
        let mut mqtt = Mqtt::default();
        let (mut packets, mut packet, mut text) = (Vec::new(), Vec::new(), (Vec::new(), 0));
        for (number, piece) in bytes.chunks(step).enumerate() {
            let pushed = mqtt.push(piece, (number * step) as u64, &mut |item| match item {
                Item::Text { bytes, at, .. } => {
                    if text.0.is_empty() {
                        text.1 = at;
                    }
                    text.0.extend(bytes);
                }
                Item::Close { place, .. } => {
                    let (bytes, at) = std::mem::take(&mut text);
                    packet.push((place, String::from_utf8_lossy(&bytes).into_owned(), at));
                }
                Item::End { .. } => packets.push(std::mem::take(&mut packet)),
                _ => {}
            });
            if pushed.is_err() {
                return (packets, pushed);
            }
        }
        (packets, Ok(()))
    }

    fn packet(first: u8, body: &[&[u8]]) -> Vec<u8> {
        let body = body.concat();
        let mut length = body.len();
        let mut packet = vec![first];
        loop {
            let digit = (length & 0x7f) as u8;
            length >>= 7;
            packet.push(digit | if length > 0 { 0x80 } else { 0 });
            if length == 0 {
                break;
            }
        }
        [packet, body].concat()
    }

    fn string(text: &str) -> Vec<u8> {
        [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
    }

    #[test]
    fn takes_packets_apart() {
        let text = |place, text: &str, at| (place, text.to_owned(), at);
        let long = "y".repeat(300);
        let four = [
            packet(
                0x10,
                &[
                    b"\0\x04MQTT\x04\xc6\0\x3c",
                    &string("id"),
                    &string("t/w"),
                    &string("gone"),
                    &string("u"),
                    &string("p"),
                ],
            ),
            packet(0x32, &[&string("a/b"), b"\0\x07", long.as_bytes()]),
            packet(
                0x82,
                &[b"\0\x08", &string("a/#"), b"\x01", &string("c"), b"\0"],
            ),
            packet(0xa2, &[b"\0\x09", &string("a/#"), &string("c")]),
            packet(0xc0, &[]),
        ]
        .concat();
        for step in [1, 2, 3, 7, 400] {
            let (packets, end) = packets(&four, step);
            assert_eq!(end, Ok(()));
            assert_eq!(
                packets,
                [
                    vec![
                        text(Place::Header, "MQTT", 4),
                        text(Place::Header, "id", 14),
                        text(Place::Path, "t/w", 18),
                        text(Place::Body, "gone", 23),
                        text(Place::Header, "u", 29),
                        text(Place::Header, "p", 32),
                    ],
                    vec![text(Place::Path, "a/b", 38), text(Place::Body, &long, 43)],
                    vec![text(Place::Path, "a/#", 349), text(Place::Path, "c", 355)],
                    vec![text(Place::Path, "a/#", 363), text(Place::Path, "c", 368)],
                    vec![],
                ],
                "in pieces of {step}"
            );
        }
    }

    #[test]
    fn skips_over_the_properties_of_version_5() {
        let bytes = [
            packet(
                0x10,
                &[
                    b"\0\x04MQTT\x05\x02\0\x3c",
                    b"\x05\x11\0\0\0\x0a",
                    &string("id"),
                ],
            ),
            packet(0x30, &[&string("a"), b"\x07\x26\0\x01k\0\x01v", b"payload"]),
            packet(0xe0, &[b"\x04", b"\0"]),
        ]
        .concat();
        for step in [1, 100] {
            let (packets, end) = packets(&bytes, step);
            assert_eq!(end, Ok(()));
            let texts: Vec<_> = packets[1]
                .iter()
                .map(|(place, text, _)| (*place, &**text))
                .collect();
            assert_eq!(packets[0][2].1, "id");
            assert_eq!(
                texts,
                [
                    (Place::Path, "a"),
                    (Place::Header, "&\0\x01k\0\x01v"),
                    (Place::Body, "payload")
                ]
            );
            assert_eq!(packets[2].len(), 1);
        }
    }

    #[test]
    fn shows_all_of_a_packet_that_contradicts_itself() {
        let connect = packet(0x10, &[b"\0\x04MQTT\x04\x02\0\x3c", &string("id")]);
        let wrong = packet(0x30, &[b"\xff\xffabc"]);
        let long = packet(0x10, &[b"\0\x04MQTT\x04\x02\0\x3c", &string("id"), b"tail"]);
        let (packets, end) = packets(&[connect, wrong, long].concat(), 5);
        assert_eq!(end, Ok(()));
        assert_eq!(packets[1], [(Place::Path, "abc".to_owned(), 20)]);
        assert_eq!(packets[2][2], (Place::Stream, "tail".to_owned(), 39));
    }

    #[test]
    fn ends_where_a_server_would() {
        let connect = packet(0x10, &[b"\0\x04MQTT\x04\x02\0\x3c", &string("id")]);
        for bad in [
            &b"GET / HTTP/1.1\r\n"[..],
            &[0x20, 2, 0, 0],
            &[0x36, 5],
            &[0x30, 0xff, 0xff, 0xff, 0xff],
        ] {
            for step in [1, 4, 100] {
                let (read, end) = packets(&[&connect, bad].concat(), step);
                let at = connect.len() as u64;
                assert_eq!((read.len(), end), (1, Err(Broken { at })), "{bad:x?}");
            }
        }
    }
}
