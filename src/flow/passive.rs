//! Reassembly of captures: one TCP connection, watched from outside.

use super::{assembler::Assembler, before};
use crate::wire::{Flags, Pair, Segment};

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The end that opened it.
    Client,
    /// The end that was called.
    Server,
}

impl Side {
    /// Who sent the first packet seen of two ends, where nothing but ports tells: servers have the well-known ones.
    pub(crate) fn of_first(pair: Pair) -> Side {
        match pair.src.port() < WELL_KNOWN && pair.dst.port() >= WELL_KNOWN {
            true => Side::Server,
            false => Side::Client,
        }
    }
}

/// What became known of one direction, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// The next bytes.
    Bytes(&'a [u8]),
    /// Bytes are missing here that the capture does not have: nothing may be joined across.
    Gap,
    /// No further bytes will come.
    End,
}

/// Both directions of a TCP connection, of which any part may be missing from the capture: its start, one side, single segments.
///
/// Of overlapping segments the first byte seen wins. A gap is given up once the other end has acknowledged it, or once as much
/// as an [`Assembler`] keeps waits behind it; memory is bounded by two of them.
pub(crate) struct Connection {
    client: Half,
    server: Half,
    over: bool,
}

impl Connection {
    /// A connection of which nothing was seen yet. Without `read_server` the server's bytes are only counted.
    pub(crate) fn new(read_server: bool) -> Self {
        Self {
            client: Half::new(true),
            server: Half::new(read_server),
            over: false,
        }
    }

    /// Who is the client, judged by the first segment seen: SYN, SYN-ACK, else who speaks from a port that is not well-known.
    pub(crate) fn sender_of_first(segment: &Segment) -> Side {
        match (
            segment.flags.contains(Flags::SYN),
            segment.flags.contains(Flags::ACK),
        ) {
            (true, false) => Side::Client,
            (true, true) => Side::Server,
            (false, _) => Side::of_first(segment.pair),
        }
    }

    /// Whether `segment`, of the same two ends, opens another connection than this one.
    pub(crate) fn is_followed_by(&self, sender: Side, segment: &Segment) -> bool {
        if !segment.flags.contains(Flags::SYN) || segment.flags.contains(Flags::ACK) {
            return false;
        }
        let half = match sender {
            Side::Client => &self.client,
            Side::Server => &self.server,
        };
        match (half.initial, half.origin) {
            (Some(initial), _) => initial != segment.seq,
            // Seen from the middle: a late SYN of the same connection lies just before the first byte.
            (None, Some(origin)) => sender == Side::Server || origin != segment.seq.wrapping_add(1),
            (None, None) => sender == Side::Server,
        }
    }

