use std::ops::Range;

/// A CoAP message (RFC 7252, 3), taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coap {
    /// The fixed header and the token.
    pub head: Range<usize>,
    /// Segments of the path.
    pub path: Vec<Range<usize>>,
    /// Arguments of the query.
    pub query: Vec<Range<usize>>,
    /// Names of the destination.
    pub hosts: Vec<Range<usize>>,
    /// Values of the other options.
    pub options: Vec<Range<usize>>,
    /// The payload.
    pub payload: Range<usize>,
}

impl Coap {
    /// Reads a datagram towards `port`; `None` for what is not CoAP in every byte. Where the port is CoAP's own, options that
    /// are not known here may be in it.
    pub fn parse(message: &[u8], port: u16) -> Option<Coap> {
        // Other datagrams begin like CoAP too: room for options is only made once all of them are good.
        let (head, payload) = read(message, port, &mut |_, _| {})?;
        let mut coap = Coap {
            head,
            payload,
            ..Coap::default()
        };
        read(message, port, &mut |number, value| {
            coap.option(number, value);
        })?;
        Some(coap)
    }

    fn option(&mut self, number: usize, value: Range<usize>) {
        let list = match number {
            URI_HOST => &mut self.hosts,
            URI_PATH => &mut self.path,
            URI_QUERY => &mut self.query,
            _ => &mut self.options,
        };
        list.push(value);
    }
}

/// Shows number and value of every option; returns where head and payload are.
fn read(
    message: &[u8],
    port: u16,
    show: &mut dyn FnMut(usize, Range<usize>),
) -> Option<(Range<usize>, Range<usize>)> {
    let (&[first, code, ..], _) = message.split_first_chunk::<HEADER>()?;
    let token = usize::from(first & 0x0f);
    let (class, detail) = (code >> 5, code & 0x1f);
    let says_something = match class {
        0 => (1..=7).contains(&detail),
        2 => matches!(detail, 1..=5 | 31),
        4 => detail <= 29,
        5 => detail <= 8,
        _ => false,
    };
    if first >> 6 != VERSION || token > MOST_TOKEN || !says_something {
        return None;
    }
    let mut at = HEADER.checked_add(token)?;
    message.get(..at)?;
    let head = 0..at;
    let mut number = 0usize;
    for _ in 0..MOST_OPTIONS {
        let Some(byte) = message.get(at).copied() else {
            return Some((head, message.len()..message.len()));
        };
        at = at.checked_add(1)?;
        if byte == PAYLOAD {
            let payload = at..message.len();
            return (!payload.is_empty()).then_some((head, payload));
        }
        let delta = extended(message, byte >> 4, &mut at)?;
        let length = extended(message, byte & 0x0f, &mut at)?;
        number = number.checked_add(delta)?;
        let value = at..at.checked_add(length)?;
        message.get(value.clone())?;
        at = value.end;
        if !fits(number, length, port) {
            return None;
        }
        show(number, value);
    }
    None
}

/// Whether a value of this length can be that of an option.
fn fits(number: usize, length: usize, port: u16) -> bool {
    let elective = number.is_multiple_of(2) && port == PORT;
    let known = KNOWN.iter().find(|(known, _)| *known == number);
    known.map_or(elective, |(_, most)| length <= *most)
}

/// A nibble of an option's first byte, with the bytes that extend it (RFC 7252, 3.1).
fn extended(message: &[u8], nibble: u8, at: &mut usize) -> Option<usize> {
    let rest = message.get(*at..)?;
    let (value, length) = match (nibble, rest) {
        (13, [byte, ..]) => (usize::from(*byte).checked_add(13)?, 1),
        (14, [high, low, ..]) => {
            let value = u16::from_be_bytes([*high, *low]);
            (usize::from(value).checked_add(269)?, 2)
        }
        (13..=15, _) => return None,
        (nibble, _) => (usize::from(nibble), 0),
    };
    *at = at.checked_add(length)?;
    Some(value)
}

const VERSION: u8 = 1;
const HEADER: usize = 4;
const MOST_TOKEN: usize = 8;
const PAYLOAD: u8 = 0xff;
const PORT: u16 = 5683;
/// Options of one message.
const MOST_OPTIONS: usize = 64;
const URI_HOST: usize = 3;
const URI_PATH: usize = 11;
const URI_QUERY: usize = 15;
/// Option numbers and the longest value of each (IANA's registry; RFC 7252, 7641, 7959, 8613, 8768, 9175 and 9668).
const KNOWN: [(usize, usize); 25] = [
    (1, 8),
    (URI_HOST, 255),
    (4, 8),
    (5, 0),
    (6, 3),
    (7, 2),
    (8, 255),
    (9, 255),
    (URI_PATH, 255),
    (12, 2),
    (13, 255),
    (14, 4),
    (URI_QUERY, 255),
    (16, 1),
    (17, 2),
    (19, 3),
    (20, 255),
    (21, 0),
    (23, 3),
    (27, 3),
    (28, 4),
    (35, 1034),
    (39, 255),
    (60, 4),
    (252, 40),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn text<'a>(message: &'a [u8], ranges: &[Range<usize>]) -> Vec<&'a str> {
        let text = |range: &Range<usize>| std::str::from_utf8(&message[range.clone()]).unwrap();
        ranges.iter().map(text).collect()
    }

    #[test]
    fn takes_a_request_apart() {
        let message = b"\x42\x02\x12\x34tk\x39c.example\x82rd\x02v1\x11\x28\x34ep=x\x0d\x02lt=300-and-more\xffpayload";
        let coap = Coap::parse(message, 9).unwrap();
        assert_eq!(text(message, &coap.hosts), ["c.example"]);
        assert_eq!(text(message, &coap.path), ["rd", "v1"]);
        assert_eq!(text(message, &coap.query), ["ep=x", "lt=300-and-more"]);
        assert_eq!(text(message, &coap.options), ["("]);
        assert_eq!(&message[coap.head], b"\x42\x02\x12\x34tk");
        assert_eq!(&message[coap.payload], b"payload");
        for cut in 6..message.len() {
            let whole = Coap::parse(&message[..cut], 9).is_some();
            let ends = [6, 16, 19, 22, 24, 29, 46].contains(&cut) || cut > 47;
            assert_eq!(whole, ends, "cut at {cut}");
        }
    }

    #[test]
    fn refuses_what_is_none() {
        for message in [
            &b""[..],
            b"\x40\x02\x12",
            b"\x80\x02\x12\x34",          // version 2
            b"\x49\x02\x12\x34tokentoke", // a token of nine bytes
            b"\x40\x00\x12\x34",          // empty
            b"\x40\x22\x12\x34",          // class 1
            b"\x40\x02\x12\x34\xff",      // a payload of no bytes
            b"\x40\x02\x12\x34\xb2n",     // an option that is cut
            b"\x40\x02\x12\x34\xf0",      // a reserved delta
            b"\x40\x02\x12\x34\x2f",      // a reserved length
            b"\x40\x02\x12\x34\x21x",     // option 2
            b"\x40\x02\x12\x34\x51x",     // a flag with a value
            b"POST / HTTP/1.1\r\n\r\n",
            br#"{"imei":"490154203237518"}"#,
        ] {
            assert_eq!(Coap::parse(message, 9), None, "{}", message.escape_ascii());
        }
        assert!(Coap::parse(b"\x40\x02\x12\x34\x21x", PORT).is_some());
    }
}
