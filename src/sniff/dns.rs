use std::ops::Range;

use super::{Protocol, Sniffed};

/// The names that a DNS query (RFC 1035, 4.1) asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Questions {
    /// Each name on the wire, from its first length byte to before the root's.
    pub names: Vec<Range<usize>>,
    /// Where the question section ends.
    pub end: usize,
}

impl Questions {
    /// Reads the question section of a query; `None` for anything else.
    pub fn parse(message: &[u8]) -> Option<Questions> {
        let (header, _) = message.split_first_chunk::<HEADER>()?;
        let &[_, _, flags, _, high, low, ..] = header;
        let count = u16::from_be_bytes([high, low]);
        if flags & RESPONSE != 0 || !(1..=MOST_QUESTIONS).contains(&count) {
            return None;
        }
        let mut names = Vec::new();
        let mut at = HEADER;
        for _ in 0..count {
            let root = end_of_name(message, at)?;
            names.push(at..root);
            at = root.checked_add(TYPE_AND_CLASS)?;
        }
        (at <= message.len()).then_some(Questions { names, end: at })
    }

    /// A name with a dot for each length byte but the first: byte `i` stands for wire byte `i + 1` of the name.
    pub fn dotted(name: &[u8]) -> Vec<u8> {
        let mut text = name.to_vec();
        for at in label_starts(name) {
            if let Some(length) = text.get_mut(at) {
                *length = b'.';
            }
        }
        text.drain(..text.len().min(1));
        text
    }

    /// A name's labels without anything between them, and the wire index in the name of each byte.
    pub fn joined(name: &[u8]) -> (Vec<u8>, Vec<usize>) {
        let starts: Vec<usize> = label_starts(name).collect();
        name.iter()
            .enumerate()
            .filter(|(at, _)| starts.binary_search(at).is_err())
            .map(|(at, byte)| (*byte, at))
            .unzip()
    }
}

/// Whether queries are expected at this port: DNS and multicast DNS.
pub fn is_dns_port(port: u16) -> bool {
    matches!(port, 53 | 5353)
}

/// A query with its length in front.
pub(super) fn sniff_framed(bytes: &[u8]) -> Option<Sniffed> {
    let long_enough = match bytes {
        [high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])) > HEADER,
        _ => true,
    };
    let query = bytes.get(4).is_none_or(|flags| flags & RESPONSE == 0);
    let asks = match bytes.get(6..8) {
        Some(count) => matches!(count, [0, 1..=4]),
        None => true,
    };
    if !(long_enough && query && asks) {
        return None;
    }
    Some(if bytes.len() >= 8 {
        Sniffed::Is(Protocol::Dns)
    } else {
        Sniffed::Maybe(Protocol::Dns)
    })
}

fn end_of_name(message: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        match message.get(at)? {
            0 => return Some(at),
            length @ 1..=63 => at = at.checked_add(usize::from(*length))?.checked_add(1)?,
            _ => return None,
        }
        if at.saturating_sub(start) > MOST_NAME {
            return None;
        }
    }
}

/// Indices of the length bytes of a name that [`end_of_name`] accepted.
fn label_starts(name: &[u8]) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(0usize), |at| {
        at.checked_add(usize::from(*name.get(*at)?))?.checked_add(1)
    })
    .take_while(|at| *at < name.len())
}

const HEADER: usize = 12;
const RESPONSE: u8 = 0x80;
const TYPE_AND_CLASS: usize = 5;
const MOST_NAME: usize = 255;
/// Resolvers answer one question; a few more are read, since a sender is free to ask.
const MOST_QUESTIONS: u16 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn query(names: &[&str]) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 1, 0, 0, names.len() as u8, 0, 0, 0, 0, 0, 0];
        for name in names {
            for label in name.split('.') {
                message.push(label.len() as u8);
                message.extend(label.as_bytes());
            }
            message.extend([0, 0, 1, 0, 1]);
        }
        message
    }

    #[test]
    fn reads_names_with_and_without_dots() {
        let message = query(&["4901542.03237518.t.example"]);
        let questions = Questions::parse(&message).unwrap();
        assert_eq!(questions.end, message.len());
        let name = &message[questions.names[0].clone()];
        assert_eq!(Questions::dotted(name), b"4901542.03237518.t.example");
        let (joined, wire) = Questions::joined(name);
        assert_eq!(joined, b"490154203237518texample");
        assert_eq!((wire[0], wire[6], wire[7]), (1, 7, 9));
    }

    #[test]
    fn refuses_what_is_no_query() {
        let good = query(&["a.example", "b.example"]);
        assert_eq!(Questions::parse(&good).unwrap().names.len(), 2);
        for cut in 0..good.len() {
            assert_eq!(Questions::parse(&good[..cut]), None, "cut at {cut}");
        }
        let mut response = good.clone();
        response[2] |= 0x80;
        let mut pointer = good.clone();
        pointer[12] = 0xc0;
        assert_eq!(Questions::parse(&response), None);
        assert_eq!(Questions::parse(&pointer), None);
    }

    #[test]
    fn reads_a_root_name() {
        let message = query(&[""]);
        let root = [&message[..12], &[0, 0, 1, 0, 1]].concat();
        let questions = Questions::parse(&root).unwrap();
        assert_eq!(Questions::dotted(&root[questions.names[0].clone()]), b"");
    }
}
