//! Captures made packet by packet.

use std::net::Ipv4Addr;

use simple_dns::{CLASS, Name, Packet as Message, Question, ResourceRecord, TYPE, rdata};

use super::*;
use crate::{
    detect::{Detector, Identity},
    event::{Action, FlowEvent, Kind, NameSource},
    policy::{Config, Policy},
    wire::{MAX_HEADER, TcpOut, emit_echo, emit_tcp, emit_udp},
};

const IMEI: &str = "490154203237518";
const CLIENT: &str = "192.0.2.1:40000";
const SERVER: &str = "203.0.113.9:80";
const RESOLVER: &str = "192.0.2.53:53";

struct Film {
    replay: Replay,
    at: Duration,
}

impl Film {
    fn new(policy: &str) -> Self {
        Self::seeded(policy, 1)
    }

    fn seeded(policy: &str, seed: u64) -> Self {
        let identity = Identity::parse("identity.toml", &format!("imei = \"{IMEI}\"")).unwrap();
        let config = Config::parse("policy.toml", policy).unwrap();
        let rules = Rules {
            detector: Arc::new(Detector::new(&identity, &[7; 32])),
            policy: Arc::new(Policy::new(config, Vec::new()).unwrap()),
        };
        // An origin that is not the first packet's time.
        Self {
            replay: Replay::new(rules, Some("app.example".into()), seed),
            at: Duration::from_secs(1_000),
        }
    }

    fn packet(&mut self, packet: &[u8]) {
        self.at += Duration::from_millis(1);
        self.replay.packet(packet, self.at, 1_700_000_000);
    }

    fn tcp(&mut self, src: &str, dst: &str, flags: Flags, seq: u32, ack: u32, payload: &[u8]) {
        self.packet(&tcp(src, dst, flags, seq, ack, payload));
    }

    /// The client's handshake: its first byte has sequence number 1, the server's 501.
    fn open(&mut self) {
        self.tcp(CLIENT, SERVER, Flags::SYN, 0, 0, b"");
        self.tcp(SERVER, CLIENT, Flags::SYN | Flags::ACK, 500, 1, b"");
    }

    fn client(&mut self, seq: u32, payload: &[u8]) {
        self.tcp(CLIENT, SERVER, Flags::ACK | Flags::PSH, seq, 501, payload);
    }

    fn server(&mut self, seq: u32, ack: u32, payload: &[u8]) {
        self.tcp(SERVER, CLIENT, Flags::ACK, seq, ack, payload);
    }

    fn udp(&mut self, src: &str, dst: &str, payload: &[u8]) {
        self.packet(&udp(src, dst, payload));
    }

    fn events(mut self) -> Vec<Event> {
        self.replay.finish();
        std::iter::from_fn(|| self.replay.poll_event()).collect()
    }
}

fn pair(src: &str, dst: &str) -> Pair {
    Pair {
        src: src.parse().unwrap(),
        dst: dst.parse().unwrap(),
    }
}

fn tcp(src: &str, dst: &str, flags: Flags, seq: u32, ack: u32, payload: &[u8]) -> Vec<u8> {
    let tcp = TcpOut {
        pair: pair(src, dst),
        seq,
        ack,
        flags,
        window: 500,
        mss: None,
        window_scale: None,
    };
    let mut header = [0; MAX_HEADER];
    let len = emit_tcp(&mut header, &tcp, payload);
    [&header[..len], payload].concat()
}

fn udp(src: &str, dst: &str, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; MAX_HEADER];
    let len = emit_udp(&mut header, pair(src, dst), payload);
    [&header[..len], payload].concat()
}

