//! ICMP errors: destination unreachable, by which a refused flow fails fast, and packet too big.

use std::net::IpAddr;

use super::{
    emit::{v4_header, v6_header},
    ip::{Ip, Reading},
    sum::Sum,
};

/// Why a packet is refused, for [`emit_unreachable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// There is no route.
    Network,
    /// There is a route, but nobody answers.
    Host,
    /// Nobody listens.
    Port,
    /// The policy, or somebody on the way, forbids it.
    AdminProhibited,
    /// It is longer than a link on the way carries, and may not be fragmented.
    TooBig {
        /// Bytes of the longest packet that fits.
        mtu: u32,
    },
}

/// Appends to `out` a whole ICMP(v6) error (RFC 792, RFC 1812, RFC 4443) in answer to `offending`
/// (the IP packet as read from the tun), from the offender's destination to its source, quoting as much as the RFCs allow.
/// False, and nothing appended, where no error may be sent: multicast, fragments other than the first, ICMP errors, malformed packets.
pub fn emit_unreachable(out: &mut Vec<u8>, why: Unreachable, offending: &[u8]) -> bool {
    let Ok(ip) = Ip::read(offending, Reading::Trust) else {
        return false;
    };
    if ip.fragment.is_some_and(|fragment| fragment.offset > 0) {
        return false;
    }
    let whole = ip.payload_at.saturating_add(ip.payload.len());
    match (ip.src, ip.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let an_error = ip.protocol == ICMP
                && !ip
                    .payload
                    .first()
                    .is_some_and(|kind| V4_QUERIES.contains(kind));
            if an_error || dst.is_multicast() || dst.is_broadcast() {
                return false;
            }
            let code = match why {
                Unreachable::Network => 0,
                Unreachable::Host => 1,
                Unreachable::Port => 3,
                Unreachable::AdminProhibited => 13,
                Unreachable::TooBig { .. } => 4,
            };
            let quote = quote(offending, whole, V4_MAX, 20);
            let mut header = [3, code, 0, 0, 0, 0, 0, 0];
            if let Unreachable::TooBig { mtu } = why {
                // RFC 1191 section 4.
                let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
                header[6..8].copy_from_slice(&mtu.to_be_bytes());
            }
            let checksum = Sum::default().bytes(&header).bytes(quote).finish();
            header[2..4].copy_from_slice(&checksum);
            out.extend_from_slice(&v4_header(
                dst,
                src,
                ICMP,
                INTERNETWORK_CONTROL,
                [0, 0],
                0,
                quote.len().saturating_add(8),
            ));
            out.extend_from_slice(&header);
            out.extend_from_slice(quote);
            true
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let an_error = ip.protocol == ICMPV6
                && ip
                    .payload
                    .first()
                    .is_none_or(|kind| *kind < 128 || *kind == V6_REDIRECT);
            if an_error || dst.is_multicast() {
                return false;
            }
            let (kind, code, mtu) = match why {
                Unreachable::Network => (1, 0, 0),
                Unreachable::AdminProhibited => (1, 1, 0),
                Unreachable::Host => (1, 3, 0),
                Unreachable::Port => (1, 4, 0),
                Unreachable::TooBig { mtu } => (2, 0, mtu),
            };
            let quote = quote(offending, whole, V6_MAX, 40);
            let len = quote.len().saturating_add(8);
            let [a, b, c, d] = mtu.to_be_bytes();
            let mut header = [kind, code, 0, 0, a, b, c, d];
            let checksum = Sum::pseudo(ip.dst, ip.src, ICMPV6, len)
                .bytes(&header)
                .bytes(quote)
                .finish();
            header[2..4].copy_from_slice(&checksum);
            out.extend_from_slice(&v6_header(dst, src, ICMPV6, len));
            out.extend_from_slice(&header);
            out.extend_from_slice(quote);
            true
        }
        _ => false,
    }
}

fn quote(offending: &[u8], whole: usize, max: usize, header: usize) -> &[u8] {
    let room = max.saturating_sub(header).saturating_sub(8);
    offending.get(..whole.min(room)).unwrap_or(offending)
}

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Echo, router discovery, timestamp, information and address mask: what RFC 1122 section 3.2.2 does not call an error.
const V4_QUERIES: [u8; 10] = [0, 8, 9, 10, 13, 14, 15, 16, 17, 18];
const V6_REDIRECT: u8 = 137;

/// RFC 1812 section 4.3.2.3: an error message fits 576 bytes.
const V4_MAX: usize = 576;
/// RFC 4443 section 2.4(c): an error message fits the minimum IPv6 MTU.
const V6_MAX: usize = 1280;
/// RFC 1812 section 4.3.2.5: precedence 6.
const INTERNETWORK_CONTROL: u8 = 0xc0;

#[cfg(test)]
mod tests {
    use smoltcp::wire::{
        Icmpv4Message, Icmpv4Packet, Icmpv6Message, Icmpv6Packet, Ipv4Packet, Ipv6Packet,
    };

    use super::*;
    use crate::wire::{MAX_HEADER, Pair, emit_echo, emit_udp};

    fn udp(src: &str, dst: &str, payload: &[u8]) -> Vec<u8> {
        let mut out = [0; MAX_HEADER];
        let pair = Pair {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
        };
        let len = emit_udp(&mut out, pair, payload);
        [&out[..len], payload].concat()
    }

    const V4: [&str; 2] = ["192.0.2.1:4000", "203.0.113.9:53"];
    const V6: [&str; 2] = ["[2001:db8::1]:4000", "[2001:db8::2]:53"];

