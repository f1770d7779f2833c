//! Fragments → whole packets, within bounds.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use super::{
    ip::{Fragment, Ip, Reading},
    sum::Sum,
};

/// Puts fragmented IPv4 and IPv6 packets together: at most 64 at a time, 1 MiB in all, 5 s each.
///
/// Fragments come in any order. One that overlaps others, unless it is an exact duplicate, spoils its packet: nothing of it is
/// delivered (RFC 5722). Where room is short the oldest packet is given up.
#[derive(Debug, Default)]
pub struct Reassembler {
    /// Oldest first.
    partials: VecDeque<Partial>,
    bytes: usize,
    dropped: u64,
}

impl Reassembler {
    /// Takes one fragment and gives the rebuilt packet, headers included, if it was the last that was missing.
    pub fn push(&mut self, packet: &[u8], now: Duration) -> Option<Vec<u8>> {
        self.expire(now);
        let ip = Ip::read(packet, Reading::Captured)
            .ok()
            .filter(|ip| ip.missing == 0)?;
        let fragment = ip.fragment?;
        let key = Key {
            src: ip.src,
            dst: ip.dst,
            id: fragment.id,
            protocol: v4_protocol(&ip),
        };
        let index = match self.partials.iter().position(|partial| partial.key == key) {
            Some(index) => index,
            None => {
                if self.partials.len() >= MAX_DATAGRAMS {
                    self.drop_oldest();
                }
                self.partials.push_back(Partial::new(key, now));
                self.partials.len().saturating_sub(1)
            }
        };
        let partial = self.partials.get_mut(index)?;
        let before = partial.bytes;
        partial.add(&ip, fragment, packet);
        let after = partial.bytes;
        let whole = partial.is_whole();
        self.bytes = self.bytes.saturating_sub(before).saturating_add(after);
        if whole {
            let partial = self.partials.remove(index)?;
            self.bytes = self.bytes.saturating_sub(partial.bytes);
            return partial.build();
        }
        while self.bytes > MAX_BYTES {
            self.drop_oldest();
        }
        None
    }

    /// Gives up what began 5 s before `now` or earlier.
    pub fn expire(&mut self, now: Duration) {
        while self
            .partials
            .front()
            .is_some_and(|partial| partial.deadline() <= now)
        {
            self.drop_oldest();
        }
    }

    /// When to call [`Reassembler::expire`] next.
    pub fn deadline(&self) -> Option<Duration> {
        self.partials.front().map(Partial::deadline)
    }

    /// How many packets were given up since the last call: incomplete, overlapping, or out of room.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn drop_oldest(&mut self) {
        if let Some(partial) = self.partials.pop_front() {
            self.bytes = self.bytes.saturating_sub(partial.bytes);
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

/// What RFC 791 and RFC 8200 section 4.5 tell fragments of one packet by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    /// 0 for IPv6, which does not tell by it.
    protocol: u8,
}

#[derive(Debug)]
struct Partial {
    key: Key,
    began: Duration,
    /// Fragment bodies by offset, disjoint.
    pieces: BTreeMap<usize, Box<[u8]>>,
    /// Headers of the first fragment, ready for the rebuilt packet but for lengths and checksum.
    prefix: Option<Box<[u8]>>,
    /// Length of the fragmentable part, once the last fragment is here.
    end: Option<usize>,
    received: usize,
    bytes: usize,
    /// Overlapping or contradictory: what still comes is thrown away until it expires.
    spoiled: bool,
}

impl Partial {
    fn new(key: Key, began: Duration) -> Self {
        Self {
            key,
            began,
            pieces: BTreeMap::new(),
            prefix: None,
            end: None,
            received: 0,
            bytes: 0,
            spoiled: false,
        }
    }

    fn deadline(&self) -> Duration {
        self.began.saturating_add(MAX_AGE)
    }