fn post(body: &str) -> Vec<u8> {
    format!(
        "POST / HTTP/1.1\r\nHost: collector.example\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn query(id: u16, name: &str) -> Vec<u8> {
    let mut message = Message::new_query(id);
    message.questions.push(Question::new(
        Name::new(name).unwrap(),
        TYPE::A.into(),
        CLASS::IN.into(),
        false,
    ));
    message.build_bytes_vec().unwrap()
}

fn answer(id: u16, name: &str, alias: Option<&str>, address: Ipv4Addr) -> Vec<u8> {
    let mut message = Message::new_reply(id);
    message.questions.push(Question::new(
        Name::new(name).unwrap(),
        TYPE::A.into(),
        CLASS::IN.into(),
        false,
    ));
    let record = |owner, data| ResourceRecord::new(Name::new(owner).unwrap(), CLASS::IN, 60, data);
    if let Some(alias) = alias {
        message.answers.push(record(
            name,
            rdata::RData::CNAME(rdata::CNAME(Name::new(alias).unwrap())),
        ));
    }
    message.answers.push(record(
        alias.unwrap_or(name),
        rdata::RData::A(address.into()),
    ));
    message.build_bytes_vec().unwrap()
}

fn flows(events: &[Event]) -> Vec<&FlowEvent> {
    let flows = events.iter().filter_map(|event| match event {
        Event::Flow(flow) => Some(flow),
        _ => None,
    });
    flows.collect()
}

fn findings(events: &[Event]) -> Vec<(FlowNumber, Kind, Action)> {
    let findings = events.iter().filter_map(|event| match event {
        Event::Finding(found) => Some((found.flow, found.finding.kind.clone(), found.verdict)),
        _ => None,
    });
    findings.collect()
}

fn drops(events: &[Event]) -> Vec<(&'static str, u64)> {
    let drops = events.iter().filter_map(|event| match event {
        Event::Drop(drop) => Some((drop.reason, drop.count)),
        _ => None,
    });
    drops.collect()
}

#[test]
fn a_message_with_an_identifier_is_found_and_its_flow_is_over() {
    let mut film = Film::new("");
    film.open();
    let message = post(&format!("{{\"IMEI1\":\"{IMEI}\"}}"));
    let (first, second) = message.split_at(message.len() - 10);
    film.client(1 + first.len() as u32, second);
    film.client(1, first);
    film.server(501, 1 + message.len() as u32, b"HTTP/1.1 200 OK\r\n\r\n");
    film.client(1 + message.len() as u32, &post("more"));
    let events = film.events();
    assert_eq!(findings(&events), [(1, Kind::Imei, Action::Block)]);
    let [flow] = flows(&events)[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (flow.flow, flow.verdict, &*flow.rule, flow.bytes_out),
        (1, Action::Block, "default.leak", 0)
    );
    assert_eq!(
        (flow.name.as_deref(), flow.name_from),
        (Some("collector.example"), Some(NameSource::Http))
    );
    assert_eq!(
        (flow.src, flow.dst),
        (CLIENT.parse().unwrap(), SERVER.parse().unwrap())
    );
    assert_eq!(flow.app.as_deref(), Some("app.example"));
}

#[test]
fn an_approved_message_passes_and_everything_is_counted() {
    let mut film =
        Film::new("[[rule]]\nto = \"collector.example\"\nsends = [\"imei\"]\naction = \"allow\"");
    // An approval by name stands on what DNS said, not on the claim of `Host` alone.
    film.udp(CLIENT, RESOLVER, &query(7, "collector.example"));
    let address = Ipv4Addr::new(203, 0, 113, 9);
    film.udp(
        RESOLVER,
        CLIENT,
        &answer(7, "collector.example", None, address),
    );
    film.open();
    let message = post(IMEI);
    let end = 1 + message.len() as u32;
    film.client(1, &message);
    film.server(501, end, b"thanks");
    film.tcp(CLIENT, SERVER, Flags::FIN | Flags::ACK, end, 507, b"");
    film.tcp(SERVER, CLIENT, Flags::FIN | Flags::ACK, 507, end + 1, b"");
    film.client(end, b"late");
    let events = film.events();
    assert_eq!(findings(&events), [(2, Kind::Imei, Action::Allow)]);
    let [flow, _] = flows(&events)[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (flow.verdict, flow.bytes_out, flow.bytes_in),
        (Action::Allow, message.len() as u64, 6)
    );
    assert!((flow.time - 0.008).abs() < 0.002, "{}", flow.time);
}

#[test]
fn nothing_is_joined_across_a_gap() {
    for (lost, expect) in [(false, 1), (true, 0)] {
        let mut film = Film::new("");
        film.open();
        let line = format!("value {IMEI} end\n");
        let (first, rest) = line.as_bytes().split_at(13);
        film.client(1, first);
        film.server(501, 14, b"");
        // The gap has the length of nothing that matters: both halves touch if it is ignored.
        let seq = if lost { 14 + 100 } else { 14 };
        film.client(seq, rest);
        film.server(501, seq + rest.len() as u32, b"");
        let events = film.events();
        assert_eq!(findings(&events).len(), expect, "{events:?}");
        let gap = drops(&events).iter().any(|(reason, _)| *reason == "gap");
        assert_eq!(gap, lost);
    }
}

#[test]
fn a_connection_that_the_policy_blocks_is_over_at_its_first_packet() {
    let mut film = Film::new("[[rule]]\nto = \"203.0.113.0/24\"\naction = \"block\"");
    film.open();
    film.client(1, &post(IMEI));
    // Another connection on the same ports is judged anew.
    film.tcp(CLIENT, SERVER, Flags::SYN, 9_000, 0, b"");
    let events = film.events();
    assert_eq!(findings(&events), []);
    let numbers: Vec<_> = flows(&events)
        .iter()
        .map(|flow| (flow.flow, flow.verdict, &*flow.rule, flow.bytes_out))
        .collect();
    assert_eq!(
        numbers,
        [
            (1, Action::Block, "rule.1", 0),
            (2, Action::Block, "rule.1", 0)
        ]
    );
}

#[test]
fn names_come_from_answers_over_udp_and_tcp_with_every_alias() {
    for over_tcp in [false, true] {
        let mut film = Film::new("[[rule]]\nto = \"tracker.example\"\naction = \"block\"");
        let (asked, answered) = (
            query(7, "www.shop.example"),
            answer(
                7,
                "www.shop.example",
                Some("tracker.example"),
                Ipv4Addr::new(203, 0, 113, 9),
            ),
        );
        if over_tcp {
            let framed = |message: &[u8]| [&(message.len() as u16).to_be_bytes(), message].concat();
            let (asked, answered) = (framed(&asked), framed(&answered));
            film.tcp(CLIENT, RESOLVER, Flags::ACK, 1, 1, &asked);
            for (at, byte) in answered.iter().enumerate() {
                film.tcp(
                    RESOLVER,
                    CLIENT,
                    Flags::ACK,
                    1 + at as u32,
                    1 + asked.len() as u32,
                    &[*byte],
                );
            }
        } else {
            film.udp(CLIENT, RESOLVER, &asked);
            film.udp(RESOLVER, CLIENT, &answered);
        }
        film.open();
        let events = film.events();
        let flow = *flows(&events)
            .iter()
            .find(|flow| flow.dst.port() == 80)
            .unwrap();
        assert_eq!((flow.verdict, &*flow.rule), (Action::Block, "rule.1"));
        assert_eq!(
            (flow.name.as_deref(), flow.name_from),
            (Some("www.shop.example"), Some(NameSource::Dns))
        );
        let named = events.iter().find_map(|event| match event {
            Event::Name(name) => Some((&*name.name, name.addresses.clone(), name.verdict)),
            _ => None,
        });
        assert_eq!(
            named,
            Some((
                "www.shop.example",
                vec![[203, 0, 113, 9].into()],
                Action::Allow
            ))
        );
    }
}

#[test]
fn a_blocked_name_is_told_at_its_question() {
    let mut film = Film::new("[[rule]]\nto = \"tracker.example\"\naction = \"block\"");
    film.udp(CLIENT, RESOLVER, &query(7, "tracker.example"));
    film.udp(
        RESOLVER,
        CLIENT,
        &answer(7, "tracker.example", None, Ipv4Addr::new(203, 0, 113, 9)),
    );
    film.open();
    let events = film.events();
    let names: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Name(name) => Some((&*name.name, name.verdict, &*name.rule)),
            _ => None,
        })
        .collect();
    assert_eq!(names, [("tracker.example", Action::Block, "rule.1")]);
    assert!(
        flows(&events)
            .iter()
            .all(|flow| flow.verdict == Action::Block)
    );
}