    #[test]
    fn smoltcp_reads_what_we_say() {
        for (why, v4, v6) in [
            (Unreachable::Network, 0, 0),
            (Unreachable::Host, 1, 3),
            (Unreachable::Port, 3, 4),
            (Unreachable::AdminProhibited, 13, 1),
        ] {
            for len in [0, 5, 2000] {
                let offending = udp(V4[0], V4[1], &vec![7; len]);
                let mut out = Vec::new();
                assert!(emit_unreachable(&mut out, why, &offending));
                let ip = Ipv4Packet::new_checked(&out[..]).unwrap();
                assert!(
                    ip.verify_checksum()
                        && usize::from(ip.total_len()) == out.len()
                        && out.len() <= V4_MAX
                );
                assert_eq!(ip.dst_addr().to_string() + ":4000", V4[0]);
                let icmp = Icmpv4Packet::new_checked(ip.payload()).unwrap();
                assert!(icmp.verify_checksum());
                assert_eq!(
                    (icmp.msg_type(), icmp.msg_code()),
                    (Icmpv4Message::DstUnreachable, v4)
                );
                assert!(
                    offending.starts_with(icmp.data())
                        && icmp.data().len() == offending.len().min(V4_MAX - 28)
                );

                let offending = udp(V6[0], V6[1], &vec![7; len]);
                let mut out = Vec::new();
                assert!(emit_unreachable(&mut out, why, &offending));
                let ip = Ipv6Packet::new_checked(&out[..]).unwrap();
                assert!(usize::from(ip.payload_len()) + 40 == out.len() && out.len() <= V6_MAX);
                let icmp = Icmpv6Packet::new_checked(ip.payload()).unwrap();
                assert!(icmp.verify_checksum(&ip.src_addr(), &ip.dst_addr()));
                assert_eq!(
                    (icmp.msg_type(), icmp.msg_code()),
                    (Icmpv6Message::DstUnreachable, v6)
                );
                assert!(
                    offending.starts_with(icmp.payload())
                        && icmp.payload().len() == offending.len().min(V6_MAX - 48)
                );
            }
        }
    }

    #[test]
    fn padding_is_not_quoted() {
        let mut offending = udp(V4[0], V4[1], b"abc");
        let whole = offending.len();
        offending.extend_from_slice(&[0; 20]);
        let mut out = Vec::new();
        assert!(emit_unreachable(&mut out, Unreachable::Port, &offending));
        assert_eq!(out.len(), 28 + whole);
    }

    #[test]
    fn echo_requests_are_answered_and_errors_are_not() {
        let mut out = [0; MAX_HEADER];
        for pair in [
            ["192.0.2.1:0", "203.0.113.9:0"],
            ["[2001:db8::1]:0", "[2001:db8::2]:0"],
        ] {
            let pair = Pair {
                src: pair[0].parse().unwrap(),
                dst: pair[1].parse().unwrap(),
            };
            let len = emit_echo(&mut out, pair, false, 1, 2, &[]);
            let mut answer = Vec::new();
            assert!(emit_unreachable(
                &mut answer,
                Unreachable::Host,
                &out[..len]
            ));
            let error = answer.clone();
            assert!(!emit_unreachable(&mut answer, Unreachable::Host, &error));
            assert_eq!(answer, error);
        }
    }

    #[test]
    fn nothing_is_said_to_groups_later_fragments_or_noise() {
        let mut fragment = udp(V4[0], V4[1], b"abcdefgh");
        fragment[7] = 1;
        for offending in [
            udp(V4[0], "224.0.0.251:5353", b"x"),
            udp(V4[0], "255.255.255.255:67", b"x"),
            udp("224.0.0.1:1", V4[1], b"x"),
            udp("0.0.0.0:68", V4[1], b"x"),
            udp(V6[0], "[ff02::fb]:5353", b"x"),
            udp("[::]:1", V6[1], b"x"),
            fragment,
            vec![0x45; 12],
            vec![],
        ] {
            let mut out = vec![1];
            assert!(
                !emit_unreachable(&mut out, Unreachable::Port, &offending),
                "{offending:02x?}"
            );
            assert_eq!(out, [1]);
        }
    }

    #[test]
    fn what_is_said_of_a_packet_is_read_back_from_the_error() {
        use crate::wire::{Checksum, MAX_HEADER, Packet, Pair, Quoted, emit_udp, parse};
        for (src, dst) in [
            ("192.0.2.1:4000", "203.0.113.9:7"),
            ("[2001:db8::1]:4000", "[2001:db8::9]:7"),
        ] {
            let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
            let pair = Pair { src, dst };
            let mut header = [0; MAX_HEADER];
            let n = emit_udp(&mut header, pair, b"hello");
            let packet = [&header[..n], b"hello"].concat();
            for why in [
                Unreachable::Network,
                Unreachable::Host,
                Unreachable::Port,
                Unreachable::AdminProhibited,
                Unreachable::TooBig { mtu: 1_300 },
            ] {
                let mut error = Vec::new();
                assert!(emit_unreachable(&mut error, why, &packet));
                let expected = Packet::Unreachable(Quoted {
                    pair,
                    protocol: 17,
                    why,
                });
                assert_eq!(parse(&error, Checksum::Verify), Ok(expected));
                // An error about an error is never sent.
                assert!(!emit_unreachable(&mut Vec::new(), why, &error));
                let cut = error.len() - 12;
                assert!(parse(&error[..cut], Checksum::Trust).is_err());
            }
        }
    }
}
