//! The headers that we write.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    offload::Offload,
    packet::{Flags, Pair},
    sum::Sum,
};

/// Bytes that are enough for every header written here.
pub const MAX_HEADER: usize = 128;

/// What a TCP header should say.
#[derive(Clone, Copy, Debug)]
pub struct TcpOut {
    /// From whom, to whom.
    pub pair: Pair,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number.
    pub ack: u32,
    /// Control bits.
    pub flags: Flags,
    /// As on the wire, already scaled.
    pub window: u16,
    /// Maximum segment size option, for a SYN.
    pub mss: Option<u16>,
    /// Window scale option, for a SYN.
    pub window_scale: Option<u8>,
}

/// Writes IP and TCP headers for `payload` (at most 65,467 bytes) and returns their length.
pub fn emit_tcp(out: &mut [u8; MAX_HEADER], tcp: &TcpOut, payload: &[u8]) -> usize {
    let (mut header, len) = tcp_header(tcp);
    let sum = tcp_pseudo(tcp, len, payload.len())
        .bytes(header.get(..len).unwrap_or(&header))
        .bytes(payload);
    header[16..18].copy_from_slice(&sum.finish());
    write_tcp(
        out,
        tcp,
        header.get(..len).unwrap_or(&header),
        payload.len(),
    )
}

/// As [`emit_tcp`], for a device that computes the checksum and cuts `payload` bytes into segments of `segment` bytes.
/// Returns the headers' length, and what the device has to know.
pub fn emit_tcp_offloaded(
    out: &mut [u8; MAX_HEADER],
    tcp: &TcpOut,
    payload: usize,
    segment: u16,
) -> (usize, Offload) {
    let (mut header, len) = tcp_header(tcp);
    header[16..18].copy_from_slice(&tcp_pseudo(tcp, len, payload).partial());
    let end = write_tcp(out, tcp, header.get(..len).unwrap_or(&header), payload);
    let offload = Offload::tcp(end.saturating_sub(len), end, payload, segment);
    (end, offload)
}

/// A TCP header without its checksum, and its length.
fn tcp_header(tcp: &TcpOut) -> ([u8; 28], usize) {
    let mut header = [0; 28];
    header[..2].copy_from_slice(&tcp.pair.src.port().to_be_bytes());
    header[2..4].copy_from_slice(&tcp.pair.dst.port().to_be_bytes());
    header[4..8].copy_from_slice(&tcp.seq.to_be_bytes());
    header[8..12].copy_from_slice(&tcp.ack.to_be_bytes());
    header[13] = tcp.flags.0;
    header[14..16].copy_from_slice(&tcp.window.to_be_bytes());
    let mut len = 20usize;
    if let Some(mss) = tcp.mss {
        let [a, b] = mss.to_be_bytes();
        header[20..24].copy_from_slice(&[2, 4, a, b]);
        len = 24;
    }
    if let Some(shift) = tcp.window_scale {
        let option = [1, 3, 3, shift];
        match tcp.mss {
            Some(_) => header[24..28].copy_from_slice(&option),
            None => header[20..24].copy_from_slice(&option),
        }
        len = len.saturating_add(4);
    }
    header[12] = (len as u8).wrapping_shl(2);
    (header, len)
}

fn tcp_pseudo(tcp: &TcpOut, header: usize, payload: usize) -> Sum {
    let (src, dst) = (tcp.pair.src.ip(), tcp.pair.dst.ip());
    Sum::pseudo(src, dst, TCP, header.saturating_add(payload))
}

fn write_tcp(out: &mut [u8; MAX_HEADER], tcp: &TcpOut, header: &[u8], payload: usize) -> usize {
    let identity = Identity::Unfragmentable;
    write(out, tcp.pair, TCP, identity, header, payload)
}

