//! The engine as a shell and an app's kernel see it: hand-made packets in, packets and commands out, a fake clock.

mod phone;

use std::{
    io::{ErrorKind, IoSlice},
    time::Duration,
};

use phone::*;
use untold::{
    engine::{Command, SocketEvent, SocketId},
    event::{Action, Event},
    wire::{self, Flags, MAX_HEADER, TcpOut},
};

#[test]
fn no_packet_is_judged_without_a_policy() {
    let mut phone = Phone::without_policy(false);
    phone.tcp(ISS, 0, SYN, 1_000, b"");
    phone.udp(APP, WEB, b"hello");
    assert!(phone.commands.is_empty() && phone.packets.is_empty() && phone.sent.is_empty());
    assert_eq!(phone.drops(), [("no_policy", 2)]);
}

#[test]
fn a_syn_waits_for_the_upstream_connection_and_its_repetitions_merge() {
    let mut phone = Phone::new("");
    for _ in 0..3 {
        phone.tcp(ISS, 0, SYN, 1_000, b"");
        phone.wait(Duration::from_secs(1));
    }
    assert_eq!(phone.connected_to().len(), 1);
    assert!(
        phone.packets.is_empty(),
        "nothing is said before the remote end has answered"
    );
    let (socket, to) = phone.connected_to()[0];
    assert_eq!(to, WEB.parse().unwrap());
    phone.socket(socket, SocketEvent::Connected);
    assert_eq!(phone.only_segment().flags, SYN | ACK);
}

#[test]
fn a_parked_syn_is_dropped_75_seconds_after_its_last_repetition() {
    let mut phone = Phone::new("");
    phone.tcp(ISS, 0, SYN, 1_000, b"");
    phone.wait(Duration::from_secs(60));
    phone.tcp(ISS, 0, SYN, 1_000, b"");
    phone.wait(Duration::from_secs(74));
    assert!(
        !phone
            .commands
            .iter()
            .any(|command| matches!(command, Command::Close { .. }))
    );
    phone.wait(Duration::from_secs(2));
    assert!(
        phone
            .commands
            .iter()
            .any(|command| matches!(command, Command::Close { .. }))
    );
    assert_eq!(phone.engine.poll_timeout(), None);
}

#[test]
fn refused_and_unreachable_are_answered_as_such() {
    for (why, reset) in [
        (ErrorKind::ConnectionRefused, true),
        (ErrorKind::HostUnreachable, false),
        (ErrorKind::NetworkUnreachable, false),
    ] {
        let mut phone = Phone::new("");
        phone.tcp(ISS, 0, SYN, 1_000, b"");
        let (socket, _) = phone.connected_to()[0];
        phone.socket(socket, SocketEvent::Failed(why));
        assert_eq!(phone.packets.len(), 1);
        if reset {
            let segment = phone.only_segment();
            assert_eq!((segment.flags, segment.ack), (RST | ACK, ISS + 1));
        } else {
            // Destination unreachable, quoting the app's own SYN.
            let packet = &phone.packets[0];
            assert_eq!((packet[9], packet[20]), (1, 3));
            assert_eq!(
                packet[28 + 20..28 + 28],
                [
                    &40_000u16.to_be_bytes()[..],
                    &80u16.to_be_bytes(),
                    &ISS.to_be_bytes()
                ]
                .concat()
            );
        }
    }
}

#[test]
fn data_on_a_syn_is_not_acknowledged() {
    let mut phone = Phone::new("");
    phone.tcp(ISS, 0, SYN, 1_000, b"early");
    let (socket, _) = phone.connected_to()[0];
    phone.socket(socket, SocketEvent::Connected);
    assert_eq!(phone.only_segment().ack, ISS + 1);
    assert_eq!(phone.remote_takes(100), b"");
}

#[test]
fn a_new_syn_resets_the_old_upstream_and_starts_anew() {
    let mut phone = Phone::new("");
    let (old, _) = phone.open(1_000);
    phone.tcp(ISS + 50_000, 0, SYN, 1_000, b"");
    assert!(phone.commands.contains(&Command::Close {
        socket: old,
        reset: true
    }));
    let (new, _) = *phone.connected_to().last().unwrap();
    assert_ne!(old, new);
    phone.socket(new, SocketEvent::Connected);
    assert_eq!(phone.only_segment().ack, ISS + 50_001);
}