/// Anchor R18: an answer that no question of the flow asked for teaches nothing.
#[test]
fn r18_answers_must_match_a_question() {
    let address = Ipv4Addr::new(203, 0, 113, 9);
    for (id, name, learned) in [
        (7, "a.example", true),
        (8, "a.example", false),
        (7, "b.example", false),
    ] {
        let mut film = Film::new("");
        film.udp(CLIENT, RESOLVER, &query(7, "a.example"));
        film.udp(RESOLVER, CLIENT, &answer(id, name, None, address));
        film.open();
        let events = film.events();
        let flow = *flows(&events)
            .iter()
            .find(|flow| flow.dst.port() == 80)
            .unwrap();
        assert_eq!(flow.name.is_some(), learned, "{id} {name}");
        assert_eq!(drops(&events).contains(&("dns_reply", 1)), !learned);
    }
}

#[test]
fn datagrams_are_judged_and_flows_numbered_in_order_of_their_first_packets() {
    let mut film = Film::new("");
    film.udp("192.0.2.1:5000", "203.0.113.9:9999", b"hello");
    film.udp("203.0.113.9:9999", "192.0.2.1:5000", b"hello yourself");
    film.udp(
        "192.0.2.1:5001",
        "203.0.113.9:9999",
        format!("id {IMEI}").as_bytes(),
    );
    film.udp("192.0.2.1:5001", "203.0.113.9:9999", b"after");
    film.udp("203.0.113.9:443", "192.0.2.1:5002", b"an answer");
    let mut header = [0; MAX_HEADER];
    let len = emit_echo(
        &mut header,
        pair("192.0.2.1:0", "203.0.113.9:0"),
        false,
        77,
        1,
        b"",
    );
    film.packet(&header[..len]);
    let len = emit_echo(
        &mut header,
        pair("203.0.113.9:0", "192.0.2.1:0"),
        true,
        77,
        1,
        b"",
    );
    film.packet(&header[..len]);
    let events = film.events();
    assert_eq!(findings(&events), [(2, Kind::Imei, Action::Block)]);
    let mut told: Vec<_> = flows(&events)
        .iter()
        .map(|flow| {
            (
                flow.flow,
                flow.proto,
                flow.dst.port(),
                flow.bytes_out,
                flow.bytes_in,
            )
        })
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            (1, Proto::Udp, 9999, 5, 14),
            (2, Proto::Udp, 9999, 0, 0),
            (3, Proto::Udp, 443, 0, 9),
            (4, Proto::Icmp, 0, 0, 0)
        ]
    );
}

