//! One IP packet → [`Packet`].

use std::net::{IpAddr, SocketAddr};

use etherparse::{TcpSlice, UdpHeaderSlice, err::tcp};

use super::{
    ip::{Ip, Reading},
    packet::{Checksum, Datagram, Echo, Flags, Packet, Pair, Quoted, Reject, Segment, Span},
    sum::Sum,
    unreachable::Unreachable,
};

/// Parses one IP packet (no link header).
pub fn parse(packet: &[u8], checksum: Checksum) -> Result<Packet, Reject> {
    let reading = match checksum {
        Checksum::Verify => Reading::Verify,
        Checksum::Trust => Reading::Trust,
    };
    Ok(read(packet, reading)?.packet)
}

/// A packet from a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured {
    /// What there is of it.
    pub packet: Packet,
    /// Payload bytes that its headers claim and the file does not have (snap length).
    pub missing: u32,
}

/// Parses one IP packet of a capture: checksums are not verified, the end may be cut off, a length of 0
/// (segmentation offload) means all there is, and loopback addresses are as good as others.
pub fn parse_captured(packet: &[u8]) -> Result<Captured, Reject> {
    read(packet, Reading::Captured)
}

fn read(packet: &[u8], reading: Reading) -> Result<Captured, Reject> {
    let ip = Ip::read(packet, reading)?;
    let mut missing = ip.missing;
    let packet = if ip.fragment.is_some() {
        Packet::Fragment
    } else {
        match (ip.protocol, ip.src) {
            (TCP, _) => Packet::Tcp(tcp(&ip, reading)?),
            (UDP, _) => Packet::Udp(udp(&ip, reading, &mut missing)?),
            (ICMP, IpAddr::V4(_)) => icmp(&ip, reading, [8, 0])?,
            (ICMPV6, IpAddr::V6(_)) => icmp(&ip, reading, [128, 129])?,
            (other, _) => return Err(Reject::Protocol(other)),
        }
    };
    Ok(Captured {
        packet,
        missing: u32::try_from(missing).unwrap_or(u32::MAX),
    })
}

fn tcp(ip: &Ip<'_>, reading: Reading) -> Result<Segment, Reject> {
    let tcp = TcpSlice::from_slice(ip.payload).map_err(|error| match error {
        tcp::HeaderSliceError::Len(_) => Reject::Truncated,
        tcp::HeaderSliceError::Content(_) => Reject::HeaderLength,
    })?;
    verify(ip, reading, ip.payload)?;
    let flags = Flags(tcp.header_slice().get(13).copied().unwrap_or_default());
    let (mss, window_scale) = match flags.contains(Flags::SYN) {
        true => syn_options(tcp.options()),
        false => (None, None),
    };
    Ok(Segment {
        pair: pair(ip, tcp.source_port(), tcp.destination_port()),
        seq: tcp.sequence_number(),
        ack: tcp.acknowledgment_number(),
        flags,
        window: tcp.window_size(),
        mss,
        window_scale,
        payload: span(ip, tcp.header_slice().len(), ip.payload.len()),
    })
}

fn udp(ip: &Ip<'_>, reading: Reading, missing: &mut usize) -> Result<Datagram, Reject> {
    let udp = UdpHeaderSlice::from_slice(ip.payload).map_err(|_| Reject::Truncated)?;
    let mut len = usize::from(udp.length());
    if reading == Reading::Captured {
        if len == 0 {
            len = ip.payload.len().saturating_add(*missing);
        }
        *missing = len.saturating_sub(ip.payload.len());
        len = len.min(ip.payload.len());
    }
    if len < HEADER {
        return Err(Reject::HeaderLength);
    }
    let datagram = ip.payload.get(..len).ok_or(Reject::Truncated)?;
    match (udp.checksum(), ip.src) {
        (0, IpAddr::V4(_)) => {}
        (0, IpAddr::V6(_)) if reading == Reading::Verify => return Err(Reject::Checksum),
        _ => verify(ip, reading, datagram)?,
    }
    Ok(Datagram {
        pair: pair(ip, udp.source_port(), udp.destination_port()),
        payload: span(ip, HEADER, len),
    })
}

