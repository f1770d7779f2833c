//! What a packet says, as plain values.

use std::{net::SocketAddr, ops::BitOr};

use super::Unreachable;

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
        Self {
            src: self.dst,
            dst: self.src,
        }
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
    /// An ICMP or ICMPv6 error about a packet that was sent to the app.
    Unreachable(Quoted),
    /// A fragment: give the packet to [`Reassembler`](super::fragments::Reassembler).
    Fragment,
}

/// A part of the buffer that was parsed, `start <= end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// Number of bytes.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether there is nothing in it.
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// The bytes themselves; empty if `packet` is not the buffer that was parsed.
    pub fn of(self, packet: &[u8]) -> &[u8] {
        packet
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}

/// A TCP segment (RFC 9293).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Both ends.
    pub pair: Pair,
    /// Sequence number of the first byte (of the SYN, on a SYN).
    pub seq: u32,
    /// Next sequence number expected from the other end; meaningless without [`Flags::ACK`].
    pub ack: u32,
    /// Control bits.
    pub flags: Flags,
    /// As on the wire, unscaled.
    pub window: u16,
    /// Maximum segment size option, on a SYN.
    pub mss: Option<u16>,
    /// Window scale option (RFC 7323), at most 14, on a SYN.
    pub window_scale: Option<u8>,
    /// What follows the header.
    pub payload: Span,
}

/// TCP control bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// No further bytes from the sender.
    pub const FIN: Flags = Flags(0x01);
    /// Opens a connection.
    pub const SYN: Flags = Flags(0x02);
    /// Ends a connection at once.
    pub const RST: Flags = Flags(0x04);
    /// Asks for prompt delivery.
    pub const PSH: Flags = Flags(0x08);
    /// The acknowledgment number counts.
    pub const ACK: Flags = Flags(0x10);
    /// The urgent pointer counts.
    pub const URG: Flags = Flags(0x20);

    /// Whether every bit of `other` is set.
    pub fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// A UDP datagram (RFC 768).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Both ends.
    pub pair: Pair,
    /// What follows the 8-byte header, within the UDP length.
    pub payload: Span,
}

/// An echo request or reply (RFC 792, RFC 4443); `pair` has port 0 at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Both ends.
    pub pair: Pair,
    /// Whether it is the answer.
    pub reply: bool,
    /// Identifier.
    pub ident: u16,
    /// Sequence number.
    pub sequence: u16,
    /// What follows the 8-byte header.
    pub payload: Span,
}

/// What an ICMP error says, and which packet it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Both ends of the packet that it quotes.
    pub pair: Pair,
    /// Transport protocol of that packet, by its IANA number: 6 or 17.
    pub protocol: u8,
    /// What became of it.
    pub why: Unreachable,
}

/// Why a packet cannot be used. [`Reject::name`] is the word in drop events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reject {
    /// Shorter than its headers claim.
    Truncated,
    /// Neither IPv4 nor IPv6.
    Version,
    /// A header length below the least possible (IHL or data offset under 5, UDP length under 8).
    HeaderLength,
    /// An IPv4 total length that does not cover its own header.
    TotalLength,
    /// A checksum is wrong, or missing where it must be there (UDP over IPv6, RFC 8200 section 8.1).
    Checksum,
    /// Extension headers out of order, too many, or a routing header with segments left (RFC 5095).
    Extensions,
    /// IPv4 options that overrun their header, or a source route.
    Options,
    /// A protocol that is not relayed, by its IANA number.
    Protocol(u8),
    /// An ICMP or ICMPv6 message other than echo and errors about TCP and UDP, by its type.
    IcmpType(u8),
    /// A source address that no host can have: multicast, broadcast, loopback, unspecified, IPv4-mapped.
    Source,
    /// A destination that would be our own machine or another family: loopback, unspecified, IPv4-mapped.
    Destination,
}

impl Reject {
    /// The word in drop events.
    pub const fn name(self) -> &'static str {
        match self {
            Reject::Truncated => "truncated",
            Reject::Version => "version",
            Reject::HeaderLength => "header_length",
            Reject::TotalLength => "total_length",
            Reject::Checksum => "checksum",
            Reject::Extensions => "extensions",
            Reject::Options => "options",
            Reject::Protocol(_) => "protocol",
            Reject::IcmpType(_) => "icmp_type",
            Reject::Source => "source",
            Reject::Destination => "destination",
        }
    }
}

/// What is known of a packet's checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Checksum {
    /// Verify IPv4 header, TCP, UDP and ICMP checksums.
    #[default]
    Verify,
    /// The kernel vouches for them (virtio-net header), or the capture was taken before offload filled them in.
    Trust,
}