    fn add(&mut self, ip: &Ip<'_>, fragment: Fragment, packet: &[u8]) {
        let start = fragment.offset;
        let end = start.saturating_add(ip.payload.len());
        if self.spoiled
            || ip.payload.is_empty()
            || (fragment.more && !ip.payload.len().is_multiple_of(8))
        {
            return;
        }
        if self
            .pieces
            .get(&start)
            .is_some_and(|piece| **piece == *ip.payload)
        {
            return;
        }
        let before = self.pieces.range(..end).next_back();
        let overlaps = before.is_some_and(|(at, piece)| at.saturating_add(piece.len()) > start);
        let contradicts = match self.end {
            Some(known) => end > known || (!fragment.more && end != known),
            None => {
                !fragment.more
                    && self
                        .pieces
                        .last_key_value()
                        .is_some_and(|(at, _)| *at >= end)
            }
        };
        if overlaps || contradicts || end > MAX_LENGTH {
            return self.spoil();
        }
        if !fragment.more {
            self.end = Some(end);
        }
        if start == 0 {
            let mut prefix: Box<[u8]> = packet.get(..fragment.prefix).unwrap_or_default().into();
            if let Some(protocol) = prefix.get_mut(fragment.protocol_at) {
                *protocol = ip.protocol;
            }
            self.bytes = self.bytes.saturating_add(prefix.len());
            self.prefix = Some(prefix);
        }
        self.received = self.received.saturating_add(ip.payload.len());
        self.bytes = self
            .bytes
            .saturating_add(ip.payload.len())
            .saturating_add(PIECE_OVERHEAD);
        self.pieces.insert(start, ip.payload.into());
    }

    fn spoil(&mut self) {
        self.spoiled = true;
        self.pieces.clear();
        self.prefix = None;
        self.bytes = 0;
    }

    fn is_whole(&self) -> bool {
        !self.spoiled && self.end == Some(self.received)
    }

    fn build(self) -> Option<Vec<u8>> {
        let prefix = self.prefix?;
        let header = prefix.len();
        let mut packet = Vec::with_capacity(header.saturating_add(self.received));
        packet.extend_from_slice(&prefix);
        for piece in self.pieces.values() {
            packet.extend_from_slice(piece);
        }
        match self.key.src {
            IpAddr::V4(_) => {
                let length = u16::try_from(packet.len()).ok()?;
                packet.get_mut(2..4)?.copy_from_slice(&length.to_be_bytes());
                packet.get_mut(6..8)?.fill(0);
                packet.get_mut(10..12)?.fill(0);
                let checksum = Sum::default().bytes(packet.get(..header)?).finish();
                packet.get_mut(10..12)?.copy_from_slice(&checksum);
            }
            IpAddr::V6(_) => {
                let length = u16::try_from(packet.len().checked_sub(40)?).ok()?;
                packet.get_mut(4..6)?.copy_from_slice(&length.to_be_bytes());
            }
        }
        Some(packet)
    }
}

fn v4_protocol(ip: &Ip<'_>) -> u8 {
    match ip.src {
        IpAddr::V4(_) => ip.protocol,
        IpAddr::V6(_) => 0,
    }
}

/// Packets put together at a time.
const MAX_DATAGRAMS: usize = 64;
/// Bytes kept over all of them, [`PIECE_OVERHEAD`] included.
const MAX_BYTES: usize = 1 << 20;
/// How long the fragments of a packet may take (RFC 8200 section 4.5 grants up to 60 s).
const MAX_AGE: Duration = Duration::from_secs(5);
/// What a length field can say.
const MAX_LENGTH: usize = 65_535;
/// Charged per fragment, so that tiny ones cannot grow the bookkeeping unseen.
const PIECE_OVERHEAD: usize = 64;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::{Checksum, MAX_HEADER, Packet, Pair, emit_udp, parse};

    fn udp(v6: bool, payload: &[u8]) -> Vec<u8> {
        let pair = match v6 {
            false => ("192.0.2.1:40000", "203.0.113.9:9999"),
            true => ("[2001:db8::1]:40000", "[2001:db8::2]:9999"),
        };
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let pair = Pair {
            src: address(pair.0),
            dst: address(pair.1),
        };
        let mut out = [0; MAX_HEADER];
        let len = emit_udp(&mut out, pair, payload);
        [&out[..len], payload].concat()
    }

    fn piece(packet: &[u8], id: u16, start: usize, end: usize, more: bool) -> Vec<u8> {
        match packet[0] >> 4 {
            4 => {
                let mut out = [&packet[..20], &packet[20 + start..20 + end]].concat();
                let len = out.len() as u16;
                out[2..4].copy_from_slice(&len.to_be_bytes());
                out[4..6].copy_from_slice(&id.to_be_bytes());
                out[6..8]
                    .copy_from_slice(&((start / 8) as u16 | u16::from(more) << 13).to_be_bytes());
                out[10..12].fill(0);
                let sum = Sum::default().bytes(&out[..20]).finish();
                out[10..12].copy_from_slice(&sum);
                out
            }
            _ => {
                let mut header = [17, 0, 0, 0, 0, 0, 0, 0];
                header[2..4].copy_from_slice(&(start as u16 | u16::from(more)).to_be_bytes());
                header[6..8].copy_from_slice(&id.to_be_bytes());
                let mut out = [&packet[..40], &header, &packet[40 + start..40 + end]].concat();
                let len = (out.len() - 40) as u16;
                out[4..6].copy_from_slice(&len.to_be_bytes());
                out[6] = 44;
                out
            }
        }
    }