#[test]
fn an_idle_datagram_flow_ends_by_the_captures_clock() {
    let mut film = Film::new("");
    film.udp(CLIENT, "203.0.113.9:9999", b"one");
    film.at += UNANSWERED_IDLE * 2;
    film.udp(CLIENT, "203.0.113.9:9999", b"two");
    let events = film.events();
    let told: Vec<_> = flows(&events)
        .iter()
        .map(|flow| (flow.flow, flow.time))
        .collect();
    assert_eq!(told, [(1, 60.0), (2, 120.001)]);
}

#[test]
fn a_value_in_two_fragments_is_found() {
    for swap in [false, true] {
        let whole = udp(
            CLIENT,
            "203.0.113.9:9999",
            format!("identifier {IMEI}").as_bytes(),
        );
        let cut = 20 + 24;
        let fragment = |bits: u16, body: &[u8]| {
            let mut packet = [&whole[..20], body].concat();
            packet[2..4].copy_from_slice(&(20 + body.len() as u16).to_be_bytes());
            packet[6..8].copy_from_slice(&bits.to_be_bytes());
            packet
        };
        let mut parts = [
            fragment(0x2000, &whole[20..cut]),
            fragment(3, &whole[cut..]),
        ];
        if swap {
            parts.reverse();
        }
        let mut film = Film::new("");
        film.packet(&parts[0]);
        film.packet(&parts[1]);
        film.packet(&parts[0]);
        let events = film.events();
        assert_eq!(findings(&events), [(1, Kind::Imei, Action::Block)]);
        assert_eq!(drops(&events), []);
    }
}