fn icmp(ip: &Ip<'_>, reading: Reading, [request, reply]: [u8; 2]) -> Result<Packet, Reject> {
    let &[kind, code, _, _, i0, i1, s0, s1] = ip.payload.first_chunk().ok_or(Reject::Truncated)?;
    if reading == Reading::Verify {
        let sum = match ip.src {
            IpAddr::V4(_) => Sum::default(),
            IpAddr::V6(_) => Sum::pseudo(ip.src, ip.dst, ICMPV6, ip.payload.len()),
        };
        if !sum.bytes(ip.payload).is_intact() {
            return Err(Reject::Checksum);
        }
    }
    // What a capture says of errors is of no account: nothing is sent to anybody.
    if reading != Reading::Captured
        && let Some(why) = error(ip.src, kind, code, [i0, i1, s0, s1])
    {
        let quoted = quoted(ip.payload.get(HEADER..).unwrap_or_default(), why);
        return quoted
            .map(Packet::Unreachable)
            .ok_or(Reject::IcmpType(kind));
    }
    if code != 0 || (kind != request && kind != reply) {
        return Err(Reject::IcmpType(kind));
    }
    Ok(Packet::Echo(Echo {
        pair: pair(ip, 0, 0),
        reply: kind == reply,
        ident: u16::from_be_bytes([i0, i1]),
        sequence: u16::from_be_bytes([s0, s1]),
        payload: span(ip, HEADER, ip.payload.len()),
    }))
}

/// What an ICMP message says became of a packet, if it is an error of that kind (RFC 792, RFC 1191, RFC 4443).
fn error(from: IpAddr, kind: u8, code: u8, rest: [u8; 4]) -> Option<Unreachable> {
    match (from, kind, code) {
        (IpAddr::V4(_), 3, 4) => Some(Unreachable::TooBig {
            mtu: u16::from_be_bytes([rest[2], rest[3]]).into(),
        }),
        (IpAddr::V6(_), 2, 0) => Some(Unreachable::TooBig {
            mtu: u32::from_be_bytes(rest),
        }),
        (IpAddr::V4(_), 3, 3) | (IpAddr::V6(_), 1, 4) => Some(Unreachable::Port),
        (IpAddr::V4(_), 3, 9 | 10 | 13) | (IpAddr::V6(_), 1, 1) => {
            Some(Unreachable::AdminProhibited)
        }
        (IpAddr::V4(_), 3, 0) | (IpAddr::V6(_), 1, 0) => Some(Unreachable::Network),
        (IpAddr::V4(_), 3, 1) | (IpAddr::V6(_), 1, 3) => Some(Unreachable::Host),
        _ => None,
    }
}

/// The packet that an error quotes, as far as it does.
fn quoted(packet: &[u8], why: Unreachable) -> Option<Quoted> {
    let ip = Ip::read(packet, Reading::Captured).ok()?;
    if ip.fragment.is_some_and(|fragment| fragment.offset > 0) {
        return None;
    }
    let &[s0, s1, d0, d1] = ip.payload.first_chunk()?;
    let pair = pair(
        &ip,
        u16::from_be_bytes([s0, s1]),
        u16::from_be_bytes([d0, d1]),
    );
    matches!(ip.protocol, TCP | UDP).then_some(Quoted {
        pair,
        protocol: ip.protocol,
        why,
    })
}

fn verify(ip: &Ip<'_>, reading: Reading, transport: &[u8]) -> Result<(), Reject> {
    if reading != Reading::Verify {
        return Ok(());
    }
    match Sum::pseudo(ip.src, ip.dst, ip.protocol, transport.len())
        .bytes(transport)
        .is_intact()
    {
        true => Ok(()),
        false => Err(Reject::Checksum),
    }
}

/// Maximum segment size and window scale. What follows an option that does not fit is ignored, as receivers do.
fn syn_options(mut options: &[u8]) -> (Option<u16>, Option<u8>) {
    let (mut mss, mut window_scale) = (None, None);
    while let [kind, rest @ ..] = options {
        options = match (kind, rest) {
            (0, _) => break,
            (1, _) => rest,
            (2, [4, a, b, rest @ ..]) => {
                mss = Some(u16::from_be_bytes([*a, *b]));
                rest
            }
            (3, [3, shift, rest @ ..]) => {
                window_scale = Some((*shift).min(MAX_WINDOW_SCALE));
                rest
            }
            (_, [len, ..]) if *len >= 2 => options.get(usize::from(*len)..).unwrap_or_default(),
            (_, _) => break,
        };
    }
    (mss, window_scale)
}

fn pair(ip: &Ip<'_>, src: u16, dst: u16) -> Pair {
    Pair {
        src: SocketAddr::new(ip.src, src),
        dst: SocketAddr::new(ip.dst, dst),
    }
}

fn span(ip: &Ip<'_>, start: usize, end: usize) -> Span {
    let at =
        |offset: usize| u32::try_from(ip.payload_at.saturating_add(offset)).unwrap_or(u32::MAX);
    Span {
        start: at(start),
        end: at(end),
    }
}

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// Bytes of a UDP or ICMP echo header.
const HEADER: usize = 8;

/// RFC 7323 section 2.3: a larger shift counts as 14.
const MAX_WINDOW_SCALE: u8 = 14;

#[cfg(test)]
mod tests;