    fn split(packet: &[u8], id: u16, size: usize) -> Vec<Vec<u8>> {
        let header = if packet[0] >> 4 == 4 { 20 } else { 40 };
        let len = packet.len() - header;
        let starts = (0..len).step_by(size);
        starts
            .map(|start| {
                piece(
                    packet,
                    id,
                    start,
                    (start + size).min(len),
                    start + size < len,
                )
            })
            .collect()
    }

    fn payload(packet: &[u8]) -> Vec<u8> {
        match parse(packet, Checksum::Verify) {
            Ok(Packet::Udp(datagram)) => datagram.payload.of(packet).to_vec(),
            other => panic!("{other:?}"),
        }
    }

    const NOW: Duration = Duration::from_secs(100);

    /// Anchor R6: a value split over two fragments, in and out of order.
    #[test]
    fn r6_a_packet_in_two_fragments_is_put_together() {
        for v6 in [false, true] {
            for swap in [false, true] {
                let whole = udp(v6, b"imei=490154203237518;");
                let mut pieces = split(&whole, 7, 16);
                if swap {
                    pieces.reverse();
                }
                let mut fragments = Reassembler::default();
                for piece in &pieces {
                    assert_eq!(parse(piece, Checksum::Verify), Ok(Packet::Fragment));
                }
                assert_eq!(fragments.push(&pieces[0], NOW), None);
                let rebuilt = fragments.push(&pieces[1], NOW).unwrap();
                assert_eq!(payload(&rebuilt), b"imei=490154203237518;");
                assert_eq!((fragments.deadline(), fragments.bytes), (None, 0));
            }
        }
    }

    /// Anchor R6: overlapping fragments spoil their packet (RFC 5722), exact duplicates do not.
    #[test]
    fn r6_overlapping_fragments_are_never_delivered() {
        for v6 in [false, true] {
            let whole = udp(v6, &[7; 40]);
            let last = piece(&whole, 1, 32, 48, false);
            for (name, first, second, third, delivered) in [
                ("duplicate", (0, 32), (0, 32), (0, 0), true),
                ("inside", (0, 32), (8, 16), (0, 32), false),
                ("across", (0, 24), (16, 32), (24, 32), false),
                ("around", (8, 16), (0, 32), (0, 8), false),
                ("beyond the end", (0, 32), (40, 48), (0, 0), false),
            ] {
                let mut fragments = Reassembler::default();
                let mut out = Vec::new();
                for (start, end) in [first, second] {
                    out.extend(fragments.push(&piece(&whole, 1, start, end, true), NOW));
                }
                if name == "beyond the end" {
                    out.extend(fragments.push(&piece(&whole, 1, 32, 40, false), NOW));
                }
                out.extend(fragments.push(&piece(&whole, 1, third.0, third.1, true), NOW));
                out.extend(fragments.push(&last, NOW));
                assert_eq!(!out.is_empty(), delivered, "{name}");
                fragments.expire(NOW + MAX_AGE);
                assert_eq!(fragments.take_dropped(), u64::from(!delivered), "{name}");
            }
        }
    }

    /// Anchor R6: what never completes is given up, by age and by number.
    #[test]
    fn r6_fragments_that_never_complete_are_given_up() {
        let whole = udp(false, &[7; 40]);
        let mut fragments = Reassembler::default();
        fragments.push(&piece(&whole, 1, 0, 16, true), NOW);
        assert_eq!(fragments.deadline(), Some(NOW + MAX_AGE));
        fragments.expire(NOW + MAX_AGE - Duration::from_nanos(1));
        assert_eq!(fragments.take_dropped(), 0);
        assert_eq!(
            fragments.push(&piece(&whole, 1, 16, 48, false), NOW + MAX_AGE),
            None
        );
        assert_eq!(fragments.take_dropped(), 1);

        let mut fragments = Reassembler::default();
        for id in 0..1000 {
            fragments.push(&piece(&whole, id, 0, 16, true), NOW);
            assert!(fragments.partials.len() <= MAX_DATAGRAMS);
        }
        assert_eq!(fragments.take_dropped(), 1000 - MAX_DATAGRAMS as u64);
        assert!(
            fragments
                .push(&piece(&whole, 999, 16, 48, false), NOW)
                .is_some()
        );
        assert!(
            fragments
                .push(&piece(&whole, 5, 16, 48, false), NOW)
                .is_none()
        );
    }

