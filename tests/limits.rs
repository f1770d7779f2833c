//! Bounds of the engine: sockets, flows, held bytes, buffers, and answers to those who try again for ever.

mod phone;

use std::{io::ErrorKind, time::Duration};

use phone::*;
use untold::{
    engine::{Command, MemoryPressure, OwnerId, SocketEvent, SocketId},
    event::Event,
    wire::{self, MAX_HEADER, TcpOut},
};

/// Commands since the last look.
fn commands(phone: &mut Phone) -> Vec<Command> {
    std::mem::take(&mut phone.commands)
}

fn opened(commands: &[Command]) -> Vec<SocketId> {
    let opened = commands.iter().filter_map(|command| match command {
        Command::Connect { socket, .. }
        | Command::OpenUdp { socket, .. }
        | Command::OpenEcho { socket, .. } => Some(*socket),
        _ => None,
    });
    opened.collect()
}

fn closed(commands: &[Command]) -> Vec<SocketId> {
    let closed = commands.iter().filter_map(|command| match command {
        Command::Close { socket, .. } => Some(*socket),
        _ => None,
    });
    closed.collect()
}

fn wanted(commands: &[Command]) -> Vec<OwnerId> {
    let wanted = commands.iter().filter_map(|command| match command {
        Command::FindOwner { flow, .. } => Some(*flow),
        _ => None,
    });
    wanted.collect()
}

fn count(phone: &mut Phone, reason: &str) -> u64 {
    let drops = phone.drops();
    let of_reason = drops.iter().find(|(word, _)| *word == reason);
    of_reason.map_or(0, |(_, count)| *count)
}

fn app(n: usize) -> String {
    format!(
        "198.18.{}.{}:{}",
        1 + n / 50_000,
        2 + n % 3,
        2_000 + n % 50_000
    )
}

#[test]
fn r1_sockets_stay_within_their_limit_and_names_resolve_to_the_last() {
    let mut phone = Phone::new("");
    phone.engine.set_socket_limit(40);
    let mut open = std::collections::BTreeSet::new();
    for n in 0..10_000 {
        match n % 2 {
            0 => phone.udp(&app(n), "203.0.113.1:5000", b"hello"),
            _ => phone.tcp_from(&app(n), ISS, 0, SYN, 1_000, b""),
        }
        if n % 100 == 0 {
            let message = query(n as u16, "host.example");
            phone.udp(&app(n), RESOLVER, &message);
            let (socket, _, asked) = phone.sent.last().expect("the question goes on").clone();
            let answer = reply(&asked, [203, 0, 113, 5]);
            phone.engine.datagram_room()[..answer.len()].copy_from_slice(&answer);
            phone.packets.clear();
            let from = UPSTREAM.parse().unwrap();
            phone
                .engine
                .handle_datagram(socket, from, answer.len(), phone.clock());
            phone.drain();
            assert_eq!(phone.packets.len(), 1, "an answer to question {n}");
        }
        for command in commands(&mut phone) {
            open.extend(opened(&[command]));
            closed(&[command]).iter().for_each(|socket| {
                open.remove(socket);
            });
        }
        assert!(open.len() <= 40, "{} sockets at flow {n}", open.len());
        assert_eq!(phone.engine.load().sockets, open.len());
        phone.now += Duration::from_millis(1);
    }
    phone.engine.finish(phone.clock());
    phone.drain();
    let last = commands(&mut phone);
    closed(&last).iter().for_each(|socket| {
        open.remove(socket);
    });
    assert!(open.is_empty(), "every descriptor is given back");
}

#[test]
fn r1_the_idlest_udp_socket_makes_room_and_its_flow_goes_on_by_another() {
    let mut phone = Phone::new("");
    phone.engine.set_socket_limit(32);
    let room = 16;
    for n in 0..room {
        phone.udp(&app(n), "203.0.113.1:5000", b"hello");
        phone.now += Duration::from_millis(10);
    }
    let sockets = opened(&commands(&mut phone));
    assert_eq!(sockets.len(), room);
    // The first one is busy again: the second one has been idle for longest.
    phone.udp(&app(0), "203.0.113.1:5000", b"again");
    phone.tcp(ISS, 0, SYN, 1_000, b"");
    let now = commands(&mut phone);
    assert_eq!(closed(&now), [sockets[1]]);
    assert_eq!(phone.connected_to().len() + opened(&now).len(), 1);
    phone.udp(&app(1), "203.0.113.1:5000", b"back");
    let now = commands(&mut phone);
    assert_eq!((closed(&now), opened(&now).len()), (vec![sockets[2]], 1));
    assert_eq!(phone.sent.last().unwrap().0, opened(&now)[0]);
    assert!(
        !phone.events.iter().any(|e| matches!(e, Event::Flow(_))),
        "no flow has ended"
    );
    assert_eq!(count(&mut phone, "socket_evicted"), 2);
}

