use etherparse::{
    IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6Header,
    PacketBuilder, TcpOptionElement,
};
use proptest::prelude::*;

use super::*;
use crate::wire::{MAX_HEADER, TcpOut, emit_echo, emit_tcp, emit_udp};

const V4: ([u8; 4], [u8; 4]) = ([192, 0, 2, 1], [203, 0, 113, 9]);
const V6: ([u8; 16], [u8; 16]) = (v6(1), v6(2));

const fn v6(last: u8) -> [u8; 16] {
    [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]
}

/// Anchor R16: nothing is read or written as if it lay at an even address (tests/on-arm runs this on 32-bit ARM).
#[test]
fn r16_packets_are_read_and_written_wherever_they_lie() {
    let packet = v4_tcp(b"payload");
    let read = |bytes: &[u8]| match parse(bytes, Checksum::Verify) {
        Ok(Packet::Tcp(segment)) => (segment.pair, segment.seq, segment.payload),
        other => panic!("{other:?}"),
    };
    let expected = read(&packet);
    let mut room = vec![0; packet.len() + 16];
    for offset in 0..16 {
        let here = &mut room[offset..offset + packet.len()];
        here.copy_from_slice(&packet);
        assert_eq!(read(here), expected, "{offset}");
        // The payload's sum stands in the header that goes before it.
        let payload = expected.2.of(here);
        let mut header = [0; MAX_HEADER];
        let n = emit_udp(&mut header, expected.0, payload);
        let whole = [&header[..n], payload].concat();
        assert!(parse(&whole, Checksum::Verify).is_ok(), "{offset}");
    }
}

fn v4_tcp(payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let options = [
        TcpOptionElement::MaximumSegmentSize(1400),
        TcpOptionElement::WindowScale(15),
    ];
    let builder = PacketBuilder::ipv4(V4.0, V4.1, 64)
        .tcp(40000, 80, 7, 500)
        .syn();
    builder
        .options(&options)
        .unwrap()
        .write(&mut packet, payload)
        .unwrap();
    packet
}

fn v4_udp(payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4(V4.0, V4.1, 64)
        .udp(40000, 53)
        .write(&mut packet, payload)
        .unwrap();
    packet
}

fn v6_udp(payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv6(V6.0, V6.1, 64)
        .udp(40000, 53)
        .write(&mut packet, payload)
        .unwrap();
    packet
}

/// `chain`: (protocol number, header bytes with the next-header byte left to be filled in), before a UDP datagram.
fn v6_chain(chain: &[(u8, Vec<u8>)], last: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = v6_udp(&[])[..40].to_vec();
    let mut field = 6;
    for (number, header) in chain {
        packet[field] = *number;
        field = packet.len();
        packet.extend_from_slice(header);
    }
    packet[field] = last;
    packet.extend_from_slice(body);
    let len = (packet.len() - 40) as u16;
    packet[4..6].copy_from_slice(&len.to_be_bytes());
    packet
}

fn options(units: u8) -> Vec<u8> {
    let mut header = vec![0; 8 * (usize::from(units) + 1)];
    header[1] = units;
    header
}

fn authentication(units: u8) -> Vec<u8> {
    let mut header = vec![0; 4 * (usize::from(units) + 2)];
    header[1] = units;
    header
}

fn fragment(offset: u16, more: bool) -> Vec<u8> {
    let [a, b] = (offset | u16::from(more)).to_be_bytes();
    vec![0, 0, a, b, 0, 0, 0, 1]
}

fn strict(packet: &[u8]) -> Result<Packet, Reject> {
    parse(packet, Checksum::Verify)
}

fn fix_v4_checksum(packet: &mut [u8]) {
    let len = usize::from(packet[0] & 15) * 4;
    packet[10..12].fill(0);
    let sum = Sum::default().bytes(&packet[..len]).finish();
    packet[10..12].copy_from_slice(&sum);
}