    #[test]
    fn memory_is_bounded_in_bytes() {
        let whole = udp(false, &vec![7; 60_000]);
        let mut fragments = Reassembler::default();
        for id in 0..60 {
            for part in split(&whole, id, 30_000 / 8 * 8).iter().take(1) {
                fragments.push(part, NOW);
                assert!(fragments.bytes <= MAX_BYTES);
            }
        }
        let tiny = udp(true, &vec![7; 60_000]);
        for part in split(&tiny, 9, 8).iter().skip(1) {
            fragments.push(part, NOW);
            assert!(fragments.bytes <= MAX_BYTES);
            let kept: usize = fragments
                .partials
                .iter()
                .flat_map(|partial| partial.pieces.values())
                .map(|piece| piece.len() + PIECE_OVERHEAD)
                .sum();
            assert!(kept <= fragments.bytes);
        }
    }

    #[test]
    fn the_longest_packet_fits_and_a_longer_one_does_not() {
        let whole = udp(false, &vec![7; 65_507]);
        let mut fragments = Reassembler::default();
        let rebuilt = split(&whole, 1, 1480)
            .iter()
            .filter_map(|part| fragments.push(part, NOW))
            .next()
            .unwrap();
        assert_eq!(payload(&rebuilt).len(), 65_507);

        let mut fragments = Reassembler::default();
        let small = udp(false, &[7; 40]);
        let mut far = piece(&small, 1, 0, 16, false);
        far[6..8].copy_from_slice(&0x1fffu16.to_be_bytes());
        fragments.push(&far, NOW);
        assert!(fragments.partials[0].spoiled);
    }

    #[test]
    fn extension_headers_before_the_fragment_header_are_kept() {
        let whole = udp(true, &[9; 24]);
        let pieces = split(&whole, 3, 16).into_iter().map(|part| {
            let mut part = [&part[..40], &[44, 0, 1, 4, 0, 0, 0, 0], &part[40..]].concat();
            part[6] = 60;
            part[5] += 8;
            part
        });
        let mut fragments = Reassembler::default();
        let rebuilt = pieces
            .filter_map(|part| fragments.push(&part, NOW))
            .next()
            .unwrap();
        assert_eq!(
            (rebuilt[6], rebuilt[40], rebuilt.len()),
            (60, 17, whole.len() + 8)
        );
        assert_eq!(payload(&rebuilt), [9; 24]);
    }

    proptest! {
        #[test]
        fn any_order_and_any_size_give_the_same_packet(
            v6: bool, size in 1usize..40, len in 1usize..600, seed: u64,
        ) {
            let data: Vec<u8> = (0..len).map(|at| (at as u64).wrapping_mul(seed | 1) as u8).collect();
            let whole = udp(v6, &data);
            let mut pieces = split(&whole, 5, size * 8);
            prop_assume!(pieces.len() > 1);
            let mut state = seed;
            for at in (1..pieces.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                pieces.swap(at, (state >> 33) as usize % (at + 1));
            }
            let mut fragments = Reassembler::default();
            let out: Vec<_> = pieces.iter().filter_map(|part| fragments.push(part, NOW)).collect();
            prop_assert_eq!(out.len(), 1);
            prop_assert_eq!(payload(&out[0]), data);
        }

        #[test]
        fn arbitrary_fragments_never_panic(parts in proptest::collection::vec((any::<bool>(), 0u16..3, 0u16..8, any::<bool>(), 0usize..30), 0..60)) {
            let mut fragments = Reassembler::default();
            for (v6, id, at, more, len) in parts {
                let whole = udp(v6, &[7; 120]);
                let start = usize::from(at) * 8;
                if let Some(packet) = fragments.push(&piece(&whole, id, start, start + len, more), NOW) {
                    prop_assert!(packet.len() <= 65_575);
                }
            }
        }
    }
}
