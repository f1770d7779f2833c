//! HTTP/2, WebSocket and MQTT on their way: what is held stalls nobody, and nothing that a client sends costs more than it may.

use super::{
    tests::{EMAIL, Flow, IMEI, rules},
    *,
};
use crate::{
    event::{Action, Kind, Place, Proto},
    policy::Config,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// Fields of this many make a section longer than is shown.
const MANY: usize = 4_000;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field without Huffman's code or the table.
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        assert!(text.len() < 127);
        field.push(text.len() as u8);
        field.extend(text.as_bytes());
    }
    field
}

fn request(stream: u32, flags: u8, more: &[(&str, &str)]) -> Vec<u8> {
    let mut block = field(":path", "/");
    block.extend(more.iter().flat_map(|(name, value)| field(name, value)));
    frame(HEADERS, END_HEADERS | flags, stream, &block)
}

/// A connection whose preface and settings have gone.
fn connection(rules: &Rules) -> Flow<'_> {
    let mut flow = Flow::new(Proto::Tcp, 80, rules);
    flow.send(&[PREFACE, &frame(4, 0, 0, &[])].concat());
    assert!(flow.held.is_empty());
    flow.gone = 0;
    flow
}

#[test]
fn sends_a_request_without_a_body_at_once() {
    let block = rules("block");
    let mut flow = connection(&block);
    for stream in [1, 3, 5] {
        flow.send(&request(stream, END_STREAM, &[]));
        assert_eq!((flow.held.len(), flow.wake), (0, None));
    }
}

#[test]
fn streams_a_call_whose_messages_come_one_by_one() {
    let block = rules("block");
    let mut flow = connection(&block);
    let head = request(1, 0, &[("content-type", "application/grpc")]);
    flow.send(&head);
    assert_eq!(flow.wake, Some(flow.now + Duration::from_millis(250)));
    flow.wait(Duration::from_millis(250));
    assert_eq!((flow.held.len(), flow.wake), (0, None), "the head has gone");
    for number in 0..20 {
        let message = format!("\0\0\0\0\x09message {}", number % 10);
        flow.send(&frame(DATA, 0, 1, message.as_bytes()));
        assert_eq!((flow.held.len(), flow.wake), (0, None), "no further waits");
    }
    flow.gone = 0;
    flow.send(&frame(DATA, 0, 1, format!("\0\0\0\0\x0f{IMEI}").as_bytes()));
    flow.wait(Duration::from_millis(250));
    assert!(flow.blocked());
    assert!(flow.gone < 9 + 5 + IMEI.len());
}

#[test]
fn one_message_keeps_another_waiting_for_one_pause_at_most() {
    let block = rules("block");
    let mut flow = connection(&block);
    flow.send(&request(1, 0, &[]));
    let begun = flow.now;
    for stream in [3, 5, 7] {
        flow.wait(Duration::from_millis(60));
        flow.send(&request(stream, END_STREAM, &[]));
        assert_eq!(flow.gone, 0);
        assert_eq!(flow.wake, Some(begun + Duration::from_millis(250)));
    }
    flow.wait(Duration::from_millis(70));
    assert_eq!((flow.held.len(), flow.wake), (0, None));
    flow.send(&frame(DATA, END_STREAM, 1, b"done"));
    assert!(flow.held.is_empty());
}

#[test]
fn lets_the_clean_message_before_a_leak_go() {
    let block = rules("block");
    let mut flow = connection(&block);
    let clean = request(1, END_STREAM, &[]);
    flow.send(&[&clean[..], &request(3, END_STREAM, &[("x-id", IMEI)])].concat());
    assert!(flow.blocked());
    assert_eq!(flow.gone, clean.len());
}

#[test]
fn sends_a_head_that_waits_for_a_continue_and_holds_its_data() {
    let block = rules("block");
    let mut flow = connection(&block);
    flow.send(&request(1, 0, &[("expect", "100-continue")]));
    assert_eq!((flow.held.len(), flow.wake), (0, None));
    flow.gone = 0;
    flow.send(&frame(DATA, 0, 1, &IMEI.as_bytes()[..6]));
    assert_eq!(flow.gone, 0);
    flow.send(&frame(DATA, END_STREAM, 1, &IMEI.as_bytes()[6..]));
    assert!(flow.blocked());
    assert_eq!(flow.gone, 0);
}

