//! Cases as packets of a capture: segments out of order, datagrams in IP fragments.

use std::time::Duration;

use untold::{
    engine::capture::Replay,
    event::{Event, Finding, Proto},
    wire::{Flags, MAX_HEADER, Pair, TcpOut, emit_tcp, emit_udp},
};

use crate::{
    case::Case,
    sender::{Sender, cuts},
};

/// Findings of the case's packets, replayed.
pub fn findings(sender: &Sender, case: &Case, seed: u64) -> Vec<Finding> {
    let mut replay = Replay::new(sender.rules(), None, 1);
    let pair = Pair {
        src: "192.0.2.17:40000".parse().expect("an address"),
        dst: ([203, 0, 113, 9], case.port).into(),
    };
    let packets = match case.proto {
        Proto::Tcp => segments(pair, &case.sends().concat(), seed),
        Proto::Udp | Proto::Icmp => case
            .sends()
            .iter()
            .enumerate()
            .flat_map(|(id, payload)| fragments(&datagram(pair, payload), id as u16))
            .collect(),
    };
    for packet in packets {
        replay.packet(&packet, Duration::from_secs(1), 1_800_000_000);
    }
    replay.finish();
    let events = std::iter::from_fn(|| replay.poll_event());
    let finding = |event| match event {
        Event::Finding(event) => Some(event.finding),
        _ => None,
    };
    events.filter_map(finding).collect()
}

/// A connection whose segments come in swapped pairs.
fn segments(pair: Pair, bytes: &[u8], seed: u64) -> Vec<Vec<u8>> {
    let packet = |at: usize, flags: Flags, payload: &[u8]| {
        let out = TcpOut {
            pair,
            seq: ISS.wrapping_add(at as u32),
            ack: 1,
            flags,
            window: u16::MAX,
            mss: None,
            window_scale: None,
        };
        let mut header = [0; MAX_HEADER];
        let length = emit_tcp(&mut header, &out, payload);
        [&header[..length], payload].concat()
    };
    let mut ends = cuts(bytes.len(), seed);
    // No segment is longer than a packet may be.
    ends.extend((0..bytes.len()).step_by(SEGMENT).chain([bytes.len()]));
    ends.sort_unstable();
    ends.dedup();
    let mut parts: Vec<Vec<u8>> = ends
        .windows(2)
        .map(|ends| packet(1 + ends[0], Flags::ACK, &bytes[ends[0]..ends[1]]))
        .collect();
    for pair in parts.chunks_exact_mut(2) {
        pair.swap(0, 1);
    }
    let fin = Flags(Flags::FIN.0 | Flags::ACK.0);
    let mut packets = vec![packet(0, Flags::SYN, &[])];
    packets.extend(parts);
    packets.push(packet(1 + bytes.len(), fin, &[]));
    packets
}

fn datagram(pair: Pair, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; MAX_HEADER];
    let length = emit_udp(&mut header, pair, payload);
    [&header[..length], payload].concat()
}

/// The fragments of an IPv4 packet, the last one first (RFC 791).
fn fragments(packet: &[u8], id: u16) -> Vec<Vec<u8>> {
    let (header, data) = packet.split_at(IPV4_HEADER);
    let pieces: Vec<&[u8]> = data.chunks(FRAGMENT).collect();
    let mut fragments: Vec<Vec<u8>> = pieces
        .iter()
        .enumerate()
        .map(|(index, piece)| {
            let more = u16::from(index + 1 < pieces.len()) << 13;
            let offset = (index * FRAGMENT / 8) as u16;
            let mut header = header.to_vec();
            header[2..4].copy_from_slice(&((IPV4_HEADER + piece.len()) as u16).to_be_bytes());
            header[4..6].copy_from_slice(&(id + 1).to_be_bytes());
            header[6..8].copy_from_slice(&(more | offset).to_be_bytes());
            header[10..12].fill(0);
            let sum = checksum(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            [&header, *piece].concat()
        })
        .collect();
    fragments.reverse();
    fragments
}

fn checksum(header: &[u8]) -> u16 {
    let words = header
        .chunks_exact(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

const ISS: u32 = 1_000;
const SEGMENT: usize = 1_400;
const IPV4_HEADER: usize = 20;
/// A multiple of 8, small enough to cut values.
const FRAGMENT: usize = 40;