/// Writes IP and UDP headers for `payload` (at most 65,507 bytes v4) and returns their length.
pub fn emit_udp(out: &mut [u8; MAX_HEADER], pair: Pair, payload: &[u8]) -> usize {
    let total = payload.len().saturating_add(8);
    let mut header = [0; 8];
    header[..2].copy_from_slice(&pair.src.port().to_be_bytes());
    header[2..4].copy_from_slice(&pair.dst.port().to_be_bytes());
    header[4..6].copy_from_slice(&length(total));
    let sum = Sum::pseudo(pair.src.ip(), pair.dst.ip(), UDP, total)
        .bytes(&header)
        .bytes(payload);
    let checksum = match sum.finish() {
        // RFC 768: an all zero checksum is transmitted as all ones.
        [0, 0] => [0xff, 0xff],
        checksum => checksum,
    };
    header[6..8].copy_from_slice(&checksum);
    // Datagrams above a later link's MTU may be fragmented on their way: the checksum is an identification that
    // only equal datagrams share (RFC 6864).
    write(
        out,
        pair,
        UDP,
        Identity::Fragmentable(checksum),
        &header,
        payload.len(),
    )
}

/// Writes IP and ICMP echo headers and returns their length.
pub fn emit_echo(
    out: &mut [u8; MAX_HEADER],
    pair: Pair,
    reply: bool,
    ident: u16,
    sequence: u16,
    payload: &[u8],
) -> usize {
    let (src, dst) = (pair.src.ip(), pair.dst.ip());
    let mut header = [0; 8];
    header[4..6].copy_from_slice(&ident.to_be_bytes());
    header[6..8].copy_from_slice(&sequence.to_be_bytes());
    let (protocol, sum) = match (src, dst) {
        (IpAddr::V4(_), IpAddr::V4(_)) => {
            header[0] = if reply { 0 } else { 8 };
            (ICMP, Sum::default())
        }
        _ => {
            header[0] = if reply { 129 } else { 128 };
            (
                ICMPV6,
                Sum::pseudo(src, dst, ICMPV6, payload.len().saturating_add(8)),
            )
        }
    };
    let checksum = sum.bytes(&header).bytes(payload).finish();
    header[2..4].copy_from_slice(&checksum);
    write(
        out,
        pair,
        protocol,
        Identity::Fragmentable(checksum),
        &header,
        payload.len(),
    )
}

/// What the IPv4 identification and its "don't fragment" bit are to be.
#[derive(Clone, Copy)]
enum Identity {
    Unfragmentable,
    Fragmentable([u8; 2]),
}

fn write(
    out: &mut [u8; MAX_HEADER],
    pair: Pair,
    protocol: u8,
    identity: Identity,
    transport: &[u8],
    payload: usize,
) -> usize {
    let body = transport.len().saturating_add(payload);
    let ip = match (pair.src.ip(), pair.dst.ip()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let (id, fragment) = match identity {
                Identity::Unfragmentable => ([0, 0], 0x40),
                Identity::Fragmentable(id) => (id, 0),
            };
            out[..20].copy_from_slice(&v4_header(src, dst, protocol, 0, id, fragment, body));
            20usize
        }
        (src, dst) => {
            out[..40].copy_from_slice(&v6_header(as_v6(src), as_v6(dst), protocol, body));
            40
        }
    };
    let end = ip.saturating_add(transport.len());
    if let Some(to) = out.get_mut(ip..end) {
        to.copy_from_slice(transport);
    }
    end
}

/// An IPv4 header without options for `body` bytes.
pub(super) fn v4_header(
    src: Ipv4Addr,
    dst: Ipv4Addr,
    protocol: u8,
    tos: u8,
    id: [u8; 2],
    fragment: u8,
    body: usize,
) -> [u8; 20] {
    let mut header = [
        0x45, tos, 0, 0, id[0], id[1], fragment, 0, HOPS, protocol, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    header[2..4].copy_from_slice(&length(body.saturating_add(20)));
    header[12..16].copy_from_slice(&src.octets());
    header[16..20].copy_from_slice(&dst.octets());
    let checksum = Sum::default().bytes(&header).finish();
    header[10..12].copy_from_slice(&checksum);
    header
}

/// An IPv6 header for `body` bytes.
pub(super) fn v6_header(src: Ipv6Addr, dst: Ipv6Addr, protocol: u8, body: usize) -> [u8; 40] {
    let mut header = [0; 40];
    header[0] = 0x60;
    header[4..6].copy_from_slice(&length(body));
    header[6] = protocol;
    header[7] = HOPS;
    header[8..24].copy_from_slice(&src.octets());
    header[24..40].copy_from_slice(&dst.octets());
    header
}

fn length(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

fn as_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// Hop limit of what we send: RFC 1700's default.
const HOPS: u8 = 64;