#[test]
fn r1_without_sockets_a_connection_is_refused_at_once() {
    let mut phone = Phone::new("");
    phone.engine.set_socket_limit(2);
    phone.tcp(ISS, 0, SYN, 1_000, b"");
    assert!(phone.packets.is_empty());
    phone.tcp_from(&app(1), ISS, 0, SYN, 1_000, b"");
    assert_eq!(phone.only_segment().flags, RST | ACK);
    phone.udp(&app(2), "203.0.113.1:5000", b"hello");
    assert_eq!((phone.packets[0][9], phone.packets[0][20]), (1, 3));
    assert_eq!(count(&mut phone, "socket_limit"), 2);
}

#[test]
fn the_idlest_datagram_flow_makes_room_for_a_new_one() {
    let mut phone = Phone::new("[limits]\nflows = 10\n");
    for n in 0..20 {
        phone.udp(APP, &format!("203.0.113.{n}:5000"), b"hello");
        phone.now += Duration::from_millis(10);
        assert!(phone.engine.load().flows <= 10);
    }
    let ended: Vec<_> = phone
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Flow(flow) => Some(flow.dst.ip().to_string()),
            _ => None,
        })
        .collect();
    let oldest: Vec<_> = (0..10).map(|n| format!("203.0.113.{n}")).collect();
    assert_eq!(ended, oldest);
    // Connections are not evicted; names resolve even where they fill the table.
    for n in 0..12 {
        phone.tcp_from(&app(n), ISS, 0, SYN, 1_000, b"");
    }
    assert_eq!(phone.engine.load().flows, 10);
    phone.sent.clear();
    phone.udp(APP, RESOLVER, &query(7, "host.example"));
    assert_eq!(phone.sent.len(), 1);
    phone.udp(APP, "203.0.113.1:5000", b"hello");
    phone.tcp_from(&app(99), ISS, 0, SYN, 1_000, b"");
    assert_eq!(count(&mut phone, "flow_limit"), 4);
}

#[test]
fn one_app_cannot_have_all_flows() {
    let policy = "[limits]\nflows_per_app = 5\n\
                  [[rule]]\napp = \"nobody\"\naction = \"block\"\n";
    let mut phone = Phone::new(policy);
    for n in 0..20 {
        let names = match n % 2 {
            0 => "greedy",
            _ => "modest",
        };
        if n % 2 == 1 && n > 6 {
            continue;
        }
        match n % 4 {
            0 | 1 => phone.udp(&app(n), "203.0.113.1:5000", b"hello"),
            _ => phone.tcp_from(&app(n), ISS, 0, SYN, 1_000, b""),
        }
        let now = commands(&mut phone);
        let flow = wanted(&now)[0];
        phone
            .engine
            .handle_owner(flow, vec![names.into()], phone.clock());
        phone.drain();
    }
    assert_eq!(phone.engine.load().flows, 5 + 3);
    assert_eq!(count(&mut phone, "app_flow_limit"), 5);
}

#[test]
fn r15_a_flood_of_syns_is_bounded_and_what_ends_makes_room() {
    let mut phone = Phone::new("");
    for n in 0..10_000 {
        phone.tcp_from(&app(n), ISS, 0, SYN, 1_000, b"");
    }
    let sockets = opened(&commands(&mut phone));
    assert_eq!(sockets.len(), 4_096);
    assert!(phone.packets.is_empty(), "a lost SYN is sent again");
    phone.socket(sockets[0], SocketEvent::Connected);
    phone.socket(
        sockets[1],
        SocketEvent::Failed(ErrorKind::ConnectionRefused),
    );
    for n in 10_000..10_010 {
        phone.tcp_from(&app(n), ISS, 0, SYN, 1_000, b"");
    }
    assert_eq!(opened(&commands(&mut phone)).len(), 2);
    assert_eq!(count(&mut phone, "syn_limit"), 10_000 - 4_096 + 8);
}