    /// Takes one segment in and gives `sink` what is in order by now. `missing` bytes of its payload are not in the capture.
    pub(crate) fn segment(
        &mut self,
        sender: Side,
        segment: &Segment,
        payload: &[u8],
        missing: u32,
        sink: &mut dyn FnMut(Side, Piece<'_>),
    ) {
        if self.over {
            return;
        }
        let (half, other, peer) = match sender {
            Side::Client => (&mut self.client, &mut self.server, Side::Server),
            Side::Server => (&mut self.server, &mut self.client, Side::Client),
        };
        if segment.flags.contains(Flags::RST) {
            if half.may_reset(segment.seq) {
                self.finish(sink);
            }
            return;
        }
        if segment.flags.contains(Flags::ACK) {
            other.acknowledge(segment.ack);
            if segment.flags.contains(Flags::SYN) {
                other.start(segment.ack);
            }
            other.advance(&mut |piece| sink(peer, piece));
        }
        let mut seq = segment.seq;
        if segment.flags.contains(Flags::SYN) {
            half.initial = Some(seq);
            seq = seq.wrapping_add(1);
        }
        half.start(seq);
        half.accept(seq, payload, &mut |piece| sink(sender, piece));
        if segment.flags.contains(Flags::FIN) {
            half.fin = Some(seq.wrapping_add(payload.len() as u32).wrapping_add(missing));
        }
        half.advance(&mut |piece| sink(sender, piece));
        self.over = self.client.ended && self.server.ended;
    }

    /// Gives `sink` whatever is still kept behind gaps; nothing comes after.
    pub(crate) fn finish(&mut self, sink: &mut dyn FnMut(Side, Piece<'_>)) {
        self.give_up_gaps(sink);
        self.over = true;
    }

    /// Stops waiting for what is missing, to give memory back.
    pub(crate) fn give_up_gaps(&mut self, sink: &mut dyn FnMut(Side, Piece<'_>)) {
        self.client
            .give_up_gaps(&mut |piece| sink(Side::Client, piece));
        self.server
            .give_up_gaps(&mut |piece| sink(Side::Server, piece));
    }

    /// Whether both ends are closed, or one has reset the other.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Payload bytes that the server has sent.
    pub(crate) fn received(&self) -> u64 {
        self.server.bytes
    }

    /// Bytes of memory beyond the value itself.
    pub(crate) fn weight(&self) -> usize {
        self.client.parts.weight() + self.server.parts.weight()
    }
}

/// One direction.
struct Half {
    /// Sequence number of the SYN.
    initial: Option<u32>,
    /// Where bytes began to be read.
    origin: Option<u32>,
    /// The first byte that is not known yet; counts once `origin` is there.
    next: u32,
    /// One past the highest byte that the other end has acknowledged.
    acked: Option<u32>,
    /// Where the FIN stands.
    fin: Option<u32>,
    parts: Assembler,
    bytes: u64,
    /// Whether bytes are wanted, and not only counted.
    read: bool,
    ended: bool,
}

impl Half {
    fn new(read: bool) -> Self {
        Self {
            initial: None,
            origin: None,
            next: 0,
            acked: None,
            fin: None,
            parts: Assembler::default(),
            bytes: 0,
            read,
            ended: false,
        }
    }

    fn start(&mut self, seq: u32) {
        if self.origin.is_none() {
            self.origin = Some(seq);
            self.next = seq;
        }
    }

    fn acknowledge(&mut self, ack: u32) {
        if self.acked.is_none_or(|acked| before(acked, ack)) {
            self.acked = Some(ack);
        }
    }

    fn accept(&mut self, seq: u32, payload: &[u8], sink: &mut dyn FnMut(Piece<'_>)) {
        let known = if before(seq, self.next) {
            self.next.wrapping_sub(seq) as usize
        } else {
            0
        };
        let Some(payload) = payload.get(known..).filter(|payload| !payload.is_empty()) else {
            return;
        };
        let seq = seq.wrapping_add(known as u32);
        let end = seq.wrapping_add(payload.len() as u32);
        if !self.read {
            self.bytes += u64::from(end.wrapping_sub(self.next));
            self.next = end;
            return;
        }
        if seq == self.next && self.parts.is_empty() {
            return self.deliver(payload, sink);
        }
        while !self.parts.has_room(payload.len()) && !self.parts.is_empty() {
            self.skip_to_first(sink);
        }
        self.parts.insert(seq, payload);
    }

    /// Delivers what is in order, gives up gaps that were acknowledged, and ends at the FIN.
    fn advance(&mut self, sink: &mut dyn FnMut(Piece<'_>)) {
        loop {
            self.take(sink);
            match (self.parts.first(), self.acked) {
                (Some(first), Some(acked)) if before(self.next, acked) => {
                    self.next = if before(acked, first) { acked } else { first };
                    sink(Piece::Gap);
                }
                _ => break,
            }
        }
        if let Some(fin) = self.fin
            && !self.ended
        {
            if before(self.next, fin) && self.acked.is_some_and(|acked| before(fin, acked)) {
                self.next = fin;
                if self.read {
                    sink(Piece::Gap);
                }
            }
            if !before(self.next, fin) {
                self.ended = true;
                sink(Piece::End);
            }
        }
    }

    fn give_up_gaps(&mut self, sink: &mut dyn FnMut(Piece<'_>)) {
        while !self.parts.is_empty() {
            self.skip_to_first(sink);
        }
    }

    fn skip_to_first(&mut self, sink: &mut dyn FnMut(Piece<'_>)) {
        if let Some(first) = self.parts.first()
            && before(self.next, first)
        {
            self.next = first;
            sink(Piece::Gap);
        }
        self.take(sink);
    }

    fn take(&mut self, sink: &mut dyn FnMut(Piece<'_>)) {
        while let Some(bytes) = self.parts.take(self.next) {
            self.deliver(&bytes, sink);
        }
    }

    fn deliver(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Piece<'_>)) {
        self.next = self.next.wrapping_add(bytes.len() as u32);
        self.bytes += bytes.len() as u64;
        if !self.ended {
            sink(Piece::Bytes(bytes));
        }
    }

    /// Whether a reset lies where a receiver would believe it, as far as the capture tells where that is.
    fn may_reset(&self, seq: u32) -> bool {
        let Some(_) = self.origin else {
            return true;
        };
        let ahead = seq.wrapping_sub(self.next) as i32;
        let acknowledged = self.acked.is_some_and(|acked| acked == seq);
        acknowledged || (-1..=RESET_WINDOW).contains(&ahead)
    }
}

/// Ports below it belong to servers (RFC 6335 section 6).
const WELL_KNOWN: u16 = 1024;

/// How far beyond the last byte seen a reset may lie: the capture may have lost what lies between.
const RESET_WINDOW: i32 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::Span;

    const ISN: u32 = u32::MAX - 5;

    fn segment(sender: Side, seq: u32, flags: Flags, ack: u32) -> Segment {
        let client: SocketAddr = "192.0.2.1:40000".parse().unwrap();
        let server: SocketAddr = "203.0.113.9:80".parse().unwrap();
        let pair = Pair {
            src: client,
            dst: server,
        };
        Segment {
            pair: if sender == Side::Client {
                pair
            } else {
                pair.reversed()
            },
            seq,
            ack,
            flags,
            window: 500,
            mss: None,
            window_scale: None,
            payload: Span::default(),
        }
    }

    /// What both directions gave, as text: `_` for a gap, `.` for the end.
    #[derive(Default)]
    struct Seen {
        client: String,
        server: String,
    }

    struct Watch {
        connection: Connection,
        seen: Seen,
    }

    impl Watch {
        fn new() -> Self {
            Self {
                connection: Connection::new(true),
                seen: Seen::default(),
            }
        }

        fn push(&mut self, sender: Side, seq: u32, flags: Flags, ack: u32, payload: &str) {
            let seen = &mut self.seen;
            self.connection.segment(
                sender,
                &segment(sender, seq, flags, ack),
                payload.as_bytes(),
                0,
                &mut |side, piece| {
                    let out = if side == Side::Client {
                        &mut seen.client
                    } else {
                        &mut seen.server
                    };
                    note(out, piece);
                },
            );
        }

        fn open(&mut self) {
            self.push(Side::Client, ISN, Flags::SYN, 0, "");
            self.push(
                Side::Server,
                99,
                Flags::SYN | Flags::ACK,
                ISN.wrapping_add(1),
                "",
            );
        }

        fn client(&mut self, at: u32, payload: &str) {
            self.push(
                Side::Client,
                ISN.wrapping_add(1 + at),
                Flags::ACK,
                100,
                payload,
            );
        }

        fn server_acks(&mut self, at: u32) {
            self.push(Side::Server, 100, Flags::ACK, ISN.wrapping_add(1 + at), "");
        }

        fn finish(&mut self) {
            let seen = &mut self.seen;
            self.connection.finish(&mut |side, piece| {
                note(
                    if side == Side::Client {
                        &mut seen.client
                    } else {
                        &mut seen.server
                    },
                    piece,
                );
            });
        }
    }

    fn note(out: &mut String, piece: Piece<'_>) {
        match piece {
            Piece::Bytes(bytes) => out.push_str(std::str::from_utf8(bytes).unwrap()),
            Piece::Gap => out.push('_'),
            Piece::End => out.push('.'),
        }
    }

    #[test]
    fn both_directions_are_read_across_the_wrap_of_sequence_numbers() {
        let mut watch = Watch::new();
        watch.open();
        watch.client(0, "hello ");
        watch.client(6, "world");
        watch.push(
            Side::Server,
            100,
            Flags::ACK,
            ISN.wrapping_add(12),
            "answer",
        );
        watch.push(
            Side::Client,
            ISN.wrapping_add(12),
            Flags::ACK | Flags::FIN,
            106,
            "",
        );
        watch.push(
            Side::Server,
            106,
            Flags::ACK | Flags::FIN,
            ISN.wrapping_add(13),
            "",
        );
        assert_eq!(
            (&*watch.seen.client, &*watch.seen.server),
            ("hello world.", "answer.")
        );
        assert!(watch.connection.is_over());
    }

    #[test]
    fn reordered_repeated_and_overlapping_segments_give_each_byte_once_and_the_first_wins() {
        let mut watch = Watch::new();
        watch.open();
        watch.client(3, "DEF");
        watch.client(0, "abc");
        watch.client(0, "abcxyz");
        watch.client(4, "xyghi");
        watch.client(12, "MN");
        watch.client(9, "jklmno");
        assert_eq!(watch.seen.client, "abcDEFghijklMNo");
    }

    #[test]
    fn an_acknowledged_gap_is_given_up_and_told() {
        let mut watch = Watch::new();
        watch.open();
        watch.client(0, "abc");
        watch.client(10, "klm");
        assert_eq!(watch.seen.client, "abc");
        watch.server_acks(3);
        assert_eq!(watch.seen.client, "abc");
        watch.server_acks(13);
        assert_eq!(watch.seen.client, "abc_klm");
        watch.client(3, "defghij");
        watch.client(13, "n");
        assert_eq!(watch.seen.client, "abc_klmn");
    }

    #[test]
    fn a_gap_that_nobody_acknowledges_is_given_up_after_a_bound_in_bytes() {
        let mut watch = Watch::new();
        watch.open();
        watch.client(0, "abc");
        let block = "x".repeat(1 << 14);
        let mut at = 10;
        while !watch.seen.client.contains('_') {
            watch.client(at, &block);
            at += block.len() as u32;
            assert!(at < 1 << 21);
        }
        assert!(watch.connection.weight() < 1 << 20);
        assert!(watch.seen.client.starts_with("abc_xxx"));
    }

    #[test]
    fn one_side_and_the_middle_of_a_connection_are_enough() {
        let mut watch = Watch::new();
        watch.push(Side::Client, 5000, Flags::ACK, 1, "mid");
        watch.push(Side::Client, 5003, Flags::ACK, 1, "dle");
        assert_eq!(watch.seen.client, "middle");
        watch.push(Side::Client, 5010, Flags::ACK, 1, "end");
        watch.finish();
        assert_eq!(watch.seen.client, "middle_end");
        let mut watch = Watch::new();
        watch.push(Side::Server, 70, Flags::ACK, 5000, "only");
        assert_eq!((&*watch.seen.client, &*watch.seen.server), ("", "only"));
    }

    #[test]
    fn the_direction_is_told_by_the_handshake_or_by_ports() {
        for (sender, flags, src, dst, expect) in [
            (Side::Client, Flags::SYN, 80, 40000, Side::Client),
            (
                Side::Server,
                Flags::SYN | Flags::ACK,
                40000,
                80,
                Side::Server,
            ),
            (Side::Client, Flags::ACK, 40000, 80, Side::Client),
            (Side::Client, Flags::ACK, 80, 40000, Side::Server),
            (Side::Client, Flags::ACK, 40000, 8080, Side::Client),
            (Side::Client, Flags::ACK, 80, 443, Side::Client),
        ] {
            let mut segment = segment(sender, 1, flags, 1);
            segment.pair.src.set_port(src);
            segment.pair.dst.set_port(dst);
            assert_eq!(
                Connection::sender_of_first(&segment),
                expect,
                "{flags:?} {src} {dst}"
            );
        }
    }

    #[test]
    fn a_reset_ends_it_where_a_receiver_would_believe_it() {
        for (seq, over) in [
            (3, true),
            (1_000, true),
            (2, true),
            (1 << 24, false),
            (u32::MAX - 100, false),
        ] {
            let mut watch = Watch::new();
            watch.open();
            watch.client(0, "abc");
            watch.client(5, "fg");
            watch.push(
                Side::Client,
                ISN.wrapping_add(1).wrapping_add(seq),
                Flags::RST,
                0,
                "",
            );
            assert_eq!(watch.connection.is_over(), over, "{seq}");
            assert_eq!(watch.seen.client, if over { "abc_fg" } else { "abc" });
        }
        let mut watch = Watch::new();
        watch.push(Side::Client, ISN, Flags::SYN, 0, "");
        watch.push(
            Side::Server,
            0,
            Flags::RST | Flags::ACK,
            ISN.wrapping_add(1),
            "",
        );
        assert!(watch.connection.is_over());
    }

    #[test]
    fn a_lost_end_is_a_gap_before_the_fin() {
        let mut watch = Watch::new();
        watch.open();
        watch.client(0, "abc");
        watch.push(
            Side::Client,
            ISN.wrapping_add(11),
            Flags::ACK | Flags::FIN,
            100,
            "",
        );
        assert_eq!(watch.seen.client, "abc");
        watch.server_acks(11);
        assert_eq!(watch.seen.client, "abc_.");
    }

    #[test]
    fn what_snap_length_cut_off_is_a_gap() {
        let mut watch = Watch::new();
        watch.open();
        let mut seen = String::new();
        let first = segment(Side::Client, ISN.wrapping_add(1), Flags::ACK, 100);
        watch
            .connection
            .segment(Side::Client, &first, b"abc", 7, &mut |_, piece| {
                note(&mut seen, piece)
            });
        let second = segment(
            Side::Client,
            ISN.wrapping_add(11),
            Flags::ACK | Flags::FIN,
            100,
        );
        watch
            .connection
            .segment(Side::Client, &second, b"kl", 2, &mut |_, piece| {
                note(&mut seen, piece)
            });
        let ack = segment(Side::Server, 100, Flags::ACK, ISN.wrapping_add(16));
        watch
            .connection
            .segment(Side::Server, &ack, b"", 0, &mut |_, piece| {
                note(&mut seen, piece)
            });
        assert_eq!(seen, "abc_kl_.");
    }

    #[test]
    fn a_new_syn_is_another_connection_and_a_repeated_one_is_not() {
        let mut watch = Watch::new();
        watch.open();
        let follows = |sender, seq| {
            watch
                .connection
                .is_followed_by(sender, &segment(sender, seq, Flags::SYN, 0))
        };
        assert!(!follows(Side::Client, ISN));
        assert!(follows(Side::Client, ISN.wrapping_add(7)));
        assert!(follows(Side::Server, 1234));
        let mut watch = Watch::new();
        watch.push(Side::Client, 5000, Flags::ACK, 1, "mid");
        let follows = |sender, seq| {
            watch
                .connection
                .is_followed_by(sender, &segment(sender, seq, Flags::SYN, 0))
        };
        assert!(!follows(Side::Client, 4999));
        assert!(follows(Side::Client, 4000));
    }

    #[test]
    fn bytes_that_are_only_counted_are_counted_once() {
        let mut connection = Connection::new(false);
        let mut sink = |side, _: Piece<'_>| assert_eq!(side, Side::Client);
        for (seq, len) in [(100u32, 10usize), (100, 10), (105, 10), (115, 5), (200, 1)] {
            connection.segment(
                Side::Server,
                &segment(Side::Server, seq, Flags::ACK, 1),
                &vec![0; len],
                0,
                &mut sink,
            );
        }
        assert_eq!((connection.received(), connection.weight()), (101, 0));
    }

    proptest! {
        /// Whatever order, repetition and loss: bytes come out in order, and none is joined to another across a gap.
        #[test]
        fn what_is_delivered_is_a_walk_over_the_true_stream(
            cuts in proptest::collection::vec((0usize..900, 1usize..120, any::<bool>()), 1..60),
            start in any::<u32>(),
        ) {
            let data: Vec<u8> = (0..1_100u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let mut connection = Connection::new(true);
            let mut out: Vec<Option<u8>> = Vec::new();
            let mut sink = |side, piece: Piece<'_>| {
                assert_eq!(side, Side::Client);
                match piece {
                    Piece::Bytes(bytes) => out.extend(bytes.iter().map(|byte| Some(*byte))),
                    Piece::Gap => out.push(None),
                    Piece::End => panic!(),
                }
            };
            connection.segment(Side::Client, &segment(Side::Client, start, Flags::SYN, 0), &[], 0, &mut sink);
            for (at, len, acked) in cuts {
                let seq = start.wrapping_add(1 + at as u32);
                connection.segment(Side::Client, &segment(Side::Client, seq, Flags::ACK, 1), &data[at..at + len], 0, &mut sink);
                if acked {
                    let ack = segment(Side::Server, 1, Flags::ACK, seq.wrapping_add(len as u32));
                    connection.segment(Side::Server, &ack, &[], 0, &mut sink);
                }
            }
            connection.finish(&mut sink);
            prop_assert_eq!(connection.weight(), 0);
            let mut rest = &data[..];
            for run in out.split(Option::is_none) {
                let run: Vec<u8> = run.iter().flatten().copied().collect();
                let at = rest.windows(run.len().max(1)).position(|window| window.starts_with(&run));
                prop_assert!(at.is_some() || run.is_empty());
                rest = &rest[at.unwrap_or(0) + run.len()..];
            }
        }
    }
}