#[test]
fn what_cannot_be_judged_is_counted_by_reason() {
    let mut film = Film::new("");
    film.packet(&[0x50; 40]);
    film.packet(&[]);
    let mut esp = udp(CLIENT, SERVER, b"x");
    esp[9] = 50;
    film.packet(&esp);
    let cut = tcp(CLIENT, SERVER, Flags::ACK, 1, 1, b"abcdef");
    film.packet(&cut[..cut.len() - 3]);
    film.replay.count("not_ip", 4);
    assert_eq!(
        drops(&film.events()),
        [
            ("cut", 1),
            ("not_ip", 4),
            ("protocol", 1),
            ("truncated", 1),
            ("version", 1)
        ]
    );
}

#[test]
fn a_reset_without_a_connection_is_no_flow_and_a_refused_one_is() {
    let mut film = Film::new("");
    film.tcp(SERVER, CLIENT, Flags::RST, 5, 0, b"");
    film.tcp("192.0.2.1:40001", SERVER, Flags::SYN, 0, 0, b"");
    film.tcp(
        SERVER,
        "192.0.2.1:40001",
        Flags::RST | Flags::ACK,
        0,
        1,
        b"",
    );
    let events = film.events();
    let [flow] = flows(&events)[..] else {
        panic!("{events:?}")
    };
    assert_eq!((flow.flow, flow.src.port(), flow.time), (1, 40001, 0.002));
}

#[test]
fn the_flow_table_is_bounded_and_every_flow_is_told_once() {
    let mut film = Film::new("[limits]\nflows = 16");
    for port in 0..500 {
        film.tcp(
            &format!("192.0.2.1:{}", 10_000 + port),
            SERVER,
            Flags::SYN,
            0,
            0,
            b"",
        );
        assert!(film.replay.flows.len() <= 16 && film.replay.by_ends.len() <= 16);
    }
    let events = film.events();
    let mut numbers: Vec<_> = flows(&events).iter().map(|flow| flow.flow).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=500).collect::<Vec<_>>());
}

#[test]
fn memory_behind_gaps_is_bounded_over_all_flows() {
    let mut film = Film::new("[limits]\nbuffers_total = 1048576");
    let block = vec![b'x'; 16 * 1024];
    for port in 0..40 {
        let client = format!("192.0.2.1:{}", 10_000 + port);
        film.tcp(&client, SERVER, Flags::SYN, 0, 0, b"");
        for at in 0..20 {
            film.tcp(&client, SERVER, Flags::ACK, 100 + at * 16 * 1024, 1, &block);
        }
        assert!(film.replay.waiting <= 1 << 20);
        let counted: usize = film
            .replay
            .flows
            .keys()
            .iter()
            .filter_map(|key| film.replay.flows.get(*key)?.connection.as_ref())
            .map(Connection::weight)
            .sum();
        assert_eq!(film.replay.waiting, counted);
    }
}

#[test]
fn the_seed_has_no_bearing_on_events() {
    let run = |seed| {
        let mut film = Film::seeded("[limits]\nflows = 8", seed);
        for port in 0..60 {
            let client = format!("192.0.2.1:{}", 10_000 + port);
            film.udp(
                &client,
                RESOLVER,
                &query(port, &format!("host{port}.example")),
            );
            film.tcp(&client, SERVER, Flags::SYN, 0, 0, b"");
            film.tcp(
                &client,
                SERVER,
                Flags::ACK,
                1,
                1,
                &post(if port % 7 == 0 { IMEI } else { "nothing" }),
            );
        }
        format!("{:?}", film.events())
    };
    assert_eq!(run(1), run(0xdead_beef));
}

#[test]
fn events_never_show_a_registered_value() {
    let mut film = Film::new("");
    film.open();
    film.client(1, &post(IMEI));
    film.udp(CLIENT, "203.0.113.9:9999", IMEI.as_bytes());
    assert!(!format!("{:?}", film.events()).contains(IMEI));
}
