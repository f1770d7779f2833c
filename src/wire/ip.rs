//! The IP layer of one packet: IPv4 (RFC 791) and IPv6 (RFC 8200) headers up to the transport's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    IpAuthHeaderSlice, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice,
    Ipv6RawExtHeaderSlice,
    err::{ip_auth, ipv4, ipv6},
};

use super::{packet::Reject, sum::Sum};

/// What the headers say, lengths checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ip<'a> {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    /// IANA number of what `payload` begins with.
    pub(super) protocol: u8,
    /// Where `payload` begins in the packet.
    pub(super) payload_at: usize,
    /// Transport header and payload, without link-layer padding.
    pub(super) payload: &'a [u8],
    /// Bytes that the length field claims beyond what was captured; 0 unless [`Reading::Captured`].
    pub(super) missing: usize,
    /// Set if the packet is a fragment; an atomic one (RFC 6946) is not.
    pub(super) fragment: Option<Fragment>,
}

/// Which part of a datagram a fragment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    /// Bytes before it in the fragmentable part.
    pub(super) offset: usize,
    /// Whether others come after it.
    pub(super) more: bool,
    pub(super) id: u32,
    /// Length of the headers that every fragment repeats.
    pub(super) prefix: usize,
    /// Where, in those headers, the number of what follows them stands.
    pub(super) protocol_at: usize,
}

/// How strict to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// From a device, checksums to be verified.
    Verify,
    /// From a device that vouches for checksums.
    Trust,
    /// From a file: checksums are unknown, the tail may be cut off, lengths of offloaded packets may be 0, loopback is no surprise.
    Captured,
}

impl<'a> Ip<'a> {
    pub(super) fn read(packet: &'a [u8], reading: Reading) -> Result<Self, Reject> {
        match packet.first().map(|byte| byte >> 4) {
            Some(4) => read_v4(packet, reading),
            Some(6) => read_v6(packet, reading),
            Some(_) => Err(Reject::Version),
            None => Err(Reject::Truncated),
        }
    }
}

fn read_v4(packet: &[u8], reading: Reading) -> Result<Ip<'_>, Reject> {
    let header = Ipv4HeaderSlice::from_slice(packet).map_err(|error| match error {
        ipv4::HeaderSliceError::Len(_) => Reject::Truncated,
        ipv4::HeaderSliceError::Content(_) => Reject::HeaderLength,
    })?;
    let header_len = header.slice().len();
    let claimed = match usize::from(header.total_len()) {
        0 if reading == Reading::Captured => packet.len(),
        claimed if claimed < header_len => return Err(Reject::TotalLength),
        claimed => claimed,
    };
    let (body, missing) = body(packet, header_len, claimed, reading)?;
    if reading == Reading::Verify && !Sum::default().bytes(header.slice()).is_intact() {
        return Err(Reject::Checksum);
    }
    check_v4_options(header.options())?;
    let (src, dst) = (header.source_addr(), header.destination_addr());
    if reading != Reading::Captured {
        check_v4_addresses(src, dst)?;
    }
    let mut ip = Ip {
        src: src.into(),
        dst: dst.into(),
        protocol: header.protocol().0,
        payload_at: header_len,
        payload: body,
        missing,
        fragment: None,
    };
    if header.is_fragmenting_payload() {
        ip.fragment = Some(Fragment {
            offset: usize::from(header.fragments_offset().value()).saturating_mul(8),
            more: header.more_fragments(),
            id: header.identification().into(),
            prefix: header_len,
            protocol_at: 9,
        });
    } else if ip.protocol == AUTHENTICATION {
        (ip.protocol, ip.payload) = skip_authentication(ip.payload)?;
        ip.payload_at = packet_offset(header_len, body, ip.payload);
    }
    Ok(ip)
}