#[test]
fn r15_one_apps_flood_of_syns_leaves_room_for_others() {
    let mut phone = Phone::new("[[rule]]\napp = \"nobody\"\naction = \"block\"\n");
    for n in 0..3_000 {
        phone.tcp_from(&app(n), ISS, 0, SYN, 1_000, b"");
        let flow = wanted(&commands(&mut phone))[0];
        let name = if n < 2_990 { "flood" } else { "other" };
        phone
            .engine
            .handle_owner(flow, vec![name.into()], phone.clock());
        phone.drain();
    }
    assert_eq!(phone.engine.load().flows, 1_024 + 10);
}

#[test]
fn r15_a_blocked_app_that_tries_again_at_once_is_backed_off() {
    let mut phone = Phone::new("[[rule]]\nto = \"203.0.113.0/24\"\naction = \"block\"\n");
    // Ten seconds of a loop that connects, is reset, and connects again.
    for n in 0..1_000 {
        phone.tcp_from(&app(n), ISS, 0, SYN, 1_000, b"");
        phone.now += Duration::from_millis(10);
    }
    let answers = phone.packets.len();
    assert!((70..=80).contains(&answers), "{answers} answers");
    let flows = phone.events.iter();
    let told = flows
        .filter(|event| matches!(event, Event::Flow(_)))
        .count();
    assert_eq!(told, answers, "events");
    // Another destination is answered, and a minute later the first one too.
    phone.packets.clear();
    let syn = TcpOut {
        pair: pair(APP, "203.0.113.9:81"),
        seq: ISS,
        ack: 0,
        flags: SYN,
        window: 1_000,
        mss: None,
        window_scale: None,
    };
    let mut header = [0; MAX_HEADER];
    let n = wire::emit_tcp(&mut header, &syn, b"");
    phone.packet(&header[..n]);
    phone.now += Duration::from_secs(60);
    phone.tcp(ISS, 0, SYN, 1_000, b"");
    assert_eq!(phone.packets.len(), 2);
    assert_eq!(count(&mut phone, "backed_off"), 1_000 - answers as u64);
}

#[test]
fn r15_a_blocked_datagram_or_name_is_answered_at_once_however_often() {
    let policy = "[[rule]]\nto = \"ads.example\"\naction = \"block\"\n\
                  [[rule]]\nto = \"203.0.113.0/24\"\naction = \"block\"\n";
    let mut phone = Phone::new(policy);
    for n in 0..1_000u16 {
        phone.udp(APP, RESOLVER, &query(n, "ads.example"));
        phone.udp(APP, "203.0.113.1:5000", b"hello");
    }
    assert_eq!(phone.packets.len(), 2_000);
}

#[test]
fn r15_an_app_without_a_network_is_backed_off() {
    let mut phone = Phone::new("");
    for n in 0..1_000 {
        phone.tcp_from(&app(n), ISS, 0, SYN, 1_000, b"");
        let socket = opened(&commands(&mut phone))[0];
        phone.socket(socket, SocketEvent::Failed(ErrorKind::NetworkUnreachable));
        phone.now += Duration::from_millis(10);
    }
    let answers = phone.packets.len();
    assert!((70..=80).contains(&answers), "{answers} answers");
}

#[test]
fn one_apps_held_bytes_are_bounded_and_what_is_beyond_streams() {
    let policy = "[limits]\nhold_per_app = \"64 KiB\"\nhold_per_flow = \"32 KiB\"\n\
                  [[rule]]\napp = \"nobody\"\naction = \"block\"\n";
    let mut phone = Phone::new(policy);
    let mut held = Vec::new();
    for n in 0..8 {
        phone.tcp_from(&app(n), ISS, 0, SYN, 60_000, b"");
        let now = commands(&mut phone);
        let flow = wanted(&now)[0];
        phone
            .engine
            .handle_owner(flow, vec!["sender".into()], phone.clock());
        phone.drain();
        let socket = opened(&commands(&mut phone))[0];
        phone.socket(socket, SocketEvent::Connected);
        let iss = phone.segments().last().unwrap().0.seq;
        phone.tcp_from(&app(n), ISS + 1, iss + 1, ACK, 60_000, b"");
        let head = b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 50000\r\n\r\n";
        phone.tcp_from(&app(n), ISS + 1, iss + 1, ACK, 60_000, head);
        let mut seq = ISS + 1 + head.len() as u32;
        let mut sent = head.len();
        for _ in 0..20 {
            phone.tcp_from(&app(n), seq, iss + 1, ACK, 60_000, &[b'x'; 1_000]);
            (seq, sent) = (seq + 1_000, sent + 1_000);
        }
        let gone = phone.remote_takes(usize::MAX).len();
        held.push(sent - gone);
    }
    let total: usize = held.iter().sum();
    assert!(held[0] > 20_000, "the first flow has room: {held:?}");
    assert!(total <= 65_536 + 8 * 1_000, "{held:?}");
}