#[test]
fn asks_about_each_message_of_two_that_came_at_once() {
    let ask = rules("ask");
    let mut flow = connection(&ask);
    flow.can_ask = true;
    let both = [
        request(1, END_STREAM, &[("x-id", IMEI)]),
        request(3, END_STREAM, &[("x-mail", EMAIL)]),
    ]
    .concat();
    flow.send(&both);
    for kind in [Kind::Imei, Kind::Email] {
        assert!(matches!(flow.gate, Gate::Ask(_)), "about {kind}");
        let last = flow.findings().len();
        assert_eq!(last, if kind == Kind::Imei { 1 } else { 2 });
        flow.call(|stream, held, cx| stream.answer(Action::Allow, held, cx));
    }
    assert_eq!((flow.gate.clone(), flow.held.len()), (Gate::Open, 0));
    flow.send(&request(5, END_STREAM, &[("x-id", IMEI)]));
    assert_eq!(
        flow.gate,
        Gate::Open,
        "kinds let go are not asked about again"
    );
}

#[test]
fn judges_the_connection_by_every_authority() {
    let config = "[[rule]]\nto = \"tracker.example\"\naction = \"block\"\n";
    let config = Config::parse("policy.toml", config).expect("the policy is valid");
    let rules = Rules {
        policy: Arc::new(Policy::new(config, Vec::new()).expect("no lists")),
        ..rules("allow")
    };
    let mut flow = connection(&rules);
    flow.send(&request(
        1,
        END_STREAM,
        &[(":authority", "fine.example:80")],
    ));
    assert!(!flow.blocked());
    flow.gone = 0;
    flow.send(&request(3, 0, &[(":authority", "www.tracker.example")]));
    assert!(flow.blocked());
    assert_eq!(flow.gone, 0);
    let names: Vec<_> = flow.facts.names.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["fine.example", "www.tracker.example"]);
}

#[test]
fn reads_what_follows_an_upgrade() {
    let block = rules("block");
    let mut flow = Flow::new(Proto::Tcp, 80, &block);
    flow.send(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n");
    assert!(flow.held.is_empty());
    flow.gone = 0;
    let preface = [PREFACE, &frame(4, 0, 0, &[])].concat();
    flow.send(&preface);
    flow.send(&request(3, END_STREAM, &[("x-id", IMEI)]));
    assert!(flow.blocked());
    assert_eq!(flow.gone, preface.len());
}

#[test]
fn judges_what_a_paused_field_already_says() {
    let block = rules("block");
    let bytes = request(1, END_STREAM, &[("x-ids", &format!("{IMEI} and more"))]);
    let mut flow = connection(&block);
    flow.send(&bytes[..bytes.len() - 3]);
    assert!(!flow.blocked() && flow.gone == 0);
    flow.wait(Duration::from_millis(250));
    assert!(flow.blocked());
    assert_eq!(flow.gone, 0);
}

#[test]
fn holds_half_a_value_in_a_paused_field_for_five_seconds() {
    let block = rules("block");
    let bytes = request(1, END_STREAM, &[("x-id", IMEI)]);
    let mut flow = connection(&block);
    flow.send(&bytes[..bytes.len() - 4]);
    flow.wait(Duration::from_millis(4900));
    assert!(!flow.held.is_empty());
    flow.wait(Duration::from_millis(200));
    assert!(flow.held.is_empty());
    flow.send(&bytes[bytes.len() - 4..]);
    assert!(flow.blocked());
}

#[test]
fn reads_fields_that_cannot_be_followed_as_they_stand() {
    let allow = rules("allow");
    let big = field("x-pad", &"p".repeat(120)).repeat(600);
    let continued = |flags: u8, block: &[u8]| {
        let mut frames = frame(HEADERS, END_STREAM, 1, &field(":path", "/"));
        for part in block.chunks(16_000) {
            frames.extend(frame(CONTINUATION, 0, 1, part));
        }
        frames.extend(frame(CONTINUATION, flags, 1, &field("x-id", IMEI)));
        frames
    };
    let mut flood = frame(HEADERS, END_STREAM, 1, &field(":path", "/"));
    flood.extend(frame(CONTINUATION, 0, 1, b"").repeat(5_000));
    flood.extend(frame(CONTINUATION, END_HEADERS, 1, &field("x-id", IMEI)));
    let cut = field("x-id", IMEI);
    let (begun, rest) = cut.split_at(9);
    let mut flood_in_a_field = frame(HEADERS, END_STREAM, 1, begun);
    flood_in_a_field.extend(frame(CONTINUATION, 0, 1, b"").repeat(5_000));
    flood_in_a_field.extend(frame(CONTINUATION, END_HEADERS, 1, rest));
    // One byte each for an entry of 4,000 bytes.
    let mut bomb = vec![0x40, 1, b'a', 0x7f, 0xa1, 0x1e];
    bomb.extend([b'b'; 4000]);
    bomb.extend([0xbe; 10_000]);
    let table = [&[0x3f, 0xe1, 0xff, 0x07][..], &field("x-id", IMEI)].concat();
    for (what, bytes) in [
        ("a section of 75 KB", continued(END_HEADERS, &big)),
        ("frames without end", flood),
        ("frames without end in a field", flood_in_a_field),
        ("a bomb", continued(END_HEADERS, &bomb)),
        (
            "a table of 128 KiB",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &table),
        ),
    ] {
        let mut flow = connection(&allow);
        for piece in bytes.chunks(1400) {
            flow.send(piece);
        }
        assert!(flow.held.is_empty(), "{what}");
        let (found, told) = (flow.findings(), flow.notices.clone());
        assert_eq!(found.len(), 1, "{what}: {found:?}");
        assert!(told.contains(&Notice::Opaque(Opaque::Budget)), "{what}");
        flow.send(&request(3, END_STREAM, &[("x-mail", EMAIL)]));
        assert_eq!(flow.findings().len(), 2, "{what}: what follows is read too");
    }
}