#[test]
fn a_reset_counts_at_the_next_byte_only() {
    let mut phone = Phone::new("");
    let (socket, iss) = phone.open(1_000);
    phone.tcp(ISS + 2, iss + 1, RST, 0, b"");
    let challenge = phone.only_segment();
    assert_eq!(
        (challenge.flags, challenge.ack),
        (ACK, ISS + 1),
        "in the window: challenged"
    );
    phone.tcp(ISS.wrapping_sub(5), iss + 1, RST, 0, b"");
    assert!(phone.segments().is_empty(), "outside: ignored");
    phone.tcp(ISS + 1, iss + 1, RST, 0, b"");
    assert!(phone.commands.contains(&Command::Close {
        socket,
        reset: true
    }));
}

#[test]
fn a_segment_of_nothing_is_reset() {
    let mut phone = Phone::new("");
    phone.tcp(ISS, 77, ACK, 1_000, b"hello");
    let segment = phone.only_segment();
    assert_eq!((segment.flags, segment.seq), (RST, 77));
}

#[test]
fn halves_close_one_by_one() {
    // The app first.
    let mut phone = Phone::new("");
    let (socket, iss) = phone.open(5_000);
    phone.tcp(ISS + 1, iss + 1, FIN, 5_000, b"bye\n");
    assert!(
        !phone.commands.contains(&Command::Shutdown { socket }),
        "its last bytes go first"
    );
    assert_eq!(phone.remote_takes(10), b"bye\n");
    assert!(phone.commands.contains(&Command::Shutdown { socket }));
    assert_eq!(phone.only_segment().ack, ISS + 6);
    assert_eq!(phone.remote_says(socket, b"still here"), 10);
    assert_eq!(phone.segments()[0].1, b"still here");
    phone.remote_says(socket, b"");
    phone.engine.received(socket, Ok(0), phone.clock());
    phone.drain();
    assert!(phone.only_segment().flags.contains(Flags::FIN));
    phone.tcp(ISS + 6, iss + 12, ACK, 5_000, b"");
    assert!(phone.commands.contains(&Command::Close {
        socket,
        reset: false
    }));

    // The remote end first: the app's last FIN is acknowledged, also when it comes again.
    let mut phone = Phone::new("");
    let (socket, iss) = phone.open(5_000);
    phone.engine.recv_room(socket);
    phone.engine.received(socket, Ok(0), phone.clock());
    phone.drain();
    assert_eq!(phone.only_segment().flags, FIN | Flags::PSH);
    phone.tcp(ISS + 1, iss + 2, ACK, 5_000, b"tail\n");
    assert_eq!(phone.remote_takes(10), b"tail\n");
    phone.segments();
    for _ in 0..2 {
        phone.tcp(ISS + 6, iss + 2, FIN, 5_000, b"");
        assert_eq!(phone.only_segment().ack, ISS + 7);
    }
    phone.wait(Duration::from_secs(3));
    phone.tcp(ISS + 6, iss + 2, FIN, 5_000, b"");
    assert_eq!(
        phone.only_segment().flags,
        RST,
        "two seconds later the connection is forgotten"
    );
}

#[test]
fn a_shut_window_is_probed_and_what_waits_goes_when_it_opens() {
    let mut phone = Phone::new("");
    let (socket, iss) = phone.open(100);
    assert_eq!(phone.remote_says(socket, &[7; 500]), 100);
    assert_eq!(phone.segments()[0].1.len(), 100);
    phone.tcp(ISS + 1, iss + 101, ACK, 0, b"");
    assert_eq!(
        phone.remote_says(socket, &[7; 500]),
        0,
        "nothing is taken that cannot be delivered"
    );
    phone.wait(Duration::from_secs(10));
    let probes = phone.segments();
    assert!((2..8).contains(&probes.len()), "{} probes", probes.len());
    assert!(
        probes
            .iter()
            .all(|(probe, payload)| probe.seq == iss + 100 && payload.is_empty())
    );
    phone.tcp(ISS + 1, iss + 101, ACK, 2_000, b"");
    assert_eq!(phone.engine.poll_recv(), Some(socket));
    assert_eq!(phone.remote_says(socket, &[7; 500]), 500);
}

