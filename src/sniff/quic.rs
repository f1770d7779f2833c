/// Whether a datagram is a QUIC packet with a long header (RFC 9000, 17.2) of a known version.
pub fn is_long_header(datagram: &[u8]) -> bool {
    let Some((&[first, a, b, c, d, ids], rest)) = datagram.split_first_chunk::<6>() else {
        return false;
    };
    let version = u32::from_be_bytes([a, b, c, d]);
    let known = matches!(version, 1 | 0x6b33_43cf) || version >> 8 == 0x00ff_0000;
    let destination = usize::from(ids);
    let source = rest.get(destination).map(|length| usize::from(*length));
    first & 0xc0 == 0xc0
        && known
        && destination <= MOST_ID
        && source.is_some_and(|source| source <= MOST_ID)
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