/// A flow whose first byte is missing, so that what it sends waits in memory.
fn gap(phone: &mut Phone, n: usize, bytes: usize) {
    phone.tcp_from(&app(n), ISS, 0, SYN, 60_000, b"");
    let socket = opened(&commands(phone))[0];
    phone.socket(socket, SocketEvent::Connected);
    let iss = phone.segments()[0].0.seq;
    phone.tcp_from(&app(n), ISS + 1, iss + 1, ACK, 60_000, b"");
    for at in (0..bytes).step_by(1_000) {
        phone.tcp_from(
            &app(n),
            ISS + 2 + at as u32,
            iss + 1,
            ACK,
            60_000,
            &[7; 1_000],
        );
    }
    phone.segments();
}

#[test]
fn r14_bytes_before_their_turn_are_bounded_over_all_flows() {
    let mut phone = Phone::new("[limits]\nbuffers_total = \"2 MiB\"\n");
    for n in 0..200 {
        gap(&mut phone, n, 14_000);
        assert!(phone.engine.load().buffers <= 3 << 20);
    }
    assert!(count(&mut phone, "memory") > 1_000);
}

#[test]
fn r14_memory_pressure_sheds_buffers_and_loses_no_accepted_byte() {
    let mut phone = Phone::new("");
    let (socket, iss) = phone.open(60_000);
    phone.commands.clear();
    phone.tcp(
        ISS + 1,
        iss + 1,
        ACK,
        60_000,
        &[b"accepted\n".repeat(100)].concat(),
    );
    phone
        .engine
        .sent(socket, Err(ErrorKind::WouldBlock), phone.clock());
    for n in 1..50 {
        gap(&mut phone, n, 14_000);
        phone.udp(&app(n), "203.0.113.1:5000", b"hello");
        phone.commands.clear();
    }
    // Chunks that were used and are kept ready.
    for _ in 0..8 {
        phone.remote_says(socket, &[1; 10_000]);
    }
    phone.segments();
    phone.tcp(ISS + 901, iss + 40_001, ACK, 60_000, b"");
    let before = phone.engine.load();
    assert!(before.buffers > 600_000, "{before:?}");
    phone.now += Duration::from_secs(30);
    phone
        .engine
        .set_memory_pressure(MemoryPressure::Critical, phone.clock());
    phone.drain();
    let after = phone.engine.load();
    assert!(after.buffers < before.buffers / 4, "{before:?} {after:?}");
    assert_eq!(
        before.sockets - after.sockets,
        49,
        "idle UDP sockets are closed"
    );
    assert_eq!(after.flows, before.flows, "no flow is lost");
    phone.socket(socket, SocketEvent::Writable);
    assert_eq!(phone.remote_takes(usize::MAX), b"accepted\n".repeat(100));
    // What came early comes again.
    gap(&mut phone, 60, 14_000);
    phone
        .engine
        .set_memory_pressure(MemoryPressure::None, phone.clock());
    phone.udp(&app(1), "203.0.113.1:5000", b"again");
    assert_eq!(opened(&commands(&mut phone)).len(), 1);
}

#[test]
fn r14_a_day_of_mixed_flows_does_not_grow_memory() {
    let mut phone = Phone::new("");
    let mut peak = 0;
    for n in 0..20_000 {
        phone.udp(&app(n), "203.0.113.1:5000", &[3; 500]);
        phone.tcp_from(&app(n), ISS, 0, SYN, 60_000, b"");
        let socket = *opened(&commands(&mut phone)).last().unwrap();
        phone.socket(socket, SocketEvent::Connected);
        let iss = phone.segments().last().unwrap().0.seq;
        phone.tcp_from(&app(n), ISS + 1, iss + 1, ACK, 60_000, b"");
        phone.tcp_from(&app(n), ISS + 1, iss + 1, ACK, 60_000, b"request\n");
        phone.remote_takes(usize::MAX);
        phone.remote_says(socket, &[9; 10_000]);
        phone.tcp_from(&app(n), ISS + 9, iss + 1, RST, 0, b"");
        phone.packets.clear();
        phone.sent.clear();
        phone.events.clear();
        phone.commands.clear();
        phone.wait(Duration::from_secs(4));
        peak = peak.max(phone.engine.load().buffers);
    }
    assert!(peak < 2 << 20, "{peak} bytes");
    assert!(phone.engine.load().flows < 200);
}