#[test]
fn a_device_that_offloads_gets_long_segments_and_gives_them() {
    let mut phone = Phone::new("");
    let (socket, iss) = phone.open(60_000);
    phone.engine.set_offload(true);
    let bytes: Vec<u8> = (0..50_000u32).map(|n| (n % 251) as u8).collect();
    let room = phone.engine.recv_room(socket).expect("the app has room");
    room[..bytes.len()].copy_from_slice(&bytes);
    phone
        .engine
        .received(socket, Ok(bytes.len()), phone.clock());
    let packet = phone.engine.poll_packet().expect("bytes for the app");
    assert_eq!(
        packet.payload, bytes,
        "one segment, to be cut by the device"
    );
    let header = packet.header.to_vec();
    let [flags, kind, rest @ ..] = packet.offload.to_bytes();
    let words: Vec<u16> = rest
        .chunks(2)
        .map(|word| u16::from_ne_bytes([word[0], word[1]]))
        .collect();
    assert_eq!(
        (flags, kind),
        (1, 1),
        "a checksum is wanted, for TCP over IPv4"
    );
    assert_eq!(words, [40, 1_460, 20, 16]);
    // What the device does: it adds the bytes to the sum in the field, and so makes the checksum of the whole.
    let whole = [header, bytes.clone()].concat();
    let Ok(wire::Packet::Tcp(segment)) = wire::parse(&whole, wire::Checksum::Trust) else {
        panic!("no segment");
    };
    assert_eq!(segment.seq, iss + 1);
    let mut computed = whole.clone();
    let sum: u64 = whole[20..]
        .chunks(2)
        .map(|word| u64::from(u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)])))
        .sum();
    let sum = (0..4).fold(sum, |sum, _| (sum & 0xffff) + (sum >> 16));
    computed[36..38].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    assert!(wire::parse(&computed, wire::Checksum::Verify).is_ok());
    assert!(phone.engine.poll_packet().is_none());

    // Up: a segment of many, whose checksum nobody has computed.
    let slot = &mut phone.engine.rx_slots()[0];
    let tcp = TcpOut {
        pair: pair(APP, WEB),
        seq: ISS + 1,
        ack: iss + 1 + 50_000,
        flags: ACK,
        window: 60_000,
        mss: None,
        window_scale: None,
    };
    let long = &bytes[..10_000];
    let mut header = [0; MAX_HEADER];
    let (n, offload) = wire::emit_tcp_offloaded(&mut header, &tcp, long.len(), 1_460);
    slot.bytes[..n].copy_from_slice(&header[..n]);
    slot.bytes[n..n + long.len()].copy_from_slice(long);
    (slot.len, slot.checksum) = (n + long.len(), offload.checksum());
    phone.engine.handle_packets(1, phone.clock());
    assert_eq!(phone.remote_takes(20_000), long);
    let ack = phone.packets.last().expect("an acknowledgement");
    match wire::parse(ack, wire::Checksum::Trust) {
        Ok(wire::Packet::Tcp(ack)) => assert_eq!(ack.ack, ISS + 1 + 10_000),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_slow_remote_end_stops_the_app_and_the_right_edge_never_moves_left() {
    let mut phone = Phone::new("");
    let (socket, iss) = phone.open(5_000);
    phone.engine.poll_send();
    let (mut seq, mut edge, mut accepted) = (ISS + 1, 0u32, 0usize);
    phone.tcp(seq, iss + 1, ACK, 5_000, &[1; 1_000]);
    seq += 1_000;
    let taker = phone.engine.poll_send().unwrap();
    assert_eq!(taker, socket);
    phone
        .engine
        .sent(socket, Err(ErrorKind::WouldBlock), phone.clock());
    phone.drain();
    for _ in 0..5_000 {
        for (segment, _) in phone.segments() {
            let next = segment.ack.wrapping_add(u32::from(segment.window));
            assert!(next >= edge, "the right edge moved left");
            (edge, accepted) = (next, (segment.ack - ISS - 1) as usize);
        }
        if seq >= edge {
            break;
        }
        let len = (edge - seq).min(1_000);
        phone.tcp(seq, iss + 1, ACK, 5_000, &vec![1; len as usize]);
        seq += len;
    }
    assert!(seq >= edge, "the app was never stopped");
    assert!(
        accepted < 1_500_000,
        "{accepted} bytes accepted for a remote end that takes none"
    );
    phone.socket(socket, SocketEvent::Writable);
    assert_eq!(
        phone.remote_takes(usize::MAX).len(),
        accepted,
        "every accepted byte is delivered"
    );
    let update = phone.segments();
    assert!(
        update.last().is_some_and(|(segment, _)| segment.window > 0),
        "the window opens again"
    );
}

#[test]
fn a_socket_that_breaks_resets_the_app_after_what_it_had_said() {
    let mut phone = Phone::new("");
    let (socket, _) = phone.open(5_000);
    phone.remote_says(socket, b"last words");
    assert_eq!(phone.segments()[0].1, b"last words");
    phone.engine.recv_room(socket);
    phone
        .engine
        .received(socket, Err(ErrorKind::ConnectionReset), phone.clock());
    phone.drain();
    assert!(phone.only_segment().flags.contains(RST));
}

#[test]
fn urgent_data_stays_in_band() {
    let mut phone = Phone::new("");
    let (_, iss) = phone.open(5_000);
    phone.tcp(ISS + 1, iss + 1, ACK | Flags::URG, 5_000, b"urgent\n");
    assert_eq!(phone.remote_takes(100), b"urgent\n");
}

#[test]
fn an_idle_flow_needs_no_wake_up() {
    let mut phone = Phone::new("");
    let (socket, iss) = phone.open(5_000);
    phone.tcp(ISS + 1, iss + 1, ACK, 5_000, b"ping\n");
    phone.remote_takes(10);
    phone.remote_says(socket, b"pong");
    phone.tcp(ISS + 6, iss + 5, ACK, 5_000, b"");
    assert_eq!(phone.engine.poll_timeout(), None);
}

#[test]
fn time_waits_are_bounded() {
    let mut phone = Phone::new("");
    for port in 0..5_000u16 {
        let app = format!("198.18.0.2:{}", 10_000 + port);
        let pair = pair(&app, WEB);
        let send = |phone: &mut Phone, seq, ack, flags| {
            let tcp = TcpOut {
                pair,
                seq,
                ack,
                flags,
                window: 5_000,
                mss: None,
                window_scale: None,
            };
            let mut header = [0; MAX_HEADER];
            let n = wire::emit_tcp(&mut header, &tcp, &[]);
            phone.packet(&header[..n]);
        };
        send(&mut phone, 1, 0, SYN);
        let (socket, _) = *phone.connected_to().last().unwrap();
        phone.socket(socket, SocketEvent::Connected);
        let iss = phone.only_segment().seq;
        send(&mut phone, 2, iss.wrapping_add(1), ACK);
        phone.engine.recv_room(socket);
        phone.engine.received(socket, Ok(0), phone.clock());
        phone.drain();
        send(&mut phone, 2, iss.wrapping_add(2), FIN);
        phone.segments();
        phone.commands.clear();
    }
    phone.wait(Duration::from_secs(3));
    assert_eq!(phone.engine.poll_timeout(), None, "all of them end");
}

#[test]
fn a_blocked_connection_is_reset_at_once_and_told_of() {
    let mut phone = Phone::new("[[rule]]\nto = \"203.0.113.0/24\"\naction = \"block\"\n");
    phone.tcp(ISS, 0, SYN, 1_000, b"");
    assert_eq!(phone.only_segment().flags, RST | ACK);
    assert!(phone.commands.is_empty());
    let [Event::Flow(flow)] = &phone.events[..] else {
        panic!("{:?}", phone.events);
    };
    assert_eq!((flow.verdict, &*flow.rule), (Action::Block, "rule.1"));
}

#[test]
fn a_new_policy_ends_the_flows_it_does_not_allow() {
    let mut phone = Phone::new("");
    let (socket, _) = phone.open(1_000);
    phone
        .engine
        .set_rules(rules("[default]\nconnection = \"block\"\n"), phone.clock());
    phone.drain();
    assert!(phone.only_segment().flags.contains(RST));
    assert!(phone.commands.contains(&Command::Close {
        socket,
        reset: true
    }));
}

#[test]
fn udp_has_one_socket_a_port_and_unsolicited_datagrams_are_dropped() {
    let mut phone = Phone::new("");
    phone.udp(APP, "203.0.113.1:5000", b"one");
    phone.udp(APP, "203.0.113.2:5000", b"two");
    let opened = phone
        .commands
        .iter()
        .filter(|command| matches!(command, Command::OpenUdp { .. }));
    assert_eq!(opened.count(), 1, "endpoint-independent mapping");
    let sent: Vec<_> = phone
        .sent
        .iter()
        .map(|(_, to, payload)| (to.to_string(), payload.clone()))
        .collect();
    assert_eq!(
        sent,
        [
            ("203.0.113.1:5000".into(), b"one".to_vec()),
            ("203.0.113.2:5000".into(), b"two".to_vec())
        ]
    );
    let socket = phone.sent[0].0;
    for (from, known) in [
        ("203.0.113.2:5000", true),
        ("203.0.113.3:5000", false),
        ("203.0.113.2:5001", false),
    ] {
        phone.engine.datagram_room()[..4].copy_from_slice(b"back");
        phone
            .engine
            .handle_datagram(socket, from.parse().unwrap(), 4, phone.clock());
        phone.drain();
        assert_eq!(
            std::mem::take(&mut phone.packets).len(),
            usize::from(known),
            "{from}"
        );
    }
    phone.wait(Duration::from_secs(400));
    assert!(
        phone.commands.contains(&Command::Close {
            socket,
            reset: false
        }),
        "an idle mapping closes"
    );
    assert_eq!(phone.engine.poll_timeout(), None);
    assert_eq!(phone.drops(), [("unsolicited", 2)]);
}

#[test]
fn a_blocked_datagram_is_administratively_prohibited() {
    let mut phone = Phone::new("[[rule]]\nproto = \"udp\"\naction = \"block\"\n");
    for _ in 0..2 {
        phone.udp(APP, "203.0.113.1:5000", b"one");
    }
    assert!(phone.sent.is_empty());
    assert_eq!(phone.packets.len(), 2);
    assert!(
        phone.packets.iter().all(|packet| packet[20..22] == [3, 13]),
        "type 3, code 13"
    );
}

#[test]
fn a_dns_answer_comes_back_under_the_apps_id_and_names_the_address() {
    let mut phone =
        Phone::new("[[rule]]\nto = \"tracker.example\"\nproto = \"tcp\"\naction = \"block\"\n");
    phone.udp(APP, RESOLVER, &query(0x1234, "tracker.example"));
    // A rule on TCP alone does not keep the name from being resolved.
    let (socket, to, asked) = phone.sent.pop().expect("the question was not passed on");
    assert_eq!(to, UPSTREAM.parse().unwrap());
    assert_eq!(asked[2..], query(0, "tracker.example")[2..]);
    let answer = reply(&asked, [203, 0, 113, 9]);
    phone.engine.datagram_room()[..answer.len()].copy_from_slice(&answer);
    phone
        .engine
        .handle_datagram(socket, to, answer.len(), phone.clock());
    phone.drain();
    let packet = phone.packets.pop().unwrap();
    assert_eq!(packet[28..30], 0x1234u16.to_be_bytes());
    phone.tcp(ISS, 0, SYN, 1_000, b"");
    assert_eq!(
        phone.only_segment().flags,
        RST | ACK,
        "the address goes by the blocked name"
    );
}

/// Anchor R18: a reply must match id, question, socket and source.
#[test]
fn r18_replies_that_do_not_match_are_dropped() {
    let mut phone = Phone::new("");
    phone.udp(APP, RESOLVER, &query(0x1234, "good.example"));
    let (socket, to, asked) = phone.sent.pop().unwrap();
    let good = reply(&asked, [203, 0, 113, 9]);
    let mut wrong_id = good.clone();
    wrong_id[0] ^= 1;
    let mut other = query(0, "evil.example");
    other[..2].copy_from_slice(&asked[..2]);
    let wrong_question = reply(&other, [203, 0, 113, 66]);
    let elsewhere = "192.0.2.66:53".parse().unwrap();
    let truncated = good[..11].to_vec();
    let tries = [
        (wrong_id, to),
        (wrong_question, to),
        (good.clone(), elsewhere),
        (truncated, to),
        (asked.clone(), to),
    ];
    for (bytes, from) in &tries {
        phone.engine.datagram_room()[..bytes.len()].copy_from_slice(bytes);
        phone
            .engine
            .handle_datagram(socket, *from, bytes.len(), phone.clock());
        phone.drain();
        assert!(phone.packets.is_empty());
    }
    phone.engine.datagram_room()[..good.len()].copy_from_slice(&good);
    phone
        .engine
        .handle_datagram(socket, to, good.len(), phone.clock());
    phone.drain();
    assert_eq!(phone.packets.len(), 1, "the true reply still counts");
    assert_eq!(phone.drops(), [("dns_reply", 5)]);
}

#[test]
fn a_resolver_that_cannot_be_reached_is_told_at_once() {
    let ways: [fn(&mut Phone, SocketId); 3] = [
        |phone, socket| phone.socket(socket, SocketEvent::Failed(ErrorKind::NetworkUnreachable)),
        |phone, socket| {
            phone.socket(
                socket,
                SocketEvent::Unreachable(ErrorKind::ConnectionRefused),
            )
        },
        |phone, socket| {
            phone
                .engine
                .datagram_lost(socket, ErrorKind::NetworkUnreachable);
            phone.drain();
        },
    ];
    for fails in ways {
        let mut phone = Phone::new("");
        phone.udp(APP, RESOLVER, &query(0x1234, "good.example"));
        let (socket, ..) = phone.sent.pop().unwrap();
        fails(&mut phone, socket);
        let packet = phone.packets.pop().expect("nobody was told");
        let reply = simple_dns::Packet::parse(&packet[28..]).unwrap();
        assert_eq!(
            (reply.id(), packet[31] & 15, reply.questions.len()),
            (0x1234, 2, 1),
            "SERVFAIL"
        );
    }
}

#[test]
fn a_blocked_name_does_not_exist() {
    for (setting, code, answers) in [("nxdomain", 3, 0), ("zero", 0, 1)] {
        let policy = format!(
            "[default]\nblocked_name = \"{setting}\"\n[[rule]]\nto = \"tracker.example\"\naction = \"block\"\n"
        );
        let mut phone = Phone::new(&policy);
        phone.udp(APP, RESOLVER, &query(0x77, "x.tracker.example"));
        assert!(phone.sent.is_empty());
        let packet = phone.packets.pop().unwrap();
        let reply = simple_dns::Packet::parse(&packet[28..]).unwrap();
        assert_eq!(
            (reply.id(), packet[31] & 15, reply.answers.len()),
            (0x77, code, answers)
        );
        assert!(
            phone
                .events
                .iter()
                .any(|event| matches!(event, Event::Name(name) if name.verdict == Action::Block))
        );
    }
}

#[test]
fn other_services_at_the_resolvers_address_are_refused_at_once() {
    let mut phone = Phone::new("");
    let tcp = TcpOut {
        pair: pair(APP, "198.18.0.1:853"),
        seq: 1,
        ack: 0,
        flags: SYN,
        window: 1,
        mss: None,
        window_scale: None,
    };
    let mut header = [0; MAX_HEADER];
    let n = wire::emit_tcp(&mut header, &tcp, &[]);
    phone.packet(&header[..n]);
    assert_eq!(phone.only_segment().flags, RST | ACK);
    phone.udp(APP, "198.18.0.1:853", b"x");
    assert_eq!(phone.packets[0][20..22], [3, 3], "port unreachable");
}

/// An ICMP error from the app's kernel about a packet that it was given.
fn icmp_error(kind: [u8; 2], rest: [u8; 4], quoted: &[u8]) -> Vec<u8> {
    use etherparse::{IpNumber, Ipv4Header};
    let mut message = [&[kind[0], kind[1], 0, 0], &rest[..], quoted].concat();
    let sum = message
        .chunks(2)
        .map(|two| u32::from(two[0]) << 8 | two.get(1).map_or(0, |low| u32::from(*low)))
        .sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let app = [198, 18, 0, 2];
    let header = Ipv4Header::new(
        message.len() as u16,
        64,
        IpNumber::ICMP,
        app,
        [198, 18, 0, 1],
    );
    let mut packet = Vec::new();
    header.unwrap().write(&mut packet).unwrap();
    [packet, message].concat()
}

#[test]
fn an_error_of_the_network_reaches_the_app_in_terms_of_its_own_datagram() {
    use untold::wire::Unreachable;
    for (why, kind, mtu) in [
        (Unreachable::Port, 3, 0),
        (Unreachable::Host, 1, 0),
        (Unreachable::AdminProhibited, 13, 0),
        (Unreachable::TooBig { mtu: 1_400 }, 4, 1_400u16),
        (Unreachable::TooBig { mtu: 0 }, 4, 68),
        (Unreachable::TooBig { mtu: 90_000 }, 4, 1_500),
    ] {
        let mut phone = Phone::new("");
        phone.udp(APP, "203.0.113.1:5000", b"hello");
        let (socket, to, _) = phone.sent[0].clone();
        let now = phone.clock();
        phone.engine.handle_unreachable(socket, to, why, now);
        phone.drain();
        let packet = phone.packets.remove(0);
        assert_eq!((packet[9], packet[20], packet[21]), (1, 3, kind));
        assert_eq!(packet[26..28], mtu.to_be_bytes());
        assert_eq!(packet[12..16], [203, 0, 113, 1]);
        let ports = [40_000u16.to_be_bytes(), 5_000u16.to_be_bytes()].concat();
        assert_eq!(packet[28 + 20..28 + 24], ports);
        // About whom nobody wrote to, nobody is told.
        let other = "203.0.113.99:5000".parse().unwrap();
        phone.engine.handle_unreachable(socket, other, why, now);
        phone.drain();
        assert!(phone.packets.is_empty());
    }
}

#[test]
fn a_port_that_the_app_has_closed_closes_upstream_so_that_the_kernel_answers_for_it() {
    let mut phone = Phone::new("");
    phone.udp(APP, "203.0.113.1:5000", b"hello");
    let socket = phone.sent[0].0;
    phone.engine.datagram_room()[..4].copy_from_slice(b"back");
    let from = "203.0.113.1:5000".parse().unwrap();
    phone.engine.handle_datagram(socket, from, 4, phone.clock());
    phone.drain();
    let back = phone.packets.remove(0);
    phone.packet(&icmp_error([3, 3], [0; 4], &back[..28]));
    let close = Command::Close {
        socket,
        reset: false,
    };
    assert!(phone.commands.contains(&close));
}

#[test]
fn r25_segments_shrink_to_what_a_link_behind_the_device_carries() {
    let mut phone = Phone::new("");
    let (socket, iss) = phone.open(60_000);
    phone.remote_says(socket, &[7; 4_000]);
    let sent = phone.packets.clone();
    assert_eq!(sent[0].len(), 1_500);
    phone.packets.clear();
    phone.packet(&icmp_error([3, 4], [0, 0, 0x05, 0x00], &sent[0][..28]));
    let again = phone.segments();
    let bytes: usize = again.iter().map(|(_, payload)| payload.len()).sum();
    assert_eq!(again[0].0.seq, iss + 1);
    assert!(again.iter().all(|(_, payload)| payload.len() <= 1_240) && bytes >= 3_720);
    // What is not about a flow of ours is ignored.
    phone.packet(&icmp_error([3, 4], [0, 0, 0, 68], &[0x45; 28]));
    assert!(phone.segments().is_empty());
}

#[test]
fn datagrams_go_in_one_piece_where_the_app_wants_it_and_fragments_as_they_came() {
    let mut phone = Phone::new("");
    let mut header = [0; MAX_HEADER];
    let n = wire::emit_udp(&mut header, pair(APP, "203.0.113.1:5000"), b"hello");
    let mut packet = [&header[..n], b"hello"].concat();
    for dont_fragment in [false, true] {
        packet[6] = if dont_fragment { 0x40 } else { 0 };
        packet[10..12].fill(0);
        let sum: u32 = packet[..20]
            .chunks(2)
            .map(|two| u32::from(u16::from_be_bytes([two[0], two[1]])))
            .sum();
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        let now = phone.clock();
        let slot = &mut phone.engine.rx_slots()[0];
        slot.bytes[..packet.len()].copy_from_slice(&packet);
        slot.len = packet.len();
        phone.engine.handle_packets(1, now);
        let datagram = phone.engine.poll_datagrams(&mut [IoSlice::new(&[])]);
        let whole = datagram.map(|datagram| datagram.whole);
        assert_eq!(whole, Some(dont_fragment));
    }
}

#[test]
fn datagrams_of_a_batch_go_together_as_far_as_the_kernel_could_cut_them_apart() {
    let (one, other) = ("203.0.113.1:5000", "203.0.113.2:5000");
    let batch = [
        (one, 400),
        (one, 400),
        (one, 90),
        (one, 90),
        (one, 400),
        (other, 400),
        (one, 0),
        (one, 0),
        (one, 30),
    ];
    let mut phone = Phone::new("");
    for (slot, (to, len)) in phone.engine.rx_slots().iter_mut().zip(batch) {
        let payload: Vec<u8> = (0..len).map(|n| n as u8).collect();
        let mut header = [0; MAX_HEADER];
        let n = wire::emit_udp(&mut header, pair(APP, to), &payload);
        slot.bytes[..n].copy_from_slice(&header[..n]);
        slot.bytes[n..n + len].copy_from_slice(&payload);
        slot.len = n + len;
    }
    phone.engine.handle_packets(batch.len(), phone.clock());
    let mut went = Vec::new();
    loop {
        let mut payloads = [IoSlice::new(&[]); 64];
        let Some(out) = phone.engine.poll_datagrams(&mut payloads) else {
            break;
        };
        let lens: Vec<_> = payloads[..out.count].iter().map(|p| p.len()).collect();
        went.push((out.to.to_string(), lens));
    }
    let expected: [(_, &[_]); 6] = [
        (one, &[400, 400, 90]),
        (one, &[90]),
        (one, &[400]),
        (other, &[400]),
        (one, &[0]),
        (one, &[0]),
    ];
    let expected = expected.map(|(to, lens)| (to.to_string(), lens.to_vec()));
    assert_eq!(went[..6], expected);
    assert_eq!(went[6..], [(one.to_string(), vec![30])]);
}

#[test]
fn datagrams_that_came_together_are_the_apps_one_by_one() {
    let mut phone = Phone::new("");
    let remote = "203.0.113.1:5000";
    phone.udp(APP, remote, b"hello");
    let socket = phone.sent[0].0;
    let bytes: Vec<u8> = (0..250u8).collect();
    for (len, each, lens) in [
        (250, 100, &[100, 100, 50][..]),
        (200, 100, &[100, 100]),
        (100, 100, &[100]),
        (0, 0, &[0]),
    ] {
        phone.engine.datagram_room()[..bytes.len()].copy_from_slice(&bytes);
        let (from, now) = (remote.parse().unwrap(), phone.clock());
        phone.engine.handle_datagrams(socket, from, len, each, now);
        phone.drain();
        let packets = std::mem::take(&mut phone.packets);
        let payloads: Vec<_> = packets.iter().map(|packet| &packet[28..]).collect();
        let came: Vec<_> = payloads.iter().map(|payload| payload.len()).collect();
        assert_eq!(came, lens);
        assert_eq!(payloads.concat(), bytes[..len]);
    }
}

#[test]
fn a_port_of_the_resolver_pool_serves_a_number_of_questions_and_closes_when_it_has_nothing_to_do() {
    let mut phone = Phone::new("");
    let answer = |phone: &mut Phone| {
        phone.udp(APP, RESOLVER, &query(7, "host.example"));
        let (socket, to, asked) = phone.sent.pop().expect("the question is passed on");
        let answer = reply(&asked, [203, 0, 113, 9]);
        phone.engine.datagram_room()[..answer.len()].copy_from_slice(&answer);
        let now = phone.clock();
        let engine = &mut phone.engine;
        engine.handle_datagram(socket, to, answer.len(), now);
        phone.drain();
        socket
    };
    let closes = |phone: &Phone| {
        let commands = phone.commands.iter();
        let closed = commands.filter(|command| matches!(command, Command::Close { .. }));
        closed.count()
    };
    let mut asked = std::collections::BTreeMap::<_, usize>::new();
    for _ in 0..3_000 {
        *asked.entry(answer(&mut phone)).or_default() += 1;
    }
    assert!(asked.values().all(|questions| *questions <= 64));
    let open = asked.len() - closes(&phone);
    assert!((1..=16).contains(&open), "{open} are open");
    assert!(asked.len() < 100, "each serves more than one question");
    phone.wait(Duration::from_millis(1_100));
    assert_eq!(closes(&phone), asked.len(), "none stays open for nothing");
    let last = answer(&mut phone);
    assert!(!asked.contains_key(&last));
}

#[test]
fn a_keep_alive_is_answered_here_and_costs_the_remote_end_nothing() {
    let mut phone = Phone::new("");
    let (socket, iss) = phone.open(5_000);
    phone.tcp(ISS + 1, iss + 1, ACK, 5_000, b"hello\n");
    assert_eq!(phone.remote_takes(100), b"hello\n");
    phone.segments();
    phone.commands.clear();
    for payload in [&b""[..], b"\n"] {
        // One byte that was acknowledged long ago, with or without it (RFC 9293 section 3.8.4).
        phone.tcp(ISS + 6, iss + 1, ACK, 5_000, payload);
        let answer = phone.only_segment();
        assert_eq!((answer.flags, answer.ack), (ACK, ISS + 7));
        assert_eq!(phone.remote_takes(100), b"");
        assert!(phone.commands.is_empty());
    }
    assert_eq!(phone.remote_says(socket, b"x"), 1);
}

#[test]
fn segments_that_come_in_one_batch_are_judged_with_what_is_behind_them_in_it() {
    let (mut phone, value) = (Phone::new(""), IMEI.as_bytes());
    let (_, iss) = phone.open(60_000);
    let sent = |seq, payload: &[u8]| segment(APP, [seq, iss + 1], ACK, 60_000, payload);
    phone.batch(&[
        sent(ISS + 1, b"hello\nid="),
        sent(ISS + 10, &value[..7]),
        sent(ISS + 17, &[&value[7..], b"\n"].concat()),
        // What was accepted is judged before the reset makes an end of the flow.
        segment(APP, [ISS + 26, iss + 1], RST, 0, b""),
    ]);
    assert_eq!(phone.engine.poll_send(), None);
    phone.drain();
    let [Event::Finding(_), Event::Flow(flow)] = &phone.events[..] else {
        panic!("{:?}", phone.events);
    };
    assert_eq!((flow.verdict, flow.bytes_out), (Action::Block, 0));
}

#[test]
fn flows_that_take_turns_in_a_batch_each_get_their_own_bytes() {
    const OTHER: &str = "198.18.0.2:40001";
    let mut phone = Phone::new("");
    let (one, iss) = phone.open(60_000);
    let (other, other_iss) = phone.open_from(OTHER, 60_000);
    let ours = |seq, payload: &[u8]| segment(APP, [ISS + seq, iss + 1], ACK, 60_000, payload);
    let theirs = |seq, flags, payload: &[u8]| {
        segment(OTHER, [ISS + seq, other_iss + 1], flags, 60_000, payload)
    };
    phone.batch(&[
        ours(1, b"one "),
        ours(5, b"two "),
        theirs(1, ACK, b"uno "),
        // Comes too early, and waits.
        ours(15, b"four\n"),
        theirs(5, ACK, b"due\n"),
        ours(9, b"three "),
        theirs(9, FIN, b"tre\n"),
    ]);
    let mut taken = |socket| {
        assert_eq!(phone.engine.poll_send(), Some(socket));
        let mut parts = [IoSlice::new(&[]); 16];
        let count = phone.engine.send_parts(socket, &mut parts);
        let bytes = parts[..count].iter().flat_map(|part| part.to_vec());
        String::from_utf8(bytes.collect()).unwrap()
    };
    assert_eq!(taken(one), "one two three four\n");
    assert_eq!(taken(other), "uno due\ntre\n");
}