#[test]
fn reads_a_damaged_section_in_the_same_way_whatever_pieces_it_comes_in() {
    let allow = rules("allow");
    let fields = |last: &[u8]| [&field("x-id", IMEI), &field("x-mail", EMAIL), last].concat();
    let [bad_index, bad_length] = [&[0xff, 0x00][..], &[0x0f, 0xff, 0xff, 0xff, 0xff, 0x7f]];
    let bad_string = [0x00, 0x82, 0xff, 0xff, b'a'];
    let many = field("x-id", IMEI).repeat(MANY);
    for block in [
        fields(bad_index),
        fields(bad_length),
        fields(&bad_string),
        [&field("x-mail", EMAIL)[..], &many].concat(),
    ] {
        let mut told: Vec<Vec<(Kind, Place)>> = Vec::new();
        let mut bytes = Vec::new();
        for (number, part) in block.chunks(16_000).enumerate() {
            let (kind, ends) = match number {
                0 => (HEADERS, END_STREAM),
                _ => (CONTINUATION, 0),
            };
            let is_last = (number + 1) * 16_000 >= block.len();
            let flags = ends | if is_last { END_HEADERS } else { 0 };
            bytes.extend(frame(kind, flags, 1, part));
        }
        for step in [bytes.len(), 1400, 61, 7, 1] {
            let mut flow = connection(&allow);
            for piece in bytes.chunks(step) {
                flow.send(piece);
            }
            assert!(flow.notices.contains(&Notice::Opaque(Opaque::Budget)));
            let found = flow.findings().into_iter();
            told.push(found.map(|(kind, place, ..)| (kind, place)).collect());
        }
        assert!(told.iter().all(|same| *same == told[0]), "{told:?}");
        assert!(told[0].contains(&(Kind::Email, Place::Header)));
    }
}

#[test]
fn follows_more_streams_than_servers_take_and_no_more() {
    let allow = rules("allow");
    let mut flow = connection(&allow);
    for stream in 0..3_000u32 {
        flow.send(&request(2 * stream + 1, 0, &[]));
    }
    let stream::Phase::Mux(mux) = &flow.stream.phase else {
        panic!("no HTTP/2 any more");
    };
    assert!(mux.open_units() <= 256, "{}", mux.open_units());
    flow.send(&frame(DATA, END_STREAM, 1, IMEI.as_bytes()));
    assert_eq!(
        flow.findings().len(),
        1,
        "the first one has ended, and goes on"
    );
    flow.wait(Duration::from_secs(1));
    assert!(flow.held.is_empty());
}

