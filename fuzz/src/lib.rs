//! What fuzzing and the replay of the committed corpus (`tests/fuzz_corpus.rs`) run: one function a target, which panics
//! where the library broke a promise.

pub mod containers;
pub mod egress;
pub mod inspection;
pub mod tcp;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, OnceLock},
    time::Duration,
};

use untold::{
    detect::{Detector, Identity},
    engine::{
        capture::Replay,
        recording::{Note, Rerun},
    },
    event::Event,
    inspect::Rules,
    io::pcap::{Item, Reader},
    policy::{Config, Policy},
    wire::{
        self, Checksum, Flags, MAX_HEADER, Packet, TcpOut, emit_echo, emit_tcp, emit_udp,
        fragments::Reassembler,
    },
};

/// A target's name, which is its folder in `corpus/`, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("parse", parse),
    ("fragments", fragments),
    ("capture", capture),
    ("recording", recording),
    ("decode", inspection::decode),
    ("stream", inspection::stream),
    ("containers", containers::containers),
    ("coding", containers::coding),
    ("http2", inspection::http2),
    ("websocket", inspection::websocket),
    ("mqtt", inspection::mqtt),
    ("coap", inspection::coap),
    ("quic", inspection::quic),
    ("tcp", tcp::schedule),
    ("egress", egress::answers),
];

/// One packet: spans lie inside it, the ways of reading agree, and what is written from what was read is read the same.
pub fn parse(packet: &[u8]) {
    let verified = wire::parse(packet, Checksum::Verify);
    let trusted = wire::parse(packet, Checksum::Trust);
    let captured = wire::parse_captured(packet);
    for reject in [verified.err(), trusted.err(), captured.err()]
        .into_iter()
        .flatten()
    {
        assert!(!reject.name().is_empty());
    }
    if verified.is_ok() {
        assert_eq!(verified, trusted);
    }
    let Ok(parsed) = trusted else {
        return;
    };
    assert_eq!(
        captured.map(|captured| (captured.packet, captured.missing)),
        Ok((parsed, 0))
    );
    let mut header = [0; MAX_HEADER];
    let (len, span) = match parsed {
        Packet::Tcp(tcp) => {
            let out = TcpOut {
                pair: tcp.pair,
                seq: tcp.seq,
                ack: tcp.ack,
                flags: tcp.flags,
                window: tcp.window,
                mss: tcp.mss,
                window_scale: tcp.window_scale,
            };
            assert!(tcp.flags.contains(Flags::SYN) || (tcp.mss, tcp.window_scale) == (None, None));
            (
                emit_tcp(&mut header, &out, tcp.payload.of(packet)),
                tcp.payload,
            )
        }
        Packet::Udp(udp) => (
            emit_udp(&mut header, udp.pair, udp.payload.of(packet)),
            udp.payload,
        ),
        Packet::Echo(echo) => {
            let payload = echo.payload.of(packet);
            (
                emit_echo(
                    &mut header,
                    echo.pair,
                    echo.reply,
                    echo.ident,
                    echo.sequence,
                    payload,
                ),
                echo.payload,
            )
        }
        Packet::Unreachable(_) | Packet::Fragment => return,
    };
    assert!(span.start <= span.end && span.end as usize <= packet.len());
    let again = [&header[..len], span.of(packet)].concat();
    let mut expect = parsed;
    let payload = match &mut expect {
        Packet::Tcp(tcp) => &mut tcp.payload,
        Packet::Udp(udp) => &mut udp.payload,
        Packet::Echo(echo) => &mut echo.payload,
        Packet::Unreachable(_) | Packet::Fragment => return,
    };
    payload.start = len as u32;
    payload.end = again.len() as u32;
    assert_eq!(wire::parse(&again, Checksum::Verify), Ok(expect));
    let mut out = Vec::new();
    if wire::emit_unreachable(&mut out, wire::Unreachable::Port, packet) {
        assert!(out.len() <= 1280);
    }
}

/// Fragments made from records of six bytes: a rebuilt packet is tiled by whole fragments that were pushed, none of which
/// overlaps another, and nothing is kept for longer than it should be.
pub fn fragments(script: &[u8]) {
    let mut reassembler = Reassembler::default();
    let mut pushed = HashMap::<(bool, u8), Vec<Part>>::new();
    let mut now = Duration::ZERO;
    for record in script.chunks_exact(6).take(2048) {
        let &[control, id, offset, len, fill, wait] = record else {
            return;
        };
        let (v6, more) = (control & 1 != 0, control & 2 != 0);
        let id = id % 80;
        let stretch = if control & 4 != 0 { 32 } else { 1 };
        let offset = usize::from(offset) * stretch;
        now += Duration::from_millis(u64::from(wait) * 4);
        let body = vec![fill; usize::from(len)];
        let packet = fragment(v6, id, offset, more, &body);
        let parts = pushed.entry((v6, id)).or_default();
        parts.push((offset * 8, body));
        if let Some(whole) = reassembler.push(&packet, now) {
            let payload = whole
                .get(if v6 { 40 } else { 20 }..)
                .expect("a whole header");
            assert!(is_tiled(payload, parts));
            assert_ne!(wire::parse(&whole, Checksum::Trust), Ok(Packet::Fragment));
            parts.clear();
        }
        if let Some(deadline) = reassembler.deadline() {
            assert!(deadline > now && deadline <= now + Duration::from_secs(5));
        }
    }
    reassembler.expire(now + Duration::from_secs(6));
    assert_eq!(reassembler.deadline(), None);
}

