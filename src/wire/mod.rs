//! Bytes ↔ packets. Parsing is etherparse's checked slices; what we emit is ours.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

/// Both ends of a packet, as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pair {
    /// Who sent it. Port 0 for ICMP.
    pub src: SocketAddr,
    /// Whom it is for.
    pub dst: SocketAddr,
}

impl Pair {
    /// The way back.
    pub fn reversed(self) -> Self {
        Self { src: self.dst, dst: self.src }
    }
}

/// What a packet carries. Payloads are ranges into the buffer that was parsed, so that they can stay in their slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A TCP segment.
    Tcp(Segment),
    /// A UDP datagram.
    Udp(Datagram),
    /// An ICMP or ICMPv6 echo request or reply.
    Echo(Echo),
    /// A fragment: give the packet to [`fragments::Reassembler`].
    Fragment,
}

/// A part of the buffer that was parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span { pub start: u32, pub end: u32 }

/// A TCP segment (RFC 9293).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub pair: Pair,
    pub seq: u32,
    pub ack: u32,
    pub flags: Flags,
    /// As on the wire, unscaled.
    pub window: u16,
    /// Maximum segment size option, on a SYN.
    pub mss: Option<u16>,
    /// Window scale option (RFC 7323), at most 14, on a SYN.
    pub window_scale: Option<u8>,
    pub payload: Span,
}

/// TCP control bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Flags(pub u8);

impl Flags {
    pub const FIN: Flags = Flags(0x01);
    pub const SYN: Flags = Flags(0x02);
    pub const RST: Flags = Flags(0x04);
    pub const PSH: Flags = Flags(0x08);
    pub const ACK: Flags = Flags(0x10);
    pub const URG: Flags = Flags(0x20);

    pub fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

impl std::ops::BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    pub pair: Pair,
    pub payload: Span,
}

/// An echo request or reply; `pair` has port 0 at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    pub pair: Pair,
    pub reply: bool,
    pub ident: u16,
    pub sequence: u16,
    /// What follows the 8-byte header.
    pub payload: Span,
}

/// Why a packet cannot be used. `name` is the word in drop events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reject { Truncated, Version, HeaderLength, TotalLength, Checksum, Extensions, Options, Protocol(u8), IcmpType(u8), Source }

/// What is known of a packet's checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Checksum {
    /// Verify IPv4 header, TCP, UDP and ICMP checksums.
    #[default]
    Verify,
    /// The kernel vouches for them (virtio-net header), or the capture was taken before offload filled them in.
    Trust,
}

/// Parses one IP packet (no link header).
pub fn parse(_packet: &[u8], _checksum: Checksum) -> Result<Packet, Reject> { unimplemented!() }

/// Bytes that are enough for every header [`emit`] writes.
pub const MAX_HEADER: usize = 128;

/// What a TCP header should say.
#[derive(Clone, Copy, Debug)]
pub struct TcpOut { pub pair: Pair, pub seq: u32, pub ack: u32, pub flags: Flags, pub window: u16, pub mss: Option<u16>, pub window_scale: Option<u8> }

/// Writes IP and TCP headers for `payload` (checksums included) and returns their length.
pub fn emit_tcp(_out: &mut [u8; MAX_HEADER], _tcp: &TcpOut, _payload: &[u8]) -> usize { unimplemented!() }
/// Writes IP and UDP headers for `payload` (at most 65,507 bytes v4) and returns their length.
pub fn emit_udp(_out: &mut [u8; MAX_HEADER], _pair: Pair, _payload: &[u8]) -> usize { unimplemented!() }
/// Writes IP and ICMP echo headers and returns their length.
pub fn emit_echo(_out: &mut [u8; MAX_HEADER], _pair: Pair, _reply: bool, _ident: u16, _sequence: u16, _payload: &[u8]) -> usize { unimplemented!() }

/// Why a packet is refused, for [`emit_unreachable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable { Network, Host, Port, AdminProhibited }

/// A whole ICMP(v6) destination-unreachable packet (RFC 792, RFC 1812, RFC 4443) in answer to `offending`
/// (the IP packet as read from the tun), from the offender's destination to its source, quoting as much as the RFCs allow.
/// Appends to `out`; false, and nothing appended, where no error may be sent (multicast, fragments other than the first, ICMP errors).
pub fn emit_unreachable(_out: &mut Vec<u8>, _why: Unreachable, _offending: &[u8]) -> bool { unimplemented!() }
