//! The engine while networks, clocks and devices change under its flows.

mod phone;

use std::{collections::BTreeSet, io::ErrorKind, net::SocketAddr, time::Duration};

use phone::*;
use untold::engine::{Command, Nat64, Network, SocketEvent, SocketId};

fn network(resolver: &str) -> Network {
    Network {
        resolvers: vec![resolver.parse().unwrap()],
        nat64: None,
    }
}

fn change(phone: &mut Phone, network: Network) {
    phone.engine.network_changed(network, phone.clock());
    phone.drain();
}

fn heard(phone: &mut Phone, socket: SocketId, from: &str, bytes: &[u8]) {
    phone.engine.datagram_room()[..bytes.len()].copy_from_slice(bytes);
    let from: SocketAddr = from.parse().unwrap();
    phone
        .engine
        .handle_datagram(socket, from, bytes.len(), phone.clock());
    phone.drain();
}

#[test]
fn r10_a_connection_that_waits_is_tried_anew_and_one_that_stands_goes_on() {
    let mut phone = Phone::new("");
    let (stands, iss) = phone.open(5_000);
    phone.tcp_from("198.18.0.2:40001", ISS, 0, SYN, 1_000, b"");
    let (waits, to) = *phone.connected_to().last().unwrap();
    phone.commands.clear();
    change(&mut phone, network("192.0.2.54:53"));
    let (anew, again) = phone.connected_to()[0];
    assert_eq!((phone.connected_to().len(), again), (1, to));
    let close = Command::Close {
        socket: waits,
        reset: false,
    };
    assert!(phone.commands.contains(&close) && phone.commands.len() == 2);
    phone.socket(waits, SocketEvent::Failed(ErrorKind::TimedOut));
    assert!(
        phone.packets.is_empty(),
        "the old attempt is of no account any more"
    );
    phone.socket(anew, SocketEvent::Connected);
    assert_eq!(phone.only_segment().flags, SYN | ACK);
    phone.tcp(ISS + 1, iss + 1, ACK, 5_000, b"still here\n");
    assert_eq!(phone.remote_takes(100), b"still here\n");
    assert_eq!(phone.remote_says(stands, b"so am I"), 7);
}

#[test]
fn r10_open_questions_go_to_the_new_resolver_and_the_old_ones_answer_is_not_believed() {
    let mut phone = Phone::new("");
    phone.udp(APP, RESOLVER, &query(7, "host.example"));
    let (old, _, asked) = phone.sent.remove(0);
    change(&mut phone, network("192.0.2.54:53"));
    let (new, to, again) = phone.sent.remove(0);
    assert_eq!(to, "192.0.2.54:53".parse().unwrap());
    assert!(old != new && asked[2..] == again[2..]);
    heard(&mut phone, old, UPSTREAM, &reply(&asked, [203, 0, 113, 6]));
    assert!(phone.packets.is_empty());
    heard(
        &mut phone,
        new,
        "192.0.2.54:53",
        &reply(&again, [203, 0, 113, 5]),
    );
    let packet = phone.packets.remove(0);
    assert_eq!(packet[28..30], [0, 7], "under the app's own id");
    assert!(packet.ends_with(&[203, 0, 113, 5]));
}

#[test]
fn r10_without_a_resolver_open_questions_fail_at_once() {
    let mut phone = Phone::new("");
    phone.udp(APP, RESOLVER, &query(7, "host.example"));
    change(&mut phone, Network::default());
    let packet = phone.packets.remove(0);
    assert_eq!((packet[28..30].to_vec(), packet[31] & 15), (vec![0, 7], 2));
}

#[test]
fn r10_ten_thousand_changes_lose_no_flow_and_leave_no_socket_behind() {
    let mut phone = Phone::new("");
    let (stands, iss) = phone.open(60_000);
    let mut open = BTreeSet::from([stands]);
    phone.commands.clear();
    let (mut seq, mut said) = (ISS + 1, iss + 1);
    for n in 0..10_000u32 {
        // Families come and go.
        let nat64 = Nat64::new("64:ff9b::/96".parse().unwrap()).filter(|_| n % 3 == 1);
        let resolver = ["192.0.2.53:53", "[2001:db8::53]:53", "192.0.2.54:53"];
        let resolvers = vec![resolver[n as usize % 3].parse().unwrap()];
        change(&mut phone, Network { resolvers, nat64 });
        if n % 2 == 0 {
            phone.udp(APP, "203.0.113.1:5000", b"hello");
            let (socket, to, _) = phone.sent.last().unwrap().clone();
            heard(&mut phone, socket, &to.to_string(), b"back");
        }
        phone.udp(APP, RESOLVER, &query(n as u16, "host.example"));
        let waiting = format!("198.18.0.2:{}", 50_000 + n % 5);
        phone.tcp_from(&waiting, ISS, 0, SYN, 1_000, b"");
        phone.tcp(seq, said, ACK, 60_000, b"line\n");
        assert_eq!(phone.remote_takes(100), b"line\n");
        assert_eq!(phone.remote_says(stands, b"answer"), 6);
        (seq, said) = (seq + 5, said + 6);
        phone.tcp(seq, said, ACK, 60_000, b"");
        let back = phone.packets.iter().filter(|packet| packet[9] == 17);
        assert!(back.count() >= usize::from(n % 2 == 0), "at change {n}");
        for command in std::mem::take(&mut phone.commands) {
            match command {
                Command::Connect { socket, .. } | Command::OpenUdp { socket, .. } => {
                    open.insert(socket);
                }
                Command::Close { socket, .. } => assert!(open.remove(&socket)),
                _ => {}
            }
        }
        assert!(open.len() < 40, "{} sockets", open.len());
        assert_eq!(phone.engine.load().sockets, open.len());
        phone.packets.clear();
        phone.sent.clear();
        phone.now += Duration::from_millis(500);
        phone.engine.handle_timeout(phone.clock());
        phone.drain();
    }
}

