//! What a device and we tell each other about a packet beside its bytes: the header of virtio-net (virtio 1.2, section
//! 5.1.6), as tun devices with `IFF_VNET_HDR` have it before every packet, in the machine's byte order.

use super::packet::Checksum;

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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn only_what_the_kernel_vouches_for_is_trusted() {
        let checksum = |flags| Offload::from_bytes([flags, 0, 0, 0, 0, 0, 0, 0, 0, 0]).checksum();
        assert_eq!([0, 4].map(checksum), [Checksum::Verify; 2]);
        assert_eq!([1, 2, 3].map(checksum), [Checksum::Trust; 3]);
    }
}