/// Offset and bytes of a fragment.
type Part = (usize, Vec<u8>);

fn is_tiled(payload: &[u8], parts: &[Part]) -> bool {
    let mut parts: Vec<_> = parts.iter().filter(|(_, body)| !body.is_empty()).collect();
    parts.sort();
    let mut reached = BTreeSet::from([0]);
    for (start, body) in parts {
        if reached.contains(start) && payload[*start..].starts_with(body) {
            reached.insert(start + body.len());
        }
    }
    reached.contains(&payload.len())
}

fn fragment(v6: bool, id: u8, offset: usize, more: bool, body: &[u8]) -> Vec<u8> {
    let mut packet;
    if v6 {
        packet = vec![0; 48];
        packet[0] = 0x60;
        packet[4..6].copy_from_slice(&(8 + body.len() as u16).to_be_bytes());
        packet[6] = 44;
        packet[8..10].copy_from_slice(&[0x20, 1]);
        packet[24..26].copy_from_slice(&[0x20, 2]);
        packet[40] = 17;
        packet[42..44].copy_from_slice(&((offset as u16) << 3 | u16::from(more)).to_be_bytes());
        packet[47] = id;
    } else {
        packet = vec![
            0x45, 0, 0, 0, 0, id, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 203, 0, 113, 9,
        ];
        packet[2..4].copy_from_slice(&(20 + body.len() as u16).to_be_bytes());
        packet[6..8].copy_from_slice(&(offset as u16 | u16::from(more) << 13).to_be_bytes());
    }
    packet.extend_from_slice(body);
    packet
}

/// A recording: whatever it says, the engine runs to its end, with deadlines as recorded and free, and tells each flow once
/// and no registered value.
pub fn recording(file: &[u8]) {
    for free in [false, true] {
        let Ok(mut reader) = Reader::new("recording", file) else {
            return;
        };
        let mut rerun: Option<Rerun> = None;
        while let Ok(Some(item)) = reader.item() {
            match (item, &mut rerun) {
                (Item::Note(_, Note::Start(start)), _) => {
                    end(rerun.take());
                    let mut begun = Rerun::new(&start, rules(), 1);
                    if free {
                        begun.set_free();
                    }
                    rerun = Some(begun);
                }
                (Item::Note(at, note), Some(rerun)) => rerun.note(&note, at),
                (Item::Packet(packet), Some(rerun)) => {
                    rerun.packet(packet.ip, packet.outbound == Some(true), packet.time);
                }
                (Item::Note(..) | Item::Packet(_), None) => {}
            }
        }
        end(rerun);
    }
}

fn end(rerun: Option<Rerun>) {
    let Some(mut rerun) = rerun else {
        return;
    };
    rerun.finish();
    let mut flows = std::collections::BTreeSet::new();
    while let Some(event) = rerun.poll_event() {
        assert!(!format!("{event:?}").contains(IMEI));
        if let Event::Flow(flow) = event {
            assert!(flows.insert(flow.flow), "a flow is told once");
        }
    }
}

/// A capture file: it is read to an end, an error says where, and its replay tells each flow once and no registered value.
pub fn capture(file: &[u8]) {
    let mut reader = match Reader::new("capture", file) {
        Ok(reader) => reader,
        Err(error) => return assert!(error.offset as usize <= file.len()),
    };
    let mut replay = Replay::new(rules(), None, 1);
    let mut bytes = 0;
    loop {
        match reader.packet() {
            Ok(Some(packet)) => {
                bytes += packet.ip.len();
                replay.packet(packet.ip, packet.time, packet.time.as_secs());
            }
            Ok(None) => break,
            Err(error) => {
                assert!(error.offset as usize <= file.len());
                break;
            }
        }
    }
    assert!(bytes <= file.len());
    assert!(reader.packet().is_ok_and(|packet| packet.is_none()));
    replay.finish();
    let mut flows = Vec::new();
    while let Some(event) = replay.poll_event() {
        assert!(!format!("{event:?}").contains(IMEI));
        if let Event::Flow(flow) = event {
            flows.push(flow.flow);
        }
    }
    flows.sort_unstable();
    assert!(flows.iter().copied().eq(1..=flows.len() as u64));
}

fn rules() -> Rules {
    static RULES: OnceLock<Rules> = OnceLock::new();
    let make = || {
        let identity =
            Identity::parse("identity", &format!("imei = \"{IMEI}\"")).expect("a good identity");
        let policy = "[limits]\nflows = 64\n[[rule]]\nto = \"blocked.example\"\naction = \"block\"";
        let policy =
            Config::parse("policy", policy).and_then(|config| Policy::new(config, Vec::new()));
        Rules {
            detector: Arc::new(Detector::new(&identity, &[1; 32])),
            policy: Arc::new(policy.expect("a good policy")),
        }
    };
    RULES.get_or_init(make).clone()
}

const IMEI: &str = "490154203237518";