#[test]
fn r24_on_a_network_without_ipv4_what_is_for_ipv4_goes_through_its_translator() {
    let mut phone = Phone::new("");
    let nat64 = Nat64::new("64:ff9b::/96".parse().unwrap());
    let resolvers = Vec::new();
    change(&mut phone, Network { resolvers, nat64 });
    phone.tcp(ISS, 0, SYN, 1_000, b"");
    let through: SocketAddr = "[64:ff9b::203.0.113.9]:80".parse().unwrap();
    assert_eq!(phone.connected_to()[0].1, through);
    phone.udp(APP, "203.0.113.1:5000", b"hello");
    let (socket, to, _) = phone.sent.remove(0);
    assert_eq!(to, "[64:ff9b::203.0.113.1]:5000".parse().unwrap());
    let udp = Command::OpenUdp {
        socket,
        v6: true,
        to: None,
    };
    assert!(phone.commands.contains(&udp));
    heard(&mut phone, socket, "[64:ff9b::203.0.113.1]:5000", b"back");
    let packet = phone.packets.remove(0);
    assert_eq!(
        packet[12..16],
        [203, 0, 113, 1],
        "the app sees whom it wrote to"
    );
    phone.udp("[fd00::2]:4000", "[2001:db8::9]:5000", b"hello");
    let native = "[2001:db8::9]:5000".parse().unwrap();
    assert_eq!(phone.sent.remove(0).1, native);
    change(&mut phone, Network::default());
    phone.udp(APP, "203.0.113.1:5000", b"again");
    assert_eq!(
        phone.sent.remove(0).1,
        "203.0.113.1:5000".parse().unwrap(),
        "and directly, once there is IPv4"
    );
}

#[test]
fn r9_an_hour_without_traffic_wakes_nobody_once_datagram_flows_have_ended() {
    let mut phone = Phone::new("");
    for n in 0..100 {
        let app = format!("198.18.0.2:{}", 41_000 + n);
        phone.udp(&app, "203.0.113.1:5000", b"hello");
        phone.tcp_from(&app, ISS, 0, SYN, 5_000, b"");
        let (socket, _) = *phone.connected_to().last().unwrap();
        phone.socket(socket, SocketEvent::Connected);
        let iss = phone.segments().last().unwrap().0.seq;
        phone.tcp_from(&app, ISS + 1, iss + 1, ACK, 5_000, b"");
    }
    let mut wakeups = 0;
    let until = phone.now + Duration::from_secs(3_600);
    while let Some(at) = phone.engine.poll_timeout().filter(|at| *at <= until) {
        phone.now = phone.now.max(at);
        phone.engine.handle_timeout(phone.clock());
        phone.drain();
        wakeups += 1;
    }
    assert!(wakeups <= 100, "{wakeups} wake-ups");
    assert_eq!(phone.engine.load().flows, 100, "every connection stands");
    assert_eq!(phone.engine.poll_timeout(), None);
}

#[test]
fn r9_a_night_of_sleep_resets_nothing() {
    let mut phone = Phone::new("");
    let (socket, iss) = phone.open(5_000);
    assert_eq!(phone.remote_says(socket, b"before"), 6);
    phone.segments();
    phone.tcp(ISS + 1, iss + 1, ACK, 5_000, b"before\n");
    assert_eq!(phone.remote_takes(100), b"before\n");
    // The clock stood while all slept, or it has jumped: either way one call comes, late.
    phone.now += Duration::from_secs(8 * 3_600);
    phone.engine.handle_timeout(phone.clock());
    phone.drain();
    let repeated = phone.segments();
    assert_eq!(repeated.last().unwrap().1, b"before", "sent again");
    phone.tcp(ISS + 8, iss + 7, ACK, 5_000, b"after\n");
    assert_eq!(phone.remote_takes(100), b"after\n");
    assert_eq!(phone.remote_says(socket, b"after"), 5);
    assert_eq!(phone.segments().last().unwrap().1, b"after");
}

#[test]
fn r22_a_probe_to_the_tunnels_own_address_comes_back_and_nothing_leaves() {
    let mut phone = Phone::new("[default]\nconnection = \"block\"\n");
    phone.udp(APP, "198.18.0.1:7", b"number 1");
    let packet = phone.packets.remove(0);
    assert_eq!(packet[12..16], [198, 18, 0, 1]);
    assert_eq!(packet[20..24], [0, 7, 0x9c, 0x40]);
    assert!(packet.ends_with(b"number 1"));
    assert!(phone.commands.is_empty() && phone.sent.is_empty());
    phone.udp(APP, "198.18.0.1:7", &[0; 65]);
    assert_eq!(phone.packets.remove(0)[20..22], [3, 3], "no echo service");
}