#[test]
fn reads_a_syn_with_its_options() {
    let packet = v4_tcp(b"early");
    let Ok(Packet::Tcp(segment)) = strict(&packet) else {
        panic!()
    };
    assert_eq!(segment.pair.src, "192.0.2.1:40000".parse().unwrap());
    assert_eq!(segment.pair.dst, "203.0.113.9:80".parse().unwrap());
    assert_eq!(
        (segment.seq, segment.window, segment.flags),
        (7, 500, Flags::SYN)
    );
    assert_eq!((segment.mss, segment.window_scale), (Some(1400), Some(14)));
    assert_eq!(segment.payload.of(&packet), b"early");
}

#[test]
fn padding_after_the_packet_is_not_payload() {
    for mut packet in [v4_tcp(b"data"), v4_udp(b"data"), v6_udp(b"data")] {
        packet.extend_from_slice(&[0xee; 9]);
        let span = match strict(&packet).unwrap() {
            Packet::Tcp(segment) => segment.payload,
            Packet::Udp(datagram) => datagram.payload,
            Packet::Echo(_) | Packet::Unreachable(_) | Packet::Fragment => panic!(),
        };
        assert_eq!(span.of(&packet), b"data");
    }
}

#[test]
fn bytes_beyond_the_udp_length_are_not_payload() {
    let mut packet = v4_udp(b"datamore");
    packet[24..26].copy_from_slice(&12u16.to_be_bytes());
    let Ok(Packet::Udp(datagram)) = parse(&packet, Checksum::Trust) else {
        panic!()
    };
    assert_eq!(datagram.payload.of(&packet), b"data");
}

