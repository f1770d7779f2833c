use super::{Protocol, Sniffed};

/// Walks TLS records (RFC 8446, 5.1) without looking inside them.
#[derive(Clone, Debug, Default)]
pub struct Records {
    header: [u8; HEADER],
    have: usize,
    left: usize,
    encrypted: bool,
}

/// What the next bytes of a record stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// This many bytes of a header.
    Header(usize),
    /// This many bytes of handshake messages in clear.
    Clear(usize),
    /// This many bytes that only the peer can read.
    Opaque(usize),
    /// More bytes are needed.
    More,
    /// No record begins here.
    Broken,
}

impl Records {
    /// Takes the next piece from the front of `bytes`.
    pub fn next(&mut self, bytes: &[u8]) -> Record {
        if bytes.is_empty() {
            return Record::More;
        }
        if self.left > 0 {
            let take = self.left.min(bytes.len());
            self.left = self.left.saturating_sub(take);
            return if self.is_clear() {
                Record::Clear(take)
            } else {
                Record::Opaque(take)
            };
        }
        if self.have == HEADER {
            self.have = 0;
        }
        let before = self.have;
        let room = self.header.get_mut(before..).unwrap_or_default();
        let take = room.len().min(bytes.len());
        for (slot, byte) in room.iter_mut().zip(bytes) {
            *slot = *byte;
        }
        self.have = before.saturating_add(take);
        match length(self.header.get(..self.have).unwrap_or_default()) {
            Length::No => {
                self.have = before;
                Record::Broken
            }
            Length::Unknown => Record::Header(take),
            Length::Is(left) => {
                self.left = left;
                self.encrypted |= self.kind() != HANDSHAKE;
                Record::Header(take)
            }
        }
    }

    /// Puts the last `count` bytes of a record back.
    pub fn unread(&mut self, count: usize) {
        self.left = self.left.saturating_add(count);
    }

    /// The bytes of a header that is not whole yet.
    pub fn partial_header(&self) -> &[u8] {
        if self.have < HEADER {
            self.header.get(..self.have).unwrap_or_default()
        } else {
            &[]
        }
    }

    fn is_clear(&self) -> bool {
        !self.encrypted && self.kind() == HANDSHAKE
    }

    fn kind(&self) -> u8 {
        self.header.first().copied().unwrap_or_default()
    }
}

/// The index of the first byte of a record that begins with a ClientHello.
pub fn find_hello(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find_iter(bytes, &[HANDSHAKE, 3]).find(|&at| {
        matches!(bytes.get(at..), Some(&[_, _, 0..=4, a, b, 1, 0, c, d, 3, 0..=4, ..])
            if (1..=MOST_PLAIN).contains(&usize::from(u16::from_be_bytes([a, b])))
                && usize::from(u16::from_be_bytes([c, d])) >= SHORTEST_HELLO)
    })
}

/// Bytes that [`find_hello`] looks at, from the first of the record.
pub const HELLO_HEAD: usize = 11;

pub(super) fn sniff(bytes: &[u8]) -> Option<Sniffed> {
    match length(bytes) {
        _ if bytes.is_empty() => None,
        Length::No => None,
        Length::Unknown => Some(Sniffed::Maybe(Protocol::Tls)),
        Length::Is(_) => Some(Sniffed::Is(Protocol::Tls)),
    }
}

enum Length {
    No,
    Unknown,
    Is(usize),
}

/// The length that the beginning of a record announces.
fn length(header: &[u8]) -> Length {
    let kind = header
        .first()
        .is_none_or(|kind| (CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(kind));
    let major = header.get(1).is_none_or(|major| *major == 3);
    let minor = header.get(2).is_none_or(|minor| *minor <= 4);
    if !(kind && major && minor) {
        return Length::No;
    }
    let (Some(&kind), Some(&high), Some(&low)) = (header.first(), header.get(3), header.get(4))
    else {
        return Length::Unknown;
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let least = usize::from(kind != APPLICATION_DATA);
    if (least..=MOST_ENCRYPTED).contains(&length) {
        Length::Is(length)
    } else {
        Length::No
    }
}

const HEADER: usize = 5;
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
/// 2^14 bytes of plaintext.
const MOST_PLAIN: usize = 1 << 14;
/// 2^14 + 2048, the bound of TLS 1.2 (RFC 5246, 6.2.3), the widest of all versions.
const MOST_ENCRYPTED: usize = MOST_PLAIN + 2048;
/// Version, random, and the lengths of an empty session id and two of the shortest lists.
const SHORTEST_HELLO: usize = 39;

#[cfg(test)]
mod tests {
    use super::{Record::*, *};

    fn records(stream: &[u8], step: usize) -> (usize, usize, usize, bool) {
        let (mut machine, mut clear, mut opaque, mut at) = (Records::default(), 0, 0, 0);
        let mut broken = false;
        for end in (0..stream.len())
            .step_by(step)
            .skip(1)
            .chain([stream.len()])
        {
            while at < end && !broken {
                match machine.next(&stream[at..end]) {
                    Header(n) => at += n,
                    Clear(n) => (at, clear) = (at + n, clear + n),
                    Opaque(n) => (at, opaque) = (at + n, opaque + n),
                    More => break,
                    Broken => broken = true,
                }
            }
        }
        (clear, opaque, at - machine.partial_header().len(), broken)
    }

    #[test]
    fn tells_clear_from_opaque_whatever_the_pieces() {
        let mut stream = Vec::new();
        for (kind, length) in [
            (22u8, 300u16),
            (20, 1),
            (22, 40),
            (23, 1000),
            (23, 0),
            (21, 2),
        ] {
            stream.extend([kind, 3, 3]);
            stream.extend(length.to_be_bytes());
            stream.resize(stream.len() + usize::from(length), kind);
        }
        let framed = stream.len();
        stream.extend(b"cleartext after all");
        for step in [1, 2, 3, 5, 7, 100, 5000] {
            assert_eq!(
                records(&stream, step),
                (300, 1043, framed, true),
                "pieces of {step}"
            );
        }
    }

    #[test]
    fn finds_a_hello_anywhere_and_nothing_else() {
        let mut hello = vec![22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];
        let mut stream = b"EHLO a\r\nSTARTTLS\r\n\x16\x03".to_vec();
        assert_eq!(find_hello(&stream), None);
        let at = stream.len();
        stream.append(&mut hello);
        assert_eq!(find_hello(&stream), Some(at));
        assert_eq!(HELLO_HEAD, stream.len() - at);
        stream.pop();
        assert_eq!(find_hello(&stream), None);
    }
}