fn read_v6(packet: &[u8], reading: Reading) -> Result<Ip<'_>, Reject> {
    let header = Ipv6HeaderSlice::from_slice(packet).map_err(|error| match error {
        ipv6::HeaderSliceError::Len(_) => Reject::Truncated,
        ipv6::HeaderSliceError::Content(_) => Reject::Version,
    })?;
    let header_len = header.slice().len();
    let claimed = match usize::from(header.payload_length()) {
        0 if reading == Reading::Captured => packet.len(),
        claimed => claimed.saturating_add(header_len),
    };
    let (body, missing) = body(packet, header_len, claimed, reading)?;
    let (src, dst) = (header.source_addr(), header.destination_addr());
    if reading != Reading::Captured {
        check_v6_addresses(src, dst)?;
    }
    let mut next = header.next_header().0;
    let mut rest = body;
    let mut protocol_at = 6;
    let mut fragment = None;
    for walked in 0..=MAX_EXTENSIONS {
        let at = packet_offset(header_len, body, rest);
        let (after, next_after) = match next {
            HOP_BY_HOP if walked > 0 => return Err(Reject::Extensions),
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                let extension =
                    Ipv6RawExtHeaderSlice::from_slice(rest).map_err(|_| Reject::Truncated)?;
                if next == ROUTING && extension.slice().get(3) != Some(&0) {
                    return Err(Reject::Extensions);
                }
                (extension.slice().len(), extension.next_header().0)
            }
            AUTHENTICATION => {
                let (next_after, after) = skip_authentication(rest)?;
                (rest.len().saturating_sub(after.len()), next_after)
            }
            FRAGMENT => {
                let extension =
                    Ipv6FragmentHeaderSlice::from_slice(rest).map_err(|_| Reject::Truncated)?;
                if extension.is_fragmenting_payload() {
                    fragment = Some(Fragment {
                        offset: usize::from(extension.fragment_offset().value()).saturating_mul(8),
                        more: extension.more_fragments(),
                        id: extension.identification(),
                        prefix: at,
                        protocol_at,
                    });
                }
                (extension.slice().len(), extension.next_header().0)
            }
            _ => break,
        };
        if walked == MAX_EXTENSIONS {
            return Err(Reject::Extensions);
        }
        protocol_at = at;
        next = next_after;
        rest = rest.get(after..).ok_or(Reject::Truncated)?;
        if fragment.is_some() {
            break;
        }
    }
    Ok(Ip {
        src: src.into(),
        dst: dst.into(),
        protocol: next,
        payload_at: packet_offset(header_len, body, rest),
        payload: rest,
        missing,
        fragment,
    })
}

/// Cuts off what lies beyond the claimed length (link-layer padding), and says how much of it is not there.
fn body(
    packet: &[u8],
    header: usize,
    claimed: usize,
    reading: Reading,
) -> Result<(&[u8], usize), Reject> {
    let missing = claimed.saturating_sub(packet.len());
    if missing > 0 && reading != Reading::Captured {
        return Err(Reject::Truncated);
    }
    let body = packet
        .get(header..claimed.min(packet.len()))
        .ok_or(Reject::Truncated)?;
    Ok((body, missing))
}

fn skip_authentication(rest: &[u8]) -> Result<(u8, &[u8]), Reject> {
    let header = IpAuthHeaderSlice::from_slice(rest).map_err(|error| match error {
        ip_auth::HeaderSliceError::Len(_) => Reject::Truncated,
        ip_auth::HeaderSliceError::Content(_) => Reject::Extensions,
    })?;
    let after = rest.get(header.slice().len()..).ok_or(Reject::Truncated)?;
    Ok((header.next_header().0, after))
}

fn packet_offset(header: usize, body: &[u8], rest: &[u8]) -> usize {
    header.saturating_add(body.len().saturating_sub(rest.len()))
}

/// Refuses options that do not fit, and source routes: with one, the destination field is not where the packet ends up.
fn check_v4_options(mut options: &[u8]) -> Result<(), Reject> {
    while let [kind, rest @ ..] = options {
        options = match *kind {
            0 => return Ok(()),
            1 => rest,
            LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => return Err(Reject::Options),
            _ => match rest.first() {
                Some(&len @ 2..) => options.get(usize::from(len)..).ok_or(Reject::Options)?,
                Some(_) | None => return Err(Reject::Options),
            },
        };
    }
    Ok(())
}

fn check_v4_addresses(src: Ipv4Addr, dst: Ipv4Addr) -> Result<(), Reject> {
    let nobody = |address: Ipv4Addr| address.is_loopback() || address.octets().first() == Some(&0);
    if nobody(src) || src.is_multicast() || src.is_broadcast() {
        return Err(Reject::Source);
    }
    if nobody(dst) {
        return Err(Reject::Destination);
    }
    Ok(())
}

fn check_v6_addresses(src: Ipv6Addr, dst: Ipv6Addr) -> Result<(), Reject> {
    let nobody = |address: Ipv6Addr| {
        address.is_loopback() || address.is_unspecified() || address.to_ipv4_mapped().is_some()
    };
    if nobody(src) || src.is_multicast() {
        return Err(Reject::Source);
    }
    if nobody(dst) {
        return Err(Reject::Destination);
    }
    Ok(())
}

/// Extension headers walked per packet; RFC 8200 section 4.1 lists six, with Destination Options twice.
const MAX_EXTENSIONS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;