#[test]
fn lets_a_large_upload_through_in_bounded_room() {
    let block = rules("block");
    let mut flow = connection(&block);
    flow.room = 64 * 1024;
    flow.send(&request(1, 0, &[]));
    for _ in 0..400 {
        flow.send(&frame(DATA, 0, 1, &tests::noise(16_000)));
        assert!(flow.held.len() <= flow.room);
    }
    assert!(flow.held.is_empty() && flow.findings().is_empty());
    flow.send(&frame(PING, 0, 0, b"12345678"));
    assert!(flow.held.is_empty());
    flow.send(&frame(DATA, END_STREAM, 1, IMEI.as_bytes()));
    assert!(flow.blocked());
}

/// A masked frame of WebSocket.
fn masked(first: u8, text: &[u8]) -> Vec<u8> {
    assert!(text.len() < 126);
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = [&[first, 0x80 | text.len() as u8], &key[..]].concat();
    frame.extend(text.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b));
    frame
}

#[test]
fn a_websocket_message_goes_at_once_and_a_slow_one_keeps_nothing_waiting() {
    let block = rules("block");
    let mut flow = Flow::new(Proto::Tcp, 80, &block);
    flow.send(b"GET /chat HTTP/1.1\r\nHost: a.example\r\nUpgrade: WebSocket\r\n\r\n");
    for number in 0..5 {
        flow.send(&masked(0x81, format!("message {number}").as_bytes()));
        assert_eq!((flow.held.len(), flow.wake), (0, None));
    }
    let begun = flow.now;
    flow.send(&masked(0x01, b"first part, "));
    flow.wait(Duration::from_millis(200));
    flow.send(&masked(0x89, b"are you there"));
    assert_eq!(flow.wake, Some(begun + Duration::from_millis(250)));
    flow.wait(Duration::from_millis(50));
    assert_eq!((flow.held.len(), flow.wake), (0, None));
    flow.send(&masked(0x8a, b"pong"));
    flow.send(&masked(0x00, b"second part, "));
    assert_eq!((flow.held.len(), flow.wake), (0, None), "no further waits");
    flow.send(&masked(0x80, IMEI.as_bytes()));
    assert!(flow.blocked());
}

#[test]
fn each_message_of_a_websocket_is_told_by_itself() {
    let allow = rules("allow");
    let mut flow = Flow::new(Proto::Tcp, 80, &allow);
    flow.send(b"GET /chat HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\n\r\n");
    let message = masked(0x81, IMEI.as_bytes());
    flow.send(&message.repeat(3));
    assert_eq!(flow.findings().len(), 3);
}

#[test]
fn packets_of_mqtt_go_as_soon_as_they_are_whole() {
    let block = rules("block");
    let mut flow = Flow::new(Proto::Tcp, 1883, &block);
    let packets: [&[u8]; 4] = [
        b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02id",
        b"\xc0\0",
        b"\x30\x0a\0\x01tpayload",
        b"\xe0\0",
    ];
    for packet in packets {
        flow.send(&packet[..packet.len() - 1]);
        assert_eq!(flow.held.len(), packet.len() - 1);
        flow.send(&packet[packet.len() - 1..]);
        assert_eq!((flow.held.len(), flow.wake), (0, None), "{packet:x?}");
    }
}

#[test]
fn gives_up_on_a_compressed_message_that_never_ends_and_reads_the_next() {
    let allow = rules("allow");
    let bomb = include_bytes!("../../fuzz/corpus/websocket/bomb");
    for step in [bomb.len(), 500] {
        let mut flow = Flow::new(Proto::Tcp, 80, &allow);
        for piece in bomb.chunks(step) {
            flow.send(piece);
        }
        assert!(flow.held.is_empty());
        assert!(flow.notices.contains(&Notice::Opaque(Opaque::Budget)));
        assert!(flow.unread > 2000 && flow.unread < bomb.len() as u64);
        assert_eq!(flow.findings().len(), 1, "the next one is not compressed");
    }
}
