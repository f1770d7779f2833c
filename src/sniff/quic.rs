use super::initial::{Input, V2};

/// Whether a datagram is a QUIC packet with a long header (RFC 9000, 17.2) of a known version.
pub fn is_long_header(datagram: &[u8]) -> bool {
    Head::parse(datagram).is_some()
}

/// Whether a datagram of a flow that spoke QUIC can be one with a short header (RFC 9000, 17.3). Text cannot.
pub fn is_short_header(datagram: &[u8]) -> bool {
    let fixed_bit = datagram.first().is_some_and(|first| first & 0xc0 == 0x40);
    let text = datagram.get(..SHORTEST).is_some_and(|start| {
        start
            .iter()
            .all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e))
    });
    fixed_bit && datagram.len() >= SHORTEST && !text
}

/// A packet with a long header, at the front of a datagram.
pub(super) struct Long<'a> {
    pub(super) version: u32,
    /// The id that the receiver is called by.
    pub(super) destination: &'a [u8],
    /// From the packet's first byte to the datagram's end.
    pub(super) bytes: &'a [u8],
    /// Where the packet number begins.
    pub(super) number_at: usize,
    /// Where the packet ends.
    pub(super) end: usize,
    kind: Kind,
}

/// Type of a long packet, whatever its number in the version at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Initial,
    ZeroRtt,
    Handshake,
    Retry,
}

/// What all long headers begin with.
struct Head<'a> {
    first: u8,
    version: u32,
    destination: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Head<'a> {
    fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (&[first, a, b, c, d], rest) = datagram.split_first_chunk::<5>()?;
        let version = u32::from_be_bytes([a, b, c, d]);
        let known = matches!(version, 1 | V2) || version >> 8 == 0x00ff_0000;
        let mut input = Input(rest);
        let mut id = || {
            let length = usize::from(*input.take(1)?.first()?);
            input.take(length).filter(|id| id.len() <= MOST_ID)
        };
        let (destination, _source) = (id()?, id()?);
        (first & 0xc0 == 0xc0 && known).then_some(Self {
            first,
            version,
            destination,
            rest: input.0,
        })
    }
}

impl<'a> Long<'a> {
    /// Reads the packet at the front of `bytes`, if it tells its length.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let head = Head::parse(bytes)?;
        let number = head.first >> 4 & 3;
        // RFC 9369, 3.2: the types are numbered anew.
        let number = match head.version {
            V2 => number.wrapping_sub(1) & 3,
            _ => number,
        };
        let kind = match number {
            0 => Kind::Initial,
            1 => Kind::ZeroRtt,
            2 => Kind::Handshake,
            _ => Kind::Retry,
        };
        let mut input = Input(head.rest);
        match kind {
            Kind::Initial => {
                let token = usize::try_from(input.varint()?).ok()?;
                input.take(token)?;
            }
            Kind::ZeroRtt | Kind::Handshake => {}
            Kind::Retry => return None,
        }
        let length = usize::try_from(input.varint()?).ok()?;
        let number_at = bytes.len().checked_sub(input.0.len())?;
        input.take(length)?;
        Some(Self {
            version: head.version,
            destination: head.destination,
            bytes,
            number_at,
            end: number_at.checked_add(length)?,
            kind,
        })
    }

    pub(super) fn is_initial(&self) -> bool {
        self.kind == Kind::Initial
    }
}

/// Longest connection id (RFC 9000, 17.2).
const MOST_ID: usize = 20;
/// Smallest packet that can be told from a stateless reset (RFC 9000, 10.3).
const SHORTEST: usize = 21;

#[cfg(test)]
mod tests {
    use super::*;

    fn long(first: u8, version: u32, destination: u8) -> Vec<u8> {
        let mut packet = vec![first];
        packet.extend(version.to_be_bytes());
        packet.push(destination);
        packet.resize(packet.len() + usize::from(destination), 0xaa);
        packet.push(0);
        packet.resize(1200, 0x55);
        packet
    }

    #[test]
    fn knows_long_headers_of_known_versions() {
        for (first, version, destination, expected) in [
            (0xc3, 1, 8, true),
            (0xd0, 0x6b33_43cf, 20, true),
            (0xe0, 0xff00_001d, 0, true),
            (0xc3, 1, 21, false),
            (0x43, 1, 8, false),
            (0xc3, 7, 8, false),
        ] {
            assert_eq!(
                is_long_header(&long(first, version, destination)),
                expected,
                "{first:x} {version:x}"
            );
        }
        assert!(!is_long_header(&long(0xc3, 1, 8)[..10]));
        assert!(!is_long_header(b""));
    }

    #[test]
    fn does_not_take_text_for_a_short_header() {
        assert!(is_short_header(&[
            0x4f, 1, 2, 3, 0xff, 0xfe, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20
        ]));
        assert!(!is_short_header(br#"POST {"imei":"490154203237518"}"#));
        assert!(!is_short_header(&[0x4f, 1, 2]));
    }
}
