//! What a device and we tell each other about a packet beside its bytes: the header of virtio-net (virtio 1.2, section
//! 5.1.6), as tun devices with `IFF_VNET_HDR` have it before every packet, in the machine's byte order.

use super::{packet::Checksum, sum::Sum};

/// Who still has to compute the transport checksum, and how a long TCP segment is to be cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    flags: u8,
    kind: u8,
    header: u16,
    segment: u16,
    checksum_start: u16,
    checksum_offset: u16,
}

impl Offload {
    /// Bytes of the header.
    pub const LEN: usize = 10;

    /// For a TCP segment without its checksum, behind an IP header of `ip` bytes: `header` bytes of headers, and
    /// `payload` bytes that the device cuts into segments of `segment` bytes where they are more.
    pub fn tcp(ip: usize, header: usize, payload: usize, segment: u16) -> Self {
        let narrow = |len: usize| u16::try_from(len).unwrap_or(u16::MAX);
        let cut = payload > usize::from(segment);
        let kind = match (cut, ip) {
            (false, _) => WHOLE,
            (true, V4_HEADER) => TCP_V4,
            (true, _) => TCP_V6,
        };
        Self {
            flags: NEEDS_CHECKSUM,
            kind,
            header: narrow(header),
            segment: if cut { segment } else { 0 },
            checksum_start: narrow(ip),
            checksum_offset: TCP_CHECKSUM,
        }
    }

    /// Reads a header.
    pub fn from_bytes([flags, kind, rest @ ..]: [u8; Self::LEN]) -> Self {
        let [h0, h1, s0, s1, a0, a1, b0, b1] = rest;
        Self {
            flags,
            kind,
            header: u16::from_ne_bytes([h0, h1]),
            segment: u16::from_ne_bytes([s0, s1]),
            checksum_start: u16::from_ne_bytes([a0, a1]),
            checksum_offset: u16::from_ne_bytes([b0, b1]),
        }
    }

    /// Writes a header.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let [h0, h1] = self.header.to_ne_bytes();
        let [s0, s1] = self.segment.to_ne_bytes();
        let [a0, a1] = self.checksum_start.to_ne_bytes();
        let [b0, b1] = self.checksum_offset.to_ne_bytes();
        [self.flags, self.kind, h0, h1, s0, s1, a0, a1, b0, b1]
    }

    /// Computes the checksum that was left to the device, so that the packet of these two parts reads as on a wire. Where
    /// none was left, or there is no such place in `head`, nothing changes.
    pub fn complete(self, head: &mut [u8], rest: &[u8]) {
        let start = usize::from(self.checksum_start);
        let at = start.saturating_add(self.checksum_offset.into());
        if self.flags & NEEDS_CHECKSUM == 0 {
            return;
        }
        // The field holds the sum of the pseudo-header, which so is counted in.
        let sum = Sum::default()
            .bytes(head.get(start..).unwrap_or_default())
            .bytes(rest);
        if let Some(field) = head.get_mut(at..at.saturating_add(2)) {
            field.copy_from_slice(&match sum.finish() {
                // RFC 768: an all zero checksum is transmitted as all ones.
                [0, 0] if self.checksum_offset == UDP_CHECKSUM => [0xff, 0xff],
                checksum => checksum,
            });
        }
    }

    /// What is known of the checksums of a packet that the device gave: one that the kernel has not computed yet, or has
    /// verified, is as good as right, because the packet never left the machine or was looked at already.
    pub fn checksum(self) -> Checksum {
        match self.flags & (NEEDS_CHECKSUM | VERIFIED) {
            0 => Checksum::Verify,
            _ => Checksum::Trust,
        }
    }
}

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`: the checksum field holds the sum of the pseudo-header alone.
const NEEDS_CHECKSUM: u8 = 1;
/// `VIRTIO_NET_HDR_F_DATA_VALID`.
const VERIFIED: u8 = 2;
/// `VIRTIO_NET_HDR_GSO_NONE`.
const WHOLE: u8 = 0;
/// `VIRTIO_NET_HDR_GSO_TCPV4`.
const TCP_V4: u8 = 1;
/// `VIRTIO_NET_HDR_GSO_TCPV6`.
const TCP_V6: u8 = 4;
/// An IPv4 header as we write it.
const V4_HEADER: usize = 20;
/// Where a TCP header has its checksum.
const TCP_CHECKSUM: u16 = 16;
/// Where a UDP header has its checksum.
const UDP_CHECKSUM: u16 = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{
        Flags, MAX_HEADER, Pair, Reject, TcpOut, emit_tcp, emit_tcp_offloaded, parse,
    };

    #[test]
    fn a_long_segment_is_cut_and_a_short_one_is_not() {
        let native = |words: [u16; 4]| words.map(u16::to_ne_bytes).concat();
        let rows = [
            ((20, 40, 1_460, 1_460), [1, 0], [40, 0, 20, 16]),
            ((20, 40, 1_461, 1_460), [1, 1], [40, 1_460, 20, 16]),
            ((40, 60, 60_000, 1_440), [1, 4], [60, 1_440, 40, 16]),
            ((40, 60, 0, 1_440), [1, 0], [60, 0, 40, 16]),
        ];
        for ((ip, header, payload, segment), start, rest) in rows {
            let offload = Offload::tcp(ip, header, payload, segment);
            let bytes = offload.to_bytes();
            assert_eq!(bytes[..], [&start[..], &native(rest)].concat());
            assert_eq!(Offload::from_bytes(bytes), offload);
        }
    }

    #[test]
    fn a_checksum_that_was_left_out_is_completed() {
        let pair = |src: &str, dst: &str| Pair {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
        };
        let pairs = [
            pair("198.18.0.2:4000", "203.0.113.9:80"),
            pair("[fd00::2]:4000", "[2001:db8::9]:80"),
        ];
        for (pair, payload) in pairs.into_iter().zip([&b"odd"[..], &[7; 3_000]]) {
            let tcp = TcpOut {
                pair,
                seq: 1,
                ack: 2,
                flags: Flags::ACK,
                window: 3,
                mss: None,
                window_scale: None,
            };
            let mut header = [0; MAX_HEADER];
            let (n, offload) = emit_tcp_offloaded(&mut header, &tcp, payload.len(), 1_000);
            let left_out = [&header[..n], payload].concat();
            assert_eq!(parse(&left_out, Checksum::Verify), Err(Reject::Checksum));
            offload.complete(&mut header[..n], payload);
            let mut plain = [0; MAX_HEADER];
            assert_eq!(emit_tcp(&mut plain, &tcp, payload), n);
            assert_eq!(header, plain);
        }
        let untouched = [1, 2, 3];
        let mut bytes = untouched;
        Offload::tcp(20, 40, 0, 1_000).complete(&mut bytes, &[]);
        Offload::default().complete(&mut bytes, &[]);
        assert_eq!(bytes, untouched, "there is no place for one");
    }

    #[test]
    fn only_what_the_kernel_vouches_for_is_trusted() {
        let checksum = |flags| Offload::from_bytes([flags, 0, 0, 0, 0, 0, 0, 0, 0, 0]).checksum();
        assert_eq!([0, 4].map(checksum), [Checksum::Verify; 2]);
        assert_eq!([1, 2, 3].map(checksum), [Checksum::Trust; 3]);
    }
}