#[test]
fn any_flipped_bit_is_a_wrong_checksum_or_another_reject() {
    for packet in [v4_tcp(b"abc"), v4_udp(b"abc"), v6_udp(b"abc")] {
        assert!(strict(&packet).is_ok());
        let transport = if packet[0] >> 4 == 4 { 20 } else { 40 };
        for bit in transport * 8..packet.len() * 8 {
            let mut packet = packet.clone();
            packet[bit / 8] ^= 1 << (bit % 8);
            assert!(strict(&packet).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn a_missing_udp_checksum_is_right_in_v4_and_wrong_in_v6() {
    let mut packet = v4_udp(b"abc");
    packet[26..28].fill(0);
    assert!(strict(&packet).is_ok());
    let mut packet = v6_udp(b"abc");
    packet[46..48].fill(0);
    assert_eq!(strict(&packet), Err(Reject::Checksum));
    assert!(parse(&packet, Checksum::Trust).is_ok());
}

/// Anchor R4: an option of length 0 must not hold the loop.
#[test]
fn r4_tcp_options_of_any_length_end() {
    for (options, expect) in [
        (&[2, 0, 0, 0][..], (None, None)),
        (&[2, 1, 5, 180], (None, None)),
        (&[99, 0, 2, 4], (None, None)),
        (&[99, 4, 0, 0, 2, 4, 5, 180], (Some(1460), None)),
        (&[1, 1, 1, 3], (None, None)),
        (&[3, 3, 7, 2], (None, Some(7))),
        (&[0, 2, 4, 5, 180, 0, 0, 0], (None, None)),
        (&[2, 4, 5, 180, 3, 200, 1, 1], (Some(1460), None)),
    ] {
        assert_eq!(syn_options(options), expect, "{options:?}");
    }
}

/// Anchor R4, the same for IPv4 options.
#[test]
fn r4_ipv4_options_that_do_not_fit_are_refused() {
    for (options, expect) in [
        ([1, 1, 1, 0], None),
        ([148, 4, 0, 0], None),
        ([148, 0, 0, 0], Some(Reject::Options)),
        ([148, 1, 0, 0], Some(Reject::Options)),
        ([148, 5, 0, 0], Some(Reject::Options)),
        ([1, 1, 1, 148], Some(Reject::Options)),
        ([131, 3, 4, 0], Some(Reject::Options)),
        ([137, 3, 4, 0], Some(Reject::Options)),
    ] {
        let udp = v4_udp(b"abc");
        let mut packet = [&udp[..20], &options, &udp[20..]].concat();
        packet[0] = 0x46;
        packet[3] += 4;
        fix_v4_checksum(&mut packet);
        assert_eq!(strict(&packet).err(), expect, "{options:?}");
    }
}

/// Anchor R5: every IHL, data offset and length, none of which may reach outside the packet.
#[test]
fn r5_header_lengths_are_checked() {
    let tcp = v4_tcp(b"abcdefgh");
    for ihl in 0..16u8 {
        for offset in 0..16u8 {
            for total in 0..tcp.len() as u16 + 4 {
                let mut packet = tcp.clone();
                packet[0] = 0x40 | ihl;
                packet[2..4].copy_from_slice(&total.to_be_bytes());
                packet[32] = offset << 4;
                let result = parse(&packet, Checksum::Trust);
                let expect = match (usize::from(ihl) * 4, usize::from(total)) {
                    (header, _) if header < 20 => Some(Reject::HeaderLength),
                    (header, _) if header > packet.len() => Some(Reject::Truncated),
                    (header, total) if total < header => Some(Reject::TotalLength),
                    (_, total) if total > packet.len() => Some(Reject::Truncated),
                    (20, total) if total < 40 => Some(Reject::Truncated),
                    (20, _) if offset < 5 => Some(Reject::HeaderLength),
                    (20, total) if 20 + usize::from(offset) * 4 > total => Some(Reject::Truncated),
                    (20, _) => None,
                    _ => continue,
                };
                assert_eq!(
                    result.err(),
                    expect,
                    "ihl {ihl} offset {offset} total {total}"
                );
            }
        }
    }
    let udp = v4_udp(b"abcdefgh");
    for len in 0..40u16 {
        let mut packet = udp.clone();
        packet[24..26].copy_from_slice(&len.to_be_bytes());
        let expect = match len {
            0..8 => Some(Reject::HeaderLength),
            8..=16 => None,
            _ => Some(Reject::Truncated),
        };
        assert_eq!(
            parse(&packet, Checksum::Trust).err(),
            expect,
            "udp length {len}"
        );
    }
}

/// Anchor R5: every truncation of every kind of packet.
#[test]
fn r5_truncated_packets_are_refused() {
    for packet in [
        v4_tcp(b"abc"),
        v4_udp(b"abc"),
        v6_udp(b"abc"),
        v6_chain(&[(0, options(1))], 17, &v6_udp(b"a")[40..]),
    ] {
        for len in 0..packet.len() {
            assert_eq!(strict(&packet[..len]), Err(Reject::Truncated), "{len}");
        }
    }
}

/// Anchor R6: no fragment's bytes are read as a transport header.
#[test]
fn r6_fragments_are_told_from_whole_packets() {
    for (bytes, expect) in [
        ([0x40, 0], false),
        ([0x20, 0], true),
        ([0, 1], true),
        ([0x20, 1], true),
        ([0x1f, 0xff], true),
    ] {
        let mut packet = v4_udp(b"abc");
        packet[6..8].copy_from_slice(&bytes);
        fix_v4_checksum(&mut packet);
        assert_eq!(strict(&packet) == Ok(Packet::Fragment), expect, "{bytes:?}");
    }
    let body = &v6_udp(b"abc")[40..];
    assert_eq!(
        strict(&v6_chain(&[(44, fragment(0, true))], 17, body)),
        Ok(Packet::Fragment)
    );
    assert_eq!(
        strict(&v6_chain(&[(44, fragment(8, false))], 17, body)),
        Ok(Packet::Fragment)
    );
    assert!(matches!(
        strict(&v6_chain(&[(44, fragment(0, false))], 17, body)),
        Ok(Packet::Udp(_))
    ));
}

/// Anchor R7: extension headers of every kind and length, walked within a bound.
#[test]
fn r7_extension_headers_are_walked() {
    let udp = v6_udp(b"value")[40..].to_vec();
    let routing = |left| {
        let mut header = options(0);
        header[3] = left;
        header
    };
    for (name, chain, expect) in [
        ("none", vec![], Ok(())),
        ("hop by hop", vec![(0, options(0))], Ok(())),
        ("long", vec![(0, options(31)), (60, options(3))], Ok(())),
        (
            "all",
            vec![
                (0, options(1)),
                (60, options(0)),
                (43, routing(0)),
                (44, fragment(0, false)),
                (51, authentication(4)),
                (60, options(2)),
            ],
            Ok(()),
        ),
        ("authentication", vec![(51, authentication(1))], Ok(())),
        (
            "authentication of no length",
            vec![(51, authentication(0))],
            Err(Reject::Extensions),
        ),
        (
            "late hop by hop",
            vec![(60, options(0)), (0, options(0))],
            Err(Reject::Extensions),
        ),
        (
            "route to go",
            vec![(43, routing(1))],
            Err(Reject::Extensions),
        ),
        ("eight", vec![(60, options(0)); 8], Ok(())),
        ("nine", vec![(60, options(0)); 9], Err(Reject::Extensions)),
    ] {
        let packet = v6_chain(&chain, 17, &udp);
        let result = strict(&packet).map(|parsed| match parsed {
            Packet::Udp(datagram) => assert_eq!(datagram.payload.of(&packet), b"value"),
            other => panic!("{other:?}"),
        });
        assert_eq!(result, expect, "{name}");
        for len in 40..packet.len() {
            assert!(strict(&packet[..len]).is_err(), "{name} cut at {len}");
        }
    }
    assert_eq!(
        strict(&v6_chain(&[(60, options(0))], 50, &[0; 32])),
        Err(Reject::Protocol(50))
    );
    assert_eq!(strict(&v6_chain(&[], 59, &[])), Err(Reject::Protocol(59)));
    assert_eq!(
        strict(&v6_chain(&[(0, options(200))], 17, &udp)[..60]),
        Err(Reject::Truncated)
    );
}

#[test]
fn a_header_that_claims_more_than_the_packet_is_truncated() {
    let mut long = options(0);
    long[1] = 9;
    assert_eq!(
        strict(&v6_chain(&[(60, long)], 17, &v6_udp(b"x")[40..])),
        Err(Reject::Truncated)
    );
}

#[test]
fn other_protocols_and_versions_are_named() {
    let mut gre = v4_udp(b"abc");
    gre[9] = 47;
    fix_v4_checksum(&mut gre);
    assert_eq!(strict(&gre), Err(Reject::Protocol(47)));
    let mut icmpv6_in_v4 = v4_udp(b"abc");
    icmpv6_in_v4[9] = 58;
    fix_v4_checksum(&mut icmpv6_in_v4);
    assert_eq!(strict(&icmpv6_in_v4), Err(Reject::Protocol(58)));
    assert_eq!(strict(&[0x50; 40]), Err(Reject::Version));
    assert_eq!(strict(&[]), Err(Reject::Truncated));
    let mut redirect = Vec::new();
    PacketBuilder::ipv4(V4.0, V4.1, 64)
        .icmpv4_raw(5, 0, [0; 4])
        .write(&mut redirect, &[])
        .unwrap();
    assert_eq!(strict(&redirect), Err(Reject::IcmpType(5)));
}

#[test]
fn addresses_that_nobody_can_have_are_refused() {
    let v4 = |src, dst| {
        let mut packet = Vec::new();
        PacketBuilder::ipv4(src, dst, 64)
            .udp(1, 2)
            .write(&mut packet, b"x")
            .unwrap();
        packet
    };
    let v6 = |src, dst| {
        let mut packet = Vec::new();
        PacketBuilder::ipv6(src, dst, 64)
            .udp(1, 2)
            .write(&mut packet, b"x")
            .unwrap();
        packet
    };
    let octets = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    for (packet, expect) in [
        (v4([127, 0, 0, 1], V4.1), Some(Reject::Source)),
        (v4([224, 0, 0, 1], V4.1), Some(Reject::Source)),
        (v4([255; 4], V4.1), Some(Reject::Source)),
        (v4([0; 4], [255; 4]), Some(Reject::Source)),
        (v4(V4.0, [127, 0, 0, 1]), Some(Reject::Destination)),
        (v4(V4.0, [0; 4]), Some(Reject::Destination)),
        (v4(V4.0, [224, 0, 0, 251]), None),
        (v6(octets("::1"), V6.1), Some(Reject::Source)),
        (v6(octets("ff02::1"), V6.1), Some(Reject::Source)),
        (v6(octets("::"), V6.1), Some(Reject::Source)),
        (v6(octets("::ffff:192.0.2.1"), V6.1), Some(Reject::Source)),
        (v6(V6.0, octets("::1")), Some(Reject::Destination)),
        (v6(V6.0, octets("::")), Some(Reject::Destination)),
        (
            v6(V6.0, octets("::ffff:203.0.113.9")),
            Some(Reject::Destination),
        ),
        (v6(V6.0, octets("ff02::fb")), None),
    ] {
        assert_eq!(strict(&packet).err(), expect, "{packet:02x?}");
        assert!(parse_captured(&packet).is_ok());
    }
}

#[test]
fn a_captured_packet_may_end_early_or_claim_no_length() {
    let packet = v4_tcp(b"abcdefgh");
    let cut = parse_captured(&packet[..packet.len() - 3]).unwrap();
    let Packet::Tcp(segment) = cut.packet else {
        panic!()
    };
    assert_eq!(
        (segment.payload.of(&packet), cut.missing),
        (&b"abcde"[..], 3)
    );
    let mut offloaded = packet.clone();
    offloaded[2..4].fill(0);
    assert_eq!(
        parse_captured(&offloaded).unwrap(),
        parse_captured(&packet).unwrap()
    );
    let udp = v6_udp(b"abcdefgh");
    let cut = parse_captured(&udp[..udp.len() - 3]).unwrap();
    let Packet::Udp(datagram) = cut.packet else {
        panic!()
    };
    assert_eq!((datagram.payload.of(&udp), cut.missing), (&b"abcde"[..], 3));
    assert_eq!(parse_captured(&packet[..30]), Err(Reject::Truncated));
}

#[test]
fn an_authentication_header_in_ipv4_is_walked() {
    let udp = v4_udp(b"value");
    let mut auth = authentication(1);
    auth[0] = 17;
    let mut packet = [&udp[..20], &auth, &udp[20..]].concat();
    packet[9] = 51;
    packet[3] += auth.len() as u8;
    fix_v4_checksum(&mut packet);
    let Ok(Packet::Udp(datagram)) = strict(&packet) else {
        panic!()
    };
    assert_eq!(datagram.payload.of(&packet), b"value");
}

fn pairs() -> impl Strategy<Value = Pair> {
    let v4 = (any::<[u8; 3]>(), any::<[u8; 3]>()).prop_map(|(a, b)| {
        let address = |first: u8, [b, c, d]: [u8; 3]| IpAddr::from([first, b, c, d]);
        (address(192, a), address(203, b))
    });
    let v6 = (any::<[u8; 12]>(), any::<[u8; 12]>()).prop_map(|(a, b)| {
        let address = |rest: [u8; 12]| {
            let mut octets = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            octets[4..].copy_from_slice(&rest);
            IpAddr::from(octets)
        };
        (address(a), address(b))
    });
    (prop_oneof![v4, v6], any::<(u16, u16)>()).prop_map(|((src, dst), (from, to))| Pair {
        src: SocketAddr::new(src, from),
        dst: SocketAddr::new(dst, to),
    })
}

fn whole(out: &[u8; MAX_HEADER], len: usize, payload: &[u8]) -> Vec<u8> {
    [&out[..len], payload].concat()
}

fn spanned(packet: &[u8], header: usize) -> Span {
    Span {
        start: header as u32,
        end: packet.len() as u32,
    }
}

proptest! {
    #[test]
    fn what_is_emitted_parses_to_the_same_segment(
        pair in pairs(), seq: u32, ack: u32, flags: u8, window: u16, mss: Option<u16>, shift in proptest::option::of(0u8..15),
        payload in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let tcp = TcpOut { pair, seq, ack, flags: Flags(flags), window, mss, window_scale: shift };
        let mut out = [0xaa; MAX_HEADER];
        let len = emit_tcp(&mut out, &tcp, &payload);
        let packet = whole(&out, len, &payload);
        let syn = Flags(flags).contains(Flags::SYN);
        let expect = Segment {
            pair, seq, ack, flags: Flags(flags), window,
            mss: mss.filter(|_| syn), window_scale: shift.filter(|_| syn), payload: spanned(&packet, len),
        };
        prop_assert_eq!(strict(&packet), Ok(Packet::Tcp(expect)));
    }

    #[test]
    fn what_is_emitted_parses_to_the_same_datagram(pair in pairs(), payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut out = [0xaa; MAX_HEADER];
        let len = emit_udp(&mut out, pair, &payload);
        let packet = whole(&out, len, &payload);
        prop_assert_eq!(strict(&packet), Ok(Packet::Udp(Datagram { pair, payload: spanned(&packet, len) })));
    }

    #[test]
    fn what_is_emitted_parses_to_the_same_echo(
        pair in pairs(), reply: bool, ident: u16, sequence: u16, payload in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let pair = Pair { src: SocketAddr::new(pair.src.ip(), 0), dst: SocketAddr::new(pair.dst.ip(), 0) };
        let mut out = [0xaa; MAX_HEADER];
        let len = emit_echo(&mut out, pair, reply, ident, sequence, &payload);
        let packet = whole(&out, len, &payload);
        let expect = Echo { pair, reply, ident, sequence, payload: spanned(&packet, len) };
        prop_assert_eq!(strict(&packet), Ok(Packet::Echo(expect)));
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_spans_lie_inside(
        first in prop_oneof![Just(0x45u8), Just(0x46), Just(0x60), any::<u8>()],
        rest in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let packet = [&[first], &rest[..]].concat();
        let spans = [parse(&packet, Checksum::Verify), parse(&packet, Checksum::Trust), parse_captured(&packet).map(|captured| captured.packet)];
        for parsed in spans.into_iter().flatten() {
            let span = match parsed {
                Packet::Tcp(segment) => segment.payload,
                Packet::Udp(datagram) => datagram.payload,
                Packet::Echo(echo) => echo.payload,
                Packet::Unreachable(_) | Packet::Fragment => continue,
            };
            prop_assert!(span.start <= span.end && span.end as usize <= packet.len());
        }
    }

    #[test]
    fn agrees_with_etherparse_on_chains_it_builds(hops in 0u8..3, payload in proptest::collection::vec(any::<u8>(), 0..50)) {
        let mut extensions = Ipv6Extensions::default();
        if hops > 0 {
            let bytes = vec![0; 6 + 8 * usize::from(hops)];
            extensions.hop_by_hop_options = Some(etherparse::Ipv6RawExtHeader::new_raw(IpNumber::UDP, &bytes).unwrap());
        }
        let header = Ipv6Header { source: V6.0, destination: V6.1, ..Default::default() };
        let mut packet = Vec::new();
        PacketBuilder::ip(IpHeaders::Ipv6(header, extensions)).udp(9, 10).write(&mut packet, &payload).unwrap();
        let Ok(Packet::Udp(datagram)) = strict(&packet) else { panic!("{packet:02x?}") };
        prop_assert_eq!(datagram.payload.of(&packet), &payload[..]);
    }
}

#[test]
fn a_first_fragment_that_etherparse_builds_is_a_fragment() {
    let header = Ipv4Header {
        source: V4.0,
        destination: V4.1,
        more_fragments: true,
        fragment_offset: IpFragOffset::ZERO,
        time_to_live: 64,
        ..Default::default()
    };
    let mut packet = Vec::new();
    let headers = IpHeaders::Ipv4(header, Ipv4Extensions::default());
    PacketBuilder::ip(headers)
        .udp(9, 10)
        .write(&mut packet, &[1; 16])
        .unwrap();
    assert_eq!(strict(&packet), Ok(Packet::Fragment));
}
